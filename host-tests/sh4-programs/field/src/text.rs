//! Formatting, parsing, characters.

use core::fmt::{self, Write};
use core::net::{Ipv4Addr, Ipv6Addr};
use core::num::NonZeroU16;
use core::time::Duration;

use heapless::String;

use crate::{Random, say};

/// Integers of every width, in every way.
pub fn integers(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    for number in [0, 1, u64::MAX, i64::MIN as u64, random.sized(), random.sized(), random.wide()] {
        say!(out, "{number} {number:x} {number:X} {number:o} {number:b} {number:e} {number:E}");
        say!(out, "{} {:x} {:#b} {:#010x} {:+}", number as i8, number as i8, number as u8, number as i8, number as i8);
        say!(
            out,
            "{} {:x} {:#o} {:08} {:+}",
            number as i16,
            number as i16,
            number as u16,
            number as i16,
            number as u16
        );
        say!(
            out,
            "{} {:x} {:#X} {:012} {:+}",
            number as i32,
            number as i32,
            number as u32,
            number as i32,
            number as u32
        );
        say!(out, "{} {:x} {:#x} {:022} {:+}", number as i64, number as i64, number, number as i64, number as i64);
        say!(out, "{} {:#x} {:e}", u128::from(number) * 0x1_0000_0001, i128::from(number as i64), number as i32);
        say!(out, "{:?} {:#?} {:x?} {:#X?}", number as i8, number, number as u16, number as i32);
    }
}

/// Width, precision, fill, alignment.
pub fn padding(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    for _ in 0..4 {
        let (number, width, most) = (random.next() as i16, random.below(14) as usize, random.below(6) as usize);
        say!(out, "[{number:5}] [{number:<8}] [{number:^9}] [{number:>+10}] [{number:*^12}] [{number:#08x}]");
        say!(out, "[{number:width$}] [{number:<width$}] [{number:0width$}] [{number:é^+width$}]");
        say!(out, "[{:width$.most$}] [{:<width$.most$}] [{:-^3$.4$}]", "Wächter", "äöü", "魂の守り手", 12, 2);
        say!(out, "[{:7}] [{:>7?}] [{:^7}] [{:.0}]", 'ß', 'ß', true, "gone");
        say!(out, "[{:>9.2}] [{:<9.1}] [{:+09.3}] [{:e}]", f32::from(number) / 3.0, 2.25, f64::from(number), 1.5e-7);
        say!(out, "{{}} {0} {1} {0:?} {name:>4}", "a\"b", 'c', name = number);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
struct Unit;

#[derive(Debug, Clone, PartialEq, Default)]
struct Inner<'a> {
    name: &'a str,
    values: [f32; 3],
    flag: Option<bool>,
    unit: Unit,
}

#[derive(Debug, Clone, PartialEq)]
enum Tree<'a> {
    Leaf(Inner<'a>),
    Pair(&'a Tree<'a>, &'a Tree<'a>),
    Named { left: Option<&'a Tree<'a>>, weight: (u8, i64) },
    Nothing,
}

struct Shown(u32);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String<8> = (0..self.0 % 8).map(|at| char::from(b'a' + at as u8)).collect();
        match f.alternate() {
            true => f.debug_map().entry(&"a", &self.0).entry(&1, &text).finish(),
            false => f.pad(&text),
        }
    }
}

/// `Debug` of what is nested, short and long; own implementations.
pub fn structures(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    let inner =
        Inner { name: "tab\there\u{1f980}\u{7f}", values: [1.0, -0.5, random.next() as f32], ..Inner::default() };
    let leaf = Tree::Leaf(inner.clone());
    let named = Tree::Named { left: Some(&leaf), weight: (random.next() as u8, -(random.sized() as i64 >> 1)) };
    let nothing = Tree::Nothing;
    let pair = Tree::Pair(&named, &nothing);
    for tree in [&leaf, &named, &pair] {
        say!(out, "{tree:?}\n{tree:#?}\n{tree:#x?}");
    }
    for number in 0..4 {
        let shown = Shown(random.next() ^ number);
        say!(out, "[{shown}] [{shown:>9}] [{shown:.2}] [{shown:#}] {}", shown.0 % 8);
    }
    let error: Result<Unit, Inner<'_>> = Err(inner);
    say!(out, "{error:?} {:?} {:?}", Some(Some(Unit)), ((), (1,), [[1u8; 2]; 2], "x", 'y', &mut 5i8));
    say!(out, "{:?} {:?} {:?}", Duration::from_nanos(random.sized()), Duration::from_millis(1500), Unit.cmp(&Unit));
    say!(out, "{} {}", Ipv4Addr::from(random.next()), Ipv6Addr::from(u128::from(random.wide()) << 40));
    say!(out, "{:?} {:?} {:?}", 1..5, ..=7u8, core::cmp::Ordering::Less);
    say!(out, "{}", format_args!("{:>1$}", format_args!("{}", "inside"), 3));
}

