//! Where in the source an address of a program comes from: for faults, traps and profiles.

use std::path::Path;

use gimli::{EndianRcSlice, RunTimeEndian};
use object::{Architecture, Object, ObjectSection, ObjectSymbol, SectionFlags, SymbolKind};

use crate::tools::{Trouble, read};
use crate::translate::TRANSLATED;

/// A line of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Line {
    /// The function: as Rust calls it, or, if it was inlined, as it is called in C.
    pub function: Option<String>,
    /// The file, as the compiler was given it.
    pub file: Option<String>,
    /// The line in it, from 1.
    pub line: Option<u32>,
}

/// A place in a program.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Place {
    /// The section that it lies in.
    pub section: String,
    /// Is it data?
    pub data: bool,
    /// The line that it comes from, of code.
    #[serde(flatten)]
    pub line: Line,
    /// If the function was inlined: into which, at which line, and that into which, and so on.
    pub inlined_into: Vec<Line>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.data {
            return write!(f, "in {}: data", self.section);
        }
        let Line { function, file, line } = &self.line;
        match (file, function) {
            (Some(_), _) => write!(f, "{}", at(file.as_ref(), *line))?,
            (None, Some(function)) => return write!(f, "{function}, no line is known"),
            (None, None) => return write!(f, "in {}: no line is known", self.section),
        }
        if let Some(function) = function {
            write!(f, ", in {function}")?;
        }
        for Line { function, file, line } in &self.inlined_into {
            let function = function.as_deref().unwrap_or("a function");
            write!(f, "\n  inlined into {function} at {}", at(file.as_ref(), *line))?;
        }
        Ok(())
    }
}

fn at(file: Option<&String>, line: Option<u32>) -> String {
    match (file, line) {
        (Some(file), Some(line)) => format!("{file}:{line}"),
        (Some(file), None) => file.clone(),
        (None, _) => "no known line".to_owned(),
    }
}

/// A symbol as Rust calls it: `core::fmt::write`. One that is not mangled stays as it is.
#[must_use]
pub fn demangled(symbol: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(symbol))
}

/// What a linked program has in memory, its functions and source lines.
pub struct Places {
    lines: addr2line::Context<EndianRcSlice<RunTimeEndian>>,
    /// Address, size, and name of each function, by address.
    functions: Vec<(u64, u64, String)>,
    /// Address, size, and name of each section in memory; whether it has code.
    sections: Vec<(u64, u64, String, bool)>,
}

impl Places {
    /// Reads them from an ELF.
    ///
    /// # Errors
    /// It cannot be read, is no ELF for SuperH, or its DWARF is broken.
    pub fn read(elf: &Path) -> Result<Self, Trouble> {
        let bytes = read(elf)?;
        let wrong = |why: &dyn std::fmt::Display| {
            Trouble::new(
                format!("{} cannot be read as a program: {why}.", elf.display()),
                "name an ELF that `koboshi sh4 build` has made; a raw image has no lines.",
            )
        };
        let file = object::File::parse(&*bytes).map_err(|error| wrong(&error))?;
        if file.architecture() != Architecture::SuperH {
            return Err(wrong(&"it is not for SuperH"));
        }
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
        let sections = file.sections().filter_map(|section| {
            let SectionFlags::Elf { sh_flags, .. } = section.flags() else { return None };
            let has = |flag: object::elf::SectionFlags| (sh_flags & flag).0 != 0;
            let name = section.name().ok()?.to_owned();
            has(object::elf::SHF_ALLOC)
                .then(|| (section.address(), section.size(), name, has(object::elf::SHF_EXECINSTR)))
        });
        Ok(Places { lines, functions, sections: sections.collect() })
    }

    /// Where an instruction comes from, or what else lies there; `None`: nothing of this program does.
    #[must_use]
    pub fn at(&self, address: u32) -> Option<Place> {
        let address = u64::from(address);
        let within = |first: u64, size: u64| first <= address && address - first < size;
        let (.., section, code) = self.sections.iter().find(|(first, size, ..)| within(*first, *size))?;
        let place = |line, inlined_into| Place { section: section.clone(), data: !code, line, inlined_into };
        if !code {
            return Some(place(Line::default(), Vec::new()));
        }
        let before = self.functions.partition_point(|(first, ..)| *first <= address);
        let function = self.functions[..before].iter().rev().find(|(first, size, _)| within(*first, *size));
        let function = function.map(|(.., name)| name.clone());
        let mut lines = self.frames(address);
        // Of what is nobody's line, the line that it is inlined at is the place.
        lines.retain(|line| line.file.as_ref().is_none_or(|file| !file.ends_with(TRANSLATED)));
        if let Some(outermost) = lines.last_mut() {
            outermost.function = function.or(outermost.function.take());
        } else {
            lines.push(Line { function, ..Line::default() });
        }
        let innermost = lines.remove(0);
        Some(place(innermost, lines))
    }

    /// The functions that stand in each other at an address, the innermost first.
    fn frames(&self, address: u64) -> Vec<Line> {
        let mut lines = Vec::new();
        let Ok(mut frames) = self.lines.find_frames(address).skip_all_loads() else { return lines };
        while let Ok(Some(frame)) = frames.next() {
            let function = frame.function.and_then(|function| Some(demangled(&function.raw_name().ok()?)));
            let location = frame.location.as_ref();
            lines.push(Line {
                function,
                file: location.and_then(|location| location.file.map(str::to_owned)),
                line: location.and_then(|location| location.line),
            });
        }
        lines
    }
}
