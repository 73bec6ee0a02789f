//! What every device model on the host offers: registers, and line time that passes by being asked for.
//!
//! Rules: a model never looks at a clock, it is told the platform's time. The same accesses at the same times
//! always have the same results. A model never panics on what a component does: a wrong access is an error that
//! names the access, and the component's fault.

use core::fmt;

pub use koboshi_runtime::platform::Width;

/// An access that no register of the device answers. The fault is the component's that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadAccess {
    /// No register starts at this offset.
    NoRegister {
        /// Bytes from the device's base address.
        offset: u32,
    },
    /// There is a register, and it has another width.
    WrongWidth {
        /// Bytes from the device's base address.
        offset: u32,
        /// The width that was tried.
        tried: Width,
        /// The register's width.
        is: Width,
    },
}

impl fmt::Display for BadAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadAccess::NoRegister { offset } => write!(f, "no register at offset {offset:#x}"),
            BadAccess::WrongWidth { offset, tried, is } => {
                write!(f, "{tried:?} access to the register at offset {offset:#x}, which is a {is:?}")
            }
        }
    }
}

impl core::error::Error for BadAccess {}

/// A device as its registers show it. All times are platform time: nanoseconds since boot.
///
/// Time never runs backwards: a `now` before one already seen counts as that one.
pub trait DeviceModel {
    /// Reads the register at `offset` (bytes from the base address) at time `now`, with its side effects.
    ///
    /// # Errors
    /// When no register of that width is there. Nothing has changed then, except that time has passed.
    fn read(&mut self, offset: u32, width: Width, now: u64) -> Result<u32, BadAccess>;

    /// Writes the register at `offset` (bytes from the base address) at time `now`.
    ///
    /// # Errors
    /// When no register of that width is there. Nothing has changed then, except that time has passed.
    fn write(&mut self, offset: u32, width: Width, value: u32, now: u64) -> Result<(), BadAccess>;

    /// Lets time pass up to and including `now`.
    fn advance(&mut self, now: u64);

    /// The next time at which an interrupt may newly assert, or the outside end asked to be woken.
    ///
    /// Until then [`asserted`](Self::asserted) stays as it is, if nobody touches the device. The event may turn out
    /// to be nothing; then ask again after advancing to it. `None`: nothing will happen by itself.
    fn next_event(&self) -> Option<u64>;

    /// The level of each interrupt source, one bit each. For a serial interface: bit 0 ERI, 1 RXI, 2 BRI, 3 TXI.
    fn asserted(&self) -> u32;
}
