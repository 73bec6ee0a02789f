//! Honest components that die between any two stores, any number of times: what their clients must see all the same.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "the names of tests say what they say")]

mod common;

use std::collections::HashMap;

use common::{Client, Consumer, InHand, Port, Producer, Server, cases};
use koboshi_core::record::{Contracts, Outcome, Position, Seal, Sealed};
use koboshi_core::ring::{Header, Message};
use proptest::prelude::*;

// 0 asks only.
const ONCE: u8 = 1;
const SET: u8 = 2;
const RESUME: u8 = 3;
const CONTRACTS: Contracts = Contracts { at_most_once: 1 << ONCE, idempotent: 1 << SET, routed: false };

/// Steps of a request that can be resumed.
const STEPS: u32 = 3;

#[derive(Clone, Copy, Debug)]
enum Act {
    Send(u8),
    /// The client dies after so many of the three stores of a send.
    SendAndDie(u8, u8),
    Consume,
    ConsumeAndDie,
    Take,
    /// The oldest request in hand goes one step on.
    Step,
    Answer,
    /// The server dies after so many of the three stores of an answer.
    AnswerAndDie(u8),
    ServerDies,
    /// The client finds the reply that lies so far ahead spoilt.
    Blame(u8),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0u8..4).prop_map(Act::Send),
        1 => (0u8..4, 0u8..4).prop_map(|(operation, stores)| Act::SendAndDie(operation, stores)),
        4 => Just(Act::Consume),
        1 => Just(Act::ConsumeAndDie),
        6 => Just(Act::Take),
        4 => Just(Act::Step),
        6 => Just(Act::Answer),
        1 => (0u8..4).prop_map(Act::AnswerAndDie),
        2 => Just(Act::ServerDies),
        1 => (0u8..4).prop_map(Act::Blame),
    ];
    proptest::collection::vec(act, 0..120)
}

/// One request, as an observer outside sees it.
#[derive(Debug, Default)]
struct Seen {
    operation: u8,
    /// How often a server began with it.
    begun: u32,
    /// Deaths at which it was in hand.
    deaths: u32,
    /// The steps that were done for it.
    steps: Vec<u32>,
    outcome: Option<Outcome>,
}

struct World<'a> {
    port: &'a Port,
    sealed: Sealed,
    client: Client<'a>,
    server: Server<'a>,
    in_hand: Vec<InHand>,
    sent: Vec<u32>,
    consumed: usize,
    seen: HashMap<u32, Seen>,
}

fn id_of(payload: &[u8]) -> u32 {
    u32::from_le_bytes(payload.try_into().unwrap())
}

impl<'a> World<'a> {
    fn new(port: &'a Port, sealed: Sealed) -> Self {
        let (client, server) = (Client::open(port.record(), 2), Server::open(port.record(), 2));
        World { port, sealed, client, server, in_hand: vec![], sent: vec![], consumed: 0, seen: HashMap::new() }
    }

    fn send(&mut self, operation: u8, stores: u8) {
        if !self.client.has_room() {
            return;
        }
        let id = self.seen.len() as u32;
        self.seen.insert(id, Seen { operation, ..Seen::default() });
        if stores == 3 {
            self.client.send(operation, &id.to_le_bytes());
        } else if stores > 0 {
            let requests = self.port.record().client.slots().unwrap();
            let header = Header { epoch: self.client.epoch, tag: operation, origin: 0 };
            assert!(requests.write(self.client.sent, header, &id.to_le_bytes()));
            if stores == 2 {
                requests.commit(self.client.sent);
            }
        }
        if stores >= 2 {
            self.sent.push(id);
        }
    }

    fn client_dies(&mut self) {
        let found = self.port.record().seal_client(&mut self.sealed);
        assert!(!found.blamed);
        self.client = Client::open(self.port.record(), self.client.epoch + 1);
    }

    fn see(&mut self) -> bool {
        let Some((outcome, payload)) = self.client.reply(self.client.consumed).expect("a whole reply") else {
            return false;
        };
        let id = self.sent[self.consumed];
        let seen = self.seen.get_mut(&id).unwrap();
        assert!(seen.outcome.is_none_or(|before| before == outcome), "an answer does not change once it was seen");
        seen.outcome = Some(outcome);
        match outcome {
            Outcome::Answer => {
                assert_eq!(id_of(&payload), id, "reply n answers request n");
                assert!(seen.begun > 0);
                if seen.operation == RESUME {
                    assert_eq!(seen.steps, (0..STEPS).collect::<Vec<_>>(), "each step once, in order");
                }
            }
            Outcome::Interrupted => assert_eq!((seen.operation, seen.deaths), (ONCE, 1)),
            Outcome::Poisoned => assert!(seen.deaths >= 2 || seen.operation == SET && seen.deaths == 1),
            other => panic!("{other:?} without a cause"),
        }
        true
    }

    fn consume(&mut self) {
        if self.see() {
            self.client.consume();
            self.consumed += 1;
        }
    }

    fn take(&mut self) {
        let Some(taken) = self.server.take() else { return };
        let id = id_of(&taken.payload);
        let seen = self.seen.get_mut(&id).unwrap();
        seen.begun += 1;
        assert_eq!(taken.operation, seen.operation);
        assert_eq!(taken.replay, seen.begun > 1, "a replay, and nothing else, is marked as one");
        assert!(seen.operation != ONCE || seen.begun == 1, "never repeated");
        assert!(seen.outcome.is_none(), "what was answered is not begun again");
        self.in_hand.push(taken);
    }

