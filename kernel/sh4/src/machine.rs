//! The machine: what a trap does, and who runs after it.
//!
//! Job: turn exceptions and interrupts into calls of the core, carry out what the core wants done, and choose the context
//! to go on with.

use core::mem::{MaybeUninit, offset_of};
use core::slice;

use koboshi_core::incident::Incident;
use koboshi_core::kernel::{Actions, Command, Denied, Kernel, Life, Line, Port, Record, Tables};
use koboshi_core::knock::Knock;
use koboshi_core::life::{Begin, Fault};
use koboshi_core::place::{FILE, Registers};
use koboshi_core::record::{Half, Sealed, ServiceRecord, StreamRecord};
use koboshi_core::ring::Geometry;
use koboshi_core::schedule::MAX_VCPUS;
use koboshi_core::sync::{AtomicU32, Ordering};
use koboshi_core::{ComponentId, NEVER, Nanoseconds};
use koboshi_sh4_abi::{self as abi, WAITS, answer, call, command, words};

use crate::interrupts::Chip;
use crate::memory;
use crate::plan::{ComponentPlan, Plan, PortEnd, PortPlan, Region, Reset, Rights, Width};
use crate::record::Record as Survivor;
use crate::registers::{self as register, Byte, Long, Short};
use crate::time::Time;
use crate::trace::Trace;
use crate::watchdog::Signs;

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
static NOTHING: Region = Region { start: 0, length: 0, rights: Rights::Read };

/// SR in user mode: interrupts come, and the FPU is off, for nobody would save its registers.
const USER: u32 = 1 << 15;
/// SR of the idle loop: privileged, interrupts come.
const IDLE: u32 = 1 << 30 | 1 << 15;

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

/// How long a component that is to be ended may take to close its window. A window has some hundred instructions.
const WINDOW_WITHIN: Nanoseconds = 50_000;

/// The longest text that is shown of a component.
const LONGEST_TEXT: u32 = 200;

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
    idle: *mut Context,
    /// Who runs; `None`: nobody has anything to do.
    current: Option<ComponentId>,
    trace: Trace,
    time: Time,
    kernel: Kernel<'static>,
    record: Survivor,
    /// What keeps the board's watchdog quiet.
    signs: Signs,
    /// On each VCPU: who has the turn there, and until when.
    turns: [Turn; MAX_VCPUS],
    /// Somebody is to be ended and has a window open: it alone runs, until then.
    closing: Option<Closing>,
}

// SAFETY: its pointers are to memory that is its own alone, and there is one processor.
unsafe impl Send for Machine {}

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
        idle: &raw mut storage.idle,
        time,
        record: Survivor::new(plan.record, plan.identity),
        trace,
        signs,
        current: None,
        turns: [Turn::NOBODYS; MAX_VCPUS],
        closing: None,
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

/// What follows a call.
enum Then {
    /// Nothing has changed for anybody: whoever has called goes on.
    GoesOn,
    /// Whoever is the next one goes on; it is that late.
    Next(Nanoseconds),
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

    /// Whoever runs did what it cannot do.
    #[inline(never)]
    fn excepted(&mut self, event: u32) {
        let address = register::TEA.read();
        let Some(id) = self.current else {
            // The idle loop cannot fault.
            stop();
        };
        let on_guard = self.component(id).is_some_and(|component| {
            component.guards.iter().any(|(start, length)| address.wrapping_sub(*start) < *length)
        });
        let fault = match event {
            event::MISS_READ | event::MISS_WRITE if on_guard => Fault::Stack,
            event::MISS_READ
            | event::MISS_WRITE
            | event::PROTECTION_READ
            | event::PROTECTION_WRITE
            | event::ADDRESS_READ
            | event::ADDRESS_WRITE => Fault::Access { address },
            // Illegal, in a delay slot or not; the FPU, which nobody has.
            _ => Fault::IllegalInstruction,
        };
        // Only of some is it an address that was touched.
        let address = if matches!(fault, Fault::IllegalInstruction) { 0 } else { address };
        self.fault(id, fault, event, address);
    }

