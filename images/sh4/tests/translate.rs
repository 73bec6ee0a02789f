//! What the translator makes does what the WebAssembly standard says of it, and what it does not know it refuses.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use koboshi_sh4::board::{Board, FAULT_MISALIGNED, Run, run};
use koboshi_sh4::link::{self, Cpu, Optimise, Source, compile};
use koboshi_sh4::program::{Artifact, Program};
use koboshi_sh4::tools::{Gcc, Qemu, Rust, Trouble};
use koboshi_sh4::translate::{Options, Translated, Trust, translate};

static GCC: LazyLock<Gcc> = LazyLock::new(|| good(Gcc::find(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("gcc"))));
static BOARD: LazyLock<Board> = LazyLock::new(|| good(Board::new(&GCC, &folder("translate"))));

/// A directory that no other process has: a runner of tests may give each test one of its own, all at the same time.
fn folder(name: &str) -> PathBuf {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("test").replace("::", "-");
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).join(test)
}

/// Fails with what is wrong and what to do about it.
fn good<T>(result: Result<T, Trouble>) -> T {
    result.unwrap_or_else(|trouble| panic!("{}\n{}", trouble.what, trouble.remedy))
}

/// The emulator.
fn qemu() -> PathBuf {
    good(Qemu::find()).path().to_path_buf()
}

fn translated(wasm: &[u8], trust: Trust) -> Result<Translated, Trouble> {
    translate(wasm, &Options { prefix: String::new(), trust, lines: false })
}

fn refused(text: &str) -> Trouble {
    let wasm = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    match translated(&wasm, Trust::Compiler) {
        Err(trouble) => trouble,
        Ok(module) => panic!("it was translated:\n{}", module.source),
    }
}

/// A load or store.
struct Access {
    /// `i64.load8_s`
    operator: &'static str,
    /// Bytes in memory.
    size: u32,
    /// Of a load: is the uppermost bit repeated, and up to which bit?
    signed: Option<u32>,
    store: bool,
}

const fn load(operator: &'static str, size: u32, signed: Option<u32>) -> Access {
    Access { operator, size, signed, store: false }
}

const fn store(operator: &'static str, size: u32) -> Access {
    Access { operator, size, signed: None, store: true }
}

/// All of WebAssembly 1.0.
const ACCESSES: [Access; 23] = [
    load("i32.load", 4, None),
    load("i64.load", 8, None),
    load("f32.load", 4, None),
    load("f64.load", 8, None),
    load("i32.load8_s", 1, Some(32)),
    load("i32.load8_u", 1, None),
    load("i32.load16_s", 2, Some(32)),
    load("i32.load16_u", 2, None),
    load("i64.load8_s", 1, Some(64)),
    load("i64.load8_u", 1, None),
    load("i64.load16_s", 2, Some(64)),
    load("i64.load16_u", 2, None),
    load("i64.load32_s", 4, Some(64)),
    load("i64.load32_u", 4, None),
    store("i32.store", 4),
    store("i64.store", 8),
    store("f32.store", 4),
    store("f64.store", 8),
    store("i32.store8", 1),
    store("i32.store16", 2),
    store("i64.store8", 1),
    store("i64.store16", 2),
    store("i64.store32", 4),
];

/// Offsets of an instruction. With the second, the address alone is not aligned where the whole is.
const OFFSETS: [u32; 2] = [0, 5];
/// The first address that is used, and how many.
const FIRST: u32 = 64;
const ADDRESSES: u32 = 16;
/// What is stored: numbers, and NaNs whose bits have to stay as they are.
const STORED: [u64; 4] = [0x8182_8384_8586_8788, 0x0102_0304_7f80_0001, 0x7ff0_0000_0000_0001, 0xfff8_1234_ffc0_5678];

/// What lies at an address at first. All bytes of a page differ from their neighbours, and half of them are negative.
fn byte(address: u32) -> u8 {
    (address.wrapping_mul(0x9e37_79b1) >> 13) as u8
}

