//! Revocation: taking back everything that was derived from a capability, and
//! everything that was made through a factory.
//!
//! Both can be long, so both go on in bounded steps. The progress is in the
//! tree and in the lists themselves, which only shrink meanwhile: while an
//! object is being revoked, nothing new is derived from its capabilities, and
//! while a factory is being emptied, nothing new is made through it. When the
//! one who asked is gone, the object is on the list of work and the rest is done
//! from there.

use postern_abi::rights::Kind;
use postern_abi::{ErrorCode, ErrorNumber};
use postern_arena::{Arena, Ref};

use crate::Kernel;
use crate::cap::{Node, Slot, SlotId, Target};
use crate::machine::Machine;
use crate::object::{Factory, Header, Listed};

/// Capabilities or objects that one step takes away.
const STEP: usize = 8;

impl<M: Machine> Kernel<M> {
    /// `Busy` while the object's capabilities are being taken back, or those of
    /// a memory that it was cut off.
    pub(crate) fn check_derivable(&self, target: Target, argument: u8) -> Result<(), ErrorCode> {
        match self.header(target) {
            Some(Header { revoking: Some(_), .. }) => {
                Err(ErrorCode::new(ErrorNumber::Busy, argument))
            }
            _ if target.kind == Kind::Memory && self.is_revoked_above(target.reference()) => {
                Err(ErrorCode::new(ErrorNumber::Busy, argument))
            }
            _ => Ok(()),
        }
    }

    /// Whether this very slot is the root of a revocation under way.
    pub(crate) fn is_revoking(&self, at: SlotId) -> bool {
        let target = self.slot(at).and_then(Slot::target);
        let header = target.and_then(|target| self.header(target));
        header.is_some_and(|header| header.revoking == Some(at))
    }

    /// Begins to revoke what hangs below a slot.
    pub(crate) fn begin_revoke(&mut self, at: SlotId, target: Target) {
        if let Some(header) = self.header_mut(target) {
            header.revoking = Some(at);
        }
    }

    /// Takes away some of what was derived from the capability in `at`; `true`
    /// when nothing is left.
    pub(crate) fn revoke_step(&mut self, at: SlotId, target: Target) -> bool {
        self.stepped = true;
        for _ in 0..STEP {
            let slot = self.slot(at).filter(|slot| slot.target() == Some(target));
            match slot.and_then(|slot| slot.links.first_child()).map(|child| child.node()) {
                // Children of a removed capability move up, so this ends.
                Some(Node::Slot(child)) => self.clear(child),
                Some(Node::Mapping(index)) => {
                    self.unmap_step(index);
                    return false;
                }
                None => {
                    if let Some(header) = self.header_mut(target)
                        && header.revoking == Some(at)
                    {
                        header.revoking = None;
                    }
                    return true;
                }
            }
        }
        false
    }

    /// Begins to destroy everything made through a factory.
    pub(crate) fn empty_factory(&mut self, reference: Ref<Factory>) {
        if let Some(factory) = self.factories.get_mut(reference) {
            factory.emptying = true;
            self.list_work(Target::new(Kind::Factory, reference));
        }
    }

    /// Destroys some of the objects of a factory; `true` when none is left.
    pub(crate) fn empty_step(&mut self, reference: Ref<Factory>) -> bool {
        for _ in 0..STEP {
            let Some(factory) = self.factories.get_mut(reference) else { return true };
            let Some(first) = factory.objects else {
                factory.emptying = false;
                return true;
            };
            if self.header(first).is_some_and(|header| header.dying && header.listed) {
                // It is listed before this factory: its turn comes first, but
                // for one whose destruction somebody began earlier.
                self.unlist_work(first);
                self.list_work(first);
                return false;
            }
            if first.kind == Kind::Factory {
                if let Some(inner) = self.factories.get_mut(first.reference()) {
                    inner.closed = true;
                    inner.header.dying = true;
                }
                self.empty_factory(first.reference());
                return false;
            }
            self.destroy(first);
        }
        false
    }

