//! One part of an image after the other: a crate through the compile path, and linked where it lies.
//!
//! The rule: what is made depends on what is given alone, so the same crate gives the same bytes.

use std::ops::Range;
use std::path::{Path, PathBuf};

use koboshi_sh4::link::{Elf, Layout as Placing, Optimise, Options, Section, Source as Text, compile, link, raw_image};
use koboshi_sh4::program::{Artifact, Built, Program, build_helpers};
use koboshi_sh4::stack::{Calls, Worst};
use koboshi_sh4::tools::{Gcc, Rust, Trouble, read};
use koboshi_sh4::translate::{self, Segment, Trust, translate};
use koboshi_sh4_abi::PAGE;

use crate::build::{MadeComponent, put};
use crate::request::Board;
use crate::{generate, layout};

/// Where a component's variables of C would lie, if it had any.
pub(crate) const OTHER: u32 = 0x7000_0000;

/// The entry of a program, and the assembler that it needs: its file's name, and its text.
pub(crate) type Kind = (&'static str, &'static str, &'static str);
pub(crate) const COMPONENT: Kind =
    ("koboshi_component", "traps.S", include_str!("../../../kernel/sh4/component/src/traps.S"));
const KERNEL: Kind = ("koboshi_boot", "start.S", include_str!("../../../kernel/sh4/src/start.S"));

/// A program before it is linked.
#[derive(Clone)]
pub(crate) struct Compiled {
    objects: Vec<PathBuf>,
    pub(crate) segments: Vec<Segment>,
    /// Who calls whom.
    pub(crate) calls: Calls,
    /// Where the module's own stack begins.
    shadow_pointer: u32,
}

/// How a part is made, in this order.
pub(crate) const RUST: &str = "compiling Rust";
pub(crate) const C: &str = "compiling C";
pub(crate) const LINKING: &str = "linking";

pub(crate) struct Builder<'a> {
    pub(crate) rust: &'a Rust,
    pub(crate) gcc: &'a Gcc,
    /// With what is made once for all images.
    pub(crate) cache: &'a Path,
    /// Where everything is made.
    pub(crate) folder: &'a Path,
    /// The workspace of the crates, or the one crate.
    pub(crate) crates: &'a Path,
    pub(crate) board: &'a Board,
    pub(crate) optimise: Optimise,
}

