//! The registers of the processor that the kernel itself uses. Names and addresses are the chip manuals' (SH7751R, SH7780).

use core::ptr;

/// A register of 32 bits.
#[derive(Clone, Copy)]
pub(crate) struct Long(pub(crate) u32);
/// A register of 16 bits.
#[derive(Clone, Copy)]
pub(crate) struct Short(pub(crate) u32);
/// A register of 8 bits.
#[derive(Clone, Copy)]
pub(crate) struct Byte(pub(crate) u32);

macro_rules! register {
    ($name:ident, $word:ty) => {
        impl $name {
            pub(crate) fn read(self) -> $word {
                // SAFETY: a device register that only the kernel uses; it is no memory of the program.
                unsafe { ptr::read_volatile(self.0 as *const $word) }
            }

            pub(crate) fn write(self, value: $word) {
                // SAFETY: as above.
                unsafe { ptr::write_volatile(self.0 as *mut $word, value) }
            }
        }
    };
}
register!(Long, u32);
register!(Short, u16);
register!(Byte, u8);

/// Of the page that missed, and the number of the address space.
pub(crate) const PTEH: Long = Long(0xFF00_0000);
/// Further bits of an entry, on SH-4: always 0 here.
pub(crate) const PTEA: Long = Long(0xFF00_0034);
/// The address of a fault.
pub(crate) const TEA: Long = Long(0xFF00_000C);
/// The MMU: AT 0, TI 2, SV 8, SQMD 9, URB 23 to 18.
pub(crate) const MMUCR: Long = Long(0xFF00_0010);
/// The number of a `trapa`, times 4.
pub(crate) const TRA: Long = Long(0xFF00_0020);

/// MMU on, and all entries forgotten (QEMU keeps stale translations if AT changes without TI); and SQMD: the store queues
/// are the kernel's alone. There is one pair of them, so what one component leaves there another one could send on. (QEMU
/// lets everybody write there, and drops it.)
pub(crate) const MMUCR_ON: u32 = 1 << 9 | 1 << 2 | 1;
