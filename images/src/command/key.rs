//! `koboshi key`: makes the keys that sign packages, and shows their public halves.
//!
//! The rules: a file with a secret is readable by its owner alone, and is never overwritten.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use koboshi_package::SecretKey;
use koboshi_sh4::tools::{Trouble, unwritable};
use zeroize::Zeroizing;

use super::{FINE, WRONG, complain};

pub(super) const AFTER_HELP: &str = "Without FILE: koboshi/signing.key in $XDG_CONFIG_HOME, or in ~/.config.

Exit codes:
  0  it was made, or shown
  1  it could not be
  2  the command was not used as it can be";

/// Arguments of `koboshi key`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a key, and show its public half, which an image names
    #[command(after_help = AFTER_HELP)]
    New {
        /// The file for its secret, which must not be there yet
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Show the public half of the key in a file
    #[command(after_help = AFTER_HELP)]
    Show {
        /// The file with its secret
        file: Option<PathBuf>,
    },
}

pub(super) fn run(arguments: &Arguments) -> i32 {
    let done = match &arguments.what {
        What::New { out } => place(out.as_deref()).and_then(|file| made(&file)),
        What::Show { file } => place(file.as_deref()).and_then(|file| read(&file)).map(|key| {
            say!("{}", key.public());
        }),
    };
    match done {
        Ok(()) => FINE,
        Err(trouble) => {
            complain(&trouble.what, &trouble.remedy);
            WRONG
        }
    }
}

/// Where a key is kept: in the file that was named, or in the usual place.
pub(super) fn place(named: Option<&Path>) -> Result<PathBuf, Trouble> {
    if let Some(file) = named {
        return Ok(file.to_owned());
    }
    let directory = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = directory("XDG_CONFIG_HOME").or_else(|| Some(directory("HOME")?.join(".config")));
    home.map(|home| home.join("koboshi/signing.key"))
        .ok_or_else(|| Trouble::new("nobody says where this user's files are (HOME).", "name a file."))
}

/// A key of random numbers of the system.
///
/// # Errors
/// It has none.
pub(super) fn random() -> Result<SecretKey, Trouble> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice())
        .map_err(|error| Trouble::new(format!("this system gives no random numbers: {error}"), "use another one."))?;
    Ok(SecretKey::of_seed(&seed))
}

fn made(file: &Path) -> Result<(), Trouble> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| unwritable(folder, &error))?;
    let key = random()?;
    // The mode counts from the first moment, and what is there stays as it is.
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let mut out = opened.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Trouble::new(
            format!("{} is there already, and a key is never overwritten.", file.display()),
            "name another file (--out), or see whose it is: `koboshi key show FILE`.",
        ),
        _ => unwritable(file, &error),
    })?;
    out.write_all(key.text().as_bytes()).and_then(|()| out.sync_all()).map_err(|error| {
        // Half a key is none, and would be in the way of the next one.
        let _ = std::fs::remove_file(file);
        unwritable(file, &error)
    })?;
    say!("{}", key.public());
    eprintln!(
        "Its secret is in {}: keep that to yourself, and a copy in a safe place.\n\
         An image that trusts it says, above its first [table]: packages-signed-by = [\"{}\"]",
        file.display(),
        key.public()
    );
    Ok(())
}

/// Bytes that are read of a file with a key, which has fewer.
const MOST: usize = 4_096;

/// Reads a key, if nobody else could have.
pub(super) fn read(file: &Path) -> Result<SecretKey, Trouble> {
    let shown = file.display();
    let unreadable = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => {
            Trouble::new(format!("there is no key in {shown}."), "name its file, or make one with `koboshi key new`.")
        }
        _ => Trouble::new(format!("{shown} cannot be read: {error}"), "may you read it?"),
    };
    let open = File::open(file).map_err(unreadable)?;
    let mode = open.metadata().map_err(unreadable)?.mode();
    // A text that grows would leave what it held before behind.
    let mut text = Zeroizing::new(String::with_capacity(MOST));
    open.take(MOST as u64).read_to_string(&mut text).map_err(unreadable)?;
    let key = SecretKey::of_text(&text).map_err(|error| {
        Trouble::new(format!("{shown} is no key: {error}."), "name a file that `koboshi key new` has made.")
    })?;
    if mode & 0o077 != 0 {
        return Err(Trouble::new(
            format!("others can use the key in {shown}: its mode is {:03o}.", mode & 0o777),
            format!("if nobody has, `chmod 600 {shown}`; else make another one."),
        ));
    }
    Ok(key)
}
