//! Ports as types: a service, its operations, and a stream.
//!
//! The rule: these are written by [`interface!`](crate::interface) and by nobody else, so that keys, rows, server and
//! client always come from the same table.

use crate::contract::Contract;
use crate::key::Key;
use crate::message::Message;
use crate::{Duration, NamedType};

/// A port of requests one way and replies the other.
pub trait Service: Sized {
    /// Its name in its table, such as `serial`.
    const NAME: &'static str;

    /// Its name among all interfaces: the package that declares it, and its own.
    const PATH: &'static str;

    /// What both ends must agree on, over all operations.
    const KEY: Key;
}

/// A port of items one way and credit the other.
pub trait Stream: Sized {
    /// What travels.
    type Item: Message;

    /// Its name in its table, such as `received`.
    const NAME: &'static str;

    /// Its name among all interfaces: the package that declares it, and its own.
    const PATH: &'static str;

    /// What both ends must agree on.
    const KEY: Key;
}

/// One row of a service's table.
pub trait Operation: Sized {
    /// The service that it belongs to.
    type Service: Service;

    /// What is asked.
    type Request: Message;

    /// What is answered.
    type Reply: Message;

    /// What may be done with a request that was in hand at a death.
    type Contract: Contract;

    /// Its name in the table.
    const NAME: &'static str;

    /// Its place in the table, which is its number in a request's slot.
    const INDEX: u8;

    /// How long a client waits if it does not say otherwise.
    const DEADLINE: Duration;

    /// What both ends must agree on.
    const KEY: Key;
}

/// The schema of an operation's progress, where its contract has one.
pub(crate) const fn progress_of<O: Operation>() -> Option<&'static NamedType> {
    <O::Contract as Contract>::PROGRESS
}
