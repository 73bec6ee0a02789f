//! A driver that is wrong on purpose: it counts a byte before it writes it, outside a window. The campaign must catch it.

use koboshi_host::linked::Linked;
use koboshi_interfaces::received;
use koboshi_interfaces::serial::{self, Chunk, Line, Milliseconds, ModemLines, RefusedLine, Status, Written};
use koboshi_runtime::kit::Progress;
use koboshi_runtime::life::{Exit, Start};
use koboshi_runtime::time::sleep;
use koboshi_runtime::{Device, Publisher, ServicePort, configuration};
use koboshi_scif_driver::device::{Board, Scif};
use koboshi_serial_line::Uart;

/// The wrong driver.
#[must_use]
pub fn linked() -> Linked {
    Linked::new(&koboshi_scif_driver::DESCRIPTION, start)
}

async fn start(start: Start) -> Exit {
    let (Ok(port), Ok(received), Some(board)) =
        (ServicePort::open::<serial::Port>(0), Publisher::<received::Port>::open(1), configuration::<Board>())
    else {
        return Exit::Unfit("the image does not fit");
    };
    let _nothing_is_received = received;
    let scif = Scif::new(Device::open(0), board);
    let Ok(setting) = scif.setting(&board.line) else { return Exit::Unfit("the clock does not fit") };
    if start == Start::Fresh || !scif.is_set_to(setting) {
        scif.program(setting, true);
        sleep(scif.bit_time(setting)).await;
        scif.enable(setting);
    }
    match serial::serve(Wrong { scif, line: board.line }, port).await {}
}

struct Wrong {
    scif: Scif,
    line: Line,
}

impl serial::Server for Wrong {
    async fn status(&mut self, (): ()) -> Status {
        Status::default()
    }

    async fn configure(&mut self, _: Line) -> Result<(), RefusedLine> {
        Ok(())
    }

    async fn write(&mut self, chunk: Chunk, mut progress: Progress<Written>) -> Written {
        while let Some(byte) = chunk.0.as_slice().get(progress.get().0 as usize) {
            while self.scif.transmit_count() >= self.scif.fifo() {
                sleep(self.line.byte_time()).await;
            }
            // The mistake: a death between these two loses the byte.
            progress.set(Written(progress.get().0 + 1));
            self.scif.push(*byte);
        }
        progress.get()
    }

    async fn send_break(&mut self, _: Milliseconds) -> Result<(), RefusedLine> {
        Ok(())
    }

    async fn modem_lines(&mut self, (): ()) -> ModemLines {
        ModemLines::default()
    }

    async fn set_rts(&mut self, _: bool) -> Result<(), RefusedLine> {
        Ok(())
    }
}
