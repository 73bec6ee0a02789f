//! `koboshi run`: starts an image and keeps it running, with a terminal for each end of its lines.
//!
//! The rule: the terminals stay open whatever happens to components, and nothing is left behind when the run ends.

use std::path::PathBuf;
use std::time::Duration;

use koboshi_host::image::Image;
use koboshi_host::journal::Depth;
use koboshi_host::machine::{Clock, Machine, Options};
use koboshi_package::PublicKey;

use super::check::show_warnings;
use super::engine::Wish;
use super::on_board::{self, Wishes};
use super::{FINE, MISUSED, Paint, STOPPED, WRONG, complain, composed, listen_for_stop, print_out, stop_wanted, table};
use crate::Composed;
use crate::compose::board::board_of;
use crate::manifest::ImageManifest;
use crate::reader::At;
use crate::run::directory::{self, RunDirectory};
use crate::run::here::Here;
use crate::run::supervisor::Supervisor;
use crate::run::system::{Over, System};
use crate::units::Quantity;

pub(super) const AFTER_HELP: &str = "Examples:
  koboshi run                                  the image that is built in, until Ctrl-C
  koboshi run images/host.toml --run-dir /tmp/k
                                               another directory, so that two can run
  picocom -b 115200 -f h $XDG_RUNTIME_DIR/koboshi/serial0
                                               the program's end of the line
  koboshi kill driver --how hang               in another terminal
  koboshi run --engine wasm                    each component as a module with memory of its own
  koboshi run --trust $(koboshi key show)      takes packages that were signed with your key

Exit codes:
  0    its time was over, or `koboshi stop` was said
  1    the image is wrong, or came to a stop by itself
  2    the command was not used as it can be, or the run directory cannot be used
  70   a component looped; it cannot be stopped on this platform
  130  stopped by Ctrl-C";

/// A component that keeps the processor for longer than this loops: the watchdog names it and ends the run.
const PATIENCE: Duration = Duration::from_secs(10);

/// Events that the machine keeps between two looks at them.
const EVENTS: usize = 100_000;

/// Incidents that are remembered.
const INCIDENTS: usize = 1_000;

/// Arguments of `koboshi run`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The image's manifest [default: the one that is built in]
    image: Option<PathBuf>,
    #[command(flatten)]
    directory: Directory,
    #[command(flatten)]
    board: Wishes,
    #[command(flatten)]
    engine: Wish,
    /// Whoever has this key may sign packages for the image, beside those whom it names itself
    #[arg(long, value_name = "KEY")]
    trust: Vec<PublicKey>,
    /// Stop after so long
    #[arg(long = "for", value_parser = super::time, value_name = "TIME")]
    lasting: Option<u64>,
    /// Print one line of JSON when it is up, and one at the end
    #[arg(long)]
    json: bool,
}

/// Where a run is found.
#[derive(Debug, clap::Args)]
pub(super) struct Directory {
    /// The run directory: terminals and the socket of the commands [default: koboshi in $XDG_RUNTIME_DIR]
    #[arg(long = "run-dir", value_name = "DIR", env = "KOBOSHI_RUN_DIR")]
    path: Option<PathBuf>,
}

impl Directory {
    /// The directory that is meant.
    pub(super) fn path(&self) -> PathBuf {
        self.path.clone().unwrap_or_else(directory::usual)
    }
}

/// Runs the image, and gives the exit code.
pub(super) fn run(arguments: &Arguments) -> i32 {
    listen_for_stop();
    let mut composed = match composed(arguments.image.as_ref(), &|image| trust(image, &arguments.trust)) {
        Ok(composed) => composed,
        Err(code) => return code,
    };
    show_warnings(&composed.warnings);
    let board = board_of(composed.manifest.platform);
    let wishes = match board {
        Some(_) => arguments.engine.refuse_on_board(),
        None => arguments.board.refuse_here(),
    };
    if let Err(code) = wishes {
        return code;
    }
    let directory = match RunDirectory::claim(&arguments.directory.path()) {
        Ok(directory) => directory,
        Err(refused) => {
            complain(&format!("{refused}."), &refused.remedy());
            return MISUSED;
        }
    };
    match (board, &arguments.image) {
        (Some(board), Some(path)) => match on_board::start(path, &composed, board, arguments.board) {
            Ok(system) => oversee(arguments, &composed.image, system, &directory),
            Err(code) => code,
        },
        _ => match arguments.engine.fulfil(arguments.image.as_ref(), &mut composed).and_then(|()| here(&composed)) {
            Ok(system) => oversee(arguments, &composed.image, system, &directory),
            Err(code) => code,
        },
    }
}

/// Lets these sign too.
pub(super) fn trust(image: &mut ImageManifest, keys: &[PublicKey]) {
    image.signers.extend(keys.iter().map(|key| At { value: *key, span: 0..0 }));
}

