//! The name server's directory, apart from its program, so that the tests in
//! QEMU can serve it.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod directory;

pub use directory::Directory;
