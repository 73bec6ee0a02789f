//! What the composer has decided: an image for this kernel, as exact constants.

use koboshi_core::kernel::Component;
use koboshi_core::record::Contracts;
use koboshi_core::ring::Geometry;
use koboshi_core::{ComponentId, LineId};

use crate::interrupts::{Controller, Group};
use crate::time::Clock;
use crate::watchdog::Watchdog;

/// An image.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Its components.
    pub components: &'static [ComponentPlan],
    /// The same, as the core knows them.
    pub descriptions: &'static [Component<'static>],
    /// Its ports.
    pub ports: &'static [PortPlan],
    /// All memory that components write, which is clear when the image begins: what they share and keep, and what anybody may
    /// have left in variables and stacks. Addresses, and numbers of words.
    pub cleared: &'static [(u32, u32)],
    /// Its interrupt lines; their places are their [`LineId`]s.
    pub lines: &'static [LinePlan],
    /// What the interrupt controller can mask.
    pub groups: &'static [Group],
    /// Which controller it is.
    pub controller: Controller,
    /// A register of the board's that holds interrupts back, a bit for each; 0: there is none.
    pub gate: u32,
    /// The component that restarts the others.
    pub manager: Option<ComponentId>,
    /// The timer that platform time is counted by.
    pub clock: Clock,
    /// How long a component runs, in nanoseconds, before another one on its VCPU has its turn.
    pub quantum: u64,
    /// A register that takes any byte at once and shows it: the emulator's. 0: none.
    pub trace: u32,
    /// The board's watchdog; looked at with the feature `watchdog` alone.
    pub watchdog: Option<Watchdog>,
    /// The address and words of what survives a reset: of both headers, and of two copies of each of a power of 2 of incidents.
    pub record: (u32, u32),
    /// A number that no other image is likely to have.
    pub identity: u32,
}

/// A component's memory and beginning.
#[derive(Clone, Copy)]
pub struct ComponentPlan {
    /// Its first instruction.
    pub entry: u32,
    /// The end of the machine's stack.
    pub stack: u32,
    /// The end of the module's own stack.
    pub shadow: u32,
    /// The page that it reads: `koboshi_sh4_abi::View`.
    pub view: u32,
    /// The word that is not 0 while a window is open.
    pub window: u32,
    /// What of its memory begins anew with each incarnation.
    pub resets: &'static [Reset],
    /// All that it may reach. The last one has length 0.
    pub regions: &'static [Region],
    /// Other programs may take the place of its own.
    pub rooms: Option<&'static Rooms>,
    /// The first address and the length of each guard: who gets there has run over a stack.
    pub guards: [(u32, u32); 2],
    /// What is written when it is given up.
    pub safe: &'static [SafeWrite],
}

/// Where a component's program comes from, if others may take its place: two rooms, of which one is used and the other one may
/// be filled. Both are seen at the same addresses, so a program does not know in which one it is.
#[derive(Clone, Copy)]
pub struct Rooms {
    /// The first address of each room: a multiple of a page.
    pub at: [u32; 2],
    /// Bytes of each: a multiple of a page.
    pub size: u32,
    /// Where the component's variables are: so many bytes as a room has.
    pub variables: u32,
    /// The image's own program: its address, and its words. It fills the first room when the machine begins.
    pub own: (u32, u32),
    /// What the component may reach when it runs from the second room, as [`ComponentPlan::regions`] is from the first one.
    pub regions: &'static [Region],
}

/// Memory that begins anew.
#[derive(Clone, Copy)]
pub struct Reset {
    /// Its address: a multiple of 4.
    pub to: u32,
    /// Where its first words are kept; words behind them are zero.
    pub from: u32,
    /// Words that are kept.
    pub copied: u32,
    /// Words that are zero.
    pub zeroed: u32,
}

