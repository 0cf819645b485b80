//! Accounting (row G4) and memory (row G5): every byte is charged before it is
//! used, a refusal changes nothing, and everything comes back.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod empty;
mod memory;
mod sites;

postern_tests::subject!(sites, empty, memory);
