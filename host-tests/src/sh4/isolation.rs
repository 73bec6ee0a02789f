//! Isolation on the emulated board: a component tries everything it must not do, and nobody else notices.
//!
//! One image holds the restart manager, two components that exchange numbered requests all the time, and the hostile one.
//! It is built twice: where everything lies is known after the first time, and the configuration with the attacks, which
//! are aimed at that, moves nothing.
//!
//! The rule: each attack has the one end that is written beside it here, and whatever else happens meanwhile is wrong.

use std::fmt::Write;
use std::time::Duration;

use koboshi_board::emulator::{Emulator, How};
use koboshi_board::{Made, MadeComponent, Source};
use koboshi_core::ComponentId;
use koboshi_core::kernel::Rights;
use koboshi_core::life::Fault;
use koboshi_host::image::{Connection, Costs, Image, ImageComponent, PortEnd, WhenGone};
use koboshi_host::linked::Linked;
use koboshi_hostile::asker::{self, LINE_EVERY};
use koboshi_hostile::attack::{Arguments, Attack, INSTRUCTIONS, Width};
use koboshi_hostile::{answerer, exchange, hostile};
use koboshi_interface_kit::Interface;
use koboshi_interfaces::control;
use koboshi_restart_manager::policy::{Escalation, Group, Policy, Strategy};
use koboshi_sh4::tools::{Qemu, Trouble};
use koboshi_sh4_abi::{answer, call};

use crate::sh4::on_board::{INSTRUCTION, changed_image, reported, source};
use crate::suite::{Context, Report};

const MANAGER: ComponentId = ComponentId(0);
const ASKER: ComponentId = ComponentId(1);
const ANSWERER: ComponentId = ComponentId(2);
const HOSTILE: ComponentId = ComponentId(3);

/// How long the hostile component may be away from its wait: what an endless loop takes.
const RESPOND_WITHIN: u64 = 30_000_000;

/// The same for everybody else.
const OTHERS_RESPOND_WITHIN: u64 = 2_000_000;

/// The slowest exchange that the witnesses may see, in microseconds: the kernel's longest way (a death with its lines in the
/// log, or a start), the restart manager's turn, and the 50 us in which somebody else may close its window.
const SLOWEST: u64 = 400;

/// Lines of the witnesses that have to come behind the last attack.
const LINES_BEHIND: u32 = 3;

/// The emulator is given up if the attacks take longer than this.
const PATIENCE: Duration = Duration::from_secs(120);

/// Further mistakes are not told of.
const MOST_WRONG: usize = 20;

/// 1,000 rings each, in the flood.
const FLOOD: u32 = 100;

/// Forgeries from different seeds, at each port.
const FORGERIES: u32 = 12;

/// Codes of faults.
const ACCESS: u8 = Fault::Access { address: 0 }.code();
const ILLEGAL: u8 = Fault::IllegalInstruction.code();
const PANIC: u8 = Fault::Panic.code();
const STACK: u8 = Fault::Stack.code();
const STUCK: u8 = Fault::Stuck.code();
const BAD_MESSAGE: u8 = Fault::BadMessage.code();
const EXIT: u8 = Fault::Exit.code();
const TOLD: u8 = Fault::Told.code();

/// What has to come of an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// A fault of access, at this address.
    At(u32),
    /// A fault with this code.
    Ends(u8),
    /// A fault with one of these codes.
    EndsAs(u8, u8),
    /// It is let do that, or its message is found malformed: then its writer ends.
    GoesOnOrBlamed,
    /// It is let do that, or is refused; with this in r0, if that says something.
    GoesOn(Option<u32>),
}

/// What came of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// This fault; the address that the kernel has shown with it.
    Ended { code: u8, address: Option<u32> },
    /// It goes on, with this in r0.
    WentOn(u32),
}

