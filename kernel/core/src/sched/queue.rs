//! Queues of threads, as links inside of the threads: the ready queue, and the
//! wait queues of gates and threads, ordered by priority, then by arrival.
//!
//! Every operation takes a number of steps that does not depend on how many
//! threads wait: at most one for each *distinct* priority in the queue, of
//! which there are 256. A thread stands in at most one queue.

use core::cmp::Ordering;

use postern_abi::PRIORITIES;

/// No thread.
const NONE: u32 = u32::MAX;

/// The links of a thread that stands in a queue: a ring of threads of one
/// priority, and for the first of each ring its neighbours by priority.
#[derive(Debug, Clone, Copy)]
pub struct QueueLinks {
    next: u32,
    previous: u32,
    higher: u32,
    lower: u32,
    priority: u8,
}

impl Default for QueueLinks {
    fn default() -> Self {
        Self { next: NONE, previous: NONE, higher: NONE, lower: NONE, priority: 0 }
    }
}

impl QueueLinks {
    /// Whether `thread`, whose links these are and who stands in a queue, is the
    /// only one of its priority there.
    #[inline(always)]
    #[must_use]
    pub fn is_alone(&self, thread: u32) -> bool {
        self.next == thread
    }
}

/// Where the links of threads are kept.
pub trait Threads {
    /// The links of the thread with this arena index, which is in a queue or
    /// about to enter one.
    fn links(&mut self, thread: u32) -> &mut QueueLinks;
}

/// Puts `thread` at the end of the ring that begins with `first`, or makes a
/// ring of it; returns the first of the ring.
fn ring_push(threads: &mut impl Threads, first: u32, thread: u32) -> u32 {
    if first == NONE {
        let links = threads.links(thread);
        (links.next, links.previous) = (thread, thread);
        return thread;
    }
    let last = core::mem::replace(&mut threads.links(first).previous, thread);
    threads.links(last).next = thread;
    let links = threads.links(thread);
    (links.next, links.previous) = (first, last);
    first
}

/// Takes `thread` out of its ring; returns the new first one if the ring began
/// with `first`.
fn ring_remove(threads: &mut impl Threads, first: u32, thread: u32) -> u32 {
    let QueueLinks { next, previous, .. } = *threads.links(thread);
    if next == thread {
        return NONE;
    }
    threads.links(previous).next = next;
    threads.links(next).previous = previous;
    if first == thread { next } else { first }
}

/// Threads that are ready but do not run: a ring for each priority, and a bit
/// for each ring that is not empty.
#[derive(Debug)]
pub struct ReadyQueue {
    bits: [u64; PRIORITIES / 64],
    first: [u32; PRIORITIES],
    /// The highest priority in the queue, plus one; 0: it is empty.
    highest: u16,
    /// The highest priority in the queue; 0: that, or it is empty.
    top: u8,
}

impl Default for ReadyQueue {
    fn default() -> Self {
        Self { bits: [0; PRIORITIES / 64], first: [NONE; PRIORITIES], highest: 0, top: 0 }
    }
}

impl ReadyQueue {
    /// Highest priority of a thread in the queue.
    #[inline(always)]
    #[must_use]
    pub fn highest(&self) -> Option<u8> {
        self.highest.checked_sub(1).map(|highest| highest as u8)
    }

    fn set_highest(&mut self, highest: u16) {
        self.highest = highest;
        self.top = highest.saturating_sub(1) as u8;
    }

    fn find_highest(&self) -> u16 {
        for (index, word) in self.bits.iter().enumerate().rev() {
            if *word != 0 {
                return (index * 64) as u16 + (64 - word.leading_zeros()) as u16;
            }
        }
        0
    }

    /// Whether all threads in the queue are less urgent than this; may be `false`
    /// for priority 0 when the queue is empty.
    #[inline(always)]
    #[must_use]
    pub fn is_below(&self, priority: u8) -> bool {
        self.top < priority
    }

    /// How the threads in the queue compare with this priority: `Greater` is
    /// exact, `Equal` may also mean that there is none, for priority 0.
    #[inline(always)]
    #[must_use]
    pub fn compare(&self, priority: u8) -> Ordering {
        self.top.cmp(&priority)
    }

