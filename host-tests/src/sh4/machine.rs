//! Compiles a plan, runs it on the emulated board, and reads what came of it.
//!
//! The rule: an image that crashes, loops or says nothing is an answer too. Only what keeps a plan from being run at all
//! is trouble of the machine's own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use koboshi_sh4::board::{Board, Run, watch};
use koboshi_sh4::link::{Cpu, Options, Source, compile};
use koboshi_sh4::program::build_helpers;
use koboshi_sh4::tools::{Gcc, Qemu, Rust, Trouble};

use super::driver::{module_source, outcomes, source};
use super::plan::{Ends, Expect, Outcome, Plan};

/// The compilers, the emulator, and what translated code needs besides.
#[derive(Clone, Debug)]
pub struct Tools {
    gcc: Gcc,
    qemu: Qemu,
    helpers: PathBuf,
}

/// What is built once lies here.
pub(super) fn cache() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).join("target/koboshi/sh4")
}

impl Tools {
    /// Finds compilers and emulator, and builds the helpers.
    ///
    /// # Errors
    /// A tool is missing or wrong: which, and what to install.
    pub fn find() -> Result<Self, Trouble> {
        let gcc = Gcc::find(&cache())?;
        let helpers = build_helpers(&Rust::find()?, &gcc, Cpu::Sh4, &cache())?.object;
        Ok(Tools { gcc, qemu: Qemu::find()?, helpers })
    }
}

/// What compiles and runs plans. One for each thread that does.
#[derive(Debug)]
pub struct Machine {
    tools: Tools,
    board: Board,
    /// Where sources and images lie; gone with the machine, unless they are kept.
    _folder: Option<tempfile::TempDir>,
}

/// What came of a plan.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Of each row.
    pub outcomes: Vec<Outcome>,
    /// How the image ended, if not as it should.
    pub trouble: Option<String>,
}

/// A source of so many bytes is compiled without optimisation. The one such test has a function with a thousand variables
/// that are all in use at once, which GCC otherwise ponders for minutes.
const LARGE: usize = 120_000;

/// An image that has not ended then loops. The longest take some seconds.
const LIMIT: Duration = Duration::from_secs(60);

impl Machine {
    /// Compiles what all images have in common; `keep`: sources and images remain in [`Machine::kept_folder`].
    ///
    /// # Errors
    /// It cannot be compiled, or there is no room.
    pub fn new(tools: &Tools, keep: bool) -> Result<Self, Trouble> {
        let temporary = if keep { None } else { Some(tempfile::tempdir().map_err(|error| no_room(&error))?) };
        let path = temporary.as_ref().map_or_else(Self::kept_folder, |folder| folder.path().to_path_buf());
        let board = Board::new(&tools.gcc, &path)?;
        Ok(Machine { tools: tools.clone(), board, _folder: temporary })
    }

    /// Where sources and the image of a replayed case lie.
    #[must_use]
    pub fn kept_folder() -> PathBuf {
        cache().join("replay")
    }

    /// Runs a plan.
    ///
    /// # Errors
    /// It cannot be compiled or linked.
    pub fn run(&self, plan: &Plan) -> Result<Ran, Trouble> {
        let mut objects = vec![self.tools.helpers.clone()];
        // Of a recursion that has no end GCC makes a loop that has none, where it can: then no stack is exhausted.
        let deep = plan.rows.iter().any(|row| row.expect == Expect::End(Ends::STACK));
        let more = if deep { vec!["-fno-optimize-sibling-calls".to_owned()] } else { Vec::new() };
        for (at, instance) in plan.instances.iter().enumerate() {
            objects.push(self.compile(&format!("module_{at}.c"), &module_source(instance), more.clone())?);
        }
        objects.push(self.compile("driver.c", &source(plan), Vec::new())?);
        let image = self.board.image("image", &objects)?;
        let how = Run { time_limit: LIMIT, ..Run::default() };
        let watched = watch(self.tools.qemu.path(), &image.raw, &how)?;
        let trouble = match watched.end {
            Ok(0) => None,
            Ok(code) => Some(format!("the image ended with code {code}")),
            Err(trouble) => Some(trouble.what),
        };
        Ok(Ran { outcomes: outcomes(&watched.text, plan.rows.len()), trouble })
    }

    fn compile(&self, name: &str, text: &str, mut more: Vec<String>) -> Result<PathBuf, Trouble> {
        let object = self.board.include().join(name).with_extension("o");
        let include = vec![self.board.include().to_path_buf()];
        // As any program is compiled; but nobody looks at these with a debugger.
        more.push("-g0".to_owned());
        if text.len() > LARGE {
            more.push("-O0".to_owned());
        }
        let options = Options { cpu: Cpu::Sh4, include, more };
        Ok(compile(&self.tools.gcc, Source::Text { name, text }, &object, &options)?.object)
    }
}

fn no_room(error: &std::io::Error) -> Trouble {
    Trouble::new(format!("no temporary directory can be made: {error}"), "is there room, and may you write there?")
}
