//! Breaks, and errors in band.

use koboshi_host::device::DeviceModel;

use super::*;

// Breaks.

fn breaks(bench: &mut Bench) -> Vec<u64> {
    let events = bench.scif(|scif| std::mem::take(&mut scif.wire_mut().events));
    let length = |event| match event {
        LineEvent::Break { lasted, .. } => lasted,
        LineEvent::Garbled { at, byte } => panic!("a garbled byte {byte} at {at}"),
    };
    events.into_iter().map(length).collect()
}

#[test]
fn a_break_is_as_long_as_it_was_asked_for_and_comes_behind_what_was_written() {
    for fit in Fit::all() {
        for length in [1, 7, 250] {
            let mut bench = Bench::new(fit);
            let out = numbered(150, 1);
            bench.ask(Ask::Write(out.clone()));
            assert_eq!(bench.answer(Ask::Break(length)), Told::Done(Ok(())));
            assert_eq!(bench.heard(), out);
            let asked = u64::from(length) * MS;
            let found = breaks(&mut bench);
            assert!(found.len() == 1 && (asked..asked + MS / 10).contains(&found[0]), "{length} ms: {found:?} ns");
            bench.write(&out);
            bench.run(20 * MS);
            assert_eq!(bench.heard(), out);
            bench.assert_untouched();
        }
    }
}

#[test]
fn bytes_arrive_during_a_break_out() {
    let mut bench = Bench::new(Fit::default());
    let back = numbered(500, 1);
    bench.send(&back);
    assert_eq!(bench.answer(Ask::Break(30)), Told::Done(Ok(())));
    bench.run(50 * MS);
    assert_eq!(bench.received(), good(&back));
    bench.assert_untouched();
}

#[test]
fn the_longest_break_is_answered_in_time_and_a_longer_one_is_refused() {
    let mut bench = Bench::new(Fit::default());
    bench.be_impatient();
    bench.write(&numbered(96, 1));
    assert_eq!(bench.answer(Ask::Break(LONGEST_BREAK.0)), Told::Done(Ok(())));
    assert_eq!(breaks(&mut bench).len(), 1);
    assert_eq!(bench.answer(Ask::Break(LONGEST_BREAK.0 + 1)), Told::Done(Err(RefusedLine::BreakTooLong)));
    bench.run(S);
    assert_eq!(breaks(&mut bench).len(), 0);
}

#[test]
fn after_a_crash_in_a_break_the_line_is_let_go_and_the_break_is_not_repeated() {
    for fit in Fit::all() {
        let mut bench = Bench::new(fit);
        let back = numbered(300, 1);
        bench.send(&back);
        bench.ask(Ask::Break(100));
        bench.run(10 * MS);
        assert!(bench.scif(|scif| scif.wire().break_since()).is_some());
        bench.recover();
        let told = bench.told();
        assert!(matches!(&told[..], [Told::Failed(why)] if why.starts_with("Interrupted")), "{told:?}");
        assert_eq!(bench.scif(|scif| scif.wire().break_since()), None);
        bench.run(S);
        let found = breaks(&mut bench);
        assert!(found.len() == 1 && found[0] < 12 * MS, "{found:?}");
        let out = numbered(100, 2);
        bench.write(&out);
        bench.run(20 * MS);
        assert_eq!(bench.heard(), out);
        // The receiver had nothing to do with it.
        assert_eq!(bench.received(), good(&back));
        bench.assert_untouched();
    }
}

/// Good bytes, a break and good bytes: what of it arrives.
fn around_a_break(before: &[u8], behind: &[u8]) -> Vec<In> {
    [good(before), vec![In::Framing(0), In::Break], good(behind)].concat()
}

#[test]
fn a_break_in_stands_where_it_happened() {
    for fit in Fit::all() {
        let mut bench = Bench::new(fit);
        let (before, behind) = (numbered(31, 1), numbered(31, 2));
        bench.send(&before);
        bench.scif(|scif| scif.wire_mut().send(Symbol::Break(2 * MS)));
        bench.send(&behind);
        bench.run(20 * MS);
        assert_eq!(bench.received(), around_a_break(&before, &behind));
    }
}

#[test]
fn a_break_in_stands_where_it_happened_though_the_driver_was_down() {
    for fit in Fit::all() {
        let mut bench = Bench::new(fit);
        let (before, behind) = (numbered(5, 1), numbered(5, 2));
        bench.kill();
        bench.send(&before);
        bench.scif(|scif| scif.wire_mut().send(Symbol::Break(MS)));
        bench.send(&behind);
        bench.revives = false;
        bench.run(5 * MS);
        bench.revive();
        bench.run(5 * MS);
        assert_eq!(bench.received(), around_a_break(&before, &behind));
    }
}

