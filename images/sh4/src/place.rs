//! Where in the source an address of a program comes from: for faults, traps and profiles.

use std::path::Path;

use gimli::{EndianRcSlice, RunTimeEndian};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

use crate::tools::{Trouble, read};

/// A place in the source.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Place {
    /// The function whose code it is, as Rust calls it; what was inlined into it counts as its own.
    pub function: Option<String>,
    /// The file, as the compiler was given it.
    pub file: Option<String>,
    /// The line in it, from 1.
    pub line: Option<u32>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{file}:{line}")?,
            (Some(file), None) => write!(f, "{file}")?,
            (None, _) => write!(f, "no line is known")?,
        }
        match &self.function {
            Some(function) => write!(f, ", in {function}"),
            None => Ok(()),
        }
    }
}

/// A symbol as Rust calls it: `core::fmt::write`. One that is not mangled stays as it is.
#[must_use]
pub fn demangled(symbol: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(symbol))
}

/// A linked program's functions and source lines.
pub struct Places {
    lines: addr2line::Context<EndianRcSlice<RunTimeEndian>>,
    /// Address, size, and name of each function, by address.
    functions: Vec<(u64, u64, String)>,
}

impl Places {
    /// Reads them from an ELF.
    ///
    /// # Errors
    /// It cannot be read, is no ELF, or its DWARF is broken.
    pub fn read(elf: &Path) -> Result<Self, Trouble> {
        let bytes = read(elf)?;
        let wrong = |why: &dyn std::fmt::Display| {
            Trouble::new(
                format!("{} cannot be read as a program: {why}.", elf.display()),
                "name an ELF that `koboshi sh4 build` has made; a raw image has no lines.",
            )
        };
        let file = object::File::parse(&*bytes).map_err(|error| wrong(&error))?;
        let section = |id: gimli::SectionId| {
            let data = file.section_by_name(id.name()).and_then(|section| section.data().ok());
            Ok::<_, gimli::Error>(EndianRcSlice::new(data.unwrap_or_default().into(), RunTimeEndian::Little))
        };
        let dwarf = gimli::Dwarf::load(section).map_err(|error| wrong(&error))?;
        let lines = addr2line::Context::from_dwarf(dwarf).map_err(|error| wrong(&error))?;
        let functions = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text);
        let named =
            functions.filter_map(|symbol| Some((symbol.address(), symbol.size(), demangled(symbol.name().ok()?))));
        let mut functions: Vec<_> = named.collect();
        functions.sort();
        Ok(Places { lines, functions })
    }

    /// Where an instruction comes from; `None` if nothing at all is known of the address.
    #[must_use]
    pub fn at(&self, address: u32) -> Option<Place> {
        let address = u64::from(address);
        let before = self.functions.partition_point(|(first, ..)| *first <= address);
        let function = self.functions[..before].iter().rev().find(|(first, size, _)| address < first + size);
        let location = self.lines.find_location(address).ok().flatten();
        if function.is_none() && location.is_none() {
            return None;
        }
        Some(Place {
            function: function.map(|(.., name)| name.clone()),
            file: location.as_ref().and_then(|location| location.file.map(str::to_owned)),
            line: location.and_then(|location| location.line),
        })
    }
}