/// An access with a hint and an offset, as a function of the module.
struct Case {
    name: String,
    access: &'static Access,
    hint: u32,
    offset: u32,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for access in &ACCESSES {
        for hint in [1, 2, 4, 8].into_iter().filter(|hint| *hint <= access.size) {
            for offset in OFFSETS {
                let name = format!("{}_{hint}_{offset}", access.operator.replace('.', "_"));
                cases.push(Case { name, access, hint, offset });
            }
        }
    }
    cases
}

/// A module with a function for each case: a load gives its value as 64 bits, a store takes it so.
fn module_of(cases: &[Case]) -> Vec<u8> {
    let mut text = String::from("(module (memory 1)\n");
    for Case { name, access, hint, offset } in cases {
        let (out, into) = match &access.operator[..3] {
            "i32" => ("i64.extend_i32_u", "i32.wrap_i64"),
            "f32" => ("i64.extend_i32_u i32.reinterpret_f32", "f32.reinterpret_i32 i32.wrap_i64"),
            "f64" => ("i64.reinterpret_f64", "f64.reinterpret_i64"),
            _ => ("", ""),
        };
        // From the outermost operator to the innermost.
        let wrapped = |operators: &str, inner: String| {
            operators.split_whitespace().rev().fold(inner, |inner, operator| format!("({operator} {inner})"))
        };
        let instruction = format!("{} offset={offset} align={hint}", access.operator);
        let _ = match access.store {
            true => {
                let value = wrapped(into, "(local.get 1)".to_owned());
                let body = format!("({instruction} (local.get 0) {value})");
                writeln!(text, "(func (export \"{name}\") (param i32 i64) {body})")
            }
            false => {
                let body = wrapped(out, format!("({instruction} (local.get 0))"));
                writeln!(text, "(func (export \"{name}\") (param i32) (result i64) {body})")
            }
        };
    }
    wat::parse_str(text + ")").unwrap()
}

/// Calls each case at every address that is a multiple of its hint, or at every address, and writes what came of it: of a
/// load its value, of a store the memory around.
fn driver(cases: &[Case], honest: bool) -> String {
    let mut text = String::from(
        r#"#include "board.h"
struct access { const char *name; uint64_t (*load)(uint32_t); void (*store)(uint32_t, uint64_t); uint32_t step, offset; };
struct call { const struct access *access; uint32_t address; uint64_t value; };
static void call(void *argument) {
    struct call *call = argument;
    if (call->access->load) call->value = call->access->load(call->address);
    else call->access->store(call->address, call->value);
}
static void fill(void) {
    for (uint32_t at = 0; at < 256; at++) *(volatile uint8_t *)at = at * 0x9e3779b1u >> 13;
}
"#,
    );
    for Case { name, access, .. } in cases {
        let _ = match access.store {
            true => writeln!(text, "void {name}(uint32_t, uint64_t);"),
            false => writeln!(text, "uint64_t {name}(uint32_t);"),
        };
    }
    let stored = STORED.map(|value| format!("{value:#x}ull")).join(", ");
    let _ =
        writeln!(text, "static const uint64_t stored[] = {{ {stored} }};\nstatic const struct access accesses[] = {{");
    for Case { name, access, hint, offset } in cases {
        let functions = if access.store { format!("0, {name}") } else { format!("{name}, 0") };
        let step = if honest { *hint } else { 1 };
        let _ = writeln!(text, "  {{ \"{name}\", {functions}, {step}, {offset} }},");
    }
    let _ = write!(
        text,
        r#"}};
uint32_t board_main(void) {{
    board_select(board_space(1, 1));
    for (uint32_t n = 0; n < sizeof accesses / sizeof *accesses; n++) {{
        const struct access *access = &accesses[n];
        for (uint32_t at = {FIRST}; at < {FIRST} + {ADDRESSES}; at += access->step) {{
            for (uint32_t v = 0; v < (access->load ? 1 : {}); v++) {{
                struct call this = {{ access, at - access->offset, stored[v] }};
                fill();
                uint32_t code = board_try(call, &this);
                board_print("%s %u %u %x ", access->name, at, v, code);
                if (access->load) board_print("%X", this.value);
                else for (uint32_t a = {FIRST} - 8; a < {FIRST} + {ADDRESSES} + 16; a += 4) board_print("%x", *(volatile uint32_t *)a);
                board_print("\n");
            }}
        }}
    }}
    return 0;
}}
"#,
        STORED.len()
    );
    text
}