impl Expected {
    fn holds(self, outcome: Outcome) -> bool {
        match (self, outcome) {
            (Expected::At(at), Outcome::Ended { code, address }) => code == ACCESS && address == Some(at),
            (Expected::Ends(expected), Outcome::Ended { code, .. }) => code == expected,
            (Expected::EndsAs(one, other), Outcome::Ended { code, .. }) => code == one || code == other,
            (Expected::GoesOnOrBlamed, Outcome::Ended { code, .. }) => code == BAD_MESSAGE,
            (Expected::GoesOnOrBlamed, Outcome::WentOn(_)) => true,
            (Expected::GoesOn(result), Outcome::WentOn(found)) => result.is_none_or(|result| result == found),
            (Expected::GoesOn(_), Outcome::Ended { .. }) | (_, Outcome::WentOn(_)) => false,
        }
    }
}

/// An attack, and what has to come of it.
struct Try {
    about: String,
    attack: Attack,
    expected: Expected,
}

/// The suite `sh4-isolation`.
pub fn isolation(context: &Context<'_>) -> Report {
    reported(run(context))
}

fn sources() -> Vec<Source> {
    let hostile = source("hostile", "koboshi_hostile::hostile::start");
    let arms = hostile.folder.join("src/arms.S");
    vec![
        source("restart-manager", "koboshi_restart_manager::start"),
        source("hostile", "koboshi_hostile::asker::start"),
        source("hostile", "koboshi_hostile::answerer::start"),
        Source { features: vec!["armed".to_owned()], assembler: vec![arms], ..hostile },
    ]
}

/// The restart policy: the hostile component is started again as often as it dies.
fn policy() -> Policy {
    let group = |member: ComponentId| Group {
        members: heapless::Vec::from_slice(&[member.0]).unwrap_or_default(),
        strategy: Strategy::OneForOne,
        intensity: 15,
        period_ms: 10,
        backoff_first_ms: 1,
        backoff_most_ms: 1,
        rate_per_second: 1_000,
        escalate: Escalation::GiveUp,
    };
    let groups = [ASKER, ANSWERER, HOSTILE].map(group);
    Policy { groups: heapless::Vec::from_slice(&groups).unwrap_or_default() }
}

/// The image, with this configuration of the hostile component, and these rights of its over others.
fn image(configuration: Vec<u8>, control: u64) -> Image {
    let component = |name: &str, linked, vcpu, respond_within, configuration, rights| ImageComponent {
        name: name.to_owned(),
        linked,
        vcpu,
        respond_within,
        recover_within: None,
        swappable: None,
        configuration,
        rights,
    };
    let witness = Rights { blame: true, ..Rights::default() };
    let restarts = ASKER.bit() | ANSWERER.bit() | HOSTILE.bit();
    let components = vec![
        component(
            "restart-manager",
            Linked::new(&koboshi_restart_manager::DESCRIPTION, koboshi_restart_manager::start),
            0,
            OTHERS_RESPOND_WITHIN,
            postcard::to_stdvec(&policy()).unwrap_or_default(),
            Rights { control: restarts, facts: true, blame: true, reboot: true, load: 0 },
        ),
        component("asker", Linked::new(&asker::DESCRIPTION, asker::start), 1, OTHERS_RESPOND_WITHIN, vec![], witness),
        component(
            "answerer",
            Linked::new(&answerer::DESCRIPTION, answerer::start),
            1,
            OTHERS_RESPOND_WITHIN,
            vec![],
            witness,
        ),
        // Its program is for the board alone, and this image never runs here.
        component(
            "hostile",
            Linked::new(&hostile::DESCRIPTION, answerer::start),
            2,
            RESPOND_WITHIN,
            configuration,
            Rights { control, ..Rights::default() },
        ),
    ];
    let end = |component, port| PortEnd { component, port };
    let connect = |interface: &'static Interface, near, far| Connection {
        interface,
        near,
        far,
        slots: 4,
        routed: false,
        when_gone: WhenGone::default(),
    };
    let connections = vec![
        connect(&exchange::INTERFACE, end(ASKER, 0), end(ANSWERER, 0)),
        connect(&exchange::INTERFACE, end(ASKER, 1), end(HOSTILE, hostile::ASKER)),
        connect(&exchange::INTERFACE, end(HOSTILE, hostile::ANSWERER), end(ANSWERER, 1)),
        connect(&control::INTERFACE, end(HOSTILE, hostile::CONTROL), end(MANAGER, 0)),
    ];
    Image { components, connections, devices: vec![], manager: Some(MANAGER), costs: Costs::default() }
}

