//! Two ends, a line between them, and who writes and reads at each; it knows what has to be read, and says what is wrong.

use std::format;
use std::string::String;
use std::vec::Vec;

use super::line::{Dice, Faults, Line};
use crate::flaw::Flaw;
use crate::{Channel, Instant, Link, NewSession, Session, Timing, Wake};

pub(super) const BAUD: u32 = 115_200;
/// The bytes that the line takes in one step, and how long that is.
pub(super) const STEP_BYTES: usize = 8;
pub(super) const STEP: u64 = STEP_BYTES as u64 * 10 * 1_000_000_000 / BAUD as u64;

/// The byte at `position` of what one writer writes in his `generation`th session.
pub(super) fn byte(end: usize, channel: Channel, generation: u32, position: usize) -> u8 {
    let name = (end as u64) << 56 | (channel as u64) << 48 | u64::from(generation) << 32 | position as u64;
    // A zero now and then, for COBS to have something to do.
    match Dice(name).roll() {
        roll if roll % 16 == 0 => 0,
        roll => (roll >> 8) as u8,
    }
}

/// What happens besides the line's faults, so many times in 100,000 steps.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Habits {
    /// A reader stops reading, or begins again.
    pub(super) stall: u32,
    /// An end loses its memory.
    pub(super) restart: u32,
    /// The number of the first session; each life has the next one.
    pub(super) first: u16,
}

/// Who writes to a channel.
#[derive(Clone, Debug, Default)]
struct Writer {
    generation: u32,
    /// In this generation.
    written: usize,
}

/// Who reads it at the other end.
#[derive(Clone, Debug, Default)]
struct Reader {
    stalled: bool,
    /// What was read since the last new session.
    read: Vec<u8>,
    /// Generations of the writer before it are over.
    earliest: u32,
    total: usize,
}

#[derive(Debug)]
struct End<const WINDOW: usize> {
    link: Link<WINDOW>,
    writers: [Writer; Channel::ALL.len()],
    readers: [Reader; Channel::ALL.len()],
    /// Put on the line by this end.
    line: Line,
}

#[derive(Debug)]
pub(super) struct World<const WINDOW: usize> {
    ends: [End<WINDOW>; 2],
    dice: Dice,
    habits: Habits,
    flaw: Option<Flaw>,
    now: Instant,
    pub(super) writes: bool,
    /// The last one that was given.
    session: u16,
}

fn new_link<const WINDOW: usize>(session: u16, flaw: Option<Flaw>) -> Link<WINDOW> {
    let mut link = Link::new(Session(session), Timing::of_line(BAUD));
    link.flaws.0 = flaw;
    link
}

impl<const WINDOW: usize> World<WINDOW> {
    pub(super) fn new(seed: u64, faults: Faults, habits: Habits, flaw: Option<Flaw>) -> Self {
        let end = |number: u64| End {
            link: new_link(habits.first, flaw),
            writers: Default::default(),
            readers: Default::default(),
            line: Line::new(seed.wrapping_mul(3).wrapping_add(number), faults),
        };
        let ends = [end(1), end(2)];
        World { ends, dice: Dice(seed), habits, flaw, now: Instant::from_ticks(0), writes: true, session: habits.first }
    }

    pub(super) fn link(&mut self, end: usize) -> &mut Link<WINDOW> {
        &mut self.ends[end].link
    }

    /// Bytes that were put on the line by an end.
    pub(super) fn carried(&self, end: usize) -> u64 {
        self.ends[end].line.carried
    }

    /// Bytes that were read from a channel at an end.
    pub(super) fn total(&self, end: usize, channel: Channel) -> usize {
        self.ends[end].readers[channel as usize - 1].total
    }

    pub(super) fn stall(&mut self, end: usize, channel: Channel, stalled: bool) {
        self.ends[end].readers[channel as usize - 1].stalled = stalled;
    }

    /// The ends meet, and go on as if each channel had carried so many bytes.
    pub(super) fn begin_at(&mut self, position: u32) {
        let (writes, habits) = (self.writes, self.habits);
        let faults = self.ends.each_ref().map(|end| end.line.faults);
        self.calm();
        while !self.is_done() {
            self.step().expect("nothing is written");
        }
        for (end, faults) in self.ends.iter_mut().zip(faults) {
            end.line.faults = faults;
            for lane in &mut end.link.lanes {
                lane.sender.begin_at(position);
                lane.receiver.begin_at(position);
            }
        }
        (self.writes, self.habits) = (writes, habits);
    }

    /// Nothing bad happens from now on, everybody reads, and nothing more is written.
    fn calm(&mut self) {
        self.writes = false;
        self.habits = Habits::default();
        for end in &mut self.ends {
            end.line.faults = Faults::NONE;
            end.readers.iter_mut().for_each(|reader| reader.stalled = false);
        }
    }

    /// So many steps with faults, and then as many without as it takes for all to arrive.
    pub(super) fn run(&mut self, steps: usize) -> Result<(), String> {
        for _ in 0..steps {
            self.step()?;
        }
        self.calm();
        // 60 s: after the longest wait, all windows twice, at the line's speed, are 2 s.
        for _ in 0..60_000_000_000 / STEP {
            self.step()?;
            if self.is_done() {
                return self.all_is_there();
            }
        }
        Err(format!(
            "after a minute without faults it is not done: {:?}",
            self.ends.each_ref().map(|end| end.link.counts())
        ))
    }

