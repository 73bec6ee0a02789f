//! Traits, function pointers, iterators, patterns.

use core::any::{Any, type_name};
use core::fmt::{Debug, Write};
use core::ops::{Add, ControlFlow, Index, Mul};

use heapless::Vec;

use crate::{Random, say};

trait Shape: Debug {
    fn area(&self) -> f64;
    fn name(&self) -> &'static str {
        "shape"
    }
    fn grow(&mut self, by: u32);
    fn any(&self) -> &dyn Any;
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Square(u32);
#[derive(Debug, Clone, Copy, PartialEq)]
struct Circle {
    radius: f32,
}
#[derive(Debug, Clone, Copy, PartialEq)]
struct Nothing;

impl Shape for Square {
    fn area(&self) -> f64 {
        f64::from(self.0) * f64::from(self.0)
    }
    fn name(&self) -> &'static str {
        "square"
    }
    fn grow(&mut self, by: u32) {
        self.0 = self.0.saturating_mul(by);
    }
    fn any(&self) -> &dyn Any {
        self
    }
}

impl Shape for Circle {
    fn area(&self) -> f64 {
        f64::from(self.radius) * f64::from(self.radius) * core::f64::consts::PI
    }
    fn grow(&mut self, by: u32) {
        self.radius *= by as f32;
    }
    fn any(&self) -> &dyn Any {
        self
    }
}

impl Shape for Nothing {
    fn area(&self) -> f64 {
        0.0
    }
    fn name(&self) -> &'static str {
        "nothing"
    }
    fn grow(&mut self, _: u32) {}
    fn any(&self) -> &dyn Any {
        self
    }
}

/// Drops in its order.
struct Dropped<'a, 'b>(char, &'a core::cell::RefCell<&'b mut dyn Write>);

impl Drop for Dropped<'_, '_> {
    fn drop(&mut self) {
        let _ = self.1.borrow_mut().write_char(self.0);
    }
}

/// Trait objects.
pub fn objects(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    let (mut square, mut circle, mut nothing) =
        (Square(random.below(1000)), Circle { radius: random.below(100) as f32 / 8.0 }, Nothing);
    let mut shapes: [&mut dyn Shape; 3] = [&mut square, &mut circle, &mut nothing];
    for _ in 0..4 {
        shapes.rotate_left(random.below(3) as usize);
        for shape in &mut shapes {
            shape.grow(random.below(5));
            let is_square = shape.any().downcast_ref::<Square>();
            say!(out, "{} {:?} {:.3} {is_square:?} {}", shape.name(), shape, shape.area(), shape.any().is::<Circle>());
        }
    }
    let cell = core::cell::RefCell::new(out);
    let kept = Dropped('1', &cell);
    {
        let _inner = Dropped('2', &cell);
        let array = [Dropped('3', &cell), Dropped('4', &cell)];
        drop(kept);
        let [first, _] = array;
        let _ = first;
    }
    let _last = (Dropped('5', &cell), Dropped('\n', &cell));
}

/// Function pointers and closures.
pub fn pointers(seed: u32, out: &mut dyn Write) {
    type Step = fn(u32, &mut Random) -> u32;
    fn turn(value: u32, random: &mut Random) -> u32 {
        value.rotate_left(random.below(32))
    }
    fn mix(value: u32, random: &mut Random) -> u32 {
        value ^ random.next()
    }
    fn wide(value: u32, random: &mut Random) -> u32 {
        (u64::from(value).wrapping_mul(random.wide()) % 1_000_003) as u32
    }
    const STEPS: [Step; 4] = [turn, mix, wide, |value, _| !value];
    let mut random = Random::new(seed);
    let mut value = seed;
    for _ in 0..40 {
        let step = STEPS[random.below(4) as usize];
        value = step(value, &mut random);
        let _ = write!(out, "{value:x} ");
    }
    let mut count = 0;
    let mut counting = |by: i64| {
        count += by;
        count
    };
    let closures: [&mut dyn FnMut(i64) -> i64; 1] = [&mut counting];
    for closure in closures {
        say!(out, "{} {} {}", closure(1), closure(-100), closure(random.below(9).into()));
    }
    // More arguments than an SH-4 has registers for them.
    type Many = fn(u8, u64, f32, i16, f64, bool, u32, i64, f64, char) -> f64;
    let many: Many = |a, b, c, d, e, f, g, h, i, j| {
        f64::from(a) + b as f64 * e - f64::from(c)
            + f64::from(d)
            + i * g as f64
            + h as f64
            + f64::from(j as u32)
            + f64::from(u8::from(f))
    };
    say!(out, "{}", many(7, random.next().into(), 1.5, -3, 0.25, true, random.below(100), -77, 1e-3, 'k'));
}

