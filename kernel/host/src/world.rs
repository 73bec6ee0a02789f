//! What components see of the machine, and what is done for them while they have their turn.
//!
//! Job: the body of the platform's functions. It counts points, strikes at them, and closes the gate of an incarnation
//! before it unwinds: from then on nothing that its destructors do reaches anything.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::resume_unwind;

use koboshi_core::ComponentId;
use koboshi_core::incident::Incident;
use koboshi_core::kernel::{Command, Denied, Kernel, Peer};
use koboshi_core::life::{Begin, Facts, Fault};
use koboshi_core::place::Place;
use koboshi_core::sync::{AtomicU32, Ordering};
use koboshi_interface_kit::Key;
use koboshi_runtime::platform::{Point, PortMemory, Width};
use koboshi_runtime::{kept, knock};

use crate::device::DeviceModel;
use crate::image::{DeviceModelKind, SafeWrite};
use crate::journal::{Event, Journal};
use crate::strike::{How, Planned, Strike, Struck};

/// Points in one turn after which a component counts as one that never comes back to its wait: it polls for something.
///
/// The longest honest turn has some hundreds. One that loops without touching anything is the watchdog's.
const POINTS_IN_A_TURN: u32 = 100_000;

/// Why a component's turn ended other than by coming to its wait: what its unwinding carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwound {
    /// It is to fault like this.
    Fault(Fault),
    /// It is to be away for ever.
    Hang,
    /// It was ended while it had its turn; the kernel knows.
    Dead,
}

impl Unwound {
    /// What a caught unwinding carried; a payload of anybody else is a panic of the component's own.
    pub(crate) fn of(payload: &(dyn Any + Send)) -> Self {
        payload.downcast_ref().copied().unwrap_or(Unwound::Fault(Fault::Panic))
    }
}

/// What the machine keeps of a component beside the kernel.
pub(crate) struct Seat {
    /// `None`: nothing is joined to it, which its component may have a use for.
    pub(crate) ports: Vec<Option<PortMemory>>,
    /// Who is at the other end of each of them.
    pub(crate) peers: Vec<Option<ComponentId>>,
    pub(crate) kept: &'static [AtomicU32],
    /// The keys of all kept state that it can go on with; none: it keeps nothing.
    pub(crate) reads: RefCell<Vec<Key>>,
    pub(crate) configuration: &'static [u8],
    pub(crate) points: Cell<u64>,
    pub(crate) knock: Cell<Option<How>>,
    pub(crate) hung: Cell<bool>,
}

/// A device, and to whom it belongs.
pub(crate) struct Fitted {
    pub(crate) owner: ComponentId,
    pub(crate) number: u8,
    pub(crate) first_line: u8,
    pub(crate) model: DeviceModelKind,
    pub(crate) safe: Vec<SafeWrite>,
}

impl Fitted {
    pub(crate) fn model(&mut self) -> &mut dyn DeviceModel {
        self.model.registers()
    }
}

/// All of a machine that components can reach.
pub(crate) struct World {
    pub(crate) kernel: RefCell<Kernel<'static>>,
    pub(crate) seats: Vec<Seat>,
    pub(crate) devices: RefCell<Vec<Fitted>>,
    pub(crate) journal: RefCell<Journal>,
    pub(crate) plan: RefCell<Vec<Planned>>,
    /// The memory of ports, if what sealing does to it is to be undone.
    pub(crate) unsealed: Option<&'static [AtomicU32]>,
    pub(crate) struck: RefCell<Vec<Struck>>,
    /// Of each incident that is remembered: its number, and whether kept state was whole then.
    pub(crate) kept_at_deaths: RefCell<VecDeque<(u32, Option<bool>)>>,
    pub(crate) most_incidents: usize,
    pub(crate) time: Cell<u64>,
    pub(crate) current: Cell<Option<ComponentId>>,
    pub(crate) wanted_alarm: Cell<u64>,
    /// The incarnation that has its turn has ended: nothing of it may reach anything.
    pub(crate) gate_closed: Cell<bool>,
    pub(crate) in_window: Cell<bool>,
    pub(crate) points_in_turn: Cell<u32>,
    pub(crate) stale_accesses: Cell<u64>,
    pub(crate) corrupted: Cell<u32>,
    /// Where a component has panicked by itself that has not ended yet.
    pub(crate) panicked_at: Cell<Option<Place>>,
}

