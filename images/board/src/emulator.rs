//! The emulated R2D-PLUS: an image runs on it, and what its kernel shows is read line by line.
//!
//! Rule: no emulator outlives the value that started it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
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
    /// Waits for a debugger on this port.
    pub debugger: Option<u16>,
}

/// A machine that runs.
pub struct Emulator {
    child: Child,
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
        let mut command = Command::new(qemu);
        // Without `-nic none` Debian's QEMU wants a file that it does not have. A crash resets the machine, and would do so
        // for ever.
        command.args(["-M", "r2d", "-nic", "none", "-display", "none", "-monitor", "none", "-no-reboot"]);
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
        let mut child = command.spawn().map_err(|error| {
            Trouble::new(
                format!("the emulator {} cannot be started: {error}", qemu.display()),
                "koboshi doctor says what installs it.",
            )
        })?;
        let (lines, complaints) = (listen(child.stdout.take()), listen(child.stderr.take()));
        Ok(Emulator { child, lines, complaints })
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
