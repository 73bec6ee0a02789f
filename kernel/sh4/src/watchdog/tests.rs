//! The watchdog's program, on a small model of the SH7780's.

use core::cell::Cell;

use super::*;

const AT: u32 = 0xFFCC_0000;
const PERIPHERAL_CLOCK: u64 = 33_333_332;
const DOG: Watchdog = Watchdog::of(AT, 128, (PERIPHERAL_CLOCK / 4) as u32);
/// 128 steps of 7.86 ms.
const PERIOD: Nanoseconds = 1_006_632_960;
const MILLISECOND: Nanoseconds = 1_000_000;

const MANAGER: ComponentId = ComponentId(0);
const OTHER: ComponentId = ComponentId(1);

/// Which register makes its period begin anew: it is not sure which one does.
#[derive(Clone, Copy, Debug)]
enum ClearedBy {
    Wdtst,
    Wdtbst,
    Both,
}

/// The chip's.
struct Wdt {
    cleared_by: ClearedBy,
    /// WDTCNT and, below it, the 18 bits of WDTBCNT.
    count: Cell<u64>,
    stop: Cell<u32>,
    control: Cell<u32>,
}

impl Wdt {
    /// As somebody left it.
    fn left(cleared_by: ClearedBy, control: u32) -> Self {
        Wdt { cleared_by, count: Cell::new(1 << 17), stop: Cell::new(1), control: Cell::new(control) }
    }

    /// Time passes. True if it has reset the machine.
    fn pass(&self, time: Nanoseconds) -> bool {
        if self.control.get() & TME == 0 {
            return false;
        }
        self.count.set(self.count.get() + time * PERIPHERAL_CLOCK / 1_000_000_000);
        let stop = if self.stop.get() == 0 { 1 << 12 } else { self.stop.get() };
        let over = self.count.get() >> 18 >= stop.into();
        if over {
            self.control.set(self.control.get() | if self.control.get() & WT != 0 { WOVF } else { 1 << 3 });
            self.count.set(0);
        }
        over && self.control.get() & WT != 0
    }
}

impl Registers for Wdt {
    fn short(&self, at: u32) -> u16 {
        panic!("no register of 16 bits at {at:#x}")
    }

    fn set_short(&self, at: u32, _: u16) {
        panic!("no register of 16 bits at {at:#x}")
    }

    fn long(&self, at: u32) -> u32 {
        assert_eq!(at, AT + 4, "nobody needs to read {at:#x}");
        self.control.get()
    }

    fn set_long(&self, at: u32, value: u32) {
        match (at - AT, value >> 24) {
            (0x00, 0x5A) => {
                self.stop.set(value & 0xFFF);
                if matches!(self.cleared_by, ClearedBy::Wdtst | ClearedBy::Both) {
                    self.count.set(0);
                }
            }
            // A flag can be cleared, and not be set.
            (0x04, 0xA5) => self.control.set(value & 0xE0 | value & self.control.get() & 0x18),
            (0x08, 0x55) => {
                if matches!(self.cleared_by, ClearedBy::Wdtbst | ClearedBy::Both) {
                    self.count.set(0);
                }
            }
            // A wrong key.
            (0x00 | 0x04 | 0x08, _) => {}
            _ => panic!("nobody needs to write {at:#x}"),
        }
    }
}

/// What a kernel does with it; and what wrong ones do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernel {
    Right,
    /// Whoever waits keeps the watchdog quiet.
    FedByAnybody,
    /// It is fed when the restart manager is asked, whether it answers or not.
    FedByTheClock,
    /// It is fed in each trap.
    FedInTraps,
    NeverAsks,
    NeverStarts,
    /// One key, in place of another.
    Key {
        register: u32,
        wrong: u32,
    },
}

/// The registers as a kernel with a wrong key reaches them.
struct Keyed<'a>(&'a Wdt, Kernel);

impl Registers for Keyed<'_> {
    fn short(&self, at: u32) -> u16 {
        self.0.short(at)
    }

    fn set_short(&self, at: u32, value: u16) {
        self.0.set_short(at, value);
    }

    fn long(&self, at: u32) -> u32 {
        self.0.long(at)
    }

    fn set_long(&self, at: u32, value: u32) {
        match self.1 {
            Kernel::Key { register, wrong } if at == AT + register => {
                self.0.set_long(at, value & 0x00FF_FFFF | wrong << 24);
            }
            Kernel::NeverStarts if at == AT + WDTCSR => {}
            _ => self.0.set_long(at, value),
        }
    }
}

