//! `log`: what a component has to say to people.
//!
//! The rule: nothing depends on it. A component that cannot send a record drops it and goes on.

use koboshi_interface_kit::interface;
use koboshi_interface_kit::wire::Str;
use postcard::experimental::max_size::MaxSize;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

interface! {
    /// What a component has to say to people.
    stream log: Record, "One line of text.";
}

/// One line of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub struct Record {
    /// How much it matters.
    pub level: Level,
    /// The text; what was too long for it is cut off.
    pub text: Str<80>,
}

/// How much a record matters; the first matters most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Schema, MaxSize)]
pub enum Level {
    /// Something is broken.
    Error,
    /// Something may soon be.
    Warn,
    /// Worth knowing.
    Info,
    /// For whoever looks for a mistake.
    Debug,
}
