//! One rule of the chip each, then the rules of the model itself.

use super::*;
use crate::wire::{LineEvent, LineSettings};

const CLOCK: u32 = 1_843_200;
/// 10 bits at 115,200 baud, in ns, rounded up.
const FRAME_NS: u64 = 86_806;

const EIGHT: u8 = 0b11;
const ON: u8 = 0b0100_0001;

/// A driver's hands: a model and the time.
struct Bench {
    uart: Ns16550,
    now: u64,
}

impl Bench {
    fn new() -> Self {
        Self::with(0, LineSettings::at(115_200))
    }

    /// Programmed to 115,200 baud, FIFOs on, trigger 4.
    fn with(shift: u8, settings: LineSettings) -> Self {
        let mut bench = Bench { uart: Ns16550::new(shift, CLOCK, true, Wire::new(settings)), now: 0 };
        for (register, value) in [(3, 0x80 | EIGHT), (0, 1), (1, 0), (3, EIGHT), (2, ON | 0b110)] {
            bench.write(register, value);
        }
        bench
    }

    fn read(&mut self, register: u32) -> u8 {
        self.uart.read(register << self.uart.shift, Width::Byte, self.now).expect("a register") as u8
    }

    fn write(&mut self, register: u32, value: u8) {
        self.uart.write(register << self.uart.shift, Width::Byte, value.into(), self.now).expect("a register");
    }

    fn frames(&mut self, count: u64) {
        self.now += count * FRAME_NS;
        self.uart.advance(self.now);
    }

    fn send(&mut self, symbol: Symbol) {
        self.uart.wire_mut().send(symbol);
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.uart.wire_mut().send_bytes(bytes.iter().copied());
        self.frames(bytes.len() as u64);
    }

    fn interrupts(&self) -> bool {
        self.uart.asserted() == INTERRUPT
    }
}

const ERRORS: u8 = lsr::OVERRUN | lsr::PARITY | lsr::FRAMING | lsr::BREAK;

#[test]
fn bytes_are_sent_one_frame_after_the_other_and_heard_whole() {
    for shift in [0, 2] {
        let mut bench = Bench::with(shift, LineSettings::at(115_200));
        (1..=16).for_each(|byte| bench.write(0, byte));
        bench.frames(15);
        assert_eq!(bench.uart.wire().received.len(), 15);
        assert_eq!(bench.read(5) & (lsr::ROOM | lsr::SILENT), lsr::ROOM);
        bench.frames(1);
        assert_eq!(bench.uart.wire_mut().take_received(), (1..=16).collect::<Vec<u8>>());
        assert_eq!(bench.read(5) & lsr::SILENT, lsr::SILENT);
    }
}

#[test]
fn looking_at_an_error_clears_it_and_only_that_of_the_byte_at_hand() {
    let mut bench = Bench::new();
    for symbol in [Symbol::BadFraming(7), Symbol::Byte(8), Symbol::BadFraming(9)] {
        bench.send(symbol);
    }
    bench.frames(5);
    assert_eq!(bench.read(5) & (ERRORS | lsr::ERROR_IN_FIFO), lsr::FRAMING | lsr::ERROR_IN_FIFO);
    assert_eq!(bench.read(5) & (ERRORS | lsr::ERROR_IN_FIFO), lsr::ERROR_IN_FIFO, "of the third");
    assert_eq!(bench.read(0), 7);
    assert_eq!(bench.read(5) & ERRORS, 0);
    assert_eq!(bench.read(0), 8);
    assert_eq!(bench.read(0), 9);
    assert_eq!(bench.read(5) & ERRORS, 0, "it went with its byte");
    assert_eq!(bench.uart.counters().popped_unseen, 1);
}

#[test]
fn a_full_fifo_keeps_what_it_has_and_tells_of_the_overrun_at_once_and_once() {
    let mut bench = Bench::new();
    bench.feed(&(0..18).collect::<Vec<u8>>());
    assert_eq!(bench.read(5) & ERRORS, lsr::OVERRUN);
    assert_eq!(bench.read(5) & ERRORS, 0);
    bench.feed(&[99]);
    assert_eq!(bench.read(5) & ERRORS, lsr::OVERRUN);
    let found: Vec<u8> = (0..16).map(|_| bench.read(0)).collect();
    assert_eq!(found, (0..16).collect::<Vec<u8>>());
    assert_eq!(bench.read(5) & lsr::DATA, 0);
    let counters = *bench.uart.counters();
    assert_eq!((counters.arrived, counters.popped, counters.overrun), (19, 16, 3));
}

