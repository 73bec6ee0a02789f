//! The record of recoveries: a bounded log, the newest overwriting the oldest.

use crate::life::Fault;
use crate::record::Seal;
use crate::{ComponentId, Nanoseconds};

/// One recovery, or the beginning of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Its number: 0, 1, 2, ... since boot.
    pub number: u32,
    /// Who failed.
    pub component: ComponentId,
    /// The epoch that ended.
    pub epoch: u32,
    /// Why.
    pub fault: Fault,
    /// When the fault was noticed.
    pub failed_at: Nanoseconds,
    /// When the next incarnation was started.
    pub started_at: Option<Nanoseconds>,
    /// When it first came to its wait: it is up.
    pub up_at: Option<Nanoseconds>,
    /// When it first rang a peer: the first answer, or the first item.
    pub answered_at: Option<Nanoseconds>,
    /// What sealing found.
    pub seal: Seal,
}

/// The log of incidents, in memory that the platform lends.
pub struct Incidents<'a> {
    log: &'a mut [Option<Incident>],
    count: u32,
}

impl<'a> Incidents<'a> {
    /// A log in `log`; what it held is forgotten.
    pub fn new(log: &'a mut [Option<Incident>]) -> Self {
        log.fill(None);
        Incidents { log, count: 0 }
    }

    /// How many there were since boot.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    fn slot(&mut self, number: u32) -> Option<&mut Option<Incident>> {
        let at = (number as usize).checked_rem(self.log.len())?;
        self.log.get_mut(at)
    }

    /// Opens an incident and gives its number.
    pub(crate) fn open(&mut self, mut incident: Incident) -> u32 {
        let number = self.count;
        incident.number = number;
        self.count = self.count.wrapping_add(1);
        if let Some(slot) = self.slot(number) {
            *slot = Some(incident);
        }
        number
    }

    /// The incident with this number, unless it was overwritten.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<&Incident> {
        let at = (number as usize).checked_rem(self.log.len())?;
        self.log.get(at)?.as_ref().filter(|incident| incident.number == number)
    }

    /// The first incident with this number or a later one, of those that were not overwritten.
    #[must_use]
    pub fn first_from(&self, number: u32) -> Option<&Incident> {
        let oldest = self.count.saturating_sub(self.log.len() as u32);
        self.get(number.max(oldest))
    }

    pub(crate) fn change(&mut self, number: u32, change: impl FnOnce(&mut Incident)) {
        if let Some(Some(incident)) = self.slot(number)
            && incident.number == number
        {
            change(incident);
        }
    }
}
