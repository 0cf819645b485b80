//! What the machine is made of: system calls.

use core::arch::x86_64::__cpuid_count;

use postern_runtime::syscall::abi::clock::Clock;
use postern_runtime::syscall::vcpu::{System, Vcpu};
use postern_runtime::syscall::{ErrorNumber, Result, clock};
use postern_runtime::time;
use postern_vm_model::{Given, Host};

use crate::console::Output;
use crate::memory::GuestMemory;

/// Nanoseconds of a second.
const SECOND: u128 = 1_000_000_000;

/// The host of a guest.
pub struct Machinery {
    /// The guest's CPU.
    pub vcpu: Vcpu,
    /// Its memory.
    pub memory: GuestMemory,
    /// What it sends.
    pub output: Output,
    clock: Clock,
}

impl Machinery {
    /// The host of a guest with these parts; `None` where the time stamp counter
    /// tells no time.
    pub fn new(vcpu: Vcpu, memory: GuestMemory, output: Output) -> Option<Self> {
        let clock = clock::parameters();
        (clock.factor != 0).then_some(Self { vcpu, memory, output, clock })
    }
}

impl Host for Machinery {
    fn now(&self) -> u64 {
        clock::now()
    }

    fn ticks(&self) -> u64 {
        time::time_stamp()
    }

    fn time_at(&self, ticks: u64) -> u64 {
        // A guest can ask for any moment.
        let since = u128::from(ticks.saturating_sub(self.clock.start));
        u64::try_from((since * u128::from(self.clock.factor)) >> 32).unwrap_or(u64::MAX)
    }

    fn tick_rate(&self) -> u64 {
        ((SECOND << 32) / u128::from(self.clock.factor)) as u64
    }

    fn cpuid(&self, leaf: u32, sub: u32) -> [u32; 4] {
        let found = __cpuid_count(leaf, sub);
        [found.eax, found.ebx, found.ecx, found.edx]
    }

    fn sent(&mut self, byte: u8) {
        let now = clock::now();
        self.output.push(byte, now);
    }

    fn report(&mut self, text: &str) {
        self.output.report(text);
    }

    fn registers(&mut self) -> Result<[u64; 18]> {
        let found = self.vcpu.0.registers()?;
        let mut registers = [0; 18];
        let [rax, rbx, rcx, rdx, rsi, rdi, rbp, rest @ ..] = found.general;
        registers[..10].copy_from_slice(&[
            found.rip,
            rax,
            rbx,
            rcx,
            rdx,
            rsi,
            rdi,
            rbp,
            found.rsp,
            found.rflags,
        ]);
        registers[10..].copy_from_slice(&rest);
        Ok(registers)
    }

    fn system(&mut self) -> Result<System> {
        self.vcpu.system()
    }

    fn set_system(&mut self, system: &System) -> Result<()> {
        self.vcpu.set_system(system)
    }

    fn inject(&mut self, vector: u8, error: Option<u32>) -> Result<()> {
        self.vcpu.inject(vector, error)
    }

    fn interrupt(&mut self, vector: u8) -> Result<bool> {
        match self.vcpu.interrupt(vector) {
            Ok(()) => Ok(true),
            Err(error) if error.number == ErrorNumber::Busy => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn give(&mut self, address: u64) -> Given {
        self.memory.give(address)
    }

    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        self.memory.read(address, bytes)
    }
}
