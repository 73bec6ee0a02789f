//! One function of a module as C.
//!
//! Each place of WebAssembly's operand stack is a C variable for each type that it ever holds; GCC makes registers of
//! them. Blocks are labels. Code that cannot be reached is left out.

use std::collections::BTreeSet;
use std::fmt::Write;

use wasmparser::{BinaryReaderError, BlockType, MemArg, Operator};

use super::frame::{POINTER, Value, Variables, loops};
use super::module::{Module, unsupported, value_type};
use super::names::Names;
use super::numeric::{Access, access, numeric, read_modify_write};
use super::{Frame, Options, TRANSLATED, Type};
use crate::lines::Lines;
use crate::tools::Trouble;

/// What all functions of a module are written with.
pub(super) struct Context<'a> {
    pub(super) module: &'a Module<'a>,
    pub(super) names: &'a Names,
    pub(super) options: &'a Options,
    /// The global variable that is the shadow stack pointer.
    pub(super) stack_pointer: Option<u32>,
    pub(super) lines: Option<&'a Lines>,
}

/// A block, loop or condition that is open.
struct Block {
    label: u32,
    /// What a branch to it carries along.
    branch: Vec<Type>,
    results: Vec<Type>,
    parameters: Vec<Type>,
    /// How high the operand stack was below its parameters.
    height: usize,
    /// Its `else` has not come yet, and is jumped to.
    has_else: bool,
    /// Something jumps to its label.
    used: bool,
    is_loop: bool,
    /// What is known of variables wherever something jumps to its label, and where its `else` begins.
    at_label: Option<Variables>,
    at_else: Option<Variables>,
}

struct Writer<'a> {
    context: &'a Context<'a>,
    index: u32,
    code: String,
    /// Parameters and local variables.
    locals: Vec<Type>,
    /// With what is known of each value.
    stack: Vec<(Type, Value)>,
    variables: Variables,
    /// The variables that each loop assigns to, and how many loops have begun.
    loops: Vec<BTreeSet<u32>>,
    loops_begun: usize,
    /// The places of the operand stack that were used, with their types.
    places: BTreeSet<(usize, Type)>,
    blocks: Vec<Block>,
    labels: u32,
    /// Nothing can come here; how many blocks were opened since.
    dead: Option<usize>,
    traps: u32,
    line: Option<(usize, u32)>,
    first_line: Option<(usize, u32)>,
    frame: Frame,
}

/// The C name of a type.
pub(super) fn c_type(kind: Type) -> &'static str {
    match kind {
        Type::I32 => "uint32_t",
        Type::I64 => "uint64_t",
        Type::F32 => "float",
        Type::F64 => "double",
    }
}

fn place(at: usize, kind: Type) -> String {
    let letter = match kind {
        Type::I32 => 'i',
        Type::I64 => 'j',
        Type::F32 => 'f',
        Type::F64 => 'd',
    };
    format!("{letter}{at}")
}

/// The constant as C.
pub(super) fn c_constant(kind: Type, bits: u64) -> String {
    match kind {
        Type::I32 => format!("{}u", bits as u32),
        Type::I64 => format!("{bits}ull"),
        Type::F32 => format!("f32_of_bits({:#x}u)", bits as u32),
        Type::F64 => format!("f64_of_bits({bits:#x}ull)"),
    }
}

/// A function's C.
pub(super) struct Body {
    /// A `#line` for its head, or nothing: its first instructions are of its first line, not of the last one before it.
    pub(super) line: String,
    /// What comes behind its head: its local variables and its code.
    pub(super) code: String,
    /// What it does to the stacks.
    pub(super) frame: Frame,
}

