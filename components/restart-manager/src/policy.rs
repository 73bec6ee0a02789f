//! What to do about deaths: pure decisions over the kernel's facts.
//!
//! Job: [`Policy::next`] looks at the facts and the time and names the one thing to do next, or how long to wait.
//!
//! Rules:
//! - A death is judged by what had happened up to that death. So its remedy stays the same while it is carried out,
//!   whoever carries it out and however often he dies meanwhile: what is done shows in the facts, the rest is still due.
//! - The remedy is done with when the one who died is started. Neighbours who are still down then were told to end, and
//!   who was told to end is started again and is nobody's cause for anything.
//! - Neighbours are ended last to first, all of them before the first is started; then they are started first to last.
//!
//! How escalation is remembered: by starts alone. A fruitless death counts until it is older than the period, or until
//! everybody else in the parent group has been started since: then its surroundings are new. And a parent group has been
//! tried as often as the least restarted of these others was restarted in the parent's period.
//!
//! It must never: keep anything from one decision to the next, or end a component that a remedy has already renewed.

use heapless::Vec;
use koboshi_runtime::authority::{Command, ComponentId, HISTORY, History, MAX_COMPONENTS};
use koboshi_runtime::{Facts, Fault, State};
use serde::{Deserialize, Serialize};

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// Groups in a policy.
pub const GROUPS: usize = 16;

/// Members of a group.
pub const MEMBERS: usize = 32;

/// The largest intensity: one death more must still fit into the history.
pub const MOST_INTENSITY: u8 = HISTORY as u8 - 1;

/// Who restarts with whom, how often, and what follows when that does not help.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The groups, each before the one that it escalates to.
    ///
    /// A group is rebooted together with all groups that escalate to it. The first group that lists a component decides
    /// about its deaths; one that it escalates to may list it again, to say where it stands among the others.
    pub groups: Vec<Group, GROUPS>,
}

/// Components that share their fate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its members' places in the image, in the order in which they are started.
    pub members: Vec<u8, MEMBERS>,
    /// Who is restarted with a member that died.
    pub strategy: Strategy,
    /// Fruitless deaths in a period that are put up with; for a group that others escalate to, also its reboots.
    pub intensity: u8,
    /// The period, in milliseconds.
    pub period_ms: u32,
    /// The pause before a restart after two fruitless deaths in a row; it doubles with each further one. The first is
    /// followed by a restart at once.
    pub backoff_first_ms: u32,
    /// The longest such pause.
    pub backoff_most_ms: u32,
    /// Restarts of one member that are made in a second, at most.
    pub rate_per_second: u16,
    /// What follows when there were more fruitless deaths than are put up with.
    pub escalate: Escalation,
}

/// Who is restarted when a member dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strategy {
    /// It alone.
    OneForOne,
    /// All members.
    OneForAll,
    /// It, and those after it.
    RestForOne,
}

/// What follows when a group's restarts do not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Escalation {
    /// The group at this place is rebooted, with those that escalate to it: all are ended, and started in order.
    Group(u8),
    /// The image is rebooted.
    Image,
    /// The one who died stays down: its clients get a clear error, and the kernel takes its safe action.
    GiveUp,
}

/// Why a policy cannot be followed. Whoever wrote it is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// This group has no members, or one that no image can have.
    Members(u8),
    /// This group allows more deaths than are remembered.
    Intensity(u8),
    /// This group allows no restarts at all.
    Rate(u8),
    /// This group escalates to one that does not come after it.
    Order(u8),
}

/// The one thing to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// This command about this component.
    Act(ComponentId, Command),
    /// Nothing before this time, unless something happens.
    Wait(u64),
}

/// What is to be done about somebody who is down.
#[derive(Clone, Copy)]
enum Remedy {
    /// Start it at this time, after renewing these neighbours too.
    Start { with: u64, at: u64 },
    /// Reboot the image.
    Image,
    /// Leave it down.
    GiveUp,
}

/// Somebody who is down, and is to be started.
#[derive(Clone, Copy)]
struct Down {
    id: u8,
    state: State,
    since: u64,
    with: u64,
    at: u64,
    /// What is to be done about it depends on nothing but itself: it was never started, or was told to end.
    alone: bool,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The one thing to do next.
    pub next: Next,
    /// Who is to be started right behind that, in this order: it is what the next decisions would be. So a whole image is
    /// judged once at its boot, and not once for each of its components.
    pub then: Vec<u8, MAX_COMPONENTS>,
}

