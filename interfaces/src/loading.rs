//! `loading`: how a package is brought into a running image, for one of its components.
//!
//! The rule: the way on which it comes is not trusted. Each piece says where it belongs and each answer how much is there, so that
//! whoever brings it goes on where it is, whoever of all those between died meanwhile. Only a package that is whole is judged,
//! and only one that was let in touches the component that runs.

pub use crate::component::ComponentId;

use koboshi_interface_kit::interface;
use koboshi_interface_kit::wire::{Bytes, Str};
use postcard::experimental::max_size::MaxSize;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

interface! {
    /// How a package is brought into a running image.
    service loading;

    | operation | contract   | request | reply                   | deadline | meaning                                                                 |
    | --------- | ---------- | ------- | ----------------------- | -------- | ----------------------------------------------------------------------- |
    | begin     | Idempotent | Package | Result<u32, Unable>     | 5 s      | "This package comes; says how many bytes of it are here already."       |
    | piece     | Idempotent | Piece   | Result<u32, Unable>     | 5 s      | "Bytes of the package that comes; says how many of it are here now."    |
    | swap      | AtMostOnce | Package | Result<(), Refused>     | 10 s     | "It is whole: judges it, and asks for it to take the component's place." |
    | words     | Pure       | u16     | Words                   | 5 s      | "Why a package was refused last, in words: the text from this byte on."  |
}

/// A package on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub struct Package {
    /// The component whose place it is to take.
    pub component: ComponentId,
    /// How many bytes it has.
    pub bytes: u32,
    /// A number that no other package is likely to have: the beginning of its fingerprint.
    pub mark: u64,
}

/// Bytes of the package that comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub struct Piece {
    /// How many bytes stand before them.
    pub at: u32,
    /// The bytes.
    pub bytes: Bytes<{ Piece::MOST }>,
}

impl Piece {
    /// The most bytes of one.
    pub const MOST: usize = 96;
}

/// What keeps a package from being brought, whatever is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub enum Unable {
    /// The image has no such component, or it takes no packages.
    NoSuch,
    /// It is longer than any that could be let in: so many bytes at most.
    TooLong(u32),
    /// No package was begun, or another one: begin it anew.
    NotBegun,
    /// It is not whole: so many bytes of it are here.
    NotWhole(u32),
    /// A swap of the component is under way, or it is in no state for one.
    Busy,
    /// It keeps something else than what runs, and changes that into its own: a board cannot do that yet.
    Migrates,
    /// Its code is no program of whole words, behind its table.
    NoProgram,
    /// The platform takes no code from a component, or the image gives the loader no right to load this one's.
    Denied,
}

/// Why a package does not take the component's place. What runs has noticed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub enum Refused {
    /// It could not be judged, or not be put into its place.
    Unable(Unable),
    /// The gate has refused it: its word for programs. Those for people are asked for.
    Gate(Str<16>),
}

/// A part of a text. Empty: there is no more of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub struct Words(pub Str<96>);
