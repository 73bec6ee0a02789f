//! The two ends of a stream port.

use core::cell::Cell;
use core::marker::PhantomData;

use embassy_futures::select::{Either, select};
use koboshi_core::record::Position;
use koboshi_core::ring::{Header, Malformed, Message as Slot, Payload, Ready, Slots};
use koboshi_interface_kit::{Fill, MAX_MESSAGE, Stream, decode, encode};

use crate::end::End;
use crate::life::Exit;
use crate::platform::{Point, koboshi_begin, koboshi_blame, step};
use crate::time::{Instant, sleep_until, until};

/// A slot that is being filled in place, byte by byte. What it holds survives its owner.
#[derive(Clone)]
pub(crate) struct Place {
    slots: Slots<'static>,
    payload: Payload<'static>,
    position: u32,
    count_at: usize,
    capacity: usize,
    /// As in the slot, which its owner alone writes.
    count: Cell<usize>,
}

impl Place {
    /// The slot at `position`, which an earlier incarnation may have begun.
    fn at<T: Fill>(slots: Slots<'static>, position: u32) -> Self {
        let (payload, count_at) = (slots.payload(position), T::START - 1);
        let count = Cell::new(payload.get(count_at).into());
        Place { slots, payload, position, count_at, capacity: T::CAPACITY, count }
    }

    /// Goes on with the slot at `position` if an earlier incarnation began it, else begins it.
    pub(crate) fn begin<T: Fill>(end: &End, slots: Slots<'static>, position: u32) -> Self {
        let place = Place::at::<T>(slots, position);
        let mark = position.wrapping_add(1);
        if end.own.get(Position::Filling) != mark || place.count() > place.capacity {
            step(Point::Port, || {
                for (at, byte) in T::PREFIX.iter().enumerate() {
                    place.payload.set(at, *byte);
                }
                place.set_count(0);
            });
            step(Point::Port, || end.own.set(Position::Filling, mark));
        }
        place
    }

    fn set_count(&self, count: usize) {
        self.payload.set(self.count_at, count as u8);
        self.count.set(count);
    }

    pub(crate) fn count(&self) -> usize {
        self.count.get()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn push(&self, byte: u8) {
        let count = self.count();
        if count < self.capacity {
            self.payload.set(self.count_at + 1 + count, byte);
            self.set_count(count + 1);
        }
    }

    pub(crate) fn finish(&self, header: Header) {
        self.slots.finish(self.position, header, self.count_at + 1 + self.count());
    }
}

/// The consumer gave no credit until the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// The producer's end of a stream.
pub struct Publisher<S> {
    end: End,
    epoch: u32,
    sent: u32,
    /// The slot at `sent`, if this incarnation has reserved it: to find it anew for each byte would be work.
    reserved: Option<Place>,
    carries: PhantomData<fn() -> S>,
}

impl<S: Stream> Publisher<S> {
    /// The component's port with this number.
    ///
    /// # Errors
    /// [`Exit::Unfit`] if the image has no such port, or joins it to another interface.
    pub fn open(port: u8) -> Result<Self, Exit> {
        let unfit = Exit::Unfit("a port is not joined to the stream that it publishes");
        let end = End::open(port, S::KEY.0).ok_or(unfit)?;
        let sent = end.own.get(Position::Sent);
        Ok(Publisher { end, epoch: koboshi_begin().0, sent, reserved: None, carries: PhantomData })
    }

    /// Whether a further item has room: whether the consumer has given credit.
    #[must_use]
    pub fn has_room(&self) -> bool {
        // The consumer's position is its word: one that lies beyond the ring gives no credit.
        let ahead = self.sent.wrapping_sub(self.end.peer.get(Position::Consumed));
        self.end.own_slots().is_some_and(|slots| ahead < slots.geometry().slots())
    }

    /// Waits until a further item has room.
    pub async fn room(&self) {
        until(|| self.has_room().then_some(())).await;
    }

    /// Publishes an item that has room; false, and nothing happened, if it has none.
    ///
    /// Inside a [`window`](crate::window) this is one commit; ring with [`Publisher::ring`] behind it.
    pub fn place(&mut self, item: &S::Item) -> bool {
        let mut room = [0; MAX_MESSAGE];
        let (Some(slots), Some(payload)) = (self.end.own_slots().filter(|_| self.has_room()), encode(item, &mut room))
        else {
            return false;
        };
        let header = Header { epoch: self.epoch, tag: 0, origin: 0 };
        step(Point::Port, || {
            slots.write(self.sent, header, payload);
        });
        self.commit(slots);
        true
    }

    fn commit(&mut self, slots: Slots<'static>) {
        self.reserved = None;
        step(Point::Port, || slots.commit(self.sent));
        self.sent = self.sent.wrapping_add(1);
        step(Point::Port, || self.end.own.set(Position::Sent, self.sent));
    }

    /// Tells the consumer to look.
    pub fn ring(&self) {
        self.end.ring();
    }

    /// Publishes an item as soon as it has room.
    ///
    /// # Errors
    /// [`NoRoom`] if it had none until `deadline`. Nothing was sent then, and the item is still the caller's.
    pub async fn publish(&mut self, item: &S::Item, deadline: Instant) -> Result<(), NoRoom> {
        if let Either::Second(()) = select(self.room(), sleep_until(deadline)).await {
            return Err(NoRoom);
        }
        self.place(item);
        self.ring();
        Ok(())
    }
}

impl<S: Stream> Publisher<S>
where
    S::Item: Fill,
{
    /// How many bytes the item holds that is being filled in place.
    #[must_use]
    pub fn filled(&self) -> usize {
        match &self.reserved {
            Some(place) => place.count(),
            None => self.begun().map_or(0, |place| place.count()),
        }
    }

    /// What an incarnation before this one has begun to fill, and this one has not reserved yet.
    #[cold]
    fn begun(&self) -> Option<Place> {
        let slots = self.end.own_slots()?;
        let begun = self.end.own.get(Position::Filling) == self.sent.wrapping_add(1);
        begun.then(|| Place::at::<S::Item>(slots, self.sent))
    }

    /// Whether the item that is being filled in place holds all that it can.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.filled() >= <S::Item as Fill>::CAPACITY
    }

