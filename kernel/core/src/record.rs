//! The record of a port: what was sent, taken, answered and consumed, and what holds after a death.
//!
//! Job: lay a port's two halves out in memory (each half is written by one component alone), and *seal* a half when its
//! writer has died: turn what the dead one left into positions that every later incarnation can trust.
//!
//! Rules kept here: R1, R2, R5.
//!
//! - A service: the client's half holds the request slots, `sent` and `consumed`; the server's half holds the reply slots,
//!   `taken` and `answered`. Reply n answers request n.
//! - A stream: the producer's half holds the item slots and `sent`; the consumer's holds `consumed` and `moved`.
//! - A slot's sequence word is the truth, the positions follow it. A death between the two is mended by sealing, so that
//!   nothing that the other side may have seen is ever taken back.
//!
//! It must never: let one word have two living writers, or let a peer's word lead outside the ring.

use crate::PortId;
use crate::ring::{Geometry, Header, KERNEL_EPOCH, LINE_WORDS, Ready, Slots};
use crate::sync::{AtomicU32, Ordering};

/// The words at the head of a half. Each half uses those of its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Client, producer: messages sent so far.
    Sent = 0,
    /// Client, consumer: replies or items consumed so far.
    Consumed = 1,
    /// Client, producer: position + 1 of the slot that is being filled in place; 0: none.
    Filling = 2,
    /// Server: requests taken so far, stored before the method runs.
    Taken = 3,
    /// Server: requests answered so far.
    Answered = 4,
    /// Server, but written by the kernel: requests below were in hand at a death and are offered again.
    Replayed = 5,
    /// Consumer: how much of the item at `consumed` has been moved on, tagged with the item's position.
    Moved = 6,
}

/// How a request ended: the tag of its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The payload is the reply.
    Answer = 0,
    /// In hand at a death, and never to be repeated.
    Interrupted = 1,
    /// In hand at two deaths in a row.
    Poisoned = 2,
    /// Its deadline had passed when it was taken.
    Expired = 3,
    /// The server was stopped or given up.
    Gone = 4,
    /// The request was undecodable, or names no operation: the client's fault.
    Refused = 5,
}

impl Outcome {
    /// The outcome with this tag.
    #[must_use]
    pub const fn from_tag(tag: u8) -> Option<Self> {
        Some(match tag {
            0 => Outcome::Answer,
            1 => Outcome::Interrupted,
            2 => Outcome::Poisoned,
            3 => Outcome::Expired,
            4 => Outcome::Gone,
            5 => Outcome::Refused,
            _ => return None,
        })
    }
}

/// The part of a port that one component writes.
#[derive(Clone, Copy)]
pub struct Half<'a> {
    positions: &'a [AtomicU32; LINE_WORDS],
    slots: Option<Slots<'a>>,
}

impl<'a> Half<'a> {
    /// Words that a half takes: one line of positions, and its slots if it has any.
    #[must_use]
    pub const fn words(slots: Option<Geometry>) -> usize {
        match slots {
            Some(geometry) => LINE_WORDS + geometry.words(),
            None => LINE_WORDS,
        }
    }

    /// The half in `words`, which is exactly [`Half::words`] long, or `None`.
    #[must_use]
    pub fn new(words: &'a [AtomicU32], geometry: Option<Geometry>) -> Option<Self> {
        let (positions, rest) = words.split_first_chunk()?;
        let slots = match geometry {
            Some(geometry) => Some(Slots::new(rest, geometry)?),
            None if rest.is_empty() => None,
            None => return None,
        };
        Some(Half { positions, slots })
    }

    /// The half's slots; `None` for the consumer of a stream.
    #[must_use]
    pub const fn slots(&self) -> Option<Slots<'a>> {
        self.slots
    }

    /// Reads a position. Of a peer's half it is an allegation.
    #[inline]
    #[must_use]
    pub fn get(&self, position: Position) -> u32 {
        self.positions.get(position as usize).map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Stores a position: one store, by the half's owner (or by the kernel while the owner is dead).
    #[inline]
    pub fn set(&self, position: Position, value: u32) {
        if let Some(word) = self.positions.get(position as usize) {
            word.store(value, Ordering::Release);
        }
    }
}

/// `at` moved into the ring distance `low..=low + span`; true if it had to be moved.
const fn clamp(at: u32, low: u32, span: u32) -> (u32, bool) {
    let distance = at.wrapping_sub(low);
    if distance <= span {
        (at, false)
    } else if distance > u32::MAX / 2 {
        (low, true)
    } else {
        (low.wrapping_add(span), true)
    }
}

