//! Section F: the labels of messages that wait.

use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::abi::op::thread::{MAX_RULES, MODIFY_SENDERS};
use postern_tests::syscall::{
    Capability, ErrorNumber, ModifySenders, Rights, Slot, Thread, control, operate,
};
use postern_tests::{
    Crowd, Ctx, Failure, Partner, Verdict, board, check, check_eq, op, skip, tell, tests,
};

use crate::{answer, arguments, call_it, receive, send_it, waiting};

tests! {
    gate_c80_first_rule_that_matches,
    gate_c80_needs_s_on_the_thread,
    gate_c81_no_rule_matches,
    gate_c82_rights_bits_are_included,
    gate_c82_gate_and_later_messages_keep_the_label,
    gate_c82_callers_and_faults_alike,
    gate_c83_list_that_is_too_short,
    gate_c83_more_rules_than_fit,
    gate_c84_thousand_senders_and_a_second_run = 60,
    gate_c84_senders_that_move_have_their_turn = 60,
    gate_c84_modifier_that_is_destroyed = 60,
    gate_c85_senders_of_an_unbound_gate,
    l10_senders_of_a_thread_on_another_cpu,
}

/// A list of these rules.
fn rules(list: &[[u64; 4]]) -> Result<ModifySenders, Failure> {
    let mut rules = ModifySenders::new();
    for [mask, value, clear, set] in list {
        rules.add(*mask, *value, *clear, *set)?;
    }
    Ok(rules)
}

/// Senders that wait at this thread, one with each label, without rights.
fn senders(ctx: &Ctx, labels: &[u64]) -> Result<alloc::vec::Vec<Partner>, Failure> {
    let mut partners = alloc::vec::Vec::new();
    for (label, number) in labels.iter().zip(0..) {
        let gate = ctx.derive(ctx.gate(*label)?, Rights::empty())?;
        partners.push(waiting(ctx, 100, send_it, arguments(gate, number))?);
    }
    Ok(partners)
}

/// Receives from all of them: the labels must be these.
fn arrive_as(partners: &[Partner], labels: &[u64]) -> Verdict {
    for (label, number) in labels.iter().zip(0..) {
        let delivery = receive()?;
        check_eq!(delivery.words[0], number);
        check_eq!(delivery.label, *label, "number {number}");
    }
    for partner in partners {
        check_eq!(partner.join()?, 0);
    }
    Ok(())
}

fn gate_c80_first_rule_that_matches(ctx: &Ctx) -> Verdict {
    let partners = senders(ctx, &[0x100, 0x200, 0x300, 0x400, 0x100])?;
    let list = rules(&[
        [0x300, 0x100, 0x100, 0x1000],
        // What the first has made of a label is not looked at again.
        [0x1000, 0x1000, u64::MAX, 0xdead0],
        [0x200, 0x200, 0x200, 0x2000],
        // The third was first.
        [0x300, 0x300, 0, 0x8000],
    ])?;
    ctx.thread.modify_senders(&list)?;
    arrive_as(&partners, &[0x1000, 0x2000, 0x2100, 0x400, 0x1000])?;
    // What is cleared and set at once is set.
    let partners = senders(ctx, &[0x100])?;
    ctx.thread.modify_senders(&rules(&[[0, 0, u64::MAX, u64::MAX]])?)?;
    arrive_as(&partners, &[u64::MAX])
}

fn gate_c80_needs_s_on_the_thread(ctx: &Ctx) -> Verdict {
    let weak = ctx.derive(ctx.thread, Rights::all() - Rights::S)?;
    let partners = senders(ctx, &[0x100])?;
    let all = rules(&[[0, 0, 0, 0x1000]])?;
    check_eq!(weak.modify_senders(&all), Err(op(ErrorNumber::Perm, 0)));
    // With S only, of a thread that never ran, which nobody sends to.
    let new = ctx.derive(ctx.new_thread()?, Rights::S)?;
    check_eq!(new.modify_senders(&all), Ok(()));
    arrive_as(&partners, &[0x100])
}

