//! Which tools are there, which are good, and what installs the rest: one list for whoever asks.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::qemu::{GDB, QEMU_PACKAGE, version_of};
use super::rust::{ADD_TARGET, DEBIAN};
use super::{Choice, Gcc, Gdb, Qemu, Rust, TARGET, Trouble, find_program, output, printed, workshop};

/// How it is with a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is there, and does what it should.
    Good,
    /// It is there, and must not be used.
    Bad,
    /// It is not there.
    Missing,
}

/// What would make it good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// These packages of Debian.
    Packages(Vec<String>),
    /// A command that whoever has a Rust of rustup may run.
    Rustup(&'static str),
    /// Something that only a person can do.
    Other(String),
}

impl Remedy {
    /// The line for a shell, or for a person, that does it.
    #[must_use]
    pub fn line(&self) -> String {
        match self {
            Remedy::Packages(packages) => {
                format!("apt-get update && apt-get install --yes --no-install-recommends {}", packages.join(" "))
            }
            Remedy::Rustup(line) => (*line).to_owned(),
            Remedy::Other(text) => text.clone(),
        }
    }
}

/// What is known of one tool.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What it is.
    pub what: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// Can nothing be built or run for SH-4 without it?
    pub needed: bool,
    /// Is it good?
    pub verdict: Verdict,
    /// Where it is.
    pub path: Option<PathBuf>,
    /// Its version.
    pub version: Option<String>,
    /// What else is to be known: why it is not good, or what makes it so.
    pub why: Option<String>,
    /// What would make it good, or better.
    pub remedy: Option<Remedy>,
}

/// A tool that is there and good.
struct Found {
    path: PathBuf,
    version: String,
    why: Option<String>,
}

impl Finding {
    fn new(what: &'static str, purpose: &'static str, needed: bool, found: Result<Found, (Trouble, Remedy)>) -> Self {
        let finding = Finding {
            what,
            purpose,
            needed,
            verdict: Verdict::Good,
            path: None,
            version: None,
            why: None,
            remedy: None,
        };
        match found {
            Ok(Found { path, version, why }) => {
                let version = Some(version).filter(|version| !version.is_empty());
                Finding { path: Some(path), version, why, ..finding }
            }
            Err((trouble, remedy)) => {
                Finding { verdict: Verdict::Missing, why: Some(trouble.what), remedy: Some(remedy), ..finding }
            }
        }
    }

    /// A program that is used as it is, if it is in the search path.
    #[must_use]
    pub fn program(what: &'static str, purpose: &'static str, names: &[&str], package: &str) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut first = None;
        for name in names {
            let Some(found) = find_program(name, &path) else {
                let why = Trouble::new(format!("{name} is not there"), "");
                return Self::new(what, purpose, false, Err((why, Remedy::Packages(vec![package.to_owned()]))));
            };
            first = first.or(Some(found));
        }
        let path = first.unwrap_or_default();
        Self::new(what, purpose, false, Ok(Found { path, version: String::new(), why: None }))
    }

    /// Is it good, or not needed?
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.verdict == Verdict::Good || !self.needed
    }
}

/// Looks at every tool of the way from Rust to SH-4, as it would be used in this directory; `cache` is where a cure for a GCC
/// is built.
#[must_use]
pub fn survey(folder: &Path, cache: &Path) -> Vec<Finding> {
    let choice = Choice::from_environment();
    let gcc = Gcc::choose(&choice, cache);
    vec![rust(folder), binutils(gcc.as_ref().ok()), of_gcc(gcc, &choice, cache), emulator(), debugger()]
}

fn packages(names: &[&str]) -> Remedy {
    Remedy::Packages(names.iter().map(|name| (*name).to_owned()).collect())
}

fn has(program: &str) -> bool {
    find_program(program, &std::env::var_os("PATH").unwrap_or_default()).is_some()
}

fn rust(folder: &Path) -> Finding {
    let better = if has("rustup") { Remedy::Rustup(ADD_TARGET) } else { packages(&DEBIAN) };
    let found = Rust::find_in(folder);
    // Where rustup is, its own compiler should have the target, even if Debian's could do it.
    let remedy = found.as_ref().is_ok_and(|rust| rust.builds_core() && has("rustup")).then(|| better.clone());
    let found = found.map_err(|trouble| (trouble, better)).map(|rust| Found {
        path: rust.path().to_path_buf(),
        version: version_of(rust.version()),
        why: rust.builds_core().then(|| format!("builds core for {TARGET} from its source")),
    });
    let finding = Finding::new("Rust for wasm32v1-none", "makes WebAssembly of Rust", true, found);
    Finding { remedy: finding.remedy.or(remedy), ..finding }
}

fn of_gcc(gcc: Result<Gcc, Trouble>, choice: &Choice, cache: &Path) -> Finding {
    let there = choice.candidates().first().cloned();
    let found = gcc.map_err(|trouble| match choice.lacking() {
        // What cannot even be tested is not made good by a package.
        lacking if lacking.is_empty() || there.is_some() && workshop(cache).is_err() => {
            let remedy = Remedy::Other(trouble.remedy.clone());
            (trouble, remedy)
        }
        lacking => (trouble, Remedy::Packages(lacking)),
    });
    let found = found.map(|gcc| Found {
        path: gcc.path().to_path_buf(),
        version: gcc.version().to_owned(),
        why: gcc.cure().map(|cure| format!("miscompiles by itself; cured by the plugin {}", cure.display())),
    });
    let finding = Finding::new("GCC for SH-4", "makes machine code of C", true, found);
    match there {
        Some(path) if finding.verdict != Verdict::Good => {
            Finding { verdict: Verdict::Bad, path: Some(path), ..finding }
        }
        _ => finding,
    }
}

/// The programs of binutils that are used.
const BINUTILS: [&str; 5] = ["ld", "as", "objcopy", "nm", "objdump"];

fn binutils(gcc: Option<&Gcc>) -> Finding {
    let install = || packages(&["binutils-sh4-linux-gnu"]);
    let found = BINUTILS.iter().rev().try_fold(None, |_, name| {
        let mut command = match gcc {
            Some(gcc) => gcc.binutil(name),
            None => std::process::Command::new(format!("sh4-linux-gnu-{name}")),
        };
        let path = PathBuf::from(command.get_program());
        let path = path.canonicalize().unwrap_or(path);
        let answer = output(command.arg("--version")).map_err(|trouble| (trouble, install()))?;
        Ok(Some(Found { path, version: version_of(&printed(&answer.stdout)), why: None }))
    });
    // The last that was asked is the linker.
    let found = found.map(|found| found.unwrap_or(Found { path: PathBuf::new(), version: String::new(), why: None }));
    Finding::new("binutils for SH-4", "assemble, link, make images", true, found)
}

fn emulator() -> Finding {
    let found = Qemu::find().map_err(|trouble| {
        let remedy = match Qemu::is_named() {
            true => Remedy::Other(trouble.remedy.clone()),
            false => packages(&[QEMU_PACKAGE]),
        };
        (trouble, remedy)
    });
    let found =
        found.map(|qemu| Found { path: qemu.path().to_path_buf(), version: qemu.version().to_owned(), why: None });
    Finding::new("QEMU for SH-4", "is the board, where there is none", true, found)
}

fn debugger() -> Finding {
    let found = Gdb::find().map_err(|trouble| (trouble, packages(&[GDB])));
    let found = found.map(|gdb| Found { path: gdb.path().to_path_buf(), version: gdb.version().to_owned(), why: None });
    Finding::new("gdb-multiarch", "shows Rust on the board, step by step", false, found)
}
