//! What clients and servers say to each other: one module per interface.
//!
//! Every interface has the same form, so that the `#[interface]` macro of a
//! later issue can write it: a protocol number, an operation number in word 0
//! of each request, the arguments behind it in order; in each answer a status
//! in word 0 (0 or the number of the server's own error) and the results
//! behind it. Bytes travel as their number and then packed into words.
//!
//! A module holds the client (a handle over a gate's slot), the decoded
//! request for the server, and the interface's error. It must never hold
//! policy: who may do what is decided by who has which gate.
#![no_std]
#![forbid(unsafe_code)]

pub mod console;
mod error;
mod name;
pub mod supervisor;
mod wire;

pub use error::{CallError, ServerError};
pub use name::Name;
pub use wire::{failure, success};
