//! Copying for GCC, which calls it to assign a structure. (Rust programs bring their own.)
//!
//! SH-4 traps on an access that is not aligned: what goes by words is aligned at both ends.

/// Bytes of a word.
const WORD: usize = size_of::<u32>();

/// Copies `count` bytes between memory that does not overlap.
///
/// # Safety
/// `count` bytes may be read at `from` and written at `to`.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the same is asked for.
    unsafe { upwards(to, from, count) };
    to
}

/// Copies `count` bytes between memory that may overlap.
///
/// # Safety
/// `count` bytes may be read at `from` and written at `to`.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if to.addr().wrapping_sub(from.addr()) >= count {
        // What is written has been read before.
        // SAFETY: the same is asked for.
        unsafe { upwards(to, from, count) };
    } else {
        // SAFETY: the same is asked for.
        unsafe { downwards(to, from, count) };
    }
    to
}

/// Are both addresses equally far from a word?
fn alike(to: *mut u8, from: *const u8) -> bool {
    (to.addr() ^ from.addr()) % WORD == 0
}

/// Copies one `T`, this many bytes behind both addresses: one load and one store.
///
/// # Safety
/// A `T` may be read there and written there, and both addresses are aligned for it.
#[inline(always)]
unsafe fn copy_one<T>(to: *mut u8, from: *const u8, offset: usize) {
    let (to, from) = (to.wrapping_add(offset).cast::<T>(), from.wrapping_add(offset).cast::<T>());
    // SAFETY: the same is asked for.
    unsafe { core::ptr::copy(from, to, 1) };
}

/// # Safety
/// `count` bytes may be read at `from` and written at `to`; none is read behind one that was written.
#[inline(always)]
unsafe fn upwards(to: *mut u8, from: *const u8, count: usize) {
    let mut done = 0;
    if alike(to, from) {
        while done < count && (to.addr() + done) % WORD != 0 {
            // SAFETY: `done` is less than `count`.
            unsafe { copy_one::<u8>(to, from, done) };
            done += 1;
        }
        while count - done >= WORD {
            // SAFETY: a word is left, and both addresses are aligned.
            unsafe { copy_one::<u32>(to, from, done) };
            done += WORD;
        }
    }
    while done < count {
        // SAFETY: `done` is less than `count`.
        unsafe { copy_one::<u8>(to, from, done) };
        done += 1;
    }
}

/// # Safety
/// `count` bytes may be read at `from` and written at `to`; none is read before one that was written.
#[inline(always)]
unsafe fn downwards(to: *mut u8, from: *const u8, count: usize) {
    let mut left = count;
    if alike(to, from) {
        while left > 0 && (to.addr() + left) % WORD != 0 {
            left -= 1;
            // SAFETY: `left` is less than `count`.
            unsafe { copy_one::<u8>(to, from, left) };
        }
        while left >= WORD {
            left -= WORD;
            // SAFETY: a word is left, and both addresses are aligned.
            unsafe { copy_one::<u32>(to, from, left) };
        }
    }
    while left > 0 {
        left -= 1;
        // SAFETY: `left` is less than `count`.
        unsafe { copy_one::<u8>(to, from, left) };
    }
}
