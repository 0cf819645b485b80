//! Exit gates: who is told of the end of a thread, and when.

use postern_tests::syscall::abi::op::reason::{EXCEPTION, EXIT};
use postern_tests::syscall::abi::op::thread::{SET_EXIT_GATE, ThreadState};
use postern_tests::syscall::abi::tag::protocol;
use postern_tests::syscall::{
    Capability, DeliveryKind, ErrorCode, ErrorNumber, Gate, Item, Rights, Slot, Tag, Timeout, ipc,
    operate, raw,
};
use postern_tests::{
    Body, Ctx, Failure, Partner, Verdict, check, check_eq, op, patience, received, tests,
};

tests! {
    fault_exit_message,
    fault_exit_gate_held_until_bound,
    fault_exit_gate_that_is_gone,
    fault_exit_gate_can_be_replaced_and_removed,
    fault_exit_gate_errors,
    fault_exit_gate_told_while_receiver_is_busy,
    fault_exit_gate_of_another_task,
    fault_exit_message_of_a_destroyed_thread_is_dropped,
    fault_exit_gate_in_the_same_wait_as_others,
}

/// A thread of this task, not started, that tells `gate` of its end.
fn with_gate(ctx: &Ctx, gate: Option<Gate>) -> Result<Partner, Failure> {
    let partner = ctx.helper(100)?;
    partner.thread().set_exit_gate(gate)?;
    Ok(partner)
}

fn crash(_: u64) -> u64 {
    u64::from(raw::peek(0x10))
}

fn fault_exit_message(ctx: &Ctx) -> Verdict {
    // A derived capability with W and S was used: they do not show.
    let gate = ctx.derive(ctx.gate(0x40)?, Rights::all())?;
    let bodies: [(Body, u64, u64); 2] =
        [(|_| 0x1234_5678_9abc, EXIT, 0x1234_5678_9abc), (crash, EXCEPTION + 14, 0x10)];
    for (body, reason, detail) in bodies {
        let mut partner = with_gate(ctx, Some(gate))?;
        partner.start(body, 0)?;
        let delivery = ipc::receive(patience())?;
        check_eq!(delivery.kind, DeliveryKind::Message);
        check_eq!(delivery.label, 0x40);
        check_eq!(delivery.tag, Tag::new(protocol::EXIT, 4));
        check_eq!(delivery.words[..2], [reason, detail]);
        check_eq!(
            ipc::reply(0, Tag::new(7, 0), [0; 4]),
            Err(postern_tests::sent(ErrorNumber::NotExistent)),
            "nobody waits for an answer"
        );
    }
    Ok(())
}

fn fault_exit_gate_held_until_bound(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    let mut partner = with_gate(ctx, Some(gate))?;
    partner.start(|_| 5, 0)?;
    partner.await_state(ctx, ThreadState::Exited)?;
    let nothing = ipc::receive(Timeout::ZERO).map(drop);
    check_eq!(nothing, Err(received(ErrorNumber::Timeout)));
    gate.bind(ctx.thread, 0x80)?;
    let delivery = ipc::receive(patience())?;
    check_eq!((delivery.label, delivery.words[1]), (0x80, 5));
    Ok(())
}

fn fault_exit_gate_that_is_gone(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let mut before = with_gate(ctx, Some(gate))?;
    ctx.task.destroy(gate.slot())?;
    before.start(crash, 0)?;
    before.await_state(ctx, ThreadState::Faulted)?;
    // Gone while the message waits at it.
    let gate = ctx.unbound()?;
    let mut after = with_gate(ctx, Some(gate))?;
    after.start(crash, 0)?;
    after.await_state(ctx, ThreadState::Faulted)?;
    ctx.task.destroy(gate.slot())?;
    check_eq!(after.info()?.state, Some(ThreadState::Faulted));
    check_eq!(ipc::receive(Timeout::ZERO).map(drop), Err(received(ErrorNumber::Timeout)));
    Ok(())
}

