//! The clients' side: carries a program's bytes to a line and back, says when SOS is late, and keeps the incident log.
//!
//! Rules kept here: a byte leaves the program's end only into a slot that is reserved, and enters it only from an item at
//! hand, each in one window with its count. One write is under way at a time: what a write did not finish goes on as a
//! further request that names it (`origin`), before anything that comes later.
//!
//! It must never: send a byte twice, pass over a byte without telling the program, or wait on SOS without a deadline.
#![no_std]

pub mod device;

mod incident_line;

use core::cell::Cell;
use core::convert::Infallible;

use koboshi_interfaces::control::{self, Complaint, ComponentId, Report};
use koboshi_interfaces::health;
use koboshi_interfaces::log;
use koboshi_interfaces::received::{self, Received};
use koboshi_interfaces::serial::{self, Chunk, Flow, Line, Milliseconds, Written, operation};
use koboshi_runtime::client::Reply;
use koboshi_runtime::kit::{Failure, Fill, Key, Operation, Ticket, decode};
use koboshi_runtime::life::Epoch;
use koboshi_runtime::time::until;
use koboshi_runtime::{
    Description, Device, Duration, Exit, Interrupt, Kept, KeptDescription, Outcome, PortDescription, RequestPort, Side,
    Start, Subscriber, acknowledge, configuration, join, join3, now, sleep, window,
};
use serde::{Deserialize, Serialize};

use device::{Announcement, Application};
use incident_line::{incident_line, too_early};

/// How long a write may take beyond its line time: one recovery of everything below, with room to spare.
const RECOVERY: Duration = Duration::from_millis(200);

/// With flow control the other side may hold the line; nobody is late for that long.
const HELD_AT_MOST: Duration = Duration::from_secs(5);

/// How long a write may take before the Monitor probes behind it: longer than SOS takes to find that its driver is at
/// fault.
const PROBE_AFTER: Duration = Duration::from_millis(60);

/// How much later than the driver SOS counts as late: time for SOS to have the driver restarted.
const SOS_LATER: Duration = Duration::from_millis(300);

/// How often a line that was given up is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// How often the incident log is brought up to date.
const LOG_EVERY: Duration = Duration::from_millis(250);

/// The Monitor, for the composer.
pub const DESCRIPTION: Description = Description {
    name: "monitor",
    ports: &[
        PortDescription { name: "serial", side: Side::Uses, interface: &serial::INTERFACE },
        PortDescription { name: "received", side: Side::Uses, interface: &received::INTERFACE },
        PortDescription { name: "control", side: Side::Uses, interface: &control::INTERFACE },
        PortDescription { name: "health", side: Side::Uses, interface: &health::INTERFACE },
        PortDescription { name: "log", side: Side::Uses, interface: &log::INTERFACE },
    ],
    devices: &["application"],
    interrupts: &["application"],
    kept: Some(KeptDescription::of::<u32>()),
};

/// The key of what the Monitor keeps: the number of the first incident that is not in the log.
pub const KEPT: Key = Key::of_state::<u32>();

/// What the image tells the Monitor.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Watches {
    /// SOS's place in the image.
    pub sos: ComponentId,
    /// How the line is set at first.
    pub line: Line,
}

/// What the image gives the Monitor.
pub struct Io {
    serial: serial::Client<RequestPort>,
    received: Subscriber<received::Port>,
    control: control::Client<RequestPort>,
    health: health::Client<RequestPort>,
    log: Subscriber<log::Port>,
    application: Application,
    watches: Watches,
}

impl Io {
    /// Opens the Monitor's ports and its device.
    ///
    /// # Errors
    /// [`Exit::Unfit`] if the image does not give what the Monitor needs.
    pub fn open() -> Result<Self, Exit> {
        Ok(Io {
            serial: serial::Client::new(RequestPort::open::<serial::Port>(0)?),
            received: Subscriber::open(1)?,
            control: control::Client::new(RequestPort::open::<control::Port>(2)?),
            health: health::Client::new(RequestPort::open::<health::Port>(3)?),
            log: Subscriber::open(4)?,
            application: Application::new(Device::open(0)),
            watches: configuration().ok_or(Exit::Unfit("what the Monitor watches is not named"))?,
        })
    }
}

