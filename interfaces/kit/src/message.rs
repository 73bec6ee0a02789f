//! Messages: what may travel through a port, and how it is spelt in bytes.
//!
//! The rules: a message owns what it holds, has a schema, and is never larger than [`MAX_MESSAGE`]. Bytes that are left
//! over after a message make the whole of it undecodable. Neither direction may panic, whatever the bytes are.

use postcard::experimental::max_size::MaxSize;
use postcard_schema::Schema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::wire::MOST;

/// The largest encoding of any message, in bytes.
///
/// Two cache lines of 64 bytes are 128. What is left after this belongs to the ring's own words in each slot.
pub const MAX_MESSAGE: usize = 104;

/// Anything that may travel through a port. Derive its four parts; nothing else is needed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel through a port",
    note = "a message derives `Serialize`, `Deserialize`, `Schema` and `MaxSize`, and borrows nothing"
)]
pub trait Message: Serialize + DeserializeOwned + Schema + MaxSize {}

impl<T: Serialize + DeserializeOwned + Schema + MaxSize> Message for T {}

/// A message that is mostly bytes, which may be grown in place in a slot.
///
/// Its encoding is [`PREFIX`](Self::PREFIX), one byte with the number of bytes, and the bytes. So a driver can reserve a
/// slot, move bytes into it one by one, and count each with one store.
///
/// The two numbers are checked against the message, wherever [`START`](Self::START) is used:
///
/// ```compile_fail,E0080
/// use koboshi_interface_kit::{Fill, MaxSize, Schema, wire::Bytes};
///
/// #[derive(serde::Serialize, serde::Deserialize, Schema, MaxSize)]
/// struct Chunk(Bytes<16>);
///
/// impl Fill for Chunk {
///     const PREFIX: &'static [u8] = &[];
///     const CAPACITY: usize = 17;
/// }
/// const _: usize = Chunk::START;
/// ```
pub trait Fill: Message {
    /// What stands before the length byte: nothing, or the number of an enum's variant.
    const PREFIX: &'static [u8];

    /// The most bytes it can hold.
    const CAPACITY: usize;

    /// Where the first of the bytes stands. Do not override it: it is also the check of the two numbers above.
    const START: usize = {
        assert!(Self::CAPACITY <= MOST, "more bytes than one length byte can count");
        let start = Self::PREFIX.len() + 1;
        assert!(start + Self::CAPACITY <= MAX_MESSAGE, "larger than any message may be");
        assert!(start + Self::CAPACITY <= Self::POSTCARD_MAX_SIZE, "larger than the message that it should be");
        start
    };
}

/// Spells `message` in bytes, at the front of `room`.
///
/// `None` only if its `MaxSize` was written by hand and is wrong.
pub fn encode<'r, T: Message>(message: &T, room: &'r mut [u8; MAX_MESSAGE]) -> Option<&'r [u8]> {
    const { assert!(T::POSTCARD_MAX_SIZE <= MAX_MESSAGE, "larger than any message may be") };
    postcard::to_slice(message, room).ok().map(|spelt| &*spelt)
}

/// Reads a message from exactly these bytes.
///
/// `None` is the fault of whoever wrote them.
pub fn decode<T: Message>(bytes: &[u8]) -> Option<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Some(message),
        _ => None,
    }
}
