//! `serial`: one serial line, as its driver serves it.
//!
//! Only what leaves the line and how it is set is asked for here. What arrives has a stream of its own,
//! [`received`](crate::received), so that neither direction waits for the other.

use koboshi_interface_kit::wire::Bytes;
use koboshi_interface_kit::{Duration, Fill, interface};
use postcard::experimental::max_size::MaxSize;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

interface! {
    /// One serial line.
    service serial;

    | operation   | contract           | request      | reply                   | deadline | meaning                                                    |
    | ----------- | ------------------ | ------------ | ----------------------- | -------- | ---------------------------------------------------------- |
    | status      | Pure               | ()           | Status                  | 100 ms   | "What the line has done so far."                           |
    | configure   | Idempotent         | Line         | Result<(), RefusedLine> | 500 ms   | "Sets speed, framing and flow control."                    |
    | write       | Resumable<Written> | Chunk        | Written                 | 2 s      | "Sends each byte once, in order."                          |
    | send_break  | AtMostOnce         | Milliseconds | Result<(), RefusedLine> | 2 s      | "Holds the line low for so long; nobody can do that half." |
    | modem_lines | Pure               | ()           | ModemLines              | 100 ms   | "How the lines for flow control stand."                    |
    | set_rts     | Idempotent         | bool         | Result<(), RefusedLine> | 100 ms   | "Asks the other side to send (true) or to hold."           |
}

/// What a line has done since its driver was last started: a driver that recovers counts anew. The counts wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Schema, MaxSize)]
pub struct Status {
    /// Bytes given to the transmitter.
    pub sent: u32,
    /// Bytes taken from the receiver.
    pub received: u32,
    /// Times the receiver was full and lost bytes.
    pub overruns: u32,
    /// Bytes with wrong framing or parity.
    pub errors: u32,
}

/// How a line is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Schema, MaxSize)]
pub struct Line {
    /// Bits per second.
    pub baud: u32,
    /// Data bits in a byte.
    pub data: DataBits,
    /// What follows them to find errors.
    pub parity: Parity,
    /// What ends a byte.
    pub stop: StopBits,
    /// Who may hold whom.
    pub flow: Flow,
}

/// Data bits in a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Schema, MaxSize)]
pub enum DataBits {
    /// Seven.
    Seven,
    /// Eight.
    Eight,
}

/// The bit after the data bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Schema, MaxSize)]
pub enum Parity {
    /// There is none.
    None,
    /// Makes the number of ones even.
    Even,
    /// Makes the number of ones odd.
    Odd,
}

/// How long the line rests at least after each byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Schema, MaxSize)]
pub enum StopBits {
    /// One bit.
    One,
    /// Two bits.
    Two,
}

/// Who may hold whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Schema, MaxSize)]
pub enum Flow {
    /// Nobody: a receiver that is full loses bytes.
    None,
    /// The hardware of either side, by RTS and CTS.
    RtsCts,
}

impl Line {
    /// How long one byte takes on the line, from its start bit to its last stop bit. Rounded up.
    ///
    /// A speed of zero, which no line accepts, counts as one bit per second.
    pub const fn byte_time(&self) -> Duration {
        const SECOND: u64 = 1_000_000_000; // in nanoseconds, the unit of `Duration`
        let start = 1;
        let data = match self.data {
            DataBits::Seven => 7,
            DataBits::Eight => 8,
        };
        let parity = match self.parity {
            Parity::None => 0,
            Parity::Even | Parity::Odd => 1,
        };
        let stop = match self.stop {
            StopBits::One => 1,
            StopBits::Two => 2,
        };
        let bits: u64 = start + data + parity + stop;
        let baud = if self.baud == 0 { 1 } else { self.baud as u64 };
        Duration::from_ticks((bits * SECOND).div_ceil(baud))
    }
}

impl Default for Line {
    /// 115,200 bits per second, eight data bits, no parity, one stop bit, no flow control.
    fn default() -> Self {
        Self { baud: 115_200, data: DataBits::Eight, parity: Parity::None, stop: StopBits::One, flow: Flow::None }
    }
}

/// Bytes to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Schema, MaxSize)]
pub struct Chunk(pub Bytes<96>);

impl Fill for Chunk {
    const PREFIX: &'static [u8] = &[];
    const CAPACITY: usize = Bytes::<96>::CAPACITY;
}

impl TryFrom<&[u8]> for Chunk {
    type Error = koboshi_interface_kit::wire::TooLong;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        Bytes::try_from(bytes).map(Self)
    }
}

/// How many bytes of a chunk the transmitter has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, Schema, MaxSize)]
pub struct Written(pub u32);

impl From<u32> for Written {
    fn from(count: u32) -> Self {
        Self(count)
    }
}

impl From<Written> for u32 {
    fn from(written: Written) -> Self {
        written.0
    }
}

/// A length of time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Schema, MaxSize)]
pub struct Milliseconds(pub u32);

/// How the lines for flow control stand: true is "may send".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Schema, MaxSize)]
pub struct ModemLines {
    /// Clear to send: what the other side asks of us.
    pub cts: bool,
    /// Request to send: what we ask of the other side.
    pub rts: bool,
}

/// Why the line does not do as it was told. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub enum RefusedLine {
    /// The device's clock cannot make this speed closely enough.
    Unreachable {
        /// The nearest speed that it can make, in bits per second.
        nearest_baud: u32,
    },
    /// A break so long would keep the driver from its other work.
    BreakTooLong,
    /// RTS belongs to the hardware, since the line is set to flow control.
    FlowControlled,
}
