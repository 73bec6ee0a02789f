//! The conformance suite on the host: the image of restart manager, subject and tester, run under the virtual clock.
//!
//! The rules and their trials are components, in `koboshi-conformance`; here is what builds their image and reads the log.

use std::ops::Range;
use std::sync::Once;

use koboshi_conformance::{Flaw, Setting, probe, subject, tester, ticks};
use koboshi_core::ComponentId;
use koboshi_core::kernel::Rights;
use koboshi_host::image::{Connection, Costs, Image, ImageComponent, PortEnd, WhenGone};
use koboshi_host::journal::{Depth, Event};
use koboshi_host::linked::Linked;
use koboshi_host::machine::{Machine, Options, RunEnd};
use koboshi_host::strike::{Planned, Strike, Struck};
use koboshi_interface_kit::Interface;
use koboshi_interfaces::{control, health};
use koboshi_restart_manager::policy::{Escalation, Group, Policy, Strategy};

/// The restart manager.
pub const MANAGER: ComponentId = ComponentId(0);
/// The subject.
pub const SUBJECT: ComponentId = ComponentId(1);
/// The tester.
pub const TESTER: ComponentId = ComponentId(2);

/// All components.
pub const EVERYBODY: [ComponentId; 3] = [MANAGER, SUBJECT, TESTER];

/// Fruitless deaths of the subject that are put up with in [`PERIOD_MS`]; no trial but one has as many.
const INTENSITY: u8 = 5;

/// The period of [`INTENSITY`].
const PERIOD_MS: u16 = 50;

/// How long a component may be away from its wait.
const RESPOND_WITHIN_US: u32 = 200;

/// Slots of `ticks`.
const TICKS_SLOTS: u8 = 16;

/// A run that takes longer stands still. Without strikes it takes 7 s.
const AT_MOST: u64 = 120_000_000_000;

/// Between two looks at the log.
const SLICE: u64 = 100_000_000;

/// More points than the subject comes to in a slice, unless it hangs.
const MANY_POINTS: u64 = 2_000;

/// How the subject's panics begin, that the tester ordered.
const ORDERED: &str = "as ordered";

/// The rules that must be tried. They are named here and not read from the suite, so that none gets lost there.
pub const RULES: [&str; 53] = [
    "r1-each-request-gets-its-own-answer",
    "r1-what-is-answered-twice-is-answered-once",
    "r1-pure-in-hand-is-answered-later",
    "r1-idempotent-in-hand-is-run-again-and-told-so",
    "r1-resumable-goes-on-where-it-was",
    "r1-resumable-outlives-death-after-death",
    "r1-at-most-once-not-yet-done-is-interrupted",
    "r1-at-most-once-already-done-is-interrupted",
    "r1-what-was-answered-is-not-offered-again",
    "r1-what-was-not-taken-is-no-replay",
    "r1-two-deaths-in-a-row-poison",
    "r1-poisoned-says-how-far-it-came",
    "r1-deaths-of-two-requests-poison-neither",
    "r2-answers-come-in-order",
    "r2-order-is-kept-across-deaths",
    "r2-a-stream-loses-and-repeats-nothing",
    "r2-a-full-stream-makes-its-publisher-wait",
    "r2-a-full-ring-makes-its-sender-wait",
    "r3-a-deadline-ends-the-wait-not-the-request",
    "r3-late-at-most-once-may-have-happened",
    "r3-an-expired-request-is-not-replayed",
    "r3-a-cancelled-request-is-not-run",
    "r3-a-send-that-expires-sends-nothing",
    "r3-an-item-that-expires-is-not-published",
    "r3-waits-for-work-have-no-deadline",
    "r4-an-unreadable-reply-is-its-servers-fault",
    "r4-an-unreadable-reply-ends-at-most-once",
    "r4-a-forged-reply-is-its-servers-fault",
    "r4-wild-positions-of-a-server-harm-nobody",
    "r4-an-answer-to-nothing-answers-nothing",
    "r4-an-unreadable-item-is-its-publishers-fault",
    "r4-a-forged-item-is-its-publishers-fault",
    "r4-an-unreadable-request-is-refused",
    "r4-a-forged-request-is-refused",
    "r4-a-request-out-of-turn-is-its-clients-fault",
    "r4-wild-positions-of-a-client-harm-itself-only",
    "r4-a-wild-position-of-a-consumer-harms-itself-only",
    "r5-a-peer-learns-of-a-new-epoch",
    "r5-a-client-that-dies-claims-its-requests",
    "r5-a-client-that-dies-may-cancel",
    "r5-a-reply-stays-until-it-is-settled",
    "r5-what-was-moved-is-not-moved-again",
    "r5-a-half-filled-slot-outlives-its-owner",
    "r5-both-sides-may-die",
    "r5-the-restart-manager-may-die-too",
    "r6-a-hang-is-noticed",
    "r6-busy-is-not-stuck",
    "r6-late-is-reported-and-mended",
    "life-every-end-is-a-fault-with-its-name",
    "life-epochs-grow-by-one",
    "life-memory-is-reset-and-kept-state-stays",
    "life-a-stopped-server-is-gone-until-started",
    "life-who-dies-too-often-is-given-up",
];

