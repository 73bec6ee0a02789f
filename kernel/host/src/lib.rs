//! Koboshi in one process, without privileges: for tests under virtual time, and for a person to try on the real clock.
//!
//! Job: give components their turns, models of their devices, and platform time. Line time is platform time: a stalled
//! process stalls its line.
//!
//! It must never: let anything but the image, the seed and the plan decide what happens under the virtual clock, or let
//! an ended incarnation reach anything.

pub mod application;
pub mod device;
pub mod image;
pub mod journal;
pub mod linked;
pub mod machine;
pub mod module;
pub mod ns16550;
pub mod scif;
pub mod status;
pub mod strike;
pub mod testing;
pub mod watchdog;
pub mod wire;

mod assembly;
mod fitness;
mod lend;
mod platform;
mod world;
