#![no_std]
#![no_main]
use postern_runtime::prelude::*;
use words::{Counts, Words, WordsError, WordsServer};

postern_runtime::main!(main);

fn main(_: Env) {
    let error = server::serve(&mut WordsServer(Reader));
    log!("cannot serve any more: {error}");
}

struct Reader;

impl Words for Reader {
    fn count(&mut self, text: Lent<'_>, bytes: usize) -> Result<Counts, WordsError> {
        // What was lent is a slice of bytes.
        let text = text.get(..bytes).ok_or(WordsError::TooShort)?;
        let words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let lines = text.iter().filter(|byte| **byte == b'\n');
        Ok(Counts { lines: lines.count() as u64, words: words.count() as u64 })
    }

    fn shout(&mut self, mut text: Lent<'_>, bytes: usize) -> Result<(), WordsError> {
        let text = text.writable().ok_or(WordsError::ReadOnly)?;
        text.get_mut(..bytes).ok_or(WordsError::TooShort)?.make_ascii_uppercase();
        Ok(())
    }
}
