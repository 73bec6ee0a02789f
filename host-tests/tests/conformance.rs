//! The rules that every platform keeps, on the host: plainly, under strikes, and with ends that are wrong on purpose.

use koboshi_conformance::Flaw;
use koboshi_host_tests::conformance::{RULES, STRIKES, Strikes, Suite, WrongEnd, run};

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

/// Strikes of one kind, at as many points as there is time for in a test.
fn assert_holds_under(strikes: Strikes) {
    let (carried_out, wrong) = strikes.carry_out(strikes.stride, &RULES);
    assert!(wrong.is_empty(), "{} with {carried_out} strikes: {:#?}", wrong.len(), &wrong[..wrong.len().min(20)]);
    assert!(carried_out > 200, "only {carried_out} strikes were carried out");
}

#[test]
fn every_rule_holds_when_the_subject_dies_at_any_point_besides() {
    assert_holds_under(STRIKES[0]);
}

#[test]
fn every_rule_holds_when_the_subject_dies_twice_besides() {
    assert_holds_under(STRIKES[1]);
}

#[test]
fn every_rule_holds_when_the_subject_hangs_at_any_point_besides() {
    assert_holds_under(STRIKES[2]);
}

#[test]
fn every_rule_holds_when_the_tester_dies_at_any_point_besides() {
    assert_holds_under(STRIKES[3]);
}

#[test]
fn every_rule_holds_when_the_subject_is_ended_at_any_point_of_the_tester() {
    assert_holds_under(STRIKES[4]);
}

#[test]
fn every_rule_holds_when_the_restart_manager_dies_at_any_point_besides() {
    assert_holds_under(STRIKES[5]);
}

/// Something that is wrong on purpose is noticed by these rules.
fn assert_noticed_by(suite: Suite, rules: &[&str]) {
    let report = run(&suite);
    for rule in rules {
        assert!(RULES.contains(rule), "there is no rule {rule}");
        assert!(report.fails(rule), "{rule} does not notice it: {:#?}", report.wrong(&RULES));
    }
}

fn assert_flaw_noticed_by(flaw: Flaw, rules: &[&str]) {
    assert_noticed_by(Suite { flaw, ..Suite::default() }, rules);
}

fn assert_wrong_end_noticed_by(wrong_end: WrongEnd, rules: &[&str]) {
    assert_noticed_by(Suite { wrong_end, ..Suite::default() }, rules);
}

#[test]
fn a_server_that_answers_the_next_request_too_is_noticed() {
    assert_flaw_noticed_by(Flaw::AnswersTwice, &["r1-each-request-gets-its-own-answer"]);
}

#[test]
fn a_server_that_forgets_how_far_it_came_is_noticed() {
    let rules = ["r1-resumable-goes-on-where-it-was", "r1-resumable-outlives-death-after-death"];
    assert_flaw_noticed_by(Flaw::ForgetsProgress, &rules);
}

#[test]
fn a_server_that_does_once_more_what_must_never_be_repeated_is_noticed() {
    assert_flaw_noticed_by(Flaw::RunsAgain, &["r1-at-most-once-already-done-is-interrupted"]);
}

#[test]
fn a_publisher_that_repeats_an_item_is_noticed() {
    let rules = ["r1-resumable-goes-on-where-it-was", "r2-a-stream-loses-and-repeats-nothing"];
    assert_flaw_noticed_by(Flaw::RepeatsItem, &rules);
}

#[test]
fn a_component_that_loses_what_it_kept_is_noticed() {
    assert_flaw_noticed_by(Flaw::ForgetsKept, &["life-memory-is-reset-and-kept-state-stays"]);
}

#[test]
fn a_client_that_consumes_before_it_has_delivered_is_noticed() {
    let rules = ["r5-a-reply-stays-until-it-is-settled", "r5-what-was-moved-is-not-moved-again"];
    assert_flaw_noticed_by(Flaw::ConsumesFirst, &rules);
}

#[test]
fn a_kernel_that_takes_everything_for_repeatable_is_noticed() {
    let rules = ["r1-at-most-once-not-yet-done-is-interrupted", "r1-at-most-once-already-done-is-interrupted"];
    assert_wrong_end_noticed_by(WrongEnd::Repeatable, &rules);
}

#[test]
fn a_kernel_that_poisons_nothing_is_noticed() {
    let rules = ["r1-two-deaths-in-a-row-poison", "r1-poisoned-says-how-far-it-came"];
    assert_wrong_end_noticed_by(WrongEnd::Forwards, &rules);
}

#[test]
fn a_platform_where_nobody_is_blamed_is_noticed() {
    let rules = ["r4-an-unreadable-reply-is-its-servers-fault", "r4-a-forged-reply-is-its-servers-fault"];
    assert_wrong_end_noticed_by(WrongEnd::NoBlame, &rules);
}

#[test]
fn a_platform_that_notices_a_hang_late_is_noticed() {
    assert_wrong_end_noticed_by(WrongEnd::Patient, &["r6-a-hang-is-noticed"]);
}