#[test]
fn a_break_leaves_one_byte_and_a_short_one_is_a_bad_frame() {
    let mut bench = Bench::new();
    bench.send(Symbol::Break(1_000_000));
    bench.send(Symbol::Break(20_000));
    bench.frames(20);
    assert_eq!(bench.read(5) & ERRORS, lsr::BREAK | lsr::FRAMING);
    assert_eq!(bench.read(0), 0);
    assert_eq!(bench.read(5) & ERRORS, lsr::FRAMING);
    assert_eq!(bench.read(0), 0);
    assert_eq!(bench.read(5) & lsr::DATA, 0);
}

#[test]
fn received_data_interrupts_at_the_trigger_or_when_no_more_comes() {
    let mut bench = Bench::new();
    bench.write(1, ier::RECEIVED);
    bench.feed(&[1, 2, 3]);
    assert!(!bench.interrupts());
    bench.frames(4);
    assert_eq!(bench.read(2), iir::QUIET | iir::FIFOS);
    assert!(bench.interrupts(), "until somebody reads");
    bench.read(0);
    assert!(!bench.interrupts());
    bench.feed(&[4, 5]);
    assert_eq!(bench.read(2), iir::RECEIVED | iir::FIFOS);
    bench.read(0);
    assert!(!bench.interrupts(), "below the trigger");
}

#[test]
fn room_interrupts_until_it_is_looked_at_or_used() {
    let mut bench = Bench::new();
    bench.write(1, ier::ROOM);
    assert_eq!(bench.read(2), iir::ROOM | iir::FIFOS);
    assert!(!bench.interrupts(), "reading it takes it back");
    bench.write(1, 0);
    bench.write(1, ier::ROOM);
    assert!(bench.interrupts(), "who begins to wait is told");
    bench.write(0, 1);
    bench.write(0, 2);
    assert!(!bench.interrupts());
    bench.frames(1);
    assert!(bench.interrupts(), "the FIFO has given its last byte away");
}

#[test]
fn with_the_divisor_open_neither_data_nor_interrupts_are_touched() {
    let mut bench = Bench::new();
    bench.write(1, ier::RECEIVED);
    bench.feed(&[42]);
    bench.write(3, 0x80 | EIGHT);
    assert_eq!([bench.read(0), bench.read(1)], [1, 0]);
    bench.write(0, 12);
    bench.write(3, EIGHT);
    assert_eq!([bench.read(1), bench.read(0)], [ier::RECEIVED, 42]);
    assert_eq!(bench.uart.counters().pushed, 0);
}

#[test]
fn switching_the_fifos_empties_them_and_controlling_them_does_not() {
    let mut bench = Bench::new();
    bench.feed(&[1, 2, 3]);
    bench.write(2, ON);
    assert_eq!(bench.uart.fifo_counts(), (0, 3));
    bench.write(2, 0);
    assert_eq!(bench.read(2) & iir::FIFOS, 0);
    assert_eq!(bench.uart.fifo_counts(), (0, 0));
    assert_eq!(bench.uart.counters().discarded_rx, 3);
}

#[test]
fn the_chip_holds_the_sender_at_the_trigger_until_its_fifo_is_empty() {
    let mut bench = Bench::with(0, LineSettings::at(115_200).with_flow_control(true));
    bench.write(4, mcr::RTS | mcr::AUTO);
    bench.uart.wire_mut().send_bytes(0..20);
    bench.frames(30);
    // One was under way.
    assert_eq!(bench.uart.fifo_counts().1, 4);
    assert!(!bench.uart.rts_asserted());
    for _ in 0..3 {
        bench.read(0);
    }
    assert!(!bench.uart.rts_asserted());
    bench.read(0);
    assert!(bench.uart.rts_asserted());
    assert_eq!(bench.uart.counters().overrun, 0);
}

