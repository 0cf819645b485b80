//! From the boot loader to the core.
//!
//! Two phases. On the boot loader's tables: build the kernel's own. On those:
//! protect the CPU, start the interrupt controllers and the clock, make the
//! kernel's state and hand it to the binary. Nothing of the boot loader is used
//! after the switch but the archive and the memory map's copy.

use core::arch::asm;
use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};

use bootloader_api::BootInfo;
use bootloader_api::config::{BootloaderConfig, Mapping};
use postern_core::Kernel;
use postern_core::mem::{FrameInfo, Frames};

use crate::acpi::{self, Interrupts};
use crate::apic::{Access, LocalApic};
use crate::clock::{Clock, Rates};
use crate::cpu::{Features, Flaws};
use crate::frame::Frame;
use crate::ioapic::IoApic;
use crate::kernel_tables::{DATA, DEVICE, KernelTables};
use crate::layout::{
    CAPABILITIES, DEVICES, IMAGE, OBJECTS, PAGE, PHYSICAL, PHYSICAL_END, SLOT, STACKS, STACKS_EACH,
};
use crate::lines::Lines;
use crate::memory::{self, Early};
use crate::paging::{Table, translate};
use crate::percpu::PerCpu;
use crate::pic::Pics;
use crate::serial::Log;
use crate::svm::Svm;
use crate::tables::{self, OWN_STACK};
use crate::timer::Timer;
use crate::x86::X86;
use crate::{cell, clock, cpu, exit, fpu, image, pic, report};

/// What the kernel asks of the boot loader.
pub const CONFIG: BootloaderConfig = {
    let mut config = BootloaderConfig::new_default();
    config.mappings.kernel_base = Mapping::FixedAddress(IMAGE);
    config.mappings.physical_memory = Some(Mapping::FixedAddress(PHYSICAL));
    config.kernel_stack_size = 64 * 1024;
    config
};

/// Pages of a kernel stack; one below it is never mapped.
const STACK_PAGES: u64 = 16;
/// Pages of each of the stacks for [`OWN_STACK`].
const OWN_STACK_PAGES: u64 = 4;

/// What is known about this machine, for the banner.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Bytes of memory that the core owns.
    pub memory: u64,
    /// What the CPU has.
    pub features: Features,
    /// What it does wrong.
    pub flaws: Flaws,
    /// The interrupt controller.
    pub controller: &'static str,
    /// The timer.
    pub timer: &'static str,
    /// How fast clocks run.
    pub rates: Rates,
    /// Interrupt lines, and who says how they are wired.
    pub lines: (u32, &'static str),
}

/// What the kernel binary starts from.
pub struct Boot {
    /// The kernel's state; what is done with it here is done before anything
    /// else runs.
    pub kernel: &'static mut Kernel<X86>,
    /// The boot archive.
    pub archive: &'static [u8],
    /// The frames that it lies in; taken when `init` is started.
    pub archive_frames: Option<Frames>,
    /// What is known about this machine.
    pub facts: Facts,
}

impl Boot {
    /// Starts what was made ready; there is no way back.
    pub fn enter(self) -> ! {
        // SAFETY: interrupts are off and this runs on the kernel stack, from
        // which nothing is used any more; the borrow of the kernel's state
        // ends with `self`.
        unsafe { exit::leave() }
    }

    /// Stops the machine with a message.
    pub fn fail(self, message: fmt::Arguments<'_>) -> ! {
        report::fail(message)
    }

    /// The kernel's build id, for people.
    #[must_use]
    pub fn build(&self) -> impl fmt::Display + use<> {
        image::BuildId
    }
}

/// What the first phase hands to the second; lies in memory of its own.
struct Handover {
    boot: fn(Boot) -> !,
    tables: KernelTables,
    early: Early,
    archive: &'static [u8],
    archive_frames: Frames,
    interrupts: Interrupts,
    start: u64,
}

