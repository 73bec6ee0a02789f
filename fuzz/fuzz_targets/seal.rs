//! Arbitrary halves, sealed in any order: it ends, and leaves positions that fit the ring.
#![no_main]

use koboshi_core::record::{Contracts, Half, Position, Sealed, ServiceRecord, StreamRecord};
use koboshi_core::ring::Geometry;
use koboshi_core::sync::{AtomicU32, Ordering};
use libfuzzer_sys::fuzz_target;

const SLOTS: u32 = 4;

/// What is left of the input, and zeros behind it.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// Small numbers, numbers around 0, and any numbers.
    fn word(&mut self) -> u32 {
        match self.byte() {
            small @ 0..0xE0 => u32::from(small) % 24,
            below @ 0xE0..0xF0 => u32::from(below & 0xF).wrapping_neg(),
            _ => u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()]),
        }
    }

    fn spoil(&mut self, half: &[AtomicU32]) {
        for word in half {
            // Most of a payload does not matter: leave it out and the rest is found sooner.
            word.store(self.word(), Ordering::Relaxed);
            if self.0.is_empty() {
                return;
            }
        }
    }
}

fn snapshot(words: &[AtomicU32]) -> Vec<u32> {
    words.iter().map(|word| word.load(Ordering::Relaxed)).collect()
}

fuzz_target!(|data: &[u8]| {
    let mut rest = Rest(data);
    let geometry = Geometry::new(SLOTS, 8).expect("a small ring");
    let zeroed = |words| (0..words).map(|_| AtomicU32::new(0)).collect::<Vec<_>>();
    let (near, far) = (zeroed(Half::words(Some(geometry))), zeroed(Half::words(Some(geometry))));
    let half = |words| Half::new(words, Some(geometry)).expect("it is as long as its geometry");
    let service = ServiceRecord { client: half(&near), server: half(&far) };
    let stream = StreamRecord { producer: half(&near), consumer: half(&far) };
    let mut sealed = Sealed::default();

    for _ in 0..16 {
        if rest.0.is_empty() {
            return;
        }
        match rest.byte() % 10 {
            0 | 1 => rest.spoil(&near),
            2 | 3 => rest.spoil(&far),
            4 => {
                let before = snapshot(&far);
                service.seal_client(&mut sealed);
                assert_eq!(snapshot(&far), before);
                assert!(near_words(&service.client) <= SLOTS);
            }
            5 => {
                let before = snapshot(&near);
                let contracts =
                    Contracts { at_most_once: rest.word(), idempotent: rest.word(), routed: rest.byte() == 0 };
                service.seal_server(&mut sealed, contracts, rest.word());
                assert_eq!(snapshot(&near), before);
                assert_eq!(service.server.get(Position::Taken), service.server.get(Position::Answered));
            }
            6 => {
                let before = snapshot(&near);
                service.answer_gone(&mut sealed, rest.word());
                assert_eq!(snapshot(&near), before);
            }
            7 => {
                service.take_back(rest.word(), rest.word());
                service.refuse_request(rest.word());
                stream.refuse_item(rest.word());
            }
            8 => {
                let before = snapshot(&far);
                stream.seal_producer(&mut sealed);
                assert_eq!(snapshot(&far), before);
            }
            _ => {
                let before = snapshot(&near);
                stream.seal_consumer(&mut sealed);
                assert_eq!(snapshot(&near), before);
            }
        }
    }
});

fn near_words(client: &Half<'_>) -> u32 {
    client.get(Position::Sent).wrapping_sub(client.get(Position::Consumed))
}
