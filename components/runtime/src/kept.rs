//! Kept state: a small typed value that outlives its component.
//!
//! Two copies, written in turn. A torn write falls back to the one before; a value of another schema, or none that is
//! whole, is nothing. It is for what may be one step old; the exactness of a stream never depends on it.
//!
//! There are two such pairs. A version that knows a way from an older schema ([`Way`]) takes that up, and leaves it where it is: its
//! own value goes into the other pair. If there is a way down it also writes the older form, behind its own and with the same
//! sequence. So whoever goes back finds a whole value that is one step old at most, and nobody has to ask the version that
//! failed. A store has one sequence, in all its copies, and sequences go on over both pairs: what either version stores is newer
//! than all that was stored before.
//!
//! A copy: sequence, key (two words), length, check, payload. The sequence is stored last.

use core::marker::PhantomData;

use koboshi_core::sync::{AtomicU32, Ordering};
use koboshi_interface_kit::{Key, MAX_MESSAGE, Message, decode, encode};

use crate::describe::KeptDescription;
use crate::migrate::Way;
use crate::platform::{Point, koboshi_kept, step};

const HEAD: usize = 5;
pub(crate) const COPY: usize = HEAD + MAX_MESSAGE.div_ceil(4);

/// Copies 0 and 1 are a pair, and 2 and 3.
pub(crate) const COPIES: usize = 4;

/// Words of memory that kept state takes.
pub const WORDS: usize = COPIES * COPY;

fn copy_of(memory: &[AtomicU32], number: usize) -> &[AtomicU32] {
    memory.get(number * COPY..(number + 1) * COPY).unwrap_or(&[])
}

fn word(copy: &[AtomicU32], at: usize) -> u32 {
    copy.get(at).map_or(0, |word| word.load(Ordering::Acquire))
}

fn check(sequence: u32, key: Key, bytes: &[u8]) -> u32 {
    // FNV-1a: it has to notice a torn write, not an attacker.
    let hash = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let head = sequence.to_le_bytes().into_iter().chain(key.0.to_le_bytes());
    head.chain((bytes.len() as u32).to_le_bytes()).chain(bytes.iter().copied()).fold(0x811C_9DC5, hash)
}

/// A copy that is whole.
#[derive(Clone, Copy)]
struct Whole {
    number: usize,
    sequence: u32,
    key: Key,
}

impl Whole {
    /// The copy with this number, and its bytes; `None` if it is not whole.
    fn read<'r>(memory: &[AtomicU32], number: usize, room: &'r mut [u8; MAX_MESSAGE]) -> Option<(Self, &'r [u8])> {
        let copy = copy_of(memory, number);
        let sequence = word(copy, 0);
        let key = Key(u64::from(word(copy, 1)) | u64::from(word(copy, 2)) << 32);
        let length = word(copy, 3) as usize;
        if sequence == 0 || length > MAX_MESSAGE {
            return None;
        }
        // Of what is short not all of the room is filled: each store reads several copies.
        for (to, from) in room.chunks_mut(4).zip(copy.get(HEAD..)?).take(length.div_ceil(4)) {
            to.copy_from_slice(from.load(Ordering::Relaxed).to_le_bytes().get(..to.len())?);
        }
        let bytes = room.get(..length)?;
        (check(sequence, key, bytes) == word(copy, 4)).then_some((Whole { number, sequence, key }, bytes))
    }

    /// All that are whole.
    fn all(memory: &[AtomicU32]) -> impl Iterator<Item = Self> {
        (0..COPIES).filter_map(|number| Some(Whole::read(memory, number, &mut [0; MAX_MESSAGE])?.0))
    }

    fn is_newer_than(&self, other: &Self) -> bool {
        self.sequence != other.sequence && self.sequence.wrapping_sub(other.sequence) < u32::MAX / 2
    }

    fn pair(&self) -> usize {
        self.number / 2
    }
}

/// The newest of these, and the first of those that are equally new.
fn newest(all: impl Iterator<Item = Whole>) -> Option<Whole> {
    all.reduce(|best, next| if next.is_newer_than(&best) { next } else { best })
}

/// For whoever looks at the kept memory of another: whether it holds a whole value with this key. `None`: nothing was
/// ever kept in it.
#[must_use]
pub fn holds_whole(memory: &[AtomicU32], keys: &[Key]) -> Option<bool> {
    let ever = (0..COPIES).any(|number| word(copy_of(memory, number), 0) != 0);
    ever.then(|| Whole::all(memory).any(|copy| keys.contains(&copy.key)))
}

