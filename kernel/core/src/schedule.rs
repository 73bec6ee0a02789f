//! Who runs next: strict priority between VCPUs, round-robin within one, and one with nothing to do gives way at once.

use crate::ComponentId;

/// VCPUs in one image.
pub const MAX_VCPUS: usize = 8;

/// A word of a set of components: on a machine of 32 bits it is one register.
const WORD: u8 = 32;

/// The words of a set of all components.
const WORDS: usize = crate::MAX_COMPONENTS / WORD as usize;

/// The components that are ready, by VCPU. VCPU 0 has the highest priority.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub struct Schedule {
    /// The VCPUs with somebody who is ready, as bits.
    busy: u32,
    ready: [[u32; WORDS]; MAX_VCPUS],
    /// The component that ran last on each VCPU: the next turn begins behind it.
    last: [u8; MAX_VCPUS],
    /// The component that was made ready last on each VCPU: nearly always it is the only one there.
    newest: [u8; MAX_VCPUS],
}

/// Where a component is in a set: which word, and its bit there.
const fn place(component: ComponentId) -> (usize, u32) {
    ((component.0 / WORD) as usize & (WORDS - 1), 1u32.wrapping_shl(component.0 as u32))
}

/// The first member of a set whose words come in this order: the number of its word there, and of its bit.
fn first(words: [u32; WORDS + 1]) -> Option<(u8, u8)> {
    (0u8..).zip(words).find(|(_, word)| *word != 0).map(|(at, word)| (at, word.trailing_zeros() as u8))
}

impl Schedule {
    /// Makes a component ready on its VCPU.
    #[inline]
    pub fn ready(&mut self, vcpu: u8, component: ComponentId) {
        let (word, bit) = place(component);
        let vcpu = usize::from(vcpu);
        if let (Some(set), Some(newest)) = (self.ready.get_mut(vcpu), self.newest.get_mut(vcpu)) {
            set[word] |= bit;
            *newest = component.0;
            self.busy |= 1u32.wrapping_shl(vcpu as u32);
        }
    }

    /// Takes a component out: it waits, or is dead.
    #[inline]
    pub fn idle(&mut self, vcpu: u8, component: ComponentId) {
        let (word, bit) = place(component);
        let Some(set) = self.ready.get_mut(usize::from(vcpu)) else { return };
        // Without complements: a compiler makes a rotation of them, which an SH-4 does not have.
        if set[word] & bit != 0 {
            set[word] ^= bit;
            if set[word] | set[word ^ 1] == 0 {
                self.busy ^= 1u32.wrapping_shl(vcpu.into());
            }
        }
    }

    /// The highest VCPU with something to do.
    #[inline]
    #[must_use]
    pub fn highest(&self) -> Option<u8> {
        // It is one of the first few, nearly always.
        (0..MAX_VCPUS as u8).find(|vcpu| self.busy & 1u32.wrapping_shl((*vcpu).into()) != 0)
    }

    /// Whose turn it is. The turn passes on with each call.
    pub fn turn(&mut self) -> Option<ComponentId> {
        self.turn_on(self.highest()?)
    }

    /// Whose turn it is on this VCPU, likewise.
    pub fn turn_on(&mut self, vcpu: u8) -> Option<ComponentId> {
        let vcpu = usize::from(vcpu);
        let (set, last, newest) = (self.ready.get(vcpu)?, self.last.get_mut(vcpu)?, *self.newest.get(vcpu)?);
        let (word, bit) = place(ComponentId(newest));
        if set[word] == bit && set[word ^ 1] == 0 {
            *last = newest;
            return Some(ComponentId(newest));
        }
        // Those behind the last one; then those of the other word; then those up to the last one.
        let (word, bit) = place(ComponentId(*last));
        let upto = bit | bit.wrapping_sub(1);
        let (own, other) = (set[word], set[word ^ 1]);
        let (at, number) = first([own & !upto, other, own & upto])?;
        let word = word as u8 ^ (at & 1);
        *last = (word * WORD) | number;
        Some(ComponentId(*last))
    }
}
