#![no_std]
#![no_main]
extern crate alloc;

use alloc::collections::BTreeMap;

use cellar::{Cellar, CellarError, CellarServer, Label};
use postern_runtime::prelude::*;

postern_runtime::main!(main);

/// Most bytes of all things together. The heap is larger (`postern.toml`), so
/// that there is room for the rest.
const MOST: usize = 128 * 1024;

fn main(env: Env) {
    log!("an empty cellar, instance {}", env.generation());
    let error = server::serve(&mut CellarServer(Shelves::default()));
    log!("cannot serve any more: {error}");
}

#[derive(Default)]
struct Shelves {
    things: BTreeMap<String, Vec<u8>>,
    used: usize,
}

impl Cellar for Shelves {
    fn store(&mut self, name: &str, data: Lent<'_>, bytes: usize) -> Result<(), CellarError> {
        if name.is_empty() || Label::whole(name).is_none() {
            return Err(CellarError::BadName);
        }
        let data = data.get(..bytes).ok_or(CellarError::BadBuffer)?;
        let old = self.things.get(name).map_or(0, Vec::len);
        if self.used - old + bytes > MOST {
            return Err(CellarError::Full);
        }
        // A full heap is an error for the client, and no end of the server.
        let mut thing = Vec::new();
        thing.try_reserve_exact(bytes).map_err(|_| CellarError::Full)?;
        thing.extend_from_slice(data);
        self.used = self.used - old + bytes;
        self.things.insert(name.into(), thing);
        Ok(())
    }

    fn fetch(&mut self, name: &str, mut data: Lent<'_>) -> Result<usize, CellarError> {
        let thing = self.things.get(name).ok_or(CellarError::NotFound)?;
        let place = data.writable().and_then(|data| data.get_mut(..thing.len()));
        place.ok_or(CellarError::BadBuffer)?.copy_from_slice(thing);
        Ok(thing.len())
    }

    fn remove(&mut self, name: &str) -> Result<(), CellarError> {
        let thing = self.things.remove(name).ok_or(CellarError::NotFound)?;
        self.used -= thing.len();
        Ok(())
    }

    fn list(&mut self) -> Vec<Label> {
        self.things.keys().take(12).map(|name| Label::new(name)).collect()
    }

    fn collapse(&mut self) {
        panic!("the ceiling comes down");
    }
}
