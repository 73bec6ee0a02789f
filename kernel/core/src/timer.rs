//! One deadline for each component, and the earliest of them.
//!
//! A tournament of the minimum over a fixed number of leaves: setting one walks [`STEPS`] levels, finding the earliest as
//! many, whatever the number of components.

use crate::{ComponentId, MAX_COMPONENTS, NEVER, Nanoseconds};

/// Levels of the tournament.
pub const STEPS: u32 = MAX_COMPONENTS.ilog2();

/// The deadlines.
#[derive(Clone)]
pub struct Timers {
    /// Node n has the children 2n and 2n + 1; the leaves begin at `MAX_COMPONENTS`.
    nodes: [Nanoseconds; 2 * MAX_COMPONENTS],
}

impl Timers {
    /// No deadline is set.
    #[must_use]
    pub const fn new() -> Self {
        Timers { nodes: [NEVER; 2 * MAX_COMPONENTS] }
    }

    const fn at(&self, node: usize) -> Nanoseconds {
        if node < self.nodes.len() { self.nodes[node] } else { NEVER }
    }

    /// Sets a component's deadline ([`NEVER`]: none).
    pub fn set(&mut self, component: ComponentId, deadline: Nanoseconds) {
        let mut node = MAX_COMPONENTS | component.index() & (MAX_COMPONENTS - 1);
        if let Some(leaf) = self.nodes.get_mut(node) {
            *leaf = deadline;
        }
        for _ in 0..STEPS {
            node /= 2;
            let earliest = self.at(2 * node).min(self.at(2 * node + 1));
            if let Some(inner) = self.nodes.get_mut(node) {
                *inner = earliest;
            }
        }
    }

    /// A component's deadline.
    #[must_use]
    pub fn get(&self, component: ComponentId) -> Nanoseconds {
        self.at(MAX_COMPONENTS | component.index() & (MAX_COMPONENTS - 1))
    }

    /// The earliest deadline; [`NEVER`] if there is none.
    #[must_use]
    pub fn earliest(&self) -> Nanoseconds {
        self.at(1)
    }

    /// The component whose deadline is the earliest and not after `now`.
    #[must_use]
    pub fn due(&self, now: Nanoseconds) -> Option<ComponentId> {
        let earliest = self.earliest();
        if earliest == NEVER || earliest > now {
            return None;
        }
        let mut node = 1;
        for _ in 0..STEPS {
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
