//! What survives a reset of the machine: the incidents, who was given up, whose safe action was begun, and how often the image
//! has begun.
//!
//! It lies in memory that nobody clears, and is written past the caches, for a reset empties those.
//!
//! Rule: a reset at any store leaves what there was before a save, or what there was after it. So nothing is written where
//! the newest header counts on it: there are two headers, and two copies of each incident. A save writes the copies that do
//! not count, then the older header, which says which copies count from then on. The newest header that is whole, with all
//! that it counts on, wins; what is of another image or of another layout is dropped.

use koboshi_core::ComponentId;
use koboshi_core::kernel::Kernel;
use koboshi_core::sync::{AtomicU32, Ordering};
use koboshi_sh4_abi::words::{self, ENTRY, HEADER, INCIDENT};

use crate::machine::each;
use crate::memory;

/// The layout of what is kept: another one gets another number.
const LAYOUT: u32 = 0x6B6F_0002;

/// The memory of an image's record.
pub(crate) struct Record {
    headers: &'static [[AtomicU32; HEADER]],
    /// Two copies of each incident, side by side.
    entries: &'static [[AtomicU32; ENTRY]],
    /// What the sums begin with: never even, so that words that are all 0 have another sum.
    seed: u32,
    /// What was saved last.
    saved: Header,
}

#[derive(Clone, Copy, Default)]
struct Header {
    /// The number of its save: 1, 2, 3, ... The one with an even number is the first.
    number: u32,
    /// How many incidents there were.
    incidents: u32,
    /// A bit for each incident's place: which of both copies counts.
    copies: u32,
    /// How often the image has begun.
    boots: u32,
    given_up: u64,
    /// Whose safe action was begun, and has not come to its end.
    begun: u64,
    /// Whose safe action was begun once more, after a reset.
    again: u64,
}

impl Header {
    const fn words(&self) -> [u32; HEADER - 2] {
        let Header { number: _, incidents, copies, boots, given_up, begun, again } = *self;
        let high = [(given_up >> 32) as u32, (begun >> 32) as u32, (again >> 32) as u32];
        [incidents, copies, boots, given_up as u32, high[0], begun as u32, high[1], again as u32, high[2]]
    }

    const fn of(number: u32, [incidents, copies, boots, a, b, c, d, e, f]: [u32; HEADER - 2]) -> Self {
        const fn set(low: u32, high: u32) -> u64 {
            low as u64 | (high as u64) << 32
        }
        Header { number, incidents, copies, boots, given_up: set(a, b), begun: set(c, d), again: set(e, f) }
    }
}

/// Whether what has the first number was saved behind what has the other one.
const fn is_newer(number: u32, than: u32) -> bool {
    (number.wrapping_sub(than) as i32) > 0
}

/// One store. They come in this order: each is a release of all that were before it.
fn store(word: &AtomicU32, value: u32) {
    #[cfg(test)]
    if !tests::has_power() {
        return;
    }
    word.store(value, Ordering::Release);
}

impl Record {
    /// The record at this address, of the image with this number.
    pub(crate) fn new((address, count): (u32, u32), image: u32) -> Self {
        Record::of(memory::uncached(address, count), image)
    }

    fn of(words: &'static [AtomicU32], image: u32) -> Self {
        let (headers, entries) = words.split_at_checked(2 * HEADER).unwrap_or_default();
        let (headers, entries) = (headers.as_chunks().0, entries.as_chunks().0);
        Record { headers, entries, seed: (LAYOUT ^ image) | 1, saved: Header::default() }
    }

    /// FNV-1a, by words.
    const fn sum(sum: u32, word: u32) -> u32 {
        (sum ^ word).wrapping_mul(0x0100_0193)
    }

    /// Writes a header or an entry: the number of the save, and words. Its sum, which stands before them, comes last.
    fn write(&self, part: &[AtomicU32], number: u32, words: &[u32]) {
        let [place, first, room @ ..] = part else { return };
        store(first, number);
        let mut sum = Self::sum(self.seed, number);
        for (to, from) in room.iter().zip(words) {
            store(to, *from);
            sum = Self::sum(sum, *from);
        }
        store(place, sum);
    }

