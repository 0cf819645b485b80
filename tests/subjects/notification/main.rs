//! Notifications and interrupts (row G7).
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod irq;
mod line;
mod signal;
mod uart;
mod wait;

postern_tests::subject!(signal, wait, irq, line);
