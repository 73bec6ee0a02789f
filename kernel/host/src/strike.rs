//! Faults on purpose: strikes at numbered points, for the crash campaign, and knocks, for a person.

use koboshi_core::ComponentId;
use koboshi_runtime::platform::Point;

/// What happens to a component at a numbered point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// It panics.
    Crash,
    /// It never comes back to its wait.
    Hang,
    /// Somebody else is ended, from outside.
    Kill(ComponentId),
}

/// One strike of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// At whose point.
    pub component: ComponentId,
    /// At which: the so-many-th that it comes to, counted from the strike before (the first: from boot). 1 is the next.
    pub after_points: u64,
    /// What happens.
    pub strike: Strike,
}

/// A strike that was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Struck {
    /// At whose point.
    pub component: ComponentId,
    /// At which, counted from boot.
    pub point: u64,
    /// What was touched there.
    pub kind: Point,
    /// Behind the touch, not before it.
    pub after: bool,
    /// What happened.
    pub strike: Strike,
}

/// How a person knocks a component over. It falls at its next point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It panics.
    Panic,
    /// It never comes back to its wait.
    Hang,
    /// Its `run` comes back.
    Exit,
    /// Its next reply is rubbish.
    BadMessage,
    /// Its next reply is never written.
    DropReply,
    /// A bit of the newest copy of its kept state flips, and it panics.
    CorruptState,
}

impl How {
    /// All ways.
    pub const ALL: [How; 6] = [How::Panic, How::Hang, How::Exit, How::BadMessage, How::DropReply, How::CorruptState];

    /// Its word, for people and commands.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            How::Panic => "panic",
            How::Hang => "hang",
            How::Exit => "exit",
            How::BadMessage => "bad-message",
            How::DropReply => "drop-reply",
            How::CorruptState => "corrupt-state",
        }
    }

    /// The way with this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        How::ALL.into_iter().find(|how| how.word() == word)
    }
}

impl std::fmt::Display for How {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}
