//! The 16550A driver against the register-level model of its device, one rule a test.
//!
//! What it has in common with the SCIF driver is one crate and is tried in all its corners there; here is what this device makes
//! different: errors that go when they are looked at, an overrun that is told early, a register file with two faces, flow control
//! by hand.

#[path = "../line/mod.rs"]
mod line;

mod events;
mod recovery;
mod traffic;

use koboshi_core::life::{Fault, State};
use koboshi_host::device::{DeviceModel, Width};
use koboshi_host::linked::Linked;
use koboshi_host::scif::FifoDepth;
use koboshi_host::strike::{Planned, Strike};
use koboshi_host::wire::{LineEvent, Symbol};
use koboshi_host_tests::scenario::numbered;
use koboshi_host_tests::system::Drives;
use koboshi_interfaces::serial::{DataBits, Flow, Line, ModemLines, Parity, RefusedLine, Status, StopBits};
use koboshi_runtime::Device;
use koboshi_scif_driver::device::Chip;

use line::{Ask, Bench, DRIVER, Fit, In, MS, S, Told, Uart, good, outside};

/// The clock of the UARTs in PCs, which QEMU's have too. It makes 115,200 baud exactly.
const PC_HZ: u32 = 1_843_200;

const SPREAD: Uart = Uart { shift: 2, auto_flow: false, wired: true };
const DENSE: Uart = Uart { shift: 0, ..SPREAD };
const AUTO: Uart = Uart { auto_flow: true, ..SPREAD };
/// As QEMU's SM501 has it: nobody is told when it interrupts.
const UNWIRED: Uart = Uart { wired: false, ..SPREAD };

fn fit(uart: Uart) -> Fit {
    let (chip, fifo) = (Chip::Sh7751r, FifoDepth::Sixteen);
    Fit { chip, fifo, clock_hz: PC_HZ, line: Line::default(), drives: Drives::Ns16550, uart: Some(uart) }
}

/// All that exist.
fn all() -> [Fit; 4] {
    [SPREAD, DENSE, AUTO, UNWIRED].map(fit)
}

fn sends_and_receives(bench: &mut Bench, out: &[u8], back: &[u8]) {
    bench.send(back);
    bench.write(out);
    bench.run_bytes(out.len().max(back.len()) + 64);
    assert_eq!(bench.heard(), out);
    assert_eq!(bench.received(), good(back));
}

fn set_to(baud: u32) -> Line {
    Line { baud, ..Line::default() }
}

/// IER, LCR, MCR, the divisor, and what IIR shows of the FIFOs: read without touching the device.
fn registers(bench: &mut Bench) -> [u32; 5] {
    let shift = bench.uart_shift();
    bench.uart(|uart| {
        let (mut copy, now) = (uart.clone(), uart.now());
        let mut read = |register: u32| copy.read(register << shift, Width::Byte, now).unwrap();
        let [enabled, fifos, control, modem] = [1, 2, 3, 4].map(&mut read);
        copy.write(3 << shift, Width::Byte, 0x83, now).unwrap();
        let mut read = |register: u32| copy.read(register << shift, Width::Byte, now).unwrap();
        [enabled, control, modem, read(0) | read(1) << 8, fifos & 0xC0]
    })
}

/// Writes a register behind the driver's back.
fn poke(bench: &mut Bench, register: u32, value: u32) {
    let shift = bench.uart_shift();
    bench.uart(|uart| {
        let now = uart.now();
        uart.write(register << shift, Width::Byte, value, now).unwrap();
    });
}

/// The numbers of those registers that tests poke.
const DATA: u32 = 0;
const IER: u32 = 1;
const FCR: u32 = 2;
const LCR: u32 = 3;
const MCR: u32 = 4;
