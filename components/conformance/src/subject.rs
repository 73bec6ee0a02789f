//! The subject: a plain server and publisher that misbehaves when it is told to.
//!
//! Rules kept here: an effect is an item of `ticks`, so that it outlives its author and is counted by nobody's memory. A
//! misdeed is struck off the order before it is done, so that it is done as often as was ordered.
//!
//! It must never misbehave unasked, unless the image gives it a flaw.

use core::cell::Cell;
use core::future::pending;
use core::sync::atomic::AtomicU32;

use koboshi_interface_kit::{Key, MAX_MESSAGE, Message, Operation, Progress, ServerEnd, decode, encode};
use koboshi_runtime::server::Taken;
use koboshi_runtime::time::{until, wake_at};
use koboshi_runtime::{
    Description, Duration, Exit, Kept, KeptDescription, Outcome, PortDescription, Publisher, ServicePort, Side, Start,
    configuration, now, select, sleep, window,
};
use postcard::experimental::max_size::MaxSize;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

use crate::probe::{self, Answer, Begun, Misdeed, Moment, Order, Request, Status, Steps, Work, operation};
use crate::ticks::{self, Tick};
use crate::{Flaw, Setting, forge};

/// The subject's port `probe`.
const PROBE: u8 = 0;
/// The subject's port `ticks`.
const TICKS: u8 = 1;

/// How long the subject waits for room before it waits again.
const PATIENCE: Duration = Duration::from_millis(500);

/// The request that a hasty item names.
pub(crate) const HASTY: u32 = u32::MAX;

/// Bytes that are no message of `probe`.
const RUBBISH: [u8; 8] = [0xFF; 8];

/// The key of what the subject keeps.
pub const KEPT: Key = Key::of_state::<State>();

/// The subject, for the composer.
pub const DESCRIPTION: Description = Description {
    name: "conformance-subject",
    ports: &[
        PortDescription { name: "probe", side: Side::Offers, interface: &probe::INTERFACE },
        PortDescription { name: "ticks", side: Side::Offers, interface: &ticks::INTERFACE },
    ],
    devices: &[],
    interrupts: &[],
    kept: Some(KeptDescription::of::<State>()),
};

/// What the subject keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub struct State {
    /// The number that `put` kept last.
    value: u32,
    /// What is still to be done wrong.
    order: Order,
    /// Only with a flaw: what must never be repeated, and was begun.
    begun: Option<u32>,
}

/// What the image gives the subject.
pub struct Io {
    probe: ServicePort,
    ticks: Publisher<ticks::Port>,
    setting: Setting,
}

