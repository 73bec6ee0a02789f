//! The run directory: where a running image can be found.
//!
//! Rules: one run a directory, held by a lock that the system lets go of when the run ends, however it ends. What a killed
//! run left is cleared away; what is not a run's is never touched. At the end nothing is left, nor the directory itself
//! if the run made it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

/// The file that holds the lock, and the number of the process.
const LOCK: &str = "pid";

/// The socket of the commands.
const SOCKET: &str = "control";

/// How often a lock is tried that somebody holds, 5 ms apart.
const LOOKS: u32 = 4;

/// The longest path that a socket can have, less the 0 at its end (`sun_path` of unix(7)).
const MOST_SOCKET_PATH: usize = 107;

/// Where a run is to be found if nobody says otherwise.
#[must_use]
pub fn usual() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| Path::new(dir).is_absolute()) {
        Some(dir) => Path::new(&dir).join("koboshi"),
        None => std::env::temp_dir().join(format!("koboshi-{}", rustix::process::getuid().as_raw())),
    }
}

/// The socket of the run in this directory.
pub(crate) fn socket(directory: &Path) -> PathBuf {
    directory.join(SOCKET)
}

/// Whether a run has this directory. If nobody can ask it yet, it is still being built.
pub(crate) fn is_held(directory: &Path) -> bool {
    let lock = File::open(directory.join(LOCK));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// Another run has it.
    #[error("another run uses {directory}{by}", by = .process.map_or_else(String::new, |id| format!(" (process {id})")))]
    InUse { directory: String, process: Option<u32> },
    /// It belongs to somebody else.
    #[error("{0} belongs to another user")]
    Foreign(String),
    /// Something in it is not a run's.
    #[error("{0} is in the way: no run has made it")]
    InTheWay(String),
    /// A socket cannot have so long a path.
    #[error("the path of {0} is too long for a socket")]
    TooLong(String),
    /// The system does not allow it.
    #[error("the run directory {path} cannot be {what}: {why}")]
    System { path: String, what: &'static str, why: io::Error },
}

impl Refused {
    /// What to do about it.
    pub(crate) fn remedy(&self) -> String {
        match self {
            Refused::InUse { directory, .. } => format!(
                "end it with `koboshi stop --run-dir {directory}`, or give this run a directory of its own with --run-dir."
            ),
            Refused::InTheWay(path) => format!("move {path} away, or name another directory with --run-dir."),
            Refused::TooLong(_) => "name a shorter one with --run-dir.".to_owned(),
            Refused::Foreign(_) | Refused::System { .. } => {
                "name a directory in which you may write with --run-dir.".to_owned()
            }
        }
    }
}

/// A directory that this run holds.
pub(crate) struct RunDirectory {
    path: PathBuf,
    _lock: File,
}

/// What is to be removed at the end, the last first. It is global, because an end may come where no value is dropped.
static LEFT: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn leaves(path: PathBuf) {
    if let Ok(mut left) = LEFT.lock() {
        left.push(path);
    }
}

/// Removes what this process has put into a run directory. It may be called at any time, and more than once.
pub(crate) fn leave_nothing() {
    // Whoever holds the lock is about to do the same.
    let Ok(mut left) = LEFT.try_lock() else { return };
    while let Some(path) = left.pop() {
        // A directory goes only if nothing else is in it, and it is no loss if it stays.
        let _ = if path.is_dir() && !path.is_symlink() { fs::remove_dir(&path) } else { fs::remove_file(&path) };
    }
}

impl RunDirectory {
    /// Takes hold of a directory; it is made if it is not there.
    ///
    /// # Errors
    /// [`Refused`], and nothing was changed.
    pub(crate) fn claim(path: &Path) -> Result<Self, Refused> {
        let shown = path.display().to_string();
        let system = |what| {
            let path = shown.clone();
            move |why| Refused::System { path, what, why }
        };
        let path = std::path::absolute(path).map_err(system("found"))?;
        if socket(&path).as_os_str().len() > MOST_SOCKET_PATH {
            return Err(Refused::TooLong(shown));
        }
        let missing: Vec<&Path> = path.ancestors().take_while(|part| !part.exists()).collect();
        // For the user alone: whoever reaches the socket may knock components over.
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(system("made"))?;
        missing.iter().rev().for_each(|made| leaves(made.to_path_buf()));
        let claimed = Self::lock(&path, &shown);
        if claimed.is_err() {
            leave_nothing();
        }
        claimed
    }

    fn lock(path: &Path, shown: &str) -> Result<Self, Refused> {
        let system = |what| move |why| Refused::System { path: shown.to_owned(), what, why };
        if fs::metadata(path).map_err(system("looked at"))?.uid() != rustix::process::geteuid().as_raw() {
            return Err(Refused::Foreign(shown.to_owned()));
        }
        let file = path.join(LOCK);
        let mut looked = 0;
        let mut lock = loop {
            let mut options = OpenOptions::new();
            let mut lock = options
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&file)
                .map_err(system("written to"))?;
            match lock.try_lock() {
                Ok(()) => {}
                // Somebody may only be looking whether it is held: `is_held`.
                Err(TryLockError::WouldBlock) if looked < LOOKS => {
                    looked += 1;
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                }
                Err(TryLockError::WouldBlock) => {
                    let mut text = String::new();
                    let process = lock.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                    return Err(Refused::InUse { directory: shown.to_owned(), process });
                }
                Err(TryLockError::Error(why)) => return Err(system("locked")(why)),
            }
            // A run that ended meanwhile may have removed the very file that was opened: then it locks nobody out.
            let same = |a: fs::Metadata, b: fs::Metadata| (a.ino(), a.dev()) == (b.ino(), b.dev());
            if let (Ok(opened), Ok(found)) = (lock.metadata(), fs::metadata(&file))
                && same(opened, found)
            {
                break lock;
            }
        };
        let written =
            lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| writeln!(lock, "{}", std::process::id()));
        written.map_err(system("written to"))?;
        leaves(file);
        let directory = RunDirectory { path: path.to_owned(), _lock: lock };
        directory.clear(&socket(path), |kind| kind.is_socket())?;
        Ok(directory)
    }

    /// Removes what a killed run has left at `path`, if it is what a run leaves.
    fn clear(&self, path: &Path, is_ours: fn(fs::FileType) -> bool) -> Result<(), Refused> {
        let system = |why| Refused::System { path: path.display().to_string(), what: "cleared", why };
        match fs::symlink_metadata(path) {
            Ok(found) if is_ours(found.file_type()) => fs::remove_file(path).map_err(system),
            Ok(_) => Err(Refused::InTheWay(path.display().to_string())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(system(error)),
        }
    }

    /// Where the socket of this run is to be; it will be removed at the end.
    pub(crate) fn socket(&self) -> PathBuf {
        let path = socket(&self.path);
        leaves(path.clone());
        path
    }

    /// Gives a terminal a name in this directory; returns the path that a person types.
    ///
    /// # Errors
    /// [`Refused`], if something else has that name.
    pub(crate) fn name_terminal(&self, name: &str, terminal: &Path) -> Result<PathBuf, Refused> {
        let path = self.path.join(name);
        self.clear(&path, |kind| kind.is_symlink())?;
        let system = |why| Refused::System { path: path.display().to_string(), what: "made", why };
        symlink(terminal, &path).map_err(system)?;
        leaves(path.clone());
        Ok(path)
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        leave_nothing();
    }
}
