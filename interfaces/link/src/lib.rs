//! Several channels of bytes over one serial line, each of them exact, though the line is not.
//!
//! Job: what stands between a board's UART and the command on a computer at its other end, the same at both. Received bytes go
//! in, bytes to send come out, time is told; there is nothing else, so whoever has a line (a component with its ports, a
//! program with a terminal, a test with a queue) can use it.
//!
//! ```
//! use koboshi_link::{Channel, Instant, Link, Session, Timing};
//!
//! let now = Instant::from_ticks(0);
//! let timing = Timing::of_line(115_200);
//! let (mut board, mut desk) = (Link::<512>::new(Session(1), timing), Link::<512>::new(Session(1), timing));
//! board.write(Channel::Log, b"up")?;
//! for _ in 0..4 {
//!     let mut line = [0; 64];
//!     let sent = board.transmit(&mut line, now);
//!     desk.receive(&line[..sent]);
//!     let sent = desk.transmit(&mut line, now);
//!     board.receive(&line[..sent]);
//! }
//! let mut text = [0; 8];
//! assert_eq!(desk.read(Channel::Log, &mut text)?, 2);
//! # Ok::<(), koboshi_link::NewSession>(())
//! ```
//!
//! # What is exact
//!
//! **As long as both ends live**, the bytes read from a channel are those written to it at the other end, in order, each once,
//! with none missing before one that was read. It stays so whatever the line does: it may drop bytes, repeat them, flip bits, put
//! bytes in between, hold them up for any time, or all of that at once because the driver behind it died with bytes in hand and
//! the next one began somewhere else. If the line carries a whole frame now and then, all that was written arrives in the
//! end. A channel that nobody reads holds its own sender only. Memory is what [`Link`] is large: nothing grows.
//!
//! **If an end loses its memory**, its session is over, and so is what it had in hand. The other end goes on, and both directions
//! of each channel say so where it happened. Reading gives what had arrived before, then [`NewSession`] once, then bytes of the
//! new session from its beginning. Writing gives [`NewSession`] once, with the number of bytes that were taken and perhaps
//! never read, and takes bytes for the new session from then on. What is read of a session is the beginning of what
//! was written in it: nothing is missing in between, only behind.
//!
//! **What is not promised:**
//!
//! - That a reader sees a session that came and went before he had read up to its beginning. It is dropped, and counted in
//!   [`NewSession::dropped`].
//! - That an end that falls silent is noticed. Who needs to know asks the other end something.
//! - That no damaged frame is ever taken for a good one. Of frames that are damaged at random, one in 2^32 is.
//! - That a byte from more than 2^31 bytes ago is known for an old one.
//! - Exact sessions on a line whose bytes overtake one another, or for an end that begins anew with its old number while bytes
//!   from or to its life before are still on the line.
//!
//! # What stands on the line
//!
//! A frame is stuffed by COBS and ends with a byte 0x00, which stands in no frame; one more may stand before it. Numbers are
//! little-endian. Unstuffed:
//!
//! | offset | bytes | field      | meaning                                                                                      |
//! | ------ | ----- | ---------- | -------------------------------------------------------------------------------------------- |
//! | 0      | 1     | kind       | bits 4 to 7: 1 hello, 2 data, 3 acknowledgement; bits 0 to 3: the channel, 0 the link itself |
//! | 1      | 2     | `from`     | the sender's session: 1 to 65,535                                                            |
//! | 3      | 2     | `to`       | the session of the other end that is meant, 0 if none is known                               |
//! | 5      | n     | body       | below                                                                                        |
//! | 5 + n  | 4     | checksum   | CRC-32/ISO-HDLC of all before it                                                             |
//!
//! | kind            | offset | bytes    | field    | unit  | meaning                                                                 |
//! | --------------- | ------ | -------- | -------- | ----- | ----------------------------------------------------------------------- |
//! | hello           | 5      | 1        | version  | -     | [`VERSION`]; a hello may grow at its end                                |
//! |                 | 6      | 1        | flags    | -     | bit 0: "I have heard that you know my session"                          |
//! | data            | 5      | 4        | position | bytes | of the first byte in its channel's session, modulo 2^32                 |
//! |                 | 9      | 0 to 128 | payload  | -     | the channel's bytes; none: asks for an acknowledgement                  |
//! | acknowledgement | 5      | 4        | position | bytes | all before it have arrived, modulo 2^32                                 |
//! |                 | 9      | 2        | window   | bytes | so many from there on have room                                         |
//! |                 | 11     | 1        | flags    | -     | bit 0: later ones have come, so those at the position are lost          |
//!
//! # How it goes
//!
//! - **Sessions.** An end says hello until it hears its own session named. A later session of the other end than the known
//!   one ends that one; an earlier one is answered with the one that is known, and whoever hears of a life of his own that he
//!   does not remember takes the number after it. So a board that remembers nothing, and begins with 1 each time, is
//!   known for a new one. Only a frame that names both present sessions moves bytes.
//! - **Positions.** Sent bytes are kept until they are acknowledged. What is not, within [`Timing::retry`] (then twice that, up to
//!   [`Timing::retry_at_most`]), is sent again, one frame at a time until the other end is heard; at once if that one says that
//!   later bytes have come.
//! - **Credit.** Nothing is sent for which no room was announced. New room is announced when it is half of all. An announcement
//!   that is lost is asked for, by the same timeout.
//! - **Turns.** Hello goes first, then acknowledgements, then one frame of each channel that has something, round and round.
//!
//! It must never: panic, whatever is received; hold a byte of one channel because of another; act on a frame that is not whole.
#![no_std]

