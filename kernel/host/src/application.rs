//! The application's end of a line: a device of the Monitor, held by the supervising side.
//!
//! Job: two bounded queues of bytes between a program and the Monitor, and the announcements that go with them. It stays
//! open whatever happens to components; while nobody takes bytes, it is full, and the program sees back-pressure.
//!
//! Registers, all 32 bits wide (this device is a platform's own; no chip has it):
//!
//! | offset | name     | read                                          | write                                   |
//! | ------ | -------- | --------------------------------------------- | --------------------------------------- |
//! | 0x00   | WAITING  | bytes that the program has sent               | -                                       |
//! | 0x04   | POP      | takes one of them (0 if there is none)        | -                                       |
//! | 0x08   | ROOM     | bytes that the program's end still takes      | -                                       |
//! | 0x0C   | PUSH     | -                                             | gives the program one byte              |
//! | 0x10   | ANNOUNCE | -                                             | tells the program an [`Announcement`]   |
//! | 0x14   | ENABLE   | the enabled sources                           | bit 0: work waits; bit 1: there is room |
//! | 0x18   | STATE    | 1: open, 2: it has been told of a failure     | 1: open, 2: tell it of a failure        |
//! | 0x1C   | WANTED   | how often the program has set the line        | -                                       |
//! | 0x20   | APPLIED  | the last of them that was carried out         | that one                                |
//! | 0x24   | BAUD     | the bit rate that the program wants           | -                                       |
//! | 0x28   | FRAMING  | data, parity, stop bits, flow: [`framing`]    | -                                       |
//! | 0x2C   | BREAK    | how long a break the program wants, in ms     | -                                       |
//! | 0x30   | BEGUN    | whether it was begun                          | 1: it is begun; 0: it is over           |

use std::collections::VecDeque;

use crate::device::{BadAccess, DeviceModel, Width};

/// Offsets of the registers.
pub mod register {
    /// Bytes that the program has sent.
    pub const WAITING: u32 = 0x00;
    /// Takes one of them.
    pub const POP: u32 = 0x04;
    /// Bytes that the program's end still takes.
    pub const ROOM: u32 = 0x08;
    /// Gives the program one byte.
    pub const PUSH: u32 = 0x0C;
    /// Tells the program something.
    pub const ANNOUNCE: u32 = 0x10;
    /// Which interrupt sources are enabled.
    pub const ENABLE: u32 = 0x14;
    /// Open, or told of a failure.
    pub const STATE: u32 = 0x18;
    /// How often the program has set the line.
    pub const WANTED: u32 = 0x1C;
    /// The last of them that was carried out.
    pub const APPLIED: u32 = 0x20;
    /// The bit rate that the program wants.
    pub const BAUD: u32 = 0x24;
    /// The framing and the flow control that it wants.
    pub const FRAMING: u32 = 0x28;
    /// The wish for a break.
    pub const BREAK: u32 = 0x2C;
    /// Whether it was begun.
    pub const BREAK_BEGUN: u32 = 0x30;
}

/// The bits of FRAMING; none of them: 8 data bits, no parity, 1 stop bit, no flow control.
pub mod framing {
    /// Seven data bits.
    pub const SEVEN: u32 = 1 << 0;
    /// Even parity.
    pub const EVEN: u32 = 1 << 1;
    /// Odd parity.
    pub const ODD: u32 = 1 << 2;
    /// Two stop bits.
    pub const TWO_STOP: u32 = 1 << 3;
    /// RTS/CTS flow control.
    pub const RTS_CTS: u32 = 1 << 4;
}

/// What the program is told between two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// Bytes may be missing or damaged here.
    Gap,
    /// The line was faster than its reader: bytes are missing here.
    Overrun,
    /// A break.
    Break,
    /// The next byte had a framing error.
    Framing,
    /// The next byte had a parity error.
    Parity,
    /// What was sent may not have gone out whole.
    NotSent,
}

impl Announcement {
    const ALL: [Announcement; 6] = [
        Announcement::Gap,
        Announcement::Overrun,
        Announcement::Break,
        Announcement::Framing,
        Announcement::Parity,
        Announcement::NotSent,
    ];

    /// The announcement with this number, as the register has it.
    #[must_use]
    pub fn numbered(number: u32) -> Option<Announcement> {
        Announcement::ALL.get(number as usize).copied()
    }
}

/// The application's end of a line.
#[derive(Clone, Debug)]
pub struct Application {
    capacity: usize,
    to_line: VecDeque<u8>,
    from_line: VecDeque<u8>,
    announced: Vec<(u64, Announcement)>,
    enabled: u32,
    failed: bool,
    wanted: u32,
    applied: u32,
    baud: u32,
    framing: u32,
    break_ms: u32,
    break_begun: bool,
    popped: u64,
    pushed: u64,
    popped_empty: u64,
    pushed_full: u64,
}

/// The program's end is not served any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the line is gone: its driver was given up")]
pub struct LineGone;

