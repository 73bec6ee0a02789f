//! Deaths, strategies and escalation, and that a run is the same each time.

use super::*;

#[test]
fn the_manager_starts_everybody_at_boot() {
    let mut house = House::dark(&each_alone());
    for id in DOLLS {
        assert_eq!(house.state(id), State::Absent);
    }
    house.run(MS);
    assert_eq!(house.epochs(), [1, 1, 1]);
}

#[test]
fn a_doll_that_works_stands_up_again_within_a_hundred_microseconds() {
    let mut house = House::new(&each_alone());
    house.keep_busy(DRIVER);
    house.run(10 * MS);
    house.machine.knock(DRIVER, How::Panic);
    house.run(10 * MS);
    assert_eq!(house.epochs(), [1, 2, 1]);
    let (died, fault) = house.ends(DRIVER)[0];
    assert_eq!(fault, Fault::Panic);
    let took = house.starts(DRIVER)[1] - died;
    assert!(took <= 100_000, "{took} ns");
}

#[test]
fn fruitless_deaths_are_followed_by_pauses_that_double_up_to_the_longest() {
    let mut house = House::new(&[Group { intensity: 6, ..group(&[0, 1, 2]) }]);
    house.mood(DRIVER, Mood::Broken);
    house.machine.knock(DRIVER, How::Panic);
    house.run(S);
    let starts = house.starts(DRIVER);
    let pauses: Vec<u64> =
        house.ends(DRIVER).iter().zip(&starts[1..]).map(|((died, _), started)| (started - died) / MS).collect();
    assert_eq!(pauses, [0, 10, 20, 40, 40, 40]);
    assert_eq!(house.state(DRIVER), State::GivenUp);
}

#[test]
fn a_doll_in_backoff_is_shown_as_such() {
    let mut house = House::new(&each_alone());
    house.mood(DRIVER, Mood::Broken);
    house.machine.knock(DRIVER, How::Panic);
    house.run(6 * MS);
    assert_eq!(house.state(DRIVER), State::Backoff);
    house.mood(DRIVER, Mood::Well);
    house.run(20 * MS);
    assert_eq!(house.state(DRIVER), State::Running);
}

#[test]
fn a_doll_that_is_given_up_leaves_its_clients_with_a_clear_error_and_the_others_alone() {
    let mut house = House::new(&each_alone());
    house.keep_busy(OTHER);
    house.mood(DRIVER, Mood::Broken);
    house.machine.knock(DRIVER, How::Panic);
    house.keep_busy(DRIVER);
    house.run(S);
    assert_eq!(house.state(DRIVER), State::GivenUp);
    assert!(house.shared(|shared| shared.gone[DRIVER.index()]) > 0, "the client waits on");
    assert_eq!(house.epochs(), [1, 4, 1]);
    assert!(house.shared(|shared| shared.answers[OTHER.index()]) > 0);
}

#[test]
fn a_doll_that_is_started_again_after_it_was_given_up_serves_its_clients() {
    let mut house = House::new(&each_alone());
    house.mood(DRIVER, Mood::Broken);
    house.machine.knock(DRIVER, How::Panic);
    house.run(S);
    assert_eq!(house.ask(Ask::Restart(run_of(&house, DRIVER))), Told::Done(Err(Denied::GivenUp)));
    assert_eq!(house.ask(Ask::Stop(DRIVER.0)), Told::Done(Err(Denied::GivenUp)));
    house.mood(DRIVER, Mood::Well);
    assert_eq!(house.ask(Ask::Start(DRIVER.0)), Told::Done(Ok(())));
    house.keep_busy(DRIVER);
    house.run(20 * MS);
    assert!(house.shared(|shared| shared.answers[DRIVER.index()]) > 0);
}

#[test]
fn a_doll_that_falls_over_after_each_answer_is_started_two_hundred_times_a_second() {
    let mut house = House::new(&each_alone());
    house.keep_busy(DRIVER);
    house.mood(DRIVER, Mood::Tired);
    house.machine.knock(DRIVER, How::Panic);
    house.run(5 * S);
    let restarts = house.starts(DRIVER).len();
    assert!((900..=1_017).contains(&restarts), "{restarts} in 5 s");
    assert_ne!(house.state(DRIVER), State::GivenUp);
    assert!(house.shared(|shared| shared.answers[DRIVER.index()]) >= 900, "each life gives one answer");
}

#[test]
fn one_for_all_restarts_everybody_once() {
    let mut house = House::new(&all_together(Strategy::OneForAll));
    house.machine.knock(DRIVER, How::Panic);
    house.run(S);
    assert_eq!(house.epochs(), [2, 2, 2]);
    assert_eq!(house.ends(SOS).iter().map(|(_, fault)| *fault).collect::<Vec<_>>(), [Fault::Told]);
}

#[test]
fn rest_for_one_restarts_those_after_the_one_who_died_once() {
    let mut house = House::new(&all_together(Strategy::RestForOne));
    house.machine.knock(DRIVER, How::Panic);
    house.run(S);
    assert_eq!(house.epochs(), [1, 2, 2]);
}

#[test]
fn a_broken_driver_takes_its_sos_along_and_then_the_image() {
    let mut house = House::new(&sos_and_drivers());
    house.keep_busy(SOS);
    house.mood(DRIVER, Mood::Broken);
    house.machine.knock(DRIVER, How::Panic);
    house.run(150 * MS);
    assert_eq!(house.machine.reboots(), 0);
    assert_eq!(house.facts(SOS).epoch, 2, "SOS is rebooted once so far");
    assert_eq!(house.facts(OTHER).epoch, 2, "and its other driver with it");
    while house.machine.reboots() == 0 {
        house.run(10 * MS);
        assert!(house.machine.now() < S, "it never comes to the image");
    }
    assert_eq!(house.facts(WATCHER).epoch, 2);
    let reboots_of_sos = house.ends(SOS).iter().filter(|(_, fault)| *fault == Fault::Told).count();
    assert_eq!(reboots_of_sos, 2, "the intensity of its group");
    house.mood(DRIVER, Mood::Well);
    house.run(S);
    assert_eq!(house.machine.reboots(), 1);
    assert!(DOLLS.iter().all(|id| house.state(*id) == State::Running));
}

#[test]
fn the_same_image_gives_the_same_run() {
    let run = || {
        let mut house = House::new(&sos_and_drivers());
        house.mood(DRIVER, Mood::Broken);
        house.machine.knock(DRIVER, How::Panic);
        house.run(S);
        house.machine.journal().to_string()
    };
    assert_eq!(run(), run());
}

#[test]
fn what_the_manager_keeps_between_two_waits_fits_into_what_its_manifest_says() {
    let linked = Linked::new(&koboshi_restart_manager::DESCRIPTION, koboshi_restart_manager::start);
    assert!(linked.size() <= 8 * 1_024, "{} bytes", linked.size());
}
