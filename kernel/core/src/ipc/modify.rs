//! Modify senders: the labels of messages that wait at a thread are changed by
//! rules, so that a server can forget or rename a client whose messages are
//! on their way already.
//!
//! A run looks at every message that waited when it began, once, in bounded
//! steps. Messages that come later are left alone. The thread keeps a cursor
//! into its queue, and every waiting message the number of the last run that
//! has passed it: whoever leaves the queue takes the cursor along to the next
//! one, and whoever moves within it starts the cursor again, for those that
//! are done are skipped.

use postern_abi::op::thread::{MAX_RULES, RULE_WORDS};
use postern_abi::{ErrorCode, ErrorNumber};
use postern_arena::Ref;

use crate::Kernel;
use crate::invoke::{Answer, Reaction, Request, refuse};
use crate::machine::Machine;
use crate::object::Thread;
use crate::work::Work;

/// Senders that one step looks at.
const STEP: usize = 32;

/// Changes labels that match.
#[derive(Clone, Copy, Default)]
struct Rule {
    mask: u64,
    value: u64,
    clear: u64,
    set: u64,
}

impl Rule {
    const fn matches(&self, label: u64) -> bool {
        label & self.mask == self.value
    }

    const fn apply(&self, label: u64) -> u64 {
        label & !self.clear | self.set
    }
}

impl<M: Machine> Kernel<M> {
    /// Begins a run over the senders of `receiver`.
    pub(crate) fn modify_senders(
        &mut self,
        request: &Request<M>,
        receiver: Ref<Thread<M>>,
    ) -> Result<Reaction, ErrorCode> {
        let gone = refuse(ErrorNumber::NotExistent, 0);
        let thread = self.threads.get_mut(receiver).ok_or(gone)?;
        if thread.sender_run.is_running {
            return Err(refuse(ErrorNumber::Busy, 0));
        }
        let rules = ((request.tag.words() - 1) / RULE_WORDS).min(MAX_RULES);
        let Some(first) = thread.senders.first().filter(|_| rules > 0) else {
            return Ok(Answer::none().into());
        };
        thread.sender_run.is_running = true;
        thread.sender_run.number = thread.sender_run.number.wrapping_add(1);
        thread.sender_run.cursor = Some(first);
        let [_, first @ ..] = request.words;
        self.start_work(request.thread, Work::ModifySenders { receiver, first, rules });
        Ok(Reaction::Settled)
    }

    /// One step of the run that `caller` has begun; `true` when it was the
    /// last one.
    pub(crate) fn modify_step(
        &mut self,
        caller: Ref<Thread<M>>,
        receiver: Ref<Thread<M>>,
        first: [u64; 3],
        count: usize,
    ) -> Result<bool, ErrorCode> {
        // Only the caller's own words are read again with each step.
        let word = |index: usize| match first.get(index - 1) {
            Some(word) => *word,
            None => self.utcb_word(caller, index),
        };
        let mut rules = [Rule::default(); MAX_RULES];
        for (rule, index) in rules.iter_mut().zip(0..count) {
            let [mask, value, clear, set] =
                core::array::from_fn(|part| word(1 + RULE_WORDS * index + part));
            *rule = Rule { mask, value, clear, set };
        }
        for _ in 0..STEP {
            let gone = refuse(ErrorNumber::NotExistent, 0);
            let thread = self.threads.get(receiver).ok_or(gone)?;
            let (senders, run) = (thread.senders, thread.sender_run);
            let Some(at) = run.cursor else {
                self.end_modifying(receiver);
                return Ok(true);
            };
            if let Some(sender) = self.threads.nth_mut(at)
                && sender.run_seen != run.number
            {
                sender.run_seen = run.number;
                if let Some(message) = &mut sender.message
                    && let Some(rule) =
                        rules[..count].iter().find(|rule| rule.matches(message.label))
                {
                    message.label = rule.apply(message.label);
                }
            }
            let next = senders.after(&mut self.threads, at);
            if let Some(thread) = self.threads.get_mut(receiver) {
                thread.sender_run.cursor = next;
            }
        }
        Ok(false)
    }

    /// The run over the senders of `receiver` is over.
    pub(crate) fn end_modifying(&mut self, receiver: Ref<Thread<M>>) {
        if let Some(thread) = self.threads.get_mut(receiver) {
            thread.sender_run.is_running = false;
            thread.sender_run.cursor = None;
        }
    }

    /// A sender has changed its place in the queue of `receiver`, which has
    /// marked it as if it had just come: it has its turn in the run under way
    /// if it had not had it.
    pub(crate) fn keep_turn(
        &mut self,
        sender: Ref<Thread<M>>,
        receiver: Ref<Thread<M>>,
        seen: u32,
    ) {
        if let Some(sender) = self.threads.get_mut(sender) {
            sender.run_seen = seen;
        }
        if let Some(thread) = self.threads.get_mut(receiver)
            && thread.sender_run.is_running
            && thread.sender_run.number != seen
        {
            thread.sender_run.cursor = thread.senders.first();
        }
    }
}
