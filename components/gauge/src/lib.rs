//! Small components that call each other between marks: what is between two marks can be counted from outside.
//!
//! Job: a [`client`] that does each operation twice, once to warm up; a [`server`] that answers typed requests; a
//! [`driver`] that answers from the slot itself, waits for an interrupt and dies when it is told to; a [`program`] that has
//! part of a whole system rebooted; an [`idler`] that only makes an image larger.
//!
//! Rule: a mark is an empty line of the log. What lies between a mark's end and the next one's beginning is what was to be
//! done, and nothing else.
//!
//! It must never: do anything else between two marks, or anything in an order that is not [`STEPS`].
#![no_std]
// The one trap that no component needs is asked for by its own name.
#![cfg_attr(target_family = "wasm", allow(unsafe_code, reason = "a function of the platform is declared"))]

pub mod client;
pub mod driver;
pub mod gauge;
pub mod idler;
pub mod program;
pub mod server;

/// What the client does between its marks, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: what a mark itself costs.
    Mark,
    /// A trap that asks for nothing.
    Trap,
    /// A trap that asks for the time.
    Time,
    /// A doorbell of a peer that is ready already.
    Doorbell,
    /// A call without content, typed.
    Call,
    /// A call with 64 bytes each way, typed.
    CallBlock,
    /// A call without content, from slot to slot.
    Slots,
    /// A call with 64 bytes each way, from slot to slot.
    SlotsBlock,
    /// A reboot of the driver together with the server that stands before it, until both have answered again.
    Reboot,
}

/// All of them.
pub const STEPS: [Step; 9] = [
    Step::Mark,
    Step::Trap,
    Step::Time,
    Step::Doorbell,
    Step::Call,
    Step::CallBlock,
    Step::Slots,
    Step::SlotsBlock,
    Step::Reboot,
];

/// A mark.
#[inline(never)]
fn mark() {
    koboshi_runtime::platform::koboshi_log("");
}
