//! The port record as a model for `stateright`: every order of steps inside its bounds is tried.
//!
//! Job of this file: say what is modelled, and list the mistakes and the rules. Each step is one atomic store (or one
//! window), and a death may come between any two.
//!
//! - `port`: a port's two halves, what the kernel does with them at a death, and what an onlooker knows;
//! - `service`: one client, one server, the kernel, and one service port;
//! - `router`: a client, SOS as router, a driver, the kernel, and the two service ports between them;
//! - `stream`: a producer that fills slots from a device, a consumer that empties them into another, and the kernel;
//! - `explore`: the bounds of the quick and of the full form, and what it takes to find each mistake.
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
//! - A reopened idempotent request ends as `Poisoned` when a later one was ever taken, by whichever incarnation.
//! - What is given up is answered by the kernel for as long as the doorbell rings, not once.
//! - A router takes what was in hand at a death one at a time: what lies behind may be answered already. It finds
//!   a forwarded request by its origin, also among those that it let go, as long as the slot was not used again. A slot
//!   whose origin is newer than that of the slot behind it was only half written. What is not found although a later one
//!   is, ends as `Poisoned`. What is forwarded expires at the driver only.
//! - In a stream, the count of a slot is reset before `filling` names it, and every item, even an empty
//!   one, leaves its tag in the progress word.
//!
//! The reader of the models should know these limits. Memory is sequentially consistent (that the
//! rings order their stores is checked with loom, not here). The kernel does not die. A component is
//! honest, except that it may write replies that cannot be decoded and may be given requests
//! that kill it. In the router model a client sends, and receives, in one step, and its death
//! therefore changes nothing; a ring below has two slots without probes, and four with them.

mod explore;
mod port;
mod router;
mod service;
mod stream;

pub use explore::{explore_mistake, report};
use port::*;
use router::*;
use service::*;
use stream::*;

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
    /// Router: the driver's reply is let go before the client is answered (and it does not look back).
    ConsumesBeforeAnswering,
    /// Router: what was in hand at a death is taken again while an earlier one is in hand.
    TakesReplaysTogether,
    /// Router: the next incarnation claims nothing and forwards all again.
    ForwardsAgain,
    /// Router: a request is forwarded before `taken` is stored.
    ForwardsBeforeTaking,
    /// Router: what was let go is not looked for.
    DoesNotLookBack,
    /// Router: a slot that is being written is taken for the one that it was.
    FindsWhatIsHalfWritten,
    /// Router: what was forwarded, and whose slot was used again, is forwarded once more.
    ForwardsWhatIsLost,
    /// Router: a driver's reply is passed on unread.
    PassesOnUnread,
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
    pub const ALL: [Mistake; 48] = {
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
            TakesReplaysTogether,
            ForwardsAgain,
            ForwardsBeforeTaking,
            DoesNotLookBack,
            FindsWhatIsHalfWritten,
            ForwardsWhatIsLost,
            PassesOnUnread,
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
    /// Poisoned without two deaths with the request in hand, and not as overtaken or lost.
    const POISONED: u16 = 1 << 9;
    /// A deadly request was offered a third time.
    const DEADLY: u16 = 1 << 10;
    /// A reply names other progress than the device made.
    const PROGRESS: u16 = 1 << 11;
    /// Interrupted, but repeating it would have done no harm.
    const INTERRUPTED: u16 = 1 << 12;

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
        "a request is poisoned only when in hand at two deaths, overtaken or lost": POISONED,
        "only what must never be repeated is interrupted": INTERRUPTED,
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
