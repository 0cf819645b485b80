//! Segments that a program owns: seen by nobody, seen by one thread, or lent
//! and not back.

use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut, Range};

use abi::{PAGE, Rights};
use postern_abi as abi;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Lend, NOT_HERE, Narrow, call, set_shown, shown};
use crate::{
    Capability, Delivery, ErrorCode, ErrorNumber, Factory, Gate, Relay, Result, Slot, Tag,
    Timeouts, slots, window,
};

/// A segment that this program owns and nobody sees. Dropped: destroyed.
pub struct Segment {
    relay: Relay,
    bytes: usize,
    rights: Rights,
}

impl Segment {
    /// A new segment of at least `bytes`, rounded up to a page, zeroed.
    ///
    /// # Errors
    /// `NoMem`; `NoWindow` if no slot is left.
    pub fn create(factory: Factory, bytes: usize) -> Result<Self> {
        let bytes = (bytes.max(1) as u64).next_multiple_of(PAGE);
        // The kernel says what is wrong with the null slot.
        let slot = slots::allocate().unwrap_or(Slot::NULL);
        match factory.create_relay(slot, bytes, false) {
            Ok(relay) => Ok(Self { relay, bytes: bytes as usize, rights: Rights::R | Rights::W }),
            Err(error) => {
                slots::release(slot);
                Err(error)
            }
        }
    }

    /// The segment behind a capability that the program was given. It is
    /// destroyed with its buffer if the capability has D, else only given up.
    ///
    /// # Errors
    /// `Perm` without R.
    pub fn adopt(relay: Relay) -> Result<Self> {
        let info = relay.info()?;
        Ok(Self { relay, bytes: info.bytes as usize, rights: info.rights })
    }

    /// Its capability.
    #[must_use]
    pub const fn relay(&self) -> Relay {
        self.relay
    }

    /// Its capability, which is the caller's from now on: to be given away, for
    /// good. Its memory stays charged to the factory that it came from.
    #[must_use]
    pub fn into_relay(self) -> Relay {
        let relay = self.relay;
        core::mem::forget(self);
        relay
    }

    /// Its size in bytes.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.bytes
    }

    /// Shows it to the calling thread.
    ///
    /// # Errors
    /// `Exists` if the thread has another one; `Lent` for one that is not back.
    pub fn activate(self) -> core::result::Result<RelayBuf, (ErrorCode, Self)> {
        match self.relay.activate() {
            Ok(()) => {
                set_shown(self.relay.slot().word());
                Ok(RelayBuf { mark: Mark(self.relay.slot(), PhantomData), segment: self })
            }
            Err(error) => Err((error, self)),
        }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let slot = self.relay.slot();
        match slots::task().destroy(slot) {
            Ok(()) => slots::release(slot),
            // Without D only the capability goes; then a slot at most is lost.
            Err(_) => drop(slots::delete(slot)),
        }
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segment({}, {} bytes)", self.relay.slot(), self.bytes)
    }
}

/// Keeps the word that says what the window shows, in the thread that it is
/// about.
struct Mark(Slot, PhantomData<*mut u8>);

impl Drop for Mark {
    fn drop(&mut self) {
        if shown() == self.0.word() {
            set_shown(0);
        }
    }
}

/// A segment that the calling thread sees. Dropped: destroyed.
///
/// A thread that handles a call with which another one was lent cannot look at
/// its own meanwhile: that panics.
pub struct RelayBuf {
    // First: the mark goes before the segment does.
    mark: Mark,
    segment: Segment,
}

impl RelayBuf {
    /// A new buffer of at least `bytes`, rounded up to a page, zeroed.
    ///
    /// # Errors
    /// As [`Segment::create`]; `Exists` if the thread has one already.
    pub fn new(factory: Factory, bytes: usize) -> Result<Self> {
        Segment::create(factory, bytes)?.activate().map_err(|(error, _)| error)
    }

    /// Takes it out of the window, so that the thread can have another one.
    ///
    /// # Errors
    /// `Lent` in a thread that handles a call with which another one was lent.
    pub fn release(self) -> core::result::Result<Segment, (ErrorCode, Self)> {
        let released = if self.is_here() { window::release() } else { Err(NOT_HERE) };
        match released {
            Ok(()) => Ok(self.segment),
            Err(error) => Err((error, self)),
        }
    }

    /// Its capability.
    #[must_use]
    pub const fn relay(&self) -> Relay {
        self.segment.relay
    }

    /// Whether it can be written.
    #[must_use]
    pub const fn is_writable(&self) -> bool {
        self.segment.rights.contains(Rights::W)
    }

    fn is_here(&self) -> bool {
        shown() == self.mark.0.word()
    }

