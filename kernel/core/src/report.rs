//! Reports for people: what a faulting program did, with registers and a
//! backtrace whose addresses `xtask` turns into names.

use core::fmt::Write;

use postern_abi::ErrorCode;
use postern_abi::harness::{SYMBOL_CLOSE, SYMBOL_OPEN};
use postern_abi::op::reason;
use postern_arena::Ref;

use crate::Kernel;
use crate::fpu::NOT_AVAILABLE;
use crate::machine::{Fault, LogWriter, Machine};
use crate::object::Thread;

/// Most frames of a backtrace.
const FRAMES: u32 = 16;
/// The first line of the backtrace.
const FIRST_FRAME: u32 = 7;

impl<M: Machine> Kernel<M> {
    /// Writes line `line` of the report of a fault to the log; `false` when the
    /// report has no such line. A line a step, because a serial port is slow.
    pub(crate) fn report_line(&mut self, thread: Ref<Thread<M>>, fault: Fault, line: u32) -> bool {
        // A log that cannot be written has nobody to complain to.
        self.write_line(thread, fault, line).unwrap_or(false)
    }

    fn write_line(
        &mut self,
        thread: Ref<Thread<M>>,
        fault: Fault,
        line: u32,
    ) -> Result<bool, core::fmt::Error> {
        let Some(faulted) = self.threads.get(thread) else { return Ok(false) };
        let r = &faulted.user.registers.clone();
        let (mut name, mut base, mut build) = ([0; 32], 0, 0);
        if let Some(task) = faulted.task.and_then(|task| self.tasks.get(task)) {
            let bytes = task.name().as_bytes();
            name[..bytes.len()].copy_from_slice(bytes);
            (base, build) = (task.base, task.build);
        }
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        let name = core::str::from_utf8(&name[..end]).unwrap_or("?");
        let caller = match line.checked_sub(FIRST_FRAME) {
            Some(depth) => match self.caller(thread, depth) {
                Some(address) => Some((depth, address)),
                None => return Ok(false),
            },
            None => None,
        };
        let why = self.end_reason(thread, fault);
        let log = &mut LogWriter(&mut self.machine);
        match (line, caller) {
            (0, _) => {
                let what = reason::name(why);
                let index = thread.index();
                write!(
                    log,
                    "fault: program `{name}` (build {build:016x}), thread {index}: {what}"
                )?;
                write_detail(log, fault)?;
            }
            (1, _) => {
                write!(log, "  at ")?;
                write_symbol(log, name, r.rip, base)?;
            }
            (2, _) => four(log, [("rax", r.rax), ("rbx", r.rbx), ("rcx", r.rcx), ("rdx", r.rdx)])?,
            (3, _) => four(log, [("rsi", r.rsi), ("rdi", r.rdi), ("rbp", r.rbp), ("rsp", r.rsp)])?,
            (4, _) => four(log, [("r8 ", r.r8), ("r9 ", r.r9), ("r10", r.r10), ("r11", r.r11)])?,
            (5, _) => four(log, [("r12", r.r12), ("r13", r.r13), ("r14", r.r14), ("r15", r.r15)])?,
            (6, _) => write!(log, "  rip {:016x} flags {:08x}", r.rip, r.rflags)?,
            (_, Some((depth, address))) => {
                write!(log, "  #{depth} ")?;
                // The call lies before the address that it returns to.
                write_symbol(log, name, address.saturating_sub(1), base)?;
            }
            (_, None) => return Ok(false),
        }
        writeln!(log)?;
        Ok(true)
    }

    /// The return address `depth` calls up the chain of frame pointers. Each of
    /// them is checked by `peek`, and must lead upwards, so that the walk ends.
    fn caller(&self, thread: Ref<Thread<M>>, depth: u32) -> Option<u64> {
        let faulted = self.threads.get(thread)?;
        let space = self.tasks.get(faulted.task?)?.space.as_ref()?;
        let mut frame = faulted.user.registers.rbp;
        for level in 0..=depth.min(FRAMES) {
            let next = self.machine.peek(space, frame)?;
            let back = self.machine.peek(space, frame.checked_add(8)?).filter(|back| *back != 0)?;
            if level == depth {
                return (depth < FRAMES).then_some(back);
            }
            if next <= frame {
                return None;
            }
            frame = next;
        }
        None
    }
}

/// What the fault is about.
fn write_detail(log: &mut impl Write, fault: Fault) -> core::fmt::Result {
    if fault.vector != 14 {
        return match fault.error {
            0 => Ok(()),
            error if fault.vector == NOT_AVAILABLE => match ErrorCode::decode(error) {
                Some(why) => write!(log, ": its registers cannot be kept: {why}"),
                None => Ok(()),
            },
            error => write!(log, ", error code {error:#x}"),
        };
    }
    let access = match fault.error {
        error if error & 16 != 0 => "executing",
        error if error & 2 != 0 => "writing",
        _ => "reading",
    };
    let present = if fault.error & 1 != 0 { "forbidden there" } else { "nothing mapped" };
    write!(log, " {access} {:#x} ({present})", fault.address)
}

/// Four registers with their names.
fn four(log: &mut impl Write, registers: [(&str, u64); 4]) -> core::fmt::Result {
    write!(log, " ")?;
    registers.iter().try_for_each(|(name, value)| write!(log, " {name} {value:016x}"))
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