/// A kept value.
#[derive(Debug)]
pub struct Kept<T> {
    key: Key,
    ways: &'static [Way],
    holds: PhantomData<fn() -> T>,
}

impl<T: Message> Kept<T> {
    /// The component's kept state, whose schema has this key.
    #[must_use]
    pub const fn open(key: Key) -> Self {
        Kept { key, ways: &[], holds: PhantomData }
    }

    /// The same as it is described, with the ways from older states: so the code does what its package says.
    #[must_use]
    pub const fn described(description: &KeptDescription) -> Self {
        Kept { key: description.key, ways: description.ways, holds: PhantomData }
    }

    /// The newest copy of its own schema, or of an older one; of equally new ones its own, and then in the order of the ways.
    fn newest(&self) -> Option<Whole> {
        let keys = core::iter::once(self.key).chain(self.ways.iter().map(Way::from));
        newest(keys.flat_map(|key| Whole::all(koboshi_kept()).filter(move |copy| copy.key == key)))
    }

    fn value(&self) -> Option<T> {
        let mut room = [0; MAX_MESSAGE];
        let (copy, bytes) = Whole::read(koboshi_kept(), self.newest()?.number, &mut room)?;
        if copy.key == self.key {
            return decode(bytes);
        }
        self.ways.iter().find(|way| way.from() == copy.key)?.taken_up(bytes)
    }

    /// The last value that was stored whole, by this version or by an older one that there is a way from; `None` if there is none.
    #[must_use]
    pub fn load(&self) -> Option<T> {
        let mut found = None;
        step(Point::Kept, || found = self.value());
        found
    }

    /// Stores a value. Afterwards both copies are whole, so that the loss of one loses nothing; and so are those of the older
    /// form, if there is a way down to it.
    pub fn store(&mut self, value: &T) {
        let memory = koboshi_kept();
        let mut room = [0; MAX_MESSAGE];
        let Some(bytes) = encode(value, &mut room) else {
            return;
        };
        let sequence = newest(Whole::all(memory)).map_or(1, |last| last.sequence.wrapping_add(1).max(1));
        let own = newest(Whole::all(memory).filter(|copy| copy.key == self.key));
        // What an older version has kept stays until it is written anew in its own place.
        let pair = own
            .or(self.newest())
            .map_or(0, |found| if found.key == self.key { found.pair() } else { 1 - found.pair() });
        self.write_pair(pair, sequence, self.key, bytes);
        let mut older = [0; MAX_MESSAGE];
        if let Some(way) = self.way_back(1 - pair)
            && let Some(bytes) = way.taken_down(bytes, &mut older)
        {
            self.write_pair(1 - pair, sequence, way.from(), bytes);
        }
    }

    /// The way back to what this pair holds; if that is nothing that there is a way from, the first one.
    fn way_back(&self, pair: usize) -> Option<&'static Way> {
        let way_from = |copy: &Whole| self.ways.iter().find(|way| way.from() == copy.key);
        let held = Whole::all(koboshi_kept()).filter(|copy| copy.pair() == pair && way_from(copy).is_some());
        match newest(held) {
            Some(held) => way_from(&held).filter(|way| way.leads_back()),
            None => self.ways.iter().find(|way| way.leads_back()),
        }
    }

    /// Writes both copies of a pair: first the one that is older, or not whole, so that one is whole at any time.
    fn write_pair(&mut self, pair: usize, sequence: u32, key: Key, bytes: &[u8]) {
        let held = newest(Whole::all(koboshi_kept()).filter(|copy| copy.pair() == pair && copy.key == key));
        let last = held.map_or(2 * pair, |held| held.number);
        self.write(last ^ 1, sequence, key, bytes);
        self.write(last, sequence, key, bytes);
    }

    fn write(&mut self, number: usize, sequence: u32, key: Key, bytes: &[u8]) {
        let copy = copy_of(koboshi_kept(), number);
        let check = check(sequence, key, bytes);
        let put = |at: usize, value: u32| {
            if let Some(word) = copy.get(at) {
                word.store(value, Ordering::Release);
            }
        };
        step(Point::Kept, || put(0, 0));
        step(Point::Kept, || {
            put(1, key.0 as u32);
            put(2, (key.0 >> 32) as u32);
            put(3, bytes.len() as u32);
            put(4, check);
        });
        step(Point::Kept, || {
            for (at, bytes) in bytes.chunks(4).enumerate() {
                let mut word = [0; 4];
                for (to, from) in word.iter_mut().zip(bytes) {
                    *to = *from;
                }
                put(HEAD + at, u32::from_le_bytes(word));
            }
        });
        step(Point::Kept, || put(0, sequence));
    }
}
