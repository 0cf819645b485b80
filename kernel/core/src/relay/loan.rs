//! The rules about loans: lend with a call, return with the answer, and what
//! happens when one of both sides is no more.

use postern_abi::ErrorNumber;

use super::ledger::{Holdings, Ledger, Lent, Loan, Owner, Place, assign, unmask};

/// Whether an activation with these segments can lend its active one.
///
/// # Errors
/// `Lent`: what it borrowed is lent on; `Inval`: its window is empty.
pub fn check_lend<A, S>(held: &Holdings<A, S>) -> Result<(), ErrorNumber> {
    match (&held.active, held.place()) {
        (_, Some(Place::On)) => Err(ErrorNumber::Lent),
        (Some(_), _) => Ok(()),
        (None, _) => Err(ErrorNumber::Inval),
    }
}

/// The active share, narrowed by the mask, goes along with a call: the lender
/// sees nothing until its answer is there. [`check_lend`] has passed, and
/// `to` handles no other call.
#[inline(never)]
pub fn lend<L: Ledger>(book: &mut L, from: L::Activation, to: L::Activation) {
    let Some(held) = book.holdings(from) else { return };
    let Some(own) = held.active.take() else { return };
    let given = held.mask.unwrap_or(own);
    held.lent = Some(Lent { own, given, to: Some(to) });
    let previous = match &mut held.loan {
        Some(loan) if loan.place == Place::Shown => {
            (loan.place, loan.next) = (Place::On, Some(to));
            Some(from)
        }
        _ => None,
    };
    if previous.is_none() {
        assign(book, own, Owner::Lent(Some(from)));
    }
    book.keep(given);
    hold(book, to, given, previous);
    book.changed(from);
}

/// `to` has borrowed `share`; its own active one waits.
#[inline]
fn hold<L: Ledger>(
    book: &mut L,
    to: L::Activation,
    share: L::Share,
    previous: Option<L::Activation>,
) {
    unmask(book, to);
    if let Some(held) = book.holdings(to) {
        held.aside = held.active.replace(share);
        held.loan = Some(Loan { share, place: Place::Shown, previous, next: None });
    }
    book.changed(to);
}

/// Whether an activation with these segments may answer the call that it
/// handles: what it borrowed with it must be what its window shows.
///
/// # Errors
/// `SegMismatch`: it is swapped out; `Lent`: it is lent on.
pub fn check_return<A, S>(held: &Holdings<A, S>) -> Result<(), ErrorNumber> {
    match held.place() {
        None | Some(Place::Shown) => Ok(()),
        Some(Place::Aside) => Err(ErrorNumber::SegMismatch),
        Some(Place::On) => Err(ErrorNumber::Lent),
    }
}

/// The right to answer that `holder` has is used or lost, and with it ends its
/// loan: the share goes back to `waiting`, the caller that still waits for this
/// very answer; else to the one before it in the chain; else it is nobody's.
/// What is lent on stays with the one who has it.
#[inline(never)]
pub fn end_loan<L: Ledger>(book: &mut L, holder: L::Activation, waiting: Option<L::Activation>) {
    // The holder ends within a call of its own: a share that a saved right
    // carries for it comes back first.
    let Some(held) = book.holdings(holder) else { return };
    if held.place() == Some(Place::On) && held.lent.is_some() {
        lender_left(book, holder);
    }
    let Some(held) = book.holdings(holder) else { return };
    let Some(loan) = held.loan.take() else { return };
    let own = held.aside.take();
    if loan.place == Place::Aside {
        // Two of its own and one window.
        if let Some(own) = own {
            assign(book, own, Owner::Idle);
        }
    } else {
        held.active = own;
        unmask(book, holder);
        book.changed(holder);
    }
    match loan {
        Loan { place: Place::On, next: Some(next), previous, .. } => {
            if let Some(held) = book.holdings(next)
                && let Some(loan) = &mut held.loan
            {
                loan.previous = previous;
            }
            if let Some(before) = previous.and_then(|it| book.holdings(it))
                && let Some(loan) = &mut before.loan
            {
                loan.next = Some(next);
            }
            // Who waits gets its error without the share.
            if let Some(held) = waiting.and_then(|it| book.holdings(it)) {
                held.lent = None;
            }
            if let Some(waiting) = waiting {
                unmask(book, waiting);
            }
            if previous.is_none() {
                assign(book, loan.share, Owner::Lent(None));
            }
        }
        Loan { share, previous, .. } => match (waiting, previous) {
            (Some(lender), _) => back(book, lender),
            (None, Some(before)) => put_aside(book, before),
            (None, None) => assign(book, share, Owner::Idle),
        },
    }
    book.drop_share(loan.share);
}

