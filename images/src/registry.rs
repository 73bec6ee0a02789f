//! The packages that are linked into this command: one line each in [`packages`].
//!
//! And what each of them reads as its configuration: what it is joined to and given, which the composer knows and the
//! component does not.

use std::sync::OnceLock;

use koboshi_board::program::room_of;
use koboshi_host::image::{Connection, ImageDevice};
pub use koboshi_host::linked::Linked;
use koboshi_interface_kit::Kind;
use koboshi_interfaces::ComponentId;
use koboshi_interfaces::serial::{Flow, Line};
use koboshi_loader::{MAX_NAMES, MAX_PLACES, MAX_SIGNERS, Place};
use koboshi_scif_driver::device::{Board, Chip};
use serde::Serialize;

use crate::manifest::{DeviceSettings, ImageManifest, Layout, SerialSettings};
use crate::policy;
use koboshi_board::Spelt;

/// What makes a component's configuration, as `postcard` bytes.
///
/// Its error says what is missing.
pub type Configure = fn(&Wiring<'_>) -> Result<Vec<u8>, String>;

/// A package.
#[derive(Clone, Copy)]
pub struct Package {
    /// Its name in the manifests.
    pub name: &'static str,
    /// Where its manifest lies.
    pub manifest_path: &'static str,
    /// Its manifest.
    pub manifest: &'static str,
    /// Its code.
    pub linked: fn() -> Linked,
    /// Its crate, if a program can be built of it.
    pub program: Option<Program>,
    /// What it reads.
    pub configure: Configure,
}

/// The crate of a package.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name for cargo.
    pub package: &'static str,
    /// Its directory in Koboshi's own, or from the root of all.
    pub folder: &'static str,
    /// Its function from `Start` to a future.
    pub start: &'static str,
    /// Its version.
    pub version: &'static str,
}

impl Package {
    /// A package that reads no configuration.
    #[must_use]
    pub const fn of(
        name: &'static str,
        manifest_path: &'static str,
        manifest: &'static str,
        linked: fn() -> Linked,
    ) -> Self {
        Package { name, manifest_path, manifest, linked, program: None, configure: nothing }
    }

    /// The same package, whose crate can be built as a program.
    #[must_use]
    pub const fn built_of(self, program: Program) -> Self {
        Package { program: Some(program), ..self }
    }
}

/// The packages of the workspace that a probe was built for.
static MORE: OnceLock<Vec<Package>> = OnceLock::new();

/// From now on the command knows these packages, too: it is a probe.
pub(crate) fn add(packages: Vec<Package>) {
    // A process is a probe from its first line on, or never.
    let _ = MORE.set(packages);
}

/// Whether this process is a probe.
pub(crate) fn is_probe() -> bool {
    MORE.get().is_some()
}

/// The packages that are linked into this command: Koboshi's own, and in a probe its workspace's.
#[must_use]
pub fn packages() -> Vec<Package> {
    own().into_iter().chain(MORE.get().into_iter().flatten().copied()).collect()
}

/// Koboshi's own packages: name, code, and what makes its configuration.
fn own() -> Vec<Package> {
    macro_rules! package {
        ($name:literal, $package:ident, $configure:expr) => {
            Package {
                name: $name,
                manifest_path: concat!("components/", $name, "/component.toml"),
                manifest: include_str!(concat!("../../components/", $name, "/component.toml")),
                linked: || Linked::new(&$package::DESCRIPTION, $package::start),
                program: Some(Program {
                    package: concat!("koboshi-", $name),
                    folder: concat!("components/", $name),
                    start: concat!(stringify!($package), "::start"),
                    // They all have the workspace's.
                    version: env!("CARGO_PKG_VERSION"),
                }),
                configure: $configure,
            }
        };
    }
    vec![
        package!("restart-manager", koboshi_restart_manager, groups),
        package!("sos", koboshi_sos, hosts),
        package!("scif-driver", koboshi_scif_driver, board),
        package!("scif-polled-driver", koboshi_scif_polled_driver, board),
        package!("ns16550-driver", koboshi_ns16550_driver, uart),
        package!("monitor", koboshi_monitor, watches),
        package!("echo", koboshi_echo, answers),
        package!("console", koboshi_console, carries),
        package!("loader", koboshi_loader, lets_in),
    ]
}

