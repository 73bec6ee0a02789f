//! A register-level model of the 16550A UART, with or without the TL16C550C's flow control.
//!
//! It behaves as the data sheets say: bytes take line time, reading the line status clears its errors, a full FIFO loses
//! frames and says so. It counts what went through each FIFO, so that a stream can be checked against the device.
//!
//! Rules:
//! - Nothing happens but by [`DeviceModel`] calls and by time passing in them. The same calls have the same results.
//! - The errors of a byte are shown when it is the next to be read, until the status is read, or the byte.
//! - Every byte is accounted for: `pushed = transmitted + discarded_tx` + those in the FIFO and in the shift register;
//!   `arrived = popped + overrun + discarded_rx` + those in the FIFO.
//!
//! It must never panic on an access, look at a wall clock, or let the outside end see a byte that was not sent whole.
//!
//! # Where the numbers come from
//!
//! PC16550D and TL16C550C data sheets, from memory; marked \[?\] where they leave it open and this is the model's choice:
//! - \[?\] Reading a byte takes errors with it that nobody has looked at.
//! - \[?\] A frame on its way when the line is set anew is judged by the new setting when it ends.
//! - \[?\] A break becomes known after one frame of space; a shorter one is a byte 0 with a framing error.
//! - \[?\] RTS, if the chip holds it, is negated at the receive trigger and asserted when the FIFO is empty.
//!
//! Not modelled: loop-back (nothing moves), 5 and 6 data bits and sticky parity (as 7 and 8, and none), DMA, the lines for
//! data set, ring and carrier (never change), operation without FIFOs beyond their being one byte deep.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use crate::device::{BadAccess, DeviceModel, Width};
use crate::wire::{Fault, Frame, Heard, LineTime, OnLine, Parity, Symbol, Wire};

/// Stages of each FIFO.
const FIFO: usize = 16;

/// Frame times without an arrival and without a read after which data below the trigger is announced.
const QUIET_FRAMES: usize = 4;

/// Clocks in one bit with a divisor of 1.
const CLOCKS_PER_BIT: u64 = 16;

mod ier {
    pub(super) const RECEIVED: u8 = 1 << 0;
    pub(super) const ROOM: u8 = 1 << 1;
    pub(super) const ERROR: u8 = 1 << 2;
    pub(super) const MODEM: u8 = 1 << 3;
    pub(super) const WRITABLE: u8 = 0xF;
}

mod iir {
    pub(super) const NONE: u8 = 0b0001;
    pub(super) const MODEM: u8 = 0b0000;
    pub(super) const ROOM: u8 = 0b0010;
    pub(super) const RECEIVED: u8 = 0b0100;
    pub(super) const ERROR: u8 = 0b0110;
    pub(super) const QUIET: u8 = 0b1100;
    pub(super) const FIFOS: u8 = 0b11 << 6;
}

mod fcr {
    pub(super) const ENABLE: u8 = 1 << 0;
    pub(super) const RESET_RX: u8 = 1 << 1;
    pub(super) const RESET_TX: u8 = 1 << 2;
}

mod lcr {
    pub(super) const EIGHT: u8 = 1 << 0;
    pub(super) const TWO_STOP: u8 = 1 << 2;
    pub(super) const PARITY: u8 = 1 << 3;
    pub(super) const EVEN: u8 = 1 << 4;
    pub(super) const BREAK: u8 = 1 << 6;
    pub(super) const DIVISOR: u8 = 1 << 7;
}

mod mcr {
    pub(super) const RTS: u8 = 1 << 1;
    pub(super) const LOOP: u8 = 1 << 4;
    pub(super) const AUTO: u8 = 1 << 5;
}

mod lsr {
    pub(super) const DATA: u8 = 1 << 0;
    pub(super) const OVERRUN: u8 = 1 << 1;
    pub(super) const PARITY: u8 = 1 << 2;
    pub(super) const FRAMING: u8 = 1 << 3;
    pub(super) const BREAK: u8 = 1 << 4;
    pub(super) const ROOM: u8 = 1 << 5;
    pub(super) const SILENT: u8 = 1 << 6;
    pub(super) const ERROR_IN_FIFO: u8 = 1 << 7;
}

mod msr {
    pub(super) const CTS_CHANGED: u8 = 1 << 0;
    pub(super) const CTS: u8 = 1 << 4;
    /// Data set and carrier are there.
    pub(super) const THERE: u8 = 1 << 5 | 1 << 7;
}

