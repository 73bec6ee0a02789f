//! Rounding, square roots, products and quotients of floating-point numbers, on their bits, as the WebAssembly standard has
//! them.
//!
//! A NaN comes back quiet. What rounds to zero keeps its sign.

/// One of the two formats, as its numbers of bits say.
struct Format {
    /// Bits of the fraction.
    fraction: u32,
    /// Bits of the exponent.
    exponent: u32,
}

const SINGLE: Format = Format { fraction: 23, exponent: 8 };
const DOUBLE: Format = Format { fraction: 52, exponent: 11 };

/// Where to round to.
#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Up,
    Down,
    Zero,
    /// To the nearest; of two equally near, to the even one.
    Nearest,
}

impl Format {
    const fn sign(&self) -> u64 {
        1 << (self.fraction + self.exponent)
    }

    const fn infinity(&self) -> u64 {
        ((1 << self.exponent) - 1) << self.fraction
    }

    const fn bias(&self) -> u32 {
        (1 << (self.exponent - 1)) - 1
    }

    const fn quiet(&self) -> u64 {
        1 << (self.fraction - 1)
    }

    /// The integral number next to the one with these bits, in this direction.
    #[inline(always)]
    fn round(&self, bits: u64, direction: Direction) -> u64 {
        let (sign, magnitude) = (bits & self.sign(), bits & !self.sign());
        if magnitude > self.infinity() {
            return bits | self.quiet();
        }
        let exponent = (magnitude >> self.fraction) as u32;
        if exponent >= self.bias() + self.fraction {
            return bits; // no fraction fits into it, or it is infinite
        }
        let away = match direction {
            Direction::Up => sign == 0,
            Direction::Down => sign != 0,
            Direction::Zero | Direction::Nearest => false,
        };
        let one = u64::from(self.bias()) << self.fraction;
        if exponent < self.bias() {
            // Between zero and one.
            let half = one - (1 << self.fraction);
            let to_one = (away && magnitude != 0) || (direction == Direction::Nearest && magnitude > half);
            return sign | if to_one { one } else { 0 };
        }
        // These bits are behind the binary point. To add to the magnitude carries into the exponent where it has to.
        let unit = 1u64 << (self.bias() + self.fraction - exponent);
        let behind = unit - 1;
        let more = if away {
            behind
        } else if direction == Direction::Nearest {
            // Half, but a bit less where the number is even.
            (unit >> 1) - u64::from(magnitude & unit == 0)
        } else {
            0
        };
        sign | ((magnitude + more) & !behind)
    }

    /// The square root of the number with these bits, rounded to the nearest.
    #[inline(always)]
    fn square_root(&self, bits: u64) -> u64 {
        let (sign, magnitude) = (bits & self.sign(), bits & !self.sign());
        if magnitude > self.infinity() {
            return bits | self.quiet();
        }
        if magnitude == 0 {
            return bits;
        }
        if sign != 0 {
            return self.infinity() | self.quiet();
        }
        if magnitude == self.infinity() {
            return bits;
        }
        let implied = 1u64 << self.fraction;
        let mut exponent = (magnitude >> self.fraction) as i32;
        let mut significand = magnitude & (implied - 1);
        if exponent == 0 {
            exponent = 1;
            while significand & implied == 0 {
                significand <<= 1;
                exponent -= 1;
            }
        } else {
            significand |= implied;
        }
        let mut power = exponent - self.bias() as i32;
        if power & 1 != 0 {
            significand <<= 1;
            power -= 1;
        }
        // Digit by digit: root * root + rest is the significand so far. One digit more than the fraction has, to round by.
        let (mut root, mut doubled, mut rest) = (0u64, 0u64, significand << 1);
        let mut digit = implied << 1;
        while digit != 0 {
            let attempt = doubled + digit;
            if attempt <= rest {
                doubled = attempt + digit;
                rest -= attempt;
                root += digit;
            }
            rest <<= 1;
            digit >>= 1;
        }
        // It is never exactly between two numbers: a square has an even number of digits.
        let rounded = (root >> 1) + (root & 1);
        let biased = (power / 2 + self.bias() as i32 - 1) as u64;
        (biased << self.fraction) + rounded
    }
}

/// What a number is, so that an operation can treat it.
enum Kind {
    NotANumber,
    Infinite,
    Zero,
    /// A significand with its first bit at the place of the implied one, and a biased exponent that may be below 1.
    Finite(u64, i32),
}

impl Format {
    fn kind(&self, magnitude: u64) -> Kind {
        let implied = 1u64 << self.fraction;
        let exponent = (magnitude >> self.fraction) as i32;
        let fraction = magnitude & (implied - 1);
        if magnitude > self.infinity() {
            Kind::NotANumber
        } else if magnitude == self.infinity() {
            Kind::Infinite
        } else if magnitude == 0 {
            Kind::Zero
        } else if exponent == 0 {
            let shift = fraction.leading_zeros() - implied.leading_zeros();
            Kind::Finite(fraction << shift, 1 - shift as i32)
        } else {
            Kind::Finite(fraction | implied, exponent)
        }
    }

