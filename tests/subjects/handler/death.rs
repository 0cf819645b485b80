//! Who is told when the handler or the faulting thread dies, and chains of
//! threads that handle each other's faults.

use alloc::vec::Vec;

use postern_tests::bare::memory::read;
use postern_tests::bare::privileged::undefined;
use postern_tests::syscall::abi::op::fault::{GIVE_UP, RESUME};
use postern_tests::syscall::abi::op::reason::EXCEPTION;
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{Capability, ErrorNumber, Slot, Tag, control, ipc};
use postern_tests::{
    Body, Ctx, Partner, Verdict, board, check, check_eq, fail, patience, sent, tests,
};

use crate::{answer, fault, handled};

tests! {
    handler_g06_handler_is_destroyed_at_every_moment,
    handler_g06_gate_is_destroyed_or_rebound,
    handler_g06_no_handler_ends,
    handler_g06_handler_that_faults_itself,
    handler_g06_late_answer_is_not_existent,
    handler_g06_answer_saved_and_dropped,
    handler_g06_chain_of_twenty_dies,
    handler_g06_chain_of_twenty_is_repaired,
    handler_g06_sixty_wait_and_the_handler_dies,
}

fn handler_g06_handler_is_destroyed_at_every_moment(ctx: &Ctx) -> Verdict {
    // Before the fault, while the fault waits for it, while it works.
    for moment in 0..3 {
        let body: Body = |moment| {
            if moment == 2 {
                let _ = ipc::receive(patience());
            }
            let _ = control::sleep_until(u64::MAX);
            0
        };
        let handler = ctx.spawn(body, moment)?;
        handler.await_state(ctx, ThreadState::Sleeping).or_else(|failure| match moment {
            2 => Ok(()),
            _ => Err(failure),
        })?;
        let gate = ctx.gate_to(handler.thread(), 0x40)?;
        let mut partner = handled(ctx, gate)?;
        if moment == 0 {
            ctx.task.destroy(handler.thread().slot())?;
        }
        partner.start(undefined, 0)?;
        if moment > 0 {
            partner.await_state(ctx, ThreadState::Faulting)?;
            if moment == 2 {
                handler.await_state(ctx, ThreadState::Sleeping)?;
            }
            ctx.task.destroy(handler.thread().slot())?;
        }
        let end = partner.expect_fault(6, None)?;
        check!(end.instruction != 0, "moment {moment}");
        let info = partner.info()?;
        check_eq!((info.state, info.reason), (Some(ThreadState::Faulted), EXCEPTION + 6));
    }
    Ok(())
}

fn handler_g06_gate_is_destroyed_or_rebound(ctx: &Ctx) -> Verdict {
    // A fault that waits at the thread already is not lost with the gate.
    let gate = ctx.gate(0x40)?;
    let mut partner = handled(ctx, gate)?;
    partner.start(undefined, 0)?;
    partner.await_state(ctx, ThreadState::Faulting)?;
    ctx.task.destroy(gate.slot())?;
    check_eq!(fault()?.label, 0x40);
    answer(GIVE_UP)?;
    partner.expect_fault(6, None)?;
    // One that comes later finds no handler.
    let mut partner = handled(ctx, ctx.gate(0x40)?)?;
    partner.thread().set_fault_gate(None)?;
    partner.start(undefined, 0)?;
    partner.expect_fault(6, None)?;
    // Rebound in between: the next fault goes to the new label.
    let gate = ctx.gate(0x40)?;
    let mut partner = handled(ctx, gate)?;
    partner.start(undefined, 0)?;
    check_eq!(fault()?.label, 0x40);
    gate.bind(ctx.thread, 0x80)?;
    answer(RESUME)?;
    check_eq!(fault()?.label, 0x80);
    answer(GIVE_UP)?;
    partner.expect_fault(6, None)?;
    Ok(())
}

