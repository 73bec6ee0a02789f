//! Wrong words in a component's own half of a port: what safe code can do, and more than any honest component does.

use koboshi_core::record::{Half, Position};
use koboshi_core::ring::Header;
use koboshi_runtime::platform::{koboshi_begin, koboshi_port, koboshi_ring};

use crate::probe::Forgery;

/// How far off a wild position is.
const FAR: u32 = 0x4000_0000;

/// An outcome that does not exist, or an operation that does not.
const NO_SUCH_TAG: u8 = 77;

fn own(port: u8) -> Option<Half<'static>> {
    let memory = koboshi_port(port)?;
    Half::new(memory.own, memory.own_slots)
}

/// Makes a message in the own half wrong, and rings.
pub(crate) fn message(port: u8, position: u32, forgery: Forgery) {
    let Some(slots) = own(port).and_then(|own| own.slots()) else {
        return;
    };
    let epoch = koboshi_begin().0;
    let most = slots.geometry().payload();
    for at in 0..most {
        slots.set_payload_byte(position, at, 0xFF);
    }
    let good = Header { epoch, tag: 0, origin: 0 };
    let (header, length) = match forgery {
        Forgery::Payload => (good, most),
        Forgery::Epoch => (Header { epoch: epoch.wrapping_add(1_000), ..good }, 1),
        Forgery::Length => (good, most.wrapping_add(1)),
        Forgery::Sequence => (good, 1),
        Forgery::Outcome => (Header { tag: NO_SUCH_TAG, ..good }, 1),
    };
    slots.finish(position, header, length);
    if forgery == Forgery::Sequence {
        // The word of a message two turns ahead.
        slots.clear(position.wrapping_add(slots.geometry().slots().wrapping_mul(3)));
    } else {
        slots.commit(position);
    }
    koboshi_ring(port);
}

/// The same for the next item of a stream.
pub(crate) fn item(port: u8, forgery: Forgery) {
    if let Some(own) = own(port) {
        message(port, own.get(Position::Sent), forgery);
    }
}

/// A message at a position where none is due, as if it were.
pub(crate) fn early(port: u8, position: u32, payload: &[u8]) {
    if let Some(slots) = own(port).and_then(|own| own.slots()) {
        slots.write(position, Header { epoch: koboshi_begin().0, tag: 0, origin: 0 }, payload);
        slots.commit(position);
    }
}

/// Positions of a server far off in the ring.
pub(crate) fn server_positions(port: u8) {
    if let Some(own) = own(port) {
        for word in [Position::Taken, Position::Answered, Position::Replayed] {
            own.set(word, own.get(word).wrapping_add(FAR));
        }
    }
}

/// The position of a consumer far off in the ring.
pub(crate) fn consumer_position(port: u8) {
    if let Some(own) = own(port) {
        own.set(Position::Consumed, own.get(Position::Consumed).wrapping_add(FAR));
    }
}

/// Positions of a client far off in the ring.
pub(crate) fn client_positions(port: u8) {
    if let Some(own) = own(port) {
        for word in [Position::Sent, Position::Consumed] {
            own.set(word, own.get(word).wrapping_add(FAR));
        }
    }
}

/// Where the next request of a client goes.
pub(crate) fn next_request(port: u8) -> u32 {
    own(port).map_or(0, |own| own.get(Position::Sent))
}
