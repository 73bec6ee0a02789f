//! Whole systems of modules: exact as they are linked in, and ended for real.
#![allow(missing_docs, reason = "the names of tests say what they say")]

use std::collections::BTreeSet;

use koboshi_core::ComponentId;
use koboshi_core::life::Fault;
use koboshi_host::journal::{Depth, Event};
use koboshi_host::machine::{Machine, Options};
use koboshi_host::module::{Meter, Module, TURN};
use koboshi_host::strike::How;
use koboshi_host::testing;
use koboshi_host_tests::modules::{Part, as_modules, driver_of, linked, module};
use koboshi_host_tests::scenario::{Scenario, all, named, run};
use koboshi_host_tests::soak::{Plan, soak};
use koboshi_host_tests::system::{DRIVER, EVERYBODY, MONITOR, SOS, Setup};
use koboshi_host_tests::verdict::Verdict;
use koboshi_hostile::faller::Fall;

const MS: u64 = 1_000_000;

fn of_modules(scenario: &Scenario, change: &dyn Fn(ComponentId, Module) -> Module) -> Scenario {
    Scenario { setup: as_modules(&scenario.setup, change), ..scenario.clone() }
}

fn plan(whom: Vec<ComponentId>, how: &[How]) -> Plan {
    Plan {
        setup: as_modules(&Setup { flow: true, ..Setup::default() }, &|_, module| module),
        whom,
        how: how.to_vec(),
        every: 50 * MS,
        time: 400 * MS,
        journal: Depth::All,
    }
}

#[test]
fn every_scenario_is_exact_with_everybody_a_module_and_a_twentieth_of_the_fuel() {
    for scenario in all().into_iter().filter(|scenario| driver_of(&scenario.setup).is_some()) {
        let little = of_modules(&scenario, &|_, module| module.with_turn(TURN / 20));
        let outcome = run(&little, vec![], None, Depth::All);
        assert_eq!(outcome.verdict, Verdict::Exact, "{}: {:?}", scenario.name, outcome.panics);
        assert!(!outcome.journal.contains("run-away"), "{}", scenario.name);
        assert_eq!(outcome.points.iter().sum::<u64>(), 0, "modules have no numbered points");
    }
}

#[test]
fn knocks_in_all_ways_are_real_and_lose_and_repeat_nothing() {
    let everybody = [(How::Panic, "panic"), (How::Hang, "run-away"), (How::Exit, "exit")];
    // What ends one that answers nothing is up to who waits for it.
    let servers = [(How::BadMessage, "bad message"), (How::DropReply, "")];
    let keepers = [(How::CorruptState, "panic")];
    for (whom, ways) in [
        (DRIVER, [&everybody[..], &servers, &keepers].concat()),
        (SOS, [&everybody[..], &servers].concat()),
        (MONITOR, everybody.to_vec()),
    ] {
        for (how, fault) in ways {
            let mut plan = plan(vec![whom], &[how]);
            if how == How::DropReply {
                // It takes longer than that until somebody notices, also where all are linked in.
                (plan.every, plan.time) = (250 * MS, 2_000 * MS);
            }
            let result = soak(&plan);
            assert!(
                result.exact(),
                "{whom:?}, {how}: {:?}",
                (&result.out, &result.back, result.announced, &result.panics)
            );
            assert!(result.knocks > 5 && result.incidents > 3, "{whom:?}, {how}: {} incidents", result.incidents);
            assert!(result.journal.contains(&format!(": {fault}")), "{whom:?}, {how}: no {fault}");
        }
    }
}

#[test]
fn the_same_happens_each_time() {
    let journal = || soak(&plan(vec![DRIVER, SOS], &How::ALL)).journal;
    let (first, second) = (journal(), journal());
    assert!(first.lines().count() > 1_000);
    assert!(first == second);
}

/// Runs the scenario with a component ended after each of so many amounts of fuel, evenly apart: the amounts and verdicts.
fn ended_after_fuel(scenario: &Scenario, whom: ComponentId, times: u64) -> Vec<(u64, Verdict)> {
    let metered = |meter: &Meter| {
        let meter = meter.clone();
        of_modules(scenario, &move |id, module| if id == whom { module.with_meter(meter.clone()) } else { module })
    };
    let meter = Meter::default();
    let _outcome = run(&metered(&meter), vec![], None, Depth::None);
    let used = meter.used();
    assert!(used > 10_000, "{used}");
    let one = |number: u64| {
        let fuel = used * number / times;
        let meter = Meter::default();
        meter.end_at(fuel);
        let outcome = run(&metered(&meter), vec![], None, Depth::None);
        (fuel, outcome.verdict)
    };
    (0..times).map(one).collect()
}

#[test]
fn an_end_after_any_amount_of_fuel_loses_and_repeats_nothing() {
    let scenario = named("transmit").expect("there is a scenario of this name");
    for whom in EVERYBODY {
        let verdicts = ended_after_fuel(&scenario, whom, 60);
        // A driver that is ended while it sets its device for the first time says that.
        let exact = verdicts.iter().filter(|(_, verdict)| *verdict == Verdict::Exact).count();
        assert!(verdicts.iter().all(|(_, verdict)| verdict.good()) && exact > 50, "{whom:?}: {verdicts:?}");
    }
}

#[test]
fn whoever_falls_for_real_ends_as_what_it_was_and_begins_with_new_memory() {
    for (fall, fault, says) in [
        (Fall::Stack, Fault::Stack, ""),
        (Fall::Loop, Fault::RunAway, ""),
        (Fall::Write(0x7fff_fff0), Fault::Access { address: 0 }, ""),
        (Fall::Panic, Fault::Panic, "components/hostile/src/faller.rs:"),
        (Fall::Index(70), Fault::Panic, "components/hostile/src/faller.rs:"),
        (Fall::Exit, Fault::Exit, ""),
    ] {
        let faller = linked(Part::Faller, &module(Part::Faller));
        let mut image = testing::image(vec![faller]);
        image.components[0].configuration = postcard::to_stdvec(&fall).expect("it is short");
        let mut machine =
            Machine::new(&image, Options { journal: Depth::All, ..Options::default() }).expect("an image");
        testing::run(&mut machine, 2 * MS);
        let journal = machine.journal();
        let ends = journal.events().filter_map(|(_, event)| match event {
            Event::Ended { fault, .. } => Some(*fault),
            _ => None,
        });
        let ends: Vec<_> = ends.collect();
        assert!(ends.len() > 5 && ends.iter().all(|found| *found == fault), "{fall:?}: {ends:?}");
        let said = journal.events().filter_map(|(_, event)| match event {
            Event::Log { text, .. } if text.starts_with("found") => Some(text.as_str()),
            _ => None,
        });
        let said: BTreeSet<_> = said.collect();
        assert_eq!(said, BTreeSet::from(["found 0 and 7"]), "{fall:?}");
        assert!(machine.panics().iter().all(|text| text.contains(says)), "{fall:?}: {:?}", machine.panics());
        assert_eq!(machine.panics().is_empty(), says.is_empty(), "{fall:?}");
        let place = machine.incidents(0).1[0].at;
        assert_eq!((place.line > 0, place.file().ends_with("faller.rs")), (!says.is_empty(), !says.is_empty()));
    }
}
