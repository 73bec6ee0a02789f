//! The fuel campaign: every scenario with its driver as a module, ended after every amount of fuel that it uses.
//!
//! A scenario runs once to find each place where the interpreter can stop the driver. With any amount from what was used up
//! to there to what is used up to the next one it stops at the very same place, and nothing else is in a run that could
//! differ: so one run stands for these amounts, and each run says where it was stopped. At many of these places an end also
//! leaves the same behind as at the one before. A full campaign ends the driver at each nevertheless, and looks whether
//! such runs are alike to the last line of their logs; a quick one relies on it.
//!
//! The rule: an amount is counted only if a run stands for it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use koboshi_host::journal::Depth;
use koboshi_host::module::{Meter, Module, Stop};

use koboshi_sh4::tools::Trouble;

use crate::campaign::{Numbers, on_all_cores};
use crate::modules::{Part, built, driver_of, linked};
use crate::scenario::{self, Outcome, Scenario, run};
use crate::verdict::Verdict;

/// Where a campaign ends the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// At one of all the places in a row where an end leaves the same behind; else at each of them.
    pub different: bool,
    /// At every so-many-th of these.
    pub stride: usize,
}

impl Extent {
    /// At each place where it can be stopped.
    pub const FULL: Extent = Extent { different: false, stride: 1 };
    /// Everything that an end can leave behind, once.
    pub const QUICK: Extent = Extent { different: true, stride: 1 };
    /// A part of that, which is no proof: whether a campaign finds anything at all.
    pub const SAMPLE: Extent = Extent { different: true, stride: 29 };
}

/// What is found to be at fault is told so many times.
const TOLD: usize = 20;

/// A scenario and its driver, which is this module.
#[derive(Clone)]
pub struct Subject {
    /// The scenario.
    pub scenario: Scenario,
    /// Which component the module is.
    pub part: Part,
    /// The module.
    pub module: Module,
}

impl Subject {
    /// A scenario with its own driver.
    ///
    /// # Errors
    /// The module cannot be built: why.
    pub fn of(scenario: Scenario) -> Result<Self, Trouble> {
        let part = driver_of(&scenario.setup);
        Ok(Subject { scenario, part, module: built(part)? })
    }

    fn run(&self, meter: &Meter, in_time: Option<u64>, journal: Depth) -> Outcome {
        let mut scenario = self.scenario.clone();
        scenario.setup.driver = Some(linked(self.part, &self.module.clone().with_meter(meter.clone())));
        run(&scenario, vec![], in_time, journal)
    }

    /// A run with the driver ended after so much fuel, and what it had used by then.
    fn ended(&self, fuel: u64, in_time: u64, journal: Depth) -> (Outcome, Option<u64>) {
        let meter = Meter::default();
        meter.end_at(fuel);
        let outcome = self.run(&meter, Some(in_time), journal);
        (outcome, meter.ended())
    }
}

/// A run that was judged badly.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which scenario.
    pub scenario: &'static str,
    /// The amount of fuel after which the driver was ended.
    pub fuel: u64,
    /// What it came to.
    pub outcome: Outcome,
}

impl Failure {
    /// The command that replays it with its event log.
    #[must_use]
    pub fn replay(&self) -> String {
        format!("cargo koboshi test fuel --replay {},{}", self.scenario, self.fuel)
    }
}

/// One row of the table: a scenario.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Amounts of fuel that its driver uses: from 0 to one less than all of it.
    pub amounts: u64,
    /// Of those, the ones that a run stands for.
    pub covered: u64,
    /// Places where the driver can be stopped.
    pub stops: usize,
    /// Of those, the ones where an end leaves something else behind than at the one before.
    pub different: usize,
    /// Runs by verdict.
    pub verdicts: BTreeMap<Verdict, usize>,
}

impl Row {
    /// Runs.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.verdicts.values().sum()
    }

    fn add(&mut self, other: &Row) {
        self.amounts += other.amounts;
        self.covered += other.covered;
        self.stops += other.stops;
        self.different += other.different;
        for (verdict, runs) in &other.verdicts {
            *self.verdicts.entry(*verdict).or_default() += runs;
        }
    }
}

