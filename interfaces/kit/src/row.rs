//! Interfaces as data, for the composer, the kernel and whoever prints them.
//!
//! The rule: rows are made from the same types as server and client, in `const`, so that they cannot tell another story.

use crate::contract::{Contract, ContractKind};
use crate::key::Key;
use crate::port::{Operation, progress_of};
use crate::{Duration, MaxSize, NamedType, Schema};

/// What kind of port an interface describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Requests one way, replies the other.
    Service,
    /// Items one way, credit the other.
    Stream,
}

/// One interface.
#[derive(Debug, Clone, Copy)]
pub struct Interface {
    /// Its name among all interfaces: the package that declares it, and its own.
    pub path: &'static str,
    /// Service or stream.
    pub kind: Kind,
    /// What both ends must agree on.
    pub key: Key,
    /// The largest message in either direction, in bytes.
    pub payload: usize,
    /// A service's operations, in the order of their index; none for a stream.
    pub operations: &'static [Row],
    /// A stream's item; none for a service.
    pub item: Option<&'static NamedType>,
    /// What it is for.
    pub meaning: &'static str,
}

/// One operation of a service.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name in the table.
    pub name: &'static str,
    /// Its number in a request's slot.
    pub index: u8,
    /// What may be done with a request that was in hand at a death.
    pub contract: ContractKind,
    /// What both ends must agree on.
    pub key: Key,
    /// How long a client waits if it does not say otherwise.
    pub deadline: Duration,
    /// The request's schema.
    pub request: &'static NamedType,
    /// The reply's schema.
    pub reply: &'static NamedType,
    /// The schema of its progress, where it has one.
    pub progress: Option<&'static NamedType>,
    /// The largest request, in bytes.
    pub request_max: usize,
    /// The largest reply, in bytes.
    pub reply_max: usize,
    /// What it does.
    pub meaning: &'static str,
}

impl Row {
    /// The row of operation `O`.
    pub const fn of<O: Operation>(meaning: &'static str) -> Self {
        Self {
            name: O::NAME,
            index: O::INDEX,
            contract: <O::Contract as Contract>::KIND,
            key: O::KEY,
            deadline: O::DEADLINE,
            request: <O::Request as Schema>::SCHEMA,
            reply: <O::Reply as Schema>::SCHEMA,
            progress: progress_of::<O>(),
            request_max: <O::Request as MaxSize>::POSTCARD_MAX_SIZE,
            reply_max: <O::Reply as MaxSize>::POSTCARD_MAX_SIZE,
            meaning,
        }
    }
}

impl Interface {
    /// One bit for each operation of this contract; bit 0 is the operation with index 0.
    pub const fn mask(&self, kind: ContractKind) -> u32 {
        let mut mask = 0;
        let mut place = 0;
        while place < self.operations.len() {
            let row = &self.operations[place];
            if row.contract as u8 == kind as u8 {
                mask |= 1 << row.index;
            }
            place += 1;
        }
        mask
    }
}
