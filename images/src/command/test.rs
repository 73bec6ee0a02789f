//! `koboshi test`: runs the suites, and says how many checks held.
//!
//! The rule: a suite that checked nothing has not passed.

mod sh4_swap;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use koboshi_host_tests::suite::{Context, Report, Suite};

use super::needs::prepare;
use super::{FINE, MISUSED, Paint, STOPPED, WRONG, complain, listen_for_stop, stop_wanted, table};
use crate::problem::instead;

/// Arguments of `koboshi test`.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The suites to run [default: all but those on request]
    suites: Vec<String>,
    /// A short run of each suite
    #[arg(long)]
    quick: bool,
    /// Only say which suites there are
    #[arg(long)]
    list: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Whatever is left to chance is drawn from this
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// So many cases, in the suite that draws as many as it is asked for: sh4-random
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Replay this one case of the suite that is named, as its failed run printed it
    #[arg(long, value_name = "CASE", requires = "suites")]
    replay: Option<String>,
}

/// The suite that runs the workspace's own tests.
const CARGO: Suite = Suite {
    name: "cargo",
    about: "the tests of all packages (nextest where it is there)",
    on_request: false,
    run: cargo,
};

/// The suites that draw as many cases as they are asked for.
const DRAWING: [&str; 1] = ["sh4-random"];

/// What a suite came to.
struct Done {
    name: &'static str,
    report: Report,
    took: Duration,
}

impl Done {
    /// Checks that did not hold; one, if nothing was checked at all.
    fn failed(&self) -> u64 {
        if self.report.passed + self.report.failed == 0 { 1 } else { self.report.failed }
    }
}

/// Runs the suites, and gives the exit code.
pub(super) fn run(arguments: &Arguments) -> i32 {
    let all: Vec<Suite> = koboshi_host_tests::suites().iter().copied().chain([sh4_swap::SUITE, CARGO]).collect();
    if arguments.list {
        for suite in all {
            let on_request = if suite.on_request { " [only on request]" } else { "" };
            say!("  {:11} {}{on_request}", suite.name, suite.about);
        }
        return FINE;
    }
    let names: Vec<&str> = all.iter().map(|suite| suite.name).collect();
    if let Some(unknown) = arguments.suites.iter().find(|name| !names.contains(&name.as_str())) {
        complain(&format!("there is no suite `{unknown}`."), &instead(unknown, names));
        return MISUSED;
    }
    let wanted: Vec<Suite> = all
        .into_iter()
        .filter(|suite| match arguments.suites.as_slice() {
            [] => !suite.on_request,
            named => named.iter().any(|name| name == suite.name),
        })
        .collect();
    if arguments.replay.is_some() && wanted.len() != 1 {
        complain("--replay replays a case of one suite.", "name that suite alone: koboshi test crash --replay CASE.");
        return MISUSED;
    }
    let other = arguments.suites.iter().find(|name| !DRAWING.contains(&name.as_str()));
    if let Some(other) = other.filter(|_| arguments.count.is_some()) {
        complain(
            &format!("the suite `{other}` does not draw as many cases as it is asked for (--count)."),
            "name one that does, alone: koboshi test sh4-random --count N.",
        );
        return MISUSED;
    }
    listen_for_stop();
    // The suite `cargo` does that too, and tells of it among its results.
    if let Some(workspace) = workspace().filter(|_| wanted.iter().any(|suite| suite.name.starts_with("sh4"))) {
        prepare(&workspace).iter().for_each(|missing| eprintln!("{missing}"));
    }
    let mut done = Vec::new();
    let mut cut_short = None;
    for suite in wanted {
        match run_one(suite, arguments) {
            Ok(Done { name, report: Report { misused: Some(why), .. }, .. }) => {
                complain(&format!("the suite `{name}` cannot do this: {why}."), "see `koboshi test --list`.");
                return MISUSED;
            }
            Ok(finished) => done.push(finished),
            Err(how_far) => {
                cut_short = Some(how_far);
                break;
            }
        }
    }
    let stopped = stop_wanted();
    let passed: u64 = done.iter().map(|suite| suite.report.passed).sum();
    let failed: u64 = done.iter().map(Done::failed).sum();
    if arguments.json {
        print_json(&done, passed, failed, stopped);
    } else {
        print_table(&done);
        if stopped {
            let how_far = cut_short.map_or(String::new(), |how_far| format!(" {how_far}"));
            say!("{}: this is what was done before.{how_far}", Paint::stdout().strong("Stopped"));
        }
        // Plain, so that whoever looks for this line finds it.
        say!("{passed} passed, {failed} failed");
    }
    match (stopped, failed) {
        (true, _) => STOPPED,
        (false, 0) => FINE,
        (false, _) => WRONG,
    }
}