impl Builder<'_> {
    pub(crate) fn program(&self, package: String, base: u32, stack: u32) -> Result<Built, Trouble> {
        let program = Program {
            folder: self.crates.to_path_buf(),
            package: Some(package),
            artifact: Artifact::Library,
            features: Vec::new(),
            exports: Vec::new(),
            base,
            stack,
            target_folder: self.folder.join("target"),
            optimise: Some(self.optimise),
        };
        program.build(self.rust)
    }

    pub(crate) fn component(
        &self,
        name: &str,
        assembler: &[PathBuf],
        place: u32,
        doing: &mut dyn FnMut(&'static str),
    ) -> Result<MadeComponent, Trouble> {
        let mut size = layout::SHADOW;
        let (built, compiled, bounds) = loop {
            doing(RUST);
            let built = self.program(generate::crate_of(name), place, size)?;
            doing(C);
            let compiled = self.compiled(name, assembler, &built)?;
            let stack = &built.extent.stack;
            let bounds = compiled.calls.bounds(COMPONENT.0)?;
            let need = bounds.shadow.bytes;
            if need <= stack.end - stack.start {
                break (built, compiled, bounds);
            }
            size = need;
        };
        let shadow_pointer = compiled.shadow_pointer;
        let extent = built.extent;
        let shadow = extent.stack.start..extent.stack.end.next_multiple_of(PAGE);
        let stack_size = bounds.machine.bytes.max(layout::STACK).next_multiple_of(PAGE);
        let stack = shadow.end + PAGE..shadow.end + PAGE + stack_size;
        let placing = Placing {
            code: stack.end,
            // Nothing comes there: a component has no variables of C.
            data: OTHER,
            memory: Some(extent.clone()),
            entry: Some(COMPONENT.0.to_owned()),
        };
        doing(LINKING);
        let elf = self.linked(name, &compiled, &placing)?;
        let end = |section: &Section| section.end() as u32;
        let code = stack.end..elf.sections.iter().map(end).max().unwrap_or(stack.end).next_multiple_of(PAGE);
        let of_module = || elf.sections.iter().filter(|section| section.address < extent.data.end);
        let constants = of_module().filter(|section| !section.writable).map(end).max().unwrap_or(place);
        let constants = place..constants.next_multiple_of(PAGE);
        let filled = of_module().filter(|section| section.writable && section.in_file).map(end).max();
        let data = constants.end..extent.data.end.next_multiple_of(PAGE).max(constants.end);
        let (first, raw) = self.raw(&elf, name)?;
        let filled = filled.unwrap_or(data.start).next_multiple_of(4);
        // One without constants and variables has nothing in its file below its code.
        let of_file = |address: u32| address.saturating_sub(first) as usize;
        let initial = initial(raw.get(of_file(data.start)..of_file(filled)).unwrap_or(&[]));
        let size = elf.sections.iter().filter(|section| !section.writable).map(|section| section.size).sum();
        Ok(MadeComponent {
            name: name.to_owned(),
            entry: elf.entry,
            elf,
            kept_initial: code.end,
            code,
            constants,
            zero_end: extent.data.end.next_multiple_of(4).max(filled),
            data,
            initial,
            shadow_pointer,
            guards: [extent.guard, shadow.end..stack.start],
            view: 0..0,
            kept: 0..0,
            shadow,
            stack,
            bounds,
            size,
            room: None,
        })
    }

    /// The module of a component as objects, with the assembler that it needs.
    pub(crate) fn compiled(&self, name: &str, assembler: &[PathBuf], built: &Built) -> Result<Compiled, Trouble> {
        let mut compiled = self.compile(name, &built.wasm, COMPONENT)?;
        for (number, source) in assembler.iter().enumerate() {
            let object = self.folder.join(format!("{name}.{number}.o"));
            let options = Options { cpu: self.board.cpu, ..Options::default() };
            compiled.objects.push(compile(self.gcc, Text::File(source), &object, &options)?.object);
        }
        Ok(compiled)
    }

    /// Links a component, which has no variables but those of its module.
    pub(crate) fn linked(&self, name: &str, compiled: &Compiled, placing: &Placing) -> Result<Elf, Trouble> {
        let elf = self.link(name, compiled, placing)?;
        match elf.sections.iter().find(|section| section.address >= OTHER) {
            None => Ok(elf),
            Some(section) => Err(Trouble::new(
                format!("component `{name}` has variables outside of its module: {}", section.name),
                "this is a mistake of Koboshi: please report it.",
            )),
        }
    }

    pub(crate) fn kernel(&self, doing: &mut dyn FnMut(&'static str)) -> Result<(Elf, Vec<u8>), Trouble> {
        doing(RUST);
        let code = self.board.load | 0x8000_0000;
        let Built { wasm, extent, .. } =
            self.program(generate::KERNEL.to_owned(), code + layout::KERNEL_CODE, layout::SHADOW)?;
        let placing = Placing {
            code,
            data: extent.stack.end.next_multiple_of(PAGE),
            memory: Some(extent.clone()),
            entry: Some("koboshi_start".to_owned()),
        };
        doing(C);
        let mut compiled = self.compile("kernel", &wasm, KERNEL)?;
        // A trap runs on top of what the start has taken, which never comes back.
        let (begin, trap) = (compiled.calls.bounds(KERNEL.0)?, compiled.calls.bounds("koboshi_trap")?);
        suffices("the machine's", &[&begin.machine, &trap.machine], KERNEL_STACK)?;
        suffices("the module's own", &[&begin.shadow, &trap.shadow], extent.stack.end - extent.stack.start)?;
        let stack = code + layout::KERNEL;
        let filled = compiled.segments.iter().map(|segment| segment.address + segment.bytes.len() as u32).max();
        let text = start(stack, compiled.shadow_pointer, &(filled.unwrap_or(0)..extent.data.end));
        let object = self.folder.join("kernel.first.o");
        let options = Options { cpu: self.board.cpu, ..Options::default() };
        let first = Text::Text { name: "kernel-first.S", text: &text };
        compiled.objects.push(compile(self.gcc, first, &object, &options)?.object);
        doing(LINKING);
        let elf = self.link("kernel", &compiled, &placing)?;
        let last = elf.sections.iter().map(|section| section.end() as u32).max().unwrap_or(code);
        if last > stack - KERNEL_STACK {
            return Err(Trouble::new(
                format!("the kernel's tables reach to {last:#010x}"),
                "the image has too many components for the kernel's memory: take some out.",
            ));
        }
        let (_, bytes) = self.raw(&elf, "kernel")?;
        Ok((elf, bytes))
    }

    /// Translates a module, compiles it, and compiles the assembler that it needs.
    pub(crate) fn compile(&self, name: &str, wasm: &[u8], (_, assembler, text): Kind) -> Result<Compiled, Trouble> {
        let (gcc, cpu) = (self.gcc, self.board.cpu);
        let file = |ending: &str| self.folder.join(format!("{name}.{ending}"));
        let module =
            translate(wasm, &translate::Options { prefix: String::new(), trust: Trust::Compiler, lines: true })?;
        let options = Options::translated(cpu, self.optimise);
        let source = format!("{name}.c");
        // GCC takes most of the time, and most components stay as they were.
        let stamp = format!("{}\n{options:?}\n{}", gcc.path().display(), gcc.version());
        let (object, calls) = (file("o"), file("ci"));
        let is = |ending: &str, text: &str| std::fs::read_to_string(file(ending)).is_ok_and(|before| before == text);
        let done = is("stamp", &stamp) && is("c", &module.source) && object.is_file() && calls.is_file();
        if !done {
            // Should it be stopped halfway, nothing says that it was done.
            let _absent = std::fs::remove_file(file("stamp"));
            compile(gcc, Text::Text { name: &source, text: &module.source }, &object, &options)?;
            put(&file("stamp"), &stamp)?;
        }
        let plain = Options { cpu, ..Options::default() };
        let assembler = format!("{name}-{assembler}");
        let assembled = compile(gcc, Text::Text { name: &assembler, text }, &file("assembler.o"), &plain)?;
        let helpers = build_helpers(self.rust, gcc, cpu, self.cache)?;
        let texts: Result<Vec<String>, Trouble> = [&calls, &helpers.calls]
            .into_iter()
            .map(|path| read(path).map(|text| String::from_utf8_lossy(&text).into_owned()))
            .collect();
        let calls = Calls::new(&texts?, &[&module])?;
        let Some(shadow_pointer) = module.stack_pointer else {
            return Err(Trouble::new(
                format!("`{name}` has no stack of its own"),
                "this is a mistake of Koboshi: please report it.",
            ));
        };
        let objects = vec![object, assembled.object, helpers.object];
        Ok(Compiled { objects, segments: module.segments, calls, shadow_pointer })
    }

    pub(crate) fn link(&self, name: &str, compiled: &Compiled, placing: &Placing) -> Result<Elf, Trouble> {
        let elf = self.folder.join(format!("{name}.elf"));
        link(self.gcc, self.board.cpu, &compiled.objects, &compiled.segments, placing, &elf)
    }

    /// What a program has in memory from its first address on.
    pub(crate) fn raw(&self, elf: &Elf, name: &str) -> Result<(u32, Vec<u8>), Trouble> {
        let path = self.folder.join(format!("{name}.raw"));
        let first = elf.sections.iter().find(|section| section.in_file).map_or(0, |section| section.address);
        raw_image(self.gcc, elf, &path, first)?;
        Ok((first, read(&path)?))
    }
}

/// What variables are at the beginning, in whole words. Zeros behind them need no place to be kept at: they are made.
pub(crate) fn initial(bytes: &[u8]) -> Vec<u8> {
    let mut initial = bytes.to_vec();
    initial.resize(bytes.len().next_multiple_of(4), 0);
    let words = initial.as_chunks::<4>().0.iter().rposition(|word| *word != [0; 4]).map_or(0, |last| last + 1);
    initial.truncate(4 * words);
    initial
}

/// The kernel's own stack, in bytes.
const KERNEL_STACK: u32 = 0x2000;

/// What the kernel calls of `start.S`: nothing of it takes anything of a stack.
const OF_ASSEMBLER: [&str; 4] = ["koboshi_enter", "koboshi_idle", "koboshi_write_back", "koboshi_forget_code"];

/// Refuses a kernel of which it is not known that its stack suffices: nothing lies below it that would trap.
fn suffices(which: &str, needs: &[&Worst], size: u32) -> Result<(), Trouble> {
    for need in needs {
        let unknown: Vec<&String> =
            need.unknown.iter().filter(|symbol| !OF_ASSEMBLER.contains(&symbol.as_str())).collect();
        if !unknown.is_empty() || !need.recursion.is_empty() || !need.pointers.is_empty() {
            return Err(Trouble::new(
                format!(
                    "nobody knows how much of {which} stack the kernel needs: {unknown:?} are unknown, {:?} call each other in a \
                     circle, {:?} call through pointers",
                    need.recursion, need.pointers
                ),
                "this is a mistake of Koboshi: please report it.",
            ));
        }
    }
    let bytes: u32 = needs.iter().map(|need| need.bytes).sum();
    if bytes > size {
        let paths: Vec<String> =
            needs.iter().map(|need| format!("{} by {}", need.bytes, need.path.join(", "))).collect();
        return Err(Trouble::new(
            format!("the kernel needs {bytes} bytes of {which} stack and has {size}: {}", paths.join("; ")),
            "this is a mistake of Koboshi: please report it. With `--fast` it needs more than without.",
        ));
    }
    Ok(())
}

/// Where the board enters: sets up the caches and both stacks, makes the zeros, and calls the kernel. A boot loader may enter
/// through any alias of the address.
fn start(stack: u32, pointer: u32, zeros: &Range<u32>) -> String {
    let from = zeros.start.next_multiple_of(4);
    let words = zeros.end.saturating_sub(from).div_ceil(4);
    format!(
        "/* Made by Koboshi. */
    .section .text.first, \"ax\"
    .global koboshi_start
koboshi_start:
    mov.l   .Lsr, r0            ! privileged, bank 1, no interrupts: whatever whoever entered us had
    ldc     r0, sr
    mov.l   .Lcaches, r0        ! in P2, before anything is stored
    jsr     @r0
    nop
    mov.l   .Lstack, r15
    mov.l   .Lshadow, r0
    ldc     r0, gbr
    mov.l   .Lzeros, r1
    mov.l   .Lwords, r2
    mov     #0, r0
    tst     r2, r2
    bt      2f
1:  mov.l   r0, @r1
    dt      r2
    bf/s    1b
    add     #4, r1
2:  mov.l   .Lboot, r0
    jsr     @r0
    nop
3:  bra     3b
    nop
    .balign 4
.Lsr:     .long 0x700000f0
.Lcaches: .long koboshi_caches + 0x20000000
.Lstack:  .long {stack:#x}
.Lshadow: .long {pointer:#x}
.Lzeros:  .long {from:#x}
.Lwords:  .long {words}
.Lboot:   .long koboshi_boot
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(bytes: u32) -> Worst {
        let path = vec!["koboshi_trap".to_owned(), "deepest".to_owned()];
        let unknown = vec!["koboshi_idle".to_owned()];
        Worst { bytes, path, recursion: vec![], indirect: vec![], unknown, pointers: vec![] }
    }

    #[test]
    fn a_kernel_whose_stacks_may_not_suffice_is_refused() {
        let said = |needs: &[&Worst]| suffices("the machine's", needs, 0x2000).map_err(|trouble| trouble.to_string());
        assert_eq!(said(&[&worst(0x1000), &worst(0x1000)]), Ok(()));
        let too_much = said(&[&worst(0x1000), &worst(0x1004)]).expect_err("a trap comes on top of the start");
        assert!(too_much.contains("8196") && too_much.contains("8192") && too_much.contains("deepest"), "{too_much}");
        let circle = Worst { recursion: vec![vec!["round".to_owned()]], ..worst(8) };
        let pointer = Worst { pointers: vec!["anybody".to_owned()], ..worst(8) };
        let unknown = Worst { unknown: vec!["secret".to_owned()], ..worst(8) };
        for (wrong, name) in [(circle, "round"), (pointer, "anybody"), (unknown, "secret")] {
            let said = said(&[&worst(8), &wrong]).expect_err("there is no bound");
            assert!(said.contains(name), "{said}");
        }
    }
}
