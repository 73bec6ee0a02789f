//! Facts and incidents as words: how they cross from the kernel into a component's memory.
//!
//! Rule: each is written and read by the same list of fields, so that the two cannot drift apart unnoticed; a test
//! carries every kind across.

use core::slice;

use koboshi_core::incident::{CutShort, Incident, Noticed, Successor, Swapped, Verdict};
use koboshi_core::life::{Facts, Fault, HISTORY, History};
use koboshi_core::place::{FILE, Place, Registers};
use koboshi_core::record::{Fate, InHand, Seal};
use koboshi_core::sync::{AtomicU32, Ordering};
use koboshi_core::{ComponentId, NEVER, PortId};

use crate::{state_in_words, state_of_words};

/// Words of [`Facts`], at most.
pub const FACTS: usize = 12 + 2 * (2 * HISTORY + 1);

/// Words of an [`Incident`].
pub const INCIDENT: usize = 37 + 5 + 5 + FILE / 4;

/// Words of one of both headers of what survives a reset.
pub const HEADER: usize = 11;

/// Words of one entry of what survives a reset: a sum, the number of the header that counts on it first, and an incident.
pub const ENTRY: usize = 2 + INCIDENT;

/// Words of what survives a reset: two headers, and of each incident two copies.
#[must_use]
pub const fn record(incidents: u32) -> u32 {
    2 * HEADER as u32 + 2 * incidents * ENTRY as u32
}

/// Words of [`Registers`].
pub const REGISTERS: usize = 17;

/// Words that are written or read one behind the other. Beyond their end nothing is written, and 0 is read.
struct Tape<W> {
    words: W,
}

impl Tape<slice::Iter<'_, AtomicU32>> {
    // Once, and not at each of its many places: the kernel is to be small.
    #[inline(never)]
    fn put(&mut self, word: u32) {
        if let Some(place) = self.words.next() {
            place.store(word, Ordering::Relaxed);
        }
    }

    #[inline(never)]
    fn put_long(&mut self, long: u64) {
        self.put(long as u32);
        self.put((long >> 32) as u32);
    }

    fn put_time(&mut self, time: Option<u64>) {
        self.put_long(time.unwrap_or(NEVER));
    }

    fn put_fault(&mut self, fault: Option<Fault>) {
        self.put(fault.map_or(0, |fault| fault.code().into()));
        self.put(if let Some(Fault::Access { address }) = fault { address } else { 0 });
    }

    /// Only times that were ever added are written.
    #[inline(never)]
    fn put_history(&mut self, history: &History) {
        let count = history.count();
        self.put(count);
        history.times().iter().take(count as usize).for_each(|time| self.put_long(*time));
    }
}

// Straight on: an incident lies in the path of each recovery. All that is called here has a known place on the tape.
impl Tape<slice::IterMut<'_, u32>> {
    #[inline(always)]
    fn set(&mut self, word: u32) {
        if let Some(place) = self.words.next() {
            *place = word;
        }
    }

    #[inline(always)]
    fn set_long(&mut self, long: u64) {
        self.set(long as u32);
        self.set((long >> 32) as u32);
    }

    #[inline(always)]
    fn set_time(&mut self, time: Option<u64>) {
        self.set_long(time.unwrap_or(NEVER));
    }
}

impl Tape<slice::Iter<'_, u32>> {
    fn get(&mut self) -> u32 {
        self.words.next().copied().unwrap_or(0)
    }

    fn long(&mut self) -> u64 {
        let low = self.get();
        u64::from(low) | u64::from(self.get()) << 32
    }

    fn time(&mut self) -> Option<u64> {
        Some(self.long()).filter(|time| *time != NEVER)
    }

    fn fault(&mut self) -> Option<Fault> {
        let code = self.get() as u8;
        Fault::of_code(code, self.get())
    }

    fn history(&mut self) -> History {
        let count = self.get();
        let mut times = [0; HISTORY];
        times.iter_mut().take(count as usize).for_each(|time| *time = self.long());
        History::of(times, count)
    }
}

/// Writes facts.
pub fn put_facts(facts: &Facts, words: &[AtomicU32]) {
    let mut tape = Tape { words: words.iter() };
    tape.put(state_in_words(facts.state));
    tape.put(facts.epoch);
    tape.put(u32::from(facts.on_probation));
    tape.put_fault(facts.fault);
    tape.put_long(facts.failed_at);
    tape.put_history(&facts.starts);
    tape.put_history(&facts.fruitless);
    tape.put(facts.fruitless_in_a_row);
    tape.put_time(facts.down_since);
    tape.put_time(facts.recover_within);
}

