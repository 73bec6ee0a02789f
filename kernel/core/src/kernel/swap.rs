//! Swaps: another version of a component takes the place of the one that runs.
//!
//! A component has two places for code; the platform puts a version into the one that is not in use, and loads an
//! incarnation from the one that [`Kernel::place`] names.
//!
//! Rules kept here:
//! - The one that runs takes nothing new, and is ended when nothing is in hand; or, when its time for that is over, where it
//!   waits. One that dies before is followed by the other version at once. So a swap always comes to its end.
//! - A new version is on probation. Any fault of it but an end on purpose brings the version before back at once. Going back
//!   changes code, never history: positions, progress and the device stay.
//! - All of it is in the kernel's table: whoever else dies meanwhile changes nothing.
//!
//! It must never: look at code, or judge whether a version may be here.

use super::Kernel;
use crate::incident::{Incident, Noticed, Successor, Swapped, Verdict};
use crate::kernel::{Denied, Life, Record, Version};
use crate::life::{Begin, Fault, History, State};
use crate::record::Position;
use crate::{ComponentId, Nanoseconds};

/// How far a component's swap is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Swap {
    /// There is none.
    None,
    /// It was asked for.
    Quiescing(Quiescing),
    /// The new version is on probation.
    Probation(Probation),
}

/// A swap that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quiescing {
    to: Version,
    noticed: Noticed,
    asked_at: Nanoseconds,
    until: Nanoseconds,
    /// The one that runs was on probation when it was asked for.
    probation: Option<Probation>,
}

/// A new version that has to prove itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Probation {
    /// The incident of its swap.
    incident: u32,
    way_back: bool,
    /// Its first epoch: what was written before is none of its.
    first: u32,
    until: Nanoseconds,
    /// How many answers it needs.
    needed: u32,
    /// How many incarnations of it that have ended have given.
    given: u32,
    /// [`Kernel::answers`] when the present one began: what the kernel itself has answered in between is not counted.
    from: u32,
}

impl Probation {
    /// Whether its version can be undone, as far as was counted when its last incarnation ended.
    const fn can_be_undone(&self) -> bool {
        self.way_back || self.given == 0
    }
}

impl Swap {
    /// Whether this fault, by something that was written in this epoch, brings the version before back.
    pub(super) fn is_wrong(&self, fault: Fault, written_in: Option<u32>) -> bool {
        let Swap::Probation(probation) = self else { return false };
        fault != Fault::Told && written_in.is_none_or(|epoch| epoch >= probation.first)
    }

    /// Whether the version that runs has to prove itself.
    pub(super) const fn is_on_probation(&self) -> bool {
        matches!(self, Swap::Probation(_))
    }

    /// Whether there is one.
    #[inline(always)]
    pub(super) const fn is_under_way(&self) -> bool {
        !matches!(self, Swap::None)
    }

    /// Whether another version follows the one that runs, however it ends.
    pub(super) const fn is_asked_for(&self) -> bool {
        matches!(self, Swap::Quiescing(_))
    }
}

/// How far a component's swap is, for whoever watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwapPhase {
    /// There is none under way.
    None,
    /// The one that runs answers what it has in hand.
    Quiescing,
    /// The new version is on probation: its swap is the incident with this number.
    Probation(u32),
}

