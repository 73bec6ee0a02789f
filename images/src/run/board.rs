//! An image on the emulated board, as the supervising side sees it: through its console, which is one of its components.
//!
//! Rule: what is shown was told by the board, a few hundredths of a second ago at most. While its console is down, nothing new
//! is known, and what is wanted of it waits.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use koboshi_board::running::Running;
use koboshi_board::{Delivered, place_of};
use koboshi_console::message::{Ask, Health, Told};
use koboshi_core::ComponentId;
use koboshi_core::incident::{Incident, Successor, Verdict};
use koboshi_core::kernel::Denied;
use koboshi_core::life::State;
use koboshi_host::application::Announcement;
use koboshi_host::image::{DeviceModelKind, Image};
use koboshi_host::strike::How;
use koboshi_host::wire::{LineSettings, Parity};
use koboshi_interfaces::loading::{self, Unable};

use super::protocol::Process;
use super::system::{Carried, CarriedOutside, Failed, Loading, Over, System, panic_of};
use super::{story, swap};

/// How often the board is asked how its components are.
const ASK_EVERY: Duration = Duration::from_millis(25);

/// An answer that has not come after so long was lost with the console that was asked.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// A driver that was just started sets its line within this time.
const SETTLES: Duration = Duration::from_millis(100);

/// Incidents that are asked about again at a time.
const ASKED_AGAIN: usize = 4;

/// How many bytes of a package have to come until that is told.
const TOLD_EACH: usize = 4_096;

/// Incidents that are kept.
const INCIDENTS: usize = 1_000;

/// What was commanded has been told of after so long, in nanoseconds of the board's time.
const TOLD_WITHIN: u64 = 1_000_000_000;

/// An incident that is not over is asked about again for so long, in nanoseconds of the board's time.
const FOLLOWED: u64 = 5_000_000_000;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Health(u8),
    Incident(u32),
    Registers(ComponentId),
    /// The version before, for a component; by this number.
    Back(ComponentId, u32),
    /// About whom, and what was to be done, for people.
    Command(ComponentId, &'static str),
}

/// An image that runs on a board.
pub(crate) struct OnBoard {
    running: Running<Asked>,
    /// With the components' programs.
    folder: PathBuf,
    /// What was held when these incarnations ended.
    registers: BTreeMap<(ComponentId, u32), [u32; 16]>,
    names: Vec<String>,
    /// What runs in each of them, and what is to come back there, as far as that is known.
    versions: Vec<[Version; 2]>,
    /// Incidents of code that is not the image's own.
    of_packages: BTreeSet<u32>,
    /// Whom all questions go to.
    console: ComponentId,
    vcpus: Vec<u8>,
    health: Vec<Option<Health>>,
    incidents: BTreeMap<u32, Incident>,
    /// The next incident that is not known yet.
    next: u32,
    /// The board's time when it was last heard, and when that was; `None`: never.
    heard: Option<(u64, Instant)>,
    /// The same of the first time.
    first: Option<(u64, Instant)>,
    /// What was last said to be the time: it does not go back.
    shown: Cell<u64>,
    asked_at: Option<Instant>,
    /// When all of them were first seen to run.
    up_at: Option<Instant>,
    /// Questions that are not answered.
    open: usize,
    lost: u64,
    said: Vec<(u64, String)>,
    /// The package on its way, in words.
    brings: String,
    /// For which component it is.
    target: ComponentId,
    /// Of which component a swap was commanded last, and when.
    commanded: Option<(ComponentId, u64)>,
    /// How often somebody has asked for a version before, and the answers, by the number of the question.
    backs: u32,
    asked_back: BTreeMap<u32, Result<(), Failed>>,
}

/// Code that runs in a component.
#[derive(Clone)]
struct Version {
    /// For people.
    words: String,
    /// It came with the image, whose programs lie in its folder.
    own: bool,
}

/// Both places of a component's code at first.
fn own(name: &str) -> [Version; 2] {
    let version = Version { words: name.to_owned(), own: true };
    [version.clone(), version]
}

