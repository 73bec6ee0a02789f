//! Components that are modules: WebAssembly, run by an interpreter in memory of their own.
//!
//! Job: be a component's future, whose poll runs one turn of its module. The module reaches the platform by its imports
//! alone (`imports`), and ports and kept state by a copy in its own memory (`memory`).
//!
//! Rules kept here: each incarnation has memory of its own, made anew. A turn takes no more fuel than it may. How an
//! incarnation ended is what happened, and not what the module says. What a component has stored by then has reached the
//! memory of its ports, and nothing else has.
//!
//! It must never: let a module reach anything that its component may not, or panic because of one.

mod imports;
mod memory;
mod meter;

use std::any::Any;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use koboshi_core::life::Fault;
use koboshi_core::place::Place;
use koboshi_runtime::describe::Description;
use koboshi_runtime::life::Exit;
use koboshi_runtime::platform::koboshi_log;
use koboshi_sh4_abi::MAX_PORTS;
use wasmi::{
    CompilationMode, Config, Engine, Error, Extern, Global, Linker, Store, TrapCode, TypedFunc, TypedResumableCall,
    TypedResumableCallHostTrap,
};

use self::imports::End;
use self::memory::Host;
pub use self::meter::{Meter, Stop};
use crate::platform;
use crate::world::Unwound;

/// What a component's module exports as its first instruction: a function of the address of its page to read.
const ENTRY: &str = "koboshi_component";

/// Where a module's own stack is; exported, it tells an overflow from another access to what is not there.
const STACK_POINTER: &str = "__stack_pointer";

/// Units of fuel that a turn has if it is not told otherwise. Nearly each instruction takes one; no honest turn of Koboshi's
/// own components takes a twentieth of it, which a test looks at.
pub const TURN: u64 = 4_000_000;

/// Units of fuel that a module has to close its window when its fuel is used up. An honest window takes some hundreds.
const WINDOW: u64 = 100_000;

/// Lines of interrupts that a component can have as a module: bits of a word.
const MOST_LINES: usize = 32;

/// The end of the name of the file in which a component knocks itself over.
const KNOCKS: &str = "component/src/knocks.rs";

/// Why something cannot be the module of a component. Whoever built it is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadModule {
    /// The interpreter refuses it.
    #[error("it is not WebAssembly that can be run here: {0}")]
    Refused(String),
    /// It cannot be loaded: it imports what the platform does not have, or it wants to run before it is started.
    #[error("it cannot be loaded: {0}")]
    NotLoaded(String),
    /// It has no beginning.
    #[error("it exports no function `{ENTRY}` of one word")]
    NoEntry,
    /// It has no memory of its own.
    #[error("it exports no `memory`")]
    NoMemory,
    /// It is described with more ports or lines than a module can have.
    #[error(
        "its component has {ports} ports and {lines} interrupt lines; a module has at most {MAX_PORTS} and {MOST_LINES}"
    )]
    TooMany {
        /// Ports of the description.
        ports: usize,
        /// Lines of the description.
        lines: usize,
    },
}

/// The code of a component as a module.
#[derive(Clone)]
pub struct Module {
    code: Arc<Code>,
    turn: u64,
    meter: Meter,
    heeds_windows: bool,
}

struct Code {
    module: wasmi::Module,
    linker: Linker<Host>,
}

impl Module {
    /// The module in these bytes.
    ///
    /// # Errors
    /// [`BadModule`]: it is none that a component can be.
    pub fn new(wasm: &[u8]) -> Result<Self, BadModule> {
        let mut config = Config::default();
        // All of it at once: the fuel of a turn must not depend on what was called before.
        config.consume_fuel(true).compilation_mode(CompilationMode::Eager).ignore_custom_sections(true);
        config.wasm_memory64(false).wasm_multi_memory(false);
        let engine = Engine::new(&config);
        let module = wasmi::Module::new(&engine, wasm).map_err(|error| BadModule::Refused(error.to_string()))?;
        let mut linker = Linker::new(&engine);
        imports::define(&mut linker).map_err(|error| BadModule::NotLoaded(error.to_string()))?;
        let code = Code { module, linker };
        // Each incarnation does the same again.
        code.instance()?;
        Ok(Module { code: Arc::new(code), turn: TURN, meter: Meter::default(), heeds_windows: true })
    }

    /// The same, with so many units of fuel for a turn: who needs more has run away.
    #[must_use]
    pub fn with_turn(self, fuel: u64) -> Self {
        Module { turn: fuel, ..self }
    }

