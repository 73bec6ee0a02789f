//! Reads manifests: every key, its kind and its bounds.
//!
//! The rule: what one mistake makes impossible to read is left out, and not reported as missing elsewhere.

use koboshi_core::kernel::Swappable as Rules;
use koboshi_host::device::Width;
use koboshi_host::image::{SafeWrite, WhenGone};
use koboshi_package::{PREFIX, PublicKey, Version};
use koboshi_runtime::describe::Side;
use toml::de::DeValue;

use super::{
    ClockKind, ComponentManifest, Connect, CostsManifest, DeviceKind, DeviceManifest, DeviceSettings, GroupManifest,
    ImageDeviceManifest, ImageManifest, Instance, Layout, MemoryManifest, PlatformKind, PortManifest, RightsManifest,
    SerialSettings, StrategyKind, Swappable, UNREAD_VCPU,
};
use crate::problem::Rule;
use crate::reader::{At, Reader, Section, kind};
use crate::units::Quantity;

/// Reads a `component.toml`.
pub(crate) fn component(reader: &mut Reader, text: &str) -> Option<ComponentManifest> {
    let keys = ["package", "memory", "keeps-state", "port", "device"];
    let document = reader.document(text, ("a component", &keys), ("an image", "platform"));
    if reader.unreadable() {
        return None;
    }
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
            let there = |key| table.value(key).is_some() || table.misspells(key);
            if !there("offers") && !there("uses") {
                let remedy =
                    "add `offers = \"...\"` if it serves or produces, `uses = \"...\"` if it asks or consumes.";
                let message = "a port has neither `offers` nor `uses`";
                reader.problem(Rule::MissingKey, table.span.clone(), message, "one of them is missing here", remedy);
            }
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

/// The most VCPUs that an image can have.
const MAX_VCPU: u64 = koboshi_core::schedule::MAX_VCPUS as u64 - 1;

/// Reads an image's manifest.
pub(crate) fn image(reader: &mut Reader, text: &str) -> ImageManifest {
    let keys = [
        "platform",
        "clock",
        "manager",
        "packages-signed-by",
        "costs",
        "memory",
        "component",
        "connect",
        "device",
        "rights",
        "group",
    ];
    let document = reader.document(text, ("an image", &keys), ("a component", "package"));
    let section = reader.section(document.get_ref(), 0..text.len().min(1), "an image", &keys);
    let platform = section.need_choice(reader, "platform", &PlatformKind::ALL);
    let clock = section.choice(reader, "clock", &[("real", ClockKind::Real), ("virtual", ClockKind::Virtual)]);
    let manager = section.need_text(reader, "manager", "manager");
    let signers = signers(reader, &section);
    let costs = section.table(reader, "costs", "[costs]", &["turn", "start", "quantum"]);
    let costs = costs.map_or_else(CostsManifest::default, |table| CostsManifest {
        turn: table.quantity(reader, "turn", Quantity::Time),
        start: table.quantity(reader, "start", Quantity::Time),
        quantum: quantum(reader, &table),
    });
    let memory = section.table(reader, "memory", "[memory]", &["base", "size"]);
    let memory = memory.and_then(|table| memory_of_board(reader, &table));
    let keys = ["name", "package", "vcpu", "respond-within", "recover-within", "swappable"];
    let tables = section.tables(reader, "component", "a component", &keys);
    let components: Vec<Instance> = tables.iter().filter_map(|table| instance(reader, table)).collect();
    if tables.is_empty() {
        section.missing_table(reader, "component", "with a name, a package, a VCPU and `respond-within`");
    }
    let components_unread = components.len() < tables.len() || tables.is_empty();
    let connections = section.tables(reader, "connect", "a connection", &["from", "to", "slots", "when-gone"]);
    let connections = connections.iter().filter_map(|table| connect(reader, table)).collect();
    let keys = [
        "name",
        "kind",
        "owner",
        "layout",
        "fifo",
        "clock",
        "line",
        "rate-reads-back",
        "shift",
        "auto-flow",
        "look-each",
        "room",
        "end",
        "base",
        "interrupts",
        "safe",
    ];
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
    let tables = section.tables(reader, "group", "a group", &keys);
    let groups: Vec<GroupManifest> = tables.iter().filter_map(|table| group(reader, table)).collect();
    let groups_unread = groups.len() < tables.len();
    ImageManifest {
        platform_unread: platform.is_none(),
        platform: platform.map_or_else(PlatformKind::default, |platform| platform.value),
        clock: clock.map_or_else(ClockKind::default, |clock| clock.value),
        manager,
        signers,
        costs,
        memory,
        components,
        connections,
        devices,
        rights,
        groups,
        components_unread,
        groups_unread,
    }
}

/// The keys that may sign packages.
fn signers(reader: &mut Reader, image: &Section<'_>) -> Vec<At<PublicKey>> {
    let texts = image.texts(reader, "packages-signed-by", &format!("{PREFIX}..."));
    let mut signers: Vec<At<PublicKey>> = Vec::new();
    for text in texts.map_or_else(Vec::new, |texts| texts.value) {
        let key = match text.value.parse() {
            Ok(key) => key,
            Err(why) => {
                let message = format!("\"{}\" is no public key: {why}", text.value);
                let remedy = "write what `koboshi key show FILE` prints.";
                reader.problem(Rule::SigningKey, text.span, message, "no key", remedy);
                continue;
            }
        };
        if let Some(before) = signers.iter().find(|before| before.value == key) {
            let other = Some((before.span.clone(), "the first time".to_owned()));
            let message = "a key that may sign is named twice";
            reader.problem(Rule::SigningKey, text.span, message, "the second time", "take one of them out.").other =
                other;
            continue;
        }
        signers.push(At { value: key, span: text.span });
    }
    signers
}

/// What a package has to be to take a component's place.
fn swappable(reader: &mut Reader, component: &Section<'_>, package: &str) -> Option<At<Swappable>> {
    let keys = ["room", "lowest-version", "packages", "quiesce-within", "answers", "probation"];
    let table = component.table(reader, "swappable", "`swappable`", &keys)?;
    let room = table.need_quantity(reader, "room", Quantity::Memory)?;
    let Some(bytes) = u32::try_from(room.value).ok().filter(|bytes| *bytes > 0) else {
        let message = format!("`room` is {}", Quantity::Memory.write(room.value));
        let remedy = "it is a size of at least 1 B, and below 4 GiB.";
        reader.problem(Rule::Bounds, room.span, message, "out of bounds", remedy);
        return None;
    };
    let lowest = match table.text(reader, "lowest-version", "0.1.0") {
        None => Version::default(),
        Some(text) => match text.value.parse() {
            Ok(version) => version,
            Err(why) => {
                let message = format!("\"{}\" is no version: {why}", text.value);
                let remedy = "write it as in `lowest-version = \"0.1.0\"`, or take it out.";
                reader.problem(Rule::Swappable, text.span, message, "no version", remedy);
                return None;
            }
        },
    };
    let packages = taken(reader, &table, package)?;
    let time = |reader: &mut Reader, key, otherwise| {
        table.quantity(reader, key, Quantity::Time).map_or(otherwise, |time| time.value)
    };
    let rules = Rules {
        quiesce_within: time(reader, "quiesce-within", QUIESCE_WITHIN),
        answers: table
            .number(reader, "answers", ANSWERS.into(), 1, MOST_WORD)
            .map_or(ANSWERS, |count| count.value as u32),
        within: match table.quantity(reader, "probation", Quantity::Time) {
            None => PROBATION,
            Some(At { value: 0, span }) => {
                let message = "no version can prove itself within no time".to_owned();
                let remedy =
                    "write for how long its clients may wait for an answer, and more, as in `probation = \"10 s\"`.";
                reader.problem(Rule::Swappable, span, message, "no time", remedy.to_owned());
                return None;
            }
            Some(time) => time.value,
        },
    };
    Some(At { value: Swappable { room: bytes, lowest, packages, rules }, span: table.span.clone() })
}

/// The names of the packages that may take a component's place; without a list, that of its own.
fn taken(reader: &mut Reader, table: &Section<'_>, own: &str) -> Option<Vec<String>> {
    let Some(listed) = table.texts(reader, "packages", own) else {
        return Some(vec![own.to_owned()]);
    };
    let mut names: Vec<String> = Vec::new();
    let remedy = format!("write names of packages, each once, as in `packages = [\"{own}\"]`, or take it out.");
    if listed.value.is_empty() {
        reader.problem(Rule::Swappable, listed.span, "no package may take its place", "names none", remedy);
        return None;
    }
    for At { value: name, span } in listed.value {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            reader.problem(Rule::Swappable, span, format!("no package is called \"{name}\""), "no name", remedy);
            return None;
        }
        if names.contains(&name) {
            reader.problem(Rule::Swappable, span, format!("`{name}` is named twice"), "the second time", remedy);
            return None;
        }
        names.push(name);
    }
    Some(names)
}

