//! Who holds which segment: the state, and what the rules ask of whoever keeps
//! it.
//!
//! The rules are in `relay::own` and `relay::loan` and know neither kernel
//! nor machine: the kernel is one [`Ledger`], and the model that is checked
//! exhaustively is another, so both follow the same code. A rule checks
//! everything before it changes anything, and takes a number of steps that
//! depends on nothing.
//!
//! Words: an *activation* has a window; a *share* is what a window shows, a
//! part of a segment with rights; a *list* belongs to a task and has places for
//! parked shares. A *loan* begins when a share goes along with a call and ends
//! with the right to answer that call, and never earlier. The loans of one
//! segment form a chain, from the one who borrowed it first to the one who
//! holds it.

use postern_abi::op::relay::Owner as Told;

pub use super::loan::{
    check_lend, check_return, end_loan, give_back, lend, lender_left, set_aside, take_up,
};
pub use super::own::{activate, park, relay_gone, release, retire, swap, unmask};

/// Whose a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner<A, P> {
    /// Nobody's: whoever has its capability can activate it.
    Idle,
    /// An activation's: in its window, or set aside there for a lent one.
    Active(A),
    /// In a list, at this place.
    Parked(P, u8),
    /// Lent by this activation, which waits for it; `None`: the lender has given
    /// up, and it becomes idle when the last loan ends.
    Lent(Option<A>),
}

impl<A, P> Owner<A, P> {
    /// As INFO tells it.
    pub(crate) const fn told(&self) -> Told {
        match self {
            Self::Idle => Told::Idle,
            Self::Active(_) => Told::Active,
            Self::Parked(..) => Told::Parked,
            Self::Lent(Some(_)) => Told::Lent,
            Self::Lent(None) => Told::Outstanding,
        }
    }
}

/// Where the borrower of a share has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// In its window.
    Shown,
    /// Swapped out: with the activation, where nobody else reaches it.
    Aside,
    /// Lent on.
    On,
}

/// A share that an activation has borrowed; it goes with the right to answer
/// that the activation holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Loan<A, S> {
    /// What was lent.
    pub share: S,
    /// Where it is.
    pub place: Place,
    /// The one before it in the chain, who had borrowed it, too; `None`: it was
    /// lent by the owner.
    pub previous: Option<A>,
    /// The one to whom it was lent on and who has not given it back; `None`
    /// while a saved right to answer carries it.
    pub next: Option<A>,
}

/// A share that an activation has lent with the call whose answer it awaits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lent<A, S> {
    /// What its window showed and will show again.
    pub own: S,
    /// What went along: the same, or the mask.
    pub given: S,
    /// The borrower; `None`: it is parked with a saved right to answer.
    pub to: Option<A>,
}

/// The segments of one activation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Holdings<A, S> {
    /// What its window shows.
    pub active: Option<S>,
    /// Its own, set aside while it handles a lent one.
    pub aside: Option<S>,
    /// What of the active one the next callee sees, if not all.
    pub mask: Option<S>,
    /// What it has lent with the call that it waits in.
    pub lent: Option<Lent<A, S>>,
    /// What it has borrowed.
    pub loan: Option<Loan<A, S>>,
}

impl<A, S> Default for Holdings<A, S> {
    fn default() -> Self {
        Self { active: None, aside: None, mask: None, lent: None, loan: None }
    }
}

impl<A, S> Holdings<A, S> {
    /// Whether there is nothing to see to when the activation ends.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.active.is_none() && self.loan.is_none() && self.lent.is_none()
    }

    /// Where the borrowed share is.
    pub fn place(&self) -> Option<Place> {
        self.loan.as_ref().map(|loan| loan.place)
    }
}

/// Where the state is kept. Nothing here fails: activations, lists and segments
/// that are gone are `None`.
pub trait Ledger {
    /// Names an activation.
    type Activation: Copy + Eq;
    /// Names a list of parked shares.
    type List: Copy + Eq;
    /// Names a segment.
    type Relay: Copy + Eq;
    /// A part of a segment with rights.
    type Share: Copy + Eq;

    /// The segment that a share is of.
    fn relay(&self, share: Self::Share) -> Option<Self::Relay>;
    /// The segments of an activation.
    fn holdings(
        &mut self,
        of: Self::Activation,
    ) -> Option<&mut Holdings<Self::Activation, Self::Share>>;
    /// A place of a list; `None` past its end.
    fn place(&mut self, list: Self::List, index: usize) -> Option<&mut Option<Self::Share>>;
    /// Whose a segment is.
    fn owner(&self, relay: Self::Relay) -> Option<Owner<Self::Activation, Self::List>>;
    /// A segment has another owner. One that is idle and unwanted goes.
    fn set_owner(&mut self, relay: Self::Relay, owner: Owner<Self::Activation, Self::List>);
    /// A mask or a loan refers to this share from now on.
    fn keep(&mut self, share: Self::Share);
    /// A mask or a loan that referred to this share is no more.
    fn drop_share(&mut self, share: Self::Share);
    /// What the window of this activation shows has changed.
    fn changed(&mut self, activation: Self::Activation);
}

/// Says whose the segment of a share is.
pub(crate) fn assign<L: Ledger>(
    book: &mut L,
    share: L::Share,
    owner: Owner<L::Activation, L::List>,
) {
    if let Some(relay) = book.relay(share) {
        book.set_owner(relay, owner);
    }
}
