//! `koboshi doctor`: looks at the tools that boards need, says what is wrong with them, and installs what is missing.

use std::path::{Path, PathBuf};

use koboshi_sh4::tools::{Finding, Remedy, Verdict};
use serde::Serialize;

use super::check::print_json;
use super::needs::{install, look};
use super::{FINE, Paint, WRONG, complain, print_out, table};

pub(super) const AFTER_HELP: &str = "The host platform needs none of these tools. Packages are Debian's.
  KOBOSHI_SH4_GCC   names another SuperH GCC
  KOBOSHI_SH4_CURE  off: a GCC that miscompiles is refused, not cured
  KOBOSHI_QEMU_SH4  names another emulator

Exit codes:
  0    all that is needed is there and good
  1    something is missing or must not be used
  2    the command was not used as it can be";

/// Arguments of `koboshi doctor`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
    /// Install what is missing: packages as root on Debian, a target with rustup
    #[arg(long)]
    install: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Answer {
    ok: bool,
    tools: Vec<Tool>,
}

/// One tool, as JSON.
#[derive(Serialize)]
struct Tool {
    what: &'static str,
    purpose: &'static str,
    needed: bool,
    verdict: Verdict,
    path: Option<PathBuf>,
    version: Option<String>,
    why: Option<String>,
    remedy: Option<String>,
}

impl From<Finding> for Tool {
    fn from(finding: Finding) -> Self {
        let Finding { what, purpose, needed, verdict, path, version, why, remedy } = finding;
        Tool { what, purpose, needed, verdict, path, version, why, remedy: remedy.map(|remedy| remedy.line()) }
    }
}

/// Looks, installs if that is asked for, looks again, and shows it.
pub(super) fn run(arguments: &Arguments) -> i32 {
    let here = Path::new(".");
    let mut findings = look(here);
    let mut installed = true;
    if arguments.install && findings.iter().any(|finding| finding.remedy.is_some()) {
        if let Err(trouble) = install(&findings, here, false) {
            complain(&trouble.what, &trouble.remedy);
            installed = false;
        }
        findings = look(here);
    }
    let ok = findings.iter().all(Finding::is_fine);
    let code = if ok && installed { FINE } else { WRONG };
    if arguments.json {
        return print_json(&Answer { ok, tools: findings.into_iter().map(Tool::from).collect() }, code);
    }
    print_out(&told(&findings, Paint::stdout()));
    code
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "good",
        Verdict::Bad => "BAD",
        Verdict::Missing => "missing",
    }
}

fn told(findings: &[Finding], paint: Paint) -> String {
    let mut rows = vec![["tool", "", "version", "where", "what for"].map(str::to_owned).to_vec()];
    for finding in findings {
        let path = finding.path.as_ref().map_or("-".to_owned(), |path| path.display().to_string());
        rows.push(vec![
            finding.what.to_owned(),
            word(finding.verdict).to_owned(),
            finding.version.clone().unwrap_or_else(|| "-".to_owned()),
            path,
            format!("{}{}", finding.purpose, if finding.needed { "" } else { " (optional)" }),
        ]);
    }
    let table = table(&rows);
    let mut lines = table.lines();
    let mut text = String::new();
    text.extend(lines.next().map(|heading| format!("{heading}\n")));
    // The colour comes last: it has no width.
    for (line, finding) in lines.zip(findings) {
        let word = word(finding.verdict);
        let colour = if finding.verdict == Verdict::Good { paint.good(word) } else { paint.bad(word) };
        let after_name = finding.what.len() + 2;
        let (name, rest) = line.split_at_checked(after_name).unwrap_or((line, ""));
        text.push_str(&format!("{name}{}\n", rest.replacen(word, &colour, 1)));
    }
    for finding in findings {
        let Some(why) = &finding.why else { continue };
        text.push_str(&format!("\n{}: {why}\n", paint.strong(finding.what)));
        if let Some(remedy) = &finding.remedy {
            text.push_str(&format!("  {}\n", remedy.line()));
        }
    }
    let wrong = findings.iter().filter(|finding| !finding.is_fine()).count();
    text.push('\n');
    if wrong == 0 {
        text.push_str(&format!("{} all that SH-4 needs is here.\n", paint.good("fine:")));
    } else {
        let can =
            findings.iter().any(|finding| matches!(finding.remedy, Some(Remedy::Packages(_) | Remedy::Rustup(_))));
        let help = if can { " Install what can be installed with: koboshi doctor --install" } else { "" };
        let (what, is) = if wrong == 1 { ("tool", "is") } else { ("tools", "are") };
        text.push_str(&format!("{} {wrong} {what} that SH-4 needs {is} not good.{help}\n", paint.bad("wrong:")));
    }
    text
}
