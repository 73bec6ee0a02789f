//! Makes an image of its manifest, or says all that is wrong with it.
//!
//! Job: prove what can be proved before anything runs. Every name is looked up, every port and device has exactly one
//! place, both ends of a connection have the same interface key, everybody is restarted by somebody, and each
//! component's manifest says the same as its code.
//!
//! It must never: stop at the first mistake, or compose an image in spite of one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use koboshi_core::ComponentId;
use koboshi_core::kernel::Rights;
use koboshi_host::application::Application;
use koboshi_host::image::{Connection, Costs, DeviceModelKind, Image, ImageComponent, ImageDevice, PortEnd, WhenGone};
use koboshi_host::linked::Linked;
use koboshi_host::scif::{self, FifoDepth, Scif};
use koboshi_host::wire::{LineSettings, Wire};
use koboshi_interface_kit::{Interface, Kind};
use koboshi_runtime::describe::Side;

use crate::manifest::{
    self, ClockKind, ComponentManifest, Connect, DeviceSettings, ImageDeviceManifest, ImageManifest, Instance, Layout,
};
use crate::policy;
use crate::problem::{Problem, Problems, Rule, Whose, instead, source};
use crate::reader::{At, Reader};
use crate::registry::{Package, Wiring};
use crate::units::Quantity;

/// A change of a manifest before it is composed.
pub type Change<'a> = &'a dyn Fn(&mut ImageManifest);

/// An image that fits together.
pub struct Composed {
    /// The image.
    pub image: Image,
    /// The clock that it wants.
    pub clock: ClockKind,
    /// What was read.
    pub manifest: ImageManifest,
}

/// Composes the image that `text` describes, out of these packages. `name` is how problems call the manifest.
///
/// # Errors
/// [`Problems`]: all that is wrong.
pub fn compose(name: &str, text: &str, packages: &[Package]) -> Result<Composed, Problems> {
    compose_changed(name, text, packages, &|_| {})
}

/// Composes the image that `text` describes, after a change of what was read.
///
/// # Errors
/// [`Problems`]: all that is wrong.
pub fn compose_changed(name: &str, text: &str, packages: &[Package], change: Change<'_>) -> Result<Composed, Problems> {
    let mut reader = Reader::new(source(name, text), Whose::Image);
    let mut image = manifest::image(&mut reader, text);
    change(&mut image);
    if reader.problems.iter().any(|problem| problem.rule == Rule::Syntax) {
        // What could not be read would be missed everywhere: no need to say so.
        reader.problems.retain(|problem| problem.rule == Rule::Syntax);
        return Err(Problems::sorted(reader.problems));
    }
    let read_whole = reader.problems.is_empty();
    let mut composer =
        Composer { reader, image: &image, packages, parts: Vec::new(), others: Vec::new(), unknown: BTreeSet::new() };
    let composed = composer.compose(read_whole);
    let mut problems = composer.reader.problems;
    problems.extend(composer.others);
    match composed {
        Some(composed) if problems.is_empty() => Ok(Composed { image: composed, clock: image.clock, manifest: image }),
        _ => Err(Problems::sorted(problems)),
    }
}

/// The most slots in a service's ring: what the kernel seals bit by bit.
const MOST_SERVICE_SLOTS: u64 = 64;

/// The most slots in a stream's ring.
const MOST_STREAM_SLOTS: u64 = 1_024;

/// A component with all that is known of it; what is wrong with it was reported.
struct Part<'a> {
    instance: &'a Instance,
    package: &'a Package,
    linked: Linked,
    manifest: Option<ComponentManifest>,
}

struct Composer<'a> {
    reader: Reader,
    image: &'a ImageManifest,
    packages: &'a [Package],
    /// As many as the image has components, `None` where the package is unknown.
    parts: Vec<Option<Part<'a>>>,
    /// Problems of the components' own manifests.
    others: Vec<Problem>,
    /// Components that are mentioned and not there.
    unknown: BTreeSet<String>,
}

/// One end of a connection, found.
struct End {
    end: PortEnd,
    side: Side,
    interface: &'static Interface,
    forwards: bool,
}