/// What the attacks are aimed at.
struct Targets<'m> {
    made: &'m Made,
}

/// The physical address of the kernel, and what lies in it: code, tables, stack.
const KERNEL: u32 = koboshi_board::Board::R2D.load;
const KERNEL_PLACES: [(&str, u32); 3] = [("code", 0x700), ("tables", 0x1_0000), ("stack", 0x3_FF00)];

/// Where else the same memory is seen: by the processor's segments, and where an address of 29 bits begins anew.
const ALIASES: [(&str, u32); 5] =
    [("P0", 0), ("P0 + 512 MiB", 0x2000_0000), ("P1", 0x8000_0000), ("P2", 0xA000_0000), ("P3", 0xC000_0000)];

/// Devices: a register that would tell, or do, something, and how wide it is.
const DEVICES: [(&str, Width, u32); 27] = [
    ("the SCIF in P4", Width::Half, 0xFFE8_0010),
    ("the SCIF in area 7", Width::Half, 0x1FE8_0010),
    ("the SCI in P4", Width::Byte, 0xFFE0_000C),
    ("the SCI in area 7", Width::Byte, 0x1FE0_000C),
    ("the timer in P4", Width::Byte, 0xFFD8_0004),
    ("the timer in area 7", Width::Byte, 0x1FD8_0004),
    ("the interrupt controller in P4", Width::Half, 0xFFD0_0004),
    ("the interrupt controller in area 7", Width::Half, 0x1FD0_0004),
    ("MMUCR in P4", Width::Word, 0xFF00_0010),
    ("MMUCR in area 7", Width::Word, 0x1F00_0010),
    ("PTEH in area 7", Width::Word, 0x1F00_0000),
    // The emulator ends when one of the next six is reached.
    ("QACR0 in P4", Width::Word, 0xFF00_0038),
    ("QACR0 in area 7", Width::Word, 0x1F00_0038),
    ("a byte of CCR in area 7", Width::Byte, 0x1F00_001C),
    ("the watchdog in area 7", Width::Half, 0x1FC0_0008),
    ("the ITLB's data", Width::Word, 0xF300_0000),
    ("a byte of the UTLB", Width::Byte, 0xF600_0000),
    ("the UTLB's addresses", Width::Word, 0xF600_0000),
    ("the UTLB's data", Width::Word, 0xF700_0000),
    ("the operand cache's addresses", Width::Word, 0xF400_0000),
    ("the operand cache's data", Width::Word, 0xF500_0000),
    ("the board's power switch in P2", Width::Half, 0xA400_0030),
    ("the board's power switch in P0", Width::Half, 0x0400_0030),
    ("the display in P0", Width::Word, 0x13E0_0060),
    ("the PCI controller in P4", Width::Word, 0xFE20_0000),
    ("the PCI controller in area 7", Width::Word, 0x1E20_0000),
    ("the last word", Width::Word, 0xFFFF_FFFC),
];

