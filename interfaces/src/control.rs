//! `control`: what the restart manager may be asked to do.
//!
//! The rule: every request says *which run* it is about, so that asking twice, or late, does no more than asking once.
//! That is why all of them are `Idempotent`, and survive the restart manager's own death.

pub use crate::component::{ComponentId, Incarnation};

use koboshi_interface_kit::interface;
use postcard::experimental::max_size::MaxSize;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

interface! {
    /// What the restart manager may be asked to do.
    service control;

    | operation | contract   | request     | reply              | deadline | meaning                                                             |
    | --------- | ---------- | ----------- | ------------------ | -------- | ------------------------------------------------------------------- |
    | report    | Idempotent | Report      | Result<(), Denied> | 100 ms   | "Says that something is wrong; what to do is the manager's policy." |
    | stop      | Idempotent | ComponentId | Result<(), Denied> | 1 s      | "Stops a component, and keeps it stopped."                          |
    | start     | Idempotent | ComponentId | Result<(), Denied> | 1 s      | "Starts a component that was stopped or given up."                  |
    | restart   | Idempotent | Incarnation | Result<(), Denied> | 1 s      | "Restarts a component, if this run of it is still the current one." |
    | reboot    | Idempotent | Reboot      | Result<(), Denied> | 5 s      | "Restarts a whole group, unless it was restarted since."            |
}

/// Something is wrong with one run of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub struct Report {
    /// Which component.
    pub component: ComponentId,
    /// Which run of it. A report on a run that has ended is accepted and changes nothing.
    pub epoch: u32,
    /// What is wrong.
    pub why: Complaint,
}

/// What a client can see going wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub enum Complaint {
    /// It did not answer within a deadline.
    Late,
    /// It sent something that cannot be decoded.
    BadMessage,
    /// It broke a rule of its port.
    RuleBroken,
}

/// Restart a whole group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub struct Reboot {
    /// The group's place in its image.
    pub group: u8,
    /// The generation that is meant, or one after it: a group that is newer by now is left alone.
    pub at_or_before: u32,
}

/// Why the restart manager does not do as it was asked. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub enum Denied {
    /// The image does not give the asker this right.
    NotAllowed,
    /// There is no such component or group in the image.
    NoSuch,
    /// It was given up; only `start` brings it back.
    GivenUp,
}
