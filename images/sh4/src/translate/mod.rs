//! A WebAssembly module as C, for an SH-4 GCC.
//!
//! The rules: addresses are what the module says they are; what a load or store may not do on this machine, it does not
//! do; memory is volatile, for nobody knows any more which access is a device's; calls are plain calls; a trap is one
//! instruction, at its place.
//!
//! It must never: translate what it does not know into something else. It refuses, and names the function.

mod frame;
mod function;
mod module;
mod names;
mod numeric;

use std::collections::HashSet;
use std::fmt::Write;

use wasmparser::ExternalKind;

use crate::lines::Lines;
use crate::tools::Trouble;
use function::{Context, c_constant, c_type, parameter_types};
use module::{Constant, Module};
use names::Names;

/// What the translator may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The module is of a compiler that knows the machine: an access whose alignment hint is at least its size is
    /// aligned, and address and offset together do not wrap. So it is with rustc.
    Compiler,
    /// Hints may lie and offsets may wrap, as the WebAssembly standard permits: each access is checked when it is made.
    Nothing,
}

/// How a module is translated.
#[derive(Clone, Debug)]
pub struct Options {
    /// What every C symbol of the module that is not imported begins with, so that several modules go into one image.
    /// Empty: exports have their own names.
    pub prefix: String,
    /// What may be relied on.
    pub trust: Trust,
    /// Write `#line` from the module's DWARF.
    pub lines: bool,
}

/// A type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Type {
    /// `uint32_t`
    I32,
    /// `uint64_t`
    I64,
    /// `float`
    F32,
    /// `double`
    F64,
}

/// A function that the module exports or imports. In C: `result symbol(parameters)`; `void` if it has no result.
#[derive(Clone, Debug)]
pub struct Function {
    /// `name` of the export; `module.name` of the import.
    pub name: String,
    /// Its symbol.
    pub symbol: String,
    /// Its parameters.
    pub parameters: Vec<Type>,
    /// Its results, one at most.
    pub results: Vec<Type>,
}

/// A global variable that the module exports or imports: a C variable.
///
/// Where the module has a shadow stack, its linker has made it, and what it exports as a constant of 32 bits is the address
/// of something, a static of Rust: then the symbol itself has that address, and C declares what lies there.
#[derive(Clone, Debug)]
pub struct Global {
    /// `name` of the export; `module.name` of the import.
    pub name: String,
    /// Its symbol.
    pub symbol: String,
    /// Its type.
    pub kind: Type,
    /// May it be changed?
    pub mutable: bool,
}

/// Bytes that have to lie in memory before the module runs.
#[derive(Clone, Debug)]
pub struct Segment {
    /// `.rodata`, `.data` and the like, as the linker of the module named it.
    pub name: Option<String>,
    /// Where it lies: an address.
    pub address: u32,
    /// What lies there.
    pub bytes: Vec<u8>,
}

/// A module's memory, in pages of 64 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// At the start.
    pub initial: u32,
    /// At most.
    pub maximum: Option<u32>,
}

/// What a function does to the shadow stack, and whom it calls.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// The function's symbol, or its name in C.
    pub symbol: String,
    /// Bytes of its frame on the shadow stack; 0 if it has none. What a function that calls nobody uses below the pointer
    /// without moving it, LLVM's red zone of up to 128 bytes, is of its frame. None: nobody knows, because the function is
    /// imported, or sets the pointer to what the translator does not recognise.
    pub shadow: Option<u32>,
    /// The functions that it calls, by their numbers.
    pub calls: Vec<u32>,
    /// The types of the functions that it calls through the table, by their numbers: equal types have equal ones.
    pub indirect: Vec<u32>,
}

