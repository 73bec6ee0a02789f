//! The probe: this command built anew, with the components of a workspace among its packages.
//!
//! Job: let an image name packages that are not built into the command. What the ends of a port must agree on comes out of
//! the packages themselves, so they have to be linked with the composer: a small crate does that, made under the
//! workspace's target directory and built by cargo. Then it takes this process's place.
//!
//! Rules kept here: the probe takes the workspace's own versions and profiles, and Koboshi's versions for what the
//! workspace does not lock, so that nothing has to be looked up; a probe makes no probe.
//!
//! It must never: build anything for an image whose packages are all built in, or write outside the target directory.

pub(crate) mod workspace;

use std::fs::{self, File, TryLockError};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::Deserialize;
use toml::{Table, Value};

use crate::command::stop_wanted;
use crate::registry;
use workspace::{Component, Trouble, Workspace, cargo, no_cargo};

/// Has a probe take this process's place if the image names packages that are not built in and its workspace has
/// components. Comes back if there is nothing to do: what is still unknown is for the composer to say.
///
/// # Errors
/// [`Trouble`]: the probe cannot be made.
pub(crate) fn take_over(image: &Path, text: &str) -> Result<(), Trouble> {
    let directory = image.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    take_over_for(directory, &packages_of(text))
}

/// The same for packages that are named in this directory.
///
/// # Errors
/// [`Trouble`]: the probe cannot be made.
pub(crate) fn take_over_for(directory: &Path, packages: &[String]) -> Result<(), Trouble> {
    if registry::is_probe() {
        return Ok(());
    }
    let own = registry::packages();
    let built_in: Vec<&str> = own.iter().map(|package| package.name).collect();
    if packages.iter().all(|name| built_in.contains(&name.as_str())) {
        return Ok(());
    }
    let Some(workspace) = Workspace::around(directory)? else { return Ok(()) };
    let components = workspace.components(&built_in)?;
    if components.is_empty() {
        return Ok(());
    }
    let probe = Probe { directory: workspace.target.join("koboshi/probe"), workspace, components };
    // Held until the probe runs, so that nobody who shares the target directory exchanges it before.
    let _lock = probe.lock()?;
    probe.write()?;
    let program = probe.build()?;
    // What takes this process's place does not know that Ctrl-C was pressed.
    Err(if stop_wanted() { stopped() } else { run(&program) })
}

/// Ctrl-C was pressed, which is no fault of anybody.
fn stopped() -> Trouble {
    Trouble::new("it was stopped by Ctrl-C.", "say it again.")
}

/// The packages that an image names; none if it cannot be read, which is for the composer to say.
fn packages_of(text: &str) -> Vec<String> {
    #[derive(Deserialize)]
    struct Image {
        #[serde(default)]
        component: Vec<Named>,
    }
    #[derive(Deserialize)]
    struct Named {
        package: Option<String>,
    }
    let image: Image = toml::from_str(text).unwrap_or(Image { component: Vec::new() });
    image.component.into_iter().filter_map(|component| component.package).collect()
}

/// How often a wait looks whether Ctrl-C was pressed.
const LOOK: Duration = Duration::from_millis(50);

/// The first line of the probe's `main.rs` that has a package; one line each, in order.
const FIRST_LINE: usize = 8;

struct Probe {
    directory: PathBuf,
    workspace: Workspace,
    components: Vec<Component>,
}

impl Probe {
    fn cannot_write(&self, error: &std::io::Error) -> Trouble {
        Trouble::new(
            format!(
                "the command for this workspace's components cannot be made in {}: {error}.",
                self.directory.display()
            ),
            "make that directory writable, or name another one in CARGO_TARGET_DIR.",
        )
    }

