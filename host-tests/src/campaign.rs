//! The crash campaign: every scenario, struck at every numbered point, in every way.
//!
//! A scenario runs once to count its points, then once for each point and kind of strike. Pairs of strikes are drawn by
//! seed. A run that is judged badly comes with the command that replays it.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use koboshi_core::ComponentId;
use koboshi_host::journal::Depth;
use koboshi_host::strike::{Planned, Strike};

use crate::scenario::{Outcome, Scenario, run, targets};
use crate::system::{EVERYBODY, peers};
use crate::verdict::Verdict;

/// What is done at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It panics there. Points come in pairs, before and after each touch.
    Crash,
    /// It never comes back from there.
    Hang,
    /// It panics there, and again while its next incarnation recovers.
    CrashAgain,
    /// One of its peers is ended there.
    PeerDeath,
    /// Two strikes anywhere, drawn by seed.
    Pair,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 5] = [Kind::Crash, Kind::Hang, Kind::CrashAgain, Kind::PeerDeath, Kind::Pair];

    /// Its name in commands and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Crash => "crash",
            Kind::Hang => "hang",
            Kind::CrashAgain => "crash-again",
            Kind::PeerDeath => "peer-death",
            Kind::Pair => "pair",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// One run of the campaign: all that is needed to replay it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// What is done.
    pub kind: Kind,
    /// To whom.
    pub component: ComponentId,
    /// At which of its points; of a pair, its number.
    pub point: u64,
}

/// A small generator of numbers (SplitMix64): the same seed, the same numbers, on every machine.
#[derive(Clone, Debug)]
pub struct Numbers(pub u64);

impl Numbers {
    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// The next number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw() % end.max(1)
    }
}

/// Points after a crash within which the second one comes: a whole recovery of a driver, with its first steps of work.
const RECOVERY_POINTS: u64 = 60;

impl Case {
    /// The strikes of this case, given the points that each component comes to without any.
    #[must_use]
    pub fn plan(&self, points: &[u64; EVERYBODY.len()], seed: u64) -> Vec<Planned> {
        let mut numbers = Numbers(seed ^ self.point << 8 ^ u64::from(self.component.0));
        let planned = |component, after_points, strike| Planned { component, after_points, strike };
        match self.kind {
            Kind::Crash => vec![planned(self.component, self.point, Strike::Crash)],
            Kind::Hang => vec![planned(self.component, self.point, Strike::Hang)],
            Kind::CrashAgain => vec![
                planned(self.component, self.point, Strike::Crash),
                planned(self.component, 1 + numbers.below(RECOVERY_POINTS), Strike::Crash),
            ],
            Kind::PeerDeath => {
                let peers = peers(self.component);
                let peer = peers[(self.point % peers.len() as u64) as usize];
                vec![planned(self.component, self.point, Strike::Kill(peer))]
            }
            Kind::Pair => {
                let mut any = |within: Option<u64>| {
                    let component = EVERYBODY[numbers.below(EVERYBODY.len() as u64) as usize];
                    let most = within.unwrap_or(points[component.index()]);
                    let at = 1 + numbers.below(most);
                    let strike = if numbers.below(3) == 0 { Strike::Hang } else { Strike::Crash };
                    planned(component, at, strike)
                };
                vec![any(None), any(Some(200))]
            }
        }
    }
}

/// What a campaign is to cover.
#[derive(Clone, Debug)]
pub struct Extent {
    /// Every so-many-th point of each component: 1 is every point.
    pub stride: u64,
    /// Pairs for each scenario.
    pub pairs: u64,
    /// The seed of pairs and of second crashes.
    pub seed: u64,
}

impl Extent {
    /// Every point.
    pub const FULL: Extent = Extent { stride: 1, pairs: 4_000, seed: 1 };
    /// A part of it, by a stride that shares no factor with the pairs of points.
    pub const QUICK: Extent = Extent { stride: 23, pairs: 60, seed: 1 };
}

/// A run that was judged badly.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which scenario.
    pub scenario: &'static str,
    /// Which run of it.
    pub case: Case,
    /// What it came to.
    pub outcome: Outcome,
}

impl Failure {
    /// The command that replays it with its event log.
    #[must_use]
    pub fn replay(&self, seed: u64) -> String {
        let Case { kind, component, point } = self.case;
        format!("cargo koboshi test crash --replay {},{},{},{point},{seed}", self.scenario, kind.name(), component.0)
    }
}

