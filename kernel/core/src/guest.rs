//! Guests: threads whose activation is a virtual CPU.
//!
//! A thread that is bound to a task of guest memory runs a guest instead of a
//! program. Its hypercalls go where those of programs go
//! ([`crate::hypercall`]); every other exit becomes a message through its fault
//! gate, with the registers that the answer may set. Scheduling, priorities,
//! stopping, ending are those of any thread.

use postern_abi::op::{fault as answer, reason, vcpu};
use postern_abi::stretch::{Cause, Entry};
use postern_abi::tag::{Tag, protocol};
use postern_abi::utcb;
use postern_abi::{PAGE, hypercall};
use postern_arena::Ref;

use crate::Kernel;
use crate::hypercall::{Answered, INVALID};
use crate::machine::{EventKind, Fault, GuestExit, GuestPaging, Machine, Registers, UserState};
use crate::object::Thread;
use crate::object::thread::Asks;
use crate::report::Place;
use crate::work::Work;

/// Exit codes that the kernel itself knows: the two hypercall instructions.
mod code {
    /// An invalid instruction.
    pub const INVALID: u64 = 0x46;
    /// VMMCALL.
    pub const VMMCALL: u64 = 0x81;
}

/// Flags of the last word of a VM_EXIT message.
const INTERRUPTIBLE: u16 = 1 << 8;
const PENDING: u16 = 1 << 9;

/// The general registers of a guest in the order in which messages have them.
fn general(r: &mut Registers) -> [&mut u64; vcpu::REGISTERS] {
    [
        &mut r.rip,
        &mut r.rax,
        &mut r.rbx,
        &mut r.rcx,
        &mut r.rdx,
        &mut r.rsi,
        &mut r.rdi,
        &mut r.rbp,
        &mut r.rsp,
        &mut r.rflags,
        &mut r.r8,
        &mut r.r9,
        &mut r.r10,
        &mut r.r11,
        &mut r.r12,
        &mut r.r13,
        &mut r.r14,
        &mut r.r15,
    ]
}

impl<M: Machine> Kernel<M> {
    /// What the machine needs to enter the guest that the current thread is.
    pub fn guest(&mut self) -> Option<(&mut UserState, &mut M::Vcpu, &M::Space)> {
        let thread = self.threads.get_mut(self.current?)?;
        let space = self.tasks.get(thread.task?)?.space.as_ref()?;
        Some((&mut thread.user, thread.vcpu.as_mut()?, space))
    }

    /// The guest that the current thread is has exited; its registers are in
    /// the thread already.
    pub fn guest_exit(&mut self, exit: GuestExit) {
        self.entered(Cause::new(Entry::Guest, exit.code as u32));
        let Some(thread) = self.current else { return };
        match exit.code {
            code::VMMCALL if exit.level == 0 => self.hypercall(thread),
            code::INVALID if exit.level == 0 && self.guest_calls(thread, exit) => {
                self.hypercall(thread);
            }
            // Not the guest's kernel: the instruction is an invalid one there.
            code::VMMCALL | code::INVALID => {
                let vcpu = self.threads.get_mut(thread).and_then(|it| it.vcpu.as_mut());
                if let Some(vcpu) = vcpu {
                    self.machine.inject(vcpu, EventKind::Exception, INVALID, None);
                }
            }
            _ => self.tell_exit(thread, exit),
        }
    }

    /// Sends an exit to the thread's fault gate.
    fn tell_exit(&mut self, thread: Ref<Thread<M>>, exit: GuestExit) {
        let fault = Fault { vector: 0, error: exit.code, address: exit.info[1] };
        let words = [exit.code, exit.info[0], exit.info[1], exit.next];
        let mut state = u16::from(exit.level);
        state |= if exit.interruptible { INTERRUPTIBLE } else { 0 };
        state |= if exit.pending { PENDING } else { 0 };
        let tag = Tag::new(protocol::VM_EXIT, vcpu::EXIT_WORDS);
        if !self.tell(thread, fault, Asks::Exit(state), tag, words)
            && let Some(ended) = self.threads.get_mut(thread)
        {
            (ended.fault, ended.asks) = (Some(fault), Asks::Exit(state));
            ended.work = Some(Work::Report(Place::default()));
        }
    }