/// A translated module.
#[derive(Clone, Debug, Default)]
pub struct Translated {
    /// The whole C source.
    pub source: String,
    /// Functions that it exports.
    pub functions: Vec<Function>,
    /// Functions that it needs: plain external C functions.
    pub imported: Vec<Function>,
    /// Global variables that it exports.
    pub globals: Vec<Global>,
    /// Global variables that it needs: `extern const`, or `extern` if mutable.
    pub imported_globals: Vec<Global>,
    /// What has to lie in memory before it runs. Not part of `source`: `link` places it, or a test copies it.
    pub segments: Vec<Segment>,
    /// The memory that it has or imports.
    pub memory: Option<Memory>,
    /// The symbol of the function that has to run first: `void symbol(void)`.
    pub start: Option<String>,
    /// The name of the table that it imports, if it does; it is the module's own, and constant, all the same.
    pub imported_table: Option<String>,
    /// The name under which it exports its table.
    pub exported_table: Option<String>,
    /// Where the shadow stack pointer begins: what GBR has to hold before any function of the module is called.
    pub stack_pointer: Option<u32>,
    /// Further symbols of functions that are exported more than once: each with the one under which `frames` has it.
    pub aliases: Vec<(String, String)>,
    /// All functions, imported ones first, with what they do to the shadow stack.
    pub frames: Vec<Frame>,
    /// The functions that the table holds, with their types, both by their numbers. Equal types have equal numbers.
    pub table: Vec<(u32, u32)>,
}

/// The file of code that comes from no line of the module's source.
pub(crate) const TRANSLATED: &str = "<translated>";

/// The name that the linker of the module gives to the variable that is the shadow stack pointer.
const STACK_POINTER: &str = "__stack_pointer";

/// Translates a module.
///
/// A trap is the instruction `trapa #N`, N from `board/traps.h`. Growing and asking for the size of memory are calls of
/// `uint32_t koboshi_memory_grow(uint32_t pages)` (all ones: it cannot) and `uint32_t koboshi_memory_size(void)`.
///
/// # Errors
/// The module is not valid, or uses what is not supported: which, and in which function.
pub fn translate(module: &[u8], options: &Options) -> Result<Translated, Trouble> {
    let module = Module::read(module)?;
    let names = Names::of(&module, options);
    let lines = if options.lines { Lines::read(&module.custom)? } else { None };
    let stack_pointer = module.global_names.iter().find(|(_, name)| *name == STACK_POINTER).map(|(index, _)| *index);
    let context = Context { module: &module, names: &names, options, stack_pointer, lines: lines.as_ref() };
    let mut frames = Vec::new();
    let mut bodies = String::new();
    for index in 0..module.functions.len() as u32 {
        let symbol = match names.function_symbol(index) {
            None if module.start == Some(index) => names.start().to_owned(),
            _ => names.symbol_inside(index).to_owned(),
        };
        if (index as usize) < module.imported.len() {
            frames.push(Frame { symbol, ..Default::default() });
            continue;
        }
        let function::Body { line, code, frame } = function::body(&context, index)?;
        let _ = write!(bodies, "\n{line}{}{code}", head(&context, index, true));
        frames.push(Frame { symbol, ..frame });
    }
    let nowhere = if options.lines { format!("\n#line 1 \"{TRANSLATED}\"") } else { String::new() };
    let source = format!(
        "/* Translated from WebAssembly. */{nowhere}\n#define TRUST_NOTHING {}\n{}\n{}\n{}{bodies}",
        u32::from(options.trust == Trust::Nothing),
        include_str!("../board/traps.h"),
        include_str!("prelude.h"),
        declarations(&context)?,
    );
    Ok(Translated {
        source,
        functions: exported(&module, &names),
        aliases: aliases(&module, &names),
        imported: imported(&module, &names),
        globals: globals(&module, &names, false),
        imported_globals: globals(&module, &names, true),
        memory: module.memory,
        start: module.start.map(|_| names.start().to_owned()),
        imported_table: module.table_import.as_ref().map(|(from, name)| format!("{from}.{name}")),
        exported_table: module
            .exports
            .iter()
            .find(|(_, kind, _)| *kind == ExternalKind::Table)
            .map(|(name, ..)| name.clone()),
        stack_pointer: stack_pointer.and_then(|index| match module.globals[index as usize].value {
            Constant::I32(value) => Some(value),
            _ => None,
        }),
        table: module
            .table
            .iter()
            .flatten()
            .map(|function| (*function, module.canonical(module.functions[*function as usize]) as u32))
            .collect(),
        frames,
        segments: module.segments.into_iter().filter(|segment| !is_of_zeros(segment)).collect(),
    })
}