impl Kernel<'_> {
    /// The place, 0 or 1, from which the platform loads a component.
    #[must_use]
    pub fn place(&self, id: ComponentId) -> u8 {
        self.lives.get(id.index()).map_or(0, |life| life.place)
    }

    /// How far a component's swap is. Meanwhile the place that is not in use must stay as it is.
    #[must_use]
    pub fn swap_phase(&self, id: ComponentId) -> SwapPhase {
        match self.lives.get(id.index()).map(|life| life.swap) {
            None | Some(Swap::None) => SwapPhase::None,
            Some(Swap::Quiescing(_)) => SwapPhase::Quiescing,
            Some(Swap::Probation(probation)) => SwapPhase::Probation(probation.incident),
        }
    }

    /// Whether there is a version before to go back to.
    #[must_use]
    pub fn has_before(&self, id: ComponentId) -> bool {
        self.lives.get(id.index()).is_some_and(|life| life.has_before)
    }

    /// The platform has put other code into the place that is not in use: what was there is gone.
    pub fn forget_before(&mut self, id: ComponentId) {
        if let Some(life) = self.lives.get_mut(id.index()).filter(|life| life.swap == Swap::None) {
            life.has_before = false;
        }
    }

    /// Whether a component must take nothing new.
    #[must_use]
    pub fn quiesces(&self, id: ComponentId) -> bool {
        self.lives.get(id.index()).is_some_and(|life| matches!(life.swap, Swap::Quiescing(_)))
    }

    /// Another version is to take a component's place.
    pub(super) fn swap(
        &mut self,
        id: ComponentId,
        to: Version,
        noticed: Noticed,
        now: Nanoseconds,
    ) -> Result<(), Denied> {
        let component = self.components.get(id.index()).ok_or(Denied::Unknown)?;
        let life = self.lives.get_mut(id.index()).ok_or(Denied::Unknown)?;
        let rules = component.swappable.ok_or(Denied::Right)?;
        let state = life.state;
        let possible = match (&life.swap, to) {
            (Swap::Quiescing(asked), Version::Before) if asked.to != to => {
                // A new version, which nobody asks for while one is on probation: the version before is the one that still runs.
                life.swap = Swap::None;
                if state == State::Quiescing {
                    life.state = State::Running;
                }
                self.signal(id);
                return Ok(());
            }
            (Swap::Quiescing(_), _) | (Swap::Probation(_), Version::New { .. }) => false,
            (Swap::Probation(_) | Swap::None, Version::Before) => life.has_before && state != State::Absent,
            (Swap::None, Version::New { .. }) => state != State::Absent,
        };
        if !possible {
            return Err(Denied::State(state));
        }
        let probation = match life.swap {
            Swap::Probation(probation) => Some(probation),
            Swap::None | Swap::Quiescing(_) => None,
        };
        let until = now.saturating_add(rules.quiesce_within);
        life.swap = Swap::Quiescing(Quiescing { to, noticed, asked_at: now, until, probation });
        if state == State::Running {
            life.state = State::Quiescing;
        }
        if life.away || state == State::Starting {
            // It comes to its wait, or is stuck.
            return Ok(());
        }
        if state.alive() {
            self.signal(id);
            self.look_at_swap(id, crate::NEVER, now);
        } else {
            let number = self.open_swap(id, noticed, now);
            self.follows_another(id, false, number, now);
        }
        Ok(())
    }

    /// The incident of a swap of which no fault is the cause.
    fn open_swap(&mut self, id: ComponentId, noticed: Noticed, now: Nanoseconds) -> u32 {
        let Some(life) = self.lives.get(id.index()) else { return 0 };
        let (epoch, before, down_since) = (life.epoch, life.incident, life.down_since);
        let seal = if life.state.alive() { self.halt(id) } else { Default::default() };
        if let Some(number) = before {
            self.incidents.cut_short(number, crate::incident::CutShort::Swapped, now);
        }
        let within = self.component(id).and_then(|component| component.recover_within);
        let new = Incident::new(id, epoch, Fault::Swapped, now);
        let down_since = down_since.unwrap_or(now);
        let number = self.incidents.open(Incident { noticed, seal, within, down_since, ..new });
        if let Some(life) = self.lives.get_mut(id.index()) {
            life.incident = Some(number);
        }
        number
    }

    /// A component waits: looks whether its swap can go on, and has it woken when that may be.
    pub(super) fn look_at_swap(&mut self, id: ComponentId, alarm: Nanoseconds, now: Nanoseconds) {
        let Some(life) = self.lives.get(id.index()).filter(|life| life.state.alive()) else { return };
        let signalled = life.signalled;
        let until = match life.swap {
            Swap::None => return,
            Swap::Quiescing(asked) => {
                if life.state == State::Quiescing && (now >= asked.until || self.has_nothing_in_hand(id)) {
                    let number = self.open_swap(id, asked.noticed, now);
                    let told = self.ring_peers(id) | self.ring_manager(id);
                    self.incidents.change(number, |incident| incident.told = told);
                    self.follows_another(id, false, number, now);
                    return;
                }
                asked.until
            }
            Swap::Probation(probation) => {
                if self.given(id, &probation) >= probation.needed || now >= probation.until {
                    self.stays(id, probation, now);
                    // Its alarm, for which the end of its probation may have stood, is set again when it waits next.
                    self.signal(id);
                    return;
                }
                probation.until
            }
        };
        if !signalled {
            self.timers.set(id, alarm.min(until));
        }
    }

    /// How many answers a version on probation has given.
    fn given(&self, id: ComponentId, probation: &Probation) -> u32 {
        let more = self.answers(id).wrapping_sub(probation.from);
        // The words are its own: one that goes back with them has given none.
        probation.given.saturating_add(if more > u32::MAX / 2 { 0 } else { more })
    }

    /// An incarnation ends, and has not been sealed: what it has answered counts, what the kernel answers for it does not.
    pub(super) fn count_given(&mut self, id: ComponentId) {
        let Some(Swap::Probation(probation)) = self.lives.get(id.index()).map(|life| life.swap) else { return };
        let (given, from) = (self.given(id, &probation), self.answers(id));
        if let Some(life) = self.lives.get_mut(id.index()) {
            life.swap = Swap::Probation(Probation { given, from, ..probation });
        }
    }

    /// An incarnation begins. If it is one of a version on probation, that has all of its time again: while it was down it
    /// could show nothing.
    pub(super) fn begin_probation(&mut self, id: ComponentId, now: Nanoseconds) {
        let from = self.answers(id);
        let within = self.component(id).and_then(|component| component.swappable).map_or(0, |rules| rules.within);
        if let Some(Life { swap: Swap::Probation(probation), .. }) = self.lives.get_mut(id.index()) {
            (probation.from, probation.until) = (from, now.saturating_add(within));
        }
    }

    /// A component is stopped or given up, or the image begins anew: its swap is not made, and a version on probation has lost
    /// its place, if it can be undone.
    pub(super) fn put_back(&mut self, id: ComponentId, now: Nanoseconds) {
        let Some(life) = self.lives.get_mut(id.index()) else { return };
        let probation = match core::mem::replace(&mut life.swap, Swap::None) {
            Swap::None => None,
            Swap::Quiescing(asked) => asked.probation,
            Swap::Probation(probation) => Some(probation),
        };
        match probation {
            Some(probation) if probation.can_be_undone() => {
                life.place ^= 1;
                life.has_before = false;
                self.incidents.change(probation.incident, |incident| set_verdict(incident, Verdict::PutBack(now)));
            }
            Some(probation) => self.stays(id, probation, now),
            None => {}
        }
    }

    /// The new version has proved itself, or cannot be undone any more.
    fn stays(&mut self, id: ComponentId, probation: Probation, now: Nanoseconds) {
        if let Some(life) = self.lives.get_mut(id.index()) {
            life.swap = Swap::None;
            life.has_before = probation.way_back;
        }
        self.incidents.change(probation.incident, |incident| set_verdict(incident, Verdict::Stays(now)));
    }

    /// A component does not live any more, by the incident with this number: starts the other version, if that is due. `wrong`:
    /// this one was on probation.
    pub(super) fn follows_another(&mut self, id: ComponentId, wrong: bool, number: u32, now: Nanoseconds) -> bool {
        let Some(rules) = self.component(id).and_then(|component| component.swappable) else { return false };
        let Some(life) = self.lives.get_mut(id.index()) else { return false };
        let (to, asked_at, undone) = match life.swap {
            Swap::Probation(probation) if wrong && !probation.can_be_undone() => {
                self.stays(id, probation, now);
                return false;
            }
            Swap::Probation(probation) if wrong => (Successor::BeforeAgain, now, Some(probation)),
            Swap::Quiescing(Quiescing { to: Version::Before, asked_at, probation, .. }) => {
                (Successor::Before, asked_at, probation)
            }
            Swap::Quiescing(Quiescing { to: Version::New { .. }, asked_at, .. }) => (Successor::New, asked_at, None),
            Swap::Probation(_) | Swap::None => return false,
        };
        let begin = if life.state.gone() { Begin::Fresh } else { Begin::Updated };
        // Of one that was halted on the way here.
        life.state = State::Failed;
        self.down |= id.bit();
        life.place ^= 1;
        // What was wrong, or has not proved itself, is nothing to go back to.
        life.has_before = undone.is_none();
        // Nor is what one version did held against another.
        life.fruitless = History::EMPTY;
        life.fruitless_in_a_row = 0;
        life.swap = match life.swap {
            Swap::Quiescing(Quiescing { to: Version::New { way_back }, .. }) => Swap::Probation(Probation {
                incident: number,
                way_back,
                first: life.epoch.saturating_add(1),
                until: now,
                // Without a way back its first answer decides.
                needed: if way_back { rules.answers.max(1) } else { 1 },
                given: 0,
                from: 0,
            }),
            _ => Swap::None,
        };
        let verdict = if to == Successor::New { Verdict::Open } else { Verdict::Stays(now) };
        self.incidents.change(number, |incident| incident.swap = Some(Swapped { to, asked_at, verdict }));
        if let Some(Probation { incident, .. }) = undone {
            self.incidents.change(incident, |incident| set_verdict(incident, Verdict::Undone(number)));
        }
        self.start(id, begin, now).is_ok()
    }

    /// Whether a component has answered all that it has taken.
    fn has_nothing_in_hand(&self, id: ComponentId) -> bool {
        self.offered(id).all(|record| match record {
            Record::Service(record, _) => record.server.get(Position::Taken) == record.server.get(Position::Answered),
            Record::Stream(_) => true,
        })
    }

    /// What a component has answered and published, all together. It wraps.
    fn answers(&self, id: ComponentId) -> u32 {
        self.offered(id).fold(0, |sum: u32, record| {
            sum.wrapping_add(match record {
                Record::Service(record, _) => record.server.get(Position::Answered),
                Record::Stream(record) => record.producer.get(Position::Sent),
            })
        })
    }

    /// The ports at which a component serves or publishes.
    fn offered(&self, id: ComponentId) -> impl Iterator<Item = &Record<'_>> {
        let ports = self.components.get(id.index()).map_or(&[][..], |component| component.ports);
        ports.iter().filter_map(move |port| {
            let port = self.ports.get(usize::from(port.0))?;
            let offers = match port.record {
                Record::Service(..) => port.far == id,
                Record::Stream(_) => port.near == id,
            };
            offers.then_some(&port.record)
        })
    }
}

fn set_verdict(incident: &mut Incident, verdict: Verdict) {
    if let Some(swap) = &mut incident.swap {
        swap.verdict = verdict;
    }
}