impl World {
    fn current(&self) -> ComponentId {
        self.current.get().expect("components act only while they have their turn")
    }

    fn seat(&self) -> &Seat {
        &self.seats[self.current().index()]
    }

    /// Ends the turn. The gate closes first, so no destructor that unwinding runs acts after this.
    fn end_turn(&self, why: Unwound) -> ! {
        self.close_gate();
        resume_unwind(Box::new(why))
    }

    /// From here on nothing that the component does reaches anything.
    pub(crate) fn close_gate(&self) {
        self.gate_closed.set(true);
        self.in_window.set(false);
    }

    /// Ends the turn if the component was ended by what it just did.
    fn end_turn_if_dead(&self) {
        if !self.gate_closed.get() && !self.alive(self.current()) {
            self.end_turn(Unwound::Dead);
        }
    }

    fn alive(&self, id: ComponentId) -> bool {
        self.kernel.borrow().facts(id).is_some_and(|facts| facts.state.alive())
    }

    /// Ends a component's incarnation, with its line in the journal.
    pub(crate) fn fault(&self, id: ComponentId, fault: Fault) {
        if self.alive(id) {
            let mut at = self.panicked_at.take().filter(|_| fault == Fault::Panic).unwrap_or_default();
            if let Fault::Access { address } = fault {
                at.address = address;
            }
            self.noting_ends(|kernel, now| {
                kernel.fault(id, fault, now);
                if let Some(incident) = kernel.incident_of(id) {
                    incident.at = at;
                }
            });
        }
    }

    /// Ends a component's incarnation in the name of the person who runs the machine.
    pub(crate) fn kill(&self, id: ComponentId) {
        // One that is not alive stays as it is.
        let _denied = self.noting_ends(|kernel, now| kernel.command(id, Command::End(Fault::Told), now));
    }

    /// Does something that may end incarnations, and notes those that it ended.
    pub(crate) fn noting_ends<T>(&self, act: impl FnOnce(&mut Kernel<'static>, u64) -> T) -> T {
        let now = self.time.get();
        let mut kernel = self.kernel.borrow_mut();
        let before = kernel.incidents().count();
        let load = |word: &AtomicU32| word.load(Ordering::Relaxed);
        let unsealed: Option<Vec<u32>> = self.unsealed.map(|memory| memory.iter().map(load).collect());
        let done = act(&mut kernel, now);
        if let (Some(memory), Some(words)) = (self.unsealed, unsealed) {
            memory.iter().zip(words).for_each(|(word, before)| word.store(before, Ordering::Relaxed));
        }
        for number in before..kernel.incidents().count() {
            if let Some(incident) = kernel.incidents().get(number) {
                let seat = self.seats.get(incident.component.index());
                let keys = seat.map(|seat| seat.reads.borrow()).filter(|keys| !keys.is_empty());
                let kept = seat.zip(keys).and_then(|(seat, keys)| kept::holds_whole(seat.kept, &keys));
                let mut keeps = self.kept_at_deaths.borrow_mut();
                if keeps.len() >= self.most_incidents {
                    keeps.pop_front();
                }
                keeps.push_back((number, kept));
                self.journal.borrow_mut().add(now, || Event::Ended {
                    component: incident.component,
                    epoch: incident.epoch,
                    fault: incident.fault,
                    seal: incident.seal,
                });
            }
        }
        done
    }

    pub(crate) fn now(&self) -> u64 {
        self.time.get()
    }

    pub(crate) fn alarm(&self, at: u64) {
        self.wanted_alarm.set(self.wanted_alarm.get().min(at));
    }

    pub(crate) fn port(&self, port: u8) -> Option<PortMemory> {
        self.seat().ports.get(usize::from(port)).copied().flatten()
    }

    pub(crate) fn peer(&self, port: u8) -> Option<Peer> {
        self.kernel.borrow().peer(self.current(), port)
    }

    pub(crate) fn kept(&self) -> &'static [AtomicU32] {
        self.seat().kept
    }

