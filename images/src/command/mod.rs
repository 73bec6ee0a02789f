//! The `koboshi` command: its arguments, and what all its parts have in common.
//!
//! The rule: a person is told what to do, not only what went wrong; colours and moving bars only on a terminal; the exit
//! code says how it went.

/// Prints one line of what was asked for.
macro_rules! say {
    ($($part:tt)*) => {
        $crate::command::print_out(&(format!($($part)*) + "\n"))
    };
}

pub mod ask;
#[cfg(feature = "suites")]
pub mod bench;
pub mod build;
pub mod check;
pub mod demo;
pub mod doctor;
#[cfg(not(feature = "suites"))]
mod elsewhere;
mod engine;
mod exact;
pub mod inspect;
pub mod key;
mod needs;
pub mod new;
mod on_board;
pub mod pack;
mod progress;
pub mod report;
pub mod run;
pub mod sh4;
#[cfg(feature = "suites")]
pub mod test;

#[cfg(not(feature = "suites"))]
use elsewhere::{bench, test};

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Parser, Subcommand};
use koboshi_sh4::tools::Trouble;

use crate::compose::{Change, Composed, compose_changed};
use crate::probe;
use crate::problem::{Problems, Rule};
use crate::registry::{self, packages};
use crate::units::Quantity;

/// Everything is as it should be.
pub const FINE: i32 = 0;

/// Something is not as it should be: a test failed, a byte was lost, an image is wrong.
pub const WRONG: i32 = 1;

/// The command was not used as it can be.
pub const MISUSED: i32 = 2;

/// It was stopped by Ctrl-C, as shells count it.
pub const STOPPED: i32 = 130;

const EXIT_CODES: &str = "Exit codes:
  0    everything is as it should be
  1    something is not: a byte is missing, a test failed, an image is wrong
  2    the command was not used as it can be
  130  stopped by Ctrl-C";

/// Koboshi: drivers that stand up again each time they are knocked over
#[derive(Debug, Parser)]
#[command(name = "koboshi", version, after_help = EXIT_CODES, propagate_version = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send a file both ways over a serial line while its driver is knocked over again and again
    #[command(after_help = demo::AFTER_HELP)]
    Demo(demo::Arguments),
    /// Run the test suites
    #[command(after_help = EXIT_CODES)]
    Test(test::Arguments),
    /// Measure what recovery and messages cost
    #[command(after_help = bench::AFTER_HELP)]
    Bench(bench::Arguments),
    /// Start an image and keep it running, with a terminal for each end of its lines
    #[command(after_help = run::AFTER_HELP)]
    Run(run::Arguments),
    /// Show the components of a running image
    #[command(after_help = EXIT_CODES)]
    Ps(ask::Plain),
    /// List what happened to components, or tell the story of one incident
    #[command(after_help = EXIT_CODES)]
    Incidents(ask::Incidents),
    /// Show the log of a running image
    #[command(after_help = EXIT_CODES)]
    Log(ask::Log),
    /// Knock a component over
    #[command(after_help = EXIT_CODES)]
    Kill(ask::Kill),
    /// End a component and start it again, or start one that was stopped or given up
    #[command(after_help = EXIT_CODES)]
    Restart(ask::Restart),
    /// Put a package, or the version before, in a component's place while the image runs
    #[command(after_help = ask::AFTER_SWAP, override_usage = ask::SWAP_USAGE)]
    Swap(ask::SwapArguments),
    /// Show or set one end of a line
    #[command(after_help = EXIT_CODES)]
    Line(ask::Line),
    /// End a running image
    #[command(after_help = EXIT_CODES)]
    Stop(ask::Plain),
    /// Compose an image without running it, and say all that is wrong with it
    #[command(after_help = EXIT_CODES)]
    Check(check::Arguments),
    /// Build an image for a board: one file to boot, and what everything in it takes
    #[command(after_help = build::AFTER_HELP)]
    Build(build::Arguments),
    /// Show what an image is: ports, restarts, memory, devices, margins
    #[command(after_help = EXIT_CODES)]
    Report(report::Arguments),
    /// Make a key that signs packages, or show its public half
    #[command(after_help = key::AFTER_HELP)]
    Key(key::Arguments),
    /// Build a component for a platform, as one signed file
    // It has a `--version` of its own: the package's.
    #[command(after_help = pack::AFTER_HELP, disable_version_flag = true)]
    Pack(pack::Arguments),
    /// Show what a package is, and whether an image would let it in
    #[command(after_help = EXIT_CODES)]
    Inspect(inspect::Arguments),
    /// Look at the tools that boards need, and install what is missing
    #[command(after_help = doctor::AFTER_HELP)]
    Doctor(doctor::Arguments),
    /// Build Rust for SH-4: a crate to an ELF and a raw image, a module to C, an address to a line
    #[command(after_help = EXIT_CODES)]
    Sh4(sh4::Arguments),
    /// Make an interface, a driver or an image of your own
    #[command(after_help = new::AFTER_HELP)]
    New(new::Arguments),
}

