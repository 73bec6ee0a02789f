//! Every port has exactly one other end, and both ends mean the same.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use koboshi_core::ComponentId;
use koboshi_host::image::{Connection, PortEnd, WhenGone};
use koboshi_interface_kit::{Interface, Kind, differences};
use koboshi_runtime::describe::Side;

use super::{Composer, End};
use crate::manifest::Connect;
use crate::problem::{Rule, instead};
use crate::reader::At;

/// The most slots in a service's ring: what the kernel seals bit by bit.
const MOST_SERVICE_SLOTS: u64 = 64;

/// The most slots in a stream's ring.
const MOST_STREAM_SLOTS: u64 = 1_024;

/// Differences of two interfaces that are named; more make nobody wiser.
const MOST_DIFFERENCES: usize = 4;

/// A port by number: its component's place, and its own.
type Port = (u8, u8);

impl Composer<'_> {
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
        let declared = part.manifest.ports.get(number);
        Some(End {
            end: PortEnd { component: ComponentId(at as u8), port: number as u8 },
            side: port.side,
            interface: port.interface,
            forwards: declared.is_some_and(|port| port.forwards),
        })
    }

    /// What is joined, and whether that is all that is meant to be.
    pub(super) fn connections(&mut self, read_whole: bool) -> (Vec<Connection>, bool) {
        let before = self.reader.problems.len();
        let mut connections = Vec::new();
        let mut joined: BTreeMap<Port, (usize, Range<usize>)> = BTreeMap::new();
        // A connection that is wrong may have meant any port: its mistake is not reported as another port's, too.
        let mut all_known = read_whole;
        for (place, connect) in self.image.connections.iter().enumerate() {
            let (Some(from), Some(to)) = (self.end(&connect.from), self.end(&connect.to)) else {
                all_known = false;
                continue;
            };
            if from.interface.key != to.interface.key {
                self.interfaces_differ(connect, from.interface, to.interface);
                all_known = false;
                continue;
            }
            if from.side == to.side {
                // Which of the two was meant is not known.
                self.connection(connect, &from, &to);
                all_known = false;
                continue;
            }
            let mut told = None;
            for (end, text) in [(&from, &connect.from), (&to, &connect.to)] {
                let Some((other, before)) =
                    joined.insert((end.end.component.0, end.end.port), (place, text.span.clone()))
                else {
                    continue;
                };
                // A connection that stands there twice is one mistake.
                if told.replace(other) == Some(other) {
                    continue;
                }
                let problem = self.reader.problem(
                    Rule::PortTwice,
                    text.span.clone(),
                    format!("`{}` is joined twice", text.value),
                    "joined here once more",
                    "a port has one other end: take one of the two connections out.",
                );
                problem.other = Some((before, "joined here".to_owned()));
            }
            connections.extend(self.connection(connect, &from, &to));
        }
        if all_known {
            self.every_port_is_joined(&joined);
        }
        (connections, all_known && self.reader.problems.len() == before)
    }

    fn interfaces_differ(&mut self, connect: &Connect, ours: &Interface, theirs: &Interface) {
        let (near, far) = (&connect.from.value, &connect.to.value);
        let (message, remedy) = if ours.path == theirs.path {
            let mut found = Vec::new();
            differences(ours, theirs, &mut |difference| found.push(difference.to_string()));
            let more = found.len().saturating_sub(MOST_DIFFERENCES);
            found.truncate(MOST_DIFFERENCES);
            if more > 0 {
                found.push(format!("and {more} more"));
            }
            (
                format!(
                    "`{near}` (here) and `{far}` (there) have different versions of `{}`: {}",
                    ours.path,
                    found.join("; ")
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
        if let Some(when_gone) = connect.when_gone.as_ref().filter(|_| !service) {
            self.reader.problem(
                Rule::Choice,
                when_gone.span.clone(),
                format!("`{near}` is a stream, and a stream has no `when-gone`"),
                "belongs to services",
                "take it out: items wait for their consumer in any case.",
            );
        }
        (self.reader.problems.len() == before).then_some(Connection {
            when_gone: connect.when_gone.as_ref().map_or(WhenGone::default(), |choice| choice.value),
            interface: from.interface,
            near: from.end,
            far: to.end,
            slots: slots.value as u32,
            routed: to.forwards,
        })
    }

    fn every_port_is_joined(&mut self, joined: &BTreeMap<Port, (usize, Range<usize>)>) {
        let mut told: BTreeSet<Port> = BTreeSet::new();
        for (at, part) in self.parts.iter().enumerate() {
            let Some(part) = part else { continue };
            let name = &part.instance.name;
            for (number, port) in part.linked.description().ports.iter().enumerate() {
                let optional = part.manifest.ports.get(number).is_some_and(|port| port.optional);
                let place = (at as u8, number as u8);
                if optional || joined.contains_key(&place) || told.contains(&place) {
                    continue;
                }
                // Whom it could be joined to: a free port of the same interface and the other side.
                let others = self.parts.iter().enumerate().filter(|(other, _)| *other != at);
                let others = others.filter_map(|(at, part)| Some((at, part.as_ref()?)));
                let fitting = others.flat_map(|(at, part)| {
                    let ports = part.linked.description().ports.iter().enumerate();
                    let ports =
                        ports.filter(|(_, other)| other.interface.key == port.interface.key && other.side != port.side);
                    ports.map(move |(number, port)| {
                        ((at as u8, number as u8), format!("{}.{}", part.instance.name.value, port.name))
                    })
                });
                let free = fitting.filter(|(other, _)| !joined.contains_key(other) && !told.contains(other));
                let other = free.min_by(|(_, a), (_, b)| a.cmp(b));
                let own = format!("{}.{}", name.value, port.name);
                let near = (port.interface.kind == Kind::Service) == (port.side == Side::Uses);
                let remedy = match &other {
                    Some((_, other)) => {
                        let (from, to) = if near { (&own, other) } else { (other, &own) };
                        format!("add `[[connect]]` with from = \"{from}\", to = \"{to}\" and slots = 8.")
                    }
                    None => {
                        let does = if port.side == Side::Uses { "offers" } else { "uses" };
                        format!("add a component that {does} `{}`, and join the two.", port.interface.path)
                    }
                };
                told.extend(other.map(|(place, _)| place));
                self.reader.problem(
                    Rule::PortUnconnected,
                    name.span.clone(),
                    format!("port `{own}` is not connected"),
                    format!("its port `{}` leads nowhere", port.name),
                    remedy,
                );
            }
        }
    }
}
