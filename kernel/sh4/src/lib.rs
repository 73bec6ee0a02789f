//! The kernel on SH-4 and SH-4A: traps, address spaces, interrupts and time, under the rules of `koboshi_core`.
//!
//! Job: carry out what the core decides. Components run in user mode, each in an address space of its own; the kernel runs
//! with BL = 1 from each trap to its end, on one stack, in P1 and P2, which need no TLB.
//!
//! Rules kept here: every operation is bounded; nothing in the kernel can fault, for with BL = 1 a fault resets the
//! machine; an address of a component's is followed only after it was found in one of its regions.
//!
//! It must never: hold policy, or a component's memory by anything but its physical address.
//!
//! Where things lie: a component's addresses are physical ones, seen through P0. So the kernel reaches the same memory in
//! P1, at the address | 0x8000_0000, both have the same cache lines, and no address means two things. Only the program and the
//! variables of who may be swapped are seen elsewhere, at one address for both rooms, and of the same colour in the caches.
#![no_std]
#![allow(
    unsafe_code,
    reason = "device registers, contexts that assembler stores, and memory at addresses of the composer"
)]

mod interrupts;
mod machine;
mod memory;
mod plan;
mod record;
mod registers;
mod time;
mod trace;
mod watchdog;

pub use interrupts::{Controller, Group};
pub use machine::boot::{Storage, boot};
pub use machine::{Context, Machine};
pub use plan::{ComponentPlan, LinePlan, Plan, PortEnd, PortPlan, Region, Reset, Rights, Rooms, SafeWrite, Width};
/// Where generated tables keep their [`Storage`].
pub use static_cell::ConstStaticCell;
pub use time::Clock;
pub use watchdog::Watchdog;
