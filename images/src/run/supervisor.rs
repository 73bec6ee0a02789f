//! The supervising side of a running image: its clock, its terminals, and who asks about it.
//!
//! Job: give the machine its time in slices, and between two of them carry bytes, answer questions and write the log. It
//! lives outside of the image, so that nothing that happens to a component reaches it.
//!
//! It must never: decide what becomes of a component. It knocks, ends and starts what a person names; the rest is policy.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use koboshi_core::ComponentId;
use koboshi_core::incident::Incident;
use koboshi_core::kernel::Denied;
use koboshi_core::life::State;
use koboshi_host::image::{DeviceModelKind, Image, ImageDevice};
use koboshi_host::strike::How;
use koboshi_host::wire::LineSettings;
use koboshi_interface_kit::Kind;
use koboshi_interfaces::serial;

use super::directory::RunDirectory;
use super::ends::{End, Side, SpeedMaker};
use super::knock;
use super::protocol::{Answer, Ask, Change, Said, Story};
use super::socket::{Answers, Given, Question, Server};
use super::story::{self, Known};
use super::swap::{self, Following};
use super::system::{Failed, Over, System};
use crate::gate;
use crate::manifest::DeviceKind;
use crate::problem::instead;

/// The machine runs for so long between two looks at terminals and questions: 2 ms are 200 bytes at 1 Mbaud, and 23 at
/// 115,200 baud.
const SLICE: u64 = 2_000_000;

/// Panics that are named again when the run is over.
const PANICS: usize = 20;

/// Who is not up after this time may never be: the run is said to be up without it.
const UP_WITHIN: u64 = 100_000_000;

/// Lines of the log that are kept for who asks later.
const LOG: usize = 10_000;

/// Who follows incidents is told of one that is not over after this time as it is.
const NOT_OVER: u64 = 1_000_000_000;

/// How long those who listen may take to hear the rest when a run is over.
const GOODBYE: Duration = Duration::from_millis(500);

/// How often it is looked whether they have heard more.
const LOOK: Duration = Duration::from_millis(2);

/// Somebody who is told one thing after the other, as fast as they are taken.
struct Listener {
    what: Told,
    /// The next number that is to be told.
    next: u64,
    /// Where it ends; `None`: it goes on with what is still to come.
    until: Option<u64>,
    answers: Answers,
}

/// How far a listener was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// All that there is so far.
    All,
    /// Not yet: it takes more slowly than things happen, and the rest comes at the next look.
    Some,
    /// There will be nothing more to tell, or there is nobody any more.
    Enough,
}

/// What somebody is told.
#[derive(Clone, Copy)]
enum Told {
    Log,
    Incidents,
}

/// A running image, seen from outside.
pub(crate) struct Supervisor<S> {
    system: S,
    known: Known,
    /// For each component, how it can be knocked over.
    ways: Vec<Vec<How>>,
    ends: Vec<End>,
    server: Server,
    listeners: Vec<Listener>,
    swaps: Vec<Following>,
    log: VecDeque<Said>,
    said: u64,
    /// The first panics that nobody asked for, and how many there were.
    panics: (Vec<String>, u64),
    stop: bool,
}

/// The serial interface that serves this component in the end.
pub(crate) fn serial_of(image: &Image, owner: ComponentId) -> Option<&ImageDevice> {
    let mut at = owner;
    // Through those who only forward, and not round in circles.
    for _ in 0..=image.connections.len() {
        let serial = image.devices.iter().find(|device| device.owner == at && device.model.wire().is_some());
        if serial.is_some() {
            return serial;
        }
        let asks = |connection: &&koboshi_host::image::Connection| {
            let (near, interface) = (connection.near.component, connection.interface);
            near == at && interface.kind == Kind::Service && interface.key == serial::INTERFACE.key
        };
        at = image.connections.iter().find(asks)?.far.component;
    }
    None
}

/// How a serial interface's line is set, and the clock from which its speed is made.
fn line_of(serial: &ImageDevice) -> Option<(LineSettings, SpeedMaker)> {
    let (wire, clock) = serial.model.wire()?;
    let uart = matches!(serial.model, DeviceModelKind::Ns16550(_));
    Some((wire.settings(), (if uart { DeviceKind::Ns16550 } else { DeviceKind::Scif }, clock)))
}

