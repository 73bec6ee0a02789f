//! What becomes of requests to a server that was stopped or given up: refused at once, or kept until it is started again.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "the names of tests say what they say")]

mod common;

use common::house::{BYSTANDER, CLIENT, Fit, MANAGER, SERVER, rest, running_as};
use common::{Client, Server};
use koboshi_core::kernel::{Command, Kernel};
use koboshi_core::life::{Begin, Fault, State};
use koboshi_core::record::{Outcome, Position};

/// The operation that must never be repeated.
const ONCE: u8 = 1;

const ENDS: [Command; 2] = [Command::Stop, Command::GiveUp];

/// Everybody runs; the client's requests wait for the server, the bystander's do not.
fn waiting(test: impl FnOnce(&mut Kernel<'_>, &common::Port, &common::Port)) {
    running_as(Fit { waits: true, ..Fit::default() }, test);
}

fn end(kernel: &mut Kernel<'_>, how: Command) {
    kernel.command(SERVER, how, 1).unwrap();
}

fn start_again(kernel: &mut Kernel<'_>) {
    assert!(kernel.command(SERVER, Command::Start, 9).is_ok());
    assert_eq!(kernel.begin(SERVER), Some(Begin::Fresh));
}

#[test]
fn what_was_asked_before_and_after_the_end_is_served_by_the_next_life() {
    for how in ENDS {
        waiting(|kernel, port, _| {
            let mut client = Client::open(port.record(), 1);
            client.send(0, b"in hand");
            client.send(0, b"never seen");
            Server::open(port.record(), 1).take().unwrap();
            end(kernel, how);
            client.send(0, b"later");
            kernel.ring(CLIENT, 0, 2);
            assert_eq!((0..3).map(|at| client.reply(at)).collect::<Vec<_>>(), [Ok(None), Ok(None), Ok(None)]);
            start_again(kernel);
            let mut server = Server::open(port.record(), 2);
            let found = [(); 3].map(|()| server.take().unwrap());
            assert_eq!(found.clone().map(|it| it.replay), [true, false, false]);
            for it in &found {
                server.answer(it.position, &it.payload);
            }
            for payload in [&b"in hand"[..], b"never seen", b"later"] {
                assert_eq!(client.consume(), Some((Outcome::Answer, payload.to_vec())));
            }
        });
    }
}

#[test]
fn at_a_port_that_does_not_wait_the_same_server_refuses() {
    for how in ENDS {
        waiting(|kernel, port, other| {
            let (mut client, mut bystander) = (Client::open(port.record(), 1), Client::open(other.record(), 1));
            client.send(0, b"q");
            bystander.send(0, b"q");
            end(kernel, how);
            bystander.send(0, b"r");
            kernel.ring(BYSTANDER, 0, 2);
            assert_eq!(client.reply(0), Ok(None));
            for _ in 0..2 {
                assert_eq!(bystander.consume(), Some((Outcome::Gone, vec![])));
            }
        });
    }
}

#[test]
fn what_must_not_be_repeated_is_interrupted_at_once_also_where_requests_wait() {
    for how in ENDS {
        waiting(|kernel, port, _| {
            let mut client = Client::open(port.record(), 1);
            client.send(ONCE, b"in hand");
            client.send(ONCE, b"never seen");
            Server::open(port.record(), 1).take().unwrap();
            end(kernel, how);
            assert_eq!(client.consume(), Some((Outcome::Interrupted, vec![])));
            assert_eq!(client.reply(1), Ok(None), "nobody has begun it");
        });
    }
}

#[test]
fn the_client_sees_that_it_is_to_wait() {
    waiting(|kernel, _, _| {
        end(kernel, Command::GiveUp);
        let peer = |id| kernel.peer(id, 0).unwrap();
        assert_eq!((peer(CLIENT).state, peer(CLIENT).waits), (State::GivenUp, true));
        assert_eq!((peer(BYSTANDER).state, peer(BYSTANDER).waits), (State::GivenUp, false));
    });
}

#[test]
fn ringing_a_server_that_is_gone_and_waited_for_wakes_nobody() {
    waiting(|kernel, port, _| {
        end(kernel, Command::Stop);
        rest(kernel, 2);
        Client::open(port.record(), 1).send(0, b"q");
        kernel.ring(CLIENT, 0, 3);
        assert_eq!(kernel.dispatch(3), None);
    });
}

#[test]
fn a_client_that_dies_while_it_waits_leaves_its_requests_to_be_served() {
    waiting(|kernel, port, _| {
        Client::open(port.record(), 1).send(0, b"first");
        end(kernel, Command::GiveUp);
        // Sent, and dead before the doorbell.
        Client::open(port.record(), 1).send(0, b"second");
        kernel.fault(CLIENT, Fault::Panic, 2);
        kernel.start(CLIENT, Begin::Recovered, 3).unwrap();
        let client = Client::open(port.record(), 2);
        assert_eq!((client.sent, client.consumed), (2, 0));
        assert_eq!((client.reply(0), client.reply(1)), (Ok(None), Ok(None)));
        start_again(kernel);
        let mut server = Server::open(port.record(), 2);
        assert_eq!([(); 2].map(|()| server.take().unwrap().payload), [b"first".to_vec(), b"second".to_vec()]);
    });
}

#[test]
fn a_reply_that_cannot_be_read_is_asked_for_again_when_its_server_is_started_again() {
    waiting(|kernel, port, _| {
        let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
        client.send(0, b"q");
        server.take().unwrap();
        server.answer(0, b"spoilt");
        end(kernel, Command::GiveUp);
        assert!(kernel.blame(CLIENT, 0, 0, 1, 2));
        assert_eq!(client.reply(0), Ok(None), "neither the spoilt reply nor a refusal");
        start_again(kernel);
        let mut server = Server::open(port.record(), 2);
        assert_eq!(server.take().unwrap().payload, b"q");
        server.answer(0, b"whole");
        assert_eq!(client.consume(), Some((Outcome::Answer, b"whole".to_vec())));
    });
}

#[test]
fn a_server_that_ends_and_is_started_again_and_again_loses_nothing() {
    waiting(|kernel, port, _| {
        let mut client = Client::open(port.record(), 1);
        for round in 0..20u8 {
            let how = ENDS[usize::from(round) % 2];
            client.send(0, &[round]);
            end(kernel, how);
            client.send(0, &[round, round]);
            start_again(kernel);
            let epoch = kernel.facts(SERVER).unwrap().epoch;
            let mut server = Server::open(port.record(), epoch);
            while let Some(it) = server.take() {
                server.answer(it.position, &it.payload);
            }
            assert_eq!(client.consume(), Some((Outcome::Answer, vec![round])));
            assert_eq!(client.consume(), Some((Outcome::Answer, vec![round, round])));
        }
        assert_eq!(port.record().server.get(Position::Answered), 40);
    });
}

#[test]
fn a_failed_server_that_is_given_up_leaves_what_was_in_hand_to_its_next_life() {
    waiting(|kernel, port, _| {
        let mut client = Client::open(port.record(), 1);
        client.send(0, b"q");
        Server::open(port.record(), 1).take().unwrap();
        kernel.fault(SERVER, Fault::Panic, 1);
        kernel.command_for(MANAGER, SERVER, Command::GiveUp, 2).unwrap();
        assert_eq!(client.reply(0), Ok(None));
        start_again(kernel);
        let taken = Server::open(port.record(), 2).take().unwrap();
        assert!(taken.replay);
        assert_eq!(client.consume(), None);
    });
}
