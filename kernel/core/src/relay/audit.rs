//! What must hold of a ledger at any moment, for the kernel's tests and for the
//! model.

use core::fmt::Debug;
use std::vec::Vec;

use super::ledger::{Holdings, Owner, Place};

/// Everything in a ledger.
pub struct Books<A, P, R, S> {
    /// The activations.
    pub activations: Vec<(A, Holdings<A, S>)>,
    /// Places of lists that are not empty.
    pub parked: Vec<(P, u8, S)>,
    /// The segments.
    pub relays: Vec<(R, Owner<A, P>)>,
}

/// Where something of a segment is.
#[derive(Debug, PartialEq, Eq)]
enum Found<A, P> {
    Own(A),
    Borrowed(A),
    Listed(P, u8),
    Saved,
}

impl<A, P, R, S> Books<A, P, R, S>
where
    A: Copy + Eq + Debug,
    P: Copy + Eq + Debug,
    R: Copy + Eq + Debug,
    S: Copy + Eq + Debug,
{
    fn of(&self, activation: A) -> Option<&Holdings<A, S>> {
        self.activations.iter().find(|it| it.0 == activation).map(|it| &it.1)
    }

    /// Where segments are: what is seen, and what is set aside where nobody
    /// sees it.
    fn sightings(&self, relay: R, relay_of: &impl Fn(S) -> R) -> Vec<Found<A, P>> {
        let mut found = Vec::new();
        let is = |share: Option<S>| share.is_some_and(|share| relay_of(share) == relay);
        for (activation, held) in &self.activations {
            let shown = held.place() == Some(Place::Shown);
            if is(held.active) {
                let seen = if shown { Found::Borrowed } else { Found::Own };
                found.push(seen(*activation));
            }
            if is(held.aside) {
                found.push(Found::Own(*activation));
            }
            if held.place() == Some(Place::Aside) && is(held.loan.map(|loan| loan.share)) {
                found.push(Found::Borrowed(*activation));
            }
            if held.lent.is_some_and(|lent| lent.to.is_none() && is(Some(lent.given))) {
                found.push(Found::Saved);
            }
        }
        let parked = self.parked.iter().filter(|it| is(Some(it.2)));
        found.extend(parked.map(|(list, index, _)| Found::Listed(*list, *index)));
        found
    }

    /// Checks every invariant.
    ///
    /// # Panics
    /// With a description, if one is broken.
    pub fn audit(&self, relay_of: impl Fn(S) -> R) {
        for (relay, owner) in &self.relays {
            let found = self.sightings(*relay, &relay_of);
            let right = match (owner, &found[..]) {
                (Owner::Idle, []) => true,
                (Owner::Active(a), [Found::Own(b)]) => a == b,
                (Owner::Parked(list, index), [Found::Listed(l, i)]) => (list, index) == (l, i),
                (Owner::Lent(_), [Found::Borrowed(_) | Found::Saved]) => true,
                _ => false,
            };
            assert!(right, "{relay:?} belongs to {owner:?}, and is in {found:?}");
            if let Owner::Lent(Some(lender)) = owner {
                let lent = self.of(*lender).and_then(|held| held.lent);
                let same = lent.is_some_and(|lent| relay_of(lent.own) == *relay);
                assert!(same, "{lender:?} waits for {relay:?}, and does not know it");
            }
        }
        for (activation, held) in &self.activations {
            self.audit_one(*activation, held, &relay_of);
        }
    }

    fn audit_one(&self, me: A, held: &Holdings<A, S>, relay_of: &impl Fn(S) -> R) {
        assert!(held.aside.is_none() || held.loan.is_some(), "{me:?} set something aside for none");
        let masked = held.mask.is_none() || held.active.is_some() || held.lent.is_some();
        assert!(masked, "{me:?} has a mask and nothing to mask");
        assert!(held.lent.is_none() || held.active.is_none(), "{me:?} sees what it lent");
        if let Some(lent) = held.lent {
            assert_eq!(relay_of(lent.own), relay_of(lent.given));
            if let Some(to) = lent.to {
                let loan = self.of(to).and_then(|held| held.loan);
                let has = loan.is_some_and(|loan| loan.share == lent.given);
                assert!(has, "{to:?} does not have what {me:?} lent it");
            }
        }
        let Some(loan) = held.loan else { return };
        assert_eq!(held.active == Some(loan.share), loan.place == Place::Shown, "{me:?}");
        if loan.place == Place::On {
            assert!(held.active.is_none(), "{me:?} sees something while its loan is lent on");
            match loan.next.and_then(|next| self.of(next)?.loan) {
                Some(next) => {
                    assert_eq!(next.previous, Some(me), "the chain is broken behind {me:?}");
                    assert_eq!(relay_of(next.share), relay_of(loan.share));
                }
                None => {
                    let saved = held.lent.is_some_and(|lent| lent.to.is_none());
                    assert!(saved && loan.next.is_none(), "what {me:?} lent on is nowhere");
                }
            }
        } else {
            assert!(loan.next.is_none(), "{me:?} has its loan and lent it on");
        }
        if let Some(previous) = loan.previous {
            let before = self.of(previous).and_then(|held| held.loan);
            let linked = before.is_some_and(|it| it.place == Place::On && it.next == Some(me));
            assert!(linked, "the chain is broken before {me:?}");
        }
    }
}
