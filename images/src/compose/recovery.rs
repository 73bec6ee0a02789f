//! Everybody is restarted by somebody, in a time that those who wait for him can bear.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::{Composer, costs};
use crate::manifest::{DeviceSettings, GroupManifest, SerialSettings};
use crate::margins::{Hop, Margins};
use crate::policy;
use crate::problem::{Rule, instead};
use crate::reader::At;
use crate::units::Quantity;

impl Composer<'_> {
    /// The groups' members by number; and everybody is looked after by exactly one of them.
    pub(super) fn groups(&mut self, read_whole: bool) -> Vec<policy::Found> {
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
        let manager_known = manager.is_some_and(|manager| self.place_of(&manager.value).is_some());
        if all_known && manager_known {
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
        if self.image.groups_unread {
            // It may be one of those that could not be read.
            return None;
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

    /// Every way of escalation comes to an end; one that goes round in a circle is one problem.
    fn escalation_ends(&mut self, groups: &[policy::Found]) {
        let mut circled = BTreeSet::new();
        for (start, group) in self.image.groups.iter().enumerate() {
            if circled.contains(&start) || !policy::leads(groups, start, start) {
                continue;
            }
            circled.extend((0..groups.len()).filter(|other| policy::leads(groups, start, *other)));
            self.reader.problem(
                Rule::Escalation,
                group.escalate.span.clone(),
                format!("group `{}` escalates to itself", group.name.value),
                "comes back to this group",
                "end the chain with `escalate = \"image\"` or `escalate = \"give-up\"`.",
            );
        }
    }

    /// What is promised of a recovery is not shorter than what its start alone takes.
    pub(super) fn recovery_is_no_shorter_than_a_start(&mut self) {
        let start = costs(self.image).start;
        for instance in &self.image.components {
            let Some(bound) = instance.recover_within.as_ref().filter(|bound| bound.value < start) else { continue };
            let (bound_text, start) = (Quantity::Time.write(bound.value), Quantity::Time.write(start));
            self.reader.problem(
                Rule::RecoverWithin,
                bound.span.clone(),
                format!(
                    "`{}` is to recover within {bound_text}, and its start alone takes {start}",
                    instance.name.value
                ),
                "shorter than a start",
                "allow for the start (`start` in `[costs]`), and for some turns of the restart manager.",
            );
        }
    }

    /// Each operation can be answered within its deadline though everybody on the way hangs and recovers once.
    pub(super) fn deadlines_outlast_recoveries(&mut self, margins: &Margins) {
        let mut ways: Vec<_> = margins.ways.iter().filter(|way| way.slack().is_some_and(|slack| slack <= 0)).collect();
        // The nearest to the cause first, and of those the worst.
        ways.sort_by_key(|way| (way.hops.len(), way.slack()));
        let mut told = BTreeSet::new();
        for way in ways {
            // A way that leads on over one that was reported is too slow for the same reason.
            if way.hops.iter().any(|hop| told.contains(&hop.server)) {
                continue;
            }
            told.extend(way.hops.first().map(|hop| hop.server));
            let name =
                |hop: &Hop| self.image.components.get(hop.server).map_or("?", |server| server.name.value.as_str());
            let parts: Vec<String> = way.promised().map(|hop| format!("`{}` {}", name(hop), hop.sum())).collect();
            let slowest = way.promised().max_by_key(|hop| hop.total());
            let slowest = slowest.and_then(|hop| self.image.components.get(hop.server));
            let (Some(slowest), Some(connect)) = (slowest, self.image.connections.get(way.connection)) else {
                continue;
            };
            let span = slowest.recover_within.as_ref().map_or(slowest.name.span.clone(), |bound| bound.span.clone());
            let problem = self.reader.problem(
                Rule::Deadline,
                span,
                format!(
                    "`{}/{}` has a deadline of {}, and recovering takes {}: {}",
                    way.interface.path,
                    way.operation.name,
                    Quantity::Time.write(way.deadline()),
                    Quantity::Time.write(way.needs()),
                    parts.join(", then ")
                ),
                "longer than somebody waits",
                format!(
                    "make `recover-within` of `{}` or the first pause of its group's `backoff` shorter, or the deadline \
                     of `{}` longer.",
                    slowest.name.value, way.operation.name
                ),
            );
            problem.other = Some((connect.to.span.clone(), format!("`{}` is asked here", way.operation.name)));
        }
    }

    /// A component that fails at every start comes to its group's intensity: its pauses do not outlast the period.
    pub(super) fn intensities_can_be_exceeded(&mut self) {
        let start = costs(self.image).start;
        for group in &self.image.groups {
            let deaths = u64::from(group.intensity);
            let takes = pauses(group).saturating_add(start.saturating_mul(deaths));
            if takes <= group.period.value {
                continue;
            }
            self.reader.problem(
                Rule::Intensity,
                group.period.span.clone(),
                format!(
                    "group `{}` never escalates for one that fails at every start: {} deaths take it {}, and the period \
                     is {}",
                    group.name.value,
                    deaths + 1,
                    Quantity::Time.write(takes),
                    Quantity::Time.write(group.period.value)
                ),
                "shorter than the pauses",
                "make the period longer, `most` of the backoff shorter, or the intensity smaller.",
            );
        }
    }

    /// A device whose driver may be given up has a safe action. A program's end of a line needs none: nothing hangs on it.
    pub(super) fn given_up_devices_are_made_safe(&mut self, groups: &[policy::Found]) {
        for device in &self.image.devices {
            if !device.safe.is_empty() || !matches!(device.settings, DeviceSettings::Scif { .. }) {
                continue;
            }
            let owner = device.owner.value.split('.').next().unwrap_or_default();
            let home = self.place_of(owner).and_then(|at| policy::home(groups, at));
            let Some(home) = home.filter(|home| policy::ends_in_give_up(groups, *home)) else { continue };
            let example = match device.settings {
                // The divisor is closed first.
                DeviceSettings::Ns16550 { shift, .. } => format!(
                    "{{ register = {:#04X}, width = 8, value = 3 }}, {{ register = {:#04X}, width = 8, value = 0 }}",
                    3 << shift,
                    1 << shift
                )
                .replace("0X", "0x"),
                _ => "{ register = 0x08, width = 16, value = 0 }".to_owned(),
            };
            let group = self.image.groups.get(home).map_or("?", |group| group.name.value.as_str());
            self.reader.problem(
                Rule::NoSafeAction,
                device.name.span.clone(),
                format!("`{owner}` may be given up, and then nobody makes `{}` safe", device.name.value),
                "has no safe action",
                format!(
                    "add `safe = [{example}]` with what turns it off, or let group \
                     `{group}` escalate to \"image\"."
                ),
            );
        }
    }

    /// A line without flow control loses nothing while its driver hangs and recovers.
    pub(super) fn receivers_bear_recoveries(&mut self, margins: &Margins) {
        for receiver in &margins.receivers {
            let Some(device) = self.image.devices.get(receiver.device) else { continue };
            if !receiver.loses() {
                continue;
            }
            let Some(SerialSettings { baud, .. }) = device.settings.serial() else { continue };
            self.reader.problem(
                Rule::ReceiverMargin,
                baud.span.clone(),
                format!(
                    "loss is possible at `{}`, and announced: its receiver has room for {} of line time, and noticing a \
                     hang and recovering takes {}",
                    device.name.value,
                    Quantity::Time.write(receiver.room),
                    Quantity::Time.write(receiver.needs)
                ),
                "a line without flow control",
                "write `flow = \"rts-cts\"`, lower the speed, or promise a shorter recovery.",
            );
        }
    }
}

/// How long a member of this group pauses at least until it has exceeded the intensity by fruitless deaths in a row.
///
/// The restart manager's own rule: none after the first, then `first`, doubling up to `most`.
fn pauses(group: &GroupManifest) -> u64 {
    let (first, most) = (group.backoff_first.value, group.backoff_most.value);
    let pause = |death: u32| death.checked_sub(2).map_or(0, |doublings| first.saturating_mul(1 << doublings).min(most));
    (1..=u32::from(group.intensity)).map(pause).fold(0, u64::saturating_add)
}
