//! The kernel: components, ports, interrupt lines and time under one roof.
//!
//! Job: the mechanism of recovery. It notices faults, seals, stops and starts, rings doorbells, keeps deadlines, and
//! says who runs next. A platform calls it at each trap or tick and afterwards carries out [`Kernel::take_actions`].
//!
//! It must never decide *whether* to restart anybody: that is policy. One rule is its own, because nobody else is left
//! to decide: the restart manager itself is started again at once, and when it dies [`MANAGER_DEATHS`] times in
//! [`MANAGER_PERIOD`] without progress, the image reboots.

use crate::incident::{Incident, Incidents};
use crate::life::{Begin, Facts, Fault, History, State};
use crate::record::{Contracts, Seal, Sealed, ServiceRecord, StreamRecord};
use crate::ring::KERNEL_EPOCH;
use crate::schedule::Schedule;
use crate::timer::Timers;
use crate::{ComponentId, LineId, NEVER, Nanoseconds, PortId};

/// Fruitless deaths of the restart manager in [`MANAGER_PERIOD`] that reboot the image.
pub const MANAGER_DEATHS: u32 = 3;

/// The period of [`MANAGER_DEATHS`].
pub const MANAGER_PERIOD: Nanoseconds = 10_000_000_000;

/// What a component may do to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// The components that it may start, stop and give up: bits of [`ComponentId::bit`].
    pub control: u64,
    /// It may read the facts of all components.
    pub facts: bool,
    /// It may end a server of its own by reporting a malformed reply or a broken rule.
    pub blame: bool,
    /// It may reboot the image.
    pub reboot: bool,
}

/// A component, as the composer describes it.
#[derive(Clone, Copy, Debug)]
pub struct Component<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its VCPU; 0 has the highest priority.
    pub vcpu: u8,
    /// How long it may be away from its wait once it was woken.
    pub respond_within: Nanoseconds,
    /// Its ports, in the order in which it counts them.
    pub ports: &'a [PortId],
    /// Its interrupt lines.
    pub lines: &'a [LineId],
    /// What it may do to others.
    pub rights: Rights,
}

/// Which kind of port, with its two halves.
#[derive(Clone, Copy)]
pub enum Record<'a> {
    /// Requests one way, replies the other; `near` is the client.
    Service(ServiceRecord<'a>, Contracts),
    /// Items one way, credit the other; `near` is the producer.
    Stream(StreamRecord<'a>),
}

/// A port, as the composer describes it.
#[derive(Clone, Copy)]
pub struct Port<'a> {
    /// The client or producer.
    pub near: ComponentId,
    /// The server or consumer.
    pub far: ComponentId,
    /// Its memory.
    pub record: Record<'a>,
}

/// What the kernel keeps of a component.
#[derive(Clone, Copy, Debug, Default)]
pub struct Life {
    state: State,
    epoch: u32,
    begin: Option<Begin>,
    /// A doorbell, an interrupt or an alarm that it has not looked at.
    signalled: bool,
    /// It was given the processor and has not come back to its wait.
    away: bool,
    fault: Option<Fault>,
    failed_at: Nanoseconds,
    starts: History,
    fruitless: History,
    fruitless_in_a_row: u32,
    /// The incident that its present incarnation recovers from.
    incident: Option<u32>,
    /// It has rung a peer: its first answer, or its first item.
    answered: bool,
    /// A command was given: the restart manager's kind of progress.
    commanded: bool,
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

/// What the platform must do after a call into the kernel. Sets of components, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    /// Stop these: their memory is no longer theirs.
    pub halt: u64,
    /// Reset the memory of these and start them (after halting).
    pub load: u64,
    /// Carry out the safe action of these.
    pub safe: u64,
    /// Reboot the image.
    pub reboot: bool,
}

/// What a component with the right may tell the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Start one that is not alive.
    Start,
    /// End this one's incarnation, for this reason.
    End(Fault),
    /// Stop it on purpose.
    Stop,
    /// It will be started later.
    BackOff,
    /// It will not be started again.
    GiveUp,
    /// Reboot the image.
    Reboot,
}

/// Why a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No such component.
    Unknown,
    /// The caller has no such right.
    Right,
    /// Not in the state that the component is in.
    State(State),
}

