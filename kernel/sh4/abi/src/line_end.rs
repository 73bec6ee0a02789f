//! A line's end as a device of two components: the Monitor's `application`, and the `program` of whoever carries a program's
//! bytes to and from the board.
//!
//! On the host a program's end is held outside of the image; a board has no outside, so it lies in memory that two components
//! share: each writes a half of its own and reads the other's. Both see registers, 32 bits wide; those of `application` are
//! described with the host's model of it. Those of `program`, the same line seen from its other side:
//!
//! | offset | name     | read                                                       | write                                 |
//! | ------ | -------- | ---------------------------------------------------------- | ------------------------------------- |
//! | 0x00   | WAITING  | bytes that the Monitor has given, up to an announcement    | -                                     |
//! | 0x04   | POP      | takes one of them (0 if there is none)                     | -                                     |
//! | 0x08   | ROOM     | bytes that the line still takes                            | -                                     |
//! | 0x0C   | PUSH     | -                                                          | gives the line one byte               |
//! | 0x10   | ANNOUNCE | takes the announcement that is due here, plus 1; 0: none   | -                                     |
//! | 0x18   | STATE    | 1: open, 2: given up                                       | -                                     |
//! | 0x1C   | WANTED   | the number of the setting that is wanted                   | wants one, as BAUD and FRAMING say    |
//! | 0x20   | APPLIED  | the number of the last one that was carried out            | -                                     |
//! | 0x24   | BAUD     | the bit rate that is wanted                                | the bit rate                          |
//! | 0x28   | FRAMING  | the framing that is wanted                                 | the framing                           |
//! | 0x2C   | BREAK    | -                                                          | wants a break of so many milliseconds |
//! | 0x34   | TAKEN    | bytes that were taken so far, modulo 2^32                  | -                                     |
//! | 0x38   | GIVEN    | bytes that were given so far, modulo 2^32                  | -                                     |
//!
//! Rules: each word has one writer. A count that its reader finds to be impossible says that there is nothing: the reader
//! cannot be misled to anything but wrong bytes of its own line. A register that is not there reads 0.

use koboshi_core::sync::{AtomicU32, Ordering};

/// Which side of the line's end a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// The device `application`: the Monitor's.
    Application,
    /// The device `program`: of whoever carries the program's bytes.
    Program,
}

impl Face {
    /// What stands for it in [`View::devices`](crate::View::devices): no device has its registers there.
    #[must_use]
    pub const fn mark(self) -> u32 {
        match self {
            Face::Application => 1,
            Face::Program => 2,
        }
    }

    /// The face with this mark.
    #[must_use]
    pub const fn marked(mark: u32) -> Option<Face> {
        match mark {
            1 => Some(Face::Application),
            2 => Some(Face::Program),
            _ => None,
        }
    }
}

/// Bytes that it holds in each direction.
pub const BYTES: u32 = 1024;

/// Announcements that it holds. If there are more, one besides stands for all of them: "bytes may be missing", where the first of
/// them was to stand.
const NOTES: u32 = 16;

/// Words of a half.
pub const WORDS: usize = (NOTES_AT + 2 * NOTES + BYTES / 4) as usize;

/// Where announcements lie in the Monitor's half: each the position behind which it stands, and what it says.
const NOTES_AT: u32 = 12;

/// Where bytes lie in either half.
const BYTES_AT: u32 = NOTES_AT + 2 * NOTES;

/// The announcement "bytes may be missing here".
const GAP: u32 = 0;

/// Words of the Monitor's half. Counts wrap.
mod application {
    /// Bytes taken from the program.
    pub(super) const TAKEN: u32 = 0;
    /// Bytes given to it.
    pub(super) const GIVEN: u32 = 1;
    /// Announcements made.
    pub(super) const NOTED: u32 = 2;
    /// Not 0: the line was given up.
    pub(super) const GONE: u32 = 3;
    /// The last setting that was carried out.
    pub(super) const APPLIED: u32 = 4;
    /// The number of the break that was begun and is not over; 0: none.
    pub(super) const BREAK_BEGUN: u32 = 5;
    /// The number of the last break that is over.
    pub(super) const BREAKS_OVER: u32 = 6;
    /// Which interrupts are wanted: kept for whoever reads it back; a doorbell tells of everything here.
    pub(super) const ENABLED: u32 = 7;
    /// Times that there were too many announcements.
    pub(super) const TOO_MANY: u32 = 8;
    /// Bytes that had been given at the last of them.
    pub(super) const TOO_MANY_AT: u32 = 9;
}

