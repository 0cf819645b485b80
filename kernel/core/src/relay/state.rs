//! The kernel keeps the ledger: holdings in threads, lists in tasks, owners in
//! segments.

use postern_abi::rights::Kind;
use postern_arena::Ref;

use super::ledger::{self, Holdings, Ledger, Owner};
use super::{Share, View};
use crate::Kernel;
use crate::cap::Target;
use crate::machine::Machine;
use crate::object::{Relay, Task, Thread};
use crate::run::Attention;

impl<M: Machine> Ledger for Kernel<M> {
    type Activation = Ref<Thread<M>>;
    type List = Ref<Task<M>>;
    type Relay = Ref<Relay<M>>;
    type Share = Share<M>;

    #[inline]
    fn relay(&self, share: Share<M>) -> Option<Ref<Relay<M>>> {
        self.views.get(share.view).map(|view: &View<M>| view.relay)
    }

    #[inline]
    fn holdings(&mut self, of: Ref<Thread<M>>) -> Option<&mut Holdings<Ref<Thread<M>>, Share<M>>> {
        let thread = self.threads.get_mut(of)?;
        // Whoever asks may change them.
        thread.back = Ref::NOWHERE;
        Some(&mut thread.segments)
    }

    fn place(&mut self, list: Ref<Task<M>>, index: usize) -> Option<&mut Option<Share<M>>> {
        self.tasks.get_mut(list)?.segments.get_mut(index)
    }

    #[inline]
    fn owner(&self, relay: Ref<Relay<M>>) -> Option<Owner<Ref<Thread<M>>, Ref<Task<M>>>> {
        self.relays.get(relay).map(|relay| relay.owner)
    }

    #[inline]
    fn set_owner(&mut self, relay: Ref<Relay<M>>, owner: Owner<Ref<Thread<M>>, Ref<Task<M>>>) {
        let Some(found) = self.relays.get_mut(relay) else { return };
        found.owner = owner;
        if !found.header.dying {
            return;
        }
        // It was only kept for its borrower.
        match owner {
            Owner::Lent(_) => {}
            Owner::Idle => self.list_work(Target::new(Kind::Relay, relay)),
            Owner::Active(_) | Owner::Parked(..) => ledger::relay_gone(self, relay),
        }
    }

    #[inline]
    fn keep(&mut self, share: Share<M>) {
        if let Some(view) = self.views.get_mut(share.view) {
            view.users += 1;
        }
    }

    #[inline]
    fn drop_share(&mut self, share: Share<M>) {
        let Some(view) = self.views.get_mut(share.view) else { return };
        view.users -= 1;
        if view.users == 0 {
            self.remove_view(share.view);
        }
    }

    #[inline]
    fn changed(&mut self, activation: Ref<Thread<M>>) {
        let Some(thread) = self.threads.get_mut(activation) else { return };
        let held = &thread.segments;
        let window = held.active.map_or_else(Default::default, |it| it.window);
        let given = held.active.and_then(|active| held.mask.or(Some(active)));
        thread.given = given.map_or_else(Default::default, |it| it.window);
        let shows_else = core::mem::replace(&mut thread.window, window) != window;
        if shows_else && self.current == Some(activation) {
            self.attention |= Attention::WINDOW;
        }
    }
}
