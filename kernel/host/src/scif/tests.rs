//! One rule of the chip each, then the rules of the model itself.

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

// Accesses.

#[test]
fn every_register_answers_to_its_own_width_only() {
    for layout in [Layout::SH7751R, Layout::SH7780] {
        let mut scif = Scif::new(layout, PCK, Wire::new(LineSettings::at(115_200)));
        for offset in (0..=layout.lsr).step_by(4) {
            let right = match offset {
                BRR | FTDR | FRDR => Width::Byte,
                _ => Width::Half,
            };
            for width in [Width::Byte, Width::Half, Width::Word] {
                assert_eq!(scif.read(offset, width, 0).is_ok(), width == right, "{offset:#x}");
                assert_eq!(scif.write(offset, width, 0, 0).is_ok(), width == right, "{offset:#x}");
            }
        }
    }
}

#[test]
fn an_offset_without_a_register_is_refused() {
    let mut bench = Bench::new(0, 0);
    for offset in [0x02, 0x28, 0x1000] {
        let refused = Err(BadAccess::NoRegister { offset });
        assert_eq!(bench.scif.read(offset, Width::Half, 0), refused);
    }
}

#[test]
fn power_on_leaves_the_transmitter_empty_and_both_directions_off() {
    let mut scif = Scif::new(Layout::SH7780, PCK, Wire::new(LineSettings::at(115_200)));
    assert_eq!(scif.read(SMR, Width::Half, 0), Ok(0));
    assert_eq!(scif.read(BRR, Width::Byte, 0), Ok(0xff));
    assert_eq!(scif.read(SCR, Width::Half, 0), Ok(0));
    assert_eq!(scif.read(FSR, Width::Half, 0), Ok(0x60));
    assert_eq!(scif.read(FCR, Width::Half, 0), Ok(0));
    assert_eq!(scif.read(0x28, Width::Half, 0), Ok(0));
    assert_eq!((scif.asserted(), scif.next_event()), (0, None));
}

#[test]
fn reserved_bits_read_as_zero() {
    let mut bench = Bench::new(0, 0);
    bench.write(SMR, 0xffff);
    bench.write(SCR, 0xffff);
    assert_eq!(bench.read(SMR), 0xfb);
    assert_eq!(bench.read(SCR), 0xfb);
}

#[test]
fn the_transmit_register_cannot_be_read_and_the_receive_register_not_written() {
    let mut bench = Bench::new(0, TE | RE);
    assert_eq!(bench.read(FTDR), 0);
    bench.write(FRDR, 1);
    let counters = bench.counters();
    assert_eq!(counters.read_of_undefined_register, 1);
    assert_eq!(counters.write_of_read_only_register, 1);
    assert_eq!(bench.scif.fifo_counts(), (0, 0));
}

// Rate.

#[test]
fn a_frame_takes_the_time_that_the_divisor_says() {
    let mut bench = Bench::new(0, TE);
    bench.push(b"U");
    bench.wait(FRAME_NS - 1);
    assert_eq!(bench.counters().transmitted, 0);
    bench.wait(1);
    assert_eq!(bench.counters().transmitted, 1);
    assert_eq!(bench.scif.wire().last_received_at, Some(FRAME_NS));
}

#[test]
fn frames_back_to_back_do_not_drift() {
    let mut bench = Bench::new(0, TE);
    for _ in 0..10_000 {
        while bench.scif.fifo_counts().0 == 16 {
            bench.wait(FRAME_NS / 4);
        }
        bench.push(b"U");
    }
    bench.frames(20);
    // 10,000 frames of 10 bits of 32 * 9 clocks of 33,333,333 Hz.
    let exact = 10_000_u128 * 10 * 32 * 9 * 1_000_000_000;
    let exact = exact.div_ceil(u128::from(PCK)) as u64;
    assert_eq!(bench.scif.wire().last_received_at, Some(exact));
}

#[test]
fn each_step_of_the_clock_select_is_four_times_slower() {
    let bit = |cks: u16, brr: u8| frame_of(cks, brr, 60_000_000).length.to_ns();
    assert_eq!(bit(0, 15), 85_334); // 60 MHz, 115,200 baud: N = 15 (+1.7 %)
    assert_eq!(bit(1, 15), 341_334);
    assert_eq!(bit(2, 15), 1_365_334);
    assert_eq!(bit(3, 15), 5_461_334);
}

#[test]
fn the_frame_is_as_long_as_data_parity_and_stop_bits_make_it() {
    // 60 MHz / (32 * 15) = 125,000 baud: 8 us a bit.
    let bits = |smr: u16| frame_of(smr, 14, 60_000_000).length.to_ns() / 8_000;
    assert_eq!(bits(0), 10);
    assert_eq!(bits(smr::SEVEN_BITS), 9);
    assert_eq!(bits(smr::PE), 11);
    assert_eq!(bits(smr::STOP), 11);
    assert_eq!(bits(smr::SEVEN_BITS | smr::PE | smr::STOP), 11);
    assert_eq!(bits(smr::PE | smr::STOP), 12);
}

