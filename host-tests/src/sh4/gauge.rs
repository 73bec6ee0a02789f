//! What the kernel for SH-4 costs: instructions of the emulated board, bytes and lines.
//!
//! Job: build an image of `components/gauge` with few components and one with many, run both, and count the instructions
//! between marks.
//!
//! How it is exact: the emulator translates one instruction at a time and writes down the address of each that it carries
//! out. They are counted here; a mark is the address of the trap with which a component writes to the log. So nothing that
//! runs there knows that it is counted, and with time counted in instructions each run is the same. An instruction that
//! missed in the TLB is counted again when it is repeated. The images write no trace, as on a board without such a
//! register.
//!
//! It must never: call an instruction of the emulator a time.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use koboshi_board::{Board, Made, Placed, Request, Source, build};
use koboshi_core::ComponentId;
use koboshi_core::kernel::Rights;
use koboshi_gauge::{STEPS, Step, client, driver, idler, server};
use koboshi_host::application::Application;
use koboshi_host::image::{Connection, Costs, DeviceModelKind, Image, ImageComponent, ImageDevice, PortEnd, WhenGone};
use koboshi_host::linked::Linked;
use koboshi_interfaces::control;
use koboshi_restart_manager::policy::{Escalation, Group, Policy, Strategy};
use koboshi_runtime::Description;
use koboshi_sh4::link::Optimise;
use koboshi_sh4::tools::{Gcc, Qemu, Rust, Trouble};
use serde::Serialize;

use super::on_board::{koboshi, source};

const MANAGER: ComponentId = ComponentId(0);
const SERVER: ComponentId = ComponentId(1);
const DRIVER: ComponentId = ComponentId(2);
const CLIENT: ComponentId = ComponentId(3);
const LOWER: ComponentId = ComponentId(4);

/// Components of the smaller image.
pub const FEW: usize = 5;

/// Components of the larger image: the others have nothing to do.
pub const MANY: usize = 32;

/// Nanoseconds of an instruction, as a power of 2: no timer is due while something is measured.
const INSTRUCTION: &str = "shift=1,sleep=off";

/// More instructions than a run has: it stands still.
const AT_MOST: u64 = 100_000_000;

/// Bytes of the kernel's stacks, as the builder of images lays them.
const KERNEL_STACKS: u32 = 0x4000;

/// One number, for the smaller image and for the larger one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name, which does not change from version to version.
    pub id: &'static str,
    /// What it is.
    pub what: &'static str,
    /// Of what: `instructions`, `bytes`, `lines`, `misses`.
    pub unit: &'static str,
    /// In the image of [`FEW`].
    pub few: u64,
    /// In the image of [`MANY`]; `None`: it was not built, or has no such number.
    pub many: Option<u64>,
    /// In the image of [`FEW`] where both compilers were told to make it fast; the others are made small.
    pub fast: Option<u64>,
    /// It is to be below this.
    pub below: Option<u64>,
}

impl Row {
    /// Whether the aim is met, in both images.
    #[must_use]
    pub fn met(&self) -> Option<bool> {
        self.below.map(|below| self.few < below && self.many.is_none_or(|many| many < below))
    }
}

/// The memory of a component, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Its name.
    pub component: String,
    /// Code and constants.
    pub code: u32,
    /// Variables.
    pub data: u32,
    /// The module's own stack: what it needs, as known from the code.
    pub own_stack: u32,
    /// The machine's stack, likewise.
    pub machine_stack: u32,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The numbers.
    pub rows: Vec<Row>,
    /// The components of the smaller image.
    pub memory: Vec<Memory>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "The kernel for SH-4, on the emulated board. Instructions are exact, and no time of real hardware."
        )?;
        writeln!(f, "  {:<66} {:>9} {:>9} {:>9}  aim", "", format!("of {FEW}"), format!("of {MANY}"), "fast")?;
        let mut unit = "";
        for row in &self.rows {
            if row.unit != unit {
                unit = row.unit;
                writeln!(f, "{unit}")?;
            }
            let cell = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
            let (many, fast) = (cell(row.many), cell(row.fast));
            let aim = match (row.below, row.met()) {
                (Some(below), Some(true)) => format!("below {below}: met"),
                (Some(below), _) => format!("below {below}: MISSED"),
                _ => String::new(),
            };
            writeln!(f, "{}", format!("  {:<66} {:>9} {many:>9} {fast:>9}  {aim}", row.what, row.few).trim_end())?;
        }
        writeln!(f, "bytes of a component: code and constants, variables, its own stack, the machine's stack")?;
        for Memory { component, code, data, own_stack, machine_stack } in &self.memory {
            writeln!(f, "  {component:<20} {code:>8} {data:>8} {own_stack:>8} {machine_stack:>8}")?;
        }
        Ok(())
    }
}

