//! What does not lie where it ought to: an SH-4 traps on a misaligned access.

use core::fmt::Write;

use crate::{Random, say};

/// Reads and writes at every address.
pub fn unaligned(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    let mut bytes = [0u8; 64];
    bytes.fill_with(|| random.next() as u8);
    let place = core::hint::black_box(bytes.as_mut_ptr());
    for at in 0..17 {
        // SAFETY: the farthest read ends at 17 + 16, of 64.
        let (half, word, wide, huge) = unsafe {
            let from = place.add(at);
            (
                from.cast::<u16>().read_unaligned(),
                from.cast::<u32>().read_unaligned(),
                from.cast::<u64>().read_unaligned(),
                from.cast::<u128>().read_unaligned(),
            )
        };
        say!(out, "{at} {half:x} {word:x} {wide:x} {huge:x}");
        // SAFETY: as above.
        let (single, double) = unsafe {
            let from = place.add(at);
            (from.cast::<f32>().read_unaligned(), from.cast::<f64>().read_unaligned())
        };
        say!(out, "{:?} {:?}", single.partial_cmp(&0.0), double.partial_cmp(&0.0));
        // SAFETY: the farthest write ends at 40 + 17 + 4.
        unsafe {
            let to = place.add(40 + at);
            to.cast::<u32>().write_unaligned(word.rotate_left(9));
            place.add(20 + at).cast::<u64>().write_unaligned(wide ^ 0x1122_3344_5566_7788);
            place.add(3 * at).cast::<u16>().write_unaligned(half + 0u16.count_ones() as u16);
        }
    }
    // SAFETY: it is the array, of 64 bytes.
    say!(out, "{:02x?}", unsafe { core::slice::from_raw_parts(place, 64) });
}

#[repr(C, packed)]
#[derive(Clone, Copy)]
struct Packed {
    kind: u8,
    length: u32,
    time: u64,
    flags: u16,
    value: f64,
}

#[repr(C, align(16))]
#[derive(Clone, Copy, Debug)]
struct Aligned(u8, [u16; 3]);

/// Headers as they come from a wire: fields without padding, either byte order.
pub fn layout(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    for _ in 0..6 {
        let packed = Packed {
            kind: random.next() as u8,
            length: random.next(),
            time: random.wide(),
            flags: random.next() as u16,
            value: f64::from(random.next()) / 3.0,
        };
        let packed = core::hint::black_box([packed; 2]);
        for one in packed {
            let Packed { kind, length, time, flags, value } = one;
            say!(out, "{kind:x} {length:x} {time:x} {flags:x} {value}");
        }
        let mut bytes = [0; 23];
        bytes[0] = packed[1].kind;
        bytes[1..5].copy_from_slice(&{ packed[1].length }.to_be_bytes());
        bytes[5..13].copy_from_slice(&{ packed[1].time }.to_le_bytes());
        bytes[13..15].copy_from_slice(&{ packed[1].flags }.to_be_bytes());
        bytes[15..].copy_from_slice(&{ packed[1].value }.to_le_bytes());
        let bytes = core::hint::black_box(bytes);
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        say!(out, "{:x} {:x} {:x}", word(1), word(2), word(19));
        for at in 0..15 {
            let eight: [u8; 8] = bytes[at..at + 8].try_into().unwrap_or_default();
            say!(out, "{:x} {:x}", u64::from_le_bytes(eight), u64::from_be_bytes(eight));
        }
    }
    let aligned = [Aligned(random.next() as u8, [1, 2, random.next() as u16]); 3];
    say!(out, "{aligned:?} {} {}", size_of_val(&aligned), core::ptr::from_ref(&aligned[1]).is_aligned());
}

/// Copies that overlap, comparisons, fills.
pub fn copies(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    let mut bytes = [0u8; 96];
    bytes.fill_with(|| random.next() as u8);
    for _ in 0..24 {
        let (from, to, length) = (random.below(48) as usize, random.below(48) as usize, random.below(48) as usize);
        bytes.copy_within(from..from + length, to);
        let (one, two) = bytes.split_at(48);
        say!(out, "{:?} {}", one[..length].cmp(&two[..length]), one[from..] == two[from..]);
        bytes[to..to + length / 4].fill(length as u8);
    }
    say!(out, "{bytes:02x?} {:?}", bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>());
    let mut words = [0u32; 24];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = u32::from_ne_bytes(chunk.try_into().unwrap_or_default());
    }
    let before = words;
    words[5..].copy_from_slice(&before[..19]);
    say!(out, "{words:x?} {}", bytes.starts_with(&words[0].to_le_bytes()));
}
