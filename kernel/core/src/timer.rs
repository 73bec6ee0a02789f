//! One deadline for each component, and the earliest of them.
//!
//! A tournament of the minimum over a fixed number of leaves: setting one walks [`STEPS`] levels at most, finding the
//! earliest as many, whatever the number of components. It walks up only as far as a minimum changes.
//!
//! The deadline that was set last is kept beside the tournament: that of whoever runs is set and taken back with each
//! turn, and nearly always before another one is.

use crate::{ComponentId, MAX_COMPONENTS, NEVER, Nanoseconds};

/// Levels of the tournament.
pub const STEPS: u32 = MAX_COMPONENTS.ilog2();

/// The deadlines.
#[derive(Clone)]
#[repr(C)]
pub struct Timers {
    /// Whose deadline was set last: its leaf is [`NEVER`].
    last: usize,
    /// That deadline.
    deadline: Nanoseconds,
    /// Node n has the children 2n and 2n + 1; the leaves begin at `MAX_COMPONENTS`.
    nodes: [Nanoseconds; 2 * MAX_COMPONENTS],
}

const fn leaf(component: ComponentId) -> usize {
    MAX_COMPONENTS | component.index() & (MAX_COMPONENTS - 1)
}

impl Timers {
    /// No deadline is set.
    #[must_use]
    pub const fn new() -> Self {
        Timers { nodes: [NEVER; 2 * MAX_COMPONENTS], last: MAX_COMPONENTS, deadline: NEVER }
    }

    const fn at(&self, node: usize) -> Nanoseconds {
        if node < self.nodes.len() { self.nodes[node] } else { NEVER }
    }

    /// Sets a component's deadline ([`NEVER`]: none).
    pub fn set(&mut self, component: ComponentId, deadline: Nanoseconds) {
        let node = leaf(component);
        if node != self.last {
            self.put(self.last, self.deadline);
            self.put(node, NEVER);
            self.last = node;
        }
        self.deadline = deadline;
    }

    /// Sets a leaf of the tournament.
    fn put(&mut self, leaf: usize, deadline: Nanoseconds) {
        let (mut node, mut earliest) = (leaf, deadline);
        for _ in 0..=STEPS {
            match self.nodes.get_mut(node) {
                Some(found) if *found != earliest => *found = earliest,
                // Nothing changes above.
                _ => return,
            }
            earliest = earliest.min(self.at(node ^ 1));
            node /= 2;
        }
    }

    /// A component's deadline.
    #[must_use]
    pub fn get(&self, component: ComponentId) -> Nanoseconds {
        let node = leaf(component);
        if node == self.last { self.deadline } else { self.at(node) }
    }

    /// The earliest deadline; [`NEVER`] if there is none.
    #[must_use]
    pub fn earliest(&self) -> Nanoseconds {
        self.at(1).min(self.deadline)
    }

    /// The component whose deadline is the earliest and not after `now`.
    #[must_use]
    pub fn due(&self, now: Nanoseconds) -> Option<ComponentId> {
        let earliest = self.earliest();
        if earliest == NEVER || earliest > now {
            return None;
        }
        let mut node = 1;
        if self.at(1) != earliest {
            node = self.last;
        }
        while node < MAX_COMPONENTS {
            node *= 2;
            if self.at(node) != earliest {
                node += 1;
            }
        }
        Some(ComponentId((node & (MAX_COMPONENTS - 1)) as u8))
    }
}

impl Default for Timers {
    fn default() -> Self {
        Self::new()
    }
}
