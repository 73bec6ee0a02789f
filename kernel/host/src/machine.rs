//! The machine: an image, platform time, and the loop that gives components their turns.
//!
//! Job: run an image in one process without privileges. With the virtual clock nothing but the image and what is asked
//! of the machine decides what happens; with the real clock the same events come at their time, and when this process is
//! held up, platform time (and with it the line) stands still.

use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use koboshi_core::incident::Incident;
use koboshi_core::kernel::{Command, Denied, SwapPhase};
use koboshi_core::life::{Begin, Facts, Fault};
use koboshi_core::sync::{AtomicU32, Ordering};
use koboshi_core::{ComponentId, NEVER};
use koboshi_interface_kit::Key;
use koboshi_runtime::Way;
use koboshi_runtime::describe::{Description, KeptDescription};
use koboshi_runtime::life::Exit;

use crate::application::Application;
use crate::assembly::{Assembly, assemble};
use crate::fitness;
use crate::image::{Costs, DeviceModelKind, Image};
use crate::journal::{Depth, Event, Journal};
use crate::lend::{Lender, Loans};
use crate::linked::{Arena, Linked};
use crate::ns16550::Ns16550;
use crate::platform::within;
use crate::scif::Scif;
use crate::status::Status;
use crate::strike::{How, Planned, Struck};
use crate::watchdog::Watchdog;
use crate::wire::Wire;
use crate::world::{Fitted, Unwound, World};

pub use crate::fitness::ImageError;

/// Incidents that a machine remembers if it is not told otherwise.
const INCIDENTS: usize = 256;

/// Turns at one moment of platform time after which an image counts as running in circles.
const TURNS_AT_ONE_MOMENT: u32 = 100_000;

/// With the real clock: how far this process may lag before the lag counts as a stall, and line time stands still.
const LAG: Duration = Duration::from_millis(20);

/// With the real clock: how far ahead of it the machine may run rather than sleep for less than that.
const AHEAD: Duration = Duration::from_micros(200);

/// Which clock platform time follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// None: time jumps from event to event.
    #[default]
    Virtual,
    /// The wall's.
    Real,
}

/// How a machine is to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which clock.
    pub clock: Clock,
    /// How much of the event log is kept.
    pub journal: Depth,
    /// Strikes, in order.
    pub plan: Vec<Planned>,
    /// How many incidents are remembered.
    pub incidents: usize,
    /// The core is to forget sealing: for the proof that a campaign notices.
    pub unsealed: bool,
    /// End the process when a turn takes longer than this on the wall's clock: a component loops.
    pub watchdog: Option<Duration>,
    /// What is to be done before the watchdog ends the process.
    pub before_exit: Option<fn()>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            clock: Clock::default(),
            journal: Depth::default(),
            plan: Vec::new(),
            incidents: INCIDENTS,
            unsealed: false,
            watchdog: None,
            before_exit: None,
        }
    }
}

/// The keys of all kept state that a component can go on with.
pub(crate) fn keys_of(description: &Description) -> Vec<Key> {
    let older = |kept: KeptDescription| kept.ways.iter().map(Way::from);
    description.kept.into_iter().flat_map(|kept| iter::once(kept.key).chain(older(kept))).collect()
}

impl Code {
    fn of(linked: &Linked) -> Self {
        Code { linked: linked.clone(), reads: keys_of(linked.description()) }
    }
}

/// Why a run came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// The time has come.
    Reached,
    /// Nothing will ever happen any more unless somebody acts from outside.
    Idle,
    /// Components give each other turns without end and without time passing.
    Circle {
        /// The one that had its turn last.
        component: String,
    },
}

/// Why other code was not put in a component's place that is not in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPut {
    /// There is no such component.
    #[error("there is no such component")]
    Unknown,
    /// Its swap is not over: the place holds the version before, or the next one.
    #[error("its swap is not over")]
    SwapUnderWay,
}

/// What lies in a place of code.
struct Code {
    linked: Linked,
    /// The keys of all kept state that it can go on with.
    reads: Vec<Key>,
}