/// How many messages in a row are ready from `from` on, up to the ring's size.
#[inline(never)]
fn run_of_ready(slots: &Slots<'_>, from: u32) -> u32 {
    let mut count = 0;
    while count < slots.geometry().slots() && slots.ready(from.wrapping_add(count)) == Ready::Yes {
        count += 1;
    }
    count
}

/// What becomes of a request that was in hand at a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Fate {
    /// The next incarnation is offered it again.
    OfferedAgain,
    /// It was ended as [`Outcome::Interrupted`].
    Interrupted,
    /// It was ended as [`Outcome::Poisoned`].
    Poisoned,
}

/// A request that was in hand at a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct InHand {
    /// The port of the image; the record itself knows none, and the kernel fills it in.
    pub port: PortId,
    /// Its position in its ring.
    pub position: u32,
    /// What it asks, as its client says.
    pub operation: u8,
    /// How far it had come, as the dead one says.
    pub progress: u32,
    /// What becomes of it.
    pub then: Fate,
}

/// What sealing found, and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Seal {
    /// Requests in hand that the next incarnation is offered again.
    pub offered_again: u32,
    /// Requests that the kernel ended as [`Outcome::Interrupted`].
    pub interrupted: u32,
    /// Requests that the kernel ended as [`Outcome::Poisoned`].
    pub poisoned: u32,
    /// The dead one's words were outside what they may be.
    pub blamed: bool,
    /// Something was answered, published or moved on since the last seal.
    pub progressed: bool,
    /// The first request in hand; of several ports, the first port's.
    pub in_hand: Option<InHand>,
}

impl Seal {
    /// Adds what another port's seal found.
    pub const fn add(&mut self, other: Seal) {
        self.offered_again = self.offered_again.saturating_add(other.offered_again);
        self.interrupted = self.interrupted.saturating_add(other.interrupted);
        self.poisoned = self.poisoned.saturating_add(other.poisoned);
        self.blamed |= other.blamed;
        self.progressed |= other.progressed;
        self.in_hand = match self.in_hand {
            Some(first) => Some(first),
            None => other.in_hand,
        };
    }
}

/// What the kernel must know of a service's operations: one bit an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contracts {
    /// Operations that must never be repeated.
    pub at_most_once: u32,
    /// Operations that may be repeated, but not behind a later one.
    pub idempotent: u32,
    /// The server only forwards: whether a request is poisoned is judged where it is carried out.
    pub routed: bool,
}

impl Contracts {
    /// The bit of the operation that the request at `at` asks for.
    #[inline(never)]
    fn bit(requests: &Slots<'_>, at: u32) -> u32 {
        let (operation, _) = requests.tag_and_origin(at);
        1u32.wrapping_shl(u32::from(operation))
    }

    fn must_not_repeat(self, requests: &Slots<'_>, at: u32) -> bool {
        self.at_most_once & Self::bit(requests, at) != 0
    }

    /// Run again behind a later request, it could undo what that one did.
    fn must_not_follow(self, requests: &Slots<'_>, at: u32) -> bool {
        !self.routed && self.idempotent & Self::bit(requests, at) != 0
    }
}

/// What the kernel itself remembers of a port from one seal to the next, where no component can reach it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// The client's or producer's `sent`, and the client's `consumed`.
    near: [u32; 2],
    /// The server's `answered` and `replayed`, or the consumer's `consumed`.
    far: [u32; 2],
    /// The server's epoch that was sealed last.
    epoch: u32,
}

impl Sealed {
    /// Of a port that nobody has used.
    pub const NEW: Sealed = Sealed { near: [0; 2], far: [0; 2], epoch: 0 };
}

/// Whether `at` is `from` or lies ahead of it.
const fn reaches(at: u32, from: u32) -> bool {
    at.wrapping_sub(from) <= u32::MAX / 2
}

/// Whether a half that tells of `sent` messages tells of anything: an empty one does not, once its peer has had some.
const fn tells(sent: u32, slots: u32, peer: u32) -> bool {
    sent != 0 || sent.wrapping_sub(peer) <= slots
}

/// The oldest position that a ring of `slots` slots can still hold when `sent` were sent, and not before `floor`.
const fn oldest(sent: u32, slots: u32, floor: u32) -> u32 {
    if sent.wrapping_sub(floor) <= slots { floor } else { sent.wrapping_sub(slots) }
}