/// What a campaign came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The scenarios, in their order.
    pub rows: Vec<(&'static str, Row)>,
    /// The runs that were judged badly; the first ones are kept.
    pub failures: Vec<Failure>,
    /// Why its runs prove less than they should; the first reasons are kept.
    pub complaints: Vec<String>,
}

impl Report {
    /// All scenarios together.
    #[must_use]
    pub fn all(&self) -> Row {
        self.rows.iter().fold(Row::default(), |mut all, (_, row)| {
            all.add(row);
            all
        })
    }

    /// Runs that were judged badly.
    #[must_use]
    pub fn bad(&self) -> usize {
        self.all().verdicts.iter().filter(|(verdict, _)| !verdict.good()).map(|(_, runs)| runs).sum()
    }

    /// Whether a run stands for every amount, each was judged well, and they prove what they should.
    #[must_use]
    pub fn good(&self) -> bool {
        let Row { amounts, covered, .. } = self.all();
        amounts > 0 && covered == amounts && self.bad() == 0 && self.complaints.is_empty()
    }

    fn complain(&mut self, text: String) {
        if self.complaints.len() < TOLD {
            self.complaints.push(text);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<14} {:>9} {:>9} {:>8} {:>9} {:>8}",
            "scenario", "amounts", "covered", "stops", "different", "runs"
        )?;
        for verdict in Verdict::ALL {
            write!(f, " {:>13}", verdict.name())?;
        }
        writeln!(f)?;
        let all = ("all", self.all());
        for (name, row) in self.rows.iter().chain([&all]) {
            let Row { amounts, covered, stops, different, .. } = row;
            write!(f, "{name:<14} {amounts:>9} {covered:>9} {stops:>8} {different:>9} {:>8}", row.runs())?;
            for verdict in Verdict::ALL {
                write!(f, " {:>13}", row.verdicts.get(&verdict).copied().unwrap_or(0))?;
            }
            writeln!(f)?;
        }
        for complaint in &self.complaints {
            writeln!(f, "{complaint}")?;
        }
        for failure in &self.failures {
            let Failure { scenario, fuel, outcome } = failure;
            writeln!(
                f,
                "{scenario}, ended after {fuel}: {} (out: {}; back: {}{})\n    replay: {}",
                outcome.verdict.name(),
                outcome.out,
                outcome.back,
                outcome.panics.first().map(|text| format!(", panic: {text}")).unwrap_or_default(),
                failure.replay()
            )?;
        }
        Ok(())
    }
}

/// All that can be seen of a run, in one number.
fn digest(outcome: &Outcome) -> u64 {
    let Outcome { verdict, out, back, announced, ended_at, misuses, journal, .. } = outcome;
    let mut hasher = DefaultHasher::new();
    (verdict, ended_at, announced, misuses, format!("{out}; {back}"), journal).hash(&mut hasher);
    hasher.finish()
}

/// A scenario's run without an end, and where its driver could be stopped in it.
#[derive(Default)]
struct Undisturbed {
    ended_at: u64,
    used: u64,
    stops: Vec<Stop>,
}

/// Runs a scenario without an end; a text says why that is no ground for a campaign.
fn undisturbed(subject: &Subject) -> Result<Undisturbed, String> {
    let (plain, watching) = (Meter::default(), Meter::watching());
    let outcome = subject.run(&plain, None, Depth::All);
    let watched = subject.run(&watching, None, Depth::All);
    let stops = watching.stops();
    let name = subject.scenario.name;
    if outcome.verdict != Verdict::Exact {
        Err(format!("{name}: {} without any end; its runs say nothing", outcome.verdict.name()))
    } else if (plain.used(), digest(&outcome)) != (watching.used(), digest(&watched)) {
        Err(format!("{name}: it runs otherwise while it is watched"))
    } else {
        Ok(Undisturbed { ended_at: outcome.ended_at, used: plain.used(), stops })
    }
}

/// A run of a campaign.
struct Case {
    subject: usize,
    stop: Stop,
    /// The amounts that it stands for.
    covers: u64,
}