impl Targets<'_> {
    fn of(&self, id: ComponentId) -> &MadeComponent {
        &self.made.components[id.index()]
    }

    fn outbox(&self, from: ComponentId, to: ComponentId) -> u32 {
        self.made.outboxes.get(&(from.index(), to.index())).map_or(0, |range| range.start)
    }

    /// What lies in a component's memory: what, and where.
    fn places(&self, id: ComponentId) -> Vec<(String, u32)> {
        let of = self.of(id);
        let mut places = vec![
            ("data", of.data.start),
            ("own stack", of.shadow.end - 4),
            ("machine's stack", of.stack.end - 4),
            ("code", of.entry),
            ("constants", of.constants.start),
            ("page to read", of.view.start),
            ("kept state", of.kept.start),
        ];
        // Where there is none, the next component begins.
        if !of.initial.is_empty() {
            places.push(("initial data", of.kept_initial));
        }
        places.into_iter().map(|(what, address)| (format!("the {what} of {}", of.name), address)).collect()
    }

    /// Arguments of traps: wild ones, and well-formed ones that it has no right to.
    fn arguments(&self) -> Arguments {
        let (own, asker, answerer) = (self.of(HOSTILE), self.of(ASKER), self.of(ANSWERER));
        let kernel = KERNEL | 0x8000_0000;
        [
            [0, kernel + 0x1_0000, 0, 0],
            [asker.data.start, answerer.data.start, answerer.stack.end - 64, KERNEL],
            [own.data.start + 1, own.data.start + 2, 3, 5],
            [0xFFFF_FFFC, 0xFFFF_FFFC, 8, u32::MAX],
            [own.data.end - 4, own.data.end - 4, u32::MAX, 1],
            [kernel, u32::MAX, kernel, kernel],
            [0, own.shadow.start, u32::MAX, 0],
            [1, self.outbox(ASKER, ANSWERER), 0x4000_0000, 0],
            [1, own.entry, 0, 0],
            // About the asker: start, end, end as reported, stop, back off, give up; and reboot the image.
            [1, 0, 9, 0],
            [1, 1, 9, 0],
            [1, 2, 9, 0],
            [1, 3, 9, 0],
            [1, 5, 9, 0],
            [1, 6, 9, 0],
            // A number that would be the asker's if it were cut: there is no such component.
            [0x0100_0101, 1, 9, 0],
        ]
    }

    fn traps(&self, all: &mut Vec<Try>) {
        let arguments = self.arguments();
        for number in 0..=u8::MAX {
            let sets = if number <= call::PUT as u8 { 0..arguments.len() as u8 } else { number % 16..number % 16 + 1 };
            for set in sets {
                let wanted = arguments[usize::from(set)];
                let writable = wanted[1] == self.of(HOSTILE).shadow.start;
                let expected = match number {
                    // What is asked for is written nowhere but in the component's own memory, and only with the right to ask.
                    5 | 7 | 14 if !writable => Expected::At(wanted[1]),
                    5 | 6 if wanted[0] > u8::MAX.into() => Expected::GoesOn(Some(answer::UNKNOWN)),
                    5 | 6 => Expected::GoesOn(Some(answer::RIGHT)),
                    4 | 7 | 14 => Expected::GoesOn(Some(0)),
                    0..=3 | 8 | 11 | 12 => Expected::GoesOn(None),
                    9 => Expected::Ends(EXIT),
                    10 => Expected::Ends(PANIC),
                    // All might be down, for who may not know.
                    13 => Expected::GoesOn(Some(u32::MAX)),
                    // Nobody here has the right to load, and nobody has rooms.
                    15 if wanted[0] as usize >= self.made.components.len() => Expected::GoesOn(Some(answer::UNKNOWN)),
                    15 => Expected::GoesOn(Some(answer::RIGHT)),
                    16..0x40 => Expected::Ends(ILLEGAL),
                    0x40.. => Expected::Ends(PANIC),
                };
                let about = format!("trapa #{number} with {}", wanted.map(|word| format!("{word:#x}")).join(", "));
                all.push(Try { about, attack: Attack::Trap(number, set), expected });
            }
        }
    }

    fn instructions(&self, all: &mut Vec<Try>) {
        let victim = self.of(ASKER).data.start;
        for (number, name) in (0u8..).zip(INSTRUCTIONS) {
            let (operand, expected) = match name {
                "mov.l r15,@-r5" => (victim + 4, Expected::At(victim)),
                _ if number < 30 => (victim, Expected::Ends(ILLEGAL)),
                _ => (victim, Expected::At(victim)),
            };
            all.push(Try { about: name.to_owned(), attack: Attack::Instruction(number, operand), expected });
            if matches!(name, "tas.b @r5" | "movca.l r0,@r5") {
                let own = self.of(HOSTILE).entry;
                let about = format!("{name} in its own code");
                all.push(Try { about, attack: Attack::Instruction(number, own), expected: Expected::At(own) });
            }
        }
    }

    /// All attacks.
    fn attacks(&self) -> Vec<Try> {
        use Expected::{At, Ends, EndsAs, GoesOn, GoesOnOrBlamed};
        let mut all: Vec<Try> = Vec::new();
        let mut put = |about: String, attack, expected| all.push(Try { about, attack, expected });
        let own = self.of(HOSTILE);

        let mut forbidden: Vec<(String, Width, u32)> = Vec::new();
        for (alias, base) in ALIASES {
            for (what, at) in KERNEL_PLACES {
                forbidden.push((format!("the kernel's {what} in {alias}"), Width::Word, base + KERNEL + at));
            }
            if base != 0 {
                forbidden.push((format!("its own data in {alias}"), Width::Word, base + own.data.start));
            }
        }
        for id in [MANAGER, ASKER, ANSWERER] {
            for (what, address) in self.places(id) {
                forbidden.push((what, Width::Word, address));
            }
        }
        forbidden.push(("a byte of the data of asker".to_owned(), Width::Byte, self.of(ASKER).data.start + 3));
        forbidden.push(("its own initial data".to_owned(), Width::Word, own.kept_initial));
        for (from, to) in [(ASKER, ANSWERER), (ANSWERER, ASKER)] {
            let what = format!("the outbox from {} to {}", self.of(from).name, self.of(to).name);
            forbidden.push((what, Width::Word, self.outbox(from, to)));
        }
        for (what, width, address) in DEVICES {
            forbidden.push((what.to_owned(), width, address));
        }
        for address in [0, 4, 0xFFC, 0x4000_0000, 0x7FFF_FFFC] {
            forbidden.push((format!("address {address:#x}"), Width::Word, address));
        }
        for (width, offset) in [(Width::Half, 1), (Width::Word, 1), (Width::Word, 2), (Width::Word, 3)] {
            let what = format!("{width:?} at {offset} behind a word of its own");
            forbidden.push((what, width, own.shadow.start + offset));
            let what = format!("{width:?} at {offset} behind a word of the kernel's");
            forbidden.push((what, width, (KERNEL | 0x8000_0000) + offset));
        }
        for (what, width, address) in forbidden {
            put(format!("read {what}"), Attack::Read(width, address), At(address));
            put(format!("write {what}"), Attack::Write(width, address), At(address));
        }

        let read_only = [
            ("its code", own.entry),
            ("its constants", own.constants.start),
            ("its page to read", own.view.start),
            ("the page of its configuration", own.view.start + 0x1000),
            ("the answerer's outbox to it", self.outbox(ANSWERER, HOSTILE)),
            ("the asker's outbox to it", self.outbox(ASKER, HOSTILE)),
        ];
        for (what, address) in read_only {
            put(format!("read {what}"), Attack::Read(Width::Word, address), GoesOn(None));
            put(format!("write {what}"), Attack::Write(Width::Word, address), At(address));
        }

        for (number, guard) in own.guards.iter().enumerate() {
            for address in [guard.start, guard.end - 4] {
                put(format!("read guard {number}"), Attack::Read(Width::Word, address), Ends(STACK));
                put(format!("write guard {number}"), Attack::Write(Width::Word, address), Ends(STACK));
            }
        }
        for (step, expected) in [(4, Ends(STACK)), (0x400, Ends(STACK)), (0x1800, EndsAs(STACK, ACCESS))] {
            put(format!("machine's stack by {step:#x}"), Attack::MachineStack(step), expected);
            put(format!("own stack by {step:#x}"), Attack::ModuleStack(step), expected);
        }

        let kernel = KERNEL + 0x600;
        for (alias, base) in ALIASES {
            put(format!("jump into the kernel in {alias}"), Attack::Jump(base + kernel), At(base + kernel));
        }
        let nowhere = [
            ("the code of asker", self.of(ASKER).entry),
            ("the data of asker", self.of(ASKER).data.start),
            ("the outbox from asker to answerer", self.outbox(ASKER, ANSWERER)),
            ("P4", 0xFF00_0000),
            ("the cache", 0xF000_0000),
            ("area 7", 0x1F00_0000),
            ("address 0", 0),
            ("nowhere", 0x4000_0000),
            ("the last address", 0xFFFF_FFFE),
        ];
        for (what, address) in nowhere {
            put(format!("jump to {what}"), Attack::Jump(address), At(address));
        }
        // Zeros: no instruction. (An SH-4 cannot tell data from code.)
        put("jump to its data".to_owned(), Attack::Jump(own.kept.end - 16), Ends(ILLEGAL));

        self.instructions(&mut all);
        self.traps(&mut all);

        let mut put = |about: String, attack, expected| all.push(Try { about, attack, expected });
        for port in [hostile::ANSWERER, hostile::ASKER] {
            for seed in 0..FORGERIES {
                let seed = 0x9E37_79B9_u32.wrapping_mul(seed + 1);
                put(format!("forge port {port} from {seed:#x}"), Attack::Forge(port, seed), GoesOnOrBlamed);
            }
        }
        put("flood of doorbells".to_owned(), Attack::Flood(FLOOD), GoesOn(None));
        put("endless".to_owned(), Attack::Endless, Ends(STUCK));
        put("endless with a window open".to_owned(), Attack::EndlessInWindow, Ends(STUCK));
        put("opens its window again and again".to_owned(), Attack::Reopens, Ends(STUCK));
        put("waits with a window open".to_owned(), Attack::WaitInWindow(own.view.start), GoesOn(None));
        put("told to end with a window open".to_owned(), Attack::ToldInWindow(HOSTILE.0), Ends(TOLD));
        all
    }
}

