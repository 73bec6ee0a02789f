//! The watchdog: resets the machine when the restart manager gives no sign of life any more.
//!
//! Rule: only a restart manager that comes back to its wait keeps the machine from its reset. It is woken for that now and then,
//! for it may have nothing else to do. So a kernel that lets it starve, or that hangs, does not last; nobody else's life counts.
//!
//! Registers (SH7780): Linux' `arch/sh/include/cpu-sh4/cpu/watchdog.h` has their addresses, keys and bits. From memory, marked
//! `[?]`: what they do.

use koboshi_core::{ComponentId, NEVER, Nanoseconds};

use crate::interrupts::Registers;

#[cfg(test)]
mod tests;

/// At which of its steps it overflows: 12 bits. \[?\]
const WDTST: u32 = 0x00;
const WDTCSR: u32 = 0x04;
/// Where the counter below the steps begins anew.
const WDTBST: u32 = 0x08;

/// A write without the register's key in its highest byte does nothing.
const KEY_WDTST: u32 = 0x5A << 24;
const KEY_WDTCSR: u32 = 0xA5 << 24;
const KEY_WDTBST: u32 = 0x55 << 24;

/// It counts.
const TME: u32 = 1 << 7;
/// It resets, and does not interrupt.
const WT: u32 = 1 << 6;
/// It has reset. That outlasts the reset, as on the SH7751R. \[?\]
const WOVF: u32 = 1 << 4;

/// A watchdog of a board's chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watchdog {
    /// Its first register.
    registers: u32,
    /// Its period, in its steps.
    steps: u16,
    /// How often the restart manager is asked for a sign of life.
    ask_each: Nanoseconds,
}

impl Watchdog {
    /// The one with these registers, that is to reset after so many steps without a sign of life. A step is 2 to the 18th
    /// of the peripheral clock \[?\], of which the kernel's timer counts a quarter: so many ticks a second.
    #[must_use]
    pub const fn of(registers: u32, steps: u16, ticks_per_second: u32) -> Self {
        let step = (1_000_000_000_u64 << 16) / ticks_per_second as u64;
        // Three times it may come late.
        Watchdog { registers, steps, ask_each: step * steps as u64 / 4 }
    }

    /// Stops it, whoever had it run. Gives whether it has reset the machine.
    fn stop(self, on: &impl Registers) -> bool {
        let overflowed = on.long(self.registers + WDTCSR) & WOVF != 0;
        on.set_long(self.registers + WDTCSR, KEY_WDTCSR);
        overflowed
    }

    fn start(self, on: &impl Registers) {
        self.feed(on);
        on.set_long(self.registers + WDTCSR, KEY_WDTCSR | TME | WT);
    }

    /// Its period begins anew. Which of the two does that is not sure \[?\]: Linux writes the first one.
    fn feed(self, on: &impl Registers) {
        on.set_long(self.registers + WDTST, KEY_WDTST | self.steps as u32);
        on.set_long(self.registers + WDTBST, KEY_WDTBST);
    }
}

/// The signs of life of an image.
#[derive(Clone, Copy)]
pub(crate) struct Signs {
    /// The watchdog, and the restart manager that keeps it quiet.
    by: Option<(Watchdog, ComponentId)>,
    /// When the restart manager is asked next.
    ask_at: Nanoseconds,
}

impl Signs {
    /// Starts the board's watchdog, if there is a restart manager. Gives whether it has reset the machine.
    pub(crate) fn start(watchdog: Option<Watchdog>, manager: Option<ComponentId>, on: &impl Registers) -> (Self, bool) {
        let overflowed = watchdog.is_some_and(|watchdog| watchdog.stop(on));
        let by = watchdog.zip(manager);
        if let Some((watchdog, _)) = by {
            watchdog.start(on);
        }
        (Signs { by, ask_at: if by.is_some() { 0 } else { NEVER } }, overflowed)
    }

    /// Somebody came back to its wait.
    pub(crate) fn waits(&self, who: ComponentId, on: &impl Registers) {
        if let Some((watchdog, _)) = self.by.filter(|(_, manager)| *manager == who) {
            watchdog.feed(on);
        }
    }

    /// Who is to be woken for a sign of life, if it is time.
    pub(crate) fn ask(&mut self, now: Nanoseconds) -> Option<ComponentId> {
        let (watchdog, manager) = self.by.filter(|_| self.ask_at <= now)?;
        self.ask_at = now.saturating_add(watchdog.ask_each);
        Some(manager)
    }

    /// When it is time.
    pub(crate) const fn ask_at(&self) -> Nanoseconds {
        self.ask_at
    }
}
