//! `koboshi report`: what an image is, as text, as JSON or as a graph.
//!
//! Job: gather everything once, with names instead of numbers; `text` and `dot` only write it down.
//!
//! The rule: field names of the JSON stay the same, and carry their unit.

use std::collections::HashSet;
use std::path::PathBuf;

use koboshi_board::LINE_END_ROOM;
use koboshi_core::ComponentId;
use koboshi_host::image::{self, ImageDevice, PortEnd, WhenGone};
use koboshi_interface_kit::Kind;
use serde::Serialize;

use super::check::{print_json, show_warnings};
use super::{FINE, Paint, WRONG, manifest_of, print_out, show_problems};
use crate::compose::{bits, window};
use crate::manifest::{DeviceSettings, GroupManifest, ImageDeviceManifest, Layout, PlatformKind, StrategyKind};
use crate::margins::{self, Way};
use crate::registry::packages;
use crate::{Composed, compose, policy};

mod dot;
mod text;

/// Arguments of `koboshi report`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The image's manifest, such as images/host.toml [default: the one that is built in]
    image: Option<PathBuf>,
    /// Print JSON
    #[arg(long, conflicts_with = "dot")]
    json: bool,
    /// Print a graph for Graphviz: pipe it into `dot -Tsvg`
    #[arg(long, value_enum, value_name = "GRAPH")]
    dot: Option<Graph>,
}

/// A graph.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Graph {
    /// Who is joined to whom
    Ports,
    /// Who restarts whom
    Restarts,
}

/// Composes, and shows all of it, or all that is wrong.
pub(super) fn run(arguments: &Arguments) -> i32 {
    let (name, manifest) = match manifest_of(arguments.image.as_ref()) {
        Ok(found) => found,
        Err(code) => return code,
    };
    let composed = match compose(&name, &manifest, &packages()) {
        Ok(composed) => composed,
        Err(problems) => {
            show_problems(&problems);
            return WRONG;
        }
    };
    let report = Report::of(name, &composed);
    match arguments.dot {
        Some(Graph::Ports) => print_out(&dot::ports(&report)),
        Some(Graph::Restarts) => print_out(&dot::restarts(&report)),
        None if arguments.json => return print_json(&report, FINE),
        None => {
            show_warnings(&composed.warnings);
            print_out(&text::text(&report, Paint::stdout()));
        }
    }
    FINE
}

#[derive(Serialize)]
struct Report {
    image: String,
    platform: &'static str,
    manager: Option<String>,
    packages_signed_by: Vec<String>,
    components: Vec<Component>,
    connections: Vec<Connection>,
    open_ports: Vec<String>,
    groups: Vec<Group>,
    memory: Memory,
    devices: Vec<Device>,
    deadlines: Vec<Deadline>,
    receivers: Vec<Receiver>,
    not_enforced: Vec<&'static str>,
    warnings: usize,
}

#[derive(Serialize)]
struct Component {
    name: String,
    package: String,
    vcpu: u8,
    respond_within_ns: u64,
    recover_within_ns: Option<u64>,
    /// A group; `None`: the kernel.
    restarted_by_group: Option<String>,
    controls: Vec<String>,
    reads_facts: bool,
    blames: bool,
    reboots: bool,
    memory: ComponentMemory,
    /// `None`: no package may take its place while the image runs.
    swappable: Option<Swappable>,
}

#[derive(Serialize)]
struct Swappable {
    packages: Vec<String>,
    room_bytes: u32,
    lowest_version: String,
    quiesce_within_ns: u64,
    answers: u32,
    probation_ns: u64,
}

#[derive(Serialize)]
struct ComponentMemory {
    future_bytes: u64,
    given_bytes: u64,
    rings_bytes: u64,
    kept_bytes: u64,
    total_bytes: u64,
}

#[derive(Serialize)]
struct Connection {
    from: String,
    to: String,
    interface: &'static str,
    kind: &'static str,
    slots: u32,
    message_bytes: usize,
    forwarded: bool,
    /// `None` for a stream, whose items always wait.
    when_gone: Option<&'static str>,
}

#[derive(Serialize)]
struct Group {
    name: String,
    members: Vec<String>,
    strategy: &'static str,
    intensity: u8,
    period_ns: u64,
    backoff_first_ns: u64,
    backoff_most_ns: u64,
    rate_per_second: u16,
    escalates_to: String,
}

