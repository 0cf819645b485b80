//! Scheduling state along a chain of crossings: priority and payer are those of
//! the thread that began it, as far as the entries allow.

use postern_arena::Ref;

use crate::Kernel;
use crate::machine::Machine;
use crate::object::Thread;
use crate::object::thread::State;

impl<M: Machine> Kernel<M> {
    /// The context that an activation has crossed into, if it has.
    fn below(&self, at: Ref<Thread<M>>) -> Option<Ref<Thread<M>>> {
        let thread = self.threads.get(at).filter(|thread| thread.state == State::Calling)?;
        let below = thread.answerer?;
        let context = self.threads.get(below).filter(|it| it.is_context())?;
        context.caller.filter(|caller| caller.thread == at).map(|_| below)
    }

    /// Priority or payer of an activation have changed: those that it has
    /// crossed into follow. At most [`postern_abi::op::entry::DEPTH`] steps.
    pub(crate) fn refresh_chain(&mut self, top: Ref<Thread<M>>) {
        let mut at = top;
        while let Some(below) = self.below(at) {
            let Some(above) = self.threads.get(at) else { return };
            let (effective, payer) = (above.effective, above.payer);
            let Some(context) = self.threads.get_mut(below) else { return };
            context.payer = payer;
            let effective = effective.max(context.priority);
            if context.effective != effective {
                self.move_to_priority(below, effective);
            }
            if self.current == Some(below) {
                self.change_payer(payer);
            }
            at = below;
        }
    }
}
