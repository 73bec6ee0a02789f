//! The suite `sh4-field`: Rust of the field's own kind computes on SH-4 what it computes on this machine, and needs no more
//! of its stacks than was reckoned.
//!
//! Job: build `sh4-programs/field` for this machine and for the board, run both with the same seeds, compare what they
//! write line by line. A panic has to say the same too, and to trap at its place. Then the stacks: both are filled with a
//! pattern before each call, and what of it was changed is held against [`koboshi_sh4::stack::Calls::bounds`].
//!
//! Rules: each line that differs has failed, and so has each that is missing. Altered translations have to be noticed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use koboshi_sh4::board::{Board, Image, Run, STACK_SIZE, watch};
use koboshi_sh4::link::{Cpu, Optimise, Options, Source, compile};
use koboshi_sh4::program::{Artifact, Built, Program, build_helpers};
use koboshi_sh4::stack::{Bounds, Calls, Worst};
use koboshi_sh4::tools::{Gcc, Qemu, Rust, Trouble};
use koboshi_sh4::translate::{self, Translated, Trust, translate};

use super::machine::cache;
use super::spec::cannot_begin;
use crate::suite::{Context, Report};

/// Addresses of the module, in a space of the board: page 0 stays free.
const BASE: u32 = 0x1_0000;
/// The shadow stack. Three floating-point numbers in one line of `core::fmt` take some KiB.
const SHADOW: u32 = 0x1_0000;
/// A page of a space of the board.
const SPACE_PAGE: u32 = 0x1_0000;
/// What an image may write. A seed makes some 300 KiB.
const MOST_OUTPUT: usize = 32 << 20;
/// An image that has not ended then loops. They take some seconds.
const TIME_LIMIT: Duration = Duration::from_secs(300);
/// `TRAP_UNREACHABLE` of `traps.h`: what comes behind a panic.
const UNREACHABLE: u32 = 0x40;
/// Differing lines that are printed of a run.
const MOST_LINES: usize = 30;
/// Of a bound, programs without calls through pointers have to need at least this part, as one in so many ...
const TIGHT: u32 = 2;
/// ... but for so many bytes: what GCC does not tell of is in each bound, needed or not.
const SLACK: u32 = 40;

/// What runs: how it is optimised, and on which processor.
const FORMS: [(Optimise, Cpu); 4] = [
    (Optimise::Speed, Cpu::Sh4),
    (Optimise::Size, Cpu::Sh4),
    (Optimise::Speed, Cpu::Sh4a),
    (Optimise::Size, Cpu::Sh4a),
];

/// The seeds beside that of the run.
const SEEDS: [u32; 3] = [1, 77, 0xffff_fff0];

/// A mistake that the suite has to notice.
struct Alteration {
    about: &'static str,
    /// In the translated source.
    from: &'static str,
    to: &'static str,
}

const ALTERATIONS: [Alteration; 6] = [
    Alteration {
        about: "a misaligned word is put together in the wrong order",
        from: "return low | load16_1(a + 2) << 16;",
        to: "return low << 16 | load16_1(a + 2);",
    },
    Alteration {
        about: "a misaligned store leaves a byte out",
        from: "store16_1(a + 2, x >> 16);",
        to: "store8_1(a + 2, x >> 16);",
    },
    Alteration {
        about: "64 bits are divided without their sign",
        from: "(int##bits##_t)a / (int##bits##_t)b",
        to: "a / b",
    },
    Alteration {
        about: "a shift of 64 bits to the right loses the sign",
        from: "(uint64_t)((int64_t)",
        to: "(uint64_t)((uint64_t)",
    },
    Alteration {
        about: "an unsigned integer becomes a float as if it had a sign",
        from: "return (double)(int32_t)(x ^ 0x80000000u) + 2147483648.0;",
        to: "return (double)(int32_t)x;",
    },
    Alteration { about: "a panic does not trap", from: "trapa #%O0 ! ", to: "nop ! %O0 " },
];

