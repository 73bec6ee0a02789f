//! The tester: tries each rule on the subject, and writes what came of it to the log.
//!
//! Rules kept here: its place in the list is kept, so that it may die at any point, by plan or not, and goes on. What must
//! hold in every trial is judged before anything else; then a trial in which somebody died who was not told to is tried
//! again; only then is judged what was planned.
//!
//! It must never wait without an end: a rule that is broken is a line in the log, not a suite that stands still.

use core::fmt::Write;
use core::future::pending;

use heapless::{String, Vec};
use koboshi_interface_kit::{Duration, Failure, Key, Message, Operation, decode};
use koboshi_interfaces::control::{self, Complaint, ComponentId, Incarnation, Report};
use koboshi_interfaces::health;
use koboshi_runtime::authority::{self, Incident};
use koboshi_runtime::{
    Description, Exit, Facts, Fault, Kept, KeptDescription, Outcome, PortDescription, RequestPort, Side, Start, State,
    Subscriber, configuration, log, now, sleep,
};
use postcard::experimental::max_size::MaxSize;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

use crate::diary::Diary;
use crate::probe::{self, Answer, Order, Request, Status, Steps, Work, operation};
use crate::rules::{RULES, try_rule};
use crate::{Setting, ticks};

/// The tester's port `probe`.
pub(crate) const PROBE: u8 = 0;
/// The tester's port `ticks`.
pub(crate) const TICKS: u8 = 1;

/// Trials of one rule, if somebody dies unasked in each of them.
const MOST_TRIALS: u8 = 12;

/// How long a subject that behaves may take for one request, with a death or two in between.
pub(crate) const SOON: Duration = Duration::from_millis(50);

/// How long the tester waits for what must come at all.
pub(crate) const LONG: Duration = Duration::from_millis(1_000);

/// The longest line in the log.
const LINE: usize = 160;

/// The key of what the tester keeps.
pub const KEPT: Key = Key::of_state::<Place>();

/// The tester, for the composer.
pub const DESCRIPTION: Description = Description {
    name: "conformance-tester",
    ports: &[
        PortDescription { name: "probe", side: Side::Uses, interface: &probe::INTERFACE },
        PortDescription { name: "ticks", side: Side::Uses, interface: &ticks::INTERFACE },
        PortDescription { name: "control", side: Side::Uses, interface: &control::INTERFACE },
        PortDescription { name: "health", side: Side::Uses, interface: &health::INTERFACE },
    ],
    devices: &[],
    interrupts: &[],
    kept: Some(KeptDescription::of::<Place>()),
};

/// Why a trial does not show that its rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// The rule is broken.
    Broken(&'static str),
    /// Somebody died who was not told to, or did not die who was.
    Disturbed(&'static str),
    /// Nothing is wrong: the tester's own death is a part of the trial.
    Dies,
}

pub(crate) type Trial = Result<(), Wrong>;

/// What must be so if the rule holds.
pub(crate) const fn must(so: bool, why: &'static str) -> Trial {
    if so { Ok(()) } else { Err(Wrong::Broken(why)) }
}

/// What must be so for the trial to say anything.
pub(crate) const fn planned(so: bool, why: &'static str) -> Trial {
    if so { Ok(()) } else { Err(Wrong::Disturbed(why)) }
}

/// Where the tester stands, so that its own death is a part of the suite.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub struct Place {
    rule: u8,
    trials: u8,
    /// In the present rule: 0, or how often the tester has died by plan.
    pub(crate) stage: u8,
    passed: u8,
    failed: u8,
    /// The epoch that died by plan.
    epoch: u32,
    /// The subject's epoch at the beginning of the trial.
    pub(crate) before: u32,
    /// The first incident of the trial.
    mark: u32,
    /// What a rule needs behind a death.
    pub(crate) notes: [u32; 4],
}

/// What the image gives the tester.
pub struct Io {
    probe: RequestPort,
    ticks: Subscriber<ticks::Port>,
    control: RequestPort,
    health: RequestPort,
    setting: Setting,
}

