//! What one image does: instances of translated modules, and rows that are run in order.

use std::fmt;

use koboshi_sh4::translate::{Function, Global, Translated, Type};

/// The ways in which a call may end other than by coming back: `TRAP_...` and `FAULT_...` of the board.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends(u32);

impl Ends {
    /// An `unreachable` was reached.
    pub const UNREACHABLE: Ends = Ends(1);
    /// Integer division by zero.
    pub const DIVIDE_BY_ZERO: Ends = Ends(1 << 1);
    /// An integer's range was left.
    pub const INTEGER_OVERFLOW: Ends = Ends(1 << 2);
    /// A NaN as an integer.
    pub const BAD_CONVERSION: Ends = Ends(1 << 3);
    /// An indirect call beyond the table.
    pub const UNDEFINED_ELEMENT: Ends = Ends(1 << 4);
    /// An indirect call of an empty place.
    pub const NULL_ELEMENT: Ends = Ends(1 << 5);
    /// An indirect call of a function of another type.
    pub const SIGNATURE: Ends = Ends(1 << 6);
    /// Memory that is not there: seen by translated code, or by the machine.
    pub const MEMORY: Ends = Ends(1 << 7 | 1 << FAULTS);
    /// The guard below the stack.
    pub const STACK: Ends = Ends(1 << (FAULTS + 2));

    /// The end with this number, as the board counts them.
    #[must_use]
    pub fn of_code(code: u32) -> Option<Ends> {
        match code {
            FIRST_TRAP..LAST_TRAP => Some(Ends(1 << (code - FIRST_TRAP))),
            FIRST_FAULT..LAST_FAULT => Some(Ends(1 << (code - FIRST_FAULT + FAULTS))),
            _ => None,
        }
    }

    /// One bit for each: what the driver compares.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }
}

const FIRST_TRAP: u32 = 0x40;
const LAST_TRAP: u32 = 0x48;
const FIRST_FAULT: u32 = 0x80;
const LAST_FAULT: u32 = 0x85;
/// The bit of the first fault.
const FAULTS: u32 = 8;

/// Names of the bits.
const NAMES: [&str; 13] = [
    "unreachable",
    "integer divide by zero",
    "integer overflow",
    "invalid conversion to integer",
    "undefined element",
    "uninitialized element",
    "indirect call type mismatch",
    "out of bounds memory access (checked)",
    "out of bounds memory access",
    "misaligned access",
    "call stack exhausted",
    "illegal instruction",
    "another exception of the machine",
];

impl fmt::Display for Ends {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = NAMES.iter().enumerate().filter(|(bit, _)| self.0 & 1 << bit != 0).map(|(_, name)| *name);
        out.write_str(&names.collect::<Vec<_>>().join(" or "))
    }
}

/// A value, by its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// Its type.
    pub kind: Type,
    /// Its bits; those above the type's width are zero.
    pub bits: u64,
}

impl Value {
    /// Is it one of the NaNs?
    #[must_use]
    pub fn is_nan(self) -> bool {
        match self.kind {
            Type::F32 => f32::from_bits(self.bits as u32).is_nan(),
            Type::F64 => f64::from_bits(self.bits).is_nan(),
            Type::I32 | Type::I64 => false,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Type::I32 => write!(out, "i32 {:#x}", self.bits),
            Type::I64 => write!(out, "i64 {:#x}", self.bits),
            Type::F32 => write!(out, "f32 {:?} ({:#010x})", f32::from_bits(self.bits as u32), self.bits),
            Type::F64 => write!(out, "f64 {:?} ({:#018x})", f64::from_bits(self.bits), self.bits),
        }
    }
}

/// What a row has to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It comes back.
    Back,
    /// It comes back with this, bit for bit.
    Exactly(Value),
    /// It comes back with some NaN. Which one a machine makes is its own affair: SH-4's quiet bit has the opposite
    /// meaning of IEEE 754-2008's.
    AnyNan(Type),
    /// It comes back with one of these.
    OneOf(Vec<Expect>),
    /// It does not come back, but ends so.
    End(Ends),
}

impl Expect {
    /// A value as somebody else has computed it: a NaN stands for each.
    #[must_use]
    pub fn computed(value: Value) -> Expect {
        if value.is_nan() { Expect::AnyNan(value.kind) } else { Expect::Exactly(value) }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expect::Back => out.write_str("it comes back"),
            Expect::Exactly(value) => value.fmt(out),
            Expect::AnyNan(Type::F32) => out.write_str("f32 NaN"),
            Expect::AnyNan(_) => out.write_str("f64 NaN"),
            Expect::OneOf(some) => {
                let some: Vec<_> = some.iter().map(Expect::to_string).collect();
                out.write_str(&some.join(" or "))
            }
            Expect::End(ends) => write!(out, "trap: {ends}"),
        }
    }
}

