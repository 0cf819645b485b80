//! What a server sees of the segment that came with a call.

use core::fmt;
use core::ops::{Deref, Range};

use abi::Rights;
use abi::code::Held;
use postern_abi as abi;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{BORROWED, Lend, NOT_HERE, Narrow, set_shown, shown};
use crate::{Result, window};

/// The loan of a call that is being handled: made by server loops when a
/// message with a segment arrives, dropped before the answer.
#[derive(Debug)]
pub struct Loan {
    address: u64,
    bytes: usize,
    writable: bool,
    /// What the window showed before, as the word of the UTCB has it.
    before: u64,
}

impl Loan {
    /// Looks at what was lent to this thread or context. If that has a `Loan`
    /// already, or was lent nothing, this one is empty.
    #[must_use]
    pub fn begin() -> Self {
        let before = shown();
        let borrowed = || window::shown().ok().filter(|it| it.held == Some(Held::Borrowed));
        match if before == BORROWED { None } else { borrowed() } {
            Some(it) => {
                set_shown(BORROWED);
                let writable = it.rights.contains(Rights::W);
                Self { address: it.address, bytes: it.bytes as usize, writable, before }
            }
            None => Self { address: window::ADDRESS, bytes: 0, writable: false, before },
        }
    }

    /// What was lent.
    pub fn lent(&mut self) -> Lent<'_> {
        Lent { loan: self }
    }

    fn slice(&self) -> &[u8] {
        if self.bytes == 0 {
            return &[];
        }
        // SAFETY: `begin` saw that the window shows so many bytes there, and that
        // nobody else in this activation has a `Loan`. The kernel leaves them
        // there until the answer, which comes after the `Loan` is dropped,
        // whatever lender and segment suffer; lending them on takes `&mut`, and if
        // they are not back `bytes` becomes 0.
        unsafe { core::slice::from_raw_parts(self.address as *const u8, self.bytes) }
    }

    fn slice_mut(&mut self) -> Option<&mut [u8]> {
        if !self.writable || self.bytes == 0 {
            return None;
        }
        // SAFETY: as in `slice`; the window is writable, and this borrowed alone.
        Some(unsafe { core::slice::from_raw_parts_mut(self.address as *mut u8, self.bytes) })
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if self.before != BORROWED {
            set_shown(self.before);
        }
    }
}

/// The segment that came with a call, or the part of it that this server may
/// see, for as long as the call is handled.
pub struct Lent<'a> {
    loan: &'a mut Loan,
}

impl Lent<'_> {
    /// Where its first byte lies in the whole segment: other than 0 if the
    /// caller lent a part.
    #[must_use]
    pub const fn offset(&self) -> usize {
        (self.loan.address - window::ADDRESS) as usize
    }

    /// The bytes, to be changed; `None` if they were lent to be read only.
    #[must_use]
    pub fn writable(&mut self) -> Option<&mut [u8]> {
        self.loan.slice_mut()
    }

    /// The structure at `offset`; `None` if it does not fit, or is not aligned.
    #[must_use]
    pub fn view<T: FromBytes + KnownLayout + Immutable>(&self, offset: usize) -> Option<&T> {
        T::ref_from_prefix(self.get_bytes(offset)?).ok().map(|(value, _)| value)
    }

    /// The structure at `offset`, to be changed; `None` also if it can only be
    /// read.
    #[must_use]
    pub fn view_mut<T: FromBytes + IntoBytes + KnownLayout>(
        &mut self,
        offset: usize,
    ) -> Option<&mut T> {
        let bytes = self.loan.slice_mut()?.get_mut(offset..)?;
        T::mut_from_prefix(bytes).ok().map(|(value, _)| value)
    }

    fn get_bytes(&self, offset: usize) -> Option<&[u8]> {
        self.loan.slice().get(offset..)
    }

    /// To be lent on so that the next server sees only this part, page by page.
    #[must_use]
    pub fn narrow(&mut self, range: Range<usize>) -> Narrow<&mut Self> {
        let (offset, writable) = (self.offset(), self.loan.writable);
        Narrow::new(self, range, offset, writable)
    }

    /// To be lent on so that the next server cannot write it.
    #[must_use]
    pub fn read_only(&mut self) -> Narrow<&mut Self> {
        let all = 0..self.loan.bytes;
        self.narrow(all).read_only()
    }
}

impl Deref for Lent<'_> {
    type Target = [u8];

    /// The bytes; none if they were lent on and did not come back.
    fn deref(&self) -> &[u8] {
        self.loan.slice()
    }
}

impl fmt::Debug for Lent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.loan, f)
    }
}

/// To the next server of a chain.
impl Lend for &mut Lent<'_> {
    type Back = ();
    /// Whether it is back.
    type Outcome = bool;

    fn begin(&mut self) -> Result<()> {
        if self.loan.bytes == 0 || shown() != BORROWED { Err(NOT_HERE) } else { Ok(()) }
    }

    fn back(self) {}

    fn outcome(self, is_back: bool) -> bool {
        if !is_back {
            self.loan.bytes = 0;
        }
        is_back
    }
}
