//! All steps in one: a crate to an ELF and a raw image at given addresses, with a report.
//!
//! The rule: what the program is told to do at the start is little: set up the registers that C and the module rely on, make
//! the zeros of both, and call the entry. A program with other wishes brings a start of its own.
//!
//! It must never: make a program whose stacks lie on something else, or are known to be too small.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::link::{BSS, BSS_END, Compiled, Cpu, Elf, Layout, Optimise, Options, Source, compile, link, raw_image};
use crate::program::{Built, Extent, PAGE, Program, build_helpers};
use crate::stack::{Bounds, Calls, Worst};
use crate::tools::{Gcc, Rust, Trouble, read, unwritable};
use crate::translate::{self, Segment, Translated, Trust, Type::I32, translate};

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
    /// Directories with their headers.
    pub include: Vec<PathBuf>,
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
        /// The first address behind the machine's stack: a multiple of 4.
        stack_top: u32,
    },
    /// A symbol in the sources, which sets up everything by itself.
    Own {
        /// The symbol. It has to be the first in a section `.text.first`, so that the raw image begins with it.
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
    pub extent: Extent,
    /// What both stacks need, from each function on that the crate exports.
    pub bounds: Vec<Bounds>,
    /// What the compilers warned of, in the crate and in the sources.
    pub warnings: String,
}

/// The register in which GCC expects to find how numbers are rounded, as at a call: to the nearest, doubles, no exceptions.
const FPSCR: u32 = 0x0008_0000;

/// Builds it.
///
/// # Errors
/// Any step failed: which, and why.
pub fn build(rust: &Rust, gcc: &Gcc, cache: &Path, plan: &Plan) -> Result<Made, Trouble> {
    let folder = &plan.folder;
    if let Start::Called { stack_top, .. } = &plan.start
        && !stack_top.is_multiple_of(4)
    {
        return Err(Trouble::new(
            format!("the machine's stack cannot end at {stack_top:#010x}"),
            "a multiple of 4 (--stack-top).",
        ));
    }
    if !plan.code.is_multiple_of(4) {
        return Err(Trouble::new(format!("no code can begin at {:#010x}", plan.code), "a multiple of 4 (--code)."));
    }
    std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    let Built { wasm, extent, mut warnings } = plan.program.build(rust)?;
    let options = translate::Options { prefix: String::new(), trust: Trust::Compiler, lines: true };
    let module = translate(&wasm, &options)?;
    let Some(shadow_top) = module.stack_pointer else {
        return Err(Trouble::new(
            "the module does not say which of its variables is the pointer to its own stack (`__stack_pointer`)",
            "leave the names in it: no `--strip-all` or `-s` among the arguments of Rust's linker.",
        ));
    };
    let file = |ending: &str| folder.join(format!("{}.{ending}", plan.name));
    let mut compiled = Vec::new();
    let mut options = Options::translated(plan.cpu, plan.optimise);
    let name = format!("{}.c", plan.name);
    compiled.push(compile(gcc, Source::Text { name: &name, text: &module.source }, &file("o"), &options)?);
    options.more.clear();
    let entry = match &plan.start {
        Start::Own { symbol } => symbol.clone(),
        Start::Called { function, stack_top } => {
            let Some(found) = module.functions.iter().find(|exported| exported.symbol == *function) else {
                let exported: Vec<&str> = module.functions.iter().map(|exported| exported.symbol.as_str()).collect();
                return Err(Trouble::new(
                    format!("the crate exports no function `{function}`; it exports: {}.", exported.join(", ")),
                    "name one of these as the entry, or write #[unsafe(no_mangle)] pub extern \"C\" fn before it.",
                ));
            };
            // LLVM makes a `main` with a result take what it would in C, whatever it takes in Rust.
            let is_of_llvm = function == "main" && (&*found.parameters, &*found.results) == (&[I32, I32], &[I32]);
            if !found.parameters.is_empty() && !is_of_llvm {
                return Err(Trouble::new(
                    format!("the entry `{function}` has parameters, and nobody gives it any"),
                    "name a function without (--entry), or bring a start of your own (--start).",
                ));
            }
            let stacks = [*stack_top, shadow_top];
            let text = start_source(&module.segments, &extent.data, function, stacks, plan.cpu);
            let name = format!("{}-start.S", plan.name);
            let object = folder.join(format!("{}-start.o", plan.name));
            compiled.push(compile(gcc, Source::Text { name: &name, text: &text }, &object, &options)?);
            START.to_owned()
        }
    };
    options.include.clone_from(&plan.include);
    for (number, source) in plan.sources.iter().enumerate() {
        let object = folder.join(format!("{}-source{number}.o", plan.name));
        let source = compile(gcc, Source::File(source), &object, &options)?;
        if !source.warnings.is_empty() {
            let _ = write!(warnings, "{}{}", if warnings.is_empty() { "" } else { "\n" }, source.warnings);
        }
        compiled.push(source);
    }
    let helpers = build_helpers(rust, gcc, plan.cpu, cache)?;
    let objects: Vec<PathBuf> =
        compiled.iter().map(|compiled| compiled.object.clone()).chain([helpers.object.clone()]).collect();
    let layout = Layout {
        code: plan.code,
        data: plan.data.unwrap_or(extent.stack.end.next_multiple_of(PAGE)),
        memory: Some(extent.clone()),
        entry: Some(entry.clone()),
    };
    let elf = link(gcc, plan.cpu, &objects, &module.segments, &layout, &file("elf"))?;
    if elf.entry != plan.code {
        return Err(Trouble::new(
            format!(
                "the image begins at {:#010x}, and the start symbol `{entry}` lies at {:#010x}",
                plan.code, elf.entry
            ),
            "put the start symbol into the section .text.first, before anything else that is there.",
        ));
    }
    let image = file("bin");
    let image_size = raw_image(gcc, &elf, &image, plan.code)?;
    let bounds = bounds(&module, &compiled, &helpers.calls)?;
    if let Start::Called { function, stack_top } = &plan.start
        && let Some(bounds) = bounds.iter().find(|bounds| bounds.entry == *function)
    {
        refuse_stacks(&elf, &extent, *stack_top, bounds)?;
    }
    Ok(Made { elf, image, image_size, extent, bounds, warnings })
}

