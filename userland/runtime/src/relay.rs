//! Relay segments as owned buffers: [`postern_syscall::relay`], out of the
//! program's own factory.

pub use postern_syscall::relay::*;

use crate::error::{Explain, Result};
use crate::own;

/// A new buffer of at least `bytes`, rounded up to a page, zeroed, in the
/// calling thread's window.
///
/// # Errors
/// As [`RelayBuf::new`]; the program lacks its factory.
pub fn buffer(bytes: usize) -> Result<RelayBuf> {
    RelayBuf::new(own::factory()?, bytes).explain("creating a relay segment", "factory")
}

/// An empty pool.
///
/// # Errors
/// The program lacks its factory.
pub fn pool<const N: usize>() -> Result<Pool<N>> {
    Ok(Pool::new(own::factory()?))
}