#[cfg(test)]
extern crate std;

mod flaw;
mod frame;
mod lane;
#[cfg(test)]
mod tests;

use heapless::Vec;

pub use frame::{Channel, ON_THE_LINE, PAYLOAD, Session, VERSION};
pub use koboshi_interface_kit::{Duration, Instant};

use flaw::{Flaw, Flaws};
use frame::{Body, Decoder, Encoded, Found, Frame};
use lane::{Arrived, Receiver, Sender};

/// How long an end waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// After so long without progress bytes are sent again. Too short only costs bytes on the line.
    pub retry: Duration,
    /// The wait doubles each time, up to this.
    pub retry_at_most: Duration,
}

impl Timing {
    /// For a line with so many bits a second, ten for each byte.
    #[must_use]
    pub const fn of_line(baud: u32) -> Timing {
        // There and back: a frame that has just begun, ours, another one that has just begun, and the acknowledgement.
        const THERE_AND_BACK: u64 = 4 * ON_THE_LINE as u64;
        // For drivers and programs at both ends to have their turns.
        const TURNS: u64 = 10_000_000;
        let bit = match 1_000_000_000_u64.checked_div(baud as u64) {
            Some(bit) => bit,
            None => 1_000_000_000,
        };
        let retry = bit * 10 * THERE_AND_BACK + TURNS;
        Timing { retry: Duration::from_ticks(retry), retry_at_most: Duration::from_ticks(retry * 8) }
    }

    /// The wait after one that was not long enough.
    const fn longer(&self, than: Duration) -> Duration {
        let doubled = than.as_ticks().saturating_mul(2);
        if doubled < self.retry_at_most.as_ticks() { Duration::from_ticks(doubled) } else { self.retry_at_most }
    }
}

/// `span` after `now`.
const fn after(now: Instant, span: Duration) -> Instant {
    Instant::from_ticks(now.as_ticks().saturating_add(span.as_ticks()))
}

/// An end began anew: what comes now is of another session. Said once for each channel and direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewSession {
    /// To a writer: bytes that were taken from him, and that the other end may not have read. To a reader: bytes of sessions in
    /// between that he does not see.
    pub dropped: usize,
}

/// When [`Link::transmit`] has to be called if nothing else happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// As soon as the line takes bytes.
    Now,
    /// Then.
    At(Instant),
    /// There is nothing to do until bytes are received or written.
    Never,
}