/// Words of the program's half. Counts wrap.
mod program {
    /// Bytes taken from the Monitor.
    pub(super) const TAKEN: u32 = 0;
    /// Bytes given to it.
    pub(super) const GIVEN: u32 = 1;
    /// Announcements read.
    pub(super) const READ: u32 = 2;
    /// The number of the setting that is wanted.
    pub(super) const WANTED: u32 = 3;
    pub(super) const BAUD: u32 = 4;
    pub(super) const FRAMING: u32 = 5;
    /// Breaks that were wanted.
    pub(super) const BREAKS: u32 = 6;
    /// How long the last of them is to be, in milliseconds.
    pub(super) const BREAK_MS: u32 = 7;
    /// Times that there were too many announcements, and that this was read.
    pub(super) const TOO_MANY_READ: u32 = 8;
}

/// Offsets of registers.
mod register {
    pub(super) const WAITING: u32 = 0x00;
    pub(super) const POP: u32 = 0x04;
    pub(super) const ROOM: u32 = 0x08;
    pub(super) const PUSH: u32 = 0x0C;
    pub(super) const ANNOUNCE: u32 = 0x10;
    pub(super) const ENABLE: u32 = 0x14;
    pub(super) const STATE: u32 = 0x18;
    pub(super) const WANTED: u32 = 0x1C;
    pub(super) const APPLIED: u32 = 0x20;
    pub(super) const BAUD: u32 = 0x24;
    pub(super) const FRAMING: u32 = 0x28;
    pub(super) const BREAK: u32 = 0x2C;
    pub(super) const BREAK_BEGUN: u32 = 0x30;
    pub(super) const TAKEN: u32 = 0x34;
    pub(super) const GIVEN: u32 = 0x38;
}

/// One side of a line's end.
#[derive(Clone, Copy)]
pub struct LineEnd<'m> {
    face: Face,
    own: &'m [AtomicU32],
    peer: &'m [AtomicU32],
}

fn get(half: &[AtomicU32], at: u32) -> u32 {
    half.get(at as usize).map_or(0, |word| word.load(Ordering::Acquire))
}

impl<'m> LineEnd<'m> {
    /// The side `face`, with the half that is its own and that of the other side: [`WORDS`] words each.
    #[must_use]
    pub const fn new(face: Face, own: &'m [AtomicU32], peer: &'m [AtomicU32]) -> Self {
        LineEnd { face, own, peer }
    }

    fn own(self, at: u32) -> u32 {
        get(self.own, at)
    }

    fn peer(self, at: u32) -> u32 {
        get(self.peer, at)
    }

    fn set(self, at: u32, value: u32) {
        if let Some(word) = self.own.get(at as usize) {
            word.store(value, Ordering::Release);
        }
    }

    /// Both halves count bytes in the same words.
    fn counts(self) -> (u32, u32) {
        const { assert!(application::TAKEN == program::TAKEN && application::GIVEN == program::GIVEN) };
        (application::TAKEN, application::GIVEN)
    }

    /// Bytes that the other side has given and this one has not taken.
    fn waiting(self) -> u32 {
        let (taken, given) = self.counts();
        let waiting = self.peer(given).wrapping_sub(self.own(taken));
        if waiting <= BYTES { waiting } else { 0 }
    }

    /// Bytes for which this side has room.
    fn room(self) -> u32 {
        let (taken, given) = self.counts();
        BYTES.saturating_sub(self.own(given).wrapping_sub(self.peer(taken)))
    }

    fn pop(self, waiting: u32) -> u32 {
        if waiting == 0 {
            return 0;
        }
        let (taken, _) = self.counts();
        let at = self.own(taken);
        let word = self.peer(BYTES_AT + at % BYTES / 4);
        self.set(taken, at.wrapping_add(1));
        word >> (8 * (at % 4)) & 0xFF
    }