#[test]
fn changing_the_rate_while_running_is_counted() {
    let mut bench = Bench::new(0, TE);
    bench.write(BRR, N);
    assert_eq!(bench.counters().illegal_reprogramming, 0);
    bench.write(BRR, 1);
    bench.write(SMR, 1);
    assert_eq!(bench.counters().illegal_reprogramming, 2);
    bench.write(SCR, 0);
    bench.write(BRR, N);
    assert_eq!(bench.counters().illegal_reprogramming, 2);
}

// Transmitter.

#[test]
fn bytes_leave_in_order_and_nothing_leaves_without_te() {
    let mut bench = Bench::new(0, 0);
    bench.push(b"abc");
    bench.frames(5);
    assert!(bench.scif.wire().received.is_empty());
    bench.write(SCR, TE);
    bench.frames(3);
    assert_eq!(bench.scif.wire().received, b"abc");
}

#[test]
fn a_write_to_the_full_transmit_fifo_is_lost_and_counted() {
    let mut bench = Bench::new(0, TE);
    bench.push(&[b'x'; 20]);
    // One in the shift register, sixteen in the FIFO.
    assert_eq!(bench.counters().pushed, 17);
    assert_eq!(bench.counters().pushed_into_full, 3);
    assert_eq!(bench.read(0x1c), 16 << 8);
}

#[test]
fn the_counts_of_the_sh7780_lie_in_registers_of_their_own() {
    let mut bench = Bench::with(Layout::SH7780, LineSettings::at(115_200), 0, TE | RE);
    bench.push(&[b'x'; 100]);
    assert_eq!((bench.read(0x1c), bench.read(0x20)), (64, 0));
    bench.feed(&[1; 5]);
    assert_eq!(bench.read(0x20), 5);
}

#[test]
fn the_fifo_depth_goes_with_either_layout() {
    let layout = Layout::SH7751R.with_fifo(FifoDepth::SixtyFour);
    let mut bench = Bench::with(layout, LineSettings::at(115_200), 0, TE);
    bench.push(&[b'x'; 100]);
    assert_eq!(bench.read(0x1c), 64 << 8);
}

#[test]
fn tdfe_sets_itself_again_while_the_fifo_is_at_its_trigger() {
    let mut bench = Bench::new(TRIGGERS_8_4, 0);
    bench.push(&[0; 4]);
    bench.clear(fsr::TDFE);
    assert!(bench.has(fsr::TDFE));
    bench.push(&[0; 1]);
    assert!(bench.has(fsr::TDFE));
    bench.clear(fsr::TDFE);
    assert!(!bench.has(fsr::TDFE));
}

#[test]
fn tdfe_returns_at_the_time_the_fifo_falls_to_its_trigger() {
    for (ttrg, trigger) in [8_u64, 4, 2, 1].into_iter().enumerate() {
        let mut bench = Bench::new((ttrg as u32) << 4, TE | TIE);
        bench.push(&[0; 17]);
        bench.clear(fsr::TDFE);
        assert!(!bench.asserts(source::TXI));
        let event = bench.scif.next_event().expect("TXI to come");
        assert!(event.abs_diff((16 - trigger) * FRAME_NS) < 16);
        bench.wait(event - 1);
        assert!(!bench.asserts(source::TXI));
        bench.wait(1);
        assert!(bench.asserts(source::TXI));
        assert_eq!(bench.scif.fifo_counts().0 as u64, trigger);
    }
}

#[test]
fn txi_is_the_level_of_tdfe_under_tie() {
    let mut bench = Bench::new(0, TE);
    assert!(!bench.asserts(source::TXI));
    bench.write(SCR, TE | TIE);
    assert!(bench.asserts(source::TXI));
    bench.write(SCR, TE);
    assert!(!bench.asserts(source::TXI));
}

#[test]
fn tend_stays_until_it_is_cleared_and_returns_with_the_last_bit() {
    let mut bench = Bench::new(0, TE);
    bench.push(b"ab");
    assert!(bench.has(fsr::TEND), "latched from before");
    bench.clear(fsr::TEND);
    assert!(!bench.has(fsr::TEND));
    bench.frames(1);
    assert!(!bench.has(fsr::TEND));
    bench.wait(FRAME_NS - 2);
    assert!(!bench.has(fsr::TEND));
    bench.wait(2);
    assert!(bench.has(fsr::TEND));
}

#[test]
fn a_flag_is_cleared_only_if_it_was_read_as_one_before() {
    let mut bench = Bench::new(0, TE);
    bench.push(&[0; 17]);
    bench.write(FSR, 0);
    assert!(bench.has(fsr::TDFE), "the write came before the read");
    bench.write(FSR, 0);
    assert!(!bench.has(fsr::TDFE));
}

#[test]
fn a_flag_that_was_set_again_must_be_read_again() {
    let mut bench = Bench::new(0, RE);
    bench.wire().send(Symbol::BadFraming(1));
    bench.frames(2);
    bench.clear(fsr::ER);
    assert!(!bench.has(fsr::ER));
    bench.wire().send(Symbol::BadFraming(2));
    bench.frames(2);
    bench.write(FSR, 0);
    assert!(bench.has(fsr::ER));
}