/// How long a component has to answer what it has in hand if the image does not say: the longest write to a line of 9,600
/// baud takes a third of it.
const QUIESCE_WITHIN: u64 = 200_000_000;

/// Answers and items after which a new version stays.
const ANSWERS: u32 = 100;

/// How long it is on probation at most.
const PROBATION: u64 = 10_000_000_000;

/// A round-robin quantum: some time, or those of one VCPU would never be changed.
fn quantum(reader: &mut Reader, costs: &Section<'_>) -> Option<At<u64>> {
    let quantum = costs.quantity(reader, "quantum", Quantity::Time)?;
    if quantum.value == 0 {
        let remedy = "write a time such as `quantum = \"1 ms\"`, or take the line out.";
        reader.problem(Rule::Bounds, quantum.span, "`quantum` is no time at all", "out of bounds", remedy);
        return None;
    }
    Some(quantum)
}

/// The largest address, and interrupt number: 32 bits.
const MOST_WORD: u64 = u32::MAX as u64;

fn memory_of_board(reader: &mut Reader, table: &Section<'_>) -> Option<MemoryManifest> {
    let base = table.need_number(reader, "base", 0x0C00_0000, 0, MOST_WORD);
    let memory = MemoryManifest { size: table.need_quantity(reader, "size", Quantity::Memory)?, base: base? };
    if memory.size.value == 0 || memory.window().end > MOST_WORD + 1 {
        let message = format!("memory of {} at {:#x}", Quantity::Memory.write(memory.size.value), memory.base.value);
        let remedy = "it has at least one byte, and ends at 4 GiB at most.";
        reader.problem(Rule::Bounds, memory.size.span.clone(), message, "out of bounds", remedy);
        return None;
    }
    Some(memory)
}