    /// Puts an object on the list of work, at its front.
    pub(crate) fn list_work(&mut self, target: Target) {
        let next = self.work_list;
        let Some(header) = self.header_mut(target) else { return };
        if core::mem::replace(&mut header.listed, true) {
            return;
        }
        header.of_work = (next, None);
        let this = Listed::from(target);
        self.work_list = Some(this);
        self.settle_paths();
        if let Some(next) = self.listed_header(next) {
            next.of_work.1 = Some(this);
        }
    }

    /// Takes an object off the list of work.
    pub(crate) fn unlist_work(&mut self, target: Target) {
        let Some(header) = self.header_mut(target) else { return };
        if !core::mem::replace(&mut header.listed, false) {
            return;
        }
        let (next, previous) = core::mem::take(&mut header.of_work);
        match self.listed_header(previous) {
            Some(previous) => previous.of_work.0 = next,
            None => {
                self.work_list = next;
                self.settle_paths();
            }
        }
        if let Some(next) = self.listed_header(next) {
            next.of_work.1 = previous;
        }
    }

    fn listed_header(&mut self, listed: Option<Listed>) -> Option<&mut Header> {
        let target = self.listed(listed?)?;
        self.header_mut(target)
    }

    /// An object on the list of work, as others name it.
    pub(crate) fn listed(&self, listed: Listed) -> Option<Target> {
        fn at<T>(arena: &Arena<T>, Listed { kind, index }: Listed) -> Option<Target> {
            Some(Target::new(kind, arena.at(index)?))
        }
        match listed.kind {
            Kind::Factory => at(&self.factories, listed),
            Kind::Task => at(&self.tasks, listed),
            Kind::Thread => at(&self.threads, listed),
            Kind::Gate => at(&self.gates, listed),
            Kind::Memory => at(&self.memories, listed),
            Kind::Notification => at(&self.notifications, listed),
            Kind::IoPort => at(&self.ports, listed),
            Kind::Entry => at(&self.entries, listed),
            Kind::Relay => at(&self.relays, listed),
            Kind::Irq | Kind::Scheduler | Kind::Log => {
                Some(Target::value(listed.kind, listed.index))
            }
            Kind::Reply => None,
        }
    }

    /// Enters a new object into the list of its factory.
    pub(crate) fn enlist(&mut self, target: Target) {
        let Some(factory) = self.header(target).map(|header| header.factory) else { return };
        let Some(factory) = self.factories.get_mut(factory) else { return };
        let next = factory.objects.replace(target).map(Listed::from);
        if let Some(next) = self.listed_header(next) {
            next.of_factory.1 = Some(target.into());
        }
        if let Some(header) = self.header_mut(target) {
            header.of_factory = (next, None);
        }
    }

    /// Takes an object, if it is still there, out of the list of its factory,
    /// though it stays charged there.
    pub(crate) fn detach_from_factory(&mut self, target: Target) {
        let Some(header) = self.header(target).copied() else { return };
        self.unlink_from_factory(&header);
        if let Some(header) = self.header_mut(target) {
            header.detached = true;
        }
    }

    /// Takes an object that is about to go, or has just gone, out of the list
    /// of its factory.
    pub(crate) fn unlink_from_factory(&mut self, header: &Header) {
        if header.detached {
            return;
        }
        let (next, previous) = header.of_factory;
        if let Some(next) = self.listed_header(next) {
            next.of_factory.1 = previous;
        }
        if previous.is_some() {
            if let Some(previous) = self.listed_header(previous) {
                previous.of_factory.0 = next;
            }
            return;
        }
        let first = next.and_then(|next| self.listed(next));
        if let Some(factory) = self.factories.get_mut(header.factory) {
            factory.objects = first;
        }
    }

    /// The account of an object that has gone: out of its factory's list, and
    /// its charge back.
    pub(crate) fn close_account(&mut self, header: &Header, more: u64) {
        self.unlink_from_factory(header);
        self.refund(header.factory, header.charge + more);
    }
}
