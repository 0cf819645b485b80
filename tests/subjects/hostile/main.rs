//! Hostile programs: random system calls from several tasks. The kernel
//! survives, others keep their words and registers, and in the end every byte
//! is accounted for.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod kill;
mod million;
mod storm;

postern_tests::subject!(storm, kill, million);
