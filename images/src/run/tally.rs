//! What happens to many bytes one by one, and is said once.

/// For so long nothing more has to happen before it is said, in nanoseconds: longer than a byte takes at 110 baud.
const QUIET: u64 = 100_000_000;

/// It is said after this time though it goes on, in nanoseconds.
const AT_LAST: u64 = 1_000_000_000;

/// Bytes of which is not said yet what happened to them.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    count: u64,
    first: u64,
    last: u64,
}

impl Tally {
    /// Adds so many; gives all that are to be spoken of now.
    pub(crate) fn add(&mut self, more: usize, now: u64) -> Option<u64> {
        if more > 0 {
            if self.count == 0 {
                self.first = now;
            }
            self.last = now;
            self.count += more as u64;
        }
        let due = now.saturating_sub(self.last) >= QUIET || now.saturating_sub(self.first) >= AT_LAST;
        (self.count > 0 && due).then(|| std::mem::take(&mut self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    const MILLISECOND: u64 = 1_000_000;

    #[test]
    fn what_comes_together_is_said_once_when_it_is_over() {
        let mut tally = Tally::default();
        assert_eq!(tally.add(0, 0), None);
        assert_eq!(tally.add(3, 5_000 * MILLISECOND), None);
        assert_eq!(tally.add(4, 5_002 * MILLISECOND), None);
        assert_eq!(tally.add(0, 5_101 * MILLISECOND), None);
        assert_eq!(tally.add(0, 5_102 * MILLISECOND), Some(7));
        assert_eq!(tally.add(0, 9_000 * MILLISECOND), None);
    }

    #[test]
    fn what_does_not_end_is_said_every_second() {
        let mut tally = Tally::default();
        let said: Vec<u64> = (0..1_501).filter_map(|slice| tally.add(1, slice * 2 * MILLISECOND)).collect();
        assert_eq!(said, [501, 501]);
    }
}
