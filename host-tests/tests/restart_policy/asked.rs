//! What the restart manager does when it is asked.

use super::*;

#[test]
fn a_report_ends_the_run_that_it_names_and_no_later_one() {
    let mut house = House::new(&each_alone());
    let run = run_of(&house, DRIVER);
    for why in [Complaint::Late, Complaint::BadMessage, Complaint::RuleBroken] {
        assert_eq!(house.ask(report(run, why)), Told::Done(Ok(())));
        assert_eq!(house.epochs(), [1, 2, 1]);
    }
    assert_eq!(house.ends(DRIVER)[0].1, Fault::Late);
    let noticed = house.machine.incidents(0).1[0].noticed;
    assert_eq!(noticed, Noticed::Reported { by: WATCHER, to: MANAGER }, "the incident names who reported it");
    let Told::States(Ok(health)) = house.ask(Ask::States(DRIVER.0)) else { panic!("it is there") };
    assert_eq!(health.fault, Some(health::Fault::Late));
    let bad = report(run_of(&house, DRIVER), Complaint::BadMessage);
    house.ask(bad);
    assert_eq!(house.ends(DRIVER)[1].1, Fault::BadMessage);
}

#[test]
fn a_restart_is_of_the_run_that_it_names_and_of_nobody_else() {
    let mut house = House::new(&all_together(Strategy::OneForAll));
    let run = run_of(&house, DRIVER);
    for _ in 0..3 {
        assert_eq!(house.ask(Ask::Restart(run)), Told::Done(Ok(())));
        assert_eq!(house.epochs(), [1, 2, 1]);
    }
}

#[test]
fn whoever_was_stopped_stays_stopped_until_it_is_started() {
    let mut house = House::new(&all_together(Strategy::OneForAll));
    for _ in 0..2 {
        assert_eq!(house.ask(Ask::Stop(OTHER.0)), Told::Done(Ok(())));
        assert_eq!(house.state(OTHER), State::Stopped);
    }
    house.machine.knock(DRIVER, How::Panic);
    house.run(100 * MS);
    assert_eq!(house.epochs(), [2, 2, 1]);
    for _ in 0..2 {
        assert_eq!(house.ask(Ask::Start(OTHER.0)), Told::Done(Ok(())));
        assert_eq!(house.epochs(), [2, 2, 2]);
    }
}

#[test]
fn a_reboot_on_demand_leaves_a_newer_group_alone() {
    let mut house = House::new(&sos_and_drivers());
    let reboot = Ask::Reboot(Reboot { group: 1, at_or_before: 1 });
    for _ in 0..3 {
        assert_eq!(house.ask(reboot), Told::Done(Ok(())));
        assert_eq!(house.epochs(), [2, 2, 2]);
    }
    let next = Ask::Reboot(Reboot { group: 1, at_or_before: 2 });
    assert_eq!(house.ask(next), Told::Done(Ok(())));
    assert_eq!(house.epochs(), [3, 3, 3]);
}

#[test]
fn whoever_does_not_exist_is_named_as_such_and_whoever_is_out_of_reach_too() {
    let mut house = House::new(&each_alone());
    assert_eq!(house.ask(Ask::Stop(99)), Told::Done(Err(Denied::NoSuch)));
    assert_eq!(house.ask(Ask::Reboot(Reboot { group: 9, at_or_before: 99 })), Told::Done(Err(Denied::NoSuch)));
    assert_eq!(house.ask(Ask::States(99)), Told::States(Err(NoSuch)));
    assert_eq!(house.ask(Ask::Stop(MANAGER.0)), Told::Done(Err(Denied::NotAllowed)));
}

#[test]
fn health_shows_states_and_incidents() {
    let mut house = House::new(&each_alone());
    house.machine.knock(DRIVER, How::Panic);
    house.run(10 * MS);
    let Told::States(Ok(health)) = house.ask(Ask::States(DRIVER.0)) else { panic!("it is there") };
    let expected = Health { state: health::State::Running, epoch: 2, restarts: 1, fault: Some(health::Fault::Panic) };
    assert_eq!(health, expected);
    let Told::Incidents(Some(incident)) = house.ask(Ask::Incidents(0)) else { panic!("there was one") };
    assert_eq!((incident.sequence, incident.ended.epoch, incident.fault), (0, 1, health::Fault::Panic));
    assert!(matches!(incident.outcome, Outcome::Recovered { epoch: 2, took: 1..100_000 }), "{:?}", incident.outcome);
    assert_eq!(house.ask(Ask::Incidents(1)), Told::Incidents(None));
    house.mood(OTHER, Mood::Broken);
    house.machine.knock(OTHER, How::Panic);
    house.run(S);
    let Told::Incidents(Some(last)) = house.ask(Ask::Incidents(3)) else { panic!("the fourth death of this group") };
    assert_eq!(last.outcome, Outcome::GivenUp);
}
