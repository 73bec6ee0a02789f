//! What the kernel shows of itself on a register that takes any byte at once: the emulator's way to watch a machine.
//!
//! A line each: `koboshi: ` and words. A board without such a register shows nothing; the kernel for it is built without
//! the feature `trace`, and has none of these texts.

use crate::registers::Byte;

/// Where lines go.
#[derive(Clone, Copy)]
pub(crate) struct Trace(pub(crate) u32);

impl Trace {
    fn put(self, byte: u8) {
        if cfg!(feature = "trace") && self.0 != 0 {
            Byte(self.0).write(byte);
        }
    }

    pub(crate) fn text(self, text: &[u8]) -> Self {
        if !cfg!(feature = "trace") || self.0 == 0 {
            return self;
        }
        // What a component says must not look like a line of the kernel's.
        text.iter().for_each(|byte| self.put(if byte.is_ascii_control() { b' ' } else { *byte }));
        self
    }

    /// Ends a line.
    pub(crate) fn end(self) {
        self.put(b'\n');
    }

    pub(crate) fn number(self, number: u32) -> Self {
        if !cfg!(feature = "trace") {
            return self;
        }
        let mut digits = [0; 10];
        let mut rest = number;
        let mut first = digits.len();
        for (at, digit) in digits.iter_mut().enumerate().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            first = at;
            if rest == 0 {
                break;
            }
        }
        self.text(digits.get(first..).unwrap_or(&[]))
    }

    pub(crate) fn hex(self, number: u32) -> Self {
        for shift in (0..32).step_by(4).rev() {
            let digit = (number >> shift & 0xF) as u8;
            self.put(if digit < 10 { b'0' + digit } else { b'a' - 10 + digit });
        }
        self
    }
}