    /// The same, with its fuel counted by this meter.
    #[must_use]
    pub fn with_meter(self, meter: Meter) -> Self {
        Module { meter, ..self }
    }

    /// The same, ended by its [`Meter`] in open windows too: for the proof that a campaign notices.
    #[must_use]
    pub fn heedless(self) -> Self {
        Module { heeds_windows: false, ..self }
    }

    /// Whether a component that is described so can be a module.
    pub(crate) fn fits(description: &Description) -> Result<(), BadModule> {
        let (ports, lines) = (description.ports.len(), description.interrupts.len());
        if ports > MAX_PORTS || lines > MOST_LINES { Err(BadModule::TooMany { ports, lines }) } else { Ok(()) }
    }
}

/// An instance that has not begun.
struct New {
    store: Store<Host>,
    entry: TypedFunc<u32, ()>,
    stack: Option<Global>,
}

impl Code {
    /// A new instance, with memory of its own as the module describes it.
    fn instance(&self) -> Result<New, BadModule> {
        let mut store = Store::new(self.module.engine(), Host::default());
        store.limiter(|host| &mut host.limits);
        // It has no fuel yet: whatever wants to run before it is started is refused.
        let instance = self
            .linker
            .instantiate_and_start(&mut store, &self.module)
            .map_err(|error| BadModule::NotLoaded(error.to_string()))?;
        let memory = instance.get_memory(&store, "memory").ok_or(BadModule::NoMemory)?;
        store.data_mut().memory = Some(memory);
        let entry = instance.get_typed_func(&store, ENTRY).map_err(|_| BadModule::NoEntry)?;
        let stack = instance.get_export(&store, STACK_POINTER).and_then(Extern::into_global);
        Ok(New { store, entry, stack })
    }
}

/// How far an incarnation is.
enum Life {
    Begins(TypedFunc<u32, ()>),
    Waits(TypedResumableCallHostTrap<()>),
    Over,
}

/// One incarnation of a module: each poll is a turn.
pub(crate) struct Incarnation {
    store: Store<Host>,
    life: Life,
    stack: Option<Global>,
    turn: u64,
    meter: Meter,
    /// What it had left behind at the last place where it could be stopped, as far as somebody watches that.
    left_behind: Vec<u8>,
    heeds_windows: bool,
    knocks: u32,
}

impl Incarnation {
    /// The incarnation that begins now, of the component that has its turn; the text says why there is none.
    pub(crate) fn new(module: &Module, description: &Description) -> Result<Self, String> {
        let New { mut store, entry, stack } = module.code.instance().map_err(|error| error.to_string())?;
        memory::lay_out(&mut store, description.interrupts.len() as u8)?;
        let Module { turn, meter, heeds_windows, .. } = module.clone();
        let (life, left_behind) = (Life::Begins(entry), Vec::new());
        Ok(Incarnation { store, life, stack, turn, meter, left_behind, heeds_windows, knocks: 0 })
    }

    /// Runs for as much fuel as there may be, and counts it.
    fn run(
        &mut self,
        fuel: u64,
        run: impl FnOnce(&mut Store<Host>) -> Result<TypedResumableCall<()>, Error>,
    ) -> Result<TypedResumableCall<()>, Error> {
        if self.meter.is_watching() {
            return self.run_watched(fuel, run);
        }
        // Fuel is what the engine was made to count.
        let _ = self.store.set_fuel(fuel);
        let came = run(&mut self.store);
        self.meter.add(fuel - self.store.get_fuel().unwrap_or(0).min(fuel));
        came
    }

    /// The same, from one place where it can be stopped to the next, with a look at what an end there would leave behind.
    fn run_watched(
        &mut self,
        fuel: u64,
        run: impl FnOnce(&mut Store<Host>) -> Result<TypedResumableCall<()>, Error>,
    ) -> Result<TypedResumableCall<()>, Error> {
        let mut left = fuel;
        let _ = self.store.set_fuel(0);
        let mut came = run(&mut self.store);
        while let Ok(TypedResumableCall::OutOfFuel(call)) = came {
            let needs = call.required_fuel();
            if needs > left {
                return Ok(TypedResumableCall::OutOfFuel(call));
            }
            let same = memory::leaves_the_same(&mut self.store, &mut self.left_behind);
            self.meter.passes(needs, memory::is_window_open(&self.store), same);
            self.meter.add(needs);
            left -= needs;
            let _ = self.store.set_fuel(needs);
            came = call.resume(&mut self.store);
        }
        came
    }

