//! A component that falls in one way, each time it is started: what really happens then is the platform's affair.
//!
//! It works where memory is the component's own and nothing else: linked into another program it would spoil that.
#![allow(unsafe_code, reason = "it touches what is not there")]

use core::fmt::Write;
use core::hint::{black_box, spin_loop};
use core::ptr;

use heapless::String;
use koboshi_interface_kit::Duration;
use koboshi_runtime::{Description, Exit, Start, configuration, log, sleep};
use serde::{Deserialize, Serialize};

/// What it says of itself.
pub const DESCRIPTION: Description =
    Description { name: "faller", ports: &[], devices: &[], interrupts: &[], kept: None };

/// How it falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fall {
    /// It calls itself without an end, each time with more on its stack.
    Stack,
    /// It never comes back.
    Loop,
    /// It writes at an address.
    Write(u32),
    /// It panics, at a line of this file.
    Panic,
    /// It takes what is not there from a slice.
    Index(u32),
    /// It comes back.
    Exit,
}

/// Changes as it lives. With memory that is new each time it begins with the same.
static mut SEEN: [u32; 2] = [0, 7];

/// One incarnation: it says what it finds in its variables, changes them, and falls in its second turn.
///
/// # Panics
/// If it is told to.
pub async fn start(_: Start) -> Exit {
    let Some(fall) = configuration::<Fall>() else { return Exit::Unfit("it is not told how to fall") };
    let place = &raw mut SEEN;
    // SAFETY: a component has one thread.
    let [zero, seven] = unsafe { place.read_volatile() };
    let mut line = String::<40>::new();
    // It is short enough.
    let _ = write!(line, "found {zero} and {seven}");
    log(&line);
    // SAFETY: as above.
    unsafe { place.write_volatile([zero + 1, seven + 1]) };
    sleep(Duration::from_micros(10)).await;
    match fall {
        Fall::Stack => _ = black_box(deeper(black_box(1))),
        Fall::Loop => loop {
            spin_loop();
        },
        // SAFETY: it is not safe: whoever runs this wants to see what becomes of it.
        Fall::Write(address) => unsafe { ptr::with_exposed_provenance_mut::<u32>(address as usize).write_volatile(0) },
        Fall::Panic => panic!("as it was told"),
        Fall::Index(at) => _ = black_box(few()[at as usize]),
        Fall::Exit => {}
    }
    Exit::Done
}

fn few() -> &'static [u32] {
    black_box(&[1, 2, 3])
}

/// Four kilobytes at each step, and many more steps than there is room for.
fn deeper(number: u32) -> u32 {
    let mut room = [number; 1_024];
    black_box(&mut room);
    let below = if number == u32::MAX { 0 } else { deeper(number + 1) };
    black_box(&room)[number as usize % 1_024] + below
}
