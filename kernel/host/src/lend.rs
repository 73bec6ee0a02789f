//! Memory that is lent to components and to the kernel as if it lived for ever.
//!
//! Components hold `&'static` memory, because on a board it is static. Here it belongs to one machine and is given back
//! with it. All of the unsafety of that is in this file, and in one promise of the machine.
#![allow(unsafe_code, reason = "lends memory for longer than the borrow checker can see")]

use std::ptr::NonNull;

/// Memory to be given back.
struct Loan<T: ?Sized>(NonNull<T>);

impl<T: ?Sized> Drop for Loan<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `Box::leak`, and by the promise made to `Lender::new` nobody uses it any more.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

trait GiveBack {}

impl<T: ?Sized> GiveBack for Loan<T> {}

/// All memory that one machine has lent. Dropping it gives the memory back.
#[derive(Default)]
pub(crate) struct Loans {
    given: Vec<Box<dyn GiveBack>>,
}

/// Lends memory.
pub(crate) struct Lender<'l> {
    loans: &'l mut Loans,
}

impl<'l> Lender<'l> {
    /// Lends on account of `loans`.
    ///
    /// # Safety
    /// Nobody uses what this lends after `loans` is dropped.
    pub(crate) unsafe fn new(loans: &'l mut Loans) -> Self {
        Lender { loans }
    }

    /// Lends `memory` to one holder.
    pub(crate) fn lend<T: ?Sized + 'static>(&mut self, memory: Box<T>) -> &'static mut T {
        let mut pointer = NonNull::from(Box::leak(memory));
        self.loans.given.push(Box::new(Loan(pointer)));
        // SAFETY: the box was leaked, this is the only reference made of it, and `new` was promised that it is not used
        // after the loan is given back.
        unsafe { pointer.as_mut() }
    }
}