/// One incarnation, from what the image gives it.
pub async fn start(start: Start) -> Exit {
    match Io::open() {
        Ok(io) => run(start, io, Kept::open(KEPT)).await,
        Err(unfit) => unfit,
    }
}

/// One incarnation. How it begins does not matter: all that counts is in the rings.
pub async fn run(_: Start, mut io: Io, mut kept: Kept<u32>) -> Exit {
    io.control.end().cancel_all();
    io.health.end().cancel_all();
    let late = Cell::new(None);
    let no = || Cell::new(false);
    let application = Shared { device: io.application, work: no(), room: no(), gone: no(), down: no() };
    application.device.enable(false, false);
    if kept.load().is_none() {
        if io.serial.end().epoch() != Epoch(1) {
            // The image began anew, or the Monitor was stopped: what was under way then is gone.
            window(|| application.device.announce(Announcement::NotSent));
            window(|| application.device.announce(Announcement::Gap));
        }
        kept.store(&0);
    }
    if application.device.break_begun() {
        // Begun by an incarnation before this one; whether it went out, nobody can tell.
        window(|| application.device.announce(Announcement::NotSent));
        application.device.end_break();
    }
    let sender = Sender { application: &application, serial: io.serial, line: io.watches.line, late: &late };
    // In this order, for the sender waits for what the other notes about the driver.
    let both_ways = join(deliver(&application, io.received), sender.send());
    // The restart manager is told of an SOS that is late; what it does about it is its policy.
    let complaint = |epoch| Report { component: io.watches.sos, epoch, why: Complaint::Late };
    let complain = io.control.end().tell::<control::operation::report>(&late, complaint);
    let watching = join3(complain, keep_log(io.health, kept), write_log(io.log));
    // Polled last: by then everybody has looked at the device.
    join3(both_ways, watching, acknowledge([Interrupt::open(0)])).await;
    Exit::Done
}

/// The application's end, which both directions use, and what each of them waits for.
struct Shared {
    device: Application,
    work: Cell<bool>,
    room: Cell<bool>,
    /// The driver was stopped or given up.
    gone: Cell<bool>,
    /// No incarnation of the driver lives.
    down: Cell<bool>,
}

impl Shared {
    /// Notes how the driver is.
    fn look_at(&self, received: &Subscriber<received::Port>) {
        self.gone.set(received.producer_gone());
        self.down.set(!received.producer_alive());
    }

    /// Waits for something of the program; its interrupt is on meanwhile.
    async fn wait<T>(&self, flag: &Cell<bool>, mut ready: impl FnMut(&Application) -> Option<T>) -> T {
        until(|| {
            let found = ready(&self.device);
            if flag.get() != found.is_none() {
                flag.set(found.is_none());
                self.device.enable(self.work.get(), self.room.get());
            }
            found
        })
        .await
    }

    /// Waits for what is to be done next.
    async fn next_work(&self) -> Work {
        self.wait(&self.work, |device| {
            if self.gone.get() {
                return Some(Work::Gone);
            }
            if let Some((number, line)) = device.wish() {
                return Some(Work::Line(number, line));
            }
            match device.wished_break() {
                0 => (device.waiting() > 0).then_some(Work::Bytes),
                length => Some(Work::Break(length)),
            }
        })
        .await
    }
}

/// What the sender is to do next.
enum Work {
    Gone,
    Line(u32, Line),
    Break(u32),
    Bytes,
}

/// Carries what the program sends.
struct Sender<'m> {
    application: &'m Shared,
    serial: serial::Client<RequestPort>,
    line: Line,
    late: &'m Cell<Option<u32>>,
}

