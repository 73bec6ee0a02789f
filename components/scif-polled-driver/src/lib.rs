//! Drives one SCIF without its interrupts, for boards on which they are taken: it looks often enough that no FIFO fills up.
//!
//! Otherwise it is `components/scif-driver`: the same ports and the same kept state, the same registers, the same configuration.
//! Either can take the other's place at any point, and nobody at the other ends of the ports sees a difference.
#![no_std]

use koboshi_interfaces::received;
use koboshi_interfaces::serial::{self, Line};
use koboshi_runtime::life::{Exit, Start};
use koboshi_runtime::{
    Description, Device, Kept, KeptDescription, PortDescription, Publisher, ServicePort, Side, configuration,
};
use koboshi_scif_driver::device::{Board, Scif};
use koboshi_serial_line::{Io, KEPT, run};

/// The driver, for the composer.
pub const DESCRIPTION: Description = Description {
    name: "scif-polled-driver",
    ports: &[
        PortDescription { name: "serial", side: Side::Offers, interface: &serial::INTERFACE },
        PortDescription { name: "received", side: Side::Offers, interface: &received::INTERFACE },
    ],
    devices: &["scif"],
    interrupts: &[],
    kept: Some(KeptDescription::of::<Line>()),
};

/// One incarnation, from what the image gives it.
pub async fn start(start: Start) -> Exit {
    match io() {
        // Those that its predecessor has enabled it switches off before it waits.
        Ok(io) => run(start, io, Kept::<Line>::open(KEPT), []).await,
        Err(unfit) => unfit,
    }
}

/// What the image gives the driver.
fn io() -> Result<Io<Scif>, Exit> {
    let (serial, received) = (ServicePort::open::<serial::Port>(0)?, Publisher::open(1)?);
    let board: Board = configuration().ok_or(Exit::Unfit("the driver's board is not described"))?;
    Ok(Io { serial, received, uart: Scif::polled(Device::open(0), board), line: board.line })
}