/// Reads facts.
#[must_use]
pub fn facts(words: &[u32; FACTS]) -> Facts {
    let mut tape = Tape { words: words.iter() };
    Facts {
        state: state_of_words(tape.get()),
        epoch: tape.get(),
        on_probation: tape.get() != 0,
        fault: tape.fault(),
        failed_at: tape.long(),
        starts: tape.history(),
        fruitless: tape.history(),
        fruitless_in_a_row: tape.get(),
        down_since: tape.time(),
        recover_within: tape.time(),
    }
}

const fn noticed_in_words(noticed: Noticed) -> [u32; 3] {
    match noticed {
        Noticed::Kernel => [0, 0, 0],
        Noticed::Clock { called_at } => [1, called_at as u32, (called_at >> 32) as u32],
        Noticed::Component { by } => [2, by.0 as u32, 0],
        Noticed::Reported { by, to } => [3, by.0 as u32, to.0 as u32],
        Noticed::Blamed { by, port } => [4, by.0 as u32, port.0 as u32],
        Noticed::Person => [5, 0, 0],
    }
}

const fn noticed_of_words([kind, a, b]: [u32; 3]) -> Noticed {
    let by = ComponentId(a as u8);
    match kind {
        1 => Noticed::Clock { called_at: a as u64 | (b as u64) << 32 },
        2 => Noticed::Component { by },
        3 => Noticed::Reported { by, to: ComponentId(b as u8) },
        4 => Noticed::Blamed { by, port: PortId(b as u16) },
        5 => Noticed::Person,
        _ => Noticed::Kernel,
    }
}

const fn cut_in_words(cut: Option<(CutShort, u64)>) -> (u32, u64) {
    match cut {
        None => (0, 0),
        Some((CutShort::DiedAgain, at)) => (1, at),
        Some((CutShort::GivenUp, at)) => (2, at),
        Some((CutShort::Stopped, at)) => (3, at),
        Some((CutShort::Rebooted, at)) => (4, at),
        Some((CutShort::Swapped, at)) => (5, at),
    }
}

const fn cut_of_words(kind: u32, at: u64) -> Option<(CutShort, u64)> {
    Some(match kind {
        1 => (CutShort::DiedAgain, at),
        2 => (CutShort::GivenUp, at),
        3 => (CutShort::Stopped, at),
        4 => (CutShort::Rebooted, at),
        5 => (CutShort::Swapped, at),
        _ => return None,
    })
}

/// Which one followed, and above that what became of it; when it was asked for; when it was known that it stays, or which
/// incident has ended its probation.
const fn swap_in_words(swap: Option<Swapped>) -> (u32, u64, u64) {
    let Some(Swapped { to, asked_at, verdict }) = swap else { return (0, 0, 0) };
    let to = match to {
        Successor::New => 1,
        Successor::Before => 2,
        Successor::BeforeAgain => 3,
    };
    match verdict {
        Verdict::Open => (to, asked_at, 0),
        Verdict::Stays(at) => (to | 1 << 8, asked_at, at),
        Verdict::Undone(number) => (to | 2 << 8, asked_at, number as u64),
        Verdict::PutBack(at) => (to | 3 << 8, asked_at, at),
    }
}

const fn swap_of_words(kind: u32, asked_at: u64, then: u64) -> Option<Swapped> {
    let to = match kind & 0xFF {
        1 => Successor::New,
        2 => Successor::Before,
        3 => Successor::BeforeAgain,
        _ => return None,
    };
    let verdict = match kind >> 8 {
        1 => Verdict::Stays(then),
        2 => Verdict::Undone(then as u32),
        3 => Verdict::PutBack(then),
        _ => Verdict::Open,
    };
    Some(Swapped { to, asked_at, verdict })
}

/// Writes an incident.
pub fn put_incident(incident: &Incident, words: &[AtomicU32]) {
    for (place, word) in words.iter().zip(incident_in_words(incident)) {
        place.store(word, Ordering::Relaxed);
    }
}