    /// Reads it. Gives the number of its save, if it is whole.
    fn read(&self, part: &[AtomicU32], words: &mut [u32]) -> Option<u32> {
        let [place, first, room @ ..] = part else { return None };
        let number = first.load(Ordering::Relaxed);
        let mut sum = Self::sum(self.seed, number);
        for (to, from) in words.iter_mut().zip(room) {
            *to = from.load(Ordering::Relaxed);
            sum = Self::sum(sum, *to);
        }
        (place.load(Ordering::Relaxed) == sum).then_some(number)
    }

    /// The header of the save with this number: one is for the even numbers, the other one for the others.
    fn header(&self, number: u32) -> &'static [AtomicU32] {
        self.headers.get(number as usize & 1).map_or(&[], |header| header)
    }

    /// The place of an incident. There are a power of 2 of them, and no more than bits.
    const fn place(&self, incident: u32) -> u32 {
        incident & ((self.entries.len() / 2) as u32).wrapping_sub(1)
    }

    /// The copy of an incident that counts by these bits.
    fn entry(&self, incident: u32, copies: u32) -> &'static [AtomicU32] {
        let place = self.place(incident);
        let at = 2 * place + (copies.wrapping_shr(place) & 1);
        self.entries.get(at as usize).map_or(&[], |entry| entry)
    }

    /// The incident with this number, if the copy that counts is whole, and was there when the header was written.
    fn incident(&self, number: u32, header: &Header) -> Option<[u32; INCIDENT]> {
        let mut words = [0; INCIDENT];
        let saved = self.read(self.entry(number, header.copies), &mut words)?;
        (words.first() == Some(&number) && !is_newer(saved, header.number)).then_some(words)
    }

    /// The header that has this place, if it is whole with all that it counts on.
    fn whole(&self, place: u32, room: u32) -> Option<Header> {
        let mut words = [0; HEADER - 2];
        let number = self.read(self.header(place), &mut words)?;
        let header = Header::of(number, words);
        let mut counted = header.incidents.saturating_sub(room)..header.incidents;
        (number & 1 == place && counted.all(|number| self.incident(number, &header).is_some())).then_some(header)
    }

    /// Takes over what there was before: how often the image has begun by then. `None`: it begins for the first time, as far
    /// as is known.
    pub(crate) fn take_over(&mut self, kernel: &mut Kernel<'_>) -> Option<u32> {
        let room = kernel.incidents().room();
        let header = match [self.whole(0, room), self.whole(1, room)] {
            [Some(one), Some(other)] if is_newer(other.number, one.number) => other,
            [Some(one), _] | [None, Some(one)] => one,
            [None, None] => {
                // Or what they count on might come to be whole again.
                self.headers.iter().flatten().for_each(|word| store(word, 0));
                return None;
            }
        };
        for number in header.incidents.saturating_sub(room)..header.incidents {
            if let Some(words) = self.incident(number, &header) {
                kernel.take_over(words::incident(&words));
            }
        }
        kernel.keep_given_up(header.given_up);
        self.saved = header;
        Some(header.boots)
    }

    /// The image begins once more.
    pub(crate) fn begin(&mut self) -> u32 {
        self.saved.boots = self.saved.boots.wrapping_add(1);
        self.saved.boots
    }

    /// Whether there is something to save.
    pub(crate) fn is_old(&self, kernel: &Kernel<'_>) -> bool {
        kernel.incidents_have_changed() || kernel.given_up() != self.saved.given_up
    }

    /// Writes what has changed since this was done last.
    pub(crate) fn save(&mut self, kernel: &mut Kernel<'_>) {
        let changed = kernel.take_changed_incidents();
        let mut header = self.saved;
        header.number = header.number.wrapping_add(1);
        header.incidents = changed.end;
        header.given_up = kernel.given_up();
        for incident in changed.filter_map(|number| kernel.incidents().get(number)) {
            header.copies ^= 1u32.wrapping_shl(self.place(incident.number));
            let entry = self.entry(incident.number, header.copies);
            self.write(entry, header.number, &words::incident_in_words(incident));
        }
        self.write(self.header(header.number), header.number, &header.words());
        self.saved = header;
    }

    /// Saves, and takes the safe actions of these by `act`.
    pub(crate) fn make_safe(&mut self, kernel: &mut Kernel<'_>, set: u64, act: impl FnMut(ComponentId)) {
        self.saved.again &= !set;
        self.act(kernel, set, 0, act);
    }

    /// Saves, and takes those again that a reset has cut short. Each once, for it may be that one itself resets the machine.
    pub(crate) fn make_safe_again(&mut self, kernel: &mut Kernel<'_>, act: impl FnMut(ComponentId)) {
        let set = self.saved.begun & !self.saved.again & kernel.given_up();
        if set != 0 {
            self.act(kernel, set, set, act);
        }
    }

    /// Each for itself, so that one which resets the machine keeps nobody else's from being taken; those in `again` not for the first time.
    fn act(&mut self, kernel: &mut Kernel<'_>, set: u64, again: u64, mut act: impl FnMut(ComponentId)) {
        each(set, |id| {
            self.saved.begun |= id.bit();
            self.saved.again |= again & id.bit();
            self.save(kernel);
            act(id);
            self.saved.begun &= !id.bit();
        });
        self.save(kernel);
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
    use core::cell::Cell;
    use std::vec;
    use std::vec::Vec;
    use std::{format, string::String};

    std::thread_local! {
        /// How many stores there are still before the machine loses its power. `None`: it does not.
        static STORES: Cell<Option<u32>> = const { Cell::new(None) };
    }

    /// Counts a store; whether it still happens.
    pub(super) fn has_power() -> bool {
        let left = STORES.get();
        STORES.set(left.map(|left| left.saturating_sub(1)));
        left != Some(0)
    }

    /// Does something of which only so many stores happen. Gives whether all of them did.
    fn cut_after(stores: u32, act: impl FnOnce()) -> bool {
        STORES.set(Some(stores));
        act();
        STORES.replace(None) != Some(0)
    }

    const ROOM: u32 = 4;
    const WHO: ComponentId = ComponentId(0);

    fn kernel() -> Kernel<'static> {
        let rights = Rights::default();
        let component = |name| Component {
            name,
            vcpu: 0,
            respond_within: 1,
            recover_within: None,
            ports: &[],
            lines: &[],
            rights,
            swappable: None,
        };
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
        Record::of(words, image)
    }

    fn memory() -> &'static [AtomicU32] {
        (0..words::record(ROOM)).map(|_| AtomicU32::new(0)).collect::<Vec<_>>().leak()
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

    /// All that is known after a reset.
    #[derive(Debug, PartialEq)]
    struct Known {
        boots: Option<u32>,
        incidents: Vec<Incident>,
        given_up: u64,
        safe: [u64; 2],
    }

    fn copy_of(memory: &[AtomicU32]) -> &'static [AtomicU32] {
        memory.iter().map(|word| AtomicU32::new(word.load(Ordering::Relaxed))).collect::<Vec<_>>().leak()
    }

    fn known(memory: &[AtomicU32], image: u32) -> Known {
        let (mut kernel, mut record) = (kernel(), record(copy_of(memory), image));
        let boots = record.take_over(&mut kernel);
        let safe = [record.saved.begun, record.saved.again];
        Known { boots, incidents: incidents(&kernel), given_up: kernel.given_up(), safe }
    }

    /// One step of a life: what has changed when it is saved next.
    fn step(kernel: &mut Kernel<'_>, record: &mut Record, at: u32) {
        let now = u64::from(at) * 10;
        for late in 0..u64::from(at % 4) {
            // Several incidents in one save, and the last one is not at its end.
            kernel.start(WHO, Begin::Recovered, now + late).expect("it is dead");
            kernel.wait(WHO, 100, now + late);
            kernel.fault(WHO, Fault::Panic, now + late);
        }
        if let Some(incident) = kernel.incident_of(WHO) {
            incident.at.line = at;
        }
        match at % 5 {
            1 => kernel.command(ComponentId(1), Command::GiveUp, now).expect("it may be"),
            3 => _ = kernel.start(ComponentId(1), Begin::Fresh, now).expect("a person may"),
            _ => _ = record.begin(),
        }
        record.saved.begun ^= u64::from(at);
    }

    /// Cuts each save of a life after each of its stores, and the first one after that reset as well.
    fn cut_everywhere(save: fn(&mut Record, &mut Kernel<'_>)) -> Result<u32, String> {
        let mut cuts = 0;
        for steps in 0..12 {
            // The same life each time, up to the save that is cut.
            let before = || {
                let (memory, mut kernel) = (memory(), kernel());
                let mut record = record(memory, 7);
                record.take_over(&mut kernel);
                for at in 0..steps {
                    step(&mut kernel, &mut record, at);
                    save(&mut record, &mut kernel);
                }
                (memory, kernel, record)
            };
            let mut whole = false;
            for stores in 0.. {
                if whole {
                    break;
                }
                let (memory, mut kernel_, mut record_) = before();
                let old = known(memory, 7);
                step(&mut kernel_, &mut record_, steps);
                whole = cut_after(stores, || save(&mut record_, &mut kernel_));
                let new = {
                    let (memory, mut kernel, mut record) = before();
                    step(&mut kernel, &mut record, steps);
                    save(&mut record, &mut kernel);
                    known(memory, 7)
                };
                let found = known(memory, 7);
                cuts += 1;
                if found != new && (whole || found != old) {
                    return Err(format!("save {steps}, {stores} stores: {found:?}"));
                }
                // The machine comes up, and is reset again while it saves that.
                let again = |stores| {
                    let memory = copy_of(memory);
                    let (mut kernel, mut record) = (kernel(), record(memory, 7));
                    record.take_over(&mut kernel);
                    record.begin();
                    (cut_after(stores, || save(&mut record, &mut kernel)), known(memory, 7))
                };
                let (_, newer) = again(u32::MAX);
                for stores in (stores % 16..).step_by(16) {
                    let (whole, then) = again(stores);
                    cuts += 1;
                    if then != newer && (whole || then != found) {
                        return Err(format!("the save behind save {steps}, {stores} stores: {then:?}"));
                    }
                    if whole {
                        break;
                    }
                }
            }
        }
        Ok(cuts)
    }

    #[test]
    fn a_save_that_is_cut_after_any_store_leaves_what_was_before_or_what_is_after() {
        let cuts = cut_everywhere(Record::save).expect("never anything else");
        assert!(cuts > 10_000, "{cuts}");
    }

    /// A save with a mistake: entries in place, or the header before what it counts on.
    fn wrong(record: &mut Record, kernel: &mut Kernel<'_>, in_place: bool) {
        let changed = kernel.take_changed_incidents();
        let (number, given_up) = (record.saved.number + 1, kernel.given_up());
        let mut header = Header { number, incidents: changed.end, given_up, ..record.saved };
        let flipped = changed.clone().fold(0, |bits, number| bits | 1 << record.place(number));
        header.copies ^= if in_place { 0 } else { flipped };
        let write_header = || record.write(record.header(number), number, &header.words());
        if !in_place {
            write_header();
        }
        for incident in changed.filter_map(|number| kernel.incidents().get(number)) {
            let words = words::incident_in_words(incident);
            record.write(record.entry(incident.number, header.copies), number, &words);
        }
        if in_place {
            write_header();
        }
        record.saved = header;
    }

    #[test]
    fn saves_with_a_mistake_are_found_by_cutting_them() {
        assert!(cut_everywhere(|record, kernel| wrong(record, kernel, true)).is_err(), "entries in place");
        assert!(cut_everywhere(|record, kernel| wrong(record, kernel, false)).is_err(), "the header first");
        let one_header = |record: &mut Record, kernel: &mut Kernel<'_>| {
            record.saved.number += 1;
            record.save(kernel);
        };
        assert!(cut_everywhere(one_header).is_err(), "one header");
    }

    #[test]
    fn of_a_record_with_one_wrong_word_the_state_before_it_is_believed_or_nothing() {
        let (memory, mut kernel_) = (memory(), kernel());
        let mut kept = record(memory, 7);
        let mut states = vec![known(memory, 7)];
        for at in 1..10 {
            step(&mut kernel_, &mut kept, at);
            kept.save(&mut kernel_);
            states.push(known(memory, 7));
            let [.., before, now] = &states[..] else { unreachable!("there are two") };
            let mut counted = 0;
            for word in memory {
                word.fetch_xor(0x10, Ordering::Relaxed);
                let found = known(memory, 7);
                assert!(found == *now || found == *before || found == states[0], "save {at}: {found:?}");
                counted += u32::from(found != *now);
                word.fetch_xor(0x10, Ordering::Relaxed);
            }
            let wanted = HEADER + kernel_.incidents().count().min(ROOM) as usize * ENTRY;
            assert_eq!(counted as usize, wanted, "each word that counts is looked at");
        }
        assert_eq!(known(memory, 8), states[0], "another image's");
    }

    /// The registers of a device, and what becomes of the machine at its safe action.
    fn lives_until_it_is_up(memory: &'static [AtomicU32], mut act: impl FnMut(ComponentId)) -> u32 {
        (1..10)
            .find(|_| {
                cut_after(10_000, || {
                    let (mut kernel, mut record) = (kernel(), record(memory, 7));
                    record.take_over(&mut kernel);
                    record.begin();
                    record.save(&mut kernel);
                    record.make_safe_again(&mut kernel, &mut act);
                })
            })
            .unwrap_or(u32::MAX)
    }

    #[test]
    fn a_safe_action_that_was_cut_short_is_taken_again_once_and_one_that_was_not_is_not() {
        let (mut retaken, mut whole) = (0, false);
        for stores in 0.. {
            if whole {
                break;
            }
            let memory = memory();
            // A safe action is three writes; only the last one makes it whole.
            let taken = Cell::new(0);
            let act = |_| taken.set(taken.get() + (0..3).fold(0, |_, _| u32::from(has_power())));
            whole = cut_after(stores, || {
                let mut kernel = history(1);
                record(memory, 7).make_safe(&mut kernel, 2, act);
            });
            let before = taken.get();
            let given_up = known(memory, 7).given_up == 2;
            assert!(given_up || before == 0, "why it is taken is known before");
            assert_eq!(lives_until_it_is_up(memory, act), 1);
            retaken += taken.get() - before;
            assert!(!given_up || taken.get() > 0, "{stores}: whoever was given up is safe");
            assert!(!whole || taken.get() == 1, "one that came to its end is not taken again");
            let all = taken.get();
            assert_eq!(lives_until_it_is_up(memory, act), 1);
            assert_eq!(taken.get(), all, "{stores}: and not at any later boot");
        }
        assert!(retaken > 3, "{retaken}");
    }

    #[test]
    fn a_safe_action_that_resets_the_machine_does_so_twice_for_each_giving_up_and_not_for_ever() {
        let memory = memory();
        let resets = |_| STORES.set(Some(0));
        let mut given_up = history(1);
        let mut kept = record(memory, 7);
        for _ in 0..2 {
            let died = !cut_after(10_000, || kept.make_safe(&mut given_up, 2, resets));
            assert!(
                died && lives_until_it_is_up(memory, resets) == 2,
                "the first boot takes it again, the second one not"
            );
            assert_eq!(lives_until_it_is_up(memory, resets), 1, "nor does any later one");
            assert_eq!(known(memory, 7).given_up, 2);
            // Somebody starts it, and it is given up once more.
            (given_up, kept) = (kernel(), record(memory, 7));
            kept.take_over(&mut given_up);
            given_up.start(ComponentId(1), Begin::Fresh, 60).expect("a person may");
            given_up.command(ComponentId(1), Command::GiveUp, 70).expect("it may be");
        }
    }
}