#[test]
fn writing_one_keeps_a_flag() {
    let mut bench = Bench::new(0, TE);
    bench.push(&[0; 17]);
    bench.read(FSR);
    bench.write(FSR, u32::from(fsr::TDFE));
    assert!(bench.has(fsr::TDFE));
    assert!(!bench.has(fsr::TEND));
}

#[test]
fn te_going_off_cuts_the_frame_and_keeps_the_fifo() {
    let mut bench = Bench::new(0, TE);
    bench.push(b"abc");
    bench.wait(FRAME_NS / 2);
    bench.write(SCR, 0);
    assert!(bench.has(fsr::TEND));
    assert_eq!(bench.counters().aborted, 1);
    assert_eq!(bench.scif.wire().events.len(), 1);
    bench.write(SCR, TE);
    bench.frames(2);
    assert_eq!(bench.scif.wire().received, b"bc");
}

#[test]
fn a_reset_of_the_transmit_fifo_spares_the_frame_on_its_way() {
    let mut bench = Bench::new(0, TE);
    bench.push(b"abc");
    bench.write(FCR, u32::from(fcr::TFRST));
    bench.push(b"d");
    bench.write(FCR, 0);
    bench.frames(4);
    assert_eq!(bench.scif.wire().received, b"a");
    assert_eq!(bench.counters().discarded_tx, 2);
    assert_eq!(bench.counters().pushed_into_full, 1);
}

// Receiver.

#[test]
fn bytes_arrive_in_order_at_the_outside_ends_rate() {
    let mut bench = Bench::new(0, RE);
    bench.wire().send_bytes(*b"abc");
    bench.wait(86_805);
    assert_eq!(bench.scif.fifo_counts().1, 0);
    bench.wait(1);
    assert_eq!(bench.scif.fifo_counts().1, 1);
    bench.wait(2 * 86_806);
    assert_eq!([bench.read(FRDR), bench.read(FRDR), bench.read(FRDR)], [97, 98, 99]);
    assert_eq!((bench.counters().arrived, bench.counters().popped), (3, 3));
}

#[test]
fn nothing_arrives_without_re_nor_a_frame_that_began_before_it() {
    let mut bench = Bench::new(0, 0);
    bench.wire().send_bytes(*b"abc");
    bench.wait(FRAME_NS * 3 / 2);
    bench.write(SCR, RE);
    bench.frames(3);
    assert_eq!(bench.scif.fifo_counts().1, 1);
    assert_eq!(bench.read(FRDR), u32::from(b'c'));
    assert_eq!(bench.counters().missed, 2);
}

#[test]
fn reading_the_empty_receive_fifo_is_counted() {
    let mut bench = Bench::new(0, RE);
    assert_eq!(bench.read(FRDR), 0);
    assert_eq!(bench.counters().popped_empty, 1);
}

#[test]
fn rdf_is_set_at_each_trigger_of_either_depth() {
    for depth in [FifoDepth::Sixteen, FifoDepth::SixtyFour] {
        for (rtrg, trigger) in depth.receive_triggers().into_iter().enumerate() {
            let layout = Layout::SH7780.with_fifo(depth);
            let mut bench = Bench::with(layout, LineSettings::at(115_200), (rtrg as u32) << 6, RE | RIE);
            bench.feed(&vec![0; trigger - 1]);
            assert!(!bench.asserts(source::RXI));
            bench.feed(&[0]);
            assert!(bench.asserts(source::RXI));
            assert!(bench.has(fsr::RDF) && !bench.has(fsr::DR));
        }
    }
}

#[test]
fn rdf_stays_until_the_fifo_is_below_its_trigger_and_it_is_cleared() {
    let mut bench = Bench::new(TRIGGERS_8_4, RE | RIE);
    bench.feed(&[0; 9]);
    bench.clear(fsr::RDF);
    assert!(bench.has(fsr::RDF));
    bench.read(FRDR);
    bench.clear(fsr::RDF);
    assert!(bench.has(fsr::RDF), "eight are the trigger");
    bench.read(FRDR);
    assert!(bench.asserts(source::RXI), "reading data does not clear the flag");
    bench.clear(fsr::RDF);
    assert!(!bench.asserts(source::RXI));
}

#[test]
fn dr_comes_fifteen_bits_after_the_last_arrival_below_the_trigger() {
    let mut bench = Bench::new(TRIGGERS_8_4, RE | RIE);
    bench.wire().send_bytes([1, 2]);
    let due = bench.scif.next_event().expect("DR to come");
    assert!(due.abs_diff(2 * 86_806 + 15 * BIT_NS) < 20);
    bench.wait(due - 1);
    assert!(!bench.has(fsr::DR) && !bench.asserts(source::RXI));
    bench.wait(1);
    assert!(bench.has(fsr::DR) && bench.asserts(source::RXI));
    assert!(!bench.has(fsr::RDF));
}

