//! Whole systems under test: what the suites of `cargo koboshi test` run.

pub mod record_model;
pub mod system;