/// What a program has done with a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Section {
    name: String,
    seed: u32,
    lines: Vec<String>,
    end: End,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// It came back. On the board: with the bytes that it has used of the machine's stack and of the shadow stack.
    Back(Option<[u32; 2]>),
    /// It panicked, on this machine.
    Panic,
    /// It trapped, on the board: which trap, where, and the address that it used.
    Trap([u32; 3]),
    /// Nobody knows.
    Lost,
}

/// Reads what either side writes: `== NAME SEED`, text, `== end MACHINE SHADOW`, `== panic` or `== trap CODE PC ADDRESS`.
fn sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let open = sections.last_mut().filter(|section| section.end == End::Lost);
        let number = |at: usize, radix| words.get(at).and_then(|word| u32::from_str_radix(word, radix).ok());
        match (words.as_slice(), open) {
            (["==", "end", ..], Some(open)) => open.end = End::Back(number(2, 10).zip(number(3, 10)).map(Into::into)),
            (["==", "panic"], Some(open)) => open.end = End::Panic,
            (["==", "trap", ..], Some(open)) => {
                open.end = End::Trap([2, 3, 4].map(|at| number(at, 16).unwrap_or_default()));
            }
            (["==", name, seed], _) => sections.push(Section {
                name: (*name).to_owned(),
                seed: seed.parse().unwrap_or_default(),
                lines: Vec::new(),
                end: End::Lost,
            }),
            (_, Some(open)) => open.lines.push(line.to_owned()),
            (_, None) => {}
        }
    }
    sections
}

/// Runs the programs on this machine.
fn on_host(seeds: &[u32]) -> Result<Vec<Section>, Trouble> {
    let target = cache().join("field/host");
    let cargo =
        |error: &str| Trouble::new(format!("the programs cannot be run on this machine: {error}"), "mend them.");
    let mut command = Command::new("cargo");
    command.args(["run", "--quiet", "--release", "--bin", "on-host", "--target-dir"]).arg(target).arg("--");
    command.args(seeds.iter().map(u32::to_string)).current_dir(folder()).stdin(Stdio::null());
    let output = command.output().map_err(|error| cargo(&error.to_string()))?;
    if !output.status.success() {
        return Err(cargo(&String::from_utf8_lossy(&output.stderr)));
    }
    Ok(sections(&String::from_utf8_lossy(&output.stdout)))
}

/// The crate of the programs.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sh4-programs/field")
}

/// All that one form is made with.
struct Bench {
    gcc: Gcc,
    cpu: Cpu,
    optimise: Optimise,
    board: Board,
    directory: PathBuf,
    translated: Translated,
    /// Objects beside the module's own.
    objects: Vec<PathBuf>,
    /// Their call graphs, as GCC writes them.
    calls: Vec<PathBuf>,
}

impl Bench {
    /// Builds all but the module's C.
    fn new(gcc: &Gcc, (optimise, cpu): (Optimise, Cpu), seeds: &[u32]) -> Result<Self, Trouble> {
        let rust = Rust::find()?;
        let directory = cache().join(format!("field/{}{}", optimise.level().trim_matches('\''), cpu.option()));
        let board = Board::new(gcc, &directory)?;
        let program = Program {
            folder: folder(),
            package: None,
            artifact: Artifact::Library,
            features: Vec::new(),
            exports: Vec::new(),
            base: BASE,
            stack: SHADOW,
            target_folder: cache().join("field/target"),
            optimise: Some(optimise),
        };
        let built = program.build(&rust)?;
        let options = translate::Options { prefix: String::new(), trust: Trust::Compiler, lines: true };
        let translated = translate(&built.wasm, &options)?;
        let helpers = build_helpers(&rust, gcc, cpu, &cache())?;
        let driver = board.compile_for(cpu, "driver.c", &driver(&built, &translated, seeds))?;
        let calls = board.calls().iter().cloned().chain(driver.calls).chain([helpers.calls]).collect();
        let objects = vec![helpers.object, driver.object];
        Ok(Bench { gcc: gcc.clone(), cpu, optimise, board, directory, translated, objects, calls })
    }

