//! A whole system: boot, and a reboot of SOS with its driver.
//!
//! | row | from | to |
//! | --- | --- | --- |
//! | `boot-byte` | power on, the first instruction of all | the first byte that any driver gives to the UART of its line |
//! | `sos-reboot` | a program's request to the restart manager to reboot SOS's group | the first byte that it sends afterwards is given to the SCIF |
//!
//! The first is counted in the system as its manifest has it. The byte is one of the console's: whoever starts after it is
//! not in this number. For the second `components/gauge`'s `program` stands in the console's place, so that nothing has to
//! come from outside, which would come at another moment each time. It has the console's ports, its device, its VCPU, and
//! the Monitor's port to the restart manager, whose `control` goes to one only and of which the Monitor makes no use unless
//! SOS is late. Everything else is the system's own, and joined as there.
//!
//! So `sos-reboot` has in it: the request, the end of the driver and of SOS, the start of both, how SOS finds out from its
//! rings what it has in hand and how the driver takes over its device, the answer, and one byte's way from the program through
//! the Monitor, SOS and the driver. It is the restart manager's reboot that is counted and not SOS's death, after which the
//! driver would go on as it is: a reboot is what the paper has measured.
//!
//! It must never: take a byte for the end that was sent before SOS and the driver had begun anew.

use std::ops::ControlFlow;

use koboshi_board::{Made, Placed, Source};
use koboshi_core::ComponentId;
use koboshi_core::kernel::Rights;
use koboshi_gauge::{idler, program};
use koboshi_host::image::{Image, ImageComponent, PortEnd};
use koboshi_host::linked::Linked;
use koboshi_restart_manager::policy::{Group, Policy};
use koboshi_sh4::link::Optimise;
use koboshi_sh4::tools::{Gcc, Qemu, Trouble};

use super::count::{Event, failed, run, symbol};
use super::{MANY, Row, built};
use crate::sh4::on_board::source;

/// An image that was composed for the emulated board.
#[derive(Clone)]
pub struct System {
    /// What is joined to what.
    pub image: Image,
    /// The programs, in the order of its components.
    pub sources: Vec<Source>,
    /// Where its devices are, in their order.
    pub devices: Vec<Option<Placed>>,
}

/// A mistake of whoever gives an image that is not of this kind.
fn unlike(what: &str) -> Trouble {
    Trouble::new(
        format!("{what}, so there is nothing to measure"),
        "let the image have the components and connections of images/r2d.toml.",
    )
}

impl System {
    /// The component that was made of a package.
    fn of(&self, package: &str) -> Result<ComponentId, Trouble> {
        let is_it = |component: &ImageComponent| component.linked.description().name == package;
        let found = self.image.components.iter().position(is_it);
        found.map(|at| ComponentId(at as u8)).ok_or_else(|| unlike(&format!("the image has no `{package}`")))
    }

    /// What the restart manager is told.
    fn policy(&self) -> Result<Policy, Trouble> {
        let manager = self.of("restart-manager")?;
        let policy = postcard::from_bytes(&self.image.components[manager.index()].configuration);
        policy.map_err(|error| unlike(&format!("the image's policy cannot be read ({error})")))
    }

    /// The same with so many components: those who are added have nothing to do, and a group of their own.
    fn with(mut self, count: usize) -> Result<Self, Trouble> {
        let manager = self.of("restart-manager")?;
        let mut policy = self.policy()?;
        let first = self.image.components.len();
        let ids: Vec<u8> = (first..count).map(|id| id as u8).collect();
        let last = policy.groups.last().cloned().ok_or_else(|| unlike("the image has no groups"))?;
        let members = heapless::Vec::from_slice(&ids).map_err(|_| unlike("a group has too many members"))?;
        let group = Group { members, ..last };
        policy.groups.push(group).map_err(|_| unlike("the image has too many groups"))?;
        let lowest = self.image.components.iter().map(|component| component.vcpu).max().unwrap_or(0);
        for id in ids {
            self.image.components.push(ImageComponent {
                name: format!("idler-{id}"),
                linked: Linked::new(&idler::DESCRIPTION, idler::start),
                vcpu: lowest,
                respond_within: 1_000_000_000,
                recover_within: None,
                swappable: None,
                configuration: Vec::new(),
                rights: Rights::default(),
            });
            self.image.components[manager.index()].rights.control |= ComponentId(id).bit();
            self.sources.push(source("gauge", "koboshi_gauge::idler::start"));
        }
        self.image.components[manager.index()].configuration = postcard::to_stdvec(&policy).unwrap_or_default();
        Ok(self)
    }

    /// The same with the gauge's program in the console's place.
    fn with_program(mut self) -> Result<Self, Trouble> {
        let (console, manager, sos) = (self.of("console")?, self.of("restart-manager")?, self.of("sos")?);
        let policy = self.policy()?;
        let group = policy.groups.iter().position(|group| group.members.contains(&sos.0));
        let group = group.ok_or_else(|| unlike("SOS is in no group"))? as u8;
        let component = &mut self.image.components[console.index()];
        component.name = "program".to_owned();
        component.linked = Linked::new(&program::DESCRIPTION, program::start);
        component.configuration = postcard::to_stdvec(&group).unwrap_or_default();
        component.rights = Rights::default();
        self.sources[console.index()] = source("gauge", "koboshi_gauge::program::start");
        let control = PortEnd { component: manager, port: 0 };
        let monitors = self.image.connections.iter_mut().find(|connection| connection.far == control);
        let monitors = monitors.ok_or_else(|| unlike("nobody is joined to the restart manager's `control`"))?;
        let mut ours = *monitors;
        monitors.far = PortEnd { component: console, port: program::ASKED };
        ours.near = PortEnd { component: console, port: program::CONTROL };
        self.image.connections.push(ours);
        Ok(self)
    }