/// One row of the table.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Runs by verdict.
    pub verdicts: BTreeMap<Verdict, usize>,
    /// Strikes that were carried out.
    pub applied: usize,
    /// Of those, before and after what they struck at.
    pub before_and_after: [usize; 2],
    /// Accesses to the device by incarnations that no longer owned it.
    pub stale_accesses: u64,
}

impl Row {
    /// Runs.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.verdicts.values().sum()
    }

    fn add(&mut self, outcome: &Outcome) {
        *self.verdicts.entry(outcome.verdict).or_default() += 1;
        self.applied += outcome.struck.len();
        for struck in &outcome.struck {
            self.before_and_after[usize::from(struck.after)] += 1;
        }
        self.stale_accesses += outcome.stale_accesses;
    }
}

/// What a campaign came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// By scenario and kind.
    pub rows: BTreeMap<(&'static str, Kind), Row>,
    /// The runs that were judged badly; at most 20 are kept.
    pub failures: Vec<Failure>,
    /// Scenarios that were wrong without any strike: their runs say nothing.
    pub complaints: Vec<String>,
    /// Strikes that were planned.
    pub planned: usize,
    /// The seed.
    pub seed: u64,
}

impl Report {
    /// Whether every run was judged well, and enough strikes were carried out.
    #[must_use]
    pub fn good(&self) -> bool {
        self.complaints.is_empty() && self.bad() == 0 && self.stale_accesses() == 0 && self.proves_enough()
    }

    /// Whether enough of the planned strikes were carried out: each one that is the first of its run, but for pairs. A
    /// second crash, or a strike of a pair, may come too late.
    #[must_use]
    pub fn proves_enough(&self) -> bool {
        let first = |((_, kind), row): (&(&str, Kind), &Row)| *kind == Kind::Pair || row.applied >= row.runs();
        self.applied() > 0 && self.applied() * 100 >= self.planned * CARRIED_OUT && self.rows.iter().all(first)
    }

    /// Runs.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.rows.values().map(Row::runs).sum()
    }

    /// Runs with this verdict.
    #[must_use]
    pub fn with(&self, verdict: Verdict) -> usize {
        self.rows.values().filter_map(|row| row.verdicts.get(&verdict)).sum()
    }

    /// Runs that were judged badly.
    #[must_use]
    pub fn bad(&self) -> usize {
        Verdict::ALL.into_iter().filter(|verdict| !verdict.good()).map(|verdict| self.with(verdict)).sum()
    }

    /// Strikes that were carried out.
    #[must_use]
    pub fn applied(&self) -> usize {
        self.rows.values().map(|row| row.applied).sum()
    }

    /// Accesses to the device by incarnations that no longer owned it.
    #[must_use]
    pub fn stale_accesses(&self) -> u64 {
        self.rows.values().map(|row| row.stale_accesses).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<14} {:<12} {:>7} {:>8}", "scenario", "kind", "runs", "strikes")?;
        for verdict in Verdict::ALL {
            write!(f, " {:>13}", verdict.name())?;
        }
        writeln!(f)?;
        for ((scenario, kind), row) in &self.rows {
            write!(f, "{scenario:<14} {:<12} {:>7} {:>8}", kind.name(), row.runs(), row.applied)?;
            for verdict in Verdict::ALL {
                write!(f, " {:>13}", row.verdicts.get(&verdict).copied().unwrap_or(0))?;
            }
            writeln!(f)?;
        }
        write!(f, "{:<14} {:<12} {:>7} {:>8}", "all", "", self.runs(), self.applied())?;
        for verdict in Verdict::ALL {
            write!(f, " {:>13}", self.with(verdict))?;
        }
        writeln!(f)?;
        let [before, after] =
            self.rows.values().fold([0, 0], |[b, a], row| [b + row.before_and_after[0], a + row.before_and_after[1]]);
        writeln!(
            f,
            "strikes before a touch {before}, after one {after}; accesses to a device by the dead {}; seed {}",
            self.stale_accesses(),
            self.seed
        )?;
        for complaint in &self.complaints {
            writeln!(f, "{complaint}")?;
        }
        if !self.proves_enough() {
            let (applied, planned) = (self.applied(), self.planned);
            writeln!(f, "only {applied} of {planned} planned strikes were carried out: that proves too little")?;
        }
        for failure in &self.failures {
            writeln!(
                f,
                "{}: {} (out: {}; back: {}{})\n    replay: {}",
                failure.scenario,
                failure.outcome.verdict.name(),
                failure.outcome.out,
                failure.outcome.back,
                failure.outcome.panics.first().map(|text| format!(", panic: {text}")).unwrap_or_default(),
                failure.replay(self.seed)
            )?;
        }
        Ok(())
    }
}

