//! Koboshi itself on the emulated board: whole images, built as a user's are.
//!
//! The rule: what passes on the host is not made easier here. The components are the same, unchanged.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use koboshi_board::emulator::{Emulator, How};
use koboshi_board::{Board, Made, Placed, Request, Source, Step, build, place_of};
use koboshi_host::image::Image;
use koboshi_sh4::link::Optimise;
use koboshi_sh4::tools::{Gcc, Qemu, Rust, Trouble};

use super::spec::cannot_begin;
use crate::conformance;
use crate::suite::{Context, Report};

/// Nanoseconds of an instruction, as a power of 2: none is faster than that on the boards that we know.
pub(crate) const INSTRUCTION: u32 = 0;

/// The emulator is given up if the suite takes longer than this. It takes a second.
const PATIENCE: Duration = Duration::from_secs(120);

/// The directory of Koboshi itself.
pub(super) fn koboshi() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_path_buf()
}

/// The program of one of Koboshi's own components.
pub(crate) fn source(folder: &str, start: &str) -> Source {
    Source {
        package: format!("koboshi-{folder}"),
        folder: koboshi().join("components").join(folder),
        start: start.to_owned(),
        features: Vec::new(),
        assembler: Vec::new(),
    }
}

/// Builds an image for the R2D-PLUS, of these programs. Images that share a folder share what is the same.
///
/// # Errors
/// A tool is missing, or a step failed.
pub fn image(
    context: &Context<'_>,
    (folder, name): (&str, &str),
    image: &Image,
    sources: Vec<Source>,
    devices: Vec<Option<Placed>>,
) -> Result<Made, Trouble> {
    changed_image(context, (folder, name), image, sources, devices, None)
}

/// The same, with something done to the text of the kernel's tables: what makes an image wrong on purpose.
pub(crate) fn changed_image(
    context: &Context<'_>,
    names: (&str, &str),
    image: &Image,
    sources: Vec<Source>,
    devices: Vec<Option<Placed>>,
    change: Option<&dyn Fn(String) -> String>,
) -> Result<Made, Trouble> {
    made(context, &Request { change, ..request(names, image, sources, devices) })
}

/// What is to be built for the R2D-PLUS, of these programs, as [`image`] builds it.
pub(crate) fn request<'a>(
    (folder, name): (&str, &str),
    image: &'a Image,
    sources: Vec<Source>,
    devices: Vec<Option<Placed>>,
) -> Request<'a> {
    Request {
        image,
        sources,
        devices,
        rooms: Vec::new(),
        board: Board::R2D,
        optimise: Optimise::Size,
        knocks: false,
        koboshi: koboshi(),
        folder: koboshi().join("target/koboshi/board").join(folder),
        name: name.to_owned(),
        change: None,
    }
}

/// Builds it.
///
/// # Errors
/// A tool is missing, or a step failed.
pub(crate) fn made(context: &Context<'_>, request: &Request<'_>) -> Result<Made, Trouble> {
    let cache = koboshi().join("target/koboshi/sh4");
    let (rust, gcc) = (Rust::find()?, Gcc::find(&cache)?);
    build(&rust, &gcc, &cache, request, &mut |step| {
        if let Step::Part { made, of, .. } = step {
            (context.progress)(made as u64, of as u64);
        }
    })
}

/// What is reported of a suite that could not be run to its end.
pub(crate) fn reported(outcome: Result<Report, Trouble>) -> Report {
    outcome.unwrap_or_else(|trouble| cannot_begin(&trouble))
}

/// The suite `sh4-conformance`.
pub fn on_board(context: &Context<'_>) -> Report {
    reported(run(context))
}

fn run(context: &Context<'_>) -> Result<Report, Trouble> {
    let mut report = Report::default();
    let sources = || {
        vec![
            source("restart-manager", "koboshi_restart_manager::start"),
            source("conformance", "koboshi_conformance::subject::start"),
            source("conformance", "koboshi_conformance::tester::start"),
        ]
    };
    let made = image(
        context,
        ("conformance", "conformance"),
        &conformance::image(&conformance::Suite::default()),
        sources(),
        Vec::new(),
    )?;
    for (cpu, sh4a) in [("SH7751R", false), ("SH-4A", true)] {
        let (found, hung) = watch(&made, sh4a)?;
        // From the kernel's record through `health` to the source: whoever hangs polls the time, in a loop of two functions.
        let polls = ["koboshi_trap_now", "koboshi_conformance::subject::hang"];
        let at = hung.and_then(|pc| place_of(made.file.parent()?, "subject", pc).transpose()).transpose()?;
        if at.as_ref().is_some_and(|at| at.line.function.as_deref().is_some_and(|name| polls.contains(&name))) {
            report.passed += 1;
        } else {
            report.failed += 1;
            let _ = writeln!(report.text, "{cpu}: the hang is not found in its source: {at:?}");
        }
        let wrong = found.wrong(&conformance::RULES);
        report.passed += found.lines.iter().filter(|line| line.ok).count() as u64;
        report.failed += wrong.len() as u64;
        wrong.into_iter().for_each(|line| report.text += &format!("{cpu}: {line}\n"));
    }
    let _ = writeln!(report.text, "the kernel's code: {} bytes", made.kernel_code);

    // The same with a subject that does not keep the rules: this suite can fail.
    let flawed = conformance::Suite { flaw: koboshi_conformance::Flaw::RepeatsItem, ..conformance::Suite::default() };
    let made = image(context, ("conformance", "flawed"), &conformance::image(&flawed), sources(), Vec::new())?;
    if watch(&made, false)?.0.fails("r1-resumable-goes-on-where-it-was") {
        report.passed += 1;
    } else {
        report.failed += 1;
        report.text += "a subject that repeats its items was not noticed\n";
    }
    Ok(report)
}

/// Runs the suite's image until its end, on the board's own processor or on one with the instructions of SH-4A. Gives where
/// the subject hung, too.
fn watch(made: &Made, sh4a: bool) -> Result<(conformance::Report, Option<u32>), Trouble> {
    let qemu = Qemu::find()?;
    let emulator =
        Emulator::start(qemu.path(), &made.file, &How { counted: Some(INSTRUCTION), sh4a, ..How::default() })?;
    let mut found = conformance::Report::default();
    let (mut end, mut hung) = (None, None);
    emulator.lines_until(PATIENCE, |line| {
        if let Some(text) = line.strip_prefix("koboshi: tester says ") {
            end = found.take(text);
            let place = text.split_once(" hung at 0x").and_then(|(_, pc)| u32::from_str_radix(pc, 16).ok());
            hung = place.or(hung);
        }
        found.reboots += u32::from(line == "koboshi: reboot");
        end.is_some()
    });
    found.done = found.is_done(end.as_deref());
    Ok((found, hung))
}
