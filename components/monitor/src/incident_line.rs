//! One recovery in one line, for people.

use core::fmt::{self, Display, Formatter, Write};

use koboshi_interfaces::health::{Fault, Incident, Outcome, Place};
use koboshi_runtime::authority;

/// Bytes that the longest line takes.
const LONGEST: usize = 200;

/// A length of time as people read it.
struct Span(u64);

impl Display for Span {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let us = self.0 / 1_000;
        match (us / 1_000, us % 1_000) {
            (0, us) => write!(f, "{us} us"),
            (ms, 0) => write!(f, "{ms} ms"),
            (ms, us) => write!(f, "{ms}.{us:03} ms"),
        }
    }
}

const fn in_words(fault: Fault) -> &'static str {
    match fault {
        Fault::Access => "access",
        Fault::IllegalInstruction => "illegal instruction",
        Fault::Panic => "panic",
        Fault::Stack => "stack overflow",
        Fault::Stuck => "stuck",
        Fault::RunAway => "run-away",
        Fault::BadMessage => "bad message",
        Fault::Exit => "exit",
        Fault::Told => "told to",
        Fault::Late => "late",
        Fault::Rebooted => "the image was rebooted",
        Fault::ManagerDied => "the restart manager died too often: the image was rebooted",
        Fault::Reset => "the machine was reset",
        Fault::Watchdog => "the watchdog has reset the machine",
        Fault::Swapped => "gave its place to another version",
    }
}

/// The line of the source that a panic names; else the instruction, and what it touched.
fn where_it_was(line: &mut impl Write, at: &Place) -> fmt::Result {
    match (at.file.as_str(), at.pc) {
        ("", 0) => {}
        ("", pc) => write!(line, " at {pc:#010x}")?,
        (file, _) => write!(line, " at {file}:{}", at.line)?,
    }
    if at.address != 0 {
        write!(line, " touching {:#010x}", at.address)?;
    }
    if at.event != 0 && at.line == 0 {
        write!(line, " (event {:#05x})", at.event)?;
    }
    Ok(())
}

/// Whether the line about an incident would be another one a little later: it is open, and its time is not over.
pub(crate) const fn too_early(incident: &Incident) -> bool {
    matches!(incident.outcome, Outcome::Open) && incident.allowed.is_some() && !incident.missed
}

/// What happened, how it went on, and whether that was in time.
pub(crate) fn incident_line(incident: &Incident) -> heapless::String<LONGEST> {
    let Incident { sequence, ended, fault, .. } = incident;
    let mut line = heapless::String::new();
    let mut write = || {
        if ended.component.0 == authority::ComponentId::IMAGE.0 {
            return write!(line, "incident {sequence}: {}; it begins for time {}", in_words(*fault), ended.epoch);
        }
        write!(
            line,
            "incident {sequence}: component {} epoch {} {}",
            ended.component.0,
            ended.epoch,
            in_words(*fault)
        )?;
        if let Some(at) = &incident.at {
            where_it_was(&mut line, at)?;
        }
        line.write_str(", ")?;
        match incident.outcome {
            Outcome::Open => write!(line, "not up yet"),
            Outcome::Recovered { took, .. } => write!(line, "up after {}", Span(took)),
            Outcome::GivenUp => write!(line, "given up"),
            Outcome::EndedAgain => write!(line, "ended again before it was up"),
            Outcome::Stopped => write!(line, "stopped"),
            Outcome::Rebooted => write!(line, "the image began anew"),
            Outcome::Swapped => write!(line, "another version has taken its place"),
        }?;
        match incident.allowed.filter(|_| incident.missed) {
            Some(allowed) => write!(line, ", {} were allowed", Span(allowed)),
            None => Ok(()),
        }
    };
    // A line that is too long is cut.
    let _ = write();
    line
}
