//! Packages: one component, built for one platform, in one signed file.
//!
//! The rule: the same source, compiler and key give the same bytes, wherever they are.

use std::path::Path;

use koboshi_package::{Digest, Header, MAX_MIGRATIONS, MAX_PORTS, Migration, SecretKey, Version, write};
use koboshi_runtime::Description;
use koboshi_sh4::tools::{Rust, Trouble};
use wasmparser::{Parser, Payload};

use crate::build::Step;
use crate::request::{Board, Source};
use crate::{Spelt, anywhere};

/// What a package is for.
#[derive(Clone, Copy, Debug)]
pub enum Platform<'a> {
    /// A process of this machine: the code is a module for its interpreter.
    Host,
    /// This board.
    Board(&'a Board),
}

impl Platform<'_> {
    /// Its word in the manifests.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Platform::Host => "host",
            Platform::Board(board) => board.name,
        }
    }
}

/// What is to be packed.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The component, as its code describes it.
    pub description: &'static Description,
    /// Its crate.
    pub source: &'a Source,
    /// What it is for.
    pub platform: Platform<'a>,
    /// Its version.
    pub version: Version,
}

/// A component's code, and what it takes.
struct Code {
    bytes: Vec<u8>,
    /// Bytes of it and of its memory.
    room: u32,
}

/// Packs a component, built in a folder of its own, and signs it: the bytes of the file. `koboshi`: Koboshi's own directory.
///
/// # Errors
/// It cannot be built, or no package can have what it describes: why.
pub fn pack(
    rust: &Rust,
    wanted: &Wanted<'_>,
    key: &SecretKey,
    koboshi: &Path,
    folder: &Path,
    say: &mut dyn FnMut(Step<'_>),
) -> Result<Vec<u8>, Trouble> {
    let Wanted { description, source, platform, version } = *wanted;
    let name = description.name;
    let code = match platform {
        Platform::Host => module(anywhere::module(rust, name, source, koboshi, folder, say)?)?,
        Platform::Board(board) => {
            let at_line_end = description.devices.iter().any(|device| LINE_ENDS.contains(device));
            let made = anywhere::for_board(rust, board, (name, source, at_line_end), (koboshi, folder), say)?;
            Code { bytes: made.code, room: made.room }
        }
    };
    let spelt = Spelt::of(description);
    let ports = spelt.ports();
    let header = Header {
        name,
        version,
        platform: platform.word(),
        ports: heapless::Vec::from_slice(&ports).map_err(|_| {
            Trouble::new(
                format!("`{name}` has {} ports, and a package has at most {MAX_PORTS}.", ports.len()),
                "make two components of it.",
            )
        })?,
        kept: spelt.kept(),
        migrations: migrations(description)?,
        room: code.room,
        // Put there by who writes it.
        digest: Digest([0; 32]),
    };
    write(&header, &code.bytes, key)
        .map_err(|why| Trouble::new(format!("the package cannot be written: {why}."), "mend its DESCRIPTION."))
}

/// The devices that are a line's end, by the names under which components open them: on a board their side of the platform has a
/// part for these.
const LINE_ENDS: [&str; 2] = ["application", "program"];

/// The ways from older kept states, as the component declares them.
fn migrations(description: &Description) -> Result<heapless::Vec<Migration, MAX_MIGRATIONS>, Trouble> {
    let ways = description.kept.map_or(&[][..], |kept| kept.ways);
    let all: Vec<Migration> = ways.iter().map(|way| Migration { from: way.from(), down: way.leads_back() }).collect();
    heapless::Vec::from_slice(&all).map_err(|_| {
        let (name, many) = (description.name, all.len());
        Trouble::new(
            format!("`{name}` declares {many} ways from older states, and a package has at most {MAX_MIGRATIONS}."),
            "leave out those from versions that run nowhere any more.",
        )
    })
}

/// A module, and what it takes.
fn module(bytes: Vec<u8>) -> Result<Code, Trouble> {
    let room = module_room(&bytes).ok_or_else(|| {
        Trouble::new(
            "the module that was built cannot be read, or is larger than 4 GiB",
            "please report it, with the version of Rust.",
        )
    })?;
    Ok(Code { bytes, room })
}

/// Bytes that a module takes when it is loaded: its own, and those of the memory that it begins with. `None`: it cannot be read, or
/// it is larger than 4 GiB.
#[must_use]
pub fn module_room(bytes: &[u8]) -> Option<u32> {
    let mut room = bytes.len() as u64;
    for part in Parser::new(0).parse_all(bytes) {
        if let Payload::MemorySection(memories) = part.ok()? {
            for found in memories {
                room = room.checked_add(found.ok()?.initial.checked_mul(PAGE)?)?;
            }
        }
    }
    u32::try_from(room).ok()
}

/// Bytes of a page of a module's memory.
const PAGE: u64 = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_takes_its_code_and_the_memory_that_it_begins_with() {
        // One memory of three pages, which may grow to nine.
        let wasm = b"\0asm\x01\0\0\0\x05\x04\x01\x01\x03\x09";
        let code = module(wasm.to_vec()).expect("it is a module");
        assert_eq!(code.room as usize, (3 << 16) + wasm.len());
        assert!(module(b"no module".to_vec()).is_err());
    }
}