/// Is it what the linker of the module calls zeros? They are zero anyway.
fn is_of_zeros(segment: &Segment) -> bool {
    segment.name.as_deref().is_some_and(|name| name.starts_with(".bss")) && segment.bytes.iter().all(|byte| *byte == 0)
}

/// A function's declaration, or the head of its definition.
fn head(context: &Context<'_>, index: u32, define: bool) -> String {
    let Context { module, names, .. } = *context;
    let signature = module.signature(index);
    let result = signature.results.first().map_or("void", |kind| c_type(*kind));
    let name = names.function(index);
    if define {
        let parameters = signature.parameters.iter().enumerate().map(|(at, kind)| format!("{} l{at}", c_type(*kind)));
        let parameters: Vec<String> = parameters.collect();
        let parameters = if parameters.is_empty() { "void".to_owned() } else { parameters.join(", ") };
        let inside = names.function_symbol(index).is_none() && module.start != Some(index);
        return format!("{}{result} {name}({parameters})", if inside { "static " } else { "" });
    }
    let parameters = parameter_types(&signature.parameters);
    let (storage, symbol) = match names.function_symbol(index) {
        Some(symbol) => ("", symbol.to_owned()),
        None if module.start == Some(index) => ("", names.start().to_owned()),
        None => ("static ", names.symbol_inside(index).to_owned()),
    };
    format!("{storage}{result} {name}({parameters}) __asm__(\"{symbol}\");")
}

/// Global variables, functions and the table.
fn declarations(context: &Context<'_>) -> Result<String, Trouble> {
    let Context { module, names, options, stack_pointer, .. } = *context;
    let mut text = String::new();
    for (index, global) in module.globals.iter().enumerate() {
        let index = index as u32;
        if stack_pointer == Some(index) {
            continue;
        }
        let kind = c_type(global.kind);
        let name = names.global(index);
        let constant = if global.mutable { "" } else { "const " };
        let symbol = names.global_symbol(index).map(|symbol| format!(" __asm__(\"{symbol}\")"));
        let is_address = stack_pointer.is_some() && global.kind == Type::I32 && !global.mutable;
        let symbol = match symbol {
            Some(_) if is_address && global.import.is_none() => {
                let address = initial(module, global.value)?;
                for at in module.exports.iter().enumerate().filter_map(|(at, (_, kind, exported))| {
                    (*kind == ExternalKind::Global && *exported == index).then_some(at)
                }) {
                    let symbol = names.export(at);
                    let _ = writeln!(text, "__asm__(\".globl {symbol}\\n.set {symbol}, {address:#x}\");");
                }
                None
            }
            symbol => symbol,
        };
        if global.import.is_some() {
            let _ = writeln!(text, "extern {constant}{kind} {name}{};", symbol.unwrap_or_default());
            continue;
        }
        if let Some(symbol) = &symbol {
            let _ = writeln!(text, "extern {constant}{kind} {name}{symbol};");
        }
        let storage = if symbol.is_some() { "" } else { "static __attribute__((unused)) " };
        let value = initial(module, global.value)?;
        match global.kind {
            Type::I32 | Type::I64 => {
                let _ = writeln!(text, "{storage}{constant}{kind} {name} = {};", c_constant(global.kind, value));
            }
            // By its bits: C has no constant for each NaN. The same symbol is an integer here and a float elsewhere.
            Type::F32 | Type::F64 => {
                let integer = if global.kind == Type::F32 { Type::I32 } else { Type::I64 };
                let symbol = symbol.unwrap_or_else(|| format!(" __asm__(\"{name}\")"));
                let _ = writeln!(
                    text,
                    "{storage}{constant}{} {name}_bits{symbol} __attribute__((used)) = {};\nextern {constant}{kind} {name}{symbol};",
                    c_type(integer),
                    c_constant(integer, value),
                );
            }
        }
    }
    for index in 0..module.functions.len() as u32 {
        let _ = writeln!(text, "{}", head(context, index, false));
    }
    // A function may be exported under several names.
    let mut seen = HashSet::new();
    for (at, (_, kind, index)) in module.exports.iter().enumerate() {
        let own = *index as usize >= module.imported.len();
        if *kind == ExternalKind::Func && own && !seen.insert(*index) {
            let signature = module.signature(*index);
            let result = signature.results.first().map_or("void", |kind| c_type(*kind));
            let _ = writeln!(
                text,
                "{result} {}also_{at}({}) __asm__(\"{}\") __attribute__((alias(\"{}\")));",
                options.prefix,
                parameter_types(&signature.parameters),
                names.export(at),
                names.symbol_inside(*index),
            );
        }
    }
    if !module.table.is_empty() {
        let functions = module.table.iter().map(|function| match function {
            Some(function) => format!("(void (*)(void)){}", names.function(*function)),
            None => "0".to_owned(),
        });
        let types = module.table.iter().map(|function| match function {
            Some(function) => module.canonical(module.functions[*function as usize]).to_string(),
            None => "0".to_owned(),
        });
        // Signed, for so the machine reads them.
        let small = if module.types.len() < 127 { "int8_t" } else { "int16_t" };
        let _ = writeln!(
            text,
            "static void (*const {}[])(void) = {{ {} }};\nstatic const {small} {}[] = {{ {} }};",
            names.table(),
            functions.collect::<Vec<_>>().join(", "),
            names.table_types(),
            types.collect::<Vec<_>>().join(", "),
        );
    }
    Ok(text)
}