    /// Compiles the module, as it is or altered, and links it.
    fn image(&self, name: &str, source: &str) -> Result<(Image, Option<PathBuf>), Trouble> {
        let text = Source::Text { name: &format!("{name}.c"), text: source };
        let options = Options::translated(self.cpu, self.optimise);
        let module = compile(&self.gcc, text, &self.directory.join(format!("{name}.o")), &options)?;
        let objects: Vec<PathBuf> = self.objects.iter().cloned().chain([module.object]).collect();
        Ok((self.board.image(&format!("{name}-image"), &objects)?, module.calls))
    }

    /// Runs an image: what it wrote, and how it ended, if not well.
    fn run(&self, image: &Image) -> Result<(Vec<Section>, Option<String>), Trouble> {
        let how = Run { cpu: self.cpu, time_limit: TIME_LIMIT, output_limit: MOST_OUTPUT, ..Run::default() };
        let watched = watch(Qemu::find()?.path(), &image.raw, &how)?;
        let trouble = match watched.end {
            Ok(0) => None,
            Ok(code) => Some(format!("the image ended with code {code}")),
            Err(trouble) => Some(trouble.what),
        };
        Ok((sections(&watched.text), trouble))
    }

    /// The function of an instruction and its line of source, as the debugger would know them.
    fn place(&self, image: &Image, pc: u32) -> Result<String, Trouble> {
        let mut tool = self.gcc.binutil("addr2line");
        tool.arg("-fe").arg(&image.elf).arg(format!("{pc:#x}"));
        let told = tool.output().map_err(|error| {
            Trouble::new(format!("addr2line cannot be run: {error}"), "install the binutils of the SuperH GCC.")
        })?;
        let told = String::from_utf8_lossy(&told.stdout).trim().to_owned();
        Ok(told.split(" (").next().unwrap_or_default().replace('\n', " at "))
    }
}

/// The C that calls the programs.
fn driver(built: &Built, translated: &Translated, seeds: &[u32]) -> String {
    let extent = &built.extent;
    let mut text = String::from("#include \"board.h\"\n");
    let values = [
        ("MEMORY_PAGES", extent.stack.end.div_ceil(SPACE_PAGE)),
        ("DATA_LOW", extent.data.start),
        ("DATA_HIGH", extent.data.end),
        ("STACK_SIZE", STACK_SIZE),
        ("SHADOW_LOW", extent.stack.start),
        ("SHADOW_HIGH", translated.stack_pointer.unwrap_or(extent.stack.end)),
    ];
    for (name, value) in values {
        let _ = writeln!(text, "#define {name} {value:#x}u");
    }
    let full = || translated.segments.iter().filter(|segment| !segment.bytes.is_empty()).enumerate();
    for (at, segment) in full() {
        let bytes: Vec<String> = segment.bytes.iter().map(u8::to_string).collect();
        let _ = writeln!(text, "static const uint8_t segment{at}[] = {{ {} }};", bytes.join(","));
    }
    text += "static const struct { uint32_t address, size; const uint8_t *bytes; } segments[] = {\n";
    for (at, segment) in full() {
        let _ = writeln!(text, "  {{ {:#x}u, sizeof segment{at}, segment{at} }},", segment.address);
    }
    text += "};\nstruct program { const char *name; void *function; uint32_t silent; };\n";
    for name in names(translated) {
        let _ = writeln!(text, "void {name}(uint32_t);");
    }
    text += "static const struct program programs[] = {\n";
    for name in names(translated) {
        let _ = writeln!(text, "  {{ \"{name}\", {name}, {} }},", u32::from(name.starts_with("silent_")));
    }
    let seeds: Vec<String> = seeds.iter().map(|seed| format!("{seed}u")).collect();
    let _ = writeln!(text, "}};\nstatic const uint32_t seeds[] = {{ {} }};", seeds.join(", "));
    text + include_str!("field/board.c")
}

/// The programs that the module exports.
fn names(translated: &Translated) -> impl Iterator<Item = &str> {
    let symbols = translated.functions.iter().map(|function| function.symbol.as_str());
    symbols.filter(|symbol| ["field_", "panic_", "silent_"].iter().any(|start| symbol.starts_with(start)))
}

