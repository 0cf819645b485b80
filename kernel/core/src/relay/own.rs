//! The rules about an activation's own segments: activate, park, swap, release.

use postern_abi::ErrorNumber;

use super::ledger::{Ledger, Owner, Place, assign};

type Outcome = Result<(), ErrorNumber>;

/// Shows an idle segment in an empty window.
///
/// # Errors
/// `Lent`: it is lent, or the activation has lent on what it borrowed; `Exists`:
/// the window shows something, `Busy`: the segment is somebody else's.
pub fn activate<L: Ledger>(book: &mut L, activation: L::Activation, share: L::Share) -> Outcome {
    let gone = ErrorNumber::NotExistent;
    let relay = book.relay(share).ok_or(gone)?;
    let owner = book.owner(relay).ok_or(gone)?;
    let held = book.holdings(activation).ok_or(gone)?;
    if held.place() == Some(Place::On) {
        return Err(ErrorNumber::Lent);
    }
    if held.active.is_some() {
        return Err(ErrorNumber::Exists);
    }
    match owner {
        Owner::Idle => {}
        Owner::Lent(_) => return Err(ErrorNumber::Lent),
        Owner::Active(_) | Owner::Parked(..) => return Err(ErrorNumber::Busy),
    }
    held.active = Some(share);
    book.set_owner(relay, Owner::Active(activation));
    book.changed(activation);
    Ok(())
}

/// Gives the active segment up.
///
/// # Errors
/// `Lent`: it is a borrowed one; `NotExistent`: the window is empty.
pub fn release<L: Ledger>(book: &mut L, activation: L::Activation) -> Outcome {
    let held = book.holdings(activation).ok_or(ErrorNumber::NotExistent)?;
    if matches!(held.place(), Some(Place::Shown | Place::On)) {
        return Err(ErrorNumber::Lent);
    }
    let share = held.active.take().ok_or(ErrorNumber::NotExistent)?;
    unmask(book, activation);
    assign(book, share, Owner::Idle);
    book.changed(activation);
    Ok(())
}

/// Moves the active segment into an empty place of a list.
///
/// # Errors
/// `InvalidSwap`: no such place, or the window is empty; `Lent`: the active one
/// is borrowed; `Exists`: the place is taken.
pub fn park<L: Ledger>(
    book: &mut L,
    activation: L::Activation,
    list: L::List,
    index: usize,
) -> Outcome {
    let place = *book.place(list, index).ok_or(ErrorNumber::InvalidSwap)?;
    let held = book.holdings(activation).ok_or(ErrorNumber::NotExistent)?;
    if matches!(held.place(), Some(Place::Shown | Place::On)) {
        return Err(ErrorNumber::Lent);
    }
    if held.active.is_none() {
        return Err(ErrorNumber::InvalidSwap);
    }
    if place.is_some() {
        return Err(ErrorNumber::Exists);
    }
    exchange(book, activation, list, index);
    Ok(())
}

/// Exchanges the active segment with a place of a list. A borrowed one is not
/// put there but stays with the activation, and comes back when an empty place
/// is swapped in: so swapping twice with the same place changes nothing.
///
/// # Errors
/// `InvalidSwap`: no such place, or there is nothing on either side; `Lent`: the
/// activation has lent on what it borrowed.
pub fn swap<L: Ledger>(
    book: &mut L,
    activation: L::Activation,
    list: L::List,
    index: usize,
) -> Outcome {
    let place = *book.place(list, index).ok_or(ErrorNumber::InvalidSwap)?;
    let held = book.holdings(activation).ok_or(ErrorNumber::NotExistent)?;
    match held.place() {
        Some(Place::On) => return Err(ErrorNumber::Lent),
        Some(Place::Shown | Place::Aside) => {}
        None if held.active.is_none() && place.is_none() => {
            return Err(ErrorNumber::InvalidSwap);
        }
        None => {}
    }
    exchange(book, activation, list, index);
    Ok(())
}

fn exchange<L: Ledger>(book: &mut L, activation: L::Activation, list: L::List, index: usize) {
    unmask(book, activation);
    let Some(held) = book.holdings(activation) else { return };
    let shown = held.active.take();
    // The borrowed one never goes to the list.
    let own = match &mut held.loan {
        Some(loan) if loan.place == Place::Shown => {
            loan.place = Place::Aside;
            None
        }
        _ => shown,
    };
    let lent_out = shown.is_some() && own.is_none();
    let Some(place) = book.place(list, index) else { return };
    let fetched = core::mem::replace(place, own);
    let Some(held) = book.holdings(activation) else { return };
    held.active = fetched;
    if fetched.is_none()
        && !lent_out
        && let Some(loan) = &mut held.loan
    {
        loan.place = Place::Shown;
        held.active = Some(loan.share);
    }
    if let Some(own) = own {
        assign(book, own, Owner::Parked(list, index as u8));
    }
    if let Some(fetched) = fetched {
        assign(book, fetched, Owner::Active(activation));
    }
    book.changed(activation);
}

/// Takes the mask off, if there is one.
#[inline]
pub fn unmask<L: Ledger>(book: &mut L, activation: L::Activation) {
    if let Some(mask) = book.holdings(activation).and_then(|held| held.mask.take()) {
        book.drop_share(mask);
        book.changed(activation);
    }
}

/// An activation ends: what is its own becomes idle. Its loan has ended, and it
/// waits for nothing it lent.
pub fn retire<L: Ledger>(book: &mut L, activation: L::Activation) {
    unmask(book, activation);
    let Some(held) = book.holdings(activation) else { return };
    let own = [held.active.take(), held.aside.take()];
    for share in own.into_iter().flatten() {
        assign(book, share, Owner::Idle);
        book.changed(activation);
    }
}

/// A segment that is not lent is about to go: nobody holds it any more.
pub fn relay_gone<L: Ledger>(book: &mut L, relay: L::Relay) {
    match book.owner(relay) {
        Some(Owner::Active(activation)) => {
            let shown = book.holdings(activation).and_then(|held| held.active);
            if shown.is_some_and(|share| book.relay(share) == Some(relay)) {
                unmask(book, activation);
                if let Some(held) = book.holdings(activation) {
                    held.active = None;
                }
                book.changed(activation);
            } else if let Some(held) = book.holdings(activation) {
                held.aside = None;
            }
        }
        Some(Owner::Parked(list, index)) => {
            if let Some(place) = book.place(list, index.into()) {
                *place = None;
            }
        }
        Some(Owner::Idle | Owner::Lent(_)) | None => return,
    }
    book.set_owner(relay, Owner::Idle);
}
