//! A crate without a `postern.toml`: it looks what it was given.
#![no_std]
#![no_main]
use postern_runtime::prelude::*;

postern_runtime::main!(main);

fn main(env: Env) -> i32 {
    let given: Vec<_> = env.capabilities().map(|capability| capability.0).collect();
    println!("was given {}", given.join(" "));
    3
}
