//! The registers of a SCIF: their bits, and where they lie on which chip.

use crate::device::Width;

/// Bits of SCSMR, serial mode.
pub(super) mod smr {
    pub(in crate::scif) const CLOCKED: u16 = 1 << 7;
    pub(in crate::scif) const SEVEN_BITS: u16 = 1 << 6;
    pub(in crate::scif) const PE: u16 = 1 << 5;
    pub(in crate::scif) const ODD: u16 = 1 << 4;
    pub(in crate::scif) const STOP: u16 = 1 << 3;
    pub(in crate::scif) const CKS: u16 = 0b11;
    pub(in crate::scif) const WRITABLE: u16 = 0xfb;
}

/// Bits of SCSCR, serial control.
pub(super) mod scr {
    pub(in crate::scif) const TIE: u16 = 1 << 7;
    pub(in crate::scif) const RIE: u16 = 1 << 6;
    pub(in crate::scif) const TE: u16 = 1 << 5;
    pub(in crate::scif) const RE: u16 = 1 << 4;
    pub(in crate::scif) const REIE: u16 = 1 << 3;
    pub(in crate::scif) const WRITABLE: u16 = 0xfb;
}

/// Bits of SCFSR, serial status.
pub(super) mod fsr {
    pub(in crate::scif) const PERC_SHIFT: usize = 12;
    pub(in crate::scif) const FERC_SHIFT: usize = 8;
    pub(in crate::scif) const ER: u16 = 1 << 7;
    pub(in crate::scif) const TEND: u16 = 1 << 6;
    pub(in crate::scif) const TDFE: u16 = 1 << 5;
    pub(in crate::scif) const BRK: u16 = 1 << 4;
    pub(in crate::scif) const FER: u16 = 1 << 3;
    pub(in crate::scif) const PER: u16 = 1 << 2;
    pub(in crate::scif) const RDF: u16 = 1 << 1;
    pub(in crate::scif) const DR: u16 = 1 << 0;
}

/// Bits of SCFCR, FIFO control.
pub(super) mod fcr {
    pub(in crate::scif) const RSTRG_SHIFT: u16 = 8;
    pub(in crate::scif) const RTRG_SHIFT: u16 = 6;
    pub(in crate::scif) const TTRG_SHIFT: u16 = 4;
    pub(in crate::scif) const MCE: u16 = 1 << 3;
    pub(in crate::scif) const TFRST: u16 = 1 << 2;
    pub(in crate::scif) const RFRST: u16 = 1 << 1;
    pub(in crate::scif) const LOOP: u16 = 1 << 0;
    pub(in crate::scif) const WRITABLE: u16 = 0x7ff;
}

/// Bits of SCSPTR, the pins as plain inputs and outputs. A pin is negated when high.
pub(super) mod sptr {
    pub(in crate::scif) const RTSIO: u16 = 1 << 7;
    pub(in crate::scif) const RTSDT: u16 = 1 << 6;
    pub(in crate::scif) const CTSIO: u16 = 1 << 5;
    pub(in crate::scif) const CTSDT: u16 = 1 << 4;
    pub(in crate::scif) const SPB2IO: u16 = 1 << 1;
    pub(in crate::scif) const SPB2DT: u16 = 1 << 0;
    pub(in crate::scif) const WRITABLE: u16 = 0xff;
}

/// Bit of SCLSR, line status.
pub(super) mod lsr {
    pub(in crate::scif) const ORER: u16 = 1 << 0;
}

/// Bits of [`asserted`](crate::device::DeviceModel::asserted): the interrupt sources of one SCIF.
pub mod source {
    /// A frame arrived with an error.
    pub const ERI: u32 = 1 << 0;
    /// Data in the receive FIFO.
    pub const RXI: u32 = 1 << 1;
    /// A break, or an overrun.
    pub const BRI: u32 = 1 << 2;
    /// Room in the transmit FIFO.
    pub const TXI: u32 = 1 << 3;
}

/// Peripheral clocks in one bit with CKS = 0 and BRR = 0 (Pck / (64 * 2^-1)).
pub(super) const CLOCKS_PER_BIT: u64 = 32;