/// The component that has the program's side of a line's end.
fn console_of(image: &Image) -> ComponentId {
    let console = image.devices.iter().find(|device| matches!(device.model, DeviceModelKind::Program(_)));
    console.map_or(ComponentId::IMAGE, |device| device.owner)
}

impl OnBoard {
    /// An image that runs, and where its build left what it made.
    pub(crate) fn new(image: &Image, running: Running<Asked>, folder: PathBuf) -> Self {
        let components = &image.components;
        OnBoard {
            running,
            folder,
            registers: BTreeMap::new(),
            console: console_of(image),
            names: components.iter().map(|component| component.name.clone()).collect(),
            versions: components.iter().map(|component| component.linked.description().name).map(own).collect(),
            of_packages: BTreeSet::new(),
            vcpus: components.iter().map(|component| component.vcpu).collect(),
            health: vec![None; components.len()],
            incidents: BTreeMap::new(),
            next: 0,
            heard: None,
            first: None,
            shown: Cell::new(0),
            asked_at: None,
            up_at: None,
            open: 0,
            lost: 0,
            said: Vec::new(),
            brings: String::new(),
            target: ComponentId::IMAGE,
            commanded: None,
            backs: 0,
            asked_back: BTreeMap::new(),
        }
    }

    /// Carries what can be carried, and asks again what has to be known; whether anything has moved.
    fn turn(&mut self) -> Result<bool, Over> {
        let moved = self.running.turn();
        while let Some(line) = self.running.said() {
            let line = line.strip_prefix("koboshi: ").unwrap_or(&line).to_owned();
            self.said.push((self.now(), story::named(&line, &self.names)));
        }
        let moved = moved.map_err(|ended| {
            let said = ended.complaints.join("; ");
            let last = || self.said.last().map_or_else(String::new, |(_, line)| format!("; its last line: {line}"));
            Over::Ended(if said.is_empty() { format!("it said nothing{}", last()) } else { said })
        })?;
        while let Some((asked, told)) = self.running.answer() {
            self.open = self.open.saturating_sub(1);
            self.note(asked, told);
        }
        let due = self.asked_at.is_none_or(|at| at.elapsed() >= if self.open == 0 { ASK_EVERY } else { ANSWER_WITHIN });
        // While the console is away, what was asked waits: once.
        if due && self.running.is_joined() && !self.running.has_questions() {
            self.ask_all();
        }
        Ok(moved)
    }

    /// Whether the serial interface hears the outside: its driver has come to a first wait some time ago. What is sent to it
    /// before is lost.
    fn listens(&mut self) -> bool {
        let up = |health: &Option<Health>| health.is_some_and(|health| health.state == State::Running);
        if self.up_at.is_none() && self.health.iter().all(up) {
            self.up_at = Some(Instant::now());
        }
        self.up_at.is_some_and(|at| at.elapsed() >= SETTLES)
    }

    /// The board says what its time is.
    fn hear(&mut self, now: u64) {
        self.heard = Some((now, Instant::now()));
        self.first = self.first.or(self.heard);
    }

    fn ask(&mut self, asked: Asked, ask: Ask) {
        self.running.ask(asked, ask);
        self.open += 1;
    }

    fn ask_all(&mut self) {
        self.asked_at = Some(Instant::now());
        self.open = 0;
        for at in 0..self.names.len() as u8 {
            self.ask(Asked::Health(at), Ask::Health(at));
        }
        let now = self.heard.map_or(0, |(at, _)| at);
        let open = self.incidents.values().filter(|incident| {
            let on_probation = incident.swap.is_some_and(|swap| swap.verdict == Verdict::Open);
            let open = incident.cut_short.is_none() && incident.answered_at.is_none();
            on_probation || open && now.saturating_sub(incident.failed_at) < FOLLOWED
        });
        // What is new comes first, and of the others the last ones: the board remembers some dozens only.
        let mut again = vec![self.next];
        again.extend(open.rev().take(ASKED_AGAIN).map(|incident| incident.number));
        again.into_iter().for_each(|number| self.ask(Asked::Incident(number), Ask::Incident(number)));
    }