impl Decision {
    const fn only(next: Next) -> Self {
        Decision { next, then: Vec::new() }
    }
}

const fn bit(id: u8) -> u64 {
    ComponentId(id).bit()
}

fn set_of(members: &[u8]) -> u64 {
    members.iter().fold(0, |set, id| set | bit(*id))
}

/// Of a history, how many lie from one time to another, both included.
fn between(history: &History, from: u64, to: u64) -> u32 {
    history.since(from).saturating_sub(history.since(to.saturating_add(1)))
}

/// The last time in a history that is not after this one; 0: none is known.
fn last_until(history: &History, to: u64) -> u64 {
    (0..HISTORY as u32).filter_map(|back| history.last(back)).find(|at| *at <= to).unwrap_or(0)
}

/// Restarts from one time to another: a component's very first start is none.
fn restarts(starts: &History, from: u64, to: u64) -> u32 {
    let known = starts.count().min(HISTORY as u32);
    let first = if starts.count() == known { known.checked_sub(1).and_then(|back| starts.last(back)) } else { None };
    between(starts, first.map_or(from, |first| from.max(first.saturating_add(1))), to)
}

/// Whether a component is looked after: nobody stopped it, and it was not given up.
const fn takes_part(facts: &Facts) -> bool {
    !facts.state.gone()
}

/// Whether somebody who is down is started as soon as it may be, whatever became of others.
fn is_alone(down: &Facts) -> bool {
    match down.state {
        State::Absent => true,
        State::Failed | State::Backoff => down.fault == Some(Fault::Told),
        State::Starting | State::Running | State::Quiescing | State::Stopped | State::GivenUp => false,
    }
}

impl Group {
    /// The neighbours who are renewed when this member dies.
    fn neighbours(&self, id: u8) -> u64 {
        let members = match self.strategy {
            Strategy::OneForOne => &[],
            Strategy::OneForAll => self.members.as_slice(),
            Strategy::RestForOne => {
                let from = self.members.iter().position(|member| *member == id).unwrap_or(0);
                self.members.get(from..).unwrap_or(&[])
            }
        };
        set_of(members) & !bit(id)
    }

    /// The pause after so many fruitless deaths in a row.
    fn backoff(&self, in_a_row: u32) -> u64 {
        let Some(doublings) = in_a_row.checked_sub(2) else {
            return 0;
        };
        let factor = 1u64.checked_shl(doublings).unwrap_or(u64::MAX);
        u64::from(self.backoff_first_ms).saturating_mul(factor).min(self.backoff_most_ms.into()) * MILLISECOND
    }

    /// When the rate cap allows the next start.
    fn capped_until(&self, starts: &History) -> u64 {
        let span = HISTORY as u64 * SECOND / u64::from(self.rate_per_second.max(1));
        starts.last(HISTORY as u32 - 1).map_or(0, |at| at.saturating_add(span))
    }

    const fn period(&self) -> u64 {
        self.period_ms as u64 * MILLISECOND
    }
}

impl Policy {
    /// Says what is wrong with a policy, if anything is.
    ///
    /// # Errors
    /// The first [`Flaw`].
    pub fn check(&self) -> Result<(), Flaw> {
        for (at, group) in self.groups.iter().enumerate() {
            let place = at as u8;
            if group.members.is_empty() || group.members.iter().any(|id| usize::from(*id) >= MAX_COMPONENTS) {
                return Err(Flaw::Members(place));
            }
            if group.intensity > MOST_INTENSITY {
                return Err(Flaw::Intensity(place));
            }
            if group.rate_per_second == 0 {
                return Err(Flaw::Rate(place));
            }
            if let Escalation::Group(parent) = group.escalate
                && (parent <= place || usize::from(parent) >= self.groups.len())
            {
                return Err(Flaw::Order(place));
            }
        }
        Ok(())
    }

    /// All members in the order in which they are started: the last group first, so that each comes before those that
    /// escalate to it.
    fn order(&self) -> Vec<u8, MAX_COMPONENTS> {
        let mut order = Vec::new();
        let mut seen = 0;
        for id in self.groups.iter().rev().flat_map(|group| &group.members) {
            if seen & bit(*id) == 0 && order.push(*id).is_ok() {
                seen |= bit(*id);
            }
        }
        order
    }

    /// The group that decides about this component, and its place.
    fn home(&self, id: u8) -> Option<(usize, &Group)> {
        self.groups.iter().enumerate().find(|(_, group)| group.members.contains(&id))
    }