    fn turn(&mut self) -> Poll<Exit> {
        if let Some(how) = platform::take_knock() {
            self.knocks = self.knocks.wrapping_add(1);
            memory::knock(&mut self.store, how, self.knocks);
        }
        memory::copy_in(&mut self.store);
        self.meter.begin_turn();
        let left = self.meter.left();
        let fuel = self.turn.min(left);
        let mut came = match std::mem::replace(&mut self.life, Life::Over) {
            Life::Begins(entry) => {
                let view = self.store.data().view;
                self.run(fuel, |store| entry.call_resumable(store, view))
            }
            Life::Waits(call) => self.run(fuel, |store| call.resume(store, &[])),
            Life::Over => return Poll::Ready(Exit::Done),
        };
        let mut chosen = false;
        if let Ok(TypedResumableCall::OutOfFuel(call)) = came {
            chosen = left < self.turn;
            if chosen {
                self.meter.end();
            }
            came = if chosen && self.heeds_windows && memory::is_window_open(&self.store) {
                memory::want_end(&mut self.store);
                self.run(WINDOW, |store| call.resume(store))
            } else {
                Ok(TypedResumableCall::OutOfFuel(call))
            };
        }
        let fault = match came {
            Ok(TypedResumableCall::HostTrap(call)) => match self.store.data_mut().end.take() {
                Some(End::Waits) if !chosen => {
                    self.life = Life::Waits(call);
                    return Poll::Pending;
                }
                Some(End::Exits) => return Poll::Ready(Exit::Done),
                Some(End::Unwinds(why)) => resume_unwind(why),
                Some(End::Faults(fault)) => fault,
                Some(End::Panics { file, line }) => self.panicked(&file, line),
                Some(End::Waits | End::WindowClosed) | None => Fault::Told,
            },
            Ok(TypedResumableCall::OutOfFuel(_)) => {
                memory::copy_out(&mut self.store);
                if chosen { Fault::Told } else { Fault::RunAway }
            }
            Ok(TypedResumableCall::Finished(())) => {
                memory::copy_out(&mut self.store);
                Fault::Exit
            }
            Err(error) => {
                memory::copy_out(&mut self.store);
                self.trapped(&error)
            }
        };
        resume_unwind(Box::new(Unwound::Fault(fault)))
    }

    /// It panicked there, as it says.
    fn panicked(&self, file: &str, line: u32) -> ! {
        let mut place = Place::default();
        place.panicked(file.as_bytes(), line);
        platform::panicked_at(place);
        let asked_for = self.knocks > 0 && file.ends_with(KNOCKS);
        let why: Box<dyn Any + Send> = if asked_for {
            Box::new(Unwound::Fault(Fault::Panic))
        } else {
            Box::new(format!("panicked at {file}:{line}"))
        };
        resume_unwind(why)
    }

    /// The fault that a trap of the interpreter is.
    fn trapped(&self, error: &Error) -> Fault {
        match error.as_trap_code() {
            Some(TrapCode::StackOverflow) => Fault::Stack,
            Some(TrapCode::MemoryOutOfBounds) if self.has_left_its_stack() => Fault::Stack,
            // The interpreter does not tell which.
            Some(TrapCode::MemoryOutOfBounds) => Fault::Access { address: 0 },
            Some(TrapCode::TableOutOfBounds | TrapCode::IndirectCallToNull | TrapCode::BadSignature) => {
                Fault::IllegalInstruction
            }
            // What a processor of the component's own could do as well, such as a division by zero: the text is shown.
            _ => resume_unwind(Box::new(error.to_string())),
        }
    }

    /// Whether the module's own stack, which lies below everything else, has grown beyond address 0.
    fn has_left_its_stack(&self) -> bool {
        self.stack.and_then(|stack| stack.get(&self.store).i32()).is_some_and(i32::is_negative)
    }
}

/// The future of a component that is a module.
pub(crate) enum Turns {
    /// It lives.
    Of(Box<Incarnation>),
    /// It cannot be loaded.
    Unfit(String),
}

impl Turns {
    /// The incarnation that begins now.
    pub(crate) fn begin(module: &Module, description: &Description) -> Self {
        Incarnation::new(module, description).map_or_else(Turns::Unfit, |found| Turns::Of(Box::new(found)))
    }
}

impl Future for Turns {
    type Output = Exit;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Exit> {
        match self.get_mut() {
            Turns::Of(incarnation) => incarnation.turn(),
            Turns::Unfit(why) => {
                koboshi_log(why);
                Poll::Ready(Exit::Done)
            }
        }
    }
}
