//! The suites of `koboshi test`, beside the workspace's own tests.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use koboshi_host::journal::Depth;
use koboshi_host::strike::How;

use crate::campaign::{Extent, campaign, replay};
use crate::conformance;
use crate::fuel::{self, Subject};
use crate::modules::{self, Part};
use crate::record_model::{self, Form, Mistake};
use crate::scenario::{self, Scenario};
use crate::sh4::field::field;
use crate::sh4::isolation::isolation;
use crate::sh4::on_board::on_board;
use crate::sh4::random::random;
use crate::sh4::reset::reset;
use crate::sh4::serial::serial;
use crate::sh4::spec::{cannot_begin, spec};
use crate::soak::{Plan, soak};
use crate::suite::{Context, Report, Suite};
use crate::swap;
use crate::system::{DRIVER, MANAGER, MONITOR, SOS, Setup, versions};

const MODEL: Suite = Suite {
    name: "model",
    about: "the record of a port, in every order of steps and deaths, and the mistakes that must be found",
    on_request: false,
    run: model,
};

const CONFORMANCE: Suite = Suite {
    name: "conformance",
    about: "the six rules, by components that run on every platform; here with strikes besides",
    on_request: false,
    run: conformance,
};

const CRASH: Suite = Suite {
    name: "crash",
    about: "every scenario, struck at every numbered point, in every way",
    on_request: false,
    run: crash,
};

const FUEL: Suite = Suite {
    name: "fuel",
    about: "every scenario, its driver as a module and ended after every amount of fuel that it uses",
    on_request: false,
    run: fuel,
};

const SOAK: Suite = Suite {
    name: "soak",
    about: "30 s of platform time, a knock every 100 ms, each way of falling, 115,200 and 1,000,000 baud",
    on_request: false,
    run: soaks,
};

const SWAP: Suite = Suite {
    name: "swap",
    about: "the driver's versions in turn, 1,000 times at 1 Mbaud both ways; and wrong ones, which go back by themselves",
    on_request: false,
    run: swaps,
};

const LOOM: Suite =
    Suite { name: "loom", about: "the ring under every interleaving of two threads", on_request: false, run: loom };

const MIRI: Suite = Suite {
    name: "miri",
    about: "the core, and the host's memory, under Miri (needs: rustup +nightly component add miri rust-src)",
    on_request: true,
    run: miri,
};

const SH4_SPEC: Suite = Suite {
    name: "sh4-spec",
    about: "the official WebAssembly tests, compiled for SH-4 and run on the emulated board",
    on_request: false,
    run: spec,
};

const SH4_RANDOM: Suite = Suite {
    name: "sh4-random",
    about: "random modules, compiled for SH-4, run on the emulated board, held against an interpreter",
    on_request: false,
    run: random,
};

const SH4_FIELD: Suite = Suite {
    name: "sh4-field",
    about: "Rust of the field's own kind, on the emulated SH-4 board and on this machine",
    on_request: false,
    run: field,
};

const SH4_CONFORMANCE: Suite = Suite {
    name: "sh4-conformance",
    about: "the six rules, by the same components, on the emulated SH-4 board",
    on_request: false,
    run: on_board,
};

const SH4_SERIAL: Suite = Suite {
    name: "sh4-serial",
    about: "numbered bytes both ways over the emulated SH-4 board's serial line, while its driver is knocked over",
    on_request: false,
    run: serial,
};

const SH4_ISOLATION: Suite = Suite {
    name: "sh4-isolation",
    about: "what a component must not do, tried by one on the emulated SH-4 board: it ends, and nobody else notices",
    on_request: false,
    run: isolation,
};

const SH4_RESET: Suite = Suite {
    name: "sh4-reset",
    about: "what the kernel of the emulated SH-4 board knows of before a reset of the machine",
    on_request: false,
    run: reset,
};

const ALL: &[Suite] = &[
    MODEL,
    CONFORMANCE,
    CRASH,
    FUEL,
    SOAK,
    SWAP,
    LOOM,
    SH4_SPEC,
    SH4_RANDOM,
    SH4_FIELD,
    SH4_CONFORMANCE,
    SH4_ISOLATION,
    SH4_SERIAL,
    SH4_RESET,
    MIRI,
];

/// All of them.
#[must_use]
pub fn suites() -> &'static [Suite] {
    ALL
}

/// Adds one check to a report.
fn check(report: &mut Report, holds: bool, text: impl FnOnce() -> String) {
    if holds {
        report.passed += 1;
    } else {
        report.failed += 1;
        let _ = writeln!(report.text, "{}", text());
    }
}

