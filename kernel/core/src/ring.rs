//! The slots behind one direction of a port: one producer, one consumer, fixed slots, one implementation everywhere.
//!
//! Job: move a message of bounded size from memory that the producer alone writes into private memory of the reader.
//!
//! Rules kept here: R4. A slot's own sequence word says that it is ready; the reader copies the slot once and judges only
//! the copy. The order of stores is the contract: payload and header first, then the sequence word (that commits), then
//! the producer's position word, which no reader believes.
//!
//! It must never: believe a peer's position, index by a peer's word, look twice at a slot, or panic.

use crate::sync::{AtomicU32, Ordering, fence};

/// Words of a slot before its payload.
pub const HEADER_WORDS: usize = 6;

/// Bytes of the largest payload. With the header it fills 128 bytes: two cache lines of x86-64, four of SH-4.
pub const MAX_PAYLOAD: usize = 104;

/// Slots and halves start at multiples of this many words (64 bytes: a cache line of x86-64, two of SH-4).
pub const LINE_WORDS: usize = 16;

/// One line of slots.
type Line = [AtomicU32; LINE_WORDS];

/// Bytes of payload in a slot's first line.
const NEAR_BYTES: usize = (LINE_WORDS - HEADER_WORDS) * 4;

/// Copies words out of a slot.
#[inline]
fn copy_out(from: &[AtomicU32], to: &mut [[u8; 4]]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = from.load(Ordering::Relaxed).to_le_bytes();
    }
}

/// The words of a slot's header.
#[derive(Clone, Copy)]
enum Word {
    /// Position + 1 of the message that is ready here; anything else: not ready.
    Sequence = 0,
    /// The producer's epoch.
    Epoch = 1,
    /// Payload length in bytes (bits 0 to 15), tag (bits 16 to 23).
    Shape = 2,
    /// Position + 1, in another ring, of what this message forwards or goes on with; 0: nothing.
    Origin = 3,
    /// Request: the deadline's low half. Reply: the request's progress.
    First = 4,
    /// Request: the deadline's high half. Reply: the kernel's mark of a request that was in hand at a death.
    Second = 5,
}

/// The epoch under which the kernel itself writes a reply, for a server that is dead. No incarnation has it.
pub const KERNEL_EPOCH: u32 = u32::MAX;

const fn may_have_written(found: u32, present: u32) -> bool {
    found == KERNEL_EPOCH || found != 0 && found <= present
}

/// What travels with a payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The producer's epoch.
    pub epoch: u32,
    /// The operation of a request, the outcome of a reply.
    pub tag: u8,
    /// Position + 1, in another ring, of what this message forwards or goes on with; 0: nothing.
    pub origin: u32,
}

/// Why a slot was refused. It is the producer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The sequence word is none that the ring's history allows.
    Sequence,
    /// The epoch is neither the producer's present one nor an earlier one.
    Epoch,
    /// The length is over what the slot holds.
    Length,
}

/// The payload of a slot that its producer fills in place, byte by byte. Where it lies is found out once.
#[derive(Clone, Copy)]
pub struct Payload<'a> {
    words: &'a [AtomicU32],
}

impl Payload<'_> {
    /// One byte.
    #[inline]
    #[must_use]
    pub fn get(&self, at: usize) -> u8 {
        let word = self.words.get(at / 4).map_or(0, |word| word.load(Ordering::Relaxed));
        (word >> (8 * (at % 4))) as u8
    }

    /// Stores one byte.
    #[inline]
    pub fn set(&self, at: usize, byte: u8) {
        if let Some(word) = self.words.get(at / 4) {
            let shift = 8 * (at % 4);
            let kept = word.load(Ordering::Relaxed) & !(0xFF << shift);
            word.store(kept | u32::from(byte) << shift, Ordering::Relaxed);
        }
    }
}

/// What a reader found at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// A message.
    Yes,
    /// Nothing yet.
    NotYet,
    /// A sequence word that the ring's history does not allow.
    Malformed,
}

/// A message in the reader's own memory.
#[derive(Clone)]
pub struct Message {
    /// What travelled with the payload.
    pub header: Header,
    first: u32,
    second: u32,
    length: usize,
    payload: [u8; MAX_PAYLOAD],
}

impl Message {
    /// Room for one message.
    #[must_use]
    pub const fn new() -> Self {
        let header = Header { epoch: 0, tag: 0, origin: 0 };
        Message { header, first: 0, second: 0, length: 0, payload: [0; MAX_PAYLOAD] }
    }

    /// Of a request: when its client stops waiting.
    #[must_use]
    pub const fn deadline(&self) -> u64 {
        self.first as u64 | (self.second as u64) << 32
    }