fn bounds(module: &Translated, compiled: &[Compiled], helpers: &Path) -> Result<Vec<Bounds>, Trouble> {
    let files = compiled.iter().filter_map(|compiled| compiled.calls.as_deref()).chain([helpers]);
    let texts: Result<Vec<String>, _> =
        files.map(|file| read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())).collect();
    let calls = Calls::new(&texts?, &[module])?;
    module.functions.iter().map(|function| calls.bounds(&function.symbol)).collect()
}

/// Refuses a machine's stack that lies on the program, and a stack of the module that is smaller than what it needs. What
/// memory the machine has is not known here.
fn refuse_stacks(elf: &Elf, extent: &Extent, stack_top: u32, bounds: &Bounds) -> Result<(), Trouble> {
    let more = |worst: &Worst| if worst.is_bound() { "" } else { " or more" };
    let (entry, machine, shadow) = (&bounds.entry, &bounds.machine, &bounds.shadow);
    let bottom = u64::from(stack_top.saturating_sub(machine.bytes.max(4)));
    let sections = elf.sections.iter().map(|section| (section.name.as_str(), section.address, section.end()));
    let guard = ("the page below the module's stack", extent.guard.start, u64::from(extent.guard.end));
    let hit = sections.chain([guard]).find(|(_, start, end)| *start < stack_top && bottom < *end);
    if let Some((name, start, end)) = hit {
        return Err(Trouble::new(
            format!(
                "the machine's stack lies on {name} ({start:#010x} to {:#010x}): it ends at {stack_top:#010x}, and \
                 `{entry}` needs {} bytes of it{}",
                end - 1,
                machine.bytes,
                more(machine),
            ),
            "move its end (--stack-top), or the program.",
        ));
    }
    let has = extent.stack.end - extent.stack.start;
    if shadow.bytes <= has {
        return Ok(());
    }
    Err(Trouble::new(
        format!("the module's own stack has {has} bytes, and `{entry}` needs {}{}", shadow.bytes, more(shadow)),
        format!("make it larger: --shadow-stack {}.", shadow.bytes.next_multiple_of(PAGE)),
    ))
}

