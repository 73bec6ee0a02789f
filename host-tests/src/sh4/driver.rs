//! The C that runs a plan on the board, and how its console is read.
//!
//! Rows are constant data and one thunk stands for each exported function, so that the compiler's work is small whatever
//! the number of rows. Rules: each call is made under `board_try`; each row leaves one mark on the console, in order, so
//! that the host knows which row was under way when an image ends.

use std::collections::HashMap;
use std::fmt::Write;

use koboshi_sh4::translate::Type;

use super::plan::{Action, DIGEST_FACTOR, Expect, Instance, Outcome, Plan};

/// How C calls a type.
#[must_use]
pub fn c_type(kind: Type) -> &'static str {
    match kind {
        Type::I32 => "uint32_t",
        Type::I64 => "uint64_t",
        Type::F32 => "float",
        Type::F64 => "double",
    }
}

/// The C prototype of a function, which others know by `symbol`: symbols need not be names in C.
#[must_use]
pub fn declaration(name: &str, symbol: &str, parameters: &[Type], results: &[Type]) -> String {
    format!("{} __asm__(\"{symbol}\");", prototype(name, parameters, results))
}

/// The C prototype of a function.
#[must_use]
pub fn prototype(symbol: &str, parameters: &[Type], results: &[Type]) -> String {
    let result = results.first().map_or("void", |kind| c_type(*kind));
    let parameters: Vec<_> = parameters.iter().enumerate().map(|(n, kind)| format!("{} p{n}", c_type(*kind))).collect();
    let parameters = if parameters.is_empty() { "void".to_owned() } else { parameters.join(", ") };
    format!("{result} {symbol}({parameters})")
}

/// The source of an instance's module, its imports bound to what stands for them.
#[must_use]
pub fn module_source(instance: &Instance) -> String {
    let mut source = instance.translated.source.clone();
    for (symbol, target) in instance.links.iter().filter(|(symbol, target)| symbol != target) {
        source = source.replace(&format!("__asm__(\"{symbol}\")"), &format!("__asm__(\"{target}\")"));
    }
    source
}

/// Numbers of `enum action` in the driver.
const INSTANTIATE: u32 = 0;
const CALL: u32 = 1;
const DIGEST: u32 = 2;
const RECORD: u32 = 3;
const READ: u32 = 4;
const PART: u32 = 5;

/// The thunks that rows need, each once.
#[derive(Default)]
struct Thunks {
    numbers: HashMap<(usize, String), usize>,
    source: String,
}

impl Thunks {
    fn number(&mut self, key: (usize, String), body: impl FnOnce(usize) -> String) -> usize {
        let next = self.numbers.len();
        *self.numbers.entry(key).or_insert_with(|| {
            self.source += &body(next);
            next
        })
    }
}

/// What packs a value of this type into 64 bits.
fn packed(kind: Type, value: &str) -> String {
    match kind {
        Type::I32 | Type::I64 => value.to_owned(),
        Type::F32 => format!("bits32({value})"),
        Type::F64 => format!("bits64({value})"),
    }
}

/// Thunk `number`, which calls a function.
fn call_thunk(number: usize, symbol: &str, parameters: &[Type], results: &[Type]) -> String {
    let arguments: Vec<_> = parameters
        .iter()
        .enumerate()
        .map(|(at, kind)| match kind {
            Type::I32 => format!("(uint32_t)arguments[{at}]"),
            Type::I64 => format!("arguments[{at}]"),
            Type::F32 => format!("of32(arguments[{at}])"),
            Type::F64 => format!("of64(arguments[{at}])"),
        })
        .collect();
    let name = format!("call_{number}");
    let call = format!("{name}({})", arguments.join(", "));
    let body = match results.first() {
        Some(kind) => format!("*result = {};", packed(*kind, &call)),
        None => format!("{call};"),
    };
    format!(
        "{}\nstatic void thunk_{number}(const uint64_t *arguments, uint64_t *result)\n{{\n\t(void)arguments;\n\t(void)result;\n\t{body}\n}}\n",
        declaration(&name, symbol, parameters, results)
    )
}

