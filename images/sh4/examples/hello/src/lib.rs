//! Rust on a bare SH-4: the R2D-PLUS board, as QEMU emulates it.
//!
//! `koboshi sh4 build images/sh4/examples/hello` makes `hello.bin`; docs/sh4.md says how it is run.

#![no_std]

use core::fmt::{self, Write};
use core::panic::PanicInfo;

/// The serial interface with FIFO of the SH7751R.
struct Scif;

impl Scif {
    /// Takes the next byte to send; write only. (SH7751R manual, SCFTDR2.)
    const TRANSMIT: *mut u8 = 0xffe8_000c as *mut u8;
    /// Serial status. (SCFSR2.)
    const STATUS: *mut u16 = 0xffe8_0010 as *mut u16;
    /// In the status: there is room in the FIFO.
    const ROOM: u16 = 1 << 5;
}

impl Write for Scif {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SAFETY: both are registers of this board, which nobody else uses.
            unsafe {
                while Self::STATUS.read_volatile() & Self::ROOM == 0 {}
                Self::TRANSMIT.write_volatile(byte);
            }
        }
        Ok(())
    }
}

/// Switches the board off: a register of its FPGA.
fn power_off() -> ! {
    const POWER_OFF: *mut u16 = 0xa400_0030 as *mut u16;
    loop {
        // SAFETY: it is a register of this board; writing 1 ends everything.
        unsafe { POWER_OFF.write_volatile(1) };
    }
}

#[panic_handler]
fn panicked(info: &PanicInfo<'_>) -> ! {
    let _ = writeln!(Scif, "{info}");
    power_off()
}

/// The sum of the squares below a number.
fn squares(below: u64) -> u64 {
    let mut sum = 0;
    for number in 0..below {
        sum += number * number;
    }
    sum
}

static mut VISITS: u32 = 0;
static GREETING: &str = "hello from Rust on SH-4";

/// Where it begins.
#[unsafe(no_mangle)]
pub extern "C" fn main() {
    // SAFETY: there is one thread.
    let visits = unsafe {
        VISITS += 1;
        VISITS
    };
    let third = core::hint::black_box(1.0) / 3.0;
    let sum = squares(core::hint::black_box(1000));
    let _ = writeln!(Scif, "{GREETING}: visit {visits}, {sum}, {third:.6}");
    power_off()
}
