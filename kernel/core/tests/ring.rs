//! The ring: what a reader sees of what a producer wrote, and of what only looks like it.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "the names of tests say what they say")]

mod common;

use common::{cases, snapshot, turn_to, zeroed};
use koboshi_core::ring::{
    Geometry, HEADER_WORDS, Header, KERNEL_EPOCH, LINE_WORDS, MAX_PAYLOAD, Malformed, Message, Ready, Slots,
};
use koboshi_core::sync::Ordering;
use proptest::prelude::*;

const HEADER: Header = Header { epoch: 3, tag: 7, origin: 11 };

fn ring(slots: u32, payload: usize) -> (Vec<koboshi_core::sync::AtomicU32>, Geometry) {
    let geometry = Geometry::new(slots, payload).unwrap();
    (zeroed(geometry.words()), geometry)
}

fn put(slots: Slots<'_>, position: u32, payload: &[u8]) {
    assert!(slots.write(position, HEADER, payload));
    slots.commit(position);
}

fn get(slots: Slots<'_>, position: u32) -> Result<Option<Message>, Malformed> {
    let mut message = Message::new();
    Ok(slots.read(position, HEADER.epoch, &mut message)?.then_some(message))
}

#[test]
fn messages_come_out_whole_and_in_the_order_in_which_they_went_in() {
    let (words, geometry) = ring(4, 40);
    let slots = Slots::new(&words, geometry).unwrap();
    for turn in 0..5u32 {
        for at in 0..4 {
            put(slots, turn * 4 + at, &[turn as u8, at as u8]);
        }
        for at in 0..4 {
            let message = get(slots, turn * 4 + at).unwrap().unwrap();
            assert_eq!((message.header, message.bytes()), (HEADER, &[turn as u8, at as u8][..]));
        }
    }
}

#[test]
fn a_message_that_is_written_but_not_committed_is_not_there() {
    let (words, geometry) = ring(2, 40);
    let slots = Slots::new(&words, geometry).unwrap();
    assert!(slots.write(0, HEADER, b"half"));
    assert_eq!(slots.ready(0), Ready::NotYet);
    assert!(get(slots, 0).unwrap().is_none());
}

#[test]
fn a_full_ring_still_holds_its_oldest_message() {
    let (words, geometry) = ring(2, 40);
    let slots = Slots::new(&words, geometry).unwrap();
    put(slots, 0, b"a");
    put(slots, 1, b"b");
    assert_eq!(slots.ready(2), Ready::NotYet);
    assert_eq!(get(slots, 0).unwrap().unwrap().bytes(), b"a");
}

#[test]
fn positions_wrap_without_a_message_lost_or_seen_twice() {
    for count in [1, 2, 8] {
        let (words, geometry) = ring(count, 40);
        let slots = Slots::new(&words, geometry).unwrap();
        let first = u32::MAX - 20;
        turn_to(slots, first);
        for ahead in 0..40 {
            let position = first.wrapping_add(ahead);
            assert_eq!(slots.ready(position), Ready::NotYet, "{position:#x} of {count}");
            put(slots, position, &ahead.to_le_bytes());
            assert_eq!(get(slots, position).unwrap().unwrap().bytes(), ahead.to_le_bytes());
            assert_ne!(slots.ready(position.wrapping_add(count)), Ready::Yes);
        }
    }
}

#[test]
fn a_cleared_slot_is_empty_at_every_position_the_last_before_the_wrap_too() {
    let (words, geometry) = ring(4, 40);
    let slots = Slots::new(&words, geometry).unwrap();
    for position in [0, 1, 4, 1000, u32::MAX - 1, u32::MAX] {
        put(slots, position, b"x");
        slots.clear(position);
        assert_eq!(slots.ready(position), Ready::NotYet, "{position:#x}");
    }
}

