//! What is to be built.

use std::path::PathBuf;

use koboshi_host::image::Image;
use koboshi_sh4::link::{Cpu, Optimise};

/// The program of a component: where its crate is, and what starts it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// The crate's name for cargo.
    pub package: String,
    /// The directory of its `Cargo.toml`.
    pub folder: PathBuf,
    /// Its function from `Start` to a future, as a path: `koboshi_sos::start`.
    pub start: String,
    /// Features to switch on.
    pub features: Vec<String>,
    /// Files of assembler that go into the program too.
    pub assembler: Vec<PathBuf>,
}

/// Where a device of the image is on the board. A device without a place is one that the platform itself models.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The address of its first register, in P4 or P2.
    pub base: u32,
    /// What INTEVT shows, in the order of its owner's lines.
    pub interrupts: Vec<u16>,
    /// It lies in a page of the kernel's own, and its owner may have that page: for an image that measures the kernel, and trusts
    /// its components.
    pub beside_the_kernel: bool,
}

/// What a board holds back itself of what its chip takes for interrupts.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    /// A register of 16 bits, in P2; 1 lets through.
    pub register: u32,
    /// What INTEVT shows, and the bit that holds it back.
    pub codes: &'static [(u16, u8)],
}

/// A watchdog of the chip.
#[derive(Clone, Copy, Debug)]
pub struct Watchdog {
    /// Its first register, in P4.
    pub registers: u32,
    /// Its period, in its steps of 2 to the 18th of the peripheral clock.
    pub steps: u16,
}

/// A board, as far as it matters here. All addresses are physical ones.
#[derive(Clone, Debug)]
pub struct Board {
    /// Its name.
    pub name: &'static str,
    /// The processor.
    pub cpu: Cpu,
    /// Where the file is loaded, and where it is entered.
    pub load: u32,
    /// The first address behind its memory.
    pub end: u32,
    /// Which interrupt controller.
    pub controller: Controller,
    /// What the board itself holds back.
    pub gate: Option<Gate>,
    /// Registers that are the kernel's own, and what they are.
    pub own: &'static [(u32, &'static str)],
    /// Ticks of the timer in a second: a quarter of the peripheral clock.
    pub ticks: u32,
    /// Instructions in a microsecond, one a cycle: what times are reckoned by before anything runs.
    pub instructions: u32,
    /// A register that takes any byte at once and shows it.
    pub trace: Option<u32>,
    /// The watchdog that the kernel is to drive.
    pub watchdog: Option<Watchdog>,
}

/// Which interrupt controller a board has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// INTC.
    Sh7751r,
    /// INTC2.
    Sh7780,
}

/// The FPGA of the R2D-PLUS: its register IRLMSK, and the pins of the chip, on which it puts a number.
const R2D_GATE: Gate = Gate {
    register: 0xA400_0000,
    codes: &[
        // PCI D, CompactFlash, its card, PCI C, SM501.
        (0x200, 11),
        (0x220, 9),
        (0x240, 8),
        (0x260, 12),
        (0x280, 10),
        // Key, clock (twice), SD card, PCI A, PCI B, extension, touch panel.
        (0x2A0, 6),
        (0x2C0, 5),
        (0x2E0, 4),
        (0x300, 7),
        (0x320, 14),
        (0x340, 13),
        (0x360, 0),
        (0x380, 15),
    ],
};

impl Board {
    /// The R2D-PLUS as QEMU has it: SH7751R, 64 MiB, peripheral clock 60 MHz. The SCI takes any byte at once there.
    pub const R2D: Board = Board {
        name: "r2d",
        cpu: Cpu::Sh4NoFpu,
        load: 0x0C80_0000,
        end: 0x1000_0000,
        controller: Controller::Sh7751r,
        gate: Some(R2D_GATE),
        own: &[
            (0xFF00_0000, "the MMU and the causes of traps (CCN)"),
            (0xFFD0_0000, "the interrupt controller (INTC)"),
            (0xFFD8_0000, "the kernel's timer (TMU0)"),
            (0xFFE0_0000, "the register on which the kernel shows what it does (SCI)"),
            (0xA400_0000, "the board's FPGA, which holds interrupts back and turns it off"),
        ],
        ticks: 15_000_000,
        // 240 MHz, from memory.
        instructions: 240,
        trace: Some(0xFFE0_000C),
        // The chip has one. The emulator has none, and ends at an access to its registers.
        watchdog: None,
    };

    /// The SH-2007: SH7780, 128 MiB. Its peripheral clock is likely 33.333 MHz (Linux' sister boards), and not proven.
    pub const SH2007: Board = Board {
        name: "sh2007",
        cpu: Cpu::Sh4NoFpu,
        load: 0x0C80_0000,
        end: 0x1000_0000,
        controller: Controller::Sh7780,
        gate: None,
        own: &[
            (0xFF00_0000, "the MMU and the causes of traps (CCN)"),
            (0xFFD0_0000, "the interrupt controller (INTC)"),
            (0xFFD4_0000, "the interrupt controller (INTC2)"),
            (0xFFD8_0000, "the kernel's timer (TMU0)"),
            (0xFFCC_0000, "the watchdog (WDT)"),
        ],
        ticks: 8_333_333,
        // 400 MHz, as Linux has it.
        instructions: 400,
        trace: None,
        // About a second.
        watchdog: Some(Watchdog { registers: 0xFFCC_0000, steps: 128 }),
    };
}

/// An image, and what it is made of.
#[derive(Clone)]
pub struct Request<'a> {
    /// What is joined to what.
    pub image: &'a Image,
    /// The programs, in the order of the image's components.
    pub sources: Vec<Source>,
    /// Where its devices are, in the order of the image's devices.
    pub devices: Vec<Option<Placed>>,
    /// Bytes that there are for each component's program, if others may take its place while the image runs; in the order of the
    /// image's components. Of those behind the last one nobody takes the place.
    pub rooms: Vec<Option<u32>>,
    /// The board.
    pub board: Board,
    /// Fast or small.
    pub optimise: Optimise,
    /// Its components can be knocked over by whoever may: it costs them code and time.
    pub knocks: bool,
    /// Koboshi's own directory: the generated crates use what is in it.
    pub koboshi: PathBuf,
    /// Where everything is made: the file is `NAME.bin`.
    pub folder: PathBuf,
    /// The image's name.
    pub name: String,
    /// What is done to the text of the kernel's tables: for a test that wants an image to be wrong.
    pub change: Option<&'a dyn Fn(String) -> String>,
}

impl Request<'_> {
    /// The bytes that there are for a program that takes this component's place.
    pub(crate) fn room(&self, at: usize) -> Option<u32> {
        self.rooms.get(at).copied().flatten()
    }
}
