//! Platform time: TMU channel 1 counts, channel 0 wakes.
//!
//! Rule: there is no tick. Channel 0 is set when something is to happen, and for the case that nothing is, often enough that
//! channel 1 is read before it has come around.

use koboshi_core::{NEVER, Nanoseconds};

use crate::registers::{Byte, Long, Short};

/// Running channels, as bits.
const TSTR: Byte = Byte(0xFFD8_0004);
const TCOR0: Long = Long(0xFFD8_0008);
const TCNT0: Long = Long(0xFFD8_000C);
const TCR0: Short = Short(0xFFD8_0010);
const TCOR1: Long = Long(0xFFD8_0014);
const TCNT1: Long = Long(0xFFD8_0018);
const TCR1: Short = Short(0xFFD8_001C);
/// Underflow raises an interrupt. Written with UNF = 0 it clears that.
const UNIE: u16 = 1 << 5;
/// It has underflowed.
const UNF: u16 = 1 << 8;
/// The longest wait: half of what channel 1 counts.
const LONGEST: u32 = u32::MAX / 2;

/// How fast the timer counts, as factors: made by [`Clock::of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Nanoseconds in a tick, times 2 to the 24th.
    nanoseconds: u32,
    /// Ticks in a nanosecond, times 2 to the 32nd.
    ticks: u32,
}

impl Clock {
    /// The clock whose timer counts so many ticks a second: a quarter of the peripheral clock. At least 4 MHz, so that the
    /// factors fit; below 1 GHz.
    #[must_use]
    pub const fn of(ticks_per_second: u32) -> Self {
        let (second, ticks) = (1_000_000_000_u64, ticks_per_second as u64);
        Clock { nanoseconds: ((second << 24) / ticks) as u32, ticks: ((ticks << 32) / second) as u32 }
    }

    const fn to_nanoseconds(self, ticks: u64) -> Nanoseconds {
        let (low, high) = (ticks & 0xFFFF_FFFF, ticks >> 32);
        let factor = self.nanoseconds as u64;
        ((low * factor) >> 24).wrapping_add((high * factor) << 8)
    }

    /// Ticks that cover this span, at most [`LONGEST`].
    const fn to_ticks(self, span: Nanoseconds) -> u32 {
        // 4.3 s at the longest: it will be looked at again then.
        let span = if span > u32::MAX as u64 { u32::MAX as u64 } else { span };
        let ticks = ((span * self.ticks as u64) >> 32) + 1;
        if ticks > LONGEST as u64 { LONGEST } else { ticks as u32 }
    }
}

/// The two channels.
pub(crate) struct Time {
    clock: Clock,
    high: u32,
    last: u32,
    /// When channel 0 wakes; it may be earlier than need be, never later.
    armed: Nanoseconds,
}

impl Time {
    /// Begins to count, from 0.
    pub(crate) fn start(clock: Clock) -> Self {
        TSTR.write(0);
        // QEMU wants a channel's control before it is started: else it has no period.
        TCR0.write(UNIE);
        TCR1.write(0);
        TCOR0.write(u32::MAX);
        TCNT0.write(LONGEST);
        TCOR1.write(u32::MAX);
        TCNT1.write(u32::MAX);
        TSTR.write(3);
        Time { clock, high: 0, last: 0, armed: NEVER }
    }

    /// Platform time. It has to be asked for at least once while channel 1 comes around (280 s at 15 MHz).
    #[inline(always)]
    pub(crate) fn now(&mut self) -> Nanoseconds {
        let ticks = !TCNT1.read();
        if ticks < self.last {
            self.high = self.high.wrapping_add(1);
        }
        self.last = ticks;
        self.clock.to_nanoseconds(u64::from(self.high) << 32 | u64::from(ticks))
    }

    /// Whether channel 0 wants to wake us: its interrupt is there, or will be as soon as interrupts come.
    pub(crate) fn rings(&self) -> bool {
        TCR0.read() & UNF != 0
    }

    /// Channel 0 has woken us.
    pub(crate) fn woken(&mut self) {
        TCR0.write(UNIE);
        self.armed = 0;
    }

    /// Wakes at `at` at the latest.
    #[inline(always)]
    pub(crate) fn wake_at(&mut self, at: Nanoseconds, now: Nanoseconds) {
        // One that has passed wakes nobody any more.
        if self.armed > now && self.armed <= at {
            return;
        }
        self.arm(at, now);
    }

    #[inline(never)]
    fn arm(&mut self, at: Nanoseconds, now: Nanoseconds) {
        self.armed = at;
        // The counter is written while the channel stands (SH7751R manual, TMU), and what the old count has left is cleared before:
        // an underflow of the new one must not get lost. The others' bits in TSTR are not the kernel's.
        let running = TSTR.read();
        TSTR.write(running & !1);
        TCR0.write(UNIE);
        TCNT0.write(self.clock.to_ticks(at.saturating_sub(now)));
        TSTR.write(running | 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_nanoseconds_and_back() {
        for hertz in [15_000_000, 8_333_333, 12_500_000] {
            let clock = Clock::of(hertz);
            for seconds in [1_u64, 60, 3_600, 86_400 * 365] {
                let found = clock.to_nanoseconds(seconds * u64::from(hertz));
                let wanted = seconds * 1_000_000_000;
                assert!(found.abs_diff(wanted) <= wanted / 10_000_000, "{hertz} Hz: {found} for {wanted}");
            }
            for span in [0, 1, 1_000, 200_000, 1_000_000_000] {
                let ticks = clock.to_ticks(span);
                let back = clock.to_nanoseconds(u64::from(ticks));
                assert!(back + 1 >= span && back <= span + 1_000, "{hertz} Hz: {back} for {span}");
            }
            for span in [5_000_000_000, 9_000_000_000, NEVER] {
                let back = clock.to_nanoseconds(clock.to_ticks(span).into());
                assert!(
                    back < 5_000_000_000,
                    "{hertz} Hz: {back}, never later than {span}, nor channel 1 comes around"
                );
            }
        }
    }
}
