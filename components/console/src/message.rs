//! What travels over the link's channels: postcard messages, each behind its length in two bytes, the lower one first.
//!
//! Rule: a message goes into a channel whole or not at all; so after a new session a reader begins with a message.

use heapless::Vec;
use koboshi_core::incident::Incident;
use koboshi_core::life::{Fault, State};
use koboshi_core::place::Registers;
use koboshi_interfaces::loading;
use koboshi_link::{Channel, Link, NewSession};
use serde::{Deserialize, Serialize};

/// The longest message, in bytes.
pub const LONGEST: usize = 254;

/// Bytes of a program in one message, at most.
pub const PART: usize = 64;

/// From the computer: what a program does at its end of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromProgram<'a> {
    /// It sends, [`PART`] bytes at most.
    Bytes(&'a [u8]),
    /// It sets the line: the bit rate, and the bits of FRAMING of the device `application`.
    Line {
        /// The number of this setting, from 1 on. The same one twice is one.
        number: u32,
        /// Bits per second.
        baud: u32,
        /// As the device has it.
        framing: u32,
    },
}

/// To the computer: what the program is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToProgram<'a> {
    /// The first message of a session: how the line's end is.
    Began {
        /// Bytes that consoles have taken from it so far, modulo 2^32. What of them was not heard is lost.
        taken: u32,
        /// Bytes that consoles have given it so far, modulo 2^32. What was sent besides is lost.
        given: u32,
        /// The number of the last setting of the line that was carried out.
        applied: u32,
        /// The line was given up.
        gone: bool,
    },
    /// Bytes from the line.
    Bytes(&'a [u8]),
    /// An announcement, as the Monitor numbers them, between the bytes where it stands.
    Announced(u32),
    /// The setting of the line with this number was carried out.
    Applied(u32),
    /// The line was given up, or is back.
    Gone(bool),
}

/// From the computer: a question, or a wish. Components are numbered as in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// How a component is.
    Health(u8),
    /// The first incident with this number or a later one that is remembered.
    Incident(u32),
    /// What the processor held when a component's last incarnation ended.
    Registers(u8),
    /// Knock a component over, in the way with this [`Knock::code`](koboshi_core::knock::Knock::code).
    Knock(u8, u8),
    /// Give a component a turn.
    Wake(u8),
    /// End a component's incarnation.
    End(u8),
    /// Start a component that was stopped or given up.
    Start(u8),
    /// Put the version before in a component's place.
    Back(u8),
}

/// To the computer: one answer to each [`Ask`], in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time, and nothing here allocates")]
pub enum Told {
    /// How it is.
    Health(Health),
    /// The incident, and the board's time, in nanoseconds.
    Incident(u64, Option<Incident>),
    /// The registers, if they are known.
    Registers(Option<Registers>),
    /// It was done, or is about to be.
    Done,
    /// The kernel refused: the console has no right to do it, or there is no such component.
    Denied,
    /// The component is in no state for it.
    NotNow(State),
}

/// From the computer: a step on the way of a package, as [`loading`] has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bring {
    /// A package comes.
    Begin(loading::Package),
    /// Bytes of it.
    Piece(loading::Piece),
    /// It is whole.
    Swap(loading::Package),
    /// Why it was refused, from this byte on.
    Words(u16),
}

/// To the computer: one answer to each [`Bring`], in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Brought {
    /// So many bytes of it are here.
    Here(Result<u32, loading::Unable>),
    /// Whether the swap was asked for. What becomes of it then is in the record of incidents.
    Swap(Result<(), loading::Refused>),
    /// A part of a text.
    Words(loading::Words),
    /// Nobody knows what became of it: the loader was ended meanwhile, or does not answer.
    Unknown,
    /// The image has no loader, or it was given up.
    Nobody,
}

/// How a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The board's time, in nanoseconds since boot.
    pub now: u64,
    /// Where it is in its life.
    pub state: State,
    /// Its incarnation.
    pub epoch: u32,
    /// Its version is on probation.
    pub on_probation: bool,
    /// How often it was started since the image booted.
    pub starts: u32,
    /// What ended its last incarnation.
    pub fault: Option<Fault>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is in the channel.
    Whole,
    /// It has no room yet. Nothing was written.
    NoRoom,
    /// It is longer than a message may be, and never has room.
    TooLong,
}

