//! A peer that writes anything anywhere in its half: what it can do to others, and that all is well after its death.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "the names of tests say what they say")]

mod common;

use common::{Client, Consumer, Port, Producer, Server, cases, snapshot};
use koboshi_core::record::{Contracts, Half, Outcome, Position, Sealed};
use koboshi_core::ring::{Malformed, Message, Ready};
use proptest::prelude::*;

const CONTRACTS: Contracts = Contracts { at_most_once: 0b10, idempotent: 0b100, routed: false };

/// Words for [`Port::spoil`]: some are anything, some are near to what is right.
fn words() -> impl Strategy<Value = Vec<(u16, u32)>> {
    let value = prop_oneof![any::<u32>(), 0u32..16, 3u32..40, (0u32..16).prop_map(|back| u32::MAX - back), Just(0)];
    let some = proptest::collection::vec((any::<u16>(), value), 0..40);
    let all = any::<u32>().prop_map(|value| (0..200u16).map(|at| (at, value)).collect());
    prop_oneof![4 => some, 1 => all]
}

/// A port that was used: `done` requests are through, then `sent` were sent, `taken` taken, `answered` answered.
fn used(port: &Port, done: u32, sent: u32, taken: u32, answered: u32) -> (Client<'_>, Server<'_>) {
    let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
    for _ in 0..done {
        let position = client.send(0, b"done");
        server.take().unwrap();
        server.answer(position, b"done");
        client.consume().unwrap();
    }
    for at in 0..sent.min(port.geometry.slots()) {
        client.send((at % 3) as u8, b"before");
    }
    for _ in 0..taken {
        server.take();
    }
    for _ in 0..answered.min(server.taken.wrapping_sub(server.answered)) {
        server.answer(server.answered, b"before");
    }
    (client, server)
}

/// Answers all that is in hand and all that waits. A request that is out of turn is the end.
fn serve(server: &mut Server<'_>) -> Result<(), Malformed> {
    loop {
        while server.answered != server.taken {
            server.answer(server.answered, b"before");
        }
        match server.try_take()? {
            None => return Ok(()),
            Some(taken) if taken.position == server.answered => server.answer(taken.position, &taken.payload),
            Some(_) => {}
        }
    }
}

/// Answers all, and reports the client if a request is out of turn: its next incarnation then begins anew.
fn serve_and_report<'a>(port: &'a Port, sealed: &mut Sealed, client: &mut Client<'a>, server: &mut Server<'a>) {
    if serve(server).is_err() {
        port.record().refuse_request(server.taken);
        assert!(port.record().seal_client(sealed).blamed);
        *client = Client::open(port.record(), client.epoch + 1);
        serve(server).expect("reported once, it is in turn");
    }
}

/// Reads every reply that is there, and reports those that are spoilt, as a client does.
fn collect<'a>(port: &'a Port, sealed: &mut Sealed, client: &mut Client<'a>, server: &mut Server<'a>) {
    serve_and_report(port, sealed, client, server);
    for _ in 0..8 * port.geometry.slots() {
        let mut reply = Message::new();
        let replies = port.record().server.slots().unwrap();
        let position = client.consumed;
        let read = replies.read(position, u32::MAX - 1, &mut reply);
        let good = read.is_ok() && Outcome::from_tag(reply.header.tag).is_some();
        match read {
            Ok(false) if serve(server) == Ok(()) && client.reply(position) == Ok(None) => return,
            Ok(false) => {}
            Ok(true) if good => {
                client.consumed = position.wrapping_add(1);
                port.record().client.set(Position::Consumed, client.consumed);
            }
            _ => {
                port.record().take_back(position, replies.epoch(position));
                port.record().seal_server(sealed, CONTRACTS, server.epoch);
                *server = Server::open(port.record(), server.epoch + 1);
            }
        }
    }
    panic!("the port does not come to rest");
}

