//! What the emulator carries out, instruction by instruction, and what comes of it at the board's serial interfaces.
//!
//! It translates one instruction at a time and writes down the address of each that it carries out; time is counted in them.
//! So nothing that runs there knows that it is counted, and each run is the same.

use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Stdio;

use koboshi_board::emulator::{How, command};
use koboshi_sh4::tools::{Gcc, Qemu, Trouble};

/// Nanoseconds of an instruction, as a power of 2: no timer is due while something is measured.
const INSTRUCTION: u32 = 1;

/// More instructions than a run has: it stands still.
const AT_MOST: u64 = 100_000_000;

/// What the emulator writes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The instruction at this address is carried out.
    At(u32),
    /// A byte is given to the SCIF or to the SM501's 16550A, to be sent. QEMU sends it at once.
    Sent(u8),
}

/// Runs an image until `see` breaks off. It is told of each event, and how many instructions were carried out before it.
pub(super) fn run(qemu: &Qemu, image: &Path, see: impl FnMut(u64, Event) -> ControlFlow<()>) -> Result<(), Trouble> {
    let mut command = command(qemu.path(), image, &How { counted: Some(INSTRUCTION), ..How::default() });
    command.args(["-singlestep", "-d", "exec,nochain", "-trace", "sh_serial_write", "-trace", "serial_write"]);
    let mut child = command
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| failed(format!("the emulator cannot be started: {error}")))?;
    if let Some(log) = child.stderr.take() {
        follow(BufReader::new(log), see);
    }
    let _ended = child.kill();
    let _waited = child.wait();
    Ok(())
}

/// What is said of a run that did not come to its end.
pub(super) fn failed(what: String) -> Trouble {
    Trouble::new(what, "run `koboshi doctor`; if it finds nothing, please report it.")
}

/// Reads the emulator's log.
fn follow(mut log: impl BufRead, mut see: impl FnMut(u64, Event) -> ControlFlow<()>) {
    let mut done = 0_u64;
    // Whether the 16550A's first register is the divisor's lower half.
    let mut divisor = false;
    let mut line = Vec::new();
    while done <= AT_MOST {
        line.clear();
        if log.read_until(b'\n', &mut line).unwrap_or(0) == 0 {
            break;
        }
        // The instruction that was said last was not begun: it is said again.
        if line.starts_with(b"Stopped execution") {
            done = done.saturating_sub(1);
            continue;
        }
        let text = String::from_utf8_lossy(&line);
        let event = if text.starts_with("Trace") {
            // Trace 0: 0x7f... [cs_base/pc/flags/cflags] ...
            let address = text.split('/').nth(1).and_then(|address| u32::from_str_radix(address, 16).ok());
            address.map(Event::At)
        } else {
            sent(&text, &mut divisor).map(Event::Sent)
        };
        let Some(event) = event else { continue };
        if see(done, event).is_break() {
            break;
        }
        done += u64::from(matches!(event, Event::At(_)));
    }
}

/// The byte that is sent, if this line is about one.
fn sent(line: &str, divisor: &mut bool) -> Option<u8> {
    let number = |text: &str| u8::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok();
    // sh_serial_write scif size 1 offs 0x0c <- 0x41
    if let Some((_, rest)) = line.split_once("sh_serial_write scif ") {
        let (register, value) = rest.split_once(" offs ")?.1.split_once(" <- ")?;
        return number(value).filter(|_| number(register) == Some(0x0C));
    }
    // serial_write write addr 0x00 val 0x41
    let (register, value) = line.split_once("serial_write write addr ")?.1.split_once(" val ")?;
    let (register, value) = (number(register)?, number(value)?);
    if register == 3 {
        *divisor = value & 0x80 != 0;
    }
    (register == 0 && !*divisor).then_some(value)
}

/// The address of a symbol.
pub(super) fn symbol(gcc: &Gcc, elf: &Path, name: &str) -> Result<u32, Trouble> {
    let trouble = || {
        Trouble::new(format!("`{name}` is not in {}", elf.display()), "this is a mistake of Koboshi: please report it.")
    };
    let output = gcc.binutil("nm").arg(elf).output().map_err(|_| trouble())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.rsplit(' ').next() == Some(name)).ok_or_else(trouble)?;
    line.split(' ').next().and_then(|address| u32::from_str_radix(address, 16).ok()).ok_or_else(trouble)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As QEMU 7.2 writes it.
    const LOG: &str = "\
Trace 0: 0x7f0a74000100 [00000000/a0000000/40000000/ff000001] \n\
Trace 0: 0x7f0a74000240 [00000000/8c800002/40000000/ff000001] \n\
Stopped execution of TB chain before 0x7f0a74000240 [8c800002] \n\
Trace 0: 0x7f0a74000240 [00000000/8c800002/40000000/ff000001] \n\
sh_serial_write sci size 1 offs 0x0c <- 0x6b\n\
sh_serial_write scif size 2 offs 0x08 <- 0x78\n\
sh_serial_write scif size 1 offs 0x0c <- 0x41\n\
serial_write write addr 0x03 val 0x83\n\
serial_write write addr 0x00 val 0x02\n\
serial_write write addr 0x03 val 0x03\n\
serial_write write addr 0x00 val 0x42\n\
Trace 0: 0x7f0a74000380 [00000000/8c800004/40000000/ff000001] \n";

    #[test]
    fn an_instruction_that_is_said_twice_counts_once_and_only_bytes_that_are_sent_are_seen() {
        let mut seen = Vec::new();
        follow(LOG.as_bytes(), |done, event| {
            seen.push((done, event));
            ControlFlow::Continue(())
        });
        let wanted = [
            (0, Event::At(0xA000_0000)),
            (1, Event::At(0x8C80_0002)),
            (1, Event::At(0x8C80_0002)),
            (2, Event::Sent(0x41)),
            (2, Event::Sent(0x42)),
            (2, Event::At(0x8C80_0004)),
        ];
        assert_eq!(seen, wanted);
    }
}