    /// The lock of the probe's directory. Another process may hold it as long as it builds: that is said, and Ctrl-C is heard.
    fn lock(&self) -> Result<File, Trouble> {
        let made =
            fs::create_dir_all(self.directory.join("src")).and_then(|()| File::create(self.directory.join("lock")));
        let file = made.map_err(|error| self.cannot_write(&error))?;
        let mut said = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(self.cannot_write(&error)),
                Err(TryLockError::WouldBlock) if stop_wanted() => return Err(stopped()),
                Err(TryLockError::WouldBlock) => {}
            }
            if !std::mem::replace(&mut said, true) {
                eprintln!("waiting for another `koboshi`, which builds in {}", self.directory.display());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Writes a file of the probe, unless it says that already: cargo goes by its time.
    fn put(&self, name: &str, text: &str) -> Result<bool, Trouble> {
        let path = self.directory.join(name);
        if fs::read_to_string(&path).is_ok_and(|before| before == text) {
            return Ok(false);
        }
        fs::write(&path, text).map_err(|error| self.cannot_write(&error))?;
        Ok(true)
    }

    fn write(&self) -> Result<(), Trouble> {
        let koboshi = self.koboshi()?;
        self.put("Cargo.toml", &self.cargo_toml(&koboshi)?)?;
        self.put("src/main.rs", &self.main()?)?;
        // Cargo takes out of the lock what the probe does not need, so the whole of it is remembered beside.
        let locked = locked(&self.workspace.root, &koboshi);
        if self.put("locked.toml", &locked)? {
            self.put("Cargo.lock", &locked)?;
        }
        Ok(())
    }

    /// Where the Koboshi lies that all components are built with.
    fn koboshi(&self) -> Result<PathBuf, Trouble> {
        let mut found: Option<(PathBuf, &str)> = None;
        for Component { member, .. } in &self.components {
            let Some(runtime) = &member.runtime else {
                return Err(Trouble::new(
                    format!("component crate `{}` does not name `koboshi-runtime` by path.", member.name),
                    "write koboshi-runtime = { path = \".../components/runtime\" } among its dependencies.",
                ));
            };
            let root = runtime.ancestors().nth(2).unwrap_or(runtime).to_owned();
            match &found {
                Some((first, name)) if *first != root => {
                    return Err(Trouble::new(
                        format!(
                            "`{name}` is built with the Koboshi in {}, and `{}` with that in {}.",
                            first.display(),
                            member.name,
                            root.display()
                        ),
                        "name the same one in both: their ports could not be joined.",
                    ));
                }
                _ => found = Some((root, &member.name)),
            }
        }
        let root = found.map(|(root, _)| root).unwrap_or_default();
        if !root.join("images/Cargo.toml").is_file() {
            return Err(Trouble::new(
                format!("there is no composer beside the Koboshi in {}.", root.display()),
                "name a whole checkout of Koboshi in the dependencies.",
            ));
        }
        Ok(root)
    }

    fn cargo_toml(&self, koboshi: &Path) -> Result<String, Trouble> {
        let text = |path: &Path| Value::String(path.display().to_string());
        let mut dependencies = Table::new();
        let composer = [("path", text(&koboshi.join("images"))), ("default-features", Value::Boolean(false))];
        dependencies.insert("koboshi-composer".to_owned(), Value::Table(table(composer)));
        for Component { member, .. } in &self.components {
            dependencies.insert(member.name.clone(), Value::Table(table([("path", text(&member.directory))])));
        }
        let package = table([
            ("name", Value::String("koboshi-probe".to_owned())),
            ("version", Value::String("0.0.0".to_owned())),
            ("edition", Value::String("2024".to_owned())),
            ("publish", Value::Boolean(false)),
        ]);
        let mut manifest = table([
            ("package", Value::Table(package)),
            ("workspace", Value::Table(Table::new())),
            ("dependencies", Value::Table(dependencies)),
        ]);
        let root = fs::read_to_string(self.workspace.root.join("Cargo.toml")).unwrap_or_default();
        let profile = root.parse::<Table>().ok().and_then(|mut root| root.remove("profile"));
        manifest.extend(profile.map(|profile| ("profile".to_owned(), profile)));
        toml::to_string(&manifest)
            .map_err(|error| self.cannot_write(&std::io::Error::other(error)))
            .map(|text| format!("# Made by `koboshi`, which overwrites changes.\n\n{text}"))
    }

    fn main(&self) -> Result<String, Trouble> {
        let mut lines = String::new();
        for Component { member, manifest, path } in &self.components {
            let Some(library) = &member.library else {
                return Err(Trouble::new(
                    format!("crate `{}` has a component.toml and no library.", member.name),
                    "a component is a library (src/lib.rs) that exports DESCRIPTION and start.",
                ));
            };
            let shown = path.strip_prefix(&self.workspace.root).unwrap_or(path);
            let (name, shown, path) = (&manifest.package, shown.display().to_string(), path.display().to_string());
            let (package, folder, version) = (&member.name, member.directory.display().to_string(), &member.version);
            lines.push_str(&format!(
                "        Package::of({name:?}, {shown:?}, include_str!({path:?}), \
                 || Linked::new(&::{library}::DESCRIPTION, ::{library}::start))\
                 .built_of(Program {{ package: {package:?}, folder: {folder:?}, start: \"{library}::start\", \
                 version: {version:?} }}),\n"
            ));
        }
        Ok(format!(
            "//! Made by `koboshi`, which overwrites changes: the command with this workspace's components.\n\
             \n\
             use koboshi_composer::registry::{{Linked, Package, Program}};\n\
             \n\
             fn main() {{\n    \
                 // One package a line, in the order of the workspace's members.\n    \
                 let packages = vec![\n\
             {lines}    ];\n    \
                 std::process::exit(koboshi_composer::main_with(packages));\n\
             }}\n"
        ))
    }

    /// Builds the probe, and gives its program. What cargo does is shown only if there is something to do.
    fn build(&self) -> Result<PathBuf, Trouble> {
        let colours = crate::command::colours(&std::io::stderr());
        let format = if colours { "json-diagnostic-rendered-ansi" } else { "json" };
        let mut command = cargo();
        command.args(["build", "--color", "never", "--message-format", format, "--manifest-path"]);
        command.arg(self.directory.join("Cargo.toml")).arg("--target-dir").arg(&self.workspace.target);
        // Where the workspace's own toolchain and cargo's configuration hold.
        command.current_dir(&self.workspace.root).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut building = command.spawn().map_err(|error| no_cargo(&error))?;
        let doings = building.stderr.take().map(|stderr| std::thread::spawn(move || show_doings(stderr)));
        let mut said = Said::default();
        if let Some(stdout) = building.stdout.take() {
            BufReader::new(stdout).lines().map_while(Result::ok).for_each(|line| said.take(&line));
        }
        let status = building.wait().map_err(|error| no_cargo(&error))?;
        let rest = doings.and_then(|thread| thread.join().ok()).unwrap_or_default();
        match said.program {
            Some(program) if status.success() => Ok(program),
            _ => {
                // Errors are what counts; without one it was cargo itself that could not go on.
                match said.errors.is_empty() {
                    true => eprint!("{rest}"),
                    false => said.errors.iter().for_each(|error| eprint!("{}", error.rendered)),
                }
                Err(self.whose(&said))
            }
        }
    }

    /// Whose fault it is that the probe does not build.
    fn whose(&self, said: &Said) -> Trouble {
        let at = |error: &Error| match error.line {
            Some(line) if error.krate == "koboshi-probe" => self.components.get(line.checked_sub(FIRST_LINE)?),
            _ => None,
        };
        if let Some(component) = said.errors.iter().find_map(at) {
            return Trouble::new(
                format!(
                    "component package `{}` does not fit: its crate `{}` does not export what a component exports.",
                    component.manifest.package, component.member.name
                ),
                "it needs `pub const DESCRIPTION: Description` and `pub async fn start(start: Start) -> Exit`, both of \
                 koboshi-runtime.",
            );
        }
        let krate = said.errors.iter().map(|error| error.krate.as_str()).next();
        let (what, remedy) = match krate.and_then(|krate| self.workspace.members.iter().find(|m| m.name == krate)) {
            Some(member) => (
                format!("crate `{}` in {} does not build.", member.name, member.directory.display()),
                format!("mend it: `cargo check -p {}` says the same.", member.name),
            ),
            None => (
                "the command for this workspace's components does not build.".to_owned(),
                format!("cargo has said why, above; it was building {}.", self.directory.display()),
            ),
        };
        Trouble::new(what, remedy)
    }
}

fn table<const N: usize>(entries: [(&str, Value); N]) -> Table {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The workspace's lock, and what Koboshi's says of packages that it does not have. Empty if there is neither.
fn locked(workspace: &Path, koboshi: &Path) -> String {
    let read =
        |root: &Path| fs::read_to_string(root.join("Cargo.lock")).ok().and_then(|text| text.parse::<Table>().ok());
    let Some(mut lock) = read(workspace).or_else(|| read(koboshi)) else { return String::new() };
    let packages = |lock: &Table| lock.get("package").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut all = packages(&lock);
    let of_workspace: Vec<_> = all.iter().map(series).collect();
    all.extend(read(koboshi).iter().flat_map(packages).filter(|package| !of_workspace.contains(&series(package))));
    lock.insert("package".to_owned(), Value::Array(all));
    toml::to_string(&lock).unwrap_or_default()
}

/// A locked package's name, and the part of its version that cargo uses once at most: `1`, `0.9` or `0.0.3`.
fn series(package: &Value) -> (String, String) {
    let text = |key: &str| package.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let version = text("version");
    let numbers: Vec<&str> = version.split('.').collect();
    let first = numbers.iter().position(|number| *number != "0").unwrap_or(numbers.len());
    (text("name"), numbers.into_iter().take(first + 1).collect::<Vec<_>>().join("."))
}

/// Shows what cargo does, once it does something; gives what was not shown.
fn show_doings(stderr: impl Read) -> String {
    let mut rest = String::new();
    let mut first = true;
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        let shown = ["Compiling ", "Downloading ", "Downloaded ", "Updating ", "Blocking "];
        // That lock every cargo of this user takes for a moment, also if there is nothing to do.
        let is_moment = line.ends_with("waiting for file lock on package cache");
        if is_moment || !shown.iter().any(|word| line.trim_start().starts_with(word)) {
            rest.push_str(&line);
            rest.push('\n');
            continue;
        }
        // Waiting for another cargo is not building yet, and there may be nothing to build then.
        if !line.trim_start().starts_with("Blocking ") && std::mem::take(&mut first) {
            eprintln!("building the command with this workspace's components, once after each change:");
        }
        eprintln!("{line}");
    }
    rest
}

/// An error of the compiler.
struct Error {
    krate: String,
    line: Option<usize>,
    rendered: String,
}

/// What cargo said in its messages.
#[derive(Default)]
struct Said {
    program: Option<PathBuf>,
    errors: Vec<Error>,
}

#[derive(Deserialize)]
struct CargoMessage {
    reason: String,
    manifest_path: Option<PathBuf>,
    executable: Option<PathBuf>,
    message: Option<RustcMessage>,
}

#[derive(Deserialize)]
struct RustcMessage {
    level: String,
    rendered: Option<String>,
    spans: Vec<RustcSpan>,
}

#[derive(Deserialize)]
struct RustcSpan {
    line_start: usize,
    is_primary: bool,
}

impl Said {
    fn take(&mut self, line: &str) {
        let Ok(said) = serde_json::from_str::<CargoMessage>(line) else { return };
        match said.reason.as_str() {
            "compiler-artifact" => self.program = said.executable.or(self.program.take()),
            "compiler-message" => {
                let Some(message) = said.message.filter(|message| message.level == "error") else { return };
                self.errors.push(Error {
                    krate: said.manifest_path.as_deref().and_then(name_in).unwrap_or_default(),
                    line: message.spans.iter().find(|span| span.is_primary).map(|span| span.line_start),
                    rendered: message.rendered.unwrap_or_default(),
                });
            }
            _ => {}
        }
    }
}

/// The name of the crate with this `Cargo.toml`.
fn name_in(manifest: &Path) -> Option<String> {
    let manifest: Table = fs::read_to_string(manifest).ok()?.parse().ok()?;
    Some(manifest.get("package")?.get("name")?.as_str()?.to_owned())
}

/// Has the probe take this process's place, with the same arguments. Comes back only if that cannot be.
fn run(program: &Path) -> Trouble {
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1));
    #[cfg(unix)]
    let error = std::os::unix::process::CommandExt::exec(&mut command);
    #[cfg(not(unix))]
    let error = match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(crate::command::WRONG)),
        Err(error) => error,
    };
    Trouble::new(format!("{} cannot be run: {error}.", program.display()), "it was built just now: try again.")
}

