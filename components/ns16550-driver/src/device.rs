//! The registers of a 16550A, and what one access to them does.
//!
//! Sources: the data sheets of the PC16550D and, for flow control, of the TL16C550C.
//!
//! What makes it harder than others, and what is done about it:
//! - Reading the line status clears the errors that it shows. So each such read is one window with a note of what it found, and the
//!   note is in the UART's scratch register, where it outlives a driver. Announcing clears the note, in one window as well. So
//!   the transmitter may look for room while there is no room to announce anything into.
//! - An overrun is shown at once, though the FIFO holds bytes that came before it. The note counts how many.
//! - There is no count of what the transmitter holds: it is known to be empty, or else what was pushed since.
//! - Behind a bit of the line control the divisor lies where data and interrupts are: an incarnation may have died there.
//! - What the FIFO control is set to cannot be read: it is written again by whoever takes the device over, which loses nothing.
//! - Reading what interrupts takes the transmitter's request back. It is read only for whether the FIFOs are on, by somebody who
//!   waits for no room.

use core::cell::Cell;

use koboshi_interfaces::serial::{DataBits, Flow, Line, Parity, StopBits};
use koboshi_runtime::{Device, Duration, window};
use koboshi_serial_line::{NextByte, RATE_TOLERANCE, Uart};
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// Receiver and transmitter; with `LCR_DIVISOR`, the divisor's lower byte.
const DATA: u32 = 0;
/// Interrupts that are enabled; with `LCR_DIVISOR`, the divisor's upper byte.
const IER: u32 = 1;
/// What interrupts; FCR when written.
const IIR: u32 = 2;
const FCR: u32 = 2;
const LCR: u32 = 3;
const MCR: u32 = 4;
const LSR: u32 = 5;
const MSR: u32 = 6;
const SCRATCH: u32 = 7;

const IER_RECEIVED: u8 = 1 << 0;
const IER_ROOM: u8 = 1 << 1;
const IER_ERROR: u8 = 1 << 2;
const IER_MODEM: u8 = 1 << 3;
/// What the receiver has to tell.
const IER_ARRIVAL: u8 = IER_RECEIVED | IER_ERROR;

const IIR_FIFOS: u8 = 0b11 << 6;

const FCR_ENABLE: u8 = 1 << 0;
const FCR_RESET: u8 = 1 << 2 | 1 << 1;
/// Receive trigger: 4 of 16. The rest of the FIFO is the margin for a recovery.
const FCR_TRIGGER: u8 = 1 << 6;

const LCR_EIGHT: u8 = 0b11;
const LCR_SEVEN: u8 = 0b10;
const LCR_TWO_STOP: u8 = 1 << 2;
const LCR_PARITY: u8 = 1 << 3;
const LCR_EVEN: u8 = 1 << 4;
const LCR_BREAK: u8 = 1 << 6;
const LCR_DIVISOR: u8 = 1 << 7;

const MCR_READY: u8 = 1 << 0;
const MCR_RTS: u8 = 1 << 1;
/// Lets the interrupt out of the chip, on boards that are wired like a PC.
const MCR_OUT2: u8 = 1 << 3;
const MCR_LOOP: u8 = 1 << 4;
/// TL16C550C: RTS and CTS by themselves.
const MCR_AUTO: u8 = 1 << 5;

const LSR_DATA: u8 = 1 << 0;
const LSR_OVERRUN: u8 = 1 << 1;
const LSR_PARITY: u8 = 1 << 2;
const LSR_FRAMING: u8 = 1 << 3;
const LSR_BREAK: u8 = 1 << 4;
const LSR_ROOM: u8 = 1 << 5;
const LSR_SILENT: u8 = 1 << 6;

const MSR_CTS: u8 = 1 << 4;

/// Stages of each FIFO.
pub const FIFO: u8 = 16;

/// Clocks in one bit with a divisor of 1.
const CLOCKS_PER_BIT: u32 = 16;

/// What differs between boards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Board {
    /// A register is at its number, shifted left by so many bits.
    pub shift: u8,
    /// The clock in Hz: 16 of it are a bit with a divisor of 1.
    pub clock_hz: u32,
    /// How the line is set at first.
    pub line: Line,
    /// It can do RTS and CTS by itself (TL16C550C). Otherwise the driver does, as well as it can.
    pub auto_flow: bool,
    /// How often, in nanoseconds, to look though no interrupt came. QEMU does not join the SM501's to the board.
    pub look_each_ns: Option<u64>,
}

