//! What components do in the field, as programs that write text. The text has to be the same wherever they run.
//!
//! | programs | what they do |
//! | --- | --- |
//! | [`wire`] | messages out and in, as components exchange them |
//! | [`sums`] | check sums and hashes |
//! | [`order`] | sorting, and collections of a fixed size |
//! | [`wide`] | integers of 64 and 128 bits |
//! | [`text`] | formatting, parsing, characters |
//! | [`float`] | floating-point numbers |
//! | [`tasks`] | futures and an executor |
//! | [`shapes`] | traits, function pointers, iterators, patterns |
//! | [`bytes`] | what does not lie where it ought to |
//! | [`panics`] | what ends in a panic |
//! | [`silent`] | what writes nothing, for its use of the stacks |
//!
//! The rule: no text depends on the width of `usize`, on an address, or on the bits of a NaN.

#![no_std]

pub mod bytes;
pub mod float;
pub mod order;
pub mod panics;
pub mod shapes;
pub mod silent;
pub mod sums;
pub mod tasks;
pub mod text;
pub mod wide;
pub mod wire;

/// A program: it writes text, which depends on the seed.
pub type Program = fn(seed: u32, out: &mut dyn core::fmt::Write);

/// A program that gives a number instead.
pub type Silent = fn(seed: u32) -> u64;

/// What looks like chance, and is the same everywhere.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    #[must_use]
    pub const fn new(seed: u32) -> Self {
        Random((seed as u64) << 20 ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// The next 64 bits (xorshift64).
    pub const fn wide(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// The next 32 bits.
    pub const fn next(&mut self) -> u32 {
        (self.wide() >> 32) as u32
    }

    /// A number below another.
    pub const fn below(&mut self, end: u32) -> u32 {
        ((self.next() as u64 * end as u64) >> 32) as u32
    }

    /// A number of any size: small ones are as frequent as great ones.
    pub const fn sized(&mut self) -> u64 {
        let bits = self.next() & 63;
        self.wide() >> bits
    }
}

/// Writes a line. A writer of these programs never fails.
macro_rules! say {
    ($out:expr, $($text:tt)*) => {{ let _ = writeln!($out, $($text)*); }};
}
pub(crate) use say;

/// The table of programs; and for SH-4, an export for each: `field_NAME`, `panic_NAME`, `silent_NAME`.
macro_rules! programs {
    (programs: $($module:ident::$name:ident)*; panics: $($panic:ident)*; silent: $($silent:ident)*;) => {
        /// All programs that come to an end.
        pub const PROGRAMS: &[(&str, Program)] = &[$((stringify!($name), $module::$name)),*];
        /// Those that panic, for every seed.
        pub const PANICS: &[(&str, Program)] = &[$((stringify!($panic), panics::$panic)),*];
        /// Those that write nothing.
        pub const SILENT: &[(&str, Silent)] = &[$((stringify!($silent), silent::$silent)),*];

        #[cfg(target_family = "wasm")]
        mod exports {
            use super::*;
            $(#[unsafe(export_name = concat!("field_", stringify!($name)))]
            extern "C" fn $name(seed: u32) { $module::$name(seed, &mut board::Console); })*
            $(#[unsafe(export_name = concat!("panic_", stringify!($panic)))]
            extern "C" fn $panic(seed: u32) { panics::$panic(seed, &mut board::Console); })*
            $(#[unsafe(export_name = concat!("silent_", stringify!($silent)))]
            extern "C" fn $silent(seed: u32) -> u64 { silent::$silent(seed) })*
        }
    };
}

programs! {
    programs:
        wire::numbers wire::messages wire::damaged wire::framed
        sums::crc sums::sha
        order::slices order::maps order::queues order::heaps
        wide::products wide::quotients wide::shifts wide::checked wide::huge
        text::integers text::padding text::structures text::parsing text::characters
        float::arithmetic float::singles float::conversions float::printed float::parsed float::functions
        tasks::joined tasks::machine
        shapes::objects shapes::pointers shapes::iterators shapes::patterns shapes::generic
        bytes::unaligned bytes::layout bytes::copies;
    panics: explicit index overflow division unwrapped formatted;
    silent: crc32 sha256 insertion divided rotations doubles hashed chain states;
}

/// What the board gives.
#[cfg(target_family = "wasm")]
mod board {
    use core::fmt::{self, Write};

    unsafe extern "C" {
        fn field_write(bytes: *const u8, length: usize);
    }

    pub(crate) struct Console;

    impl Write for Console {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            // SAFETY: that many bytes are there, and they are only read.
            unsafe { field_write(text.as_ptr(), text.len()) };
            Ok(())
        }
    }

    /// The message, as the host's programs write it; then a trap.
    #[panic_handler]
    fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
        let _ = writeln!(Console, "{info}");
        core::arch::wasm32::unreachable()
    }
}
