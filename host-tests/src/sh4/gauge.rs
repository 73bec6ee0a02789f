//! What the kernel for SH-4 costs: instructions of the emulated board, bytes and lines.
//!
//! Job: build images, run them, and count the instructions between marks (`count`). There are two kinds: small components
//! that call each other (`parts`), and a whole system (`system`); each as it is, and with many more components.
//! The images write no trace, as on a board without such a register.
//!
//! It must never: call an instruction of the emulator a time.

mod count;
mod parts;
mod system;

use std::fmt;
use std::fs;

use koboshi_board::{Board, Made, Placed, Request, Source, build};
use koboshi_host::image::Image;
use koboshi_sh4::link::Optimise;
use koboshi_sh4::tools::{Gcc, Rust, Trouble};
use serde::Serialize;

use super::on_board::{koboshi, request};
use parts::{numbers, one};
pub use system::System;

/// Components of the smaller image.
pub const FEW: usize = 5;

/// Components of the larger image: the others have nothing to do.
pub const MANY: usize = 32;

/// Bytes of the kernel's stacks, as the builder of images lays them.
const KERNEL_STACKS: u32 = 0x4000;

/// One number, for the smaller image and for the larger one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name, which does not change from version to version.
    pub id: &'static str,
    /// What it is.
    pub what: &'static str,
    /// Of what: `instructions`, `bytes`, `lines`, `misses`.
    pub unit: &'static str,
    /// In the image of [`FEW`], or in the whole system as it is.
    pub few: u64,
    /// In the image of [`MANY`]; `None`: it was not built, or has no such number.
    pub many: Option<u64>,
    /// In the image of [`FEW`] where both compilers were told to make it fast; the others are made small.
    pub fast: Option<u64>,
    /// It is to be below this.
    pub below: Option<u64>,
}

impl Row {
    /// Whether the aim is met, in both images.
    #[must_use]
    pub fn met(&self) -> Option<bool> {
        self.below.map(|below| self.few < below && self.many.is_none_or(|many| many < below))
    }
}

/// The memory of a component, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Its name.
    pub component: String,
    /// Code and constants.
    pub code: u32,
    /// Variables.
    pub data: u32,
    /// The module's own stack: what it needs, as known from the code.
    pub own_stack: u32,
    /// The machine's stack, likewise.
    pub machine_stack: u32,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The numbers.
    pub rows: Vec<Row>,
    /// The components of the smaller image.
    pub memory: Vec<Memory>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "The kernel for SH-4, on the emulated board. Instructions are exact, and no time of real hardware."
        )?;
        writeln!(f, "  {:<66} {:>9} {:>9} {:>9}  aim", "", format!("of {FEW}"), format!("of {MANY}"), "fast")?;
        let mut unit = "";
        for row in &self.rows {
            if row.unit != unit {
                unit = row.unit;
                writeln!(f, "{unit}")?;
            }
            let cell = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
            let (many, fast) = (cell(row.many), cell(row.fast));
            let aim = match (row.below, row.met()) {
                (Some(below), Some(true)) => format!("below {below}: met"),
                (Some(below), _) => format!("below {below}: MISSED"),
                _ => String::new(),
            };
            writeln!(f, "{}", format!("  {:<66} {:>9} {many:>9} {fast:>9}  {aim}", row.what, row.few).trim_end())?;
        }
        writeln!(f, "bytes of a component: code and constants, variables, its own stack, the machine's stack")?;
        for Memory { component, code, data, own_stack, machine_stack } in &self.memory {
            writeln!(f, "  {component:<20} {code:>8} {data:>8} {own_stack:>8} {machine_stack:>8}")?;
        }
        Ok(())
    }
}

/// Builds an image into the folder of the first name, as a file of the second one.
fn built(
    names: (&str, &str),
    image: &Image,
    sources: Vec<Source>,
    devices: Vec<Option<Placed>>,
    optimise: Optimise,
) -> Result<(Made, Gcc), Trouble> {
    let cache = koboshi().join("target/koboshi/sh4");
    let (rust, gcc) = (Rust::find()?, Gcc::find(&cache)?);
    let board = Board { trace: None, ..Board::R2D };
    let request = Request { board, optimise, ..request(names, image, sources, devices) };
    Ok((build(&rust, &gcc, &cache, &request, &mut |_| {})?, gcc))
}