    /// The words past the fourth of a VM_EXIT message.
    pub(crate) fn copy_exit(&self, from: &Thread<M>, state: u16, to: Ref<Thread<M>>) {
        let mut registers = from.user.registers.clone();
        for (index, register) in general(&mut registers).into_iter().enumerate() {
            self.set_utcb_word(to, utcb::FIRST_WORD + index, *register);
        }
        self.set_utcb_word(to, vcpu::EXIT_WORDS - 1, state.into());
    }

    /// Whoever got the exit answered: the guest goes on with the registers that
    /// the answer sets, or ends.
    #[inline(never)]
    pub(crate) fn exit_answered(&mut self, thread: Ref<Thread<M>>, answered: &Answered<M>) {
        if self.answered_word(answered, 0).unwrap_or(answer::RESUME) != answer::RESUME {
            return self.lose_handler(thread);
        }
        let mut given = [None; vcpu::REGISTERS];
        for (index, word) in given.iter_mut().enumerate() {
            *word = self.answered_word(answered, 1 + index);
        }
        if let Some(guest) = self.threads.get_mut(thread) {
            let registers = general(&mut guest.user.registers);
            for (register, word) in registers.into_iter().zip(given) {
                if let Some(word) = word {
                    *register = word;
                }
            }
            (guest.fault, guest.asks) = (None, Asks::Fault);
        }
        self.wake(thread);
    }

    /// Whether the guest stands at Intel's hypercall instruction, which this CPU
    /// does not know. Its kernel's page tables are walked in its own memory.
    fn guest_calls(&self, thread: Ref<Thread<M>>, exit: GuestExit) -> bool {
        let Some(guest) = self.threads.get(thread) else { return false };
        let task = guest.task.and_then(|task| self.tasks.get(task));
        let Some(space) = task.and_then(|task| task.space.as_ref()) else { return false };
        let rip = guest.user.registers.rip;
        let (mut bytes, mut page) = (0, None);
        for index in 0..hypercall::LENGTH {
            let at = rip.wrapping_add(index);
            let base = match page.filter(|_| !at.is_multiple_of(PAGE)) {
                Some(base) => base,
                None => match self.guest_page(space, at, exit.paging) {
                    Some(base) => base,
                    None => return false,
                },
            };
            page = Some(base);
            let place = base + at % PAGE;
            let Some(word) = self.machine.peek(space, place & !7) else { return false };
            bytes |= (word >> (8 * (place % 8)) & 0xff) << (8 * index);
        }
        bytes == u64::from(hypercall::VMCALL)
    }

    /// The guest-physical address of the page in which an address of the guest
    /// lies, as its own tables say.
    fn guest_page(&self, space: &M::Space, at: u64, paging: GuestPaging) -> Option<u64> {
        const PRESENT: u64 = 1;
        const LARGE: u64 = 1 << 7;
        const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
        let mut table = match paging {
            GuestPaging::Off => return Some(at & !(PAGE - 1)),
            GuestPaging::FourLevels(root) => root,
            GuestPaging::Other => return None,
        };
        for level in (0..4).rev() {
            let covered = PAGE << (9 * level);
            let entry = self.machine.peek(space, (table & ADDRESS) + at / covered % 512 * 8)?;
            if entry & PRESENT == 0 {
                return None;
            }
            if level == 0 || level < 3 && entry & LARGE != 0 {
                let offset = (at % covered) & !(PAGE - 1);
                return Some((entry & ADDRESS & !(covered - 1)) + offset);
            }
            table = entry;
        }
        None
    }

    /// Why a thread that got no answer ends: a fault, or an exit of its guest.
    pub(crate) fn end_reason(&self, thread: Ref<Thread<M>>, fault: Fault) -> u64 {
        match self.threads.get(thread).and_then(|thread| thread.vcpu.as_ref()) {
            Some(_) => reason::GUEST,
            None => reason::EXCEPTION + u64::from(fault.vector),
        }
    }
}