/// What came of a comparison.
#[derive(Default)]
struct Compared {
    same: u64,
    different: Vec<String>,
}

impl Compared {
    fn check(&mut self, holds: bool, text: impl FnOnce() -> String) {
        if holds { self.same += 1 } else { self.different.push(text()) }
    }
}

/// Compares what both sides have written.
///
/// `place` says whether an instruction is where a panic ends.
fn compare(host: &[Section], board: &[Section], place: impl Fn(u32) -> Result<(), String>) -> Compared {
    let mut compared = Compared::default();
    let mut of_board: BTreeMap<(&str, u32), &Section> = BTreeMap::new();
    of_board.extend(board.iter().map(|section| ((section.name.as_str(), section.seed), section)));
    let nothing = Section { name: String::new(), seed: 0, lines: Vec::new(), end: End::Lost };
    for Section { name, seed, lines, end } in host {
        let board = of_board.remove(&(name.as_str(), *seed)).unwrap_or(&nothing);
        for at in 0..lines.len().max(board.lines.len()) {
            let (right, found) = (lines.get(at), board.lines.get(at));
            compared.check(right == found, || {
                let told = |line: Option<&String>| line.map_or("(nothing)".to_owned(), |line| format!("`{line}`"));
                format!("{name}, seed {seed}, line {}:\n  host  {}\n  board {}", at + 1, told(right), told(found))
            });
        }
        let why = match (end, &board.end) {
            (End::Back(_), End::Back(_)) => Ok(()),
            (End::Panic, End::Trap([UNREACHABLE, pc, _])) => place(*pc),
            (_, End::Trap([code, pc, address])) => {
                Err(format!("{end:?} on the host, trap {code:#x} at {pc:#010x}, address {address:#010x} on the board"))
            }
            (right, found) => Err(format!("{right:?} on the host, {found:?} on the board")),
        };
        compared.check(why.is_ok(), || format!("{name}, seed {seed}: {}", why.err().unwrap_or_default()));
    }
    compared.different.extend(of_board.keys().map(|(name, seed)| format!("{name}, seed {seed}: not on the host")));
    compared
}

/// Whether a place is where each panic ends: in the crate's panic handler, or in `core::panicking`, if the compiler has put
/// it there; at the `unreachable` of [`core::arch`], or at the crate's own call of it.
fn ends_a_panic(place: &str) -> bool {
    let line = include_str!("../../sh4-programs/field/src/lib.rs").lines();
    let call = line.take_while(|line| !line.contains("core::arch::wasm32::unreachable()")).count() + 1;
    let in_function = ["core_panicking_panic", "rust_begin_unwind"].iter().any(|name| place.contains(name));
    in_function && (place.contains("wasm32/mod.rs:") || place.ends_with(&format!("src/lib.rs:{call}")))
}

/// What a program needs of a stack, at most and measured.
struct Need<'a> {
    worst: &'a Worst,
    measured: u32,
}

impl Need<'_> {
    fn told(&self) -> String {
        match self.worst.is_bound() {
            true => format!("{:>7} {:>7}", self.worst.bytes, self.measured),
            false => format!("{:>7} {:>7}", "-", self.measured),
        }
    }

    fn holds(&self) -> bool {
        !self.worst.is_bound() || self.measured <= self.worst.bytes
    }

    /// Where nothing is called through a pointer, the bound is near what is needed.
    fn is_tight(&self) -> bool {
        !self.worst.is_bound() || !self.worst.indirect.is_empty() || self.worst.bytes <= TIGHT * self.measured + SLACK
    }
}

/// A name as a person knows it.
fn readable(symbol: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(symbol))
}

