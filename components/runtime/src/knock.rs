//! What a knock does to memory: for the platforms, which carry knocks out.

use koboshi_core::knock::Knock;
use koboshi_core::record::{Half, Position};
use koboshi_core::ring::Header;
use koboshi_core::sync::{AtomicU32, Ordering};

use crate::kept::{COPIES, COPY};
use crate::platform::PortMemory;

/// Spoils the reply that a component of this epoch has just written: true if this port has one.
#[must_use]
pub fn spoil_reply(memory: &PortMemory, epoch: u32, knock: Knock) -> bool {
    let Some(own) = Half::new(memory.own, memory.own_slots) else { return false };
    let answered = own.get(Position::Answered);
    let (Some(replies), Some(last)) = (own.slots(), answered.checked_sub(1)) else { return false };
    if knock == Knock::DropReply {
        replies.clear(last);
        own.set(Position::Answered, last);
        return true;
    }
    // As long as a slot can be: whatever was to be said, there are bytes left over.
    let length = replies.geometry().payload();
    for at in 0..length {
        replies.set_payload_byte(last, at, 0xFF);
    }
    replies.finish(last, Header { epoch, tag: 0, origin: 0 }, length);
    true
}

/// Flips a bit of the newest copy of what a component keeps. Any will do; which one depends on `turn`.
pub fn corrupt_kept(kept: &[AtomicU32], turn: u32) {
    let sequence = |at: &usize| kept.get(*at).map_or(0, |word| word.load(Ordering::Relaxed));
    let newest = (0..COPIES).map(|copy| copy * COPY).max_by_key(sequence).unwrap_or(0);
    if let Some(word) = kept.get(newest + 3 + turn as usize % 3) {
        // Nobody else writes it.
        word.store(word.load(Ordering::Relaxed) ^ 1 << (turn % 32), Ordering::Relaxed);
    }
}