    /// All that is rebooted with the group at this place: its members, and those of all groups that escalate to it.
    fn scope(&self, place: usize) -> u64 {
        let (mut groups, mut members) = (0u32, 0);
        for (at, group) in self.groups.iter().enumerate().rev() {
            let within = match group.escalate {
                Escalation::Group(parent) => usize::from(parent) > at && groups & 1u32.wrapping_shl(parent.into()) != 0,
                Escalation::Image | Escalation::GiveUp => false,
            };
            if within || at == place {
                groups |= 1u32.wrapping_shl(at as u32);
                members |= set_of(&group.members);
            }
        }
        members
    }

    /// Of those who are rebooted with `parent` and not with `place`, and who are looked after: the least of something.
    fn least_of_others<F: Fn(u8) -> Option<Facts>>(
        &self,
        parent: usize,
        place: usize,
        facts: &F,
        mut see: impl FnMut(&Facts) -> u64,
    ) -> Option<u64> {
        let others = self.scope(parent) & !self.scope(place);
        let ids = (0..MAX_COMPONENTS as u8).filter(|id| others & bit(*id) != 0);
        ids.filter_map(facts).filter(takes_part).map(|found| see(&found)).min()
    }

    /// Fruitless deaths that count against a group at a death.
    fn strikes<F: Fn(u8) -> Option<Facts>>(&self, place: usize, group: &Group, at: u64, facts: &F) -> u32 {
        let renewed = match group.escalate {
            Escalation::Group(parent) => {
                self.least_of_others(parent.into(), place, facts, |other| last_until(&other.starts, at))
            }
            Escalation::Image | Escalation::GiveUp => None,
        };
        let renewed = renewed.unwrap_or(0);
        let from = at.saturating_sub(group.period()).max(renewed);
        let own = group.members.iter().filter(|id| self.home(**id).is_some_and(|(home, _)| home == place));
        let found = own.filter_map(|id| facts(*id)).filter(takes_part);
        found.map(|found| between(&found.fruitless, from, at)).sum()
    }

    /// What follows when a group's own restarts do not help: the way up, past parents that were tried often enough.
    fn escalate<F: Fn(u8) -> Option<Facts>>(&self, place: usize, id: u8, at: u64, facts: &F) -> Remedy {
        let mut place = place;
        loop {
            let Some(group) = self.groups.get(place) else {
                return Remedy::Image;
            };
            let parent = match group.escalate {
                Escalation::Image => return Remedy::Image,
                Escalation::GiveUp => return Remedy::GiveUp,
                Escalation::Group(parent) => usize::from(parent),
            };
            let Some(found) = self.groups.get(parent).filter(|_| parent > place) else {
                return Remedy::Image;
            };
            let from = at.saturating_sub(found.period());
            let restarted = |other: &Facts| restarts(&other.starts, from, at).into();
            let tried = self.least_of_others(parent, place, facts, restarted);
            if tried.is_some_and(|tried| tried < found.intensity.into()) {
                return Remedy::Start { with: self.scope(parent) & !bit(id), at: at.saturating_add(1) };
            }
            place = parent;
        }
    }

    /// What is to be done about somebody who is down.
    fn judge<F: Fn(u8) -> Option<Facts>>(&self, id: u8, down: &Facts, facts: &F) -> Option<Remedy> {
        let (place, group) = self.home(id)?;
        // Later than the death, so that whoever was started for its sake is known to be new.
        let at_once = down.failed_at.saturating_add(1);
        let remedy = match down.state {
            _ if is_alone(down) => Remedy::Start { with: 0, at: 0 },
            State::Failed | State::Backoff if down.fruitless_in_a_row == 0 => {
                Remedy::Start { with: group.neighbours(id), at: at_once }
            }
            State::Failed | State::Backoff
                if self.strikes(place, group, down.failed_at, facts) > group.intensity.into() =>
            {
                self.escalate(place, id, down.failed_at, facts)
            }
            State::Failed | State::Backoff => {
                let pause = group.backoff(down.fruitless_in_a_row);
                Remedy::Start { with: group.neighbours(id), at: at_once.max(down.failed_at.saturating_add(pause)) }
            }
            State::Absent | State::Starting | State::Running | State::Quiescing | State::Stopped | State::GivenUp => {
                return None;
            }
        };
        Some(match remedy {
            Remedy::Start { with, at } => Remedy::Start { with, at: at.max(group.capped_until(&down.starts)) },
            other => other,
        })
    }

