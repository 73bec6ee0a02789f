//! Time: the clock, and waiting for it.

use core::future::poll_fn;
use core::task::Poll;

pub use koboshi_interface_kit::{Duration, Instant};

use crate::platform::{Point, koboshi_alarm, koboshi_now, step};

/// Platform time.
#[must_use]
pub fn now() -> Instant {
    Instant::from_ticks(koboshi_now())
}

/// Waits until `at`.
pub async fn sleep_until(at: Instant) {
    poll_fn(|_| {
        if now() >= at {
            return Poll::Ready(());
        }
        step(Point::Timer, || koboshi_alarm(at.as_ticks()));
        Poll::Pending
    })
    .await;
}

/// Waits for `span`.
pub async fn sleep(span: Duration) {
    sleep_until(now() + span).await;
}

/// Waits until `ready` gives something. It is asked again whenever the component is woken.
pub async fn until<T>(mut ready: impl FnMut() -> Option<T>) -> T {
    poll_fn(|_| match ready() {
        Some(found) => Poll::Ready(found),
        None => {
            step(Point::Await, || {});
            Poll::Pending
        }
    })
    .await
}
