//! The kernel: life cycle, doorbells, interrupts, time, rights and incidents.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "the names of tests say what they say")]

mod common;

use common::house::{ALL, BYSTANDER, CLIENT, MANAGER, NOBODY, SERVER, WITHIN, facts, rest, running, state, with};
use common::{Client, Server, cases, snapshot};
use koboshi_core::kernel::{
    Actions, Command, Component, Denied, Kernel, Life, MANAGER_DEATHS, MANAGER_PERIOD, Rights, Tables,
};
use koboshi_core::life::{Begin, Fault, HISTORY, History, State};
use koboshi_core::record::{Outcome, Sealed};
use koboshi_core::{ComponentId, LineId, NEVER};
use proptest::prelude::*;

// Life.

#[test]
fn a_component_is_absent_then_starting_and_runs_from_its_first_wait_on() {
    with(|kernel, _, _| {
        assert_eq!((state(kernel, SERVER), kernel.begin(SERVER)), (State::Absent, None));
        assert_eq!(kernel.start(SERVER, Begin::Fresh, 5), Ok(1));
        assert_eq!(kernel.take_actions(), Actions { load: SERVER.bit(), ..Actions::default() });
        assert_eq!((state(kernel, SERVER), kernel.begin(SERVER)), (State::Starting, Some(Begin::Fresh)));
        assert_eq!(kernel.dispatch(5), Some(SERVER));
        kernel.wait(SERVER, NEVER, 6);
        assert_eq!(state(kernel, SERVER), State::Running);
        assert_eq!(kernel.dispatch(7), None);
    });
}

#[test]
fn one_that_lives_is_not_started_again() {
    running(|kernel, _, _| {
        assert_eq!(kernel.start(SERVER, Begin::Fresh, 0), Err(Denied::State(State::Running)));
        assert_eq!(kernel.take_actions(), Actions::default());
        assert_eq!(facts(kernel, SERVER).epoch, 1);
    });
}

#[test]
fn a_fault_ends_the_incarnation_and_leaves_the_decision_to_the_manager() {
    running(|kernel, _, _| {
        kernel.fault(SERVER, Fault::Panic, 9);
        assert_eq!(kernel.take_actions(), Actions { halt: SERVER.bit(), ..Actions::default() });
        let facts = facts(kernel, SERVER);
        assert_eq!((facts.state, facts.fault, facts.failed_at), (State::Failed, Some(Fault::Panic), 9));
        assert_eq!(kernel.dispatch(9), Some(MANAGER), "it is told");
    });
}

#[test]
fn a_fault_of_one_that_is_dead_changes_nothing() {
    running(|kernel, _, _| {
        kernel.fault(SERVER, Fault::Panic, 9);
        kernel.take_actions();
        let before = facts(kernel, SERVER);
        kernel.fault(SERVER, Fault::Stuck, 10);
        kernel.wait(SERVER, 11, 10);
        assert_eq!(facts(kernel, SERVER), before);
        assert_eq!((kernel.take_actions(), kernel.incidents().count()), (Actions::default(), 1));
        assert_eq!(kernel.next_deadline(), NEVER);
    });
}

#[test]
fn an_epoch_is_never_used_twice_however_a_life_ended() {
    with(|kernel, _, _| {
        let mut last = 0;
        for round in 0..12 {
            let epoch = kernel.start(SERVER, Begin::Fresh, round).unwrap();
            assert!(epoch > last);
            last = epoch;
            match round % 4 {
                0 => kernel.fault(SERVER, Fault::Panic, round),
                1 => kernel.command(SERVER, Command::Stop, round).unwrap(),
                2 => kernel.command(SERVER, Command::GiveUp, round).unwrap(),
                _ => kernel.reboot(round),
            }
        }
    });
}

#[test]
fn a_life_after_a_fault_adopts_and_a_life_after_a_stop_begins_afresh() {
    running(|kernel, _, _| {
        kernel.fault(SERVER, Fault::Panic, 1);
        kernel.command(SERVER, Command::Start, 2).unwrap();
        assert_eq!(kernel.begin(SERVER), Some(Begin::Recovered));
        kernel.fault(SERVER, Fault::Panic, 3);
        kernel.command(SERVER, Command::BackOff, 4).unwrap();
        assert_eq!(state(kernel, SERVER), State::Backoff);
        kernel.command(SERVER, Command::Start, 5).unwrap();
        assert_eq!(kernel.begin(SERVER), Some(Begin::Recovered));
        kernel.command(SERVER, Command::Stop, 6).unwrap();
        kernel.command(SERVER, Command::Start, 7).unwrap();
        assert_eq!(kernel.begin(SERVER), Some(Begin::Fresh));
    });
}

