//! A crate becomes a module whose memory lies where it was said to, with constants and variables on pages of their own.

use std::path::{Path, PathBuf};

use koboshi_sh4::program::{Artifact, Built, PAGE, Program};
use koboshi_sh4::tools::{Rust, Trouble};
use koboshi_sh4::translate::{self, Trust};
use wasmparser::{Parser, Payload};

const BASE: u32 = 0x8c00_0000;

fn build(source: &str, exports: &[&str]) -> Result<Built, Trouble> {
    let folder = tempfile::tempdir().unwrap();
    let manifest = "[workspace]\n[package]\nname = \"tried\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n";
    std::fs::create_dir(folder.path().join("src")).unwrap();
    std::fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    let panic = "#[panic_handler] fn panic(_: &core::panic::PanicInfo) -> ! { loop {} }";
    std::fs::write(
        folder.path().join("src/lib.rs"),
        format!("#![no_std]\n#![allow(dead_code, unused)]\n{panic}\n{source}"),
    )
    .unwrap();
    let program = Program {
        folder: folder.path().to_path_buf(),
        package: None,
        artifact: Artifact::Library,
        features: Vec::new(),
        exports: exports.iter().map(|&symbol| symbol.to_owned()).collect(),
        base: BASE,
        stack: 10_000,
        target_folder: folder.path().join("target"),
        optimise: None,
    };
    program.build(&Rust::find().unwrap())
}

/// Address and size of each segment that is not empty, as it is placed.
fn segments(wasm: &[u8]) -> Vec<(u32, u32)> {
    let options = translate::Options { prefix: String::new(), trust: Trust::Compiler, lines: true };
    let segments = translate::translate(wasm, &options).unwrap().segments;
    let found = segments.iter().map(|segment| (segment.address, u32::try_from(segment.bytes.len()).unwrap()));
    found.filter(|(_, size)| *size > 0).collect()
}

const CONSTANTS: &str = "let mut sum = u32::from(b\"constants of the program\"[i % 24]);";
const VARIABLES: &str = "sum += D.load(Relaxed); D.store(sum, Relaxed);";
const ZEROS: &str = "sum += Z[i % 40].load(Relaxed); Z[i % 40].store(sum, Relaxed);";

fn source(statements: &[&str]) -> String {
    format!(
        "use core::sync::atomic::{{AtomicU32, Ordering::Relaxed}};\n\
         static D: AtomicU32 = AtomicU32::new(5);\nstatic Z: [AtomicU32; 40] = [const {{ AtomicU32::new(0) }}; 40];\n\
         #[unsafe(no_mangle)] pub extern \"C\" fn go(i: usize) -> u32 {{ {} sum }}",
        statements.concat()
    )
}

#[test]
fn constants_and_variables_are_on_pages_of_their_own() {
    for statements in [
        &[CONSTANTS][..],
        &[CONSTANTS, VARIABLES],
        &[CONSTANTS, ZEROS],
        &[CONSTANTS, VARIABLES, ZEROS],
        &["let mut sum = i as u32;", VARIABLES],
        &["let mut sum = i as u32;"],
    ] {
        let Built { wasm, extent, .. } = build(&source(statements), &[]).unwrap();
        assert_eq!(extent.data.start, BASE);
        let segments = segments(&wasm);
        let has = |part: &str| usize::from(statements.contains(&part));
        // Where there are variables, they follow constants.
        let constants = segments.iter().take(has(CONSTANTS));
        let end = constants.map(|(address, size)| address + size).next_back().unwrap_or(BASE);
        let variables = segments.iter().skip(has(CONSTANTS)).map(|(address, _)| *address);
        for address in variables {
            assert!(address >= end.next_multiple_of(PAGE), "{segments:x?}");
            assert_eq!(address % PAGE, 0, "{segments:x?}");
        }
        if statements.contains(&ZEROS) {
            assert!(extent.data.end - 160 >= end.next_multiple_of(PAGE), "{extent:x?} {segments:x?}");
        }
        assert!(extent.data.end <= extent.guard.start && extent.guard.end == extent.stack.start);
        assert_eq!((extent.guard.start % PAGE, extent.guard.end - extent.guard.start), (0, PAGE));
        assert!(extent.stack.end - extent.stack.start >= 10_000, "{extent:x?}");
    }
}

#[test]
fn lines_for_the_debugger_are_in_the_module() {
    let built = build(&source(&[CONSTANTS]), &["memcpy"]).unwrap();
    let custom = |name: &str| {
        Parser::new(0)
            .parse_all(&built.wasm)
            .any(|payload| matches!(payload.unwrap(), Payload::CustomSection(section) if section.name() == name))
    };
    assert!(custom(".debug_line") && custom("name"));
    let exported = Parser::new(0).parse_all(&built.wasm).any(|payload| match payload.unwrap() {
        Payload::ExportSection(section) => section.into_iter().any(|export| export.unwrap().name == "memcpy"),
        _ => false,
    });
    assert!(exported, "what was asked for beside the crate's own");
}

#[test]
fn all_that_cargo_said_is_shown() {
    let trouble = build("pub fn go() -> u32 { unknown }", &[]).unwrap_err();
    assert!(trouble.what.starts_with("cargo cannot build "), "{trouble}");
    assert!(trouble.what.contains("error[E0425]: cannot find value `unknown`"), "{trouble}");
    assert!(trouble.what.contains("src/lib.rs:4:22"), "{trouble}");
}

#[test]
fn a_base_inside_a_page_is_refused() {
    let program = Program {
        folder: Path::new(".").to_path_buf(),
        package: None,
        artifact: Artifact::Library,
        features: Vec::new(),
        exports: Vec::new(),
        base: 0x8c00_0010,
        stack: PAGE,
        target_folder: PathBuf::from("nowhere"),
        optimise: None,
    };
    let trouble = program.build(&Rust::find().unwrap()).unwrap_err();
    assert_eq!(trouble.what, "a module cannot be placed at 0x8c000010: it is not a multiple of 0x1000");
}

#[test]
fn atomic_stores_stay_in_the_order_of_the_program() {
    // What comes second lies at a place that is known, and what comes first has to be read and reckoned first: left to itself, LLVM
    // stores it last, and an interrupt in between sees a count without the byte.
    let source = "use core::sync::atomic::{AtomicU32, Ordering::{Acquire, Release}};\n\
        #[unsafe(no_mangle)] pub extern \"C\" fn push(half: &[AtomicU32; 512], byte: u32) {\n\
            let at = half[1].load(Acquire);\n\
            let (place, shift) = (40 + at as usize % 1024 / 4, 8 * (at % 4));\n\
            half[place].store(half[place].load(Acquire) & !(0xFF << shift) | byte << shift, Release);\n\
            half[1].store(at.wrapping_add(1), Release);\n\
        }";
    let built = build(source, &[]).unwrap();
    assert_eq!(built.warnings, "", "rustc's word about the feature is left out");
    let mut stores = Vec::new();
    for payload in Parser::new(0).parse_all(&built.wasm) {
        let Payload::CodeSectionEntry(body) = payload.unwrap() else { continue };
        for operator in body.get_operators_reader().unwrap() {
            if let wasmparser::Operator::I32AtomicStore { memarg } = operator.unwrap() {
                stores.push(memarg.offset);
            }
        }
    }
    assert_eq!(stores, [160, 4], "the byte, and then the count");
}