/// What the standard says that a case gives: the line of the driver.
fn right(case: &Case, address: u32, index: usize) -> String {
    let Case { name, access, .. } = case;
    let mut memory: BTreeMap<u32, u8> = (0..256).map(|at| (at, byte(at))).collect();
    let mut line = format!("{name} {address} {index} 00000000 ");
    if access.store {
        for (at, byte) in STORED[index].to_le_bytes().into_iter().take(access.size as usize).enumerate() {
            memory.insert(address + at as u32, byte);
        }
        for at in (FIRST - 8..FIRST + ADDRESSES + 16).step_by(4) {
            for byte in (at..at + 4).rev() {
                let _ = write!(line, "{:02x}", memory[&byte]);
            }
        }
        return line;
    }
    let mut value = (0..access.size).rev().fold(0_u64, |value, at| value << 8 | u64::from(memory[&(address + at)]));
    if let Some(bits) = access.signed {
        let above = 64 - 8 * access.size;
        value = ((value << above).cast_signed() >> above).cast_unsigned();
        value = if bits == 32 { value & 0xffff_ffff } else { value };
    }
    let _ = write!(line, "{value:016x}");
    line
}

/// Runs all cases, and compares all lines; gives how many.
fn try_all(name: &str, trust: Trust, honest: bool, cpu: Cpu) -> usize {
    let cases = cases();
    let module = good(translated(&module_of(&cases), trust));
    let objects = [
        good(BOARD.compile_for(cpu, &format!("{name}-module.c"), &module.source)).object,
        good(BOARD.compile_for(cpu, &format!("{name}-driver.c"), &driver(&cases, honest))).object,
    ];
    let image = good(BOARD.image(name, &objects));
    let output = good(run(&qemu(), &image.raw, &Run { cpu, ..Run::default() }));
    assert_eq!(output.code, 0);
    let mut lines = output.text.lines();
    let mut count = 0;
    for case in &cases {
        let step = if honest { case.hint } else { 1 };
        for address in (FIRST..FIRST + ADDRESSES).step_by(step as usize) {
            for index in 0..if case.access.store { STORED.len() } else { 1 } {
                assert_eq!(lines.next(), Some(right(case, address, index).as_str()), "after {count} lines");
                count += 1;
            }
        }
    }
    assert_eq!(lines.next(), None);
    count
}

#[test]
fn honest_hints_are_enough_for_every_load_and_store() {
    // 14 loads with 32 hints, 9 stores with 23, two offsets, and the addresses of each.
    assert_eq!(
        try_all("honest", Trust::Compiler, true, Cpu::Sh4),
        try_all("honest-a", Trust::Compiler, true, Cpu::Sh4a)
    );
}

#[test]
fn hints_may_lie_where_nothing_is_trusted() {
    let count = try_all("lying", Trust::Nothing, false, Cpu::Sh4);
    assert_eq!(count, try_all("lying-a", Trust::Nothing, false, Cpu::Sh4a));
    let functions = cases();
    let lines = functions.iter().map(|case| if case.access.store { STORED.len() } else { 1 });
    assert_eq!(count, ADDRESSES as usize * lines.sum::<usize>());
}

#[test]
fn a_lying_hint_traps_where_the_compiler_is_trusted() {
    let cases: Vec<Case> = cases().into_iter().filter(|case| case.hint == case.access.size && case.hint > 1).collect();
    let module = good(translated(&module_of(&cases), Trust::Compiler));
    let objects = [
        good(BOARD.compile("trusted-module.c", &module.source)),
        good(BOARD.compile("trusted-driver.c", &driver(&cases, false))),
    ];
    let output = good(run(&qemu(), &good(BOARD.image("trusted", &objects)).raw, &Run::default()));
    for line in output.text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let case = cases.iter().find(|case| case.name == words[0]).unwrap();
        // An SH-4 moves 64 bits in two halves.
        let aligned = words[1].parse::<u32>().unwrap().is_multiple_of(case.access.size.min(4));
        let expected = if aligned { 0 } else { FAULT_MISALIGNED };
        assert_eq!(words[3], format!("{expected:08x}"), "{line}");
    }
}

