//! `koboshi new`: makes an interface, a driver or an image of a person's own, ready to build, test and run.
//!
//! The rules: nothing that is there is overwritten, and nothing at all is written unless everything can be. What is made
//! is an example that works, to be changed; it passes `cargo fmt --check`, `cargo clippy` and `cargo test` as it is.

mod image;
mod names;
mod plan;
mod site;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{FINE, MISUSED, WRONG, complain, print_out};
use crate::probe::workspace::Trouble;
use crate::registry;
use plan::Plan;
use site::Site;

pub(super) const AFTER_HELP: &str =
    "In a checkout of Koboshi it goes beside Koboshi's own; else into the workspace around \
                                     the directory, which is made if there is none.

Exit codes:
  0    it was made
  1    it could not be made; nothing was written
  2    the command was not used as it can be; nothing was written";

/// Arguments of `koboshi new`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// A driver, its interface if there is none of its name, and a client that asks it
    #[command(after_help = AFTER_HELP)]
    Driver {
        #[command(flatten)]
        common: Common,
        /// The crate of the interface that it serves, as `koboshi new interface` made it [default: NAME-interface]
        #[arg(long, value_name = "CRATE")]
        interface: Option<String>,
    },
    /// An interface: a table of operations, each with its recovery contract
    #[command(after_help = AFTER_HELP)]
    Interface {
        #[command(flatten)]
        common: Common,
    },
    /// An image of the workspace's components, looked after by the restart manager
    #[command(after_help = AFTER_HELP)]
    Image {
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
struct Common {
    /// Small letters, digits and hyphens, such as `blinker`
    name: String,
    /// The directory whose workspace it goes into
    #[arg(long = "in", value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// A checkout of Koboshi to build with [default: the one that this command was built from]
    #[arg(long, value_name = "PATH")]
    koboshi: Option<PathBuf>,
    /// Only list what would be written
    #[arg(long)]
    dry_run: bool,
}

/// Why nothing was made.
enum Refused {
    /// The person asked for something that cannot be.
    Misused(Trouble),
    /// Something is not as it should be.
    Wrong(Trouble),
}

impl From<Trouble> for Refused {
    fn from(trouble: Trouble) -> Self {
        Refused::Wrong(trouble)
    }
}

fn misused(what: impl Into<String>, remedy: impl Into<String>) -> Refused {
    Refused::Misused(Trouble::new(what, remedy))
}

/// Makes it, and gives the exit code.
pub(super) fn run(arguments: &Arguments) -> i32 {
    match make(&arguments.what) {
        Ok(told) => {
            print_out(&told);
            FINE
        }
        Err(Refused::Misused(trouble)) => {
            complain(&trouble.what, &trouble.remedy);
            MISUSED
        }
        Err(Refused::Wrong(trouble)) => {
            complain(&trouble.what, &trouble.remedy);
            WRONG
        }
    }
}

fn make(what: &What) -> Result<String, Refused> {
    let (What::Driver { common, .. } | What::Interface { common } | What::Image { common }) = what;
    names::check(&common.name)?;
    let site = Site::find(&common.directory, common.koboshi.as_deref())?;
    let mut plan = Plan::new(&site.root);
    let next = match what {
        What::Interface { .. } => {
            interface(&site, &common.name, &mut plan)?;
            format!("{} new driver {}", site.command(), common.name)
        }
        What::Driver { interface, .. } => {
            driver(&site, &common.name, interface.as_deref(), &mut plan)?;
            format!("{} new image NAME", site.command())
        }
        What::Image { .. } => {
            image::plan(&site, &common.name, &mut plan)?;
            format!("{} check images/{}.toml", site.command(), common.name)
        }
    };
    if !matches!(what, What::Image { .. }) {
        site.plan(&mut plan)?;
    }
    plan.check()?;
    let listed = plan.list();
    if common.dry_run {
        return Ok(format!("would write in {}:\n{listed}", site.root.display()));
    }
    plan.write()?;
    let test = if plan.crates().is_empty() { String::new() } else { format!("  {}\n", site.test(plan.crates())) };
    let enter = if site.is_here() { String::new() } else { format!("  cd {}\n", site.root.display()) };
    Ok(format!("written in {}:\n{listed}next:\n{enter}{test}  {next}\n", site.root.display()))
}

/// Puts names into a template, and has rustfmt do the rest, since a line's length depends on them.
fn filled(template: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(template.to_owned(), |text, (key, value)| text.replace(&format!("{{{{{key}}}}}"), value))
}

/// Rust as the workspace's own rustfmt would have it; as it is, where there is no rustfmt.
fn formatted(text: &str, root: &Path) -> String {
    use std::io::Write;
    let there = root.ancestors().find(|above| above.is_dir()).unwrap_or(Path::new("."));
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.args(["--edition", "2024", "--emit", "stdout", "--quiet"]).current_dir(there);
    let run = rustfmt.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let output = run.and_then(|mut run| {
        if let Some(mut stdin) = run.stdin.take() {
            stdin.write_all(text.as_bytes())?;
        }
        run.wait_with_output()
    });
    match output {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).unwrap_or_else(|_| text.to_owned()),
        _ => text.to_owned(),
    }
}