    /// Whether a thread of this priority is in the queue.
    #[must_use]
    pub fn has(&self, priority: u8) -> bool {
        self.bits[usize::from(priority) / 64] >> (priority % 64) & 1 != 0
    }

    /// Whether this is the highest priority of a thread in the queue; may be
    /// `true` for priority 0 when the queue is empty.
    #[inline(always)]
    #[must_use]
    pub fn is_top(&self, priority: u8) -> bool {
        self.top == priority
    }

    /// The first thread of a priority; an index of no thread if there is none.
    #[inline(always)]
    #[must_use]
    pub fn first(&self, priority: u8) -> u32 {
        self.first[usize::from(priority)]
    }

    /// Puts a thread, whose links are given, in the place of the only one of its
    /// priority ([`QueueLinks::is_alone`]).
    #[inline(always)]
    pub fn put_alone(&mut self, links: &mut QueueLinks, thread: u32, priority: u8) {
        *links = QueueLinks { next: thread, previous: thread, priority, ..*links };
        self.first[usize::from(priority)] = thread;
    }

    /// Puts a thread, whose links are given, into the queue as the first of its
    /// priority and of all. `false`, and nothing has changed: it is not.
    #[inline(always)]
    pub fn push_top(&mut self, links: &mut QueueLinks, thread: u32, priority: u8) -> bool {
        if self.highest > u16::from(priority) {
            return false;
        }
        self.put_alone(links, thread, priority);
        self.bits[usize::from(priority) / 64] |= 1 << (priority % 64);
        (self.highest, self.top) = (u16::from(priority) + 1, priority);
        true
    }

    /// Puts a thread behind all of its priority.
    pub fn push(&mut self, threads: &mut impl Threads, thread: u32, priority: u8) {
        threads.links(thread).priority = priority;
        let first = &mut self.first[usize::from(priority)];
        *first = ring_push(threads, *first, thread);
        self.bits[usize::from(priority) / 64] |= 1 << (priority % 64);
        self.set_highest(self.highest.max(u16::from(priority) + 1));
    }

    /// Puts a thread before all of its priority.
    pub fn push_front(&mut self, threads: &mut impl Threads, thread: u32, priority: u8) {
        self.push(threads, thread, priority);
        // The ring is circular: its last is the one before its first.
        self.first[usize::from(priority)] = thread;
    }

    /// Takes the first thread of the highest priority.
    pub fn pop(&mut self, threads: &mut impl Threads) -> Option<u32> {
        let thread = self.first[usize::from(self.highest()?)];
        self.remove(threads, thread);
        Some(thread)
    }

    /// Takes out a thread that is in the queue.
    pub fn remove(&mut self, threads: &mut impl Threads, thread: u32) {
        let priority = threads.links(thread).priority;
        let first = &mut self.first[usize::from(priority)];
        *first = ring_remove(threads, *first, thread);
        if *first == NONE {
            self.bits[usize::from(priority) / 64] &= !(1 << (priority % 64));
            self.set_highest(self.find_highest());
        }
    }
}

/// Threads that wait for one thing, by priority, then by arrival.
#[derive(Debug, Clone, Copy)]
pub struct WaitQueue {
    highest: u32,
}

impl Default for WaitQueue {
    fn default() -> Self {
        Self { highest: NONE }
    }
}

