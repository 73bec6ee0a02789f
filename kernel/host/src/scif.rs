//! A register-level model of the SuperH SCIF (serial communication interface with FIFO).
//!
//! It behaves as the chip's manual says, not as QEMU does: bytes take line time, flags are cleared by *read 1, then
//! write 0*, a full FIFO loses frames and says so. It counts what went through each FIFO, so that a stream can be
//! checked against the device.
//!
//! Rules:
//! - Nothing happens but by [`DeviceModel`] calls and by time passing in them. The same calls have the same results.
//! - A flag whose condition still holds sets itself again at once; DR stays while the receive FIFO holds data.
//! - Every byte is accounted for: `pushed = transmitted + aborted + discarded_tx` + those in the FIFO and in the shift
//!   register; `arrived = popped + overrun + discarded_rx` + those in the FIFO.
//!
//! It must never panic on an access, look at a wall clock, or let the outside end see a byte that was not sent whole.
//!
//! # Where the numbers come from
//!
//! Registers, bits and the rate formula: SH7751R and SH7780, as Linux (`sh-sci`) and U-Boot (`serial_sh`) use them.
//! Rules marked \[?\] are from memory of the manuals or this model's choice:
//! - \[?\] Triggers of the 64-byte FIFO: receive 1, 16, 32, 48; transmit 32, 16, 2, 0. RTS levels (RSTRG): 15, 1, 4, 6, 8,
//!   10, 12, 14 of 16; 63, 1, 8, 16, 32, 48, 54, 60 of 64. At each of them one frame under way still fits.
//! - \[?\] While ORER is 1 no frame enters the FIFO; each one that ends then is lost and counted as overrun.
//! - \[?\] A break enters the FIFO as one byte 0 with a framing error; BRK follows after one more frame length of space.
//! - \[?\] TE going to 0 cuts the frame in the shift register short; both FIFOs and all other flags stay.
//! - \[?\] While TFRST or RFRST is 1 that FIFO is held empty. They leave latched flags and the shift register alone.
//! - \[?\] A frame that began while nobody listened (RE = 0) is missed whole.
//! - \[?\] PERC and FERC count modulo 16, also with 64 stages.
//! - \[?\] RTS is negated when neither MCE nor RTSIO drives it; it does not depend on RE.
//! - \[?\] In loop-back the outside end hears an idle line and is not heard; with MCE, RTS is the CTS of the same chip.
//!
//! Not modelled: clocked mode (with C/A = 1 nothing moves), an external clock (CKE1 is stored only), the phase of the
//! bit clock (a frame begins at the access that allows it), the moment within a stop bit at which a byte is stored (here: its
//! end), multiprocessor mode, DMA.

mod ahead;
mod registers;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use ahead::earlier;
use registers::{CLOCKS_PER_BIT, Register, fcr, fsr, lsr, scr, smr, sptr};

pub use registers::{CountRegisters, FifoDepth, Layout, source};

use crate::device::{BadAccess, DeviceModel, Width};
use crate::wire::{Fault, Frame, Heard, LineTime, OnLine, Parity, Symbol, Wire};

/// Bit times without an arrival after which data below the trigger is announced by DR (SH7751R: 15 etu).
const QUIET_BITS: usize = 15;

