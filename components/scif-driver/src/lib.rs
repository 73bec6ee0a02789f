//! Drives one SCIF: sends what `serial` asks, publishes what arrives as `received`, neither waiting for the other.
//!
//! Rules kept here: a byte enters the device only from a request that is in hand, and leaves it only into a slot that is
//! already reserved; each in one window with its count. So the driver may die at any point, and nobody but the record
//! needs to know how far it was. A device is adopted as it stands; only one that is not set as it should be is reprogrammed, and
//! then a gap is announced.
//!
//! It must never: pop a byte that it has no place for, touch a FIFO that it adopts, or hold a byte between two awaits.
#![no_std]

pub mod device;

use core::cell::Cell;
use core::convert::Infallible;

use koboshi_interfaces::received::{self, Received};
use koboshi_interfaces::serial::{self, Chunk, Flow, Line, Milliseconds, ModemLines, RefusedLine, Status, Written};
use koboshi_runtime::kit::{Key, Progress};
use koboshi_runtime::life::{Epoch, Exit, Start};
use koboshi_runtime::time::until;
use koboshi_runtime::{
    Description, Device, Duration, Instant, Interrupt, Kept, PortDescription, Publisher, ServicePort, Side,
    acknowledge, configuration, join3, now, sleep, window,
};

use device::{Board, NextByte, Scif, Setting};

/// The longest break that the line is held low for. It leaves time to send what comes before it within the deadline.
pub const LONGEST_BREAK: Milliseconds = Milliseconds(1_500);

/// How long a device that has to be reprogrammed may take to send what it still holds. 64 bytes at 9,600 baud are 67 ms.
const DRAIN_WITHIN: Duration = Duration::from_millis(100);

const NEVER: Instant = Instant::from_ticks(u64::MAX);

/// The key of what the driver keeps: how the line is set.
pub const KEPT: Key = Key::of_state::<Line>();

/// The driver, for the composer.
pub const DESCRIPTION: Description = Description {
    name: "scif-driver",
    ports: &[
        PortDescription { name: "serial", side: Side::Offers, interface: &serial::INTERFACE },
        PortDescription { name: "received", side: Side::Offers, interface: &received::INTERFACE },
    ],
    devices: &["scif"],
    interrupts: &["error", "received", "break", "room"],
    kept: Some(KEPT),
};

/// What the image gives the driver.
pub struct Io {
    serial: ServicePort,
    received: Publisher<received::Port>,
    device: Device,
    board: Board,
}

impl Io {
    /// Opens the driver's ports and its device.
    ///
    /// # Errors
    /// [`Exit::Unfit`] if the image does not give what the driver needs.
    pub fn open() -> Result<Self, Exit> {
        Ok(Io {
            serial: ServicePort::open::<serial::Port>(0)?,
            received: Publisher::open(1)?,
            device: Device::open(0),
            board: configuration().ok_or(Exit::Unfit("the driver's board is not described"))?,
        })
    }
}

/// One incarnation, from what the image gives it.
pub async fn start(start: Start) -> Exit {
    match Io::open() {
        Ok(io) => run(start, io, Kept::open(KEPT)).await,
        Err(unfit) => unfit,
    }
}

/// One incarnation.
pub async fn run(start: Start, io: Io, kept: Kept<Line>) -> Exit {
    let scif = Scif::new(io.device, io.board);
    let driver = Driver { scif, status: Cell::default(), line: Cell::new(kept.load().unwrap_or(io.board.line)) };
    let (mut received, first) = (io.received, io.serial.epoch() == Epoch(1));
    let begun = match start {
        Start::Fresh => driver.reset(&mut received, first).await,
        Start::Recovered(_) | Start::Updated(_) => driver.adopt(&mut received).await,
    };
    if let Err(unfit) = begun {
        return unfit;
    }
    let transmitter = Transmitter { driver: &driver, kept };
    let interrupts = [0, 1, 2, 3].map(Interrupt::open);
    join3(serial::serve(transmitter, io.serial), driver.fill(received), acknowledge(interrupts)).await;
    Exit::Done
}

/// The device, and what both directions know of it.
struct Driver {
    scif: Scif,
    status: Cell<Status>,
    line: Cell<Line>,
}

impl Driver {
    fn setting(&self) -> Result<Setting, Exit> {
        self.scif.setting(&self.line.get()).map_err(|_| Exit::Unfit("the board's clock cannot make the line's speed"))
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
        self.scif.interrupt_on_arrival(true);
        Ok(())
    }

