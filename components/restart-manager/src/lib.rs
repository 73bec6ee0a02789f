//! The restart manager: policy over the kernel's facts.
//!
//! Job: start what is to run, decide what follows a death ([`policy`]), and serve `control` and `health`.
//!
//! Rules: every decision is made from the facts alone, so that its own death, at any point, loses nothing: its next
//! incarnation goes on where it was. Requests come before its own decisions, so that a reboot that was cut short is taken
//! up again before its members are looked at one by one.
//!
//! It must never: keep state that matters, or act on a run that has ended.
#![no_std]

use core::convert::Infallible;
use core::fmt::Write;
use core::future::pending;
use core::iter;

use koboshi_interfaces::health::{self, Health, NoSuch, Outcome};
use koboshi_interfaces::log::{self, Level, Record};
use koboshi_interfaces::{ComponentId, Incarnation, control};
use koboshi_runtime::authority::{self, Command, CutShort, Place};
use koboshi_runtime::kit::wire::Str;
use koboshi_runtime::platform::koboshi_port;
use koboshi_runtime::time::{until, wake_at};
use koboshi_runtime::{
    Description, Exit, Facts, Fault, Instant, PortDescription, Publisher, ServicePort, Side, Start, State,
    configuration, join4, kit, now,
};

use crate::policy::{Decision, Next, Policy};

pub mod policy;

/// The place of the port `control` in [`DESCRIPTION`].
const CONTROL: u8 = 0;

/// The place of the port `control-sos`.
const CONTROL_SOS: u8 = 1;

/// What the restart manager says of itself. All its ports are optional: it restarts others with nobody to talk to.
pub const DESCRIPTION: Description = Description {
    name: "restart-manager",
    ports: &[
        PortDescription { name: "control", side: Side::Offers, interface: &control::INTERFACE },
        PortDescription { name: "control-sos", side: Side::Offers, interface: &control::INTERFACE },
        PortDescription { name: "health", side: Side::Offers, interface: &health::INTERFACE },
        PortDescription { name: "log", side: Side::Offers, interface: &log::INTERFACE },
    ],
    devices: &[],
    interrupts: &[],
    kept: None,
};

/// The restart manager's ports.
pub struct Io {
    /// For whoever watches over the whole: the Monitor.
    pub control: Option<ServicePort>,
    /// For whoever watches over drivers: SOS.
    pub control_sos: Option<ServicePort>,
    /// For whoever shows how the components are.
    pub health: Option<ServicePort>,
    /// For whoever writes down what is done.
    pub log: Option<Publisher<log::Port>>,
}

impl Io {
    /// Opens the ports that the image joins.
    ///
    /// # Errors
    /// [`Exit::Unfit`] if one is joined to another interface.
    pub fn open() -> Result<Self, Exit> {
        Ok(Io {
            control: joined::<control::Port>(CONTROL)?,
            control_sos: joined::<control::Port>(CONTROL_SOS)?,
            health: joined::<health::Port>(2)?,
            log: koboshi_port(3).map(|_| Publisher::open(3)).transpose()?,
        })
    }
}

fn joined<S: kit::Service>(port: u8) -> Result<Option<ServicePort>, Exit> {
    koboshi_port(port).map(|_| ServicePort::open::<S>(port)).transpose()
}

/// Opens what the image gives, and runs.
pub async fn start(start: Start) -> Exit {
    let Some(policy) = configuration::<Policy>() else {
        return Exit::Unfit("the image gives the restart manager no policy");
    };
    match Io::open() {
        Ok(io) if policy.check().is_ok() => run(start, io, &policy).await,
        Ok(_) => Exit::Unfit("the restart manager's policy cannot be followed"),
        Err(unfit) => unfit,
    }
}

/// Looks after everybody in the policy, and serves the ports. A first life and a later one are the same to it.
pub async fn run(_: Start, io: Io, policy: &Policy) -> Exit {
    let mut records = io.log;
    let never = join4(
        serve_control(policy, CONTROL, io.control),
        serve_control(policy, CONTROL_SOS, io.control_sos),
        serve_health(io.health),
        until(|| watch(policy, &mut records)),
    );
    match never.await.0 {}
}

async fn serve_control(policy: &Policy, number: u8, port: Option<ServicePort>) -> Infallible {
    match port {
        Some(port) => control::serve(Control { policy, number }, port).await,
        None => pending().await,
    }
}

