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

/// Asks to be woken at `at` at the latest. It holds until the component next comes to its wait.
pub fn wake_at(at: Instant) {
    step(Point::Timer, || koboshi_alarm(at.as_ticks()));
}

/// Waits until `at`.
pub async fn sleep_until(at: Instant) {
    poll_fn(|_| {
        if now() >= at {
            return Poll::Ready(());
        }
        wake_at(at);
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
