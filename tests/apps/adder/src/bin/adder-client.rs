#![no_std]
#![no_main]
use adder::AdderClient;
use postern_runtime::prelude::*;

postern_runtime::main!(main);

fn main(env: Env) -> Result<(), names::Error> {
    let adder: AdderClient = names::connect(&env, "adder")?;
    for word in env.arguments().skip(1) {
        match adder.add(word.parse().unwrap_or_default()) {
            Ok(sum) => println!("sum: {sum}"),
            Err(error) => println!("no sum: {error}"),
        }
    }
    Ok(())
}
