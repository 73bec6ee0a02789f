//! An image that runs on the emulated board, as the computer beside it sees it: its line to the console, and its SCIF's line.
//!
//! Job: carry bytes between the board's two lines and whoever holds this value, and questions to the board's console.
//!
//! Rules: the emulator's SCIF drops what goes beyond its FIFO without a word, and the wall's clock is not the board's. So the
//! outside sends at the line's rate and never has more under way than the FIFO surely holds: what counts as arrived is what the
//! program at the other end was given. The line to the console loses nothing: the emulated 16550 holds its sender, and the link
//! keeps its channels exact. But it has no rate of its own either: faster than a real line it would keep the board busy with
//! itself, and those of lower priority waiting.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use koboshi_console::WINDOW;
use koboshi_console::message::{self, Ask, Assembly, FromProgram, Health, LONGEST, PART, Sent, ToProgram, Told};
use koboshi_interfaces::loading::{ComponentId, Package};
use koboshi_link::{Channel, Link, Session, Timing};
use koboshi_sh4::tools::Trouble;
use rustix::event::{PollFd, PollFlags, poll};

use crate::delivery::{Delivered, Delivery};
use crate::emulator::{Emulator, How, NoLine};
use crate::pace::{BoardTime, Pace};

/// Bytes that may be under way to the SCIF: fewer than its FIFO holds.
const UNDER_WAY: u64 = 12;

/// Without an arrival for so long of the board's time, bytes under way count as lost: they are not waited for any more.
const LOST_AFTER: Duration = Duration::from_secs(10);

/// The board is asked what its time is if it was not heard for so long.
const HEARD_WITHIN: Duration = Duration::from_millis(50);

/// Bytes for the program that are held for it. While there are more, nothing is taken from the link: then the Monitor's side is
/// full, and the line is held as far as its flow control reaches.
const MOST_RECEIVED: usize = 4_096;

/// How long the emulator may take to open its lines.
const OPEN_WITHIN: Duration = Duration::from_secs(20);

/// How the lines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    /// The bit rate of the SCIF's line, ten bits a byte.
    pub scif_baud: u32,
    /// That of the console's.
    pub console_baud: u32,
}

/// The emulator has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What it had to say.
    pub complaints: Vec<String>,
}

/// The answer to one question or wish; `None`: the console began anew, and nobody knows what became of it.
pub type Answer<T> = (T, Option<Told>);

/// A board that runs. `T` names who has asked something.
pub struct Running<T> {
    emulator: Emulator,
    link: Link<WINDOW>,
    console: Line,
    console_pace: Pace,
    time: BoardTime,
    scif: Line,
    /// What the link wants to put on the line, and the line has not taken.
    to_console: VecDeque<u8>,
    from_application: Assembly,
    from_control: Assembly,
    from_loader: Assembly,
    delivery: Option<Delivery>,
    /// Messages, and the bytes of the program in each.
    to_application: VecDeque<(Vec<u8>, u32)>,
    /// From nobody: what is asked here, for the time in its answer.
    questions: VecDeque<(Option<T>, Ask)>,
    /// Sent, and not answered.
    asked: VecDeque<Option<T>>,
    answers: VecDeque<Answer<T>>,
    received: Vec<u8>,
    announced: Vec<(u64, u32)>,
    /// Bytes for the program that have arrived.
    arrived: u64,
    /// Of the console's counts: what it has to have taken from, and given to, the line's end if nothing was lost.
    expected: (u32, u32),
    /// The console has begun anew and has not yet said how the line's end is.
    unknown: bool,
    gone: bool,
    /// The last setting of the line that was wanted: its number, bit rate and framing.
    wanted: (u32, u32, u32),
    applied: u32,
    wire: Wire,
    log: VecDeque<String>,
}

/// A line of the emulator's: a socket.
struct Line(UnixStream);

/// The SCIF's line, seen from outside.
struct Wire {
    pace: Pace,
    to_send: VecDeque<u8>,
    sent: u64,
    /// Of these, what has arrived or is not waited for.
    settled: u64,
    lost: u64,
    /// Of the board's time.
    moved_at: Duration,
    received: Vec<u8>,
}

