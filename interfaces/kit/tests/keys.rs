//! Keys: equal for equal ends, different as soon as two ends could misunderstand each other.

use koboshi_interface_kit::wire::{Bytes, Str};
use koboshi_interface_kit::{ContractKind, Ingredients, Key, Kind, NamedType, Schema};
use serde::{Deserialize, Serialize};

const BASE: Ingredients = Ingredients {
    path: "tests/line",
    name: "write",
    index: 2,
    direction: Kind::Service,
    contract: Some(ContractKind::Resumable),
    request: <Bytes<16>>::SCHEMA,
    reply: Some(u32::SCHEMA),
    progress: Some(u32::SCHEMA),
    slot: 17,
};

fn key_of(request: &'static NamedType) -> Key {
    Ingredients { request, ..BASE }.key()
}

fn assert_all_differ(keys: &[(&str, Key)]) {
    for (place, (name, key)) in keys.iter().enumerate() {
        for (other_name, other) in &keys[place + 1..] {
            assert_ne!(key, other, "{name} and {other_name}");
        }
    }
}

#[test]
fn equal_ingredients_have_equal_keys() {
    let again = Ingredients { path: "tests/line", ..BASE };
    assert_eq!(BASE.key(), again.key());
}

#[test]
fn each_ingredient_changes_the_key() {
    assert_all_differ(&[
        ("base", BASE.key()),
        ("path", Ingredients { path: "tests/lime", ..BASE }.key()),
        ("name", Ingredients { name: "white", ..BASE }.key()),
        ("index", Ingredients { index: 3, ..BASE }.key()),
        ("direction", Ingredients { direction: Kind::Stream, ..BASE }.key()),
        ("pure", Ingredients { contract: Some(ContractKind::Pure), ..BASE }.key()),
        ("idempotent", Ingredients { contract: Some(ContractKind::Idempotent), ..BASE }.key()),
        ("at most once", Ingredients { contract: Some(ContractKind::AtMostOnce), ..BASE }.key()),
        ("no contract", Ingredients { contract: None, ..BASE }.key()),
        ("request", Ingredients { request: <Bytes<17>>::SCHEMA, ..BASE }.key()),
        ("reply", Ingredients { reply: Some(u64::SCHEMA), ..BASE }.key()),
        ("no reply", Ingredients { reply: None, ..BASE }.key()),
        ("progress", Ingredients { progress: Some(u16::SCHEMA), ..BASE }.key()),
        ("no progress", Ingredients { progress: None, ..BASE }.key()),
        ("slot", Ingredients { slot: 18, ..BASE }.key()),
    ]);
}

#[test]
fn text_cannot_move_from_one_ingredient_to_the_next() {
    let whole = Ingredients { path: "tests/lin", name: "ewrite", ..BASE };
    assert_ne!(BASE.key(), whole.key());
}

#[test]
fn capacities_are_in_the_key() {
    assert_eq!(<Bytes<96>>::SCHEMA.name, "Bytes<96>");
    assert_eq!(<Str<127>>::SCHEMA.name, "Str<127>");
    assert_eq!(<Str<0>>::SCHEMA.name, "Str<0>");
    assert_all_differ(&[
        ("Bytes<9>", key_of(<Bytes<9>>::SCHEMA)),
        ("Bytes<96>", key_of(<Bytes<96>>::SCHEMA)),
        ("Str<9>", key_of(<Str<9>>::SCHEMA)),
        ("Str<96>", key_of(<Str<96>>::SCHEMA)),
        ("[u8; 9]", key_of(<[u8; 9]>::SCHEMA)),
        ("[u8; 8]", key_of(<[u8; 8]>::SCHEMA)),
    ]);
}

/// The fields of these types are there for their schema only.
#[allow(dead_code, reason = "only their schemas are looked at")]
mod alike {
    use super::*;

    pub(crate) mod one {
        use super::*;

        #[derive(Schema)]
        pub(crate) struct Left {
            a: u8,
            b: u8,
        }

        #[derive(Schema)]
        pub(crate) enum Choice {
            A(Inner),
            Y,
        }

        #[derive(Schema)]
        pub(crate) enum Inner {
            X,
        }
    }

    pub(crate) mod two {
        use super::*;

        #[derive(Schema)]
        pub(crate) struct Left {
            a: u8,
            c: u8,
        }

        #[derive(Schema)]
        pub(crate) enum Choice {
            A(Inner),
        }

        #[derive(Schema)]
        pub(crate) enum Inner {
            X,
            Y,
        }
    }

    pub(crate) mod three {
        use super::*;

        #[derive(Schema)]
        pub(crate) struct Left {
            b: u8,
            a: u8,
        }

        #[derive(Schema)]
        pub(crate) enum Choice {
            A { inner: one::Inner },
            Y,
        }
    }

