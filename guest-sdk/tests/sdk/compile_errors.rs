//! Mistakes are compile errors that point at the place.

/// Each file of `tests/ui` with its message beside it. After a change on purpose: `TRYBUILD=overwrite`.
#[test]
fn mistakes_are_pointed_at() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
