//! Notifications and interrupts (row G7).
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod irq;
mod signal;

postern_tests::subject!(signal, irq);
