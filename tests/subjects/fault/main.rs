//! Placeholder.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use postern_tests::{Ctx, Verdict};

postern_tests::tests! { fault_nothing }
postern_tests::runtime::main!(postern_subject);
fn postern_subject(env: postern_tests::runtime::Env) -> i32 {
    postern_tests::registry::run(env, &[TESTS])
}
fn fault_nothing(_ctx: &Ctx) -> Verdict {
    Ok(())
}