impl Sender<'_> {
    async fn send(mut self) -> Infallible {
        if self.application.device.gone() {
            self.give_up().await;
        }
        loop {
            while let Some(oldest) = self.serial.end().outstanding().next() {
                if oldest.operation == operation::write::INDEX {
                    self.conclude_write(oldest.position).await;
                } else {
                    // Asked by an incarnation before this one: what it was for is asked again from the program's wish.
                    self.serial.end().cancel(oldest.position);
                }
            }
            let begun = self.serial.end().filling::<operation::write>().is_some_and(|slot| !slot.is_empty());
            if !begun {
                match self.application.next_work().await {
                    Work::Bytes => {}
                    Work::Gone => {
                        self.give_up().await;
                        continue;
                    }
                    Work::Line(number, line) => {
                        self.set_line(number, line).await;
                        continue;
                    }
                    Work::Break(length) => {
                        self.send_break(length).await;
                        continue;
                    }
                }
            }
            let deadline = now() + self.patience(Chunk::CAPACITY);
            let end = self.serial.end();
            end.room().await;
            let Some(slot) = end.filling::<operation::write>() else { continue };
            while !slot.is_full() && self.application.device.waiting() > 0 {
                window(|| slot.push(self.application.device.pop()));
            }
            if !slot.is_empty() {
                slot.send(0, deadline);
            }
        }
    }

    /// How long a write of so many bytes may take.
    fn patience(&self, bytes: usize) -> Duration {
        let held = if self.line.flow == Flow::RtsCts { HELD_AT_MOST } else { Duration::from_ticks(0) };
        self.line.byte_time() * (2 * bytes as u32) + RECOVERY + held
    }

    /// Waits for a reply for as long as it takes, and reports SOS when that is too long.
    async fn reply(&mut self, position: u32) -> Reply {
        let end = self.serial.end();
        if let Some(reply) = end.reply_before(position, now() + PROBE_AFTER).await {
            return reply;
        }
        let mut down_before = self.application.down.get();
        loop {
            let deadline = end.deadline(position).max(now()) + SOS_LATER;
            end.probe::<operation::status>(position, deadline);
            if let Some(reply) = end.reply_before(position, deadline).await {
                return reply;
            }
            // While the driver is down, SOS can do no more than wait for it, and needs time when it is back.
            let down = self.application.down.get();
            if !down && !down_before {
                self.late.set(Some(end.server_epoch()));
            }
            down_before = down;
        }
    }

    async fn conclude_write(&mut self, position: u32) {
        let length = self.serial.end().request(position).and_then(|request| decode::<Chunk>(request.bytes()));
        let Some(chunk) = length else {
            self.serial.end().settle(position);
            return;
        };
        let reply = self.reply(position).await;
        let sent = match reply.outcome {
            Outcome::Answer => match decode::<Written>(reply.message.bytes()) {
                Some(Written(count)) => count as usize,
                // Reported, and asked of the next incarnation: the loop comes back to it.
                None if self.serial.end().blame(position, reply.message.header.epoch).is_none() => return,
                None => return self.tell_not_sent(position),
            },
            _ => reply.progress as usize,
        };
        let rest = chunk.0.as_slice().get(sent..).unwrap_or(&[]);
        if rest.is_empty() {
            self.serial.end().settle(position);
            return;
        }
        match reply.outcome {
            Outcome::Gone => {
                self.tell_not_sent(position);
                self.give_up().await;
            }
            Outcome::Refused | Outcome::Interrupted => self.tell_not_sent(position),
            _ => self.go_on(position, rest).await,
        }
    }

    /// Sends what a write did not finish. The new request names the old one, so that a death in between repeats nothing.
    async fn go_on(&mut self, position: u32, rest: &[u8]) {
        let deadline = now() + self.patience(rest.len());
        let end = self.serial.end();
        let origin = position.wrapping_add(1);
        if !end.outstanding().any(|request| request.origin == origin)
            && let Ok(rest) = Chunk::try_from(rest)
        {
            end.room().await;
            end.send_message::<operation::write>(&rest, origin, deadline);
        }
        end.settle(position);
    }

    fn tell_not_sent(&mut self, position: u32) {
        window(|| self.application.device.announce(Announcement::NotSent));
        self.serial.end().settle(position);
    }

    /// The line was given up: the program gets a clear error at once, until somebody starts the line again. What it had
    /// sent is not kept until then.
    async fn give_up(&mut self) {
        let device = &self.application.device;
        device.set_gone(true);
        if device.waiting() > 0 {
            window(|| device.announce(Announcement::NotSent));
        }
        while device.waiting() > 0 {
            window(|| {
                let _not_sent = device.pop();
            });
        }
        loop {
            match self.serial.status(()).await {
                Ok(_) => break,
                Err(Failure::Late { ticket, .. }) => self.serial.end().cancel(ticket.position),
                Err(_) => sleep(TRY_AGAIN).await,
            }
        }
        device.set_gone(false);
    }

    async fn set_line(&mut self, number: u32, line: Line) {
        match self.serial.configure(line).await {
            Ok(done) => {
                if done.is_ok() {
                    self.line = line;
                } else {
                    koboshi_runtime::log("the line cannot be set as the program wants");
                }
                self.application.device.granted(number);
            }
            Err(failure) => self.after_failure(failure).await,
        }
    }

    async fn send_break(&mut self, length: u32) {
        self.application.device.begin_break();
        let done = self.serial.send_break(Milliseconds(length)).await;
        if !matches!(done, Ok(Ok(()))) {
            window(|| self.application.device.announce(Announcement::NotSent));
        }
        self.application.device.end_break();
        if let Err(failure) = done {
            self.after_failure(failure).await;
        }
    }

    /// A request that is late is given up; one to a server that is gone is not repeated.
    async fn after_failure<O: Operation>(&mut self, failure: Failure<O>) {
        match failure {
            Failure::Late { ticket: Ticket { position, .. }, .. } => self.serial.end().cancel(position),
            Failure::Gone { .. } => self.give_up().await,
            _ => sleep(RECOVERY).await,
        }
    }
}

