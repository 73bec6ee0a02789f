//! Bytes, the line as it is set, flow control, breaks out.

use super::*;

#[test]
fn both_strides_with_and_without_an_interrupt_carry_bytes_both_ways() {
    for fit in all() {
        let mut bench = Bench::new(fit);
        let (out, back) = (numbered(1_000, 1), numbered(1_000, 2));
        sends_and_receives(&mut bench, &out, &back);
        let counters = bench.uart(|uart| *uart.counters());
        assert_eq!((counters.pushed, counters.transmitted), (1_000, 1_000), "{fit:?}");
        assert_eq!((counters.arrived, counters.popped, counters.overrun), (1_000, 1_000, 0));
        let status = Status { sent: 1_000, received: 1_000, overruns: 0, errors: 0 };
        assert_eq!(bench.answer(Ask::Status), Told::Status(status));
        bench.assert_untouched();
    }
}

#[test]
fn both_directions_run_at_line_rate_together() {
    for uart in [SPREAD, DENSE, AUTO] {
        let fit = fit(uart);
        let mut bench = Bench::new(fit);
        let (out, back) = (numbered(9_600, 1), numbered(9_600, 2));
        let begun = bench.machine.now();
        bench.send(&back);
        bench.ask(Ask::Write(out.clone()));
        let line_time = fit.line.byte_time().as_ticks() * 9_600 * 101 / 100;
        bench.run(line_time + MS / 2);
        assert_eq!(bench.heard(), out, "{uart:?}");
        assert_eq!(bench.received(), good(&back), "{uart:?}");
        let last = bench.wire(|wire| wire.last_received_at).unwrap();
        assert!(last - begun < line_time, "{uart:?}: {} us instead of {}", (last - begun) / 1000, line_time / 1000);
        bench.assert_untouched();
    }
}

#[test]
fn nobody_has_a_turn_while_nothing_happens() {
    let mut bench = Bench::new(fit(SPREAD));
    sends_and_receives(&mut bench, &numbered(300, 1), &numbered(300, 2));
    let turns = bench.machine.turns();
    bench.run(10 * S);
    assert_eq!(bench.machine.turns() - turns, 0);
}

#[test]
fn a_driver_without_an_interrupt_looks_as_often_as_it_is_told() {
    let mut bench = Bench::new(fit(UNWIRED));
    let turns = bench.machine.turns();
    bench.run(S);
    let turns = bench.machine.turns() - turns;
    assert!((1_900..2_100).contains(&turns), "{turns} turns in a second");
}

#[test]
fn turns_stay_few_for_each_byte() {
    let mut bench = Bench::new(fit(SPREAD));
    let before = bench.machine.turns();
    bench.write(&numbered(960, 1));
    bench.run(10 * MS);
    let writing = bench.machine.turns() - before;
    // Sixteen at a time, and for each of ten chunks the client's turn and the driver's.
    assert!(writing < 960 / 16 + 10 * 4 + 10, "{writing} turns for 960 bytes out");
    let before = bench.machine.turns();
    bench.send(&numbered(960, 2));
    bench.run(100 * MS);
    let reading = bench.machine.turns() - before;
    assert!(reading < 3 * 960 / 4 + 20, "{reading} turns for 960 bytes in");
}

#[test]
fn every_framing_is_programmed_and_heard_right_by_the_outside_end() {
    let mut bench = Bench::new(fit(DENSE));
    let all: Vec<u8> = (0..=255).collect();
    for (data, bits) in [(DataBits::Seven, 0b10), (DataBits::Eight, 0b11)] {
        for (parity, kind) in [(Parity::None, 0), (Parity::Odd, 0b01_000), (Parity::Even, 0b11_000)] {
            for (stop, two) in [(StopBits::One, 0), (StopBits::Two, 0b100)] {
                let line = Line { data, parity, stop, ..Line::default() };
                bench.set_both(line);
                assert_eq!(registers(&mut bench)[1], bits | kind | two);
                let mask = if data == DataBits::Seven { 0x7F } else { 0xFF };
                let expected: Vec<u8> = all.iter().map(|byte| byte & mask).collect();
                bench.send(&all);
                bench.write(&all);
                bench.run(10 * MS);
                assert_eq!(bench.heard(), expected, "{line:?}");
                assert_eq!(bench.received(), good(&expected), "{line:?}");
            }
        }
    }
    assert_eq!(bench.wire(|wire| wire.events.clone()), []);
    bench.assert_proper();
}

