//! The border itself: codes, registers, flags, handles, and every operation
//! with everything that can be wrong about it.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod calls;
mod operations;
mod registers;

postern_tests::subject!(calls, registers, operations);
