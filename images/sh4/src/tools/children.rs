//! The programs that this crate runs, as long as they run.
//!
//! Job: end them, and all that they have started themselves, when a person says stop: compilers have children, which would go on
//! after them. For that each one is the first of a process group of its own, and so a terminal's Ctrl-C does not reach it any more;
//! neither do its Ctrl-Z and Ctrl-\, which nobody passes on: after the latter compilers run to their end.
//!
//! It must never: end anything that this process did not start.

use std::io::{self, Read};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

struct Groups {
    /// Somebody will say stop: until then, programs stay in this process's group.
    held: bool,
    stopped: bool,
    /// The first process of each group that runs. While one is here, nobody has asked how it ended, so its number is its own.
    running: Vec<u32>,
}

static GROUPS: Mutex<Groups> = Mutex::new(Groups { held: false, stopped: false, running: Vec::new() });

fn groups() -> MutexGuard<'static, Groups> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on, whoever is told to stop says so with [`stop`]: programs that begin get process groups of their own.
pub fn hold() {
    groups().held = true;
}

/// Ends all programs that run on behalf of this crate and began after [`hold`], with all that they have started. None begins any more.
/// Who says it once more does not ask any longer: they are killed.
pub fn stop() {
    let mut groups = groups();
    let again = std::mem::replace(&mut groups.stopped, true);
    groups.running.iter().for_each(|first| end(*first, again));
}

/// Whether [`stop`] was called.
#[must_use]
pub fn is_stopped() -> bool {
    groups().stopped
}

/// Runs it to its end; the error is [`io::ErrorKind::Interrupted`] if it was stopped.
pub(super) fn output(command: &mut Command) -> io::Result<Output> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = begin(command)?;
    let complaints = child.stderr.take().map(|stderr| std::thread::spawn(move || all_of(stderr)));
    let stdout = child.stdout.take().map_or(Ok(Vec::new()), all_of);
    let stderr = complaints.and_then(|thread| thread.join().ok()).unwrap_or(Ok(Vec::new()));
    has_ended(&child);
    let stopped = {
        let mut groups = groups();
        groups.running.retain(|first| *first != child.id());
        groups.stopped
    };
    let status = child.wait()?;
    if stopped {
        return Err(io::ErrorKind::Interrupted.into());
    }
    Ok(Output { status, stdout: stdout?, stderr: stderr? })
}

fn begin(command: &mut Command) -> io::Result<Child> {
    // Held until it is noted: a stop comes before it begins, or ends it.
    let mut groups = groups();
    if groups.stopped {
        return Err(io::ErrorKind::Interrupted.into());
    }
    #[cfg(unix)]
    if groups.held {
        std::os::unix::process::CommandExt::process_group(command, 0);
    }
    let child = command.spawn()?;
    if groups.held {
        groups.running.push(child.id());
    }
    Ok(child)
}

fn all_of(mut stream: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The number of a process, as the system's calls want it.
#[cfg(unix)]
fn number(process: u32) -> Option<rustix::process::Pid> {
    rustix::process::Pid::from_raw(i32::try_from(process).ok()?)
}

/// Waits until it has ended, and leaves its number its own.
#[cfg(unix)]
fn has_ended(child: &Child) {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let Some(process) = number(child.id()) else { return };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while matches!(waitid(WaitId::Pid(process), options), Err(rustix::io::Errno::INTR)) {}
}

#[cfg(not(unix))]
fn has_ended(_: &Child) {}

#[cfg(unix)]
fn end(first: u32, at_once: bool) {
    let signal = if at_once { rustix::process::Signal::KILL } else { rustix::process::Signal::TERM };
    // It may have ended by itself.
    let _ = number(first).map(|group| rustix::process::kill_process_group(group, signal));
}

#[cfg(not(unix))]
fn end(_: u32, _: bool) {}