/// What a crate is called in code.
fn ident(name: &str) -> String {
    name.replace('-', "_")
}

/// A crate's files, by their templates.
fn add_crate(
    site: &Site,
    plan: &mut Plan,
    (krate, directory): (&str, &str),
    files: &[(&str, &str, &str)],
    values: &[(&str, &str)],
) {
    let package = site.package();
    let values: Vec<(&str, &str)> = values.iter().copied().chain([("package", package.as_str())]).collect();
    for (path, template, about) in files {
        let text = filled(template, &values);
        let text = if path.ends_with(".rs") { formatted(&text, &site.root) } else { text };
        plan.add(&format!("{directory}/{path}"), text, about);
    }
    plan.member(directory, krate);
}

fn interface(site: &Site, name: &str, plan: &mut Plan) -> Result<(), Refused> {
    site.is_free(&format!("{name}-interface"), name)?;
    let files = [
        ("Cargo.toml", include_str!("new/templates/interface/Cargo.toml.in"), ""),
        ("src/lib.rs", include_str!("new/templates/interface/lib.rs.in"), "the table: change it"),
        ("tests/table.rs", include_str!("new/templates/interface/table.rs.in"), "what it promises"),
    ];
    let (krate, directory) = (format!("{name}-interface"), format!("interfaces/{name}"));
    add_crate(site, plan, (&krate, &directory), &files, &[("name", name), ("ident", &ident(name))]);
    Ok(())
}

/// The interface that a driver serves.
struct Served {
    krate: String,
    /// Where it lies, from a component's directory.
    path: String,
    /// What its table calls the service.
    service: String,
}

/// The interface that is named or has the driver's name; planned, if there is none of that name.
fn served(site: &Site, name: &str, wanted: Option<&str>, plan: &mut Plan) -> Result<Served, Refused> {
    let usual = format!("{name}-interface");
    let member = site.members().iter().find(|member| member.name == wanted.unwrap_or(&usual));
    let Some(member) = member else {
        if let Some(wanted) = wanted {
            let names = site.members().iter().map(|member| member.name.as_str());
            let names: Vec<&str> = names.filter(|name| name.ends_with("-interface")).collect();
            let remedy = format!("{} Or leave --interface out.", crate::problem::instead(wanted, names));
            return Err(misused(format!("there is no interface crate `{wanted}` in this workspace."), remedy));
        }
        interface(site, name, plan)?;
        return Ok(Served { krate: usual, path: format!("../../interfaces/{name}"), service: ident(name) });
    };
    let table = member.directory.join("src/lib.rs");
    let text = std::fs::read_to_string(&table).unwrap_or_default();
    let Some(service) = service_as_made(&text) else {
        return Err(misused(
            format!("`{}` has another table than `koboshi new interface` makes: {}.", member.name, table.display()),
            "the driver would not fit to it: make one with a fresh interface, and change both.",
        ));
    };
    let path = match member.directory.strip_prefix(&site.root) {
        Ok(inside) => format!("../../{}", inside.display()),
        Err(_) => member.directory.display().to_string(),
    };
    Ok(Served { krate: member.name.clone(), path, service })
}

