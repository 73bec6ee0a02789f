//! The suite `sh4-random`: random modules on the emulated board, held against an interpreter.
//!
//! Compared: each call's result or trap, what imported functions were called with, exported global variables, and the whole
//! memory. Rules: a case is made from its number alone, so that each can be replayed; what could not be compared is counted,
//! with the reason.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use koboshi_sh4::tools::Trouble;

use super::generate::{COUNTERS, Case, FUEL, Generated, TANK, generate};
use super::machine::{Machine, Tools};
use super::oracle::{Foretold, foretell, watch};
use super::plan::{Action, Digest, Ends, Expect, Instance, Outcome, Plan, Row, Value};
use super::script::{Translate, translate_module};
use super::spec::cannot_begin;
use crate::suite::{Context, Report};
use koboshi_sh4::translate::{Trust, Type};

/// Cases of a full run.
const FULL: u64 = 2000;
/// Cases of a short run.
const QUICK: u64 = 48;
/// Cases of one image.
const BATCH: u64 = 24;
/// Threads: each compiles and runs images of its own.
const WORKERS: usize = 2;
/// Differences that are printed.
const MOST_LINES: usize = 20;

/// C of the functions that modules may import; the interpreter's are in `oracle`. All NaNs are one.
const HARNESS: &str = "\
static void note32(float x) { record_long(x != x ? ~0ull : bits32(x)); }
static void note64(double x) { record_long(x != x ? ~0ull : bits64(x)); }
void harness_note_i32(uint32_t x) { record_long(x); }
void harness_note_i64(uint64_t x) { record_long(x); }
void harness_note_f32(float x) { note32(x); }
void harness_note_f64(double x) { note64(x); }
uint32_t harness_draw(void) { record_word(1); return record; }
uint64_t harness_mix(uint64_t a, uint32_t b, double c, uint64_t d, float e)
{
	record_long(a);
	record_long(b);
	note64(c);
	record_long(d);
	note32(e);
	return (uint64_t)record << 8;
}
";

/// A case, ready for an image.
struct Ready {
    case: Case,
    generated: Generated,
    foretold: Foretold,
}

/// What was found.
#[derive(Clone, Debug, Default)]
struct Found {
    cases: u64,
    passed: u64,
    failed: u64,
    skipped: BTreeMap<&'static str, u64>,
    lines: Vec<String>,
    /// Calls by how they ended; those that came back are under that.
    ends: BTreeMap<String, u64>,
    calls: u64,
    counters: [u64; COUNTERS.len()],
    calls_with: [u64; COUNTERS.len()],
    bytes: u64,
}

impl Found {
    fn add(&mut self, other: Found) {
        self.cases += other.cases;
        self.passed += other.passed;
        self.failed += other.failed;
        for (reason, count) in other.skipped {
            *self.skipped.entry(reason).or_default() += count;
        }
        self.lines.extend(other.lines);
        for (end, count) in other.ends {
            *self.ends.entry(end).or_default() += count;
        }
        self.calls += other.calls;
        for (sum, one) in self.counters.iter_mut().zip(other.counters) {
            *sum += one;
        }
        for (sum, one) in self.calls_with.iter_mut().zip(other.calls_with) {
            *sum += one;
        }
        self.bytes += other.bytes;
    }

    fn skip(&mut self, reason: &'static str, count: u64) {
        if count > 0 {
            *self.skipped.entry(reason).or_default() += count;
        }
    }

    fn fail(&mut self, case: Case, why: &str) {
        self.failed += 1;
        self.lines.push(format!("case {case}: {why}"));
    }
}

/// What the assembler says when GCC uses the condition bit as the register of an address: `mov.b r0,@(3,t)`. It does so where
/// a module stores at the very result of a comparison, 0 or 1, which no compiler of modules makes.
const CONDITION_AS_ADDRESS: &str = "syntax error in @(disp,[Rn, gbr, pc])";

const BACK: &str = "came back";