/// What is read from a run.
#[derive(Default)]
struct Counts {
    /// By component: for each mark, instructions before it and instructions when it was left.
    marks: BTreeMap<ComponentId, Vec<(u64, u64)>>,
    /// Of each mark, misses of the TLB before it.
    misses: BTreeMap<ComponentId, Vec<u64>>,
    /// Instructions before the last interrupt that came before a mark, by mark of the driver.
    interrupts: Vec<u64>,
    /// Instructions before the first component's first one.
    first: Option<u64>,
    /// Instructions before the client's first one.
    client: Option<u64>,
}

/// The addresses that say something.
struct Addresses {
    marks: BTreeMap<u32, ComponentId>,
    vectors: u32,
    manager: u32,
    client: u32,
}

/// The address of a symbol.
fn symbol(gcc: &Gcc, elf: &Path, name: &str) -> Result<u32, Trouble> {
    let trouble = || {
        Trouble::new(format!("`{name}` is not in {}", elf.display()), "this is a mistake of Koboshi: please report it.")
    };
    let output = gcc.binutil("nm").arg(elf).output().map_err(|_| trouble())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.rsplit(' ').next() == Some(name)).ok_or_else(trouble)?;
    line.split(' ').next().and_then(|address| u32::from_str_radix(address, 16).ok()).ok_or_else(trouble)
}

/// Runs an image until the client's last mark.
fn count(qemu: &Qemu, image: &Path, addresses: &Addresses) -> Result<Counts, Trouble> {
    let failed = |what: String| Trouble::new(what, "run `koboshi doctor`; if it finds nothing, please report it.");
    let mut command = Command::new(qemu.path());
    command.args([
        "-M",
        "r2d",
        "-nic",
        "none",
        "-display",
        "none",
        "-monitor",
        "none",
        "-no-reboot",
        "-serial",
        "null",
    ]);
    command.args(["-icount", INSTRUCTION, "-singlestep", "-d", "exec,nochain", "-kernel"]).arg(image);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| failed(format!("the emulator cannot be started: {error}")))?;
    let mut counts = Counts::default();
    let (mut done, mut interrupt, mut missed) = (0_u64, 0, 0);
    let mut lines = child.stderr.take().map(BufReader::new);
    let mut line = Vec::new();
    let wanted = 2 * STEPS.len() + 1;
    while let Some(source) = &mut lines {
        line.clear();
        if source.read_until(b'\n', &mut line).unwrap_or(0) == 0 || done > AT_MOST {
            break;
        }
        if line.starts_with(b"Stopped execution") {
            done = done.saturating_sub(1);
            continue;
        }
        // Trace 0: 0x7f... [cs_base/pc/flags/cflags] ...
        if !line.starts_with(b"Trace") {
            continue;
        }
        let text = String::from_utf8_lossy(&line);
        let address = text.split('/').nth(1).and_then(|address| u32::from_str_radix(address, 16).ok());
        let Some(address) = address else { continue };
        if let Some(who) = addresses.marks.get(&address) {
            counts.marks.entry(*who).or_default().push((done, done));
            counts.misses.entry(*who).or_default().push(missed);
            if *who == DRIVER {
                counts.interrupts.push(interrupt);
            }
        } else if let Some(who) = addresses.marks.get(&address.wrapping_sub(2))
            && let Some((_, left)) = counts.marks.get_mut(who).and_then(|marks| marks.last_mut())
        {
            *left = done;
            if *who == CLIENT && counts.marks.get(who).is_some_and(|marks| marks.len() == wanted) {
                break;
            }
        } else if address == addresses.vectors + 0x600 {
            interrupt = done;
        } else if address == addresses.vectors + 0x400 {
            missed += 1;
        } else if address == addresses.manager {
            counts.first.get_or_insert(done);
        } else if address == addresses.client {
            counts.client.get_or_insert(done);
        }
        done += 1;
    }
    let _ended = child.kill();
    let _waited = child.wait();
    let found = |who| counts.marks.get(&who).map_or(0, Vec::len);
    if found(CLIENT) != wanted || found(DRIVER) != 3 {
        let (client, driver) = (found(CLIENT), found(DRIVER));
        return Err(failed(format!("the client came to {client} of {wanted} marks, the driver to {driver} of 3")));
    }
    Ok(counts)
}

