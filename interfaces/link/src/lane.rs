//! One channel in one session: what is on its way, and what has come and was not read yet.
//!
//! Rules kept here: a byte has a position, and positions are all that is believed. A byte is held by its sender until the other
//! end says that it has it, and enters the receiver only at its own position and only where there is room: so each byte comes
//! in order, and once.
//!
//! It must never: send what the other end has no room for, or promise room that is not there.

use heapless::Deque;
use koboshi_interface_kit::{Duration, Instant};

use crate::frame::PAYLOAD;
use crate::{NewSession, Timing, after};

/// How far `later` is ahead of `earlier`. Positions go round the corner after 2^32 bytes; more than half of that is behind.
const fn ahead(later: u32, earlier: u32) -> Option<usize> {
    let distance = later.wrapping_sub(earlier);
    if distance < 1 << 31 { Some(distance as usize) } else { None }
}

const fn moved(position: u32, by: usize) -> u32 {
    position.wrapping_add(by as u32)
}

/// The sending side.
#[derive(Debug)]
pub(crate) struct Sender<const WINDOW: usize> {
    /// The bytes from `acknowledged` on.
    held: Deque<u8, WINDOW>,
    /// All before it have arrived.
    acknowledged: u32,
    /// The next one to be sent, or sent again.
    next: u32,
    /// All before it were sent at least once.
    highest: u32,
    /// The other end has room for all before it.
    limit: u32,
    /// Sent again since the last progress because the other end said that bytes are missing. Once is enough.
    went_back: bool,
    /// It took too long: one frame at a time until the other end is heard again.
    careful: bool,
    /// The next frame is sent even if there is nothing to send: its acknowledgement is wanted.
    ask: bool,
    timer: Option<Instant>,
    patience: Duration,
    ended: Option<NewSession>,
}

impl<const WINDOW: usize> Sender<WINDOW> {
    pub(crate) const fn new(timing: &Timing) -> Self {
        Sender {
            held: Deque::new(),
            acknowledged: 0,
            next: 0,
            highest: 0,
            limit: 0,
            went_back: false,
            careful: false,
            ask: false,
            timer: None,
            patience: timing.retry,
            ended: None,
        }
    }

    /// Takes bytes to be sent, as many as fit.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<usize, NewSession> {
        if let Some(ended) = self.ended.take() {
            return Err(ended);
        }
        let taken = bytes.iter().take_while(|byte| self.held.push_back(**byte).is_ok()).count();
        Ok(taken)
    }

    pub(crate) fn room(&self) -> usize {
        WINDOW.saturating_sub(self.held.len())
    }

    /// Bytes that the other end has not acknowledged.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    fn in_flight(&self) -> usize {
        ahead(self.next, self.acknowledged).unwrap_or(0)
    }

    fn unsent(&self) -> usize {
        self.held.len().saturating_sub(self.in_flight())
    }

    fn sendable(&self) -> usize {
        if self.careful && self.in_flight() > 0 {
            return 0;
        }
        self.unsent().min(ahead(self.limit, self.next).unwrap_or(0)).min(PAYLOAD)
    }

    /// Whether a frame should be sent.
    pub(crate) fn is_ready(&self) -> bool {
        self.ask || self.sendable() > 0
    }

    /// The next frame's bytes and their position; how many of them were sent before.
    pub(crate) fn next_frame(&mut self, bytes: &mut heapless::Vec<u8, PAYLOAD>) -> (u32, usize) {
        let (first, second) = self.held.as_slices();
        for byte in first.iter().chain(second).skip(self.in_flight()).take(self.sendable()) {
            if bytes.push(*byte).is_err() {
                break;
            }
        }
        let position = self.next;
        let again = ahead(self.highest, position).unwrap_or(0).min(bytes.len());
        self.next = moved(position, bytes.len());
        if ahead(self.next, self.highest).is_some() {
            self.highest = self.next;
        }
        self.ask = false;
        (position, again)
    }

    /// An answer is waited for: something is on its way, or there is no room for what waits.
    fn waits(&self) -> bool {
        self.in_flight() > 0 || (self.unsent() > 0 && self.sendable() == 0)
    }

    /// Begins to wait for the other end if that is due, and sends again when it has taken too long.
    pub(crate) fn look_at_clock(&mut self, now: Instant, timing: &Timing) {
        match self.timer {
            _ if !self.waits() || self.ask => self.timer = None,
            None => self.timer = Some(after(now, self.patience)),
            Some(at) if now >= at => {
                self.next = self.acknowledged;
                (self.ask, self.careful, self.timer) = (true, true, None);
                self.patience = timing.longer(self.patience);
            }
            Some(_) => {}
        }
    }

    /// When it wants to look at the clock; `Err`: at once.
    pub(crate) fn wake(&self) -> Result<Option<Instant>, ()> {
        match self.timer {
            _ if self.is_ready() => Err(()),
            None if self.waits() => Err(()),
            timer => Ok(timer),
        }
    }

    /// What the other end says that it has. Words of the past, and of bytes that were never sent, change nothing.
    pub(crate) fn acknowledge(&mut self, position: u32, window: u16, missing: bool, timing: &Timing) {
        let Some(arrived) = ahead(position, self.acknowledged) else { return };
        if arrived > ahead(self.highest, self.acknowledged).unwrap_or(0) {
            return;
        }
        for _ in 0..arrived {
            self.held.pop_front();
        }
        if ahead(self.next, position).is_none() {
            self.next = position;
        }
        self.acknowledged = position;
        let limit = moved(position, window.into());
        let more_room = ahead(limit, self.limit).is_some_and(|more| more > 0);
        if more_room {
            self.limit = limit;
        }
        if arrived > 0 || more_room {
            (self.went_back, self.careful, self.timer, self.patience) = (false, false, None, timing.retry);
        }
        if missing && !self.went_back && self.in_flight() > 0 {
            self.next = position;
            (self.went_back, self.timer) = (true, None);
        }
    }

    /// The session is over. If it had begun, what was held is dropped, and the writer is told.
    pub(crate) fn begin_anew(&mut self, begun: bool, timing: &Timing) {
        let mut anew = Sender::new(timing);
        anew.ended = self.ended;
        if begun {
            let before = self.ended.map_or(0, |ended| ended.dropped);
            anew.ended = Some(NewSession { dropped: before.saturating_add(self.held.len()) });
        } else {
            core::mem::swap(&mut anew.held, &mut self.held);
        }
        *self = anew;
    }
}