    /// Takes over which version runs in a component, from what has become known of an incident. `known`: what was known of it.
    fn learn_version(&mut self, known: Option<&Incident>, incident: &Incident) {
        let Some(versions) = self.versions.get_mut(incident.component.index()) else { return };
        if known.is_none() && !versions[0].own {
            self.of_packages.insert(incident.number);
            if self.of_packages.len() > INCIDENTS {
                self.of_packages.pop_first();
            }
        }
        let Some(swap) = incident.swap else { return };
        let is_back = |verdict: Verdict| matches!(verdict, Verdict::PutBack(_));
        let was_back = known.and_then(|known| known.swap).is_some_and(|known| is_back(known.verdict));
        if known.is_none() {
            versions.swap(0, 1);
            if swap.to == Successor::New {
                let words =
                    if self.target == incident.component { self.brings.clone() } else { "a package".to_owned() };
                versions[0] = Version { words, own: false };
            }
        }
        if is_back(swap.verdict) && !was_back {
            versions.swap(0, 1);
        }
    }

    fn note(&mut self, asked: Asked, told: Option<Told>) {
        let Some(told) = told else {
            if let Asked::Back(_, question) = asked {
                let what = "whether the version before was asked for is not known: the console was ended meanwhile";
                let remedy = "look at `koboshi incidents`, and say it again.";
                self.asked_back.insert(question, Err((what.to_owned(), remedy.to_owned())));
            }
            if let Asked::Command(id, what) = asked
                && id != self.console
            {
                let name = self.names.get(id.index()).map_or("?", String::as_str);
                let line = format!("whether {name} was {what} is not known: the console was ended meanwhile");
                self.said.push((self.now(), line));
            }
            return;
        };
        match (asked, told) {
            (Asked::Health(at), Told::Health(health)) => {
                self.hear(health.now);
                if let Some(place) = self.health.get_mut(usize::from(at)) {
                    *place = Some(health);
                }
            }
            (Asked::Incident(number), Told::Incident(now, incident)) => {
                self.hear(now);
                let Some(incident) = incident else { return };
                let found = incident.number;
                if found > number && number < self.next {
                    // The board has forgotten it: how it went on nobody will ever know.
                    self.incidents.remove(&number);
                }
                let known = self.incidents.insert(found, incident);
                self.learn_version(known.as_ref(), &incident);
                if self.incidents.len() > INCIDENTS {
                    self.incidents.pop_first();
                }
                if number == self.next {
                    if incident.component != ComponentId::IMAGE {
                        self.ask(Asked::Registers(incident.component), Ask::Registers(incident.component.0));
                    }
                    // There may be more of them.
                    self.next = found + 1;
                    self.ask(Asked::Incident(self.next), Ask::Incident(self.next));
                }
            }
            (Asked::Registers(who), Told::Registers(Some(found))) => {
                self.registers.insert((who, found.epoch), found.r);
                if self.registers.len() > INCIDENTS {
                    self.registers.pop_first();
                }
            }
            (Asked::Command(..), Told::Done) => {}
            (Asked::Back(id, question), told) => {
                let name = self.names.get(id.index()).map_or("?", String::as_str);
                let answer = match told {
                    Told::Done => {
                        self.commanded = Some((id, self.now()));
                        Ok(())
                    }
                    Told::NotNow(state) => Err(swap::denied(name, Denied::State(state), true)),
                    _ => Err(swap::denied(name, Denied::Right, true)),
                };
                self.asked_back.insert(question, answer);
            }
            (Asked::Command(id, what), told) => {
                let why = match told {
                    Told::NotNow(state) => format!("it is {}", story::state(state)),
                    _ => "the image gives the console no right to do so".to_owned(),
                };
                let name = self.names.get(id.index()).map_or("?", String::as_str);
                self.said.push((self.now(), format!("{name} was not {what}: {why}")));
            }
            _ => {}
        }
    }
}