/// What a link has seen. The counts wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counts {
    /// Whole frames received.
    pub frames: u32,
    /// Stretches of bytes that are no frame: spoilt on the line.
    pub spoilt: u32,
    /// Frames with the right checksum that no end of this version writes.
    pub unknown: u32,
    /// Frames of another session than the present one.
    pub foreign: u32,
    /// Frames whose bytes had all been there before.
    pub repeated: u32,
    /// Frames that came after one that was lost.
    pub too_early: u32,
    /// Frames with more bytes than there was room for: the other end breaks a rule.
    pub too_much: u32,
    /// Bytes of channels that were sent more than once.
    pub sent_again: u32,
    /// Sessions of the other end that were known.
    pub sessions: u32,
}

/// One end of a line. `WINDOW`: bytes that each channel holds in each direction. With 512 a single channel keeps a line
/// busy whose ends answer within two frames; the ends need not have the same.
#[derive(Debug)]
pub struct Link<const WINDOW: usize> {
    timing: Timing,
    mine: Session,
    peer: Session,
    /// The other end is known to know this one: bytes may move.
    joined: bool,
    hello_due: bool,
    /// Before it no hello is sent unasked.
    hello_again: Option<Instant>,
    hello_patience: Duration,
    decoder: Decoder,
    outgoing: Encoded,
    /// Nothing was to be sent when last asked.
    silent: bool,
    lanes: [Lane<WINDOW>; Channel::ALL.len()],
    /// The channel whose turn is next is the first in it.
    turns: [Channel; Channel::ALL.len()],
    counts: Counts,
    flaws: Flaws,
}

#[derive(Debug)]
struct Lane<const WINDOW: usize> {
    sender: Sender<WINDOW>,
    receiver: Receiver<WINDOW>,
}

impl<const WINDOW: usize> Lane<WINDOW> {
    const fn new(timing: &Timing) -> Self {
        Lane { sender: Sender::new(timing), receiver: Receiver::new() }
    }
}

impl<const WINDOW: usize> Link<WINDOW> {
    /// An end that knows nothing of the other one yet. `session`: any number but 0; the other end corrects one that it has
    /// seen before. One that differs from life to life (an epoch, the time) keeps apart also what is on the line from before.
    #[must_use]
    pub const fn new(session: Session, timing: Timing) -> Self {
        const { assert!(WINDOW > 0, "a channel has to hold something") };
        Link {
            timing,
            mine: if session.0 == 0 { Session(1) } else { session },
            peer: Session::NOBODY,
            joined: false,
            hello_due: true,
            hello_again: None,
            hello_patience: timing.retry,
            decoder: Decoder::new(),
            outgoing: Encoded::new(),
            silent: true,
            lanes: [Lane::new(&timing), Lane::new(&timing), Lane::new(&timing), Lane::new(&timing)],
            turns: Channel::ALL,
            counts: Counts {
                frames: 0,
                spoilt: 0,
                unknown: 0,
                foreign: 0,
                repeated: 0,
                too_early: 0,
                too_much: 0,
                sent_again: 0,
                sessions: 0,
            },
            flaws: Flaws::NONE,
        }
    }

    /// The session of the other end, if both ends know each other.
    #[must_use]
    pub fn peer(&self) -> Option<Session> {
        self.joined.then_some(self.peer)
    }

    /// This end's session.
    #[must_use]
    pub fn session(&self) -> Session {
        self.mine
    }

    /// What has been seen so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Gives bytes to a channel; how many it took. Fewer than offered is back-pressure.
    ///
    /// # Errors
    /// [`NewSession`], once, if bytes given before may not have arrived because an end began anew. Nothing was taken.
    pub fn write(&mut self, channel: Channel, bytes: &[u8]) -> Result<usize, NewSession> {
        self.lane_mut(channel).sender.write(bytes)
    }

    /// Bytes that [`Link::write`] takes now.
    #[must_use]
    pub fn room(&self, channel: Channel) -> usize {
        self.lane(channel).sender.room()
    }