/// How deep both FIFOs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FifoDepth {
    /// 16 bytes (SH7751R; and how Linux drives the SH7780).
    Sixteen,
    /// 64 bytes (SH7780).
    SixtyFour,
}

impl FifoDepth {
    /// The depth in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            FifoDepth::Sixteen => 16,
            FifoDepth::SixtyFour => 64,
        }
    }

    /// RDF is set at so many bytes or more, by RTRG.
    pub(super) const fn receive_triggers(self) -> [usize; 4] {
        match self {
            FifoDepth::Sixteen => [1, 4, 8, 14],
            FifoDepth::SixtyFour => [1, 16, 32, 48],
        }
    }

    /// TDFE is set at so many bytes or fewer, by TTRG.
    pub(super) const fn transmit_triggers(self) -> [usize; 4] {
        match self {
            FifoDepth::Sixteen => [8, 4, 2, 1],
            FifoDepth::SixtyFour => [32, 16, 2, 0],
        }
    }

    /// With MCE, RTS is negated at so many bytes or more, by RSTRG.
    pub(super) const fn rts_levels(self) -> [usize; 8] {
        match self {
            FifoDepth::Sixteen => [15, 1, 4, 6, 8, 10, 12, 14],
            FifoDepth::SixtyFour => [63, 1, 8, 16, 32, 48, 54, 60],
        }
    }
}

/// Where the numbers of bytes in the FIFOs are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountRegisters {
    /// One register: transmit count in the upper byte, receive count in the lower.
    Combined {
        /// Offset of SCFDR.
        fdr: u32,
    },
    /// Two registers.
    Separate {
        /// Offset of SCTFDR, the transmit count.
        tfdr: u32,
        /// Offset of SCRFDR, the receive count.
        rfdr: u32,
    },
}

/// Where one chip has its registers, in bytes from the base address, and how deep its FIFOs are. The registers up to
/// SCFCR (0x18) lie alike on both chips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The counts.
    pub counts: CountRegisters,
    /// Offset of SCSPTR.
    pub sptr: u32,
    /// Offset of SCLSR.
    pub lsr: u32,
    /// Both FIFOs.
    pub fifo: FifoDepth,
}

impl Layout {
    /// The SCIF of the SH7751R.
    pub const SH7751R: Layout =
        Layout { counts: CountRegisters::Combined { fdr: 0x1c }, sptr: 0x20, lsr: 0x24, fifo: FifoDepth::Sixteen };

    /// Both SCIFs of the SH7780.
    pub const SH7780: Layout = Layout {
        counts: CountRegisters::Separate { tfdr: 0x1c, rfdr: 0x20 },
        sptr: 0x24,
        lsr: 0x28,
        fifo: FifoDepth::SixtyFour,
    };

    /// The same registers over FIFOs of another depth.
    #[must_use]
    pub const fn with_fifo(self, fifo: FifoDepth) -> Layout {
        Layout { fifo, ..self }
    }

    /// The register at `offset`, and its width.
    pub(super) fn register(&self, offset: u32) -> Option<(Register, Width)> {
        let register = match offset {
            0x00 => Register::Smr,
            0x04 => Register::Brr,
            0x08 => Register::Scr,
            0x0c => Register::Ftdr,
            0x10 => Register::Fsr,
            0x14 => Register::Frdr,
            0x18 => Register::Fcr,
            _ if offset == self.sptr => Register::Sptr,
            _ if offset == self.lsr => Register::Lsr,
            _ => match self.counts {
                CountRegisters::Combined { fdr } if offset == fdr => Register::BothCounts,
                CountRegisters::Separate { tfdr, .. } if offset == tfdr => Register::TransmitCount,
                CountRegisters::Separate { rfdr, .. } if offset == rfdr => Register::ReceiveCount,
                _ => return None,
            },
        };
        let width = match register {
            Register::Brr | Register::Ftdr | Register::Frdr => Width::Byte,
            _ => Width::Half,
        };
        Some((register, width))
    }
}

/// The registers of either chip.
#[derive(Clone, Copy)]
pub(super) enum Register {
    Smr,
    Brr,
    Scr,
    Ftdr,
    Fsr,
    Frdr,
    Fcr,
    BothCounts,
    TransmitCount,
    ReceiveCount,
    Sptr,
    Lsr,
}