/// Runs one suite beside this thread, so that Ctrl-C is heard meanwhile. If it was stopped: how far it was.
fn run_one(suite: Suite, arguments: &Arguments) -> Result<Done, String> {
    let target = if arguments.json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template("{spinner} {prefix:20} {pos} {msg} {elapsed}");
    let bar = ProgressBar::with_draw_target(None, target)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        .with_prefix(suite.name);
    bar.enable_steady_tick(Duration::from_millis(100));
    let began = Instant::now();
    let (send, receive) = mpsc::channel();
    let Arguments { quick, seed, count, replay, .. } = arguments.clone();
    let shown = bar.clone();
    std::thread::spawn(move || {
        let progress = move |done: u64, of: u64| {
            shown.set_position(done);
            shown.set_message(if of > 0 { format!("of {of}") } else { String::new() });
        };
        let report = (suite.run)(&Context { quick, seed, replay: replay.as_deref(), count, progress: &progress });
        // Nobody listens any more after Ctrl-C.
        let _ = send.send(report);
    });
    loop {
        match receive.recv_timeout(Duration::from_millis(50)) {
            Ok(report) => {
                bar.finish_and_clear();
                return Ok(Done { name: suite.name, report, took: began.elapsed() });
            }
            Err(mpsc::RecvTimeoutError::Timeout) if stop_wanted() => {
                let how_far = format!("{} {}", bar.position(), bar.message());
                bar.finish_and_clear();
                return Err(format!("{} was stopped after {}.", suite.name, how_far.trim_end()));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                bar.finish_and_clear();
                let report =
                    Report { passed: 0, failed: 1, text: "the suite itself panicked".to_owned(), misused: None };
                return Ok(Done { name: suite.name, report, took: began.elapsed() });
            }
        }
    }
}

fn print_table(done: &[Done]) {
    let paint = Paint::stdout();
    for suite in done {
        if suite.failed() > 0 || !suite.report.text.is_empty() {
            say!("{}", paint.strong(suite.name));
            for line in suite.report.text.lines() {
                say!("  {line}");
            }
            if suite.report.passed + suite.report.failed == 0 {
                say!("  nothing was checked: that counts as a failure");
            }
            say!("");
        }
    }
    let mut rows = vec![["suite", "passed", "failed", "seconds"].map(str::to_owned).to_vec()];
    for suite in done {
        let seconds = format!("{:.1}", suite.took.as_secs_f64());
        rows.push(vec![suite.name.to_owned(), suite.report.passed.to_string(), suite.failed().to_string(), seconds]);
    }
    say!("{}", table(&rows));
}

fn print_json(done: &[Done], passed: u64, failed: u64, stopped: bool) {
    let suites: Vec<_> = done
        .iter()
        .map(|suite| {
            serde_json::json!({
                "name": suite.name,
                "passed": suite.report.passed,
                "failed": suite.failed(),
                "seconds": suite.took.as_secs_f64(),
                "text": suite.report.text,
            })
        })
        .collect();
    let result = serde_json::json!({ "passed": passed, "failed": failed, "stopped": stopped, "suites": suites });
    say!("{result:#}");
}

/// The workspace: where this command was built, or else the directory in which it runs.
fn workspace() -> Option<PathBuf> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf);
    let here = std::env::current_dir().ok();
    let is_ours = |path: &PathBuf| path.join("images/host.toml").is_file() && path.join("Cargo.toml").is_file();
    here.into_iter().chain(built).find(is_ours)
}

