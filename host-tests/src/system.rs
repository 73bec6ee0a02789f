//! The system that the suites run: Monitor, SOS, SCIF driver and restart manager over one serial line.

use koboshi_core::ComponentId;
use koboshi_core::kernel::{Rights, Swappable};
use koboshi_host::application::{Application, framing};
use koboshi_host::image::{Connection, Costs, DeviceModelKind, Image, ImageComponent, ImageDevice, PortEnd, WhenGone};
use koboshi_host::linked::Linked;
use koboshi_host::ns16550::Ns16550;
use koboshi_host::scif::{FifoDepth, Layout, Scif};
use koboshi_host::wire::{LineSettings, Wire};
use koboshi_interface_kit::Interface;
use koboshi_interfaces::serial::{Flow, Line};
use koboshi_interfaces::{control, health, log, received, serial};
use koboshi_restart_manager::policy::{Escalation, Group, Policy, Strategy};
use koboshi_runtime::life::{Exit, Start};
use koboshi_runtime::platform::koboshi_begin;
use koboshi_scif_driver::device::{Board, Chip};

/// The restart manager.
pub const MANAGER: ComponentId = ComponentId(0);
/// SOS.
pub const SOS: ComponentId = ComponentId(1);
/// The SCIF driver.
pub const DRIVER: ComponentId = ComponentId(2);
/// The Monitor.
pub const MONITOR: ComponentId = ComponentId(3);

/// All components.
pub const EVERYBODY: [ComponentId; 4] = [MANAGER, SOS, DRIVER, MONITOR];

/// The peers of a component: who shares a port with it.
#[must_use]
pub fn peers(of: ComponentId) -> &'static [ComponentId] {
    match of {
        MANAGER => &[MONITOR, SOS],
        SOS => &[MONITOR, DRIVER, MANAGER],
        DRIVER => &[SOS, MONITOR],
        _ => &[SOS, DRIVER, MANAGER],
    }
}

/// Which driver, and so which device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drives {
    /// The SCIF, woken by its interrupts.
    #[default]
    Scif,
    /// The SCIF, by looking.
    ScifPolled,
    /// Both drivers of the SCIF in turn, incarnation by incarnation: each takes over what the other one has left.
    ScifInTurn {
        /// The one that looks is first.
        polled_first: bool,
    },
    /// A 16550A, which does RTS and CTS by itself.
    Ns16550,
}

impl Drives {
    /// Its code.
    #[must_use]
    pub fn linked(self) -> Linked {
        match self {
            Drives::Scif => Linked::new(&koboshi_scif_driver::DESCRIPTION, koboshi_scif_driver::start),
            Drives::ScifPolled => {
                Linked::new(&koboshi_scif_polled_driver::DESCRIPTION, koboshi_scif_polled_driver::start)
            }
            // The kernel has the lines of the one with interrupts, as it has when the other one comes while it runs.
            Drives::ScifInTurn { polled_first } => {
                Linked::new(&koboshi_scif_driver::DESCRIPTION, move |start| in_turn(start, polled_first))
            }
            Drives::Ns16550 => Linked::new(&koboshi_ns16550_driver::DESCRIPTION, koboshi_ns16550_driver::start),
        }
    }
}

/// The drivers of the SCIF, of which each may take the other one's place: the first one is the default's.
#[must_use]
pub fn versions() -> [Linked; 2] {
    [Drives::Scif.linked(), Drives::ScifPolled.linked()]
}

async fn in_turn(start: Start, polled_first: bool) -> Exit {
    let (epoch, _) = koboshi_begin();
    if (epoch % 2 == 1) == polled_first {
        koboshi_scif_polled_driver::start(start).await
    } else {
        koboshi_scif_driver::start(start).await
    }
}

