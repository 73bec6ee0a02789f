//! Ports in plain memory, and ends of them that keep the order of stores that components keep.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod house;

use koboshi_core::record::{Contracts, Half, Outcome, Position, Sealed, ServiceRecord, StreamRecord};
use koboshi_core::ring::{Geometry, Header, KERNEL_EPOCH, LINE_WORDS, Malformed, Message, Slots};
use koboshi_core::sync::{AtomicU32, Ordering};

/// How often a property is tried. Miri runs about a thousand times slower.
pub(crate) fn cases(many: u32) -> proptest::test_runner::Config {
    proptest::test_runner::Config {
        cases: if cfg!(miri) { 1 } else { many },
        failure_persistence: None,
        max_global_rejects: 1 << 20,
        ..Default::default()
    }
}

/// Words that are 0.
pub(crate) fn zeroed(words: usize) -> Vec<AtomicU32> {
    (0..words).map(|_| AtomicU32::new(0)).collect()
}

/// All words of a memory, for a comparison.
pub(crate) fn snapshot(words: &[AtomicU32]) -> Vec<u32> {
    words.iter().map(|word| word.load(Ordering::Relaxed)).collect()
}

/// Slots that look as after one turn that ended at `first`.
pub(crate) fn turn_to(slots: Slots<'_>, first: u32) {
    for position in 0..slots.geometry().slots() {
        slots.clear(first.wrapping_add(position));
    }
}

/// The two halves of a port.
pub(crate) struct Port {
    pub(crate) near: Vec<AtomicU32>,
    pub(crate) far: Vec<AtomicU32>,
    pub(crate) geometry: Geometry,
    far_slots: Option<Geometry>,
}

impl Port {
    pub(crate) fn service(slots: u32) -> Self {
        let geometry = Geometry::new(slots, 40).unwrap();
        let words = Half::words(Some(geometry));
        Port { near: zeroed(words), far: zeroed(words), geometry, far_slots: Some(geometry) }
    }

    pub(crate) fn stream(slots: u32) -> Self {
        let geometry = Geometry::new(slots, 40).unwrap();
        let (near, far) = (Half::words(Some(geometry)), Half::words(None));
        Port { near: zeroed(near), far: zeroed(far), geometry, far_slots: None }
    }

    /// A service that has come to position `first`, with nothing outstanding.
    pub(crate) fn service_at(slots: u32, first: u32) -> Self {
        let port = Self::service(slots);
        let record = port.record();
        for position in [Position::Sent, Position::Consumed] {
            record.client.set(position, first);
        }
        for position in [Position::Taken, Position::Answered, Position::Replayed] {
            record.server.set(position, first);
        }
        turn_to(record.client.slots().unwrap(), first);
        turn_to(record.server.slots().unwrap(), first);
        port
    }

    /// The same, with what the kernel remembers of it.
    pub(crate) fn service_with_history(slots: u32, first: u32) -> (Self, Sealed) {
        let mut sealed = Sealed::default();
        // It grew there in steps, each of which the kernel has seen.
        for step in 1..=8 {
            let port = Self::service_at(slots, first / 8 * step + first % 8 * step / 8);
            let record = port.record();
            record.server.set(Position::Replayed, 0);
            record.seal_client(&mut sealed);
            record.seal_server(&mut sealed, Contracts::default(), 1);
        }
        let port = Self::service_at(slots, first);
        (port, sealed)
    }

    pub(crate) fn near_half(&self) -> Half<'_> {
        Half::new(&self.near, Some(self.geometry)).unwrap()
    }

    pub(crate) fn far_half(&self) -> Half<'_> {
        Half::new(&self.far, self.far_slots).unwrap()
    }

    pub(crate) fn record(&self) -> ServiceRecord<'_> {
        ServiceRecord { client: self.near_half(), server: self.far_half() }
    }

    pub(crate) fn stream_record(&self) -> StreamRecord<'_> {
        StreamRecord { producer: self.near_half(), consumer: self.far_half() }
    }

    /// Throws `words` over a half: positions first, then slots.
    pub(crate) fn spoil(half: &[AtomicU32], words: &[(u16, u32)]) {
        for (at, value) in words {
            let at = if *at % 2 == 0 { usize::from(*at / 2) % LINE_WORDS } else { usize::from(*at / 2) % half.len() };
            half[at].store(*value, Ordering::Relaxed);
        }
    }
}