/// A message as it stands in a channel: behind its length. `None`: it is longer than a message may be.
pub fn framed<'r>(message: &impl Serialize, room: &'r mut [u8; LONGEST + 2]) -> Option<&'r [u8]> {
    let length = postcard::to_slice(message, room.get_mut(2..)?).ok()?.len();
    let [low, high] = (length as u16).to_le_bytes();
    room[0] = low;
    room[1] = high;
    room.get(..length + 2)
}

/// Writes a message, if there is room for all of it.
///
/// # Errors
/// As [`Link::write`] has it: nothing was written then.
pub fn send<const W: usize>(
    link: &mut Link<W>,
    channel: Channel,
    message: &impl Serialize,
) -> Result<Sent, NewSession> {
    let mut room = [0; LONGEST + 2];
    let Some(whole) = framed(message, &mut room) else { return Ok(Sent::TooLong) };
    if link.room(channel) < whole.len() {
        return Ok(Sent::NoRoom);
    }
    link.write(channel, whole).map(|_| Sent::Whole)
}

/// Puts messages together from what comes over a channel.
#[derive(Debug, Default)]
pub struct Assembly {
    found: Vec<u8, { LONGEST + 2 }>,
    /// Messages that were too long, and so no messages: the other end breaks a rule.
    pub refused: u32,
}

