//! The life of a component, and of the image.

use super::*;

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
fn a_reboot_does_not_forget_who_was_given_up() {
    running(|kernel, _, _| {
        kernel.command(SERVER, Command::GiveUp, 1).unwrap();
        kernel.take_actions();
        kernel.reboot(2);
        assert_eq!(ALL.map(|id| state(kernel, id) == State::GivenUp), ALL.map(|id| id == SERVER));
        kernel.take_actions();
        kernel.reboot(3);
        assert_eq!(state(kernel, SERVER), State::GivenUp, "nor does a second one");
        kernel.start(SERVER, Begin::Fresh, 4).unwrap();
        kernel.reboot(5);
        assert_eq!(state(kernel, SERVER), State::Absent, "a person has had it started since");
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
        swappable: None,
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