/// An instance of a module, with an address space of its own if it has memory.
#[derive(Clone, Debug)]
pub struct Instance {
    /// The module, translated with a prefix that no other of the plan has.
    pub translated: Translated,
    /// What stands for each symbol that it imports: a C symbol of the driver's or of another instance.
    pub links: Vec<(String, String)>,
    /// A variable of the module's that has to hold this before each call.
    pub fuel: Option<(String, u32)>,
}

impl Instance {
    /// What stands for this symbol: it may be an import that is exported again.
    #[must_use]
    pub fn resolve<'a>(&'a self, symbol: &'a str) -> &'a str {
        self.links.iter().find(|(imported, _)| imported == symbol).map_or(symbol, |(_, target)| target)
    }

    /// The function that it exports under this name.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.translated.functions.iter().find(|function| function.name == name)
    }

    /// The global variable that it exports under this name.
    #[must_use]
    pub fn global(&self, name: &str) -> Option<&Global> {
        self.translated.globals.iter().find(|global| global.name == name)
    }
}

/// What a row does. Instances, functions and global variables by their place in the plan and the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Makes the address space, places the data, runs the start function.
    Instantiate(usize),
    /// Calls an exported function.
    Call {
        /// Of which instance.
        instance: usize,
        /// The name of the export.
        name: String,
        /// What it is given.
        arguments: Vec<Value>,
    },
    /// Reads an exported global variable.
    Read {
        /// Of which instance.
        instance: usize,
        /// The name of the export.
        name: String,
    },
    /// Digests the memory, and how much of it there is; see [`Digest`].
    Digest(usize),
    /// Digests a part of the memory: to find where it differs.
    Part {
        /// Of which instance.
        instance: usize,
        /// The first address.
        from: u32,
        /// So many words of 32 bits.
        words: u32,
    },
    /// Reads the digest of what the plan's own functions were called with since the instantiation.
    Record(usize),
}

impl Action {
    /// The instance that it is about.
    #[must_use]
    pub fn instance(&self) -> usize {
        match self {
            Action::Call { instance, .. } | Action::Read { instance, .. } | Action::Part { instance, .. } => *instance,
            Action::Instantiate(instance) | Action::Digest(instance) | Action::Record(instance) => *instance,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Instantiate(_) => out.write_str("instantiation"),
            Action::Call { name, arguments, .. } => {
                let arguments: Vec<_> = arguments.iter().map(Value::to_string).collect();
                write!(out, "{name:?}({})", arguments.join(", "))
            }
            Action::Read { name, .. } => write!(out, "global {name:?}"),
            Action::Digest(_) => out.write_str("the memory's digest"),
            Action::Part { from, words, .. } => write!(out, "the digest of {words} words of memory at {from:#x}"),
            Action::Record(_) => out.write_str("the digest of calls of imported functions"),
        }
    }
}

/// One step, and what has to come of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The step.
    pub action: Action,
    /// What has to come of it.
    pub expect: Expect,
}

/// What one image does.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Every instance.
    pub instances: Vec<Instance>,
    /// The steps, in order.
    pub rows: Vec<Row>,
    /// C that the instances' links need: definitions of functions and variables. They may use `board.h`, `of32` and the
    /// like, and what keeps the record: `record_word(uint32_t)`, `record_long(uint64_t)`, `record`.
    pub given: String,
    /// A call that comes upon the stack's guard is excused, and with it whatever its instance does afterwards: how deep
    /// calls may go is not for a module to say.
    pub stack_excused: bool,
}

/// What came of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What was expected.
    Passed,
    /// Something else: the end's code, or 0 and the bits of the result.
    Failed {
        /// `TRAP_...`, `FAULT_...` or 0.
        code: u32,
        /// The result, if it came back.
        result: u64,
    },
    /// It came upon the stack's guard, or its instance had: nothing is known.
    Excused,
    /// The image ended before it came to this.
    NotReached,
}

impl Outcome {
    /// In words, for a row that expected `expect`.
    #[must_use]
    pub fn told(self, kind: Option<Type>) -> String {
        match (self, kind) {
            (Outcome::Passed, _) => "what was expected".to_owned(),
            (Outcome::Failed { code: 0, result }, Some(kind)) => Value { kind, bits: result }.to_string(),
            (Outcome::Failed { code: 0, .. }, None) => "it came back".to_owned(),
            (Outcome::Failed { code, .. }, _) => match Ends::of_code(code) {
                Some(end) => format!("trap: {end}"),
                None => format!("end {code:#x}"),
            },
            (Outcome::Excused, _) => "the stack was exhausted".to_owned(),
            (Outcome::NotReached, _) => "the image ended before".to_owned(),
        }
    }
}

