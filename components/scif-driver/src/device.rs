//! The registers of a SCIF, and what one access to them does. Behaviour is in `components/serial-line`.
//!
//! Two drivers use it: one that its interrupts wake, and one that looks by itself (`components/scif-polled-driver`). They differ in
//! what they enable, and in nothing that outlives them: so either can take over what the other one has left.
//!
//! Sources: SH7751R and SH7780 hardware manuals, chapter SCIF. Flags in SCFSR are cleared by reading them as 1 and then
//! writing 0; a 1 that is written leaves a flag as it is.

use koboshi_interfaces::serial::{DataBits, Flow, Line, Parity, StopBits};
use koboshi_runtime::{Device, Duration};
use koboshi_serial_line::{NextByte, RATE_TOLERANCE, Uart};
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

const SMR: u32 = 0x00;
const BRR: u32 = 0x04;
const SCR: u32 = 0x08;
const FTDR: u32 = 0x0C;
const FSR: u32 = 0x10;
const FRDR: u32 = 0x14;
const FCR: u32 = 0x18;

const SMR_SEVEN: u16 = 1 << 6;
const SMR_PARITY: u16 = 1 << 5;
const SMR_ODD: u16 = 1 << 4;
const SMR_TWO_STOP: u16 = 1 << 3;

const SCR_TIE: u16 = 1 << 7;
const SCR_RIE: u16 = 1 << 6;
const SCR_TE: u16 = 1 << 5;
const SCR_RE: u16 = 1 << 4;
const SCR_REIE: u16 = 1 << 3;
const SCR_ARRIVAL: u16 = SCR_RIE | SCR_REIE;

const FSR_ER: u16 = 1 << 7;
const FSR_TEND: u16 = 1 << 6;
const FSR_TDFE: u16 = 1 << 5;
const FSR_BRK: u16 = 1 << 4;
const FSR_FER: u16 = 1 << 3;
const FSR_PER: u16 = 1 << 2;
const FSR_RDF: u16 = 1 << 1;
const FSR_DR: u16 = 1 << 0;
/// The flags behind the receiver's interrupts, but for BRK, and for ORER in another register.
const FSR_ARRIVAL: u16 = FSR_ER | FSR_RDF | FSR_DR;

const FCR_MCE: u16 = 1 << 3;
const FCR_RESET: u16 = 1 << 2 | 1 << 1;
/// Receive trigger: the second of four (4 of 16, 16 of 64). The rest of the FIFO is the margin for a recovery.
const FCR_RECEIVE_TRIGGER: u16 = 1 << 6;
/// What part of the FIFO that is.
const TRIGGER_OF_FIFO: u8 = 4;

const SPTR_RTS_OUT: u16 = 1 << 7;
const SPTR_RTS_HIGH: u16 = 1 << 6;
const SPTR_CTS_HIGH: u16 = 1 << 4;
const SPTR_BREAK_OUT: u16 = 1 << 1;
const SPTR_BREAK_HIGH: u16 = 1 << 0;

const LSR_ORER: u16 = 1 << 0;

/// Peripheral clocks in one bit at CKS = 0 and BRR = 0; CKS counts it four times a step (SH7781 manual, 21.3.8).
const CLOCKS_PER_BIT: u32 = 32;

/// Which chip's register layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Chip {
    /// SH7751R: one count register.
    Sh7751r,
    /// SH7780: a count register for each direction.
    Sh7780,
}

/// What differs between boards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Board {
    /// The register layout.
    pub chip: Chip,
    /// Stages of each FIFO.
    pub fifo: u8,
    /// The peripheral clock in Hz.
    pub clock_hz: u32,
    /// How the line is set at first.
    pub line: Line,
    /// The rate register can be read. QEMU's cannot; its line has no speed either.
    pub rate_reads_back: bool,
}

/// What the register says that it is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    mode: u16,
    divisor: u8,
    fifos: u16,
}

/// The SCIF.
#[derive(Debug)]
pub struct Scif {
    device: Device,
    board: Board,
    /// Its interrupts stay off.
    polled: bool,
}

impl Scif {
    /// The SCIF of this board.
    #[must_use]
    pub const fn new(device: Device, board: Board) -> Self {
        Scif { device, board, polled: false }
    }

    /// The SCIF of this board, without its interrupts.
    #[must_use]
    pub const fn polled(device: Device, board: Board) -> Self {
        Scif { device, board, polled: true }
    }

    /// Stages of each FIFO.
    #[must_use]
    pub fn fifo(&self) -> usize {
        self.board.fifo.into()
    }

