//! Two versions of one interface, which differ by one thing each: the difference is named, and nothing else.
#![allow(dead_code, unreachable_pub, reason = "only the tables are looked at")]

use koboshi_interface_kit::{Interface, differences};

/// Messages, each in the versions that the tables use.
mod messages {
    macro_rules! message {
        ($($item:item)+) => {
            $(
                #[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
                #[derive(koboshi_interface_kit::Schema, koboshi_interface_kit::MaxSize)]
                $item
            )+
        };
    }

    pub mod old {
        message! {
            pub enum Flow { None, RtsCts }
            pub struct Line { pub baud: u32, pub flow: Flow }
            pub enum Level { Low, High(u8) }
            pub struct Pair(pub u8, pub Option<u16>);
            pub struct Count(pub u32);
        }
        impl From<u32> for Count {
            fn from(count: u32) -> Self {
                Count(count)
            }
        }
        impl From<Count> for u32 {
            fn from(count: Count) -> u32 {
                count.0
            }
        }
    }

    pub mod narrow {
        message! { pub struct Line { pub baud: u16, pub flow: super::old::Flow } }
    }
    pub mod short {
        message! { pub struct Line { pub baud: u32 } }
    }
    pub mod turned {
        message! { pub struct Line { pub flow: super::old::Flow, pub baud: u32 } }
    }
    pub mod deep {
        message! {
            pub enum Flow { None, RtsCts, XonXoff }
            pub struct Line { pub baud: u32, pub flow: Flow }
        }
    }
    pub mod variant {
        message! { pub enum Level { Low, High(u16) } }
    }
    pub mod empty_variant {
        message! { pub enum Level { Low, High } }
    }
    pub mod shape {
        message! { pub enum Line { Only } }
    }
    pub mod tuple {
        message! { pub struct Pair(pub u8, pub Option<u32>); }
    }
    pub mod longer {
        message! { pub struct Pair(pub u8, pub Option<u16>, pub u8); }
    }
    pub mod steps {
        message! { pub struct Steps(pub u32); }
        impl From<u32> for Steps {
            fn from(count: u32) -> Self {
                Steps(count)
            }
        }
        impl From<Steps> for u32 {
            fn from(count: Steps) -> u32 {
                count.0
            }
        }
    }
}

/// One version of the interface `link`, all of whose rows can be exchanged.
macro_rules! version {
    ($module:ident: $($operation:ident $contract:ident $(<$progress:ty>)? ($request:ty) -> $reply:ty;)+) => {
        mod $module {
            #[allow(unused_imports, reason = "not every version uses all")]
            use super::messages::{deep, empty_variant, longer, narrow, old, shape, short, steps, tuple, turned, variant};
            koboshi_interface_kit::interface! {
                /// A link.
                service link;

                | operation | contract | request | reply | deadline | meaning |
                | --------- | -------- | ------- | ----- | -------- | ------- |
                $( | $operation | $contract $(<$progress>)? | $request | $reply | 10 ms | "A test." | )+
            }
        }
    };
}

version! { base:
    configure Idempotent (old::Line) -> Result<(), old::Level>;
    write Resumable<old::Count> (old::Pair) -> old::Count;
}
version! { field:
    configure Idempotent (narrow::Line) -> Result<(), old::Level>;
    write Resumable<old::Count> (old::Pair) -> old::Count;
}
version! { missing_field:
    configure Idempotent (short::Line) -> Result<(), old::Level>;
    write Resumable<old::Count> (old::Pair) -> old::Count;
}
version! { order_of_fields:
    configure Idempotent (turned::Line) -> Result<(), old::Level>;
    write Resumable<old::Count> (old::Pair) -> old::Count;
}
version! { inner_variant:
    configure Idempotent (deep::Line) -> Result<(), old::Level>;
    write Resumable<old::Count> (old::Pair) -> old::Count;
}
version! { other_shape:
    configure Idempotent (shape::Line) -> Result<(), old::Level>;
    write Resumable<old::Count> (old::Pair) -> old::Count;
}
version! { other_type:
    configure Idempotent (u32) -> Result<(), old::Level>;
    write Resumable<old::Count> (old::Pair) -> old::Count;
}
version! { reply_variant:
    configure Idempotent (old::Line) -> Result<(), variant::Level>;
    write Resumable<old::Count> (old::Pair) -> old::Count;
}
version! { reply_without_content:
    configure Idempotent (old::Line) -> Result<(), empty_variant::Level>;
    write Resumable<old::Count> (old::Pair) -> old::Count;
}
version! { inside_a_tuple:
    configure Idempotent (old::Line) -> Result<(), old::Level>;
    write Resumable<old::Count> (tuple::Pair) -> old::Count;
}
version! { longer_tuple:
    configure Idempotent (old::Line) -> Result<(), old::Level>;
    write Resumable<old::Count> (longer::Pair) -> old::Count;
}
version! { progress:
    configure Idempotent (old::Line) -> Result<(), old::Level>;
    write Resumable<steps::Steps> (old::Pair) -> old::Count;
}
version! { contract:
    configure Idempotent (old::Line) -> Result<(), old::Level>;
    write AtMostOnce (old::Pair) -> old::Count;
}
version! { one_operation_less:
    configure Idempotent (old::Line) -> Result<(), old::Level>;
}
version! { one_operation_first:
    set_rts Idempotent (bool) -> ();
    configure Idempotent (old::Line) -> Result<(), old::Level>;
    write Resumable<old::Count> (old::Pair) -> old::Count;
}
version! { other_order:
    write Resumable<old::Count> (old::Pair) -> old::Count;
    configure Idempotent (old::Line) -> Result<(), old::Level>;
}

