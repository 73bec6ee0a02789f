//! What an interpreter makes of a random module: what the board has to come to.

use wasmi::errors::{ErrorKind, InstantiationError};
use wasmi::{Engine, Error, Extern, Linker, Mutability, Store, TrapCode, Val};

use koboshi_sh4::translate::Type;

use super::generate::{COUNTERS, FUEL, Generated, TANK};
use super::plan::{Digest, Ends, Expect, Value};

/// What has to come of a case.
#[derive(Clone, Debug, Default)]
pub struct Foretold {
    /// The instantiation: `None` if it comes back. No end at all: the translator has to refuse it, since elements lie
    /// beyond the table.
    pub instantiation: Option<Ends>,
    /// Each call; `None`: nobody can say.
    pub calls: Vec<Option<Expect>>,
    /// Exported global variables afterwards, and what they hold.
    pub globals: Vec<(String, Value)>,
    /// The digest of what imported functions were called with.
    pub record: u32,
    /// The memory, and how many pages it has.
    pub memory: Option<(Vec<u8>, u32)>,
}

/// What happened, for statistics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Happened {
    /// Of each of [`COUNTERS`].
    pub counters: [u64; COUNTERS.len()],
    /// Calls that did at least one of each of them.
    pub calls: [u64; COUNTERS.len()],
    /// Bytes of memory that differ from zero at the end.
    pub bytes: u64,
}

/// What the interpreter could not do, which no module of ours should make it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the interpreter: {0}")]
pub struct Puzzled(String);

fn puzzled(error: impl std::fmt::Display) -> Puzzled {
    Puzzled(error.to_string())
}

/// The end that a trap of the interpreter's is; none of the board's, if elements lie beyond the table. `None`: what it cannot do is not the board's affair.
fn end_of(error: &Error) -> Result<Option<Ends>, Puzzled> {
    Ok(match error.as_trap_code() {
        Some(TrapCode::UnreachableCodeReached) => Some(Ends::UNREACHABLE),
        Some(TrapCode::MemoryOutOfBounds) => Some(Ends::MEMORY),
        Some(TrapCode::TableOutOfBounds) => Some(Ends::UNDEFINED_ELEMENT),
        Some(TrapCode::IndirectCallToNull) => Some(Ends::NULL_ELEMENT),
        Some(TrapCode::IntegerDivisionByZero) => Some(Ends::DIVIDE_BY_ZERO),
        Some(TrapCode::IntegerOverflow) => Some(Ends::INTEGER_OVERFLOW),
        Some(TrapCode::BadConversionToInteger) => Some(Ends::BAD_CONVERSION),
        Some(TrapCode::BadSignature) => Some(Ends::SIGNATURE),
        Some(TrapCode::StackOverflow) => None,
        None if matches!(
            error.kind(),
            ErrorKind::Instantiation(InstantiationError::ElementSegmentDoesNotFit { .. })
        ) =>
        {
            Some(Ends::default())
        }
        _ => return Err(puzzled(error)),
    })
}

fn value_of(value: &Val) -> Option<Value> {
    Some(match value {
        Val::I32(value) => Value { kind: Type::I32, bits: value.cast_unsigned().into() },
        Val::I64(value) => Value { kind: Type::I64, bits: value.cast_unsigned() },
        Val::F32(value) => Value { kind: Type::F32, bits: value.to_bits().into() },
        Val::F64(value) => Value { kind: Type::F64, bits: value.to_bits() },
        _ => return None,
    })
}

fn val(value: Value) -> Val {
    match value.kind {
        Type::I32 => Val::I32((value.bits as u32).cast_signed()),
        Type::I64 => Val::I64(value.bits.cast_signed()),
        Type::F32 => Val::F32(wasmi::F32::from_bits(value.bits as u32)),
        Type::F64 => Val::F64(wasmi::F64::from_bits(value.bits)),
    }
}

/// The functions that modules may import. What they are called with is digested.
fn linker(engine: &Engine) -> Result<Linker<Digest>, Puzzled> {
    type Caller<'a> = wasmi::Caller<'a, Digest>;
    fn note(caller: &mut Caller<'_>, kind: Type, bits: u64) {
        caller.data_mut().value(Value { kind, bits });
    }
    let mut linker = Linker::new(engine);
    let defined = (|| {
        linker.func_wrap("harness", "note_i32", |mut caller: Caller<'_>, x: i32| {
            note(&mut caller, Type::I32, x.cast_unsigned().into());
        })?;
        linker.func_wrap("harness", "note_i64", |mut caller: Caller<'_>, x: i64| {
            note(&mut caller, Type::I64, x.cast_unsigned());
        })?;
        linker.func_wrap("harness", "note_f32", |mut caller: Caller<'_>, x: f32| {
            note(&mut caller, Type::F32, x.to_bits().into());
        })?;
        linker.func_wrap("harness", "note_f64", |mut caller: Caller<'_>, x: f64| {
            note(&mut caller, Type::F64, x.to_bits());
        })?;
        linker.func_wrap("harness", "draw", |mut caller: Caller<'_>| {
            caller.data_mut().word(1);
            caller.data().get().cast_signed()
        })?;
        linker.func_wrap("harness", "mix", |mut caller: Caller<'_>, a: i64, b: i32, c: f64, d: i64, e: f32| {
            note(&mut caller, Type::I64, a.cast_unsigned());
            note(&mut caller, Type::I32, b.cast_unsigned().into());
            note(&mut caller, Type::F64, c.to_bits());
            note(&mut caller, Type::I64, d.cast_unsigned());
            note(&mut caller, Type::F32, e.to_bits().into());
            i64::from(caller.data().get()) << 8
        })?;
        Ok::<_, wasmi::errors::LinkerError>(())
    })();
    defined.map_err(puzzled)?;
    Ok(linker)
}

