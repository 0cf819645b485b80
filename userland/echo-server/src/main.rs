//! A server that says back what it hears. Capabilities: `log`, `names` (W).
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use postern_echo_server::{Echo, EchoError, EchoServer};
use postern_runtime::prelude::*;

postern_runtime::main!(main);

fn main(env: Env) -> Result<(), names::Error> {
    names::serve(&env, "echo", EchoServer(Parrot))
}

struct Parrot;

impl Echo for Parrot {
    fn say(&mut self, caller: &Caller, text: &str) -> Result<String, EchoError> {
        log!("client {} says `{text}`", caller.label());
        if text.is_empty() { Err(EchoError::Silence) } else { Ok(text.into()) }
    }
}
