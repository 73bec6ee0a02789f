//! The emulated board's time, as the computer beside it knows it, and how fast bytes may go by it.

use std::time::{Duration, Instant};

use koboshi_link::Instant as LinkTime;

/// Bytes that a UART takes at once.
const FIFO: u32 = 16;

/// The board's time, as far as it is known here. An emulator that has too little of this machine falls behind; if lines went on at
/// their rate then, the board would have more bytes to deal with in its own time than any line brings, and the link would send again
/// what is only slow.
pub(crate) struct BoardTime {
    /// Since the start; it never goes back, and stands still while nobody carries bytes.
    pub(crate) now: Duration,
    turned_at: Instant,
    /// The board's own, in nanoseconds, when it was last heard, and when that was.
    heard: Option<(u64, Instant)>,
    /// How much of this machine's time is 100 of the board's.
    percent: u32,
}

impl BoardTime {
    /// How slow a board is of which nothing is known: QEMU 7.2 was, under traffic and on half of two cores, at 300 to 500.
    const UNKNOWN: u32 = 400;

    /// Over less than this a message that was held up would say too much.
    const WINDOW: Duration = Duration::from_millis(20);

    /// In so long two thirds of a slowness are forgotten, and not at once: a board that has nothing to do for a moment is not slow
    /// then, and is again with the next bytes. For the same reason nothing is known of a board that was not heard for so long.
    const FADES: Duration = Duration::from_millis(500);

    /// If nobody carried bytes for longer than this (the process was stopped), that time says nothing of bytes under way.
    const AWAY: Duration = Duration::from_secs(1);

    pub(crate) fn new(now: Instant) -> Self {
        BoardTime { now: Duration::ZERO, turned_at: now, heard: None, percent: Self::UNKNOWN }
    }

    /// Time has passed here.
    pub(crate) fn pass(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(std::mem::replace(&mut self.turned_at, now));
        if self.silent_for(now) >= Self::FADES {
            self.percent = Self::UNKNOWN;
        }
        if passed <= Self::AWAY {
            self.now += passed * 100 / self.percent;
        }
    }

    /// The board says what its time is.
    pub(crate) fn hear(&mut self, board: u64, now: Instant) {
        let before = self.heard.filter(|(before, _)| *before <= board);
        let passed = self.silent_for(now);
        // One that began anew is not known.
        let Some((before, _)) = before.filter(|_| passed < Self::FADES) else {
            (self.heard, self.percent) = (Some((board, now)), Self::UNKNOWN);
            return;
        };
        if passed >= Self::WINDOW {
            let measured = passed.as_nanos() * 100 / u128::from((board - before).max(1));
            let left = Self::FADES.saturating_sub(passed).as_nanos();
            let faded = u128::from(self.percent) * left / Self::FADES.as_nanos();
            self.percent = measured.max(faded).clamp(100, 3_200) as u32;
            self.heard = Some((board, now));
        }
    }

    pub(crate) fn silent_for(&self, now: Instant) -> Duration {
        self.heard.map_or(Duration::MAX, |(_, at)| now.saturating_duration_since(at))
    }

    /// This much of the board's time, here.
    pub(crate) fn here(&self, span: Duration) -> Duration {
        span * self.percent / 100
    }

    pub(crate) fn of_link(&self) -> LinkTime {
        LinkTime::from_ticks(u64::try_from(self.now.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// How fast bytes may go, in the board's time.
pub(crate) struct Pace {
    /// Of ten bits.
    pub(crate) byte_time: Duration,
    /// When the next byte may go.
    due: Duration,
}

impl Pace {
    pub(crate) fn of_line(baud: u32) -> Self {
        Pace { byte_time: Duration::from_nanos(10_000_000_000 / u64::from(baud.max(1))), due: Duration::ZERO }
    }

    /// Bytes that may go now. A line that was idle does not make up for it, but by what a FIFO holds.
    pub(crate) fn allows(&mut self, now: Duration) -> usize {
        self.due = self.due.max(now.saturating_sub(self.byte_time * FIFO));
        let late = now.saturating_sub(self.due).as_nanos() / self.byte_time.as_nanos().max(1);
        late as usize
    }

    pub(crate) fn went(&mut self, count: usize) {
        self.due += self.byte_time * count as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boards_time_goes_as_slowly_as_it_was_heard_to() {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let mut time = BoardTime::new(begun);
        time.hear(5_000_000, begun);
        // Told twice within 20 ms says nothing; what was slow fades; after a silence, or of a board that began anew, nothing is known.
        for (board_ms, wall_ms, percent) in [
            (15, 40, 400),
            (16, 50, 400),
            (85, 90, 360),
            (135, 140, 324),
            (535, 539, 100),
            (535, 540, 100),
            (536, 640, 3_200),
            (2_000, 1_200, 400),
            (2_100, 1_300, 320),
            (1, 1_310, 400),
        ] {
            time.hear(board_ms * 1_000_000, at(wall_ms));
            assert_eq!(time.percent, percent, "after {wall_ms} ms");
        }
        time.pass(at(1_310));
        let before = time.now;
        time.pass(at(1_410));
        assert_eq!(time.now - before, Duration::from_millis(25));
        time.pass(at(20_000));
        assert_eq!(time.now - before, Duration::from_millis(25));
    }

    #[test]
    fn a_line_goes_at_its_rate_and_makes_up_for_a_fifo_at_most() {
        let mut pace = Pace::of_line(100_000);
        let second = Duration::from_secs(1);
        assert_eq!(pace.allows(second), 16);
        pace.went(16);
        assert_eq!((pace.allows(second), pace.allows(second + Duration::from_micros(250))), (0, 2));
    }
}
