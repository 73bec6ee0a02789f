//! Kept state of another version: taken up, carried back, and never lost in between.
//!
//! What is looked for is one rule. Whoever loads finds what was last stored, in its own form; or, where that store was torn,
//! that or the one before.

use koboshi_runtime::platform::koboshi_begin;
use koboshi_runtime::{Migration, Way, WayBack};
use proptest::prelude::*;

use super::*;

/// What the next version keeps: more than the one before, whose state is [`Value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
struct Next {
    value: Value,
    more: u8,
}

/// What the one after that keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
struct Last {
    next: Next,
    still_more: u16,
}

struct ToNext;

impl Migration for ToNext {
    type Old = Value;
    type New = Next;

    fn up(value: Value) -> Next {
        Next { value, more: 0 }
    }
}

impl WayBack for ToNext {
    fn down(next: &Next) -> Value {
        next.value
    }
}

struct ToLast;

impl Migration for ToLast {
    type Old = Next;
    type New = Last;

    fn up(next: Next) -> Last {
        Last { next, still_more: 0 }
    }
}

impl WayBack for ToLast {
    fn down(last: &Last) -> Next {
        last.next
    }
}

struct FromFirstToLast;

impl Migration for FromFirstToLast {
    type Old = Value;
    type New = Last;

    fn up(value: Value) -> Last {
        ToLast::up(ToNext::up(value))
    }
}

impl WayBack for FromFirstToLast {
    fn down(last: &Last) -> Value {
        last.next.value
    }
}

const NEXT: Key = Key::of_state::<Next>();
const THERE: &[Way] = &[Way::up::<ToNext>()];
const THERE_AND_BACK: &[Way] = &[Way::and_back::<ToNext>()];
const TO_LAST: &[Way] = &[Way::and_back::<ToLast>(), Way::and_back::<FromFirstToLast>()];

fn next() -> Kept<Next> {
    Kept::described(&const { KeptDescription::of::<Next>().with_ways(THERE_AND_BACK) })
}

fn last() -> Kept<Last> {
    Kept::described(&const { KeptDescription::of::<Last>().with_ways(TO_LAST) })
}

fn newer(number: u8, more: u8) -> Next {
    Next { value: value(number), more }
}

#[test]
fn what_an_older_version_has_kept_is_taken_up_and_carried_back() {
    inside(|| {
        assert_eq!(next().load(), None);
        open().store(&value(1));
        assert_eq!(next().load(), Some(newer(1, 0)));
        next().store(&newer(2, 7));
        assert_eq!((open().load(), next().load()), (Some(value(2)), Some(newer(2, 7))));
        open().store(&value(3));
        assert_eq!((open().load(), next().load()), (Some(value(3)), Some(newer(3, 0))));
    });
}

#[test]
fn a_version_that_goes_back_and_forth_without_a_store_loses_nothing() {
    inside(|| {
        next().store(&newer(1, 9));
        assert_eq!(open().load(), Some(value(1)));
        assert_eq!(next().load(), Some(newer(1, 9)), "of equally new ones its own is found");
    });
}

#[test]
fn without_a_way_down_what_the_older_version_has_kept_stays_as_it_was() {
    inside(|| {
        let mut one_way = Kept::<Next>::described(&const { KeptDescription::of::<Next>().with_ways(THERE) });
        open().store(&value(1));
        one_way.store(&newer(2, 7));
        one_way.store(&newer(3, 8));
        assert_eq!((open().load(), one_way.load()), (Some(value(1)), Some(newer(3, 8))));
    });
}

