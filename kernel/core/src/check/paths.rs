//! Invariants of what the fast paths look at instead of the whole.

use crate::Kernel;
use crate::object::Binding;
use crate::object::thread::{Source, State, Wait};
use crate::sim::Sim;

impl Kernel<Sim> {
    pub(super) fn check_paths(&self) {
        let general = self.work_list.is_some() || self.fpu_owner.is_some() || self.trace.is_some();
        assert_eq!(self.general_only, !self.fast_paths || general);
        assert_eq!(self.machine.fpu_open, self.fpu_owner.is_some());
        for gate in self.gates.refs() {
            let found = self.gates.get(gate).expect("live");
            let straight = found.waiting.is_empty() && !found.header.dying;
            let expected = match found.target {
                Binding::Thread(thread) if straight => Some(thread),
                _ => None,
            };
            let expected = expected.unwrap_or(postern_arena::Ref::NOWHERE);
            assert_eq!(found.direct, expected, "where {gate:?} leads");
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
            }
            assert!(thread.pending || !thread.is_context(), "a context that can receive");
            if !thread.pending {
                assert!(thread.senders.is_empty(), "overlooks a sender");
                let signals = thread.notification.and_then(|it| self.notifications.get(it));
                assert!(signals.is_none_or(|it| it.bits == 0), "overlooks a signal");
            }
            assert_eq!(thread.home, thread.task.unwrap_or(postern_arena::Ref::NOWHERE));
            let space = thread.task.and_then(|task| self.tasks.get(task)?.space.as_ref());
            if let Some(space) = space {
                assert_eq!(thread.root, space.id, "the space of {reference:?}");
            }
        }
    }
}