/// The client's end of a service, as a component holds it.
#[derive(Clone)]
pub(crate) struct Client<'a> {
    pub(crate) record: ServiceRecord<'a>,
    pub(crate) epoch: u32,
    pub(crate) sent: u32,
    pub(crate) consumed: u32,
}

impl<'a> Client<'a> {
    pub(crate) fn open(record: ServiceRecord<'a>, epoch: u32) -> Self {
        let (sent, consumed) = (record.client.get(Position::Sent), record.client.get(Position::Consumed));
        Client { record, epoch, sent, consumed }
    }

    fn requests(&self) -> Slots<'a> {
        self.record.client.slots().unwrap()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.sent.wrapping_sub(self.consumed) < self.requests().geometry().slots()
    }

    pub(crate) fn send(&mut self, operation: u8, payload: &[u8]) -> u32 {
        assert!(self.has_room());
        let position = self.sent;
        assert!(self.requests().write(position, Header { epoch: self.epoch, tag: operation, origin: 0 }, payload));
        self.requests().write_deadline(position, u64::MAX);
        self.requests().commit(position);
        self.sent = position.wrapping_add(1);
        self.record.client.set(Position::Sent, self.sent);
        position
    }

    pub(crate) fn reply(&self, position: u32) -> Result<Option<(Outcome, Vec<u8>)>, Malformed> {
        let mut message = Message::new();
        let ready = self.record.server.slots().unwrap().read(position, u32::MAX, &mut message)?;
        let outcome = || Outcome::from_tag(message.header.tag).ok_or(Malformed::Length);
        Ok(if ready { Some((outcome()?, message.bytes().to_vec())) } else { None })
    }

    /// Consumes the oldest reply.
    pub(crate) fn consume(&mut self) -> Option<(Outcome, Vec<u8>)> {
        let reply = self.reply(self.consumed).expect("a whole reply")?;
        self.consumed = self.consumed.wrapping_add(1);
        self.record.client.set(Position::Consumed, self.consumed);
        Some(reply)
    }
}

/// The server's end of a service, as a component holds it.
#[derive(Clone)]
pub(crate) struct Server<'a> {
    pub(crate) record: ServiceRecord<'a>,
    pub(crate) epoch: u32,
    pub(crate) taken: u32,
    pub(crate) answered: u32,
    /// Requests ahead of `taken` that were in hand at a death.
    replays: u32,
}

/// A request in the server's hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InHand {
    pub(crate) position: u32,
    pub(crate) replay: bool,
    pub(crate) operation: u8,
    pub(crate) payload: Vec<u8>,
}

impl<'a> Server<'a> {
    pub(crate) fn open(record: ServiceRecord<'a>, epoch: u32) -> Self {
        let (taken, answered) = (record.server.get(Position::Taken), record.server.get(Position::Answered));
        let replays = record.server.get(Position::Replayed).wrapping_sub(taken);
        let slots = record.server.slots().unwrap().geometry().slots();
        Server { record, epoch, taken, answered, replays: if replays <= slots { replays } else { 0 } }
    }

