//! All steps in one: a crate to an ELF and a raw image at given addresses, with a report.
//!
//! The rule: what the program is told to do at the start is little: set up the registers that C and the module rely on, make
//! the module's zeros, and call the entry. A program with other wishes brings a start of its own.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::link::{Compiled, Cpu, Elf, Layout, Optimise, Options, Source, compile, link, raw_image};
use crate::program::{Built, PAGE, Program, build_helpers};
use crate::stack::{Bounds, Calls};
use crate::tools::{Gcc, Rust, Trouble, read, unwritable};
use crate::translate::{self, Segment, Translated, Trust, translate};

/// What is to be made.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The crate. Its `base` says where its constants and variables lie.
    pub program: Program,
    /// The processor.
    pub cpu: Cpu,
    /// Fast or small.
    pub optimise: Optimise,
    /// The address of the first byte of code, and of the raw image.
    pub code: u32,
    /// The address of the variables of C and assembler; without it, behind the module's own stack.
    pub data: Option<u32>,
    /// Where the program begins.
    pub start: Start,
    /// Further C and assembler.
    pub sources: Vec<PathBuf>,
    /// Where the files go: `NAME.elf`, `NAME.bin`, and what was needed to make them.
    pub folder: PathBuf,
    /// What the files are called, without an ending.
    pub name: String,
}

/// Where a program begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// A function of the crate, called by a start that is made for it, on a machine's stack below this address.
    Called {
        /// Its symbol.
        function: String,
        /// The first address behind the machine's stack.
        stack_top: u32,
    },
    /// A symbol in the sources, which sets up everything by itself.
    Own {
        /// The symbol.
        symbol: String,
    },
}

/// What was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The program.
    pub elf: Elf,
    /// The raw image: what a boot loader or an emulator puts at `code`.
    pub image: PathBuf,
    /// Bytes of the raw image.
    pub image_size: u64,
    /// Where the module's memory is.
    pub extent: crate::program::Extent,
    /// What both stacks need, from each function on that the crate exports.
    pub bounds: Vec<Bounds>,
}

/// The register in which GCC expects to find how numbers are rounded, as at a call: to the nearest, doubles, no exceptions.
const FPSCR: u32 = 0x0008_0000;

/// Builds it.
///
/// # Errors
/// Any step failed: which, and why.
pub fn build(rust: &Rust, gcc: &Gcc, cache: &Path, plan: &Plan) -> Result<Made, Trouble> {
    let folder = &plan.folder;
    std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    let Built { wasm, extent } = plan.program.build(rust)?;
    let options = translate::Options { prefix: String::new(), trust: Trust::Compiler, lines: true };
    let module = translate(&wasm, &options)?;
    let file = |ending: &str| folder.join(format!("{}.{ending}", plan.name));
    let mut compiled = Vec::new();
    let mut options = Options::translated(plan.cpu, plan.optimise);
    let name = format!("{}.c", plan.name);
    compiled.push(compile(gcc, Source::Text { name: &name, text: &module.source }, &file("o"), &options)?);
    options.more.clear();
    let entry = match &plan.start {
        Start::Own { symbol } => symbol.clone(),
        Start::Called { function, stack_top } => {
            if !module.functions.iter().any(|exported| exported.symbol == *function) {
                let exported: Vec<&str> = module.functions.iter().map(|exported| exported.symbol.as_str()).collect();
                return Err(Trouble::new(
                    format!("the crate exports no function `{function}`; it exports: {}.", exported.join(", ")),
                    "name one of these as the entry, or write #[unsafe(no_mangle)] pub extern \"C\" fn before it.",
                ));
            }
            let text = start_source(&module, &extent.data, function, *stack_top, plan.cpu);
            let name = format!("{}-start.S", plan.name);
            let object = folder.join(format!("{}-start.o", plan.name));
            compiled.push(compile(gcc, Source::Text { name: &name, text: &text }, &object, &options)?);
            START.to_owned()
        }
    };
    for (number, source) in plan.sources.iter().enumerate() {
        let object = folder.join(format!("{}-source{number}.o", plan.name));
        compiled.push(compile(gcc, Source::File(source), &object, &options)?);
    }
    let helpers = build_helpers(rust, gcc, plan.cpu, cache)?;
    let objects: Vec<PathBuf> =
        compiled.iter().map(|compiled| compiled.object.clone()).chain([helpers.object.clone()]).collect();
    let layout = Layout {
        code: plan.code,
        data: plan.data.unwrap_or(extent.stack.end.next_multiple_of(PAGE)),
        memory: Some(extent.clone()),
        entry: Some(entry),
    };
    let elf = link(gcc, plan.cpu, &objects, &module.segments, &layout, &file("elf"))?;
    let image = file("bin");
    let image_size = raw_image(gcc, &elf, &image, plan.code)?;
    let bounds = bounds(&module, &compiled, &helpers.calls)?;
    Ok(Made { elf, image, image_size, extent, bounds })
}

fn bounds(module: &Translated, compiled: &[Compiled], helpers: &Path) -> Result<Vec<Bounds>, Trouble> {
    let files = compiled.iter().filter_map(|compiled| compiled.calls.as_deref()).chain([helpers]);
    let texts: Result<Vec<String>, _> =
        files.map(|file| read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())).collect();
    let calls = Calls::new(&texts?, &[module])?;
    module.functions.iter().map(|function| calls.bounds(&function.symbol)).collect()
}

/// The symbol of the start that is made.
const START: &str = "koboshi_start";

/// Assembler that sets up what C and the module rely on, makes the module's zeros and calls a function.
fn start_source(module: &Translated, data: &std::ops::Range<u32>, function: &str, stack_top: u32, cpu: Cpu) -> String {
    let end = |segment: &Segment| segment.address.wrapping_add(segment.bytes.len() as u32);
    // Zeros come last in a module's memory. Words: what lies behind the last byte of data, up to the next word, is zero too.
    let from = module.segments.iter().map(end).max().unwrap_or(data.start).next_multiple_of(4);
    let words = data.end.saturating_sub(from).div_ceil(4);
    let mut text = format!(
        "/* Made by Koboshi. */
    .section .text.first, \"ax\"
    .globl {START}
{START}:
    mov.l   stack, r15
    mov.l   shadow, r0
    ldc     r0, gbr
"
    );
    if cpu != Cpu::Sh4NoFpu {
        text.push_str("    mov.l   rounding, r0\n    lds     r0, fpscr\n");
    }
    if words > 0 {
        text.push_str(
            "    mov.l   zeros, r1
    mov.l   words, r2
    mov     #0, r0
1:  mov.l   r0, @r1
    dt      r2
    bf/s    1b
    add     #4, r1
",
        );
    }
    let _ = write!(
        text,
        "    mov.l   function, r0
    jsr     @r0
    nop
    /* It came back: there is nothing to come back to. */
2:  bra     2b
    nop
    .balign 4
stack:    .long {stack_top:#x}
shadow:   .long {:#x}
rounding: .long {FPSCR:#x}
zeros:    .long {from:#x}
words:    .long {words}
function: .long {function}
",
        module.stack_pointer.unwrap_or_default()
    );
    text
}