/// What was found in a run.
#[derive(Default)]
struct Found {
    /// Of each attack that was tried.
    outcomes: Vec<Option<Outcome>>,
    /// Whatever else is wrong.
    wrong: Vec<String>,
    /// Exchanges of the witnesses that were exact.
    exact: u32,
    /// The slowest of them, in microseconds.
    slowest: u64,
    /// All attacks were tried, and the witnesses went on.
    done: bool,
}

/// Reads the log of a run.
#[derive(Default)]
struct Reader {
    found: Found,
    /// The epoch that the hostile component is in.
    epoch: u32,
    /// What the kernel has shown of its last fault.
    address: Option<u32>,
    over: bool,
    behind: u32,
}

impl Reader {
    /// Takes in a line; true if nothing more has to come.
    fn take(&mut self, line: &str) -> bool {
        let Some(text) = line.strip_prefix("koboshi: ") else {
            self.found.wrong.push(format!("a strange line: {line}"));
            return false;
        };
        let words: Vec<&str> = text.split(' ').collect();
        match words[..] {
            ["boot"] => {}
            ["starts", "hostile", epoch] => {
                self.epoch += 1;
                self.must(epoch == self.epoch.to_string(), line);
            }
            ["starts", _, epoch] => self.must(epoch == "1", line),
            ["fault", "hostile", ..] => {
                let at = words.iter().position(|word| *word == "address").and_then(|at| words.get(at + 1));
                self.address = at.and_then(|word| u32::from_str_radix(word, 16).ok());
            }
            ["ends", "hostile", epoch, "fault", code] => {
                self.must(epoch == self.epoch.to_string(), line);
                let address = self.address.take();
                match code.parse() {
                    Ok(code) => self.outcome(Outcome::Ended { code, address }, line),
                    Err(_) => self.must(false, line),
                }
            }
            ["hostile", "says", "attack", number] => {
                let last = self.found.outcomes.last();
                self.must(!matches!(last, Some(None)), "an attack has no end");
                self.must(number == self.found.outcomes.len().to_string(), line);
                self.found.outcomes.push(None);
            }
            ["hostile", "says", "goes", "on", "with", result] => {
                let result = u32::from_str_radix(result.trim_start_matches("0x"), 16).unwrap_or(0);
                self.outcome(Outcome::WentOn(result), line);
            }
            ["hostile", "says", "no", "more", "attacks"] => self.over = true,
            ["hostile", ..] => {}
            ["asker", "says", "exact", count, "slowest", slowest] => {
                self.found.exact += LINE_EVERY;
                self.must(count == self.found.exact.to_string(), line);
                self.found.slowest = self.found.slowest.max(slowest.parse().unwrap_or(u64::MAX));
            }
            _ => self.must(false, line),
        }
        self.behind += u32::from(self.over && text.starts_with("asker says "));
        self.found.done = self.behind >= LINES_BEHIND;
        self.found.done
    }

