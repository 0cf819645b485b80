//! Relay segments as owned buffers: moved into a call, given back by its
//! result.
//!
//! - [`Segment`]: a segment that nobody sees; can go to another thread.
//! - [`RelayBuf`]: one that the calling thread sees; at most one a thread, which
//!   the kernel makes sure of. It is a slice of bytes, and structures in it.
//! - [`Lent`]: what a server sees of the segment that came with the call that it
//!   handles, and no longer than that.
//! - [`Lend`]: what can go along with a call: a `RelayBuf`, a `&mut Lent` (to
//!   the next server of a chain), and either of them [narrowed](Narrow).
//! - [`Pool`]: segments to be used again. [`Extent`]: where a message with
//!   headers lies in a buffer.
//!
//! A buffer that was lent cannot be used, because it was moved:
//!
//! ```compile_fail,E0382
//! # use postern_syscall::{Gate, Tag, Timeouts, relay::RelayBuf};
//! fn forget_who_has_it(buffer: RelayBuf, gate: Gate) -> u8 {
//!     let answer = buffer.call(gate, Tag::new(7, 0), [0; 4], Timeouts::NEVER);
//!     drop(answer);
//!     buffer[0] // it is not here any more
//! }
//! ```
//!
//! What comes back can be:
//!
//! ```
//! # use postern_syscall::{Gate, Tag, Timeouts, relay::RelayBuf};
//! fn get_it_back(buffer: RelayBuf, gate: Gate) -> Option<u8> {
//!     let answer = buffer.call(gate, Tag::new(7, 0), [0; 4], Timeouts::NEVER);
//!     let (_, buffer) = answer.ok()?;
//!     Some(buffer[0])
//! }
//! ```
//!
//! Nor can what a server was lent be kept beyond the call:
//!
//! ```compile_fail,E0597
//! # use postern_syscall::relay::Loan;
//! fn keep_it() -> u8 {
//!     let bytes: &[u8] = {
//!         let mut loan = Loan::begin();
//!         let lent = loan.lent();
//!         &*Box::leak(Box::new(lent))
//!     };
//!     bytes[0]
//! }
//! ```
//!
//! And a buffer stays in the thread whose window shows it:
//!
//! ```compile_fail,E0277
//! # use postern_syscall::relay::RelayBuf;
//! fn elsewhere(buffer: RelayBuf) {
//!     std::thread::spawn(move || drop(buffer));
//! }
//! ```
//!
//! Rules of this module: `unsafe` is for slices of the window, and only while
//! the word of the UTCB that says what the window shows agrees; nothing in it
//! panics because of what a server does. As everywhere in this crate, "safe" is
//! said of programs that leave their own window alone: [`crate::window`] can pull a
//! segment from under its buffer as [`crate::Task::unmap`] can the stack.

mod buffer;
mod extent;
mod lent;
mod narrow;
mod pool;

pub use buffer::{Outcome, Outstanding, RelayBuf, Segment};
pub use extent::Extent;
pub use lent::{Lent, Loan};
pub use narrow::Narrow;
pub use pool::Pool;

use abi::Phase;
use postern_abi as abi;

use crate::{
    Capability, Delivery, ErrorCode, ErrorNumber, Gate, Result, Tag, Timeouts, ipc, utcb, window,
};

/// Word of the UTCB's runtime part: what the window shows, so that nobody takes
/// one segment for another. 0: nothing that has a buffer; the number of a slot:
/// that segment.
const SHOWN: usize = 1;
/// A borrowed segment.
const BORROWED: u64 = u64::MAX;

fn shown() -> u64 {
    utcb::runtime_word(SHOWN)
}

fn set_shown(what: u64) {
    utcb::set_runtime_word(SHOWN, what);
}

/// The refusal of a segment that is not here to be lent.
const NOT_HERE: ErrorCode =
    ErrorCode { number: ErrorNumber::Lent, phase: Phase::Send, argument: ErrorCode::SEGMENT };

/// What can go along with a call.
///
/// [`Lend::begin`] comes before the call; then one of [`Lend::back`] (the call
/// succeeded and it is here again) and [`Lend::outcome`].
pub trait Lend: Sized {
    /// What a call that succeeds gives back.
    type Back;
    /// What is told of it when a call fails.
    type Outcome;

    /// Makes the window show what is to be lent.
    ///
    /// # Errors
    /// It is not here, or cannot be narrowed so. Nothing was lent.
    fn begin(&mut self) -> Result<()>;

    /// It came back with the answer.
    fn back(self) -> Self::Back;

    /// The call failed; `is_back`: whether the window shows it again.
    fn outcome(self, is_back: bool) -> Self::Outcome;
}

/// Whether a call that lent something left it in the window again.
#[must_use]
pub fn is_back(outcome: &Result<Delivery>) -> bool {
    match outcome {
        Ok(answer) => answer.tag.has_relay(),
        // Nothing was lent; unless there was nothing, because it was destroyed.
        Err(error) if error.phase != Phase::Receive => {
            error.number != ErrorNumber::Inval || error.argument != ErrorCode::SEGMENT
        }
        // It came with the error, or is outstanding.
        Err(_) => window::shown().is_ok_and(|shown| shown.bytes != 0),
    }
}

/// Calls `gate` and lends `loan`.
///
/// # Errors
/// As [`ipc::call`]; and what became of what was lent.
pub fn call<L: Lend>(
    mut loan: L,
    gate: Gate,
    tag: Tag,
    words: [u64; 4],
    timeouts: Timeouts,
) -> core::result::Result<(Delivery, L::Back), (ErrorCode, L::Outcome)> {
    if let Err(error) = loan.begin() {
        return Err((error, loan.outcome(true)));
    }
    let answer = ipc::call(gate.slot(), tag.with_relay(), words, timeouts);
    let is_back = is_back(&answer);
    match answer {
        Ok(answer) if is_back => Ok((answer, loan.back())),
        // Somebody destroyed it while it was lent.
        Ok(_) => Err((ErrorCode::receive(ErrorNumber::Aborted), loan.outcome(false))),
        Err(error) => Err((error, loan.outcome(is_back))),
    }
}
