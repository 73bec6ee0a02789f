//! How much room an image leaves: time until deadlines and until a receiver is full, and memory.
//!
//! Job: the sums, once, for the rules of [`compose`](crate::compose()) and for `koboshi report`.
//!
//! It must never: judge. What is too little is a rule's business.

use koboshi_core::record::Half;
use koboshi_core::ring::{Geometry, LINE_WORDS};
use koboshi_host::image::{Connection, Costs};
use koboshi_host::linked::Linked;
use koboshi_interface_kit::{Interface, Kind, Row};
use koboshi_interfaces::serial::Line;
use koboshi_runtime::kept;

use crate::manifest::{ComponentManifest, ImageManifest, SerialSettings};
use crate::policy;
use crate::units::Quantity;

/// Turns of other components between a fault and the new incarnation's first wait: the manager's, and its own.
const TURNS_OF_A_RECOVERY: u64 = 10;

/// Bytes of a word of shared memory.
const WORD: u64 = size_of::<u32>() as u64;

/// What a component's package says of it.
pub(crate) struct Seat<'a> {
    pub(crate) linked: &'a Linked,
    pub(crate) manifest: &'a ComponentManifest,
}

/// A server on the way of a request. All times are in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Hop {
    /// Its place among the components.
    pub(crate) server: usize,
    /// How long a hang goes unnoticed.
    pub(crate) notice: u64,
    /// How long it may take to recover then; `None` if nothing is promised.
    pub(crate) recover: Option<u64>,
    /// The first pause of its group.
    pub(crate) backoff: u64,
}

impl Hop {
    /// How long it keeps others waiting by one hang.
    pub(crate) fn total(&self) -> u64 {
        self.notice.saturating_add(self.recover.unwrap_or(0)).saturating_add(self.backoff)
    }

    /// The parts of that, in words.
    pub(crate) fn sum(&self) -> String {
        let write = |time| Quantity::Time.write(time);
        let (notice, recover) = (write(self.notice), write(self.recover.unwrap_or(0)));
        let backoff = if self.backoff == 0 { String::new() } else { format!(" + {} to pause", write(self.backoff)) };
        format!("{notice} to notice + {recover} to recover{backoff}")
    }
}

/// The way of a request: from a client through those who forward it to the one who carries it out.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    /// The place of its first connection in the manifest.
    pub(crate) connection: usize,
    /// What is asked.
    pub(crate) interface: &'static Interface,
    /// The operation with the shortest deadline.
    pub(crate) operation: &'static Row,
    /// The servers on it.
    pub(crate) hops: Vec<Hop>,
}

impl Way {
    /// The shortest deadline of its operations.
    pub(crate) fn deadline(&self) -> u64 {
        self.operation.deadline.as_ticks()
    }

    /// The servers who promise a recovery.
    pub(crate) fn promised(&self) -> impl Iterator<Item = &Hop> {
        self.hops.iter().filter(|hop| hop.recover.is_some())
    }

    /// How long a request waits if each of these hangs and recovers once.
    pub(crate) fn needs(&self) -> u64 {
        self.promised().map(Hop::total).fold(0, u64::saturating_add)
    }

    /// What is left of the deadline then; `None` if nobody on the way promises a recovery.
    pub(crate) fn slack(&self) -> Option<i128> {
        self.promised().next()?;
        Some(i128::from(self.deadline()) - i128::from(self.needs()))
    }
}

/// The receiver of a serial interface. All times are in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    /// The device's place in the manifest.
    pub(crate) device: usize,
    /// The hardware stops the sender.
    pub(crate) flow: bool,
    /// Line time from the interrupt until the FIFO is full.
    pub(crate) room: u64,
    /// Until a hang of its driver is noticed, and the driver is up again.
    pub(crate) needs: u64,
}

impl Receiver {
    /// Whether bytes can be lost while its driver recovers.
    pub(crate) fn loses(&self) -> bool {
        !self.flow && self.room <= self.needs
    }
}

/// What a component takes of the memory, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MemoryUse {
    /// What it keeps between two waits.
    pub(crate) future: u64,
    /// What its manifest gives it; what it keeps, if the manifest does not say.
    pub(crate) own: u64,
    /// Its outboxes: the rings that it writes, with their positions.
    pub(crate) rings: u64,
    /// Its kept state.
    pub(crate) kept: u64,
}

impl MemoryUse {
    pub(crate) fn total(&self) -> u64 {
        self.own.saturating_add(self.rings).saturating_add(self.kept)
    }
}

