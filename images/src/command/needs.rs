//! The tools that Koboshi uses beside Rust itself: which are there, and what installs the rest.
//!
//! One list, for `koboshi doctor`, which shows it, and for `koboshi test`, which installs what it can.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use koboshi_sh4::tools::{Finding, Remedy, Trouble, survey};

use super::stop_wanted;

/// Looks at all of them, as they would be used in this directory.
pub(super) fn look(folder: &Path) -> Vec<Finding> {
    let mut findings = survey(folder, &cache(folder));
    findings.push(Finding::program("lrzsz", "sends a file over a terminal, in a test", &["sz", "rz"], "lrzsz"));
    findings
}

/// Where what is built for SH-4 is kept: in the workspace's target directory; outside of one, in the user's own cache. Never
/// where others may write: a GCC loads a plugin from there.
pub(super) fn cache(folder: &Path) -> PathBuf {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let target = if folder.join("Cargo.toml").is_file() {
        folder.join(named("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
    } else {
        let home = || named("HOME").map(|home| home.join(".cache"));
        named("XDG_CACHE_HOME").or_else(home).unwrap_or_else(|| folder.join("target"))
    };
    target.join("koboshi/sh4")
}

/// Whether programs of this machine may be installed by this process.
fn may_install_packages() -> bool {
    rustix::process::geteuid().is_root() && Command::new("apt-get").arg("--version").output().is_ok()
}

/// Installs what these findings want. What is printed meanwhile goes to the standard error stream, or nowhere if `quiet`.
///
/// # Errors
/// Something cannot be installed: what does it.
pub(super) fn install(findings: &[Finding], folder: &Path, quiet: bool) -> Result<(), Trouble> {
    let remedies: Vec<&Remedy> = findings.iter().filter_map(|finding| finding.remedy.as_ref()).collect();
    let mut packages: Vec<String> = Vec::new();
    for name in
        remedies.iter().flat_map(|remedy| if let Remedy::Packages(names) = remedy { names.as_slice() } else { &[] })
    {
        if !packages.contains(name) {
            packages.push(name.clone());
        }
    }
    let mut lines: Vec<String> = Vec::new();
    let mut trouble = None;
    if !packages.is_empty() {
        let line = Remedy::Packages(packages).line();
        if may_install_packages() {
            lines.push(line);
        } else {
            let why = "packages can be installed only by root, on a system with apt-get.";
            trouble = Some(Trouble::new(why, format!("run as root: {line}")));
        }
    }
    for line in remedies.iter().filter_map(|remedy| if let Remedy::Rustup(line) = remedy { Some(*line) } else { None })
    {
        lines.push(line.to_owned());
    }
    for line in lines {
        eprintln!("installing: {line}");
        let stream = || if quiet { Stdio::null() } else { Stdio::from(std::io::stderr()) };
        let mut shell = Command::new("sh");
        shell.args(["-c", &line]).current_dir(folder).env("DEBIAN_FRONTEND", "noninteractive");
        let ended = shell.stdin(Stdio::null()).stdout(stream()).stderr(stream()).status();
        if !ended.is_ok_and(|status| status.success()) {
            trouble =
                Some(Trouble::new(format!("this did not work: {line}"), "see what it says, and run it yourself."));
        }
    }
    trouble.map_or(Ok(()), Err)
}

/// Installs what is missing and can be installed; a line for each that is missing still. The tests that need it will fail.
pub(super) fn prepare(workspace: &Path) -> Vec<String> {
    let findings = look(workspace);
    // Of a look that was cut short nobody knows what is missing.
    if stop_wanted() || findings.iter().all(|finding| finding.remedy.is_none()) {
        return Vec::new();
    }
    // Its output would stand between the lines of the suites; what counts is whether it is there afterwards.
    let _ = install(&findings, workspace, true);
    let missing = |finding: &Finding| {
        let line = finding.remedy.as_ref()?.line();
        (finding.verdict != koboshi_sh4::tools::Verdict::Good)
            .then(|| format!("missing: {}, which {}. What helps: {line}", finding.what, finding.purpose))
    };
    look(workspace).iter().filter_map(missing).collect()
}
