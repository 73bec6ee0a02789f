//! `health`: how the components are, and what has happened to them.
//!
//! The rule: it only shows. The facts are the kernel's, so that they are still there when the restart manager is not.

pub use crate::component::{ComponentId, Incarnation};

use koboshi_interface_kit::interface;
use koboshi_interface_kit::wire::Str;
use postcard::experimental::max_size::MaxSize;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

interface! {
    /// How the components are.
    service health;

    | operation | contract | request     | reply                  | deadline | meaning                                                       |
    | --------- | -------- | ----------- | ---------------------- | -------- | ------------------------------------------------------------- |
    | states    | Pure     | ComponentId | Result<Health, NoSuch> | 100 ms   | "How one component is."                                       |
    | incidents | Pure     | u32         | Option<Incident>       | 100 ms   | "The first incident with this number or a later one, if any." |
    | registers | Pure     | ComponentId | Option<Registers>      | 100 ms   | "What the processor held at the end of its last run, if known." |
}

/// How one component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub struct Health {
    /// Where it is in its life.
    pub state: State,
    /// Its current run, or its last one.
    pub epoch: u32,
    /// How often it was restarted since the image booted.
    pub restarts: u32,
    /// What ended its last run, if that was a fault.
    pub fault: Option<Fault>,
}

/// Where a component is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Schema, MaxSize)]
pub enum State {
    /// Nothing of it is there yet.
    Absent,
    /// Its memory is ready, and it has not come to its first wait.
    Starting,
    /// It runs.
    Running,
    /// It finishes what it has in hand, and takes nothing new.
    Quiescing,
    /// It was stopped, and stays so.
    Stopped,
    /// It faulted, and what to do is not decided.
    Failed,
    /// It waits for its next start.
    Backoff,
    /// It failed too often; the safe action was taken.
    GivenUp,
}

/// What ended a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Schema, MaxSize)]
pub enum Fault {
    /// It touched memory that is not its own.
    Access,
    /// It ran an instruction that does not exist, or that it may not run.
    IllegalInstruction,
    /// It panicked.
    Panic,
    /// It used up its stack.
    Stack,
    /// It did not come back to its wait when called.
    Stuck,
    /// It did not stop within its bound.
    RunAway,
    /// It sent something that cannot be decoded, or broke a rule of its port.
    BadMessage,
    /// It returned, though it should not.
    Exit,
    /// Somebody with the right to do so wanted it restarted.
    Told,
    /// A client reported that it is late.
    Late,
    /// Of the whole image: whoever may had it begin anew.
    Rebooted,
    /// Of the whole image: its restart manager died too often.
    ManagerDied,
    /// Of the whole image: the machine was reset, by a fault in the kernel or from outside.
    Reset,
    /// Of the whole image: the watchdog has reset the machine, for the restart manager gave no sign of life any more.
    Watchdog,
    /// Nothing was wrong: another version took its place.
    Swapped,
}

/// One recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub struct Incident {
    /// Its number: grows by one with each incident, and survives a warm reset.
    pub sequence: u32,
    /// The run that ended.
    pub ended: Incarnation,
    /// What ended it.
    pub fault: Fault,
    /// When that was noticed, in nanoseconds since the platform started.
    pub noticed_at: u64,
    /// How it went on.
    pub outcome: Outcome,
    /// How long it may take until it runs again, in nanoseconds, if the image says so.
    pub allowed: Option<u64>,
    /// It took longer than that, or has already.
    pub missed: bool,
    /// Where it was, as far as that is known.
    pub at: Option<Place>,
}

/// Where a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub struct Place {
    /// The address of the instruction; 0: not known.
    pub pc: u32,
    /// What it touched; 0: nothing, or not known.
    pub address: u32,
    /// What the processor called it (on SH-4: EXPEVT); 0: nothing.
    pub event: u16,
    /// Of a panic: the end of its file's name. Else it is empty.
    pub file: Str<32>,
    /// Of a panic: the line.
    pub line: u32,
}

/// What the processor held when a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub struct Registers {
    /// The run's epoch.
    pub epoch: u32,
    /// On SH-4: R0 to R15.
    pub r: [u32; 16],
}

/// How it went on after a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub enum Outcome {
    /// The next run is not there yet.
    Open,
    /// It runs again.
    Recovered {
        /// The new run's epoch.
        epoch: u32,
        /// From noticing the fault to running again, in nanoseconds. Of several faults with no run between that came to its
        /// first wait, from the first.
        took: u64,
    },
    /// It was given up.
    GivenUp,
    /// The next run ended before it came to its first wait; the incident of its end goes on with this one's time.
    EndedAgain,
    /// It was stopped on purpose.
    Stopped,
    /// The whole image was started anew.
    Rebooted,
    /// Another version took its place before it was up again.
    Swapped,
}

/// There is no such component in the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub struct NoSuch;
