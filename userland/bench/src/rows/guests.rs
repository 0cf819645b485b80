//! Hypercalls of a guest, whose monitor is this thread.

use postern_runtime::memory::Mapping;
use postern_runtime::syscall::abi::PAGE;
use postern_runtime::syscall::abi::tag::protocol::HYPERCALL;
use postern_runtime::syscall::{Rights, Tag, Timeout, ipc};

use super::{Bench, Row};
use crate::failure::Failure;
use crate::measure::{Figures, SAMPLES, time};
use crate::partner::LABEL;
use crate::scope::Scope;

pub const ROWS: &[Row] = &[Row::new("vmmcall", vmmcall)];

/// `vmmcall`; `jmp` back to it, in the 32-bit mode in which a guest begins.
const PROGRAM: [u8; 5] = [0x0f, 0x01, 0xd9, 0xeb, 0xfb];
/// Below that of this thread, as a guest's is.
const PRIORITY: u8 = 50;

/// From the answer to a guest's hypercall to its next one, which is the same
/// turn beginning elsewhere: out of the monitor, into the guest, two instructions
/// of the guest, out of it, and into the monitor with seven words. The answer has
/// one.
fn vmmcall(bench: &Bench<'_>) -> Result<Figures, Failure> {
    let (factory, mut scope) = (bench.boot.factory, Scope::default());
    let memory = scope.create(|slot| factory.create_memory(slot, PAGE))?;
    Mapping::new(memory, PAGE, Rights::W)?.write(0, &PROGRAM);
    let space = scope.create(|slot| factory.create_guest_memory(slot))?;
    space.map(memory, 0, 0, PAGE, Rights::R | Rights::W | Rights::X)?;
    let gate = scope.create(|slot| factory.create_bound_gate(slot, bench.boot.thread, LABEL))?;
    space.set_hypercall_gate(Some(gate))?;
    let guest = scope.create(|slot| factory.create_thread(slot, PRIORITY))?;
    guest.bind(space)?;
    guest.start(0, 0, 0, 0)?;
    let first = ipc::receive(Timeout::NEVER)?;
    if first.tag != Tag::new(HYPERCALL, 7) {
        return Err(Failure::WrongAnswer);
    }
    bench.meter.library(SAMPLES, || {
        let (ticks, next) = time(|| ipc::reply_receive(0, Tag::new(0, 1), [0; 4], Timeout::NEVER));
        next?;
        Ok(ticks)
    })
}