/// The image: manager, a server, a driver, a client, somebody below the client; and idlers.
fn image(count: usize) -> Image {
    let component = |name: String, description: &'static Description, vcpu, configuration, rights| ImageComponent {
        recover_within: None,
        name,
        // The programs for the board are built from their crates; on this machine nobody runs.
        linked: Linked::new(description, idler::start),
        vcpu,
        respond_within: 1_000_000_000,
        configuration,
        rights,
    };
    let group = |members: &[u8], strategy, escalate| Group {
        members: heapless::Vec::from_slice(members).unwrap_or_default(),
        strategy,
        intensity: 5,
        period_ms: 10_000,
        backoff_first_ms: 1,
        backoff_most_ms: 2,
        rate_per_second: 1_000,
        escalate,
    };
    let others: Vec<u8> = (CLIENT.0..count as u8).collect();
    let groups = [
        group(&[DRIVER.0, SERVER.0], Strategy::OneForOne, Escalation::Image),
        group(&others, Strategy::OneForOne, Escalation::Image),
    ];
    let policy = Policy { groups: heapless::Vec::from_slice(&groups).unwrap_or_default() };
    let all = (1..count as u8).fold(0, |set, id| set | ComponentId(id).bit());
    let may = Rights { control: all, facts: true, blame: true, reboot: true };
    let none = Rights::default;
    let policy = postcard::to_stdvec(&policy).unwrap_or_default();
    let mut components = vec![
        component("manager".to_owned(), &koboshi_restart_manager::DESCRIPTION, 0, policy, may),
        component("server".to_owned(), &server::DESCRIPTION, 1, vec![], none()),
        component("driver".to_owned(), &driver::DESCRIPTION, 1, vec![], none()),
        component("client".to_owned(), &client::DESCRIPTION, 2, vec![], none()),
        component("lower".to_owned(), &server::DESCRIPTION, 3, vec![], none()),
    ];
    let idlers = FEW..count;
    components
        .extend(idlers.map(|number| component(format!("idler-{number}"), &idler::DESCRIPTION, 3, vec![], none())));
    let end = |component, port| PortEnd { component, port };
    let connect = |interface, near, far| Connection {
        when_gone: WhenGone::default(),
        interface,
        near,
        far,
        slots: 4,
        routed: false,
    };
    let gauge = &koboshi_gauge::gauge::INTERFACE;
    let connections = vec![
        connect(gauge, end(CLIENT, 0), end(SERVER, 0)),
        connect(gauge, end(CLIENT, 1), end(DRIVER, 0)),
        connect(gauge, end(CLIENT, 2), end(LOWER, 0)),
        connect(&control::INTERFACE, end(CLIENT, 3), end(MANAGER, 0)),
    ];
    let devices = vec![ImageDevice {
        safe: vec![],
        name: "tmu".to_owned(),
        owner: DRIVER,
        number: 0,
        first_line: 0,
        // Only its place on the board counts.
        model: DeviceModelKind::Application(Box::new(Application::new(1))),
    }];
    Image { components, connections, devices, manager: Some(MANAGER), costs: Costs::default() }
}

fn sources(count: usize) -> Vec<Source> {
    let ours = |start: &str| source("gauge", &format!("koboshi_gauge::{start}::start"));
    let mut sources = vec![
        source("restart-manager", "koboshi_restart_manager::start"),
        ours("server"),
        ours("driver"),
        ours("client"),
        ours("server"),
    ];
    sources.resize_with(count, || ours("idler"));
    sources
}

/// An image that was built and run.
fn one(count_of: usize, optimise: Optimise) -> Result<(Made, Counts), Trouble> {
    let cache = koboshi().join("target/koboshi/sh4");
    let (rust, gcc, qemu) = (Rust::find()?, Gcc::find(&cache)?, Qemu::find()?);
    let image = image(count_of);
    let request = Request {
        image: &image,
        sources: sources(count_of),
        // TMU2 lies beside the kernel's TMU0: what is measured is trusted.
        devices: vec![Some(Placed { base: 0xFFD8_0000, interrupts: vec![0x440], beside_the_kernel: true })],
        board: Board { trace: None, ..Board::R2D },
        optimise,
        knocks: false,
        koboshi: koboshi(),
        folder: koboshi()
            .join(format!("target/koboshi/board/gauge-{count_of}-{}", optimise.level().trim_matches(['"', '\'']))),
        name: "gauge".to_owned(),
        change: None,
    };
    let made = build(&rust, &gcc, &cache, &request, &mut |_| {})?;
    let mut marks = BTreeMap::new();
    for who in [DRIVER, CLIENT] {
        marks.insert(symbol(&gcc, &made.components[who.index()].elf.path, "koboshi_trap_log")?, who);
    }
    let entry = |who: ComponentId| made.components[who.index()].entry;
    let vectors = symbol(&gcc, &made.kernel.path, "koboshi_vectors")?;
    let addresses = Addresses { marks, vectors, manager: entry(MANAGER), client: entry(CLIENT) };
    let counts = count(&qemu, &made.file, &addresses)?;
    Ok((made, counts))
}