    fn build(&self, name: &str) -> Result<(Made, Gcc), Trouble> {
        let folder = format!("system-{name}-{}", self.image.components.len());
        built((&folder, name), &self.image, self.sources.clone(), self.devices.clone(), Optimise::Size)
    }

    /// Instructions from power on to the first byte on a line.
    fn boot(&self) -> Result<u64, Trouble> {
        let (made, _) = self.build("boot")?;
        let mut first = None;
        run(&Qemu::find()?, &made.file, |done, event| match event {
            Event::At(_) => ControlFlow::Continue(()),
            Event::Sent(_) => {
                first = Some(done);
                ControlFlow::Break(())
            }
        })?;
        first.ok_or_else(|| failed("the system has sent no byte".to_owned()))
    }

    /// Instructions that a reboot of SOS with its driver takes, to the first byte on the line.
    fn reboot(self) -> Result<u64, Trouble> {
        let system = self.with_program()?;
        let (made, gcc) = system.build("reboot")?;
        let part = |package| system.of(package).map(|id| &made.components[id.index()]);
        let mut count = Reboot {
            mark: symbol(&gcc, &part("program")?.elf.path, "koboshi_trap_log")?,
            entries: [part("sos")?.entry, part("scif-driver")?.entry],
            at: Stage::Before,
        };
        run(&Qemu::find()?, &made.file, |done, event| count.see(done, event))?;
        count.result().map_err(|how| failed(format!("SOS's reboot: {how}")))
    }
}

/// How far a reboot has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Before,
    /// The first byte, which is sent before it, is on the line.
    Warm,
    /// It began behind so many instructions, and these two have begun anew.
    Begun(u64, [bool; 2]),
    /// A byte came too early.
    Early,
    /// It took so many instructions.
    Over(u64),
}

/// Counts a reboot.
#[derive(Debug)]
struct Reboot {
    /// The program's trap for the log.
    mark: u32,
    /// Where SOS and the driver begin.
    entries: [u32; 2],
    at: Stage,
}

impl Reboot {
    fn see(&mut self, done: u64, event: Event) -> ControlFlow<()> {
        self.at = match (self.at, event) {
            (Stage::Before, Event::Sent(program::BEFORE)) => Stage::Warm,
            // The instruction behind the trap.
            (Stage::Warm, Event::At(address)) if address == self.mark + 2 => Stage::Begun(done, [false; 2]),
            (Stage::Begun(from, begun), Event::At(address)) => {
                let [sos, driver] = self.entries.map(|entry| entry == address);
                Stage::Begun(from, [begun[0] || sos, begun[1] || driver])
            }
            (Stage::Begun(from, [true, true]), Event::Sent(program::AFTER)) => Stage::Over(done - from),
            (_, Event::Sent(_)) => Stage::Early,
            (at, _) => at,
        };
        match self.at {
            Stage::Over(_) | Stage::Early => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }

    fn result(&self) -> Result<u64, &'static str> {
        match self.at {
            Stage::Over(count) => Ok(count),
            Stage::Before => Err("no byte has come before it"),
            Stage::Warm => Err("it has not begun"),
            Stage::Begun(_, [true, true]) => Err("no byte has come after it"),
            Stage::Begun(..) => Err("SOS or its driver has not begun anew"),
            Stage::Early => Err("a byte has come where none is due"),
        }
    }
}

/// The rows of a system. `quick`: only as it is.
pub(super) fn rows(system: &System, quick: bool) -> Result<[Row; 2], Trouble> {
    let many = if quick { None } else { Some(system.clone().with(MANY)?) };
    let many = |measure: fn(System) -> Result<u64, Trouble>| many.clone().map(measure).transpose();
    let row = |id, what, few, many| Row { id, what, unit: "instructions", few, many, fast: None, below: None };
    let boot: fn(System) -> Result<u64, Trouble> = |system| system.boot();
    let (byte, reboot) = (
        "a whole system: power on, to the first byte on a line",
        "a whole system: a reboot of SOS and its driver, to a byte",
    );
    Ok([
        row("boot-byte", byte, system.boot()?, many(boot)?),
        row("sos-reboot", reboot, system.clone().reboot()?, many(System::reboot)?),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: u32 = 0x100;
    const SOS: u32 = 0x200;
    const DRIVER: u32 = 0x300;

    fn counted(events: &[Event]) -> Result<u64, &'static str> {
        let mut count = Reboot { mark: MARK, entries: [SOS, DRIVER], at: Stage::Before };
        for (done, event) in events.iter().enumerate() {
            if count.see(done as u64, *event).is_break() {
                break;
            }
        }
        count.result()
    }

    #[test]
    fn a_reboot_counts_only_if_both_have_begun_anew_before_the_byte() {
        use Event::{At, Sent};
        let (before, after) = (Sent(program::BEFORE), Sent(program::AFTER));
        let whole = [At(SOS), At(DRIVER), before, At(MARK), At(MARK + 2), At(DRIVER), At(SOS), At(0), after];
        assert_eq!(counted(&whole), Ok(4));
        let without = |at: usize| counted(&[&whole[..at], &whole[at + 1..]].concat());
        // The driver, and SOS, as they were; a byte that was late; no request; no end.
        assert_eq!(without(5), Err("a byte has come where none is due"));
        assert_eq!(without(6), Err("a byte has come where none is due"));
        assert_eq!(without(2), Err("a byte has come where none is due"));
        assert_eq!(without(4), Err("a byte has come where none is due"));
        assert_eq!(without(8), Err("no byte has come after it"));
        let late = [before, At(MARK + 2), At(DRIVER), At(SOS), before, after];
        assert_eq!(counted(&late), Err("a byte has come where none is due"));
    }
}