    fn must(&mut self, so: bool, line: &str) {
        // One mistake may lead to any number of further ones.
        if !so && self.found.wrong.len() < MOST_WRONG {
            let attack = self.found.outcomes.len().wrapping_sub(1);
            self.found.wrong.push(format!("at attack {attack}: {line}"));
        }
    }

    fn outcome(&mut self, outcome: Outcome, line: &str) {
        match self.found.outcomes.last_mut() {
            Some(place @ None) => *place = Some(outcome),
            _ => self.must(false, line),
        }
    }
}

/// The attacks as a configuration.
fn configuration(arguments: &Arguments, tries: &[Try]) -> Vec<u8> {
    let mut bytes = postcard::to_stdvec(arguments).unwrap_or_default();
    bytes.extend(tries.iter().flat_map(|attempt| postcard::to_stdvec(&attempt.attack).unwrap_or_default()));
    bytes
}

/// Runs an image until its attacks are over.
fn watch(made: &Made) -> Result<Found, Trouble> {
    let qemu = Qemu::find()?;
    let emulator = Emulator::start(qemu.path(), &made.file, &How { counted: Some(INSTRUCTION), ..How::default() })?;
    let mut reader = Reader::default();
    emulator.lines_until(PATIENCE, |line| reader.take(line));
    let mut found = reader.found;
    if !found.done {
        found.wrong.push(format!("it stopped: {}", emulator.complaints().join(" ")));
    }
    if found.slowest > SLOWEST {
        found.wrong.push(format!("an exchange of the witnesses took {} us", found.slowest));
    }
    Ok(found)
}

