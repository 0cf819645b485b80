//! Loans that the fast path made: they are written into the ledger when somebody
//! looks.
//!
//! A crossing with a segment comes and goes without anybody else looking, most of
//! the time. So the fast path only stores what the callee's window shows, and
//! marks the two: the lender waits as [`Wait::Lent`] says (or [`Wait::LentOn`], if
//! it had borrowed the segment in the same way), the borrower is
//! [`Kernel::loan`]. Its return undoes just that. Every other way into the kernel
//! begins with [`Kernel::settle_loans`], which makes of it what the general path
//! would have made at once.
//!
//! While a loan is not settled, the current activation is the borrower or a
//! context that it crossed into: no fast path but crossings and returns is taken
//! by a context that holds one.

use postern_abi::code::Held;
use postern_abi::op::entry::DEPTH;
use postern_arena::Ref;

use super::ledger;
use crate::Kernel;
use crate::machine::Machine;
use crate::object::thread::Wait;

impl<M: Machine> Kernel<M> {
    /// Settles what the fast path has lent. At most [`DEPTH`] loans.
    #[inline(always)]
    pub(crate) fn settle_loans(&mut self) {
        if self.loan.is_some() {
            self.settle_all_loans();
        }
    }

    /// The system call Window of the one who borrowed last, the only one that
    /// settles nothing: servers ask what they were lent. `false`: it is somebody
    /// else.
    #[inline(always)]
    pub(crate) fn tell_loan(&mut self) -> bool {
        let is_borrower = self.loan.is_some() && self.loan == self.current;
        is_borrower && self.tell_borrower().is_some()
    }

    #[inline(never)]
    fn tell_borrower(&mut self) -> Option<()> {
        let mut at = self.loan?;
        // Up to the one whose own it is.
        let share = loop {
            let lender = self.threads.get(at)?.caller?.thread;
            let found = self.threads.get(lender)?;
            if found.wait == Wait::Lent {
                break found.segments.mask.or(found.segments.active)?;
            }
            at = lender;
        };
        let fields = self.fields(share)?;
        self.threads.get_mut(self.current?)?.tell_window(Some(fields), Held::Borrowed);
        Some(())
    }

    #[cold]
    #[inline(never)]
    fn settle_all_loans(&mut self) {
        let mut lent = [None; DEPTH];
        let mut next = self.loan.take();
        // From the last borrower up; lent in the other direction.
        for place in lent.iter_mut().rev() {
            let Some(borrower) = next.take() else { break };
            let Some(held) = self.threads.get_mut(borrower) else { break };
            held.back = Ref::NOWHERE;
            let Some(caller) = held.caller else { break };
            *place = Some((caller.thread, borrower));
            let Some(lender) = self.threads.get_mut(caller.thread) else { break };
            if lender.wait == Wait::LentOn {
                next = Some(caller.thread);
            }
            lender.wait = Wait::Other;
        }
        for (lender, borrower) in lent.into_iter().flatten() {
            ledger::lend(self, lender, borrower);
        }
    }
}
