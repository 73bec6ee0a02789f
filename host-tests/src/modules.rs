//! Koboshi's components as modules, built as `--engine wasm` builds them.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use koboshi_board::{Source, modules};
use koboshi_core::ComponentId;
use koboshi_host::linked::Linked;
use koboshi_host::module::Module;
use koboshi_runtime::Description;
use koboshi_sh4::tools::{Rust, Trouble};

use crate::system::{DRIVER, Drives, EVERYBODY, Setup};

/// A component that can be a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The restart manager.
    Manager,
    /// SOS.
    Sos,
    /// The SCIF driver.
    Scif,
    /// The SCIF driver that looks by itself.
    ScifPolled,
    /// The driver of a 16550A.
    Ns16550,
    /// The Monitor.
    Monitor,
    /// The component that falls.
    Faller,
    /// A version of the SCIF driver that fails at once.
    FailsAtOnce,
    /// One that hangs.
    Hangs,
    /// One that answers what cannot be decoded.
    AnswersUndecodably,
    /// One that takes a request and does nothing about it.
    AnswersLate,
    /// One that fails after some answers.
    FailsAfterAnswers,
}

/// Each of them: its crate, what starts it, and what it says of itself.
const PARTS: [(Part, &str, &str, &Description); 12] = [
    (Part::Manager, "restart-manager", "koboshi_restart_manager::start", &koboshi_restart_manager::DESCRIPTION),
    (Part::Sos, "sos", "koboshi_sos::start", &koboshi_sos::DESCRIPTION),
    (Part::Scif, "scif-driver", "koboshi_scif_driver::start", &koboshi_scif_driver::DESCRIPTION),
    (
        Part::ScifPolled,
        "scif-polled-driver",
        "koboshi_scif_polled_driver::start",
        &koboshi_scif_polled_driver::DESCRIPTION,
    ),
    (Part::Ns16550, "ns16550-driver", "koboshi_ns16550_driver::start", &koboshi_ns16550_driver::DESCRIPTION),
    (Part::Monitor, "monitor", "koboshi_monitor::start", &koboshi_monitor::DESCRIPTION),
    (Part::Faller, "hostile", "koboshi_hostile::faller::start", &koboshi_hostile::faller::DESCRIPTION),
    (Part::FailsAtOnce, "hostile", "koboshi_hostile::wrong::fails_at_once", &koboshi_scif_driver::DESCRIPTION),
    (Part::Hangs, "hostile", "koboshi_hostile::wrong::hangs", &koboshi_scif_driver::DESCRIPTION),
    (
        Part::AnswersUndecodably,
        "hostile",
        "koboshi_hostile::wrong::answers_undecodably",
        &koboshi_scif_driver::DESCRIPTION,
    ),
    (Part::AnswersLate, "hostile", "koboshi_hostile::wrong::answers_late", &koboshi_scif_driver::DESCRIPTION),
    (
        Part::FailsAfterAnswers,
        "hostile",
        "koboshi_hostile::wrong::fails_after_answers",
        &koboshi_scif_driver::DESCRIPTION,
    ),
];

fn build() -> Result<Vec<Module>, Trouble> {
    let koboshi: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_path_buf();
    let sources: Vec<(String, Source)> = PARTS
        .iter()
        .map(|(_, folder, start, _)| {
            let source = Source {
                package: format!("koboshi-{folder}"),
                folder: koboshi.join("components").join(folder),
                start: (*start).to_owned(),
                features: Vec::new(),
                assembler: Vec::new(),
            };
            let name = start.trim_start_matches("koboshi_").trim_end_matches("::start");
            (name.replace("::", "-").replace('_', "-"), source)
        })
        .collect();
    let made = modules(&Rust::find()?, &sources, &koboshi, &koboshi.join("target/koboshi/modules/tests"), &mut |_| {})?;
    let module = |wasm: Vec<u8>| Module::new(&wasm).map_err(|bad| Trouble::new(bad.to_string(), "mend what built it."));
    made.into_iter().map(module).collect()
}

/// The module of a component. They are built when the first one is asked for.
///
/// # Errors
/// They cannot be built: why.
pub fn built(part: Part) -> Result<Module, Trouble> {
    static ALL: LazyLock<Result<Vec<Module>, Trouble>> = LazyLock::new(build);
    match &*ALL {
        Ok(all) => Ok(all[part as usize].clone()),
        Err(trouble) => Err(trouble.clone()),
    }
}

/// The module of a component, for a test.
///
/// # Panics
/// If they cannot be built.
#[must_use]
pub fn module(part: Part) -> Module {
    built(part).unwrap_or_else(|trouble| panic!("{}\n{}", trouble.what, trouble.remedy))
}

/// The driver of this system; `None`: it has two in turn, and no module is both.
#[must_use]
pub const fn driver_of(setup: &Setup) -> Option<Part> {
    match setup.drives {
        Drives::Scif => Some(Part::Scif),
        Drives::ScifPolled => Some(Part::ScifPolled),
        Drives::ScifInTurn { .. } => None,
        Drives::Ns16550 => Some(Part::Ns16550),
    }
}

/// A component as this module of it.
///
/// # Panics
/// If it has too many ports.
#[must_use]
pub fn linked(part: Part, module: &Module) -> Linked {
    let (_, _, _, description) = PARTS[part as usize];
    Linked::module(description, module).expect("they have few ports")
}

/// The same system with everybody as a module, each changed by this: who it is, and the module.
///
/// # Panics
/// If it has two drivers in turn: no module is both.
#[must_use]
pub fn as_modules(setup: &Setup, change: &dyn Fn(ComponentId, Module) -> Module) -> Setup {
    let Some(driver) = driver_of(setup) else { panic!("no module is two drivers") };
    let parts = [Part::Manager, Part::Sos, driver, Part::Monitor];
    let code = EVERYBODY.iter().zip(parts).map(|(id, part)| linked(part, &change(*id, module(part))));
    let other = linked(Part::ScifPolled, &change(DRIVER, module(Part::ScifPolled)));
    Setup { code: Some(code.collect()), other: Some(other), ..setup.clone() }
}
