//! Drives one SCIF: sends what `serial` asks, publishes what arrives as `received`, neither waiting for the other.
//!
//! How it does that is written down once for all serial lines, in `components/serial-line`; the registers are in `device.rs`.
#![no_std]

pub mod device;

use koboshi_interfaces::received;
use koboshi_interfaces::serial::{self, Line};
use koboshi_runtime::kit::Key;
use koboshi_runtime::life::{Exit, Start};
use koboshi_runtime::{
    Description, Device, Interrupt, Kept, KeptDescription, PortDescription, Publisher, ServicePort, Side, configuration,
};
use koboshi_serial_line as line;

use device::{Board, Scif};

pub use koboshi_serial_line::LONGEST_BREAK;

/// The key of what the driver keeps: how the line is set.
pub const KEPT: Key = line::KEPT;

/// The driver, for the composer.
pub const DESCRIPTION: Description = Description {
    name: "scif-driver",
    ports: &[
        PortDescription { name: "serial", side: Side::Offers, interface: &serial::INTERFACE },
        PortDescription { name: "received", side: Side::Offers, interface: &received::INTERFACE },
    ],
    devices: &["scif"],
    interrupts: &["error", "received", "break", "room"],
    kept: Some(KeptDescription::of::<Line>()),
};

/// One incarnation, from what the image gives it.
pub async fn start(start: Start) -> Exit {
    match io() {
        Ok(io) => line::run(start, io, Kept::<Line>::open(KEPT), [0, 1, 2, 3].map(Interrupt::open)).await,
        Err(unfit) => unfit,
    }
}

/// What the image gives the driver.
fn io() -> Result<line::Io<Scif>, Exit> {
    let (serial, received) = (ServicePort::open::<serial::Port>(0)?, Publisher::open(1)?);
    let board: Board = configuration().ok_or(Exit::Unfit("the driver's board is not described"))?;
    Ok(line::Io { serial, received, uart: Scif::new(Device::open(0), board), line: board.line })
}
