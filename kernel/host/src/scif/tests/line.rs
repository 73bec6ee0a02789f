//! Flow control, ends that do not match, and the outside end.

use super::*;

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