/// What is wrong with a run of these attacks, a line each.
fn judge(tries: &[Try], found: &Found) -> Vec<String> {
    let outcomes = found.outcomes.iter().copied().chain(std::iter::repeat(None));
    let of_attacks = tries.iter().zip(outcomes).enumerate().filter_map(|(number, (attempt, outcome))| {
        let Try { about, expected, .. } = attempt;
        match outcome {
            Some(outcome) if expected.holds(outcome) => None,
            Some(outcome) => Some(format!("attack {number}, {about}: {outcome:x?} in place of {expected:x?}")),
            None => Some(format!("attack {number}, {about}: nothing came of it")),
        }
    });
    of_attacks.chain(found.wrong.iter().cloned()).collect()
}

fn run(context: &Context<'_>) -> Result<Report, Trouble> {
    let mut report = Report::default();
    let build = |name: &str, bytes: Vec<u8>, control: u64, change: Option<&dyn Fn(String) -> String>| {
        changed_image(context, ("isolation", name), &image(bytes, control), sources(), vec![], change)
    };
    // Where everything lies.
    let first = build("isolation", vec![], 0, None)?;
    let targets = Targets { made: &first };
    let (arguments, tries) = (targets.arguments(), targets.attacks());
    let made = build("isolation", configuration(&arguments, &tries), 0, None)?;
    let found = watch(&made)?;
    let wrong = judge(&tries, &found);
    report.passed += (tries.len() + 1).saturating_sub(wrong.len()) as u64;
    report.failed += wrong.len() as u64;
    report.text = wrong.into_iter().fold(String::new(), |text, line| text + &line + "\n");
    let ended = found.outcomes.iter().filter(|outcome| matches!(outcome, Some(Outcome::Ended { .. }))).count();
    let _ = writeln!(
        report.text,
        "{} attacks, {ended} ended their component; {} exchanges of the witnesses, the slowest took {} us",
        tries.len(),
        found.exact,
        found.slowest
    );

    // The same with an image that is wrong: this suite can fail.
    for weakness in Weakness::ALL {
        let tries: Vec<Try> = targets.attacks().into_iter().filter(|attempt| weakness.concerns(attempt)).collect();
        let change = |text| weakness.weaken(&targets, text);
        let made = build("weakened", configuration(&arguments, &tries), weakness.control(), Some(&change))?;
        let wrong = judge(&tries, &watch(&made)?);
        let named = |line: &String| line.contains(weakness.shows());
        if wrong.iter().any(named) && (weakness == Weakness::MayEndOthers || wrong.iter().all(named)) {
            report.passed += 1;
        } else {
            report.failed += 1;
            let _ = writeln!(report.text, "{weakness:?} was not noticed, or not only that: {wrong:#?}");
        }
    }
    Ok(report)
}