#[test]
fn dr_stays_until_the_fifo_is_empty_and_it_is_cleared() {
    let mut bench = Bench::new(TRIGGERS_8_4, RE | RIE);
    bench.feed(&[1, 2]);
    bench.frames(2);
    bench.read(FRDR);
    bench.clear(fsr::DR);
    assert!(bench.has(fsr::DR));
    bench.read(FRDR);
    assert!(bench.has(fsr::DR));
    bench.clear(fsr::DR);
    assert!(!bench.has(fsr::DR));
}

#[test]
fn dr_stays_also_when_the_line_is_no_longer_quiet() {
    let mut bench = Bench::new(TRIGGERS_8_4, RE);
    bench.feed(&[1]);
    bench.frames(2);
    bench.read(FSR);
    bench.feed(&[2]);
    bench.write(FSR, 0);
    assert!(bench.has(fsr::DR));
}

#[test]
fn dr_comes_at_once_for_what_is_left_when_the_line_was_quiet() {
    let mut bench = Bench::new(TRIGGERS_8_4, RE);
    bench.feed(&[0; 9]);
    bench.frames(3);
    assert!(!bench.has(fsr::DR));
    bench.read(FRDR);
    bench.read(FRDR);
    assert!(bench.has(fsr::DR));
}

#[test]
fn data_already_there_interrupts_when_rie_is_set() {
    let mut bench = Bench::new(0, RE);
    bench.feed(&[1]);
    assert!(!bench.asserts(source::RXI));
    bench.write(SCR, RE | RIE);
    assert!(bench.asserts(source::RXI));
}

#[test]
fn fer_and_per_describe_the_next_byte_to_read() {
    let settings = LineSettings { parity: Parity::Even, ..LineSettings::at(115_200) };
    let mut bench = Bench::with(Layout::SH7751R, settings, 0, 0);
    bench.write(SMR, u32::from(smr::PE));
    bench.write(SCR, RE | RIE);
    bench.wire().send(Symbol::Byte(1));
    bench.wire().send(Symbol::BadParity(2));
    bench.wire().send(Symbol::BadFraming(3));
    bench.wait(300_000);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let status = bench.read(FSR);
        let (per, fer) = (status & 4 != 0, status & 8 != 0);
        seen.push((status >> 12 & 15, status >> 8 & 15, per, fer));
        bench.read(FRDR);
    }
    assert_eq!(seen, [(1, 1, false, false), (1, 1, true, false), (0, 1, false, true)]);
    assert!(bench.asserts(source::ERI), "ER outlives the bytes it was for");
}

#[test]
fn eri_is_the_level_of_er_under_rie_or_reie() {
    let mut bench = Bench::new(0, RE);
    bench.wire().send(Symbol::BadFraming(3));
    bench.frames(2);
    assert!(!bench.asserts(source::ERI));
    bench.write(SCR, RE | REIE);
    assert!(bench.asserts(source::ERI) && !bench.asserts(source::RXI));
    bench.write(SCR, RE | RIE);
    assert!(bench.asserts(source::ERI));
    bench.clear(fsr::ER);
    assert!(!bench.asserts(source::ERI));
}

#[test]
fn a_frame_that_finds_the_fifo_full_is_lost_and_sets_orer() {
    let mut bench = Bench::new(0, RE | RIE);
    bench.feed(&(1..=16).collect::<Vec<u8>>());
    assert!(!bench.asserts(source::BRI));
    bench.feed(&[17, 18]);
    assert!(bench.asserts(source::BRI));
    let lsr = bench.lsr();
    assert_eq!(bench.read(lsr), 1);
    assert_eq!(bench.counters().overrun, 2);
    let kept: Vec<u32> = (0..16).map(|_| bench.read(FRDR)).collect();
    assert_eq!(kept, (1..=16).collect::<Vec<u32>>());
}

#[test]
fn nothing_is_received_until_orer_is_cleared() {
    let mut bench = Bench::new(0, RE | REIE);
    bench.feed(&[0; 17]);
    bench.read(FRDR);
    bench.feed(&[1]);
    assert_eq!(bench.counters().overrun, 2);
    let lsr = bench.lsr();
    bench.write(lsr, 0);
    assert!(bench.asserts(source::BRI), "the write came before the read");
    bench.read(lsr);
    bench.write(lsr, 1);
    assert!(bench.asserts(source::BRI));
    bench.write(lsr, 0);
    assert!(!bench.asserts(source::BRI));
    bench.feed(&[2]);
    assert_eq!(bench.counters().overrun, 2);
    assert_eq!(bench.scif.fifo_counts().1, 16);
}

#[test]
fn a_reset_of_the_receive_fifo_empties_it() {
    let mut bench = Bench::new(0, RE);
    bench.wire().send(Symbol::BadFraming(1));
    bench.feed(&[2]);
    bench.write(FCR, u32::from(fcr::RFRST));
    bench.feed(&[3]);
    bench.write(FCR, 0);
    assert_eq!(bench.scif.fifo_counts().1, 0);
    assert_eq!(bench.counters().discarded_rx, 3);
    assert_eq!(bench.read(FSR) & 0xff0c, 0);
}

