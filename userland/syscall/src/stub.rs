//! The shortest stubs that the ABI allows, and clock readings around them:
//! what the benchmarks count (docs/benchmarks.md).
//!
//! [`client`] does one system call between two readings of the time stamp
//! counter; [`server`] has the other sides, whole threads that need no memory
//! but the stack that some say they push to. They fill and read no message:
//! words stay in the registers in which they came.
//!
//! Must never be used for anything but measuring and tests: errors are one
//! bit, and a server never ends.

pub mod client;
pub mod server;