impl Io {
    /// Opens the subject's ports.
    ///
    /// # Errors
    /// [`Exit::Unfit`] if the image does not give what the subject needs.
    pub fn open() -> Result<Self, Exit> {
        Ok(Io {
            probe: ServicePort::open::<probe::Port>(PROBE)?,
            ticks: Publisher::open(TICKS)?,
            setting: configuration().ok_or(Exit::Unfit("the subject's setting is not described"))?,
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

/// One incarnation.
pub async fn run(start: Start, mut io: Io, kept: Kept<State>) -> Exit {
    let flaw = io.setting.flaw;
    let fresh = State { value: 0, order: Order::NONE, begun: None };
    let found = kept.load().filter(|_| flaw != Flaw::ForgetsKept).unwrap_or(fresh);
    let will = Will {
        state: Cell::new(found),
        replay: Cell::new(false),
        obeys: Cell::new(false),
        answering: Cell::new(None),
        exits: Cell::new(false),
        flaw,
    };
    will.come_to(Moment::Begin).await;
    if let Some(id) = found.begun {
        publish(&mut io.ticks, &Tick::Ran { id, replay: true }).await;
        will.keep(|state| state.begun = None);
    }
    let begun = match start {
        Start::Fresh => Begun::Fresh,
        Start::Recovered(_) => Begun::Recovered,
        Start::Updated(_) => Begun::Updated,
    };
    let body = Body { will: &will, ticks: io.ticks, epoch: io.probe.epoch().0, begun, asked: 0 };
    let end = WilfulEnd { will: &will, port: io.probe };
    select(probe::serve(body, end), until(|| will.exits.get().then_some(()))).await;
    Exit::Done
}

/// What the subject is about to do wrong.
struct Will {
    state: Cell<State>,
    /// The request in hand was in hand at a death before.
    replay: Cell<bool>,
    /// The request in hand may be served wrongly.
    obeys: Cell<bool>,
    /// What is to be done wrong in place of the answer.
    answering: Cell<Option<Misdeed>>,
    /// `run` is to come back.
    exits: Cell<bool>,
    flaw: Flaw,
}

impl Will {
    fn keep(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.get();
        change(&mut state);
        Kept::open(KEPT).store(&state);
        self.state.set(state);
    }

    /// What is to be done at this moment. It is struck off first.
    fn due(&self, moment: Moment) -> Option<Misdeed> {
        let Order { misdeed, moment: ordered, skip, times } = self.state.get().order;
        if times == 0 || moment != ordered {
            return None;
        }
        if skip > 0 {
            self.keep(|state| state.order.skip = skip - 1);
            return None;
        }
        self.keep(|state| state.order.times = times - 1);
        Some(misdeed)
    }

    /// Has `run` come back. No strike can come in between, and no strike looks like it.
    async fn exit(&self) {
        self.exits.set(true);
        pending().await
    }

    async fn come_to(&self, moment: Moment) {
        let bound = matches!(moment, Moment::BeforeEffect | Moment::AfterEffect | Moment::AfterAnswering);
        if bound && !self.obeys.get() {
            return;
        }
        match self.due(moment) {
            None => {}
            Some(Misdeed::Panic) => panic!("as ordered"),
            Some(Misdeed::Exit) => self.exit().await,
            Some(Misdeed::ExitLater(milliseconds)) => {
                sleep(Duration::from_millis(milliseconds.into())).await;
                self.exit().await
            }
            Some(Misdeed::Hang) => hang(),
            Some(Misdeed::Never) => pending().await,
            Some(Misdeed::Slow(milliseconds)) => sleep(Duration::from_millis(milliseconds.into())).await,
            Some(Misdeed::Item(forgery)) => {
                forge::item(TICKS, forgery);
                pending().await
            }
            answering => self.answering.set(answering),
        }
    }
}

/// Publishes an item, however long its reader takes.
async fn publish(ticks: &mut Publisher<ticks::Port>, item: &Tick) {
    while ticks.publish(item, now() + PATIENCE).await.is_err() {}
}

/// Polls for a time that never comes, as a driver does for what its device never says.
fn hang() -> ! {
    loop {
        wake_at(now());
    }
}

/// The subject's end of `probe`.
struct WilfulEnd<'w> {
    will: &'w Will,
    port: ServicePort,
}

impl WilfulEnd<'_> {
    /// Answers the request after this one first, then both in order.
    async fn answer_backwards<T: Message>(&mut self, taken: Taken, reply: &T) {
        let second = self.port.take();
        let mut room = [0; MAX_MESSAGE];
        let answer = second.as_ref().and_then(|second| decode::<Request>(second.message.bytes())).map(Request::answer);
        let payload = answer.as_ref().and_then(|answer| encode(answer, &mut room));
        if let (Some(second), Some(payload)) = (&second, payload) {
            self.port.finish(second.position, Outcome::Answer, payload);
        }
        self.port.answer(taken.in_hand(), reply).await;
        match (second, payload) {
            (Some(second), Some(payload)) => self.port.finish(second.position, Outcome::Answer, payload),
            (Some(second), None) => self.port.refuse(second.in_hand()),
            (None, _) => {}
        }
    }
}

impl ServerEnd for WilfulEnd<'_> {
    type Taken = Taken;

    async fn next(&mut self) -> Taken {
        self.will.come_to(Moment::BeforeTaking).await;
        let taken = self.port.next_request().await;
        let operation = taken.message.header.tag;
        self.will.replay.set(taken.replay);
        self.will.obeys.set(operation != operation::order::INDEX && operation != operation::status::INDEX);
        taken
    }

    fn operation(taken: &Taken) -> u8 {
        taken.message.header.tag
    }

    fn request<T: Message>(&self, taken: &Taken) -> Option<T> {
        decode(taken.message.bytes())
    }

    fn progress(&self, taken: &Taken) -> &'static AtomicU32 {
        self.port.progress_word(taken.position)
    }

