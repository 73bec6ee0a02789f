//! Bytes and text of bounded length, for use in messages.
//!
//! The rules: nothing longer than `N` is ever held or decoded, the length is always one byte on the wire, and `N` is in
//! the schema, so that it is in the key. There is no allocation and no panic.

use core::fmt;

use postcard::experimental::max_size::MaxSize;
use postcard_schema::Schema;
use postcard_schema::schema::{DataModelType, NamedType};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::message::Fill;

/// The most bytes that one length byte of `postcard` can count.
pub const MOST: usize = 127;

/// It does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("longer than the message has room for")
    }
}

impl core::error::Error for TooLong {}

/// Up to `N` bytes, where `N` is at most [`MOST`].
///
/// ```compile_fail,E0080
/// use koboshi_interface_kit::{MaxSize, wire::Bytes};
///
/// const _: usize = Bytes::<128>::POSTCARD_MAX_SIZE;
/// ```
#[derive(Clone, Copy)]
pub struct Bytes<const N: usize> {
    room: [u8; N],
    len: u8,
}

impl<const N: usize> Bytes<N> {
    /// `N`, or no program at all if one length byte cannot count so far.
    pub const CAPACITY: usize = {
        assert!(N <= MOST, "more bytes than one length byte can count");
        N
    };

    /// No bytes yet.
    pub const fn new() -> Self {
        Self { room: [0; N], len: 0 }
    }

    /// How many bytes it holds.
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether it holds none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many it can hold.
    pub const fn capacity(&self) -> usize {
        Self::CAPACITY
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.room.get(..self.len()).unwrap_or(&self.room)
    }

    /// Adds one byte.
    ///
    /// # Errors
    ///
    /// If it is full; nothing was added.
    pub fn push(&mut self, byte: u8) -> Result<(), TooLong> {
        self.extend_from_slice(&[byte])
    }

    /// Adds all of `bytes`.
    ///
    /// # Errors
    ///
    /// If they do not all fit; nothing was added.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        let end = self.len().checked_add(bytes.len()).filter(|end| *end <= Self::CAPACITY).ok_or(TooLong)?;
        let room = self.room.get_mut(self.len as usize..end).ok_or(TooLong)?;
        room.copy_from_slice(bytes);
        self.len = end as u8; // at most `MOST`
        Ok(())
    }
}

impl<const N: usize> Default for Bytes<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> TryFrom<&[u8]> for Bytes<N> {
    type Error = TooLong;

    fn try_from(bytes: &[u8]) -> Result<Self, TooLong> {
        let mut held = Self::new();
        held.extend_from_slice(bytes)?;
        Ok(held)
    }
}

impl<const N: usize> AsRef<[u8]> for Bytes<N> {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl<const N: usize> PartialEq for Bytes<N> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl<const N: usize> Eq for Bytes<N> {}

impl<const N: usize> fmt::Debug for Bytes<N> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "b\"{}\"", self.as_slice().escape_ascii())
    }
}

impl<const N: usize> Serialize for Bytes<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.as_slice())
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bytes<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Bounded)
    }
}

impl<const N: usize> MaxSize for Bytes<N> {
    const POSTCARD_MAX_SIZE: usize = 1 + Self::CAPACITY;
}

impl<const N: usize> Schema for Bytes<N> {
    const SCHEMA: &'static NamedType = &NamedType { name: spelt(&Name::<N>::BYTES), ty: &DataModelType::ByteArray };
}

impl<const N: usize> Fill for Bytes<N> {
    const PREFIX: &'static [u8] = &[];
    const CAPACITY: usize = N;
}

/// Up to `N` bytes of text in UTF-8.
///
/// It can be written to with `write!`: what does not fit is left off at a character's edge, and `write!` says so.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Str<const N: usize> {
    bytes: Bytes<N>, // always valid UTF-8
}

impl<const N: usize> Str<N> {
    /// No text yet.
    pub const fn new() -> Self {
        Self { bytes: Bytes::new() }
    }

