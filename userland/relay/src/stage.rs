//! A link of a chain. Whether it waits for messages or is crossed into, the
//! manifest says; nothing in here does. Capabilities: `log`, `next` (the next
//! link, if there is one).
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use postern_relay::{Stage, StageClient, StageError, StageServer};
use postern_runtime::prelude::*;

postern_runtime::main!(main);

fn main(env: Env) -> i32 {
    let next = env.capability("next").ok();
    let error = server::serve(&mut StageServer(Link { next }));
    log!("cannot serve any more: {error}");
    1
}

struct Link {
    next: Option<StageClient>,
}

impl Link {
    fn next(&self) -> Result<StageClient, StageError> {
        self.next.ok_or(StageError::End)
    }
}

/// First and last byte.
fn look(bytes: &[u8]) -> Result<u64, StageError> {
    match bytes {
        [first, .., last] => Ok(u64::from(*first) + u64::from(*last)),
        _ => Err(StageError::Empty),
    }
}

impl Stage for Link {
    fn ready(&mut self) {}

    fn relay(&mut self, mut data: Lent<'_>, further: u32) -> Result<u64, StageError> {
        let seen = look(&data)?;
        let Some(further) = further.checked_sub(1) else { return Ok(seen) };
        match self.next()?.relay(&mut data, further) {
            Ok((sum, ())) => Ok(sum + seen),
            Err(_) => Err(StageError::Next),
        }
    }

    fn copy(&mut self, further: u32, piece: &[u8]) -> Result<u64, StageError> {
        let seen = look(piece)?;
        let Some(further) = further.checked_sub(1) else { return Ok(seen) };
        self.next()?.copy(further, piece).map(|sum| sum + seen).map_err(|_| StageError::Next)
    }
}