/// Makes a case and asks the interpreter. `None`: there is nothing to run; `found` says why.
fn prepare(case: Case, found: &mut Found) -> Option<Ready> {
    found.cases += 1;
    let Some(generated) = generate(case) else {
        found.skip("cases whose bytes make no module, or one without functions of its own", 1);
        return None;
    };
    let foretold = match foretell(&generated) {
        Ok(foretold) => foretold,
        Err(puzzled) => {
            found.fail(case, &puzzled.to_string());
            return None;
        }
    };
    for call in &foretold.calls {
        found.calls += 1;
        let end = match call {
            Some(Expect::End(end)) if *end == Ends::MEMORY => "out of bounds memory access".to_owned(),
            Some(Expect::End(end)) => end.to_string(),
            Some(_) => BACK.to_owned(),
            None => "call stack exhausted".to_owned(),
        };
        *found.ends.entry(end).or_default() += 1;
    }
    if let Ok(happened) = watch(&generated) {
        for (at, count) in happened.counters.iter().enumerate() {
            found.counters[at] += count;
            found.calls_with[at] += happened.calls[at];
        }
        found.bytes += happened.bytes;
    }
    Some(Ready { case, generated, foretold })
}

/// The rows of a case, whose instance is number `instance`.
fn rows(ready: &Ready, instance: usize) -> Vec<Row> {
    let foretold = &ready.foretold;
    let begin = foretold.instantiation.map_or(Expect::Back, Expect::End);
    let mut rows = vec![Row { action: Action::Instantiate(instance), expect: begin }];
    if foretold.instantiation.is_some() {
        return rows;
    }
    for ((name, arguments), expect) in ready.generated.calls.iter().zip(&foretold.calls) {
        // Behind a call of which nothing is known, nothing is.
        let Some(expect) = expect.clone() else { return rows };
        rows.push(Row { action: Action::Call { instance, name: name.clone(), arguments: arguments.clone() }, expect });
    }
    let exactly = |bits: u32| Expect::Exactly(Value { kind: Type::I32, bits: bits.into() });
    rows.push(Row { action: Action::Record(instance), expect: exactly(foretold.record) });
    rows.extend(foretold.globals.iter().map(|(name, value)| Row {
        action: Action::Read { instance, name: name.clone() },
        expect: Expect::computed(*value),
    }));
    if let Some((bytes, pages)) = &foretold.memory {
        let digest = exactly(Digest::of_memory(bytes, *pages));
        rows.push(Row { action: Action::Digest(instance), expect: digest });
    }
    rows
}

/// Parts into which memory is divided, to find where it differs.
const PARTS: usize = 32;

/// Where the memory of a case first differs, and what is there: asks the board for the digests of smaller and smaller parts.
fn difference(case: Case, machine: &Machine) -> Option<String> {
    let ready = prepare(case, &mut Found::default())?;
    let (bytes, _) = ready.foretold.memory.as_ref()?;
    let mut range = 0..bytes.len();
    while range.len() > 4 {
        let step = range.len().div_ceil(PARTS).next_multiple_of(4);
        let parts: Vec<_> = range.clone().step_by(step).map(|from| from..(from + step).min(range.end)).collect();
        let mut plan = Plan { given: HARNESS.to_owned(), rows: rows(&ready, 0), ..Plan::default() };
        plan.instances.push(instance(&ready, 0, &translate_module).ok()?);
        let before = plan.rows.len();
        plan.rows.extend(parts.iter().map(|part| Row {
            action: Action::Part { instance: 0, from: part.start as u32, words: part.len() as u32 / 4 },
            expect: Expect::Exactly(Value { kind: Type::I32, bits: Digest::of_words(&bytes[part.clone()]).into() }),
        }));
        let ran = machine.run(&plan).ok()?;
        let differs = ran.outcomes[before..].iter().position(|outcome| *outcome != Outcome::Passed)?;
        range = parts[differs].clone();
        if range.len() == 4
            && let Outcome::Failed { code: 0, result } = ran.outcomes[before + differs]
        {
            let word = u32::from_le_bytes(bytes[range.clone()].try_into().ok()?);
            let got = Digest::word_of(result as u32);
            return Some(format!(
                "memory first differs at {:#x}: the interpreter: {word:#010x}; the board: {got:#010x}",
                range.start
            ));
        }
    }
    None
}

/// Translates a case, and binds what it imports.
fn instance(ready: &Ready, number: usize, translate: Translate<'_>) -> Result<Instance, Trouble> {
    let trust = if ready.generated.honest { Trust::Compiler } else { Trust::Nothing };
    let translated = translate(&ready.generated.binary, &format!("m{number}_"), trust)?;
    let links =
        translated.imported.iter().map(|import| (import.symbol.clone(), import.name.replace('.', "_"))).collect();
    let fuel = translated.globals.iter().find(|global| global.name == FUEL).map(|global| (global.symbol.clone(), TANK));
    Ok(Instance { translated, links, fuel })
}

