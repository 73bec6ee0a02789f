//! What the tests need beside Rust itself: installs it where that can be done, and says the one line that does it where not.

use std::path::Path;
use std::process::{Command, Stdio};

/// Something that tests need.
struct Need {
    /// What it is, and what for.
    what: &'static str,
    is_there: fn(&Path) -> bool,
    /// May this process install it?
    may_install: fn() -> bool,
    /// What installs it, for a shell.
    line: &'static str,
}

const NEEDS: [Need; 2] = [
    Need {
        what: "the target wasm32v1-none, for the proof that the core has no panic path",
        is_there: target_is_there,
        may_install: || is_command("rustup"),
        line: "rustup target add wasm32v1-none",
    },
    Need {
        what: "lrzsz, programs that send a file over a terminal",
        is_there: |_| is_command("sz") && is_command("rz"),
        may_install: || rustix::process::geteuid().is_root() && is_command("apt-get"),
        line: "apt-get update && apt-get install --yes --no-install-recommends lrzsz",
    },
];

fn is_command(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

fn target_is_there(workspace: &Path) -> bool {
    let mut rustc = Command::new("rustc");
    let output = rustc.args(["--print", "target-libdir", "--target", "wasm32v1-none"]).current_dir(workspace).output();
    output.is_ok_and(|found| Path::new(String::from_utf8_lossy(&found.stdout).trim()).is_dir())
}

/// Installs what is missing and can be installed; a line for each that is missing still. The tests that need it will fail.
pub(super) fn prepare(workspace: &Path) -> Vec<String> {
    let mut missing = Vec::new();
    for need in NEEDS.iter().filter(|need| !(need.is_there)(workspace)) {
        if (need.may_install)() {
            eprintln!("installing {}: {}", need.what, need.line);
            // Its output would stand between the lines of the suites; what counts is whether it is there afterwards.
            let mut shell = Command::new("sh");
            shell
                .args(["-c", need.line])
                .current_dir(workspace)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let _ = shell.status();
        }
        if !(need.is_there)(workspace) {
            missing.push(format!("missing: {}. Install it with: {}", need.what, need.line));
        }
    }
    missing
}
