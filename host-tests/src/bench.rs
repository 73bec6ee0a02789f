//! What messages and recovery cost, each beside a peer that is known to be good.
//!
//! Job: run what is measured and its peer in turns, in one process and one run, and say the ratio of the two.
//!
//! Rules:
//! - A ratio is the median over pairs, with the smallest and the largest. Times depend on the machine; ratios less so.
//! - An aim is a ratio, and whether it is met is computed from the numbers. One that is missed is shown as missed.
//! - A peer that is not there, or a machine with one core, leaves a row that says so.
//!
//! It must never: assert a time, or count a stream between two threads (its times flip with small changes of code).

mod calls;
mod otp;
mod recovery;
mod rings;

use std::fmt;
use std::time::Instant;

use serde::ser::{Serialize, SerializeStruct, Serializer};

/// The fewest pairs whose median says anything.
pub const FEWEST_PAIRS: usize = 5;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Pairs of each measurement and its peer; at least [`FEWEST_PAIRS`] are made.
    pub pairs: usize,
    /// Each measurement is shorter: for a first look, and for tests.
    pub quick: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { pairs: 9, quick: false }
    }
}

impl Options {
    /// Less of everything, under 10 s.
    #[must_use]
    pub const fn quick() -> Self {
        Options { pairs: FEWEST_PAIRS, quick: true }
    }

    fn pairs(&self) -> usize {
        self.pairs.max(FEWEST_PAIRS)
    }

    /// How many slices the value of one pair is the median of.
    const fn slices(&self) -> usize {
        if self.quick { 9 } else { 41 }
    }
}

/// One measurement and its peer's, in nanoseconds for one operation.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Pair {
    /// Ours.
    pub ours: f64,
    /// The peer's; `None` in a row that has no peer.
    pub peer: Option<f64>,
}

/// The middle of some numbers, and how far they reach.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// The spread of these numbers; `None` of none. One that is not a number spoils all: something went wrong.
    #[must_use]
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        if numbers.iter().any(|number| number.is_nan()) {
            return Some(Spread { median: f64::NAN, min: f64::NAN, max: f64::NAN });
        }
        numbers.sort_by(f64::total_cmp);
        let (min, max) = (*numbers.first()?, *numbers.last()?);
        let (low, high) = (numbers[(numbers.len() - 1) / 2], numbers[numbers.len() / 2]);
        Some(Spread { median: f64::midpoint(low, high), min, max })
    }
}

/// What became of an aim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The ratio is within the aim.
    Met,
    /// It is not.
    Missed,
    /// The row states a number and aims at none.
    NoAim,
    /// There is nothing to judge; the row's note says why.
    NotMeasured,
    /// An answer was wrong or a message was lost, so that the numbers are void.
    Wrong,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Verdict::Met => "met",
            Verdict::Missed => "MISSED",
            Verdict::NoAim => "",
            Verdict::NotMeasured => "not measured",
            Verdict::Wrong => "WRONG",
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name, which does not change from version to version.
    pub id: String,
    /// The heading that it stands under.
    pub group: &'static str,
    /// What was done once.
    pub what: String,
    /// What it was measured beside.
    pub peer: Option<String>,
    /// The measurements; none if it could not be measured.
    pub pairs: Vec<Pair>,
    /// The aim: a ratio of at most this.
    pub at_most: Option<f64>,
    /// What must be known to read the numbers, or why there are none.
    pub note: Option<String>,
}

impl Row {
    fn new(id: &str, group: &'static str, what: &str) -> Self {
        Row { id: id.to_owned(), group, what: what.to_owned(), peer: None, pairs: vec![], at_most: None, note: None }
    }

    fn beside(mut self, peer: &str) -> Self {
        self.peer = Some(peer.to_owned());
        self
    }

    fn aiming_at(mut self, at_most: f64) -> Self {
        self.at_most = Some(at_most);
        self
    }

    fn noting(mut self, note: &str) -> Self {
        self.note = Some(note.to_owned());
        self
    }

    fn measured(mut self, pairs: Vec<Pair>) -> Self {
        self.pairs = pairs;
        self
    }

    /// Our times, in nanoseconds.
    #[must_use]
    pub fn ours(&self) -> Option<Spread> {
        Spread::of(self.pairs.iter().map(|pair| pair.ours))
    }