/// The symbol of the start that is made.
const START: &str = "koboshi_start";

/// Assembler that sets up what C and the module rely on, makes the zeros of both and calls a function. `stacks`: where that
/// of the machine and that of the module end.
fn start_source(segments: &[Segment], data: &Range<u32>, function: &str, stacks: [u32; 2], cpu: Cpu) -> String {
    let end = |segment: &Segment| segment.address.wrapping_add(segment.bytes.len() as u32);
    // Zeros come last in a module's memory: bytes up to the next word, then words.
    let from = segments.iter().map(end).fold(data.start, u32::max);
    let words_from = from.next_multiple_of(4).min(data.end);
    let bytes = words_from.saturating_sub(from);
    let words = data.end.saturating_sub(words_from).div_ceil(4);
    let [stack_top, shadow_top] = stacks;
    let mut text = format!(
        "/* Made by Koboshi. Its labels are no symbols: the program may have any. */
    .section .text.first, \"ax\"
    .globl {START}
    .type {START}, @function
{START}:
    mov.l   .Lstack, r15
    mov.l   .Lshadow, r0
    ldc     r0, gbr
"
    );
    if cpu != Cpu::Sh4NoFpu {
        text.push_str("    mov.l   .Lrounding, r0\n    lds     r0, fpscr\n");
    }
    text.push_str("    mov     #0, r0\n    mov.l   .Lzeros, r1\n");
    for _ in 0..bytes {
        text.push_str("    mov.b   r0, @r1\n    add     #1, r1\n");
    }
    if words > 0 {
        text.push_str(
            "    mov.l   .Lwords, r2
1:  mov.l   r0, @r1
    dt      r2
    bf/s    1b
    add     #4, r1
",
        );
    }
    let _ = write!(
        text,
        "    mov.l   .Lbss, r1
    mov.l   .Lbss_end, r2
2:  cmp/hs  r2, r1
    bt      3f
    mov.l   r0, @r1
    bra     2b
    add     #4, r1
3:  mov.l   .Lfunction, r0
    jsr     @r0
    nop
    /* It came back: there is nothing to come back to. */
4:  bra     4b
    nop
    .balign 4
.Lstack:    .long {stack_top:#x}
.Lshadow:   .long {shadow_top:#x}
.Lrounding: .long {FPSCR:#x}
.Lzeros:    .long {from:#x}
.Lwords:    .long {words}
.Lbss:      .long {BSS}
.Lbss_end:  .long {BSS_END}
.Lfunction: .long {function}
    .size {START}, . - {START}
"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_that_begin_within_a_word_are_made_byte_by_byte() {
        let segment = |size| Segment { name: None, address: 0x1000, bytes: vec![1; size] };
        let made = |size, end| {
            let text = start_source(&[segment(size)], &(0x1000..end), "main", [0x3000, 0x2000], Cpu::Sh4);
            let value = |label: &str| {
                let line = text.lines().find(|line| line.starts_with(label)).expect("it is there");
                line.rsplit(' ').next().expect("a value").to_owned()
            };
            (text.matches("mov.b").count(), value(".Lzeros:"), value(".Lwords:"))
        };
        assert_eq!(made(8, 0x1010), (0, "0x1008".to_owned(), "2".to_owned()));
        assert_eq!(made(9, 0x1010), (3, "0x1009".to_owned(), "1".to_owned()));
        assert_eq!(made(10, 0x1011), (2, "0x100a".to_owned(), "2".to_owned()));
        assert_eq!(made(9, 0x100b), (2, "0x1009".to_owned(), "0".to_owned()), "and no further than to the end");
        assert_eq!(made(0, 0x1000), (0, "0x1000".to_owned(), "0".to_owned()));
    }
}
