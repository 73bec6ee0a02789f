//! The emulated R2D-PLUS: an image runs on it, and what its kernel shows is read line by line.
//!
//! Rule: no emulator outlives the value that started it, nor the process.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use koboshi_sh4::tools::Trouble;

/// How it is to run.
#[derive(Clone, Debug, Default)]
pub struct How {
    /// Time is the number of instructions, each of 2 to this many nanoseconds: the same run each time. `None`: time is the
    /// wall's.
    pub counted: Option<u32>,
    /// With [`How::counted`]: while nobody has anything to do, time passes as the wall's, and does not jump to the next event.
    pub idles: bool,
    /// What the second serial line, the SCIF's, is joined to, as QEMU's `-serial` says it; `None`: to nothing.
    pub scif: Option<String>,
    /// What the third one, the SM501's, is joined to.
    pub uart: Option<String>,
    /// With the instructions of SH-4A.
    pub sh4a: bool,
    /// A crash resets the machine, which begins again with its memory as it was, instead of ending it.
    pub resets: bool,
    /// Waits for a debugger on this port.
    pub debugger: Option<u16>,
}

/// A machine that runs.
pub struct Emulator {
    child: Child,
    /// Set when it is over.
    over: Arc<AtomicBool>,
    lines: Receiver<String>,
    complaints: Receiver<String>,
}

/// Why there is no further line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoLine {
    /// It took too long.
    Late,
    /// The machine has ended.
    Ended,
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // It may have ended by itself; then both do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Emulator {
    /// Starts it.
    ///
    /// # Errors
    /// There is no such emulator, or it cannot be started.
    pub fn start(qemu: &Path, image: &Path, how: &How) -> Result<Self, Trouble> {
        let mut command = command(qemu, image, how);
        let over = Arc::new(AtomicBool::new(false));
        if how.counted.is_some() && how.idles {
            let path = pulse(Arc::clone(&over)).map_err(|error| {
                Trouble::new(format!("no socket can be made for the emulator: {error}"), "make room in /tmp.")
            })?;
            command.arg("-qmp").arg(format!("unix:{}", path.display()));
        }
        // A terminal's Ctrl-C is for whoever started it, who ends it when all is done.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(|error| {
            over.store(true, Ordering::Relaxed);
            Trouble::new(
                format!("the emulator {} cannot be started: {error}", qemu.display()),
                "koboshi doctor says what installs it.",
            )
        })?;
        let (lines, complaints) = (listen(child.stdout.take()), listen(child.stderr.take()));
        Ok(Emulator { child, over, lines, complaints })
    }

    /// The next line that the kernel shows.
    ///
    /// # Errors
    /// None came until then, or none will come any more.
    pub fn line(&self, until: Instant) -> Result<String, NoLine> {
        self.lines.recv_timeout(until.saturating_duration_since(Instant::now())).map_err(|error| match error {
            RecvTimeoutError::Timeout => NoLine::Late,
            RecvTimeoutError::Disconnected => NoLine::Ended,
        })
    }

    /// What the emulator itself has said so far.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.try_iter().collect()
    }

    /// The process, for whoever watches it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Lines until one for which `last` is true, or until nothing comes any more.
    pub fn lines_until(&self, within: Duration, mut last: impl FnMut(&str) -> bool) -> Vec<String> {
        let until = Instant::now() + within;
        let mut lines = Vec::new();
        while let Ok(line) = self.line(until) {
            let done = last(&line);
            lines.push(line);
            if done {
                break;
            }
        }
        lines
    }
}

/// What starts it, with nothing to read and all that it says in pipes: for whoever needs more of the emulator than [`Emulator`]
/// has. It is not asked anything while it runs, as [`How::idles`] may need.
#[must_use]
pub fn command(qemu: &Path, image: &Path, how: &How) -> Command {
    let mut command = tied(qemu);
    // Without `-nic none` Debian's QEMU wants a file that it does not have. A crash resets the machine, and may do so
    // for ever.
    command.args(["-M", "r2d", "-nic", "none", "-display", "none", "-monitor", "none"]);
    if !how.resets {
        command.arg("-no-reboot");
    }
    // The first serial line is the SCI's, on which the kernel shows what it does.
    let line = |line: &Option<String>| line.clone().unwrap_or_else(|| "null".to_owned());
    command.args(["-serial", "stdio", "-serial", &line(&how.scif), "-serial", &line(&how.uart)]);
    command.arg("-kernel").arg(image);
    if let Some(shift) = how.counted {
        let sleep = if how.idles { "on" } else { "off" };
        command.arg("-icount").arg(format!("shift={shift},sleep={sleep}"));
    }
    if how.sh4a {
        command.args(["-cpu", "sh7785"]);
    }
    if let Some(port) = how.debugger {
        command.args(["-S", "-gdb"]).arg(format!("tcp:127.0.0.1:{port}"));
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The emulator, ended by the system when whoever started it ends, even by force. Where there is no `setpriv`, which Debian always
/// has, only [`Emulator`]'s own end does that.
fn tied(qemu: &Path) -> Command {
    let there = Command::new("setpriv").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        return Command::new(qemu);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(qemu);
    command
}

/// How often the emulator's main loop is made to go around.
const PULSE: Duration = Duration::from_millis(1);

/// Asks the emulator something again and again, in a thread of its own; gives the path on which it is to be asked.
///
/// Where instructions are counted and idle time passes as the wall's, QEMU 7.2 can miss the moment at which its clock is to go
/// on: with nobody to run and nothing to read it then stands still for ever. Each turn of its main loop looks after that.
fn pulse(over: Arc<AtomicBool>) -> std::io::Result<PathBuf> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("pulse");
    let listener = UnixListener::bind(&path)?;
    listener.set_nonblocking(true)?;
    std::thread::spawn(move || {
        // Until it has connected, its name has to be there.
        let _folder = folder;
        let mut stream = None;
        let mut room = [0; 4096];
        while !over.load(Ordering::Relaxed) {
            match &mut stream {
                None => {
                    if let Ok((mut accepted, _)) = listener.accept() {
                        let begun = accepted.write_all(b"{\"execute\":\"qmp_capabilities\"}\n");
                        let _ = begun.and(accepted.set_nonblocking(true));
                        stream = Some(accepted);
                    }
                }
                Some(stream) => {
                    // What it answers does not matter, but must not pile up; who is gone needs no pulse.
                    let _ = stream.write(b"{\"execute\":\"query-status\"}\n");
                    while stream.read(&mut room).is_ok_and(|count| count > 0) {}
                }
            }
            std::thread::sleep(PULSE);
        }
    });
    Ok(path)
}

/// Reads lines in a thread of its own until the other end is closed.
fn listen(source: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut source = BufReader::new(source?);
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            match source.read_until(b'\n', &mut bytes) {
                Ok(0) | Err(_) => return None::<()>,
                Ok(_) => {
                    let line = String::from_utf8_lossy(&bytes);
                    sender.send(line.trim_end().to_owned()).ok()?;
                }
            }
        }
    });
    receiver
}
