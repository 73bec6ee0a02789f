//! The machine: what a trap does, and who runs after it.
//!
//! Job: turn exceptions and interrupts into calls of the core, carry out what the core wants done, and choose the context
//! to go on with.

pub(crate) mod boot;
mod calls;
mod ends;
mod rooms;

use core::mem::offset_of;

use koboshi_core::kernel::Kernel;
use koboshi_core::place::Registers;
use koboshi_core::schedule::MAX_VCPUS;
use koboshi_core::sync::Ordering;
use koboshi_core::{ComponentId, NEVER, Nanoseconds};
use koboshi_sh4_abi::call;

use crate::interrupts::Chip;
use crate::memory;
use crate::plan::{ComponentPlan, Plan, Region};
use crate::record::Record;
use crate::registers as register;
use crate::time::Time;
use crate::trace::Trace;
use crate::watchdog::Signs;

use calls::Then;

/// What a processor holds of whoever does not run, and what it may reach. `start.S` stores and loads it.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Context {
    regions: &'static Region,
    spc: u32,
    ssr: u32,
    pr: u32,
    gbr: u32,
    mach: u32,
    macl: u32,
    r: [u32; 16],
    /// What the last incarnation that ended held. `start.S` knows nothing of it.
    ended: Registers,
}

const _: () = assert!(offset_of!(Context, ended) == 22 * 4 + size_of::<&Region>());

impl Context {
    const EMPTY: Context = Context {
        regions: &NOTHING,
        spc: 0,
        ssr: 0,
        pr: 0,
        gbr: 0,
        mach: 0,
        macl: 0,
        r: [0; 16],
        ended: Registers { epoch: 0, r: [0; 16] },
    };
}

/// The regions of whoever may reach nothing.
static NOTHING: Region = Region::LAST;

/// What a trap hands over, beside EXPEVT: it was an interrupt, and this is INTEVT.
const INTERRUPT: u32 = 1 << 31;

/// Values of EXPEVT (SH7751R manual, exceptions).
mod event {
    pub(crate) const MISS_READ: u32 = 0x040;
    pub(crate) const MISS_WRITE: u32 = 0x060;
    pub(crate) const PROTECTION_READ: u32 = 0x0A0;
    pub(crate) const PROTECTION_WRITE: u32 = 0x0C0;
    pub(crate) const ADDRESS_READ: u32 = 0x0E0;
    pub(crate) const ADDRESS_WRITE: u32 = 0x100;
    pub(crate) const TRAPA: u32 = 0x160;
}

/// The board has a watchdog.
const WATCHDOG: bool = cfg!(feature = "watchdog");

/// Who has a window open and is to be ended.
#[derive(Clone, Copy)]
struct Closing {
    who: ComponentId,
    /// It runs alone until then.
    until: Nanoseconds,
    /// Who wants it to end; `None`: the clock.
    by: Option<ComponentId>,
}

/// A turn on a VCPU.
#[derive(Clone, Copy)]
struct Turn {
    /// Whose it is: [`NOBODY`], or a component's number.
    of: u8,
    /// When it ends.
    until: Nanoseconds,
}

/// No component has this number.
const NOBODY: u8 = u8::MAX;

impl Turn {
    const NOBODYS: Turn = Turn { of: NOBODY, until: 0 };
}

/// The kernel, its image, and who runs.
// In this order, for an SH-4 reaches what is near a structure's beginning by shorter instructions.
#[repr(C)]
pub struct Machine {
    plan: &'static Plan,
    contexts: *mut Context,
    resting: *mut Context,
    /// Who runs; `None`: nobody has anything to do.
    current: Option<ComponentId>,
    trace: Trace,
    time: Time,
    kernel: Kernel<'static>,
    record: Record,
    /// What keeps the board's watchdog quiet.
    signs: Signs,
    /// On each VCPU: who has the turn there, and until when.
    turns: [Turn; MAX_VCPUS],
    /// Somebody is to be ended and has a window open: it alone runs, until then.
    closing: Option<Closing>,
    /// Components that run from their second room, as bits.
    in_second: u64,
}

