//! What holds each interrupt of a board back, as its chip's manual says; and who owns it.
//!
//! Rule: a code whose mask is not known is no interrupt that an image can have, and a mask has one owner: masking it holds back
//! all that is behind it, so that a component that does not acknowledge would silence another one.

use crate::fit::{Spot, Unfit};
use crate::request::{Board, Controller, Request};

/// What holds interrupts back as one: `koboshi_sh4_kernel::Group`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mask {
    /// A field of four bits in IPRA to IPRD.
    Field { register: u32, shift: u8 },
    /// A bit of INT2MSKR, and a field of five in INT2PRI0 to INT2PRI7.
    Bit { priority: u32, shift: u8, bit: u8 },
    /// A bit of the board's own register.
    Gate { register: u32, bit: u8 },
}

impl Mask {
    /// Whether both hold back the same.
    fn is_that_of(self, other: Mask) -> bool {
        match (self, other) {
            (Mask::Bit { bit, .. }, Mask::Bit { bit: other, .. }) => bit == other,
            _ => self == other,
        }
    }
}

/// An interrupt line: who owns it, by which number, and where it is at the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) owner: usize,
    pub(crate) number: usize,
    pub(crate) code: u16,
    /// The place of its mask.
    pub(crate) group: usize,
}

/// What holds back the interrupt that INTEVT shows as this; `None` if nobody knows.
fn mask_of(board: &Board, code: u16) -> Option<Mask> {
    if let Some(gate) = board.gate
        && let Some((_, bit)) = gate.codes.iter().find(|(known, _)| *known == code)
    {
        return Some(Mask::Gate { register: gate.register, bit: *bit });
    }
    match board.controller {
        Controller::Sh7751r => field_of(code),
        Controller::Sh7780 => bit_of(code),
    }
}

/// SH7751R manual, 19.3.1: IPRA to IPRD. TMU0 is the kernel's; TMU3 and 4 have a register of another kind.
fn field_of(code: u16) -> Option<Mask> {
    let (register, shift) = match code {
        // IPRA: TMU1, TMU2, RTC.
        0x420 => (0xFFD0_0004, 8),
        0x440 | 0x460 => (0xFFD0_0004, 4),
        0x480 | 0x4A0 | 0x4C0 => (0xFFD0_0004, 0),
        // IPRB: watchdog, refresh, SCI.
        0x560 => (0xFFD0_0008, 12),
        0x580 | 0x5A0 => (0xFFD0_0008, 8),
        0x4E0 | 0x500 | 0x520 | 0x540 => (0xFFD0_0008, 4),
        // IPRC: GPIO, DMAC, SCIF, H-UDI.
        0x620 => (0xFFD0_000C, 12),
        0x640 | 0x660 | 0x680 | 0x6A0 | 0x6C0 | 0x780 | 0x7A0 | 0x7C0 | 0x7E0 => (0xFFD0_000C, 8),
        0x700 | 0x720 | 0x740 | 0x760 => (0xFFD0_000C, 4),
        0x600 => (0xFFD0_000C, 0),
        _ => return None,
    };
    Some(Mask::Field { register, shift })
}

/// SH7780 manual, INT2PRI0 to 7 and INT2MSKR. Timers are not among them: one bit masks TMU0, which is the kernel's, with TMU1
/// and TMU2; another one TMU3, 4 and 5, with a priority for each.
fn bit_of(code: u16) -> Option<Mask> {
    let (priority, shift, bit) = match code {
        // INT2PRI1: RTC.
        0x480 | 0x4A0 | 0x4C0 => (0xFFD4_0004, 0, 2),
        // INT2PRI2: SCIF0, SCIF1, watchdog.
        0x700 | 0x720 | 0x740 | 0x760 => (0xFFD4_0008, 24, 3),
        0xB80 | 0xBA0 | 0xBC0 | 0xBE0 => (0xFFD4_0008, 16, 4),
        0x560 => (0xFFD4_0008, 8, 5),
        _ => return None,
    };
    Some(Mask::Bit { priority, shift, bit })
}