    /// The peer's times, in nanoseconds.
    #[must_use]
    pub fn peers(&self) -> Option<Spread> {
        Spread::of(self.pairs.iter().filter_map(|pair| pair.peer))
    }

    /// Ours divided by the peer's, pair by pair.
    #[must_use]
    pub fn ratio(&self) -> Option<Spread> {
        Spread::of(self.pairs.iter().filter_map(|pair| Some(pair.ours / pair.peer?)))
    }

    /// What became of the aim.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.pairs.iter().any(|pair| !pair.ours.is_finite() || pair.peer.is_some_and(|peer| !peer.is_finite())) {
            return Verdict::Wrong;
        }
        match (self.at_most, self.ratio()) {
            (_, None) if self.peer.is_some() || self.pairs.is_empty() => Verdict::NotMeasured,
            (Some(at_most), Some(ratio)) if ratio.median <= at_most => Verdict::Met,
            (Some(_), Some(_)) => Verdict::Missed,
            _ => Verdict::NoAim,
        }
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("Row", 11)?;
        row.serialize_field("id", &self.id)?;
        row.serialize_field("group", self.group)?;
        row.serialize_field("what", &self.what)?;
        row.serialize_field("peer", &self.peer)?;
        row.serialize_field("ours_ns", &self.ours())?;
        row.serialize_field("peer_ns", &self.peers())?;
        row.serialize_field("ratio", &self.ratio())?;
        row.serialize_field("aim_at_most", &self.at_most)?;
        row.serialize_field("verdict", &self.verdict())?;
        row.serialize_field("note", &self.note)?;
        row.serialize_field("pairs", &self.pairs)?;
        row.end()
    }
}

/// All that was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// How much.
    pub pairs: usize,
    /// Whether each measurement was short.
    pub quick: bool,
    /// Cores that this process may use.
    pub cores: usize,
    /// Whether it was built without optimisation, so that its numbers say nothing.
    pub unoptimised: bool,
    /// The rows.
    pub rows: Vec<Row>,
}

impl Report {
    /// The rows whose aim was missed, or whose numbers are void.
    pub fn missed(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| matches!(row.verdict(), Verdict::Missed | Verdict::Wrong))
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let missed: Vec<&str> = self.missed().map(|row| row.id.as_str()).collect();
        let mut report = serializer.serialize_struct("Report", 6)?;
        report.serialize_field("pairs", &self.pairs)?;
        report.serialize_field("quick", &self.quick)?;
        report.serialize_field("cores", &self.cores)?;
        report.serialize_field("unoptimised", &self.unoptimised)?;
        report.serialize_field("missed", &missed)?;
        report.serialize_field("rows", &self.rows)?;
        report.end()
    }
}

fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        short if short < 99.95 => format!("{short:.1} ns"),
        middling if middling < 9_999.5 => format!("{middling:.0} ns"),
        long => format!("{:.1} us", long / 1_000.0),
    }
}

const HEAD: [&str; 7] = ["one operation", "beside", "ours", "peer", "ratio", "min..max", "aim"];

fn cells(row: &Row) -> [String; 7] {
    let or_none = |spread: Option<Spread>| spread.map_or_else(|| "-".to_owned(), |spread| time(spread.median));
    let ratio = row.ratio();
    let verdict = row.verdict().word();
    let aim = match row.at_most {
        Some(at_most) => format!("<= {at_most:.1}: {verdict}"),
        None => verdict.to_owned(),
    };
    [
        row.what.clone(),
        row.peer.clone().unwrap_or_else(|| "-".to_owned()),
        or_none(row.ours()),
        or_none(row.peers()),
        ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{:.2}", ratio.median)),
        ratio.map_or_else(String::new, |ratio| format!("{:.2}..{:.2}", ratio.min, ratio.max)),
        aim,
    ]
}

