//! What the kernel's facts say, in the words of a person.

use koboshi_core::incident::{CutShort, Incident, Noticed, Successor, Verdict};
use koboshi_core::kernel::SwapPhase;
use koboshi_core::life::State;
use koboshi_core::record::{self, Fate};
use koboshi_core::{ComponentId, PortId};
use koboshi_host::image::{Connection, Image};
use koboshi_host::machine::Machine;

use super::protocol::{InHand, Oldest, Process, Story, Swap, SwapTo};
use crate::units::Quantity;

/// A state's word.
pub(crate) const fn state(state: State) -> &'static str {
    match state {
        State::Absent => "absent",
        State::Starting => "starting",
        State::Running => "running",
        State::Quiescing => "quiescing",
        State::Stopped => "stopped",
        State::Failed => "failed",
        State::Backoff => "backoff",
        State::GivenUp => "given up",
    }
}

/// A line of the log, with names for the numbers by which components know each other.
pub(crate) fn named(line: &str, names: &[String]) -> String {
    const NUMBERED: &str = "component ";
    let mut parts = line.split(NUMBERED);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        match part[..digits].parse().ok().and_then(|at: usize| names.get(at)) {
            Some(name) => text.extend([name, &part[digits..]]),
            None => text.extend([NUMBERED, part]),
        }
    }
    text
}

/// All components; `packages`: what lies in both places of code of each.
pub(crate) fn processes(machine: &Machine, packages: &[[String; 2]]) -> Vec<Process> {
    let one = |at: usize| {
        let id = ComponentId(at as u8);
        let found = machine.status(id)?;
        let oldest = found.oldest.map(|oldest| Oldest {
            operation: oldest
                .operation
                .map_or_else(|| "no operation".to_owned(), |name| format!("{}/{name}", oldest.port)),
            client: oldest.client,
            due_in_ns: oldest.deadline.map(|deadline| deadline.cast_signed().saturating_sub_unsigned(machine.now())),
            waiting: found.waiting,
        });
        Some(Process {
            name: found.name,
            package: packages.get(at)?.get(machine.place(id))?.clone()
                + on_probation(matches!(machine.swap_phase(id), SwapPhase::Probation(_))),
            state: state(found.state).to_owned(),
            epoch: found.epoch,
            vcpu: found.vcpu,
            restarts: found.restarts,
            last_fault: found.fault.map(|fault| fault.to_string()),
            oldest_request: oldest,
            bytes_in: found.bytes.map(|bytes| bytes.taken),
            bytes_out: found.bytes.map(|bytes| bytes.given),
        })
    };
    (0..packages.len()).filter_map(one).collect()
}

/// The mark of a version on probation.
pub(crate) const fn on_probation(is: bool) -> &'static str {
    if is { " (on probation)" } else { "" }
}

/// What is known of an image, to put its numbers into words.
pub(crate) struct Known {
    pub(crate) names: Vec<String>,
    connections: Vec<Connection>,
}

impl Known {
    /// What is known of this image.
    pub(crate) fn of(image: &Image) -> Self {
        let names = image.components.iter().map(|component| component.name.clone()).collect();
        Known { names, connections: image.connections.clone() }
    }

    fn name(&self, id: ComponentId) -> String {
        if id == ComponentId::IMAGE {
            return "the image".to_owned();
        }
        self.names.get(id.index()).cloned().unwrap_or_else(|| "?".to_owned())
    }