impl<S: System> Supervisor<S> {
    /// Opens a terminal for each end of each line of `image`, and names it in the run directory.
    ///
    /// # Errors
    /// What is wrong, and what to do about it.
    pub(crate) fn new(image: &Image, system: S, directory: &RunDirectory) -> Result<Self, Failed> {
        let mut ends = Vec::new();
        let (mut programs, mut outsides) = (0, 0);
        // The other end of a console's line is this process itself.
        let consoles = image.devices.iter().filter(|device| matches!(device.model, DeviceModelKind::Program(_)));
        let taken: Vec<&str> =
            consoles.filter_map(|device| Some(serial_of(image, device.owner)?.name.as_str())).collect();
        for device in &image.devices {
            if taken.contains(&device.name.as_str()) {
                continue;
            }
            let (side, name, settings, clock) = match device.model.wire() {
                None if matches!(device.model, DeviceModelKind::Program(_)) => continue,
                None => {
                    programs += 1;
                    let (settings, clock) = serial_of(image, device.owner).and_then(line_of).unzip();
                    let settings = settings.unwrap_or(LineSettings::at(115_200));
                    (Side::Program, format!("serial{}", programs - 1), settings, clock)
                }
                Some((wire, _)) => {
                    outsides += 1;
                    (Side::Outside, format!("wire{}", outsides - 1), wire.settings(), None)
                }
            };
            let no_terminal = |error: io::Error| {
                let remedy = "are pseudo-terminals available (/dev/ptmx, /dev/pts)?";
                (format!("there is no terminal for {name}: {error}"), remedy.to_owned())
            };
            let mut end = End::open(side, &device.name, name.clone(), settings, clock).map_err(no_terminal)?;
            let named = directory.name_terminal(end.name(), end.terminal());
            end.shown = named.map_err(|refused| (refused.to_string(), refused.remedy()))?;
            ends.push(end);
        }
        ends.sort_by_key(|end| end.side() == Side::Outside);
        let no_socket = |error: io::Error| {
            let path = directory.path().display();
            (
                format!("nobody could ask about this run: no socket in {path}: {error}"),
                "name another --run-dir.".to_owned(),
            )
        };
        let server = Server::listen(&directory.socket()).map_err(no_socket)?;
        let components = &image.components;
        Ok(Supervisor {
            system,
            known: Known::of(image),
            ways: components.iter().map(|component| knock::ways(component.linked.description())).collect(),
            ends,
            server,
            listeners: Vec::new(),
            swaps: Vec::new(),
            log: VecDeque::new(),
            said: 0,
            panics: (Vec::new(), 0),
            stop: false,
        })
    }

    /// The ends of its lines.
    pub(crate) fn ends(&self) -> &[End] {
        &self.ends
    }

    /// The first panics that nobody asked for, and how many there were.
    pub(crate) fn panics(&self) -> (&[String], u64) {
        (&self.panics.0, self.panics.1)
    }

    /// What runs.
    pub(crate) fn system(&self) -> &S {
        &self.system
    }

    /// Runs until everybody has come to a first wait, or for a short time: whoever is told that it is up finds it so. What
    /// programs send meanwhile waits.
    ///
    /// Gives the reason if the run is over already; it is also if `wanted` says so.
    pub(crate) fn begin(&mut self, until: Option<u64>, wanted: impl Fn() -> bool) -> Option<Over> {
        let until = until.unwrap_or(UP_WITHIN).min(UP_WITHIN);
        let all: Vec<ComponentId> = (0..self.known.names.len()).map(|at| ComponentId(at as u8)).collect();
        while self.system.now() < until && !all.iter().all(|id| self.system.state(*id) == State::Running) {
            if self.system.silent().is_some() {
                // It may be held up for long before its first word, by a debugger.
                for question in self.server.waiting() {
                    self.answer(question);
                }
            }
            if self.stop || wanted() {
                return Some(Over::Asked);
            }
            let slice = self.system.now() + SLICE;
            if let Err(over) = self.system.run_until(slice.min(until)) {
                self.read_journal();
                self.tell_listeners();
                return Some(over);
            }
            self.read_journal();
        }
        None
    }

