//! The port record as a model for `stateright`.
//!
//! Three models walk through every order of steps inside their bounds. Each step is one atomic store
//! (or one window), and a death may come between any two.
//!
//! - *service*: one client, one server, the kernel, and one service port;
//! - *router*: a client, SOS as router, a driver, the kernel, and the two service ports between them;
//! - *stream*: a producer that fills slots from a device, a consumer that empties them into another,
//!   and the kernel.
//!
//! A [`Mistake`] builds one deliberate mistake into a model. Each must be found, or the models could
//! not be trusted when they find nothing.
//!
//! What the models ask of an implementation, beyond the order of steps written in them:
//!
//! - A seal trusts the slots' own words before the positions, on both sides: `sent` and `answered` are
//!   rolled forward before `taken` and `consumed` are held to them. It then rings the peer.
//! - A waiter clears its bell, then looks, then sleeps. A new incarnation looks before it sleeps.
//! - `taken` is stored after the reset of progress and before decoding, before a deadline is looked at,
//!   and before the method.
//! - Whether to skip is asked before the request slot is looked at: by then it may hold a later request.
//! - `replayed` counts only when it is less than a ring ahead of where the server starts, and then as
//!   a number to count down.
//! - The kernel remembers what was in hand by position and progress. Its own replies carry an epoch that
//!   no incarnation has; a complaint names position and epoch, and one that does not fit is dropped.
//! - A reopened idempotent request ends as `Interrupted` when a later one was ever taken.
//! - What is given up is answered by the kernel for as long as the doorbell rings, not once.
//! - A router takes up again all that is below `replayed` with one store of `taken`, before it answers or
//!   forwards. It drops a reply whose origin is answered by word or by slot. What is forwarded expires
//!   at the driver only. A bad answer to a resumable request ends it as `Interrupted`.
//! - In a stream, the count of a slot is reset before `filling` names it, and every item, even an empty
//!   one, leaves its tag in the progress word.
//!
//! The reader of the models should know these limits. Memory is sequentially consistent (that the
//! rings order their stores is checked with loom, not here). The kernel does not die. A component is
//! honest, except that a server may write replies that cannot be decoded and may be given requests
//! that kill it. In the router model a client sends, and receives, in one step, and its death
//! therefore changes nothing.

use stateright::{Checker, HasDiscoveries, Model, Property};
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::rc::Rc;

/// Slots in a ring. A power of two, because positions run over the end of a `u32`.
const SLOTS: usize = 2;
const RING: u32 = SLOTS as u32;
/// Requests, at most, that one run can make.
const REQUESTS: usize = 4;
/// Device steps of a resumable request.
const STEPS: u8 = 2;
/// The epoch in a reply that the kernel wrote: no incarnation has it, so no complaint can name it.
const KERNEL: u8 = 0;

fn slot(position: u32) -> usize {
    position as usize % SLOTS
}

/// Whether `a` is behind `b`, for positions that are no more than a few rings apart.
fn behind(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}

/// How far `mark` is ahead of `base`, if it is less than one ring, else nothing: a mark from long
/// ago must not come back when the positions have gone half way round.
fn ahead(base: u32, mark: u32) -> u32 {
    let distance = mark.wrapping_sub(base);
    if distance <= RING { distance } else { 0 }
}

/// How much of the state space a report covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A few seconds: fewer contracts together, fewer deaths.
    Quick,
    /// Under a minute in release.
    Full,
}

/// What one run over one model found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The name of the model.
    pub name: &'static str,
    /// The bound inside which every order of steps was tried.
    pub bound: String,
    /// The unique states.
    pub states: usize,
    /// The rules that do not hold, each with the steps that lead there. Empty when all is well.
    pub discoveries: Vec<Discovery>,
}

/// A rule that does not hold.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// The rule.
    pub rule: &'static str,
    /// One order of steps that breaks it.
    pub steps: Vec<String>,
}

/// A deliberate mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mistake {
    /// Service: progress is stored before the device step, not in one window with it.
    CountsBeforeTheStep,
    /// Service: progress is stored after the device step, not in one window with it.
    CountsAfterTheStep,
    /// Service: nothing is sealed when the server dies.
    DoesNotSeal,
    /// Service: the seal goes by `answered`, not by the reply slots' own words.
    SealsByAnswered,
    /// Service: the seal does not roll `sent` forward by the request slots' own words.
    SealsBySent,
    /// Service: the seal holds `consumed` down to the word `answered`, not to what reply slots prove.
    ClampsConsumedByAnswered,
    /// Service: the seal holds `taken` down to the word `sent`, not to what request slots prove.
    ClampsTakenBySent,
    /// Service: the seal wakes nobody.
    SealDoesNotRing,
    /// Service: a waiter looks first and clears its bell afterwards.
    ClearsTheBellAfterLooking,
    /// Service: `taken` is stored after the method began.
    TakesAfterTheMethod,
    /// Service: `taken` is stored before progress is reset.
    TakesBeforeTheReset,
    /// Service: a replay resets progress, as a new request does.
    ResetsAReplay,
    /// Service: the request is decoded before `taken` is stored.
    DecodesBeforeTaking,
    /// Service: an at-most-once request in hand is offered again.
    OffersAtMostOnceAgain,
    /// Service: `sent` is stored before the slot's own word.
    SendsBeforeCommit,
    /// Service: the reply slot's own word is stored before the reply is written.
    CommitsBeforeWriting,
    /// Service: `consumed` is stored before the reply is delivered.
    ConsumesBeforeDelivering,
    /// Service: the client sends one more than there is room for.
    SendsWithoutRoom,
    /// Service: a request answered earlier, behind a reopened one, is served again.
    DoesNotSkip,
    /// Service: the server looks at the request slot before it looks whether it must skip.
    SkipsAfterLooking,
    /// Service: after a bad reply an idempotent request runs again behind a later one.
    ReopensBehindALaterOne,
    /// Service: a complaint names the position only, not the epoch in the slot.
    ComplainsWithoutEpoch,
    /// Service: what is given up is answered once, at that moment, and not later.
    AnswersGoneOnce,
    /// Service: the kernel remembers what was in hand by slot, not by position.
    RemembersBySlot,
    /// Service: `replayed` is compared as a plain number.
    ComparesPlainly,
    /// Service: `replayed` is compared by the sign of the distance, however old it is.
    ComparesBySign,
    /// Service: an expired request is answered before its progress is reset.
    ExpiresBeforeTheReset,
    /// Router: the driver's reply is consumed before the client is answered.
    ConsumesBeforeAnswering,
    /// Router: a driver's reply is dropped only when its origin is below `answered`.
    DropsByAnswered,
    /// Router: the next incarnation claims nothing and forwards all again.
    ForwardsAgain,
    /// Router: a request is forwarded before `taken` is stored.
    ForwardsBeforeTaking,
    /// Router: a resumable request is forwarded again after a bad reply.
    ReopensResumable,
    /// Router: what is forwarded and past its deadline is answered `Expired` by the router itself.
    ExpiresWhatIsForwarded,
    /// Router: the next incarnation answers what it has not taken up again.
    AnswersBeforeTakingAgain,
    /// Stream: a byte is taken from the device, then stored and counted in a second step.
    PopsThenCounts,
    /// Stream: `filling` is stored before the slot's count is reset.
    MarksBeforeTheReset,
    /// Stream: a half-filled slot is begun anew.
    BeginsTheSlotAnew,
    /// Stream: `sent` is not rolled forward when the producer dies.
    StreamSealsBySent,
    /// Stream: `consumed` is held down to the word `sent`, not to what item slots prove.
    StreamClampsBySent,
    /// Stream: progress is stored before the byte enters the device.
    CountsThenPushes,
    /// Stream: progress is stored after the byte entered the device.
    PushesThenCounts,
    /// Stream: progress has no tag and is reset after `consumed`.
    ResetsAfterConsuming,
    /// Stream: progress has no tag and is reset before `consumed`.
    ResetsBeforeConsuming,
    /// Stream: an item without bytes leaves the progress word as it was.
    EmptyItemsLeaveNoTag,
    /// Stream: the seal wakes nobody.
    StreamSealDoesNotRing,
}

impl Mistake {
    /// All of them.
    pub const ALL: [Mistake; 45] = {
        use Mistake::*;
        [
            CountsBeforeTheStep,
            CountsAfterTheStep,
            DoesNotSeal,
            SealsByAnswered,
            SealsBySent,
            ClampsConsumedByAnswered,
            ClampsTakenBySent,
            SealDoesNotRing,
            ClearsTheBellAfterLooking,
            TakesAfterTheMethod,
            TakesBeforeTheReset,
            ResetsAReplay,
            DecodesBeforeTaking,
            OffersAtMostOnceAgain,
            SendsBeforeCommit,
            CommitsBeforeWriting,
            ConsumesBeforeDelivering,
            SendsWithoutRoom,
            DoesNotSkip,
            SkipsAfterLooking,
            ReopensBehindALaterOne,
            ComplainsWithoutEpoch,
            AnswersGoneOnce,
            RemembersBySlot,
            ComparesPlainly,
            ComparesBySign,
            ExpiresBeforeTheReset,
            ConsumesBeforeAnswering,
            DropsByAnswered,
            ForwardsAgain,
            ForwardsBeforeTaking,
            ReopensResumable,
            ExpiresWhatIsForwarded,
            AnswersBeforeTakingAgain,
            PopsThenCounts,
            MarksBeforeTheReset,
            BeginsTheSlotAnew,
            StreamSealsBySent,
            StreamClampsBySent,
            CountsThenPushes,
            PushesThenCounts,
            ResetsAfterConsuming,
            ResetsBeforeConsuming,
            EmptyItemsLeaveNoTag,
            StreamSealDoesNotRing,
        ]
    };
}

/// A set of mistakes.
#[derive(Clone, Copy, Default)]
struct Mistakes(u64);

impl Mistakes {
    fn of(mistakes: &[Mistake]) -> Self {
        Self(mistakes.iter().fold(0, |set, &one| set | 1 << one as u8))
    }

    fn has(self, mistake: Mistake) -> bool {
        self.0 & 1 << mistake as u8 != 0
    }
}

/// What went wrong, as bits: what a state must never show is noted at the step that did it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Wrong(u16);