/// The receiving side.
#[derive(Debug)]
pub(crate) struct Receiver<const WINDOW: usize> {
    /// What was not read yet.
    held: Deque<u8, WINDOW>,
    /// The position of the next byte.
    expected: u32,
    /// The other end was told that there is room for all before it.
    granted: u32,
    /// A later byte has come already.
    missing: bool,
    /// An acknowledgement is due.
    due: bool,
    /// So many of the held bytes are of a session before, and the reader is to be told behind them.
    before: Option<(usize, NewSession)>,
}

/// What arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// Bytes in their place, or a question.
    New,
    /// Nothing that was not there already.
    Repeated,
    /// Bytes with others missing before them.
    TooEarly,
    /// More than there is room for.
    TooMuch,
}

impl<const WINDOW: usize> Receiver<WINDOW> {
    pub(crate) const fn new() -> Self {
        Receiver { held: Deque::new(), expected: 0, granted: 0, missing: false, due: false, before: None }
    }

    /// Takes what is new of these bytes.
    pub(crate) fn arrive(&mut self, position: u32, bytes: &[u8]) -> Arrived {
        self.due = true;
        let Some(known) = ahead(self.expected, position) else {
            self.missing = true;
            return Arrived::TooEarly;
        };
        let new = match bytes.get(known..) {
            Some(new) if !new.is_empty() => new,
            _ if bytes.is_empty() => return Arrived::New,
            _ => return Arrived::Repeated,
        };
        let taken = new.iter().take_while(|byte| self.held.push_back(**byte).is_ok()).count();
        self.expected = moved(self.expected, taken);
        self.missing = false;
        if taken < new.len() { Arrived::TooMuch } else { Arrived::New }
    }

    /// The position of the next byte.
    pub(crate) fn expected(&self) -> u32 {
        self.expected
    }

    fn room(&self) -> usize {
        WINDOW.saturating_sub(self.held.len()).min(u16::MAX.into())
    }

    pub(crate) fn acknowledgement_is_due(&self) -> bool {
        self.due
    }

    /// An acknowledgement is due, even if nothing has come.
    pub(crate) fn owe(&mut self) {
        self.due = true;
    }

    /// What there is to acknowledge: position, window, and whether something is missing.
    pub(crate) fn acknowledgement(&mut self) -> (u32, u16, bool) {
        let room = self.room();
        self.granted = moved(self.expected, room);
        self.due = false;
        (self.expected, room as u16, self.missing)
    }

    /// Moves to `out` what has come.
    pub(crate) fn read(&mut self, out: &mut [u8]) -> Result<usize, NewSession> {
        let there = match self.before {
            Some((0, ended)) if !out.is_empty() => {
                self.before = None;
                return Err(ended);
            }
            Some((before, _)) => before,
            None => self.held.len(),
        };
        let mut count = 0;
        for (to, byte) in out.iter_mut().take(there).zip(core::iter::from_fn(|| self.held.pop_front())) {
            *to = byte;
            count += 1;
        }
        if let Some((before, _)) = &mut self.before {
            *before = before.saturating_sub(count);
        }
        // The other end is told of new room when it is half of all, not of each byte.
        let promised = ahead(self.granted, self.expected).unwrap_or(0);
        self.due |= count > 0 && self.room().saturating_sub(promised) >= WINDOW / 2;
        Ok(count)
    }

    /// Whether the reader has something to be given or told.
    pub(crate) fn is_readable(&self) -> bool {
        !self.held.is_empty() || self.before.is_some()
    }

    /// The session is over. If it had begun, the reader is told behind its bytes. Those of a session that came and went before
    /// the reader was told of it are dropped.
    pub(crate) fn begin_anew(&mut self, begun: bool) {
        if begun {
            let (before, mut ended) = self.before.unwrap_or((self.held.len(), NewSession { dropped: 0 }));
            ended.dropped = ended.dropped.saturating_add(self.held.len().saturating_sub(before));
            while self.held.len() > before {
                self.held.pop_back();
            }
            self.before = Some((before, ended));
        }
        (self.expected, self.granted, self.missing, self.due) = (0, 0, false, false);
    }
}

#[cfg(test)]
impl<const WINDOW: usize> Sender<WINDOW> {
    /// As if so many bytes had been sent in this session.
    pub(crate) fn begin_at(&mut self, position: u32) {
        (self.acknowledged, self.next, self.highest, self.limit) = (position, position, position, position);
    }
}

#[cfg(test)]
impl<const WINDOW: usize> Receiver<WINDOW> {
    /// As if so many bytes had come in this session.
    pub(crate) fn begin_at(&mut self, position: u32) {
        (self.expected, self.granted, self.due) = (position, position, true);
    }
}
