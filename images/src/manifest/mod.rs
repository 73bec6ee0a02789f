//! The manifests, as data with places: a component's `component.toml`, and an image's `.toml`.
//!
//! Job: read what stands there. Whether it fits together is the business of [`compose`](crate::compose()).

use std::ops::Range;

use koboshi_host::image::{SafeWrite, WhenGone};
use koboshi_package::{PublicKey, Version};
use koboshi_runtime::describe::Side;

use crate::reader::At;

mod read;

pub(crate) use read::{component, image};

/// What kind of device a component drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// A serial interface with FIFO.
    Scif,
    /// A 16550A UART.
    Ns16550,
    /// The application's end of a line.
    Application,
    /// The other side of it, on a board: of whoever carries a program's bytes.
    Program,
}

impl DeviceKind {
    pub(crate) const ALL: [(&'static str, DeviceKind); 4] = [
        ("scif", DeviceKind::Scif),
        ("ns16550", DeviceKind::Ns16550),
        ("application", DeviceKind::Application),
        ("program", DeviceKind::Program),
    ];

    /// Its word in the manifests.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            DeviceKind::Scif => "scif",
            DeviceKind::Ns16550 => "ns16550",
            DeviceKind::Application => "application",
            DeviceKind::Program => "program",
        }
    }
}

/// A port, as `component.toml` declares it.
#[derive(Clone, Debug)]
pub struct PortManifest {
    /// Its name.
    pub name: At<String>,
    /// Which end of it the component holds.
    pub side: Side,
    /// The path of its interface.
    pub interface: At<String>,
    /// The server only forwards what it is asked.
    pub forwards: bool,
    /// The image may leave it unconnected.
    pub optional: bool,
}

/// A device, as `component.toml` declares it.
#[derive(Clone, Debug)]
pub struct DeviceManifest {
    /// Its name.
    pub name: At<String>,
    /// Its kind.
    pub kind: DeviceKind,
    /// Its interrupt lines, in the order in which the component opens them.
    pub interrupts: Vec<At<String>>,
}

/// A component's manifest.
#[derive(Clone, Debug)]
pub struct ComponentManifest {
    /// The package's name.
    pub package: At<String>,
    /// What the component keeps between two waits fits into this many bytes.
    pub memory: Option<At<u64>>,
    /// It has kept state.
    pub keeps: At<bool>,
    /// Its ports; their order is the order in which the component opens them.
    pub ports: Vec<PortManifest>,
    /// Its devices, in order.
    pub devices: Vec<DeviceManifest>,
}

/// Time for a person or for a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ClockKind {
    /// Deterministic: the same seed gives the same run.
    Virtual,
    /// As the clock on the wall.
    #[default]
    Real,
}

/// What an image runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PlatformKind {
    /// One process of this machine.
    #[default]
    Host,
    /// The R2D-PLUS board, as QEMU emulates it.
    R2d,
    /// The SH-2007 board.
    Sh2007,
}

impl PlatformKind {
    pub(crate) const ALL: [(&'static str, PlatformKind); 3] =
        [("host", PlatformKind::Host), ("r2d", PlatformKind::R2d), ("sh2007", PlatformKind::Sh2007)];

    /// Its word in the manifests.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            PlatformKind::Host => "host",
            PlatformKind::R2d => "r2d",
            PlatformKind::Sh2007 => "sh2007",
        }
    }
}

/// What things cost in platform time.
#[derive(Clone, Debug, Default)]
pub struct CostsManifest {
    /// One turn of a component.
    pub turn: Option<At<u64>>,
    /// One start of a component.
    pub start: Option<At<u64>>,
    /// A round-robin quantum.
    pub quantum: Option<At<u64>>,
}

/// The VCPU of a component whose own could not be read: on no VCPU at all.
pub(crate) const UNREAD_VCPU: u8 = u8::MAX;

