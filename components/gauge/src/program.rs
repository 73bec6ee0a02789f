//! Stands in a console's place: sends a byte, has components rebooted by the restart manager, and sends another one.

use core::future::pending;

use koboshi_interfaces::{control, received, serial};
use koboshi_runtime::{
    Description, Device, Duration, Exit, PortDescription, RequestPort, Side, Start, configuration, sleep,
};

use crate::mark;

/// The place of the port to the restart manager.
pub const CONTROL: u8 = 2;

/// The place of the port of whoever was joined to the restart manager instead. He is not answered.
pub const ASKED: u8 = 3;

/// The byte before the reboot, which also makes everything ready.
pub const BEFORE: u8 = b'b';

/// The byte after it.
pub const AFTER: u8 = b'a';

/// For the composer. The first two ports are a console's, and not used.
pub const DESCRIPTION: Description = Description {
    name: "program",
    ports: &[
        PortDescription { name: "serial", side: Side::Uses, interface: &serial::INTERFACE },
        PortDescription { name: "received", side: Side::Uses, interface: &received::INTERFACE },
        PortDescription { name: "control", side: Side::Uses, interface: &control::INTERFACE },
        PortDescription { name: "asked", side: Side::Offers, interface: &control::INTERFACE },
    ],
    devices: &["program"],
    interrupts: &[],
    kept: None,
};

/// Of the device `program`: gives the line one byte.
const PUSH: u32 = 0x0C;

/// Until everything has come to rest.
const REST: Duration = Duration::from_millis(5);

/// Does it, with the group whose number the image gives.
pub async fn start(_: Start) -> Exit {
    let Some(group) = configuration() else { return Exit::Unfit("the group to be rebooted is not named") };
    let control = match RequestPort::open::<control::Port>(CONTROL) {
        Ok(port) => control::Client::new(port),
        Err(unfit) => return unfit,
    };
    run(group, control, Device::open(0)).await
}

async fn run(group: u8, mut control: control::Client<RequestPort>, line: Device) -> Exit {
    sleep(REST).await;
    line.write32(PUSH, BEFORE.into());
    sleep(REST).await;
    mark();
    let _rebooted = control.reboot(control::Reboot { group, at_or_before: u32::MAX }).await;
    line.write32(PUSH, AFTER.into());
    pending().await
}
