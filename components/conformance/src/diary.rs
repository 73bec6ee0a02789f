//! What the tester has read of the subject's effects.

use core::convert::Infallible;

use heapless::Vec;
use koboshi_interface_kit::wire::Bytes;
use koboshi_runtime::time::until;
use koboshi_runtime::{Either, Subscriber, select};

use crate::ticks::{self, Tick};

/// Effects of one trial that are remembered; more than any trial has.
const EFFECTS: usize = 96;

/// The effects of one trial.
pub(crate) struct Diary {
    pub(crate) ticks: Subscriber<ticks::Port>,
    effects: Vec<Tick, EFFECTS>,
    undecodable: u32,
}

impl Diary {
    pub(crate) const fn new(ticks: Subscriber<ticks::Port>) -> Self {
        Diary { ticks, effects: Vec::new(), undecodable: 0 }
    }

    /// Reads what is there.
    pub(crate) fn read(&mut self) {
        while let Some(item) = self.ticks.peek() {
            let room = match item {
                Ok(tick) => self.effects.push(tick).is_ok(),
                Err(_) => {
                    self.undecodable = self.undecodable.saturating_add(1);
                    self.ticks.release();
                    return;
                }
            };
            if !room {
                return;
            }
            self.ticks.release();
        }
    }

    /// Reads on while something else is done.
    pub(crate) async fn beside<T>(&mut self, act: impl Future<Output = T>) -> T {
        match select(act, self.read_on()).await {
            Either::First(done) => done,
            Either::Second(never) => match never {},
        }
    }

    async fn read_on(&mut self) -> Infallible {
        until(|| {
            self.read();
            None
        })
        .await
    }

    /// Forgets what was read.
    pub(crate) fn forget(&mut self) {
        self.effects.clear();
        self.undecodable = 0;
    }

    /// Items that nobody could read.
    pub(crate) const fn undecodable(&self) -> u32 {
        self.undecodable
    }

    /// How often a request was run, and how often of these as a replay.
    pub(crate) fn runs(&self, of: u32) -> (usize, usize) {
        let ran = self.effects.iter().filter_map(|tick| match tick {
            Tick::Ran { id, replay } if *id == of => Some(*replay),
            _ => None,
        });
        ran.fold((0, 0), |(all, replays), replay| (all + 1, replays + usize::from(replay)))
    }

    /// The requests that were run, in the order in which each was run first.
    pub(crate) fn ran_first(&self) -> impl Iterator<Item = u32> + '_ {
        self.effects.iter().enumerate().filter_map(|(at, tick)| match tick {
            Tick::Ran { id, .. } => {
                let before = self.effects.get(..at).unwrap_or(&[]);
                let seen = before.iter().any(|tick| matches!(tick, Tick::Ran { id: other, .. } if other == id));
                (!seen).then_some(*id)
            }
            _ => None,
        })
    }

    /// How many steps of this work were made.
    pub(crate) fn steps(&self, of: u32) -> usize {
        self.effects.iter().filter(|tick| matches!(tick, Tick::Step { id, .. } if *id == of)).count()
    }

    /// Whether the steps of every work came once each and in order, from the first on.
    pub(crate) fn steps_are_exact(&self) -> bool {
        self.effects.iter().enumerate().all(|(at, tick)| match tick {
            Tick::Step { id, number } => {
                let before = self.effects.get(..at).unwrap_or(&[]);
                let made = before.iter().filter(|tick| matches!(tick, Tick::Step { id: other, .. } if other == id));
                made.count() == *number as usize
            }
            _ => true,
        })
    }

    /// The items that were filled in place.
    pub(crate) fn filled(&self) -> impl Iterator<Item = &Bytes<24>> {
        self.effects.iter().filter_map(|tick| match tick {
            Tick::Filled(bytes) => Some(bytes),
            _ => None,
        })
    }
}
