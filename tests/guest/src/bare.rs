//! All that is not safe: ports, MSRs, segments, interrupts.

use core::arch::{asm, naked_asm};
use core::sync::atomic::{AtomicU64, Ordering};

use postern_abi::harness::EXIT_PORT;
use postern_hypercall::{Hypercalls, Opcode};
use uart_16550::SerialPort;
use x86_64::VirtAddr;
use x86_64::instructions::interrupts;
use x86_64::instructions::port::Port;
use x86_64::instructions::segmentation::{CS, Segment};
use x86_64::instructions::tables::{lgdt, lidt};
use x86_64::registers::model_specific::Msr;
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::gdt::SegmentSelector;

/// Vector of the first line of the old interrupt controllers.
pub const LINES: u8 = 0x30;
/// Vector of the timer.
pub const TIMER: u8 = 0x40;

/// Segments: none, 64-bit code.
static SEGMENTS: [u64; 2] = [0, 0x0020_9b00_0000_0000];

/// How often each of these came: invalid instructions, protection faults, lines
/// of the serial port, the timer, the old timer.
pub static COUNTS: [AtomicU64; 5] = [const { AtomicU64::new(0) }; 5];
/// Places in [`COUNTS`].
pub const UNDEFINED: usize = 0;
/// See above.
pub const PROTECTION: usize = 1;
/// See above.
pub const SERIAL: usize = 2;
/// See above.
pub const TICKS: usize = 3;
/// See above.
pub const OLD_TICKS: usize = 4;

/// How often something came.
pub fn count(what: usize) -> u64 {
    COUNTS[what].load(Ordering::Relaxed)
}

/// Handlers that count. An exception's instruction is skipped: it has three
/// bytes (VMRUN and its like, VMCALL) or two (RDMSR, WRMSR).
macro_rules! handlers {
    ($($name:ident: $place:literal, $skip:literal, $pop:literal, $end:literal;)+) => {$(
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            naked_asm!(
                concat!("add rsp, ", $pop),
                "push rax",
                "push rcx",
                "push rdx",
                concat!("add qword ptr [rsp + 24], ", $skip),
                "lea rax, [rip + {counts}]",
                concat!("inc qword ptr [rax + 8 * ", $place, "]"),
                "xor eax, eax",
                "xor edx, edx",
                "mov ecx, 0x80b",
                concat!(".rept ", $end),
                "wrmsr",
                ".endr",
                "pop rdx",
                "pop rcx",
                "pop rax",
                "iretq",
                counts = sym COUNTS,
            )
        }
    )+};
}
handlers! {
    undefined: 0, 3, 0, 0;
    protection: 1, 2, 8, 0;
    serial: 2, 0, 0, 0;
    timer: 3, 0, 0, 1;
    old_timer: 4, 0, 0, 0;
}

/// The interrupt table; written once.
static mut GATES: [[u64; 2]; 256] = [[0; 2]; 256];

/// Sets up segments, interrupts and the interrupt controllers.
pub fn start() {
    let table = |first: *const u8, bytes: usize| DescriptorTablePointer {
        limit: bytes as u16 - 1,
        base: VirtAddr::from_ptr(first),
    };
    // SAFETY: called once, before anything interrupts; the tables are statics
    // with descriptors of 64-bit code, and handlers that keep all registers.
    unsafe {
        lgdt(&table((&raw const SEGMENTS).cast(), size_of_val(&SEGMENTS)));
        CS::set_reg(SegmentSelector(8));
        for (vector, handler) in [
            (6, undefined as *const () as u64),
            (13, protection as *const () as u64),
            (LINES, old_timer as *const () as u64),
            (LINES + 4, serial as *const () as u64),
            (TIMER, timer as *const () as u64),
        ] {
            let low = handler & 0xffff | 8 << 16 | 0x8e00 << 32 | (handler & 0xffff_0000) << 32;
            (&raw mut GATES).cast::<[u64; 2]>().add(vector.into()).write([low, handler >> 32]);
        }
        lidt(&table((&raw const GATES).cast(), 4096));
        // The controllers: vectors, cascade, interrupts that end by themselves;
        // only the serial port's line.
        for (port, value) in [
            (0x20, 0x11),
            (0x21, LINES),
            (0x21, 4),
            (0x21, 3),
            (0x21, 0xef),
            (0xa0, 0x11),
            (0xa1, LINES + 8),
            (0xa1, 2),
            (0xa1, 3),
            (0xa1, 0xff),
        ] {
            Port::<u8>::new(port).write(value);
        }
        // x2APIC, with the old controllers behind its first pin.
        let mut base = Msr::new(0x1b);
        base.write(base.read() | 1 << 10);
        Msr::new(0x80f).write(0x1ff);
        Msr::new(0x835).write(0x700);
    }
    interrupts::enable();
}

/// Sets the serial port up, with an interrupt for input.
pub fn start_serial() {
    // SAFETY: it is this machine's serial port, and nobody else uses it.
    unsafe { SerialPort::new(0x3f8) }.init();
}

/// Sends a byte.
pub fn send(byte: u8) {
    // SAFETY: as in `start_serial`.
    unsafe { SerialPort::new(0x3f8) }.send_raw(byte);
}

/// The next byte that came, if one did.
pub fn receive() -> Option<u8> {
    // SAFETY: as in `start_serial`.
    unsafe { SerialPort::new(0x3f8) }.try_receive().ok()
}

