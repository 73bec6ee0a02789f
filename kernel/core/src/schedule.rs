//! Who runs next: strict priority between VCPUs, round-robin within one, and one with nothing to do gives way at once.

use crate::ComponentId;

/// VCPUs in one image.
pub const MAX_VCPUS: usize = 8;

/// The components that are ready, by VCPU. VCPU 0 has the highest priority.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    ready: [u64; MAX_VCPUS],
    /// The component that ran last on each VCPU: the next turn begins behind it.
    last: [u8; MAX_VCPUS],
}

impl Schedule {
    /// Makes a component ready on its VCPU.
    pub fn ready(&mut self, vcpu: u8, component: ComponentId) {
        if let Some(set) = self.ready.get_mut(usize::from(vcpu)) {
            *set |= component.bit();
        }
    }

    /// Takes a component out: it waits, or is dead.
    pub fn idle(&mut self, vcpu: u8, component: ComponentId) {
        if let Some(set) = self.ready.get_mut(usize::from(vcpu)) {
            *set &= !component.bit();
        }
    }

    /// The highest VCPU with something to do.
    #[must_use]
    pub fn highest(&self) -> Option<u8> {
        (0u8..).zip(&self.ready).find(|(_, set)| **set != 0).map(|(vcpu, _)| vcpu)
    }

    /// Whose turn it is. The turn passes on with each call.
    pub fn turn(&mut self) -> Option<ComponentId> {
        for (set, last) in self.ready.iter().zip(&mut self.last) {
            if *set != 0 {
                let behind = u32::from(*last).wrapping_add(1) & 63;
                let next = (set.rotate_right(behind).trailing_zeros().wrapping_add(behind) & 63) as u8;
                *last = next;
                return Some(ComponentId(next));
            }
        }
        None
    }
}
