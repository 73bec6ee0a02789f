//! The line as it is set.

use super::*;

#[test]
fn a_rate_is_refused_only_if_no_divisor_makes_it_and_the_nearest_is_named() {
    for clock_hz in [R2D_HZ, SH7780_HZ, 64_000_000] {
        let board = Board { chip: Chip::Sh7751r, fifo: 16, clock_hz, line: Line::default(), rate_reads_back: true };
        let scif = Scif::new(Device::open(0), board);
        let odd = (0..4_000).map(|at| 50 + at * 613);
        for baud in [0, 1, 50, 110, 300, 9_600, 115_200, 921_600, 1_000_000, 1_300_000, u32::MAX].into_iter().chain(odd)
        {
            let wanted = u64::from(baud) * 1_000;
            let nearest = rates(clock_hz).min_by_key(|rate| rate.abs_diff(wanted)).unwrap();
            let within = nearest.abs_diff(wanted) * 1_000 <= wanted * 25;
            match scif.setting(&set_to(baud)) {
                Ok(_) => assert!(within, "{baud} is taken for {nearest} at {clock_hz} Hz"),
                Err(named) => {
                    assert!(!within, "{baud} is refused though {nearest} is near at {clock_hz} Hz");
                    assert_eq!(u64::from(named), nearest / 1_000, "{baud} at {clock_hz} Hz");
                }
            }
        }
    }
}

#[test]
fn the_divisor_is_the_one_that_comes_nearest() {
    let expected = [
        (R2D_HZ, 115_200, (0, 15)),
        (R2D_HZ, 38_400, (0, 48)),
        (R2D_HZ, 9_600, (0, 194)),
        (R2D_HZ, 4_800, (1, 97)),
        // 256 at the finest clock would be 1.7 % off.
        (R2D_HZ, 7_200, (1, 64)),
        (R2D_HZ, 300, (3, 97)),
        (SH7780_HZ, 115_200, (0, 8)),
        (SH7780_HZ, 38_400, (0, 26)),
        (SH7780_HZ, 9_600, (0, 108)),
        (SH7780_HZ, 110, (3, 147)),
    ];
    for (clock_hz, baud, (select, divisor)) in expected {
        let mut bench = Bench::new(Fit { clock_hz, ..Fit::default().at(9_600) });
        bench.configure(set_to(baud));
        let [mode, found, ..] = bench.registers();
        assert_eq!((mode & 3, found), (select, divisor), "{baud} at {clock_hz} Hz");
    }
}

#[test]
fn usual_rates_are_heard_right_both_ways_at_the_clocks_of_both_chips() {
    for (chip, clock_hz) in [(Chip::Sh7751r, R2D_HZ), (Chip::Sh7780, SH7780_HZ)] {
        for baud in [300, 1_200, 4_800, 9_600, 19_200, 38_400, 57_600, 115_200] {
            let mut bench = Bench::new(Fit { chip, clock_hz, ..Fit::default() }.at(baud));
            sends_and_receives(&mut bench, &numbered(40, 1), &numbered(40, 2));
            assert_eq!(bench.scif(|scif| scif.wire().events.clone()), []);
        }
    }
}

#[test]
fn a_refused_rate_changes_nothing_and_the_line_goes_on() {
    for (clock_hz, nearest_baud) in [(R2D_HZ, 937_500), (SH7780_HZ, 1_041_666)] {
        let mut bench = Bench::new(Fit { clock_hz, ..Fit::default() });
        let before = bench.registers();
        let told = bench.answer(Ask::Configure(set_to(1_000_000)));
        assert_eq!(told, Told::Done(Err(RefusedLine::Unreachable { nearest_baud })));
        assert_eq!(bench.registers(), before);
        bench.recover();
        assert_eq!(bench.registers(), before);
        sends_and_receives(&mut bench, &numbered(40, 1), &numbered(40, 2));
        bench.assert_untouched();
    }
}

