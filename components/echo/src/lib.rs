//! A program at a serial line: it answers each byte that arrives, and says in the log how exact both directions were.
//!
//! What arrives must be the bytes of [`asked`] in order, and is answered by those of [`answer`]: a byte that is lost or
//! repeated on either way is seen at the end of that way. Whoever is at the other end never has more bytes under way than
//! the line's receiver holds, so nothing depends on how fast anybody is.
//!
//! It must never: send a byte that was not asked for.
#![no_std]

use core::cell::Cell;
use core::convert::Infallible;
use core::fmt::Write;
use core::future::pending;
use core::pin::pin;

use koboshi_interfaces::received::{self, Received};
use koboshi_interfaces::serial::{self, Chunk, Written};
use koboshi_runtime::authority::{Command, ComponentId, Knock, command};
use koboshi_runtime::kit::wire::Bytes;
use koboshi_runtime::{
    Description, Duration, Either, Exit, Fault, PortDescription, RequestPort, Side, Start, Subscriber, configuration,
    join, log, select, sleep,
};
use serde::{Deserialize, Serialize};

/// The program, for the composer.
pub const DESCRIPTION: Description = Description {
    name: "echo",
    ports: &[
        PortDescription { name: "serial", side: Side::Uses, interface: &serial::INTERFACE },
        PortDescription { name: "received", side: Side::Uses, interface: &received::INTERFACE },
    ],
    devices: &[],
    interrupts: &[],
    kept: None,
};

/// What the image tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Whom to end again and again, by number. It wants the right to.
    pub victim: u8,
    /// How often, in microseconds; 0: never.
    pub every_us: u32,
    /// It is not ended but knocked over, each time in the next of all ways.
    pub knocks: bool,
    /// A line in the log each time that so many bytes were answered.
    pub report_each: u32,
}

/// The byte at this place of what arrives. Neighbours differ, and it takes 64,000 bytes until they come again.
#[must_use]
pub const fn asked(at: u32) -> u8 {
    (at ^ at >> 8).wrapping_mul(29) as u8
}

/// The byte at this place of what is answered.
#[must_use]
pub const fn answer(at: u32) -> u8 {
    asked(at).wrapping_add(101)
}

/// How long a write may take: longer than any recovery.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a write may go unanswered before whoever does it counts as late, if that is knocked over: longer than all that
/// is sent before it and a recovery take.
const LATE: Duration = Duration::from_millis(5);

/// One incarnation, from what the image gives it.
pub async fn start(_: Start) -> Exit {
    let Some(setting) = configuration::<Setting>() else { return Exit::Unfit("it is not told what to do") };
    let (serial, received) = match (RequestPort::open::<serial::Port>(0), Subscriber::open(1)) {
        (Ok(serial), Ok(received)) => (serial::Client::new(serial), received),
        (Err(unfit), _) | (_, Err(unfit)) => return unfit,
    };
    let answered = Cell::new(0);
    join(answer_all(serial, received, setting, &answered), knock(setting, &answered)).await;
    Exit::Done
}

/// What went wrong so far.
#[derive(Default)]
struct Wrong {
    bytes: u32,
    gaps: u32,
    writes: u32,
}

async fn answer_all(
    mut serial: serial::Client<RequestPort>,
    mut received: Subscriber<received::Port>,
    setting: Setting,
    answered: &Cell<u32>,
) -> Infallible {
    let mut wrong = Wrong::default();
    let (mut count, mut next_report) = (0u32, setting.report_each);
    loop {
        let mut reply = Bytes::<96>::default();
        match received.item().await {
            Ok(Received::Bytes(bytes)) => {
                for byte in bytes.as_slice() {
                    wrong.bytes += u32::from(*byte != asked(count));
                    // An item is shorter than a chunk.
                    let _fits = reply.push(answer(count));
                    count = count.wrapping_add(1);
                }
            }
            _ => wrong.gaps += 1,
        }
        received.release();
        let length = reply.as_slice().len() as u32;
        if length > 0 {
            let mut serial = serial.within(PATIENCE);
            if patiently(serial.write(Chunk(reply)), setting).await != Ok(Written(length)) {
                wrong.writes += 1;
            }
        }
        answered.set(count);
        if count >= next_report {
            next_report = next_report.wrapping_add(setting.report_each);
            report(count, &wrong);
        }
    }
}

fn report(count: u32, wrong: &Wrong) {
    let mut line = heapless::String::<96>::new();
    let _cut = write!(
        line,
        "answered {count} bytes; wrong {}, gaps {}, writes that failed {}",
        wrong.bytes, wrong.gaps, wrong.writes
    );
    log(&line);
}

/// Awaits a write. Its answer may have been knocked away; then nobody but us could notice.
async fn patiently<T>(write: impl Future<Output = T>, setting: Setting) -> T {
    let mut write = pin!(write);
    loop {
        match select(write.as_mut(), sleep(LATE)).await {
            Either::First(done) => return done,
            Either::Second(()) if setting.knocks => {
                // It may be down already.
                let _denied = command(ComponentId(setting.victim), Command::End(Fault::Late));
            }
            Either::Second(()) => {}
        }
    }
}

/// Ends the victim again and again, wherever it is. Or knocks it over, as long as there is something to answer: else some
/// ways would wait for it, and others would look like a driver that never comes to work.
async fn knock(setting: Setting, answered: &Cell<u32>) -> Infallible {
    if setting.every_us == 0 {
        return pending().await;
    }
    let mut ways = Knock::ALL.into_iter().cycle();
    let mut before = 0;
    loop {
        sleep(Duration::from_micros(setting.every_us.into())).await;
        let idles = before == answered.get();
        before = answered.get();
        if setting.knocks && idles {
            continue;
        }
        let how = if setting.knocks { ways.next() } else { None };
        // It may be down already.
        let _denied = command(ComponentId(setting.victim), how.map_or(Command::End(Fault::Told), Command::Knock));
    }
}