/// What the machine does in a function, as the disassembler says it, one instruction a line: `mov.l @r4,r0`.
fn instructions(cpu: Cpu, module: &str, function: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let source = good(translated(&wat::parse_str(module).unwrap(), Trust::Compiler)).source;
    let object = folder.path().join("module.o");
    let options = link::Options::translated(cpu, Optimise::Speed);
    good(compile(&GCC, Source::Text { name: "module.c", text: &source }, &object, &options));
    let output = GCC.binutil("objdump").args(["-d", "--no-show-raw-insn"]).arg(&object).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let body = text.split(&format!("<{function}>:\n")).nth(1).unwrap_or_else(|| panic!("{text}"));
    let lines = body.lines().take_while(|line| !line.is_empty());
    lines.filter_map(|line| Some(line.split_once(":\t")?.1.trim().replace('\t', " "))).collect()
}

/// Those that read or write memory through a register, but for the stack.
fn of_memory(instructions: &[String]) -> Vec<&str> {
    let memory = |line: &&str| line.contains('@') && !line.contains("r15") && !line.starts_with("j");
    // Constants lie behind the code: `mov.l 10 <f+0x10>,r1`, or `@(8,pc)`.
    instructions.iter().map(String::as_str).filter(memory).filter(|line| !line.contains("pc")).collect()
}

#[test]
fn an_address_that_is_read_three_times_is_read_three_times() {
    let module = r#"(module (memory 1) (func (export "thrice") (param i32) (result i32)
        (i32.add (i32.load (local.get 0)) (i32.add (i32.load (local.get 0)) (i32.load (local.get 0))))))"#;
    for cpu in [Cpu::Sh4, Cpu::Sh4a] {
        let code = instructions(cpu, module, "thrice");
        let loads = of_memory(&code);
        assert_eq!(loads.len(), 3, "{code:#?}");
        assert!(loads.iter().all(|line| line.starts_with("mov.l @r4")), "{code:#?}");
    }
    let never = r#"(module (memory 1) (func (export "never") (param i32) (drop (i32.load8_u (local.get 0)))))"#;
    assert_eq!(of_memory(&instructions(Cpu::Sh4, never, "never")).len(), 1, "what is read and not used is read");
}

#[test]
fn stores_and_loads_of_one_address_stay_and_stay_in_order() {
    let module = r#"(module (memory 1) (func (export "ordered") (param i32 i32 i32) (result i32)
        (i32.store (local.get 0) (local.get 1))
        (i32.store (local.get 0) (local.get 2))
        (i32.store8 offset=8 (local.get 0) (local.get 1))
        (i32.load (local.get 0))))"#;
    let code = instructions(Cpu::Sh4, module, "ordered");
    let accesses: Vec<String> =
        of_memory(&code).iter().map(|line| line.split(',').next().unwrap().to_owned()).collect();
    let kinds: Vec<&str> = of_memory(&code)
        .iter()
        .map(|line| match line.split_once(' ').unwrap() {
            ("mov.b", _) => "byte out",
            ("mov.l", operands) if operands.starts_with('@') => "in",
            ("mov.l", operands) if operands.starts_with("r5") => "first out",
            ("mov.l", operands) if operands.starts_with("r6") => "second out",
            _ => "else",
        })
        .collect();
    assert_eq!(kinds, ["first out", "second out", "byte out", "in"], "{accesses:?}\n{code:#?}");
}

