//! How an incarnation ends and the next one begins: faults, windows that must be closed first, and what the core wants done.

use koboshi_core::kernel::Actions;
use koboshi_core::life::Fault;
use koboshi_core::place::Registers;
use koboshi_core::sync::Ordering;
use koboshi_core::{ComponentId, Nanoseconds};
use koboshi_sh4_abi::{self as abi, WAITS};

use super::{Closing, Context, Machine, each, event, stop};
use crate::memory;
use crate::plan::{Plan, PortEnd, Width};
use crate::registers::{self as register, Byte, Long, Short};
use crate::trace::Trace;

/// SR in user mode: interrupts come, and the FPU is off, for nobody would save its registers.
const USER: u32 = 1 << 15;

/// How long a component that is to be ended may take to close its window. A window has some hundred instructions.
const WINDOW_WITHIN: Nanoseconds = 50_000;

impl Machine {
    /// Whoever runs did what it cannot do.
    #[inline(never)]
    pub(super) fn excepted(&mut self, event: u32) {
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
    pub(super) fn fault(&mut self, id: ComponentId, fault: Fault, event: u32, address: u32) {
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

    /// Whether a component that is to be ended has a window open. Then it alone runs until it has closed it; but not longer
    /// than [`WINDOW_WITHIN`].
    pub(super) fn must_close_first(&mut self, id: ComponentId, by: Option<ComponentId>, now: Nanoseconds) -> bool {
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
    pub(super) fn end_window(&mut self, id: ComponentId) {
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

    /// Deadlines that have passed: alarms, and components that are stuck.
    #[inline(never)]
    pub(super) fn expire(&mut self, now: Nanoseconds) {
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
    pub(super) fn carry_out(&mut self) {
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

    pub(super) fn halted(&mut self, id: ComponentId) {
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

    /// Makes a component's memory begin anew, and lets it begin.
    fn load(&mut self, id: ComponentId) {
        let Some(plan) = self.component(id) else { return };
        plan.resets.iter().for_each(memory::reset);
        let entry = plan.rooms.map_or(Some(plan.entry), |rooms| self.load_from_room(id, rooms));
        let view = memory::view(plan.view);
        let epoch = self.kernel.standing(id).map_or(0, |(_, epoch)| epoch);
        let begin = self.kernel.begin(id).map_or(0, abi::begin_in_words);
        view.epoch.store(epoch, Ordering::Relaxed);
        view.begin.store(begin, Ordering::Relaxed);
        view.end_wanted.store(0, Ordering::Relaxed);
        view.knock.store(0, Ordering::Relaxed);
        view.quiesces.store(0, Ordering::Relaxed);
        memory::word(plan.window).store(0, Ordering::Relaxed);
        if let Some(context) = self.context(id) {
            *context = Context { regions: context.regions, ended: context.ended, ..Context::EMPTY };
            // What says no place to begin at begins where nobody may.
            context.spc = entry.unwrap_or(0);
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
    pub(super) fn show(&mut self, id: ComponentId) {
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

    fn show_lines(&mut self, id: ComponentId) {
        let lines = self.plan.descriptions.get(id.index()).map_or(&[][..], |component| component.lines);
        lines.iter().for_each(|line| self.show_line(line.0));
    }
}

/// What takes the safe action of a component.
pub(super) fn safe_action(plan: &'static Plan, trace: Trace) -> impl FnMut(ComponentId) {
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
