//! Ports in plain memory, and ends of them that keep the order of stores that components keep.
#![allow(dead_code, reason = "each test file uses a part of it")]

use koboshi_core::record::{Half, Outcome, Position, ServiceRecord, StreamRecord};
use koboshi_core::ring::{Geometry, Header, LINE_WORDS, Malformed, Message, Slots};
use koboshi_core::sync::{AtomicU32, Ordering};

/// How often a property is tried. Miri runs about a thousand times slower.
pub fn cases(many: u32) -> proptest::test_runner::Config {
    proptest::test_runner::Config {
        cases: if cfg!(miri) { 2 } else { many },
        failure_persistence: None,
        ..Default::default()
    }
}

/// Words that are 0.
pub fn zeroed(words: usize) -> Vec<AtomicU32> {
    (0..words).map(|_| AtomicU32::new(0)).collect()
}

/// All words of a memory, for a comparison.
pub fn snapshot(words: &[AtomicU32]) -> Vec<u32> {
    words.iter().map(|word| word.load(Ordering::Relaxed)).collect()
}

/// Slots that look as after one turn that ended at `first`.
pub fn turn_to(slots: Slots<'_>, first: u32) {
    for position in 0..slots.geometry().slots() {
        slots.clear(first.wrapping_add(position));
    }
}

/// The two halves of a port.
pub struct Port {
    pub near: Vec<AtomicU32>,
    pub far: Vec<AtomicU32>,
    pub geometry: Geometry,
    far_slots: Option<Geometry>,
}

impl Port {
    pub fn service(slots: u32) -> Self {
        let geometry = Geometry::new(slots, 40).unwrap();
        let words = Half::words(Some(geometry));
        Port { near: zeroed(words), far: zeroed(words), geometry, far_slots: Some(geometry) }
    }

    pub fn stream(slots: u32) -> Self {
        let geometry = Geometry::new(slots, 40).unwrap();
        let (near, far) = (Half::words(Some(geometry)), Half::words(None));
        Port { near: zeroed(near), far: zeroed(far), geometry, far_slots: None }
    }

    /// A service that has come to position `first`, with nothing outstanding.
    pub fn service_at(slots: u32, first: u32) -> Self {
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

    pub fn near_half(&self) -> Half<'_> {
        Half::new(&self.near, Some(self.geometry)).unwrap()
    }

    pub fn far_half(&self) -> Half<'_> {
        Half::new(&self.far, self.far_slots).unwrap()
    }

    pub fn record(&self) -> ServiceRecord<'_> {
        ServiceRecord { client: self.near_half(), server: self.far_half() }
    }

    pub fn stream_record(&self) -> StreamRecord<'_> {
        StreamRecord { producer: self.near_half(), consumer: self.far_half() }
    }

    /// Throws `words` over a half: positions first, then slots.
    pub fn spoil(half: &[AtomicU32], words: &[(u16, u32)]) {
        for (at, value) in words {
            let at = if *at % 2 == 0 { usize::from(*at / 2) % LINE_WORDS } else { usize::from(*at / 2) % half.len() };
            half[at].store(*value, Ordering::Relaxed);
        }
    }
}

/// The client's end of a service, as a component holds it.
#[derive(Clone)]
pub struct Client<'a> {
    pub record: ServiceRecord<'a>,
    pub epoch: u32,
    pub sent: u32,
    pub consumed: u32,
}

impl<'a> Client<'a> {
    pub fn open(record: ServiceRecord<'a>, epoch: u32) -> Self {
        let (sent, consumed) = (record.client.get(Position::Sent), record.client.get(Position::Consumed));
        Client { record, epoch, sent, consumed }
    }

    fn requests(&self) -> Slots<'a> {
        self.record.client.slots().unwrap()
    }

    pub fn has_room(&self) -> bool {
        self.sent.wrapping_sub(self.consumed) < self.requests().geometry().slots()
    }

    pub fn send(&mut self, operation: u8, payload: &[u8]) -> u32 {
        assert!(self.has_room());
        let position = self.sent;
        assert!(self.requests().write(position, Header { epoch: self.epoch, tag: operation, origin: 0 }, payload));
        self.requests().write_deadline(position, u64::MAX);
        self.requests().commit(position);
        self.sent = position.wrapping_add(1);
        self.record.client.set(Position::Sent, self.sent);
        position
    }

    pub fn reply(&self, position: u32) -> Result<Option<(Outcome, Vec<u8>)>, Malformed> {
        let mut message = Message::new();
        let ready = self.record.server.slots().unwrap().read(position, u32::MAX, &mut message)?;
        let outcome = || Outcome::from_tag(message.header.tag).ok_or(Malformed::Length);
        Ok(if ready { Some((outcome()?, message.bytes().to_vec())) } else { None })
    }

    /// Consumes the oldest reply.
    pub fn consume(&mut self) -> Option<(Outcome, Vec<u8>)> {
        let reply = self.reply(self.consumed).expect("a whole reply")?;
        self.consumed = self.consumed.wrapping_add(1);
        self.record.client.set(Position::Consumed, self.consumed);
        Some(reply)
    }
}

