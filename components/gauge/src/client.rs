//! Does everything that is measured, one after the other.

use core::future::pending;

use koboshi_interface_kit::Operation;
use koboshi_interface_kit::wire::Bytes;
use koboshi_interfaces::control;
use koboshi_runtime::platform::{koboshi_now, koboshi_ring};
use koboshi_runtime::{Description, Exit, PortDescription, RequestPort, Side, Start, time::until};

use crate::{STEPS, Step, gauge, mark};

/// The place of the port to one who has a lower priority than the client.
const LOWER: u8 = 2;

/// For the composer.
pub const DESCRIPTION: Description = Description {
    name: "client",
    ports: &[
        PortDescription { name: "typed", side: Side::Uses, interface: &gauge::INTERFACE },
        PortDescription { name: "slots", side: Side::Uses, interface: &gauge::INTERFACE },
        PortDescription { name: "lower", side: Side::Uses, interface: &gauge::INTERFACE },
        PortDescription { name: "control", side: Side::Uses, interface: &control::INTERFACE },
    ],
    devices: &[],
    interrupts: &[],
    kept: None,
};

#[cfg(target_family = "wasm")]
unsafe extern "C" {
    safe fn koboshi_trap_nothing();
    safe fn koboshi_trap_ring(ports: u32);
}

/// Elsewhere there is no trap to ask for by name.
#[cfg(not(target_family = "wasm"))]
fn koboshi_trap_nothing() {}

/// Elsewhere a doorbell is a function of the platform.
#[cfg(not(target_family = "wasm"))]
fn koboshi_trap_ring(_ports: u32) {
    koboshi_ring(LOWER);
}

/// Opens what the image gives, and measures.
pub async fn start(_: Start) -> Exit {
    let open = || {
        Ok(Io {
            typed: gauge::Client::new(RequestPort::open::<gauge::Port>(0)?),
            slots: RequestPort::open::<gauge::Port>(1)?,
            control: control::Client::new(RequestPort::open::<control::Port>(3)?),
        })
    };
    match open() {
        Ok(io) => run(io).await,
        Err(unfit) => unfit,
    }
}

struct Io {
    typed: gauge::Client<RequestPort>,
    slots: RequestPort,
    control: control::Client<RequestPort>,
}

async fn run(mut io: Io) -> Exit {
    for step in STEPS {
        if step != Step::Reboot {
            // The first time fills the TLB, and makes ready who has a lower priority.
            io.step(step).await;
        }
        mark();
        io.step(step).await;
        mark();
    }
    // The driver's own marks: an interrupt while everybody waits, and a death.
    for operation in [gauge::operation::arm::INDEX, gauge::operation::nothing::INDEX, gauge::operation::fall::INDEX] {
        io.ask(operation, &[]).await;
    }
    mark();
    pending().await
}

impl Io {
    async fn step(&mut self, step: Step) {
        match step {
            Step::Mark => {}
            Step::Trap => koboshi_trap_nothing(),
            Step::Time => {
                koboshi_now();
            }
            Step::Doorbell => koboshi_trap_ring(1 << LOWER),
            Step::Call => {
                let _answered = self.typed.nothing(()).await;
            }
            Step::CallBlock => {
                let _answered = self.typed.block(Bytes::try_from(&[7; 64][..]).unwrap_or_default()).await;
            }
            Step::Slots => self.ask(gauge::operation::nothing::INDEX, &[]).await,
            Step::SlotsBlock => self.ask(gauge::operation::block::INDEX, &[7; 64]).await,
            Step::Reboot => {
                let _rebooted = self.control.reboot(control::Reboot { group: 0, at_or_before: u32::MAX }).await;
                let _answered = self.typed.nothing(()).await;
                self.ask(gauge::operation::nothing::INDEX, &[]).await;
            }
        }
    }

    /// A call from slot to slot: no deadline, nothing encoded.
    async fn ask(&mut self, operation: u8, bytes: &[u8]) {
        if let Some(position) = self.slots.send(operation, 0, u64::MAX, bytes) {
            until(|| self.slots.reply(position)).await;
            self.slots.settle(position);
        }
    }
}