/// What went through the device since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Writes to SCFTDR that entered the FIFO.
    pub pushed: u64,
    /// Writes to SCFTDR that were lost: the FIFO was full, or held in reset.
    pub pushed_into_full: u64,
    /// Frames sent whole.
    pub transmitted: u64,
    /// Frames cut short because TE went to 0.
    pub aborted: u64,
    /// Bytes that a reset of the transmit FIFO threw away.
    pub discarded_tx: u64,
    /// Frames that arrived at the enabled receiver, good or bad, kept or lost.
    pub arrived: u64,
    /// Of those, lost because the FIFO was full or ORER still set.
    pub overrun: u64,
    /// Bytes that a reset of the receive FIFO threw away.
    pub discarded_rx: u64,
    /// Frames of the outside end that nobody listened to, at least not from their beginning.
    pub missed: u64,
    /// Bytes read from SCFRDR.
    pub popped: u64,
    /// Reads of SCFRDR with nothing in the FIFO; they return 0 here, and anything on a chip.
    pub popped_empty: u64,
    /// Reads of SCFTDR, which cannot be read; they return 0 here, and anything on a chip.
    pub read_of_undefined_register: u64,
    /// Writes to registers that can only be read (SCFRDR, the counts); they change nothing.
    pub write_of_read_only_register: u64,
    /// Changes of SCSMR or SCBRR while TE or RE was 1. They take effect with the next frame.
    pub illegal_reprogramming: u64,
}

/// The frame that the transmitter is sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shift {
    byte: u8,
    frame: Frame,
    began: LineTime,
    ends: LineTime,
    /// It began in loop-back: the outside end hears nothing of it.
    looped: bool,
    /// It is looped, and the receiver has listened since its beginning.
    heard: bool,
}

/// What the receiver makes of the symbol that the outside end has on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ears {
    /// Nothing, or nothing more.
    Deaf,
    /// A frame, complete when the symbol ends.
    Frame,
    /// A break: a byte 0 with a framing error is complete at this time.
    BreakFrame(LineTime),
    /// A break: BRK is set at this time.
    BreakFlag(LineTime),
}

/// What happens next by itself. At the same time, the earlier one in this list happens first.
#[derive(Clone, Copy)]
enum Step {
    ShiftEnds,
    EarsHear,
    SymbolEnds,
    Quiet,
}

/// One SCIF, and the line to its outside end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scif {
    layout: Layout,
    peripheral_clock_hz: u32,
    now: u64,
    wire: Wire,
    counters: Counters,

    smr: u16,
    brr: u8,
    scr: u16,
    fcr: u16,
    sptr: u16,
    /// The latched flags of SCFSR, and those of them that were read as 1 since they were set.
    flags: u16,
    flags_seen: u16,
    overrun: bool,
    overrun_seen: bool,

    /// The frames that SMR and BRR describe.
    frame: Frame,
    tx: VecDeque<u8>,
    shift: Option<Shift>,
    rx: VecDeque<Heard>,
    framing_errors_in_rx: u16,
    parity_errors_in_rx: u16,
    ears: Ears,
    /// When DR is due, if nothing else arrives.
    quiet_at: Option<LineTime>,
}

impl Scif {
    /// A SCIF after power-on at time 0, with `wire` at the other end of its line.
    pub fn new(layout: Layout, peripheral_clock_hz: u32, wire: Wire) -> Self {
        let (smr, brr) = (0, 0xff);
        Scif {
            layout,
            peripheral_clock_hz,
            now: 0,
            wire,
            counters: Counters::default(),
            smr,
            brr,
            scr: 0,
            fcr: 0,
            sptr: 0,
            flags: fsr::TEND | fsr::TDFE,
            flags_seen: 0,
            overrun: false,
            overrun_seen: false,
            frame: frame_of(smr, brr, peripheral_clock_hz),
            tx: VecDeque::with_capacity(layout.fifo.bytes()),
            shift: None,
            rx: VecDeque::with_capacity(layout.fifo.bytes()),
            framing_errors_in_rx: 0,
            parity_errors_in_rx: 0,
            ears: Ears::Deaf,
            quiet_at: None,
        }
    }

