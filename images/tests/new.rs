//! `koboshi new`, and the probe: a workspace of a user's own, from nothing to an image that fits together; and all that
//! can be wrong on the way.
//!
//! What cargo builds here goes below this workspace's target directory, so that only the first time takes long.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Says what takes long, past the capture of the tests' output.
fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "own workspace: {what}");
}

/// A command that finds here what a user has: no network is needed, and there are no colours.
fn run(program: impl AsRef<std::ffi::OsStr>, directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory);
    command.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("own-workspace"));
    command.env("CARGO_NET_OFFLINE", "true").env("CARGO_TERM_COLOR", "never");
    // It is run once: optimising it takes longer than it saves.
    command.env("CARGO_PROFILE_DEV_OPT_LEVEL", "0").env("CARGO_PROFILE_DEV_DEBUG", "false");
    command
}

struct Said {
    code: Option<i32>,
    output: String,
    complaint: String,
}

fn said(command: &mut Command) -> Said {
    let Output { status, stdout, stderr } = command.output().expect("the command runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { code: status.code(), output: text(stdout), complaint: text(stderr) }
}

fn koboshi(directory: &Path, arguments: &[&str]) -> Said {
    said(&mut run(env!("CARGO_BIN_EXE_koboshi"), directory, arguments))
}

#[track_caller]
fn fine(directory: &Path, arguments: &[&str]) -> String {
    let Said { code, output, complaint } = koboshi(directory, arguments);
    assert_eq!(code, Some(0), "{output}{complaint}");
    output
}

/// It ends with this code, says this, and changes no file.
#[track_caller]
fn refused(directory: &Path, arguments: &[&str], code: i32, says: &[&str]) {
    let before = files(directory);
    let said = koboshi(directory, arguments);
    for part in says {
        assert!(said.complaint.contains(part), "`{part}` is not in:\n{}", said.complaint);
    }
    assert_eq!(said.code, Some(code), "{}", said.complaint);
    assert_eq!(files(directory), before, "something was written");
}

/// All files below a directory, with their contents; a directory is a file without contents.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.append(&mut files(&path));
        }
        found.insert(path.clone(), fs::read(&path).unwrap_or_default());
    }
    found
}

fn empty() -> TempDir {
    tempfile::tempdir().expect("a directory can be made")
}

fn change(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).expect("it is there");
    assert!(text.contains(from), "`{from}` is not in {}", path.display());
    fs::write(path, text.replace(from, to)).expect("it can be written");
}

/// Another process has the probe in hand: who comes meanwhile waits, says so, and can be stopped.
fn while_another_builds(here: &Path) {
    let held = fs::File::open(Path::new(env!("CARGO_TARGET_TMPDIR")).join("own-workspace/koboshi/probe/lock"))
        .expect("it can be opened");
    held.lock().expect("nobody else has it");
    let mut waits = run(env!("CARGO_BIN_EXE_koboshi"), here, &["run", "images/own.toml", "--for", "1ms"]);
    let mut waits = waits.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut line = String::new();
    let mut complaints = BufReader::new(waits.stderr.take().expect("it is a pipe"));
    complaints.read_line(&mut line).expect("it can be read");
    assert!(line.starts_with("waiting for another `koboshi`, which builds in "), "{line}");
    kill_process(Pid::from_child(&waits), Signal::INT).expect("it is there");
    assert_eq!(waits.wait().expect("it ends").code(), Some(130));
}

/// A workspace's own component as a package, which an interpreter can run; and its image with all components so.
fn packs_its_own(here: &Path) {
    say("koboshi pack blinker");
    fine(here, &["key", "new", "--out", "signing.key"]);
    fine(here, &["pack", "blinker", "--platform", "host", "--key", "signing.key", "--out", "blinker.package"]);
    let bytes = fs::read(here.join("blinker.package")).expect("it was made");
    let package = koboshi_package::Package::open(&bytes).expect("it is one");
    assert!(package.is_signed());
    let header = package.header().expect("it has one");
    assert_eq!((header.name, header.platform, header.ports.len()), ("blinker", "host", 1));
    koboshi_host::module::Module::new(package.code).expect("it can run here");
    let tells = |text: &str| package.code.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(!tells(&here.display().to_string()), "it does not tell where it was made");
    fine(here, &["run", "images/own.toml", "--for", "10ms", "--engine", "wasm"]);
    // Nobody has to look at what cargo left there.
    fs::remove_dir_all(here.join("target")).expect("it is there");
}

