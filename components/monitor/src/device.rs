//! The registers of the application's end of a line: a platform's own device, described in full by the host (`application.rs`).

use koboshi_interfaces::serial::{DataBits, Flow, Line, Parity, StopBits};
use koboshi_runtime::Device;

const WAITING: u32 = 0x00;
const POP: u32 = 0x04;
const ROOM: u32 = 0x08;
const PUSH: u32 = 0x0C;
const ANNOUNCE: u32 = 0x10;
const ENABLE: u32 = 0x14;
const STATE: u32 = 0x18;
const WANTED: u32 = 0x1C;
const APPLIED: u32 = 0x20;
const BAUD: u32 = 0x24;
const FRAMING: u32 = 0x28;
const BREAK: u32 = 0x2C;
const BREAK_BEGUN: u32 = 0x30;

const FRAMING_SEVEN: u32 = 1 << 0;
const FRAMING_EVEN: u32 = 1 << 1;
const FRAMING_ODD: u32 = 1 << 2;
const FRAMING_TWO_STOP: u32 = 1 << 3;
const FRAMING_RTS_CTS: u32 = 1 << 4;

/// What the program is told between two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Announcement {
    /// Bytes may be missing or damaged here.
    Gap = 0,
    /// The line was faster than its reader: bytes are missing here.
    Overrun = 1,
    /// A break.
    Break = 2,
    /// The next byte had a framing error.
    Framing = 3,
    /// The next byte had a parity error.
    Parity = 4,
    /// What was sent may not have gone out whole.
    NotSent = 5,
}

/// The application's end of a line.
#[derive(Debug)]
pub struct Application {
    device: Device,
}

impl Application {
    /// The line end behind this device.
    #[must_use]
    pub const fn new(device: Device) -> Self {
        Application { device }
    }

    /// Bytes that the program has sent.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.device.read32(WAITING) as usize
    }

    /// Takes one of them. It is gone then: call it inside a window.
    #[must_use]
    pub fn pop(&self) -> u8 {
        self.device.read32(POP) as u8
    }

    /// Bytes that the program's end still takes.
    #[must_use]
    pub fn room(&self) -> usize {
        self.device.read32(ROOM) as usize
    }

    /// Gives the program one byte: call it inside a window.
    pub fn push(&self, byte: u8) {
        self.device.write32(PUSH, byte.into());
    }

    /// Tells the program something: call it inside a window.
    pub fn announce(&self, what: Announcement) {
        self.device.write32(ANNOUNCE, what as u32);
    }

    /// Which interrupts may come: work waits, there is room.
    pub fn enable(&self, work: bool, room: bool) {
        self.device.write32(ENABLE, u32::from(work) | u32::from(room) << 1);
    }

    /// Tells the program whether its line is gone.
    pub fn set_gone(&self, gone: bool) {
        self.device.write32(STATE, 1 + u32::from(gone));
    }

    /// Whether the program was told so.
    #[must_use]
    pub fn gone(&self) -> bool {
        self.device.read32(STATE) == 2
    }

    /// The number of the program's wish for its line that is not carried out yet, and the wish.
    #[must_use]
    pub fn wish(&self) -> Option<(u32, Line)> {
        let wanted = self.device.read32(WANTED);
        if wanted == self.device.read32(APPLIED) {
            return None;
        }
        let framing = self.device.read32(FRAMING);
        let is = |bit| framing & bit != 0;
        let line = Line {
            baud: self.device.read32(BAUD),
            data: if is(FRAMING_SEVEN) { DataBits::Seven } else { DataBits::Eight },
            parity: match (is(FRAMING_EVEN), is(FRAMING_ODD)) {
                (true, _) => Parity::Even,
                (false, true) => Parity::Odd,
                (false, false) => Parity::None,
            },
            stop: if is(FRAMING_TWO_STOP) { StopBits::Two } else { StopBits::One },
            flow: if is(FRAMING_RTS_CTS) { Flow::RtsCts } else { Flow::None },
        };
        Some((wanted, line))
    }

    /// The wish with this number is dealt with.
    pub fn granted(&self, number: u32) {
        self.device.write32(APPLIED, number);
    }

    /// How long a break the program wants, in milliseconds; 0: none.
    #[must_use]
    pub fn wished_break(&self) -> u32 {
        self.device.read32(BREAK)
    }

    /// Whether it was begun. It must not be begun twice.
    #[must_use]
    pub fn break_begun(&self) -> bool {
        self.device.read32(BREAK_BEGUN) != 0
    }

    /// Notes that it is begun.
    pub fn begin_break(&self) {
        self.device.write32(BREAK_BEGUN, 1);
    }

    /// It is over; the program may want another one.
    pub fn end_break(&self) {
        self.device.write32(BREAK_BEGUN, 0);
    }
}
