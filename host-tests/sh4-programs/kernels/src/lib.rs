//! Small programs of the field's kind. `kernels.c` beside this file has the same ones in C: the same steps on the same data.
//!
//! Each takes a buffer of [`WORDS`] words, filled by [`fill`], and gives a checksum of what it has computed.

#![no_std]

/// Words in the buffer.
pub const WORDS: usize = 1024;

/// A panic is a trap: nothing here panics.
#[cfg(target_family = "wasm")]
#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

type Buffer = [u32; WORDS];

fn next(state: &mut u32) -> u32 {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    *state
}

/// Fills a buffer with what looks like chance.
#[unsafe(no_mangle)]
pub extern "C" fn fill(buffer: &mut Buffer) -> u32 {
    let mut state = 0x1234_5678;
    for word in buffer.iter_mut() {
        *word = next(&mut state);
    }
    state
}

/// CRC-32 by a table of 16 entries, two steps a byte.
#[unsafe(no_mangle)]
pub extern "C" fn crc32(buffer: &mut Buffer) -> u32 {
    const TABLE: [u32; 16] = [
        0x0000_0000, 0x1db7_1064, 0x3b6e_20c8, 0x26d9_30ac, 0x76dc_4190, 0x6b6b_51f4, 0x4db2_6158, 0x5005_713c,
        0xedb8_8320, 0xf00f_9344, 0xd6d6_a3e8, 0xcb61_b38c, 0x9b64_c2b0, 0x86d3_d2d4, 0xa00a_e278, 0xbdbd_f21c,
    ];
    let mut crc = !0u32;
    for word in buffer.iter() {
        for byte in word.to_le_bytes() {
            crc ^= u32::from(byte);
            crc = TABLE[(crc & 15) as usize] ^ (crc >> 4);
            crc = TABLE[(crc & 15) as usize] ^ (crc >> 4);
        }
    }
    !crc
}

/// SHA-256 of the buffer's words, as big-endian blocks; without padding.
#[unsafe(no_mangle)]
pub extern "C" fn sha256(buffer: &mut Buffer) -> u32 {
    const K: [u32; 64] = [
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
        0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
        0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
        0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
        0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
        0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
        0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
        0xc67178f2,
    ];
    let mut h: [u32; 8] = [
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
    ];
    let mut w = [0u32; 64];
    for block in buffer.chunks_exact(16) {
        w[..16].copy_from_slice(block);
        for i in 16..64 {
            let s0 = w[i - 15].rotate_right(7) ^ w[i - 15].rotate_right(18) ^ (w[i - 15] >> 3);
            let s1 = w[i - 2].rotate_right(17) ^ w[i - 2].rotate_right(19) ^ (w[i - 2] >> 10);
            w[i] = w[i - 16].wrapping_add(s0).wrapping_add(w[i - 7]).wrapping_add(s1);
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut k] = h;
        for i in 0..64 {
            let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let t1 = k.wrapping_add(s1).wrapping_add((e & f) ^ (!e & g)).wrapping_add(K[i]).wrapping_add(w[i]);
            let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let t2 = s0.wrapping_add((a & b) ^ (a & c) ^ (b & c));
            k = g;
            g = f;
            f = e;
            e = d.wrapping_add(t1);
            d = c;
            c = b;
            b = a;
            a = t1.wrapping_add(t2);
        }
        for (sum, add) in h.iter_mut().zip([a, b, c, d, e, f, g, k]) {
            *sum = sum.wrapping_add(add);
        }
    }
    h.iter().fold(0, |sum, word| sum ^ word)
}

/// Heap sort.
#[unsafe(no_mangle)]
pub extern "C" fn heap_sort(buffer: &mut Buffer) -> u32 {
    fn sift(heap: &mut [u32], mut at: usize) {
        loop {
            let mut child = 2 * at + 1;
            if child >= heap.len() {
                return;
            }
            if child + 1 < heap.len() && heap[child] < heap[child + 1] {
                child += 1;
            }
            if heap[at] >= heap[child] {
                return;
            }
            heap.swap(at, child);
            at = child;
        }
    }
    for at in (0..WORDS / 2).rev() {
        sift(buffer, at);
    }
    for end in (1..WORDS).rev() {
        buffer.swap(0, end);
        sift(&mut buffer[..end], 0);
    }
    buffer.iter().enumerate().fold(0, |sum, (at, word)| sum.rotate_left(1) ^ word ^ at as u32)
}

