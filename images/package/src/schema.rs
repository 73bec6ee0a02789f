//! Interfaces and kept states as texts, line by line, so that two of them can be compared where nobody has their types.
//!
//! The rule: a line is a place, `: `, and what is there. Everything that goes into a [`Key`](koboshi_interface_kit::Key) but
//! the interface's path is in one line, and no place has two.

use core::fmt::{self, Display, Formatter, Write};

use koboshi_interface_kit::{Interface, Kind, NamedType};
use postcard_schema::schema::{DataModelType, DataModelVariant};

/// Writes what both ends of this interface must agree on.
///
/// # Errors
/// `out` has failed.
pub fn spell(interface: &Interface, out: &mut dyn Write) -> fmt::Result {
    let kind = match interface.kind {
        Kind::Service => "service",
        Kind::Stream => "stream",
    };
    writeln!(out, "kind: {kind}")?;
    for row in interface.operations {
        let operation = Trail { before: None, step: Step::Name(row.name) };
        writeln!(out, "{operation}: operation {}, {}", row.index, row.contract)?;
        let parts = [("request", Some(row.request)), ("reply", Some(row.reply)), ("progress", row.progress)];
        for (part, schema) in parts {
            let Some(schema) = schema else { continue };
            named(&Trail { before: Some(&operation), step: Step::Name(part) }, "", schema, out)?;
        }
    }
    if let Some(item) = interface.item {
        named(&Trail { before: None, step: Step::Name("item") }, "", item, out)?;
    }
    // Last: where it differs, something before it mostly does, and that is what somebody wants to know.
    writeln!(out, "largest message: {} bytes", interface.payload)
}

/// Writes the schema of kept state.
///
/// # Errors
/// `out` has failed.
pub fn spell_state(schema: &NamedType, out: &mut dyn Write) -> fmt::Result {
    named(&Trail { before: None, step: Step::Name("state") }, "", schema, out)
}

/// The way to a place.
struct Trail<'a> {
    before: Option<&'a Trail<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Name(&'a str),
    Number(usize),
}

impl Display for Trail<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        if let Some(before) = self.before {
            write!(out, "{before}.")?;
        }
        match self.step {
            Step::Name(name) => out.write_str(name),
            Step::Number(number) => write!(out, "{number}"),
        }
    }
}

/// One type, and all that is in it. `before`: what is said of the place before its type.
fn named(trail: &Trail<'_>, before: &str, schema: &NamedType, out: &mut dyn Write) -> fmt::Result {
    let name = schema.name;
    let mut line = |shape: &dyn Display| writeln!(out, "{trail}: {before}{name}{shape}");
    let of = |what, count| Of(what, count);
    match schema.ty {
        DataModelType::Option(_) => line(&", optional")?,
        DataModelType::NewtypeStruct(_) => line(&", around one type")?,
        DataModelType::Seq(_) => line(&", a list")?,
        DataModelType::Map { .. } => line(&", a map")?,
        DataModelType::Tuple(parts) | DataModelType::TupleStruct(parts) => line(&of("a tuple", parts.len()))?,
        DataModelType::Struct(fields) => line(&of("a struct", fields.len()))?,
        DataModelType::Enum(variants) => line(&of("an enum", variants.len()))?,
        plain => line(&Plain(name, plain_name(plain)))?,
    }
    let inner = |step| Trail { before: Some(trail), step };
    match schema.ty {
        DataModelType::Option(part) | DataModelType::NewtypeStruct(part) => {
            named(&inner(Step::Number(0)), "", part, out)
        }
        DataModelType::Seq(part) => named(&inner(Step::Name("each")), "", part, out),
        DataModelType::Map { key, val } => {
            named(&inner(Step::Name("key")), "", key, out)?;
            named(&inner(Step::Name("value")), "", val, out)
        }
        DataModelType::Tuple(parts) | DataModelType::TupleStruct(parts) => all(trail, parts, out),
        DataModelType::Struct(fields) => {
            fields.iter().try_for_each(|field| named(&inner(Step::Name(field.name)), "", field.ty, out))
        }
        DataModelType::Enum(variants) => variants.iter().try_for_each(|variant| {
            let trail = inner(Step::Name(variant.name));
            match variant.ty {
                DataModelVariant::UnitVariant => writeln!(out, "{trail}: a variant"),
                DataModelVariant::NewtypeVariant(part) => named(&trail, "a variant around ", part, out),
                DataModelVariant::TupleVariant(parts) => {
                    writeln!(out, "{trail}: a variant{}", Of("a tuple", parts.len()))?;
                    all(&trail, parts, out)
                }
                DataModelVariant::StructVariant(fields) => {
                    writeln!(out, "{trail}: a variant{}", Of("a struct", fields.len()))?;
                    fields.iter().try_for_each(|field| {
                        named(&Trail { before: Some(&trail), step: Step::Name(field.name) }, "", field.ty, out)
                    })
                }
            }
        }),
        _ => Ok(()),
    }
}

