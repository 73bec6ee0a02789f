//! The asker: asks the answerer numbered questions, holds each answer against the one that is right, and says in the log
//! how many were exact and what the slowest took. Beside that it asks the hostile component, which owes it nothing.
//!
//! It must never misbehave, whatever the hostile component answers.

use core::convert::Infallible;
use core::fmt::Write;

use heapless::String;
use koboshi_interface_kit::Duration;
use koboshi_runtime::platform::koboshi_ring;
use koboshi_runtime::{
    Description, Exit, PortDescription, RequestPort, Side, Start, join, log, now, sleep, sleep_until,
};

use crate::exchange::{self, Question};

/// The asker, for the composer.
pub const DESCRIPTION: Description = Description {
    name: "asker",
    ports: &[
        PortDescription { name: "answerer", side: Side::Uses, interface: &exchange::INTERFACE },
        PortDescription { name: "hostile", side: Side::Uses, interface: &exchange::INTERFACE },
    ],
    devices: &[],
    interrupts: &[],
    kept: None,
};

/// Its port to the hostile component.
const HOSTILE: u8 = 1;

/// Between an answer and the next question, so that others have their turns.
const PAUSE: Duration = Duration::from_micros(20);

/// Between a question to the hostile component and the next one.
const HOSTILE_PAUSE: Duration = Duration::from_micros(500);

/// How long the hostile component may take for an answer.
const HOSTILE_PATIENCE: Duration = Duration::from_micros(200);

/// Exchanges between a line in the log and the next.
pub const LINE_EVERY: u32 = 100;

/// One incarnation.
pub async fn start(_: Start) -> Exit {
    let (answerer, hostile) =
        match (RequestPort::open::<exchange::Port>(0), RequestPort::open::<exchange::Port>(HOSTILE)) {
            (Ok(answerer), Ok(hostile)) => (exchange::Client::new(answerer), exchange::Client::new(hostile)),
            (Err(unfit), _) | (_, Err(unfit)) => return unfit,
        };
    match join(ask_answerer(answerer), ask_hostile(hostile)).await.0 {}
}

async fn ask_answerer(mut answerer: exchange::Client<RequestPort>) -> Infallible {
    let (mut slowest, mut due) = (0, now());
    for asked in 0.. {
        let question = Question(asked);
        let answer = answerer.ask(question).await;
        // From when it was due: a witness that is woken late is held up too.
        let late = now() - due;
        slowest = slowest.max(late.as_micros());
        let mut line = String::<80>::new();
        // A line that is too long is cut.
        let _ = match answer {
            Ok(answer) if answer == question.answer(asked) => Ok(()),
            Ok(answer) => write!(line, "WRONG answer {} {} to {asked}", answer.number, answer.before),
            Err(_) => write!(line, "WRONG failure at {asked}"),
        };
        if line.is_empty() && (asked + 1) % LINE_EVERY == 0 {
            let _ = write!(line, "exact {} slowest {slowest}", asked + 1);
            slowest = 0;
        }
        if !line.is_empty() {
            log(&line);
        }
        due = now() + PAUSE;
        sleep_until(due).await;
    }
    core::future::pending().await
}

async fn ask_hostile(mut hostile: exchange::Client<RequestPort>) -> Infallible {
    for asked in (0..u32::MAX).cycle() {
        // Whatever it answers, or not: no word of it counts.
        let _ = hostile.within(HOSTILE_PATIENCE).ask(Question(asked)).await;
        hostile.end().cancel_all();
        // It may have waited without an alarm.
        koboshi_ring(HOSTILE);
        sleep(HOSTILE_PAUSE).await;
    }
    core::future::pending().await
}
