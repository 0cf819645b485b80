//! Invariants of the whole kernel state, for tests on the host: what must hold
//! after every operation, whatever user programs do.

mod crossings;
mod paths;
mod segments;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::vec::Vec;

use postern_abi::PAGE;
use postern_abi::rights::Kind;
use postern_arena::Ref;

use crate::Kernel;
use crate::cap::{Node, NodeId, SlotId, Target};
use crate::machine::Access;
use crate::object::thread::{Queue, Source, State};
use crate::object::{Binding, Thread};
use crate::sim::Sim;

impl Kernel<Sim> {
    /// Checks every invariant.
    ///
    /// # Panics
    /// With a description, if one is broken.
    pub fn check(&mut self) {
        self.check_capabilities();
        self.check_threads();
        self.check_crossings();
        self.check_quotas();
        self.check_frames();
        self.check_mappings();
        self.check_segments();
        self.check_parts();
        self.check_paths();
    }

    /// Counts of capabilities are right, and rights only shrink downwards.
    fn check_capabilities(&mut self) {
        let mut counts: HashMap<(u8, u32, u32), u32> = HashMap::new();
        let tasks: Vec<_> = self.tasks.refs().collect();
        let mut seen: BTreeSet<NodeId> = BTreeSet::new();
        for task in &tasks {
            let table = &self.tasks.get(*task).expect("live").table;
            let used = table.iter().filter(|slot| !slot.is_empty()).count();
            assert_eq!(used, self.tasks.get(*task).expect("live").slots_used as usize);
            let unlinked = table.iter().all(|slot| !slot.is_empty() || slot.links.is_alone());
            assert!(unlinked, "an empty slot is linked");
            let numbered = table.iter().zip(0u32..);
            let full: Vec<u32> =
                numbered.filter(|(slot, _)| !slot.is_empty()).map(|(_, number)| number).collect();
            for slot in full {
                let id = SlotId::new(task.index(), slot);
                let found = *self.slot(id).expect("in the table");
                let Some(target) = found.target() else { continue };
                *counts.entry((target.kind as u8, target.index, target.generation)).or_default() +=
                    1;
                let mut child = found.links.first_child();
                while let Some(node) = child {
                    assert!(seen.insert(node), "{node:?} has two parents");
                    child = self.check_child(node, target, found.rights());
                }
            }
        }
        for kind in [
            Kind::Factory,
            Kind::Task,
            Kind::Thread,
            Kind::Gate,
            Kind::Entry,
            Kind::Memory,
            Kind::Notification,
            Kind::IoPort,
            Kind::Relay,
        ] {
            for target in self.all(kind) {
                let counted = counts
                    .get(&(kind as u8, target.index, target.generation))
                    .copied()
                    .unwrap_or(0);
                let header = self.header(target).expect("live");
                assert_eq!(header.capabilities, counted, "capabilities of {target:?}");
            }
        }
        self.check_built_in(&counts);
    }

    /// The same for what is there from boot on.
    fn check_built_in(&self, counts: &HashMap<(u8, u32, u32), u32>) {
        let counted = |kind: Kind, index: Option<u32>| -> u32 {
            let mine = counts.iter().filter(|((of, at, _), _)| {
                *of == kind as u8 && index.is_none_or(|index| index == *at)
            });
            mine.map(|(_, count)| count).sum()
        };
        assert_eq!(self.scheduler.capabilities, counted(Kind::Scheduler, None));
        assert_eq!(self.log.capabilities, counted(Kind::Log, None));
        for (irq, line) in self.irqs.iter().zip(0..) {
            assert_eq!(irq.header.capabilities, counted(Kind::Irq, Some(line)), "line {line}");
        }
    }

    /// Checks a child against its parent; returns its next sibling.
    fn check_child(
        &mut self,
        node: NodeId,
        parent: Target,
        rights: postern_abi::Rights,
    ) -> Option<NodeId> {
        let (links, target, held) = match node.node() {
            Node::Slot(id) => {
                let slot = self.slot(id).expect("a child exists");
                (slot.links, slot.target(), slot.rights())
            }
            Node::Mapping(index) => {
                let mapping = self.mappings.nth(index).expect("a child exists");
                let target = Target::new(Kind::Memory, mapping.memory);
                (mapping.links, Some(target), mapping.rights)
            }
        };
        // A part that was cut off a memory hangs below the capability used.
        let split = matches!(parent.kind, Kind::Memory | Kind::Scheduler)
            && target.is_some_and(|it| it.kind == parent.kind);
        assert!(target == Some(parent) || split, "a child names another object than its parent");
        assert!(rights.contains(held), "{held:?} grew out of {rights:?}");
        links.next_sibling()
    }

