//! What a module's functions and global variables are called: in C, and in the symbol table.

use std::collections::HashSet;

use wasmparser::ExternalKind;

use super::Options;
use super::module::{Import, Module};

/// Longer names are cut: they are for people.
const LONGEST: usize = 80;

/// The names of a module's functions and global variables.
pub(super) struct Names {
    /// In C; and the symbol, if it is seen from outside.
    functions: Vec<(String, Option<String>)>,
    globals: Vec<(String, Option<String>)>,
}

impl Names {
    pub(super) fn of(module: &Module<'_>, options: &Options) -> Self {
        let prefix = &options.prefix;
        let mut taken = HashSet::new();
        let mut free = |wanted: String| {
            let mut name = wanted.clone();
            let mut number = 1;
            while !taken.insert(name.clone()) {
                number += 1;
                name = format!("{wanted}_{number}");
            }
            name
        };
        let symbol_of = |wanted: ExternalKind, index: usize, import: Option<&Import>| {
            let exported = module.exports.iter().find(|(_, kind, at)| *kind == wanted && *at as usize == index);
            match (import, exported) {
                (Some((from, name)), _) if from == "env" => Some(symbol(name)),
                (Some((from, name)), _) => Some(symbol(&format!("{from}_{name}"))),
                (None, Some((name, ..))) => Some(format!("{prefix}{}", symbol(name))),
                (None, None) => None,
            }
        };
        let functions = (0..module.functions.len()).map(|index| {
            let name = module.function_names.get(&(index as u32));
            let readable = name.map_or(format!("f{index}"), |name| readable(name));
            (free(format!("{prefix}f_{readable}")), symbol_of(ExternalKind::Func, index, module.imported.get(index)))
        });
        let functions = functions.collect();
        let globals = module.globals.iter().enumerate().map(|(index, global)| {
            (free(format!("{prefix}g{index}")), symbol_of(ExternalKind::Global, index, global.import.as_ref()))
        });
        Names { functions, globals: globals.collect() }
    }

    /// The C name of a function.
    pub(super) fn function(&self, index: u32) -> &str {
        &self.functions[index as usize].0
    }

    /// The C name of a global variable.
    pub(super) fn global(&self, index: u32) -> &str {
        &self.globals[index as usize].0
    }

    /// The symbol of a function that is seen from outside.
    pub(super) fn function_symbol(&self, index: u32) -> Option<&str> {
        self.functions[index as usize].1.as_deref()
    }

    /// The symbol of a global variable that is seen from outside.
    pub(super) fn global_symbol(&self, index: u32) -> Option<&str> {
        self.globals[index as usize].1.as_deref()
    }
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