/// Who holds whom on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeldBy {
    /// Nobody does.
    Nobody,
    /// The driver.
    Hand,
    /// The chip.
    Chip,
}

/// What the registers say that it is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    control: u8,
    divisor: u16,
    held_by: HeldBy,
}

/// The divisor that comes nearest to this rate.
///
/// # Errors
/// The nearest bit rate, if the clock cannot make this one.
pub fn divisor(clock_hz: u32, baud: u32) -> Result<u16, u32> {
    // In thousandths of a bit per second: at 300 baud a whole one is too coarse.
    let wanted = u64::from(baud.max(1)) * 1000;
    let clock = u64::from(clock_hz) * 1000 / u64::from(CLOCKS_PER_BIT);
    let most = u64::from(u16::MAX);
    let (below, above) = ((clock / wanted).clamp(1, most), (clock / wanted + 1).clamp(1, most));
    let off = |divisor: u64| (clock / divisor).abs_diff(wanted);
    let nearest = if off(below) <= off(above) { below } else { above };
    if off(nearest) * 1000 <= wanted * RATE_TOLERANCE {
        Ok(nearest as u16)
    } else {
        // Rounded: at a low speed what is cut off would be too much.
        Err(((clock / nearest + 500) / 1000) as u32)
    }
}

/// What was found in the line status and not announced yet, as the scratch register keeps it.
///
/// Bits 4 to 0: an overrun stands behind so many bytes less one; 0: none. Bit 5: behind that there was another. Bits 7 and 6: what
/// the byte at hand was received with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Notes(u8);

impl Notes {
    const BEHIND: u8 = 0b1_1111;
    const ANOTHER: u8 = 1 << 5;
    const ERROR: u8 = 0b11 << 6;
    const PARITY: u8 = 0b01 << 6;
    const FRAMING: u8 = 0b10 << 6;
    const BREAK: u8 = 0b11 << 6;
    /// An overrun behind a full FIFO.
    const FULL: u8 = FIFO + 1;

    /// As the scratch register has it, if that is something that was noted.
    fn found(scratch: u8) -> Self {
        if scratch & Self::BEHIND > Self::FULL { Notes::default() } else { Notes(scratch) }
    }

    /// With what the line status shows.
    fn and(self, status: u8) -> Self {
        let Notes(mut notes) = self;
        if status & LSR_OVERRUN != 0 {
            // Where two are known the second one is announced late, by a FIFO at most, and not left out.
            notes |= if notes & Self::BEHIND == 0 { Self::FULL } else { Self::ANOTHER };
        }
        let error = if status & LSR_BREAK != 0 {
            Self::BREAK
        } else if status & LSR_FRAMING != 0 {
            Self::FRAMING
        } else if status & LSR_PARITY != 0 {
            Self::PARITY
        } else {
            return Notes(notes);
        };
        Notes(notes & !Self::ERROR | error)
    }

    /// A byte was taken.
    fn without_a_byte(self) -> Self {
        let notes = self.0 & !Self::ERROR;
        Notes(if notes & Self::BEHIND > 1 { notes - 1 } else { notes })
    }

    /// The overrun was announced.
    fn without_an_overrun(self) -> Self {
        let next = if self.0 & Self::ANOTHER != 0 { Self::FULL } else { 0 };
        Notes(self.0 & Self::ERROR | next)
    }

    /// What is read next, if the receiver has data or not.
    fn next(self, data: bool) -> NextByte {
        let behind = self.0 & Self::BEHIND;
        if behind == 1 || behind > 1 && !data {
            return NextByte::Lost;
        }
        match self.0 & Self::ERROR {
            _ if !data => NextByte::None,
            Self::BREAK => NextByte::Break,
            Self::FRAMING => NextByte::Framing,
            Self::PARITY => NextByte::Parity,
            _ => NextByte::Good,
        }
    }
}

/// The UART.
#[derive(Debug)]
pub struct Ns16550 {
    device: Device,
    board: Board,
    /// As in the scratch register.
    notes: Cell<Notes>,
    /// Stages of the transmitter's FIFO that are free for certain.
    free: Cell<u8>,
    /// There was a byte when last looked.
    data: Cell<bool>,
    held_by: Cell<HeldBy>,
}

impl Ns16550 {
    /// The UART of this board.
    #[must_use]
    pub fn new(device: Device, board: Board) -> Self {
        Ns16550 {
            device,
            board,
            notes: Cell::default(),
            free: Cell::new(0),
            data: Cell::new(false),
            held_by: Cell::new(HeldBy::Nobody),
        }
    }

