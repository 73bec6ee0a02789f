//! The record: what sealing makes of what a dead component left behind, rule by rule.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "the names of tests say what they say")]

mod common;

use common::{Client, Consumer, Port, Producer, Server, snapshot};
use koboshi_core::PortId;
use koboshi_core::record::{Contracts, Fate, Half, InHand, Outcome, Position, Seal, Sealed};
use koboshi_core::ring::{Geometry, Header, KERNEL_EPOCH, Malformed, Message};

const ASK: u8 = 0;
const ONCE: u8 = 1;
const SET: u8 = 2;
const CONTRACTS: Contracts = Contracts { at_most_once: 1 << ONCE, idempotent: 1 << SET, routed: false };

fn seal(port: &Port, sealed: &mut Sealed, epoch: u32) -> Seal {
    port.record().seal_server(sealed, CONTRACTS, epoch)
}

fn server_words(port: &Port) -> [u32; 3] {
    [Position::Taken, Position::Answered, Position::Replayed].map(|word| port.record().server.get(word))
}

fn client_words(port: &Port) -> [u32; 2] {
    [Position::Sent, Position::Consumed].map(|word| port.record().client.get(word))
}

// The server's half.

#[test]
fn sealing_a_port_that_was_never_used_changes_nothing() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    assert_eq!(seal(&port, &mut sealed, 1), Seal::default());
    assert_eq!(port.record().seal_client(&mut sealed), Seal::default());
    assert_eq!((server_words(&port), client_words(&port)), ([0; 3], [0; 2]));
}

#[test]
fn a_reply_that_was_committed_counts_though_its_writer_died_before_it_counted_it() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
    client.send(ASK, b"q");
    server.take().unwrap();
    server.write(0, Outcome::Answer, b"a");
    server.commit(0);
    let found = seal(&port, &mut sealed, 1);
    assert_eq!(found, Seal { progressed: true, ..Seal::default() });
    assert_eq!(server_words(&port), [1, 1, 1]);
    assert_eq!(client.consume(), Some((Outcome::Answer, b"a".to_vec())));
}

#[test]
fn a_reply_that_the_client_consumed_before_it_was_counted_is_not_undone() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
    client.send(ASK, b"q");
    server.take().unwrap();
    server.write(0, Outcome::Answer, b"a");
    server.commit(0);
    client.consume().unwrap();
    assert!(!seal(&port, &mut sealed, 1).blamed);
    assert_eq!(server_words(&port), [1, 1, 1]);
    assert_eq!(Server::open(port.record(), 2).take(), None);
}

#[test]
fn a_reply_that_was_written_but_not_committed_is_dropped_and_its_request_offered_again() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
    client.send(ASK, b"q");
    server.take().unwrap();
    server.write(0, Outcome::Answer, b"half");
    let found = seal(&port, &mut sealed, 1);
    let in_hand = Some(InHand { port: PortId::NONE, position: 0, operation: 0, progress: 0, then: Fate::OfferedAgain });
    assert_eq!(found, Seal { offered_again: 1, in_hand, ..Seal::default() });
    assert_eq!(client.reply(0), Ok(None));
    let again = Server::open(port.record(), 2).take().unwrap();
    assert_eq!((again.position, again.replay, &again.payload[..]), (0, true, &b"q"[..]));
}

#[test]
fn a_request_that_was_never_taken_waits_and_is_no_replay() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let mut client = Client::open(port.record(), 1);
    client.send(ASK, b"q");
    assert_eq!(seal(&port, &mut sealed, 1), Seal::default());
    let first = Server::open(port.record(), 2).take().unwrap();
    assert_eq!((first.position, first.replay), (0, false));
}

#[test]
fn progress_survives_a_death() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
    client.send(ASK, b"q");
    server.take().unwrap();
    server.progress(0, 5);
    assert!(seal(&port, &mut sealed, 1).progressed);
    let mut next = Server::open(port.record(), 2);
    next.take().unwrap();
    next.answer(0, b"a");
    let mut reply = Message::new();
    assert_eq!(port.record().server.slots().unwrap().read(0, 2, &mut reply), Ok(true));
    assert_eq!(reply.progress(), 5);
}