/// What a component sees of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The peer's present or last epoch.
    pub epoch: u32,
    /// Where it stands.
    pub state: State,
}

/// The tables that a platform lends to the kernel; all of one image.
pub struct Tables<'a> {
    /// At most [`crate::MAX_COMPONENTS`].
    pub components: &'a [Component<'a>],
    /// As many as `components`.
    pub lives: &'a mut [Life],
    /// The ports.
    pub ports: &'a [Port<'a>],
    /// As many as `ports`.
    pub sealed: &'a mut [Sealed],
    /// The interrupt lines.
    pub lines: &'a mut [Line],
    /// Room for incidents.
    pub incidents: &'a mut [Option<Incident>],
    /// The restart manager, whose death the kernel handles itself.
    pub manager: Option<ComponentId>,
}

/// The kernel.
pub struct Kernel<'a> {
    components: &'a [Component<'a>],
    lives: &'a mut [Life],
    ports: &'a [Port<'a>],
    sealed: &'a mut [Sealed],
    lines: &'a mut [Line],
    incidents: Incidents<'a>,
    manager: Option<ComponentId>,
    schedule: Schedule,
    timers: Timers,
    actions: Actions,
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
        Some(Kernel {
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
        core::mem::take(&mut self.actions)
    }

    /// The incidents since boot.
    #[must_use]
    pub const fn incidents(&self) -> &Incidents<'a> {
        &self.incidents
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
            fault: life.fault,
            failed_at: life.failed_at,
            starts: life.starts,
            fruitless: life.fruitless,
            fruitless_in_a_row: life.fruitless_in_a_row,
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

    fn alive(&self, id: ComponentId) -> bool {
        self.lives.get(id.index()).is_some_and(|life| life.state.alive())
    }

    /// The other end of a component's port, and the port.
    fn across(&self, id: ComponentId, port: u8) -> Option<(ComponentId, PortId)> {
        let port_id = *self.component(id)?.ports.get(usize::from(port))?;
        let port = self.ports.get(usize::from(port_id.0))?;
        Some((if port.near == id { port.far } else { port.near }, port_id))
    }

    /// What a component sees of the peer behind its port.
    #[must_use]
    pub fn peer(&self, id: ComponentId, port: u8) -> Option<Peer> {
        let (peer, _) = self.across(id, port)?;
        let life = self.lives.get(peer.index())?;
        Some(Peer { epoch: life.epoch, state: life.state })
    }

    /// Starts a component that is not alive.
    ///
    /// # Errors
    /// [`Denied::State`] if it is alive.
    pub fn start(&mut self, id: ComponentId, begin: Begin, now: Nanoseconds) -> Result<u32, Denied> {
        let component = self.components.get(id.index()).ok_or(Denied::Unknown)?;
        let life = self.lives.get_mut(id.index()).ok_or(Denied::Unknown)?;
        if life.state.alive() {
            return Err(Denied::State(life.state));
        }
        // An epoch is never used twice: at the end of the numbers the component stays as it is.
        let next = life.epoch.checked_add(1).filter(|next| *next != KERNEL_EPOCH);
        life.epoch = next.ok_or(Denied::State(life.state))?;
        life.state = State::Starting;
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
        self.actions.load |= id.bit();
        self.schedule.ready(component.vcpu, id);
        self.ring_peers(id);
        Ok(epoch)
    }

    /// Peers learn of a new epoch, or of a death, as they learn of anything: they are rung.
    fn ring_peers(&mut self, id: ComponentId) {
        let Some(component) = self.components.get(id.index()) else {
            return;
        };
        for port in 0..component.ports.len() as u8 {
            if let Some((peer, _)) = self.across(id, port) {
                self.signal(peer);
            }
        }
        if let Some(manager) = self.manager.filter(|manager| *manager != id) {
            self.signal(manager);
        }
    }

    fn signal(&mut self, id: ComponentId) {
        let (Some(component), Some(life)) = (self.components.get(id.index()), self.lives.get_mut(id.index())) else {
            return;
        };
        if life.state.alive() {
            life.signalled = true;
            self.schedule.ready(component.vcpu, id);
        }
    }

    /// A component rings the peer behind its port.
    pub fn ring(&mut self, from: ComponentId, port: u8, now: Nanoseconds) {
        let Some((peer, port)) = self.across(from, port).filter(|_| self.alive(from)) else {
            return;
        };
        if let Some(life) = self.lives.get_mut(from.index()).filter(|life| !life.answered) {
            life.answered = true;
            if let Some(number) = life.incident {
                self.incidents.change(number, |incident| {
                    // It may answer before it comes to its first wait.
                    incident.up_at.get_or_insert(now);
                    incident.answered_at = Some(now);
                });
            }
        }
        if self.lives.get(peer.index()).is_some_and(|life| life.state.gone()) {
            self.answer_gone(peer, port);
            self.signal(from);
        } else {
            self.signal(peer);
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
        let id = self.schedule.turn()?;
        let within = self.components.get(id.index())?.respond_within;
        let life = self.lives.get_mut(id.index())?;
        if !life.away {
            life.away = true;
            // What comes from here on, it may have missed.
            life.signalled = false;
            self.timers.set(id, now.saturating_add(within));
        }
        Some(id)
    }

    /// The highest VCPU that has something to do.
    #[must_use]
    pub fn highest_ready(&self) -> Option<u8> {
        self.schedule.highest()
    }

    /// A component came back to its wait; `alarm` is when it wants to be woken at the latest.
    pub fn wait(&mut self, id: ComponentId, alarm: Nanoseconds, now: Nanoseconds) {
        let (Some(component), Some(life)) = (self.components.get(id.index()), self.lives.get_mut(id.index())) else {
            return;
        };
        if !life.state.alive() {
            return;
        }
        life.away = false;
        if life.state == State::Starting {
            life.state = State::Running;
            if let Some(number) = life.incident {
                self.incidents.change(number, |incident| {
                    incident.up_at.get_or_insert(now);
                });
            }
        }
        if life.signalled || alarm <= now {
            life.signalled = true;
            self.timers.set(id, NEVER);
        } else {
            self.schedule.idle(component.vcpu, id);
            self.timers.set(id, alarm);
        }
    }

    /// When [`Kernel::expire`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Nanoseconds {
        self.timers.earliest()
    }

    /// Handles one deadline that has passed: an alarm, or a component that is stuck. True if there was one.
    pub fn expire(&mut self, now: Nanoseconds) -> bool {
        let Some(id) = self.timers.due(now) else {
            return false;
        };
        self.timers.set(id, NEVER);
        if self.lives.get(id.index()).is_some_and(|life| life.away) {
            self.fault(id, Fault::Stuck, now);
        } else {
            self.signal(id);
        }
        true
    }

    /// Takes a component from the processor and seals its halves. Its interrupts are masked.
    fn halt(&mut self, id: ComponentId) -> Seal {
        let mut seal = Seal::default();
        let Some(component) = self.components.get(id.index()) else {
            return seal;
        };
        let Some(life) = self.lives.get_mut(id.index()) else {
            return seal;
        };
        let epoch = life.epoch;
        life.away = false;
        life.signalled = false;
        self.schedule.idle(component.vcpu, id);
        self.timers.set(id, NEVER);
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
                seal.add(match (&port.record, port.near == id) {
                    (Record::Service(record, _), true) => record.seal_client(sealed),
                    (Record::Service(record, contracts), false) => record.seal_server(sealed, *contracts, epoch),
                    (Record::Stream(record), true) => record.seal_producer(sealed),
                    (Record::Stream(record), false) => record.seal_consumer(sealed),
                });
            }
        }
        // It may have died between a request and its doorbell, and nobody else would answer for a server that is gone.
        for port_id in component.ports {
            let far = self.ports.get(usize::from(port_id.0)).map(|port| port.far).filter(|far| *far != id);
            if let Some(far) = far.filter(|far| self.lives.get(far.index()).is_some_and(|life| life.state.gone())) {
                self.answer_gone(far, *port_id);
            }
        }
        seal
    }

    /// An incarnation ends with a fault.
    pub fn fault(&mut self, id: ComponentId, fault: Fault, now: Nanoseconds) {
        if !self.alive(id) {
            return;
        }
        let seal = self.halt(id);
        let Some(life) = self.lives.get_mut(id.index()) else {
            return;
        };
        life.state = State::Failed;
        life.fault = Some(fault);
        life.failed_at = now;
        if seal.progressed || life.commanded {
            life.fruitless_in_a_row = 0;
        } else if fault != Fault::Told {
            // An end on purpose says nothing about the one who was ended.
            life.fruitless.add(now);
            life.fruitless_in_a_row = life.fruitless_in_a_row.saturating_add(1);
        }
        let number = self.incidents.open(Incident {
            number: 0,
            component: id,
            epoch: life.epoch,
            fault,
            failed_at: now,
            started_at: None,
            up_at: None,
            answered_at: None,
            seal,
        });
        life.incident = Some(number);
        let hopeless = life.fruitless_in_a_row >= MANAGER_DEATHS
            && life.fruitless.since(now.saturating_sub(MANAGER_PERIOD)) >= MANAGER_DEATHS;
        self.ring_peers(id);
        if self.manager == Some(id) {
            if hopeless {
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
            self.fault(peer, Fault::BadMessage, now);
        } else {
            // The one who wrote it has been sealed already; sealing once more opens the request again.
            self.halt(peer);
            if self.lives.get(peer.index()).is_some_and(|life| life.state.gone()) {
                self.answer_gone(peer, port);
            }
            self.ring_peers(peer);
        }
        true
    }

    fn answer_gone(&mut self, server: ComponentId, port: PortId) {
        let at = usize::from(port.0);
        let epoch = self.lives.get(server.index()).map_or(0, |life| life.epoch);
        if let (Some(port), Some(sealed)) = (self.ports.get(at), self.sealed.get_mut(at))
            && port.far == server
            && let Record::Service(record, _) = &port.record
        {
            record.answer_gone(sealed, epoch);
        }
    }

    fn stop(&mut self, id: ComponentId, state: State) {
        if self.alive(id) {
            self.halt(id);
        }
        let Some(life) = self.lives.get_mut(id.index()) else {
            return;
        };
        life.state = state;
        life.incident = None;
        let Some(component) = self.components.get(id.index()) else {
            return;
        };
        for port in component.ports {
            self.answer_gone(id, *port);
        }
        if state == State::GivenUp {
            self.actions.safe |= id.bit();
        }
        self.ring_peers(id);
    }

    /// Ends all components, forgets what their halves said, and leaves them absent: the image begins anew.
    ///
    /// Epochs go on, and incidents stay. The platform clears the memory of ports and of kept state.
    pub fn reboot(&mut self) {
        for at in 0..self.components.len() as u8 {
            let id = ComponentId(at);
            self.halt(id);
            if let Some(life) = self.lives.get_mut(id.index()) {
                *life = Life { epoch: life.epoch, ..Life::default() };
            }
        }
        self.sealed.fill(Sealed::default());
        self.actions = Actions { halt: u64::MAX, ..Actions::default() };
    }

    /// Carries out a command of the platform itself, which needs no right.
    ///
    /// # Errors
    /// [`Denied`] for no such component, or one whose state does not allow it.
    pub fn command(&mut self, target: ComponentId, command: Command, now: Nanoseconds) -> Result<(), Denied> {
        let life = self.lives.get_mut(target.index()).ok_or(Denied::Unknown)?;
        let state = life.state;
        match command {
            Command::Start => {
                let begin = match state {
                    State::Failed | State::Backoff => Begin::Recovered,
                    _ => Begin::Fresh,
                };
                self.start(target, begin, now)?;
            }
            Command::End(fault) if state.alive() => self.fault(target, fault, now),
            Command::Stop => self.stop(target, State::Stopped),
            Command::BackOff if state == State::Failed => life.state = State::Backoff,
            Command::GiveUp => self.stop(target, State::GivenUp),
            Command::Reboot => self.actions.reboot = true,
            Command::End(_) | Command::BackOff => return Err(Denied::State(state)),
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
            _ => rights.control & target.bit() != 0,
        };
        if !allowed {
            return Err(Denied::Right);
        }
        self.command(target, command, now)?;
        if let Some(life) = self.lives.get_mut(from.index()) {
            life.commanded = true;
        }
        Ok(())
    }
}