/// What a scenario may set.
#[derive(Clone)]
pub struct Setup {
    /// Bit rate of both ends.
    pub baud: u32,
    /// RTS/CTS at both ends.
    pub flow: bool,
    /// Stages of the device's FIFOs.
    pub fifo: FifoDepth,
    /// Which chip.
    pub chip: Chip,
    /// Whether the death of SOS reboots its drivers too.
    pub sos_reboots_drivers: bool,
    /// What things cost in platform time.
    pub costs: Costs,
    /// Which driver.
    pub drives: Drives,
    /// The driver's code, if it is not the real one.
    pub driver: Option<Linked>,
    /// The version that takes the driver's place, if it is not the one that is linked in.
    pub other: Option<Linked>,
    /// How another version takes the driver's place.
    pub swappable: Swappable,
    /// Everybody's code, if it is not linked in: in the order of [`EVERYBODY`].
    pub code: Option<Vec<Linked>>,
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            baud: 115_200,
            flow: false,
            fifo: FifoDepth::Sixteen,
            chip: Chip::Sh7751r,
            sos_reboots_drivers: false,
            costs: Costs::default(),
            drives: Drives::default(),
            driver: None,
            other: None,
            swappable: Swappable { quiesce_within: 20_000_000, answers: 5, within: 10_000_000_000 },
            code: None,
        }
    }
}

impl Setup {
    /// The line as the driver is to set it.
    #[must_use]
    pub fn line(&self) -> Line {
        Line { baud: self.baud, flow: if self.flow { Flow::RtsCts } else { Flow::None }, ..Line::default() }
    }

    /// The line as the outside end sets it.
    #[must_use]
    pub fn outside(&self) -> LineSettings {
        LineSettings::at(self.baud).with_flow_control(self.flow)
    }

    /// The bits of the application's end that mean this line's framing.
    #[must_use]
    pub fn framing(&self) -> u32 {
        if self.flow { framing::RTS_CTS } else { 0 }
    }
}

/// The name of the application's end of the line.
pub const APPLICATION: &str = "serial0";
/// The name of the serial interface.
pub const SCIF: &str = "scif0";

/// The device's peripheral clock. It makes 115,200 (2.1 % off) and 1,000,000 baud; 60 MHz and 33.3 MHz make no 1 Mbaud.
pub const CLOCK_HZ: u32 = 64_000_000;

/// A register of the 16550A lies in each word.
const UART_SHIFT: u8 = 2;

/// Bytes that the application's end holds each way.
pub const APPLICATION_BYTES: usize = 4096;

fn encoded<T: serde::Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).unwrap_or_default()
}

fn group(members: &[u8], strategy: Strategy, escalate: Escalation) -> Group {
    Group {
        members: heapless::Vec::from_slice(members).unwrap_or_default(),
        strategy,
        intensity: 5,
        period_ms: 1_000,
        backoff_first_ms: 1,
        backoff_most_ms: 100,
        rate_per_second: 200,
        escalate,
    }
}

/// The restart policy: the driver alone, then SOS with it, then the image.
#[must_use]
pub fn policy(setup: &Setup) -> Policy {
    let with_drivers = if setup.sos_reboots_drivers { Strategy::OneForAll } else { Strategy::OneForOne };
    let groups = [
        group(&[DRIVER.0], Strategy::OneForOne, Escalation::Group(1)),
        group(&[SOS.0, DRIVER.0], with_drivers, Escalation::Image),
        group(&[MONITOR.0], Strategy::OneForOne, Escalation::Image),
    ];
    Policy { groups: heapless::Vec::from_slice(&groups).unwrap_or_default() }
}

