//! Exactness on the emulated board: the same serial drivers on the board's registers, ended again and again wherever they are.
//!
//! The rule: bytes are numbered and checked at both ends. The emulated SCIF drops what goes beyond its FIFO without a word,
//! whoever is to blame; so no more bytes are ever under way than the FIFO holds, and they are paced as a line is. The emulated
//! 16550A, the SM501's, takes no byte that it has no room for: it may be flooded.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use koboshi_board::emulator::{Emulator, How};
use koboshi_board::{Placed, Request, Source};
use koboshi_core::kernel::Rights;
use koboshi_core::life::Fault;
use koboshi_echo::{Setting, answer, asked};
use koboshi_host::image::Image;
use koboshi_host::linked::Linked;
use koboshi_interfaces::serial::Line;
use koboshi_scif_driver::device::{Board, Chip};
use koboshi_sh4::tools::{Qemu, Trouble};

use super::on_board::{made, reported, request, source};
use crate::suite::{Context, Report};
use crate::system::{self, DRIVER, Drives, MONITOR, Setup};

/// Bytes each way, in full and in a quick run.
const BYTES: [u32; 2] = [40_000, 4_000];

/// How often the driver is ended, in microseconds of the board's time.
const EVERY_US: u32 = 10_000;

/// How often it is knocked over, in all six ways one after the other: one that is knocked over silently is noticed 5 ms
/// later.
const KNOCKED_EVERY_US: u32 = 8_000;

/// Bytes each way meanwhile: enough for all ways, however slow the emulator is.
const KNOCKED_BYTES: u32 = 12_000;

/// What each of the ways ends it with, in their order.
const KNOCKED: [Fault; 6] = [Fault::Panic, Fault::Stuck, Fault::Exit, Fault::BadMessage, Fault::Late, Fault::Panic];

/// A line in the log for so many bytes.
const REPORT_EACH: u32 = 500;

/// Bytes under way at most: fewer than the FIFO's 16.
const WINDOW: u32 = 12;

/// Bytes under way at most, where that is tried.
const FLOOD: u32 = 200;

/// A byte of ten bits at 115,200 baud.
const BYTE_TIME: Duration = Duration::from_nanos(86_806);

/// Without a byte for so long, the line stands still.
const PATIENCE: Duration = Duration::from_secs(20);

/// Nanoseconds of an instruction, as a power of 2.
const INSTRUCTION: u32 = 0;

/// How often the driver of the SM501's UART looks: some five bytes.
const LOOK_EACH_NS: u64 = 400_000;

/// Which of the board's serial interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interface {
    Scif,
    /// The same, by the driver that looks by itself.
    ScifPolled,
    /// The SM501's.
    Ns16550,
}

impl Interface {
    /// How its driver is set, and where it is on the board.
    fn placed(self) -> (Vec<u8>, Placed) {
        let (board, base, interrupts) = match self {
            Interface::Scif | Interface::ScifPolled => {
                let board = Board {
                    chip: Chip::Sh7751r,
                    fifo: 16,
                    clock_hz: 60_000_000,
                    line: Line::default(),
                    // QEMU's.
                    rate_reads_back: false,
                };
                // SCIF of the SH7751R: ERI, RXI, BRI, TXI. The other one is tried as where they are taken.
                let interrupts = if self == Interface::Scif { vec![0x700, 0x720, 0x740, 0x760] } else { Vec::new() };
                (postcard::to_stdvec(&board), 0xFFE8_0000, interrupts)
            }
            Interface::Ns16550 => {
                let board = koboshi_ns16550_driver::device::Board {
                    shift: 2,
                    clock_hz: 1_843_200,
                    line: Line::default(),
                    auto_flow: false,
                    // QEMU joins its interrupt to nothing.
                    look_each_ns: Some(LOOK_EACH_NS),
                };
                (postcard::to_stdvec(&board), 0xB3E3_0000, vec![0x280])
            }
        };
        (board.unwrap_or_default(), Placed { base, interrupts, beside_the_kernel: false })
    }

    fn driver(self) -> Source {
        match self {
            Interface::Scif => source("scif-driver", "koboshi_scif_driver::start"),
            Interface::ScifPolled => source("scif-polled-driver", "koboshi_scif_polled_driver::start"),
            Interface::Ns16550 => source("ns16550-driver", "koboshi_ns16550_driver::start"),
        }
    }
}

