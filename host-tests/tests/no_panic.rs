//! Nothing in the kernel's core and in a link can panic: in the finished machine code, no path leads to the panic handler.
//!
//! `no-panic/` makes a module of every public entry point; its panic handler calls an import. Here the module is built
//! as for a board, and searched for that import. Bounds checks that cannot fail are fine as long as the compiler sees it.

use std::path::{Path, PathBuf};
use std::process::Command;

use wasmparser::{Parser, Payload};

const TARGET: &str = "wasm32v1-none";
const PANICKED: &str = "koboshi_panicked";

/// Builds the module and reads it.
fn module(optimisation: &str, feature: Option<&str>) -> Vec<u8> {
    assert_target_is_installed();
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("no-panic");
    let name = format!("no-panic-{optimisation}-{}", feature.unwrap_or("plain"));
    let target_folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(&crate_folder).args(["build", "--release", "--locked", "--target", TARGET, "--target-dir"]);
    cargo.arg(&target_folder).env("CARGO_PROFILE_RELEASE_OPT_LEVEL", optimisation);
    cargo.args(feature.map(|feature| format!("--features={feature}")));
    for flags in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        cargo.env_remove(flags);
    }
    let built = cargo.output().expect("cargo runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let file = target_folder.join(TARGET).join("release/koboshi_no_panic.wasm");
    std::fs::read(&file).unwrap_or_else(|problem| panic!("{}: {problem}", file.display()))
}

fn assert_target_is_installed() {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let found = Command::new(compiler).args(["--print", "target-libdir", "--target", TARGET]).output();
    let folder = found.map(|found| String::from_utf8_lossy(&found.stdout).trim().to_owned()).unwrap_or_default();
    assert!(Path::new(&folder).is_dir(), "this test needs a target; install it with: rustup target add {TARGET}");
}

/// The names of the functions that a module imports, and of those that it exports.
fn names(module: &[u8]) -> (Vec<String>, Vec<String>) {
    let (mut imports, mut exports) = (vec![], vec![]);
    for payload in Parser::new(0).parse_all(module) {
        match payload.expect("a whole module") {
            Payload::ImportSection(section) => {
                imports.extend(section.into_imports().map(|import| import.unwrap().name.to_owned()));
            }
            Payload::ExportSection(section) => {
                exports.extend(section.into_iter().map(|export| export.unwrap().name.to_owned()));
            }
            _ => {}
        }
    }
    (imports, exports)
}

#[test]
fn no_entry_point_of_the_core_and_of_a_link_can_panic() {
    for optimisation in ["3", "s"] {
        let (imports, exports) = names(&module(optimisation, None));
        let entries = |of| exports.iter().filter(|name| name.starts_with(of)).count();
        assert!(entries("kernel_") > 10 && entries("link_") > 5, "the entry points are there: {exports:?}");
        assert!(!imports.iter().any(|name| name == PANICKED), "at optimisation {optimisation} something can panic");
    }
}

#[test]
fn one_index_without_a_proof_is_found_out() {
    let (imports, _) = names(&module("3", Some("panics")));
    assert!(imports.iter().any(|name| name == PANICKED));
}
