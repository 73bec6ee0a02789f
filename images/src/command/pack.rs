//! `koboshi pack`: one component, built for one platform, in one signed file.
//!
//! The rule: the same source, compiler and key give the same bytes, wherever they are.

mod module;

use std::path::{Path, PathBuf};

use koboshi_package::{Digest, Header, MAX_PORTS, Version, write};
use koboshi_sh4::tools::{Rust, Trouble, unwritable};

use super::build::koboshi;
use super::{FINE, MISUSED, Paint, complain, count, key, listen_for_stop, not_built};
use crate::manifest::PlatformKind;
use crate::problem::instead;
use crate::registry::{Package, packages};
use crate::spelt::Spelt;

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

/// The version of all of Koboshi's own crates: they have the workspace's.
const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) fn run(arguments: &Arguments) -> i32 {
    let all = packages();
    let Some(package) = all.iter().find(|package| package.name == arguments.component) else {
        let names = all.iter().map(|package| package.name);
        let what = format!("there is no package `{}` among Koboshi's own.", arguments.component);
        complain(&what, &format!("{} A workspace's own cannot be packed yet.", instead(&arguments.component, names)));
        return MISUSED;
    };
    if arguments.platform != PlatformKind::Host {
        complain(
            &format!("packages for a board cannot be made yet, and `{}` is one.", arguments.platform.word()),
            "build it into an image for the board (`koboshi build IMAGE`), or pack it for `--platform host`.",
        );
        return MISUSED;
    }
    listen_for_stop();
    match made(arguments, package) {
        Ok(()) => FINE,
        Err(trouble) => not_built(&trouble),
    }
}

fn made(arguments: &Arguments, package: &Package) -> Result<(), Trouble> {
    // Before anything that takes a minute.
    let key = key::read(&key::place(arguments.key.as_deref())?)?;
    let Some(program) = package.program else {
        return Err(Trouble::new(
            format!("package `{}` is a workspace's own, and only Koboshi's own can be packed so far.", package.name),
            "run it in an image on the host.",
        ));
    };
    let version = match (arguments.version, OWN_VERSION.parse()) {
        (Some(version), _) | (None, Ok(version)) => version,
        (None, Err(why)) => {
            return Err(Trouble::new(format!("its crate has version {OWN_VERSION}: {why}."), "name one (--version)."));
        }
    };
    eprintln!("building `{}` for {}", package.name, arguments.platform.word());
    let folder = Path::new("target/koboshi/pack").join(package.name);
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    let module = module::build(&Rust::find()?, &koboshi(), &folder, program, package.name)?;
    let description = (package.linked)().description();
    let spelt = Spelt::of(description);
    let ports = spelt.ports();
    let many = ports.len();
    let header = Header {
        name: package.name,
        version,
        platform: arguments.platform.word(),
        ports: heapless::Vec::from_slice(&ports).map_err(|_| {
            Trouble::new(
                format!("`{}` has {many} ports, and a package has at most {MAX_PORTS}.", package.name),
                "make two components of it.",
            )
        })?,
        kept: spelt.kept(),
        // No component can declare any yet.
        migrations: heapless::Vec::new(),
        room: module.room,
        // Put there by who writes it.
        digest: Digest([0; 32]),
    };
    let bytes = write(&header, &module.code, &key)
        .map_err(|why| Trouble::new(format!("the package cannot be written: {why}."), "mend its DESCRIPTION."))?;
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
    let mut name = out.as_os_str().to_owned();
    name.push(".new");
    std::fs::write(&name, bytes)?;
    std::fs::rename(&name, out)
}