    fn is_done(&self) -> bool {
        self.ends.iter().all(|end| {
            let quiet = |channel| end.link.unacknowledged(channel) == 0 && !end.link.is_readable(channel);
            end.link.peer().is_some() && Channel::ALL.into_iter().all(quiet)
        })
    }

    fn all_is_there(&mut self) -> Result<(), String> {
        for (reading, channel) in [0, 1].into_iter().flat_map(|end| Channel::ALL.map(|channel| (end, channel))) {
            let (lane, writing) = (channel as usize - 1, 1 - reading);
            // Whoever was not told yet has nothing in this session.
            if self.ends[writing].link.write(channel, &[]).is_err() {
                self.ends[writing].writers[lane] = Writer::default();
            }
            let (read, written) =
                (self.ends[reading].readers[lane].read.len(), self.ends[writing].writers[lane].written);
            if read != written {
                return Err(format!("{read} bytes of {written} of {channel:?} were read at {reading}"));
            }
            self.judge(reading, channel)?;
        }
        Ok(())
    }

    pub(super) fn step(&mut self) -> Result<(), String> {
        self.now = Instant::from_ticks(self.now.as_ticks() + STEP);
        for end in [0, 1] {
            if self.dice.happens(self.habits.restart) {
                self.restart(end)?;
            }
            let bytes = self.ends[1 - end].line.take(self.now);
            self.ends[end].link.receive(&bytes);
            for channel in Channel::ALL {
                self.read(end, channel)?;
                self.write(end, channel);
            }
            self.transmit(end)?;
            let counts = self.ends[end].link.counts();
            if counts.too_much > 0 {
                return Err(format!("{end} was sent more than it has room for"));
            }
        }
        Ok(())
    }

    /// An end loses its memory.
    pub(super) fn restart(&mut self, end: usize) -> Result<(), String> {
        self.session = self.session.wrapping_add(1);
        for channel in Channel::ALL {
            self.judge(end, channel)?;
            let End { writers, readers, .. } = &mut self.ends[end];
            let (writer, reader) = (&mut writers[channel as usize - 1], &mut readers[channel as usize - 1]);
            *writer = Writer { generation: writer.generation + 1, written: 0 };
            reader.read.clear();
        }
        self.ends[end].link = new_link(self.session, self.flaw);
        Ok(())
    }

    fn transmit(&mut self, end: usize) -> Result<(), String> {
        let End { link, line, .. } = &mut self.ends[end];
        let mut bytes = [0; STEP_BYTES];
        let wake = link.wake();
        let asked_for = wake == Wake::Now || matches!(wake, Wake::At(at) if at <= self.now);
        // Whoever goes by that misses nothing, and whoever comes early hears nothing.
        if !asked_for && self.dice.below(2) == 0 {
            return Ok(());
        }
        let sent = link.transmit(&mut bytes, self.now);
        if sent > 0 && !asked_for {
            return Err(format!("{end} sends at {:?}, and wanted to be asked {wake:?}", self.now));
        }
        line.put(&bytes[..sent], self.now);
        Ok(())
    }

    fn write(&mut self, end: usize, channel: Channel) {
        let how_many = self.dice.below(24) as usize;
        let End { link, writers, .. } = &mut self.ends[end];
        let writer = &mut writers[channel as usize - 1];
        let first = writer.written;
        let bytes: Vec<u8> = (first..first + how_many).map(|at| byte(end, channel, writer.generation, at)).collect();
        match link.write(channel, if self.writes { &bytes } else { &[] }) {
            Ok(taken) => writer.written += taken,
            Err(NewSession { .. }) => *writer = Writer { generation: writer.generation + 1, written: 0 },
        }
    }

    fn read(&mut self, end: usize, channel: Channel) -> Result<(), String> {
        let stalls = self.dice.happens(self.habits.stall);
        let mut bytes = [0; 32];
        let length = 1 + self.dice.below(32) as usize;
        let End { link, readers, .. } = &mut self.ends[end];
        let reader = &mut readers[channel as usize - 1];
        reader.stalled ^= stalls;
        if reader.stalled {
            return Ok(());
        }
        match link.read(channel, &mut bytes[..length]) {
            Ok(count) => {
                reader.read.extend_from_slice(&bytes[..count]);
                reader.total += count;
                Ok(())
            }
            Err(NewSession { .. }) => {
                self.judge(end, channel)?;
                self.ends[end].readers[channel as usize - 1].read.clear();
                Ok(())
            }
        }
    }

    /// What was read in one session has to be the beginning of what was written in one generation, later than those before.
    fn judge(&mut self, end: usize, channel: Channel) -> Result<(), String> {
        let (lane, other) = (channel as usize - 1, 1 - end);
        let latest = self.ends[other].writers[lane].generation;
        let reader = &mut self.ends[end].readers[lane];
        if reader.read.is_empty() {
            return Ok(());
        }
        let fits = |generation: &u32| {
            reader.read.iter().enumerate().all(|(at, read)| byte(other, channel, *generation, at) == *read)
        };
        match (reader.earliest..=latest).find(fits) {
            Some(generation) => reader.earliest = generation + 1,
            None => {
                return Err(format!("{} bytes of {channel:?} read at {end} were not written so", reader.read.len()));
            }
        }
        Ok(())
    }
}
