//! What the commands ask a running image, and what it answers: one JSON value a line, over the socket of its run directory.
//!
//! The rule: a question is one line, and every answer is a line of its own, so that any program can take part:
//!
//! ```text
//! {"ask":"ps"}                                          {"ps":[{"name":"driver", ...}]}
//! {"ask":"kill","component":"driver","how":"panic"}     {"done":"driver falls at its next point: panic"}
//! {"ask":"log","follow":true}                           {"log":{...}}, {"log":{...}}, ...
//! ```
//!
//! Times are platform time in nanoseconds since boot.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The longest question, in bytes.
pub(crate) const MOST_QUESTION: u64 = 4_096;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Ask {
    /// How the components are.
    Ps {},
    /// What happened: one incident, or the last ones, and those to come.
    Incidents {
        number: Option<u32>,
        #[serde(default)]
        follow: bool,
    },
    /// What was said.
    Log {
        #[serde(default)]
        follow: bool,
    },
    /// Knock a component over.
    Kill { component: String, how: String },
    /// End a component's incarnation and start it again; start one that was stopped or given up.
    Restart { component: String },
    /// Put a package, from this file, in a component's place; without one, the version before. `one-way`: even if there is no
    /// way back from what it keeps.
    #[serde(rename_all = "kebab-case")]
    Swap {
        component: String,
        package: Option<PathBuf>,
        #[serde(default)]
        one_way: bool,
    },
    /// Show how the ends of lines are set, or one of them after setting what is given.
    Line {
        end: Option<String>,
        #[serde(default)]
        change: Change,
    },
    /// End the run.
    Stop {},
}

/// What is to be changed about one end of a line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Change {
    pub(crate) baud: Option<u32>,
    pub(crate) parity: Option<Parity>,
    pub(crate) data_bits: Option<u8>,
    pub(crate) stop_bits: Option<u8>,
    /// RTS/CTS.
    pub(crate) flow: Option<bool>,
}

/// The bit after the data bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Parity {
    /// There is none
    None,
    /// Makes the number of ones even
    Even,
    /// Makes the number of ones odd
    Odd,
}

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    /// All components.
    Ps(Vec<Process>),
    /// One incident.
    Incident(Box<Story>),
    /// One line of the log.
    Log(Said),
    /// How ends of lines are set.
    Lines(Vec<LineEnd>),
    /// How far a swap is; its end is one of those that follow.
    Swap(SwapStep),
    /// It was done, or is about to be.
    Done(String),
    /// It was not, and why.
    Error {
        what: String,
        remedy: String,
        /// It is no mistake: the same may be possible in a moment.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        later: bool,
    },
    /// The run is over.
    End(String),
}

/// A step of a swap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub(crate) enum SwapStep {
    /// So much of the package has come to the board.
    Sent { bytes: usize, of: usize },
    /// It may take the component's place.
    LetIn { package: String },
    /// The version that runs answers what it has in hand.
    Quiescing,
    /// The other one runs, and the time from when it was asked for to its first answer or item.
    Runs { epoch: u32, pause_ns: Option<u64>, incident: u32, on_probation: bool },
}

/// One component, as `koboshi ps` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) name: String,
    /// What runs there: its package, and of one that was swapped in the version, with a mark while it is on probation.
    pub(crate) package: String,
    pub(crate) state: String,
    pub(crate) epoch: u32,
    pub(crate) vcpu: u8,
    pub(crate) restarts: u32,
    pub(crate) last_fault: Option<String>,
    pub(crate) oldest_request: Option<Oldest>,
    /// Taken from its devices; `None`: it has none.
    pub(crate) bytes_in: Option<u64>,
    /// Given to its devices.
    pub(crate) bytes_out: Option<u64>,
}

/// The oldest request that a component has not answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Oldest {
    pub(crate) operation: String,
    pub(crate) client: String,
    /// How long until its deadline; negative: it is over by so much. `None`: it has none.
    pub(crate) due_in_ns: Option<i64>,
    /// How many requests wait in all.
    pub(crate) waiting: u32,
}

/// One incident, as `koboshi incidents` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Story {
    pub(crate) number: u32,
    pub(crate) component: String,
    pub(crate) fault: String,
    pub(crate) noticed: String,
    pub(crate) epoch_ended: u32,
    pub(crate) epoch_begun: Option<u32>,
    /// Since when it was not up; before `failed_at_ns` if it died again before it was.
    pub(crate) down_since_ns: u64,
    pub(crate) failed_at_ns: u64,
    pub(crate) in_backoff_from_ns: Option<u64>,
    pub(crate) started_at_ns: Option<u64>,
    pub(crate) up_at_ns: Option<u64>,
    pub(crate) answered_at_ns: Option<u64>,
    pub(crate) recover_within_ns: Option<u64>,
    pub(crate) missed: bool,
    /// How it ended if the next incarnation did not come up.
    pub(crate) cut_short: Option<String>,
    pub(crate) cut_short_at_ns: Option<u64>,
    /// The first request in hand.
    pub(crate) in_hand: Option<InHand>,
    pub(crate) offered_again: u32,
    pub(crate) interrupted: u32,
    pub(crate) poisoned: u32,
    /// Whether what it keeps was whole; `None`: it keeps nothing, or nobody knows.
    pub(crate) kept_state_whole: Option<bool>,
    /// Nobody knows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) kept_state_unknown: bool,
    /// Where it was: a line of the source, as far as that is known.
    #[serde(default)]
    pub(crate) place: Option<String>,
    /// What the processor held then: R0 to R15 of a board.
    #[serde(default)]
    pub(crate) registers: Option<[u32; 16]>,
    /// Another version followed.
    #[serde(default)]
    pub(crate) swap: Option<Swap>,
    pub(crate) told: Vec<String>,
}

/// That another version of a component has taken its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Swap {
    pub(crate) to: SwapTo,
    /// When it was asked for.
    pub(crate) asked_at_ns: u64,
    /// Its probation is over; `None`: it is on probation, or was undone.
    pub(crate) stays_since_ns: Option<u64>,
    /// The incident that has brought the version before back.
    pub(crate) undone_by: Option<u32>,
    /// The version before was put back, for the component was stopped or given up, or the image began anew.
    #[serde(default)]
    pub(crate) put_back_at_ns: Option<u64>,
}

/// Which version has taken a component's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SwapTo {
    /// A new one.
    New,
    /// The one before, for somebody wanted it.
    Before,
    /// The one before, for the new one did something wrong.
    BeforeAgain,
}

/// A request that was in hand at a death.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InHand {
    pub(crate) operation: String,
    pub(crate) client: String,
    /// Its position in its ring.
    pub(crate) position: u32,
    /// How far it had come.
    pub(crate) progress: u32,
    /// What became of it.
    pub(crate) then: String,
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) number: u64,
    pub(crate) at_ns: u64,
    pub(crate) text: String,
}

/// How one end of a line is set, and what has gone through it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LineEnd {
    pub(crate) end: String,
    pub(crate) terminal: String,
    pub(crate) baud: u32,
    pub(crate) parity: Parity,
    pub(crate) data_bits: u8,
    pub(crate) stop_bits: u8,
    /// RTS/CTS.
    pub(crate) flow: bool,
    /// From the program that has the terminal open.
    pub(crate) bytes_in: u64,
    /// To that program.
    pub(crate) bytes_out: u64,
}
