//! What `koboshi run` and `koboshi demo` do with an image for a board: build it, and start it on the emulator.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use koboshi_board::Board;
use koboshi_board::emulator::How;
use koboshi_board::running::{Lines, Running};
use koboshi_core::ComponentId;
use koboshi_interfaces::serial::Flow;
use koboshi_sh4::link::Optimise;
use koboshi_sh4::tools::{Qemu, Trouble};

use super::build::{self, make};
use super::needs::prepare;
use super::{MISUSED, WRONG, complain, not_built};
use crate::compose::Composed;
use crate::manifest::{DeviceKind, PlatformKind};
use crate::run::board::{Asked, OnBoard};

/// Nanoseconds of an instruction, as a power of 2: 500 million a second, about as many as an SH-4A's.
///
/// Counted, so that the board's time stands still while the emulator has to wait for this machine: else a component that was
/// not let run would be taken for one that is stuck.
pub(super) const INSTRUCTION: u32 = 1;

/// Where a debugger is waited for, if nobody else has the port.
const DEBUGGER: u16 = 1234;

/// A port on which nobody listens.
fn free_port() -> u16 {
    let bound = [DEBUGGER, 0].into_iter().find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
    bound.and_then(|free| free.local_addr().ok()).map_or(DEBUGGER, |address| address.port())
}

/// What a person wants of a board.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub(super) struct Wishes {
    /// For a board: wait for a debugger before the first instruction
    #[arg(long)]
    gdb: bool,
    /// For a board: with the instructions of SH-4A (QEMU's sh7785)
    #[arg(long)]
    sh4a: bool,
}

impl Wishes {
    /// Says so if something was wished that an image for this machine does not have.
    pub(super) fn refuse_here(self) -> Result<(), i32> {
        if self == Wishes::default() {
            return Ok(());
        }
        let remedy = "take it out, or name an image for a board, such as images/r2d.toml.";
        complain("--gdb and --sh4a are for images for a board.", remedy);
        Err(MISUSED)
    }
}

/// Builds and starts an image for a board; the exit code if that does not work.
pub(super) fn start(image: &Path, composed: &Composed, board: Board, wishes: Wishes) -> Result<OnBoard, i32> {
    let name = image.display();
    if composed.manifest.platform != PlatformKind::R2d {
        complain(
            &format!("{name} is an image for a board that is not emulated here."),
            &format!("koboshi build {name} makes the file that the board boots."),
        );
        return Err(MISUSED);
    }
    let lines = lines(composed).ok_or_else(|| {
        complain(
            &format!("{name} has no line to this machine, by which it could be seen and its serial line used."),
            "add a console with its devices, as in images/r2d.toml.",
        );
        WRONG
    })?;
    let flow = composed.image.devices.iter().filter_map(|device| composed.line_of(device.owner));
    if flow.into_iter().any(|line| line.flow == Flow::RtsCts) {
        complain(
            &format!("a line of {name} has RTS/CTS, which the emulated board has not: its driver would wait for ever."),
            "write `flow = \"none\"` to run it here; the emulator is sent no more than its receiver holds.",
        );
        return Err(MISUSED);
    }
    for missing in prepare(Path::new(".")) {
        eprintln!("{missing}");
    }
    let begin = || -> Result<OnBoard, Trouble> {
        let how = build::How { out: None, optimise: Optimise::Size, knocks: true };
        let made = make(image, how, composed, board)?;
        let qemu = Qemu::find()?;
        let debugger = wishes.gdb.then(free_port);
        if let Some(port) = debugger {
            eprintln!("waiting for a debugger: {}", debugger_line(&made, port));
        }
        let how = How { counted: Some(INSTRUCTION), idles: true, sh4a: wishes.sh4a, debugger, ..How::default() };
        let running: Running<Asked> = Running::start(qemu.path(), &made.file, lines, how)?;
        let folder = made.file.parent().unwrap_or(Path::new(".")).to_path_buf();
        Ok(OnBoard::new(&composed.image, running, folder))
    };
    begin().map_err(|trouble| not_built(&trouble))
}

/// The bit rates of its two lines.
pub(super) fn lines(composed: &Composed) -> Option<Lines> {
    let devices = || composed.image.devices.iter().zip(&composed.manifest.devices);
    let owner = |kind| devices().find(|(_, manifest)| manifest.settings.kind() == kind).map(|(device, _)| device.owner);
    let console = owner(DeviceKind::Program)?;
    let baud = |of: ComponentId| composed.line_of(of).map(|line| line.baud);
    Some(Lines { scif_baud: baud(owner(DeviceKind::Application)?)?, console_baud: baud(console)? })
}

/// What a person types to debug all of it.
fn debugger_line(made: &koboshi_board::Made, port: u16) -> String {
    let mut command = Command::new("gdb-multiarch");
    command.arg(&made.kernel.path).args(["-ex", "set confirm off", "-ex", "set architecture sh4"]);
    for component in &made.components {
        command.args(["-ex", &format!("add-symbol-file {}", component.elf.path.display())]);
    }
    command.args(["-ex", &format!("target remote :{port}")]);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = words.map(|word| {
        let word = word.to_string_lossy();
        if word.contains(' ') { format!("'{word}'") } else { word.into_owned() }
    });
    quoted.collect::<Vec<_>>().join(" ")
}