#[test]
fn one_that_was_started_and_died_before_the_platform_loaded_it_is_not_loaded() {
    with(|kernel, _, _| {
        kernel.start(SERVER, Begin::Fresh, 0).unwrap();
        kernel.fault(SERVER, Fault::Panic, 0);
        let actions = kernel.take_actions();
        assert_eq!((actions.load, actions.halt), (0, SERVER.bit()));
    });
}

#[test]
fn giving_up_asks_for_the_safe_action_and_stopping_does_not() {
    running(|kernel, _, _| {
        kernel.command(SERVER, Command::GiveUp, 1).unwrap();
        assert_eq!(kernel.take_actions().safe, SERVER.bit());
        kernel.command(SERVER, Command::GiveUp, 2).unwrap();
        assert_eq!(kernel.take_actions().safe, 0, "it was given up already");
        kernel.command(CLIENT, Command::Stop, 1).unwrap();
        assert_eq!(kernel.take_actions().safe, 0);
        assert_eq!((state(kernel, SERVER), state(kernel, CLIENT)), (State::GivenUp, State::Stopped));
    });
}

#[test]
fn a_reboot_leaves_all_absent_with_nothing_pending() {
    running(|kernel, port, _| {
        Client::open(port.record(), 1).send(0, b"q");
        kernel.fault(SERVER, Fault::Panic, 1);
        kernel.dispatch(1);
        kernel.reboot(1);
        assert_eq!(kernel.take_actions().halt, u64::MAX);
        assert!(ALL.iter().all(|id| state(kernel, *id) == State::Absent));
        assert_eq!((kernel.dispatch(2), kernel.next_deadline(), kernel.incidents().count()), (None, NEVER, 1));
        assert!(kernel.masked(LineId(0)));
    });
}

#[test]
fn tables_that_do_not_fit_each_other_make_no_kernel() {
    let component = Component {
        name: "",
        vcpu: 0,
        respond_within: 0,
        recover_within: None,
        ports: &[],
        lines: &[],
        rights: Rights::default(),
    };
    for (components, lives, sealed) in [(65, 65, 0), (2, 1, 0), (1, 1, 1)] {
        let tables = Tables {
            components: &vec![component; components],
            lives: &mut vec![Life::default(); lives],
            ports: &[],
            sealed: &mut vec![Sealed::default(); sealed],
            lines: &mut [],
            incidents: &mut [],
            manager: None,
        };
        assert!(Kernel::new(tables).is_none(), "{components} {lives} {sealed}");
    }
}

// Doorbells.

#[test]
fn a_doorbell_wakes_the_peer_and_nobody_else() {
    running(|kernel, _, _| {
        kernel.ring(CLIENT, 0, 1);
        assert_eq!(kernel.dispatch(1), Some(SERVER));
        kernel.wait(SERVER, NEVER, 1);
        assert_eq!(kernel.dispatch(1), None);
    });
}

#[test]
fn a_doorbell_that_rings_while_its_hearer_is_away_is_heard_at_its_wait() {
    running(|kernel, _, _| {
        kernel.ring(CLIENT, 0, 1);
        assert_eq!(kernel.dispatch(1), Some(SERVER));
        kernel.ring(CLIENT, 0, 2);
        kernel.wait(SERVER, NEVER, 3);
        assert_eq!(kernel.dispatch(3), Some(SERVER));
    });
}

#[test]
fn a_doorbell_to_a_dead_component_wakes_nobody_and_its_next_incarnation_looks_anyway() {
    running(|kernel, _, _| {
        kernel.fault(SERVER, Fault::Panic, 1);
        rest(kernel, 1);
        kernel.ring(CLIENT, 0, 2);
        assert_eq!(kernel.dispatch(2), None);
        kernel.start(SERVER, Begin::Recovered, 3).unwrap();
        let woken: Vec<_> = std::iter::from_fn(|| {
            let id = kernel.dispatch(3)?;
            kernel.wait(id, NEVER, 3);
            Some(id)
        })
        .collect();
        assert!(woken.contains(&SERVER));
    });
}

