//! Runs an image on the emulator and collects what it writes to its console.
//!
//! The rules: an end counts only if the image said so, with a last line of its own, since the emulator's exit status is 0
//! after a crash too; and no emulator outlives the call that started it.

use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::link::Cpu;
use crate::tools::Trouble;

/// The emulator's usual name.
pub const QEMU: &str = "qemu-system-sh4";

/// Counted runs give each instruction 2^10 ns: more than a tick of the board's timer (66.7 ns), so that `board_count` is exact.
pub const INSTRUCTION_SHIFT: u32 = 10;

/// What the image writes last.
const TOKEN: &[u8] = b"\nKOBOSHI-EXIT ";

/// So much of what the emulator itself says is kept, in bytes.
const MOST_COMPLAINTS: usize = 16 << 10;

/// So many of the console's last lines are told where a run failed.
const LAST_LINES: usize = 20;

/// The emulator's name for a processor with the instructions of SH-4A. The rest of the board stays what it is.
const SH4A: &str = "sh7785";

/// How an image is run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The processor: the board's own, or one with the instructions of SH-4A.
    pub cpu: Cpu,
    /// Let time be the number of instructions: the run is the same each time, and `board_count` counts.
    pub counted: bool,
    /// Ends it after this time.
    pub time_limit: Duration,
    /// Ends it after so many bytes on the console.
    pub output_limit: usize,
    /// Wait for a debugger before the first instruction.
    pub debugger: Option<Debugger>,
}

impl Default for Run {
    /// The board's own processor; not counted; a minute; 16 MiB; no debugger.
    fn default() -> Self {
        Run {
            cpu: Cpu::Sh4,
            counted: false,
            time_limit: Duration::from_secs(60),
            output_limit: 16 << 20,
            debugger: None,
        }
    }
}

/// Where a debugger finds the machine: `target remote localhost:PORT`, `target remote PATH`.
#[derive(Clone, Debug)]
pub enum Debugger {
    /// A TCP port of this machine.
    Port(u16),
    /// A Unix socket, which the emulator makes.
    Socket(PathBuf),
}

/// What an image did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// What it wrote to its console, in which bytes that are no UTF-8 are replaced.
    pub text: String,
    /// What it called `board_exit` with, or [`super::EXIT_FAULT`].
    pub code: u32,
}

/// An emulator, which ends with this value.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have ended by itself; then both do nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What came of the console until the end.
enum End {
    Closed,
    TooLate,
    TooMuch,
}

/// All that an image wrote, and how it ended.
#[derive(Clone, Debug)]
pub struct Watched {
    /// What it wrote to its console, in which bytes that are no UTF-8 are replaced.
    pub text: String,
    /// What it called `board_exit` with. Or it did not end by itself within its limits, or ended without saying so.
    pub end: Result<u32, Trouble>,
}

/// Runs a raw image on the emulator: [`QEMU`], or another by name or path.
///
/// # Errors
/// The emulator is missing or refuses to start. The image did not end by itself within its limits, or ended without saying
/// so: with the last that it wrote.
pub fn run(qemu: &Path, image: &Path, how: &Run) -> Result<Output, Trouble> {
    let Watched { text, end } = watch(qemu, image, how)?;
    Ok(Output { text, code: end? })
}

/// The same, for whoever wants to know what an image wrote that did not end well.
///
/// # Errors
/// The emulator is missing.
pub fn watch(qemu: &Path, image: &Path, how: &Run) -> Result<Watched, Trouble> {
    let mut command = command(qemu, image, how);
    let mut machine = Machine(command.spawn().map_err(|error| not_started(qemu, &error))?);
    let console = listen(machine.0.stdout.take(), usize::MAX);
    let complaints = listen(machine.0.stderr.take(), MOST_COMPLAINTS);

    let mut bytes = Vec::new();
    let end = collect(&console, &mut bytes, Instant::now() + how.time_limit, how.output_limit);
    // With the machine gone, the emulator's own words are complete.
    drop(machine);
    let said: Vec<u8> = complaints.iter().flatten().collect();
    let trouble = match end {
        End::Closed => match split_off_token(&bytes) {
            Some(Output { text, code }) => return Ok(Watched { text, end: Ok(code) }),
            None => {
                // It warns of things too, and goes on.
                let (what, remedy) = if bytes.is_empty() && !said.is_empty() {
                    ("was perhaps not even started", "mend what the emulator complains of; if it does not")
                } else {
                    ("ended without saying so: it crashed or was reset", "to see its last exceptions")
                };
                let remedy = format!("{remedy}, run {} -d int", told(&command));
                failed(&format!("{} {what}", image.display()), (&bytes, &said), remedy)
            }
        },
        End::TooLate => failed(
            &format!("{} ran longer than {:?}", image.display(), how.time_limit),
            (&bytes, &said),
            "does it loop? Else give it more time.".to_owned(),
        ),
        End::TooMuch => failed(
            &format!("{} wrote more than {} bytes", image.display(), how.output_limit),
            (&bytes, &said),
            "does it loop? Else allow more.".to_owned(),
        ),
    };
    Ok(Watched { text: String::from_utf8_lossy(&bytes).into_owned(), end: Err(trouble) })
}

