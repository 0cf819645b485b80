//! The store: values by key, in memory. Nothing outlives this program.
//!
//! Capabilities: `log`. Clients that may write have W on their gate.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Bound;

use postern_runtime::interface::Caller;
use postern_runtime::protocol::store::{Error, Key, MAX_KEY, MAX_VALUE, Store, StoreServer};
use postern_runtime::{Env, log, server};

postern_runtime::main!(main);

/// What a pair takes beside its bytes, at most: two blocks of the heap, and its
/// place in the map.
const OVERHEAD: usize = 128;

fn main(env: Env) -> i32 {
    let heap = env.region("heap").map_or(0, |heap| heap.bytes as usize);
    // So that no pair that is taken finds the heap full.
    let limit = heap / 2;
    let shelf = Shelf { pairs: BTreeMap::new(), used: 0, limit };
    let error = server::serve(&mut StoreServer(shelf));
    log!("cannot receive any more: {error}");
    1
}

struct Shelf {
    pairs: BTreeMap<String, Vec<u8>>,
    /// What all pairs take.
    used: usize,
    limit: usize,
}

/// What a pair takes.
const fn size(key: &str, value: &[u8]) -> usize {
    key.len() + value.len() + OVERHEAD
}

fn writer(caller: &Caller) -> Result<(), Error> {
    if caller.can_write() { Ok(()) } else { Err(Error::ReadOnly) }
}

impl Store for Shelf {
    fn get(&mut self, key: &str) -> Result<Vec<u8>, Error> {
        self.pairs.get(key).cloned().ok_or(Error::NotFound)
    }

    fn put(&mut self, caller: &Caller, key: &str, value: &[u8]) -> Result<bool, Error> {
        writer(caller)?;
        if !(1..=MAX_KEY).contains(&key.len()) {
            return Err(Error::BadKey);
        }
        if value.len() > MAX_VALUE {
            return Err(Error::TooLong);
        }
        let old = self.pairs.get(key).map(|value| size(key, value));
        let used = self.used - old.unwrap_or(0) + size(key, value);
        if used > self.limit {
            return Err(Error::Full);
        }
        self.used = used;
        self.pairs.insert(key.into(), value.into());
        Ok(old.is_some())
    }

    fn delete(&mut self, caller: &Caller, key: &str) -> Result<(), Error> {
        writer(caller)?;
        let value = self.pairs.remove(key).ok_or(Error::NotFound)?;
        self.used -= size(key, &value);
        Ok(())
    }

    fn next(&mut self, after: &str) -> Result<Key, Error> {
        let behind = (Bound::Excluded(after), Bound::Unbounded);
        let (key, _) = self.pairs.range::<str, _>(behind).next().ok_or(Error::NotFound)?;
        Key::whole(key).ok_or(Error::BadKey)
    }
}
