#![no_std]
#![no_main]
use cellar::{CellarClient, CellarError};
use postern_runtime::prelude::*;
use postern_runtime::relay::{Outcome, RelayBuf};

postern_runtime::main!(main);

/// Bytes of a barrel.
const BARREL: usize = 100_000;

fn main(env: Env) -> Result<(), postern_runtime::Error> {
    let cellar: CellarClient = env.capability("cellar")?;
    let buffer = relay::buffer(BARREL)?;
    let buffer = store(cellar, "red", buffer);
    let buffer = store(cellar, "white", buffer);
    let buffer = fetch(cellar, "red", buffer);
    println!("list: {:?}", cellar.list());

    // The server dies of this, and the manifest has it started again. Whoever
    // called it meanwhile is told once, with the number of the new instance.
    if let Err(error) = cellar.collapse() {
        println!("collapse: {error}");
        println!("restarted: {:?}", error.restarted());
    }
    // The new one knows nothing of what was before.
    let buffer = fetch(cellar, "red", buffer);
    let buffer = store(cellar, "red", buffer);
    fetch(cellar, "red", buffer);
    Ok(())
}

fn store(cellar: CellarClient, name: &str, mut buffer: RelayBuf) -> RelayBuf {
    for (index, byte) in buffer.iter_mut().enumerate() {
        *byte = index as u8;
    }
    let stored = cellar.store(name, buffer, BARREL);
    let (said, buffer) = told(stored.map(|((), buffer)| ("done".into(), buffer)));
    println!("store {name}: {said}");
    buffer
}

fn fetch(cellar: CellarClient, name: &str, mut buffer: RelayBuf) -> RelayBuf {
    buffer.fill(0);
    let fetched = cellar.fetch(name, buffer);
    let (said, buffer) = told(fetched.map(|(bytes, buffer)| {
        let is_same = buffer.iter().take(bytes).enumerate().all(|(i, byte)| *byte == i as u8);
        (format!("{bytes} bytes, as they were stored: {is_same}"), buffer)
    }));
    println!("fetch {name}: {said}");
    buffer
}

/// What to say, and the buffer: it comes back from a call that fails, too.
fn told(
    result: Result<(String, RelayBuf), (CallError<CellarError>, Outcome)>,
) -> (String, RelayBuf) {
    match result {
        Ok(done) => done,
        Err((error, Outcome::Back(buffer))) => (format!("{error}"), buffer),
        Err((error, Outcome::Outstanding(_))) => panic!("the buffer is away: {error}"),
    }
}
