//! How one component is, at a glance: what `ps` shows.
//!
//! Rules: it only looks. Rings are read as a peer reads them, bounded by their size, whatever their words say; it changes
//! nothing, so that a run that is looked at is the same run.

use koboshi_core::ComponentId;
use koboshi_core::life::{Fault, State};
use koboshi_core::record::{Half, Position};
use koboshi_core::ring::Ready;
use koboshi_interface_kit::Kind;
use koboshi_runtime::describe::{Description, PortDescription, Side};
use koboshi_runtime::platform::PortMemory;

use crate::image::DeviceModelKind;
use crate::world::World;

/// How one component is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its name in the image.
    pub name: String,
    /// Where it stands.
    pub state: State,
    /// Its present or last epoch.
    pub epoch: u32,
    /// Its VCPU; 0 has the highest priority.
    pub vcpu: u8,
    /// How often it was started since the image booted, but for the first time.
    pub restarts: u32,
    /// What ended its last incarnation, if that was a fault.
    pub fault: Option<Fault>,
    /// Requests at its service ports that are not answered, but for those that their clients have given up.
    pub waiting: u32,
    /// The one of them that has waited longest. A ring knows no times: of several ports, the one whose deadline is nearest.
    pub oldest: Option<Unanswered>,
    /// What went through its devices; `None` if it has none.
    pub bytes: Option<Bytes>,
}

/// A request that waits for its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// The server's port.
    pub port: &'static str,
    /// What is asked; `None` if the request names no operation of the interface.
    pub operation: Option<&'static str>,
    /// Who asks.
    pub client: String,
    /// When the client stops waiting, in platform time; `None`: never.
    pub deadline: Option<u64>,
}

/// Bytes that went through the devices of one component since the image booted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// Taken from devices.
    pub taken: u64,
    /// Given to devices.
    pub given: u64,
}

impl DeviceModelKind {
    /// What its owners took from it and gave to it since it was made.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        match self {
            DeviceModelKind::Scif(scif) => {
                let counters = scif.counters();
                Bytes { taken: counters.popped, given: counters.pushed }
            }
            DeviceModelKind::Ns16550(uart) => {
                let counters = uart.counters();
                Bytes { taken: counters.popped, given: counters.pushed }
            }
            DeviceModelKind::Application(end) => Bytes { taken: end.popped(), given: end.pushed() },
            DeviceModelKind::Program(_) => Bytes::default(),
        }
    }
}

/// The requests at a service port that wait for an answer: operation and deadline, oldest first.
fn unanswered(memory: &PortMemory) -> Vec<(u8, u64)> {
    let (server, client) = (Half::new(memory.own, memory.own_slots), Half::new(memory.peer, memory.peer_slots));
    let (Some(server), Some(client)) = (server, client) else { return vec![] };
    let (Some(replies), Some(requests)) = (server.slots(), client.slots()) else { return vec![] };
    let consumed = client.get(Position::Consumed);
    let all = (0..requests.geometry().slots()).map(|ahead| consumed.wrapping_add(ahead));
    let open = all.filter(|at| requests.ready(*at) == Ready::Yes && replies.ready(*at) != Ready::Yes);
    // A deadline at the beginning of time is that of a request that its client has given up.
    open.map(|at| (requests.tag_and_origin(at).0, requests.deadline(at)))
        .filter(|(_, deadline)| *deadline > 0)
        .collect()
}

impl World {
    /// How a component is; `None` for no such component.
    pub(crate) fn status(&self, id: ComponentId, description: &Description, names: &[String]) -> Option<Status> {
        let kernel = self.kernel.borrow();
        let (facts, component) = (kernel.facts(id)?, kernel.component(id)?);
        let seat = self.seats.get(id.index())?;
        let (mut waiting, mut oldest) = (0, None::<(u64, Unanswered)>);
        for ((port, memory), client) in description.ports.iter().zip(&seat.ports).zip(&seat.peers) {
            let PortDescription { name, side: Side::Offers, interface } = port else { continue };
            let (Some(memory), Some(client), Kind::Service) = (memory, client, interface.kind) else { continue };
            let found = unanswered(memory);
            waiting += found.len() as u32;
            let Some((operation, deadline)) = found.first().copied() else { continue };
            if oldest.as_ref().is_none_or(|(nearest, _)| deadline < *nearest) {
                let row = interface.operations.iter().find(|row| row.index == operation);
                let request = Unanswered {
                    port: name,
                    operation: row.map(|row| row.name),
                    client: names.get(client.index()).cloned().unwrap_or_default(),
                    deadline: (deadline != u64::MAX).then_some(deadline),
                };
                oldest = Some((deadline, request));
            }
        }
        let devices = self.devices.borrow();
        let through = devices.iter().filter(|fitted| fitted.owner == id).map(|fitted| fitted.model.bytes());
        Some(Status {
            name: names.get(id.index())?.clone(),
            state: facts.state,
            epoch: facts.epoch,
            vcpu: component.vcpu,
            restarts: facts.starts.count().saturating_sub(1),
            fault: facts.fault,
            waiting,
            oldest: oldest.map(|(_, request)| request),
            bytes: through.reduce(|sum, more| Bytes { taken: sum.taken + more.taken, given: sum.given + more.given }),
        })
    }
}
