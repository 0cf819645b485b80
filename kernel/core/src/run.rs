//! Who runs: ready, blocked, next; time slices and deadlines.

use core::cmp::Ordering;
use postern_abi::stretch::{Cause, Entry};

use postern_abi::trace::Event;
use postern_abi::{ErrorCode, ErrorNumber};
use postern_arena::{Arena, Ref};

use crate::Kernel;
use crate::machine::{Machine, Next};
use crate::object::Thread;
use crate::object::thread::{Queue, State, Wait};
use crate::sched::{QueueLinks, ReadyQueue, Threads, TimeoutEntry};

/// Deadlines that one timer interrupt deals with.
const EXPIRED: usize = 64;

bitflags::bitflags! {
    /// What the way out has to look at before anybody runs.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Attention: u8 {
        /// Somebody at least as urgent as the current thread became ready.
        const SCHEDULE = 1;
        /// The CPU may not show the window of the current thread.
        const WINDOW = 2;
    }
}

/// What the scheduler knows of time.
pub(crate) struct Clock<M: Machine> {
    /// The deadline that the timer is armed for.
    armed: Option<u64>,
    /// End of the running thread's slice; `None` while nobody competes.
    slice_end: Option<u64>,
    /// Since when the current stretch of time is not charged to anybody yet.
    since: u64,
    /// Who pays for it: the thread that was dispatched, not the servers that
    /// it calls. `None` is idle time.
    payer: Option<Ref<Thread<M>>>,
    /// Nanoseconds without work.
    pub(crate) idle: u64,
    /// Times that the scheduler chose a thread.
    pub(crate) switches: u64,
    /// Timer interrupts.
    pub(crate) timers: u64,
    /// Times that the CPU was told to wait for an interrupt.
    pub(crate) halts: u64,
    /// When the kernel was entered, in checked builds.
    entered: Option<u64>,
    /// By what, and what was done since then, in checked builds.
    cause: Cause,
    /// Longest stretch without letting interrupts in and its cause, in checked
    /// builds.
    pub(crate) longest: (u64, Cause),
}

impl<M: Machine> Default for Clock<M> {
    fn default() -> Self {
        Self {
            armed: None,
            slice_end: None,
            since: 0,
            payer: None,
            idle: 0,
            switches: 0,
            timers: 0,
            halts: 0,
            entered: None,
            cause: Cause::default(),
            longest: (0, Cause::default()),
        }
    }
}

impl<M: Machine> Clock<M> {
    #[cfg(test)]
    pub(crate) fn slice_end(&self) -> Option<u64> {
        self.slice_end
    }

    /// Whether somebody who is ready has to be looked at before a thread of
    /// this priority goes on: a more urgent one, or an equal one and the slice
    /// has not begun.
    #[inline(always)]
    pub(crate) fn has_rival(&self, ready: &ReadyQueue, priority: u8) -> bool {
        match ready.compare(priority) {
            Ordering::Greater => true,
            Ordering::Equal => self.slice_end.is_none(),
            Ordering::Less => false,
        }
    }
}

impl<M: Machine> Threads for Arena<Thread<M>> {
    fn links(&mut self, thread: u32) -> &mut QueueLinks {
        &mut self.nth_mut(thread).expect("a queued thread exists").links
    }
}

impl<M: Machine> Kernel<M> {
    /// Makes a thread ready that stands in no queue. It runs when its turn
    /// comes; if it is more urgent than the current thread, now.
    pub(crate) fn wake(&mut self, thread: Ref<Thread<M>>) {
        let Some(woken) = self.threads.get_mut(thread) else { return };
        woken.state = State::Ready;
        woken.wait = Wait::Other;
        woken.queue = Queue::Ready;
        let priority = woken.effective;
        self.ready.push(&mut self.threads, thread.index(), priority);
        let current = self.current.and_then(|current| self.threads.get(current));
        if let Some(current) = current
            && (current.effective < priority
                || current.effective == priority && self.clock.slice_end.is_none())
        {
            // A rival of the same priority makes the slice begin.
            self.attention |= Attention::SCHEDULE;
        }
    }