    /// A later life: the device goes on as it stands, FIFOs and all, unless it is not set as it should be.
    async fn adopt(&self, received: &mut Publisher<received::Port>) -> Result<(), Exit> {
        let setting = self.setting()?;
        // Whatever the one before was waiting for, or died in.
        self.scif.let_go();
        self.scif.interrupt_on_room(false);
        self.scif.interrupt_on_arrival(true);
        if !self.scif.is_set_to(setting) {
            self.scif.hold_low(false);
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

    async fn reprogram(&self, setting: Setting, reset: bool) {
        self.scif.program(setting, reset);
        sleep(self.scif.bit_time(setting)).await;
        self.scif.enable(setting);
    }

    /// Waits until the last bit has left, or until `end`. No interrupt tells, so it looks again when that may be so.
    async fn drain(&self, end: Instant) {
        while !self.scif.silent() && now() < end {
            let waiting = self.scif.transmit_count().max(1) as u32;
            sleep(self.line.get().byte_time() * waiting).await;
        }
    }

    fn count(&self, change: impl FnOnce(&mut Status)) {
        let mut status = self.status.get();
        change(&mut status);
        self.status.set(status);
    }

    /// Publishes what arrives. With no room to publish into, bytes stay in the device, and flow control holds the sender.
    async fn fill(&self, mut received: Publisher<received::Port>) -> Infallible {
        loop {
            // First, for an incarnation before this one may have left anything: bytes not published, flags not cleared.
            if !self.take_what_is_there(&mut received) {
                self.scif.interrupt_on_arrival(false);
                received.room().await;
                self.scif.interrupt_on_arrival(true);
            }
            until(|| (self.scif.receive_count() > 0 || self.scif.broken() || self.scif.overrun()).then_some(())).await;
        }
    }

    /// Moves all that the device holds; false: there was no room for it.
    fn take_what_is_there(&self, received: &mut Publisher<received::Port>) -> bool {
        loop {
            let next = self.scif.next_byte();
            if received.is_full() || next != NextByte::Good {
                received.publish_filled();
            }
            if next == NextByte::None {
                break;
            }
            if !received.reserve() {
                return false;
            }
            let mut may_be_break = false;
            match next {
                NextByte::Good => window(|| received.push(self.scif.pop())),
                NextByte::Framing => window(|| {
                    let byte = self.scif.pop();
                    received.place(&Received::Framing(byte));
                    may_be_break = byte == 0;
                }),
                _ => window(|| {
                    received.place(&Received::Parity(self.scif.pop()));
                }),
            }
            self.count(|status| {
                status.received = status.received.wrapping_add(1);
                status.errors = status.errors.wrapping_add(u32::from(next != NextByte::Good));
            });
            if next != NextByte::Good {
                received.ring();
            }
            // A break leaves such a byte, and is known for one by a flag a byte later.
            if may_be_break && !self.announce_break(received) {
                return false;
            }
        }
        self.scif.clear_arrival();
        // The device stops receiving at an overrun, so what it lost comes behind all that was in it.
        if self.scif.overrun() {
            if !received.has_room() {
                return false;
            }
            window(|| {
                self.scif.clear_overrun();
                received.place(&Received::Overrun);
            });
            received.ring();
            self.count(|status| status.overruns = status.overruns.wrapping_add(1));
        }
        self.announce_break(received)
    }

    /// Announces a break if there was one; false: there was no room for it.
    fn announce_break(&self, received: &mut Publisher<received::Port>) -> bool {
        if self.scif.broken() {
            if !received.has_room() {
                return false;
            }
            window(|| {
                self.scif.clear_break();
                received.place(&Received::Break);
            });
            received.ring();
        }
        true
    }

    /// Waits until the transmitter has room, and says how much.
    async fn room(&self) -> usize {
        let room = until(|| {
            let free = self.scif.fifo().saturating_sub(self.scif.transmit_count());
            if free == 0 {
                self.scif.clear_room();
                self.scif.interrupt_on_room(true);
            }
            (free > 0).then_some(free)
        })
        .await;
        self.scif.interrupt_on_room(false);
        room
    }
}

/// The side that `serial` asks.
struct Transmitter<'d> {
    driver: &'d Driver,
    kept: Kept<Line>,
}

impl serial::Server for Transmitter<'_> {
    async fn status(&mut self, (): ()) -> Status {
        self.driver.status.get()
    }

    async fn configure(&mut self, line: Line) -> Result<(), RefusedLine> {
        let driver = self.driver;
        let setting = driver.scif.setting(&line).map_err(|nearest_baud| RefusedLine::Unreachable { nearest_baud })?;
        // Kept first: an incarnation that dies in between is followed by one that finishes this.
        self.kept.store(&line);
        if !driver.scif.is_set_to(setting) {
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
                    self.driver.scif.push(*byte);
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
        self.driver.scif.hold_low(true);
        sleep(Duration::from_millis(length.0.into())).await;
        self.driver.scif.hold_low(false);
        Ok(())
    }

    async fn modem_lines(&mut self, (): ()) -> ModemLines {
        let (cts, rts) = self.driver.scif.modem_lines();
        ModemLines { cts, rts }
    }

    async fn set_rts(&mut self, may_send: bool) -> Result<(), RefusedLine> {
        if self.driver.line.get().flow == Flow::RtsCts {
            return Err(RefusedLine::FlowControlled);
        }
        self.driver.scif.set_rts(may_send);
        Ok(())
    }
}