#[test]
fn a_doorbell_of_a_dead_component_or_for_a_port_that_does_not_exist_is_not_heard() {
    running(|kernel, _, _| {
        kernel.fault(CLIENT, Fault::Panic, 1);
        rest(kernel, 1);
        kernel.ring(CLIENT, 0, 2);
        kernel.ring(SERVER, 9, 2);
        kernel.ring(NOBODY, 0, 2);
        assert_eq!(kernel.dispatch(2), None);
        assert_eq!(kernel.incidents().get(0).unwrap().answered_at, None);
    });
}

#[test]
fn peers_are_rung_when_one_dies_and_when_it_is_back() {
    running(|kernel, _, _| {
        for step in 0..2 {
            match step {
                0 => kernel.fault(SERVER, Fault::Panic, 1),
                _ => {
                    kernel.start(SERVER, Begin::Recovered, 1).unwrap();
                }
            }
            let mut woken = 0;
            while let Some(id) = kernel.dispatch(1) {
                woken |= id.bit();
                kernel.wait(id, NEVER, 1);
            }
            assert_eq!(woken & !SERVER.bit(), MANAGER.bit() | CLIENT.bit() | BYSTANDER.bit());
        }
        assert_eq!(kernel.peer(CLIENT, 0).unwrap().epoch, 2);
    });
}

#[test]
fn whoever_asks_one_that_is_gone_gets_the_answer_at_once() {
    for command in [Command::Stop, Command::GiveUp] {
        running(|kernel, port, _| {
            let mut client = Client::open(port.record(), 1);
            client.send(0, b"before");
            kernel.command(SERVER, command, 1).unwrap();
            assert_eq!(client.consume(), Some((Outcome::Gone, vec![])));
            rest(kernel, 1);
            client.send(0, b"after");
            kernel.ring(CLIENT, 0, 2);
            assert_eq!(kernel.dispatch(2), Some(CLIENT));
            assert_eq!(client.consume(), Some((Outcome::Gone, vec![])));
        });
    }
}

// Interrupts.

#[test]
fn a_line_is_masked_until_its_owner_lives() {
    with(|kernel, _, _| {
        assert!(kernel.masked(LineId(0)));
        kernel.interrupt(LineId(0));
        assert!(!kernel.delivered(SERVER, 0));
        kernel.start(SERVER, Begin::Fresh, 0).unwrap();
        assert!(!kernel.masked(LineId(0)));
    });
}

#[test]
fn an_interrupt_wakes_its_owner_and_masks_its_line_until_it_is_acknowledged() {
    running(|kernel, _, _| {
        kernel.interrupt(LineId(0));
        assert!(kernel.masked(LineId(0)) && kernel.delivered(SERVER, 0));
        assert_eq!(kernel.dispatch(1), Some(SERVER));
        kernel.wait(SERVER, NEVER, 1);
        kernel.interrupt(LineId(0));
        assert_eq!(kernel.dispatch(1), None, "masked");
        kernel.acknowledge(SERVER, 0);
        assert!(!kernel.masked(LineId(0)) && !kernel.delivered(SERVER, 0));
        kernel.interrupt(LineId(0));
        assert_eq!(kernel.dispatch(1), Some(SERVER));
    });
}

#[test]
fn a_line_of_a_dead_owner_is_masked_and_stays_so() {
    running(|kernel, _, _| {
        kernel.interrupt(LineId(0));
        kernel.fault(SERVER, Fault::Panic, 1);
        kernel.acknowledge(SERVER, 0);
        assert!(kernel.masked(LineId(0)) && !kernel.delivered(SERVER, 0));
    });
}

#[test]
fn nobody_acknowledges_a_line_that_is_not_its_own() {
    running(|kernel, _, _| {
        kernel.interrupt(LineId(0));
        for (id, line) in [(CLIENT, 0), (SERVER, 1), (NOBODY, 0), (MANAGER, u8::MAX)] {
            kernel.acknowledge(id, line);
            assert!(!kernel.delivered(id, line) && kernel.masked(LineId(0)));
        }
        assert!(kernel.masked(LineId(7)), "there is no such line");
        kernel.interrupt(LineId(7));
    });
}

// Time, and R6.

