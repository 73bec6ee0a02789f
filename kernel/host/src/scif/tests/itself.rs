//! The model itself: its events, its accounts.

use super::*;

// The model itself.

/// A small generator of the same numbers every time (Knuth's MMIX constants).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A random device: settings, flow control, sometimes a mismatch.
fn any_bench(dice: &mut Dice) -> Bench {
    let layout = match dice.below(3) {
        0 => Layout::SH7751R,
        1 => Layout::SH7780,
        _ => Layout::SH7780.with_fifo(FifoDepth::Sixteen),
    };
    let mut settings =
        LineSettings::at([115_200, 115_200, 112_000, 9_600][dice.below(4) as usize]).with_flow_control(dice.chance(50));
    if dice.chance(10) {
        settings.parity = Parity::Odd;
    }
    let fcr = dice.below(0x800) as u32 & !0b111 | u32::from(dice.chance(10));
    let scr = TE | RE | ((dice.below(4) as u32) << 6) | (dice.below(2) as u32 * REIE);
    Bench::with(layout, settings, fcr, scr)
}

/// One random act of the driver or of the outside end, without letting time pass.
fn act(bench: &mut Bench, dice: &mut Dice) {
    match dice.below(20) {
        0..=2 => {
            for _ in 0..dice.below(40) {
                bench.push(&[dice.below(256) as u8]);
            }
        }
        3..=5 => {
            for _ in 0..dice.below(40) {
                bench.read(FRDR);
            }
        }
        6..=8 => {
            let n = dice.below(100);
            bench.wire().send_bytes((0..n).map(|b| b as u8));
        }
        9 => bench.wire().send(Symbol::BadFraming(9)),
        10 => bench.wire().send(Symbol::BadParity(10)),
        11 => {
            let ns = dice.below(400_000);
            bench.wire().send(Symbol::Break(ns));
        }
        12 => {
            let ns = dice.below(400_000);
            bench.wire().send(Symbol::Pause(ns));
        }
        13 => {
            let stop = dice.chance(40);
            bench.wire().hold(stop);
        }
        14 => {
            let scr = ((dice.below(16) as u32) << 4) | (dice.below(2) as u32 * REIE);
            bench.write(SCR, if dice.chance(70) { scr | TE | RE } else { scr });
        }
        15 => {
            let fcr = dice.below(0x800) as u32;
            bench.write(FCR, if dice.chance(80) { fcr & !0b111 } else { fcr });
        }
        16 => {
            let (sptr, value) = (bench.sptr(), dice.below(256) as u32);
            bench.write(sptr, value);
        }
        17 => {
            let lsr = bench.lsr();
            bench.read(lsr);
            bench.write(lsr, 0);
        }
        _ => bench.clear(dice.below(256) as u16),
    }
    if dice.chance(5) {
        let received = bench.scif.wire().received.len();
        bench.wire().wake_when_received = Some(received + dice.below(20) as usize);
        bench.wire().wake_when_waiting = Some(dice.below(50) as usize);
    }
}

/// What someone outside the model sees change by itself, as far as `next_event` promises it.
fn promised(scif: &Scif) -> (u32, bool, bool) {
    let wire = scif.wire();
    let received = wire.wake_when_received.is_some_and(|n| wire.received.len() >= n);
    let waiting = wire.wake_when_waiting.is_some_and(|n| wire.waiting() <= n);
    (scif.asserted(), received, waiting)
}

#[test]
fn next_event_never_comes_too_late() {
    for seed in 0..400 {
        let mut dice = Dice(seed);
        let mut bench = any_bench(&mut dice);
        for step in 0..60 {
            act(&mut bench, &mut dice);
            // Anything the outside end was told takes effect now.
            bench.wait(0);
            let before = promised(&bench.scif);
            let mut later = bench.scif.clone();
            let until = bench.scif.next_event();
            later.advance(until.map_or(bench.now + 50_000_000, |at| at.max(1) - 1));
            assert_eq!(promised(&later), before, "seed {seed}, step {step}");
            bench.wait(dice.below(900_000));
        }
    }
}

