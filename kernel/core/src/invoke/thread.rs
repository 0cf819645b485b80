//! Threads: their home activation.

use postern_abi::op::thread::{self, ThreadState};
use postern_abi::op::vcpu;
use postern_abi::rights::Kind;
use postern_abi::{ErrorNumber, PAGE, Rights, address, utcb};
use postern_arena::Ref;

use super::{Answer, Reaction, Request, Result, refuse};
use crate::Kernel;
use crate::account::{Charged, NO_FRAMES, QUOTA};
use crate::machine::{Form, Machine};
use crate::object::thread::{Queue, Signal, State, Wait};
use crate::object::{Factory, Gate, Task, Thread};

/// Where the UTCB of the thread with this arena index is, in its task.
pub(crate) const fn utcb_address(index: u32) -> u64 {
    address::UTCB_START + index as u64 * PAGE
}

impl<M: Machine> Kernel<M> {
    pub(super) fn invoke_thread(&mut self, request: &Request<M>, operation: u64) -> Result {
        let reference: Ref<Thread<M>> = request.target.reference();
        match operation {
            thread::BIND => {
                self.need(request, Rights::W)?;
                let task = self.item_of(request, 0, Kind::Task, Rights::W)?;
                let at = self.bind_thread(reference, task.target.reference())?;
                Ok(Answer::one(at).into())
            }
            thread::START => {
                self.need(request, Rights::W)?;
                let words = [1, 2, 3, 4].map(|index| self.word(request, index));
                let [rip, rsp, rdi, rsi] = words;
                self.start_thread(reference, rip?, rsp?, rdi?, rsi?)?;
                Ok(Answer::none().into())
            }
            thread::STOP => {
                self.need(request, Rights::W)?;
                self.stop_thread(reference, request.thread == reference)
            }
            thread::RESUME => {
                self.need(request, Rights::W)?;
                let gone = refuse(ErrorNumber::NotExistent, 0);
                let thread = self.threads.get_mut(reference).ok_or(gone)?;
                if core::mem::take(&mut thread.stop_pending) {
                    return Ok(Answer::none().into());
                }
                if thread.state != State::Stopped {
                    return Err(refuse(ErrorNumber::Inval, 0));
                }
                self.wake(reference);
                Ok(Answer::none().into())
            }
            thread::CANCEL => {
                self.need(request, Rights::W)?;
                self.cancel(reference);
                Ok(Answer::none().into())
            }
            thread::SET_EXIT_GATE => {
                self.need(request, Rights::W)?;
                let gate = self.gate_item(request)?;
                if let Some(thread) = self.threads.get_mut(reference) {
                    thread.exit_gate = gate;
                }
                Ok(Answer::none().into())
            }
            thread::SET_FAULT_GATE => {
                self.need(request, Rights::W)?;
                let gate = self.gate_item(request)?;
                if let Some(thread) = self.threads.get_mut(reference) {
                    thread.fault_gate = gate;
                }
                Ok(Answer::none().into())
            }
            thread::MODIFY_SENDERS => {
                self.need(request, Rights::S)?;
                self.modify_senders(request, reference)
            }
            thread::NOTIFY_DELETION => {
                self.need(request, Rights::W)?;
                let deletion = self.deletion_item(request, reference)?;
                if let Some(thread) = self.threads.get_mut(reference) {
                    thread.deletion = deletion;
                }
                Ok(Answer::none().into())
            }
            thread::GET_REGISTERS => {
                self.need(request, Rights::R)?;
                self.get_registers(request, reference)
            }
            thread::SET_REGISTERS => {
                self.need(request, Rights::W)?;
                self.set_registers(request, reference)
            }
            thread::INFO => {
                self.need(request, Rights::R)?;
                let now = self.machine.now();
                self.account(now);
                let gone = refuse(ErrorNumber::NotExistent, 0);
                let thread = self.threads.get(reference).ok_or(gone)?;
                let (reason, detail) = thread.ended;
                let state = match thread.info_state() {
                    ThreadState::Calling if self.is_abroad(reference) => ThreadState::Abroad,
                    state => state,
                };
                let words = [state as u64, u64::from(thread.priority), thread.time, {
                    u64::from(reference.index())
                }];
                self.put(request, 4, reason);
                self.put(request, 5, detail);
                Ok(Answer::many(6, words).into())
            }
            vcpu::GET_STATE..=vcpu::INTERRUPT => self.invoke_vcpu(request, reference, operation),
            _ => Err(refuse(ErrorNumber::NoSys, 1)),
        }
    }

