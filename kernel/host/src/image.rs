//! An image for this platform, as the composer hands it over: everything by number, nothing left to look up.

use koboshi_core::kernel::{Rights, Swappable};
use koboshi_core::{ComponentId, Nanoseconds};
use koboshi_interface_kit::Interface;

use crate::application::Application;
use crate::device::{BadAccess, DeviceModel, Width};
use crate::linked::Linked;
use crate::ns16550::Ns16550;
use crate::scif::Scif;
use crate::wire::Wire;

/// A component of an image.
#[derive(Clone)]
pub struct ImageComponent {
    /// Its name in the image; two of one package have different ones.
    pub name: String,
    /// Its code.
    pub linked: Linked,
    /// Its VCPU; 0 has the highest priority.
    pub vcpu: u8,
    /// How long it may be away from its wait once it was woken.
    pub respond_within: Nanoseconds,
    /// How long it may take from a fault that was noticed until it is up again; a miss is reported. `None`: no bound.
    pub recover_within: Option<Nanoseconds>,
    /// Its own part of the manifest, as `postcard` bytes of the type that it reads.
    pub configuration: Vec<u8>,
    /// What it may do to others.
    pub rights: Rights,
    /// Another version may take its place, by these rules; `None`: none may.
    pub swappable: Option<Swappable>,
}

/// One end of a connection: the component, and the port's number in its description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortEnd {
    /// The component.
    pub component: ComponentId,
    /// The place of the port in its description.
    pub port: u8,
}

/// Two ports that are joined.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// What travels.
    pub interface: &'static Interface,
    /// The client or producer.
    pub near: PortEnd,
    /// The server or consumer.
    pub far: PortEnd,
    /// Slots in each direction: a power of two, at most 64 for a service.
    pub slots: u32,
    /// The server only forwards.
    pub routed: bool,
    /// What becomes of requests while the server is stopped or given up.
    pub when_gone: WhenGone,
}

/// What becomes of requests to a server that was stopped or given up. A stream's items always wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenGone {
    /// They end with a clear error at once.
    #[default]
    Refuse,
    /// They wait until somebody starts the server again; their deadlines still end the wait.
    Wait,
}

/// A device that this platform models.
#[derive(Clone)]
pub enum DeviceModelKind {
    /// A serial interface with FIFO, and the outside end of its line.
    Scif(Box<Scif>),
    /// A 16550A UART, and the outside end of its line.
    Ns16550(Box<Ns16550>),
    /// The application's end of a line.
    Application(Box<Application>),
    /// The other side of it, where a component carries the program's bytes: on a board. Here that side is held from outside.
    Program(ProgramSide),
}

/// The program's side of a line's end, which a board has and this platform has no model of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramSide {
    /// The application's end, by its name in the image.
    pub of: String,
}

impl DeviceModel for ProgramSide {
    fn read(&mut self, offset: u32, _: Width, _now: u64) -> Result<u32, BadAccess> {
        Err(BadAccess::NoRegister { offset })
    }

    fn write(&mut self, offset: u32, _: Width, _: u32, _now: u64) -> Result<(), BadAccess> {
        Err(BadAccess::NoRegister { offset })
    }

    fn advance(&mut self, _now: u64) {}

    fn next_event(&self) -> Option<u64> {
        None
    }

    fn asserted(&self) -> u32 {
        0
    }
}

impl DeviceModelKind {
    /// The model as its registers show it.
    pub fn registers(&mut self) -> &mut dyn DeviceModel {
        match self {
            DeviceModelKind::Scif(scif) => &mut **scif,
            DeviceModelKind::Ns16550(uart) => &mut **uart,
            DeviceModelKind::Application(application) => &mut **application,
            DeviceModelKind::Program(side) => side,
        }
    }

    /// The outside end of a serial interface's line, and the clock from which the interface makes its speed; `None` for
    /// the application's end.
    #[must_use]
    pub fn wire(&self) -> Option<(&Wire, u32)> {
        match self {
            DeviceModelKind::Scif(scif) => Some((scif.wire(), scif.peripheral_clock())),
            DeviceModelKind::Ns16550(uart) => Some((uart.wire(), uart.clock())),
            DeviceModelKind::Application(_) | DeviceModelKind::Program(_) => None,
        }
    }

