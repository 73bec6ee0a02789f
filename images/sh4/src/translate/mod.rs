//! A WebAssembly module as C, for an SH-4 GCC.

use crate::tools::Trouble;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// Its C symbol.
    pub symbol: String,
    /// Its parameters.
    pub parameters: Vec<Type>,
    /// Its results, one at most.
    pub results: Vec<Type>,
}

/// A global variable that the module exports or imports: a C variable.
#[derive(Clone, Debug)]
pub struct Global {
    /// `name` of the export; `module.name` of the import.
    pub name: String,
    /// Its C symbol.
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

/// A translated module.
#[derive(Clone, Debug)]
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
    /// The C symbol of the function that has to run first: `void symbol(void)`.
    pub start: Option<String>,
    /// The name of the table that it imports, if it does; it is the module's own, and constant, all the same.
    pub imported_table: Option<String>,
    /// The name under which it exports its table.
    pub exported_table: Option<String>,
}

/// Translates a module.
///
/// A trap is the instruction `trapa #N`, N from `board/traps.h`. Growing and asking for the size of memory are calls of
/// `uint32_t koboshi_memory_grow(uint32_t pages)` (all ones: it cannot) and `uint32_t koboshi_memory_size(void)`.
///
/// # Errors
/// The module is not valid, or uses what is not supported: which, and in which function.
pub fn translate(module: &[u8], options: &Options) -> Result<Translated, Trouble> {
    let _ = (module, options);
    todo!()
}