/// What is wrong with an image on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weakness {
    /// The hostile component may read the asker's data.
    ReadsData,
    /// It may write its own code.
    WritesCode,
    /// It may end the asker.
    MayEndOthers,
}

impl Weakness {
    const ALL: [Weakness; 3] = [Weakness::ReadsData, Weakness::WritesCode, Weakness::MayEndOthers];

    /// Attacks that are tried.
    fn concerns(self, attempt: &Try) -> bool {
        match self {
            Weakness::ReadsData => ["read the data of asker", "write the data of asker"].contains(&&*attempt.about),
            // What is written there is what every life begins with, so nothing else comes behind it.
            Weakness::WritesCode => attempt.about == "write its code",
            // End the asker.
            Weakness::MayEndOthers => attempt.attack == Attack::Trap(6, 10),
        }
    }

    /// What is found wrong.
    const fn shows(self) -> &'static str {
        match self {
            Weakness::ReadsData => "attack 0, read the data of asker",
            Weakness::WritesCode => "write its code",
            Weakness::MayEndOthers => "ends asker 1 fault 9",
        }
    }

    const fn control(self) -> u64 {
        match self {
            Weakness::ReadsData | Weakness::WritesCode => 0,
            Weakness::MayEndOthers => ASKER.bit(),
        }
    }

    /// Makes the kernel's tables wrong.
    fn weaken(self, targets: &Targets<'_>, text: String) -> String {
        let (own, asker) = (targets.of(HOSTILE), targets.of(ASKER));
        match self {
            Weakness::ReadsData => {
                let first = format!("Region::of({:#010x},", own.data.start);
                let more = format!("Region::of({:#010x}, 0x1000, Rights::Read),", asker.data.start);
                text.replace(&first, &format!("{more}\n            {first}"))
            }
            Weakness::WritesCode => {
                let length = own.code.end - own.code.start;
                let region = |rights| format!("Region::of({:#010x}, {length:#x}, Rights::{rights})", own.code.start);
                text.replace(&region("Read"), &region("Write"))
            }
            Weakness::MayEndOthers => text,
        }
    }
}
