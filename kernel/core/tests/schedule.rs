//! Who runs next.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "the names of tests say what they say")]

mod common;

use common::cases;
use koboshi_core::ComponentId;
use koboshi_core::schedule::{MAX_VCPUS, Schedule};
use proptest::prelude::*;

#[test]
fn nobody_runs_when_nobody_is_ready() {
    let mut schedule = Schedule::default();
    assert_eq!((schedule.highest(), schedule.turn()), (None, None));
}

#[test]
fn a_higher_vcpu_always_goes_first() {
    let mut schedule = Schedule::default();
    schedule.ready(2, ComponentId(0));
    schedule.ready(1, ComponentId(9));
    for _ in 0..5 {
        assert_eq!((schedule.highest(), schedule.turn()), (Some(1), Some(ComponentId(9))));
    }
}

#[test]
fn a_vcpu_with_nothing_to_do_gives_way_at_once() {
    let mut schedule = Schedule::default();
    schedule.ready(0, ComponentId(5));
    schedule.ready(7, ComponentId(6));
    schedule.idle(0, ComponentId(5));
    assert_eq!(schedule.turn(), Some(ComponentId(6)));
}

#[test]
fn a_vcpu_that_does_not_exist_is_ignored() {
    let mut schedule = Schedule::default();
    schedule.ready(MAX_VCPUS as u8, ComponentId(1));
    schedule.idle(u8::MAX, ComponentId(1));
    assert_eq!(schedule.turn(), None);
}

#[test]
fn one_that_comes_late_gets_its_turn_before_anybody_has_two_more() {
    let mut schedule = Schedule::default();
    for id in [3, 60, 63] {
        schedule.ready(0, ComponentId(id));
    }
    schedule.turn();
    schedule.ready(0, ComponentId(0));
    let turns: Vec<_> = (0..4).map(|_| schedule.turn().unwrap().0).collect();
    let mut once = turns.clone();
    once.sort_unstable();
    assert_eq!(once, [0, 3, 60, 63], "{turns:?}");
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn turns_go_round_so_that_in_as_many_turns_as_are_ready_each_has_one(ready: u64, before in 0u32..100) {
        let mut schedule = Schedule::default();
        let ids: Vec<_> = (0..64u8).map(ComponentId).filter(|id| ready & id.bit() != 0).collect();
        for id in &ids {
            schedule.ready(3, *id);
        }
        for _ in 0..before {
            schedule.turn();
        }
        let mut turns: Vec<_> = ids.iter().map(|_| schedule.turn().unwrap()).collect();
        turns.sort_unstable();
        prop_assert_eq!(turns, ids);
    }
}
