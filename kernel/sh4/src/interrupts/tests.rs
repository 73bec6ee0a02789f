//! The programs for the controllers, on small models of them: what the manuals say of their registers.

use core::cell::Cell;

use super::*;

/// INTC2 of the SH7780, in the state in which somebody left it.
struct Intc2 {
    icr0: Cell<u32>,
    pins_masked: [Cell<u32>; 2],
    masked: Cell<u32>,
    priorities: [Cell<u32>; 8],
}

const INT2PRI: u32 = 0xFFD4_0000;

impl Intc2 {
    fn left(masked: u32, priorities: u32) -> Self {
        Intc2 {
            icr0: Cell::new(0x00C0_0000),
            pins_masked: [Cell::new(0), Cell::new(0)],
            masked: Cell::new(masked),
            priorities: core::array::from_fn(|_| Cell::new(priorities)),
        }
    }

    /// The level at which a source comes to the processor; 0: not at all. The lowest bit of a field is finer than IMASK.
    fn level(&self, (register, shift): (usize, u8), bit: u8) -> u32 {
        if self.masked.get() & 1 << bit != 0 { 0 } else { (self.priorities[register].get() >> shift & 0x1F) >> 1 }
    }

    fn timer(&self) -> u32 {
        self.level((0, 24), 0)
    }
}

impl Registers for Intc2 {
    fn short(&self, at: u32) -> u16 {
        panic!("no register of 16 bits at {at:#x}")
    }

    fn set_short(&self, at: u32, _: u16) {
        panic!("no register of 16 bits at {at:#x}")
    }

    fn long(&self, at: u32) -> u32 {
        match at {
            0xFFD0_0000 => self.icr0.get(),
            0xFFD4_0038 => self.masked.get(),
            // What clears has nothing to read.
            0xFFD4_003C => 0,
            INT2PRI..=0xFFD4_001C if at.is_multiple_of(4) => self.priorities[(at - INT2PRI) as usize / 4].get(),
            _ => panic!("nobody needs to read {at:#x}"),
        }
    }

    fn set_long(&self, at: u32, value: u32) {
        match at {
            0xFFD0_0000 => self.icr0.set(value),
            0xFFD0_0044 => self.pins_masked[0].set(self.pins_masked[0].get() | value),
            0xFFD0_0048 => self.pins_masked[1].set(self.pins_masked[1].get() | value),
            // A 1 masks, a 0 changes nothing.
            0xFFD4_0038 => self.masked.set(self.masked.get() | value),
            // A 1 unmasks.
            0xFFD4_003C => self.masked.set(self.masked.get() & !value),
            INT2PRI..=0xFFD4_001C if at.is_multiple_of(4) => {
                assert_eq!(value & !0x1F1F_1F1F, 0, "bits that are no field");
                self.priorities[(at - INT2PRI) as usize / 4].set(value);
            }
            _ => panic!("nobody needs to write {at:#x}"),
        }
    }
}

/// INT2PRI2 has SCIF0 in bits 28 to 24 and SCIF1 in bits 20 to 16; INT2MSKR has bits 3 and 4 for them.
const SCIF0: Group = Group::Bit { priority: INT2PRI + 8, shift: 24, bit: 3 };
const SCIF1: Group = Group::Bit { priority: INT2PRI + 8, shift: 16, bit: 4 };

fn scif0(on: &Intc2) -> u32 {
    on.level((2, 24), 3)
}

fn scif1(on: &Intc2) -> u32 {
    on.level((2, 16), 4)
}

#[test]
fn of_an_sh7780_only_the_timer_is_let_through_at_first_whatever_was_before() {
    for (masked, priorities) in [(0, 0x1F1F_1F1F), (u32::MAX, 0), (0x55, 0x1010_1010)] {
        let chip = Intc2::left(masked, priorities);
        Controller::Sh7780.start(&chip, &[SCIF0, SCIF1], 0);
        assert_eq!(chip.masked.get(), !1);
        assert_eq!(chip.timer(), u32::from(TIMER_LEVEL));
        assert_eq!(chip.pins_masked.each_ref().map(Cell::get), [u32::MAX; 2]);
        assert_ne!(chip.icr0.get() & 1 << 21, 0, "requests that were taken back are not held");
        assert_eq!(chip.icr0.get() & 0x00C0_0000, 0x00C0_0000, "how the pins are used stays");
    }
}

