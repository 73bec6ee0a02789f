//! There are four contracts, and nobody can add a fifth.

use core::convert::Infallible;

use koboshi_interface_kit::{Contract, ContractKind, NamedType, StillComing};

struct Perhaps;

impl Contract for Perhaps {
    const KIND: ContractKind = ContractKind::Pure;
    const PROGRESS: Option<&'static NamedType> = None;
    type Interrupted = Infallible;
    type AfterDeadline = StillComing;

    fn interrupted() -> Option<Infallible> {
        None
    }

    fn after_deadline() -> StillComing {
        StillComing
    }
}

fn main() {}
