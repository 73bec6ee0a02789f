//! The manifests, as data with places: a component's `component.toml`, and an image's `.toml`.
//!
//! Job: read what stands there. Whether it fits together is the business of [`compose`](crate::compose()).

use std::ops::Range;

use koboshi_runtime::describe::Side;
use toml::de::DeValue;

use crate::problem::Rule;
use crate::reader::{At, Reader, Section, kind};
use crate::units::Quantity;

/// What kind of device a component drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// A serial interface with FIFO.
    Scif,
    /// The application's end of a line.
    Application,
}

impl DeviceKind {
    pub(crate) const ALL: [(&'static str, DeviceKind); 2] =
        [("scif", DeviceKind::Scif), ("application", DeviceKind::Application)];

    /// Its word in the manifests.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            DeviceKind::Scif => "scif",
            DeviceKind::Application => "application",
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

/// Reads a `component.toml`.
pub(crate) fn component(reader: &mut Reader, text: &str) -> Option<ComponentManifest> {
    let document = reader.document(text);
    let keys = ["package", "memory", "keeps-state", "port", "device"];
    let section = reader.section(document.get_ref(), 0..text.len().min(1), "a component's manifest", &keys);
    let package = section.need_text(reader, "package", "scif-driver");
    let memory = section.quantity(reader, "memory", Quantity::Memory);
    let keeps = section.flag(reader, "keeps-state").unwrap_or(At { value: false, span: 0..0 });
    let ports = section.tables(reader, "port", "a port", &["offers", "uses", "interface", "forwards", "optional"]);
    let ports = ports.iter().filter_map(|table| port(reader, table)).collect();
    let devices = section.tables(reader, "device", "a device", &["name", "kind", "interrupts"]);
    let devices = devices
        .iter()
        .filter_map(|table| {
            let name = table.need_text(reader, "name", "scif");
            let kind = table.need_choice(reader, "kind", &DeviceKind::ALL);
            let interrupts = table.texts(reader, "interrupts", "rxi").map_or_else(Vec::new, |list| list.value);
            Some(DeviceManifest { name: name?, kind: kind?.value, interrupts })
        })
        .collect();
    Some(ComponentManifest { package: package?, memory, keeps, ports, devices })
}

fn port(reader: &mut Reader, table: &Section<'_>) -> Option<PortManifest> {
    let offers = table.text(reader, "offers", "serial");
    let uses = table.text(reader, "uses", "serial");
    let interface = table.need_text(reader, "interface", "koboshi-interfaces/serial");
    let forwards = table.flag(reader, "forwards").is_some_and(|flag| flag.value);
    let optional = table.flag(reader, "optional").is_some_and(|flag| flag.value);
    let (name, side) = match (offers, uses) {
        (Some(name), None) => (name, Side::Offers),
        (None, Some(name)) => (name, Side::Uses),
        (None, None) => {
            table.missing(reader, "offers", "\"serial\"");
            return None;
        }
        (Some(_), Some(uses)) => {
            reader.problem(
                Rule::Choice,
                uses.span,
                "a port cannot have both `offers` and `uses`",
                "the second one",
                "make two ports of it: one `[[port]]` for each.",
            );
            return None;
        }
    };
    Some(PortManifest { name, side, interface: interface?, forwards, optional })
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

/// What a device of an image is.
#[derive(Clone, Debug)]
pub enum DeviceSettings {
    /// A serial interface with FIFO.
    Scif {
        /// How its registers lie.
        layout: Layout,
        /// Its FIFO in bytes.
        fifo: At<u64>,
        /// Its clock in hertz.
        clock: At<u64>,
        /// The line's speed at the outside end, in bits per second.
        baud: At<u64>,
        /// RTS/CTS at the outside end.
        flow: bool,
    },
    /// The application's end of a line.
    Application {
        /// Bytes that it holds in each direction.
        room: u64,
    },
}

impl DeviceSettings {
    /// The kind of device.
    #[must_use]
    pub const fn kind(&self) -> DeviceKind {
        match self {
            DeviceSettings::Scif { .. } => DeviceKind::Scif,
            DeviceSettings::Application { .. } => DeviceKind::Application,
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
    /// The clock.
    pub clock: ClockKind,
    /// The component that restarts the others.
    pub manager: Option<At<String>>,
    /// What things cost.
    pub costs: CostsManifest,
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
}

/// The most VCPUs that an image can have.
pub(crate) const MAX_VCPU: u64 = koboshi_core::schedule::MAX_VCPUS as u64 - 1;

/// Reads an image's manifest.
pub(crate) fn image(reader: &mut Reader, text: &str) -> ImageManifest {
    let document = reader.document(text);
    let keys = ["platform", "clock", "manager", "costs", "component", "connect", "device", "rights", "group"];
    let section = reader.section(document.get_ref(), 0..text.len().min(1), "an image", &keys);
    section.need_choice(reader, "platform", &[("host", ())]);
    let clock = section.choice(reader, "clock", &[("real", ClockKind::Real), ("virtual", ClockKind::Virtual)]);
    let manager = section.need_text(reader, "manager", "manager");
    let costs = section.table(reader, "costs", "[costs]", &["turn", "start", "quantum"]);
    let costs = costs.map_or_else(CostsManifest::default, |table| CostsManifest {
        turn: table.quantity(reader, "turn", Quantity::Time),
        start: table.quantity(reader, "start", Quantity::Time),
        quantum: table.quantity(reader, "quantum", Quantity::Time),
    });
    let components = section.tables(reader, "component", "a component", &["name", "package", "vcpu", "respond-within"]);
    let components = components.iter().filter_map(|table| instance(reader, table)).collect();
    let connections = section.tables(reader, "connect", "a connection", &["from", "to", "slots"]);
    let connections = connections.iter().filter_map(|table| connect(reader, table)).collect();
    let keys = ["name", "kind", "owner", "layout", "fifo", "clock", "line", "room"];
    let devices = section.tables(reader, "device", "a device", &keys);
    let devices = devices.iter().filter_map(|table| device(reader, table)).collect();
    let rights = match section.value("rights") {
        Some((DeValue::Table(_), _)) => rights(reader, &section),
        Some((other, span)) => {
            let message = format!("`rights` is a table of components, not {}", kind(other));
            reader.problem(
                Rule::WrongKind,
                span,
                message,
                "here",
                "write `[rights]`, and one line for each component.",
            );
            Vec::new()
        }
        None => Vec::new(),
    };
    let keys = ["name", "members", "strategy", "intensity", "period", "backoff", "rate-per-second", "escalate"];
    let groups = section.tables(reader, "group", "a group", &keys);
    let groups = groups.iter().filter_map(|table| group(reader, table)).collect();
    ImageManifest {
        clock: clock.map_or_else(ClockKind::default, |clock| clock.value),
        manager,
        costs,
        components,
        connections,
        devices,
        rights,
        groups,
    }
}

fn instance(reader: &mut Reader, table: &Section<'_>) -> Option<Instance> {
    let name = table.need_text(reader, "name", "driver");
    let package = table.need_text(reader, "package", "scif-driver");
    let vcpu = table.need_number(reader, "vcpu", 1, 0, MAX_VCPU);
    let respond_within = table.need_quantity(reader, "respond-within", Quantity::Time);
    Some(Instance {
        name: name?,
        package: package?,
        // A wrong VCPU was reported; the rest of the component is still worth checking.
        vcpu: vcpu.map_or(At { value: u8::MAX, span: table.span.clone() }, |vcpu| vcpu.map(|vcpu| vcpu as u8)),
        respond_within: respond_within.unwrap_or(At { value: 1, span: table.span.clone() }),
    })
}

fn connect(reader: &mut Reader, table: &Section<'_>) -> Option<Connect> {
    let from = table.need_text(reader, "from", "monitor.serial");
    let to = table.need_text(reader, "to", "sos.serial");
    let slots = table.need_number(reader, "slots", 8, 0, u64::from(u32::MAX));
    let slots = slots.unwrap_or(At { value: 8, span: table.span.clone() });
    Some(Connect { from: from?, to: to?, slots, span: table.span.clone() })
}

fn device(reader: &mut Reader, table: &Section<'_>) -> Option<ImageDeviceManifest> {
    let name = table.need_text(reader, "name", "scif1");
    let owner = table.need_text(reader, "owner", "driver.scif");
    let kind = table.need_choice(reader, "kind", &DeviceKind::ALL)?;
    let foreign: &[&str] = match kind.value {
        DeviceKind::Scif => &["room"],
        DeviceKind::Application => &["layout", "fifo", "clock", "line"],
    };
    for key in foreign {
        if let Some((_, span)) = table.value(key) {
            let message = format!("a device of kind \"{}\" has no `{key}`", kind.value.word());
            reader.problem(Rule::UnknownKey, span, message, "belongs to another kind", "take this line out.");
        }
    }
    let settings = match kind.value {
        DeviceKind::Scif => {
            let layouts = [("sh7780", Layout::Sh7780), ("sh7751r", Layout::Sh7751r)];
            let layout = table.need_choice(reader, "layout", &layouts);
            let fifo = table.need_number(reader, "fifo", 16, 1, 64);
            let clock = table.need_quantity(reader, "clock", Quantity::Frequency);
            let line = table.table(reader, "line", "a line", &["baud", "flow"]);
            if table.value("line").is_none() {
                table.missing(reader, "line", "{ baud = \"115200 baud\", flow = \"none\" }");
            }
            let baud = line.as_ref().and_then(|line| line.need_quantity(reader, "baud", Quantity::Speed));
            let flow =
                line.as_ref().and_then(|line| line.choice(reader, "flow", &[("none", false), ("rts-cts", true)]));
            for (key, value, most) in [("clock", &clock, u64::from(u32::MAX)), ("baud", &baud, 10_000_000)] {
                if let Some(value) = value.as_ref().filter(|value| value.value == 0 || value.value > most) {
                    let message = format!("`{key}` is {}", value.value);
                    let remedy = format!("it is a number from 1 to {most}.");
                    reader.problem(Rule::Bounds, value.span.clone(), message, "out of bounds", remedy);
                }
            }
            if let Some(fifo) = fifo.as_ref().filter(|fifo| fifo.value != 16 && fifo.value != 64) {
                let message = format!("there is no SCIF with a FIFO of {} bytes", fifo.value);
                reader.problem(Rule::Choice, fifo.span.clone(), message, "no such FIFO", "it is 16 or 64.");
            }
            let flow = flow.is_some_and(|flow| flow.value);
            DeviceSettings::Scif { layout: layout?.value, fifo: fifo?, clock: clock?, baud: baud?, flow }
        }
        DeviceKind::Application => {
            let room = table.quantity(reader, "room", Quantity::Memory);
            DeviceSettings::Application { room: room.map_or(DEFAULT_ROOM, |room| room.value.clamp(1, MOST_ROOM)) }
        }
    };
    Some(ImageDeviceManifest { name: name?, owner: owner?, settings })
}

/// Bytes that an application's end holds in each direction unless the manifest says otherwise: a page.
const DEFAULT_ROOM: u64 = 4_096;

/// The most that it may hold.
const MOST_ROOM: u64 = 1 << 24;

fn rights(reader: &mut Reader, image: &Section<'_>) -> Vec<RightsManifest> {
    // The names are the components', so that they are checked when the components are known.
    let Some((DeValue::Table(table), span)) = image.value("rights") else {
        return Vec::new();
    };
    let names: Vec<String> = table.keys().map(|key| key.get_ref().to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let section = reader.section(table, span, "[rights]", &names);
    let mut all = Vec::new();
    for (who, value, span) in section.entries() {
        let DeValue::Table(table) = value else {
            let message = format!("the rights of `{}` are a table, not {}", who.value, kind(value));
            let remedy = format!("write `{} = {{ facts = true }}`.", who.value);
            reader.problem(Rule::WrongKind, span, message, "here", remedy);
            continue;
        };
        let table = reader.section(table, span, "the rights of a component", &["control", "facts", "blame", "reboot"]);
        let control = table.texts(reader, "control", "driver").map_or_else(Vec::new, |list| list.value);
        let mut flag = |key| table.flag(reader, key).is_some_and(|flag| flag.value);
        let (facts, blame, reboot) = (flag("facts"), flag("blame"), flag("reboot"));
        all.push(RightsManifest { who, control, facts, blame, reboot });
    }
    all
}

fn group(reader: &mut Reader, table: &Section<'_>) -> Option<GroupManifest> {
    let name = table.need_text(reader, "name", "drivers");
    if table.value("members").is_none() {
        table.missing(reader, "members", "[\"driver\"]");
    }
    let members = table.texts(reader, "members", "driver");
    let strategies = [
        ("one-for-one", StrategyKind::OneForOne),
        ("one-for-all", StrategyKind::OneForAll),
        ("rest-for-one", StrategyKind::RestForOne),
    ];
    let strategy = table.need_choice(reader, "strategy", &strategies);
    // The kernel remembers 16 fruitless deaths: a higher intensity could not be seen.
    let intensity = table.need_number(reader, "intensity", 5, 1, koboshi_core::life::HISTORY as u64 - 1);
    let period = table.need_quantity(reader, "period", Quantity::Time);
    let backoff = table.table(reader, "backoff", "a backoff", &["first", "most"]);
    if table.value("backoff").is_none() {
        table.missing(reader, "backoff", "{ first = \"10 ms\", most = \"1 s\" }");
    }
    let backoff_first = backoff.as_ref().and_then(|table| table.need_quantity(reader, "first", Quantity::Time));
    let backoff_most = backoff.as_ref().and_then(|table| table.need_quantity(reader, "most", Quantity::Time));
    let rate = table.number(reader, "rate-per-second", 200, 1, 10_000);
    let escalate = table.need_text(reader, "escalate", "image");
    if let (Some(first), Some(most)) = (&backoff_first, &backoff_most)
        && first.value > most.value
    {
        let message = "the first pause of a backoff is longer than the longest";
        reader.problem(
            Rule::Bounds,
            first.span.clone(),
            message,
            "longer than `most`",
            "make `most` at least as long.",
        );
    }
    Some(GroupManifest {
        name: name?,
        members: members?,
        strategy: strategy?.value,
        intensity: intensity?.value as u8,
        period: period?,
        backoff_first: backoff_first?,
        backoff_most: backoff_most?,
        rate_per_second: rate.map_or(DEFAULT_RATE, |rate| rate.value as u16),
        escalate: escalate?,
    })
}

/// Restarts a second of components that do make progress, unless the image says otherwise.
const DEFAULT_RATE: u16 = 200;