impl<'a> Composer<'a> {
    fn compose(&mut self, read_whole: bool) -> Option<Image> {
        let image = self.image;
        self.names_are_used_once("component", &image.components.iter().map(|part| &part.name).collect::<Vec<_>>());
        self.names_are_used_once("group", &image.groups.iter().map(|group| &group.name).collect::<Vec<_>>());
        // Where a name may mean two, what belongs to it cannot be said to be missing.
        let read_whole = read_whole && self.reader.problems.is_empty();
        if let Some(one_too_many) = image.components.get(koboshi_core::MAX_COMPONENTS) {
            self.reader.problem(
                Rule::TooMany,
                one_too_many.name.span.clone(),
                format!("an image has at most {} components", koboshi_core::MAX_COMPONENTS),
                "one too many",
                "take some out, or make two images.",
            );
        }
        self.parts();
        let connections = self.connections(read_whole);
        let devices = self.devices(read_whole);
        let manager = self.manager();
        let rights = self.rights();
        let groups = self.groups(read_whole);
        self.manager_may_do_what_its_groups_need(manager, &rights, read_whole);
        if !self.reader.problems.is_empty() || !self.others.is_empty() {
            return None;
        }
        let mut components = Vec::new();
        for (at, part) in self.parts.iter().enumerate() {
            let part = part.as_ref()?;
            let wiring = Wiring { image, connections: &connections, devices: &devices, groups: &groups, component: at };
            let configuration = match (part.package.configure)(&wiring) {
                Ok(configuration) => configuration,
                Err(missing) => {
                    self.reader.problem(
                        Rule::Device,
                        part.instance.name.span.clone(),
                        format!("`{}` cannot be configured: {missing}", part.instance.name.value),
                        "cannot be configured",
                        "join its ports as in images/host.toml.",
                    );
                    continue;
                }
            };
            components.push(ImageComponent {
                recover_within: None,
                name: part.instance.name.value.clone(),
                linked: part.linked.clone(),
                vcpu: part.instance.vcpu.value,
                respond_within: part.instance.respond_within.value,
                configuration,
                rights: rights.get(at).copied().unwrap_or_default(),
            });
        }
        let usual = Costs::default();
        let cost = |given: &Option<At<u64>>, usual| given.as_ref().map_or(usual, |cost| cost.value);
        Some(Image {
            components,
            connections,
            devices,
            manager,
            costs: Costs {
                turn: cost(&image.costs.turn, usual.turn),
                start: cost(&image.costs.start, usual.start),
                quantum: cost(&image.costs.quantum, usual.quantum),
            },
        })
    }

    fn names_are_used_once(&mut self, what: &str, names: &[&At<String>]) {
        let mut first: BTreeMap<&str, Range<usize>> = BTreeMap::new();
        for name in names {
            if let Some(before) = first.get(name.value.as_str()) {
                let problem = self.reader.problem(
                    Rule::NameTwice,
                    name.span.clone(),
                    format!("two {what}s are called `{}`", name.value),
                    "the second one",
                    "give one of them another name.",
                );
                problem.other = Some((before.clone(), "the first one".to_owned()));
            } else {
                first.insert(&name.value, name.span.clone());
            }
        }
    }

    /// Looks up the packages and compares each one's manifest with its code.
    fn parts(&mut self) {
        let mut checked = BTreeSet::new();
        for instance in &self.image.components {
            let wanted = &instance.package;
            let Some(package) = self.packages.iter().find(|package| package.name == wanted.value) else {
                let names: Vec<&str> = self.packages.iter().map(|package| package.name).collect();
                self.reader.problem(
                    Rule::UnknownName,
                    wanted.span.clone(),
                    format!("there is no package `{}`", wanted.value),
                    "unknown package",
                    instead(&wanted.value, names),
                );
                self.parts.push(None);
                continue;
            };
            let linked = (package.linked)();
            let whose = Whose::Component(package.name.to_owned());
            let mut reader = Reader::new(source(package.manifest_path, package.manifest), whose);
            let manifest = manifest::component(&mut reader, package.manifest);
            if let Some(manifest) = &manifest {
                agrees(&mut reader, package, manifest, &linked);
            }
            if checked.insert(package.name) {
                self.others.append(&mut reader.problems);
            }
            self.parts.push(Some(Part { instance, package, linked, manifest }));
        }
    }

    fn place_of(&self, name: &str) -> Option<usize> {
        self.image.components.iter().position(|instance| instance.name.value == name)
    }