#[test]
fn a_new_request_starts_with_no_progress_of_the_one_that_had_its_slot_before() {
    let (port, mut sealed) = (Port::service(1), Sealed::default());
    let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
    client.send(ASK, b"q");
    server.take().unwrap();
    server.progress(0, 5);
    server.answer(0, b"a");
    client.consume().unwrap();
    client.send(ASK, b"r");
    server.take().unwrap();
    let found = seal(&port, &mut sealed, 1);
    assert_eq!((found.offered_again, found.poisoned), (1, 0));
    let replies = port.record().server.slots().unwrap();
    assert_eq!(replies.progress(1).unwrap().load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[test]
fn a_request_that_must_not_be_repeated_ends_as_interrupted() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
    client.send(ONCE, b"q");
    server.take().unwrap();
    let found = seal(&port, &mut sealed, 1);
    assert_eq!((found.interrupted, found.offered_again, found.progressed), (1, 0, false));
    assert_eq!(client.consume(), Some((Outcome::Interrupted, vec![])));
    assert_eq!(Server::open(port.record(), 2).take(), None);
}

#[test]
fn a_request_that_must_not_be_repeated_waits_if_it_was_never_taken() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    Client::open(port.record(), 1).send(ONCE, b"q");
    assert_eq!(seal(&port, &mut sealed, 1).interrupted, 0);
    assert_eq!(Server::open(port.record(), 2).take().unwrap().operation, ONCE);
}

#[test]
fn a_request_in_hand_at_two_deaths_in_a_row_is_poisoned() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let mut client = Client::open(port.record(), 1);
    client.send(ASK, b"q");
    for (epoch, poisoned) in [(1, 0), (2, 1)] {
        Server::open(port.record(), epoch).take().unwrap();
        assert_eq!(seal(&port, &mut sealed, epoch).poisoned, poisoned);
    }
    assert_eq!(client.consume(), Some((Outcome::Poisoned, vec![])));
    assert_eq!(Server::open(port.record(), 3).take(), None);
}

#[test]
fn a_request_is_not_poisoned_at_its_first_death_at_any_position() {
    for first in [0, 0x7FFE, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x1_0000, 0xFFFF_FFFE, u32::MAX] {
        let (port, mut sealed) = (Port::service_at(2, first), Sealed::default());
        Client::open(port.record(), 1).send(ASK, b"q");
        Server::open(port.record(), 1).take().unwrap();
        let found = seal(&port, &mut sealed, 1);
        assert_eq!((found.poisoned, found.offered_again), (0, 1), "{first:#x}");
    }
}

#[test]
fn a_request_that_moves_on_between_deaths_is_not_poisoned() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    Client::open(port.record(), 1).send(ASK, b"q");
    for (epoch, progress) in [(1, 0), (2, 1), (3, 2), (4, 0x1_0002), (5, 0x2_0002)] {
        let mut server = Server::open(port.record(), epoch);
        server.take().unwrap();
        server.progress(0, progress);
        let found = seal(&port, &mut sealed, epoch);
        assert_eq!((found.poisoned, found.offered_again), (0, 1), "{progress:#x}");
    }
}

#[test]
fn two_deaths_with_one_between_that_never_took_the_request_are_not_in_a_row() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    Client::open(port.record(), 1).send(ASK, b"q");
    for (epoch, takes) in [(1, true), (2, false), (3, true)] {
        let mut server = Server::open(port.record(), epoch);
        if takes {
            assert_eq!(server.take().unwrap().replay, epoch > 1);
        }
        assert_eq!(seal(&port, &mut sealed, epoch).poisoned, 0);
    }
}

