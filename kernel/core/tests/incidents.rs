//! What an incident tells: who noticed, what was in hand, who was told, how it went on and whether that was in time.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "the names of tests say what they say")]

mod common;

use common::house::{BYSTANDER, CLIENT, Fit, MANAGER, SERVER, WITHIN, rest, running, running_as, with};
use common::{Client, Server};
use koboshi_core::incident::{CutShort, Incident, Noticed};
use koboshi_core::kernel::{Command, Denied, Kernel};
use koboshi_core::life::{Begin, Fault};
use koboshi_core::record::{Fate, InHand};
use koboshi_core::{NEVER, PortId};

/// The operation that must never be repeated.
const ONCE: u8 = 1;

fn last(kernel: &Kernel<'_>) -> Incident {
    let incidents = kernel.incidents();
    *incidents.get(incidents.count() - 1).unwrap()
}

// Who noticed.

#[test]
fn a_trap_is_noticed_by_the_kernel_itself() {
    running(|kernel, _, _| {
        kernel.fault(SERVER, Fault::Access { address: 4 }, 9);
        assert_eq!(last(kernel).noticed, Noticed::Kernel);
    });
}

#[test]
fn one_that_is_stuck_is_noticed_by_the_clock_which_knows_when_it_was_called() {
    running(|kernel, _, _| {
        // Called, back in time, and called again: the second one counts.
        for called_at in [20, 50] {
            kernel.ring(CLIENT, 0, called_at);
            assert_eq!(kernel.dispatch(called_at), Some(SERVER));
            if called_at == 20 {
                kernel.wait(SERVER, NEVER, 21);
            }
        }
        assert!(!kernel.expire(50 + WITHIN - 1));
        // It is given the processor once more in between, which is no new call.
        kernel.dispatch(60);
        assert!(kernel.expire(50 + WITHIN));
        assert_eq!((last(kernel).fault, last(kernel).noticed), (Fault::Stuck, Noticed::Clock { called_at: 50 }));
    });
}

#[test]
fn a_component_that_ends_another_is_named() {
    running(|kernel, _, _| {
        kernel.command_for(MANAGER, SERVER, Command::End(Fault::Told), 5).unwrap();
        assert_eq!(last(kernel).noticed, Noticed::Component { by: MANAGER });
    });
}

#[test]
fn who_ends_another_on_the_account_of_a_peer_names_both() {
    with_manager_port(|kernel| {
        kernel.command_for(SERVER, CLIENT, Command::EndReported(Fault::Late, 1), 5).unwrap();
        assert_eq!(last(kernel).noticed, Noticed::Reported { by: BYSTANDER, to: SERVER });
        kernel.start(CLIENT, Begin::Recovered, 6).unwrap();
        kernel.command_for(SERVER, CLIENT, Command::EndReported(Fault::Late, 9), 7).unwrap();
        assert_eq!(last(kernel).noticed, Noticed::Component { by: SERVER }, "behind no port is nobody");
    });
}

