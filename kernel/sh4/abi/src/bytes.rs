//! Copying and filling memory, as compilers call it: for SH-4, where what is not aligned traps, and where LLVM's own way
//! costs twice as much.
//!
//! Every program for SH-4 has this crate, so all of them have these.
//!
//! Rule: each access is volatile, so that no compiler takes a loop for a call of the function that it is in.
#![allow(unsafe_code, reason = "functions that compilers call have their names and their rules")]

/// Bytes of a word.
const WORD: usize = size_of::<u32>();

/// Copies a `T` so many bytes behind both addresses.
///
/// # Safety
/// It may be read there and written there, and both addresses are aligned for it.
#[inline(always)]
unsafe fn one<T>(to: *mut u8, from: *const u8, at: usize) {
    // SAFETY: the same is asked for.
    let value = unsafe { from.wrapping_add(at).cast::<T>().read_volatile() };
    // SAFETY: the same is asked for.
    unsafe { to.wrapping_add(at).cast::<T>().write_volatile(value) };
}

/// Fills a `T` so many bytes behind an address.
///
/// # Safety
/// It may be written there, and the address is aligned for it.
#[inline(always)]
unsafe fn fill<T>(to: *mut u8, at: usize, value: T) {
    // SAFETY: the same is asked for.
    unsafe { to.wrapping_add(at).cast::<T>().write_volatile(value) };
}

/// Copies `count` bytes between memory that does not overlap.
///
/// # Safety
/// `count` bytes may be read at `from` and written at `to`.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
#[allow(dead_code, reason = "called by compilers")]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    let (mut out, mut from, mut left) = (to, from, count);
    if (to.addr() | from.addr()).is_multiple_of(WORD) {
        while left >= 4 * WORD {
            // SAFETY: four words are left, and both addresses are aligned.
            unsafe { one::<u32>(out, from, 0) };
            // SAFETY: as above.
            unsafe { one::<u32>(out, from, WORD) };
            // SAFETY: as above.
            unsafe { one::<u32>(out, from, 2 * WORD) };
            // SAFETY: as above.
            unsafe { one::<u32>(out, from, 3 * WORD) };
            (out, from, left) = (out.wrapping_add(4 * WORD), from.wrapping_add(4 * WORD), left - 4 * WORD);
        }
        while left >= WORD {
            // SAFETY: a word is left, and both addresses are aligned.
            unsafe { one::<u32>(out, from, 0) };
            (out, from, left) = (out.wrapping_add(WORD), from.wrapping_add(WORD), left - WORD);
        }
    }
    while left >= 4 {
        // SAFETY: four bytes are left.
        unsafe { one::<u8>(out, from, 0) };
        // SAFETY: as above.
        unsafe { one::<u8>(out, from, 1) };
        // SAFETY: as above.
        unsafe { one::<u8>(out, from, 2) };
        // SAFETY: as above.
        unsafe { one::<u8>(out, from, 3) };
        (out, from, left) = (out.wrapping_add(4), from.wrapping_add(4), left - 4);
    }
    while left > 0 {
        // SAFETY: a byte is left.
        unsafe { one::<u8>(out, from, 0) };
        (out, from, left) = (out.wrapping_add(1), from.wrapping_add(1), left - 1);
    }
    to
}

/// Fills `count` bytes.
///
/// # Safety
/// They may be written.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
#[allow(dead_code, reason = "called by compilers")]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    let byte = byte as u8;
    let (mut out, mut left) = (to, count);
    if to.addr().is_multiple_of(WORD) {
        let word = u32::from_ne_bytes([byte; WORD]);
        while left >= 4 * WORD {
            // SAFETY: four words are left, and the address is aligned.
            unsafe { fill(out, 0, word) };
            // SAFETY: as above.
            unsafe { fill(out, WORD, word) };
            // SAFETY: as above.
            unsafe { fill(out, 2 * WORD, word) };
            // SAFETY: as above.
            unsafe { fill(out, 3 * WORD, word) };
            (out, left) = (out.wrapping_add(4 * WORD), left - 4 * WORD);
        }
        while left >= WORD {
            // SAFETY: a word is left, and the address is aligned.
            unsafe { fill(out, 0, word) };
            (out, left) = (out.wrapping_add(WORD), left - WORD);
        }
    }
    while left > 0 {
        // SAFETY: a byte is left.
        unsafe { fill(out, 0, byte) };
        (out, left) = (out.wrapping_add(1), left - 1);
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that begin at a word.
    #[repr(align(4))]
    struct Words([u8; 64]);

    #[test]
    fn every_length_at_every_place_is_copied_and_filled_and_nothing_else() {
        let from = Words(core::array::from_fn(|at| at as u8 + 1));
        for (to_at, from_at, count) in
            (0..4).flat_map(|to| (0..4).flat_map(move |from| (0..40).map(move |n| (to, from, n))))
        {
            let mut room = Words([0xEE; 64]);
            let wanted = |at: usize| match at.checked_sub(to_at).filter(|at| *at < count) {
                Some(at) => from.0[from_at + at],
                None => 0xEE,
            };
            // SAFETY: both arrays are longer than that.
            unsafe { memcpy(room.0[to_at..].as_mut_ptr(), from.0[from_at..].as_ptr(), count) };
            assert!((0..64).all(|at| room.0[at] == wanted(at)), "{count} bytes from {from_at} to {to_at}");
            // SAFETY: as above.
            unsafe { memset(room.0[to_at..].as_mut_ptr(), 0x1AA, count) };
            assert!((0..64).all(|at| room.0[at] == if wanted(at) == 0xEE { 0xEE } else { 0xAA }), "{count} at {to_at}");
        }
    }
}