fn fault_exit_gate_can_be_replaced_and_removed(ctx: &Ctx) -> Verdict {
    let (first, second) = (ctx.gate(0x40)?, ctx.gate(0x80)?);
    let mut replaced = with_gate(ctx, Some(first))?;
    replaced.thread().set_exit_gate(Some(second))?;
    replaced.start(|_| 1, 0)?;
    check_eq!(ipc::receive(patience())?.label, 0x80);
    let mut removed = with_gate(ctx, Some(first))?;
    removed.thread().set_exit_gate(None)?;
    removed.start(|_| 1, 0)?;
    removed.await_state(ctx, ThreadState::Exited)?;
    check_eq!(ipc::receive(Timeout::ZERO).map(drop), Err(received(ErrorNumber::Timeout)));
    Ok(())
}

fn fault_exit_gate_errors(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let partner = with_gate(ctx, None)?;
    let set = |slot: Slot| {
        operate(partner.thread().slot(), &[SET_EXIT_GATE], &[Item::all(slot)]).map(drop)
    };
    let inval = Err(op(ErrorNumber::Inval, ErrorCode::ITEM));
    for slot in [ctx.slot()?, Slot::NULL, ctx.task.slot(), partner.thread().slot()] {
        check_eq!(set(slot), inval, "{slot}");
    }
    let weak = ctx.derive(partner.thread(), Rights::all() - Rights::W)?;
    check_eq!(weak.set_exit_gate(Some(gate)), Err(op(ErrorNumber::Perm, 0)));
    Ok(())
}

fn fault_exit_gate_told_while_receiver_is_busy(ctx: &Ctx) -> Verdict {
    // Several threads end before anybody receives; none is forgotten, and
    // the more urgent come first.
    let gate = ctx.gate(0x40)?;
    let mut partners = alloc::vec::Vec::new();
    for (priority, code) in [(50, 1), (90, 2), (70, 3), (90, 4)] {
        let mut partner = with_gate(ctx, Some(gate))?;
        ctx.scheduler.set_priority(partner.thread(), priority)?;
        partner.start(|code| code, code)?;
        partner.await_state(ctx, ThreadState::Exited)?;
        partners.push(partner);
    }
    let mut order = [0; 4];
    for place in &mut order {
        *place = ipc::receive(patience())?.words[1];
    }
    check_eq!(order, [2, 4, 3, 1]);
    Ok(())
}

fn fault_exit_gate_of_another_task(ctx: &Ctx) -> Verdict {
    // A peer watches a thread of this task.
    let mut watcher = ctx.peer()?;
    let gate = ctx.gate_to(watcher.thread(), 0x40)?;
    watcher.start(
        |_| match ipc::receive(patience()) {
            Ok(delivery) => delivery.words[0] << 32 | delivery.words[1],
            Err(error) => error.encode(),
        },
        0,
    )?;
    watcher.await_state(ctx, ThreadState::Receiving)?;
    let mut partner = with_gate(ctx, Some(gate))?;
    partner.start(crash, 0)?;
    check_eq!(watcher.join()?, (EXCEPTION + 14) << 32 | 0x10);
    Ok(())
}

fn fault_exit_message_of_a_destroyed_thread_is_dropped(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let mut partner = with_gate(ctx, Some(gate))?;
    partner.start(|_| 1, 0)?;
    partner.await_state(ctx, ThreadState::Exited)?;
    drop(partner);
    check_eq!(ipc::receive(Timeout::ZERO).map(drop), Err(received(ErrorNumber::Timeout)));
    Ok(())
}

fn fault_exit_gate_in_the_same_wait_as_others(ctx: &Ctx) -> Verdict {
    let (exits, gate) = (ctx.gate(0x40)?, ctx.gate(0x80)?);
    let mut partner = with_gate(ctx, Some(exits))?;
    partner.start(
        |slot| {
            let sent = ipc::send(Slot::new(slot as u32), Tag::new(7, 0), [0; 4], Timeout::NEVER);
            postern_tests::tell(sent)
        },
        gate.slot().word(),
    )?;
    let (first, second) = (ipc::receive(patience())?, ipc::receive(patience())?);
    check_eq!((first.label & !3, second.label), (0x80, 0x40));
    check!(second.words[..2] == [EXIT, 0]);
    Ok(())
}
