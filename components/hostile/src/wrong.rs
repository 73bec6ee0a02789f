//! Versions of the SCIF driver that are wrong, each in one way: what a swap has to notice, and to undo.
//!
//! They leave alone what waits in the device and change no setting, so that the version before finds everything as it was.

use core::hint::spin_loop;

use koboshi_core::record::Outcome;
use koboshi_interfaces::received;
use koboshi_interfaces::serial::{self, Chunk, Line, Milliseconds, ModemLines, RefusedLine, Status, Written};
use koboshi_runtime::kit::Progress;
use koboshi_runtime::{
    Device, Duration, Exit, Publisher, ServicePort, Start, configuration, sleep, time::until, window,
};
use koboshi_scif_driver::device::{Board, Scif};
use koboshi_serial_line::Uart;

/// What [`fails_after_answers`] answers before it fails.
pub const ANSWERS: u32 = 3;

/// It panics in its first turn.
///
/// # Panics
/// Always: it is what it is for.
pub async fn fails_at_once(_: Start) -> Exit {
    panic!("as it was made to")
}

/// It never comes back from its first turn.
pub async fn hangs(_: Start) -> Exit {
    loop {
        spin_loop();
    }
}

/// It answers the first request with what is no reply to anything.
pub async fn answers_undecodably(_: Start) -> Exit {
    let Ok(mut port) = ServicePort::open::<serial::Port>(0) else { return Exit::Unfit("it has no port") };
    loop {
        let taken = port.next_request().await;
        port.finish(taken.position, Outcome::Answer, &[0xFF; 16]);
    }
}

/// It takes the first request and does nothing about it.
pub async fn answers_late(_: Start) -> Exit {
    let Ok(mut port) = ServicePort::open::<serial::Port>(0) else { return Exit::Unfit("it has no port") };
    let _in_hand = port.next_request().await;
    loop {
        sleep(Duration::from_secs(1)).await;
    }
}

/// It sends what it is asked to, and panics when it has answered [`ANSWERS`] times.
///
/// # Panics
/// Then: it is what it is for.
pub async fn fails_after_answers(_: Start) -> Exit {
    let (Ok(port), Ok(_), Some(board)) =
        (ServicePort::open::<serial::Port>(0), Publisher::<received::Port>::open(1), configuration::<Board>())
    else {
        return Exit::Unfit("the image does not fit");
    };
    match serial::serve(Sender { scif: Scif::new(Device::open(0), board), answered: 0 }, port).await {}
}

struct Sender {
    scif: Scif,
    answered: u32,
}

impl serial::Server for Sender {
    async fn status(&mut self, (): ()) -> Status {
        Status::default()
    }

    async fn configure(&mut self, _: Line) -> Result<(), RefusedLine> {
        Ok(())
    }

    async fn write(&mut self, chunk: Chunk, mut progress: Progress<Written>) -> Written {
        assert!(self.answered < ANSWERS, "as it was made to");
        while let Some(byte) = chunk.0.as_slice().get(progress.get().0 as usize) {
            while self.scif.room() == 0 {
                sleep(Duration::from_micros(50)).await;
            }
            let next = progress.get().0 + 1;
            window(|| {
                self.scif.push(*byte);
                progress.set(Written(next));
            });
        }
        self.answered += 1;
        progress.get()
    }

    async fn send_break(&mut self, _: Milliseconds) -> Result<(), RefusedLine> {
        until(|| None).await
    }

    async fn modem_lines(&mut self, (): ()) -> ModemLines {
        ModemLines::default()
    }

    async fn set_rts(&mut self, _: bool) -> Result<(), RefusedLine> {
        Ok(())
    }
}