    /// The gate in item 0, if there is an item.
    pub(super) fn gate_item(
        &self,
        request: &Request<M>,
    ) -> core::result::Result<Option<Ref<Gate<M>>>, postern_abi::ErrorCode> {
        if request.tag.items() == 0 {
            return Ok(None);
        }
        let item = self.item_of(request, 0, Kind::Gate, Rights::empty())?;
        Ok(Some(item.target.reference()))
    }

    /// The notification in item 0 and its bits, if there is an item.
    fn deletion_item(
        &self,
        request: &Request<M>,
        thread: Ref<Thread<M>>,
    ) -> core::result::Result<Option<Signal<M>>, postern_abi::ErrorCode> {
        if request.tag.items() == 0 {
            return Ok(None);
        }
        let bits = self.word(request, 1)?;
        let item = self.item_of(request, 0, Kind::Notification, Rights::W)?;
        if bits == 0 {
            return Err(refuse(ErrorNumber::Inval, 1));
        }
        let known = self.threads.get(thread).and_then(|thread| thread.deletion);
        if known.is_some_and(|old| self.notifications.get(old.notification).is_some()) {
            return Err(refuse(ErrorNumber::Busy, 0));
        }
        Ok(Some(Signal { notification: item.target.reference(), bits }))
    }

    /// Gives a new thread a home and a UTCB; returns the UTCB's address.
    pub(crate) fn bind_thread(
        &mut self,
        reference: Ref<Thread<M>>,
        task_ref: Ref<Task<M>>,
    ) -> core::result::Result<u64, postern_abi::ErrorCode> {
        let gone = refuse(ErrorNumber::NotExistent, 0);
        let thread = self.threads.get(reference).ok_or(gone)?;
        if thread.task.is_some() {
            return Err(refuse(ErrorNumber::Exists, 0));
        }
        let owner = thread.header.factory;
        let guest = self.tasks.get(task_ref).is_some_and(|task| task.guest);
        let (at, page, vcpu, bytes) = if guest {
            let bytes = M::VCPU_PAGES * PAGE;
            (0, None, Some(self.new_vcpu(owner, bytes)?), bytes)
        } else {
            let at = utcb_address(reference.index());
            (at, Some(self.new_utcb(owner, task_ref, at)?), None, PAGE)
        };
        let root = self.root_of(task_ref);
        let first = self.tasks.get(task_ref).and_then(|task| task.threads);
        if let Some(first) = first.and_then(|index| self.threads.nth_mut(index)) {
            first.of_task.1 = Some(reference.index());
        }
        if let Some(task) = self.tasks.get_mut(task_ref) {
            task.threads = Some(reference.index());
            task.thread_count += 1;
        }
        if let Some(thread) = self.threads.get_mut(reference) {
            thread.header.charge += bytes;
            thread.of_task = (first, None);
            thread.task = Some(task_ref);
            thread.home = task_ref;
            thread.root = root;
            (thread.utcb, thread.vcpu) = (page, vcpu);
            thread.user.fs_base = at;
        }
        Ok(at)
    }

    /// What names the address space of a task.
    pub(super) fn root_of(&self, task: Ref<Task<M>>) -> M::Root {
        let space = self.tasks.get(task).and_then(|task| task.space.as_ref());
        space.map(|space| self.machine.root(space)).unwrap_or_default()
    }

    /// A virtual CPU, charged to `owner`.
    fn new_vcpu(
        &mut self,
        owner: Ref<Factory>,
        bytes: u64,
    ) -> core::result::Result<M::Vcpu, postern_abi::ErrorCode> {
        self.charge(owner, bytes)?;
        let Some(frames) = self.frames.take(M::VCPU_PAGES) else {
            self.refund(owner, bytes);
            return Err(NO_FRAMES);
        };
        Ok(self.machine.vcpu(frames))
    }

