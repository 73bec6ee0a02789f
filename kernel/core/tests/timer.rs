//! The deadlines, against a list that is searched.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "the names of tests say what they say")]

mod common;

use common::cases;
use koboshi_core::timer::Timers;
use koboshi_core::{ComponentId, MAX_COMPONENTS, NEVER};
use proptest::prelude::*;

#[test]
fn nothing_is_due_when_nothing_is_set() {
    let mut timers = Timers::new();
    assert_eq!((timers.earliest(), timers.due(u64::MAX)), (NEVER, None));
}

#[test]
fn a_deadline_is_due_at_its_time_and_not_before() {
    let mut timers = Timers::new();
    timers.set(ComponentId(63), 10);
    assert_eq!(timers.due(9), None);
    assert_eq!(timers.due(10), Some(ComponentId(63)));
    timers.set(ComponentId(63), NEVER);
    assert_eq!(timers.due(u64::MAX), None);
}

#[derive(Clone, Debug)]
enum Act {
    Set(u8, u64),
    Due(u64),
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn the_earliest_deadline_is_the_one_that_a_search_would_find(
        acts in proptest::collection::vec(
            prop_oneof![
                (0..MAX_COMPONENTS as u8, prop_oneof![0u64..20, Just(NEVER), any::<u64>()]).prop_map(|(id, at)| Act::Set(id, at)),
                (0u64..25).prop_map(Act::Due),
            ],
            0..200,
        ),
    ) {
        let (mut timers, mut naive) = (Timers::new(), [NEVER; MAX_COMPONENTS]);
        for act in acts {
            match act {
                Act::Set(id, at) => {
                    timers.set(ComponentId(id), at);
                    naive[usize::from(id)] = at;
                    prop_assert_eq!(timers.get(ComponentId(id)), at);
                }
                Act::Due(now) => {
                    let earliest = *naive.iter().min().unwrap();
                    prop_assert!(timers.none_before() <= earliest);
                    prop_assert_eq!(timers.earliest(), earliest);
                    prop_assert_eq!(timers.none_before(), earliest);
                    match timers.due(now) {
                        Some(id) => prop_assert!(naive[id.index()] == earliest && earliest <= now),
                        None => prop_assert!(earliest > now || earliest == NEVER),
                    }
                }
            }
        }
    }
}