// Breaks.

#[test]
fn a_break_from_outside_is_a_bad_zero_and_then_brk() {
    let mut bench = Bench::new(0, RE | REIE);
    bench.wire().send(Symbol::Break(1_000_000));
    bench.wire().send(Symbol::Byte(b'x'));
    bench.wait(FRAME_NS);
    assert!(bench.asserts(source::ERI) && !bench.asserts(source::BRI));
    bench.wait(FRAME_NS - 2);
    assert!(!bench.asserts(source::BRI));
    bench.wait(2);
    assert!(bench.asserts(source::BRI));
    let sptr = bench.sptr();
    assert_eq!(bench.read(sptr) & 1, 0, "the receive pin is low");
    assert_eq!((bench.read(FSR) & 8, bench.read(FRDR)), (8, 0));
    bench.clear(fsr::BRK);
    bench.wait(1_000_000);
    assert!(!bench.asserts(source::BRI));
    assert_eq!(bench.read(sptr) & 1, 1);
    assert_eq!(bench.read(FRDR), u32::from(b'x'));
    assert_eq!(bench.counters().arrived, 2);
}

#[test]
fn a_short_low_is_a_framing_error_but_no_break() {
    let mut bench = Bench::new(0, RE | REIE);
    bench.wire().send(Symbol::Break(FRAME_NS * 3 / 2));
    bench.frames(4);
    assert!(bench.asserts(source::ERI) && !bench.asserts(source::BRI));
}

#[test]
fn the_pin_makes_a_break_of_its_own_length_while_te_is_off() {
    let mut bench = Bench::new(0, TE);
    let sptr = bench.sptr();
    bench.write(sptr, u32::from(sptr::SPB2IO));
    assert_eq!(bench.scif.wire().break_since(), None);
    bench.write(SCR, 0);
    assert_eq!(bench.scif.wire().break_since(), Some(0));
    bench.wait(3_000_000);
    bench.write(SCR, TE);
    let lasted = 3_000_000;
    assert_eq!(bench.scif.wire().events, [LineEvent::Break { began: 0, lasted }]);
    bench.push(b"x");
    bench.frames(1);
    assert_eq!(bench.scif.wire().received, b"x");
}

#[test]
fn a_low_shorter_than_a_frame_is_no_break_outside() {
    let mut bench = Bench::new(0, 0);
    let sptr = bench.sptr();
    bench.write(sptr, u32::from(sptr::SPB2IO));
    bench.wait(50_000);
    bench.write(sptr, u32::from(sptr::SPB2IO | sptr::SPB2DT));
    let at = 50_000;
    assert_eq!(bench.scif.wire().events, [LineEvent::Garbled { at, byte: 0 }]);
}

// Flow control.

#[test]
fn rts_stops_the_outside_end_before_a_byte_is_lost() {
    let settings = LineSettings::at(115_200).with_flow_control(true);
    for (layout, level) in [(Layout::SH7751R, 15), (Layout::SH7780, 63)] {
        let mut bench = Bench::with(layout, settings, MCE, RE);
        bench.wire().send_bytes([7; 200]);
        bench.frames(300);
        assert!(!bench.scif.rts_asserted());
        assert_eq!(bench.scif.fifo_counts().1, level);
        assert_eq!(bench.counters().overrun, 0);
        bench.read(FRDR);
        assert!(bench.scif.rts_asserted());
        bench.frames(2);
        assert_eq!(bench.scif.fifo_counts().1, level);
    }
}

#[test]
fn the_rts_level_is_chosen_by_rstrg() {
    for depth in [FifoDepth::Sixteen, FifoDepth::SixtyFour] {
        for (rstrg, level) in depth.rts_levels().into_iter().enumerate() {
            let settings = LineSettings::at(115_200).with_flow_control(true);
            let layout = Layout::SH7780.with_fifo(depth);
            let mut bench = Bench::with(layout, settings, MCE | (rstrg as u32) << 8, RE);
            bench.wire().send_bytes([7; 200]);
            bench.frames(100);
            assert_eq!(bench.scif.fifo_counts().1, level);
        }
    }
}

#[test]
fn an_outside_end_without_flow_control_does_not_look_at_rts() {
    let mut bench = Bench::new(MCE, RE);
    bench.wire().send_bytes([7; 20]);
    bench.frames(25);
    assert_eq!(bench.counters().overrun, 4);
}