#[test]
fn the_chip_is_held_between_frames_and_a_change_of_cts_interrupts_once() {
    let mut bench = Bench::new();
    bench.write(4, mcr::AUTO);
    bench.write(1, ier::MODEM);
    bench.uart.wire_mut().hold(true);
    bench.frames(1);
    assert!(bench.interrupts());
    assert_eq!(bench.read(6) & (msr::CTS | msr::CTS_CHANGED), msr::CTS_CHANGED);
    assert!(!bench.interrupts());
    bench.write(0, 1);
    bench.frames(3);
    assert!(bench.uart.wire().received.is_empty());
    bench.uart.wire_mut().hold(false);
    bench.frames(3);
    assert_eq!(bench.uart.wire().received, [1]);
}

#[test]
fn a_break_out_spoils_a_frame_that_is_being_sent_and_is_heard_for_as_long_as_it_lasts() {
    let mut bench = Bench::new();
    bench.write(3, EIGHT | lcr::BREAK);
    bench.frames(20);
    bench.write(3, EIGHT);
    bench.frames(1);
    let [LineEvent::Break { lasted, .. }] = bench.uart.wire().events[..] else { panic!("no break") };
    assert_eq!(lasted, 20 * FRAME_NS);
    bench.write(0, 7);
    bench.write(3, EIGHT | lcr::BREAK);
    bench.frames(2);
    assert_eq!(bench.uart.counters().spoilt, 1);
}

#[test]
fn misuse_is_counted_and_changes_nothing() {
    let mut bench = Bench::new();
    assert_eq!(bench.read(0), 0);
    (0..18).for_each(|byte| bench.write(0, byte));
    bench.write(5, 0xFF);
    bench.write(3, 0);
    let counters = *bench.uart.counters();
    // One of the eighteen went on at once.
    assert_eq!((counters.popped_empty, counters.pushed_into_full, counters.set_while_sending), (1, 1, 1));
    assert_eq!(counters.write_of_read_only_register, 1);
}

#[test]
fn an_access_that_is_no_register_says_so() {
    let mut uart = Bench::with(2, LineSettings::at(115_200)).uart;
    assert_eq!(uart.read(5, Width::Byte, 0), Err(BadAccess::NoRegister { offset: 5 }));
    assert_eq!(uart.read(32, Width::Byte, 0), Err(BadAccess::NoRegister { offset: 32 }));
    let wrong = BadAccess::WrongWidth { offset: 4, tried: Width::Word, is: Width::Byte };
    assert_eq!(uart.write(4, Width::Word, 0, 0), Err(wrong));
}

#[test]
fn an_event_is_foretold_no_later_than_it_comes() {
    // Random accesses and waits: between two looks at `next_event` nothing newly asserts before the time that it said.
    let mut seed = 1u64;
    let mut draw = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut asserted = 0;
    for _ in 0..200 {
        let mut bench = Bench::with(0, LineSettings::at(115_200).with_flow_control(true));
        bench.write(1, draw(16) as u8);
        bench.write(4, [mcr::RTS, mcr::RTS | mcr::AUTO][draw(2) as usize]);
        for _ in 0..30 {
            match draw(5) {
                0 => bench.write(0, 1),
                1 if bench.read(5) & lsr::DATA != 0 => drop(bench.read(0)),
                2 => bench.send([Symbol::Byte(3), Symbol::BadFraming(4), Symbol::Break(900_000)][draw(3) as usize]),
                3 => bench.uart.wire_mut().hold(draw(2) == 0),
                _ => drop(bench.read(2)),
            }
            let foretold = bench.uart.next_event();
            if bench.interrupts() {
                bench.frames(draw(3));
                continue;
            }
            for _ in 0..draw(40) {
                bench.now += FRAME_NS / 8;
                if foretold.is_some_and(|at| at <= bench.now) {
                    break;
                }
                bench.uart.advance(bench.now);
                assert!(!bench.interrupts(), "it came before {foretold:?}, at {}", bench.now);
            }
            bench.uart.advance(bench.now);
            asserted += u32::from(bench.interrupts());
        }
    }
    assert!(asserted > 100, "{asserted} interrupts prove little");
}