/// The runs that a scenario needs.
fn cases(subject: usize, stops: &[Stop], extent: Extent, numbers: &mut Numbers) -> Vec<Case> {
    let rows = stops.chunk_by(|one, next| extent.different && one.leaves == next.leaves);
    rows.step_by(extent.stride)
        .map(|row| Case {
            subject,
            stop: row[numbers.below(row.len() as u64) as usize].clone(),
            covers: row.iter().map(|stop| stop.amounts.end - stop.amounts.start).sum(),
        })
        .collect()
}

/// Ends the drivers of all these to this extent, on all cores. Which of several amounts or stops that are alike is tried
/// is drawn from `seed`. `progress` is called now and then with the runs done and to do.
#[must_use]
pub fn campaign(subjects: &[Subject], extent: Extent, seed: u64, progress: &(dyn Fn(usize, usize) + Sync)) -> Report {
    let mut report = Report::default();
    let (mut all, mut in_time) = (vec![], vec![]);
    let mut numbers = Numbers(seed);
    for (number, subject) in subjects.iter().enumerate() {
        let found = undisturbed(subject).unwrap_or_else(|why| {
            report.complain(why);
            Undisturbed::default()
        });
        let row = Row {
            amounts: found.used,
            stops: found.stops.len(),
            different: found.stops.last().map_or(0, |last| last.leaves as usize + 1),
            ..Row::default()
        };
        report.rows.push((subject.scenario.name, row));
        all.extend(cases(number, &found.stops, extent, &mut numbers));
        in_time.push(found.ended_at);
    }
    let shared = Mutex::new((report, HashMap::new()));
    on_all_cores(&all, progress, |case: &Case| {
        let Case { subject, stop, covers } = case;
        let scenario = &subjects[*subject].scenario;
        let mut numbers = Numbers(seed ^ stop.amounts.start);
        let fuel = stop.amounts.start + numbers.below(stop.amounts.end - stop.amounts.start);
        // The log is for comparing with its neighbours.
        let journal = if extent.different { Depth::None } else { Depth::All };
        let (outcome, ended) = subjects[*subject].ended(fuel, in_time[*subject], journal);
        let found = digest(&outcome);
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let (report, digests) = &mut *shared;
        *report.rows[*subject].1.verdicts.entry(outcome.verdict).or_default() += 1;
        if ended == Some(stop.amounts.start) {
            report.rows[*subject].1.covered += covers;
        } else {
            let wanted = stop.amounts.start;
            report.complain(format!("{}: with {fuel} it was stopped after {ended:?}, not {wanted}", scenario.name));
        }
        if *digests.entry((*subject, stop.leaves)).or_insert(found) != found {
            report.complain(format!("{}: an end after {fuel} is not like its neighbours", scenario.name));
        }
        if !outcome.verdict.good() && report.failures.len() < TOLD {
            report.failures.push(Failure { scenario: scenario.name, fuel, outcome });
        }
    });
    shared.into_inner().unwrap_or_else(PoisonError::into_inner).0
}

/// Replays one run, written as [`Failure::replay`] writes it: whether it was judged well, and its event log.
///
/// # Errors
/// A sentence that says what is wrong with `text`.
pub fn replay(text: &str) -> Result<(bool, String), String> {
    let wants = "a replay is SCENARIO,FUEL, as a failed run prints it";
    let (name, fuel) = text.split_once(',').ok_or(wants)?;
    let found = scenario::named(name).ok_or_else(|| format!("no scenario `{name}`; {wants}"))?;
    let fuel = fuel.parse().map_err(|_| format!("`{fuel}` is no number; {wants}"))?;
    let subject = Subject::of(found).map_err(|trouble| format!("{}: {}", trouble.what, trouble.remedy))?;
    let in_time = subject.run(&Meter::default(), None, Depth::None).ended_at;
    let (outcome, ended) = subject.ended(fuel, in_time, Depth::Last(20_000));
    let used = ended.ok_or_else(|| format!("the driver does not use so much: nothing was ended; {wants}"))?;
    let told = format!(
        "{}{}: ended after {used}; out: {}; back: {}; {} announced, ended at {} us (undisturbed at {} us), panics {:?}\n",
        outcome.journal,
        outcome.verdict.name(),
        outcome.out,
        outcome.back,
        outcome.announced,
        outcome.ended_at / 1_000,
        in_time / 1_000,
        outcome.panics
    );
    Ok((outcome.verdict.good(), told))
}
