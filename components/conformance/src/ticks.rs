//! `ticks`: what the subject has done, in the order in which it did it. An item is the effect that outlives its author.

use koboshi_interface_kit::wire::Bytes;
use koboshi_interface_kit::{Fill, interface};
use postcard::experimental::max_size::MaxSize;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

interface! {
    /// What the subject has done.
    stream ticks: Tick, "One effect.";
}

/// One effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub enum Tick {
    /// Bytes that were moved one by one. It stays the first, since a slot is filled in place behind its number.
    Filled(Bytes<24>),
    /// A request was run.
    Ran {
        /// Which.
        id: u32,
        /// It was in hand at a death before.
        replay: bool,
    },
    /// A step of a request was made.
    Step {
        /// Of which.
        id: u32,
        /// Which step, from 0 on.
        number: u32,
    },
}

impl Fill for Tick {
    /// The number of [`Tick::Filled`].
    const PREFIX: &'static [u8] = &[0];
    const CAPACITY: usize = Bytes::<24>::CAPACITY;
}
