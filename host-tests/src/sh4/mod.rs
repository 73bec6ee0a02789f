//! Compiled WebAssembly on the emulated SH-4 board.

pub mod cost;