    /// Makes a thread ready and lets it run in place of the current thread,
    /// which has just blocked on it, on the same slice.
    pub(crate) fn hand_over(&mut self, thread: Ref<Thread<M>>) {
        if self.current.is_some() || self.handoff.is_some() {
            return self.wake(thread);
        }
        if let Some(woken) = self.threads.get_mut(thread) {
            woken.state = State::Ready;
            woken.wait = Wait::Other;
            woken.queue = Queue::None;
            self.handoff = Some(thread);
        }
    }

    /// Takes a thread off the CPU and out of every queue and deadline. Its
    /// state is for the caller to set.
    pub(crate) fn detach(&mut self, thread: Ref<Thread<M>>) {
        self.clear_timeout(thread);
        if self.current == Some(thread) {
            self.current = None;
        }
        if self.handoff == Some(thread) {
            self.handoff = None;
        }
        let Some(detached) = self.threads.get_mut(thread) else { return };
        detached.wait = Wait::Other;
        let queue = core::mem::replace(&mut detached.queue, Queue::None);
        self.leave(thread, queue);
        if let Queue::Entry(entry) = queue {
            self.give_up_place(thread, entry);
        }
    }

    /// Takes a thread out of the queue that it stands in.
    pub(crate) fn leave(&mut self, thread: Ref<Thread<M>>, queue: Queue<M>) {
        match queue {
            Queue::None => {}
            Queue::Ready => self.ready.remove(&mut self.threads, thread.index()),
            Queue::Gate(gate) => {
                if let Some(gate) = self.gates.get_mut(gate) {
                    gate.waiting.remove(&mut self.threads, thread.index());
                    gate.settle();
                }
            }
            Queue::Notification(notification) => {
                if let Some(notification) = self.notifications.get_mut(notification) {
                    notification.waiting.remove(&mut self.threads, thread.index());
                }
            }
            Queue::Thread(receiver) => {
                // The queue's head lies in the arena that its links lie in.
                let Some(found) = self.threads.get(receiver) else { return };
                let mut senders = found.senders;
                let mut cursors = [found.sender_run.cursor, found.search.cursor];
                if cursors.contains(&Some(thread.index())) {
                    let next = senders.after(&mut self.threads, thread.index());
                    for cursor in &mut cursors {
                        if *cursor == Some(thread.index()) {
                            *cursor = next;
                        }
                    }
                }
                senders.remove(&mut self.threads, thread.index());
                if let Some(receiver) = self.threads.get_mut(receiver) {
                    receiver.senders = senders;
                    [receiver.sender_run.cursor, receiver.search.cursor] = cursors;
                }
            }
            Queue::Partner(partner) => {
                let Some(mut listeners) = self.threads.get(partner).map(|t| t.listeners) else {
                    return;
                };
                listeners.remove(&mut self.threads, thread.index());
                if let Some(partner) = self.threads.get_mut(partner) {
                    partner.listeners = listeners;
                }
            }
            Queue::Entry(entry) => {
                if let Some(entry) = self.entries.get_mut(entry) {
                    entry.waiting.remove(&mut self.threads, thread.index());
                }
            }
        }
    }

    /// Puts a thread, which stands in no queue, into one.
    pub(crate) fn enter(&mut self, thread: Ref<Thread<M>>, queue: Queue<M>) {
        let Some(entering) = self.threads.get_mut(thread) else { return };
        entering.queue = queue;
        let priority = entering.effective;
        match queue {
            Queue::None => {}
            Queue::Ready => self.ready.push(&mut self.threads, thread.index(), priority),
            Queue::Gate(gate) => {
                if let Some(gate) = self.gates.get_mut(gate) {
                    gate.waiting.push(&mut self.threads, thread.index(), priority);
                    gate.settle();
                }
            }
            Queue::Notification(notification) => {
                if let Some(notification) = self.notifications.get_mut(notification) {
                    notification.waiting.push(&mut self.threads, thread.index(), priority);
                }
            }
            Queue::Thread(receiver) => {
                let Some(found) = self.threads.get(receiver) else { return };
                let (mut senders, run) = (found.senders, found.sender_run.number);
                let searching = found.search.is_running;
                senders.push(&mut self.threads, thread.index(), priority);
                if let Some(receiver) = self.threads.get_mut(receiver) {
                    receiver.senders = senders;
                    receiver.pending = true;
                }
                if let Some(sender) = self.threads.get_mut(thread) {
                    sender.run_seen = run;
                }
                if searching {
                    self.lead_search(receiver, thread);
                }
            }
            Queue::Partner(partner) => {
                let Some(mut listeners) = self.threads.get(partner).map(|t| t.listeners) else {
                    return;
                };
                listeners.push(&mut self.threads, thread.index(), priority);
                if let Some(partner) = self.threads.get_mut(partner) {
                    partner.listeners = listeners;
                }
            }
            Queue::Entry(entry) => {
                if let Some(entry) = self.entries.get_mut(entry) {
                    entry.waiting.push(&mut self.threads, thread.index(), priority);
                }
            }
        }
    }

