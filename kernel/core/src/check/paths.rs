//! Invariants of what the fast paths look at instead of the whole.

use postern_abi::op::entry::ContextState;
use postern_arena::Ref;

use crate::Kernel;
use crate::machine::Form;
use crate::object::Binding;
use crate::object::thread::{Asks, Queue, Source, State, Wait};
use crate::sim::Sim;

impl Kernel<Sim> {
    pub(super) fn check_paths(&self) {
        let general = self.work_list.is_some() || self.fpu_owner.is_some() || self.trace.is_some();
        assert_eq!(self.general_only, !self.fast_paths || general);
        assert_eq!(self.machine.fpu_open, self.fpu_owner.is_some());
        for gate in self.gates.refs() {
            let found = self.gates.get(gate).expect("live");
            let straight = found.waiting.is_empty() && !found.header.dying;
            // It may miss a context that came later, or room for it.
            let front = |entry| self.entries.get(entry).and_then(|entry| entry.front);
            match found.target {
                Binding::Thread(thread) if straight => assert_eq!(found.direct, thread),
                Binding::Entry(entry) if found.direct != Ref::NOWHERE => {
                    let alive = self.threads.get(found.direct).is_some();
                    assert!(!alive || front(entry) == Some(found.direct), "leads elsewhere");
                    assert!(straight && (found.limit == 0 || found.in_use < found.limit));
                }
                _ => assert_eq!(found.direct, Ref::NOWHERE, "where {gate:?} leads"),
            }
        }
        for entry in self.entries.refs() {
            let found = self.entries.get(entry).expect("live");
            assert!(self.general_only || !found.header.dying, "a fast way into what is dying");
        }
        for reference in self.threads.refs() {
            let thread = self.threads.get(reference).expect("live");
            let plain = thread.timeout.is_none() && thread.fault.is_none();
            assert!(thread.fpu.is_some() || !thread.uses_fpu, "registers without a place");
            let busy = thread.wait == Wait::Other && thread.state != State::Idle;
            assert!(busy || !thread.uses_fpu, "a fast path leads to its registers");
            match thread.wait {
                Wait::Other => {}
                Wait::Message => {
                    assert_eq!(thread.state, State::Receiving);
                    assert!(plain && thread.caller.is_none());
                    assert!(matches!(thread.source, Source::Open));
                }
                Wait::Answer => {
                    assert_eq!(thread.state, State::Calling);
                    assert!(plain && thread.segments.lent.is_none());
                }
                Wait::Lent | Wait::LentOn => panic!("a loan that is not settled"),
                Wait::Handler => {
                    assert_eq!((thread.state, thread.asks), (State::Calling, Asks::Fault));
                    assert!(thread.fault.is_some() && thread.user.form == Form::Full);
                    assert!(thread.timeout.is_none() && thread.segments.lent.is_none());
                }
                Wait::Yielded => {
                    assert!(matches!(thread.queue, Queue::Ready), "has given way to nobody");
                    assert_eq!((thread.state, thread.user.form), (State::Ready, Form::Outputs));
                    assert!(plain && thread.work.is_none() && thread.slice_left.is_none());
                    assert_eq!(thread.payer, reference);
                }
                Wait::Front => {
                    assert_eq!(thread.state, State::Idle);
                    let context = thread.context().expect("a context");
                    let entry = self.entries.get(context.entry).expect("live");
                    assert_eq!(entry.front, Some(reference));
                    assert_eq!((thread.context_state, context.silent), (ContextState::Free, false));
                    assert!(entry.waiting.is_empty() && !entry.header.dying);
                    assert_eq!(thread.user.begin, (entry.handler, context.stack));
                    assert_eq!(thread.user.fs_base, context.fs_base);
                    assert_eq!(thread.priority, entry.floor);
                    assert!(plain && thread.segments.is_empty() && !thread.diagnose);
                    assert!(thread.work.is_none() && thread.slice_left.is_none());
                    assert_eq!(thread.window, Default::default());
                }
            }
            if thread.back != Ref::NOWHERE {
                let context = thread.context().expect("a context");
                assert_eq!((thread.context_state, context.silent), (ContextState::Active, false));
                assert!(!context.counted && context.grace.is_none());
                let entry = self.entries.get(context.entry).expect("live");
                assert!(entry.front == Some(reference) && entry.waiting.is_empty());
                assert_eq!(thread.user.begin, (entry.handler, context.stack));
                assert_eq!(thread.user.fs_base, context.fs_base);
                assert!(thread.segments.is_empty() && !thread.diagnose);
                let gate = thread.through.and_then(|gate| self.gates.get(gate));
                assert!(gate.is_none_or(|gate| gate.waiting.is_empty()), "overlooks a caller");
                let caller = thread.caller.expect("a caller");
                assert_eq!(caller.thread, thread.back);
                let above = self.threads.get(caller.thread).expect("a caller exists");
                assert!(above.awaits(caller.number) && above.answerer == Some(reference));
            }
            assert!(thread.pending || !thread.is_context(), "a context that can receive");
            if !thread.pending {
                assert!(thread.senders.is_empty(), "overlooks a sender");
                let signals = thread.notification.and_then(|it| self.notifications.get(it));
                assert!(signals.is_none_or(|it| it.bits == 0), "overlooks a signal");
            }
            assert_eq!(thread.home, thread.task.unwrap_or(Ref::NOWHERE));
            let space = thread.task.and_then(|task| self.tasks.get(task)?.space.as_ref());
            if let Some(space) = space {
                assert_eq!(thread.root, space.id, "the space of {reference:?}");
            }
        }
    }
}
