//! Views: what a window can show, with page tables that exist before they are
//! needed.
//!
//! A segment has a view of all of it, made with it; a mask makes one of a part,
//! of at most five tables, which shares the rest of the segment's. Tables are
//! built fresh and never change while a window may show them. A view must never
//! outlive its segment.

use core::fmt;

use postern_abi::address::WINDOW_START;
use postern_abi::{ErrorCode, ErrorNumber, PAGE, Rights};
use postern_arena::{Arena, Ref};

use crate::Kernel;
use crate::account::{Charged, NO_FRAMES, QUOTA, cost, make_room, take_out};
use crate::machine::Machine;
use crate::object::{Factory, Relay, Thread};
use crate::run::Attention;

/// A range of a segment, and the page tables that show it.
pub struct View<M: Machine> {
    /// The segment.
    pub relay: Ref<Relay<M>>,
    /// First page of it that is shown.
    pub first: u64,
    /// Number of pages.
    pub pages: u64,
    /// The tables.
    pub tables: M::Tables,
    /// The segment (for the view of all of it), masks and loans that refer to
    /// it; it goes with the last.
    pub users: u32,
    /// Who pays, if not the segment.
    pub factory: Option<Ref<Factory>>,
    /// Bytes charged there.
    pub charge: u64,
}

/// What a window shows, and whether writing is allowed: as cheap to copy as a
/// page-table entry.
pub struct Share<M: Machine> {
    /// The range.
    pub view: Ref<View<M>>,
    /// R; W if it may be written; PHYS if the physical address may be known.
    pub rights: Rights,
    /// The window's value.
    pub window: M::Window,
}

impl<M: Machine> Clone for Share<M> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<M: Machine> Copy for Share<M> {}
impl<M: Machine> PartialEq for Share<M> {
    fn eq(&self, other: &Self) -> bool {
        self.view == other.view && self.rights == other.rights
    }
}
impl<M: Machine> Eq for Share<M> {}
impl<M: Machine> fmt::Debug for Share<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.view, self.rights)
    }
}

/// Rights that a share can have.
pub(crate) const SHARED: Rights = Rights::R.union(Rights::W).union(Rights::PHYS);

/// Address in the window, bytes, rights, and physical address of a share.
pub(crate) struct Fields {
    pub address: u64,
    pub bytes: u64,
    pub rights: Rights,
    /// 0 if it is scattered or not the holder's to know.
    pub physical: u64,
}

impl<M: Machine> Kernel<M> {
    /// A share of a whole segment, as far as `rights` allow.
    pub(crate) fn share_of(&self, relay: Ref<Relay<M>>, rights: Rights) -> Option<Share<M>> {
        let view = self.relays.get(relay)?.view;
        self.share(view, rights & SHARED)
    }

    fn share(&self, view: Ref<View<M>>, rights: Rights) -> Option<Share<M>> {
        let tables = &self.views.get(view)?.tables;
        let window = self.machine.window(tables, rights.contains(Rights::W));
        Some(Share { view, rights, window })
    }

    /// The four fields of a share.
    pub(crate) fn fields(&self, share: Share<M>) -> Option<Fields> {
        let view = self.views.get(share.view)?;
        let frames = self.relays.get(view.relay).and_then(|relay| relay.frames.as_ref());
        let known = frames.filter(|_| share.rights.contains(Rights::PHYS));
        Some(Fields {
            address: WINDOW_START + view.first * PAGE,
            bytes: view.pages * PAGE,
            rights: share.rights,
            physical: known.map_or(0, |frames| (frames.first_page() + view.first) * PAGE),
        })
    }

    /// A share of `bytes` of an active one from `offset` in the segment on, with
    /// `rights`; a new view unless it is all of it. Its errors name the
    /// arguments of the system call.
    pub(crate) fn narrowed(
        &mut self,
        thread: Ref<Thread<M>>,
        active: Share<M>,
        [offset, bytes]: [u64; 2],
        rights: Rights,
    ) -> Result<Share<M>, ErrorCode> {
        let bad = |argument| ErrorCode::new(ErrorNumber::InvalidMask, argument);
        let view = self.views.get(active.view).ok_or(bad(0))?;
        let (start, end) = (view.first * PAGE, (view.first + view.pages) * PAGE);
        if !offset.is_multiple_of(PAGE) || offset < start || offset >= end {
            return Err(bad(1));
        }
        if !bytes.is_multiple_of(PAGE) || bytes == 0 || bytes > end - offset {
            return Err(bad(2));
        }
        if !rights.contains(Rights::R) || !active.rights.contains(rights) {
            return Err(bad(3));
        }
        let (first, pages) = (offset / PAGE, bytes / PAGE);
        if (first, pages) == (view.first, view.pages) {
            return self.share(active.view, rights).ok_or(bad(0));
        }
        let relay = view.relay;
        let task = self.threads.get(thread).and_then(|thread| self.tasks.get(thread.task?));
        let payer = task.ok_or(QUOTA)?.header.factory;
        let made = self.build_view(relay, first, pages, payer)?;
        self.share(made, rights).ok_or(bad(0))
    }

    /// A view of a part of a segment, which nobody refers to yet.
    fn build_view(
        &mut self,
        relay: Ref<Relay<M>>,
        first: u64,
        pages: u64,
        payer: Ref<Factory>,
    ) -> Result<Ref<View<M>>, ErrorCode> {
        let mut charge = cost(Arena::<View<M>>::OBJECT_BYTES);
        self.charge(payer, charge)?;
        let whole = self.relays.get(relay).and_then(|it| self.views.get(it.view));
        let (Some(whole), Some(factory)) = (whole, self.factories.get_mut(payer)) else {
            return Err(QUOTA);
        };
        let mut supply = Charged::new(&mut self.frames, factory, &mut charge);
        let (tables, complete) = self.machine.narrow(&whole.tables, first, pages, &mut supply);
        let refusal = supply.refusal;
        let factory = Some(payer);
        let mut made = View { relay, first, pages, tables, users: 0, factory, charge };
        let room = if complete {
            make_room(&mut self.views, &mut self.machine, &mut self.frames)
        } else {
            Err(refusal)
        };
        let error = match room {
            Err(error) => error,
            Ok(()) => match self.views.insert(made) {
                Ok(made) => return Ok(made),
                Err(back) => {
                    made = back;
                    NO_FRAMES
                }
            },
        };
        self.discard_view(made);
        Err(error)
    }

    /// A view that nobody shows goes: its tables and its charge go back.
    fn discard_view(&mut self, mut gone: View<M>) {
        while let Some(frame) = self.machine.take_apart(&mut gone.tables) {
            self.frames.give(frame);
        }
        if let Some(payer) = gone.factory {
            self.refund(payer, gone.charge);
        }
    }

    /// A mask's view is gone: its tables and its charge go back.
    #[cold]
    pub(super) fn remove_view(&mut self, reference: Ref<View<M>>) {
        let Some(view) = self.views.get(reference) else { return };
        self.machine.evict(&view.tables);
        self.attention |= Attention::WINDOW;
        let gone = take_out(&mut self.views, &mut self.machine, &mut self.frames, reference);
        if let Some(gone) = gone {
            self.discard_view(gone);
        }
    }
}
