//! Taking over from a dead incarnation, and drivers that are wrong.

use super::*;

#[test]
fn a_crash_at_rest_leaves_every_register_as_it_was() {
    for fit in all() {
        for line in [fit.line, Line { flow: Flow::RtsCts, ..fit.line }, Line { parity: Parity::Odd, ..set_to(9_600) }] {
            let mut bench = Bench::new(fit);
            bench.set_both(line);
            sends_and_receives(&mut bench, &numbered(50, 1), &numbered(50, 2));
            let before = registers(&mut bench);
            for _ in 0..5 {
                bench.recover();
                assert_eq!(registers(&mut bench), before);
            }
            assert_eq!(bench.received(), []);
            bench.assert_untouched();
        }
    }
}

#[test]
fn a_crash_or_a_hang_anywhere_in_both_streams_loses_nothing() {
    for fit in [fit(DENSE), fit(UNWIRED), fit(AUTO).with_flow(), fit(SPREAD).with_flow()] {
        let (out, back) = (numbered(90, 1), numbered(90, 2));
        let points = {
            let mut bench = Bench::new(fit);
            let before = bench.machine.points(DRIVER);
            sends_and_receives(&mut bench, &out, &back);
            bench.machine.points(DRIVER) - before
        };
        for at in (1..points).step_by(3) {
            let mut bench = Bench::new(fit);
            bench.send(&back);
            bench.ask(Ask::Write(out.clone()));
            let strike = if at % 2 == 0 { Strike::Crash } else { Strike::Hang };
            bench.machine.plan(Planned { component: DRIVER, after_points: at, strike });
            bench.run(40 * MS);
            assert!(bench.epoch() > 1, "nobody was struck");
            assert_eq!(bench.heard(), out, "struck at {at}");
            assert_eq!(bench.received(), good(&back), "struck at {at}");
            assert_eq!(bench.told(), [Told::Written(90)]);
            bench.assert_untouched();
        }
    }
}

#[test]
fn a_divisor_that_was_left_open_is_closed_before_anything_else_is_touched() {
    let mut bench = Bench::new(fit(SPREAD));
    let (before, back) = (registers(&mut bench), numbered(12, 1));
    bench.revives = false;
    bench.kill();
    bench.send(&back);
    poke(&mut bench, LCR, 0x83);
    bench.run(2 * MS);
    bench.revive();
    bench.run(5 * MS);
    assert_eq!(registers(&mut bench), before);
    assert_eq!(bench.received(), good(&back), "nothing was reprogrammed, so there is no gap");
    sends_and_receives(&mut bench, &numbered(50, 2), &numbered(50, 3));
    bench.assert_untouched();
}

#[test]
fn a_divisor_that_was_left_half_written_is_written_anew_and_a_gap_announced() {
    let mut bench = Bench::new(fit(SPREAD));
    let before = registers(&mut bench);
    bench.kill();
    poke(&mut bench, LCR, 0x83);
    poke(&mut bench, DATA, 7);
    bench.revive();
    bench.run(20 * MS);
    assert_eq!(registers(&mut bench), before);
    assert_eq!(bench.received(), [In::Gap]);
    sends_and_receives(&mut bench, &numbered(50, 2), &numbered(50, 3));
    bench.assert_untouched();
}

#[test]
fn a_device_that_is_found_set_differently_is_drained_reprogrammed_and_announced() {
    let spoilt = [("framing", LCR, 0x1B), ("loop-back", MCR, 0x1B), ("lines", MCR, 0x08), ("FIFOs off", FCR, 0)];
    for (what, register, value) in spoilt {
        let mut bench = Bench::new(fit(SPREAD));
        bench.answer(Ask::SetRts(false));
        let before = registers(&mut bench);
        bench.kill();
        poke(&mut bench, register, value);
        bench.revive();
        bench.run(300 * MS);
        assert_eq!(bench.received(), [In::Gap], "{what}");
        let found = registers(&mut bench);
        // The request to send is the client's, and stays as it is found.
        assert_eq!(found[2] | 2, before[2] | 2, "{what}");
        assert_eq!([found[0], found[1], found[3], found[4]], [before[0], before[1], before[3], before[4]], "{what}");
        sends_and_receives(&mut bench, &numbered(50, 1), &numbered(50, 2));
        bench.recover();
        assert_eq!(bench.received(), [], "{what}: announced once");
        bench.assert_proper();
    }
}

#[test]
fn interrupts_that_were_left_on_or_off_do_not_matter() {
    for left in [0x0, 0xF] {
        let mut bench = Bench::new(fit(SPREAD));
        bench.kill();
        poke(&mut bench, IER, left);
        bench.revive();
        bench.run(5 * MS);
        let turns = bench.machine.turns();
        bench.run(S);
        assert_eq!(bench.machine.turns(), turns, "no storm");
        sends_and_receives(&mut bench, &numbered(50, 1), &numbered(50, 2));
        bench.assert_untouched();
    }
}

