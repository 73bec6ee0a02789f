//! The SCIF driver against the register-level model of its device, one rule a test.

mod line;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use koboshi_core::life::{Fault, State};
use koboshi_core::sync::AtomicU32;
use koboshi_host::device::Width;
use koboshi_host::journal::Event;
use koboshi_host::linked::Linked;
use koboshi_host::scif::FifoDepth;
use koboshi_host::strike::{How, Planned, Strike};
use koboshi_host::wire::{LineEvent, Symbol};
use koboshi_host_tests::scenario::numbered;
use koboshi_interfaces::serial::{DataBits, Flow, Line, ModemLines, Parity, RefusedLine, Status, StopBits};
use koboshi_runtime::platform::koboshi_kept;
use koboshi_runtime::{Device, Exit};
use koboshi_scif_driver::LONGEST_BREAK;
use koboshi_scif_driver::device::{Board, Chip, Scif};

use line::{Ask, Bench, DRIVER, Fit, In, MS, RESPOND_WITHIN, S, Told, good, outside};

/// The peripheral clock of the SH7751R on an R2D board.
const R2D_HZ: u32 = 60_000_000;
/// The peripheral clock of the SH7780 on its sister boards.
const SH7780_HZ: u32 = 33_333_333;

const CTS_AND_RTS: ModemLines = ModemLines { cts: true, rts: true };

/// All bit rates that a SCIF with this clock can make, in thousandths of a bit per second.
fn rates(clock_hz: u32) -> impl Iterator<Item = u64> {
    let clock = u64::from(clock_hz) * 1_000;
    (0..4).flat_map(move |select| (1..=256).map(move |divisor| clock / (32 << (2 * select)) / divisor))
}

fn sends_and_receives(bench: &mut Bench, out: &[u8], back: &[u8]) {
    bench.send(back);
    bench.write(out);
    let longest = out.len().max(back.len()) + 64;
    bench.run_bytes(longest);
    assert_eq!(bench.heard(), out);
    assert_eq!(bench.received(), good(back));
}

fn set_to(baud: u32) -> Line {
    Line { baud, ..Line::default() }
}

// The line as it is set.

#[test]
fn a_rate_is_refused_only_if_no_divisor_makes_it_and_the_nearest_is_named() {
    for clock_hz in [R2D_HZ, SH7780_HZ, 64_000_000] {
        let board = Board { chip: Chip::Sh7751r, fifo: 16, clock_hz, line: Line::default() };
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
    for fit in Fit::all() {
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
    let slow = Fit::default().at(115_200);
    let [_, _, deep] = Fit::all();
    for fit in [slow, Fit::default().at(1_000_000), deep.at(1_000_000), deep] {
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
        assert_eq!(bench.machine.turns(), turns);
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
    for fit in Fit::all() {
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
            bench.run(20 * MS);
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