/// Waits for an interrupt, unless one has come that nobody looked at.
pub fn wait() {
    interrupts::disable();
    // SAFETY: reading the status of the serial port has no effects.
    let has_input = unsafe { Port::<u8>::new(0x3fd).read() } & 1 != 0;
    if has_input { interrupts::enable() } else { interrupts::enable_and_hlt() }
}

/// Halts until an interrupt.
pub fn halt() {
    interrupts::enable_and_hlt();
}

/// Halts with interrupts off.
pub fn halt_for_ever() {
    interrupts::disable();
    x86_64::instructions::hlt();
}

/// Ends the machine.
pub fn exit(code: u8) -> ! {
    port(EXIT_PORT).write(code);
    loop {
        halt_for_ever();
    }
}

/// An I/O port of a byte.
pub struct BytePort(u16);

/// The port with this number.
pub fn port(number: u16) -> BytePort {
    BytePort(number)
}

impl BytePort {
    /// Writes it.
    pub fn write(&self, value: u8) {
        // SAFETY: no device of this machine reads or writes memory.
        unsafe { Port::new(self.0).write(value) }
    }

    /// Reads it.
    pub fn read(&self) -> u8 {
        // SAFETY: as in `write`.
        unsafe { Port::new(self.0).read() }
    }
}

/// Reads an MSR; 0 if that is a protection fault.
pub fn read_msr(msr: u32) -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: reading has no effects; a fault is skipped by the handler.
    unsafe {
        asm!("rdmsr", in("ecx") msr, inout("rax") 0_u64 => low, inout("rdx") 0_u64 => high);
    }
    high << 32 | low
}

/// Writes an MSR; nothing happens if that is a protection fault.
///
/// # Safety
/// The value of this MSR changes nothing that the guest stands on.
pub unsafe fn write_msr(msr: u32, value: u64) {
    // SAFETY: as the caller promises; a fault is skipped by the handler.
    unsafe {
        asm!("wrmsr", in("ecx") msr, in("eax") value as u32, in("edx") (value >> 32) as u32);
    }
}

/// Sets up the timer: `mode` with its vector, divided by one.
pub fn set_timer(mode: u32) {
    // SAFETY: the vector has a handler.
    unsafe {
        write_msr(0x83e, 0b1011);
        write_msr(0x832, (mode | u32::from(TIMER)).into());
    }
}

/// Lets the old timer interrupt every so many of its ticks; 0: not at all.
pub fn set_old_timer(ticks: u16) {
    port(0x43).write(if ticks == 0 { 0x30 } else { 0x34 });
    if ticks != 0 {
        for byte in ticks.to_le_bytes() {
            port(0x40).write(byte);
        }
    }
    // Only its line and the serial port's.
    port(0x21).write(if ticks == 0 { 0xef } else { 0xee });
}

/// Lets the timer count down.
pub fn start_countdown(ticks: u32) {
    // SAFETY: as in `set_timer`.
    unsafe { write_msr(0x838, ticks.into()) }
}

/// Lets the timer fire at this value of the time stamp counter.
pub fn start_deadline(ticks: u64) {
    // SAFETY: as in `set_timer`.
    unsafe { write_msr(0x6e0, ticks) }
}

/// The time stamp counter.
pub fn ticks() -> u64 {
    // SAFETY: every 64-bit CPU has the instruction.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The same calls by the instruction that is not this CPU's.
pub fn other_instruction(calls: Hypercalls) -> Hypercalls {
    let opcode = match calls.opcode() {
        Opcode::Vmcall => Opcode::Vmmcall,
        Opcode::Vmmcall => Opcode::Vmcall,
    };
    // SAFETY: the interface was found; its host answers both instructions.
    unsafe { Hypercalls::assume(calls.interface(), opcode) }
}

/// Executes an instruction of the host, which is an invalid one here.
pub fn run_guest() {
    // SAFETY: it is not executed; the handler skips it.
    unsafe { asm!("vmsave rax", in("rax") 0x1000) }
}

/// Writes a byte through a string instruction.
pub fn write_string(port: u16, text: &[u8]) {
    // SAFETY: only reads the text; no device of this machine writes memory.
    unsafe {
        asm!("rep outsb", in("dx") port, inout("rsi") text.as_ptr() => _,
            inout("rcx") text.len() => _);
    }
}

/// Reads and writes a word of memory.
///
/// # Safety
/// `at` is mapped, and nothing else uses it; or that it is not is wanted.
pub unsafe fn touch(at: u64, value: u64) -> u64 {
    let word = at as *mut u64;
    // SAFETY: as the caller promises.
    unsafe {
        let before = word.read_volatile();
        word.write_volatile(value);
        before
    }
}

/// Writes to debug registers and reads them again.
pub fn debug_registers(value: u64) -> [u64; 3] {
    let (zero, three, seven);
    // SAFETY: the switch, DR7, stays off.
    unsafe {
        asm!("mov dr0, {0}", "mov dr3, {0}", in(reg) value);
        asm!("mov {0}, dr0", "mov {1}, dr3", "mov r14, dr7",
            out(reg) zero, out(reg) three, out("r14") seven);
    }
    [zero, three, seven]
}

/// Forgets the interrupt table, then needs it.
pub fn triple_fault() {
    let none = DescriptorTablePointer { limit: 0, base: VirtAddr::zero() };
    // SAFETY: the guest ends here, which is wanted.
    unsafe {
        lidt(&none);
        asm!("ud2");
    }
}
