//! Relay segments (rows X9 to X13, X16 to X18, X23, X27, X30, X32).
//!
//! What can be said of both kinds of servers is tested with both: one whose
//! thread receives, and one that callers cross into. On one CPU there is nobody
//! to send a shootdown to; that none is needed follows from how the window is
//! loaded (docs/decisions/0014).
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod chain;
mod end;
mod lend;
mod loan;
mod mask;
mod own;
mod server;

postern_tests::subject!(lend, own, mask, chain, loan, end);