/// The interrupt of a 16550A, as [`asserted`](DeviceModel::asserted) shows it: one for everything.
pub const INTERRUPT: u32 = 1;

/// What went through the device since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Writes to THR that entered the FIFO.
    pub pushed: u64,
    /// Writes to THR that were lost: the FIFO was full.
    pub pushed_into_full: u64,
    /// Frames sent whole.
    pub transmitted: u64,
    /// Frames whose end was spoilt by a break that began in them.
    pub spoilt: u64,
    /// Bytes that a reset of the transmit FIFO threw away.
    pub discarded_tx: u64,
    /// Frames that arrived, good or bad, kept or lost.
    pub arrived: u64,
    /// Of those, lost because the FIFO was full.
    pub overrun: u64,
    /// Bytes that a reset of the receive FIFO threw away.
    pub discarded_rx: u64,
    /// Bytes read from RBR.
    pub popped: u64,
    /// Reads of RBR with nothing in the FIFO.
    pub popped_empty: u64,
    /// Of the bytes read, those whose errors nobody had looked at.
    pub popped_unseen: u64,
    /// Writes to registers that can only be read (LSR, MSR); they change nothing.
    pub write_of_read_only_register: u64,
    /// Changes of divisor or framing while a frame was being sent. They spoil it.
    pub set_while_sending: u64,
}

/// A byte in the receive FIFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stored {
    byte: u8,
    /// The bits of LSR that belong to it and that nobody has read.
    errors: u8,
}

/// The frame that the transmitter is sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shift {
    byte: u8,
    frame: Frame,
    began: LineTime,
    ends: LineTime,
    spoilt: bool,
}

/// What happens next by itself. At the same time, the earlier one in this list happens first.
#[derive(Clone, Copy)]
enum Step {
    ShiftEnds,
    BreakKnown,
    SymbolEnds,
    Quiet,
}

/// One 16550A, and the line to its outside end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ns16550 {
    shift: u8,
    clock_hz: u32,
    has_auto_flow: bool,
    now: u64,
    wire: Wire,
    counters: Counters,

    ier: u8,
    fcr: u8,
    lcr: u8,
    mcr: u8,
    scratch: u8,
    divisor: u16,
    overrun: bool,
    /// The transmitter asks for more, and was not heard yet.
    room_asked: bool,
    cts: bool,
    cts_changed: bool,

    /// The frames that LCR and the divisor describe.
    frame: Frame,
    tx: VecDeque<u8>,
    shifted: Option<Shift>,
    rx: VecDeque<Stored>,
    /// With flow control by itself: RTS is negated.
    full_enough: bool,
    /// The break that is on the line becomes known at this time.
    break_known_at: Option<LineTime>,
    /// When data below the trigger is announced.
    quiet_at: Option<LineTime>,
    quiet: bool,
}

impl Ns16550 {
    /// A UART after power-on at time 0, with `wire` at the other end of its line; its registers are at their numbers shifted left by `shift`.
    pub fn new(shift: u8, clock_hz: u32, has_auto_flow: bool, wire: Wire) -> Self {
        let (lcr, divisor) = (0, 1);
        let cts = !wire.is_holding();
        Ns16550 {
            shift,
            clock_hz,
            has_auto_flow,
            now: 0,
            wire,
            counters: Counters::default(),
            ier: 0,
            fcr: 0,
            lcr,
            mcr: 0,
            scratch: 0xA5,
            divisor,
            overrun: false,
            room_asked: true,
            cts,
            cts_changed: false,
            frame: frame_of(lcr, divisor, clock_hz),
            tx: VecDeque::with_capacity(FIFO),
            shifted: None,
            rx: VecDeque::with_capacity(FIFO),
            full_enough: false,
            break_known_at: None,
            quiet_at: None,
            quiet: false,
        }
    }

    /// The clock from which it makes the speed of its line, in hertz.
    pub const fn clock(&self) -> u32 {
        self.clock_hz
    }

