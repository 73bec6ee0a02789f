//! Faults on purpose: how a person knocks a component over.

/// How a component is knocked over. It falls at its next numbered point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knock {
    /// It panics.
    Panic = 1,
    /// It never comes back to its wait.
    Hang = 2,
    /// Its `run` comes back.
    Exit = 3,
    /// Its next reply is rubbish.
    BadMessage = 4,
    /// Its next reply is never written.
    DropReply = 5,
    /// A bit of the newest copy of its kept state flips, and it panics.
    CorruptState = 6,
}

impl Knock {
    /// All ways.
    pub const ALL: [Knock; 6] =
        [Knock::Panic, Knock::Hang, Knock::Exit, Knock::BadMessage, Knock::DropReply, Knock::CorruptState];

    /// A number that stays the same in every version, for messages: never 0.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The way with this [`Knock::code`].
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        Knock::ALL.into_iter().find(|knock| knock.code() == code)
    }

    /// Its word, for people and commands.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Knock::Panic => "panic",
            Knock::Hang => "hang",
            Knock::Exit => "exit",
            Knock::BadMessage => "bad-message",
            Knock::DropReply => "drop-reply",
            Knock::CorruptState => "corrupt-state",
        }
    }

    /// The way with this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Knock::ALL.into_iter().find(|knock| knock.word() == word)
    }
}

impl core::fmt::Display for Knock {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.word())
    }
}
