//! What two versions of one interface differ in, in words that lead to the place.
//!
//! Job: walk two [`Interface`]s side by side, as their keys were made, and name the innermost places where they differ.
//! It must never say nothing of two interfaces whose keys differ.

use core::cell::Cell;
use core::fmt::{self, Display, Formatter};

use postcard_schema::schema::{DataModelType, DataModelVariant, NamedType, NamedValue, NamedVariant};

use crate::row::{Interface, Kind, Row};

/// Tells each difference between an interface as it is on one side ("here") and on the other ("there").
///
/// One that follows from another, such as a larger slot from a larger message, is not told.
pub fn differences(here: &Interface, there: &Interface, tell: &mut dyn FnMut(&dyn Display)) {
    if here.key == there.key {
        return;
    }
    let found = Cell::new(false);
    let mut tell = |difference: &dyn Display| {
        found.set(true);
        tell(difference);
    };
    let interface = here.path.rsplit('/').next().unwrap_or(here.path);
    if here.path != there.path {
        tell(&Differs(&"path", &Code(here.path), &Code(there.path)));
    }
    if here.kind != there.kind {
        tell(&Differs(&Code(interface), &kind(here.kind), &kind(there.kind)));
        return;
    }
    if let (Some(ours), Some(theirs)) = (here.item, there.item) {
        let trail = Trail { before: None, step: Step::Part(interface, "", "item") };
        named(&trail, ours, theirs, &mut tell);
    }
    let missing = |rows: &[Row], name| rows.iter().all(|row| row.name != name);
    for row in there.operations.iter().filter(|row| missing(here.operations, row.name)) {
        tell(&Missing("operation", row.name, "here"));
    }
    for row in here.operations.iter().filter(|row| missing(there.operations, row.name)) {
        tell(&Missing("operation", row.name, "there"));
    }
    let same_operations = here.operations.iter().all(|row| !missing(there.operations, row.name))
        && there.operations.iter().all(|row| !missing(here.operations, row.name));
    for ours in here.operations {
        let Some(theirs) = there.operations.iter().find(|row| row.name == ours.name) else { continue };
        // A place that moved because an operation came or went is no difference of its own.
        if same_operations && ours.index != theirs.index {
            tell(&Of(
                interface,
                ours.name,
                &Differs(&"place", &ours.index.saturating_add(1), &theirs.index.saturating_add(1)),
            ));
        }
        if ours.contract != theirs.contract {
            tell(&Of(interface, ours.name, &Differs(&"contract", &ours.contract, &theirs.contract)));
        }
        let part = |part| Trail { before: None, step: Step::Part(interface, ours.name, part) };
        named(&part("request"), ours.request, theirs.request, &mut tell);
        named(&part("reply"), ours.reply, theirs.reply, &mut tell);
        // Only a contract with progress has any: another contract was told.
        if let (Some(ours), Some(theirs)) = (ours.progress, theirs.progress) {
            named(&part("progress"), ours, theirs, &mut tell);
        }
    }
    if !found.get() {
        tell(&Differs(&"largest message", &Bytes(here.payload), &Bytes(there.payload)));
    }
}

const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Service => "a service",
        Kind::Stream => "a stream",
    }
}

/// A name, as it stands in code.
struct Code<'a>(&'a str);

impl Display for Code<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "`{}`", self.0)
    }
}

struct Bytes(usize);

impl Display for Bytes {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{} bytes", self.0)
    }
}

/// Something that is one thing here and another there.
struct Differs<'a>(&'a dyn Display, &'a dyn Display, &'a dyn Display);

impl Display for Differs<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {} here, {} there", self.0, self.1, self.2)
    }
}

/// Something of this name that is missing on one side.
struct Missing<'a>(&'a str, &'a str, &'a str);

impl Display for Missing<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{} `{}` is missing {}", self.0, self.1, self.2)
    }
}

/// Something about one operation of an interface.
struct Of<'a>(&'a str, &'a str, &'a dyn Display);

impl Display for Of<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "`{}/{}`: {}", self.0, self.1, self.2)
    }
}

/// Something at the end of a trail.
struct At<'a>(&'a Trail<'a>, &'a dyn Display);

impl Display for At<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}", self.0, self.1)
    }
}

/// The way into a type, from the message on.
struct Trail<'a> {
    before: Option<&'a Trail<'a>>,
    step: Step<'a>,
}

enum Step<'a> {
    /// A part of an operation (interface, operation, part), or of a stream.
    Part(&'a str, &'a str, &'a str),
    Type(&'a str),
    Field(&'a str),
    Variant(&'a str),
    Place(usize),
}

impl Display for Trail<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        if let Some(before) = self.before {
            before.fmt(out)?;
        }
        match self.step {
            Step::Part(interface, "", part) => write!(out, "`{interface}`: {part}"),
            Step::Part(interface, operation, part) => write!(out, "`{interface}/{operation}`: {part}"),
            Step::Type(name) => write!(out, " `{name}`"),
            Step::Field(name) => write!(out, ", field `{name}`"),
            Step::Variant(name) => write!(out, ", variant `{name}`"),
            Step::Place(place) => write!(out, ", part {}", place.saturating_add(1)),
        }
    }
}

/// What is said of the type at the end of a trail as a whole.
struct Behind<'a>(&'a dyn Display);

impl Display for Behind<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, ", {}", self.0)
    }
}