#[test]
fn usual_rates_are_made_and_heard_right_both_ways() {
    for baud in [50, 300, 9_600, 38_400, 57_600, 115_200] {
        let mut bench = Bench::new(fit(SPREAD).at(baud));
        assert_eq!(registers(&mut bench)[3], PC_HZ / 16 / baud);
        sends_and_receives(&mut bench, &numbered(40, 1), &numbered(40, 2));
    }
}

#[test]
fn a_rate_that_no_divisor_makes_is_refused_and_the_nearest_is_named() {
    let mut bench = Bench::new(fit(SPREAD));
    let before = registers(&mut bench);
    for (baud, nearest_baud) in [(1_000_000, 115_200), (90_000, 115_200), (85_000, 57_600)] {
        let told = bench.answer(Ask::Configure(set_to(baud)));
        assert_eq!(told, Told::Done(Err(RefusedLine::Unreachable { nearest_baud })), "{baud}");
    }
    assert_eq!(registers(&mut bench), before);
    sends_and_receives(&mut bench, &numbered(40, 1), &numbered(40, 2));
}

#[test]
fn a_new_setting_waits_until_the_last_bit_of_what_was_written_has_left() {
    for fit in all() {
        let mut bench = Bench::new(fit);
        let out = numbered(500, 1);
        bench.ask(Ask::Write(out.clone()));
        bench.configure(set_to(9_600));
        assert_eq!(bench.heard(), out);
        assert!(!bench.uart(|uart| uart.is_transmitting()));
        bench.wire(|wire| wire.set_settings(outside(&set_to(9_600))));
        sends_and_receives(&mut bench, &numbered(40, 2), &numbered(40, 3));
        bench.assert_untouched();
    }
}

#[test]
fn a_client_that_does_not_consume_holds_the_sender_and_loses_nothing() {
    for uart in [SPREAD, AUTO] {
        let mut bench = Bench::new(fit(uart).with_flow());
        let back = numbered(3_000, 1);
        bench.consume(false);
        bench.send(&back);
        bench.run(S);
        assert!(!bench.uart(|uart| uart.rts_asserted()));
        assert_eq!(bench.uart(|uart| uart.counters().overrun), 0);
        let turns = bench.machine.turns();
        bench.run(10 * S);
        assert_eq!(bench.machine.turns(), turns, "a full ring costs no turns");
        bench.consume(true);
        bench.run_bytes(3_500);
        assert_eq!(bench.received(), good(&back), "{uart:?}");
        assert!(bench.uart(|uart| uart.rts_asserted()));
        bench.assert_untouched();
    }
}

#[test]
fn a_sender_that_was_held_by_hand_is_let_go_by_the_next_incarnation() {
    let mut bench = Bench::new(fit(SPREAD).with_flow());
    let back = numbered(3_000, 1);
    bench.consume(false);
    bench.send(&back);
    bench.run(S);
    assert!(!bench.uart(|uart| uart.rts_asserted()));
    bench.recover();
    assert!(!bench.uart(|uart| uart.rts_asserted()), "the ring is still full");
    bench.kill();
    bench.consume(true);
    bench.revive();
    bench.run_bytes(3_500);
    assert_eq!(bench.received(), good(&back));
    bench.assert_untouched();
}

