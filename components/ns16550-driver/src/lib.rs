//! Drives one 16550A UART: sends what `serial` asks, publishes what arrives as `received`, neither waiting for the other.
//!
//! How it does that is written down once for all serial lines, in `components/serial-line`; the registers, and what makes this
//! device harder than others, are in `device.rs`.
#![no_std]

pub mod device;

use koboshi_interfaces::received;
use koboshi_interfaces::serial::{self, Line};
use koboshi_runtime::life::{Exit, Start};
use koboshi_runtime::{
    Description, Device, Interrupt, Kept, KeptDescription, PortDescription, Publisher, ServicePort, Side, configuration,
};
use koboshi_serial_line::{Io, KEPT, run};

use device::{Board, Ns16550};

/// The driver, for the composer.
pub const DESCRIPTION: Description = Description {
    name: "ns16550-driver",
    ports: &[
        PortDescription { name: "serial", side: Side::Offers, interface: &serial::INTERFACE },
        PortDescription { name: "received", side: Side::Offers, interface: &received::INTERFACE },
    ],
    devices: &["uart"],
    interrupts: &["uart"],
    kept: Some(KeptDescription::of::<Line>()),
};

/// One incarnation, from what the image gives it.
pub async fn start(start: Start) -> Exit {
    match io() {
        Ok(io) if start == Start::Fresh && !io.uart.is_there() => {
            Exit::Unfit("no UART with a scratch register answers")
        }
        Ok(io) => run(start, io, Kept::<Line>::open(KEPT), [Interrupt::open(0)]).await,
        Err(unfit) => unfit,
    }
}

/// What the image gives the driver.
fn io() -> Result<Io<Ns16550>, Exit> {
    let (serial, received) = (ServicePort::open::<serial::Port>(0)?, Publisher::open(1)?);
    let board: Board = configuration().ok_or(Exit::Unfit("the driver's board is not described"))?;
    Ok(Io { serial, received, uart: Ns16550::new(Device::open(0), board), line: board.line })
}
