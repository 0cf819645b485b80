//! What the core asks of the machine it runs on.
//!
//! The core decides and the machine does: nothing here may decide who runs,
//! who may do what, or what an object is. `kernel/machine` implements it for
//! x86_64, `crate::sim` for the host. The trait is a generic parameter of the
//! kernel, never a trait object, so that a call to it can be inlined away.

use core::fmt;

use postern_abi::clock::Clock;
use postern_arena::{Page, Region, Vacant};

use crate::mem::Frames;

/// Where the core keeps its tables; each is a region of kernel addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Area {
    /// The arena of one kind of object, or another table; small numbers.
    Objects(u8),
    /// The capability table of the task with this arena index.
    Capabilities(u32),
}

bitflags::bitflags! {
    /// What user code may do with a mapped page.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Access: u8 {
        /// Read it (every mapping has this).
        const R = 1;
        /// Write it.
        const W = 2;
        /// Fetch instructions from it; never together with W.
        const X = 4;
    }
}

/// Which pages of some frames go where in an address space.
#[derive(Debug, Clone, Copy)]
pub struct Placement {
    /// First address.
    pub at: u64,
    /// First page of the frames.
    pub first: u64,
    /// Number of pages.
    pub pages: u64,
    /// What user code may do there.
    pub access: Access,
}

/// The registers of an activation, in the order in which the x86_64 entry code
/// pushes them, so that it can save a preempted thread in place.
///
/// The end of `ss` is 16-byte aligned, because the CPU aligns the stack it
/// pushes to.
#[derive(Debug, Clone, Default)]
#[repr(C, align(16))]
#[expect(missing_docs, reason = "the names of the registers say it all")]
pub struct Registers {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rax: u64,
    /// Interrupt vector, written by the entry code.
    pub vector: u64,
    /// Error code of the CPU, or 0.
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

/// Which registers of an activation count (docs/abi.md 2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u64)]
pub enum Form {
    /// It left by a system call: `rip`, `rsp`, the outputs `rax rdi rsi rdx r10
    /// r8 r9` and the carry flag in `rflags`; every other register is zeroed.
    #[default]
    Outputs = 0,
    /// It was preempted, faulted, was started, or restarts a system call:
    /// every register.
    Full = 1,
    /// It is a virtual CPU: `rip`, `rsp`, `rflags` and the general registers
    /// are the guest's; the rest is with the machine.
    Guest = 2,
}

/// Words of the system registers of a virtual CPU
/// ([`postern_abi::op::vcpu::GET_STATE`]).
pub const VCPU_STATE: usize = postern_abi::op::vcpu::STATE;

/// How a guest translates addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestPaging {
    /// It does not.
    Off,
    /// With tables of four levels; the root's guest-physical address.
    FourLevels(u64),
    /// Otherwise.
    Other,
}

/// Why a guest was left. Its registers are in the activation's [`UserState`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuestExit {
    /// Exit code, as in AMD's manual.
    pub code: u64,
    /// What the code says more.
    pub info: [u64; 2],
    /// Address behind the instruction, if the exit is about one.
    pub next: u64,
    /// Privilege level of the guest, 0 to 3.
    pub level: u8,
    /// The guest could take an interrupt now.
    pub interruptible: bool,
    /// An interrupt waits for that.
    pub pending: bool,
    /// How it translates addresses.
    pub paging: GuestPaging,
}

/// What is delivered to a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum EventKind {
    /// A non-maskable interrupt.
    Nmi = 2,
    /// An exception.
    Exception = 3,
}

/// The user state of an activation: what the one exit loads.
#[derive(Debug, Clone, Default)]
#[repr(C, align(16))]
pub struct UserState {
    /// The registers.
    pub registers: Registers,
    /// Which of them count. The machine sets it to [`Form::Full`] when it saves
    /// all, and back to [`Form::Outputs`] when it resumes.
    pub form: Form,
    /// The FS base; loaded at every switch.
    pub fs_base: u64,
    /// Of a context: where a crossing begins, instruction pointer and stack
    /// pointer. Both are user addresses.
    pub begin: (u64, u64),
}

/// Flags that user code may have in RFLAGS: the arithmetic ones, DF, TF, RF,
/// AC, ID. All else is masked wherever flags come from user code.
pub const USER_FLAGS: u64 = 0x0025_0dd5;

/// The carry flag in RFLAGS: the system call failed.
pub const CARRY: u64 = 1;

