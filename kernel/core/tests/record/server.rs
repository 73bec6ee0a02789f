//! The server's half: what was in hand, by its contract, and what counts as progress.

use super::*;

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