impl Assembly {
    /// The next message is whole.
    ///
    /// # Errors
    /// [`NewSession`] where one begins; what there was of a message is dropped.
    pub fn fill<const W: usize>(&mut self, link: &mut Link<W>, channel: Channel) -> Result<bool, NewSession> {
        loop {
            let missing = match self.length() {
                Some(length) if length > LONGEST => {
                    // Where the next one begins nobody can tell: what has come is thrown away.
                    self.refused = self.refused.wrapping_add(1);
                    self.found.clear();
                    continue;
                }
                Some(length) => length + 2 - self.found.len(),
                None => 2 - self.found.len(),
            };
            if missing == 0 {
                return Ok(true);
            }
            // Room for a part is made only where there is one.
            if !link.is_readable(channel) {
                return Ok(false);
            }
            let mut part = [0; LONGEST];
            let Some(room) = part.get_mut(..missing.min(LONGEST)) else { return Ok(false) };
            match link.read(channel, room) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    let _fits = self.found.extend_from_slice(room.get(..count).unwrap_or(&[]));
                }
                Err(new) => {
                    self.found.clear();
                    return Err(new);
                }
            }
        }
    }

    fn length(&self) -> Option<usize> {
        match self.found.as_slice() {
            [low, high, ..] => Some(u16::from_le_bytes([*low, *high]).into()),
            _ => None,
        }
    }

    /// The message that [`Assembly::fill`] has found; `None`: it is none of these.
    #[must_use]
    pub fn message<'a, T: Deserialize<'a>>(&'a self) -> Option<T> {
        postcard::from_bytes(self.found.get(2..)?).ok()
    }

    /// Done with it.
    pub fn next(&mut self) {
        self.found.clear();
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use koboshi_link::{Instant, Session, Timing};
    use std::vec::Vec;

    use super::*;

    fn exchange(one: &mut Link<64>, other: &mut Link<64>) {
        for _ in 0..20 {
            let mut room = [0; 200];
            let count = one.transmit(&mut room, Instant::from_ticks(0));
            other.receive(&room[..count]);
            let count = other.transmit(&mut room, Instant::from_ticks(0));
            one.receive(&room[..count]);
        }
    }

    fn joined() -> (Link<64>, Link<64>) {
        let timing = Timing::of_line(115_200);
        let (mut one, mut other) = (Link::new(Session(1), timing), Link::new(Session(1), timing));
        exchange(&mut one, &mut other);
        (one, other)
    }

    #[test]
    fn messages_arrive_whole_and_in_order_though_none_fits_into_the_window_at_once_with_the_next() {
        let (mut one, mut other) = joined();
        let mut found = Assembly::default();
        let mut arrived = Vec::new();
        let mut sent = 0;
        while arrived.len() < 30 {
            while sent < 30 && send(&mut one, Channel::Application, &FromProgram::Bytes(&[sent; 40])) == Ok(Sent::Whole)
            {
                sent += 1;
            }
            exchange(&mut one, &mut other);
            while found.fill(&mut other, Channel::Application) == Ok(true) {
                let Some(FromProgram::Bytes(bytes)) = found.message() else { panic!("no bytes: {found:?}") };
                assert!(bytes.len() == 40 && bytes.iter().all(|byte| *byte == bytes[0]));
                arrived.push(bytes[0]);
                found.next();
            }
        }
        assert_eq!(arrived, (0..30).collect::<Vec<u8>>());
    }

    #[test]
    fn a_message_that_has_no_room_is_not_begun() {
        let (mut one, _) = joined();
        assert_eq!(send(&mut one, Channel::Control, &FromProgram::Bytes(&[1; 40])), Ok(Sent::Whole));
        let room = one.room(Channel::Control);
        assert_eq!(send(&mut one, Channel::Control, &FromProgram::Bytes(&[2; 40])), Ok(Sent::NoRoom));
        assert_eq!(send(&mut one, Channel::Control, &FromProgram::Bytes(&[2; LONGEST])), Ok(Sent::TooLong));
        assert_eq!(one.room(Channel::Control), room);
    }

    #[test]
    fn half_a_message_of_a_session_that_is_over_is_dropped() {
        let (mut one, mut other) = joined();
        assert_eq!(one.write(Channel::Control, &[20, 0, 1, 2, 3]), Ok(5));
        exchange(&mut one, &mut other);
        let mut found = Assembly::default();
        assert_eq!(found.fill(&mut other, Channel::Control), Ok(false));
        let mut one = Link::new(Session(2), Timing::of_line(115_200));
        exchange(&mut one, &mut other);
        assert_eq!(send(&mut one, Channel::Control, &Ask::Health(7)), Ok(Sent::Whole));
        exchange(&mut one, &mut other);
        assert!(found.fill(&mut other, Channel::Control).is_err(), "the new session is told of");
        assert_eq!(found.fill(&mut other, Channel::Control), Ok(true));
        assert_eq!(found.message(), Some(Ask::Health(7)));
    }

    #[test]
    fn the_longest_answer_is_a_message() {
        use koboshi_core::incident::{CutShort, Noticed, Successor, Swapped, Verdict};
        use koboshi_core::place::Place;
        use koboshi_core::record::{Fate, InHand, Seal};
        use koboshi_core::{ComponentId, PortId};

        let longest = u64::MAX;
        let in_hand = InHand {
            port: PortId(u16::MAX),
            position: u32::MAX,
            operation: u8::MAX,
            progress: u32::MAX,
            then: Fate::Poisoned,
        };
        let seal = Seal {
            offered_again: u32::MAX,
            interrupted: u32::MAX,
            poisoned: u32::MAX,
            blamed: true,
            progressed: true,
            in_hand: Some(in_hand),
        };
        let mut at =
            Place { pc: u32::MAX, returns_to: u32::MAX, event: u32::MAX, address: u32::MAX, ..Place::default() };
        at.panicked(&[b'a'; 32], u32::MAX);
        let incident = Incident {
            number: u32::MAX,
            component: ComponentId(u8::MAX),
            epoch: u32::MAX,
            fault: Fault::Access { address: u32::MAX },
            noticed: Noticed::Clock { called_at: longest },
            failed_at: longest,
            told: longest,
            backoff_at: Some(longest),
            started_at: Some(longest),
            up_at: Some(longest),
            answered_at: Some(longest),
            cut_short: Some((CutShort::Rebooted, longest)),
            down_since: longest,
            within: Some(longest),
            seal,
            swap: Some(Swapped { to: Successor::New, asked_at: longest, verdict: Verdict::Stays(longest) }),
            at,
        };
        let mut room = [0; LONGEST];
        let told = Told::Incident(longest, Some(incident));
        let length = postcard::to_slice(&told, &mut room).map(|told| told.len());
        assert!(length.is_ok(), "an incident has grown beyond {LONGEST} bytes");
    }

    #[test]
    fn a_length_that_no_message_has_is_refused_and_counted() {
        let (mut one, mut other) = joined();
        assert_eq!(one.write(Channel::Control, &[0xFF, 0xFF]), Ok(2));
        exchange(&mut one, &mut other);
        let mut found = Assembly::default();
        assert_eq!(found.fill(&mut other, Channel::Control), Ok(false));
        assert_eq!(found.refused, 1);
    }
}
