//! Division of 64 bits by means of division of 32 bits, which libgcc has in assembler; and counts of bits.
//!
//! Who divides has made sure that the divisor is not zero, and that the quotient fits.

use core::num::NonZeroU32;

/// Half a digit: 16 bits.
const HALF: u32 = 1 << 16;

/// `number / divisor` without a panic, whose message would be data.
#[inline(always)]
fn quotient_of(number: u32, divisor: u32) -> u32 {
    NonZeroU32::new(divisor).map_or(0, |divisor| number / divisor)
}

/// Quotient and remainder.
#[inline(always)]
fn divide_words(number: u32, divisor: u32) -> (u32, u32) {
    let quotient = quotient_of(number, divisor);
    (quotient, number - quotient * divisor)
}

/// Divides `high`:`low` by a divisor that is greater than `high`: quotient and remainder. (Knuth's algorithm D, with two
/// digits of 16 bits.)
#[inline(always)]
fn divide_by_word(high: u32, low: u32, divisor: u32) -> (u32, u32) {
    // So that its upper digit, and with it each guess, is as great as can be.
    let shift = divisor.leading_zeros();
    let divisor = divisor << shift;
    let shifted = (u64::from(high) << 32 | u64::from(low)) << shift;
    let (mut rest, digits) = ((shifted >> 32) as u32, shifted as u32);
    let (first, second) = (divisor >> 16, divisor & (HALF - 1));
    let mut result = 0u32;
    let mut place = 16;
    loop {
        let next = (digits >> place) & (HALF - 1);
        let mut guess = quotient_of(rest, first);
        let mut left = rest - guess * first;
        // Too great by two at most.
        while guess >= HALF || guess * second > (left << 16 | next) {
            guess -= 1;
            left += first;
            if left >= HALF {
                break;
            }
        }
        rest = (rest << 16 | next).wrapping_sub(guess.wrapping_mul(divisor));
        result = result << 16 | guess;
        if place == 0 {
            return (result, rest >> shift);
        }
        place = 0;
    }
}

/// Quotient and remainder.
#[inline(always)]
fn divide(number: u64, divisor: u64) -> (u64, u64) {
    let (high, low) = ((number >> 32) as u32, number as u32);
    if let Ok(divisor) = u32::try_from(divisor) {
        if high < divisor {
            let (quotient, rest) =
                if high == 0 { divide_words(low, divisor) } else { divide_by_word(high, low, divisor) };
            return (quotient.into(), rest.into());
        }
        let (first, rest) = divide_words(high, divisor);
        let (second, rest) = if rest == 0 { divide_words(low, divisor) } else { divide_by_word(rest, low, divisor) };
        return (u64::from(first) << 32 | u64::from(second), rest.into());
    }
    // The quotient is less than 32 bits. A guess from the upper 32 bits of the divisor, with half the number so that it
    // fits: it is right or too great by one.
    let shift = ((divisor >> 32) as u32).leading_zeros();
    let upper = ((divisor << shift) >> 32) as u32;
    let half = number >> 1;
    let (guess, _) = divide_by_word((half >> 32) as u32, half as u32, upper);
    let mut quotient = (u64::from(guess) << shift) >> 31;
    quotient = quotient.saturating_sub(1);
    let mut rest = number - quotient * divisor;
    if rest >= divisor {
        quotient += 1;
        rest -= divisor;
    }
    (quotient, rest)
}

#[inline(always)]
fn with_sign(magnitude: u64, negative: bool) -> i64 {
    let number = magnitude as i64;
    if negative { number.wrapping_neg() } else { number }
}

/// `number / divisor`.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn __udivdi3(number: u64, divisor: u64) -> u64 {
    divide(number, divisor).0
}

/// `number % divisor`.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn __umoddi3(number: u64, divisor: u64) -> u64 {
    divide(number, divisor).1
}

/// `number / divisor`, towards zero.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn __divdi3(number: i64, divisor: i64) -> i64 {
    with_sign(divide(number.unsigned_abs(), divisor.unsigned_abs()).0, (number < 0) != (divisor < 0))
}

/// `number % divisor`, with the sign of the number.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn __moddi3(number: i64, divisor: i64) -> i64 {
    with_sign(divide(number.unsigned_abs(), divisor.unsigned_abs()).1, number < 0)
}

/// The number of ones. (In a way that no compiler takes for the instruction that counts them: that would be this function.)
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn __popcountsi2(number: u32) -> u32 {
    // Each three bits count themselves: 4a + 2b + c - (2a + b) - a. Then six bits each, and 64 is 1 modulo 63.
    let threes = number - ((number >> 1) & 0o33_333_333_333) - ((number >> 2) & 0o11_111_111_111);
    ((threes + (threes >> 3)) & 0o30_707_070_707) % 63
}

/// The number of ones.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn __popcountdi2(number: u64) -> u32 {
    __popcountsi2((number >> 32) as u32) + __popcountsi2(number as u32)
}

/// Is the number of ones odd?
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn __paritysi2(number: u32) -> u32 {
    let number = number ^ (number >> 16);
    let number = number ^ (number >> 8);
    let number = number ^ (number >> 4);
    // One bit for each number below 16.
    (0x6996 >> (number & 15)) & 1
}

/// Is the number of ones odd?
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn __paritydi2(number: u64) -> u32 {
    __paritysi2((number >> 32) as u32 ^ number as u32)
}
