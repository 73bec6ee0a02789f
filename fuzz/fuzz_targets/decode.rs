//! Arbitrary bytes as every message of our interfaces, and as kept state: decoded or refused, and never anything else.
//!
//! What was decoded is spelt and decoded again: that must give the same spelling.
#![no_main]

use std::cell::Cell;

use koboshi_core::sync::{AtomicU32, Ordering};
use koboshi_interface_kit::{Key, MAX_MESSAGE, Message, decode, encode};
use koboshi_interfaces::{ComponentId, Incarnation, control, health, log, received, serial};
use koboshi_runtime::kept::{Kept, WORDS};
use koboshi_runtime::platform::Point;
use libfuzzer_sys::fuzz_target;

const KEY: Key = Key(0x0123_4567_89AB_CDEF);

thread_local! {
    static KEPT: &'static [AtomicU32] =
        Box::leak((0..WORDS).map(|_| AtomicU32::new(0)).collect::<Vec<_>>().into_boxed_slice());
    static POINTS: Cell<u32> = const { Cell::new(0) };
}

#[unsafe(no_mangle)]
fn koboshi_kept() -> &'static [AtomicU32] {
    KEPT.with(|kept| *kept)
}

#[unsafe(no_mangle)]
fn koboshi_point(_: Point, _: bool) -> bool {
    POINTS.set(POINTS.get().wrapping_add(1));
    true
}

fn spell<T: Message>(message: &T) -> Vec<u8> {
    encode(message, &mut [0; MAX_MESSAGE]).expect("it has room").to_vec()
}

fn message<T: Message>(bytes: &[u8]) {
    if let Some(found) = decode::<T>(bytes) {
        let spelt = spell(&found);
        assert!(spelt.len() <= T::POSTCARD_MAX_SIZE);
        let again = decode::<T>(&spelt).expect("what we spell can be read");
        assert_eq!(spell(&again), spelt);
    }
}

/// Gives a copy the right sequence, key, length and check, so that its payload is looked at.
fn make_whole(copy: &[AtomicU32]) {
    let put = |at: usize, value: u32| copy[at].store(value, Ordering::Relaxed);
    let length = copy[3].load(Ordering::Relaxed) % (MAX_MESSAGE as u32 + 1);
    let sequence = copy[0].load(Ordering::Relaxed).max(1);
    let bytes: Vec<u8> = copy[5..].iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect();
    let head = sequence.to_le_bytes().into_iter().chain(KEY.0.to_le_bytes()).chain(length.to_le_bytes());
    let hash = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let check = head.chain(bytes.into_iter().take(length as usize)).fold(0x811C_9DC5, hash);
    for (at, value) in [sequence, KEY.0 as u32, (KEY.0 >> 32) as u32, length, check].into_iter().enumerate() {
        put(at, value);
    }
}

fn kept<T: Message>(bytes: &[u8]) {
    let Some((how, bytes)) = bytes.split_first() else { return };
    let memory = koboshi_kept();
    for (at, word) in memory.iter().enumerate() {
        let four = bytes.get(4 * at..4 * at + 4).and_then(|four| four.try_into().ok()).unwrap_or([0; 4]);
        word.store(u32::from_le_bytes(four), Ordering::Relaxed);
    }
    let (first, second) = memory.split_at(WORDS / 2);
    for (copy, bit) in [(first, 1), (second, 2)] {
        if how & bit != 0 {
            make_whole(copy);
        }
    }
    let mut kept = Kept::<T>::open(KEY);
    if let Some(value) = kept.load() {
        kept.store(&value);
        let again = kept.load().expect("what we store can be loaded");
        assert_eq!(spell(&again), spell(&value));
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((which, bytes)) = data.split_first() else { return };
    match which % 31 {
        0 => message::<ComponentId>(bytes),
        1 => message::<Incarnation>(bytes),
        2 => message::<control::Report>(bytes),
        3 => message::<control::Complaint>(bytes),
        4 => message::<control::Reboot>(bytes),
        5 => message::<control::Denied>(bytes),
        6 => message::<Result<(), control::Denied>>(bytes),
        7 => message::<health::Health>(bytes),
        8 => message::<Result<health::Health, health::NoSuch>>(bytes),
        9 => message::<health::State>(bytes),
        10 => message::<health::Fault>(bytes),
        11 => message::<health::Incident>(bytes),
        12 => message::<Option<health::Incident>>(bytes),
        13 => message::<health::Outcome>(bytes),
        14 => message::<log::Record>(bytes),
        15 => message::<log::Level>(bytes),
        16 => message::<received::Received>(bytes),
        17 => message::<serial::Status>(bytes),
        18 => message::<serial::Line>(bytes),
        19 => message::<serial::Chunk>(bytes),
        20 => message::<serial::Written>(bytes),
        21 => message::<serial::Milliseconds>(bytes),
        22 => message::<serial::ModemLines>(bytes),
        23 => message::<serial::RefusedLine>(bytes),
        24 => message::<Result<(), serial::RefusedLine>>(bytes),
        25 => message::<bool>(bytes),
        26 => message::<u32>(bytes),
        27 => kept::<serial::Line>(bytes),
        28 => kept::<log::Record>(bytes),
        29 => kept::<received::Received>(bytes),
        _ => kept::<serial::Chunk>(bytes),
    }
});