/// Why a bound is none, or may be larger than need be.
fn why(Bounds { machine, shadow, .. }: &Bounds) -> String {
    let mut reasons = Vec::new();
    for (stack, worst) in [("machine", machine), ("shadow", shadow)] {
        if let Some(symbol) = worst.unknown.first() {
            reasons.push(format!("{stack}: {} is not known", readable(symbol)));
        } else if let Some(symbol) = worst.pointers.first() {
            reasons.push(format!("{stack}: C in {} calls through a pointer", readable(symbol)));
        } else if let Some(circle) = worst.recursion.iter().min_by_key(|circle| circle.len()) {
            let circle: Vec<String> = circle.iter().take(2).map(|symbol| readable(symbol)).collect();
            reasons.push(format!("{stack}: recursion of {}", circle.join(", ")));
        }
    }
    if reasons.is_empty() && !machine.indirect.is_empty() {
        reasons.push("calls through pointers".to_owned());
    }
    reasons.join("; ")
}

/// Holds what was measured against what was reckoned.
fn stacks(bench: &Bench, module_calls: Option<PathBuf>, board: &[Section], report: &mut Report) -> Result<(), Trouble> {
    let graphs = bench.calls.iter().cloned().chain(module_calls).map(|path| {
        std::fs::read_to_string(&path).map_err(|error| {
            Trouble::new(format!("{} cannot be read: {error}", path.display()), "is it there, and may you read it?")
        })
    });
    let calls = Calls::new(&graphs.collect::<Result<Vec<_>, _>>()?, &[&bench.translated])?;
    let _ = writeln!(report.text, "\n{:<20}{:>15}{:>17}", "bytes of stack", "machine", "shadow");
    let _ =
        writeln!(report.text, "{:<20}{:>7} {:>7}  {:>7} {:>7}  remarks", "program", "most", "found", "most", "found");
    let mut remark = String::new();
    for name in names(&bench.translated).filter(|name| !name.starts_with("panic_")) {
        let found = board.iter().filter(|section| section.name == name).filter_map(|section| match section.end {
            End::Back(found) => found,
            _ => None,
        });
        let Some([machine, shadow]) = found.reduce(|one, other| [one[0].max(other[0]), one[1].max(other[1])]) else {
            report.failed += 1;
            let _ = writeln!(report.text, "{name:<20}not measured");
            continue;
        };
        let bounds = calls.bounds(name)?;
        let machine = Need { worst: &bounds.machine, measured: machine };
        let shadow = Need { worst: &bounds.shadow, measured: shadow };
        let verdict = match (machine.holds() && shadow.holds(), machine.is_tight() && shadow.is_tight()) {
            (true, true) => "",
            (true, false) => "FAR FROM WHAT IS NEEDED ",
            (false, _) => "WRONG ",
        };
        if verdict.is_empty() {
            report.passed += 1
        } else {
            report.failed += 1
        }
        let (machine, shadow, why) = (machine.told(), shadow.told(), why(&bounds));
        let told = if why == remark && !why.is_empty() { "as above" } else { &why };
        let _ = writeln!(report.text, "{name:<20}{machine}  {shadow}  {verdict}{told}");
        remark = why;
    }
    Ok(())
}

/// Runs the suite.
#[must_use]
pub fn field(context: &Context<'_>) -> Report {
    let mut report = Report::default();
    match run(context, &mut report) {
        Ok(()) => report,
        Err(trouble) if report == Report::default() => cannot_begin(&trouble),
        Err(trouble) => {
            report.failed += 1;
            let _ = writeln!(report.text, "{}\n{}", trouble.what, trouble.remedy);
            report
        }
    }
}

/// What all programs are run with: each seed once, for a line is found by its program and seed.
fn seeds(own: u32, quick: bool) -> Vec<u32> {
    let others = SEEDS.into_iter().filter(|seed| !quick && *seed != own);
    [own].into_iter().chain(others).collect()
}