/// The image.
#[must_use]
pub fn image(setup: &Setup) -> Image {
    let us = 1_000;
    let component = |name: &str, linked, vcpu, respond_within, configuration, rights| ImageComponent {
        recover_within: None,
        swappable: None,
        name: name.to_owned(),
        linked,
        vcpu,
        respond_within,
        configuration,
        rights,
    };
    let all = EVERYBODY.iter().fold(0, |set, id| set | id.bit());
    let blames = Rights { blame: true, ..Rights::default() };
    let layout = match setup.chip {
        Chip::Sh7751r => Layout::SH7751R,
        Chip::Sh7780 => Layout::SH7780,
    };
    let (fifo, clock_hz) = (setup.fifo, CLOCK_HZ);
    let board =
        Board { chip: setup.chip, fifo: fifo.bytes() as u8, clock_hz, line: setup.line(), rate_reads_back: true };
    let uart = koboshi_ns16550_driver::device::Board {
        shift: UART_SHIFT,
        clock_hz,
        line: setup.line(),
        auto_flow: true,
        look_each_ns: None,
    };
    let driver = setup.driver.clone().unwrap_or_else(|| setup.drives.linked());
    let ns16550 = setup.drives == Drives::Ns16550;
    let board = if ns16550 { encoded(&uart) } else { encoded(&board) };
    let hosts = koboshi_sos::Hosts { driver: control::ComponentId(DRIVER.0) };
    let watches = koboshi_monitor::Watches { sos: control::ComponentId(SOS.0), line: setup.line() };
    let mut components = vec![
        component(
            "restart-manager",
            Linked::new(&koboshi_restart_manager::DESCRIPTION, koboshi_restart_manager::start),
            0,
            200 * us,
            encoded(&policy(setup)),
            Rights { control: all & !MANAGER.bit(), facts: true, blame: true, reboot: true, load: 0 },
        ),
        component(
            "sos",
            Linked::new(&koboshi_sos::DESCRIPTION, koboshi_sos::start),
            1,
            200 * us,
            encoded(&hosts),
            blames,
        ),
        ImageComponent {
            swappable: Some(setup.swappable),
            ..component("scif-driver", driver, 1, 200 * us, board, blames)
        },
        component(
            "monitor",
            Linked::new(&koboshi_monitor::DESCRIPTION, koboshi_monitor::start),
            2,
            200 * us,
            encoded(&watches),
            blames,
        ),
    ];
    for (component, code) in components.iter_mut().zip(setup.code.iter().flatten()) {
        component.linked = code.clone();
    }
    let end = |component, port| PortEnd { component, port };
    let connect = |interface: &'static Interface, near, far, slots, routed| Connection {
        when_gone: WhenGone::default(),
        interface,
        near,
        far,
        slots,
        routed,
    };
    let connections = vec![
        connect(&serial::INTERFACE, end(MONITOR, 0), end(SOS, 0), 8, true),
        connect(&serial::INTERFACE, end(SOS, 1), end(DRIVER, 0), 8, false),
        connect(&received::INTERFACE, end(DRIVER, 1), end(MONITOR, 1), 16, false),
        connect(&control::INTERFACE, end(MONITOR, 2), end(MANAGER, 0), 4, false),
        connect(&control::INTERFACE, end(SOS, 2), end(MANAGER, 1), 4, false),
        connect(&health::INTERFACE, end(MONITOR, 3), end(MANAGER, 2), 4, false),
        connect(&log::INTERFACE, end(MANAGER, 3), end(MONITOR, 4), 8, false),
    ];
    let wire = Wire::new(setup.outside());
    let model = if ns16550 {
        DeviceModelKind::Ns16550(Box::new(Ns16550::new(UART_SHIFT, clock_hz, true, wire)))
    } else {
        DeviceModelKind::Scif(Box::new(Scif::new(layout.with_fifo(fifo), clock_hz, wire)))
    };
    let devices = vec![
        ImageDevice { safe: Vec::new(), name: SCIF.to_owned(), owner: DRIVER, number: 0, first_line: 0, model },
        ImageDevice {
            safe: Vec::new(),
            name: APPLICATION.to_owned(),
            owner: MONITOR,
            number: 0,
            first_line: 0,
            model: DeviceModelKind::Application(Box::new(Application::new(APPLICATION_BYTES))),
        },
    ];
    Image { components, connections, devices, manager: Some(MANAGER), costs: setup.costs }
}
