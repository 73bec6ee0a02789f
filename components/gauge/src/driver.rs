//! Answers from the slot itself, waits for an interrupt, and dies when it is told to.

use koboshi_interface_kit::Operation;
use koboshi_runtime::{Description, Device, Exit, Interrupt, Outcome, PortDescription, ServicePort, Side, Start};

use crate::{gauge, mark};

/// For the composer. Its device is the timer of an SH-4, of which it uses channel 2.
pub const DESCRIPTION: Description = Description {
    name: "driver",
    ports: &[PortDescription { name: "gauge", side: Side::Offers, interface: &gauge::INTERFACE }],
    devices: &["tmu"],
    interrupts: &["underflow"],
    kept: None,
};

// SH7751R manual, timer unit.
const TSTR: u32 = 0x04;
const TCOR2: u32 = 0x20;
const TCNT2: u32 = 0x24;
const TCR2: u32 = 0x28;
const UNIE: u16 = 1 << 5;
/// Ticks until the interrupt: enough for everybody to come to rest.
const TICKS: u32 = 3_000;

/// One incarnation.
pub async fn start(_: Start) -> Exit {
    let port = match ServicePort::open::<gauge::Port>(0) {
        Ok(port) => port,
        Err(unfit) => return unfit,
    };
    run(port, Device::open(0), Interrupt::open(0)).await
}

async fn run(mut port: ServicePort, timer: Device, line: Interrupt) -> Exit {
    loop {
        let taken = port.next_request().await;
        let operation = taken.message.header.tag;
        if operation == gauge::operation::fall::INDEX && !taken.replay {
            mark();
            // Nobody has this register, and nobody gets beyond it.
            let _nothing = Device::open(7).read32(0);
        }
        port.finish(taken.position, Outcome::Answer, taken.message.bytes());
        if operation == gauge::operation::fall::INDEX {
            mark();
        }
        if operation == gauge::operation::arm::INDEX {
            timer.write16(TCR2, UNIE);
            timer.write32(TCOR2, u32::MAX);
            timer.write32(TCNT2, TICKS);
            timer.write8(TSTR, timer.read8(TSTR) | 1 << 2);
            line.wait().await;
            mark();
            timer.write16(TCR2, 0);
            line.acknowledge();
        }
    }
}