/// Lines of code of the kernel, without comments, empty lines and tests.
fn lines() -> u64 {
    let folders = ["kernel/core/src", "kernel/sh4/src", "kernel/sh4/abi/src"];
    let files = folders.iter().filter_map(|folder| fs::read_dir(koboshi().join(folder)).ok()).flatten().flatten();
    // A line's end between two components is theirs: no kernel has it.
    let ours = files.filter(|file| file.file_name() != "line_end.rs");
    let texts = ours.filter_map(|file| fs::read_to_string(file.path()).ok());
    let counts = |line: &&str| !line.is_empty() && !line.starts_with("//") && !line.starts_with('!');
    texts
        .map(|text| {
            text.lines().map(str::trim).take_while(|line| *line != "#[cfg(test)]").filter(counts).count() as u64
        })
        .sum()
}

/// What an image has of each number, in the order of the rows.
fn numbers((made, counts): &(Made, Counts)) -> Vec<u64> {
    let marks = |who| &counts.marks[&who];
    let step = |wanted: Step| {
        let at = STEPS.iter().position(|step| *step == wanted).unwrap_or(0);
        let between = |at: usize| marks(CLIENT)[2 * at + 1].0 - marks(CLIENT)[2 * at].1;
        between(at) - if wanted == Step::Mark { 0 } else { between(0) }
    };
    let driver = marks(DRIVER);
    let ram = |section: &&koboshi_sh4::link::Section| section.writable;
    let kernel_ram = made.kernel.sections.iter().filter(ram).map(|section| section.size).sum::<u32>() + KERNEL_STACKS;
    let tables = made.kernel.sections.iter().filter(|section| !section.writable && !section.code);
    vec![
        step(Step::Trap),
        step(Step::Time),
        step(Step::Doorbell),
        step(Step::Slots),
        step(Step::SlotsBlock),
        step(Step::Call),
        step(Step::CallBlock),
        driver[0].0 - counts.interrupts[0],
        driver[2].0 - driver[1].1,
        step(Step::Reboot),
        counts.first.unwrap_or(0),
        counts.client.unwrap_or(0),
        counts.misses[&DRIVER][2] - counts.misses[&DRIVER][1],
        made.kernel_code.into(),
        tables.map(|section| u64::from(section.size)).sum(),
        kernel_ram.into(),
    ]
}

/// Each row: its name, what it is, of what, and the aim.
const ROWS: [(&str, &str, &str, Option<u64>); 16] = [
    ("trap", "a trap that asks for nothing", "instructions", None),
    ("time", "the time", "instructions", None),
    ("doorbell", "a doorbell of a peer that is ready already", "instructions", None),
    ("slots", "a call without content and its answer, from slot to slot", "instructions", Some(719)),
    ("slots-64", "the same with 64 bytes each way", "instructions", None),
    ("call", "a call without content and its answer, with postcard", "instructions", Some(719)),
    ("call-64", "the same with 64 bytes each way", "instructions", None),
    ("interrupt", "an interrupt, to the driver's own code behind its wait", "instructions", Some(213)),
    ("recovery", "a driver's fault, to the first answer of its next incarnation", "instructions", Some(10_000)),
    ("reboot", "a reboot of a server and its driver, to both their answers", "instructions", None),
    ("boot", "power on, to the first instruction of a component", "instructions", None),
    ("boot-client", "power on, to the first instruction of the fourth component", "instructions", None),
    ("recovery-misses", "misses of the TLB in that recovery", "misses", None),
    ("kernel-code", "the kernel's code", "bytes", Some(16_384)),
    ("kernel-tables", "its constants and the image's tables", "bytes", None),
    ("kernel-ram", "its variables and stacks", "bytes", None),
];

/// Measures. `quick`: only the smaller image.
///
/// # Errors
/// A tool is missing, or an image could not be built or did not come to its end.
pub fn measure(quick: bool) -> Result<Report, Trouble> {
    let few = one(FEW, Optimise::Size)?;
    let fast = numbers(&one(FEW, Optimise::Speed)?);
    let many = if quick { None } else { Some(numbers(&one(MANY, Optimise::Size)?)) };
    let mut rows: Vec<Row> = Vec::new();
    for (at, ((id, what, unit, below), number)) in ROWS.into_iter().zip(numbers(&few)).enumerate() {
        rows.push(Row {
            id,
            what,
            unit,
            few: number,
            many: many.as_ref().map(|many| many[at]),
            fast: Some(fast[at]),
            below,
        });
    }
    let what = "the kernel's code, without comments and tests";
    rows.push(Row {
        id: "kernel-lines",
        what,
        unit: "lines",
        few: lines(),
        many: None,
        fast: None,
        below: Some(3_000),
    });
    let memory = few.0.components.iter().map(|made| Memory {
        component: made.name.clone(),
        code: made.size,
        data: made.zero_end - made.data.start,
        own_stack: made.bounds.shadow.bytes,
        machine_stack: made.bounds.machine.bytes,
    });
    Ok(Report { rows, memory: memory.collect() })
}
