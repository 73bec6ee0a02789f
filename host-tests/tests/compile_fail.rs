//! What the compiler must refuse in an interface's table, in its server and in its client, and where it must point.
//!
//! Each file in `compile_fail/` is one mistake, named after it; the `.stderr` beside it is what its author reads.
//! After a change of the compiler, look at the new ones and keep them with `TRYBUILD=overwrite`.

#[test]
fn each_mistake_in_an_interface_is_refused_where_it_was_made() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
