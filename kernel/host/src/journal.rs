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

/// The log.
#[derive(Clone, Debug)]
pub struct Journal {
    depth: Depth,
    names: Vec<String>,
    events: VecDeque<(u64, Event)>,
}

impl Journal {
    pub(crate) fn new(depth: Depth, names: Vec<String>) -> Self {
        Journal { depth, names, events: VecDeque::new() }
    }

    /// Adds an event; it is not even made if nothing is kept.
    pub(crate) fn add(&mut self, now: u64, event: impl FnOnce() -> Event) {
        match self.depth {
            Depth::None => return,
            Depth::Last(most) if self.events.len() >= most => {
                self.events.pop_front();
            }
            Depth::Last(_) | Depth::All => {}
        }
        self.events.push_back((now, event()));
    }

    /// The events that are kept, each with its time.
    pub fn events(&self) -> impl Iterator<Item = &(u64, Event)> {
        self.events.iter()
    }

    fn name(&self, component: ComponentId) -> &str {
        self.names.get(component.index()).map_or("?", String::as_str)
    }
}

impl fmt::Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, event) in &self.events {
            write!(f, "{:>12}.{:03} us  ", at / 1000, at % 1000)?;
            match event {
                Event::Started { component, epoch } => writeln!(f, "{} started, epoch {epoch}", self.name(*component))?,
                Event::Ended { component, epoch, fault, seal } => writeln!(
                    f,
                    "{} ended, epoch {epoch}: {fault}; {} offered again, {} interrupted, {} poisoned{}",
                    self.name(*component),
                    seal.offered_again,
                    seal.interrupted,
                    seal.poisoned,
                    if seal.blamed { ", its words were wild" } else { "" },
                )?,
                Event::Rang { component, port } => writeln!(f, "{} rang port {port}", self.name(*component))?,
                Event::Interrupt { component, line } => {
                    writeln!(f, "interrupt line {line} to {}", self.name(*component))?;
                }
                Event::Struck { component, point, strike } => {
                    writeln!(f, "{} struck at its point {point}: {strike:?}", self.name(*component))?;
                }
                Event::Knocked { component, how } => writeln!(f, "{} knocked: {how:?}", self.name(*component))?,
                Event::Log { component, text } => writeln!(f, "{}: {text}", self.name(*component))?,
                Event::Rebooted => writeln!(f, "the image began anew")?,
            }
        }
        Ok(())
    }
}
