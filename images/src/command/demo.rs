//! `koboshi demo`: a file goes both ways over a serial line, while the components that carry it are knocked over.
//!
//! The rule: the verdict is over bytes, each compared with its own place in the file, and over what was announced. It
//! must never call a run exact in which anything was lost, repeated, changed or announced as doubtful.

mod shown;
mod swaps;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use koboshi_core::ComponentId;
use koboshi_core::incident::Incident;
use koboshi_host::application::Announcement;
use koboshi_host::image::{DeviceModelKind, Image, ImageDevice};
use koboshi_host::machine::{Clock, Machine, Options};
use koboshi_host::strike::How;
use koboshi_package::SecretKey;

use self::shown::{Recovery, Shown};
use self::swaps::Swaps;
use super::engine::Wish;
use super::exact::{Chance, Exact};
use super::on_board::{self, Wishes};
use super::run::trust;
use super::{
    FINE, MISUSED, STOPPED, WRONG, complain, composed, count, key, listen_for_stop, not_built, stop_wanted, time,
};
use crate::Composed;
use crate::compose::board::board_of;
use crate::compose::reachable_speed;
use crate::manifest::{ClockKind, ImageManifest, SerialSettings};
use crate::problem::instead;
use crate::run::ends::announcement;
use crate::run::here::Here;
use crate::run::knock;
use crate::run::supervisor::serial_of;
use crate::run::system::{Carried, CarriedOutside, Over, System};
use crate::units::Quantity;

pub(super) const AFTER_HELP: &str = "Examples:
  koboshi demo                                 256 KiB both ways, a knock every 100 ms
  koboshi demo README.md --every 5ms --seed 7  your own file, and many more knocks
  koboshi demo --how hang --whom driver        the driver only, and only hangs
  koboshi demo --swap-every 50ms --every 1s    the driver is swapped under traffic, too
  koboshi demo --engine wasm --how hang        real endless loops, of components that an interpreter runs
  koboshi demo --flow none --baud 1000000      too fast for a recovery: see what is lost announced

Exit codes:
  0    every byte arrived once, in order, both ways
  1    something did not, or nothing moved any more
  2    the command was not used as it can be
  70   a component looped; it cannot be stopped on this platform
  130  stopped by Ctrl-C; the table shows what was done so far";

/// Bytes that are sent each way if no file is named.
const USUAL_LENGTH: usize = 256 << 10;

/// The largest file that is sent.
const MOST_LENGTH: u64 = 1 << 30;

/// The machine runs for so long between two looks at what arrived: 2 ms are at most 200 bytes at 1 Mbaud.
const SLICE: u64 = 2_000_000;

/// When nothing has moved for so long, nothing will: the longest wait inside, a held line, ends after 5 s.
const STUCK_AFTER: u64 = 15_000_000_000;

/// When the device says that it lost bytes, and nothing has moved for so long, they are not waited for any more.
const LOST_AFTER: u64 = 1_000_000_000;

/// A component that keeps the processor for longer than this loops: the watchdog names it and ends the demo.
const PATIENCE: Duration = Duration::from_secs(10);

/// Incidents that may still be under way when a later one begins: as many as are looked at again.
const UNDER_WAY: u32 = 64;

/// Announcements that are shown.
const DOUBTS: usize = 10;

/// After the last byte the run goes on for so long, to see whether one comes twice.
const GRACE: u64 = 50_000_000;

