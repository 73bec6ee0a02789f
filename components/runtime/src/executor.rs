//! The executor: a component is one future, and a turn is one poll of it.
//!
//! There is nothing to register wakers with: whoever rings, interrupts or alarms a component has it polled, and then
//! everything inside looks again. So order matters inside a `join`: who waits for what another part has just done comes
//! behind it.

use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use crate::life::Exit;

/// One turn of a component, from its wait to its wait.
pub fn turn<F: Future<Output = Exit>>(component: Pin<&mut F>) -> Poll<Exit> {
    component.poll(&mut Context::from_waker(Waker::noop()))
}
