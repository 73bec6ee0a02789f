//! From the machine's start to the first component, and a reboot.
//!
//! Job: make the kernel of an image's tables, take over what there was before a reset, and start the restart manager.

use core::mem::MaybeUninit;
use core::slice;

use koboshi_core::incident::Incident;
use koboshi_core::kernel::{self, Kernel, Life, Line, Port, Record, Tables};
use koboshi_core::life::{Begin, Fault};
use koboshi_core::record::{Half, Sealed, ServiceRecord, StreamRecord};
use koboshi_core::ring::Geometry;
use koboshi_core::schedule::MAX_VCPUS;
use koboshi_core::{ComponentId, Nanoseconds};

use super::ends::safe_action;
use super::{Context, Machine, NOTHING, Turn, WATCHDOG, each, rooms, stop};
use crate::interrupts::Chip;
use crate::memory;
use crate::plan::{Plan, PortPlan, Reset};
use crate::record::Record as Survivor;
use crate::registers as register;
use crate::time::Time;
use crate::trace::Trace;
use crate::watchdog::Signs;

/// SR of the idle loop: privileged, interrupts come.
const IDLE: u32 = 1 << 30 | 1 << 15;

#[allow(improper_ctypes, reason = "assembler hands the machine back and looks at nothing in it")]
unsafe extern "C" {
    /// Takes up a context; `machine` is what each trap is then called with.
    fn koboshi_enter(context: *mut Context, machine: *mut Machine) -> !;
    /// The address of the idle loop, which is not called but resumed.
    safe fn koboshi_idle() -> u32;
}

/// All memory that a kernel needs for an image of `C` components, `P` ports and `L` interrupt lines.
pub struct Storage<const C: usize, const P: usize, const L: usize, const I: usize> {
    contexts: [Context; C],
    idle: Context,
    lives: [Life; C],
    ports: [MaybeUninit<Port<'static>>; P],
    sealed: [Sealed; P],
    lines: [Line; L],
    incidents: [Option<Incident>; I],
    machine: Option<Machine>,
}

impl<const C: usize, const P: usize, const L: usize, const I: usize> Storage<C, P, L, I> {
    /// Memory that nothing was stored in.
    #[must_use]
    pub const fn new() -> Self {
        Storage {
            contexts: [Context::EMPTY; C],
            idle: Context::EMPTY,
            lives: [const { Life::NEW }; C],
            ports: [const { MaybeUninit::uninit() }; P],
            sealed: [Sealed::NEW; P],
            lines: [Line::new(ComponentId(0)); L],
            incidents: [const { None }; I],
            machine: None,
        }
    }
}

impl<const C: usize, const P: usize, const L: usize, const I: usize> Default for Storage<C, P, L, I> {
    fn default() -> Self {
        Self::new()
    }
}

fn half((address, count): (u32, u32), slots: Option<Geometry>) -> Option<Half<'static>> {
    Half::new(memory::words(address, count), slots)
}

fn port(plan: &PortPlan) -> Option<Port<'static>> {
    let (near, far) = (half(plan.near.half, plan.near.slots)?, half(plan.far.half, plan.far.slots)?);
    let record = match plan.contracts {
        Some(contracts) => Record::Service(ServiceRecord { client: near, server: far }, contracts),
        None => Record::Stream(StreamRecord { producer: near, consumer: far }),
    };
    Some(Port { near: plan.near.component, far: plan.far.component, record, waits: plan.waits })
}