    fn progress(&self, position: u32) -> u32 {
        let replies = self.port.record().server.slots().unwrap();
        replies.progress(position).unwrap().load(std::sync::atomic::Ordering::Relaxed)
    }

    fn step(&mut self) -> bool {
        let Some(first) = self.in_hand.iter().find(|request| request.operation == RESUME) else { return false };
        let done = self.progress(first.position);
        if done < STEPS {
            self.seen.get_mut(&id_of(&first.payload)).unwrap().steps.push(done);
            self.server.progress(first.position, done + 1);
        }
        done < STEPS
    }

    fn answer(&mut self, stores: u8) {
        let Some(first) = self.in_hand.first().cloned() else { return };
        while first.operation == RESUME && self.progress(first.position) < STEPS {
            self.step();
        }
        if stores > 0 {
            self.server.write(first.position, Outcome::Answer, &first.payload);
        }
        if stores > 1 {
            self.server.commit(first.position);
            self.in_hand.remove(0);
        }
        if stores > 2 {
            self.server.store_answered(first.position);
        }
    }

    fn server_dies(&mut self) {
        for request in self.in_hand.drain(..) {
            self.seen.get_mut(&id_of(&request.payload)).unwrap().deaths += 1;
        }
        let found = self.port.record().seal_server(&mut self.sealed, CONTRACTS, self.server.epoch);
        assert!(!found.blamed);
        self.server = Server::open(self.port.record(), self.server.epoch + 1);
    }

    fn blame(&mut self, ahead: u32) {
        let position = self.client.consumed.wrapping_add(ahead % self.port.geometry.slots());
        let mut reply = Message::new();
        let replies = self.port.record().server.slots().unwrap();
        let Some(id) = self.sent.get(self.consumed + (ahead % self.port.geometry.slots()) as usize) else { return };
        if replies.read(position, u32::MAX, &mut reply) == Ok(true) && reply.header.tag == Outcome::Answer as u8 {
            let seen = self.seen.get_mut(id).unwrap();
            if seen.outcome.is_none() {
                self.port.record().take_back(position, reply.header.epoch);
                seen.deaths += 1;
                self.server_dies();
            }
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Send(operation) => self.send(operation, 3),
            Act::SendAndDie(operation, stores) => {
                self.send(operation, stores);
                self.client_dies();
            }
            Act::Consume => self.consume(),
            Act::ConsumeAndDie => {
                self.see();
                self.client_dies();
            }
            Act::Take => self.take(),
            Act::Step => {
                self.step();
            }
            Act::Answer => self.answer(3),
            Act::AnswerAndDie(stores) => {
                self.answer(stores);
                self.server_dies();
            }
            Act::ServerDies => self.server_dies(),
            Act::Blame(ahead) => self.blame(u32::from(ahead)),
        }
    }

    /// Nobody dies any more: everything is answered.
    fn settle(&mut self) {
        for _ in 0..4 * self.port.geometry.slots() + 4 {
            self.take();
            self.answer(3);
            self.consume();
        }
        assert_eq!(self.consumed, self.sent.len(), "nothing is lost, and nothing waits for ever");
    }
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn whoever_dies_whenever_each_request_ends_once_in_order_and_as_its_contract_says(
        acts in acts(),
        slots in 0u32..4,
        first in prop_oneof![Just(0u32), u32::MAX - 40..=u32::MAX, 0xFFF0u32..0x1_0000],
    ) {
        let (port, sealed) = Port::service_with_history(1 << slots, first);
        let mut world = World::new(&port, sealed);
        for act in acts {
            world.act(act);
        }
        world.settle();
    }

    #[test]
    fn whoever_dies_whenever_each_item_of_a_stream_comes_once_and_in_order(
        acts in proptest::collection::vec(0u8..9, 0..120),
        slots in 0u32..4,
    ) {
        let (port, mut sealed) = (Port::stream(1 << slots), Sealed::default());
        let record = port.stream_record();
        let (mut producer, mut consumer) = (Producer::open(record, 1), Consumer::open(record));
        let (mut published, mut came) = (0u32, 0u32);
        let honest = |found: Seal| assert!(!found.blamed);
        for act in acts {
            match act {
                0..=2 if producer.has_room() => {
                    producer.publish(&published.to_le_bytes());
                    published += 1;
                }
                3 | 4 if producer.has_room() => {
                    let items = record.producer.slots().unwrap();
                    let header = Header { epoch: 1, tag: 0, origin: 0 };
                    prop_assert!(items.write(producer.sent, header, &published.to_le_bytes()), "it fits");
                    if act == 4 {
                        items.commit(producer.sent);
                        published += 1;
                    }
                    honest(record.seal_producer(&mut sealed));
                    producer = Producer::open(record, 1);
                }
                5..=7 => {
                    if let Some(item) = consumer.item().expect("a whole item") {
                        prop_assert_eq!(id_of(&item), came);
                        came += 1;
                    }
                }
                _ => {
                    honest(record.seal_consumer(&mut sealed));
                    honest(record.seal_producer(&mut sealed));
                    consumer = Consumer::open(record);
                    producer = Producer::open(record, 1);
                }
            }
            prop_assert_eq!(record.producer.get(Position::Sent), published);
        }
        while let Some(item) = consumer.item().expect("a whole item") {
            prop_assert_eq!(id_of(&item), came);
            came += 1;
        }
        prop_assert_eq!(came, published);
    }
}
