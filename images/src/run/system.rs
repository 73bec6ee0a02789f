//! What a person can see of a running image and do to it, on whatever platform it runs.
//!
//! Two kinds of image run here: one that is a process of this machine ([`Here`]), and one on an emulated board
//! ([`OnBoard`](super::board::OnBoard)). Times are platform time in nanoseconds.

use std::time::Duration;

use koboshi_core::ComponentId;
use koboshi_core::incident::Incident;
use koboshi_core::kernel::{Command, Denied};
use koboshi_core::life::State;
use koboshi_core::place::Place;
use koboshi_host::application::Announcement;
use koboshi_host::image::DeviceModelKind;
use koboshi_host::journal::Event;
use koboshi_host::machine::{Machine, RunEnd};
use koboshi_host::strike::How;
use koboshi_host::wire::{LineEvent, LineSettings};

use super::protocol::Process;
use super::story;

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

/// Bytes that may wait at an outside end.
const WAITING: usize = 4_096;

/// An image that is a process of this machine.
pub(crate) struct Here {
    machine: Machine,
    names: Vec<String>,
    /// The number of the next event of the journal.
    journal: u64,
}

impl Here {
    pub(crate) fn new(machine: Machine, names: Vec<String>) -> Self {
        Here { machine, names, journal: 0 }
    }
}

impl System for Here {
    fn now(&self) -> u64 {
        self.machine.now()
    }

    fn run_until(&mut self, until: u64) -> Result<(), Over> {
        match self.machine.run_until(until) {
            RunEnd::Circle { component } => Err(Over::Circle(component)),
            _ => Ok(()),
        }
    }

    /// Takes over what people want to know of what has happened: not every doorbell.
    fn said(&mut self) -> Vec<(u64, String)> {
        let mut found = Vec::new();
        let journal = self.machine.journal();
        let (dropped, events) = journal.since(self.journal);
        if dropped > 0 {
            found.push((self.machine.now(), format!("... {dropped} events came too fast to be written down")));
        }
        for (number, at, event) in events {
            self.journal = number + 1;
            if !matches!(event, Event::Rang { .. } | Event::Interrupt { .. } | Event::Struck { .. }) {
                found.push((at, story::named(&journal.in_words(event).to_string(), &self.names)));
            }
        }
        found
    }

    fn panics(&mut self) -> Vec<String> {
        self.machine.take_panics()
    }

    fn stalled(&self) -> Duration {
        self.machine.stalled()
    }

    fn silent(&self) -> Option<Duration> {
        None
    }

    fn processes(&self) -> Vec<Process> {
        story::processes(&self.machine, self.names.len())
    }

    fn state(&self, id: ComponentId) -> State {
        self.machine.facts(id).map_or(State::Absent, |facts| facts.state)
    }

    fn incident_count(&self) -> u32 {
        self.machine.incidents(u32::MAX).0
    }

    fn incident_from(&self, number: u32) -> Option<Incident> {
        self.machine.incidents_from(number)
    }

    fn kept_at(&self, number: u32) -> Option<Option<bool>> {
        Some(self.machine.kept_at(number))
    }

    fn knock(&mut self, id: ComponentId, how: How) {
        self.machine.knock(id, how);
    }

    fn place_of(&self, incident: &Incident) -> Option<String> {
        panic_of(&incident.at)
    }

    fn registers_of(&self, _: &Incident) -> Option<[u32; 16]> {
        None
    }

    fn wake(&mut self, id: ComponentId) {
        self.machine.wake(id);
    }

    fn end(&mut self, id: ComponentId) {
        self.machine.kill(id);
    }

    fn start(&mut self, id: ComponentId) -> Result<(), Denied> {
        self.machine.command(id, Command::Start)
    }

    fn program(&mut self, device: &str, offered: &[u8], takes: bool) -> Carried {
        let done = self.machine.application(device, |end| Carried {
            // A line that is gone takes nothing: what was sent stays where it is until it is back.
            taken: end.offer(offered).unwrap_or(0),
            arrived: if takes { end.take_received() } else { Vec::new() },
            announced: end.take_announced(),
            gone: end.failed(),
        });
        done.unwrap_or_default()
    }

    fn set_program_line(&mut self, device: &str, baud: u32, framing: u32) {
        self.machine.application(device, |end| end.set_line(baud, framing));
    }

    fn program_is_drained(&mut self, device: &str) -> bool {
        self.machine.application(device, |end| end.waiting() == 0).unwrap_or(true)
    }

    fn program_may_send(&mut self, device: &str) -> bool {
        self.machine.application(device, |end| end.line_is_set() && !end.failed()).unwrap_or(false)
    }

    fn outside(&mut self, device: &str, offered: &[u8], holds: bool) -> CarriedOutside {
        // Before its driver has set it, or after it was given up, nothing would be heard.
        let listens = self.machine.device(device, DeviceModelKind::listens).unwrap_or(false);
        let done = self.machine.wire(device, |wire| {
            let taken = if listens { WAITING.saturating_sub(wire.waiting()).min(offered.len()) } else { 0 };
            wire.send_bytes(offered[..taken].iter().copied());
            wire.hold(holds);
            CarriedOutside { taken, arrived: wire.take_received(), events: std::mem::take(&mut wire.events), lost: 0 }
        });
        done.unwrap_or_default()
    }

    fn set_outside_line(&mut self, device: &str, settings: LineSettings) {
        self.machine.wire(device, |wire| wire.set_settings(settings));
    }

    fn lacks(&self, _: bool, _: &LineSettings) -> Option<&'static str> {
        None
    }

    fn outside_is_idle(&mut self, device: &str) -> bool {
        self.machine.wire(device, |wire| wire.is_idle()).unwrap_or(true)
    }

    /// Bytes are lost where they can be: in a receiver that was full, or not yet set up.
    fn outside_lost_some(&mut self, device: &str) -> bool {
        let lost = |model: &DeviceModelKind| model.wire().is_some_and(|(wire, _)| wire.is_idle()) && model.lost() > 0;
        self.machine.device(device, lost).unwrap_or(false)
    }

    fn reboots(&self) -> u32 {
        self.machine.reboots()
    }

    fn wrongs(&mut self, program: &str) -> Vec<String> {
        let mut found = Vec::new();
        if self.machine.stale_accesses() > 0 {
            found.push(format!("{} accesses by incarnations that had ended", self.machine.stale_accesses()));
        }
        let misuses = self.machine.application(program, |end| end.misuses()).unwrap_or(0);
        if misuses > 0 {
            found.push(format!("{misuses} accesses that took nothing or gave too much: a fault of the Monitor"));
        }
        found.extend(self.machine.panics().iter().map(|panic| format!("a panic that nobody asked for: {panic}")));
        found
    }
}
