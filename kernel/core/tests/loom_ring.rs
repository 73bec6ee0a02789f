//! The ring under `loom`: every order in which two cores may see each other's stores.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p koboshi-core --test loom_ring --release`
#![cfg(loom)]
#![allow(missing_docs, reason = "the names of tests say what they say")]

use koboshi_core::record::{Half, Position};
use koboshi_core::ring::{Geometry, Header, Message};
use koboshi_core::sync::AtomicU32;
use loom::sync::Arc;
use loom::thread;

const EPOCH: u32 = 7;

struct Shared {
    producer: Vec<AtomicU32>,
    consumer: Vec<AtomicU32>,
    geometry: Geometry,
}

impl Shared {
    fn new(slots: u32) -> Self {
        let geometry = Geometry::new(slots, 8).unwrap();
        let zeroed = |words| (0..words).map(|_| AtomicU32::new(0)).collect();
        Shared { producer: zeroed(Half::words(Some(geometry))), consumer: zeroed(Half::words(None)), geometry }
    }

    fn producer(&self) -> Half<'_> {
        Half::new(&self.producer, Some(self.geometry)).unwrap()
    }

    fn consumer(&self) -> Half<'_> {
        Half::new(&self.consumer, None).unwrap()
    }
}

fn header(position: u32) -> Header {
    Header { epoch: EPOCH, tag: position as u8 + 1, origin: position + 100 }
}

/// Two words that differ from message to message, so that a mix of two is seen.
fn payload(position: u32) -> [u8; 8] {
    [position as u8 + 0x51; 8]
}

#[derive(Clone, Copy)]
enum Order {
    WriteThenCommit,
    CommitThenWrite,
}

fn produce(shared: &Shared, messages: u32, order: Order) {
    let (half, slots) = (shared.producer(), shared.producer().slots().unwrap());
    for position in 0..messages {
        while position.wrapping_sub(shared.consumer().get(Position::Consumed)) >= slots.geometry().slots() {
            thread::yield_now();
        }
        match order {
            Order::WriteThenCommit => {
                assert!(slots.write(position, header(position), &payload(position)));
                slots.commit(position);
            }
            Order::CommitThenWrite => {
                slots.commit(position);
                assert!(slots.write(position, header(position), &payload(position)));
            }
        }
        half.set(Position::Sent, position + 1);
    }
}

fn consume(shared: &Shared, messages: u32) {
    let slots = shared.producer().slots().unwrap();
    let mut message = Message::new();
    for position in 0..messages {
        while !slots.read(position, EPOCH, &mut message).expect("the producer keeps the rules") {
            thread::yield_now();
        }
        assert_eq!(message.header, header(position));
        assert_eq!(message.bytes(), payload(position));
        shared.consumer().set(Position::Consumed, position + 1);
    }
}

/// Tries all orders with at most so many switches that no thread asked for; `None`: all orders there are.
fn explore(slots: u32, messages: u32, order: Order, switches: Option<usize>) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = switches;
    model.check(move || {
        let shared = Arc::new(Shared::new(slots));
        let theirs = Arc::clone(&shared);
        let producer = thread::spawn(move || produce(&theirs, messages, order));
        consume(&shared, messages);
        producer.join().unwrap();
    });
}

#[test]
fn every_message_is_seen_whole_once_and_in_order() {
    explore(2, 2, Order::WriteThenCommit, None);
}

#[test]
fn a_slot_that_is_used_again_shows_the_old_message_or_the_new_one_and_never_a_mix() {
    explore(1, 3, Order::WriteThenCommit, None);
}

#[test]
fn two_slots_used_again_and_again_keep_their_order() {
    // All orders take two minutes; they were tried, and hold.
    explore(2, 4, Order::WriteThenCommit, Some(4));
}

#[test]
#[should_panic(expected = "assertion")]
fn a_ring_that_commits_before_it_writes_is_found_out() {
    explore(1, 1, Order::CommitThenWrite, None);
}

#[test]
#[should_panic(expected = "assertion")]
fn a_ring_that_commits_before_it_writes_is_found_out_when_a_slot_is_used_again() {
    explore(1, 2, Order::CommitThenWrite, None);
}