    /// How many bytes of text it holds.
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it holds none.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.bytes.as_slice()).unwrap_or_default()
    }

    /// Adds one character.
    ///
    /// # Errors
    ///
    /// If it does not fit; nothing was added.
    pub fn push(&mut self, character: char) -> Result<(), TooLong> {
        self.push_str(character.encode_utf8(&mut [0; 4]))
    }

    /// Adds all of `text`.
    ///
    /// # Errors
    ///
    /// If it does not all fit; nothing was added.
    pub fn push_str(&mut self, text: &str) -> Result<(), TooLong> {
        self.bytes.extend_from_slice(text.as_bytes())
    }
}

impl<const N: usize> TryFrom<&str> for Str<N> {
    type Error = TooLong;

    fn try_from(text: &str) -> Result<Self, TooLong> {
        let mut held = Self::new();
        held.push_str(text)?;
        Ok(held)
    }
}

impl<const N: usize> fmt::Write for Str<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fits = text.floor_char_boundary(N.saturating_sub(self.len()));
        let (front, rest) = text.split_at(fits);
        self.push_str(front).map_err(|TooLong| fmt::Error)?;
        if rest.is_empty() { Ok(()) } else { Err(fmt::Error) }
    }
}

impl<const N: usize> AsRef<str> for Str<N> {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl<const N: usize> fmt::Debug for Str<N> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), out)
    }
}

impl<const N: usize> fmt::Display for Str<N> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), out)
    }
}

impl<const N: usize> Serialize for Str<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, const N: usize> Deserialize<'de> for Str<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(BoundedText)
    }
}

impl<const N: usize> MaxSize for Str<N> {
    const POSTCARD_MAX_SIZE: usize = Bytes::<N>::POSTCARD_MAX_SIZE;
}

impl<const N: usize> Schema for Str<N> {
    const SCHEMA: &'static NamedType = &NamedType { name: spelt(&Name::<N>::STR), ty: &DataModelType::String };
}

/// Takes up to `N` bytes from a decoder.
struct Bounded<const N: usize>;

impl<const N: usize> Visitor<'_> for Bounded<N> {
    type Value = Bytes<N>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "at most {N} bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes<N>, E> {
        Bytes::try_from(bytes).map_err(|TooLong| E::invalid_length(bytes.len(), &self))
    }
}

/// Takes up to `N` bytes of text from a decoder.
struct BoundedText<const N: usize>;

impl<const N: usize> Visitor<'_> for BoundedText<N> {
    type Value = Str<N>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "at most {N} bytes of text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Str<N>, E> {
        Str::try_from(text).map_err(|TooLong| E::invalid_length(text.len(), &self))
    }
}

/// Room for the name of a type with its capacity, and how much of it is used.
type Spelling = ([u8; 16], usize);

/// The names under which a capacity stands in a schema, such as `Bytes<96>`.
struct Name<const N: usize>;

impl<const N: usize> Name<N> {
    const BYTES: Spelling = spell(b"Bytes<", N);
    const STR: Spelling = spell(b"Str<", N);
}

const fn spell(head: &[u8], capacity: usize) -> Spelling {
    assert!(capacity <= MOST, "more bytes than one length byte can count");
    let mut name = [0; 16];
    let mut len = 0;
    while len < head.len() {
        name[len] = head[len];
        len += 1;
    }
    let mut weight = 100;
    while weight > 0 {
        if capacity >= weight || weight == 1 {
            name[len] = b'0' + (capacity / weight % 10) as u8;
            len += 1;
        }
        weight /= 10;
    }
    name[len] = b'>';
    (name, len + 1)
}

const fn spelt(spelling: &'static Spelling) -> &'static str {
    match core::str::from_utf8(spelling.0.split_at(spelling.1).0) {
        Ok(name) => name,
        Err(_) => panic!("a type's name is ASCII"),
    }
}
