//! The SCIF drivers against the register-level model of its device, one rule a test.

#[path = "../line/mod.rs"]
mod line;

mod bytes;
mod events;
mod polled;
mod recovery;
mod settings;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use koboshi_core::life::{Fault, State};
use koboshi_core::sync::AtomicU32;
use koboshi_host::device::Width;
use koboshi_host::journal::Event;
use koboshi_host::linked::Linked;
use koboshi_host::scif::FifoDepth;
use koboshi_host::strike::{How, Planned, Strike};
use koboshi_host::wire::{LineEvent, Symbol};
use koboshi_host_tests::scenario::numbered;
use koboshi_host_tests::system::Drives;
use koboshi_interfaces::serial::{DataBits, Flow, Line, ModemLines, Parity, RefusedLine, Status, StopBits};
use koboshi_runtime::platform::koboshi_kept;
use koboshi_runtime::{Device, Exit};
use koboshi_scif_driver::LONGEST_BREAK;
use koboshi_scif_driver::device::{Board, Chip, Scif};
use koboshi_serial_line::Uart;

use line::{Ask, Bench, DRIVER, Fit, In, MS, RESPOND_WITHIN, S, Told, good, outside, real};

/// The peripheral clock of the SH7751R on an R2D board.
const R2D_HZ: u32 = 60_000_000;
/// The peripheral clock of the SH7780 on its sister boards.
const SH7780_HZ: u32 = 33_333_333;

const CTS_AND_RTS: ModemLines = ModemLines { cts: true, rts: true };

/// All bit rates that a SCIF with this clock can make, in thousandths of a bit per second.
fn rates(clock_hz: u32) -> impl Iterator<Item = u64> {
    let clock = u64::from(clock_hz) * 1_000;
    (0..4).flat_map(move |select| (1..=256).map(move |divisor| clock / (32 << (2 * select)) / divisor))
}

fn sends_and_receives(bench: &mut Bench, out: &[u8], back: &[u8]) {
    bench.send(back);
    bench.write(out);
    let longest = out.len().max(back.len()) + 64;
    bench.run_bytes(longest);
    assert_eq!(bench.heard(), out);
    assert_eq!(bench.received(), good(back));
}

fn set_to(baud: u32) -> Line {
    Line { baud, ..Line::default() }
}
