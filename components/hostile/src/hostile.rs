//! The hostile component.

use koboshi_interfaces::control;
use koboshi_runtime::kit::Key;
use koboshi_runtime::{Description, KeptDescription, PortDescription, Side};
use postcard::experimental::max_size::MaxSize;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

use crate::exchange;

#[cfg(feature = "armed")]
pub use crate::carry_out::start;

/// Its port to the answerer.
pub const ANSWERER: u8 = 0;
/// Its port to the asker.
pub const ASKER: u8 = 1;
/// Its port to the restart manager.
pub const CONTROL: u8 = 2;

/// The key of what it keeps.
pub const KEPT: Key = Key::of_state::<Place>();

/// The hostile component, for the composer.
pub const DESCRIPTION: Description = Description {
    name: "hostile",
    ports: &[
        PortDescription { name: "answerer", side: Side::Uses, interface: &exchange::INTERFACE },
        PortDescription { name: "asker", side: Side::Offers, interface: &exchange::INTERFACE },
        PortDescription { name: "control", side: Side::Uses, interface: &control::INTERFACE },
    ],
    devices: &[],
    interrupts: &[],
    kept: Some(KeptDescription::of::<Place>()),
};

/// Which attack is next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub struct Place {
    /// Its number, from 0 on.
    pub next: u16,
}
