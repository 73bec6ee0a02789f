//! Frames on the line, and what is none.

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::line::Dice;
use super::streams::{joined, new, read, said};
use crate::frame::{Body, Encoded, Frame};
use crate::{Channel, Instant, Link, ON_THE_LINE, PAYLOAD, Session};

/// CRC-32/ISO-HDLC bit by bit, for it to be known twice. Its check value is 0xCBF43926, for "123456789".
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xEDB8_8320 } else { sum >> 1 })
    })
}

/// COBS as its paper has it, for it to be known twice.
fn stuff(bytes: &[u8]) -> Vec<u8> {
    let mut stuffed = vec![];
    for run in bytes.split(|byte| *byte == 0) {
        assert!(run.len() < 254, "frames are shorter");
        stuffed.push(run.len() as u8 + 1);
        stuffed.extend_from_slice(run);
    }
    stuffed
}

fn unstuff(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut plain = vec![];
    while let Some((code, rest)) = bytes.split_first() {
        let run = rest.get(..usize::from(*code) - 1)?;
        plain.extend_from_slice(run);
        bytes = &rest[run.len()..];
        if *code < 255 && !bytes.is_empty() {
            plain.push(0);
        }
    }
    Some(plain)
}

fn with_checksum(bytes: &[u8]) -> Vec<u8> {
    [bytes, &checksum(bytes).to_le_bytes()].concat()
}

fn on_the_line(frame: &Frame<'_>) -> Vec<u8> {
    let mut encoded = Encoded::new();
    encoded.write(frame, false);
    let mut bytes = [0; 300];
    let length = encoded.take(&mut bytes);
    bytes[..length].to_vec()
}

/// What a link receives: frames, and stretches that are none.
fn received(bytes: &[u8]) -> (u32, u32) {
    let mut link = new(1);
    link.receive(bytes);
    (link.counts().frames + link.counts().unknown, link.counts().spoilt)
}

#[test]
fn the_checksum_is_the_one_of_the_catalogue() {
    assert_eq!(checksum(b"123456789"), 0xCBF4_3926);
}

#[test]
fn frames_stand_on_the_line_as_the_table_says() {
    let (from, to, channel) = (Session(0x0102), Session(0x0304), Channel::Control);
    let hello = Body::Hello { version: 1, heard: true };
    let data = Body::Data { channel, position: 0x0506_0708, bytes: b"ps" };
    let acknowledgement = Body::Acknowledgement { channel, position: 9, window: 0x0A0B, missing: true };
    for (body, expected) in [
        (hello, &[0x10, 2, 1, 4, 3, 1, 1][..]),
        (data, &[0x22, 2, 1, 4, 3, 8, 7, 6, 5, b'p', b's']),
        (acknowledgement, &[0x32, 2, 1, 4, 3, 9, 0, 0, 0, 0x0B, 0x0A, 1]),
    ] {
        let expected = [stuff(&with_checksum(expected)), vec![0]].concat();
        assert_eq!(on_the_line(&Frame { from, to, body }), expected, "{body:?}");
    }
}

#[test]
fn the_longest_frame_fits() {
    for fill in [0, 1] {
        let bytes = [fill; PAYLOAD];
        let body = Body::Data { channel: Channel::Log, position: u32::MAX, bytes: &bytes };
        let length = on_the_line(&Frame { from: Session(u16::MAX), to: Session(u16::MAX), body }).len();
        assert_eq!(length + 1, ON_THE_LINE);
    }
}

fn a_frame() -> Vec<u8> {
    let body = Body::Data { channel: Channel::Application, position: 0, bytes: b"a few bytes\0of an application" };
    on_the_line(&Frame { from: Session(1), to: Session(1), body })
}