fn gate_c81_no_rule_matches(ctx: &Ctx) -> Verdict {
    let partners = senders(ctx, &[0x100, 0x200])?;
    // The second can match nothing: a bit that the mask does not let through.
    let list = rules(&[[u64::MAX, 0x300, 0, 4], [0x100, 0x300, 0, 8]])?;
    ctx.thread.modify_senders(&list)?;
    arrive_as(&partners, &[0x100, 0x200])
}

fn gate_c82_rights_bits_are_included(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let rights = [Rights::empty(), Rights::W, Rights::S, Rights::W | Rights::S];
    let mut partners = alloc::vec::Vec::new();
    for (rights, number) in rights.into_iter().zip(0..) {
        let client = ctx.derive(gate, rights)?;
        partners.push(waiting(ctx, 100, send_it, arguments(client, number))?);
    }
    // Matched, cleared and set like any other bits.
    let list = rules(&[[3, 3, 3, 0x1000], [3, 1, 1, 2], [3, 0, 0, 3]])?;
    ctx.thread.modify_senders(&list)?;
    arrive_as(&partners, &[0x43, 0x42, 0x42, 0x1040])
}

fn gate_c82_gate_and_later_messages_keep_the_label(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let client = ctx.derive(gate, Rights::empty())?;
    let early = waiting(ctx, 100, send_it, arguments(client, 0))?;
    ctx.thread.modify_senders(&rules(&[[0, 0, 0, 0x1000]])?)?;
    let late = waiting(ctx, 100, send_it, arguments(client, 1))?;
    check_eq!(gate.info()?.label, 0x40);
    arrive_as(&[early, late], &[0x1040, 0x40])
}

fn gate_c82_callers_and_faults_alike(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let client = ctx.derive(gate, Rights::empty())?;
    let caller = waiting(ctx, 100, call_it, arguments(client, 5))?;
    let mut faulty = ctx.helper(100)?;
    faulty.thread().set_fault_gate(Some(gate))?;
    faulty.start(postern_tests::bare::privileged::undefined, 0)?;
    faulty.await_state(ctx, ThreadState::Faulting)?;
    ctx.thread.modify_senders(&rules(&[[0, 0, 0x40, 0x80]])?)?;
    let delivery = receive()?;
    check_eq!((delivery.label, delivery.words[0]), (0x80, 5), "the call");
    answer(0, 0)?;
    check_eq!(caller.join()?, 0);
    let delivery = receive()?;
    check_eq!((delivery.label, delivery.words[0]), (0x80, 6), "the fault");
    // The handler gives up.
    answer(0, 1)?;
    faulty.expect_fault(6, None)?;
    Ok(())
}

fn gate_c83_list_that_is_too_short(ctx: &Ctx) -> Verdict {
    let partners = senders(ctx, &[0x100])?;
    ctx.thread.modify_senders(&ModifySenders::new())?;
    // Parts of a rule that would match.
    for count in 1..5 {
        operate(ctx.thread.slot(), &[MODIFY_SENDERS, 0, 0, 0, 0x1000][..count], &[])?;
    }
    // A whole one that does not match, and parts of one that would.
    let words = [MODIFY_SENDERS, 0, 1, 0, 0x2000, 0, 0, 0, 0x1000];
    for count in 5..9 {
        operate(ctx.thread.slot(), &words[..count], &[])?;
    }
    arrive_as(&partners, &[0x100])
}

fn gate_c83_more_rules_than_fit(ctx: &Ctx) -> Verdict {
    let partners = senders(ctx, &[0x100])?;
    let mut list = ModifySenders::new();
    for number in 1..ModifySenders::MAX as u64 {
        list.add(u64::MAX, 0x9000 + number, 0, 4)?;
    }
    list.add(u64::MAX, 0x100, 0, 0x8000)?;
    for _ in 0..3 {
        let full = list.add(0, 0, 0, 0x7000);
        check_eq!(full.map_err(|error| error.number), Err(ErrorNumber::NoMem));
    }
    check_eq!(MAX_RULES, 15);
    // What fits is there, the last rule included; what did not has no effect.
    ctx.thread.modify_senders(&list)?;
    arrive_as(&partners, &[0x8100])
}