/// The words of an incident.
#[must_use]
pub fn incident_in_words(incident: &Incident) -> [u32; INCIDENT] {
    let mut words = [0; INCIDENT];
    let mut tape = Tape { words: words.iter_mut() };
    tape.set(incident.number);
    tape.set(incident.component.0.into());
    tape.set(incident.epoch);
    tape.set(incident.fault.code().into());
    tape.set(if let Fault::Access { address } = incident.fault { address } else { 0 });
    let [kind, a, b] = noticed_in_words(incident.noticed);
    tape.set(kind);
    tape.set(a);
    tape.set(b);
    tape.set_long(incident.failed_at);
    tape.set_long(incident.told);
    tape.set_time(incident.backoff_at);
    tape.set_time(incident.started_at);
    tape.set_time(incident.up_at);
    tape.set_time(incident.answered_at);
    let (kind, at) = cut_in_words(incident.cut_short);
    tape.set(kind);
    tape.set_long(at);
    tape.set_long(incident.down_since);
    tape.set_time(incident.within);
    let seal = &incident.seal;
    tape.set(seal.offered_again);
    tape.set(seal.interrupted);
    tape.set(seal.poisoned);
    tape.set(u32::from(seal.blamed) | u32::from(seal.progressed) << 1 | u32::from(seal.in_hand.is_some()) << 2);
    let none = InHand { port: PortId::NONE, position: 0, operation: 0, progress: 0, then: Fate::OfferedAgain };
    let hand = seal.in_hand.unwrap_or(none);
    tape.set(hand.port.0.into());
    tape.set(hand.position);
    let fate = match hand.then {
        Fate::OfferedAgain => 0,
        Fate::Interrupted => 1,
        Fate::Poisoned => 2,
    };
    tape.set(u32::from(hand.operation) | fate << 8);
    tape.set(hand.progress);
    let (kind, asked_at, then) = swap_in_words(incident.swap);
    tape.set(kind);
    tape.set_long(asked_at);
    tape.set_long(then);
    let Place { pc, returns_to, event, address, line, file } = &incident.at;
    tape.set(*pc);
    tape.set(*returns_to);
    tape.set(*event);
    tape.set(*address);
    tape.set(*line);
    file.as_chunks::<4>().0.iter().for_each(|bytes| tape.set(u32::from_le_bytes(*bytes)));
    words
}

/// Reads an incident.
#[must_use]
pub fn incident(words: &[u32; INCIDENT]) -> Incident {
    let mut tape = Tape { words: words.iter() };
    Incident {
        number: tape.get(),
        component: ComponentId(tape.get() as u8),
        epoch: tape.get(),
        fault: tape.fault().unwrap_or(Fault::Told),
        noticed: noticed_of_words([tape.get(), tape.get(), tape.get()]),
        failed_at: tape.long(),
        told: tape.long(),
        backoff_at: tape.time(),
        started_at: tape.time(),
        up_at: tape.time(),
        answered_at: tape.time(),
        cut_short: cut_of_words(tape.get(), tape.long()),
        down_since: tape.long(),
        within: tape.time(),
        seal: seal(&mut tape),
        swap: swap_of_words(tape.get(), tape.long(), tape.long()),
        at: place(&mut tape),
    }
}

fn place(tape: &mut Tape<slice::Iter<'_, u32>>) -> Place {
    let [pc, returns_to, event, address, line] = [(); 5].map(|()| tape.get());
    let mut file = [0; FILE];
    file.as_chunks_mut::<4>().0.iter_mut().for_each(|bytes| *bytes = tape.get().to_le_bytes());
    Place { pc, returns_to, event, address, line, file }
}

/// Writes registers.
pub fn put_registers(registers: &Registers, words: &[AtomicU32]) {
    let mut tape = Tape { words: words.iter() };
    tape.put(registers.epoch);
    registers.r.iter().for_each(|word| tape.put(*word));
}

/// Reads registers.
#[must_use]
pub fn registers(words: &[u32; REGISTERS]) -> Registers {
    let mut tape = Tape { words: words.iter() };
    Registers { epoch: tape.get(), r: [(); 16].map(|()| tape.get()) }
}

