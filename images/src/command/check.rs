//! `koboshi check`: composes an image, and says whether it fits together.

use std::path::PathBuf;

use serde::Serialize;

use super::{FINE, Paint, WRONG, complain, manifest_of, show_problems};
use crate::problem::{Problem, Problems, Severity, Whose};
use crate::registry::packages;
use crate::{Composed, compose};

/// Arguments of `koboshi check`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The image's manifest, such as images/host.toml [default: the one that is built in]
    image: Option<PathBuf>,
    /// Print all problems as JSON
    #[arg(long)]
    json: bool,
    /// Warnings count as errors
    #[arg(long)]
    strict: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Verdict {
    image: String,
    ok: bool,
    errors: usize,
    warnings: usize,
    problems: Vec<Found>,
}

/// One problem, as JSON.
#[derive(Serialize)]
struct Found {
    code: &'static str,
    severity: &'static str,
    file: String,
    line: usize,
    column: usize,
    message: String,
    whose: String,
    remedy: String,
}

impl From<&Problem> for Found {
    fn from(problem: &Problem) -> Self {
        Found {
            code: problem.rule.code(),
            severity: problem.rule.severity().word(),
            file: problem.at.source.name().to_owned(),
            line: problem.line(),
            column: problem.column(),
            message: problem.message.clone(),
            whose: match &problem.whose {
                Whose::Image => "image".to_owned(),
                Whose::Component(name) => format!("package {name}"),
            },
            remedy: problem.remedy.clone(),
        }
    }
}

/// Composes, and says whether that went well, or all that is wrong.
pub(super) fn run(arguments: &Arguments) -> i32 {
    let (name, text) = match manifest_of(arguments.image.as_ref()) {
        Ok(found) => found,
        Err(code) => return code,
    };
    let composed = compose(&name, &text, &packages());
    let problems = match &composed {
        Ok(composed) => &composed.warnings,
        Err(problems) => &problems.0,
    };
    let errors = problems.iter().filter(|problem| problem.rule.severity() == Severity::Error).count();
    let warnings = problems.len() - errors;
    let ok = errors == 0 && (warnings == 0 || !arguments.strict);
    let code = if ok { FINE } else { WRONG };
    if arguments.json {
        let problems = problems.iter().map(Found::from).collect();
        let verdict = Verdict { image: name, ok, errors, warnings, problems };
        return print_json(&verdict, code);
    }
    match composed {
        Ok(composed) => {
            show_warnings(&composed.warnings);
            say!("{}", summary(&name, arguments, &composed, ok));
        }
        Err(problems) => show_problems(&problems),
    }
    code
}

/// Prints something as JSON; the code that is given, unless it cannot be printed.
pub(super) fn print_json(value: &impl Serialize, code: i32) -> i32 {
    match serde_json::to_string_pretty(value) {
        Ok(text) => {
            say!("{text}");
            code
        }
        Err(error) => {
            complain(&format!("the result cannot be printed: {error}."), "leave out --json.");
            WRONG
        }
    }
}

/// Shows what somebody should know though the image fits together.
pub(super) fn show_warnings(warnings: &[Problem]) {
    if !warnings.is_empty() {
        let width = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(100);
        let colours = super::colours(&std::io::stderr());
        eprint!("{}", Problems(warnings.to_vec()).render(colours, width));
    }
}

fn summary(name: &str, arguments: &Arguments, composed: &Composed, ok: bool) -> String {
    let paint = Paint::stdout();
    let several = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let image = &composed.image;
    let parts = [
        several(image.components.len(), "component"),
        several(image.connections.len(), "connection"),
        several(image.devices.len(), "device"),
        several(composed.manifest.groups.len(), "group"),
        several(composed.warnings.len(), "warning"),
    ];
    let verdict = if ok { paint.good("fine:") } else { paint.bad("wrong, since warnings count as errors:") };
    let path = arguments.image.as_ref().map_or(String::new(), |_| format!(" {name}"));
    format!(
        "{verdict} {name} fits together: {}.\n  See ports, restarts, memory and margins with: koboshi report{path}",
        parts.join(", ")
    )
}
