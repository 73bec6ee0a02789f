//! The fuel campaign: every scenario with its driver as a module, ended after every amount of fuel that it uses.
//!
//! A scenario runs once to find each place where the interpreter can stop the driver. With any amount from what was used up
//! to there to what is used up to the next one it stops at the very same place, and nothing else is in a run that could
//! differ: so one run stands for these amounts, and each run says where it was stopped. At many of these places an end also
//! leaves the same behind as at the one before. A full campaign ends the driver at each nevertheless, and looks whether
//! such runs are alike to the last line of their logs; a quick one relies on it.
//!
//! Whoever recovers can be ended too. So after each end that leaves something of its own behind, the next incarnation is
//! ended likewise in its first turn, in which it takes over the device and what was in hand: wherever that leaves something
//! else behind. A quick campaign does this after some of these ends.
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
    /// After every so-many-th of the ends that leave something else behind, it is ended again while it recovers. 0: never.
    pub again: usize,
}

impl Extent {
    /// At each place where it can be stopped.
    pub const FULL: Extent = Extent { different: false, stride: 1, again: 1 };
    /// Everything that an end can leave behind, once.
    pub const QUICK: Extent = Extent { different: true, stride: 1, again: 97 };
    /// A part of that, which is no proof: whether a campaign finds anything at all.
    pub const SAMPLE: Extent = Extent { different: true, stride: 29, again: 0 };
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
    /// A scenario with its own driver; `None`: it has two in turn, and no module is both.
    ///
    /// # Errors
    /// The module cannot be built: why.
    pub fn of(scenario: Scenario) -> Option<Result<Self, Trouble>> {
        let part = driver_of(&scenario.setup)?;
        Some(built(part).map(|module| Subject { scenario, part, module }))
    }

    fn run(&self, meter: &Meter, in_time: Option<u64>, journal: Depth) -> Outcome {
        let mut scenario = self.scenario.clone();
        scenario.setup.driver = Some(linked(self.part, &self.module.clone().with_meter(meter.clone())));
        run(&scenario, vec![], in_time, journal)
    }

    /// A run with the driver ended after each of these amounts of fuel, and what it had used when it was.
    fn ended(&self, fuel: &[u64], in_time: u64, journal: Depth) -> (Outcome, Vec<u64>) {
        let meter = Meter::default();
        fuel.iter().for_each(|fuel| meter.end_at(*fuel));
        let outcome = self.run(&meter, Some(in_time), journal);
        (outcome, meter.ended())
    }

    /// Where it can be stopped in the first turn after an end that comes at this stop; whether another version, which is linked
    /// in, has followed it instead.
    fn recovery(&self, end: &Stop) -> (Vec<Stop>, bool) {
        let meter = Meter::watching();
        meter.end_at(end.amounts.start);
        let outcome = self.run(&meter, None, Depth::None);
        let stops = meter.stops().into_iter().filter(|stop| stop.turn == end.turn + 1).collect();
        (stops, outcome.another_followed)
    }
}

/// A run that was judged badly.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which scenario.
    pub scenario: &'static str,
    /// The amounts of fuel after which the driver was ended.
    pub fuel: Vec<u64>,
    /// What it came to.
    pub outcome: Outcome,
}

impl Failure {
    /// The command that replays it with its event log.
    #[must_use]
    pub fn replay(&self) -> String {
        let amounts: Vec<String> = self.fuel.iter().map(u64::to_string).collect();
        format!("cargo koboshi test fuel --replay {},{}", self.scenario, amounts.join(","))
    }
}

