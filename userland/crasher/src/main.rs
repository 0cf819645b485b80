//! A program that crashes on purpose: it reads address 0x10, four calls deep,
//! so that a person can see what a crash looks like and that nothing else
//! suffers from it. It must never come back from `main` in an orderly way.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::hint::black_box;

use postern_runtime::{Env, log};

postern_runtime::main!(main);

fn main(env: Env) -> i32 {
    log!("about to read address 0x10");
    let sum = open_the_hatch(env.name().len() as u64);
    log!("survived with {sum}, which is a defect of the kernel");
    1
}

#[inline(never)]
fn open_the_hatch(depth: u64) -> u64 {
    walk_the_plank(black_box(depth)) + 1
}

#[inline(never)]
fn walk_the_plank(depth: u64) -> u64 {
    jump(black_box(depth)) + 1
}

#[inline(never)]
fn jump(depth: u64) -> u64 {
    u64::from(postern_runtime::syscall::raw::peek(black_box(0x10))) + depth
}