#[test]
fn one_that_does_not_come_back_to_its_wait_in_time_is_stuck() {
    running(|kernel, _, _| {
        kernel.ring(CLIENT, 0, 10);
        assert_eq!(kernel.dispatch(20), Some(SERVER));
        assert_eq!(kernel.next_deadline(), 20 + WITHIN);
        assert!(!kernel.expire(19 + WITHIN));
        assert!(kernel.expire(20 + WITHIN));
        assert_eq!(facts(kernel, SERVER).fault, Some(Fault::Stuck));
    });
}

#[test]
fn one_that_is_preempted_and_gets_the_processor_again_gains_no_time() {
    running(|kernel, _, _| {
        kernel.ring(CLIENT, 0, 0);
        kernel.ring(BYSTANDER, 0, 0);
        kernel.ring(SERVER, 0, 0);
        for now in [0, 40, 80] {
            assert!([SERVER, CLIENT].contains(&kernel.dispatch(now).unwrap()));
        }
        assert!(kernel.expire(WITHIN));
        assert_eq!(facts(kernel, SERVER).fault.or(facts(kernel, CLIENT).fault), Some(Fault::Stuck));
    });
}

#[test]
fn waiting_long_is_not_being_stuck() {
    running(|kernel, _, _| {
        kernel.ring(CLIENT, 0, 1);
        assert_eq!(kernel.dispatch(1), Some(SERVER));
        kernel.wait(SERVER, NEVER, 2);
        assert_eq!(kernel.next_deadline(), NEVER);
        assert!(!kernel.expire(1_000_000 * WITHIN));
        assert_eq!(state(kernel, SERVER), State::Running);
    });
}

#[test]
fn one_that_is_rung_and_not_yet_given_the_processor_is_not_stuck() {
    running(|kernel, _, _| {
        kernel.ring(CLIENT, 0, 1);
        assert!(!kernel.expire(1_000 * WITHIN));
        assert_eq!(state(kernel, SERVER), State::Running);
    });
}

#[test]
fn one_that_never_comes_to_its_first_wait_is_stuck() {
    with(|kernel, _, _| {
        kernel.start(SERVER, Begin::Fresh, 0).unwrap();
        kernel.dispatch(0);
        assert!(kernel.expire(WITHIN));
        assert_eq!(facts(kernel, SERVER).fault, Some(Fault::Stuck));
    });
}

#[test]
fn an_alarm_wakes_at_its_time_and_is_no_fault() {
    running(|kernel, _, _| {
        kernel.ring(CLIENT, 0, 1);
        kernel.dispatch(1);
        kernel.wait(SERVER, 50, 2);
        assert_eq!((kernel.next_deadline(), kernel.dispatch(49)), (50, None));
        assert!(!kernel.expire(49));
        assert!(kernel.expire(50));
        assert_eq!((state(kernel, SERVER), kernel.dispatch(50)), (State::Running, Some(SERVER)));
    });
}

#[test]
fn an_alarm_that_has_passed_keeps_its_owner_awake() {
    running(|kernel, _, _| {
        kernel.ring(CLIENT, 0, 1);
        kernel.dispatch(1);
        kernel.wait(SERVER, 3, 3);
        assert_eq!(kernel.dispatch(3), Some(SERVER));
    });
}

// Rights.

const COMMANDS: [Command; 6] =
    [Command::Start, Command::End(Fault::Told), Command::Stop, Command::BackOff, Command::GiveUp, Command::Reboot];

#[test]
fn a_command_without_the_right_is_refused_and_changes_nothing() {
    running(|kernel, port, other| {
        for from in [CLIENT, SERVER, BYSTANDER] {
            for target in ALL {
                for command in COMMANDS {
                    let before = (ALL.map(|id| facts(kernel, id)), snapshot(&port.far), snapshot(&other.far));
                    assert_eq!(kernel.command_for(from, target, command, 1), Err(Denied::Right));
                    assert_eq!((ALL.map(|id| facts(kernel, id)), snapshot(&port.far), snapshot(&other.far)), before);
                }
            }
        }
        assert_eq!((kernel.take_actions(), kernel.dispatch(1)), (Actions::default(), None));
    });
}

#[test]
fn a_right_over_some_is_none_over_others() {
    running(|kernel, _, _| {
        assert_eq!(kernel.command_for(MANAGER, MANAGER, Command::Stop, 1), Err(Denied::Right));
        assert_eq!(kernel.command_for(MANAGER, SERVER, Command::Stop, 1), Ok(()));
        assert_eq!(state(kernel, SERVER), State::Stopped);
    });
}

