#![no_std]
#![no_main]
use greet::GreetClient;
use postern_runtime::prelude::*;

postern_runtime::main!(main);

fn main(env: Env) -> Result<(), names::Error> {
    let greeter: GreetClient = names::connect(&env, "greeter")?;
    for name in ["Postern", ""] {
        match greeter.greet(name) {
            Ok((text, before)) => println!("{text} ({before} before)"),
            Err(error) => println!("no greeting: {error}"),
        }
    }
    Ok(())
}
