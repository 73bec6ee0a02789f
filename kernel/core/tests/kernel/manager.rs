//! The manager, facts and incidents.

use super::*;

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
                let down = |id: &&ComponentId| !state(kernel, **id).alive() && !state(kernel, **id).gone();
                let down = ALL.iter().filter(down).fold(0, |set, id| set | id.bit());
                assert_eq!(kernel.down_for(MANAGER), down, "kept, and found by a search");
                assert!(kernel.no_deadline_before() <= kernel.next_deadline());
                let has = kernel.has_actions();
                let actions = &kernel.take_actions();
                assert_eq!(has, *actions != Actions::default());
                assert!(ALL.iter().all(|id| actions.load & id.bit() == 0 || state(kernel, *id).alive()));
            }
        });
    }
}
