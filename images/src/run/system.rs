//! What a person can see of a running image and do to it, on whatever platform it runs.
//!
//! Two kinds of image run here: one that is a process of this machine ([`Here`](super::here::Here)), and one on an emulated board
//! ([`OnBoard`](super::board::OnBoard)). Times are platform time in nanoseconds.

use std::time::Duration;

use koboshi_core::ComponentId;
use koboshi_core::incident::Incident;
use koboshi_core::kernel::Denied;
use koboshi_core::life::State;
use koboshi_core::place::Place;
use koboshi_host::application::Announcement;
use koboshi_host::strike::How;
use koboshi_host::wire::{LineEvent, LineSettings};

use super::protocol::Process;

/// Why a run is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// Its time has come, or `koboshi stop` was said.
    Asked,
    /// Components give each other turns without end.
    Circle(String),
    /// The emulator has ended, and what it had to say.
    Ended(String),
}

/// What went through a program's end of a line.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    /// Bytes that were taken of those that were offered.
    pub(crate) taken: usize,
    pub(crate) arrived: Vec<u8>,
    /// What the program was told, each with the number of bytes before it.
    pub(crate) announced: Vec<(u64, Announcement)>,
    /// The line was given up.
    pub(crate) gone: bool,
}

/// What went through the outside end of a line.
#[derive(Debug, Default)]
pub(crate) struct CarriedOutside {
    pub(crate) taken: usize,
    pub(crate) arrived: Vec<u8>,
    pub(crate) events: Vec<LineEvent>,
    /// Bytes that were sent and never arrived.
    pub(crate) lost: u64,
}

/// How far a package on its way into a component's place is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Loading {
    /// So many bytes have come to where it is judged.
    Sent { bytes: usize, of: usize },
    /// It was refused, or nobody could take it: what, and what would be right.
    Refused { what: String, remedy: String },
    /// It was let in, and the swap commanded: the package, in words.
    Commanded { what: String },
}

/// Why something came to no good end: what, and what would be right.
pub(crate) type Failed = (String, String);

/// A running image. Devices are named as in the image; of one that is not there nothing comes.
pub(crate) trait System {
    fn now(&self) -> u64;
    /// Lets it run until then.
    ///
    /// # Errors
    /// Why it cannot go on.
    fn run_until(&mut self, until: u64) -> Result<(), Over>;
    /// What there is to say to people since this was last asked: when, and what.
    fn said(&mut self) -> Vec<(u64, String)>;
    /// Panics that nobody asked for, since this was last asked.
    fn panics(&mut self) -> Vec<String>;
    /// For how long it was held up so far.
    fn stalled(&self) -> Duration;
    /// For how long it has not answered, if that is too long: what is wanted of it waits.
    fn silent(&self) -> Option<Duration>;
    fn processes(&self) -> Vec<Process>;
    fn state(&self, id: ComponentId) -> State;
    /// How many incidents there were.
    fn incident_count(&self) -> u32;
    /// The first incident with this number or a later one that is remembered.
    fn incident_from(&self, number: u32) -> Option<Incident>;
    /// Whether what the component of this incident keeps was whole; `Some(None)`: it keeps nothing; `None`: nobody knows.
    fn kept_at(&self, number: u32) -> Option<Option<bool>>;
    /// Knocks a component over: it falls when it next does something.
    fn knock(&mut self, id: ComponentId, how: How);
    /// Where the incarnation of this incident was, in words; `None`: that is not known, or says nothing.
    fn place_of(&self, incident: &Incident) -> Option<String>;
    /// What the processor held then: R0 to R15 of a board.
    fn registers_of(&self, incident: &Incident) -> Option<[u32; 16]>;
    /// Gives a component a turn: it may have nothing to do.
    fn wake(&mut self, id: ComponentId);
    /// Ends an incarnation.
    fn end(&mut self, id: ComponentId);
    /// Starts a component that was stopped or given up.
    ///
    /// # Errors
    /// It cannot be started now.
    fn start(&mut self, id: ComponentId) -> Result<(), Denied>;

    /// Begins to put a package in a component's place: whoever judges it commands the swap. `one_way`: even if there is no way
    /// back.
    ///
    /// # Errors
    /// It cannot begin: what, and what would be right.
    fn load(&mut self, id: ComponentId, package: Vec<u8>, one_way: bool) -> Result<(), Failed>;
    /// How far the last one is; its end is told once.
    fn loading(&mut self) -> Option<Loading>;
    /// Whether a component's swap is not over: what was asked for, or is on probation, as far as that is known.
    fn swap_is_under_way(&self, id: ComponentId) -> bool;
    /// The component for which a package is on its way.
    fn brings(&self) -> Option<ComponentId>;
    /// Asks for the version before to take a component's place; gives the number of the question.
    ///
    /// # Errors
    /// It cannot, as is known at once.
    fn back(&mut self, id: ComponentId) -> Result<u32, Denied>;
    /// What became of that question, once. `None`: nobody has answered yet.
    fn asked_back(&mut self, question: u32) -> Option<Result<(), Failed>>;

    /// Carries bytes through a program's end; what has arrived is taken if `takes`.
    fn program(&mut self, device: &str, offered: &[u8], takes: bool) -> Carried;
    fn set_program_line(&mut self, device: &str, baud: u32, framing: u32);
    /// Whether all that the program has sent was taken from its end.
    fn program_is_drained(&mut self, device: &str) -> bool;
    /// Whether the line is set as the program last wanted, and not given up.
    fn program_may_send(&mut self, device: &str) -> bool;

    /// Carries bytes through an outside end; `holds`: its chip is to wait, if the line has flow control.
    fn outside(&mut self, device: &str, offered: &[u8], holds: bool) -> CarriedOutside;
    fn set_outside_line(&mut self, device: &str, settings: LineSettings);
    /// What of these settings this line's outside end, or its program's, cannot have, in words; `None`: it can have all.
    fn lacks(&self, outside: bool, settings: &LineSettings) -> Option<&'static str>;
    fn outside_is_idle(&mut self, device: &str) -> bool;
    /// Whether all that was sent from outside has come to its chip, and not all of it was heard there.
    fn outside_lost_some(&mut self, device: &str) -> bool;

    /// How often the image was rebooted.
    fn reboots(&self) -> u32;
    /// What else must not have happened, one line each. `program`: the device of the program's end.
    fn wrongs(&mut self, program: &str) -> Vec<String>;
}

/// Where a panic was.
pub(super) fn panic_of(place: &Place) -> Option<String> {
    (place.line > 0).then(|| format!("{}:{}", place.file(), place.line))
}
