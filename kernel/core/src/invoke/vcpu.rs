//! Virtual CPUs: operations of threads that are bound to guest memory.

use postern_abi::op::vcpu;
use postern_abi::{ErrorCode, ErrorNumber, Rights};
use postern_arena::Ref;

use super::{Answer, Request, Result, refuse};
use crate::Kernel;
use crate::machine::{EventKind, Machine, VCPU_STATE};
use crate::object::Thread;

impl<M: Machine> Kernel<M> {
    pub(super) fn invoke_vcpu(
        &mut self,
        request: &Request<M>,
        reference: Ref<Thread<M>>,
        operation: u64,
    ) -> Result {
        match operation {
            vcpu::GET_STATE => {
                self.need(request, Rights::R)?;
                self.resting_vcpu(reference)?;
                let guest = self.threads.get(reference).and_then(|it| it.vcpu.as_ref());
                let state = guest.map_or([0; VCPU_STATE], |it| self.machine.vcpu_state(it));
                for (index, word) in state.iter().enumerate().skip(4) {
                    self.put(request, index, *word);
                }
                Ok(Answer::many(VCPU_STATE, [state[0], state[1], state[2], state[3]]).into())
            }
            vcpu::SET_STATE => {
                self.need(request, Rights::W)?;
                self.resting_vcpu(reference)?;
                let mut state = [0; VCPU_STATE];
                for (index, word) in state.iter_mut().enumerate() {
                    *word = self.word(request, 1 + index)?;
                }
                if let Some(guest) = self.threads.get_mut(reference).and_then(|it| it.vcpu.as_mut())
                {
                    self.machine
                        .set_vcpu_state(guest, &state)
                        .map_err(|index| refuse(ErrorNumber::Inval, 1 + index as u8))?;
                }
                Ok(Answer::none().into())
            }
            vcpu::INJECT => {
                self.need(request, Rights::W)?;
                let vector = self.word(request, 1)?;
                let error = match request.tag.words() {
                    2 => None,
                    _ => Some(self.word(request, 2)?),
                };
                self.resting_vcpu(reference)?;
                let vector = u8::try_from(vector).ok().filter(|vector| *vector < 32);
                let vector = vector.ok_or(refuse(ErrorNumber::Inval, 1))?;
                let error = error.map(u32::try_from).transpose();
                let error = error.map_err(|_large| refuse(ErrorNumber::Inval, 2))?;
                // Vector 2 is an event of another kind.
                let kind = if vector == 2 { EventKind::Nmi } else { EventKind::Exception };
                if let Some(guest) = self.threads.get_mut(reference).and_then(|it| it.vcpu.as_mut())
                {
                    self.machine.inject(guest, kind, vector, error);
                }
                Ok(Answer::none().into())
            }
            vcpu::INTERRUPT => {
                self.need(request, Rights::W)?;
                let vector = self.word(request, 1)?;
                let guest = self.threads.get_mut(reference).and_then(|it| it.vcpu.as_mut());
                let guest = guest.ok_or(refuse(ErrorNumber::WrongKind, 0))?;
                let vector = u8::try_from(vector).map_err(|_| refuse(ErrorNumber::Inval, 1))?;
                if !self.machine.interrupt(guest, vector) {
                    return Err(refuse(ErrorNumber::Busy, 0));
                }
                Ok(Answer::none().into())
            }
            _ => Err(refuse(ErrorNumber::NoSys, 1)),
        }
    }

    /// `WrongKind` unless the thread is a virtual CPU, `Busy` if it may run.
    fn resting_vcpu(&mut self, reference: Ref<Thread<M>>) -> core::result::Result<(), ErrorCode> {
        if self.threads.get(reference).is_none_or(|thread| thread.vcpu.is_none()) {
            return Err(refuse(ErrorNumber::WrongKind, 0));
        }
        self.resting(reference).map(|_state| ())
    }
}
