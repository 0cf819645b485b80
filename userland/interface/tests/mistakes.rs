//! What must not compile, and what the compiler says about it, at which line.
//!
//! The words are the pinned compiler's: after a new one, look at them and
//! accept them with `TRYBUILD=overwrite cargo test -p postern-interface`.

#[test]
fn mistakes_are_reported_where_they_are() {
    trybuild::TestCases::new().compile_fail("tests/fail/*.rs");
}
