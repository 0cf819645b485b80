//! Crossings: entries, contexts, link stacks; each row of the feature list a
//! test with its number.
//!
//! A server here is a task with a copy of this program and no thread of its
//! own: only the threads that cross into it run there.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod authority;
mod call;
mod contexts;
mod deadline;
mod death;
mod float;
mod obey;
mod registers;
mod scheduling;
mod server;

postern_tests::subject!(authority, call, registers, float, contexts, death, deadline, scheduling);
