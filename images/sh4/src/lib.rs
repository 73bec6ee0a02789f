//! Rust on SH-4, for which no Rust compiler has a back end: rustc makes WebAssembly, this crate makes C of it, a
//! SuperH GCC makes machine code of that.
//!
//! WebAssembly is a portable assembler here. Nothing interprets it, its addresses are real addresses, and its sandbox is
//! not the isolation.
//!
//! | step | where |
//! | --- | --- |
//! | find compiler, GCC, binutils, emulator; refuse a GCC that miscompiles | [`tools`] |
//! | a crate to a module | [`program`] |
//! | a module to C | [`translate`] |
//! | C to an object, to an ELF at given addresses, to a raw image | [`link`] |
//! | the worst case of both stacks | [`stack`] |
//! | run it on the emulated R2D-PLUS board | [`board`] |
//!
//! It must never: link machine code that an untested compiler has made.

pub mod board;
pub mod build;
pub mod lines;
pub mod link;
pub mod place;
pub mod program;
pub mod stack;
pub mod tools;
pub mod translate;