/// Thunk `number`, which reads a variable.
fn read_thunk(number: usize, symbol: &str, kind: Type, mutable: bool) -> String {
    let constant = if mutable { "" } else { "const " };
    format!(
        "extern {constant}{} read_{number} __asm__(\"{symbol}\");\nstatic void thunk_{number}(const uint64_t *arguments, uint64_t *result)\n{{\n\t(void)arguments;\n\t*result = {};\n}}\n",
        c_type(kind),
        packed(kind, &format!("read_{number}"))
    )
}

/// Alternatives of an expectation, as rows of `struct choice`.
fn choices(expect: &Expect, out: &mut Vec<String>) {
    match expect {
        Expect::Back => out.push("{ BACK, 0, 0 }".to_owned()),
        Expect::Exactly(value) => out.push(format!("{{ BITS, 0, {:#x}ull }}", value.bits)),
        Expect::AnyNan(Type::F32) => out.push("{ NAN32, 0, 0 }".to_owned()),
        Expect::AnyNan(_) => out.push("{ NAN64, 0, 0 }".to_owned()),
        Expect::End(ends) => out.push(format!("{{ END, {:#x}u, 0 }}", ends.bits())),
        Expect::OneOf(some) => some.iter().for_each(|one| choices(one, out)),
    }
}

/// The C source of the driver.
#[must_use]
pub fn source(plan: &Plan) -> String {
    let mut thunks = Thunks::default();
    let (mut rows, mut arguments, mut alternatives) = (String::new(), Vec::new(), Vec::new());
    for row in &plan.rows {
        let at = row.action.instance();
        let instance = &plan.instances[at];
        let first_argument = arguments.len();
        let (action, thunk) = match &row.action {
            Action::Instantiate(_) => (INSTANTIATE, 0),
            Action::Digest(_) => (DIGEST, 0),
            Action::Part { from, words, .. } => {
                arguments.extend([format!("{from:#x}"), words.to_string()]);
                (PART, 0)
            }
            Action::Record(_) => (RECORD, 0),
            Action::Call { name, arguments: given, .. } => {
                arguments.extend(given.iter().map(|value| format!("{:#x}ull", value.bits)));
                let function = instance.function(name);
                let thunk = thunks.number((at, format!("call {name}")), |number| match function {
                    Some(function) => {
                        call_thunk(number, instance.resolve(&function.symbol), &function.parameters, &function.results)
                    }
                    None => String::new(),
                });
                (CALL, thunk)
            }
            Action::Read { name, .. } => {
                let global = instance.global(name);
                let thunk = thunks.number((at, format!("read {name}")), |number| match global {
                    Some(global) => read_thunk(number, instance.resolve(&global.symbol), global.kind, global.mutable),
                    None => String::new(),
                });
                (READ, thunk)
            }
        };
        let first_choice = alternatives.len();
        choices(&row.expect, &mut alternatives);
        let count = alternatives.len() - first_choice;
        let _ = writeln!(rows, "\t{{ {action}, {at}, {thunk}, {count}, {first_choice}, {first_argument} }},");
    }
    let mut driver = format!("#define DIGEST_FACTOR {DIGEST_FACTOR:#x}u\n{HEAD}");
    let _ = writeln!(driver, "{}\n{}", plan.given, thunks.source);
    let names: Vec<_> = (0..thunks.numbers.len()).map(|number| format!("thunk_{number}")).collect();
    let _ = writeln!(driver, "static thunk *const thunks[] = {{ {} }};", or_zero(names.join(", ")));
    let _ = writeln!(driver, "static const uint64_t given[] = {{ {} }};", or_zero(arguments.join(", ")));
    let _ = writeln!(driver, "static const struct choice choices[] = {{ {} }};", alternatives.join(", "));
    let _ = writeln!(driver, "static const struct row rows[] = {{\n{rows}}};");
    driver += &instances(plan);
    let _ = writeln!(driver, "#define ROWS {}u", plan.rows.len());
    let _ = writeln!(driver, "#define INSTANCES {}u", plan.instances.len().max(1));
    let _ = writeln!(driver, "#define STACK_EXCUSED {}", u32::from(plan.stack_excused));
    driver + TAIL
}

/// C has no empty initializers.
fn or_zero(list: String) -> String {
    if list.is_empty() { "0".to_owned() } else { list }
}

/// Pages of a memory that says no maximum: all that 32 bits can address.
const MOST_PAGES: u32 = 0x1_0000;