    fn switch(&self, bits: u16, on: bool) {
        let before = self.device.read16(SCR);
        let after = if on { before | bits } else { before & !bits };
        if before != after {
            self.device.write16(SCR, after);
        }
    }

    fn sptr(&self) -> u32 {
        match self.board.chip {
            Chip::Sh7751r => 0x20,
            Chip::Sh7780 => 0x24,
        }
    }

    fn lsr(&self) -> u32 {
        self.sptr() + 4
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub fn transmit_count(&self) -> usize {
        let count = self.device.read16(0x1C);
        usize::from(match self.board.chip {
            Chip::Sh7751r => count >> 8 & 0x1F,
            Chip::Sh7780 => count & 0x7F,
        })
    }

    /// Bytes that wait to be read.
    fn receive_count(&self) -> usize {
        usize::from(match self.board.chip {
            Chip::Sh7751r => self.device.read16(0x1C) & 0x1F,
            Chip::Sh7780 => self.device.read16(0x20) & 0x7F,
        })
    }

    fn clear(&self, flags: u16) {
        let _read_as_one = self.device.read16(FSR);
        self.device.write16(FSR, !flags);
    }

    /// How the request to send was set by hand.
    fn rts_pin(&self) -> u16 {
        let pins = self.device.read16(self.sptr());
        if pins & SPTR_RTS_OUT == 0 { 0 } else { pins & (SPTR_RTS_OUT | SPTR_RTS_HIGH) }
    }

    /// Lets go of a line that an incarnation before this one held low when it died. The receiver is not touched.
    fn let_go(&self) {
        let enabled = self.device.read16(SCR) & (SCR_TE | SCR_RE);
        let held = enabled == SCR_RE || self.device.read16(self.sptr()) & SPTR_BREAK_OUT != 0;
        if enabled != 0 && held {
            self.hold_low(false);
        }
    }
}

impl Uart for Scif {
    type Setting = Setting;

    fn setting(&self, line: &Line) -> Result<Setting, u32> {
        let mut mode = 0;
        if line.data == DataBits::Seven {
            mode |= SMR_SEVEN;
        }
        match line.parity {
            Parity::None => {}
            Parity::Even => mode |= SMR_PARITY,
            Parity::Odd => mode |= SMR_PARITY | SMR_ODD,
        }
        if line.stop == StopBits::Two {
            mode |= SMR_TWO_STOP;
        }
        let fifos = FCR_RECEIVE_TRIGGER | if line.flow == Flow::RtsCts { FCR_MCE } else { 0 };
        // In thousandths of a bit per second: at 300 baud a whole one is too coarse.
        let wanted = u64::from(line.baud.max(1)) * 1000;
        let mut nearest: Option<(u64, Setting)> = None;
        for select in 0u16..4 {
            let clock = u64::from(self.board.clock_hz) * 1000 / u64::from(CLOCKS_PER_BIT << (2 * select));
            let below = clock / wanted;
            for divisor in [below.clamp(1, 256), (below + 1).clamp(1, 256)] {
                let made = clock / divisor;
                if nearest.is_none_or(|(best, _)| made.abs_diff(wanted) < best.abs_diff(wanted)) {
                    nearest = Some((made, Setting { mode: mode | select, divisor: (divisor - 1) as u8, fifos }));
                }
            }
        }
        match nearest {
            Some((made, setting)) if made.abs_diff(wanted) * 1000 <= wanted * RATE_TOLERANCE => Ok(setting),
            nearest => Err(nearest.map_or(0, |(made, _)| (made / 1000) as u32)),
        }
    }

    fn is_set_to(&self, setting: Setting) -> bool {
        let enabled = self.device.read16(SCR) & (SCR_TE | SCR_RE) == SCR_TE | SCR_RE;
        let held = self.device.read16(self.sptr()) & SPTR_BREAK_OUT != 0;
        let divisor = || if self.board.rate_reads_back { self.device.read8(BRR) } else { setting.divisor };
        enabled
            && !held
            && setting == Setting { mode: self.device.read16(SMR), divisor: divisor(), fifos: self.device.read16(FCR) }
    }

    /// Both directions stop meanwhile.
    fn program(&self, setting: Setting, reset: bool) {
        let arrival = self.device.read16(SCR) & SCR_ARRIVAL;
        self.device.write16(SCR, if reset { 0 } else { arrival });
        let rts = if reset { 0 } else { self.rts_pin() };
        if reset {
            self.device.write16(FCR, FCR_RESET);
            self.clear(FSR_ER | FSR_TEND | FSR_TDFE | FSR_BRK | FSR_RDF | FSR_DR);
            self.clear_overrun();
        }
        self.device.write16(SMR, setting.mode);
        self.device.write8(BRR, setting.divisor);
        self.device.write16(self.sptr(), rts);
        self.device.write16(FCR, setting.fifos & !FCR_MCE);
    }