/// All of an image.
#[derive(Clone, Debug, Default)]
pub(crate) struct Margins {
    /// One for each service connection.
    pub(crate) ways: Vec<Way>,
    /// One for each serial interface.
    pub(crate) receivers: Vec<Receiver>,
    /// One for each component.
    pub(crate) memory: Vec<MemoryUse>,
}

impl Margins {
    pub(crate) fn of(
        image: &ImageManifest,
        costs: &Costs,
        seats: &[Option<Seat<'_>>],
        connections: &[Connection],
        groups: &[policy::Found],
    ) -> Self {
        Margins {
            ways: ways(image, connections, groups),
            receivers: receivers(image, costs),
            memory: memory(seats, connections),
        }
    }

    pub(crate) fn memory_total(&self) -> u64 {
        self.memory.iter().map(MemoryUse::total).fold(0, u64::saturating_add)
    }
}

fn ways(image: &ImageManifest, connections: &[Connection], groups: &[policy::Found]) -> Vec<Way> {
    // A component's own requests, by component: so that no way looks at all connections.
    let mut asked = vec![Vec::new(); image.components.len()];
    for connection in connections.iter().filter(|connection| connection.interface.kind == Kind::Service) {
        if let Some(own) = asked.get_mut(connection.near.component.index()) {
            own.push(connection);
        }
    }
    let hop = |server: usize| {
        let instance = image.components.get(server)?;
        let home = policy::home(groups, server).and_then(|home| image.groups.get(home));
        Some(Hop {
            server,
            notice: instance.respond_within.value,
            recover: instance.recover_within.as_ref().map(|bound| bound.value),
            backoff: home.map_or(0, |group| group.backoff_first.value),
        })
    };
    let mut ways = Vec::new();
    for (place, connection) in connections.iter().enumerate() {
        let shortest = connection.interface.operations.iter().min_by_key(|row| row.deadline);
        let Some(operation) = shortest else { continue };
        let mut hops = Vec::new();
        let mut at = connection;
        // A way that goes round in a circle ends too.
        while hops.len() < image.components.len() {
            let server = at.far.component.index();
            hops.extend(hop(server));
            let next = asked.get(server).into_iter().flatten().find(|next| next.interface.key == at.interface.key);
            match next.filter(|_| at.routed) {
                Some(next) => at = next,
                None => break,
            }
        }
        ways.push(Way { connection: place, interface: connection.interface, operation, hops });
    }
    ways
}

fn receivers(image: &ImageManifest, costs: &Costs) -> Vec<Receiver> {
    let mut receivers = Vec::new();
    for (device, found) in image.devices.iter().enumerate() {
        let Some(SerialSettings { fifo, baud, flow, .. }) = found.settings.serial() else { continue };
        let owner = found.owner.value.split('.').next().unwrap_or_default();
        let Some(owner) = image.components.iter().find(|instance| instance.name.value == owner) else { continue };
        // The driver's trigger is the second of four: a quarter of the FIFO. The rest is room while it is away.
        let free = fifo.value.saturating_sub(fifo.value / 4);
        let byte = Line { baud: u32::try_from(baud.value).unwrap_or(u32::MAX), ..Line::default() }.byte_time();
        let usual = costs.start.saturating_add(costs.turn.saturating_mul(TURNS_OF_A_RECOVERY));
        let recover = owner.recover_within.as_ref().map_or(usual, |bound| bound.value);
        let needs = owner.respond_within.value.saturating_add(recover);
        receivers.push(Receiver { device, flow: *flow, room: free.saturating_mul(byte.as_ticks()), needs });
    }
    receivers
}

fn memory(seats: &[Option<Seat<'_>>], connections: &[Connection]) -> Vec<MemoryUse> {
    let of = |seat: &Option<Seat<'_>>| {
        let Some(Seat { linked, manifest }) = seat else { return MemoryUse::default() };
        let future = linked.size() as u64;
        let kept = if manifest.keeps.value { kept::WORDS.next_multiple_of(LINE_WORDS) as u64 * WORD } else { 0 };
        MemoryUse { future, own: manifest.memory.as_ref().map_or(future, |memory| memory.value), rings: 0, kept }
    };
    let mut uses: Vec<MemoryUse> = seats.iter().map(of).collect();
    for connection in connections {
        let slots = Geometry::new(connection.slots, connection.interface.payload);
        let replies = slots.filter(|_| connection.interface.kind == Kind::Service);
        for (end, slots) in [(connection.near, slots), (connection.far, replies)] {
            if let Some(found) = uses.get_mut(end.component.index()) {
                found.rings += Half::words(slots) as u64 * WORD;
            }
        }
    }
    uses
}
