//! The server's end of a service port.
//!
//! Order of stores, and why: a request's progress is set to zero before `taken` counts it (else a death in between would
//! leave an earlier request's progress to it); `taken` is stored before the method runs (else a request that was begun
//! would look as if it had never been seen); the reply's slot is committed before `answered` (sealing reads the slots).

use core::sync::atomic::AtomicU32;

use koboshi_core::record::{Outcome, Position};
use koboshi_core::ring::{Header, Malformed, Message as Slot, Ready};
use koboshi_core::sync::Ordering;
use koboshi_interface_kit::{Message, ServerEnd, Service, decode, encode};

use crate::end::End;
use crate::life::{Epoch, Exit};
use crate::platform::{Point, koboshi_begin, koboshi_blame, koboshi_now, koboshi_quiesces, step};
use crate::time::until;

/// The deadline of a request that its client has given up: what is taken behind that is not run.
pub(crate) const CANCELLED: u64 = 0;

/// A request in the server's own memory.
pub struct Taken {
    /// Its position in its ring.
    pub position: u32,
    /// It was in hand at a death, and is offered again.
    pub replay: bool,
    /// What it asks.
    pub message: Slot,
}

/// A request in hand, without its content: that is in the port, until the next one is taken or an answer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InHand {
    position: u32,
    operation: u8,
    replay: bool,
}

impl Taken {
    /// The same without its content.
    #[must_use]
    pub const fn in_hand(&self) -> InHand {
        InHand { position: self.position, operation: self.message.header.tag, replay: self.replay }
    }
}

/// The server's end of a service port. Requests may be taken while earlier ones are in hand; answers go in order.
pub struct ServicePort {
    end: End,
    epoch: u32,
    taken: u32,
    answered: u32,
    /// Requests ahead of `taken` that were in hand at a death.
    replays: u32,
    /// It only forwards: whether a request has expired is judged where it is carried out.
    routed: bool,
    /// The request that was taken last, in the server's own memory. It stays here because to move it is work.
    copy: Slot,
}

impl ServicePort {
    /// The component's port with this number, which serves `S`.
    ///
    /// # Errors
    /// [`Exit::Unfit`] if the image has no such port, or joins it to another interface.
    pub fn open<S: Service>(port: u8) -> Result<Self, Exit> {
        Self::open_as(port, S::KEY.0, false)
    }

    /// The same for a component that only forwards what it is asked.
    ///
    /// # Errors
    /// [`Exit::Unfit`] if the image has no such port, or joins it to another interface.
    pub fn open_routed<S: Service>(port: u8) -> Result<Self, Exit> {
        Self::open_as(port, S::KEY.0, true)
    }

    fn open_as(port: u8, key: u64, routed: bool) -> Result<Self, Exit> {
        let end = End::open(port, key).ok_or(Exit::Unfit("a port is not joined to the interface that it serves"))?;
        let (taken, answered) = (end.own.get(Position::Taken), end.own.get(Position::Answered));
        let slots = end.own_slots().map_or(0, |slots| slots.geometry().slots());
        // After a long life without a death this word is old: what lies further ahead than the ring is long says nothing.
        let replays = end.own.get(Position::Replayed).wrapping_sub(taken);
        let replays = if replays <= slots { replays } else { 0 };
        Ok(ServicePort { end, epoch: koboshi_begin().0, taken, answered, replays, routed, copy: Slot::new() })
    }

