//! The client's end of a service port.
//!
//! A request stays in its slot until its reply is consumed. So a server that dies finds it again, and a client that dies
//! finds its own outstanding requests in its own half: its next incarnation waits for them or cancels them.

use core::cell::Cell;
use core::convert::Infallible;
use core::task::Poll;

use embassy_futures::select::{Either, select};
use koboshi_core::record::{Outcome, Position};
use koboshi_core::ring::{Header, Malformed, Message as Slot, Ready, Slots};
use koboshi_interface_kit::{
    ClientEnd, Contract, Duration, Failure, Fill, Instant, Operation, Service, Ticket, decode, encode,
};

use crate::end::End;
use crate::life::{Epoch, Exit};
use crate::platform::{Point, koboshi_begin, koboshi_blame, koboshi_now, step};
use crate::server::CANCELLED;
use crate::time::{sleep, sleep_until, until, wake_at};

/// How long until something is told again that the server did not take.
const TELL_AGAIN: Duration = Duration::from_millis(20);

/// A reply in the client's own memory.
pub struct Reply {
    /// How the request ended.
    pub outcome: Outcome,
    /// How far it came.
    pub progress: u32,
    /// The reply itself, if it was answered.
    pub message: Slot,
}

/// A request that was sent and whose reply is not consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outstanding {
    /// Its position in its ring.
    pub position: u32,
    /// Its operation.
    pub operation: u8,
    /// Position + 1 of what it forwards or goes on with; 0: nothing.
    pub origin: u32,
}

/// The client's end of a service port.
pub struct RequestPort {
    end: End,
    epoch: u32,
    sent: u32,
    consumed: u32,
    /// Replies behind `consumed` that are done with, or will be when they come: bit 0 is `consumed` itself.
    settled: u64,
    /// The reply that was read last, in the client's own memory. It stays here because to move it is work.
    copy: Slot,
    /// The request that it ended.
    ended: Option<u32>,
}

/// How a request ended whose reply is in [`RequestPort::copy`].
#[derive(Clone, Copy)]
struct Ended {
    outcome: Outcome,
    progress: u32,
}

impl RequestPort {
    /// The component's port with this number, which asks `S`.
    ///
    /// # Errors
    /// [`Exit::Unfit`] if the image has no such port, or joins it to another interface.
    pub fn open<S: Service>(port: u8) -> Result<Self, Exit> {
        Self::open_keyed(port, S::KEY.0)
    }

    /// The same for a component that asks any interface, such as one that only forwards.
    ///
    /// # Errors
    /// [`Exit::Unfit`] if the image has no such port, or joins it to another interface.
    pub fn open_keyed(port: u8, key: u64) -> Result<Self, Exit> {
        let end = End::open(port, key).ok_or(Exit::Unfit("a port is not joined to the interface that it asks"))?;
        let (sent, consumed) = (end.own.get(Position::Sent), end.own.get(Position::Consumed));
        Ok(RequestPort { end, epoch: koboshi_begin().0, sent, consumed, settled: 0, copy: Slot::new(), ended: None })
    }

    fn slots(&self) -> u32 {
        self.end.own_slots().map_or(0, |slots| slots.geometry().slots().min(u64::BITS))
    }