/// Five seconds of an image in which somebody else waits each millisecond, and whose restart manager answers, when it is asked,
/// until `dies_at`. Gives when the watchdog has reset it.
fn reset_at(kernel: Kernel, cleared_by: ClearedBy, dies_at: Nanoseconds) -> Option<Nanoseconds> {
    let chip = Wdt::left(cleared_by, 0);
    let on = &Keyed(&chip, kernel);
    let (mut signs, _) = Signs::start(Some(DOG), Some(MANAGER), on);
    for now in (0..5_000).map(|at| at * MILLISECOND) {
        if chip.pass(MILLISECOND) {
            return Some(now);
        }
        if kernel == Kernel::FedInTraps {
            DOG.feed(on);
        }
        signs.waits(if kernel == Kernel::FedByAnybody { MANAGER } else { OTHER }, on);
        let asked = if kernel == Kernel::NeverAsks { None } else { signs.ask(now) };
        assert!(signs.ask_at() > now || kernel == Kernel::NeverAsks, "it wakes for the next one");
        if kernel == Kernel::FedByTheClock && asked.is_some() {
            DOG.feed(on);
        }
        if asked == Some(MANAGER) && now < dies_at {
            signs.waits(MANAGER, on);
        }
    }
    None
}

/// What is wrong with a kernel, if anything is.
fn judged(kernel: Kernel, cleared_by: ClearedBy) -> Result<(), &'static str> {
    if reset_at(kernel, cleared_by, NEVER).is_some() {
        return Err("it was reset, though its restart manager was well");
    }
    let dies_at = 2_000 * MILLISECOND;
    match reset_at(kernel, cleared_by, dies_at) {
        None => Err("it was never reset, though its restart manager was dead"),
        Some(at) if at > dies_at + PERIOD + 2 * MILLISECOND => Err("it was reset too late"),
        Some(_) => Ok(()),
    }
}

#[test]
fn a_machine_is_reset_when_its_restart_manager_gives_no_sign_of_life_and_not_before() {
    for cleared_by in [ClearedBy::Wdtst, ClearedBy::Wdtbst, ClearedBy::Both] {
        assert_eq!(judged(Kernel::Right, cleared_by), Ok(()), "{cleared_by:?}");
    }
}

#[test]
fn kernels_that_feed_it_elsewhere_or_with_a_wrong_key_are_found() {
    let key = |register, wrong| Kernel::Key { register, wrong };
    for (kernel, cleared_by) in [
        (Kernel::FedByAnybody, ClearedBy::Both),
        (Kernel::FedByTheClock, ClearedBy::Both),
        (Kernel::FedInTraps, ClearedBy::Both),
        (Kernel::NeverAsks, ClearedBy::Both),
        (Kernel::NeverStarts, ClearedBy::Both),
        (key(WDTST, 0xA5), ClearedBy::Both),
        (key(WDTCSR, 0x5A), ClearedBy::Both),
        (key(WDTBST, 0x5A), ClearedBy::Wdtbst),
    ] {
        assert!(judged(kernel, cleared_by).is_err(), "{kernel:?}");
    }
}

#[test]
fn a_reset_by_the_watchdog_is_known_once_and_another_one_is_not_taken_for_it() {
    let started = |chip: &Wdt| Signs::start(Some(DOG), Some(MANAGER), chip).1;
    assert!(!started(&Wdt::left(ClearedBy::Both, 0)));
    let chip = Wdt::left(ClearedBy::Both, TME | WT | WOVF);
    assert!(started(&chip));
    assert_eq!(chip.control.get(), TME | WT, "it runs again, and has not overflowed");
    assert!(!started(&chip));
    while !chip.pass(MILLISECOND) {}
    assert!(started(&chip), "what it leaves behind is what is looked for");
}

#[test]
fn a_watchdog_that_somebody_left_on_stands_still_where_there_is_no_restart_manager() {
    let chip = Wdt::left(ClearedBy::Both, TME | WT);
    let (mut signs, _) = Signs::start(Some(DOG), None, &chip);
    assert!((0..5_000).all(|_| !chip.pass(MILLISECOND)));
    assert_eq!((signs.ask(NEVER - 1), signs.ask_at()), (None, NEVER));
    let (mut none, overflowed) = Signs::start(None, Some(MANAGER), &chip);
    assert_eq!((none.ask(NEVER - 1), overflowed), (None, false), "a board that has none");
}
