//! `caller CHAIN crash|panic`: lets the last link of a chain crash.
#![no_std]
#![no_main]
use chain::LinkClient;
use postern_runtime::prelude::*;

postern_runtime::main!(main);

fn main(env: Env) -> Result<(), postern_runtime::Error> {
    let words: Vec<_> = env.arguments().skip(1).collect();
    let name = if words.first() == Some(&"threads") { "threads" } else { "entries" };
    let front: LinkClient = env.capability(name)?;
    ask(front, words.last() == Some(&"panic"));
    Ok(())
}

#[inline(never)]
fn ask(front: LinkClient, panics: bool) {
    match front.crash(panics) {
        Ok(()) => println!("nothing happened"),
        Err(error) => println!("{error}"),
    }
}
