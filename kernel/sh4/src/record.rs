//! What survives a reset of the machine: the incidents, who was given up, and how often the image has begun.
//!
//! It lies in memory that nobody clears, and is written past the caches, for a reset empties those. What is not whole, of
//! another image or of another layout is dropped, all of it: half a history is worse than none.

use koboshi_core::kernel::Kernel;
use koboshi_core::sync::{AtomicU32, Ordering};
use koboshi_sh4_abi::words::{self, INCIDENT};

use crate::memory;

/// The layout of what is kept: another one gets another number.
const LAYOUT: u32 = 0x6B6F_0001;

/// Before the incidents: a sum, how many there were, who was given up (low half, high half), how often the image has begun.
const HEADER: usize = 5;
/// An incident: a sum, and its words.
const ENTRY: usize = 1 + INCIDENT;

/// The memory of an image's record.
pub(crate) struct Record {
    words: &'static [AtomicU32],
    /// What the sums begin with.
    seed: u32,
    boots: u32,
    /// Who was given up when it was saved last.
    given_up: u64,
}

fn get(word: &AtomicU32) -> u32 {
    word.load(Ordering::Relaxed)
}

impl Record {
    /// The record at this address, of the image with this number.
    pub(crate) fn new((address, count): (u32, u32), image: u32) -> Self {
        Record { words: memory::uncached(address, count), seed: LAYOUT ^ image, boots: 0, given_up: 0 }
    }

    /// A header or an entry, whose first word is the sum of the others (FNV-1a, by words).
    fn sum(&self, part: &[AtomicU32]) -> u32 {
        let words = part.get(1..).unwrap_or(&[]);
        words.iter().fold(self.seed, |sum, word| (sum ^ get(word)).wrapping_mul(0x0100_0193))
    }

    fn is_whole(&self, part: &[AtomicU32]) -> bool {
        part.first().is_some_and(|sum| get(sum) == self.sum(part))
    }

    fn seal(&self, part: &[AtomicU32]) {
        if let Some(sum) = part.first() {
            sum.store(self.sum(part), Ordering::Relaxed);
        }
    }

    fn header(&self) -> &'static [AtomicU32] {
        self.words.get(..HEADER).unwrap_or(&[])
    }

    /// The entry of an incident. There are a power of 2 of them.
    fn entry(&self, number: u32) -> &'static [AtomicU32] {
        let entries = self.words.get(HEADER..).unwrap_or(&[]).as_chunks::<ENTRY>().0;
        let place = number & (entries.len() as u32).wrapping_sub(1);
        entries.get(place as usize).map_or(&[], |entry| entry)
    }

    /// Takes over what there was before: how often the image has begun by then. `None`: it begins for the first time, as far
    /// as is known.
    pub(crate) fn take_over(&mut self, kernel: &mut Kernel<'_>) -> Option<u32> {
        let [_, count, low, high, boots] = self.header() else { return None };
        let count = get(count);
        let first = count.saturating_sub(kernel.incidents().room());
        let whole = self.is_whole(self.header()) && (first..count).all(|number| self.is_whole(self.entry(number)));
        if whole {
            for number in first..count {
                let mut words = [0; INCIDENT];
                for (to, from) in words.iter_mut().zip(self.entry(number).iter().skip(1)) {
                    *to = get(from);
                }
                kernel.take_over(words::incident(&words));
            }
            kernel.keep_given_up(u64::from(get(low)) | u64::from(get(high)) << 32);
            self.boots = get(boots);
        }
        whole.then_some(self.boots)
    }

    /// The image begins once more.
    pub(crate) fn begin(&mut self) -> u32 {
        self.boots = self.boots.wrapping_add(1);
        self.boots
    }

    /// Whether there is something to save.
    pub(crate) fn is_old(&self, kernel: &Kernel<'_>) -> bool {
        kernel.incidents_have_changed() || kernel.given_up() != self.given_up
    }

    /// Writes what has changed since this was done last.
    pub(crate) fn save(&mut self, kernel: &mut Kernel<'_>) {
        let changed = kernel.take_changed_incidents();
        for incident in changed.clone().filter_map(|number| kernel.incidents().get(number)) {
            let entry = self.entry(incident.number);
            words::put_incident(incident, entry.get(1..).unwrap_or(&[]));
            self.seal(entry);
        }
        let given_up = kernel.given_up();
        self.given_up = given_up;
        let words = [changed.end, given_up as u32, (given_up >> 32) as u32, self.boots];
        for (to, from) in self.header().iter().skip(1).zip(words) {
            to.store(from, Ordering::Relaxed);
        }
        self.seal(self.header());
    }
}

#[cfg(test)]
mod tests {
    use koboshi_core::ComponentId;
    use koboshi_core::incident::{CutShort, Incident};
    use koboshi_core::kernel::{Command, Component, Life, Rights, Tables};
    use koboshi_core::life::{Begin, Fault};

    use super::*;

