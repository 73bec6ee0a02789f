//! The crates that are made for an image: one for each component, and one for the kernel with the image's tables.
//!
//! Rule: what is written depends on the image alone, so the same image gives the same text, and cargo builds nothing twice.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use koboshi_core::kernel::Rights;
use koboshi_core::ring::Geometry;
use koboshi_host::device::Width;
use koboshi_host::image::{Image, PortEnd, WhenGone};
use koboshi_interface_kit::{ContractKind, Kind};
use koboshi_sh4_abi::PAGE;
use koboshi_sh4_abi::room::SEEN_END;

use crate::build::MadeComponent;
use crate::interrupts::{Line, Mask};
use crate::layout::{INCIDENTS, Layout, PlacedHalf, window};
use crate::line_end::LineEnd;
use crate::pages::page_of;
use crate::request::{Controller, Placed, Request, Source};

/// The workspace of all generated crates, whose members are these folders. What lies below it in `koboshi` is another one.
pub(crate) fn workspace(members: &[String]) -> String {
    let members: Vec<String> = members.iter().map(|member| format!("{member:?}")).collect();
    format!(
        "# Made by Koboshi.\n[workspace]\nresolver = \"3\"\nmembers = [{}]\nexclude = [\"koboshi\"]\n\n[profile.release]\nlto = \"fat\"\n\
         codegen-units = 1\npanic = \"abort\"\n",
        members.join(", ")
    )
}

/// A number for an image: what a kernel keeps of its components means nothing to an image with others.
fn identity(image: &Image) -> u32 {
    let bytes = image.components.iter().flat_map(|component| component.name.bytes().chain([0]));
    bytes.fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The name of a component's generated crate.
pub(crate) fn crate_of(component: &str) -> String {
    format!("koboshi-on-board-{component}")
}

/// Those of some features that are wanted.
fn features(all: &[(&str, bool)]) -> Vec<String> {
    all.iter().filter(|(_, wanted)| *wanted).map(|(feature, _)| (*feature).to_owned()).collect()
}

fn dependency(name: &str, folder: &Path, features: &[String]) -> String {
    let features: Vec<String> = features.iter().map(|feature| format!("{feature:?}")).collect();
    format!("{name} = {{ path = {:?}, features = [{}] }}\n", folder.display().to_string(), features.join(", "))
}

fn cargo_toml(name: &str, dependencies: &str) -> String {
    format!(
        "# Made by Koboshi.\n[package]\nname = {name:?}\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n\
         [dependencies]\n{dependencies}"
    )
}

/// `Cargo.toml` and `src/lib.rs` of a component's program, with those features of its platform's side that are wanted.
pub(crate) fn component(koboshi: &Path, wanted: &[(&str, bool)], name: &str, source: &Source) -> (String, String) {
    let platform = koboshi.join("kernel/sh4/component");
    let wanted = features(wanted);
    let dependencies = dependency("koboshi-sh4-component", &platform, &wanted)
        + &dependency(&source.package, &source.folder, &source.features);
    let text = format!(
        "//! Made by Koboshi: the program of component `{name}`.\n#![no_std]\n\nkoboshi_sh4_component::component!({});\n",
        source.start
    );
    (cargo_toml(&crate_of(name), &dependencies), text)
}

/// The name of the kernel's generated crate.
pub(crate) const KERNEL: &str = "koboshi-on-board-kernel";

/// A line that no image has so many of.
const NO_LINE: usize = u8::MAX as usize;

/// `Cargo.toml` of the kernel with the tables of an image.
pub(crate) fn kernel_manifest(request: &Request<'_>) -> String {
    let wanted = features(&[
        ("trace", request.board.trace.is_some()),
        ("knocks", request.knocks),
        ("watchdog", request.board.watchdog.is_some()),
    ]);
    let dependencies = dependency("koboshi-core", &request.koboshi.join("kernel/core"), &[])
        + &dependency("koboshi-sh4-kernel", &request.koboshi.join("kernel/sh4"), &wanted);
    cargo_toml(KERNEL, &dependencies)
}

/// `src/lib.rs` of the kernel with the tables of an image.
pub(crate) fn kernel(
    request: &Request<'_>,
    layout: &Layout,
    made: &[MadeComponent],
    (masks, lines): (&[Mask], &[Line]),
) -> String {
    Tables { request, layout, made, masks, lines }.text()
}

struct Tables<'a> {
    request: &'a Request<'a>,
    layout: &'a Layout,
    made: &'a [MadeComponent],
    masks: &'a [Mask],
    lines: &'a [Line],
}

