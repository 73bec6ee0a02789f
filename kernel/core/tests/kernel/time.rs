//! Time, and R6.

use super::*;

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