/// Everything that is outstanding is answered, and the port then works as if nothing had happened.
fn assert_well<'a>(port: &'a Port, sealed: &mut Sealed, mut client: Client<'a>, mut server: Server<'a>) {
    collect(port, sealed, &mut client, &mut server);
    assert_eq!(client.sent, client.consumed, "nothing waits for ever");
    for at in 0..3 * port.geometry.slots() {
        let position = client.send(0, &at.to_le_bytes());
        serve(&mut server).unwrap();
        assert_eq!(client.reply(position), Ok(Some((Outcome::Answer, at.to_le_bytes().to_vec()))));
        client.consume().unwrap();
    }
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn a_wild_client_cannot_move_its_server_and_all_is_well_after_its_death(
        words in words(), size in 2u32..5, done in 0u32..12, sent in 0u32..9, taken in 0u32..9, answered in 0u32..9,
    ) {
        let (port, mut sealed) = (Port::service(1 << size), Sealed::default());
        let (_, mut server) = used(&port, done, sent, taken, answered);
        let half = snapshot(&port.far);
        Port::spoil(&port.near, &words);
        prop_assume!(!lies_well(port.near_half(), server.taken));
        port.record().seal_client(&mut sealed);
        prop_assert_eq!(snapshot(&port.far), half, "sealing a client writes nothing of its server's");
        let before = server.taken;
        let _ = server.try_take();
        prop_assert!(server.taken.wrapping_sub(before) <= 1);
        let client = Client::open(port.record(), 2);
        prop_assert!(client.sent.wrapping_sub(client.consumed) <= port.geometry.slots());
        assert_well(&port, &mut sealed, client, server);
    }

    #[test]
    fn a_wild_server_cannot_move_its_client_and_all_is_well_after_its_death(
        words in words(), size in 2u32..5, done in 0u32..12, sent in 0u32..9, taken in 0u32..9, answered in 0u32..9,
    ) {
        let (port, mut sealed) = (Port::service(1 << size), Sealed::default());
        let (client, server) = used(&port, done, sent, taken, answered);
        let half = snapshot(&port.near);
        Port::spoil(&port.far, &words);
        let _ = client.reply(client.consumed);
        port.record().seal_server(&mut sealed, CONTRACTS, server.epoch);
        prop_assert_eq!(snapshot(&port.near), half, "sealing a server writes nothing of its client's");
        let server = Server::open(port.record(), 2);
        prop_assert_eq!(server.taken, server.answered);
        prop_assert!(server.taken.wrapping_sub(client.consumed) <= client.sent.wrapping_sub(client.consumed));
        assert_well(&port, &mut sealed, client, server);
    }

    #[test]
    fn an_innocent_server_is_not_blamed_for_a_wild_client_that_lives(
        words in words(), size in 2u32..5, done in 0u32..12, sent in 0u32..9, taken in 0u32..9, answered in 0u32..9,
    ) {
        let (port, mut sealed) = (Port::service(1 << size), Sealed::default());
        let (_, server) = used(&port, done, sent, taken, answered);
        Port::spoil(&port.near, &words);
        prop_assume!(!lies_well(port.near_half(), server.taken));
        let found = port.record().seal_server(&mut sealed, CONTRACTS, server.epoch);
        prop_assert!(!found.blamed || port.record().client.get(Position::Consumed).wrapping_sub(server.answered) > u32::MAX / 2);
        port.record().seal_client(&mut sealed);
        let (client, server) = (Client::open(port.record(), 2), Server::open(port.record(), 2));
        assert_well(&port, &mut sealed, client, server);
    }

    #[test]
    fn a_wild_server_that_lives_does_not_lose_its_dead_client_s_requests(
        words in words(), size in 2u32..5, done in 0u32..12, sent in 0u32..9, taken in 0u32..9,
    ) {
        let (port, mut sealed) = (Port::service(1 << size), Sealed::default());
        let (client, server) = used(&port, done, sent, taken, 0);
        Port::spoil(&port.far, &words[..words.len().min(3)]);
        let spoilt = port.record().server.slots().unwrap();
        let shows = |position: u32| spoilt.ready(position) == Ready::Yes;
        let found = port.record().seal_client(&mut sealed);
        let next = Client::open(port.record(), 2);
        if client.sent > 0 && (client.consumed == 0 || shows(client.consumed - 1)) {
            prop_assert!(!found.blamed);
            prop_assert_eq!((next.sent, next.consumed), (client.sent, client.consumed));
        }
        port.record().seal_server(&mut sealed, CONTRACTS, server.epoch);
        let server = Server::open(port.record(), 2);
        assert_well(&port, &mut sealed, next, server);
    }

    #[test]
    fn a_wild_producer_cannot_move_its_consumer_and_all_is_well_after_its_death(
        words in words(), size in 2u32..5, done in 0u32..12, sent in 0u32..9,
    ) {
        let (port, mut sealed) = (Port::stream(1 << size), Sealed::default());
        let record = port.stream_record();
        let (mut producer, mut consumer) = (Producer::open(record, 1), Consumer::open(record));
        for _ in 0..done {
            producer.publish(b"done");
            consumer.item().unwrap().unwrap();
        }
        for _ in 0..sent.min(port.geometry.slots()) {
            producer.publish(b"before");
        }
        Port::spoil(&port.near, &words);
        prop_assume!(!lies_well(record.producer, consumer.consumed));
        record.seal_producer(&mut sealed);
        if drain(&mut consumer).is_err() {
            record.refuse_item(consumer.consumed);
            record.seal_producer(&mut sealed);
            drain(&mut consumer)?;
        }
        let mut producer = Producer::open(record, 2);
        for at in 0..3 * port.geometry.slots() {
            producer.publish(&at.to_le_bytes());
            prop_assert_eq!(consumer.item(), Ok(Some(at.to_le_bytes().to_vec())));
        }
    }

    #[test]
    fn a_wild_consumer_cannot_move_its_producer_and_all_is_well_after_its_death(
        words in words(), size in 2u32..5, done in 0u32..12, sent in 0u32..9,
    ) {
        let (port, mut sealed) = (Port::stream(1 << size), Sealed::default());
        let record = port.stream_record();
        let (mut producer, mut consumer) = (Producer::open(record, 1), Consumer::open(record));
        for _ in 0..done {
            producer.publish(b"done");
            consumer.item().unwrap().unwrap();
        }
        for _ in 0..sent.min(port.geometry.slots()) {
            producer.publish(b"before");
        }
        let half = snapshot(&port.near);
        Port::spoil(&port.far, &words);
        let _ = producer.has_room();
        if producer.sent > 0 {
            prop_assert!(!record.seal_producer(&mut sealed).blamed);
        }
        record.seal_consumer(&mut sealed);
        prop_assert_eq!(snapshot(&port.near), half);
        let mut consumer = Consumer::open(record);
        drain(&mut consumer)?;
        prop_assert_eq!(consumer.consumed, producer.sent);
        for at in 0..3 * port.geometry.slots() {
            producer.publish(&at.to_le_bytes());
            prop_assert_eq!(consumer.item(), Ok(Some(at.to_le_bytes().to_vec())));
        }
    }

    #[test]
    fn whatever_both_halves_hold_sealing_ends_and_leaves_positions_that_fit_the_ring(
        near in words(), far in words(), size in 2u32..5, seals in proptest::collection::vec((0u8..6, any::<u32>()), 1..8),
    ) {
        let (port, mut sealed) = (Port::service(1 << size), Sealed::default());
        let stream = Port::stream(1 << size);
        let mut sealed_stream = Sealed::default();
        for (seal, word) in seals {
            for half in [&port.near, &stream.near] {
                Port::spoil(half, &near);
            }
            for half in [&port.far, &stream.far] {
                Port::spoil(half, &far);
            }
            let record = port.record();
            match seal {
                0 => {
                    record.seal_client(&mut sealed);
                    let [sent, consumed] = [Position::Sent, Position::Consumed].map(|at| record.client.get(at));
                    prop_assert!(sent.wrapping_sub(consumed) <= port.geometry.slots());
                }
                1 => {
                    record.seal_server(&mut sealed, CONTRACTS, word);
                    prop_assert_eq!(record.server.get(Position::Taken), record.server.get(Position::Answered));
                }
                2 => record.answer_gone(&mut sealed, word),
                3 => {
                    record.take_back(word, word);
                }
                4 => {
                    stream.stream_record().seal_producer(&mut sealed_stream);
                }
                _ => {
                    stream.stream_record().seal_consumer(&mut sealed_stream);
                }
            }
        }
    }
}

