//! Object memory of the kernel: contiguous tables that grow page by page, and
//! arenas with generational references on top of them.
//!
//! This is the one room besides `kernel/machine` that may contain `unsafe`. It
//! must never allocate, never know what an object means, and never hand out a
//! reference to an object that has been removed: a stale [`Ref`] finds nothing.
//!
//! The contract with the machine layer is two tokens, [`Region`] and [`Page`],
//! whose unsafe constructors say what must hold; everything else here is safe
//! to call. A third, [`Vacant`], goes the other way: a page without objects.
#![no_std]
#![warn(missing_docs)]

mod arena;
#[cfg(any(test, feature = "host"))]
pub mod host;
mod region;
mod table;

pub use arena::{Arena, Other, Others, Ref};
pub use region::{PAGE, Page, Region, Vacant};
pub use table::Table;

#[cfg(any(test, feature = "host"))]
extern crate std;

#[cfg(test)]
mod tests;
