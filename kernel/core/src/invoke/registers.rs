//! The registers of a thread that does not run, for debuggers and fault
//! handlers.

use postern_abi::{ErrorNumber, address};
use postern_arena::Ref;

use super::{Answer, Request, Result, refuse};
use crate::Kernel;
use crate::machine::{Form, Machine, USER_FLAGS, UserState};
use crate::object::Thread;
use crate::object::thread::State;

/// Number of registers, in the order of `op::thread::GET_REGISTERS`.
const COUNT: usize = 19;
/// Positions that hold addresses: rip, rsp, FS base.
const ADDRESSES: [usize; 3] = [0, 1, 18];

fn registers(user: &mut UserState) -> [&mut u64; COUNT] {
    let r = &mut user.registers;
    [
        &mut r.rip,
        &mut r.rsp,
        &mut r.rflags,
        &mut r.rax,
        &mut r.rbx,
        &mut r.rcx,
        &mut r.rdx,
        &mut r.rsi,
        &mut r.rdi,
        &mut r.rbp,
        &mut r.r8,
        &mut r.r9,
        &mut r.r10,
        &mut r.r11,
        &mut r.r12,
        &mut r.r13,
        &mut r.r14,
        &mut r.r15,
        &mut user.fs_base,
    ]
}

impl<M: Machine> Kernel<M> {
    /// The user state of a thread that cannot run right now.
    pub(super) fn resting(
        &mut self,
        reference: Ref<Thread<M>>,
    ) -> core::result::Result<&mut UserState, postern_abi::ErrorCode> {
        let gone = refuse(ErrorNumber::NotExistent, 0);
        if self.is_abroad(reference) {
            return Err(refuse(ErrorNumber::Abroad, 0));
        }
        let thread = self.threads.get_mut(reference).ok_or(gone)?;
        let rests = match thread.state {
            // One that was stopped in a long operation gets its result yet.
            State::New | State::Stopped | State::Faulted => thread.work.is_none(),
            State::Sending | State::Calling => thread.fault.is_some(),
            _ => false,
        };
        if rests { Ok(&mut thread.user) } else { Err(refuse(ErrorNumber::Busy, 0)) }
    }

    pub(super) fn get_registers(
        &mut self,
        request: &Request<M>,
        reference: Ref<Thread<M>>,
    ) -> Result {
        let mut user = self.resting(reference)?.clone();
        if user.form == Form::Outputs {
            // It left by a system call: the others come back as zero.
            let r = &mut user.registers;
            for register in [
                &mut r.rbx, &mut r.rcx, &mut r.rbp, &mut r.r11, &mut r.r12, &mut r.r13, &mut r.r14,
                &mut r.r15,
            ] {
                *register = 0;
            }
        }
        let values = registers(&mut user).map(|register| *register);
        for (index, value) in values.iter().enumerate().skip(4) {
            self.put(request, index, *value);
        }
        Ok(Answer::many(COUNT, [values[0], values[1], values[2], values[3]]).into())
    }

    pub(super) fn set_registers(
        &mut self,
        request: &Request<M>,
        reference: Ref<Thread<M>>,
    ) -> Result {
        self.resting(reference)?;
        if self.threads.get(reference).is_some_and(|thread| thread.vcpu.is_some()) {
            // A guest's may hold anything: the answer to its exit sets them.
            return Err(refuse(ErrorNumber::Unsupported, 0));
        }
        let mut values = [0; COUNT];
        for (index, value) in values.iter_mut().enumerate() {
            *value = self.word(request, 1 + index)?;
        }
        for index in ADDRESSES {
            if !address::is_user(values[index]) {
                return Err(refuse(ErrorNumber::Inval, 1 + index as u8));
            }
        }
        values[2] &= USER_FLAGS;
        let user = self.resting(reference)?;
        user.form = Form::Full;
        for (register, value) in registers(user).into_iter().zip(values) {
            *register = value;
        }
        Ok(Answer::none().into())
    }
}