/// Runs cases in one image, and those behind one that ends it in a further one.
fn run(mut pending: Vec<Ready>, machine: &Machine, translate: Translate<'_>, found: &mut Found) {
    while !pending.is_empty() {
        let mut plan = Plan { given: HARNESS.to_owned(), stack_excused: true, ..Plan::default() };
        let mut placed = Vec::new();
        for ready in std::mem::take(&mut pending) {
            // Elements beyond the table: the translator notices, and the case is done.
            let beyond = ready.foretold.instantiation == Some(Ends::default());
            match instance(&ready, placed.len(), translate) {
                Err(_) if beyond => found.passed += 1,
                Err(trouble) => found.fail(ready.case, &format!("not translated: {}", trouble.what)),
                Ok(_) if beyond => found.fail(ready.case, "translated, although its elements lie beyond its table"),
                Ok(instance) => {
                    plan.rows.extend(rows(&ready, placed.len()));
                    plan.instances.push(instance);
                    placed.push(ready);
                }
            }
        }
        if placed.is_empty() {
            return;
        }
        let ran = match machine.run(&plan) {
            Ok(ran) => ran,
            Err(trouble) if placed.len() == 1 && trouble.what.contains(CONDITION_AS_ADDRESS) => {
                found.skip(
                    "cases whose addresses are results of comparisons, which this GCC takes from where none can be",
                    1,
                );
                return;
            }
            Err(trouble) if placed.len() == 1 => {
                found.fail(placed[0].case, &trouble.what);
                return;
            }
            Err(_) => {
                // One of them cannot be compiled: which?
                placed.into_iter().for_each(|ready| run(vec![ready], machine, translate, found));
                return;
            }
        };
        let mut told = vec![false; placed.len()];
        let mut ended = None;
        for (row, outcome) in plan.rows.iter().zip(&ran.outcomes) {
            let at = row.action.instance();
            let case = placed[at].case;
            let got = outcome.told(plan.kind(row));
            match outcome {
                Outcome::Passed => found.passed += 1,
                Outcome::Excused => found.skip("calls that exhaust the stack, and what comes after them", 1),
                Outcome::Failed { .. } => {
                    found.failed += 1;
                    // What follows a difference differs too, as a rule.
                    if !std::mem::replace(&mut told[at], true) {
                        let Row { action, expect } = row;
                        found.lines.push(format!("case {case}: {action}: the interpreter: {expect}; the board: {got}"));
                    }
                }
                Outcome::NotReached => {
                    let trouble = ran.trouble.as_deref().unwrap_or("its console is not as it should be");
                    found.fail(case, &format!("{}: the image ended: {trouble}", row.action));
                    ended = Some(at);
                    break;
                }
            }
        }
        if let Some(ended) = ended {
            pending = placed.split_off(ended + 1);
        }
    }
}

/// Runs the suite.
#[must_use]
pub fn random(context: &Context<'_>) -> Report {
    let (first, count, seed) = match context.replay.map(str::parse::<Case>) {
        Some(Ok(case)) => (case.number, 1, case.seed),
        Some(Err(why)) => return Report { misused: Some(why), ..Report::default() },
        None => (0, context.count.unwrap_or(if context.quick { QUICK } else { FULL }), context.seed),
    };
    let tools = match Tools::find() {
        Ok(tools) => tools,
        Err(trouble) => return cannot_begin(&trouble),
    };
    let next = AtomicU64::new(0);
    let all = Mutex::new(Found::default());
    let work = || -> Result<(), Trouble> {
        let machine = Machine::new(&tools, context.replay.is_some())?;
        loop {
            let from = next.fetch_add(BATCH, Ordering::Relaxed);
            if from >= count {
                return Ok(());
            }
            let mut found = Found::default();
            let numbers = from..(from + BATCH).min(count);
            let cases = numbers.map(|number| Case { seed, number: first + number });
            let ready = cases.filter_map(|case| prepare(case, &mut found)).collect();
            run(ready, &machine, &translate_module, &mut found);
            if let Some(case) = context.replay.and_then(|case| case.parse().ok()).filter(|_| found.failed > 0) {
                found.lines.extend(difference(case, &machine));
            }
            if let Ok(mut all) = all.lock() {
                all.add(found);
                (context.progress)(all.cases, count);
            }
        }
    };
    let workers = WORKERS.min(usize::try_from(count.div_ceil(BATCH)).unwrap_or(WORKERS));
    let ends: Vec<Option<Trouble>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).map(Result::err).collect()
    });
    if let Some(trouble) = ends.iter().flatten().next() {
        return cannot_begin(trouble);
    }
    let mut report = told(&all.into_inner().unwrap_or_default());
    if ends.len() < workers {
        report.failed += 1;
        report.text += "a thread of the suite itself panicked: not all cases were run\n";
    }
    if context.replay.is_some() {
        let _ = writeln!(report.text, "sources and image: {}", Machine::kept_folder().display());
    }
    report
}

