//! `--engine`: what runs the components of an image for this machine.
//!
//! Linked in they are a part of this command, and fast. As modules they are programs of their own, built as for a board,
//! which an interpreter runs: their memory is their own and made anew with each incarnation, and nothing that they do can
//! stop anybody else.

use std::path::{Path, PathBuf};

use koboshi_board::modules;
use koboshi_host::linked::Linked;
use koboshi_host::module::Module;
use koboshi_sh4::tools::{Rust, Trouble};

use super::build::{koboshi, sources};
use super::progress::Progress;
use super::{MISUSED, complain, not_built};
use crate::compose::Composed;

/// What runs components.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Engine {
    /// They are linked into this command
    #[default]
    Linked,
    /// Each is a WebAssembly module with memory of its own, run by an interpreter
    Wasm,
}

/// What a person wants of it.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Wish {
    /// What runs the components of an image for this machine [default: linked]
    #[arg(long, value_enum)]
    engine: Option<Engine>,
}

impl Wish {
    /// Says so if it was said for an image for a board.
    pub(super) fn refuse_on_board(self) -> Result<(), i32> {
        if self.engine.is_none() {
            return Ok(());
        }
        complain(
            "--engine is for images for this machine: on a board components are programs of their own.",
            "take it out, or name an image for this machine, such as images/host.toml.",
        );
        Err(MISUSED)
    }

    /// Lets the components of an image be run so. `image`: its manifest, if it is not the one that is built in.
    pub(super) fn fulfil(self, image: Option<&PathBuf>, composed: &mut Composed) -> Result<(), i32> {
        match self.engine.unwrap_or_default() {
            Engine::Linked => Ok(()),
            Engine::Wasm => interpret(image, composed).map_err(|trouble| not_built(&trouble)),
        }
    }
}

/// Builds the components' modules, and puts each in the place of the code that is linked in.
fn interpret(image: Option<&PathBuf>, composed: &mut Composed) -> Result<(), Trouble> {
    let rust = Rust::find()?;
    let names = composed.image.components.iter().map(|component| component.name.clone());
    let parts: Vec<_> = names.zip(sources(composed)?).collect();
    let name = image.and_then(|path| path.file_stem()).map_or("host".into(), |name| name.to_string_lossy());
    let folder = Path::new("target/koboshi/modules").join(&*name);
    let mut progress = Progress::new();
    let made = modules(&rust, &parts, &koboshi(), &folder, &mut |step| progress.show(step))?;
    drop(progress);
    for (component, wasm) in composed.image.components.iter_mut().zip(made) {
        let description = component.linked.description();
        let module = Module::new(&wasm).and_then(|module| Linked::module(description, &module));
        component.linked = module.map_err(|bad| {
            Trouble::new(
                format!("component `{}` cannot be run as a module: {bad}", component.name),
                "this is a mistake of whoever built it, its author or Koboshi: run it with --engine linked.",
            )
        })?;
    }
    Ok(())
}
