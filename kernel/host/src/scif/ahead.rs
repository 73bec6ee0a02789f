//! When a SCIF next does something by itself that somebody waits for: an interrupt, or a byte at the outside end.
//!
//! It must never say a later time than the true one; an earlier one only costs a look.

use super::registers::{fcr, fsr, scr};
use super::{Ears, QUIET_BITS, Scif};
use crate::wire::{Fit, LineTime, OnLine, Symbol};

/// How many symbols that cannot be taken in one go `next_event` looks ahead before it asks to be called again.
const LOOK_AHEAD: usize = 256;

impl Scif {
    /// Which of ERI, RXI and BRI could newly assert.
    fn receiver_wants(&self) -> Wants {
        let errors = self.scr & (scr::RIE | scr::REIE) != 0;
        Wants {
            rxi: self.scr & scr::RIE != 0 && self.flags & (fsr::RDF | fsr::DR) == 0,
            eri: errors && self.flags & fsr::ER == 0,
            bri: errors && self.flags & fsr::BRK == 0 && !self.overrun,
        }
    }

    /// When the transmitter may next assert TXI, or have sent what the outside end waits for.
    pub(super) fn transmitter_event(&self) -> Option<LineTime> {
        let now = LineTime::from_ns(self.now);
        let wants_txi = self.scr & scr::TIE != 0 && self.flags & fsr::TDFE == 0;
        let missing =
            self.wire.wake_when_received.and_then(|n| n.checked_sub(self.wire.received.len())).filter(|n| *n > 0);
        let may_go_on = self.may_transmit();
        if !wants_txi && missing.is_none() && !(self.is_looped() && self.receiver_wants().any()) {
            return None;
        }
        if self.is_looped() {
            // RTS may be our own CTS: one frame at a time.
            return match self.shift {
                Some(shift) => Some(shift.ends),
                None => (may_go_on && !self.tx.is_empty()).then_some(now),
            };
        }
        let queued = if may_go_on { self.tx.len() } else { 0 };
        // When the shift register takes its next byte.
        let next_start = self.shift.map_or(now, |s| s.ends);
        let txi = self
            .tx
            .len()
            .checked_sub(self.transmit_trigger())
            .filter(|pops| wants_txi && *pops > 0 && *pops <= queued)
            .map(|pops| next_start.plus(self.frame.length.times(pops - 1)));
        let in_shift = usize::from(self.shift.is_some());
        let heard =
            missing.filter(|n| *n <= queued + in_shift).map(|n| next_start.plus(self.frame.length.times(n - in_shift)));
        earlier(txi, heard)
    }

    /// When the receiver may next assert an interrupt, or the outside end have sent what it waits for.
    pub(super) fn receiver_event(&self) -> Option<LineTime> {
        let wants = self.receiver_wants();
        let watch = self.wire.wake_when_waiting.filter(|n| self.wire.waiting() > *n);
        if !wants.any() && watch.is_none() {
            return None;
        }
        let mut ahead =
            Ahead { scif: self, wants, count: self.rx.len(), overrun: self.overrun, quiet_at: self.quiet_at };
        let mut at = LineTime::from_ns(self.now);
        let (mut bytes, mut others) = (0, 0);
        let mut current = self.wire.on_line().map(|line| (*line, self.ears));
        for _ in 0..LOOK_AHEAD {
            let (line, ears) = match current.take() {
                Some(current) => current,
                None => {
                    let next =
                        self.wire.ahead(bytes, others).filter(|&s| self.wire.may_begin(s, self.rts_with(ahead.count)));
                    let Some(symbol) = next else {
                        return ahead.quiet();
                    };
                    match symbol {
                        Symbol::Byte(_) => bytes += 1,
                        _ => others += 1,
                    }
                    if watch.is_some_and(|n| self.wire.waiting() - bytes - others <= n) {
                        return earlier(ahead.quiet(), Some(at));
                    }
                    let line = self.wire.begin_at(symbol, at);
                    (line, self.ears_for(&line))
                }
            };
            if let Some(event) = ahead.hear(&line, ears) {
                return Some(event);
            }
            at = line.ends;
            let mut run = self.wire.plain_ahead(bytes, others);
            if let Some(n) = watch {
                run = run.min(self.wire.waiting() - bytes - others - n - 1);
            }
            let skipped = ahead.skip(run, at);
            bytes += skipped;
            at = at.plus(self.wire.frame().length.times(skipped));
        }
        earlier(ahead.quiet(), Some(at))
    }
}

