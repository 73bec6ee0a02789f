//! Whether an image can run: what the composer should have prevented, looked at once more before anything is made.
//!
//! Rule: what is found here is named, with its place in the image. After it nothing wraps, and nothing is refused at run
//! time that was refused here.

use koboshi_core::ring::Geometry;
use koboshi_core::{MAX_COMPONENTS, PortId};
use koboshi_interface_kit::Kind;

use crate::device::{BadAccess, Width};
use crate::image::{Connection, DeviceModelKind, Image};

/// Interrupt lines in one image: as many as a `LineId` can name.
const MOST_LINES: usize = 1 << u8::BITS;

/// Ports in one image: as many as a [`PortId`] can name, but for the one that names none.
const MOST_PORTS: usize = PortId::NONE.0 as usize;

/// Why an image cannot run. Whoever composed it is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// Too many components.
    #[error("{found} components; an image holds at most {MAX_COMPONENTS}")]
    Components {
        /// How many there are.
        found: usize,
    },
    /// Too many connections.
    #[error("{found} connections; an image holds at most {MOST_PORTS}")]
    Ports {
        /// How many there are.
        found: usize,
    },
    /// Too many interrupt lines.
    #[error("{found} interrupt lines; an image holds at most {MOST_LINES}")]
    Lines {
        /// How many there are.
        found: usize,
    },
    /// A connection that names nothing, or has slots that no ring can have.
    #[error("connection {number} ({path}) cannot be made: {why}")]
    Connection {
        /// Its place in the image.
        number: usize,
        /// Its interface.
        path: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// A device that only a board has.
    #[error("device {device} is the program's side of a line's end, which is held from outside of an image here")]
    ProgramSide {
        /// The device's name.
        device: String,
    },
    /// A safe action that the device refuses.
    #[error(
        "the safe action of device {device} cannot be carried out: its {width:?} write at offset {offset:#x}: {why}"
    )]
    SafeAction {
        /// The device's name.
        device: String,
        /// Where it writes.
        offset: u32,
        /// How wide.
        width: Width,
        /// What the device has to say to that.
        why: BadAccess,
    },
}

/// Looks at all that can be wrong with an image but for the ends of its connections.
pub(crate) fn check(image: &Image) -> Result<(), ImageError> {
    let found = image.components.len();
    if found > MAX_COMPONENTS {
        return Err(ImageError::Components { found });
    }
    let found = image.connections.len();
    if found > MOST_PORTS {
        return Err(ImageError::Ports { found });
    }
    let lines = image.components.iter().map(|component| component.linked.description().interrupts.len());
    let found = lines.sum();
    if found > MOST_LINES {
        return Err(ImageError::Lines { found });
    }
    for device in &image.devices {
        if matches!(device.model, DeviceModelKind::Program(_)) {
            return Err(ImageError::ProgramSide { device: device.name.clone() });
        }
        let mut model = device.model.clone();
        for write in &device.safe {
            model.registers().write(write.offset, write.width, write.value, 0).map_err(|why| {
                let (offset, width) = (write.offset, write.width);
                ImageError::SafeAction { device: device.name.clone(), offset, width, why }
            })?;
        }
    }
    Ok(())
}

/// The shape of a connection's rings.
pub(crate) fn geometry(number: usize, connection: &Connection) -> Result<Geometry, ImageError> {
    let error = |why| ImageError::Connection { number, path: connection.interface.path, why };
    if !connection.slots.is_power_of_two() {
        return Err(error("the number of slots is not a power of two"));
    }
    if connection.interface.kind == Kind::Service && connection.slots > 64 {
        return Err(error("a service has at most 64 slots"));
    }
    Geometry::new(connection.slots, connection.interface.payload)
        .ok_or_else(|| error("its messages are larger than a slot can be, or it has more than 1,024 slots"))
}
