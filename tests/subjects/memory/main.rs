//! Memory and mappings (row G5).
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod arguments;
mod large;
mod life;
mod map;
mod protect;
mod split;

use postern_tests::bare::memory::{read, write};
use postern_tests::syscall::Rights;
use postern_tests::{Ctx, Verdict};

postern_tests::subject!(map, arguments, life, large, protect, split);

/// Where these tests map things.
const AT: u64 = 0xc_0000_0000;

/// Readable and writable.
const DATA: Rights = Rights::R.union(Rights::W);

/// Bytes of a large page.
const LARGE: u64 = 2 << 20;

/// A body: reads the word at the address.
fn read_it(address: u64) -> u64 {
    read(address)
}

/// A body: writes the word at the address.
fn write_it(address: u64) -> u64 {
    write(address, 0xbad);
    0
}

/// Reading and writing at `address` must be page faults there.
fn unmapped(ctx: &Ctx, address: u64) -> Verdict {
    for body in [read_it, write_it] {
        ctx.spawn(body, address)?.expect_fault(14, Some(address))?;
    }
    Ok(())
}
