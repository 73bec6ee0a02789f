//! `koboshi bench`: measures what recovery and messages cost.

/// Arguments of `koboshi bench`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs the measurements, and gives the exit code.
pub(super) fn run(_json: bool) -> i32 {
    super::complain("there is nothing to measure in this build.", "build the whole workspace, and try again.");
    super::MISUSED
}
