//! Reads a module: what of it the translator needs, checked.

use std::collections::HashMap;

use wasmparser::{
    CompositeInnerType, ConstExpr, DataKind, ElementItems, ElementKind, ExternalKind, FuncType, FunctionBody,
    KnownCustom, Name, Operator, Parser, Payload, TypeRef, ValType, Validator, WasmFeatures,
};

use super::function::name_of;
use super::{Memory, Segment, Type};
use crate::tools::Trouble;

/// What rustc and LLVM use for this target, and what costs nothing to have besides.
const SUPPORTED: WasmFeatures = WasmFeatures::FLOATS
    .union(WasmFeatures::GC_TYPES)
    .union(WasmFeatures::MUTABLE_GLOBAL)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    // Without them LLVM takes atomic accesses for ordinary ones, and moves them past each other.
    .union(WasmFeatures::THREADS)
    // For the longer way in which newer compilers write the table's number at an indirect call.
    .union(WasmFeatures::CALL_INDIRECT_OVERLONG);

/// The type of a function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Signature {
    pub(super) parameters: Vec<Type>,
    pub(super) results: Vec<Type>,
}

/// Where a function or a global variable is imported from: `module` and `name`.
pub(super) type Import = (String, String);

/// A global variable.
pub(super) struct Variable {
    pub(super) kind: Type,
    pub(super) mutable: bool,
    pub(super) import: Option<Import>,
    pub(super) value: Constant,
}

/// A value that is known before the module runs.
#[derive(Clone, Copy)]
pub(super) enum Constant {
    I32(u32),
    I64(u64),
    F32(u32),
    F64(u64),
    /// Of another global variable, by its index.
    Global(u32),
}

/// The places in the table of functions of one type: how many, and all between which two.
pub(super) struct Places {
    pub(super) count: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// What a module consists of.
#[derive(Default)]
pub(super) struct Module<'a> {
    pub(super) types: Vec<Signature>,
    /// The type of each function, imported ones first.
    pub(super) functions: Vec<u32>,
    pub(super) imported: Vec<Import>,
    pub(super) bodies: Vec<FunctionBody<'a>>,
    pub(super) globals: Vec<Variable>,
    /// The table: a function's index, or nothing.
    pub(super) table: Vec<Option<u32>>,
    pub(super) table_import: Option<Import>,
    pub(super) memory: Option<Memory>,
    pub(super) segments: Vec<Segment>,
    /// Name, what it is, index.
    pub(super) exports: Vec<(String, ExternalKind, u32)>,
    pub(super) start: Option<u32>,
    pub(super) function_names: HashMap<u32, String>,
    pub(super) global_names: HashMap<u32, String>,
    /// What lies in custom sections, by name: DWARF.
    pub(super) custom: HashMap<&'a str, &'a [u8]>,
    /// Where the code section's contents begin: what DWARF counts from.
    pub(super) code_start: u64,
}

