//! The event log: what happened when, in the order in which it happened.
//!
//! Same image, same seed, same log, byte for byte.

use std::collections::VecDeque;
use std::fmt;

use koboshi_core::ComponentId;
use koboshi_core::life::Fault;
use koboshi_core::record::Seal;

use crate::strike::{How, Strike};

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An incarnation began.
    Started {
        /// Who.
        component: ComponentId,
        /// Which incarnation.
        epoch: u32,
    },
    /// An incarnation ended.
    Ended {
        /// Who.
        component: ComponentId,
        /// Which incarnation.
        epoch: u32,
        /// Why.
        fault: Fault,
        /// What sealing found.
        seal: Seal,
    },
    /// It rang the peer behind one of its ports.
    Rang {
        /// Who.
        component: ComponentId,
        /// Which port of it.
        port: u8,
    },
    /// An interrupt was delivered.
    Interrupt {
        /// To whom.
        component: ComponentId,
        /// Which line of the image.
        line: u8,
    },
    /// A test struck.
    Struck {
        /// Whom.
        component: ComponentId,
        /// At which of its points.
        point: u64,
        /// With what.
        strike: Strike,
    },
    /// Somebody knocked.
    Knocked {
        /// Whom.
        component: ComponentId,
        /// With what.
        how: How,
    },
    /// It wrote to the log.
    Log {
        /// Who.
        component: ComponentId,
        /// What.
        text: String,
    },
    /// A component was given up, and this device of it was left as the image wants it left then.
    SafeAction {
        /// Whose device it is.
        component: ComponentId,
        /// The device's name.
        device: String,
        /// How many registers were written.
        writes: usize,
    },
    /// The image began anew.
    Rebooted,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Nothing.
    #[default]
    None,
    /// The last so many events.
    Last(usize),
    /// All.
    All,
}

/// The log. Its events are numbered 0, 1, 2, ... since boot, those that are not kept too, so that it can be followed.
#[derive(Clone, Debug)]
pub struct Journal {
    depth: Depth,
    names: Vec<String>,
    /// Number of the first event in `events`.
    first: u64,
    events: VecDeque<(u64, Event)>,
}

impl Journal {
    pub(crate) fn new(depth: Depth, names: Vec<String>) -> Self {
        Journal { depth, names, first: 0, events: VecDeque::new() }
    }

    /// Adds an event; it is not even made if nothing is kept.
    pub(crate) fn add(&mut self, now: u64, event: impl FnOnce() -> Event) {
        match self.depth {
            Depth::None | Depth::Last(0) => {
                self.first += 1;
                return;
            }
            Depth::Last(most) if self.events.len() >= most => {
                self.events.pop_front();
                self.first += 1;
            }
            Depth::Last(_) | Depth::All => {}
        }
        self.events.push_back((now, event()));
    }

    /// The events that are kept, each with its time.
    pub fn events(&self) -> impl Iterator<Item = &(u64, Event)> {
        self.events.iter()
    }

    /// The number of the next event that will happen.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    /// Of the events from `number` on: how many are not kept any more, and the others, each with its number and its time.
    ///
    /// Who asks for the one after the last number that it was given, each time, sees each event once, or hears how many it
    /// came too late for.
    pub fn since(&self, number: u64) -> (u64, impl Iterator<Item = (u64, u64, &Event)>) {
        let dropped = self.first.saturating_sub(number);
        let from = number.max(self.first);
        // Further ahead than memory holds is further ahead than any event.
        let skip = usize::try_from(from - self.first).unwrap_or(usize::MAX);
        let kept = self.events.iter().skip(skip).zip(from..);
        (dropped, kept.map(|((at, event), number)| (number, *at, event)))
    }

    /// An event in words, with the names of this image: one line, without its end and without its time.
    #[must_use]
    pub fn in_words<'j>(&'j self, event: &'j Event) -> InWords<'j> {
        InWords { names: &self.names, event }
    }
}

/// An event in words.
#[derive(Clone, Copy, Debug)]
pub struct InWords<'j> {
    names: &'j [String],
    event: &'j Event,
}

impl InWords<'_> {
    fn name(&self, component: ComponentId) -> &str {
        self.names.get(component.index()).map_or("?", String::as_str)
    }
}

impl fmt::Display for InWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.event {
            Event::Started { component, epoch } => write!(f, "{} started, epoch {epoch}", self.name(*component)),
            Event::Ended { component, epoch, fault, seal } => write!(
                f,
                "{} ended, epoch {epoch}: {fault}; {} offered again, {} interrupted, {} poisoned{}",
                self.name(*component),
                seal.offered_again,
                seal.interrupted,
                seal.poisoned,
                if seal.blamed { ", its words were wild" } else { "" },
            ),
            Event::Rang { component, port } => write!(f, "{} rang port {port}", self.name(*component)),
            Event::Interrupt { component, line } => write!(f, "interrupt line {line} to {}", self.name(*component)),
            Event::Struck { component, point, strike } => {
                write!(f, "{} struck at its point {point}: {strike:?}", self.name(*component))
            }
            Event::Knocked { component, how } => write!(f, "{} knocked: {how}", self.name(*component)),
            Event::Log { component, text } => write!(f, "{}: {text}", self.name(*component)),
            Event::SafeAction { component, device, writes } => {
                let plural = if *writes == 1 { "" } else { "s" };
                write!(f, "{} given up: safe action on {device}, {writes} write{plural}", self.name(*component))
            }
            Event::Rebooted => write!(f, "the image began anew"),
        }
    }
}

impl fmt::Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, event) in &self.events {
            writeln!(f, "{:>12}.{:03} us  {}", at / 1000, at % 1000, self.in_words(event))?;
        }
        Ok(())
    }
}