fn all(trail: &Trail<'_>, parts: &[&NamedType], out: &mut dyn Write) -> fmt::Result {
    parts
        .iter()
        .enumerate()
        .try_for_each(|(number, part)| named(&Trail { before: Some(trail), step: Step::Number(number) }, "", part, out))
}

/// A shape with its number of parts.
struct Of(&'static str, usize);

impl Display for Of {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, ", {} of {}", self.0, self.1)
    }
}

/// A plain type's own name, where it is called otherwise.
struct Plain<'a>(&'a str, &'a str);

impl Display for Plain<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        if self.0 == self.1 { Ok(()) } else { write!(out, ", {}", self.1) }
    }
}

const fn plain_name(ty: &DataModelType) -> &'static str {
    match ty {
        DataModelType::Bool => "bool",
        DataModelType::I8 => "i8",
        DataModelType::U8 => "u8",
        DataModelType::I16 => "i16",
        DataModelType::I32 => "i32",
        DataModelType::I64 => "i64",
        DataModelType::I128 => "i128",
        DataModelType::U16 => "u16",
        DataModelType::U32 => "u32",
        DataModelType::U64 => "u64",
        DataModelType::U128 => "u128",
        DataModelType::Usize => "usize",
        DataModelType::Isize => "isize",
        DataModelType::F32 => "f32",
        DataModelType::F64 => "f64",
        DataModelType::Char => "char",
        DataModelType::String => "text",
        DataModelType::ByteArray => "bytes",
        DataModelType::Unit => "()",
        DataModelType::UnitStruct => "empty",
        DataModelType::Schema => "a schema",
        // Shapes with parts: they are said where their parts are.
        _ => "",
    }
}

/// One place at which two schemas differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference<'a> {
    /// The place; `order`, if the same places stand in another order.
    pub place: &'a str,
    /// What the package has there.
    pub found: Option<&'a str>,
    /// What the image has there.
    pub expected: Option<&'a str>,
}

fn lines(text: &str) -> impl Iterator<Item = (&str, &str)> + Clone {
    text.lines().map(|line| line.split_once(": ").unwrap_or((line, "")))
}

/// Tells the places at which two schemas differ: at least one, if they do. What lies within a place that was told is not
/// told again.
pub fn differences<'a>(found: &'a str, expected: &'a str, tell: &mut dyn FnMut(Difference<'a>)) {
    if found == expected {
        return;
    }
    let mut told = None;
    let within = |place: &str, told: Option<&str>| {
        told.and_then(|told| place.strip_prefix(told)).is_some_and(|rest| rest.starts_with('.'))
    };
    for (place, what) in lines(expected) {
        let there = lines(found).find(|(other, _)| *other == place).map(|(_, what)| what);
        if there != Some(what) && !within(place, told) {
            told = Some(place);
            tell(Difference { place, found: there, expected: Some(what) });
        }
    }
    let mut outer = None;
    for (place, what) in lines(found) {
        let there = lines(expected).any(|(other, _)| other == place);
        if !there && !within(place, outer) {
            outer = Some(place);
            told = Some(place);
            tell(Difference { place, found: Some(what), expected: None });
        }
    }
    if told.is_none() {
        let pair = lines(found).zip(lines(expected)).find(|(ours, theirs)| ours != theirs);
        let (found, expected) = pair.map_or((None, None), |(ours, theirs)| (Some(ours.0), Some(theirs.0)));
        tell(Difference { place: "order", found, expected });
    }
}
