#![no_std]
#![no_main]
use adder::{Adder, AdderError, AdderServer};
use postern_runtime::prelude::*;

postern_runtime::main!(main);

struct Sum(u32);

impl Adder for Sum {
    fn add(&mut self, amount: u32) -> Result<u32, AdderError> {
        self.0 = self.0.checked_add(amount).ok_or(AdderError::Overflow)?;
        Ok(self.0)
    }
}

fn main(env: Env) -> Result<(), names::Error> {
    names::serve(&env, "adder", AdderServer(Sum(0)))
}