/// Insertion sort of pieces of 32 words.
#[unsafe(no_mangle)]
pub extern "C" fn insertion_sort(buffer: &mut Buffer) -> u32 {
    for piece in buffer.chunks_exact_mut(32) {
        for i in 1..piece.len() {
            let word = piece[i];
            let mut at = i;
            while at > 0 && piece[at - 1] > word {
                piece[at] = piece[at - 1];
                at -= 1;
            }
            piece[at] = word;
        }
    }
    buffer.iter().fold(0, |sum, word| sum.rotate_left(1) ^ word)
}

/// Numbers as postcard writes them: seven bits a byte, and read back.
#[unsafe(no_mangle)]
pub extern "C" fn varint(buffer: &mut Buffer) -> u32 {
    let mut bytes = [0u8; 5];
    let mut sum = 0u32;
    for word in buffer.iter() {
        let mut rest = word >> (word & 31);
        let mut length = 0;
        loop {
            let byte = (rest & 0x7f) as u8;
            rest >>= 7;
            if rest == 0 {
                bytes[length] = byte;
                length += 1;
                break;
            }
            bytes[length] = byte | 0x80;
            length += 1;
        }
        let mut back = 0u32;
        for (at, byte) in bytes[..length].iter().enumerate() {
            back |= u32::from(byte & 0x7f) << (7 * at);
        }
        sum = sum.rotate_left(3) ^ back ^ length as u32;
    }
    sum
}

/// COBS: zeros taken out of 254 bytes, and put back.
#[unsafe(no_mangle)]
pub extern "C" fn cobs(buffer: &mut Buffer) -> u32 {
    let mut plain = [0u8; 250];
    for (byte, word) in plain.iter_mut().zip(buffer.iter()) {
        *byte = if word & 7 == 0 { 0 } else { *word as u8 };
    }
    let mut coded = [0u8; 256];
    let (mut code_at, mut to, mut code) = (0, 1, 1u8);
    for byte in plain {
        if byte == 0 {
            coded[code_at] = code;
            code_at = to;
            to += 1;
            code = 1;
        } else {
            coded[to] = byte;
            to += 1;
            code += 1;
        }
    }
    coded[code_at] = code;
    let mut sum = 0u32;
    let mut at = 0;
    while at < to {
        let code = usize::from(coded[at]);
        for i in 1..code {
            sum = sum.rotate_left(5) ^ u32::from(coded[at + i]);
        }
        at += code;
        if at < to {
            sum = sum.rotate_left(5);
        }
    }
    sum
}

/// FNV-1a with 64 bits, and a remainder now and then.
#[unsafe(no_mangle)]
pub extern "C" fn wide(buffer: &mut Buffer) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for word in buffer.iter() {
        hash ^= u64::from(*word);
        hash = hash.wrapping_mul(0x0000_0100_0000_01b3);
        hash = hash.rotate_left(23).wrapping_add(u64::from(*word) << (word & 31));
        if word & 15 == 0 {
            hash ^= hash % (u64::from(*word) | 1);
        }
    }
    (hash ^ (hash >> 32)) as u32
}

/// Numbers as decimal text.
#[unsafe(no_mangle)]
pub extern "C" fn decimal(buffer: &mut Buffer) -> u32 {
    let mut sum = 0u32;
    for word in buffer.iter() {
        let mut text = [0u8; 10];
        let mut at = text.len();
        let mut rest = *word;
        loop {
            at -= 1;
            text[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        sum = text[at..].iter().fold(sum, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte)));
    }
    sum
}

/// A product of matrices of 16 x 16.
#[unsafe(no_mangle)]
pub extern "C" fn matrix(buffer: &mut Buffer) -> u32 {
    let (a, rest) = buffer.split_at(256);
    let b = &rest[..256];
    let mut sum = 0u32;
    for i in 0..16 {
        for j in 0..16 {
            let mut cell = 0u32;
            for k in 0..16 {
                cell = cell.wrapping_add(a[16 * i + k].wrapping_mul(b[16 * k + j]));
            }
            sum = sum.rotate_left(1) ^ cell;
        }
    }
    sum
}

/// A filter with 16 taps, in floating point.
#[unsafe(no_mangle)]
pub extern "C" fn filter(buffer: &mut Buffer) -> u32 {
    let mut taps = [0f32; 16];
    for (at, tap) in taps.iter_mut().enumerate() {
        *tap = (at as f32 + 1.0) / 16.0;
    }
    let mut samples = [0f32; 256];
    for (sample, word) in samples.iter_mut().zip(buffer.iter()) {
        *sample = (word >> 16) as i32 as f32 - 32768.0;
    }
    let mut sum = 0u32;
    for window in samples.windows(16) {
        let mut value = 0f32;
        for (sample, tap) in window.iter().zip(&taps) {
            value += sample * tap;
        }
        sum = sum.rotate_left(1) ^ value as i32 as u32;
    }
    sum
}

