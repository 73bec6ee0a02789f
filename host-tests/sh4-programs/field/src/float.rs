//! Floating-point numbers: computed, converted, printed, parsed. (Which NaN a NaN is, and which of two zeros is
//! the lesser, is left open.)

use core::fmt::Write;

use heapless::String;

use crate::{Random, say};

const DOUBLES: [f64; 20] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.1,
    1.0 / 3.0,
    1e-300,
    1e300,
    f64::MIN_POSITIVE,
    5e-324,
    f64::MAX,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    0.5,
    2.5,
    4503599627370497.5,
    -2147483648.5,
    9007199254740993.0,
    1e21,
];

/// Its bits, where they say something.
fn bits(number: f64) -> u64 {
    if number.is_nan() { 0x7ff8 << 48 } else { number.to_bits() }
}

fn single_bits(number: f32) -> u32 {
    if number.is_nan() { 0x7fc0 << 16 } else { number.to_bits() }
}

fn numbers(random: &mut Random) -> [f64; 26] {
    let mut numbers = [0.0; 26];
    numbers[..20].copy_from_slice(&DOUBLES);
    // Of any size; then of a usual one.
    numbers[20..23].fill_with(|| f64::from_bits(random.wide()));
    numbers[23..].fill_with(|| random.next() as i32 as f64 / 1024.0);
    numbers
}

/// `f64`.
pub fn arithmetic(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    let numbers = numbers(&mut random);
    for a in numbers {
        for b in numbers {
            let computed = [a + b, a - b, a * b, a / b, a % b, a.min(b) + 0.0, a.max(b) + 0.0, a.copysign(b)];
            say!(out, "{:x?} {:?} {:?}", computed.map(bits), a.partial_cmp(&b), a.total_cmp(&b));
        }
        let one = [-a, a.abs(), a.signum(), a.recip(), a.to_degrees(), a.clamp(-2.0, 2.0)];
        say!(out, "{:x?} {:?} {} {}", one.map(bits), a.classify(), a.is_sign_negative(), a.is_nan());
    }
}

/// `f32`.
pub fn singles(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    let numbers = numbers(&mut random).map(|number| number as f32);
    for a in numbers {
        for b in numbers {
            let computed = [a + b, a - b, a * b, a / b, a % b, a.min(b) + 0.0, a.max(b) + 0.0, a.copysign(b)];
            say!(out, "{:x?} {:?} {:?}", computed.map(single_bits), a.partial_cmp(&b), a.total_cmp(&b));
        }
        say!(out, "{:x} {:x} {:?}", bits(a.into()), single_bits(-a), a.classify());
    }
    let mut sum = 0.0f32;
    for step in 1..400 {
        sum += 1.0 / (step * step) as f32;
    }
    say!(out, "{sum} {:x}", sum.to_bits());
}

/// From and to integers, saturating.
pub fn conversions(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    let ends = [
        127.9,
        128.0,
        -128.9,
        -129.0,
        255.5,
        256.0,
        65535.9,
        65536.0,
        2147483647.0,
        2147483648.0,
        -2147483649.0,
        4294967295.9,
        4294967296.0,
        9223372036854774784.0,
        9223372036854775808.0,
        -9223372036854775808.0,
        -9223372036854777856.0,
        18446744073709549568.0,
        18446744073709551616.0,
        -0.9,
        -1.0,
        0.9999999,
    ];
    for number in numbers(&mut random).into_iter().chain(ends) {
        say!(out, "{} {} {} {}", number as i8, number as u8, number as i16, number as u16);
        say!(out, "{} {} {} {}", number as i32, number as u32, number as i64, number as u64);
        let single = number as f32;
        say!(out, "{} {} {} {} {}", number as u128, single as i32, single as u32, single as i64, single as u64);
        say!(out, "{:x} {:x}", single_bits(single), bits(single.into()));
    }
    for _ in 0..20 {
        let number = random.sized();
        let doubles = [number as f64, number as i64 as f64, number as u32 as f64, number as i32 as f64];
        let singles = [number as f32, number as i64 as f32, number as u32 as f32, number as i32 as f32];
        say!(out, "{:x?} {:x?}", doubles.map(bits), singles.map(single_bits));
        say!(out, "{:x?}", bits(f64::from(number as i16) + f64::from(number as u8)));
    }
}

/// As text.
pub fn printed(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    for number in numbers(&mut random) {
        let single = number as f32;
        say!(out, "{number} {number:?} {number:e} {number:E} {single} {single:?} {single:e}");
        say!(out, "{number:.0} {number:.3} {number:+.17} {number:10.2e} {single:.9} {single:08.2}");
    }
    for _ in 0..20 {
        let number = f64::from_bits(random.wide());
        let single = f32::from_bits(random.next());
        say!(out, "{number:e} {number:?} {single:e} {single}");
    }
}

/// Out of text: what was printed comes back.
pub fn parsed(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    let texts = [
        "0",
        "-0",
        "1.",
        ".5",
        ".",
        "1e",
        "1e5",
        "1e+5",
        "1E-5",
        "inf",
        "-infinity",
        "NaN",
        "1e400",
        "-1e-400",
        "0x1",
        "1_0",
        "9007199254740993",
        "2.2250738585072011e-308",
        "4.9e-324",
        "2.4e-324",
        "1.7976931348623159e308",
        "3.4028236e38",
        "0.1000000000000000055511151231257827021181583404541015625",
        "123456789012345678901234567890",
    ];
    for text in texts {
        let (double, single) = (text.parse::<f64>(), text.parse::<f32>());
        say!(out, "{text}: {:x?} {:x?}", double.map(bits), single.map(single_bits));
    }
    for _ in 0..30 {
        let number = f64::from_bits(random.wide() & !(1 << 62));
        let single = f32::from_bits(random.next() & !(1 << 30));
        let mut text: String<40> = String::new();
        let _ = write!(text, "{number:e} {single:e}");
        let (one, two) = text.split_once(' ').unwrap_or_default();
        let back = one.parse::<f64>().map(|back| back.to_bits() == number.to_bits());
        say!(out, "{text} {back:?} {:?}", two.parse::<f32>().map(|back| back.to_bits() == single.to_bits()));
    }
}

/// Roots, angles, powers: `libm`, as firmware uses it.
pub fn functions(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    for number in numbers(&mut random) {
        let rounded =
            [libm::floor(number), libm::ceil(number), libm::trunc(number), libm::rint(number), libm::round(number)];
        say!(out, "{:x?} {:x}", rounded.map(bits), bits(libm::sqrt(number)));
        let single = number as f32;
        let rounded =
            [libm::floorf(single), libm::ceilf(single), libm::truncf(single), libm::rintf(single), libm::sqrtf(single)];
        say!(out, "{:x?}", rounded.map(single_bits));
        let more = [libm::sin(number), libm::atan(number), libm::exp(number), libm::log(number), libm::cbrt(number)];
        say!(out, "{:x?} {:x}", more.map(bits), single_bits(libm::cosf(single)));
        let pairs =
            [libm::atan2(number, 0.7), libm::pow(number.abs(), 1.3), libm::hypot(number, 3.0), libm::fmod(number, 0.3)];
        say!(out, "{:x?}", pairs.map(bits));
    }
}
