//! A virtual machine for the tests: one virtual CPU in 64-bit mode, 64 KiB of
//! memory, and this thread as its monitor.

use postern_tests::bare::guest::BYTES;
use postern_tests::runtime::memory::Mapping;
use postern_tests::syscall::vcpu::{Exit, Segment, Vcpu, resume, segment};
use postern_tests::syscall::{Delivery, ErrorNumber, Gate, Rights, Task, Thread, ipc};
use postern_tests::{Ctx, Failure, Verdict, check_eq, fail, patience, skip};

/// Bytes of memory.
pub const MEMORY: u64 = 64 * 1024;
/// Where its page tables are: the first 4 MiB, one to one.
const TABLES: u64 = 0x1000;
/// Top of its stack.
pub const STACK: u64 = 0x8000;
/// Label of the gate of its exits.
pub const EXITS: u64 = 0x40;

/// Exit codes.
pub mod code {
    pub const READ_DR7: u64 = 0x27;
    pub const WRITE_DR0: u64 = 0x30;
    pub const CPUID: u64 = 0x72;
    pub const INVD: u64 = 0x76;
    pub const HLT: u64 = 0x78;
    pub const PORT: u64 = 0x7b;
    pub const MSR: u64 = 0x7c;
    pub const SHUTDOWN: u64 = 0x7f;
    pub const VMRUN: u64 = 0x80;
    pub const VMLOAD: u64 = 0x82;
    pub const VMSAVE: u64 = 0x83;
    pub const STGI: u64 = 0x84;
    pub const CLGI: u64 = 0x85;
    pub const WBINVD: u64 = 0x89;
    pub const NESTED_FAULT: u64 = 0x400;
    pub const INVALID: u64 = u64::MAX;
}

/// A virtual machine.
pub struct Machine {
    pub space: Task,
    pub memory: Mapping,
    pub thread: Thread,
    pub vcpu: Vcpu,
    pub exits: Gate,
}

/// A machine with `program` at address 0, not started.
pub fn machine(ctx: &Ctx, program: [u8; BYTES]) -> Result<Machine, Failure> {
    machine_with(ctx, program, ctx.gate(EXITS)?)
}

/// The same with another gate for its exits.
pub fn machine_with(ctx: &Ctx, program: [u8; BYTES], exits: Gate) -> Result<Machine, Failure> {
    let space = match ctx.factory.create_guest_memory(ctx.slot()?) {
        Err(error) if error.number == ErrorNumber::Unsupported => {
            skip!("this CPU runs no guests (no SVM with nested paging)");
        }
        other => other?,
    };
    let mut memory = Mapping::create(MEMORY)?;
    space.map(memory.memory(), 0, 0, MEMORY, Rights::R | Rights::W | Rights::X)?;
    memory.write(0, &program);
    // PML4, PDPT, and one table of large pages.
    for (at, entry) in [
        (TABLES, TABLES + 0x1003),
        (TABLES + 0x1000, TABLES + 0x2003),
        (TABLES + 0x2000, 0x83),
        (TABLES + 0x2008, 0x20_0083),
    ] {
        memory.write(at, &entry.to_le_bytes());
    }
    let thread = ctx.factory.create_thread(ctx.slot()?, 100)?;
    thread.set_fault_gate(Some(exits))?;
    check_eq!(thread.bind(space)?, 0, "a virtual CPU has no UTCB");
    let vcpu = Vcpu(thread);
    let mut system = vcpu.system()?;
    // Paging and protected mode; physical address extension; long mode.
    system.cr = [0x8000_0011, 0, TABLES, 0x20];
    system.efer = 0x500;
    system.segments[segment::CS].attributes = 0xa9b;
    system.segments[segment::IDTR] = Segment::default();
    vcpu.set_system(&system)?;
    Ok(Machine { space, memory, thread, vcpu, exits })
}

/// Starts a machine with `program`, its `rdi` and `rsi` set.
pub fn run(ctx: &Ctx, program: [u8; BYTES], rdi: u64, rsi: u64) -> Result<Machine, Failure> {
    let machine = machine(ctx, program)?;
    machine.thread.start(0, STACK, rdi, rsi)?;
    Ok(machine)
}

/// The next message.
pub fn delivery() -> Result<Delivery, Failure> {
    Ok(ipc::receive(patience())?)
}

/// The next exit.
pub fn exit() -> Result<Exit, Failure> {
    let delivery = delivery()?;
    match Exit::from_delivery(&delivery) {
        Some(exit) => Ok(exit),
        None => fail!("no exit, but {delivery:?}"),
    }
}

/// The next exit, which must be this one.
#[track_caller]
pub fn expect(code: u64) -> Result<Exit, Failure> {
    let exit = exit()?;
    if exit.code == code {
        return Ok(exit);
    }
    Err(Failure::new(format_args!("exit {:#x} instead of {code:#x}: {exit:x?}", exit.code)))
}

/// Lets the guest go on behind the instruction of `exit`.
pub fn skip_over(exit: &Exit) -> Verdict {
    resume(&[exit.next])?;
    Ok(())
}