    #[derive(Schema, Serialize, Deserialize)]
    pub(crate) struct Seconds(u32);

    #[derive(Schema, Serialize, Deserialize)]
    pub(crate) struct Minutes(u32);
}

#[test]
fn enums_of_different_encoding_have_different_keys() {
    // `{A({X}), Y}` and `{A({X, Y})}`: the same names in the same order, and other bytes.
    assert_all_differ(&[
        ("one", key_of(alike::one::Choice::SCHEMA)),
        ("two", key_of(alike::two::Choice::SCHEMA)),
        ("three", key_of(alike::three::Choice::SCHEMA)),
    ]);
}

#[test]
fn names_and_order_of_fields_are_in_the_key() {
    assert_all_differ(&[
        ("a, b", key_of(alike::one::Left::SCHEMA)),
        ("a, c", key_of(alike::two::Left::SCHEMA)),
        ("b, a", key_of(alike::three::Left::SCHEMA)),
    ]);
}

#[test]
fn newtypes_of_the_same_type_have_different_keys() {
    assert_ne!(key_of(alike::Seconds::SCHEMA), key_of(alike::Minutes::SCHEMA));
}

#[test]
fn every_builtin_type_has_a_key_of_its_own() {
    assert_all_differ(&[
        ("bool", key_of(bool::SCHEMA)),
        ("u8", key_of(u8::SCHEMA)),
        ("i8", key_of(i8::SCHEMA)),
        ("u16", key_of(u16::SCHEMA)),
        ("i16", key_of(i16::SCHEMA)),
        ("u32", key_of(u32::SCHEMA)),
        ("i32", key_of(i32::SCHEMA)),
        ("u64", key_of(u64::SCHEMA)),
        ("i64", key_of(i64::SCHEMA)),
        ("u128", key_of(u128::SCHEMA)),
        ("i128", key_of(i128::SCHEMA)),
        ("f32", key_of(f32::SCHEMA)),
        ("f64", key_of(f64::SCHEMA)),
        ("char", key_of(char::SCHEMA)),
        ("()", key_of(<()>::SCHEMA)),
        ("(u8,)", key_of(<(u8,)>::SCHEMA)),
        ("(u8, u8)", key_of(<(u8, u8)>::SCHEMA)),
        ("Option<u8>", key_of(<Option<u8>>::SCHEMA)),
        ("Option<Option<u8>>", key_of(<Option<Option<u8>>>::SCHEMA)),
        ("Result<u8, ()>", key_of(<Result<u8, ()>>::SCHEMA)),
        ("Result<(), u8>", key_of(<Result<(), u8>>::SCHEMA)),
    ]);
}

/// Two crates that have the same table, and three with one cell changed.
mod tables {
    macro_rules! table {
        ($name:ident, $first:ident, $contract:ident, $deadline:literal, $reply:ty) => {
            pub(crate) mod $name {
                koboshi_interface_kit::interface! {
                    /// A table.
                    service same;

                    | operation | contract  | request | reply  | deadline     | meaning |
                    | --------- | --------- | ------- | ------ | ------------ | ------- |
                    | $first    | Pure      | ()      | u32    | 10 ms        | "One."  |
                    | other     | $contract | u32     | $reply | $deadline ms | "Two."  |
                }
            }
        };
    }
    table!(mine, first, Pure, 10, u8);
    table!(yours, first, Pure, 10, u8);
    table!(patient, first, Pure, 20, u8);
    table!(renamed, erste, Pure, 10, u8);
    table!(promised, first, AtMostOnce, 10, u8);
    table!(larger, first, Pure, 10, [u8; 9]);
}

#[test]
fn the_same_table_twice_has_the_same_keys() {
    assert_eq!(tables::mine::INTERFACE.key, tables::yours::INTERFACE.key);
    for (mine, yours) in tables::mine::INTERFACE.operations.iter().zip(tables::yours::INTERFACE.operations) {
        assert_eq!(mine.key, yours.key);
    }
}

#[test]
fn a_deadline_is_the_clients_own_affair_and_not_in_the_key() {
    assert_eq!(tables::mine::INTERFACE.key, tables::patient::INTERFACE.key);
}

#[test]
fn one_changed_cell_changes_the_key_of_the_table() {
    assert_all_differ(&[
        ("mine", tables::mine::INTERFACE.key),
        ("renamed", tables::renamed::INTERFACE.key),
        ("promised", tables::promised::INTERFACE.key),
        ("larger", tables::larger::INTERFACE.key),
    ]);
}

#[test]
fn a_larger_slot_changes_the_keys_of_all_operations() {
    let (mine, larger) = (tables::mine::INTERFACE.operations, tables::larger::INTERFACE.operations);
    assert_ne!(mine[0].key, larger[0].key);
}
