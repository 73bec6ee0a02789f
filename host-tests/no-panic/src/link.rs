//! An end of a link: everything that its host, its line and its other end can do to it.

use koboshi_link::{Channel, Instant, Link, Session, Timing, Wake};

use super::Global;

static LINK: Global<Option<Link<512>>> = Global::new(None);
static BYTES: Global<[u8; 4_096]> = Global::new([0; 4_096]);

fn with(length: usize, act: impl FnOnce(&mut Link<512>, &mut [u8]) -> u64) -> u64 {
    match (LINK.get(), BYTES.get().get_mut(..length)) {
        (Some(link), Some(bytes)) => act(link, bytes),
        _ => 0,
    }
}

fn channel(number: u8) -> Channel {
    match number {
        1 => Channel::Application,
        2 => Channel::Control,
        _ => Channel::Log,
    }
}

/// What the module's host writes before it calls, and reads behind.
#[unsafe(no_mangle)]
pub extern "C" fn link_bytes() -> *const u8 {
    BYTES.get().as_ptr()
}

#[unsafe(no_mangle)]
pub extern "C" fn link_new(session: u16, baud: u32) {
    *LINK.get() = Some(Link::new(Session(session), Timing::of_line(baud)));
}

#[unsafe(no_mangle)]
pub extern "C" fn link_receive(length: usize) -> u64 {
    with(length, |link, bytes| {
        link.receive(bytes);
        0
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn link_transmit(length: usize, now: u64) -> u64 {
    with(length, |link, bytes| link.transmit(bytes, Instant::from_ticks(now)) as u64)
}

#[unsafe(no_mangle)]
pub extern "C" fn link_write(number: u8, length: usize) -> u64 {
    with(length, |link, bytes| {
        link.write(channel(number), bytes).map_or_else(|ended| ended.dropped, |count| count) as u64
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn link_read(number: u8, length: usize) -> u64 {
    with(length, |link, bytes| {
        link.read(channel(number), bytes).map_or_else(|ended| ended.dropped, |count| count) as u64
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn link_look(number: u8) -> u64 {
    with(0, |link, _| {
        let wake = match link.wake() {
            Wake::Now => 0,
            Wake::At(at) => at.as_ticks(),
            Wake::Never => 1,
        };
        let channel = channel(number);
        let held = (link.room(channel) ^ link.unacknowledged(channel)) as u64;
        let names = link.session().0 ^ link.peer().map_or(0, |peer| peer.0);
        wake ^ held ^ u64::from(names) ^ u64::from(link.is_readable(channel)) ^ u64::from(link.counts().frames)
    })
}