#[derive(Serialize)]
struct Memory {
    total_bytes: u64,
    base: Option<u64>,
    size_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Device {
    name: String,
    kind: &'static str,
    owner: String,
    base: Option<u64>,
    window_bytes: u64,
    interrupts: Vec<Interrupt>,
    safe_action: Vec<Write>,
    serial: Option<Serial>,
    room_bytes: Option<u64>,
    /// Of a program's side: the application's end of which it is the other side.
    end: Option<String>,
}

#[derive(Serialize)]
struct Interrupt {
    name: String,
    number: Option<u64>,
}

#[derive(Serialize)]
struct Write {
    register: u32,
    width_bits: u32,
    value: u32,
}

#[derive(Serialize)]
struct Serial {
    layout: &'static str,
    fifo_bytes: u64,
    clock_hz: u64,
    speed_baud: u64,
    flow_control: bool,
}

#[derive(Serialize)]
struct Deadline {
    from: String,
    to: String,
    operation: String,
    deadline_ns: u64,
    /// `None` if nobody on the way promises a recovery.
    recovery_ns: Option<u64>,
    slack_ns: Option<u64>,
    servers: Vec<Server>,
}

#[derive(Serialize)]
struct Server {
    name: String,
    notice_ns: u64,
    recover_ns: Option<u64>,
    pause_ns: u64,
}

#[derive(Serialize)]
struct Receiver {
    device: String,
    flow_control: bool,
    room_ns: u64,
    recovery_ns: u64,
    loss_possible: bool,
}

impl Report {
    fn of(name: String, composed: &Composed) -> Self {
        let manifest = &composed.manifest;
        Report {
            image: name,
            platform: manifest.platform.word(),
            manager: manifest.manager.as_ref().map(|manager| manager.value.clone()),
            packages_signed_by: manifest.signers.iter().map(|key| key.value.to_string()).collect(),
            components: components(composed),
            connections: connections(composed),
            open_ports: open_ports(composed),
            groups: groups(composed),
            memory: Memory {
                total_bytes: composed.margins.memory_total(),
                base: manifest.memory.as_ref().map(|memory| memory.base.value),
                size_bytes: manifest.memory.as_ref().map(|memory| memory.size.value),
            },
            devices: devices(composed),
            deadlines: deadlines(composed),
            receivers: receivers(composed),
            not_enforced: if composed.manifest.platform == PlatformKind::Host {
                vec![
                    "components share one process: a fault is contained if Rust catches it, and no other",
                    "nobody takes the processor away: a component that truly loops ends the image",
                    "addresses, interrupt numbers and sizes of memory are checked, and used by no model",
                ]
            } else {
                vec!["what only a chip shows: the emulator has no caches, no wait states and no interrupt levels"]
            },
            warnings: composed.warnings.len(),
        }
    }
}

fn named(composed: &Composed, at: usize) -> String {
    composed.image.components.get(at).map_or_else(|| "?".to_owned(), |component| component.name.clone())
}

fn port(composed: &Composed, end: PortEnd) -> String {
    let component = composed.image.components.get(end.component.index());
    let ports = component.map(|component| component.linked.description().ports);
    let name = ports.and_then(|ports| ports.get(usize::from(end.port))).map_or("?", |port| port.name);
    format!("{}.{name}", named(composed, end.component.index()))
}

fn components(composed: &Composed) -> Vec<Component> {
    let parts = &composed.image.components;
    let mut components = Vec::new();
    for (at, (component, instance)) in parts.iter().zip(&composed.manifest.components).enumerate() {
        let memory = composed.margins.memory.get(at).copied().unwrap_or_default();
        let home = policy::home(&composed.groups, at).and_then(|home| composed.manifest.groups.get(home));
        let rights = component.rights;
        let controls = (0..parts.len()).filter(|other| rights.control & ComponentId(*other as u8).bit() != 0);
        components.push(Component {
            name: component.name.clone(),
            package: instance.package.value.clone(),
            vcpu: component.vcpu,
            respond_within_ns: component.respond_within,
            recover_within_ns: component.recover_within,
            restarted_by_group: home.map(|group| group.name.value.clone()),
            controls: controls.map(|other| named(composed, other)).collect(),
            reads_facts: rights.facts,
            blames: rights.blame,
            reboots: rights.reboot,
            memory: ComponentMemory {
                future_bytes: memory.future,
                given_bytes: memory.own,
                rings_bytes: memory.rings,
                kept_bytes: memory.kept,
                total_bytes: memory.total(),
            },
            swappable: instance.swappable.as_ref().map(|swappable| Swappable {
                packages: swappable.value.packages.clone(),
                room_bytes: swappable.value.room,
                lowest_version: swappable.value.lowest.to_string(),
                quiesce_within_ns: swappable.value.rules.quiesce_within,
                answers: swappable.value.rules.answers,
                probation_ns: swappable.value.rules.within,
            }),
        });
    }
    components
}

fn connections(composed: &Composed) -> Vec<Connection> {
    let connection = |connection: &image::Connection| {
        let service = connection.interface.kind == Kind::Service;
        Connection {
            from: port(composed, connection.near),
            to: port(composed, connection.far),
            interface: connection.interface.path,
            kind: if service { "service" } else { "stream" },
            slots: connection.slots,
            message_bytes: connection.interface.payload,
            forwarded: connection.routed,
            when_gone: service.then_some(match connection.when_gone {
                WhenGone::Refuse => "refuse",
                WhenGone::Wait => "wait",
            }),
        }
    };
    composed.image.connections.iter().map(connection).collect()
}

fn open_ports(composed: &Composed) -> Vec<String> {
    let connections = &composed.image.connections;
    let joined: HashSet<(u8, u8)> = connections
        .iter()
        .flat_map(|connection| [connection.near, connection.far])
        .map(|end| (end.component.0, end.port))
        .collect();
    let components = composed.image.components.iter().enumerate();
    let all = components.flat_map(|(at, component)| {
        let ports = 0..component.linked.description().ports.len();
        ports.map(move |port| PortEnd { component: ComponentId(at as u8), port: port as u8 })
    });
    all.filter(|end| !joined.contains(&(end.component.0, end.port))).map(|end| port(composed, end)).collect()
}

fn groups(composed: &Composed) -> Vec<Group> {
    let group = |group: &GroupManifest| Group {
        name: group.name.value.clone(),
        members: group.members.value.iter().map(|member| member.value.clone()).collect(),
        strategy: StrategyKind::ALL
            .iter()
            .find(|(_, strategy)| *strategy == group.strategy)
            .map_or("?", |(word, _)| word),
        intensity: group.intensity,
        period_ns: group.period.value,
        backoff_first_ns: group.backoff_first.value,
        backoff_most_ns: group.backoff_most.value,
        rate_per_second: group.rate_per_second,
        escalates_to: group.escalate.value.clone(),
    };
    composed.manifest.groups.iter().map(group).collect()
}

fn devices(composed: &Composed) -> Vec<Device> {
    let device = |(device, manifest): (&ImageDevice, &ImageDeviceManifest)| {
        let owner = device.owner.index();
        let declared =
            composed.components.get(owner).and_then(|component| component.devices.get(usize::from(device.number)));
        let numbers = manifest.interrupts.as_ref().map_or(&[][..], |numbers| &numbers.value);
        let interrupts = declared.map_or(&[][..], |declared| &declared.interrupts).iter().enumerate();
        let interrupts = interrupts.map(|(at, name)| Interrupt {
            name: name.value.clone(),
            number: numbers.get(at).map(|number| number.value),
        });
        let safe = device.safe.iter();
        let safe =
            safe.map(|write| Write { register: write.offset, width_bits: bits(write.width), value: write.value });
        let (layout, room_bytes) = match &manifest.settings {
            DeviceSettings::Scif { layout: Layout::Sh7780, .. } => ("sh7780", None),
            DeviceSettings::Scif { layout: Layout::Sh7751r, .. } => ("sh7751r", None),
            DeviceSettings::Ns16550 { .. } => ("ns16550", None),
            // On a board both sides of a line's end are shared memory of one size.
            DeviceSettings::Application { .. } | DeviceSettings::Program { .. }
                if composed.manifest.platform != PlatformKind::Host =>
            {
                ("", Some(LINE_END_ROOM.into()))
            }
            DeviceSettings::Application { room } => ("", Some(*room)),
            DeviceSettings::Program { .. } => ("", None),
        };
        let serial = manifest.settings.serial().map(|serial| Serial {
            layout,
            fifo_bytes: serial.fifo.value,
            clock_hz: serial.clock.value,
            speed_baud: serial.baud.value,
            flow_control: serial.flow,
        });
        let end = match &manifest.settings {
            DeviceSettings::Program { end } => Some(end.value.clone()),
            _ => None,
        };
        Device {
            name: device.name.clone(),
            kind: manifest.settings.kind().word(),
            owner: named(composed, owner),
            base: manifest.base.as_ref().map(|base| base.value),
            window_bytes: window(&manifest.settings),
            interrupts: interrupts.collect(),
            safe_action: safe.collect(),
            serial,
            room_bytes,
            end,
        }
    };
    composed.image.devices.iter().zip(&composed.manifest.devices).map(device).collect()
}

fn deadlines(composed: &Composed) -> Vec<Deadline> {
    let deadline = |way: &Way| {
        let connection = composed.image.connections.get(way.connection)?;
        let servers = way.hops.iter().map(|hop| Server {
            name: named(composed, hop.server),
            notice_ns: hop.notice,
            recover_ns: hop.recover,
            pause_ns: hop.backoff,
        });
        Some(Deadline {
            from: port(composed, connection.near),
            to: port(composed, connection.far),
            operation: format!("{}/{}", way.interface.path, way.operation.name),
            deadline_ns: way.deadline(),
            recovery_ns: way.slack().map(|_| way.needs()),
            slack_ns: way.slack().and_then(|slack| u64::try_from(slack).ok()),
            servers: servers.collect(),
        })
    };
    composed.margins.ways.iter().filter_map(deadline).collect()
}

fn receivers(composed: &Composed) -> Vec<Receiver> {
    let receiver = |receiver: &margins::Receiver| {
        let device = composed.manifest.devices.get(receiver.device)?;
        Some(Receiver {
            device: device.name.value.clone(),
            flow_control: receiver.flow,
            room_ns: receiver.room,
            recovery_ns: receiver.needs,
            loss_possible: receiver.loses(),
        })
    };
    composed.margins.receivers.iter().filter_map(receiver).collect()
}