/// One row of the table.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Amounts of fuel that the driver uses in the undisturbed run, from 0 to one less than all of it. Of second ends: those
    /// of the turn in which it recovers, added up over all the first ends that were tried.
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

    /// Counts where a driver could be stopped in a run.
    fn count(&mut self, stops: &[Stop]) {
        self.amounts += stops.iter().map(|stop| stop.amounts.end - stop.amounts.start).sum::<u64>();
        self.stops += stops.len();
        self.different += stops.chunk_by(same).count();
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
    /// The scenarios, in their order: their names, ends of the driver, and second ends while it recovers.
    pub rows: Vec<(&'static str, Row, Row)>,
    /// The runs that were judged badly; the first ones are kept.
    pub failures: Vec<Failure>,
    /// Why its runs prove less than they should; the first reasons are kept.
    pub complaints: Vec<String>,
}

impl Report {
    /// All scenarios together: ends of the driver, and second ends while it recovers.
    #[must_use]
    pub fn all(&self) -> (Row, Row) {
        let (mut once, mut again) = (Row::default(), Row::default());
        for (_, one, other) in &self.rows {
            once.add(one);
            again.add(other);
        }
        (once, again)
    }

    /// Runs.
    #[must_use]
    pub fn runs(&self) -> usize {
        let (once, again) = self.all();
        once.runs() + again.runs()
    }

    /// Runs that were judged badly.
    #[must_use]
    pub fn bad(&self) -> usize {
        let (once, again) = self.all();
        let both = once.verdicts.iter().chain(&again.verdicts);
        both.filter(|(verdict, _)| !verdict.good()).map(|(_, runs)| runs).sum()
    }

    /// Whether a run stands for every amount, each was judged well, and they prove what they should.
    #[must_use]
    pub fn good(&self) -> bool {
        self.complete() && self.bad() == 0
    }

    /// Whether a run stands for every amount, and was what it should be.
    #[must_use]
    pub fn complete(&self) -> bool {
        let (once, again) = self.all();
        once.amounts > 0 && [once, again].iter().all(|row| row.covered == row.amounts) && self.complaints.is_empty()
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
        let (once, again) = self.all();
        let all = ("all", once, again);
        let both =
            self.rows.iter().chain([&all]).flat_map(|(name, once, again)| [(*name, once), ("  and again", again)]);
        for (name, row) in both.filter(|(_, row)| row.runs() > 0) {
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
                "{scenario}, ended after {fuel:?}: {} (out: {}; back: {}{})\n    replay: {}",
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

/// What a campaign has to do: a run, or all runs with this first end.
#[derive(Clone)]
struct Case {
    subject: usize,
    stop: Stop,
    /// The amounts that its run stands for; `None`: it is ended here, and again while it recovers.
    covers: Option<u64>,
}

/// One stop of each row of those that are alike, and the amounts of all of them. Which one is drawn.
fn one_of_each<'s>(
    stops: &'s [Stop],
    alike: impl Fn(&Stop, &Stop) -> bool + 's,
    numbers: &mut Numbers,
) -> impl Iterator<Item = (Stop, u64)> {
    stops.chunk_by(alike).map(|row| {
        let covers = row.iter().map(|stop| stop.amounts.end - stop.amounts.start).sum();
        (row[numbers.below(row.len() as u64) as usize].clone(), covers)
    })
}

fn same(one: &Stop, next: &Stop) -> bool {
    one.leaves == next.leaves
}

/// What a scenario needs.
fn cases(subject: usize, stops: &[Stop], extent: Extent, numbers: &mut Numbers) -> Vec<Case> {
    let case = |stop, covers| Case { subject, stop, covers };
    let once = one_of_each(stops, |one, next| extent.different && same(one, next), numbers).step_by(extent.stride);
    let mut all: Vec<Case> = once.map(|(stop, covers)| case(stop, Some(covers))).collect();
    if extent.again > 0 {
        all.extend(one_of_each(stops, same, numbers).step_by(extent.again).map(|(stop, _)| case(stop, None)));
    }
    all
}

/// A campaign that is under way.
struct Campaign<'c> {
    subjects: &'c [Subject],
    /// When the undisturbed run of each has everything.
    in_time: Vec<u64>,
    extent: Extent,
    seed: u64,
    report: Mutex<Report>,
    /// What the runs came to that ended a driver where it leaves this behind.
    digests: Mutex<HashMap<(usize, u32), u64>>,
}

impl Campaign<'_> {
    /// Any of the amounts with which it is stopped here.
    fn any_amount(&self, stop: &Stop) -> u64 {
        let mut numbers = Numbers(self.seed ^ stop.amounts.start);
        stop.amounts.start + numbers.below(stop.amounts.end - stop.amounts.start)
    }

    /// Ends a driver at each of these stops, one after the other, and counts what came of it.
    fn end(&self, subject: usize, stops: &[&Stop], covers: u64, journal: Depth) -> Outcome {
        let fuel: Vec<u64> = stops.iter().map(|stop| self.any_amount(stop)).collect();
        let (outcome, ended) = self.subjects[subject].ended(&fuel, self.in_time[subject], journal);
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        let (scenario, once, again) = &mut report.rows[subject];
        let (scenario, row) = (*scenario, if stops.len() > 1 { again } else { once });
        *row.verdicts.entry(outcome.verdict).or_default() += 1;
        let wanted: Vec<u64> = stops.iter().map(|stop| stop.amounts.start).collect();
        if ended == wanted {
            row.covered += covers;
        } else {
            report.complain(format!("{scenario}: with {fuel:?} it was stopped after {ended:?}, not {wanted:?}"));
        }
        if !outcome.verdict.good() && report.failures.len() < TOLD {
            report.failures.push(Failure { scenario, fuel, outcome: outcome.clone() });
        }
        outcome
    }

    fn carry_out(&self, case: &Case) {
        match case.covers {
            Some(covers) => self.once(case, covers),
            None => self.again(case),
        }
    }

    fn once(&self, Case { subject, stop, .. }: &Case, covers: u64) {
        // The log is for comparing it with its neighbours.
        let journal = if self.extent.different { Depth::None } else { Depth::All };
        let found = digest(&self.end(*subject, &[stop], covers, journal));
        let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        if *digests.entry((*subject, stop.leaves)).or_insert(found) != found {
            let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
            let (name, after) = (self.subjects[*subject].scenario.name, stop.amounts.start);
            report.complain(format!("{name}: an end after {after} is not like its neighbours"));
        }
    }

    fn again(&self, Case { subject, stop: first, .. }: &Case) {
        let (stops, another_followed) = self.subjects[*subject].recovery(first);
        {
            let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
            let (name, _, row) = &mut report.rows[*subject];
            let name = *name;
            row.count(&stops);
            if stops.is_empty() && !another_followed {
                report.complain(format!("{name}: nobody recovers from an end after {}", first.amounts.start));
            }
        }
        for (second, covers) in one_of_each(&stops, same, &mut Numbers(self.seed ^ first.amounts.start)) {
            self.end(*subject, &[first, &second], covers, Depth::None);
        }
    }
}

/// Ends the drivers of all these to this extent, on all cores. Which of several amounts or stops that are alike is tried
/// is drawn from `seed`. `progress` is called now and then with what was done and what there is to do.
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
        let mut row = Row::default();
        row.count(&found.stops);
        // As counted by one that was not watched: what its stops leave out is not covered.
        row.amounts = found.used;
        report.rows.push((subject.scenario.name, row, Row::default()));
        all.extend(cases(number, &found.stops, extent, &mut numbers));
        in_time.push(found.ended_at);
    }
    let (report, digests) = (report.into(), Mutex::default());
    let campaign = Campaign { subjects, in_time, extent, seed, report, digests };
    on_all_cores(&all, progress, |case| campaign.carry_out(case));
    campaign.report.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Replays one run, written as [`Failure::replay`] writes it: whether it was judged well, and its event log.