/// What is wrong with the image on purpose: ends that do not keep the rules, to prove that the suite notices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WrongEnd {
    /// Nothing.
    #[default]
    None,
    /// The kernel takes what must never be repeated for something that may be.
    Repeatable,
    /// The kernel takes the subject for one that only forwards, whose requests nobody poisons.
    Forwards,
    /// Nobody may say that a message is malformed.
    NoBlame,
    /// The subject may be away from its wait for a second.
    Patient,
}

/// What is run.
#[derive(Clone, Debug, Default)]
pub struct Suite {
    /// What is wrong with the subject or the tester on purpose.
    pub flaw: Flaw,
    /// What is wrong with the image on purpose.
    pub wrong_end: WrongEnd,
    /// Strikes.
    pub plan: Vec<Planned>,
    /// How much of the event log is given back.
    pub journal: bool,
}

/// What came of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its name.
    pub rule: String,
    /// Whether it holds.
    pub ok: bool,
    /// The line in the log.
    pub text: String,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// One line a rule, in the order in which they were tried.
    pub lines: Vec<Line>,
    /// The suite came to its end, and counted as many as it wrote lines.
    pub done: bool,
    /// When it ended, in platform time.
    pub ended_at: u64,
    /// Strikes that were carried out.
    pub struck: Vec<Struck>,
    /// The points that each of [`EVERYBODY`] came to.
    pub points: [u64; EVERYBODY.len()],
    /// Points of the subject that lie within its hang: it polls there, and one is like the other.
    pub hang: Range<u64>,
    /// Panics that nobody ordered.
    pub panics: Vec<String>,
    /// How often the image began anew; it must not.
    pub reboots: u32,
    /// The event log, if it was asked for.
    pub journal: String,
}

impl Report {
    /// Takes in what the tester has written to the log; its last line if this is it.
    pub fn take(&mut self, text: &str) -> Option<String> {
        // A tester that dies behind its line writes it once more: the worse one counts.
        match line(text) {
            Some(line) => match self.lines.iter_mut().find(|found| found.rule == line.rule) {
                Some(found) if found.ok => *found = line,
                Some(_) => {}
                None => self.lines.push(line),
            },
            None if text.starts_with("conformance done ") => return Some(text.to_owned()),
            None => {}
        }
        None
    }

    /// Whether the tester's last line counts as many as it has written.
    pub fn is_done(&self, end: Option<&str>) -> bool {
        let passed = self.lines.iter().filter(|line| line.ok).count();
        let failed = self.lines.len() - passed;
        end == Some(&format!("conformance done {} passed {passed} failed {failed}", passed + failed))
    }

    /// The rules of `expected` that do not hold, or were not tried; and whatever else is wrong.
    #[must_use]
    pub fn wrong(&self, expected: &[&str]) -> Vec<String> {
        let mut wrong: Vec<String> = self.lines.iter().filter(|line| !line.ok).map(|line| line.text.clone()).collect();
        let missing = expected.iter().filter(|rule| !self.lines.iter().any(|line| line.rule == **rule));
        wrong.extend(missing.map(|rule| format!("rule {rule} was not tried")));
        let strange = self.lines.iter().filter(|line| !expected.contains(&&*line.rule));
        wrong.extend(strange.map(|line| format!("rule {} is not expected", line.rule)));
        if !self.done {
            wrong.push("the suite did not come to its end".to_owned());
        }
        if self.reboots > 0 {
            wrong.push("the image began anew".to_owned());
        }
        wrong.extend(self.panics.iter().map(|text| format!("panic: {text}")));
        wrong
    }