/// The bits of the first value of a global variable.
fn initial(module: &Module<'_>, value: Constant) -> Result<u64, Trouble> {
    Ok(match value {
        Constant::I32(bits) | Constant::F32(bits) => bits.into(),
        Constant::I64(bits) | Constant::F64(bits) => bits,
        Constant::Global(other) => match module.globals.get(other as usize) {
            Some(other) if other.import.is_none() => initial(module, other.value)?,
            _ => return Err(module::unsupported("no function", "a global variable that begins with an imported one")),
        },
    })
}

fn exported(module: &Module<'_>, names: &Names) -> Vec<Function> {
    let exports = module.exports.iter().enumerate().filter(|(_, (_, kind, _))| *kind == ExternalKind::Func);
    exports
        .map(|(at, (name, _, index))| {
            let signature = module.signature(*index);
            Function {
                name: name.clone(),
                symbol: names.export(at).to_owned(),
                parameters: signature.parameters.clone(),
                results: signature.results.clone(),
            }
        })
        .collect()
}

fn aliases(module: &Module<'_>, names: &Names) -> Vec<(String, String)> {
    let exports = module.exports.iter().enumerate().filter(|(_, (_, kind, _))| *kind == ExternalKind::Func);
    let symbols =
        exports.map(|(at, (.., index))| (names.export(at).to_owned(), names.symbol_inside(*index).to_owned()));
    symbols.filter(|(export, inside)| export != inside).collect()
}

fn imported(module: &Module<'_>, names: &Names) -> Vec<Function> {
    let functions = module.imported.iter().enumerate().map(|(index, (from, name))| {
        let signature = module.signature(index as u32);
        Function {
            name: format!("{from}.{name}"),
            symbol: names.function_symbol(index as u32).unwrap_or_default().to_owned(),
            parameters: signature.parameters.clone(),
            results: signature.results.clone(),
        }
    });
    functions.collect()
}

fn globals(module: &Module<'_>, names: &Names, imported: bool) -> Vec<Global> {
    let symbol = |index: usize| names.global_symbol(index as u32).unwrap_or_default().to_owned();
    if imported {
        let found = module.globals.iter().enumerate().filter_map(|(index, global)| {
            let (from, name) = global.import.as_ref()?;
            let name = format!("{from}.{name}");
            Some(Global { name, symbol: symbol(index), kind: global.kind, mutable: global.mutable })
        });
        return found.collect();
    }
    let exports = module.exports.iter().filter(|(_, kind, _)| *kind == ExternalKind::Global);
    exports
        .map(|(name, _, index)| {
            let global = &module.globals[*index as usize];
            let name = name.clone();
            Global { name, symbol: symbol(*index as usize), kind: global.kind, mutable: global.mutable }
        })
        .collect()
}