    /// Reserves the slot that bytes are moved into. False if it has no room.
    pub fn reserve(&mut self) -> bool {
        let Some(slots) = self.end.own_slots().filter(|_| self.has_room()) else {
            return false;
        };
        if self.reserved.is_none() {
            self.reserved = Some(Place::begin::<S::Item>(&self.end, slots, self.sent));
        }
        true
    }

    /// Adds a byte to the reserved slot and counts it. Call it inside a [`window`](crate::window).
    pub fn push(&self, byte: u8) {
        if let Some(place) = &self.reserved {
            place.push(byte);
        }
    }

    /// Publishes the item that was filled in place, if it holds anything.
    pub fn publish_filled(&mut self) {
        if self.reserved.is_none() {
            self.reserved = self.begun();
        }
        if let Some(place) = self.reserved.take_if(|place| place.count() > 0) {
            let header = Header { epoch: self.epoch, tag: 0, origin: 0 };
            step(Point::Port, || place.finish(header));
            self.commit(place.slots);
            self.ring();
        }
    }
}

/// An item that its producer spelt wrongly. What it carried is lost; the producer has been reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecodable;

/// The consumer's end of a stream.
pub struct Subscriber<S> {
    end: End,
    consumed: u32,
    /// What was last looked at was no item, and its producer has begun anew right there.
    begun_anew: Cell<bool>,
    carries: PhantomData<fn() -> S>,
}

impl<S: Stream> Subscriber<S> {
    /// The component's port with this number.
    ///
    /// # Errors
    /// [`Exit::Unfit`] if the image has no such port, or joins it to another interface.
    pub fn open(port: u8) -> Result<Self, Exit> {
        let unfit = Exit::Unfit("a port is not joined to the stream that it consumes");
        let end = End::open(port, S::KEY.0).ok_or(unfit)?;
        let consumed = end.own.get(Position::Consumed);
        Ok(Subscriber { end, consumed, begun_anew: Cell::new(false), carries: PhantomData })
    }

    /// Whether the producer was stopped or given up. Whoever consumes is woken when that changes.
    #[must_use]
    pub fn producer_gone(&self) -> bool {
        self.end.peer_gone()
    }

    /// Whether an incarnation of the producer lives: it neither died, nor was it stopped or given up.
    #[must_use]
    pub fn producer_alive(&self) -> bool {
        self.end.peer_alive()
    }

    /// The item at hand, if there is one. It stays until [`Subscriber::release`].
    #[must_use]
    pub fn peek(&self) -> Option<Result<S::Item, Undecodable>> {
        let slots = self.end.peer_slots()?;
        self.begun_anew.set(false);
        // Room for an item is made only where there is one.
        if slots.ready(self.consumed) == Ready::NotYet {
            return None;
        }
        let mut message = Slot::new();
        match slots.read(self.consumed, self.end.peer_epoch(), &mut message) {
            Ok(false) => None,
            Ok(true) => match decode(message.bytes()) {
                Some(item) => Some(Ok(item)),
                None => self.undecodable(false),
            },
            Err(wrong) => self.undecodable(wrong == Malformed::Sequence),
        }
    }

    /// `out_of_turn`: the slot's own word is wrong, so the producer's next incarnation begins right here. Where it has a higher
    /// priority, its first item may be there before the complaint comes back.
    fn undecodable(&self, out_of_turn: bool) -> Option<Result<S::Item, Undecodable>> {
        let epoch = self.end.peer_slots().map_or(0, |slots| slots.epoch(self.consumed));
        let ended = koboshi_blame(self.end.port, self.consumed, epoch);
        self.begun_anew.set(out_of_turn && ended);
        Some(Err(Undecodable))
    }

    /// Waits for the next item. It stays until [`Subscriber::release`].
    ///
    /// # Errors
    /// [`Undecodable`]: what the item carried is lost; release it.
    pub async fn item(&self) -> Result<S::Item, Undecodable> {
        until(|| self.peek()).await
    }

    /// How much of the item at hand has been moved on, by this incarnation or one before it.
    #[must_use]
    pub fn moved(&self) -> usize {
        let word = self.end.own.get(Position::Moved);
        if word >> 16 == self.consumed & 0xFFFF { (word & 0xFFFF) as usize } else { 0 }
    }

    /// Counts how much has been moved on: one store. Call it inside a [`window`](crate::window), together with the move.
    pub fn set_moved(&self, count: usize) {
        self.end.own.set(Position::Moved, self.consumed << 16 | count as u32 & 0xFFFF);
    }

    /// Done with the item at hand: its producer gets its slot back.
    pub fn release(&mut self) {
        let nothing = self.end.peer_slots().is_none_or(|slots| slots.ready(self.consumed) == Ready::NotYet);
        if self.begun_anew.take() || nothing {
            // Its producer was reported and begins anew right here: to step over nothing would be to wait for ever.
            return;
        }
        // Else the word would, 65,536 items later, seem to speak of an item that it never saw.
        step(Point::Port, || self.set_moved(self.moved()));
        self.consumed = self.consumed.wrapping_add(1);
        step(Point::Port, || self.end.own.set(Position::Consumed, self.consumed));
        self.end.ring();
    }
}
