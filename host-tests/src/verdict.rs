//! What became of a stream of bytes: compared with what was sent, and judged.

/// What became of one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Bytes that were sent and did not arrive.
    pub lost: usize,
    /// Bytes that arrived although nobody sent them there, and that were sent before: repeats.
    pub repeated: usize,
    /// Bytes that arrived although nobody sent them there, and that are no repeats.
    pub wrong: usize,
}

impl std::fmt::Display for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} lost, {} repeated, {} wrong", self.lost, self.repeated, self.wrong)
    }
}

impl Comparison {
    /// Whether all arrived, and nothing else.
    #[must_use]
    pub fn exact(&self) -> bool {
        *self == Comparison::default()
    }
}

/// Compares what arrived with what was sent.
///
/// Streams that differ are aligned by their longest common subsequence within the part that differs, so it is for short
/// differences: beyond 4,096 bytes only lengths are compared, which may call a repeat wrong.
#[must_use]
pub fn compare(sent: &[u8], arrived: &[u8]) -> Comparison {
    let head = sent.iter().zip(arrived).take_while(|(a, b)| a == b).count();
    let (sent_rest, arrived_rest) = (&sent[head..], &arrived[head..]);
    let tail = sent_rest.iter().rev().zip(arrived_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&sent_rest[..sent_rest.len() - tail], &arrived_rest[..arrived_rest.len() - tail]);
    if a.is_empty() && b.is_empty() {
        return Comparison::default();
    }
    if a.len() > 4_096 || b.len() > 4_096 {
        let common = a.len().min(b.len());
        let wrong = a.iter().zip(b).filter(|(a, b)| a != b).count();
        return Comparison { lost: a.len() - common, repeated: 0, wrong: wrong + b.len() - common };
    }
    // The usual table: lengths of common subsequences of all suffixes.
    let width = b.len() + 1;
    let mut lengths = vec![0u16; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            lengths[i * width + j] = if a[i] == b[j] {
                lengths[(i + 1) * width + j + 1] + 1
            } else {
                lengths[(i + 1) * width + j].max(lengths[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut found = Comparison::default();
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            i += 1;
            j += 1;
        } else if j == b.len() || i < a.len() && lengths[(i + 1) * width + j] >= lengths[i * width + j + 1] {
            found.lost += 1;
            i += 1;
        } else {
            let before = &sent[..(head + i).min(sent.len())];
            if before.contains(&b[j]) {
                found.repeated += 1;
            } else {
                found.wrong += 1;
            }
            j += 1;
        }
    }
    found
}

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Everything arrived, once, in order, in time.
    Exact,
    /// Everything arrived, once, in order, later than a recovery may take.
    Late,
    /// Something is missing or may be, and the program was told where.
    Announced,
    /// Something is missing, and nobody said so.
    Lost,
    /// Something arrived twice.
    Repeated,
    /// It never ended.
    Stuck,
    /// Something arrived that nobody sent, a component panicked by itself, or a device was touched by one that was dead.
    Wrong,
}

impl Verdict {
    /// Whether a user can live with it.
    #[must_use]
    pub const fn good(self) -> bool {
        matches!(self, Verdict::Exact | Verdict::Late | Verdict::Announced)
    }

    /// All of them, best first.
    pub const ALL: [Verdict; 7] = [
        Verdict::Exact,
        Verdict::Late,
        Verdict::Announced,
        Verdict::Lost,
        Verdict::Repeated,
        Verdict::Stuck,
        Verdict::Wrong,
    ];

    /// Its name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Exact => "exact",
            Verdict::Late => "late",
            Verdict::Announced => "announced gap",
            Verdict::Lost => "lost",
            Verdict::Repeated => "repeated",
            Verdict::Stuck => "stuck",
            Verdict::Wrong => "wrong",
        }
    }
}
