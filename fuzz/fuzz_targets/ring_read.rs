//! Arbitrary words as the slots of a peer: whatever is read is bounded, judged, and read without a trace.
#![no_main]

use koboshi_core::ring::{Geometry, KERNEL_EPOCH, Message, Ready, Slots};
use koboshi_core::sync::{AtomicU32, Ordering};
use libfuzzer_sys::fuzz_target;

struct Input {
    slots: u8,
    payload: u8,
    position: u32,
    epoch: u32,
    words: Vec<u32>,
}

/// The first ten bytes choose the ring and the reader; the rest is the ring's memory.
fn input(data: &[u8]) -> Option<Input> {
    let (head, rest) = data.split_first_chunk::<10>()?;
    let [slots, payload, p0, p1, p2, p3, e0, e1, e2, e3] = *head;
    let (position, epoch) = (u32::from_le_bytes([p0, p1, p2, p3]), u32::from_le_bytes([e0, e1, e2, e3]));
    let words = rest.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    Some(Input { slots, payload, position, epoch, words })
}

fuzz_target!(|data: &[u8]| {
    let Some(Input { slots, payload, position, epoch, words }) = input(data) else { return };
    let Some(geometry) = Geometry::new(u32::from(slots) % 9, usize::from(payload) % 112) else { return };
    let words: Vec<_> = (0..geometry.words()).map(|at| AtomicU32::new(words.get(at).copied().unwrap_or(0))).collect();
    let before: Vec<_> = words.iter().map(|word| word.load(Ordering::Relaxed)).collect();
    let slots = Slots::new(&words, geometry).expect("it is as long as its geometry");

    let mut message = Message::new();
    let read = slots.read(position, epoch, &mut message);
    assert!(message.bytes().len() <= geometry.payload());
    if read == Ok(true) {
        assert_eq!(slots.ready(position), Ready::Yes);
        let found = message.header.epoch;
        assert!(found == KERNEL_EPOCH || (1..=epoch).contains(&found));
        assert!(slots.committed(position, epoch));
    }
    let _ = (slots.tag_and_origin(position), slots.epoch(position), slots.deadline(position));
    assert!(words.iter().zip(&before).all(|(word, before)| word.load(Ordering::Relaxed) == *before));
});