/// Where page frames for page tables come from and go to.
pub trait Supply {
    /// One frame, contents arbitrary; the machine zeroes it. `None` when the
    /// quota or the machine is out of them.
    fn frame(&mut self) -> Option<Frames>;
    /// Takes a frame back that was a page table until now.
    fn give(&mut self, frame: Frames);
}

/// The supply ran dry; what was done so far stays done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfFrames;

/// An exception that user code caused. The registers are already in the
/// activation's [`UserState`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Exception vector, 0 to 31.
    pub vector: u8,
    /// Error code of the CPU, or 0.
    pub error: u64,
    /// The address that a page fault is about, else 0.
    pub address: u64,
}

/// How a line interrupts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trigger {
    /// By level, not by edge.
    pub level: bool,
    /// Active low.
    pub low: bool,
}

/// What the CPU must do next; the answer of [`crate::Kernel::decide`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Resume the current thread: load its `UserState`.
    User,
    /// Nothing is ready: wait for an interrupt.
    Idle,
    /// A long operation has more steps: let interrupts in, then ask again.
    Work,
}

/// The machine. Every method runs with interrupts off.
pub trait Machine: Sized {
    /// An address space: its root tables and the page-table frames below.
    type Space;
    /// Names the root tables of a space, to make it current quickly.
    type Root: Copy + Default;
    /// The kernel's own way to the UTCB page of a thread. It owns the frame.
    type Utcb;
    /// The page tables of a view of a relay segment: what the relay window
    /// shows, from its first address on.
    type Tables;
    /// What is loaded to show a view in the relay window; the default shows
    /// nothing. Cheap to copy: a page-table entry.
    type Window: Copy + Default + PartialEq + fmt::Debug;
    /// A virtual CPU: what the machine keeps of a guest. It owns its frames.
    type Vcpu;
    /// A place for the floating-point and SIMD registers of an activation. It
    /// owns its frame.
    type Fpu;

    /// Nanoseconds since boot; never goes backwards.
    fn now(&mut self) -> u64;
    /// How programs read the same clock.
    fn clock(&self) -> Clock;
    /// Asks for one timer interrupt at `deadline` (nanoseconds since boot, in
    /// the past means at once), or for none. Replaces the earlier request. It may come
    /// early.
    fn arm(&mut self, deadline: Option<u64>);

    /// Sets aside the addresses of an area. Called once for each area between
    /// two [`Machine::release_region`] calls.
    fn region(&mut self, area: Area) -> Option<Region>;
    /// Takes back the empty region of an area.
    fn release_region(&mut self, area: Area, region: Region);
    /// Makes `frame` appear, zeroed, at the kernel address `at` of a region.
    ///
    /// # Errors
    /// Gives the frame back when the supply has no frame for a page table.
    fn kernel_page(
        &mut self,
        at: usize,
        frame: Frames,
        supply: &mut impl Supply,
    ) -> Result<Page, Frames>;
    /// Undoes [`Machine::kernel_page`] for the last page of a table; `supply`
    /// gets the page table that went with it.
    fn release_kernel_page(&mut self, page: Page, supply: &mut impl Supply) -> Frames;
    /// Takes the frame of an arena's page away and leaves zeros that can be read
    /// there, until [`Machine::kernel_page`] is called for the place again.
    fn vacate_kernel_page(&mut self, page: Vacant) -> Frames;

