//! The rules of Koboshi, written once for every platform.
//!
//! Job: keep the table of components, their life cycle and epochs; keep the rings and the record of what was taken and
//! answered; decide who runs next; notice faults and components that are stuck; check rights.
//!
//! Rules kept here: R1 to R6 of `docs/guarantees.md`. Every operation is bounded, and none but a reboot depends on
//! the number of components except through a bit scan.
//!
//! It must never: hold policy (the restart manager has it), know a platform, allocate, or panic.
#![no_std]

pub mod incident;
pub mod kernel;
pub mod knock;
pub mod life;
pub mod place;
pub mod record;
pub mod ring;
pub mod schedule;
mod tables;
pub mod timer;

/// The atomics that rings are made of; `loom`'s own when the rings are checked under it.
pub mod sync {
    #[cfg(not(loom))]
    pub use core::sync::atomic::{AtomicU32, Ordering, fence};
    #[cfg(loom)]
    pub use loom::sync::atomic::{AtomicU32, Ordering, fence};
}

/// Nanoseconds of platform time since the image booted.
pub type Nanoseconds = u64;

/// A time that never comes.
pub const NEVER: Nanoseconds = Nanoseconds::MAX;

/// Components in one image: sets of components are one machine word wide.
pub const MAX_COMPONENTS: usize = 64;

/// Names a component of this image: its place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ComponentId(pub u8);

impl ComponentId {
    /// Nobody: the image itself, in the incident of its reset.
    pub const IMAGE: ComponentId = ComponentId(u8::MAX);

    /// The place in a table.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The set that holds only this component.
    #[must_use]
    pub const fn bit(self) -> u64 {
        // Of a word, and that in its place: a machine of 32 bits calls a function to shift 64.
        let word = 1u32.wrapping_shl(self.0 as u32) as u64;
        if self.0 & 32 == 0 { word } else { word << 32 }
    }
}

/// Names a port of this image: its place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PortId(pub u16);

impl PortId {
    /// A port that the image does not join.
    pub const NONE: PortId = PortId(u16::MAX);
}

/// Names an interrupt line of this image: its place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineId(pub u8);
