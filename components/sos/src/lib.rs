//! Routes requests to the driver that it hosts, and notices a driver that is late.
//!
//! Rules kept here: it keeps nothing of its own. A request stays in its client's ring until it is answered; what was
//! forwarded says so in its own slot (`origin`). So an incarnation that begins anew sees from the rings alone what to wait
//! for, what to forward, and which replies nobody needs any more.
//!
//! It must never: answer for a driver, pass on a reply that cannot be read (the client would blame SOS for it), consume a
//! driver's reply before it has passed it on (a death in between could lose it), or forward again what was forwarded.
#![no_std]

use core::cell::Cell;
use core::convert::Infallible;
use core::sync::atomic::Ordering;

use koboshi_interfaces::control::{self, Complaint, ComponentId, Report};
use koboshi_interfaces::serial;
use koboshi_runtime::client::Outstanding;
use koboshi_runtime::server::Taken;
use koboshi_runtime::time::{until, wake_at};
use koboshi_runtime::{
    Description, Duration, Exit, Instant, Outcome, PortDescription, RequestPort, ServicePort, Side, Start,
    configuration, join, now,
};
use serde::{Deserialize, Serialize};

/// SOS, for the composer.
pub const DESCRIPTION: Description = Description {
    name: "sos",
    ports: &[
        PortDescription { name: "serial", side: Side::Offers, interface: &serial::INTERFACE },
        PortDescription { name: "driver", side: Side::Uses, interface: &serial::INTERFACE },
        PortDescription { name: "control", side: Side::Uses, interface: &control::INTERFACE },
    ],
    devices: &[],
    interrupts: &[],
    kept: None,
};

/// What the image tells SOS.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Hosts {
    /// The driver's place in the image.
    pub driver: ComponentId,
}

/// What the image gives SOS.
pub struct Io {
    serial: ServicePort,
    driver: RequestPort,
    control: control::Client<RequestPort>,
    hosts: Hosts,
}

impl Io {
    /// Opens SOS's ports.
    ///
    /// # Errors
    /// [`Exit::Unfit`] if the image does not give what SOS needs.
    pub fn open() -> Result<Self, Exit> {
        Ok(Io {
            serial: ServicePort::open_routed::<serial::Port>(0)?,
            driver: RequestPort::open::<serial::Port>(1)?,
            control: control::Client::new(RequestPort::open::<control::Port>(2)?),
            hosts: configuration().ok_or(Exit::Unfit("the driver that is hosted is not named"))?,
        })
    }
}

/// One incarnation, from what the image gives it.
pub async fn start(start: Start) -> Exit {
    match Io::open() {
        Ok(io) => run(start, io).await,
        Err(unfit) => unfit,
    }
}

/// One incarnation. How it begins does not matter: all that counts is in the rings.
pub async fn run(_: Start, mut io: Io) -> Exit {
    io.control.end().cancel_all();
    let late = Cell::new(None);
    let route = Route { client: io.serial, driver: io.driver, held: None, replaying: true, watched: None };
    // The restart manager is told of a driver that is late; what it does about it is its policy.
    let complaint = |epoch| Report { component: io.hosts.driver, epoch, why: Complaint::Late };
    join(route.forward(&late), io.control.end().tell::<control::operation::report>(&late, complaint)).await;
    Exit::Done
}

/// The way from a client to a driver.
struct Route {
    client: ServicePort,
    driver: RequestPort,
    /// Taken, and not yet forwarded for want of room.
    held: Option<Taken>,
    /// The last request that was taken had been in hand at a death, or none was taken yet.
    replaying: bool,
    /// The oldest request that the driver has.
    watched: Option<Watched>,
}

/// A request that this incarnation of the driver has.
struct Watched {
    position: u32,
    /// The driver's incarnation.
    epoch: u32,
    /// When to probe behind it; before that the driver is not late, whatever an earlier incarnation has made of the time.
    probe_at: Instant,
}

/// How long a request may take before SOS probes behind it: four chunks at 115,200 baud.
const PROBE_AFTER: Duration = Duration::from_millis(35);