impl<'a> Module<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Trouble> {
        if !bytes.starts_with(b"\0asm") {
            let what = "the module is not WebAssembly: it does not begin with its magic number, `\\0asm`.";
            return Err(Trouble::new(what, "name a .wasm file, as cargo build --target wasm32v1-none makes it."));
        }
        let mut module = Module::default();
        let parsed = module.parse(bytes);
        // The validator's complaint comes first: what it lets pass can be parsed.
        module.validate(bytes)?;
        parsed?;
        Ok(module)
    }

    /// How a person calls a function: by its demangled name, if it has one.
    pub(super) fn called(&self, function: u32) -> String {
        match self.function_names.get(&function) {
            Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
            None => format!("number {function}"),
        }
    }

    pub(super) fn signature(&self, function: u32) -> &Signature {
        &self.types[self.functions[function as usize] as usize]
    }

    /// Equal types have equal numbers, from 1.
    pub(super) fn canonical(&self, kind: u32) -> usize {
        let wanted = &self.types[kind as usize];
        1 + self.types.iter().position(|found| found == wanted).unwrap_or(kind as usize)
    }

    /// Where in the table functions of a type are.
    pub(super) fn places_of(&self, kind: u32) -> Places {
        let wanted = self.canonical(kind);
        let is_it = |function: &Option<u32>| {
            function.is_some_and(|function| self.canonical(self.functions[function as usize]) == wanted)
        };
        let count = self.table.iter().filter(|function| is_it(function)).count();
        let start = self.table.iter().position(is_it).unwrap_or(0);
        let end = self.table.iter().rposition(is_it).map_or(0, |last| last + 1);
        Places { count, start, end }
    }

    fn validate(&self, bytes: &[u8]) -> Result<(), Trouble> {
        let Err(error) = Validator::new_with_features(SUPPORTED).validate_all(bytes) else { return Ok(()) };
        let place = self.place(error.offset());
        let what = error.message();
        if Validator::new_with_features(WasmFeatures::all()).validate_all(bytes).is_ok() {
            let what = match self.instruction(error.offset()) {
                Some(instruction) => format!("{what} (the instruction {instruction})"),
                None => what.to_owned(),
            };
            return Err(unsupported(&place, &what));
        }
        Err(Trouble::new(
            format!("the WebAssembly module is not valid: {what}, in {place} (offset {:#x}).", error.offset()),
            "build it anew: a compiler does not make this.",
        ))
    }

    fn place(&self, offset: u64) -> String {
        let at = self.bodies.iter().position(|body| body.range().contains(&offset));
        match at {
            Some(at) => format!("function `{}`", self.called((self.imported.len() + at) as u32)),
            None => "no function".to_owned(),
        }
    }

    /// The instruction at an offset.
    fn instruction(&self, offset: u64) -> Option<String> {
        let body = self.bodies.iter().find(|body| body.range().contains(&offset))?;
        let mut operators = body.get_operators_reader().ok()?;
        while let Ok((operator, at)) = operators.read_with_offset() {
            if at == offset {
                return Some(name_of(&operator));
            }
        }
        None
    }

    fn parse(&mut self, bytes: &'a [u8]) -> Result<(), Trouble> {
        let mut parsed = Ok(());
        for payload in Parser::new(0).parse_all(bytes) {
            // The names come last, and a complaint of the validator wants them too.
            let taken = self.take(payload.map_err(broken)?);
            parsed = parsed.and(taken);
        }
        parsed
    }

    fn take(&mut self, payload: Payload<'a>) -> Result<(), Trouble> {
        match payload {
            Payload::TypeSection(types) => {
                for group in types {
                    for kind in group.map_err(broken)?.into_types() {
                        let CompositeInnerType::Func(function) = &kind.composite_type.inner else {
                            return Err(unsupported("no function", "a type that is no function's"));
                        };
                        self.types.push(signature(function)?);
                    }
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import.map_err(broken)?;
                    let from = (import.module.to_owned(), import.name.to_owned());
                    match import.ty {
                        TypeRef::Func(kind) | TypeRef::FuncExact(kind) => {
                            self.functions.push(kind);
                            self.imported.push(from);
                        }
                        TypeRef::Global(global) => self.globals.push(Variable {
                            kind: value_type(global.content_type)?,
                            mutable: global.mutable,
                            import: Some(from),
                            value: Constant::I32(0),
                        }),
                        TypeRef::Memory(memory) => self.memory = Some(limits(&memory)),
                        TypeRef::Table(table) => {
                            self.table = places(table.initial)?;
                            self.table_import = Some(from);
                        }
                        TypeRef::Tag(_) => return Err(unsupported("no function", "exceptions")),
                    }
                }
            }
            Payload::FunctionSection(functions) => {
                for kind in functions {
                    self.functions.push(kind.map_err(broken)?);
                }
            }
            Payload::TableSection(tables) => {
                for table in tables {
                    self.table = places(table.map_err(broken)?.ty.initial)?;
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    let memory = memory.map_err(broken)?;
                    if memory.shared {
                        return Err(unsupported("no function", "memory that several threads share"));
                    }
                    self.memory = Some(limits(&memory));
                }
            }
            Payload::GlobalSection(globals) => {
                for global in globals {
                    let global = global.map_err(broken)?;
                    self.globals.push(Variable {
                        kind: value_type(global.ty.content_type)?,
                        mutable: global.ty.mutable,
                        import: None,
                        value: constant(&global.init_expr)?,
                    });
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export.map_err(broken)?;
                    self.exports.push((export.name.to_owned(), export.kind, export.index));
                }
            }
            Payload::StartSection { func, .. } => self.start = Some(func),
            Payload::ElementSection(elements) => {
                for element in elements {
                    self.take_elements(element.map_err(broken)?)?;
                }
            }
            Payload::DataSection(data) => {
                for segment in data {
                    let segment = segment.map_err(broken)?;
                    let DataKind::Active { offset_expr, .. } = segment.kind else {
                        return Err(unsupported("no function", "data that is not placed (passive segments)"));
                    };
                    let address = self.address(&offset_expr, "data")?;
                    self.segments.push(Segment { name: None, address, bytes: segment.data.to_vec() });
                }
            }
            Payload::CodeSectionStart { unchecked_range, .. } => self.code_start = unchecked_range.start,
            Payload::CodeSectionEntry(body) => self.bodies.push(body),
            Payload::CustomSection(section) => {
                self.custom.insert(section.name(), section.data());
                if let KnownCustom::Name(names) = section.as_known() {
                    // Names are for people: what cannot be read of them is left out.
                    names.into_iter().map_while(Result::ok).for_each(|names| self.take_names(names));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn take_names(&mut self, names: Name<'a>) {
        match names {
            Name::Function(map) => {
                let named = map.into_iter().map_while(Result::ok);
                self.function_names.extend(named.map(|named| (named.index, named.name.to_owned())));
            }
            Name::Global(map) => {
                let named = map.into_iter().map_while(Result::ok);
                self.global_names.extend(named.map(|named| (named.index, named.name.to_owned())));
            }
            Name::Data(map) => {
                for named in map.into_iter().map_while(Result::ok) {
                    if let Some(segment) = self.segments.get_mut(named.index as usize) {
                        segment.name = Some(named.name.to_owned());
                    }
                }
            }
            _ => {}
        }
    }

    fn take_elements(&mut self, element: wasmparser::Element<'a>) -> Result<(), Trouble> {
        let ElementKind::Active { offset_expr, .. } = element.kind else {
            return Err(unsupported("no function", "table elements that are not placed (passive segments)"));
        };
        let at = self.address(&offset_expr, "elements")? as usize;
        let functions: Vec<Option<u32>> = match element.items {
            ElementItems::Functions(functions) => {
                functions.into_iter().map(|index| index.map(Some)).collect::<Result<_, _>>()
            }
            ElementItems::Expressions(_, expressions) => expressions
                .into_iter()
                .map(|expression| match expression?.get_operators_reader().read()? {
                    Operator::RefFunc { function_index } => Ok(Some(function_index)),
                    _ => Ok(None),
                })
                .collect::<Result<_, _>>(),
        }
        .map_err(broken)?;
        let Some(places) = self.table.get_mut(at..).and_then(|rest| rest.get_mut(..functions.len())) else {
            return Err(Trouble::new(
                format!(
                    "{} functions from place {at} do not fit into the table of {}.",
                    functions.len(),
                    self.table.len()
                ),
                "build the module anew: a compiler does not make this.",
            ));
        };
        places.copy_from_slice(&functions);
        Ok(())
    }

    /// The place that a constant expression gives: a number, or an imported global variable, which nobody knows here.
    fn address(&self, expression: &ConstExpr<'_>, what: &str) -> Result<u32, Trouble> {
        let mut value = constant(expression)?;
        while let Constant::Global(index) = value {
            match self.globals.get(index as usize) {
                Some(Variable { import: None, value: its, .. }) => value = *its,
                _ => return Err(unsupported("no function", &format!("{what} placed by an imported global variable"))),
            }
        }
        match value {
            Constant::I32(address) => Ok(address),
            _ => Err(unsupported("no function", &format!("{what} placed by a 64-bit number"))),
        }
    }
}

fn broken(error: wasmparser::BinaryReaderError) -> Trouble {
    Trouble::new(
        format!("the WebAssembly module cannot be read: {error}."),
        "build it anew: a compiler does not make this.",
    )
}

/// `what` is in the module, and cannot be translated.
pub(super) fn unsupported(place: &str, what: &str) -> Trouble {
    Trouble::new(
        format!("this WebAssembly cannot be translated for SH-4: {what}, in {place}."),
        "build for the target wasm32v1-none, without further target features.",
    )
}

fn signature(function: &FuncType) -> Result<Signature, Trouble> {
    let types = |types: &[ValType]| types.iter().map(|kind| value_type(*kind)).collect::<Result<Vec<_>, _>>();
    Ok(Signature { parameters: types(function.params())?, results: types(function.results())? })
}

pub(super) fn value_type(kind: ValType) -> Result<Type, Trouble> {
    match kind {
        ValType::I32 => Ok(Type::I32),
        ValType::I64 => Ok(Type::I64),
        ValType::F32 => Ok(Type::F32),
        ValType::F64 => Ok(Type::F64),
        ValType::V128 | ValType::Ref(_) => Err(unsupported("no function", &format!("values of type {kind}"))),
    }
}

/// Most places of a table: it is data of the program, and no compiler makes so large a one.
const MOST_PLACES: u64 = 1 << 16;

/// A table of this size, empty.
fn places(size: u64) -> Result<Vec<Option<u32>>, Trouble> {
    if size > MOST_PLACES {
        return Err(unsupported("no function", &format!("a table of {size} places")));
    }
    Ok(vec![None; size as usize])
}

fn limits(memory: &wasmparser::MemoryType) -> Memory {
    // Validated: a 32-bit memory has no more than 65,536 pages.
    Memory { initial: memory.initial as u32, maximum: memory.maximum.map(|pages| pages as u32) }
}

fn constant(expression: &ConstExpr<'_>) -> Result<Constant, Trouble> {
    match expression.get_operators_reader().read().map_err(broken)? {
        Operator::I32Const { value } => Ok(Constant::I32(value.cast_unsigned())),
        Operator::I64Const { value } => Ok(Constant::I64(value.cast_unsigned())),
        Operator::F32Const { value } => Ok(Constant::F32(value.bits())),
        Operator::F64Const { value } => Ok(Constant::F64(value.bits())),
        Operator::GlobalGet { global_index } => Ok(Constant::Global(global_index)),
        _ => Err(unsupported("no function", "a constant that is computed")),
    }
}
