//! An address for everything. All are physical ones; a component sees the same.
//!
//! From the address of loading on: the kernel; each component's page to read, with its configuration; each component's
//! *place*, which is as large as it has to be: constants, variables, guard, the module's stack, guard, the machine's stack,
//! code, and what its variables are at the beginning (or, where others may take its place, the program that its room begins
//! with); then, behind the file, what components share and keep, and rooms.
//!
//! Rule: a component's outboxes lie side by side, each on pages of its own. So one region lets it write them all, and a
//! peer reads exactly those to itself.

use std::collections::BTreeMap;
use std::ops::Range;

use koboshi_core::record::Half;
use koboshi_core::ring::Geometry;
use koboshi_host::image::{Connection, PortEnd};
use koboshi_interface_kit::Kind;
use koboshi_runtime::kept;
use koboshi_sh4::tools::Trouble;
use koboshi_sh4_abi::{MAX_DEVICES, MAX_PORTS, PAGE, room};

use crate::line_end::{self, LineEnd};
use crate::program::room_of;
use crate::request::Request;

/// The kernel's code and constants.
pub(crate) const KERNEL_CODE: u32 = 0x1_0000;
/// All of the kernel's: code, data, stacks.
pub(crate) const KERNEL: u32 = 0x4_0000;
/// The machine's stack of a component, in bytes.
pub(crate) const STACK: u32 = 0x2000;
/// The module's own stack, in bytes, at least.
pub(crate) const SHADOW: u32 = 0x2000;
/// The most bytes of a configuration.
const CONFIGURATION: u32 = 0x1_0000;

/// A half of a connection.
#[derive(Clone, Copy)]
pub(crate) struct PlacedHalf {
    pub(crate) address: u32,
    pub(crate) words: u32,
    pub(crate) slots: Option<Geometry>,
}

/// A connection, with its memory.
#[derive(Clone, Copy)]
pub(crate) struct PlacedConnection {
    pub(crate) near: PlacedHalf,
    pub(crate) far: PlacedHalf,
}

/// Where a component is whose place others may take.
#[derive(Clone, Debug)]
pub(crate) struct PlacedRoom {
    /// The first address of each room.
    pub(crate) at: [u32; 2],
    /// Where its variables are: so many bytes as a room has.
    pub(crate) variables: u32,
    pub(crate) shadow: Range<u32>,
    pub(crate) stack: Range<u32>,
    /// What lies below both stacks, and is not mapped.
    pub(crate) guards: [Range<u32>; 2],
}

/// Bytes of what survives a reset.
const RECORD: u32 = 4 * koboshi_sh4_abi::words::record(INCIDENTS);
/// Incidents that are remembered: a power of 2, of 32 at most.
pub(crate) const INCIDENTS: u32 = 32;

/// Where everything is.
pub(crate) struct Layout {
    /// Of each component: the page to read, and its configuration behind it.
    pub(crate) views: Vec<Range<u32>>,
    /// Of each component: the page with kept state, and the word of its windows.
    pub(crate) kept: Vec<u32>,
    /// Of each component: all its outboxes.
    pub(crate) outboxes: Vec<Range<u32>>,
    /// From whom to whom: an outbox.
    pub(crate) outbox: BTreeMap<(usize, usize), Range<u32>>,
    /// The connections, with their memory.
    pub(crate) connections: Vec<PlacedConnection>,
    /// The halves of lines' ends, each with its first address: the application's, and the program's.
    pub(crate) line_ends: Vec<[u32; 2]>,
    /// All pages of kept state, all outboxes, and the variables and stacks of those whose place others may take.
    pub(crate) shared: Range<u32>,
    /// Of each component whose place others may take: where that is.
    pub(crate) rooms: Vec<Option<PlacedRoom>>,
    /// What survives a reset of the machine: address and bytes.
    pub(crate) record: (u32, u32),
    /// The first address behind everything.
    pub(crate) end: u32,
}

/// The word of a component's windows, in its page of kept state.
pub(crate) const fn window(kept: u32) -> u32 {
    kept + PAGE - 4
}

const _: () = assert!(kept::WORDS * 4 < PAGE as usize, "the word of the windows lies behind kept state");

fn shape(number: usize, connection: &Connection) -> Result<(Option<Geometry>, Option<Geometry>), Trouble> {
    let slots = Geometry::new(connection.slots, connection.interface.payload).ok_or_else(|| {
        Trouble::new(
            format!("connection {number} ({}) has rings that cannot be made", connection.interface.path),
            "compose it anew: the composer refuses such a connection.",
        )
    })?;
    Ok((Some(slots), (connection.interface.kind == Kind::Service).then_some(slots)))
}

/// The size of a half in bytes: it begins a cache line of 64 bytes.
fn bytes(slots: Option<Geometry>) -> u32 {
    (Half::words(slots) as u32 * 4).next_multiple_of(64)
}

/// What components read: the page that tells them what they are, and their configurations behind it.
fn views(request: &Request<'_>) -> Vec<Range<u32>> {
    let mut at = request.board.load + KERNEL;
    let view = |configuration: &Vec<u8>| {
        let start = at;
        // A page for it at least: so what lies behind stays where it is when a short one changes.
        at += PAGE + (configuration.len() as u32).next_multiple_of(PAGE).max(PAGE);
        start..at
    };
    request.image.components.iter().map(|component| &component.configuration).map(view).collect()
}

/// The first address that components' places can have.
pub(crate) fn places(request: &Request<'_>) -> u32 {
    views(request).last().map_or(request.board.load + KERNEL, |last| last.end)
}