/// A lender sees again what it lent.
#[inline]
fn back<L: Ledger>(book: &mut L, lender: L::Activation) {
    let Some(held) = book.holdings(lender) else { return };
    let Some(lent) = held.lent.take() else { return };
    held.active = Some(lent.own);
    match &mut held.loan {
        Some(loan) if loan.place == Place::On => {
            (loan.place, loan.next) = (Place::Shown, None);
        }
        _ => assign(book, lent.own, Owner::Active(lender)),
    }
    book.changed(lender);
}

/// What an activation had lent on is back, but it did not wait for it.
fn put_aside<L: Ledger>(book: &mut L, activation: L::Activation) {
    if let Some(held) = book.holdings(activation)
        && let Some(loan) = &mut held.loan
    {
        (loan.place, loan.next) = (Place::Aside, None);
    }
}

/// `lender` stops waiting for the answer to its call. The borrower keeps the
/// share for as long as it has the right to answer; a saved right is void now,
/// and what it carried goes back at once.
#[inline(never)]
pub fn lender_left<L: Ledger>(book: &mut L, lender: L::Activation) {
    let Some(held) = book.holdings(lender) else { return };
    let Some(lent) = held.lent.take() else { return };
    let on = held.place() == Some(Place::On);
    unmask(book, lender);
    match (lent.to, on) {
        (Some(_), true) => {}
        (Some(_), false) => assign(book, lent.own, Owner::Lent(None)),
        (None, true) => put_aside(book, lender),
        (None, false) => assign(book, lent.own, Owner::Idle),
    }
    if lent.to.is_none() {
        book.drop_share(lent.given);
    }
}

/// The right to answer `lender` is saved: the share that came with it is parked
/// there, where nobody sees it. A void right carries none.
///
/// # Errors
/// `Lent`: it is lent on.
#[inline(never)]
pub fn set_aside<L: Ledger>(
    book: &mut L,
    holder: L::Activation,
    lender: Option<L::Activation>,
) -> Result<(), ErrorNumber> {
    let Some(held) = book.holdings(holder) else { return Ok(()) };
    let Some(loan) = held.loan else { return Ok(()) };
    let Some(lender) = lender else {
        end_loan(book, holder, None);
        return Ok(());
    };
    if loan.place == Place::On {
        return Err(ErrorNumber::Lent);
    }
    held.loan = None;
    let own = held.aside.take();
    if loan.place == Place::Aside {
        if let Some(own) = own {
            assign(book, own, Owner::Idle);
        }
    } else {
        held.active = own;
        unmask(book, holder);
        book.changed(holder);
    }
    if let Some(held) = book.holdings(lender) {
        if let Some(lent) = &mut held.lent {
            lent.to = None;
        }
        if let Some(loan) = &mut held.loan
            && loan.place == Place::On
        {
            loan.next = None;
        }
    }
    Ok(())
}

/// `holder`, which handles no other call, takes a saved right to answer
/// `lender` up again, and with it the share that it carries, if any.
#[inline(never)]
pub fn take_up<L: Ledger>(book: &mut L, holder: L::Activation, lender: L::Activation) {
    let Some(held) = book.holdings(lender) else { return };
    let Some(lent) = &mut held.lent else { return };
    lent.to = Some(holder);
    let share = lent.given;
    let mut previous = None;
    if let Some(loan) = &mut held.loan
        && loan.place == Place::On
    {
        loan.next = Some(holder);
        previous = Some(lender);
    }
    hold(book, holder, share, previous);
}

/// A saved right to answer `lender`, who waits, is used or dropped: what it
/// carries goes back.
#[inline(never)]
pub fn give_back<L: Ledger>(book: &mut L, lender: L::Activation) {
    let carried = book.holdings(lender).and_then(|held| held.lent);
    if let Some(lent) = carried {
        back(book, lender);
        book.drop_share(lent.given);
    }
}