impl Wrong {
    /// A reply delivered twice to one incarnation, left out, or out of order.
    const DELIVERY: u16 = 1;
    /// A reply or request that is not the one for its position, or was not fully written.
    const MISMATCH: u16 = 1 << 1;
    /// An at-most-once effect happened twice.
    const TWICE: u16 = 1 << 2;
    /// A resumable step repeated, left out, or out of order.
    const STEP: u16 = 1 << 3;
    /// A plain answer whose work was not done.
    const UNDONE: u16 = 1 << 4;
    /// An effect behind the effect of a later request.
    const ORDER: u16 = 1 << 5;
    /// A slot written before it was consumed, or a committed reply replaced.
    const OVERWRITTEN: u16 = 1 << 6;
    /// The seal found fault with words that an honest component stored.
    const BLAMED: u16 = 1 << 7;
    /// A position went back that must not.
    const BACK: u16 = 1 << 8;
    /// Poisoned after fewer than two deaths with the request in hand.
    const POISONED: u16 = 1 << 9;
    /// A deadly request was offered a third time.
    const DEADLY: u16 = 1 << 10;
    /// A reply names other progress than the device made.
    const PROGRESS: u16 = 1 << 11;

    fn note(&mut self, bit: u16, wrong: bool) {
        if wrong {
            self.0 |= bit;
        }
    }
}

/// A state that notes what went wrong.
trait Watched {
    fn wrong(&self) -> Wrong;
}

macro_rules! never {
    ($($rule:literal: $bit:ident),+ $(,)?) => {
        vec![$(Property::always($rule, |_: &M, state: &M::State| state.wrong().0 & Wrong::$bit == 0)),+]
    };
}

fn service_rules<M: Model<State: Watched>>() -> Vec<Property<M>> {
    never![
        "every reply is delivered once to an incarnation, in order, and none is left out": DELIVERY,
        "what is at a position belongs to that position": MISMATCH,
        "an at-most-once effect happens at most once": TWICE,
        "every step of a resumable request happens once and in order": STEP,
        "a plain answer means that the work was done": UNDONE,
        "no effect comes behind that of a later request": ORDER,
        "nothing is overwritten before it was consumed": OVERWRITTEN,
        "the seal finds no fault with the honest": BLAMED,
        "no position goes back": BACK,
        "a request is poisoned only when in hand at two deaths": POISONED,
        "a deadly request is offered twice at most": DEADLY,
        "a reply names the progress that the device made": PROGRESS,
    ]
}

fn stream_rules<M: Model<State: Watched>>() -> Vec<Property<M>> {
    never![
        "every byte enters the second device once and in order": STEP,
        "nothing is overwritten before it was consumed": OVERWRITTEN,
        "the seal finds no fault with the honest": BLAMED,
        "no position goes back": BACK,
    ]
}

/// The recovery contract of a request; `Deadly` is a pure one that kills its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Contract {
    Pure,
    Idempotent,
    Resumable,
    AtMostOnce,
    Deadly,
}

use Contract::{AtMostOnce, Deadly, Idempotent, Pure, Resumable};

const CONTRACTS: [Contract; 4] = [Pure, Idempotent, Resumable, AtMostOnce];

