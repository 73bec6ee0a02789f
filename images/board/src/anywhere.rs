//! The module of one component, or its program for a board, the same wherever it is built.
//!
//! The rules: cargo makes symbols, and thereby the order of functions, of where a crate lies below its workspace. So Koboshi
//! lies below the one that is made here, by a link, wherever it really is. And names that stay stand for where this user's
//! crates and this compiler's sources lie.
//!
//! A component of another workspace names Koboshi by the path that it has there, and so does its program. It tells nothing of
//! that path, and is the same if it is built again; elsewhere its functions may come in another order.

use std::fs::File;
use std::path::{Path, PathBuf};

use koboshi_sh4::link::Optimise;
use koboshi_sh4::tools::{Gcc, Rust, Trouble, unwritable};

use crate::build::{Step, lock, put};
use crate::builder::{Builder, RUST};
use crate::generate::crate_of;
use crate::modules::{MODULE, lay_down_all, program};
use crate::program::ForRoom;
use crate::request::{Board, Source};

/// Builds it in a folder of its own.
pub(crate) fn module(
    rust: &Rust,
    name: &str,
    source: &Source,
    koboshi: &Path,
    folder: &Path,
    say: &mut dyn FnMut(Step<'_>),
) -> Result<Vec<u8>, Trouble> {
    let (folder, _lock) = laid_down(rust, name, source, (koboshi, folder), &MODULE, say)?;
    say(Step::Part { made: 0, of: 1, name, doing: RUST });
    Ok(program(&folder, name).build_interpreted(rust)?.0)
}

/// Builds its program for a board, to take another one's place there. `at_line_end`: one of its devices is a line's end.
pub(crate) fn for_board(
    rust: &Rust,
    board: &Board,
    (name, source, at_line_end): (&str, &Source, bool),
    (koboshi, folder): (&Path, &Path),
    say: &mut dyn FnMut(Step<'_>),
) -> Result<ForRoom, Trouble> {
    let (folder, _lock) =
        laid_down(rust, name, source, (koboshi, folder), &[("knocks", true), ("line-end", at_line_end)], say)?;
    // Of the packages beside it too.
    let cache = folder.with_file_name("sh4-tools");
    let (gcc, crates) = (Gcc::find(&cache)?, folder.join("crates"));
    let (folder, crates, cache) = (folder.as_path(), crates.as_path(), cache.as_path());
    let builder = Builder { rust, gcc: &gcc, cache, folder, crates, board, optimise: Optimise::Size };
    let mut doing = |doing| say(Step::Part { made: 0, of: 1, name, doing });
    builder.for_room((&crate_of(name), name), &source.assembler, &mut doing)
}

/// The folder with its crate in it, which is locked.
fn laid_down(
    rust: &Rust,
    name: &str,
    source: &Source,
    (koboshi, folder): (&Path, &Path),
    wanted: &[(&str, bool)],
    say: &mut dyn FnMut(Step<'_>),
) -> Result<(PathBuf, File), Trouble> {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    let lock = lock(&folder, say)?;
    let crates = folder.join("crates");
    let (koboshi_there, source_there) = match source.folder.strip_prefix(koboshi) {
        // As the component's crate sees it, which lies beside the link.
        Ok(inside) => {
            linked(&crates.join("koboshi"), koboshi)?;
            let there = PathBuf::from("../koboshi");
            (there.clone(), Source { folder: there.join(inside), ..source.clone() })
        }
        Err(_) => (koboshi.to_path_buf(), source.clone()),
    };
    put(&crates.join(".cargo/config.toml"), &configuration(rust, koboshi, source))?;
    lay_down_all(&koboshi_there, koboshi, &crates, &[(name.to_owned(), source_there)], wanted)?;
    Ok((folder, lock))
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
    use koboshi_sh4_abi::PAGE;
    use koboshi_sh4_abi::room::{SEEN_END, STACK};
    use wasmparser::{Parser, Payload};

    use super::*;

    /// Koboshi's sources as they are here, in another place.
    fn copied(koboshi: &Path, to: &Path) {
        std::fs::create_dir_all(to).expect("a directory");
        let mut copy = Command::new("cp");
        copy.arg("-r").args(["Cargo.toml", "Cargo.lock", "components", "interfaces", "kernel"]).arg(to);
        assert!(copy.current_dir(koboshi).status().expect("cp runs").success());
    }

    /// `echo`, of the Koboshi in this directory.
    fn source(koboshi: &Path) -> Source {
        Source {
            package: "koboshi-echo".to_owned(),
            folder: koboshi.join("components/echo"),
            start: "koboshi_echo::start".to_owned(),
            features: Vec::new(),
            assembler: Vec::new(),
        }
    }

    /// Its module.
    fn echo(rust: &Rust, koboshi: &Path, folder: &Path) -> Vec<u8> {
        module(rust, "echo", &source(koboshi), koboshi, folder, &mut |_| {}).expect("it can be built")
    }

    /// Its program for a board, and what it takes there.
    fn echo_on_board(rust: &Rust, koboshi: &Path, folder: &Path) -> (Vec<u8>, u32) {
        let made = for_board(rust, &Board::R2D, ("echo", &source(koboshi), false), (koboshi, folder), &mut |_| {});
        made.map(|made| (made.code, made.room)).expect("it can be built")
    }

    #[test]
    fn a_program_for_a_board_is_the_same_wherever_it_was_made_and_says_what_it_takes() {
        let place = tempfile::tempdir().expect("a directory");
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("it lies two deep");
        let elsewhere = place.path().join("a/checkout/somewhere/else");
        copied(here, &elsewhere);
        let rust = Rust::find().expect("a compiler");
        let (first, room) = echo_on_board(&rust, here, &place.path().join("first"));
        let (second, _) = echo_on_board(&rust, &elsewhere, &place.path().join("the/second"));
        assert!(first == second, "two places, two programs: {} and {} bytes", first.len(), second.len());
        // Its table: it begins in what it reads, and so does what its variables are at the beginning, which lies before its end.
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| first[4 * at + byte]));
        let reads = SEEN_END - (first.len() as u32 - 16)..SEEN_END;
        assert!(reads.contains(&word(0)) && reads.contains(&word(1)) && word(1) + 4 * word(2) <= SEEN_END);
        let variables = (4 * (word(2) + word(3))).next_multiple_of(PAGE);
        assert_eq!(room, (first.len() as u32).next_multiple_of(PAGE) + variables + 2 * STACK);
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
