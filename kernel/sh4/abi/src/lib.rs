//! What the kernel for SH-4, its components and the composer agree on: the numbers of traps, and the page in which the
//! composer and the kernel tell a component what it is.
//!
//! Rules kept here: all values are words of 32 bits, so that the composer can write them on any machine; a component may
//! read its page and never writes it, so it can be believed.
//!
//! It must never: hold a register, or a rule of the kernel's.
#![no_std]

mod bytes;
pub mod line_end;
pub mod words;

use koboshi_core::kernel::{Command, Denied, Version};
use koboshi_core::knock::Knock;
use koboshi_core::life::{Begin, Fault, State};
use koboshi_core::sync::AtomicU32;

/// What a component asks of the kernel: `trapa #N`, arguments in r4 to r7, results in r0 and r1.
///
/// Numbers from 0x40 up are the traps of translated code: a component that gets there has panicked.
pub mod call {
    /// Rings the peers behind these ports (r4: bits), and waits until something concerns it, or until an alarm (r5: low
    /// half, r6: high half of nanoseconds). One trap for what nearly every turn ends with.
    pub const WAIT: u32 = 0;
    /// Rings the peers behind these ports (r4: bits) and goes on.
    pub const RING: u32 = 1;
    /// Platform time in nanoseconds: r0 low half, r1 high half.
    pub const NOW: u32 = 2;
    /// Acknowledges the interrupt on line r4 of the component's own.
    pub const ACKNOWLEDGE: u32 = 3;
    /// Blames the peer behind port r4 for the message at position r5, written in epoch r6. 1: it had the right to.
    pub const BLAME: u32 = 4;
    /// Writes the [`Facts`](koboshi_core::life::Facts) about component r4 to r5. An answer of [`answer`](crate::answer).
    pub const FACTS: u32 = 5;
    /// Commands about component r4: r5 is a number of [`command`](crate::command), r6 its argument.
    pub const COMMAND: u32 = 6;
    /// Writes the first [`Incident`](koboshi_core::incident::Incident) from number r4 on to r5. 1: there is one.
    pub const INCIDENT: u32 = 7;
    /// Writes the text at r4, r5 bytes long, to the log.
    pub const LOG: u32 = 8;
    /// Its `run` came back, because of the text at r4, r5 bytes long.
    pub const EXIT: u32 = 9;
    /// It panicked, in the file whose name is at r4, r5 bytes long, at line r6.
    pub const PANIC: u32 = 10;
    /// It has closed its window, and [`View::end_wanted`](crate::View::end_wanted) was set.
    pub const WINDOW_CLOSED: u32 = 11;
    /// Does nothing: what a trap costs.
    pub const NOTHING: u32 = 12;
    /// The set of components that are down: r0 low half, r1 high half.
    pub const DOWN: u32 = 13;
    /// Writes the [`Registers`](koboshi_core::place::Registers) of component r4 to r5. 1: they are known.
    pub const REGISTERS: u32 = 14;
    /// Puts the r7 bytes at r6 into the free [`room`](crate::room) of component r4, r5 bytes behind its beginning: all of them
    /// multiples of 4. An answer of [`answer`](crate::answer).
    pub const PUT: u32 = 15;
    /// The first of those that translated code makes.
    pub const TRANSLATED: u32 = 0x40;
}

/// Answers of [`call::FACTS`] and [`call::COMMAND`].
pub mod answer {
    /// Done.
    pub const DONE: u32 = 0;
    /// No such component.
    pub const UNKNOWN: u32 = 1;
    /// The caller has no such right.
    pub const RIGHT: u32 = 2;
    /// Not in the state that the component is in: this, and the number of the state.
    pub const STATE: u32 = 0x100;
}

