//! A crate to a module, with data at real addresses; and the helpers that every program needs.
//!
//! The rules: constants and variables never share a page; the module's own stack has a page below it that nobody uses, so
//! that an overflow can trap.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use wasmparser::{ExternalKind, Operator, Parser, Payload};

use crate::link::{self, Cpu, Optimise, Source, compile};
use crate::tools::{Gcc, Rust, Trouble, fingerprint, output, printed, read, unwritable, workshop, write};
use crate::translate::{self, Trust, translate};

/// Bytes of a page of the MMU.
pub const PAGE: u32 = 4096;

/// What of a package is built.
#[derive(Clone, Debug)]
pub enum Artifact {
    /// Its library, as a module of its own (`cdylib`).
    Library,
    /// The program of this name.
    Binary(String),
    /// The example of this name, which is a library.
    Example(String),
}

/// A crate that becomes a module.
#[derive(Clone, Debug)]
pub struct Program {
    /// The directory with its `Cargo.toml`.
    pub folder: PathBuf,
    /// Which package of a workspace.
    pub package: Option<String>,
    /// What of it.
    pub artifact: Artifact,
    /// Features to switch on.
    pub features: Vec<String>,
    /// Symbols to export beside those that the crate exports itself.
    pub exports: Vec<String>,
    /// The address of the first byte of its constants. A multiple of [`PAGE`].
    pub base: u32,
    /// The least that its own stack has, in bytes. (GCC's stack is another one.)
    pub stack: u32,
    /// Where cargo builds.
    pub target_folder: PathBuf,
    /// What it is to be; none: what its profile says.
    pub optimise: Option<Optimise>,
}

/// A module that was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The module.
    pub wasm: Vec<u8>,
    /// Where its memory is.
    pub extent: Extent,
}

/// Where the memory of a module is, as addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Constants and variables: those that are not in a segment are zero.
    pub data: Range<u32>,
    /// A page that must not be mapped. What runs over the stack hits it.
    pub guard: Range<u32>,
    /// The module's own stack. It grows downwards.
    pub stack: Range<u32>,
}

impl Program {
    /// Builds it.
    ///
    /// # Errors
    /// Cargo could not build it: all that it said. The module is not as the linker was asked to make it.
    pub fn build(&self, rust: &Rust) -> Result<Built, Trouble> {
        if !self.base.is_multiple_of(PAGE) {
            return Err(Trouble::new(
                format!("a module cannot be placed at {:#010x}", self.base),
                format!("an address of a page, a multiple of {PAGE}."),
            ));
        }
        let page = self.target_folder.join("koboshi-page.o");
        std::fs::create_dir_all(&self.target_folder).map_err(|error| unwritable(&self.target_folder, &error))?;
        write(&page, page_object())?;
        let mut cargo = rust.cargo("rustc");
        cargo.current_dir(&self.folder).arg("--target-dir").arg(absolute(&self.target_folder)?);
        cargo.args(["--release", "--message-format=json-render-diagnostics", "--color=never"]);
        // Lines for the debugger and the incident reports, whatever the workspace's profile says.
        cargo.args(["--config", "profile.release.debug='line-tables-only'", "--config", "profile.release.strip=false"]);
        if let Some(optimise) = self.optimise {
            cargo.args(["--config", &format!("profile.release.opt-level={}", optimise.level())]);
        }
        if let Some(package) = &self.package {
            cargo.args(["--package", package]);
        }
        match &self.artifact {
            Artifact::Library => cargo.args(["--lib", "--crate-type", "cdylib"]),
            Artifact::Binary(name) => cargo.args(["--bin", name]),
            Artifact::Example(name) => cargo.args(["--example", name, "--crate-type", "cdylib"]),
        };
        if !self.features.is_empty() {
            cargo.args(["--features", &self.features.join(",")]);
        }
        cargo.arg("--");
        let stack = self.stack.next_multiple_of(PAGE) + 2 * PAGE;
        let mut linker = vec![
            format!("--global-base={}", self.base),
            // Addresses are real: what is first lies at the base, not at zero.
            "--no-stack-first".to_owned(),
            format!("-zstack-size={stack}"),
            absolute(&page)?.display().to_string(),
        ];
        linker.extend([DATA_END, STACK_LOW, STACK_HIGH].map(|symbol| format!("--export={symbol}")));
        linker.extend(self.exports.iter().map(|symbol| format!("--export={symbol}")));
        cargo.args(linker.iter().map(|argument| format!("-Clink-arg={argument}")));
        let built = output(&mut cargo)?;
        if !built.status.success() {
            return Err(Trouble::new(
                format!("cargo cannot build {} for SH-4:\n{}", self.name(), printed(&built.stderr)),
                "correct what it names. It has to be a no_std crate.",
            ));
        }
        let wasm = read(&self.module_of(&printed(&built.stdout))?)?;
        let extent = extent(&wasm, self.base)?;
        Ok(Built { wasm, extent })
    }

