//! How an interface is written.
//!
//! Its job: one table for each interface, from which everybody gets what they need. The server gets a trait, the client
//! gets methods, the composer gets rows and keys. See [`interface!`].
//!
//! Its rules:
//!
//! - Every operation states its recovery [`Contract`], and the contract is a type: the compiler holds both ends to it.
//! - Every message has a largest size and a schema, and owns what it holds.
//! - Two ends that do not mean the same thing never have the same [`Key`].
//!
//! What it must never do: move a byte between components, keep state, or know a platform. That is the work of whoever
//! implements [`ServerEnd`] and [`ClientEnd`].
#![no_std]

mod contract;
mod difference;
mod ends;
mod failure;
mod key;
mod message;
mod port;
mod progress;
mod row;
mod table;

pub mod wire;

pub use contract::{AtMostOnce, Contract, ContractKind, Idempotent, MayHaveHappened, Pure, Resumable, StillComing};
pub use difference::differences;
pub use ends::{ClientEnd, ServerEnd, Within};
pub use failure::{Failure, Ticket};
pub use key::{Ingredients, Key};
pub use message::{Fill, MAX_MESSAGE, Message, decode, encode};
pub use port::{Operation, Service, Stream};
pub use progress::{Progress, Step};
pub use row::{Interface, Kind, Row};

pub use postcard::experimental::max_size::MaxSize;
pub use postcard_schema::Schema;
pub use postcard_schema::schema::NamedType;

#[doc(hidden)]
pub use table::private;

/// A length of time, in nanoseconds.
pub type Duration = fugit::Duration<u64, 1, 1_000_000_000>;

/// A point in time, in nanoseconds since the platform started.
pub type Instant = fugit::MonotonicInstant<u64, 1, 1_000_000_000>;
