//! Which line of source an instruction of a module comes from, by the module's DWARF.

use std::collections::HashMap;

use gimli::{AttributeValue, Dwarf, EndianSlice, LittleEndian};

use crate::tools::Trouble;

/// The source lines of a module.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    files: Vec<String>,
    /// From which offset in the code section on, and which file and line; ordered. No line: nothing is known from there on.
    rows: Vec<(u64, Option<(usize, u32)>)>,
}

type Slice<'a> = EndianSlice<'a, LittleEndian>;

impl Lines {
    /// Reads them from the custom sections; `None` if there are none.
    ///
    /// # Errors
    /// The DWARF is broken.
    pub fn read(sections: &HashMap<&str, &[u8]>) -> Result<Option<Self>, Trouble> {
        if !sections.contains_key(".debug_line") {
            return Ok(None);
        }
        let section = |id: gimli::SectionId| {
            Ok::<_, gimli::Error>(EndianSlice::new(sections.get(id.name()).copied().unwrap_or_default(), LittleEndian))
        };
        let mut lines = Lines::default();
        Dwarf::load(section).and_then(|dwarf| lines.take(&dwarf)).map_err(|error| {
            Trouble::new(
                format!("the module's source lines (DWARF) cannot be read: {error}."),
                "build it anew, or without them: debug = false in its profile.",
            )
        })?;
        Ok(Some(lines))
    }

    /// The file, by its number, and the line at an offset in the code section.
    #[must_use]
    pub fn at(&self, offset: u64) -> Option<(usize, u32)> {
        let behind = self.rows.partition_point(|row| row.0 <= offset);
        self.rows.get(behind.checked_sub(1)?)?.1
    }

    /// The path of a file.
    #[must_use]
    pub fn file(&self, number: usize) -> &str {
        &self.files[number]
    }

    fn take(&mut self, dwarf: &Dwarf<Slice<'_>>) -> gimli::Result<()> {
        let mut numbers: HashMap<String, usize> = HashMap::new();
        let mut units = dwarf.units();
        while let Some(header) = units.next()? {
            let unit = dwarf.unit(header)?;
            let Some(program) = unit.line_program.clone() else { continue };
            let (program, sequences) = program.sequences()?;
            for sequence in sequences {
                // The linker leaves sequences of functions that it left out, at addresses where no code is.
                if sequence.start == 0 || sequence.start >= u64::from(u32::MAX) - 1 {
                    continue;
                }
                let mut rows = program.resume_from(&sequence);
                while let Some((header, row)) = rows.next_row()? {
                    let place = match (row.end_sequence(), row.line(), row.file(header)) {
                        (false, Some(line), Some(file)) => {
                            let path = path(dwarf, &unit, header, file)?;
                            let next = numbers.len();
                            let number = *numbers.entry(path.clone()).or_insert(next);
                            if number == self.files.len() {
                                self.files.push(path);
                            }
                            Some((number, u32::try_from(line.get()).unwrap_or(u32::MAX)))
                        }
                        // Line 0 is code of no line: it stays with the line before.
                        (false, ..) => continue,
                        (true, ..) => None,
                    };
                    // A sequence may end where another begins.
                    self.rows.push((row.address(), place));
                }
            }
        }
        // Where a sequence ends and another begins, what begins counts: it comes last.
        self.rows.sort_by_key(|(address, place)| (*address, place.is_some()));
        Ok(())
    }
}

/// The whole path of a file of a line program.
fn path(
    dwarf: &Dwarf<Slice<'_>>,
    unit: &gimli::Unit<Slice<'_>>,
    header: &gimli::LineProgramHeader<Slice<'_>>,
    file: &gimli::FileEntry<Slice<'_>>,
) -> gimli::Result<String> {
    let text = |value: AttributeValue<Slice<'_>>| -> gimli::Result<String> {
        Ok(dwarf.attr_string(unit, value)?.to_string_lossy().into_owned())
    };
    let mut path = std::path::PathBuf::new();
    if let Some(directory) = unit.comp_dir {
        path.push(directory.to_string_lossy().as_ref());
    }
    if let Some(directory) = file.directory(header) {
        path.push(text(directory)?);
    }
    path.push(text(file.path_name())?);
    Ok(path.display().to_string())
}
