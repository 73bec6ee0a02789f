//! What a component asks of the kernel by a trap, but for its wait.

use koboshi_core::kernel::Command;
use koboshi_core::life::Fault;
use koboshi_core::place::FILE;
use koboshi_core::sync::{AtomicU32, Ordering};
use koboshi_core::{ComponentId, Nanoseconds};
use koboshi_sh4_abi::{answer, call, command, command_of_words, denied_in_words, words};

use super::{Machine, event, stop};
use crate::memory;
use crate::trace::Trace;

/// The longest text that is shown of a component.
const LONGEST_TEXT: u32 = 200;

/// What follows a call.
pub(super) enum Then {
    /// Nothing has changed for anybody: whoever has called goes on.
    GoesOn,
    /// Whoever is the next one goes on; it is that late.
    Next(Nanoseconds),
}

impl Machine {
    /// A `trapa` of whoever runs, which is no wait.
    #[inline(never)]
    pub(super) fn called(&mut self, number: u32) -> Then {
        let Some(id) = self.current else { stop() };
        let Some(context) = self.context(id) else { stop() };
        let [_, _, _, _, a, b, c, ..] = context.r;
        let mut now = None;
        let result = match number {
            call::RING => {
                let at = self.time.now();
                self.ring(id, a, at);
                return Then::Next(at);
            }
            call::NOTHING => return Then::GoesOn,
            call::NOW => Some(self.time.now()),
            call::ACKNOWLEDGE => {
                self.acknowledge(id, a);
                return Then::GoesOn;
            }
            call::DOWN => Some(self.kernel.down_for(id)),
            call::FACTS => self.facts(id, a, b).map(Into::into),
            call::INCIDENT => self.incident(id, a, b).map(Into::into),
            call::REGISTERS => self.registers_of(id, a, b).map(Into::into),
            call::PUT => {
                let last = self.context(id).map_or(0, |context| context.r[7]);
                Some(self.put(id, a, b, c, last).into())
            }
            call::LOG => {
                self.log(id, a, b);
                None
            }
            _ => {
                let at = self.time.now();
                now = Some(at);
                self.called_rarely(id, number, [a, b, c], at)
            }
        };
        if let (Some(result), Some(context)) = (result, self.context(id)) {
            let [low, high, ..] = &mut context.r;
            *low = result as u32;
            *high = (result >> 32) as u32;
        }
        match now {
            // It may have asked for what it has no right to.
            None if self.kernel.has_actions() => Then::Next(self.time.now()),
            None => Then::GoesOn,
            Some(at) => Then::Next(at),
        }
    }

    /// The calls after which others may have their turn; gives its result, if it has one.
    #[inline(never)]
    fn called_rarely(&mut self, id: ComponentId, number: u32, [a, b, c]: [u32; 3], now: Nanoseconds) -> Option<u64> {
        match number {
            call::BLAME => {
                let Ok(port) = u8::try_from(a) else { return Some(0) };
                let may = self.kernel.component(id).is_some_and(|component| component.rights.blame);
                if may && self.behind(id, port).is_some_and(|peer| self.must_close_first(peer, Some(id), now)) {
                    self.again(id);
                    return None;
                }
                return Some(self.kernel.blame(id, port, b, c, now).into());
            }
            call::COMMAND => return self.command(id, a, b, c, now).map(Into::into),
            call::EXIT => {
                self.log(id, a, b);
                self.fault(id, Fault::Exit, event::TRAPA, 0);
            }
            call::PANIC => {
                self.show_text(id, b" panics at ", a, b).text(b":").number(c).end();
                self.fault(id, Fault::Panic, event::TRAPA, 0);
                self.note_panic(id, a, b, c);
            }
            // Whatever the window's word says: who says so again and again must not get more time by that.
            call::WINDOW_CLOSED => self.end_window(id),
            call::TRANSLATED.. => self.fault(id, Fault::Panic, event::TRAPA, 0),
            // No such call: as an instruction that does not exist.
            _ => self.fault(id, Fault::IllegalInstruction, event::TRAPA, 0),
        }
        None
    }

    /// The call is made again when whoever made it goes on.
    fn again(&mut self, id: ComponentId) {
        if let Some(context) = self.context(id) {
            context.spc = context.spc.wrapping_sub(2);
        }
    }

    /// Who is behind a component's port.
    fn behind(&self, id: ComponentId, port: u8) -> Option<ComponentId> {
        let port = self.plan.descriptions.get(id.index())?.ports.get(usize::from(port))?;
        let port = self.plan.ports.get(usize::from(port.0))?;
        Some(if port.near.component == id { port.far.component } else { port.near.component })
    }

