//! Keys: one number that differs as soon as two ends could misunderstand each other.
//!
//! The rule: everything that matters goes in, and so that no two lists of ingredients are spelt alike. Every text and
//! every list is preceded by its length, every kind of type by a tag of its own. The schema is walked here, and not by
//! `postcard-schema`, whose own keys see neither names nor capacities, and take some enums for others.
//! A key is a guard against mistakes, not against attackers: it is a hash, and no secret goes into it.

use core::fmt;

use postcard_schema::Schema;
use postcard_schema::schema::{DataModelType, DataModelVariant, NamedType, NamedValue, NamedVariant};

use crate::contract::{Contract, ContractKind};
use crate::port::{Operation, Service, Stream, progress_of};
use crate::row::{Kind, Row};

/// What both ends of a port must agree on, as one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u64);

impl fmt::Display for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

/// All that goes into the key of one operation or one stream.
#[derive(Debug, Clone, Copy)]
pub struct Ingredients {
    /// The interface's name among all interfaces.
    pub path: &'static str,
    /// The operation's name; empty for a stream.
    pub name: &'static str,
    /// The operation's number in a request's slot; zero for a stream.
    pub index: u8,
    /// Which way things travel: requests and replies, or items.
    pub direction: Kind,
    /// The recovery contract; none for a stream.
    pub contract: Option<ContractKind>,
    /// The schema of requests, or of items.
    pub request: &'static NamedType,
    /// The schema of replies; none for a stream.
    pub reply: Option<&'static NamedType>,
    /// The schema of progress, where there is one.
    pub progress: Option<&'static NamedType>,
    /// Room for the largest message of the interface, in bytes.
    pub slot: usize,
}

impl Ingredients {
    /// Those of operation `O`, in a service whose slots hold `slot` bytes.
    pub const fn of_operation<O: Operation>(slot: usize) -> Self {
        Self {
            path: <O::Service as Service>::PATH,
            name: O::NAME,
            index: O::INDEX,
            direction: Kind::Service,
            contract: Some(<O::Contract as Contract>::KIND),
            request: <O::Request as Schema>::SCHEMA,
            reply: Some(<O::Reply as Schema>::SCHEMA),
            progress: progress_of::<O>(),
            slot,
        }
    }

    /// Those of stream `S`.
    pub const fn of_stream<S: Stream>(slot: usize) -> Self {
        Self {
            path: S::PATH,
            name: "",
            index: 0,
            direction: Kind::Stream,
            contract: None,
            request: <S::Item as Schema>::SCHEMA,
            reply: None,
            progress: None,
            slot,
        }
    }

    /// Their key.
    pub const fn key(&self) -> Key {
        let hash = Hash::new()
            .text(self.path)
            .text(self.name)
            .byte(self.index)
            .byte(self.direction as u8)
            .byte(match self.contract {
                None => 0,
                Some(contract) => 1 + contract as u8,
            })
            .named(self.request)
            .perhaps(self.reply)
            .perhaps(self.progress)
            .number(self.slot);
        Key(hash.0)
    }
}

impl Key {
    /// The key of kept state of this type.
    pub const fn of_state<T: Schema>() -> Self {
        Self(Hash::new().named(T::SCHEMA).0)
    }

    /// The key of a whole service: its path, and the keys of its operations in order.
    pub const fn of_service(path: &str, operations: &[Row]) -> Self {
        let mut hash = Hash::new().text(path).number(operations.len());
        let mut place = 0;
        while place < operations.len() {
            hash = hash.number(operations[place].key.0 as usize).number((operations[place].key.0 >> 32) as usize);
            place += 1;
        }
        Self(hash.0)
    }
}

/// FNV-1a with 64 bits: small, and good in `const`.
#[derive(Clone, Copy)]
struct Hash(u64);

impl Hash {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    const fn byte(self, byte: u8) -> Self {
        Self((self.0 ^ byte as u64).wrapping_mul(0x0000_0100_0000_01b3))
    }

    /// The low 32 bits of a number: the same on every platform, whatever its `usize` is.
    const fn number(self, number: usize) -> Self {
        let [a, b, c, d] = (number as u32).to_le_bytes();
        self.byte(a).byte(b).byte(c).byte(d)
    }

    const fn text(self, text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut hash = self.number(bytes.len());
        let mut place = 0;
        while place < bytes.len() {
            hash = hash.byte(bytes[place]);
            place += 1;
        }
        hash
    }

    const fn perhaps(self, schema: Option<&NamedType>) -> Self {
        match schema {
            None => self.byte(0),
            Some(schema) => self.byte(1).named(schema),
        }
    }

    /// A type with its name: two newtypes of `u32` mean two things.
    const fn named(self, schema: &NamedType) -> Self {
        let hash = self.text(schema.name);
        match schema.ty {
            DataModelType::Bool => hash.byte(1),
            DataModelType::I8 => hash.byte(2),
            DataModelType::U8 => hash.byte(3),
            DataModelType::I16 => hash.byte(4),
            DataModelType::I32 => hash.byte(5),
            DataModelType::I64 => hash.byte(6),
            DataModelType::I128 => hash.byte(7),
            DataModelType::U16 => hash.byte(8),
            DataModelType::U32 => hash.byte(9),
            DataModelType::U64 => hash.byte(10),
            DataModelType::U128 => hash.byte(11),
            DataModelType::Usize | DataModelType::Isize => {
                panic!("no `usize` or `isize` in a message: its size differs between platforms")
            }
            DataModelType::F32 => hash.byte(12),
            DataModelType::F64 => hash.byte(13),
            DataModelType::Char => hash.byte(14),
            DataModelType::String => hash.byte(15),
            DataModelType::ByteArray => hash.byte(16),
            DataModelType::Option(inner) => hash.byte(17).named(inner),
            DataModelType::Unit => hash.byte(18),
            DataModelType::UnitStruct => hash.byte(19),
            DataModelType::NewtypeStruct(inner) => hash.byte(20).named(inner),
            DataModelType::Seq(inner) => hash.byte(21).named(inner),
            DataModelType::Tuple(parts) => hash.byte(22).all(parts),
            DataModelType::TupleStruct(parts) => hash.byte(23).all(parts),
            DataModelType::Map { key, val } => hash.byte(24).named(key).named(val),
            DataModelType::Struct(fields) => hash.byte(25).fields(fields),
            DataModelType::Enum(variants) => hash.byte(26).variants(variants),
            DataModelType::Schema => hash.byte(27),
        }
    }

    const fn all(self, parts: &[&NamedType]) -> Self {
        let mut hash = self.number(parts.len());
        let mut place = 0;
        while place < parts.len() {
            hash = hash.named(parts[place]);
            place += 1;
        }
        hash
    }

    const fn fields(self, fields: &[&NamedValue]) -> Self {
        let mut hash = self.number(fields.len());
        let mut place = 0;
        while place < fields.len() {
            hash = hash.text(fields[place].name).named(fields[place].ty);
            place += 1;
        }
        hash
    }

    const fn variants(self, variants: &[&NamedVariant]) -> Self {
        let mut hash = self.number(variants.len());
        let mut place = 0;
        while place < variants.len() {
            let variant = variants[place];
            hash = hash.text(variant.name);
            hash = match variant.ty {
                DataModelVariant::UnitVariant => hash.byte(1),
                DataModelVariant::NewtypeVariant(inner) => hash.byte(2).named(inner),
                DataModelVariant::TupleVariant(parts) => hash.byte(3).all(parts),
                DataModelVariant::StructVariant(fields) => hash.byte(4).fields(fields),
            };
            place += 1;
        }
        hash
    }
}