    fn push(self, byte: u32) {
        if self.room() == 0 {
            return;
        }
        let (_, given) = self.counts();
        let at = self.own(given);
        let (place, shift) = (BYTES_AT + at % BYTES / 4, 8 * (at % 4));
        self.set(place, self.own(place) & !(0xFF << shift) | (byte & 0xFF) << shift);
        self.set(given, at.wrapping_add(1));
    }

    /// The Monitor announces something behind all that it has given so far.
    fn announce(self, what: u32) {
        let (noted, too_many) = (self.own(application::NOTED), self.own(application::TOO_MANY));
        if too_many != self.peer(program::TOO_MANY_READ) {
            // It stands for this one, too.
            return;
        }
        let given = self.own(application::GIVEN);
        if noted.wrapping_sub(self.peer(program::READ)) >= NOTES {
            self.set(application::TOO_MANY_AT, given);
            self.set(application::TOO_MANY, too_many.wrapping_add(1));
            return;
        }
        let place = NOTES_AT + 2 * (noted % NOTES);
        self.set(place, given);
        self.set(place + 1, what);
        self.set(application::NOTED, noted.wrapping_add(1));
    }

    /// The oldest announcement that was not read: how many bytes stand before it, and what it says.
    fn note(self) -> Option<(u32, u32)> {
        let read = self.own(program::READ);
        let (at, what) = if (1..=NOTES).contains(&self.peer(application::NOTED).wrapping_sub(read)) {
            let place = NOTES_AT + 2 * (read % NOTES);
            (self.peer(place), self.peer(place + 1))
        } else if self.peer(application::TOO_MANY) != self.own(program::TOO_MANY_READ) {
            (self.peer(application::TOO_MANY_AT), GAP)
        } else {
            return None;
        };
        let before = at.wrapping_sub(self.own(program::TAKEN));
        // One that was passed already is due now.
        Some((if before <= BYTES { before } else { 0 }, what))
    }

    /// The announcement that is due was read.
    fn take_note(self) {
        let read = self.own(program::READ);
        if self.peer(application::NOTED) == read {
            self.set(program::TOO_MANY_READ, self.peer(application::TOO_MANY));
        } else {
            self.set(program::READ, read.wrapping_add(1));
        }
    }

    /// Bytes of the Monitor up to the next announcement.
    fn waiting_for_program(self) -> u32 {
        // In this order: what comes in between may be an announcement that stands before the bytes behind it.
        let waiting = self.waiting();
        self.note().map_or(waiting, |(before, _)| before.min(waiting))
    }

    /// Reads a register. Those that take something say so by what they count: `POP`, and `ANNOUNCE` at the program's side.
    #[must_use]
    pub fn read(self, offset: u32) -> u32 {
        match (offset, self.face) {
            (register::WAITING, Face::Application) => self.waiting(),
            (register::WAITING, Face::Program) => self.waiting_for_program(),
            (register::POP, Face::Application) => self.pop(self.waiting()),
            (register::POP, Face::Program) => self.pop(self.waiting_for_program()),
            (register::ROOM, _) => self.room(),
            (register::ANNOUNCE, Face::Program) => match self.note() {
                Some((0, what)) => {
                    self.take_note();
                    what.saturating_add(1)
                }
                _ => 0,
            },
            (register::ENABLE, Face::Application) => self.own(application::ENABLED),
            (register::STATE, Face::Application) => 1 + u32::from(self.own(application::GONE) != 0),
            (register::STATE, Face::Program) => 1 + u32::from(self.peer(application::GONE) != 0),
            (register::WANTED, Face::Application) => self.peer(program::WANTED),
            (register::WANTED, Face::Program) => self.own(program::WANTED),
            (register::APPLIED, Face::Application) => self.own(application::APPLIED),
            (register::APPLIED, Face::Program) => self.peer(application::APPLIED),
            (register::BAUD, Face::Application) => self.peer(program::BAUD),
            (register::BAUD, Face::Program) => self.own(program::BAUD),
            (register::FRAMING, Face::Application) => self.peer(program::FRAMING),
            (register::FRAMING, Face::Program) => self.own(program::FRAMING),
            (register::BREAK, Face::Application) => {
                let wanted = self.peer(program::BREAKS) != self.own(application::BREAKS_OVER);
                if wanted { self.peer(program::BREAK_MS) } else { 0 }
            }
            (register::BREAK_BEGUN, Face::Application) => self.own(application::BREAK_BEGUN),
            (register::TAKEN, _) => self.own(self.counts().0),
            (register::GIVEN, _) => self.own(self.counts().1),
            _ => 0,
        }
    }