    /// Bytes that were written and that the other end has not acknowledged.
    #[must_use]
    pub fn unacknowledged(&self, channel: Channel) -> usize {
        self.lane(channel).sender.held()
    }

    /// Takes bytes that came over a channel; how many there were.
    ///
    /// # Errors
    /// [`NewSession`], once, behind the last byte of a session that is over.
    pub fn read(&mut self, channel: Channel, out: &mut [u8]) -> Result<usize, NewSession> {
        self.lane_mut(channel).receiver.read(out)
    }

    /// Whether [`Link::read`] has something to give or to say.
    #[must_use]
    pub fn is_readable(&self, channel: Channel) -> bool {
        self.lane(channel).receiver.is_readable()
    }

    /// Bytes came over the line.
    pub fn receive(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match self.decoder.feed(*byte) {
                None => {}
                Some(Found::Spoilt) => count(&mut self.counts.spoilt),
                Some(Found::Frame) => self.receive_frame(),
            }
        }
    }

    /// Bytes to be put on the line; how many. Fewer than fit: there are no more now.
    pub fn transmit(&mut self, out: &mut [u8], now: Instant) -> usize {
        let mut written = 0;
        loop {
            let Some(rest) = out.get_mut(written..).filter(|rest| !rest.is_empty()) else { return written };
            written = written.saturating_add(self.outgoing.take(rest));
            // Only a frame that is out of hand can be late.
            if self.outgoing.is_taken() && !self.begin_frame(now) {
                self.silent = true;
                return written;
            }
        }
    }

    /// When [`Link::transmit`] has to be called if nothing is received, written or read before.
    #[must_use]
    pub fn wake(&self) -> Wake {
        let acknowledge = self.joined && self.lanes.iter().any(|lane| lane.receiver.acknowledgement_is_due());
        if !self.outgoing.is_taken() || self.hello_due || acknowledge {
            return Wake::Now;
        }
        let mut first = if self.joined { None } else { self.hello_again };
        if self.joined {
            for lane in &self.lanes {
                match lane.sender.wake() {
                    Err(()) => return Wake::Now,
                    Ok(None) => {}
                    Ok(Some(at)) => first = Some(first.map_or(at, |first| first.min(at))),
                }
            }
        }
        first.map_or(Wake::Never, Wake::At)
    }

    fn lane(&self, channel: Channel) -> &Lane<WINDOW> {
        let [application, control, log, packages] = &self.lanes;
        match channel {
            Channel::Application => application,
            Channel::Control => control,
            Channel::Log => log,
            Channel::Packages => packages,
        }
    }

    fn lane_mut(&mut self, channel: Channel) -> &mut Lane<WINDOW> {
        let [application, control, log, packages] = &mut self.lanes;
        match channel {
            Channel::Application => application,
            Channel::Control => control,
            Channel::Log => log,
            Channel::Packages => packages,
        }
    }

    /// Writes the frame whose turn it is; false: there is none.
    fn begin_frame(&mut self, now: Instant) -> bool {
        if !self.joined && self.hello_again.is_none_or(|at| now >= at) {
            self.hello_due = true;
        }
        if self.hello_due {
            self.hello_due = false;
            self.hello_again = Some(after(now, self.hello_patience));
            self.hello_patience = self.timing.longer(self.hello_patience);
            self.send(Body::Hello { version: VERSION, heard: self.joined });
            return true;
        }
        if !self.joined {
            return false;
        }
        for channel in self.turns {
            let receiver = &mut self.lane_mut(channel).receiver;
            if receiver.acknowledgement_is_due() {
                let (position, window, missing) = receiver.acknowledgement();
                self.send(Body::Acknowledgement { channel, position, window, missing });
                return true;
            }
        }
        let (timing, retries) = (self.timing, !self.flaws.have(Flaw::NoRetry));
        for lane in self.lanes.iter_mut().filter(|_| retries) {
            lane.sender.look_at_clock(now, &timing);
        }
        for channel in self.turns {
            if self.lane(channel).sender.is_ready() {
                let mut bytes = Vec::new();
                let (position, again) = self.lane_mut(channel).sender.next_frame(&mut bytes);
                self.counts.sent_again = self.counts.sent_again.wrapping_add(again as u32);
                self.send(Body::Data { channel, position, bytes: &bytes });
                // The next frame is of the channels behind this one, if they have something.
                while self.turns.last() != Some(&channel) {
                    self.turns.rotate_left(1);
                }
                return true;
            }
        }
        false
    }

    fn send(&mut self, body: Body<'_>) {
        self.outgoing.write(&Frame { from: self.mine, to: self.peer, body }, self.silent);
        self.silent = false;
    }

    fn receive_frame(&mut self) {
        let decoded = self.decoder.take();
        let frame = match frame::parse(&decoded, !self.flaws.have(Flaw::NoChecksum)) {
            Ok(frame) => frame,
            Err(frame::NoFrame::Checksum) => return count(&mut self.counts.spoilt),
            Err(frame::NoFrame::Unknown) => return count(&mut self.counts.unknown),
        };
        if matches!(frame.body, Body::Hello { version, .. } if version != VERSION) {
            return count(&mut self.counts.unknown);
        }
        count(&mut self.counts.frames);
        if let Body::Hello { heard, .. } = frame.body {
            return self.hello(frame.from, frame.to, heard);
        }
        let present = frame.from == self.peer && frame.to == self.mine;
        if !present && !self.flaws.have(Flaw::NoSessions) {
            return count(&mut self.counts.foreign);
        }
        self.join();
        let (timing, flaws) = (self.timing, self.flaws);
        match frame.body {
            Body::Hello { .. } => {}
            Body::Data { channel, position, bytes } => {
                let receiver = &mut self.lane_mut(channel).receiver;
                let position = if flaws.have(Flaw::NoPositions) { receiver.expected() } else { position };
                match receiver.arrive(position, bytes) {
                    Arrived::New => {}
                    Arrived::Repeated => count(&mut self.counts.repeated),
                    Arrived::TooEarly => count(&mut self.counts.too_early),
                    Arrived::TooMuch => count(&mut self.counts.too_much),
                }
            }
            Body::Acknowledgement { channel, position, window, missing } => {
                let window = if flaws.have(Flaw::NoCredit) { u16::MAX } else { window };
                let missing = missing && !flaws.have(Flaw::NoRetry);
                self.lane_mut(channel).sender.acknowledge(position, window, missing, &timing);
            }
        }
    }

    fn hello(&mut self, from: Session, to: Session, heard: bool) {
        // A life of this end that this one does not remember: it had this number, or one that is not before it.
        let forgotten =
            if to == self.mine { heard && self.peer == Session::NOBODY } else { !self.mine.is_later_than(to) };
        if to != Session::NOBODY && forgotten {
            self.begin_anew(Session::NOBODY);
            (self.mine, self.hello_due) = (to.next(), true);
            return;
        }
        if self.peer == Session::NOBODY || from.is_later_than(self.peer) {
            self.begin_anew(from);
            count(&mut self.counts.sessions);
        }
        let known = from == self.peer && to == self.mine;
        if known {
            self.join();
        }
        self.hello_due |= !(known && heard);
    }

    /// Both ends know each other.
    fn join(&mut self) {
        if !self.joined {
            self.joined = true;
            self.hello_patience = self.timing.retry;
            // What it may send.
            self.lanes.iter_mut().for_each(|lane| lane.receiver.owe());
        }
    }

    /// The session with the other end is over, if there was one; `peer` is the other end now.
    fn begin_anew(&mut self, peer: Session) {
        let (begun, timing) = (self.joined && !self.flaws.have(Flaw::SilentRestart), self.timing);
        for lane in &mut self.lanes {
            lane.sender.begin_anew(begun, &timing);
            lane.receiver.begin_anew(begun);
        }
        (self.peer, self.joined, self.hello_patience) = (peer, false, timing.retry);
    }
}

fn count(counter: &mut u32) {
    *counter = counter.wrapping_add(1);
}
