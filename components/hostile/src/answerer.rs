//! The answerer: serves `exchange` to the asker and, at a port of its own, to the hostile component.
//!
//! It must never misbehave, whatever the hostile component sends.

use koboshi_runtime::{Description, Exit, PortDescription, ServicePort, Side, Start, join};

use crate::exchange::{self, Answer, Question};

/// The answerer, for the composer.
pub const DESCRIPTION: Description = Description {
    name: "answerer",
    ports: &[
        PortDescription { name: "asker", side: Side::Offers, interface: &exchange::INTERFACE },
        PortDescription { name: "hostile", side: Side::Offers, interface: &exchange::INTERFACE },
    ],
    devices: &[],
    interrupts: &[],
    kept: None,
};

/// What it knows: in memory that does not outlive it, so that an answer shows whether it is still the same life.
#[derive(Default)]
struct Count(u32);

impl exchange::Server for Count {
    async fn ask(&mut self, question: Question) -> Answer {
        let answer = question.answer(self.0);
        self.0 += 1;
        answer
    }
}

/// One incarnation.
pub async fn start(_: Start) -> Exit {
    let (asker, hostile) = match (ServicePort::open::<exchange::Port>(0), ServicePort::open::<exchange::Port>(1)) {
        (Ok(asker), Ok(hostile)) => (asker, hostile),
        (Err(unfit), _) | (_, Err(unfit)) => return unfit,
    };
    let (asker, hostile) = (exchange::serve(Count::default(), asker), exchange::serve(Count::default(), hostile));
    match join(asker, hostile).await.0 {}
}
