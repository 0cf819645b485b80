//! Why was I refused? With the switch on, the kernel leaves a record of every
//! refused system call in the UTCB; here it becomes a sentence.

use core::fmt;

use abi::rights::Kind;
use abi::utcb::{
    CYCLE_MAX, DIAGNOSIS_CALL, DIAGNOSIS_CYCLE, DIAGNOSIS_CYCLE_THREADS, DIAGNOSIS_ERROR,
    DIAGNOSIS_OBJECT, DIAGNOSIS_OPERATION, DIAGNOSIS_SLOT,
};
use abi::{Code, ErrorCode, Rights, op};
use postern_abi as abi;

use crate::{Slot, utcb};

/// A refused system call of this thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// What it returned.
    pub error: ErrorCode,
    /// Which system call it was, if this ABI knows it.
    pub call: Option<Code>,
    /// The slot at fault: that of the capability called, or of the item.
    pub slot: Slot,
    /// Kind of the object in it; `None` if it is empty.
    pub kind: Option<Kind>,
    /// Rights of the capability in it.
    pub held: Rights,
    /// Rights that it lacks.
    pub missing: Rights,
    /// Id of the object: equal ids are the same object of that kind.
    pub object: u64,
    /// Word 0 of the message: the operation, if it was one ([`op`]).
    pub operation: u64,
}

/// Threads of which each waited for the next one, and the last for the first,
/// until the wait of the first one timed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cycle {
    threads: [u64; CYCLE_MAX],
    length: usize,
}

impl Cycle {
    /// Their ids, as LIST tells them, the caller first.
    #[must_use]
    pub fn threads(&self) -> &[u64] {
        &self.threads[..self.length]
    }
}

/// The cycle in which the last refused call waited, if its record names one.
#[must_use]
pub fn cycle() -> Option<Cycle> {
    ErrorCode::decode(utcb::read(DIAGNOSIS_ERROR))?;
    let length = (utcb::read(DIAGNOSIS_CYCLE) as usize).min(CYCLE_MAX);
    let id = |at| if at < length { utcb::read(DIAGNOSIS_CYCLE_THREADS + at) } else { 0 };
    (length > 0).then(|| Cycle { threads: core::array::from_fn(id), length })
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = self.threads().iter().chain(self.threads().first());
        for (index, id) in numbers.enumerate() {
            let before = if index == 0 { "thread " } else { " waits for " };
            write!(f, "{before}#{}", id & 0xffff_ffff)?;
        }
        Ok(())
    }
}

/// Turns the records on or off for the calling thread. They cost nothing while
/// nothing is refused.
pub fn enable(on: bool) {
    // The kernel knows the code and takes 0 and 1.
    let _known = crate::control::diagnose(on);
    clear();
}

/// Forgets the last refusal, so that [`last`] tells only of a newer one.
pub fn clear() {
    utcb::write(DIAGNOSIS_ERROR, 0);
}

/// The last refusal since the switch was turned on or [`clear`] was called.
#[must_use]
pub fn last() -> Option<Refusal> {
    let error = ErrorCode::decode(utcb::read(DIAGNOSIS_ERROR))?;
    let slot = utcb::read(DIAGNOSIS_SLOT);
    Some(Refusal {
        error,
        call: Code::decode(utcb::read(DIAGNOSIS_CALL)).map(|(code, _)| code),
        slot: Slot::new(slot as u32),
        kind: Kind::decode(slot >> 32 & 0xff),
        held: Rights::from_bits_truncate((slot >> 40) as u8),
        missing: Rights::from_bits_truncate((slot >> 48) as u8),
        object: utcb::read(DIAGNOSIS_OBJECT),
        operation: utcb::read(DIAGNOSIS_OPERATION),
    })
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.call {
            Some(Code::Call | Code::Send) if op::is_known(self.operation) => {
                write!(f, "`{}`", op::name(self.operation))?;
            }
            Some(code) => write!(f, "{code:?}")?,
            None => write!(f, "an unknown system call")?,
        }
        write!(f, " was refused: {}; {}", self.error, self.about())
    }
}

impl Refusal {
    /// What the slot at fault holds and lacks, in words, without the error.
    #[must_use]
    pub fn about(&self) -> impl fmt::Display {
        About(*self)
    }
}

struct About(Refusal);

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(refusal) = self;
        write!(f, "slot {} ", refusal.slot.word())?;
        match refusal.kind {
            None => write!(f, "is empty")?,
            Some(kind) => {
                write!(
                    f,
                    "holds a {} #{} with rights ",
                    kind.name(),
                    refusal.object & 0xffff_ffff
                )?;
                rights(f, refusal.held)?;
            }
        }
        if !refusal.missing.is_empty() {
            write!(f, ", missing ")?;
            rights(f, refusal.missing)?;
        }
        Ok(())
    }
}

/// Rights as the letters and names that the documentation uses.
fn rights(f: &mut fmt::Formatter<'_>, rights: Rights) -> fmt::Result {
    if rights.is_empty() {
        return f.write_str("none");
    }
    for (index, (name, _)) in rights.iter_names().enumerate() {
        write!(f, "{}{name}", if index > 0 { " " } else { "" })?;
    }
    Ok(())
}