/// The code of a component's line, by its number; and where it is written.
fn code_of(request: &Request<'_>, at: usize, number: usize) -> Option<(u16, Spot)> {
    let devices = request.image.devices.iter().zip(&request.devices).enumerate();
    devices.filter(|(_, (device, _))| device.owner.index() == at).find_map(|(place, (device, placed))| {
        let source = number.checked_sub(usize::from(device.first_line))?;
        Some((*placed.as_ref()?.interrupts.get(source)?, Spot::Interrupt(place, source)))
    })
}

/// The masks and the interrupt lines of an image, in order.
///
/// # Errors
/// A code has no mask that is known, or two components would share one.
pub(crate) fn lines(request: &Request<'_>) -> Result<(Vec<Mask>, Vec<Line>), Unfit> {
    let (mut masks, mut lines): (Vec<Mask>, Vec<Line>) = (Vec::new(), Vec::new());
    let name = |at: usize| request.image.components.get(at).map_or("?", |component| component.name.as_str());
    for (at, component) in request.image.components.iter().enumerate() {
        for number in 0..component.linked.description().interrupts.len() {
            // That of a line's end is no line of the controller: a doorbell tells of it.
            let Some((code, spot)) = code_of(request, at, number) else { continue };
            let Some(mask) = mask_of(&request.board, code) else {
                return Err(Unfit::new(
                    spot,
                    format!(
                        "interrupt {code:#x} of `{}` is none that can be held back on board {}",
                        name(at),
                        request.board.name
                    ),
                    "write what INTEVT shows for it, as the chip's manual has it; timers of the kernel are not to be had.",
                ));
            };
            let place = masks.iter().position(|known| known.is_that_of(mask)).unwrap_or_else(|| {
                masks.push(mask);
                masks.len() - 1
            });
            if let Some(other) = lines.iter().find(|line| line.group == place && line.owner != at) {
                return Err(Unfit::new(
                    spot,
                    format!(
                        "interrupts {:#x} of `{}` and {code:#x} of `{}` can only be held back together",
                        other.code,
                        name(other.owner),
                        name(at)
                    ),
                    "give both devices to one component, or leave one of them out.",
                ));
            }
            lines.push(Line { owner: at, number, code, group: place });
        }
    }
    Ok((masks, lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_share_a_register_have_fields_of_their_own() {
        for board in [Board::R2D, Board::SH2007] {
            let all: Vec<(u16, Mask)> =
                (0x200..0x1000).step_by(0x20).filter_map(|code| Some((code, mask_of(&board, code)?))).collect();
            assert!(all.len() >= 10, "{}: {}", board.name, all.len());
            for (code, mask) in &all {
                let shared: Vec<u16> =
                    all.iter().filter(|(_, other)| other.is_that_of(*mask)).map(|(code, _)| *code).collect();
                let width = match mask {
                    Mask::Field { .. } => 4,
                    Mask::Bit { .. } => 8,
                    Mask::Gate { .. } => 1,
                };
                assert!(shared.contains(code));
                for (other, that) in &all {
                    let (one, two) = match (mask, that) {
                        (Mask::Field { register, shift }, Mask::Field { register: other, shift: at }) => {
                            ((register, shift), (other, at))
                        }
                        (Mask::Bit { priority, shift, .. }, Mask::Bit { priority: other, shift: at, .. }) => {
                            ((priority, shift), (other, at))
                        }
                        (Mask::Gate { register, bit }, Mask::Gate { register: other, bit: at }) => {
                            ((register, bit), (other, at))
                        }
                        _ => continue,
                    };
                    let overlap = one.0 == two.0 && one.1.abs_diff(*two.1) < width;
                    assert_eq!(overlap, shared.contains(other), "{code:#x} and {other:#x}");
                }
            }
        }
    }

    #[test]
    fn the_kernels_timer_and_what_is_masked_with_it_is_nobodys() {
        assert_eq!(mask_of(&Board::R2D, 0x400), None);
        for code in [0x580, 0x5A0, 0x5C0, 0x5E0] {
            assert_eq!(mask_of(&Board::SH2007, code), None);
        }
    }

    #[test]
    fn pins_are_held_back_where_the_board_does_it_and_nowhere_else() {
        assert_eq!(mask_of(&Board::R2D, 0x280), Some(Mask::Gate { register: 0xA400_0000, bit: 10 }));
        assert_eq!(mask_of(&Board::SH2007, 0x280), None);
        assert_eq!(mask_of(&Board { gate: None, ..Board::R2D }, 0x280), None);
    }
}