/// Numbers of commands; a fault's number is its [`code`](koboshi_core::life::Fault::code).
pub mod command {
    /// Start one that is not alive.
    pub const START: u32 = 0;
    /// End its incarnation; the argument is the fault.
    pub const END: u32 = 1;
    /// The same, on the account of a peer: the fault, and the port in bits 8 to 15.
    pub const END_REPORTED: u32 = 2;
    /// Stop it on purpose.
    pub const STOP: u32 = 3;
    /// It will be started later.
    pub const BACK_OFF: u32 = 4;
    /// It will not be started again.
    pub const GIVE_UP: u32 = 5;
    /// Reboot the image.
    pub const REBOOT: u32 = 6;
    /// Knock it over; the argument is the [`code`](koboshi_core::knock::Knock::code) of how. Unknown in images without that.
    pub const KNOCK: u32 = 7;
    /// Give it a turn.
    pub const WAKE: u32 = 8;
    /// Another version takes its place; the argument is one of [`version`](crate::version).
    pub const SWAP: u32 = 9;
}

/// Arguments of [`command::SWAP`].
pub mod version {
    /// The one that ran before.
    pub const BEFORE: u32 = 0;
    /// The new one, from whose kept state there is no way back.
    pub const NEW: u32 = 1;
    /// The new one, from whose kept state there is one.
    pub const NEW_WITH_WAY_BACK: u32 = 2;
}

/// Rooms: where a component's program is that others may take the place of. What a component reads fills the end of
/// one. What stands at its beginning tells the kernel how to begin it: [`TABLE`](room::TABLE) words.
///
/// A component sees the room that it runs from, and its variables behind it, at the same addresses whichever of its two rooms it
/// is. Bits 12 and 13 of these are those of the memory's own addresses, so each byte has one line in the caches.
pub mod room {
    /// The address behind a room, as its component sees it, where its variables begin. Nothing else of a component lies in these
    /// 512 MiB: neither memory nor registers.
    pub const SEEN_END: u32 = 0x5000_0000;
    /// Both ends of a room are multiples of this: cache lines are found by the bits below it.
    pub const COLOURS: u32 = 0x4000;
    /// Bytes of each of both stacks: the image's, the same for every program.
    pub const STACK: u32 = 0x2000;
    /// Bytes that one [`PUT`](super::call::PUT) takes at most.
    pub const MOST: u32 = 256;
    /// Words of the table.
    pub const TABLE: u32 = 4;
    /// Its word with the first instruction.
    pub const ENTRY: u32 = 0;
    /// Its word with the address of what variables are at the beginning.
    pub const INITIAL: u32 = 1;
    /// Its word with how many words of these there are.
    pub const COPIED: u32 = 2;
    /// Its word with how many words behind them are zero.
    pub const ZEROED: u32 = 3;
}

/// Bytes of a page of the MMU.
pub const PAGE: u32 = 4096;

/// Ports that a component can have: bits of a word.
pub const MAX_PORTS: usize = 32;

/// Devices that a component can have.
pub const MAX_DEVICES: usize = 8;

/// What a component is told: one page, which it reads. The first words are the kernel's, the others the composer's.
#[repr(C)]
pub struct View {
    /// The epoch of the present incarnation.
    pub epoch: AtomicU32,
    /// Why it began: a number of [`begin_in_words`].
    pub begin: AtomicU32,
    /// Its own interrupt lines that were delivered and not acknowledged, as bits.
    pub delivered: AtomicU32,
    /// Somebody ends it, and waits until it closes its window: it has to trap then.
    pub end_wanted: AtomicU32,
    /// The knock that it is to fall by, in bits 0 to 7, and above them how many there were in this incarnation. It notices a
    /// further one by that, for it cannot take one away. 0: none.
    pub knock: AtomicU32,
    /// Not 0: it must take no new requests.
    pub quiesces: AtomicU32,
    /// The address of the memory of kept state, and its words.
    pub kept: [u32; 2],
    /// The address of the configuration, and its bytes.
    pub configuration: [u32; 2],
    /// The address of the word that is not 0 while a window is open. The component writes it; the kernel clears it at a
    /// beginning.
    pub window: u32,
    /// Ports in [`View::ports`].
    pub port_count: u32,
    /// Its devices: the address of each one's first register, or the mark of a [line's end](line_end).
    pub devices: [u32; MAX_DEVICES],
    /// The line's end that it shares with another component: the address of its own half, that of the other one, and the port
    /// that rings the other component.
    pub line_end: [u32; 3],
    /// Its ports.
    pub ports: [PortView; MAX_PORTS],
}