/// Runs the workspace's own tests with cargo, and adds their counts.
fn cargo(context: &Context<'_>) -> Report {
    let failure = |text: &str| Report { passed: 0, failed: 1, text: text.to_owned(), misused: None };
    let Some(workspace) = workspace() else {
        return failure("Koboshi's sources are not here: run this in the directory with its Cargo.toml");
    };
    let mut nextest = Command::new("cargo");
    nextest.args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    let nextest = nextest.status().is_ok_and(|status| status.success());
    let arguments: &[&str] = if nextest {
        &["nextest", "run", "--workspace", "--no-fail-fast", "--color", "never"]
    } else {
        &["test", "--workspace", "--no-fail-fast", "--color", "never"]
    };
    (context.progress)(0, 0);
    let missing = prepare(&workspace).join("\n");
    let output = Command::new("cargo").args(arguments).current_dir(&workspace).stdin(Stdio::null()).output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return failure(&format!("cargo cannot be run: {error}; is it in the PATH?")),
    };
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let (passed, mut failed) = if nextest { counts_of_nextest(&text) } else { counts_of_cargo_test(&text) };
    if !output.status.success() {
        // It did not compile, or something ended before it could count.
        failed = failed.max(1);
    }
    let mut shown = missing;
    if failed > 0 || passed == 0 {
        let telling = text.lines().filter(|line| {
            let line = line.trim_start();
            ["FAIL ", "SIGNAL ", "SIGABRT ", "TIMEOUT ", "error", "test result: FAILED", "thread '"]
                .iter()
                .any(|start| line.starts_with(start))
                || line.ends_with("... FAILED")
        });
        shown.extend(telling.take(MOST_LINES).flat_map(|line| ["\n", line]));
        shown.push_str(&format!("\nall of it: cargo {}", arguments.join(" ")));
    }
    Report { passed, failed, text: shown, misused: None }
}

/// Lines of a failed run of cargo that are shown.
const MOST_LINES: usize = 60;

/// The number in front of a word, as in `3 passed`.
fn number_before(line: &str, word: &str) -> Option<u64> {
    let mut words = line.split([' ', ',', ';', '(']).filter(|word| !word.is_empty());
    let mut before = words.next()?;
    for found in words {
        if found == word {
            return before.parse().ok();
        }
        before = found;
    }
    None
}

/// What `cargo nextest` says in its line `Summary [ 1.2s] 9 tests run: 8 passed, 1 failed, 2 skipped`.
fn counts_of_nextest(text: &str) -> (u64, u64) {
    let summary = text.lines().rev().find(|line| line.trim_start().starts_with("Summary ["));
    let count = |word| summary.and_then(|line| number_before(line, word)).unwrap_or(0);
    (count("passed"), count("failed") + count("timed") + count("exec"))
}

/// What `cargo test` says in its lines `test result: ok. 8 passed; 1 failed; ...`.
fn counts_of_cargo_test(text: &str) -> (u64, u64) {
    let results = text.lines().filter(|line| line.starts_with("test result:"));
    results.fold((0, 0), |(passed, failed), line| {
        let count = |word| number_before(line, word).unwrap_or(0);
        (passed + count("passed"), failed + count("failed"))
    })
}

#[cfg(test)]
mod tests {
    use super::{counts_of_cargo_test, counts_of_nextest};

    #[test]
    fn nextests_summary_is_read() {
        let text =
            "     Summary [   0.026s] 34 tests run: 30 passed (1 slow), 3 failed, 1 timed out, 2 skipped\nerror: x\n";
        assert_eq!(counts_of_nextest(text), (30, 4));
        assert_eq!(counts_of_nextest("     Summary [   0.026s] 1 test run: 1 passed, 0 skipped"), (1, 0));
        assert_eq!(counts_of_nextest("error: could not compile"), (0, 0));
    }

    #[test]
    fn cargo_tests_results_are_added_up() {
        let text =
            "test result: ok. 8 passed; 0 failed; 1 ignored\nx\ntest result: FAILED. 2 passed; 3 failed; 0 ignored\n";
        assert_eq!(counts_of_cargo_test(text), (10, 3));
    }
}