#[test]
fn without_mce_software_drives_rts() {
    let settings = LineSettings::at(115_200).with_flow_control(true);
    let mut bench = Bench::with(Layout::SH7751R, settings, 0, RE);
    let sptr = bench.sptr();
    bench.wire().send_bytes([7; 3]);
    bench.frames(2);
    assert_eq!(bench.scif.fifo_counts().1, 0, "nobody drives the pin");
    bench.write(sptr, u32::from(sptr::RTSIO));
    assert_eq!(bench.read(sptr) & u32::from(sptr::RTSDT), 0);
    bench.wait(90_000);
    assert_eq!(bench.scif.fifo_counts().1, 1);
    bench.write(sptr, u32::from(sptr::RTSIO | sptr::RTSDT));
    assert_ne!(bench.read(sptr) & u32::from(sptr::RTSDT), 0);
    bench.frames(5);
    assert_eq!(bench.scif.fifo_counts().1, 2, "the frame under way came through");
}

#[test]
fn cts_stops_the_transmitter_at_a_frame_boundary() {
    let mut bench = Bench::new(MCE, TE | TIE);
    bench.push(&[b'x'; 17]);
    bench.clear(fsr::TDFE);
    bench.wait(FRAME_NS / 2);
    bench.wire().hold(true);
    assert_eq!(bench.scif.next_event(), None);
    bench.frames(10);
    assert_eq!(bench.scif.wire().received.len(), 1);
    let sptr = bench.sptr();
    assert_ne!(bench.read(sptr) & u32::from(sptr::CTSDT), 0);
    bench.wire().hold(false);
    let event = bench.scif.next_event().expect("TXI to come");
    // Eight of sixteen must begin, the first of them now.
    assert!(event.abs_diff(bench.now + 7 * FRAME_NS) < 16);
    bench.frames(16);
    assert_eq!(bench.scif.wire().received.len(), 17);
}

#[test]
fn without_mce_the_transmitter_does_not_look_at_cts() {
    let mut bench = Bench::new(0, TE);
    bench.wire().hold(true);
    bench.push(b"abc");
    bench.frames(3);
    assert_eq!(bench.scif.wire().received, b"abc");
}

// Ends that do not match; loop-back.

#[test]
fn an_outside_end_at_another_rate_makes_framing_errors_both_ways() {
    let mut bench = Bench::with(Layout::SH7751R, LineSettings::at(9_600), 0, TE | RE | RIE);
    bench.push(b"a");
    bench.feed(b"b");
    assert!(bench.asserts(source::ERI));
    assert_ne!(bench.read(FRDR), u32::from(b'b'));
    assert!(bench.scif.wire().received.is_empty());
    assert!(matches!(
        bench.scif.wire().events[..],
        [LineEvent::Garbled { byte, .. }] if byte != b'a'
    ));
}

#[test]
fn rates_four_percent_apart_still_understand_each_other() {
    for (baud, good) in [(120_000, true), (111_300, true), (122_000, false), (109_000, false)] {
        let mut bench = Bench::with(Layout::SH7751R, LineSettings::at(baud), 0, TE | RE | RIE);
        bench.push(b"a");
        bench.feed(b"b");
        bench.frames(1);
        assert_eq!(!bench.asserts(source::ERI), good, "{baud}");
        assert_eq!(bench.scif.wire().received == b"a", good, "{baud}");
    }
}

#[test]
fn other_data_bits_or_parity_spoil_frames_and_other_stop_bits_do_not() {
    let good = |settings: LineSettings| {
        let mut bench = Bench::with(Layout::SH7751R, settings, 0, TE | RE | RIE);
        bench.push(b"a");
        bench.feed(b"b");
        bench.frames(1);
        (!bench.asserts(source::ERI), bench.scif.wire().received == b"a")
    };
    let plain = LineSettings::at(115_200);
    let seven = LineSettings { data_bits: 7, ..plain };
    let odd = LineSettings { parity: Parity::Odd, ..plain };
    let two = LineSettings { stop_bits: 2, ..plain };
    assert_eq!(good(plain), (true, true));
    assert_eq!(good(seven), (false, false));
    assert_eq!(good(odd), (false, false));
    assert_eq!(good(two), (true, true));
}

#[test]
fn the_other_parity_is_a_parity_error_with_the_right_byte() {
    let settings = LineSettings { parity: Parity::Odd, ..LineSettings::at(115_200) };
    let mut bench = Bench::with(Layout::SH7751R, settings, 0, 0);
    bench.write(SMR, u32::from(smr::PE));
    bench.write(SCR, RE | RIE);
    bench.feed(b"b");
    assert_eq!(bench.read(FSR) & 0x8c, 0x84);
    assert_eq!(bench.read(FRDR), u32::from(b'b'));
}

#[test]
fn loop_back_connects_the_chip_to_itself_and_to_nobody_else() {
    let mut bench = Bench::new(u32::from(fcr::LOOP), TE | RE | RIE);
    bench.push(b"abc");
    bench.wire().send_bytes(*b"xyz");
    bench.frames(4);
    let heard: Vec<u32> = (0..3).map(|_| bench.read(FRDR)).collect();
    assert_eq!(heard, [97, 98, 99]);
    assert!(bench.scif.wire().received.is_empty());
    assert_eq!(bench.counters().missed, 3);
}

// The outside end.