#[test]
fn every_framing_is_programmed_and_heard_right_by_the_outside_end() {
    let mut bench = Bench::new(Fit::default());
    let all: Vec<u8> = (0..=255).collect();
    for data in [DataBits::Seven, DataBits::Eight] {
        for parity in [Parity::None, Parity::Even, Parity::Odd] {
            for stop in [StopBits::One, StopBits::Two] {
                let line = Line { data, parity, stop, ..Line::default() };
                bench.set_both(line);
                let mode = u32::from(data == DataBits::Seven) << 6
                    | u32::from(parity != Parity::None) << 5
                    | u32::from(parity == Parity::Odd) << 4
                    | u32::from(stop == StopBits::Two) << 3;
                assert_eq!(bench.registers()[0], mode);
                let mask = if data == DataBits::Seven { 0x7F } else { 0xFF };
                let expected: Vec<u8> = all.iter().map(|byte| byte & mask).collect();
                bench.send(&all);
                bench.write(&all);
                bench.run(5 * MS);
                assert_eq!(bench.heard(), expected, "{line:?}");
                assert_eq!(bench.received(), good(&expected), "{line:?}");
            }
        }
    }
    assert_eq!(bench.scif(|scif| scif.wire().events.clone()), []);
    bench.assert_proper();
}

#[test]
fn a_new_setting_waits_until_the_last_bit_of_what_was_written_has_left() {
    for fit in Fit::all() {
        let mut bench = Bench::new(fit);
        let out = numbered(500, 1);
        bench.ask(Ask::Write(out.clone()));
        bench.configure(set_to(9_600));
        assert_eq!(bench.heard(), out);
        assert!(!bench.scif(|scif| scif.is_transmitting()));
        bench.scif(|scif| scif.wire_mut().set_settings(outside(&set_to(9_600))));
        let further = numbered(40, 2);
        bench.write(&further);
        bench.run(100 * MS);
        assert_eq!(bench.heard(), further);
        assert_eq!(bench.scif(|scif| scif.wire().events.clone()), []);
        bench.assert_proper();
    }
}

#[test]
fn what_had_arrived_outlives_a_new_setting() {
    // The ring is full, the device too, and more is held back behind it.
    let mut bench = Bench::new(Fit::default().with_flow());
    bench.consume(false);
    let back = numbered(1_000, 1);
    bench.send(&back);
    bench.run(100 * MS);
    bench.set_both(Line { flow: Flow::RtsCts, ..set_to(9_600) });
    let turns = bench.machine.turns();
    bench.run(S);
    assert_eq!(bench.machine.turns(), turns);
    bench.consume(true);
    bench.run_bytes(1_000);
    assert_eq!(bench.received(), good(&back));
    bench.assert_untouched();
}

#[test]
fn a_setting_that_is_in_force_already_touches_no_register() {
    let mut bench = Bench::new(Fit::default());
    let (out, back) = (numbered(200, 1), numbered(200, 2));
    bench.send(&back);
    for part in out.chunks(20) {
        bench.write(part);
        bench.configure(Line::default());
    }
    bench.run(50 * MS);
    assert_eq!(bench.heard(), out);
    assert_eq!(bench.received(), good(&back));
    bench.assert_untouched();
}

#[test]
fn waiting_for_the_last_bit_takes_few_turns_even_while_the_outside_end_holds_it_back() {
    let mut bench = Bench::new(Fit::default().with_flow());
    bench.scif(|scif| scif.wire_mut().hold(true));
    bench.write(&numbered(16, 1));
    let before = bench.machine.turns();
    bench.ask(Ask::Configure(Line { flow: Flow::RtsCts, ..set_to(9_600) }));
    bench.run(100 * MS);
    assert!(bench.machine.turns() - before < 100, "{} turns", bench.machine.turns() - before);
    assert_eq!(bench.told(), []);
    bench.scif(|scif| scif.wire_mut().hold(false));
    bench.run(10 * MS);
    assert_eq!(bench.told(), [Told::Done(Ok(()))]);
    assert_eq!(bench.heard(), numbered(16, 1));
}
