//! Fuel: how much a module has used, after how much it is to be ended, and which amounts come to the same.
//!
//! The rule: two ends are said to leave the same behind only where nothing that outlives an incarnation tells them apart.
//! Its own memory dies with it. What stays is what it has stored for others, and what it has asked of the platform.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A place where an incarnation can be ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The amounts of fuel with which it is stopped here: the first one is what it has used by then.
    pub amounts: Range<u64>,
    /// In which of the module's turns it is, the first one being 1.
    pub turn: u64,
    /// A window is open here: the end comes when it is closed.
    pub window: bool,
    /// Grows where an end leaves something else behind than at the stop before. So stops with the same number differ in
    /// nothing that anybody could notice.
    ///
    /// Between two of them the module has asked nothing of the platform, and what others can read of it is the same, word
    /// for word. Or both are in one window: modules that Koboshi builds learn at its close that they are to end, not before.
    pub leaves: u32,
}

/// Counts the fuel that a module uses, in all its incarnations, and may end some of them at amounts that were chosen.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    used: AtomicU64,
    turns: AtomicU64,
    ends: Mutex<Ends>,
    /// Where it could have been stopped so far, if somebody wants to know that.
    stops: Option<Mutex<Vec<Stop>>>,
}

#[derive(Debug, Default)]
struct Ends {
    chosen: VecDeque<u64>,
    came: Vec<u64>,
}

/// What is in there is whole between any two accesses, whoever panics.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Meter {
    /// A meter that also notes where the module could be stopped. It does the same as otherwise, and takes longer.
    #[must_use]
    pub fn watching() -> Self {
        Meter(Arc::new(Counts { stops: Some(Mutex::default()), ..Counts::default() }))
    }

    /// Units of fuel that were used so far.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Ends an incarnation, once, as soon as it would need more than this in all, counted from the first one's beginning.
    /// Asked for again, it ends a further one after that.
    ///
    /// The interpreter can stop at each function, loop and branch; modules that Koboshi builds have one more such place
    /// before each store to memory that others read, and before each import. As with any other end from outside, an open
    /// window is closed first.
    pub fn end_at(&self, fuel: u64) {
        held(&self.0.ends).chosen.push_back(fuel);
    }

    /// What was used at each of these ends that has come, before an open window was closed.
    #[must_use]
    pub fn ended(&self) -> Vec<u64> {
        held(&self.0.ends).came.clone()
    }

    /// The stops that a [watching](Meter::watching) meter came to, in order. Their amounts are all that were used, each once.
    #[must_use]
    pub fn stops(&self) -> Vec<Stop> {
        self.0.stops.as_ref().map_or_else(Vec::new, |stops| held(stops).clone())
    }

    /// What is left until the next end that was chosen.
    pub(super) fn left(&self) -> u64 {
        held(&self.0.ends).chosen.front().map_or(u64::MAX, |fuel| fuel.saturating_sub(self.used()))
    }

    /// That end has come.
    pub(super) fn end(&self) {
        let mut ends = held(&self.0.ends);
        ends.chosen.pop_front();
        ends.came.push(self.used());
    }

    pub(super) fn begin_turn(&self) {
        self.0.turns.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add(&self, fuel: u64) {
        self.0.used.fetch_add(fuel, Ordering::Relaxed);
    }

    pub(super) fn is_watching(&self) -> bool {
        self.0.stops.is_some()
    }

    /// The module could be stopped here, and goes on for so much fuel. `same`: nothing that stays has changed since the
    /// stop before.
    pub(super) fn passes(&self, needs: u64, window: bool, same: bool) {
        let Some(stops) = &self.0.stops else { return };
        let mut stops = held(stops);
        let leaves = match stops.last() {
            // There is a stop between any two windows, so what follows in a window is in the same one.
            Some(last) if last.window == window && (window || same) => last.leaves,
            last => last.map_or(0, |last| last.leaves + 1),
        };
        let (used, turn) = (self.used(), self.0.turns.load(Ordering::Relaxed));
        stops.push(Stop { amounts: used..used + needs, turn, window, leaves });
    }
}