    /// The structure at `offset`; `None` if it does not fit, or is not aligned.
    #[must_use]
    pub fn view<T: FromBytes + KnownLayout + Immutable>(&self, offset: usize) -> Option<&T> {
        T::ref_from_prefix(self.deref().get(offset..)?).ok().map(|(value, _)| value)
    }

    /// The structure at `offset`, to be changed.
    ///
    /// # Panics
    /// As [`DerefMut`].
    #[must_use]
    pub fn view_mut<T: FromBytes + IntoBytes + KnownLayout>(
        &mut self,
        offset: usize,
    ) -> Option<&mut T> {
        T::mut_from_prefix(self.deref_mut().get_mut(offset..)?).ok().map(|(value, _)| value)
    }

    /// The buffer of which a callee sees only this part, page by page.
    #[must_use]
    pub fn narrow(self, range: Range<usize>) -> Narrow<Self> {
        let writable = self.is_writable();
        Narrow::new(self, range, 0, writable)
    }

    /// The buffer that a callee sees all of and cannot write.
    #[must_use]
    pub fn read_only(self) -> Narrow<Self> {
        let all = 0..self.segment.bytes;
        self.narrow(all).read_only()
    }

    /// Calls `gate` and lends the buffer.
    ///
    /// # Errors
    /// The kernel's, and what became of the buffer.
    pub fn call(
        self,
        gate: Gate,
        tag: Tag,
        words: [u64; 4],
        timeouts: Timeouts,
    ) -> core::result::Result<(Delivery, Self), (ErrorCode, Outcome)> {
        call(self, gate, tag, words, timeouts)
    }
}

impl Deref for RelayBuf {
    type Target = [u8];

    /// # Panics
    /// In a thread that handles a call with which another one was lent.
    fn deref(&self) -> &[u8] {
        assert!(self.is_here(), "the window shows a segment that was lent to this thread");
        // SAFETY: the window shows this segment: the word says so, which is set
        // where one is shown and cannot be another thread's, for the type is not
        // `Send`. It is readable to its end. Every way to show another one, or
        // none, takes the buffer by value, or is over before its borrower runs
        // on (`Loan`). Nobody else sees it meanwhile: the kernel shows a segment
        // in one window.
        unsafe { core::slice::from_raw_parts(window::ADDRESS as *const u8, self.segment.bytes) }
    }
}

impl DerefMut for RelayBuf {
    /// # Panics
    /// As `deref`, and for a buffer that cannot be written.
    fn deref_mut(&mut self) -> &mut [u8] {
        assert!(self.is_here(), "the window shows a segment that was lent to this thread");
        assert!(self.is_writable(), "the buffer can only be read");
        // SAFETY: as in `deref`; it is writable, and `self` is borrowed alone.
        unsafe { core::slice::from_raw_parts_mut(window::ADDRESS as *mut u8, self.segment.bytes) }
    }
}

impl fmt::Debug for RelayBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelayBuf({}, {} bytes)", self.segment.relay.slot(), self.segment.bytes)
    }
}

impl Lend for RelayBuf {
    type Back = Self;
    type Outcome = Outcome;

    fn begin(&mut self) -> Result<()> {
        // Else the borrowed one would go along.
        if self.is_here() { Ok(()) } else { Err(NOT_HERE) }
    }

    fn back(self) -> Self {
        self
    }

    fn outcome(self, is_back: bool) -> Outcome {
        if is_back { Outcome::Back(self) } else { Outcome::Outstanding(Outstanding(self.segment)) }
    }
}

/// What became of a buffer with a call that failed.
#[derive(Debug)]
pub enum Outcome {
    /// It is here again, or was never away.
    Back(RelayBuf),
    /// The server has it still.
    Outstanding(Outstanding),
}

impl Outcome {
    /// The buffer, if it is here.
    #[must_use]
    pub fn back(self) -> Option<RelayBuf> {
        match self {
            Self::Back(buffer) => Some(buffer),
            Self::Outstanding(_) => None,
        }
    }
}

/// A buffer that a server has although nobody waits for its answer. Dropped:
/// it goes when the server is done with it.
#[derive(Debug)]
pub struct Outstanding(Segment);

impl Outstanding {
    /// Takes it back if the server is done with it.
    ///
    /// # Errors
    /// `Lent`: it is not. `Exists`: the thread has another buffer.
    /// `NotExistent`: somebody destroyed it. It can be tried again.
    pub fn reclaim(self) -> core::result::Result<RelayBuf, (ErrorCode, Self)> {
        self.0.activate().map_err(|(error, segment)| (error, Self(segment)))
    }

    /// Whether the server has it still.
    #[must_use]
    pub fn is_lent(&self) -> bool {
        use abi::op::relay::Owner;
        self.0.relay.info().is_ok_and(|info| info.owner == Some(Owner::Outstanding))
    }

    /// Whether it cannot come back, because somebody destroyed it.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.0.relay.info().is_err_and(|error| error.number == ErrorNumber::NotExistent)
    }
}