    /// Changes the priority that a thread runs at, and its place in the queue
    /// it stands in. Where it is abroad, its crossings follow.
    pub(crate) fn set_effective(&mut self, thread: Ref<Thread<M>>, priority: u8) {
        let Some(changed) = self.threads.get(thread) else { return };
        if changed.effective == priority {
            return;
        }
        let calls = changed.state == State::Calling;
        self.move_to_priority(thread, priority);
        if calls {
            self.refresh_chain(thread);
        }
    }

    /// As [`Kernel::set_effective`], for the one activation.
    pub(crate) fn move_to_priority(&mut self, thread: Ref<Thread<M>>, priority: u8) {
        let Some(changed) = self.threads.get(thread) else { return };
        let (queue, seen) = (changed.queue, changed.run_seen);
        self.leave(thread, queue);
        if let Some(changed) = self.threads.get_mut(thread) {
            changed.effective = priority;
        }
        self.enter(thread, queue);
        if let Queue::Thread(receiver) = queue {
            self.keep_turn(thread, receiver, seen);
        }
        self.attention |= Attention::SCHEDULE;
    }

    /// Ends the slice of the current thread: everybody of its priority that is
    /// ready runs first.
    pub(crate) fn yield_current(&mut self) {
        if let Some(current) = self.current.take() {
            self.enter(current, Queue::Ready);
        }
    }

    /// Sets the deadline of a thread that has none.
    pub(crate) fn set_timeout(&mut self, thread: Ref<Thread<M>>, deadline: u64) {
        self.insert_timeout(TimeoutEntry { deadline, thread: thread.index() });
    }

    /// Enters a deadline of either sort.
    pub(crate) fn insert_timeout(&mut self, entry: TimeoutEntry) {
        let threads = &mut self.threads;
        self.timeouts.insert(entry, |thread, at| remember(threads, thread, at));
    }

    /// Takes out the deadline at a position of the heap.
    pub(crate) fn remove_timeout(&mut self, at: u32) {
        let threads = &mut self.threads;
        self.timeouts.remove(at, |thread, at| remember(threads, thread, at));
    }

    /// Clears the deadline of a thread, if it has one.
    pub(crate) fn clear_timeout(&mut self, thread: Ref<Thread<M>>) {
        let Some(at) = self.threads.get_mut(thread).and_then(|thread| thread.timeout.take()) else {
            return;
        };
        self.remove_timeout(at);
    }

    /// The kernel was entered, or has let interrupts in.
    #[inline(always)]
    pub(crate) fn stretch_begins(&mut self, cause: Cause) {
        if cfg!(debug_assertions) {
            self.clock.entered = Some(self.machine.now());
            self.clock.cause = cause;
        }
    }

    /// What the stretch turns out to be for.
    #[inline(always)]
    pub(crate) fn stretch_is(&mut self, cause: impl FnOnce(Cause) -> Cause) {
        if cfg!(debug_assertions) {
            self.clock.cause = cause(self.clock.cause);
        }
    }

    /// The kernel is about to be left, or to let interrupts in.
    #[inline(always)]
    fn stretch_ends(&mut self) {
        if cfg!(debug_assertions) {
            // The next entry says when the next one begins.
            if let Some(entered) = self.clock.entered.take() {
                let stretch = self.machine.now().saturating_sub(entered);
                if stretch > self.clock.longest.0 {
                    self.clock.longest = (stretch, self.clock.cause);
                }
            }
        }
    }