    /// A UTCB, charged to `owner`, at `at` in a task.
    pub(super) fn new_utcb(
        &mut self,
        owner: Ref<Factory>,
        task_ref: Ref<Task<M>>,
        at: u64,
    ) -> core::result::Result<M::Utcb, postern_abi::ErrorCode> {
        self.charge(owner, PAGE)?;
        let Some(frame) = self.frames.take_one() else {
            self.refund(owner, PAGE);
            return Err(NO_FRAMES);
        };
        let page = self.machine.utcb(frame);
        let mapped = match self.tasks.get_mut(task_ref) {
            Some(task) => match (self.factories.get_mut(task.header.factory), &mut task.space) {
                (Some(factory), Some(space)) => {
                    let mut supply = Charged::new(&mut self.frames, factory, &mut task.page_tables);
                    let mapped = self.machine.map_utcb(space, at, &page, &mut supply);
                    if mapped.is_err() {
                        // Tables that were made on the way.
                        self.machine.unmap(space, at, 1, &mut supply);
                    }
                    mapped.map_err(|_dry| supply.refusal)
                }
                _ => Err(QUOTA),
            },
            None => Err(QUOTA),
        };
        if let Err(error) = mapped {
            self.frames.give(self.machine.release_utcb(page));
            self.refund(owner, PAGE);
            return Err(error);
        }
        let clock = self.machine.clock();
        self.machine.write_word(&page, utcb::SELF, at);
        self.machine.write_word(&page, utcb::CLOCK_START, clock.start);
        self.machine.write_word(&page, utcb::CLOCK_FACTOR, clock.factor);
        Ok(page)
    }

    /// Starts a bound thread that has never run.
    pub(crate) fn start_thread(
        &mut self,
        reference: Ref<Thread<M>>,
        rip: u64,
        rsp: u64,
        rdi: u64,
        rsi: u64,
    ) -> core::result::Result<(), postern_abi::ErrorCode> {
        let gone = refuse(ErrorNumber::NotExistent, 0);
        let thread = self.threads.get_mut(reference).ok_or(gone)?;
        // A guest's addresses are its own business.
        let guest = thread.vcpu.is_some();
        if !guest && !address::is_user(rip) {
            return Err(refuse(ErrorNumber::Inval, 1));
        }
        if !guest && !address::is_user(rsp) {
            return Err(refuse(ErrorNumber::Inval, 2));
        }
        if thread.state != State::New || thread.task.is_none() {
            return Err(refuse(ErrorNumber::Inval, 0));
        }
        let registers = &mut thread.user.registers;
        (registers.rip, registers.rsp) = (rip, rsp);
        (registers.rdi, registers.rsi) = (rdi, rsi);
        registers.rflags = 0;
        thread.user.form = if guest { Form::Guest } else { Form::Full };
        self.wake(reference);
        Ok(())
    }

    fn stop_thread(&mut self, reference: Ref<Thread<M>>, itself: bool) -> Result {
        let gone = refuse(ErrorNumber::NotExistent, 0);
        let thread = self.threads.get(reference).ok_or(gone)?;
        match thread.state {
            State::New | State::Exited | State::Faulted => {
                return Err(refuse(ErrorNumber::Inval, 0));
            }
            // It does not run, and its handler decides whether it will.
            _ if thread.fault.is_some() => return Err(refuse(ErrorNumber::Busy, 0)),
            State::Stopped => return Ok(Answer::none().into()),
            _ => {}
        }
        if self.is_abroad(reference) {
            // Its activation is not its own to stop.
            if let Some(thread) = self.threads.get_mut(reference) {
                thread.stop_pending = true;
                thread.wait = Wait::Other;
            }
            return Ok(Answer::none().into());
        }
        if itself && let Some(thread) = self.threads.get_mut(reference) {
            // What it finds when it is resumed.
            Answer::none().store(thread);
        }
        self.cancel(reference);
        self.detach(reference);
        if let Some(thread) = self.threads.get_mut(reference) {
            thread.state = State::Stopped;
            thread.queue = Queue::None;
        }
        if itself { Ok(Reaction::Settled) } else { Ok(Answer::none().into()) }
    }
}

impl<M: Machine> Thread<M> {
    /// The state as INFO tells it.
    pub(crate) fn info_state(&self) -> ThreadState {
        match self.state {
            State::Sending | State::Calling if self.fault.is_some() => ThreadState::Faulting,
            State::New => ThreadState::New,
            State::Ready => ThreadState::Ready,
            State::Sending => ThreadState::Sending,
            State::Receiving => ThreadState::Receiving,
            State::Calling => ThreadState::Calling,
            State::Sleeping => ThreadState::Sleeping,
            State::Stopped => ThreadState::Stopped,
            State::Faulted => ThreadState::Faulted,
            State::Exited | State::Idle => ThreadState::Exited,
        }
    }
}
