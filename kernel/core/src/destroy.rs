//! The end of objects: at once where that is a few steps, else taken apart
//! step by step in [`Kernel::drain`], found by nobody meanwhile.

use postern_abi::rights::Kind;
use postern_abi::{ErrorCode, ErrorNumber, PAGE};
use postern_arena::Ref;

use crate::Kernel;
use crate::account::{Charged, shrink_table, take_out};
use crate::cap::{Slot, SlotId, Target};
use crate::ipc::AbortReason;
use crate::machine::Machine;
use crate::object::thread::State;
use crate::object::{Entry, Gate, Memory, Notification, Task, Thread};
use crate::relay::{Owner, ledger};

/// Senders that one step of a destruction tells.
const STEP: usize = 8;
/// Contexts that one step removes, or callers of an entry that it tells.
const CONTEXTS: usize = 4;
/// Capabilities that one step takes away, unless one is the last of its object.
const CLEARED: usize = 4;
/// Slots that one step looks at.
const LOOKED: usize = 256;
/// Pages of a table that one step takes away.
const PAGES: usize = 4;

/// Takes an object out of its arena.
macro_rules! take {
    ($kernel:ident, $arena:ident, $reference:expr) => {
        take_out(&mut $kernel.$arena, &mut $kernel.machine, &mut $kernel.frames, $reference)
    };
}

impl<M: Machine> Kernel<M> {
    /// Ends an object for everybody: nobody finds it any more. What takes more
    /// than a few steps goes on in [`Kernel::drain`]. What is there from boot on
    /// stays.
    pub(crate) fn destroy(&mut self, target: Target) {
        if matches!(target.kind, Kind::Irq | Kind::Scheduler | Kind::Log) {
            return;
        }
        let Some(header) = self.header_mut(target) else { return };
        if core::mem::replace(&mut header.dying, true) {
            return;
        }
        match target.kind {
            Kind::Thread => self.begin_thread_end(target.reference()),
            Kind::Gate => {
                if let Some(gate) = self.gates.get_mut(target.reference()) {
                    gate.settle();
                }
                self.tell_deletion(target.reference());
            }
            Kind::Entry => self.begin_entry_end(target.reference()),
            // Nobody waits for the borrower of one that is lent.
            Kind::Relay if self.withhold_relay(target.reference()) => return,
            Kind::Factory => {
                if let Some(factory) = self.factories.get_mut(target.reference()) {
                    factory.closed = true;
                    // Lets it go at once if nothing is charged to it.
                    self.refund(target.reference(), 0);
                }
                return;
            }
            _ => {}
        }
        // Small objects are gone with this first step.
        self.stepped = true;
        if self.drain_object(target) {
            self.unlist_work(target);
            self.remove(target);
        } else {
            self.list_work(target);
        }
    }

    /// One bounded step for the first object on the list of work: a dying one
    /// is taken apart, a revocation or emptying that nobody waits for goes on.
    pub(crate) fn drain(&mut self) {
        let Some(target) = self.work_list.and_then(|first| self.listed(first)) else { return };
        self.stepped = true;
        self.stretch_is(|cause| cause.with_step(target.kind));
        let Some(header) = self.header(target) else { return };
        let (dying, revoking) = (header.dying, header.revoking);
        let emptying = target.kind == Kind::Factory
            && self.factories.get(target.reference()).is_some_and(|it| it.emptying);
        if emptying {
            if !self.empty_step(target.reference()) || !dying && revoking.is_some() {
                return;
            }
        } else if dying {
            if !self.drain_object(target) {
                return;
            }
        } else {
            if target.kind == Kind::Gate && !self.release_waiting(target.reference()) {
                return;
            }
            if target.kind == Kind::Entry && !self.serve_entry(target.reference()) {
                return;
            }
            if target.kind == Kind::Thread {
                let reference = target.reference();
                // One that lives is here for a revocation of its capabilities:
                // who waits for it goes on waiting.
                let ended = self.threads.get(reference).is_some_and(|it| !it.is_alive());
                if ended && !self.drain_thread(reference) {
                    return;
                }
            }
            if let Some(at) = revoking
                && !self.revoke_step(at, target)
            {
                return;
            }
        }
        // Steps may have put others before it.
        self.unlist_work(target);
        if dying {
            self.remove(target);
        }
    }

