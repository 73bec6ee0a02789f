//! All that the author of a component imports: ports, kept state, devices, windows, time and the log.
//!
//! Job: turn the rules of the kernel into types that a driver can be written in on one page.
//!
//! Rules kept here: the order of stores of the record (see `docs/guarantees.md`), reserve-then-move, and that every place
//! where a component touches the outside is a [`platform::Point`], so that a test can end it exactly there.
//!
//! It must never: hold state in a `static`, know a platform, or keep a position anywhere but in the component's own half.
#![no_std]

pub mod authority;
pub mod client;
pub mod describe;
pub mod device;
pub mod executor;
pub mod kept;
pub mod knock;
pub mod life;
pub mod migrate;
pub mod platform;
pub mod server;
pub mod stream;
pub mod time;

mod end;

pub use client::RequestPort;
pub use describe::{Description, KeptDescription, PortDescription, Side};
pub use device::{Device, Interrupt, acknowledge, window};
pub use embassy_futures::join::{join, join3, join4};
pub use embassy_futures::select::{Either, Either3, select, select3};
pub use kept::Kept;
pub use koboshi_core::life::{Facts, Fault, State};
pub use koboshi_core::record::Outcome;
pub use koboshi_interface_kit as kit;
pub use life::{Exit, Start};
pub use migrate::{Migration, Way, WayBack};
pub use server::ServicePort;
pub use stream::{Publisher, Subscriber};
pub use time::{Duration, Instant, now, sleep, sleep_until};

/// Reads the component's configuration: the part of the image's manifest that is its own, in `postcard` encoding.
///
/// `None` if the image gives none, or one of another shape.
#[must_use]
pub fn configuration<T: serde::Deserialize<'static>>() -> Option<T> {
    match postcard::take_from_bytes(platform::koboshi_configuration()) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}

/// Writes a line to the log, cut at the platform's limit.
pub fn log(text: &str) {
    platform::koboshi_log(text);
}
