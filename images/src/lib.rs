//! Composes images from manifests, runs them, and tests them: the library behind the `koboshi` command.
//!
//! Job: read manifests ([`manifest`]), prove that they fit together ([`compose()`]), and say of everything that is wrong
//! where it is, whose fault it is and what would be right ([`problem`]).
//!
//! It must never: hold policy or mechanism of its own. What an image does is up to its components.

pub mod command;
mod compose;
mod gate;
pub mod manifest;
mod margins;
mod policy;
mod probe;
pub mod problem;
mod reader;
pub mod registry;
pub mod run;
pub mod units;

pub use compose::{Change, Composed, compose, compose_changed};
pub use reader::At;

/// The image that `koboshi demo` boots, embedded so that the command runs from anywhere.
pub const HOST_IMAGE: (&str, &str) = ("images/host.toml", include_str!("../host.toml"));

/// Runs the command with these packages beside Koboshi's own, and gives its exit code: what a probe does.
#[must_use]
pub fn main_with(packages: Vec<registry::Package>) -> i32 {
    registry::add(packages);
    command::run(&<command::Arguments as clap::Parser>::parse())
}