#[test]
fn sealing_twice_is_one_death() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let mut client = Client::open(port.record(), 1);
    client.send(ASK, b"q");
    client.send(ASK, b"r");
    let mut server = Server::open(port.record(), 1);
    server.take().unwrap();
    server.take().unwrap();
    seal(&port, &mut sealed, 1);
    let (words, first) = (snapshot(&port.far), server_words(&port));
    let again = seal(&port, &mut sealed, 1);
    assert_eq!((again.offered_again, again.poisoned, again.blamed), (0, 0, false));
    assert_eq!((snapshot(&port.far), server_words(&port)), (words, first));
    let mut server = Server::open(port.record(), 2);
    server.take().unwrap();
    server.take().unwrap();
    assert_eq!(seal(&port, &mut sealed, 2).poisoned, 2);
}

#[test]
fn a_router_s_requests_are_never_poisoned() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    Client::open(port.record(), 1).send(ASK, b"q");
    for epoch in 1..5 {
        Server::open(port.record(), epoch).take().unwrap();
        let found = port.record().seal_server(&mut sealed, Contracts { routed: true, ..CONTRACTS }, epoch);
        assert_eq!((found.poisoned, found.offered_again), (0, 1));
    }
}

#[test]
fn an_idempotent_request_is_not_run_again_behind_a_later_one() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
    client.send(SET, b"old");
    client.send(SET, b"new");
    server.take().unwrap();
    server.take().unwrap();
    let found = seal(&port, &mut sealed, 1);
    assert_eq!((found.poisoned, found.offered_again), (1, 1));
    assert_eq!(client.consume(), Some((Outcome::Poisoned, vec![])));
    assert_eq!(Server::open(port.record(), 2).take().unwrap().payload, b"new");
}

#[test]
fn several_requests_in_hand_are_each_treated_by_their_contract_and_keep_their_order() {
    let (port, mut sealed) = (Port::service(8), Sealed::default());
    let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
    for operation in [ASK, ONCE, ASK, ONCE, ASK] {
        client.send(operation, &[]);
    }
    for _ in 0..4 {
        server.take().unwrap();
    }
    server.answer(0, b"a");
    let found = seal(&port, &mut sealed, 1);
    assert_eq!((found.interrupted, found.offered_again, found.poisoned), (2, 1, 0));
    let mut next = Server::open(port.record(), 2);
    let again = next.take().unwrap();
    assert_eq!((again.position, again.replay), (2, true));
    next.answer(2, b"c");
    let last = next.take().unwrap();
    assert_eq!((last.position, last.replay), (4, false));
    next.answer(4, b"e");
    let outcomes: Vec<_> = std::iter::from_fn(|| client.consume()).map(|(outcome, _)| outcome).collect();
    assert_eq!(
        outcomes,
        [Outcome::Answer, Outcome::Interrupted, Outcome::Answer, Outcome::Interrupted, Outcome::Answer]
    );
}

#[test]
fn only_what_the_dead_one_did_itself_counts_as_progress() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let mut client = Client::open(port.record(), 1);
    for epoch in 1..4 {
        client.send(ONCE, b"q");
        Server::open(port.record(), epoch).take().unwrap();
        assert!(!seal(&port, &mut sealed, epoch).progressed, "the kernel answered, nobody else");
        client.consume().unwrap();
    }
}

#[test]
fn progress_is_seen_though_its_reply_s_slot_is_used_again() {
    let (port, mut sealed) = (Port::service(1), Sealed::default());
    let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
    client.send(ASK, b"q");
    server.take().unwrap();
    server.answer(0, b"a");
    client.consume().unwrap();
    client.send(ASK, b"r");
    server.take().unwrap();
    assert!(seal(&port, &mut sealed, 1).progressed);
}

#[test]
fn replies_behind_a_request_that_is_opened_again_are_kept() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
    for at in 0..3 {
        client.send(ASK, &[at]);
        server.take().unwrap();
        server.answer(u32::from(at), &[at]);
    }
    port.record().take_back(0, 1);
    assert_eq!(seal(&port, &mut sealed, 1).offered_again, 1);
    assert_eq!(client.reply(0), Ok(None));
    assert_eq!(client.reply(1), Ok(Some((Outcome::Answer, vec![1]))));
    let mut next = Server::open(port.record(), 2);
    assert_eq!(next.take().unwrap().position, 0);
    next.answer(0, &[10]);
    assert_eq!(next.take(), None, "1 and 2 are answered");
    assert_eq!(server_words(&port)[..2], [3, 3]);
    assert_eq!(client.consume(), Some((Outcome::Answer, vec![10])));
    assert_eq!(client.consume(), Some((Outcome::Answer, vec![1])));
}

