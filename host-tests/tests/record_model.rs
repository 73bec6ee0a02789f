//! The port record keeps its rules in every order of steps, and every deliberate mistake is found

use koboshi_host_tests::record_model::{Form, Mistake, Outcome, explore_mistake, report};

fn tell(outcomes: &[Outcome]) {
    for outcome in outcomes {
        println!("{}: {} states within {}", outcome.name, outcome.states, outcome.bound);
        for discovery in &outcome.discoveries {
            println!("  broken: {}\n    {}", discovery.rule, discovery.steps.join("\n    "));
        }
    }
}

#[test]
fn the_record_keeps_its_rules_in_every_order_of_steps() {
    let outcomes = report(Form::Quick);
    tell(&outcomes);
    assert!(outcomes.iter().all(|outcome| outcome.discoveries.is_empty()), "see the steps above");
    assert!(outcomes.iter().all(|outcome| outcome.states > 1000), "a model that goes nowhere proves nothing");
}

#[test]
#[ignore = "takes most of a minute in release: cargo test --release -- --ignored"]
fn the_record_keeps_its_rules_in_every_order_of_steps_within_the_full_bounds() {
    let outcomes = report(Form::Full);
    tell(&outcomes);
    assert!(outcomes.iter().all(|outcome| outcome.discoveries.is_empty()), "see the steps above");
}

#[test]
fn every_deliberate_mistake_is_found() {
    let missed = Mistake::ALL.into_iter().filter(|&mistake| explore_mistake(mistake).discoveries.is_empty());
    assert_eq!(missed.collect::<Vec<_>>(), []);
}

/// The rules that a mistake breaks, so that it is found for its own reason.
fn breaks(mistake: Mistake, rule: &str) {
    let outcome = explore_mistake(mistake);
    tell(std::slice::from_ref(&outcome));
    let found = outcome.discoveries.iter().any(|discovery| discovery.rule == rule);
    assert!(found, "{mistake:?} was expected to break: {rule}");
}

#[test]
fn a_device_step_apart_from_its_count_is_repeated_or_lost() {
    breaks(Mistake::CountsBeforeTheStep, "every step of a resumable request happens once and in order");
    breaks(Mistake::CountsAfterTheStep, "every step of a resumable request happens once and in order");
    breaks(Mistake::CountsThenPushes, "every byte enters the second device once and in order");
    breaks(Mistake::PushesThenCounts, "every byte enters the second device once and in order");
}

#[test]
fn a_death_between_a_store_and_its_doorbell_leaves_the_peer_asleep_unless_the_seal_rings() {
    breaks(Mistake::SealDoesNotRing, "every request ends answered");
    breaks(Mistake::StreamSealDoesNotRing, "every item ends consumed");
}

#[test]
fn a_seal_that_trusts_a_position_more_than_the_slots_blames_the_honest() {
    breaks(Mistake::ClampsConsumedByAnswered, "the seal finds no fault with the honest");
    breaks(Mistake::ClampsTakenBySent, "the seal finds no fault with the honest");
    breaks(Mistake::StreamClampsBySent, "the seal finds no fault with the honest");
}

#[test]
fn an_idempotent_request_that_runs_again_behind_a_later_one_breaks_the_order() {
    breaks(Mistake::ReopensBehindALaterOne, "no effect comes behind that of a later request");
}

#[test]
fn a_server_that_looks_before_it_skips_is_stuck() {
    breaks(Mistake::SkipsAfterLooking, "every request ends answered");
}

#[test]
fn a_router_that_takes_replays_together_replaces_an_interrupted_reply() {
    breaks(Mistake::TakesReplaysTogether, "nothing is overwritten before it was consumed");
}

#[test]
fn a_resumable_request_that_a_router_forwards_again_starts_from_nothing() {
    breaks(Mistake::DoesNotLookBack, "every step of a resumable request happens once and in order");
    breaks(Mistake::ForwardsWhatIsLost, "every step of a resumable request happens once and in order");
    breaks(Mistake::ConsumesBeforeAnswering, "every step of a resumable request happens once and in order");
}

#[test]
fn a_router_that_finds_a_half_written_slot_answers_with_an_old_reply() {
    breaks(Mistake::FindsWhatIsHalfWritten, "what is at a position belongs to that position");
}

#[test]
fn a_router_that_passes_on_what_it_has_not_read_is_blamed_for_ever() {
    breaks(Mistake::PassesOnUnread, "no run goes round in a circle");
}