#[test]
fn a_new_setting_outlives_a_crash_anywhere_in_it() {
    for at in 1..250 {
        let mut bench = Bench::new(fit(SPREAD));
        let line = Line { parity: Parity::Even, ..set_to(38_400) };
        bench.machine.plan(Planned { component: DRIVER, after_points: at, strike: Strike::Crash });
        bench.configure(line);
        bench.run(20 * MS);
        let reached = registers(&mut bench);
        bench.wire(|wire| wire.set_settings(outside(&line)));
        let early = bench.received();
        assert!(early.iter().all(|found| *found == In::Gap), "struck at {at}: {early:?}");
        sends_and_receives(&mut bench, &numbered(20, 1), &numbered(20, 2));
        bench.recover();
        assert_eq!(registers(&mut bench), reached);
        bench.assert_proper();
    }
}

#[test]
fn after_a_crash_in_a_break_the_line_is_let_go_and_the_break_is_not_repeated() {
    let mut bench = Bench::new(fit(SPREAD));
    let back = numbered(300, 1);
    bench.send(&back);
    bench.ask(Ask::Break(100));
    bench.run(10 * MS);
    assert!(bench.wire(|wire| wire.break_since()).is_some());
    bench.recover();
    let told = bench.told();
    assert!(matches!(&told[..], [Told::Failed(why)] if why.starts_with("Interrupted")), "{told:?}");
    assert_eq!(bench.wire(|wire| wire.break_since()), None);
    bench.run(S);
    assert_eq!(bench.wire(|wire| wire.events.len()), 1);
    assert_eq!(bench.received(), good(&back), "the receiver had nothing to do with it");
    sends_and_receives(&mut bench, &numbered(100, 2), &[]);
    bench.assert_untouched();
}

#[test]
fn a_fresh_start_resets_the_device_and_what_was_noted_in_it() {
    use koboshi_core::kernel::Command;
    for fit in all() {
        let mut bench = Bench::new(fit);
        let before = registers(&mut bench);
        bench.machine.command(DRIVER, Command::Stop).unwrap();
        bench.revives = false;
        bench.send(&numbered(100, 1));
        poke(&mut bench, 7, 0xC0 | 5);
        poke(&mut bench, LCR, 0xC3);
        bench.run(20 * MS);
        bench.revive();
        bench.run(20 * MS);
        assert_eq!(registers(&mut bench), before);
        assert_eq!(bench.uart(|uart| uart.fifo_counts()), (0, 0));
        assert_eq!(bench.received(), [In::Gap], "what came meanwhile is lost, and announced");
        sends_and_receives(&mut bench, &numbered(100, 2), &numbered(100, 3));
    }
}

#[test]
fn a_driver_that_finds_no_uart_ends_and_says_so() {
    // It believes in another stride: a scratch register is not where it looks.
    let (real, believed) = (fit(SPREAD), fit(DENSE));
    let driver = Linked::new(&koboshi_ns16550_driver::DESCRIPTION, koboshi_ns16550_driver::start);
    let mut bench = Bench::with_driver(real, believed, driver);
    bench.revives = false;
    bench.run(MS);
    assert_eq!(bench.state(), State::Failed);
    assert_eq!(bench.fault(), Some(Fault::Access { address: 7 }));
}

// Drivers that are wrong.

/// What arrives if each incarnation does this before it takes its device over, and it is struck in the midst of bytes and errors.
fn arrives_after(first: fn(&Device)) -> (bool, u64) {
    let wrong = Linked::new(&koboshi_ns16550_driver::DESCRIPTION, move |start| {
        first(&Device::open(0));
        koboshi_ns16550_driver::start(start)
    });
    let fit = fit(SPREAD);
    let mut bench = Bench::with_driver(fit, fit, wrong);
    bench.run(MS);
    bench.kill();
    bench.revives = false;
    let errors: Vec<u8> = (0..6).collect();
    bench.wire(|wire| errors.iter().for_each(|byte| wire.send(Symbol::BadFraming(*byte))));
    bench.run(MS);
    bench.revive();
    bench.run(5 * MS);
    let expected: Vec<In> = errors.iter().map(|byte| In::Framing(*byte)).collect();
    let discarded = bench.uart(|uart| uart.counters().discarded_rx);
    (bench.received() == expected, discarded)
}

#[test]
fn a_wrong_driver_is_caught() {
    let right: fn(&Device) = |_| ();
    assert_eq!(arrives_after(right), (true, 0));
    // It resets the FIFOs of a device that it adopts.
    let resets: fn(&Device) = |device| device.write8(2 << 2, 0x47);
    assert_eq!(arrives_after(resets), (false, 6));
    // It looks at the line status and does not note what it found.
    let looks: fn(&Device) = |device| {
        let _lost = device.read8(5 << 2);
    };
    assert_eq!(arrives_after(looks), (false, 0));
    // It reads a byte that it has no place for.
    let pops: fn(&Device) = |device| {
        let _lost = device.read8(0);
    };
    assert_eq!(arrives_after(pops), (false, 0));
}