/// Numbers out of text, right and wrong.
pub fn parsing(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    let texts = [
        "0",
        "-1",
        "+17",
        "255",
        "256",
        "-128",
        "-129",
        "65535",
        "4294967295",
        "4294967296",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "",
        "-",
        "+",
        " 1",
        "1 ",
        "0x10",
        "1e3",
        "٣",
        "340282366920938463463374607431768211455",
    ];
    for text in texts {
        say!(out, "{text}: {:?} {:?} {:?}", text.parse::<u8>(), text.parse::<i8>(), text.parse::<u16>());
        say!(out, "  {:?} {:?} {:?}", text.parse::<u32>(), text.parse::<i64>(), text.parse::<u64>());
        say!(out, "  {:?} {:?} {:?}", text.parse::<u128>(), text.parse::<i128>(), text.parse::<NonZeroU16>());
    }
    for _ in 0..8 {
        let (number, radix) = (random.sized(), random.below(35) + 2);
        let mut text: String<24> = String::new();
        let _ = write!(text, "{number:x}");
        say!(out, "{number} {:?} {:?}", u64::from_str_radix(&text, 16), i64::from_str_radix(&text, radix).ok());
    }
    say!(out, "{:?} {:?} {:?}", "true".parse::<bool>(), "True".parse::<bool>(), "ab".parse::<char>());
    say!(out, "{:?} {:?}", "10.0.255.3".parse::<Ipv4Addr>(), "fe80::1:2".parse::<Ipv6Addr>());
    let line = "set  baud=115200,parity = even ;stop=1;;";
    for (at, part) in line.split([',', ';']).enumerate() {
        let (key, value) = part.split_once('=').map_or((part, None), |(key, value)| (key, Some(value.trim())));
        say!(
            out,
            "{at} {:?} {value:?} {:?}",
            key.split_whitespace().last(),
            value.and_then(|value| value.parse::<u32>().ok())
        );
    }
}

/// Characters, and bytes that are UTF-8 or not.
pub fn characters(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    let text = "Grüße, Wächter! 魂 🦀\t\"q\" é\u{301} \u{0}";
    say!(out, "{} {} {text:?}", text.len(), text.chars().count());
    for (at, letter) in text.char_indices() {
        let kind = (
            letter.is_alphabetic(),
            letter.is_numeric(),
            letter.is_whitespace(),
            letter.is_control(),
            letter.is_uppercase(),
        );
        let upper: String<16> = letter.to_uppercase().collect();
        say!(
            out,
            "{at} {} {letter:?} {} {kind:?} {upper} {}",
            letter as u32,
            letter.len_utf8(),
            letter.escape_unicode()
        );
    }
    say!(out, "{:?}", text.bytes().rev().take(20).collect::<heapless::Vec<u8, 20>>());
    say!(out, "{:?} {:?} {:?}", text.find('W'), text.rfind("e"), text.strip_prefix("Grü"));
    say!(out, "{:?} {:?}", text.get(2..4), text.get(3..4));
    say!(out, "{} {:?}", text.contains("魂 "), text.trim_matches(|letter: char| !letter.is_ascii()));
    let utf16: heapless::Vec<u16, 40> = text.encode_utf16().collect();
    say!(out, "{utf16:x?} {:?}", char::decode_utf16(utf16.iter().copied()).filter_map(Result::ok).eq(text.chars()));
    for _ in 0..20 {
        let mut bytes: heapless::Vec<u8, 24> = text.as_bytes()[..23].iter().copied().collect();
        bytes[random.below(23) as usize] = random.next() as u8;
        match core::str::from_utf8(&bytes) {
            Ok(text) => say!(out, "{text:?}"),
            Err(error) => say!(out, "{error} {:?} {:?}", error.valid_up_to(), error.error_len()),
        }
        for chunk in bytes.utf8_chunks() {
            say!(out, "  {:?} {:x?}", chunk.valid(), chunk.invalid());
        }
    }
    say!(out, "{:?}", (0..9).map(|_| char::from_u32(random.below(0x11_2000))).collect::<heapless::Vec<_, 9>>());
    say!(out, "{:?} {:?} {:?}", 'z'.to_digit(36), char::from_digit(11, 16), 'Σ'.to_lowercase().next());
}
