#![no_std]
#![no_main]
use postern_runtime::prelude::*;

postern_runtime::main!(main);

fn main(env: Env) {
    // Its own name comes before what is typed behind `run`.
    let name = env.arguments().nth(1).unwrap_or("world");
    println!("Hello, {name}!");
}
