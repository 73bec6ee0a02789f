//! The record of recoveries: a bounded log, the newest overwriting the oldest.

use core::ops::Range;

use crate::life::Fault;
use crate::place::{FILE, Place};
use crate::record::Seal;
use crate::{ComponentId, Nanoseconds, PortId};

/// One recovery, or the beginning of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Incident {
    /// Its number: 0, 1, 2, ... since boot.
    pub number: u32,
    /// Who failed.
    pub component: ComponentId,
    /// The epoch that ended.
    pub epoch: u32,
    /// Why.
    pub fault: Fault,
    /// Who noticed.
    pub noticed: Noticed,
    /// When the fault was noticed.
    pub failed_at: Nanoseconds,
    /// Who was rung because of it: bits of [`ComponentId::bit`].
    pub told: u64,
    /// When it was decided that the next incarnation is to be started later.
    pub backoff_at: Option<Nanoseconds>,
    /// When the next incarnation, whose epoch is the next number, was started.
    pub started_at: Option<Nanoseconds>,
    /// When it first came to its wait: it is up.
    pub up_at: Option<Nanoseconds>,
    /// When it first rang a peer: the first answer, or the first item.
    pub answered_at: Option<Nanoseconds>,
    /// How it ended if the next incarnation did not come up, and when.
    pub cut_short: Option<(CutShort, Nanoseconds)>,
    /// Since when the component was not up: `failed_at`, or that of the first of several deaths with nothing up between.
    pub down_since: Nanoseconds,
    /// How long the component may take from a fault until it is up again.
    pub within: Option<Nanoseconds>,
    /// What sealing found.
    pub seal: Seal,
    /// Another version of the component followed.
    pub swap: Option<Swapped>,
    /// Where it was.
    pub at: Place,
}

/// That another version followed, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Swapped {
    /// Which one.
    pub to: Successor,
    /// When it was asked for; of one that was not, when it was decided.
    pub asked_at: Nanoseconds,
    /// What became of it.
    pub verdict: Verdict,
}

/// Which version followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Successor {
    /// A new one.
    New,
    /// The one before, because somebody wanted it.
    Before,
    /// The one before, because the new one did something wrong on probation.
    BeforeAgain,
}

/// What became of a version that has taken another's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Verdict {
    /// It is on probation.
    Open,
    /// It stays, since this time.
    Stays(Nanoseconds),
    /// The incident with this number has ended its probation: the version before has its place again.
    Undone(u32),
    /// So it has, since this time, for the component was stopped or given up, or the image began anew.
    PutBack(Nanoseconds),
}

/// Who noticed that an incarnation was to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Noticed {
    /// The kernel itself: a trap, a panic, an end of its `run`.
    Kernel,
    /// The kernel's clock: it was called and did not come back.
    Clock {
        /// When it was called.
        called_at: Nanoseconds,
    },
    /// A component with that right, on its own account.
    Component {
        /// Which.
        by: ComponentId,
    },
    /// A component that told one with that right.
    Reported {
        /// Who noticed.
        by: ComponentId,
        /// Whom it told.
        to: ComponentId,
    },
    /// A peer that could not read what it wrote.
    Blamed {
        /// Which peer.
        by: ComponentId,
        /// At which port of the image.
        port: PortId,
    },
    /// The person who runs the platform.
    Person,
}

/// The record of an incident has to stay small: a board keeps some dozens of them.
const _: () = assert!(size_of::<Incident>() <= 320);

/// What ended an incident before the component was up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum CutShort {
    /// The incarnation that followed died before it was up; the incident of that death goes on with this one's time.
    DiedAgain,
    /// It was given up.
    GivenUp,
    /// It was stopped on purpose.
    Stopped,
    /// The image was rebooted.
    Rebooted,
    /// Another version took its place.
    Swapped,
}

impl Incident {
    /// One that was noticed just now, and that nothing else is known of.
    pub(crate) const fn new(component: ComponentId, epoch: u32, fault: Fault, now: Nanoseconds) -> Self {
        Incident {
            number: 0,
            component,
            epoch,
            fault,
            noticed: Noticed::Kernel,
            failed_at: now,
            told: 0,
            backoff_at: None,
            started_at: None,
            up_at: None,
            answered_at: None,
            cut_short: None,
            down_since: now,
            within: None,
            seal: Seal {
                offered_again: 0,
                interrupted: 0,
                poisoned: 0,
                blamed: false,
                progressed: false,
                in_hand: None,
            },
            swap: None,
            at: Place { pc: 0, returns_to: 0, event: 0, address: 0, line: 0, file: [0; FILE] },
        }
    }

