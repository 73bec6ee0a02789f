//! Programs that may take another one's place while an image runs: the code of a package.
//!
//! Job: make them, for an image that begins with one and for a package that comes later; both are the same.
//!
//! Rules kept here:
//! - A program does not know in which room it is: the MMU shows both at one address ([`room::SEEN_END`]). So it is linked once, and
//!   nobody who loads it changes a word of it.
//! - What it reads (code, constants, what variables are at the beginning) fills the end of its room; its variables begin behind it.
//! - Both of its stacks are the image's, and so as large as any program may expect ([`room::STACK`]).
//!
//! The code of a package: [`room::TABLE`] words, which stand at the beginning of a room, and then what fills its end.

use std::path::PathBuf;

use koboshi_sh4::link::{Elf, Layout as Placing, is_read_only};
use koboshi_sh4::stack::{Bounds, Worst};
use koboshi_sh4::tools::Trouble;
use koboshi_sh4::translate::Segment;
use koboshi_sh4_abi::{PAGE, room};

use crate::build::{MadeComponent, MadeRoom};
use crate::builder::{Builder, C, COMPONENT, LINKING, OTHER, RUST, initial};
use crate::generate;

/// Bytes of both stacks, which a program's room counts as well.
const STACKS: u32 = 2 * room::STACK;

/// Bytes of each room, of what an image gives: the rest is both stacks'. `None`: too little for any program.
#[must_use]
pub const fn room_of(given: u32) -> Option<u32> {
    match (given & !(PAGE - 1)).checked_sub(STACKS) {
        // Below it memory and registers are.
        Some(size) if size > 0 && size < room::SEEN_END - 0x2000_0000 => Some(size),
        _ => None,
    }
}

/// A program for a room.
pub(crate) struct ForRoom {
    /// What a package has as its code.
    pub(crate) code: Vec<u8>,
    /// Bytes that it takes when it is loaded: whole pages of what it reads and of its variables, and both stacks.
    pub(crate) room: u32,
    /// The program, with symbols and lines.
    elf: Elf,
    /// What its stacks need.
    bounds: Bounds,
    /// What its variables are at the beginning.
    initial: Vec<u8>,
    /// Where that is.
    kept_initial: u32,
    /// The first address behind its variables.
    data_end: u32,
    /// The first address of its constants.
    constants: u32,
}

