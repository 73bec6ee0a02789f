//! Erlang/OTP, where it is installed: one `erl` that lives as long as the measurement and recovers when it is told to.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const PROGRAM: &str = include_str!("koboshi_peer.erl");

/// An answer that takes longer does not come any more.
const AT_MOST: Duration = Duration::from_secs(30);

const NOT_THERE: &str = "Not measured: there is no `erl` here. Install it with `apt-get install erlang-base`.";

/// A running `erl`.
pub(super) struct Otp {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    directory: PathBuf,
    /// What it says of itself.
    pub(super) version: String,
}

fn prepared() -> std::io::Result<PathBuf> {
    let directory = std::env::temp_dir().join(format!("koboshi-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join("koboshi_peer.erl"), PROGRAM)?;
    Ok(directory)
}

impl Otp {
    /// Compiles the program and starts it.
    ///
    /// # Errors
    /// Why it cannot be measured.
    pub(super) fn start() -> Result<Self, String> {
        let failed = |why: &dyn std::fmt::Display| format!("Not measured: Erlang/OTP did not start ({why}).");
        let directory = prepared().map_err(|error| failed(&error))?;
        let spawned = Command::new("erl")
            .args(["+S", "1:1", "-noshell", "-eval", "{ok, Peer} = compile:file(koboshi_peer), Peer:main()."])
            .current_dir(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => {
                let _ = std::fs::remove_dir_all(&directory);
                let missing = error.kind() == std::io::ErrorKind::NotFound;
                return Err(if missing { NOT_THERE.to_owned() } else { failed(&error) });
            }
        };
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
            let _ = child.kill();
            return Err(failed(&"its pipes are missing"));
        };
        let (sender, lines) = channel();
        // It ends with the pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut otp = Otp { child, stdin, lines, directory, version: String::new() };
        match otp.line().map(|line| line.strip_prefix("ready ").map(str::to_owned)) {
            Some(Some(version)) => otp.version = version,
            _ => return Err(failed(&"its program did not compile or run")),
        }
        Ok(otp)
    }

    fn line(&self) -> Option<String> {
        self.lines.recv_timeout(AT_MOST).ok()
    }

    /// Nanoseconds from crash to answer, the median of `count`.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn falls(&mut self, count: u64) -> Result<f64, String> {
        let asked = writeln!(self.stdin, "go {count}").and_then(|()| self.stdin.flush());
        let line = asked.ok().and_then(|()| self.line());
        let took = line.as_deref().and_then(|line| line.strip_prefix("took ")?.parse::<f64>().ok());
        took.ok_or_else(|| "Not measured: Erlang/OTP gave no answer.".to_owned())
    }
}

impl Drop for Otp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
