//! Factories: what they make, what it costs, and that all of it comes back
//! (rows G4 and L1; the statements C01 to C14 are tested in `gate`).
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod create;
mod quota;

postern_tests::subject!(create, quota);