#[test]
fn the_outside_end_holds_the_transmitter_and_it_goes_on() {
    for uart in [SPREAD, AUTO, UNWIRED] {
        let mut bench = Bench::new(fit(uart).with_flow());
        let out = numbered(400, 1);
        bench.ask(Ask::Write(out.clone()));
        bench.run(5 * MS);
        bench.wire(|wire| wire.hold(true));
        // By hand, what is in the chip already still goes.
        bench.run(5 * MS);
        let heard = bench.heard();
        let turns = bench.machine.turns();
        bench.run(5 * S);
        assert!(bench.heard().is_empty(), "{uart:?}");
        assert!(!uart.wired || bench.machine.turns() == turns, "{uart:?}");
        let back = numbered(100, 2);
        bench.send(&back);
        bench.run(20 * MS);
        assert_eq!(bench.received(), good(&back));
        bench.wire(|wire| wire.hold(false));
        bench.run(60 * MS);
        assert_eq!([heard, bench.heard()].concat(), out, "{uart:?}");
        assert_eq!(bench.told(), [Told::Written(400)]);
        bench.assert_untouched();
    }
}

#[test]
fn the_client_sets_rts_on_a_line_without_flow_control_and_it_stays() {
    let mut bench = Bench::new(fit(SPREAD));
    for may_send in [true, false, true] {
        assert_eq!(bench.answer(Ask::SetRts(may_send)), Told::Done(Ok(())));
        assert_eq!(bench.answer(Ask::ModemLines), Told::Lines(ModemLines { cts: true, rts: may_send }));
    }
    bench.answer(Ask::Break(2));
    assert!(bench.uart(|uart| uart.rts_asserted()), "after a break");
    bench.configure(set_to(9_600));
    assert!(bench.uart(|uart| uart.rts_asserted()), "after a new setting");
    bench.recover();
    assert!(bench.uart(|uart| uart.rts_asserted()), "after a crash");
    bench.configure(Line { flow: Flow::RtsCts, ..set_to(9_600) });
    assert_eq!(bench.answer(Ask::SetRts(false)), Told::Done(Err(RefusedLine::FlowControlled)));
    bench.wire(|wire| wire.hold(true));
    assert_eq!(bench.answer(Ask::ModemLines), Told::Lines(ModemLines { cts: false, rts: true }));
}

#[test]
fn flow_control_begins_and_ends_with_the_setting_that_says_so() {
    for uart in [SPREAD, AUTO] {
        let mut bench = Bench::new(fit(uart));
        assert!(!bench.uart(|uart| uart.rts_asserted()), "it was the client's, who did not set it");
        bench.set_both(Line { flow: Flow::RtsCts, ..Line::default() });
        assert!(bench.uart(|uart| uart.rts_asserted()), "{uart:?}");
        sends_and_receives(&mut bench, &numbered(100, 1), &numbered(100, 2));
        bench.set_both(Line::default());
        assert!(!bench.uart(|uart| uart.rts_asserted()), "{uart:?}");
        bench.wire(|wire| wire.hold(true));
        sends_and_receives(&mut bench, &numbered(100, 1), &numbered(100, 2));
    }
}

#[test]
fn a_break_is_as_long_as_it_was_asked_for_and_comes_behind_what_was_written() {
    for fit in all() {
        let mut bench = Bench::new(fit);
        let (out, back) = (numbered(150, 1), numbered(500, 2));
        bench.send(&back);
        bench.ask(Ask::Write(out.clone()));
        assert_eq!(bench.answer(Ask::Break(7)), Told::Done(Ok(())));
        assert_eq!(bench.heard(), out);
        let events = bench.wire(|wire| std::mem::take(&mut wire.events));
        let [LineEvent::Break { lasted, .. }] = events[..] else { panic!("{events:?}") };
        assert!((7 * MS..7 * MS + 6 * MS / 10).contains(&lasted), "{lasted} ns");
        bench.write(&out);
        bench.run(50 * MS);
        assert_eq!(bench.heard(), out);
        assert_eq!(bench.received(), good(&back), "bytes arrive during a break out");
        bench.assert_untouched();
    }
}