#[test]
fn an_empty_payload_and_the_largest_one_fit() {
    let (words, geometry) = ring(2, MAX_PAYLOAD);
    let slots = Slots::new(&words, geometry).unwrap();
    let largest: Vec<u8> = (0..MAX_PAYLOAD as u8).collect();
    put(slots, 0, &[]);
    put(slots, 1, &largest);
    assert_eq!(get(slots, 0).unwrap().unwrap().bytes(), &[] as &[u8]);
    assert_eq!(get(slots, 1).unwrap().unwrap().bytes(), largest);
}

#[test]
fn a_shorter_payload_shows_nothing_of_the_longer_one_before_it() {
    let (words, geometry) = ring(1, 40);
    let slots = Slots::new(&words, geometry).unwrap();
    let mut message = Message::new();
    put(slots, 0, &[0xFF; 40]);
    assert!(slots.read(0, HEADER.epoch, &mut message).unwrap());
    put(slots, 1, &[1, 2, 3, 4, 5]);
    assert!(slots.read(1, HEADER.epoch, &mut message).unwrap());
    assert_eq!(message.bytes(), [1, 2, 3, 4, 5]);
}

#[test]
fn a_payload_that_is_too_large_writes_nothing() {
    let (words, geometry) = ring(2, 40);
    let slots = Slots::new(&words, geometry).unwrap();
    put(slots, 0, b"kept");
    let before = snapshot(&words);
    assert!(!slots.write(0, Header { epoch: 9, tag: 9, origin: 9 }, &[9; 41]));
    assert!(!slots.write(1, HEADER, &[9; MAX_PAYLOAD + 1]));
    assert_eq!(snapshot(&words), before);
}

#[test]
fn a_sequence_that_the_ring_s_history_does_not_allow_is_refused() {
    let (words, geometry) = ring(4, 40);
    let slots = Slots::new(&words, geometry).unwrap();
    turn_to(slots, 8);
    for wild in [0, 1, 4, 6, 8, 10, 13, u32::MAX] {
        words[0].store(wild, Ordering::Relaxed);
        assert_eq!(get(slots, 8).err(), Some(Malformed::Sequence), "{wild}");
    }
}

#[test]
fn an_epoch_of_nobody_or_of_the_future_is_refused() {
    let (words, geometry) = ring(4, 40);
    let slots = Slots::new(&words, geometry).unwrap();
    for (epoch, good) in [(0, false), (1, true), (3, true), (4, false), (u32::MAX - 1, false), (KERNEL_EPOCH, true)] {
        assert!(slots.write(0, Header { epoch, ..HEADER }, b"x"));
        slots.commit(0);
        assert_eq!(get(slots, 0).err(), (!good).then_some(Malformed::Epoch), "{epoch}");
        assert_eq!(slots.committed(0, HEADER.epoch), good, "{epoch}");
    }
}

#[test]
fn a_length_over_what_the_slot_holds_is_refused() {
    let (words, geometry) = ring(2, 40);
    let slots = Slots::new(&words, geometry).unwrap();
    put(slots, 0, b"x");
    for length in [41, 64, 104, 105, 0xFFFF] {
        words[2].store(length, Ordering::Relaxed);
        assert_eq!(get(slots, 0).err(), Some(Malformed::Length), "{length}");
    }
}

#[test]
fn a_deadline_and_a_progress_travel_beside_the_payload() {
    let (words, geometry) = ring(2, 40);
    let slots = Slots::new(&words, geometry).unwrap();
    assert!(slots.write(0, HEADER, b"x"));
    slots.write_deadline(0, 0x1234_5678_9ABC_DEF0);
    slots.commit(0);
    assert_eq!(get(slots, 0).unwrap().unwrap().deadline(), 0x1234_5678_9ABC_DEF0);
    slots.progress(1).unwrap().store(77, Ordering::Relaxed);
    put(slots, 1, b"y");
    assert_eq!(get(slots, 1).unwrap().unwrap().progress(), 77);
}

