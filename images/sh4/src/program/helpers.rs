//! What GCC calls where an SH-4 has no instruction, in place of the C parts of libgcc.
//!
//! It must never: hand out a helper that is made of the very instruction that it is in place of, and so calls itself without
//! end. Compilers see through loops: what is in the object counts, not what the source says.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionIndex};

use super::{Artifact, PAGE, Program};
use crate::link::{self, Cpu, Source, compile};
use crate::tools::{Gcc, Rust, Trouble, fingerprint, output, printed, read, unwritable, workshop, write};
use crate::translate::{self, Frame, TRANSLATED, Trust, translate};

/// What GCC calls on an SH-4, for integers, conversions of 64 bits, and memory.
const INTEGER_HELPERS: [&str; 35] = [
    "__udivdi3",
    "__umoddi3",
    "__divdi3",
    "__moddi3",
    "__muldi3",
    "__ashldi3",
    "__ashrdi3",
    "__lshrdi3",
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
const FLOAT_HELPERS: [&str; 30] = [
    "__addsf3",
    "__adddf3",
    "__subsf3",
    "__subdf3",
    "__mulsf3",
    "__muldf3",
    "__divsf3",
    "__divdf3",
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
    ("Cargo.toml", include_str!("../../helpers/Cargo.toml")),
    ("src/lib.rs", include_str!("../../helpers/src/lib.rs")),
    ("src/float.rs", include_str!("../../helpers/src/float.rs")),
    ("src/integer.rs", include_str!("../../helpers/src/integer.rs")),
    ("src/memory.rs", include_str!("../../helpers/src/memory.rs")),
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
    let source = format!("#line 1 \"{TRANSLATED}\"\n{}", translated.source);
    if let Some(import) = translated.imported.first() {
        return Err(Trouble::new(format!("the helpers need {}", import.name), PLEASE_REPORT));
    }
    refuse_stack(&translated.frames)?;
    let flags = link::flags();
    let cure = gcc.cure().map_or("", |_| "cured");
    let made_by = [gcc.version(), cure, cpu.option(), &flags, &source].map(str::as_bytes);
    let key = fingerprint([gcc.path().as_os_str().as_encoded_bytes()].into_iter().chain(made_by));
    let kept = cache.join(format!("helpers-{key:016x}"));
    let helpers = Helpers { object: kept.join("helpers.o"), calls: kept.join("helpers.ci") };
    if kept.is_dir() {
        return Ok(helpers);
    }
    let workshop = workshop(cache)?;
    let made = workshop.path().join("made");
    std::fs::create_dir(&made).map_err(|error| unwritable(&made, &error))?;
    // A name that stays, in place of the workshop's.
    let more = vec![format!("-ffile-prefix-map={}=koboshi", made.display())];
    let options = link::Options { cpu, more, ..link::Options::default() };
    let source = Source::Text { name: "helpers.c", text: &source };
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
    refuse_recursion(&read(&weak)?)?;
    std::fs::rename(&weak, made.join("helpers.o")).map_err(|error| unwritable(&made, &error))?;
    match std::fs::rename(&made, &kept) {
        // Another process, or thread, has been as fast.
        Err(_) if kept.is_dir() => Ok(helpers),
        Err(error) => Err(unwritable(&kept, &error)),
        Ok(()) => Ok(helpers),
    }
}

/// Refuses helpers with a stack of their own: GCC calls them wherever it likes, and no stack bound counts them.
fn refuse_stack(frames: &[Frame]) -> Result<(), Trouble> {
    match frames.iter().find(|frame| frame.shadow != Some(0)) {
        None => Ok(()),
        Some(frame) => {
            Err(Trouble::new(format!("the helper {} uses the module's own stack", frame.symbol), PLEASE_REPORT))
        }
    }
}

/// Refuses an object of which a function may come to call itself. (Each function is a section.)
fn refuse_recursion(object: &[u8]) -> Result<(), Trouble> {
    let calls =
        calls(object).map_err(|error| Trouble::new(format!("the helpers cannot be read: {error}"), PLEASE_REPORT))?;
    for (start, (name, first)) in &calls {
        let mut seen = HashSet::new();
        let mut next: Vec<SectionIndex> = first.iter().copied().collect();
        while let Some(function) = next.pop() {
            if function == *start {
                return Err(Trouble::new(format!("the helper in {name} would call itself without end"), PLEASE_REPORT));
            }
            if seen.insert(function) {
                next.extend(calls.get(&function).into_iter().flat_map(|(_, called)| called));
            }
        }
    }
    Ok(())
}

/// The name of each section with code, and those to which it refers.
type Calls = HashMap<SectionIndex, (String, HashSet<SectionIndex>)>;

fn calls(object: &[u8]) -> object::Result<Calls> {
    let file = object::File::parse(object)?;
    let mut calls = Calls::new();
    for section in file.sections().filter(|section| section.kind() == object::SectionKind::Text) {
        let mut called = HashSet::new();
        for (_, relocation) in section.relocations() {
            let RelocationTarget::Symbol(symbol) = relocation.target() else { continue };
            let symbol = file.symbol_by_index(symbol)?;
            // A place within itself is no call: the table of a switch.
            let within =
                symbol.kind() == object::SymbolKind::Section && symbol.section_index() == Some(section.index());
            called.extend(symbol.section_index().filter(|_| !within));
        }
        calls.insert(section.index(), (section.name()?.to_owned(), called));
    }
    Ok(calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compiles C and asks.
    fn asked(text: &str) -> Result<(), Trouble> {
        let folder = tempfile::tempdir().expect("a directory");
        let gcc = Gcc::find(folder.path())?;
        let object = folder.path().join("program.o");
        compile(&gcc, Source::Text { name: "program.c", text }, &object, &link::Options::default())?;
        refuse_recursion(&read(&object)?)
    }

    #[test]
    fn a_helper_with_a_stack_of_its_own_is_refused() {
        let frame = |shadow| Frame { symbol: "memcpy".to_owned(), shadow, ..Frame::default() };
        refuse_stack(&[frame(Some(0)), frame(Some(0))]).expect("none has");
        for shadow in [Some(16), None] {
            let trouble = refuse_stack(&[frame(Some(0)), frame(shadow)]).expect_err("one has");
            assert_eq!(trouble.what, "the helper memcpy uses the module's own stack");
        }
    }

    #[test]
    fn a_helper_that_calls_itself_is_refused() {
        let fine = "unsigned long long __udivdi3(unsigned long long a, unsigned long long b) { return a + b; }
            int switched(int a) { switch (a) { case 0: return 5; case 1: return 77; case 2: return 1; case 3: return 9;
                case 4: return 1000; case 5: return 3; case 6: return 33; } return 0; }";
        asked(fine).expect("nothing calls itself");
        let divides = "unsigned long long __udivdi3(unsigned long long a, unsigned long long b) { return a / b; }";
        let trouble = asked(divides).expect_err("it does");
        assert_eq!(trouble.what, "the helper in .text.__udivdi3 would call itself without end");
        let around =
            "int __clzsi2(unsigned a); __attribute__((noinline)) int f(unsigned a) { return __builtin_clz(a) + 1; }
            int __clzsi2(unsigned a) { return f(a) + 1; }";
        assert!(asked(around).is_err());
    }
}