/// First phase, called by [`crate::entry!`]: builds the kernel's page tables.
///
/// # Panics
/// When called twice, or when the boot loader did not do as [`CONFIG`] says.
pub fn start(info: &'static mut BootInfo, boot: fn(Boot) -> !) -> ! {
    static STARTED: AtomicBool = AtomicBool::new(false);
    let start = clock::ticks();
    assert!(!STARTED.swap(true, Ordering::Relaxed), "the kernel starts once");
    Log::new().init();
    assert!(info.physical_memory_offset.into_option() == Some(PHYSICAL));
    // SAFETY: the boot loader's root table, in the physical map that it made.
    let current = Table(unsafe { Frame::new(cpu::root()) });
    let interrupts = interrupts(info, current);
    let ram = memory::ram(&info.memory_regions);
    let mut early = Early::new(memory::usable(&info.memory_regions));
    let root = early.frame();
    root.zero();
    let tables = KernelTables::new(root);
    let mut frame = || Some(early.frame());
    for range in ram.as_slice() {
        assert!(range.end <= PHYSICAL_END - PHYSICAL, "more memory than the map has room for");
        let huge = Features::detect().contains(Features::HUGE_PAGES);
        let to = (PHYSICAL + range.start, range.start);
        tables.map_range(to, range.bytes(), DATA, huge, &mut frame).expect("enough memory");
    }
    image::map(current, tables, &mut frame);
    for slot in [OBJECTS, CAPABILITIES, STACKS, DEVICES] {
        tables.reserve(slot, &mut frame);
    }
    let (archive, archive_frames) = archive(info, current);
    let stack = stack(tables, &mut early, STACKS, STACK_PAGES);
    let place = early.take(size_of::<Handover>().div_ceil(PAGE as usize) as u64);
    let place = (PHYSICAL + place) as *mut Handover;
    let handover = Handover { boot, tables, early, archive, archive_frames, interrupts, start };
    // SAFETY: the frames were taken for it, and both phases' tables show them
    // at this address.
    unsafe { place.write(handover) };
    // SAFETY: the new tables show the code, the data and the new stack;
    // nothing that only the old ones show is used by the second phase.
    unsafe {
        asm!(
            "mov cr3, {root}",
            "mov rsp, {stack}",
            "xor ebp, ebp",
            "call {second}",
            "ud2",
            root = in(reg) tables.root().0.physical(),
            stack = in(reg) stack,
            in("rdi") place,
            second = sym second,
            options(noreturn),
        )
    }
}

/// Reads what ACPI says about interrupts, while the boot loader's map of all
/// physical addresses is there.
fn interrupts(info: &BootInfo, current: Table) -> Interrupts {
    let memory = acpi::Memory(|at: u64| {
        let address = PHYSICAL.checked_add(at)?;
        translate(current, address)?;
        // SAFETY: it is mapped; firmware tables are only read. (A word at a
        // time, from a frame that nobody writes to.)
        let word = unsafe { Frame::new(at & !(PAGE - 1)) }.word((at % PAGE / 8) as usize);
        Some(word.to_le_bytes()[(at % 8) as usize])
    });
    match info.rsdp_addr.into_option() {
        Some(rsdp) => memory.interrupts(rsdp).unwrap_or_default(),
        None => Interrupts { io_apic: None, ..Interrupts::default() },
    }
}

/// The boot archive, as the kernel's physical map shows it.
fn archive(info: &BootInfo, current: Table) -> (&'static [u8], Frames) {
    let bytes = info.ramdisk_len;
    let Some(address) = info.ramdisk_addr.into_option().filter(|_| bytes != 0) else {
        return (&[], Frames::device(0, 0));
    };
    let first = translate(current, address).expect("the boot loader mapped the archive").physical;
    let last = translate(current, address + bytes - 1).map(|end| end.physical);
    assert!(first.is_multiple_of(PAGE) && last == Some(first + bytes - 1));
    let frames = Frames::device(first / PAGE, bytes.div_ceil(PAGE));
    // SAFETY: contiguous, in memory that the boot loader keeps out of the
    // usable regions, so that it is in the map and nobody writes to it.
    let contents =
        unsafe { core::slice::from_raw_parts((PHYSICAL + first) as *const u8, bytes as usize) };
    (contents, frames)
}

/// Maps a stack above a page that stays unmapped at `at`; returns its top.
fn stack(tables: KernelTables, early: &mut Early, at: u64, pages: u64) -> u64 {
    for page in 1..=pages {
        let frame = early.frame().physical();
        let mapped = tables.map_page(at + page * PAGE, frame, DATA, &mut || Some(early.frame()));
        mapped.expect("enough memory");
    }
    at + (pages + 1) * PAGE
}