/// Gives the program what arrives.
async fn deliver(application: &Shared, mut received: Subscriber<received::Port>) -> Infallible {
    loop {
        let item = until(|| {
            application.look_at(&received);
            received.peek()
        })
        .await;
        let announcement = match item {
            Ok(Received::Bytes(_)) => None,
            Ok(Received::Framing(_)) => Some(Announcement::Framing),
            Ok(Received::Parity(_)) => Some(Announcement::Parity),
            Ok(Received::Break) => Some(Announcement::Break),
            Ok(Received::Overrun) => Some(Announcement::Overrun),
            Ok(Received::Gap) | Err(_) => Some(Announcement::Gap),
        };
        let mut told = 0;
        if let Some(what) = announcement {
            told = 1;
            if received.moved() == 0 {
                window(|| {
                    application.device.announce(what);
                    received.set_moved(1);
                });
            }
        }
        let one: [u8; 1];
        let bytes = match &item {
            Ok(Received::Bytes(bytes)) => bytes.as_slice(),
            Ok(Received::Framing(byte) | Received::Parity(byte)) => {
                one = [*byte];
                &one
            }
            _ => &[],
        };
        while let Some(byte) = received.moved().checked_sub(told).and_then(|at| bytes.get(at)) {
            let room = |device: &Application| {
                application.look_at(&received);
                (device.room() > 0).then_some(())
            };
            application.wait(&application.room, room).await;
            window(|| {
                application.device.push(*byte);
                received.set_moved(received.moved() + 1);
            });
        }
        received.release();
    }
}

/// Writes each incident to the log: once, or twice after a death between writing and noting it.
///
/// One that may still come up in time is waited for, so that its line says whether it did; those behind it wait as long.
async fn keep_log(mut health: health::Client<RequestPort>, mut kept: Kept<u32>) -> Infallible {
    let mut next = kept.load().unwrap_or(0);
    loop {
        sleep(LOG_EVERY).await;
        loop {
            let incident = match health.incidents(next).await {
                Ok(Some(incident)) => incident,
                Err(Failure::Late { ticket, .. }) => {
                    health.end().cancel(ticket.position);
                    break;
                }
                Ok(None) | Err(_) => break,
            };
            if too_early(&incident) {
                break;
            }
            koboshi_runtime::log(&incident_line(&incident));
            next = incident.sequence.wrapping_add(1);
            kept.store(&next);
        }
    }
}

/// Writes what others have to say to the log.
async fn write_log(mut records: Subscriber<log::Port>) -> Infallible {
    loop {
        if let Ok(record) = records.item().await {
            koboshi_runtime::log(record.text.as_str());
        }
        records.release();
    }
}
