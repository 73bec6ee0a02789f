//! Knocks: faults on purpose, for images that a person may knock over.
//!
//! Rule: each is the real thing. A panic is one, and one that hangs runs for ever.

use koboshi_core::knock::Knock;
use koboshi_core::sync::AtomicU32;
use koboshi_runtime::knock::{corrupt_kept, spoil_reply};

use crate::{exit, get, koboshi_kept, koboshi_port, set, view, window};

/// The knock of the kernel's page that was carried out last. Like all variables it begins anew with each incarnation.
static DONE: AtomicU32 = AtomicU32::new(0);

/// The knock that is to be carried out, and its word.
fn wanted() -> Option<(Knock, u32)> {
    let word = get(&view().knock);
    if word == get(&DONE) { None } else { Some((Knock::of_code(word as u8)?, word)) }
}

/// Whether a knock waits. Points are many, and nearly none of them has one.
#[inline]
pub(crate) fn is_due() -> bool {
    get(&view().knock) != get(&DONE)
}

/// A numbered point with a knock waiting: outside of windows, inside of which points do not count, most knocks fall here.
#[cold]
#[inline(never)]
pub(crate) fn point() {
    if get(window()) != 0 {
        return;
    }
    let Some((knock, word)) = wanted() else { return };
    match knock {
        Knock::Panic => panic!("knocked over"),
        Knock::Hang => loop {
            core::hint::spin_loop();
        },
        Knock::Exit => {
            set(&DONE, word);
            exit("it was knocked over");
        }
        Knock::CorruptState => {
            // Another bit in each incarnation.
            corrupt_kept(koboshi_kept(), get(&view().epoch));
            panic!("knocked over, with a bit of its kept state");
        }
        // They wait for a reply.
        Knock::BadMessage | Knock::DropReply => {}
    }
}

/// A doorbell is about to be rung: true if the reply that it is for was taken away.
pub(crate) fn takes_reply(port: u8) -> bool {
    let Some((knock @ (Knock::BadMessage | Knock::DropReply), word)) = wanted() else { return false };
    let spoiled = koboshi_port(port).is_some_and(|memory| spoil_reply(&memory, get(&view().epoch), knock));
    if spoiled {
        set(&DONE, word);
    }
    spoiled && knock == Knock::DropReply
}