#[cfg(test)]
mod tests {
    use super::{locked, packages_of};

    #[test]
    fn the_workspaces_versions_count_and_koboshis_are_added() {
        let lock = |packages: &[(&str, &str)]| {
            let directory = tempfile::tempdir().expect("a directory can be made");
            let package =
                |(name, version): &(&str, &str)| format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n");
            let text = packages.iter().map(package).collect::<String>();
            std::fs::write(directory.path().join("Cargo.lock"), text).expect("it can be written");
            directory
        };
        let workspace = lock(&[("serde", "1.0.5"), ("rand", "0.9.1")]);
        let koboshi = lock(&[("serde", "1.0.9"), ("rand", "0.9.4"), ("rand", "0.10.0"), ("clap", "4.0.0")]);
        let merged: toml::Table = locked(workspace.path(), koboshi.path()).parse().expect("TOML");
        let packages = merged["package"].as_array().expect("an array");
        let versions: Vec<_> = packages.iter().map(|package| package["version"].as_str().expect("text")).collect();
        assert_eq!(versions, ["1.0.5", "0.9.1", "0.10.0", "4.0.0"]);
        let alone = tempfile::tempdir().expect("a directory can be made");
        assert!(locked(alone.path(), koboshi.path()).contains("4.0.0"), "a workspace without a lock takes Koboshi's");
        assert_eq!(locked(alone.path(), alone.path()), "");
    }

    #[test]
    fn an_image_names_its_packages_and_one_that_cannot_be_read_names_none() {
        let image = "[[component]]\nname = \"a\"\npackage = \"sos\"\n[[component]]\npackage = \"own\"\n";
        assert_eq!(packages_of(image), ["sos", "own"]);
        assert!(packages_of("[[component]\n").is_empty());
        assert!(packages_of("component = 3").is_empty());
    }
}
