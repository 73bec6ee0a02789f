//! The emulated R2D-PLUS board: a program, a small kernel that runs it in user mode, and the emulator that runs both.
//!
//! `board/board.h` is what a program is given: address spaces, traps and faults that come back, a console, an exact count
//! of instructions.
//!
//! It must never: take a machine that just stopped for a program that ended.

mod run;

use std::path::{Path, PathBuf};

use crate::link::{Compiled, Cpu, Options, Source, compile, not_linked, refuse_untested};
use crate::tools::{Gcc, Trouble, output, printed, read, unwritable, write};

pub use run::{Debugger, INSTRUCTION_SHIFT, Output, QEMU, Run, Watched, run, watch};

/// Addresses below this are those of the selected address space: translated modules.
pub const SPACE_END: u32 = 0x4000_0000;
/// The program: code and constants, and from the next MiB on, data.
pub const CODE_BASE: u32 = 0x4000_0000;
/// The end of the stack of C.
pub const STACK_TOP: u32 = 0x6000_0000;
/// The size of the stack of C in bytes.
pub const STACK_SIZE: u32 = 0x4_0000;
/// The greatest number of address spaces in one image.
pub const SPACES: u32 = 200;

/// The code of an access to what is not there, or not for the program, or not to be written.
pub const FAULT_MEMORY: u32 = 0x80;
/// The code of an access at an address that is not a multiple of its size.
pub const FAULT_MISALIGNED: u32 = 0x81;
/// The code of a stack of C that is full.
pub const FAULT_STACK: u32 = 0x82;
/// The code of an illegal instruction.
pub const FAULT_ILLEGAL: u32 = 0x83;
/// The code of any other exception.
pub const FAULT_OTHER: u32 = 0x84;
/// What `board_exit` is called with after a fault that nothing in the program expected.
pub const EXIT_FAULT: u32 = 255;

const HEADERS: [(&str, &str); 3] = [
    ("board.h", include_str!("board/board.h")),
    ("traps.h", include_str!("board/traps.h")),
    ("calls.h", include_str!("board/calls.h")),
];
const LINKER_SCRIPT: &str = include_str!("board/board.ld");

/// Sources, and what they are compiled for. The kernel leaves the FPU to the program.
const SOURCES: [(&str, &str, Cpu); 3] = [
    ("board-start.S", include_str!("board/start.S"), Cpu::Sh4NoFpu),
    ("board-kernel.c", include_str!("board/kernel.c"), Cpu::Sh4NoFpu),
    ("board-user.c", include_str!("board/user.c"), Cpu::Sh4),
];

/// What every image of the emulated board is made of, compiled once.
#[derive(Clone, Debug)]
pub struct Board {
    gcc: Gcc,
    directory: PathBuf,
    objects: Vec<PathBuf>,
    calls: Vec<PathBuf>,
}

/// An image of the emulated board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// What the emulator loads.
    pub raw: PathBuf,
    /// The same with symbols and source lines, for a debugger.
    pub elf: PathBuf,
}

impl Board {
    /// Compiles kernel and user side into a directory, which is made if it is not there. Programs go there too: who shares
    /// it has to use names of their own.
    ///
    /// # Errors
    /// A file cannot be written, or GCC refuses the kernel.
    pub fn new(gcc: &Gcc, directory: &Path) -> Result<Self, Trouble> {
        let directory = std::path::absolute(directory).map_err(|error| unwritable(directory, &error))?;
        std::fs::create_dir_all(&directory).map_err(|error| unwritable(&directory, &error))?;
        for (name, text) in HEADERS {
            write(&directory.join(name), text)?;
        }
        write(&directory.join("board.ld"), LINKER_SCRIPT)?;
        let mut board = Board { gcc: gcc.clone(), directory, objects: Vec::new(), calls: Vec::new() };
        for (name, text, cpu) in SOURCES {
            let compiled = board.compile_for(cpu, name, text)?;
            board.objects.push(compiled.object);
            board.calls.extend(compiled.calls);
        }
        Ok(board)
    }

    /// Where `board.h` and `traps.h` are.
    #[must_use]
    pub fn include(&self) -> &Path {
        &self.directory
    }

    /// The call graphs with the use of the stack of kernel and user side, as GCC writes them.
    #[must_use]
    pub fn calls(&self) -> &[PathBuf] {
        &self.calls
    }

