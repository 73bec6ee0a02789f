//! Ends that meet, lose their memory, and meet again.

use std::vec::Vec;
use std::{println, vec};

use proptest::prelude::*;

use super::line::Faults;
use super::streams::{exchange, faults, joined, new, read, said};
use super::world::{Habits, World};
use crate::flaw::Flaw;
use crate::{Channel, Instant, NewSession, Session, Wake};

const ENDS: Habits = Habits { stall: 100, restart: 60, first: 1 };

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_read_of_a_session_is_the_beginning_of_what_was_written_in_it(
        seed: u64, faults in faults(), stall in 0..200_u32, restart in 0..200_u32, first: u16,
    ) {
        let habits = Habits { stall, restart, first };
        World::<512>::new(seed, faults, habits, None).run(4_000).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn what_was_written_before_the_ends_met_arrives() {
    let (mut one, mut other, now) = (new(1), new(1), Instant::from_ticks(0));
    one.write(Channel::Log, b"early").unwrap();
    drop(said(&mut one, now));
    let Wake::At(again) = one.wake() else { panic!("it says hello again") };
    exchange(&mut one, &mut other, again);
    assert_eq!(read(&mut other, Channel::Log), b"early");
}

#[test]
fn a_hello_is_answered_until_the_other_end_has_heard_the_answer() {
    let (mut one, mut other, now) = (new(10), new(20), Instant::from_ticks(0));
    let hello = said(&mut one, now);
    other.receive(&hello);
    let hello = said(&mut other, now);
    one.receive(&hello);
    drop(said(&mut one, now));
    assert_eq!((one.peer(), other.peer()), (Some(Session(20)), None), "the answer was lost");
    let Wake::At(again) = other.wake() else { panic!("it says hello again") };
    let hello = said(&mut other, again);
    one.receive(&hello);
    let answer = said(&mut one, again);
    other.receive(&answer);
    assert_eq!(other.peer(), Some(Session(10)));
}

#[test]
fn an_end_that_lost_its_memory_is_announced_once_to_each_reader_behind_what_had_come() {
    let (mut one, mut other, now) = joined();
    for channel in Channel::ALL {
        one.write(channel, b"old").unwrap();
    }
    exchange(&mut one, &mut other, now);
    let mut one = new(11);
    for channel in Channel::ALL {
        one.write(channel, b"new").unwrap();
    }
    exchange(&mut one, &mut other, now);
    let mut bytes = [0; 10];
    for channel in Channel::ALL {
        assert_eq!(read(&mut other, channel), b"old");
        assert_eq!(other.read(channel, &mut bytes), Err(NewSession { dropped: 0 }));
        assert_eq!(read(&mut other, channel), b"new");
    }
    assert_eq!(other.counts().sessions, 2);
}

#[test]
fn an_end_that_lost_its_memory_is_announced_once_to_each_writer_with_what_may_be_lost() {
    let (mut one, mut other, now) = joined();
    for channel in Channel::ALL {
        other.write(channel, b"arrives").unwrap();
    }
    exchange(&mut one, &mut other, now);
    for channel in Channel::ALL {
        other.write(channel, b"lost").unwrap();
    }
    let mut one = new(11);
    exchange(&mut one, &mut other, now);
    for channel in Channel::ALL {
        assert_eq!(other.write(channel, b"new"), Err(NewSession { dropped: 4 }));
        assert_eq!(other.write(channel, b"new"), Ok(3));
    }
    exchange(&mut one, &mut other, now);
    for channel in Channel::ALL {
        assert_eq!(read(&mut one, channel), b"new");
    }
}

#[test]
fn of_sessions_that_came_and_went_unread_the_reader_learns_how_much_it_was() {
    let (_, mut other, now) = joined();
    for session in 11..14 {
        let mut one = new(session);
        one.write(Channel::Log, b"seven b").unwrap();
        exchange(&mut one, &mut other, now);
    }
    let mut bytes = [0; 10];
    assert_eq!(other.read(Channel::Log, &mut bytes), Err(NewSession { dropped: 14 }));
    assert_eq!(read(&mut other, Channel::Log), b"seven b");
}

#[test]
fn a_board_that_begins_with_the_same_number_each_time_is_known_for_a_new_one() {
    let mut desk = new(500);
    let mut sessions = Vec::new();
    for life in 0..3_u64 {
        let (mut board, now) = (new(1), Instant::from_ticks(life));
        exchange(&mut board, &mut desk, now);
        sessions.push(board.session());
        assert_eq!(desk.peer(), Some(board.session()));
        assert_eq!(board.peer(), Some(desk.session()));
    }
    assert_eq!(sessions, [Session(1), Session(2), Session(3)]);
    assert_eq!(desk.counts().sessions, 3);
}

#[test]
fn an_end_whose_number_lies_behind_takes_one_that_lies_ahead() {
    for (before, wants, gets) in [(700, 3, 701), (65_535, 65_000, 1), (3, 65_000, 4), (1, 0x8001, 2), (65_000, 3, 3)] {
        let (mut desk, now) = (new(500), Instant::from_ticks(0));
        exchange(&mut new(before), &mut desk, now);
        let mut board = new(wants);
        exchange(&mut board, &mut desk, now);
        assert_eq!((board.session(), desk.peer()), (Session(gets), Some(Session(gets))), "{wants} after {before}");
    }
}

#[test]
fn both_ends_may_lose_their_memory_at_once() {
    let (mut one, _, now) = joined();
    one.write(Channel::Control, b"old").unwrap();
    let on_the_line = said(&mut one, now);
    let (mut one, mut other) = (new(1), new(1));
    other.receive(&on_the_line);
    one.write(Channel::Control, b"new").unwrap();
    exchange(&mut one, &mut other, now);
    assert_eq!(read(&mut other, Channel::Control), b"new");
}

/// What the new life of an end reads after a frame for the one before has come late; and what it has counted.
fn late_for_a_life(flaw: Option<Flaw>) -> (Vec<u8>, u32) {
    let (mut one, _, now) = joined();
    one.write(Channel::Application, b"for the old one").unwrap();
    let late = said(&mut one, now);
    let mut other = new(21);
    other.flaws.0 = flaw;
    exchange(&mut one, &mut other, now);
    other.receive(&late);
    (read(&mut other, Channel::Application), other.counts().foreign)
}

#[test]
fn bytes_for_a_life_that_is_over_are_not_taken() {
    assert_eq!(late_for_a_life(None), (vec![], 1));
    assert_eq!(late_for_a_life(Some(Flaw::NoSessions)), (b"for the old one".to_vec(), 0), "it would be noticed");
}

#[test]
fn a_hello_that_comes_late_or_twice_changes_nothing() {
    let (mut one, mut other, now) = (new(10), new(20), Instant::from_ticks(0));
    let hello = said(&mut one, now);
    other.receive(&hello);
    exchange(&mut one, &mut other, now);
    one.write(Channel::Application, b"still ").unwrap();
    exchange(&mut one, &mut other, now);
    other.receive(&hello);
    exchange(&mut one, &mut other, now);
    one.write(Channel::Application, b"the same").unwrap();
    exchange(&mut one, &mut other, now);
    assert_eq!(read(&mut other, Channel::Application), b"still the same");
    assert_eq!((one.counts().sessions, other.counts().sessions), (1, 1));
}

#[test]
fn each_mistake_about_sessions_is_noticed_when_ends_begin_anew() {
    let run = |flaw, seed| World::<512>::new(seed, Faults { pause: 100, ..Faults::NONE }, ENDS, flaw).run(4_000);
    for flaw in [Flaw::NoSessions, Flaw::SilentRestart] {
        let noticed = (1..9).find_map(|seed| run(Some(flaw), seed).err());
        println!("{flaw:?}: {noticed:?}");
        assert!(noticed.is_some(), "{flaw:?}");
    }
    (1..9).for_each(|seed| run(None, seed).expect("without them all is well"));
}
