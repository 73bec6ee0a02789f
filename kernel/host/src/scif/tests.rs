//! One rule of the chip each, then the rules of the model itself.

mod chip;
mod itself;
mod line;
mod receiver;

use super::*;
use crate::wire::{LineEvent, LineSettings};

const SMR: u32 = 0x00;
const BRR: u32 = 0x04;
const SCR: u32 = 0x08;
const FTDR: u32 = 0x0c;
const FSR: u32 = 0x10;
const FRDR: u32 = 0x14;
const FCR: u32 = 0x18;

/// SH-2007's likely peripheral clock, and BRR for 115,200 baud from it.
const PCK: u32 = 33_333_333;
const N: u32 = 8;
/// 10 bits of 32 * 9 clocks, in ns, rounded up.
const FRAME_NS: u64 = 86_401;
/// A bit, in ns, rounded up.
const BIT_NS: u64 = 8_641;

const TE: u32 = scr::TE as u32;
const RE: u32 = scr::RE as u32;
const TIE: u32 = scr::TIE as u32;
const RIE: u32 = scr::RIE as u32;
const REIE: u32 = scr::REIE as u32;
const MCE: u32 = fcr::MCE as u32;
/// Triggers: receive 8 of 16, transmit 4 of 16.
const TRIGGERS_8_4: u32 = 2 << 6 | 1 << 4;

/// A driver's hands: a model and the time.
#[derive(Clone)]
struct Bench {
    scif: Scif,
    now: u64,
}

impl Bench {
    /// A programmed SH7751R SCIF, both directions on, at the outside end's own 115,200 baud.
    fn new(fcr: u32, scr: u32) -> Self {
        Self::with(Layout::SH7751R, LineSettings::at(115_200), fcr, scr)
    }

    fn with(layout: Layout, settings: LineSettings, fcr: u32, scr: u32) -> Self {
        let mut bench = Bench { scif: Scif::new(layout, PCK, Wire::new(settings)), now: 0 };
        bench.write(BRR, N);
        bench.write(FCR, fcr);
        bench.write(SCR, scr);
        bench
    }

    fn width(&self, offset: u32) -> Width {
        match offset {
            BRR | FTDR | FRDR => Width::Byte,
            _ => Width::Half,
        }
    }

    fn read(&mut self, offset: u32) -> u32 {
        let width = self.width(offset);
        self.scif.read(offset, width, self.now).expect("a register")
    }

    fn write(&mut self, offset: u32, value: u32) {
        let width = self.width(offset);
        self.scif.write(offset, width, value, self.now).expect("a register");
    }

    fn sptr(&self) -> u32 {
        self.scif.layout.sptr
    }

    fn lsr(&self) -> u32 {
        self.scif.layout.lsr
    }

    fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write(FTDR, u32::from(byte));
        }
    }

    fn wait(&mut self, ns: u64) {
        self.now += ns;
        self.scif.advance(self.now);
    }

    fn frames(&mut self, n: u64) {
        self.wait(n * FRAME_NS);
    }

    fn wire(&mut self) -> &mut Wire {
        self.scif.wire_mut()
    }

    /// Lets `bytes` arrive from outside, back to back, and no more time than they need.
    fn feed(&mut self, bytes: &[u8]) {
        self.wire().send_bytes(bytes.iter().copied());
        while !self.scif.wire().is_idle() {
            self.wait(1_000);
        }
    }

    fn has(&mut self, flag: u16) -> bool {
        self.read(FSR) & u32::from(flag) != 0
    }

    /// Reads the flags, then writes 0 to `flag` and 1 to the others.
    fn clear(&mut self, flag: u16) {
        self.read(FSR);
        self.write(FSR, u32::from(!flag));
    }

    fn asserts(&self, source: u32) -> bool {
        self.scif.asserted() & source != 0
    }

    fn counters(&self) -> Counters {
        *self.scif.counters()
    }
}
