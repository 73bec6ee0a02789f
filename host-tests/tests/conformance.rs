//! The rules that every platform keeps, on the host: plainly, under strikes, and with ends that are wrong on purpose.

use koboshi_conformance::Flaw;
use koboshi_core::ComponentId;
use koboshi_host::strike::{Planned, Strike};
use koboshi_host_tests::conformance::{EVERYBODY, MANAGER, Report, SUBJECT, Suite, TESTER, WrongEnd, run};

/// The rules that must be tried. It is not read from the suite, so that no rule gets lost there.
const RULES: [&str; 53] = [
    "r1-each-request-gets-its-own-answer",
    "r1-what-is-answered-twice-is-answered-once",
    "r1-pure-in-hand-is-answered-later",
    "r1-idempotent-in-hand-is-run-again-and-told-so",
    "r1-resumable-goes-on-where-it-was",
    "r1-resumable-outlives-death-after-death",
    "r1-at-most-once-not-yet-done-is-interrupted",
    "r1-at-most-once-already-done-is-interrupted",
    "r1-what-was-answered-is-not-offered-again",
    "r1-what-was-not-taken-is-no-replay",
    "r1-two-deaths-in-a-row-poison",
    "r1-poisoned-says-how-far-it-came",
    "r1-deaths-of-two-requests-poison-neither",
    "r2-answers-come-in-order",
    "r2-order-is-kept-across-deaths",
    "r2-a-stream-loses-and-repeats-nothing",
    "r2-a-full-stream-makes-its-publisher-wait",
    "r2-a-full-ring-makes-its-sender-wait",
    "r3-a-deadline-ends-the-wait-not-the-request",
    "r3-late-at-most-once-may-have-happened",
    "r3-an-expired-request-is-not-replayed",
    "r3-a-cancelled-request-is-not-run",
    "r3-a-send-that-expires-sends-nothing",
    "r3-an-item-that-expires-is-not-published",
    "r3-waits-for-work-have-no-deadline",
    "r4-an-unreadable-reply-is-its-servers-fault",
    "r4-an-unreadable-reply-ends-at-most-once",
    "r4-a-forged-reply-is-its-servers-fault",
    "r4-wild-positions-of-a-server-harm-nobody",
    "r4-an-answer-to-nothing-answers-nothing",
    "r4-an-unreadable-item-is-its-publishers-fault",
    "r4-a-forged-item-is-its-publishers-fault",
    "r4-an-unreadable-request-is-refused",
    "r4-a-forged-request-is-refused",
    "r4-a-request-out-of-turn-is-its-clients-fault",
    "r4-wild-positions-of-a-client-harm-itself-only",
    "r4-a-wild-position-of-a-consumer-harms-itself-only",
    "r5-a-peer-learns-of-a-new-epoch",
    "r5-a-client-that-dies-claims-its-requests",
    "r5-a-client-that-dies-may-cancel",
    "r5-a-reply-stays-until-it-is-settled",
    "r5-what-was-moved-is-not-moved-again",
    "r5-a-half-filled-slot-outlives-its-owner",
    "r5-both-sides-may-die",
    "r5-the-restart-manager-may-die-too",
    "r6-a-hang-is-noticed",
    "r6-busy-is-not-stuck",
    "r6-late-is-reported-and-mended",
    "life-every-end-is-a-fault-with-its-name",
    "life-epochs-grow-by-one",
    "life-memory-is-reset-and-kept-state-stays",
    "life-a-stopped-server-is-gone-until-started",
    "life-who-dies-too-often-is-given-up",
];

fn flawed(flaw: Flaw) -> Report {
    run(&Suite { flaw, ..Suite::default() })
}

fn wrong_end(wrong_end: WrongEnd) -> Report {
    run(&Suite { wrong_end, ..Suite::default() })
}

fn assert_only_noticed_by(report: &Report, rules: &[&str]) {
    for rule in rules {
        assert!(report.fails(rule), "{rule} does not notice it: {:#?}", report.wrong(&RULES));
    }
}

#[test]
fn every_rule_holds() {
    let report = run(&Suite::default());
    assert!(report.wrong(&RULES).is_empty(), "{:#?}", report.wrong(&RULES));
    assert_eq!(report.lines.len(), RULES.len());
}

#[test]
fn two_runs_are_the_same_to_the_last_event() {
    let suite = Suite { journal: true, ..Suite::default() };
    assert!(run(&suite).journal == run(&suite).journal);
}

/// Strikes a component at every so-many-th of its points, one run each.
fn strike_at_many_points(component: ComponentId, strike: Strike, stride: usize) {
    let points = run(&Suite::default()).points[component.index()];
    let mut carried_out = 0;
    let mut wrong = vec![];
    for after_points in (1..=points).step_by(stride) {
        let report = run(&Suite { plan: vec![Planned { component, after_points, strike }], ..Suite::default() });
        carried_out += report.struck.len();
        wrong.extend(report.wrong(&RULES).into_iter().map(|text| format!("point {after_points}: {text}")));
    }
    println!("{component:?}: {points} points, {carried_out} strikes");
    assert!(wrong.is_empty(), "{} of {carried_out}: {:#?}", wrong.len(), &wrong[..wrong.len().min(20)]);
    assert!(carried_out > 50, "only {carried_out} strikes were carried out");
}

#[test]
fn every_rule_holds_when_the_subject_dies_at_any_point_besides() {
    strike_at_many_points(SUBJECT, Strike::Crash, 7);
}

#[test]
fn every_rule_holds_when_the_tester_dies_at_any_point_besides() {
    strike_at_many_points(TESTER, Strike::Crash, 13);
}
