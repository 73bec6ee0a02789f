//! Recovery contracts: what may be done with a request whose server died while it had it in hand.
//!
//! The rule: there are four, they are types, and nobody can add a fifth. A contract decides what the server's method is
//! given ([`Resumable`] adds a `Progress`), and which endings a client has to think of (only [`AtMostOnce`] can be
//! interrupted). It must never hold data: a contract is a promise, and the record that keeps it is the kernel's.

use core::convert::Infallible;
use core::fmt;
use core::marker::PhantomData;

use postcard_schema::schema::NamedType;

use crate::progress::Step;

/// The four contracts as data, for rows, keys and the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ContractKind {
    /// Asking changes nothing.
    Pure,
    /// Twice is as good as once.
    Idempotent,
    /// Progress can be taken up again.
    Resumable,
    /// Must never be repeated.
    AtMostOnce,
}

impl ContractKind {
    /// Whether the next incarnation is offered a request that was in hand at a death.
    pub const fn replays(self) -> bool {
        !matches!(self, Self::AtMostOnce)
    }
}

impl fmt::Display for ContractKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Pure => "Pure",
            Self::Idempotent => "Idempotent",
            Self::Resumable => "Resumable",
            Self::AtMostOnce => "AtMostOnce",
        })
    }
}

/// A recovery contract, as a type.
pub trait Contract: sealed::Sealed {
    /// The contract as data.
    const KIND: ContractKind;

    /// The schema of the progress that outlives the server, where there is one.
    const PROGRESS: Option<&'static NamedType>;

    /// What a client is told when the server died with its request in hand and nobody may try again.
    /// `Infallible` for every contract but [`AtMostOnce`], so that a match needs no arm for it.
    type Interrupted: Copy + Eq + fmt::Debug + fmt::Display;

    /// What it means that the deadline passed before the answer came.
    type AfterDeadline: Copy + Eq + fmt::Debug + fmt::Display;

    /// For whoever implements a client's end: the ending of an interrupted call, or `None` if this contract has no
    /// such ending and the answer must be waited for.
    fn interrupted() -> Option<Self::Interrupted>;

    /// For whoever implements a client's end: what a passed deadline means.
    fn after_deadline() -> Self::AfterDeadline;
}

/// Asking changes nothing.
#[derive(Debug, Clone, Copy)]
pub struct Pure;

/// Twice is as good as once.
#[derive(Debug, Clone, Copy)]
pub struct Idempotent;

/// Progress `P` can be taken up again: no step is lost, none is repeated.
#[derive(Debug, Clone, Copy)]
pub struct Resumable<P>(PhantomData<P>);

/// Must never be repeated: a request that was in hand at a death ends as `Interrupted`.
#[derive(Debug, Clone, Copy)]
pub struct AtMostOnce;

/// The answer is still to come, and the ticket can be used to wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StillComing;

/// What was asked for may have happened, wholly or in part, and nobody will try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MayHaveHappened;

impl fmt::Display for StillComing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the answer is still to come")
    }
}

impl fmt::Display for MayHaveHappened {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("it may have happened")
    }
}

/// Implements a contract whose requests are offered again, so that its clients only ever wait longer.
macro_rules! replayed {
    ($contract:ty, $kind:ident, $progress:expr $(, $step:ident)?) => {
        impl $(<$step: Step>)? Contract for $contract {
            const KIND: ContractKind = ContractKind::$kind;
            const PROGRESS: Option<&'static NamedType> = $progress;
            type Interrupted = Infallible;
            type AfterDeadline = StillComing;

            fn interrupted() -> Option<Infallible> {
                None
            }

            fn after_deadline() -> StillComing {
                StillComing
            }
        }
    };
}

replayed!(Pure, Pure, None);
replayed!(Idempotent, Idempotent, None);
replayed!(Resumable<P>, Resumable, Some(P::SCHEMA), P);

impl Contract for AtMostOnce {
    const KIND: ContractKind = ContractKind::AtMostOnce;
    const PROGRESS: Option<&'static NamedType> = None;
    type Interrupted = MayHaveHappened;
    type AfterDeadline = MayHaveHappened;

    fn interrupted() -> Option<MayHaveHappened> {
        Some(MayHaveHappened)
    }

    fn after_deadline() -> MayHaveHappened {
        MayHaveHappened
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Pure {}
    impl Sealed for super::Idempotent {}
    impl<P> Sealed for super::Resumable<P> {}
    impl Sealed for super::AtMostOnce {}
}
