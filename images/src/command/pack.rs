//! `koboshi pack`: one component, built for one platform, in one signed file.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use koboshi_board::pack::{Platform, Wanted};
use koboshi_package::{SecretKey, Version};
use koboshi_sh4::tools::{Rust, Trouble, unwritable};

use super::build::{koboshi, source};
use super::progress::Progress;
use super::{FINE, MISUSED, Paint, WRONG, complain, count, key, listen_for_stop, not_built};
use crate::compose::board::board_of;
use crate::manifest::PlatformKind;
use crate::probe;
use crate::problem::instead;
use crate::registry::{Package, packages};

pub(super) const AFTER_HELP: &str = "Example:
  koboshi key new
  koboshi pack echo --platform host
  koboshi inspect target/koboshi/packages/echo-0.1.0-host.package

Exit codes:
  0  it was made
  1  a step failed
  2  the command was not used as it can be
  130  stopped by Ctrl-C";

/// Arguments of `koboshi pack`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The component's package, such as `echo`
    component: String,
    /// What it is for: host, r2d or sh2007
    #[arg(long, value_parser = platform)]
    platform: PlatformKind,
    /// The key to sign with [default: the one that `koboshi key new` makes]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Its version [default: that of the component's crate]
    #[arg(long, value_name = "V")]
    version: Option<Version>,
    /// The file to make [default: target/koboshi/packages/COMPONENT-VERSION-PLATFORM.package]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn platform(text: &str) -> Result<PlatformKind, String> {
    let found = PlatformKind::ALL.iter().find(|(word, _)| *word == text).map(|(_, platform)| *platform);
    found.ok_or_else(|| instead(text, PlatformKind::ALL.iter().map(|(word, _)| *word)))
}

/// The version of a component's crate.
///
/// # Errors
/// It is none that a package can have.
pub(super) fn own_version(package: &Package) -> Result<Version, Trouble> {
    let version = package.program.map_or("", |program| program.version);
    let wrong = |why| Trouble::new(format!("its crate has version {version}: {why}."), "name one (--version).");
    version.parse().map_err(wrong)
}

/// Builds a component for a platform and signs it: the bytes of its package.
///
/// # Errors
/// A step failed: which, and why.
pub(super) fn packed(
    package: &Package,
    platform: PlatformKind,
    version: Version,
    key: &SecretKey,
) -> Result<Vec<u8>, Trouble> {
    let board = board_of(platform);
    let platform = board.as_ref().map_or(Platform::Host, Platform::Board);
    let (description, source) = ((package.linked)().description(), source(package)?);
    let wanted = Wanted { description, source: &source, platform, version };
    let folder = Path::new("target/koboshi/pack").join(package.name);
    let mut progress = Progress::new();
    koboshi_board::pack(&Rust::find()?, &wanted, key, &koboshi(), &folder, &mut |step| progress.show(step))
}

pub(super) fn run(arguments: &Arguments) -> i32 {
    let wanted = &arguments.component;
    // A workspace's own, if one lies around here.
    if let Err(trouble) = probe::take_over_for(Path::new("."), std::slice::from_ref(wanted)) {
        complain(&trouble.what, &trouble.remedy);
        return WRONG;
    }
    let all = packages();
    let Some(package) = all.iter().find(|package| package.name == wanted) else {
        let names = all.iter().map(|package| package.name);
        let what =
            format!("there is no package `{wanted}` among Koboshi's own, nor in a workspace around this directory.");
        complain(&what, &instead(wanted, names));
        return MISUSED;
    };
    listen_for_stop();
    match made(arguments, package) {
        Ok(()) => FINE,
        Err(trouble) => not_built(&trouble),
    }
}

fn made(arguments: &Arguments, package: &Package) -> Result<(), Trouble> {
    // Before anything that takes a minute.
    let key = key::read(&key::place(arguments.key.as_deref())?)?;
    let version = arguments.version.map_or_else(|| own_version(package), Ok)?;
    let bytes = packed(package, arguments.platform, version, &key)?;
    let name = format!("{}-{version}-{}.package", package.name, arguments.platform.word());
    let out = arguments.out.clone().unwrap_or_else(|| Path::new("target/koboshi/packages").join(name));
    put(&out, &bytes).map_err(|error| unwritable(&out, &error))?;
    let size = count(bytes.len() as u64);
    say!("{} {} ({size} bytes), signed by {}", Paint::stdout().good("made:"), out.display(), key.public());
    Ok(())
}

/// Whoever reads the file meanwhile finds the old one or the new one, and no half of either.
fn put(out: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    // As others make files; one of its own for each who packs at the same time.
    let mode = Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().permissions(mode).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.persist(out)?;
    Ok(())
}