/// How often the live lines are drawn.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// Arguments of `koboshi demo`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to send [default: 256 KiB made from the seed]
    file: Option<PathBuf>,
    /// Speed of the line, such as 115200 or 1Mbaud [default: the image's]
    #[arg(long, value_parser = speed, value_name = "N")]
    baud: Option<u64>,
    /// A knock comes so often, give or take a half
    #[arg(long, value_parser = time, value_name = "TIME", default_value = "100ms")]
    every: u64,
    /// How components are knocked over
    #[arg(long, value_enum, default_value_t = Ways::Mixed)]
    how: Ways,
    /// Who is knocked over: names of components, or all
    #[arg(long, value_delimiter = ',', value_name = "NAME", default_value = "driver,sos,restart-manager")]
    whom: Vec<String>,
    /// The versions that may take the driver's place take it in turn, this often
    #[arg(long, value_parser = time, value_name = "TIME")]
    swap_every: Option<u64>,
    /// Decides who falls when and how, and makes the bytes to send
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Send the file again and again for so long
    #[arg(long = "for", value_parser = time, value_name = "TIME")]
    lasting: Option<u64>,
    /// Flow control of the line [default: the image's]
    #[arg(long, value_enum)]
    flow: Option<FlowControl>,
    /// Boot this image instead of the one that is built in
    #[arg(long, value_name = "PATH")]
    image: Option<PathBuf>,
    #[command(flatten)]
    board: Wishes,
    #[command(flatten)]
    engine: Wish,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Real time, or as fast as it goes with the same result each time [default: the image's]
    #[arg(long, value_enum)]
    clock: Option<ClockName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Ways {
    /// Each time another one
    Mixed,
    /// It panics
    Panic,
    /// It never comes back to its wait
    Hang,
    /// It returns, though it should not
    Exit,
    /// Its next reply is rubbish
    BadMessage,
    /// Its next reply is never written
    DropReply,
    /// A bit of its kept state flips, and it panics
    CorruptState,
}

impl Ways {
    fn wanted(self, how: How) -> bool {
        match self {
            Ways::Mixed => true,
            Ways::Panic => how == How::Panic,
            Ways::Hang => how == How::Hang,
            Ways::Exit => how == How::Exit,
            Ways::BadMessage => how == How::BadMessage,
            Ways::DropReply => how == How::DropReply,
            Ways::CorruptState => how == How::CorruptState,
        }
    }
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FlowControl {
    /// A receiver that is full loses bytes
    None,
    /// The hardware holds the sender
    RtsCts,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ClockName {
    /// As the clock on the wall
    Real,
    /// Time jumps from event to event
    Virtual,
}

fn speed(text: &str) -> Result<u64, String> {
    let speed = text.parse().or_else(|_| Quantity::Speed.read(text));
    match speed {
        Ok(0) => Err("it must be more than nothing".to_owned()),
        Ok(speed) if speed > 10_000_000 => Err("it is at most 10,000,000".to_owned()),
        Ok(speed) => Ok(speed),
        Err(why) => Err(format!("{why}; write it as in 115200 or 1Mbaud")),
    }
}

/// Runs the demo, and gives its exit code.
pub(super) fn run(arguments: &Arguments) -> i32 {
    let file = match read(arguments) {
        Ok(file) => file,
        Err(code) => return code,
    };
    // As it is, to know whose line is meant.
    let plain = match composed(arguments.image.as_ref(), &|_| {}) {
        Ok(plain) => plain,
        Err(code) => return code,
    };
    let Some((_, line)) = line_of(&plain.image) else {
        let remedy =
            "add `[[device]]` of kind \"scif\" or \"ns16550\" and one of kind \"application\", as in images/host.toml.";
        complain("this image has no line with a program's end and an outside end.", remedy);
        return WRONG;
    };
    let key = match arguments.swap_every.map(|_| key::random()).transpose() {
        Ok(key) => key,
        Err(trouble) => return not_built(&trouble),
    };
    let change = |image: &mut ImageManifest| {
        trust(image, key.as_ref().map(SecretKey::public).as_slice());
        for device in image.devices.iter_mut().filter(|device| device.name.value == line.name) {
            if let Some(SerialSettings { baud, flow, .. }) = device.settings.serial_mut() {
                baud.value = arguments.baud.unwrap_or(baud.value);
                *flow = arguments.flow.map_or(*flow, |wanted| matches!(wanted, FlowControl::RtsCts));
            }
        }
    };
    if let Some(code) = unreachable_speed(arguments, &plain, &line.name) {
        return code;
    }
    let mut image = match composed(arguments.image.as_ref(), &change) {
        Ok(image) => image,
        Err(code) => return code,
    };
    let board = board_of(image.manifest.platform);
    let wishes = match board {
        Some(_) => arguments.engine.refuse_on_board(),
        None => arguments.board.refuse_here(),
    };
    if let Err(code) = wishes {
        return code;
    }
    let targets = match targets(arguments, &image) {
        Ok(targets) => targets,
        Err(code) => return code,
    };
    listen_for_stop();
    let swaps = arguments.swap_every.zip(key).map(|(every, key)| Swaps::prepare(every, &key, &image, line)).transpose();
    let swaps = match swaps {
        Ok(swaps) => swaps,
        Err(trouble) => return not_built(&trouble),
    };
    let ran = match (board, &arguments.image) {
        (Some(board), Some(path)) => on_board::start(path, &image, board, arguments.board)
            .and_then(|system| Demo::new(arguments, &image, system, Clock::Real, file, (targets, swaps)))
            .map(Demo::run),
        _ => arguments
            .engine
            .fulfil(arguments.image.as_ref(), &mut image)
            .and_then(|()| here(arguments, &image))
            .and_then(|(system, clock)| Demo::new(arguments, &image, system, clock, file, (targets, swaps)))
            .map(Demo::run),
    };
    ran.unwrap_or_else(|code| code)
}

/// The program's end of a line, and the serial interface at its other end.
fn line_of(image: &Image) -> Option<(&ImageDevice, &ImageDevice)> {
    let program = image.devices.iter().find(|device| matches!(device.model, DeviceModelKind::Application(_)))?;
    Some((program, serial_of(image, program.owner)?))
}

/// The image as a process of this machine, and its clock.
fn here(arguments: &Arguments, composed: &Composed) -> Result<(Here, Clock), i32> {
    let clock = match arguments.clock {
        Some(ClockName::Real) => Clock::Real,
        Some(ClockName::Virtual) => Clock::Virtual,
        None if composed.clock == ClockKind::Virtual => Clock::Virtual,
        None => Clock::Real,
    };
    let image = &composed.image;
    let options = Options { clock, watchdog: Some(PATIENCE), ..Options::default() };
    let machine = Machine::new(image, options).map_err(|error| {
        complain(&format!("the image cannot run: {error}."), "look at it with `koboshi check`.");
        WRONG
    })?;
    Ok((Here::new(machine, composed), clock))
}

/// Says so if the image's serial interface cannot make the speed that is wanted; the exit code then.
fn unreachable_speed(arguments: &Arguments, composed: &Composed, line: &str) -> Option<i32> {
    let baud = arguments.baud?;
    let device = composed.manifest.devices.iter().find(|device| device.name.value == line)?;
    let clock = device.settings.serial()?.clock.value;
    let nearest = reachable_speed(device.settings.kind(), clock, baud).err()?;
    let clock = Quantity::Frequency.write(clock);
    complain(
        &format!("--baud {baud}: a serial interface with a clock of {clock} cannot make this speed."),
        &format!("the nearest that it can make is --baud {nearest}."),
    );
    Some(MISUSED)
}

/// The bytes to send.
fn read(arguments: &Arguments) -> Result<Rc<[u8]>, i32> {
    let Some(path) = &arguments.file else {
        return Ok(Chance(arguments.seed).bytes(USUAL_LENGTH).into());
    };
    let cannot = |why: &str, remedy: &str| {
        complain(&format!("{} cannot be sent: {why}.", path.display()), remedy);
        Err(MISUSED)
    };
    match length_of(path) {
        Err(error) => cannot(&error.to_string(), "name a file that you may read, or none to send 256 KiB of chance."),
        Ok(None) => cannot("it is a directory", "name a file in it, or none to send 256 KiB of chance."),
        Ok(Some(length)) if length > MOST_LENGTH => cannot("it is larger than 1 GiB", "name a smaller one."),
        Ok(Some(_)) => match std::fs::read(path) {
            Ok(bytes) if bytes.is_empty() => cannot("it is empty", "name a file with at least one byte in it."),
            Ok(bytes) => Ok(bytes.into()),
            Err(error) => cannot(&error.to_string(), "name a file that you may read."),
        },
    }
}

fn length_of(path: &Path) -> std::io::Result<Option<u64>> {
    let found = std::fs::metadata(path)?;
    Ok((!found.is_dir()).then_some(found.len()))
}

/// A time with two digits that count: nobody waits for a microsecond.
fn roughly(time: u64) -> String {
    let step = 10_u64.pow(time.checked_ilog10().unwrap_or(0).saturating_sub(1));
    Quantity::Time.write(time / step * step)
}

/// Somebody to knock over, and the ways in which that can be done.
struct Target {
    id: ComponentId,
    ways: Vec<How>,
}

fn targets(arguments: &Arguments, composed: &Composed) -> Result<Vec<Target>, i32> {
    let components = &composed.image.components;
    let mut targets = Vec::new();
    for (at, component) in components.iter().enumerate() {
        if !arguments.whom.iter().any(|name| name == "all" || *name == component.name) {
            continue;
        }
        let possible = knock::ways(component.linked.description());
        let ways: Vec<How> = possible.into_iter().filter(|how| arguments.how.wanted(*how)).collect();
        if !ways.is_empty() {
            targets.push(Target { id: ComponentId(at as u8), ways });
        }
    }
    let names: Vec<&str> = components.iter().map(|component| component.name.as_str()).chain(["all"]).collect();
    if let Some(unknown) = arguments.whom.iter().find(|name| !names.contains(&name.as_str())) {
        let defaulted = arguments.image.is_some();
        let remedy = if defaulted { format!("--whom: {}", instead(unknown, names)) } else { instead(unknown, names) };
        complain(&format!("there is no component `{unknown}` to knock over in this image."), &remedy);
        return Err(MISUSED);
    }
    if targets.is_empty() {
        complain("nobody of these can be knocked over in this way.", knock::NEEDS);
        return Err(MISUSED);
    }
    Ok(targets)
}

/// One direction of the line.
struct Way {
    exact: Exact,
    sent: u64,
    bar: ProgressBar,
    arrived_at: u64,
    longest_pause: u64,
}

impl Way {
    fn arrived(&mut self, bytes: &[u8], now: u64) -> bool {
        if bytes.is_empty() {
            return false;
        }
        self.exact.feed(bytes);
        self.bar.set_position(self.exact.arrived);
        self.longest_pause = self.longest_pause.max(now - self.arrived_at);
        self.arrived_at = now;
        true
    }
}

/// Why the run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Arrived,
    Stuck,
    Circle,
    /// The emulator has ended.
    Ended,
    Stopped,
}

struct Demo<'a, S> {
    arguments: &'a Arguments,
    system: S,
    names: Vec<String>,
    program: String,
    serial: String,
    baud: u64,
    flow: bool,
    file: Rc<[u8]>,
    targets: Vec<Target>,
    swaps: Option<Swaps>,
    chance: Chance,
    knocks: u64,
    /// The first package that was refused, and why: there should be none.
    refused: Option<String>,
    incidents: BTreeMap<u32, Incident>,
    out: Way,
    back: Way,
    /// What the program was told: that what it sent may not have gone out, and all else.
    announced: (u64, u64),
    /// The first of them, in words.
    doubts: Vec<String>,
    /// What the outside end heard that was no good byte.
    garbled: u64,
    status: ProgressBar,
    clock: Clock,
    began: Instant,
}

impl<'a, S: System> Demo<'a, S> {
    fn new(
        arguments: &'a Arguments,
        composed: &Composed,
        system: S,
        clock: Clock,
        file: Rc<[u8]>,
        (targets, swaps): (Vec<Target>, Option<Swaps>),
    ) -> Result<Self, i32> {
        let image = &composed.image;
        let (program, serial) = line_of(image).ok_or(WRONG)?;
        let manifest = composed.manifest.devices.iter().find(|device| device.name.value == serial.name);
        let line = manifest.and_then(|device| device.settings.serial()).map(|serial| (serial.baud.value, serial.flow));
        let (baud, flow) = line.unwrap_or((1, false));
        let target = if arguments.json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bars = MultiProgress::with_draw_target(target);
        let expected = arguments.lasting.map_or(file.len() as u64, |time| baud * time / 10_000_000_000);
        let bar = |name: &'static str| {
            let style = "{prefix:20} {bar:30} {bytes:>11} of {total_bytes} {binary_bytes_per_sec:>14}";
            let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
            bars.add(ProgressBar::new(expected).with_style(style).with_prefix(name))
        };
        let way = |name| Way { exact: Exact::new(&file), sent: 0, bar: bar(name), arrived_at: 0, longest_pause: 0 };
        let (out, back) = (way("program -> outside"), way("outside -> program"));
        let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let status = bars.add(ProgressBar::new_spinner().with_style(style));
        Ok(Demo {
            arguments,
            system,
            names: image.components.iter().map(|component| component.name.clone()).collect(),
            program: program.name.clone(),
            serial: serial.name.clone(),
            baud,
            flow,
            file,
            targets,
            swaps,
            chance: Chance(!arguments.seed),
            knocks: 0,
            refused: None,
            incidents: BTreeMap::new(),
            out,
            back,
            announced: (0, 0),
            doubts: Vec::new(),
            garbled: 0,
            status,
            clock,
            began: Instant::now(),
        })
    }

    fn run(mut self) -> i32 {
        if !self.arguments.json {
            let flow = if self.flow { "RTS/CTS" } else { "no flow control" };
            let long = match self.arguments.lasting {
                Some(time) => format!("for {}", Quantity::Time.write(time)),
                None => format!("about {}", roughly(self.file.len() as u64 * 10_000_000_000 / self.baud)),
            };
            eprintln!(
                "{} bytes each way at {}, {flow}: {long}. A knock every {}.",
                count(self.file.len() as u64),
                Quantity::Speed.write(self.baud),
                Quantity::Time.write(self.arguments.every),
            );
        }
        let end = self.carry();
        self.out.bar.finish_and_clear();
        self.back.bar.finish_and_clear();
        self.status.finish_and_clear();
        self.report(end)
    }

    /// The next time that somebody falls: regular enough to count on, irregular enough to hit everywhere.
    fn next_knock(&mut self) -> u64 {
        let every = self.arguments.every;
        self.system.now() + every / 2 + self.chance.next() % every.max(1)
    }

    fn carry(&mut self) -> End {
        let mut knock_at = self.next_knock();
        let (mut moved_at, mut drawn_at) = (0, None::<Instant>);
        let mut all_there_since = None;
        loop {
            if stop_wanted() {
                return End::Stopped;
            }
            let now = self.system.now();
            if now >= knock_at && all_there_since.is_none() {
                self.knock();
                knock_at = self.next_knock();
            }
            if let Some(swaps) = self.swaps.as_mut().filter(|_| all_there_since.is_none())
                && let Some(refused) = swaps.turn(&mut self.system)
            {
                self.refused.get_or_insert(refused);
            }
            let next = if all_there_since.is_none() { knock_at.min(now + SLICE) } else { now + SLICE };
            match self.system.run_until(next) {
                Ok(()) => {}
                Err(Over::Ended(why)) => {
                    complain(
                        &format!("the emulator has ended: {why}"),
                        "run it with `koboshi run`, and look at its log.",
                    );
                    return End::Ended;
                }
                Err(Over::Circle(_) | Over::Asked) => return End::Circle,
            }
            let now = self.system.now();
            if self.move_bytes(now) {
                moved_at = now;
            }
            self.note_incidents();
            if drawn_at.is_none_or(|at| at.elapsed() >= DRAW_EVERY) {
                drawn_at = Some(Instant::now());
                self.draw();
            }
            let all_sent = self.arguments.lasting.map_or(self.back.sent >= self.file.len() as u64, |time| now >= time);
            let all_sent = all_sent && self.out.sent == self.out_total(now);
            if all_sent && self.out.exact.arrived >= self.out.sent && self.back.exact.arrived >= self.back.sent {
                let since = *all_there_since.get_or_insert(now);
                if now >= since + GRACE {
                    return End::Arrived;
                }
            } else if all_sent && now > moved_at + LOST_AFTER && self.some_are_lost() {
                return End::Arrived;
            } else if now > moved_at + STUCK_AFTER {
                return End::Stuck;
            }
        }
    }

    /// The machine remembers a bounded number of incidents: they are noted as they come, and as they go on.
    fn note_incidents(&mut self) {
        let seen = self.incidents.last_key_value().map_or(0, |(number, _)| *number);
        let mut next = seen.saturating_sub(UNDER_WAY);
        while let Some(incident) = self.system.incident_from(next) {
            next = incident.number + 1;
            self.incidents.insert(incident.number, incident);
        }
    }

    /// How much the program sends in all, as far as that is known.
    fn out_total(&self, now: u64) -> u64 {
        match self.arguments.lasting {
            Some(time) if now >= time => self.out.sent,
            Some(_) => u64::MAX,
            None => self.file.len() as u64,
        }
    }

    /// Whether what has not arrived may never arrive: a device has lost bytes, or the program was told so.
    fn some_are_lost(&mut self) -> bool {
        self.announced != (0, 0) || self.system.outside_lost_some(&self.serial)
    }

    fn name_of(&self, id: ComponentId) -> &str {
        self.names.get(id.index()).map_or("the image", String::as_str)
    }

    fn knock(&mut self) {
        let Some(target) = self.chance.one_of(&self.targets) else { return };
        let Some(how) = self.chance.one_of(&target.ways) else { return };
        if self.system.state(target.id).alive() {
            self.system.knock(target.id, *how);
            self.knocks += 1;
        }
    }

    /// Hands over what is to be sent, and takes what arrived; true if anything moved.
    fn move_bytes(&mut self, now: u64) -> bool {
        let length = self.file.len() as u64;
        let over = self.arguments.lasting.is_some_and(|time| now >= time);
        let left = |sent: u64| match self.arguments.lasting {
            Some(_) if over => 0,
            Some(_) => u64::MAX,
            None => length - sent,
        };
        let mut moved = false;

        let from = (self.out.sent % length) as usize;
        let most = usize::try_from(left(self.out.sent)).unwrap_or(usize::MAX).min(self.file.len() - from);
        let part = &self.file[from..from + most];
        // A line that is gone takes nothing; whether it comes back shows in what moves.
        let Carried { taken, arrived, announced, .. } = self.system.program(&self.program, part, true);
        self.out.sent += taken as u64;
        moved |= taken > 0;
        moved |= self.back.arrived(&arrived, now);
        for (at, what) in announced {
            if self.doubts.len() < DOUBTS {
                self.doubts.push(announcement(at, what));
            }
            let count = if what == Announcement::NotSent { &mut self.announced.0 } else { &mut self.announced.1 };
            *count += 1;
        }

        let from = (self.back.sent % length) as usize;
        let most = usize::try_from(left(self.back.sent)).unwrap_or(usize::MAX).min(self.file.len() - from);
        let part = &self.file[from..from + most];
        let CarriedOutside { taken, arrived, events, .. } = self.system.outside(&self.serial, part, false);
        self.back.sent += taken as u64;
        self.garbled += events.len() as u64;
        moved |= taken > 0;
        moved |= self.out.arrived(&arrived, now);
        moved
    }

    fn draw(&self) {
        if self.status.is_hidden() {
            return;
        }
        let count = self.incidents.len();
        let last = self.incidents.last_key_value().map(|(_, incident)| incident);
        let last = last.map_or_else(String::new, |incident| {
            let took = incident.up_at.map(|up| Quantity::Time.write(up.saturating_sub(incident.failed_at)));
            let took = took.map_or_else(|| "down".to_owned(), |took| format!("up again after {took}"));
            format!("; last: {}, {}, {took}", self.name_of(incident.component), incident.fault)
        });
        let stalled = self.system.stalled();
        let stalled = if stalled.is_zero() { String::new() } else { format!("; stalled {} ms", stalled.as_millis()) };
        let plural = if count == 1 { "y" } else { "ies" };
        self.status.set_message(format!("{count} recover{plural}{last}{stalled}"));
    }

    fn report(mut self, end: End) -> i32 {
        // Of a run that was stopped, what is still on its way is not lost.
        let total = |way: &Way| if end == End::Stopped { way.exact.arrived.min(way.sent) } else { way.sent };
        let totals = (total(&self.out), total(&self.back));
        self.out.exact.finish(totals.0);
        self.back.exact.finish(totals.1);
        let ((out_gaps, back_gaps), garbled) = (self.announced, self.garbled);
        self.note_incidents();
        let incidents: Vec<Incident> = self.incidents.values().copied().collect();
        let recovery = Recovery::of(&incidents);
        let mut also = self.system.wrongs(&self.program);
        also.append(&mut self.doubts);
        also.extend(self.refused.take().map(|why| format!("a swap was refused: {why}")));
        for (way, name) in [(&self.out, "program -> outside"), (&self.back, "outside -> program")] {
            also.extend(way.exact.first.as_ref().map(|first| format!("{name}, {first}")));
        }
        let exact = self.out.exact.is_exact() && self.back.exact.is_exact();
        let quiet = out_gaps + back_gaps + garbled == 0 && also.is_empty();
        let verdict = match end {
            End::Stopped => STOPPED,
            End::Arrived if exact && quiet => FINE,
            _ => WRONG,
        };
        let shown = Shown { end, verdict, exact, gaps: (out_gaps, back_gaps), garbled, incidents, recovery, also };
        if self.arguments.json {
            self.print_json(&shown)
        } else {
            self.print_table(&shown)
        }
        verdict
    }
}
