//! Answers typed requests.

use koboshi_interface_kit::wire::Bytes;
use koboshi_runtime::{Description, Exit, PortDescription, ServicePort, Side, Start};

use crate::gauge;

/// For the composer.
pub const DESCRIPTION: Description = Description {
    name: "server",
    ports: &[PortDescription { name: "gauge", side: Side::Offers, interface: &gauge::INTERFACE }],
    devices: &[],
    interrupts: &[],
    kept: None,
};

struct Mirror;

impl gauge::Server for Mirror {
    async fn nothing(&mut self, (): ()) {}

    async fn block(&mut self, bytes: Bytes<64>) -> Bytes<64> {
        bytes
    }

    async fn arm(&mut self, (): ()) {}

    async fn fall(&mut self, (): ()) {}
}

/// Serves.
pub async fn start(_: Start) -> Exit {
    match ServicePort::open::<gauge::Port>(0) {
        Ok(port) => match gauge::serve(Mirror, port).await {},
        Err(unfit) => unfit,
    }
}
