#![no_std]
#![no_main]
extern crate alloc;

use alloc::collections::VecDeque;

use letterbox::{Letterbox, LetterboxError, LetterboxServer};
use postern_runtime::prelude::*;

postern_runtime::main!(main);

/// Most letters, and most readers that wait.
const MOST: usize = 16;

fn main(env: Env) -> Result<(), names::Error> {
    names::serve(&env, "letterbox", LetterboxServer(Letters::default()))
}

/// Letters that nobody has fetched, or readers without a letter: never both.
#[derive(Default)]
struct Letters {
    letters: VecDeque<String>,
    readers: VecDeque<Kept<String, LetterboxError>>,
}

impl Letterbox for Letters {
    fn post(&mut self, letter: &str) -> Result<(), LetterboxError> {
        while let Some(reader) = self.readers.pop_front() {
            // A reader that is gone, or waits no more, does not get it.
            if reader.send(Ok(letter.into())) {
                return Ok(());
            }
        }
        if self.letters.len() == MOST {
            return Err(LetterboxError::Full);
        }
        self.letters.push_back(letter.into());
        Ok(())
    }

    fn fetch(&mut self, answer: Answer<'_, String, LetterboxError>) {
        if let Some(letter) = self.letters.pop_front() {
            answer.send(Ok(letter));
            return;
        }
        if self.readers.len() == MOST {
            answer.send(Err(LetterboxError::Busy));
            return;
        }
        // The answer is kept, and other requests are served meanwhile.
        match answer.keep() {
            Ok(kept) => self.readers.push_back(kept),
            Err(answer) => drop(answer.send(Err(LetterboxError::Busy))),
        }
    }
}