    /// Runs until `until`, until somebody says stop, or until `wanted` says so.
    ///
    /// # Errors
    /// As the system says of a terminal.
    pub(crate) fn run(&mut self, until: Option<u64>, wanted: impl Fn() -> bool) -> io::Result<Over> {
        loop {
            for question in self.server.waiting() {
                self.answer(question);
            }
            for at in 0..self.ends.len() {
                for line in self.ends[at].pump(&mut self.system)? {
                    self.say(self.system.now(), line);
                }
            }
            let now = self.system.now();
            if self.stop || wanted() || until.is_some_and(|until| now >= until) {
                return Ok(Over::Asked);
            }
            let slice = now + SLICE;
            if let Err(over) = self.system.run_until(until.unwrap_or(slice).min(slice)) {
                self.read_journal();
                self.tell_listeners();
                return Ok(over);
            }
            self.read_journal();
            self.tell_listeners();
            let mut swaps = std::mem::take(&mut self.swaps);
            swaps.retain_mut(|swap| swap.goes_on(&mut self.system));
            self.swaps = swaps;
        }
    }

    /// Tells those who listen the rest, and that it is over.
    pub(crate) fn finish(mut self, why: &str) {
        self.stop = true;
        std::mem::take(&mut self.swaps).into_iter().for_each(Following::ends);
        let until = Instant::now() + GOODBYE;
        let mut listeners = std::mem::take(&mut self.listeners);
        loop {
            listeners.retain_mut(|listener| match self.tell(listener) {
                Heard::All => listener.answers.give(Answer::End(why.to_owned())) == Given::Later,
                Heard::Some => true,
                Heard::Enough => false,
            });
            if listeners.is_empty() || Instant::now() >= until {
                break;
            }
            std::thread::sleep(LOOK);
        }
        drop(listeners);
        self.server.finish(until);
    }

    fn say(&mut self, at_ns: u64, text: String) {
        if self.log.len() >= LOG {
            self.log.pop_front();
        }
        self.log.push_back(Said { number: self.said, at_ns, text });
        self.said += 1;
    }

    /// Writes down what has happened meanwhile.
    fn read_journal(&mut self) {
        for (at, text) in self.system.said() {
            self.say(at, text);
        }
        for panic in self.system.panics() {
            self.say(self.system.now(), format!("a panic that nobody asked for: {panic}"));
            self.panics.1 += 1;
            if self.panics.0.len() < PANICS {
                self.panics.0.push(panic);
            }
        }
    }

    fn tell_listeners(&mut self) {
        let mut listeners = std::mem::take(&mut self.listeners);
        listeners.retain_mut(|listener| self.tell(listener) != Heard::Enough);
        self.listeners = listeners;
    }

    /// Tells one of them what is new.
    fn tell(&self, listener: &mut Listener) -> Heard {
        loop {
            if !listener.answers.are_wanted() || listener.until.is_some_and(|until| listener.next >= until) {
                return Heard::Enough;
            }
            let found = match listener.what {
                Told::Log => self.said_from(listener.next),
                Told::Incidents => self.incident_from(listener.next, listener.until.is_none()),
            };
            let Some((number, answer)) = found else {
                return if listener.until.is_none() { Heard::All } else { Heard::Enough };
            };
            match listener.answers.give(answer) {
                Given::Sent => listener.next = number + 1,
                Given::Later => return Heard::Some,
                Given::Gone => return Heard::Enough,
            }
        }
    }

    /// The line of the log with this number or, if that is not kept any more, one that says so.
    fn said_from(&self, number: u64) -> Option<(u64, Answer)> {
        let first = self.log.front()?.number;
        if number < first {
            let text = format!("... {} lines are gone: they came faster than they were read", first - number);
            return Some((first - 1, Answer::Log(Said { number: first - 1, at_ns: self.system.now(), text })));
        }
        let said = self.log.get(usize::try_from(number - first).ok()?)?;
        Some((number, Answer::Log(said.clone())))
    }

    /// The first incident from this number on; for one who follows, only once it is over, or the run is.
    fn incident_from(&self, number: u64, follows: bool) -> Option<(u64, Answer)> {
        let incident = self.system.incident_from(u32::try_from(number).ok()?)?;
        let over = self.stop || incident.answered_at.is_some() || incident.cut_short.is_some();
        let open = !over && self.system.now().saturating_sub(incident.failed_at) < NOT_OVER;
        if follows && open {
            return None;
        }
        Some((incident.number.into(), Answer::Incident(Box::new(self.story(&incident)))))
    }