/// The system's image with a program that answers in the Monitor's place; and where its devices are on the board.
fn echo_image(interface: Interface, every_us: u32, knocks: bool) -> (Image, Vec<Option<Placed>>) {
    let drives = match interface {
        Interface::Scif => Drives::Scif,
        Interface::ScifPolled => Drives::ScifPolled,
        Interface::Ns16550 => Drives::Ns16550,
    };
    let mut image = system::image(&Setup { drives, ..Setup::default() });
    let (board, placed) = interface.placed();
    image.components[DRIVER.index()].configuration = board;
    let echo = &mut image.components[MONITOR.index()];
    echo.name = "echo".to_owned();
    echo.linked = Linked::new(&koboshi_echo::DESCRIPTION, koboshi_echo::start);
    let setting = Setting { victim: DRIVER.0, every_us, knocks, report_each: REPORT_EACH };
    echo.configuration = postcard::to_stdvec(&setting).unwrap_or_default();
    // Above the driver: it can be ended between any two of its instructions.
    echo.vcpu = 0;
    echo.rights = Rights { control: DRIVER.bit(), blame: true, ..Rights::default() };
    let ports = koboshi_echo::DESCRIPTION.ports.len() as u8;
    image.connections.retain(|connection| {
        [connection.near, connection.far].iter().all(|end| end.component != MONITOR || end.port < ports)
    });
    image.devices.truncate(1);
    (image, vec![Some(placed)])
}

/// What came of one run.
#[derive(Debug, Default)]
struct Found {
    sent: u32,
    back: u32,
    wrong: u32,
    /// How often the driver was ended, and anybody else.
    ends: [u32; 2],
    /// The codes of what ended the driver.
    faults: Vec<u8>,
    /// At how many lines of code the driver has panicked.
    panicked_at: BTreeSet<String>,
    /// The last line that the program wrote.
    said: String,
    longest_pause: Duration,
}

impl Found {
    fn is_exact(&self, bytes: u32) -> bool {
        let said = format!("answered {bytes} bytes; wrong 0, gaps 0, writes that failed 0");
        self.back == bytes && self.wrong == 0 && self.ends[1] == 0 && self.said == said
    }

    /// It fell in every way, one after the other, each time with the fault of that way.
    fn fell_in_every_way(&self) -> bool {
        let wanted = KNOCKED.iter().map(|fault| fault.code()).cycle();
        // What kept state is spoiled with is a panic too, at a line of its own.
        self.faults.len() >= KNOCKED.len()
            && self.faults.iter().zip(wanted).all(|(found, wanted)| *found == wanted)
            && self.panicked_at.len() == 2
    }
}

/// The suite `sh4-serial`.
pub fn serial(context: &Context<'_>) -> Report {
    reported(run(context))
}

fn run(context: &Context<'_>) -> Result<Report, Trouble> {
    let mut report = Report::default();
    let bytes = BYTES[usize::from(context.quick)];
    let mut check = |what: &str, good: bool, found: &Found| {
        if good {
            report.passed += 1;
        } else {
            report.failed += 1;
            let _ = writeln!(report.text, "{what}: not as it must be: {found:?}");
        }
        let _ = writeln!(
            report.text,
            "{what}: {} bytes out, {} back, {} wrong, driver ended {} times, longest pause {:?}",
            found.sent, found.back, found.wrong, found.ends[0], found.longest_pause
        );
    };
    for interface in [Interface::Scif, Interface::ScifPolled, Interface::Ns16550] {
        let calm = carry(context, interface, (0, None), bytes / 4, WINDOW)?;
        check(&format!("{interface:?} left alone"), calm.is_exact(bytes / 4) && calm.ends[0] == 0, &calm);
        let knocked = carry(context, interface, (EVERY_US, None), bytes, WINDOW)?;
        // A byte takes 87 us at least, and a knock comes each 10 ms.
        let good = knocked.is_exact(bytes) && knocked.ends[0] >= bytes / 500;
        check(&format!("{interface:?} ended again and again"), good, &knocked);
    }
    let flooded = carry(context, Interface::Ns16550, (EVERY_US, None), bytes / 2, FLOOD)?;
    let good = flooded.is_exact(bytes / 2) && flooded.ends[0] > 0;
    check("Ns16550 flooded, and ended again and again", good, &flooded);
    let scif = Interface::Scif;
    let fallen = carry(context, scif, (KNOCKED_EVERY_US, Some(true)), bytes.max(KNOCKED_BYTES), WINDOW)?;
    check(
        "knocked over in every way",
        fallen.is_exact(bytes.max(KNOCKED_BYTES)) && fallen.fell_in_every_way(),
        &fallen,
    );
    let deaf = carry(context, scif, (KNOCKED_EVERY_US, Some(false)), bytes / 4, WINDOW)?;
    check("an image without knocks", deaf.is_exact(bytes / 4) && deaf.ends[0] == 0, &deaf);
    // The emulator drops what goes beyond the SCIF's FIFO: this suite sees it if bytes are lost.
    let flooded = carry(context, scif, (0, None), 2_000, FLOOD)?;
    check("Scif flooded (bytes must be missing)", !flooded.is_exact(2_000), &flooded);
    Ok(report)
}

