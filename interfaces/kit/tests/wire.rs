//! Bounded bytes and text: never longer than they say, spelt as they say, and no bytes from outside do any harm.

use core::fmt::Write;

use koboshi_interface_kit::wire::{Bytes, Str, TooLong};
use koboshi_interface_kit::{Fill, MAX_MESSAGE, MaxSize, Message, decode, encode};
use proptest::prelude::*;

fn spell<T: Message>(message: &T) -> Vec<u8> {
    encode(message, &mut [0; MAX_MESSAGE]).expect("it has room").to_vec()
}

proptest! {
    #[test]
    fn bytes_come_back_as_they_went(bytes in proptest::collection::vec(any::<u8>(), 0..=44)) {
        let held = Bytes::<44>::try_from(&bytes[..]).expect("it fits");
        let spelt = spell(&held);
        prop_assert_eq!(held.as_slice(), &bytes[..]);
        prop_assert!(spelt.len() <= Bytes::<44>::POSTCARD_MAX_SIZE);
        prop_assert_eq!(decode::<Bytes<44>>(&spelt), Some(held));
    }

    #[test]
    fn bytes_are_spelt_as_fill_says(bytes in proptest::collection::vec(any::<u8>(), 0..=44)) {
        let spelt = spell(&Bytes::<44>::try_from(&bytes[..]).expect("it fits"));
        let mut by_hand = <Bytes<44>>::PREFIX.to_vec();
        by_hand.push(bytes.len() as u8);
        prop_assert_eq!(by_hand.len(), <Bytes<44>>::START);
        by_hand.extend(&bytes);
        prop_assert_eq!(spelt, by_hand);
    }

    #[test]
    fn too_many_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 9..=90)) {
        prop_assert_eq!(Bytes::<8>::try_from(&bytes[..]), Err(TooLong));
        let longer = spell(&Bytes::<90>::try_from(&bytes[..]).expect("it fits"));
        prop_assert_eq!(decode::<Bytes<8>>(&longer), None);
    }

    #[test]
    fn text_comes_back_as_it_went(text in "\\PC{0,20}") {
        let held = Str::<80>::try_from(&text[..]).expect("it fits");
        prop_assert_eq!(held.as_str(), &text[..]);
        prop_assert_eq!(decode::<Str<80>>(&spell(&held)), Some(held));
    }

    #[test]
    fn written_text_is_cut_at_a_characters_edge(text in "\\PC{0,40}") {
        let mut held = Str::<16>::new();
        let fitted = held.write_str(&text).is_ok();
        prop_assert!(text.starts_with(held.as_str()));
        prop_assert_eq!(fitted, held.len() == text.len());
        prop_assert_eq!(fitted, text.len() <= 16);
        prop_assert!(fitted || held.len() > 16 - 4, "room was left for one more character");
    }

    #[test]
    fn no_bytes_from_outside_make_the_decoder_misbehave(
        bytes in proptest::collection::vec(any::<u8>(), 0..=MAX_MESSAGE)
    ) {
        if let Some(held) = decode::<Bytes<44>>(&bytes) {
            prop_assert!(held.len() <= 44);
        }
        if let Some(held) = decode::<Str<44>>(&bytes) {
            prop_assert!(held.len() <= 44);
        }
    }
}

#[test]
fn the_largest_size_is_reached_and_not_passed() {
    let full = Bytes::<96>::try_from(&[0xff; 96][..]).expect("it fits");
    assert_eq!(spell(&full).len(), Bytes::<96>::POSTCARD_MAX_SIZE);
}

#[test]
fn a_full_one_takes_no_more_and_keeps_what_it_has() {
    let mut held = Bytes::<2>::new();
    assert!(held.is_empty());
    assert_eq!(held.push(1), Ok(()));
    assert_eq!(held.extend_from_slice(&[2, 3]), Err(TooLong));
    assert_eq!(held.push(2), Ok(()));
    assert_eq!(held.push(3), Err(TooLong));
    assert_eq!(held.as_slice(), [1, 2]);
    assert_eq!(held.capacity(), held.len());
}

#[test]
fn equality_sees_what_is_held_and_not_what_was_there_before() {
    let one = Bytes::<4>::try_from(&[1][..]);
    let other = decode::<Bytes<4>>(&[1, 1]).ok_or(TooLong);
    assert_eq!(one, other);
}

#[test]
fn text_that_is_not_utf8_is_undecodable() {
    assert_eq!(decode::<Str<8>>(&[2, 0xc3, 0x28]), None);
}

#[test]
fn left_over_bytes_make_the_whole_undecodable() {
    assert_eq!(decode::<Bytes<8>>(&[1, 7]).map(|held| held.as_slice() == [7]), Some(true));
    assert_eq!(decode::<Bytes<8>>(&[1, 7, 0]), None);
    assert_eq!(decode::<()>(&[0]), None);
}

#[test]
fn they_show_what_they_hold() {
    assert_eq!(format!("{:?}", Bytes::<8>::try_from(&b"a\n\xff"[..]).unwrap()), r#"b"a\n\xff""#);
    let text = Str::<8>::try_from("d\u{e9}").unwrap();
    assert_eq!(format!("{text:?} {text}"), "\"d\u{e9}\" d\u{e9}");
}
