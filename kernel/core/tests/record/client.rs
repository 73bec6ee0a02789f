//! The client's half.

use super::*;

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