    /// Compiles C that includes `board.h`. The file's name, `program.c`, gives the object's, `program.o`.
    ///
    /// # Errors
    /// A file cannot be written, or GCC refuses it: all that it said.
    pub fn compile(&self, name: &str, text: &str) -> Result<PathBuf, Trouble> {
        Ok(self.compile_for(Cpu::Sh4, name, text)?.object)
    }

    /// The same for another processor, with all that came of it. (The image then needs one: [`Run::cpu`].)
    ///
    /// # Errors
    /// As with [`Board::compile`].
    pub fn compile_for(&self, cpu: Cpu, name: &str, text: &str) -> Result<Compiled, Trouble> {
        let object = self.directory.join(name).with_extension("o");
        let options = Options { cpu, include: vec![self.directory.clone()], ..Options::default() };
        compile(&self.gcc, Source::Text { name, text }, &object, &options)
    }

    /// Links objects, of which one has `board_main`, to an image of this name.
    ///
    /// # Errors
    /// Something is missing, is only in C parts of libgcc, or there is too much of it.
    pub fn image(&self, name: &str, objects: &[PathBuf]) -> Result<Image, Trouble> {
        let file = |ending: &str| self.directory.join(format!("{name}.{ending}"));
        let (elf, raw, map) = (file("elf"), file("raw"), file("map"));
        let mut linker = self.gcc.binutil("ld");
        linker.args(["-EL", "-nostdlib", "-static", "--fatal-warnings", "--no-warn-rwx-segments", "-z", "noexecstack"]);
        linker.arg("-T").arg(self.directory.join("board.ld")).arg("-Map").arg(&map).arg("-o").arg(&elf);
        linker.args(&self.objects).args(objects).arg(self.gcc.libgcc(Cpu::Sh4)?);
        let linked = output(&mut linker)?;
        if !linked.status.success() {
            return Err(not_linked(&elf, &printed(&linked.stderr)));
        }
        refuse_untested(&printed(&read(&map)?))?;
        let copied = output(self.gcc.binutil("objcopy").args(["-O", "binary"]).arg(&elf).arg(&raw))?;
        if !copied.status.success() {
            return Err(Trouble::new(
                format!("{} cannot be made:\n{}", raw.display(), printed(&copied.stderr)),
                "do the binutils belong to this GCC?",
            ));
        }
        Ok(Image { raw, elf })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `#define NAME value` in C, or `NAME = value;` in a linker script, says.
    fn number(text: &str, name: &str) -> u32 {
        let value = text.lines().find_map(|line| {
            let mut words = line.trim_start_matches("#define").split_whitespace().filter(|word| *word != "=");
            (words.next() == Some(name)).then(|| words.next().unwrap_or_default())
        });
        let value = value.unwrap_or_else(|| panic!("{name} is not there")).trim_end_matches(['u', ';']);
        match value.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => value.parse(),
        }
        .unwrap_or_else(|_| panic!("{name} is not a number: {value}"))
    }

    #[test]
    fn addresses_and_codes_are_those_of_the_c_files() {
        let [(_, board), _, (_, calls)] = HEADERS;
        let same = [
            (board, "SPACE_END", SPACE_END),
            (board, "CODE_BASE", CODE_BASE),
            (LINKER_SCRIPT, "CODE_BASE", CODE_BASE),
            (board, "STACK_TOP", STACK_TOP),
            (calls, "STACK_SIZE", STACK_SIZE),
            (board, "SPACES", SPACES),
            (board, "FAULT_MEMORY", FAULT_MEMORY),
            (board, "FAULT_MISALIGNED", FAULT_MISALIGNED),
            (board, "FAULT_STACK", FAULT_STACK),
            (board, "FAULT_ILLEGAL", FAULT_ILLEGAL),
            (board, "FAULT_OTHER", FAULT_OTHER),
        ];
        for (text, name, value) in same {
            assert_eq!(number(text, name), value, "{name}");
        }
    }

    #[test]
    fn the_count_of_instructions_assumes_the_speed_that_the_emulator_is_given() {
        // The timer's ticks of 66.667 ns, 15 in a microsecond, in an instruction.
        let ticks = f64::from(1u32 << INSTRUCTION_SHIFT) * 0.015;
        let (_, user, _) = SOURCES[2];
        let reciprocal = f64::from(number(user, "INSTRUCTIONS_OF_TICK"));
        assert_eq!(reciprocal, (2f64.powi(35) / ticks).round());
    }
}
