//! The interfaces of Koboshi's own components, one file each, as tables.
//!
//! Its rule: a table and its messages, and nothing that acts. A message owns what it holds and means the same on every
//! platform. It must never import a component, a platform or the kernel: both sides of a port import this.
//!
//! | interface    | who serves or fills it | who uses it                            |
//! | ------------ | ---------------------- | -------------------------------------- |
//! | [`serial`]   | a serial driver        | clients of the line, through SOS       |
//! | [`received`] | a serial driver        | clients of the line, through SOS       |
//! | [`control`]  | the restart manager    | the Monitor                            |
//! | [`health`]   | the restart manager    | whoever shows how the components are   |
//! | [`log`]      | any component          | the Monitor                            |
//! | [`loading`]  | the loader             | the console                            |
#![no_std]

mod component;

pub mod control;
pub mod health;
pub mod loading;
pub mod log;
pub mod received;
pub mod serial;

pub use component::{ComponentId, Incarnation};

use koboshi_interface_kit::Interface;

/// All interfaces of this crate, as data.
pub const ALL: [Interface; 6] =
    [serial::INTERFACE, received::INTERFACE, control::INTERFACE, health::INTERFACE, log::INTERFACE, loading::INTERFACE];