    fn story(&self, incident: &Incident) -> Story {
        let found = story::Found {
            now: self.system.now(),
            kept_state_whole: self.system.kept_at(incident.number),
            place: self.system.place_of(incident),
            registers: self.system.registers_of(incident),
        };
        story::of(incident, found, &self.known)
    }

    fn answer(&mut self, question: Question) {
        let Question { ask, answers } = question;
        let answer = match ask {
            Ask::Ps {} => Ok(Answer::Ps(self.system.processes())),
            Ask::Incidents { number: Some(number), .. } => self.incident(number),
            Ask::Incidents { number: None, follow } => {
                let until = (!follow).then_some(self.system.incident_count().into());
                self.listeners.push(Listener { what: Told::Incidents, next: 0, until, answers });
                return;
            }
            Ask::Log { follow } => {
                let next = self.log.front().map_or(self.said, |said| said.number);
                self.listeners.push(Listener { what: Told::Log, next, until: (!follow).then_some(self.said), answers });
                return;
            }
            Ask::Kill { component, how } => self.kill(&component, &how),
            Ask::Restart { component } => self.restart(&component),
            Ask::Swap { component, package, one_way } => {
                // Of one who waits it is made at once.
                let since = self.system.incident_count();
                match self.swap(&component, package.as_deref(), one_way) {
                    Ok((id, question)) => {
                        self.swaps.push(match question {
                            None => Following::loading(id, &component, answers, since),
                            Some(question) => Following::back(id, &component, answers, since, question),
                        });
                        return;
                    }
                    Err(refusal) => Err(refusal),
                }
            }
            Ask::Line { end, change } => self.line(end.as_deref(), &change),
            Ask::Stop {} => {
                self.stop = true;
                Ok(Answer::Done("the run ends".to_owned()))
            }
        };
        // A client that is gone is told nothing.
        answers.give(answer.unwrap_or_else(|Refusal { what, remedy, later }| Answer::Error { what, remedy, later }));
    }

    fn incident(&self, number: u32) -> Result<Answer, Refusal> {
        let found = self.system.incident_from(number).filter(|incident| incident.number == number);
        let incident = found.ok_or_else(|| {
            let count = self.system.incident_count();
            let remedy = match (count, self.system.incident_from(0)) {
                (1.., Some(first)) => {
                    format!("there are {} to {}: `koboshi incidents` lists them.", first.number, count - 1)
                }
                _ => {
                    let somebody = self.known.names.last().map_or("NAME", String::as_str);
                    format!("there was none so far; `koboshi kill {somebody}` makes one.")
                }
            };
            Refusal::new(format!("there is no incident {number}"), remedy)
        })?;
        Ok(Answer::Incident(Box::new(self.story(&incident))))
    }

    fn named(&self, name: &str) -> Result<ComponentId, Refusal> {
        let place = self.known.names.iter().position(|known| known == name);
        place.map(|at| ComponentId(at as u8)).ok_or_else(|| {
            let names = self.known.names.iter().map(String::as_str);
            Refusal::new(format!("there is no component `{name}` in this image"), instead(name, names))
        })
    }

    fn kill(&mut self, component: &str, how: &str) -> Result<Answer, Refusal> {
        let id = self.named(component)?;
        let known = How::named(how).ok_or_else(|| {
            let words = How::ALL.map(How::word);
            Refusal::new(format!("nobody can be knocked over by `{how}`"), instead(how, words))
        })?;
        if !self.ways.get(id.index()).is_some_and(|ways| ways.contains(&known)) {
            return Err(Refusal::new(
                format!("`{component}` cannot be knocked over by `{how}`"),
                knock::NEEDS.to_owned(),
            ));
        }
        self.answers_at_all()?;
        if !self.system.state(id).alive() {
            let remedy = format!("wait until it runs again, or start it with `koboshi restart {component}`.");
            return Err(Refusal { later: true, ..Refusal::new(format!("`{component}` is down already"), remedy) });
        }
        self.system.knock(id, known);
        // It may have nothing to do.
        self.system.wake(id);
        Ok(Answer::Done(match known {
            How::BadMessage => format!("{component}: its next reply is rubbish"),
            How::DropReply => format!("{component}: its next reply is never written"),
            How::Panic | How::Hang | How::Exit | How::CorruptState => format!("{component} is knocked over: {how}"),
        }))
    }