    /// One bounded step of taking a dying object apart; `true` when it can be
    /// removed.
    fn drain_object(&mut self, target: Target) -> bool {
        match target.kind {
            Kind::Memory => self.drain_memory(target.reference()),
            Kind::Task => self.drain_task(target.reference()),
            Kind::Gate => self.drain_gate(target.reference()),
            Kind::Entry => self.drain_entry(target.reference()),
            Kind::Thread => self.drain_thread(target.reference()),
            Kind::Notification => self.drain_notification(target.reference()),
            Kind::Relay => self.drain_relay(target.reference()),
            _ => true,
        }
    }

    /// Removes an object that nothing refers to any more.
    fn remove(&mut self, target: Target) {
        match target.kind {
            Kind::Thread => self.remove_thread(target.reference()),
            Kind::Gate => {
                if let Some(gone) = take!(self, gates, target.reference()) {
                    self.close_account(&gone.header, 0);
                }
            }
            Kind::Entry => self.remove_entry(target.reference()),
            Kind::Memory => {
                self.leave_family(target.reference());
                if let Some(gone) = take!(self, memories, target.reference()) {
                    self.frames.give(gone.frames);
                    self.close_account(&gone.header, 0);
                }
            }
            Kind::Task => self.remove_task(target.reference()),
            Kind::Relay => self.remove_relay(target.reference()),
            Kind::Notification => {
                let Some(gone) = take!(self, notifications, target.reference()) else { return };
                if let Some(thread) = gone.bound.and_then(|thread| self.threads.get_mut(thread)) {
                    thread.notification = None;
                }
                self.close_account(&gone.header, 0);
            }
            Kind::IoPort => {
                if let Some(gone) = take!(self, ports, target.reference()) {
                    self.close_account(&gone.header, 0);
                }
            }
            // A closed factory goes with the last byte charged to it. What it
            // still pays for is lent, and nobody waits for that.
            Kind::Factory => {
                self.refund(target.reference(), 0);
                self.detach_from_factory(target);
            }
            Kind::Irq | Kind::Scheduler | Kind::Log | Kind::Reply => {}
        }
    }

    /// Some of the senders that wait at a dying gate learn of it.
    fn drain_gate(&mut self, reference: Ref<Gate<M>>) -> bool {
        self.release_receiver(reference);
        for _ in 0..STEP {
            let first = self.gates.get(reference).and_then(|gate| gate.waiting.first());
            let Some(thread) = first.and_then(|first| self.threads.at(first)) else { return true };
            self.interrupt_ipc(thread, ErrorCode::send(ErrorNumber::NotExistent));
        }
        false
    }

    /// Some of those who wait for a dying notification alone learn of it.
    fn drain_notification(&mut self, reference: Ref<Notification<M>>) -> bool {
        for _ in 0..STEP {
            let first = self.notifications.get(reference).and_then(|it| it.waiting.first());
            let Some(thread) = first.and_then(|first| self.threads.at(first)) else { return true };
            self.interrupt_ipc(thread, ErrorCode::receive(ErrorNumber::NotExistent));
        }
        false
    }

    /// Who waits for the answer of a thread that ends is told, and nobody will
    /// answer the thread itself.
    pub(crate) fn leave_partners(&mut self, reference: Ref<Thread<M>>) {
        self.forget_answerer(reference);
        self.drop_caller(reference, AbortReason::Died);
        self.retire_segments(reference);
    }

    /// Nobody crosses into a dying entry any more; its owner is told.
    fn begin_entry_end(&mut self, reference: Ref<Entry<M>>) {
        if let Some(entry) = self.entries.get_mut(reference) {
            entry.free = None;
        }
        self.tell_owner(reference);
    }

