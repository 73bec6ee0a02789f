//! What a package says of itself.
//!
//! The rule: what is read here was signed, but by somebody who may have made a mistake. So texts are looked at before
//! anybody prints them, and lists have an end.

use core::fmt;

use heapless::Vec;
use koboshi_interface_kit::Key;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::key::hexadecimal;
use crate::version::Version;

/// The most ports that a component has: a bit in a word each.
pub const MAX_PORTS: usize = 32;

/// The most migrations that a package declares.
pub const MAX_MIGRATIONS: usize = 8;

/// A fingerprint: SHA-512/256 (FIPS 180-4). Its rounds are those of SHA-512, which a signature needs anyway: on a board
/// there is one of both.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal(&self.0, out)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// The fingerprint of these bytes.
#[must_use]
pub fn digest(bytes: &[u8]) -> Digest {
    Digest(sha2::Sha512_256::digest(bytes).into())
}

/// Which end of a port a component holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// It serves requests, or publishes items.
    Offers,
    /// It asks, or consumes items.
    Uses,
}

impl fmt::Display for Side {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Side::Offers => "offers",
            Side::Uses => "uses",
        })
    }
}

/// One port. Its place in the list is the number by which the component opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port<'a> {
    /// Its name.
    pub name: &'a str,
    /// Which end.
    pub side: Side,
    /// The path of its interface.
    pub interface: &'a str,
    /// What both ends must agree on, as one number.
    #[serde(with = "as_number")]
    pub key: Key,
    /// The same as a text, of which each line is one thing: see [`spell`](crate::spell). So whoever refuses it can name
    /// what differs.
    pub schema: &'a str,
}

/// Kept state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept<'a> {
    /// The key of its schema.
    #[serde(with = "as_number")]
    pub key: Key,
    /// The schema, as a text: see [`spell_state`](crate::spell_state).
    pub schema: &'a str,
}

/// A way from the kept state of another version to this one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// The key of the state that it begins with.
    #[serde(with = "as_number")]
    pub from: Key,
    /// Whether there is a way back, too. Without one, going back ends at the first answer.
    pub down: bool,
}

/// What becomes of kept state when a package takes the place of what runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// It stays as it is; or there is none on either side.
    AsItIs,
    /// The package changes it into its own.
    Migrated {
        /// Whether it can be changed back.
        down: bool,
    },
}

/// All that a package says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header<'a> {
    /// The component's name, which is the package's in the manifests.
    pub name: &'a str,
    /// Its version.
    pub version: Version,
    /// What it runs on: a platform's word in the manifests.
    pub platform: &'a str,
    /// Its ports, in the order in which it opens them.
    #[serde(borrow)]
    pub ports: Vec<Port<'a>, MAX_PORTS>,
    /// Its kept state, if it keeps any.
    pub kept: Option<Kept<'a>>,
    /// The ways from other kept states to its own.
    pub migrations: Vec<Migration, MAX_MIGRATIONS>,
    /// Bytes that it takes when it is loaded: code, constants, variables and its own stack.
    pub room: u32,
    /// The fingerprint of its code.
    pub digest: Digest,
}

impl<'a> Header<'a> {
    /// Reads a header of exactly these bytes.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        match postcard::take_from_bytes::<Header<'a>>(bytes) {
            Ok((header, [])) if header.is_printable() => Some(header),
            _ => None,
        }
    }

    /// Whether its texts can be shown on a terminal, and its names are some.
    pub(crate) fn is_printable(&self) -> bool {
        let word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let text = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n'));
        let port = |port: &Port<'_>| word(port.name) && word(port.interface) && text(port.schema);
        word(self.name)
            && word(self.platform)
            && self.ports.iter().all(port)
            && self.kept.is_none_or(|kept| text(kept.schema))
    }

    /// What becomes of this kept state when the package takes its place; `None`: there is no way.
    #[must_use]
    pub fn carries(&self, kept: Option<Kept<'_>>) -> Option<Carried> {
        match (self.kept, kept) {
            (None, None) => Some(Carried::AsItIs),
            (Some(own), Some(other)) if own == other => Some(Carried::AsItIs),
            (Some(own), Some(other)) if own.key != other.key => {
                let way = self.migrations.iter().find(|way| way.from == other.key)?;
                Some(Carried::Migrated { down: way.down })
            }
            _ => None,
        }
    }
}

/// Keys as numbers.
mod as_number {
    use koboshi_interface_kit::Key;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(key: &Key, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_u64(key.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(bytes: D) -> Result<Key, D::Error> {
        u64::deserialize(bytes).map(Key)
    }
}
