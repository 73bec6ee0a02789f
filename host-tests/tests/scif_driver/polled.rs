//! The driver that looks by itself, and how either takes the other one's place.

use koboshi_host::device::DeviceModel;

use super::*;

/// SCSCR: transmitter and receiver, and the interrupts of arrival besides.
const RUNNING: u32 = 0x30;
const WITH_INTERRUPTS: u32 = RUNNING | 0x48;

fn polled() -> [Fit; 3] {
    Fit::of(Drives::ScifPolled)
}

#[test]
fn it_never_causes_an_interrupt() {
    for fit in polled() {
        let mut bench = Bench::new(fit);
        bench.send(&numbered(300, 1));
        bench.ask(Ask::Write(numbered(300, 2)));
        bench.ask(Ask::Break(2));
        bench.ask(Ask::Configure(set_to(57_600)));
        for _ in 0..2_000 {
            bench.run(50_000);
            assert_eq!(bench.scif(|scif| scif.asserted()), 0);
        }
        assert_eq!(bench.told().len(), 3);
        assert_eq!(bench.registers()[2], RUNNING);
    }
}

#[test]
fn it_looks_each_time_a_quarter_of_the_fifo_can_have_arrived() {
    for fit in polled() {
        for baud in [9_600, 115_200, 1_000_000] {
            let fit = fit.at(baud);
            let mut bench = Bench::new(fit);
            let turns = bench.machine.turns();
            bench.run(S);
            let turns = bench.machine.turns() - turns;
            let wanted = S / (fit.line.byte_time().as_ticks() * fit.fifo.bytes() as u64 / 4);
            // Each turn takes its time, too.
            assert!((wanted * 95 / 100..=wanted + 1).contains(&turns), "{fit:?}: {turns} turns in a second");
        }
    }
}

#[test]
fn three_quarters_of_the_fifo_are_left_for_a_look_that_comes_late() {
    for fit in polled() {
        let mut bench = Bench::new(fit);
        bench.send(&numbered(2_000, 1));
        for _ in 0..3_000 {
            bench.run(50_000);
            let held = bench.scif(|scif| scif.fifo_counts().1);
            assert!(held <= fit.fifo.bytes() / 4 + 1, "{fit:?}: {held} bytes wait");
        }
    }
}

#[test]
fn it_looks_more_often_at_once_when_the_line_becomes_faster() {
    let mut bench = Bench::new(polled()[0].at(9_600));
    bench.set_both(set_to(1_000_000));
    let back = numbered(1_000, 1);
    bench.send(&back);
    bench.run(20 * MS);
    assert_eq!(bench.received(), good(&back));
    assert_eq!(bench.counters().overrun, 0);
}

#[test]
fn what_one_has_left_on_the_other_switches_off_and_the_other_way_round() {
    for polled_first in [false, true] {
        for fit in Fit::of(Drives::ScifInTurn { polled_first }) {
            let mut bench = Bench::new(fit);
            let enabled = |epoch: u32| if (epoch % 2 == 1) == polled_first { RUNNING } else { WITH_INTERRUPTS };
            for epoch in 1..8 {
                assert_eq!(bench.epoch(), epoch);
                assert_eq!(bench.registers()[2], enabled(epoch));
                sends_and_receives(&mut bench, &numbered(50, 1), &numbered(50, 2));
                // The next one finds bytes both ways, flags that were latched, and nobody who has looked at them.
                bench.kill();
                bench.revives = false;
                bench.send(&[epoch as u8; 7]);
                bench.run(2 * MS);
                bench.revive();
                bench.run(2 * MS);
                assert_eq!(bench.received(), good(&[epoch as u8; 7]));
            }
            bench.assert_untouched();
        }
    }
}

#[test]
fn a_break_in_which_one_died_is_let_go_by_the_other() {
    for polled_first in [false, true] {
        for fit in Fit::of(Drives::ScifInTurn { polled_first }) {
            let mut bench = Bench::new(fit);
            bench.ask(Ask::Break(100));
            bench.run(10 * MS);
            assert!(bench.scif(|scif| scif.wire().break_since()).is_some());
            bench.recover();
            assert_eq!(bench.scif(|scif| scif.wire().break_since()), None);
            bench.told();
            sends_and_receives(&mut bench, &numbered(40, 1), &numbered(40, 2));
            bench.assert_untouched();
        }
    }
}

#[test]
fn a_setting_that_one_has_kept_the_other_goes_on_with() {
    for polled_first in [false, true] {
        let mut bench = Bench::new(Fit { drives: Drives::ScifInTurn { polled_first }, ..Fit::default() });
        bench.set_both(set_to(38_400));
        for _ in 0..3 {
            bench.recover();
            assert_eq!(bench.received(), [], "nothing was announced: the device is set as it was kept");
            sends_and_receives(&mut bench, &numbered(40, 1), &numbered(40, 2));
        }
    }
}