    #[inline(never)]
    fn acknowledge(&mut self, id: ComponentId, number: u32) {
        let Ok(short) = u8::try_from(number) else { return };
        self.kernel.acknowledge(id, short);
        let line = self.plan.descriptions.get(id.index()).and_then(|component| component.lines.get(number as usize));
        if let Some(line) = line {
            self.show_line(line.0);
        }
    }

    /// Where a component wants words; without them it has no right to ask.
    fn room(&mut self, id: ComponentId, address: u32, count: usize) -> Option<&'static [AtomicU32]> {
        let regions = self.regions(id);
        let room = memory::wanted(regions, address, count as u32);
        if room.is_none() {
            self.fault(id, Fault::Access { address }, event::TRAPA, address);
        }
        room
    }

    #[inline(never)]
    fn facts(&mut self, id: ComponentId, of: u32, to: u32) -> Option<u32> {
        let room = self.room(id, to, words::FACTS)?;
        let Ok(of) = u8::try_from(of) else { return Some(answer::UNKNOWN) };
        Some(match self.kernel.facts_for(id, ComponentId(of)) {
            Ok(facts) => {
                words::put_facts(&facts, room);
                answer::DONE
            }
            Err(denied) => denied_in_words(denied),
        })
    }

    #[inline(never)]
    fn incident(&mut self, id: ComponentId, number: u32, to: u32) -> Option<u32> {
        let room = self.room(id, to, words::INCIDENT)?;
        let may = self.kernel.component(id).is_some_and(|component| component.rights.facts);
        let Some(incident) = self.kernel.incidents().first_from(number).filter(|_| may) else { return Some(0) };
        words::put_incident(incident, room);
        Some(1)
    }

    #[inline(never)]
    fn registers_of(&mut self, id: ComponentId, of: u32, to: u32) -> Option<u32> {
        let room = self.room(id, to, words::REGISTERS)?;
        let may = self.kernel.component(id).is_some_and(|component| component.rights.facts);
        let of = ComponentId(u8::try_from(of).unwrap_or(u8::MAX));
        let Some(context) = self.context(of).filter(|context| may && context.ended.epoch != 0) else { return Some(0) };
        words::put_registers(&context.ended, room);
        Some(1)
    }

    fn command(&mut self, id: ComponentId, target: u32, number: u32, argument: u32, now: Nanoseconds) -> Option<u32> {
        let Ok(target) = u8::try_from(target).map(ComponentId) else { return Some(answer::UNKNOWN) };
        let wanted = match command_of_words(number, argument) {
            Some(Command::Knock(_)) if !cfg!(feature = "knocks") => return Some(answer::UNKNOWN),
            Some(wanted) => wanted,
            None if number == command::KNOCK => return Some(answer::UNKNOWN),
            None => return Some(answer::RIGHT),
        };
        let ends = matches!(wanted, Command::End(_) | Command::EndReported(..) | Command::Stop | Command::GiveUp);
        // Whoever may not end it must not even make it close its window: it would run before everybody else for that.
        let may = self.kernel.component(id).is_some_and(|component| component.rights.control & target.bit() != 0);
        if ends && may && target != id && self.must_close_first(target, Some(id), now) {
            self.again(id);
            return None;
        }
        let done = self.kernel.command_for(id, target, wanted, now);
        if let (Command::Knock(how), Ok(()), Some(component)) = (wanted, done, self.component(target)) {
            let word = &memory::view(component.view).knock;
            let count = (word.load(Ordering::Relaxed) | 0xFF).wrapping_add(1);
            word.store(count | u32::from(how.code()), Ordering::Relaxed);
        }
        if let (Command::Swap(_), Some(component)) = (wanted, self.component(target)) {
            let quiesces = self.kernel.quiesces(target);
            memory::view(component.view).quiesces.store(quiesces.into(), Ordering::Relaxed);
        }
        self.show(target);
        Some(done.map_or_else(denied_in_words, |()| answer::DONE))
    }

    #[inline(never)]
    fn log(&mut self, id: ComponentId, text: u32, length: u32) {
        self.show_text(id, b" says ", text, length).end();
    }

    /// Notes where a component panicked, as it says. Of the file's name the end counts.
    fn note_panic(&mut self, id: ComponentId, file: u32, length: u32, line: u32) {
        let longest = length.min(FILE as u32 + 1);
        let regions = self.regions(id);
        let name = memory::shown(regions, file.wrapping_add(length.wrapping_sub(longest)), longest, longest);
        if let Some(incident) = self.kernel.incident_of(id) {
            incident.at.panicked(name.unwrap_or(b"?"), line);
        }
    }

    fn show_text(&mut self, id: ComponentId, what: &[u8], text: u32, length: u32) -> Trace {
        let regions = self.regions(id);
        let text = memory::shown(regions, text, length, LONGEST_TEXT).unwrap_or(b"?");
        self.trace.text(b"koboshi: ").text(self.name(id).as_bytes()).text(what).text(text)
    }
}
