//! Invariants of crossings: contexts, link stacks, places and limits.

use std::collections::{BTreeSet, HashMap};
use std::vec::Vec;

use postern_abi::op::entry::{ContextState, DEPTH};
use postern_arena::Ref;

use crate::Kernel;
use crate::object::thread::{Queue, State};
use crate::object::{Entry, Thread};
use crate::sim::Sim;

impl Kernel<Sim> {
    /// Every context is in exactly one state and in the list that belongs to
    /// it, links lead both ways, and what gates and entries count is so.
    pub(super) fn check_crossings(&mut self) {
        let mut total = 0;
        let mut in_use: HashMap<(u32, u32), u32> = HashMap::new();
        for entry in self.entries.refs().collect::<Vec<_>>() {
            total += self.check_entry(entry, &mut in_use);
        }
        let contexts: Vec<Ref<Thread<Sim>>> = self
            .threads
            .refs()
            .filter(|thread| self.threads.get(*thread).expect("live").is_context())
            .collect();
        assert_eq!(contexts.len(), total, "a context that no entry knows");
        assert_eq!(self.contexts, total, "the number of contexts");
        for context in contexts {
            self.check_context(context);
        }
        for thread in self.threads.refs() {
            let found = self.threads.get(thread).expect("live");
            if let Queue::Entry(_) = found.queue {
                let gate = found.message.expect("a waiting caller has a message").gate;
                *in_use.entry((gate.index(), gate.generation())).or_default() += 1;
            }
            assert!(!found.stop_pending || self.is_abroad(thread), "a stop that is forgotten");
            if !found.is_context() {
                assert!(
                    usize::from(found.levels) == DEPTH && found.payer == thread,
                    "a thread that is no context"
                );
            }
        }
        for gate in self.gates.refs() {
            let counted = in_use.get(&(gate.index(), gate.generation())).copied().unwrap_or(0);
            let found = self.gates.get(gate).expect("live");
            assert_eq!(found.in_use, counted, "contexts in use through {gate:?}");
        }
    }

    /// Checks the lists and counts of an entry; returns how many contexts it
    /// has.
    fn check_entry(&self, entry: Ref<Entry<Sim>>, in_use: &mut HashMap<(u32, u32), u32>) -> usize {
        let found = self.entries.get(entry).expect("live");
        let mut counts = [0; 4];
        let mut free = BTreeSet::new();
        let mut at = found.contexts;
        let mut previous = None;
        while let Some(index) = at {
            let thread = self.threads.nth(index).expect("a listed context exists");
            let context = thread.context().expect("a context");
            assert!(context.entry == entry && context.of_entry.1 == previous);
            assert_eq!(thread.task, Some(found.task), "a context in another task");
            counts[thread.context_state as usize] += 1;
            if thread.context_state == ContextState::Free {
                free.insert(index);
            } else if let Some(gate) = thread.through.filter(|_| context.counted) {
                *in_use.entry((gate.index(), gate.generation())).or_default() += 1;
            }
            (previous, at) = (at, context.of_entry.0);
        }
        assert_eq!(counts, self.context_counts(entry), "contexts of {entry:?} by state");
        if let Some(front) = found.front {
            free.remove(&front.index());
        }
        let mut at = found.free;
        while let Some(index) = at {
            assert!(free.remove(&index), "a context in the free list that is not free");
            at = self.threads.nth(index).and_then(Thread::context).expect("free").next_free;
        }
        assert!(free.is_empty() || found.header.dying, "a free context is lost");
        found.total() as usize
    }

    /// Checks the links of a context, up and down.
    fn check_context(&self, reference: Ref<Thread<Sim>>) {
        let thread = self.threads.get(reference).expect("live");
        let context = thread.context().expect("a context");
        assert!(self.current != Some(reference) || thread.state == State::Ready);
        let used = matches!(thread.context_state, ContextState::Active | ContextState::Orphaned);
        assert_eq!(thread.state == State::Idle, !used, "{:?} runs", thread.context_state);
        assert_eq!(context.grace.is_some(), thread.context_state == ContextState::Orphaned);
        assert_eq!(thread.caller.is_some(), thread.context_state == ContextState::Active);
        assert!(usize::from(thread.levels) <= DEPTH, "a link stack that is too deep");
        if thread.state == State::Idle {
            return;
        }
        let Some(caller) = thread.caller else {
            assert!(thread.payer == reference && thread.effective == thread.priority);
            return;
        };
        let above = self.threads.get(caller.thread).expect("a caller exists");
        assert!(above.awaits(caller.number), "a caller that does not wait");
        assert_eq!(above.answerer, Some(reference), "a link that leads one way only");
        assert_eq!(thread.levels + 1, above.levels);
        assert_eq!(thread.payer, above.payer);
        assert_eq!(thread.effective, thread.priority.max(above.effective), "the chain's priority");
    }
}
