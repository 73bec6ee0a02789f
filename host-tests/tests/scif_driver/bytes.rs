//! Bytes, flow control, and a client that does not keep up.

use super::*;

// Bytes.

#[test]
fn both_layouts_and_both_depths_carry_bytes_both_ways() {
    for fit in Fit::all() {
        let mut bench = Bench::new(fit);
        sends_and_receives(&mut bench, &numbered(1_000, 1), &numbered(1_000, 2));
        bench.assert_untouched();
    }
}

#[test]
fn the_counters_of_the_device_match_the_streams() {
    for fit in Fit::all() {
        let mut bench = Bench::new(fit);
        let (out, back) = (numbered(777, 1), numbered(555, 2));
        sends_and_receives(&mut bench, &out, &back);
        let counters = bench.counters();
        assert_eq!((counters.pushed, counters.transmitted), (777, 777));
        assert_eq!((counters.arrived, counters.popped, counters.overrun), (555, 555, 0));
        assert_eq!((counters.pushed_into_full, counters.popped_empty), (0, 0));
        bench.assert_untouched();
    }
}

#[test]
fn status_says_what_went_by() {
    let mut bench = Bench::new(Fit::default());
    sends_and_receives(&mut bench, &numbered(100, 1), &numbered(50, 2));
    bench.scif(|scif| scif.wire_mut().send(Symbol::BadFraming(7)));
    bench.run(MS);
    let expected = Status { sent: 100, received: 51, overruns: 0, errors: 1 };
    assert_eq!(bench.answer(Ask::Status), Told::Status(expected));
}

#[test]
fn an_empty_write_is_answered_and_sends_nothing() {
    let mut bench = Bench::new(Fit::default());
    bench.write(&[]);
    assert_eq!(bench.counters().pushed, 0);
}

#[test]
fn nobody_has_a_turn_while_nothing_happens() {
    let mut bench = Bench::new(Fit::default());
    sends_and_receives(&mut bench, &numbered(300, 1), &numbered(300, 2));
    let (turns, points) = (bench.machine.turns(), bench.machine.points(DRIVER));
    bench.run(10 * S);
    assert_eq!(bench.machine.turns() - turns, 0);
    assert_eq!(bench.machine.points(DRIVER), points);
}

#[test]
fn turns_stay_few_for_each_byte() {
    for fit in Fit::of(Drives::Scif) {
        // Half of the FIFO is refilled at a time, and a quarter of it read.
        let depth = fit.fifo.bytes() as u64;
        let mut bench = Bench::new(fit);
        let before = bench.machine.turns();
        bench.write(&numbered(960, 1));
        bench.run(10 * MS);
        let writing = bench.machine.turns() - before;
        // Each fill, and for each of ten chunks the client's turn and the driver's.
        assert!(writing < 960 / (depth / 2) + 10 * 4 + 10, "{fit:?}: {writing} turns for 960 bytes out");
        let before = bench.machine.turns();
        bench.send(&numbered(960, 2));
        bench.run(100 * MS);
        let reading = bench.machine.turns() - before;
        // Each item: the driver's turn, the client's, and the driver's again for its credit.
        assert!(reading < 3 * 960 / (depth / 4) + 20, "{fit:?}: {reading} turns for 960 bytes in");
    }
}

#[test]
fn both_directions_run_at_line_rate_together_while_the_client_keeps_writing() {
    let rates = |[first, _, deep]: [Fit; 3]| [first, first.at(1_000_000), deep.at(1_000_000), deep];
    for fit in [Drives::Scif, Drives::ScifPolled].map(Fit::of).into_iter().flat_map(rates) {
        let mut bench = Bench::new(fit);
        let (out, back) = (numbered(9_600, 1), numbered(9_600, 2));
        let begun = bench.machine.now();
        bench.send(&back);
        bench.ask(Ask::Write(out.clone()));
        // 3 % for the error of the rate (2.1 % at 115,200).
        let line_time = fit.line.byte_time().as_ticks() * 9_600 * 103 / 100;
        bench.run(line_time + MS / 2);
        assert_eq!(bench.heard(), out, "{fit:?}");
        assert_eq!(bench.received(), good(&back), "{fit:?}");
        let last = bench.scif(|scif| scif.wire().last_received_at).unwrap();
        assert!(last - begun < line_time, "{fit:?}: {} us instead of {}", (last - begun) / 1000, line_time / 1000);
        bench.assert_untouched();
    }
}

// Flow control, and a client that does not keep up.

#[test]
fn with_flow_control_nothing_is_lost_that_waits_while_the_device_is_set_up() {
    for fit in Fit::all().map(Fit::with_flow) {
        for baud in [300, 115_200] {
            let (fit, sent) = (fit.at(baud), numbered(40, 1));
            let mut bench = Bench::with_driver(fit, fit, real(&fit));
            bench.send(&sent);
            bench.run_bytes(60);
            assert_eq!(bench.received(), good(&sent), "{baud} baud");
            assert_eq!(bench.counters().missed, 0);
        }
    }
}