#[test]
fn a_read_modify_write_loads_once_stores_once_and_gives_what_was_there() {
    let module = r#"(module (memory 1) (func (export "both") (param i32 i32) (result i32)
        (drop (i32.atomic.rmw8.cmpxchg_u offset=4 (local.get 0) (i32.const 7) (local.get 1)))
        (atomic.fence)
        (i32.atomic.rmw.sub (local.get 0) (local.get 1))))"#;
    let code = instructions(Cpu::Sh4, module, "both");
    let all = of_memory(&code);
    let kinds: Vec<&str> = all.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(kinds, ["mov.b", "mov.b", "mov.l", "mov.l"], "{code:#?}");
    let loads: Vec<bool> = all.iter().map(|line| line.split(' ').nth(1).unwrap().starts_with('@')).collect();
    assert_eq!(loads, [true, false, true, false], "{code:#?}");
}

#[test]
fn a_misaligned_word_is_one_instruction_on_an_sh4a_and_four_on_an_sh4() {
    let module =
        r#"(module (memory 1) (func (export "word") (param i32) (result i32) (i32.load align=1 (local.get 0))))"#;
    let code = instructions(Cpu::Sh4a, module, "word");
    assert!(code.iter().any(|line| line.starts_with("movua.l @r4")), "{code:#?}");
    assert_eq!(of_memory(&code).len(), 1, "{code:#?}");
    let code = instructions(Cpu::Sh4, module, "word");
    assert_eq!(of_memory(&code).iter().filter(|line| line.starts_with("mov.b @")).count(), 4, "{code:#?}");
}

/// Mangled as rustc does it.
const MANGLED: &str = "_ZN6driver4uart4send17h0123456789abcdefE";

#[test]
fn what_is_not_supported_is_named_with_its_function() {
    let cases = [
        ("SIMD", "(drop (v128.load (i32.const 0)))", "V128Load"),
        ("SIMD", "(drop (i32x4.splat (i32.const 0)))", "I32x4Splat"),
        ("reference types", "(drop (ref.null func))", "RefNull"),
        ("tail calls", "(return_call 0)", "ReturnCall"),
        ("", "(memory.init 0 (i32.const 0) (i32.const 0) (i32.const 0))", "segments"),
        ("", "(i32.const 1) (i32.const 2) (return_call 0) (drop) (drop)", "ReturnCall"),
    ];
    for (feature, body, instruction) in cases {
        let trouble = refused(&format!("(module (memory 1) (data \"x\") (func $other) (func ${MANGLED} {body}))"));
        let told = trouble.what.to_lowercase();
        assert!(
            told.contains(&feature.to_lowercase()) && trouble.what.contains(instruction),
            "{instruction}: {trouble}"
        );
        assert!(instruction == "segments" || trouble.what.contains("`driver::uart::send`"), "{trouble}");
        assert!(trouble.remedy.contains("wasm32v1-none"), "{}", trouble.remedy);
    }
}

#[test]
fn a_function_with_several_results_is_refused_and_named() {
    let own =
        refused(&format!("(module (func ${MANGLED} (export \"two\") (result i32 i32) (i32.const 1) (i32.const 2)))"));
    assert!(own.what.contains("several results") && own.what.contains("`driver::uart::send`"), "{own}");
    let imported = refused(&format!(
        "(module (import \"env\" \"two\" (func $two (result i32 i64))) (func ${MANGLED} (call $two) (drop) (drop)))"
    ));
    assert!(imported.what.contains("several results") && imported.what.contains("`driver::uart::send`"), "{imported}");
    let through_table = refused(&format!(
        "(module (type $two (func (result i32 i32))) (import \"env\" \"two\" (func $two (type $two)))
            (table 1 funcref) (elem (i32.const 0) $two)
            (func ${MANGLED} (call_indirect (type $two) (i32.const 0)) (drop) (drop)))"
    ));
    assert!(through_table.what.contains("several results"), "{through_table}");
}

