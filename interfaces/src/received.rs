//! `received`: what arrives on a serial line, in the order in which it arrived.
//!
//! The rule: what was lost or spoilt stands between the bytes where it happened, never in a counter alone.

use koboshi_interface_kit::wire::Bytes;
use koboshi_interface_kit::{Fill, interface};
use postcard::experimental::max_size::MaxSize;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

interface! {
    /// What arrives on one serial line.
    stream received: Received, "Bytes as they came, and what went wrong between them.";
}

/// What arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub enum Received {
    /// Bytes without a fault. It stays the first, since a slot is filled in place behind its number.
    Bytes(Bytes<44>),
    /// A byte without a proper end; this is what the receiver made of it.
    Framing(u8),
    /// A byte with wrong parity; this is what the receiver made of it.
    Parity(u8),
    /// The line was held low for longer than a byte.
    Break,
    /// The receiver was full, and the hardware lost bytes here.
    Overrun,
    /// Bytes may be missing here: the driver was away for longer than the device could wait, or had to reset it.
    Gap,
}

impl Fill for Received {
    /// The number of [`Received::Bytes`].
    const PREFIX: &'static [u8] = &[0];
    const CAPACITY: usize = Bytes::<44>::CAPACITY;
}
