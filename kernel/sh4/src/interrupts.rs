//! The interrupt controllers: which register holds a source back.
//!
//! Rule: a source is masked and unmasked as a *group*, because a SH7751R has one field for all four sources of a serial
//! interface. A group is let through while none of its lines is masked.

use crate::registers::{Long, Short};

#[cfg(test)]
mod tests;

/// Which controller a chip has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// INTC of the SH7751R: a priority of 0 masks. (QEMU: a field may only go between 0 and one other value.)
    Sh7751r,
    /// INTC2 of the SH7780: a bit to mask, another register to unmask.
    Sh7780,
}

/// What can be held back as one, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// By the SH7751R: a field of four bits in IPRA to IPRD.
    Field {
        /// The address of that register.
        register: u32,
        /// The lowest bit of the field.
        shift: u8,
    },
    /// By the SH7780: a bit of INT2MSKR.
    Bit {
        /// The address of INT2PRI0 to INT2PRI7 that has its priority.
        priority: u32,
        /// The lowest bit of its field there.
        shift: u8,
        /// The bit of INT2MSKR.
        bit: u8,
    },
    /// By the board, before it comes to the chip: a bit that is 1 lets through.
    Gate {
        /// The address of the board's register, of 16 bits, in P2.
        register: u32,
        /// The bit.
        bit: u8,
    },
}

/// Where the controllers' registers are: on the chip, or in a test.
pub(crate) trait Registers {
    fn short(&self, at: u32) -> u16;
    fn set_short(&self, at: u32, value: u16);
    fn long(&self, at: u32) -> u32;
    fn set_long(&self, at: u32, value: u32);
}

/// The chip's own.
pub(crate) struct Chip;

impl Registers for Chip {
    fn short(&self, at: u32) -> u16 {
        Short(at).read()
    }

    fn set_short(&self, at: u32, value: u16) {
        Short(at).write(value);
    }

    fn long(&self, at: u32) -> u32 {
        Long(at).read()
    }

    fn set_long(&self, at: u32, value: u32) {
        Long(at).write(value);
    }
}

/// The level of all that components handle: above 0, below the timer's.
const LEVEL: u16 = 1;
/// The level of the timer.
const TIMER_LEVEL: u16 = 2;

/// SH7751R: TMU0 is in bits 15 to 12 of IPRA.
const TIMER_SH7751R: Group = Group::Field { register: 0xFFD0_0004, shift: 12 };
/// SH7780: TMU0 is in bits 28 to 24 of INT2PRI0, and the first bit of INT2MSKR.
const TIMER_SH7780: Group = Group::Bit { priority: 0xFFD4_0000, shift: 24, bit: 0 };

/// SH7751R: IPRA to IPRD.
const IPR: [u32; 4] = [0xFFD0_0004, 0xFFD0_0008, 0xFFD0_000C, 0xFFD0_0010];
/// SH7780: the pins; 1 masks.
const INTMSK0: u32 = 0xFFD0_0044;
const INTMSK1: u32 = 0xFFD0_0048;
const ICR0: u32 = 0xFFD0_0000;
/// SH7780: holds no request that its source has taken back, as the SH-4 does.
const ICR0_SH4: u32 = 1 << 21;
const INT2MSKR: u32 = 0xFFD4_0038;
const INT2MSKCR: u32 = 0xFFD4_003C;

impl Controller {
    /// The code that INTEVT shows for the timer.
    pub(crate) const fn timer_code(self) -> u32 {
        match self {
            Controller::Sh7751r => 0x400,
            Controller::Sh7780 => 0x580,
        }
    }

    /// Masks everything of the image's, and lets the timer through. `gate`: the board's own register, or 0.
    pub(crate) fn start(self, on: &impl Registers, groups: &[Group], gate: u32) {
        // A source that no line knows would come again and again: whoever ran before may have left any of them open.
        if gate != 0 {
            on.set_short(gate, 0);
        }
        let timer = match self {
            Controller::Sh7751r => {
                IPR.into_iter().for_each(|register| on.set_short(register, 0));
                TIMER_SH7751R
            }
            Controller::Sh7780 => {
                on.set_long(ICR0, on.long(ICR0) | ICR0_SH4);
                [INT2MSKR, INTMSK0, INTMSK1].into_iter().for_each(|register| on.set_long(register, u32::MAX));
                TIMER_SH7780
            }
        };
        for group in groups {
            group.mask(on);
            group.set_priority(on, LEVEL);
        }
        timer.set_priority(on, TIMER_LEVEL);
        timer.let_through(on, TIMER_LEVEL);
    }
}

impl Group {
    /// Sets how urgent it is, where that does not let it through.
    fn set_priority(self, on: &impl Registers, level: u16) {
        if let Group::Bit { priority, shift, .. } = self {
            let field = 0x1F << shift;
            // The field's lowest bit is finer than the processor's mask.
            on.set_long(priority, on.long(priority) & !field | (u32::from(level) << 1) << shift);
            on.long(priority);
        }
    }

    /// The manual: read it back before BL is 0 again.
    fn set_field(on: &impl Registers, register: u32, shift: u8, level: u16) {
        let before = on.short(register);
        let field = 0xF << shift;
        // From one level to another only through 0: QEMU counts levels, and loses count otherwise.
        on.set_short(register, before & !field);
        if level != 0 {
            on.set_short(register, before & !field | level << shift);
        }
        on.short(register);
    }

    fn set_gate(on: &impl Registers, register: u32, bit: u8, open: bool) {
        let others = on.short(register) & !(1 << bit);
        on.set_short(register, if open { others | 1 << bit } else { others });
        on.short(register);
    }

    pub(crate) fn mask(self, on: &impl Registers) {
        match self {
            Group::Field { register, shift } => Self::set_field(on, register, shift, 0),
            Group::Bit { bit, .. } => {
                on.set_long(INT2MSKR, 1 << bit);
                on.long(INT2MSKR);
            }
            Group::Gate { register, bit } => Self::set_gate(on, register, bit, false),
        }
    }

    pub(crate) fn unmask(self, on: &impl Registers) {
        self.let_through(on, LEVEL);
    }

    fn let_through(self, on: &impl Registers, level: u16) {
        match self {
            Group::Field { register, shift } => Self::set_field(on, register, shift, level),
            Group::Bit { bit, .. } => {
                on.set_long(INT2MSKCR, 1 << bit);
                on.long(INT2MSKR);
            }
            Group::Gate { register, bit } => Self::set_gate(on, register, bit, true),
        }
    }
}
