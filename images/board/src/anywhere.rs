//! The module of one component, the same wherever it is built.
//!
//! The rules: cargo makes symbols, and thereby the order of functions, of where a crate lies below its workspace. So Koboshi
//! lies below the one that is made here, by a link, wherever it really is. And names that stay stand for where this user's
//! crates and this compiler's sources lie.
//!
//! A component of another workspace names Koboshi by the path that it has there, and so does its program. It tells nothing of
//! that path, and is the same if it is built again; elsewhere its functions may come in another order.

use std::path::{Path, PathBuf};

use koboshi_sh4::tools::{Rust, Trouble, unwritable};

use crate::build::{RUST, Step, lock, put};
use crate::modules::{lay_down_all, program};
use crate::request::Source;

/// Builds it in a folder of its own.
pub(crate) fn module(
    rust: &Rust,
    name: &str,
    source: &Source,
    koboshi: &Path,
    folder: &Path,
    say: &mut dyn FnMut(Step<'_>),
) -> Result<Vec<u8>, Trouble> {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    let _lock = lock(&folder, say)?;
    let crates = folder.join("crates");
    let link = crates.join("koboshi");
    linked(&link, koboshi)?;
    let (koboshi_there, source_there) = match source.folder.strip_prefix(koboshi) {
        // As the component's crate sees it, which lies beside the link.
        Ok(inside) => {
            let there = PathBuf::from("../koboshi");
            (there.clone(), Source { folder: there.join(inside), ..source.clone() })
        }
        Err(_) => (koboshi.to_path_buf(), source.clone()),
    };
    put(&crates.join(".cargo/config.toml"), &configuration(rust, koboshi, source))?;
    lay_down_all(&koboshi_there, koboshi, &crates, &[(name.to_owned(), source_there)])?;
    say(Step::Part { made: 0, of: 1, name, doing: RUST });
    Ok(program(&folder, name).build_interpreted(rust)?.0)
}

/// Makes a link to a directory, unless it is there.
fn linked(link: &Path, to: &Path) -> Result<(), Trouble> {
    let failed = |error| unwritable(link, &error);
    match std::fs::read_link(link) {
        Ok(there) if there == to => return Ok(()),
        Ok(_) => std::fs::remove_file(link).map_err(failed)?,
        Err(_) => std::fs::create_dir_all(link.parent().unwrap_or(Path::new("."))).map_err(failed)?,
    }
    std::os::unix::fs::symlink(to, link).map_err(failed)
}

/// Cargo's configuration: names that stay, in place of where everything lies.
fn configuration(rust: &Rust, koboshi: &Path, source: &Source) -> String {
    let directory = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cargo_home = directory("CARGO_HOME").or_else(|| Some(directory("HOME")?.join(".cargo")));
    let toolchain = rust.path().parent().and_then(Path::parent).map(Path::to_owned);
    // The compiler takes the last one that fits.
    let renamed = [
        (cargo_home, "cargo"),
        (toolchain, "rust"),
        (Some(koboshi.to_path_buf()), "koboshi"),
        (Some(source.folder.clone()), source.package.as_str()),
    ];
    let flags =
        renamed.iter().filter_map(|(from, to)| Some(format!("--remap-path-prefix={}={to}", from.as_ref()?.display())));
    let flags: Vec<String> = flags.map(|flag| format!("{flag:?}")).collect();
    format!("# Made by Koboshi.\n[target.wasm32v1-none]\nrustflags = [{}]\n", flags.join(", "))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use koboshi_host::module::Module;
    use wasmparser::{Parser, Payload};

    use super::*;

    /// Koboshi's sources as they are here, in another place.
    fn copied(koboshi: &Path, to: &Path) {
        std::fs::create_dir_all(to).expect("a directory");
        let mut copy = Command::new("cp");
        copy.arg("-r").args(["Cargo.toml", "Cargo.lock", "components", "interfaces", "kernel"]).arg(to);
        assert!(copy.current_dir(koboshi).status().expect("cp runs").success());
    }

    /// `echo`, built of the Koboshi in this directory.
    fn echo(rust: &Rust, koboshi: &Path, folder: &Path) -> Vec<u8> {
        let source = Source {
            package: "koboshi-echo".to_owned(),
            folder: koboshi.join("components/echo"),
            start: "koboshi_echo::start".to_owned(),
            features: Vec::new(),
            assembler: Vec::new(),
        };
        module(rust, "echo", &source, koboshi, folder, &mut |_| {}).expect("it can be built")
    }

    #[test]
    fn a_module_is_the_same_wherever_it_was_made_and_runs_here_and_does_not_tell_where() {
        let place = tempfile::tempdir().expect("a directory");
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("it lies two deep");
        let elsewhere = place.path().join("a/checkout/somewhere/else");
        copied(here, &elsewhere);
        let rust = Rust::find().expect("a compiler");
        let first = echo(&rust, here, &place.path().join("first"));
        let second = echo(&rust, &elsewhere, &place.path().join("the/second"));
        assert!(first == second, "two places, two modules: {} and {} bytes", first.len(), second.len());
        Module::new(&first).expect("it is what the host's interpreter runs");
        let customs = Parser::new(0).parse_all(&first).filter(|part| matches!(part, Ok(Payload::CustomSection(_))));
        assert_eq!(customs.count(), 0, "nothing is in it beside its code");
        let home = std::env::var("HOME").expect("somebody is at home");
        let tells = |text: &str| first.windows(text.len()).any(|part| part == text.as_bytes());
        for place in [place.path(), here, Path::new(&home), rust.path()] {
            assert!(!tells(&place.display().to_string()), "it names {}", place.display());
        }
        // It does name files, of which it tells when it panics.
        assert!(tells(".rs"), "nothing is found in it");
    }
}
