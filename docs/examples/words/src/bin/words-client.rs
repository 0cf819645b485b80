#![no_std]
#![no_main]
use postern_runtime::prelude::*;
use postern_runtime::protocol::files::FilesClient;
use postern_runtime::relay::RelayBuf;
use words::WordsClient;

postern_runtime::main!(main);

fn main(env: Env) -> Result<(), postern_runtime::Error> {
    let (files, words) = (env.capability("fs")?, env.capability("words")?);
    let path = env.arguments().nth(1).unwrap_or("/welcome.txt");
    // Memory that changes hands: one buffer for the file server and the other.
    let buffer = relay::buffer(64 * 1024)?;
    if let Err(error) = work(files, words, path, buffer) {
        println!("{path}: {error}");
    }
    Ok(())
}

/// The buffer is moved into each call, and comes back with its result.
fn work(
    files: FilesClient,
    words: WordsClient,
    path: &str,
    buffer: RelayBuf,
) -> Result<(), String> {
    let (bytes, buffer) = files.read(buffer, path, 0).map_err(|(error, _)| error.to_string())?;
    let bytes = bytes as usize;

    // Lent to be read only: the server cannot write, whatever it does.
    let counted = words.count(buffer.read_only(), bytes);
    let (counts, buffer) = counted.map_err(|(error, _)| error.to_string())?;
    println!("{} lines, {} words, {bytes} bytes", counts.lines, counts.words);

    // An error brings the buffer back, too.
    let (error, outcome) = match words.shout(buffer.read_only(), bytes) {
        Ok(_) => return Err("it wrote what it could not".into()),
        Err(failed) => failed,
    };
    println!("refused: {error}");
    let buffer = outcome.back().ok_or("the buffer is not here")?;

    let ((), buffer) = words.shout(buffer, bytes).map_err(|(error, _)| error.to_string())?;
    let end = buffer[..bytes].iter().position(|byte| *byte == b'\n').unwrap_or(bytes);
    println!("{}", String::from_utf8_lossy(&buffer[..end]));
    Ok(())
}