    /// The clock from which it makes the speed of its line, in hertz.
    pub const fn peripheral_clock(&self) -> u32 {
        self.peripheral_clock_hz
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

    /// Whether a frame is being sent.
    pub fn is_transmitting(&self) -> bool {
        self.shift.is_some()
    }

    /// Whether the chip asserts RTS, so that the outside end may send.
    pub fn rts_asserted(&self) -> bool {
        self.rts_with(self.rx.len())
    }

    /// Whether RTS is asserted with so many bytes in the receive FIFO.
    fn rts_with(&self, count: usize) -> bool {
        if self.fcr & fcr::MCE != 0 {
            count < self.rts_level()
        } else {
            self.sptr & (sptr::RTSIO | sptr::RTSDT) == sptr::RTSIO
        }
    }

    fn rts_level(&self) -> usize {
        self.layout.fifo.rts_levels()[usize::from(self.fcr >> fcr::RSTRG_SHIFT & 7)]
    }

    fn receive_trigger(&self) -> usize {
        self.layout.fifo.receive_triggers()[usize::from(self.fcr >> fcr::RTRG_SHIFT & 3)]
    }

    fn transmit_trigger(&self) -> usize {
        self.layout.fifo.transmit_triggers()[usize::from(self.fcr >> fcr::TTRG_SHIFT & 3)]
    }

    fn is_looped(&self) -> bool {
        self.fcr & fcr::LOOP != 0
    }

    /// Whether the receiver runs, whatever it is connected to.
    fn receives(&self) -> bool {
        self.scr & scr::RE != 0 && self.smr & smr::CLOCKED == 0
    }

    /// Whether the receiver hears the outside end. What is sent otherwise is missed.
    pub fn listens(&self) -> bool {
        self.receives() && !self.is_looped()
    }

    /// Whether the transmitter may begin a frame.
    fn may_transmit(&self) -> bool {
        let clear_to_send = if self.fcr & fcr::MCE == 0 {
            true
        } else if self.is_looped() {
            self.rts_asserted()
        } else {
            !self.wire.is_holding()
        };
        self.scr & scr::TE != 0 && self.smr & smr::CLOCKED == 0 && clear_to_send
    }

    /// The level at which SCSPTR leaves the transmit pin while TE is 0; without SPB2IO it is pulled up.
    fn pin_level(&self) -> bool {
        self.sptr & (sptr::SPB2IO | sptr::SPB2DT) != sptr::SPB2IO
    }

    /// When DR is due with the bytes that are in the FIFO now.
    fn quiet_deadline(&self) -> Option<LineTime> {
        let below = !self.rx.is_empty() && self.rx.len() < self.receive_trigger();
        self.quiet_at.filter(|_| below && self.flags & fsr::DR == 0)
    }

    /// What the receiver will make of `line`, which begins now.
    fn ears_for(&self, line: &OnLine) -> Ears {
        match line.symbol {
            _ if !self.listens() => Ears::Deaf,
            Symbol::Pause(_) => Ears::Deaf,
            Symbol::Break(ns) => Ears::BreakFrame(line.began.plus(self.frame.length.min(LineTime::from_ns(ns)))),
            Symbol::Byte(_) | Symbol::BadParity(_) | Symbol::BadFraming(_) => Ears::Frame,
        }
    }

    /// What is heard of a break after its first frame.
    fn ears_after_break_frame(&self, line: &OnLine, at: LineTime) -> Ears {
        let flag_at = at.plus(self.frame.length);
        match line.symbol {
            Symbol::Break(ns) if line.began.plus(LineTime::from_ns(ns)) >= flag_at => Ears::BreakFlag(flag_at),
            _ => Ears::Deaf,
        }
    }

    /// The next thing to happen by itself. Asked at every access: plain comparisons, since an iterator over the three
    /// cost half of all the time.
    fn next_step(&self) -> Option<(LineTime, Step)> {
        let mut next = self.shift.as_ref().map(|s| (s.ends, Step::ShiftEnds));
        let mut offer = |at: LineTime, step: Step| {
            if next.is_none_or(|(first, _)| at < first) {
                next = Some((at, step));
            }
        };
        if let Some(line) = self.wire.on_line() {
            match self.ears {
                Ears::BreakFrame(at) | Ears::BreakFlag(at) => offer(at, Step::EarsHear),
                Ears::Deaf | Ears::Frame => offer(line.ends, Step::SymbolEnds),
            }
        }
        if let Some(at) = self.quiet_deadline() {
            offer(at, Step::Quiet);
        }
        next
    }

    fn take_step(&mut self, step: Step, at: LineTime) {
        match step {
            Step::ShiftEnds => {
                let Some(shift) = self.shift.take() else {
                    return;
                };
                self.counters.transmitted += 1;
                if !shift.looped {
                    self.wire.hear(shift.byte, &shift.frame, at);
                } else if shift.heard {
                    let heard = shift.frame.heard_by(&self.frame, shift.byte, Fault::None);
                    self.arrive(heard, at);
                }
            }
            Step::EarsHear => self.hear_break(at),
            Step::SymbolEnds => {
                let Some(line) = self.wire.finish() else {
                    return;
                };
                if let Some((byte, fault)) = line.symbol.frame() {
                    if self.ears == Ears::Frame {
                        self.arrive(line.frame.heard_by(&self.frame, byte, fault), at);
                    } else {
                        self.counters.missed += 1;
                    }
                }
                self.ears = Ears::Deaf;
            }
            // `settle` sets DR.
            Step::Quiet => {}
        }
        self.settle(at);
    }

    fn hear_break(&mut self, at: LineTime) {
        if let Ears::BreakFlag(_) = self.ears {
            self.flags |= fsr::BRK;
            self.ears = Ears::Deaf;
            return;
        }
        self.ears = match self.wire.on_line() {
            Some(line) => self.ears_after_break_frame(line, at),
            None => Ears::Deaf,
        };
        let heard = Heard { byte: 0, framing_error: true, parity_error: self.frame.parity == Parity::Odd };
        self.arrive(heard, at);
    }

    /// A frame is complete.
    fn arrive(&mut self, heard: Heard, at: LineTime) {
        self.counters.arrived += 1;
        if self.fcr & fcr::RFRST != 0 {
            self.counters.discarded_rx += 1;
        } else if self.overrun || self.rx.len() == self.layout.fifo.bytes() {
            self.counters.overrun += 1;
            self.overrun = true;
        } else {
            self.rx.push_back(heard);
            self.framing_errors_in_rx += u16::from(heard.framing_error);
            self.parity_errors_in_rx += u16::from(heard.parity_error);
            if heard.framing_error || heard.parity_error {
                self.flags |= fsr::ER;
            }
            self.quiet_at = Some(at.plus(self.frame.bit.times(QUIET_BITS)));
        }
    }

    /// Draws the conclusions from all that has changed: begins what may begin, sets the flags whose conditions hold.
    fn settle(&mut self, at: LineTime) {
        if self.shift.is_none()
            && !self.tx.is_empty()
            && self.may_transmit()
            && let Some(byte) = self.tx.pop_front()
        {
            self.shift = Some(Shift {
                byte,
                frame: self.frame,
                began: at,
                ends: at.plus(self.frame.length),
                looped: self.is_looped(),
                heard: self.is_looped() && self.receives(),
            });
        }
        if self.tx.len() <= self.transmit_trigger() {
            self.flags |= fsr::TDFE;
        }
        if self.scr & scr::TE == 0 || (self.shift.is_none() && self.tx.is_empty()) {
            self.flags |= fsr::TEND;
        }
        if self.rx.len() >= self.receive_trigger() {
            self.flags |= fsr::RDF;
        }
        if self.quiet_deadline().is_some_and(|due| due <= at) {
            self.flags |= fsr::DR;
        }
        self.wire.hear_level(self.scr & scr::TE == 0 && !self.pin_level(), at);
        let rts = self.rts_asserted();
        if let Some(line) = self.wire.begin_next(at, rts) {
            self.ears = self.ears_for(&line);
        }
    }

    /// Ends what a change of SCSCR, SCSMR or SCFCR ends at once.
    fn stop_what_is_off(&mut self, at: LineTime) {
        if self.scr & scr::TE == 0
            && let Some(shift) = self.shift.take()
        {
            self.counters.aborted += 1;
            if !shift.looped {
                let read = shift.frame.cut_short(shift.byte, at.since(shift.began), self.pin_level());
                self.wire.hear_cut_short(read, at);
            }
        }
        if !self.listens() {
            self.ears = Ears::Deaf;
        }
        if !self.receives() || !self.is_looped() {
            self.shift = self.shift.map(|s| Shift { heard: false, ..s });
        }
        if self.fcr & fcr::TFRST != 0 {
            self.counters.discarded_tx += self.tx.len() as u64;
            self.tx.clear();
        }
        if self.fcr & fcr::RFRST != 0 {
            self.counters.discarded_rx += self.rx.len() as u64;
            self.rx.clear();
            self.framing_errors_in_rx = 0;
            self.parity_errors_in_rx = 0;
        }
    }

    fn pop(&mut self) -> u8 {
        let Some(heard) = self.rx.pop_front() else {
            self.counters.popped_empty += 1;
            return 0;
        };
        self.counters.popped += 1;
        self.framing_errors_in_rx -= u16::from(heard.framing_error);
        self.parity_errors_in_rx -= u16::from(heard.parity_error);
        heard.byte
    }

    fn push(&mut self, byte: u8) {
        if self.fcr & fcr::TFRST != 0 || self.tx.len() == self.layout.fifo.bytes() {
            self.counters.pushed_into_full += 1;
        } else {
            self.counters.pushed += 1;
            self.tx.push_back(byte);
        }
    }

    fn read_status(&mut self) -> u16 {
        self.flags_seen |= self.flags;
        let next = self.rx.front();
        let framing = next.is_some_and(|heard| heard.framing_error);
        let parity = next.is_some_and(|heard| heard.parity_error);
        self.flags
            | (self.parity_errors_in_rx & 0xf) << fsr::PERC_SHIFT
            | (self.framing_errors_in_rx & 0xf) << fsr::FERC_SHIFT
            | if framing { fsr::FER } else { 0 }
            | if parity { fsr::PER } else { 0 }
    }

    /// SH7751R: SCFSR, read 1 then write 0.
    fn write_status(&mut self, value: u16) {
        let mut cleared = self.flags_seen & !value;
        if !self.rx.is_empty() {
            cleared &= !fsr::DR;
        }
        self.flags &= !cleared;
        self.flags_seen &= !cleared;
    }

    fn read_pins(&self) -> u16 {
        let driven = |io: u16, data: u16, otherwise: bool| {
            let high = if self.fcr & fcr::MCE == 0 && self.sptr & io != 0 { self.sptr & data != 0 } else { otherwise };
            if high { data } else { 0 }
        };
        let received_low = self.wire.on_line().is_some_and(|line| match line.symbol {
            Symbol::Break(ns) => LineTime::from_ns(self.now) < line.began.plus(LineTime::from_ns(ns)),
            _ => false,
        });
        self.sptr & !(sptr::RTSDT | sptr::CTSDT | sptr::SPB2DT)
            | driven(sptr::RTSIO, sptr::RTSDT, !self.rts_asserted())
            | driven(sptr::CTSIO, sptr::CTSDT, self.wire.is_holding())
            // The receive pin, whatever SPB2IO says. Shown as idle but in a break.
            | if received_low { 0 } else { sptr::SPB2DT }
    }

    /// Takes a new SCSMR and SCBRR.
    fn reprogram(&mut self, smr: u16, brr: u8) {
        if (smr, brr) == (self.smr, self.brr) {
            return;
        }
        if self.scr & (scr::TE | scr::RE) != 0 {
            self.counters.illegal_reprogramming += 1;
        }
        (self.smr, self.brr) = (smr, brr);
        self.frame = frame_of(smr, brr, self.peripheral_clock_hz);
    }

    /// The register of an access.
    fn decode(&self, offset: u32, tried: Width) -> Result<Register, BadAccess> {
        let (register, is) = self.layout.register(offset).ok_or(BadAccess::NoRegister { offset })?;
        if is == tried { Ok(register) } else { Err(BadAccess::WrongWidth { offset, tried, is }) }
    }
}

impl DeviceModel for Scif {
    fn read(&mut self, offset: u32, width: Width, now: u64) -> Result<u32, BadAccess> {
        self.advance(now);
        let value = match self.decode(offset, width)? {
            Register::Smr => self.smr,
            Register::Brr => u16::from(self.brr),
            Register::Scr => self.scr,
            Register::Ftdr => {
                self.counters.read_of_undefined_register += 1;
                0
            }
            Register::Fsr => self.read_status(),
            Register::Frdr => {
                let byte = self.pop();
                self.settle(LineTime::from_ns(self.now));
                u16::from(byte)
            }
            Register::Fcr => self.fcr,
            Register::BothCounts => (self.tx.len() << 8 | self.rx.len()) as u16,
            Register::TransmitCount => self.tx.len() as u16,
            Register::ReceiveCount => self.rx.len() as u16,
            Register::Sptr => self.read_pins(),
            Register::Lsr => {
                self.overrun_seen = self.overrun;
                if self.overrun { lsr::ORER } else { 0 }
            }
        };
        Ok(u32::from(value))
    }

