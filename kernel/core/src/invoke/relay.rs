//! Relay segments: made step by step, activated, asked about.

use postern_abi::op::relay;
use postern_abi::rights::Kind;
use postern_abi::{ErrorCode, ErrorNumber, PAGE, Rights};
use postern_arena::{Arena, Ref};

use super::{Answer, Request, Result, refuse};
use crate::Kernel;
use crate::account::{Charged, NO_FRAMES, QUOTA, cost, make_room, take_out};
use crate::cap::Target;
use crate::machine::{Machine, Supply};
use crate::object::{Factory, Header, Relay, Thread};
use crate::relay::ledger;
use crate::relay::{Owner, View};
use crate::run::Attention;

/// Pages that one step zeroes (64 KiB).
const ZERO_PAGES: u64 = 16;
/// Scattered pages that one step takes, zeroes and shows.
const SCATTERED_PAGES: u64 = 8;
/// Tables or pages that one step of a destruction takes: for each of them the
/// tables are searched.
const DRAINED: usize = 4;
/// Most bytes of a segment: all of the window.
const MOST: u64 = postern_abi::address::WINDOW_END - postern_abi::address::WINDOW_START;
/// What a segment costs beside its frames and tables.
const fn fixed<M: Machine>() -> u64 {
    cost(Arena::<Relay<M>>::OBJECT_BYTES) + cost(Arena::<View<M>>::OBJECT_BYTES)
}

impl<M: Machine> Kernel<M> {
    pub(super) fn invoke_relay(&mut self, request: &Request<M>, operation: u64) -> Result {
        let gone = refuse(ErrorNumber::NotExistent, 0);
        let reference: Ref<Relay<M>> = request.target.reference();
        match operation {
            relay::ACTIVATE => {
                self.need(request, Rights::R)?;
                let share = self.share_of(reference, request.rights).ok_or(gone)?;
                ledger::activate(self, request.thread, share).map_err(|it| refuse(it, 0))?;
                Ok(Answer::none().into())
            }
            relay::INFO => {
                self.need(request, Rights::R)?;
                let share = self.share_of(reference, request.rights).ok_or(gone)?;
                let fields = self.fields(share).ok_or(gone)?;
                let found = self.relays.get(reference).ok_or(gone)?;
                let told = found.owner.told();
                let rights = u64::from(request.rights.bits());
                self.put(request, 4, told as u64);
                let words = [fields.address, fields.bytes, rights, fields.physical];
                Ok(Answer::many(5, words).into())
            }
            _ => Err(refuse(ErrorNumber::NoSys, 1)),
        }
    }

    /// A segment of which nothing is zeroed or shown yet, and which has no
    /// capability.
    pub(super) fn create_relay(
        &mut self,
        factory: Ref<Factory>,
        bytes: u64,
        flags: u64,
    ) -> core::result::Result<Ref<Relay<M>>, ErrorCode> {
        if bytes == 0 || !bytes.is_multiple_of(PAGE) || bytes > MOST {
            return Err(refuse(ErrorNumber::Inval, 3));
        }
        if flags & !relay::SCATTERED != 0 {
            return Err(refuse(ErrorNumber::Inval, 4));
        }
        let scattered = flags & relay::SCATTERED != 0;
        let pages = bytes / PAGE;
        // Scattered frames are charged as they are taken.
        let charge = fixed::<M>() + if scattered { 0 } else { bytes };
        self.charge(factory, charge)?;
        let frames = if scattered { None } else { self.frames.take(pages) };
        let mut tables = 0;
        let made = if !scattered && frames.is_none() {
            Err(NO_FRAMES)
        } else {
            self.insert_relay(factory, charge, pages, &mut tables)
        };
        let made = match made {
            Ok(made) => made,
            Err(error) => {
                if let Some(frames) = frames {
                    self.frames.give(frames);
                }
                self.refund(factory, charge + tables);
                return Err(error);
            }
        };
        if let Some(relay) = self.relays.get_mut(made) {
            (relay.frames, relay.tables) = (frames, tables);
        }
        self.enlist(Target::new(Kind::Relay, made));
        Ok(made)
    }

