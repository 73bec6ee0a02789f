//! Registers, rate and the transmitter.

use super::*;

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