/// The server's end of a service, as a component holds it.
#[derive(Clone)]
pub struct Server<'a> {
    pub record: ServiceRecord<'a>,
    pub epoch: u32,
    pub taken: u32,
    pub answered: u32,
}

/// A request in the server's hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InHand {
    pub position: u32,
    pub replay: bool,
    pub operation: u8,
    pub payload: Vec<u8>,
}

impl<'a> Server<'a> {
    pub fn open(record: ServiceRecord<'a>, epoch: u32) -> Self {
        let (taken, answered) = (record.server.get(Position::Taken), record.server.get(Position::Answered));
        Server { record, epoch, taken, answered }
    }

    fn replies(&self) -> Slots<'a> {
        self.record.server.slots().unwrap()
    }

    fn replayed(&self, position: u32) -> bool {
        self.record.server.get(Position::Replayed).wrapping_sub(position).wrapping_sub(1) < u32::MAX / 2
    }

    pub fn take(&mut self) -> Option<InHand> {
        self.try_take().expect("a whole request")
    }

    pub fn try_take(&mut self) -> Result<Option<InHand>, Malformed> {
        let (record, replies) = (self.record, self.replies());
        while self.taken == self.answered && self.replayed(self.taken) && replies.committed(self.taken, self.epoch) {
            self.taken = self.taken.wrapping_add(1);
            self.answered = self.taken;
            record.server.set(Position::Taken, self.taken);
            record.server.set(Position::Answered, self.answered);
        }
        let (position, mut message) = (self.taken, Message::new());
        if !record.client.slots().unwrap().read(position, u32::MAX, &mut message)? {
            return Ok(None);
        }
        let replay = self.replayed(position);
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

    pub fn write(&self, position: u32, outcome: Outcome, payload: &[u8]) {
        assert!(self.replies().write(position, Header { epoch: self.epoch, tag: outcome as u8, origin: 0 }, payload));
    }

    pub fn commit(&self, position: u32) {
        self.replies().commit(position);
    }

    pub fn store_answered(&mut self, position: u32) {
        self.answered = position.wrapping_add(1);
        self.record.server.set(Position::Answered, self.answered);
    }

    pub fn answer(&mut self, position: u32, payload: &[u8]) {
        assert_eq!(position, self.answered, "answers go in order");
        self.write(position, Outcome::Answer, payload);
        self.commit(position);
        self.store_answered(position);
    }

    pub fn progress(&self, position: u32, to: u32) {
        self.replies().progress(position).unwrap().store(to, Ordering::Relaxed);
    }
}

/// The producer's end of a stream, as a component holds it.
#[derive(Clone)]
pub struct Producer<'a> {
    pub record: StreamRecord<'a>,
    pub epoch: u32,
    pub sent: u32,
}

impl<'a> Producer<'a> {
    pub fn open(record: StreamRecord<'a>, epoch: u32) -> Self {
        Producer { record, epoch, sent: record.producer.get(Position::Sent) }
    }

    pub fn has_room(&self) -> bool {
        let slots = self.record.producer.slots().unwrap().geometry().slots();
        self.sent.wrapping_sub(self.record.consumer.get(Position::Consumed)) < slots
    }

    pub fn publish(&mut self, payload: &[u8]) {
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
pub struct Consumer<'a> {
    pub record: StreamRecord<'a>,
    pub consumed: u32,
}

impl<'a> Consumer<'a> {
    pub fn open(record: StreamRecord<'a>) -> Self {
        Consumer { record, consumed: record.consumer.get(Position::Consumed) }
    }

    pub fn item(&mut self) -> Result<Option<Vec<u8>>, Malformed> {
        let mut message = Message::new();
        if !self.record.producer.slots().unwrap().read(self.consumed, u32::MAX, &mut message)? {
            return Ok(None);
        }
        self.consumed = self.consumed.wrapping_add(1);
        self.record.consumer.set(Position::Consumed, self.consumed);
        Ok(Some(message.bytes().to_vec()))
    }
}