/// Words of the board.
mod word {
    /// The ticker stops when it is set.
    pub const STOP: usize = 0;
    /// Runs of the ticker that were `Busy`.
    pub const BUSY: usize = 1;
    /// Runs of the ticker that were done.
    pub const DONE: usize = 2;
    /// Errors of the ticker that it should not get.
    pub const WRONG: usize = 3;
    /// Senders that began, and that came through.
    pub const BEGAN: usize = 4;
    pub const THROUGH: usize = 5;
}

const SENDERS: u64 = 1000;

/// A member of the crowd: sends its number.
fn send_number(argument: u64) -> u64 {
    board::add(word::BEGAN, 1);
    let sent = send_it(argument);
    board::add(word::THROUGH, u64::from(sent == 0));
    0
}

/// A thousand senders with the label 0x40, waiting at this thread.
fn crowd(ctx: &Ctx) -> Result<Crowd, Failure> {
    let gate = ctx.derive(ctx.gate(0x40)?, Rights::empty())?;
    let argument = |number| arguments(gate, number);
    let crowd =
        Crowd::start(ctx, SENDERS, |number| 60 + (number % 7) as u8, send_number, argument)?;
    let began = ctx.wait_until(|| board::get(word::BEGAN) == SENDERS);
    check!(began, "only {} began", board::get(word::BEGAN));
    control::sleep_until(control::clock() + 2_000_000)?;
    check_eq!(board::get(word::THROUGH), 0);
    Ok(crowd)
}

/// Makes 0x40 into 0x80. A label that it were applied to twice would be 0xc0.
fn forty_to_eighty() -> Result<ModifySenders, Failure> {
    rules(&[[u64::MAX, 0x40, 0x40, 0x80], [u64::MAX, 0x80, 0, 0x40]])
}

/// Modifies the senders of the thread in the slot.
fn modify(slot: u64) -> u64 {
    let Ok(list) = forty_to_eighty() else { return 1 };
    tell(Thread::new(Slot::new(slot as u32)).modify_senders(&list))
}

/// Wakes up all the time, more urgent than the modifier, and tries to modify
/// the same senders, without an effect.
fn ticker(slot: u64) -> u64 {
    let thread = Thread::new(Slot::new(slot as u32));
    let mut nothing = ModifySenders::new();
    if nothing.add(0, 1, 0, 0).is_err() {
        return 1;
    }
    while board::get(word::STOP) == 0 {
        let counter = match thread.modify_senders(&nothing) {
            Ok(()) => word::DONE,
            Err(error) if error == op(ErrorNumber::Busy, 0) => word::BUSY,
            Err(_) => word::WRONG,
        };
        board::add(counter, 1);
        let _ = control::sleep_until(control::clock() + 3_000);
    }
    0
}

/// Receives from the whole crowd; how many had the label 0x80. All others must
/// have 0x40, and each number come once.
fn receive_all(ctx: &Ctx) -> Result<u64, Failure> {
    let mut seen = [false; SENDERS as usize];
    let mut changed = 0;
    for _ in 0..SENDERS {
        let delivery = receive()?;
        let number = delivery.words[0] as usize;
        check!(!core::mem::replace(&mut seen[number], true), "number {number} came twice");
        check!(matches!(delivery.label, 0x40 | 0x80), "number {number} as {:#x}", delivery.label);
        changed += u64::from(delivery.label == 0x80);
    }
    let through = || board::get(word::THROUGH) == SENDERS;
    check!(ctx.wait_until(through), "only {} came through", board::get(word::THROUGH));
    Ok(changed)
}