    /// The timer interrupt: wakes whose deadline has passed, ends the slice. It
    /// may come early, for nothing, or for what is no longer wanted.
    pub fn timer(&mut self) {
        self.stretch_begins(Cause::new(Entry::Timer, 0));
        self.trace(Event::Timer, self.current, [0; 2]);
        self.clock.timers += 1;
        self.clock.armed = None;
        let now = self.machine.now();
        // The rest has its turn at once: the timer is armed for a time that has
        // passed then.
        for _ in 0..EXPIRED {
            let first = self.timeouts.first().filter(|entry| entry.deadline <= now);
            let Some(entry) = first else { break };
            let Some(thread) = self.threads.at(entry.thread & !TimeoutEntry::GRACE) else { break };
            if entry.thread & TimeoutEntry::GRACE != 0 {
                self.quarantine(thread);
            } else {
                self.expire(thread);
            }
        }
        if self.clock.slice_end.is_some_and(|end| end <= now) {
            self.clock.slice_end = None;
            self.yield_current();
        }
        // Who was woken may not run yet, and later deadlines must not be lost.
        self.arm();
    }

    /// The deadline of a waiting thread has passed.
    fn expire(&mut self, thread: Ref<Thread<M>>) {
        let Some(waiting) = self.threads.get(thread) else { return };
        match waiting.state {
            State::Sending | State::Receiving | State::Calling => {
                let error = match waiting.state {
                    State::Sending => self.not_sent_in_time(waiting.queue),
                    _ => ErrorCode::receive(ErrorNumber::Timeout),
                };
                if waiting.diagnose {
                    self.explain_timeout(thread, error);
                }
                self.interrupt_ipc(thread, error);
            }
            State::Sleeping => {
                self.detach(thread);
                self.wake(thread);
            }
            // Only waiting threads have deadlines.
            _ => self.clear_timeout(thread),
        }
    }

    /// Says what the CPU does next, and prepares it: the current thread's
    /// address space is active after [`Next::User`]. Idempotent.
    pub fn decide(&mut self) -> Next {
        let next = self.choose();
        self.stretch_ends();
        next
    }

    fn choose(&mut self) -> Next {
        if self.work_list.is_some() {
            self.step_on_exit();
        }
        if !self.attention.is_empty() {
            self.attend();
        } else if self.current.is_none() {
            self.schedule();
        }
        let running = self.current.and_then(|current| Some((current, self.threads.get(current)?)));
        let Some((reference, current)) = running else {
            if self.work_list.is_some() {
                return Next::Work;
            }
            self.clock.halts += 1;
            return Next::Idle;
        };
        if current.work.is_some() {
            return Next::Work;
        }
        self.threads.choose(reference);
        Next::User
    }

    /// Deals with what has happened since the CPU was last given away.
    #[inline(never)]
    fn attend(&mut self) {
        if self.attention.contains(Attention::SCHEDULE) {
            self.attention -= Attention::SCHEDULE;
            let highest = self.ready.highest();
            // A current thread with a rival of its priority keeps the CPU for
            // the rest of its slice.
            if let Some(current) = self.current
                && self.threads.get(current).map(|thread| thread.effective) < highest
            {
                self.current = None;
                // What is left of its slice is for later: a new one at every
                // interruption would let it starve its equals.
                let left = self
                    .clock
                    .slice_end
                    .take()
                    .map(|end| end.saturating_sub(self.machine.now()).max(1));
                if let Some(thread) = self.threads.get_mut(current) {
                    thread.slice_left = left;
                    thread.queue = Queue::Ready;
                    let priority = thread.effective;
                    self.ready.push_front(&mut self.threads, current.index(), priority);
                }
            }
            self.schedule();
        } else if self.current.is_none() {
            self.schedule();
        }
        if self.attention.contains(Attention::WINDOW) {
            self.activate_current();
        }
    }