#[test]
fn next_event_sees_the_quiet_between_slow_frames() {
    let mut bench = Bench::with(Layout::SH7751R, LineSettings::at(9_600), TRIGGERS_8_4, RE | RIE);
    bench.feed(&[0]);
    bench.read(FRDR);
    bench.wire().send(Symbol::Pause(10_000));
    bench.wire().send_bytes([0; 5]);
    let event = bench.scif.next_event().expect("DR to come");
    bench.wait(event - bench.now - 1);
    assert!(!bench.asserts(source::RXI));
    bench.wait(1);
    assert!(bench.asserts(source::RXI));
}

#[test]
fn next_event_sees_the_quiet_that_a_pause_makes() {
    let mut bench = Bench::new(TRIGGERS_8_4, RE | RIE);
    bench.feed(&[0]);
    bench.wire().send(Symbol::Pause(60_000));
    bench.wire().send_bytes([0; 5]);
    let event = bench.scif.next_event().expect("DR to come");
    bench.wait(event - bench.now - 1);
    assert!(!bench.asserts(source::RXI));
    bench.wait(1);
    assert!(bench.asserts(source::RXI));
    assert_eq!(bench.scif.fifo_counts().1, 1);
}

#[test]
fn next_event_is_a_real_one_when_the_ends_match() {
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let fcr = dice.below(0x100) as u32 & !0b111;
        let settings = LineSettings::at(115_200).with_flow_control(true);
        let mut bench = Bench::with(Layout::SH7780, settings, fcr, TE | RE | RIE | TIE);
        for step in 0..60 {
            bench.push(&vec![0; dice.below(60) as usize]);
            bench.wire().send_bytes(vec![0; dice.below(60) as usize]);
            for _ in 0..dice.below(64) {
                bench.read(FRDR);
            }
            bench.clear(0x73);
            let before = bench.scif.asserted();
            if let Some(event) = bench.scif.next_event() {
                bench.wait(event - bench.now);
                assert_ne!(bench.scif.asserted(), before, "seed {seed}, step {step}");
            }
        }
    }
}

#[test]
fn stepping_from_event_to_event_equals_stepping_by_microseconds() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let mut coarse = any_bench(&mut dice);
        let mut fine = coarse.clone();
        for step in 0..25 {
            let mut again = Dice(dice.0);
            act(&mut coarse, &mut dice);
            act(&mut fine, &mut again);
            let end = coarse.now + dice.below(1_500) * 1_000;
            while let Some(event) = coarse.scif.next_event().filter(|&at| at <= end) {
                coarse.wait(event.max(coarse.now + 1) - coarse.now);
            }
            coarse.wait(end.max(coarse.now) - coarse.now);
            while fine.now + 1_000 < coarse.now {
                fine.wait(1_000);
            }
            fine.wait(coarse.now - fine.now);
            assert_eq!(coarse.scif, fine.scif, "seed {seed}, step {step}");
        }
    }
}

#[test]
fn every_byte_is_accounted_for() {
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let mut bench = any_bench(&mut dice);
        for _ in 0..80 {
            act(&mut bench, &mut dice);
            bench.wait(dice.below(900_000));
            let c = bench.counters();
            let (tx, rx) = bench.scif.fifo_counts();
            let shift = u64::from(bench.scif.is_transmitting());
            assert_eq!(c.pushed, c.transmitted + c.aborted + c.discarded_tx + tx as u64 + shift);
            assert_eq!(c.arrived, c.popped + c.overrun + c.discarded_rx + rx as u64);
        }
    }
}

#[test]
fn time_does_not_run_backwards() {
    let mut bench = Bench::new(0, TE);
    bench.push(b"a");
    bench.frames(1);
    bench.scif.advance(0);
    assert_eq!(bench.scif.now(), FRAME_NS);
    assert_eq!(bench.scif.wire().received, b"a");
}