    /// The one thing to do next.
    ///
    /// `facts` gives none for a component that the manager may not look after.
    pub fn next<F: Fn(u8) -> Option<Facts>>(&self, facts: F, now: u64) -> Next {
        self.decide(u64::MAX, facts, now).next
    }

    /// The same, and what is next behind it, where it is known who is down: `down` has at least the bits of all who are
    /// neither alive, nor stopped, nor given up. The facts of others are not asked for, unless a remedy concerns them.
    pub fn decide<F: Fn(u8) -> Option<Facts>>(&self, down: u64, facts: F, now: u64) -> Decision {
        if down == 0 {
            return Decision::only(Next::Wait(u64::MAX));
        }
        // Nearly always one is down. It needs no order, and one that no group lists is judged by none.
        let only = down & down.wrapping_sub(1) == 0;
        let order = if only { Vec::from_iter([down.trailing_zeros() as u8]) } else { self.order() };
        let mut downs: Vec<Down, MAX_COMPONENTS> = Vec::new();
        let mut renewed = 0;
        let found = order.iter().filter(|id| down & bit(**id) != 0).filter_map(|id| Some((*id, facts(*id)?)));
        for (id, found) in found {
            match self.judge(id, &found, &facts) {
                None => {}
                Some(Remedy::GiveUp) => return Decision::only(Next::Act(ComponentId(id), Command::GiveUp)),
                Some(Remedy::Image) => return Decision::only(Next::Act(ComponentId(id), Command::Reboot)),
                Some(Remedy::Start { with, at }) => {
                    renewed |= with;
                    // There is room: `order` names nobody twice.
                    let alone = is_alone(&found);
                    let _ = downs.push(Down { id, state: found.state, since: found.failed_at, with, at, alone });
                }
            }
        }
        let order = if renewed == 0 { Vec::new() } else { self.order() };
        for id in order.iter().rev().filter(|id| renewed & bit(**id) != 0) {
            let Some(found) = facts(*id).filter(|found| found.state.alive()) else {
                continue;
            };
            let started = found.starts.last(0).unwrap_or(0);
            if downs.iter().any(|down| down.with & bit(*id) != 0 && started <= down.since) {
                return Decision::only(Next::Act(ComponentId(*id), Command::End(Fault::Told)));
            }
        }
        let mut wake = u64::MAX;
        for (place, down) in downs.iter().enumerate() {
            // Where nobody is renewed with anybody, each goes by its own time.
            let at = if renewed == 0 { down.at } else { hold(&downs, down.id) };
            if at <= now {
                // A start changes what is known of one. Where that matters to nobody else, the others are judged already.
                let others_alone = downs.iter().all(|other| other.alone || other.id == down.id);
                let rest = downs.get(place + 1..).filter(|_| others_alone).unwrap_or(&[]);
                let then = rest.iter().take_while(|down| down.at <= now).map(|down| down.id).collect();
                return Decision { next: Next::Act(ComponentId(down.id), Command::Start), then };
            }
            if down.state == State::Failed {
                return Decision::only(Next::Act(ComponentId(down.id), Command::BackOff));
            }
            wake = wake.min(at);
        }
        Decision::only(Next::Wait(wake))
    }

    /// Those who are rebooted with a group, last to first.
    pub fn backwards(&self, group: u8) -> Vec<u8, MAX_COMPONENTS> {
        let scope = self.scope(group.into());
        self.order().into_iter().rev().filter(|id| scope & bit(*id) != 0).collect()
    }

    /// Which run of a group this is: the epoch of the first that is looked after, of those who are rebooted with it.
    ///
    /// A reboot ends that one last and starts it first. So a reboot that was cut short is either still to be done as a
    /// whole, or only has members to be started who are down.
    pub fn generation<F: Fn(u8) -> Option<Facts>>(&self, group: u8, facts: F) -> Option<u32> {
        self.groups.get(usize::from(group))?;
        let mut forwards = self.backwards(group).into_iter().rev();
        Some(forwards.find_map(|id| facts(id).filter(takes_part)).map_or(0, |found| found.epoch))
    }
}

/// When somebody who is down may be started: not before all who are renewed with it, or it with them.
fn hold(downs: &[Down], id: u8) -> u64 {
    let causes = downs.iter().filter(|cause| cause.id == id || cause.with & bit(id) != 0);
    let ready = causes.map(|cause| {
        let together = downs.iter().filter(|down| down.id == cause.id || cause.with & bit(down.id) != 0);
        together.map(|down| down.at).max().unwrap_or(0)
    });
    ready.max().unwrap_or(0)
}