fn instance(reader: &mut Reader, table: &Section<'_>) -> Option<Instance> {
    let name = table.need_text(reader, "name", "driver");
    let package = table.need_text(reader, "package", "scif-driver");
    let vcpu = table.need_number(reader, "vcpu", 1, 0, MAX_VCPU);
    let respond_within = table.need_quantity(reader, "respond-within", Quantity::Time);
    let recover_within = table.quantity(reader, "recover-within", Quantity::Time);
    let swappable = swappable(reader, table, package.as_ref().map_or("", |package| &package.value));
    Some(Instance {
        name: name?,
        package: package?,
        // A wrong VCPU was reported; the rest of the component is still worth checking.
        vcpu: vcpu.map_or(At { value: UNREAD_VCPU, span: table.span.clone() }, |vcpu| vcpu.map(|vcpu| vcpu as u8)),
        respond_within: respond_within.unwrap_or(At { value: 1, span: table.span.clone() }),
        recover_within,
        swappable,
    })
}

fn connect(reader: &mut Reader, table: &Section<'_>) -> Option<Connect> {
    let from = table.need_text(reader, "from", "monitor.serial");
    let to = table.need_text(reader, "to", "sos.serial");
    let slots = table.need_number(reader, "slots", 8, 0, u64::from(u32::MAX));
    let slots = slots.unwrap_or(At { value: 8, span: table.span.clone() });
    let words = [("refuse", WhenGone::Refuse), ("wait", WhenGone::Wait)];
    let when_gone = table.choice(reader, "when-gone", &words);
    Some(Connect { from: from?, to: to?, slots, when_gone, span: table.span.clone() })
}