#[test]
fn from_nothing_to_an_image_that_fits_together_and_back_to_each_mistake() {
    let directory = empty();
    say("the first time it builds for minutes, later for seconds");
    // As the compiler calls it, also where /tmp is a link.
    let here = &fs::canonicalize(directory.path()).expect("it is there");
    let told = fine(here, &["new", "driver", "blinker"]);
    assert!(told.contains("components/blinker/src/lib.rs") && told.contains("koboshi new image NAME"), "{told}");
    let cargo = |arguments: &[&str]| {
        say(&format!("cargo {}", arguments.join(" ")));
        let said = said(&mut run(env!("CARGO"), here, arguments));
        assert_eq!(said.code, Some(0), "cargo {arguments:?}:\n{}{}", said.output, said.complaint);
        said.output
    };
    cargo(&["fmt", "--all", "--check"]);
    cargo(&["clippy", "--all-targets", "--", "-D", "warnings"]);
    let tested = cargo(&["test"]);
    for test in [
        "every_step_is_counted_once_wherever_the_driver_falls",
        "the_log_goes_up_by_ten_though_the_driver_falls",
        "each_operation_has_the_contract_that_its_clients_rely_on",
    ] {
        assert!(tested.contains(&format!("test {test} ... ok")), "{tested}");
    }

    fine(here, &["new", "image", "own"]);
    say("koboshi check images/own.toml, by a probe");
    let shown = fine(here, &["check", "images/own.toml"]);
    assert!(shown.contains("3 components, 1 connection, 0 devices, 1 group, 0 warnings"), "{shown}");
    let again = koboshi(here, &["check", "images/own.toml"]);
    assert_eq!((again.output, again.complaint), (shown, String::new()), "nothing is built twice, or said of it");
    while_another_builds(here);
    let report = fine(here, &["report", "images/own.toml"]);
    assert!(report.contains("blinker-client.blinker -> blinker.blinker"), "{report}");
    packs_its_own(here);
    say("the mistakes");

    // In the image.
    let image = here.join("images/own.toml");
    change(&image, "package = \"blinker\"", "package = \"blnker\"");
    refused(here, &["check", "images/own.toml"], 1, &["there is no package `blnker`", "did you mean `blinker`?"]);
    change(&image, "package = \"blnker\"", "package = \"blinker\"");

    // In the component: its code, what it exports, and its manifest.
    let (code, manifest) = (here.join("components/blinker/src/lib.rs"), here.join("components/blinker/component.toml"));
    let check = ["check", "images/own.toml"];
    change(&code, "wrapping_add(1)", "wrapping_add(one)");
    let mend = "mend it: `cargo check -p blinker` says the same";
    refused(here, &check, 1, &["cannot find value `one`", "crate `blinker` in ", mend]);
    change(&code, "wrapping_add(one)", "wrapping_add(1)");
    change(&code, "pub async fn start(", "pub async fn begin(");
    let does_not_fit = "component package `blinker` does not fit";
    refused(here, &check, 1, &["cannot find", "`start`", does_not_fit, "pub async fn start(start: Start) -> Exit"]);
    change(&code, "pub async fn begin(", "pub async fn start(");
    change(&manifest, "package = \"blinker\"", "package = blinker");
    refused(here, &check, 1, &["components/blinker/component.toml is no component's manifest", "package = blinker"]);
    change(&manifest, "package = blinker", "package = \"blinker-client\"");
    let both = ["two packages are called `blinker-client`", "components/blinker/", "components/blinker-client/"];
    refused(here, &check, 1, &both);
    change(&manifest, "package = \"blinker-client\"", "package = \"sos\"");
    refused(here, &check, 1, &["calls its package `sos`, and so is one of Koboshi's own called"]);
    change(&manifest, "package = \"sos\"", "package = \"blinker\"");
    change(&manifest, "keeps-state = true", "keeps-state = false");
    refused(here, &check, 1, &["`keeps-state` is false here, and true in the code", "component package `blinker`'s"]);
    change(&manifest, "keeps-state = false", "keeps-state = true");

    // Around them.
    let mut without_cargo = run(env!("CARGO_BIN_EXE_koboshi"), here, &check);
    let without_cargo = said(without_cargo.env("PATH", "").env_remove("CARGO"));
    assert_eq!(without_cargo.code, Some(1));
    assert!(without_cargo.complaint.contains("cargo cannot be run: "), "{}", without_cargo.complaint);
    change(&here.join("Cargo.toml"), "resolver = \"3\"", "resolver = \"33\"");
    refused(here, &check, 1, &["cargo cannot read the workspace around ", "`resolver` setting `33`"]);
    change(&here.join("Cargo.toml"), "resolver = \"33\"", "resolver = \"3\"");
    fine(here, &check);

    // A second driver of the same interface: whom the clients ask is for a person to say.
    let told = fine(here, &["new", "driver", "lamp", "--interface", "blinker-interface"]);
    assert!(told.contains("\n  cargo test -p lamp -p lamp-client\n"), "{told}");
    assert!(!here.join("interfaces/lamp").exists());
    fine(here, &["new", "image", "two"]);
    let two = fs::read_to_string(here.join("images/two.toml")).expect("it is there");
    assert!(two.contains("# `blinker-interface/blinker` can be joined in more than one way"), "{two}");
    // One problem for each connection that is missing, not one for each of its ends.
    let unconnected = ["port `blinker.blinker` is not connected", "port `lamp.blinker` is not connected", "2 problems"];
    refused(here, &["check", "images/two.toml"], 1, &unconnected);
    let pair =
        |name: &str| format!("\n[[connect]]\nfrom = \"{name}-client.blinker\"\nto = \"{name}.blinker\"\nslots = 8\n");
    fs::write(here.join("images/two.toml"), two + &pair("blinker") + &pair("lamp")).expect("it can be written");
    fine(here, &["check", "images/two.toml"]);
}

