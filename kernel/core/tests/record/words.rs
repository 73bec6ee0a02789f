//! Words that a server has made wild.

use super::*;

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