/// A component of an image.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Its name in the image.
    pub name: At<String>,
    /// Its package.
    pub package: At<String>,
    /// Its VCPU; 0 has the highest priority.
    pub vcpu: At<u8>,
    /// How long it may be away from its wait.
    pub respond_within: At<u64>,
    /// How long it may take from a noticed fault until it is up again.
    pub recover_within: Option<At<u64>>,
    /// Whether a package may take its place while the image runs.
    pub swappable: Option<At<Swappable>>,
}

/// What a package has to be to take a component's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swappable {
    /// Bytes that it has at most when it is loaded.
    pub room: u32,
    /// No version below this one.
    pub lowest: Version,
    /// Its name is one of these: that of the component's own package, unless the image says otherwise.
    pub packages: Vec<String>,
    /// How one version takes the place of another.
    pub rules: koboshi_core::kernel::Swappable,
}

/// A connection of two ports.
#[derive(Clone, Debug)]
pub struct Connect {
    /// The client or producer, as `component.port`.
    pub from: At<String>,
    /// The server or consumer, as `component.port`.
    pub to: At<String>,
    /// Slots in each direction.
    pub slots: At<u64>,
    /// What becomes of requests while the server is gone; `None` if the manifest does not say.
    pub when_gone: Option<At<WhenGone>>,
    /// The whole table.
    pub span: Range<usize>,
}

/// How registers lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Those of the SH7780.
    Sh7780,
    /// Those of the SH7751R.
    Sh7751r,
}

/// What every serial interface has.
#[derive(Clone, Debug)]
pub struct SerialSettings {
    /// Its FIFO in bytes.
    pub fifo: At<u64>,
    /// Its clock in hertz.
    pub clock: At<u64>,
    /// The line's speed at the outside end, in bits per second.
    pub baud: At<u64>,
    /// RTS/CTS at the outside end.
    pub flow: bool,
}

/// What a device of an image is.
#[derive(Clone, Debug)]
pub enum DeviceSettings {
    /// A serial interface with FIFO.
    Scif {
        /// How its registers lie.
        layout: Layout,
        /// What every serial interface has.
        serial: SerialSettings,
        /// Its rate register can be read.
        rate_reads_back: bool,
    },
    /// A 16550A UART.
    Ns16550 {
        /// A register is at its number, shifted left by so many bits.
        shift: u8,
        /// What every serial interface has.
        serial: SerialSettings,
        /// It can do RTS/CTS by itself.
        auto_flow: bool,
        /// How often, in nanoseconds, its driver looks though no interrupt came.
        look_each: Option<u64>,
    },
    /// The application's end of a line.
    Application {
        /// Bytes that it holds in each direction.
        room: u64,
    },
    /// The program's side of it, where a component carries a program's bytes.
    Program {
        /// The application's end, by its name in the image.
        end: At<String>,
    },
}

impl DeviceSettings {
    /// The kind of device.
    #[must_use]
    pub const fn kind(&self) -> DeviceKind {
        match self {
            DeviceSettings::Scif { .. } => DeviceKind::Scif,
            DeviceSettings::Ns16550 { .. } => DeviceKind::Ns16550,
            DeviceSettings::Application { .. } => DeviceKind::Application,
            DeviceSettings::Program { .. } => DeviceKind::Program,
        }
    }

    /// What every serial interface has, if it is one.
    #[must_use]
    pub const fn serial(&self) -> Option<&SerialSettings> {
        match self {
            DeviceSettings::Scif { serial, .. } | DeviceSettings::Ns16550 { serial, .. } => Some(serial),
            DeviceSettings::Application { .. } | DeviceSettings::Program { .. } => None,
        }
    }

    /// The same, to change it.
    pub const fn serial_mut(&mut self) -> Option<&mut SerialSettings> {
        match self {
            DeviceSettings::Scif { serial, .. } | DeviceSettings::Ns16550 { serial, .. } => Some(serial),
            DeviceSettings::Application { .. } | DeviceSettings::Program { .. } => None,
        }
    }
}

