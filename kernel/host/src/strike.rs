//! Faults on purpose: strikes at numbered points, for the crash campaign, and knocks, for a person.

use koboshi_core::ComponentId;
pub use koboshi_core::knock::Knock as How;
use koboshi_runtime::platform::Point;

/// What happens to a component at a numbered point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// It panics.
    Crash,
    /// It never comes back to its wait.
    Hang,
    /// Somebody else is ended, from outside.
    Kill(ComponentId),
}

/// One strike of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// At whose point.
    pub component: ComponentId,
    /// At which: the so-many-th that it comes to, counted from the strike before (the first: from boot). 1 is the next.
    pub after_points: u64,
    /// What happens.
    pub strike: Strike,
}

/// A strike that was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Struck {
    /// At whose point.
    pub component: ComponentId,
    /// At which, counted from boot.
    pub point: u64,
    /// What was touched there.
    pub kind: Point,
    /// Behind the touch, not before it.
    pub after: bool,
    /// What happened.
    pub strike: Strike,
}