/// An image that runs.
pub struct Machine {
    // In this order, because it is the order of dropping: who borrows goes before what is lent.
    arenas: Vec<Arena>,
    /// What lies in both places of code of each component.
    codes: Vec<[Option<Code>; 2]>,
    world: Rc<World>,
    memory: &'static [AtomicU32],
    names: Vec<String>,
    device_names: Vec<String>,
    manager: Option<ComponentId>,
    costs: Costs,
    clock: Clock,
    epoch_of_clock: Option<(Instant, u64)>,
    stalled: Duration,
    turns_at: (u64, u32),
    turns: u64,
    watchdog: Option<Watchdog>,
    reboots: u32,
    panics: Vec<String>,
    _loans: Loans,
}

impl Machine {
    /// A machine that runs `image` from its beginning.
    ///
    /// # Errors
    /// [`ImageError`], which the composer should have prevented.
    #[allow(unsafe_code, reason = "promises to drop who borrows before what is lent")]
    pub fn new(image: &Image, options: Options) -> Result<Self, ImageError> {
        fitness::check(image)?;
        let mut loans = Loans::default();
        // SAFETY: who borrows is in the machine too, and is dropped before the loans; a component's future is overwritten
        // and never runs again.
        let mut lender = unsafe { Lender::new(&mut loans) };
        let incidents = options.incidents.max(1);
        let Assembly { memory, halves, seats, kernel } = assemble(image, &mut lender, incidents)?;
        let all_names: Vec<String> = image.components.iter().map(|component| component.name.clone()).collect();
        let world = Rc::new(World {
            kernel: kernel.into(),
            seats,
            devices: image
                .devices
                .iter()
                .map(|device| Fitted {
                    owner: device.owner,
                    number: device.number,
                    first_line: device.first_line,
                    model: device.model.clone(),
                    safe: device.safe.clone(),
                })
                .collect::<Vec<_>>()
                .into(),
            journal: Journal::new(options.journal, all_names.clone()).into(),
            plan: options.plan.into(),
            unsealed: options.unsealed.then_some(&memory[..halves]),
            struck: vec![].into(),
            kept_at_deaths: Default::default(),
            most_incidents: incidents,
            time: 0.into(),
            current: None.into(),
            wanted_alarm: NEVER.into(),
            gate_closed: false.into(),
            in_window: false.into(),
            points_in_turn: 0.into(),
            stale_accesses: 0.into(),
            corrupted: 0.into(),
            panicked_at: None.into(),
        });
        let mut machine = Machine {
            arenas: image.components.iter().map(|component| Arena::new(component.linked.clone())).collect(),
            codes: image.components.iter().map(|component| [Some(Code::of(&component.linked)), None]).collect(),
            world,
            memory,
            names: all_names.clone(),
            device_names: image.devices.iter().map(|device| device.name.clone()).collect(),
            manager: image.manager,
            costs: image.costs,
            clock: options.clock,
            epoch_of_clock: None,
            stalled: Duration::ZERO,
            turns_at: (0, 0),
            turns: 0,
            watchdog: options.watchdog.map(|patience| Watchdog::new(patience, all_names.clone(), options.before_exit)),
            reboots: 0,
            panics: vec![],
            _loans: loans,
        };
        machine.boot();
        Ok(machine)
    }

    /// Starts the restart manager, which starts the others; all of them where there is none.
    fn boot(&mut self) {
        let everybody = 0..self.arenas.len() as u8;
        let first: Vec<u8> = self.manager.map_or_else(|| everybody.collect(), |manager| vec![manager.0]);
        for id in first {
            let started = self.world.kernel.borrow_mut().start(ComponentId(id), Begin::Fresh, self.now());
            debug_assert!(started.is_ok(), "nobody is alive at boot");
        }
    }

