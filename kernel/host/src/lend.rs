//! Memory that is lent to components and to the kernel as if it lived for ever.
//!
//! Components hold `&'static` memory, because on a board it is static. Here it belongs to one machine and is given back
//! with it. All of the unsafety of that is in this file.
#![allow(unsafe_code, reason = "lends memory for longer than the borrow checker can see")]

use std::ptr::NonNull;

/// Memory that is lent and, when this is dropped, given back.
pub(crate) struct Lent<T: ?Sized> {
    memory: NonNull<T>,
}

impl<T: ?Sized> Lent<T> {
    pub(crate) fn new(memory: Box<T>) -> Self {
        Lent { memory: NonNull::from(Box::leak(memory)) }
    }

    /// The memory, shared.
    ///
    /// # Safety
    /// Nobody uses what this gives after the `Lent` is dropped, and nobody holds [`Lent::exclusive`] of it.
    pub(crate) unsafe fn shared(&self) -> &'static T {
        // SAFETY: the box was leaked and is given back only by `drop`; the caller keeps the rest.
        unsafe { self.memory.as_ref() }
    }

    /// The memory, for one holder.
    ///
    /// # Safety
    /// Nobody uses what this gives after the `Lent` is dropped, and it is called once.
    #[allow(clippy::mut_from_ref, reason = "the caller vouches that it is called once")]
    pub(crate) unsafe fn exclusive(&self) -> &'static mut T {
        // SAFETY: as above, and the caller vouches for being the only one.
        unsafe { &mut *self.memory.as_ptr() }
    }
}

impl<T: ?Sized> Drop for Lent<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `Box::leak`, and by the contracts above nobody uses the memory any more.
        drop(unsafe { Box::from_raw(self.memory.as_ptr()) });
    }
}