    /// How long the component has not been up, or was not; of several deaths with nothing up between, from the first.
    #[must_use]
    pub fn took(&self, now: Nanoseconds) -> Nanoseconds {
        let end = self.up_at.or(self.cut_short.map(|(_, at)| at)).unwrap_or(now);
        end.saturating_sub(self.down_since)
    }

    /// Whether the component was, or still is, down for longer than it may be.
    ///
    /// One that was given up did not miss its time, it is given up; and of deaths with nothing up between the last one
    /// tells.
    #[must_use]
    pub fn missed(&self, now: Nanoseconds) -> bool {
        let told_elsewhere = matches!(self.cut_short, Some((CutShort::DiedAgain | CutShort::GivenUp, _)));
        !told_elsewhere && self.within.is_some_and(|within| self.took(now) > within)
    }
}

/// The log of incidents, in memory that the platform lends.
pub struct Incidents<'a> {
    log: &'a mut [Option<Incident>],
    count: u32,
    /// The first incident that has changed since somebody asked.
    changed: u32,
}

impl<'a> Incidents<'a> {
    /// A log in `log`, of which it uses the first half or more: a power of two, so that nothing is divided to find a place.
    /// What it held is forgotten.
    pub fn new(log: &'a mut [Option<Incident>]) -> Self {
        let used = log.len().checked_ilog2().map_or(0, |exponent| 1usize.wrapping_shl(exponent));
        let log = log.get_mut(..used).unwrap_or_default();
        log.fill(None);
        Incidents { log, count: 0, changed: 0 }
    }

    /// How many there were since boot.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Where the incident with this number lies.
    const fn place(&self, number: u32) -> usize {
        number as usize & self.log.len().wrapping_sub(1)
    }

    fn slot(&mut self, number: u32) -> Option<&mut Option<Incident>> {
        let at = self.place(number);
        self.log.get_mut(at)
    }

    /// Opens an incident and gives its number.
    pub(crate) fn open(&mut self, mut incident: Incident) -> u32 {
        let number = self.count;
        incident.number = number;
        self.count = self.count.wrapping_add(1);
        self.changed = self.changed.min(number);
        if let Some(slot) = self.slot(number) {
            *slot = Some(incident);
        }
        number
    }

    /// The incident with this number, unless it was overwritten.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<&Incident> {
        self.log.get(self.place(number))?.as_ref().filter(|incident| incident.number == number)
    }

    /// How many are remembered at most.
    #[must_use]
    pub const fn room(&self) -> u32 {
        self.log.len() as u32
    }

    /// Numbers of incidents of which those that have changed since this was asked last are some.
    pub(crate) fn take_changed(&mut self) -> Range<u32> {
        let first = core::mem::replace(&mut self.changed, u32::MAX);
        first.max(self.count.saturating_sub(self.room())).min(self.count)..self.count
    }

    /// Goes on behind an incident of an earlier life of the image, which had an end at the latest when that had.
    pub(crate) fn take_over(&mut self, mut incident: Incident) {
        if incident.up_at.is_none() {
            incident.cut_short.get_or_insert((CutShort::Rebooted, incident.failed_at));
        }
        self.count = incident.number;
        self.open(incident);
    }

    /// Whether any has changed since [`Incidents::take_changed`].
    pub(crate) const fn have_changed(&self) -> bool {
        self.changed < self.count
    }

    /// The first incident with this number or a later one, of those that were not overwritten.
    #[must_use]
    pub fn first_from(&self, number: u32) -> Option<&Incident> {
        let oldest = self.count.saturating_sub(self.log.len() as u32);
        self.get(number.max(oldest))
    }

    /// Notes how an incident ended without the component being up; one that ended already stays as it is.
    pub(crate) fn cut_short(&mut self, number: u32, how: CutShort, now: Nanoseconds) {
        self.change(number, |incident| {
            if incident.up_at.is_none() {
                incident.cut_short.get_or_insert((how, now));
            }
        });
    }

    /// The incident with this number, unless it was overwritten.
    pub(crate) fn of(&mut self, number: u32) -> Option<&mut Incident> {
        self.changed = self.changed.min(number);
        self.slot(number)?.as_mut().filter(|incident| incident.number == number)
    }

    pub(crate) fn change(&mut self, number: u32, change: impl FnOnce(&mut Incident)) {
        if let Some(incident) = self.of(number) {
            change(incident);
        }
    }
}
