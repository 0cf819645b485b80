//! Isolation: what a program must not be able to reach or do, by whatever
//! instruction.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

mod memory;
mod pages;
mod privileged;

postern_tests::subject!(memory, pages, privileged);

/// Vectors of the exceptions that these tests expect.
mod vector {
    /// A debug trap.
    pub const DEBUG: u8 = 1;
    /// An instruction that the CPU does not have.
    pub const UNDEFINED: u8 = 6;
    /// General protection.
    pub const PROTECTION: u8 = 13;
    /// A page fault.
    pub const PAGE: u8 = 14;
}

/// Bits of the error code of a page fault.
mod access {
    /// The page is there, but not for this.
    pub const PRESENT: u64 = 1;
    /// It was written.
    pub const WRITE: u64 = 2;
    /// In user code.
    pub const USER: u64 = 4;
    /// An instruction was fetched.
    pub const EXECUTE: u64 = 16;
}