fn seal(tape: &mut Tape<slice::Iter<'_, u32>>) -> Seal {
    let (offered_again, interrupted, poisoned, flags) = (tape.get(), tape.get(), tape.get(), tape.get());
    let (port, position, kind, progress) = (PortId(tape.get() as u16), tape.get(), tape.get(), tape.get());
    let then = match kind >> 8 {
        1 => Fate::Interrupted,
        2 => Fate::Poisoned,
        _ => Fate::OfferedAgain,
    };
    let hand = InHand { port, position, operation: kind as u8, progress, then };
    Seal {
        offered_again,
        interrupted,
        poisoned,
        blamed: flags & 1 != 0,
        progressed: flags & 2 != 0,
        in_hand: (flags & 4 != 0).then_some(hand),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use koboshi_core::life::State;

    fn across(incident_: &Incident) -> Incident {
        let words = [const { AtomicU32::new(0) }; INCIDENT];
        put_incident(incident_, &words);
        incident(&words.map(AtomicU32::into_inner))
    }

    #[test]
    fn facts_come_across_whole() {
        let mut starts = History::EMPTY;
        (0..20).for_each(|at| starts.add(at << 33));
        let mut fruitless = History::EMPTY;
        (0..HISTORY as u64).for_each(|at| fruitless.add(7 + at));
        for fault in [None, Some(Fault::Access { address: 0xDEAD_BEEF }), Some(Fault::Late)] {
            let there = Facts {
                state: State::Backoff,
                epoch: 9,
                on_probation: fault.is_some(),
                fault,
                failed_at: 1 << 40,
                starts,
                fruitless,
                fruitless_in_a_row: 3,
                down_since: Some(5),
                recover_within: fault.map(|_| 6),
            };
            let words = [const { AtomicU32::new(0) }; FACTS];
            put_facts(&there, &words);
            let words = words.map(AtomicU32::into_inner);
            assert_eq!(facts(&words), there);
            assert_eq!(words.last(), Some(&((there.recover_within.unwrap_or(NEVER) >> 32) as u32)), "it is full");
        }
    }

    #[test]
    fn facts_of_one_who_has_hardly_lived_are_short() {
        let mut starts = History::EMPTY;
        starts.add(1 << 40);
        let there = Facts {
            state: State::Running,
            epoch: 1,
            on_probation: false,
            fault: None,
            failed_at: 0,
            starts,
            fruitless: History::EMPTY,
            fruitless_in_a_row: 0,
            down_since: None,
            recover_within: Some(6),
        };
        let words = [const { AtomicU32::new(u32::MAX) }; FACTS];
        put_facts(&there, &words);
        let words = words.map(AtomicU32::into_inner);
        assert_eq!(facts(&words), there);
        assert_eq!(words[16..], [u32::MAX; FACTS - 16], "nothing is written behind them");
    }

    #[test]
    fn registers_come_across_whole() {
        let there = Registers { epoch: 9, r: core::array::from_fn(|at| 100 + at as u32) };
        let words = [const { AtomicU32::new(0) }; REGISTERS];
        put_registers(&there, &words);
        assert_eq!(registers(&words.map(AtomicU32::into_inner)), there);
    }

    #[test]
    fn incidents_come_across_whole() {
        let by = ComponentId(3);
        let noticed = [
            Noticed::Kernel,
            Noticed::Clock { called_at: 1 << 35 },
            Noticed::Component { by },
            Noticed::Reported { by, to: ComponentId(4) },
            Noticed::Blamed { by, port: PortId(500) },
            Noticed::Person,
        ];
        let cuts = [
            None,
            Some((CutShort::DiedAgain, 1)),
            Some((CutShort::GivenUp, 2)),
            Some((CutShort::Stopped, 3)),
            Some((CutShort::Rebooted, 1 << 50)),
            Some((CutShort::Swapped, 4)),
        ];
        let swaps = [
            None,
            Some(Swapped { to: Successor::New, asked_at: 1 << 40, verdict: Verdict::Open }),
            Some(Swapped { to: Successor::New, asked_at: 5, verdict: Verdict::Stays(1 << 41) }),
            Some(Swapped { to: Successor::New, asked_at: 5, verdict: Verdict::Undone(u32::MAX) }),
            Some(Swapped { to: Successor::New, asked_at: 5, verdict: Verdict::PutBack(1 << 42) }),
            Some(Swapped { to: Successor::Before, asked_at: 6, verdict: Verdict::Stays(6) }),
            Some(Swapped { to: Successor::BeforeAgain, asked_at: 6, verdict: Verdict::Stays(6) }),
        ];
        for (at, noticed) in noticed.into_iter().enumerate() {
            for (number, cut_short) in (0..).zip(cuts) {
                let then = [Fate::OfferedAgain, Fate::Interrupted, Fate::Poisoned][at % 3];
                let hand = InHand { port: PortId(2), position: 8, operation: 200, progress: 11, then };
                let there = Incident {
                    number,
                    component: ComponentId(63),
                    epoch: u32::MAX,
                    fault: Fault::of_code(at as u8 + 2, 0).expect("one of them"),
                    noticed,
                    failed_at: 77,
                    told: 1 << 63,
                    backoff_at: None,
                    started_at: Some(1 << 33),
                    up_at: Some(4),
                    answered_at: None,
                    cut_short,
                    down_since: 70,
                    within: Some(12),
                    seal: Seal {
                        offered_again: 1,
                        interrupted: 2,
                        poisoned: 3,
                        blamed: at % 2 == 0,
                        progressed: at % 2 == 1,
                        in_hand: (number % 2 == 0).then_some(hand),
                    },
                    swap: swaps[(at + number as usize) % swaps.len()],
                    at: Place {
                        pc: 1,
                        returns_to: 2,
                        event: 3,
                        address: 4,
                        line: 5,
                        file: core::array::from_fn(|at| at as u8 + 1),
                    },
                };
                assert_eq!(across(&there), there);
            }
        }
    }
}
