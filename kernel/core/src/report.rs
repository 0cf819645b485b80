//! Reports for people: what a faulting program did, with registers and a
//! backtrace whose addresses `xtask` turns into names.

use core::fmt::Write;

use postern_abi::harness::{SYMBOL_CLOSE, SYMBOL_OPEN};
use postern_abi::op::reason;
use postern_arena::Ref;

use crate::Kernel;
use crate::machine::{Fault, LogWriter, Machine};
use crate::object::Thread;

/// Most frames of a backtrace.
const FRAMES: usize = 16;

impl<M: Machine> Kernel<M> {
    /// Writes the report of a fault to the log.
    pub(crate) fn report_fault(&mut self, thread: Ref<Thread<M>>, fault: Fault) {
        // A log that cannot be written has nobody to complain to.
        let _ = self.write_report(thread, fault);
    }

    fn write_report(&mut self, thread: Ref<Thread<M>>, fault: Fault) -> core::fmt::Result {
        let Some(faulted) = self.threads.get(thread) else { return Ok(()) };
        let r = faulted.user.registers.clone();
        let task = faulted.task.and_then(|task| self.tasks.get(task));
        let (mut name, mut base, mut build) = ([0; 32], 0, 0);
        let mut return_addresses = [0; FRAMES];
        let mut depth = 0;
        if let Some(task) = task {
            let bytes = task.name().as_bytes();
            name[..bytes.len()].copy_from_slice(bytes);
            (base, build) = (task.base, task.build);
            // The chain of frame pointers; each is checked by `peek`, and must
            // lead upwards, so that the walk ends.
            let mut frame = r.rbp;
            while let Some(space) = task.space.as_ref().filter(|_| depth < FRAMES) {
                let next = self.machine.peek(space, frame);
                let back = frame.checked_add(8).and_then(|at| self.machine.peek(space, at));
                let (Some(next), Some(back)) = (next, back) else { break };
                if back == 0 {
                    break;
                }
                return_addresses[depth] = back;
                depth += 1;
                if next <= frame {
                    break;
                }
                frame = next;
            }
        }
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        let name = core::str::from_utf8(&name[..end]).unwrap_or("?");
        let log = &mut LogWriter(&mut self.machine);
        let what = reason::name(reason::EXCEPTION + u64::from(fault.vector));
        write!(
            log,
            "fault: program `{name}` (build {build:016x}), thread {}: {what}",
            thread.index()
        )?;
        if fault.vector == 14 {
            let access = match fault.error {
                error if error & 16 != 0 => "executing",
                error if error & 2 != 0 => "writing",
                _ => "reading",
            };
            let present = if fault.error & 1 != 0 { "forbidden there" } else { "nothing mapped" };
            write!(log, " {access} {:#x} ({present})", fault.address)?;
        } else if fault.error != 0 {
            write!(log, ", error code {:#x}", fault.error)?;
        }
        writeln!(log)?;
        write!(log, "  at ")?;
        write_symbol(log, name, r.rip, base)?;
        writeln!(log)?;
        writeln!(
            log,
            "  rax {:016x} rbx {:016x} rcx {:016x} rdx {:016x}",
            r.rax, r.rbx, r.rcx, r.rdx
        )?;
        writeln!(
            log,
            "  rsi {:016x} rdi {:016x} rbp {:016x} rsp {:016x}",
            r.rsi, r.rdi, r.rbp, r.rsp
        )?;
        writeln!(
            log,
            "  r8  {:016x} r9  {:016x} r10 {:016x} r11 {:016x}",
            r.r8, r.r9, r.r10, r.r11
        )?;
        writeln!(
            log,
            "  r12 {:016x} r13 {:016x} r14 {:016x} r15 {:016x}",
            r.r12, r.r13, r.r14, r.r15
        )?;
        writeln!(log, "  rip {:016x} flags {:08x}", r.rip, r.rflags)?;
        for (depth, address) in return_addresses[..depth].iter().enumerate() {
            write!(log, "  #{depth} ")?;
            // The call lies before the address that it returns to.
            write_symbol(log, name, address.saturating_sub(1), base)?;
            writeln!(log)?;
        }
        Ok(())
    }
}

/// An address in the form that `xtask` looks for; plain outside of the image.
fn write_symbol(log: &mut impl Write, name: &str, address: u64, base: u64) -> core::fmt::Result {
    match address.checked_sub(base) {
        Some(offset) if base != 0 && offset < 1 << 30 => {
            write!(log, "{SYMBOL_OPEN}{name}+{offset:#x}{SYMBOL_CLOSE}")
        }
        _ => write!(log, "{address:#x}"),
    }
}
