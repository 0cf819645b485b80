//! Floating-point and SIMD registers: everybody's own, whatever happens in
//! between, and nobody else's.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod exhaustion;
mod fault;
mod switch;
mod values;

postern_tests::subject!(values, switch, fault, exhaustion);