#[test]
fn a_command_to_or_from_nobody_is_refused() {
    running(|kernel, _, _| {
        for id in [NOBODY, ComponentId(63), ComponentId(64), ComponentId(255)] {
            assert_eq!(kernel.command_for(id, SERVER, Command::Stop, 1), Err(Denied::Unknown));
            assert!(kernel.command_for(MANAGER, id, Command::Stop, 1).is_err());
            assert_eq!(kernel.command(id, Command::Start, 1), Err(Denied::Unknown));
            assert!(kernel.facts(id).is_none() && kernel.peer(id, 0).is_none() && kernel.begin(id).is_none());
        }
        assert!(ALL.iter().all(|id| state(kernel, *id) == State::Running));
    });
}

#[test]
fn a_command_that_a_state_does_not_allow_is_refused_with_that_state() {
    running(|kernel, _, _| {
        let running = Err(Denied::State(State::Running));
        assert_eq!(kernel.command(SERVER, Command::Start, 1), running);
        assert_eq!(kernel.command(SERVER, Command::BackOff, 1), running);
        kernel.command(SERVER, Command::Stop, 1).unwrap();
        assert_eq!(kernel.command(SERVER, Command::End(Fault::Told), 1), Err(Denied::State(State::Stopped)));
    });
}

#[test]
fn only_those_with_the_right_may_ask_about_others() {
    running(|kernel, _, _| {
        assert!(kernel.facts_for(MANAGER, SERVER).is_ok());
        assert!(kernel.facts_for(CLIENT, CLIENT).is_ok());
        assert_eq!(kernel.facts_for(CLIENT, SERVER), Err(Denied::Right));
        assert_eq!(kernel.facts_for(MANAGER, NOBODY), Err(Denied::Unknown));
    });
}

#[test]
fn a_complaint_without_the_right_is_refused_and_changes_nothing() {
    running(|kernel, _, other| {
        let (mut client, mut server) = (Client::open(other.record(), 1), Server::open(other.record(), 1));
        client.send(0, b"q");
        server.take().unwrap();
        server.answer(0, b"a");
        let before = (facts(kernel, SERVER), snapshot(&other.far));
        assert!(!kernel.blame(BYSTANDER, 0, 0, 1, 1));
        assert!(!kernel.blame(CLIENT, 7, 0, 1, 1));
        assert!(!kernel.blame(NOBODY, 0, 0, 1, 1));
        assert_eq!((facts(kernel, SERVER), snapshot(&other.far)), before);
        assert_eq!(client.consume(), Some((Outcome::Answer, b"a".to_vec())));
    });
}

#[test]
fn a_complaint_with_the_right_ends_the_server_and_opens_the_request_again() {
    running(|kernel, port, _| {
        let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
        client.send(0, b"q");
        server.take().unwrap();
        server.answer(0, b"spoilt");
        assert!(kernel.blame(CLIENT, 0, 0, 1, 1));
        assert_eq!(facts(kernel, SERVER).fault, Some(Fault::BadMessage));
        assert_eq!(client.reply(0), Ok(None));
        assert_eq!(Server::open(port.record(), 2).take().unwrap().payload, b"q");
    });
}

#[test]
fn a_complaint_about_a_server_that_died_meanwhile_still_opens_the_request_again() {
    running(|kernel, port, _| {
        let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
        client.send(0, b"q");
        server.take().unwrap();
        server.answer(0, b"spoilt");
        kernel.fault(SERVER, Fault::Panic, 1);
        assert!(kernel.blame(CLIENT, 0, 0, 1, 2));
        assert_eq!((facts(kernel, SERVER).fault, kernel.incidents().count()), (Some(Fault::Panic), 1));
        assert_eq!(client.reply(0), Ok(None));
    });
}

#[test]
fn a_complaint_about_a_server_that_is_gone_is_answered_so() {
    running(|kernel, port, _| {
        let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
        client.send(0, b"q");
        server.take().unwrap();
        server.answer(0, b"spoilt");
        kernel.command(SERVER, Command::GiveUp, 1).unwrap();
        assert!(kernel.blame(CLIENT, 0, 0, 1, 2));
        assert_eq!(state(kernel, SERVER), State::GivenUp);
        assert_eq!(client.consume(), Some((Outcome::Gone, vec![])));
    });
}

