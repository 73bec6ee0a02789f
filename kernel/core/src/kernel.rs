//! The kernel: components, ports, interrupt lines and time under one roof.
//!
//! Job: the mechanism of recovery. It notices faults, seals, stops and starts, rings doorbells, keeps deadlines, and
//! says who runs next. A platform calls it at each trap or tick and afterwards carries out [`Kernel::take_actions`].
//!
//! It must never decide *whether* to restart anybody: that is policy. One rule is its own, because nobody else is left
//! to decide: the restart manager itself is started again at once, and when it dies [`MANAGER_DEATHS`] times in
//! [`MANAGER_PERIOD`] without progress, the image reboots.

mod swap;

pub use crate::tables::{Actions, Command, Component, Denied, Peer, Port, Record, Rights, Swappable, Tables, Version};

use self::swap::Swap;
pub use self::swap::SwapPhase;

use core::ops::Range;

use crate::incident::{CutShort, Incident, Incidents, Noticed};
use crate::life::{Begin, Facts, Fault, History, State};
use crate::record::{InHand, Seal, Sealed};
use crate::ring::KERNEL_EPOCH;
use crate::schedule::Schedule;
use crate::timer::Timers;
use crate::{ComponentId, LineId, NEVER, Nanoseconds, PortId};

/// Fruitless deaths of the restart manager in [`MANAGER_PERIOD`] that reboot the image.
pub const MANAGER_DEATHS: u32 = 3;

/// The period of [`MANAGER_DEATHS`].
pub const MANAGER_PERIOD: Nanoseconds = 10_000_000_000;

/// What the kernel keeps of a component.
#[derive(Clone, Copy, Debug)]
// In this order, for an SH-4 reaches bytes and words near a structure's beginning by shorter instructions.
#[repr(C)]
pub struct Life {
    state: State,
    begin: Option<Begin>,
    /// Its VCPU: as in its description, but nearer.
    vcpu: u8,
    /// A doorbell, an interrupt or an alarm that it has not looked at.
    signalled: bool,
    /// It was given the processor and has not come back to its wait.
    away: bool,
    /// It has rung a peer: its first answer, or its first item.
    answered: bool,
    /// A command was given: the restart manager's kind of progress.
    commanded: bool,
    /// Which of its two places its code comes from.
    place: u8,
    /// The other place has a version to which there is a way back.
    has_before: bool,
    /// Its bound, as in its description.
    respond_within: Nanoseconds,
    epoch: u32,
    fruitless_in_a_row: u32,
    /// The incident that its present incarnation recovers from.
    incident: Option<u32>,
    /// When it was given the processor last.
    called_at: Nanoseconds,
    fault: Option<Fault>,
    failed_at: Nanoseconds,
    down_since: Option<Nanoseconds>,
    swap: Swap,
    starts: History,
    fruitless: History,
}

impl Life {
    /// Of one that was never started.
    pub const NEW: Life = Life {
        state: State::Absent,
        epoch: 0,
        begin: None,
        vcpu: 0,
        respond_within: 0,
        signalled: false,
        away: false,
        called_at: 0,
        fault: None,
        failed_at: 0,
        down_since: None,
        starts: History::EMPTY,
        fruitless: History::EMPTY,
        fruitless_in_a_row: 0,
        incident: None,
        answered: false,
        commanded: false,
        place: 0,
        has_before: false,
        swap: Swap::None,
    };
}

impl Default for Life {
    fn default() -> Self {
        Self::NEW
    }
}

/// What the kernel keeps of an interrupt line.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    owner: ComponentId,
    masked: bool,
    delivered: bool,
}

impl Line {
    /// A line of this owner, masked until the owner lives.
    #[must_use]
    pub const fn new(owner: ComponentId) -> Self {
        Line { owner, masked: true, delivered: false }
    }
}

/// The kernel.
// As in [`Life`]: what is large is last.
#[repr(C)]
pub struct Kernel<'a> {
    lives: &'a mut [Life],
    components: &'a [Component<'a>],
    ports: &'a [Port<'a>],
    sealed: &'a mut [Sealed],
    lines: &'a mut [Line],
    manager: Option<ComponentId>,
    /// There are actions: a look at one byte.
    has_actions: bool,
    /// Those who are neither alive, nor stopped, nor given up.
    down: u64,
    actions: Actions,
    incidents: Incidents<'a>,
    schedule: Schedule,
    timers: Timers,
}

