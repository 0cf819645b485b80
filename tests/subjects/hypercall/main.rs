//! The hypercall convention from ring 3: the instruction is a call through the
//! hypercall gate of the task (rows A1 to A10; the rows about detection alone
//! are tests of the crate).
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod convention;
mod kernel;
mod server;

postern_tests::subject!(convention, kernel);
