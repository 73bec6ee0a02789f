//! A line that does to bytes what lines and dying drivers do to them, from a seed.

use std::collections::VecDeque;

use crate::Instant;

/// Numbers from a seed: splitmix64, by Steele, Lea and Flood.
#[derive(Clone, Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit.max(1)
    }

    /// True so many times in 100,000.
    pub(super) fn happens(&mut self, often: u32) -> bool {
        self.below(100_000) < often.into()
    }
}

/// How often something happens to a byte, in 100,000.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    pub(super) drop: u32,
    pub(super) repeat: u32,
    pub(super) flip: u32,
    pub(super) insert: u32,
    /// The line stands still for up to 300 ms.
    pub(super) pause: u32,
    /// A driver dies: up to 64 bytes are gone, and up to 64 others come twice.
    pub(super) death: u32,
}

impl Faults {
    pub(super) const NONE: Faults = Faults { drop: 0, repeat: 0, flip: 0, insert: 0, pause: 0, death: 0 };
}

/// One direction.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) faults: Faults,
    dice: Dice,
    queue: VecDeque<u8>,
    /// The last bytes that were put on it, for those that come twice.
    last: VecDeque<u8>,
    still_until: Instant,
    pub(super) carried: u64,
}

impl Line {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        let (queue, last) = (VecDeque::new(), VecDeque::new());
        Line { faults, dice: Dice(seed), queue, last, still_until: Instant::from_ticks(0), carried: 0 }
    }

    pub(super) fn put(&mut self, bytes: &[u8], now: Instant) {
        for byte in bytes {
            self.carried += 1;
            self.last.push_back(*byte);
            if self.last.len() > 64 {
                self.last.pop_front();
            }
            let (faults, dice) = (self.faults, &mut self.dice);
            if dice.happens(faults.insert) {
                self.queue.push_back(dice.roll() as u8);
            }
            let flipped = if dice.happens(faults.flip) { 1 << dice.below(8) } else { 0 };
            if !dice.happens(faults.drop) {
                self.queue.push_back(byte ^ flipped);
            }
            if dice.happens(faults.repeat) {
                self.queue.push_back(*byte);
            }
            if dice.happens(faults.pause) {
                self.still_until = Instant::from_ticks(now.as_ticks() + dice.below(300_000_000));
            }
            if dice.happens(faults.death) {
                let gone = dice.below(65).min(self.queue.len() as u64) as usize;
                self.queue.truncate(self.queue.len() - gone);
                let twice = dice.below(65).min(self.last.len() as u64) as usize;
                self.queue.extend(self.last.iter().skip(self.last.len() - twice));
            }
        }
    }

    /// What has arrived at the other end.
    pub(super) fn take(&mut self, now: Instant) -> std::vec::Vec<u8> {
        if now < self.still_until { std::vec![] } else { self.queue.drain(..).collect() }
    }
}
