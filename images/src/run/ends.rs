//! The two ends of a serial line, each as a terminal: the program's (`serial0`) and the outside's (`wire0`).
//!
//! Job: between two slices of platform time, carry bytes between each terminal and its device, and apply what a program
//! sets on a terminal to that end of the line.
//!
//! Rules: what a terminal cannot take yet stays where it is and holds the line, as far as its flow control reaches; nothing
//! is dropped in silence. A setting comes behind the bytes that were sent before it and ahead of those that are sent after
//! it; what is sent within the same slice as it is set counts as sent after it, for a terminal does not tell. A speed that
//! the line cannot make is set back, and that is said.

use std::io;
use std::path::{Path, PathBuf};

use koboshi_host::application::{Announcement, framing};
use koboshi_host::wire::{self, LineEvent, LineSettings};

use super::protocol::{Change, LineEnd, Parity};
use super::system::{Carried, CarriedOutside, Failed, System};
use super::tally::Tally;
use super::terminal::{Setting, Terminal};
use crate::compose::reachable_speed;
use crate::manifest::DeviceKind;

/// What makes the speed of a line: the kind of serial interface, and its clock in hertz.
pub(crate) type SpeedMaker = (DeviceKind, u32);

/// Bytes that are taken from a terminal at a time.
const PART: usize = 4_096;

/// More than the system holds of what a program has sent on a terminal and nobody has read.
const MOST_UNREAD: usize = 64 << 10;

/// What an outside end without flow control holds for a program that does not read, before bytes are lost.
const MOST_WAITING: usize = 64 << 10;

/// Which end of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The application's end: a device of the Monitor.
    Program,
    /// The other end of the serial interface's line.
    Outside,
}

/// One end of a line.
pub(crate) struct End {
    side: Side,
    /// The device in the image.
    device: String,
    name: String,
    /// Where a person finds it.
    pub(crate) shown: PathBuf,
    terminal: Terminal,
    /// How it is set.
    settings: LineSettings,
    /// What makes its speed; `None`: it can have any speed.
    clock: Option<SpeedMaker>,
    /// Bytes may lie unread in the terminal since before the last look.
    backlog: bool,
    /// A program has set it, and what was sent before is not on the line yet: what is sent meanwhile waits.
    noticed: bool,
    /// Read from the terminal, not taken by the device.
    held: Vec<u8>,
    /// Given by the device, not yet to the terminal: only where the line cannot be held.
    behind: Vec<u8>,
    bytes_in: u64,
    bytes_out: u64,
    lost: Tally,
    missed: Tally,
    garbled: Tally,
    /// The line was given up, and that was said.
    gone: bool,
}

fn terminal_setting(settings: &LineSettings) -> Setting {
    Setting { baud: settings.baud, two_stop_bits: settings.stop_bits == 2, flow: settings.flow_control }
}