impl Tables<'_> {
    fn text(&self) -> String {
        let image = self.request.image;
        let (groups, lines) = (self.masks, self.lines);
        let counts = (image.components.len(), image.connections.len(), lines.len());
        let mut text = String::from(
            "//! Made by Koboshi: the tables of an image, and its kernel.\n#![no_std]\n#![allow(unused_imports, reason = \"an image may have no interrupts, or no safe action\")]\n\n\
             use koboshi_core::kernel::{Component, Rights as May, Swappable};\nuse koboshi_core::record::Contracts;\n\
             use koboshi_core::ring::Geometry;\nuse koboshi_core::{ComponentId, LineId, PortId};\n\
             use koboshi_sh4_kernel::{\n    Clock, ComponentPlan, ConstStaticCell, Controller, Group, LinePlan, Plan, PortEnd, PortPlan, Region, \
             Reset, Rights, Rooms, SafeWrite, Storage, Watchdog, Width, boot,\n};\n\n",
        );
        let _ = writeln!(
            text,
            "const fn slots(slots: u32, payload: usize) -> Option<Geometry> {{\n    Geometry::new(slots, payload)\n}}\n"
        );
        let _ = writeln!(text, "static DESCRIPTIONS: [Component<'static>; {}] = [", counts.0);
        for at in 0..counts.0 {
            self.description(&mut text, at, lines);
        }
        let _ = writeln!(text, "];\n\nstatic COMPONENTS: [ComponentPlan; {}] = [", counts.0);
        for (at, made) in self.made.iter().enumerate() {
            self.component(&mut text, at, made);
        }
        let _ = writeln!(text, "];\n\nstatic PORTS: [PortPlan; {}] = [", counts.1);
        for number in 0..counts.1 {
            self.port(&mut text, number);
        }
        let _ = writeln!(text, "];\n\nstatic LINES: [LinePlan; {}] = [", counts.2);
        for line in lines {
            let _ = writeln!(
                text,
                "    LinePlan {{ owner: ComponentId({}), number: {}, code: {:#x}, group: {} }},",
                line.owner, line.number, line.code, line.group
            );
        }
        // Of those with rooms all of that is in the layout's.
        let written = self
            .made
            .iter()
            .filter(|made| made.room.is_none())
            .flat_map(|made| [&made.data, &made.shadow, &made.stack]);
        let written: Vec<&Range<u32>> =
            written.chain([&self.layout.shared]).filter(|range| !range.is_empty()).collect();
        let _ = writeln!(text, "];\n\nstatic CLEARED: [(u32, u32); {}] = [", written.len());
        for range in written {
            let _ = writeln!(text, "    ({:#010x}, {}),", range.start, (range.end - range.start) / 4);
        }
        let _ = writeln!(text, "];\n\nstatic GROUPS: [Group; {}] = [", groups.len());
        for group in groups {
            let _ = match group {
                Mask::Field { register, shift } => {
                    writeln!(text, "    Group::Field {{ register: {register:#010x}, shift: {shift} }},")
                }
                Mask::Bit { priority, shift, bit } => {
                    writeln!(text, "    Group::Bit {{ priority: {priority:#010x}, shift: {shift}, bit: {bit} }},")
                }
                Mask::Gate { register, bit } => {
                    writeln!(text, "    Group::Gate {{ register: {register:#010x}, bit: {bit} }},")
                }
            };
        }
        let board = &self.request.board;
        let controller = match board.controller {
            Controller::Sh7751r => "Sh7751r",
            Controller::Sh7780 => "Sh7780",
        };
        let gate = board.gate.map_or(0, |gate| gate.register);
        let watchdog = board.watchdog.map_or("None".to_owned(), |dog| {
            format!("Some(Watchdog::of({:#010x}, {}, {}))", dog.registers, dog.steps, board.ticks)
        });
        let manager = image.manager.map_or("None".to_owned(), |manager| format!("Some(ComponentId({}))", manager.0));
        let _ = write!(
            text,
            "];\n\nstatic PLAN: Plan = Plan {{\n    components: &COMPONENTS,\n    descriptions: &DESCRIPTIONS,\n    ports: &PORTS,\n    cleared: &CLEARED,\n    \
             lines: &LINES,\n    groups: &GROUPS,\n    controller: Controller::{controller},\n    gate: {gate:#x},\n    manager: {manager},\n    \
             clock: Clock::of({}),\n    quantum: {},\n    trace: {:#x},\n    watchdog: {watchdog},\n    record: ({:#010x}, {}),\n    identity: {:#010x},\n}};\n\n",
            board.ticks,
            image.costs.quantum,
            board.trace.unwrap_or(0),
            self.layout.record.0,
            self.layout.record.1 / 4,
            identity(image),
        );
        let _ = write!(
            text,
            "static STORAGE: ConstStaticCell<Storage<{}, {}, {}, {INCIDENTS}>> = ConstStaticCell::new(Storage::new());\n\n\
             #[unsafe(no_mangle)]\nextern \"C\" fn koboshi_boot() -> ! {{\n    boot(&PLAN, STORAGE.take())\n}}\n\n\
             #[panic_handler]\nfn panicked(_: &core::panic::PanicInfo<'_>) -> ! {{\n    loop {{}}\n}}\n",
            counts.0, counts.1, counts.2
        );
        text
    }

    fn description(&self, text: &mut String, at: usize, lines: &[Line]) {
        let component = &self.request.image.components[at];
        let ports: Vec<String> = ports_of(self.request.image, at)
            .iter()
            .map(|port| match port {
                Some(number) => format!("PortId({number})"),
                None => "PortId::NONE".to_owned(),
            })
            .collect();
        let line = |number| {
            let place = lines.iter().position(|line| (line.owner, line.number) == (at, number));
            format!("LineId({})", place.unwrap_or(NO_LINE))
        };
        let lines: Vec<String> = (0..component.linked.description().interrupts.len()).map(line).collect();
        let Rights { control, facts, blame, reboot, load } = component.rights;
        let swappable = component.swappable.map_or("None".to_owned(), |rules| format!("Some({rules:?})"));
        let within = component.recover_within.map_or("None".to_owned(), |within| format!("Some({within})"));
        let _ = writeln!(
            text,
            "    Component {{\n        name: {:?},\n        vcpu: {},\n        respond_within: {},\n        recover_within: {within},\n        swappable: {swappable},\n        \
             ports: &[{}],\n        lines: &[{}],\n        rights: May {{ control: {control:#x}, facts: {facts}, blame: {blame}, \
             reboot: {reboot}, load: {load:#x} }},\n    }},",
            component.name,
            component.vcpu,
            component.respond_within,
            ports.join(", "),
            lines.join(", ")
        );
    }

    fn component(&self, text: &mut String, at: usize, made: &MadeComponent) {
        let layout = self.layout;
        let list = self.regions(at, made, 0);
        let safe: String = self.safe(at);
        let (copied, zeroed) = made.anew();
        let (resets, rooms) = match &made.room {
            None => {
                let reset = format!(
                    "Reset {{ to: {:#010x}, from: {:#010x}, copied: {copied}, zeroed: {zeroed} }}",
                    made.data.start, made.kept_initial
                );
                (reset, "None".to_owned())
            }
            Some(room) => {
                let rooms = format!(
                    "Some(&Rooms {{ at: [{:#010x}, {:#010x}], size: {:#x}, variables: {:#010x}, own: ({:#010x}, {}), \
                     regions: &[\n{}        ] }})",
                    room.at[0],
                    room.at[1],
                    room.size,
                    room.variables,
                    room.kept,
                    room.program.len() / 4,
                    self.regions(at, made, 1)
                );
                (String::new(), rooms)
            }
        };
        let _ = writeln!(
            text,
            "    ComponentPlan {{\n        entry: {:#010x},\n        stack: {:#010x},\n        shadow: {:#010x},\n        view: {:#010x},\n        \
             window: {:#010x},\n        resets: &[{resets}],\n        \
             regions: &[\n{list}        ],\n        rooms: {rooms},\n        guards: [({:#010x}, {:#x}), ({:#010x}, {:#x})],\n        safe: &[{safe}],\n    }},",
            made.entry,
            made.stack.end,
            made.shadow_pointer,
            layout.views[at].start,
            window(layout.kept[at]),
            made.guards[0].start,
            made.guards[0].end - made.guards[0].start,
            made.guards[1].start,
            made.guards[1].end - made.guards[1].start,
        );
    }

    /// What a component may reach, when it runs from this one of its rooms if it has any.
    fn regions(&self, at: usize, made: &MadeComponent, room: usize) -> String {
        let layout = self.layout;
        let mut list = String::new();
        let mut region = |range: &Range<u32>, rights| {
            if !range.is_empty() {
                let (start, length) = (range.start, range.end - range.start);
                let _ = writeln!(list, "            Region::of({start:#010x}, {length:#x}, Rights::{rights}),");
            }
        };
        let page = |start: u32, size: u32| start..start + size;
        // Most used first: the search is linear.
        if made.room.is_none() {
            region(&made.data, "Write");
        }
        region(&made.shadow, "Write");
        region(&made.stack, "Write");
        if made.room.is_none() {
            region(&made.code, "Read");
        }
        region(&layout.views[at], "Read");
        if made.room.is_none() {
            region(&made.constants, "Read");
        }
        region(&layout.outboxes[at], "Write");
        for (_, range) in layout.outbox.iter().filter(|((_, peer), _)| *peer == at) {
            region(range, "Read");
        }
        region(&page(layout.kept[at], PAGE), "Write");
        for base in devices_of(self.request, at).into_iter().flatten() {
            region(&page(page_of(base), PAGE), "Device");
        }
        let seen = made.room.as_ref().map_or_else(String::new, |rooms| {
            let (seen, size, memory, variables) = (SEEN_END - rooms.size, rooms.size, rooms.at[room], rooms.variables);
            format!(
                "            Region::at({SEEN_END:#010x}, {size:#x}, {variables:#010x}, Rights::Write),\n            \
                 Region::at({seen:#010x}, {size:#x}, {memory:#010x}, Rights::Read),\n"
            )
        });
        seen + &list + "            Region::LAST,\n"
    }

    fn safe(&self, at: usize) -> String {
        let devices = self.request.image.devices.iter().zip(&self.request.devices);
        let mut text = String::new();
        for (device, placed) in devices.filter(|(device, _)| device.owner.index() == at) {
            let Some(Placed { base, .. }) = placed else { continue };
            for write in &device.safe {
                let width = match write.width {
                    Width::Byte => "Byte",
                    Width::Half => "Half",
                    Width::Word => "Word",
                };
                let _ = write!(
                    text,
                    "SafeWrite {{ address: {:#010x}, width: Width::{width}, value: {:#x} }}, ",
                    base + write.offset,
                    write.value
                );
            }
        }
        text
    }

    fn port(&self, text: &mut String, number: usize) {
        let connection = &self.request.image.connections[number];
        let placed = &self.layout.connections[number];
        let service = connection.interface.kind == Kind::Service;
        let contracts = if service {
            format!(
                "Some(Contracts {{ at_most_once: {:#x}, idempotent: {:#x}, routed: {} }})",
                connection.interface.mask(ContractKind::AtMostOnce),
                connection.interface.mask(ContractKind::Idempotent),
                connection.routed
            )
        } else {
            "None".to_owned()
        };
        let _ = writeln!(
            text,
            "    PortPlan {{\n        near: {},\n        far: {},\n        contracts: {contracts},\n        waits: {},\n    }},",
            end(connection.near, &placed.near),
            end(connection.far, &placed.far),
            service && connection.when_gone == WhenGone::Wait
        );
    }
}

