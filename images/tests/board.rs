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
    let lines = emulator.lines_until(Duration::from_secs(60), |line| line.starts_with("koboshi: starts driver"));
    for component in ["restart-manager", "uart", "console", "monitor", "sos", "driver"] {
        assert!(lines.contains(&format!("koboshi: starts {component} 1")), "{component}: {lines:?}");
    }
    for word in ["ends", "fault", "reboot"] {
        assert!(!lines.iter().any(|line| line.starts_with(&format!("koboshi: {word}"))), "{lines:?}");
    }
}

#[test]
fn the_tables_for_the_sh7780_are_its_manuals() {
    let (folder, report) = built("sh2007");
    let tables = std::fs::read_to_string(folder.join("crates/kernel/src/lib.rs")).expect("the tables");
    // INT2PRI2: SCIF1 in bits 20 to 16, SCIF0 in 28 to 24; INT2MSKR: bits 4 and 3. SCIF1's codes: B80, BA0, BC0, BE0; SCIF0's: 700 to
    // 760. The pages through area 7.
    for wanted in [
        "controller: Controller::Sh7780",
        "Group::Bit { priority: 0xffd40008, shift: 16, bit: 4 }",
        "gate: 0x0,",
        "Clock::of(8333333)",
        "watchdog: Some(Watchdog::of(0xffcc0000, 128, 8333333))",
        "code: 0xb80, group: 0",
        "code: 0xbe0, group: 0",
        "Region { start: 0x1fe10000, length: 0x1000, rights: Rights::Device }",
        "SafeWrite { address: 0xffe10008, width: Width::Half, value: 0x0 }",
        "Group::Bit { priority: 0xffd40008, shift: 24, bit: 3 }",
        "code: 0x700, group: 1",
        "code: 0x760, group: 1",
        "Region { start: 0x1fe00000, length: 0x1000, rights: Rights::Device }",
        "SafeWrite { address: 0xffe00008, width: Width::Half, value: 0x0 }",
    ] {
        assert!(tables.contains(wanted), "{wanted} is not in\n{tables}");
    }
    let parts = report["components"].as_array().expect("components");
    assert_eq!(parts.len(), 6, "the same components as on the emulated board");
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

/// What `koboshi build` says of the image of the R2D-PLUS with this changed.
fn refused(changes: &[(&str, &str)]) -> String {
    let mut text = include_str!("../r2d.toml").to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let folder = tempfile::tempdir().expect("a directory");
    let image = folder.path().join("changed.toml");
    std::fs::write(&image, text).expect("it can be written");
    let output = koboshi(&["build", image.to_str().expect("UTF-8"), "--out", folder.path().to_str().expect("UTF-8")]);
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_interrupt_that_the_board_cannot_hold_back_is_refused() {
    let said = refused(&[("0x700, 0x720, 0x740, 0x760", "0x700, 0x720, 0x740, 0x770")]);
    assert!(said.contains("interrupt 0x770 of `driver` is none that can be held back on board r2d"), "{said}");
    let said = refused(&[("0x700, 0x720, 0x740, 0x760", "0x700, 0x720, 0x740, 0x400")]);
    assert!(said.contains("interrupt 0x400 of `driver`"), "the kernel's timer: {said}");
}

#[test]
fn a_mask_that_two_components_would_share_is_refused_and_both_are_named() {
    let said = refused(&[("[0x280]", "[0x720]"), ("0x700, 0x720, 0x740, 0x760", "0x700, 0x280, 0x740, 0x760")]);
    assert!(said.contains("interrupts 0x700 of `driver` and 0x720 of `uart` can only be held back together"), "{said}");
}

#[test]
fn a_page_that_two_components_or_one_and_the_kernel_would_share_is_refused() {
    let said = refused(&[("base = 0xB3E30000", "base = 0xFFE80100")]);
    let wanted = "devices `scif` of `driver` and `uart` of `uart` lie in one page, at 0x1fe80000";
    assert!(said.contains(wanted), "{said}");
    for (base, what) in [
        ("0xFF000100", "the MMU"),
        ("0xFFD00080", "INTC"),
        ("0x1FD80800", "the kernel's timer"),
        ("0xFFE00000", "shows what it does"),
        ("0x04000000", "FPGA"),
    ] {
        let said = refused(&[("base = 0xFFE80000", format!("base = {base}").as_str())]);
        assert!(said.contains("device `scif` of `driver`") && said.contains(what), "{base}: {said}");
    }
    let said = refused(&[("base = 0xFFE80000", "base = 0xACF00000")]);
    assert!(said.contains("lies in the board's memory"), "{said}");
}

/// Of the manual of the SH7780: where SCIF1 and the interrupt controller are, and what INTEVT shows.
#[test]
fn the_image_of_the_sh2007_names_the_addresses_of_its_chip() {
    use koboshi_composer::{compose, manifest::DeviceSettings, manifest::Layout, registry::packages};

    let composed = compose("sh2007.toml", include_str!("../sh2007.toml"), &packages()).expect("it is composed");
    let device = composed.manifest.devices.iter().find(|device| device.name.value == "scif1").expect("SCIF1");
    let numbers = device.interrupts.as_ref().expect("interrupts").value.iter().map(|number| number.value);
    assert_eq!(device.base.as_ref().map(|base| base.value), Some(0xFFE1_0000), "SCIF1, the console");
    assert_eq!(numbers.collect::<Vec<u64>>(), [0xB80, 0xBA0, 0xBC0, 0xBE0], "ERI, RXI, BRI, TXI of SCIF1");
    let DeviceSettings::Scif { layout, serial, rate_reads_back } = &device.settings else { panic!("a SCIF") };
    assert_eq!((*layout, serial.fifo.value, serial.clock.value), (Layout::Sh7780, 16, 33_333_333));
    assert!(rate_reads_back, "only the emulator's rate register cannot be read");
    // SCSCR.
    let safe: Vec<(u32, u32)> = device.safe.iter().map(|write| (write.value.offset, write.value.value)).collect();
    assert_eq!(safe, [(0x08, 0)]);
    // Of its SDRAM, 0x08000000 to 0x0FFFFFFF.
    let memory = composed.manifest.memory.as_ref().expect("memory").window();
    assert!(memory.start >= 0x0800_0000 && memory.end <= 0x1000_0000, "{memory:x?}");
    // 33.333 MHz / (32 * 9) is 0.5 % off: N = 8.
    assert_eq!(serial.baud.value, 115_200);
    let made = serial.clock.value / (32 * 9);
    assert!(made.abs_diff(115_200) * 1_000 < 115_200 * 6, "{made}");
}