#[test]
fn replies_behind_a_request_that_is_opened_again_outlive_a_second_death() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
    for at in 0..3 {
        client.send(ONCE * u8::from(at == 2), &[at]);
        server.take().unwrap();
        server.answer(u32::from(at), &[at]);
    }
    port.record().take_back(0, 1);
    seal(&port, &mut sealed, 1);
    // It dies before it has taken anything.
    let found = seal(&port, &mut sealed, 2);
    assert_eq!((found.interrupted, found.blamed), (0, false));
    assert_eq!(client.reply(2), Ok(Some((Outcome::Answer, vec![2]))));
    let mut next = Server::open(port.record(), 3);
    let again = next.take().unwrap();
    assert_eq!((again.position, again.replay), (0, true));
    next.answer(0, &[10]);
    assert_eq!(next.take(), None);
}

#[test]
fn an_idempotent_request_whose_reply_is_taken_back_is_not_run_again_behind_a_later_one() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
    for (at, operation) in (0..).zip([ASK, SET, SET]) {
        client.send(operation, &[]);
        server.take().unwrap();
        server.answer(at, b"spoilt");
    }
    port.record().take_back(0, 1);
    assert_eq!(seal(&port, &mut sealed, 1).offered_again, 1);
    let mut next = Server::open(port.record(), 2);
    next.take().unwrap();
    next.answer(0, b"good");
    client.consume().unwrap();
    // Request 2 had its effect in the first incarnation; the second one did not even come by.
    port.record().take_back(1, 1);
    let found = seal(&port, &mut sealed, 2);
    assert_eq!((found.poisoned, found.offered_again, found.blamed), (1, 0, false));
    assert_eq!(client.consume(), Some((Outcome::Poisoned, vec![])));
    assert_eq!(client.consume(), Some((Outcome::Answer, b"spoilt".to_vec())));
    assert_eq!(Server::open(port.record(), 3).take(), None);
}

#[test]
fn an_idempotent_request_is_not_run_again_behind_one_that_only_an_earlier_incarnation_took() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
    for (at, operation) in (0..).zip([ASK, SET, SET]) {
        client.send(operation, &[]);
        server.take().unwrap();
        server.answer(at, b"spoilt");
    }
    port.record().take_back(0, 1);
    seal(&port, &mut sealed, 1);
    let mut next = Server::open(port.record(), 2);
    next.take().unwrap();
    next.answer(0, b"good");
    client.consume().unwrap();
    // It dies when it has passed the reply to 1 and not yet the one to 2.
    port.record().server.set(Position::Taken, 2);
    port.record().server.set(Position::Answered, 2);
    port.record().take_back(1, 1);
    let found = seal(&port, &mut sealed, 2);
    assert_eq!((found.poisoned, found.offered_again), (1, 0));
    assert_eq!(client.consume(), Some((Outcome::Poisoned, vec![])));
}

#[test]
fn a_reply_taken_back_though_it_must_not_be_repeated_is_interrupted() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
    client.send(ONCE, b"q");
    server.take().unwrap();
    server.answer(0, b"spoilt");
    port.record().take_back(0, 1);
    assert_eq!(seal(&port, &mut sealed, 1).interrupted, 1);
    assert_eq!(client.consume(), Some((Outcome::Interrupted, vec![])));
}

#[test]
fn a_reply_can_be_taken_back_only_while_its_client_may_still_be_reading_it() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
    for at in 0..2 {
        client.send(ASK, b"q");
        server.take().unwrap();
        server.answer(at, b"a");
    }
    client.consume().unwrap();
    let words = snapshot(&port.far);
    for (position, epoch) in [(0, 1), (5, 1), (u32::MAX, 1), (1, 2), (1, 0)] {
        port.record().take_back(position, epoch);
        assert_eq!(snapshot(&port.far), words, "{position} {epoch}");
    }
    port.record().take_back(1, 1);
    assert_eq!(seal(&port, &mut sealed, 1).offered_again, 1);
}

