//! Numbers and layouts that the kernel and user programs share.
//!
//! This crate is the machine-readable half of `docs/abi.md`: section numbers
//! there are quoted here. It must never contain code that *decides* anything;
//! constructors only check that a value is one that the ABI knows.
//! It has no unsafe code, allocates nothing and depends on nothing but
//! `bitflags`, so that the kernel, programs, `xtask` and outside tools can all
//! read the same numbers.
#![no_std]
#![forbid(unsafe_code)]

pub mod address;
pub mod clock;
pub mod code;
pub mod env;
pub mod error;
pub mod harness;
pub mod hypercall;
pub mod image;
pub mod op;
pub mod rights;
pub mod stretch;
pub mod tag;
pub mod timeout;
pub mod trace;
pub mod utcb;

pub use code::Code;
pub use error::{ErrorCode, ErrorNumber, Phase};
pub use rights::Rights;
pub use tag::Tag;
pub use timeout::Timeout;

/// Version of everything in this crate; checked when a program starts.
///
/// Increased by every incompatible change and recorded in `CHANGELOG.md`.
pub const ABI_VERSION: u32 = 1;

/// Number of priorities of threads; 255 is the most urgent.
pub const PRIORITIES: usize = 256;

/// Size of a small page in bytes.
pub const PAGE: u64 = 4096;
