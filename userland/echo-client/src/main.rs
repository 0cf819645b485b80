//! Talks to the echo server. Capabilities: `console`, `names`.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use postern_echo_server::EchoClient;
use postern_runtime::prelude::*;

postern_runtime::main!(main);

fn main(env: Env) -> Result<(), names::Error> {
    let echo: EchoClient = names::connect(&env, "echo")?;
    for text in ["hello, is anybody there?", ""] {
        let answer = echo.say(text).unwrap_or_else(|error| error.to_string());
        println!("echo: {answer}");
    }
    Ok(())
}