#[test]
fn the_kernel_s_own_answers_cannot_be_taken_back() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
    client.send(ONCE, b"q");
    server.take().unwrap();
    seal(&port, &mut sealed, 1);
    port.record().take_back(0, KERNEL_EPOCH);
    assert_eq!(client.consume(), Some((Outcome::Interrupted, vec![])));
}

#[test]
fn an_undecodable_reply_in_the_kernel_s_name_can_be_taken_back() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
    client.send(ASK, b"q");
    server.take().unwrap();
    let forged = Header { epoch: KERNEL_EPOCH, tag: Outcome::Answer as u8, origin: 0 };
    assert!(port.record().server.slots().unwrap().write(0, forged, b"spoilt"));
    server.commit(0);
    port.record().take_back(0, KERNEL_EPOCH);
    assert_eq!(seal(&port, &mut sealed, 1).offered_again, 1);
    assert_eq!(client.reply(0), Ok(None));
}

#[test]
fn a_server_that_says_it_took_more_than_was_sent_is_blamed_and_held_to_it() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    Client::open(port.record(), 1).send(ASK, b"q");
    port.record().server.set(Position::Taken, 3);
    let found = seal(&port, &mut sealed, 1);
    assert_eq!((found.blamed, found.offered_again), (true, 1));
    assert_eq!(server_words(&port)[..2], [0, 0]);
}

#[test]
fn a_server_whose_words_went_back_is_blamed_and_its_replies_stay() {
    for word in [Position::Taken, Position::Answered] {
        let (port, mut sealed) = (Port::service(4), Sealed::default());
        let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
        for at in 0..3 {
            client.send(ONCE, b"q");
            server.take().unwrap();
            server.answer(at, b"a");
        }
        client.consume().unwrap();
        port.record().server.set(word, u32::MAX - 7);
        let found = seal(&port, &mut sealed, 1);
        assert_eq!((found.blamed, found.interrupted), (true, 0), "{word:?}");
        assert_eq!(server_words(&port)[..2], [3, 3]);
        assert_eq!(client.consume(), Some((Outcome::Answer, b"a".to_vec())));
    }
}

#[test]
fn what_was_sealed_as_taken_cannot_be_untaken_by_a_later_incarnation() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
    client.send(ONCE, b"q");
    server.take().unwrap();
    seal(&port, &mut sealed, 1);
    // The next one wipes its half.
    for word in &port.far {
        word.store(0, std::sync::atomic::Ordering::Relaxed);
    }
    let found = seal(&port, &mut sealed, 2);
    assert!(found.blamed);
    assert_eq!(Server::open(port.record(), 3).take(), None, "it may have happened");
    assert_eq!(client.consume(), Some((Outcome::Interrupted, vec![])));
}

#[test]
fn a_server_that_changes_what_the_kernel_wrote_is_blamed_and_gains_nothing() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let mut client = Client::open(port.record(), 1);
    port.record().server.set(Position::Replayed, 1);
    assert!(seal(&port, &mut sealed, 1).blamed);
    client.send(ASK, b"q");
    assert!(!Server::open(port.record(), 2).take().unwrap().replay);
}

#[test]
fn a_reply_to_a_request_that_was_never_sent_answers_nothing() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let (mut client, server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
    server.write(0, Outcome::Answer, b"early");
    server.commit(0);
    assert!(seal(&port, &mut sealed, 1).blamed);
    client.send(ASK, b"q");
    assert_eq!(client.reply(0), Ok(None));
    assert_eq!(Server::open(port.record(), 2).take().unwrap().position, 0);
}

#[test]
fn a_server_is_not_blamed_for_a_client_that_skips_ahead() {
    for consumed in [1, 3, 1000, u32::MAX - 3] {
        let (port, mut sealed) = (Port::service(4), Sealed::default());
        let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
        client.send(ASK, b"q");
        client.send(ASK, b"r");
        server.take().unwrap();
        port.record().client.set(Position::Consumed, consumed);
        assert!(!seal(&port, &mut sealed, 1).blamed, "{consumed}");
    }
}