#[test]
fn of_several_older_states_the_version_before_finds_its_own_again() {
    inside(|| {
        open().store(&value(1));
        assert_eq!(last().load(), Some(FromFirstToLast::up(value(1))));
        // From the first one to the last, and back.
        last().store(&Last { next: newer(2, 3), still_more: 4 });
        assert_eq!(open().load(), Some(value(2)));
        open().store(&value(5));
        // By way of the one between.
        next().store(&newer(6, 7));
        assert_eq!(
            last().load(),
            Some(ToLast::up(newer(6, 7))),
            "of equally new ones the first that is named is found"
        );
        last().store(&Last { next: newer(8, 9), still_more: 10 });
        assert_eq!(last().load(), Some(Last { next: newer(8, 9), still_more: 10 }));
        assert_eq!(next().load(), Some(newer(8, 9)));
        next().store(&newer(11, 12));
        assert_eq!((open().load(), last().load()), (Some(value(11)), Some(ToLast::up(newer(11, 12)))));
    });
}

#[test]
fn after_a_store_one_copy_of_each_pair_is_enough() {
    inside(|| {
        open().store(&value(1));
        next().store(&newer(2, 3));
        let whole = snapshot();
        for spoilt in [[0, 2], [0, 3], [1, 2], [1, 3]] {
            let mut words = whole.clone();
            spoilt.iter().for_each(|copy| words[copy * COPY..][..COPY].fill(0xA5A5_A5A5));
            restore(&words);
            assert_eq!((open().load(), next().load()), (Some(value(2)), Some(newer(2, 3))), "{spoilt:?}");
            next().store(&newer(4, 5));
            open().store(&value(6));
            assert_eq!((open().load(), next().load()), (Some(value(6)), Some(newer(6, 0))), "{spoilt:?}");
        }
    });
}

// Deaths and torn writes.

/// A store: by which version, of what, and whether it was torn.
#[derive(Clone, Copy, Debug)]
struct Store {
    by_next: bool,
    number: u8,
    more: u8,
    torn: bool,
}

impl Store {
    /// As the older version finds it, and as the newer one does.
    fn seen(&self) -> (Value, Next) {
        (value(self.number), newer(self.number, if self.by_next { self.more } else { 0 }))
    }
}

/// What either version may find after these stores, the last first.
fn may_be_found(stores: &[Store]) -> Vec<Option<(Value, Next)>> {
    let whole = stores.iter().rposition(|store| !store.torn);
    let before = (whole.is_none()).then_some(None);
    stores[whole.unwrap_or(0)..].iter().map(|store| Some(store.seen())).chain(before).rev().collect()
}

/// What is wrong with what is found after these stores.
fn wrong(stores: &[Store], found: (Option<Value>, Option<Next>)) -> Option<String> {
    let all = may_be_found(stores);
    let old = all.iter().any(|seen| seen.map(|(old, _)| old) == found.0);
    let new = all.iter().any(|seen| seen.map(|(_, new)| new) == found.1);
    (!old || !new).then(|| format!("after {stores:?}\nthere is {found:?}\ninstead of {all:?}"))
}

#[test]
fn a_death_at_any_point_of_going_there_and_back_loses_one_step_at_most() {
    let mut deaths = [0; 6];
    for at in 1.. {
        let (stores, found) = (Arc::new(Mutex::new(vec![])), Arc::new(Mutex::new(vec![])));
        let (put_store, put_found) = (Arc::clone(&stores), Arc::clone(&found));
        let plan = vec![Planned { component: KEEPER, after_points: at, strike: Strike::Crash }];
        // The versions in turn; each looks at what it finds, and stores twice.
        let mut machine = machine(plan, move || {
            let (epoch, _) = koboshi_begin();
            let by_next = epoch % 2 == 0;
            let seen = if by_next { (None, next().load()) } else { (open().load(), None) };
            put_found.lock().unwrap().push((put_store.lock().unwrap().clone(), seen, by_next));
            for step in 0..2 {
                let number = 10 * epoch as u8 + step;
                let store = Store { by_next, number, more: number + 100, torn: true };
                put_store.lock().unwrap().push(store);
                if by_next {
                    next().store(&newer(number, number + 100))
                } else {
                    open().store(&value(number))
                }
                put_store.lock().unwrap().last_mut().unwrap().torn = false;
            }
        });
        for _ in 0..5 {
            machine.run_until(machine.now() + MS);
            machine.kill(KEEPER);
            machine.command(KEEPER, Command::Start).unwrap();
        }
        machine.run_until(machine.now() + MS);
        let struck = machine.struck();
        if struck.is_empty() {
            break;
        }
        assert_eq!(struck[0].kind, Point::Kept);
        let found = found.lock().unwrap();
        // One may have died while it looked.
        assert!(found.len() >= 5, "struck at {at}: {found:?}");
        for (stores, (old, new), by_next) in &*found {
            let all = may_be_found(stores);
            let right = all.iter().any(|seen| match by_next {
                true => seen.map(|(_, new)| new) == *new,
                false => seen.map(|(old, _)| old) == *old,
            });
            assert!(right, "struck at {at}, after {stores:?}: {old:?}, {new:?}");
        }
        let torn = found.iter().position(|(stores, ..): &(Vec<Store>, _, _)| stores.iter().any(|store| store.torn));
        deaths[torn.unwrap_or(0)] += 1;
    }
    // Two stores each of two copies, or with the older form of four; of four steps, each with a point before it and one behind.
    assert_eq!(deaths[1..5], [32, 64, 32, 64]);
}

