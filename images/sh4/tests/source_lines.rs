//! Lines of Rust in a program for SH-4: an address has one, and a debugger stops at one and steps to the next.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use koboshi_sh4::build::{Made, Plan, Start, build};
use koboshi_sh4::link::{Cpu, Optimise};
use koboshi_sh4::place::Places;
use koboshi_sh4::program::{Artifact, Program};
use koboshi_sh4::tools::{Gcc, Qemu, Rust};

const SOURCE: &str = include_str!("../examples/hello/src/lib.rs");

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("source-lines").join(name)
}

/// The example that is called hello.
fn hello(name: &str) -> Made {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sh4");
    let plan = Plan {
        program: Program {
            folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hello"),
            package: None,
            artifact: Artifact::Library,
            features: Vec::new(),
            exports: Vec::new(),
            base: 0x8c90_0000,
            stack: 0x4000,
            target_folder: folder(name).join("target"),
            optimise: Some(Optimise::Speed),
        },
        cpu: Cpu::Sh4,
        optimise: Optimise::Speed,
        code: 0x8c80_0000,
        data: None,
        start: Start::Called { function: "main".to_owned(), stack_top: 0x8cf0_0000 },
        sources: Vec::new(),
        include: Vec::new(),
        folder: folder(name),
        name: "hello".to_owned(),
    };
    let made = Rust::find().and_then(|rust| build(&rust, &Gcc::find(&cache)?, &cache, &plan));
    made.unwrap_or_else(|trouble| panic!("{}\n{}", trouble.what, trouble.remedy))
}

/// The number of the line that has this text.
fn line_of(text: &str) -> u32 {
    1 + u32::try_from(SOURCE.lines().position(|line| line.contains(text)).expect("it is there"))
        .expect("a small number")
}

fn emulator(made: &Made) -> Command {
    let mut qemu = Command::new(Qemu::find().expect("koboshi doctor").path());
    qemu.args([
        "-M", "r2d", "-nic", "none", "-display", "none", "-monitor", "none", "-serial", "null", "-serial", "stdio",
    ]);
    qemu.args(["-no-reboot", "-kernel"]).arg(&made.image).stdin(Stdio::null()).stdout(Stdio::piped());
    qemu
}

#[test]
fn a_rust_program_runs_on_the_bare_board_and_keeps_its_variables_zeros_and_constants() {
    let output = emulator(&hello("bare")).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said, "hello from Rust on SH-4: visit 1, 332833500, 0.333333\n");
}

#[test]
fn an_address_has_its_line_and_function() {
    let made = hello("address");
    let places = Places::read(&made.elf.path).expect("an ELF");
    let text = made.elf.sections.iter().find(|section| section.name == ".text").expect("there is code");
    let found: Vec<_> = (text.address..text.address + text.size).step_by(2).filter_map(|at| places.at(at)).collect();
    let lines = || found.iter().map(|place| &place.line);
    let here = |file: &Option<String>| file.as_ref().is_some_and(|file| file.ends_with("hello/src/lib.rs"));
    let line = Some(line_of("let third ="));
    assert!(lines().any(|found| here(&found.file) && found.line == line), "no instruction comes from line {line:?}");
    assert!(lines().any(|line| line.function.as_deref() == Some("main")), "main is known");
    assert!(lines().any(|line| line.function.as_deref().is_some_and(|name| name.starts_with("core::fmt::"))));
    let of_c: Vec<_> = lines()
        .filter_map(|line| line.file.as_ref())
        .filter(|file| [".c", "<translated>"].iter().any(|end| file.ends_with(end)))
        .collect();
    assert!(of_c.is_empty(), "C that nobody wrote is no place: {of_c:?}");
    // What lies between two functions to align the second is nobody's.
    let nobodys = lines().filter(|line| line.function.is_none() && line.file.is_none()).count();
    assert!(nobodys * 100 < found.len(), "{nobodys} of {} are nobody's", found.len());
    assert_eq!(places.at(0x8c80_0000).expect("the start").line.function.as_deref(), Some("koboshi_start"));
    for nowhere in [0, 0x1000, 0x8c8f_f000] {
        assert!(places.at(nowhere).is_none(), "{nowhere:#x} is not in the program");
    }
    let zero = made.elf.sections.iter().find(|section| section.name == ".wasm.zero").expect("there are zeros");
    assert_eq!(places.at(zero.address).expect("it is in the program").to_string(), "in .wasm.zero: data");
}

#[test]
fn an_inlined_function_is_told_with_where_it_stands() {
    let made = hello("inlined");
    let places = Places::read(&made.elf.path).expect("an ELF");
    let text = made.elf.sections.iter().find(|section| section.name == ".text").expect("there is code");
    let found: Vec<_> = (text.address..text.address + text.size).step_by(2).filter_map(|at| places.at(at)).collect();
    let inlined = found.iter().find(|place| !place.inlined_into.is_empty()).expect("GCC has inlined something");
    let told = inlined.to_string();
    assert!(told.contains("\n  inlined into ") && !told.contains("<translated>"), "{told}");
}

#[test]
fn what_is_no_program_for_sh_4_has_no_places() {
    let trouble = Places::read(&std::env::current_exe().expect("a program")).err().expect("it is of this machine");
    assert!(trouble.what.ends_with("cannot be read as a program: it is not for SuperH."), "{trouble}");
}

#[test]
fn a_debugger_stops_at_a_line_of_rust_and_steps_to_another() {
    let made = hello("debugger");
    let socket = tempfile::tempdir().expect("a directory can be made");
    let socket = socket.path().join("gdb");
    let mut machine = emulator(&made)
        .arg("-S")
        .args([
            "-chardev",
            &format!("socket,path={},server=on,wait=off,id=gdb", socket.display()),
            "-gdb",
            "chardev:gdb",
        ])
        .spawn()
        .expect("it runs");
    let began = Instant::now();
    while !socket.exists() && began.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let line = line_of("let third =");
    let commands = [
        "set architecture sh4".to_owned(),
        format!("target remote {}", socket.display()),
        format!("break lib.rs:{line}"),
        "continue".to_owned(),
        "backtrace".to_owned(),
        "next".to_owned(),
        "frame".to_owned(),
        "kill".to_owned(),
    ];
    let mut gdb = Command::new("gdb-multiarch");
    gdb.args(["-batch", "-nx", "-ex", "set confirm off", "-ex", "set debuginfod enabled off"]);
    gdb.args(commands.iter().flat_map(|command| ["-ex", command])).arg(&made.elf.path).stdin(Stdio::null());
    let output = gdb.output();
    // Whatever came of it, the machine is not to stay.
    let _ = machine.kill();
    let _ = machine.wait();
    let output = output.unwrap_or_else(|error| panic!("gdb-multiarch: {error}; koboshi doctor"));
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(said.contains(&format!("lib.rs:{line}\n{line}\t")), "it stops at line {line}:\n{said}");
    assert!(said.contains("let third = core::hint::black_box(1.0) / 3.0;"), "the source is shown:\n{said}");
    assert!(said.contains("#0  ") && said.contains("main ()"), "it knows who called:\n{said}");
    // Of `#0  main () at FILE:LINE`, as `backtrace` and then `frame` show it.
    let places: Vec<&str> = said.lines().filter(|line| line.starts_with("#0  ")).collect();
    assert!(places.len() == 2 && places[0] != places[1], "one step on it is at another line:\n{said}");
}