impl<'a> Kernel<'a> {
    /// A kernel over these tables, or `None` if their lengths do not match or a table is too long.
    #[must_use]
    pub fn new(tables: Tables<'a>) -> Option<Self> {
        if tables.components.len() > crate::MAX_COMPONENTS
            || tables.lives.len() != tables.components.len()
            || tables.sealed.len() != tables.ports.len()
        {
            return None;
        }
        for (life, component) in tables.lives.iter_mut().zip(tables.components) {
            (life.vcpu, life.respond_within) = (component.vcpu, component.respond_within);
        }
        Some(Kernel {
            has_actions: false,
            down: all(tables.components.len()),
            components: tables.components,
            lives: tables.lives,
            ports: tables.ports,
            sealed: tables.sealed,
            lines: tables.lines,
            incidents: Incidents::new(tables.incidents),
            manager: tables.manager,
            schedule: Schedule::default(),
            timers: Timers::new(),
            actions: Actions::default(),
        })
    }

    /// What the platform must do now; the list is then empty.
    pub fn take_actions(&mut self) -> Actions {
        self.has_actions = false;
        core::mem::take(&mut self.actions)
    }

    /// Whether the platform must do anything: whether [`Kernel::take_actions`] has something to give.
    #[must_use]
    pub const fn has_actions(&self) -> bool {
        self.has_actions
    }