/// Lines of code of the kernel, without comments, empty lines and tests.
fn lines() -> u64 {
    let folders = ["kernel/core/src", "kernel/sh4/src", "kernel/sh4/src/machine", "kernel/sh4/abi/src"];
    let files = folders.iter().filter_map(|folder| fs::read_dir(koboshi().join(folder)).ok()).flatten().flatten();
    // A line's end between two components is theirs: no kernel has it.
    let ours = files.filter(|file| file.file_name() != "line_end.rs");
    let texts = ours.filter_map(|file| fs::read_to_string(file.path()).ok());
    let counts = |line: &&str| !line.is_empty() && !line.starts_with("//") && !line.starts_with('!');
    texts
        .map(|text| {
            text.lines().map(str::trim).take_while(|line| *line != "#[cfg(test)]").filter(counts).count() as u64
        })
        .sum()
}

/// Each row: its name, what it is, of what, and the aim.
const ROWS: [(&str, &str, &str, Option<u64>); 16] = [
    ("trap", "a trap that asks for nothing", "instructions", None),
    ("time", "the time", "instructions", None),
    ("doorbell", "a doorbell of a peer that is ready already", "instructions", None),
    ("slots", "a call without content and its answer, from slot to slot", "instructions", Some(719)),
    ("slots-64", "the same with 64 bytes each way", "instructions", None),
    ("call", "a call without content and its answer, with postcard", "instructions", Some(719)),
    ("call-64", "the same with 64 bytes each way", "instructions", None),
    ("interrupt", "an interrupt, to the driver's own code behind its wait", "instructions", Some(213)),
    ("recovery", "a driver's fault, to the first answer of its next incarnation", "instructions", Some(10_000)),
    ("reboot", "a reboot of a server and its driver, to both their answers", "instructions", None),
    ("boot", "power on, to the first instruction of a component", "instructions", None),
    ("boot-client", "power on, to the first instruction of the fourth component", "instructions", None),
    ("recovery-misses", "misses of the TLB in that recovery", "misses", None),
    ("kernel-code", "the kernel's code", "bytes", Some(16_384)),
    ("kernel-tables", "its constants and the image's tables", "bytes", None),
    ("kernel-ram", "its variables and stacks", "bytes", None),
];

/// Measures, and of whole systems this one. `quick`: only the smaller images.
///
/// # Errors
/// A tool is missing, or an image could not be built or did not come to its end.
pub fn measure(system: &System, quick: bool) -> Result<Report, Trouble> {
    let few = one(FEW, Optimise::Size)?;
    let fast = numbers(&one(FEW, Optimise::Speed)?);
    let many = if quick { None } else { Some(numbers(&one(MANY, Optimise::Size)?)) };
    let mut rows: Vec<Row> = Vec::new();
    for (at, ((id, what, unit, below), number)) in ROWS.into_iter().zip(numbers(&few)).enumerate() {
        rows.push(Row {
            id,
            what,
            unit,
            few: number,
            many: many.as_ref().map(|many| many[at]),
            fast: Some(fast[at]),
            below,
        });
    }
    let others = rows.iter().position(|row| row.unit != "instructions").unwrap_or(rows.len());
    rows.splice(others..others, system::rows(system, quick)?);
    let what = "the kernel's code, without comments and tests";
    rows.push(Row {
        id: "kernel-lines",
        what,
        unit: "lines",
        few: lines(),
        many: None,
        fast: None,
        below: Some(3_000),
    });
    let memory = few.0.components.iter().map(|made| Memory {
        component: made.name.clone(),
        code: made.size,
        data: made.zero_end - made.data.start,
        own_stack: made.bounds.shadow.bytes,
        machine_stack: made.bounds.machine.bytes,
    });
    Ok(Report { rows, memory: memory.collect() })
}