/// What an image gives to one of its components.
pub struct Wiring<'a> {
    pub(crate) image: &'a ImageManifest,
    pub(crate) connections: &'a [Connection],
    pub(crate) devices: &'a [ImageDevice],
    pub(crate) groups: &'a [policy::Found],
    pub(crate) component: usize,
}

impl Wiring<'_> {
    /// The component that serves this port of `component`.
    fn server(&self, component: usize, port: u8) -> Option<&Connection> {
        self.connections.iter().find(|connection| {
            let near = connection.near;
            near.component.index() == component && near.port == port && connection.interface.kind == Kind::Service
        })
    }

    /// The serial interface of a component, with its settings.
    fn serial(&self, component: usize) -> Option<&DeviceSettings> {
        let device = self.devices.iter().find(|device| device.owner.index() == component)?;
        let settings = self.image.devices.iter().find(|found| found.name.value == device.name)?;
        settings.settings.serial().map(|_| &settings.settings)
    }

    /// The serial interface at the end of a way that begins at this port, through those who only forward.
    pub(crate) fn line(&self, component: usize, port: u8) -> Option<Line> {
        let mut connection = self.server(component, port)?;
        for _ in self.connections {
            let server = connection.far.component.index();
            if let Some(settings) = self.serial(server) {
                return line(settings);
            }
            let key = connection.interface.key;
            connection = self.connections.iter().find(|next| {
                next.near.component.index() == server
                    && next.interface.key == key
                    && next.interface.kind == Kind::Service
            })?;
        }
        None
    }
}

/// A serial interface's line, as both its ends are set.
fn line(settings: &DeviceSettings) -> Option<Line> {
    let SerialSettings { baud, flow, .. } = settings.serial()?;
    let flow = if *flow { Flow::RtsCts } else { Flow::None };
    Some(Line { baud: u32::try_from(baud.value).ok()?, flow, ..Line::default() })
}

fn bytes(value: &impl Serialize) -> Result<Vec<u8>, String> {
    postcard::to_allocvec(value).map_err(|error| error.to_string())
}

/// No configuration.
///
/// # Errors
/// None.
pub fn nothing(_: &Wiring<'_>) -> Result<Vec<u8>, String> {
    Ok(Vec::new())
}

fn groups(wiring: &Wiring<'_>) -> Result<Vec<u8>, String> {
    bytes(&policy::policy(wiring.groups, &wiring.image.groups)?)
}

fn board(wiring: &Wiring<'_>) -> Result<Vec<u8>, String> {
    let Some(settings @ DeviceSettings::Scif { layout, serial, rate_reads_back }) = wiring.serial(wiring.component)
    else {
        return Err("it is given no serial interface".to_owned());
    };
    let line = line(settings).ok_or("its line is too fast")?;
    let chip = match layout {
        Layout::Sh7780 => Chip::Sh7780,
        Layout::Sh7751r => Chip::Sh7751r,
    };
    bytes(&Board {
        chip,
        fifo: serial.fifo.value as u8,
        clock_hz: serial.clock.value as u32,
        line,
        rate_reads_back: *rate_reads_back,
    })
}

fn uart(wiring: &Wiring<'_>) -> Result<Vec<u8>, String> {
    let Some(settings @ DeviceSettings::Ns16550 { shift, serial, auto_flow, look_each }) =
        wiring.serial(wiring.component)
    else {
        return Err("it is given no 16550A".to_owned());
    };
    bytes(&koboshi_ns16550_driver::device::Board {
        shift: *shift,
        clock_hz: serial.clock.value as u32,
        line: line(settings).ok_or("its line is too fast")?,
        auto_flow: *auto_flow,
        look_each_ns: *look_each,
    })
}

