//! What programs use instead of raw calls (rows X17, X26, X28): servers that run
//! behind a thread or an entry without a changed line, buffers that are moved
//! into a call and come back, long messages over both, and random ones.
//!
//! Servers are threads, or contexts, of the test's own task: they have the heap.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod buffer;
mod garbage;
mod long;
mod same;
mod servers;
mod several;
mod sizes;

postern_tests::subject!(same, buffer, sizes, long, garbage, several);
