//! Messages out and in, as components exchange them.

use core::fmt::Write;

use heapless::{String, Vec};
use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Random, say};

const MOST: usize = 256;

/// What a port is set to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, MaxSize)]
enum Parity {
    None,
    Odd,
    Even,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, MaxSize)]
struct Setting {
    baud: u32,
    parity: Parity,
    stop: Option<u8>,
    flow: bool,
    gain: f32,
    drift: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Message {
    Nothing,
    Set(Setting),
    Name(String<24>),
    Bytes { from: u16, bytes: Vec<u8, 40> },
    Times([i64; 3]),
    Pair(u8, char),
    Deep(Option<Option<(i16, u128)>>),
    Result(Result<u32, Parity>),
    Settings(Vec<Setting, 3>),
}

/// What does not own its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Borrowed<'a> {
    text: &'a str,
    bytes: &'a [u8],
    end: (),
}

fn setting(random: &mut Random) -> Setting {
    Setting {
        baud: random.sized() as u32,
        parity: [Parity::None, Parity::Odd, Parity::Even][random.below(3) as usize],
        stop: (random.below(2) == 0).then(|| random.next() as u8),
        flow: random.below(2) == 0,
        gain: random.below(1000) as f32 / 7.0,
        drift: f64::from(random.next()) * -1e-9,
    }
}

fn message(kind: u32, random: &mut Random) -> Message {
    match kind {
        0 => Message::Nothing,
        1 => Message::Set(setting(random)),
        2 => {
            let mut name = String::new();
            for _ in 0..random.below(9) {
                let _ = name.push(['a', 'Z', '7', 'ä', 'Ж', '魂', '🦀'][random.below(7) as usize]);
            }
            Message::Name(name)
        }
        3 => {
            let length = random.below(41);
            Message::Bytes { from: random.next() as u16, bytes: (0..length).map(|_| random.next() as u8).collect() }
        }
        4 => Message::Times([random.sized() as i64, -(random.sized() as i64 >> 1), i64::MIN]),
        5 => Message::Pair(random.next() as u8, char::from_u32(random.below(0xd800)).unwrap_or('?')),
        6 => Message::Deep(match random.below(3) {
            0 => None,
            1 => Some(None),
            _ => Some(Some((random.next() as i16, u128::from(random.wide()) << 61))),
        }),
        7 => Message::Result(if random.below(2) == 0 { Ok(random.next()) } else { Err(Parity::Odd) }),
        _ => Message::Settings((0..random.below(4)).map(|_| setting(random)).collect()),
    }
}

/// Out, shown, and in again.
fn around<T: Serialize + DeserializeOwned + PartialEq + core::fmt::Debug>(value: &T, out: &mut dyn Write) {
    let mut buffer = [0; MOST];
    match postcard::to_slice(value, &mut buffer) {
        Err(error) => say!(out, "{value:?} is not written: {error:?}"),
        Ok(written) => {
            let _ = write!(out, "{}:", written.len());
            for byte in written.iter() {
                let _ = write!(out, " {byte:02x}");
            }
            match postcard::take_from_bytes::<T>(written) {
                Ok((back, rest)) => say!(out, " {} {} {back:?}", back == *value, rest.len()),
                Err(error) => say!(out, " is not read: {error}"),
            }
        }
    }
}

/// Single numbers of every kind.
pub fn numbers(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    for _ in 0..6 {
        let number = random.sized();
        around(&number, out);
        around(&(number as u8, number as i8, number as u16, number as i16), out);
        around(&(number as u32, number as i32, number as i64), out);
        around(&(u128::from(number) << random.below(64), -i128::from(number)), out);
        around(&(number as f32, number as f64, number & 1 == 0), out);
    }
    say!(out, "{} {}", Setting::POSTCARD_MAX_SIZE, <(u32, Option<Parity>)>::POSTCARD_MAX_SIZE);
}

/// Structs, enums, options, sequences.
pub fn messages(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    for kind in 0..18 {
        around(&message(kind % 9, &mut random), out);
    }
    let bytes = random.wide().to_be_bytes();
    let borrowed = Borrowed { text: "Seelenwächter 魂", bytes: &bytes, end: () };
    let mut buffer = [0; MOST];
    if let Ok(written) = postcard::to_slice(&borrowed, &mut buffer) {
        say!(out, "{:02x?} {:?}", written, postcard::from_bytes::<Borrowed<'_>>(written) == Ok(borrowed));
    }
    // Too long for it.
    let mut small = [0; 5];
    say!(out, "{:?}", postcard::to_slice(&borrowed, &mut small).map(|written| written.len()));
}

/// What was cut off or changed on its way: an error, or another message; never a panic. (Which error depends on the width of
/// `usize`.)
pub fn damaged(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    for kind in 0..9 {
        let mut buffer = [0; MOST];
        let Ok(written) = postcard::to_slice(&message(kind, &mut random), &mut buffer) else { continue };
        let length = written.len();
        say!(out, "{:?}", postcard::from_bytes::<Message>(&written[..length / 2]).ok());
        for _ in 0..4 {
            let at = random.below(length as u32) as usize;
            written[at] ^= 1 << random.below(8);
            say!(out, "{:?}", postcard::from_bytes::<Message>(written).ok());
        }
    }
}

/// Zeros taken out (COBS), and put in again.
pub fn framed(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    for kind in 0..9 {
        let value = message(kind, &mut random);
        let mut buffer = [0; MOST];
        match postcard::to_slice_cobs(&value, &mut buffer) {
            Ok(written) => {
                let zeros = written.iter().filter(|byte| **byte == 0).count();
                let _ = write!(out, "{} bytes, {zeros} zeros: {written:x?} ", written.len());
                say!(out, "{:?}", postcard::from_bytes_cobs::<Message>(written).is_ok_and(|back| back == value));
            }
            Err(error) => say!(out, "{error:?}"),
        }
    }
}