    pub(crate) fn configuration(&self) -> &'static [u8] {
        self.seat().configuration
    }

    pub(crate) fn begin(&self) -> (u32, Begin) {
        let kernel = self.kernel.borrow();
        let epoch = kernel.facts(self.current()).map_or(0, |facts| facts.epoch);
        (epoch, kernel.begin(self.current()).unwrap_or(Begin::Fresh))
    }

    pub(crate) fn quiesces(&self) -> bool {
        self.kernel.borrow().quiesces(self.current())
    }

    pub(crate) fn ring(&self, port: u8) {
        if self.gate_closed.get() {
            return;
        }
        let id = self.current();
        if let Some(how @ (How::BadMessage | How::DropReply)) = self.seat().knock.get()
            && self.port(port).is_some_and(|memory| knock::spoil_reply(&memory, self.begin().0, how))
        {
            self.seat().knock.set(None);
            self.journal.borrow_mut().add(self.now(), || Event::Knocked { component: id, how });
            if how == How::DropReply {
                return;
            }
        }
        self.journal.borrow_mut().add(self.now(), || Event::Rang { component: id, port });
        self.kernel.borrow_mut().ring(id, port, self.now());
        self.end_turn_if_dead();
    }

    fn corrupt_kept(&self) {
        // Which bit changes differs from knock to knock.
        let turn = self.corrupted.get();
        self.corrupted.set(turn.wrapping_add(1));
        knock::corrupt_kept(self.seat().kept, turn);
    }

    pub(crate) fn interrupt(&self, line: u8, acknowledge: bool) -> bool {
        let mut kernel = self.kernel.borrow_mut();
        if acknowledge && !self.gate_closed.get() {
            kernel.acknowledge(self.current(), line);
        }
        kernel.delivered(self.current(), line)
    }

    pub(crate) fn window(&self, open: bool) {
        self.in_window.set(open);
    }

    pub(crate) fn blame(&self, port: u8, position: u32, epoch: u32) -> bool {
        if self.gate_closed.get() {
            return false;
        }
        let from = self.current();
        self.noting_ends(|kernel, now| kernel.blame(from, port, position, epoch, now))
    }

    pub(crate) fn facts(&self, of: ComponentId) -> Result<Facts, Denied> {
        self.kernel.borrow().facts_for(self.current(), of)
    }

    pub(crate) fn down(&self) -> u64 {
        self.kernel.borrow().down_for(self.current())
    }

    pub(crate) fn incident(&self, number: u32) -> Option<Incident> {
        let kernel = self.kernel.borrow();
        let may = kernel.component(self.current()).is_some_and(|component| component.rights.facts);
        kernel.incidents().first_from(number).filter(|_| may).copied()
    }

    pub(crate) fn command(&self, target: ComponentId, command: Command) -> Result<(), Denied> {
        if self.gate_closed.get() {
            return Err(Denied::Right);
        }
        let from = self.current();
        let done = self.noting_ends(|kernel, now| kernel.command_for(from, target, command, now));
        self.note_knock(target, command, done);
        self.end_turn_if_dead();
        done
    }

    /// Leaves a knock that was commanded where its component's next point finds it.
    pub(crate) fn note_knock(&self, target: ComponentId, command: Command, done: Result<(), Denied>) {
        if let (Command::Knock(how), Ok(()), Some(seat)) = (command, done, self.seats.get(target.index())) {
            seat.knock.set(Some(how));
        }
    }

    pub(crate) fn log(&self, text: &str) {
        let component = self.current();
        self.journal.borrow_mut().add(self.now(), || Event::Log { component, text: text.to_owned() });
    }

    /// The device of the component that has its turn, if its incarnation still owns it.
    fn device<T>(
        &self,
        device: u8,
        act: impl FnOnce(&mut dyn DeviceModel, u64) -> Option<T>,
        offset: u32,
    ) -> Option<T> {
        if self.gate_closed.get() {
            self.stale_accesses.set(self.stale_accesses.get() + 1);
            return None;
        }
        let id = self.current();
        let found = {
            let mut devices = self.devices.borrow_mut();
            let fitted = devices.iter_mut().find(|fitted| fitted.owner == id && fitted.number == device);
            fitted.and_then(|fitted| act(fitted.model(), self.now()))
        };
        if found.is_none() {
            self.end_turn(Unwound::Fault(Fault::Access { address: offset }));
        }
        found
    }

    pub(crate) fn device_read(&self, device: u8, offset: u32, width: Width) -> u32 {
        self.device(device, |model, now| model.read(offset, width, now).ok(), offset).unwrap_or(0)
    }

    pub(crate) fn device_write(&self, device: u8, offset: u32, width: Width, value: u32) {
        self.device(device, |model, now| model.write(offset, width, value, now).ok(), offset);
    }

    /// Leaves the devices of a component that was given up as their image wants them left, in the name of nobody.
    pub(crate) fn safe_action(&self, component: ComponentId, names: &[String]) {
        let now = self.now();
        for (fitted, name) in self.devices.borrow_mut().iter_mut().zip(names) {
            if fitted.owner != component || fitted.safe.is_empty() {
                continue;
            }
            let model = fitted.model.registers();
            model.advance(now);
            for write in &fitted.safe {
                let done = model.write(write.offset, write.width, write.value, now);
                debug_assert!(done.is_ok(), "it was tried on a copy of the model before the image ran");
            }
            let writes = fitted.safe.len();
            self.journal.borrow_mut().add(now, || Event::SafeAction { component, device: name.clone(), writes });
        }
    }

    pub(crate) fn point(&self, kind: Point, after: bool) -> bool {
        if self.gate_closed.get() {
            return false;
        }
        if self.in_window.get() {
            return true;
        }
        self.points_in_turn.set(self.points_in_turn.get() + 1);
        if self.points_in_turn.get() > POINTS_IN_A_TURN {
            self.end_turn(Unwound::Hang);
        }
        let id = self.current();
        let seat = self.seat();
        let point = seat.points.get() + 1;
        seat.points.set(point);
        if let Some(strike) = self.due(id) {
            let struck = Struck { component: id, point, kind, after, strike };
            self.struck.borrow_mut().push(struck);
            self.journal.borrow_mut().add(self.now(), || Event::Struck { component: id, point, strike });
            match strike {
                Strike::Crash => self.end_turn(Unwound::Fault(Fault::Panic)),
                Strike::Hang => self.end_turn(Unwound::Hang),
                Strike::Kill(other) => {
                    self.kill(other);
                    self.end_turn_if_dead();
                }
            }
        }
        if let Some(how) = seat.knock.get() {
            self.fall(how);
        }
        true
    }

    /// Whether the next strike of the plan is due at this point of this component.
    fn due(&self, id: ComponentId) -> Option<Strike> {
        let mut plan = self.plan.borrow_mut();
        let next = plan.first_mut().filter(|next| next.component == id)?;
        next.after_points = next.after_points.saturating_sub(1);
        if next.after_points > 0 {
            return None;
        }
        Some(plan.remove(0).strike)
    }

    /// Hands a knock over to a component that carries it out itself.
    pub(crate) fn take_knock(&self) -> Option<How> {
        let how = self.seat().knock.take()?;
        let component = self.current();
        self.journal.borrow_mut().add(self.now(), || Event::Knocked { component, how });
        Some(how)
    }

    /// Carries out a knock, unless it waits for a reply to spoil.
    fn fall(&self, how: How) {
        let why = match how {
            How::Panic => Unwound::Fault(Fault::Panic),
            How::Hang => Unwound::Hang,
            How::Exit => Unwound::Fault(Fault::Exit),
            How::CorruptState => {
                self.corrupt_kept();
                Unwound::Fault(Fault::Panic)
            }
            How::BadMessage | How::DropReply => return,
        };
        let component = self.current();
        self.seat().knock.set(None);
        self.journal.borrow_mut().add(self.now(), || Event::Knocked { component, how });
        self.end_turn(why);
    }
}
