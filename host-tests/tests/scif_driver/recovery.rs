//! Taking over from a dead incarnation, and falling over.

use super::*;

// Taking over.

#[test]
fn a_crash_at_rest_leaves_every_register_as_it_was() {
    for fit in Fit::all() {
        for line in [fit.line, Line { flow: Flow::RtsCts, ..fit.line }, Line { parity: Parity::Odd, ..set_to(9_600) }] {
            let mut bench = Bench::new(fit);
            bench.set_both(line);
            sends_and_receives(&mut bench, &numbered(50, 1), &numbered(50, 2));
            let before = bench.registers();
            for _ in 0..5 {
                bench.recover();
                assert_eq!(bench.registers(), before);
            }
            assert_eq!(bench.received(), []);
            bench.assert_untouched();
        }
    }
}

#[test]
fn a_crash_anywhere_in_both_streams_touches_no_frame_and_loses_nothing() {
    let in_turn = [false, true].map(|polled_first| Drives::ScifInTurn { polled_first });
    for fit in Fit::all().into_iter().chain(in_turn.into_iter().flat_map(Fit::of)) {
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
            // One that looks by itself comes to points though nothing happens.
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
fn a_device_that_is_found_set_differently_is_drained_reprogrammed_and_announced() {
    let rate: &[(u32, Width, u32)] = &[(0x08, Width::Half, 0), (0x04, Width::Byte, 3), (0x08, Width::Half, 0x78)];
    let flow: &[_] = &[(0x18, Width::Half, 0x48)];
    let trigger: &[_] = &[(0x18, Width::Half, 0xC0)];
    let looped: &[_] = &[(0x18, Width::Half, 0x41)];
    let both_off: &[_] = &[(0x08, Width::Half, 0)];
    let receiver_off: &[_] = &[(0x08, Width::Half, 0x20)];
    for (what, spoilt) in [
        ("rate", rate),
        ("flow control", flow),
        ("trigger", trigger),
        ("loop-back", looped),
        ("both off", both_off),
        ("receiver off", receiver_off),
    ] {
        let mut bench = Bench::new(Fit::default());
        let good_registers = bench.registers();
        bench.kill();
        for (offset, width, value) in spoilt {
            bench.poke(*offset, *width, *value);
        }
        bench.revive();
        bench.run(200 * MS);
        assert_eq!(bench.registers(), good_registers, "{what}");
        assert_eq!(bench.received(), [In::Gap], "{what}");
        sends_and_receives(&mut bench, &numbered(50, 1), &numbered(50, 2));
        bench.recover();
        assert_eq!(bench.received(), [], "{what}: announced once");
        bench.assert_proper();
    }
}

#[test]
fn what_such_a_device_had_still_to_send_is_sent_and_the_gap_stands_behind_what_it_had_received() {
    let mut bench = Bench::new(Fit::default());
    let (out, back, behind) = (numbered(12, 1), numbered(12, 2), numbered(12, 3));
    bench.write(&out);
    bench.kill();
    bench.revives = false;
    bench.send(&back);
    bench.run(MS / 2);
    // Flow control is on, which was not asked for; the rate is right.
    bench.poke(0x18, Width::Half, 0x48);
    bench.run(2 * MS);
    bench.revive();
    bench.run(10 * MS);
    bench.send(&behind);
    bench.run(10 * MS);
    assert_eq!(bench.heard(), out);
    assert_eq!(bench.received(), [good(&back), vec![In::Gap], good(&behind)].concat());
    bench.assert_untouched();
}

#[test]
fn a_gap_is_announced_though_the_driver_dies_while_it_reprograms() {
    for at in 1..250 {
        let mut bench = Bench::new(Fit::default());
        bench.kill();
        bench.poke(0x08, Width::Half, 0);
        bench.machine.plan(Planned { component: DRIVER, after_points: at, strike: Strike::Crash });
        bench.revive();
        bench.run(150 * MS);
        let received = bench.received();
        assert!(!received.is_empty() && received.iter().all(|found| *found == In::Gap), "struck at {at}: {received:?}");
        bench.recover();
        assert_eq!(bench.received(), []);
        sends_and_receives(&mut bench, &numbered(20, 1), &numbered(20, 2));
    }
}

#[test]
fn a_new_setting_outlives_a_crash_anywhere_in_it() {
    for at in 1..250 {
        let mut bench = Bench::new(Fit::default());
        let line = Line { parity: Parity::Even, ..set_to(38_400) };
        bench.machine.plan(Planned { component: DRIVER, after_points: at, strike: Strike::Crash });
        bench.configure(line);
        bench.run(10 * MS);
        let reached = bench.registers();
        bench.scif(|scif| scif.wire_mut().set_settings(outside(&line)));
        let early = bench.received();
        assert!(early.iter().all(|found| *found == In::Gap), "struck at {at}: {early:?}");
        sends_and_receives(&mut bench, &numbered(20, 1), &numbered(20, 2));
        bench.recover();
        assert_eq!(bench.registers(), reached);
        bench.assert_proper();
    }
}

#[test]
fn a_spoilt_copy_of_the_kept_setting_changes_nothing() {
    let mut bench = Bench::new(Fit::default());
    bench.configure(set_to(38_400));
    let set = bench.registers();
    for epoch in 2..10 {
        bench.machine.knock(DRIVER, How::CorruptState);
        bench.ask(Ask::Status);
        bench.run(10 * MS);
        assert_eq!(bench.epoch(), epoch);
        assert_eq!(bench.registers(), set);
        assert_eq!(bench.received(), []);
        bench.configure(set_to(38_400));
    }
    bench.assert_proper();
}

#[test]
fn a_kept_setting_that_is_torn_or_foreign_falls_back_to_the_boards_own_and_a_gap() {
    let torn = |word: &AtomicU32| word.store(0, Ordering::Relaxed);
    let foreign = |word: &AtomicU32| word.store(word.load(Ordering::Relaxed) ^ 0x0101_0101, Ordering::Relaxed);
    for spoil in [torn, foreign] {
        let spoilt = Arc::new(AtomicBool::new(false));
        let spoils = Arc::clone(&spoilt);
        let driver = Linked::new(&koboshi_scif_driver::DESCRIPTION, move |start| {
            if spoils.load(Ordering::Relaxed) {
                koboshi_kept().iter().for_each(spoil);
            }
            koboshi_scif_driver::start(start)
        });
        let mut bench = Bench::with_driver(Fit::default(), Fit::default(), driver);
        bench.run(MS);
        let own = bench.registers();
        bench.configure(set_to(38_400));
        assert_ne!(bench.registers(), own);
        spoilt.store(true, Ordering::Relaxed);
        bench.recover();
        spoilt.store(false, Ordering::Relaxed);
        assert_eq!(bench.registers(), own);
        assert_eq!(bench.received(), [In::Gap]);
        sends_and_receives(&mut bench, &numbered(20, 1), &numbered(20, 2));
        bench.configure(set_to(38_400));
        let set = bench.registers();
        bench.recover();
        assert_eq!(bench.registers(), set);
        bench.assert_proper();
    }
}

#[test]
fn a_fresh_start_resets_the_device() {
    use koboshi_core::kernel::Command;
    for fit in Fit::all() {
        let mut bench = Bench::new(fit);
        let registers = bench.registers();
        bench.ask(Ask::Break(500));
        bench.run(10 * MS);
        bench.machine.command(DRIVER, Command::Stop).unwrap();
        bench.revives = false;
        bench.send(&numbered(100, 1));
        bench.run(20 * MS);
        assert_ne!(bench.scif(|scif| scif.fifo_counts().1), 0);
        bench.revive();
        bench.run(20 * MS);
        assert_eq!(bench.registers(), registers);
        assert_eq!(bench.scif(|scif| scif.fifo_counts()), (0, 0));
        assert_eq!(bench.received(), [In::Gap], "what came meanwhile is lost, and announced");
        bench.told();
        sends_and_receives(&mut bench, &numbered(100, 2), &numbered(100, 3));
    }
}

// Falling over.

fn every_operation() -> Vec<Ask> {
    vec![
        Ask::Status,
        Ask::Configure(set_to(57_600)),
        Ask::Write(numbered(60, 1)),
        Ask::Break(3),
        Ask::ModemLines,
        Ask::SetRts(true),
    ]
}

/// How many points the driver comes to from this question to its answer.
fn points_of(ask: &Ask) -> u64 {
    let mut bench = Bench::new(Fit::default());
    let before = bench.machine.points(DRIVER);
    bench.answer(ask.clone());
    bench.machine.points(DRIVER) - before
}

#[test]
fn a_hang_anywhere_in_any_operation_is_noticed_in_time_and_ends_as_the_contract_says() {
    for ask in every_operation() {
        let calm = {
            let mut bench = Bench::new(Fit::default());
            bench.answer(ask.clone())
        };
        for at in 1..=points_of(&ask) {
            let mut bench = Bench::new(Fit::default());
            bench.machine.plan(Planned { component: DRIVER, after_points: at, strike: Strike::Hang });
            bench.ask(ask.clone());
            bench.run(100 * MS);
            let told = bench.told();
            let interrupted = matches!(&told[..], [Told::Failed(why)] if why.starts_with("Interrupted"));
            let is_break = matches!(ask, Ask::Break(_));
            let as_ever = match (&told[..], &calm) {
                // What an incarnation has seen go by is its own.
                ([Told::Status(_)], Told::Status(_)) => true,
                ([told], calm) => told == calm,
                _ => false,
            };
            assert!(as_ever || is_break && interrupted, "{ask:?}, struck at {at}: {told:?}");
            let struck = {
                let journal = bench.machine.journal();
                journal.events().find(|(_, event)| matches!(event, Event::Struck { .. })).map(|(at, _)| *at)
            };
            let Some(struck) = struck else { continue };
            let [(noticed, Fault::Stuck)] = bench.ends()[..] else { panic!("{:?}", bench.ends()) };
            assert!(noticed - struck <= RESPOND_WITHIN + 1_000, "{ask:?}: noticed after {} ns", noticed - struck);
            bench.assert_proper();
        }
    }
}

#[test]
fn an_access_outside_the_granted_device_ends_the_driver() {
    let stray = || async {
        let _word = Device::open(1).read16(0x10);
        Exit::Done
    };
    let driver = Linked::new(&koboshi_scif_driver::DESCRIPTION, move |_| stray());
    let mut bench = Bench::with_driver(Fit::default(), Fit::default(), driver);
    bench.revives = false;
    bench.run(MS);
    assert_eq!(bench.fault(), Some(Fault::Access { address: 0x10 }));
}

#[test]
fn a_driver_for_the_other_chip_is_ended_at_its_first_wrong_register() {
    let sh7780 = Fit { chip: Chip::Sh7780, fifo: FifoDepth::SixtyFour, ..Fit::default() };
    let real = Linked::new(&koboshi_scif_driver::DESCRIPTION, koboshi_scif_driver::start);
    let mut bench = Bench::with_driver(Fit::default(), sh7780, real);
    bench.revives = false;
    bench.run(MS);
    assert_eq!(bench.fault(), Some(Fault::Access { address: 0x28 }));
    assert_eq!(bench.counters().pushed, 0);
}