#[test]
fn values_of_strange_types_are_refused() {
    for text in [
        format!("(module (func ${MANGLED} (local v128)))"),
        format!("(module (func ${MANGLED} (param externref)))"),
        "(module (global v128 (v128.const i64x2 0 0)))".to_owned(),
        "(module (memory i64 1))".to_owned(),
        "(module (memory 1) (memory 1))".to_owned(),
        "(module (memory 1 1 shared))".to_owned(),
        "(module (tag))".to_owned(),
    ] {
        let trouble = refused(&text);
        assert!(trouble.what.contains("cannot be translated for SH-4"), "{text}: {trouble}");
    }
}

#[test]
fn a_module_that_is_not_valid_is_refused() {
    let mismatch = refused(&format!("(module (func ${MANGLED} (result i32) (i64.const 1)))"));
    assert!(
        mismatch.what.contains("not valid: type mismatch") && mismatch.what.contains("`driver::uart::send`"),
        "{mismatch}"
    );
    for text in [
        "(module (func (drop (i32.load (i32.const 0)))))",
        "(module (memory 1) (func (drop (i32.load align=8 (i32.const 0)))))",
        "(module (func (local.set 3 (i32.const 0))))",
        "(module (func (br 5)))",
        "(module (global i32 (i32.const 0)) (func (global.set 0 (i32.const 1))))",
        "(module (func $f (export \"a\") (export \"a\")))",
    ] {
        // Some of them are refused by the assembler of the test already.
        let Ok(wasm) = wat::parse_str(text) else { continue };
        let trouble = translated(&wasm, Trust::Compiler).expect_err(text);
        assert!(trouble.what.contains("not valid"), "{text}: {trouble}");
    }
}

#[test]
fn a_broken_file_is_refused_wherever_it_breaks() {
    let whole = module_of(&cases());
    assert!(translated(&whole, Trust::Compiler).is_ok());
    // Not one of them may panic. (Cut off between two sections it may be whole.)
    let refused =
        (0..whole.len()).step_by(7).filter(|end| translated(&whole[..*end], Trust::Compiler).is_err()).count();
    assert!(refused > whole.len() / 7 - 12, "{refused}");
    for at in (8..whole.len()).step_by(5) {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = whole.clone();
            changed[at] ^= flip;
            let _ = translated(&changed, Trust::Compiler);
        }
    }
    let trouble = translated(b"\x7fELF\x01\x01\x01\0", Trust::Compiler).expect_err("no module");
    assert!(trouble.what.contains("module"), "{trouble}");
}

/// A module of Rust, with further lines of its manifest.
fn built(folder: &Path, source: &str, manifest: &str) -> Vec<u8> {
    let crate_folder = folder.join("tried");
    std::fs::create_dir_all(crate_folder.join("src")).unwrap();
    let manifest = format!(
        "[workspace]\n[package]\nname = \"tried\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n{manifest}"
    );
    std::fs::write(crate_folder.join("Cargo.toml"), manifest).unwrap();
    std::fs::write(crate_folder.join("src/lib.rs"), source).unwrap();
    let program = Program {
        folder: crate_folder,
        package: None,
        artifact: Artifact::Library,
        features: Vec::new(),
        exports: Vec::new(),
        base: 0x1_0000,
        stack: 4096,
        target_folder: folder.join("target"),
        optimise: None,
    };
    good(program.build(&good(Rust::find()))).wasm
}

