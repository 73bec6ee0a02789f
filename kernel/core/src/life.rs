//! A component's life: its state, its epoch, and what ends an incarnation.

use crate::Nanoseconds;

/// Where a component stands in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum State {
    /// Never started.
    #[default]
    Absent,
    /// Started; it has not yet come to its first wait.
    Starting,
    /// Running.
    Running,
    /// Asked to come to a request boundary.
    Quiescing,
    /// Stopped on purpose.
    Stopped,
    /// Its incarnation ended with a fault; nobody has decided yet what follows.
    Failed,
    /// It will be started again, later.
    Backoff,
    /// It will not be started again by itself; its clients get a clear error.
    GivenUp,
}

impl State {
    /// Whether an incarnation lives.
    #[must_use]
    pub const fn alive(self) -> bool {
        matches!(self, State::Starting | State::Running | State::Quiescing)
    }

    /// Whether requests to it end with an error at once.
    #[must_use]
    pub const fn gone(self) -> bool {
        matches!(self, State::Stopped | State::GivenUp)
    }
}

/// What ended an incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Fault {
    /// An access that its rights do not cover.
    Access {
        /// The address, or the offset in the device.
        address: u32,
    },
    /// An instruction that does not exist, or is not for it.
    IllegalInstruction,
    /// It panicked.
    Panic,
    /// A stack ran over.
    Stack,
    /// It was woken and did not come back to its wait in time.
    Stuck,
    /// It used more time than its bound.
    RunAway,
    /// A peer found its message malformed.
    BadMessage,
    /// Its `run` came back.
    Exit,
    /// It was told to end, by a component or a person with that right.
    Told,
    /// A client reported that it is late.
    Late,
    /// Of the whole image: whoever may had it begin anew.
    Rebooted,
    /// Of the whole image: its restart manager died too often.
    ManagerDied,
    /// Of the whole image: the machine was reset, by a fault in the kernel or from outside.
    Reset,
    /// Of the whole image: its watchdog has reset the machine, for the restart manager gave no sign of life any more.
    Watchdog,
    /// Nothing was wrong: another version takes its place.
    Swapped,
}

impl Fault {
    /// A number that stays the same in every version, for messages.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Fault::Access { .. } => 1,
            Fault::IllegalInstruction => 2,
            Fault::Panic => 3,
            Fault::Stack => 4,
            Fault::Stuck => 5,
            Fault::RunAway => 6,
            Fault::BadMessage => 7,
            Fault::Exit => 8,
            Fault::Told => 9,
            Fault::Late => 10,
            Fault::Rebooted => 11,
            Fault::ManagerDied => 12,
            Fault::Reset => 13,
            Fault::Watchdog => 14,
            Fault::Swapped => 15,
        }
    }
}

impl Fault {
    /// Whether it tells why the whole image began anew, and not why one incarnation ended.
    #[must_use]
    pub const fn is_of_the_image(self) -> bool {
        matches!(self, Fault::Rebooted | Fault::ManagerDied | Fault::Reset | Fault::Watchdog)
    }

    /// The fault with this [`Fault::code`]; `address` is that of an access.
    #[must_use]
    pub const fn of_code(code: u8, address: u32) -> Option<Self> {
        Some(match code {
            1 => Fault::Access { address },
            2 => Fault::IllegalInstruction,
            3 => Fault::Panic,
            4 => Fault::Stack,
            5 => Fault::Stuck,
            6 => Fault::RunAway,
            7 => Fault::BadMessage,
            8 => Fault::Exit,
            9 => Fault::Told,
            10 => Fault::Late,
            11 => Fault::Rebooted,
            12 => Fault::ManagerDied,
            13 => Fault::Reset,
            14 => Fault::Watchdog,
            15 => Fault::Swapped,
            _ => return None,
        })
    }
}

impl core::fmt::Display for Fault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Fault::Access { address } => return write!(f, "access to {address:#x}"),
            Fault::IllegalInstruction => "illegal instruction",
            Fault::Panic => "panic",
            Fault::Stack => "stack overflow",
            Fault::Stuck => "stuck",
            Fault::RunAway => "run-away",
            Fault::BadMessage => "bad message",
            Fault::Exit => "exit",
            Fault::Told => "told to",
            Fault::Late => "late",
            Fault::Rebooted => "rebooted",
            Fault::ManagerDied => "restart manager died too often",
            Fault::Reset => "reset",
            Fault::Watchdog => "reset by the watchdog",
            Fault::Swapped => "swapped",
        })
    }
}

/// Why an incarnation begins: what it may find, and what it must do about its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// First life, or a life after a stop: devices are reset.
    Fresh,
    /// After a fault: devices are adopted.
    Recovered,
    /// After a swap: devices are adopted.
    Updated,
}

/// Starts and fruitless deaths that are remembered: enough for an intensity of 8 and a rate cap over 16 starts.
pub const HISTORY: usize = 16;

/// A short history of times, the newest overwriting the oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct History {
    times: [Nanoseconds; HISTORY],
    count: u32,
}

impl History {
    /// Nothing has happened.
    pub const EMPTY: History = History { times: [0; HISTORY], count: 0 };

    /// Adds a time.
    pub fn add(&mut self, at: Nanoseconds) {
        if let Some(time) = self.times.get_mut(self.count as usize % HISTORY) {
            *time = at;
        }
        self.count = self.count.wrapping_add(1);
    }

    /// How many were ever added.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The times, as they lie, for whoever carries a history to another place.
    #[must_use]
    pub const fn times(&self) -> &[Nanoseconds; HISTORY] {
        &self.times
    }

    /// The history that had these [`History::times`] and this [`History::count`].
    #[must_use]
    pub const fn of(times: [Nanoseconds; HISTORY], count: u32) -> Self {
        History { times, count }
    }

    /// Of the last [`HISTORY`], how many lie at or after `since`.
    #[must_use]
    pub fn since(&self, since: Nanoseconds) -> u32 {
        let known = (self.count as usize).min(HISTORY);
        self.times.iter().take(known).filter(|at| **at >= since).count() as u32
    }

    /// The `back`-th last time (0: the last one).
    #[must_use]
    pub fn last(&self, back: u32) -> Option<Nanoseconds> {
        if back >= self.count || back as usize >= HISTORY {
            return None;
        }
        self.times.get(self.count.wrapping_sub(1).wrapping_sub(back) as usize % HISTORY).copied()
    }
}

impl Default for History {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// The facts about a component that the restart manager decides by. They outlive the manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Facts {
    /// Where it stands.
    pub state: State,
    /// Its present or last epoch.
    pub epoch: u32,
    /// Its version is on probation.
    pub on_probation: bool,
    /// What ended its last incarnation.
    pub fault: Option<Fault>,
    /// When that was.
    pub failed_at: Nanoseconds,
    /// Times of its starts.
    pub starts: History,
    /// Times of deaths, but those on purpose, of incarnations that had neither answered nor published anything.
    pub fruitless: History,
    /// Fruitless deaths since the last incarnation that made progress.
    pub fruitless_in_a_row: u32,
    /// Since when it has been down because of a fault; `None` while it is up, and once it was stopped or given up.
    pub down_since: Option<Nanoseconds>,
    /// How long that may last.
    pub recover_within: Option<Nanoseconds>,
}

impl Facts {
    /// Whether it is down for longer than it may be.
    #[must_use]
    pub fn overdue(&self, now: Nanoseconds) -> bool {
        let since = self.down_since.zip(self.recover_within);
        since.is_some_and(|(since, within)| now.saturating_sub(since) > within)
    }
}
