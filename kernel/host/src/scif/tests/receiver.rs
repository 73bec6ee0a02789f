//! The receiver, and breaks.

use super::*;

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
