//! A kernel over four components, for the tests that need one.

use koboshi_core::kernel::{Component, Kernel, Life, Line, Port as KernelPort, Record, Rights, Swappable, Tables};
use koboshi_core::life::{Begin, Facts, State};
use koboshi_core::record::{Contracts, Sealed};
use koboshi_core::{ComponentId, LineId, NEVER, PortId};

use super::Port;

pub(crate) const MANAGER: ComponentId = ComponentId(0);
pub(crate) const CLIENT: ComponentId = ComponentId(1);
pub(crate) const SERVER: ComponentId = ComponentId(2);
pub(crate) const BYSTANDER: ComponentId = ComponentId(3);
pub(crate) const NOBODY: ComponentId = ComponentId(4);
pub(crate) const ALL: [ComponentId; 4] = [MANAGER, CLIENT, SERVER, BYSTANDER];
pub(crate) const WITHIN: u64 = 100;
pub(crate) const CONTRACTS: Contracts = Contracts { at_most_once: 0b10, idempotent: 0, routed: false };

/// A manager with every right, a client that may blame its server, and a bystander with a port of its own to the server
/// and no right at all.
pub(crate) fn with(test: impl FnOnce(&mut Kernel<'_>, &Port, &Port)) {
    built(Fit::default(), test);
}

/// What a test may want otherwise.
#[derive(Clone, Copy, Default)]
pub(crate) struct Fit {
    /// Of every component.
    pub(crate) recover_within: Option<u64>,
    /// Of every component.
    pub(crate) swappable: Option<Swappable>,
    /// The server may end the client.
    pub(crate) server_controls: bool,
    /// The client's requests wait while the server is gone; those of the bystander never do.
    pub(crate) waits: bool,
}

/// The same, fitted otherwise.
pub(crate) fn built(fit: Fit, test: impl FnOnce(&mut Kernel<'_>, &Port, &Port)) {
    let Fit { recover_within, swappable, server_controls, waits } = fit;
    let controls = Rights { control: if server_controls { CLIENT.bit() } else { 0 }, ..Rights::default() };
    let (port, other) = (Port::service(4), Port::service(4));
    let nothing = Component {
        name: "",
        vcpu: 1,
        respond_within: WITHIN,
        recover_within,
        ports: &[],
        lines: &[],
        rights: Rights::default(),
        swappable,
    };
    let all = Rights { control: !MANAGER.bit(), facts: true, blame: false, reboot: true, load: !MANAGER.bit() };
    let components = [
        Component { name: "manager", vcpu: 0, rights: all, ..nothing },
        Component {
            name: "client",
            ports: &[PortId(0)],
            rights: Rights { blame: true, ..Rights::default() },
            ..nothing
        },
        Component { name: "server", ports: &[PortId(0), PortId(1)], lines: &[LineId(0)], rights: controls, ..nothing },
        Component { name: "bystander", ports: &[PortId(1)], ..nothing },
    ];
    let ports = [
        KernelPort { near: CLIENT, far: SERVER, record: Record::Service(port.record(), CONTRACTS), waits },
        KernelPort { near: BYSTANDER, far: SERVER, record: Record::Service(other.record(), CONTRACTS), waits: false },
    ];
    let tables = Tables {
        components: &components,
        lives: &mut [Life::default(); 4],
        ports: &ports,
        sealed: &mut [Sealed::default(); 2],
        lines: &mut [Line::new(SERVER)],
        incidents: &mut [None; 4],
        manager: Some(MANAGER),
    };
    test(&mut Kernel::new(tables).unwrap(), &port, &other);
}

/// The same with all components started and come to their wait.
pub(crate) fn running(test: impl FnOnce(&mut Kernel<'_>, &Port, &Port)) {
    running_as(Fit::default(), test);
}

/// The same, fitted otherwise.
pub(crate) fn running_as(fit: Fit, test: impl FnOnce(&mut Kernel<'_>, &Port, &Port)) {
    built(fit, |kernel, port, other| {
        for id in ALL {
            kernel.start(id, Begin::Fresh, 0).unwrap();
        }
        rest(kernel, 0);
        kernel.take_actions();
        test(kernel, port, other);
    });
}

/// Lets everybody run until all wait without an alarm.
pub(crate) fn rest(kernel: &mut Kernel<'_>, now: u64) {
    while let Some(id) = kernel.dispatch(now) {
        kernel.wait(id, NEVER, now);
    }
}

pub(crate) fn facts(kernel: &Kernel<'_>, id: ComponentId) -> Facts {
    kernel.facts(id).unwrap()
}

pub(crate) fn state(kernel: &Kernel<'_>, id: ComponentId) -> State {
    facts(kernel, id).state
}
