//! Fuel: how much a module has used, after how much it is to be ended, and which amounts come to the same.
//!
//! The rule: two ends are said to leave the same behind only where nothing that outlives an incarnation tells them apart.
//! Its own memory dies with it. What stays is what it has stored for others, and what it has asked of the platform.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Stands for no amount.
const NONE: u64 = u64::MAX;

/// A place where an incarnation can be ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The amounts of fuel with which it is stopped here: the first one is what it has used by then.
    pub amounts: Range<u64>,
    /// A window is open here: the end comes when it is closed.
    pub window: bool,
    /// Grows where an end leaves something else behind than at the stop before. So stops with the same number differ in
    /// nothing that anybody could notice.
    ///
    /// Between two of them the module has asked nothing of the platform, and what others can read of it is the same, word
    /// for word. Or both are in one window: modules that Koboshi builds learn at its close that they are to end, not before.
    pub leaves: u32,
}

/// Counts the fuel that a module uses, in all its incarnations, and may end one of them at an amount that was chosen.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    used: AtomicU64,
    end_at: AtomicU64,
    ended: AtomicU64,
    /// Where it could have been stopped so far, if somebody wants to know that.
    stops: Option<Mutex<Vec<Stop>>>,
}

impl Default for Counts {
    fn default() -> Self {
        Counts { used: 0.into(), end_at: NONE.into(), ended: NONE.into(), stops: None }
    }
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
    ///
    /// The interpreter can stop at each function, loop and branch; modules that Koboshi builds have one more such place
    /// before each store to memory that others read, and before each import. As with any other end from outside, an open
    /// window is closed first.
    pub fn end_at(&self, fuel: u64) {
        self.0.end_at.store(fuel, Ordering::Relaxed);
    }

    /// What was used when that incarnation was stopped, before it closed its window; `None`: none was.
    #[must_use]
    pub fn ended(&self) -> Option<u64> {
        Some(self.0.ended.load(Ordering::Relaxed)).filter(|used| *used != NONE)
    }

    /// The stops that a [watching](Meter::watching) meter came to, in order. Their amounts are all that were used, each once.
    #[must_use]
    pub fn stops(&self) -> Vec<Stop> {
        self.0
            .stops
            .as_ref()
            .map_or_else(Vec::new, |stops| stops.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// What is left until the end that was chosen.
    pub(super) fn left(&self) -> u64 {
        self.0.end_at.load(Ordering::Relaxed).saturating_sub(self.used())
    }

    /// The end that was chosen has come.
    pub(super) fn end(&self) {
        self.end_at(NONE);
        self.0.ended.store(self.used(), Ordering::Relaxed);
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
        let mut stops = stops.lock().unwrap_or_else(PoisonError::into_inner);
        let leaves = match stops.last() {
            // There is a stop between any two windows, so what follows in a window is in the same one.
            Some(last) if last.window == window && (window || same) => last.leaves,
            last => last.map_or(0, |last| last.leaves + 1),
        };
        let used = self.used();
        stops.push(Stop { amounts: used..used + needs, window, leaves });
    }
}