    /// Writes a register.
    pub fn write(self, offset: u32, value: u32) {
        match (offset, self.face) {
            (register::PUSH, _) => self.push(value),
            (register::ANNOUNCE, Face::Application) => self.announce(value),
            (register::ENABLE, Face::Application) => self.set(application::ENABLED, value),
            (register::STATE, Face::Application) => self.set(application::GONE, u32::from(value == 2)),
            (register::APPLIED, Face::Application) => self.set(application::APPLIED, value),
            (register::BREAK_BEGUN, Face::Application) => {
                let (begun, wanted) = (self.own(application::BREAK_BEGUN), self.peer(program::BREAKS));
                if value == 0 {
                    // One that was wanted meanwhile is still wanted.
                    self.set(application::BREAKS_OVER, if begun == 0 { wanted } else { begun });
                }
                self.set(application::BREAK_BEGUN, if value == 0 { 0 } else { wanted });
            }
            (register::BAUD, Face::Program) => self.set(program::BAUD, value),
            (register::FRAMING, Face::Program) => self.set(program::FRAMING, value),
            (register::WANTED, Face::Program) => self.set(program::WANTED, value),
            (register::BREAK, Face::Program) => {
                self.set(program::BREAK_MS, value);
                self.set(program::BREAKS, self.own(program::BREAKS).wrapping_add(1));
            }
            _ => {}
        }
    }

    /// Whether the other side may have something to do after an access to this register. Reads and writes of some change
    /// nothing for it.
    #[must_use]
    pub fn tells(self, offset: u32, written: bool) -> bool {
        match offset {
            register::POP => !written,
            register::ANNOUNCE if self.face == Face::Program => !written,
            register::PUSH | register::ANNOUNCE | register::STATE | register::APPLIED | register::BREAK_BEGUN => {
                written
            }
            register::WANTED | register::BREAK => written && self.face == Face::Program,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    struct Both {
        application: Vec<AtomicU32>,
        program: Vec<AtomicU32>,
    }

    impl Both {
        fn new() -> Self {
            let half = || (0..WORDS).map(|_| AtomicU32::new(0)).collect();
            Both { application: half(), program: half() }
        }

        fn application(&self) -> LineEnd<'_> {
            LineEnd::new(Face::Application, &self.application, &self.program)
        }

        fn program(&self) -> LineEnd<'_> {
            LineEnd::new(Face::Program, &self.program, &self.application)
        }
    }

    fn take(end: LineEnd<'_>) -> Vec<u8> {
        let mut found = Vec::new();
        while end.read(register::WAITING) > 0 {
            found.push(end.read(register::POP) as u8);
        }
        found
    }

    #[test]
    fn bytes_go_both_ways_in_order_and_no_more_than_there_is_room_for() {
        let both = Both::new();
        for (from, to) in [(both.application(), both.program()), (both.program(), both.application())] {
            let (mut sent, mut arrived) = (Vec::new(), Vec::new());
            for round in 0..5_u32 {
                let offered = BYTES / 2 + 100 * round;
                for number in 0..offered {
                    if from.read(register::ROOM) > 0 {
                        sent.push((number * 7 + round) as u8);
                    }
                    from.write(register::PUSH, number * 7 + round);
                }
                assert!(to.read(register::WAITING) <= BYTES);
                arrived.extend(take(to));
                assert_eq!(from.read(register::ROOM), BYTES);
            }
            assert_eq!(arrived, sent);
            assert_eq!(to.read(register::POP), 0, "nothing is left");
        }
    }

    #[test]
    fn an_announcement_stands_between_the_bytes_where_it_was_made() {
        let both = Both::new();
        let (monitor, program) = (both.application(), both.program());
        monitor.write(register::PUSH, 1);
        monitor.write(register::ANNOUNCE, 2);
        monitor.write(register::ANNOUNCE, 4);
        monitor.write(register::PUSH, 5);
        assert_eq!(program.read(register::ANNOUNCE), 0, "a byte stands before it");
        assert_eq!(take(program), [1]);
        assert_eq!(program.read(register::POP), 0, "an announcement stands before the next byte");
        assert_eq!([0; 3].map(|_: u32| program.read(register::ANNOUNCE)), [3, 5, 0]);
        assert_eq!(take(program), [5]);
    }