#[test]
fn sealing_across_the_wrap_of_positions_is_like_sealing_anywhere() {
    let first = u32::MAX - 1;
    let (port, mut sealed) = Port::service_with_history(4, first);
    let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 2));
    for operation in [ASK, ASK, ONCE, ASK] {
        client.send(operation, &[]);
        server.take().unwrap();
    }
    server.answer(first, b"a");
    let found = seal(&port, &mut sealed, 2);
    assert_eq!((found.interrupted, found.offered_again, found.blamed), (1, 2, false));
    let mut next = Server::open(port.record(), 3);
    for (position, replay) in [(u32::MAX, true), (1, true)] {
        while let Some(taken) = next.take() {
            if next.answered == taken.position {
                assert_eq!((taken.position, taken.replay), (position, replay));
                next.answer(taken.position, b"b");
                break;
            }
        }
    }
    let outcomes: Vec<_> = std::iter::from_fn(|| client.consume()).map(|(outcome, _)| outcome).collect();
    assert_eq!(outcomes, [Outcome::Answer, Outcome::Answer, Outcome::Interrupted, Outcome::Answer]);
}

// A server that is gone.

#[test]
fn all_that_waits_for_a_server_that_is_gone_is_answered_so_and_what_is_answered_stays() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
    for _ in 0..3 {
        client.send(ASK, b"q");
    }
    for _ in 0..2 {
        server.take().unwrap();
    }
    server.answer(0, b"a");
    seal(&port, &mut sealed, 1);
    port.record().answer_gone(&mut sealed, 1);
    let outcomes: Vec<_> = std::iter::from_fn(|| client.consume()).map(|(outcome, _)| outcome).collect();
    assert_eq!(outcomes, [Outcome::Answer, Outcome::Gone, Outcome::Gone]);
    client.send(ASK, b"later");
    assert_eq!(Server::open(port.record(), 2).take().unwrap().payload, b"later");
}

#[test]
fn a_request_that_was_never_taken_is_gone_with_no_progress_and_one_in_hand_with_its_own() {
    let (port, mut sealed) = (Port::service(2), Sealed::default());
    let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
    for position in 0..2 {
        client.send(ASK, b"q");
        server.take().unwrap();
        server.progress(position, 9);
        server.answer(position, b"a");
        client.consume().unwrap();
    }
    client.send(ASK, b"in hand");
    client.send(ASK, b"never taken");
    server.take().unwrap();
    server.progress(2, 4);
    seal(&port, &mut sealed, 1);
    port.record().answer_gone(&mut sealed, 1);
    for (position, progress) in [(2, 4), (3, 0)] {
        let mut reply = Message::new();
        assert_eq!(port.record().server.slots().unwrap().read(position, 1, &mut reply), Ok(true));
        assert_eq!((reply.header.tag, reply.progress()), (Outcome::Gone as u8, progress));
    }
}

// The client's half.

#[test]
fn requests_of_a_dead_client_stay_for_its_next_incarnation() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let mut client = Client::open(port.record(), 1);
    client.send(ASK, b"q");
    client.send(ASK, b"r");
    assert_eq!(port.record().seal_client(&mut sealed), Seal { progressed: true, ..Seal::default() });
    assert_eq!(client_words(&port), [2, 0]);
    assert_eq!(Server::open(port.record(), 1).take().unwrap().payload, b"q");
}

#[test]
fn a_request_that_was_committed_counts_though_its_client_died_before_it_counted_it() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let requests = port.record().client.slots().unwrap();
    assert!(requests.write(0, Header { epoch: 1, tag: ASK, origin: 0 }, b"q"));
    requests.commit(0);
    assert!(!port.record().seal_client(&mut sealed).blamed);
    assert_eq!(client_words(&port), [1, 0]);
}

#[test]
fn a_client_that_dies_again_without_a_step_made_no_progress() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    Client::open(port.record(), 1).send(ASK, b"q");
    assert!(port.record().seal_client(&mut sealed).progressed);
    assert_eq!(port.record().seal_client(&mut sealed), Seal::default());
}