/// How often the driver is ended. Or, with `Some`, knocked over; and whether the image lets it be.
type Ends = (u32, Option<bool>);

fn carry(
    context: &Context<'_>,
    interface: Interface,
    (every_us, knocks): Ends,
    bytes: u32,
    window: u32,
) -> Result<Found, Trouble> {
    let (wanted, devices) = echo_image(interface, every_us, knocks.is_some());
    let sources = vec![
        source("restart-manager", "koboshi_restart_manager::start"),
        source("sos", "koboshi_sos::start"),
        interface.driver(),
        source("echo", "koboshi_echo::start"),
    ];
    // Each with a folder of its own for components that are built otherwise.
    let knocks = knocks == Some(true);
    let folder = match interface {
        Interface::Scif if knocks => "knocks",
        Interface::Scif => "serial",
        Interface::ScifPolled => "serial-polled",
        Interface::Ns16550 => "serial-ns16550",
    };
    let name = format!("serial-{every_us}");
    let request = Request { knocks, ..request((folder, &name), &wanted, sources, devices) };
    let made = made(context, &request)?;
    let unusable =
        |error: std::io::Error| Trouble::new(format!("no socket can be made: {error}"), "make room in /tmp.");
    let folder = tempfile::tempdir().map_err(unusable)?;
    let path = folder.path().join("line");
    let listener = UnixListener::bind(&path).map_err(unusable)?;
    let joined = Some(format!("unix:{}", path.display()));
    let (scif, uart) = if interface == Interface::Ns16550 { (None, joined) } else { (joined, None) };
    let how = How { counted: Some(INSTRUCTION), idles: true, scif, uart, ..How::default() };
    let qemu = Qemu::find()?;
    let emulator = Emulator::start(qemu.path(), &made.file, &how)?;
    let (line, _) = listener.accept().map_err(unusable)?;
    line.set_nonblocking(true).map_err(unusable)?;
    // A byte that comes before the receiver is on may be lost.
    let up = emulator.lines_until(PATIENCE, |line| line.starts_with("koboshi: starts echo"));
    if !up.last().is_some_and(|line| line.starts_with("koboshi: starts echo")) {
        return Err(Trouble::new(format!("the image does not start its program: {up:?}"), "look at its log."));
    }
    std::thread::sleep(Duration::from_millis(300));
    Ok(exchange(context, line, &emulator, bytes, window))
}

fn exchange(context: &Context<'_>, mut line: UnixStream, emulator: &Emulator, bytes: u32, window: u32) -> Found {
    let mut found = Found::default();
    let begun = Instant::now();
    let mut last = begun;
    // Where bytes were lost, nothing more comes: no need to wait for it long.
    let patience = if window > WINDOW { Duration::from_secs(2) } else { PATIENCE };
    while found.back < bytes && last.elapsed() < patience {
        let due = (begun.elapsed().as_nanos() / BYTE_TIME.as_nanos()) as u32;
        let most = bytes.min(due).min(found.back + window);
        let mut waits = true;
        if found.sent < most && line.write_all(&[asked(found.sent)]).is_ok() {
            found.sent += 1;
            waits = false;
        }
        let mut room = [0; 64];
        match line.read(&mut room) {
            Ok(0) => break,
            Ok(count) => {
                for byte in &room[..count] {
                    found.wrong += u32::from(*byte != answer(found.back));
                    found.back += 1;
                }
                found.longest_pause = found.longest_pause.max(last.elapsed());
                last = Instant::now();
                (context.progress)(found.back.into(), bytes.into());
                waits = false;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        if waits {
            std::thread::sleep(BYTE_TIME / 4);
        }
    }
    let until = Instant::now() + Duration::from_millis(500);
    while let Ok(line) = emulator.line(until) {
        if let Some(text) = line.strip_prefix("koboshi: echo says ") {
            found.said = text.to_owned();
        } else if let Some(who) = line.strip_prefix("koboshi: ends ") {
            let fault = who.strip_prefix("scif-driver ").and_then(|end| end.rsplit(" ").next()?.parse::<u8>().ok());
            found.ends[usize::from(fault.is_none())] += 1;
            found.faults.extend(fault);
        } else if let Some(place) = line.strip_prefix("koboshi: scif-driver panics at ") {
            found.panicked_at.insert(place.to_owned());
        }
    }
    found
}
