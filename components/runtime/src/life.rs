//! The beginning and the end of an incarnation.

use koboshi_core::life::Begin;

use crate::platform::koboshi_begin;

/// Why this incarnation begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// First life, or a life after a stop: reset the device.
    Fresh,
    /// After a fault: adopt the device.
    Recovered(Epoch),
    /// After a swap: adopt the device.
    Updated(Epoch),
}

/// Which incarnation this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(pub u32);

impl Start {
    /// What the kernel says of this incarnation.
    #[must_use]
    pub fn now() -> Self {
        let (epoch, begin) = koboshi_begin();
        match begin {
            Begin::Fresh => Start::Fresh,
            Begin::Recovered => Start::Recovered(Epoch(epoch)),
            Begin::Updated => Start::Updated(Epoch(epoch)),
        }
    }
}

/// Why `run` came back. For a driver that is a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It has nothing more to do.
    Done,
    /// The image does not give it what it needs; the text says what.
    Unfit(&'static str),
}
