//! The hypercall convention of XNU (`osfmk/i386/x86_hypercall.h`) from the
//! guest's side: is there a hypervisor that speaks it, and calls to it.
//!
//! For kernels and programs alike: nothing but `core` is used, nothing is
//! allocated, no state is kept.
//!
//! - [`interface`]: what CPUID says, as a pure function over a reader.
//! - [`Hypercalls`]: the proof that the convention is spoken here. Only
//!   detection gives one out, and only it can execute the instruction: where
//!   nothing answers, that would be an invalid instruction, and where somebody
//!   else answers, anything. Safe code cannot make a call without it:
//!
//! ```compile_fail,E0451
//! # use postern_hypercall::{Features, Hypercalls, Interface, Opcode};
//! let interface = Interface { base: 0x4000_0100, features: Features(1) };
//! let calls = Hypercalls { interface, opcode: Opcode::Vmcall };
//! ```
//!
//! - [`Request`], [`Outputs`], [`Error`]: what goes in and comes out, in
//!   registers; usable by whoever answers, too ([`Namespace`]).
//! - [`Hypercalls::dump`], [`Hypercalls::debugger`], [`Hypercalls::clock`],
//!   [`Hypercalls::session`]: the known calls with their types, each there only
//!   if its feature bit is.
//!
//! `unsafe` is for the one instruction only.
//!
//! The convention has a form for arm64, too, which has nothing to do here: the
//! instruction, the registers and the detection are other ones.
#![no_std]

mod calls;
mod code;
mod detect;
mod error;
mod instruction;
#[cfg(test)]
mod tests;

pub use calls::{
    BOOT_SESSION, Clock, Coredump, Debugger, Dump, DumpTag, Session, SessionId, number,
};
pub use code::{CODE_MASK, Namespace, Outputs, Request, code_word};
pub use detect::{
    Absent, FIRST_LEAF, Features, Interface, LAST_LEAF, LEAF_STEP, Leaf, SIGNATURE, Switch, VENDOR,
    interface,
};
pub use error::{Error, errno};
pub use instruction::{Hypercalls, Opcode};
