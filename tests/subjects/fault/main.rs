//! Faults: what becomes of the thread, who is told, and that nobody else
//! suffers.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod gate;
mod handler;
mod kinds;

postern_tests::subject!(kinds, gate, handler);
