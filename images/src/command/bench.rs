//! `koboshi bench`: measures what recovery and messages cost.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use koboshi_host_tests::bench::{self, Options};
use koboshi_host_tests::sh4::{cost, gauge};

use super::{FINE, STOPPED, WRONG, listen_for_stop, print_out, stop_wanted};
use crate::compose;
use crate::registry::packages;

pub(super) const AFTER_HELP: &str = "Exit codes:
  0    everything was measured; an aim that is missed is shown as missed
  1    it could not be measured
  130  stopped by Ctrl-C";

/// Arguments of `koboshi bench`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What is measured
    #[arg(value_enum, default_value_t = What::Host)]
    what: What,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Each measurement is shorter: for a first look
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Messages and recovery on this machine
    Host,
    /// Rust beside C on SH-4, in instructions of the emulated board and bytes of code
    Sh4,
    /// What the kernel for SH-4 and a whole system do, in instructions of the emulated board and bytes
    Board,
}

/// Runs the measurements, and gives the exit code.
pub(super) fn run(arguments: &Arguments) -> i32 {
    listen_for_stop();
    match arguments.what {
        What::Host => host(arguments),
        What::Sh4 => sh4(arguments),
        What::Board => board(arguments),
    }
}

/// The whole system that is measured on the emulated board.
const SYSTEM: (&str, &str) = ("images/r2d.toml", include_str!("../../r2d.toml"));

/// What the kernel for SH-4 costs. It is exact, so there is no shorter form of it but a smaller image.
fn board(arguments: &Arguments) -> i32 {
    let (name, text) = SYSTEM;
    let composed = match compose(name, text, &packages()) {
        Ok(composed) => composed,
        Err(problems) => {
            super::show_problems(&problems);
            return WRONG;
        }
    };
    let measured = super::build::parts(&composed).and_then(|(sources, devices)| {
        gauge::measure(&gauge::System { image: composed.image, sources, devices }, arguments.quick)
    });
    match measured {
        Ok(report) if arguments.json => super::check::print_json(&report, FINE),
        Ok(report) => {
            print_out(&report.to_string());
            FINE
        }
        Err(trouble) => {
            // Ctrl-C ends what was started too, perhaps before it is heard here.
            std::thread::sleep(Duration::from_millis(100));
            if stop_wanted() {
                return STOPPED;
            }
            super::complain(&trouble.what, &trouble.remedy);
            WRONG
        }
    }
}

/// What Rust costs on SH-4, in each form.
fn sh4(arguments: &Arguments) -> i32 {
    let forms = if arguments.quick { &cost::FORMS[..1] } else { &cost::FORMS };
    let mut measured = Vec::new();
    for form in forms {
        match cost::measure(*form, &super::needs::cache(std::path::Path::new("."))) {
            Ok(cost) => measured.push(cost),
            Err(trouble) => {
                // Ctrl-C ends what was started too, perhaps before it is heard here.
                std::thread::sleep(Duration::from_millis(100));
                if stop_wanted() {
                    return STOPPED;
                }
                super::complain(&trouble.what, &trouble.remedy);
                return WRONG;
            }
        }
        if stop_wanted() {
            return STOPPED;
        }
    }
    let code = if measured.iter().all(cost::Cost::is_right) { FINE } else { WRONG };
    if arguments.json {
        return super::check::print_json(&measured, code);
    }
    for cost in &measured {
        say!("{cost}");
    }
    code
}

fn host(arguments: &Arguments) -> i32 {
    let target = if arguments.json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template("{spinner} measuring: {pos} of {len} {elapsed}");
    let bar = ProgressBar::with_draw_target(Some(0), target)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(250));
    let options = if arguments.quick { Options::quick() } else { Options::default() };
    let report = bench::run(&options, &|done, of| {
        if stop_wanted() {
            // A measurement that was cut short says nothing: there is no table to show.
            std::process::exit(STOPPED);
        }
        bar.set_length(of);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    if !arguments.json {
        print_out(&report.to_string());
        return FINE;
    }
    match serde_json::to_string_pretty(&report) {
        Ok(text) => {
            say!("{text}");
            FINE
        }
        Err(error) => {
            super::complain(&format!("the numbers cannot be printed: {error}."), "leave out --json.");
            WRONG
        }
    }
}