    /// What went through the device so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The outside end.
    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    /// The outside end, to act on. What it is told happens at the latest time this model was given: advance first, and
    /// ask for the next event again afterwards.
    pub fn wire_mut(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// The latest time this model was given, in nanoseconds.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Bytes in the transmit FIFO (without the one being sent) and in the receive FIFO.
    pub fn fifo_counts(&self) -> (usize, usize) {
        (self.tx.len(), self.rx.len())
    }

    /// Whether it was set up: its FIFOs are on.
    pub fn is_set_up(&self) -> bool {
        self.fcr & fcr::ENABLE != 0
    }

    /// Whether a frame is being sent.
    pub fn is_transmitting(&self) -> bool {
        self.shifted.is_some()
    }

    /// Whether the chip asserts RTS, so that the outside end may send.
    pub fn rts_asserted(&self) -> bool {
        self.mcr & mcr::RTS != 0 && !(self.mcr & mcr::AUTO != 0 && self.full_enough)
    }

    fn depth(&self) -> usize {
        if self.fcr & fcr::ENABLE != 0 { FIFO } else { 1 }
    }

    fn trigger(&self) -> usize {
        if self.fcr & fcr::ENABLE != 0 { [1, 4, 8, 14][usize::from(self.fcr >> 6)] } else { 1 }
    }

    fn is_looped(&self) -> bool {
        self.mcr & mcr::LOOP != 0
    }

    fn may_transmit(&self) -> bool {
        let held = self.mcr & mcr::AUTO != 0 && self.wire.is_holding();
        self.lcr & lcr::BREAK == 0 && !held && !self.is_looped()
    }

    fn next_step(&self) -> Option<(LineTime, Step)> {
        let steps = [
            self.shifted.map(|shift| (shift.ends, Step::ShiftEnds)),
            self.break_known_at.map(|at| (at, Step::BreakKnown)),
            self.wire.on_line().map(|line| (line.ends, Step::SymbolEnds)),
            self.quiet_at.map(|at| (at, Step::Quiet)),
        ];
        // The first of those at the same time.
        steps.into_iter().flatten().reduce(|first, next| if next.0 < first.0 { next } else { first })
    }

    fn take_step(&mut self, step: Step, at: LineTime) {
        match step {
            Step::ShiftEnds => {
                if let Some(shift) = self.shifted.take() {
                    if shift.spoilt {
                        self.counters.spoilt += 1;
                        self.wire.hear_cut_short(shift.byte, at);
                    } else {
                        self.wire.hear(shift.byte, &shift.frame, at);
                    }
                    self.counters.transmitted += 1;
                }
            }
            Step::BreakKnown => {
                self.break_known_at = None;
                self.arrive(Stored { byte: 0, errors: lsr::BREAK | lsr::FRAMING }, at);
            }
            Step::SymbolEnds => {
                if let Some(line) = self.wire.finish() {
                    self.hear(&line, at);
                }
            }
            Step::Quiet => {
                self.quiet_at = None;
                self.quiet = !self.rx.is_empty();
            }
        }
        self.settle(at);
    }

    /// A symbol of the outside end's has gone by.
    fn hear(&mut self, line: &OnLine, at: LineTime) {
        let heard = match line.symbol {
            Symbol::Pause(_) => return,
            Symbol::Break(ns) if LineTime::from_ns(ns) >= self.frame.length => return,
            Symbol::Break(_) => Heard { byte: 0, framing_error: true, parity_error: false },
            Symbol::Byte(byte) => line.frame.heard_by(&self.frame, byte, Fault::None),
            Symbol::BadParity(byte) => line.frame.heard_by(&self.frame, byte, Fault::Parity),
            Symbol::BadFraming(byte) => line.frame.heard_by(&self.frame, byte, Fault::Framing),
        };
        let framing = if heard.framing_error { lsr::FRAMING } else { 0 };
        let parity = if heard.parity_error { lsr::PARITY } else { 0 };
        self.arrive(Stored { byte: heard.byte, errors: framing | parity }, at);
    }

    fn arrive(&mut self, stored: Stored, at: LineTime) {
        self.counters.arrived += 1;
        if self.rx.len() >= self.depth() {
            self.counters.overrun += 1;
            self.overrun = true;
            return;
        }
        self.rx.push_back(stored);
        self.begin_quiet(at);
    }

    /// Data that is not read, and not followed by more, is announced some time from now.
    fn begin_quiet(&mut self, at: LineTime) {
        self.quiet = false;
        let below = self.fcr & fcr::ENABLE != 0 && !self.rx.is_empty();
        self.quiet_at = below.then(|| at.plus(self.frame.length.times(QUIET_FRAMES)));
    }

    /// Draws the conclusions from all that has changed: begins what may begin.
    fn settle(&mut self, at: LineTime) {
        if self.shifted.is_none()
            && self.may_transmit()
            && let Some(byte) = self.tx.pop_front()
        {
            let ends = at.plus(self.frame.length);
            self.shifted = Some(Shift { byte, frame: self.frame, began: at, ends, spoilt: false });
            self.room_asked |= self.tx.is_empty();
        }
        let cts = !self.wire.is_holding();
        self.cts_changed |= cts != self.cts;
        self.cts = cts;
        if self.rx.is_empty() {
            self.full_enough = false;
        } else if self.rx.len() >= self.trigger() {
            self.full_enough = true;
        }
        self.wire.hear_level(self.lcr & lcr::BREAK != 0 && !self.is_looped() && self.shifted.is_none(), at);
        let rts = self.rts_asserted();
        if let Some(line) = self.wire.begin_next(at, rts) {
            self.break_known_at = match line.symbol {
                Symbol::Break(ns) if LineTime::from_ns(ns) >= self.frame.length => {
                    Some(line.began.plus(self.frame.length))
                }
                _ => None,
            };
        }
    }

    fn status(&self) -> u8 {
        let data = self.rx.front().map_or(0, |next| lsr::DATA | next.errors);
        let room = if self.tx.is_empty() { lsr::ROOM } else { 0 };
        let silent = if self.tx.is_empty() && self.shifted.is_none() { lsr::SILENT } else { 0 };
        let in_fifo = self.fcr & fcr::ENABLE != 0 && self.rx.iter().any(|stored| stored.errors != 0);
        let error = if in_fifo { lsr::ERROR_IN_FIFO } else { 0 };
        data | room | silent | error | if self.overrun { lsr::OVERRUN } else { 0 }
    }

    /// What interrupts: the first of those that do.
    fn reason(&self) -> u8 {
        let errors = lsr::OVERRUN | lsr::PARITY | lsr::FRAMING | lsr::BREAK;
        if self.ier & ier::ERROR != 0 && self.status() & errors != 0 {
            iir::ERROR
        } else if self.ier & ier::RECEIVED != 0 && self.rx.len() >= self.trigger() {
            iir::RECEIVED
        } else if self.ier & ier::RECEIVED != 0 && self.quiet {
            iir::QUIET
        } else if self.ier & ier::ROOM != 0 && self.room_asked {
            iir::ROOM
        } else if self.ier & ier::MODEM != 0 && self.cts_changed {
            iir::MODEM
        } else {
            iir::NONE
        }
    }

    fn pop(&mut self) -> u8 {
        let Some(stored) = self.rx.pop_front() else {
            self.counters.popped_empty += 1;
            return 0;
        };
        self.counters.popped += 1;
        self.counters.popped_unseen += u64::from(stored.errors != 0);
        self.begin_quiet(LineTime::from_ns(self.now));
        stored.byte
    }

    fn push(&mut self, byte: u8) {
        self.room_asked = false;
        if self.tx.len() >= self.depth() {
            self.counters.pushed_into_full += 1;
        } else {
            self.counters.pushed += 1;
            self.tx.push_back(byte);
        }
    }

    fn control_fifos(&mut self, value: u8) {
        let switched = (value ^ self.fcr) & fcr::ENABLE != 0;
        if switched || value & fcr::RESET_RX != 0 {
            self.counters.discarded_rx += self.rx.len() as u64;
            self.rx.clear();
            (self.quiet_at, self.quiet) = (None, false);
        }
        if switched || value & fcr::RESET_TX != 0 {
            self.counters.discarded_tx += self.tx.len() as u64;
            self.room_asked |= !self.tx.is_empty();
            self.tx.clear();
        }
        // Without the enabling bit the others are not taken.
        self.fcr = if value & fcr::ENABLE != 0 { value & (0b11 << 6 | fcr::ENABLE) } else { 0 };
    }

    fn reframe(&mut self) {
        let frame = frame_of(self.lcr, self.divisor, self.clock_hz);
        if frame != self.frame && self.shifted.is_some() {
            self.counters.set_while_sending += 1;
        }
        self.frame = frame;
    }

    fn control_line(&mut self, value: u8) {
        if value & lcr::BREAK != 0
            && let Some(shift) = &mut self.shifted
        {
            shift.spoilt = true;
        }
        self.lcr = value;
        self.reframe();
    }

    fn set_divisor(&mut self, divisor: u16) {
        self.divisor = divisor;
        self.reframe();
    }

    /// The number of the register of an access.
    fn decode(&self, offset: u32, tried: Width) -> Result<u32, BadAccess> {
        let register = offset >> self.shift;
        if register > 7 || register << self.shift != offset {
            Err(BadAccess::NoRegister { offset })
        } else if tried != Width::Byte {
            Err(BadAccess::WrongWidth { offset, tried, is: Width::Byte })
        } else {
            Ok(register)
        }
    }
}

impl DeviceModel for Ns16550 {
    fn read(&mut self, offset: u32, width: Width, now: u64) -> Result<u32, BadAccess> {
        self.advance(now);
        let open = self.lcr & lcr::DIVISOR != 0;
        let value = match self.decode(offset, width)? {
            0 if open => self.divisor as u8,
            1 if open => (self.divisor >> 8) as u8,
            0 => self.pop(),
            1 => self.ier,
            2 => {
                let reason = self.reason();
                if reason == iir::ROOM {
                    self.room_asked = false;
                }
                reason | if self.fcr & fcr::ENABLE != 0 { iir::FIFOS } else { 0 }
            }
            3 => self.lcr,
            4 => self.mcr,
            5 => {
                let status = self.status();
                self.overrun = false;
                if let Some(next) = self.rx.front_mut() {
                    next.errors = 0;
                }
                status
            }
            6 => {
                let changed = if self.cts_changed { msr::CTS_CHANGED } else { 0 };
                self.cts_changed = false;
                msr::THERE | changed | if self.cts { msr::CTS } else { 0 }
            }
            _ => self.scratch,
        };
        self.settle(LineTime::from_ns(self.now));
        Ok(u32::from(value))
    }