    fn write(&mut self, offset: u32, width: Width, value: u32, now: u64) -> Result<(), BadAccess> {
        self.advance(now);
        let at = LineTime::from_ns(self.now);
        let half = value as u16;
        match self.decode(offset, width)? {
            Register::Smr => self.reprogram(half & smr::WRITABLE, self.brr),
            Register::Brr => self.reprogram(self.smr, value as u8),
            Register::Scr => self.scr = half & scr::WRITABLE,
            Register::Ftdr => self.push(value as u8),
            Register::Fsr => self.write_status(half),
            Register::Fcr => self.fcr = half & fcr::WRITABLE,
            Register::Sptr => self.sptr = half & sptr::WRITABLE,
            Register::Lsr => {
                if self.overrun_seen && half & lsr::ORER == 0 {
                    self.overrun = false;
                    self.overrun_seen = false;
                }
            }
            Register::Frdr | Register::BothCounts | Register::TransmitCount | Register::ReceiveCount => {
                self.counters.write_of_read_only_register += 1
            }
        }
        self.stop_what_is_off(at);
        self.settle(at);
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

    fn next_event(&self) -> Option<u64> {
        earlier(self.transmitter_event(), self.receiver_event()).map(LineTime::to_ns)
    }

    fn asserted(&self) -> u32 {
        let errors = self.scr & (scr::RIE | scr::REIE) != 0;
        let level = |source: u32, on: bool| if on { source } else { 0 };
        level(source::ERI, errors && self.flags & fsr::ER != 0)
            | level(source::RXI, self.scr & scr::RIE != 0 && self.flags & (fsr::RDF | fsr::DR) != 0)
            | level(source::BRI, errors && (self.flags & fsr::BRK != 0 || self.overrun))
            | level(source::TXI, self.scr & scr::TIE != 0 && self.flags & fsr::TDFE != 0)
    }
}

/// The frames that SCSMR and SCBRR describe: N = Pck / (64 * 2^(2n-1) * B) - 1, with N = BRR and n = CKS.
fn frame_of(smr: u16, brr: u8, peripheral_clock_hz: u32) -> Frame {
    let clocks = (CLOCKS_PER_BIT * (u64::from(brr) + 1)) << (2 * (smr & smr::CKS));
    let parity = match (smr & smr::PE != 0, smr & smr::ODD != 0) {
        (false, _) => Parity::None,
        (true, false) => Parity::Even,
        (true, true) => Parity::Odd,
    };
    Frame::new(
        LineTime::ratio(clocks, peripheral_clock_hz),
        if smr & smr::SEVEN_BITS != 0 { 7 } else { 8 },
        parity,
        if smr & smr::STOP != 0 { 2 } else { 1 },
    )
}
