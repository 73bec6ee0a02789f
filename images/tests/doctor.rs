//! `koboshi doctor`: what it says of tools that are there, broken, or missing.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

/// Runs it with these programs and no others.
fn doctor(programs: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    doctor_in(programs, arguments, &[])
}

/// The same, with this in its environment.
fn doctor_in(programs: &Path, arguments: &[&str], more: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_koboshi"));
    command.arg("doctor").args(arguments).current_dir(programs).env("PATH", programs);
    command.env("XDG_CACHE_HOME", programs.join("cache"));
    for name in ["KOBOSHI_SH4_GCC", "KOBOSHI_SH4_CURE", "KOBOSHI_QEMU_SH4", "RUSTC", "CXX", "CARGO_TARGET_DIR"] {
        command.env_remove(name);
    }
    command.envs(more.iter().copied());
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn program(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn what_is_missing_is_named_with_what_installs_it() {
    let nothing = tempfile::tempdir().unwrap();
    let (code, text, _) = doctor(nothing.path(), &[]);
    assert_eq!(code, Some(1), "{text}");
    for package in
        ["gcc-12-sh4-linux-gnu gcc-12-plugin-dev-sh4-linux-gnu g++", "binutils-sh4-linux-gnu", "qemu-system-misc"]
    {
        let line = format!("  apt-get update && apt-get install --yes --no-install-recommends {package}\n");
        assert!(text.contains(&line), "{package}: {text}");
    }
    assert!(
        text.contains(
            "tools that SH-4 needs are not good. Install what can be installed with: koboshi doctor --install"
        )
    );
    assert!(!text.contains('\u{1b}'), "no colours into a pipe");
}

#[test]
fn a_compiler_that_miscompiles_is_bad_and_not_only_missing() {
    let folder = tempfile::tempdir().unwrap();
    let answers =
        "case \"$1\" in -dumpfullversion) echo 99.1.0 ;; -print-*) echo none ;; *) printf 't:\\n bt .L2\\n' ;; esac";
    program(folder.path(), "sh4-linux-gnu-gcc-99", answers);
    let (code, text, _) = doctor(folder.path(), &["--json"]);
    assert_eq!(code, Some(1), "{text}");
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["ok"], false);
    let tools = answer["tools"].as_array().unwrap();
    let gcc = tools.iter().find(|tool| tool["what"] == "GCC for SH-4").unwrap();
    assert_eq!((&gcc["verdict"], &gcc["needed"]), (&"bad".into(), &true.into()));
    assert!(gcc["why"].as_str().unwrap().contains("it deletes the test of the loaded word"), "{gcc}");
    assert!(gcc["remedy"].as_str().unwrap().ends_with(" gcc-99-plugin-dev-sh4-linux-gnu g++"), "{gcc}");
    let gdb = tools.iter().find(|tool| tool["what"] == "gdb-multiarch").unwrap();
    assert_eq!((&gdb["verdict"], &gdb["needed"]), (&"missing".into(), &false.into()));
}

/// Who is not root is told what root has to run.
#[test]
fn what_is_missing_is_installed_in_one_go() {
    let folder = tempfile::tempdir().unwrap();
    program(folder.path(), "apt-get", "echo \"progress: $*\"; echo \"$*\" >> called");
    symlink("/bin/sh", folder.path().join("sh")).unwrap();
    let (code, text, complaint) = doctor(folder.path(), &["--install", "--json"]);
    assert_eq!(code, Some(1), "nothing was installed: {text}");
    serde_json::from_str::<serde_json::Value>(&text).expect("nothing but JSON");
    let packages = "binutils-sh4-linux-gnu gcc-12-sh4-linux-gnu gcc-12-plugin-dev-sh4-linux-gnu g++ qemu-system-misc gdb-multiarch lrzsz";
    if rustix::process::geteuid().is_root() {
        let called = std::fs::read_to_string(folder.path().join("called")).unwrap();
        let called: Vec<&str> = called.lines().filter(|line| *line != "--version").collect();
        assert_eq!(called.len(), 2, "{called:?}");
        assert_eq!(called[0], "update");
        assert!(
            called[1].starts_with("install --yes --no-install-recommends ") && called[1].ends_with(packages),
            "{called:?}"
        );
        assert!(complaint.contains("progress: update\n"), "{complaint}");
    } else {
        assert!(complaint.contains("packages can be installed only by root"), "{complaint}");
        assert!(complaint.contains(packages), "{complaint}");
    }
}

/// No package makes good what is named wrongly, or cannot be tested.
#[test]
fn what_a_package_does_not_help_with_is_not_to_be_installed() {
    let folder = tempfile::tempdir().unwrap();
    let answers = "case \"$1\" in -dumpfullversion) echo 12.1.0 ;; *) echo none ;; esac";
    program(folder.path(), "sh4-linux-gnu-gcc-12", answers);
    let wrong = [("KOBOSHI_QEMU_SH4", "/nowhere/qemu"), ("XDG_CACHE_HOME", "/dev/null")];
    let (code, text, _) = doctor_in(folder.path(), &["--json"], &wrong);
    assert_eq!(code, Some(1), "{text}");
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    let tool =
        |what: &str| answer["tools"].as_array().unwrap().iter().find(|tool| tool["what"] == what).unwrap().clone();
    assert_eq!(tool("QEMU for SH-4")["remedy"], "correct KOBOSHI_QEMU_SH4, or unset it");
    let gcc = tool("GCC for SH-4");
    assert!(gcc["why"].as_str().unwrap().contains("gcc-12 cannot be tested here: /dev/null/koboshi/sh4"), "{gcc}");
    assert_eq!(gcc["remedy"], "is there room, and may you write there?");
}