    /// Flow control begins between the two: the other end is let send only to a receiver that hears, and the transmitter
    /// sends only when it is let.
    fn enable(&self, setting: Setting) {
        self.switch(SCR_RE, true);
        self.device.write16(FCR, setting.fifos);
        self.switch(SCR_TE, true);
    }

    /// A quarter of the FIFO is what the interrupt would wait for, too. So the same three quarters are left for a look that comes
    /// late, or for a recovery, and the transmitter has four looks until it runs dry.
    fn look_within(&self, line: &Line) -> Option<Duration> {
        self.polled.then(|| line.byte_time() * u32::from((self.board.fifo / TRIGGER_OF_FIFO).max(1)))
    }

    fn bit_time(&self, setting: Setting) -> Duration {
        let clocks = u64::from(CLOCKS_PER_BIT << (2 * (setting.mode & 3))) * (u64::from(setting.divisor) + 1);
        Duration::from_ticks((clocks * 1_000_000_000).div_ceil(u64::from(self.board.clock_hz.max(1))))
    }

    fn take_over(&self, _: Setting) {
        // Whatever the one before was waiting for, or died in.
        self.let_go();
        self.switch(SCR_TIE, false);
        self.switch(SCR_ARRIVAL, !self.polled);
    }

    fn interrupt_on_arrival(&self, on: bool) {
        if !self.polled {
            self.switch(SCR_ARRIVAL, on);
        }
    }

    fn interrupt_on_room(&self) {
        if !self.polled {
            // It comes again while there is room.
            self.clear(FSR_TDFE);
            self.switch(SCR_TIE, true);
        }
    }

    fn no_interrupt_on_room(&self) {
        if !self.polled {
            self.switch(SCR_TIE, false);
        }
    }

    fn room(&self) -> usize {
        self.fifo().saturating_sub(self.transmit_count())
    }

    fn waiting(&self) -> usize {
        self.transmit_count()
    }

    /// TEND is latched, so it is cleared and looked at again.
    fn silent(&self) -> bool {
        self.clear(FSR_TEND);
        self.transmit_count() == 0 && self.device.read16(FSR) & FSR_TEND != 0
    }

    fn push(&self, byte: u8) {
        self.device.write8(FTDR, byte);
    }

    /// True also if only a flag is left: QEMU raises RXI 1.56 ms after the last bytes even if they were taken meanwhile, and holds it
    /// until the flag is cleared.
    fn arrived(&self) -> bool {
        self.receive_count() > 0 || self.device.read16(FSR) & (FSR_ARRIVAL | FSR_BRK) != 0 || self.overrun()
    }

    fn next_byte(&self) -> NextByte {
        if self.receive_count() == 0 {
            return NextByte::None;
        }
        let status = self.device.read16(FSR);
        if status & FSR_FER != 0 {
            NextByte::Framing
        } else if status & FSR_PER != 0 {
            NextByte::Parity
        } else {
            NextByte::Good
        }
    }

    fn pop(&self) -> u8 {
        self.device.read8(FRDR)
    }

    fn clear_arrival(&self) {
        self.clear(FSR_ARRIVAL);
    }

    /// The device stops receiving at an overrun, so what it lost comes behind all that was in it.
    fn overrun(&self) -> bool {
        self.device.read16(self.lsr()) & LSR_ORER != 0
    }

    fn clear_overrun(&self) {
        let _read_as_one = self.device.read16(self.lsr());
        self.device.write16(self.lsr(), 0);
    }

    fn broken(&self) -> bool {
        self.device.read16(FSR) & FSR_BRK != 0
    }

    fn clear_break(&self) {
        self.clear(FSR_BRK);
    }

    fn hold_low(&self, hold: bool) {
        let rts = self.rts_pin();
        if hold {
            self.switch(SCR_TE, false);
            self.device.write16(self.sptr(), rts | SPTR_BREAK_OUT);
        } else {
            self.device.write16(self.sptr(), rts | SPTR_BREAK_OUT | SPTR_BREAK_HIGH);
            self.switch(SCR_TE, true);
            self.device.write16(self.sptr(), rts);
        }
    }

    fn modem_lines(&self) -> (bool, bool) {
        let pins = self.device.read16(self.sptr());
        (pins & SPTR_CTS_HIGH == 0, pins & SPTR_RTS_HIGH == 0)
    }

    fn set_rts(&self, may_send: bool) {
        self.device.write16(self.sptr(), SPTR_RTS_OUT | if may_send { 0 } else { SPTR_RTS_HIGH });
    }
}