#[test]
fn every_flipped_bit_is_noticed() {
    let frame = a_frame();
    assert_eq!(received(&frame), (1, 0));
    for bit in 0..frame.len() * 8 {
        let mut spoilt = frame.clone();
        spoilt[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(received(&spoilt).0, 0, "bit {bit}");
    }
}

#[test]
fn every_dropped_or_repeated_byte_is_noticed() {
    let frame = a_frame();
    for at in 0..frame.len() - 1 {
        let mut spoilt = frame.clone();
        spoilt.remove(at);
        assert_eq!(received(&spoilt).0, 0, "without byte {at}");
        let mut spoilt = frame.clone();
        spoilt.insert(at, frame[at]);
        assert_eq!(received(&spoilt).0, 0, "byte {at} twice");
    }
}

#[test]
fn behind_garbage_the_next_frame_but_one_is_taken_at_the_latest() {
    let (frame, mut dice) = (a_frame(), Dice(1));
    for length in 0..400 {
        let garbage: Vec<u8> = (0..length).map(|_| 1 + dice.below(255) as u8).collect();
        let (frames, _) = received(&[&garbage[..], &frame, &frame].concat());
        assert!(frames >= 1, "behind {length} bytes");
    }
}

#[test]
fn noise_while_nothing_is_sent_costs_nothing() {
    let (mut one, mut other, now) = joined();
    other.receive(b"noise");
    one.write(Channel::Application, b"heard").unwrap();
    let frame = said(&mut one, now);
    other.receive(&frame);
    assert_eq!(read(&mut other, Channel::Application), b"heard");
}

#[test]
fn bytes_without_end_are_no_frame_and_the_next_one_is() {
    let endless = vec![0xFF; 100_000];
    assert_eq!(received(&[&endless[..], &[0], &a_frame()].concat()), (1, 1));
}

#[test]
fn the_longest_frame_with_more_behind_it_is_none() {
    let data = [&[0x21, 1, 0, 1, 0, 0, 0, 0, 0][..], &[7; PAYLOAD]].concat();
    let line = |bytes: &[u8]| [stuff(bytes), vec![0]].concat();
    assert_eq!(received(&line(&with_checksum(&data))), (1, 0));
    assert_eq!(received(&line(&[with_checksum(&data), vec![7]].concat())), (0, 1));
}

#[test]
fn an_end_that_writes_frames_otherwise_is_not_talked_to() {
    let mut link = new(1);
    let body = Body::Hello { version: 2, heard: false };
    link.receive(&on_the_line(&Frame { from: Session(5), to: Session(1), body }));
    assert_eq!((link.peer(), link.counts().unknown), (None, 1));
}

/// Bytes as a spoilt line may carry them: whole frames with anything in them, and anything.
fn anything() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(0), 1 => 0..4_u8], 0..200);
    let frame = prop::collection::vec(prop_oneof![any::<u8>(), Just(0x10), Just(0x21), Just(0x31), 0..3_u8], 0..140)
        .prop_map(|bytes| [stuff(&with_checksum(&bytes)), vec![0]].concat());
    let sessions = (1..3_u16, 0..3_u16, 1..4_u8, 0..4_u8, prop::collection::vec(any::<u8>(), 0..20)).prop_map(
        |(from, to, kind, channel, body)| {
            let head = [&[kind << 4 | channel][..], &from.to_le_bytes(), &to.to_le_bytes(), &body].concat();
            [stuff(&with_checksum(&head)), vec![0]].concat()
        },
    );
    prop::collection::vec(prop_oneof![bytes, frame, sessions], 0..20).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn whatever_is_received_nobody_panics_and_only_right_checksums_count(bytes in anything(), cut in 1..50_usize) {
        let mut link = Link::<512>::new(Session(1), crate::Timing::of_line(9_600));
        let (mut now, mut out, mut read) = (0, [0; 64], [0; 64]);
        for part in bytes.chunks(cut) {
            link.receive(part);
            link.transmit(&mut out, Instant::from_ticks(now));
            for channel in Channel::ALL {
                let _ = link.write(channel, &[1; 3]);
                let _ = link.read(channel, &mut read);
            }
            now += 40_000_000;
        }
        let right = bytes.split_inclusive(|byte| *byte == 0).filter(|part| part.last() == Some(&0)).filter_map(|part| {
            unstuff(&part[..part.len() - 1])
        });
        // What is longer than any frame is none either.
        let right = right.filter(|plain| plain.len() >= 4 && plain.len() <= PAYLOAD + 13).filter(|plain| {
            let (covered, sum) = plain.split_at(plain.len() - 4);
            checksum(covered).to_le_bytes() == sum
        });
        prop_assert_eq!(link.counts().frames + link.counts().unknown, right.count() as u32);
    }
}