/// The server of the house as somebody who may end the client, and who is told so at his ports.
fn with_manager_port(test: impl FnOnce(&mut Kernel<'_>)) {
    running_as(Fit { server_controls: true, ..Fit::default() }, |kernel, _, _| test(kernel));
}

#[test]
fn a_report_gives_no_right_that_its_bearer_has_not() {
    running(|kernel, _, _| {
        assert_eq!(kernel.command_for(CLIENT, SERVER, Command::EndReported(Fault::Late, 0), 5), Err(Denied::Right));
        assert_eq!(kernel.incidents().count(), 0);
    });
}

#[test]
fn a_peer_that_cannot_read_names_itself_and_the_port() {
    running(|kernel, port, _| {
        let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
        client.send(0, b"q");
        server.take().unwrap();
        server.answer(0, b"spoilt");
        assert!(kernel.blame(CLIENT, 0, 0, 1, 2));
        assert_eq!(last(kernel).noticed, Noticed::Blamed { by: CLIENT, port: PortId(0) });
    });
}

#[test]
fn the_person_who_runs_the_platform_is_nobody_of_the_image() {
    running(|kernel, _, _| {
        kernel.command(SERVER, Command::End(Fault::Told), 5).unwrap();
        assert_eq!(last(kernel).noticed, Noticed::Person);
    });
}

// What was in hand.

#[test]
fn the_first_request_in_hand_is_told_with_its_port_its_progress_and_what_becomes_of_it() {
    running(|kernel, _, other| {
        let (mut client, mut server) = (Client::open(other.record(), 1), Server::open(other.record(), 1));
        for operation in [0, 3, 2, 0] {
            client.send(operation, b"q");
        }
        for _ in 0..3 {
            server.take().unwrap();
        }
        server.answer(0, b"a");
        server.progress(1, 17);
        kernel.fault(SERVER, Fault::Panic, 1);
        let in_hand = InHand { port: PortId(1), position: 1, operation: 3, progress: 17, then: Fate::OfferedAgain };
        assert_eq!((last(kernel).seal.in_hand, last(kernel).seal.offered_again), (Some(in_hand), 2));
    });
}

#[test]
fn a_request_that_is_never_repeated_is_told_as_interrupted() {
    running(|kernel, port, _| {
        Client::open(port.record(), 1).send(ONCE, b"q");
        Server::open(port.record(), 1).take().unwrap();
        kernel.fault(SERVER, Fault::Panic, 1);
        let in_hand = last(kernel).seal.in_hand.unwrap();
        assert_eq!((in_hand.port, in_hand.operation, in_hand.then), (PortId(0), ONCE, Fate::Interrupted));
    });
}

#[test]
fn a_request_in_hand_at_two_deaths_is_told_as_offered_again_and_then_as_poisoned() {
    running(|kernel, port, _| {
        Client::open(port.record(), 1).send(0, b"q");
        let fates = [1, 2].map(|epoch| {
            Server::open(port.record(), epoch).take().unwrap();
            kernel.fault(SERVER, Fault::Panic, epoch.into());
            kernel.start(SERVER, Begin::Recovered, epoch.into()).unwrap();
            last(kernel).seal.in_hand.unwrap().then
        });
        assert_eq!(fates, [Fate::OfferedAgain, Fate::Poisoned]);
    });
}

#[test]
fn what_was_never_taken_or_is_answered_was_not_in_hand() {
    running(|kernel, port, other| {
        let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
        client.send(0, b"q");
        server.take().unwrap();
        server.answer(0, b"a");
        client.send(0, b"r");
        Client::open(other.record(), 1).send(0, b"s");
        kernel.fault(SERVER, Fault::Panic, 1);
        assert_eq!(last(kernel).seal.in_hand, None);
    });
}

#[test]
fn of_two_ports_the_first_one_with_something_in_hand_tells() {
    running(|kernel, port, other| {
        for record in [other.record(), port.record()] {
            Client::open(record, 1).send(2, b"q");
            Server::open(record, 1).take().unwrap();
        }
        kernel.fault(SERVER, Fault::Panic, 1);
        assert_eq!(last(kernel).seal.in_hand.unwrap().port, PortId(0));
        assert_eq!(last(kernel).seal.offered_again, 2);
    });
}

#[test]
fn the_death_of_a_client_has_nothing_in_hand() {
    running(|kernel, port, _| {
        Client::open(port.record(), 1).send(0, b"q");
        Server::open(port.record(), 1).take().unwrap();
        kernel.fault(CLIENT, Fault::Panic, 1);
        assert_eq!(last(kernel).seal.in_hand, None);
    });
}

// Who was told, and how it went on.

#[test]
fn the_peers_that_live_and_the_manager_are_told() {
    running(|kernel, _, _| {
        kernel.fault(SERVER, Fault::Panic, 1);
        assert_eq!(last(kernel).told, MANAGER.bit() | CLIENT.bit() | BYSTANDER.bit());
        kernel.fault(CLIENT, Fault::Panic, 2);
        assert_eq!(last(kernel).told, MANAGER.bit(), "its server is dead");
        kernel.fault(MANAGER, Fault::Panic, 3);
        assert_eq!(last(kernel).told, 0);
    });
}

#[test]
fn each_step_of_a_recovery_has_its_time() {
    running(|kernel, _, _| {
        kernel.fault(SERVER, Fault::Panic, 10);
        assert_eq!(last(kernel).backoff_at, None);
        kernel.command(SERVER, Command::BackOff, 11).unwrap();
        kernel.command(SERVER, Command::Start, 30).unwrap();
        assert_eq!(last(kernel).up_at, None);
        rest(kernel, 32);
        kernel.ring(SERVER, 0, 35);
        let Incident { failed_at, backoff_at, started_at, up_at, answered_at, cut_short, .. } = last(kernel);
        assert_eq!((failed_at, backoff_at, started_at), (10, Some(11), Some(30)));
        assert_eq!((up_at, answered_at, cut_short), (Some(32), Some(35), None));
        assert_eq!(kernel.facts(SERVER).unwrap().epoch, last(kernel).epoch + 1);
    });
}

#[test]
fn deaths_with_nothing_up_between_are_one_time_down_and_the_last_of_them_tells_it() {
    running_as(Fit { recover_within: Some(50), ..Fit::default() }, |kernel, _, _| {
        kernel.fault(SERVER, Fault::Panic, 100);
        kernel.start(SERVER, Begin::Recovered, 101).unwrap();
        kernel.fault(SERVER, Fault::Panic, 130);
        let first = *kernel.incidents().get(0).unwrap();
        assert_eq!((first.cut_short, first.missed(NEVER)), (Some((CutShort::DiedAgain, 130)), false));
        assert_eq!((last(kernel).failed_at, last(kernel).down_since), (130, 100));
        assert!(!last(kernel).missed(150));
        assert!(last(kernel).missed(151));
        assert!(kernel.facts(SERVER).unwrap().overdue(151));
        kernel.start(SERVER, Begin::Recovered, 145).unwrap();
        rest(kernel, 150);
        assert!(!last(kernel).missed(NEVER), "it was up in time");
        assert!(!kernel.facts(SERVER).unwrap().overdue(NEVER));
        kernel.fault(SERVER, Fault::Panic, 200);
        assert_eq!(last(kernel).down_since, 200, "it was up between");
        assert_eq!(kernel.incidents().get(1).unwrap().cut_short, None);
    });
}

#[test]
fn a_recovery_ends_with_a_stop_a_giving_up_or_a_reboot_too() {
    let cut_short = |act: fn(&mut Kernel<'_>)| {
        let mut told = None;
        running_as(Fit { recover_within: Some(50), ..Fit::default() }, |kernel, _, _| {
            kernel.fault(SERVER, Fault::Panic, 100);
            act(kernel);
            told = Some((last(kernel).cut_short.unwrap(), last(kernel).missed(NEVER)));
        });
        told.unwrap()
    };
    let stop = |kernel: &mut Kernel<'_>| kernel.command(SERVER, Command::Stop, 120).unwrap();
    let stop_late = |kernel: &mut Kernel<'_>| kernel.command(SERVER, Command::Stop, 151).unwrap();
    let give_up = |kernel: &mut Kernel<'_>| kernel.command(SERVER, Command::GiveUp, 999).unwrap();
    assert_eq!(cut_short(stop), ((CutShort::Stopped, 120), false));
    assert_eq!(cut_short(stop_late), ((CutShort::Stopped, 151), true));
    assert_eq!(cut_short(give_up), ((CutShort::GivenUp, 999), false), "given up, and not late");
    assert_eq!(cut_short(|kernel| kernel.reboot(130)), ((CutShort::Rebooted, 130), false));
}

#[test]
fn a_first_life_that_dies_before_it_is_up_is_an_incident_like_others() {
    with(|kernel, _, _| {
        kernel.start(SERVER, Begin::Fresh, 0).unwrap();
        kernel.fault(SERVER, Fault::Panic, 3);
        assert_eq!((last(kernel).down_since, last(kernel).within, last(kernel).up_at), (3, None, None));
    });
}
