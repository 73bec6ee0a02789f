//! What writes nothing and cannot panic: the most that it needs of the stacks is known.

use crate::Random;

/// CRC-32, bit by bit.
pub fn crc32(seed: u32) -> u64 {
    let mut random = Random::new(seed);
    let mut crc = !0u32;
    for _ in 0..256 {
        crc ^= random.next() & 0xff;
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    u64::from(!crc)
}

/// SHA-256 of a block.
pub fn sha256(seed: u32) -> u64 {
    let mut random = Random::new(seed);
    let mut state = [1, 2, 3, 4, 5, 6, 7, seed];
    let mut block = sha2::digest::generic_array::GenericArray::default();
    for _ in 0..4 {
        for byte in &mut block {
            *byte = random.next() as u8;
        }
        sha2::compress256(&mut state, &[block]);
    }
    state.iter().fold(0, |sum: u64, word| sum.rotate_left(11) ^ u64::from(*word))
}

/// Insertion sort, in an array of its own.
pub fn insertion(seed: u32) -> u64 {
    let mut random = Random::new(seed);
    let mut words = [0u32; 100];
    for word in &mut words {
        *word = random.next();
    }
    for end in 1..words.len() {
        for at in (1..=end).rev() {
            if let Some([one, two]) = words.get_mut(at - 1..=at)
                && one > two
            {
                core::mem::swap(one, two);
            }
        }
    }
    words.iter().fold(0, |sum: u64, word| sum.wrapping_mul(31).wrapping_add(u64::from(*word)))
}

/// 64-bit and 32-bit division: helpers in Rust, and in assembler.
pub fn divided(seed: u32) -> u64 {
    let mut random = Random::new(seed);
    let mut sum = 0u64;
    for _ in 0..64 {
        let (a, b) = (random.sized(), random.sized() | 1);
        let (s, t) = (a as i32, (b as i32) >> 3 | 1);
        sum = sum.rotate_left(7) ^ (a / b) ^ (a % b) ^ (a as i64).wrapping_div(b as i64) as u64;
        sum = sum.wrapping_add(u64::from(a as u32 / (b as u32 | 1)));
        sum ^= u64::from(s.wrapping_div(t) as u32) << 32 | u64::from(s.wrapping_rem(t) as u32);
    }
    sum
}

/// Rotations and counts of bits.
pub fn rotations(seed: u32) -> u64 {
    let mut random = Random::new(seed);
    (0..64).fold(0, |sum: u64, _| {
        let (value, by) = (random.wide(), random.next());
        sum.rotate_left(by) ^ value.rotate_right(by >> 6) ^ (value << (by & 63)) ^ u64::from(value.leading_zeros())
    })
}

/// Floating point, with what an SH-4 has no instruction for.
pub fn doubles(seed: u32) -> u64 {
    let mut random = Random::new(seed);
    let (mut sum, mut single) = (0.5f64, 0.25f32);
    for _ in 0..64 {
        let number = random.next();
        sum = sum * 0.75 + f64::from(number) / 3.0 - (sum / 7.0) as i32 as f64;
        single = single * 0.5 + number as f32 - (random.wide() >> 40) as f32;
    }
    (sum as u64).rotate_left(20) ^ single as i64 as u64 ^ sum.to_bits()
}

/// FNV-1a of bytes in an array, with copies of it.
pub fn hashed(seed: u32) -> u64 {
    let mut random = Random::new(seed);
    let mut bytes = [0u8; 256];
    for byte in &mut bytes {
        *byte = random.next() as u8;
    }
    let mut sum = 0;
    for _ in 0..4 {
        let copy = core::hint::black_box(bytes);
        sum = copy
            .iter()
            .fold(sum ^ 0xcbf2_9ce4_8422_2325u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        for (to, from) in bytes.iter_mut().zip(copy.iter().rev()) {
            *to = from.wrapping_add(sum as u8);
        }
    }
    sum
}

/// Calls below calls, each with a frame of its own on both stacks.
pub fn chain(seed: u32) -> u64 {
    macro_rules! link {
        ($name:ident, $words:literal, $next:expr) => {
            #[inline(never)]
            fn $name(random: &mut Random) -> u64 {
                let mut words = [0u64; $words];
                for word in &mut words {
                    *word = random.wide();
                }
                let next: fn(&mut Random) -> u64 = $next;
                let below = next(random);
                core::hint::black_box(&words).iter().fold(below, |sum, word| sum.rotate_left(1) ^ word)
            }
        };
    }
    link!(first, 8, second);
    link!(second, 40, third);
    link!(third, 3, fourth);
    link!(fourth, 20, |random| random.wide() / (random.sized() | 1));
    first(&mut Random::new(seed))
}

/// A state machine of function pointers, and a trait object: calls through the table, of types that nothing else has.
pub fn states(seed: u32) -> u64 {
    type State = fn(u64, &mut Random, f32) -> u64;
    fn turn(sum: u64, random: &mut Random, by: f32) -> u64 {
        sum.rotate_left(random.below(64)) ^ (by * 3.0) as u64
    }
    fn count(sum: u64, random: &mut Random, _: f32) -> u64 {
        let mut counts = [0u16; 40];
        for _ in 0..100 {
            if let Some(count) = counts.get_mut(random.below(40) as usize) {
                *count = count.wrapping_add(1);
            }
        }
        core::hint::black_box(&counts).iter().fold(sum, |sum, count| sum.wrapping_mul(31) ^ u64::from(*count))
    }
    fn divide(sum: u64, random: &mut Random, by: f32) -> u64 {
        (sum / (random.sized() | 1)).wrapping_add(by as u64)
    }
    trait Step {
        fn step(&self, first: f64, random: &mut Random) -> f32;
    }
    struct Half;
    struct Other([u32; 6]);
    impl Step for Half {
        fn step(&self, first: f64, _: &mut Random) -> f32 {
            first as f32 / 2.0
        }
    }
    impl Step for Other {
        fn step(&self, first: f64, random: &mut Random) -> f32 {
            self.0.iter().fold(first, |sum, word| sum + f64::from(word ^ random.next())) as f32
        }
    }
    let states: [State; 4] = core::hint::black_box([turn, count, divide, |sum, _, _| !sum]);
    let other = Other([seed; 6]);
    let steps: [&dyn Step; 2] = core::hint::black_box([&Half, &other]);
    let mut random = Random::new(seed);
    let mut sum = seed.into();
    for _ in 0..60 {
        let at = random.next();
        let by = steps[(at >> 8) as usize & 1].step(f64::from(at), &mut random);
        sum = states[at as usize & 3](sum, &mut random, by);
    }
    sum
}
