//! Interfaces as Rust traits: `#[interface]` makes the client, the server's
//! dispatcher and the protocol numbers.
//!
//! ```
//! use postern_interface::{Caller, ServerError, interface};
//!
//! /// What the counter refuses.
//! #[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
//! pub enum CounterError {
//!     /// the counter has reached its limit
//!     Limit = 1,
//! }
//!
//! /// A counter for each client.
//! #[interface(protocol = 0x1234)]
//! pub trait Counter {
//!     /// Adds to the counter; its new value.
//!     fn add(&mut self, caller: &Caller, amount: u32) -> Result<u64, CounterError>;
//!     /// Says what the counter counts.
//!     fn rename(&mut self, name: &str);
//! }
//! ```
//!
//! The trait stays as it is written: a server implements it and is served by
//! `CounterServer(server)`. Clients get `CounterClient`, a handle over a gate
//! with the same methods, whose errors are [`CallError`]: the server's own, or
//! what went wrong on the way.
//!
//! - Arguments and results are [`Wire`]: integers, `bool`, `char`, `Duration`,
//!   bytes and text, lists, structures and enumerations with `#[derive(Wire)]`,
//!   structures of `zerocopy` as [`Plain`], capabilities as [`Owned`]: an
//!   `Owned<Gate>`, an `Owned<CounterClient>`, an `Owned<Memory>`.
//! - A `&Caller` among the arguments is who calls; clients do not see it.
//! - An [`Answer`] as the last argument instead of a result: the server may
//!   answer later ([`Answer::keep`]).
//! - A [`Lent`] among the arguments: a relay segment goes along with the call
//!   and comes back with the answer ([`postern_syscall::relay`]). The client's
//!   method takes anything that is [`Lend`](postern_syscall::relay::Lend) in its
//!   place, by value, and gives it back beside the result.
//! - A method's number is its position from 1 on, or what `#[opcode = N]` says
//!   (the following ones count on from there). `CounterClient::METHODS` lists
//!   them, for a test that they stay.
//!
//! On the wire ([`wire`]): the method's number in word 0 of a request and the
//! arguments behind it, a status in word 0 of an answer and the results behind
//! it. Up to three words of each travel in registers.
//!
//! Rules of this crate: nothing that another program sends can make it panic,
//! reach the server's code malformed, or leave a capability behind; values of
//! fixed size need no heap; no policy.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(not(target_os = "none"))]
extern crate std;

mod bytes;
mod capability;
mod client;
mod error;
#[cfg(not(target_os = "none"))]
pub mod loopback;
pub mod restart;
mod server;
mod station;
mod transport;
mod values;
pub mod wire;

pub use bytes::{Bytes, MAX_BYTES, Text};
pub use capability::{Owned, USE};
pub use error::{CallError, Refusal, ServerError, Status};
pub use postern_interface_macros::{ServerError, Wire, interface};
pub use postern_syscall::relay::Lent;
pub use server::{Answer, Caller, Kept, Reply, Request, Server, serve};
pub use station::Station;
pub use values::Plain;
pub use wire::{Full, MAX_ITEMS, MAX_WORDS, Malformed, Owning, Reader, Wire, Writer};

/// For the code that the macros write.
#[doc(hidden)]
pub mod private {
    pub use crate::client::{call, lend};
    pub use core;
    pub use postern_syscall::relay::Lend;
    pub use postern_syscall::{Capability, Gate, Slot, Timeouts, abi::rights::Kind};
}