/// Writes a function.
pub(super) fn body(context: &Context<'_>, index: u32) -> Result<Body, Trouble> {
    let module = context.module;
    let signature = module.signature(index).clone();
    let body = &module.bodies[index as usize - module.imported.len()];
    let mut writer = Writer {
        context,
        index,
        code: String::new(),
        locals: signature.parameters.clone(),
        stack: Vec::new(),
        variables: Variables::first(),
        loops: Vec::new(),
        loops_begun: 0,
        places: BTreeSet::new(),
        blocks: Vec::new(),
        labels: 0,
        dead: None,
        traps: 0,
        line: None,
        first_line: None,
        frame: Frame { shadow: Some(0), ..Frame::default() },
    };
    let broken = |error: BinaryReaderError| {
        Trouble::new(
            format!("function `{}` cannot be read: {error}.", module.called(index)),
            "build the module anew: a compiler does not make this.",
        )
    };
    if signature.results.len() > 1 {
        return Err(writer.unsupported("a function with several results"));
    }
    let mut reader = body.get_locals_reader().map_err(broken)?;
    for _ in 0..reader.get_count() {
        let (count, kind) = reader.read().map_err(broken)?;
        let kind = value_type(kind).map_err(|_| writer.unsupported(&format!("values of type {kind}")))?;
        writer.locals.extend(std::iter::repeat_n(kind, count as usize));
    }
    writer.loops = loops(body, context.stack_pointer).map_err(broken)?;
    writer.open(Vec::new(), signature.results.clone(), false, false);
    let mut operators = body.get_operators_reader().map_err(broken)?;
    while !operators.eof() {
        let (operator, offset) = operators.read_with_offset().map_err(broken)?;
        writer.put_line(offset);
        writer.operator(&operator)?;
    }
    let end = if context.lines.is_some() { ' ' } else { '\n' };
    let mut code = format!("{end}{{{end}");
    for (at, kind) in writer.locals.iter().enumerate().skip(signature.parameters.len()) {
        let _ = write!(code, "{} l{at} = 0;{end}", c_type(*kind));
    }
    for (at, kind) in &writer.places {
        let _ = write!(code, "{} {};{end}", c_type(*kind), place(*at, *kind));
    }
    code.push_str(&writer.code);
    // On the line of the last statement: what comes back to the caller is of that line.
    code.push_str("}\n");
    let line = match (context.lines, writer.first_line) {
        (None, _) => String::new(),
        (Some(lines), Some((file, line))) => format!("#line {line} {:?}\n", lines.file(file)),
        (Some(_), None) => format!("#line 1 \"{TRANSLATED}\"\n"),
    };
    Ok(Body { line, code, frame: writer.frame })
}

