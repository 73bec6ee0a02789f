//! The Rust compiler that makes WebAssembly.
//!
//! Either the one at hand has `core` for `wasm32v1-none` already, or Debian's own has its source and builds it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Trouble, find_program, last_change, output, printed};

/// The target: WebAssembly 1.0, without anything of an operating system.
pub const TARGET: &str = "wasm32v1-none";

/// What installs it where rustup is.
pub(super) const ADD_TARGET: &str = "rustup target add wasm32v1-none";

/// What installs Debian's way.
pub(super) const DEBIAN: [&str; 5] = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "lld-22"];

/// A Rust compiler for [`TARGET`].
#[derive(Clone, Debug)]
pub struct Rust {
    cargo: PathBuf,
    rustc: PathBuf,
    version: String,
    core: Core,
}

/// Where `core` for the target comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Core {
    Installed,
    FromSource,
}

impl Rust {
    /// The compiler that `RUSTC` names, or the one in `PATH` as rustup chooses it here, if it has the target; else Debian's.
    ///
    /// # Errors
    /// There is none with the target: both ways to get one.
    pub fn find() -> Result<Self, Trouble> {
        Self::find_in(Path::new("."))
    }

    /// The same, where rustup chooses a compiler as it does in this directory.
    ///
    /// # Errors
    /// As with [`Rust::find`].
    pub fn find_in(folder: &Path) -> Result<Self, Trouble> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let named = std::env::var_os("RUSTC").filter(|name| !name.is_empty()).unwrap_or_else(|| "rustc".into());
        Self::at_hand(&named, &path, folder).or_else(|| Self::debian(Path::new("/usr"))).ok_or_else(|| {
            Trouble::new(
                format!("no Rust compiler here can compile for {TARGET}"),
                format!("either {ADD_TARGET}; or, on Debian, apt-get install {}", DEBIAN.join(" ")),
            )
        })
    }

    /// The compiler of this name, if it has `core` for the target.
    fn at_hand(named: &OsStr, path: &OsStr, folder: &Path) -> Option<Self> {
        let ask = |rustc: &Path, arguments: &[&str]| ask_in(folder, rustc, arguments);
        let named = find_program(named, path)?;
        let sysroot = PathBuf::from(ask(&named, &["--print", "sysroot"])?);
        let libraries = PathBuf::from(ask(&named, &["--print", "target-libdir", "--target", TARGET])?);
        let has_core = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with("libcore-");
        libraries.read_dir().ok()?.filter_map(Result::ok).any(has_core).then_some(())?;
        // What was looked at is what is used, whatever rustup would choose in another directory.
        let own = |name: &str| Some(sysroot.join("bin").join(name)).filter(|path| path.is_file());
        let rustc = own("rustc").unwrap_or(named);
        let cargo = own("cargo").or_else(|| find_program("cargo", path))?;
        let version = ask(&rustc, &["--version"])?;
        Some(Rust { cargo, rustc, version, core: Core::Installed })
    }

    /// Debian's compiler with the source of `core`, below this directory.
    fn debian(usr: &Path) -> Option<Self> {
        let [rustc, cargo] = ["bin/rustc", "bin/cargo"].map(|name| usr.join(name));
        let source = usr.join("lib/rustlib/src/rust/library/core/src/lib.rs");
        let there = rustc.is_file() && cargo.is_file() && source.is_file();
        // Debian packages other releases too; those before 1.84 do not know the target.
        let knows = there && ask(&rustc, &["--print", "target-list"])?.lines().any(|target| target == TARGET);
        let version = knows.then(|| ask(&rustc, &["--version"])).flatten()?;
        Some(Rust { cargo, rustc, version, core: Core::FromSource })
    }

    /// `cargo`, with this subcommand, for the target.
    ///
    /// Flags for the compiler in the environment are those of the host's programs: they are not handed on.
    #[must_use]
    pub fn cargo(&self, subcommand: &str) -> Command {
        let mut command = Command::new(&self.cargo);
        command.env("RUSTC", &self.rustc).env("LC_ALL", "C").args([subcommand, "--target", TARGET]);
        for host in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            command.env_remove(host);
        }
        // Else the target has one thread, and LLVM makes ordinary accesses of atomic ones, whose order it then changes: an
        // interrupt, or whoever shares memory with the program, would see a count move before what it counts.
        // Beside what the workspace's own configuration wants for the target.
        command.args(["--config", &format!("target.{TARGET}.rustflags=['{ATOMICS}']")]);
        if self.core == Core::FromSource {
            command.env("RUSTC_BOOTSTRAP", "1").args(["-Z", "build-std=core"]);
        }
        command
    }

    /// Where the compiler is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.rustc
    }

    /// What it says that it is: `rustc 1.95.0 (...)`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// All by which it differs from another one, with its cargo: what it compiles comes of these.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{self:?} {} {}", last_change(&self.rustc), last_change(&self.cargo))
    }

    /// Is `core` built from its source with each program?
    #[must_use]
    pub fn builds_core(&self) -> bool {
        self.core == Core::FromSource
    }
}

/// The flag that keeps atomic accesses what they are, and what rustc says to it each time, though the feature is as old as the
/// target.
const ATOMICS: &str = "-Ctarget-feature=+atomics";
const UNSTABLE: &str = "warning: unstable feature specified for `-Ctarget-feature`: `atomics`";

/// What cargo said, without what rustc says about [`ATOMICS`].
pub(crate) fn without_known_warnings(said: &str) -> String {
    let mut lines = said.lines().peekable();
    let mut kept = String::new();
    while let Some(line) = lines.next() {
        if line == UNSTABLE {
            while lines.peek().is_some_and(|next| next.trim_start().starts_with(['|', '=']) || next.trim().is_empty()) {
                lines.next();
            }
        } else if !(line.starts_with("warning: `") && line.ends_with(" generated 1 warning")) {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// What a compiler says about itself.
fn ask(rustc: &Path, arguments: &[&str]) -> Option<String> {
    ask_in(Path::new("."), rustc, arguments)
}

fn ask_in(folder: &Path, rustc: &Path, arguments: &[&str]) -> Option<String> {
    let answer = output(Command::new(rustc).args(arguments).current_dir(folder)).ok()?;
    answer.status.success().then(|| printed(&answer.stdout))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn another_version_and_another_file_are_another_compiler() {
        let folder = tempfile::tempdir().expect("a directory");
        let program = |name: &str| {
            let path = folder.path().join(name);
            fs::write(&path, "").expect("it can be written");
            path
        };
        let (cargo, rustc) = (program("cargo"), program("rustc"));
        let rust = Rust { cargo: cargo.clone(), rustc: rustc.clone(), version: "1".to_owned(), core: Core::Installed };
        let before = rust.identity();
        assert_eq!(rust.clone().identity(), before);
        assert_ne!(Rust { version: "2".to_owned(), ..rust.clone() }.identity(), before);
        assert_ne!(Rust { core: Core::FromSource, ..rust.clone() }.identity(), before);
        for path in [cargo, rustc] {
            let before = rust.identity();
            File::open(&path).and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH)).expect("it can be set");
            assert_ne!(rust.identity(), before, "{}", path.display());
        }
    }
}