    /// Ends an incarnation, and shows where it was.
    fn fault(&mut self, id: ComponentId, fault: Fault, event: u32, address: u32) {
        let name = self.name(id);
        let trace = self.trace;
        if let Some(context) = self.context(id) {
            trace.text(b"koboshi: fault ").text(name.as_bytes()).text(b" ").number(fault.code().into());
            trace.text(b" pc ").hex(context.spc).text(b" pr ").hex(context.pr);
            trace.text(b" event ").hex(event).text(b" address ").hex(address).text(b" r");
            context.r.iter().for_each(|register| {
                trace.text(b" ").hex(*register);
            });
            trace.end();
        }
        let now = self.time.now();
        self.kernel.fault(id, fault, now);
        self.note_place(id, event, address);
    }

    /// Notes where an incarnation was that has ended, and what its registers were, unless that is known already. They are there
    /// until the next one is loaded.
    fn note_place(&mut self, id: ComponentId, event: u32, address: u32) {
        let contexts = self.contexts;
        let Some(incident) = self.kernel.incident_of(id).filter(|incident| incident.at.pc | incident.at.event == 0)
        else {
            return;
        };
        // SAFETY: as in `context`: an incident is that of a component.
        let context = unsafe { &mut *contexts.wrapping_add(id.index()) };
        let at = &mut incident.at;
        (at.pc, at.returns_to, at.event, at.address) = (context.spc, context.pr, event, address);
        context.ended = Registers { epoch: incident.epoch, r: context.r };
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

    /// A `trapa` of whoever runs, which is no wait.
    #[inline(never)]
    fn called(&mut self, number: u32) -> Then {
        let Some(id) = self.current else { stop() };
        let Some(context) = self.context(id) else { stop() };
        let [_, _, _, _, a, b, c, ..] = context.r;
        let mut now = None;
        let result = match number {
            call::RING => {
                let at = self.time.now();
                self.ring(id, a, at);
                return Then::Next(at);
            }
            call::NOTHING => return Then::GoesOn,
            call::NOW => Some(self.time.now()),
            call::ACKNOWLEDGE => {
                self.acknowledge(id, a);
                return Then::GoesOn;
            }
            call::DOWN => Some(self.kernel.down_for(id)),
            call::FACTS => self.facts(id, a, b).map(Into::into),
            call::INCIDENT => self.incident(id, a, b).map(Into::into),
            call::REGISTERS => self.registers_of(id, a, b).map(Into::into),
            call::LOG => {
                self.log(id, a, b);
                None
            }
            _ => {
                let at = self.time.now();
                now = Some(at);
                self.called_rarely(id, number, [a, b, c], at)
            }
        };
        if let (Some(result), Some(context)) = (result, self.context(id)) {
            let [low, high, ..] = &mut context.r;
            *low = result as u32;
            *high = (result >> 32) as u32;
        }
        match now {
            // It may have asked for what it has no right to.
            None if self.kernel.has_actions() => Then::Next(self.time.now()),
            None => Then::GoesOn,
            Some(at) => Then::Next(at),
        }
    }

    /// The calls after which others may have their turn; gives its result, if it has one.
    #[inline(never)]
    fn called_rarely(&mut self, id: ComponentId, number: u32, [a, b, c]: [u32; 3], now: Nanoseconds) -> Option<u64> {
        match number {
            call::BLAME => {
                let Ok(port) = u8::try_from(a) else { return Some(0) };
                let may = self.kernel.component(id).is_some_and(|component| component.rights.blame);
                if may && self.behind(id, port).is_some_and(|peer| self.must_close_first(peer, Some(id), now)) {
                    self.again(id);
                    return None;
                }
                return Some(self.kernel.blame(id, port, b, c, now).into());
            }
            call::COMMAND => return self.command(id, a, b, c, now).map(Into::into),
            call::EXIT => {
                self.log(id, a, b);
                self.fault(id, Fault::Exit, event::TRAPA, 0);
            }
            call::PANIC => {
                self.show_text(id, b" panics at ", a, b).text(b":").number(c).end();
                self.fault(id, Fault::Panic, event::TRAPA, 0);
                self.note_panic(id, a, b, c);
            }
            // Whatever the window's word says: who says so again and again must not get more time by that.
            call::WINDOW_CLOSED => self.end_window(id),
            call::TRANSLATED.. => self.fault(id, Fault::Panic, event::TRAPA, 0),
            // No such call: as an instruction that does not exist.
            _ => self.fault(id, Fault::IllegalInstruction, event::TRAPA, 0),
        }
        None
    }

    /// The call is made again when whoever made it goes on.
    fn again(&mut self, id: ComponentId) {
        if let Some(context) = self.context(id) {
            context.spc = context.spc.wrapping_sub(2);
        }
    }

    /// Who is behind a component's port.
    fn behind(&self, id: ComponentId, port: u8) -> Option<ComponentId> {
        let port = self.plan.descriptions.get(id.index())?.ports.get(usize::from(port))?;
        let port = self.plan.ports.get(usize::from(port.0))?;
        Some(if port.near.component == id { port.far.component } else { port.near.component })
    }

    /// The context of whoever runs.
    fn running(&mut self) -> *mut Context {
        match self.current {
            Some(id) => self.contexts.wrapping_add(id.index()),
            None => self.idle,
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

    #[inline(never)]
    fn acknowledge(&mut self, id: ComponentId, number: u32) {
        let Ok(short) = u8::try_from(number) else { return };
        self.kernel.acknowledge(id, short);
        let line = self.plan.descriptions.get(id.index()).and_then(|component| component.lines.get(number as usize));
        if let Some(line) = line {
            self.show_line(line.0);
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

    /// Where a component wants words; without them it has no right to ask.
    fn room(&mut self, id: ComponentId, address: u32, count: usize) -> Option<&'static [AtomicU32]> {
        let regions = self.component(id)?.regions;
        let room = memory::wanted(regions, address, count as u32);
        if room.is_none() {
            self.fault(id, Fault::Access { address }, event::TRAPA, address);
        }
        room
    }

    #[inline(never)]
    fn facts(&mut self, id: ComponentId, of: u32, to: u32) -> Option<u32> {
        let room = self.room(id, to, words::FACTS)?;
        let Ok(of) = u8::try_from(of) else { return Some(answer::UNKNOWN) };
        Some(match self.kernel.facts_for(id, ComponentId(of)) {
            Ok(facts) => {
                words::put_facts(&facts, room);
                answer::DONE
            }
            Err(denied) => answer_of(denied),
        })
    }

    #[inline(never)]
    fn incident(&mut self, id: ComponentId, number: u32, to: u32) -> Option<u32> {
        let room = self.room(id, to, words::INCIDENT)?;
        let may = self.kernel.component(id).is_some_and(|component| component.rights.facts);
        let Some(incident) = self.kernel.incidents().first_from(number).filter(|_| may) else { return Some(0) };
        words::put_incident(incident, room);
        Some(1)
    }

    #[inline(never)]
    fn registers_of(&mut self, id: ComponentId, of: u32, to: u32) -> Option<u32> {
        let room = self.room(id, to, words::REGISTERS)?;
        let may = self.kernel.component(id).is_some_and(|component| component.rights.facts);
        let of = ComponentId(u8::try_from(of).unwrap_or(u8::MAX));
        let Some(context) = self.context(of).filter(|context| may && context.ended.epoch != 0) else { return Some(0) };
        words::put_registers(&context.ended, room);
        Some(1)
    }

    fn command(&mut self, id: ComponentId, target: u32, number: u32, argument: u32, now: Nanoseconds) -> Option<u32> {
        let Ok(target) = u8::try_from(target).map(ComponentId) else { return Some(answer::UNKNOWN) };
        let fault = Fault::of_code(argument as u8, 0).unwrap_or(Fault::Told);
        let wanted = match number {
            command::START => Command::Start,
            command::END => Command::End(fault),
            command::END_REPORTED => Command::EndReported(fault, (argument >> 8) as u8),
            command::STOP => Command::Stop,
            command::BACK_OFF => Command::BackOff,
            command::GIVE_UP => Command::GiveUp,
            command::REBOOT => Command::Reboot,
            command::WAKE => Command::Wake,
            command::KNOCK => match Knock::of_code(argument as u8).filter(|_| cfg!(feature = "knocks")) {
                Some(how) => Command::Knock(how),
                None => return Some(answer::UNKNOWN),
            },
            _ => return Some(answer::RIGHT),
        };
        let ends = matches!(wanted, Command::End(_) | Command::EndReported(..) | Command::Stop | Command::GiveUp);
        // Whoever may not end it must not even make it close its window: it would run before everybody else for that.
        let may = self.kernel.component(id).is_some_and(|component| component.rights.control & target.bit() != 0);
        if ends && may && target != id && self.must_close_first(target, Some(id), now) {
            self.again(id);
            return None;
        }
        let done = self.kernel.command_for(id, target, wanted, now);
        if let (Command::Knock(how), Ok(()), Some(component)) = (wanted, done, self.component(target)) {
            let word = &memory::view(component.view).knock;
            let count = (word.load(Ordering::Relaxed) | 0xFF).wrapping_add(1);
            word.store(count | u32::from(how.code()), Ordering::Relaxed);
        }
        self.show(target);
        Some(done.map_or_else(answer_of, |()| answer::DONE))
    }

    /// Whether a component that is to be ended has a window open. Then it alone runs until it has closed it; but not longer
    /// than [`WINDOW_WITHIN`].
    fn must_close_first(&mut self, id: ComponentId, by: Option<ComponentId>, now: Nanoseconds) -> bool {
        let Some(component) = self.component(id) else { return false };
        let alive = self.kernel.standing(id).is_some_and(|(state, _)| state.alive());
        if !alive || memory::word(component.window).load(Ordering::Relaxed) == 0 {
            return false;
        }
        let closing = match self.closing {
            Some(closing) if closing.who == id => closing,
            _ => Closing { who: id, until: now.saturating_add(WINDOW_WITHIN), by },
        };
        let wait = now < closing.until;
        self.closing = wait.then_some(closing);
        memory::view(component.view).end_wanted.store(wait.into(), Ordering::Relaxed);
        wait
    }

    /// A component came to its wait: no window outlasts that. Else it would be run alone while it has nothing to do, and what
    /// is known of its time would be taken for that of a later window.
    #[inline(never)]
    fn end_window(&mut self, id: ComponentId) {
        if let Some(component) = self.component(id) {
            memory::word(component.window).store(0, Ordering::Relaxed);
        }
        self.window_closed(id);
    }

    fn window_closed(&mut self, id: ComponentId) {
        self.closing = self.closing.filter(|closing| closing.who != id);
        if let Some(component) = self.component(id) {
            memory::view(component.view).end_wanted.store(0, Ordering::Relaxed);
        }
    }

    #[inline(never)]
    fn log(&mut self, id: ComponentId, text: u32, length: u32) {
        self.show_text(id, b" says ", text, length).end();
    }

    /// Notes where a component panicked, as it says. Of the file's name the end counts.
    fn note_panic(&mut self, id: ComponentId, file: u32, length: u32, line: u32) {
        let longest = length.min(FILE as u32 + 1);
        let regions = self.component(id).map_or(&[][..], |component| component.regions);
        let name = memory::shown(regions, file.wrapping_add(length.wrapping_sub(longest)), longest, longest);
        if let Some(incident) = self.kernel.incident_of(id) {
            incident.at.panicked(name.unwrap_or(b"?"), line);
        }
    }

    fn show_text(&mut self, id: ComponentId, what: &[u8], text: u32, length: u32) -> Trace {
        let regions = self.component(id).map_or(&[][..], |component| component.regions);
        let text = memory::shown(regions, text, length, LONGEST_TEXT).unwrap_or(b"?");
        self.trace.text(b"koboshi: ").text(self.name(id).as_bytes()).text(what).text(text)
    }

    /// Deadlines that have passed: alarms, and components that are stuck.
    #[inline(never)]
    fn expire(&mut self, now: Nanoseconds) {
        while self.kernel.no_deadline_before() <= now {
            if let Some(stuck) = self.kernel.stuck(now)
                && self.must_close_first(stuck, None, now)
            {
                return;
            }
            self.kernel.expire(now);
        }
    }

    /// Carries out what the core wants done.
    #[inline(never)]
    fn carry_out(&mut self) {
        loop {
            let actions = self.kernel.take_actions();
            if actions == Actions::default() {
                return;
            }
            each(actions.halt, |id| self.halted(id));
            if actions.halt | actions.safe != 0 {
                // Whatever comes of a safe action: why it was taken is known.
                let act = safe_action(self.plan, self.trace);
                self.record.make_safe(&mut self.kernel, actions.safe, act);
            }
            if actions.reboot {
                self.reboot();
                continue;
            }
            each(actions.load, |id| self.load(id));
        }
    }

    fn halted(&mut self, id: ComponentId) {
        self.give_way(id);
        self.note_place(id, 0, 0);
        if let Some((_, epoch)) = self.kernel.standing(id) {
            let fault = self.kernel.last_fault(id).map_or(0, |fault| fault.code().into());
            let trace = self.trace.text(b"koboshi: ends ").text(self.name(id).as_bytes()).text(b" ").number(epoch);
            trace.text(b" fault ").number(fault).end();
        }
        // It has ended; or the one has who wanted it to end.
        if let Some(closing) = self.closing.filter(|closing| closing.who == id || closing.by == Some(id)) {
            self.window_closed(closing.who);
        }
        self.show_lines(id);
        self.show(id);
    }

    fn show_lines(&mut self, id: ComponentId) {
        let lines = self.plan.descriptions.get(id.index()).map_or(&[][..], |component| component.lines);
        lines.iter().for_each(|line| self.show_line(line.0));
    }

    /// Makes a component's memory begin anew, and lets it begin.
    fn load(&mut self, id: ComponentId) {
        let Some(plan) = self.component(id) else { return };
        plan.resets.iter().for_each(memory::reset);
        let view = memory::view(plan.view);
        let epoch = self.kernel.standing(id).map_or(0, |(_, epoch)| epoch);
        let begin = self.kernel.begin(id).map_or(0, abi::begin_in_words);
        view.epoch.store(epoch, Ordering::Relaxed);
        view.begin.store(begin, Ordering::Relaxed);
        view.end_wanted.store(0, Ordering::Relaxed);
        view.knock.store(0, Ordering::Relaxed);
        memory::word(plan.window).store(0, Ordering::Relaxed);
        if let Some(context) = self.context(id) {
            *context = Context { regions: context.regions, ended: context.ended, ..Context::EMPTY };
            context.spc = plan.entry;
            context.ssr = USER;
            context.gbr = plan.shadow;
            let [_, _, _, _, first, .., stack] = &mut context.r;
            *first = plan.view;
            *stack = plan.stack;
        }
        self.trace.text(b"koboshi: starts ").text(self.name(id).as_bytes()).text(b" ").number(epoch).end();
        self.show_lines(id);
        self.show(id);
    }

    /// Tells a component's peers, in their pages, where it stands.
    fn show(&mut self, id: ComponentId) {
        let Some((state, epoch)) = self.kernel.standing(id) else { return };
        let Some(component) = self.plan.descriptions.get(id.index()) else { return };
        for port in component.ports {
            let Some(port) = self.plan.ports.get(usize::from(port.0)) else { continue };
            let PortEnd { component: peer, port: number, .. } =
                if port.near.component == id { port.far } else { port.near };
            let Some(peer) = self.component(peer) else { continue };
            if let Some(shown) = memory::view(peer.view).ports.get(usize::from(number)) {
                let waits = if port.waits { WAITS } else { 0 };
                shown.peer_epoch.store(epoch, Ordering::Relaxed);
                shown.peer_state.store(abi::state_in_words(state) | waits, Ordering::Relaxed);
            }
        }
    }

    /// The image begins anew: all memory that components write is cleared. Who starts is loaded by whoever has called this, for a
    /// circle of calls would have no bound on the stack.
    fn reboot(&mut self) {
        let now = self.time.now();
        self.trace.text(b"koboshi: reboot").end();
        // Whoever commands it is alive; the kernel does it by itself when the restart manager is dead for good.
        let alive = |id| self.kernel.standing(id).is_some_and(|(state, _)| state.alive());
        let why = if self.plan.manager.is_none_or(alive) { Fault::Rebooted } else { Fault::ManagerDied };
        self.kernel.reboot(now);
        let halted = self.kernel.take_actions().halt;
        each(halted & all(self.plan.components.len()), |id| self.halted(id));
        clear(self.plan);
        self.turns = [Turn::NOBODYS; MAX_VCPUS];
        self.begin_anew(Some(why));
        self.start_all();
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
        let Some(turn) = self.turns.get_mut(usize::from(vcpu)) else { return self.idle };
        if turn.of == NOBODY || now >= turn.until {
            // Who is ready there has a turn.
            let Some(id) = self.kernel.dispatch_on(vcpu, now) else { return self.idle };
            *turn = Turn { of: id.0, until: now.saturating_add(self.plan.quantum) };
        }
        let (id, until) = (ComponentId(turn.of), turn.until);
        self.resume(id, wake.min(until), now)
    }

    /// Nobody has anything to do.
    #[inline(never)]
    fn idle(&mut self, wake: Nanoseconds, now: Nanoseconds) -> *mut Context {
        self.current = None;
        if self.record.is_old(&self.kernel) {
            self.record.save(&mut self.kernel);
        }
        self.time.wake_at(wake, now);
        self.idle
    }

    /// This one goes on, until `wake` at the longest.
    fn resume(&mut self, id: ComponentId, wake: Nanoseconds, now: Nanoseconds) -> *mut Context {
        self.current = Some(id);
        self.time.wake_at(wake, now);
        register::PTEH.write(u32::from(id.0) + 1);
        self.contexts.wrapping_add(id.index())
    }
}

/// What takes the safe action of a component.
fn safe_action(plan: &'static Plan, trace: Trace) -> impl FnMut(ComponentId) {
    move |id| {
        let Some(component) = plan.components.get(id.index()) else { return };
        for write in component.safe {
            match write.width {
                Width::Byte => Byte(write.address).write(write.value as u8),
                Width::Half => Short(write.address).write(write.value as u16),
                Width::Word => Long(write.address).write(write.value),
            }
        }
        let name = plan.descriptions.get(id.index()).map_or("?", |component| component.name);
        trace.text(b"koboshi: safe ").text(name.as_bytes()).end();
    }
}

const fn answer_of(denied: Denied) -> u32 {
    match denied {
        Denied::Unknown => answer::UNKNOWN,
        Denied::Right => answer::RIGHT,
        Denied::State(state) => answer::STATE | abi::state_in_words(state),
    }
}

/// The set of the first so many components.
const fn all(count: usize) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}

/// Does something with each component of a set.
pub(crate) fn each(set: u64, mut act: impl FnMut(ComponentId)) {
    let mut rest = set;
    while rest != 0 {
        act(ComponentId(rest.trailing_zeros() as u8));
        rest &= rest.wrapping_sub(1);
    }
}
