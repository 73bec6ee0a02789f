//! Runs all programs on this machine, with the seeds that are its arguments, and writes what they write: a line
//! `== NAME SEED`, and the text.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;

use koboshi_sh4_field::{PANICS, PROGRAMS, SILENT};

/// What the program writes that runs, also while it panics.
static TEXT: Mutex<String> = Mutex::new(String::new());

struct Console;

impl std::fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        TEXT.lock().unwrap().push_str(text);
        Ok(())
    }
}

fn main() -> ExitCode {
    let seeds: Result<Vec<u32>, _> = std::env::args().skip(1).map(|seed| seed.parse()).collect();
    let Ok(seeds) = seeds else {
        eprintln!("seeds are numbers");
        return ExitCode::FAILURE;
    };
    std::panic::set_hook(Box::new(|info| {
        let _ = writeln!(Console, "{info}");
    }));
    for seed in seeds {
        for (kind, programs) in [("field", PROGRAMS), ("panic", PANICS)] {
            for (name, program) in programs {
                let ended = catch_unwind(AssertUnwindSafe(|| program(seed, &mut Console)));
                let text = std::mem::take(&mut *TEXT.lock().unwrap());
                println!("== {kind}_{name} {seed}\n{text}== {}", if ended.is_ok() { "end" } else { "panic" });
            }
        }
        for (name, program) in SILENT {
            println!("== silent_{name} {seed}\n{:016x}\n== end", program(seed));
        }
    }
    ExitCode::SUCCESS
}