    /// The interface of a port, without the name of its crate.
    fn interface(&self, port: PortId) -> &'static str {
        let connection = self.connections.get(usize::from(port.0));
        connection.map_or("?", |connection| connection.interface.path.rsplit('/').next().unwrap_or_default())
    }

    fn in_hand(&self, found: &record::InHand) -> InHand {
        let connection = self.connections.get(usize::from(found.port.0));
        let rows = connection.map_or(&[][..], |connection| connection.interface.operations);
        let row = rows.iter().find(|row| row.index == found.operation);
        let operation = row.map_or_else(|| found.operation.to_string(), |row| row.name.to_owned());
        InHand {
            operation: format!("{}/{operation}", self.interface(found.port)),
            client: connection.map_or_else(|| "?".to_owned(), |connection| self.name(connection.near.component)),
            position: found.position,
            progress: found.progress,
            then: match found.then {
                Fate::OfferedAgain => "offered again",
                Fate::Interrupted => "ended as interrupted",
                Fate::Poisoned => "ended as poisoned",
            }
            .to_owned(),
        }
    }

    fn noticed(&self, incident: &Incident) -> String {
        match incident.noticed {
            Noticed::Kernel => "by the kernel, at once".to_owned(),
            Noticed::Clock { called_at } => {
                let late = Quantity::Time.write(incident.failed_at.saturating_sub(called_at));
                format!("by the kernel's clock: it was called {late} before and had not come back")
            }
            Noticed::Component { by } => format!("by {}", self.name(by)),
            Noticed::Reported { by, to } => format!("by {}, which told {}", self.name(by), self.name(to)),
            Noticed::Blamed { by, port } => {
                format!(
                    "by {}, which found what it sent at `{}` malformed or missing",
                    self.name(by),
                    self.interface(port)
                )
            }
            Noticed::Person => "by the person who runs the image".to_owned(),
        }
    }
}

/// What is known of an incident beside the kernel's own record.
pub(crate) struct Found {
    /// The platform's time.
    pub(crate) now: u64,
    /// Whether what the component keeps was whole; `None`: nobody knows. `Some(None)`: it keeps nothing.
    pub(crate) kept_state_whole: Option<Option<bool>>,
    /// Where it was.
    pub(crate) place: Option<String>,
    pub(crate) registers: Option<[u32; 16]>,
}

/// One incident, as it looks now.
pub(crate) fn of(incident: &Incident, found: Found, known: &Known) -> Story {
    let Found { now, kept_state_whole, place, registers } = found;
    let cut_short = incident.cut_short.map(|(why, _)| match why {
        CutShort::DiedAgain => "died again before it was up",
        CutShort::GivenUp => "given up",
        CutShort::Stopped => "stopped on purpose",
        CutShort::Rebooted => "the image was rebooted",
        CutShort::Swapped => "another version has taken its place",
    });
    let told = (0..known.names.len() as u8).map(ComponentId).filter(|id| incident.told & id.bit() != 0);
    Story {
        number: incident.number,
        component: known.name(incident.component),
        fault: incident.fault.to_string(),
        noticed: known.noticed(incident),
        epoch_ended: incident.epoch,
        epoch_begun: incident.started_at.map(|_| incident.epoch + 1),
        down_since_ns: incident.down_since,
        failed_at_ns: incident.failed_at,
        in_backoff_from_ns: incident.backoff_at,
        started_at_ns: incident.started_at,
        up_at_ns: incident.up_at,
        answered_at_ns: incident.answered_at,
        recover_within_ns: incident.within,
        missed: incident.missed(now),
        cut_short: cut_short.map(str::to_owned),
        cut_short_at_ns: incident.cut_short.map(|(_, at)| at),
        in_hand: incident.seal.in_hand.as_ref().map(|found| known.in_hand(found)),
        offered_again: incident.seal.offered_again,
        interrupted: incident.seal.interrupted,
        poisoned: incident.seal.poisoned,
        kept_state_whole: kept_state_whole.flatten(),
        kept_state_unknown: kept_state_whole.is_none(),
        place,
        registers,
        swap: incident.swap.map(|swap| Swap {
            to: match swap.to {
                Successor::New => SwapTo::New,
                Successor::Before => SwapTo::Before,
                Successor::BeforeAgain => SwapTo::BeforeAgain,
            },
            asked_at_ns: swap.asked_at,
            stays_since_ns: if let Verdict::Stays(at) = swap.verdict { Some(at) } else { None },
            undone_by: if let Verdict::Undone(number) = swap.verdict { Some(number) } else { None },
            put_back_at_ns: if let Verdict::PutBack(at) = swap.verdict { Some(at) } else { None },
        }),
        told: told.map(|id| known.name(id)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn numbers_of_components_become_names() {
        let names = ["manager", "driver"].map(str::to_owned);
        assert_eq!(
            named("monitor: component 1: Start, component 0 too", &names),
            "monitor: driver: Start, manager too"
        );
        assert_eq!(named("component 7: Start; a component of 2", &names), "component 7: Start; a component of 2");
        assert_eq!(named("no one", &names), "no one");
    }
}
