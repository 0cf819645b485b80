#![no_std]
#![no_main]
use greet::{Greet, GreetError, GreetServer};
use postern_runtime::prelude::*;

postern_runtime::main!(main);

fn main(env: Env) -> Result<(), names::Error> {
    names::serve(&env, "greeter", GreetServer(Greeter { count: 0 }))
}

struct Greeter {
    count: u64,
}

impl Greet for Greeter {
    fn greet(&mut self, caller: &Caller, name: &str) -> Result<(String, u64), GreetError> {
        if name.is_empty() {
            return Err(GreetError::Nobody);
        }
        log!("session {} wants a greeting for {name}", caller.label());
        self.count += 1;
        Ok((format!("Hello, {name}!"), self.count - 1))
    }
}