/// The image as a process of this machine.
fn here(composed: &Composed) -> Result<Here, i32> {
    let options = Options {
        clock: Clock::Real,
        watchdog: Some(PATIENCE),
        before_exit: Some(directory::leave_nothing),
        journal: Depth::Last(EVENTS),
        incidents: INCIDENTS,
        ..Options::default()
    };
    let machine = Machine::new(&composed.image, options).map_err(|error| {
        complain(&format!("the image cannot run: {error}."), "look at it with `koboshi check`.");
        WRONG
    })?;
    Ok(Here::new(machine, composed))
}

/// Keeps it running, and gives the exit code.
fn oversee(arguments: &Arguments, image: &Image, system: impl System, directory: &RunDirectory) -> i32 {
    let mut supervisor = match Supervisor::new(image, system, directory) {
        Ok(supervisor) => supervisor,
        Err((what, remedy)) => {
            complain(&format!("{what}."), &remedy);
            return MISUSED;
        }
    };
    let components: Vec<&str> = image.components.iter().map(|component| component.name.as_str()).collect();
    let over = match supervisor.begin(arguments.lasting, stop_wanted) {
        Some(over) => Ok(over),
        None => {
            say_up(arguments, &components, &supervisor, directory);
            supervisor.run(arguments.lasting, stop_wanted)
        }
    };
    let (verdict, why) = match &over {
        Ok(Over::Asked) if stop_wanted() => (STOPPED, "stopped by Ctrl-C".to_owned()),
        Ok(Over::Asked) => (FINE, "stopped".to_owned()),
        Ok(Over::Circle(component)) => {
            (WRONG, format!("components give each other turns without end; the last one was {component}"))
        }
        Ok(Over::Ended(why)) => (WRONG, format!("the emulator has ended: {why}")),
        Err(error) => (WRONG, format!("a terminal failed: {error}")),
    };
    say_over(arguments, &why, verdict, &supervisor);
    supervisor.finish(&why);
    verdict
}

fn say_up(arguments: &Arguments, components: &[&str], supervisor: &Supervisor<impl System>, directory: &RunDirectory) {
    if arguments.json {
        let ends: Vec<_> = supervisor.ends().iter().map(|end| end.shows()).collect();
        let up = serde_json::json!({ "up": { "run_dir": directory.path(), "components": components, "lines": ends } });
        say!("{up}");
        return;
    }
    let paint = Paint::stdout();
    say!("{} {}", paint.good("up:"), components.join(", "));
    let rows: Vec<Vec<String>> = supervisor
        .ends()
        .iter()
        .map(|end| vec![end.name().to_owned(), end.shown.display().to_string(), format!("{} baud", end.baud())])
        .collect();
    print_out(&table(&rows));
    let option = match &arguments.directory.path {
        Some(path) => format!(" --run-dir {}", path.display()),
        None => String::new(),
    };
    if let Some(end) = supervisor.ends().first() {
        let flow = if end.shows().flow { " -f h" } else { "" };
        say!("Open an end with any program: picocom -b {}{flow} {}", end.baud(), end.shown.display());
    }
    say!(
        "Look at it with `koboshi ps{option}`, knock on it with `koboshi kill {}{option}`.",
        // Of the usual components the one that is there to be knocked over.
        components.iter().find(|name| **name == "driver").or(components.last()).unwrap_or(&"NAME")
    );
    say!("Ctrl-C or `koboshi stop{option}` ends it.");
}

fn say_over(arguments: &Arguments, why: &str, verdict: i32, supervisor: &Supervisor<impl System>) {
    let system = supervisor.system();
    let incidents = system.incident_count();
    let (panics, panics_in_all) = supervisor.panics();
    if arguments.json {
        let over = serde_json::json!({ "over": {
            "why": why,
            "exit_code": verdict,
            "incidents": incidents,
            "platform_time_ns": system.now(),
            "stalled_ns": system.stalled().as_nanos() as u64,
            "panics": panics,
            "panics_in_all": panics_in_all,
        }});
        say!("{over}");
        return;
    }
    let plural = if incidents == 1 { "" } else { "s" };
    let time = Quantity::Time.write(system.now() / 1_000_000 * 1_000_000);
    let paint = Paint::stdout();
    let why = if verdict == WRONG { paint.bad(why) } else { why.to_owned() };
    say!("{why}: {incidents} incident{plural} in {time}; held up for {} ms.", system.stalled().as_millis());
    for panic in panics {
        say!("  a panic that nobody asked for: {panic}");
    }
    let more = panics_in_all - panics.len() as u64;
    if more > 0 {
        say!("  and {more} more of them");
    }
}
