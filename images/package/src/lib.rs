//! Packages: one built component for one platform in one signed file, and the gate that lets it in or refuses it.
//!
//! Job: the format ([`Package`], [`Header`]), the keys ([`PublicKey`]), and [`judge`], which compares a package with what
//! an image expects. `docs/packages.md` has the format by bytes and the order in which things are judged.
//!
//! Rules kept here:
//!
//! - Nothing of a package is believed before its signature was checked, by a key that the image names; until then only
//!   its lengths are looked at.
//! - Every reason to refuse has a message of its own, which says what was found and what was expected, whose fault it is
//!   and what to do.
//! - Reading and judging allocates nothing, so that it can be done on a board by a component in user mode.
//!
//! It must never: panic, whatever the bytes are; or load anything.
#![no_std]

#[cfg(feature = "write")]
extern crate alloc;

mod format;
mod gate;
mod header;
mod key;
mod refused;
mod schema;
mod version;
#[cfg(feature = "write")]
mod write;

pub use format::{FORMAT, MAGIC, Package, SIGNATURE, START};
pub use gate::{Expected, difference, judge, judge_all};
pub use header::{Carried, Digest, Header, Kept, MAX_MIGRATIONS, MAX_PORTS, Migration, Port, Side, digest};
pub use key::{Misread, PREFIX, PublicKey};
pub use refused::{Refused, Whose};
pub use schema::{Difference, differences, spell, spell_state};
pub use version::{NoVersion, Version};
#[cfg(feature = "write")]
pub use write::{NoSecret, SECRET_PREFIX, SecretKey, Unwritable, seal, write};