/// What the translator says of the frame of the only function of a module, with this body.
fn frame_of(body: &str) -> Option<u32> {
    let text = format!(
        "(module (memory 1) (global $__stack_pointer (mut i32) (i32.const 65536)) (func $outside)
            (func (export \"f\") (param i32) (result i32) (local i32 i32 i32 i32 i32 i32) {body}))"
    );
    let wasm = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    good(translated(&wasm, Trust::Compiler)).frames.pop().unwrap().shadow
}

#[test]
fn a_frame_on_the_shadow_stack_is_seen_however_it_is_written() {
    const MADE: &str = "global.get 0 i32.const 48 i32.sub local.tee 1 global.set 0";
    const ENDED: &str = "local.get 1 i32.const 48 i32.add global.set 0";
    let (ordinary, early) = (format!("{MADE} call 0 {ENDED} local.get 0"), format!("{ENDED} i32.const 1 return"));
    assert_eq!(frame_of("local.get 0"), Some(0));
    assert_eq!(frame_of(&ordinary), Some(48));
    // Ended on two ways, with a loop before it that uses the other variables again.
    let ways = format!(
        "{MADE} loop local.get 1 i32.const 4 i32.add local.set 2 local.get 2 i32.load br_if 0 end
         block local.get 0 i32.eqz br_if 0 {early} end local.get 0 if local.get 1 local.set 2 else call 0 end
         {ENDED} local.get 0"
    );
    assert_eq!(frame_of(&ways), Some(48));
    // As LLVM writes without optimisation: each value has a variable.
    let set = "global.get 0 local.set 1 i32.const 96 local.set 2 local.get 1 local.get 2 i32.sub local.set 3
        local.get 3 global.set 0 call 0
        i32.const 96 local.set 4 local.get 3 local.get 4 i32.add local.set 5 local.get 5 global.set 0 local.get 0";
    assert_eq!(frame_of(set), Some(96));
    // Aligned, with the old pointer kept.
    let aligned = "global.get 0 local.tee 2 i32.const 128 i32.sub i32.const -64 i32.and local.tee 1 global.set 0 call 0
        local.get 2 global.set 0 local.get 0";
    assert_eq!(frame_of(aligned), Some(128 + 63));
    // What calls nobody does not move the pointer.
    assert_eq!(frame_of("global.get 0 i32.const 32 i32.sub local.tee 1 i32.load offset=8"), Some(32));
}

#[test]
fn a_frame_that_is_not_understood_counts_as_unknown() {
    // As much as the caller says; a place that another way has set; twice as much each time around.
    let by_parameter = "global.get 0 local.get 0 i32.sub global.set 0 i32.const 0";
    let by_two_ways = "global.get 0 local.set 1 local.get 0 if i32.const 0 local.set 1 end
        local.get 1 i32.const 16 i32.sub global.set 0 i32.const 0";
    let by_turns = "global.get 0 local.set 1 loop local.get 1 i32.const 16 i32.sub local.tee 1 global.set 0
        local.get 0 br_if 0 end i32.const 0";
    for body in [by_parameter, by_two_ways, by_turns] {
        assert_eq!(frame_of(body), None, "{body}");
    }
}

#[test]
fn frames_of_rust_are_seen_at_every_level() {
    const SOURCE: &str = "#![no_std]
use core::fmt::Write;
use core::hint::black_box;
struct Sum(u32);
impl Write for Sum {
    fn write_str(&mut self, text: &str) -> core::fmt::Result { self.0 += text.len() as u32; Ok(()) }
}
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! { loop {} }
#[unsafe(no_mangle)]
pub extern \"C\" fn leaf(n: usize) -> usize { let a = black_box([n, n + 1, n + 2, n + 3, n + 4]); a[n % 5] }
#[unsafe(no_mangle)]
pub extern \"C\" fn large(n: usize) -> u8 { let a = black_box([n as u8; 300]); a[n % 300] }
#[unsafe(no_mangle)]
pub extern \"C\" fn written(n: u32) -> u32 { let mut sum = Sum(n); let _ = write!(sum, \"{n:x} {}\", n as f32); sum.0 }
";
    for level in ["0", "1", "3", "'s'"] {
        let folder = tempfile::tempdir().unwrap();
        let wasm = built(folder.path(), SOURCE, &format!("[profile.release]\nopt-level = {level}\n"));
        let module = good(translated(&wasm, Trust::Compiler));
        for frame in &module.frames {
            assert!(frame.shadow.is_some(), "level {level}: {}", frame.symbol);
        }
        let shadow = |name: &str| {
            let found = module.frames.iter().find(|frame| frame.symbol == name);
            found.unwrap_or_else(|| panic!("level {level}: {name} of {:?}", module.frames)).shadow.unwrap()
        };
        assert!(shadow("large") >= 300 && shadow("written") >= 16, "level {level}");
        if level == "3" {
            let body = module.source.split("uint32_t f_leaf(uint32_t l0)\n").nth(1).unwrap();
            let body = body.split("\n}\n").next().unwrap();
            assert!(
                !body.contains("STACK_SET"),
                "the pointer is not moved for what LLVM's red zone has room for: {body}"
            );
            assert!((20..=128).contains(&shadow("leaf")), "but it counts: {}", shadow("leaf"));
        }
    }
}

#[test]
fn traps_of_two_places_stay_two() {
    // Whichever it is, nothing but the trap follows: GCC would make one of them.
    let text = "(module
        (func (export \"divided\") (param i32 i32 i32) (result i32)
            (if (result i32) (local.get 2)
                (then (i32.div_u (local.get 0) (local.get 1))) (else (i32.div_u (local.get 1) (local.get 0)))))
        (func (export \"converted\") (param f32 f32 i32) (result i32)
            (if (result i32) (local.get 2)
                (then (i32.trunc_f32_s (local.get 0))) (else (i32.trunc_f32_s (local.get 1))))))";
    let module = good(translated(&wat::parse_str(text).unwrap(), Trust::Compiler));
    let folder = tempfile::tempdir().unwrap();
    let object = folder.path().join("module.o");
    let options = link::Options::translated(Cpu::Sh4, Optimise::Speed);
    good(compile(&GCC, Source::Text { name: "module.c", text: &module.source }, &object, &options));
    let output = GCC.binutil("objdump").args(["-d", "--no-show-raw-insn"]).arg(&object).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let traps = |function: &str, number: u32| {
        let code = text.split(&format!("<{function}>:\n")).nth(1).unwrap_or_else(|| panic!("{text}"));
        let code = code.split("\n\n").next().unwrap();
        code.lines().filter(|line| line.contains(&format!("trapa\t#{number}"))).count()
    };
    assert_eq!(traps("divided", 0x41), 2, "{text}");
    assert_eq!((traps("converted", 0x42), traps("converted", 0x43)), (2, 2), "{text}");
}

const RUST: &str = "#![no_std]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! { loop {} }
#[inline(never)]
fn inner(p: *mut u32) {
    unsafe { p.write_volatile(7) }
}
#[unsafe(no_mangle)]
pub extern \"C\" fn outer(p: *mut u32, n: u32) -> u32 {
    inner(p);
    n.rotate_left(3)
}
";

#[test]
fn lines_are_those_of_the_rust_source() {
    let folder = tempfile::tempdir().unwrap();
    let wasm = built(folder.path(), RUST, "");
    let with = |lines| good(translate(&wasm, &Options { prefix: String::new(), trust: Trust::Compiler, lines })).source;
    assert!(!with(false).contains("#line"));
    let source = with(true);
    let line_of = |text: &str| RUST.lines().position(|line| line.contains(text)).unwrap() + 1;
    for text in ["p.write_volatile(7)", "inner(p);", "n.rotate_left(3)"] {
        // core's own lines stand where they are inlined; the function's beginning or end is always there.
        let near = [0, 1].map(|more| format!("#line {} \"", line_of(text) + more));
        let file = |line: &&str| line.ends_with("tried/src/lib.rs\"");
        let found = source.lines().filter(file).any(|line| near.iter().any(|near| line.starts_with(near)));
        assert!(found, "{text}: {source}");
    }
    // And so does the debugger see them.
    let object = folder.path().join("module.o");
    let options = link::Options::translated(Cpu::Sh4, Optimise::Speed);
    good(compile(&GCC, Source::Text { name: "module.c", text: &source }, &object, &options));
    let output = GCC.binutil("objdump").args(["-d", "-l", "--no-show-raw-insn"]).arg(&object).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let outer = text.split("<outer>:\n").nth(1).unwrap_or_else(|| panic!("{text}"));
    // Of core's function, that was put in place of the call; and of this function.
    let own = (line_of("fn outer")..=line_of("n.rotate_left(3)") + 1).map(|line| format!("tried/src/lib.rs:{line}\n"));
    assert!(own.into_iter().any(|place| outer.contains(&place)), "{outer}");
}
