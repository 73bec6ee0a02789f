//! Futures: state machines that the compiler has made, a small executor, channels.

use core::cell::{Cell, RefCell};
use core::fmt::Write;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::{Context, Poll, Waker};

use embassy_futures::join::{join, join3};
use embassy_futures::select::{Either, select};
use embassy_futures::yield_now;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::signal::Signal;
use heapless::{Deque, String};

use crate::{Random, say};

/// Polls until it is ready, but not for ever.
fn run<T>(future: impl Future<Output = T>, out: &mut dyn Write) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for polls in 1..10_000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            say!(out, "ready after {polls} polls");
            return Some(value);
        }
    }
    say!(out, "never ready");
    None
}

/// Two and more futures that work for each other.
pub fn joined(seed: u32, out: &mut dyn Write) {
    let channel: Channel<NoopRawMutex, (u32, u64), 3> = Channel::new();
    let back: Channel<NoopRawMutex, String<24>, 1> = Channel::new();
    let done: Signal<NoopRawMutex, u64> = Signal::new();
    let log = RefCell::new(heapless::Vec::<(char, u32), 128>::new());
    let note = |who, what| {
        let _ = log.borrow_mut().push((who, what));
    };
    let sender = async {
        let mut random = Random::new(seed);
        let mut sum = 0u64;
        for number in 0..12 {
            let value = random.sized();
            note('s', number);
            channel.send((number, value)).await;
            sum = sum.wrapping_add(value);
            if random.below(3) == 0 {
                yield_now().await;
            }
        }
        channel.send((u32::MAX, 0)).await;
        sum
    };
    let receiver = async {
        let mut sum = 0u64;
        loop {
            match channel.receive().await {
                (u32::MAX, _) => break,
                (number, value) => {
                    note('r', number);
                    sum = sum.wrapping_add(value);
                    let mut text = String::new();
                    let _ = write!(text, "{number}:{value:x}");
                    back.send(text).await;
                }
            }
        }
        done.signal(sum);
        sum
    };
    let printer = async {
        let mut length = 0;
        loop {
            match select(back.receive(), done.wait()).await {
                Either::First(text) => length += text.len() as u32,
                Either::Second(sum) => break (length, sum),
            }
            note('p', length);
        }
    };
    let ended = run(join3(sender, receiver, printer), out);
    say!(out, "{ended:?}");
    for (who, what) in log.borrow().iter() {
        let _ = write!(out, "{who}{what} ");
    }
    let both = run(
        join(async { 1u8 }, async {
            yield_now().await;
            "two"
        }),
        out,
    );
    say!(out, "{both:?}");
}

type Task<'a> = Pin<&'a mut dyn Future<Output = ()>>;

/// An executor with a queue of tasks, and futures that are written by hand.
pub fn machine(seed: u32, out: &mut dyn Write) {
    static ROUNDS: AtomicU32 = AtomicU32::new(0);
    ROUNDS.store(0, Ordering::Relaxed);
    let trace = RefCell::new(heapless::Vec::<(u8, u32), 200>::new());
    let tokens = Cell::new(3i32);
    let philosopher = |name: u8, mut random: Random| {
        let (trace, tokens) = (&trace, &tokens);
        async move {
            for step in 0..5 {
                // Waits for a token, and gives it back after some rounds.
                poll_fn(|_| match tokens.get() {
                    0 => Poll::Pending,
                    left => {
                        tokens.set(left - 1);
                        Poll::Ready(())
                    }
                })
                .await;
                let _ = trace.borrow_mut().push((name, step));
                for _ in 0..random.below(4) {
                    yield_now().await;
                }
                tokens.set(tokens.get() + 1);
                ROUNDS.store(ROUNDS.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            }
        }
    };
    let mut one = pin!(philosopher(b'a', Random::new(seed)));
    let mut two = pin!(philosopher(b'b', Random::new(!seed)));
    let mut three = pin!(async {
        philosopher(b'c', Random::new(seed / 3)).await;
        philosopher(b'd', Random::new(seed / 5)).await;
    });
    let mut queue: Deque<(u8, Task<'_>), 4> = Deque::new();
    let _ = queue.push_back((1, one.as_mut()));
    let _ = queue.push_back((2, two.as_mut()));
    let _ = queue.push_back((3, three.as_mut()));
    let mut context = Context::from_waker(Waker::noop());
    let mut polls = 0;
    while let Some((name, mut task)) = queue.pop_front() {
        polls += 1;
        match task.as_mut().poll(&mut context) {
            Poll::Pending => drop(queue.push_back((name, task))),
            Poll::Ready(()) => say!(out, "{name} ends at poll {polls}, {} tokens", tokens.get()),
        }
    }
    say!(out, "{:?} {}", trace.borrow(), ROUNDS.load(Ordering::Relaxed));
}