    #[test]
    fn too_many_announcements_become_one_that_bytes_may_be_missing() {
        let both = Both::new();
        for _ in 0..NOTES + 5 {
            both.application().write(register::ANNOUNCE, 3);
        }
        let found: Vec<u32> = (0..NOTES + 2).map(|_| both.program().read(register::ANNOUNCE)).collect();
        let mut wanted = std::vec![4; NOTES as usize];
        wanted.extend([GAP + 1, 0]);
        assert_eq!(found, wanted);
        both.application().write(register::ANNOUNCE, 3);
        assert_eq!(both.program().read(register::ANNOUNCE), 4, "there is room again");
    }

    #[test]
    fn one_of_too_many_announcements_stands_where_the_first_of_them_was_to_stand() {
        let both = Both::new();
        for _ in 0..NOTES {
            both.application().write(register::ANNOUNCE, 3);
        }
        both.application().write(register::PUSH, 1);
        both.application().write(register::ANNOUNCE, 3);
        both.application().write(register::PUSH, 2);
        both.application().write(register::ANNOUNCE, 3);
        let notes: Vec<u32> = (0..NOTES).map(|_| both.program().read(register::ANNOUNCE)).collect();
        assert!(notes.iter().all(|note| *note == 4));
        assert_eq!(both.program().read(register::ANNOUNCE), 0, "a byte stands before the last one");
        assert_eq!(take(both.program()), [1]);
        assert_eq!(both.program().read(register::ANNOUNCE), GAP + 1);
        assert_eq!(take(both.program()), [2]);
        assert_eq!([register::TAKEN, register::GIVEN].map(|at| both.program().read(at)), [2, 0]);
    }

    #[test]
    fn settings_and_breaks_are_wanted_until_they_are_dealt_with() {
        let both = Both::new();
        let (monitor, program) = (both.application(), both.program());
        program.write(register::BAUD, 9_600);
        program.write(register::FRAMING, 2);
        program.write(register::WANTED, 1);
        program.write(register::BREAK, 30);
        assert_eq!(
            [register::WANTED, register::BAUD, register::FRAMING, register::BREAK].map(|at| monitor.read(at)),
            [1, 9_600, 2, 30]
        );
        monitor.write(register::BREAK_BEGUN, 1);
        assert_eq!((monitor.read(register::BREAK_BEGUN), monitor.read(register::BREAK)), (1, 30));
        program.write(register::BREAK, 40);
        monitor.write(register::BREAK_BEGUN, 0);
        assert_eq!(monitor.read(register::BREAK), 40, "one that was wanted meanwhile is not forgotten");
        monitor.write(register::BREAK_BEGUN, 0);
        assert_eq!((monitor.read(register::BREAK_BEGUN), monitor.read(register::BREAK)), (0, 0));
        monitor.write(register::APPLIED, 1);
        assert_eq!(program.read(register::APPLIED), 1);
        monitor.write(register::STATE, 2);
        assert_eq!((program.read(register::STATE), monitor.read(register::STATE)), (2, 2));
    }

    #[test]
    fn whatever_the_other_side_writes_the_reader_stays_within_its_own_line() {
        let both = Both::new();
        for wild in [1, BYTES, BYTES + 1, u32::MAX / 2, u32::MAX] {
            for at in 0..8 {
                both.application[at].store(wild, Ordering::Relaxed);
                let program = both.program();
                assert!(program.read(register::WAITING) <= BYTES && program.read(register::ROOM) <= BYTES);
                let _ = (program.read(register::POP), program.read(register::ANNOUNCE));
                program.write(register::PUSH, 1);
                both.program[at].store(wild, Ordering::Relaxed);
                let monitor = both.application();
                assert!(monitor.read(register::WAITING) <= BYTES && monitor.read(register::ROOM) <= BYTES);
                monitor.write(register::ANNOUNCE, 1);
            }
        }
    }
}
