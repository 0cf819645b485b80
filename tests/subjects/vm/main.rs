//! Guests (row A10): virtual CPUs, their exits, their hypercalls, and guests
//! and monitors that misbehave.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod exits;
mod hostile;
mod hypercalls;
mod machine;

postern_tests::subject!(hypercalls, exits, hostile);
