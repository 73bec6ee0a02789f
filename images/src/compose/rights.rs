//! Who may do what to whom, and whether nobody can keep him from it.

use std::collections::BTreeSet;

use koboshi_core::ComponentId;
use koboshi_core::kernel::Rights;
use koboshi_host::image::Connection;
use koboshi_interface_kit::Kind;
use koboshi_interfaces::control;

use super::Composer;
use crate::manifest::{Instance, RightsManifest, UNREAD_VCPU};
use crate::problem::Rule;

impl Composer<'_> {
    pub(super) fn manager(&mut self) -> Option<ComponentId> {
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
            .find(|(other, component)| *other != at && component.vcpu.value <= instance.vcpu.value)
            .filter(|_| instance.vcpu.value != UNREAD_VCPU);
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

    pub(super) fn rights(&mut self) -> Vec<Rights> {
        let mut all = vec![Rights::default(); self.image.components.len()];
        for rights in &self.image.rights {
            let [mut control, mut load] = [0; 2];
            let names =
                rights.control.iter().map(|name| (name, false)).chain(rights.load.iter().map(|name| (name, true)));
            for (name, loads) in names {
                match self.place_of(&name.value) {
                    Some(at) if loads => load |= ComponentId(at as u8).bit(),
                    Some(at) => control |= ComponentId(at as u8).bit(),
                    None => self.unknown_component(&name.value, name.span.clone()),
                }
            }
            match self.place_of(&rights.who.value) {
                Some(at) => {
                    let RightsManifest { facts, blame, reboot, .. } = *rights;
                    all[at] = Rights { control, facts, blame, reboot, load };
                }
                None => self.unknown_component(&rights.who.value, rights.who.span.clone()),
            }
        }
        all
    }

    pub(super) fn manager_may_do_what_its_groups_need(
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
            let at = self.places.get(member).copied();
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

    /// Whoever may restart somebody is not on a VCPU below him, where he would run only when the other lets him.
    pub(super) fn whoever_restarts_is_not_starved(&mut self, manager: Option<ComponentId>, rights: &[Rights]) {
        for (at, rights) in rights.iter().enumerate() {
            // The manager has a VCPU to itself, which is checked elsewhere.
            if manager.is_some_and(|manager| manager.index() == at) {
                continue;
            }
            let Some(restarter) = self.image.components.get(at) else { continue };
            let controlled = self.image.components.iter().enumerate();
            // Nobody can be above the manager: it is the kernel that ends it when it has to be ended.
            let mut controlled = controlled.filter(|(other, _)| {
                let id = ComponentId(*other as u8);
                rights.control & id.bit() != 0 && manager != Some(id)
            });
            if let Some((_, other)) = controlled.find(|(_, other)| is_above(other, restarter)) {
                let (who, whom) = (&restarter.name.value, &other.name.value);
                let problem = self.reader.problem(
                    Rule::Starved,
                    restarter.vcpu.span.clone(),
                    format!("`{who}` may restart `{whom}`, and `{whom}` can keep it from running"),
                    "below the other one",
                    format!("give `{who}` `vcpu = {}` or less: VCPU 0 has the highest priority.", other.vcpu.value),
                );
                problem.other = Some((other.vcpu.span.clone(), "above it".to_owned()));
            }
        }
    }

    /// Of those who report a component with a device, one at least is not on a VCPU below it.
    ///
    /// The kernel itself notices a component that does not come back to its wait. It cannot notice one that comes back and
    /// is woken again without end, as by an interrupt that nobody clears: that one is late, and is reported so by whom
    /// it keeps waiting, who must not be kept from running too. Late is what clients of a service can say, to the
    /// manager; where nobody can, those count who may end it for what it sends.
    pub(super) fn whoever_reports_is_not_starved(
        &mut self,
        manager: Option<ComponentId>,
        rights: &[Rights],
        connections: &[Connection],
    ) {
        let reports = |connection: &&Connection| {
            Some(connection.far.component) == manager && connection.interface.key == control::INTERFACE.key
        };
        let to_manager: BTreeSet<ComponentId> =
            connections.iter().filter(reports).map(|connection| connection.near.component).collect();
        for (at, part) in self.parts.iter().enumerate() {
            let Some(part) = part else { continue };
            let id = ComponentId(at as u8);
            if Some(id) == manager || part.manifest.devices.iter().all(|device| device.interrupts.is_empty()) {
                continue;
            }
            let (mut say_late, mut blame) = (Vec::new(), Vec::new());
            for Connection { interface, near, far, .. } in connections {
                let service = interface.kind == Kind::Service;
                let (server, peer) = if service { (far, near) } else { (near, far) };
                let peer = peer.component;
                if server.component != id || peer == id {
                    continue;
                }
                let instance = self.image.components.get(peer.index());
                if service && to_manager.contains(&peer) {
                    say_late.extend(instance);
                }
                if rights.get(peer.index()).is_some_and(|rights| rights.blame) {
                    blame.extend(instance);
                }
            }
            let reporters = if say_late.is_empty() { blame } else { say_late };
            let Some(highest) = reporters.iter().min_by_key(|reporter| reporter.vcpu.value) else { continue };
            let reported = part.instance;
            if is_above(reported, highest) {
                let (who, whom) = (&highest.name.value, &reported.name.value);
                let problem = self.reader.problem(
                    Rule::Starved,
                    highest.vcpu.span.clone(),
                    format!("`{who}` reports `{whom}`, and `{whom}` can keep it from running"),
                    "below the one that it reports",
                    format!(
                        "give both the same VCPU: an interrupt that does not end keeps `{whom}` busy though it is not \
                         stuck, and only a report ends that."
                    ),
                );
                problem.other = Some((reported.vcpu.span.clone(), "above it, with a device".to_owned()));
            }
        }
    }
}

/// Whether a component runs whenever it wants to, and the other one only when it does not.
const fn is_above(one: &Instance, other: &Instance) -> bool {
    one.vcpu.value < other.vcpu.value && other.vcpu.value != UNREAD_VCPU
}