impl Io {
    /// Opens the tester's ports.
    ///
    /// # Errors
    /// [`Exit::Unfit`] if the image does not give what the tester needs.
    pub fn open() -> Result<Self, Exit> {
        Ok(Io {
            probe: RequestPort::open::<probe::Port>(PROBE)?,
            ticks: Subscriber::open(TICKS)?,
            control: RequestPort::open::<control::Port>(2)?,
            health: RequestPort::open::<health::Port>(3)?,
            setting: configuration().ok_or(Exit::Unfit("the tester's setting is not described"))?,
        })
    }
}

/// One incarnation, from what the image gives it.
pub async fn start(start: Start) -> Exit {
    match Io::open() {
        Ok(io) => run(start, io, Kept::open(KEPT)).await,
        Err(unfit) => unfit,
    }
}

/// One incarnation: it goes on where the one before it stood.
pub async fn run(_: Start, io: Io, kept: Kept<Place>) -> Exit {
    let own = ComponentId(io.setting.tester);
    let epoch = facts_of(own).map_or(0, |facts| facts.epoch);
    let mut bench = Bench {
        probe: probe::Client::new(io.probe),
        diary: Diary::new(io.ticks),
        control: control::Client::new(io.control),
        health: health::Client::new(io.health),
        setting: io.setting,
        place: kept.load().unwrap_or_default(),
        kept,
        epoch,
        // Epochs are never used twice, so neither are these.
        next_id: epoch << 12,
        acts: Vec::new(),
        lied: false,
    };
    while let Some(name) = RULES.get(usize::from(bench.place.rule)) {
        let outcome = bench.trial(name).await;
        if outcome != Err(Wrong::Dies) {
            bench.place.stage = 0;
        }
        let failed = match outcome {
            Ok(()) => None,
            Err(Wrong::Broken(why)) => Some(("", why)),
            Err(Wrong::Disturbed(why)) if bench.place.trials >= MOST_TRIALS => Some(("disturbed each time: ", why)),
            Err(Wrong::Disturbed(_)) => continue,
            Err(Wrong::Dies) => return Exit::Done,
        };
        let mut line = String::<LINE>::new();
        // A line that is too long is cut.
        let _ = match failed {
            None => write!(line, "rule {name} ok"),
            Some((how, why)) => write!(line, "rule {name} FAILED: {how}{why}"),
        };
        log(&line);
        let (passed, failures) = if failed.is_none() { (1, 0) } else { (0, 1) };
        let Place { rule, passed: before, failed: failed_before, mark, .. } = bench.place;
        let (passed, failed) = (before + passed, failed_before + failures);
        bench.place = Place { rule: rule + 1, passed, failed, mark, ..Place::default() };
        bench.keep();
    }
    let Place { passed, failed, .. } = bench.place;
    let mut line = String::<LINE>::new();
    let _ = write!(line, "conformance done {} passed {passed} failed {failed}", passed + failed);
    log(&line);
    pending().await
}

fn facts_of(component: ComponentId) -> Option<Facts> {
    authority::facts(authority::ComponentId(component.0)).ok()
}

/// All that a rule is tried with.
pub(crate) struct Bench {
    pub(crate) probe: probe::Client<RequestPort>,
    pub(crate) diary: Diary,
    pub(crate) control: control::Client<RequestPort>,
    pub(crate) health: health::Client<RequestPort>,
    pub(crate) setting: Setting,
    pub(crate) place: Place,
    kept: Kept<Place>,
    pub(crate) epoch: u32,
    next_id: u32,
    /// What was asked in this trial that must never be repeated.
    acts: Vec<u32, 8>,
    /// A request got the answer to another one.
    lied: bool,
}

impl Bench {
    fn keep(&mut self) {
        self.kept.store(&self.place);
    }

    /// One trial of a rule, or the rest of one behind a death of the tester's own.
    async fn trial(&mut self, name: &str) -> Trial {
        if self.place.stage == 0 {
            planned(self.place.trials < MOST_TRIALS, "the tester died unasked")?;
            self.place.trials += 1;
            self.keep();
            self.prepare().await?;
        } else {
            planned(self.epoch == self.place.epoch + 1, "the tester died unasked")?;
        }
        try_rule(self, name).await
    }

