//! A machine as a guest sees it: a PC without firmware, with one CPU, a serial
//! port, a pair of interrupt controllers, an x2APIC with its timer, and the
//! hypercalls of `postern_hypercall`.
//!
//! Pure: exits and hypercalls in, registers and outputs out. What the machine
//! itself cannot do it asks of its [`Host`], which in the program `vmm` is made
//! of system calls and in the tests of this crate of plain memory. Nothing here
//! may panic because of what a guest does, and nothing that a guest does may
//! make it use more memory than [`Uart`] says.
//!
//! There is no decoder of instructions: a guest reaches devices by ports and
//! MSRs only.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod apic;
pub mod boot;
mod cpuid;
mod debug;
mod dump;
mod exit;
mod hypercalls;
mod machine;
mod msr;
mod pic;
mod pit;
mod ports;
#[cfg(test)]
mod tests;
mod uart;
mod walk;

pub use apic::Apic;
pub use cpuid::answer as cpuid;
pub use exit::{End, Next};
pub use hypercalls::session;
pub use machine::{Given, Host, Machine};
pub use pic::Pics;
pub use uart::Uart;