fn instances(plan: &Plan) -> String {
    let (mut source, mut table, mut segments, mut count) = (String::new(), String::new(), String::new(), 0);
    for (at, instance) in plan.instances.iter().enumerate() {
        let first = count;
        for segment in &instance.translated.segments {
            let bytes: Vec<_> = segment.bytes.iter().map(u8::to_string).collect();
            let _ = writeln!(source, "static const uint8_t data_{count}[] = {{ {} }};", or_zero(bytes.join(",")));
            let length = segment.bytes.len();
            let _ = writeln!(segments, "\t{{ {:#x}u, {length}u, data_{count} }},", segment.address);
            count += 1;
        }
        let start = match &instance.translated.start {
            Some(symbol) => {
                let _ = writeln!(source, "void start_{at}(void) __asm__(\"{}\");", instance.resolve(symbol));
                format!("start_{at}")
            }
            None => "0".to_owned(),
        };
        let fuel = match &instance.fuel {
            Some((symbol, amount)) => {
                let _ = writeln!(source, "extern uint32_t fuel_{at} __asm__(\"{symbol}\");");
                format!("&fuel_{at}, {amount}u")
            }
            None => "0, 0".to_owned(),
        };
        let memory = instance.translated.memory.map(|memory| (memory.initial, memory.maximum.unwrap_or(MOST_PAGES)));
        let has_memory = u32::from(memory.is_some());
        let (pages, maximum) = memory.unwrap_or((0, 0));
        let _ = writeln!(
            table,
            "\t{{ {has_memory}, {pages}u, {maximum}u, {first}u, {}u, {start}, {fuel} }}, /* {at} */",
            count - first
        );
    }
    if plan.instances.is_empty() {
        table += "\t{ 0, 0, 0, 0, 0, 0, 0, 0 },\n";
    }
    if count == 0 {
        segments += "\t{ 0, 0, 0 },\n";
    }
    format!(
        "{source}static const struct segment segments[] = {{\n{segments}}};\nstatic const struct instance instances[] = {{\n{table}}};\n"
    )
}

/// What comes before the plan's own.
const HEAD: &str = r#"/* Runs rows of calls of translated modules, and marks what came of each on the console. */
#include "board.h"

typedef void thunk(const uint64_t *arguments, uint64_t *result);

enum { INSTANTIATE, CALL, DIGEST, RECORD, READ, PART };
enum { BACK, BITS, NAN32, NAN64, END };

struct row { uint8_t action; uint16_t instance, thunk, count; uint32_t choice, argument; };
struct choice { uint32_t kind, ends; uint64_t bits; };
struct segment { uint32_t address, length; const uint8_t *bytes; };
struct instance {
	uint32_t has_memory, pages, maximum, segment, segments;
	void (*start)(void);
	uint32_t *fuel, tank;
};

static inline float of32(uint64_t bits)
{
	union { uint32_t bits; float value; } both = { .bits = (uint32_t)bits };
	return both.value;
}
static inline double of64(uint64_t bits)
{
	union { uint64_t bits; double value; } both = { .bits = bits };
	return both.value;
}
static inline uint32_t bits32(float value)
{
	union { float value; uint32_t bits; } both = { .value = value };
	return both.bits;
}
static inline uint64_t bits64(double value)
{
	union { double value; uint64_t bits; } both = { .value = value };
	return both.bits;
}
/* The space of an instance; of one without memory, a space without pages. */
int space_of(uint32_t instance);

/* A digest of words, and the one of what imported functions were called with. */
static uint32_t take_word(uint32_t digest, uint32_t word)
{
	return ((digest << 5 | digest >> 27) ^ word) * DIGEST_FACTOR;
}
static uint32_t record;
static inline void record_word(uint32_t word) { record = take_word(record, word); }
static inline void record_long(uint64_t bits)
{
	record_word((uint32_t)bits);
	record_word((uint32_t)(bits >> 32));
}
"#;

/// What comes behind the plan's own.
const TAIL: &str = r#"
#define NOT_YET (-1)
static int spaces[INSTANCES];
static int empty = NOT_YET;
static uint8_t lost[INSTANCES];

int space_of(uint32_t instance) { return spaces[instance]; }

static int make_space(const struct instance *instance)
{
	if (instance->has_memory)
		return board_space(instance->pages, instance->maximum);
	if (empty == NOT_YET)
		empty = board_space(0, 0);
	return empty;
}