fn handler_g06_no_handler_ends(ctx: &Ctx) -> Verdict {
    let exited = ctx.spawn(|_| 0, 0)?;
    exited.join()?;
    let (unbound, gone) = (ctx.unbound()?, ctx.gate(0x40)?);
    let to_dead = ctx.gate_to(exited.thread(), 0x40)?;
    for gate in [None, Some(unbound), Some(to_dead), Some(gone)] {
        let mut partner = ctx.helper(100)?;
        partner.thread().set_fault_gate(gate)?;
        if gate == Some(gone) {
            ctx.task.destroy(gone.slot())?;
        }
        partner.start(undefined, 0)?;
        let end = partner.expect_fault(6, None)?;
        check_eq!(end.detail, 0, "{gate:?}");
        check_eq!(partner.info()?.state, Some(ThreadState::Faulted));
    }
    // A thread that is its own handler: it cannot answer, so it waits like any
    // sender to itself, and can be destroyed.
    let mut own = ctx.helper(100)?;
    own.thread().set_fault_gate(Some(ctx.gate_to(own.thread(), 0x40)?))?;
    own.start(undefined, 0)?;
    check!(
        ctx.wait_until(|| own.info().is_ok_and(|info| {
            matches!(info.state, Some(ThreadState::Faulting | ThreadState::Faulted))
        })),
        "it is {:?}",
        own.info()
    );
    Ok(())
}

/// A handler: takes a fault, then crashes at address 0x20.
fn crashing_handler(_: u64) -> u64 {
    let _ = ipc::receive(patience());
    read(0x20)
}

fn handler_g06_handler_that_faults_itself(ctx: &Ctx) -> Verdict {
    // Without a handler of its own: both end.
    let handler = ctx.spawn(crashing_handler, 0)?;
    let mut partner = handled(ctx, ctx.gate_to(handler.thread(), 0x40)?)?;
    partner.start(undefined, 0)?;
    partner.expect_fault(6, None)?;
    handler.expect_fault(14, Some(0x20))?;
    // With this thread as its handler: it is sent on, and answers.
    let mut handler = handled(ctx, ctx.gate(0x40)?)?;
    let body: Body = |_| {
        let _ = ipc::receive(patience());
        let found = read(0x20);
        postern_tests::tell(answer(GIVE_UP)) + found
    };
    handler.start(body, 0)?;
    let mut partner = handled(ctx, ctx.gate_to(handler.thread(), 0x80)?)?;
    partner.start(undefined, 0)?;
    check_eq!(fault()?.words[1], 0x20);
    check_eq!(partner.info()?.state, Some(ThreadState::Faulting));
    let mut registers = handler.thread().registers()?;
    // `mov r64, [r64]`.
    registers.rip += 3;
    handler.thread().set_registers(&registers)?;
    answer(RESUME)?;
    partner.expect_fault(6, None)?;
    handler.end()?;
    Ok(())
}

fn handler_g06_late_answer_is_not_existent(ctx: &Ctx) -> Verdict {
    for is_saved in [false, true] {
        let mut partner = handled(ctx, ctx.gate(0x40)?)?;
        partner.start(undefined, 0)?;
        fault()?;
        let saved = ctx.slot()?;
        if is_saved {
            control::save_reply(saved)?;
        }
        ctx.task.destroy(partner.thread().slot())?;
        let late = if is_saved {
            ipc::reply_saved(saved, 0, Tag::new(0, 1), [RESUME; 4])
        } else {
            answer(RESUME)
        };
        check_eq!(late, Err(sent(ErrorNumber::NotExistent)), "saved: {is_saved}");
        check!(partner.thread().registers().is_err());
    }
    Ok(())
}