impl Builder<'_> {
    /// The program that an image begins with where others may take its place. It is kept at `place`; the image gives it `given` bytes.
    pub(crate) fn own(
        &self,
        name: &str,
        assembler: &[PathBuf],
        (place, given): (u32, u32),
        doing: &mut dyn FnMut(&'static str),
    ) -> Result<MadeComponent, Trouble> {
        let made = self.for_room((&generate::crate_of(name), name), assembler, doing)?;
        let size = room_of(given).unwrap_or(0);
        if made.room > given || size == 0 {
            return Err(Trouble::new(
                format!("`{name}` needs {} bytes, and its `room` has {given}", made.room),
                "make its room larger: the image's own program has to have room in it too.",
            ));
        }
        let ForRoom { code, elf, bounds, initial, kept_initial, data_end, constants, .. } = made;
        let first = elf.sections.iter().map(|section| section.address).min().unwrap_or(constants);
        let of_code = elf.sections.iter().filter(|section| !section.writable).map(|section| section.size).sum();
        Ok(MadeComponent {
            name: name.to_owned(),
            entry: elf.entry,
            elf,
            code: first..constants,
            constants: constants..room::SEEN_END,
            data: room::SEEN_END..data_end.next_multiple_of(PAGE),
            initial,
            kept_initial,
            zero_end: data_end.next_multiple_of(4),
            shadow: 0..0,
            shadow_pointer: 0,
            stack: 0..0,
            guards: [0..0, 0..0],
            view: 0..0,
            kept: 0..0,
            bounds,
            size: of_code,
            room: Some(MadeRoom { size, program: code, kept: place, at: [0; 2], variables: 0 }),
        })
    }

    /// The code of a package.
    pub(crate) fn for_room(
        &self,
        (package, name): (&str, &str),
        assembler: &[PathBuf],
        doing: &mut dyn FnMut(&'static str),
    ) -> Result<ForRoom, Trouble> {
        // Constants end where variables begin, on a page, and that is to be the end of the room. How many pages they take is known
        // when they are made; most components have one.
        let mut base = room::SEEN_END - PAGE;
        let (built, compiled) = loop {
            doing(RUST);
            let built = self.program(package.to_owned(), base, room::STACK)?;
            doing(C);
            let compiled = self.compiled(name, assembler, &built)?;
            let constants = compiled.segments.iter().filter(|segment| is_read_only(segment)).map(end_of);
            let variables = constants.max().unwrap_or(base).next_multiple_of(PAGE);
            if variables == room::SEEN_END {
                break (built, compiled);
            }
            base = room::SEEN_END - (variables - base);
        };
        let bounds = compiled.calls.bounds(COMPONENT.0)?;
        suffices(name, "the machine's", &bounds.machine)?;
        suffices(name, "the module's own", &bounds.shadow)?;
        doing(LINKING);
        let placing = |code: u32| Placing {
            code,
            data: OTHER,
            memory: Some(built.extent.clone()),
            entry: Some(COMPONENT.0.to_owned()),
        };
        // First anywhere, for it is not known yet how large the code is.
        let before = |elf: &Elf| {
            elf.sections.iter().filter(|section| section.address < base).map(|section| section.end() as u32).max()
        };
        let anywhere = room::SEEN_END - (room::SEEN_END / 4);
        let size = before(&self.linked(name, &compiled, &placing(anywhere))?).map_or(0, |end| end - anywhere);
        let data_end = built.extent.data.end.max(room::SEEN_END);
        let mut variables = vec![0; (data_end - room::SEEN_END) as usize];
        for segment in compiled.segments.iter().filter(|segment| !is_read_only(segment)) {
            let at = (segment.address - room::SEEN_END) as usize;
            variables[at..at + segment.bytes.len()].copy_from_slice(&segment.bytes);
        }
        let initial = initial(&variables);
        let kept_initial = base - (initial.len() as u32).next_multiple_of(32);
        let code = (kept_initial - size) & !31;
        let elf = self.linked(name, &compiled, &placing(code))?;
        let (first, raw) = self.raw(&elf, name)?;
        if first != code || before(&elf).is_some_and(|end| end > kept_initial) {
            return Err(Trouble::new(
                format!("the code of `{name}` is not as large as it was"),
                "this is a mistake of Koboshi: please report it.",
            ));
        }
        let mut program = raw;
        program.resize((room::SEEN_END - code) as usize, 0);
        let at = (kept_initial - code) as usize;
        program[at..at + initial.len()].copy_from_slice(&initial);
        let copied = initial.len() as u32 / 4;
        let zeroed = (data_end - room::SEEN_END).div_ceil(4) - copied;
        let table = [elf.entry, kept_initial, copied, zeroed];
        let mut code: Vec<u8> = table.iter().flat_map(|word| word.to_le_bytes()).collect();
        code.extend(program);
        let room =
            (code.len() as u32).next_multiple_of(PAGE) + (data_end - room::SEEN_END).next_multiple_of(PAGE) + STACKS;
        Ok(ForRoom { code, room, elf, bounds, initial, kept_initial, data_end, constants: base })
    }
}

/// The first address behind a segment.
fn end_of(segment: &Segment) -> u32 {
    segment.address + segment.bytes.len() as u32
}

/// Refuses a program that needs more of a stack than every image gives it.
fn suffices(name: &str, which: &str, need: &Worst) -> Result<(), Trouble> {
    if need.bytes <= room::STACK {
        return Ok(());
    }
    Err(Trouble::new(
        format!("`{name}` needs {} bytes of {which} stack, and who may be swapped has {}", need.bytes, room::STACK),
        "let it keep less at a time, or do not make it swappable.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_an_image_gives_both_stacks_are_taken_in_whole_pages() {
        assert_eq!(room_of(64 << 10), Some(48 << 10));
        assert_eq!(room_of((64 << 10) + 4_095), Some(48 << 10));
        assert_eq!(room_of(STACKS + PAGE), Some(PAGE));
        for little in [0, PAGE, STACKS, STACKS + PAGE - 1] {
            assert_eq!(room_of(little), None, "{little}");
        }
        // What is seen of it must not reach down to where memory is.
        assert_eq!(room_of(u32::MAX), None);
    }

    #[test]
    fn a_program_that_needs_more_of_a_stack_than_every_image_gives_is_refused_with_both_numbers() {
        let need = |bytes| Worst {
            bytes,
            path: vec![],
            recursion: vec![],
            indirect: vec![],
            unknown: vec![],
            pointers: vec![],
        };
        assert!(suffices("deep", "the machine's", &need(room::STACK)).is_ok());
        let said = suffices("deep", "the machine's", &need(room::STACK + 4)).expect_err("it is more").to_string();
        assert!(said.contains("`deep` needs 8196") && said.contains("8192"), "{said}");
    }
}
