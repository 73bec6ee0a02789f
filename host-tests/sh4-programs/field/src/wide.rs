//! Integers of 64 and 128 bits: an SH-4 has 32, and divides by steps.

use core::fmt::Write;

use crate::{Random, say};

/// The ends, and numbers of any size.
fn numbers(random: &mut Random) -> [u64; 12] {
    let mut numbers =
        [0, 1, 2, 0xffff_ffff, 0x1_0000_0000, i64::MAX as u64, i64::MIN as u64, u64::MAX, 10_000_000_000, 0, 0, 0];
    numbers[9..].fill_with(|| random.sized());
    numbers
}

/// Addition, subtraction, multiplication.
pub fn products(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    let numbers = numbers(&mut random);
    for a in numbers {
        for b in numbers {
            let (sum, difference, product) = (a.wrapping_add(b), a.wrapping_sub(b), a.wrapping_mul(b));
            let high = (u128::from(a) * u128::from(b)) >> 64;
            let signed = i128::from(a as i64) * i128::from(b as i64);
            say!(out, "{sum:x} {difference:x} {product:x} {high:x} {signed} {:?} {}", a.cmp(&b), (a as i64) < b as i64);
        }
    }
}

/// Division and remainder, all kinds of them.
pub fn quotients(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    let numbers = numbers(&mut random);
    for a in numbers {
        for b in numbers {
            let (s, t) = (a as i64, b as i64);
            let unsigned = (a.checked_div(b), a.checked_rem(b));
            let signed = (s.checked_div(t), s.checked_rem(t));
            let (low, high) = (a as u32, (b >> 16) as u32);
            let narrow =
                (low.checked_div(high), (low as i32).checked_div(high as i32), (low as i32).checked_rem(high as i32));
            say!(out, "{unsigned:?} {signed:?} {narrow:?}");
            if t != 0 {
                say!(out, "  {:?} {:?} {:?}", s.wrapping_div_euclid(t), s.wrapping_rem_euclid(t), s.overflowing_div(t));
            }
        }
    }
    for divisor in [3, 7, 10, 1000, 1_000_000_007, 1 << 40] {
        let a = random.wide();
        // Constants become products.
        say!(out, "{} {} {} {} {}", a / divisor, a % divisor, a / 10, a as i64 / 1000, a as i64 % -7);
        say!(out, "{:?} {}", a.checked_next_multiple_of(divisor), a.isqrt());
    }
}

/// Shifts, rotations, single bits.
pub fn shifts(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    for a in numbers(&mut random) {
        for by in [0, 1, 7, 31, 32, 33, 63] {
            let (left, right, signed) = (a << by, a >> by, a as i64 >> by);
            let (rotated, back) = (a.rotate_left(by), (a as i64).rotate_right(by));
            let (narrow, narrow_signed) = ((a as u32).rotate_left(by), (a as i32).wrapping_shr(by));
            say!(out, "{left:x} {right:x} {signed:x} {rotated:x} {back:x} {narrow:x} {narrow_signed:x}");
        }
        let ones = (a.count_ones(), a.leading_zeros(), a.trailing_zeros(), a.leading_ones(), a.trailing_ones());
        let narrow = ((a as u32).count_ones(), (a as u32).leading_zeros(), (a as u16).trailing_zeros());
        say!(
            out,
            "{ones:?} {narrow:?} {:x} {:x} {:?}",
            a.swap_bytes(),
            a.reverse_bits(),
            a.checked_next_power_of_two()
        );
        say!(
            out,
            "{:?} {:?} {:?} {:?}",
            a.checked_shl(random.below(80)),
            a.checked_ilog2(),
            a.checked_ilog10(),
            a.to_be_bytes()
        );
    }
}

/// What overflows, and what happens then.
pub fn checked(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    let numbers = numbers(&mut random);
    for a in numbers {
        let s = a as i64;
        for b in numbers {
            let t = b as i64;
            say!(out, "{:?} {:?} {:?}", a.checked_add(b), a.checked_sub(b), a.checked_mul(b));
            say!(out, "{:?} {:?} {:?}", s.checked_add(t), s.checked_sub(t), s.checked_mul(t));
            say!(out, "{} {} {}", s.saturating_add(t), s.saturating_sub(t), s.saturating_mul(t));
            say!(out, "{:?} {:?} {}", s.overflowing_mul(t), a.overflowing_sub(b), a.abs_diff(b));
        }
        say!(out, "{:?} {:?} {:?} {}", s.checked_neg(), s.checked_abs(), s.checked_pow(3), a.wrapping_pow(5));
        say!(out, "{:?} {:?} {:?}", u32::try_from(a).ok(), i16::try_from(s).ok(), u8::try_from(a).ok());
        let (byte, half) = (a as u8, a as i16);
        say!(out, "{:?} {:?} {:?}", byte.checked_mul(3), half.checked_mul(-5), (a as u32).checked_mul(b'x'.into()));
        say!(out, "{} {} {}", byte.saturating_sub(100), half.wrapping_mul(half), (a as i8).wrapping_neg());
    }
}

/// 128 bits.
pub fn huge(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    let mut huge = || (u128::from(random.wide()) << 64 | u128::from(random.wide())) >> random.below(128);
    for _ in 0..24 {
        let (a, b) = (huge(), huge());
        let (s, t) = (a as i128, !b as i128);
        let by = (b & 127) as u32;
        say!(out, "{} {} {}", a.wrapping_add(b), a.wrapping_sub(b), a.wrapping_mul(b));
        say!(out, "{:?} {:?} {:?} {:?}", a.checked_div(b), a.checked_rem(b), s.checked_div(t), s.checked_rem(t));
        say!(out, "{:x} {:x} {:x} {:x}", a << by, a >> by, s >> by, a.rotate_left(by));
        say!(out, "{:?} {:?} {} {}", s.checked_mul(t), a.checked_mul(b), a.leading_zeros(), a.trailing_zeros());
        say!(out, "{} {} {:e}", a as f64, s as f32, b);
    }
}
