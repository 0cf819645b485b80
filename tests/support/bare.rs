//! Everything in the tests that needs `unsafe`: instructions that no program
//! would execute, system calls with arbitrary registers, addresses that nobody
//! mapped.
//!
//! The functions are safe to call for the reason for which the methods of a
//! `Task` capability to oneself are (see the page of `postern-syscall`): they
//! are power over one's own task, and a test uses them on addresses that it
//! mapped itself, or in a thread that is expected to die of it. What they do is
//! assembly throughout, so the compiler never sees an invalid reference.

pub mod call;
pub mod crossing;
pub mod float;
pub mod guest;
pub mod hypercall;
pub mod memory;
pub mod privileged;