    /// What nobody waits for gets on by a step at every way out, unless one was
    /// done already.
    #[cold]
    #[inline(never)]
    fn step_on_exit(&mut self) {
        if !self.stepped {
            self.drain();
        }
        self.stepped = false;
    }

    /// Chooses the current thread, activates its space, arms the timer.
    #[inline(never)]
    fn schedule(&mut self) {
        let mut donated = false;
        if self.current.is_none() {
            let handoff = self.handoff.take();
            let highest = self.ready.highest();
            match handoff {
                Some(thread)
                    if self.threads.get(thread).map(|thread| thread.effective) >= highest =>
                {
                    self.current = Some(thread);
                    donated = true;
                }
                other => {
                    if let Some(thread) = other {
                        self.enter(thread, Queue::Ready);
                    }
                    let next = self.ready.pop(&mut self.threads);
                    self.current = next.and_then(|index| self.threads.at(index));
                    if let Some(thread) = self.current.and_then(|t| self.threads.get_mut(t)) {
                        thread.queue = Queue::None;
                    }
                }
            }
            self.activate_current();
            self.clock.switches += 1;
            self.trace_switch();
        }
        let payer = self.payer();
        let (mut slice, mut rival) = (0, false);
        if let Some(thread) = self.current.and_then(|thread| self.threads.get_mut(thread)) {
            let left = thread.slice_left.take();
            rival = self.ready.has(thread.effective);
            if rival {
                slice = left.unwrap_or(thread.slice);
            }
            if thread.uses_fpu || self.fpu_owner.is_some() {
                self.switch_fpu();
            }
        }
        if donated {
            // On the caller's time: same payer, same slice.
            if rival && self.clock.slice_end.is_none() {
                self.clock.slice_end = Some(self.machine.now() + slice);
            }
        } else {
            let now = self.machine.now();
            self.account(now);
            self.clock.slice_end = match self.clock.slice_end {
                Some(end) if rival && end > now && self.clock.payer == payer => Some(end),
                _ if rival => Some(now + slice),
                _ => None,
            };
            self.clock.payer = payer;
        }
        self.arm();
    }

    /// Loads the address space and the relay window of the current thread.
    /// `false`: there is none.
    #[inline(always)]
    pub(crate) fn activate_current(&mut self) -> bool {
        self.attention -= Attention::WINDOW;
        if let Some(thread) = self.current.and_then(|thread| self.threads.get(thread))
            && let Some(task) = thread.task.and_then(|task| self.tasks.get(task))
            && let Some(space) = &task.space
        {
            self.machine.activate(space, thread.window);
            return true;
        }
        false
    }

    /// Who pays for the time of the current thread.
    fn payer(&self) -> Option<Ref<Thread<M>>> {
        let current = self.current?;
        Some(self.threads.get(current)?.payer.unwrap_or(current))
    }

    /// The current activation has another payer now.
    pub(crate) fn change_payer(&mut self, payer: Ref<Thread<M>>) {
        let now = self.machine.now();
        self.account(now);
        self.clock.payer = Some(payer);
    }

    /// Charges the time since the last call to whom it belongs.
    pub(crate) fn account(&mut self, now: u64) {
        let passed = now.saturating_sub(self.clock.since);
        self.clock.since = now;
        match self.clock.payer {
            None => self.clock.idle += passed,
            Some(payer) => {
                if let Some(payer) = self.threads.get_mut(payer) {
                    payer.time += passed;
                }
            }
        }
    }

    /// Arms the timer for what comes first, if that has changed.
    pub(crate) fn arm(&mut self) {
        let deadline = self.timeouts.first().map(|entry| entry.deadline);
        let wanted = match (deadline, self.clock.slice_end) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if wanted != self.clock.armed {
            self.clock.armed = wanted;
            self.machine.arm(wanted);
        }
    }
}

/// Tells a thread where its deadline is in the heap.
fn remember<M: Machine>(threads: &mut Arena<Thread<M>>, thread: u32, at: u32) {
    let Some(found) = threads.nth_mut(thread & !TimeoutEntry::GRACE) else { return };
    if thread & TimeoutEntry::GRACE == 0 {
        found.timeout = Some(at);
    } else if let Some(context) = found.context_mut() {
        context.grace = Some(at);
    }
}