/// What a component may do in a region.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Rights {
    // PTEL: V 0x100, size 4 KiB 0x010, user reads 0x040, user writes 0x060, cached 0x008, dirty 0x004.
    /// Memory to read. (The SH-4 has no right to execute apart from it.)
    Read = 0x158,
    /// Memory to read and write.
    Write = 0x17C,
    /// Device registers to read and write, uncached.
    Device = 0x174,
}

/// A part of the address space of a component. The assembler of TLB misses reads it.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Region {
    /// Its first address: a multiple of a page.
    start: u32,
    /// Its length in bytes: a multiple of a page. 0: there are no more.
    length: u32,
    /// What is added to an address in it to have the TLB's entry: how far away the memory is, in pages, and the rights below.
    entry: u32,
}

impl Region {
    /// There are no more.
    pub const LAST: Region = Region::of(0, 0, Rights::Read);

    /// Memory at its own address.
    #[must_use]
    pub const fn of(start: u32, length: u32, rights: Rights) -> Self {
        Region::at(start, length, start, rights)
    }

    /// Memory that is seen at `start` and is really at `memory`. Both are multiples of a page.
    #[must_use]
    pub const fn at(start: u32, length: u32, memory: u32, rights: Rights) -> Self {
        Region { start, length, entry: memory.wrapping_sub(start).wrapping_add(rights as u32) }
    }

    /// Its bytes; 0: there are no more.
    pub(crate) const fn length(&self) -> u32 {
        self.length
    }

    /// Where these bytes really are, if all of them lie in it.
    pub(crate) const fn memory(&self, address: u32, bytes: u32) -> Option<u32> {
        let offset = address.wrapping_sub(self.start);
        if offset >= self.length || bytes > self.length.wrapping_sub(offset) {
            return None;
        }
        Some(address.wrapping_add(self.entry & !OF_RIGHTS))
    }

    /// Whether it may be read, or written, as memory is.
    pub(crate) const fn is(&self, write: bool) -> bool {
        let rights = self.entry & OF_RIGHTS;
        // A register is no memory: reading it may do something.
        rights == Rights::Write as u32 || rights == Rights::Read as u32 && !write
    }
}

/// Of [`Region::entry`]: the bits below a page's address.
const OF_RIGHTS: u32 = koboshi_sh4_abi::PAGE - 1;

/// One end of a port.
#[derive(Clone, Copy)]
pub struct PortEnd {
    /// The component.
    pub component: ComponentId,
    /// By which number it knows the port.
    pub port: u8,
    /// The half that it writes: address and words.
    pub half: (u32, u32),
    /// Its slots, if it has any.
    pub slots: Option<Geometry>,
}

/// A port.
#[derive(Clone, Copy)]
pub struct PortPlan {
    /// The client or producer.
    pub near: PortEnd,
    /// The server or consumer.
    pub far: PortEnd,
    /// Of a service: what its operations are.
    pub contracts: Option<Contracts>,
    /// Of a service: requests wait while the server is gone.
    pub waits: bool,
}

/// An interrupt line.
#[derive(Clone, Copy)]
pub struct LinePlan {
    /// Who owns it.
    pub owner: ComponentId,
    /// By which number its owner knows it.
    pub number: u8,
    /// The code that INTEVT shows.
    pub code: u16,
    /// The place of its mask in [`Plan::groups`].
    pub group: u8,
}

/// How wide a register is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Half,
    /// 32 bits.
    Word,
}

/// One write of a safe action.
#[derive(Clone, Copy)]
pub struct SafeWrite {
    /// The register's address in P4 or P2.
    pub address: u32,
    /// How wide it is.
    pub width: Width,
    /// What is written.
    pub value: u32,
}

impl Plan {
    /// The line whose interrupt shows this code.
    pub(crate) fn line(&self, code: u32) -> Option<LineId> {
        let at = self.lines.iter().position(|line| u32::from(line.code) == code)?;
        Some(LineId(at as u8))
    }
}