#[test]
fn a_client_whose_words_are_wild_is_blamed_and_keeps_its_requests() {
    for (word, wild) in [
        (Position::Sent, 5),
        (Position::Sent, 0),
        (Position::Sent, u32::MAX - 2),
        (Position::Consumed, 7),
        (Position::Consumed, u32::MAX - 2),
    ] {
        let (port, mut sealed) = (Port::service(4), Sealed::default());
        let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
        for at in 0..2 {
            client.send(ASK, b"done");
            server.take().unwrap();
            server.answer(at, b"a");
            client.consume().unwrap();
        }
        port.record().seal_client(&mut sealed);
        client.send(ASK, b"q");
        client.send(ASK, b"r");
        port.record().client.set(word, wild);
        assert!(port.record().seal_client(&mut sealed).blamed, "{word:?} {wild}");
        assert_eq!(client_words(&port), [4, 2], "{word:?} {wild}");
        assert_eq!(server.take().unwrap().payload, b"q");
    }
}

#[test]
fn a_client_that_spoilt_all_its_half_begins_anew_where_its_server_stands() {
    let (port, mut sealed) = (Port::service(4), Sealed::default());
    let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
    for at in 0..9 {
        client.send(ASK, b"q");
        server.take().unwrap();
        server.answer(at, b"a");
        client.consume().unwrap();
    }
    for word in &port.near {
        word.store(0xDEAD_BEEF, std::sync::atomic::Ordering::Relaxed);
    }
    assert!(port.record().seal_client(&mut sealed).blamed);
    let mut client = Client::open(port.record(), 2);
    assert_eq!(client.send(ASK, b"anew"), 9);
    assert_eq!(server.take().unwrap().payload, b"anew");
    server.answer(9, b"a");
    assert_eq!(client.consume(), Some((Outcome::Answer, b"a".to_vec())));
}

// Streams.

#[test]
fn an_item_that_was_committed_counts_though_its_producer_died_before_it_counted_it() {
    let (port, mut sealed) = (Port::stream(4), Sealed::default());
    let record = port.stream_record();
    let mut producer = Producer::open(record, 1);
    producer.publish(b"a");
    record.producer.set(Position::Sent, 0);
    assert_eq!(record.seal_producer(&mut sealed), Seal { progressed: true, ..Seal::default() });
    assert_eq!(record.producer.get(Position::Sent), 1);
}

#[test]
fn a_slot_that_was_being_filled_stays() {
    let (port, mut sealed) = (Port::stream(4), Sealed::default());
    let record = port.stream_record();
    record.producer.set(Position::Filling, 1);
    record.producer.slots().unwrap().set_payload_byte(0, 0, 0x5A);
    assert_eq!(record.seal_producer(&mut sealed), Seal::default());
    assert_eq!(record.producer.get(Position::Filling), 1);
    assert_eq!(record.producer.slots().unwrap().payload_byte(0, 0), 0x5A);
}

#[test]
fn a_producer_is_not_moved_or_blamed_by_a_wild_consumer() {
    for wild in [1, 3, 100, u32::MAX] {
        let (port, mut sealed) = (Port::stream(4), Sealed::default());
        let record = port.stream_record();
        let mut producer = Producer::open(record, 1);
        producer.publish(b"a");
        producer.publish(b"b");
        record.consumer.set(Position::Consumed, wild);
        assert!(!record.seal_producer(&mut sealed).blamed, "{wild}");
        assert_eq!(record.producer.get(Position::Sent), 2, "{wild}");
    }
}

#[test]
fn a_wild_producer_is_blamed_and_its_items_stay() {
    for wild in [0, 4, 100, u32::MAX] {
        let (port, mut sealed) = (Port::stream(4), Sealed::default());
        let record = port.stream_record();
        let mut producer = Producer::open(record, 1);
        producer.publish(b"a");
        producer.publish(b"b");
        record.producer.set(Position::Sent, wild);
        assert!(record.seal_producer(&mut sealed).blamed, "{wild}");
        assert_eq!(record.producer.get(Position::Sent), 2, "{wild}");
    }
}