fn gate_c84_thousand_senders_and_a_second_run(ctx: &Ctx) -> Verdict {
    let crowd = crowd(ctx)?;
    let ticker = ctx.spawn_at(150, ticker, ctx.thread.slot().word())?;
    let modifier = ctx.spawn_at(80, modify, ctx.thread.slot().word())?;
    check_eq!(modifier.join()?, 0);
    board::set(word::STOP, 1);
    check_eq!(ticker.join()?, 0);
    let [busy, wrong] = [word::BUSY, word::WRONG].map(board::get);
    check!(busy >= 5, "the modifier was interrupted {busy} times");
    check_eq!(wrong, 0, "other errors");
    check_eq!(receive_all(ctx)?, SENDERS, "labels that were changed");
    crowd.end(ctx)
}

/// Gives a member of the crowd's priority to one after the other, so that they
/// change their places in the queue.
fn mover(scheduler: u64) -> u64 {
    let scheduler = postern_tests::syscall::Scheduler::new(Slot::new(scheduler as u32));
    let mut number = 0;
    while board::get(word::STOP) == 0 {
        for index in 0..4 {
            let thread = Thread::new(Slot::new(board::get(16 + index) as u32));
            let priority = [40, 66, 120, 60][(index + number) % 4];
            if scheduler.set_priority(thread, priority).is_err() {
                board::add(word::WRONG, 1);
            }
        }
        number += 1;
        board::add(word::DONE, 1);
        let _ = control::sleep_until(control::clock() + 3_000);
    }
    0
}

fn gate_c84_senders_that_move_have_their_turn(ctx: &Ctx) -> Verdict {
    // Four senders change their priorities while the run is under way.
    let gate = ctx.derive(ctx.gate(0x40)?, Rights::empty())?;
    let mut moving = alloc::vec::Vec::new();
    for index in 0..4 {
        let partner = waiting(ctx, 60, send_it, arguments(gate, 5000 + index))?;
        board::set(16 + index as usize, partner.thread().slot().word());
        moving.push(partner);
    }
    let crowd = crowd(ctx)?;
    let mover = ctx.spawn_at(150, mover, ctx.scheduler.slot().word())?;
    let before = board::get(word::DONE);
    let modifier = ctx.spawn_at(80, modify, ctx.thread.slot().word())?;
    check_eq!(modifier.join()?, 0);
    board::set(word::STOP, 1);
    check_eq!(mover.join()?, 0);
    check!(board::get(word::DONE) > before + 5, "they hardly moved");
    check_eq!(board::get(word::WRONG), 0);
    for _ in 0..SENDERS + 4 {
        let delivery = receive()?;
        check_eq!(delivery.label, 0x80, "number {}", delivery.words[0]);
    }
    for partner in &moving {
        check_eq!(partner.join()?, 0);
    }
    crowd.end(ctx)
}

fn gate_c84_modifier_that_is_destroyed(ctx: &Ctx) -> Verdict {
    let crowd = crowd(ctx)?;
    // This thread is more urgent: it wakes up in the middle of the run.
    let modifier = ctx.spawn_at(80, modify, ctx.thread.slot().word())?;
    control::sleep_until(control::clock() + 20_000)?;
    let nothing = rules(&[[0, 1, 0, 0]])?;
    check_eq!(ctx.thread.modify_senders(&nothing), Err(op(ErrorNumber::Busy, 0)));
    ctx.task.destroy(modifier.thread().slot())?;
    // Nobody is in the way any more, and all labels are old or new.
    check_eq!(ctx.thread.modify_senders(&nothing), Ok(()));
    let changed = receive_all(ctx)?;
    check!(changed > 0 && changed < SENDERS, "{changed} labels were changed");
    crowd.end(ctx)
}

fn gate_c85_senders_of_an_unbound_gate(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    gate.unbind()?;
    let client = ctx.derive(gate, Rights::empty())?;
    let partner = waiting(ctx, 100, send_it, arguments(client, 0))?;
    ctx.thread.modify_senders(&rules(&[[0, 0, u64::MAX, 0x1000]])?)?;
    gate.bind(ctx.thread, 0x80)?;
    arrive_as(&[partner], &[0x80])
}

fn l10_senders_of_a_thread_on_another_cpu(_: &Ctx) -> Verdict {
    // In L4Re an error of its own; here there is no other CPU to try it on.
    skip!("one CPU");
}