/// Runs kept with their details.
const FAILURES_KEPT: usize = 20;

/// Of the strikes that were planned, the share (in percent) that must have been carried out.
const CARRIED_OUT: usize = 60;

/// Does this for each case once, on all cores. `progress` is called now and then with the cases done and to do.
pub(crate) fn on_all_cores<C: Sync>(cases: &[C], progress: &(dyn Fn(usize, usize) + Sync), act: impl Fn(&C) + Sync) {
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(at) else { return };
                    act(case);
                    if at.is_multiple_of(256) {
                        progress(at, cases.len());
                    }
                }
            });
        }
    });
}

/// Strikes `scenarios` to this extent, on all cores. `progress` is called now and then with the runs done and to do.
#[must_use]
pub fn campaign(scenarios: &[Scenario], extent: &Extent, progress: &(dyn Fn(usize, usize) + Sync)) -> Report {
    let mut report = Report { seed: extent.seed, ..Report::default() };
    let mut cases = vec![];
    let mut baselines = vec![];
    for (number, scenario) in scenarios.iter().enumerate() {
        let baseline = run(scenario, vec![], None, Depth::None);
        if baseline.verdict != Verdict::Exact {
            report.complaints.push(format!(
                "{}: {} without any strike; its runs say nothing",
                scenario.name,
                baseline.verdict.name()
            ));
        }
        for component in targets() {
            for kind in [Kind::Crash, Kind::Hang, Kind::CrashAgain, Kind::PeerDeath] {
                let points = (1..=baseline.points[component.index()]).step_by(extent.stride as usize);
                cases.extend(points.map(|point| (number, Case { kind, component, point })));
            }
        }
        let pairs = (0..extent.pairs).map(|point| Case { kind: Kind::Pair, component: EVERYBODY[0], point });
        cases.extend(pairs.map(|case| (number, case)));
        baselines.push(baseline);
    }

    let shared = Mutex::new(report);
    let planned = AtomicUsize::new(0);
    on_all_cores(&cases, progress, |(number, case)| {
        let (scenario, baseline) = (&scenarios[*number], &baselines[*number]);
        let plan = case.plan(&baseline.points, extent.seed);
        planned.fetch_add(plan.len(), Ordering::Relaxed);
        let outcome = run(scenario, plan, Some(baseline.ended_at), Depth::None);
        let mut report = shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        report.rows.entry((scenario.name, case.kind)).or_default().add(&outcome);
        if !outcome.verdict.good() && report.failures.len() < FAILURES_KEPT {
            report.failures.push(Failure { scenario: scenario.name, case: *case, outcome });
        }
    });
    let mut report = shared.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    report.planned = planned.into_inner();
    report
}

/// Replays one case, written as [`Failure::replay`] writes it: whether it was judged well, and its event log.
///
/// # Errors
/// A sentence that says what is wrong with `text`.
pub fn replay(text: &str) -> Result<(bool, String), String> {
    let wants = "a replay is SCENARIO,KIND,COMPONENT,POINT,SEED, as a failed run prints it";
    let [scenario, kind, component, point, seed] =
        text.split(',').collect::<Vec<_>>()[..].try_into().map_err(|_| wants.to_owned())?;
    let scenario = crate::scenario::named(scenario).ok_or_else(|| format!("no scenario `{scenario}`; {wants}"))?;
    let kind = Kind::named(kind).ok_or_else(|| format!("no kind `{kind}`; {wants}"))?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("`{text}` is no number; {wants}"));
    let component = ComponentId(number(component)?.try_into().map_err(|_| wants.to_owned())?);
    if component.index() >= EVERYBODY.len() {
        return Err(format!("no component {}; {wants}", component.0));
    }
    let baseline = run(&scenario, vec![], None, Depth::None);
    let case = Case { kind, component, point: number(point)? };
    let plan = case.plan(&baseline.points, number(seed)?);
    let outcome = run(&scenario, plan, Some(baseline.ended_at), Depth::Last(20_000));
    if outcome.struck.is_empty() {
        return Err(format!("nothing was struck: the run has no such point; {wants}"));
    }
    let mut told = outcome.journal.clone();
    let _ = writeln!(
        told,
        "{}: out: {}; back: {}; {} announced, ended at {} us (without strikes at {} us), panics {:?}",
        outcome.verdict.name(),
        outcome.out,
        outcome.back,
        outcome.announced,
        outcome.ended_at / 1_000,
        baseline.ended_at / 1_000,
        outcome.panics
    );
    Ok((outcome.verdict.good(), told))
}
