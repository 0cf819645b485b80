//! Notification: a word of signal bits, received in the same wait as messages.

use abi::op::notification::{BIND, POLL, SIGNAL};
use postern_abi as abi;

use crate::slot::handle;
use crate::{Item, Result, Thread, Timeout, ipc, operate};

handle! {
    /// 64 signal bits. Signals that nobody took yet are ORed together.
    Notification
}

impl Notification {
    /// Sets `bits` and wakes the bound thread if it waits. Needs W. Never
    /// waits itself.
    ///
    /// # Errors
    /// `Perm` without W.
    pub fn signal(self, bits: u64) -> Result<()> {
        operate(self.0, &[SIGNAL, bits], &[]).map(drop)
    }

    /// Binds to `thread` (S needed there), which receives the bits as a
    /// delivery of kind `Notification`. Needs S.
    ///
    /// # Errors
    /// `Perm` without the rights, `Inval` if item 0 is no thread, `Busy` if the
    /// thread has another bound notification already.
    pub fn bind(self, thread: Thread) -> Result<()> {
        operate(self.0, &[BIND], &[Item::all(thread.0)]).map(drop)
    }

    /// Unbinds: the bits stay until polled or bound again. Needs S.
    ///
    /// # Errors
    /// `Perm` without S.
    pub fn unbind(self) -> Result<()> {
        operate(self.0, &[BIND], &[]).map(drop)
    }

    /// Waits for signals of this notification and for nothing else, whatever
    /// thread it is bound to; takes and clears the bits. Needs R. Of several
    /// threads that wait, one gets all bits: the most urgent one that came first.
    ///
    /// # Errors
    /// In the receive phase: `Perm` without R, `Timeout`, `Cancelled`,
    /// `NotExistent` when the notification is destroyed.
    pub fn wait(self, timeout: Timeout) -> Result<u64> {
        Ok(ipc::receive_from(self.0, timeout)?.words[0])
    }

    /// Takes and clears the bits. Needs R. Never waits.
    ///
    /// # Errors
    /// `Perm` without R.
    pub fn poll(self) -> Result<u64> {
        Ok(operate(self.0, &[POLL], &[])?.words[0])
    }
}
