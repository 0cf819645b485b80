//! Modify senders: rules for the labels of messages that wait at a thread.

use abi::op::thread::{MAX_RULES, MODIFY_SENDERS, RULE_WORDS};
use abi::{ErrorCode, ErrorNumber};
use postern_abi as abi;

use crate::{Result, Thread, operate};

/// A list of rules in the making: begin with [`ModifySenders::new`], add rules,
/// carry them out with [`Thread::modify_senders`].
///
/// In the label of each waiting sender the first rule that matches applies; the
/// others are not tried on it, and a label that no rule matches stays.
#[derive(Debug, Clone)]
pub struct ModifySenders {
    words: [u64; 1 + MAX_RULES * RULE_WORDS],
    rules: usize,
}

impl ModifySenders {
    /// Rules that fit into one run.
    pub const MAX: usize = MAX_RULES;

    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { words: [MODIFY_SENDERS; 1 + MAX_RULES * RULE_WORDS], rules: 0 }
    }

    /// Adds a rule: a label with `label & mask == value` becomes
    /// `label & !clear | set`. The label is that which would arrive, so its two
    /// low bits are the W and S rights of the sender's capability.
    ///
    /// # Errors
    /// `NoMem` (about the first word that has no room) if the list has
    /// [`ModifySenders::MAX`] rules; it stays as it was.
    pub fn add(&mut self, mask: u64, value: u64, clear: u64, set: u64) -> Result<()> {
        let at = 1 + self.rules * RULE_WORDS;
        let place = self.words.get_mut(at..at + RULE_WORDS);
        let Some(place) = place else {
            return Err(ErrorCode::new(ErrorNumber::NoMem, at as u8));
        };
        place.copy_from_slice(&[mask, value, clear, set]);
        self.rules += 1;
        Ok(())
    }

    /// The message.
    fn words(&self) -> &[u64] {
        &self.words[..1 + self.rules * RULE_WORDS]
    }
}

impl Default for ModifySenders {
    fn default() -> Self {
        Self::new()
    }
}

impl Thread {
    /// Changes the labels of all messages that wait for this thread to receive
    /// when the call begins, of calls and sends alike; those that come later
    /// are left alone, and so are messages that wait at an unbound gate. An
    /// empty list changes nothing. Needs S.
    ///
    /// # Errors
    /// `Perm` without S, `Busy` while another run over the same senders is
    /// under way, `NotExistent` if the thread is destroyed meanwhile.
    pub fn modify_senders(self, rules: &ModifySenders) -> Result<()> {
        operate(crate::Capability::slot(self), rules.words(), &[]).map(drop)
    }
}