    /// Some of the contexts of a dying entry go, whoever runs in them, then
    /// some of the callers that wait.
    fn drain_entry(&mut self, reference: Ref<Entry<M>>) -> bool {
        for _ in 0..CONTEXTS {
            let Some(entry) = self.entries.get(reference) else { return true };
            if let Some(context) = entry.contexts.and_then(|index| self.threads.at(index)) {
                self.remove_context(context);
            } else if let Some(caller) =
                entry.waiting.first().and_then(|first| self.threads.at(first))
            {
                self.interrupt_ipc(caller, ErrorCode::send(ErrorNumber::NotExistent));
            } else {
                return true;
            }
        }
        false
    }

    fn remove_entry(&mut self, reference: Ref<Entry<M>>) {
        let Some(gone) = take!(self, entries, reference) else { return };
        let (next, previous) = gone.of_task;
        if let Some(next) = next.and_then(|index| self.entries.nth_mut(index)) {
            next.of_task.1 = previous;
        }
        match previous.and_then(|index| self.entries.nth_mut(index)) {
            Some(previous) => previous.of_task.0 = next,
            None => {
                if let Some(task) = self.tasks.get_mut(gone.task) {
                    task.entries = next;
                }
            }
        }
        self.close_account(&gone.header, 0);
    }

    /// A dying thread stops, whatever it is doing; who waits for its answer is
    /// told.
    fn begin_thread_end(&mut self, reference: Ref<Thread<M>>) {
        self.end_activation(reference);
        if let Some(thread) = self.threads.get_mut(reference) {
            thread.state = State::Exited;
        }
        if self.init == Some(reference) {
            self.init_ended();
        }
    }

    /// The thread that a dying gate is bound to is told, if it asked for that.
    fn tell_deletion(&mut self, gate: Ref<Gate<M>>) {
        let bound = self.gates.get(gate).and_then(Gate::thread);
        let told = bound.and_then(|thread| self.threads.get(thread)?.deletion);
        if let Some(told) = told {
            self.signal(told.notification, told.bits);
        }
    }

    /// Some of those that wait for a dead thread, to send to it or to receive
    /// from it alone, are told.
    fn drain_thread(&mut self, reference: Ref<Thread<M>>) -> bool {
        for _ in 0..STEP {
            let Some(thread) = self.threads.get(reference) else { return true };
            let (sender, listener) = (thread.senders.first(), thread.listeners.first());
            let Some(waiting) = sender.or(listener).and_then(|first| self.threads.at(first)) else {
                return true;
            };
            let error = match sender {
                Some(_) => ErrorCode::send(ErrorNumber::Aborted),
                None => ErrorCode::receive(ErrorNumber::NotExistent),
            };
            self.interrupt_ipc(waiting, error);
        }
        false
    }

    fn remove_thread(&mut self, reference: Ref<Thread<M>>) {
        let Some(mut thread) = take!(self, threads, reference) else { return };
        self.trim_timeouts();
        if let Some(notification) =
            thread.notification.and_then(|bound| self.notifications.get_mut(bound))
        {
            notification.bound = None;
        }
        if let Some(vcpu) = thread.vcpu.take() {
            self.frames.give(self.machine.release_vcpu(vcpu));
        }
        let _in_its_account = self.release_fpu(&mut thread);
        let home = thread.task.and_then(|task| self.tasks.get_mut(task));
        if let Some(task) = home {
            task.thread_count -= 1;
            if let Some(utcb) = thread.utcb.take() {
                if let Some(space) = task.space.as_mut()
                    && let Some(factory) = self.factories.get_mut(task.header.factory)
                {
                    let at = crate::invoke::utcb_address(reference.index());
                    let mut supply = Charged::new(&mut self.frames, factory, &mut task.page_tables);
                    self.machine.unmap(space, at, 1, &mut supply);
                }
                self.frames.give(self.machine.release_utcb(utcb));
            }
            // Unlink from the task's list of threads.
            let (next, previous) = thread.of_task;
            match previous.and_then(|index| self.threads.nth_mut(index)) {
                Some(previous) => previous.of_task.0 = next,
                None => task.threads = next,
            }
            if let Some(next) = next.and_then(|index| self.threads.nth_mut(index)) {
                next.of_task.1 = previous;
            }
        }
        self.close_account(&thread.header, 0);
    }

