//! Names a linked-in component that truly loops, and ends the image: nothing in this process could stop it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The exit code of a process whose image was ended because a component looped (`EX_SOFTWARE` of `sysexits.h`).
pub const EXIT: i32 = 70;

/// What the machine tells of its turns.
struct Told {
    /// The number of the turn, and in its low byte whose it is.
    turn: AtomicU64,
    in_turn: AtomicBool,
    names: Vec<String>,
}

/// Watches the turns of one machine until it is dropped.
pub(crate) struct Watchdog {
    told: Arc<Told>,
}

impl Watchdog {
    /// A watchdog that bears turns of up to `patience`; `before_exit` is called before it ends the process.
    pub(crate) fn new(patience: Duration, names: Vec<String>, before_exit: Option<fn()>) -> Self {
        let told = Arc::new(Told { turn: AtomicU64::new(0), in_turn: AtomicBool::new(false), names });
        let watched = Arc::downgrade(&told);
        // It ends by itself, at the first look after the machine is dropped.
        std::thread::spawn(move || watch(&watched, patience, before_exit));
        Watchdog { told }
    }

    /// A turn begins.
    pub(crate) fn begins(&self, turn: u64, component: u8) {
        self.told.turn.store(turn << 8 | u64::from(component), Ordering::Relaxed);
        self.told.in_turn.store(true, Ordering::Release);
    }

    /// It is over.
    pub(crate) fn ends(&self) {
        self.told.in_turn.store(false, Ordering::Release);
    }
}

fn watch(told: &Weak<Told>, patience: Duration, before_exit: Option<fn()>) {
    let mut last = None;
    loop {
        std::thread::sleep(patience);
        let Some(told) = told.upgrade() else { return };
        let turn = told.in_turn.load(Ordering::Acquire).then(|| told.turn.load(Ordering::Relaxed));
        if let (Some(turn), true) = (turn, last == turn) {
            let name = told.names.get((turn & 0xFF) as usize).map_or("?", String::as_str);
            eprintln!(
                "koboshi: `{name}` has had the processor for over {patience:?} and does not give it back: it loops. \
                 A component that is linked into this process cannot be stopped, so the image ends here."
            );
            if let Some(before_exit) = before_exit {
                before_exit();
            }
            std::process::exit(EXIT);
        }
        last = turn;
    }
}