/// Refuses what has no room in the page that a component reads.
pub(crate) fn check(request: &Request<'_>) -> Result<(), Trouble> {
    for component in &request.image.components {
        let description = component.linked.description();
        let (ports, devices) = (description.ports.len(), description.devices.len());
        if ports > MAX_PORTS || devices > MAX_DEVICES {
            return Err(Trouble::new(
                format!("`{}` has {ports} ports and {devices} devices", component.name),
                format!("on SH-4 a component has at most {MAX_PORTS} ports and {MAX_DEVICES} devices: divide it."),
            ));
        }
        if component.configuration.len() > CONFIGURATION as usize {
            return Err(Trouble::new(
                format!("the configuration of `{}` has {} bytes", component.name, component.configuration.len()),
                format!("on SH-4 there is room for {CONFIGURATION}."),
            ));
        }
    }
    for (component, room) in request.image.components.iter().zip(&request.rooms) {
        if room.is_some_and(|given| room_of(given).is_none()) {
            return Err(Trouble::new(
                format!("the `room` of `{}` has no room for a program beside its stacks", component.name),
                format!("give it some pages more than {} bytes.", 2 * room::STACK),
            ));
        }
    }
    Ok(())
}

impl Layout {
    /// Finds a place for everything but the components themselves, which end before `places_end`.
    pub(crate) fn of(request: &Request<'_>, ends: &[LineEnd], places_end: u32) -> Result<Self, Trouble> {
        let image = request.image;
        let count = image.components.len();
        let mut at = places_end;
        let mut take_at = |size: u32, multiple: u32| {
            let taken = at.next_multiple_of(multiple);
            at = taken + size.next_multiple_of(PAGE);
            taken
        };
        let mut rooms: Vec<Option<PlacedRoom>> = (0..count)
            .map(|number| {
                let size = request.room(number).and_then(room_of)?;
                let mut stack = || {
                    let guard = take_at(PAGE, PAGE);
                    let stack = take_at(room::STACK, PAGE);
                    (guard..stack, stack..stack + room::STACK)
                };
                let ((below_shadow, shadow), (below_stack, stack)) = (stack(), stack());
                let variables = take_at(size, room::COLOURS);
                Some(PlacedRoom { at: [0; 2], variables, shadow, stack, guards: [below_shadow, below_stack] })
            })
            .collect();
        let mut take = |size: u32| take_at(size, PAGE);
        let views = views(request);
        let kept = (0..count).map(|_| take(PAGE)).collect();

        // Who writes how much to whom.
        let mut shapes = Vec::new();
        let mut sizes: BTreeMap<(usize, usize), u32> = BTreeMap::new();
        for (number, connection) in image.connections.iter().enumerate() {
            let (near_slots, far_slots) = shape(number, connection)?;
            shapes.push((near_slots, far_slots));
            let (near, far) = (connection.near.component.index(), connection.far.component.index());
            *sizes.entry((near, far)).or_default() += bytes(near_slots);
            *sizes.entry((far, near)).or_default() += bytes(far_slots);
        }
        for end in ends {
            let (one, other) = (end.application.component.index(), end.program.component.index());
            *sizes.entry((one, other)).or_default() += line_end::SIZE;
            *sizes.entry((other, one)).or_default() += line_end::SIZE;
        }
        let mut outbox = BTreeMap::new();
        for (&(owner, peer), &size) in &sizes {
            let start = take(size);
            outbox.insert((owner, peer), start..start + size.next_multiple_of(PAGE));
        }
        let outboxes = (0..count)
            .map(|owner| {
                let mut own = outbox.range((owner, 0)..(owner + 1, 0)).map(|(_, range)| range.clone());
                let first = own.next().unwrap_or(0..0);
                first.start..own.next_back().map_or(first.end, |last| last.end)
            })
            .collect();
        let mut used: BTreeMap<(usize, usize), u32> = outbox.iter().map(|(pair, range)| (*pair, range.start)).collect();
        let mut next = |from: PortEnd, to: PortEnd, size| {
            let next = used.get_mut(&(from.component.index(), to.component.index()))?;
            let address = *next;
            *next += size;
            Some(address)
        };
        let line_ends: Option<Vec<[u32; 2]>> = ends
            .iter()
            .map(|LineEnd { application, program, .. }| {
                let mut half = |from, to| next(from, to, line_end::SIZE);
                Some([half(*application, *program)?, half(*program, *application)?])
            })
            .collect();
        let mut half = |from: PortEnd, to: PortEnd, slots| {
            let address = next(from, to, bytes(slots))?;
            Some(PlacedHalf { address, words: Half::words(slots) as u32, slots })
        };
        let connections: Option<Vec<PlacedConnection>> = image
            .connections
            .iter()
            .zip(&shapes)
            .map(|(connection, (near_slots, far_slots))| {
                let (near, far) = (connection.near, connection.far);
                Some(PlacedConnection { near: half(near, far, *near_slots)?, far: half(far, near, *far_slots)? })
            })
            .collect();
        let record = (take(RECORD), RECORD);
        let shared = places_end..record.0;
        // Behind what is cleared when the image begins anew. A room ends where a colour begins.
        for (room, given) in rooms.iter_mut().zip(&request.rooms) {
            let (Some(room), Some(size)) = (room, given.and_then(room_of)) else { continue };
            let whole = size.next_multiple_of(room::COLOURS);
            room.at = [0; 2].map(|_| take_at(whole, room::COLOURS) + whole - size);
        }
        let end = at;
        if end > request.board.end {
            return Err(Trouble::new(
                format!(
                    "the image needs memory up to {end:#010x}, and {} has it up to {:#010x}",
                    request.board.name,
                    { request.board.end }
                ),
                "take components or slots out.",
            ));
        }
        let (connections, line_ends) = (connections.unwrap_or_default(), line_ends.unwrap_or_default());
        Ok(Layout { views, kept, outboxes, outbox, connections, line_ends, shared, rooms, record, end })
    }
}
