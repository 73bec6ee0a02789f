//! Kept state: a small typed value that outlives its component.
//!
//! Two copies, written in turn. A torn write falls back to the one before; a value of another schema, or none that is
//! whole, is nothing. It is for what may be one step old; the exactness of a stream never depends on it.
//!
//! A copy: sequence, key (two words), length, check, payload. The sequence is stored last.

use core::marker::PhantomData;

use koboshi_core::sync::{AtomicU32, Ordering};
use koboshi_interface_kit::{Key, MAX_MESSAGE, Message, decode, encode};

use crate::platform::{Point, koboshi_kept, step};

const HEAD: usize = 5;
const COPY: usize = HEAD + MAX_MESSAGE.div_ceil(4);

/// Words of memory that kept state takes.
pub const WORDS: usize = 2 * COPY;

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

/// The sequence and the bytes of a copy that is whole and of this schema.
fn whole<'r>(copy: &[AtomicU32], key: Key, room: &'r mut [u8; MAX_MESSAGE]) -> Option<(u32, &'r [u8])> {
    let sequence = word(copy, 0);
    let found = u64::from(word(copy, 1)) | u64::from(word(copy, 2)) << 32;
    let length = word(copy, 3) as usize;
    if sequence == 0 || found != key.0 || length > MAX_MESSAGE {
        return None;
    }
    for (to, from) in room.chunks_mut(4).zip(copy.get(HEAD..)?) {
        to.copy_from_slice(from.load(Ordering::Relaxed).to_le_bytes().get(..to.len())?);
    }
    let bytes = room.get(..length)?;
    (check(sequence, key, bytes) == word(copy, 4)).then_some((sequence, bytes))
}

/// For whoever looks at the kept memory of another: whether it holds a whole value with this key. `None`: nothing was
/// ever kept in it.
#[must_use]
pub fn holds_whole(memory: &[AtomicU32], key: Key) -> Option<bool> {
    let copies = [0, 1].map(|number| copy_of(memory, number));
    let ever = copies.iter().any(|copy| word(copy, 0) != 0);
    ever.then(|| copies.iter().any(|copy| whole(copy, key, &mut [0; MAX_MESSAGE]).is_some()))
}

/// A kept value.
#[derive(Debug)]
pub struct Kept<T> {
    key: Key,
    holds: PhantomData<fn() -> T>,
}

impl<T: Message> Kept<T> {
    /// The component's kept state, whose schema has this key.
    #[must_use]
    pub const fn open(key: Key) -> Self {
        Kept { key, holds: PhantomData }
    }

    fn read(&self, number: usize) -> Option<(u32, T)> {
        let mut room = [0; MAX_MESSAGE];
        let (sequence, bytes) = whole(copy_of(koboshi_kept(), number), self.key, &mut room)?;
        Some((sequence, decode(bytes)?))
    }

    fn newest(&self) -> Option<(usize, u32, T)> {
        match (self.read(0), self.read(1)) {
            (Some((first, value)), Some((second, _))) if first.wrapping_sub(second) < u32::MAX / 2 => {
                Some((0, first, value))
            }
            (_, Some((second, value))) => Some((1, second, value)),
            (Some((first, value)), None) => Some((0, first, value)),
            (None, None) => None,
        }
    }

    /// The last value that was stored whole; `None` if there is none, or only of another schema.
    #[must_use]
    pub fn load(&self) -> Option<T> {
        let mut found = None;
        step(Point::Kept, || found = self.newest());
        found.map(|(_, _, value)| value)
    }

    /// Stores a value. Afterwards both copies are whole, so that the loss of one loses nothing.
    pub fn store(&mut self, value: &T) {
        let (newest, sequence) = self.newest().map_or((1, 0), |(at, sequence, _)| (at, sequence));
        self.write(1 - newest, sequence.wrapping_add(1).max(1), value);
        self.write(newest, sequence.wrapping_add(2).max(1), value);
    }

    fn write(&mut self, number: usize, sequence: u32, value: &T) {
        let copy = copy_of(koboshi_kept(), number);
        let mut room = [0; MAX_MESSAGE];
        let Some(bytes) = encode(value, &mut room) else {
            return;
        };
        let check = check(sequence, self.key, bytes);
        let put = |at: usize, value: u32| {
            if let Some(word) = copy.get(at) {
                word.store(value, Ordering::Release);
            }
        };
        step(Point::Kept, || put(0, 0));
        step(Point::Kept, || {
            put(1, self.key.0 as u32);
            put(2, (self.key.0 >> 32) as u32);
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