#[test]
fn of_an_sh7780_each_group_is_let_through_and_held_back_alone_below_the_timer() {
    let chip = Intc2::left(0, 0x1F1F_1F1F);
    Controller::Sh7780.start(&chip, &[SCIF0, SCIF1], 0);
    let level = u32::from(LEVEL);
    assert!(level < chip.timer());
    assert_eq!((scif0(&chip), scif1(&chip)), (0, 0));
    SCIF1.unmask(&chip);
    assert_eq!((scif0(&chip), scif1(&chip)), (0, level));
    SCIF0.unmask(&chip);
    SCIF1.mask(&chip);
    assert_eq!((scif0(&chip), scif1(&chip)), (level, 0));
    SCIF0.mask(&chip);
    assert_eq!((scif0(&chip), scif1(&chip)), (0, 0));
    assert_eq!(chip.timer(), u32::from(TIMER_LEVEL));
    // Fields of others keep their priority: theirs is a bit to be masked by.
    assert_eq!(chip.priorities[2].get() & 0x1F1F, 0x1F1F);
}

#[test]
fn a_program_that_takes_the_mask_for_an_ordinary_register_is_caught() {
    let chip = Intc2::left(0, 0);
    Controller::Sh7780.start(&chip, &[SCIF1], 0);
    // As if a 0 unmasked.
    chip.set_long(INT2MSKR, chip.long(INT2MSKR) & !(1 << 4));
    assert_eq!(scif1(&chip), 0);
    // As if a 1 in what clears masked.
    SCIF1.unmask(&chip);
    chip.set_long(INT2MSKCR, 1 << 4);
    assert_ne!(scif1(&chip), 0);
}

/// INTC of the SH7751R, and the FPGA of the R2D-PLUS before it.
struct Intc {
    priorities: [Cell<u16>; 4],
    gate: Cell<u16>,
}

const IPRA: u32 = 0xFFD0_0004;
const GATE: u32 = 0xA400_0000;
const SCIF: Group = Group::Field { register: IPRA + 8, shift: 4 };
const SM501: Group = Group::Gate { register: GATE, bit: 10 };

impl Intc {
    fn left(priorities: u16, gate: u16) -> Self {
        Intc { priorities: core::array::from_fn(|_| Cell::new(priorities)), gate: Cell::new(gate) }
    }

    fn field(&self, register: usize, shift: u8) -> u16 {
        self.priorities[register].get() >> shift & 0xF
    }

    fn place(at: u32) -> usize {
        assert!((IPRA..IPRA + 16).contains(&at) && at.is_multiple_of(4), "no register of 16 bits at {at:#x}");
        (at - IPRA) as usize / 4
    }
}

impl Registers for Intc {
    fn short(&self, at: u32) -> u16 {
        if at == GATE { self.gate.get() } else { self.priorities[Self::place(at)].get() }
    }

    fn set_short(&self, at: u32, value: u16) {
        if at == GATE {
            self.gate.set(value);
            return;
        }
        let register = &self.priorities[Self::place(at)];
        for shift in [0, 4, 8, 12] {
            let (before, after) = (register.get() >> shift & 0xF, value >> shift & 0xF);
            assert!(before == after || before == 0 || after == 0, "QEMU loses count: {before} to {after} at {at:#x}");
        }
        register.set(value);
    }

    fn long(&self, at: u32) -> u32 {
        panic!("no register of 32 bits at {at:#x}")
    }

    fn set_long(&self, at: u32, _: u32) {
        panic!("no register of 32 bits at {at:#x}")
    }
}

#[test]
fn of_an_sh7751r_only_the_timer_is_let_through_at_first_whatever_was_before() {
    for (priorities, gate) in [(0xFFFF, 0xFFFF), (0, 0), (0x1111, 1 << 10)] {
        let chip = Intc::left(priorities, gate);
        Controller::Sh7751r.start(&chip, &[SCIF, SM501], GATE);
        let found = chip.priorities.each_ref().map(Cell::get);
        assert_eq!(found, [TIMER_LEVEL << 12, 0, 0, 0]);
        assert_eq!(chip.gate.get(), 0);
    }
}

#[test]
fn of_an_sh7751r_each_group_is_let_through_and_held_back_alone() {
    let chip = Intc::left(0, 0);
    Controller::Sh7751r.start(&chip, &[SCIF, SM501], GATE);
    SCIF.unmask(&chip);
    assert_eq!((chip.field(2, 4), chip.gate.get()), (LEVEL, 0));
    SM501.unmask(&chip);
    SM501.unmask(&chip);
    assert_eq!((chip.field(2, 4), chip.gate.get()), (LEVEL, 1 << 10));
    SCIF.mask(&chip);
    assert_eq!((chip.field(2, 4), chip.gate.get()), (0, 1 << 10));
    SM501.mask(&chip);
    assert_eq!(chip.gate.get(), 0);
    assert_eq!(chip.field(0, 12), TIMER_LEVEL);
}

#[test]
fn without_a_gate_the_board_is_not_touched() {
    let chip = Intc::left(0, 0xFFFF);
    Controller::Sh7751r.start(&chip, &[SCIF], 0);
    assert_eq!(chip.gate.get(), 0xFFFF);
}
