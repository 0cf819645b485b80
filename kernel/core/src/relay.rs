//! Relay segments: memory that changes hands instead of being copied.
//!
//! A segment has exactly one owner at any moment, and is visible in exactly the
//! window of the activation that holds it ([`ledger`]). What a window shows is
//! a view, whose page tables exist before it is needed (`view`), so handing it
//! over is independent of its size. Nobody ever waits for a segment. `calls`
//! are the system calls of the activation that holds one.

#[cfg(any(test, feature = "sim"))]
pub mod audit;
mod calls;
pub mod ledger;
mod loan;
mod own;
mod state;
pub mod unsettled;
mod view;

pub use ledger::{Holdings, Owner};
pub use view::{Share, View};