/// Starts an image: its kernel never comes back from here. It is called once, with BL = 1 and the caches set up, as the
/// board's start leaves them.
pub fn boot<const C: usize, const P: usize, const L: usize, const I: usize>(
    plan: &'static Plan,
    storage: &'static mut Storage<C, P, L, I>,
) -> ! {
    let trace = Trace(plan.trace);
    // Early, so that it guards the rest of this too.
    let (signs, overflowed) = Signs::start(plan.watchdog.filter(|_| WATCHDOG), plan.manager, &Chip);
    clear(plan);
    rooms::fill(plan);
    let mut made = 0;
    for (place, plan) in storage.ports.iter_mut().zip(plan.ports) {
        let Some(port) = port(plan) else { break };
        place.write(port);
        made += 1;
    }
    // SAFETY: the first `made` of them were written just now.
    let ports = unsafe { slice::from_raw_parts(storage.ports.as_ptr().cast::<Port<'static>>(), made) };
    for (line, plan) in storage.lines.iter_mut().zip(plan.lines) {
        *line = Line::new(plan.owner);
    }
    for (context, plan) in storage.contexts.iter_mut().zip(plan.components) {
        context.regions = plan.regions.first().unwrap_or(&NOTHING);
    }
    storage.idle.spc = koboshi_idle();
    storage.idle.ssr = IDLE;
    register::PTEA.write(0);
    register::PTEH.write(0);
    register::MMUCR.write(register::MMUCR_ON);
    plan.controller.start(&Chip, plan.groups, plan.gate);
    let time = Time::start(plan.clock);
    let tables = Tables {
        components: plan.descriptions,
        lives: &mut storage.lives,
        ports,
        sealed: &mut storage.sealed,
        lines: &mut storage.lines,
        incidents: &mut storage.incidents,
        manager: plan.manager,
    };
    let Some(kernel) = Kernel::new(tables) else {
        trace.text(b"koboshi: this image's tables do not fit together").end();
        stop();
    };
    let machine = storage.machine.insert(Machine {
        plan,
        kernel,
        contexts: storage.contexts.as_mut_ptr(),
        resting: &raw mut storage.idle,
        time,
        record: Survivor::new(plan.record, plan.identity),
        trace,
        signs,
        current: None,
        turns: [Turn::NOBODYS; MAX_VCPUS],
        closing: None,
        in_second: 0,
    });
    machine.start(if overflowed { Some(Fault::Watchdog) } else { None });
    let now = machine.time.now();
    let next = machine.next(now);
    // SAFETY: both live for ever, and nobody else knows them; the context is one that `load` or this function has filled.
    unsafe { koboshi_enter(next, machine) }
}

/// Clears all memory that components write.
fn clear(plan: &Plan) {
    for &(to, zeroed) in plan.cleared {
        memory::reset(&Reset { to, from: to, copied: 0, zeroed });
    }
}

impl Machine {
    /// Starts the restart manager, which starts the others; all of them where there is none. `why`: what has reset the machine,
    /// if that is known.
    fn start(&mut self, why: Option<Fault>) {
        self.trace.text(b"koboshi: boot").end();
        self.take_over(why);
        self.start_all();
        self.carry_out();
    }

    /// What there was before the machine was reset, if it was.
    fn take_over(&mut self, why: Option<Fault>) {
        let before = self.record.take_over(&mut self.kernel);
        self.begin_anew(why.or(before.map(|_| Fault::Reset)));
        let act = safe_action(self.plan, self.trace);
        self.record.make_safe_again(&mut self.kernel, act);
    }

    /// The image begins, once more where there is a reason for that.
    fn begin_anew(&mut self, why: Option<Fault>) {
        let (now, boot) = (self.time.now(), self.record.begin());
        if let Some(why) = why {
            self.kernel.note_reset(why, boot, now);
            self.trace.text(b"koboshi: begins anew ").number(boot).text(b" because ").number(why.code().into());
            self.trace.text(b" incidents ").number(self.kernel.incidents().count());
            self.trace.text(b" given up ").hex(self.kernel.given_up() as u32).end();
        }
        self.record.save(&mut self.kernel);
    }

    fn start_all(&mut self) {
        let now = self.time.now();
        match self.plan.manager {
            Some(manager) => self.start_one(manager, now),
            None => (0..self.plan.components.len() as u8).for_each(|at| self.start_one(ComponentId(at), now)),
        }
    }

    fn start_one(&mut self, id: ComponentId, now: Nanoseconds) {
        // It is not alive: nobody was ever started.
        let _started = self.kernel.start(id, Begin::Fresh, now);
    }

    /// The image begins anew: all memory that components write is cleared. Who starts is loaded by whoever has called this, for a
    /// circle of calls would have no bound on the stack.
    pub(super) fn reboot(&mut self) {
        let now = self.time.now();
        self.trace.text(b"koboshi: reboot").end();
        // Whoever commands it is alive; the kernel does it by itself when the restart manager is dead for good.
        let alive = |id| self.kernel.standing(id).is_some_and(|(state, _)| state.alive());
        let why = if self.plan.manager.is_none_or(alive) { Fault::Rebooted } else { Fault::ManagerDied };
        self.kernel.reboot(now);
        let halted = self.kernel.take_actions().halt;
        each(halted & kernel::all(self.plan.components.len()), |id| self.halted(id));
        clear(self.plan);
        self.turns = [Turn::NOBODYS; MAX_VCPUS];
        self.begin_anew(Some(why));
        self.start_all();
    }
}