    /// Puts a segment that shows nothing and its view, which name each other,
    /// into their arenas. `tables` grows by what is charged for that; when it is
    /// refused, nothing but the charge is left.
    fn insert_relay(
        &mut self,
        factory: Ref<Factory>,
        charge: u64,
        pages: u64,
        tables: &mut u64,
    ) -> core::result::Result<Ref<Relay<M>>, ErrorCode> {
        let payer = self.factories.get_mut(factory).ok_or(QUOTA)?;
        let mut supply = Charged::new(&mut self.frames, payer, tables);
        let Some(mut top) = self.machine.view(&mut supply) else { return Err(supply.refusal) };
        let nobody = Ref::new(0, 0);
        if let Err(error) = make_room(&mut self.views, &mut self.machine, &mut self.frames) {
            self.discard_tables(&mut top);
            return Err(error);
        }
        let view = View {
            relay: nobody,
            first: 0,
            pages,
            tables: top,
            users: 1,
            factory: None,
            charge: 0,
        };
        let view = match self.views.insert(view) {
            Ok(view) => view,
            Err(mut back) => {
                self.discard_tables(&mut back.tables);
                return Err(NO_FRAMES);
            }
        };
        let header = Header::new(factory, charge);
        let relay = Relay {
            header,
            pages,
            frames: None,
            view,
            tables: 0,
            zeroed: 0,
            shown: 0,
            owner: Owner::Idle,
        };
        let room = make_room(&mut self.relays, &mut self.machine, &mut self.frames);
        let made = room.and_then(|()| self.relays.insert(relay).map_err(|_| NO_FRAMES));
        match made {
            Ok(made) => {
                if let Some(view) = self.views.get_mut(view) {
                    view.relay = made;
                }
                Ok(made)
            }
            Err(error) => {
                let gone = take_out(&mut self.views, &mut self.machine, &mut self.frames, view);
                if let Some(mut gone) = gone {
                    self.discard_tables(&mut gone.tables);
                }
                Err(error)
            }
        }
    }

    fn discard_tables(&mut self, tables: &mut M::Tables) {
        while let Some(frame) = self.machine.take_apart(tables) {
            self.frames.give(frame);
        }
    }

    /// One step of making a segment; `true` when it is all there.
    pub(crate) fn relay_step(
        &mut self,
        reference: Ref<Relay<M>>,
    ) -> core::result::Result<bool, ErrorCode> {
        let gone = refuse(ErrorNumber::NotExistent, 2);
        let found = self.relays.get_mut(reference).filter(|it| !it.header.dying).ok_or(gone)?;
        let factory = self.factories.get_mut(found.header.factory).ok_or(QUOTA)?;
        let view = self.views.get_mut(found.view).ok_or(gone)?;
        let Some(own) = &found.frames else {
            for _ in 0..SCATTERED_PAGES {
                if found.shown == found.pages {
                    return Ok(true);
                }
                let mut supply = Charged::new(&mut self.frames, factory, &mut found.tables);
                let frame = supply.frame().ok_or(supply.refusal)?;
                self.machine.zero(&frame, 0, 1);
                let taken = self.machine.adopt(&mut view.tables, found.shown, frame, &mut supply);
                if let Err(frame) = taken {
                    let refusal = supply.refusal;
                    supply.give(frame);
                    return Err(refusal);
                }
                found.shown += 1;
            }
            return Ok(false);
        };
        if found.zeroed < found.pages {
            let pages = (found.pages - found.zeroed).min(ZERO_PAGES);
            self.machine.zero(own, found.zeroed, pages);
            found.zeroed += pages;
            return Ok(false);
        }
        let mut supply = Charged::new(&mut self.frames, factory, &mut found.tables);
        let more = self.machine.extend(&mut view.tables, own, found.shown, &mut supply);
        found.shown += more.map_err(|_| supply.refusal)?;
        Ok(found.shown == found.pages)
    }
}

impl<M: Machine> Kernel<M> {
    /// A segment was deleted. While it is lent it is out of reach but stays,
    /// charged and in nobody's way: `true`.
    pub(crate) fn withhold_relay(&mut self, reference: Ref<Relay<M>>) -> bool {
        let target = Target::new(Kind::Relay, reference);
        let lent = self.relays.get(reference).is_some_and(|it| matches!(it.owner, Owner::Lent(_)));
        if lent {
            self.unlist_work(target);
            self.detach_from_factory(target);
        } else {
            ledger::relay_gone(self, reference);
        }
        lent
    }

    /// Some of the tables, and scattered frames, of a dying segment go; `true`
    /// when none is left.
    pub(crate) fn drain_relay(&mut self, reference: Ref<Relay<M>>) -> bool {
        let Some(view) = self.relays.get(reference).map(|relay| relay.view) else { return true };
        let Some(view) = self.views.get_mut(view) else { return true };
        self.machine.evict(&view.tables);
        self.attention |= Attention::WINDOW;
        for _ in 0..DRAINED {
            match self.machine.take_apart(&mut view.tables) {
                Some(frame) => self.frames.give(frame),
                None => return true,
            }
        }
        false
    }

    /// The end of a segment whose tables are gone.
    pub(crate) fn remove_relay(&mut self, reference: Ref<Relay<M>>) {
        let (machine, frames) = (&mut self.machine, &mut self.frames);
        let Some(gone) = take_out(&mut self.relays, machine, frames, reference) else { return };
        take_out(&mut self.views, machine, frames, gone.view);
        if let Some(frames) = gone.frames {
            self.frames.give(frames);
        }
        self.close_account(&gone.header, gone.tables);
    }

    /// An activation ends: what it holds goes back to where it belongs. Its
    /// caller has been dealt with, unless it had none any more.
    #[inline(never)]
    pub(crate) fn retire_segments(&mut self, thread: Ref<Thread<M>>) {
        if self.threads.get(thread).is_some_and(|thread| !thread.segments.is_empty()) {
            ledger::end_loan(self, thread, None);
            ledger::retire(self, thread);
        }
    }
}
