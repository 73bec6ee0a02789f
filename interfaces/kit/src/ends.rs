//! The two ends of a service's port, as the generated code needs them.
//!
//! The runtime implements them over rings; a test can do so in memory. The rule between the two sides: the generated
//! code decides *what* is called with *what*; the end decides *when*, *where the bytes are*, and what a death means.

use core::sync::atomic::AtomicU32;

use crate::Duration;
use crate::failure::{Failure, Ticket};
use crate::message::Message;
use crate::port::Operation;

/// The server's end of a service's port.
#[allow(async_fn_in_trait, reason = "components are single-threaded; a future of theirs is never sent elsewhere")]
pub trait ServerEnd {
    /// A request taken from the ring, with a private copy of its bytes inside.
    type Taken;

    /// The next request. It has no deadline, and takes nothing until it is ready.
    async fn next(&mut self) -> Self::Taken;

    /// Which operation is asked for. The number is the client's word and may be of no operation at all.
    fn operation(taken: &Self::Taken) -> u8;

    /// What is asked, or `None` if it cannot be decoded.
    fn request<T: Message>(&self, taken: &Self::Taken) -> Option<T>;

    /// The word in which the progress of this request lives.
    fn progress(&self, taken: &Self::Taken) -> &'static AtomicU32;

    /// Answers it.
    async fn answer<T: Message>(&mut self, taken: Self::Taken, reply: &T);

    /// Ends it unserved: no such operation, or undecodable. That is the client's fault.
    fn refuse(&mut self, taken: Self::Taken);
}

/// The client's end of a service's port.
#[allow(async_fn_in_trait, reason = "components are single-threaded; a future of theirs is never sent elsewhere")]
pub trait ClientEnd {
    /// Asks, and waits for the answer for at most `deadline`.
    ///
    /// # Errors
    ///
    /// What [`Failure`] says.
    async fn call<O: Operation>(&mut self, request: &O::Request, deadline: Duration) -> Result<O::Reply, Failure<O>>;

    /// Waits on for the answer to a request that was late, for at most `deadline`.
    ///
    /// # Errors
    ///
    /// What [`Failure`] says; it may be late again.
    async fn wait<O: Operation>(&mut self, ticket: Ticket<O>, deadline: Duration) -> Result<O::Reply, Failure<O>>;
}

/// A client's end with one deadline for every call, instead of the table's.
///
/// Where two are stacked, the one closer to the port counts.
#[derive(Debug)]
pub struct Within<'e, E> {
    end: &'e mut E,
    deadline: Duration,
}

impl<'e, E: ClientEnd> Within<'e, E> {
    /// `end`, with `deadline` for every call.
    pub fn new(end: &'e mut E, deadline: Duration) -> Self {
        Self { end, deadline }
    }
}

impl<E: ClientEnd> ClientEnd for Within<'_, E> {
    async fn call<O: Operation>(&mut self, request: &O::Request, _: Duration) -> Result<O::Reply, Failure<O>> {
        self.end.call::<O>(request, self.deadline).await
    }

    async fn wait<O: Operation>(&mut self, ticket: Ticket<O>, _: Duration) -> Result<O::Reply, Failure<O>> {
        self.end.wait::<O>(ticket, self.deadline).await
    }
}