#[test]
fn a_complaint_of_one_client_is_no_second_death_for_the_requests_of_another() {
    running(|kernel, port, other| {
        let mut server = Server::open(other.record(), 1);
        Client::open(other.record(), 1).send(0, b"q");
        server.take().unwrap();
        kernel.fault(SERVER, Fault::Panic, 1);
        let _ = Client::open(port.record(), 1);
        kernel.blame(CLIENT, 0, 0, 1, 2);
        kernel.start(SERVER, Begin::Recovered, 3).unwrap();
        Server::open(other.record(), 2).take().unwrap();
        kernel.fault(SERVER, Fault::Panic, 4);
        assert_eq!(kernel.incidents().get(1).unwrap().seal.poisoned, 1);
    });
}

// The manager.

#[test]
fn the_manager_is_started_again_at_once_by_the_kernel_itself() {
    running(|kernel, _, _| {
        kernel.fault(MANAGER, Fault::Panic, 1);
        let actions = kernel.take_actions();
        assert_eq!((actions.halt, actions.load, actions.reboot), (MANAGER.bit(), MANAGER.bit(), false));
        assert_eq!((state(kernel, MANAGER), kernel.begin(MANAGER)), (State::Starting, Some(Begin::Recovered)));
    });
}

#[test]
fn the_manager_dying_three_times_without_progress_reboots_the_image() {
    running(|kernel, _, _| {
        for death in 1..=MANAGER_DEATHS {
            kernel.fault(MANAGER, Fault::Panic, u64::from(death));
            assert_eq!(kernel.take_actions().reboot, death == MANAGER_DEATHS);
        }
        assert_eq!(state(kernel, MANAGER), State::Failed);
    });
}

#[test]
fn the_manager_s_deaths_far_apart_do_not_reboot_the_image() {
    running(|kernel, _, _| {
        for death in 1..=5 {
            kernel.fault(MANAGER, Fault::Panic, death * MANAGER_PERIOD / 2 + death);
            assert!(!kernel.take_actions().reboot);
        }
    });
}

#[test]
fn a_manager_that_gave_a_command_made_progress() {
    running(|kernel, _, _| {
        for death in 1..=6 {
            kernel.fault(SERVER, Fault::Panic, death);
            kernel.command_for(MANAGER, SERVER, Command::Start, death).unwrap();
            kernel.fault(MANAGER, Fault::Panic, death);
            assert!(!kernel.take_actions().reboot);
        }
    });
}

#[test]
fn a_command_that_was_refused_is_no_progress() {
    running(|kernel, _, _| {
        let mut reboots = 0;
        for death in 1..=MANAGER_DEATHS {
            assert!(kernel.command_for(MANAGER, SERVER, Command::Start, 1).is_err());
            kernel.fault(MANAGER, Fault::Panic, u64::from(death));
            reboots += u32::from(kernel.take_actions().reboot);
        }
        assert_eq!(reboots, 1);
    });
}

// Facts and incidents.

#[test]
fn deaths_without_progress_are_counted_until_one_makes_progress() {
    running(|kernel, port, _| {
        for death in 1..=3 {
            kernel.fault(SERVER, Fault::Panic, death);
            kernel.command(SERVER, Command::Start, death).unwrap();
        }
        let counted = facts(kernel, SERVER);
        assert_eq!((counted.fruitless_in_a_row, counted.fruitless.count(), counted.starts.count()), (3, 3, 4));
        Client::open(port.record(), 1).send(0, b"q");
        let mut server = Server::open(port.record(), counted.epoch);
        server.take().unwrap();
        server.answer(0, b"a");
        kernel.fault(SERVER, Fault::Panic, 4);
        assert_eq!((facts(kernel, SERVER).fruitless_in_a_row, facts(kernel, SERVER).fruitless.count()), (0, 3));
    });
}

#[test]
fn an_incident_says_who_why_when_and_how_it_went_on() {
    running(|kernel, port, _| {
        Client::open(port.record(), 1).send(1, b"once");
        Server::open(port.record(), 1).take().unwrap();
        kernel.fault(SERVER, Fault::Access { address: 0xFFE0_0000 }, 10);
        kernel.command(SERVER, Command::Start, 12).unwrap();
        while let Some(id) = kernel.dispatch(13) {
            kernel.wait(id, NEVER, 15);
        }
        kernel.ring(SERVER, 0, 20);
        kernel.ring(SERVER, 0, 30);
        let incident = *kernel.incidents().get(0).unwrap();
        assert_eq!((incident.number, incident.component, incident.epoch), (0, SERVER, 1));
        assert_eq!((incident.fault, incident.failed_at), (Fault::Access { address: 0xFFE0_0000 }, 10));
        assert_eq!(
            (incident.started_at, incident.up_at, incident.answered_at, incident.seal.interrupted),
            (Some(12), Some(15), Some(20), 1)
        );
    });
}

