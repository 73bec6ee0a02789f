//! `koboshi build`: an image for a board, as one file that it boots.

use std::path::{Path, PathBuf};

use koboshi_board::{Board, Made, Placed, Request, Source, build};
use koboshi_sh4::link::Optimise;
use koboshi_sh4::tools::{Gcc, Rust, Trouble};
use serde::Serialize;

use super::check::{print_json, show_warnings};
use super::needs::cache;
use super::progress::Progress;
use super::{FINE, MISUSED, Paint, complain, composed, count, listen_for_stop, not_built, print_out, table};
use crate::compose::Composed;
use crate::compose::board::{board_of, no_place, placed, rooms};
use crate::registry::{Package, packages};

pub(super) const AFTER_HELP: &str = "Example, and how the emulated R2D-PLUS boots it:
  koboshi build images/r2d.toml
  qemu-system-sh4 -M r2d -nic none -display none -monitor none -no-reboot \\
      -icount shift=1 -serial stdio -serial unix:/tmp/line,server \\
      -kernel target/koboshi/board/r2d/r2d.bin
The kernel shows on the first serial line what it does; the driver's is the second.

Exit codes:
  0  it was built
  1  the image is wrong, or a step failed
  2  the command was not used as it can be
  130  stopped by Ctrl-C; what was made so far is kept";

/// Arguments of `koboshi build`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The image's manifest, such as images/r2d.toml
    image: PathBuf,
    /// Fast rather than small
    #[arg(long)]
    fast: bool,
    /// Where the files go [default: target/koboshi/board/NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints. All sizes are in bytes.
#[derive(Serialize)]
struct Report<'a> {
    file: &'a Path,
    file_size: u64,
    kernel: &'a Path,
    kernel_code: u32,
    memory_end: u32,
    components: Vec<Part<'a>>,
}

#[derive(Serialize)]
struct Part<'a> {
    name: &'a str,
    elf: &'a Path,
    code_and_constants: u32,
    variables: u32,
    stack: u32,
    stack_needed: u32,
    own_stack: u32,
    own_stack_needed: u32,
    /// Whether what is needed is a bound.
    bounded: bool,
}

/// Builds it, and gives the exit code.
pub(super) fn run(arguments: &Arguments) -> i32 {
    listen_for_stop();
    let composed = match composed(Some(&arguments.image), &|_| {}) {
        Ok(composed) => composed,
        Err(code) => return code,
    };
    show_warnings(&composed.warnings);
    let optimise = if arguments.fast { Optimise::Speed } else { Optimise::Size };
    let how = How { out: arguments.out.clone(), optimise, knocks: false };
    let Some(board) = board_of(composed.manifest.platform) else {
        let what = format!("{} is an image for this machine: there is nothing to build.", arguments.image.display());
        complain(&what, &format!("koboshi run {}", arguments.image.display()));
        return MISUSED;
    };
    match make(&arguments.image, how, &composed, board) {
        Ok(made) => show(arguments, &made),
        Err(trouble) => not_built(&trouble),
    }
}

/// How an image is built.
pub(super) struct How {
    /// Where the files go, if not in the usual place.
    pub(super) out: Option<PathBuf>,
    pub(super) optimise: Optimise,
    /// Its components can be knocked over.
    pub(super) knocks: bool,
}

/// Koboshi's own directory.
pub(super) fn koboshi() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_path_buf()
}

/// The programs of an image's components, in their order.
pub(super) fn sources(composed: &Composed) -> Result<Vec<Source>, Trouble> {
    let all = packages();
    let named = |name: &str| all.iter().find(|package| package.name == name);
    let instances = composed.manifest.components.iter();
    let found = instances.filter_map(|instance| named(&instance.package.value));
    found.map(source).collect()
}

/// The program of a package.
pub(super) fn source(package: &Package) -> Result<Source, Trouble> {
    let Some(program) = package.program else {
        return Err(Trouble::new(
            format!("nobody knows where the crate of package `{}` lies: it cannot be built as a program", package.name),
            "run the image on this machine with its components linked in.",
        ));
    };
    Ok(Source {
        package: program.package.to_owned(),
        // That of a workspace's own is a whole path, and stays as it is.
        folder: koboshi().join(program.folder),
        start: program.start.to_owned(),
        features: Vec::new(),
        assembler: Vec::new(),
    })
}

/// The programs of an image's components, and where its devices are on the board.
pub(super) fn parts(composed: &Composed) -> Result<(Vec<Source>, Vec<Option<Placed>>), Trouble> {
    let sources = sources(composed)?;
    let devices = placed(&composed.manifest, &composed.image).map_err(|device| {
        let (what, remedy) = no_place(device);
        Trouble::new(what, remedy)
    })?;
    Ok((sources, devices))
}

/// Builds an image for its board, and shows how far that is. `image`: its manifest.
pub(super) fn make(image: &Path, how: How, composed: &Composed, board: Board) -> Result<Made, Trouble> {
    let cache = cache(Path::new("."));
    let (rust, gcc) = (Rust::find()?, Gcc::find(&cache)?);
    let (sources, devices) = parts(composed)?;
    let name = image.file_stem().map_or_else(|| "image".to_owned(), |name| name.to_string_lossy().into_owned());
    let folder = how.out.unwrap_or_else(|| Path::new("target/koboshi/board").join(&name));
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    let request = Request {
        image: &composed.image,
        sources,
        devices,
        rooms: rooms(&composed.manifest),
        board,
        optimise: how.optimise,
        knocks: how.knocks,
        koboshi: koboshi(),
        folder,
        name,
        change: None,
    };
    let mut progress = Progress::new();
    let made = build(&rust, &gcc, &cache, &request, &mut |step| progress.show(step))?;
    drop(progress);
    made.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    Ok(made)
}

fn show(arguments: &Arguments, made: &Made) -> i32 {
    let length = |range: &std::ops::Range<u32>| range.end - range.start;
    let parts: Vec<Part<'_>> = made
        .components
        .iter()
        .map(|part| Part {
            name: &part.name,
            elf: &part.elf.path,
            code_and_constants: part.size,
            variables: length(&part.data),
            stack: length(&part.stack),
            stack_needed: part.bounds.machine.bytes,
            own_stack: length(&part.shadow),
            own_stack_needed: part.bounds.shadow.bytes,
            bounded: part.bounds.machine.is_bound() && part.bounds.shadow.is_bound(),
        })
        .collect();
    let report = Report {
        file: &made.file,
        file_size: made.size,
        kernel: &made.kernel.path,
        kernel_code: made.kernel_code,
        memory_end: made.end,
        components: parts,
    };
    if arguments.json {
        return print_json(&report, FINE);
    }
    let heading = ["component", "code", "variables", "stack", "needs", "own stack", "needs"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for part in &report.components {
        let more = if part.bounded { "" } else { " or more" };
        rows.push(vec![
            part.name.to_owned(),
            count(part.code_and_constants.into()),
            count(part.variables.into()),
            count(part.stack.into()),
            count(part.stack_needed.into()) + more,
            count(part.own_stack.into()),
            count(part.own_stack_needed.into()) + more,
        ]);
    }
    print_out(&table(&rows));
    say!(
        "the kernel's code: {} bytes; all memory ends at {:#010x}",
        count(report.kernel_code.into()),
        report.memory_end
    );
    say!("{} {} ({} bytes)", Paint::stdout().good("made:"), report.file.display(), count(report.file_size));
    FINE
}
