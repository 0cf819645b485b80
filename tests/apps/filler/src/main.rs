//! Fills the file server and the store until they refuse, each in several ways;
//! what they say is what the script looks for, and afterwards they work as before.
#![no_std]
#![no_main]
use postern_runtime::prelude::*;
use postern_runtime::protocol::files::{self, FilesClient};
use postern_runtime::protocol::store::{self, StoreClient};
use postern_runtime::relay::{self, RelayBuf};

postern_runtime::main!(main);

fn main(env: Env) -> Result<(), postern_runtime::Error> {
    let (fs, kv) = (env.capability("fs")?, env.capability("kv")?);
    large_files(fs, relay::buffer(1 << 20)?);
    many_names(fs);
    store(kv);
    refused(env.capability("read-only")?, env.capability("read-only-kv")?);
    Ok(())
}

/// Bytes that tell where they are.
fn fill(buffer: &mut RelayBuf, seed: usize) {
    for (index, byte) in buffer.iter_mut().enumerate() {
        *byte = (index * 31 + index / 4096 + seed) as u8;
    }
}

fn large_files(fs: FilesClient, mut buffer: RelayBuf) {
    fill(&mut buffer, 1);
    fs.create("/large").expect("a new file");
    let size = buffer.len() as u64;
    let ((), back) = fs.write(buffer, "/large", 0, size).expect("room for 1 MiB");
    // Once more does not fit, and changes nothing.
    let (error, outcome) = fs.write(back, "/large", size, size).expect_err("it is full");
    println!("write: {error}");
    let mut buffer = outcome.back().expect("the buffer is here");
    println!("grow: {}", fs.resize("/large", 1 << 40).expect_err("too large"));
    println!("behind: {}", fs.poke("/large", size + 1, b"x").expect_err("a gap"));
    buffer.fill(0);
    let (count, buffer) = fs.read(buffer, "/large", 0).expect("to be read");
    let is_same = |(index, byte): (usize, &u8)| *byte == (index * 31 + index / 4096 + 1) as u8;
    println!("read {count} bytes, as written: {}", buffer.iter().enumerate().all(is_same));
    let more = fs.write(buffer, "/large", 0, size + 1).expect_err("longer than the buffer");
    println!("buffer: {}", more.0);
    fs.remove("/large").expect("it is there");
    println!("used: {}", fs.usage().expect("an answer").used);
}

fn many_names(fs: FilesClient) {
    fs.make_directory("/many").expect("room");
    let mut count = 0;
    let error = loop {
        match fs.create(&format!("/many/{count}")) {
            Ok(()) => count += 1,
            Err(error) => break error,
        }
    };
    println!("names: {error}");
    let listed = fs.entries("/many").filter(|entry| entry.is_ok()).count();
    println!("all are listed: {}", listed == count && count > 100);
    for index in 0..count {
        fs.remove(&format!("/many/{index}")).expect("it is there");
    }
    fs.remove("/many").expect("empty");
}

fn store(kv: StoreClient) {
    let value = [b'v'; store::MAX_VALUE];
    println!("value: {}", kv.put("key", &[b'v'; store::MAX_VALUE + 1]).expect_err("too long"));
    let mut count = 0;
    let error = loop {
        match kv.put(&format!("key {count}"), &value) {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
    };
    println!("store: {error}");
    println!("what is there can be read: {}", kv.get("key 0").as_deref() == Ok(&value[..]));
    println!("and replaced: {}", kv.put("key 0", b"short") == Ok(true));
    for index in 0..count {
        kv.delete(&format!("key {index}")).expect("it is there");
    }
}

fn refused(fs: FilesClient, kv: StoreClient) {
    use CallError::Server;
    let is_refused = |result| result == Err(Server(files::Error::ReadOnly));
    let all = is_refused(fs.create("/x"))
        && is_refused(fs.make_directory("/x"))
        && is_refused(fs.remove("/welcome.txt"))
        && is_refused(fs.resize("/welcome.txt", 0))
        && is_refused(fs.poke("/welcome.txt", 0, b"x"));
    println!("without W nothing is changed: {all}");
    let refused = store::Error::ReadOnly;
    println!(
        "nor there: {}",
        kv.put("k", b"v") == Err(Server(refused)) && kv.delete("k") == Err(Server(refused))
    );
    println!("read: {}", fs.peek("/notes/motto.txt", 0, 5).expect("to be read").len());
}