/* Segments are placed one after another. The one that does not fit ends it; those before it stay. */
static void place(const struct segment *segment)
{
	uint64_t size = (uint64_t)koboshi_memory_size() << 16;
	if ((uint64_t)segment->address + segment->length > size)
		__asm__ volatile("trapa %0" : : "i"(TRAP_MEMORY));
	for (uint32_t at = 0; at < segment->length; at++)
		*(volatile uint8_t *)(segment->address + at) = segment->bytes[at];
}

static uint32_t digest_of(uint32_t from, uint32_t words)
{
	uint32_t digest = 0;
	for (uint32_t at = 0; at < words; at++)
		digest = take_word(digest, *(volatile uint32_t *)(from + at * 4));
	return digest;
}

static uint32_t digest_of_memory(void)
{
	uint32_t pages = koboshi_memory_size();
	return take_word(digest_of(0, pages << 14), pages);
}

struct step { const struct row *row; uint64_t result; };

static void perform(void *argument)
{
	struct step *step = argument;
	const struct row *row = step->row;
	const struct instance *instance = &instances[row->instance];
	switch (row->action) {
	case INSTANTIATE:
		record = 0;
		for (uint32_t at = 0; at < instance->segments; at++)
			place(&segments[instance->segment + at]);
		if (instance->start)
			instance->start();
		break;
	case CALL:
	case READ:
		thunks[row->thunk](&given[row->argument], &step->result);
		break;
	case DIGEST:
		step->result = digest_of_memory();
		break;
	case PART:
		step->result = digest_of((uint32_t)given[row->argument], (uint32_t)given[row->argument + 1]);
		break;
	case RECORD:
		step->result = record;
		break;
	}
}

static int is_bit_of(uint32_t code, uint32_t ends)
{
	if (code >= 0x40 && code < 0x48)
		return ends >> (code - 0x40) & 1;
	return code >= 0x80 && code < 0x85 && (ends >> (code - 0x80 + 8) & 1);
}

static int fits(const struct choice *choice, uint32_t code, uint64_t result)
{
	if (choice->kind == END)
		return is_bit_of(code, choice->ends);
	if (code != 0)
		return 0;
	switch (choice->kind) {
	case BITS:
		return result == choice->bits;
	case NAN32:
		return result >> 32 == 0 && (result & 0x7FFFFFFF) > 0x7F800000;
	case NAN64:
		return (result & 0x7FFFFFFFFFFFFFFFull) > 0x7FF0000000000000ull;
	default:
		return 1;
	}
}

static int passes(const struct row *row, uint32_t code, uint64_t result)
{
	for (uint32_t at = 0; at < row->count; at++)
		if (fits(&choices[row->choice + at], code, result))
			return 1;
	return 0;
}

/* No more memory for a space. */
#define NO_ROOM 0x100

static void run(uint32_t at)
{
	const struct row *row = &rows[at];
	const struct instance *instance = &instances[row->instance];
	struct step step = { row, 0 };
	uint32_t code;
	if (lost[row->instance]) {
		board_write("s", 1);
		return;
	}
	if (row->action == INSTANTIATE)
		spaces[row->instance] = make_space(instance);
	if (spaces[row->instance] < 0) {
		code = NO_ROOM;
	} else {
		board_select(spaces[row->instance]);
		if (instance->fuel && row->action == CALL)
			*instance->fuel = instance->tank;
		code = board_try(perform, &step);
	}
	if (passes(row, code, step.result)) {
		board_write(".", 1);
	} else if (STACK_EXCUSED && code == FAULT_STACK) {
		lost[row->instance] = 1;
		board_write("s", 1);
	} else {
		board_print("\n! %u %x %X\n", at, code, step.result);
	}
}

uint32_t board_main(void)
{
	for (uint32_t at = 0; at < ROWS; at++)
		run(at);
	board_print("\n= %u\n", ROWS);
	return 0;
}
"#;

