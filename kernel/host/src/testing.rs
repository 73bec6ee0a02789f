//! For the tests of components: a few of them, joined without a manifest, and started again when they fall.
//!
//! Job: spare a test what the composer and the restart manager do in an image. It must never hold a rule of its own.

use koboshi_core::ComponentId;
use koboshi_core::kernel::{Command, Rights};
use koboshi_core::life::State;
use koboshi_interface_kit::Kind;
use koboshi_runtime::describe::Side;

use crate::image::{Connection, Costs, Image, ImageComponent, PortEnd, WhenGone};
use crate::linked::Linked;
use crate::machine::Machine;

const RESPOND_WITHIN: u64 = 1_000_000; // in nanoseconds: how long a component may be away from its wait
const LOOK: u64 = 100_000; // in nanoseconds: how often `run` looks for who fell

/// An image of these components under their packages' names. Ports of one interface are joined in the order in which they
/// stand; one without another end stays alone.
#[must_use]
pub fn image(components: Vec<Linked>) -> Image {
    let ends = components.iter().enumerate().flat_map(|(at, linked)| {
        let ports = linked.description().ports.iter().enumerate();
        ports.map(move |(port, found)| (PortEnd { component: ComponentId(at as u8), port: port as u8 }, *found))
    });
    let (mut fars, nears): (Vec<_>, Vec<_>) =
        ends.partition(|(_, port)| (port.interface.kind == Kind::Service) == (port.side == Side::Offers));
    let mut connections = Vec::new();
    for (near, port) in nears {
        let Some(at) = fars.iter().position(|(_, far)| far.interface.key == port.interface.key) else { continue };
        let (far, when_gone) = (fars.remove(at).0, WhenGone::default());
        connections.push(Connection { interface: port.interface, near, far, slots: 8, routed: false, when_gone });
    }
    let component = |linked: Linked| ImageComponent {
        name: linked.description().name.to_owned(),
        linked,
        vcpu: 0,
        respond_within: RESPOND_WITHIN,
        recover_within: None,
        swappable: None,
        configuration: Vec::new(),
        rights: Rights { blame: true, ..Rights::default() },
    };
    let components = components.into_iter().map(component).collect();
    Image { components, connections, devices: Vec::new(), manager: None, costs: Costs::default() }
}

/// Runs a machine without a restart manager until platform time `at`; whoever fell is started again within 100 us.
pub fn run(machine: &mut Machine, at: u64) {
    while machine.now() < at {
        machine.run_until(at.min(machine.now() + LOOK));
        for id in (0..koboshi_core::MAX_COMPONENTS as u8).map(ComponentId) {
            if machine.facts(id).is_some_and(|facts| facts.state == State::Failed) {
                // It failed just now, and nothing has run since: it can be started.
                let _ = machine.command(id, Command::Start);
            }
        }
    }
}
