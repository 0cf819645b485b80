//! Deadlines of waiting threads: a binary heap in a table that has room for
//! every thread and for contexts twice, so that setting a deadline never
//! allocates.

use postern_arena::Table;

/// A deadline in the heap.
#[derive(Debug, Clone, Copy, Default)]
pub struct TimeoutEntry {
    /// Nanoseconds since boot.
    pub deadline: u64,
    /// Arena index of the thread, with [`TimeoutEntry::GRACE`] if it is the end
    /// of a context's grace time and not of a wait.
    pub thread: u32,
}

impl TimeoutEntry {
    /// Bit of `thread`: the deadline ends a grace time.
    pub const GRACE: u32 = 1 << 31;
}

/// The heap. Threads are told where their entry is through the `moved`
/// callbacks, so that it can be taken out again.
pub struct Timeouts {
    heap: Table<TimeoutEntry>,
    len: usize,
}

impl Timeouts {
    /// An empty heap in an empty table.
    #[must_use]
    pub fn new(heap: Table<TimeoutEntry>) -> Self {
        Self { heap, len: 0 }
    }

    /// The table, to be grown before there are more threads than it has room
    /// for.
    pub fn table(&mut self) -> &mut Table<TimeoutEntry> {
        &mut self.heap
    }

    /// The earliest deadline.
    #[inline]
    #[must_use]
    pub fn first(&self) -> Option<TimeoutEntry> {
        (self.len > 0).then(|| self.heap[0])
    }

    /// Enters a deadline for a thread that has none.
    pub fn insert(&mut self, entry: TimeoutEntry, moved: impl FnMut(u32, u32)) {
        debug_assert!(self.len < self.heap.len(), "the table grows with the number of threads");
        let at = self.len;
        self.len += 1;
        self.heap[at] = entry;
        self.up(at, moved);
    }

    /// Takes out the deadline at position `at`.
    pub fn remove(&mut self, at: u32, mut moved: impl FnMut(u32, u32)) {
        let at = at as usize;
        self.len -= 1;
        if at == self.len {
            return;
        }
        self.heap[at] = self.heap[self.len];
        if at > 0 && self.heap[at].deadline < self.heap[(at - 1) / 2].deadline {
            self.up(at, moved);
        } else {
            self.down(at, &mut moved);
        }
    }

    fn up(&mut self, mut at: usize, mut moved: impl FnMut(u32, u32)) {
        while at > 0 {
            let parent = (at - 1) / 2;
            if self.heap[parent].deadline <= self.heap[at].deadline {
                break;
            }
            self.heap.swap(parent, at);
            moved(self.heap[at].thread, at as u32);
            at = parent;
        }
        moved(self.heap[at].thread, at as u32);
    }

    fn down(&mut self, mut at: usize, moved: &mut impl FnMut(u32, u32)) {
        loop {
            let left = 2 * at + 1;
            let right = left + 1;
            let mut least = at;
            if left < self.len && self.heap[left].deadline < self.heap[least].deadline {
                least = left;
            }
            if right < self.len && self.heap[right].deadline < self.heap[least].deadline {
                least = right;
            }
            if least == at {
                break;
            }
            self.heap.swap(least, at);
            moved(self.heap[at].thread, at as u32);
            at = least;
        }
        moved(self.heap[at].thread, at as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_arena::host::Space;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::vec;

    proptest! {
        #[test]
        fn g09_deadlines_come_in_order(
            work in prop::collection::vec((0u32..64, 0u64..40, 0u8..3), 1..300)
        ) {
            let mut space = Space::new(1);
            let mut table = Table::new(space.region());
            let at = table.next_page().expect("room");
            prop_assert!(table.grow(space.page(at), |_| TimeoutEntry::default()).is_ok());
            let mut timeouts = Timeouts::new(table);
            // Where each thread's entry is, and what must be in the heap.
            let mut places = vec![None; 64];
            let mut model: BTreeSet<(u64, u32)> = BTreeSet::new();
            for (thread, deadline, kind) in work {
                let old = model.iter().find(|entry| entry.1 == thread).copied();
                let thread = match (kind, timeouts.first()) {
                    // The first one expires.
                    (0, Some(first)) => first.thread,
                    _ => thread,
                };
                let at: Option<u32> = places[thread as usize].take();
                if let Some(at) = at {
                    timeouts.remove(at, |thread, at| places[thread as usize] = Some(at));
                    model.retain(|entry| entry.1 != thread);
                } else if kind != 0 && old.is_none() {
                    let entry = TimeoutEntry { deadline, thread };
                    timeouts.insert(entry, |thread, at| places[thread as usize] = Some(at));
                    model.insert((deadline, thread));
                }
                let first = timeouts.first().map(|entry| entry.deadline);
                prop_assert_eq!(first, model.first().map(|entry| entry.0));
                for (deadline, thread) in &model {
                    let at = places[*thread as usize].expect("it has an entry") as usize;
                    let entry = timeouts.heap[at];
                    prop_assert_eq!((entry.deadline, entry.thread), (*deadline, *thread));
                }
            }
        }
    }
}