#[test]
fn a_client_that_does_not_consume_holds_the_sender_and_loses_nothing() {
    for fit in Fit::all() {
        let mut bench = Bench::new(fit.with_flow());
        let back = numbered(3_000, 1);
        bench.consume(false);
        bench.send(&back);
        bench.run(S);
        assert!(!bench.scif(|scif| scif.rts_asserted()));
        assert_eq!(bench.answer(Ask::ModemLines), Told::Lines(ModemLines { cts: true, rts: false }));
        assert_eq!(bench.counters().overrun, 0);
        bench.consume(true);
        bench.run_bytes(3_100);
        assert_eq!(bench.received(), good(&back));
        assert!(bench.scif(|scif| scif.rts_asserted()));
        bench.assert_untouched();
    }
}

#[test]
fn a_full_ring_leaves_bytes_in_the_device_and_costs_no_turns() {
    for flow in [Flow::None, Flow::RtsCts] {
        let line = Line { flow, ..Line::default() };
        let mut bench = Bench::new(Fit { line, ..Fit::default() });
        bench.consume(false);
        bench.send(&numbered(2_000, 1));
        bench.run(100 * MS);
        let held = bench.scif(|scif| scif.fifo_counts().1);
        assert!(held >= 15, "{held} bytes in the device");
        let turns = bench.machine.turns();
        bench.run(10 * S);
        assert_eq!(bench.machine.turns(), turns, "{}", bench.last_events());
        // The other direction does not mind.
        let out = numbered(300, 2);
        bench.write(&out);
        bench.run(10 * MS);
        assert_eq!(bench.heard(), out);
        let turns = bench.machine.turns() - turns;
        assert!(turns < 100, "{turns} turns for 300 bytes out while the ring is full");
        assert_eq!(bench.state(), State::Running);
        assert_eq!(bench.epoch(), 1);
    }
}

#[test]
fn the_outside_end_holds_the_transmitter_and_it_goes_on() {
    for fit in Fit::all() {
        let mut bench = Bench::new(fit.with_flow());
        let out = numbered(400, 1);
        bench.ask(Ask::Write(out.clone()));
        bench.run(5 * MS);
        bench.scif(|scif| scif.wire_mut().hold(true));
        bench.run(MS);
        let heard = bench.heard();
        let turns = bench.machine.turns();
        bench.run(5 * S);
        assert!(bench.heard().is_empty());
        if fit.drives == Drives::Scif {
            assert_eq!(bench.machine.turns(), turns);
        }
        // What arrives does not wait for it.
        let back = numbered(100, 2);
        bench.send(&back);
        bench.run(20 * MS);
        assert_eq!(bench.received(), good(&back));
        bench.scif(|scif| scif.wire_mut().hold(false));
        bench.run(50 * MS);
        assert_eq!([heard, bench.heard()].concat(), out);
        assert_eq!(bench.told(), [Told::Written(400)]);
        bench.assert_untouched();
    }
}

#[test]
fn modem_lines_show_how_both_ends_stand() {
    for fit in Fit::all() {
        let mut bench = Bench::new(fit.with_flow());
        assert_eq!(bench.answer(Ask::ModemLines), Told::Lines(CTS_AND_RTS));
        bench.scif(|scif| scif.wire_mut().hold(true));
        assert_eq!(bench.answer(Ask::ModemLines), Told::Lines(ModemLines { cts: false, rts: true }));
    }
}

#[test]
fn the_client_sets_rts_on_a_line_without_flow_control() {
    for fit in Fit::all() {
        let mut bench = Bench::new(fit);
        for may_send in [true, false, true] {
            assert_eq!(bench.answer(Ask::SetRts(may_send)), Told::Done(Ok(())));
            assert_eq!(bench.scif(|scif| scif.rts_asserted()), may_send);
            assert_eq!(bench.answer(Ask::ModemLines), Told::Lines(ModemLines { cts: true, rts: may_send }));
        }
    }
}

#[test]
fn rts_stays_as_the_client_set_it_over_a_break_a_new_setting_and_a_crash() {
    let mut bench = Bench::new(Fit::default());
    bench.answer(Ask::SetRts(true));
    assert_eq!(bench.answer(Ask::Break(2)), Told::Done(Ok(())));
    assert!(bench.scif(|scif| scif.rts_asserted()), "after a break");
    bench.configure(set_to(9_600));
    assert!(bench.scif(|scif| scif.rts_asserted()), "after a new setting");
    bench.recover();
    assert!(bench.scif(|scif| scif.rts_asserted()), "after a crash");
    bench.ask(Ask::Break(10));
    bench.run(5 * MS);
    assert!(bench.scif(|scif| scif.rts_asserted()), "in a break");
    bench.recover();
    assert!(bench.scif(|scif| scif.rts_asserted()), "after a crash in a break");
}

#[test]
fn rts_is_not_the_clients_on_a_line_with_flow_control() {
    let mut bench = Bench::new(Fit::default().with_flow());
    let before = bench.registers();
    assert_eq!(bench.answer(Ask::SetRts(false)), Told::Done(Err(RefusedLine::FlowControlled)));
    assert_eq!(bench.registers(), before);
}