    /// References to all objects of a kind.
    fn all(&self, kind: Kind) -> Vec<Target> {
        fn targets<T>(arena: &postern_arena::Arena<T>, kind: Kind) -> Vec<Target> {
            arena.refs().map(|reference| Target::new(kind, reference)).collect()
        }
        match kind {
            Kind::Factory => targets(&self.factories, kind),
            Kind::Task => targets(&self.tasks, kind),
            Kind::Thread => targets(&self.threads, kind),
            Kind::Gate => targets(&self.gates, kind),
            Kind::Entry => targets(&self.entries, kind),
            Kind::Memory => targets(&self.memories, kind),
            Kind::Notification => targets(&self.notifications, kind),
            Kind::IoPort => targets(&self.ports, kind),
            Kind::Relay => targets(&self.relays, kind),
            _ => Vec::new(),
        }
    }

    /// Every thread is where its state says, and no waiting one is forgotten.
    fn check_threads(&mut self) {
        let refs: Vec<_> = self.threads.refs().collect();
        let mut queued: BTreeMap<u32, usize> = BTreeMap::new();
        for gate in self.gates.refs().collect::<Vec<_>>() {
            let queue = self.gates.get(gate).expect("live").waiting;
            let mut at = queue.first();
            while let Some(index) = at {
                let thread = self.threads.nth(index).expect("a queued thread exists");
                assert!(matches!(thread.queue, Queue::Gate(it) if it == gate));
                let alive = thread.is_alive();
                let gate = self.gates.get(gate).expect("live");
                let full = matches!(gate.target, Binding::Entry(_)) && gate.is_full();
                let unbound = matches!(gate.target, Binding::Unbound);
                assert!(unbound || full || gate.header.listed || !alive, "held back at a gate");
                *queued.entry(index).or_default() += 1;
                at = queue.after(&mut self.threads, index);
            }
        }
        for entry in self.entries.refs().collect::<Vec<_>>() {
            let found = self.entries.get(entry).expect("live");
            let (queue, open) = (found.waiting, self.is_open(entry));
            assert!(
                queue.is_empty() || found.free.is_none() || found.header.listed || !open,
                "a free context and a caller that waits"
            );
            let mut at = queue.first();
            while let Some(index) = at {
                let thread = self.threads.nth(index).expect("a queued thread exists");
                assert!(matches!(thread.queue, Queue::Entry(it) if it == entry));
                assert!(thread.message.is_some(), "a caller without a message");
                *queued.entry(index).or_default() += 1;
                at = queue.after(&mut self.threads, index);
            }
        }
        for reference in self.notifications.refs().collect::<Vec<_>>() {
            let found = self.notifications.get(reference).expect("live");
            let (queue, bits, bound) = (found.waiting, found.bits, found.bound);
            assert!(bits == 0 || queue.is_empty(), "signals, and somebody waits for them");
            if let Some(bound) = bound.and_then(|bound| self.threads.get(bound)) {
                assert_eq!(bound.notification, Some(reference), "a one-sided binding");
                let waits = bound.state == State::Receiving
                    && matches!(bound.source, crate::object::thread::Source::Open);
                assert!(bits == 0 || !waits, "signals, and the bound thread waits for them");
            }
            let mut at = queue.first();
            while let Some(index) = at {
                let thread = self.threads.nth(index).expect("a queued thread exists");
                assert_eq!(thread.state, State::Receiving);
                assert!(matches!(thread.queue, Queue::Notification(it) if it == reference));
                *queued.entry(index).or_default() += 1;
                at = queue.after(&mut self.threads, index);
            }
        }
        for receiver in &refs {
            let queue = self.threads.get(*receiver).expect("live").senders;
            let mut at = queue.first();
            while let Some(index) = at {
                let thread = self.threads.nth(index).expect("a queued thread exists");
                assert!(matches!(thread.queue, Queue::Thread(it) if it == *receiver));
                assert!(thread.message.is_some(), "a sender without a message");
                *queued.entry(index).or_default() += 1;
                at = queue.after(&mut self.threads, index);
            }
            let queue = self.threads.get(*receiver).expect("live").listeners;
            let mut at = queue.first();
            while let Some(index) = at {
                let thread = self.threads.nth(index).expect("a queued thread exists");
                assert!(matches!(thread.queue, Queue::Partner(it) if it == *receiver));
                assert!(matches!(thread.source, Source::Partner(it) if it == *receiver));
                assert_eq!(thread.state, State::Receiving);
                *queued.entry(index).or_default() += 1;
                at = queue.after(&mut self.threads, index);
            }
            self.check_run(*receiver);
        }
        for reference in &refs {
            let thread = self.threads.get(*reference).expect("live");
            let in_queue = queued.get(&reference.index()).copied().unwrap_or(0);
            assert!(in_queue <= 1, "a thread in two queues");
            match thread.state {
                State::Ready => {
                    let runs = self.current == Some(*reference) || self.handoff == Some(*reference);
                    let ready = matches!(thread.queue, Queue::Ready);
                    assert!(runs != ready, "{reference:?} ready: runs {runs}, queued {ready}");
                }
                State::Sending => assert_eq!(in_queue, 1, "a forgotten sender"),
                State::Receiving => match thread.source {
                    Source::Open => {
                        assert!(matches!(thread.queue, Queue::None));
                        assert!(thread.senders.is_empty(), "a receiver that overlooks a sender");
                    }
                    Source::Partner(partner) => {
                        assert_eq!(in_queue, 1, "a receiver that its partner does not know");
                        let partner = self.threads.get(partner).expect("a partner exists");
                        let is_sending =
                            matches!(partner.queue, Queue::Thread(at) if at == *reference);
                        assert!(!is_sending, "a receiver that overlooks its partner");
                    }
                    Source::Notification(_) => assert_eq!(in_queue, 1, "a forgotten waiter"),
                    Source::Gate(_) => assert!(matches!(thread.queue, Queue::None)),
                },
                State::Calling => {
                    let rights = refs.iter().filter(|other| {
                        let caller = self.threads.get(**other).expect("live").caller;
                        caller.is_some_and(|it| {
                            it.thread == *reference && it.number == thread.call_number
                        })
                    });
                    let held = rights.count() + usize::from(self.is_saved(*reference));
                    assert_eq!(held, 1, "who can answer {reference:?}");
                }
                State::Sleeping => assert!(thread.timeout.is_some(), "sleeps for ever"),
                _ => assert!(self.current != Some(*reference)),
            }
            let own = thread.priority;
            assert!(thread.effective >= own, "runs below its own priority");
            if thread.caller.is_none() {
                assert_eq!(thread.effective, own, "a lent priority that was not given back");
            }
        }
    }