#[test]
fn a_consumer_that_lives_ahead_of_the_producer_s_word_is_not_blamed() {
    let (port, mut sealed) = (Port::stream(4), Sealed::default());
    let record = port.stream_record();
    Producer::open(record, 1).publish(b"a");
    record.producer.set(Position::Sent, 0);
    assert_eq!(Consumer::open(record).item(), Ok(Some(b"a".to_vec())));
    assert_eq!(record.seal_consumer(&mut sealed), Seal { progressed: true, ..Seal::default() });
    assert_eq!(record.consumer.get(Position::Consumed), 1);
}

#[test]
fn a_wild_consumer_is_blamed_and_offered_again_all_that_the_ring_holds() {
    for wild in [7, 0, 1000, u32::MAX] {
        let (port, mut sealed) = (Port::stream(4), Sealed::default());
        let record = port.stream_record();
        let (mut producer, mut consumer) = (Producer::open(record, 1), Consumer::open(record));
        for at in 0..6 {
            producer.publish(&[at]);
            consumer.item().unwrap().unwrap();
        }
        record.consumer.set(Position::Consumed, wild);
        assert!(record.seal_consumer(&mut sealed).blamed, "{wild}");
        assert_eq!(Consumer::open(record).item(), Ok(Some(vec![2])), "{wild}");
    }
}

#[test]
fn a_consumer_never_falls_behind_what_was_sealed() {
    let (port, mut sealed) = (Port::stream(4), Sealed::default());
    let record = port.stream_record();
    let (mut producer, mut consumer) = (Producer::open(record, 1), Consumer::open(record));
    for at in 0..2 {
        producer.publish(&[at]);
        consumer.item().unwrap().unwrap();
    }
    record.seal_consumer(&mut sealed);
    producer.publish(&[2]);
    record.consumer.set(Position::Consumed, 0);
    assert!(record.seal_consumer(&mut sealed).blamed);
    assert_eq!(Consumer::open(record).item(), Ok(Some(vec![2])));
}

#[test]
fn a_consumer_is_not_moved_or_blamed_by_a_wild_producer() {
    let (port, mut sealed) = (Port::stream(4), Sealed::default());
    let record = port.stream_record();
    let (mut producer, mut consumer) = (Producer::open(record, 1), Consumer::open(record));
    producer.publish(b"a");
    consumer.item().unwrap().unwrap();
    for word in &port.near {
        word.store(0xDEAD_BEEF, std::sync::atomic::Ordering::Relaxed);
    }
    assert!(!record.seal_consumer(&mut sealed).blamed);
    assert_eq!(record.consumer.get(Position::Consumed), 1);
    assert_eq!(consumer.item(), Err(Malformed::Sequence));
}

#[test]
fn a_producer_that_spoilt_all_its_half_begins_anew_where_its_consumer_stands() {
    let (port, mut sealed) = (Port::stream(4), Sealed::default());
    let record = port.stream_record();
    let (mut producer, mut consumer) = (Producer::open(record, 1), Consumer::open(record));
    for at in 0..5 {
        producer.publish(&[at]);
        consumer.item().unwrap().unwrap();
    }
    for word in &port.near {
        word.store(0, std::sync::atomic::Ordering::Relaxed);
    }
    assert!(record.seal_producer(&mut sealed).blamed);
    assert_eq!(consumer.item(), Ok(None));
    Producer::open(record, 2).publish(b"anew");
    assert_eq!(consumer.item(), Ok(Some(b"anew".to_vec())));
}

#[test]
fn a_half_of_another_length_than_its_slots_need_is_refused() {
    let geometry = Geometry::new(2, 40).unwrap();
    let words = common::zeroed(Half::words(Some(geometry)));
    assert!(Half::new(&words, Some(geometry)).is_some());
    assert!(Half::new(&words, None).is_none());
    assert!(Half::new(&words[1..], Some(geometry)).is_none());
    assert!(Half::new(&words[..5], None).is_none());
}
