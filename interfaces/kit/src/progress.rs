//! Progress: how far a resumable request has come, kept where the server's death cannot reach it.
//!
//! The rule: one word, moved by one store, so that there is no moment at which it is half right. It must never be
//! copied into the server's own memory and believed later: after a death only the word itself counts.

use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::message::Message;

/// What a progress word counts: a message that is one `u32`, such as `Written(u32)`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be kept as progress",
    note = "progress is one `u32`: a message with `From<u32>` and `Into<u32>`, such as `Written(u32)`"
)]
pub trait Step: Message + From<u32> + Into<u32> {}

#[diagnostic::do_not_recommend]
impl<P: Message + From<u32> + Into<u32>> Step for P {}

/// The progress of the one request that is in hand. It outlives the server.
pub struct Progress<P> {
    word: &'static AtomicU32,
    counts: PhantomData<fn() -> P>,
}

impl<P> Progress<P> {
    /// For whoever implements a server's end: progress that lives in `word`.
    pub fn new(word: &'static AtomicU32) -> Self {
        Self { word, counts: PhantomData }
    }
}

impl<P: Step> Progress<P> {
    /// How far the request has come: zero at first, or where the incarnation before this one left off.
    pub fn get(&self) -> P {
        // Only this server stores here while it runs, and it sees its own stores.
        P::from(self.word.load(Ordering::Relaxed))
    }

    /// Moves on, by one store.
    ///
    /// Do it in the same window as the step it counts, with nothing in between that can fail.
    pub fn set(&mut self, to: P) {
        // Release: whoever sees the new count after our death also sees what we did before it.
        self.word.store(to.into(), Ordering::Release);
    }
}

impl<P> fmt::Debug for Progress<P> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Progress").field(&self.word.load(Ordering::Relaxed)).finish()
    }
}
