//! What all drivers of a serial line have in common: it sends what `serial` asks, and publishes what arrives as `received`,
//! neither waiting for the other.
//!
//! Job: one incarnation of such a driver, from how it takes its device over to its end, over any device that is a [`Uart`]. A driver
//! crate has the registers, the board and the description. It is one place because what a client is promised is one thing,
//! whichever chip is below, and is tested as one.
//!
//! Rules kept here: a byte enters the device only from a request that is in hand, and leaves it only into a slot that is
//! already reserved; each in one window with its count. So the driver may die at any point, and nobody but the record
//! needs to know how far it was. A device is adopted as it stands; only one that is not set as it should be is reprogrammed, and
//! then a gap is announced.
//!
//! It must never: pop a byte that it has no place for, touch a FIFO that it adopts, or hold a byte between two awaits.
#![no_std]

use core::cell::Cell;
use core::convert::Infallible;

use koboshi_interfaces::received::{self, Received};
use koboshi_interfaces::serial::{self, Chunk, Flow, Line, Milliseconds, ModemLines, RefusedLine, Status, Written};
use koboshi_runtime::kit::{Key, Progress};
use koboshi_runtime::life::{Epoch, Exit, Start};
use koboshi_runtime::time::{until, wake_at};
use koboshi_runtime::{
    Duration, Instant, Interrupt, Kept, Publisher, ServicePort, acknowledge, join, join3, now, sleep, window,
};

/// The longest break that the line is held low for. It leaves time to send what comes before it within the deadline.
pub const LONGEST_BREAK: Milliseconds = Milliseconds(1_500);

/// The largest error of the bit rate that a receiver surely bears, in thousandths: half a bit in ten, shared by both ends.
pub const RATE_TOLERANCE: u64 = 25;

/// How long a device that has to be reprogrammed may take to send what it still holds. 64 bytes at 9,600 baud are 67 ms.
const DRAIN_WITHIN: Duration = Duration::from_millis(100);

const NEVER: Instant = Instant::from_ticks(u64::MAX);

/// The key of what a driver keeps: how the line is set.
pub const KEPT: Key = Key::of_state::<Line>();

/// What is read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextByte {
    /// There is no byte.
    None,
    /// A byte without an error.
    Good,
    /// One with a framing error.
    Framing,
    /// One with a parity error.
    Parity,
    /// One that a break left in its place.
    Break,
    /// No byte: some were lost here.
    Lost,
}

/// The device of a serial line. What it can do is what one or a few accesses to its registers do.
///
/// Whatever is to be called inside a window makes no more than one destructive access.
pub trait Uart {
    /// What the registers say of how the line is set.
    type Setting: Copy;

    /// What the registers must say for this line.
    ///
    /// # Errors
    /// The nearest bit rate, if the clock cannot make the one that is asked for.
    fn setting(&self, line: &Line) -> Result<Self::Setting, u32>;

    /// Whether the device runs, no break is held, and the registers say this.
    fn is_set_to(&self, setting: Self::Setting) -> bool;

    /// First half of programming; with `reset`, both FIFOs are emptied, and nothing stays as it was.
    ///
    /// Nothing is requested to be sent until [`Uart::enable`]; wait for one bit before that.
    fn program(&self, setting: Self::Setting, reset: bool);

    /// Second half of programming: both directions go. The interrupts stay as they are.
    fn enable(&self, setting: Self::Setting);

    /// How long it may go unlooked at on this line though no interrupt comes; `None`: its interrupts tell of everything.
    fn look_within(&self, line: &Line) -> Option<Duration>;

    /// How long one bit of this setting takes, rounded up.
    fn bit_time(&self, setting: Self::Setting) -> Duration;

    /// The first thing that is done to a device that is taken over: an incarnation before this one may have died anywhere.
    ///
    /// Nothing is held low any more, the receiver's interrupts are on and the transmitter's off; all of them are off for a driver
    /// that uses none. Nothing that has arrived or waits to be sent is touched.
    fn take_over(&self, setting: Self::Setting);

    /// Switches the receiver's interrupts, if it has any. Where the sender is held by hand, it is while they are to be off.
    fn interrupt_on_arrival(&self, on: bool);

    /// Lets the transmitter's interrupt come as soon as there is room.
    fn interrupt_on_room(&self);

    /// Switches it off.
    fn no_interrupt_on_room(&self);

    /// How many bytes the transmitter takes now.
    fn room(&self) -> usize;

    /// How many bytes may still wait to be sent: for how long to wait before looking again.
    fn waiting(&self) -> usize;

    /// Whether the last bit of all that was pushed has left.
    fn silent(&self) -> bool;

    /// Gives the transmitter a byte that it has room for. It is gone then: call it inside a window.
    fn push(&self, byte: u8);

    /// Whether there is anything to be taken or cleared: a byte, a break, a loss, or what the receiver's interrupt is for.
    fn arrived(&self) -> bool;

    /// What is read next.
    fn next_byte(&self) -> NextByte;

    /// Takes the next received byte. It is gone from the device then: call it inside a window.
    #[must_use]
    fn pop(&self) -> u8;