impl WaitQueue {
    /// Whether nobody waits.
    #[inline(always)]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.highest == NONE
    }

    /// The one to be served first.
    #[must_use]
    pub fn first(&self) -> Option<u32> {
        (self.highest != NONE).then_some(self.highest)
    }

    /// Puts a thread behind all of its priority.
    pub fn push(&mut self, threads: &mut impl Threads, thread: u32, priority: u8) {
        *threads.links(thread) = QueueLinks { priority, ..QueueLinks::default() };
        let (mut above, mut at) = (NONE, self.highest);
        while at != NONE && threads.links(at).priority > priority {
            (above, at) = (at, threads.links(at).lower);
        }
        if at != NONE && threads.links(at).priority == priority {
            ring_push(threads, at, thread);
            return;
        }
        ring_push(threads, NONE, thread);
        self.join(threads, above, thread);
        self.join(threads, thread, at);
    }

    /// Takes out a thread that is in this queue.
    pub fn remove(&mut self, threads: &mut impl Threads, thread: u32) {
        let QueueLinks { higher, lower, .. } = *threads.links(thread);
        let leads = self.highest == thread || higher != NONE;
        let next = ring_remove(threads, thread, thread);
        if !leads {
            return;
        }
        if next == NONE {
            self.join(threads, higher, lower);
        } else {
            self.join(threads, higher, next);
            self.join(threads, next, lower);
        }
    }

    /// The one after `thread`, which is in this queue.
    #[must_use]
    pub fn after(&self, threads: &mut impl Threads, thread: u32) -> Option<u32> {
        let links = *threads.links(thread);
        // The ring's leader is the one that its last member leads back to.
        let mut leader = self.highest;
        while leader != NONE && threads.links(leader).priority != links.priority {
            leader = threads.links(leader).lower;
        }
        let next = if links.next == leader { threads.links(leader).lower } else { links.next };
        (next != NONE).then_some(next)
    }

    /// Makes `lower` the ring below `higher`; either may be missing.
    fn join(&mut self, threads: &mut impl Threads, higher: u32, lower: u32) {
        if higher == NONE {
            self.highest = lower;
        } else {
            threads.links(higher).lower = lower;
        }
        if lower != NONE {
            threads.links(lower).higher = higher;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    struct Plain(Vec<QueueLinks>);

    impl Threads for Plain {
        fn links(&mut self, thread: u32) -> &mut QueueLinks {
            &mut self.0[thread as usize]
        }
    }

    fn order(queue: &WaitQueue, threads: &mut Plain) -> Vec<u32> {
        core::iter::successors(queue.first(), |at| queue.after(threads, *at)).collect()
    }

    proptest! {
        #[test]
        fn a_wait_queue_is_sorted_by_priority_then_arrival(
            work in prop::collection::vec((0u32..32, 0u8..4), 1..150)
        ) {
            let mut threads = Plain(std::vec![QueueLinks::default(); 32]);
            let mut queue = WaitQueue::default();
            let mut model: Vec<(u32, u8)> = Vec::new();
            for (thread, priority) in work {
                if let Some(at) = model.iter().position(|entry| entry.0 == thread) {
                    queue.remove(&mut threads, thread);
                    model.remove(at);
                } else {
                    queue.push(&mut threads, thread, priority);
                    let at = model.partition_point(|entry| entry.1 >= priority);
                    model.insert(at, (thread, priority));
                }
                let expected: Vec<u32> = model.iter().map(|entry| entry.0).collect();
                prop_assert_eq!(order(&queue, &mut threads), expected);
            }
        }

        #[test]
        fn the_ready_queue_gives_the_highest_first(
            work in prop::collection::vec((0u32..32, 0u8..=255, 0u8..4), 1..150)
        ) {
            let mut threads = Plain(std::vec![QueueLinks::default(); 32]);
            let mut queue = ReadyQueue::default();
            let mut model: Vec<(u32, u8)> = Vec::new();
            for (thread, priority, kind) in work {
                let present = model.iter().position(|entry| entry.0 == thread);
                match (kind, present) {
                    (0, _) => {
                        let popped = queue.pop(&mut threads);
                        prop_assert_eq!(popped, (!model.is_empty()).then(|| model.remove(0).0));
                    }
                    (_, Some(at)) => {
                        queue.remove(&mut threads, thread);
                        model.remove(at);
                    }
                    (1, None) => {
                        queue.push_front(&mut threads, thread, priority);
                        model.insert(model.partition_point(|e| e.1 > priority), (thread, priority));
                    }
                    (_, None) => {
                        queue.push(&mut threads, thread, priority);
                        model.insert(model.partition_point(|e| e.1 >= priority), (thread, priority));
                    }
                }
                prop_assert_eq!(queue.highest(), model.first().map(|entry| entry.1));
            }
        }
    }
}
