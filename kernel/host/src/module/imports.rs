//! What a module imports: the traps of `koboshi-sh4-component`, each of which asks the platform for the component that has
//! its turn.
//!
//! Rules kept here: before the platform looks at memory it is as the module has it, and afterwards the module has it as it
//! is. An address is the module's word: it reaches the module's own memory, or ends its incarnation.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use koboshi_core::ComponentId;
use koboshi_core::life::Fault;
use koboshi_core::sync::{AtomicU32, Ordering};
use koboshi_runtime::platform::{
    Width, koboshi_alarm, koboshi_blame, koboshi_command, koboshi_down, koboshi_facts, koboshi_incident,
    koboshi_interrupt, koboshi_log, koboshi_now, koboshi_read, koboshi_registers, koboshi_ring, koboshi_write,
};
use koboshi_sh4_abi::{answer, command_of_words, denied_in_words, words};
use wasmi::errors::HostError;
use wasmi::{Error, Linker};

use super::memory::{Host, copy_in, copy_out, look_again};

type Caller<'a> = wasmi::Caller<'a, Host>;

/// The module that all imports are said to be of.
const MODULE: &str = "env";

/// Bytes of a text that are read at most.
const TEXT: u32 = 4_096;

/// Why an import has ended the turn.
pub(super) enum End {
    /// It waits.
    Waits,
    /// Its `run` came back.
    Exits,
    /// It panicked.
    Panics { file: String, line: u32 },
    /// It was to be ended, and has closed its window.
    WindowClosed,
    /// It asked for what it must not have.
    Faults(Fault),
    /// The platform has ended it: what its unwinding carries.
    Unwinds(Box<dyn Any + Send>),
}

/// Tells the interpreter that the turn is over.
#[derive(Debug)]
struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the turn is over")
    }
}

impl HostError for Stopped {}

/// Ends the turn, with memory as the module has left it.
fn stop(caller: &mut Caller<'_>, end: End) -> Error {
    copy_out(caller);
    caller.data_mut().end = Some(end);
    Error::host(Stopped)
}

/// Asks the platform for what neither looks at memory nor changes it.
fn ask<T>(caller: &mut Caller<'_>, act: impl FnOnce() -> T) -> Result<T, Error> {
    caller.data_mut().asked = true;
    catch_unwind(AssertUnwindSafe(act)).map_err(|why| stop(caller, End::Unwinds(why)))
}

/// Asks the platform for what may look at memory.
fn show<T>(caller: &mut Caller<'_>, act: impl FnOnce() -> T) -> Result<T, Error> {
    caller.data_mut().asked = true;
    copy_out(caller);
    catch_unwind(AssertUnwindSafe(act)).map_err(|why| {
        // The kernel may have sealed its ports by now: they stay as they are.
        caller.data_mut().end = Some(End::Unwinds(why));
        Error::host(Stopped)
    })
}

/// Asks the platform for what may look at memory and change it.
fn share<T>(caller: &mut Caller<'_>, act: impl FnOnce() -> T) -> Result<T, Error> {
    let done = show(caller, act)?;
    copy_in(caller);
    Ok(done)
}

fn ring(ports: u32) {
    (0..u32::BITS as u8).filter(|port| ports & 1 << port != 0).for_each(koboshi_ring);
}

/// The text at an address.
fn text(caller: &mut Caller<'_>, at: u32, length: u32) -> Result<String, Error> {
    let mut bytes = vec![0; length.min(TEXT) as usize];
    let read = caller.data().memory.is_some_and(|memory| memory.read(&*caller, at as usize, &mut bytes).is_ok());
    if read {
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    } else {
        Err(stop(caller, End::Faults(Fault::Access { address: at })))
    }
}

/// Writes words to an address.
fn give(caller: &mut Caller<'_>, at: u32, words: &[AtomicU32]) -> Result<(), Error> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect();
    let memory = caller.data().memory;
    if memory.is_some_and(|memory| memory.write(&mut *caller, at as usize, &bytes).is_ok()) {
        Ok(())
    } else {
        Err(stop(caller, End::Faults(Fault::Access { address: at })))
    }
}

/// A component that is named by a word. No image has one with the last number.
fn component(number: u32) -> ComponentId {
    ComponentId(u8::try_from(number).unwrap_or(u8::MAX))
}

/// The least part of a word, where a higher one means what nobody has.
fn small(number: u32) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

fn width(bytes: u32) -> Width {
    match bytes {
        1 => Width::Byte,
        2 => Width::Half,
        _ => Width::Word,
    }
}

/// Room for words that become the module's.
fn room<const N: usize>() -> [AtomicU32; N] {
    [const { AtomicU32::new(0) }; N]
}

