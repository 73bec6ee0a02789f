//! One deadline for each component, and the earliest of them.
//!
//! A tournament of the minimum over a fixed number of leaves: changing one walks [`STEPS`] levels at most, whatever the
//! number of components.
//!
//! A leaf is never after its component's deadline, but it may be before it: nearly all deadlines are taken back, or
//! moved further away, long before anybody asks for the earliest. So a deadline that moves away is only noted, and
//! its leaf follows when it has become the first of all. Who asks for the earliest pays for that: a walk for each leaf that
//! follows, each component's once at most.

use crate::{ComponentId, MAX_COMPONENTS, NEVER, Nanoseconds};

/// Levels of the tournament.
pub const STEPS: u32 = MAX_COMPONENTS.ilog2();

/// The deadlines.
#[derive(Clone)]
#[repr(C)]
pub struct Timers {
    deadlines: [Nanoseconds; MAX_COMPONENTS],
    /// Node n has the children 2n and 2n + 1; the leaves begin at `MAX_COMPONENTS`.
    nodes: [Nanoseconds; 2 * MAX_COMPONENTS],
}

const fn place(component: ComponentId) -> usize {
    component.index() & (MAX_COMPONENTS - 1)
}

impl Timers {
    /// No deadline is set.
    #[must_use]
    pub const fn new() -> Self {
        Timers { deadlines: [NEVER; MAX_COMPONENTS], nodes: [NEVER; 2 * MAX_COMPONENTS] }
    }

    const fn at(&self, node: usize) -> Nanoseconds {
        if node < self.nodes.len() { self.nodes[node] } else { NEVER }
    }

    /// Sets a component's deadline ([`NEVER`]: none).
    #[inline]
    pub fn set(&mut self, component: ComponentId, deadline: Nanoseconds) {
        let place = place(component);
        self.deadlines[place] = deadline;
        if deadline < self.at(MAX_COMPONENTS | place) {
            self.put(MAX_COMPONENTS | place, deadline);
        }
    }

    /// Sets a leaf of the tournament.
    #[inline(never)]
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
    pub const fn get(&self, component: ComponentId) -> Nanoseconds {
        self.deadlines[place(component)]
    }

    /// No deadline is before this; there need not be one. It costs one look.
    #[inline]
    #[must_use]
    pub const fn none_before(&self) -> Nanoseconds {
        self.at(1)
    }

    /// The earliest deadline; [`NEVER`] if there is none.
    pub fn earliest(&mut self) -> Nanoseconds {
        self.first();
        self.none_before()
    }

    /// The component whose deadline is the earliest and not after `now`.
    pub fn due(&mut self, now: Nanoseconds) -> Option<ComponentId> {
        let (first, earliest) = (self.first(), self.none_before());
        (earliest != NEVER && earliest <= now).then_some(first)
    }

    /// Whose deadline is the earliest. Leaves that come before it follow to their deadlines.
    fn first(&mut self) -> ComponentId {
        loop {
            let (mut node, earliest) = (1, self.at(1));
            while node < MAX_COMPONENTS {
                node *= 2;
                if self.at(node) != earliest {
                    node += 1;
                }
            }
            let first = ComponentId((node & (MAX_COMPONENTS - 1)) as u8);
            // At the latest when each leaf has followed once.
            if self.get(first) == earliest {
                return first;
            }
            self.put(node, self.get(first));
        }
    }
}

impl Default for Timers {
    fn default() -> Self {
        Self::new()
    }
}
