//! The emulator of the board, and the debugger that can be joined to it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Trouble, find_program, output, printed};

/// Names another emulator.
const WHICH: &str = "KOBOSHI_QEMU_SH4";

/// The package of Debian that has the emulator.
pub(super) const QEMU_PACKAGE: &str = "qemu-system-misc";

/// The package of Debian that has the debugger, and the debugger's name.
pub(super) const GDB: &str = "gdb-multiarch";

/// An emulator that has the board R2D-PLUS.
#[derive(Clone, Debug)]
pub struct Qemu {
    path: PathBuf,
    version: String,
}

impl Qemu {
    /// The emulator that `KOBOSHI_QEMU_SH4` names, or `qemu-system-sh4` in `PATH`.
    ///
    /// # Errors
    /// There is none, or it has not the board.
    pub fn find() -> Result<Self, Trouble> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let named = std::env::var_os(WHICH).filter(|name| !name.is_empty());
        let remedy = match &named {
            Some(_) => format!("correct {WHICH}, or unset it"),
            None => format!("apt-get install {QEMU_PACKAGE}; or name the program with {WHICH}"),
        };
        let name = named.unwrap_or_else(|| crate::board::QEMU.into());
        let Some(path) = find_program(&name, &path) else {
            return Err(Trouble::new(format!("the emulator {} is not there", name.display()), remedy));
        };
        let machines = ask(&path, &["-M", "help"])?;
        if !machines.lines().any(|line| line.split_whitespace().next() == Some("r2d")) {
            return Err(Trouble::new(format!("{} does not have the machine r2d", path.display()), remedy));
        }
        let version = version_of(&ask(&path, &["--version"])?);
        Ok(Qemu { path, version })
    }

    /// Does the environment name one? Then no other is looked for, and none is to be installed.
    pub(super) fn is_named() -> bool {
        std::env::var_os(WHICH).is_some_and(|name| !name.is_empty())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its version, as 7.2.22.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// A debugger that knows SH-4.
#[derive(Clone, Debug)]
pub struct Gdb {
    path: PathBuf,
    version: String,
}

impl Gdb {
    /// `gdb-multiarch` in `PATH`.
    ///
    /// # Errors
    /// It is not there, or does not know SH-4.
    pub fn find() -> Result<Self, Trouble> {
        let install = format!("apt-get install {GDB}");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let Some(path) = find_program(GDB, &path) else {
            return Err(Trouble::new(format!("the debugger {GDB} is not there"), install));
        };
        let knows = output(Command::new(&path).args(["-nx", "-batch", "-ex", "set architecture sh4"]))?;
        if printed(&knows.stderr).contains("Undefined item") {
            return Err(Trouble::new(format!("{} does not know SH-4", path.display()), install));
        }
        let version = version_of(&ask(&path, &["-nx", "--version"])?);
        Ok(Gdb { path, version })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its version, as 13.1.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}

fn ask(program: &Path, arguments: &[&str]) -> Result<String, Trouble> {
    let answer = output(Command::new(program).args(arguments))?;
    if answer.status.success() {
        return Ok(printed(&answer.stdout));
    }
    Err(Trouble::new(
        format!("{} does not answer {}:\n{}", program.display(), arguments.join(" "), printed(&answer.stderr)),
        "is it whole?",
    ))
}

/// The first word of the first line that is a version.
pub(super) fn version_of(text: &str) -> String {
    let is_version =
        |word: &&str| word.contains('.') && word.chars().all(|letter| letter == '.' || letter.is_ascii_digit());
    text.lines().next().and_then(|line| line.split_whitespace().find(is_version)).unwrap_or("").to_owned()
}

#[cfg(test)]
mod tests {
    use super::version_of;

    #[test]
    fn a_version_is_found_in_what_a_program_says() {
        assert_eq!(version_of("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\nCopyright"), "7.2.22");
        assert_eq!(version_of("GNU gdb (Debian 13.1-3) 13.1\n"), "13.1");
        assert_eq!(version_of("GNU ld (GNU Binutils for Debian) 2.40"), "2.40");
        assert_eq!(version_of("rustc 1.95.0 (59807616e 2026-04-14)"), "1.95.0");
        assert_eq!(version_of("nothing"), "");
    }
}
