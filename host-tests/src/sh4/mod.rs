//! Compiled WebAssembly on the emulated SH-4 board, held against what it ought to compute, and what it costs.
//!
//! | suite | what says what is right | where |
//! | --- | --- | --- |
//! | `sh4-spec` | the official WebAssembly tests | [`spec`], [`script`] |
//! | `sh4-field` | the same Rust on this machine | [`field`] |
//! | `sh4-random` | an interpreter, given random modules | [`random`], [`generate`], [`oracle`] |
//! | `sh4-serial` | numbered bytes, at both ends of the board's serial line, while its driver is knocked over | [`serial`] |
//! | `sh4-conformance` | the rules of `docs/guarantees.md`: Koboshi itself, on the board | [`on_board`] |
//! | `sh4-reset` | what is known after a reset of the machine | [`reset`] |
//! | `sh4-isolation` | a table of attacks, each with the end that it has to have | [`isolation`] |
//!
//! Both make a [`plan`]: instances of modules, and rows of calls with what each has to give. The plan's C [`driver`] goes
//! into one image with the translated modules, and the [`machine`] runs it. What Rust costs beside C: [`cost`]. What Koboshi
//! itself costs there: [`gauge`].
//!
//! The rule: what was not run is counted, with the reason. What the board did not come to has failed.

pub mod cost;
pub mod driver;
pub mod field;
pub mod gauge;
pub mod generate;
pub mod isolation;
pub mod machine;
pub mod on_board;
pub mod oracle;
pub mod plan;
pub mod random;
pub mod reset;
pub mod script;
pub mod serial;
pub mod spec;
