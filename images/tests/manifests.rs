//! Manifests, right and wrong, one file each: `right/` and `wrong/`. Each wrong one breaks one rule, and its whole message
//! is part of the test: it stands beside it, in a file that ends in `.expected`.
//!
//! `NAME.toml` is an image. `NAME.PACKAGE.toml` is a component's manifest, which is read in place of that package's own in
//! the image `right/plain.toml`. Where a right image has warnings, they stand beside it too.
//!
//! `UPDATE_EXPECTED=1 cargo test -p koboshi-composer --test manifests` writes what is said now; read it before you keep it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use koboshi_composer::problem::{Rule, Severity};
use koboshi_composer::registry::packages as own_packages;
use koboshi_composer::{Composed, HOST_IMAGE, compose, compose_changed};
use koboshi_core::ComponentId;
use koboshi_host::image::WhenGone;
use koboshi_host::linked::Linked;
use koboshi_runtime::describe::Description;
use koboshi_runtime::life::Exit;

mod support;

use support::cells::cells;
use support::packages;

const PLAIN: &str = include_str!("right/plain.toml");

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// The files of a folder that end in this, by the name before it.
fn files(of: &Path, ending: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(of).expect("the folder is there");
    let names = entries.map(|entry| entry.expect("it can be listed").file_name().into_string().expect("it is a name"));
    names.filter_map(|name| name.strip_suffix(ending).map(str::to_owned)).collect()
}

/// The packages, one of them with another manifest.
fn packages_with(name: &str, manifest: &str) -> Vec<koboshi_composer::registry::Package> {
    let mut packages = packages();
    let package = packages.iter_mut().find(|package| package.name == name).expect("the package is there");
    // A package's manifest lives as long as the command; here, as the test.
    package.manifest = Box::leak(manifest.to_owned().into_boxed_str());
    packages
}

/// What is made of a case.
fn composed(case: &str, text: &str) -> Result<Composed, String> {
    let composed = match case.split_once('.') {
        Some((_, package)) => compose("plain.toml", PLAIN, &packages_with(package, text)),
        None => compose(&format!("{case}.toml"), text, &packages()),
    };
    composed.map_err(|problems| format!("{problems}\n"))
}

/// What is said of each case of a folder, as it is and as it is expected; and whether it is composed.
fn cases(name: &str) -> Vec<(String, String, String, bool)> {
    // Tests run side by side, and one must not read what another one is writing.
    static FILES: Mutex<()> = Mutex::new(());
    let _files = FILES.lock();
    let of = folder(name);
    let manifests = files(&of, ".toml");
    let read = |case: &str, ending: &str| fs::read_to_string(of.join(format!("{case}{ending}"))).unwrap_or_default();
    let found = manifests.iter().map(|case| {
        let (said, fits) = match composed(case, &read(case, ".toml")) {
            Ok(composed) => (composed.warnings.iter().map(|warning| warning.plain() + "\n").collect(), true),
            Err(problems) => (problems, false),
        };
        if std::env::var_os("UPDATE_EXPECTED").is_some() && !said.is_empty() {
            fs::write(of.join(format!("{case}.expected")), &said).expect("it can be written");
        }
        (case.clone(), said, read(case, ".expected"), fits)
    });
    let found = found.collect();
    let lonely: Vec<_> = files(&of, ".expected").difference(&manifests).cloned().collect();
    assert!(lonely.is_empty(), "expectations without a manifest: {lonely:?}");
    found
}

