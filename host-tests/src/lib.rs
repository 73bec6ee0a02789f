//! Whole systems under test: what the suites of `cargo koboshi test` run.

pub mod campaign;
pub mod record_model;
pub mod scenario;
pub mod soak;
pub mod suite;
pub mod system;
pub mod verdict;
pub mod wrong_driver;

/// All suites, in the order in which `cargo koboshi test` runs them.
#[must_use]
pub fn suites() -> &'static [suite::Suite] {
    &[]
}
