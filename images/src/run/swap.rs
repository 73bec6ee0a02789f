//! A swap as somebody follows it who has asked for it: from the package on its way until the new version stays, or has gone
//! back.
//!
//! The rule: what is told is what the kernel's record says. Whoever follows changes nothing by it, and may go.

use koboshi_core::ComponentId;
use koboshi_core::incident::{Incident, Successor, Swapped, Verdict};
use koboshi_core::kernel::Denied;
use koboshi_core::life::State;

use super::protocol::{Answer, SwapStep};
use super::socket::Answers;
use super::system::{Loading, System};

/// Platform time in which a swap must have begun once it was commanded: beyond what any component may be given to quiesce
/// there would be nothing to follow. It was called off.
const BEGINS_WITHIN: u64 = 60_000_000_000;

/// A swap that somebody follows.
pub(super) struct Following {
    id: ComponentId,
    name: String,
    /// What is put in its place, in words, once that is known.
    what: String,
    answers: Answers,
    stage: Stage,
    /// Incidents before this number are older.
    since: u32,
}

enum Stage {
    /// The package is on its way. So many bytes were told of.
    Loading(usize),
    /// It was commanded at this time; whether it was told that the component quiesces.
    Asked { at: u64, told: bool },
    /// The new version runs: by this incident.
    Runs(u32),
}

/// Why something came to no good end: what, and what would be right.
type Failed = (String, String);

impl Following {
    /// A package is on its way.
    pub(super) fn loading(id: ComponentId, name: &str, answers: Answers, system: &impl System) -> Self {
        let (name, since) = (name.to_owned(), system.incident_count());
        Following { id, name, what: String::new(), answers, stage: Stage::Loading(0), since }
    }

    /// The version before was asked for.
    pub(super) fn back(id: ComponentId, name: &str, answers: Answers, system: &impl System) -> Self {
        let stage = Stage::Asked { at: system.now(), told: false };
        Following { what: "the version before".to_owned(), stage, ..Self::loading(id, name, answers, system) }
    }

    /// Tells what is new; false: there is no more to come.
    pub(super) fn goes_on(&mut self, system: &mut impl System) -> bool {
        let over = match self.next(system) {
            Ok(None) => return self.answers.are_wanted(),
            Ok(Some(done)) => Answer::Done(done),
            Err((what, remedy)) => Answer::Error { what, remedy, later: false },
        };
        self.answers.give(over);
        false
    }

    fn tell(&self, step: SwapStep) {
        // One that does not listen is told the end.
        self.answers.give(Answer::Swap(step));
    }

    fn next(&mut self, system: &mut impl System) -> Result<Option<String>, Failed> {
        let now = system.now();
        match self.stage {
            Stage::Loading(told) => match system.loading() {
                Some(Loading::Sent { bytes, of }) if bytes != told => {
                    self.stage = Stage::Loading(bytes);
                    self.tell(SwapStep::Sent { bytes, of });
                }
                Some(Loading::Sent { .. }) | None => {}
                Some(Loading::Refused { what, remedy }) => return Err((what, remedy)),
                Some(Loading::Commanded { what }) => {
                    self.tell(SwapStep::LetIn { package: what.clone() });
                    (self.what, self.stage) = (what, Stage::Asked { at: now, told: false });
                }
            },
            Stage::Asked { at, told } => {
                let Some((incident, swap)) = self.begun(system) else {
                    if system.state(self.id) == State::Quiescing && !told {
                        self.stage = Stage::Asked { at, told: true };
                        self.tell(SwapStep::Quiescing);
                    }
                    if now.saturating_sub(at) > BEGINS_WITHIN {
                        let what = format!("the swap of `{}` did not begin: somebody has called it off", self.name);
                        return Err((what, "look at `koboshi ps`, and say it again.".to_owned()));
                    }
                    return Ok(None);
                };
                if incident.answered_at.is_some() || incident.cut_short.is_some() || swap.verdict != Verdict::Open {
                    let pause_ns = incident.answered_at.map(|answered| answered.saturating_sub(swap.asked_at));
                    self.tell(SwapStep::Runs { epoch: incident.epoch + 1, pause_ns, incident: incident.number });
                    self.stage = Stage::Runs(incident.number);
                }
            }
            Stage::Runs(number) => {
                let gone =
                    || (format!("incident {number} is not remembered any more"), "look at `koboshi ps`.".to_owned());
                let found =
                    system.incident_from(number).filter(|incident| incident.number == number).ok_or_else(gone)?;
                let verdict = found.swap.ok_or_else(gone)?.verdict;
                match verdict {
                    Verdict::Open => {}
                    Verdict::Stays(_) => {
                        return Ok(Some(format!("{}: {} stays (incident {number})", self.name, self.what)));
                    }
                    Verdict::Undone(by) => {
                        let undone = system.incident_from(by).filter(|incident| incident.number == by);
                        return Err(self.undone(by, undone));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The incident by which the swap was made.
    fn begun(&self, system: &impl System) -> Option<(Incident, Swapped)> {
        let mut number = self.since;
        while let Some(incident) = system.incident_from(number) {
            let swap = incident.swap.filter(|swap| swap.to != Successor::BeforeAgain && incident.component == self.id);
            if let Some(swap) = swap {
                return Some((incident, swap));
            }
            number = incident.number + 1;
        }
        None
    }

    fn undone(&self, by: u32, incident: Option<Incident>) -> Failed {
        let (name, what) = (&self.name, &self.what);
        let wanted = incident.is_some_and(|incident| incident.swap.is_some_and(|swap| swap.to == Successor::Before));
        let why = match incident {
            Some(_) if wanted => "somebody wanted it".to_owned(),
            Some(incident) => format!("{what} did something wrong on probation: {}", incident.fault),
            None => "the record does not say why any more".to_owned(),
        };
        let what = format!("the version before of `{name}` has its place again: {why}");
        (what, format!("`koboshi incidents {by}` tells the story; mend the package, and pack it anew."))
    }
}

/// Why a command of a swap was refused, in words.
pub(super) fn denied(name: &str, denied: Denied, back: bool) -> (String, String) {
    match denied {
        Denied::Right => (
            format!("`{name}` is not swappable in this image"),
            "write `swappable = { room = \"64 KiB\" }` into its `[[component]]`, and run the image anew.".to_owned(),
        ),
        Denied::Unknown => (format!("there is no component `{name}`"), "look at `koboshi ps`.".to_owned()),
        Denied::State(_) if back => (
            format!("`{name}` has no version before to go back to"),
            "it was not swapped, or the last version went back by itself, or left no way back.".to_owned(),
        ),
        Denied::State(_) => (
            format!("`{name}` cannot be swapped now: its last swap is not over"),
            "wait until that version stays; or say `koboshi swap NAME --back` first.".replace("NAME", name),
        ),
    }
}
