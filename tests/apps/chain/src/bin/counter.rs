//! A server that is found by its name, and forgets when it dies.
#![no_std]
#![no_main]
use chain::{Link, LinkError, LinkServer};
use postern_runtime::prelude::*;

postern_runtime::main!(main);

struct Sum(u64);

impl Link for Sum {
    fn pass(&mut self, number: u64) -> Result<u64, LinkError> {
        self.0 += number;
        Ok(self.0)
    }

    fn crash(&mut self, _: bool) -> Result<(), LinkError> {
        panic!("asked to");
    }
}

fn main(env: Env) -> Result<(), names::Error> {
    names::serve(&env, "counter", LinkServer(Sum(0)))
}
