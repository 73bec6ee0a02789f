//! What a call may end with instead of its reply.
//!
//! The rule: every ending says what the client knows, and an ending that an operation's contract rules out cannot be
//! made. It must never blur "did not happen" with "may have happened".

use core::fmt;
use core::marker::PhantomData;

use crate::contract::Contract;
use crate::port::{Operation, Service};

/// Names a request that is not answered yet. Wait with it, or drop it: the request itself goes on.
#[must_use = "the request goes on; wait for its answer with this ticket"]
pub struct Ticket<O> {
    /// The request's place in its ring.
    pub position: u32,
    operation: PhantomData<fn() -> O>,
}

impl<O> Ticket<O> {
    /// For whoever implements a client's end: the ticket of the request at `position`.
    pub const fn new(position: u32) -> Self {
        Self { position, operation: PhantomData }
    }
}

impl<O> fmt::Debug for Ticket<O> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Ticket").field(&self.position).finish()
    }
}

impl<O> PartialEq for Ticket<O> {
    fn eq(&self, other: &Self) -> bool {
        self.position == other.position
    }
}

impl<O> Eq for Ticket<O> {}

/// What a call may end with instead of its reply.
pub enum Failure<O: Operation> {
    /// The deadline passed. It ended the wait, not the request.
    Late {
        /// Waits on.
        ticket: Ticket<O>,
        /// What is known about the request.
        means: <O::Contract as Contract>::AfterDeadline,
    },

    /// The ring stayed full until the deadline. Nothing was sent.
    NotSent,

    /// Its deadline had passed when its server died, so it was not tried again.
    Expired {
        /// How far it came.
        progress: u32,
    },

    /// It was in hand at two deaths in a row, so it was not tried a third time.
    Poisoned {
        /// How far it came.
        progress: u32,
    },

    /// The server died with it in hand, and it must not be repeated.
    Interrupted(<O::Contract as Contract>::Interrupted),

    /// The server was stopped, or given up.
    Gone {
        /// How far it came.
        progress: u32,
    },

    /// The caller's fault: the ports' keys differ, or the server does not know the operation, or cannot read the
    /// request. Nothing was done.
    Refused,
}

impl<O: Operation> fmt::Debug for Failure<O> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late { ticket, means } => {
                out.debug_struct("Late").field("ticket", ticket).field("means", means).finish()
            }
            Self::Expired { progress } => out.debug_struct("Expired").field("progress", progress).finish(),
            Self::Poisoned { progress } => out.debug_struct("Poisoned").field("progress", progress).finish(),
            Self::Interrupted(means) => out.debug_tuple("Interrupted").field(means).finish(),
            Self::Gone { progress } => out.debug_struct("Gone").field("progress", progress).finish(),
            Self::NotSent => out.write_str("NotSent"),
            Self::Refused => out.write_str("Refused"),
        }
    }
}

impl<O: Operation> PartialEq for Failure<O> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Late { ticket, means }, Self::Late { ticket: other_ticket, means: other_means }) => {
                ticket == other_ticket && means == other_means
            }
            (Self::Expired { progress }, Self::Expired { progress: other })
            | (Self::Poisoned { progress }, Self::Poisoned { progress: other })
            | (Self::Gone { progress }, Self::Gone { progress: other }) => progress == other,
            (Self::Interrupted(means), Self::Interrupted(other)) => means == other,
            (Self::Refused, Self::Refused) | (Self::NotSent, Self::NotSent) => true,
            _ => false,
        }
    }
}

impl<O: Operation> Eq for Failure<O> {}

impl<O: Operation> fmt::Display for Failure<O> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}: ", <O::Service as Service>::PATH, O::NAME)?;
        match self {
            Self::Late { means, .. } => write!(out, "no answer before the deadline; {means}"),
            Self::Expired { progress } => {
                write!(out, "its deadline had passed when the server died (progress {progress})")
            }
            Self::Poisoned { progress } => write!(out, "it was in hand at two deaths in a row (progress {progress})"),
            Self::Interrupted(means) => write!(out, "the server died with it in hand; {means}"),
            Self::Gone { progress } => write!(out, "the server was stopped or given up (progress {progress})"),
            Self::NotSent => out.write_str("no room before the deadline; nothing was sent"),
            Self::Refused => out.write_str("refused: the server does not know such a request; nothing was done"),
        }
    }
}

impl<O: Operation> core::error::Error for Failure<O> {}