    /// A run of modify senders still comes to everybody that it has not passed.
    fn check_run(&mut self, receiver: Ref<Thread<Sim>>) {
        let thread = self.threads.get(receiver).expect("live");
        let (queue, run) = (thread.senders, thread.sender_run);
        assert!(run.is_running || run.cursor.is_none(), "a cursor that nobody moves");
        let (mut at, mut comes) = (queue.first(), false);
        while let Some(index) = at {
            comes |= run.cursor == at;
            let seen = self.threads.nth(index).expect("a queued thread exists").run_seen;
            assert!(!run.is_running || comes || seen == run.number, "a run overlooks a sender");
            at = queue.after(&mut self.threads, index);
        }
        assert!(run.cursor.is_none() || comes, "the cursor is not in the queue");
        self.check_search(receiver);
    }

    /// Nobody whom a receive through one gate waits for, or searches for behind
    /// its cursor, stands in the queue.
    fn check_search(&mut self, receiver: Ref<Thread<Sim>>) {
        let thread = self.threads.get(receiver).expect("live");
        let (queue, search, alive) = (thread.senders, thread.search, thread.is_alive());
        let receives = matches!(thread.work, Some(crate::work::Work::Receive { .. }));
        assert!(!search.is_running || receives || !alive, "a search that nobody goes on with");
        let Source::Gate(gate) = thread.source else { return };
        let waits = thread.state == State::Receiving;
        let (mut at, mut overlooked) = (queue.first(), waits || search.is_running && alive);
        while let Some(index) = at {
            overlooked &= search.cursor != at || waits;
            let message = self.threads.nth(index).expect("a queued thread exists").message;
            let through = message.is_some_and(|message| message.gate == gate);
            assert!(!(overlooked && through), "a receive overlooks a sender");
            at = queue.after(&mut self.threads, index);
        }
        assert!(search.cursor.is_none() || !overlooked, "the cursor is not in the queue");
    }

    /// Whether the right to answer a thread's call is in some slot.
    fn is_saved(&self, caller: Ref<Thread<Sim>>) -> bool {
        let number = self.threads.get(caller).map(|thread| thread.call_number);
        self.tasks.refs().any(|task| {
            let table = &self.tasks.get(task).expect("live").table;
            table.iter().filter_map(|slot| slot.target()).any(|target| {
                target.kind == Kind::Reply
                    && target.reference() == caller
                    && Some(target.extra) == number
            })
        })
    }