    /// Which incarnation asks.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        Epoch(self.epoch)
    }

    /// Whether a further request has room.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.sent.wrapping_sub(self.consumed) < self.slots()
    }

    /// Whether the server was stopped or given up, and the image does not want its clients to wait for it.
    #[must_use]
    pub fn server_gone(&self) -> bool {
        self.end.peer_gone() && !self.end.waits_for_peer()
    }

    /// The requests whose replies are not consumed, oldest first: after a start, those of the incarnation before.
    pub fn outstanding(&self) -> impl Iterator<Item = Outstanding> + use<> {
        let (consumed, count, settled) = (self.consumed, self.sent.wrapping_sub(self.consumed), self.settled);
        let slots = self.end.own_slots();
        (0..count).filter(move |ahead| settled & 1u64.wrapping_shl(*ahead) == 0).map(move |ahead| {
            let position = consumed.wrapping_add(ahead);
            let (operation, origin) = slots.map_or((0, 0), |slots| slots.tag_and_origin(position));
            Outstanding { position, operation, origin }
        })
    }

    /// Where the request with this origin lies in the ring, if its reply can still be read: it is outstanding, or was
    /// settled and its slot has not been used again.
    #[must_use]
    pub fn find(&self, origin: u32) -> Option<u32> {
        self.origins().find(|(_, found)| *found == origin).map(|(position, _)| position)
    }

    /// Whether a request whose origin comes after this one, by one ring's length at most, lies in the ring.
    #[must_use]
    pub fn holds_later(&self, origin: u32) -> bool {
        self.origins().any(|(_, found)| (1..=u64::BITS).contains(&found.wrapping_sub(origin)))
    }

    /// Where the requests lie whose replies can still be read, oldest first, and their origins.
    fn origins(&self) -> impl Iterator<Item = (u32, u32)> + use<> {
        let (slots, length, sent) = (self.end.own_slots(), self.slots(), self.sent);
        let first = self.consumed.wrapping_sub(length);
        let all = (0..sent.wrapping_sub(first)).map(move |ahead| first.wrapping_add(ahead));
        slots.into_iter().flat_map(move |requests| {
            let readable = all.clone().filter(move |at| requests.ready(*at) == Ready::Yes);
            readable.map(move |at| (at, requests.tag_and_origin(at).1))
        })
    }

    /// Sends a request that has room, and gives its position.
    pub fn send(&mut self, operation: u8, origin: u32, deadline: u64, payload: &[u8]) -> Option<u32> {
        self.copy.room().get_mut(..payload.len())?.copy_from_slice(payload);
        self.send_from_room(operation, origin, deadline, payload.len())
    }

    /// The same for a typed request.
    pub fn send_message<O: Operation>(&mut self, request: &O::Request, origin: u32, deadline: Instant) -> Option<u32> {
        let length = encode(request, self.copy.room())?.len();
        self.send_from_room(O::INDEX, origin, deadline.as_ticks(), length)
    }

    /// Sends so many bytes of the room of `copy`.
    // In one place: there it is known how the room is aligned, so that words are moved and not bytes.
    #[inline(never)]
    fn send_from_room(&mut self, operation: u8, origin: u32, deadline: u64, length: usize) -> Option<u32> {
        let requests = self.end.own_slots().filter(|_| self.has_room())?;
        let payload = self.copy.room().get(..length)?;
        let position = self.sent;
        let header = Header { epoch: self.epoch, tag: operation, origin };
        let mut fits = false;
        step(Point::Port, || {
            fits = requests.write(position, header, payload);
            requests.write_deadline(position, deadline);
        });
        fits.then(|| self.commit(position))
    }

    fn commit(&mut self, position: u32) -> u32 {
        if let Some(requests) = self.end.own_slots() {
            step(Point::Port, || requests.commit(position));
        }
        self.sent = position.wrapping_add(1);
        step(Point::Port, || self.end.own.set(Position::Sent, self.sent));
        self.end.ring();
        position
    }

    /// The reply to a request, if it has come. It stays until [`RequestPort::settle`].
    ///
    /// A malformed one is its server's fault: it is reported, and the request is offered to the next incarnation.
    pub fn reply(&mut self, position: u32) -> Option<Reply> {
        let Ended { outcome, progress } = self.ended(position)?;
        Some(Reply { outcome, progress, message: self.copy.clone() })
    }

    /// The same, with the reply left where it is.
    fn ended(&mut self, position: u32) -> Option<Ended> {
        let ended = self.look(position);
        self.ended = ended.map(|_| position);
        ended
    }

    fn look(&mut self, position: u32) -> Option<Ended> {
        let replies = self.end.peer_slots()?;
        // Nothing more is asked of the platform while there is nothing: that is most of the time.
        match replies.ready(position) {
            Ready::NotYet if self.sent.wrapping_sub(position) <= 1 => return None,
            Ready::NotYet | Ready::Malformed => return self.missing(replies, position),
            Ready::Yes => {}
        }
        match replies.read(position, self.end.peer_epoch(), &mut self.copy) {
            Ok(true) => match Outcome::from_tag(self.copy.header.tag) {
                Some(outcome) => Some(Ended { outcome, progress: self.copy.progress() }),
                None => self.accuse(position, self.copy.header.epoch),
            },
            Ok(false) | Err(Malformed::Sequence) => self.missing(replies, position),
            Err(_) => self.accuse(position, replies.epoch(position)),
        }
    }

    /// What [`RequestPort::look`] finds where there was no reply.
    #[cold]
    fn missing(&mut self, replies: Slots<'static>, position: u32) -> Option<Ended> {
        // Asked before the slots are looked at: another incarnation may live afterwards.
        let living = self.server_epoch();
        match replies.ready(position) {
            Ready::NotYet if self.overtaken(position, living) => self.accuse(position, living),
            Ready::NotYet => None,
            Ready::Malformed => self.accuse(position, living),
            // It has come meanwhile, and the client is woken for it.
            Ready::Yes => None,
        }
    }

    /// Whether [`RequestPort::ended`] gives something, for a reply that nobody is going to read.
    fn has_ended(&mut self, position: u32) -> bool {
        if self.ended == Some(position) {
            return true;
        }
        let Some(replies) = self.end.peer_slots().filter(|replies| replies.ready(position) == Ready::Yes) else {
            return self.ended(position).is_some();
        };
        match replies.read_tag(position, self.end.peer_epoch()) {
            Ok(Some((_, tag))) if Outcome::from_tag(tag).is_some() => true,
            _ => self.ended(position).is_some(),
        }
    }

    /// Whether the living server answered a later request although it has not answered this one: it dropped the reply.
    ///
    /// Replies of earlier incarnations say nothing: they may stand behind a request that was opened again.
    fn overtaken(&self, position: u32, living: u32) -> bool {
        let Some(replies) = self.end.peer_slots() else {
            return false;
        };
        let later = 1..self.sent.wrapping_sub(position).min(self.slots());
        // The later ones first: replies are committed in order, so who sees one sees those before it.
        later
            .map(|ahead| position.wrapping_add(ahead))
            .any(|at| replies.ready(at) == Ready::Yes && replies.epoch(at) == living)
            && replies.ready(position) == Ready::NotYet
    }

    /// Asks something harmless behind a request that takes long. A server that is at work answers it later; one that
    /// dropped the reply answers it first, and so gives itself away. One probe is under way at a time.
    pub fn probe<O: Operation<Request = ()>>(&mut self, behind: u32, deadline: Instant) {
        let asked = (1..self.sent.wrapping_sub(behind).min(self.slots()))
            .any(|ahead| self.operation(behind.wrapping_add(ahead)) == O::INDEX);
        if !asked && let Some(position) = self.send_message::<O>(&(), 0, deadline) {
            self.settle(position);
        }
    }

    /// The reply at this position, written in this epoch, is malformed.
    ///
    /// Without the right to say so, the request counts as poisoned: nobody will answer it again.
    pub fn blame(&mut self, position: u32, epoch: u32) -> Option<Reply> {
        let Ended { outcome, progress } = self.accuse(position, epoch)?;
        Some(Reply { outcome, progress, message: Slot::new() })
    }

    fn accuse(&mut self, position: u32, epoch: u32) -> Option<Ended> {
        if koboshi_blame(self.end.port, position, epoch) {
            // It is open again.
            self.ended = None;
            return None;
        }
        self.copy.empty();
        Some(Ended { outcome: Outcome::Poisoned, progress: 0 })
    }

    /// Done with a request: its slot is free once its reply, and those before it, have come.
    pub fn settle(&mut self, position: u32) {
        let ahead = position.wrapping_sub(self.consumed);
        if ahead < self.sent.wrapping_sub(self.consumed) {
            self.settled |= 1u64.wrapping_shl(ahead);
        }
        self.consume();
    }

    fn consume(&mut self) {
        let mut consumed = self.consumed;
        while self.settled & 1 != 0 && self.has_ended(consumed) {
            self.settled >>= 1;
            consumed = consumed.wrapping_add(1);
        }
        if consumed != self.consumed {
            self.consumed = consumed;
            step(Point::Port, || self.end.own.set(Position::Consumed, consumed));
        }
    }

    /// Gives a request up: if it is taken after this, it is not run, and its reply is not waited for.
    ///
    /// One that is in hand goes on; for `AtMostOnce` it may have happened.
    pub fn cancel(&mut self, position: u32) {
        if let Some(requests) = self.end.own_slots() {
            step(Point::Port, || requests.write_deadline(position, CANCELLED));
        }
        self.settle(position);
    }

    /// Gives up all that is outstanding, for an incarnation that has no use for what the one before asked.
    pub fn cancel_all(&mut self) {
        for request in self.outstanding() {
            self.cancel(request.position);
        }
    }

    /// When the request at this position was to be answered; the beginning of time for one that was cancelled.
    #[must_use]
    pub fn deadline(&self, position: u32) -> Instant {
        Instant::from_ticks(self.end.own_slots().map_or(0, |requests| requests.deadline(position)))
    }

    /// The operation of the request at this position.
    #[must_use]
    pub fn operation(&self, position: u32) -> u8 {
        self.end.own_slots().map_or(u8::MAX, |requests| requests.tag_and_origin(position).0)
    }

    /// The server's present epoch.
    #[must_use]
    pub fn server_epoch(&self) -> u32 {
        self.end.peer_epoch()
    }

    /// What the request at this position says.
    #[must_use]
    pub fn request(&self, position: u32) -> Option<Slot> {
        let mut message = Slot::new();
        matches!(self.end.own_slots()?.read(position, self.epoch, &mut message), Ok(true)).then_some(message)
    }

    /// Tells the server of each number that is noted in `noted`, in the words of `say`: once, and again if it did not
    /// take it. What it answers does not matter.
    pub async fn tell<O: Operation>(
        &mut self,
        noted: &Cell<Option<u32>>,
        say: impl Fn(u32) -> O::Request,
    ) -> Infallible {
        let mut told = None;
        loop {
            let number = until(|| noted.take().filter(|number| told != Some(*number))).await;
            match self.call::<O>(&say(number), O::DEADLINE).await {
                Ok(_) => told = Some(number),
                Err(Failure::Late { ticket, .. }) => self.cancel(ticket.position),
                Err(_) => sleep(TELL_AGAIN).await,
            }
        }
    }

    /// Waits until a further request has room.
    pub async fn room(&mut self) {
        until(|| {
            self.consume();
            self.has_room().then_some(())
        })
        .await;
    }

    /// Waits for a reply until `deadline`; `None`: it has not come.
    pub async fn reply_before(&mut self, position: u32, deadline: Instant) -> Option<Reply> {
        let Ended { outcome, progress } = self.ended_before(position, deadline, true).await?;
        Some(Reply { outcome, progress, message: self.copy.clone() })
    }

    /// `look`: the clock is to be looked at at once. Who has just done so saves it.
    async fn ended_before(&mut self, position: u32, deadline: Instant, mut look: bool) -> Option<Ended> {
        core::future::poll_fn(|_| {
            self.consume();
            if let Some(ended) = self.ended(position) {
                return Poll::Ready(Some(ended));
            }
            if core::mem::replace(&mut look, true) && koboshi_now() >= deadline.as_ticks() {
                return Poll::Ready(None);
            }
            wake_at(deadline);
            Poll::Pending
        })
        .await
    }

    /// Begins, or goes on with, a request that is filled in place. It needs room.
    #[must_use]
    pub fn filling<O: Operation>(&mut self) -> Option<Filling<'_>>
    where
        O::Request: Fill,
    {
        let requests = self.end.own_slots().filter(|_| self.has_room())?;
        let fill = crate::stream::Place::begin::<O::Request>(&self.end, requests, self.sent);
        Some(Filling { port: self, operation: O::INDEX, fill })
    }

    async fn conclude<O: Operation>(&mut self, position: u32, deadline: Instant) -> Result<O::Reply, Failure<O>> {
        let mut look = false;
        loop {
            let Some(ended) = self.ended_before(position, deadline, look).await else {
                return Err(Failure::Late {
                    ticket: Ticket::new(position),
                    means: <O::Contract as Contract>::after_deadline(),
                });
            };
            look = true;
            let progress = ended.progress;
            let result = match ended.outcome {
                Outcome::Answer => match decode(self.copy.bytes()) {
                    Some(decoded) => Ok(decoded),
                    None if self.accuse(position, self.copy.header.epoch).is_none() => continue,
                    None => Err(Failure::Poisoned { progress }),
                },
                Outcome::Interrupted => Err(match <O::Contract as Contract>::interrupted() {
                    Some(means) => Failure::Interrupted(means),
                    None => Failure::Poisoned { progress },
                }),
                Outcome::Poisoned => Err(Failure::Poisoned { progress }),
                Outcome::Expired => Err(Failure::Expired { progress }),
                Outcome::Gone => Err(Failure::Gone { progress }),
                Outcome::Refused => Err(Failure::Refused),
            };
            self.settle(position);
            return result;
        }
    }
}

