//! Gates, operated by who holds SERVER.

use postern_abi::op::gate;
use postern_abi::rights::Kind;
use postern_abi::{ErrorCode, ErrorNumber, Rights};
use postern_arena::Ref;

use super::{Answer, Request, Result, refuse};
use crate::Kernel;
use crate::machine::Machine;
use crate::object::{Binding, Gate};

impl<M: Machine> Kernel<M> {
    pub(super) fn invoke_gate(&mut self, request: &Request<M>, operation: u64) -> Result {
        let reference: Ref<Gate<M>> = request.target.reference();
        let gone = refuse(ErrorNumber::NotExistent, 0);
        match operation {
            gate::BIND => {
                self.need(request, Rights::S)?;
                let label = self.word(request, 1)?;
                let target = self.binding(request)?;
                if label & 3 != 0 {
                    return Err(refuse(ErrorNumber::Inval, 1));
                }
                let limit = self.limit_word(request, target, 2)?;
                if self.gates.get(reference).is_some_and(|gate| gate.target != target) {
                    self.release_receiver(reference);
                    self.count_front(reference);
                }
                let gate = self.gates.get_mut(reference).ok_or(gone)?;
                gate.label = label;
                gate.target = target;
                gate.limit = limit;
                self.settle_gate(reference);
                if !self.release_waiting(reference) {
                    self.list_work(request.target);
                }
                Ok(Answer::none().into())
            }
            gate::UNBIND => {
                self.need(request, Rights::S)?;
                self.release_receiver(reference);
                self.count_front(reference);
                let gate = self.gates.get_mut(reference).ok_or(gone)?;
                gate.target = Binding::Unbound;
                self.settle_gate(reference);
                Ok(Answer::none().into())
            }
            gate::INFO => {
                let gate = self.gates.get(reference).ok_or(gone)?;
                let bound = match gate.target {
                    Binding::Unbound => 0,
                    Binding::Thread(_) => 1,
                    Binding::Entry(_) => 2,
                };
                let (limit, in_use) = (u64::from(gate.limit), u64::from(self.in_use(reference)));
                Ok(Answer::many(4, [gate.label, bound, limit, in_use]).into())
            }
            _ => Err(refuse(ErrorNumber::NoSys, 1)),
        }
    }

    /// What item 0 says a gate is to be bound to: a thread or an entry, S
    /// needed.
    pub(super) fn binding(
        &self,
        request: &Request<M>,
    ) -> core::result::Result<Binding<M>, ErrorCode> {
        let item = self.item_of_kinds(request, 0, &[Kind::Thread, Kind::Entry], Rights::S)?;
        Ok(match item.target.kind {
            Kind::Entry => Binding::Entry(item.target.reference()),
            _ => Binding::Thread(item.target.reference()),
        })
    }

    /// The limit in word `index`, which need not be there; a thread has none.
    pub(super) fn limit_word(
        &self,
        request: &Request<M>,
        target: Binding<M>,
        index: usize,
    ) -> core::result::Result<u32, ErrorCode> {
        if !matches!(target, Binding::Entry(_)) || index >= request.tag.words() {
            return Ok(0);
        }
        let limit = self.word(request, index)?;
        u32::try_from(limit).map_err(|_| refuse(ErrorNumber::Inval, index as u8))
    }
}