#[test]
fn a_dry_run_lists_and_writes_nothing() {
    let directory = empty();
    let told = fine(directory.path(), &["new", "driver", "blinker", "--dry-run"]);
    assert!(told.starts_with("would write in ") && told.contains("\n  interfaces/blinker/src/lib.rs "), "{told}");
    assert!(files(directory.path()).is_empty());
}

#[test]
fn in_a_checkout_of_koboshi_it_goes_beside_its_own() {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it has a parent");
    let told = fine(&checkout.join("images"), &["new", "driver", "blinker", "--dry-run"]);
    assert!(told.starts_with(&format!("would write in {}:", checkout.display())), "{told}");
    assert!(told.contains("  Cargo.toml ") && told.contains(" changed: members"), "{told}");
    assert!(told.contains("  components/blinker-client/component.toml "), "{told}");
    assert!(!told.contains("Cargo.lock"), "{told}");
}

#[test]
fn a_name_that_cannot_be_is_refused() {
    let directory = empty();
    let here = directory.path();
    for name in ["Blinker", "loop", "3d", "a_b", "../x", "koboshi-x", "x-client"] {
        refused(here, &["new", "driver", name], 2, &[&format!("`{name}` cannot be a name: ")]);
    }
    refused(here, &["new", "driver", "sos"], 2, &["there is a package `sos` already"]);
    refused(here, &["new", "driver", "serde"], 2, &["there is a crate `serde` already, among the dependencies"]);
}

#[test]
fn nothing_that_is_there_is_written_over() {
    let directory = empty();
    let here = directory.path();
    fs::create_dir_all(here.join("components/blinker/src")).expect("it can be made");
    fs::write(here.join("components/blinker/src/lib.rs"), "mine").expect("it can be written");
    let there = "components/blinker/src/lib.rs is there already; nothing was written";
    refused(here, &["new", "driver", "blinker"], 2, &[there]);
    fine(here, &["new", "interface", "blinker"]);
    refused(here, &["new", "interface", "blinker"], 2, &["there is a crate `blinker-interface` already, in "]);
    refused(here, &["new", "driver", "blinker"], 2, &[there]);
    refused(here, &["new", "image", "own"], 2, &["there is no component of your own in ", "new driver NAME"]);
}

