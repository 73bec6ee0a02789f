//! The executor: a component is one future, and a turn is one poll of it.
//!
//! There is nothing to register wakers with: whoever rings, interrupts or alarms a component has it polled, and then
//! everything inside looks again. So order matters inside a `join`: who waits for what another part has just done comes
//! behind it.

use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};

use crate::life::Exit;

/// One turn of a component, from its wait to its wait.
pub fn turn<F: Future<Output = Exit>>(component: Pin<&mut F>) -> Poll<Exit> {
    component.poll(&mut Context::from_waker(Waker::noop()))
}

/// Does `act`, in machine code of its own.
///
/// An optimiser puts what is awaited in one place only into whoever awaits it: a component with many long parts becomes one
/// function, which a compiler may take minutes for. The parts stay apart if they are awaited through this.
pub async fn apart<T>(act: impl Future<Output = T>) -> T {
    #[inline(never)]
    fn poll<F: Future>(act: Pin<&mut F>, context: &mut Context<'_>) -> Poll<F::Output> {
        act.poll(context)
    }
    let mut act = pin!(act);
    poll_fn(|context| poll(act.as_mut(), context)).await
}