    /// All bytes were taken: clears what made the receiver's interrupts, but for break and overrun. It comes again while bytes wait.
    fn clear_arrival(&self);

    /// Whether bytes were lost right here, behind all that was taken and before all that is to be read.
    fn overrun(&self) -> bool;

    /// Clears it: call it inside a window.
    fn clear_overrun(&self);

    /// Whether a break was received that no byte stands for.
    fn broken(&self) -> bool;

    /// Clears it: call it inside a window.
    fn clear_break(&self);

    /// Holds the line low, or lets it go. The request to send stays as it was set.
    fn hold_low(&self, hold: bool);

    /// Clear to send, and request to send, as the pins stand: true is "may send".
    fn modem_lines(&self) -> (bool, bool);

    /// Sets the request to send.
    fn set_rts(&self, may_send: bool);
}

/// What one incarnation of a driver has.
pub struct Io<U> {
    /// Where it is asked.
    pub serial: ServicePort,
    /// Where it publishes.
    pub received: Publisher<received::Port>,
    /// The device.
    pub uart: U,
    /// How the line is set if nothing else is kept.
    pub line: Line,
}

/// One incarnation.
pub async fn run<U: Uart, const LINES: usize>(
    start: Start,
    io: Io<U>,
    kept: Kept<Line>,
    interrupts: [Interrupt; LINES],
) -> Exit {
    let driver = Driver { uart: io.uart, status: Cell::default(), line: Cell::new(kept.load().unwrap_or(io.line)) };
    let (mut received, first) = (io.received, io.serial.epoch() == Epoch(1));
    let begun = match start {
        Start::Fresh => driver.reset(&mut received, first).await,
        Start::Recovered(_) | Start::Updated(_) => driver.adopt(&mut received).await,
    };
    if let Err(unfit) = begun {
        return unfit;
    }
    let transmitter = Transmitter { driver: &driver, kept };
    let behind = join(driver.look_again(), acknowledge(interrupts));
    join3(serial::serve(transmitter, io.serial), driver.fill(received), behind).await;
    Exit::Done
}

/// The device, and what both directions know of it.
struct Driver<U> {
    uart: U,
    status: Cell<Status>,
    line: Cell<Line>,
}

impl<U: Uart> Driver<U> {
    fn setting(&self) -> Result<U::Setting, Exit> {
        self.uart.setting(&self.line.get()).map_err(|_| Exit::Unfit("the board's clock cannot make the line's speed"))
    }

    /// First life, or a life after a stop: the device is reset. What it held then is lost, and that is announced.
    async fn reset(&self, received: &mut Publisher<received::Port>, first: bool) -> Result<(), Exit> {
        let setting = self.setting()?;
        if !first {
            received.room().await;
            received.place(&Received::Gap);
            received.ring();
        }
        self.reprogram(setting, true).await;
        self.uart.interrupt_on_arrival(true);
        Ok(())
    }

    /// A later life: the device goes on as it stands, FIFOs and all, unless it is not set as it should be.
    async fn adopt(&self, received: &mut Publisher<received::Port>) -> Result<(), Exit> {
        let setting = self.setting()?;
        self.uart.take_over(setting);
        if !self.uart.is_set_to(setting) {
            self.uart.hold_low(false);
            self.drain(now() + DRAIN_WITHIN).await;
            // Announced before it happens: a death in between announces it twice, and never not at all.
            while !self.take_what_is_there(received) || !received.place(&Received::Gap) {
                received.room().await;
            }
            received.ring();
            self.reprogram(setting, false).await;
        }
        Ok(())
    }

    async fn reprogram(&self, setting: U::Setting, reset: bool) {
        self.uart.program(setting, reset);
        sleep(self.uart.bit_time(setting)).await;
        self.uart.enable(setting);
    }

    /// Waits until the last bit has left, or until `end`. No interrupt tells, so it looks again when that may be so.
    async fn drain(&self, end: Instant) {
        while !self.uart.silent() && now() < end {
            let waiting = self.uart.waiting().max(1) as u32;
            sleep(self.line.get().byte_time() * waiting).await;
        }
    }

    fn count(&self, change: impl FnOnce(&mut Status)) {
        let mut status = self.status.get();
        change(&mut status);
        self.status.set(status);
    }

    /// Has the driver woken in time for its next look, if nobody else will: whoever is woken looks at everything. The line may
    /// have been set anew since the last one.
    async fn look_again(&self) -> Infallible {
        until(|| {
            if let Some(span) = self.uart.look_within(&self.line.get()) {
                wake_at(now() + span);
            }
            None
        })
        .await
    }

    /// Publishes what arrives. With no room to publish into, bytes stay in the device, and flow control holds the sender.
    async fn fill(&self, mut received: Publisher<received::Port>) -> Infallible {
        loop {
            // First, for an incarnation before this one may have left anything: bytes not published, flags not cleared.
            if !self.take_what_is_there(&mut received) {
                self.uart.interrupt_on_arrival(false);
                received.room().await;
                self.uart.interrupt_on_arrival(true);
            }
            until(|| self.uart.arrived().then_some(())).await;
        }
    }

