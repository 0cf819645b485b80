//! Charging: every byte that the kernel takes on somebody's behalf is charged
//! to a factory first, and goes back there.

use postern_abi::{ErrorCode, ErrorNumber, PAGE};
use postern_arena::{Arena, Page, Ref, Table};

use crate::Kernel;
use crate::machine::{Machine, Supply};
use crate::mem::{FrameAllocator, Frames};
use crate::object::Factory;
use crate::sched::TimeoutEntry;

/// Argument number of a `NoMem` about the machine's memory as a whole, not the
/// quota: there is no free (or no large enough contiguous) block.
const MACHINE: u8 = 3;

/// Page-table frames on a factory's quota.
pub(crate) struct Charged<'a> {
    frames: &'a mut FrameAllocator,
    factory: &'a mut Factory,
    /// What is charged for the tables of this address space.
    bytes: &'a mut u64,
    /// Why there was none, when there was none: the quota or the machine.
    pub refusal: ErrorCode,
}

impl<'a> Charged<'a> {
    pub fn new(
        frames: &'a mut FrameAllocator,
        factory: &'a mut Factory,
        bytes: &'a mut u64,
    ) -> Self {
        Self { frames, factory, bytes, refusal: QUOTA }
    }
}

impl Supply for Charged<'_> {
    fn frame(&mut self) -> Option<Frames> {
        if !self.factory.charge(PAGE) {
            self.refusal = QUOTA;
            return None;
        }
        let frame = self.frames.take_one();
        match frame {
            Some(_) => *self.bytes += PAGE,
            None => {
                self.factory.refund(PAGE);
                self.refusal = NO_FRAMES;
            }
        }
        frame
    }

    fn give(&mut self, frame: Frames) {
        // The task itself is charged, too, so this is not the last byte.
        self.factory.refund(frame.bytes());
        *self.bytes -= frame.bytes();
        self.frames.give(frame);
    }
}

/// Frames for the kernel's own page tables, from the part of memory that no
/// quota covers.
pub(crate) struct Reserve<'a>(pub &'a mut FrameAllocator);

impl Supply for Reserve<'_> {
    fn frame(&mut self) -> Option<Frames> {
        self.0.take_one()
    }

    fn give(&mut self, frame: Frames) {
        self.0.give(frame);
    }
}

/// What an object of `size` bytes is charged: whole cache lines.
pub(crate) const fn cost(size: usize) -> u64 {
    size.next_multiple_of(64) as u64
}

/// The error for a quota that is used up: argument 0, the factory.
pub(crate) const QUOTA: ErrorCode = ErrorCode::new(ErrorNumber::NoMem, 0);
/// The error for memory of the machine that is used up.
pub(crate) const NO_FRAMES: ErrorCode = ErrorCode::new(ErrorNumber::NoMem, MACHINE);

/// A frame, mapped at `at` in the kernel's tables.
fn kernel_page<M: Machine>(
    machine: &mut M,
    frames: &mut FrameAllocator,
    at: Option<usize>,
) -> Result<Page, ErrorCode> {
    let frame = frames.take_one().ok_or(NO_FRAMES)?;
    let Some(at) = at else {
        frames.give(frame);
        return Err(NO_FRAMES);
    };
    machine.kernel_page(at, frame, &mut Reserve(frames)).map_err(|frame| {
        frames.give(frame);
        NO_FRAMES
    })
}

/// Makes sure that the next insert into `arena` succeeds.
pub(crate) fn make_room<M: Machine, T>(
    arena: &mut Arena<T>,
    machine: &mut M,
    frames: &mut FrameAllocator,
) -> Result<(), ErrorCode> {
    while arena.is_full() {
        let page = kernel_page(machine, frames, arena.next_page())?;
        arena.grow(page).map_err(|_page| NO_FRAMES)?;
    }
    Ok(())
}

/// Takes an object out of its arena, and gives back the memory that nothing
/// lies in any more.
pub(crate) fn take_out<M: Machine, T>(
    arena: &mut Arena<T>,
    machine: &mut M,
    frames: &mut FrameAllocator,
    reference: Ref<T>,
) -> Option<T> {
    let object = arena.remove(reference)?;
    give_room(arena, machine, frames, reference.index());
    Some(object)
}

/// Gives back the pages around slot `index` that no object lies in.
fn give_room<M: Machine, T>(
    arena: &mut Arena<T>,
    machine: &mut M,
    frames: &mut FrameAllocator,
    index: u32,
) {
    while let Some(page) = arena.release(index) {
        frames.give(machine.vacate_kernel_page(page));
    }
}

/// Undoes [`make_room`] when nothing was inserted after all.
pub(crate) fn forgo_room<M: Machine, T>(
    arena: &mut Arena<T>,
    machine: &mut M,
    frames: &mut FrameAllocator,
) {
    if let Some(index) = arena.next_index() {
        give_room(arena, machine, frames, index);
    }
}

/// Takes the last page of a table away; `false` if it has none.
pub(crate) fn shrink_table<M: Machine, T>(
    table: &mut Table<T>,
    machine: &mut M,
    frames: &mut FrameAllocator,
) -> bool {
    let Some(page) = table.shrink() else { return false };
    let frame = machine.release_kernel_page(page, &mut Reserve(frames));
    frames.give(frame);
    true
}

/// Lets a table grow by a page.
pub(crate) fn grow_table<M: Machine, T>(
    table: &mut Table<T>,
    machine: &mut M,
    frames: &mut FrameAllocator,
    fill: impl FnMut(usize) -> T,
) -> Result<(), ErrorCode> {
    let page = kernel_page(machine, frames, table.next_page())?;
    table.grow(page, fill).map_err(|_page| NO_FRAMES)
}

impl<M: Machine> Kernel<M> {
    /// Charges a factory.
    pub(crate) fn charge(&mut self, factory: Ref<Factory>, bytes: u64) -> Result<(), ErrorCode> {
        let factory = self.factories.get_mut(factory).ok_or(QUOTA)?;
        if factory.charge(bytes) { Ok(()) } else { Err(QUOTA) }
    }

    /// Gives back what was charged; a closed factory goes with its last byte.
    pub(crate) fn refund(&mut self, at: Ref<Factory>, bytes: u64) {
        let mut next = Some((at, bytes));
        while let Some((at, bytes)) = next.take() {
            let Some(factory) = self.factories.get_mut(at) else { return };
            factory.refund(bytes);
            let header = factory.header;
            // One that is on the list of work is removed by the last step there.
            if factory.closed && factory.used == 0 && header.factory != at && !header.listed {
                self.unlink_from_factory(&header);
                take_out(&mut self.factories, &mut self.machine, &mut self.frames, at);
                next = Some((header.factory, header.charge));
            }
        }
    }

    /// Makes sure that every thread can have a deadline and every context two,
    /// and one more context.
    pub(crate) fn room_for_timeouts(&mut self) -> Result<(), ErrorCode> {
        while self.timeouts.table().len() < self.threads.len() + self.contexts + 2 {
            let table = self.timeouts.table();
            grow_table(table, &mut self.machine, &mut self.frames, |_| TimeoutEntry::default())?;
        }
        Ok(())
    }

    /// Gives back what [`Kernel::room_for_timeouts`] took for threads that are
    /// gone.
    pub(crate) fn trim_timeouts(&mut self) {
        const EACH: usize = PAGE as usize / size_of::<TimeoutEntry>();
        while self.timeouts.table().len() >= self.threads.len() + self.contexts + EACH {
            shrink_table(self.timeouts.table(), &mut self.machine, &mut self.frames);
        }
    }
}
