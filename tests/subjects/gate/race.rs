//! Row L7: binding while others send. A message never arrives at the new
//! thread with the old label, or the other way round.

use postern_tests::syscall::{Capability, Gate, Rights, Slot, Thread, Timeout, control, ipc};
use postern_tests::{Ctx, Verdict, board, check, check_eq, skip, tests};

use crate::{ONE, arguments, slot_of};

tests! {
    l07_binding_is_preempted_at_any_point = 60,
    l07_binding_while_another_cpu_sends,
}

/// Words of the board.
mod word {
    pub const STOP: usize = 0;
    /// Messages that came with the label of another thread.
    pub const TORN: usize = 1;
    /// Rebindings.
    pub const BOUND: usize = 2;
    /// Slots of gate and threads.
    pub const GATE: usize = 3;
    pub const THREADS: usize = 4;
    /// Messages that each of the two got.
    pub const GOT: usize = 8;
}

/// Messages of each sender.
const MESSAGES: u64 = 4000;

/// Receives; bit 2 of every label must say that it is this one.
fn receiver(which: u64) -> u64 {
    loop {
        let Ok(delivery) = ipc::receive(Timeout::NEVER) else { return 1 };
        board::add(word::GOT + which as usize, 1);
        board::add(word::TORN, u64::from(delivery.label >> 2 & 1 != which));
    }
}

fn sender(argument: u64) -> u64 {
    for number in 0..MESSAGES {
        let sent = ipc::send(slot_of(argument), ONE, [number, 0, 0, 0], Timeout::NEVER);
        if sent.is_err() {
            return postern_tests::tell(sent);
        }
    }
    0
}

/// Wakes up at odd times, more urgent than all others, and rebinds.
fn binder(_: u64) -> u64 {
    let gate = Gate::new(Slot::new(board::get(word::GATE) as u32));
    let mut pause = 1_000;
    while board::get(word::STOP) == 0 {
        let number = board::add(word::BOUND, 1);
        let which = number % 2;
        let thread = Thread::new(Slot::new(board::get(word::THREADS + which as usize) as u32));
        if number.is_multiple_of(5) && gate.unbind().is_err() {
            return 1;
        }
        if gate.bind(thread, number << 3 | which << 2).is_err() {
            return 2;
        }
        pause = 500 + pause * 17 % 9_001;
        let _ = control::sleep_until(control::clock() + pause);
    }
    0
}

fn l07_binding_is_preempted_at_any_point(ctx: &Ctx) -> Verdict {
    let receivers = [ctx.spawn_at(50, receiver, 0)?, ctx.spawn_at(50, receiver, 1)?];
    let gate = ctx.unbound()?;
    board::set(word::GATE, gate.slot().word());
    for (receiver, index) in receivers.iter().zip(0..) {
        board::set(word::THREADS + index, receiver.thread().slot().word());
    }
    let client = ctx.derive(gate, Rights::empty())?;
    let binder = ctx.spawn_at(90, binder, 0)?;
    let senders = [
        ctx.spawn_at(50, sender, arguments(client, 0))?,
        ctx.spawn_at(49, sender, arguments(client, 0))?,
        ctx.spawn_at(51, sender, arguments(client, 0))?,
    ];
    for sender in &senders {
        check_eq!(sender.join()?, 0);
    }
    board::set(word::STOP, 1);
    check_eq!(binder.join()?, 0);
    let got = [board::get(word::GOT), board::get(word::GOT + 1)];
    check_eq!(got[0] + got[1], 3 * MESSAGES, "messages that arrived");
    check!(got[0] > MESSAGES / 4 && got[1] > MESSAGES / 4, "{got:?}: one of them got hardly any");
    check!(board::get(word::BOUND) > 100, "only {} rebindings", board::get(word::BOUND));
    check_eq!(board::get(word::TORN), 0, "messages with another thread's label");
    Ok(())
}

fn l07_binding_while_another_cpu_sends(_: &Ctx) -> Verdict {
    skip!("one CPU");
}