fn handler_g06_answer_saved_and_dropped(ctx: &Ctx) -> Verdict {
    // Saved: other work first, the answer later. Dropped: the thread ends.
    let gate = ctx.gate(0x40)?;
    let (mut first, mut second) = (handled(ctx, gate)?, handled(ctx, gate)?);
    first.start(undefined, 0)?;
    fault()?;
    let saved = [ctx.slot()?, ctx.slot()?];
    control::save_reply(saved[0])?;
    second.start(undefined, 0)?;
    fault()?;
    control::save_reply(saved[1])?;
    let mut registers = first.thread().registers()?;
    registers.rip += 2;
    first.thread().set_registers(&registers)?;
    ctx.task.delete(saved[1])?;
    second.expect_fault(6, None)?;
    ipc::reply_saved(saved[0], 0, Tag::new(0, 0), [0; 4])?;
    check_eq!(first.join()?, 0);
    Ok(())
}

/// A link of a chain: takes a fault of the one before, tells that it has it,
/// and faults itself. Where it is sent on, it answers.
fn link(number: u64) -> u64 {
    if number > 0 && ipc::receive(patience()).is_err() {
        return 1;
    }
    board::add(0, 1);
    undefined(0);
    // Sent on by its own handler: it does the same for the one before it.
    if number > 0 {
        let before = postern_tests::syscall::Thread::new(Slot::new(board::get(
            100 + number as usize - 1,
        ) as u32));
        let Ok(mut registers) = before.registers() else { return 2 };
        registers.rip += 2;
        if before.set_registers(&registers).is_err() || answer(RESUME).is_err() {
            return 3;
        }
    }
    0
}

/// Threads of a chain, each the fault handler of the one before; the last
/// one's handler is this thread.
fn chain(ctx: &Ctx, count: usize) -> Result<Vec<Partner>, postern_tests::Failure> {
    let mut links: Vec<Partner> = Vec::new();
    for number in (0..count).rev() {
        let gate = match links.last() {
            Some(next) => ctx.gate_to(next.thread(), 0x40)?,
            None => ctx.gate(0x40)?,
        };
        let mut partner = handled(ctx, gate)?;
        board::set(100 + number, partner.thread().slot().word());
        partner.start(link, number as u64)?;
        links.push(partner);
    }
    check!(ctx.wait_until(|| board::get(0) == count as u64), "only {} faulted", board::get(0));
    fault()?;
    Ok(links)
}

fn handler_g06_chain_of_twenty_dies(ctx: &Ctx) -> Verdict {
    let links = chain(ctx, 20)?;
    for partner in &links {
        check_eq!(partner.info()?.state, Some(ThreadState::Faulting));
    }
    // The last one gives up; each loses its handler in turn.
    answer(GIVE_UP)?;
    for (from_end, partner) in links.iter().enumerate() {
        if let Err(failure) = partner.expect_fault(6, None) {
            fail!("{from_end} before the end: {}", failure.text());
        }
        check_eq!(partner.info()?.state, Some(ThreadState::Faulted));
    }
    Ok(())
}

fn handler_g06_chain_of_twenty_is_repaired(ctx: &Ctx) -> Verdict {
    let links = chain(ctx, 20)?;
    let Some(last) = links.first() else { return Ok(()) };
    let mut registers = last.thread().registers()?;
    registers.rip += 2;
    last.thread().set_registers(&registers)?;
    answer(RESUME)?;
    for partner in &links {
        check_eq!(partner.join()?, 0);
    }
    Ok(())
}

fn handler_g06_sixty_wait_and_the_handler_dies(ctx: &Ctx) -> Verdict {
    const COUNT: usize = 60;
    let handler = ctx.spawn(
        |_| {
            let _ = control::sleep_until(u64::MAX);
            0
        },
        0,
    )?;
    let gate = ctx.gate_to(handler.thread(), 0x40)?;
    let mut waiting = Vec::new();
    for _ in 0..COUNT {
        let mut partner = handled(ctx, gate)?;
        partner.start(undefined, 0)?;
        partner.await_state(ctx, ThreadState::Faulting)?;
        waiting.push(partner);
    }
    ctx.task.destroy(handler.thread().slot())?;
    for partner in &waiting {
        partner.expect_fault(6, None)?;
    }
    Ok(())
}