mod stream {
    koboshi_interface_kit::interface! {
        /// A link.
        stream link: u32, "A test.";
    }
}

mod other_stream {
    koboshi_interface_kit::interface! {
        /// A link.
        stream link: Option<u8>, "A test.";
    }
}

fn told(here: &Interface, there: &Interface) -> Vec<String> {
    assert_ne!(here.key, there.key);
    let mut told = Vec::new();
    differences(here, there, &mut |difference| told.push(difference.to_string()));
    told
}

#[track_caller]
fn differs(there: &Interface, expected: &[&str]) {
    assert_eq!(told(&base::INTERFACE, there), expected);
}

#[test]
fn an_interface_does_not_differ_from_itself() {
    differences(&base::INTERFACE, &base::INTERFACE, &mut |difference| panic!("{difference}"));
}

#[test]
fn a_field_of_another_type_is_named() {
    differs(&field::INTERFACE, &["`link/configure`: request `Line`, field `baud`: u32 here, u16 there"]);
}

#[test]
fn a_missing_field_is_named_on_the_side_where_it_is_missing() {
    differs(&missing_field::INTERFACE, &["`link/configure`: request `Line`, field `flow` is missing there"]);
    let turned_round = told(&missing_field::INTERFACE, &base::INTERFACE);
    assert_eq!(turned_round, ["`link/configure`: request `Line`, field `flow` is missing here"]);
}

#[test]
fn fields_in_another_order_are_named() {
    differs(&order_of_fields::INTERFACE, &["`link/configure`: request `Line`, order: `baud` here, `flow` there"]);
}

#[test]
fn a_variant_deep_inside_is_named_with_the_way_to_it() {
    let way = "`link/configure`: request `Line`, field `flow` `Flow`, variant `XonXoff` is missing here";
    differs(&inner_variant::INTERFACE, &[way]);
}

#[test]
fn types_of_one_name_and_two_shapes_are_told_apart() {
    differs(&other_shape::INTERFACE, &["`link/configure`: request `Line`: a struct here, an enum there"]);
}

#[test]
fn types_of_two_names_are_named() {
    differs(&other_type::INTERFACE, &["`link/configure`: request: Line here, u32 there"]);
}

#[test]
fn a_reply_that_differs_is_called_a_reply() {
    let way = "`link/configure`: reply `Result<T, E>`, variant `Err` `Level`, variant `High`";
    differs(&reply_variant::INTERFACE, &[&format!("{way}: u8 here, u16 there")]);
    differs(&reply_without_content::INTERFACE, &[&format!("{way}: around one type here, empty there")]);
}

#[test]
fn a_place_in_a_tuple_is_counted() {
    differs(&inside_a_tuple::INTERFACE, &["`link/write`: request `Pair`, part 2 `Option<T>`: u16 here, u32 there"]);
    differs(&longer_tuple::INTERFACE, &["`link/write`: request `Pair`, parts: 2 here, 3 there"]);
}

#[test]
fn progress_that_differs_is_named() {
    differs(&progress::INTERFACE, &["`link/write`: progress: Count here, Steps there"]);
}

#[test]
fn a_contract_that_differs_is_named() {
    differs(&contract::INTERFACE, &["`link/write`: contract: Resumable here, AtMostOnce there"]);
}

#[test]
fn a_missing_operation_is_named_and_not_what_it_moves() {
    differs(&one_operation_less::INTERFACE, &["operation `write` is missing there"]);
    differs(&one_operation_first::INTERFACE, &["operation `set_rts` is missing here"]);
}

#[test]
fn operations_in_another_order_are_named() {
    let places = ["`link/configure`: place: 1 here, 2 there", "`link/write`: place: 2 here, 1 there"];
    differs(&other_order::INTERFACE, &places);
}

#[test]
fn a_service_is_no_stream() {
    differs(&stream::INTERFACE, &["`link`: a service here, a stream there"]);
}

#[test]
fn an_item_that_differs_is_called_an_item() {
    assert_eq!(told(&stream::INTERFACE, &other_stream::INTERFACE), ["`link`: item: u32 here, Option<T> there"]);
}
