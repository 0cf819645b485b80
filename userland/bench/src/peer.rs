//! The other side of what is measured, in a task of its own: one of the stubs
//! of `postern_syscall::stub::server`, which the first argument chooses.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use postern_runtime::syscall::stub::server;
use postern_runtime::syscall::{Capability, Gate, Slot, utcb};
use postern_runtime::{Env, Error};

postern_runtime::main!(main);

/// An address that nothing is mapped at.
const UNMAPPED: u64 = 0x7_0000_0000;

fn main(env: Env) -> Result<(), Error> {
    let gate = || env.capability::<Gate>("gate").map(|gate| gate.slot().word());
    match env.arguments().nth(1) {
        Some("answer") => {
            // Where the capability goes that each message brings: a slot that
            // nobody here uses, and that the client empties.
            let slot = Slot::new(env.free_slots().end - 1);
            utcb::set_windows(&[slot]);
            server::answer()
        }
        Some("forward") => server::forward(gate()?),
        Some("report") => server::report(gate()?),
        Some("fault") => server::fault(UNMAPPED),
        Some("yield") => server::give_way(),
        Some("fpu") => server::give_way_with_fpu(),
        _ => server::echo(),
    }
}