/// Breaks the story of `half` at the position of its reader, where it is false anyway, so that sealing does not believe it.
fn refuse(half: Half<'_>, reader: u32, position: u32) {
    if let Some(slots) = half.slots()
        && reader == position
        && slots.ready(position) == Ready::Malformed
    {
        slots.clear(position);
    }
}

/// A service port as the kernel sees it: both halves.
#[derive(Clone, Copy)]
pub struct ServiceRecord<'a> {
    /// The client's half.
    pub client: Half<'a>,
    /// The server's half.
    pub server: Half<'a>,
}

impl ServiceRecord<'_> {
    /// Seals the client's half. Its unanswered requests stay, for its next incarnation to claim.
    ///
    /// If its own slots contradict its words, they are laid out anew where the server stands.
    pub fn seal_client(&self, sealed: &mut Sealed) -> Seal {
        let Some(requests) = self.client.slots() else {
            return Seal::default();
        };
        let slots = requests.geometry().slots();
        let [last_sent, floor] = sealed.near;
        let (found, before) = (self.client.get(Position::Consumed), self.client.get(Position::Sent));
        let taken = self.server.get(Position::Taken);
        let skipped = found != floor && !reaches(taken, found) && !self.answered_before(found);
        // At most one message lies between its slot word and `sent`; and what the server has taken was sent.
        let believed =
            |sent: u32| sent.wrapping_sub(before) <= 1 || taken.wrapping_sub(found) <= sent.wrapping_sub(found);
        let (consumed, sent, wild) = match (requests.waiting(found), requests.waiting(before)) {
            (Some(waiting), _)
                if reaches(found, floor)
                    && !skipped
                    && tells(found.wrapping_add(waiting), slots, taken)
                    && believed(found.wrapping_add(waiting)) =>
            {
                let sent = found.wrapping_add(waiting);
                (found, sent, sent.wrapping_sub(before) > 1)
            }
            (_, Some(late @ 0..=1))
                if reaches(before, floor) && before.wrapping_add(late).wrapping_sub(taken) <= slots =>
            {
                let sent = before.wrapping_add(late);
                (oldest(sent, slots, floor), sent, true)
            }
            _ => {
                let kept = reaches(found, floor) && taken.wrapping_sub(found) <= slots;
                let consumed = if kept { found } else { taken };
                (consumed, consumed.wrapping_add(self.lay_out(&requests, consumed, taken)), true)
            }
        };
        self.client.set(Position::Consumed, consumed);
        self.client.set(Position::Sent, sent);
        sealed.near = [sent, consumed];
        Seal { blamed: wild, progressed: !wild && (consumed != floor || sent != last_sent), ..Seal::default() }
    }

    /// Lays the client's slots out anew for one that stands at `consumed`, and gives how many requests wait there then.
    ///
    /// Requests that are still to be seen stay. Where the server has taken or answered one that is lost, one that asks
    /// nothing takes its place.
    #[inline(never)]
    fn lay_out(&self, requests: &Slots<'_>, consumed: u32, taken: u32) -> u32 {
        let slots = requests.geometry().slots();
        let ready = run_of_ready(requests, consumed);
        let is_answered = |offset: &u32| {
            let at = consumed.wrapping_add(*offset);
            self.server.slots().is_some_and(|replies| replies.ready(at) == Ready::Yes)
        };
        let answered = (0..slots).rev().find(is_answered).map_or(0, |last| last.wrapping_add(1));
        let needed = taken.wrapping_sub(consumed).max(answered).max(ready).min(slots);
        for offset in ready..slots {
            let at = consumed.wrapping_add(offset);
            if offset < needed {
                requests.write(at, Header { epoch: KERNEL_EPOCH, tag: u8::MAX, origin: 0 }, &[]);
                requests.write_deadline(at, 0);
                requests.commit(at);
            } else {
                requests.clear(at);
            }
        }
        needed
    }

    /// Whether the slots of the server show that what lies before `consumed` was answered.
    fn answered_before(&self, consumed: u32) -> bool {
        let last = consumed.wrapping_sub(1);
        self.server.slots().is_some_and(|replies| {
            let next_turn = last.wrapping_add(replies.geometry().slots());
            replies.ready(last) == Ready::Yes || replies.ready(next_turn) == Ready::Yes
        })
    }

    /// Where the client stands, how many of its requests wait there, and whether its slots agree with its word.
    ///
    /// The client lives on, so its `consumed` is an allegation. If its slots contradict it, `own` (where the server says
    /// that it stands) is taken instead: a false word harms its author's requests only.
    fn client_stands(&self, requests: &Slots<'_>, own: u32) -> (u32, u32, bool) {
        let mut consumed = self.client.get(Position::Consumed);
        // While we look it may consume what was answered, and use those slots again: once around at most.
        for _ in 0..=requests.geometry().slots() {
            if let Some(waiting) = requests.waiting(consumed) {
                return (consumed, waiting, true);
            }
            let again = self.client.get(Position::Consumed);
            if again == consumed {
                break;
            }
            consumed = again;
        }
        (own, run_of_ready(requests, own), false)
    }

    /// Seals the server's half; `epoch` is the dead one's.
    ///
    /// After it `taken` equals `answered`, and what was in hand is either ended or offered again.
    pub fn seal_server(&self, sealed: &mut Sealed, contracts: Contracts, epoch: u32) -> Seal {
        let (Some(requests), Some(replies)) = (self.client.slots(), self.server.slots()) else {
            return Seal::default();
        };
        let slots = replies.geometry().slots();
        let [floor, replayed] = sealed.far;
        let words = [Position::Taken, Position::Answered, Position::Replayed].map(|word| self.server.get(word));
        let [taken_word, answered_word, replayed_word] = words;
        let own = if reaches(answered_word, floor) { answered_word } else { floor };
        let (consumed, waiting, agreed) = self.client_stands(&requests, own);

        // What was sealed once as answered cannot be untaken.
        let sealed_before = floor.wrapping_sub(consumed);
        let least_taken = if sealed_before <= waiting { sealed_before } else { 0 };
        let low = consumed.wrapping_add(least_taken);
        let (mut taken, wild) = clamp(taken_word, low, waiting.saturating_sub(least_taken));
        // The client may have consumed the last reply before its writer stored `answered`.
        let least = consumed.wrapping_sub(1);
        let (_, wild_answered) = clamp(answered_word, least, taken.wrapping_sub(least));
        // And, behind a request that was opened again, replies that this server had not yet come by.
        let behind = |word: u32| reaches(word, floor) && word.wrapping_sub(floor) <= consumed.wrapping_sub(floor);
        let passed =
            reaches(replayed, consumed) && reaches(consumed, floor) && behind(taken_word) && behind(answered_word);
        // A client may also say that it consumed what was never answered.
        let fair = consumed == sealed.near[1] || self.answered_before(consumed);
        // Or its slots tell of fewer requests than its own word does.
        let said = self.client.get(Position::Sent).wrapping_sub(consumed);
        let untold = said > waiting && said <= slots && taken_word.wrapping_sub(consumed) <= said;
        let blamed = agreed && fair && !passed && !untold && (wild || wild_answered) || replayed_word != replayed;
        let progressed = consumed != floor && reaches(consumed, floor);
        let mut seal = Seal { blamed, progressed, ..Seal::default() };

        // Behind a request that was opened again, replies of earlier incarnations may stand: they are sealed already.
        let sealed_ahead = |at: u32| replayed.wrapping_sub(at).wrapping_sub(1) < slots;
        for offset in taken.wrapping_sub(consumed)..waiting {
            let at = consumed.wrapping_add(offset);
            if !sealed_ahead(at) && replies.committed(at, epoch) {
                // A reply to a request that was never taken; but the client may have seen it.
                taken = at.wrapping_add(1);
                seal.blamed = true;
            }
        }
        let mut first_open = None;
        for offset in 0..slots {
            let at = consumed.wrapping_add(offset);
            let answered = replies.committed(at, epoch);
            let in_hand = offset < taken.wrapping_sub(consumed);
            let in_hand_before = offset < waiting && sealed_ahead(at);
            // What was ever taken may have had its effect, also if it was an earlier incarnation that took it.
            let next = at.wrapping_add(1);
            let overtaken = in_hand && next != taken || sealed_ahead(next);
            if answered && (in_hand || in_hand_before) {
                seal.progressed |= replies.epoch(at) == epoch;
            } else if in_hand {
                let then = self.end_in_hand(&requests, &replies, at, overtaken, contracts, &mut seal);
                if then == Fate::OfferedAgain {
                    seal.offered_again = seal.offered_again.saturating_add(1);
                    first_open = first_open.or(Some(at));
                }
                seal.in_hand = seal.in_hand.or_else(|| {
                    let (operation, _) = requests.tag_and_origin(at);
                    // Ending a request leaves its progress alone.
                    let progress = replies.progress(at).map_or(0, |word| word.load(Ordering::Relaxed));
                    Some(InHand { port: PortId::NONE, position: at, operation, progress, then })
                });
            } else if in_hand_before && contracts.must_not_repeat(&requests, at) {
                // Its reply was taken back.
                Self::interrupt(&replies, at, &mut seal);
            } else if in_hand_before && overtaken && contracts.must_not_follow(&requests, at) {
                Self::poison(&replies, at, &mut seal);
            } else {
                // A reply to a request that was never sent answers nothing.
                seal.blamed |= answered;
                replies.clear(at);
                if let Some(mark) = replies.mark(at).filter(|_| sealed.epoch != epoch) {
                    // Not in hand at this death, so the deaths of this request are not in a row.
                    mark.store(0, Ordering::Relaxed);
                }
            }
        }
        let answered = first_open.unwrap_or(taken);
        // An incarnation may die before it has taken again all that it was offered.
        let replayed = if replayed.wrapping_sub(taken) <= slots { replayed } else { taken };
        self.server.set(Position::Replayed, replayed);
        self.server.set(Position::Answered, answered);
        self.server.set(Position::Taken, answered);
        *sealed = Sealed { near: sealed.near, far: [answered, replayed], epoch };
        seal
    }

    /// Ends a request that was in hand, as its contract says, unless it is to be offered again.
    fn end_in_hand(
        &self,
        requests: &Slots<'_>,
        replies: &Slots<'_>,
        at: u32,
        overtaken: bool,
        contracts: Contracts,
        seal: &mut Seal,
    ) -> Fate {
        replies.clear(at);
        if contracts.must_not_repeat(requests, at) {
            Self::interrupt(replies, at, seal);
            return Fate::Interrupted;
        }
        if contracts.routed {
            return Fate::OfferedAgain;
        }
        let (Some(progress), Some(mark)) = (replies.progress(at), replies.mark(at)) else {
            return Fate::OfferedAgain;
        };
        let progress = progress.load(Ordering::Relaxed);
        // Tagged with the position, so that an earlier request's mark in this slot says nothing of this one; never 0, which
        // is no mark; and of both halves of the progress, so that a step of 64 KiB is one.
        let now = (at | 0x8000) << 16 | (progress ^ progress >> 16) & 0xFFFF;
        let last = mark.load(Ordering::Relaxed);
        if last == now || overtaken && contracts.must_not_follow(requests, at) {
            Self::poison(replies, at, seal);
            return Fate::Poisoned;
        }
        seal.progressed |= progress != 0;
        mark.store(now, Ordering::Relaxed);
        Fate::OfferedAgain
    }

    fn interrupt(replies: &Slots<'_>, at: u32, seal: &mut Seal) {
        Self::fill(replies, at, Outcome::Interrupted);
        seal.interrupted = seal.interrupted.saturating_add(1);
    }

    fn poison(replies: &Slots<'_>, at: u32, seal: &mut Seal) {
        Self::fill(replies, at, Outcome::Poisoned);
        seal.poisoned = seal.poisoned.saturating_add(1);
    }

    #[inline(never)]
    fn fill(replies: &Slots<'_>, at: u32, outcome: Outcome) {
        replies.write(at, Header { epoch: KERNEL_EPOCH, tag: outcome as u8, origin: 0 }, &[]);
        replies.commit(at);
    }

    /// Whether the reply at `position` looks as the kernel's own do: a server may use the kernel's epoch, but not gain by it.
    fn filled(replies: Slots<'_>, position: u32) -> bool {
        let (tag, length) = replies.tag_and_length(position);
        let outcome = Outcome::from_tag(tag);
        length == 0 && matches!(outcome, Some(Outcome::Interrupted | Outcome::Poisoned | Outcome::Gone))
    }

    /// The client found the reply at `position`, written in `epoch`, undecodable: it is no answer. Only while the server
    /// is stopped, before sealing. False, and nothing happened, if there is no such reply (any more).
    pub fn take_back(&self, position: u32, epoch: u32) -> bool {
        if let Some(replies) = self.server.slots()
            && position.wrapping_sub(self.client.get(Position::Consumed)) < replies.geometry().slots()
            && replies.ready(position) == Ready::Yes
            && replies.epoch(position) == epoch
            && !(epoch == KERNEL_EPOCH && Self::filled(replies, position))
        {
            replies.clear(position);
            return true;
        }
        false
    }

    /// The server found that the slot at `position` tells of another history than its own. Only while the client is stopped,
    /// before sealing: then the client's half is laid out anew where the server stands.
    pub fn refuse_request(&self, position: u32) {
        refuse(self.client, self.server.get(Position::Taken), position);
    }

    /// Answers everything outstanding with [`Outcome::Gone`]. Only while the server is dead and sealed.
    pub fn answer_gone(&self, sealed: &mut Sealed, epoch: u32) {
        let (Some(requests), Some(replies)) = (self.client.slots(), self.server.slots()) else {
            return;
        };
        let (consumed, waiting, _) = self.client_stands(&requests, self.server.get(Position::Answered));
        for offset in 0..waiting {
            let at = consumed.wrapping_add(offset);
            if !replies.committed(at, epoch) {
                let never_taken = self.server.get(Position::Replayed).wrapping_sub(at).wrapping_sub(1) >= waiting;
                if let Some(progress) = replies.progress(at).filter(|_| never_taken) {
                    progress.store(0, Ordering::Relaxed);
                }
                Self::fill(&replies, at, Outcome::Gone);
            }
        }
        let end = consumed.wrapping_add(waiting);
        self.server.set(Position::Replayed, end);
        self.server.set(Position::Answered, end);
        self.server.set(Position::Taken, end);
        sealed.far = [end, end];
    }
}

