//! `koboshi test` and `koboshi bench` in a command that was built without them (feature `suites`): who has them.

use super::{MISUSED, complain};

/// Whatever was asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Not read here
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    _rest: Vec<String>,
}

/// Says which command has it.
pub(in crate::command) fn run(_: &Arguments) -> i32 {
    complain(
        "this command was built for the components of a workspace, without Koboshi's own tests and measurements.",
        "ask for them in a checkout of Koboshi, as `cargo koboshi test` or `cargo koboshi bench`.",
    );
    MISUSED
}

/// `koboshi test`.
pub(super) mod test {
    pub(crate) use super::Arguments;
    pub(in crate::command) use super::run;
}

/// `koboshi bench`.
pub(super) mod bench {
    pub(crate) use super::Arguments;
    pub(in crate::command) use super::run;

    pub(in crate::command) const AFTER_HELP: &str = "This command was built without it.";
}