    /// Nobody may wait for this thread any more: those who do get `Aborted`,
    /// and so does the one whose call it was handling.
    pub(crate) fn retire_thread(&mut self, reference: Ref<Thread<M>>) {
        self.leave_partners(reference);
        if !self.drain_thread(reference) {
            self.list_work(Target::new(Kind::Thread, reference));
        }
    }

    fn drain_memory(&mut self, reference: Ref<Memory>) -> bool {
        let Some(memory) = self.memories.get(reference) else { return true };
        if let Some(mapping) = memory.mappings {
            self.unmap_step(mapping);
            return false;
        }
        self.leave_parts(reference)
    }

    /// Entries with their contexts, threads, slots, mappings, page tables, table
    /// pages, in this order.
    fn drain_task(&mut self, reference: Ref<Task<M>>) -> bool {
        let Some(task) = self.tasks.get_mut(reference) else { return true };
        let entry = task.entries.and_then(|index| self.entries.at(index));
        let thread = task.threads.and_then(|index| self.threads.at(index));
        let inside = entry
            .map(|entry| Target::new(Kind::Entry, entry))
            .or(thread.map(|thread| Target::new(Kind::Thread, thread)));
        if let Some(inside) = inside {
            self.destroy(inside);
            if self.header(inside).is_some() {
                // Its callers take more steps, before this task's.
                self.unlist_work(inside);
                self.list_work(inside);
            }
            return false;
        }
        let parked = core::mem::take(&mut task.segments);
        for share in parked.into_iter().flatten() {
            ledger::assign(self, share, Owner::Idle);
        }
        let Some(task) = self.tasks.get_mut(reference) else { return true };
        if task.slots_used > 0 {
            self.clear_some(reference);
            return false;
        }
        if let Some(index) = task.mappings.any() {
            self.unmap_step(index);
            return false;
        }
        if let Some(mut space) = task.space.take() {
            // Nobody of this task runs any more, but its tables may still be
            // loaded.
            if !self.activate_current() {
                self.machine.deactivate();
            }
            // One table a step: to find it, two tables may be searched.
            if let Some(frame) = self.machine.dismantle(&mut space) {
                self.frames.give(frame);
                if let Some(task) = self.tasks.get_mut(reference) {
                    task.space = Some(space);
                }
            }
            return false;
        }
        let Some(task) = self.tasks.get_mut(reference) else { return true };
        for _ in 0..PAGES {
            if !shrink_table(&mut task.table, &mut self.machine, &mut self.frames) {
                return true;
            }
        }
        task.table.pages() == 0
    }

    fn remove_task(&mut self, reference: Ref<Task<M>>) {
        if let Some(gone) = take!(self, tasks, reference) {
            if let Ok(region) = gone.table.into_region() {
                let area = crate::machine::Area::Capabilities(reference.index());
                self.machine.release_region(area, region);
            }
            self.close_account(&gone.header, gone.page_tables);
        }
    }

    /// Clears some used slots of a dying task, from the end of its table, whose
    /// pages then go.
    fn clear_some(&mut self, reference: Ref<Task<M>>) {
        let Some(task) = self.tasks.get(reference) else { return };
        let mut end = task.table.len();
        let low = end.saturating_sub(LOOKED);
        for _ in 0..CLEARED {
            let Some(task) = self.tasks.get(reference) else { return };
            let last = task.table[low..end].iter().rposition(|slot| !slot.is_empty());
            let Some(last) = last else {
                end = low;
                break;
            };
            let at = SlotId::new(reference.index(), (low + last) as u32);
            // What is being revoked from here must not escape upwards.
            if self.is_revoking(at)
                && let Some(target) = self.slot(at).and_then(Slot::target)
                && !self.revoke_step(at, target)
            {
                return;
            }
            self.stepped = false;
            self.clear(at);
            end = low + last;
            // It was the last one of its object: that is enough for a step.
            if core::mem::replace(&mut self.stepped, true) {
                break;
            }
        }
        // The table shrinks by what is empty, so that the next step does not
        // look there again.
        let per_page = PAGE as usize / size_of::<Slot>();
        let Some(task) = self.tasks.get_mut(reference) else { return };
        while task.table.len() >= end + per_page {
            shrink_table(&mut task.table, &mut self.machine, &mut self.frames);
        }
    }
}
