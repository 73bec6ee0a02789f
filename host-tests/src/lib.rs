//! Whole systems under test: what the suites of `cargo koboshi test` run.

pub mod campaign;
pub mod record_model;
pub mod scenario;
pub mod system;
pub mod verdict;
