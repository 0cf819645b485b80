//! Gates, operated by who holds SERVER.

use postern_abi::op::gate;
use postern_abi::rights::Kind;
use postern_abi::{ErrorNumber, Rights};
use postern_arena::Ref;

use super::{Answer, Request, Result, refuse};
use crate::Kernel;
use crate::machine::Machine;
use crate::object::Gate;

impl<M: Machine> Kernel<M> {
    pub(super) fn invoke_gate(&mut self, request: &Request<M>, operation: u64) -> Result {
        let reference: Ref<Gate<M>> = request.target.reference();
        let gone = refuse(ErrorNumber::NotExistent, 0);
        match operation {
            gate::BIND => {
                self.need(request, Rights::S)?;
                let label = self.word(request, 1)?;
                let thread = self.item_of(request, 0, Kind::Thread, Rights::S)?;
                if label & 3 != 0 {
                    return Err(refuse(ErrorNumber::Inval, 1));
                }
                let target = thread.target.reference();
                if self.gates.get(reference).is_some_and(|gate| gate.target != Some(target)) {
                    self.release_receiver(reference);
                }
                let gate = self.gates.get_mut(reference).ok_or(gone)?;
                gate.label = label;
                gate.target = Some(target);
                if !self.release_waiting(reference) {
                    self.list_work(request.target);
                }
                Ok(Answer::none().into())
            }
            gate::UNBIND => {
                self.need(request, Rights::S)?;
                self.release_receiver(reference);
                self.gates.get_mut(reference).ok_or(gone)?.target = None;
                Ok(Answer::none().into())
            }
            gate::INFO => {
                let gate = self.gates.get(reference).ok_or(gone)?;
                let bound = u64::from(gate.target.is_some());
                Ok(Answer::many(2, [gate.label, bound, 0, 0]).into())
            }
            _ => Err(refuse(ErrorNumber::NoSys, 1)),
        }
    }
}
