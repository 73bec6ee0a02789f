//! The components of an image as modules, which the host's interpreter runs: the same programs as for a board, up to where
//! they become C.

use std::path::{Path, PathBuf};

use koboshi_sh4::link::Optimise;
use koboshi_sh4::program::{Artifact, Program};
use koboshi_sh4::tools::{Rust, Trouble};

use crate::build::{Step, lay_down, lock};
use crate::builder::RUST;
use crate::generate;
use crate::request::Source;

/// Bytes of a module's own stack: a page of WebAssembly, of which Koboshi's components take a quarter.
const STACK: u32 = 1 << 16;

/// Features of a module's side of its platform.
pub(crate) const MODULE: [(&str, bool); 2] = [("module", true), ("knocks", true)];

/// Builds components, named as in their image, in this folder: their modules, in the same order. Cargo builds nothing that
/// has not changed. `koboshi`: Koboshi's own directory.
///
/// # Errors
/// A component cannot be built: why.
pub fn modules(
    rust: &Rust,
    components: &[(String, Source)],
    koboshi: &Path,
    folder: &Path,
    say: &mut dyn FnMut(Step<'_>),
) -> Result<Vec<Vec<u8>>, Trouble> {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    let _lock = lock(&folder, say)?;
    let crates = folder.join("crates");
    lay_down_all(koboshi, koboshi, &crates, components, &MODULE)?;
    let mut made = Vec::new();
    for (name, _) in components {
        say(Step::Part { made: made.len(), of: components.len(), name, doing: RUST });
        made.push(program(&folder, name).build_interpreted(rust)?.0);
    }
    Ok(made)
}

/// Writes the crates of components that are to be modules, or programs of a board's. `there`: Koboshi's own directory, as these crates
/// name it.
pub(crate) fn lay_down_all(
    there: &Path,
    koboshi: &Path,
    crates: &Path,
    components: &[(String, Source)],
    wanted: &[(&str, bool)],
) -> Result<(), Trouble> {
    let names: Vec<String> = components.iter().map(|(name, _)| name.clone()).collect();
    let mut texts: Vec<(PathBuf, String)> = vec![(crates.join("Cargo.toml"), generate::workspace(&names))];
    for (name, source) in components {
        let (manifest, text) = generate::component(there, wanted, name, source);
        texts.push((crates.join(name).join("Cargo.toml"), manifest));
        texts.push((crates.join(name).join("src/lib.rs"), text));
    }
    lay_down(koboshi, crates, &texts)
}

/// The program of the component with this name whose crate is in this folder.
pub(crate) fn program(folder: &Path, name: &str) -> Program {
    Program {
        folder: folder.join("crates"),
        package: Some(generate::crate_of(name)),
        artifact: Artifact::Library,
        features: Vec::new(),
        exports: Vec::new(),
        base: 0,
        stack: STACK,
        target_folder: folder.join("target"),
        optimise: Some(Optimise::Speed),
    }
}
