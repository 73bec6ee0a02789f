//! What a module's functions and global variables are called: in C, and in the symbol table.

use std::collections::HashSet;

use wasmparser::ExternalKind;

use super::Options;
use super::module::{Import, Module};

/// Longer names are cut: they are for people.
const LONGEST: usize = 80;

/// The names of a module's functions and global variables. No two things of a module have one symbol, whatever it calls them.
pub(super) struct Names {
    functions: Vec<Named>,
    globals: Vec<Named>,
    /// The symbol of each export of a function or a global variable, in their order.
    exports: Vec<String>,
    start: String,
    table: String,
    table_types: String,
}

struct Named {
    /// In C.
    name: String,
    /// In the symbol table.
    symbol: String,
    /// Is it imported or exported?
    outside: bool,
}

/// Gives away each name once.
#[derive(Default)]
struct Free(HashSet<String>);

impl Free {
    fn take(&mut self, wanted: String) -> String {
        let mut name = wanted.clone();
        let mut number = 1;
        while !self.0.insert(name.clone()) {
            number += 1;
            name = format!("{wanted}_{number}");
        }
        name
    }
}

impl Names {
    pub(super) fn of(module: &Module<'_>, options: &Options) -> Self {
        let prefix = &options.prefix;
        let import_of = |kind: ExternalKind, index: usize| match kind {
            ExternalKind::Func => module.imported.get(index).map(import_symbol),
            ExternalKind::Global => {
                module.globals.get(index).and_then(|global| global.import.as_ref()).map(import_symbol)
            }
            _ => None,
        };
        // Exports have the names that others know. What is imported and exported again is only known as an import.
        let mut free = Free::default();
        let exports =
            module.exports.iter().map(|(name, kind, index)| match (kind, import_of(*kind, *index as usize)) {
                (_, Some(import)) => import,
                (ExternalKind::Func | ExternalKind::Global, None) => free.take(format!("{prefix}{}", symbol(name))),
                _ => String::new(),
            });
        let exports: Vec<String> = exports.collect();
        free.0.extend((0..module.functions.len()).filter_map(|index| import_of(ExternalKind::Func, index)));
        free.0.extend((0..module.globals.len()).filter_map(|index| import_of(ExternalKind::Global, index)));
        let outside = |wanted: ExternalKind, index: usize| {
            let exported = module.exports.iter().position(|(_, kind, at)| *kind == wanted && *at as usize == index);
            import_of(wanted, index).or_else(|| exported.map(|at| exports[at].clone()))
        };
        let functions: Vec<Named> = (0..module.functions.len())
            .map(|index| {
                let given = module.function_names.get(&(index as u32));
                let readable = given.map_or(format!("f{index}"), |name| readable(name));
                let name = free.take(format!("{prefix}f_{readable}"));
                match (outside(ExternalKind::Func, index), given) {
                    (Some(symbol), _) => Named { name, symbol, outside: true },
                    // As the compiler of the module called it.
                    (None, Some(given)) => {
                        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_.$".contains(letter);
                        let symbol = free.take(format!("{prefix}{}", given.replace(|letter| !plain(letter), "_")));
                        Named { name, symbol, outside: false }
                    }
                    (None, None) => Named { symbol: name.clone(), name, outside: false },
                }
            })
            .collect();
        let globals = (0..module.globals.len())
            .map(|index| {
                let name = free.take(format!("{prefix}g{index}"));
                match outside(ExternalKind::Global, index) {
                    Some(symbol) => Named { name, symbol, outside: true },
                    None => Named { symbol: name.clone(), name, outside: false },
                }
            })
            .collect();
        let start = match module.start.and_then(|start| functions.get(start as usize)) {
            Some(Named { symbol, outside: true, .. }) => symbol.clone(),
            _ => free.take(format!("{prefix}koboshi_start")),
        };
        let table = free.take(format!("{prefix}table"));
        let table_types = free.take(format!("{prefix}table_type"));
        Names { functions, globals, exports, start, table, table_types }
    }

    /// The C name of a function.
    pub(super) fn function(&self, index: u32) -> &str {
        &self.functions[index as usize].name
    }

    /// The C name of a global variable.
    pub(super) fn global(&self, index: u32) -> &str {
        &self.globals[index as usize].name
    }

    /// The symbol of a function that is seen from outside.
    pub(super) fn function_symbol(&self, index: u32) -> Option<&str> {
        self.functions.get(index as usize).filter(|named| named.outside).map(|named| &*named.symbol)
    }

    /// The symbol of any function.
    pub(super) fn symbol_inside(&self, index: u32) -> &str {
        &self.functions[index as usize].symbol
    }

    /// The symbol of a global variable that is seen from outside.
    pub(super) fn global_symbol(&self, index: u32) -> Option<&str> {
        self.globals.get(index as usize).filter(|named| named.outside).map(|named| &*named.symbol)
    }

    /// The symbol of an export, by its place among all of them.
    pub(super) fn export(&self, at: usize) -> &str {
        &self.exports[at]
    }

    /// The symbol of the start function.
    pub(super) fn start(&self) -> &str {
        &self.start
    }

    /// The C name of the table of functions.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// The C name of the table of their types.
    pub(super) fn table_types(&self) -> &str {
        &self.table_types
    }
}

/// The symbol of an import.
fn import_symbol((from, name): &Import) -> String {
    if from == "env" { symbol(name) } else { symbol(&format!("{from}_{name}")) }
}

/// A name as a symbol: itself, if it can be one; else what cannot be in it as `_` and its number.
pub(super) fn symbol(name: &str) -> String {
    let mut text = String::new();
    for (at, letter) in name.chars().enumerate() {
        if letter.is_ascii_alphabetic() || letter == '_' || letter.is_ascii_digit() && at > 0 {
            text.push(letter);
        } else {
            text.push_str(&format!("_{:x}_", letter as u32));
        }
    }
    if text.is_empty() { "_".to_owned() } else { text }
}

/// A mangled name as a person knows it: `core::fmt::write` becomes `core_fmt_write`.
fn readable(name: &str) -> String {
    let demangled = format!("{:#}", rustc_demangle::demangle(name));
    let mut text = String::new();
    for letter in demangled.chars() {
        if letter.is_ascii_alphanumeric() {
            text.push(letter);
        } else if !text.is_empty() && !text.ends_with('_') {
            text.push('_');
        }
    }
    text.truncate(LONGEST);
    text
}

#[cfg(test)]
mod tests {
    use super::{readable, symbol};

    #[test]
    fn a_symbol_is_a_c_name_and_different_names_stay_different() {
        assert_eq!(symbol("main"), "main");
        assert_eq!(symbol("3d"), "_33_d");
        assert_ne!(symbol("a b"), symbol("a.b"));
        assert_eq!(symbol(""), "_");
    }

    #[test]
    fn a_mangled_name_reads_as_its_path() {
        assert_eq!(readable("_ZN4core3fmt5write17h0123456789abcdefE"), "core_fmt_write");
        assert_eq!(readable("memcpy"), "memcpy");
    }
}