fn engine() -> Engine {
    let mut config = wasmi::Config::default();
    // Beyond what a call's fuel permits.
    config.set_max_recursion_depth(100_000).set_max_stack_height(64 << 20);
    Engine::new(&config)
}

/// Runs a case.
///
/// # Errors
/// The interpreter refuses the module, or ends it in a way that is none of WebAssembly's.
pub fn foretell(generated: &Generated) -> Result<Foretold, Puzzled> {
    let mut ran = Ran::begin(&generated.binary)?;
    let mut foretold = Foretold { instantiation: ran.ended, ..Foretold::default() };
    let Some(instance) = ran.instance else { return Ok(foretold) };
    for (name, arguments) in &generated.calls {
        foretold.calls.push(ran.call(instance, name, arguments)?);
    }
    foretold.record = ran.store.data().get();
    for export in instance.exports(&ran.store) {
        let name = export.name().to_owned();
        match export.into_extern() {
            Extern::Global(global) => {
                foretold.globals.extend(value_of(&global.get(&ran.store)).map(|value| (name, value)));
            }
            Extern::Memory(memory) => {
                let pages = memory.size(&ran.store) as u32;
                foretold.memory = Some((memory.data(&ran.store).to_vec(), pages));
            }
            _ => {}
        }
    }
    foretold.globals.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(foretold)
}

/// Runs a case once more, counting.
///
/// # Errors
/// As [`foretell`].
pub fn watch(generated: &Generated) -> Result<Happened, Puzzled> {
    let mut ran = Ran::begin(&generated.counting)?;
    let mut happened = Happened::default();
    let Some(instance) = ran.instance else { return Ok(happened) };
    for (name, arguments) in &generated.calls {
        ran.call(instance, name, arguments)?;
        for (at, name) in COUNTERS.iter().enumerate() {
            let Some(counter) = instance.get_global(&ran.store, name) else { continue };
            let count = counter.get(&ran.store).i32().unwrap_or(0).cast_unsigned();
            happened.counters[at] += u64::from(count);
            happened.calls[at] += u64::from(count > 0);
            counter.set(&mut ran.store, Val::I32(0)).map_err(puzzled)?;
        }
    }
    for export in instance.exports(&ran.store) {
        if let Extern::Memory(memory) = export.into_extern() {
            happened.bytes += memory.data(&ran.store).iter().filter(|byte| **byte != 0).count() as u64;
        }
    }
    Ok(happened)
}

struct Ran {
    store: Store<Digest>,
    instance: Option<wasmi::Instance>,
    ended: Option<Ends>,
}

impl Ran {
    fn begin(binary: &[u8]) -> Result<Self, Puzzled> {
        let engine = engine();
        let module = wasmi::Module::new(&engine, binary).map_err(puzzled)?;
        let mut store = Store::new(&engine, Digest::default());
        let linker = linker(&engine)?;
        match linker.instantiate_and_start(&mut store, &module) {
            Ok(instance) => Ok(Ran { store, instance: Some(instance), ended: None }),
            Err(error) => {
                let ended = end_of(&error)?.ok_or_else(|| puzzled("a start function without an end"))?;
                Ok(Ran { store, instance: None, ended: Some(ended) })
            }
        }
    }

    fn call(&mut self, instance: wasmi::Instance, name: &str, arguments: &[Value]) -> Result<Option<Expect>, Puzzled> {
        let function = instance.get_func(&self.store, name).ok_or_else(|| puzzled(format!("no function {name:?}")))?;
        if let Some(fuel) = instance.get_global(&self.store, FUEL)
            && fuel.ty(&self.store).mutability() == Mutability::Var
        {
            fuel.set(&mut self.store, Val::I32(TANK.cast_signed())).map_err(puzzled)?;
        }
        let kind = function.ty(&self.store);
        let mut results: Vec<Val> = kind.results().iter().map(|kind| Val::default(*kind)).collect();
        let arguments: Vec<Val> = arguments.iter().copied().map(val).collect();
        match function.call(&mut self.store, &arguments, &mut results) {
            Ok(()) => Ok(Some(results.first().and_then(value_of).map_or(Expect::Back, Expect::computed))),
            Err(error) => Ok(end_of(&error)?.map(Expect::End)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{foretell, watch};
    use crate::sh4::generate::{COUNTERS, Case, generate};
    use crate::sh4::plan::{Ends, Expect};

    #[test]
    fn cases_are_worth_running() {
        let (mut calls, mut back, mut stores) = (0, 0, 0);
        let mut did = [0; COUNTERS.len()];
        let mut ends = std::collections::BTreeMap::new();
        let mut cases = 0;
        for number in 0..200 {
            let Some(generated) = generate(Case { seed: 1, number }) else { continue };
            cases += 1;
            let foretold = foretell(&generated).unwrap();
            let happened = watch(&generated).unwrap();
            for call in &foretold.calls {
                calls += 1;
                match call {
                    Some(Expect::End(end)) => *ends.entry(end.to_string()).or_insert(0) += 1,
                    Some(_) => back += 1,
                    None => *ends.entry("unknown".to_owned()).or_insert(0) += 1,
                }
            }
            stores += happened.bytes;
            for (sum, one) in did.iter_mut().zip(happened.calls) {
                *sum += one;
            }
        }
        let told = format!("{cases} cases, {calls} calls, {back} back, {did:?}, {stores} bytes, {ends:?}");
        println!("{told}");
        assert!(cases > 150 && back * 3 > calls && stores > 0, "{told}");
        assert!(did.iter().all(|count| count * 20 > calls), "{told}");
        assert!(!ends.contains_key(&Ends::STACK.to_string()), "{told}");
    }
}