    fn read(&self, register: u32) -> u8 {
        self.device.read8(register << self.board.shift)
    }

    fn write(&self, register: u32, value: u8) {
        self.device.write8(register << self.board.shift, value);
    }

    /// Whether a UART answers that can keep a note. What it has noted is gone: for a device that is to be reset.
    #[must_use]
    pub fn is_there(&self) -> bool {
        // Neither is a note, so that a death in between leaves none.
        let keeps = [0xFF, 0x1F].into_iter().all(|value| {
            self.write(SCRATCH, value);
            self.read(SCRATCH) == value
        });
        self.write(SCRATCH, 0);
        keeps
    }

    /// Reads the line status, which clears its errors, and notes them.
    fn look(&self) -> u8 {
        window(|| {
            let status = self.read(LSR);
            self.note(self.notes.get().and(status));
            self.data.set(status & LSR_DATA != 0);
            status
        })
    }

    /// To be called in a window with what the note is about.
    fn note(&self, notes: Notes) {
        if notes != self.notes.get() {
            self.write(SCRATCH, notes.0);
            self.notes.set(notes);
        }
    }

    /// Switches `on` on and the rest of `of` off.
    fn interrupts(&self, of: u8, on: u8) {
        let before = self.read(IER);
        let after = before & !of | on;
        if before != after {
            self.write(IER, after);
        }
    }

    fn rts(&self, may_send: bool) {
        let modem = self.read(MCR);
        self.write(MCR, if may_send { modem | MCR_RTS } else { modem & !MCR_RTS });
    }

    fn cleared_to_send(&self) -> bool {
        self.read(MSR) & MSR_CTS != 0
    }

    fn fifos_are_on(&self) -> bool {
        self.read(IIR) & IIR_FIFOS == IIR_FIFOS
    }
}

impl Uart for Ns16550 {
    type Setting = Setting;

    fn setting(&self, line: &Line) -> Result<Setting, u32> {
        let data = if line.data == DataBits::Seven { LCR_SEVEN } else { LCR_EIGHT };
        let stop = if line.stop == StopBits::Two { LCR_TWO_STOP } else { 0 };
        let parity = match line.parity {
            Parity::None => 0,
            Parity::Even => LCR_PARITY | LCR_EVEN,
            Parity::Odd => LCR_PARITY,
        };
        let held_by = match line.flow {
            Flow::None => HeldBy::Nobody,
            Flow::RtsCts if self.board.auto_flow => HeldBy::Chip,
            Flow::RtsCts => HeldBy::Hand,
        };
        Ok(Setting { control: data | stop | parity, divisor: divisor(self.board.clock_hz, line.baud)?, held_by })
    }

    fn is_set_to(&self, setting: Setting) -> bool {
        let modem = MCR_READY | MCR_OUT2 | if setting.held_by == HeldBy::Chip { MCR_AUTO | MCR_RTS } else { 0 };
        let all = MCR_READY | MCR_OUT2 | MCR_LOOP | MCR_AUTO | modem;
        if self.held_by.get() != setting.held_by
            || self.read(LCR) != setting.control
            || self.read(MCR) & all != modem
            || !self.fifos_are_on()
        {
            return false;
        }
        self.write(LCR, setting.control | LCR_DIVISOR);
        let found = u16::from_le_bytes([self.read(DATA), self.read(IER)]);
        self.write(LCR, setting.control);
        found == setting.divisor
    }

    fn program(&self, setting: Setting, reset: bool) {
        // Else the next accesses would be to the divisor: nobody knows how a device that is reset was left.
        self.write(LCR, setting.control);
        let by_client = !reset && self.held_by.get() == HeldBy::Nobody;
        let rts = if by_client { self.read(MCR) & MCR_RTS } else { 0 };
        self.write(MCR, MCR_READY | MCR_OUT2 | rts);
        self.write(FCR, FCR_ENABLE | FCR_TRIGGER | if reset { FCR_RESET } else { 0 });
        if reset {
            self.write(IER, 0);
            let _cleared = (self.read(LSR), self.read(MSR));
            self.write(SCRATCH, 0);
            self.notes.set(Notes::default());
        }
        self.write(LCR, setting.control | LCR_DIVISOR);
        let [lower, upper] = setting.divisor.to_le_bytes();
        self.write(DATA, lower);
        self.write(IER, upper);
        self.write(LCR, setting.control);
    }