    fn name(&self) -> String {
        let package = self.package.clone().unwrap_or_else(|| self.folder.display().to_string());
        match &self.artifact {
            Artifact::Library => package,
            Artifact::Binary(name) | Artifact::Example(name) => format!("{name} of {package}"),
        }
    }

    /// The file that cargo made last, as it says in its messages.
    fn module_of(&self, messages: &str) -> Result<PathBuf, Trouble> {
        let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
        let mut files = artifacts.flat_map(|message| message.filenames);
        files.rfind(|file| file.extension().is_some_and(|ending| ending == "wasm")).ok_or_else(|| {
            Trouble::new(
                format!("cargo built no WebAssembly of {}", self.name()),
                "has the package a library, or the program that was named?",
            )
        })
    }
}

/// A message of cargo, as far as it is of interest: other messages have no `filenames`.
#[derive(Deserialize)]
struct Message {
    filenames: Vec<PathBuf>,
}

fn absolute(path: &Path) -> Result<PathBuf, Trouble> {
    std::path::absolute(path).map_err(|error| unwritable(path, &error))
}

const DATA_END: &str = "__data_end";
const STACK_LOW: &str = "__stack_low";
const STACK_HIGH: &str = "__stack_high";

/// Where the linker has put things, as it exports that.
fn extent(wasm: &[u8], base: u32) -> Result<Extent, Trouble> {
    let wrong = |what: &str| {
        Trouble::new(
            format!("the linker of Rust made a module that is not as it was asked for: {what}"),
            "please report it, with the version of Rust.",
        )
    };
    let globals = exported_constants(wasm).map_err(|error| wrong(&error.to_string()))?;
    let find = |name: &str| {
        let found = globals.iter().find(|(exported, _)| exported == name);
        found.map(|(_, address)| *address).ok_or_else(|| wrong(&format!("{name} is missing")))
    };
    let (data_end, low, high) = (find(DATA_END)?, find(STACK_LOW)?, find(STACK_HIGH)?);
    let guard = low.next_multiple_of(PAGE);
    let stack = guard + PAGE..high;
    if base <= data_end && data_end <= low && stack.start < stack.end {
        return Ok(Extent { data: base..data_end, guard: guard..guard + PAGE, stack });
    }
    Err(wrong(&format!("data from {base:#x} to {data_end:#x}, stack from {low:#x} to {high:#x}")))
}

/// The constant global variables of 32 bits that a module exports.
fn exported_constants(wasm: &[u8]) -> wasmparser::Result<Vec<(String, u32)>> {
    let mut values = Vec::new();
    let mut exported = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::GlobalSection(globals) => {
                for global in globals {
                    let first = global?.init_expr.get_operators_reader().read()?;
                    values.push(match first {
                        Operator::I32Const { value } => Some(value.cast_unsigned()),
                        _ => None,
                    });
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    if export.kind == ExternalKind::Global {
                        exported.push((export.name.to_owned(), export.index));
                    }
                }
            }
            _ => {}
        }
    }
    let value = |index: u32| values.get(usize::try_from(index).ok()?).copied().flatten();
    Ok(exported.into_iter().filter_map(|(name, index)| Some((name, value(index)?))).collect())
}

/// An object for the linker of Rust with nothing but an item of no bytes in `.data` that wants to lie on a page of its own:
/// so variables begin on another page than constants end. (What it costs: the last page of variables that are not zero is
/// filled up.)
fn page_object() -> Vec<u8> {
    /// A number below 128 is one byte of LEB128.
    fn counted(bytes: &[u8]) -> Vec<u8> {
        let length = u8::try_from(bytes.len()).ok().filter(|length| *length < 128);
        [&[length.unwrap_or_default()], bytes].concat()
    }
    fn section(id: u8, content: &[&[u8]]) -> Vec<u8> {
        [&[id], counted(&content.concat()).as_slice()].concat()
    }
    const IMPORT: u8 = 2;
    const DATA: u8 = 11;
    const CUSTOM: u8 = 0;
    const MEMORY: u8 = 2;
    const PAGE_LOG2: u8 = PAGE.ilog2() as u8;
    // As "Object file linking" of the WebAssembly tool conventions has it, version 2.
    const SEGMENT_INFO: u8 = 5;
    const SYMBOL_TABLE: u8 = 8;
    const SEGMENT_RETAIN: u8 = 4;
    const SYMBOL_DATA: u8 = 1;
    const SYMBOL_HIDDEN_NO_STRIP: [u8; 2] = [0x84, 0x01];
    let memory = section(IMPORT, &[&[1], &counted(b"env"), &counted(b"__linear_memory"), &[MEMORY, 0, 0]]);
    let i32_const_0_end = [0x41, 0, 0x0b];
    let data = section(DATA, &[&[1, 0], &i32_const_0_end, &counted(b"")]);
    let segment = section(SEGMENT_INFO, &[&[1], &counted(b".data.koboshi_page"), &[PAGE_LOG2, SEGMENT_RETAIN]]);
    let place = [0, 0, 0]; // segment, offset, size
    let symbol =
        section(SYMBOL_TABLE, &[&[1, SYMBOL_DATA], &SYMBOL_HIDDEN_NO_STRIP, &counted(b"koboshi_page"), &place]);
    let linking = section(CUSTOM, &[&counted(b"linking"), &[2], &segment, &symbol]);
    [b"\0asm\x01\0\0\0".as_slice(), &memory, &data, &linking].concat()
}

