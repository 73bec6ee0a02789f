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

use crate::ring::{Geometry, Header, LINE_WORDS, Ready, Slots};
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
    positions: &'a [AtomicU32],
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
        let (positions, rest) = words.split_at_checked(LINE_WORDS)?;
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
fn run_of_ready(slots: Slots<'_>, from: u32) -> u32 {
    let mut count = 0;
    while count < slots.geometry().slots() && slots.ready(from.wrapping_add(count)) == Ready::Yes {
        count += 1;
    }
    count
}

/// What sealing found, and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
}

impl Seal {
    /// Adds what another port's seal found.
    pub const fn add(&mut self, other: Seal) {
        self.offered_again = self.offered_again.saturating_add(other.offered_again);
        self.interrupted = self.interrupted.saturating_add(other.interrupted);
        self.poisoned = self.poisoned.saturating_add(other.poisoned);
        self.blamed |= other.blamed;
        self.progressed |= other.progressed;
    }
}

/// What the kernel must know of a service's operations: one bit an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contracts {
    /// Operations that must never be repeated.
    pub at_most_once: u32,
    /// The server only forwards: whether a request is poisoned is judged where it is carried out.
    pub routed: bool,
}

/// The words of a half as they held at its owner's last death (or at boot): no later incarnation may go below them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    near: [u32; 2],
    far: [u32; 2],
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
    pub fn seal_client(&self, sealed: &mut Sealed) -> Seal {
        let Some(requests) = self.client.slots() else { return Seal::default() };
        let slots = requests.geometry().slots();
        let floor = sealed.near[1];
        let reach = self.client.get(Position::Sent).wrapping_sub(floor);
        let (consumed, low) = clamp(self.client.get(Position::Consumed), floor, reach);
        // At most one message lies between its slot word and `sent`; a client that lied is held to what its slots show.
        let sent = consumed.wrapping_add(run_of_ready(requests, consumed));
        let before = self.client.get(Position::Sent);
        let wild = sent.wrapping_sub(before) > 1 || before.wrapping_sub(consumed) > slots;
        let progressed = consumed != floor || sent != sealed.near[0];
        self.client.set(Position::Consumed, consumed);
        self.client.set(Position::Sent, sent);
        sealed.near = [sent, consumed];
        Seal { blamed: low || wild, progressed, ..Seal::default() }
    }

    /// Seals the server's half; `epoch` is the dead one's.
    ///
    /// After it `taken` equals `answered`, and what was in hand is either ended or offered again.
    pub fn seal_server(&self, sealed: &mut Sealed, contracts: Contracts, epoch: u32) -> Seal {
        let (Some(requests), Some(replies)) = (self.client.slots(), self.server.slots()) else { return Seal::default() };
        let slots = replies.geometry().slots();
        let mut seal = Seal::default();
        // The client lives on, so its `consumed` is an allegation: a false one harms its own requests only.
        let consumed = self.client.get(Position::Consumed);
        let waiting = run_of_ready(requests, consumed);
        let (taken, wild) = clamp(self.server.get(Position::Taken), consumed, waiting);
        // The client may have consumed the last reply before its writer stored `answered`.
        let least = consumed.wrapping_sub(1);
        let (_, wild_answered) = clamp(self.server.get(Position::Answered), least, taken.wrapping_sub(least));
        seal.blamed = wild || wild_answered;

        let mut first_open = None;
        let mut offset = 0;
        while offset < slots {
            let at = consumed.wrapping_add(offset);
            let answered = replies.committed(at, epoch);
            if offset >= taken.wrapping_sub(consumed) {
                if answered {
                    // A reply to a request that was never taken.
                    replies.clear(at);
                    seal.blamed = true;
                }
                if let Some(mark) = replies.mark(at) {
                    // Not in hand at this death, so the deaths of this request are not in a row.
                    mark.store(0, Ordering::Relaxed);
                }
            } else if !answered && !self.end_in_hand(requests, replies, at, contracts, epoch, &mut seal) {
                seal.offered_again += 1;
                first_open = first_open.or(Some(at));
            }
            offset += 1;
        }
        let answered = first_open.unwrap_or(taken);
        let progressed = answered != sealed.far[1] || seal.progressed;
        let (replayed, _) = clamp(taken, self.server.get(Position::Replayed), u32::MAX / 2);
        self.server.set(Position::Replayed, replayed);
        self.server.set(Position::Answered, answered);
        self.server.set(Position::Taken, answered);
        sealed.far = [answered, answered];
        Seal { progressed, ..seal }
    }

    /// Ends a request that was in hand, as its contract says; false: it is to be offered again.
    fn end_in_hand(
        &self,
        requests: Slots<'_>,
        replies: Slots<'_>,
        at: u32,
        contracts: Contracts,
        epoch: u32,
        seal: &mut Seal,
    ) -> bool {
        replies.clear(at);
        let (operation, _) = requests.tag_and_origin(at);
        if contracts.at_most_once & 1u32.wrapping_shl(u32::from(operation)) != 0 {
            self.fill(replies, at, Outcome::Interrupted, epoch);
            seal.interrupted += 1;
            return true;
        }
        if contracts.routed {
            return false;
        }
        let (Some(progress), Some(mark)) = (replies.progress(at), replies.mark(at)) else { return false };
        let progress = progress.load(Ordering::Relaxed);
        // Tagged with the position, so that an earlier request's mark in this slot says nothing of this one.
        let now = (at.wrapping_add(1) & 0xFFFF) << 16 | progress & 0xFFFF;
        let last = mark.load(Ordering::Relaxed);
        if last == now {
            self.fill(replies, at, Outcome::Poisoned, epoch);
            seal.poisoned += 1;
            return true;
        }
        seal.progressed |= progress != 0;
        mark.store(now, Ordering::Relaxed);
        false
    }

    fn fill(&self, replies: Slots<'_>, at: u32, outcome: Outcome, epoch: u32) {
        replies.write(at, Header { epoch, tag: outcome as u8, origin: 0 }, &[]);
        replies.commit(at);
    }

    /// The client found the reply at `position` undecodable: it is no answer. Only while the server is dead, before sealing.
    pub fn take_back(&self, position: u32) {
        if let Some(replies) = self.server.slots()
            && self.client.get(Position::Consumed) == position
        {
            replies.clear(position);
        }
    }

    /// Answers everything outstanding with [`Outcome::Gone`]. Only while the server is dead and sealed.
    pub fn answer_gone(&self, sealed: &mut Sealed, epoch: u32) {
        let (Some(requests), Some(replies)) = (self.client.slots(), self.server.slots()) else { return };
        let consumed = self.client.get(Position::Consumed);
        let waiting = run_of_ready(requests, consumed);
        let mut offset = 0;
        while offset < waiting {
            let at = consumed.wrapping_add(offset);
            if !replies.committed(at, epoch) {
                let never_taken = at.wrapping_sub(self.server.get(Position::Replayed)) < u32::MAX / 2;
                if let Some(progress) = replies.progress(at).filter(|_| never_taken) {
                    progress.store(0, Ordering::Relaxed);
                }
                self.fill(replies, at, Outcome::Gone, epoch.max(1));
            }
            offset += 1;
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
    /// Seals the producer's half. A slot that was being filled stays, for the next incarnation to go on with.
    pub fn seal_producer(&self, sealed: &mut Sealed) -> Seal {
        let Some(items) = self.producer.slots() else { return Seal::default() };
        let consumed = self.consumer.get(Position::Consumed);
        let sent = consumed.wrapping_add(run_of_ready(items, consumed));
        let before = self.producer.get(Position::Sent);
        let wild = sent.wrapping_sub(before) > 1;
        self.producer.set(Position::Sent, sent);
        let progressed = sent != sealed.near[0];
        sealed.near[0] = sent;
        Seal { blamed: wild, progressed, ..Seal::default() }
    }

    /// Seals the consumer's half.
    pub fn seal_consumer(&self, sealed: &mut Sealed) -> Seal {
        let Some(items) = self.producer.slots() else { return Seal::default() };
        let floor = sealed.far[0];
        let found = self.consumer.get(Position::Consumed);
        let sent = self.producer.get(Position::Sent);
        let slots = items.geometry().slots();
        // `sent` may lag one behind what the consumer has rightly seen.
        let (consumed, wild) = if sent.wrapping_add(1).wrapping_sub(found) <= slots.wrapping_add(1) {
            (found, false)
        } else {
            clamp(found, floor, 0)
        };
        self.consumer.set(Position::Consumed, consumed);
        let progressed = consumed != floor;
        sealed.far[0] = consumed;
        Seal { blamed: wild, progressed, ..Seal::default() }
    }
}