// Errors in band.

#[test]
fn framing_and_parity_errors_stand_where_they_happened() {
    for fit in Fit::all() {
        let line = Line { parity: Parity::Even, ..Line::default() };
        let mut bench = Bench::new(Fit { line, ..fit });
        let mut expected = vec![];
        for at in 0..200 {
            let byte = at as u8;
            let (symbol, found) = match at % 7 {
                3 => (Symbol::BadFraming(byte), In::Framing(byte)),
                5 => (Symbol::BadParity(byte), In::Parity(byte)),
                _ => (Symbol::Byte(byte), In::Byte(byte)),
            };
            bench.scif(|scif| scif.wire_mut().send(symbol));
            expected.push(found);
        }
        bench.run(50 * MS);
        assert_eq!(bench.received(), expected);
        let Told::Status(status) = bench.answer(Ask::Status) else { panic!("status is told") };
        assert_eq!((status.received, status.errors), (200, 57));
        bench.assert_untouched();
    }
}

#[test]
fn an_overrun_stands_where_bytes_were_lost_and_the_receiver_goes_on() {
    for fit in Fit::all() {
        let mut bench = Bench::new(fit);
        let (lost_in, behind) = (numbered(1_500, 1), numbered(100, 2));
        bench.consume(false);
        bench.send(&lost_in);
        bench.run(200 * MS);
        bench.consume(true);
        bench.run(10 * MS);
        bench.send(&behind);
        bench.run(20 * MS);
        let kept = 1_500 - bench.counters().overrun as usize;
        assert!(kept < 1_500);
        assert_eq!(bench.received(), [good(&lost_in[..kept]), vec![In::Overrun], good(&behind)].concat());
        let Told::Status(status) = bench.answer(Ask::Status) else { panic!("status is told") };
        assert_eq!((status.overruns, status.received as usize), (1, kept + 100));
    }
}

#[test]
fn what_comes_while_the_driver_is_down_waits_in_the_device_or_is_announced() {
    for fit in Fit::all() {
        for down in [MS / 2, MS, 4 * MS, 20 * MS] {
            let mut bench = Bench::new(fit);
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
            let lost = bench.counters().overrun as usize;
            let at = received.iter().position(|found| *found == In::Overrun);
            assert_eq!(at.is_some(), lost > 0);
            let at = at.unwrap_or(0);
            let kept = [good(&back[..at]), good(&back[at + lost..])].concat();
            let bytes: Vec<In> = received.into_iter().filter(|found| *found != In::Overrun).collect();
            assert_eq!(bytes, kept, "{fit:?}, {down} ns");
            // The FIFO was all but empty when the driver died.
            let margin = fit.line.byte_time().as_ticks() * fit.fifo.bytes() as u64;
            assert_eq!(lost > 0, down > margin, "{fit:?}, {down} ns: {lost} lost");
            bench.assert_untouched();
        }
    }
}

/// As QEMU's SCIF does it, whose interrupt for a few bytes comes also if they were taken meanwhile.
#[test]
fn an_interrupt_with_nothing_behind_it_is_cleared() {
    const SCR: u32 = 0x08;
    const FSR: u32 = 0x10;
    const FRDR: u32 = 0x14;
    let flags = |bench: &mut Bench| bench.scif(|scif| scif.clone().read(FSR, Width::Half, scif.now()).unwrap() & 3);
    for fit in Fit::of(Drives::Scif) {
        let mut bench = Bench::new(fit);
        bench.run(MS);
        let [_, _, enabled, ..] = bench.registers();
        bench.poke(SCR, Width::Half, 0x30);
        bench.send(&[1, 2, 3]);
        bench.run(5 * MS);
        // Taken behind the driver's back, which leaves the flag.
        let taken = bench.scif(|scif| [(); 3].map(|()| scif.read(FRDR, Width::Byte, scif.now()).unwrap()));
        assert_eq!((taken, flags(&mut bench)), ([1, 2, 3], 1));
        bench.poke(SCR, Width::Half, enabled);
        bench.run(5 * MS);
        assert_eq!(flags(&mut bench), 0, "{}", bench.last_events());
        bench.send(&[4]);
        bench.run(5 * MS);
        assert_eq!(bench.received(), good(&[4]));
    }
}