    /// Of a reply: how far the request had come.
    #[must_use]
    pub const fn progress(&self) -> u32 {
        self.first
    }

    /// No message: what it held is gone, and not worth the time to clear it.
    pub const fn empty(&mut self) {
        (self.header, self.first, self.second) = (Header { epoch: 0, tag: 0, origin: 0 }, 0, 0);
        self.length = 0;
    }

    /// Room for a payload that is to be written. What the message held is gone.
    pub const fn room(&mut self) -> &mut [u8; MAX_PAYLOAD] {
        self.length = 0;
        &mut self.payload
    }

    /// The payload.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.payload.get(..self.length).unwrap_or(&[])
    }
}

impl Default for Message {
    fn default() -> Self {
        Self::new()
    }
}

/// How many slots, and how large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    slots: u32,
    slot_words: u32,
}

impl Geometry {
    /// Slots (rounded up to a power of two) for payloads of at most `payload` bytes.
    ///
    /// `None` for no slots, more than 1,024 slots, or a payload over [`MAX_PAYLOAD`].
    #[must_use]
    pub const fn new(slots: u32, payload: usize) -> Option<Self> {
        if slots == 0 || slots > 1024 || payload > MAX_PAYLOAD {
            return None;
        }
        let words = (HEADER_WORDS + payload.div_ceil(4)).next_multiple_of(LINE_WORDS);
        Some(Geometry { slots: slots.next_power_of_two(), slot_words: words as u32 })
    }

    /// How many slots.
    #[must_use]
    pub const fn slots(self) -> u32 {
        self.slots
    }

    /// Bytes of payload that fit one slot.
    #[must_use]
    pub const fn payload(self) -> usize {
        let bytes = (self.slot_words as usize).saturating_sub(HEADER_WORDS) * 4;
        if bytes < MAX_PAYLOAD { bytes } else { MAX_PAYLOAD }
    }

    /// Words that all slots take.
    #[must_use]
    pub const fn words(self) -> usize {
        self.slots as usize * self.slot_words as usize
    }
}

/// The slots of one ring.
#[derive(Clone, Copy)]
pub struct Slots<'a> {
    lines: &'a [Line],
    geometry: Geometry,
}

impl<'a> Slots<'a> {
    /// The ring in `words`, which is exactly [`Geometry::words`] long, or `None`.
    #[must_use]
    pub const fn new(words: &'a [AtomicU32], geometry: Geometry) -> Option<Self> {
        let (lines, _) = words.as_chunks();
        if words.len() == geometry.words() { Some(Slots { lines, geometry }) } else { None }
    }

    /// How many slots, and how large.
    #[must_use]
    pub const fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Where the first line of the slot at `position` lies, and how many it has.
    #[inline]
    const fn place(&self, position: u32) -> (usize, usize) {
        let lines = self.geometry.slot_words as usize / LINE_WORDS;
        ((position & (self.geometry.slots - 1)) as usize * lines, lines)
    }