/// Whether a half was spoilt so that its words and all its slots tell one story, and yet another one than its peer's.
///
/// Only in the smallest rings does that happen by chance. Nobody could tell which of the two is wrong.
fn lies_well(half: Half<'_>, peer: u32) -> bool {
    let slots = half.slots().unwrap();
    let size = slots.geometry().slots();
    let tells = |sent: u32| (0..size).all(|at| slots.ready(sent.wrapping_add(at)) == Ready::NotYet);
    let word = half.get(Position::Sent);
    [word, word.wrapping_add(1)].into_iter().any(|sent| tells(sent) && sent.wrapping_sub(peer) > size)
}

/// Takes all items; one that is malformed in itself is passed over.
fn drain(consumer: &mut Consumer<'_>) -> Result<(), TestCaseError> {
    for _ in 0..64 {
        match consumer.item() {
            Ok(None) => return Ok(()),
            Ok(Some(_)) => {}
            Err(Malformed::Sequence) => return Err(TestCaseError::fail("the consumer stands where nothing comes")),
            Err(_) => {
                consumer.consumed = consumer.consumed.wrapping_add(1);
                consumer.record.consumer.set(Position::Consumed, consumer.consumed);
            }
        }
    }
    Err(TestCaseError::fail("more items than the ring has slots"))
}