impl System for OnBoard {
    fn now(&self) -> u64 {
        // A board that is not heard may stand still, as at a breakpoint.
        let Some((told, at)) = self.heard else { return 0 };
        let since = at.elapsed().min(ANSWER_WITHIN).as_nanos() as u64;
        self.shown.set(self.shown.get().max(told.saturating_add(since)));
        self.shown.get()
    }

    fn run_until(&mut self, until: u64) -> Result<(), Over> {
        let until = Instant::now() + Duration::from_nanos(until.saturating_sub(self.now()));
        loop {
            let moved = self.turn()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            if !moved {
                self.running.wait(left);
            }
        }
    }

    fn said(&mut self) -> Vec<(u64, String)> {
        std::mem::take(&mut self.said)
    }

    fn panics(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn stalled(&self) -> Duration {
        // Time that this machine had and the board did not.
        let Some(((first, at), (last, then))) = self.first.zip(self.heard) else { return Duration::ZERO };
        then.duration_since(at).saturating_sub(Duration::from_nanos(last.saturating_sub(first)))
    }

    fn silent(&self) -> Option<Duration> {
        let silent = self.heard.map_or(Duration::MAX, |(_, at)| at.elapsed());
        (silent > ANSWER_WITHIN).then_some(silent)
    }

    fn processes(&self) -> Vec<Process> {
        let one = |(at, name): (usize, &String)| {
            let health = self.health.get(at).copied().flatten();
            Process {
                name: name.clone(),
                package: self.versions.get(at).map_or("", |[runs, _]| runs.words.as_str()).to_owned()
                    + story::on_probation(health.is_some_and(|health| health.on_probation)),
                state: health.map_or("unknown", |health| story::state(health.state)).to_owned(),
                epoch: health.map_or(0, |health| health.epoch),
                vcpu: self.vcpus.get(at).copied().unwrap_or(0),
                restarts: health.map_or(0, |health| health.starts.saturating_sub(1)),
                last_fault: health.and_then(|health| health.fault).map(|fault| fault.to_string()),
                oldest_request: None,
                bytes_in: None,
                bytes_out: None,
            }
        };
        self.names.iter().enumerate().map(one).collect()
    }

    fn state(&self, id: ComponentId) -> State {
        self.health.get(id.index()).copied().flatten().map_or(State::Absent, |health| health.state)
    }

    fn incident_count(&self) -> u32 {
        self.next
    }

    fn incident_from(&self, number: u32) -> Option<Incident> {
        self.incidents.range(number..).next().map(|(_, incident)| *incident)
    }

    fn kept_at(&self, _: u32) -> Option<Option<bool>> {
        None
    }

    fn knock(&mut self, id: ComponentId, how: How) {
        self.ask(Asked::Command(id, "knocked over"), Ask::Knock(id.0, how.code()));
    }

    fn place_of(&self, incident: &Incident) -> Option<String> {
        let at = &incident.at;
        let name = self.names.get(incident.component.index())?;
        // What is not in the program's own source is in what it called: then where that returns to says more.
        if self.of_packages.contains(&incident.number) {
            // Its program is not here.
            let place = panic_of(at).unwrap_or_else(|| "in a package's code".to_owned());
            return Some(format!("{place} (pc {:#010x}, pr {:#010x})", at.pc, at.returns_to));
        }
        let line = |pc| place_of(&self.folder, name, pc).ok().flatten().filter(|place| place.line.file.is_some());
        let source = || Some(line(at.pc).or_else(|| line(at.returns_to))?.to_string());
        let source = panic_of(at).or_else(source).unwrap_or_else(|| "no line is known".to_owned());
        if at.pc == 0 {
            return None;
        }
        let touched = if at.address != 0 { format!(", touched {:#010x}", at.address) } else { String::new() };
        Some(format!("{source} (pc {:#010x}, pr {:#010x}{touched})", at.pc, at.returns_to))
    }

    fn registers_of(&self, incident: &Incident) -> Option<[u32; 16]> {
        self.registers.get(&(incident.component, incident.epoch)).copied()
    }

    fn wake(&mut self, id: ComponentId) {
        self.ask(Asked::Command(id, "woken"), Ask::Wake(id.0));
    }

    fn end(&mut self, id: ComponentId) {
        self.ask(Asked::Command(id, "ended"), Ask::End(id.0));
    }

    fn start(&mut self, id: ComponentId) -> Result<(), Denied> {
        self.ask(Asked::Command(id, "started"), Ask::Start(id.0));
        Ok(())
    }

    fn load(&mut self, id: ComponentId, package: Vec<u8>, _one_way: bool) -> Result<(), Failed> {
        // The loader lets in only what keeps the same, so there is always a way back.
        // Its name is for people; what it is the board judges by itself.
        self.brings = koboshi_package::Package::open(&package)
            .and_then(|package| package.header().map(|header| format!("{} {}", header.name, header.version)))
            .unwrap_or_else(|_| "the package".to_owned());
        self.target = id;
        self.running.bring(loading::ComponentId(id.0), package);
        Ok(())
    }

    fn loading(&mut self) -> Option<Loading> {
        let refused = |what: String, remedy: &str| Loading::Refused { what, remedy: remedy.to_owned() };
        let anew = "say it again.";
        Some(match self.running.brought()? {
            // Not each few bytes: whoever follows is told in steps.
            Delivered::Part(bytes, of) if bytes < of => Loading::Sent { bytes: bytes / TOLD_EACH * TOLD_EACH, of },
            Delivered::Part(bytes, of) => Loading::Sent { bytes, of },
            Delivered::Asked => {
                self.commanded = Some((self.target, self.now()));
                Loading::Commanded { what: self.brings.clone() }
            }
            Delivered::Refused(code, text) if text.is_empty() => refused(
                format!("the package is refused: {code}"),
                "the loader was ended before it could say more; `koboshi inspect PACKAGE --for IMAGE:COMPONENT` does.",
            ),
            Delivered::Refused(_, text) => refused(
                format!("the package is refused: {text}"),
                "`koboshi inspect PACKAGE --for IMAGE:COMPONENT` (and --trust as the image was run) says what to do, and whose fault it is.",
            ),
            Delivered::Unable(unable) => {
                let (what, remedy) = unable_in_words(unable);
                refused(what, remedy)
            }
            Delivered::Nobody => refused(
                "nobody takes packages on this board".to_owned(),
                "give the image a `loader`, connected to its console, as in images/r2d.toml; or, if it has one, look at `koboshi ps`.",
            ),
            Delivered::Silent => {
                refused("the loader did not answer, again and again; nothing was swapped".to_owned(), anew)
            }
            Delivered::Unknown => refused(
                "whether the swap was asked for is not known: who asked was ended meanwhile".to_owned(),
                "look at `koboshi incidents` whether it was; if not, say it again.",
            ),
        })
    }

    fn swap_is_under_way(&self, id: ComponentId) -> bool {
        let health = self.health.get(id.index()).copied().flatten();
        let told = health.map_or(0, |health| health.now);
        // What is known may be older than the command; how much, only the board can say.
        let just_now = self.commanded.is_some_and(|(whose, at)| whose == id && told < at + TOLD_WITHIN);
        just_now || health.is_some_and(|health| health.on_probation || health.state == State::Quiescing)
    }

    fn brings(&self) -> Option<ComponentId> {
        self.running.brings().then_some(self.target)
    }

    fn back(&mut self, id: ComponentId) -> Result<u32, Denied> {
        self.backs += 1;
        self.ask(Asked::Back(id, self.backs), Ask::Back(id.0));
        Ok(self.backs)
    }

    fn asked_back(&mut self, question: u32) -> Option<Result<(), Failed>> {
        let answer = self.asked_back.remove(&question)?;
        // Those before it were asked by somebody who has gone.
        self.asked_back.retain(|other, _| *other > question);
        Some(answer)
    }

    fn program(&mut self, _: &str, offered: &[u8], takes: bool) -> Carried {
        Carried {
            taken: self.running.offer(offered),
            arrived: if takes { self.running.take_received() } else { Vec::new() },
            announced: self
                .running
                .take_announced()
                .into_iter()
                .filter_map(|(at, what)| Some((at, Announcement::numbered(what)?)))
                .collect(),
            gone: self.running.line_is_gone(),
        }
    }

    fn set_program_line(&mut self, _: &str, baud: u32, framing: u32) {
        self.running.set_line(baud, framing);
    }

    fn program_is_drained(&mut self, _: &str) -> bool {
        self.running.has_sent()
    }

    fn program_may_send(&mut self, _: &str) -> bool {
        self.running.line_is_set() && !self.running.line_is_gone()
    }

    fn outside(&mut self, _: &str, offered: &[u8], _holds: bool) -> CarriedOutside {
        let room = if self.listens() { WAITING.saturating_sub(self.running.waiting_outside()) } else { 0 };
        let taken = room.min(offered.len());
        self.running.send_outside(&offered[..taken]);
        let lost = self.running.lost_outside();
        let newly = lost.saturating_sub(std::mem::replace(&mut self.lost, lost));
        CarriedOutside { taken, arrived: self.running.take_received_outside(), events: Vec::new(), lost: newly }
    }

    fn set_outside_line(&mut self, _: &str, settings: LineSettings) {
        // It knows no framing: see `lacks`.
        self.running.set_outside_baud(settings.baud);
    }

    fn lacks(&self, outside: bool, settings: &LineSettings) -> Option<&'static str> {
        // Whole bytes go over the emulator's socket, whatever its chip is set to; and the driver would wait for a CTS for ever.
        let LineSettings { data_bits, parity, stop_bits, flow_control, .. } = *settings;
        if flow_control {
            return Some("RTS/CTS");
        }
        let usual = (data_bits, parity, stop_bits) == (8, Parity::None, 1);
        (outside && !usual).then_some("framing but 8 data bits, no parity and 1 stop bit")
    }

