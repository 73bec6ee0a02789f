//! The images of boards: they build, the emulated board boots its own, and the other one's tables are the chip's.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use koboshi_board::emulator::{Emulator, How};
use koboshi_sh4::tools::Qemu;

fn koboshi(arguments: &[&str]) -> Output {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a directory");
    Command::new(env!("CARGO_BIN_EXE_koboshi")).args(arguments).current_dir(workspace).output().expect("it runs")
}

/// Builds an image into a directory that stays, so that the next time is quick; and gives its report.
fn built(name: &str) -> (PathBuf, serde_json::Value) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("board").join(name);
    let image = format!("images/{name}.toml");
    let output = koboshi(&["build", &image, "--json", "--out", folder.to_str().expect("UTF-8")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (folder, serde_json::from_slice(&output.stdout).expect("JSON"))
}

#[test]
fn the_emulated_board_boots_its_image_until_its_program_runs() {
    let (folder, report) = built("r2d");
    let file = folder.join("r2d.bin");
    assert_eq!(report["file_size"].as_u64(), Some(file.metadata().expect("it is there").len()));
    let qemu = Qemu::find().expect("an emulator");
    let emulator = Emulator::start(qemu.path(), &file, &How { counted: Some(0), ..How::default() }).expect("it starts");
    let lines = emulator.lines_until(Duration::from_secs(60), |line| line.starts_with("koboshi: starts program"));
    assert!(lines.iter().any(|line| line == "koboshi: starts program 1"), "{lines:?}");
    for word in ["ends", "fault", "reboot"] {
        assert!(!lines.iter().any(|line| line.starts_with(&format!("koboshi: {word}"))), "{lines:?}");
    }
}

#[test]
fn the_tables_for_the_sh7780_are_its_manuals() {
    let (folder, report) = built("sh2007");
    let tables = std::fs::read_to_string(folder.join("crates/kernel/src/lib.rs")).expect("the tables");
    // INT2PRI2: SCIF1 in bits 20 to 16; INT2MSKR: bit 4. Its codes: B80, BA0, BC0, BE0. The page through area 7.
    for wanted in [
        "controller: Controller::Sh7780",
        "Group { priority: 0xffd40008, shift: 16, mask: 4 }",
        "code: 0xb80, group: 0",
        "code: 0xbe0, group: 0",
        "Region { start: 0x1fe10000, length: 0x1000, rights: Rights::Device }",
        "SafeWrite { address: 0xffe10008, width: Width::Half, value: 0x0 }",
    ] {
        assert!(tables.contains(wanted), "{wanted} is not in\n{tables}");
    }
    let parts = report["components"].as_array().expect("components");
    assert_eq!(parts.len(), 4);
    for part in parts {
        let number = |key: &str| part[key].as_u64().expect("a number");
        assert!(number("stack") >= number("stack_needed"), "{part}");
        assert!(number("own_stack") >= number("own_stack_needed"), "{part}");
    }
}

#[test]
fn an_image_of_a_board_that_is_not_emulated_does_not_run_here_and_this_machines_is_not_built() {
    for (arguments, said) in [
        (["run", "images/sh2007.toml"], "koboshi build images/sh2007.toml"),
        (["build", "images/host.toml"], "koboshi run images/host.toml"),
    ] {
        let output = koboshi(&arguments);
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(said), "{text}");
    }
}