#[test]
fn an_interface_that_is_not_there_or_was_changed_is_not_served() {
    let directory = empty();
    let here = directory.path();
    fine(here, &["new", "interface", "blinker"]);
    let near = ["no interface crate `blnker-interface`", "did you mean `blinker-interface`?"];
    refused(here, &["new", "driver", "lamp", "--interface", "blnker-interface"], 2, &near);
    change(&here.join("interfaces/blinker/src/lib.rs"), "| value     | Pure ", "| value     | Idempotent ");
    refused(here, &["new", "driver", "blinker"], 2, &["`blinker-interface` has another table"]);
}

#[test]
fn a_workspace_keeps_its_lines_and_comments() {
    let directory = empty();
    let here = directory.path();
    let before = "# Ours.\n[workspace]\nmembers = [\n  \"one\", # the first\n]\n\n[workspace.dependencies]\n\
                  serde = \"1\" # as we like it\n";
    fs::create_dir_all(here.join("one/src")).expect("it can be made");
    fs::write(here.join("one/src/lib.rs"), "").expect("it can be written");
    fs::write(here.join("one/Cargo.toml"), "[package]\nname = \"one\"\nedition = \"2024\"\n")
        .expect("it can be written");
    fs::write(here.join("Cargo.toml"), before).expect("it can be written");
    fine(&here.join("one"), &["new", "interface", "blinker"]);
    let after = fs::read_to_string(here.join("Cargo.toml")).expect("it is there");
    let start = "# Ours.\n[workspace]\nmembers = [\n  \"one\", # the first\n  \"interfaces/blinker\",\n]\n\n\
                 [workspace.dependencies]\nserde = \"1\" # as we like it\n";
    assert!(after.starts_with(start), "{after}");
    assert!(after[start.len()..].contains("koboshi-interface-kit = { path = "), "{after}");
    assert!(!here.join("Cargo.lock").exists(), "its versions are its own business");
}

#[test]
fn where_nothing_can_be_made_it_says_why() {
    let directory = empty();
    let here = directory.path();
    let new = |more: &[&'static str]| [&["new", "driver", "blinker"], more].concat();
    refused(here, &new(&["--koboshi", "/"]), 2, &["/ is no checkout of Koboshi", "--koboshi PATH"]);

    let package = "[package]\nname = \"one\"\nedition = \"2024\"\n";
    fs::write(here.join("Cargo.toml"), package).expect("it can be written");
    refused(here, &new(&[]), 2, &["the Cargo.toml of one crate, and of no workspace", "--in DIR"]);
    refused(here, &new(&["--in", "Cargo.toml"]), 2, &["Cargo.toml is no directory"]);
    fs::write(here.join("Cargo.toml"), "[workspace").expect("it can be written");
    refused(here, &new(&[]), 1, &["Cargo.toml is not TOML"]);
    let gone = "[workspace]\n[workspace.dependencies]\nkoboshi-runtime = { path = \"/gone/components/runtime\" }\n";
    fs::write(here.join("Cargo.toml"), gone).expect("it can be written");
    refused(here, &new(&[]), 2, &["Koboshi's sources are not in /gone", "--koboshi PATH"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_directory_that_cannot_be_written_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let directory = empty();
    let here = directory.path();
    fs::set_permissions(here, fs::Permissions::from_mode(0o555)).expect("it is ours");
    // Who may do everything may write there all the same; nobody makes directories in /proc.
    let all_powerful = fs::create_dir(here.join("try")).is_ok();
    let place = if all_powerful { "/proc/koboshi-own".to_owned() } else { here.display().to_string() };
    let cannot = [place.as_str(), " cannot be written: ", "nothing was written", "--in DIR"];
    refused(here, &["new", "driver", "blinker", "--in", &place], 1, &cannot);
    fs::set_permissions(here, fs::Permissions::from_mode(0o755)).expect("it is ours");
}
