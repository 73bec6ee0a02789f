//! The fuel campaign, and the proofs that it can fail.
#![allow(missing_docs, reason = "the names of tests say what they say")]

use koboshi_host_tests::fuel::{Extent, Report, Subject, campaign, replay};
use koboshi_host_tests::modules::{Part, module};
use koboshi_host_tests::scenario::{Outcome, Scenario, named};

fn silent(_: usize, _: usize) {}

fn scenario(name: &str) -> Scenario {
    named(name).expect("there is a scenario of this name")
}

/// The same with few bytes, as in a build that is not optimised each run takes some milliseconds.
fn short(name: &str) -> Scenario {
    let scenario = scenario(name);
    Scenario { out: scenario.out.min(BYTES), back: scenario.back.min(BYTES), ..scenario }
}

const BYTES: usize = 40;

fn subject(scenario: Scenario) -> Subject {
    Subject::of(scenario).expect("it has one driver").unwrap_or_else(|trouble| panic!("{trouble}"))
}

#[test]
fn a_driver_that_is_ended_after_every_amount_of_fuel_loses_and_repeats_nothing() {
    let each = campaign(&[subject(short("transmit"))], Extent::FULL, 1, &silent);
    assert!(each.good(), "{each}");
    let (once, again) = each.all();
    assert_eq!((once.covered, once.runs()), (once.amounts, once.stops));
    assert!(once.amounts > 30_000 && once.stops > 400, "{each}");
    // And its successor, wherever that makes a difference, after each of them that makes one.
    assert_eq!((again.covered, again.runs()), (again.amounts, again.different));
    assert!(again.runs() > 5 * once.different, "{each}");
    let different = campaign(&[subject(short("transmit"))], Extent::QUICK, 1, &silent);
    assert!(different.good() && different.all().0.runs() == once.different, "{different}");
    assert_eq!(different.all().0.covered, once.amounts);
    assert!(different.all().1.runs() > 0);
}

#[test]
fn a_core_that_skips_sealing_is_caught() {
    let unsealed = subject(Scenario { unsealed: true, ..short("transmit") });
    let report = campaign(&[unsealed], Extent::SAMPLE, 1, &silent);
    assert!(report.complaints.is_empty(), "without an end it works: {report}");
    assert!(report.bad() > 0 && !report.good(), "{report}");
    let failure = report.failures.first().expect("a bad run is kept");
    assert!(failure.replay().starts_with("cargo koboshi test fuel --replay transmit,"));
}

#[test]
fn an_end_that_does_not_wait_for_a_window_is_caught() {
    // A byte's move and its count are two things, and a stop lies between them: each byte would be lost, or repeated.
    let lost = |outcome: &Outcome| outcome.back.lost == 1;
    let repeated = |outcome: &Outcome| outcome.out.repeated == 1;
    for (name, wrong) in [("receive", &lost as &dyn Fn(&Outcome) -> bool), ("transmit", &repeated)] {
        let right = subject(short(name));
        let heedless = Subject { module: right.module.clone().heedless(), ..right };
        let report = campaign(&[heedless], Extent { again: 0, ..Extent::FULL }, 1, &silent);
        assert!(report.bad() >= BYTES && !report.good(), "{report}");
        assert!(report.failures.iter().all(|failure| wrong(&failure.outcome)), "{report}");
        // And that a window makes its stops alike is looked at, not believed.
        assert!(report.complaints.iter().any(|text| text.contains("is not like its neighbours")), "{report}");
    }
}

#[test]
fn a_campaign_that_leaves_amounts_out_or_begins_with_what_does_not_work_is_no_proof() {
    assert!(!Report::default().good());
    let sample = campaign(&[subject(scenario("transmit"))], Extent::SAMPLE, 1, &silent);
    assert!(sample.bad() == 0 && sample.all().0.covered < sample.all().0.amounts, "{sample}");
    assert!(!sample.good());
    let other_chip = Subject { part: Part::Scif, module: module(Part::Ns16550), ..subject(scenario("transmit")) };
    let report = campaign(&[other_chip], Extent::FULL, 1, &silent);
    assert!(report.runs() == 0 && !report.good(), "{report}");
    assert!(report.to_string().contains("without any end; its runs say nothing"), "{report}");
}

#[test]
fn a_failed_run_can_be_replayed_with_its_log() {
    let (good, told) = replay("transmit,100000").expect("a replay of this form");
    assert!(good, "{told}");
    assert!(told.contains("scif-driver ended, epoch 1: told to") && told.contains("ended after ["), "{told}");
    let (good, told) = replay("transmit,100000,104000").expect("a replay of two ends");
    assert!(good && told.contains("scif-driver ended, epoch 2: told to"), "{told}");
    for wrong in ["transmit", "nothing,1", "transmit,x", "transmit,999999999", "transmit,1,999999999"] {
        assert!(replay(wrong).is_err(), "{wrong}");
    }
}
