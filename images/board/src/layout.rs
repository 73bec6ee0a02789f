//! An address for everything. All are physical ones; a component sees the same.
//!
//! From the address of loading on: the kernel; each component's page to read, with its configuration; each component's
//! *place*, which is as large as it has to be: constants, variables, guard, the module's stack, guard, the machine's stack,
//! code, and what its variables are at the beginning; then, behind the file, what components share and keep.
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
use koboshi_sh4_abi::{MAX_DEVICES, MAX_PORTS, PAGE};

use crate::line_end::{self, LineEnd};
use crate::request::Request;

/// The kernel's code and constants.
pub(crate) const KERNEL_CODE: u32 = 0x1_0000;
/// All of the kernel's: code, data, stacks.
pub(crate) const KERNEL: u32 = 0x4_0000;
/// The machine's stack of a component, in bytes.
pub(crate) const STACK: u32 = 0x2000;
/// The module's own stack, in bytes, at least.
pub(crate) const SHADOW: u32 = 0x2000;
/// Bytes of the page to read and of the configuration behind it.
pub(crate) const VIEW: u32 = 2 * PAGE;

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

/// Bytes of what survives a reset.
const RECORD: u32 = 4 * koboshi_sh4_abi::words::record(INCIDENTS);
/// Incidents that are remembered: a power of 2, of 32 at most.
pub(crate) const INCIDENTS: u32 = 32;

/// Where everything is.
pub(crate) struct Layout {
    /// Of each component: the page to read.
    pub(crate) views: Vec<u32>,
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
    /// All pages of kept state and all outboxes.
    pub(crate) shared: Range<u32>,
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

/// The first address that components' places can have.
pub(crate) fn places(request: &Request<'_>) -> u32 {
    request.board.load + KERNEL + VIEW * request.image.components.len() as u32
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
        if component.configuration.len() > PAGE as usize {
            return Err(Trouble::new(
                format!("the configuration of `{}` has {} bytes", component.name, component.configuration.len()),
                format!("on SH-4 there is room for {PAGE}."),
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
        let mut take = |size: u32| {
            let taken = at;
            at += size.next_multiple_of(PAGE);
            taken
        };
        let views = (0..count as u32).map(|number| request.board.load + KERNEL + VIEW * number).collect();
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
        Ok(Layout { views, kept, outboxes, outbox, connections, line_ends, shared, record, end })
    }
}
