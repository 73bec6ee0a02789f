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
use super::system::{Failed, Loading, System};

/// Platform time after which a swap that was commanded, is not under way, and has left no incident was called off. What is
/// known of a board is some hundredths of a second old.
const CALLED_OFF: u64 = 500_000_000;

/// Platform time after which it is told that the new version runs, though nobody has asked it anything yet.
const ANSWERS_SOON: u64 = 500_000_000;

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
    /// The version before was asked for, by the question with this number.
    AskedBack(u32),
    /// It was commanded, and was last seen under way at this time; whether it was told that the component quiesces.
    Asked { at: u64, told: bool },
    /// The new version runs: by this incident.
    Runs(u32),
}

/// What `--back` puts in place, in words.
const BEFORE: &str = "the version before";

impl Following {
    /// A package is on its way. `since`: how many incidents there were before it was asked for.
    pub(super) fn loading(id: ComponentId, name: &str, answers: Answers, since: u32) -> Self {
        let name = name.to_owned();
        Following { id, name, what: String::new(), answers, stage: Stage::Loading(0), since }
    }

    /// The version before was asked for.
    pub(super) fn back(id: ComponentId, name: &str, answers: Answers, since: u32, question: u32) -> Self {
        Following {
            what: BEFORE.to_owned(),
            stage: Stage::AskedBack(question),
            ..Self::loading(id, name, answers, since)
        }
    }

    /// The component.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The run is over, and with it the swap.
    pub(super) fn ends(self) {
        let what = format!("the run ends, and with it the swap of `{}`", self.name);
        let remedy = "an image begins from its own packages: start it, and swap again.".to_owned();
        self.answers.give(Answer::Error { what, remedy, later: false });
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
            Stage::AskedBack(question) => {
                if let Some(answer) = system.asked_back(question) {
                    answer?;
                    self.stage = Stage::Asked { at: now, told: false };
                }
            }
            Stage::Asked { at, told } => {
                let Some((incident, swap)) = self.begun(system) else {
                    let quiesces = system.state(self.id) == State::Quiescing;
                    if quiesces && !told {
                        self.tell(SwapStep::Quiescing);
                    }
                    let under_way = system.swap_is_under_way(self.id);
                    self.stage = Stage::Asked { at: if under_way { now } else { at }, told: told || quiesces };
                    if !under_way && now.saturating_sub(at) > CALLED_OFF {
                        return self.called_off();
                    }
                    return Ok(None);
                };
                let quiet = now.saturating_sub(swap.asked_at) > ANSWERS_SOON;
                if incident.answered_at.is_some()
                    || incident.cut_short.is_some()
                    || swap.verdict != Verdict::Open
                    || quiet
                {
                    let pause_ns = incident.answered_at.map(|answered| answered.saturating_sub(swap.asked_at));
                    let (epoch, incident) = (incident.epoch + 1, incident.number);
                    self.tell(SwapStep::Runs { epoch, pause_ns, incident, on_probation: swap.to == Successor::New });
                    self.stage = Stage::Runs(incident);
                }
            }
            Stage::Runs(number) => {
                let found = system.incident_from(number).filter(|incident| incident.number == number);
                let Some(swap) = found.and_then(|incident| incident.swap) else {
                    // So much has happened since that its record is gone; whether it is over is known all the same.
                    if system.swap_is_under_way(self.id) {
                        return Ok(None);
                    }
                    let what = format!("how the swap of `{}` ended is not remembered any more", self.name);
                    return Err((what, "`koboshi ps` shows which version runs.".to_owned()));
                };
                match swap.verdict {
                    Verdict::Open => {}
                    Verdict::Stays(_) => {
                        return Ok(Some(format!("{}: {} stays (incident {number})", self.name, self.what)));
                    }
                    Verdict::Undone(by) => {
                        let undone = system.incident_from(by).filter(|incident| incident.number == by);
                        return Err(self.undone(by, undone));
                    }
                    Verdict::PutBack(_) => {
                        let why = "it was stopped or given up, or the image began anew";
                        let what = format!("the version before of `{}` has its place again: {why}", self.name);
                        return Err((what, "look at `koboshi incidents`, and swap it again.".to_owned()));
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

    /// It was commanded, and did not come to pass.
    fn called_off(&self) -> Result<Option<String>, Failed> {
        if self.what == BEFORE {
            return Ok(Some(format!("{}: the swap is called off, and the version before still runs", self.name)));
        }
        let what = format!("the swap of `{}` was called off before it began", self.name);
        Err((what, "somebody wanted the version before, or stopped the component; say it again.".to_owned()))
    }

    fn undone(&self, by: u32, incident: Option<Incident>) -> Failed {
        let (name, what) = (&self.name, &self.what);
        let wanted = incident.is_some_and(|incident| incident.swap.is_some_and(|swap| swap.to == Successor::Before));
        if wanted {
            let what = format!("the version before of `{name}` has its place again: somebody wanted it");
            return (what, format!("`koboshi incidents {by}` tells who; swap it again if that was a mistake."));
        }
        let why = match incident {
            Some(incident) => format!("{what} did something wrong on probation: {}", incident.fault),
            None => "the record does not say why any more".to_owned(),
        };
        let what = format!("the version before of `{name}` has its place again: {why}");
        (what, format!("`koboshi incidents {by}` tells the story; mend the package, and pack it anew."))
    }
}

/// Why a command of a swap was refused, in words.
pub(super) fn denied(name: &str, denied: Denied, back: bool) -> Failed {
    match denied {
        Denied::Right => (
            format!("`{name}` is not swappable in this image"),
            "write `swappable = { room = \"1 MiB\" }` into its `[[component]]`, and run the image anew.".to_owned(),
        ),
        Denied::Unknown => (format!("there is no component `{name}`"), "look at `koboshi ps`.".to_owned()),
        Denied::State(_) if back => (
            format!("`{name}` has no version before to go back to"),
            "it was not swapped, or the last version went back by itself, or left no way back.".to_owned(),
        ),
        Denied::State(State::Absent) => (
            format!("`{name}` was never started, so there is nothing to swap"),
            "wait until it runs (`koboshi ps`), and say it again.".to_owned(),
        ),
        Denied::State(_) => (
            format!("`{name}` cannot be swapped now: its last swap is not over"),
            "wait until that version stays; or say `koboshi swap NAME --back` first.".replace("NAME", name),
        ),
    }
}