impl Route {
    async fn forward(mut self, late: &Cell<Option<u32>>) -> Infallible {
        until(|| {
            while self.relay() || self.pass_on() {}
            self.watch(late);
            None
        })
        .await
    }

    /// Answers the oldest request in hand, if the driver has; then lets go of replies that nobody waits for any more.
    fn relay(&mut self) -> bool {
        let asked = self.client.answered();
        if asked != self.client.taken()
            && let Some(position) = self.driver.find(asked.wrapping_add(1))
            && let Some(reply) = self.driver.reply(position)
        {
            let readable = serial::readable(self.driver.operation(position), reply.message.bytes());
            if reply.outcome == Outcome::Answer && !readable {
                self.driver.blame(position, reply.message.header.epoch);
                return false;
            }
            self.client.progress_word(asked).store(reply.progress, Ordering::Relaxed);
            self.client.finish(asked, reply.outcome, reply.message.bytes());
            return true;
        }
        let Some(Outstanding { position, origin, .. }) = self.driver.outstanding().next() else { return false };
        // The reply is consumed only now: had SOS died before the client was answered, it would still be there.
        // Nobody waits for the reply to a probe.
        let answered = origin == 0 || self.client.answered().wrapping_sub(origin) < u32::MAX / 2;
        if answered && self.driver.reply(position).is_some() {
            self.driver.settle(position);
            return true;
        }
        false
    }

    /// Forwards the next request, unless an incarnation before this one has done so.
    fn pass_on(&mut self) -> bool {
        let Some(taken) = self.held.take().or_else(|| self.take()) else { return false };
        let origin = taken.position.wrapping_add(1);
        if taken.replay {
            match self.driver.find(origin) {
                Some(position) if !self.half_written(position, origin) => return true,
                None if self.lost(origin) => {
                    self.client.finish(taken.position, Outcome::Poisoned, &[]);
                    return true;
                }
                _ => {}
            }
        }
        let message = &taken.message;
        let sent = self.driver.send(message.header.tag, origin, message.deadline(), message.bytes());
        if sent.is_none() {
            self.held = Some(taken);
        }
        sent.is_some()
    }

    /// Takes the next request; what was in hand at a death one at a time, because what lies behind may be answered already,
    /// and only a port with nothing in hand passes that.
    fn take(&mut self) -> Option<Taken> {
        if self.replaying && self.client.answered() != self.client.taken() {
            return None;
        }
        let taken = self.client.take()?;
        self.replaying = taken.replay;
        Some(taken)
    }

    /// Whether a death has left the slot with this origin half written, so that it still counts as the older request that
    /// had it: then what lies behind it was forwarded before it. Probes say nothing.
    fn half_written(&self, position: u32, origin: u32) -> bool {
        (1..=u64::BITS)
            .map_while(|ahead| self.driver.request(position.wrapping_add(ahead)))
            .find(|next| next.header.origin != 0)
            .is_some_and(|next| next.header.origin.wrapping_sub(origin) > u32::MAX / 2)
    }

    /// Whether a request that is not to be found was forwarded, and its slot used again: a later one is there.
    fn lost(&self, origin: u32) -> bool {
        self.driver.holds_later(origin)
    }

    /// Notes the driver's epoch when the oldest request has outlived its deadline; probes the driver before that.
    fn watch(&mut self, late: &Cell<Option<u32>>) {
        let Some(Outstanding { position, .. }) = self.driver.outstanding().next() else {
            self.watched = None;
            return;
        };
        let epoch = self.driver.server_epoch();
        self.watched.take_if(|watched| watched.position != position || watched.epoch != epoch);
        let probe_at = self.watched.get_or_insert(Watched { position, epoch, probe_at: now() + PROBE_AFTER }).probe_at;
        let deadline = self.driver.deadline(position);
        if now() >= probe_at {
            self.driver.probe::<serial::operation::status>(position, deadline);
        } else {
            wake_at(probe_at);
        }
        if deadline > now() {
            wake_at(deadline);
        } else if deadline > Instant::from_ticks(0) && now() >= probe_at {
            // Not one that was cancelled.
            late.set(Some(epoch));
        }
    }
}