#[test]
fn one_that_answers_before_its_first_wait_is_up() {
    running(|kernel, _, _| {
        kernel.fault(SERVER, Fault::Panic, 10);
        kernel.command(SERVER, Command::Start, 20).unwrap();
        kernel.ring(SERVER, 0, 30);
        rest(kernel, 40);
        let incident = kernel.incidents().get(0).unwrap();
        assert_eq!((incident.up_at, incident.answered_at), (Some(30), Some(30)));
    });
}

#[test]
fn the_newest_incidents_are_kept_and_numbered_on() {
    running(|kernel, _, _| {
        for death in 0..7 {
            kernel.fault(SERVER, Fault::Panic, death);
            kernel.command(SERVER, Command::Start, death).unwrap();
        }
        let log = kernel.incidents();
        assert_eq!(log.count(), 7);
        assert!((0..3).all(|number| log.get(number).is_none()) && log.get(7).is_none());
        assert!((3..7).all(|number| log.get(number).unwrap().failed_at == u64::from(number)));
        assert_eq!(log.first_from(0).unwrap().number, 3);
        assert_eq!(log.first_from(5).unwrap().number, 5);
        assert_eq!(log.first_from(7), None);
    });
}

#[test]
fn a_history_counts_what_it_remembers_and_how_much_there_ever_was() {
    let mut history = History::EMPTY;
    assert_eq!((history.last(0), history.since(0)), (None, 0));
    for at in 1..=20 {
        history.add(at);
    }
    assert_eq!((history.count(), history.since(0), history.since(18)), (20, HISTORY as u32, 3));
    assert_eq!((history.last(0), history.last(15), history.last(16)), (Some(20), Some(5), None));
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn whatever_is_asked_of_it_the_kernel_keeps_its_own_rules(
        calls in proptest::collection::vec((0u8..16, 0u8..6, 0u8..6, any::<u32>()), 0..150),
    ) {
        with(|kernel, port, other| {
            let (mut epochs, mut now) = ([0; 4], 0);
            for (call, first, second, word) in calls {
                let (id, target) = (ComponentId(first), ComponentId(second));
                let command = COMMANDS[word as usize % COMMANDS.len()];
                match call {
                    0..=2 => drop(kernel.start(id, Begin::Recovered, now)),
                    3 => kernel.fault(id, Fault::Panic, now),
                    4 => drop(kernel.command(id, command, now)),
                    5 => drop(kernel.command_for(id, target, command, now)),
                    6 => drop(kernel.blame(id, second, word % 8, word % 4, now)),
                    7 => kernel.ring(id, second, now),
                    8 => kernel.interrupt(LineId(first)),
                    9 => kernel.acknowledge(id, second),
                    10 => drop(kernel.expire(now)),
                    11 => kernel.wait(id, u64::from(word) % (2 * now + 2), now),
                    12 => drop(kernel.take_actions()),
                    13 if word % 50 == 0 => kernel.reboot(now),
                    14 => {
                        let half = [&port.near, &port.far, &other.near, &other.far][usize::from(second) % 4];
                        common::Port::spoil(half, &[(word as u16, word >> 8), (first.into(), word)]);
                    }
                    _ => {
                        if let Some(id) = kernel.dispatch(now) {
                            assert!(state(kernel, id).alive(), "only the living run");
                        }
                    }
                }
                now += u64::from(word % 64);
                for (id, epoch) in ALL.iter().zip(&mut epochs) {
                    let facts = facts(kernel, *id);
                    assert!(facts.epoch >= *epoch, "an epoch never goes back");
                    *epoch = facts.epoch;
                }
                let owner = state(kernel, SERVER);
                assert!(owner.alive() || kernel.masked(LineId(0)), "a line of a dead owner is masked");
                let actions = &kernel.take_actions();
                assert!(ALL.iter().all(|id| actions.load & id.bit() == 0 || state(kernel, *id).alive()));
            }
        });
    }
}