/// What GCC calls on an SH-4, for integers, conversions of 64 bits, and memory.
const INTEGER_HELPERS: [&str; 37] = [
    "__udivdi3",
    "__umoddi3",
    "__divdi3",
    "__moddi3",
    "__muldi3",
    "__ashldi3",
    "__ashrdi3",
    "__lshrdi3",
    "__cmpdi2",
    "__ucmpdi2",
    "__clzsi2",
    "__clzdi2",
    "__ctzsi2",
    "__ctzdi2",
    "__popcountsi2",
    "__popcountdi2",
    "__paritysi2",
    "__paritydi2",
    "__bswapsi2",
    "__bswapdi2",
    "__floatdisf",
    "__floatdidf",
    "__floatundisf",
    "__floatundidf",
    "__fixsfdi",
    "__fixdfdi",
    "__fixunssfdi",
    "__fixunsdfdi",
    "__fixunssfsi",
    "__fixunsdfsi",
    "__floatunsisf",
    "__floatunsidf",
    "memcpy",
    "memmove",
    "memset",
    "memcmp",
    "bcmp",
];

/// What GCC calls for floating-point numbers with `-m4-nofpu`.
const FLOAT_HELPERS: [&str; 32] = [
    "__addsf3",
    "__adddf3",
    "__subsf3",
    "__subdf3",
    "__mulsf3",
    "__muldf3",
    "__divsf3",
    "__divdf3",
    "__negsf2",
    "__negdf2",
    "__eqsf2",
    "__eqdf2",
    "__nesf2",
    "__nedf2",
    "__ltsf2",
    "__ltdf2",
    "__lesf2",
    "__ledf2",
    "__gtsf2",
    "__gtdf2",
    "__gesf2",
    "__gedf2",
    "__unordsf2",
    "__unorddf2",
    "__extendsfdf2",
    "__truncdfsf2",
    "__fixsfsi",
    "__fixdfsi",
    "__floatsisf",
    "__floatsidf",
    "sqrtf",
    "sqrt",
];

/// What translated programs call where an SH-4 has no instruction.
const ROUNDING_HELPERS: [&str; 8] = [
    "koboshi_f32_ceil",
    "koboshi_f32_floor",
    "koboshi_f32_trunc",
    "koboshi_f32_nearest",
    "koboshi_f64_ceil",
    "koboshi_f64_floor",
    "koboshi_f64_trunc",
    "koboshi_f64_nearest",
];

/// All symbols that the object of [`build_helpers`] defines.
pub fn helper_symbols() -> impl Iterator<Item = &'static str> {
    INTEGER_HELPERS.into_iter().chain(FLOAT_HELPERS).chain(ROUNDING_HELPERS)
}

/// The crate of the helpers, file by file.
const HELPERS: [(&str, &str); 5] = [
    ("Cargo.toml", include_str!("../helpers/Cargo.toml")),
    ("src/lib.rs", include_str!("../helpers/src/lib.rs")),
    ("src/float.rs", include_str!("../helpers/src/float.rs")),
    ("src/integer.rs", include_str!("../helpers/src/integer.rs")),
    ("src/memory.rs", include_str!("../helpers/src/memory.rs")),
];