/// All ways to choose `length` out of the four contracts.
fn every(length: usize) -> Vec<Vec<Contract>> {
    (0..length).fold(vec![Vec::new()], |all, _| {
        let longer =
            |begun: Vec<Contract>| CONTRACTS.map(|next| begun.iter().copied().chain([next]).collect::<Vec<_>>());
        all.into_iter().flat_map(longer).collect()
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Plain,
    Interrupted,
    Poisoned,
    Expired,
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Reply {
    kind: Kind,
    /// Which request is answered.
    to: u8,
    progress: u8,
    /// It cannot be decoded.
    bad: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct RequestSlot {
    sequence: u32,
    request: u8,
    /// For a forwarded request: its position at the router's client.
    origin: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ReplySlot {
    sequence: u32,
    epoch: u8,
    reply: Reply,
    progress: u8,
}

/// What the kernel remembers of a request in hand at the last death.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Held {
    position: u32,
    progress: u8,
}

/// One service port: both outboxes, and what the kernel keeps about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Port {
    // the client's outbox
    requests: [RequestSlot; SLOTS],
    sent: u32,
    consumed: u32,
    // the server's outbox
    replies: [ReplySlot; SLOTS],
    taken: u32,
    answered: u32,
    replayed: u32,
    // the kernel's memory
    sealed_sent: u32,
    sealed_consumed: u32,
    sealed_taken: u32,
    sealed_answered: u32,
    held: [Option<Held>; SLOTS],
}

impl Port {
    fn new(first: u32) -> Self {
        // As after the lap before: no slot may look ready at the start.
        let lap = |index: usize| first.wrapping_add(index as u32).wrapping_add(1).wrapping_sub(RING);
        let mut port = Self {
            requests: [RequestSlot { sequence: 0, request: u8::MAX, origin: 0 }; SLOTS],
            sent: first,
            consumed: first,
            replies: [ReplySlot {
                sequence: 0,
                epoch: KERNEL,
                reply: Reply { kind: Kind::Plain, to: u8::MAX, progress: 0, bad: false },
                progress: 0,
            }; SLOTS],
            taken: first,
            answered: first,
            replayed: first,
            sealed_sent: first,
            sealed_consumed: first,
            sealed_taken: first,
            sealed_answered: first,
            held: [None; SLOTS],
        };
        for index in 0..SLOTS {
            let at = slot(first.wrapping_add(index as u32));
            port.requests[at].sequence = lap(index);
            port.replies[at].sequence = lap(index);
        }
        port
    }

    fn asked(&self, position: u32) -> bool {
        self.requests[slot(position)].sequence == position.wrapping_add(1)
    }

    fn replied(&self, position: u32) -> bool {
        self.replies[slot(position)].sequence == position.wrapping_add(1)
    }

    fn room(&self) -> bool {
        self.sent.wrapping_sub(self.consumed) < RING
    }

    /// `sent` as the request slots' own words prove it.
    fn proven_sent(&self) -> u32 {
        let mut sent = self.sent;
        while self.asked(sent) {
            sent = sent.wrapping_add(1);
        }
        sent
    }

    /// `answered` as the reply slots' own words prove it.
    fn proven_answered(&self) -> u32 {
        let mut answered = self.answered;
        while self.replied(answered) {
            answered = answered.wrapping_add(1);
        }
        answered
    }

    /// Makes slot `position` not ready, as it was in the lap before.
    fn reopen(&mut self, position: u32) {
        self.replies[slot(position)].sequence = position.wrapping_add(1).wrapping_sub(RING);
    }

    /// Stores a reply and its word on behalf of the dead server.
    fn kernel_replies(&mut self, position: u32, kind: Kind, to: u8, wrong: &mut Wrong) {
        wrong.note(Wrong::OVERWRITTEN, !self.may_reply(position));
        let one = &mut self.replies[slot(position)];
        one.reply = Reply { kind, to, progress: one.progress, bad: false };
        one.epoch = KERNEL;
        one.sequence = position.wrapping_add(1);
    }

    /// Whether the reply slot is free for `position`.
    fn may_reply(&self, position: u32) -> bool {
        !self.replied(position) && behind(position.wrapping_sub(RING), self.consumed)
    }

    /// The client is dead: its words are put right.
    fn seal_client(&mut self, mistakes: Mistakes, wrong: &mut Wrong) {
        if !mistakes.has(Mistake::SealsBySent) {
            self.sent = self.proven_sent();
        }
        let most = if mistakes.has(Mistake::ClampsConsumedByAnswered) { self.answered } else { self.proven_answered() };
        if behind(most, self.consumed) {
            wrong.note(Wrong::BLAMED | Wrong::BACK, true);
            self.consumed = most;
        }
        wrong.note(Wrong::BLAMED, behind(self.consumed, self.sealed_consumed));
        wrong.note(Wrong::BACK, behind(self.sent, self.sealed_sent));
        self.sealed_sent = self.sent;
        self.sealed_consumed = self.consumed;
    }

    /// The server is dead, first step: its words are held to what the client's outbox proves.
    /// Returns from where on replies may not be consumed yet.
    fn clamp_server(&mut self, mistakes: Mistakes, wrong: &mut Wrong) -> u32 {
        let consumed = self.consumed;
        let most = if mistakes.has(Mistake::ClampsTakenBySent) { self.sent } else { self.proven_sent() };
        wrong.note(
            Wrong::BLAMED,
            behind(most, self.taken)
                || behind(self.taken, self.sealed_taken)
                || behind(self.answered, self.sealed_answered)
                || behind(self.taken, self.answered),
        );
        if behind(most, self.taken) {
            self.taken = most;
        }
        // The client may already be past a kept reply that the server has yet to skip.
        if behind(self.taken, consumed) {
            self.taken = consumed;
        }
        consumed
    }

    /// The server is dead, second step, for each position from `consumed` up to `taken`.
    fn seal_position(
        &mut self,
        position: u32,
        contract: Contract,
        poisons: bool,
        mistakes: Mistakes,
        wrong: &mut Wrong,
    ) {
        let at = slot(position);
        let answered = if mistakes.has(Mistake::SealsByAnswered) {
            behind(position, self.answered)
        } else {
            self.replied(position)
        };
        if answered {
            return;
        }
        let now = Held { position, progress: self.replies[at].progress };
        let again = if mistakes.has(Mistake::RemembersBySlot) {
            self.held[at].is_some_and(|held| held.progress == now.progress)
        } else {
            self.held[at] == Some(now)
        };
        self.held[at] = Some(now);
        let request = self.requests[at].request;
        // Both words count: what was ever taken may have had its effect.
        let next = position.wrapping_add(1);
        let later = behind(next, self.taken) || ahead(next, self.replayed) > 0;
        let ends = match contract {
            AtMostOnce => !mistakes.has(Mistake::OffersAtMostOnceAgain),
            Idempotent => later && !mistakes.has(Mistake::ReopensBehindALaterOne),
            _ => false,
        };
        if ends {
            self.kernel_replies(position, Kind::Interrupted, request, wrong);
        } else if poisons && again {
            self.kernel_replies(position, Kind::Poisoned, request, wrong);
        }
    }

    /// The server is dead, last step: its words say where its next incarnation begins.
    fn finish_server(&mut self, consumed: u32, mistakes: Mistakes) {
        let replayed = ahead(consumed, self.replayed).max(self.taken.wrapping_sub(consumed));
        self.replayed = if mistakes.has(Mistake::ComparesPlainly) {
            self.replayed.max(self.taken)
        } else {
            consumed.wrapping_add(replayed)
        };
        for at in 0..SLOTS {
            // What was not in hand at this death was not in hand at two in a row.
            if self.held[at].is_some_and(|held| !behind(held.position, self.taken) || self.replied(held.position)) {
                self.held[at] = if mistakes.has(Mistake::RemembersBySlot) { self.held[at] } else { None };
            }
        }
        if !mistakes.has(Mistake::SealsByAnswered) {
            self.answered = consumed;
            self.answered = self.proven_answered();
        }
        self.taken = self.answered;
        self.sealed_taken = self.taken;
        self.sealed_answered = self.answered;
    }
}

/// What the devices and the application saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Ghost {
    wrong: Wrong,
    /// Effects, or steps, by request.
    effects: [u8; REQUESTS],
    /// The last request with an effect, plus one.
    latest: u8,
    /// Deaths with the request in hand, by request.
    in_hand: [u8; REQUESTS],
    /// Replies delivered.
    heard: u8,
    /// This incarnation of the client has had a reply.
    told: bool,
    /// Deaths by a deadly request, by request.
    killed: [u8; REQUESTS],
}

impl Ghost {
    fn effect(&mut self, request: u8, contract: Contract, step: u8) {
        let count = &mut self.effects[request as usize];
        match contract {
            Resumable => self.wrong.note(Wrong::STEP, step != *count),
            AtMostOnce => self.wrong.note(Wrong::TWICE, *count > 0),
            _ => {}
        }
        *count = (*count + 1).min(STEPS + 1);
        self.wrong.note(Wrong::ORDER, request + 1 < self.latest);
        self.latest = self.latest.max(request + 1);
    }

    fn deliver(&mut self, request: u8, contract: Contract, reply: Reply) {
        // The first reply of an incarnation may be the last one of the incarnation before.
        let again = !self.told && request + 1 == self.heard;
        self.wrong.note(Wrong::DELIVERY, request != self.heard && !again);
        self.heard = self.heard.max(request + 1);
        self.told = true;
        self.wrong.note(Wrong::MISMATCH, reply.to != request);
        let effects = self.effects[request as usize];
        let done = match contract {
            Pure | Deadly => true,
            Idempotent => effects >= 1,
            Resumable => effects == STEPS,
            AtMostOnce => effects == 1,
        };
        self.wrong.note(Wrong::UNDONE, reply.kind == Kind::Plain && !done);
        self.wrong.note(Wrong::PROGRESS, contract == Resumable && reply.progress != effects);
        let deaths = self.in_hand[request as usize];
        self.wrong.note(Wrong::POISONED, reply.kind == Kind::Poisoned && deaths < 2);
    }
}

/// Where a component is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Life {
    Up,
    /// Dead, its words as it left them.
    Down,
    /// The kernel is at `next`; the client had consumed up to `consumed` when it began.
    Sealing {
        consumed: u32,
        next: u32,
    },
    Sealed,
    /// Given up: the kernel answers in its place. Awake or waiting for the bell.
    Gone {
        awake: bool,
    },
}

// ---------------------------------------------------------------------------------------------
// The service
// ---------------------------------------------------------------------------------------------

/// The service model.
struct Service {
    contracts: Vec<Vec<Contract>>,
    deaths: u8,
    bad_replies: u8,
    deadlines: u8,
    gives_up: bool,
    first: u32,
    /// `replayed` as it is long after the last death: this far behind.
    stale: u32,
    mistakes: Mistakes,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            contracts: every(3),
            deaths: 2,
            bad_replies: 0,
            deadlines: 0,
            gives_up: false,
            first: 0,
            stale: 0,
            mistakes: Mistakes::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sending {
    Idle,
    Written,
    Committed,
    Stored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Waiting {
    Looking,
    /// Only with a mistake: has looked, and will clear its bell.
    Clearing,
    Asleep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Receiving {
    Wait(Waiting),
    Delivered,
    /// Only with a mistake: consumed, not delivered.
    Consumed(Reply),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Serving {
    Wait(Waiting),
    Skipping,
    Copied,
    Reset,
    Taken,
    /// Only with a mistake: taken, progress not reset.
    Unreset,
    Running,
    /// Only with a mistake: between a device step and its count.
    HalfStep,
    Ran,
    Written,
    Committed,
    Answered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Server {
    life: Life,
    serving: Serving,
    /// The position being served.
    position: u32,
    /// How many of the next positions are replays, counted down: never compared again.
    replays: u8,
    /// The position being served is a replay.
    replay: bool,
    expired: bool,
    epoch: u8,
}

impl Server {
    const NEW: Self = Self {
        life: Life::Up,
        serving: Serving::Wait(Waiting::Looking),
        position: 0,
        replays: 0,
        replay: false,
        expired: false,
        epoch: 1,
    };

    fn born(&mut self, port: &Port) {
        let epoch = self.epoch + 1;
        *self = Self { epoch, ..Self::NEW };
        self.replays = ahead(port.taken, port.replayed) as u8;
    }

    fn dies(&mut self) {
        *self = Self { life: Life::Down, epoch: self.epoch, ..Self::NEW };
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Complaint {
    position: u32,
    epoch: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ServiceState {
    contracts: [Contract; REQUESTS],
    requests: u8,
    port: Port,
    client: Life,
    sending: Sending,
    receiving: Receiving,
    server: Server,
    client_bell: bool,
    server_bell: bool,
    complaints: [Option<Complaint>; 2],
    deaths: u8,
    bad_replies: u8,
    deadlines: u8,
    /// Requests whose deadline has passed.
    expired: u8,
    ghost: Ghost,
}

impl Watched for ServiceState {
    fn wrong(&self) -> Wrong {
        self.ghost.wrong
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ServiceStep {
    ClientSends,
    ClientReceives,
    ServerServes,
    ServerSpoilsReply,
    KernelSealsServer,
    KernelSealsClient,
    KernelStartsServer,
    KernelStartsClient,
    KernelHearsComplaint,
    KernelGivesUp,
    KernelAnswersGone,
    DeadlinePasses(u8),
    ClientDies,
    ServerDies,
}

/// The steps that must go on by themselves: without one of them nothing happens any more.
const SERVICE_STEPS: [ServiceStep; 9] = [
    ServiceStep::ServerServes,
    ServiceStep::ClientReceives,
    ServiceStep::ClientSends,
    ServiceStep::KernelSealsServer,
    ServiceStep::KernelSealsClient,
    ServiceStep::KernelStartsServer,
    ServiceStep::KernelStartsClient,
    ServiceStep::KernelHearsComplaint,
    ServiceStep::KernelAnswersGone,
];

/// Looks for work the way every waiter does: clear the bell, then look, then sleep.
fn wakes(bell: &mut bool, mistakes: Mistakes) -> Option<Waiting> {
    if !*bell {
        return None;
    }
    if !mistakes.has(Mistake::ClearsTheBellAfterLooking) {
        *bell = false;
    }
    Some(Waiting::Looking)
}

fn finds_nothing(mistakes: Mistakes) -> Waiting {
    if mistakes.has(Mistake::ClearsTheBellAfterLooking) { Waiting::Clearing } else { Waiting::Asleep }
}

impl Service {
    fn index(&self, position: u32) -> u8 {
        position.wrapping_sub(self.first) as u8
    }

    fn done(&self, state: &ServiceState) -> bool {
        self.index(state.port.consumed) == state.requests && state.ghost.heard == state.requests
    }

    fn step(&self, last: &ServiceState, step: ServiceStep) -> Option<ServiceState> {
        let mut state = last.clone();
        let moved = match step {
            ServiceStep::ClientSends => last.client == Life::Up && self.client_sends(&mut state),
            ServiceStep::ClientReceives => last.client == Life::Up && self.client_receives(&mut state),
            ServiceStep::ServerServes => last.server.life == Life::Up && self.server_serves(&mut state, false),
            ServiceStep::ServerSpoilsReply => {
                last.server.life == Life::Up && last.bad_replies > 0 && self.server_serves(&mut state, true)
            }
            ServiceStep::KernelSealsServer => self.kernel_seals_server(&mut state),
            ServiceStep::KernelSealsClient => self.kernel_seals_client(&mut state),
            ServiceStep::KernelStartsServer => {
                state.server.born(&state.port);
                last.server.life == Life::Sealed
            }
            ServiceStep::KernelStartsClient => {
                state.client = Life::Up;
                last.client == Life::Sealed
            }
            ServiceStep::KernelHearsComplaint => self.kernel_hears(&mut state),
            ServiceStep::KernelGivesUp => {
                state.server.life = Life::Gone { awake: true };
                self.gives_up && last.server.life == Life::Sealed
            }
            ServiceStep::KernelAnswersGone => self.kernel_answers_gone(&mut state),
            ServiceStep::DeadlinePasses(request) => {
                let at = self.first.wrapping_add(u32::from(request));
                let waits = !behind(at, last.port.consumed) && behind(at, last.port.sent);
                state.expired |= 1 << request;
                state.deadlines = last.deadlines.saturating_sub(1);
                waits && last.deadlines > 0 && last.expired & 1 << request == 0
            }
            ServiceStep::ClientDies => {
                state.client = Life::Down;
                state.sending = Sending::Idle;
                state.receiving = Receiving::Wait(Waiting::Looking);
                state.ghost.told = false;
                state.deaths = last.deaths.saturating_sub(1);
                last.deaths > 0 && last.client == Life::Up
            }
            ServiceStep::ServerDies => {
                state.server.dies();
                state.deaths = last.deaths.saturating_sub(1);
                last.deaths > 0 && last.server.life == Life::Up
            }
        };
        moved.then_some(state)
    }

    fn client_sends(&self, state: &mut ServiceState) -> bool {
        let early = self.mistakes.has(Mistake::SendsBeforeCommit);
        let port = &mut state.port;
        let position = port.sent;
        match state.sending {
            Sending::Idle => {
                let extra = self.mistakes.has(Mistake::SendsWithoutRoom);
                let outstanding = position.wrapping_sub(port.consumed);
                let room = outstanding < RING || extra && outstanding == RING;
                if self.index(position) >= state.requests || !room {
                    return false;
                }
                // The request that had this slot must be through; and nothing committed is changed.
                let through = behind(position.wrapping_sub(RING), port.consumed) && !port.asked(position);
                state.ghost.wrong.note(Wrong::OVERWRITTEN, !through);
                port.requests[slot(position)].request = self.index(position);
                state.sending = Sending::Written;
            }
            Sending::Written if early => {
                port.sent = position.wrapping_add(1);
                state.sending = Sending::Committed;
            }
            Sending::Written => {
                port.requests[slot(position)].sequence = position.wrapping_add(1);
                state.sending = Sending::Committed;
            }
            Sending::Committed if early => {
                port.requests[slot(position.wrapping_sub(1))].sequence = position;
                state.sending = Sending::Stored;
            }
            Sending::Committed => {
                port.sent = position.wrapping_add(1);
                state.sending = Sending::Stored;
            }
            Sending::Stored => {
                state.server_bell = true;
                state.sending = Sending::Idle;
            }
        }
        true
    }

    fn client_receives(&self, state: &mut ServiceState) -> bool {
        let position = state.port.consumed;
        let request = self.index(position);
        match state.receiving {
            Receiving::Wait(Waiting::Looking) => {
                let found = state.port.replies[slot(position)];
                if !state.port.replied(position) {
                    state.receiving = Receiving::Wait(finds_nothing(self.mistakes));
                } else if found.reply.bad {
                    let complaint = Complaint { position, epoch: found.epoch };
                    // The same complaint may come twice: from one incarnation and from the next.
                    if let Some(free) = state.complaints.iter_mut().find(|one| one.is_none()) {
                        *free = Some(complaint);
                    }
                    state.receiving = Receiving::Wait(finds_nothing(self.mistakes));
                } else if self.mistakes.has(Mistake::ConsumesBeforeDelivering) {
                    state.port.consumed = position.wrapping_add(1);
                    state.receiving = Receiving::Consumed(found.reply);
                } else {
                    let contract = state.contracts[request as usize % REQUESTS];
                    state.ghost.deliver(request, contract, found.reply);
                    state.receiving = Receiving::Delivered;
                }
            }
            Receiving::Wait(Waiting::Clearing) => {
                state.client_bell = false;
                state.receiving = Receiving::Wait(Waiting::Asleep);
            }
            Receiving::Wait(Waiting::Asleep) => match wakes(&mut state.client_bell, self.mistakes) {
                Some(waiting) => state.receiving = Receiving::Wait(waiting),
                None => return false,
            },
            Receiving::Delivered => {
                state.port.consumed = position.wrapping_add(1);
                state.receiving = Receiving::Wait(Waiting::Looking);
            }
            Receiving::Consumed(reply) => {
                let request = request.wrapping_sub(1);
                state.ghost.deliver(request, state.contracts[request as usize], reply);
                state.receiving = Receiving::Wait(Waiting::Looking);
            }
        }
        true
    }

    /// One step of the server; `spoils` is the same step with a reply that cannot be decoded.
    fn server_serves(&self, state: &mut ServiceState, spoils: bool) -> bool {
        let mistakes = self.mistakes;
        let ServiceState { port, server, ghost, .. } = state;
        let position = server.position;
        let at = slot(position);
        let request = self.index(position);
        let contract = state.contracts[request as usize % REQUESTS];
        let writes = match server.serving {
            Serving::Running => matches!(contract, Pure) || contract == Resumable && port.replies[at].progress >= STEPS,
            Serving::Taken => server.expired,
            Serving::Ran => true,
            _ => false,
        };
        if spoils && !writes {
            return false;
        }
        let kind = if server.expired { Kind::Expired } else { Kind::Plain };
        let reply = Reply { kind, to: request, progress: port.replies[at].progress, bad: spoils };
        let commits_first = mistakes.has(Mistake::CommitsBeforeWriting);
        if writes {
            ghost.wrong.note(Wrong::OVERWRITTEN, !port.may_reply(position));
            if commits_first {
                port.replies[at].sequence = position.wrapping_add(1);
            } else {
                port.replies[at].reply = reply;
            }
            state.bad_replies -= u8::from(spoils);
            server.serving = Serving::Written;
            return true;
        }
        server.serving = match server.serving {
            Serving::Wait(Waiting::Looking) => {
                let position = port.taken;
                let replay = if mistakes.has(Mistake::ComparesPlainly) {
                    position < port.replayed
                } else if mistakes.has(Mistake::ComparesBySign) {
                    behind(position, port.replayed)
                } else {
                    server.replays > 0
                };
                let skips = replay && port.replied(position) && !mistakes.has(Mistake::DoesNotSkip);
                // The skip comes first: the client may have used the request slot again by now.
                if skips && (port.asked(position) || !mistakes.has(Mistake::SkipsAfterLooking)) {
                    port.taken = position.wrapping_add(1);
                    server.replays = server.replays.saturating_sub(1);
                    server.position = position;
                    Serving::Skipping
                } else if port.asked(position) {
                    let copied = port.requests[slot(position)].request;
                    ghost.wrong.note(Wrong::MISMATCH, copied != self.index(position));
                    server.position = position;
                    server.replay = replay;
                    server.replays = server.replays.saturating_sub(1);
                    Serving::Copied
                } else {
                    Serving::Wait(finds_nothing(mistakes))
                }
            }
            Serving::Wait(Waiting::Clearing) => {
                state.server_bell = false;
                Serving::Wait(Waiting::Asleep)
            }
            Serving::Wait(Waiting::Asleep) => match wakes(&mut state.server_bell, mistakes) {
                Some(waiting) => Serving::Wait(waiting),
                None => return false,
            },
            Serving::Skipping => {
                port.answered = position.wrapping_add(1);
                Serving::Wait(Waiting::Looking)
            }
            Serving::Copied if contract == Deadly && mistakes.has(Mistake::DecodesBeforeTaking) => {
                return self.is_killed(state, request);
            }
            Serving::Copied if mistakes.has(Mistake::ExpiresBeforeTheReset) && state.expired & 1 << request != 0 => {
                server.expired = true;
                port.taken = position.wrapping_add(1);
                Serving::Taken
            }
            Serving::Copied if mistakes.has(Mistake::TakesBeforeTheReset) && !server.replay => {
                port.taken = position.wrapping_add(1);
                Serving::Unreset
            }
            Serving::Copied if server.replay && !mistakes.has(Mistake::ResetsAReplay) => Serving::Reset,
            Serving::Copied => {
                port.replies[at].progress = 0;
                Serving::Reset
            }
            Serving::Unreset => {
                port.replies[at].progress = 0;
                Serving::Taken
            }
            Serving::Reset if mistakes.has(Mistake::TakesAfterTheMethod) => Serving::Running,
            Serving::Reset => {
                port.taken = position.wrapping_add(1);
                server.expired = state.expired & 1 << request != 0;
                Serving::Taken
            }
            Serving::Taken => Serving::Running,
            Serving::Running if contract == Deadly => return self.is_killed(state, request),
            Serving::Running | Serving::HalfStep if contract == Resumable => {
                let before = mistakes.has(Mistake::CountsBeforeTheStep);
                let after = mistakes.has(Mistake::CountsAfterTheStep);
                let half = server.serving == Serving::HalfStep;
                if after && half || !after && !half {
                    port.replies[at].progress += 1;
                }
                let step = port.replies[at].progress - u8::from(!after);
                if before && half || !before && !half {
                    ghost.effect(request, contract, step);
                }
                if (before || after) && !half { Serving::HalfStep } else { Serving::Running }
            }
            Serving::Running => {
                ghost.effect(request, contract, 0);
                Serving::Ran
            }
            Serving::Written if commits_first => {
                port.replies[at].reply = reply;
                Serving::Committed
            }
            Serving::Written => {
                if mistakes.has(Mistake::TakesAfterTheMethod) {
                    port.taken = position.wrapping_add(1);
                }
                port.replies[at].epoch = server.epoch;
                port.replies[at].sequence = position.wrapping_add(1);
                Serving::Committed
            }
            Serving::Committed => {
                port.answered = position.wrapping_add(1);
                Serving::Answered
            }
            Serving::Answered => {
                state.client_bell = true;
                server.expired = false;
                Serving::Wait(Waiting::Looking)
            }
            Serving::HalfStep | Serving::Ran => unreachable!("handled above"),
        };
        true
    }

    /// A deadly request kills its server.
    fn is_killed(&self, state: &mut ServiceState, request: u8) -> bool {
        let killed = &mut state.ghost.killed[request as usize];
        *killed += 1;
        // Twice, and once more for each death from outside that came between.
        let others = (self.deaths - state.deaths) + (self.bad_replies - state.bad_replies);
        state.ghost.wrong.note(Wrong::DEADLY, *killed > 2 + others);
        state.server.dies();
        // Beyond this the model would go on without end.
        state.ghost.killed[request as usize] < 4 + self.deaths + self.bad_replies
    }

    fn kernel_seals_server(&self, state: &mut ServiceState) -> bool {
        let ServiceState { port, server, ghost, .. } = state;
        match server.life {
            Life::Down if self.mistakes.has(Mistake::DoesNotSeal) => {
                state.client_bell = true;
                server.life = Life::Sealed;
            }
            Life::Down => {
                let consumed = port.clamp_server(self.mistakes, &mut ghost.wrong);
                server.life = Life::Sealing { consumed, next: consumed };
            }
            Life::Sealing { consumed, next } if next == port.taken => {
                port.finish_server(consumed, self.mistakes);
                state.client_bell |= !self.mistakes.has(Mistake::SealDoesNotRing);
                server.life = Life::Sealed;
            }
            Life::Sealing { consumed, next } => {
                let request = self.index(next) as usize % REQUESTS;
                if !port.replied(next) {
                    ghost.in_hand[request] = (ghost.in_hand[request] + 1).min(2);
                }
                port.seal_position(next, state.contracts[request], true, self.mistakes, &mut ghost.wrong);
                server.life = Life::Sealing { consumed, next: next.wrapping_add(1) };
            }
            _ => return false,
        }
        true
    }

    fn kernel_seals_client(&self, state: &mut ServiceState) -> bool {
        // The kernel does one thing at a time.
        if state.client != Life::Down || matches!(state.server.life, Life::Sealing { .. }) {
            return false;
        }
        state.port.seal_client(self.mistakes, &mut state.ghost.wrong);
        state.server_bell |= !self.mistakes.has(Mistake::SealDoesNotRing);
        state.client = Life::Sealed;
        true
    }

    fn kernel_hears(&self, state: &mut ServiceState) -> bool {
        let Some(complaint) = state.complaints[0] else { return false };
        if matches!(state.server.life, Life::Sealing { .. }) {
            return false;
        }
        state.complaints = [state.complaints[1], None];
        let ServiceState { port, server, ghost, .. } = state;
        let found = port.replies[slot(complaint.position)];
        let named = found.epoch == complaint.epoch || self.mistakes.has(Mistake::ComplainsWithoutEpoch);
        if !port.replied(complaint.position) || !named {
            return true;
        }
        port.reopen(complaint.position);
        if let Life::Gone { .. } = server.life {
            port.kernel_replies(complaint.position, Kind::Gone, found.reply.to, &mut ghost.wrong);
            state.client_bell = true;
        } else {
            server.dies();
        }
        true
    }

    fn kernel_answers_gone(&self, state: &mut ServiceState) -> bool {
        let Life::Gone { awake } = state.server.life else { return false };
        let port = &mut state.port;
        let position = port.answered;
        if awake {
            if port.replied(position) {
                port.answered = position.wrapping_add(1);
            } else if port.asked(position) {
                let at = slot(position);
                if !behind(position, port.replayed) {
                    port.replies[at].progress = 0;
                }
                let request = port.requests[at].request;
                port.kernel_replies(position, Kind::Gone, request, &mut state.ghost.wrong);
                port.answered = position.wrapping_add(1);
                state.client_bell = true;
            } else {
                state.server.life = Life::Gone { awake: false };
            }
        } else {
            if !state.server_bell || self.mistakes.has(Mistake::AnswersGoneOnce) {
                return false;
            }
            state.server_bell = false;
            state.server.life = Life::Gone { awake: true };
        }
        true
    }
}

impl Model for Service {
    type State = ServiceState;
    type Action = ServiceStep;

    fn init_states(&self) -> Vec<ServiceState> {
        let state = |contracts: &Vec<Contract>| {
            let mut all = [Pure; REQUESTS];
            all[..contracts.len()].copy_from_slice(contracts);
            let mut port = Port::new(self.first);
            port.replayed = self.first.wrapping_sub(self.stale);
            let mut server = Server::NEW;
            server.replays = ahead(port.taken, port.replayed) as u8;
            ServiceState {
                contracts: all,
                requests: contracts.len() as u8,
                port,
                client: Life::Up,
                sending: Sending::Idle,
                receiving: Receiving::Wait(Waiting::Looking),
                server,
                client_bell: false,
                server_bell: false,
                complaints: [None; 2],
                deaths: self.deaths,
                bad_replies: self.bad_replies,
                deadlines: self.deadlines,
                expired: 0,
                ghost: Ghost::default(),
            }
        };
        self.contracts.iter().map(state).collect()
    }

    fn actions(&self, state: &ServiceState, actions: &mut Vec<ServiceStep>) {
        actions.extend(SERVICE_STEPS);
        if state.bad_replies > 0 {
            actions.push(ServiceStep::ServerSpoilsReply);
        }
        if self.gives_up {
            actions.push(ServiceStep::KernelGivesUp);
        }
        if state.deadlines > 0 {
            actions.extend((0..state.requests).map(ServiceStep::DeadlinePasses));
        }
        if state.deaths > 0 {
            actions.extend([ServiceStep::ClientDies, ServiceStep::ServerDies]);
        }
    }

    fn next_state(&self, last: &ServiceState, step: ServiceStep) -> Option<ServiceState> {
        self.step(last, step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut rules = service_rules();
        rules.push(Property::always("every request ends answered", |model: &Self, state: &ServiceState| {
            model.done(state) || SERVICE_STEPS.iter().any(|&step| model.step(state, step).is_some())
        }));
        rules
    }
}

// ---------------------------------------------------------------------------------------------
// The router
// ---------------------------------------------------------------------------------------------

/// The router model: a client, SOS, a driver.
struct Router {
    contracts: Vec<Vec<Contract>>,
    deaths: u8,
    bad_replies: u8,
    deadlines: u8,
    first: u32,
    mistakes: Mistakes,
}

impl Default for Router {
    fn default() -> Self {
        Self { contracts: every(3), deaths: 2, bad_replies: 0, deadlines: 0, first: 0, mistakes: Mistakes::default() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Forwarding {
    /// Has not yet taken up again what was in hand.
    Born,
    Idle,
    /// Must forward this position.
    Forward,
    /// Has written that this position is expired, and must commit it.
    Expired,
    /// Has committed that, and must store `answered`.
    Settled,
    Written,
    Committed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Answering {
    Idle,
    Written,
    Committed,
    Answered,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct RouterState {
    contracts: [Contract; REQUESTS],
    requests: u8,
    /// Between the client and SOS.
    upper: Port,
    /// Between SOS and the driver.
    lower: Port,
    router: Life,
    forwarding: Forwarding,
    answering: Answering,
    /// The next position that the forwarding task looks at.
    cursor: u32,
    driver: Server,
    deaths: u8,
    bad_replies: u8,
    deadlines: u8,
    /// Requests whose deadline has passed.
    expired: u8,
    ghost: Ghost,
}

impl Watched for RouterState {
    fn wrong(&self) -> Wrong {
        self.ghost.wrong
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum RouterStep {
    ClientSends,
    ClientReceives,
    RouterForwards,
    RouterAnswers,
    RouterSpoilsAnswer,
    KernelSealsRouter,
    KernelStartsRouter,
    DriverServes,
    KernelSealsDriver,
    DeadlinePasses(u8),
    RouterDies,
    DriverDies,
}

const ROUTER_STEPS: [RouterStep; 8] = [
    RouterStep::DriverServes,
    RouterStep::RouterForwards,
    RouterStep::RouterAnswers,
    RouterStep::ClientReceives,
    RouterStep::ClientSends,
    RouterStep::KernelSealsRouter,
    RouterStep::KernelStartsRouter,
    RouterStep::KernelSealsDriver,
];

impl Router {
    fn index(&self, position: u32) -> u8 {
        position.wrapping_sub(self.first) as u8
    }

    fn done(&self, state: &RouterState) -> bool {
        self.index(state.upper.consumed) == state.requests && state.ghost.heard == state.requests
    }

    fn step(&self, last: &RouterState, step: RouterStep) -> Option<RouterState> {
        let mut state = last.clone();
        let moved = match step {
            RouterStep::ClientSends => self.client_sends(&mut state),
            RouterStep::ClientReceives => self.client_receives(&mut state),
            RouterStep::RouterForwards => last.router == Life::Up && self.router_forwards(&mut state),
            RouterStep::RouterAnswers => last.router == Life::Up && self.router_answers(&mut state, false),
            RouterStep::RouterSpoilsAnswer => {
                last.router == Life::Up && last.bad_replies > 0 && self.router_answers(&mut state, true)
            }
            RouterStep::KernelSealsRouter => self.kernel_seals_router(&mut state),
            RouterStep::KernelStartsRouter => {
                state.router = Life::Up;
                last.router == Life::Sealed
            }
            RouterStep::DriverServes => last.driver.life == Life::Up && self.driver_serves(&mut state),
            RouterStep::KernelSealsDriver => self.kernel_seals_driver(&mut state),
            RouterStep::DeadlinePasses(request) => {
                let at = self.first.wrapping_add(u32::from(request));
                let waits = !behind(at, last.upper.consumed) && behind(at, last.upper.sent);
                state.expired |= 1 << request;
                state.deadlines = last.deadlines.saturating_sub(1);
                waits && last.deadlines > 0 && last.expired & 1 << request == 0
            }
            RouterStep::RouterDies => {
                router_dies(&mut state);
                state.deaths = last.deaths.saturating_sub(1);
                last.deaths > 0 && last.router == Life::Up
            }
            RouterStep::DriverDies => {
                state.driver.dies();
                state.deaths = last.deaths.saturating_sub(1);
                last.deaths > 0 && last.driver.life == Life::Up
            }
        };
        moved.then_some(state)
    }

    fn client_sends(&self, state: &mut RouterState) -> bool {
        let position = state.upper.sent;
        if self.index(position) >= state.requests || !state.upper.room() {
            return false;
        }
        let request = self.index(position);
        state.upper.requests[slot(position)] = RequestSlot { sequence: position.wrapping_add(1), request, origin: 0 };
        state.upper.sent = position.wrapping_add(1);
        true
    }

    fn client_receives(&self, state: &mut RouterState) -> bool {
        let position = state.upper.consumed;
        if !state.upper.replied(position) {
            return false;
        }
        let request = self.index(position);
        let contract = state.contracts[request as usize % REQUESTS];
        let reply = state.upper.replies[slot(position)].reply;
        if reply.bad {
            // The complaint: SOS is stopped, and what ended below it does not begin anew.
            router_dies(state);
            state.upper.reopen(position);
            if contract == Resumable && !self.mistakes.has(Mistake::ReopensResumable) {
                let to = reply.to;
                state.upper.kernel_replies(position, Kind::Interrupted, to, &mut state.ghost.wrong);
            }
        } else {
            state.ghost.deliver(request, contract, reply);
            state.upper.consumed = position.wrapping_add(1);
        }
        true
    }

    /// The position below, if any, that carries `origin` and waits for its reply to be consumed.
    fn forwarded(&self, lower: &Port, origin: u32) -> bool {
        (0..lower.sent.wrapping_sub(lower.consumed))
            .map(|further| lower.consumed.wrapping_add(further))
            .any(|position| lower.requests[slot(position)].origin == origin)
    }

    fn router_forwards(&self, state: &mut RouterState) -> bool {
        let RouterState { upper, lower, ghost, .. } = state;
        let position = state.cursor;
        let below = lower.sent;
        state.forwarding = match state.forwarding {
            Forwarding::Born => {
                state.cursor = upper.answered;
                let in_hand = ahead(upper.taken, upper.replayed);
                if !self.mistakes.has(Mistake::AnswersBeforeTakingAgain) {
                    upper.taken = upper.taken.wrapping_add(in_hand);
                }
                Forwarding::Idle
            }
            Forwarding::Idle if behind(position, upper.taken) => {
                let claims = !self.mistakes.has(Mistake::ForwardsAgain);
                let request = self.index(position);
                // Looked at in both cases below: whether it runs, the driver alone knows.
                let expires = state.expired & 1 << request != 0
                    && (self.mistakes.has(Mistake::ExpiresWhatIsForwarded) || !self.forwarded(lower, position));
                if expires && !behind(position, upper.answered) && !upper.replied(position) {
                    ghost.wrong.note(Wrong::OVERWRITTEN, !upper.may_reply(position));
                    let one = &mut upper.replies[slot(position)];
                    one.reply = Reply { kind: Kind::Expired, to: request, progress: 0, bad: false };
                    Forwarding::Expired
                } else if behind(position, upper.answered)
                    || upper.replied(position)
                    || claims && self.forwarded(lower, position)
                {
                    state.cursor = position.wrapping_add(1);
                    Forwarding::Idle
                } else {
                    Forwarding::Forward
                }
            }
            Forwarding::Expired => {
                upper.replies[slot(position)].sequence = position.wrapping_add(1);
                Forwarding::Settled
            }
            Forwarding::Settled => {
                upper.answered = upper.proven_answered();
                Forwarding::Idle
            }
            Forwarding::Idle if upper.replied(position) => {
                // Only with a mistake: nothing above `taken` has a reply.
                upper.taken = position.wrapping_add(1);
                Forwarding::Idle
            }
            Forwarding::Idle => {
                if !upper.asked(position) {
                    return false;
                }
                let copied = upper.requests[slot(position)].request;
                ghost.wrong.note(Wrong::MISMATCH, copied != self.index(position));
                if self.mistakes.has(Mistake::ForwardsBeforeTaking) {
                    Forwarding::Forward
                } else {
                    upper.taken = position.wrapping_add(1);
                    Forwarding::Idle
                }
            }
            Forwarding::Forward => {
                if !lower.room() {
                    return false;
                }
                ghost.wrong.note(Wrong::OVERWRITTEN, lower.asked(below));
                let request = self.index(position);
                let one = &mut lower.requests[slot(below)];
                (one.request, one.origin) = (request, position);
                Forwarding::Written
            }
            Forwarding::Written => {
                lower.requests[slot(below)].sequence = below.wrapping_add(1);
                Forwarding::Committed
            }
            Forwarding::Committed => {
                lower.sent = below.wrapping_add(1);
                if behind(upper.taken, position.wrapping_add(1)) {
                    upper.taken = position.wrapping_add(1);
                }
                state.cursor = position.wrapping_add(1);
                Forwarding::Idle
            }
        };
        true
    }

    fn router_answers(&self, state: &mut RouterState, spoils: bool) -> bool {
        let early = self.mistakes.has(Mistake::ConsumesBeforeAnswering);
        let RouterState { upper, lower, ghost, .. } = state;
        let below =
            if early && state.answering != Answering::Idle { lower.consumed.wrapping_sub(1) } else { lower.consumed };
        let position = lower.requests[slot(below)].origin;
        if spoils && state.answering != Answering::Idle {
            return false;
        }
        state.answering = match state.answering {
            Answering::Idle => {
                if state.forwarding == Forwarding::Born || !lower.replied(below) {
                    return false;
                }
                let settled = upper.replied(position) && !self.mistakes.has(Mistake::DropsByAnswered);
                if behind(position, upper.answered) || settled {
                    lower.consumed = below.wrapping_add(1);
                    if spoils {
                        return false;
                    }
                    Answering::Idle
                } else {
                    let reply = lower.replies[slot(below)].reply;
                    ghost.wrong.note(Wrong::OVERWRITTEN, !upper.may_reply(position));
                    let one = &mut upper.replies[slot(position)];
                    one.reply = Reply { bad: spoils, ..reply };
                    // For the seal: a request that is not resumed by SOS has no progress here.
                    one.progress = reply.progress;
                    state.bad_replies -= u8::from(spoils);
                    if early {
                        lower.consumed = below.wrapping_add(1);
                    }
                    Answering::Written
                }
            }
            Answering::Written => {
                upper.replies[slot(position)].sequence = position.wrapping_add(1);
                Answering::Committed
            }
            Answering::Committed => {
                // Behind a reopened request the replies wait until that one is answered again.
                upper.answered = upper.proven_answered();
                Answering::Answered
            }
            Answering::Answered => {
                if !early {
                    lower.consumed = below.wrapping_add(1);
                }
                Answering::Idle
            }
        };
        true
    }

    fn kernel_seals_router(&self, state: &mut RouterState) -> bool {
        if state.router != Life::Down {
            return false;
        }
        let RouterState { upper, lower, ghost, .. } = state;
        let consumed = upper.clamp_server(self.mistakes, &mut ghost.wrong);
        for further in 0..upper.taken.wrapping_sub(consumed) {
            let position = consumed.wrapping_add(further);
            let contract = state.contracts[self.index(position) as usize % REQUESTS];
            upper.seal_position(position, contract, false, self.mistakes, &mut ghost.wrong);
        }
        upper.finish_server(consumed, self.mistakes);
        lower.seal_client(self.mistakes, &mut ghost.wrong);
        state.router = Life::Sealed;
        true
    }

    /// The driver in larger steps than in the service model, which looks at the small ones.
    fn driver_serves(&self, state: &mut RouterState) -> bool {
        let RouterState { lower, driver, ghost, .. } = state;
        let position = driver.position;
        let at = slot(position);
        let request = lower.requests[at].request;
        let contract = state.contracts[request as usize % REQUESTS];
        driver.serving = match driver.serving {
            Serving::Wait(_) => {
                let position = lower.taken;
                let replay = driver.replays > 0;
                let skips = replay && lower.replied(position);
                if !skips && !lower.asked(position) {
                    return false;
                }
                driver.position = position;
                driver.replays = driver.replays.saturating_sub(1);
                if !replay {
                    lower.replies[slot(position)].progress = 0;
                }
                lower.taken = position.wrapping_add(1);
                if skips { Serving::Committed } else { Serving::Running }
            }
            Serving::Running if contract == Resumable && lower.replies[at].progress < STEPS => {
                ghost.effect(request, contract, lower.replies[at].progress);
                lower.replies[at].progress += 1;
                Serving::Running
            }
            Serving::Running if matches!(contract, Idempotent | AtMostOnce) => {
                ghost.effect(request, contract, 0);
                Serving::Ran
            }
            Serving::Running | Serving::Ran => {
                ghost.wrong.note(Wrong::OVERWRITTEN, !lower.may_reply(position));
                let one = &mut lower.replies[at];
                one.reply = Reply { kind: Kind::Plain, to: request, progress: one.progress, bad: false };
                one.epoch = driver.epoch;
                one.sequence = position.wrapping_add(1);
                Serving::Committed
            }
            _ => {
                lower.answered = position.wrapping_add(1);
                Serving::Wait(Waiting::Looking)
            }
        };
        true
    }

    /// Seals and starts the driver in one step.
    fn kernel_seals_driver(&self, state: &mut RouterState) -> bool {
        if state.driver.life != Life::Down {
            return false;
        }
        let RouterState { lower, driver, ghost, .. } = state;
        let consumed = lower.clamp_server(self.mistakes, &mut ghost.wrong);
        for further in 0..lower.taken.wrapping_sub(consumed) {
            let position = consumed.wrapping_add(further);
            let request = lower.requests[slot(position)].request as usize % REQUESTS;
            if !lower.replied(position) {
                ghost.in_hand[request] = (ghost.in_hand[request] + 1).min(2);
            }
            lower.seal_position(position, state.contracts[request], true, self.mistakes, &mut ghost.wrong);
        }
        lower.finish_server(consumed, self.mistakes);
        driver.born(lower);
        true
    }
}

fn router_dies(state: &mut RouterState) {
    state.router = Life::Down;
    state.forwarding = Forwarding::Born;
    state.answering = Answering::Idle;
    state.cursor = 0;
}

impl Model for Router {
    type State = RouterState;
    type Action = RouterStep;

    fn init_states(&self) -> Vec<RouterState> {
        let state = |contracts: &Vec<Contract>| {
            let mut all = [Pure; REQUESTS];
            all[..contracts.len()].copy_from_slice(contracts);
            RouterState {
                contracts: all,
                requests: contracts.len() as u8,
                upper: Port::new(self.first),
                // The positions below are others than those above.
                lower: Port::new(self.first.wrapping_add(5)),
                router: Life::Up,
                forwarding: Forwarding::Born,
                answering: Answering::Idle,
                cursor: 0,
                driver: Server::NEW,
                deaths: self.deaths,
                bad_replies: self.bad_replies,
                deadlines: self.deadlines,
                expired: 0,
                ghost: Ghost::default(),
            }
        };
        self.contracts.iter().map(state).collect()
    }

    fn actions(&self, state: &RouterState, actions: &mut Vec<RouterStep>) {
        actions.extend(ROUTER_STEPS);
        if state.bad_replies > 0 {
            actions.push(RouterStep::RouterSpoilsAnswer);
        }
        if state.deadlines > 0 {
            actions.extend((0..state.requests).map(RouterStep::DeadlinePasses));
        }
        if state.deaths > 0 {
            actions.extend([RouterStep::RouterDies, RouterStep::DriverDies]);
        }
    }

    fn next_state(&self, last: &RouterState, step: RouterStep) -> Option<RouterState> {
        self.step(last, step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut rules = service_rules();
        rules.push(Property::always("every request ends answered", |model: &Self, state: &RouterState| {
            model.done(state) || ROUTER_STEPS.iter().any(|&step| model.step(state, step).is_some())
        }));
        rules
    }
}

// ---------------------------------------------------------------------------------------------
// The stream
// ---------------------------------------------------------------------------------------------

/// Bytes, at most, in an item.
const BYTES: usize = 2;
/// The tag has one bit: the least that must do.
const TAG: u32 = 1;

/// The stream model.
struct Stream {
    /// How many bytes each item has at most: the producer may close it earlier, even empty.
    items: &'static [u8],
    deaths: u8,
    first: u32,
    mistakes: Mistakes,
}

impl Default for Stream {
    fn default() -> Self {
        Self { items: &[2, 2, 1, 1], deaths: 3, first: 0, mistakes: Mistakes::default() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ItemSlot {
    sequence: u32,
    count: u8,
    bytes: [u8; BYTES],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Filling {
    Wait(Waiting),
    Reset,
    Marked,
    /// Only with a mistake: a byte is out of the device and not yet counted.
    Popped(u8),
    Committed,
    Stored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Emptying {
    Wait(Waiting),
    Moving,
    /// Only with a mistake: between a byte and its count.
    HalfStep,
    /// Only with a mistake: between `consumed` and the reset of progress, in either order.
    Between,
    Consumed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct StreamState {
    slots: [ItemSlot; SLOTS],
    sent: u32,
    filling_word: u32,
    consumed: u32,
    /// The tag and the count.
    progress: (u8, u8),
    producer: Life,
    filling: Filling,
    consumer: Life,
    emptying: Emptying,
    producer_bell: bool,
    consumer_bell: bool,
    sealed_sent: u32,
    sealed_consumed: u32,
    /// The next byte that the first device gives.
    given: u8,
    /// The next byte that the second device must get.
    wanted: u8,
    deaths: u8,
    wrong: Wrong,
}

impl Watched for StreamState {
    fn wrong(&self) -> Wrong {
        self.wrong
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum StreamStep {
    ProducerFills,
    ProducerClosesEarly,
    ConsumerEmpties,
    KernelSealsProducer,
    KernelSealsConsumer,
    KernelStartsProducer,
    KernelStartsConsumer,
    ProducerDies,
    ConsumerDies,
}

const STREAM_STEPS: [StreamStep; 6] = [
    StreamStep::ProducerFills,
    StreamStep::ConsumerEmpties,
    StreamStep::KernelSealsProducer,
    StreamStep::KernelSealsConsumer,
    StreamStep::KernelStartsProducer,
    StreamStep::KernelStartsConsumer,
];

impl StreamState {
    fn ready(&self, position: u32) -> bool {
        self.slots[slot(position)].sequence == position.wrapping_add(1)
    }

    fn proven_sent(&self) -> u32 {
        let mut sent = self.sent;
        while self.ready(sent) {
            sent = sent.wrapping_add(1);
        }
        sent
    }

    fn push(&mut self, byte: u8) {
        self.wrong.note(Wrong::STEP, byte != self.wanted);
        self.wanted = byte + 1;
    }
}

impl Stream {
    fn index(&self, position: u32) -> usize {
        position.wrapping_sub(self.first) as usize
    }

    fn done(&self, state: &StreamState) -> bool {
        self.index(state.consumed) == self.items.len() && state.wanted == state.given
    }

    fn step(&self, last: &StreamState, step: StreamStep) -> Option<StreamState> {
        let mut state = last.clone();
        let rings = !self.mistakes.has(Mistake::StreamSealDoesNotRing);
        let moved = match step {
            StreamStep::ProducerFills => last.producer == Life::Up && self.fills(&mut state, false),
            StreamStep::ProducerClosesEarly => last.producer == Life::Up && self.fills(&mut state, true),
            StreamStep::ConsumerEmpties => last.consumer == Life::Up && self.empties(&mut state),
            StreamStep::KernelSealsProducer => {
                if !self.mistakes.has(Mistake::StreamSealsBySent) {
                    state.sent = last.proven_sent();
                }
                state.wrong.note(Wrong::BACK, behind(state.sent, last.sealed_sent));
                state.sealed_sent = state.sent;
                state.consumer_bell |= rings;
                state.producer = Life::Sealed;
                last.producer == Life::Down
            }
            StreamStep::KernelSealsConsumer => {
                let clamps = self.mistakes.has(Mistake::StreamClampsBySent);
                let most = if clamps { last.sent } else { last.proven_sent() };
                if behind(most, last.consumed) {
                    state.wrong.note(Wrong::BLAMED | Wrong::BACK, true);
                    state.consumed = most;
                }
                state.wrong.note(Wrong::BLAMED, behind(last.consumed, last.sealed_consumed));
                state.sealed_consumed = state.consumed;
                state.producer_bell |= rings;
                state.consumer = Life::Sealed;
                last.consumer == Life::Down
            }
            StreamStep::KernelStartsProducer => {
                let half = last.filling_word == last.sent.wrapping_add(1);
                if half && !self.mistakes.has(Mistake::BeginsTheSlotAnew) {
                    state.filling = Filling::Marked;
                }
                state.producer = Life::Up;
                last.producer == Life::Sealed
            }
            StreamStep::KernelStartsConsumer => {
                state.consumer = Life::Up;
                last.consumer == Life::Sealed
            }
            StreamStep::ProducerDies => {
                state.producer = Life::Down;
                state.filling = Filling::Wait(Waiting::Looking);
                state.deaths = last.deaths.saturating_sub(1);
                last.deaths > 0 && last.producer == Life::Up
            }
            StreamStep::ConsumerDies => {
                state.consumer = Life::Down;
                state.emptying = Emptying::Wait(Waiting::Looking);
                state.deaths = last.deaths.saturating_sub(1);
                last.deaths > 0 && last.consumer == Life::Up
            }
        };
        moved.then_some(state)
    }

    fn fills(&self, state: &mut StreamState, closes: bool) -> bool {
        if closes && state.filling != Filling::Marked {
            return false;
        }
        let marks_first = self.mistakes.has(Mistake::MarksBeforeTheReset);
        let position = state.sent;
        let at = slot(position);
        state.filling = match state.filling {
            Filling::Wait(Waiting::Asleep) => match wakes(&mut state.producer_bell, self.mistakes) {
                Some(waiting) => Filling::Wait(waiting),
                None => return false,
            },
            Filling::Wait(_) if self.index(position) >= self.items.len() => return false,
            Filling::Wait(_) if position.wrapping_sub(state.consumed) >= RING => Filling::Wait(Waiting::Asleep),
            Filling::Wait(_) => {
                state.wrong.note(Wrong::OVERWRITTEN, state.ready(position));
                if marks_first {
                    state.filling_word = position.wrapping_add(1);
                } else {
                    state.slots[at].count = 0;
                }
                Filling::Reset
            }
            Filling::Reset => {
                if marks_first {
                    state.slots[at].count = 0;
                } else {
                    state.filling_word = position.wrapping_add(1);
                }
                Filling::Marked
            }
            Filling::Marked if closes || state.slots[at].count >= self.items[self.index(position)] => {
                state.slots[at].sequence = position.wrapping_add(1);
                Filling::Committed
            }
            Filling::Marked => {
                let byte = state.given;
                state.given += 1;
                state.wrong.note(Wrong::OVERWRITTEN, state.ready(position));
                if self.mistakes.has(Mistake::PopsThenCounts) {
                    Filling::Popped(byte)
                } else {
                    let count = state.slots[at].count as usize;
                    state.slots[at].bytes[count] = byte;
                    state.slots[at].count += 1;
                    Filling::Marked
                }
            }
            Filling::Popped(byte) => {
                let count = state.slots[at].count as usize;
                state.slots[at].bytes[count] = byte;
                state.slots[at].count += 1;
                Filling::Marked
            }
            Filling::Committed => {
                state.sent = position.wrapping_add(1);
                Filling::Stored
            }
            Filling::Stored => {
                state.consumer_bell = true;
                Filling::Wait(Waiting::Looking)
            }
        };
        true
    }

    fn empties(&self, state: &mut StreamState) -> bool {
        let mistakes = self.mistakes;
        let before = mistakes.has(Mistake::ResetsBeforeConsuming);
        let after = mistakes.has(Mistake::ResetsAfterConsuming);
        let position = state.consumed;
        let item = state.slots[slot(position)];
        let tag = if before || after { 0 } else { (position & TAG) as u8 };
        let (marked, count) = state.progress;
        state.emptying = match state.emptying {
            Emptying::Wait(Waiting::Asleep) => match wakes(&mut state.consumer_bell, mistakes) {
                Some(waiting) => Emptying::Wait(waiting),
                None => return false,
            },
            Emptying::Wait(_) if !state.ready(position) => Emptying::Wait(Waiting::Asleep),
            Emptying::Wait(_) if marked == tag => Emptying::Moving,
            Emptying::Wait(_) => {
                // Also for an item without bytes, or its neighbours' tags would be mistaken.
                if item.count > 0 || !mistakes.has(Mistake::EmptyItemsLeaveNoTag) {
                    state.progress = (tag, 0);
                }
                Emptying::Moving
            }
            Emptying::Moving if item.count > 0 && count < item.count => {
                let byte = item.bytes[count as usize];
                if mistakes.has(Mistake::CountsThenPushes) {
                    state.progress.1 += 1;
                    Emptying::HalfStep
                } else if mistakes.has(Mistake::PushesThenCounts) {
                    state.push(byte);
                    Emptying::HalfStep
                } else {
                    state.push(byte);
                    state.progress.1 += 1;
                    Emptying::Moving
                }
            }
            Emptying::HalfStep => {
                if mistakes.has(Mistake::CountsThenPushes) {
                    state.push(item.bytes[count as usize - 1]);
                } else {
                    state.progress.1 += 1;
                }
                Emptying::Moving
            }
            Emptying::Moving if before => {
                state.progress.1 = 0;
                Emptying::Between
            }
            Emptying::Moving => {
                state.consumed = position.wrapping_add(1);
                if after { Emptying::Between } else { Emptying::Consumed }
            }
            Emptying::Between => {
                if before {
                    state.consumed = position.wrapping_add(1);
                } else {
                    state.progress.1 = 0;
                }
                Emptying::Consumed
            }
            Emptying::Consumed => {
                state.producer_bell = true;
                Emptying::Wait(Waiting::Looking)
            }
        };
        true
    }
}

impl Model for Stream {
    type State = StreamState;
    type Action = StreamStep;

    fn init_states(&self) -> Vec<StreamState> {
        let port = Port::new(self.first);
        let untagged =
            self.mistakes.has(Mistake::ResetsBeforeConsuming) || self.mistakes.has(Mistake::ResetsAfterConsuming);
        let tag = if untagged { 0 } else { (self.first & TAG) as u8 };
        vec![StreamState {
            slots: port.requests.map(|one| ItemSlot { sequence: one.sequence, count: 0, bytes: [u8::MAX; BYTES] }),
            sent: self.first,
            filling_word: self.first,
            consumed: self.first,
            progress: (tag, 0),
            producer: Life::Up,
            filling: Filling::Wait(Waiting::Looking),
            consumer: Life::Up,
            emptying: Emptying::Wait(Waiting::Looking),
            producer_bell: false,
            consumer_bell: false,
            sealed_sent: self.first,
            sealed_consumed: self.first,
            given: 0,
            wanted: 0,
            deaths: self.deaths,
            wrong: Wrong::default(),
        }]
    }

    fn actions(&self, state: &StreamState, actions: &mut Vec<StreamStep>) {
        actions.extend(STREAM_STEPS);
        actions.push(StreamStep::ProducerClosesEarly);
        if state.deaths > 0 {
            actions.extend([StreamStep::ProducerDies, StreamStep::ConsumerDies]);
        }
    }

    fn next_state(&self, last: &StreamState, step: StreamStep) -> Option<StreamState> {
        self.step(last, step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut rules = stream_rules();
        rules.push(Property::always("every item ends consumed", |model: &Self, state: &StreamState| {
            model.done(state) || STREAM_STEPS.iter().any(|&step| model.step(state, step).is_some())
        }));
        rules
    }
}

// ---------------------------------------------------------------------------------------------
// Reports
// ---------------------------------------------------------------------------------------------

/// The rule that a model without a circle keeps.
const NO_CIRCLE: &str = "no run goes round in a circle";

/// Walks through the whole of a model and looks for a circle: with it, "every request ends answered"
/// would say nothing, because a run could go on for ever and answer nothing.
fn explore_circles<M: Model<State: Hash + Eq>>(name: &'static str, bound: &str, model: &M) -> Outcome {
    let mut seen = HashMap::new();
    // Depth first; a state is open while the walk is below it.
    let mut path = Vec::new();
    let mut circle = false;
    for first in model.init_states() {
        let first = Rc::new(first);
        seen.insert(Rc::clone(&first), true);
        path.push((Rc::clone(&first), model.next_states(&first)));
        while let Some((state, next)) = path.last_mut() {
            let Some(next) = next.pop() else {
                seen.insert(Rc::clone(state), false);
                path.pop();
                continue;
            };
            match seen.get(&next) {
                Some(&open) => circle |= open,
                None => {
                    let next = Rc::new(next);
                    seen.insert(Rc::clone(&next), true);
                    path.push((Rc::clone(&next), model.next_states(&next)));
                }
            }
        }
    }
    let discovery = Discovery { rule: NO_CIRCLE, steps: Vec::new() };
    let bound = bound.to_owned();
    Outcome { name, bound, states: seen.len(), discoveries: circle.then_some(discovery).into_iter().collect() }
}

/// Walks through the whole of a model, or up to the first rule that does not hold.
fn explore<M>(name: &'static str, bound: String, model: M) -> Outcome
where
    M: Model<State: Clone + Debug + Hash + PartialEq + Send + Sync, Action: Clone + Debug + PartialEq + Send + Sync>
        + Send
        + Sync
        + 'static,
{
    let checker = model.checker().finish_when(HasDiscoveries::Any).spawn_bfs().join();
    let discovery = |(rule, path): (&'static str, stateright::Path<M::State, M::Action>)| Discovery {
        rule,
        steps: path.into_actions().iter().map(|step| format!("{step:?}")).collect(),
    };
    Outcome {
        name,
        bound,
        states: checker.unique_state_count(),
        discoveries: checker.discoveries().into_iter().map(discovery).collect(),
    }
}

impl Service {
    fn bound(&self) -> String {
        format!(
            "{SLOTS} slots, {} choices of {} requests, {} deaths, {} bad replies, {} deadlines{}",
            self.contracts.len(),
            self.contracts[0].len(),
            self.deaths,
            self.bad_replies,
            self.deadlines,
            if self.gives_up { ", given up" } else { "" },
        )
    }

    fn explore(self, name: &'static str) -> Outcome {
        explore(name, self.bound(), self)
    }

    fn explore_circles(self, name: &'static str) -> Outcome {
        explore_circles(name, &self.bound(), &self)
    }
}

impl Router {
    fn bound(&self) -> String {
        format!(
            "{SLOTS} slots each, {} choices of {} requests, {} deaths, {} bad replies, {} deadlines",
            self.contracts.len(),
            self.contracts[0].len(),
            self.deaths,
            self.bad_replies,
            self.deadlines,
        )
    }

    fn explore(self, name: &'static str) -> Outcome {
        explore(name, self.bound(), self)
    }

    fn explore_circles(self, name: &'static str) -> Outcome {
        explore_circles(name, &self.bound(), &self)
    }
}

impl Stream {
    fn bound(&self) -> String {
        format!("{SLOTS} slots, items of {:?} bytes or fewer, {} deaths", self.items, self.deaths)
    }

    fn explore(self, name: &'static str) -> Outcome {
        explore(name, self.bound(), self)
    }

    fn explore_circles(self, name: &'static str) -> Outcome {
        explore_circles(name, &self.bound(), &self)
    }
}

/// Tries every order of steps inside the bounds of `form`, and reports each model.
#[must_use]
pub fn report(form: Form) -> Vec<Outcome> {
    let full = form == Form::Full;
    // Long enough that a slot is used again, and every neighbour of every contract but one.
    let mixed = || vec![vec![Resumable, AtMostOnce, Resumable], vec![Idempotent, Resumable, Pure]];
    let deadly = || vec![vec![Deadly, Pure, Deadly], vec![Resumable, Deadly, Deadly]];
    let mut outcomes = vec![
        Service { contracts: if full { every(3) } else { every(2) }, deaths: 1, ..Service::default() }
            .explore("service"),
        Service { contracts: deadly(), deaths: u8::from(full), ..Service::default() }
            .explore("service, deadly requests"),
        Router { contracts: if full { every(3) } else { every(2) }, deaths: 1, ..Router::default() }.explore("router"),
        Stream { deaths: if full { 3 } else { 2 }, ..Stream::default() }.explore("stream"),
        Service {
            contracts: vec![vec![Pure, AtMostOnce]],
            deaths: 1,
            bad_replies: u8::from(full),
            ..Service::default()
        }
        .explore_circles("service, circles"),
        Service { contracts: deadly(), deaths: 0, gives_up: true, ..Service::default() }
            .explore_circles("service, circles when given up"),
        Router { contracts: vec![vec![Pure, Resumable]], deaths: 1, bad_replies: 1, ..Router::default() }
            .explore_circles("router, circles"),
        Stream { items: &[1, 1, 1], deaths: 2, ..Stream::default() }.explore_circles("stream, circles"),
    ];
    if full {
        outcomes.extend([
            Stream { first: u32::MAX - 1, deaths: 5, ..Stream::default() }.explore("stream, positions run over"),
            Service { contracts: every(2), ..Service::default() }.explore("service, more deaths"),
            Service { contracts: mixed(), first: u32::MAX - 1, ..Service::default() }
                .explore("service, positions run over"),
            Service { contracts: vec![vec![Resumable, AtMostOnce]], deaths: 3, ..Service::default() }
                .explore("service, most deaths"),
            Service { contracts: every(2), deaths: 1, bad_replies: 1, ..Service::default() }
                .explore("service, a bad reply"),
            Service { contracts: mixed(), deaths: 1, bad_replies: 1, ..Service::default() }
                .explore("service, a bad reply, a slot used again"),
            Service { contracts: vec![vec![Pure, Resumable]], deaths: 1, bad_replies: 2, ..Service::default() }
                .explore("service, bad replies"),
            Service { contracts: mixed(), deaths: 1, deadlines: 1, ..Service::default() }
                .explore("service, a deadline"),
            Service { contracts: mixed(), deaths: 2, gives_up: true, ..Service::default() }
                .explore("service, given up"),
            Router { contracts: every(2), ..Router::default() }.explore("router, more deaths"),
            Router { contracts: mixed(), deaths: 2, first: u32::MAX - 1, ..Router::default() }
                .explore("router, positions run over"),
            Router { contracts: every(2), deaths: 1, bad_replies: 1, ..Router::default() }
                .explore("router, a bad answer"),
            Router { contracts: mixed(), deaths: 1, deadlines: 1, ..Router::default() }.explore("router, a deadline"),
            Service { contracts: mixed(), deaths: 0, stale: 1 << 31 | 1, ..Service::default() }
                .explore("service, long after the last death"),
        ]);
    }
    outcomes
}

/// Explores a small model that has this one mistake, up to the first rule it breaks.
#[must_use]
pub fn explore_mistake(mistake: Mistake) -> Outcome {
    use Mistake::*;
    let mistakes = Mistakes::of(&[mistake]);
    let service = |contracts: &[Contract]| Service {
        contracts: vec![contracts.to_vec()],
        deaths: 1,
        mistakes,
        ..Service::default()
    };
    let router = |contracts: &[Contract]| Router {
        contracts: vec![contracts.to_vec()],
        deaths: 1,
        mistakes,
        ..Router::default()
    };
    let stream = |items| Stream { items, deaths: 1, mistakes, ..Stream::default() };
    let spoiled = |service: Service| Service { bad_replies: 1, ..service };
    match mistake {
        CountsBeforeTheStep | CountsAfterTheStep | ResetsAReplay => service(&[Resumable]).explore("service"),
        DoesNotSeal
        | SealsBySent
        | ClampsConsumedByAnswered
        | SealDoesNotRing
        | ClearsTheBellAfterLooking
        | SendsBeforeCommit
        | CommitsBeforeWriting
        | ConsumesBeforeDelivering
        | ClampsTakenBySent => service(&[Pure, Pure, Pure]).explore("service"),
        SealsByAnswered | TakesAfterTheMethod => service(&[AtMostOnce]).explore("service"),
        TakesBeforeTheReset => service(&[Resumable, Pure, Resumable]).explore("service"),
        DecodesBeforeTaking => service(&[Deadly]).explore("service"),
        OffersAtMostOnceAgain => service(&[AtMostOnce]).explore("service"),
        SendsWithoutRoom => service(&[Pure, Pure, Pure]).explore("service"),
        DoesNotSkip => spoiled(service(&[Pure, AtMostOnce])).explore("service"),
        SkipsAfterLooking => spoiled(service(&[Pure, Pure, Pure, Pure])).explore("service"),
        ReopensBehindALaterOne => spoiled(service(&[Idempotent, Idempotent])).explore("service"),
        ComplainsWithoutEpoch => Service { deaths: 2, ..spoiled(service(&[Pure, Pure, Pure])) }.explore("service"),
        AnswersGoneOnce => Service { gives_up: true, ..service(&[Pure]) }.explore("service"),
        RemembersBySlot => Service { deaths: 2, ..service(&[Pure, Pure, Pure]) }.explore("service"),
        ComparesPlainly => Service { first: u32::MAX, ..service(&[Resumable, Pure]) }.explore("service"),
        ComparesBySign => Service { stale: 1 << 31 | 1, ..service(&[Resumable, Pure, Resumable]) }.explore("service"),
        ExpiresBeforeTheReset => Service { deadlines: 1, ..service(&[Resumable, Pure, Resumable]) }.explore("service"),
        ConsumesBeforeAnswering | ForwardsAgain => router(&[Resumable]).explore("router"),
        ExpiresWhatIsForwarded => Router { deadlines: 1, ..router(&[Resumable]) }.explore("router"),
        DropsByAnswered => Router { bad_replies: 1, ..router(&[Pure, AtMostOnce]) }.explore("router"),
        ForwardsBeforeTaking => router(&[AtMostOnce]).explore("router"),
        ReopensResumable => Router { bad_replies: 1, ..router(&[Resumable]) }.explore("router"),
        AnswersBeforeTakingAgain => Router { deaths: 2, ..router(&[Pure, Pure]) }.explore("router"),
        PopsThenCounts | BeginsTheSlotAnew | CountsThenPushes | PushesThenCounts => stream(&[2]).explore("stream"),
        MarksBeforeTheReset
        | StreamSealsBySent
        | StreamClampsBySent
        | ResetsAfterConsuming
        | ResetsBeforeConsuming
        | StreamSealDoesNotRing => stream(&[1, 1, 1]).explore("stream"),
        EmptyItemsLeaveNoTag => stream(&[1, 1, 1]).explore("stream"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts to a number and then stays there, or goes round.
    struct Clock {
        round: bool,
    }

    impl Model for Clock {
        type State = u8;
        type Action = ();

        fn init_states(&self) -> Vec<u8> {
            vec![0]
        }

        fn actions(&self, &state: &u8, actions: &mut Vec<()>) {
            actions.extend((self.round || state < 11).then_some(()));
        }

        fn next_state(&self, &last: &u8, (): ()) -> Option<u8> {
            Some((last + 1) % 12)
        }
    }

    #[test]
    fn a_circle_is_found_where_there_is_one() {
        let broken = |round| explore_circles("clock", "", &Clock { round }).discoveries.len();
        assert_eq!([broken(false), broken(true)], [0, 1]);
    }

    #[test]
    fn a_mark_from_long_ago_is_not_ahead() {
        assert_eq!(ahead(u32::MAX, 1), 2);
        assert_eq!(ahead(5, 5), 0);
        assert_eq!(ahead(5, 4), 0);
        assert_eq!(ahead(5, 5u32.wrapping_add(1 << 31)), 0);
    }
}