    /// The incidents since boot.
    #[must_use]
    pub const fn incidents(&self) -> &Incidents<'a> {
        &self.incidents
    }

    /// Numbers of incidents of which those that have changed since this was asked last are some; it ends at their count.
    pub fn take_changed_incidents(&mut self) -> Range<u32> {
        self.incidents.take_changed()
    }

    /// Whether there are any.
    #[must_use]
    pub const fn incidents_have_changed(&self) -> bool {
        self.incidents.have_changed()
    }

    /// An incident of an earlier life of the image: the oldest first, before anything else happens.
    pub fn take_over(&mut self, incident: Incident) {
        self.incidents.take_over(incident);
    }

    /// Those who were given up, as bits of [`ComponentId::bit`].
    #[must_use]
    pub fn given_up(&self) -> u64 {
        let given_up = (0u8..).zip(&*self.lives).filter(|(_, life)| life.state == State::GivenUp);
        given_up.fold(0, |set, (id, _)| set | ComponentId(id).bit())
    }

    /// Those were given up in an earlier life of the image, and stay so.
    pub fn keep_given_up(&mut self, set: u64) {
        let kept = (0u8..).zip(&mut *self.lives).filter(|(id, _)| set & ComponentId(*id).bit() != 0);
        kept.for_each(|(_, life)| life.state = State::GivenUp);
        self.down &= !set;
    }

    /// The image has begun anew, for the `boot`-th time, because of this: an incident of its own.
    pub fn note_reset(&mut self, why: Fault, boot: u32, now: Nanoseconds) {
        self.incidents.open(Incident { up_at: Some(now), ..Incident::new(ComponentId::IMAGE, boot, why, now) });
    }

    /// The description of a component.
    #[must_use]
    pub fn component(&self, id: ComponentId) -> Option<&'a Component<'a>> {
        self.components.get(id.index())
    }

    /// Why its present incarnation began.
    #[must_use]
    pub fn begin(&self, id: ComponentId) -> Option<Begin> {
        self.lives.get(id.index())?.begin
    }

    /// The facts about a component.
    #[must_use]
    pub fn facts(&self, id: ComponentId) -> Option<Facts> {
        self.lives.get(id.index()).map(|life| Facts {
            state: life.state,
            epoch: life.epoch,
            on_probation: life.swap.is_on_probation(),
            fault: life.fault,
            failed_at: life.failed_at,
            starts: life.starts,
            fruitless: life.fruitless,
            fruitless_in_a_row: life.fruitless_in_a_row,
            down_since: life.down_since,
            recover_within: self.component(id).and_then(|component| component.recover_within),
        })
    }

    /// The facts, asked for by a component.
    ///
    /// # Errors
    /// [`Denied`] without the right, or for no such component.
    pub fn facts_for(&self, from: ComponentId, of: ComponentId) -> Result<Facts, Denied> {
        let rights = self.component(from).ok_or(Denied::Unknown)?.rights;
        if rights.facts || from == of { self.facts(of).ok_or(Denied::Unknown) } else { Err(Denied::Right) }
    }

    /// Where a component stands, and its present or last epoch: of its facts what is asked for most.
    #[must_use]
    pub fn standing(&self, id: ComponentId) -> Option<(State, u32)> {
        self.lives.get(id.index()).map(|life| (life.state, life.epoch))
    }

    /// What ended a component's last incarnation.
    #[must_use]
    pub fn last_fault(&self, id: ComponentId) -> Option<Fault> {
        self.lives.get(id.index())?.fault
    }

    /// Those about whom somebody has to decide, asked for by a component: they are neither alive, nor stopped, nor given
    /// up. All, if it may not read facts.
    #[must_use]
    pub fn down_for(&self, from: ComponentId) -> u64 {
        if self.component(from).is_some_and(|component| component.rights.facts) { self.down } else { u64::MAX }
    }

    fn alive(&self, id: ComponentId) -> bool {
        self.lives.get(id.index()).is_some_and(|life| life.state.alive())
    }

    /// The other end of a component's port, and the port.
    #[inline(always)]
    fn across(&self, id: ComponentId, port: u8) -> Option<(ComponentId, PortId)> {
        let port_id = *self.component(id)?.ports.get(usize::from(port))?;
        let port = self.ports.get(usize::from(port_id.0))?;
        Some((if port.near == id { port.far } else { port.near }, port_id))
    }

    /// What a component sees of the peer behind its port.
    #[must_use]
    pub fn peer(&self, id: ComponentId, port: u8) -> Option<Peer> {
        let (peer, port) = self.across(id, port)?;
        let life = self.lives.get(peer.index())?;
        let waits = self.ports.get(usize::from(port.0))?.waits;
        Some(Peer { epoch: life.epoch, state: life.state, waits })
    }

    /// Starts a component that is not alive.
    ///
    /// # Errors
    /// [`Denied::State`] if it is alive.
    pub fn start(&mut self, id: ComponentId, begin: Begin, now: Nanoseconds) -> Result<u32, Denied> {
        let epoch = self.begin_life(id, begin, now)?;
        self.ring_peers(id);
        self.ring_manager(id);
        Ok(epoch)
    }

    /// [`Kernel::start`], without a word to anybody.
    fn begin_life(&mut self, id: ComponentId, begin: Begin, now: Nanoseconds) -> Result<u32, Denied> {
        let component = self.components.get(id.index()).ok_or(Denied::Unknown)?;
        let life = self.lives.get_mut(id.index()).ok_or(Denied::Unknown)?;
        if life.state.alive() {
            return Err(Denied::State(life.state));
        }
        // An epoch is never used twice: at the end of the numbers the component stays as it is.
        let next = life.epoch.checked_add(1).filter(|next| *next != KERNEL_EPOCH);
        life.epoch = next.ok_or(Denied::State(life.state))?;
        life.state = State::Starting;
        self.down &= !id.bit();
        life.begin = Some(begin);
        if begin == Begin::Fresh {
            // A new life: earlier deaths are not held against it.
            life.fruitless = History::EMPTY;
            life.fruitless_in_a_row = 0;
        }
        life.signalled = true;
        life.away = false;
        life.commanded = false;
        life.answered = false;
        life.starts.add(now);
        let epoch = life.epoch;
        let incident = life.incident;
        if let Some(number) = incident {
            self.incidents.change(number, |incident| incident.started_at = Some(now));
        }
        for line in component.lines {
            if let Some(line) = self.lines.get_mut(usize::from(line.0)) {
                line.masked = false;
                line.delivered = false;
            }
        }
        self.has_actions = true;
        self.actions.load |= id.bit();
        self.schedule.ready(life.vcpu, id);
        if life.swap.is_under_way() {
            self.begin_probation(id, now);
        }
        Ok(epoch)
    }

    /// Peers learn of a new epoch, or of a death, as they learn of anything: they are rung. Gives those who were.
    fn ring_peers(&mut self, id: ComponentId) -> u64 {
        let mut rung = 0;
        let Some(component) = self.components.get(id.index()) else {
            return rung;
        };
        for port in 0..component.ports.len() as u8 {
            if let Some((peer, _)) = self.across(id, port)
                && self.signal(peer)
            {
                rung |= peer.bit();
            }
        }
        rung
    }

    /// So does the restart manager of everybody. Gives the set of it, if it lives.
    fn ring_manager(&mut self, id: ComponentId) -> u64 {
        match self.manager.filter(|manager| *manager != id) {
            Some(manager) if self.signal(manager) => manager.bit(),
            _ => 0,
        }
    }

    /// Rings one component, if it lives.
    #[inline(never)]
    fn signal(&mut self, id: ComponentId) -> bool {
        self.signal_here(id)
    }

    /// [`Kernel::signal`], without a call.
    #[inline(always)]
    fn signal_here(&mut self, id: ComponentId) -> bool {
        let Some(life) = self.lives.get_mut(id.index()).filter(|life| life.state.alive()) else { return false };
        life.signalled = true;
        self.schedule.ready(life.vcpu, id);
        true
    }

    /// The platform itself wants a component to have a turn, though nothing has happened that concerns it.
    pub fn wake(&mut self, id: ComponentId) {
        self.signal(id);
    }

    /// A component rings the peer behind its port.
    #[inline(always)]
    pub fn ring(&mut self, from: ComponentId, port: u8, now: Nanoseconds) {
        let Some((peer, id)) = self.across(from, port) else {
            return;
        };
        let Some(life) = self.lives.get_mut(from.index()).filter(|life| life.state.alive()) else {
            return;
        };
        if !life.answered {
            self.answered_first(from, now);
        }
        if !self.signal_here(peer) {
            self.rang_nobody(from, peer, id);
        }
    }

    /// A component rang a peer that does not live.
    #[inline(never)]
    fn rang_nobody(&mut self, from: ComponentId, peer: ComponentId, port: PortId) {
        if self.refuses(peer, port) {
            self.answer_gone(peer, port);
            self.signal(from);
        }
    }

    /// A component rings a peer for the first time: it has answered. That may be before it comes to its first wait.
    #[inline(never)]
    fn answered_first(&mut self, id: ComponentId, now: Nanoseconds) {
        let Some(life) = self.lives.get_mut(id.index()) else { return };
        life.answered = true;
        life.down_since = None;
        if let Some(number) = life.incident {
            self.incidents.change(number, |incident| {
                incident.up_at.get_or_insert(now);
                incident.answered_at = Some(now);
            });
        }
    }

    /// An interrupt was raised on a line. It is masked until its owner acknowledges it.
    pub fn interrupt(&mut self, line: LineId) {
        let Some(entry) = self.lines.get_mut(usize::from(line.0)) else {
            return;
        };
        if !entry.masked {
            entry.masked = true;
            entry.delivered = true;
            let owner = entry.owner;
            self.signal(owner);
        }
    }

    /// Whether the platform must hold this line back.
    #[must_use]
    pub fn masked(&self, line: LineId) -> bool {
        self.lines.get(usize::from(line.0)).is_none_or(|line| line.masked)
    }

    /// Whether an interrupt was delivered on a component's line and not acknowledged.
    #[must_use]
    pub fn delivered(&self, id: ComponentId, line: u8) -> bool {
        let line = self.component(id).and_then(|component| component.lines.get(usize::from(line)));
        line.and_then(|line| self.lines.get(usize::from(line.0))).is_some_and(|line| line.delivered)
    }

    /// The owner of a line acknowledges: the line is unmasked.
    pub fn acknowledge(&mut self, id: ComponentId, line: u8) {
        let owner = self.component(id).filter(|_| self.alive(id));
        let Some(line) = owner.and_then(|component| component.lines.get(usize::from(line))) else {
            return;
        };
        if let Some(line) = self.lines.get_mut(usize::from(line.0)) {
            line.masked = false;
            line.delivered = false;
        }
    }

    /// Whose turn it is. The platform runs it until it waits, faults or is preempted.
    pub fn dispatch(&mut self, now: Nanoseconds) -> Option<ComponentId> {
        self.dispatch_on(self.schedule.highest()?, now)
    }

    /// The same on this VCPU, which is the highest one that has something to do.
    #[inline(always)]
    pub fn dispatch_on(&mut self, vcpu: u8, now: Nanoseconds) -> Option<ComponentId> {
        let id = self.schedule.turn_on(vcpu)?;
        let life = self.lives.get_mut(id.index())?;
        if !life.away {
            life.away = true;
            life.called_at = now;
            // What comes from here on, it may have missed.
            life.signalled = false;
            self.timers.set(id, now.saturating_add(life.respond_within));
        }
        Some(id)
    }

    /// The highest VCPU that has something to do.
    #[must_use]
    pub fn highest_ready(&self) -> Option<u8> {
        self.schedule.highest()
    }

    /// A component came back to its wait; `alarm` is when it wants to be woken at the latest.
    #[inline(always)]
    pub fn wait(&mut self, id: ComponentId, alarm: Nanoseconds, now: Nanoseconds) {
        let Some(life) = self.lives.get_mut(id.index()).filter(|life| life.state.alive()) else { return };
        life.away = false;
        if life.signalled || alarm <= now {
            life.signalled = true;
            self.timers.set(id, NEVER);
        } else {
            self.schedule.idle(life.vcpu, id);
            self.timers.set(id, alarm);
        }
        if life.state != State::Running || life.swap.is_under_way() {
            self.waits_unlike_most(id, alarm, now);
        }
    }

    /// A component came to its wait that has just begun, or whose swap is under way.
    #[inline(never)]
    fn waits_unlike_most(&mut self, id: ComponentId, alarm: Nanoseconds, now: Nanoseconds) {
        if self.lives.get(id.index()).is_some_and(|life| life.state == State::Starting) {
            self.came_up(id, now);
        }
        self.look_at_swap(id, alarm, now);
    }

    /// A component came to its wait for the first time.
    fn came_up(&mut self, id: ComponentId, now: Nanoseconds) {
        let Some(life) = self.lives.get_mut(id.index()) else { return };
        life.state = if matches!(life.swap, Swap::Quiescing(_)) { State::Quiescing } else { State::Running };
        life.down_since = None;
        if let Some(number) = life.incident {
            self.incidents.change(number, |incident| {
                incident.up_at.get_or_insert(now);
            });
        }
    }

    /// When [`Kernel::expire`] has something to do.
    pub fn next_deadline(&mut self) -> Nanoseconds {
        self.timers.earliest()
    }

    /// [`Kernel::expire`] has nothing to do before this. It may be before [`Kernel::next_deadline`], and costs less.
    #[inline]
    #[must_use]
    pub const fn no_deadline_before(&self) -> Nanoseconds {
        self.timers.none_before()
    }

    /// Whom [`Kernel::expire`] would end as stuck.
    pub fn stuck(&mut self, now: Nanoseconds) -> Option<ComponentId> {
        let id = self.timers.due(now)?;
        self.lives.get(id.index()).filter(|life| life.away).map(|_| id)
    }

    /// Handles one deadline that has passed: an alarm, or a component that is stuck. True if there was one.
    pub fn expire(&mut self, now: Nanoseconds) -> bool {
        let Some(id) = self.timers.due(now) else {
            return false;
        };
        self.timers.set(id, NEVER);
        match self.lives.get(id.index()).filter(|life| life.away) {
            Some(Life { called_at, .. }) => {
                let noticed = Noticed::Clock { called_at: *called_at };
                self.end(id, Fault::Stuck, noticed, now);
            }
            None => {
                // Whatever it was: its own alarm may have passed too, and is set anew when it comes back to its wait.
                self.signal(id);
                self.look_at_swap(id, NEVER, now);
            }
        }
        true
    }

    /// Takes a component from the processor and seals its halves. Its interrupts are masked.
    fn halt(&mut self, id: ComponentId) -> Seal {
        let mut seal = Seal::default();
        let Some(component) = self.components.get(id.index()) else {
            return seal;
        };
        self.count_given(id);
        let Some(life) = self.lives.get_mut(id.index()) else {
            return seal;
        };
        let epoch = life.epoch;
        life.away = false;
        life.signalled = false;
        self.schedule.idle(life.vcpu, id);
        self.timers.set(id, NEVER);
        self.has_actions = true;
        self.actions.halt |= id.bit();
        self.actions.load &= !id.bit();
        for line in component.lines {
            if let Some(line) = self.lines.get_mut(usize::from(line.0)) {
                line.masked = true;
                line.delivered = false;
            }
        }
        for port_id in component.ports {
            let at = usize::from(port_id.0);
            if let (Some(port), Some(sealed)) = (self.ports.get(at), self.sealed.get_mut(at)) {
                let mut found = match (&port.record, port.near == id) {
                    (Record::Service(record, _), true) => record.seal_client(sealed),
                    (Record::Service(record, contracts), false) => record.seal_server(sealed, *contracts, epoch),
                    (Record::Stream(record), true) => record.seal_producer(sealed),
                    (Record::Stream(record), false) => record.seal_consumer(sealed),
                };
                found.in_hand = found.in_hand.map(|request| InHand { port: *port_id, ..request });
                seal.add(found);
            }
        }
        // It may have died between a request and its doorbell, and nobody else would answer for a server that is gone.
        for port_id in component.ports {
            let far = self.ports.get(usize::from(port_id.0)).map(|port| port.far).filter(|far| *far != id);
            if let Some(far) = far {
                self.answer_gone(far, *port_id);
            }
        }
        seal
    }

    /// An incarnation ends with a fault that its platform noticed.
    pub fn fault(&mut self, id: ComponentId, fault: Fault, now: Nanoseconds) {
        self.end(id, fault, Noticed::Kernel, now);
    }

    /// The incident of the incarnation that ended last, for what its platform knows of its place.
    pub fn incident_of(&mut self, id: ComponentId) -> Option<&mut Incident> {
        self.incidents.of(self.lives.get(id.index())?.incident?)
    }

    fn end(&mut self, id: ComponentId, fault: Fault, noticed: Noticed, now: Nanoseconds) {
        self.end_for(id, fault, None, noticed, now);
    }

    /// The same, for what was written in this epoch.
    fn end_for(&mut self, id: ComponentId, fault: Fault, written_in: Option<u32>, noticed: Noticed, now: Nanoseconds) {
        if !self.alive(id) {
            return;
        }
        let seal = self.halt(id);
        let (Some(component), Some(life)) = (self.components.get(id.index()), self.lives.get_mut(id.index())) else {
            return;
        };
        life.state = State::Failed;
        self.down |= id.bit();
        life.fault = Some(fault);
        life.failed_at = now;
        let down_since = *life.down_since.get_or_insert(now);
        if let Some(number) = life.incident {
            self.incidents.cut_short(number, CutShort::DiedAgain, now);
        }
        let wrong = life.swap.is_wrong(fault, written_in);
        if seal.progressed || life.commanded {
            life.fruitless_in_a_row = 0;
        } else if fault != Fault::Told && !wrong && !life.swap.is_asked_for() {
            // An end on purpose says nothing about the one who was ended; and what another version does is not held against
            // the one that follows.
            life.fruitless.add(now);
            life.fruitless_in_a_row = life.fruitless_in_a_row.saturating_add(1);
        }
        let within = component.recover_within;
        let new = Incident::new(id, life.epoch, fault, now);
        let number = self.incidents.open(Incident { noticed, down_since, within, seal, ..new });
        life.incident = Some(number);
        let hopeless = life.fruitless_in_a_row >= MANAGER_DEATHS
            && life.fruitless.since(now.saturating_sub(MANAGER_PERIOD)) >= MANAGER_DEATHS;
        let told = self.ring_peers(id) | self.ring_manager(id);
        self.incidents.change(number, |incident| incident.told = told);
        if self.follows_another(id, wrong, number, now) {
            return;
        }
        if self.manager == Some(id) {
            if hopeless {
                self.has_actions = true;
                self.actions.reboot = true;
            } else {
                // Nobody else could: the kernel's one rule of its own.
                let _ = self.start(id, Begin::Recovered, now);
            }
        }
    }

    /// A client found the reply at `position`, written in `epoch`, malformed, or a reader the item: the producer's fault.
    ///
    /// True if the caller has the right to say so; then the peer's incarnation is over.
    pub fn blame(&mut self, from: ComponentId, port: u8, position: u32, epoch: u32, now: Nanoseconds) -> bool {
        let Some((peer, port)) = self.across(from, port) else {
            return false;
        };
        let noticed = Noticed::Blamed { by: from, port };
        if !self.alive(from) || !self.component(from).is_some_and(|component| component.rights.blame) {
            return false;
        }
        let living = self.lives.get(peer.index()).map(|life| life.epoch);
        if let Some(Port { near, record, .. }) = self.ports.get(usize::from(port.0)) {
            match record {
                // A complaint about what is not there any more, by one who is not there any more, is stale.
                Record::Service(record, _) if *near == from => {
                    if !record.take_back(position, epoch) && living != Some(epoch) {
                        return true;
                    }
                }
                Record::Service(record, _) => record.refuse_request(position),
                Record::Stream(record) if *near != from => record.refuse_item(position),
                Record::Stream(_) => {}
            }
        }
        if self.alive(peer) {
            self.end_for(peer, Fault::BadMessage, Some(epoch), noticed, now);
        } else {
            // The one who wrote it has been sealed already; sealing once more opens the request again.
            self.halt(peer);
            self.answer_gone(peer, port);
            self.ring_peers(peer);
            self.ring_manager(peer);
        }
        true
    }

    /// Whether whoever asks this server at this port is told that it is gone.
    fn refuses(&self, server: ComponentId, port: PortId) -> bool {
        let gone = self.lives.get(server.index()).is_some_and(|life| life.state.gone());
        gone && self.ports.get(usize::from(port.0)).is_some_and(|port| !port.waits)
    }

    /// Answers all that a server was asked at this port, for it is gone.
    fn answer_gone(&mut self, server: ComponentId, port: PortId) {
        if !self.refuses(server, port) {
            return;
        }
        let at = usize::from(port.0);
        let epoch = self.lives.get(server.index()).map_or(0, |life| life.epoch);
        if let (Some(port), Some(sealed)) = (self.ports.get(at), self.sealed.get_mut(at))
            && port.far == server
            && let Record::Service(record, _) = &port.record
        {
            record.answer_gone(sealed, epoch);
        }
    }

    /// Ends a component for good, as stopped or as given up.
    fn stop(&mut self, id: ComponentId, state: State, now: Nanoseconds) {
        if self.alive(id) {
            self.halt(id);
        }
        self.put_back(id, now);
        let Some(life) = self.lives.get_mut(id.index()) else {
            return;
        };
        if state == State::GivenUp && life.state != State::GivenUp {
            self.has_actions = true;
            self.actions.safe |= id.bit();
        }
        life.state = state;
        self.down &= !id.bit();
        life.down_since = None;
        if let Some(number) = life.incident.take() {
            let how = if state == State::GivenUp { CutShort::GivenUp } else { CutShort::Stopped };
            self.incidents.cut_short(number, how, now);
        }
        let Some(component) = self.components.get(id.index()) else {
            return;
        };
        for port in component.ports {
            self.answer_gone(id, *port);
        }
        self.ring_peers(id);
        self.ring_manager(id);
    }

    /// Ends all components, forgets what their halves said, and leaves them absent: the image begins anew.
    ///
    /// Epochs go on, incidents stay, and who was given up stays so: what it did to the image it would do again. The platform clears the memory of ports and of kept state.
    pub fn reboot(&mut self, now: Nanoseconds) {
        for at in 0..self.components.len() as u8 {
            let id = ComponentId(at);
            self.halt(id);
            self.put_back(id, now);
            if let Some(life) = self.lives.get_mut(id.index()) {
                if let Some(number) = life.incident {
                    self.incidents.cut_short(number, CutShort::Rebooted, now);
                }
                let state = if life.state == State::GivenUp { State::GivenUp } else { State::Absent };
                let Life { epoch, vcpu, respond_within, place, has_before, .. } = *life;
                *life = Life { epoch, state, vcpu, respond_within, place, has_before, ..Life::NEW };
            }
        }
        self.down = all(self.components.len()) & !self.given_up();
        self.sealed.fill(Sealed::default());
        self.has_actions = true;
        self.actions = Actions { halt: u64::MAX, ..Actions::default() };
    }

    /// Carries out a command of the platform itself, which needs no right.
    ///
    /// # Errors
    /// [`Denied`] for no such component, or one whose state does not allow it.
    pub fn command(&mut self, target: ComponentId, command: Command, now: Nanoseconds) -> Result<(), Denied> {
        self.carry_out(target, command, Noticed::Person, now)
    }

    fn carry_out(
        &mut self,
        target: ComponentId,
        command: Command,
        noticed: Noticed,
        now: Nanoseconds,
    ) -> Result<(), Denied> {
        let life = self.lives.get_mut(target.index()).ok_or(Denied::Unknown)?;
        let state = life.state;
        match command {
            Command::Start => {
                let begin = match state {
                    State::Failed | State::Backoff => Begin::Recovered,
                    _ => Begin::Fresh,
                };
                self.begin_life(target, begin, now)?;
                self.ring_peers(target);
                // The restart manager knows what it has commanded itself; to be told would cost it a turn, in the middle of a recovery.
                if !matches!(noticed, Noticed::Component { by } if Some(by) == self.manager) {
                    self.ring_manager(target);
                }
            }
            Command::End(fault) | Command::EndReported(fault, _) if state.alive() => {
                // What happens to the whole image is nobody's to say of one component.
                let fault = if fault.is_of_the_image() || fault == Fault::Swapped { Fault::Told } else { fault };
                self.end(target, fault, noticed, now);
            }
            Command::Stop => self.stop(target, State::Stopped, now),
            Command::BackOff if state == State::Failed => {
                life.state = State::Backoff;
                if let Some(number) = life.incident {
                    self.incidents.change(number, |incident| incident.backoff_at = Some(now));
                }
            }
            Command::GiveUp => self.stop(target, State::GivenUp, now),
            Command::Reboot => {
                self.has_actions = true;
                self.actions.reboot = true;
            }
            Command::Knock(_) if state.alive() => {}
            Command::Wake if state.alive() => {
                self.signal(target);
            }
            Command::Swap(version) => return self.swap(target, version, noticed, now),
            Command::End(_) | Command::EndReported(..) | Command::BackOff | Command::Knock(_) | Command::Wake => {
                return Err(Denied::State(state));
            }
        }
        Ok(())
    }

    /// Carries out a command of a component, if it has the right.
    ///
    /// # Errors
    /// [`Denied`], and nothing happened.
    pub fn command_for(
        &mut self,
        from: ComponentId,
        target: ComponentId,
        command: Command,
        now: Nanoseconds,
    ) -> Result<(), Denied> {
        let rights = self.component(from).ok_or(Denied::Unknown)?.rights;
        let allowed = match command {
            Command::Reboot => rights.reboot,
            Command::Swap(Version::New { .. }) => rights.load & target.bit() != 0,
            _ => rights.control & target.bit() != 0,
        };
        if !allowed {
            return Err(Denied::Right);
        }
        let reporter = match command {
            Command::EndReported(_, port) => self.across(from, port),
            _ => None,
        };
        let noticed = match reporter {
            Some((by, _)) => Noticed::Reported { by, to: from },
            None => Noticed::Component { by: from },
        };
        self.carry_out(target, command, noticed, now)?;
        if let Some(life) = self.lives.get_mut(from.index()) {
            life.commanded = true;
        }
        Ok(())
    }
}

/// The set of the first so many components.
#[must_use]
pub const fn all(count: usize) -> u64 {
    if count == 0 { 0 } else { u64::MAX >> ((crate::MAX_COMPONENTS - count) & (crate::MAX_COMPONENTS - 1)) }
}