    fn component_names(&self) -> BTreeSet<&'a str> {
        self.image.components.iter().map(|instance| instance.name.value.as_str()).collect()
    }

    /// Says so at the first place only: one mistake is one problem.
    fn unknown_component(&mut self, name: &str, span: Range<usize>) {
        if !self.unknown.insert(name.to_owned()) {
            return;
        }
        let names = self.component_names();
        self.reader.problem(
            Rule::UnknownName,
            span,
            format!("there is no component `{name}` in this image"),
            "unknown component",
            instead(name, names),
        );
    }

    /// Splits `component.part`, and finds the component.
    fn split<'t>(&mut self, text: &'t At<String>, what: &str) -> Option<(usize, &'t str)> {
        let Some((component, part)) = text.value.split_once('.') else {
            self.reader.problem(
                Rule::UnknownName,
                text.span.clone(),
                format!("`{}` does not name a {what}", text.value),
                format!("no {what}"),
                format!("write it as `component.{what}`, with a point between the two names."),
            );
            return None;
        };
        let Some(at) = self.place_of(component) else {
            self.unknown_component(component, text.span.clone());
            return None;
        };
        Some((at, part))
    }

    fn end(&mut self, text: &At<String>) -> Option<End> {
        let (at, name) = self.split(text, "port")?;
        let part = self.parts.get(at)?.as_ref()?;
        let ports = part.linked.description().ports;
        let Some(number) = ports.iter().position(|port| port.name == name) else {
            let message = format!("`{}` has no port `{name}`", part.instance.name.value);
            let names: Vec<&str> = ports.iter().map(|port| port.name).collect();
            self.reader.problem(Rule::UnknownName, text.span.clone(), message, "unknown port", instead(name, names));
            return None;
        };
        let port = ports.get(number)?;
        let declared = part.manifest.as_ref().and_then(|manifest| manifest.ports.get(number));
        Some(End {
            end: PortEnd { component: ComponentId(at as u8), port: number as u8 },
            side: port.side,
            interface: port.interface,
            forwards: declared.is_some_and(|port| port.forwards),
        })
    }

    fn connections(&mut self, read_whole: bool) -> Vec<Connection> {
        let mut connections = Vec::new();
        let mut joined: BTreeMap<(u8, u8), Range<usize>> = BTreeMap::new();
        // A connection that is wrong may have meant any port: its mistake is not reported as another port's, too.
        let mut all_known = read_whole;
        for connect in &self.image.connections {
            let (Some(from), Some(to)) = (self.end(&connect.from), self.end(&connect.to)) else {
                all_known = false;
                continue;
            };
            if from.interface.key != to.interface.key {
                self.interfaces_differ(connect, from.interface, to.interface);
                all_known = false;
                continue;
            }
            for (end, text) in [(&from, &connect.from), (&to, &connect.to)] {
                if let Some(before) = joined.insert((end.end.component.0, end.end.port), text.span.clone()) {
                    let problem = self.reader.problem(
                        Rule::PortTwice,
                        text.span.clone(),
                        format!("`{}` is joined twice", text.value),
                        "joined here once more",
                        "a port has one other end: take one of the two connections out.",
                    );
                    problem.other = Some((before, "joined here".to_owned()));
                }
            }
            connections.extend(self.connection(connect, &from, &to));
        }
        if all_known {
            self.every_port_is_joined(&joined);
        }
        connections
    }

    fn interfaces_differ(&mut self, connect: &Connect, ours: &Interface, theirs: &Interface) {
        let (near, far) = (&connect.from.value, &connect.to.value);
        let (message, remedy) = if ours.path == theirs.path {
            (
                format!(
                    "`{near}` and `{far}` have different versions of `{}`: {} and {}",
                    ours.path, ours.key, theirs.key
                ),
                format!("build both components with the same `{}`.", ours.path),
            )
        } else {
            (
                format!("`{near}` has interface `{}`, and `{far}` has `{}`", ours.path, theirs.path),
                "join ports of the same interface.".to_owned(),
            )
        };
        let problem = self.reader.problem(Rule::Interface, connect.to.span.clone(), message, theirs.path, remedy);
        problem.other = Some((connect.from.span.clone(), ours.path.to_owned()));
    }

    fn connection(&mut self, connect: &Connect, from: &End, to: &End) -> Option<Connection> {
        let before = self.reader.problems.len();
        let (near, far) = (&connect.from.value, &connect.to.value);
        let service = from.interface.kind == Kind::Service;
        let (near_side, far_side) = if service { (Side::Uses, Side::Offers) } else { (Side::Offers, Side::Uses) };
        if (from.side, to.side) != (near_side, far_side) {
            let does = |side| match (side, service) {
                (Side::Offers, true) => "serves",
                (Side::Uses, true) => "asks",
                (Side::Offers, false) => "produces",
                (Side::Uses, false) => "consumes",
            };
            let remedy = if (from.side, to.side) == (far_side, near_side) {
                "swap `from` and `to`: requests and items travel from `from` to `to`."
            } else if service {
                "`to` must be a port that offers the service, and `from` one that uses it."
            } else {
                "`from` must be a port that offers the stream, and `to` one that uses it."
            };
            let message = format!("`{near}` {}, and `{far}` {}", does(from.side), does(to.side));
            let label = format!("{} `{}`", does(to.side), to.interface.path);
            let problem = self.reader.problem(Rule::Direction, connect.to.span.clone(), message, label, remedy);
            problem.other = Some((connect.from.span.clone(), format!("{} `{}`", does(from.side), from.interface.path)));
        }
        let (kind, most) = if service { ("service", MOST_SERVICE_SLOTS) } else { ("stream", MOST_STREAM_SLOTS) };
        let slots = &connect.slots;
        if !slots.value.is_power_of_two() || slots.value > most {
            let nearest = slots.value.clamp(1, most);
            let nearest = if nearest.is_power_of_two() { nearest } else { nearest.next_power_of_two() };
            self.reader.problem(
                Rule::Bounds,
                slots.span.clone(),
                format!("a {kind} cannot have {} slots", slots.value),
                "not a size of a ring",
                format!("it is a power of two, at most {most}: write `slots = {nearest}`."),
            );
        }
        (self.reader.problems.len() == before).then_some(Connection {
            when_gone: WhenGone::default(),
            interface: from.interface,
            near: from.end,
            far: to.end,
            slots: slots.value as u32,
            routed: to.forwards,
        })
    }

    fn every_port_is_joined(&mut self, joined: &BTreeMap<(u8, u8), Range<usize>>) {
        for (at, part) in self.parts.iter().enumerate() {
            let Some(part) = part else { continue };
            let name = &part.instance.name;
            for (number, port) in part.linked.description().ports.iter().enumerate() {
                let declared = part.manifest.as_ref().and_then(|manifest| manifest.ports.get(number));
                if joined.contains_key(&(at as u8, number as u8)) || declared.is_some_and(|port| port.optional) {
                    continue;
                }
                // Whom it could be joined to: a port of the same interface and the other side.
                let fitting = self.parts.iter().flatten().filter(|other| other.instance.name.value != name.value);
                let fitting = fitting.flat_map(|other| {
                    let ports = other.linked.description().ports.iter();
                    let ports =
                        ports.filter(|other| other.interface.key == port.interface.key && other.side != port.side);
                    ports.map(|port| format!("{}.{}", other.instance.name.value, port.name))
                });
                let own = format!("{}.{}", name.value, port.name);
                let near = (port.interface.kind == Kind::Service) == (port.side == Side::Uses);
                let other = fitting.min().unwrap_or_else(|| "...".to_owned());
                let (from, to) = if near { (&own, &other) } else { (&other, &own) };
                self.reader.problem(
                    Rule::PortUnconnected,
                    name.span.clone(),
                    format!("port `{own}` is not connected"),
                    format!("its port `{}` leads nowhere", port.name),
                    format!("add `[[connect]]` with from = \"{from}\", to = \"{to}\" and slots = 8."),
                );
            }
        }
    }

    fn devices(&mut self, read_whole: bool) -> Vec<ImageDevice> {
        let mut devices = Vec::new();
        let mut owned: BTreeMap<(usize, usize), Range<usize>> = BTreeMap::new();
        let mut named: BTreeMap<&str, &At<String>> = BTreeMap::new();
        let mut all_known = read_whole;
        for device in &self.image.devices {
            if let Some(first) = named.get(device.name.value.as_str()) {
                let (name, owner) = (&device.name.value, &device.owner.value);
                let problem = self.reader.problem(
                    Rule::DeviceTwice,
                    device.owner.span.clone(),
                    format!("device `{name}` has two owners: `{}` and `{owner}`", first.value),
                    "the second owner",
                    "a device is given to one component: take one of the two `[[device]]` out, or rename it.",
                );
                problem.other = Some((first.span.clone(), "the first owner".to_owned()));
            } else {
                named.insert(&device.name.value, &device.owner);
            }
            let Some((at, name)) = self.split(&device.owner, "device") else {
                all_known = false;
                continue;
            };
            let Some(part) = self.parts.get(at).and_then(Option::as_ref) else { continue };
            let Some(manifest) = &part.manifest else { continue };
            let Some(number) = manifest.devices.iter().position(|declared| declared.name.value == name) else {
                let message = format!("`{}` has no device `{name}`", part.instance.name.value);
                let names: Vec<String> = manifest.devices.iter().map(|device| device.name.value.clone()).collect();
                let remedy = instead(name, names.iter().map(String::as_str));
                self.reader.problem(Rule::UnknownName, device.owner.span.clone(), message, "unknown device", remedy);
                all_known = false;
                continue;
            };
            let declared = &manifest.devices[number];
            if declared.kind != device.settings.kind() {
                let (wanted, found) = (declared.kind.word(), device.settings.kind().word());
                let message = format!(
                    "`{}` drives a device of kind \"{wanted}\", and this is of kind \"{found}\"",
                    device.owner.value
                );
                let remedy = format!("write `kind = \"{wanted}\"`, or give it to another component.");
                self.reader.problem(Rule::Device, device.owner.span.clone(), message, "wrong kind", remedy);
                all_known = false;
                continue;
            }
            let first_line = manifest.devices[..number].iter().map(|device| device.interrupts.len()).sum::<usize>();
            if let Some(before) = owned.insert((at, number), device.owner.span.clone()) {
                let problem = self.reader.problem(
                    Rule::DeviceTwice,
                    device.owner.span.clone(),
                    format!("`{}` is given two devices", device.owner.value),
                    "the second one",
                    "a component drives one device in this place: take one of the two `[[device]]` out.",
                );
                problem.other = Some((before, "the first one".to_owned()));
            }
            self.speed_can_be_made(device);
            devices.push(ImageDevice {
                safe: Vec::new(),
                name: device.name.value.clone(),
                owner: ComponentId(at as u8),
                number: number as u8,
                first_line: first_line as u8,
                model: model(&device.settings),
            });
        }
        if all_known {
            self.every_device_is_there(&owned);
        }
        devices
    }

    /// The clock of a serial interface can make the speed of its line.
    fn speed_can_be_made(&mut self, device: &ImageDeviceManifest) {
        let DeviceSettings::Scif { clock, baud, .. } = &device.settings else { return };
        if let Err(nearest) = speed_of_scif(clock.value, baud.value) {
            self.reader.problem(
                Rule::LineSpeed,
                baud.span.clone(),
                format!(
                    "a clock of {} cannot make {}",
                    Quantity::Frequency.write(clock.value),
                    Quantity::Speed.write(baud.value)
                ),
                "cannot be made",
                format!("the nearest speed that it can make is `baud = \"{nearest} baud\"`."),
            );
        }
    }

    fn every_device_is_there(&mut self, owned: &BTreeMap<(usize, usize), Range<usize>>) {
        for (at, part) in self.parts.iter().enumerate() {
            let Some(Part { instance, manifest: Some(manifest), .. }) = part else { continue };
            for (number, device) in manifest.devices.iter().enumerate() {
                if !owned.contains_key(&(at, number)) {
                    let (name, device) = (&instance.name, (&device.name.value, device.kind.word()));
                    self.reader.problem(
                        Rule::Device,
                        name.span.clone(),
                        format!("`{}` is not given its device `{}`", name.value, device.0),
                        format!("needs a device of kind \"{}\"", device.1),
                        format!(
                            "add `[[device]]` with kind = \"{}\" and owner = \"{}.{}\".",
                            device.1, name.value, device.0
                        ),
                    );
                }
            }
        }
    }

    fn manager(&mut self) -> Option<ComponentId> {
        let named = self.image.manager.as_ref()?;
        let Some(at) = self.place_of(&named.value) else {
            self.unknown_component(&named.value, named.span.clone());
            return None;
        };
        let instance = &self.image.components[at];
        let higher = self
            .image
            .components
            .iter()
            .enumerate()
            .find(|(other, component)| *other != at && component.vcpu.value <= instance.vcpu.value);
        if let Some((_, other)) = higher {
            let message = format!(
                "restart manager `{}` is on VCPU {}, and `{}` is on VCPU {}",
                named.value, instance.vcpu.value, other.name.value, other.vcpu.value
            );
            let remedy = "it has the highest VCPU to itself, so that nobody can keep it from its work: \
                          give it `vcpu = 0`, and the others higher numbers.";
            let problem = self.reader.problem(
                Rule::ManagerVcpu,
                instance.vcpu.span.clone(),
                message,
                "the restart manager",
                remedy,
            );
            problem.other = Some((other.vcpu.span.clone(), "not below it".to_owned()));
        }
        Some(ComponentId(at as u8))
    }

    fn rights(&mut self) -> Vec<Rights> {
        let mut all = vec![Rights::default(); self.image.components.len()];
        for rights in &self.image.rights {
            let mut control = 0;
            for name in &rights.control {
                match self.place_of(&name.value) {
                    Some(at) => control |= ComponentId(at as u8).bit(),
                    None => self.unknown_component(&name.value, name.span.clone()),
                }
            }
            match self.place_of(&rights.who.value) {
                Some(at) => {
                    all[at] = Rights { control, facts: rights.facts, blame: rights.blame, reboot: rights.reboot };
                }
                None => self.unknown_component(&rights.who.value, rights.who.span.clone()),
            }
        }
        all
    }

    /// The groups' members by number; and everybody is looked after by exactly one of them.
    fn groups(&mut self, read_whole: bool) -> Vec<policy::Found> {
        let mut found = Vec::new();
        let manager = self.image.manager.as_ref();
        let mut all_known = read_whole;
        for group in &self.image.groups {
            let (name, members) = (&group.name.value, &group.members);
            let mut places = Vec::new();
            for member in &members.value {
                let Some(at) = self.place_of(&member.value) else {
                    self.unknown_component(&member.value, member.span.clone());
                    all_known = false;
                    continue;
                };
                if manager.is_some_and(|manager| manager.value == member.value) {
                    self.reader.problem(
                        Rule::GroupTwice,
                        member.span.clone(),
                        format!("restart manager `{}` is a member of group `{name}`", member.value),
                        "restarted by the kernel",
                        "take it out: the kernel itself restarts it.",
                    );
                }
                places.push(at as u8);
            }
            if members.value.is_empty() {
                self.reader.problem(
                    Rule::Bounds,
                    members.span.clone(),
                    format!("group `{name}` has no members"),
                    "nobody",
                    "name at least one component, or take the group out.",
                );
            }
            if members.value.len() > policy::MOST_MEMBERS {
                self.reader.problem(
                    Rule::TooMany,
                    members.span.clone(),
                    format!("group `{name}` has {} members", members.value.len()),
                    "too many",
                    format!("a group has at most {}: make two of it.", policy::MOST_MEMBERS),
                );
            }
            let escalate = self.escalation(&group.escalate);
            found.push(policy::Found { members: places, escalate: escalate.unwrap_or(policy::To::GiveUp) });
        }
        if let Some(group) = self.image.groups.get(policy::MOST_GROUPS) {
            let message = format!("an image has at most {} groups", policy::MOST_GROUPS);
            let remedy = "join two groups into one.";
            self.reader.problem(Rule::TooMany, group.name.span.clone(), message, "one too many", remedy);
        }
        self.escalation_ends(&found);
        self.nobody_is_in_two_groups(&found);
        if all_known {
            self.everybody_is_in_a_group();
        }
        found
    }

    /// A component may be listed again only further up its own way of escalation, to say where it stands there.
    fn nobody_is_in_two_groups(&mut self, found: &[policy::Found]) {
        let mut listed: BTreeMap<&str, Vec<(usize, Range<usize>)>> = BTreeMap::new();
        for (place, group) in self.image.groups.iter().enumerate() {
            for member in &group.members.value {
                let before = listed.entry(member.value.as_str()).or_default();
                let fits = |other: usize| {
                    other != place && (policy::leads(found, other, place) || policy::leads(found, place, other))
                };
                if let Some((_, span)) = before.iter().find(|(other, _)| !fits(*other)) {
                    let problem = self.reader.problem(
                        Rule::GroupTwice,
                        member.span.clone(),
                        format!("`{}` is in two groups, and neither escalates to the other", member.value),
                        "here once more",
                        "a component is restarted by one policy: take it out of one place.",
                    );
                    problem.other = Some((span.clone(), "here".to_owned()));
                }
                before.push((place, member.span.clone()));
            }
        }
    }

    fn everybody_is_in_a_group(&mut self) {
        let members = self.image.groups.iter().flat_map(|group| &group.members.value);
        let members: BTreeSet<&str> = members.map(|member| member.value.as_str()).collect();
        for instance in &self.image.components {
            let name = instance.name.value.as_str();
            let is_manager = self.image.manager.as_ref().is_some_and(|manager| manager.value == name);
            if !is_manager && !members.contains(name) {
                self.reader.problem(
                    Rule::NobodyRestarts,
                    instance.name.span.clone(),
                    format!("nobody restarts `{name}`"),
                    "a member of no group",
                    format!("add \"{name}\" to the members of a `[[group]]`."),
                );
            }
        }
    }

    fn escalation(&mut self, to: &At<String>) -> Option<policy::To> {
        match to.value.as_str() {
            "image" => return Some(policy::To::Image),
            "give-up" => return Some(policy::To::GiveUp),
            _ => {}
        }
        if let Some(at) = self.image.groups.iter().position(|group| group.name.value == to.value) {
            return Some(policy::To::Group(at as u8));
        }
        let names: Vec<&str> =
            self.image.groups.iter().map(|group| group.name.value.as_str()).chain(["image", "give-up"]).collect();
        self.reader.problem(
            Rule::UnknownName,
            to.span.clone(),
            format!("there is no group `{}` to escalate to", to.value),
            "unknown group",
            instead(&to.value, names),
        );
        None
    }

    fn escalation_ends(&mut self, groups: &[policy::Found]) {
        for (start, group) in self.image.groups.iter().enumerate() {
            let mut at = start;
            for _ in 0..groups.len() {
                match groups.get(at).map(|group| group.escalate) {
                    Some(policy::To::Group(next)) => at = usize::from(next),
                    _ => break,
                }
                if at == start {
                    self.reader.problem(
                        Rule::Escalation,
                        group.escalate.span.clone(),
                        format!("group `{}` escalates to itself", group.name.value),
                        "comes back to this group",
                        "end the chain with `escalate = \"image\"` or `escalate = \"give-up\"`.",
                    );
                    break;
                }
            }
        }
    }

    fn manager_may_do_what_its_groups_need(
        &mut self,
        manager: Option<ComponentId>,
        rights: &[Rights],
        read_whole: bool,
    ) {
        let Some((manager, rights)) = manager.and_then(|id| rights.get(id.index()).map(|rights| (id, rights))) else {
            return;
        };
        if !read_whole {
            return;
        }
        let name = &self.image.components[manager.index()].name;
        let given = self.image.rights.iter().find(|given| given.who.value == name.value);
        let span = given.map_or(name.span.clone(), |given| given.who.span.clone());
        let mut missing = |right: String, remedy: String| {
            self.reader.problem(
                Rule::Rights,
                span.clone(),
                format!("restart manager `{}` may not {right}", name.value),
                "this right is missing",
                remedy,
            );
        };
        if !rights.facts {
            missing("read the facts".to_owned(), format!("give it `facts = true` in `[rights]`, at `{}`.", name.value));
        }
        let members: BTreeSet<&str> =
            self.image.groups.iter().flat_map(|group| &group.members.value).map(|name| name.value.as_str()).collect();
        for member in members {
            let at = self.image.components.iter().position(|instance| instance.name.value == member);
            if at.is_some_and(|at| rights.control & ComponentId(at as u8).bit() == 0) {
                missing(
                    format!("restart `{member}`, which is in a group"),
                    format!("add \"{member}\" to its `control` in `[rights]`."),
                );
            }
        }
        let reboots = self.image.groups.iter().any(|group| group.escalate.value == "image");
        if reboots && !rights.reboot {
            missing(
                "reboot the image, and a group escalates to it".to_owned(),
                "give it `reboot = true` in `[rights]`, or let the group escalate to \"give-up\".".to_owned(),
            );
        }
    }
}