#[track_caller]
fn are_as_expected(cases: &[(String, String, String, bool)], fit: bool) {
    let mut wrong = String::new();
    for (case, said, expected, fits) in cases {
        if said != expected {
            wrong.push_str(&format!("--- {case}: said\n{said}--- expected\n{expected}\n"));
        }
        if *fits != fit {
            wrong.push_str(&format!("--- {case}: composed: {fits}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_wrong_manifest_is_refused_with_its_own_words() {
    let cases = cases("wrong");
    assert!(cases.len() >= 48, "only {} cases", cases.len());
    let silent: Vec<_> = cases.iter().filter(|(_, _, expected, _)| expected.is_empty()).map(|case| &case.0).collect();
    assert!(silent.is_empty(), "nothing is expected of {silent:?}");
    are_as_expected(&cases, false);
}

#[test]
fn every_right_image_is_composed_with_the_warnings_that_it_deserves() {
    are_as_expected(&cases("right"), true);
}

#[test]
fn one_mistake_is_one_problem() {
    for (case, _, expected, _) in cases("wrong") {
        let problems = expected.lines().filter(|line| line.starts_with("koboshi::")).count();
        assert_eq!(problems, 1, "{case}: {expected}");
    }
}

#[test]
fn every_rule_has_a_manifest_that_breaks_it() {
    let said: Vec<String> = [cases("wrong"), cases("right")].concat().into_iter().map(|case| case.2).collect();
    let broken = |rule: &Rule| {
        let error = format!("{}: ", rule.code());
        let warning = format!("{} (warning): ", rule.code());
        let begins = if rule.severity() == Severity::Error { error } else { warning };
        said.iter().any(|said| said.lines().any(|line| line.starts_with(&begins)))
    };
    let never: Vec<_> = Rule::ALL.iter().filter(|rule| !broken(rule)).map(|rule| rule.code()).collect();
    assert!(never.is_empty(), "no manifest breaks {never:?}");
    let codes: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.code()).collect();
    assert_eq!(codes.len(), Rule::ALL.len(), "two rules have one code");
}

#[test]
fn the_image_of_sixty_four_components_is_the_generated_one() {
    let file = folder("right").join("sixty-four.toml");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&file, cells(16)).expect("it can be written");
    }
    assert_eq!(fs::read_to_string(file).expect("it is there"), cells(16));
    let composed = compose("cells.toml", &cells(16), &own_packages()).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(composed.image.components.len(), 64);
    let one_more = compose("cells.toml", &cells(17), &own_packages()).err().map(|problems| problems.to_string());
    let said = one_more.unwrap_or_default();
    assert!(said.contains("an image has at most 64 components"), "{said}");
}

#[test]
fn an_image_is_made_of_what_its_manifest_says() {
    let composed = compose("plain.toml", PLAIN, &packages()).unwrap_or_else(|problems| panic!("{problems}"));
    let image = composed.image;
    assert_eq!(image.manager, Some(ComponentId(0)));
    assert_eq!((image.costs.turn, image.costs.start, image.costs.quantum), (1_000, 20_000, 1_000_000));
    assert_eq!(image.components.len(), 3);
    assert_eq!(image.components[2].respond_within, 1_000_000);
    assert_eq!(image.components[1].recover_within, Some(1_000_000));
    assert_eq!(image.components[2].recover_within, None);
    assert_eq!(image.components[0].rights.control, 0b110);
    assert!(image.components[0].rights.facts && image.components[2].rights.blame);
    let connection = image.connections[0];
    assert_eq!((connection.near.component, connection.far.component), (ComponentId(2), ComponentId(1)));
    assert_eq!((connection.when_gone, image.connections[2].when_gone), (WhenGone::Refuse, WhenGone::Wait));
    assert_eq!(image.connections[1].slots, 128);
    assert_eq!((image.devices[0].owner, image.devices[0].first_line), (ComponentId(1), 0));
    let safe: Vec<_> = image.devices[0].safe.iter().map(|write| (write.offset, write.value)).collect();
    assert_eq!(safe, [(8, 0)]);
}

#[test]
fn the_host_image_is_composed_of_koboshis_own_packages() {
    let (name, text) = HOST_IMAGE;
    let composed = compose(name, text, &own_packages()).unwrap_or_else(|problems| panic!("{problems}"));
    let image = composed.image;
    let configuration = |at: usize| image.components[at].configuration.as_slice();
    let policy: koboshi_restart_manager::policy::Policy = postcard::from_bytes(configuration(0)).expect("a policy");
    assert_eq!(policy.check(), Ok(()));
    assert_eq!(policy.groups.len(), 3);
    assert_eq!(policy.groups[0].escalate, koboshi_restart_manager::policy::Escalation::Group(1));
    let hosts: koboshi_sos::Hosts = postcard::from_bytes(configuration(1)).expect("who is hosted");
    assert_eq!(hosts.driver.0, 2);
    let board: koboshi_scif_driver::device::Board = postcard::from_bytes(configuration(2)).expect("a board");
    assert_eq!((board.fifo, board.clock_hz, board.line.baud), (16, 64_000_000, 115_200));
    let watches: koboshi_monitor::Watches = postcard::from_bytes(configuration(3)).expect("what is watched");
    assert_eq!((watches.sos.0, watches.line.baud), (1, 115_200));
    assert!(image.connections[0].routed && !image.connections[1].routed);
    assert_eq!(composed.warnings.len(), 0);
    koboshi_host::machine::Machine::new(&image, koboshi_host::machine::Options::default()).expect("it can run");
}

#[test]
fn a_scif_fits_either_of_its_drivers_and_one_of_them_without_interrupts() {
    let polled = |image: &str| image.replace("package = \"scif-driver\"", "package = \"scif-polled-driver\"");
    let without = |image: &str| -> String {
        let taken = |line: &&str| !(line.starts_with("interrupts = [0xB80") || line.starts_with("interrupts = [0x700"));
        image.lines().filter(taken).map(|line| line.to_owned() + "\n").collect()
    };
    for (name, text) in [HOST_IMAGE, ("r2d.toml", include_str!("../r2d.toml"))] {
        assert_ne!(without(text), text);
        let configuration = |text: &str| {
            let composed = compose(name, text, &own_packages()).map_err(|problems| problems.to_string())?;
            let driver = composed.image.components.into_iter().find(|component| component.name == "driver");
            Ok::<_, String>(driver.expect("there is a driver").configuration)
        };
        let wanted = configuration(text).unwrap_or_else(|said| panic!("{said}"));
        assert_eq!(configuration(&polled(text)), Ok(wanted.clone()));
        assert_eq!(configuration(&without(&polled(text))), Ok(wanted));
    }
    let said = compose("r2d.toml", &without(include_str!("../r2d.toml")), &own_packages()).err();
    let said = said.map(|problems| problems.to_string()).unwrap_or_default();
    assert!(said.contains("device `scif` has no `base` or no `interrupts`, which its driver needs"), "{said}");
}

#[test]
fn groups_are_put_in_the_order_that_the_restart_manager_wants() {
    let (name, text) = HOST_IMAGE;
    let turned = |image: &mut koboshi_composer::manifest::ImageManifest| image.groups.reverse();
    let composed =
        compose_changed(name, text, &own_packages(), &turned).unwrap_or_else(|problems| panic!("{problems}"));
    let policy: koboshi_restart_manager::policy::Policy =
        postcard::from_bytes(&composed.image.components[0].configuration).expect("a policy");
    assert_eq!(policy.check(), Ok(()));
    assert_eq!(policy.groups[0].members.as_slice(), [2]);
}

/// The plain image with one change, which must be one.
fn changed(from: &str, to: &str) -> String {
    assert_eq!(PLAIN.matches(from).count(), 1, "`{from}` is not in the image exactly once");
    PLAIN.replace(from, to)
}

#[test]
fn every_mistake_of_a_run_is_shown_in_the_order_of_lines() {
    let text = changed("vcpu = 0", "vcpu = 9")
        .replace("slots = 4", "slots = 5")
        .replace("owner = \"panel.line\"", "owner = \"panel.lime\"");
    let found = compose("image.toml", &text, &packages()).err().map(|problems| problems.0).unwrap_or_default();
    let found: Vec<_> = found.iter().map(|problem| (problem.rule.code(), problem.line(), problem.column())).collect();
    let expected = [("koboshi::bounds", 10, 8), ("koboshi::bounds", 39, 9), ("koboshi::unknown-name", 57, 9)];
    assert_eq!(found, expected);
}

#[test]
fn a_package_is_looked_at_once_however_many_components_it_makes() {
    static LOOKS: AtomicUsize = AtomicUsize::new(0);
    let mut packages = packages();
    packages.iter_mut().filter(|package| package.name == "echo").for_each(|package| {
        package.linked = || {
            LOOKS.fetch_add(1, Ordering::Relaxed);
            Linked::new(&support::ECHO, |_| async { Exit::Done })
        };
    });
    let echo = |number: u8| {
        format!("[[component]]\nname = \"e{number}\"\npackage = \"echo\"\nvcpu = 2\nrespond-within = \"1 ms\"\n\n")
    };
    let names: String = (0..20).map(|number| format!(", \"e{number}\"")).collect();
    let text = PLAIN
        .replacen("[[connect]]", &((0..20).map(echo).collect::<String>() + "[[connect]]"), 1)
        .replace("[\"modem\", \"panel\"]", &format!("[\"modem\", \"panel\"{names}]"));
    let composed = compose("image.toml", &text, &packages).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((composed.image.components.len(), LOOKS.load(Ordering::Relaxed)), (23, 1));
}

#[test]
fn a_report_points_at_the_place() {
    let text = changed("turn = \"1 us\"", "turn = \"1\"");
    let problems = compose("image.toml", &text, &packages()).err().expect("it is wrong");
    let shown = problems.render(false, 100);
    assert!(shown.contains("koboshi::quantity"), "{shown}");
    assert!(shown.contains("[image.toml:5:8]"), "{shown}");
    assert!(shown.contains("╰── it has no unit (ns, us, ms, s, min)"), "{shown}");
    assert!(shown.contains("Whose fault: the image manifest's."), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colours were asked for");
}

#[test]
fn a_component_that_does_not_fit_into_its_memory_is_refused_with_what_would_fit() {
    static BIG: Description = Description { name: "keeper", ..support::KEEPER };
    let manifest = support::manifest_of("keeper").replacen("\n\n", "\nmemory = \"1 KiB\"\n\n", 1);
    let mut packages = packages_with("keeper", &manifest);
    packages.iter_mut().filter(|package| package.name == "keeper").for_each(|package| {
        package.linked = || {
            Linked::new(&BIG, |_| async {
                let room = [1_u8; 3_000];
                std::future::pending::<()>().await;
                if room[2_999] == 1 { Exit::Done } else { Exit::Unfit("") }
            })
        };
    });
    let found = compose("image.toml", PLAIN, &packages).err().map_or_else(String::new, |problems| problems.to_string());
    assert!(found.starts_with("koboshi::memory: keeper/component.toml:2: `keeper` keeps 3"), "{found}");
    assert!(
        found.ends_with("and has 1024\n  fault: package keeper\n  right: write at least `memory = \"3 KiB\"`."),
        "{found}"
    );
}