#[test]
fn the_outside_end_is_woken_for_what_it_waits_for() {
    let mut bench = Bench::new(0, TE | RE);
    bench.push(b"abcd");
    bench.wire().wake_when_received = Some(3);
    let event = bench.scif.next_event().expect("three bytes to come");
    bench.wait(event - 1);
    assert_eq!(bench.scif.wire().received, b"ab");
    bench.wait(1);
    assert_eq!(bench.scif.wire().received, b"abc");
    assert_eq!(bench.scif.next_event(), None);

    bench.wire().send_bytes([0; 10]);
    bench.wire().wake_when_waiting = Some(2);
    let event = bench.scif.next_event().expect("the queue to run low");
    bench.wait(event - bench.now - 1);
    assert_eq!(bench.scif.wire().waiting(), 3);
    bench.wait(1);
    assert_eq!(bench.scif.wire().waiting(), 2);
}

#[test]
fn a_pause_keeps_the_line_idle() {
    let mut bench = Bench::new(0, RE);
    bench.wire().send(Symbol::Pause(500_000));
    bench.wire().send(Symbol::Byte(1));
    bench.wait(500_000 + 86_805);
    assert_eq!(bench.scif.fifo_counts().1, 0);
    bench.wait(1);
    assert_eq!(bench.scif.fifo_counts().1, 1);
}

// The model itself.

/// A small generator of the same numbers every time (Knuth's MMIX constants).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A random device: settings, flow control, sometimes a mismatch.
fn any_bench(dice: &mut Dice) -> Bench {
    let layout = match dice.below(3) {
        0 => Layout::SH7751R,
        1 => Layout::SH7780,
        _ => Layout::SH7780.with_fifo(FifoDepth::Sixteen),
    };
    let mut settings =
        LineSettings::at([115_200, 115_200, 112_000, 9_600][dice.below(4) as usize]).with_flow_control(dice.chance(50));
    if dice.chance(10) {
        settings.parity = Parity::Odd;
    }
    let fcr = dice.below(0x800) as u32 & !0b111 | u32::from(dice.chance(10));
    let scr = TE | RE | ((dice.below(4) as u32) << 6) | (dice.below(2) as u32 * REIE);
    Bench::with(layout, settings, fcr, scr)
}

/// One random act of the driver or of the outside end, without letting time pass.
fn act(bench: &mut Bench, dice: &mut Dice) {
    match dice.below(20) {
        0..=2 => {
            for _ in 0..dice.below(40) {
                bench.push(&[dice.below(256) as u8]);
            }
        }
        3..=5 => {
            for _ in 0..dice.below(40) {
                bench.read(FRDR);
            }
        }
        6..=8 => {
            let n = dice.below(100);
            bench.wire().send_bytes((0..n).map(|b| b as u8));
        }
        9 => bench.wire().send(Symbol::BadFraming(9)),
        10 => bench.wire().send(Symbol::BadParity(10)),
        11 => {
            let ns = dice.below(400_000);
            bench.wire().send(Symbol::Break(ns));
        }
        12 => {
            let ns = dice.below(400_000);
            bench.wire().send(Symbol::Pause(ns));
        }
        13 => {
            let stop = dice.chance(40);
            bench.wire().hold(stop);
        }
        14 => {
            let scr = ((dice.below(16) as u32) << 4) | (dice.below(2) as u32 * REIE);
            bench.write(SCR, if dice.chance(70) { scr | TE | RE } else { scr });
        }
        15 => {
            let fcr = dice.below(0x800) as u32;
            bench.write(FCR, if dice.chance(80) { fcr & !0b111 } else { fcr });
        }
        16 => {
            let (sptr, value) = (bench.sptr(), dice.below(256) as u32);
            bench.write(sptr, value);
        }
        17 => {
            let lsr = bench.lsr();
            bench.read(lsr);
            bench.write(lsr, 0);
        }
        _ => bench.clear(dice.below(256) as u16),
    }
    if dice.chance(5) {
        let received = bench.scif.wire().received.len();
        bench.wire().wake_when_received = Some(received + dice.below(20) as usize);
        bench.wire().wake_when_waiting = Some(dice.below(50) as usize);
    }
}

/// What someone outside the model sees change by itself, as far as `next_event` promises it.
fn promised(scif: &Scif) -> (u32, bool, bool) {
    let wire = scif.wire();
    let received = wire.wake_when_received.is_some_and(|n| wire.received.len() >= n);
    let waiting = wire.wake_when_waiting.is_some_and(|n| wire.waiting() <= n);
    (scif.asserted(), received, waiting)
}

#[test]
fn next_event_never_comes_too_late() {
    for seed in 0..400 {
        let mut dice = Dice(seed);
        let mut bench = any_bench(&mut dice);
        for step in 0..60 {
            act(&mut bench, &mut dice);
            // Anything the outside end was told takes effect now.
            bench.wait(0);
            let before = promised(&bench.scif);
            let mut later = bench.scif.clone();
            let until = bench.scif.next_event();
            later.advance(until.map_or(bench.now + 50_000_000, |at| at.max(1) - 1));
            assert_eq!(promised(&later), before, "seed {seed}, step {step}");
            bench.wait(dice.below(900_000));
        }
    }
}