    /// The number with this biased exponent whose significand has three bits more than the format has, the last of which
    /// says whether anything was left behind it; rounded to the nearest, of two equally near to the even one.
    #[inline(always)]
    fn pack(&self, sign: u64, exponent: i32, significand: u64) -> u64 {
        let (mut exponent, mut significand) = (exponent, significand);
        if exponent <= 0 {
            // Too small for a first bit at its place.
            let shift = (1 - exponent) as u32;
            significand = if shift > self.fraction + 3 {
                1
            } else {
                let lost = significand & ((1 << shift) - 1) != 0;
                significand >> shift | u64::from(lost)
            };
            exponent = 0;
        } else {
            // The first bit counts for one of the exponent.
            exponent -= 1;
        }
        if exponent as u64 >= self.infinity() >> self.fraction {
            return sign | self.infinity();
        }
        let (kept, behind) = (significand >> 3, significand & 7);
        let up = behind > 4 || (behind == 4 && kept & 1 != 0);
        // A carry goes into the exponent, and to infinity, as it should.
        let magnitude = ((exponent as u64) << self.fraction) + kept + u64::from(up);
        sign | magnitude.min(self.infinity())
    }
}

/// Product of the doubles with these bits.
#[inline(always)]
fn multiply(one: u64, other: u64) -> u64 {
    let format = &DOUBLE;
    let sign = (one ^ other) & format.sign();
    let not_a_number = format.infinity() | format.quiet();
    match (format.kind(one & !format.sign()), format.kind(other & !format.sign())) {
        (Kind::NotANumber, _) => one | format.quiet(),
        (_, Kind::NotANumber) => other | format.quiet(),
        (Kind::Infinite, Kind::Zero) | (Kind::Zero, Kind::Infinite) => not_a_number,
        (Kind::Infinite, _) | (_, Kind::Infinite) => sign | format.infinity(),
        (Kind::Zero, _) | (_, Kind::Zero) => sign,
        (Kind::Finite(one, exponent), Kind::Finite(other, other_exponent)) => {
            let [a, b] = [one >> 32, one & 0xffff_ffff];
            let [c, d] = [other >> 32, other & 0xffff_ffff];
            // 106 bits at most; the sum in the middle is less than 2^54.
            let middle = a * d + b * c;
            let (low, carry) = (b * d).overflowing_add(middle << 32);
            let high = a * c + (middle >> 32) + u64::from(carry);
            // The first of 105 or 106 bits comes to the place 55 or 56.
            const BEHIND: u32 = 49;
            let lost = low & ((1 << BEHIND) - 1) != 0;
            let product = high << (64 - BEHIND) | low >> BEHIND | u64::from(lost);
            let more = (product >> 56) as i32;
            let product = product >> more | (product & more as u64);
            format.pack(sign, exponent + other_exponent - format.bias() as i32 + more, product)
        }
    }
}

/// Quotient of the doubles with these bits.
#[inline(always)]
fn divide(one: u64, other: u64) -> u64 {
    let format = &DOUBLE;
    let sign = (one ^ other) & format.sign();
    let not_a_number = format.infinity() | format.quiet();
    match (format.kind(one & !format.sign()), format.kind(other & !format.sign())) {
        (Kind::NotANumber, _) => one | format.quiet(),
        (_, Kind::NotANumber) => other | format.quiet(),
        (Kind::Infinite, Kind::Infinite) | (Kind::Zero, Kind::Zero) => not_a_number,
        (Kind::Infinite, _) | (_, Kind::Zero) => sign | format.infinity(),
        (Kind::Zero, _) | (_, Kind::Infinite) => sign,
        (Kind::Finite(one, exponent), Kind::Finite(other, other_exponent)) => {
            let less = i32::from(one < other);
            let mut rest = one << less;
            let mut quotient = 0u64;
            for _ in 0..format.fraction + 4 {
                quotient <<= 1;
                if rest >= other {
                    rest -= other;
                    quotient |= 1;
                }
                rest <<= 1;
            }
            let quotient = quotient | u64::from(rest != 0);
            format.pack(sign, exponent - other_exponent + format.bias() as i32 - less, quotient)
        }
    }
}

/// `one * other`.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn __muldf3(one: f64, other: f64) -> f64 {
    f64::from_bits(multiply(one.to_bits(), other.to_bits()))
}

/// `one / other`.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn __divdf3(one: f64, other: f64) -> f64 {
    f64::from_bits(divide(one.to_bits(), other.to_bits()))
}

macro_rules! exported {
    ($($name:ident: $float:ty as $bits:ty, $format:ident.$operation:ident($($direction:ident)?);)*) => {$(
        #[doc = concat!("`", stringify!($operation), "` of a `", stringify!($float), "`.")]
        #[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
        pub extern "C" fn $name(number: $float) -> $float {
            let bits = $format.$operation(u64::from(number.to_bits()) $(, Direction::$direction)?);
            <$float>::from_bits(bits as $bits)
        }
    )*};
}

exported! {
    koboshi_f32_ceil: f32 as u32, SINGLE.round(Up);
    koboshi_f32_floor: f32 as u32, SINGLE.round(Down);
    koboshi_f32_trunc: f32 as u32, SINGLE.round(Zero);
    koboshi_f32_nearest: f32 as u32, SINGLE.round(Nearest);
    koboshi_f64_ceil: f64 as u64, DOUBLE.round(Up);
    koboshi_f64_floor: f64 as u64, DOUBLE.round(Down);
    koboshi_f64_trunc: f64 as u64, DOUBLE.round(Zero);
    koboshi_f64_nearest: f64 as u64, DOUBLE.round(Nearest);
    sqrtf: f32 as u32, SINGLE.square_root();
    sqrt: f64 as u64, DOUBLE.square_root();
}