async fn serve_health(port: Option<ServicePort>) -> Infallible {
    match port {
        Some(port) => health::serve(Nurse, port).await,
        None => pending().await,
    }
}

fn facts(of: ComponentId) -> Option<Facts> {
    authority::facts(authority::ComponentId(of.0)).ok()
}

fn order(target: ComponentId, command: Command) -> Result<(), control::Denied> {
    match authority::command(authority::ComponentId(target.0), command) {
        // It came to another state by itself meanwhile, which is no fault of the asker.
        Ok(()) | Err(authority::Denied::State(_)) => Ok(()),
        Err(authority::Denied::Unknown) => Err(control::Denied::NoSuch),
        Err(authority::Denied::Right) => Err(control::Denied::NotAllowed),
    }
}

/// Does everything that is due now, and sets the alarm for what is due later. Whoever dies rings, and whoever is started by somebody else.
fn watch(policy: &Policy, records: &mut Option<Publisher<log::Port>>) -> Option<Infallible> {
    // Those about whom a command was refused: left alone until the next look, so that this ends.
    let mut refused = 0;
    loop {
        let known = |id: u8| {
            let id = ComponentId(id);
            facts(id).filter(|_| refused & authority::ComponentId(id.0).bit() == 0)
        };
        let Decision { next, then } = policy.decide(authority::down(), known, now().as_ticks());
        let (first, command) = match next {
            Next::Wait(at) => {
                wake_at(Instant::from_ticks(at));
                return None;
            }
            Next::Act(target, command) => (target, command),
        };
        let starts = then.into_iter().map(|id| (authority::ComponentId(id), Command::Start));
        for (target, command) in iter::once((first, command)).chain(starts) {
            let done = authority::command(target, command);
            if done.is_ok() && command == Command::Reboot {
                return None;
            }
            record(records, target.0, command, done);
            if done.is_err() {
                refused |= target.bit();
            }
        }
    }
}

/// Says what was done, if there is room: nothing waits for the log.
fn record(
    records: &mut Option<Publisher<log::Port>>,
    component: u8,
    command: Command,
    done: Result<(), authority::Denied>,
) {
    let Some(records) = records else { return };
    let (level, verdict) = match done {
        Ok(()) => (Level::Info, ""),
        Err(_) => (Level::Error, ": refused by the kernel"),
    };
    let mut line = heapless::String::<80>::new();
    // A line that is too long is cut.
    let _ = write!(line, "component {component}: {command:?}{verdict}");
    if let Ok(text) = Str::try_from(line.as_str()) {
        records.place(&Record { level, text });
        records.ring();
    }
}

/// What `control` does. What a death leads to is left to [`watch`].
struct Control<'p> {
    policy: &'p Policy,
    /// The port at which it is asked, so that the kernel can note on whose account somebody was ended.
    number: u8,
}

impl Control<'_> {
    /// Ends this run, if it still runs.
    fn end(&self, run: Incarnation, fault: Fault) -> Result<(), control::Denied> {
        let found = facts(run.component).ok_or(control::Denied::NoSuch)?;
        if found.state.alive() && found.epoch == run.epoch {
            return order(run.component, Command::EndReported(fault, self.number));
        }
        Ok(())
    }
}

impl control::Server for Control<'_> {
    async fn report(&mut self, report: control::Report) -> Result<(), control::Denied> {
        let fault = match report.why {
            control::Complaint::Late => Fault::Late,
            control::Complaint::BadMessage | control::Complaint::RuleBroken => Fault::BadMessage,
        };
        self.end(Incarnation { component: report.component, epoch: report.epoch }, fault)
    }

    async fn stop(&mut self, component: ComponentId) -> Result<(), control::Denied> {
        match facts(component).ok_or(control::Denied::NoSuch)?.state {
            State::Stopped => Ok(()),
            State::GivenUp => Err(control::Denied::GivenUp),
            _ => order(component, Command::Stop),
        }
    }

    async fn start(&mut self, component: ComponentId) -> Result<(), control::Denied> {
        match facts(component).ok_or(control::Denied::NoSuch)?.state {
            State::Stopped | State::GivenUp => order(component, Command::Start),
            _ => Ok(()),
        }
    }

    async fn restart(&mut self, run: Incarnation) -> Result<(), control::Denied> {
        match facts(run.component).ok_or(control::Denied::NoSuch)?.state {
            State::GivenUp => Err(control::Denied::GivenUp),
            _ => self.end(run, Fault::Told),
        }
    }

    async fn reboot(&mut self, reboot: control::Reboot) -> Result<(), control::Denied> {
        let known = |id| facts(ComponentId(id));
        let generation = self.policy.generation(reboot.group, known).ok_or(control::Denied::NoSuch)?;
        if generation > reboot.at_or_before {
            return Ok(());
        }
        for id in self.policy.backwards(reboot.group).into_iter().map(ComponentId) {
            if facts(id).is_some_and(|found| found.state.alive()) {
                order(id, Command::EndReported(Fault::Told, self.number))?;
            }
        }
        Ok(())
    }
}