fn run(context: &Context<'_>, report: &mut Report) -> Result<(), Trouble> {
    let gcc = Gcc::find(&cache())?;
    let own = context.seed as u32;
    let seeds = seeds(own, context.quick);
    let forms = if context.quick { &FORMS[..1] } else { &FORMS };
    let alterations = if context.quick { &ALTERATIONS[..1] } else { &ALTERATIONS };
    let steps = (forms.len() + alterations.len()) as u64;
    let host = on_host(&seeds)?;
    for (done, form) in forms.iter().enumerate() {
        (context.progress)(done as u64, steps);
        let bench = Bench::new(&gcc, *form, &seeds)?;
        let (image, calls) = bench.image("module", &bench.translated.source)?;
        let (board, trouble) = bench.run(&image)?;
        let compared = compare(&host, &board, |pc| match bench.place(&image, pc) {
            Ok(place) if ends_a_panic(&place) => Ok(()),
            Ok(place) => Err(format!("it traps in {place}, where no panic ends")),
            Err(trouble) => Err(trouble.what),
        });
        report.passed += compared.same;
        report.failed += compared.different.len() as u64 + u64::from(trouble.is_some());
        let _ = writeln!(
            report.text,
            "opt-level {}, {}: {} lines and ends are the same, {} differ",
            form.0.level().trim_matches('\''),
            form.1.option().trim_start_matches('-'),
            compared.same,
            compared.different.len()
        );
        for line in compared.different.iter().take(MOST_LINES).chain(trouble.iter()) {
            let _ = writeln!(report.text, "{line}");
        }
        if form.1 == Cpu::Sh4 {
            stacks(&bench, calls, &board, report)?;
        }
    }
    // All in one form: what is altered stands in each.
    let bench = Bench::new(&gcc, FORMS[0], &seeds[..1])?;
    let host: Vec<Section> = host.into_iter().filter(|section| section.seed == seeds[0]).collect();
    for (done, Alteration { about, from, to }) in alterations.iter().enumerate() {
        (context.progress)((forms.len() + done) as u64, steps);
        let altered = bench.translated.source.replace(from, to);
        let (image, _) = bench.image("altered", &altered)?;
        let (board, trouble) = bench.run(&image)?;
        let different = compare(&host, &board, |_| Ok(())).different;
        let noticed = altered != bench.translated.source && (!different.is_empty() || trouble.is_some());
        if noticed {
            report.passed += 1
        } else {
            report.failed += 1
        }
        let verdict =
            if noticed { format!("noticed, in {} places", different.len()) } else { "NOT NOTICED".to_owned() };
        let _ = writeln!(report.text, "mistake: {about}: {verdict}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "== field_a 1\none\ntwo\n== end\n== panic_b 1\nmessage\n== panic\n";
    const BOARD: &str =
        "== field_a 1\none\ntwo\n== end 16 8\n== panic_b 1\nmessage\n== trap 00000040 40000010 00000000\n";

    fn different(board: &str) -> Vec<String> {
        compare(&sections(HOST), &sections(board), |pc| if pc == 0x4000_0010 { Ok(()) } else { Err("where".into()) })
            .different
    }

    #[test]
    fn no_seed_comes_twice() {
        assert_eq!(seeds(5, false), [5, 1, 77, 0xffff_fff0]);
        assert_eq!(seeds(1, false), [1, 77, 0xffff_fff0], "one of the suite's own is the command's default");
        assert_eq!(seeds(1, true), [1]);
    }

    #[test]
    fn the_same_text_is_the_same() {
        assert_eq!(different(BOARD), [""; 0]);
    }

    #[test]
    fn every_difference_is_told() {
        let changed = [
            ("two\n", "2\n", "field_a, seed 1, line 2:\n  host  `two`\n  board `2`"),
            ("two\n", "", "line 2:\n  host  `two`\n  board (nothing)"),
            ("two\n", "two\nthree\n", "line 3:\n  host  (nothing)\n  board `three`"),
            ("trap 00000040", "trap 00000041", "trap 0x41"),
            ("40000010", "40000012", "panic_b, seed 1: where"),
            ("== end 16 8", "== trap 00000080 40000000 00000000", "trap 0x80"),
            ("== trap 00000040 40000010 00000000", "== end 4 4", "Panic on the host"),
            ("== trap 00000040 40000010 00000000\n", "", "Lost on the board"),
            ("field_a", "field_c", "not on the host"),
        ];
        for (from, to, told) in changed {
            let different = different(&BOARD.replace(from, to));
            assert!(different.iter().any(|line| line.contains(told)), "{told}: {different:?}");
        }
    }
}