/// Clocks of a SCIF in one bit at its fastest setting.
const CLOCKS_PER_BIT: u64 = 32;

/// The largest error of a bit rate, in thousandths, that both ends of a line surely bear.
const RATE_TOLERANCE: u64 = 25;

/// Whether a SCIF with this clock can make this speed; if not, the nearest that it can make.
pub(crate) fn speed_of_scif(clock: u64, baud: u64) -> Result<(), u64> {
    let mut nearest = 0;
    for select in 0..4 {
        let bit = clock / (CLOCKS_PER_BIT << (2 * select));
        for divisor in [bit / baud.max(1), bit / baud.max(1) + 1] {
            let made = bit / divisor.clamp(1, 256);
            if made.abs_diff(baud) * 1_000 <= baud * RATE_TOLERANCE {
                return Ok(());
            }
            if made.abs_diff(baud) < baud.abs_diff(nearest) {
                nearest = made;
            }
        }
    }
    Err(nearest)
}

/// A component's manifest says the same as its code.
fn agrees(reader: &mut Reader, package: &Package, manifest: &ComponentManifest, linked: &Linked) {
    let description = linked.description();
    let mut differs = |span: Range<usize>, message: String, remedy: String| {
        reader.problem(Rule::Description, span, message, "says something else than the code", remedy);
    };
    let start = manifest.package.span.clone();
    for name in [description.name, package.name] {
        if manifest.package.value != name {
            differs(
                start.clone(),
                format!("the package is called `{}` here, and `{name}` in its code", manifest.package.value),
                format!("write `package = \"{name}\"`."),
            );
            break;
        }
    }
    let word = |side| match side {
        Side::Offers => "offers",
        Side::Uses => "uses",
    };
    for (number, port) in description.ports.iter().enumerate() {
        let code = format!("{} = \"{}\", interface = \"{}\"", word(port.side), port.name, port.interface.path);
        match manifest.ports.get(number) {
            None => differs(
                start.clone(),
                format!("port {number} of the code is missing here"),
                format!("add `[[port]]` with {code}."),
            ),
            Some(found) => {
                let here = format!(
                    "{} = \"{}\", interface = \"{}\"",
                    word(found.side),
                    found.name.value,
                    found.interface.value
                );
                if here != code {
                    differs(
                        found.name.span.clone(),
                        format!("port {number} is {here} here, and {code} in the code"),
                        format!("write {code}."),
                    );
                }
            }
        }
    }
    for found in manifest.ports.iter().skip(description.ports.len()) {
        differs(
            found.name.span.clone(),
            format!("the code has no port `{}`", found.name.value),
            "take this `[[port]]` out, or add the port to DESCRIPTION.".to_owned(),
        );
    }
    let list = |names: &[&str]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let here: Vec<&str> = manifest.devices.iter().map(|device| device.name.value.as_str()).collect();
    if here != description.devices {
        let (here, code) = (list(&here), list(description.devices));
        differs(
            start.clone(),
            format!("the devices are {here} here, and {code} in the code"),
            format!("declare: {code}."),
        );
    }
    let here: Vec<&str> =
        manifest.devices.iter().flat_map(|device| &device.interrupts).map(|name| name.value.as_str()).collect();
    if here != description.interrupts {
        let (here, code) = (list(&here), list(description.interrupts));
        let span = manifest.devices.first().map_or(start.clone(), |device| device.name.span.clone());
        differs(span, format!("the interrupts are {here} here, and {code} in the code"), format!("declare: {code}."));
    }
    if manifest.keeps.value != description.kept.is_some() {
        let code = description.kept.is_some();
        let span = if manifest.keeps.span.is_empty() { start.clone() } else { manifest.keeps.span.clone() };
        let message = format!("`keeps-state` is {} here, and {code} in the code", manifest.keeps.value);
        differs(span, message, format!("write `keeps-state = {code}`."));
    }
    if let Some(memory) = manifest.memory.as_ref().filter(|memory| memory.value < linked.size() as u64) {
        reader.problem(
            Rule::Memory,
            memory.span.clone(),
            format!("`{}` keeps {} bytes between two waits, and has {}", package.name, linked.size(), memory.value),
            "too little",
            format!("write at least `memory = \"{} KiB\"`.", linked.size().div_ceil(1 << 10)),
        );
    }
}

fn model(settings: &DeviceSettings) -> DeviceModelKind {
    match settings {
        DeviceSettings::Scif { layout, fifo, clock, baud, flow } => {
            let layout = match layout {
                Layout::Sh7780 => scif::Layout::SH7780,
                Layout::Sh7751r => scif::Layout::SH7751R,
            };
            let depth = if fifo.value == 64 { FifoDepth::SixtyFour } else { FifoDepth::Sixteen };
            let line = LineSettings::at(baud.value as u32).with_flow_control(*flow);
            let scif = Scif::new(layout.with_fifo(depth), clock.value as u32, Wire::new(line));
            DeviceModelKind::Scif(Box::new(scif))
        }
        DeviceSettings::Application { room } => {
            DeviceModelKind::Application(Box::new(Application::new(usize::try_from(*room).unwrap_or(usize::MAX))))
        }
    }
}