/// A stream port as the kernel sees it: both halves.
#[derive(Clone, Copy)]
pub struct StreamRecord<'a> {
    /// The producer's half.
    pub producer: Half<'a>,
    /// The consumer's half.
    pub consumer: Half<'a>,
}

impl StreamRecord<'_> {
    /// The consumer found that the slot at `position` tells of another history than its own. Only while the producer is
    /// stopped, before sealing: then the producer's half is laid out anew where the consumer stands.
    pub fn refuse_item(&self, position: u32) {
        refuse(self.producer, self.consumer.get(Position::Consumed), position);
    }

    /// Seals the producer's half. A slot that was being filled stays, for the next incarnation to go on with.
    ///
    /// If its own slots contradict its word, they are laid out anew where the consumer stands.
    pub fn seal_producer(&self, sealed: &mut Sealed) -> Seal {
        let Some(items) = self.producer.slots() else {
            return Seal::default();
        };
        let before = self.producer.get(Position::Sent);
        let consumed = self.consumer.get(Position::Consumed);
        let slots = items.geometry().slots();
        let floor = sealed.near[0];
        let (sent, wild) = match items.waiting(before) {
            // At most one item lies between its slot word and `sent`.
            Some(late @ 0..=1) if reaches(before, floor) && tells(before.wrapping_add(late), slots, consumed) => {
                (before.wrapping_add(late), false)
            }
            _ => {
                let ready = run_of_ready(&items, consumed);
                for offset in ready..slots {
                    items.clear(consumed.wrapping_add(offset));
                }
                (consumed.wrapping_add(ready), true)
            }
        };
        self.producer.set(Position::Sent, sent);
        sealed.near[0] = sent;
        Seal { blamed: wild, progressed: !wild && sent != floor, ..Seal::default() }
    }

    /// Seals the consumer's half. One that was wild is offered again all that the ring still holds.
    pub fn seal_consumer(&self, sealed: &mut Sealed) -> Seal {
        let Some(items) = self.producer.slots() else {
            return Seal::default();
        };
        let floor = sealed.far[0];
        let found = self.consumer.get(Position::Consumed);
        let sent = self.producer.get(Position::Sent);
        let consumed = match (items.waiting(found), items.waiting(sent)) {
            (Some(_), _) if reaches(found, floor) => found,
            (_, Some(late @ 0..=1)) => oldest(sent.wrapping_add(late), items.geometry().slots(), floor),
            // The producer's slots contradict its own word: nothing to judge its consumer by.
            _ if reaches(found, floor) => found,
            _ => floor,
        };
        self.consumer.set(Position::Consumed, consumed);
        sealed.far[0] = consumed;
        let wild = consumed != found;
        Seal { blamed: wild, progressed: !wild && consumed != floor, ..Seal::default() }
    }
}
