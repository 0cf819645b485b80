#![no_std]
#![no_main]
use core::time::Duration;

use letterbox::LetterboxClient;
use postern_runtime::prelude::*;
use postern_runtime::syscall::Timeouts;
use postern_runtime::thread;

postern_runtime::main!(main);

fn main(env: Env) -> Result<(), names::Error> {
    let letterbox: LetterboxClient = names::connect(&env, "letterbox")?;
    // A reader in a thread of its own: it waits, this thread goes on.
    let reader = thread::spawn(move || [letterbox.fetch(), letterbox.fetch()])?;
    time::sleep(Duration::from_millis(10));
    println!("the reader waits: {}", !reader.is_finished());
    println!("post: {:?}", letterbox.post("first"));
    println!("post: {:?}", letterbox.post("second"));
    for letter in reader.join().into_iter().flatten() {
        println!("the reader got {letter:?}");
    }

    // One that does not wait for ever. Its letter goes to the next reader.
    let millisecond = time::timeout(Duration::from_millis(1));
    let hasty = letterbox.with_timeouts(Timeouts { receive: millisecond, ..Timeouts::NEVER });
    match hasty.fetch() {
        Ok(letter) => println!("the hasty reader got {letter:?}"),
        Err(error) => println!("the hasty reader: {error}"),
    }
    println!("post: {:?}", letterbox.post("third"));
    println!("fetch: {:?}", letterbox.fetch());
    Ok(())
}