fn device(reader: &mut Reader, table: &Section<'_>) -> Option<ImageDeviceManifest> {
    let name = table.need_text(reader, "name", "scif1");
    let owner = table.need_text(reader, "owner", "driver.scif");
    let kind = table.need_choice(reader, "kind", &DeviceKind::ALL)?;
    let foreign: &[&str] = match kind.value {
        DeviceKind::Scif => &["room", "end", "shift", "auto-flow", "look-each"],
        DeviceKind::Ns16550 => &["room", "end", "layout", "rate-reads-back"],
        DeviceKind::Application => {
            &["layout", "fifo", "clock", "line", "rate-reads-back", "end", "shift", "auto-flow", "look-each"]
        }
        DeviceKind::Program => &[
            "layout",
            "fifo",
            "clock",
            "line",
            "rate-reads-back",
            "shift",
            "auto-flow",
            "look-each",
            "room",
            "base",
            "interrupts",
            "safe",
        ],
    };
    for key in foreign {
        if let Some((_, span)) = table.value(key) {
            let message = format!("a device of kind \"{}\" has no `{key}`", kind.value.word());
            reader.problem(Rule::UnknownKey, span, message, "belongs to another kind", "take this line out.");
        }
    }
    let base = table.number(reader, "base", 0xFFE1_0000, 0, MOST_WORD);
    let interrupts = table.numbers(reader, "interrupts", "[40, 41, 42, 43]", MOST_WORD);
    let safe = safe_action(reader, table);
    let settings = match kind.value {
        DeviceKind::Scif => {
            let layouts = [("sh7780", Layout::Sh7780), ("sh7751r", Layout::Sh7751r)];
            let layout = table.need_choice(reader, "layout", &layouts);
            let serial = serial(reader, table, (&[16, 64], "SCIF"));
            let rate_reads_back = table.flag(reader, "rate-reads-back").is_none_or(|flag| flag.value);
            DeviceSettings::Scif { layout: layout?.value, serial: serial?, rate_reads_back }
        }
        DeviceKind::Ns16550 => {
            let shift = table.need_number(reader, "shift", 2, 0, MOST_SHIFT);
            let serial = serial(reader, table, (&[16], "16550A"));
            let auto_flow = table.flag(reader, "auto-flow").is_some_and(|flag| flag.value);
            let look_each = table.quantity(reader, "look-each", Quantity::Time);
            if let Some(no_time) = look_each.as_ref().filter(|each| each.value == 0) {
                let remedy = "write a time such as `look-each = \"500 us\"`, or take the line out.";
                let message = "`look-each` is no time at all";
                reader.problem(Rule::Bounds, no_time.span.clone(), message, "out of bounds", remedy);
            }
            let look_each = look_each.map(|each| each.value);
            DeviceSettings::Ns16550 { shift: shift?.value as u8, serial: serial?, auto_flow, look_each }
        }
        DeviceKind::Application => {
            let room = table.quantity(reader, "room", Quantity::Memory);
            if let Some(room) = room.as_ref().filter(|room| !(1..=MOST_ROOM).contains(&room.value)) {
                let message = format!("`room` is {}", Quantity::Memory.write(room.value));
                let remedy = format!("it is a size from 1 B to {}.", Quantity::Memory.write(MOST_ROOM));
                reader.problem(Rule::Bounds, room.span.clone(), message, "out of bounds", remedy);
            }
            DeviceSettings::Application { room: room.map_or(DEFAULT_ROOM, |room| room.value) }
        }
        DeviceKind::Program => DeviceSettings::Program { end: table.need_text(reader, "end", "application")? },
    };
    Some(ImageDeviceManifest { name: name?, owner: owner?, settings, base, interrupts, safe })
}

/// A register of eight bits, each alone in as much as a word of 32: no 16550A lies further apart.
const MOST_SHIFT: u64 = 2;

/// What every serial interface has; `fifos` are those that there are of this kind.
fn serial(reader: &mut Reader, table: &Section<'_>, (fifos, what): (&[u64], &str)) -> Option<SerialSettings> {
    let fifo = table.need_number(reader, "fifo", 16, 1, 64);
    let clock = table.need_quantity(reader, "clock", Quantity::Frequency);
    let line = table.table(reader, "line", "a line", &["baud", "flow"]);
    if table.value("line").is_none() {
        table.missing(reader, "line", "{ baud = \"115200 baud\", flow = \"none\" }");
    }
    let baud = line.as_ref().and_then(|line| line.need_quantity(reader, "baud", Quantity::Speed));
    let flow = line.as_ref().and_then(|line| line.choice(reader, "flow", &[("none", false), ("rts-cts", true)]));
    for (key, value, most) in [("clock", &clock, u64::from(u32::MAX)), ("baud", &baud, 10_000_000)] {
        if let Some(value) = value.as_ref().filter(|value| value.value == 0 || value.value > most) {
            let message = format!("`{key}` is {}", value.value);
            let remedy = format!("it is a number from 1 to {most}.");
            reader.problem(Rule::Bounds, value.span.clone(), message, "out of bounds", remedy);
        }
    }
    if let Some(fifo) = fifo.as_ref().filter(|fifo| !fifos.contains(&fifo.value)) {
        let message = format!("there is no {what} with a FIFO of {} bytes", fifo.value);
        let all: Vec<String> = fifos.iter().map(u64::to_string).collect();
        let remedy = format!("it is {}.", all.join(" or "));
        reader.problem(Rule::Choice, fifo.span.clone(), message, "no such FIFO", remedy);
    }
    Some(SerialSettings { fifo: fifo?, clock: clock?, baud: baud?, flow: flow.is_some_and(|flow| flow.value) })
}

/// The most writes of a safe action: the kernel runs them all, and nobody else meanwhile.
const MOST_SAFE_WRITES: usize = 16;

