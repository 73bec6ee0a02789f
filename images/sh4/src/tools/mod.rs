//! Finds the tools of the way from Rust to SH-4.
//!
//! The rules: a tool is tried before it is trusted, and where one is missing or wrong, the answer names what to install.

mod children;
mod gcc;
mod qemu;
mod rust;
pub(crate) use rust::without_known_warnings;
mod survey;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub use children::{hold, is_stopped, stop};
pub use gcc::{Choice, Gcc};
pub use qemu::{Gdb, Qemu};
pub use rust::{Rust, TARGET};
pub use survey::{Finding, Remedy, Verdict, survey};

/// What went wrong, whose fault it is, and what to do about it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}")]
pub struct Trouble {
    /// What, and where.
    pub what: String,
    /// What would be right.
    pub remedy: String,
}

impl Trouble {
    /// What, and its remedy.
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Trouble { what: what.into(), remedy: remedy.into() }
    }
}

/// A program with this name in the search path, or at this path if it has a slash.
pub(crate) fn find_program(name: impl AsRef<OsStr>, search_path: &OsStr) -> Option<PathBuf> {
    let name = Path::new(name.as_ref());
    if name.components().count() > 1 {
        // It may be run in another directory.
        return std::path::absolute(name).ok().filter(|path| is_program(path));
    }
    std::env::split_paths(search_path).map(|folder| folder.join(name)).find(|path| is_program(path))
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// Runs it to its end, without input and in plain English, since its answer is read by this crate.
pub(crate) fn output(command: &mut Command) -> Result<Output, Trouble> {
    command.env("LC_ALL", "C").stdin(Stdio::null());
    children::output(command).map_err(|error| {
        if error.kind() == std::io::ErrorKind::Interrupted {
            return stopped();
        }
        let program = Path::new(command.get_program()).display();
        Trouble::new(format!("{program} cannot be run: {error}"), "is it a program, and may you run it?")
    })
}

/// Somebody has said [`stop`], which is no fault of anybody.
#[must_use]
pub fn stopped() -> Trouble {
    Trouble::new("it was stopped.", "say it again: what was made so far is kept.")
}

/// What it printed, without the last line break.
pub(crate) fn printed(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

/// Writes a file, or says which could not be written.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<(), Trouble> {
    std::fs::write(path, bytes).map_err(|error| unwritable(path, &error))
}

/// A file or directory could not be written.
#[must_use]
pub fn unwritable(path: &Path, error: &std::io::Error) -> Trouble {
    Trouble::new(format!("{} cannot be written: {error}", path.display()), "is there room, and may you write there?")
}

/// Reads a file.
///
/// # Errors
/// It could not be read: which, and why.
pub fn read(path: &Path) -> Result<Vec<u8>, Trouble> {
    std::fs::read(path).map_err(|error| {
        Trouble::new(format!("{} cannot be read: {error}", path.display()), "is it there, and may you read it?")
    })
}

/// Makes a directory and a temporary one in it, so that what is made there can be moved into place at once.
pub(crate) fn workshop(cache: &Path) -> Result<tempfile::TempDir, Trouble> {
    std::fs::create_dir_all(cache).map_err(|error| unwritable(cache, &error))?;
    tempfile::tempdir_in(cache).map_err(|error| unwritable(cache, &error))
}

/// When a file was made, as a text.
pub(crate) fn last_change(path: &Path) -> String {
    path.metadata().and_then(|found| found.modified()).map_or(String::new(), |date| format!("{date:?}"))
}

/// A number for a content, to know it again and to name files of a cache (FNV-1a, 64 bits).
pub fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
    parts.into_iter().fold(OFFSET_BASIS, |hash, part| {
        // The length keeps "ab", "c" apart from "a", "bc".
        part.iter().fold(part.len().to_le_bytes().iter().fold(hash, step), step)
    })
}
