//! From an image to what a machine runs: memory, ports, seats and the kernel's tables.
//!
//! Job: give each thing of an image its place and its number. It must never run anything.

use koboshi_core::kernel::{Component, Kernel, Life, Line, Port, Record, Tables};
use koboshi_core::record::{Contracts, Half, Sealed, ServiceRecord, StreamRecord};
use koboshi_core::ring::LINE_WORDS;
use koboshi_core::sync::AtomicU32;
use koboshi_core::{ComponentId, LineId, PortId};
use koboshi_interface_kit::{ContractKind, Kind};
use koboshi_runtime::kept;
use koboshi_runtime::platform::PortMemory;

use crate::fitness::{ImageError, geometry};
use crate::image::{Image, WhenGone};
use crate::lend::Lender;
use crate::machine::keys_of;
use crate::world::Seat;

/// One end of a connection, as its component has it.
#[derive(Clone, Copy)]
struct Joined {
    id: PortId,
    peer: ComponentId,
    memory: PortMemory,
}

/// Memory whose first word begins a cache line.
fn aligned(lender: &mut Lender<'_>, words: usize) -> &'static [AtomicU32] {
    let all: &'static [AtomicU32] =
        lender.lend((0..words + LINE_WORDS).map(|_| AtomicU32::new(0)).collect::<Box<[_]>>());
    let skip = all.as_ptr().align_offset(64).min(LINE_WORDS);
    &all[skip..skip + words]
}

/// An image in its place.
pub(crate) struct Assembly {
    /// All memory that components share and keep.
    pub(crate) memory: &'static [AtomicU32],
    /// How much of that, from its beginning, is the ports'.
    pub(crate) halves: usize,
    pub(crate) seats: Vec<Seat>,
    pub(crate) kernel: Kernel<'static>,
}

/// Lends an image its memory, and makes the kernel's tables of it, with room for so many incidents.
///
/// # Errors
/// [`ImageError`], which the composer should have prevented.
pub(crate) fn assemble(image: &Image, lender: &mut Lender<'_>, incidents: usize) -> Result<Assembly, ImageError> {
    let count = image.components.len();
    let mut halves = 0;
    for (number, connection) in image.connections.iter().enumerate() {
        let slots = geometry(number, connection)?;
        let far = (connection.interface.kind == Kind::Service).then_some(slots);
        halves += Half::words(Some(slots)) + Half::words(far);
    }
    let kept_words = kept::WORDS.next_multiple_of(LINE_WORDS);
    let memory = aligned(lender, halves + kept_words * count);
    let (mut rest, kept_memory) = memory.split_at(halves);
    let mut cut = |words: usize| {
        let (head, tail) = rest.split_at(words);
        rest = tail;
        head
    };

    let mut ports = Vec::new();
    let mut by_component: Vec<Vec<Option<Joined>>> =
        image.components.iter().map(|c| vec![None; c.linked.description().ports.len()]).collect();
    for (number, connection) in image.connections.iter().enumerate() {
        let slots = geometry(number, connection)?;
        let service = connection.interface.kind == Kind::Service;
        let (near_slots, far_slots) = (Some(slots), service.then_some(slots));
        let (near, far) = (cut(Half::words(near_slots)), cut(Half::words(far_slots)));
        let error = |why| ImageError::Connection { number, path: connection.interface.path, why };
        let half = |words, slots| Half::new(words, slots).ok_or_else(|| error("its memory has the wrong size"));
        let (near_half, far_half) = (half(near, near_slots)?, half(far, far_slots)?);
        let record = if service {
            let contracts = Contracts {
                at_most_once: connection.interface.mask(ContractKind::AtMostOnce),
                idempotent: connection.interface.mask(ContractKind::Idempotent),
                routed: connection.routed,
            };
            Record::Service(ServiceRecord { client: near_half, server: far_half }, contracts)
        } else {
            Record::Stream(StreamRecord { producer: near_half, consumer: far_half })
        };
        let id = PortId(ports.len() as u16);
        let key = connection.interface.key.0;
        for (end, peer, memory) in [
            (
                connection.near,
                connection.far.component,
                PortMemory { own: near, peer: far, own_slots: near_slots, peer_slots: far_slots, key },
            ),
            (
                connection.far,
                connection.near.component,
                PortMemory { own: far, peer: near, own_slots: far_slots, peer_slots: near_slots, key },
            ),
        ] {
            let place = by_component
                .get_mut(end.component.index())
                .and_then(|ports| ports.get_mut(usize::from(end.port)))
                .ok_or_else(|| error("one of its ends does not exist"))?;
            if place.replace(Joined { id, peer, memory }).is_some() {
                return Err(error("one of its ends is connected already"));
            }
        }
        let (near, far) = (connection.near.component, connection.far.component);
        ports.push(Port { near, far, record, waits: service && connection.when_gone == WhenGone::Wait });
    }

    let (mut components, mut lines, mut seats) = (vec![], vec![], vec![]);
    for (at, component) in image.components.iter().enumerate() {
        let id = ComponentId(at as u8);
        let description = component.linked.description();
        let joined = &by_component[at];
        let list: Box<[_]> = joined.iter().map(|place| place.map_or(PortId::NONE, |joined| joined.id)).collect();
        let first = lines.len();
        lines.extend(description.interrupts.iter().map(|_| Line::new(id)));
        components.push(Component {
            name: lender.lend(component.name.clone().into_boxed_str()),
            vcpu: component.vcpu,
            respond_within: component.respond_within,
            recover_within: component.recover_within,
            swappable: component.swappable,
            ports: lender.lend(list),
            lines: lender.lend((first..lines.len()).map(|line| LineId(line as u8)).collect::<Box<[_]>>()),
            rights: component.rights,
        });
        seats.push(Seat {
            ports: joined.iter().map(|place| place.map(|joined| joined.memory)).collect(),
            peers: joined.iter().map(|place| place.map(|joined| joined.peer)).collect(),
            kept: &kept_memory[at * kept_words..][..kept::WORDS],
            reads: keys_of(description).into(),
            configuration: lender.lend(component.configuration.clone().into_boxed_slice()),
            points: 0.into(),
            knock: None.into(),
            hung: false.into(),
        });
    }

    let tables = Tables {
        components: lender.lend(components.into_boxed_slice()),
        lives: lender.lend(vec![Life::default(); count].into_boxed_slice()),
        sealed: lender.lend(vec![Sealed::default(); ports.len()].into_boxed_slice()),
        ports: lender.lend(ports.into_boxed_slice()),
        lines: lender.lend(lines.into_boxed_slice()),
        incidents: lender.lend(vec![None; incidents].into_boxed_slice()),
        manager: image.manager,
    };
    let kernel = Kernel::new(tables).ok_or(ImageError::Components { found: count })?;
    Ok(Assembly { memory, halves, seats, kernel })
}