    fn write(&mut self, offset: u32, width: Width, value: u32, now: u64) -> Result<(), BadAccess> {
        self.advance(now);
        let open = self.lcr & lcr::DIVISOR != 0;
        let value = value as u8;
        match self.decode(offset, width)? {
            0 if open => self.set_divisor(self.divisor & 0xFF00 | u16::from(value)),
            1 if open => self.set_divisor(self.divisor & 0xFF | u16::from(value) << 8),
            0 => self.push(value),
            1 => {
                // Whoever begins to wait for room is told at once if there is some.
                self.room_asked |= value & !self.ier & ier::ROOM != 0 && self.tx.is_empty();
                self.ier = value & ier::WRITABLE;
            }
            2 => self.control_fifos(value),
            3 => self.control_line(value),
            4 => self.mcr = value & if self.has_auto_flow { 0x3F } else { 0x1F },
            // What can only be read: the status of line and modem.
            5 | 6 => self.counters.write_of_read_only_register += 1,
            _ => self.scratch = value,
        }
        self.settle(LineTime::from_ns(self.now));
        Ok(())
    }

    fn advance(&mut self, now: u64) {
        // What the outside end was told since the last call happens at the time of that call.
        self.settle(LineTime::from_ns(self.now));
        self.now = self.now.max(now);
        let until = LineTime::from_ns(self.now);
        while let Some((at, step)) = self.next_step().filter(|&(at, _)| at <= until) {
            self.take_step(step, at);
        }
    }