impl End {
    /// An end with a terminal of its own, set like this; its speed is made from this clock.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn open(
        side: Side,
        device: &str,
        name: String,
        settings: LineSettings,
        clock: Option<SpeedMaker>,
    ) -> io::Result<Self> {
        let terminal = Terminal::open(terminal_setting(&settings))?;
        Ok(End {
            side,
            device: device.to_owned(),
            name,
            shown: terminal.path().to_owned(),
            terminal,
            settings,
            clock,
            backlog: false,
            noticed: false,
            held: Vec::new(),
            behind: Vec::new(),
            bytes_in: 0,
            bytes_out: 0,
            lost: Tally::default(),
            missed: Tally::default(),
            garbled: Tally::default(),
            gone: false,
        })
    }

    /// What it is called in the run directory.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Which end it is.
    pub(crate) const fn side(&self) -> Side {
        self.side
    }

    /// Its speed, in bits per second.
    pub(crate) fn baud(&self) -> u32 {
        self.settings.baud
    }

    /// The file behind it.
    pub(crate) fn terminal(&self) -> &Path {
        self.terminal.path()
    }

    /// How it is set, and what has gone through it.
    pub(crate) fn shows(&self) -> LineEnd {
        LineEnd {
            end: self.name.clone(),
            terminal: self.shown.display().to_string(),
            baud: self.settings.baud,
            parity: match self.settings.parity {
                wire::Parity::None => Parity::None,
                wire::Parity::Even => Parity::Even,
                wire::Parity::Odd => Parity::Odd,
            },
            data_bits: self.settings.data_bits,
            stop_bits: self.settings.stop_bits,
            flow: self.settings.flow_control,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
        }
    }

    /// Sets the line as a person wants it.
    ///
    /// # Errors
    /// What is wrong with the wish, and what would be right; nothing was changed then.
    pub(crate) fn change(&mut self, system: &mut impl System, change: &Change) -> Result<(), Failed> {
        let wrong = |what: String, right: &str| Err((what, right.to_owned()));
        let mut settings = self.settings;
        match change.baud {
            Some(0) => return wrong("a line of 0 baud carries nothing".to_owned(), "name a speed, such as 115200."),
            baud => settings.baud = baud.unwrap_or(settings.baud),
        }
        if let Some(nearest) = self.nearest_speed(settings.baud) {
            let what = format!("the serial interface behind {} cannot make {} baud", self.name, settings.baud);
            return Err((what, format!("the nearest that it can make is --baud {nearest}.")));
        }
        match change.data_bits {
            Some(bits) if !(7..=8).contains(&bits) => {
                return wrong(format!("a byte cannot have {bits} data bits"), "it has 7 or 8.");
            }
            bits => settings.data_bits = bits.unwrap_or(settings.data_bits),
        }
        match change.stop_bits {
            Some(bits) if !(1..=2).contains(&bits) => {
                return wrong(format!("a byte cannot have {bits} stop bits"), "it has 1 or 2.");
            }
            bits => settings.stop_bits = bits.unwrap_or(settings.stop_bits),
        }
        settings.flow_control = change.flow.unwrap_or(settings.flow_control);
        settings.parity = match change.parity {
            None => settings.parity,
            Some(Parity::None) => wire::Parity::None,
            Some(Parity::Even) => wire::Parity::Even,
            Some(Parity::Odd) => wire::Parity::Odd,
        };
        if settings != self.settings {
            if let Some(what) = system.lacks(self.side == Side::Outside, &settings) {
                let remedy = "its speed can be set (--baud); the line of a real board has what its chip has.";
                return wrong(format!("{} is an end of an emulated line, which has no {what}", self.name), remedy);
            }
            // So that a program which looks sees the same, and what it set before is not taken for a new wish.
            let refused = |error| (format!("the terminal cannot be set: {error}"), "see above.".to_owned());
            self.terminal.set(terminal_setting(&settings)).map_err(refused)?;
            self.apply(system, settings);
        }
        Ok(())
    }

    /// If the line cannot have this speed: the nearest that it can have.
    fn nearest_speed(&self, baud: u32) -> Option<u64> {
        let (kind, clock) = self.clock?;
        reachable_speed(kind, clock.into(), baud.into()).err()
    }

    fn apply(&mut self, system: &mut impl System, settings: LineSettings) {
        self.settings = settings;
        match self.side {
            Side::Program => {
                let bit = |is: bool, bit: u32| if is { bit } else { 0 };
                let framing = bit(settings.data_bits == 7, framing::SEVEN)
                    | bit(settings.parity == wire::Parity::Even, framing::EVEN)
                    | bit(settings.parity == wire::Parity::Odd, framing::ODD)
                    | bit(settings.stop_bits == 2, framing::TWO_STOP)
                    | bit(settings.flow_control, framing::RTS_CTS);
                system.set_program_line(&self.device, settings.baud, framing);
            }
            Side::Outside => system.set_outside_line(&self.device, settings),
        }
    }

    /// Carries what can be carried. Gives what there is to say to people.
    ///
    /// # Errors
    /// As the system says of the terminal.
    pub(crate) fn pump(&mut self, system: &mut impl System) -> io::Result<Vec<String>> {
        let mut said = Vec::new();
        self.take_setting(system, &mut said)?;
        if self.held.is_empty() && !self.noticed && self.may_take(system) {
            self.backlog = self.take_sent(PART)?;
        } else {
            self.backlog |= !self.noticed;
        }
        said.extend(match self.side {
            Side::Program => self.pump_program(system)?,
            Side::Outside => self.pump_outside(system)?,
        });
        for line in &mut said {
            line.insert_str(0, &format!("{}: ", self.name));
        }
        Ok(said)
    }

    /// Takes what a program has sent, up to so many bytes; whether there may be more.
    fn take_sent(&mut self, most: usize) -> io::Result<bool> {
        let before = self.held.len();
        self.held.resize(before + most, 0);
        let count = self.terminal.read(&mut self.held[before..]);
        self.held.truncate(before + count.as_ref().map_or(0, |count| *count));
        Ok(count? == most)
    }

    /// Notices what a program has set, and applies it once all that was sent before is on the line.
    fn take_setting(&mut self, system: &mut impl System, said: &mut Vec<String>) -> io::Result<()> {
        let wanted = self.terminal.setting().filter(|wanted| *wanted != terminal_setting(&self.settings));
        let Some(Setting { baud, two_stop_bits, flow }) = wanted else {
            self.noticed = false;
            return Ok(());
        };
        if let Some(nearest) = self.nearest_speed(baud) {
            let present = self.settings.baud;
            said.push(format!("{baud} baud cannot be made, the nearest is {nearest}; it stays at {present}"));
            return self.terminal.set(Setting { baud: present, two_stop_bits, flow });
        }
        let settings =
            LineSettings { stop_bits: if two_stop_bits { 2 } else { 1 }, flow_control: flow, ..self.settings };
        if let Some(what) = system.lacks(self.side == Side::Outside, &settings) {
            said.push(format!("the emulated line has no {what}; only its speed can be set"));
            return self.terminal.set(Setting { baud, ..terminal_setting(&self.settings) });
        }
        if !std::mem::replace(&mut self.noticed, true) && self.backlog {
            self.take_sent(MOST_UNREAD)?;
        }
        if self.held.is_empty() && self.is_drained(system) {
            self.apply(system, LineSettings { baud, ..settings });
            self.noticed = false;
        }
        Ok(())
    }

    fn is_drained(&self, system: &mut impl System) -> bool {
        match self.side {
            Side::Program => system.program_is_drained(&self.device),
            Side::Outside => system.outside_is_idle(&self.device),
        }
    }

    /// Whether the device is ready for what a program sends now: as it is set now.
    fn may_take(&self, system: &mut impl System) -> bool {
        self.side == Side::Outside || system.program_may_send(&self.device)
    }

    fn pump_program(&mut self, system: &mut impl System) -> io::Result<Vec<String>> {
        let free = self.terminal.is_free();
        let Carried { taken, arrived, announced, gone } = system.program(&self.device, &self.held, free);
        self.held.drain(..taken);
        self.bytes_in += taken as u64;
        self.bytes_out += arrived.len() as u64;
        self.terminal.give(arrived)?;
        let mut said: Vec<String> = announced.into_iter().map(|(at, what)| announcement(at, what)).collect();
        if gone != self.gone {
            self.gone = gone;
            let down = "the line was given up; what is sent waits until `koboshi restart` brings its driver back";
            said.push(if gone { down.to_owned() } else { "the line is back".to_owned() });
        }
        Ok(said)
    }

    fn pump_outside(&mut self, system: &mut impl System) -> io::Result<Vec<String>> {
        let free = self.terminal.is_free() && self.behind.is_empty();
        // While no program reads, the chip is to wait.
        let holds = !free && self.settings.flow_control;
        let CarriedOutside { taken, arrived, events, lost: missed } = system.outside(&self.device, &self.held, holds);
        self.held.drain(..taken);
        self.bytes_in += taken as u64;
        self.behind.extend(arrived);
        let mut said = Vec::new();
        let mut lost = 0;
        if self.terminal.is_free() {
            self.bytes_out += self.behind.len() as u64;
            self.terminal.give(std::mem::take(&mut self.behind))?;
        } else if self.behind.len() > MOST_WAITING {
            lost = self.behind.len() - MOST_WAITING;
            self.behind.truncate(MOST_WAITING);
        } else {
            self.terminal.give(Vec::new())?;
        }
        let now = system.now();
        if let Some(missed) = self.missed.add(missed as usize, now) {
            said.push(format!("{missed} bytes never arrived at the other end"));
        }
        if let Some(lost) = self.lost.add(lost, now) {
            said.push(format!("{lost} bytes lost: no program reads here, and the line has no flow control"));
        }
        let garbled = events.iter().filter(|event| matches!(event, LineEvent::Garbled { .. })).count();
        if let Some(garbled) = self.garbled.add(garbled, now) {
            let plural = if garbled == 1 { "" } else { "s" };
            said.push(format!("{garbled} garbled byte{plural}: are both ends set alike? (`koboshi line`)"));
        }
        said.extend(events.iter().filter_map(|event| match event {
            LineEvent::Break { lasted, .. } => Some(format!("a break of {} us", lasted / 1_000)),
            LineEvent::Garbled { .. } => None,
        }));
        Ok(said)
    }
}

/// In the words of a person.
pub(crate) fn announcement(at: u64, what: Announcement) -> String {
    let what = match what {
        Announcement::Gap => "bytes may be missing here (gap)",
        Announcement::Overrun => "bytes were lost here: the line was faster than its reader (overrun)",
        Announcement::Break => "a break came in",
        Announcement::Framing => "the next byte came without a proper end (framing error)",
        Announcement::Parity => "the next byte came with wrong parity",
        Announcement::NotSent => "what was sent may not have gone out whole",
    };
    format!("after {at} bytes: {what}")
}