/// Chains of iterators.
pub fn iterators(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    let words: Vec<u32, 40> = (0..40).map(|_| random.below(500)).collect();
    let mut evens = words.iter().filter(|word| *word % 2 == 0).map(|word| word / 2);
    say!(
        out,
        "{} {:?} {:?} {:?}",
        evens.clone().sum::<u32>(),
        evens.clone().max(),
        evens.clone().min(),
        evens.next_back()
    );
    say!(out, "{:?}", words.iter().zip(words.iter().skip(3)).map(|(a, b)| a * b).step_by(5).collect::<Vec<_, 8>>());
    say!(out, "{:?}", words.windows(3).filter(|three| three.is_sorted()).count());
    say!(
        out,
        "{:?}",
        words
            .chunks_exact(7)
            .map(|chunk| chunk.iter().fold(1u32, |all, word| all.wrapping_mul(*word)) as u8)
            .collect::<Vec<_, 8>>()
    );
    say!(out, "{:?}", words.iter().position(|word| *word > 400).zip(words.iter().rposition(|word| *word > 400)));
    say!(out, "{:?}", words.iter().try_fold(0u8, |sum, word| sum.checked_add(*word as u8 & 31)));
    let found = words
        .iter()
        .try_for_each(|word| if word % 17 == 3 { ControlFlow::Break(word) } else { ControlFlow::Continue(()) });
    say!(out, "{found:?}");
    say!(
        out,
        "{:?}",
        words
            .iter()
            .copied()
            .scan(1u64, |state, word| {
                *state = *state * 31 + u64::from(word);
                (*state < 1 << 50).then_some(*state)
            })
            .collect::<Vec<_, 40>>()
    );
    say!(
        out,
        "{:?}",
        words.iter().rev().enumerate().skip_while(|(_, word)| **word < 250).take(4).collect::<Vec<_, 4>>()
    );
    say!(out, "{:?}", words.chunk_by(|a, b| a < b).map(<[u32]>::len).collect::<Vec<_, 40>>());
    say!(
        out,
        "{:?}",
        words
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .filter(|byte| *byte != 0)
            .fold(0u32, |sum, byte| sum.rotate_left(3) ^ u32::from(byte))
    );
    let (small, great): (Vec<u32, 40>, Vec<u32, 40>) = words.iter().partition(|word| **word < 250);
    say!(out, "{small:?} {great:?} {:?}", small.iter().cmp(great.iter()));
    let chained: Vec<char, 30> = ('a'..='f').chain('0'..'4').interleaved().collect();
    say!(out, "{chained:?} {:?}", (0..).take_while(|n| n * n < 200).last());
}

/// An own adapter: first and second half by turns.
trait Interleaved: Iterator + Sized {
    fn interleaved(self) -> impl Iterator<Item = Self::Item>
    where
        Self: Clone,
    {
        let half = self.clone().count() / 2;
        let (mut one, mut two) = (self.clone().take(half), self.skip(half));
        let mut turn = false;
        core::iter::from_fn(move || {
            turn = !turn;
            if turn { one.next().or_else(|| two.next()) } else { two.next().or_else(|| one.next()) }
        })
    }
}

impl<I: Iterator> Interleaved for I {}

