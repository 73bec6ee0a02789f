//! The crash campaign, and the proofs that it can fail.

use koboshi_host::journal::Depth;
use koboshi_host::strike::How;
use koboshi_host_tests::campaign::{Extent, Report, campaign, replay};
use koboshi_host_tests::scenario::{all, named, run};
use koboshi_host_tests::soak::{Plan, soak};
use koboshi_host_tests::system::{DRIVER, MANAGER, MONITOR, SOS, Setup};
use koboshi_host_tests::verdict::{Comparison, Verdict, compare};
use koboshi_host_tests::wrong_driver;

fn silent(_: usize, _: usize) {}

#[test]
fn without_strikes_every_scenario_is_exact() {
    for scenario in all() {
        let outcome = run(&scenario, vec![], None, Depth::Last(300));
        assert_eq!(outcome.verdict, Verdict::Exact, "{}: {:?}\n{}", scenario.name, outcome, outcome.journal);
    }
}

#[test]
fn a_part_of_the_campaign_loses_repeats_and_blocks_nothing() {
    let report = campaign(&all(), &Extent::QUICK, &silent);
    assert!(report.good(), "{report}");
    assert!(report.applied() > 3_000, "{report}");
}

#[test]
fn a_driver_that_counts_before_it_writes_is_caught() {
    let mut scenario = named("transmit").expect("there is a scenario of this name");
    scenario.setup.driver = Some(wrong_driver::linked());
    let extent = Extent { stride: 1, pairs: 0, seed: 1 };
    let report = campaign(&[scenario], &extent, &silent);
    assert!(report.complaints.is_empty(), "without strikes it works: {report}");
    assert!(report.with(Verdict::Lost) + report.with(Verdict::Stuck) > 0, "{report}");
    assert!(!report.good());
    let failure = report.failures.first().expect("a bad run is kept");
    assert!(failure.replay(report.seed).starts_with("cargo koboshi test crash --replay transmit,"));
}

#[test]
fn a_core_that_skips_sealing_is_caught() {
    let mut scenario = named("transmit").expect("there is a scenario of this name");
    scenario.unsealed = true;
    let report = campaign(&[scenario], &Extent { stride: 97, pairs: 0, seed: 1 }, &silent);
    assert!(report.complaints.is_empty(), "without strikes it works: {report}");
    assert!(report.bad() > 0, "{report}");
}

#[test]
fn a_campaign_whose_strikes_come_to_nothing_is_no_proof() {
    assert!(!Report { planned: 10, ..Report::default() }.good());
    assert!(!Report::default().good());
}

#[test]
fn a_failed_run_can_be_replayed_with_its_log() {
    let (good, told) = replay("transmit,crash,2,300,1").expect("a replay of this form");
    assert!(good, "{told}");
    assert!(told.contains("scif-driver struck at its point 300: Crash"), "{told}");
    assert!(told.contains("scif-driver ended"), "{told}");
    for wrong in ["transmit", "nothing,crash,2,1,1", "transmit,crash,9,1,1", "transmit,crash,2,x,1"] {
        assert!(replay(wrong).is_err());
    }
}

#[test]
fn the_same_run_has_the_same_log() {
    let scenario = named("both-rts-cts").expect("there is a scenario of this name");
    let strike = koboshi_host::strike::Strike::Hang;
    let plan = vec![koboshi_host::strike::Planned { component: DRIVER, after_points: 700, strike }];
    let [first, second] = [0, 1].map(|_| run(&scenario, plan.clone(), None, Depth::All).journal);
    assert!(first.len() > 1_000);
    assert_eq!(first, second);
}

#[test]
fn a_minute_of_knocks_in_every_way_is_exact_and_repeats_itself() {
    let plan = Plan {
        setup: Setup { flow: true, ..Setup::default() },
        whom: vec![DRIVER, SOS, MANAGER, MONITOR],
        how: How::ALL.to_vec(),
        every: 100_000_000,
        time: 60_000_000_000,
        journal: Depth::Last(2_000),
    };
    let began = std::time::Instant::now();
    let first = soak(&plan);
    println!("60 s of platform time took {:?}; {} turns", began.elapsed(), first.turns);
    assert!(first.exact(), "{first:?}");
    assert!(first.knocks >= 500 && first.incidents >= 400, "{} knocks, {} incidents", first.knocks, first.incidents);
    assert_eq!(first.journal, soak(&plan).journal);
}

#[test]
fn each_way_of_falling_is_exact_at_both_rates() {
    for baud in [115_200, 1_000_000] {
        for how in How::ALL {
            let plan = Plan {
                setup: Setup { flow: true, baud, ..Setup::default() },
                whom: vec![DRIVER],
                how: vec![how],
                every: 100_000_000,
                time: 3_000_000_000,
                journal: Depth::Last(60),
            };
            let result = soak(&plan);
            assert!(result.exact(), "{baud} baud, {how:?}: {result:?}");
            assert!(result.incidents >= 10, "{baud} baud, {how:?}: only {} incidents", result.incidents);
        }
    }
}

#[test]
fn the_judge_tells_loss_repetition_and_invention_apart() {
    let sent = [1, 2, 3, 4, 5, 6];
    assert!(compare(&sent, &sent).exact());
    assert_eq!(compare(&sent, &[1, 2, 4, 5, 6]), Comparison { lost: 1, repeated: 0, wrong: 0 });
    assert_eq!(compare(&sent, &[1, 2, 2, 3, 4, 5, 6]), Comparison { lost: 0, repeated: 1, wrong: 0 });
    assert_eq!(compare(&sent, &[1, 2, 3, 9, 4, 5, 6]), Comparison { lost: 0, repeated: 0, wrong: 1 });
    assert_eq!(compare(&sent, &[]), Comparison { lost: 6, repeated: 0, wrong: 0 });
}
