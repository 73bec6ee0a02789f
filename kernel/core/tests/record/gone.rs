//! A server that is gone.

use super::*;

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
