//! Replies that are taken back, and what lies behind them.

use super::*;

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
