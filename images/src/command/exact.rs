//! Compares what arrived with what was sent, byte for byte, and says how they differ.
//!
//! The rule: as long as nothing differs, every byte is compared with its own place in what was sent, and nothing is
//! guessed. After a difference it looks for the nearest place where both agree again.

use std::rc::Rc;

/// Bytes that must agree for the two to count as together again.
const AGREE: usize = 16;

/// How far apart the two may be; beyond this the rest is wrong.
const FAR: usize = 8_192;

/// Bytes that are shown of a difference.
const SHOWN: usize = 24;

/// One direction.
pub(crate) struct Exact {
    file: Rc<[u8]>,
    /// The place in the repeated file that the next byte is compared with.
    at: u64,
    /// Arrived, and not yet compared.
    pending: Vec<u8>,
    /// Bytes that arrived.
    pub(crate) arrived: u64,
    /// Sent, and never arrived, though later ones did.
    pub(crate) lost: u64,
    /// Arrived once more.
    pub(crate) repeated: u64,
    /// Arrived as something else.
    pub(crate) wrong: u64,
    /// The first place that differs, in words.
    pub(crate) first: Option<String>,
}

impl Exact {
    pub(crate) fn new(file: &Rc<[u8]>) -> Self {
        let file = Rc::clone(file);
        Exact { file, at: 0, pending: Vec::new(), arrived: 0, lost: 0, repeated: 0, wrong: 0, first: None }
    }

    /// The byte at a place of the file that is repeated without end.
    fn sent(&self, at: u64) -> u8 {
        self.file[(at % self.file.len() as u64) as usize]
    }

    /// Bytes arrived.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.arrived += bytes.len() as u64;
        if self.pending.is_empty() {
            let same = (self.at..).zip(bytes).take_while(|(at, byte)| self.sent(*at) == **byte).count();
            self.at += same as u64;
            self.pending.extend_from_slice(&bytes[same..]);
        } else {
            self.pending.extend_from_slice(bytes);
        }
        // Enough has arrived to see any difference that is not too far.
        while self.pending.len() >= FAR + AGREE {
            self.settle_one(u64::MAX);
        }
    }

    /// Nothing more arrives; so many bytes were sent.
    pub(crate) fn finish(&mut self, total: u64) {
        while !self.pending.is_empty() {
            self.settle_one(total);
        }
        self.lost += total.saturating_sub(self.at);
    }

    /// Whether what is pending agrees with this place: for as long as counts, or up to the very end.
    fn agree(&self, at: u64, skip: usize, total: u64) -> bool {
        let rest = self.pending.get(skip..).unwrap_or(&[]);
        let enough = rest.len().min(AGREE);
        let end = at + enough as u64;
        (enough == AGREE && end <= total || enough > 0 && end == total)
            && (at..).zip(rest).take(enough).all(|(at, byte)| self.sent(at) == *byte)
    }

    /// Settles the difference at the head of what is pending, and all that agrees behind it.
    fn settle_one(&mut self, total: u64) {
        if self.at >= total {
            // More arrived than was ever sent.
            self.repeated += self.pending.len() as u64;
            self.pending.clear();
            return;
        }
        if !self.agree(self.at, 0, total) {
            let near = (1..FAR).find_map(|apart| {
                let by = apart as u64;
                if self.agree(self.at + by, 0, total) {
                    return Some((by, 0, 0, 0));
                }
                if by <= self.at && self.agree(self.at - by, 0, total) {
                    return Some((0, by, 0, 0));
                }
                self.agree(self.at + by, apart, total).then_some((0, 0, by, apart))
            });
            let (lost, repeated, wrong, skip) = near.unwrap_or_else(|| {
                let rest = if self.pending.len() < AGREE { 1 } else { self.pending.len() };
                (0, 0, rest as u64, rest)
            });
            if self.first.is_none() {
                let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
                let wanted: Vec<u8> = (self.at..).take(SHOWN).map(|at| self.sent(at)).collect();
                let found = self.pending.get(..SHOWN).unwrap_or(&self.pending);
                self.first =
                    Some(format!("at byte {}: \"{}\" instead of \"{}\"", self.at, shown(found), shown(&wanted)));
            }
            self.lost += lost;
            self.repeated += repeated;
            self.wrong += wrong;
            self.at = (self.at + lost + wrong).saturating_sub(repeated);
            self.pending.drain(..skip);
        }
        let same = (self.at..total).zip(&self.pending).take_while(|(at, byte)| self.sent(*at) == **byte).count();
        self.at += same as u64;
        self.pending.drain(..same);
    }

    /// Whether every byte so far is in its place.
    pub(crate) fn is_exact(&self) -> bool {
        self.lost == 0 && self.repeated == 0 && self.wrong == 0
    }
}

/// A generator of numbers that look random: the same seed gives the same numbers everywhere (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// One of these.
    pub(crate) fn one_of<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        let at = self.next().checked_rem(choices.len() as u64)?;
        choices.get(at as usize)
    }

    /// So many bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.next().to_le_bytes()).flatten().take(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Chance, Exact};
    use std::rc::Rc;

    fn compared(change: impl FnOnce(&mut Vec<u8>)) -> (u64, u64, u64) {
        let file: Rc<[u8]> = Chance(1).bytes(20_000).into();
        let mut arrived = file.to_vec();
        change(&mut arrived);
        let mut exact = Exact::new(&file);
        arrived.chunks(77).for_each(|chunk| exact.feed(chunk));
        exact.finish(20_000);
        (exact.lost, exact.repeated, exact.wrong)
    }

    #[test]
    fn what_arrives_as_it_was_sent_is_exact() {
        assert_eq!(compared(|_| {}), (0, 0, 0));
    }

    #[test]
    fn lost_bytes_are_counted() {
        assert_eq!(compared(|bytes| drop(bytes.drain(5_000..5_003))), (3, 0, 0));
        assert_eq!(compared(|bytes| bytes.truncate(19_990)), (10, 0, 0));
        assert_eq!(compared(|bytes| drop(bytes.drain(..7))), (7, 0, 0));
    }

    #[test]
    fn repeated_bytes_are_counted() {
        let again = |bytes: &mut Vec<u8>, from: usize, to: usize| {
            let part = bytes[from..to].to_vec();
            bytes.splice(to..to, part);
        };
        assert_eq!(compared(|bytes| again(bytes, 9_000, 9_096)), (0, 96, 0));
        assert_eq!(compared(|bytes| again(bytes, 19_995, 20_000)), (0, 5, 0));
    }

    #[test]
    fn wrong_bytes_are_counted() {
        assert_eq!(compared(|bytes| bytes[100] ^= 1), (0, 0, 1));
        assert_eq!(compared(|bytes| bytes[19_999] ^= 1), (0, 0, 1));
    }

    #[test]
    fn several_differences_are_told_apart() {
        let changed = compared(|bytes| {
            bytes[15_000] ^= 1;
            bytes.drain(10_000..10_002);
        });
        assert_eq!(changed, (2, 0, 1));
    }
}
