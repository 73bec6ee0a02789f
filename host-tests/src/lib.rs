//! Whole systems under test: what the suites of `cargo koboshi test` run.

pub mod bench;
pub mod campaign;
pub mod conformance;
pub mod fuel;
pub mod modules;
pub mod record_model;
pub mod scenario;
pub mod sh4;
pub mod soak;
pub mod suite;
pub mod suites;
pub mod swap;
pub mod system;
pub mod verdict;
pub mod wrong_driver;

pub use suites::suites;