    /// Whether this rule was tried and does not hold.
    #[must_use]
    pub fn fails(&self, rule: &str) -> bool {
        self.lines.iter().any(|line| line.rule == rule && !line.ok)
    }
}

/// `probe` as an image would have it that is wrong about one contract.
fn repeatable() -> &'static Interface {
    use koboshi_interface_kit::{ContractKind, Row};
    const ROWS: [Row; probe::INTERFACE.operations.len()] = {
        let mut rows = [probe::INTERFACE.operations[0]; probe::INTERFACE.operations.len()];
        let mut at = 0;
        while at < rows.len() {
            rows[at] = probe::INTERFACE.operations[at];
            if matches!(rows[at].contract, ContractKind::AtMostOnce) {
                rows[at].contract = ContractKind::Pure;
            }
            at += 1;
        }
        rows
    };
    const INTERFACE: Interface = Interface { operations: &ROWS, ..probe::INTERFACE };
    &INTERFACE
}

/// The restart policy: each by itself; a subject that dies too often is given up.
fn policy() -> Policy {
    let group = |member: ComponentId, intensity, escalate| Group {
        members: heapless::Vec::from_slice(&[member.0]).unwrap_or_default(),
        strategy: Strategy::OneForOne,
        intensity,
        period_ms: PERIOD_MS.into(),
        backoff_first_ms: 1,
        backoff_most_ms: 2,
        rate_per_second: 1_000,
        escalate,
    };
    let groups = [group(SUBJECT, INTENSITY, Escalation::GiveUp), group(TESTER, 15, Escalation::Image)];
    Policy { groups: heapless::Vec::from_slice(&groups).unwrap_or_default() }
}

/// The image.
#[must_use]
pub fn image(suite: &Suite) -> Image {
    let setting = Setting {
        manager: MANAGER.0,
        subject: SUBJECT.0,
        tester: TESTER.0,
        respond_within_us: RESPOND_WITHIN_US,
        intensity: INTENSITY,
        period_ms: PERIOD_MS,
        ticks_slots: TICKS_SLOTS,
        flaw: suite.flaw,
    };
    let setting = postcard::to_stdvec(&setting).unwrap_or_default();
    let within = u64::from(RESPOND_WITHIN_US) * 1_000;
    let component = |name: &str, linked, vcpu, respond_within, configuration, rights| ImageComponent {
        recover_within: None,
        swappable: None,
        name: name.to_owned(),
        linked,
        vcpu,
        respond_within,
        configuration,
        rights,
    };
    let blame = suite.wrong_end != WrongEnd::NoBlame;
    let components = vec![
        component(
            "restart-manager",
            Linked::new(&koboshi_restart_manager::DESCRIPTION, koboshi_restart_manager::start),
            0,
            within,
            postcard::to_stdvec(&policy()).unwrap_or_default(),
            Rights { control: SUBJECT.bit() | TESTER.bit(), facts: true, blame: true, reboot: true, load: 0 },
        ),
        component(
            "subject",
            Linked::new(&subject::DESCRIPTION, subject::start),
            1,
            if suite.wrong_end == WrongEnd::Patient { 1_000_000_000 } else { within },
            setting.clone(),
            Rights { blame, ..Rights::default() },
        ),
        component(
            "tester",
            Linked::new(&tester::DESCRIPTION, tester::start),
            2,
            within,
            setting,
            Rights { facts: true, blame, ..Rights::default() },
        ),
    ];
    let end = |component, port| PortEnd { component, port };
    let connect = |interface, near, far, slots, routed| Connection {
        when_gone: WhenGone::default(),
        interface,
        near,
        far,
        slots,
        routed,
    };
    let probe = if suite.wrong_end == WrongEnd::Repeatable { repeatable() } else { &probe::INTERFACE };
    let routed = suite.wrong_end == WrongEnd::Forwards;
    let connections = vec![
        connect(probe, end(TESTER, 0), end(SUBJECT, 0), 8, routed),
        connect(&ticks::INTERFACE, end(SUBJECT, 1), end(TESTER, 1), TICKS_SLOTS.into(), false),
        connect(&control::INTERFACE, end(TESTER, 2), end(MANAGER, 0), 4, false),
        // The manager's port for SOS is joined to nobody: it is optional.
        connect(&health::INTERFACE, end(TESTER, 3), end(MANAGER, 2), 4, false),
    ];
    Image { components, connections, devices: vec![], manager: Some(MANAGER), costs: Costs::default() }
}

