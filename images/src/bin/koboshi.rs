//! The `koboshi` command.

use clap::Parser;
use koboshi_composer::command::{Arguments, run};

fn main() {
    std::process::exit(run(&Arguments::parse()));
}