    /// Whether what is wanted of the system can be done now.
    fn answers_at_all(&self) -> Result<(), Refusal> {
        let Some(silent) = self.system.silent() else { return Ok(()) };
        let what = match silent {
            Duration::MAX => "the board has not answered yet".to_owned(),
            _ => format!("the board has not answered for {} s", silent.as_secs()),
        };
        let remedy = "is it held up, or at a breakpoint? Say it again when `koboshi log` goes on.".to_owned();
        Err(Refusal { later: true, ..Refusal::new(what, remedy) })
    }

    fn restart(&mut self, component: &str) -> Result<Answer, Refusal> {
        let id = self.named(component)?;
        self.answers_at_all()?;
        let done = match self.system.state(id) {
            State::Starting | State::Running | State::Quiescing => {
                self.system.end(id);
                Ok("is ended, and starts again")
            }
            State::Failed | State::Backoff => {
                return Ok(Answer::Done(format!("{component} is being restarted already")));
            }
            State::Absent | State::Stopped | State::GivenUp => self.system.start(id).map(|()| "is started"),
        };
        match done {
            Ok(what) => Ok(Answer::Done(format!("{component} {what}"))),
            Err(Denied::State(_) | Denied::Unknown | Denied::Right) => {
                let remedy = "look at it with `koboshi ps`, and say it again.".to_owned();
                Err(Refusal::new(format!("`{component}` cannot be started as it is now"), remedy))
            }
        }
    }

    /// Begins to put a package, or the version before, in a component's place; of that, the number of the question.
    fn swap(
        &mut self,
        component: &str,
        package: Option<&Path>,
        one_way: bool,
    ) -> Result<(ComponentId, Option<u32>), Refusal> {
        let id = self.named(component)?;
        self.answers_at_all()?;
        // Somebody who has gone may have left one on its way.
        let brings = self.system.brings().and_then(|id| self.known.names.get(id.index())).map(String::as_str);
        if let (Some(_), Some(other)) = (package, self.swaps.first().map(Following::name).or(brings)) {
            let remedy = format!("wait until it is over, or say `koboshi swap {other} --back` once it is there.");
            let what = format!("a swap of `{other}` is under way, and packages come one at a time");
            return Err(Refusal { later: true, ..Refusal::new(what, remedy) });
        }
        let Some(path) = package else {
            let done = self.system.back(id).map_err(|denied| swap::denied(component, denied, true));
            return done.map(|question| (id, Some(question))).map_err(|(what, remedy)| Refusal::new(what, remedy));
        };
        let bytes = gate::read(path).map_err(|error| {
            let what = format!("the package {} cannot be read: {error}", path.display());
            Refusal::new(what, "name a file that `koboshi pack` has made.".to_owned())
        })?;
        let begun = self.system.load(id, bytes, one_way);
        begun.map(|()| (id, None)).map_err(|(what, remedy)| Refusal::new(what, remedy))
    }

    fn line(&mut self, name: Option<&str>, change: &Change) -> Result<Answer, Refusal> {
        let Some(name) = name else {
            if *change != Change::default() {
                let names: Vec<&str> = self.ends.iter().map(End::name).collect();
                let remedy = format!("name it: {}.", names.join(", "));
                return Err(Refusal::new("it is not said which end of a line is to be changed".to_owned(), remedy));
            }
            return Ok(Answer::Lines(self.ends.iter().map(End::shows).collect()));
        };
        let Some(at) = self.ends.iter().position(|end| end.name() == name) else {
            let names = self.ends.iter().map(End::name);
            return Err(Refusal::new(format!("no line of this image has an end `{name}`"), instead(name, names)));
        };
        let end = &mut self.ends[at];
        end.change(&mut self.system, change).map_err(|(what, remedy)| Refusal::new(what, remedy))?;
        Ok(Answer::Lines(vec![end.shows()]))
    }
}

/// Why something is not done, and what would be right.
struct Refusal {
    what: String,
    remedy: String,
    /// It is no mistake: the same may be possible in a moment.
    later: bool,
}

impl Refusal {
    const fn new(what: String, remedy: String) -> Self {
        Refusal { what, remedy, later: false }
    }
}
