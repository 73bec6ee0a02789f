//! What GCC calls where an SH-4 has no instruction, in place of the C parts of libgcc, which nobody knows to be right.
//!
//! Most of it is in Rust's own `compiler_builtins`, which every program has: the linker is asked to export it, see
//! `images/sh4/src/program/helpers.rs`. Here is what is not there; what is there as the very instruction that it should be in place
//! of; and what is there with a use of the module's own stack.
//!
//! The rules: integers only; no instruction of WebAssembly that becomes a call of a function of this module, which calls
//! that instruction again. It must never: use memory of its own. This module has no data and no stack.

#![no_std]
// A loop that copies must not become a call of memcpy, which it is.
#![no_builtins]

mod float;
mod integer;
mod memory;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
