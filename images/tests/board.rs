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
    let (folder, report) = known_again_if_whole();
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
        "Region::of(0x1fe10000, 0x1000, Rights::Device)",
        "SafeWrite { address: 0xffe10008, width: Width::Half, value: 0x0 }",
        "Group::Bit { priority: 0xffd40008, shift: 24, bit: 3 }",
        "code: 0x700, group: 1",
        "code: 0x760, group: 1",
        "Region::of(0x1fe00000, 0x1000, Rights::Device)",
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

/// What `koboshi check` says of the image of the R2D-PLUS with this changed; `koboshi build` says the same.
fn refused(changes: &[(&str, &str)]) -> String {
    let mut text = include_str!("../r2d.toml").to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let folder = tempfile::tempdir().expect("a directory");
    let image = folder.path().join("changed.toml");
    std::fs::write(&image, text).expect("it can be written");
    let (image, out) = (image.to_str().expect("UTF-8"), folder.path().join("out"));
    let said = ["check", "build"].map(|command| {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a directory");
        let mut koboshi = Command::new(env!("CARGO_BIN_EXE_koboshi"));
        koboshi.args([command, image]).current_dir(workspace).env("COLUMNS", "400");
        if command == "build" {
            koboshi.arg("--out").arg(&out);
        }
        let output = koboshi.output().expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).into_owned()
    });
    assert_eq!(said[0], said[1]);
    assert!(!out.exists(), "nothing was compiled");
    said.into_iter().next().expect("there are two")
}

#[test]
fn an_image_as_it_is_passes_the_check() {
    for image in ["images/r2d.toml", "images/sh2007.toml"] {
        let output = koboshi(&["check", image]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_report_names_the_end_whose_other_side_a_program_has_and_the_boards_own_room() {
    let said = String::from_utf8(koboshi(&["report", "images/r2d.toml"]).stdout).expect("UTF-8");
    for wanted in [
        "application: a program's end of a line, 1 KiB each way, owned by monitor",
        "program: the program's side of `application`, 1 KiB each way, owned by console",
    ] {
        assert!(said.contains(wanted), "{wanted} is not in\n{said}");
    }
}

/// Builds the image of the R2D-PLUS. A second build without a change asks nobody, and a product that is damaged is made anew.
fn known_again_if_whole() -> (PathBuf, serde_json::Value) {
    let (folder, report) = built("r2d");
    let again = || {
        let output = koboshi(&["build", "images/r2d.toml", "--json", "--out", folder.to_str().expect("UTF-8")]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (json, String::from_utf8_lossy(&output.stderr).contains("building "))
    };
    assert_eq!(again(), (report.clone(), false));
    let elf = folder.join("sos.elf");
    let whole = std::fs::read(&elf).expect("it is there");
    std::fs::write(&elf, &whole[1..]).expect("it can be written");
    assert_eq!(again(), (report.clone(), true));
    assert_eq!(std::fs::read(&elf).expect("it is there"), whole);
    assert_eq!(again(), (report.clone(), false));
    (folder, report)
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

/// The devices of a board are no mistake where it is not known which platform is meant.
#[test]
fn an_unknown_platform_is_one_mistake_and_the_known_ones_are_named() {
    use koboshi_composer::{compose, registry::packages};

    let text = include_str!("../r2d.toml").replace("platform = \"r2d\"", "platform = \"r2d-plus\"");
    let problems = compose("r2d.toml", &text, &packages()).err().expect("it is refused").0;
    let said: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(said, ["`platform` of an image cannot be \"r2d-plus\""]);
    assert_eq!(problems[0].remedy, "there is `host`, `r2d`, `sh2007`.");
    // As the host's it has one device that only a board has.
    let text = include_str!("../r2d.toml").replace("platform = \"r2d\"", "platform = \"host\"");
    let problems = compose("r2d.toml", &text, &packages()).err().expect("it is refused").0;
    assert!(problems.iter().any(|problem| problem.message == "`program` is a device that only a board has"));
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

/// The processes that this one has started and that still run.
fn children_of(process: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

#[test]
fn ctrl_c_ends_a_build_with_the_compilers_that_it_has_started() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::Stdio;
    use std::time::Instant;

    let folder = tempfile::tempdir().expect("a directory");
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_koboshi"));
    command.args(["build", "images/r2d.toml", "--out"]).arg(folder.path()).current_dir(workspace);
    let mut build = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut said = BufReader::new(build.stderr.take().expect("it is piped"));
    let mut line = String::new();
    while !line.starts_with("building 1 of 8") {
        line.clear();
        assert!(said.read_line(&mut line).expect("text") > 0, "it ended");
    }
    let until = Instant::now() + Duration::from_secs(60);
    let compilers = loop {
        // Cargo, and what cargo has started.
        let cargo = children_of(build.id());
        let all: Vec<u32> = cargo.iter().flat_map(|cargo| children_of(*cargo)).chain(cargo.clone()).collect();
        if all.len() > cargo.len() {
            break all;
        }
        assert!(Instant::now() < until, "cargo compiles nothing");
        std::thread::sleep(Duration::from_millis(20));
    };
    let kill = Command::new("kill").args(["-INT", &build.id().to_string()]).status().expect("it runs");
    assert!(kill.success());
    let status = build.wait().expect("it ends");
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("text");
    assert_eq!(status.code(), Some(130), "{rest}");
    assert!(rest.contains("stopped by Ctrl-C") && rest.contains("say it again"), "{rest}");
    // A process that has ended and that nobody has waited for has no command line any more.
    let runs = |process: &u32| std::fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|line| !line.is_empty());
    while compilers.iter().any(runs) {
        assert!(Instant::now() < until, "a compiler goes on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn who_asks_a_run_that_is_still_being_built_is_told_so() {
    let folder = tempfile::tempdir().expect("a directory");
    let lock = std::fs::File::create(folder.path().join("pid")).expect("it can be made");
    let ps = || {
        let output = koboshi(&["ps", "--run-dir", folder.path().to_str().expect("UTF-8")]);
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(ps().contains("no image runs"), "{}", ps());
    lock.lock().expect("nobody has it");
    assert!(ps().contains("is not up yet: its image is being built"), "{}", ps());
}