/// What `health` shows: the facts, in the interface's words.
struct Nurse;

impl health::Server for Nurse {
    async fn states(&mut self, component: ComponentId) -> Result<Health, NoSuch> {
        let found = facts(component).ok_or(NoSuch)?;
        Ok(Health {
            state: state_in_words(found.state),
            epoch: found.epoch,
            restarts: found.starts.count().saturating_sub(1),
            fault: found.fault.map(fault_in_words),
        })
    }

    async fn incidents(&mut self, number: u32) -> Option<health::Incident> {
        let found = authority::incident(number)?;
        let component = ComponentId(found.component.0);
        let asked_at = now().as_ticks();
        Some(health::Incident {
            sequence: found.number,
            ended: Incarnation { component, epoch: found.epoch },
            fault: fault_in_words(found.fault),
            noticed_at: found.failed_at,
            outcome: match (found.up_at, found.cut_short) {
                (Some(_), _) => Outcome::Recovered { epoch: found.epoch.saturating_add(1), took: found.took(asked_at) },
                (None, Some((how, _))) => match how {
                    CutShort::DiedAgain => Outcome::EndedAgain,
                    CutShort::GivenUp => Outcome::GivenUp,
                    CutShort::Stopped => Outcome::Stopped,
                    CutShort::Rebooted => Outcome::Rebooted,
                    CutShort::Swapped => Outcome::Swapped,
                },
                (None, None) => Outcome::Open,
            },
            allowed: found.within,
            missed: found.missed(asked_at),
            at: (found.at != Place::default()).then(|| place_in_words(&found.at)),
        })
    }

    async fn registers(&mut self, component: ComponentId) -> Option<health::Registers> {
        let found = authority::registers(authority::ComponentId(component.0))?;
        Some(health::Registers { epoch: found.epoch, r: found.r })
    }
}

fn place_in_words(at: &Place) -> health::Place {
    health::Place {
        pc: at.pc,
        address: at.address,
        event: at.event as u16,
        file: Str::try_from(at.file()).unwrap_or_default(),
        line: at.line,
    }
}

const fn state_in_words(state: State) -> health::State {
    match state {
        State::Absent => health::State::Absent,
        State::Starting => health::State::Starting,
        State::Running => health::State::Running,
        State::Quiescing => health::State::Quiescing,
        State::Stopped => health::State::Stopped,
        State::Failed => health::State::Failed,
        State::Backoff => health::State::Backoff,
        State::GivenUp => health::State::GivenUp,
    }
}

const fn fault_in_words(fault: Fault) -> health::Fault {
    match fault {
        Fault::Access { .. } => health::Fault::Access,
        Fault::IllegalInstruction => health::Fault::IllegalInstruction,
        Fault::Panic => health::Fault::Panic,
        Fault::Stack => health::Fault::Stack,
        Fault::Stuck => health::Fault::Stuck,
        Fault::RunAway => health::Fault::RunAway,
        Fault::BadMessage => health::Fault::BadMessage,
        Fault::Exit => health::Fault::Exit,
        Fault::Told => health::Fault::Told,
        Fault::Late => health::Fault::Late,
        Fault::Rebooted => health::Fault::Rebooted,
        Fault::ManagerDied => health::Fault::ManagerDied,
        Fault::Reset => health::Fault::Reset,
        Fault::Watchdog => health::Fault::Watchdog,
        Fault::Swapped => health::Fault::Swapped,
    }
}