    /// Begins a trial: the subject lives, behaves and has nothing in hand, and no death counts against it any more.
    async fn prepare(&mut self) -> Trial {
        for _ in 0..8 {
            self.probe.end().cancel_all();
            self.control.end().cancel_all();
            self.health.end().cancel_all();
            if self.facts().is_some_and(|facts| facts.state.gone()) {
                let _ = self.start_subject().await;
            }
            let asked = self.diary.beside(self.probe.within(SOON).order(Order::NONE)).await;
            if asked.is_ok() {
                sleep(Duration::from_millis(u64::from(self.setting.period_ms) + 10)).await;
                self.diary.read();
                self.diary.forget();
                self.acts.clear();
                self.lied = false;
                self.place.before = self.server_epoch();
                while let Some(incident) = authority::incident(self.place.mark) {
                    self.place.mark = incident.number + 1;
                }
                return Ok(());
            }
            let _ = self.restart().await;
        }
        planned(false, "the subject cannot be brought to order")
    }

    /// Ends a trial: what must hold in any, and whether exactly these deaths of the subject belong to it.
    pub(crate) async fn finish(&mut self, deaths: &[Fault]) -> Trial {
        let up = self.status().await;
        self.sound()?;
        planned(up?.left == 0, "it was not done as often as was ordered")?;
        let epochs = self.server_epoch().wrapping_sub(self.place.before);
        let found = self.deaths();
        planned(found.iter().map(|incident| incident.fault).eq(deaths.iter().copied()), "its deaths were others")?;
        planned(epochs as usize == deaths.len(), "it was started as often as it died")
    }

    /// What must hold in any trial.
    pub(crate) fn sound(&mut self) -> Trial {
        self.diary.read();
        must(!self.lied, "a request got an answer that is not its own")?;
        must(self.diary.steps_are_exact(), "a step was lost, repeated or made out of order")?;
        must(self.acts.iter().all(|id| self.diary.runs(*id).0 <= 1), "what must never be repeated was repeated")
    }

    /// Waits until the subject answers.
    pub(crate) async fn up(&mut self) -> Trial {
        self.status().await.map(|_| ())
    }

    pub(crate) async fn status(&mut self) -> Result<Status, Wrong> {
        for _ in 0..4 {
            if let Ok(status) = self.diary.beside(self.probe.status(())).await {
                self.diary.read();
                return Ok(status);
            }
        }
        Err(Wrong::Disturbed("the subject does not answer any more"))
    }

    /// The subject's deaths in this trial, oldest first.
    pub(crate) fn deaths(&self) -> Vec<Incident, 16> {
        let of = self.setting.subject;
        self.incidents(of)
    }

    /// A component's deaths in this trial, oldest first.
    pub(crate) fn incidents(&self, of: u8) -> Vec<Incident, 16> {
        let mut found = Vec::new();
        let mut next = self.place.mark;
        while let Some(incident) = authority::incident(next) {
            next = incident.number + 1;
            if incident.component.0 == of {
                // More than 16 are judged by their number.
                let _ = found.push(incident);
            }
        }
        found
    }

    pub(crate) fn facts(&self) -> Option<Facts> {
        facts_of(self.subject())
    }

    pub(crate) fn state(&self) -> Option<State> {
        self.facts().map(|facts| facts.state)
    }

    pub(crate) const fn subject(&self) -> ComponentId {
        ComponentId(self.setting.subject)
    }

    pub(crate) fn server_epoch(&mut self) -> u32 {
        self.probe.end().server_epoch()
    }

    /// The subject's present life.
    pub(crate) fn incarnation(&mut self) -> Incarnation {
        Incarnation { component: self.subject(), epoch: self.server_epoch() }
    }

    /// Ends this life by plan, in the way that no strike looks like: the next one goes on at the next stage of this rule.
    pub(crate) fn die(&mut self, notes: [u32; 4]) -> Trial {
        self.next_stage(notes);
        Err(Wrong::Dies)
    }

    /// Keeps that the next life goes on at the next stage of this rule.
    pub(crate) fn next_stage(&mut self, notes: [u32; 4]) {
        self.place.stage += 1;
        self.place.notes = notes;
        self.place.epoch = self.epoch;
        self.keep();
    }

    pub(crate) fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    pub(crate) fn request(&mut self) -> Request {
        let id = self.id();
        Request { id, number: id ^ 0x5A5A }
    }

