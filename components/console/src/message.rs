//! What travels over the link's channels: postcard messages, each behind its length in two bytes, the lower one first.
//!
//! Rule: a message goes into a channel whole or not at all; so after a new session a reader begins with a message.

use heapless::Vec;
use koboshi_core::incident::Incident;
use koboshi_core::life::{Fault, State};
use koboshi_core::place::Registers;
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
        /// Bits per second.
        baud: u32,
        /// As the device has it.
        framing: u32,
    },
    /// It sends a break of so many milliseconds.
    Break(u32),
}

/// To the computer: what the program is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToProgram<'a> {
    /// Bytes from the line.
    Bytes(&'a [u8]),
    /// An announcement, as the Monitor numbers them, between the bytes where it stands.
    Announced(u32),
    /// So many settings of the line were carried out.
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

/// How a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The board's time, in nanoseconds since boot.
    pub now: u64,
    /// Where it is in its life.
    pub state: State,
    /// Its incarnation.
    pub epoch: u32,
    /// How often it was started since the image booted.
    pub starts: u32,
    /// What ended its last incarnation.
    pub fault: Option<Fault>,
}

/// Writes a message, if there is room for all of it: true if there was.
///
/// # Errors
/// As [`Link::write`] has it: nothing was written then.
pub fn send<const W: usize>(
    link: &mut Link<W>,
    channel: Channel,
    message: &impl Serialize,
) -> Result<bool, NewSession> {
    let mut room = [0; LONGEST + 2];
    let Some(body) = room.get_mut(2..) else { return Ok(false) };
    let Ok(length) = postcard::to_slice(message, body).map(|body| body.len()) else { return Ok(false) };
    let [low, high] = (length as u16).to_le_bytes();
    room[0] = low;
    room[1] = high;
    let Some(whole) = room.get(..length + 2) else { return Ok(false) };
    if link.room(channel) < whole.len() {
        return Ok(false);
    }
    link.write(channel, whole).map(|taken| taken == whole.len())
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
            while sent < 30 && send(&mut one, Channel::Application, &FromProgram::Bytes(&[sent; 40])) == Ok(true) {
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
        assert_eq!(send(&mut one, Channel::Control, &FromProgram::Bytes(&[1; 40])), Ok(true));
        let room = one.room(Channel::Control);
        assert_eq!(send(&mut one, Channel::Control, &FromProgram::Bytes(&[2; 40])), Ok(false));
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
        assert_eq!(send(&mut one, Channel::Control, &Ask::Health(7)), Ok(true));
        exchange(&mut one, &mut other);
        assert!(found.fill(&mut other, Channel::Control).is_err(), "the new session is told of");
        assert_eq!(found.fill(&mut other, Channel::Control), Ok(true));
        assert_eq!(found.message(), Some(Ask::Health(7)));
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
