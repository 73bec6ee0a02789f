//! What ends in a panic: the message is the same, and then it traps.

use core::fmt::Write;
use core::hint::black_box;

use crate::{Random, say};

/// `panic!`
pub fn explicit(seed: u32, out: &mut dyn Write) {
    say!(out, "before");
    panic!("with {seed} and {:?}", Some("text"));
}

/// An index beyond a slice.
pub fn index(seed: u32, out: &mut dyn Write) {
    let words = black_box([1, 2, 3]);
    say!(out, "{}", words[words.len() - 1 + (seed as usize % 5 + 1)]);
}

/// An overflow.
pub fn overflow(seed: u32, out: &mut dyn Write) {
    let number = black_box(0xffff_ff00 | seed as u8 as u32);
    say!(out, "{}", number + 256);
}

/// A division by zero.
pub fn division(seed: u32, out: &mut dyn Write) {
    say!(out, "{}", seed / black_box(0));
}

/// An `Option` and a `Result` without what was expected.
pub fn unwrapped(seed: u32, out: &mut dyn Write) {
    say!(out, "first");
    let parsed: Result<u8, _> = black_box("300").parse::<u8>();
    if seed.is_multiple_of(2) {
        black_box(None::<u8>).expect("a byte");
    }
    parsed.unwrap();
}

/// Deep inside, within the arguments of a message.
pub fn formatted(seed: u32, out: &mut dyn Write) {
    struct Broken(u32);
    impl core::fmt::Debug for Broken {
        fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            f.write_str("half")?;
            assert_eq!(self.0, Random::new(self.0).next(), "{} is not itself", self.0);
            Ok(())
        }
    }
    say!(out, "{:?}", Some([Broken(seed)]));
}