/// The receiver's interrupts that are enabled and not asserted.
#[derive(Clone, Copy)]
struct Wants {
    rxi: bool,
    eri: bool,
    bri: bool,
}

impl Wants {
    fn any(self) -> bool {
        self.rxi || self.eri || self.bri
    }
}

/// The receiver as it will be if nobody touches it: what [`Scif::next_event`] follows instead of a copy of the model.
struct Ahead<'a> {
    scif: &'a Scif,
    wants: Wants,
    count: usize,
    overrun: bool,
    quiet_at: Option<LineTime>,
}

impl Ahead<'_> {
    /// When DR raises RXI, if nothing arrives before.
    fn quiet(&self) -> Option<LineTime> {
        let below = self.count > 0 && self.count < self.scif.receive_trigger();
        self.quiet_at.filter(|_| below && self.wants.rxi)
    }

    /// DR, if it comes before `at`.
    fn quiet_before(&self, at: LineTime) -> Option<LineTime> {
        self.quiet().filter(|due| *due < at)
    }

    fn quiet_after(&self, at: LineTime) -> Option<LineTime> {
        Some(at.plus(self.scif.frame.bit.times(QUIET_BITS)))
    }

    /// A frame is complete at `at`. Returns the first event up to then, if there is one.
    fn arrive(&mut self, at: LineTime, bad: bool) -> Option<LineTime> {
        let quiet = self.quiet_before(at);
        if quiet.is_some() || self.scif.fcr & fcr::RFRST != 0 {
            return quiet;
        }
        if self.overrun || self.count == self.scif.layout.fifo.bytes() {
            let news = !self.overrun && self.wants.bri;
            self.overrun = true;
            return news.then_some(at);
        }
        self.count += 1;
        self.quiet_at = self.quiet_after(at);
        let full = self.wants.rxi && self.count >= self.scif.receive_trigger();
        (full || bad && self.wants.eri).then_some(at)
    }

    /// The symbol `line` goes by. Returns the first event in it.
    fn hear(&mut self, line: &OnLine, ears: Ears) -> Option<LineTime> {
        let mut ears = ears;
        loop {
            match ears {
                Ears::Deaf => return None,
                Ears::Frame => {
                    let (byte, fault) = line.symbol.frame()?;
                    let heard = line.frame.heard_by(&self.scif.frame, byte, fault);
                    return self.arrive(line.ends, heard.framing_error || heard.parity_error);
                }
                Ears::BreakFrame(at) => {
                    if let Some(event) = self.arrive(at, true) {
                        return Some(event);
                    }
                    ears = self.scif.ears_after_break_frame(line, at);
                }
                Ears::BreakFlag(at) => {
                    let quiet = self.quiet_before(at);
                    return quiet.or(self.wants.bri.then_some(at));
                }
            }
        }
    }

    /// How many of the `run` plain bytes that follow from `at` on go by for certain without an event. They have gone by
    /// then.
    fn skip(&mut self, run: usize, at: LineTime) -> usize {
        let scif = self.scif;
        let frame = scif.wire.frame();
        if !scif.wire.may_begin(Symbol::Byte(0), scif.rts_with(self.count)) {
            return 0;
        }
        if !scif.listens() {
            // Nothing arrives, so nothing moves DR: whoever ends the walk takes it into account.
            return run;
        }
        let bad = frame.fit(&scif.frame) != Fit::Good;
        let slow = frame.length >= scif.frame.bit.times(QUIET_BITS);
        let late = self.quiet_before(at.plus(frame.length)).is_some();
        if scif.fcr & fcr::RFRST != 0 || (bad && self.wants.eri) || slow || late {
            return 0;
        }
        let depth = scif.layout.fifo.bytes();
        let mut skipped = run;
        if self.wants.rxi {
            skipped = skipped.min((scif.receive_trigger() - 1).saturating_sub(self.count));
        }
        if self.wants.bri && !self.overrun {
            skipped = skipped.min(depth - self.count);
        }
        if scif.wire.settings().flow_control && scif.fcr & fcr::MCE != 0 {
            skipped = skipped.min(scif.rts_level().saturating_sub(self.count));
        }
        if skipped > 0 && !self.overrun {
            self.count = depth.min(self.count + skipped);
            // Only used while the FIFO is below its trigger, where every one of them was stored.
            self.quiet_at = self.quiet_after(at.plus(frame.length.times(skipped)));
        }
        skipped
    }
}

/// The earlier of two times, if there is one.
pub(super) fn earlier(a: Option<LineTime>, b: Option<LineTime>) -> Option<LineTime> {
    [a, b].into_iter().flatten().min()
}