/// SOS's port to its driver.
const DRIVER: u8 = 1;

fn hosts(wiring: &Wiring<'_>) -> Result<Vec<u8>, String> {
    let driver = wiring.server(wiring.component, DRIVER).ok_or("its port `driver` leads nowhere")?;
    bytes(&koboshi_sos::Hosts { driver: ComponentId(driver.far.component.0) })
}

/// Bytes after which `echo` writes a line to the log.
const REPORT_EACH: u32 = 1_000;

fn answers(_: &Wiring<'_>) -> Result<Vec<u8>, String> {
    bytes(&koboshi_echo::Setting { victim: 0, every_us: 0, knocks: false, report_each: REPORT_EACH })
}

/// The Monitor's port to SOS.
const SERIAL: u8 = 0;

fn watches(wiring: &Wiring<'_>) -> Result<Vec<u8>, String> {
    let sos = wiring.server(wiring.component, SERIAL).ok_or("its port `serial` leads nowhere")?;
    let line = wiring.line(wiring.component, SERIAL).ok_or("its port `serial` leads to no serial interface")?;
    bytes(&koboshi_monitor::Watches { sos: ComponentId(sos.far.component.0), line })
}

/// The console's port to the driver of its own line.
const CONSOLE_LINE: u8 = 0;

fn carries(wiring: &Wiring<'_>) -> Result<Vec<u8>, String> {
    let line = wiring.line(wiring.component, CONSOLE_LINE);
    bytes(&line.ok_or("its port `serial` leads to no serial interface")?)
}

/// What the loader expects of packages for those for whom it may load.
fn lets_in(wiring: &Wiring<'_>) -> Result<Vec<u8>, String> {
    let Wiring { image, component, .. } = wiring;
    let own = image.components.get(*component).map(|own| own.name.value.as_str());
    let rights = image.rights.iter().find(|rights| Some(rights.who.value.as_str()) == own);
    let mut places = Vec::new();
    for name in rights.map_or(&[][..], |rights| &rights.load) {
        let at = image.components.iter().position(|instance| instance.name.value == name.value);
        let Some((at, instance)) = at.and_then(|at| Some((at, image.components.get(at)?))) else { continue };
        let swappable = instance.swappable.as_ref();
        let swappable = swappable.ok_or_else(|| format!("it may load `{}`, which is not swappable", name.value))?;
        let swappable = &swappable.value;
        let package = packages().into_iter().find(|package| package.name == instance.package.value);
        let package = package.ok_or_else(|| format!("there is no package `{}`", instance.package.value))?;
        places.push((at, instance, swappable, Spelt::of((package.linked)().description())));
    }
    let mut expected = heapless::Vec::new();
    for (at, instance, swappable, spelt) in &places {
        let names: Vec<&str> = swappable.packages.iter().map(String::as_str).collect();
        let many = |_| format!("`{}` may be swapped for {MAX_NAMES} packages at most", instance.name.value);
        let names = heapless::Vec::from_slice(&names).map_err(many)?;
        let place = Place {
            component: *at as u8,
            names,
            ports: spelt.ports().into_iter().collect(),
            kept: spelt.kept(),
            lowest: swappable.lowest,
            room: swappable.room,
            size: room_of(swappable.room).unwrap_or(0),
        };
        expected.push(place).map_err(|_| format!("it may load for {MAX_PLACES} components at most"))?;
    }
    let keys: Vec<[u8; 32]> = image.signers.iter().map(|key| key.value.0).collect();
    bytes(&koboshi_loader::Setting {
        platform: image.platform.word(),
        signers: heapless::Vec::from_slice(&keys).map_err(|_| format!("it knows {MAX_SIGNERS} keys at most"))?,
        places: expected,
    })
}