/// Defines all that a component's module may import.
pub(super) fn define(linker: &mut Linker<Host>) -> Result<(), Error> {
    linker.func_wrap(MODULE, "koboshi_trap_wait", |mut caller: Caller<'_>, rings: u32, low: u32, high: u32| {
        // What it dies of by this it dies of before it waits.
        show(&mut caller, || {
            ring(rings);
            koboshi_alarm(u64::from(low) | u64::from(high) << 32);
        })?;
        caller.data_mut().end = Some(End::Waits);
        Err::<(), Error>(Error::host(Stopped))
    })?;
    linker.func_wrap(MODULE, "koboshi_trap_ring", |mut caller: Caller<'_>, rings: u32| {
        share(&mut caller, || ring(rings))
    })?;
    linker.func_wrap(MODULE, "koboshi_trap_now", |mut caller: Caller<'_>| ask(&mut caller, koboshi_now))?;
    linker.func_wrap(MODULE, "koboshi_trap_acknowledge", |mut caller: Caller<'_>, line: u32| {
        ask(&mut caller, || koboshi_interrupt(small(line), true))?;
        look_again(&mut caller);
        Ok::<(), Error>(())
    })?;
    linker.func_wrap(
        MODULE,
        "koboshi_trap_blame",
        |mut caller: Caller<'_>, port: u32, position: u32, epoch: u32| {
            share(&mut caller, || u32::from(koboshi_blame(small(port), position, epoch)))
        },
    )?;
    linker.func_wrap(MODULE, "koboshi_trap_facts", |mut caller: Caller<'_>, of: u32, to: u32| {
        match ask(&mut caller, || koboshi_facts(component(of)))? {
            Ok(facts) => {
                let room = room::<{ words::FACTS }>();
                words::put_facts(&facts, &room);
                give(&mut caller, to, &room)?;
                Ok::<u32, Error>(answer::DONE)
            }
            Err(denied) => Ok(denied_in_words(denied)),
        }
    })?;
    linker.func_wrap(
        MODULE,
        "koboshi_trap_command",
        |mut caller: Caller<'_>, target: u32, number: u32, argument: u32| {
            let Some(wanted) = command_of_words(number, argument) else { return Ok::<u32, Error>(answer::RIGHT) };
            let done = share(&mut caller, || koboshi_command(component(target), wanted))?;
            Ok(done.map_or_else(denied_in_words, |()| answer::DONE))
        },
    )?;
    linker.func_wrap(MODULE, "koboshi_trap_incident", |mut caller: Caller<'_>, number: u32, to: u32| {
        let Some(incident) = ask(&mut caller, || koboshi_incident(number))? else { return Ok::<u32, Error>(0) };
        let room = room::<{ words::INCIDENT }>();
        words::put_incident(&incident, &room);
        give(&mut caller, to, &room)?;
        Ok(1)
    })?;
    linker.func_wrap(MODULE, "koboshi_trap_registers", |mut caller: Caller<'_>, of: u32, to: u32| {
        let found = ask(&mut caller, || koboshi_registers(component(of)))?;
        let Some(registers) = found else { return Ok::<u32, Error>(0) };
        let room = room::<{ words::REGISTERS }>();
        words::put_registers(&registers, &room);
        give(&mut caller, to, &room)?;
        Ok(1)
    })?;
    // No component puts code anywhere here: `koboshi_put` of the host says so.
    linker.func_wrap(MODULE, "koboshi_trap_put", |_: u32, _: u32, _: u32, _: u32| answer::UNKNOWN)?;
    linker.func_wrap(MODULE, "koboshi_trap_down", |mut caller: Caller<'_>| ask(&mut caller, koboshi_down))?;
    linker.func_wrap(MODULE, "koboshi_trap_log", |mut caller: Caller<'_>, at: u32, length: u32| {
        let text = text(&mut caller, at, length)?;
        ask(&mut caller, || koboshi_log(&text))
    })?;
    linker.func_wrap(MODULE, "koboshi_trap_exit", |mut caller: Caller<'_>, at: u32, length: u32| {
        let why = text(&mut caller, at, length)?;
        ask(&mut caller, || koboshi_log(&why))?;
        Err::<(), Error>(stop(&mut caller, End::Exits))
    })?;
    linker.func_wrap(MODULE, "koboshi_trap_panic", |mut caller: Caller<'_>, file: u32, length: u32, line: u32| {
        let file = text(&mut caller, file, length)?;
        Err::<(), Error>(stop(&mut caller, End::Panics { file, line }))
    })?;
    linker.func_wrap(MODULE, "koboshi_trap_window_closed", |mut caller: Caller<'_>| {
        if caller.data().end_wanted { Err(stop(&mut caller, End::WindowClosed)) } else { Ok::<(), Error>(()) }
    })?;
    linker.func_wrap(MODULE, "koboshi_trap_read", |mut caller: Caller<'_>, device: u32, offset: u32, bytes: u32| {
        ask(&mut caller, || koboshi_read(small(device), offset, width(bytes)))
    })?;
    linker.func_wrap(
        MODULE,
        "koboshi_trap_write",
        |mut caller: Caller<'_>, device: u32, offset: u32, bytes: u32, value: u32| {
            ask(&mut caller, || koboshi_write(small(device), offset, width(bytes), value))
        },
    )?;
    Ok(())
}