    /// A new, empty address space with all its top-level entries in place.
    fn space(&mut self, supply: &mut impl Supply) -> Option<Self::Space>;
    /// A new, empty space of guest-physical addresses. User code never runs in
    /// it; pages may be writable and executable at once.
    fn guest_space(&mut self, supply: &mut impl Supply) -> Option<Self::Space>;
    /// Takes one page-table frame out of a dying space that runs on no CPU;
    /// `None` when it has none left. The space must not be mapped into again.
    fn dismantle(&mut self, space: &mut Self::Space) -> Option<Frames>;
    /// Maps pages of `frames` as `place` says. The range is checked and unmapped, except for the part that an earlier call for
    /// the same range already mapped. Uses large pages where they fit. Works
    /// through at most [`Machine::STEP`] page-table entries and returns how many
    /// pages are mapped by this call (so fewer than asked for means: call again
    /// for the rest).
    ///
    /// # Errors
    /// When the supply runs dry; the pages mapped so far stay mapped, and the
    /// caller unmaps the whole range.
    fn map(
        &mut self,
        space: &mut Self::Space,
        frames: &Frames,
        place: Placement,
        supply: &mut impl Supply,
    ) -> Result<u64, OutOfFrames>;
    /// Unmaps up to `pages` pages from `at` on, whether mapped or not, in at
    /// most [`Machine::STEP`] entries; returns how many pages are done. The
    /// translations are gone from every CPU when it returns, and page tables
    /// on the way that are empty then are with `supply`.
    fn unmap(
        &mut self,
        space: &mut Self::Space,
        at: u64,
        pages: u64,
        supply: &mut impl Supply,
    ) -> u64;
    /// Changes what user code may do with up to `pages` mapped pages from `at`
    /// on, in at most [`Machine::STEP`] entries; returns how many pages are
    /// done. What was permitted before is so on no CPU when it returns.
    fn protect(&mut self, space: &mut Self::Space, at: u64, pages: u64, access: Access) -> u64;
    /// Makes `space` the current address space of this CPU, and `window` what
    /// its relay window shows. The window is stored in every case, the empty
    /// one, too; translations of what was shown before are gone from this CPU.
    fn activate(&mut self, space: &Self::Space, window: Self::Window);
    /// What [`Machine::switch`] takes for this space, for as long as the space
    /// is not dismantled.
    fn root(&self, space: &Self::Space) -> Self::Root;
    /// [`Machine::activate`] for the space with the root `to`, when the current
    /// one is the space with the root `from`.
    fn hand_over(&mut self, to: Self::Root, window: Self::Window, from: Self::Root);
    /// Leaves whatever space is current for the kernel's own one, so that no
    /// CPU uses a space that is dismantled.
    fn deactivate(&mut self);

    /// Tables of a new view that show nothing yet.
    fn view(&mut self, supply: &mut impl Supply) -> Option<Self::Tables>;
    /// Lets a view show more pages of `frames`, from page `first` of both on,
    /// readable and writable, as [`Machine::map`] would: at most
    /// [`Machine::STEP`] entries; returns how many pages.
    ///
    /// # Errors
    /// When the supply runs dry; what was done stays done.
    fn extend(
        &mut self,
        view: &mut Self::Tables,
        frames: &Frames,
        first: u64,
        supply: &mut impl Supply,
    ) -> Result<u64, OutOfFrames>;
    /// Lets a view show a frame as its page `page`; the frame is the view's
    /// from then on, and comes out of [`Machine::take_apart`].
    ///
    /// # Errors
    /// Gives the frame back when the supply runs dry.
    fn adopt(
        &mut self,
        view: &mut Self::Tables,
        page: u64,
        frame: Frames,
        supply: &mut impl Supply,
    ) -> Result<(), Frames>;
    /// Tables that show `pages` pages from page `first` on of what `whole`
    /// shows, at the same addresses: at most five new ones, the rest is shared
    /// with `whole`, which must outlive them. `false`: the supply ran dry, and
    /// they only wait to be taken apart.
    fn narrow(
        &mut self,
        whole: &Self::Tables,
        first: u64,
        pages: u64,
        supply: &mut impl Supply,
    ) -> (Self::Tables, bool);
    /// What is loaded to show a view, writable or read-only; nothing in it can
    /// be executed.
    fn window(&self, view: &Self::Tables, writable: bool) -> Self::Window;
    /// Makes sure that no CPU shows this view any more. No thread that runs
    /// has it in its window.
    fn evict(&mut self, view: &Self::Tables);
    /// Takes one frame out of a view that is evicted: a table of its own, or a
    /// frame that was adopted. `None` when it has none left.
    fn take_apart(&mut self, view: &mut Self::Tables) -> Option<Frames>;

    /// Makes `frame` (contents arbitrary) a zeroed UTCB.
    fn utcb(&mut self, frame: Frames) -> Self::Utcb;
    /// Maps a UTCB at `at` in its task (read and write).
    ///
    /// # Errors
    /// When the supply runs dry; nothing is mapped then, and the caller unmaps
    /// the page to get tables back.
    fn map_utcb(
        &mut self,
        space: &mut Self::Space,
        at: u64,
        utcb: &Self::Utcb,
        supply: &mut impl Supply,
    ) -> Result<(), OutOfFrames>;
    /// Gives the frame of a UTCB back; it is unmapped already.
    fn release_utcb(&mut self, utcb: Self::Utcb) -> Frames;
    /// Reads word `index` (below 512), once.
    fn read_word(&self, utcb: &Self::Utcb, index: usize) -> u64;
    /// Writes word `index` (below 512).
    fn write_word(&self, utcb: &Self::Utcb, index: usize, value: u64);
    /// Copies words `first..end` from one UTCB to the same place of another,
    /// reading each once.
    fn copy_words(&self, from: &Self::Utcb, to: &Self::Utcb, first: usize, end: usize);