fn model(context: &Context<'_>) -> Report {
    let mut report = Report::default();
    let outcomes = record_model::report(if context.quick { Form::Quick } else { Form::Full });
    let states: usize = outcomes.iter().map(|outcome| outcome.states).sum();
    for outcome in &outcomes {
        check(&mut report, outcome.discoveries.is_empty(), || {
            let found =
                outcome.discoveries.iter().map(|found| format!("{}\n    {}", found.rule, found.steps.join("\n    ")));
            format!("{}: broken: {}", outcome.name, found.collect::<Vec<_>>().join("\n"))
        });
    }
    let _ = writeln!(report.text, "{} models, {states} states", outcomes.len());
    for (done, mistake) in Mistake::ALL.into_iter().enumerate() {
        (context.progress)(done as u64, Mistake::ALL.len() as u64);
        let found = !record_model::explore_mistake(mistake).discoveries.is_empty();
        check(&mut report, found, || format!("the mistake {mistake:?} was not found"));
    }
    report
}

/// Of the points that are struck at otherwise, those that a quick run strikes at: every so-many-th.
const QUICKLY: usize = 8;

fn conformance(context: &Context<'_>) -> Report {
    let mut report = Report::default();
    let found = conformance::run(&conformance::Suite::default());
    let wrong = found.wrong(&conformance::RULES);
    report.passed += found.lines.iter().filter(|line| line.ok).count() as u64;
    report.failed += wrong.len() as u64;
    report.text = wrong.into_iter().fold(String::new(), |text, line| text + &line + "\n");
    for (done, strikes) in conformance::STRIKES.iter().enumerate() {
        (context.progress)(done as u64, conformance::STRIKES.len() as u64);
        let stride = if context.quick { strikes.stride * QUICKLY } else { strikes.stride };
        let (carried_out, wrong) = strikes.carry_out(stride, &conformance::RULES);
        check(&mut report, carried_out > 0 && wrong.is_empty(), || wrong.join("\n"));
        let _ = writeln!(report.text, "{:<44} {carried_out:>6} strikes, {:>4} wrong", strikes.about, wrong.len());
    }
    report
}

/// One run, replayed: whether it was judged well, and its event log; or what is wrong with what was asked for.
fn replayed(run: Result<(bool, String), String>) -> Report {
    match run {
        Ok((good, text)) => Report { passed: good.into(), failed: (!good).into(), text, misused: None },
        Err(text) => Report { misused: Some(text), ..Report::default() },
    }
}

fn crash(context: &Context<'_>) -> Report {
    if let Some(case) = context.replay {
        return replayed(replay(case));
    }
    let extent = Extent { seed: context.seed, ..if context.quick { Extent::QUICK } else { Extent::FULL } };
    let progress = |done: usize, of: usize| (context.progress)(done as u64, of as u64);
    let found = campaign(&scenario::all(), &extent, &progress);
    let bad = (found.bad() + found.complaints.len() + usize::from(!found.proves_enough())) as u64;
    Report { passed: found.runs() as u64 - found.bad() as u64, failed: bad, text: found.to_string(), misused: None }
}

fn fuel(context: &Context<'_>) -> Report {
    if let Some(case) = context.replay {
        return replayed(fuel::replay(case));
    }
    // Building the modules takes a while the first time.
    (context.progress)(0, 0);
    let subjects: Vec<Subject> = match scenario::all().into_iter().filter_map(Subject::of).collect() {
        Ok(subjects) => subjects,
        Err(trouble) => return cannot_begin(&trouble),
    };
    let in_turn = scenario::all().len() - subjects.len();
    let progress = |done: usize, of: usize| (context.progress)(done as u64, of as u64);
    let extent = if context.quick { fuel::Extent::QUICK } else { fuel::Extent::FULL };
    let found = fuel::campaign(&subjects, extent, context.seed, &progress);
    let bad = found.bad() as u64;
    let mut report = Report { passed: found.runs() as u64 - bad, failed: bad, ..Report::default() };
    check(&mut report, found.complete(), || "the runs do not stand for every amount".to_owned());
    let _ = write!(report.text, "{found}");
    let _ = writeln!(report.text, "left out: {in_turn} scenarios with two drivers in turn, which no module is");
    let _ = match (context.quick, extent.again) {
        (true, again) => {
            let runs = "one run for all stops in a row that leave the same behind";
            writeln!(report.text, "{runs}; again after one in {again} of them")
        }
        (false, _) => {
            writeln!(report.text, "one run for each stop; again after each that leaves something else behind")
        }
    };
    // The proof that it would show.
    let unsealed =
        Subject { scenario: Scenario { unsealed: true, ..subjects[0].scenario.clone() }, ..subjects[0].clone() };
    let found = fuel::campaign(&[unsealed], fuel::Extent::SAMPLE, context.seed, &|_, _| {});
    check(&mut report, found.bad() > 0, || "a core that does not seal was not noticed".to_owned());
    let _ = writeln!(report.text, "with a core that does not seal {} of {} runs are bad", found.bad(), found.runs());
    report
}

/// Platform time of a soak, in seconds.
const SECONDS: u64 = 30;

