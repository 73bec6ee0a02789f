//! The interrupt controllers: which register holds a source back.
//!
//! Rule: a source is masked and unmasked as a *group*, because a SH7751R has one field for all four sources of a serial
//! interface. A group is let through while none of its lines is masked.

use crate::registers::{Long, Short};

/// Which controller a chip has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// INTC of the SH7751R: a priority of 0 masks. (QEMU: a field may only go between 0 and one other value.)
    Sh7751r,
    /// INTC2 of the SH7780: a bit to mask, another register to unmask.
    Sh7780,
}

/// What can be held back as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// SH7751R: the address of IPRA to IPRD. SH7780: of INT2PRI0 to INT2PRI7.
    pub priority: u32,
    /// The lowest bit of its field there.
    pub shift: u8,
    /// SH7780: its bit in INT2MSKR.
    pub mask: u8,
}

/// The level of all that components handle: above 0, below the timer's.
const LEVEL: u16 = 1;
/// The level of the timer.
const TIMER_LEVEL: u16 = 2;

/// SH7751R: TMU0 is in bits 15 to 12 of IPRA.
const TIMER_SH7751R: Group = Group { priority: 0xFFD0_0004, shift: 12, mask: 0 };
/// SH7780: TMU0 is in bits 28 to 24 of INT2PRI0, and the first bit of INT2MSKR.
const TIMER_SH7780: Group = Group { priority: 0xFFD4_0000, shift: 24, mask: 0 };

/// SH7751R: IPRA to IPRD.
const IPR: [Short; 4] = [Short(0xFFD0_0004), Short(0xFFD0_0008), Short(0xFFD0_000C), Short(0xFFD0_0010)];
/// SH7780: the pins; 1 masks.
const INTMSK0: Long = Long(0xFFD0_0044);
const INTMSK1: Long = Long(0xFFD0_0048);
const ICR0: Long = Long(0xFFD0_0000);
/// SH7780: holds no request that its source has taken back, as the SH-4 does.
const ICR0_SH4: u32 = 1 << 21;
const INT2MSKR: Long = Long(0xFFD4_0038);
const INT2MSKCR: Long = Long(0xFFD4_003C);

impl Controller {
    /// The code that INTEVT shows for the timer.
    pub(crate) const fn timer_code(self) -> u32 {
        match self {
            Controller::Sh7751r => 0x400,
            Controller::Sh7780 => 0x580,
        }
    }

    /// Masks everything of the image's, and lets the timer through.
    pub(crate) fn start(self, groups: &[Group]) {
        // A source that no line knows would come again and again: whoever ran before may have left any of them open.
        match self {
            Controller::Sh7751r => IPR.into_iter().for_each(|register| register.write(0)),
            Controller::Sh7780 => {
                ICR0.write(ICR0.read() | ICR0_SH4);
                [INT2MSKR, INTMSK0, INTMSK1].into_iter().for_each(|register| register.write(u32::MAX));
            }
        }
        for group in groups {
            if self == Controller::Sh7780 {
                self.set_level(group, LEVEL);
            }
            self.mask(group);
        }
        let timer = match self {
            Controller::Sh7751r => &TIMER_SH7751R,
            Controller::Sh7780 => &TIMER_SH7780,
        };
        self.set_level(timer, TIMER_LEVEL);
        if self == Controller::Sh7780 {
            self.unmask(timer);
        }
    }

    fn set_level(self, group: &Group, level: u16) {
        match self {
            Controller::Sh7751r => {
                let register = Short(group.priority);
                let before = register.read();
                let field = 0xF << group.shift;
                // From one level to another only through 0: QEMU counts levels, and loses count otherwise.
                register.write(before & !field);
                if level != 0 {
                    register.write(before & !field | level << group.shift);
                }
                // The manual: read it back before BL is 0 again.
                register.read();
            }
            Controller::Sh7780 => {
                let register = Long(group.priority);
                let field = 0x1F << group.shift;
                // The field's lowest bit is finer than the processor's mask.
                register.write(register.read() & !field | (u32::from(level) << 1) << group.shift);
                register.read();
            }
        }
    }

    pub(crate) fn mask(self, group: &Group) {
        match self {
            Controller::Sh7751r => self.set_level(group, 0),
            Controller::Sh7780 => {
                INT2MSKR.write(1 << group.mask);
                INT2MSKR.read();
            }
        }
    }

    pub(crate) fn unmask(self, group: &Group) {
        match self {
            Controller::Sh7751r => self.set_level(group, LEVEL),
            Controller::Sh7780 => {
                INT2MSKCR.write(1 << group.mask);
                INT2MSKR.read();
            }
        }
    }
}