impl ClientEnd for RequestPort {
    async fn call<O: Operation>(&mut self, request: &O::Request, deadline: Duration) -> Result<O::Reply, Failure<O>> {
        let deadline = Instant::from_ticks(koboshi_now()) + deadline;
        if self.server_gone() {
            return Err(Failure::Gone { progress: 0 });
        }
        self.consume();
        if !self.has_room()
            && let Either::Second(()) = select(self.room(), sleep_until(deadline)).await
        {
            return Err(Failure::NotSent);
        }
        match self.send_message::<O>(request, 0, deadline) {
            Some(position) => self.conclude(position, deadline).await,
            None => Err(Failure::Refused),
        }
    }

    async fn wait<O: Operation>(&mut self, ticket: Ticket<O>, deadline: Duration) -> Result<O::Reply, Failure<O>> {
        let deadline = Instant::from_ticks(koboshi_now()) + deadline;
        self.conclude(ticket.position, deadline).await
    }
}

/// A request that is being filled in place. Dropping it loses nothing: the slot stays, half filled.
pub struct Filling<'p> {
    port: &'p mut RequestPort,
    operation: u8,
    fill: crate::stream::Place,
}

impl Filling<'_> {
    /// How many bytes it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fill.count()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether no byte more fits.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() == self.fill.capacity()
    }

    /// Adds a byte and counts it. Call it inside a [`window`](crate::window), together with what gives the byte.
    pub fn push(&self, byte: u8) {
        self.fill.push(byte);
    }

    /// Sends the request and gives its position.
    pub fn send(self, origin: u32, deadline: Instant) -> u32 {
        let position = self.port.sent;
        if let Some(requests) = self.port.end.own_slots() {
            let header = Header { epoch: self.port.epoch, tag: self.operation, origin };
            step(Point::Port, || {
                self.fill.finish(header);
                requests.write_deadline(position, deadline.as_ticks());
            });
        }
        self.port.commit(position)
    }
}