fn command(qemu: &Path, image: &Path, how: &Run) -> Command {
    let mut command = Command::new(qemu);
    // Without `-nic none` Debian's QEMU wants a file that it does not have. The second serial line is the SCIF. A crash
    // resets the machine, and would do so forever.
    command.args(["-M", "r2d", "-nic", "none", "-display", "none", "-monitor", "none", "-no-reboot"]);
    command.args(["-serial", "null", "-serial", "stdio"]).arg("-kernel").arg(image);
    if how.cpu == Cpu::Sh4a {
        command.args(["-cpu", SH4A]);
    }
    if how.counted {
        command.arg("-icount").arg(format!("shift={INSTRUCTION_SHIFT},sleep=off"));
    }
    match &how.debugger {
        None => {}
        Some(Debugger::Port(port)) => {
            command.args(["-S", "-gdb"]).arg(format!("tcp:127.0.0.1:{port}"));
        }
        Some(Debugger::Socket(path)) => {
            // A comma in a value is doubled.
            let path = path.to_string_lossy().replace(',', ",,");
            command.args(["-S", "-chardev"]).arg(format!("socket,id=gdb,server=on,wait=off,path={path}"));
            command.args(["-gdb", "chardev:gdb"]);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Reads in a thread of its own until the other end is closed, and passes on this much.
fn listen(source: Option<impl Read + Send + 'static>, most: usize) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut source = source?;
        let mut buffer = [0; 4096];
        let mut passed = 0;
        loop {
            let length = match source.read(&mut buffer) {
                Ok(0) => return None::<()>,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return None,
            };
            if passed < most {
                passed += length;
                sender.send(buffer[..length].to_vec()).ok()?;
            }
        }
    });
    receiver
}

fn collect(console: &Receiver<Vec<u8>>, bytes: &mut Vec<u8>, deadline: Instant, most: usize) -> End {
    loop {
        match console.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(more) => bytes.extend(more),
            Err(RecvTimeoutError::Disconnected) => return End::Closed,
            Err(RecvTimeoutError::Timeout) => return End::TooLate,
        }
        if bytes.len() > most {
            return End::TooMuch;
        }
    }
}

/// What was written before the token, and its code, if the token is the last that was written.
fn split_off_token(bytes: &[u8]) -> Option<Output> {
    let at = bytes.windows(TOKEN.len()).rposition(|window| window == TOKEN)?;
    let digits = bytes[at + TOKEN.len()..].strip_suffix(b"\n")?;
    let code = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(Output { text: String::from_utf8_lossy(&bytes[..at]).into_owned(), code })
}

fn not_started(qemu: &Path, error: &io::Error) -> Trouble {
    let what = format!("the emulator {} cannot be started: {error}", qemu.display());
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "apt-get install qemu-system-misc",
        _ => "is it a program, and may you run it?",
    };
    Trouble::new(what, remedy)
}

fn failed(what: &str, (console, complaints): (&[u8], &[u8]), remedy: String) -> Trouble {
    let mut what = what.to_owned();
    for (who, bytes) in [("its console", console), ("the emulator", complaints)] {
        let text = String::from_utf8_lossy(bytes);
        let lines: Vec<&str> = text.trim_end().lines().collect();
        match lines.len() {
            0 => {}
            some => {
                let _ = write!(what, "; {who} says at last:\n{}", lines[some.saturating_sub(LAST_LINES)..].join("\n"));
            }
        }
    }
    Trouble::new(what, remedy)
}

/// A command as one would type it.
fn told(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::split_off_token;

    #[test]
    fn only_a_last_line_of_its_own_ends_a_run() {
        let end = split_off_token(b"text\n\nKOBOSHI-EXIT 7\n").expect("an end");
        assert_eq!((end.text.as_str(), end.code), ("text\n", 7));
        assert_eq!(split_off_token(b"\nKOBOSHI-EXIT 1\n\nKOBOSHI-EXIT 255\n").map(|end| end.code), Some(255));
        assert!(split_off_token(b"\nKOBOSHI-EXIT 0\nmore").is_none());
        assert!(split_off_token(b"\nKOBOSHI-EXIT 0").is_none(), "cut off");
        assert!(split_off_token(b"KOBOSHI-EXIT 0\n").is_none(), "within a line");
        assert!(split_off_token(b"\nKOBOSHI-EXIT 4294967296\n").is_none());
        assert!(split_off_token(b"").is_none());
    }
}