/// Runs the command, and gives its exit code.
#[must_use]
pub fn run(arguments: &Arguments) -> i32 {
    match (done(arguments), LOST.load(Ordering::Relaxed)) {
        (FINE, true) => WRONG,
        (code, _) => code,
    }
}

fn done(arguments: &Arguments) -> i32 {
    match &arguments.command {
        Command::Demo(arguments) => demo::run(arguments),
        Command::Test(arguments) => test::run(arguments),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Run(arguments) => run::run(arguments),
        Command::Ps(arguments) => ask::ps(arguments),
        Command::Incidents(arguments) => ask::incidents(arguments),
        Command::Log(arguments) => ask::log(arguments),
        Command::Kill(arguments) => ask::kill(arguments),
        Command::Restart(arguments) => ask::restart(arguments),
        Command::Swap(arguments) => ask::swap(arguments),
        Command::Line(arguments) => ask::line(arguments),
        Command::Stop(arguments) => ask::stop(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Build(arguments) => build::run(arguments),
        Command::Report(arguments) => report::run(arguments),
        Command::Key(arguments) => key::run(arguments),
        Command::Pack(arguments) => pack::run(arguments),
        Command::Inspect(arguments) => inspect::run(arguments),
        Command::Doctor(arguments) => doctor::run(arguments),
        Command::Sh4(arguments) => sh4::run(arguments),
        Command::New(arguments) => new::run(arguments),
    }
}

/// Whether Ctrl-C was pressed.
static STOP: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C asks to stop, and a second one stops at once.
fn listen_for_stop() {
    let heard = ctrlc::set_handler(|| {
        // Known before compilers end by it, for whoever waits for them asks why they did.
        let again = STOP.swap(true, Ordering::Relaxed);
        // Nobody else ends these: they are not in the group that a terminal tells.
        koboshi_sh4::tools::stop();
        if again {
            crate::run::directory::leave_nothing();
            std::process::exit(STOPPED);
        }
    });
    // Without a handler Ctrl-C ends the process as ever, with its compilers: nothing is lost but the table.
    if heard.is_ok() {
        koboshi_sh4::tools::hold();
    }
}

/// Says why an image could not be built, and gives the exit code.
fn not_built(trouble: &Trouble) -> i32 {
    if stop_wanted() {
        complain("it was stopped by Ctrl-C before it was built.", "say it again: what was made so far is kept.");
        return STOPPED;
    }
    complain(&trouble.what, &trouble.remedy);
    WRONG
}

/// Whether Ctrl-C was pressed since [`listen_for_stop`].
pub(crate) fn stop_wanted() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// Whether this stream is a terminal whose user wants colours.
pub(crate) fn colours(stream: &impl IsTerminal) -> bool {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    stream.is_terminal() && !plain && !dumb
}

/// Text in colour, or not.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn stdout() -> Self {
        Paint(colours(&std::io::stdout()))
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    fn strong(self, text: &str) -> String {
        self.with("1", text)
    }
}