fn safe_action(reader: &mut Reader, device: &Section<'_>) -> Vec<At<SafeWrite>> {
    let tables = device.tables(reader, "safe", "a safe action", &["register", "width", "value"]);
    if let Some(one_too_many) = tables.get(MOST_SAFE_WRITES) {
        let message = format!("a safe action of {} writes", tables.len());
        let remedy = format!("it has at most {MOST_SAFE_WRITES}: leave the device to whoever starts it next.");
        reader.problem(Rule::TooMany, one_too_many.span.clone(), message, "one too many", remedy);
    }
    let mut writes = Vec::new();
    for table in &tables {
        let offset = table.need_number(reader, "register", 0x08, 0, MOST_WORD);
        let bits = table.need_number(reader, "width", 16, 1, 32);
        let value = table.need_number(reader, "value", 0, 0, MOST_WORD);
        let (Some(offset), Some(bits), Some(value)) = (offset, bits, value) else { continue };
        let width = match bits.value {
            8 => Width::Byte,
            16 => Width::Half,
            32 => Width::Word,
            other => {
                let message = format!("no register is {other} bits wide");
                reader.problem(Rule::Choice, bits.span, message, "not a width", "it is 8, 16 or 32.");
                continue;
            }
        };
        if value.value >> bits.value != 0 {
            let message = format!("{:#x} does not fit into {} bits", value.value, bits.value);
            reader.problem(Rule::Bounds, value.span, message, "too large", "write a value as wide as the register.");
            continue;
        }
        let write = SafeWrite { offset: offset.value as u32, width, value: value.value as u32 };
        writes.push(At { value: write, span: table.span.clone() });
    }
    writes
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
        let table =
            reader.section(table, span, "the rights of a component", &["control", "facts", "blame", "reboot", "load"]);
        let control = table.texts(reader, "control", "driver").map_or_else(Vec::new, |list| list.value);
        let load = table.texts(reader, "load", "driver").map_or_else(Vec::new, |list| list.value);
        let mut flag = |key| table.flag(reader, key).is_some_and(|flag| flag.value);
        let (facts, blame, reboot) = (flag("facts"), flag("blame"), flag("reboot"));
        all.push(RightsManifest { who, control, facts, blame, reboot, load });
    }
    all
}

fn group(reader: &mut Reader, table: &Section<'_>) -> Option<GroupManifest> {
    let name = table.need_text(reader, "name", "drivers");
    if table.value("members").is_none() {
        table.missing(reader, "members", "[\"driver\"]");
    }
    let members = table.texts(reader, "members", "driver");
    let strategy = table.need_choice(reader, "strategy", &StrategyKind::ALL);
    // The kernel remembers 16 fruitless deaths: a higher intensity could not be seen.
    let intensity = table.need_number(reader, "intensity", 5, 1, koboshi_core::life::HISTORY as u64 - 1);
    let period = table.need_quantity(reader, "period", Quantity::Time);
    let backoff = table.table(reader, "backoff", "a backoff", &["first", "most"]);
    if table.value("backoff").is_none() {
        table.missing(reader, "backoff", "{ first = \"10 ms\", most = \"1 s\" }");
    }
    let backoff_first = backoff.as_ref().and_then(|table| table.need_quantity(reader, "first", Quantity::Time));
    let backoff_most = backoff.as_ref().and_then(|table| table.need_quantity(reader, "most", Quantity::Time));
    for (key, time) in [("period", &period), ("first", &backoff_first), ("most", &backoff_most)] {
        if let Some(time) = time {
            in_milliseconds(reader, key, time);
        }
    }
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

/// Says so if the restart manager, which counts in milliseconds, cannot count this time as it is written.
fn in_milliseconds(reader: &mut Reader, key: &str, time: &At<u64>) {
    let written = Quantity::Time.write(time.value);
    let most = u64::from(u32::MAX);
    let (whole, rest) = (time.value / MILLISECOND, time.value % MILLISECOND);
    let (label, remedy) = if rest > 0 {
        let next = Quantity::Time.write((whole + 1).saturating_mul(MILLISECOND));
        ("too fine", format!("the restart manager counts whole milliseconds: write `{key} = \"{next}\"`."))
    } else if whole > most {
        ("too long", format!("it is at most {}.", Quantity::Time.write(most * MILLISECOND)))
    } else {
        return;
    };
    reader.problem(Rule::Bounds, time.span.clone(), format!("`{key}` of a group is {written}"), label, remedy);
}

/// Nanoseconds in a millisecond.
const MILLISECOND: u64 = 1_000_000;

/// Restarts a second of components that do make progress, unless the image says otherwise.
const DEFAULT_RATE: u16 = 200;