const _: () = assert!(size_of::<View>() <= PAGE as usize);

/// What a component is told of a port. All zero: the image does not join it.
#[repr(C)]
pub struct PortView {
    /// The address of the half that the component writes, and its words.
    pub own: [u32; 2],
    /// The address of the half that the peer writes, and its words.
    pub peer: [u32; 2],
    /// Slots of the own half and the bytes of each one's payload; 0: it has none.
    pub own_slots: [u32; 2],
    /// Slots of the peer's half, likewise.
    pub peer_slots: [u32; 2],
    /// The interface's key: low half, high half.
    pub key: [u32; 2],
    /// The peer's epoch. The kernel writes it.
    pub peer_epoch: AtomicU32,
    /// The peer's state, a number of [`state_in_words`]; bit 8: what is asked of it waits while it is gone.
    pub peer_state: AtomicU32,
}

/// In [`PortView::peer_state`]: what is asked of the peer waits while it is gone.
pub const WAITS: u32 = 1 << 8;

/// The number of a state.
#[must_use]
pub const fn state_in_words(state: State) -> u32 {
    match state {
        State::Absent => 0,
        State::Starting => 1,
        State::Running => 2,
        State::Quiescing => 3,
        State::Stopped => 4,
        State::Failed => 5,
        State::Backoff => 6,
        State::GivenUp => 7,
    }
}

/// The state with this number.
#[must_use]
pub const fn state_of_words(number: u32) -> State {
    match number {
        1 => State::Starting,
        2 => State::Running,
        3 => State::Quiescing,
        4 => State::Stopped,
        5 => State::Failed,
        6 => State::Backoff,
        7 => State::GivenUp,
        _ => State::Absent,
    }
}

/// The number of a refusal, one of [`answer`].
#[must_use]
pub const fn denied_in_words(denied: Denied) -> u32 {
    match denied {
        Denied::Unknown => answer::UNKNOWN,
        Denied::Right => answer::RIGHT,
        Denied::State(state) => answer::STATE | state_in_words(state),
    }
}

/// The command with this number of [`command`] and this argument; `None`: there is no such command, or no such knock.
#[must_use]
pub fn command_of_words(number: u32, argument: u32) -> Option<Command> {
    let fault = Fault::of_code(argument as u8, 0).unwrap_or(Fault::Told);
    Some(match number {
        command::START => Command::Start,
        command::END => Command::End(fault),
        command::END_REPORTED => Command::EndReported(fault, (argument >> 8) as u8),
        command::STOP => Command::Stop,
        command::BACK_OFF => Command::BackOff,
        command::GIVE_UP => Command::GiveUp,
        command::REBOOT => Command::Reboot,
        command::KNOCK => Command::Knock(Knock::of_code(argument as u8)?),
        command::WAKE => Command::Wake,
        command::SWAP => Command::Swap(match argument {
            version::BEFORE => Version::Before,
            version::NEW | version::NEW_WITH_WAY_BACK => {
                Version::New { way_back: argument == version::NEW_WITH_WAY_BACK }
            }
            _ => return None,
        }),
        _ => return None,
    })
}

/// The number of a beginning.
#[must_use]
pub const fn begin_in_words(begin: Begin) -> u32 {
    match begin {
        Begin::Fresh => 0,
        Begin::Recovered => 1,
        Begin::Updated => 2,
    }
}

/// The beginning with this number.
#[must_use]
pub const fn begin_of_words(number: u32) -> Begin {
    match number {
        1 => Begin::Recovered,
        2 => Begin::Updated,
        _ => Begin::Fresh,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_and_beginnings_come_back_from_their_numbers() {
        for number in 0..8 {
            assert_eq!(state_in_words(state_of_words(number)), number);
        }
        for number in 0..3 {
            assert_eq!(begin_in_words(begin_of_words(number)), number);
        }
    }
}