#[test]
fn a_payload_filled_byte_by_byte_is_read_like_one_written_at_once() {
    let (words, geometry) = ring(2, 40);
    let slots = Slots::new(&words, geometry).unwrap();
    for (at, byte) in b"byte by byte".iter().enumerate() {
        slots.set_payload_byte(1, at, *byte);
        assert_eq!(slots.payload_byte(1, at), *byte);
    }
    slots.finish(1, HEADER, 12);
    slots.commit(1);
    let message = get(slots, 1).unwrap().unwrap();
    assert_eq!((message.bytes(), message.header), (&b"byte by byte"[..], HEADER));
}

#[test]
fn a_byte_beyond_the_slot_goes_nowhere_and_is_read_as_0() {
    let (words, geometry) = ring(2, 40);
    let slots = Slots::new(&words, geometry).unwrap();
    for at in [40, 41, 1000, usize::MAX] {
        slots.set_payload_byte(0, at, 0xFF);
        assert_eq!(slots.payload_byte(0, at), 0);
    }
    assert!(snapshot(&words).iter().all(|word| *word == 0));
}

#[test]
fn a_geometry_without_slots_or_too_large_is_none() {
    assert_eq!(Geometry::new(0, 40), None);
    assert_eq!(Geometry::new(1025, 40), None);
    assert_eq!(Geometry::new(u32::MAX, 40), None);
    assert_eq!(Geometry::new(1, MAX_PAYLOAD + 1), None);
    assert_eq!(Geometry::new(1, usize::MAX), None);
    assert!(Geometry::new(1024, MAX_PAYLOAD).is_some());
}

#[test]
fn a_slot_holds_the_payload_asked_for_and_begins_at_a_cache_line() {
    for payload in 0..=MAX_PAYLOAD {
        let geometry = Geometry::new(3, payload).unwrap();
        assert_eq!(geometry.slots(), 4);
        assert!(geometry.payload() >= payload);
        assert_eq!(geometry.words() % (4 * LINE_WORDS), 0);
        assert!(4 * (HEADER_WORDS * 4 + geometry.payload()) <= geometry.words() * 4);
    }
}

#[test]
fn memory_of_another_size_than_the_geometry_s_is_refused() {
    let (words, geometry) = ring(2, 40);
    assert!(Slots::new(&words[1..], geometry).is_none());
    assert!(Slots::new(&[], geometry).is_none());
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn whatever_a_peer_writes_the_reader_gets_a_bounded_message_or_a_refusal(
        noise in proptest::collection::vec(any::<u32>(), 64),
        position: u32,
        epoch: u32,
        committed: bool,
    ) {
        let (words, geometry) = ring(2, 100);
        for (word, noise) in words.iter().zip(&noise) {
            word.store(*noise, Ordering::Relaxed);
        }
        let slots = Slots::new(&words, geometry).unwrap();
        if committed {
            slots.commit(position);
        }
        let before = snapshot(&words);
        let mut message = Message::new();
        let read = slots.read(position, epoch, &mut message);
        prop_assert!(message.bytes().len() <= geometry.payload());
        if read == Ok(true) {
            prop_assert!(committed || slots.ready(position) == Ready::Yes);
            prop_assert!((1..=epoch).contains(&message.header.epoch) || message.header.epoch == KERNEL_EPOCH);
        }
        prop_assert_eq!(snapshot(&words), before, "a reader writes nothing");
    }

    #[test]
    fn any_payload_comes_back_as_it_went_in(
        payload in proptest::collection::vec(any::<u8>(), 0..=MAX_PAYLOAD),
        position: u32,
        tag: u8,
        origin: u32,
        epoch in 1..KERNEL_EPOCH,
    ) {
        let (words, geometry) = ring(4, MAX_PAYLOAD);
        let slots = Slots::new(&words, geometry).unwrap();
        let header = Header { epoch, tag, origin };
        prop_assert!(slots.write(position, header, &payload));
        slots.commit(position);
        let mut message = Message::new();
        prop_assert_eq!(slots.read(position, epoch, &mut message), Ok(true));
        prop_assert_eq!((message.header, message.bytes()), (header, &payload[..]));
        prop_assert_eq!(slots.tag_and_origin(position), (tag, origin));
    }
}