/// The addresses of a component's devices as it sees them (through area 7), by their numbers.
pub(crate) fn devices_of(request: &Request<'_>, at: usize) -> Vec<Option<u32>> {
    let count = request.image.components[at].linked.description().devices.len();
    let mut found = vec![None; count];
    for (device, placed) in request.image.devices.iter().zip(&request.devices) {
        if let (true, Some(placed)) = (device.owner.index() == at, placed)
            && let Some(place) = found.get_mut(usize::from(device.number))
        {
            *place = Some(placed.base & 0x1FFF_FFFF);
        }
    }
    found
}

fn end(end: PortEnd, half: &PlacedHalf) -> String {
    let slots = half.slots.map_or("None".to_owned(), |slots| format!("slots({}, {})", slots.slots(), slots.payload()));
    format!(
        "PortEnd {{ component: ComponentId({}), port: {}, half: ({:#010x}, {}), slots: {slots} }}",
        end.component.0, end.port, half.address, half.words
    )
}

/// The image's ports of a component, by its own numbers.
pub(crate) fn ports_of(image: &Image, at: usize) -> Vec<Option<usize>> {
    let mut ports = vec![None; image.components[at].linked.description().ports.len()];
    for (number, connection) in image.connections.iter().enumerate() {
        for end in [connection.near, connection.far] {
            if end.component.index() == at {
                let port = usize::from(end.port);
                // The port of a line's end stands behind those that the component describes.
                ports.resize(ports.len().max(port + 1), None);
                ports[port] = Some(number);
            }
        }
    }
    ports
}