/// Calls through a table of functions, as a state machine makes them.
#[unsafe(no_mangle)]
pub extern "C" fn machine(buffer: &mut Buffer) -> u32 {
    type State = fn(u32, &mut u32) -> usize;
    fn idle(word: u32, sum: &mut u32) -> usize {
        *sum ^= word;
        if word & 1 == 0 { 1 } else { 0 }
    }
    fn header(word: u32, sum: &mut u32) -> usize {
        *sum = sum.wrapping_add(word);
        if word & 2 == 0 { 2 } else { 3 }
    }
    fn body(word: u32, sum: &mut u32) -> usize {
        *sum = sum.rotate_left(7) ^ word;
        if word & 12 == 0 { 3 } else { 2 }
    }
    fn end(word: u32, sum: &mut u32) -> usize {
        *sum = sum.wrapping_sub(word);
        0
    }
    const STATES: [State; 4] = [idle, header, body, end];
    let mut state = 0;
    let mut sum = 0;
    for word in buffer.iter() {
        state = STATES[state & 3](*word, &mut sum);
    }
    sum
}

/// The same with functions that return two words: in Rust through memory, in C in two registers.
#[unsafe(no_mangle)]
pub extern "C" fn pairs(buffer: &mut Buffer) -> u32 {
    type State = fn(u32, u32) -> (usize, u32);
    fn idle(word: u32, sum: u32) -> (usize, u32) {
        (if word & 1 == 0 { 1 } else { 0 }, sum ^ word)
    }
    fn header(word: u32, sum: u32) -> (usize, u32) {
        (if word & 2 == 0 { 2 } else { 3 }, sum.wrapping_add(word))
    }
    fn body(word: u32, sum: u32) -> (usize, u32) {
        (if word & 12 == 0 { 3 } else { 2 }, sum.rotate_left(7) ^ word)
    }
    fn end(word: u32, sum: u32) -> (usize, u32) {
        (0, sum.wrapping_sub(word))
    }
    const STATES: [State; 4] = [idle, header, body, end];
    let mut state = 0;
    let mut sum = 0;
    for word in buffer.iter() {
        (state, sum) = STATES[state & 3](*word, sum);
    }
    sum
}

/// A recursive function.
#[unsafe(no_mangle)]
pub extern "C" fn recursion(buffer: &mut Buffer) -> u32 {
    fn depth(buffer: &Buffer, at: u32, left: u32) -> u32 {
        if left == 0 {
            return buffer[at as usize % WORDS];
        }
        depth(buffer, at.wrapping_mul(5).wrapping_add(1), left - 1)
            .wrapping_add(depth(buffer, at.wrapping_mul(3).wrapping_add(7), left - 1))
    }
    depth(buffer, 1, 10)
}

/// A ring: messages of eight words in, and out again when it is half full.
#[unsafe(no_mangle)]
pub extern "C" fn ring(buffer: &mut Buffer) -> u32 {
    const SLOTS: usize = 16;
    let mut slots = [[0u32; 8]; SLOTS];
    let (mut head, mut tail, mut sum) = (0usize, 0usize, 0u32);
    for message in buffer.chunks_exact(8) {
        slots[head % SLOTS].copy_from_slice(message);
        head += 1;
        if head - tail > SLOTS / 2 {
            let mut out = [0u32; 8];
            out.copy_from_slice(&slots[tail % SLOTS]);
            tail += 1;
            sum = out.iter().fold(sum, |sum, word| sum.wrapping_add(*word).rotate_left(1));
        }
    }
    sum
}

/// Bytes moved and compared.
#[unsafe(no_mangle)]
pub extern "C" fn bytes(buffer: &mut Buffer) -> u32 {
    let mut one = [0u8; 512];
    for (byte, word) in one.iter_mut().zip(buffer.iter()) {
        *byte = (*word >> 24) as u8;
    }
    let mut two = [0u8; 512];
    for (to, from) in two.iter_mut().zip(one.iter().rev()) {
        *to = *from;
    }
    let same = one.iter().zip(&two).filter(|(a, b)| a == b).count() as u32;
    two.iter().fold(same, |sum, byte| sum.rotate_left(3).wrapping_add(u32::from(*byte)))
}
