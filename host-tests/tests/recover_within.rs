//! How long a recovery may take, and that a miss is said: in the incident, in the facts, in the Monitor's log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use koboshi_core::incident::{CutShort, Incident};
use koboshi_core::kernel::Command;
use koboshi_core::life::State;
use koboshi_host::journal::{Depth, Event};
use koboshi_host::linked::Linked;
use koboshi_host::machine::{Machine, Options};
use koboshi_host_tests::system::{DRIVER, MANAGER, MONITOR, Setup, image, policy};
use koboshi_restart_manager::policy::Escalation;

const MS: u64 = 1_000_000;

/// What the log says of the driver that falls over: where that is.
const PANIC: &str = " panic at tests/recover_within.rs:";

/// The pause after a second fruitless death in a row, unless a test says otherwise.
const PAUSE_MS: u32 = 20;

/// The system, with a driver that can be told to fall over whenever it is started.
struct House {
    machine: Machine,
    broken: Arc<AtomicBool>,
}

impl House {
    fn new(recover_within: Option<u64>) -> Self {
        House::with_pause(recover_within, PAUSE_MS)
    }

    fn with_pause(recover_within: Option<u64>, pause_ms: u32) -> Self {
        let broken = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&broken);
        let driver = Linked::new(&koboshi_scif_driver::DESCRIPTION, move |start| {
            let broken = asked.load(Ordering::Relaxed);
            async move {
                assert!(!broken, "it falls over");
                koboshi_scif_driver::start(start).await
            }
        });
        let setup = Setup { driver: Some(driver), ..Setup::default() };
        let mut policy = policy(&setup);
        policy.groups[0].intensity = 4;
        policy.groups[0].escalate = Escalation::GiveUp;
        policy.groups[0].backoff_first_ms = pause_ms;
        policy.groups[0].backoff_most_ms = pause_ms;
        let mut image = image(&setup);
        image.components[MANAGER.index()].configuration = postcard::to_stdvec(&policy).unwrap();
        image.components[DRIVER.index()].recover_within = recover_within;
        let options = Options { journal: Depth::All, ..Options::default() };
        let mut house = House { machine: Machine::new(&image, options).unwrap(), broken };
        house.run(5 * MS);
        house
    }

    fn run(&mut self, span: u64) {
        let end = self.machine.now() + span;
        self.machine.run_until(end);
    }

    /// Kills the driver, which falls over again when it is started, and works from then on.
    fn fall_twice(&mut self) {
        self.broken.store(true, Ordering::Relaxed);
        self.machine.kill(DRIVER);
        self.run(MS);
        assert_eq!(self.machine.incidents(0).0, 3, "the one who was told to end, and two who fell over");
        assert_eq!(self.machine.facts(DRIVER).unwrap().state, State::Backoff);
        self.broken.store(false, Ordering::Relaxed);
    }

    fn last_incident(&self) -> Incident {
        *self.machine.incidents(0).1.last().unwrap()
    }

    /// What the Monitor's log says of incidents.
    fn lines(&self) -> Vec<String> {
        let journal = self.machine.journal();
        let of_it = journal.events().filter_map(|(_, event)| match event {
            Event::Log { component: MONITOR, text } if text.starts_with("incident") => Some(text.clone()),
            _ => None,
        });
        of_it.collect()
    }
}

#[test]
fn a_pause_that_makes_a_recovery_late_is_a_miss_and_the_log_says_how_late() {
    let mut house = House::new(Some(5 * MS));
    house.fall_twice();
    house.run(500 * MS);
    let incident = house.last_incident();
    assert!(incident.missed(house.machine.now()));
    let took = incident.took(house.machine.now());
    assert!(took >= u64::from(PAUSE_MS) * MS, "{took} ns from the first death");
    assert_eq!(incident.down_since, house.machine.incidents(0).1[0].failed_at);
    let lines = house.lines();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].ends_with("told to, ended again before it was up"), "{lines:?}");
    assert!(lines[2].contains(PANIC) && lines[2].contains(", up after 20."), "{lines:?}");
    assert!(lines[2].ends_with(" ms, 5 ms were allowed"), "{lines:?}");
}

#[test]
fn the_same_recovery_in_time_is_no_miss() {
    let mut house = House::new(Some(50 * MS));
    house.fall_twice();
    house.run(500 * MS);
    assert!(!house.last_incident().missed(house.machine.now()));
    assert!(!house.lines().iter().any(|line| line.contains("allowed")), "{:?}", house.lines());
}

#[test]
fn without_a_bound_nothing_is_missed() {
    let mut house = House::new(None);
    house.fall_twice();
    house.run(500 * MS);
    assert!(!house.last_incident().missed(u64::MAX));
    assert!(!house.machine.facts(DRIVER).unwrap().overdue(u64::MAX));
    assert!(!house.lines().iter().any(|line| line.contains("allowed")), "{:?}", house.lines());
}

#[test]
fn a_miss_shows_while_it_lasts_and_the_facts_forget_it_when_the_component_is_up() {
    let mut house = House::new(Some(5 * MS));
    house.fall_twice();
    let overdue = |house: &House| house.machine.facts(DRIVER).unwrap().overdue(house.machine.now());
    assert!(!overdue(&house) && !house.last_incident().missed(house.machine.now()), "it has 5 ms");
    house.run(5 * MS);
    assert!(overdue(&house) && house.last_incident().missed(house.machine.now()));
    house.run(100 * MS);
    assert!(!overdue(&house));
    assert!(house.last_incident().missed(house.machine.now()), "it was late");
}

#[test]
fn the_line_of_an_open_incident_waits_until_it_can_say_whether_its_time_was_kept() {
    let last_line = |within| {
        let mut house = House::with_pause(Some(within), 600);
        house.fall_twice();
        house.run(300 * MS);
        assert_eq!(house.lines().len(), 2, "{:?}", house.lines());
        house.run(700 * MS);
        house.lines().pop().unwrap()
    };
    let (late, in_time) = (last_line(400 * MS), last_line(900 * MS));
    assert!(late.contains(PANIC) && late.ends_with(", not up yet, 400 ms were allowed"), "{late}");
    assert!(
        in_time.contains(PANIC) && in_time.contains(", up after 600.") && !in_time.contains("allowed"),
        "{in_time}"
    );
}

#[test]
fn who_is_given_up_did_not_miss_its_time() {
    let mut house = House::new(Some(MS));
    house.broken.store(true, Ordering::Relaxed);
    house.machine.kill(DRIVER);
    house.run(2_000 * MS);
    let incident = house.last_incident();
    assert_eq!(house.machine.facts(DRIVER).unwrap().state, State::GivenUp);
    assert!(matches!(incident.cut_short, Some((CutShort::GivenUp, at)) if at > incident.down_since + MS));
    assert!(!incident.missed(house.machine.now()));
    let lines = house.lines();
    assert!(lines.last().unwrap().contains(PANIC) && lines.last().unwrap().ends_with(", given up"), "{lines:?}");
    // And it stays so when somebody starts it again.
    house.broken.store(false, Ordering::Relaxed);
    house.machine.command(DRIVER, Command::Start).unwrap();
    house.run(100 * MS);
    assert!(!house.last_incident().missed(house.machine.now()));
    assert_eq!(house.last_incident().up_at, None);
}