    /// Every factory is charged exactly what its objects cost.
    fn check_quotas(&mut self) {
        let mut charged: HashMap<u32, u64> = HashMap::new();
        for kind in Kind::ALL {
            for target in self.all(kind) {
                let header = self.header(target).expect("live");
                let mut bytes = header.charge;
                if kind == Kind::Task {
                    bytes += self.tasks.get(target.reference()).expect("live").page_tables;
                }
                if kind == Kind::Relay {
                    bytes += self.relays.get(target.reference()).expect("live").tables;
                }
                *charged.entry(header.factory.index()).or_default() += bytes;
            }
        }
        for mapping in self.mappings.refs() {
            let task = self.mappings.get(mapping).expect("live").task;
            let factory = self.tasks.get(task).expect("a mapping has a task").header.factory;
            *charged.entry(factory.index()).or_default() += crate::mem::MAPPING_COST;
        }
        for view in self.views.refs() {
            let view = self.views.get(view).expect("live");
            if let Some(factory) = view.factory {
                *charged.entry(factory.index()).or_default() += view.charge;
            }
        }
        for factory in self.factories.refs() {
            let found = self.factories.get(factory).expect("live");
            let expected = charged.get(&factory.index()).copied().unwrap_or(0);
            assert_eq!(found.used, expected, "what {factory:?} is charged");
            assert!(found.used <= found.quota, "a quota is overdrawn");
        }
    }

    /// Every page frame is free, or has an owner.
    fn check_frames(&mut self) {
        let memory: u64 = self
            .memories
            .refs()
            .map(|memory| self.memories.get(memory).expect("live"))
            .filter(|memory| memory.header.charge >= memory.frames.bytes())
            .map(|memory| memory.frames.pages())
            .sum();
        let relays = self.relays.refs().filter_map(|relay| self.relays.get(relay));
        let whole = relays.filter_map(|relay| relay.frames.as_ref());
        let memory = memory + whole.map(|frames| frames.pages()).sum::<u64>();
        assert_eq!(
            self.frames.free_pages() + memory + self.machine.held,
            self.frames.total_pages(),
            "frames are lost or used twice"
        );
        let spare = [
            self.threads.spare_pages(),
            self.gates.spare_pages(),
            self.tasks.spare_pages(),
            self.factories.spare_pages(),
            self.memories.spare_pages(),
            self.mappings.spare_pages(),
            self.notifications.spare_pages(),
            self.ports.spare_pages(),
            self.relays.spare_pages(),
            self.views.spare_pages(),
        ];
        assert_eq!(spare, [0; 10], "pages of arenas without an object");
    }

    /// Every part of a memory knows one that is there, and is known to it.
    fn check_parts(&self) {
        let mut known = BTreeSet::new();
        for memory in self.memories.refs() {
            known.extend(self.parts_of(memory).map(|part| (memory.index(), part.index())));
        }
        let mut expected = BTreeSet::new();
        for memory in self.memories.refs() {
            if let Some(origin) = self.memories.get(memory).expect("live").family.origin {
                assert!(self.memories.get(origin).is_some(), "a part of what is gone");
                expected.insert((origin.index(), memory.index()));
            }
        }
        assert_eq!(known, expected, "parts of memories");
    }

    /// The page tables show what the mapping records say, and nothing else.
    fn check_mappings(&mut self) {
        for task in self.tasks.refs() {
            let task_ref = task;
            let task = self.tasks.get(task).expect("live");
            let Some(space) = task.space.as_ref().filter(|_| !task.header.dying) else { continue };
            let busy = self
                .threads
                .refs()
                .any(|thread| self.threads.get(thread).expect("live").work.is_some());
            if busy || self.work_list.is_some() {
                continue;
            }
            let mut expected = BTreeMap::new();
            for mapping in self.mappings.refs() {
                let mapping = self.mappings.get(mapping).expect("live");
                if mapping.task != task_ref {
                    continue;
                }
                let memory = self.memories.get(mapping.memory).expect("mapped memory exists");
                for page in 0..mapping.pages {
                    let frame = memory.frames.first_page() + mapping.first + page;
                    let writes = mapping.rights.contains(postern_abi::Rights::W);
                    expected.insert(mapping.at / PAGE + page, (frame, writes));
                }
            }
            let utcbs = postern_abi::address::UTCB_START / PAGE;
            let found: BTreeMap<u64, (u64, bool)> = space
                .pages
                .iter()
                .filter(|(page, _)| **page < utcbs)
                .map(|(page, (frame, access))| (*page, (*frame, access.contains(Access::W))))
                .collect();
            assert_eq!(found, expected, "page tables and records differ");
            assert!(space.spare_tables() == 0, "an empty page table");
        }
    }
}