    /// Who was held meanwhile is let go.
    fn enable(&self, setting: Setting) {
        self.held_by.set(setting.held_by);
        match setting.held_by {
            HeldBy::Nobody => {}
            HeldBy::Hand => self.rts(self.read(IER) & IER_ARRIVAL != 0),
            HeldBy::Chip => self.write(MCR, MCR_READY | MCR_OUT2 | MCR_AUTO | MCR_RTS),
        }
    }

    fn look_within(&self, _: &Line) -> Option<Duration> {
        self.board.look_each_ns.map(Duration::from_ticks)
    }

    fn bit_time(&self, setting: Setting) -> Duration {
        let clocks = u64::from(CLOCKS_PER_BIT) * u64::from(setting.divisor);
        Duration::from_ticks((clocks * 1_000_000_000).div_ceil(u64::from(self.board.clock_hz.max(1))))
    }

    fn take_over(&self, setting: Setting) {
        let control = self.read(LCR);
        if control & (LCR_DIVISOR | LCR_BREAK) != 0 {
            self.write(LCR, control & !(LCR_DIVISOR | LCR_BREAK));
        }
        self.notes.set(Notes::found(self.read(SCRATCH)));
        self.held_by.set(setting.held_by);
        self.no_interrupt_on_room();
        self.interrupt_on_arrival(true);
        // FIFOs that are off would be emptied by it.
        if self.fifos_are_on() {
            self.write(FCR, FCR_ENABLE | FCR_TRIGGER);
        }
    }

    fn interrupt_on_arrival(&self, on: bool) {
        self.interrupts(IER_ARRIVAL, if on { IER_ARRIVAL } else { 0 });
        if self.held_by.get() == HeldBy::Hand {
            self.rts(on);
        }
    }

    fn interrupt_on_room(&self) {
        // An empty FIFO goes on asking, so that is no way to wait for leave to send.
        let empty = self.look() & LSR_ROOM != 0;
        let held = empty && self.held_by.get() == HeldBy::Hand && !self.cleared_to_send();
        self.interrupts(IER_ROOM | IER_MODEM, if held { IER_MODEM } else { IER_ROOM });
    }

    fn no_interrupt_on_room(&self) {
        self.interrupts(IER_ROOM | IER_MODEM, 0);
    }

    fn room(&self) -> usize {
        if self.look() & LSR_ROOM != 0 {
            self.free.set(FIFO);
        }
        // Reading it also clears what has changed there, which may have interrupted.
        let held = self.held_by.get() == HeldBy::Hand && !self.cleared_to_send();
        if held { 0 } else { self.free.get().into() }
    }

    fn waiting(&self) -> usize {
        usize::from(if self.look() & LSR_ROOM != 0 { 1 } else { FIFO - self.free.get() })
    }

    fn silent(&self) -> bool {
        self.look() & LSR_SILENT != 0
    }

    fn push(&self, byte: u8) {
        self.write(DATA, byte);
        self.free.set(self.free.get().saturating_sub(1));
    }

    fn arrived(&self) -> bool {
        self.next_byte() != NextByte::None
    }

    fn next_byte(&self) -> NextByte {
        self.look();
        self.notes.get().next(self.data.get())
    }

    fn pop(&self) -> u8 {
        let byte = self.read(DATA);
        self.note(self.notes.get().without_a_byte());
        byte
    }

    /// Taking bytes and looking clears everything.
    fn clear_arrival(&self) {}

    /// Of what was seen when last looked: one that came since is seen with the next byte, and noted for its place.
    fn overrun(&self) -> bool {
        self.notes.get().next(self.data.get()) == NextByte::Lost
    }

    fn clear_overrun(&self) {
        self.note(self.notes.get().without_an_overrun());
    }

    /// A break has a byte that stands for it.
    fn broken(&self) -> bool {
        false
    }

    fn clear_break(&self) {}

    fn hold_low(&self, hold: bool) {
        let control = self.read(LCR);
        self.write(LCR, if hold { control | LCR_BREAK } else { control & !LCR_BREAK });
    }

    /// What the chip does with RTS by itself it does not tell.
    fn modem_lines(&self) -> (bool, bool) {
        (self.cleared_to_send(), self.read(MCR) & MCR_RTS != 0)
    }

    fn set_rts(&self, may_send: bool) {
        self.rts(may_send);
    }
}