    /// The slot's first line, which holds its header and [`NEAR_BYTES`] of its payload.
    #[inline]
    fn near(&self, position: u32) -> Option<&'a Line> {
        self.lines.get(self.place(position).0)
    }

    /// The words behind the slot's first line, for a payload that is longer than that; the slot must have them.
    #[inline]
    fn far(&self, position: u32) -> &'a [AtomicU32] {
        self.lines.get(self.place(position).0 + 1).map_or(&[], |line| line)
    }

    fn slot(&self, position: u32) -> &'a [AtomicU32] {
        let (at, lines) = self.place(position);
        self.lines.get(at..at + lines).map_or(&[], |lines| lines.as_flattened())
    }

    #[inline]
    fn word(&self, position: u32, word: Word) -> Option<&'a AtomicU32> {
        self.near(position)?.get(word as usize)
    }

    /// The word of this slot that holds the progress of the request at `position` (in a ring of replies).
    #[must_use]
    pub fn progress(&self, position: u32) -> Option<&'a AtomicU32> {
        self.word(position, Word::First)
    }

    /// The word of this slot in which the kernel marks a request that was in hand at a death (in a ring of replies).
    #[must_use]
    pub fn mark(&self, position: u32) -> Option<&'a AtomicU32> {
        self.word(position, Word::Second)
    }

    /// Producer, first step: writes header and payload. The reader cannot see them yet.
    ///
    /// `progress` of a reply is left alone. Returns false, with nothing written, for a payload that is too large.
    // Always: who has aligned room for the payload then moves words.
    #[inline(always)]
    pub fn write(&self, position: u32, header: Header, payload: &[u8]) -> bool {
        // What fits one line fits every slot.
        if payload.len() > NEAR_BYTES && payload.len() > self.geometry.payload() {
            return false;
        }
        let Some([_, epoch, shape, origin, _, _, near @ ..]) = self.near(position) else {
            return false;
        };
        epoch.store(header.epoch, Ordering::Relaxed);
        shape.store(payload.len() as u32 | u32::from(header.tag) << 16, Ordering::Relaxed);
        origin.store(header.origin, Ordering::Relaxed);
        let (words, rest) = payload.as_chunks::<4>();
        for (to, from) in near.iter().zip(words) {
            to.store(u32::from_le_bytes(*from), Ordering::Relaxed);
        }
        if payload.len() > NEAR_BYTES {
            for (to, from) in self.far(position).iter().zip(words.iter().skip(near.len())) {
                to.store(u32::from_le_bytes(*from), Ordering::Relaxed);
            }
        }
        if !rest.is_empty()
            && let Some(to) = self.slot(position).get(HEADER_WORDS + words.len())
        {
            let mut last = [0; 4];
            for (to, from) in last.iter_mut().zip(rest) {
                *to = *from;
            }
            to.store(u32::from_le_bytes(last), Ordering::Relaxed);
        }
        true
    }

    /// Producer: writes the deadline of a request, before [`Slots::commit`].
    pub fn write_deadline(&self, position: u32, deadline: u64) {
        if let Some([_, _, _, _, low, high, ..]) = self.near(position) {
            low.store(deadline as u32, Ordering::Relaxed);
            high.store((deadline >> 32) as u32, Ordering::Relaxed);
        }
    }

    /// The deadline of the request at `position`, for its producer.
    #[must_use]
    pub fn deadline(&self, position: u32) -> u64 {
        let half = |word| self.word(position, word).map_or(0, |word| word.load(Ordering::Relaxed));
        u64::from(half(Word::First)) | u64::from(half(Word::Second)) << 32
    }

    /// Producer, second step: the reader may see the message from here on.
    #[inline]
    pub fn commit(&self, position: u32) {
        if let Some(sequence) = self.word(position, Word::Sequence) {
            sequence.store(position.wrapping_add(1), Ordering::Release);
        }
    }

    /// Makes sure that nothing is ready at `position`. Only the kernel does this, and only while the producer is dead.
    #[inline(never)]
    pub fn clear(&self, position: u32) {
        if let Some(sequence) = self.word(position, Word::Sequence) {
            // The sequence of one turn before. Not 0: that is the commit of the last position before the numbers wrap.
            sequence.store(position.wrapping_add(1).wrapping_sub(self.geometry.slots), Ordering::Release);
        }
    }

    /// Whether a message is ready at `position`.
    ///
    /// Between two messages a slot holds the sequence of one turn before; in the first turn, 0 (never used).
    #[inline]
    #[must_use]
    pub fn ready(&self, position: u32) -> Ready {
        let Some(word) = self.word(position, Word::Sequence) else {
            return Ready::Malformed;
        };
        self.judge(position, word.load(Ordering::Acquire))
    }

    #[inline]
    const fn judge(&self, position: u32, sequence: u32) -> Ready {
        let due = position.wrapping_add(1);
        if sequence == due {
            Ready::Yes
        } else if sequence == due.wrapping_sub(self.geometry.slots) || sequence == 0 && position < self.geometry.slots {
            Ready::NotYet
        } else {
            Ready::Malformed
        }
    }

    /// How many messages wait from `from` on, if all slots agree that the ring's reader may stand there.
    ///
    /// It looks from the back: a producer that lives commits in order, so that what it adds meanwhile is no gap.
    pub(crate) fn waiting(&self, from: u32) -> Option<u32> {
        let mut waiting = 0;
        for offset in (0..self.geometry.slots).rev() {
            match self.ready(from.wrapping_add(offset)) {
                Ready::Yes if waiting == 0 => waiting = offset.wrapping_add(1),
                Ready::Yes => {}
                Ready::NotYet if waiting == 0 => {}
                Ready::NotYet | Ready::Malformed => return None,
            }
        }
        Some(waiting)
    }

    /// Whether the slot at `position` is committed by some incarnation up to `epoch`: the kernel's question when it seals.
    #[must_use]
    pub fn committed(&self, position: u32, epoch: u32) -> bool {
        self.ready(position) == Ready::Yes && may_have_written(self.epoch(position), epoch)
    }

    /// The epoch at `position`, unjudged.
    pub fn epoch(&self, position: u32) -> u32 {
        self.word(position, Word::Epoch).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// The tag, and the length, of the message at `position`, unjudged.
    pub(crate) fn tag_and_length(&self, position: u32) -> (u8, usize) {
        let shape = self.word(position, Word::Shape).map_or(0, |word| word.load(Ordering::Relaxed));
        ((shape >> 16) as u8, (shape & 0xFFFF) as usize)
    }

    /// The tag, and the origin, of the message at `position`, unjudged.
    #[must_use]
    pub fn tag_and_origin(&self, position: u32) -> (u8, u32) {
        let tag = self.word(position, Word::Shape).map_or(0, |w| (w.load(Ordering::Relaxed) >> 16) as u8);
        let origin = self.word(position, Word::Origin).map_or(0, |w| w.load(Ordering::Relaxed));
        (tag, origin)
    }

    /// Reader: judges the header of what is at `position`, and gives the words that it has judged.
    #[inline(always)]
    fn judged(&self, position: u32, epoch: u32) -> Result<Option<(&'a Line, u32, u32)>, Malformed> {
        let Some(line @ [sequence, found, shape, ..]) = self.near(position) else {
            return Err(Malformed::Sequence);
        };
        match self.judge(position, sequence.load(Ordering::Acquire)) {
            Ready::NotYet => return Ok(None),
            Ready::Malformed => return Err(Malformed::Sequence),
            Ready::Yes => {}
        }
        let found = found.load(Ordering::Relaxed);
        let shape = shape.load(Ordering::Relaxed);
        if !may_have_written(found, epoch) {
            return Err(Malformed::Epoch);
        }
        let length = (shape & 0xFFFF) as usize;
        if length > NEAR_BYTES && length > self.geometry.payload() {
            return Err(Malformed::Length);
        }
        Ok(Some((line, found, shape)))
    }

    /// Reader: the epoch and the tag of the message at `position`, judged as [`Slots::read`] does; its payload is not looked at.
    ///
    /// `Ok(None)`: nothing is there yet.
    ///
    /// # Errors
    /// [`Malformed`]: the producer's fault.
    #[inline]
    pub fn read_tag(&self, position: u32, epoch: u32) -> Result<Option<(u32, u8)>, Malformed> {
        Ok(self.judged(position, epoch)?.map(|(_, epoch, shape)| (epoch, (shape >> 16) as u8)))
    }

    /// Reader: copies the message at `position` into `into` and judges the copy. `epoch` is the producer's present one.
    ///
    /// `Ok(false)`: nothing is there yet.
    ///
    /// # Errors
    /// [`Malformed`]: the producer's fault; `into` is then not to be used.
    // Always: as a call it is a third slower, and a component has few places that read.
    #[inline(always)]
    pub fn read(&self, position: u32, epoch: u32, into: &mut Message) -> Result<bool, Malformed> {
        let Some(([_, _, _, origin, first, second, near @ ..], found, shape)) = self.judged(position, epoch)? else {
            return Ok(false);
        };
        let length = (shape & 0xFFFF) as usize;
        // Two words, a line, or all: to copy a little too much costs less than to count words.
        let ([few @ .., _, _, _, _, _, _, _, _], (room, _)) = (near, into.payload.as_chunks_mut::<4>());
        if length > size_of_val(few) {
            copy_out(near, room);
        } else {
            copy_out(few, room);
        }
        if length > NEAR_BYTES
            && let Some(room) = room.get_mut(near.len()..)
        {
            copy_out(self.far(position), room);
        }
        // A writer that breaks the rules may store while we copy. Then the copy is a mix, still private, and judged as such.
        fence(Ordering::Acquire);
        into.length = length;
        into.first = first.load(Ordering::Relaxed);
        into.second = second.load(Ordering::Relaxed);
        into.header = Header { epoch: found, tag: (shape >> 16) as u8, origin: origin.load(Ordering::Relaxed) };
        Ok(true)
    }

    /// Producer: the payload of the slot at `position`, to be filled in place.
    #[must_use]
    pub fn payload(&self, position: u32) -> Payload<'a> {
        Payload { words: self.slot(position).get(HEADER_WORDS..).unwrap_or(&[]) }
    }

    /// One byte of the payload being filled in place at `position`.
    #[must_use]
    pub fn payload_byte(&self, position: u32, at: usize) -> u8 {
        self.payload(position).get(at)
    }

    /// Producer: stores one byte into the payload being filled in place at `position`.
    pub fn set_payload_byte(&self, position: u32, at: usize, byte: u8) {
        self.payload(position).set(at, byte);
    }

    /// Producer: gives the payload filled in place its header, before [`Slots::commit`].
    pub fn finish(&self, position: u32, header: Header, length: usize) {
        let slot = self.slot(position);
        if let (Some(epoch), Some(shape), Some(origin)) = (slot.get(1), slot.get(2), slot.get(3)) {
            epoch.store(header.epoch, Ordering::Relaxed);
            shape.store(length as u32 & 0xFFFF | u32::from(header.tag) << 16, Ordering::Relaxed);
            origin.store(header.origin, Ordering::Relaxed);
        }
    }
}
