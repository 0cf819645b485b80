//! Invariants of relay segments.

use std::collections::HashMap;
use std::vec::Vec;

use crate::Kernel;
use crate::object::thread::State;
use crate::relay::audit::Books;
use crate::relay::ledger::Ledger;
use crate::sim::Sim;

impl Kernel<Sim> {
    /// Each segment has one owner, windows show what they should, masks only
    /// narrow, and views go with the last one who needs them.
    pub(super) fn check_segments(&mut self) {
        let threads: Vec<_> = self.threads.refs().collect();
        let mut activations = Vec::new();
        let mut users: HashMap<u32, u32> = HashMap::new();
        for thread in threads {
            let found = self.threads.get(thread).expect("live");
            let held = found.segments.clone();
            let window = held.active.and_then(|active| active.window);
            assert_eq!(found.window, window, "the cached window of {thread:?}");
            let given = held.active.and_then(|active| held.mask.unwrap_or(active).window);
            assert_eq!(found.given, given, "what {thread:?} would lend");
            let orphan = found.is_context() && found.state != State::Idle;
            let carried = held.loan.is_none() || found.caller.is_some() || orphan;
            assert!(carried, "{thread:?} has a loan, and no right to answer carries it");
            let parked = held.lent.filter(|lent| lent.to.is_none()).map(|lent| lent.given);
            let kept = [held.mask, held.loan.map(|loan| loan.share), parked];
            for share in kept.into_iter().flatten() {
                *users.entry(share.view.index()).or_default() += 1;
                assert!(self.views.get(share.view).is_some(), "a share of a view that is gone");
            }
            if let (Some(mask), Some(active)) = (held.mask, held.active) {
                let [inner, outer] =
                    [mask, active].map(|it| self.views.get(it.view).expect("live"));
                assert_eq!(inner.relay, outer.relay);
                assert!(inner.first >= outer.first);
                assert!(inner.first + inner.pages <= outer.first + outer.pages);
                assert!(active.rights.contains(mask.rights), "a mask that widens");
            }
            activations.push((thread, held));
        }
        for relay in self.relays.refs() {
            let view = self.relays.get(relay).expect("live").view;
            *users.entry(view.index()).or_default() += 1;
        }
        for view in self.views.refs() {
            let counted = users.get(&view.index()).copied().unwrap_or(0);
            let found = self.views.get(view).expect("live");
            assert_eq!(found.users, counted, "users of {view:?}");
            let relay = self.relays.get(found.relay).expect("a view's segment exists");
            if relay.shown < relay.pages || relay.header.listed {
                continue;
            }
            let whole = &self.views.get(relay.view).expect("live").tables.pages;
            let range = found.first..found.first + found.pages;
            let expected: Vec<_> = whole.range(range).map(|(a, b)| (*a, *b)).collect();
            let shows: Vec<_> = found.tables.pages.iter().map(|(a, b)| (*a, *b)).collect();
            assert_eq!(shows, expected, "what {view:?} shows");
            assert_eq!(shows.len() as u64, found.pages);
            if let Some(frames) = &relay.frames {
                let (page, frame) = shows[0];
                assert_eq!(frame, frames.first_page() + page);
            }
        }
        let parked = self.tasks.refs().flat_map(|task| {
            let places = self.tasks.get(task).expect("live").segments.iter().zip(0u8..);
            places.filter_map(move |(share, index)| Some((task, index, (*share)?)))
        });
        let relays = self.relays.refs();
        let books = Books {
            activations,
            parked: parked.collect(),
            relays: relays.map(|relay| (relay, self.owner(relay).expect("live"))).collect(),
        };
        books.audit(|share| self.relay(share).expect("a share's segment exists"));
        self.check_window();
    }

    /// The CPU shows the window of the thread that runs, and nothing else.
    fn check_window(&self) {
        let settled = self.attention.is_empty();
        let Some(thread) = self.current.and_then(|it| self.threads.get(it)).filter(|_| settled)
        else {
            return;
        };
        let space = thread.task.and_then(|task| self.tasks.get(task)?.space.as_ref());
        let Some(space) = space else { return };
        assert_eq!(self.machine.shown, Some((space.id, thread.window)), "what the window shows");
    }
}
