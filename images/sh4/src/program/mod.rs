//! A crate to a module, with data at real addresses; `helpers.rs` has what every program needs. Or to a module that an
//! interpreter runs, in `interpreted.rs`.
//!
//! The rules: constants and variables never share a page; the module's own stack has a page below it that nobody uses, so
//! that an overflow can trap.

mod helpers;
mod interpreted;

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use wasmparser::{ExternalKind, KnownCustom, Linking, Operator, Parser, Payload, SymbolFlags, SymbolInfo};

use crate::link::Optimise;
use crate::tools::{Rust, TARGET, Trouble, output, printed, read, unwritable, without_known_warnings, write};

pub use helpers::{Helpers, build_helpers, helper_symbols, helpers_module};

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
    /// What the compiler of Rust warned of.
    pub warnings: String,
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
    /// Cargo could not build it: all that it said. It uses a static that is not there. The module is not as the linker was
    /// asked to make it.
    pub fn build(&self, rust: &Rust) -> Result<Built, Trouble> {
        if !self.base.is_multiple_of(PAGE) {
            return Err(Trouble::new(
                format!("a module cannot be placed at {:#010x}: it is not a multiple of {PAGE:#x}", self.base),
                "name an address of a page (--base).",
            ));
        }
        let Some(stack) = self.stack.checked_next_multiple_of(PAGE).and_then(|stack| stack.checked_add(2 * PAGE))
        else {
            return Err(Trouble::new(
                format!("the module's own stack cannot have {} bytes", self.stack),
                "make it smaller (--shadow-stack).",
            ));
        };
        let page = self.target_folder.join("koboshi-page.o");
        std::fs::create_dir_all(&self.target_folder).map_err(|error| unwritable(&self.target_folder, &error))?;
        write(&page, page_object())?;
        let mut linker = vec![
            format!("--global-base={}", self.base),
            // Addresses are real: what is first lies at the base, not at zero.
            "--no-stack-first".to_owned(),
            format!("-zstack-size={stack}"),
            absolute(&page)?.display().to_string(),
        ];
        linker.extend([DATA_END, STACK_LOW, STACK_HIGH].map(|symbol| format!("--export={symbol}")));
        let (wasm, warnings) = self.compile(rust, linker)?;
        let extent = extent(&wasm, self.base)?;
        Ok(Built { wasm, extent, warnings })
    }

    /// Builds it for an interpreter that begins at address 0, whatever the base is; and what the compiler of Rust warned of.
    ///
    /// Its own stack lies first and grows down to address 0: below that there is nothing, so an overflow traps.
    ///
    /// # Errors
    /// As with [`Program::build`]. Or it wants what no interpreter without threads can do.
    pub fn build_interpreted(&self, rust: &Rust) -> Result<(Vec<u8>, String), Trouble> {
        let linker = vec![
            "--stack-first".to_owned(),
            format!("-zstack-size={}", self.stack),
            format!("--export={STACK_POINTER}"),
        ];
        let (wasm, warnings) = self.compile(rust, linker)?;
        Ok((interpreted::of(&wasm)?, warnings))
    }

    /// Has cargo build it with these arguments for the linker; and what the compiler of Rust warned of.
    fn compile(&self, rust: &Rust, mut linker: Vec<String>) -> Result<(Vec<u8>, String), Trouble> {
        let mut cargo = rust.cargo("rustc");
        cargo.current_dir(&self.folder).arg("--target-dir").arg(absolute(&self.target_folder)?);
        cargo.args(["--release", "--quiet", "--message-format=json-render-diagnostics", "--color=never"]);
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
        // Then the module tells what it needs and has not. Nothing else in it changes, but for its zeros: they become a
        // segment `.bss`, which the translator drops.
        linker.push("--emit-relocs".to_owned());
        linker.extend(self.exports.iter().map(|symbol| format!("--export={symbol}")));
        cargo.args(linker.iter().map(|argument| format!("-Clink-arg={argument}")));
        let built = output(&mut cargo)?;
        let said = without_known_warnings(&printed(&built.stderr));
        if !built.status.success() {
            let remedy = match said.contains("virtual workspace") || said.contains("virtual manifest") {
                true => "name one of its packages (--package).",
                false => "correct what it names. It has to be a no_std crate.",
            };
            return Err(Trouble::new(format!("cargo cannot build {} for {TARGET}:\n{said}", self.name()), remedy));
        }
        let wasm = read(&self.module_of(&printed(&built.stdout))?)?;
        refuse_missing_statics(&wasm)?;
        Ok((wasm, said))
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

/// Refuses a module that uses statics of which it has only a declaration: the linker of Rust gives them the address 0.
fn refuse_missing_statics(wasm: &[u8]) -> Result<(), Trouble> {
    let names = missing_statics(wasm).map_err(|error| {
        Trouble::new(format!("the module cannot be read: {error}"), "please report it, with the version of Rust.")
    })?;
    if names.is_empty() {
        return Ok(());
    }
    Err(Trouble::new(
        format!("only functions can be external, and this static is in no Rust: {}", names.join(", ")),
        "define it in Rust, with #[unsafe(no_mangle)]: C can use it. Or let a function of C give its address.",
    ))
}

fn missing_statics(wasm: &[u8]) -> wasmparser::Result<Vec<String>> {
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::CustomSection(section) = payload? else { continue };
        let KnownCustom::Linking(linking) = section.as_known() else { continue };
        for part in linking {
            let Linking::SymbolTable(symbols) = part? else { continue };
            for symbol in symbols {
                if let SymbolInfo::Data { flags, name, symbol: None } = symbol?
                    && !flags.contains(SymbolFlags::BINDING_WEAK)
                {
                    names.push(name.to_owned());
                }
            }
        }
    }
    Ok(names)
}

const DATA_END: &str = "__data_end";
const STACK_LOW: &str = "__stack_low";
const STACK_HIGH: &str = "__stack_high";
const STACK_POINTER: &str = "__stack_pointer";

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
