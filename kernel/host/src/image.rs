//! An image for this platform, as the composer hands it over: everything by number, nothing left to look up.

use koboshi_core::kernel::Rights;
use koboshi_core::{ComponentId, Nanoseconds};
use koboshi_interface_kit::Interface;

use crate::application::Application;
use crate::linked::Linked;
use crate::scif::Scif;

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
    /// Its own part of the manifest, as `postcard` bytes of the type that it reads.
    pub configuration: Vec<u8>,
    /// What it may do to others.
    pub rights: Rights,
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
}

/// A device that this platform models.
#[derive(Clone)]
pub enum DeviceModelKind {
    /// A serial interface with FIFO, and the outside end of its line.
    Scif(Box<Scif>),
    /// The application's end of a line.
    Application(Box<Application>),
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
