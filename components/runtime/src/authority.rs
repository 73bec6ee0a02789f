//! What a component with rights over others may ask and tell the kernel: facts, incidents and commands.
//!
//! The kernel refuses those who have no such right; an incarnation that has ended commands nothing.

pub use koboshi_core::incident::{CutShort, Incident, Noticed};
pub use koboshi_core::kernel::{Command, Denied, Version};
pub use koboshi_core::knock::Knock;
pub use koboshi_core::life::{HISTORY, History};
pub use koboshi_core::place::{Place, Registers};
pub use koboshi_core::{ComponentId, MAX_COMPONENTS};

use koboshi_core::life::Facts;

use crate::platform::{
    Point, koboshi_command, koboshi_down, koboshi_facts, koboshi_incident, koboshi_put, koboshi_registers, step,
};

/// The facts about a component.
///
/// # Errors
/// [`Denied`] without the right, or for no such component.
pub fn facts(of: ComponentId) -> Result<Facts, Denied> {
    koboshi_facts(of)
}

/// The components about whom something may have to be decided, as bits of [`ComponentId::bit`]: those who are down, and
/// neither stopped nor given up. Who may not read facts is told of all.
#[must_use]
pub fn down() -> u64 {
    koboshi_down()
}

/// The first incident with this number or a later one that is remembered.
#[must_use]
pub fn incident(number: u32) -> Option<Incident> {
    koboshi_incident(number)
}

/// What the processor held when a component's last incarnation ended.
#[must_use]
pub fn registers(of: ComponentId) -> Option<Registers> {
    koboshi_registers(of)
}

/// Gives a command about a component.
///
/// # Errors
/// [`Denied`], and nothing happened.
pub fn command(target: ComponentId, command: Command) -> Result<(), Denied> {
    let mut done = Err(Denied::Right);
    step(Point::Command, || done = koboshi_command(target, command));
    done
}

/// Puts bytes into the place of a component's code that is not in use, so far behind its beginning. Offset and length are
/// multiples of 4. What was there is gone, whether or not all of it is done.
///
/// # Errors
/// [`Denied`]: [`Denied::Unknown`] where the platform takes no code from components, [`Denied::State`] while a swap is under
/// way, [`Denied::Right`] without the right to load, or outside of the place.
pub fn put(target: ComponentId, offset: u32, bytes: &[u8]) -> Result<(), Denied> {
    let mut done = Err(Denied::Right);
    step(Point::Command, || done = koboshi_put(target, offset, bytes));
    done
}