// SAFETY: its pointers are to memory that is its own alone, and there is one processor.
unsafe impl Send for Machine {}

/// Nothing can go on.
fn stop() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// What happens in a trap: called by `start.S` with what has happened; gives the context to go on with.
#[unsafe(no_mangle)]
extern "C" fn koboshi_trap(machine: &mut Machine, event: u32) -> *mut Context {
    let now = if event == event::TRAPA {
        let number = register::TRA.read() >> 2;
        if number == call::WAIT {
            return machine.waits();
        }
        match machine.called(number) {
            // What is due is done now, though its interrupt would come at once: QEMU takes none between two traps that
            // follow each other closely, and so a component that polls the time would never be noticed.
            Then::GoesOn if machine.time.rings() => {
                machine.time.woken();
                machine.time.now()
            }
            Then::GoesOn => return machine.running(),
            Then::Next(now) => now,
        }
    } else {
        if event & INTERRUPT != 0 {
            machine.interrupted(event & !INTERRUPT)
        } else {
            machine.excepted(event)
        }
        machine.time.now()
    };
    machine.next(now)
}

impl Machine {
    fn component(&self, id: ComponentId) -> Option<&'static ComponentPlan> {
        self.plan.components.get(id.index())
    }

    fn name(&self, id: ComponentId) -> &'static str {
        self.plan.descriptions.get(id.index()).map_or("?", |component| component.name)
    }

    fn context(&mut self, id: ComponentId) -> Option<&mut Context> {
        let number = id.index();
        if number >= self.plan.components.len() {
            return None;
        }
        let context = self.contexts.wrapping_add(number);
        // SAFETY: there are as many contexts as components; only `start.S` touches them too, and never during a trap.
        Some(unsafe { &mut *context })
    }

    /// An interrupt came, with this code.
    #[inline(never)]
    fn interrupted(&mut self, code: u32) {
        if code == self.plan.controller.timer_code() {
            self.time.woken();
        } else if let Some(line) = self.plan.line(code) {
            self.kernel.interrupt(line);
            self.show_line(line.0);
        }
    }

    /// Whoever runs rings its peers and waits. Nearly every turn ends here, so all that a call and its answer need is in this one
    /// function, and what is rare is behind others.
    #[inline(always)]
    fn waits(&mut self) -> *mut Context {
        let Some(id) = self.current else { stop() };
        let Some(context) = self.context(id) else { stop() };
        let [_, _, _, _, rings, low, high, ..] = context.r;
        if WATCHDOG {
            self.signs.waits(id, &Chip);
        }
        let open = |component: &ComponentPlan| memory::word(component.window).load(Ordering::Relaxed) != 0;
        if self.closing.is_some() || self.component(id).is_some_and(open) {
            self.end_window(id);
        }
        let now = self.time.now();
        self.ring(id, rings, now);
        self.kernel.wait(id, u64::from(low) | u64::from(high) << 32, now);
        self.give_way(id);
        let wake = self.kernel.no_deadline_before();
        if WATCHDOG || wake <= now || self.kernel.has_actions() || self.closing.is_some() {
            return self.next(now);
        }
        self.go_on(wake, now)
    }

    /// The context of whoever runs.
    fn running(&mut self) -> *mut Context {
        match self.current {
            Some(id) => self.contexts.wrapping_add(id.index()),
            None => self.resting,
        }
    }

    /// Whoever had the turn on its VCPU waits, or is dead.
    #[inline(always)]
    fn give_way(&mut self, id: ComponentId) {
        let Some(description) = self.plan.descriptions.get(id.index()) else { return };
        if let Some(turn) = self.turns.get_mut(usize::from(description.vcpu))
            && turn.of == id.0
        {
            turn.of = NOBODY;
        }
    }

    #[inline(always)]
    fn ring(&mut self, id: ComponentId, ports: u32, now: Nanoseconds) {
        // Bit by bit: it is one of the first few, and this processor cannot look for a bit.
        let (mut rest, mut port) = (ports, 0);
        while rest != 0 {
            if rest & 1 != 0 {
                self.kernel.ring(id, port, now);
            }
            rest >>= 1;
            port += 1;
        }
    }

    /// Masks or unmasks the group of a line, and tells its owner what was delivered.
    fn show_line(&mut self, line: u8) {
        let lines = self.plan.lines;
        let Some(plan) = lines.get(usize::from(line)) else { return };
        let same = (0u8..).zip(lines).filter(|(_, other)| other.group == plan.group);
        let masked = same.into_iter().any(|(line, _)| self.kernel.masked(koboshi_core::LineId(line)));
        if let Some(group) = self.plan.groups.get(usize::from(plan.group)) {
            if masked { group.mask(&Chip) } else { group.unmask(&Chip) }
        }
        if let Some(owner) = self.component(plan.owner) {
            let bit = 1u32.wrapping_shl(plan.number.into());
            let delivered = &memory::view(owner.view).delivered;
            let others = delivered.load(Ordering::Relaxed) & !bit;
            let set = self.kernel.delivered(plan.owner, plan.number);
            delivered.store(if set { others | bit } else { others }, Ordering::Relaxed);
        }
    }

    /// Who goes on. All that is due is done first.
    #[inline(never)]
    fn next(&mut self, mut now: Nanoseconds) -> *mut Context {
        if self.kernel.no_deadline_before() <= now {
            self.expire(now);
        }
        if WATCHDOG && let Some(manager) = self.signs.ask(now) {
            self.kernel.wake(manager);
        }
        if self.kernel.has_actions() {
            self.carry_out();
            // Memory that began anew took its time: nobody is to be charged for it.
            now = self.time.now();
        }
        let wake = if WATCHDOG { self.signs.ask_at() } else { NEVER };
        match self.closing.filter(|closing| now < closing.until) {
            // Of whoever is closing a window, the deadline that it has missed has passed: it would leave it no time at all.
            Some(Closing { who, until, .. }) => self.resume(who, wake.min(until), now),
            None => self.go_on(wake.min(self.kernel.no_deadline_before()), now),
        }
    }

    /// Who goes on, when nothing else is to be done until `wake`.
    #[inline(always)]
    fn go_on(&mut self, wake: Nanoseconds, now: Nanoseconds) -> *mut Context {
        let Some(vcpu) = self.kernel.highest_ready() else { return self.idle(wake, now) };
        let Some(turn) = self.turns.get_mut(usize::from(vcpu)) else { return self.idle(wake, now) };
        if turn.of == NOBODY || now >= turn.until {
            // Who is ready there has a turn.
            let Some(id) = self.kernel.dispatch_on(vcpu, now) else { return self.idle(wake, now) };
            *turn = Turn { of: id.0, until: now.saturating_add(self.plan.quantum) };
        }
        let (id, until) = (ComponentId(turn.of), turn.until);
        self.resume(id, wake.min(until), now)
    }

    /// Nobody has anything to do.
    #[inline(never)]
    fn idle(&mut self, wake: Nanoseconds, mut now: Nanoseconds) -> *mut Context {
        self.current = None;
        if self.record.is_old(&self.kernel) {
            self.record.save(&mut self.kernel);
            now = self.time.now();
        }
        self.time.wake_at(wake, now);
        self.resting
    }

    /// This one goes on, until `wake` at the longest.
    fn resume(&mut self, id: ComponentId, wake: Nanoseconds, now: Nanoseconds) -> *mut Context {
        self.current = Some(id);
        self.time.wake_at(wake, now);
        register::PTEH.write(u32::from(id.0) + 1);
        self.contexts.wrapping_add(id.index())
    }
}

/// Does something with each component of a set.
pub(crate) fn each(set: u64, mut act: impl FnMut(ComponentId)) {
    let mut rest = set;
    while rest != 0 {
        act(ComponentId(rest.trailing_zeros() as u8));
        rest &= rest.wrapping_sub(1);
    }
}