/// The page that a component reads, and its configuration behind it, as bytes.
pub(crate) fn view(request: &Request<'_>, layout: &Layout, ends: &[LineEnd], at: usize) -> Vec<u8> {
    use koboshi_sh4_abi::line_end::Face;
    use koboshi_sh4_abi::{MAX_DEVICES, MAX_PORTS, View, WAITS};
    let image = request.image;
    let component = &image.components[at];
    let configuration = &component.configuration;
    let kept = layout.kept[at];
    let kept_words = koboshi_runtime::kept::WORDS as u32;
    let ports = ports_of(image, at);
    let mut words = vec![
        0,
        0,
        0,
        0,
        0,
        0,
        kept,
        kept_words,
        layout.views[at].start + PAGE,
        configuration.len() as u32,
        window(kept),
    ];
    words.push(ports.len() as u32);
    let mut devices = devices_of(request, at);
    let mut line_end = [0; 3];
    for (end, halves) in ends.iter().zip(&layout.line_ends) {
        let Some((face, device, own, _)) = end.side(at) else { continue };
        if let Some(place) = devices.get_mut(usize::from(device)) {
            *place = Some(face.mark());
        }
        let [application, program] = *halves;
        let (own_half, other) = if face == Face::Application { (application, program) } else { (program, application) };
        line_end = [own_half, other, own.port.into()];
    }
    words.extend((0..MAX_DEVICES).map(|number| devices.get(number).copied().flatten().unwrap_or(0)));
    words.extend(line_end);
    let slots = |slots: Option<Geometry>| slots.map_or([0, 0], |slots| [slots.slots(), slots.payload() as u32]);
    for number in 0..MAX_PORTS {
        let Some(connection) = ports.get(number).copied().flatten() else {
            words.extend([0; 12]);
            continue;
        };
        let (placed, connection) = (&layout.connections[connection], &image.connections[connection]);
        let is_near = connection.near.component.index() == at && usize::from(connection.near.port) == number;
        let (own, peer) = if is_near { (placed.near, placed.far) } else { (placed.far, placed.near) };
        let key = connection.interface.key.0;
        let waits = connection.interface.kind == Kind::Service && connection.when_gone == WhenGone::Wait;
        words.extend([own.address, own.words, peer.address, peer.words]);
        words.extend(slots(own.slots));
        words.extend(slots(peer.slots));
        words.extend([key as u32, (key >> 32) as u32, 0, if waits { WAITS } else { 0 }]);
    }
    assert_eq!(words.len() * 4, size_of::<View>(), "each word of the page was written");
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.resize(PAGE as usize, 0);
    bytes.extend(configuration);
    bytes
}