/// A way to store wrongly, for the proof that it would be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    /// None.
    No,
    /// The older form is written before its own.
    OlderFirst,
    /// Sequences go on in each pair by itself.
    SequencesOfThePair,
}

/// Stores in this order, each torn after so many 256th of its words if it is said, and looks at what both versions find each time.
fn carry_out(order: &[(bool, u8, Option<u8>)], mistake: Mistake) -> Result<(), String> {
    let mut stores_made: Vec<Store> = vec![];
    for (at, (by_next, more, torn)) in order.iter().enumerate() {
        let (number, more) = (at as u8 + 1, more.saturating_add(1));
        let before = snapshot();
        let own = if *by_next { NEXT } else { KEY };
        if *by_next {
            next().store(&newer(number, more))
        } else {
            open().store(&value(number))
        }
        if mistake == Mistake::SequencesOfThePair {
            let of_it = |words: &[u32], copy: usize| key_of(words, copy) == own && words[copy * COPY] != 0;
            let last = (0..COPIES).filter(|copy| of_it(&before, *copy)).map(|copy| before[copy * COPY]).max();
            let written: Vec<usize> = (0..COPIES).filter(|copy| of_it(&snapshot(), *copy)).collect();
            written.into_iter().for_each(|copy| forge(copy, last.unwrap_or(0) + 1));
        }
        if let Some(torn) = torn {
            // As if it were the other one's, whose copies would come first.
            let first = if mistake == Mistake::OlderFirst && *by_next { KEY } else { own };
            let steps = stores(&before, &snapshot(), first);
            let mut words = before;
            steps[..steps.len() * usize::from(*torn) / 256].iter().for_each(|(at, word)| words[*at] = *word);
            restore(&words);
        }
        stores_made.push(Store { by_next: *by_next, number, more, torn: torn.is_some() });
        if let Some(wrong) = wrong(&stores_made, (open().load(), next().load())) {
            return Err(wrong);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_whatever_order_the_versions_store_and_are_torn_the_last_step_or_the_one_before_is_found(
        order in prop::collection::vec((any::<bool>(), any::<u8>(), any::<Option<u8>>()), 1..12)
    ) {
        prop_assert_eq!(inside(move || carry_out(&order, Mistake::No)), Ok(()));
    }
}

#[test]
fn a_store_that_writes_the_older_form_first_or_counts_each_pair_by_itself_is_found() {
    for mistake in [Mistake::No, Mistake::OlderFirst, Mistake::SequencesOfThePair] {
        // There, torn anywhere on the way, and back to one that stores again.
        let wrong = (0..=u8::MAX).filter(|torn| {
            let order = [(false, 0, None), (true, 1, None), (true, 2, Some(*torn)), (false, 3, None)];
            inside(move || carry_out(&order, mistake)).is_err()
        });
        assert_eq!(wrong.count() > 0, mistake != Mistake::No, "{mistake:?}");
    }
}
