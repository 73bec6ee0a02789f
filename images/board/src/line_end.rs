//! Lines' ends that two components of an image share: the Monitor's `application`, and the `program` that is its other side.
//!
//! Rule: the two are joined like any two components: by a port, whose doorbells each of them rings, and by an outbox each, in
//! which its half of the end lies behind the port's. So what one may write the other can only read.

use koboshi_host::image::{Connection, DeviceModelKind, Image, PortEnd, WhenGone};
use koboshi_interface_kit::interface;
use koboshi_sh4::tools::Trouble;
use koboshi_sh4_abi::line_end::{Face, WORDS};

use crate::request::Placed;

/// The port between the two sides.
mod doorbell {
    use super::interface;

    interface! {
        /// Nothing travels: whoever rings has changed something at the line's end.
        stream doorbell: u32, "Nothing: it is only rung.";
    }
}

/// Bytes that wait at a line's end, each way.
pub const LINE_END_ROOM: u32 = koboshi_sh4_abi::line_end::BYTES;

/// Bytes of a half.
pub(crate) const SIZE: u32 = (WORDS as u32 * 4).next_multiple_of(64);

/// A line's end, with the ports that its two sides ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineEnd {
    pub(crate) application: PortEnd,
    pub(crate) program: PortEnd,
    /// The devices' numbers at their owners.
    devices: [u8; 2],
}

impl LineEnd {
    /// The side that a component has, if it has one: its device's number, and its and the other one's end of the port.
    pub(crate) fn side(&self, component: usize) -> Option<(Face, u8, PortEnd, PortEnd)> {
        if self.application.component.index() == component {
            Some((Face::Application, self.devices[0], self.application, self.program))
        } else if self.program.component.index() == component {
            Some((Face::Program, self.devices[1], self.program, self.application))
        } else {
            None
        }
    }
}

/// The image with a port more for each line's end, and the ends.
///
/// # Errors
/// A side is missing, or a component has two.
pub(crate) fn joined(image: &Image, places: &[Option<Placed>]) -> Result<(Image, Vec<LineEnd>), Trouble> {
    let mut image = image.clone();
    let mut ends: Vec<LineEnd> = Vec::new();
    for device in &image.devices {
        let DeviceModelKind::Program(side) = &device.model else { continue };
        let is_it = |other: &&koboshi_host::image::ImageDevice| {
            other.name == side.of && matches!(other.model, DeviceModelKind::Application(_))
        };
        let Some(other) = image.devices.iter().find(is_it) else {
            return Err(Trouble::new(
                format!(
                    "`{}` is the program's side of `{}`, which is no application's end of a line",
                    device.name, side.of
                ),
                "name a device of kind \"application\".",
            ));
        };
        for owner in [device.owner, other.owner] {
            if ends.iter().any(|end| end.side(owner.index()).is_some()) {
                let name = image.components.get(owner.index()).map_or("?", |component| &component.name);
                return Err(Trouble::new(
                    format!("`{name}` is at two lines' ends"),
                    "on SH-4 a component can be at one: divide it.",
                ));
            }
        }
        // Behind the ports that it describes itself.
        let port = |component: koboshi_core::ComponentId| PortEnd {
            component,
            port: image.components.get(component.index()).map_or(0, |own| own.linked.description().ports.len() as u8),
        };
        let devices = [other.number, device.number];
        ends.push(LineEnd { application: port(other.owner), program: port(device.owner), devices });
    }
    // One that has a place is a device of the board's own.
    let lonely = image.devices.iter().zip(places).find(|(device, place)| {
        matches!(device.model, DeviceModelKind::Application(_))
            && place.is_none()
            && !ends.iter().any(|end| end.application.component == device.owner)
    });
    if let Some((lonely, _)) = lonely {
        return Err(Trouble::new(
            format!("nobody carries a program's bytes to `{}`", lonely.name),
            format!("add a console, with `[[device]]` of kind \"program\" and end = \"{}\".", lonely.name),
        ));
    }
    image.connections.extend(ends.iter().map(|end| Connection {
        interface: &doorbell::INTERFACE,
        near: end.application,
        far: end.program,
        slots: 2,
        routed: false,
        when_gone: WhenGone::Refuse,
    }));
    Ok((image, ends))
}
