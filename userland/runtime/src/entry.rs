//! The entry point: from two registers to a main function with a heap, an
//! environment and a log.
//!
//! Two forms: programs get an environment block from whoever started them;
//! init gets the boot archive and fixed slots from the kernel.

use core::arch::naked_asm;

use postern_syscall::abi::image::{Archive, init};
use postern_syscall::abi::{ABI_VERSION, env};
use postern_syscall::diagnosis;
use postern_syscall::{
    Factory, IoPort, Irq, Log, Memory, Scheduler, Slot, Task, Thread, control, slots,
};

use crate::termination::{Termination, exit, exit_code};
use crate::{Env, heap, memory, own};

unsafe extern "Rust" {
    /// Made by `main!` or `init_main!`.
    safe fn __postern_main(first: u64, second: u64) -> !;
}

/// First instruction of the program: rdi and rsi as the starter chose them,
/// rsp the top of the stack, all else zero.
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn _start() -> ! {
    // rbp = 0 ends the chain of frames for backtraces; `call` leaves the stack
    // as every function expects it.
    naked_asm!("xor ebp, ebp", "and rsp, -16", "call {main}", "ud2", main = sym enter)
}

extern "C" fn enter(first: u64, second: u64) -> ! {
    __postern_main(first, second)
}

/// Ends a program that was built for another ABI than its kernel or starter
/// speaks: nothing else can be relied on, not even the log.
fn check_version(version: u64) {
    if version != u64::from(ABI_VERSION) || control::null() != Ok(ABI_VERSION.into()) {
        control::exit(exit_code::WRONG_ABI as u64);
    }
}

/// Runs a program that was started with an environment block.
pub fn run<T: Termination>(address: u64, length: u64, main: impl FnOnce(Env) -> T) -> ! {
    // SAFETY: the starter passes the address and length of a block that is
    // mapped read-only for the program's whole life (docs/abi.md section 9).
    let bytes = unsafe { memory::static_bytes(address, length) };
    check_version(env::version(bytes).unwrap_or(0));
    let env = Env::new(bytes);
    own::set(&env);
    diagnosis::enable(true);
    slots::set_own(own::task().unwrap_or(Task::new(Slot::NULL)), env.free_slots());
    if let Some(region) = env.region("heap") {
        // SAFETY: the starter mapped it writable for this program's heap, and
        // nothing else uses it.
        unsafe { heap::start(region.address, region.bytes) };
    }
    exit(main(env).code())
}

/// What the kernel gives to the first program.
#[derive(Clone, Copy)]
pub struct Boot {
    /// The boot archive: programs by name, the command line.
    pub archive: Archive<'static>,
    /// The archive as memory, readable.
    pub archive_memory: Memory,
    /// The program's own task.
    pub task: Task,
    /// Its thread.
    pub thread: Thread,
    /// The root factory.
    pub factory: Factory,
    /// The kernel's log.
    pub log: Log,
    /// The scheduler, for priorities up to 255.
    pub scheduler: Scheduler,
    /// All I/O ports.
    pub io_ports: IoPort,
}

impl Boot {
    /// The interrupt line with this number, 0 to 23.
    #[must_use]
    pub fn irq(&self, line: u32) -> Option<Irq> {
        (line < init::IRQ_COUNT).then(|| Irq::new(Slot::new(init::IRQS + line)))
    }
}

/// Bytes of init's heap.
const INIT_HEAP: u64 = 1 << 20;

/// Runs a program that the kernel started in the place of init.
pub fn run_init<T: Termination>(address: u64, length: u64, main: impl FnOnce(Boot) -> T) -> ! {
    check_version(ABI_VERSION.into());
    let slot = Slot::new;
    let (task, thread) = (Task::new(slot(init::TASK)), Thread::new(slot(init::THREAD)));
    let (factory, log) = (Factory::new(slot(init::FACTORY)), Log::new(slot(init::LOG)));
    own::set_init(task, thread, factory, log);
    slots::set_own(task, init::FREE..init::SLOTS);
    if heap::create(task, factory, INIT_HEAP).is_err() {
        // The first message that needs the heap will say so and panic.
        let _ = log.write(b"init: there is no memory for a heap\n");
    }
    // SAFETY: the kernel maps the archive read-only before it starts init, and
    // nothing unmaps it (docs/abi.md section 8.3).
    let bytes = unsafe { memory::static_bytes(address, length) };
    let Some(archive) = Archive::new(bytes) else {
        let _ = log.write(b"init: the boot archive is malformed\n");
        exit(exit_code::ERROR)
    };
    let boot = Boot {
        archive,
        archive_memory: Memory::new(slot(init::ARCHIVE)),
        task,
        thread,
        factory,
        log,
        scheduler: Scheduler::new(slot(init::SCHEDULER)),
        io_ports: IoPort::new(slot(init::IO_PORTS)),
    };
    exit(main(boot).code())
}