#[derive(Debug, Clone, Copy)]
enum Token<'a> {
    Number(i64),
    Word(&'a str),
    Pair { left: u8, right: u8 },
    End,
}

/// Patterns of every kind.
pub fn patterns(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    for _ in 0..30 {
        let token = match random.below(5) {
            0 => Token::Number(random.sized() as i64 - 100),
            1 => Token::Number(random.below(8).into()),
            2 => Token::Word(["", "a", "go", "stop", "élan"][random.below(5) as usize]),
            3 => Token::Pair { left: random.next() as u8, right: random.below(3) as u8 },
            _ => Token::End,
        };
        let told = match token {
            Token::Number(i64::MIN..=-1) => "negative",
            Token::Number(0 | 1) => "a bit",
            Token::Number(2..8) => "small",
            Token::Number(number) if number % 2 == 0 => "even",
            Token::Number(_) => "odd",
            Token::Word("") => "empty",
            Token::Word("go" | "stop") => "command",
            Token::Word(word) if word.is_ascii() => "ascii",
            Token::Word(_) => "word",
            Token::Pair { left: left @ 0..=63, right: 0 } if left > 9 => "low",
            Token::Pair { left, right } if left == right => "same",
            Token::Pair { right: 1.., .. } => "right",
            Token::Pair { .. } => "left",
            Token::End => "end",
        };
        say!(out, "{token:?} {told}");
    }
    for length in 0..6 {
        let bytes: Vec<u8, 6> = (0..length).map(|at| at * 3).collect();
        let told = match bytes.as_slice() {
            [] => (0, 0),
            [one] => (*one, 1),
            [0, .., 9] => (9, 2),
            [first, middle @ .., last] => (first + last, middle.len() as u8),
        };
        say!(out, "{told:?}");
    }
    let value = Some(random.next());
    let Some(number) = value else { return };
    if let (Some(1..), Ok(byte)) = (value, u8::try_from(number >> 25)) {
        say!(
            out,
            "{}",
            'outer: loop {
                for step in 0.. {
                    if step * 3 > byte {
                        break 'outer step;
                    }
                }
            }
        );
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Matrix<T, const N: usize>([[T; N]; N]);

impl<T, const N: usize> Index<(usize, usize)> for Matrix<T, N> {
    type Output = T;
    fn index(&self, (row, column): (usize, usize)) -> &T {
        &self.0[row][column]
    }
}

impl<T: Copy + Default + Add<Output = T> + Mul<Output = T>, const N: usize> Mul for Matrix<T, N> {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let mut product = [[T::default(); N]; N];
        for (i, row) in product.iter_mut().enumerate() {
            for (j, cell) in row.iter_mut().enumerate() {
                *cell = (0..N).fold(T::default(), |sum, k| sum + self[(i, k)] * other[(k, j)]);
            }
        }
        Matrix(product)
    }
}

/// One code for many types.
pub fn generic(seed: u32, out: &mut dyn Write) {
    fn powers<T: Copy + Debug + Default + Add<Output = T> + Mul<Output = T>, const N: usize>(
        mut first: impl FnMut() -> T,
        out: &mut dyn Write,
    ) {
        let matrix = Matrix([[(); N]; N].map(|row| row.map(|()| first())));
        let product = matrix * matrix;
        say!(out, "{} {N} {product:?} {:?}", type_name::<T>(), (product * matrix).0.last());
    }
    let mut random = Random::new(seed);
    powers::<u32, 3>(|| random.below(100), out);
    powers::<i64, 4>(|| i64::from(random.below(1000)) - 500, out);
    powers::<f32, 2>(|| random.below(64) as f32 / 4.0, out);
    powers::<f64, 5>(|| random.below(64).into(), out);
    powers::<u128, 2>(|| random.next().into(), out);
    say!(out, "{} {} {}", size_of::<Option<u32>>(), align_of::<u64>() <= 8, size_of::<Matrix<u16, 3>>());
}