    /// Platform time in nanoseconds since boot.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.world.now()
    }

    /// How long this process was held up so far; platform time stood still meanwhile.
    #[must_use]
    pub const fn stalled(&self) -> Duration {
        self.stalled
    }

    /// Turns that components were given.
    #[must_use]
    pub const fn turns(&self) -> u64 {
        self.turns
    }

    /// How often the image began anew.
    #[must_use]
    pub const fn reboots(&self) -> u32 {
        self.reboots
    }

    /// Accesses to devices by incarnations that no longer own them. It must stay 0.
    #[must_use]
    pub fn stale_accesses(&self) -> u64 {
        self.world.stale_accesses.get()
    }

    /// Messages of panics that nobody asked for: faults of components.
    #[must_use]
    pub fn panics(&self) -> &[String] {
        &self.panics
    }

    /// Takes them since this was last asked, for a run that has no end.
    pub fn take_panics(&mut self) -> Vec<String> {
        std::mem::take(&mut self.panics)
    }

    /// The event log.
    pub fn journal(&self) -> std::cell::Ref<'_, Journal> {
        self.world.journal.borrow()
    }

    /// The points that a component has come to since boot.
    #[must_use]
    pub fn points(&self, component: ComponentId) -> u64 {
        self.world.seats.get(component.index()).map_or(0, |seat| seat.points.get())
    }

    /// The strikes that were carried out.
    #[must_use]
    pub fn struck(&self) -> Vec<Struck> {
        self.world.struck.borrow().clone()
    }

    /// Adds a strike behind those that are planned.
    pub fn plan(&mut self, planned: Planned) {
        self.world.plan.borrow_mut().push(planned);
    }

    /// The component with this name.
    #[must_use]
    pub fn component_named(&self, name: &str) -> Option<ComponentId> {
        self.names.iter().position(|found| found == name).map(|at| ComponentId(at as u8))
    }

    /// A component's name.
    #[must_use]
    pub fn name(&self, component: ComponentId) -> &str {
        self.names.get(component.index()).map_or("?", String::as_str)
    }

    /// The facts about a component.
    #[must_use]
    pub fn facts(&self, component: ComponentId) -> Option<Facts> {
        self.world.kernel.borrow().facts(component)
    }

    /// All components of the image.
    pub fn components(&self) -> impl Iterator<Item = ComponentId> + use<> {
        (0..self.arenas.len() as u8).map(ComponentId)
    }

    /// How a component is; `None` for no such component.
    #[must_use]
    pub fn status(&self, component: ComponentId) -> Option<Status> {
        let description = self.arenas.get(component.index())?.description();
        self.world.status(component, description, &self.names)
    }

    /// How many incidents there were, and those that are remembered from number `from` on.
    #[must_use]
    pub fn incidents(&self, from: u32) -> (u32, Vec<Incident>) {
        let kernel = self.world.kernel.borrow();
        let count = kernel.incidents().count();
        (count, (from..count).filter_map(|number| kernel.incidents().get(number).copied()).collect())
    }

    /// The first incident with this number or a later one, of those that are remembered.
    #[must_use]
    pub fn incidents_from(&self, number: u32) -> Option<Incident> {
        self.world.kernel.borrow().incidents().first_from(number).copied()
    }

    /// Whether the component of this incident had kept state that was whole when it died.
    ///
    /// `None`: it had kept nothing, or the incident is not remembered.
    #[must_use]
    pub fn kept_at(&self, incident: u32) -> Option<bool> {
        let remembered = self.world.kept_at_deaths.borrow();
        remembered.iter().find(|(number, _)| *number == incident).and_then(|(_, kept)| *kept)
    }

    fn with_device<T>(&mut self, name: &str, act: impl FnOnce(&mut DeviceModelKind, u64) -> Option<T>) -> Option<T> {
        let at = self.device_names.iter().position(|found| found == name)?;
        let now = self.now();
        let mut devices = self.world.devices.borrow_mut();
        let fitted = devices.get_mut(at)?;
        fitted.model().advance(now);
        act(&mut fitted.model, now)
    }

    /// Does something with the application's end of a line; `None` if there is none of this name.
    pub fn application<T>(&mut self, name: &str, act: impl FnOnce(&mut Application) -> T) -> Option<T> {
        self.with_device(name, |model, _| match model {
            DeviceModelKind::Application(application) => Some(act(application)),
            _ => None,
        })
    }

    /// Does something with a serial interface and the outside end of its line; `None` if there is none of this name.
    pub fn scif<T>(&mut self, name: &str, act: impl FnOnce(&mut Scif) -> T) -> Option<T> {
        self.with_device(name, |model, _| match model {
            DeviceModelKind::Scif(scif) => Some(act(scif)),
            _ => None,
        })
    }

    /// The same for a 16550A.
    pub fn ns16550<T>(&mut self, name: &str, act: impl FnOnce(&mut Ns16550) -> T) -> Option<T> {
        self.with_device(name, |model, _| match model {
            DeviceModelKind::Ns16550(uart) => Some(act(uart)),
            _ => None,
        })
    }

    /// Looks at a device's model; `None` if there is none of this name.
    pub fn device<T>(&mut self, name: &str, look: impl FnOnce(&DeviceModelKind) -> T) -> Option<T> {
        self.with_device(name, |model, _| Some(look(model)))
    }

    /// Does something with the outside end of any serial interface's line; `None` if there is none of this name.
    pub fn wire<T>(&mut self, name: &str, act: impl FnOnce(&mut Wire) -> T) -> Option<T> {
        self.with_device(name, |model, _| model.wire_mut().map(act))
    }

    /// Knocks a component over: it falls at its next point.
    pub fn knock(&mut self, component: ComponentId, how: How) {
        if let Some(seat) = self.world.seats.get(component.index()) {
            seat.knock.set(Some(how));
        }
    }

    /// Gives a component a turn, so that a knock takes effect on one that has nothing to do.
    pub fn wake(&mut self, component: ComponentId) {
        self.world.kernel.borrow_mut().wake(component);
    }

    /// Ends a component's incarnation from outside, now.
    pub fn kill(&mut self, component: ComponentId) {
        self.world.kill(component);
    }

    /// Carries out a command of the person who runs the machine.
    ///
    /// # Errors
    /// [`Denied`], and nothing happened.
    pub fn command(&mut self, target: ComponentId, command: Command) -> Result<(), Denied> {
        let done = self.world.noting_ends(|kernel, now| kernel.command(target, command, now));
        self.world.note_knock(target, command, done);
        done
    }

    /// Puts another version of a component into its place that is not in use, for [`Version::New`](koboshi_core::kernel::Version) to begin
    /// there. What lay there is gone, and with it the way back to it.
    ///
    /// Nothing is judged here: its ports must be those of the component, and there must be a way to what it keeps. `reads`: the
    /// keys of all kept state that it can go on with.
    ///
    /// # Errors
    /// [`NotPut`], and nothing has changed.
    pub fn put(&mut self, id: ComponentId, linked: Linked, reads: Vec<Key>) -> Result<(), NotPut> {
        let mut kernel = self.world.kernel.borrow_mut();
        let places = self.codes.get_mut(id.index()).ok_or(NotPut::Unknown)?;
        if kernel.swap_phase(id) != SwapPhase::None {
            return Err(NotPut::SwapUnderWay);
        }
        let free = usize::from(kernel.place(id) ^ 1) & 1;
        kernel.forget_before(id);
        places[free] = Some(Code { linked, reads });
        Ok(())
    }

    /// How far a component's swap is.
    #[must_use]
    pub fn swap_phase(&self, id: ComponentId) -> SwapPhase {
        self.world.kernel.borrow().swap_phase(id)
    }

    /// Whether there is a version before to go back to.
    #[must_use]
    pub fn has_before(&self, id: ComponentId) -> bool {
        self.world.kernel.borrow().has_before(id)
    }

    /// What a component says of itself, as its image has it.
    ///
    /// # Panics
    /// If there is no such component.
    #[must_use]
    pub fn description(&self, id: ComponentId) -> &'static Description {
        self.arenas[id.index()].description()
    }

    /// The place, 0 or 1, of a component's present code. That of the image begins in place 0.
    #[must_use]
    pub fn place(&self, id: ComponentId) -> usize {
        usize::from(self.world.kernel.borrow().place(id) & 1)
    }

    /// Lets platform time pass up to `at`.
    fn advance(&mut self, at: u64) {
        if self.clock == Clock::Real {
            self.pace(at);
        }
        self.world.time.set(at.max(self.now()));
        let now = self.now();
        for fitted in self.world.devices.borrow_mut().iter_mut() {
            fitted.model().advance(now);
        }
    }

    /// Holds the machine back until the wall's clock has come to `at`, or notes how far that has run ahead.
    fn pace(&mut self, at: u64) {
        let wall = Instant::now();
        let (began, offset) = *self.epoch_of_clock.get_or_insert((wall, self.world.now()));
        let due = began + Duration::from_nanos(at.saturating_sub(offset)) + self.stalled;
        if due > wall + AHEAD {
            std::thread::sleep(due - wall);
        } else if wall > due + LAG {
            self.stalled += wall - due;
        }
    }

    fn deliver_interrupts(&mut self) {
        let now = self.now();
        let mut kernel = self.world.kernel.borrow_mut();
        for fitted in self.world.devices.borrow_mut().iter_mut() {
            let asserted = fitted.model().asserted();
            if asserted == 0 {
                continue;
            }
            let Some(owner) = kernel.component(fitted.owner) else { continue };
            for (source, line) in owner.lines.iter().skip(usize::from(fitted.first_line)).enumerate() {
                if asserted & 1 << source != 0 && !kernel.masked(*line) {
                    kernel.interrupt(*line);
                    let (component, line) = (fitted.owner, line.0);
                    self.world.journal.borrow_mut().add(now, || Event::Interrupt { component, line });
                }
            }
        }
    }

    /// When the next event comes by itself.
    fn next_event(&self) -> u64 {
        let devices = self.world.devices.borrow_mut().iter_mut().filter_map(|fitted| fitted.model().next_event()).min();
        self.world.kernel.borrow_mut().next_deadline().min(devices.unwrap_or(NEVER))
    }

    fn carry_out_actions(&mut self) {
        loop {
            let actions = self.world.kernel.borrow_mut().take_actions();
            if actions == koboshi_core::kernel::Actions::default() {
                return;
            }
            for at in 0..self.arenas.len() {
                let bit = 1u64 << at;
                if actions.halt & bit != 0 {
                    self.arenas[at].clear();
                    self.world.seats[at].hung.set(false);
                }
            }
            for at in 0..self.arenas.len() {
                if actions.safe & 1u64 << at != 0 {
                    self.world.safe_action(ComponentId(at as u8), &self.device_names);
                }
            }
            if actions.reboot {
                self.reboot();
                continue;
            }
            for at in 0..self.arenas.len() {
                if actions.load & 1u64 << at != 0 {
                    self.load(ComponentId(at as u8));
                }
            }
        }
    }

    fn load(&mut self, id: ComponentId) {
        let epoch = self.facts(id).map_or(0, |facts| facts.epoch);
        let now = self.now();
        self.world.journal.borrow_mut().add(now, || Event::Started { component: id, epoch });
        self.take_the_processor(id);
        let world = Rc::clone(&self.world);
        let place = self.world.kernel.borrow().place(id);
        let arena = &mut self.arenas[id.index()];
        if let Some(code) = &self.codes[id.index()][usize::from(place & 1)]
            && !arena.holds_code(&code.linked)
        {
            *arena = Arena::new(code.linked.clone());
            self.world.seats[id.index()].reads.borrow_mut().clone_from(&code.reads);
        }
        let loaded = within(&world, || catch_unwind(AssertUnwindSafe(|| arena.load())));
        self.world.current.set(None);
        if let Err(payload) = loaded {
            self.note_panic(id, &*payload);
            self.world.fault(id, Fault::Panic);
        }
        if epoch > 1 {
            // The first start is part of booting; the others are recoveries, and the line does not wait for them.
            self.advance(now + self.costs.start);
        }
    }

    fn take_the_processor(&self, id: ComponentId) {
        self.world.current.set(Some(id));
        self.world.gate_closed.set(false);
        self.world.in_window.set(false);
        self.world.wanted_alarm.set(NEVER);
        self.world.points_in_turn.set(0);
    }

    fn reboot(&mut self) {
        self.reboots += 1;
        let now = self.now();
        self.world.kernel.borrow_mut().reboot(now);
        for arena in &mut self.arenas {
            arena.clear();
        }
        for word in self.memory {
            word.store(0, Ordering::Relaxed);
        }
        self.world.journal.borrow_mut().add(now, || Event::Rebooted);
        self.boot();
    }

    fn turn(&mut self, id: ComponentId) {
        self.turns += 1;
        self.take_the_processor(id);
        let world = Rc::clone(&self.world);
        let arena = &mut self.arenas[id.index()];
        if let Some(watchdog) = &self.watchdog {
            watchdog.begins(self.turns, id.0);
        }
        let turn = within(&world, || catch_unwind(AssertUnwindSafe(|| arena.poll())));
        if let Some(watchdog) = &self.watchdog {
            watchdog.ends();
        }
        // The gate stays closed for whatever an ended incarnation might still do.
        world.gate_closed.set(true);
        world.current.set(None);
        match turn {
            Ok(Some(Poll::Pending)) => {
                let alarm = world.wanted_alarm.get();
                // Where a swap goes on, an incarnation ends here.
                world.noting_ends(|kernel, now| kernel.wait(id, alarm, now));
            }
            Ok(Some(Poll::Ready(exit))) => {
                if let Exit::Unfit(why) = exit {
                    world.journal.borrow_mut().add(world.now(), || Event::Log { component: id, text: why.to_owned() });
                }
                world.fault(id, Fault::Exit);
            }
            Ok(None) => debug_assert!(false, "only components that hold a future are ready"),
            Err(payload) => match Unwound::of(&*payload) {
                Unwound::Fault(fault) => {
                    self.note_panic(id, &*payload);
                    world.fault(id, fault);
                }
                Unwound::Hang => world.seats[id.index()].hung.set(true),
                Unwound::Dead => {}
            },
        }
    }

    fn note_panic(&mut self, id: ComponentId, payload: &(dyn std::any::Any + Send)) {
        if let Some(text) = panic_text(payload) {
            self.panics.push(format!("{}: {text}", self.names[id.index()]));
        }
    }

    /// Runs the image until platform time `at`.
    pub fn run_until(&mut self, at: u64) -> RunEnd {
        loop {
            self.carry_out_actions();
            self.deliver_interrupts();
            let now = self.now();
            while self.world.noting_ends(|kernel, now| kernel.expire(now)) {}
            self.carry_out_actions();
            if now >= at {
                return RunEnd::Reached;
            }
            let turn = self.world.kernel.borrow_mut().dispatch(self.now());
            match turn {
                Some(id) if self.world.seats[id.index()].hung.get() => {
                    let next = self.next_event().max(now + 1);
                    // Time goes on, whatever a quantum is said to be: else nobody would notice the hang.
                    self.advance(next.min(now + self.costs.quantum.max(1)).min(at));
                }
                Some(id) => {
                    self.turn(id);
                    self.carry_out_actions();
                    if self.costs.turn > 0 {
                        let now = self.now();
                        self.advance(now + self.costs.turn);
                    } else if self.goes_in_circles() {
                        return RunEnd::Circle { component: self.name(id).to_owned() };
                    }
                }
                None => match self.next_event() {
                    NEVER if at == NEVER => return RunEnd::Idle,
                    next => self.advance(next.max(now).min(at)),
                },
            }
        }
    }

    fn goes_in_circles(&mut self) -> bool {
        let now = self.now();
        self.turns_at = if self.turns_at.0 == now { (now, self.turns_at.1 + 1) } else { (now, 0) };
        self.turns_at.1 > TURNS_AT_ONE_MOMENT
    }
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> Option<String> {
    payload.downcast_ref::<String>().cloned().or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()))
}