    pub(crate) fn work(&mut self, count: u32) -> Work {
        Work { id: self.id(), count }
    }

    fn note<F>(&mut self, request: Request, answer: Result<Answer, F>) -> Result<Answer, F> {
        self.lied |= answer.as_ref().is_ok_and(|answer| *answer != request.answer());
        answer
    }

    pub(crate) async fn ask(&mut self, request: Request) -> Result<Answer, Failure<operation::ask>> {
        let answer = self.diary.beside(self.probe.ask(request)).await;
        self.note(request, answer)
    }

    pub(crate) async fn put(&mut self, request: Request) -> Result<Answer, Failure<operation::put>> {
        let answer = self.diary.beside(self.probe.put(request)).await;
        self.note(request, answer)
    }

    pub(crate) async fn act(&mut self, request: Request) -> Result<Answer, Failure<operation::act>> {
        self.is_act(request.id);
        let answer = self.diary.beside(self.probe.act(request)).await;
        self.note(request, answer)
    }

    pub(crate) async fn emit(&mut self, work: Work) -> Result<Steps, Failure<operation::emit>> {
        self.diary.beside(self.probe.emit(work)).await
    }

    pub(crate) async fn fill(&mut self, work: Work) -> Result<Steps, Failure<operation::fill>> {
        self.diary.beside(self.probe.fill(work)).await
    }

    /// Remembers what must never be repeated.
    pub(crate) fn is_act(&mut self, id: u32) {
        // No trial asks for more.
        let _ = self.acts.push(id);
    }

    /// Tells the subject to misbehave.
    pub(crate) async fn order(&mut self, order: Order) -> Trial {
        let told = self.diary.beside(self.probe.order(order)).await;
        planned(told.is_ok(), "an order was not taken")
    }

    /// Sends a request whose reply is collected later.
    pub(crate) fn send<O: Operation>(&mut self, request: &O::Request, within: Duration) -> Result<u32, Wrong> {
        let sent = self.probe.end().send_message::<O>(request, 0, now() + within);
        sent.ok_or(Wrong::Disturbed("there was no room for a request"))
    }

    /// Waits for a reply, and lets go of it.
    pub(crate) async fn collect<T: Message>(&mut self, position: u32) -> Ended<T> {
        let reply = self.diary.beside(self.probe.end().reply_before(position, now() + LONG)).await;
        let Some(reply) = reply else {
            return Ended::Not;
        };
        self.probe.end().settle(position);
        match reply.outcome {
            Outcome::Answer => decode(reply.message.bytes()).map_or(Ended::Rubbish, Ended::With),
            outcome => Ended::As(outcome, reply.progress),
        }
    }

    /// Waits for the answer to `request`.
    pub(crate) async fn collect_answer(&mut self, position: u32, request: Request) -> Ended<Answer> {
        let ended = self.collect(position).await;
        self.lied |= matches!(ended, Ended::With(answer) if answer != request.answer());
        ended
    }

    /// Has the subject's present life ended.
    pub(crate) async fn restart(&mut self) -> Trial {
        let life = self.incarnation();
        let told = self.diary.beside(self.control.restart(life)).await;
        planned(told == Ok(Ok(())), "the restart manager did not restart the subject")
    }

    pub(crate) async fn start_subject(&mut self) -> Trial {
        let told = self.diary.beside(self.control.start(ComponentId(self.setting.subject))).await;
        planned(told == Ok(Ok(())), "the restart manager did not start the subject")
    }

    pub(crate) async fn stop_subject(&mut self) -> Trial {
        let told = self.diary.beside(self.control.stop(ComponentId(self.setting.subject))).await;
        planned(told == Ok(Ok(())), "the restart manager did not stop the subject")
    }

    /// Reports that the subject's present life is late.
    pub(crate) async fn report_late(&mut self) -> Trial {
        let Incarnation { component, epoch } = self.incarnation();
        let report = Report { component, epoch, why: Complaint::Late };
        let told = self.diary.beside(self.control.report(report)).await;
        planned(told == Ok(Ok(())), "the restart manager did not take a report")
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended<T> {
    /// With its reply.
    With(T),
    /// Otherwise, having come so far.
    As(Outcome, u32),
    /// With something that nobody can read.
    Rubbish,
    /// Not yet.
    Not,
}