impl Application {
    /// An open line end that holds `capacity` bytes each way.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Application {
            capacity,
            to_line: VecDeque::with_capacity(capacity),
            from_line: VecDeque::with_capacity(capacity),
            announced: Vec::new(),
            enabled: 0,
            failed: false,
            wanted: 0,
            applied: 0,
            baud: 0,
            framing: 0,
            break_ms: 0,
            break_begun: false,
            popped: 0,
            pushed: 0,
            popped_empty: 0,
            pushed_full: 0,
        }
    }

    /// The program sends: how many bytes were taken. Fewer than offered is back-pressure.
    ///
    /// # Errors
    /// [`LineGone`] once the line has been given up.
    pub fn offer(&mut self, bytes: &[u8]) -> Result<usize, LineGone> {
        if self.failed {
            return Err(LineGone);
        }
        let room = self.capacity.saturating_sub(self.to_line.len()).min(bytes.len());
        self.to_line.extend(&bytes[..room]);
        Ok(room)
    }

    /// The program sets the line: bit rate, and the bits of [`framing`].
    pub fn set_line(&mut self, baud: u32, framing: u32) {
        (self.baud, self.framing) = (baud, framing);
        self.wanted = self.wanted.wrapping_add(1);
    }

    /// Whether the line is set as the program last wanted.
    #[must_use]
    pub const fn line_is_set(&self) -> bool {
        self.wanted == self.applied
    }

    /// The program sends a break, in milliseconds.
    pub fn send_break(&mut self, milliseconds: u32) {
        self.break_ms = milliseconds;
    }

    /// The program receives all that is there.
    pub fn take_received(&mut self) -> Vec<u8> {
        self.from_line.drain(..).collect()
    }

    /// What the program was told, each with the number of bytes that had been given to it before.
    #[must_use]
    pub fn announced(&self) -> &[(u64, Announcement)] {
        &self.announced
    }

    /// Takes what the program was told since this was last asked, as [`Application::announced`] gives it.
    pub fn take_announced(&mut self) -> Vec<(u64, Announcement)> {
        std::mem::take(&mut self.announced)
    }

    /// Bytes that components have taken.
    #[must_use]
    pub const fn popped(&self) -> u64 {
        self.popped
    }

    /// Bytes that components have given.
    #[must_use]
    pub const fn pushed(&self) -> u64 {
        self.pushed
    }

    /// Takes from an empty queue plus gives to a full one: faults of the Monitor.
    #[must_use]
    pub const fn misuses(&self) -> u64 {
        self.popped_empty + self.pushed_full
    }

    /// Bytes of the program that nobody has taken.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.to_line.len()
    }

    /// Whether the program was told that the line is gone.
    #[must_use]
    pub const fn failed(&self) -> bool {
        self.failed
    }
}

impl DeviceModel for Application {
    fn read(&mut self, offset: u32, width: Width, _now: u64) -> Result<u32, BadAccess> {
        if width != Width::Word {
            return Err(BadAccess::WrongWidth { offset, tried: width, is: Width::Word });
        }
        Ok(match offset {
            register::WAITING => self.to_line.len() as u32,
            register::POP => match self.to_line.pop_front() {
                Some(byte) => {
                    self.popped += 1;
                    byte.into()
                }
                None => {
                    self.popped_empty += 1;
                    0
                }
            },
            register::ROOM => (self.capacity - self.from_line.len()) as u32,
            register::ENABLE => self.enabled,
            register::STATE => 1 + u32::from(self.failed),
            register::WANTED => self.wanted,
            register::APPLIED => self.applied,
            register::BAUD => self.baud,
            register::FRAMING => self.framing,
            register::BREAK => self.break_ms,
            register::BREAK_BEGUN => self.break_begun.into(),
            _ => return Err(BadAccess::NoRegister { offset }),
        })
    }

    fn write(&mut self, offset: u32, width: Width, value: u32, _now: u64) -> Result<(), BadAccess> {
        if width != Width::Word {
            return Err(BadAccess::WrongWidth { offset, tried: width, is: Width::Word });
        }
        match offset {
            register::PUSH if self.from_line.len() < self.capacity => {
                self.from_line.push_back(value as u8);
                self.pushed += 1;
            }
            register::PUSH => self.pushed_full += 1,
            register::ANNOUNCE => {
                if let Some(told) = Announcement::numbered(value) {
                    self.announced.push((self.pushed, told));
                }
            }
            register::ENABLE => self.enabled = value & 3,
            register::STATE => self.failed = value == 2,
            register::APPLIED => self.applied = value,
            register::BREAK_BEGUN => {
                self.break_begun = value != 0;
                if !self.break_begun {
                    self.break_ms = 0;
                }
            }
            _ => return Err(BadAccess::NoRegister { offset }),
        }
        Ok(())
    }

    fn advance(&mut self, _now: u64) {}

    fn next_event(&self) -> Option<u64> {
        None
    }

    fn asserted(&self) -> u32 {
        let asks = !self.to_line.is_empty() || self.wanted != self.applied || self.break_ms != 0;
        let data = asks && self.enabled & 1 != 0;
        let room = self.from_line.len() < self.capacity && self.enabled & 2 != 0;
        u32::from(data || room)
    }
}