    fn outside_is_idle(&mut self, _: &str) -> bool {
        self.running.waiting_outside() == 0
    }

    fn outside_lost_some(&mut self, device: &str) -> bool {
        self.outside_is_idle(device) && self.running.lost_outside() > 0
    }

    fn reboots(&self) -> u32 {
        0
    }

    fn wrongs(&mut self, _: &str) -> Vec<String> {
        Vec::new()
    }
}

/// What keeps a package from being brought, and what to do.
fn unable_in_words(unable: Unable) -> (String, &'static str) {
    match unable {
        Unable::NoSuch => (
            "the component takes no packages, or the loader is not told of it".to_owned(),
            "write `swappable` into its `[[component]]`, and its name into the loader's `load` in `[rights]`.",
        ),
        Unable::TooLong(most) => {
            (format!("it is longer than any package that a board takes: {most} bytes at most"), "make it smaller.")
        }
        Unable::Busy => (
            "the component cannot be swapped now: its last swap is not over, or it does not run".to_owned(),
            "wait until that version stays, or swap it back (--back).",
        ),
        Unable::Denied => (
            "the board's kernel does not let the loader put code there".to_owned(),
            "write the component's name into the loader's `load` in `[rights]`.",
        ),
        Unable::NoProgram => ("its code is no program of a board".to_owned(), "pack it anew with `koboshi pack`."),
        Unable::Migrates => (
            "it keeps something else than what the image's own version keeps, and a board cannot change that yet"
                .to_owned(),
            "compose a new image with it.",
        ),
        Unable::NotBegun | Unable::NotWhole(_) => ("the package did not come whole".to_owned(), "say it again."),
    }
}

/// Bytes that may wait at the outside end.
const WAITING: usize = 4_096;
