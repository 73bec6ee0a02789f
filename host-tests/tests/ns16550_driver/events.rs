//! Errors, breaks and losses in band: announced once, where they happened.

use super::*;

/// Good bytes and all kinds of errors, mixed; and what of it must arrive.
fn mixed(count: usize) -> (Vec<Symbol>, Vec<In>) {
    let each = |at: usize| {
        let byte = at as u8;
        match at % 7 {
            2 => (Symbol::Break(MS), In::Break),
            3 => (Symbol::BadFraming(byte), In::Framing(byte)),
            5 => (Symbol::BadParity(byte), In::Parity(byte)),
            _ => (Symbol::Byte(byte), In::Byte(byte)),
        }
    };
    (0..count).map(each).unzip()
}

fn with_parity(fit: Fit) -> Fit {
    Fit { line: Line { parity: Parity::Even, ..Line::default() }, ..fit }
}

fn send(bench: &mut Bench, symbols: &[Symbol]) {
    bench.wire(|wire| symbols.iter().for_each(|symbol| wire.send(*symbol)));
}

#[test]
fn errors_and_breaks_stand_where_they_happened() {
    for fit in all() {
        let mut bench = Bench::new(with_parity(fit));
        let (symbols, expected) = mixed(140);
        send(&mut bench, &symbols);
        bench.run(100 * MS);
        assert_eq!(bench.received(), expected);
        let Told::Status(status) = bench.answer(Ask::Status) else { panic!("status is told") };
        assert_eq!((status.received, status.errors), (140, 60));
        bench.assert_untouched();
    }
}

#[test]
fn errors_are_not_lost_to_a_transmitter_that_looks_at_the_same_register() {
    let mut bench = Bench::new(with_parity(fit(SPREAD)));
    let (symbols, expected) = mixed(140);
    let out = numbered(1_500, 1);
    send(&mut bench, &symbols);
    bench.ask(Ask::Write(out.clone()));
    bench.run(300 * MS);
    assert_eq!(bench.received(), expected);
    assert_eq!(bench.heard(), out);
    bench.assert_untouched();
}

#[test]
fn errors_are_not_lost_while_there_is_no_room_to_announce_them() {
    let mut bench = Bench::new(with_parity(fit(SPREAD)));
    bench.consume(false);
    // Each error takes a slot: the ring is full, and more waits in the device, with the first of it looked at.
    let (symbols, expected) = mixed(24);
    send(&mut bench, &symbols);
    bench.run(50 * MS);
    // The transmitter reads the line status meanwhile, and so does each next incarnation.
    bench.write(&numbered(100, 1));
    bench.recover();
    bench.write(&numbered(100, 2));
    bench.consume(true);
    bench.run(50 * MS);
    assert_eq!(bench.received(), expected);
    bench.assert_untouched();
}

#[test]
fn errors_are_announced_once_though_the_driver_dies_anywhere() {
    let points = {
        let mut bench = Bench::new(with_parity(fit(SPREAD)));
        let before = bench.machine.points(DRIVER);
        send(&mut bench, &mixed(40).0);
        bench.run(40 * MS);
        bench.machine.points(DRIVER) - before
    };
    for at in 1..points {
        let mut bench = Bench::new(with_parity(fit(SPREAD)));
        let (symbols, expected) = mixed(40);
        let out = numbered(90, 1);
        send(&mut bench, &symbols);
        bench.ask(Ask::Write(out.clone()));
        bench.machine.plan(Planned { component: DRIVER, after_points: at, strike: Strike::Crash });
        bench.run(40 * MS);
        assert_eq!(bench.epoch(), 2);
        assert_eq!(bench.received(), expected, "struck at {at}");
        assert_eq!(bench.heard(), out, "struck at {at}");
        bench.assert_untouched();
    }
}

#[test]
fn an_overrun_stands_where_bytes_were_lost_though_the_device_tells_it_early() {
    for fit in all() {
        for with_a_crash in [false, true] {
            let mut bench = Bench::new(fit);
            let (lost_in, behind) = (numbered(1_500, 1), numbered(100, 2));
            bench.consume(false);
            bench.send(&lost_in);
            bench.run(200 * MS);
            if with_a_crash {
                // Whoever looks first takes the flag with him.
                bench.write(&[0; 40]);
                bench.recover();
            }
            bench.consume(true);
            bench.run(10 * MS);
            bench.send(&behind);
            bench.run(20 * MS);
            let kept = 1_500 - bench.uart(|uart| uart.counters().overrun) as usize;
            let expected = [good(&lost_in[..kept]), vec![In::Overrun], good(&behind)].concat();
            assert_eq!(bench.received(), expected, "{fit:?}, {with_a_crash}");
            let Told::Status(status) = bench.answer(Ask::Status) else { panic!("status is told") };
            assert_eq!(status.overruns, 1);
        }
    }
}

#[test]
fn what_comes_while_the_driver_is_down_waits_in_the_device_or_is_announced_where_it_is_missing() {
    for down in [MS / 2, MS, 4 * MS, 20 * MS] {
        let mut bench = Bench::new(fit(SPREAD));
        let back = numbered(600, 1);
        bench.send(&back);
        bench.run(10 * MS);
        bench.kill();
        bench.revives = false;
        bench.run(down);
        bench.revives = true;
        bench.revive();
        bench.run(100 * MS);
        let received = bench.received();
        let lost = bench.uart(|uart| uart.counters().overrun) as usize;
        let at = received.iter().position(|found| *found == In::Overrun);
        assert_eq!(at.is_some(), lost > 0, "{down} ns");
        assert_eq!(lost > 0, down > 16 * 86_806, "{down} ns: {lost} lost");
        let at = at.unwrap_or(0);
        let kept = [good(&back[..at]), good(&back[at + lost..])].concat();
        let bytes: Vec<In> = received.into_iter().filter(|found| *found != In::Overrun).collect();
        assert_eq!(bytes, kept, "{down} ns");
        bench.assert_untouched();
    }
}

#[test]
fn of_two_overruns_before_the_first_is_announced_none_goes_unsaid() {
    let mut bench = Bench::new(fit(SPREAD));
    bench.consume(false);
    bench.send(&numbered(1_000, 1));
    bench.run(200 * MS);
    // The first is noted by the transmitter's looking; then some of what is in front of it goes.
    bench.write(&[0; 40]);
    let before = bench.uart(|uart| uart.counters().overrun);
    bench.send(&numbered(20, 2));
    bench.run(10 * MS);
    assert!(bench.uart(|uart| uart.counters().overrun) > before);
    bench.write(&[0; 40]);
    bench.consume(true);
    bench.run(10 * MS);
    bench.send(&numbered(40, 3));
    bench.run(10 * MS);
    let received = bench.received();
    assert_eq!(received.iter().filter(|found| **found == In::Overrun).count(), 2);
    assert!(received.ends_with(&good(&numbered(40, 3)[16..])), "the second at most a FIFO late");
}
