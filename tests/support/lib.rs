//! What the in-QEMU tests stand on.
//!
//! A subject is a program with many tests; the runner starts it anew for each
//! of them, in a task of its own, so that a crash is one failed test. A test is
//! `fn name(ctx: &Ctx) -> Verdict`; the modules of a subject list theirs with
//! [`tests!`], and its `main.rs` puts the lists together with [`subject!`].
//!
//! - [`Ctx`]: the test's capabilities, and short ways to make objects.
//! - [`Partner`]: a second thread, in this task or in one of its own (a *peer*:
//!   the same text, a copy of the data), whose crash can be expected.
//! - [`Crowd`]: more threads than there are slots for.
//! - [`board`]: words that the test and all its partners see.
//! - [`check!`], [`check_eq!`]: what a test asserts; both say where and what.
//! - [`bare`]: the only module with `unsafe`: instructions that no program
//!   would execute.
//!
//! Rules: a test must not depend on how long something takes, except for the
//! limits after which it counts as hanging; it must not leave anything behind
//! that its own task does not own.
#![no_std]

extern crate alloc;

pub mod bare;
pub mod board;
mod context;
mod crowd;
mod failure;
pub mod handler;
mod outcome;
mod partner;
pub mod protocol;
pub mod random;
pub mod registry;

pub use context::{Ctx, patience};
pub use crowd::Crowd;
pub use failure::{Failure, Verdict, op, received, sent};
pub use outcome::{tell, told};
pub use partner::{Body, End, Partner, peer};
pub use registry::Test;

pub use postern_hypercall as hypercall;
pub use postern_runtime as runtime;
pub use postern_runtime::syscall;
