//! The x86_64 layer of the Postern kernel: the room with unsafe.
//!
//! It does what [`postern_core::machine::Machine`] asks, holds the ways into
//! the kernel and the one way out, and the one cell with the kernel's state. It
//! decides nothing. The rules:
//!
//! - Interrupts are off in the kernel, except in the two windows of the exit
//!   loop, where nothing is borrowed.
//! - One stack per CPU; every entry runs to completion and ends in
//!   the module `exit`. What belongs to a CPU is reached through GS.
//! - The kernel never touches user addresses: user memory is reached through
//!   the physical map, in words that are read once.
//! - Nothing is writable and executable, in any mapping.
//! - A method of the machine is safe to call with any argument; what would
//!   break memory is a panic.
//!
//! Selectors in DS, ES, FS and GS are not part of a thread's state: they mean
//! nothing in 64-bit mode but the FS base, which is loaded at every switch.
#![no_std]
#![warn(missing_docs)]

mod acpi;
mod apic;
mod boot;
mod cell;
mod clock;
mod cpu;
mod entry;
mod exit;
mod fpu;
mod frame;
mod hypervisor;
mod image;
mod ioapic;
mod kernel_tables;
mod layout;
mod lines;
mod memory;
mod paging;
mod percpu;
mod pic;
mod pit;
mod port;
mod report;
mod serial;
mod space;
mod svm;
mod tables;
mod timer;
mod trap;
mod window;
mod x86;

pub use boot::{Boot, CONFIG, Facts, start};
#[doc(hidden)]
pub use bootloader_api;
pub use clock::Rates;
pub use cpu::{Features, Flaws};
pub use fpu::Fpu;
pub use hypervisor::Hypervisor;
pub use paging::Entry;
pub use space::Space;
pub use svm::Vcpu;
pub use window::ViewTables;
pub use x86::{Utcb, X86};

/// Makes `$boot`, a `fn(Boot) -> !`, what the kernel does first. To be used
/// once, in the binary.
#[macro_export]
macro_rules! entry {
    ($boot:path) => {
        const _: () = {
            fn start(info: &'static mut $crate::bootloader_api::BootInfo) -> ! {
                $crate::start(info, $boot)
            }
            $crate::bootloader_api::entry_point!(start, config = &$crate::CONFIG);
        };
    };
}