    /// Which incarnation answers.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        Epoch(self.epoch)
    }

    /// How many requests were taken.
    #[must_use]
    pub const fn taken(&self) -> u32 {
        self.taken
    }

    /// How many requests were answered: the next answer is to this one.
    #[must_use]
    pub const fn answered(&self) -> u32 {
        self.answered
    }

    /// Behind a request that was opened again, later ones may be answered already: they are not taken again.
    fn pass_answered(&mut self) {
        let Some(replies) = self.end.own_slots() else {
            return;
        };
        while self.replays > 0 && replies.committed(self.taken, self.epoch) {
            self.replays -= 1;
            self.taken = self.taken.wrapping_add(1);
            step(Point::Port, || self.end.own.set(Position::Taken, self.taken));
        }
        self.count_answered();
    }

    /// Moves `answered` to the first request in hand.
    fn count_answered(&mut self) {
        let Some(replies) = self.end.own_slots() else {
            return;
        };
        let mut answered = self.answered;
        while answered != self.taken && replies.committed(answered, self.epoch) {
            answered = answered.wrapping_add(1);
        }
        if answered != self.answered {
            self.answered = answered;
            step(Point::Port, || self.end.own.set(Position::Answered, answered));
        }
    }

    /// Takes the next request, if there is one and this incarnation may take any.
    pub fn take(&mut self) -> Option<Taken> {
        let InHand { position, replay, .. } = self.take_in_place()?;
        Some(Taken { position, replay, message: self.copy.clone() })
    }

    /// The same, with the request left in `copy`.
    // In one place, as in `RequestPort::send_from_room`.
    #[inline(never)]
    fn take_in_place(&mut self) -> Option<InHand> {
        loop {
            if self.replays > 0 {
                self.pass_answered();
            }
            let (requests, replies) = (self.end.peer_slots()?, self.end.own_slots()?);
            let position = self.taken;
            // The peer's epoch is asked for only where there is a request.
            if requests.ready(position) == Ready::NotYet || koboshi_quiesces() {
                return None;
            }
            let message = &mut self.copy;
            let read = requests.read(position, self.end.peer_epoch(), message);
            match read {
                Ok(false) => return None,
                Err(Malformed::Sequence) => {
                    // Nothing that can be answered: its writer has to begin anew.
                    koboshi_blame(self.end.port, position, requests.epoch(position));
                    return None;
                }
                Ok(true) | Err(_) => {}
            }
            let replay = self.replays > 0;
            let over = message.deadline() == CANCELLED || replay && message.deadline() <= koboshi_now();
            let ends_as = match read {
                Err(_) => Some(Outcome::Refused),
                Ok(_) if over && !self.routed => Some(Outcome::Expired),
                Ok(_) => None,
            };
            if ends_as.is_some() && position != self.answered {
                // Answers go in order: its own comes when those before it are given.
                return None;
            }
            self.replays = self.replays.saturating_sub(1);
            if !replay {
                let words = [replies.progress(position), replies.mark(position)];
                step(Point::Port, || words.into_iter().flatten().for_each(|word| word.store(0, Ordering::Relaxed)));
            }
            self.taken = position.wrapping_add(1);
            step(Point::Port, || self.end.own.set(Position::Taken, self.taken));
            match ends_as {
                Some(outcome) => self.finish(position, outcome, &[]),
                None => return Some(InHand { position, replay, operation: self.copy.header.tag }),
            }
        }
    }

    /// Waits for the next request. It takes nothing until one is there.
    pub async fn next_request(&mut self) -> Taken {
        let InHand { position, replay, .. } = until(|| self.take_in_place()).await;
        Taken { position, replay, message: self.copy.clone() }
    }

    /// The word in which the progress of a request in hand lives.
    #[must_use]
    pub fn progress_word(&self, position: u32) -> &'static AtomicU32 {
        static NOWHERE: AtomicU32 = AtomicU32::new(0);
        self.end.own_slots().and_then(|replies| replies.progress(position)).unwrap_or(&NOWHERE)
    }

    /// Ends the oldest request in hand.
    ///
    /// An answer out of order, or to a request that is not in hand, is not given.
    pub fn finish(&mut self, position: u32, outcome: Outcome, payload: &[u8]) {
        if let Some(room) = self.copy.room().get_mut(..payload.len()) {
            room.copy_from_slice(payload);
            self.finish_from_room(position, outcome, payload.len());
        }
    }

    /// The same with so many bytes of the room of `copy`.
    // In one place, as in `RequestPort::send_from_room`.
    #[inline(never)]
    fn finish_from_room(&mut self, position: u32, outcome: Outcome, length: usize) {
        let (Some(replies), Some(payload)) = (self.end.own_slots(), self.copy.room().get(..length)) else {
            return;
        };
        if position != self.answered || position == self.taken {
            return;
        }
        let header = Header { epoch: self.epoch, tag: outcome as u8, origin: 0 };
        step(Point::Port, || {
            replies.write(position, header, payload);
        });
        step(Point::Port, || replies.commit(position));
        self.count_answered();
        self.end.ring();
    }
}

impl ServerEnd for ServicePort {
    type Taken = InHand;

    async fn next(&mut self) -> InHand {
        until(|| self.take_in_place()).await
    }

    fn operation(taken: &InHand) -> u8 {
        taken.operation
    }

    fn request<T: Message>(&self, taken: &InHand) -> Option<T> {
        // Only of the last one is the content here.
        let here = taken.position.wrapping_add(1) == self.taken;
        here.then(|| decode(self.copy.bytes())).flatten()
    }

    fn progress(&self, taken: &InHand) -> &'static AtomicU32 {
        self.progress_word(taken.position)
    }

    async fn answer<T: Message>(&mut self, taken: InHand, reply: &T) {
        match encode(reply, self.copy.room()).map(<[u8]>::len) {
            Some(length) => self.finish_from_room(taken.position, Outcome::Answer, length),
            None => self.finish_from_room(taken.position, Outcome::Refused, 0),
        }
    }

    fn refuse(&mut self, taken: InHand) {
        self.finish(taken.position, Outcome::Refused, &[]);
    }
}