fn soaks(context: &Context<'_>) -> Report {
    let mut report = Report::default();
    let seconds = if context.quick { SECONDS / 10 } else { SECONDS };
    let everybody = vec![DRIVER, SOS, MANAGER, MONITOR];
    let plans = [115_200, 1_000_000].into_iter().flat_map(|baud| {
        let one = How::ALL.map(|how| (baud, vec![DRIVER], vec![how]));
        one.into_iter().chain([(baud, everybody.clone(), How::ALL.to_vec())])
    });
    let plans: Vec<_> = plans.collect();
    let _ =
        writeln!(report.text, "{:>9} {:<13} {:>9} {:>9} {:>9}  of whom", "baud", "how", "bytes", "knocks", "incidents");
    for (done, (baud, whom, how)) in plans.iter().enumerate() {
        (context.progress)(done as u64, plans.len() as u64);
        let found = soak(&Plan {
            setup: Setup { flow: true, baud: *baud, ..Setup::default() },
            whom: whom.clone(),
            how: how.clone(),
            every: 100_000_000,
            time: seconds * 1_000_000_000,
            journal: Depth::Last(60),
        });
        let name = if let [one] = how[..] { one.to_string() } else { "all".to_owned() };
        let bytes = found.out.0 + found.back.0;
        let (knocks, incidents) = (found.knocks, found.incidents);
        let of_whom = if whom.len() == 1 { "the driver" } else { "all four" };
        let _ = writeln!(report.text, "{baud:>9} {name:<13} {bytes:>9} {knocks:>9} {incidents:>9}  {of_whom}");
        // A knock waits for a reply, or for its victim to be up again, so not each makes an incident of its own.
        check(&mut report, found.exact() && u64::from(incidents) >= seconds * 3, || format!("not exact: {found:?}"));
    }
    report
}

/// Swaps of a full run, and of a quick one.
const SWAPS: [u32; 2] = [1_000, 100];

fn swaps(context: &Context<'_>) -> Report {
    let mut report = Report::default();
    let count = SWAPS[usize::from(context.quick)];
    let setup = swap::setup();
    let module = |part| modules::linked(part, &modules::module(part));
    let [woken, polled] = versions();
    let versions = [("linked in", [polled, woken]), ("modules", [module(Part::ScifPolled), module(Part::Scif)])];
    for (name, versions) in versions {
        let found = swap::many(&setup, &versions, count);
        let bytes = found.line.out.0 + found.line.back.0;
        let (median, worst) = (found.median_pause / 1_000, found.worst_pause / 1_000);
        let _ = writeln!(
            report.text,
            "{name:<20} {:>5} swaps, {bytes:>9} bytes both ways; from asked to answered: median {median} us, worst {worst} us",
            found.stayed
        );
        check(&mut report, found.exact(count), || format!("not exact: {found:?}"));
    }
    for (part, name, fault) in swap::WRONG {
        let found = swap::wrong(&setup, &module(part));
        let took = found.took / 1_000;
        let why = found.why.map_or_else(|| "it stays".to_owned(), |why| why.to_string());
        let _ = writeln!(report.text, "{name:<20} goes back: {why}; answered again after {took} us");
        check(&mut report, found.line.exact() && found.why == Some(fault), || {
            format!("not as it has to be: {found:?}")
        });
    }
    report
}

/// Runs the workspace's own tests in an unusual way, and counts those that passed.
fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> Report {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let mut command = Command::new("cargo");
    command.args(arguments).envs(environment.iter().copied()).current_dir(workspace).stdin(Stdio::null());
    // Else `+nightly` would not be heard: the cargo that runs us has named its own toolchain.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => {
            return Report { passed: 0, failed: 1, text: format!("cargo cannot be run: {error}"), misused: None };
        }
    };
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let count = |line: &str, word: &str| -> u64 {
        let words: Vec<&str> = line.split([' ', ';']).collect();
        words.windows(2).find(|pair| pair[1] == word).and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
    };
    let results: Vec<&str> = text.lines().filter(|line| line.starts_with("test result:")).collect();
    let passed = results.iter().map(|line| count(line, "passed")).sum();
    let failed: u64 = results.iter().map(|line| count(line, "failed")).sum();
    let failed = if output.status.success() { failed } else { failed.max(1) };
    let end: Vec<&str> = text.lines().rev().take(30).collect();
    let shown = if failed > 0 || passed == 0 {
        format!("cargo {}\n{}", arguments.join(" "), end.into_iter().rev().collect::<Vec<_>>().join("\n"))
    } else {
        String::new()
    };
    Report { passed, failed, text: shown, misused: None }
}

fn loom(_: &Context<'_>) -> Report {
    let arguments = ["test", "-p", "koboshi-core", "--release", "--test", "loom_ring", "--target-dir", "target/loom"];
    cargo(&arguments, &[("RUSTFLAGS", "--cfg loom")])
}

fn miri(_: &Context<'_>) -> Report {
    let under_miri = |what: &[&str]| {
        let arguments = [&["+nightly", "miri", "test", "--target-dir", "target/miri"], what].concat();
        cargo(&arguments, &[("MIRIFLAGS", "-Zmiri-disable-isolation")])
    };
    let core = under_miri(&["-p", "koboshi-core"]);
    let memory = under_miri(&["-p", "koboshi-host", "--test", "memory"]);
    Report {
        passed: core.passed + memory.passed,
        failed: core.failed + memory.failed,
        text: core.text + &memory.text,
        misused: None,
    }
}