#[test]
fn next_event_sees_the_quiet_between_slow_frames() {
    let mut bench = Bench::with(Layout::SH7751R, LineSettings::at(9_600), TRIGGERS_8_4, RE | RIE);
    bench.feed(&[0]);
    bench.read(FRDR);
    bench.wire().send(Symbol::Pause(10_000));
    bench.wire().send_bytes([0; 5]);
    let event = bench.scif.next_event().expect("DR to come");
    bench.wait(event - bench.now - 1);
    assert!(!bench.asserts(source::RXI));
    bench.wait(1);
    assert!(bench.asserts(source::RXI));
}

#[test]
fn next_event_sees_the_quiet_that_a_pause_makes() {
    let mut bench = Bench::new(TRIGGERS_8_4, RE | RIE);
    bench.feed(&[0]);
    bench.wire().send(Symbol::Pause(60_000));
    bench.wire().send_bytes([0; 5]);
    let event = bench.scif.next_event().expect("DR to come");
    bench.wait(event - bench.now - 1);
    assert!(!bench.asserts(source::RXI));
    bench.wait(1);
    assert!(bench.asserts(source::RXI));
    assert_eq!(bench.scif.fifo_counts().1, 1);
}

#[test]
fn next_event_is_a_real_one_when_the_ends_match() {
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let fcr = dice.below(0x100) as u32 & !0b111;
        let settings = LineSettings::at(115_200).with_flow_control(true);
        let mut bench = Bench::with(Layout::SH7780, settings, fcr, TE | RE | RIE | TIE);
        for step in 0..60 {
            bench.push(&vec![0; dice.below(60) as usize]);
            bench.wire().send_bytes(vec![0; dice.below(60) as usize]);
            for _ in 0..dice.below(64) {
                bench.read(FRDR);
            }
            bench.clear(0x73);
            let before = bench.scif.asserted();
            if let Some(event) = bench.scif.next_event() {
                bench.wait(event - bench.now);
                assert_ne!(bench.scif.asserted(), before, "seed {seed}, step {step}");
            }
        }
    }
}

#[test]
fn stepping_from_event_to_event_equals_stepping_by_microseconds() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let mut coarse = any_bench(&mut dice);
        let mut fine = coarse.clone();
        for step in 0..25 {
            let mut again = Dice(dice.0);
            act(&mut coarse, &mut dice);
            act(&mut fine, &mut again);
            let end = coarse.now + dice.below(1_500) * 1_000;
            while let Some(event) = coarse.scif.next_event().filter(|&at| at <= end) {
                coarse.wait(event.max(coarse.now + 1) - coarse.now);
            }
            coarse.wait(end.max(coarse.now) - coarse.now);
            while fine.now + 1_000 < coarse.now {
                fine.wait(1_000);
            }
            fine.wait(coarse.now - fine.now);
            assert_eq!(coarse.scif, fine.scif, "seed {seed}, step {step}");
        }
    }
}

#[test]
fn every_byte_is_accounted_for() {
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let mut bench = any_bench(&mut dice);
        for _ in 0..80 {
            act(&mut bench, &mut dice);
            bench.wait(dice.below(900_000));
            let c = bench.counters();
            let (tx, rx) = bench.scif.fifo_counts();
            let shift = u64::from(bench.scif.is_transmitting());
            assert_eq!(c.pushed, c.transmitted + c.aborted + c.discarded_tx + tx as u64 + shift);
            assert_eq!(c.arrived, c.popped + c.overrun + c.discarded_rx + rx as u64);
        }
    }
}

#[test]
fn time_does_not_run_backwards() {
    let mut bench = Bench::new(0, TE);
    bench.push(b"a");
    bench.frames(1);
    bench.scif.advance(0);
    assert_eq!(bench.scif.now(), FRAME_NS);
    assert_eq!(bench.scif.wire().received, b"a");
}

/// Run by hand with `--ignored`: it prints how long the model itself takes.
#[test]
#[ignore = "a measurement"]
fn sixty_seconds_both_ways_cost_little() {
    let began = std::time::Instant::now();
    let mut bench = Bench::new(TRIGGERS_8_4, TE | RE | RIE | TIE);
    let total = 60 * 11_520;
    bench.wire().send_bytes((0..total).map(|n| n as u8));
    let (mut sent, mut events) = (0, 0);
    while bench.counters().popped < total {
        while bench.scif.fifo_counts().0 < 16 && sent < total {
            bench.push(&[sent as u8]);
            sent += 1;
        }
        while bench.read(0x1c) & 0x1f != 0 {
            bench.read(FRDR);
        }
        bench.clear(0x73);
        let Some(event) = bench.scif.next_event() else {
            break;
        };
        bench.wait(event - bench.now);
        events += 1;
    }
    let c = bench.counters();
    println!("{:?}, {events} events, {c:?}", began.elapsed());
    assert_eq!((c.overrun, c.arrived), (0, total));
}