    fn replies(&self) -> Slots<'a> {
        self.record.server.slots().unwrap()
    }

    pub(crate) fn take(&mut self) -> Option<InHand> {
        self.try_take().expect("a whole request")
    }

    pub(crate) fn try_take(&mut self) -> Result<Option<InHand>, Malformed> {
        let (record, replies) = (self.record, self.replies());
        while self.replays > 0 && replies.committed(self.taken, self.epoch) {
            let position = self.taken;
            self.replays -= 1;
            self.taken = position.wrapping_add(1);
            record.server.set(Position::Taken, self.taken);
            if self.answered == position {
                self.store_answered(position);
            }
        }
        let (position, mut message) = (self.taken, Message::new());
        match record.client.slots().unwrap().read(position, KERNEL_EPOCH - 1, &mut message) {
            Ok(false) => return Ok(None),
            Err(Malformed::Sequence) => return Err(Malformed::Sequence),
            // A request that is malformed in itself is taken all the same, so that it can be refused.
            Err(_) => message = Message::new(),
            Ok(true) => {}
        }
        let replay = self.replays > 0;
        self.replays = self.replays.saturating_sub(1);
        if !replay {
            for word in [replies.progress(position), replies.mark(position)] {
                word.unwrap().store(0, Ordering::Relaxed);
            }
        }
        self.taken = position.wrapping_add(1);
        record.server.set(Position::Taken, self.taken);
        let (operation, payload) = (message.header.tag, message.bytes().to_vec());
        Ok(Some(InHand { position, replay, operation, payload }))
    }

    pub(crate) fn write(&self, position: u32, outcome: Outcome, payload: &[u8]) {
        assert!(self.replies().write(position, Header { epoch: self.epoch, tag: outcome as u8, origin: 0 }, payload));
    }

    pub(crate) fn commit(&self, position: u32) {
        self.replies().commit(position);
    }

    pub(crate) fn store_answered(&mut self, position: u32) {
        self.answered = position.wrapping_add(1);
        // Behind a request that was opened again, later ones may be answered already.
        while self.answered != self.taken && self.replies().committed(self.answered, self.epoch) {
            self.answered = self.answered.wrapping_add(1);
        }
        self.record.server.set(Position::Answered, self.answered);
    }

    pub(crate) fn answer(&mut self, position: u32, payload: &[u8]) {
        assert_eq!(position, self.answered, "answers go in order");
        self.write(position, Outcome::Answer, payload);
        self.commit(position);
        self.store_answered(position);
    }

    pub(crate) fn progress(&self, position: u32, to: u32) {
        self.replies().progress(position).unwrap().store(to, Ordering::Relaxed);
    }
}

/// The producer's end of a stream, as a component holds it.
#[derive(Clone)]
pub(crate) struct Producer<'a> {
    pub(crate) record: StreamRecord<'a>,
    pub(crate) epoch: u32,
    pub(crate) sent: u32,
}

impl<'a> Producer<'a> {
    pub(crate) fn open(record: StreamRecord<'a>, epoch: u32) -> Self {
        Producer { record, epoch, sent: record.producer.get(Position::Sent) }
    }

    pub(crate) fn has_room(&self) -> bool {
        let slots = self.record.producer.slots().unwrap().geometry().slots();
        self.sent.wrapping_sub(self.record.consumer.get(Position::Consumed)) < slots
    }

    pub(crate) fn publish(&mut self, payload: &[u8]) {
        assert!(self.has_room());
        let items = self.record.producer.slots().unwrap();
        assert!(items.write(self.sent, Header { epoch: self.epoch, tag: 0, origin: 0 }, payload));
        items.commit(self.sent);
        self.sent = self.sent.wrapping_add(1);
        self.record.producer.set(Position::Sent, self.sent);
    }
}

/// The consumer's end of a stream, as a component holds it.
#[derive(Clone)]
pub(crate) struct Consumer<'a> {
    pub(crate) record: StreamRecord<'a>,
    pub(crate) consumed: u32,
}

impl<'a> Consumer<'a> {
    pub(crate) fn open(record: StreamRecord<'a>) -> Self {
        Consumer { record, consumed: record.consumer.get(Position::Consumed) }
    }

    pub(crate) fn item(&mut self) -> Result<Option<Vec<u8>>, Malformed> {
        let mut message = Message::new();
        if !self.record.producer.slots().unwrap().read(self.consumed, u32::MAX, &mut message)? {
            return Ok(None);
        }
        self.consumed = self.consumed.wrapping_add(1);
        self.record.consumer.set(Position::Consumed, self.consumed);
        Ok(Some(message.bytes().to_vec()))
    }
}
