//! Fault handlers (row G6) in full, and explained refusals (row G13): who
//! repairs, who gives up, who dies meanwhile.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod death;
mod explain;
mod registers;
mod repair;

use postern_tests::handler::{answer, fault, handled};

postern_tests::subject!(repair, registers, death, explain);