    async fn answer<T: Message>(&mut self, taken: Taken, reply: &T) {
        let (position, operation) = (taken.position, taken.message.header.tag);
        let mut room = [0; MAX_MESSAGE];
        let payload = encode(reply, &mut room).unwrap_or(&[]);
        match self.will.answering.take() {
            Some(Misdeed::Reply(forgery)) => {
                forge::message(PROBE, position, forgery);
                pending().await
            }
            Some(Misdeed::Positions) => {
                forge::server_positions(PROBE);
                self.will.exit().await;
            }
            Some(Misdeed::Early) => {
                forge::early(PROBE, position.wrapping_add(1), payload);
                self.will.exit().await;
            }
            Some(Misdeed::Twice) => {
                self.port.answer(taken.in_hand(), reply).await;
                self.port.finish(position, Outcome::Answer, &RUBBISH);
            }
            Some(Misdeed::Backwards) => self.answer_backwards(taken, reply).await,
            _ => self.port.answer(taken.in_hand(), reply).await,
        }
        if self.will.flaw == Flaw::AnswersTwice && operation == operation::ask::INDEX {
            forge::early(PROBE, position.wrapping_add(1), payload);
        }
        self.will.come_to(Moment::AfterAnswering).await;
    }

    fn refuse(&mut self, taken: Taken) {
        self.port.refuse(taken.in_hand());
    }
}

/// What the subject does.
struct Body<'w> {
    will: &'w Will,
    ticks: Publisher<ticks::Port>,
    epoch: u32,
    begun: Begun,
    asked: u32,
}

impl Body<'_> {
    async fn run(&mut self, request: Request) -> Answer {
        self.will.come_to(Moment::BeforeEffect).await;
        publish(&mut self.ticks, &Tick::Ran { id: request.id, replay: self.will.replay.get() }).await;
        self.will.come_to(Moment::AfterEffect).await;
        request.answer()
    }
}

impl probe::Server for Body<'_> {
    async fn status(&mut self, (): ()) -> Status {
        let asked = self.asked;
        self.asked = asked.wrapping_add(1);
        let State { value, order, .. } = self.will.state.get();
        Status { epoch: self.epoch, begun: self.begun, asked, value, left: order.times }
    }

    async fn ask(&mut self, request: Request) -> Answer {
        self.run(request).await
    }

    async fn put(&mut self, request: Request) -> Answer {
        self.will.keep(|state| state.value = request.number);
        self.run(request).await
    }

    async fn order(&mut self, order: Order) {
        // What a poisoned request has left half filled is an item of its own.
        self.ticks.publish_filled();
        self.will.keep(|state| state.order = order);
    }

    async fn emit(&mut self, work: Work, mut progress: Progress<Steps>) -> Steps {
        let replay = self.will.replay.get();
        match self.will.flaw {
            Flaw::ForgetsProgress if replay => progress.set(Steps(0)),
            Flaw::RepeatsItem if replay && progress.get().0 > 0 => {
                publish(&mut self.ticks, &Tick::Step { id: work.id, number: progress.get().0 - 1 }).await;
            }
            _ => {}
        }
        while progress.get().0 < work.count {
            self.will.come_to(Moment::BeforeEffect).await;
            if let Some(Misdeed::Hasty(milliseconds)) = self.will.answering.get() {
                self.will.answering.set(None);
                let hasty = Tick::Ran { id: HASTY, replay: false };
                let _ = self.ticks.publish(&hasty, now() + Duration::from_millis(milliseconds.into())).await;
            }
            self.ticks.room().await;
            let number = progress.get().0;
            window(|| {
                if self.ticks.place(&Tick::Step { id: work.id, number }) {
                    progress.set(Steps(number + 1));
                }
            });
            self.ticks.ring();
            self.will.come_to(Moment::AfterEffect).await;
        }
        progress.get()
    }

    async fn fill(&mut self, work: Work, mut progress: Progress<Steps>) -> Steps {
        while progress.get().0 < work.count {
            self.will.come_to(Moment::BeforeEffect).await;
            self.ticks.room().await;
            if !self.ticks.reserve() {
                continue;
            }
            let number = progress.get().0;
            window(|| {
                self.ticks.push(number as u8);
                progress.set(Steps(number + 1));
            });
            self.will.come_to(Moment::AfterEffect).await;
        }
        self.ticks.publish_filled();
        progress.get()
    }

    async fn act(&mut self, request: Request) -> Answer {
        if self.will.flaw == Flaw::RunsAgain {
            self.will.keep(|state| state.begun = Some(request.id));
        }
        let answer = self.run(request).await;
        if self.will.flaw == Flaw::RunsAgain {
            self.will.keep(|state| state.begun = None);
        }
        answer
    }
}