/// Reads a line of the suite's: what came of a rule.
fn line(text: &str) -> Option<Line> {
    let (rule, end) = text.strip_prefix("rule ")?.split_once(' ')?;
    Some(Line { rule: rule.to_owned(), ok: end == "ok", text: text.to_owned() })
}

/// Lets no panic be printed that was ordered: there are dozens in a run.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let text = panic.payload_as_str().unwrap_or_default();
            if !text.starts_with(ORDERED) {
                print(panic);
            }
        }));
    });
}

/// Runs the suite.
///
/// # Panics
/// If the image is at fault.
#[must_use]
pub fn run(suite: &Suite) -> Report {
    quiet();
    let options = Options { journal: Depth::All, plan: suite.plan.clone(), ..Options::default() };
    let mut machine = match Machine::new(&image(suite), options) {
        Ok(machine) => machine,
        Err(error) => panic!("the image of the suite is at fault: {error}"),
    };
    let mut report = Report::default();
    let mut seen = 0;
    let mut end = None;
    while end.is_none() && machine.now() < AT_MOST {
        let until = machine.now() + SLICE;
        let before = machine.points(SUBJECT);
        let ran = machine.run_until(until);
        let after = machine.points(SUBJECT);
        if after - before > MANY_POINTS {
            report.hang = before + MANY_POINTS / 2..after - MANY_POINTS / 2;
        }
        let journal = machine.journal();
        for (_, event) in journal.events().skip(seen) {
            seen += 1;
            let Event::Log { component: TESTER, text } = event else { continue };
            end = report.take(text).or(end);
        }
        if ran != RunEnd::Reached {
            break;
        }
    }
    report.done = report.is_done(end.as_deref());
    report.ended_at = machine.now();
    report.struck = machine.struck();
    report.points = EVERYBODY.map(|id| machine.points(id));
    let unasked = |text: &&String| !text.split_once(": ").is_some_and(|(_, text)| text.starts_with(ORDERED));
    report.panics = machine.panics().iter().filter(unasked).cloned().collect();
    report.reboots = machine.reboots();
    if suite.journal {
        report.journal = machine.journal().to_string();
    }
    report
}

/// The suite with strikes besides: one run for each point that is struck at.
#[derive(Clone, Copy, Debug)]
pub struct Strikes {
    /// What it is, in a few words.
    pub about: &'static str,
    /// At whose points.
    pub component: ComponentId,
    /// What happens there.
    pub strike: Strike,
    /// The same happens once more, so many points later.
    pub again: Option<u64>,
    /// Every so-many-th point, if there is some time.
    pub stride: usize,
}

/// All kinds of strikes.
pub const STRIKES: [Strikes; 6] = [
    strikes("the subject dies", SUBJECT, Strike::Crash, None, 29),
    strikes("the subject dies twice", SUBJECT, Strike::Crash, Some(17), 41),
    strikes("the subject hangs", SUBJECT, Strike::Hang, None, 53),
    strikes("the tester dies", TESTER, Strike::Crash, None, 23),
    strikes("the subject is ended while the tester acts", TESTER, Strike::Kill(SUBJECT), None, 29),
    strikes("the restart manager dies", MANAGER, Strike::Crash, None, 5),
];

const fn strikes(
    about: &'static str,
    component: ComponentId,
    strike: Strike,
    again: Option<u64>,
    stride: usize,
) -> Strikes {
    Strikes { about, component, strike, again, stride }
}

impl Strikes {
    /// Strikes at every `stride`-th point: how many strikes were carried out, and what was wrong then.
    #[must_use]
    pub fn carry_out(&self, stride: usize, expected: &[&str]) -> (usize, Vec<String>) {
        let Strikes { component, strike, again, .. } = *self;
        let usual = run(&Suite::default());
        let points = usual.points[component.index()];
        let hang = if component == SUBJECT { usual.hang } else { 0..0 };
        let mut carried_out = 0;
        let mut wrong = vec![];
        for after_points in (1..=points).filter(|point| !hang.contains(point)).step_by(stride) {
            let first = Planned { component, after_points, strike };
            let second = again.map(|after_points| Planned { component, after_points, strike });
            let report = run(&Suite { plan: [first].into_iter().chain(second).collect(), ..Suite::default() });
            carried_out += report.struck.len();
            let at = |text| format!("{} at point {after_points}: {text}", self.about);
            wrong.extend(report.wrong(expected).into_iter().map(at));
        }
        (carried_out, wrong)
    }
}
