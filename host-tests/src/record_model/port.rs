//! A port's two halves in the model, and what an onlooker knows beside them.
//!
//! Job: hold the words of a port, do what the kernel does with them when one side has died, and note what the devices and
//! the application saw.

use super::*;

/// The recovery contract of a request; `Deadly` is a pure one that kills its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Contract {
    Pure,
    Idempotent,
    Resumable,
    AtMostOnce,
    Deadly,
}

pub(super) use Contract::{AtMostOnce, Deadly, Idempotent, Pure, Resumable};

pub(super) const CONTRACTS: [Contract; 4] = [Pure, Idempotent, Resumable, AtMostOnce];

/// All ways to choose `length` out of the four contracts.
pub(super) fn every(length: usize) -> Vec<Vec<Contract>> {
    (0..length).fold(vec![Vec::new()], |all, _| {
        let longer =
            |begun: Vec<Contract>| CONTRACTS.map(|next| begun.iter().copied().chain([next]).collect::<Vec<_>>());
        all.into_iter().flat_map(longer).collect()
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Plain,
    Interrupted,
    Poisoned,
    Expired,
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reply {
    pub(super) kind: Kind,
    /// Which request is answered.
    pub(super) to: u8,
    pub(super) progress: u8,
    /// It cannot be decoded.
    pub(super) bad: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RequestSlot {
    pub(super) sequence: u32,
    pub(super) request: u8,
    /// For a forwarded request: its position at the router's client, plus one.
    pub(super) origin: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ReplySlot {
    pub(super) sequence: u32,
    pub(super) epoch: u8,
    pub(super) reply: Reply,
    pub(super) progress: u8,
}

/// What the kernel remembers of a request in hand at the last death.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Held {
    pub(super) position: u32,
    pub(super) progress: u8,
}

/// One service port: both outboxes, and what the kernel keeps about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Port<const N: usize> {
    // the client's outbox
    pub(super) requests: [RequestSlot; N],
    pub(super) sent: u32,
    pub(super) consumed: u32,
    // the server's outbox
    pub(super) replies: [ReplySlot; N],
    pub(super) taken: u32,
    pub(super) answered: u32,
    pub(super) replayed: u32,
    // the kernel's memory
    pub(super) sealed_sent: u32,
    pub(super) sealed_consumed: u32,
    pub(super) sealed_taken: u32,
    pub(super) sealed_answered: u32,
    pub(super) held: [Option<Held>; N],
}

impl<const N: usize> Port<N> {
    const RING: u32 = N as u32;

    /// Where `position` lies in this port's rings.
    pub(super) const fn slot(position: u32) -> usize {
        position as usize % N
    }

    pub(super) fn new(first: u32) -> Self {
        // As after the lap before: no slot may look ready at the start.
        let lap = |index: usize| first.wrapping_add(index as u32).wrapping_add(1).wrapping_sub(Self::RING);
        let mut port = Self {
            requests: [RequestSlot { sequence: 0, request: u8::MAX, origin: 0 }; N],
            sent: first,
            consumed: first,
            replies: [ReplySlot {
                sequence: 0,
                epoch: KERNEL,
                reply: Reply { kind: Kind::Plain, to: u8::MAX, progress: 0, bad: false },
                progress: 0,
            }; N],
            taken: first,
            answered: first,
            replayed: first,
            sealed_sent: first,
            sealed_consumed: first,
            sealed_taken: first,
            sealed_answered: first,
            held: [None; N],
        };
        for index in 0..N {
            let at = Self::slot(first.wrapping_add(index as u32));
            port.requests[at].sequence = lap(index);
            port.replies[at].sequence = lap(index);
        }
        port
    }

    /// How far `mark` is ahead of `base`, if it is less than one ring, else nothing: a mark from long
    /// ago must not come back when the positions have gone half way round.
    pub(super) const fn ahead(base: u32, mark: u32) -> u32 {
        let distance = mark.wrapping_sub(base);
        if distance <= Self::RING { distance } else { 0 }
    }

    pub(super) fn asked(&self, position: u32) -> bool {
        self.requests[Self::slot(position)].sequence == position.wrapping_add(1)
    }

    pub(super) fn replied(&self, position: u32) -> bool {
        self.replies[Self::slot(position)].sequence == position.wrapping_add(1)
    }

    pub(super) fn room(&self) -> bool {
        self.sent.wrapping_sub(self.consumed) < Self::RING
    }

    /// `sent` as the request slots' own words prove it.
    pub(super) fn proven_sent(&self) -> u32 {
        let mut sent = self.sent;
        while self.asked(sent) {
            sent = sent.wrapping_add(1);
        }
        sent
    }

    /// `answered` as the reply slots' own words prove it.
    pub(super) fn proven_answered(&self) -> u32 {
        let mut answered = self.answered;
        while self.replied(answered) {
            answered = answered.wrapping_add(1);
        }
        answered
    }

    /// Makes slot `position` not ready, as it was in the lap before.
    pub(super) fn reopen(&mut self, position: u32) {
        self.replies[Self::slot(position)].sequence = position.wrapping_add(1).wrapping_sub(Self::RING);
    }

    /// Stores a reply and its word on behalf of the dead server.
    pub(super) fn kernel_replies(&mut self, position: u32, kind: Kind, to: u8, wrong: &mut Wrong) {
        wrong.note(Wrong::OVERWRITTEN, !self.may_reply(position));
        let one = &mut self.replies[Self::slot(position)];
        one.reply = Reply { kind, to, progress: one.progress, bad: false };
        one.epoch = KERNEL;
        one.sequence = position.wrapping_add(1);
    }

    /// Whether the reply slot is free for `position`.
    pub(super) fn may_reply(&self, position: u32) -> bool {
        !self.replied(position) && behind(position.wrapping_sub(Self::RING), self.consumed)
    }

    /// The client is dead: its words are put right.
    pub(super) fn seal_client(&mut self, mistakes: Mistakes, wrong: &mut Wrong) {
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
    pub(super) fn clamp_server(&mut self, mistakes: Mistakes, wrong: &mut Wrong) -> u32 {
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
    pub(super) fn seal_position(
        &mut self,
        position: u32,
        contract: Contract,
        poisons: bool,
        mistakes: Mistakes,
        wrong: &mut Wrong,
    ) {
        let at = Self::slot(position);
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
        let later = behind(next, self.taken) || Self::ahead(next, self.replayed) > 0;
        let overtaken = contract == Idempotent && later && !mistakes.has(Mistake::ReopensBehindALaterOne);
        if contract == AtMostOnce && !mistakes.has(Mistake::OffersAtMostOnceAgain) {
            self.kernel_replies(position, Kind::Interrupted, request, wrong);
        } else if overtaken || poisons && again {
            self.kernel_replies(position, Kind::Poisoned, request, wrong);
        }
    }

    /// The server is dead, last step: its words say where its next incarnation begins.
    pub(super) fn finish_server(
        &mut self,
        consumed: u32,
        contract: impl Fn(u32) -> Contract,
        mistakes: Mistakes,
        wrong: &mut Wrong,
    ) {
        // Taken by an earlier incarnation, not yet again by this one, and its reply was taken back.
        for further in 0..Self::ahead(self.taken, self.replayed) {
            let position = self.taken.wrapping_add(further);
            let request = self.requests[Self::slot(position)].request;
            let later = Self::ahead(position.wrapping_add(1), self.replayed) > 0;
            match contract(position) {
                _ if self.replied(position) => {}
                AtMostOnce if !mistakes.has(Mistake::OffersAtMostOnceAgain) => {
                    self.kernel_replies(position, Kind::Interrupted, request, wrong);
                }
                Idempotent if later && !mistakes.has(Mistake::ReopensBehindALaterOne) => {
                    self.kernel_replies(position, Kind::Poisoned, request, wrong);
                }
                _ => {}
            }
        }
        let replayed = Self::ahead(consumed, self.replayed).max(self.taken.wrapping_sub(consumed));
        self.replayed = if mistakes.has(Mistake::ComparesPlainly) {
            self.replayed.max(self.taken)
        } else {
            consumed.wrapping_add(replayed)
        };
        for at in 0..N {
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
pub(super) struct Ghost {
    pub(super) wrong: Wrong,
    /// Effects, or steps, by request.
    pub(super) effects: [u8; REQUESTS],
    /// The last request with an effect, plus one.
    pub(super) latest: u8,
    /// Deaths with the request in hand, by request.
    pub(super) in_hand: [u8; REQUESTS],
    /// Replies delivered.
    pub(super) heard: u8,
    /// This incarnation of the client has had a reply.
    pub(super) told: bool,
    /// Deaths by a deadly request, by request.
    pub(super) killed: [u8; REQUESTS],
    /// Idempotent requests that a later one was taken behind.
    pub(super) overtaken: u8,
    /// Requests that a router had forwarded and lost sight of.
    pub(super) lost: u8,
}

impl Ghost {
    pub(super) fn effect(&mut self, request: u8, contract: Contract, step: u8) {
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

    pub(super) fn deliver(&mut self, request: u8, contract: Contract, reply: Reply) {
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
        let overtaken = self.overtaken & 1 << request != 0;
        let may_be_poisoned = self.in_hand[request as usize] >= 2 || overtaken || self.lost & 1 << request != 0;
        self.wrong.note(Wrong::POISONED, reply.kind == Kind::Poisoned && !may_be_poisoned);
        let may_be_interrupted = contract == AtMostOnce;
        self.wrong.note(Wrong::INTERRUPTED, reply.kind == Kind::Interrupted && !may_be_interrupted);
    }

    /// The request at `position` is taken.
    pub(super) fn takes<const N: usize>(&mut self, port: &Port<N>, position: u32, contracts: &[Contract; REQUESTS]) {
        for further in 1..=position.wrapping_sub(port.consumed).min(N as u32) {
            let earlier = port.requests[Port::<N>::slot(position.wrapping_sub(further))].request;
            if contracts.get(earlier as usize) == Some(&Idempotent) {
                self.overtaken |= 1 << earlier;
            }
        }
    }

    /// A death with this request in hand.
    pub(super) fn is_in_hand(&mut self, request: u8) {
        let deaths = &mut self.in_hand[request as usize];
        *deaths = (*deaths + 1).min(2);
    }
}

/// Where a component is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Life {
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