/// Two types that are called differently mean two things, whatever is in them.
fn named(trail: &Trail<'_>, here: &NamedType, there: &NamedType, tell: &mut dyn FnMut(&dyn Display)) {
    if here == there {
        return;
    }
    if here.name != there.name {
        tell(&At(trail, &Differs(&"", &here.name, &there.name)));
        return;
    }
    let inner = Trail { before: Some(trail), step: Step::Type(here.name) };
    match (here.ty, there.ty) {
        (DataModelType::Option(ours), DataModelType::Option(theirs))
        | (DataModelType::NewtypeStruct(ours), DataModelType::NewtypeStruct(theirs))
        | (DataModelType::Seq(ours), DataModelType::Seq(theirs)) => named(&inner, ours, theirs, tell),
        (DataModelType::Tuple(ours), DataModelType::Tuple(theirs))
        | (DataModelType::TupleStruct(ours), DataModelType::TupleStruct(theirs)) => parts(&inner, ours, theirs, tell),
        (DataModelType::Map { key: our_key, val: ours }, DataModelType::Map { key: their_key, val: theirs }) => {
            parts(&inner, &[our_key, ours], &[their_key, theirs], tell);
        }
        (DataModelType::Struct(ours), DataModelType::Struct(theirs)) => fields(&inner, ours, theirs, tell),
        (DataModelType::Enum(ours), DataModelType::Enum(theirs)) => variants(&inner, ours, theirs, tell),
        (ours, theirs) => tell(&At(&inner, &Differs(&"", &shape(ours), &shape(theirs)))),
    }
}

fn parts(trail: &Trail<'_>, here: &[&NamedType], there: &[&NamedType], tell: &mut dyn FnMut(&dyn Display)) {
    if here.len() != there.len() {
        tell(&At(trail, &Behind(&Differs(&"parts", &here.len(), &there.len()))));
        return;
    }
    if let ([ours], [theirs]) = (here, there) {
        named(trail, ours, theirs, tell);
        return;
    }
    for (place, (ours, theirs)) in here.iter().zip(there).enumerate() {
        named(&Trail { before: Some(trail), step: Step::Place(place) }, ours, theirs, tell);
    }
}

/// Tells which names are missing on either side, or that they stand in another order.
fn names<'a>(
    trail: &Trail<'_>,
    what: &str,
    here: impl Iterator<Item = &'a str> + Clone,
    there: impl Iterator<Item = &'a str> + Clone,
    tell: &mut dyn FnMut(&dyn Display),
) {
    let (ours, theirs) = (here.clone(), there.clone());
    let mut missing = false;
    for name in there.clone().filter(|name| !ours.clone().any(|own| own == *name)) {
        missing = true;
        tell(&At(trail, &Behind(&Missing(what, name, "here"))));
    }
    for name in here.clone().filter(|name| !theirs.clone().any(|own| own == *name)) {
        missing = true;
        tell(&At(trail, &Behind(&Missing(what, name, "there"))));
    }
    if let Some((ours, theirs)) = here.zip(there).find(|(ours, theirs)| !missing && ours != theirs) {
        tell(&At(trail, &Behind(&Differs(&"order", &Code(ours), &Code(theirs)))));
    }
}

fn fields(trail: &Trail<'_>, here: &[&NamedValue], there: &[&NamedValue], tell: &mut dyn FnMut(&dyn Display)) {
    names(trail, "field", here.iter().map(|field| field.name), there.iter().map(|field| field.name), tell);
    for ours in here {
        let Some(theirs) = there.iter().find(|field| field.name == ours.name) else { continue };
        named(&Trail { before: Some(trail), step: Step::Field(ours.name) }, ours.ty, theirs.ty, tell);
    }
}

fn variants(trail: &Trail<'_>, here: &[&NamedVariant], there: &[&NamedVariant], tell: &mut dyn FnMut(&dyn Display)) {
    names(trail, "variant", here.iter().map(|one| one.name), there.iter().map(|one| one.name), tell);
    for ours in here {
        let Some(theirs) = there.iter().find(|one| one.name == ours.name) else { continue };
        let trail = Trail { before: Some(trail), step: Step::Variant(ours.name) };
        match (ours.ty, theirs.ty) {
            (DataModelVariant::UnitVariant, DataModelVariant::UnitVariant) => {}
            (DataModelVariant::NewtypeVariant(ours), DataModelVariant::NewtypeVariant(theirs)) => {
                named(&trail, ours, theirs, tell);
            }
            (DataModelVariant::TupleVariant(ours), DataModelVariant::TupleVariant(theirs)) => {
                parts(&trail, ours, theirs, tell);
            }
            (DataModelVariant::StructVariant(ours), DataModelVariant::StructVariant(theirs)) => {
                fields(&trail, ours, theirs, tell);
            }
            (ours, theirs) => tell(&At(&trail, &Differs(&"", &variant_shape(ours), &variant_shape(theirs)))),
        }
    }
}

/// What kind of type this is, for two of one name.
const fn shape(ty: &DataModelType) -> &'static str {
    match ty {
        DataModelType::Unit | DataModelType::UnitStruct => "empty",
        DataModelType::Option(_) => "optional",
        DataModelType::NewtypeStruct(_) => "around one type",
        DataModelType::Seq(_) | DataModelType::Map { .. } => "a list",
        DataModelType::Tuple(_) | DataModelType::TupleStruct(_) => "a tuple",
        DataModelType::Struct(_) => "a struct",
        DataModelType::Enum(_) => "an enum",
        DataModelType::String => "text",
        DataModelType::ByteArray => "bytes",
        _ => "a plain value",
    }
}

const fn variant_shape(ty: &DataModelVariant) -> &'static str {
    match ty {
        DataModelVariant::UnitVariant => "empty",
        DataModelVariant::NewtypeVariant(_) => "around one type",
        DataModelVariant::TupleVariant(_) => "a tuple",
        DataModelVariant::StructVariant(_) => "with fields",
    }
}