/// Whether something that was asked for could not be printed.
static LOST: AtomicBool = AtomicBool::new(false);

/// Prints what was asked for. Whoever reads it may have had enough, as in `koboshi report | head`: then nobody misses the
/// rest. Anything else, such as a full disk, is complained of once, and the command does not end as if all were well.
fn print_out(text: &str) {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe && !LOST.swap(true, Ordering::Relaxed) => {
            complain(&format!("the output cannot be written: {error}."), "is there room where it goes?");
        }
        _ => {}
    }
}

/// Says what is wrong, and what to do about it.
fn complain(what: &str, remedy: &str) {
    let paint = Paint(colours(&std::io::stderr()));
    eprintln!("{} {what}\n  {remedy}", paint.bad("error:"));
}

/// The name and the text of the manifest in a file, or of the embedded one; the exit code if it cannot be read.
///
/// If the image names packages that are not built in, it may not come back: a command that has them takes over.
fn manifest_of(path: Option<&PathBuf>) -> Result<(String, String), i32> {
    let Some(path) = path else {
        return Ok((crate::HOST_IMAGE.0.to_owned(), crate::HOST_IMAGE.1.to_owned()));
    };
    let text = std::fs::read_to_string(path).map_err(|error| {
        let remedy = "name a file such as images/host.toml.";
        complain(&format!("the image {} cannot be read: {error}", path.display()), remedy);
        MISUSED
    })?;
    probe::take_over(path, &text).map_err(|trouble| {
        if stop_wanted() {
            return STOPPED;
        }
        complain(&trouble.what, &trouble.remedy);
        WRONG
    })?;
    Ok((path.display().to_string(), text))
}

/// Composes the image in a file, or the embedded one; on failure everything was said, and there is an exit code.
fn composed(path: Option<&PathBuf>, change: Change<'_>) -> Result<Composed, i32> {
    let (name, text) = manifest_of(path)?;
    compose_changed(&name, &text, &packages(), change).map_err(|problems| {
        show_problems(&problems);
        WRONG
    })
}

fn show_problems(problems: &Problems) {
    let width = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(100);
    eprint!("{}", problems.render(colours(&std::io::stderr()), width));
    let count = problems.0.len();
    eprintln!("{count} problem{}", if count == 1 { "" } else { "s" });
    // A probe was built just now.
    if !registry::is_probe() && problems.0.iter().any(|problem| problem.rule == Rule::Description) {
        eprintln!(
            "A component's manifest is compared with the code that is linked into this command: rebuild after a change."
        );
    }
}

/// A time as an argument.
fn time(text: &str) -> Result<u64, String> {
    match Quantity::Time.read(text) {
        Ok(0) => Err("it must be longer than nothing".to_owned()),
        Ok(time) => Ok(time),
        Err(why) => Err(format!("{why}; write it as in 100ms")),
    }
}

/// A table whose columns of numbers are aligned to the right, and all others to the left. The first row is the heading.
fn table(rows: &[Vec<String>]) -> String {
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let is_number = |cell: &String| cell.starts_with(|first: char| first.is_ascii_digit());
    let may_be = |cell: &String| cell == "-" || is_number(cell);
    let right = |column: usize| column > 0 && cells(column).skip(1).all(may_be) && cells(column).skip(1).any(is_number);
    aligned(rows, right)
}

/// A table whose columns are aligned: to the right where that is wanted, and else to the left.
fn aligned(rows: &[Vec<String>], right: impl Fn(usize) -> bool) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let layout: Vec<(usize, bool)> = (0..columns).map(|column| (width(column).unwrap_or(0), right(column))).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row
            .iter()
            .zip(&layout)
            .map(|(cell, (width, right))| if *right { format!("{cell:>width$}") } else { format!("{cell:<width$}") });
        text.push_str(format!("  {}", cells.collect::<Vec<_>>().join("  ")).trim_end());
        text.push('\n');
    }
    text
}

/// A number with its thousands apart.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