/// The result in words.
fn told(found: &Found) -> Report {
    let mut text = String::new();
    for line in found.lines.iter().take(MOST_LINES) {
        let _ = writeln!(text, "{line}");
    }
    if found.lines.len() > MOST_LINES {
        let _ = writeln!(text, "and {} cases more", found.lines.len() - MOST_LINES);
    }
    if let Some(case) = found.lines.first().and_then(|line| line.split([' ', ':']).nth(1)) {
        let _ = writeln!(text, "to replay a case: cargo koboshi test sh4-random --replay {case}\n");
    }
    let share = |part: u64| part as f64 * 100.0 / found.calls.max(1) as f64;
    let _ = writeln!(text, "{} modules, {} calls, of which", found.cases, found.calls);
    let mut ends: Vec<_> = found.ends.iter().collect();
    ends.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (end, count) in ends {
        let end = match end.as_str() {
            BACK => BACK.to_owned(),
            "unreachable" => "trapped: unreachable (as when the fuel is used up)".to_owned(),
            end => format!("trapped: {end}"),
        };
        let _ = writeln!(text, "{count:>10} {:>5.1} %  {end}", share(*count));
    }
    for (at, name) in COUNTERS.iter().enumerate() {
        let (count, calls) = (found.counters[at], found.calls_with[at]);
        let _ = writeln!(text, "{calls:>10} {:>5.1} %  did {name}: {count} in all", share(calls));
    }
    let _ = writeln!(text, "{} bytes of memory were not zero at the end.", found.bytes);
    text += "Every fourth module was translated as a compiler's is, whose alignment hints are true; the others without trust.\n";
    for (reason, count) in &found.skipped {
        let _ = writeln!(text, "skipped: {count} {reason}");
    }
    Report { passed: found.passed, failed: found.failed, text, misused: None }
}

#[cfg(test)]
mod tests {
    use koboshi_sh4::tools::Trouble;
    use koboshi_sh4::translate::{Translated, Trust};

    use super::{Found, prepare, run};
    use crate::sh4::generate::Case;
    use crate::sh4::machine::{Machine, Tools};
    use crate::sh4::script::{Translate, altered, translate_module};

    fn tried(cases: u64, translate: Translate<'_>) -> Found {
        let machine = Machine::new(&Tools::find().unwrap(), false).unwrap();
        let mut found = Found::default();
        let ready = (0..cases).filter_map(|number| prepare(Case { seed: 1, number }, &mut found)).collect();
        run(ready, &machine, translate, &mut found);
        found
    }

    #[test]
    fn the_board_and_the_interpreter_agree() {
        let found = tried(8, &translate_module);
        assert_eq!((found.failed, found.lines), (0, Vec::new()));
        assert!(found.passed > 8 * 5, "{}", found.passed);
    }

    #[test]
    fn a_wrong_translation_is_found() {
        // Of one instruction, in one way: exclusive or becomes or, in code but not in what all modules have in common.
        let wrong = |module: &[u8], prefix: &str, trust: Trust| -> Result<Translated, Trouble> {
            let mut translated = translate_module(module, prefix, trust)?;
            translated.source = altered(&translated.source, prefix, |code| code.replace(" ^ ", " | "));
            Ok(translated)
        };
        let found = tried(8, &wrong);
        assert!(found.failed > 0 && found.lines[0].starts_with("case 1."), "{:?}", found.lines);
    }
}