/// Second phase: everything else, on the kernel's own tables and stack.
///
/// # Safety
/// Called once, by [`start`], which wrote `handover` and forgot it.
unsafe extern "C" fn second(handover: *const Handover) -> ! {
    // SAFETY: as the caller promises.
    let Handover { boot, tables, mut early, archive, archive_frames, interrupts, start } =
        unsafe { handover.read() };
    let features = Features::detect();
    cpu::protect(features);
    // Whatever firmware has left in these registers goes.
    fpu::open_first();
    fpu::close();
    cpu_tables(tables, &mut early);
    pic::silence();
    let registers = device(tables, &mut early, 0, LocalApic::physical());
    // SAFETY: the page was just mapped, and this is the only use.
    let mut apic = unsafe { LocalApic::new(registers, features) };
    let lines = match interrupts.io_apic {
        Some(physical) => {
            let registers = device(tables, &mut early, 1, physical);
            // SAFETY: as above.
            Lines::IoApic(unsafe { IoApic::new(registers, &interrupts, apic.id()) })
        }
        None => {
            apic.pass_pics();
            Lines::Pics(Pics::new())
        }
    };
    let wiring = match (interrupts.told, interrupts.io_apic) {
        (true, _) => "ACPI",
        (false, Some(_)) => "default wiring",
        (false, None) => "8259",
    };
    let rates = Rates::find(&mut apic);
    let timer = Timer::new(&mut apic, &rates, features);
    let mut facts = Facts {
        memory: 0,
        features,
        flaws: Flaws::detect(),
        controller: apic.kind(),
        timer: timer.kind(),
        rates,
        lines: (lines.count(), wiring),
    };
    let svm = Svm::new(features, &mut early);
    let clock = Clock::new(start, rates.tsc);
    let machine = X86::new(tables, early.frame(), clock, timer, apic, lines, svm);
    let infos = frame_infos(&mut early);
    // SAFETY: nothing can have entered the kernel yet.
    unsafe { cell::install(Kernel::new(machine, infos)) };
    // SAFETY: it was just filled, and nothing else runs before `Boot::enter`.
    let kernel = unsafe { cell::kernel() };
    for range in early.rest() {
        kernel.add_memory(range.start / PAGE, range.bytes() / PAGE);
        facts.memory += range.bytes();
    }
    boot(Boot { kernel, archive, archive_frames: Some(archive_frames), facts })
}

/// Maps a page of device registers and returns the address of the first one.
fn device(tables: KernelTables, early: &mut Early, slot: u64, physical: u64) -> NonNull<u32> {
    let (page, offset) = (physical & !(PAGE - 1), physical % PAGE);
    let at = DEVICES + slot * PAGE;
    let mapped = tables.map_page(at, page, DEVICE, &mut || Some(early.frame()));
    mapped.expect("enough memory");
    NonNull::new((at + offset) as *mut u32).expect("devices are in the upper half")
}

/// Makes this CPU's tables and stacks.
fn cpu_tables(tables: KernelTables, early: &mut Early) {
    const _: () = assert!(size_of::<PerCpu>() <= PAGE as usize);
    const _: () = assert!(
        (STACK_PAGES + 1 + OWN_STACK.len() as u64 * (OWN_STACK_PAGES + 1)) * PAGE <= STACKS_EACH
            && STACKS_EACH <= SLOT
    );
    let kernel_stack = STACKS + (STACK_PAGES + 1) * PAGE;
    let own_stacks = core::array::from_fn(|number| {
        let at = kernel_stack + number as u64 * (OWN_STACK_PAGES + 1) * PAGE;
        stack(tables, early, at, OWN_STACK_PAGES)
    });
    let data = (PHYSICAL + early.take(1)) as *mut PerCpu;
    let gates = PHYSICAL + early.take(1);
    let interrupts = gates as *mut tables::Interrupts;
    // SAFETY: the frames were taken for the two, one each, and are in the
    // physical map; the page tables have the last word on the first CPU.
    unsafe {
        data.write(PerCpu::new(0, kernel_stack));
        interrupts.write(tables::Interrupts::new());
    }
    tables.protect(gates, &mut || Some(early.frame())).expect("enough memory");
    // The page is a global one, which only this flushes.
    x86_64::instructions::tlb::flush(x86_64::VirtAddr::new(gates));
    // SAFETY: both were just written and are never freed; the stacks are
    // mapped; this is the first CPU's only time.
    unsafe { tables::load(&mut *data, own_stacks, &*interrupts) };
}

/// One record for each frame up to the end of usable memory.
fn frame_infos(early: &mut Early) -> &'static mut [FrameInfo] {
    let end = early.rest().iter().map(|range| range.end).max().unwrap_or(0);
    let count = (end / PAGE) as usize;
    let bytes = count * size_of::<FrameInfo>();
    let first = (PHYSICAL + early.take((bytes as u64).div_ceil(PAGE))) as *mut FrameInfo;
    for index in 0..count {
        // SAFETY: inside the frames that were just taken, which are contiguous
        // in the physical map and nobody else's.
        unsafe { first.add(index).write(FrameInfo::default()) };
    }
    // SAFETY: as above, and every element is initialised.
    unsafe { core::slice::from_raw_parts_mut(first, count) }
}