    /// Whether a serial interface was set up to hear the outside end.
    #[must_use]
    pub fn listens(&self) -> bool {
        match self {
            DeviceModelKind::Scif(scif) => scif.listens(),
            DeviceModelKind::Ns16550(uart) => uart.is_set_up(),
            DeviceModelKind::Application(_) | DeviceModelKind::Program(_) => false,
        }
    }

    /// Bytes of the outside end that a serial interface has lost: it was full, reset, or not set up yet.
    #[must_use]
    pub fn lost(&self) -> u64 {
        match self {
            DeviceModelKind::Scif(scif) => {
                let counters = scif.counters();
                counters.overrun + counters.discarded_rx + counters.missed
            }
            DeviceModelKind::Ns16550(uart) => uart.counters().overrun + uart.counters().discarded_rx,
            DeviceModelKind::Application(_) | DeviceModelKind::Program(_) => 0,
        }
    }

    /// Reads of an empty receiver and writes into a full transmitter: bytes that its driver made up or lost.
    #[must_use]
    pub fn misuses(&self) -> u64 {
        match self {
            DeviceModelKind::Scif(scif) => scif.counters().popped_empty + scif.counters().pushed_into_full,
            DeviceModelKind::Ns16550(uart) => {
                let counters = uart.counters();
                counters.popped_empty + counters.popped_unseen + counters.pushed_into_full
            }
            DeviceModelKind::Application(application) => application.misuses(),
            DeviceModelKind::Program(_) => 0,
        }
    }

    /// The outside end of a serial interface's line, to act on.
    pub fn wire_mut(&mut self) -> Option<&mut Wire> {
        match self {
            DeviceModelKind::Scif(scif) => Some(scif.wire_mut()),
            DeviceModelKind::Ns16550(uart) => Some(uart.wire_mut()),
            DeviceModelKind::Application(_) | DeviceModelKind::Program(_) => None,
        }
    }
}

/// A device of an image. Its interrupt sources are its owner's lines, in order.
#[derive(Clone)]
pub struct ImageDevice {
    /// Its name in the image.
    pub name: String,
    /// Who owns it.
    pub owner: ComponentId,
    /// The place of the device in its owner's description.
    pub number: u8,
    /// The owner's line that the device's first interrupt source raises; the others follow.
    pub first_line: u8,
    /// The model.
    pub model: DeviceModelKind,
    /// What the kernel writes, in this order, when the owner is given up. It must not need the dead driver.
    pub safe: Vec<SafeWrite>,
}

/// One register write of a safe action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SafeWrite {
    /// The register's offset in the device.
    pub offset: u32,
    /// How wide the register is.
    pub width: Width,
    /// What is written.
    pub value: u32,
}

/// What things cost in platform time. Line time is platform time, so these decide what a recovery costs the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Costs {
    /// One turn of a component, from its wait to its wait.
    pub turn: Nanoseconds,
    /// Resetting a component's memory and starting it.
    pub start: Nanoseconds,
    /// How long a component that does not come back runs before another one on its VCPU has its turn.
    pub quantum: Nanoseconds,
}

impl Default for Costs {
    /// 500 ns a turn (200 instructions at 400 MHz), 20 us a start (2,000 for the kernel, the rest for copying 8 KiB),
    /// 1 ms a quantum (the paper's timer).
    fn default() -> Self {
        Costs { turn: 500, start: 20_000, quantum: 1_000_000 }
    }
}

/// An image.
#[derive(Clone)]
pub struct Image {
    /// Its components; their places are their [`ComponentId`]s.
    pub components: Vec<ImageComponent>,
    /// Its connections.
    pub connections: Vec<Connection>,
    /// Its devices.
    pub devices: Vec<ImageDevice>,
    /// The component whose death the kernel handles itself.
    pub manager: Option<ComponentId>,
    /// What things cost.
    pub costs: Costs,
}