///
/// # Errors
/// A sentence that says what is wrong with `text`.
pub fn replay(text: &str) -> Result<(bool, String), String> {
    let wants = "a replay is SCENARIO,FUEL or SCENARIO,FUEL,FUEL, as a failed run prints it";
    let (name, amounts) = text.split_once(',').ok_or(wants)?;
    let found = scenario::named(name).ok_or_else(|| format!("no scenario `{name}`; {wants}"))?;
    let number = |text: &str| text.parse().map_err(|_| format!("`{text}` is no number; {wants}"));
    let fuel: Vec<u64> = amounts.split(',').map(number).collect::<Result<_, _>>()?;
    let subject = Subject::of(found)
        .ok_or("this scenario has two drivers in turn")?
        .map_err(|trouble| format!("{}: {}", trouble.what, trouble.remedy))?;
    let in_time = subject.run(&Meter::default(), None, Depth::None).ended_at;
    let (outcome, ended) = subject.ended(&fuel, in_time, Depth::Last(20_000));
    if ended.len() < fuel.len() {
        return Err(format!("the driver does not use so much, it was ended after {ended:?} only; {wants}"));
    }
    let told = format!(
        "{}{}: ended after {ended:?}; out: {}; back: {}; {} announced, over at {} us (undisturbed at {} us), panics {:?}\n",
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