    /// Moves all that the device holds; false: there was no room for it.
    fn take_what_is_there(&self, received: &mut Publisher<received::Port>) -> bool {
        loop {
            let next = self.uart.next_byte();
            if received.is_full() || next != NextByte::Good {
                received.publish_filled();
            }
            if next == NextByte::None {
                break;
            }
            if next == NextByte::Lost {
                if !self.announce_overrun(received) {
                    return false;
                }
                continue;
            }
            if !received.reserve() {
                return false;
            }
            let mut may_be_break = false;
            match next {
                NextByte::Good => window(|| received.push(self.uart.pop())),
                NextByte::Framing => window(|| {
                    let byte = self.uart.pop();
                    received.place(&Received::Framing(byte));
                    may_be_break = byte == 0;
                }),
                NextByte::Break => window(|| {
                    let _its_place = self.uart.pop();
                    received.place(&Received::Break);
                }),
                _ => window(|| {
                    received.place(&Received::Parity(self.uart.pop()));
                }),
            }
            self.count(|status| {
                status.received = status.received.wrapping_add(1);
                status.errors = status.errors.wrapping_add(u32::from(next != NextByte::Good));
            });
            if next != NextByte::Good {
                received.ring();
            }
            // A break may leave such a byte, and be known for one by a flag a byte later.
            if may_be_break && !self.announce_break(received) {
                return false;
            }
        }
        self.uart.clear_arrival();
        self.announce_overrun(received) && self.announce_break(received)
    }

    /// Announces an overrun if there was one right here; false: there was no room for it.
    fn announce_overrun(&self, received: &mut Publisher<received::Port>) -> bool {
        if self.uart.overrun() {
            if !received.has_room() {
                return false;
            }
            window(|| {
                self.uart.clear_overrun();
                received.place(&Received::Overrun);
            });
            received.ring();
            self.count(|status| status.overruns = status.overruns.wrapping_add(1));
        }
        true
    }

    /// Announces a break if there was one; false: there was no room for it.
    fn announce_break(&self, received: &mut Publisher<received::Port>) -> bool {
        if self.uart.broken() {
            if !received.has_room() {
                return false;
            }
            window(|| {
                self.uart.clear_break();
                received.place(&Received::Break);
            });
            received.ring();
        }
        true
    }

    /// Waits until the transmitter has room, and says how much.
    async fn room(&self) -> usize {
        let room = until(|| {
            let free = self.uart.room();
            if free == 0 {
                self.uart.interrupt_on_room();
            }
            (free > 0).then_some(free)
        })
        .await;
        self.uart.no_interrupt_on_room();
        room
    }
}

/// The side that `serial` asks.
struct Transmitter<'d, U> {
    driver: &'d Driver<U>,
    kept: Kept<Line>,
}

impl<U: Uart> serial::Server for Transmitter<'_, U> {
    async fn status(&mut self, (): ()) -> Status {
        self.driver.status.get()
    }

    async fn configure(&mut self, line: Line) -> Result<(), RefusedLine> {
        let driver = self.driver;
        let setting = driver.uart.setting(&line).map_err(|nearest_baud| RefusedLine::Unreachable { nearest_baud })?;
        // Kept first: an incarnation that dies in between is followed by one that finishes this.
        self.kept.store(&line);
        if !driver.uart.is_set_to(setting) {
            driver.drain(NEVER).await;
            driver.reprogram(setting, false).await;
        }
        driver.line.set(line);
        Ok(())
    }

    async fn write(&mut self, chunk: Chunk, mut progress: Progress<Written>) -> Written {
        let bytes = chunk.0.as_slice();
        while bytes.get(progress.get().0 as usize..).is_some_and(|rest| !rest.is_empty()) {
            for _ in 0..self.driver.room().await {
                let at = progress.get().0;
                let Some(byte) = bytes.get(at as usize) else { break };
                window(|| {
                    self.driver.uart.push(*byte);
                    progress.set(Written(at + 1));
                });
                self.driver.count(|status| status.sent = status.sent.wrapping_add(1));
            }
        }
        progress.get()
    }

    async fn send_break(&mut self, length: Milliseconds) -> Result<(), RefusedLine> {
        if length > LONGEST_BREAK {
            return Err(RefusedLine::BreakTooLong);
        }
        self.driver.drain(NEVER).await;
        self.driver.uart.hold_low(true);
        sleep(Duration::from_millis(length.0.into())).await;
        self.driver.uart.hold_low(false);
        Ok(())
    }

    async fn modem_lines(&mut self, (): ()) -> ModemLines {
        let (cts, rts) = self.driver.uart.modem_lines();
        ModemLines { cts, rts }
    }

    async fn set_rts(&mut self, may_send: bool) -> Result<(), RefusedLine> {
        if self.driver.line.get().flow == Flow::RtsCts {
            return Err(RefusedLine::FlowControlled);
        }
        self.driver.uart.set_rts(may_send);
        Ok(())
    }
}