impl Plan {
    /// The type of what a row gives.
    #[must_use]
    pub fn kind(&self, row: &Row) -> Option<Type> {
        let instance = self.instances.get(row.action.instance())?;
        match &row.action {
            Action::Instantiate(_) => None,
            Action::Call { name, .. } => instance.function(name)?.results.first().copied(),
            Action::Read { name, .. } => Some(instance.global(name)?.kind),
            Action::Digest(_) | Action::Part { .. } | Action::Record(_) => Some(Type::I32),
        }
    }
}

/// A digest that host and board compute alike, quickly, and in which the place of each word counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(u32);

/// 2^32 divided by the golden ratio: odd, and its bits are well mixed.
pub(super) const DIGEST_FACTOR: u32 = 0x9E37_79B1;

impl Digest {
    /// Takes one more word.
    pub fn word(&mut self, word: u32) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(DIGEST_FACTOR);
    }

    /// Takes a value; all NaNs are one.
    pub fn value(&mut self, value: Value) {
        let bits = if value.is_nan() { u64::MAX } else { value.bits };
        self.word(bits as u32);
        self.word((bits >> 32) as u32);
    }

    /// Of a memory: all its words, and how many pages.
    #[must_use]
    pub fn of_memory(bytes: &[u8], pages: u32) -> u32 {
        let mut digest = Digest(Self::of_words(bytes));
        digest.word(pages);
        digest.0
    }

    /// Of some bytes, word by word.
    #[must_use]
    pub fn of_words(bytes: &[u8]) -> u32 {
        let mut digest = Digest::default();
        for word in bytes.chunks_exact(4) {
            digest.word(u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        }
        digest.0
    }

    /// The word of which alone this is the digest.
    #[must_use]
    pub fn word_of(digest: u32) -> u32 {
        // The inverse of an odd number modulo 2^32, by Newton's method: each step doubles the bits that are right, from 3.
        let inverse = (0..4).fold(DIGEST_FACTOR, |inverse, _| {
            inverse.wrapping_mul(2u32.wrapping_sub(DIGEST_FACTOR.wrapping_mul(inverse)))
        });
        digest.wrapping_mul(inverse)
    }

    /// What it has come to.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{Digest, Ends};

    #[test]
    fn ends_have_the_boards_numbers() {
        let header = koboshi_sh4_header();
        for (name, end) in [
            ("TRAP_UNREACHABLE", Ends::UNREACHABLE),
            ("TRAP_DIVIDE_BY_ZERO", Ends::DIVIDE_BY_ZERO),
            ("TRAP_INTEGER_OVERFLOW", Ends::INTEGER_OVERFLOW),
            ("TRAP_BAD_CONVERSION", Ends::BAD_CONVERSION),
            ("TRAP_UNDEFINED_ELEMENT", Ends::UNDEFINED_ELEMENT),
            ("TRAP_NULL_ELEMENT", Ends::NULL_ELEMENT),
            ("TRAP_SIGNATURE", Ends::SIGNATURE),
            ("FAULT_STACK", Ends::STACK),
        ] {
            assert_eq!(Ends::of_code(number(&header, name)), Some(end), "{name}");
        }
        let memory = ["TRAP_MEMORY", "FAULT_MEMORY"].map(|name| Ends::of_code(number(&header, name)).unwrap().bits());
        assert_eq!(memory[0] | memory[1], Ends::MEMORY.bits());
    }

    fn koboshi_sh4_header() -> String {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../images/sh4/src/board/");
        ["traps.h", "board.h"].map(|name| std::fs::read_to_string(format!("{folder}{name}")).unwrap()).concat()
    }

    fn number(header: &str, name: &str) -> u32 {
        let line = header.lines().find(|line| line.starts_with(&format!("#define {name} "))).unwrap();
        u32::from_str_radix(line.split_whitespace().nth(2).unwrap().trim_start_matches("0x"), 16).unwrap()
    }

    #[test]
    fn a_word_can_be_told_from_its_digest() {
        for word in [0u32, 1, 0xDEAD_BEEF, u32::MAX] {
            assert_eq!(Digest::word_of(Digest::of_words(&word.to_le_bytes())), word);
        }
    }

    #[test]
    fn the_place_of_a_word_counts_in_a_digest() {
        let digest = |words: [u32; 3]| {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            Digest::of_memory(&bytes, 1)
        };
        assert_ne!(digest([1, 0, 0]), digest([0, 1, 0]));
        assert_ne!(digest([1, 2, 0]), digest([2, 1, 0]));
        assert_ne!(Digest::of_memory(&[], 1), Digest::of_memory(&[], 2));
    }
}