/// What the console says of each of `rows` rows.
#[must_use]
pub fn outcomes(console: &str, rows: usize) -> Vec<Outcome> {
    let mut found = Vec::with_capacity(rows);
    for line in console.lines().map(str::trim) {
        if let Some(failure) = line.strip_prefix("! ") {
            let words: Vec<_> = failure.split(' ').collect();
            let number = |at: usize| words.get(at).and_then(|word| u64::from_str_radix(word, 16).ok());
            // The row's own number must be the next: else a line was lost, and what follows is not to be believed.
            let next = words.first().and_then(|word| word.parse::<usize>().ok()) == Some(found.len());
            let (true, Some(code), Some(result)) = (next, number(1), number(2)) else { break };
            found.push(Outcome::Failed { code: code as u32, result });
        } else if !line.is_empty() && line.bytes().all(|mark| matches!(mark, b'.' | b's')) {
            found.extend(line.bytes().map(|mark| if mark == b'.' { Outcome::Passed } else { Outcome::Excused }));
        }
    }
    found.resize(rows, Outcome::NotReached);
    found
}

#[cfg(test)]
mod tests {
    use koboshi_sh4::translate::{Function, Memory, Segment, Translated, Type};

    use super::{module_source, outcomes, source};
    use crate::sh4::plan::{Action, Ends, Expect, Instance, Outcome, Plan, Row, Value};

    fn instance() -> Instance {
        Instance {
            translated: Translated {
                source: "void import(void) __asm__(\"test.import\");".to_owned(),
                aliases: Vec::new(),
                functions: vec![Function {
                    name: "add".to_owned(),
                    symbol: "m0_add".to_owned(),
                    parameters: vec![Type::I32, Type::F64],
                    results: vec![Type::F32],
                }],
                imported: Vec::new(),
                globals: Vec::new(),
                imported_globals: Vec::new(),
                segments: vec![Segment { name: None, address: 8, bytes: vec![1, 2] }],
                memory: Some(Memory { initial: 1, maximum: None }),
                start: None,
                imported_table: None,
                exported_table: None,
                stack_pointer: None,
                frames: Vec::new(),
                table: Vec::new(),
            },
            links: vec![("test.import".to_owned(), "target".to_owned())],
            fuel: None,
        }
    }

    #[test]
    fn a_row_is_data_and_an_exported_function_a_thunk() {
        let call = |bits| Row {
            action: Action::Call {
                instance: 0,
                name: "add".to_owned(),
                arguments: vec![Value { kind: Type::I32, bits }, Value { kind: Type::F64, bits: 0 }],
            },
            expect: Expect::AnyNan(Type::F32),
        };
        let plan = Plan { instances: vec![instance()], rows: vec![call(1), call(2)], ..Plan::default() };
        let driver = source(&plan);
        assert_eq!(driver.matches("static void thunk_").count(), 1);
        assert!(driver.contains("float call_0(uint32_t p0, double p1) __asm__(\"m0_add\");"));
        assert!(driver.contains("*result = bits32(call_0((uint32_t)arguments[0], of64(arguments[1])));"));
        assert!(driver.contains("\t{ 1, 0, 0, 1, 1, 2 },"), "{driver}");
        assert!(driver.contains("{ 0x8u, 2u, data_0 }"));
        assert!(driver.contains("{ 1, 1u, 65536u, 0u, 1u, 0, 0, 0 }"));
    }

    #[test]
    fn an_import_is_bound_to_what_stands_for_it() {
        assert_eq!(module_source(&instance()), "void import(void) __asm__(\"target\");");
    }

    #[test]
    fn an_image_that_ends_early_has_not_come_to_the_rest() {
        let failed = Outcome::Failed { code: 0x40, result: 0 };
        let text = "boot\r\n..s\r\n! 3 00000040 0000000000000000\r\n.";
        let expected =
            [Outcome::Passed, Outcome::Passed, Outcome::Excused, failed, Outcome::Passed, Outcome::NotReached];
        assert_eq!(outcomes(text, 6), expected);
    }

    #[test]
    fn a_console_that_lost_a_mark_is_not_believed() {
        assert_eq!(outcomes("..\n! 3 0 0\n...", 4)[2..], [Outcome::NotReached; 2]);
    }

    #[test]
    fn a_result_is_told_by_its_type() {
        let failed = Outcome::Failed { code: 0, result: 0x3F80_0000 };
        assert_eq!(failed.told(Some(Type::F32)), "f32 1.0 (0x3f800000)");
        assert_eq!(Outcome::Failed { code: 0x45, result: 0 }.told(None), "trap: uninitialized element");
        assert_eq!(Expect::End(Ends::STACK).to_string(), "trap: call stack exhausted");
    }
}
