//! Bytes of channels between two ends that live.

use std::println;
use std::vec::Vec;

use proptest::prelude::*;

use super::line::Faults;
use super::world::{Habits, STEP, STEP_BYTES, World};
use crate::flaw::Flaw;
use crate::{Channel, Instant, Link, Session, Timing, Wake};

/// All that a line can do, up to once in 250 bytes each: then hardly every second frame arrives whole.
pub(super) fn faults() -> impl Strategy<Value = Faults> {
    (0..400_u32, 0..400_u32, 0..400_u32, 0..400_u32, 0..50_u32, 0..100_u32)
        .prop_map(|(drop, repeat, flip, insert, pause, death)| Faults { drop, repeat, flip, insert, pause, death })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn all_channels_are_exact_on_a_line_that_does_everything_to_bytes(seed: u64, faults in faults(), stall in 0..300_u32) {
        let habits = Habits { stall, ..Habits::default() };
        World::<512>::new(seed, faults, habits, None).run(4_000).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn positions_go_round_the_corner_without_anybody_noticing(seed: u64, faults in faults(), before in 0..2_000_u32) {
        let mut world = World::<512>::new(seed, faults, Habits::default(), None);
        world.begin_at(u32::MAX - before);
        world.run(4_000).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn a_window_smaller_than_a_frame_is_enough(seed: u64, faults in faults()) {
        World::<7>::new(seed, faults, Habits::default(), None).run(2_000).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn a_line_with_faults_carries_more_than_a_quarter_of_what_it_could() {
    // One frame in four is lost at one fault in 500 bytes.
    let faults = Faults { drop: 50, repeat: 50, flip: 50, insert: 50, ..Faults::NONE };
    let mut world = World::<1024>::new(1, faults, Habits::default(), None);
    let steps = 20_000;
    for _ in 0..steps {
        world.step().unwrap();
    }
    for end in [0, 1] {
        let read: usize = Channel::ALL.into_iter().map(|channel| world.total(end, channel)).sum();
        println!(
            "with one fault in 500 bytes: {} % of the line carries bytes of channels",
            100 * read / (steps * STEP_BYTES)
        );
        assert!(read > steps * STEP_BYTES / 4, "{read} bytes of {}", steps * STEP_BYTES);
    }
}

#[test]
fn a_byte_carried_costs_an_eighth_more_on_the_line_and_a_sixth_on_the_way_back() {
    one_way::<512>();
    one_way::<2_048>();
}

fn one_way<const WINDOW: usize>() {
    let mut world = World::<WINDOW>::new(1, Faults::NONE, Habits::default(), None);
    world.writes = false;
    let wanted = 50_000;
    let (mut written, mut steps) = (0, 0);
    while world.total(1, Channel::Application) < wanted {
        let chunk = [7; STEP_BYTES * 2];
        let left = (wanted - written).min(chunk.len());
        written += world.link(0).write(Channel::Application, &chunk[..left]).unwrap();
        world.step().unwrap();
        steps += 1;
    }
    let (there, back) = (world.carried(0), world.carried(1));
    let a_second = wanted as f64 / (steps as f64 * STEP as f64 / 1e9);
    println!(
        "{wanted} bytes one way, windows of {WINDOW}: {:.3} bytes on the line for each, {:.3} back; {a_second:.0} a second of 11,520",
        there as f64 / wanted as f64,
        back as f64 / wanted as f64,
    );
    assert!(there < wanted as u64 * 9 / 8 && back < wanted as u64 / 6);
    assert!(a_second > 11_520.0 * 0.85, "the line is hardly ever idle");
    assert_eq!(world.link(0).counts().sent_again, 0, "on a good line nothing is sent twice");
}

#[test]
fn on_a_good_line_nothing_is_sent_twice_though_all_channels_send_all_they_can_both_ways() {
    let mut world = World::<512>::new(1, Faults::NONE, Habits::default(), None);
    for _ in 0..10_000 {
        world.step().unwrap();
    }
    for end in [0, 1] {
        let read: Vec<usize> = Channel::ALL.into_iter().map(|channel| world.total(end, channel)).collect();
        assert_eq!(world.link(end).counts().sent_again, 0);
        let (all, least) = (read.iter().sum::<usize>(), read.iter().min().unwrap());
        println!(
            "both ways at once: {} % of the line carries bytes of channels, {read:?}",
            100 * all / (10_000 * STEP_BYTES)
        );
        assert!(all > 10_000 * STEP_BYTES * 3 / 4 && *least > all * 9 / 10 / Channel::ALL.len(), "{read:?}");
    }
}

#[test]
fn a_channel_that_nobody_reads_holds_its_own_sender_only() {
    let mut world = World::<256>::new(5, Faults::NONE, Habits::default(), None);
    world.stall(1, Channel::Log, true);
    for _ in 0..20_000 {
        world.step().unwrap();
    }
    assert_eq!(world.total(1, Channel::Log), 0);
    assert_eq!(world.link(0).room(Channel::Log), 0, "its writer is held");
    for channel in [Channel::Application, Channel::Control, Channel::Packages] {
        let read = world.total(1, channel);
        assert!(read > 20_000 * STEP_BYTES * 2 / 9, "{channel:?} has its third of the line: {read}");
    }
    world.run(0).unwrap();
}

#[test]
fn what_waits_is_sent_by_turns() {
    let (mut one, mut other, now) = joined();
    for channel in Channel::ALL {
        assert_eq!(one.write(channel, &[channel as u8; 512]), Ok(512));
    }
    let mut bytes = [0; 2_000];
    let sent = one.transmit(&mut bytes, now);
    other.receive(&bytes[..sent]);
    for channel in Channel::ALL {
        assert!(other.is_readable(channel), "{channel:?}");
    }
}

/// Everything that both have to say now goes over at once.
pub(super) fn exchange(one: &mut Link<512>, other: &mut Link<512>, now: Instant) {
    for _ in 0..64 {
        let mut bytes = [0; 100];
        let sent = one.transmit(&mut bytes, now);
        other.receive(&bytes[..sent]);
        let sent = other.transmit(&mut bytes, now);
        one.receive(&bytes[..sent]);
    }
}

/// All that one end has to say now.
pub(super) fn said(link: &mut Link<512>, now: Instant) -> Vec<u8> {
    let mut bytes = [0; 4_000];
    let sent = link.transmit(&mut bytes, now);
    bytes[..sent].to_vec()
}

pub(super) fn new(session: u16) -> Link<512> {
    Link::new(Session(session), Timing::of_line(115_200))
}

/// Two ends that know each other.
pub(super) fn joined() -> (Link<512>, Link<512>, Instant) {
    let (mut one, mut other, now) = (new(10), new(20), Instant::from_ticks(0));
    exchange(&mut one, &mut other, now);
    assert_eq!((one.peer(), other.peer()), (Some(Session(20)), Some(Session(10))));
    (one, other, now)
}

pub(super) fn read(link: &mut Link<512>, channel: Channel) -> Vec<u8> {
    let mut bytes = [0; 600];
    let count = link.read(channel, &mut bytes).expect("the same session");
    bytes[..count].to_vec()
}

fn later(now: Instant, milliseconds: u64) -> Instant {
    Instant::from_ticks(now.as_ticks() + milliseconds * 1_000_000)
}

#[test]
fn what_comes_twice_is_read_once() {
    let (mut one, mut other, now) = joined();
    one.write(Channel::Application, b"once").unwrap();
    let frame = said(&mut one, now);
    other.receive(&frame);
    other.receive(&frame);
    assert_eq!(read(&mut other, Channel::Application), b"once");
    assert_eq!(other.counts().repeated, 1);
}

#[test]
fn what_is_lost_is_sent_again_after_the_time_for_it_and_not_before() {
    let (mut one, mut other, now) = joined();
    one.write(Channel::Application, b"lost").unwrap();
    assert!(!said(&mut one, now).is_empty());
    let Wake::At(at) = one.wake() else { panic!("{:?}", one.wake()) };
    assert_eq!(at.as_ticks() - now.as_ticks(), Timing::of_line(115_200).retry.as_ticks());
    assert!(said(&mut one, Instant::from_ticks(at.as_ticks() - 1)).is_empty());
    let again = said(&mut one, at);
    other.receive(&again);
    assert_eq!(read(&mut other, Channel::Application), b"lost");
}

#[test]
fn what_is_missing_before_later_bytes_is_sent_again_at_once() {
    let (mut one, mut other, now) = joined();
    one.write(Channel::Application, b"first").unwrap();
    drop(said(&mut one, now));
    one.write(Channel::Application, b"second").unwrap();
    let second = said(&mut one, now);
    other.receive(&second);
    assert_eq!(read(&mut other, Channel::Application), b"");
    let complaint = said(&mut other, now);
    one.receive(&complaint);
    let again = said(&mut one, now);
    other.receive(&again);
    assert_eq!(read(&mut other, Channel::Application), b"firstsecond");
}

#[test]
fn several_complaints_about_one_loss_are_one() {
    let (mut one, mut other, now) = joined();
    one.write(Channel::Application, &[1; 100]).unwrap();
    drop(said(&mut one, now));
    let mut complaints = Vec::new();
    for _ in 0..3 {
        one.write(Channel::Application, &[2; 100]).unwrap();
        let frame = said(&mut one, now);
        other.receive(&frame);
        complaints.push(said(&mut other, now));
    }
    for complaint in complaints {
        one.receive(&complaint);
        let again = said(&mut one, now);
        other.receive(&again);
    }
    assert_eq!(read(&mut other, Channel::Application).len(), 400);
    assert_eq!(one.counts().sent_again, 400);
}

#[test]
fn an_announcement_of_room_that_comes_late_takes_none_back() {
    let (mut one, mut other, now) = joined();
    one.write(Channel::Log, &[1; 512]).unwrap();
    let frames = said(&mut one, now);
    other.receive(&frames);
    let full = said(&mut other, now);
    one.receive(&full);
    assert_eq!(read(&mut other, Channel::Log).len(), 512);
    let room = said(&mut other, now);
    one.receive(&room);
    one.receive(&full);
    one.write(Channel::Log, b"more").unwrap();
    let more = said(&mut one, now);
    other.receive(&more);
    assert_eq!(read(&mut other, Channel::Log), b"more");
}

#[test]
fn an_announcement_of_room_that_is_lost_is_asked_for() {
    let (mut one, mut other, mut now) = joined();
    one.write(Channel::Log, &[1; 512]).unwrap();
    exchange(&mut one, &mut other, now);
    one.write(Channel::Log, b"more").unwrap();
    assert_eq!(one.wake(), Wake::Now, "it begins to wait");
    assert!(said(&mut one, now).is_empty(), "there is no room");
    assert_eq!(read(&mut other, Channel::Log).len(), 512);
    assert!(!said(&mut other, now).is_empty(), "it says that there is, and nobody hears it");
    now = later(now, 500);
    exchange(&mut one, &mut other, now);
    assert_eq!(read(&mut other, Channel::Log), b"more");
}

#[test]
fn a_line_that_leads_nowhere_is_written_to_ever_less() {
    let (mut one, _, now) = joined();
    one.write(Channel::Application, &[1; 512]).unwrap();
    let mut in_second = |second: u64| -> usize {
        (0..1_000).map(|millisecond| said(&mut one, later(now, second * 1_000 + millisecond)).len()).sum()
    };
    let (first, tenth) = (in_second(0), in_second(9));
    assert!(tenth < first / 2 && tenth < 500, "{first} bytes in the first second, {tenth} in the tenth");
}

#[test]
fn nothing_is_said_when_there_is_nothing_to_say() {
    let (mut one, mut other, now) = joined();
    one.write(Channel::Control, b"ps\n").unwrap();
    exchange(&mut one, &mut other, now);
    assert_eq!((one.wake(), other.wake()), (Wake::Never, Wake::Never));
    assert!(said(&mut one, later(now, 100_000)).is_empty());
}

#[test]
fn each_mistake_is_noticed_under_the_faults_that_its_rule_is_there_for() {
    let none = Faults::NONE;
    for (flaw, faults, stall) in [
        (Flaw::NoChecksum, Faults { flip: 200, ..none }, 0),
        (Flaw::NoChecksum, Faults { drop: 200, ..none }, 0),
        (Flaw::NoChecksum, Faults { death: 100, ..none }, 0),
        (Flaw::NoPositions, Faults { drop: 100, ..none }, 0),
        (Flaw::NoPositions, Faults { pause: 100, ..none }, 0),
        (Flaw::NoPositions, Faults { death: 100, ..none }, 0),
        (Flaw::NoCredit, none, 400),
        (Flaw::NoRetry, Faults { drop: 100, ..none }, 0),
        (Flaw::NoRetry, Faults { death: 100, ..none }, 0),
    ] {
        let habits = Habits { stall, ..Habits::default() };
        let run = |flaw, seed| World::<512>::new(seed, faults, habits, flaw).run(4_000);
        let noticed = (1..9).find_map(|seed| run(Some(flaw), seed).err());
        println!("{flaw:?} under {faults:?}: {noticed:?}");
        assert!(noticed.is_some(), "{flaw:?} under {faults:?}");
        (1..9).for_each(|seed| run(None, seed).expect("without it all is well"));
    }
}

#[test]
fn a_link_is_as_large_as_its_windows_and_a_kilobyte_at_most() {
    let (windows, size) = (Channel::ALL.len() * 2 * 512, size_of::<Link<512>>());
    println!("an end with windows of 512 bytes has {size} bytes");
    assert!(size < windows + 1_024);
}
