//! What the hostile component can try. Its configuration is a row of these, behind the arguments of its traps.

use serde::{Deserialize, Serialize};

/// Arguments of traps: r4 to r7.
pub type Arguments = [[u32; 4]; 16];

/// One attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attack {
    /// Reads at an address.
    Read(Width, u32),
    /// Writes at an address.
    Write(Width, u32),
    /// Jumps to an address.
    Jump(u32),
    /// An instruction of [`INSTRUCTIONS`], by its place there, with this in r5.
    Instruction(u8, u32),
    /// `trapa` with this number, and the arguments at this place.
    Trap(u8, u8),
    /// Pushes onto the machine's stack without an end, each time so many bytes further.
    MachineStack(u32),
    /// The same with the module's own stack.
    ModuleStack(u32),
    /// Fills its half of a port with words that follow from this seed, again and again.
    Forge(u8, u32),
    /// Rings all ports, so many times 1,000.
    Flood(u32),
    /// Never comes back.
    Endless,
    /// Never comes back, with a window open.
    EndlessInWindow,
    /// Opens a window, and waits as soon as it is to close it. The address of its page to read.
    WaitInWindow(u32),
    /// Has itself ended, opens a window, and never comes back. Its own place in the image.
    ToldInWindow(u8),
    /// Never comes back, opens a window again and again, and says each time that it has closed it.
    Reopens,
}

/// How wide an access is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Width {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Half,
    /// 32 bits.
    Word,
}

/// Instructions that no compiler writes, in the order of the table in `arms.S`.
pub const INSTRUCTIONS: [&str; 35] = [
    "ldc r5,sr",
    "ldc r5,vbr",
    "ldc r5,ssr",
    "ldc r5,spc",
    "ldc r5,dbr",
    "ldc r5,r3_bank",
    "ldc.l @r5+,sr",
    "ldc.l @r5+,vbr",
    "stc sr,r0",
    "stc vbr,r0",
    "stc ssr,r0",
    "stc spc,r0",
    "stc sgr,r0",
    "stc r3_bank,r0",
    "rte",
    "ldtlb",
    "sleep",
    "0xfffd",
    "0xfffd in a slot",
    "ldc r5,sr in a slot",
    "sleep in a slot",
    "trapa #2 in a slot",
    "bra in a slot",
    "rte in a slot",
    "fadd fr0,fr1",
    "fadd fr0,fr1 in a slot",
    "lds r5,fpscr",
    "sts fpul,r0",
    "fmov.s @r5,fr0",
    "an odd address of its own code",
    "tas.b @r5",
    "movca.l r0,@r5",
    "mac.w @r5+,@r5+",
    "mov.l r15,@-r5",
    "mov.l @r5,r0 in a slot",
];