impl Writer<'_> {
    fn unsupported(&self, what: &str) -> Trouble {
        unsupported(&format!("function `{}`", self.context.module.called(self.index)), what)
    }

    fn put_line(&mut self, offset: u64) {
        let Some(lines) = self.context.lines.filter(|_| self.dead.is_none()) else { return };
        let offset = offset - self.context.module.code_start;
        let Some((file, line)) = lines.at(offset).filter(|found| Some(*found) != self.line) else { return };
        self.line = Some((file, line));
        self.first_line = self.first_line.or(self.line);
        let _ = writeln!(self.code, "\n#line {line} {:?}", lines.file(file));
    }

    /// Adds a statement. All statements of one line of source stand in one line of C, for `#line` counts on.
    fn say(&mut self, statement: &str) {
        self.code.push_str(statement);
        self.code.push(if self.context.lines.is_some() { ' ' } else { '\n' });
    }

    fn push(&mut self, kind: Type) -> String {
        self.push_known(kind, Value::Any)
    }

    fn push_known(&mut self, kind: Type, value: Value) -> String {
        let at = self.stack.len();
        self.stack.push((kind, value));
        self.places.insert((at, kind));
        place(at, kind)
    }

    fn pop(&mut self) -> String {
        // The module was validated: there is something, and it is of the right type.
        let kind = self.stack.pop().map_or(Type::I32, |(kind, _)| kind);
        place(self.stack.len(), kind)
    }

    /// What is known of the uppermost operand.
    fn known(&self) -> Value {
        self.stack.last().map_or(Value::Any, |(_, value)| *value)
    }

    fn types_of(&self, block: BlockType) -> Result<(Vec<Type>, Vec<Type>), Trouble> {
        match block {
            BlockType::Empty => Ok((Vec::new(), Vec::new())),
            BlockType::Type(kind) => Ok((Vec::new(), vec![value_type(kind)?])),
            BlockType::FuncType(index) => {
                let signature = &self.context.module.types[index as usize];
                Ok((signature.parameters.clone(), signature.results.clone()))
            }
        }
    }

    fn open(&mut self, parameters: Vec<Type>, results: Vec<Type>, is_loop: bool, has_else: bool) -> u32 {
        self.labels += 1;
        let height = self.stack.len() - parameters.len();
        let branch = if is_loop { parameters.clone() } else { results.clone() };
        let label = self.labels;
        if is_loop {
            let assigned = self.loops.get(self.loops_begun).cloned().unwrap_or_default();
            self.variables.forget(&assigned);
            self.loops_begun += 1;
            self.stack[height..].iter_mut().for_each(|(_, value)| *value = Value::Any);
        }
        let at_else = has_else.then(|| self.variables.carried());
        let block = Block {
            label,
            branch,
            results,
            parameters,
            height,
            has_else,
            used: false,
            is_loop,
            at_label: None,
            at_else,
        };
        self.blocks.push(block);
        label
    }

    /// Moves the uppermost operands down to where a branch to a block wants them, and goes there.
    fn branch(&mut self, depth: u32) -> String {
        let at = self.blocks.len() - 1 - depth as usize;
        let from = self.stack.len();
        let Block { label, branch, height, .. } = &self.blocks[at];
        let (label, height, kinds) = (*label, *height, branch.clone());
        self.blocks[at].used = true;
        if !self.blocks[at].is_loop {
            let known = self.blocks[at].at_label.take();
            self.blocks[at].at_label = Variables::meet(known, Some(self.variables.carried()));
        }
        let first = from - kinds.len();
        let mut text = String::new();
        if first != height {
            for (at, kind) in kinds.iter().enumerate() {
                let to = (height + at, *kind);
                self.places.insert(to);
                let _ = write!(text, "{} = {}; ", place(to.0, to.1), place(first + at, *kind));
            }
        }
        if at == 0 { text + &self.give_back(height) } else { text + &format!("goto L{label};") }
    }

    /// Returns the function's result, which lies at a height of the stack.
    fn give_back(&self, height: usize) -> String {
        match self.blocks[0].results.first() {
            Some(kind) => format!("return {};", place(height, *kind)),
            None => "return;".to_owned(),
        }
    }

    fn end(&mut self) {
        let Some(block) = self.blocks.pop() else { return };
        let reached = self.dead.is_none();
        if block.has_else {
            // A condition without `else`: its parameters are its results.
            self.say(&format!("E{}:;", block.label));
        }
        if self.blocks.is_empty() {
            if reached {
                self.blocks.push(block);
                let returning = self.give_back(self.blocks[0].height);
                self.say(&returning);
                self.blocks.clear();
            }
            return;
        }
        if block.used && !block.is_loop {
            self.say(&format!("L{}:;", block.label));
        }
        let label_is_behind = block.used && !block.is_loop;
        self.stack.truncate(block.height);
        if reached || label_is_behind || block.has_else {
            self.dead = None;
            let straight = reached.then(|| self.variables.carried());
            let ways = Variables::meet(straight, block.at_label);
            self.variables = Variables::meet(ways, block.at_else.filter(|_| block.has_else)).unwrap_or_default();
            for kind in &block.results {
                self.push(*kind);
            }
        } else {
            self.dead = Some(0);
        }
    }

    fn trap(&mut self, number: &str) -> String {
        self.traps += 1;
        format!("TRAP({number}, \"{}.{}\");", self.index, self.traps)
    }

    fn goes_down_to(&mut self, value: Value) {
        if let (Some(deepest), Value::Below(bytes)) = (&mut self.frame.shadow, value) {
            *deepest = bytes.max(*deepest);
        }
    }

    fn die(&mut self) {
        self.dead = Some(0);
    }

    fn operator(&mut self, operator: &Operator<'_>) -> Result<(), Trouble> {
        use Operator as O;
        if let Some(depth) = self.dead {
            match operator {
                O::Block { .. } | O::Loop { .. } | O::If { .. } => {
                    self.dead = Some(depth + 1);
                    self.loops_begun += usize::from(matches!(operator, O::Loop { .. }));
                }
                O::End if depth > 0 => self.dead = Some(depth - 1),
                O::End => self.end(),
                O::Else if depth == 0 => self.otherwise(),
                _ => {}
            }
            return Ok(());
        }
        if let Some((operands, result, code)) = numeric(operator) {
            let known_b = if operands.len() > 1 { self.known() } else { Value::Any };
            let b = if operands.len() > 1 { self.pop() } else { String::new() };
            let known_a = self.known();
            let a = self.pop();
            let value = Value::joined(operator, known_a, known_b);
            // LLVM makes a frame by these two, and reckons addresses by additions. A leaf's frame counts, though the pointer
            // is not moved there.
            if matches!(operator, O::I32Sub | O::I32And) {
                self.goes_down_to(value);
            }
            let to = self.push_known(result, value);
            let mut text = format!("{to} = {};", code.replace("$a", &a).replace("$b", &b));
            if text.contains("$t") {
                self.traps += 1;
                text = text.replace("$t", &format!("{}, {}", self.index, self.traps));
            }
            self.say(&text);
            if matches!((operator, known_a, value), (O::I32Sub, Value::Below(0), Value::Below(_))) {
                self.say(&format!("OPAQUE({to});"));
            }
            return Ok(());
        }
        if let Some((access, memarg)) = access(operator) {
            self.access(&access, memarg);
            return Ok(());
        }
        if let Some((access, code, memarg)) = read_modify_write(operator) {
            self.read_modify_write(&access, code, memarg);
            return Ok(());
        }
        match *operator {
            O::Nop => {}
            O::AtomicFence { .. } => self.say("FENCE();"),
            O::Unreachable => {
                let trap = self.trap("TRAP_UNREACHABLE");
                self.say(&trap);
                self.die();
            }
            O::Block { blockty } => {
                let (parameters, results) = self.types_of(blockty)?;
                self.open(parameters, results, false, false);
            }
            O::Loop { blockty } => {
                let (parameters, results) = self.types_of(blockty)?;
                let label = self.open(parameters, results, true, false);
                self.say(&format!("L{label}:;"));
            }
            O::If { blockty } => {
                let condition = self.pop();
                let (parameters, results) = self.types_of(blockty)?;
                let label = self.open(parameters, results, false, true);
                self.say(&format!("if (!{condition}) goto E{label};"));
            }
            O::Else => self.otherwise(),
            O::End => self.end(),
            O::Br { relative_depth } => {
                let text = self.branch(relative_depth);
                self.say(&text);
                self.die();
            }
            O::BrIf { relative_depth } => {
                let condition = self.pop();
                let text = self.branch(relative_depth);
                self.say(&format!("if ({condition}) {{ {text} }}"));
            }
            O::BrTable { ref targets } => {
                let value = self.pop();
                let mut text = format!("switch ({value}) {{ ");
                for (at, depth) in targets.targets().enumerate() {
                    let depth = depth.map_err(|error| self.unsupported(error.message()))?;
                    let branch = self.branch(depth);
                    let _ = write!(text, "case {at}: {branch} ");
                }
                let branch = self.branch(targets.default());
                let _ = write!(text, "default: {branch} }}");
                self.say(&text);
                self.die();
            }
            O::Return => {
                let from = self.stack.len() - self.blocks[0].results.len();
                let text = self.give_back(from);
                self.say(&text);
                self.die();
            }
            O::Call { function_index } => self.call(function_index)?,
            O::CallIndirect { type_index, .. } => self.call_indirect(type_index)?,
            O::Drop => {
                self.pop();
            }
            O::Select => {
                let condition = self.pop();
                let kind = self.stack.last().map_or(Type::I32, |(kind, _)| *kind);
                let b = self.pop();
                // The first of the two stays where it is.
                let a = self.pop();
                self.say(&format!("{a} = {condition} ? {a} : {b};"));
                self.push(kind);
            }
            O::LocalGet { local_index } => {
                let kind = self.local(local_index);
                let to = self.push_known(kind, self.variables.get(local_index));
                self.say(&format!("{to} = l{local_index};"));
            }
            O::LocalSet { local_index } => {
                self.variables.set(local_index, self.known());
                let from = self.pop();
                self.say(&format!("l{local_index} = {from};"));
            }
            O::LocalTee { local_index } => {
                let kind = self.local(local_index);
                let from = place(self.stack.len() - 1, kind);
                self.say(&format!("l{local_index} = {from};"));
                self.variables.set(local_index, self.known());
            }
            O::GlobalGet { global_index } => {
                let kind = self.context.module.globals[global_index as usize].kind;
                if self.context.stack_pointer == Some(global_index) {
                    let to = self.push_known(kind, self.variables.get(POINTER));
                    self.say(&format!("STACK_GET({to});"));
                } else {
                    let to = self.push(kind);
                    let name = self.context.names.global(global_index);
                    self.say(&format!("{to} = {name};"));
                }
            }
            O::GlobalSet { global_index } => {
                let value = self.known();
                let from = self.pop();
                let text = if self.context.stack_pointer == Some(global_index) {
                    self.variables.set(POINTER, value);
                    match value {
                        Value::Below(_) => self.goes_down_to(value),
                        _ => self.frame.shadow = None,
                    }
                    format!("STACK_SET({from});")
                } else {
                    format!("{} = {from};", self.context.names.global(global_index))
                };
                self.say(&text);
            }
            O::I32Const { value } => {
                self.constant(Type::I32, value.cast_unsigned().into());
                if let Some((_, known)) = self.stack.last_mut() {
                    *known = Value::Constant(value.cast_unsigned());
                }
            }
            O::I64Const { value } => self.constant(Type::I64, value.cast_unsigned()),
            O::F32Const { value } => self.constant(Type::F32, value.bits().into()),
            O::F64Const { value } => self.constant(Type::F64, value.bits()),
            O::MemorySize { .. } => {
                let to = self.push(Type::I32);
                self.say(&format!("{to} = koboshi_memory_size();"));
            }
            O::MemoryGrow { .. } => {
                let pages = self.pop();
                let to = self.push(Type::I32);
                self.say(&format!("{to} = koboshi_memory_grow({pages});"));
            }
            O::MemoryCopy { .. } | O::MemoryFill { .. } => {
                let name = if matches!(operator, O::MemoryCopy { .. }) { "memory_copy" } else { "memory_fill" };
                let (length, second, first) = (self.pop(), self.pop(), self.pop());
                self.say(&format!("{name}({first}, {second}, {length});"));
            }
            ref other => return Err(self.unsupported(&format!("the instruction {}", name_of(other)))),
        }
        Ok(())
    }

    fn local(&self, index: u32) -> Type {
        // The module was validated: there is such a variable.
        self.locals.get(index as usize).copied().unwrap_or(Type::I32)
    }

    fn constant(&mut self, kind: Type, bits: u64) {
        let to = self.push(kind);
        self.say(&format!("{to} = {};", c_constant(kind, bits)));
    }

    fn otherwise(&mut self) {
        let Some(block) = self.blocks.last_mut() else { return };
        let label = block.label;
        let reached = self.dead.is_none();
        block.has_else = false;
        // The label of the end is needed when the first half comes there.
        block.used |= reached;
        let (height, parameters) = (block.height, block.parameters.clone());
        if reached {
            block.at_label = Variables::meet(block.at_label.take(), Some(self.variables.carried()));
        }
        self.variables = block.at_else.take().unwrap_or_default();
        if reached {
            self.say(&format!("goto L{label};"));
        }
        self.say(&format!("E{label}:;"));
        self.dead = None;
        self.stack.truncate(height);
        self.stack.extend(parameters.into_iter().map(|kind| (kind, Value::Any)));
    }

    fn access(&mut self, access: &Access, memarg: MemArg) {
        let size = 1u32 << access.size;
        // A hint above the access's size is not valid.
        let hint = 1u32 << memarg.align.min(access.size);
        let name = format!("{}{}_{hint}", if access.float { "f" } else { "" }, size * 8);
        // Memories of 32 bits have 32-bit offsets.
        let offset = memarg.offset as u32;
        let text = if access.store {
            let value = self.pop();
            let address = self.pop();
            format!("store{name}(at({address}, {offset}u), {});", access.code.replace("$a", &value))
        } else {
            let address = self.pop();
            let to = self.push(access.kind);
            let load = format!("load{name}(at({address}, {offset}u))");
            format!("{to} = {};", access.code.replace("$a", &load))
        };
        self.say(&text);
    }

    fn read_modify_write(&mut self, access: &Access, code: &str, memarg: MemArg) {
        let bits = 8u32 << access.size;
        let name = format!("{bits}_{}", 1u32 << memarg.align.min(access.size));
        let mut code = code.replace("$a", &self.pop());
        if code.contains("$b") {
            code = code.replace("$b", &self.pop());
        }
        let (address, offset) = (self.pop(), memarg.offset as u32);
        let (to, kind) = (self.push(access.kind), if access.kind == Type::I32 { "uint32_t" } else { "uint64_t" });
        let code = code.replace("$old", "old");
        self.say(&format!(
            "{{ uint32_t where = at({address}, {offset}u); {kind} old = load{name}(where); store{name}(where, {code}); {to} = old; }}"
        ));
    }

    fn call(&mut self, function: u32) -> Result<(), Trouble> {
        let signature = self.context.module.signature(function).clone();
        if !self.frame.calls.contains(&function) {
            self.frame.calls.push(function);
        }
        // These three give their first argument back, and LLVM goes on with what they give.
        let name = self.context.module.function_names.get(&function).map(String::as_str);
        let first = match name {
            Some("memcpy" | "memmove" | "memset") => {
                let at = self.stack.len().checked_sub(signature.parameters.len());
                at.and_then(|at| self.stack.get(at)).map(|(_, value)| *value)
            }
            _ => None,
        };
        self.calling(self.context.names.function(function).to_owned(), &signature.parameters, &signature.results)?;
        if let (Some(value), Some((Type::I32, known)), [Type::I32]) =
            (first, self.stack.last_mut(), &*signature.results)
        {
            *known = value;
        }
        Ok(())
    }

    fn call_indirect(&mut self, kind: u32) -> Result<(), Trouble> {
        let signature = self.context.module.types[kind as usize].clone();
        let canonical = self.context.module.canonical(kind);
        if !self.frame.indirect.contains(&(canonical as u32)) {
            self.frame.indirect.push(canonical as u32);
        }
        let at = self.pop();
        let (beyond, null, wrong) =
            (self.trap("TRAP_UNDEFINED_ELEMENT"), self.trap("TRAP_NULL_ELEMENT"), self.trap("TRAP_SIGNATURE"));
        let (table, types) = (self.context.names.table(), self.context.names.table_types());
        let size = self.context.module.table.len();
        let places = self.context.module.places_of(kind);
        if places.count == 0 {
            self.say(&format!("if ({at} >= {size}u) {beyond}"));
            if size > 0 {
                self.say(&format!("if (!{types}[{at}]) {null}"));
            }
            self.say(&wrong);
            self.die();
            return Ok(());
        }
        // Where the functions of a type lie side by side, their numbers say all.
        let fits = if places.count == places.end - places.start {
            format!("{at} - {}u < {}u", places.start, places.count)
        } else {
            format!("{at} < {size}u && {types}[{at}] == {canonical}")
        };
        self.say(&format!("if (!({fits})) {{ if ({at} >= {size}u) {beyond}"));
        self.say(&format!("if (!{types}[{at}]) {null} {wrong} }}"));
        let function = format!("(({}){table}[{at}])", pointer(&signature.parameters, &signature.results));
        self.calling(function, &signature.parameters, &signature.results)
    }

    fn calling(&mut self, function: String, parameters: &[Type], results: &[Type]) -> Result<(), Trouble> {
        if results.len() > 1 {
            return Err(self.unsupported("a function with several results"));
        }
        let mut arguments: Vec<String> = parameters.iter().map(|_| self.pop()).collect();
        arguments.reverse();
        let call = format!("{function}({});", arguments.join(", "));
        let text = match results.first() {
            Some(kind) => format!("{} = {call}", self.push(*kind)),
            None => call,
        };
        self.say(&text);
        Ok(())
    }
}

/// The C type of a pointer to a function.
pub(super) fn pointer(parameters: &[Type], results: &[Type]) -> String {
    format!("{} (*)({})", results.first().map_or("void", |kind| c_type(*kind)), parameter_types(parameters))
}

/// The C types of parameters, as in a declaration.
pub(super) fn parameter_types(parameters: &[Type]) -> String {
    match parameters {
        [] => "void".to_owned(),
        some => some.iter().map(|kind| c_type(*kind)).collect::<Vec<_>>().join(", "),
    }
}

/// An instruction's name, as well as it can be had.
pub(super) fn name_of(operator: &Operator<'_>) -> String {
    let debug = format!("{operator:?}");
    debug.split([' ', '{', '(']).next().unwrap_or_default().to_owned()
}