    /// Whether there can be virtual CPUs here; without them none of the methods
    /// for guests is called.
    fn has_guests(&self) -> bool;
    /// A virtual CPU after a reset, in [`Machine::VCPU_PAGES`] pages.
    fn vcpu(&mut self, frames: Frames) -> Self::Vcpu;
    /// Gives the frames of a virtual CPU back.
    fn release_vcpu(&mut self, vcpu: Self::Vcpu) -> Frames;
    /// The system registers of a guest that does not run.
    fn vcpu_state(&self, vcpu: &Self::Vcpu) -> [u64; VCPU_STATE];
    /// Sets them.
    ///
    /// # Errors
    /// The number of the word that no guest can have; nothing has changed.
    fn set_vcpu_state(
        &mut self,
        vcpu: &mut Self::Vcpu,
        state: &[u64; VCPU_STATE],
    ) -> Result<(), usize>;
    /// Delivers an event when the guest goes on, in place of what would be.
    fn inject(&mut self, vcpu: &mut Self::Vcpu, kind: EventKind, vector: u8, error: Option<u32>);
    /// Delivers an interrupt as soon as the guest takes one; `false` if one
    /// waits already.
    fn interrupt(&mut self, vcpu: &mut Self::Vcpu, vector: u8) -> bool;

    /// Makes `frame` (contents arbitrary) a place for floating-point and SIMD
    /// registers, to be saved to first.
    fn fpu(&mut self, frame: Frames) -> Self::Fpu;
    /// Gives the frame of such a place back.
    fn release_fpu(&mut self, fpu: Self::Fpu) -> Frames;
    /// Lets user code use these registers. They are as after a reset, as
    /// [`Machine::close_fpu`] has left them.
    fn open_fpu(&mut self);
    /// Saves these registers, which user code may use.
    fn save_fpu(&mut self, fpu: &mut Self::Fpu);
    /// Loads what was saved there last, and lets user code use it.
    fn load_fpu(&mut self, fpu: &Self::Fpu);
    /// Sets these registers, which user code may use, to what they are after a
    /// reset; the use of one is exception 7 from now on, as it is at first.
    fn close_fpu(&mut self);

    /// Zeroes `pages` pages of `frames` from page `first` on. The core bounds
    /// `pages`.
    fn zero(&mut self, frames: &Frames, first: u64, pages: u64);
    /// Copies `bytes` into `frames` at byte `offset` (at boot, and for the trace
    /// ring).
    fn fill(&mut self, frames: &Frames, offset: u64, bytes: &[u8]);
    /// Reads the 8-byte word at a user address of `space`, if it is mapped
    /// readable for the user; never faults. For crash reports.
    fn peek(&self, space: &Self::Space, at: u64) -> Option<u64>;

    /// Number of interrupt lines.
    fn lines(&self) -> u32;
    /// Masks or unmasks an interrupt line. The machine itself masks a
    /// level-triggered one before it reports an interrupt of it.
    fn mask(&mut self, line: u32, masked: bool);
    /// How a line interrupts; by edge, if there is no such line.
    fn trigger(&self, line: u32) -> Trigger;
    /// Changes how a line, which is masked, interrupts.
    fn set_trigger(&mut self, line: u32, trigger: Trigger);

    /// Reads an I/O port, `width` 1, 2 or 4 bytes.
    fn port_in(&mut self, port: u16, width: u8) -> u32;
    /// Writes an I/O port, `width` 1, 2 or 4 bytes.
    fn port_out(&mut self, port: u16, width: u8, value: u32);

    /// `init` has ended, so nothing useful can happen any more: tells whoever
    /// runs the machine and stops it. May return on machines that cannot stop.
    fn give_up(&mut self);

    /// Writes bytes to the kernel's log, as they are.
    fn log(&mut self, bytes: &[u8]);

    /// Most page-table entries that one call of `map` or `unmap` works through.
    const STEP: u64 = 256;
    /// Pages of a virtual CPU.
    const VCPU_PAGES: u64 = 2;
}

/// Lets `write!` go to the log of a machine.
pub struct LogWriter<'a, M: Machine>(pub &'a mut M);

impl<M: Machine> fmt::Write for LogWriter<'_, M> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.log(text.as_bytes());
        Ok(())
    }
}