    extern crate std;
    use std::vec;
    use std::vec::Vec;

    const ROOM: u32 = 4;
    const WHO: ComponentId = ComponentId(0);

    fn kernel() -> Kernel<'static> {
        let rights = Rights::default();
        let component =
            |name| Component { name, vcpu: 0, respond_within: 1, recover_within: None, ports: &[], lines: &[], rights };
        let tables = Tables {
            components: vec![component("one"), component("other")].leak(),
            lives: vec![Life::NEW; 2].leak(),
            ports: &[],
            sealed: &mut [],
            lines: &mut [],
            incidents: vec![None; ROOM as usize].leak(),
            manager: None,
        };
        Kernel::new(tables).expect("they fit")
    }

    fn record(words: &'static [AtomicU32], image: u32) -> Record {
        Record { words, seed: LAYOUT ^ image, boots: 0, given_up: 0 }
    }

    fn memory() -> &'static [AtomicU32] {
        let words = HEADER + ROOM as usize * ENTRY;
        (0..words).map(|_| AtomicU32::new(0)).collect::<Vec<_>>().leak()
    }

    fn incidents(kernel: &Kernel<'_>) -> Vec<Incident> {
        (0..100).filter_map(|number| kernel.incidents().get(number).copied()).collect()
    }

    /// Lives of which the last one has not ended, then one who is given up.
    fn history(deaths: u32) -> Kernel<'static> {
        let mut kernel = kernel();
        for at in 0..u64::from(deaths) {
            kernel.start(WHO, Begin::Recovered, at).expect("it is dead");
            kernel.wait(WHO, 100, at);
            kernel.fault(WHO, Fault::Panic, at);
        }
        kernel.command(ComponentId(1), Command::GiveUp, 50).expect("it may be");
        kernel
    }

    #[test]
    fn what_was_kept_is_known_after_a_reset_and_numbers_go_on() {
        for deaths in [0, 1, ROOM, 3 * ROOM + 1] {
            let memory = memory();
            let mut before = history(deaths);
            let mut kept = record(memory, 7);
            assert_eq!(kept.take_over(&mut before), None, "memory that holds nothing");
            assert_eq!(kept.begin(), 1);
            kept.save(&mut before);
            let (mut after, mut found) = (kernel(), record(memory, 7));
            assert_eq!(found.take_over(&mut after), Some(1));
            let mut wanted = incidents(&before);
            if let Some(last) = wanted.last_mut() {
                // The rest of its story is lost.
                last.cut_short = Some((CutShort::Rebooted, last.failed_at));
            }
            assert_eq!(incidents(&after), wanted, "{deaths} deaths");
            assert_eq!(after.incidents().count(), deaths);
            assert_eq!(after.given_up(), 2);
            after.note_reset(Fault::Reset, found.begin(), 3);
            let last = after.incidents().get(deaths).expect("it is one");
            assert_eq!((last.component, last.epoch, last.fault), (ComponentId::IMAGE, 2, Fault::Reset));
        }
    }

    #[test]
    fn only_what_has_changed_is_written_again_and_that_is_enough() {
        let (memory, mut kernel_) = (memory(), history(2));
        let mut kept = record(memory, 7);
        kept.save(&mut kernel_);
        assert!(!kernel_.incidents_have_changed());
        kernel_.start(WHO, Begin::Recovered, 9).expect("it is dead");
        assert!(kernel_.incidents_have_changed());
        kept.save(&mut kernel_);
        let mut after = kernel();
        assert!(record(memory, 7).take_over(&mut after).is_some());
        assert_eq!(after.incidents().get(1).and_then(|incident| incident.started_at), Some(9));
    }

    #[test]
    fn who_was_given_up_and_started_again_is_not_given_up_after_a_reset() {
        let (memory, mut before) = (memory(), history(0));
        let mut kept = record(memory, 7);
        kept.save(&mut before);
        assert!(!kept.is_old(&before));
        before.start(ComponentId(1), Begin::Fresh, 60).expect("a person may");
        assert!(kept.is_old(&before), "no incident has changed, and yet there is something to save");
        kept.save(&mut before);
        let mut after = kernel();
        assert!(record(memory, 7).take_over(&mut after).is_some());
        assert_eq!(after.given_up(), 0);
    }

    #[test]
    fn a_record_with_one_wrong_word_or_of_another_image_is_dropped_whole() {
        let memory = memory();
        record(memory, 7).save(&mut history(ROOM));
        assert!(record(memory, 8).take_over(&mut kernel()).is_none(), "another image's");
        for word in memory {
            word.fetch_xor(0x10, Ordering::Relaxed);
            let mut after = kernel();
            assert!(record(memory, 7).take_over(&mut after).is_none());
            assert_eq!((after.incidents().count(), after.given_up()), (0, 0), "nothing of it is believed");
            word.fetch_xor(0x10, Ordering::Relaxed);
        }
        assert!(record(memory, 7).take_over(&mut kernel()).is_some());
    }
}