/// The helpers as a module, built if it is not in the directory `cache` yet.
///
/// # Errors
/// They cannot be built, or are not as they have to be: that is a mistake of Koboshi or of the compiler.
pub fn helpers_module(rust: &Rust, cache: &Path) -> Result<Vec<u8>, Trouble> {
    let symbols: Vec<&str> = helper_symbols().collect();
    let sources = HELPERS.iter().map(|(_, text)| text.as_bytes());
    let key = fingerprint(sources.chain([rust.version().as_bytes(), symbols.join(" ").as_bytes()]));
    let kept = cache.join(format!("helpers-{key:016x}.wasm"));
    if kept.is_file() {
        return read(&kept);
    }
    let workshop = workshop(cache)?;
    for (name, text) in HELPERS {
        let path = workshop.path().join("helpers").join(name);
        let folder = path.parent().unwrap_or(workshop.path());
        std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
        write(&path, text)?;
    }
    let program = Program {
        folder: workshop.path().join("helpers"),
        package: None,
        artifact: Artifact::Library,
        features: Vec::new(),
        exports: symbols.iter().map(|symbol| (*symbol).to_owned()).collect(),
        base: PAGE,
        stack: PAGE,
        target_folder: workshop.path().join("target"),
        optimise: None,
    };
    let built = program.build(rust)?;
    if built.extent.data.start != built.extent.data.end {
        return Err(Trouble::new("the helpers have data, which nobody would place", PLEASE_REPORT));
    }
    let made = workshop.path().join("helpers.wasm");
    write(&made, &built.wasm)?;
    std::fs::rename(&made, &kept).map_err(|error| unwritable(&kept, &error))?;
    Ok(built.wasm)
}

const PLEASE_REPORT: &str = "this is a mistake of Koboshi: please report it, with the versions of Rust and GCC.";

/// The helpers, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Helpers {
    /// The object to link with every program. Its symbols are weak, so that a program may have its own `memcpy`.
    pub object: PathBuf,
    /// Its call graph with the use of the stack, as GCC writes it.
    pub calls: PathBuf,
}

/// The helpers for this CPU, built if they are not in the directory `cache` yet.
///
/// # Errors
/// They cannot be built, or would themselves need a C part of libgcc: that is a mistake of Koboshi or of a compiler.
pub fn build_helpers(rust: &Rust, gcc: &Gcc, cpu: Cpu, cache: &Path) -> Result<Helpers, Trouble> {
    let module = helpers_module(rust, cache)?;
    let options = translate::Options { prefix: String::new(), trust: Trust::Compiler, lines: false };
    let translated = translate(&module, &options)?;
    if let Some(import) = translated.imported.first() {
        return Err(Trouble::new(format!("the helpers need {}", import.name), PLEASE_REPORT));
    }
    let flags = link::flags();
    let cure = gcc.cure().map_or("", |_| "cured");
    let made_by = [gcc.version(), cure, cpu.option(), &flags, &translated.source].map(str::as_bytes);
    let key = fingerprint([gcc.path().as_os_str().as_encoded_bytes()].into_iter().chain(made_by));
    let kept = cache.join(format!("helpers-{key:016x}"));
    let helpers = Helpers { object: kept.join("helpers.o"), calls: kept.join("helpers.ci") };
    if kept.is_dir() {
        return Ok(helpers);
    }
    let workshop = workshop(cache)?;
    let made = workshop.path().join("made");
    std::fs::create_dir(&made).map_err(|error| unwritable(&made, &error))?;
    let options = link::Options { cpu, ..link::Options::default() };
    let source = Source::Text { name: "helpers.c", text: &translated.source };
    compile(gcc, source, &made.join("helpers.o"), &options)?;
    let weak = workshop.path().join("weak.o");
    let mut objcopy = gcc.binutil("objcopy");
    // Not `--weaken`: that would let what the helpers need be missing.
    for symbol in helper_symbols() {
        objcopy.args([format!("--keep-global-symbol={symbol}"), format!("--weaken-symbol={symbol}")]);
    }
    let copied = output(objcopy.arg(made.join("helpers.o")).arg(&weak))?;
    if !copied.status.success() {
        return Err(Trouble::new(format!("objcopy says {}", printed(&copied.stderr)), PLEASE_REPORT));
    }
    let undefined = output(gcc.binutil("nm").args(["--undefined-only", "--format=posix"]).arg(&weak))?;
    let undefined = printed(&undefined.stdout);
    let mut names = undefined.lines().filter_map(|line| line.split_whitespace().next());
    if let Some(symbol) = names.find(|symbol| !link::is_of_assembler(symbol)) {
        return Err(Trouble::new(format!("the helpers need {symbol}, which they do not have"), PLEASE_REPORT));
    }
    std::fs::rename(&weak, made.join("helpers.o")).map_err(|error| unwritable(&made, &error))?;
    match std::fs::rename(&made, &kept) {
        // Another process, or thread, has been as fast.
        Err(_) if kept.is_dir() => Ok(helpers),
        Err(error) => Err(unwritable(&kept, &error)),
        Ok(()) => Ok(helpers),
    }
}