/// Writes text in lines of at most 116 characters behind a mark.
fn paragraph(f: &mut fmt::Formatter<'_>, mark: &str, text: &str) -> fmt::Result {
    let mut line = mark.to_owned();
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > 116 {
            writeln!(f, "{line}")?;
            line = " ".repeat(mark.len());
        }
        line.push(' ');
        line.push_str(word);
    }
    writeln!(f, "{line}")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<[String; 7]> = self.rows.iter().map(cells).collect();
        let width = |at: usize| lines.iter().map(|line| line[at].len()).chain([HEAD[at].len()]).max().unwrap_or(0);
        let [w0, w1, w2, w3, w4, w5] = [0, 1, 2, 3, 4, 5].map(width);
        let line = |f: &mut fmt::Formatter<'_>, [what, peer, ours, theirs, ratio, reach, aim]: [&str; 7]| {
            let text =
                format!("  {what:w0$}  {peer:w1$}  {ours:>w2$}  {theirs:>w3$}  {ratio:>w4$}  {reach:>w5$}  {aim}");
            writeln!(f, "{}", text.trim_end())
        };
        line(f, HEAD)?;
        let mut group = "";
        let mut notes: Vec<&str> = vec![];
        for (row, cells) in self.rows.iter().zip(&lines) {
            if row.group != group {
                group = row.group;
                writeln!(f, "\n{group}")?;
            }
            line(f, cells.each_ref().map(String::as_str))?;
            notes.extend(row.note.as_deref().filter(|note| !notes.contains(note)));
        }
        writeln!(f)?;
        for note in notes {
            paragraph(f, "-", note)?;
        }
        let pairs = self.pairs;
        let how =
            format!("Ratio: ours / peer, the median of {pairs} pairs that were measured in turns; below 1 is faster.");
        paragraph(f, "-", &how)?;
        if self.unoptimised {
            paragraph(f, "-", "Built without optimisation: the numbers say nothing. Use a release build.")?;
        }
        match self.missed().count() {
            0 => writeln!(f, "\nNo aim was missed."),
            1 => writeln!(f, "\n1 aim was missed."),
            count => writeln!(f, "\n{count} aims were missed."),
        }
    }
}

/// Measures everything. `progress` is called now and then with the steps done and to do.
#[must_use]
pub fn run(options: &Options, progress: &dyn Fn(u64, u64)) -> Report {
    let parts: [fn(&Options) -> Vec<Row>; 4] = [rings::run, calls::run, recovery::run, calls::run_when_nothing_fails];
    let mut rows = vec![];
    for (done, part) in parts.iter().enumerate() {
        progress(done as u64, parts.len() as u64);
        rows.extend(part(options));
    }
    progress(parts.len() as u64, parts.len() as u64);
    Report {
        pairs: options.pairs(),
        quick: options.quick,
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        unoptimised: cfg!(debug_assertions),
        rows,
    }
}

/// Nanoseconds of one operation, of `count` that `act` does.
#[inline(always)]
fn timed(count: u64, act: impl FnOnce()) -> f64 {
    let began = Instant::now();
    act();
    began.elapsed().as_nanos() as f64 / count as f64
}

fn median(numbers: &[f64]) -> f64 {
    Spread::of(numbers.iter().copied()).map_or(f64::NAN, |spread| spread.median)
}

/// Measures several contestants in turns, and gives for each the values of the pairs.
///
/// Each value is the median of short slices, and the contestants take turns slice by slice, so that whatever else the
/// machine does meets all of them, and few slices of each. `slice` times one slice of one contestant.
fn in_turns<const N: usize>(options: &Options, mut slice: impl FnMut(usize) -> f64) -> [Vec<f64>; N] {
    let mut values = [const { vec![] }; N];
    for pair in 0..=options.pairs() {
        let mut slices = [const { vec![] }; N];
        for turn in 0..options.slices() {
            for step in 0..N {
                // Nobody always comes first.
                let contestant = (turn + step) % N;
                slices[contestant].push(slice(contestant));
            }
        }
        // The first is there to warm up.
        if pair > 0 {
            for (values, slices) in values.iter_mut().zip(&slices) {
                values.push(median(slices));
            }
        }
    }
    values
}

fn paired(ours: &[f64], peer: &[f64]) -> Vec<Pair> {
    ours.iter().zip(peer).map(|(ours, peer)| Pair { ours: *ours, peer: Some(*peer) }).collect()
}

fn alone(ours: &[f64]) -> Vec<Pair> {
    ours.iter().map(|ours| Pair { ours: *ours, peer: None }).collect()
}