/// The service's name in a table with just the rows that `koboshi new interface` writes.
fn service_as_made(text: &str) -> Option<String> {
    let rows = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.trim_start().starts_with('|'));
        lines.map(|line| line.split('|').take(5).map(str::trim).collect::<Vec<_>>().join("|")).collect()
    };
    let table = |text: &str| rows(text).into_iter().filter(|row| !row.contains("---")).collect::<Vec<_>>();
    if table(text) != table(include_str!("new/templates/interface/lib.rs.in")) {
        return None;
    }
    let service = text.lines().find_map(|line| line.trim().strip_prefix("service "))?;
    Some(service.trim_end_matches(';').trim().to_owned())
}

fn driver(site: &Site, name: &str, wanted: Option<&str>, plan: &mut Plan) -> Result<(), Refused> {
    let client = format!("{name}-client");
    let built_in = registry::packages();
    for package in [name, client.as_str()] {
        site.is_free(package, name)?;
        let used = site.components()?.into_iter().map(|component| component.manifest.package);
        if used.chain(built_in.iter().map(|package| package.name.to_owned())).any(|used| used == package) {
            return Err(misused(format!("there is a package `{package}` already."), "choose another name."));
        }
    }
    let interface = served(site, name, wanted, plan)?;
    let (driver_ident, interface_ident) = (ident(name), ident(&interface.krate));
    let values = [
        ("name", name),
        ("driver-ident", driver_ident.as_str()),
        ("interface", interface.krate.as_str()),
        ("interface-ident", interface_ident.as_str()),
        ("interface-path", interface.path.as_str()),
        ("port", interface.service.as_str()),
    ];
    let files = [
        ("Cargo.toml", include_str!("new/templates/driver/Cargo.toml.in"), ""),
        ("component.toml", include_str!("new/templates/driver/component.toml.in"), "what it offers and needs"),
        ("src/lib.rs", include_str!("new/templates/driver/lib.rs.in"), "the driver: change it"),
        ("tests/crashes.rs", include_str!("new/templates/driver/crashes.rs.in"), "it falls wherever it can"),
    ];
    add_crate(site, plan, (name, &format!("components/{name}")), &files, &values);
    let files = [
        ("Cargo.toml", include_str!("new/templates/client/Cargo.toml.in"), ""),
        ("component.toml", include_str!("new/templates/client/component.toml.in"), "what it needs"),
        ("src/lib.rs", include_str!("new/templates/client/lib.rs.in"), "asks the driver"),
        ("tests/together.rs", include_str!("new/templates/client/together.rs.in"), "both, while the driver falls"),
    ];
    add_crate(site, plan, (&client, &format!("components/{client}")), &files, &values);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::service_as_made;

    #[test]
    fn a_table_is_known_again_unless_a_row_was_changed_or_added() {
        let made = include_str!("new/templates/interface/lib.rs.in").replace("{{ident}}", "blinker");
        assert_eq!(service_as_made(&made).as_deref(), Some("blinker"));
        assert_eq!(service_as_made(&made.replace("| Pure ", "| AtMostOnce ")), None);
        let row = "    | blink | Pure | () | u32 | 1 s | \"Blinks.\" |\n";
        assert_eq!(service_as_made(&made.replace("    | value ", &format!("{row}    | value "))), None);
        assert_eq!(service_as_made("//! Nothing."), None);
    }
}
