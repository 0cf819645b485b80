//! A client of `counter` that lives through its restarts, and those of `names`.
#![no_std]
#![no_main]
use chain::LinkClient;
use postern_runtime::names::Connection;
use postern_runtime::prelude::*;
use postern_runtime::protocol::supervisor::SupervisorClient;

postern_runtime::main!(main);

fn kill(supervisor: SupervisorClient, name: &str) {
    let alive = |info: &postern_runtime::protocol::supervisor::ProgramInfo| {
        &*info.name == name && info.state.is_alive()
    };
    let found = supervisor.programs().filter_map(Result::ok).find(alive);
    let killed = found.map(|info| supervisor.kill(info.id));
    println!("killing {name}: {}", if killed == Some(Ok(())) { "done" } else { "failed" });
}

fn main(env: Env) -> Result<(), names::Error> {
    let supervisor: SupervisorClient = env.capability("supervisor")?;
    let mut counter: Connection<LinkClient> = Connection::open(&env, "counter")?;
    let mut add = |number| match counter.call(|counter| counter.pass(number)) {
        Ok(sum) => println!("sum {sum}, generation {}", counter.generation()),
        Err(error) => println!("{error}"),
    };
    add(3);
    add(4);
    kill(supervisor, "counter");
    add(5);
    add(6);
    kill(supervisor, "names");
    add(7);
    kill(supervisor, "counter");
    add(8);
    add(9);
    match counter.call(|counter| counter.crash(true)) {
        Ok(()) => println!("survived"),
        Err(error) => println!("{error}"),
    }
    Ok(())
}