impl Line {
    fn open(listener: &UnixListener, emulator: &mut Emulator) -> Result<Self, Trouble> {
        let unusable = |error: std::io::Error| {
            Trouble::new(format!("the emulator's line cannot be opened: {error}"), "is there room for files in /tmp?")
        };
        listener.set_nonblocking(true).map_err(unusable)?;
        let until = Instant::now() + OPEN_WITHIN;
        loop {
            match listener.accept() {
                Ok((line, _)) => {
                    line.set_nonblocking(true).map_err(unusable)?;
                    return Ok(Line(line));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && emulator.runs() && Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && emulator.runs() => {
                    return Err(Trouble::new("the emulator does not open its lines", "is this machine very busy?"));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let said = emulator.complaints().join("; ");
                    return Err(Trouble::new(
                        format!("the emulator has ended at once: {said}"),
                        "see what it says; `koboshi doctor` looks at whether it is the right one.",
                    ));
                }
                Err(error) => return Err(unusable(error)),
            }
        }
    }

    /// As many as it takes.
    fn write(&mut self, bytes: &[u8]) -> Option<usize> {
        match self.0.write(bytes) {
            Ok(count) => Some(count),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Some(0),
            Err(_) => None,
        }
    }

    /// What has come; `None`: the other end is gone.
    fn read(&mut self) -> Option<Vec<u8>> {
        let mut found = Vec::new();
        let mut room = [0; 4096];
        loop {
            match self.0.read(&mut room) {
                Ok(0) => return None,
                Ok(count) => found.extend_from_slice(room.get(..count)?),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(found),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }
}

impl Wire {
    /// Bytes for which there is room under way.
    fn room(&self) -> usize {
        let room = UNDER_WAY.saturating_sub(self.sent - self.settled) as usize;
        room.min(self.to_send.len())
    }

    /// Bytes that may go now: at the line's rate, and no more than its other end surely takes. `held`: nothing can arrive.
    fn may_send(&mut self, now: Duration, held: bool) -> usize {
        if self.sent == self.settled || held {
            self.moved_at = now;
        } else if now.saturating_sub(self.moved_at) > LOST_AFTER {
            self.lost += self.sent - self.settled;
            self.settled = self.sent;
            self.moved_at = now;
        }
        self.room().min(self.pace.allows(now))
    }

    /// So many bytes have arrived. Those that counted as lost come first: they were only held up.
    fn arrived(&mut self, count: u64, now: Duration) {
        let late = count.min(self.lost);
        self.lost -= late;
        self.settled = (self.settled + count - late).min(self.sent);
        self.moved_at = now;
    }
}

impl<T> Running<T> {
    /// Starts an image. `how`: all but the lines.
    ///
    /// # Errors
    /// The emulator cannot be started.
    pub fn start(qemu: &Path, image: &Path, lines: Lines, how: How) -> Result<Self, Trouble> {
        let unusable = |error: std::io::Error| {
            Trouble::new(format!("no socket can be made for the emulator: {error}"), "make room in /tmp.")
        };
        let folder = tempfile::tempdir().map_err(unusable)?;
        let listen = |name: &str| {
            let path = folder.path().join(name);
            UnixListener::bind(&path).map(|listener| (listener, format!("unix:{}", path.display())))
        };
        let (scif, scif_path) = listen("scif").map_err(unusable)?;
        let (console, console_path) = listen("console").map_err(unusable)?;
        let how = How { scif: Some(scif_path), uart: Some(console_path), ..how };
        let mut emulator = Emulator::start(qemu, image, &how)?;
        let (scif, console) = (Line::open(&scif, &mut emulator)?, Line::open(&console, &mut emulator)?);
        let now = Instant::now();
        Ok(Running {
            emulator,
            link: Link::new(Session(1), Timing::of_line(lines.console_baud)),
            console,
            console_pace: Pace::of_line(lines.console_baud),
            time: BoardTime::new(now),
            scif,
            to_console: VecDeque::new(),
            from_application: Assembly::default(),
            from_control: Assembly::default(),
            from_loader: Assembly::default(),
            delivery: None,
            to_application: VecDeque::new(),
            questions: VecDeque::new(),
            asked: VecDeque::new(),
            answers: VecDeque::new(),
            received: Vec::new(),
            announced: Vec::new(),
            arrived: 0,
            expected: (0, 0),
            unknown: true,
            gone: false,
            wanted: (0, 0, 0),
            applied: 0,
            wire: Wire {
                pace: Pace::of_line(lines.scif_baud),
                to_send: VecDeque::new(),
                sent: 0,
                settled: 0,
                lost: 0,
                moved_at: Duration::ZERO,
                received: Vec::new(),
            },
            log: VecDeque::new(),
        })
    }

    /// Carries what can be carried now; whether anything has moved.
    ///
    /// # Errors
    /// The emulator has ended.
    pub fn turn(&mut self) -> Result<bool, Ended> {
        self.time.pass(Instant::now());
        let mut moved = self.take_lines()?;
        let (Some(from_console), Some(from_scif)) = (self.console.read(), self.scif.read()) else {
            return Err(self.ended());
        };
        moved |= !from_console.is_empty() || !from_scif.is_empty();
        self.link.receive(&from_console);
        // So that it is known at once that the console has begun anew, also if there is nothing to send; and before its first message
        // is read, which makes everything known again.
        if self.link.write(Channel::Application, &[]).is_err() {
            self.unknown = true;
        }
        self.wire.received.extend(from_scif);
        moved |= self.take_messages();
        let asks = self.questions.iter().map(|(who, _)| who).chain(&self.asked).any(Option::is_none);
        if self.time.silent_for(Instant::now()) >= HEARD_WITHIN && !asks {
            // No incident has this number, and the answer tells the time.
            self.questions.push_back((None, Ask::Incident(u32::MAX)));
        }
        moved |= self.give_messages();
        if let Some(delivery) = &mut self.delivery {
            moved |= delivery.take(&mut self.from_loader, &mut self.link);
            moved |= delivery.send(&mut self.link);
        }
        moved |= self.send().ok_or_else(|| self.ended())?;
        Ok(moved)
    }

    /// Waits until something may have moved, or for so long.
    pub fn wait(&self, most: Duration) {
        let mut lines = [PollFd::new(&self.console.0, PollFlags::IN), PollFd::new(&self.scif.0, PollFlags::IN)];
        let pace = |waits: bool, pace: &Pace| if waits { self.time.here(pace.byte_time) } else { most };
        let scif = pace(self.wire.room() > 0, &self.wire.pace);
        let console = pace(!self.to_console.is_empty(), &self.console_pace);
        let most = most.min(scif).min(console);
        if let Ok(most) = most.try_into() {
            // Too early is as good as in time.
            let _interrupted = poll(&mut lines, Some(&most));
        }
    }

    fn ended(&mut self) -> Ended {
        Ended { complaints: self.emulator.complaints() }
    }

    fn take_lines(&mut self) -> Result<bool, Ended> {
        let mut moved = false;
        loop {
            match self.emulator.line(Instant::now()) {
                Ok(line) => self.log.push_back(line),
                Err(NoLine::Late) => return Ok(moved),
                Err(NoLine::Ended) => return Err(self.ended()),
            }
            moved = true;
        }
    }

    /// What has come over the link.
    fn take_messages(&mut self) -> bool {
        let mut moved = false;
        while self.received.len() < MOST_RECEIVED {
            match self.from_application.fill(&mut self.link, Channel::Application) {
                Ok(false) => break,
                Ok(true) => {}
                Err(_) => {
                    // What was in hand when the console began anew it tells itself.
                    self.unknown = true;
                    continue;
                }
            }
            moved = true;
            match self.from_application.message() {
                Some(ToProgram::Began { taken, given, applied, gone }) => {
                    (self.applied, self.gone) = (applied, gone);
                    self.begun(taken, given);
                }
                Some(ToProgram::Bytes(bytes)) => {
                    self.received.extend_from_slice(bytes);
                    self.arrived += bytes.len() as u64;
                    self.expected.0 = self.expected.0.wrapping_add(bytes.len() as u32);
                    self.wire.arrived(bytes.len() as u64, self.time.now);
                }
                Some(ToProgram::Announced(what)) => self.announced.push((self.arrived, what)),
                Some(ToProgram::Applied(applied)) => self.applied = applied,
                Some(ToProgram::Gone(gone)) => self.gone = gone,
                None => {}
            }
            self.from_application.next();
        }
        loop {
            match self.from_control.fill(&mut self.link, Channel::Control) {
                Ok(false) => break,
                Ok(true) => {
                    if let (Some(told), Some(who)) = (self.from_control.message(), self.asked.pop_front()) {
                        if let Told::Health(Health { now, .. }) | Told::Incident(now, _) = told {
                            self.time.hear(now, Instant::now());
                        }
                        self.answers.extend(who.map(|who| (who, Some(told))));
                    }
                    self.from_control.next();
                    moved = true;
                }
                // What was asked before is not answered any more.
                Err(_) => self.answers.extend(self.asked.drain(..).flatten().map(|who| (who, None))),
            }
        }
        moved
    }

    /// A console says how the line's end is: the first one, or one that began anew. What the one before had in hand is lost, and
    /// only that is announced.
    fn begun(&mut self, taken: u32, given: u32) {
        let (wanted_taken, wanted_given) = self.expected;
        if taken != wanted_taken {
            self.announced.push((self.arrived, GAP));
        }
        // Fewer than were sent.
        if given != wanted_given {
            self.announced.push((self.arrived, NOT_SENT));
        }
        self.expected = (taken, given);
        self.unknown = false;
        // Messages that wait here begin behind what is known.
        let (number, baud, framing) = self.wanted;
        if self.applied != number {
            self.tell(&FromProgram::Line { number, baud, framing });
        }
    }

    /// What is to go over the link.
    fn give_messages(&mut self) -> bool {
        let mut moved = false;
        while let Some((message, bytes)) = self.to_application.front().filter(|_| !self.unknown) {
            if self.link.room(Channel::Application) < message.len() {
                break;
            }
            // That the console has begun anew was told already, in `turn`.
            if self.link.write(Channel::Application, message).is_ok() {
                self.expected.1 = self.expected.1.wrapping_add(*bytes);
                self.to_application.pop_front();
            }
            moved = true;
        }
        while let Some((who, ask)) = self.questions.pop_front() {
            match message::send(&mut self.link, Channel::Control, &ask) {
                Ok(Sent::TooLong) => self.answers.extend(who.map(|who| (who, None))),
                Ok(Sent::Whole) => {
                    self.asked.push_back(who);
                    moved = true;
                }
                Ok(Sent::NoRoom) => {
                    self.questions.push_front((who, ask));
                    break;
                }
                Err(_) => {
                    self.questions.push_front((who, ask));
                    self.answers.extend(self.asked.drain(..).flatten().map(|who| (who, None)));
                }
            }
        }
        moved
    }

    /// Puts bytes on both lines; `None`: one of them is gone.
    fn send(&mut self) -> Option<bool> {
        let mut moved = false;
        let now = self.time.now;
        loop {
            if self.to_console.is_empty() {
                let mut room = [0; 256];
                let count = self.link.transmit(&mut room, self.time.of_link());
                self.to_console.extend(room.get(..count)?);
            }
            let (bytes, _) = self.to_console.as_slices();
            let bytes = bytes.get(..self.console_pace.allows(now)).unwrap_or(bytes);
            if bytes.is_empty() {
                break;
            }
            let count = self.console.write(bytes)?;
            self.to_console.drain(..count);
            self.console_pace.went(count);
            if count == 0 {
                break;
            }
            moved = true;
        }
        let held = self.received.len() >= MOST_RECEIVED;
        let count = self.wire.may_send(now, held);
        if count > 0 {
            let bytes: Vec<u8> = self.wire.to_send.iter().take(count).copied().collect();
            let count = self.scif.write(&bytes)?;
            self.wire.to_send.drain(..count);
            self.wire.sent += count as u64;
            self.wire.pace.went(count);
            moved |= count > 0;
        }
        Some(moved)
    }

    /// The program sends: how many bytes were taken. Fewer than offered is back-pressure.
    pub fn offer(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        for part in bytes.chunks(PART) {
            if self.gone || self.to_application.len() >= WAITING {
                break;
            }
            self.tell(&FromProgram::Bytes(part));
            taken += part.len();
        }
        taken
    }

    fn tell(&mut self, what: &FromProgram<'_>) {
        let mut room = [0; LONGEST + 2];
        // A part of a program's bytes is shorter than a message may be.
        let Some(message) = message::framed(what, &mut room) else { return };
        let bytes = if let FromProgram::Bytes(bytes) = what { bytes.len() as u32 } else { 0 };
        self.to_application.push_back((message.to_vec(), bytes));
    }

    /// The program sets its line.
    pub fn set_line(&mut self, baud: u32, framing: u32) {
        let number = self.wanted.0.wrapping_add(1);
        self.wanted = (number, baud, framing);
        self.tell(&FromProgram::Line { number, baud, framing });
    }

    /// Whether the line is set as the program last wanted.
    #[must_use]
    pub fn line_is_set(&self) -> bool {
        self.wanted.0 == self.applied
    }

    /// Whether all that the program has sent has come to the board.
    #[must_use]
    pub fn has_sent(&self) -> bool {
        !self.unknown && self.to_application.is_empty() && self.link.unacknowledged(Channel::Application) == 0
    }

    /// Whether the line was given up.
    #[must_use]
    pub fn line_is_gone(&self) -> bool {
        self.gone
    }

    /// What has come for the program.
    pub fn take_received(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.received)
    }

    /// What the program is told, each with the number of bytes before it: see the Monitor's announcements.
    pub fn take_announced(&mut self) -> Vec<(u64, u32)> {
        std::mem::take(&mut self.announced)
    }

    /// The outside sends. It is sent as the line and its other end allow.
    pub fn send_outside(&mut self, bytes: &[u8]) {
        self.wire.to_send.extend(bytes);
    }

    /// Bytes of the outside that are not on the line yet.
    #[must_use]
    pub fn waiting_outside(&self) -> usize {
        self.wire.to_send.len()
    }

    /// Bytes of the outside that did not arrive in time, or never. Those that come later are taken off again.
    #[must_use]
    pub fn lost_outside(&self) -> u64 {
        self.wire.lost
    }

    /// The outside's line has another rate from now on.
    pub fn set_outside_baud(&mut self, baud: u32) {
        self.wire.pace = Pace::of_line(baud);
    }

    /// What has come to the outside.
    pub fn take_received_outside(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.wire.received)
    }

    /// Begins to bring a package for a component. Another one on its way is dropped.
    pub fn bring(&mut self, component: ComponentId, bytes: Vec<u8>) {
        let [a, b, c, d, e, f, g, h, ..] = koboshi_package::digest(&bytes).0;
        let mark = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let package = Package { component, bytes: bytes.len() as u32, mark };
        self.delivery = Some(Delivery::new(package, bytes, self.delivery.as_ref()));
    }

    /// Whether a package is on its way.
    #[must_use]
    pub fn brings(&self) -> bool {
        self.delivery.as_ref().is_some_and(Delivery::is_under_way)
    }

    /// How far the package on its way is. Its end is told once.
    pub fn brought(&mut self) -> Option<Delivered> {
        self.delivery.as_mut()?.state()
    }

    /// Asks the board something; the answer comes with `who`.
    pub fn ask(&mut self, who: T, ask: Ask) {
        self.questions.push_back((Some(who), ask));
    }

    /// Whether something that was asked is still here.
    #[must_use]
    pub fn has_questions(&self) -> bool {
        self.questions.iter().any(|(who, _)| who.is_some())
    }

    /// The next answer.
    pub fn answer(&mut self) -> Option<Answer<T>> {
        self.answers.pop_front()
    }

    /// The next line that the kernel has shown.
    pub fn said(&mut self) -> Option<String> {
        self.log.pop_front()
    }

    /// Whether the board's console has been heard.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.link.peer().is_some()
    }
}

/// Messages of a program that wait for the link: some hundred bytes, so that back-pressure is felt soon.
const WAITING: usize = 8;

/// Announcements, as the Monitor numbers them.
const GAP: u32 = 0;
const NOT_SENT: u32 = 5;
