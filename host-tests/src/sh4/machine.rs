//! Compiles a plan, runs it on the emulated board, and reads what came of it.
//!
//! The rule: an image that crashes, loops or says nothing is an answer too. Only what keeps a plan from being run at all
//! is trouble of the machine's own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use koboshi_sh4::board::{Board, QEMU, Run, watch};
use koboshi_sh4::tools::{Gcc, Trouble};

use super::driver::{module_source, outcomes, source};
use super::plan::{Outcome, Plan};

/// What compiles and runs plans. One for each thread that does.
#[derive(Debug)]
pub struct Machine {
    board: Board,
    /// Further objects for each image: what translated code needs besides.
    helpers: Vec<PathBuf>,
    limit: Duration,
    /// Where sources and images lie; gone with the machine, unless they are kept.
    folder: Folder,
}

#[derive(Debug)]
enum Folder {
    Temporary(tempfile::TempDir),
    Kept(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Folder::Temporary(folder) => folder.path(),
            Folder::Kept(path) => path,
        }
    }
}

/// What came of a plan.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Of each row.
    pub outcomes: Vec<Outcome>,
    /// How the image ended, if not as it should.
    pub trouble: Option<String>,
}

impl Machine {
    /// Finds the compiler, and compiles what all images have in common.
    ///
    /// # Errors
    /// A tool is missing or wrong: which, and what to install.
    pub fn new(gcc: &Gcc, kept: Option<&Path>) -> Result<Self, Trouble> {
        let folder = match kept {
            Some(path) => Folder::Kept(path.to_path_buf()),
            None => Folder::Temporary(tempfile::tempdir().map_err(|error| {
                Trouble::new(format!("no temporary directory can be made: {error}"), "is there room, and may you write there?")
            })?),
        };
        let board = Board::new(gcc, folder.path())?;
        let helpers = Vec::new();
        Ok(Machine { board, helpers, limit: Duration::from_secs(120), folder })
    }

    /// Where the sources and the image of the last plan lie.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a plan.
    ///
    /// # Errors
    /// It cannot be compiled or linked.
    pub fn run(&self, plan: &Plan) -> Result<Ran, Trouble> {
        let mut objects = self.helpers.clone();
        for (at, instance) in plan.instances.iter().enumerate() {
            objects.push(self.board.compile(&format!("module_{at}.c"), &module_source(instance))?);
        }
        objects.push(self.board.compile("driver.c", &source(plan))?);
        let image = self.board.image("image", &objects)?;
        let how = Run { time_limit: self.limit, ..Run::default() };
        let watched = watch(Path::new(QEMU), &image.raw, &how)?;
        let trouble = match watched.end {
            Ok(0) => None,
            Ok(code) => Some(format!("the image ended with code {code}")),
            Err(trouble) => Some(trouble.what),
        };
        Ok(Ran { outcomes: outcomes(&watched.text, plan.rows.len()), trouble })
    }
}