    /// The next thing that happens at all, as long as anybody waits for something: a look too many costs less than to foresee it.
    fn next_event(&self) -> Option<u64> {
        let wire = &self.wire;
        let watched = wire.wake_when_received.is_some_and(|count| wire.received.len() < count)
            || wire.wake_when_waiting.is_some_and(|count| wire.waiting() > count);
        if self.ier == 0 && !watched {
            return None;
        }
        let now = LineTime::from_ns(self.now);
        // What the outside end was told since the last call.
        let begins = wire.on_line().is_none()
            && wire.ahead(0, 0).is_some_and(|symbol| wire.may_begin(symbol, self.rts_asserted()));
        let begins = begins || self.cts == wire.is_holding();
        let sends = self.shifted.is_none() && !self.tx.is_empty() && self.may_transmit();
        let next = if begins || sends { Some(now) } else { self.next_step().map(|(at, _)| at) };
        next.map(LineTime::to_ns)
    }

    fn asserted(&self) -> u32 {
        if self.reason() == iir::NONE { 0 } else { INTERRUPT }
    }
}

/// The frames that LCR and the divisor describe. A divisor of 0 counts as 1.
fn frame_of(line: u8, divisor: u16, clock_hz: u32) -> Frame {
    let parity = match (line & lcr::PARITY != 0, line & lcr::EVEN != 0) {
        (false, _) => Parity::None,
        (true, true) => Parity::Even,
        (true, false) => Parity::Odd,
    };
    Frame::new(
        LineTime::ratio(CLOCKS_PER_BIT * u64::from(divisor.max(1)), clock_hz),
        if line & lcr::EIGHT != 0 { 8 } else { 7 },
        parity,
        if line & lcr::TWO_STOP != 0 { 2 } else { 1 },
    )
}