/// A device of an image.
#[derive(Clone, Debug)]
pub struct ImageDeviceManifest {
    /// Its name in the image.
    pub name: At<String>,
    /// Its owner, as `component.device`.
    pub owner: At<String>,
    /// What it is.
    pub settings: DeviceSettings,
    /// The address of its first register.
    pub base: Option<At<u64>>,
    /// The numbers of its sources at the interrupt controller, in the order of its owner's interrupts.
    pub interrupts: Option<At<Vec<At<u64>>>>,
    /// What is written when its owner is given up, in this order.
    pub safe: Vec<At<SafeWrite>>,
}

/// The memory that the board gives to components.
#[derive(Clone, Debug)]
pub struct MemoryManifest {
    /// The address of its first byte.
    pub base: At<u64>,
    /// Its size in bytes.
    pub size: At<u64>,
}

impl MemoryManifest {
    /// The addresses that it takes.
    #[must_use]
    pub const fn window(&self) -> Range<u64> {
        self.base.value..self.base.value.saturating_add(self.size.value)
    }
}

/// What a component may do to others.
#[derive(Clone, Debug)]
pub struct RightsManifest {
    /// Whose rights.
    pub who: At<String>,
    /// Whom it may start, stop and give up.
    pub control: Vec<At<String>>,
    /// It may read everybody's facts.
    pub facts: bool,
    /// It may report a malformed reply.
    pub blame: bool,
    /// It may reboot the image.
    pub reboot: bool,
    /// For whom it may bring packages.
    pub load: Vec<At<String>>,
}

/// Whom a failure takes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrategyKind {
    /// Only the one who failed.
    OneForOne,
    /// The whole group.
    OneForAll,
    /// The one who failed, and those after it.
    RestForOne,
}

impl StrategyKind {
    /// Its words in the manifests.
    pub const ALL: [(&'static str, StrategyKind); 3] = [
        ("one-for-one", StrategyKind::OneForOne),
        ("one-for-all", StrategyKind::OneForAll),
        ("rest-for-one", StrategyKind::RestForOne),
    ];
}

/// A group of components that are restarted by one policy.
#[derive(Clone, Debug)]
pub struct GroupManifest {
    /// Its name.
    pub name: At<String>,
    /// Its members, in the order in which they are started.
    pub members: At<Vec<At<String>>>,
    /// Whom a failure takes with it.
    pub strategy: StrategyKind,
    /// So many fruitless deaths are allowed ...
    pub intensity: u8,
    /// ... within this time.
    pub period: At<u64>,
    /// The first pause after a fruitless death, ...
    pub backoff_first: At<u64>,
    /// ... which doubles up to this.
    pub backoff_most: At<u64>,
    /// Restarts a second, at most, of components that do make progress.
    pub rate_per_second: u16,
    /// What comes when the intensity is exceeded: a group, `image`, or `give-up`.
    pub escalate: At<String>,
}

/// An image's manifest.
#[derive(Clone, Debug)]
pub struct ImageManifest {
    /// What it runs on.
    pub platform: PlatformKind,
    /// The clock.
    pub clock: ClockKind,
    /// The component that restarts the others.
    pub manager: Option<At<String>>,
    /// The keys that may sign packages.
    pub signers: Vec<At<PublicKey>>,
    /// What things cost.
    pub costs: CostsManifest,
    /// The memory for components, if the image says.
    pub memory: Option<MemoryManifest>,
    /// Its components.
    pub components: Vec<Instance>,
    /// Its connections.
    pub connections: Vec<Connect>,
    /// Its devices.
    pub devices: Vec<ImageDeviceManifest>,
    /// Who may do what.
    pub rights: Vec<RightsManifest>,
    /// Who restarts whom.
    pub groups: Vec<GroupManifest>,
    /// The platform could not be read: nobody can say what it has.
    pub(crate) platform_unread: bool,
    /// Some components could not be read: nobody can say who is missing.
    pub(crate) components_unread: bool,
    /// Some groups could not be read.
    pub(crate) groups_unread: bool,
}
