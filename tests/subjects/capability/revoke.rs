//! Revoking: everything derived goes, in every task, mappings included.

use postern_tests::bare::memory::{read, write};
use postern_tests::protocol::PRIORITY;
use postern_tests::runtime::own;
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::{
    Capability, ErrorNumber, Gate, Item, Rights, Slot, Tag, Timeout, Timeouts, control, ipc,
};
use postern_tests::{Body, Ctx, Verdict, board, check, check_eq, op, patience, tests};

use crate::rights;

tests! {
    capability_g01_revoke_takes_what_was_derived,
    capability_g01_revoke_in_other_tasks,
    capability_g01_revoke_after_deletions,
    capability_g01_revoke_takes_mappings,
    capability_g01_revoke_takes_what_was_sent,
    capability_g01_revoke_errors,
    capability_g01_revoke_lets_others_run = 40,
    capability_g01_revoke_cannot_be_outrun = 40,
    capability_g01_revoke_leaves_calls_in_flight,
    capability_g01_revoke_of_nothing,
}

fn is_there(ctx: &Ctx, slot: Slot) -> bool {
    rights(ctx, slot).is_ok()
}

fn capability_g01_revoke_takes_what_was_derived(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let child = ctx.derive(gate, Rights::all())?;
    let sibling = ctx.derive(gate, Rights::R)?;
    let below = [
        ctx.derive(child, Rights::R)?,
        ctx.derive(child, Rights::W)?,
        ctx.derive(ctx.derive(child, Rights::all())?, Rights::R)?,
    ];
    ctx.task.revoke(child.slot())?;
    for gone in below {
        check!(!is_there(ctx, gone.slot()), "{} is still there", gone.slot());
    }
    check!(is_there(ctx, child.slot()) && is_there(ctx, sibling.slot()));
    check_eq!(child.info()?.label, 0x40);
    ctx.task.revoke(gate.slot())?;
    check!(!is_there(ctx, child.slot()) && !is_there(ctx, sibling.slot()));
    check_eq!(gate.info()?.label, 0x40, "the gate itself");
    Ok(())
}

fn capability_g01_revoke_in_other_tasks(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    let child = ctx.derive(gate, Rights::all())?;
    let tasks = [ctx.empty_task()?, ctx.empty_task()?];
    tasks[0].delegate(Item::all(child.slot()), Slot::new(5))?;
    tasks[0].derive(Slot::new(5), Slot::new(6), Rights::R)?;
    tasks[1].delegate(Item::all(child.slot()), Slot::new(7))?;
    tasks[1].delegate(Item::all(gate.slot()), Slot::new(8))?;
    ctx.task.revoke(child.slot())?;
    check_eq!(tasks[0].info()?.slots_used, 0);
    check_eq!(tasks[1].info()?.slots_used, 1, "not derived from it");
    // From inside another task.
    tasks[1].derive(Slot::new(8), Slot::new(9), Rights::all())?;
    tasks[1].revoke(Slot::new(8))?;
    check_eq!(tasks[1].info()?.slots_used, 1);
    Ok(())
}

fn capability_g01_revoke_after_deletions(ctx: &Ctx) -> Verdict {
    // A deleted link leaves its children to its parent.
    let gate = ctx.unbound()?;
    let chain = [
        ctx.derive(gate, Rights::all())?,
        ctx.derive(gate, Rights::all())?,
        ctx.derive(gate, Rights::all())?,
    ];
    let leaves = [
        ctx.derive(chain[0], Rights::R)?,
        ctx.derive(chain[1], Rights::R)?,
        ctx.derive(ctx.derive(chain[2], Rights::all())?, Rights::R)?,
    ];
    ctx.task.delete(chain[0].slot())?;
    ctx.task.delete(chain[2].slot())?;
    ctx.task.revoke(gate.slot())?;
    for gone in leaves {
        check!(!is_there(ctx, gone.slot()), "{} is still there", gone.slot());
    }
    check!(!is_there(ctx, chain[1].slot()));
    Ok(())
}

const AT: u64 = 0xc_0000_0000;

fn capability_g01_revoke_takes_mappings(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(2)?;
    let child = ctx.derive(memory, Rights::R | Rights::W | Rights::GRANT)?;
    let data = Rights::R | Rights::W;
    ctx.task.map(memory, AT, 0, PAGE, data)?;
    ctx.task.map(child, AT + PAGE, 0, PAGE, data)?;
    let mut other = ctx.peer()?;
    if let Some(task) = other.task() {
        task.map(child, AT, 0, 2 * PAGE, Rights::R)?;
    }
    other.start(
        |address| {
            loop {
                board::set(0, read(address));
                control::yield_now();
            }
        },
        AT,
    )?;
    write(AT, 5);
    check!(ctx.wait_until(|| board::get(0) == 5), "the peer does not see it");
    ctx.task.revoke(child.slot())?;
    other.expect_fault(14, Some(AT))?;
    let reader = ctx.spawn(read, AT + PAGE)?;
    reader.expect_fault(14, Some(AT + PAGE))?;
    check_eq!(read(AT), 5, "mapped with what the revoked one was derived from");
    check_eq!(memory.info()?.mappings, 1);
    ctx.task.revoke(memory.slot())?;
    check_eq!(memory.info()?.mappings, 0);
    Ok(())
}

fn capability_g01_revoke_takes_what_was_sent(ctx: &Ctx) -> Verdict {
    // To a peer that signals for as long as it can.
    let (notification, mut other) = (ctx.notification()?, ctx.peer()?);
    let way = ctx.gate_to(other.thread(), 0x40)?;
    let body: Body = |_| {
        postern_tests::syscall::utcb::set_windows(&[postern_tests::peer::free(0)]);
        if ipc::receive(patience()).is_err() {
            return 1;
        }
        let mine = postern_tests::syscall::Notification::new(postern_tests::peer::free(0));
        loop {
            match mine.signal(1) {
                Ok(()) => control::yield_now(),
                Err(error) => break error.number as u64,
            }
        }
    };
    other.start(body, 0)?;
    let child = ctx.derive(notification, Rights::W | Rights::GRANT)?;
    postern_tests::syscall::utcb::set_items(&[Item::all(child.slot())]);
    ipc::send(way.slot(), Tag::new(7, 0).with_items(1), [0; 4], patience())?;
    check!(ctx.wait_until(|| notification.poll().is_ok_and(|bits| bits == 1)), "no signal");
    ctx.task.revoke(child.slot())?;
    check_eq!(other.join()?, ErrorNumber::NotExistent as u64);
    child.signal(2)?;
    Ok(())
}

fn capability_g01_revoke_errors(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    for slot in [ctx.slot()?, Slot::NULL, Slot::new(512), Slot::new(u32::MAX)] {
        check_eq!(ctx.task.revoke(slot), Err(op(ErrorNumber::NotExistent, 1)), "{slot}");
    }
    let child = ctx.derive(gate, Rights::R)?;
    let weak = ctx.derive(ctx.task, Rights::all() - Rights::W)?;
    check_eq!(weak.revoke(gate.slot()), Err(op(ErrorNumber::Perm, 0)));
    check!(is_there(ctx, child.slot()));
    let body: Body = |slot| {
        let slot = Slot::new(slot as u32);
        postern_tests::tell(ipc::call(slot, Tag::new(7, 0), [0; 4], Timeouts::NEVER))
    };
    let caller = ctx.spawn(body, gate.slot().word())?;
    ipc::receive(patience())?;
    let saved = ctx.slot()?;
    control::save_reply(saved)?;
    check_eq!(ctx.task.revoke(saved), Err(op(ErrorNumber::WrongKind, 1)));
    ipc::reply_saved(saved, 0, Tag::new(7, 0), [0; 4])?;
    check_eq!(caller.join()?, 0);
    Ok(())
}

/// A body: sleeps in short steps until word 1 is set; word 2 counts them.
fn tick(_: u64) -> u64 {
    while board::get(1) == 0 {
        let _ = control::sleep_until(control::clock() + 50_000);
        board::add(2, 1);
    }
    0
}

fn capability_g01_revoke_lets_others_run(ctx: &Ctx) -> Verdict {
    const TASKS: usize = 4;
    const SLOTS: u32 = 2500;
    let gate = ctx.unbound()?;
    let child = ctx.derive(gate, Rights::all())?;
    let mut tasks = alloc::vec::Vec::new();
    for _ in 0..TASKS {
        let task = ctx.factory.create_task(ctx.slot()?, u64::from(SLOTS))?;
        task.delegate(Item::all(child.slot()), Slot::new(1))?;
        for slot in 2..SLOTS {
            // Chains and broad families.
            let from = if slot % 3 == 0 { 1 } else { slot - 1 };
            task.derive(Slot::new(from), Slot::new(slot), Rights::all())?;
        }
        tasks.push(task);
    }
    let other = ctx.spawn_at(PRIORITY + 50, tick, 0)?;
    let before = board::get(2);
    ctx.task.revoke(child.slot())?;
    let ticks = board::get(2) - before;
    board::set(1, 1);
    check_eq!(other.join()?, 0);
    for task in tasks {
        check_eq!(task.info()?.slots_used, 0);
    }
    check!(ticks >= 1, "nobody ran while {} capabilities were revoked", TASKS * SLOTS as usize);
    check_eq!(gate.info()?.bound, false);
    Ok(())
}

/// Derives from the slot into 20 slots behind it, again and again, until word 1
/// is set; word 3 counts what was refused as busy.
fn derive_on(slot: u64) -> u64 {
    let Ok(task) = own::task() else { return 1 };
    while board::get(1) == 0 {
        for next in 1..20 {
            let (from, to) = (Slot::new(slot as u32), Slot::new((slot + next) as u32));
            match task.derive(from, to, Rights::all()) {
                Err(error) if error.number == ErrorNumber::Busy => drop(board::add(3, 1)),
                Err(error) if error.number == ErrorNumber::Exists => drop(task.delete(to)),
                _ => {}
            }
        }
        let _ = control::sleep_until(control::clock() + 10_000);
    }
    0
}

fn capability_g01_revoke_cannot_be_outrun(ctx: &Ctx) -> Verdict {
    const FROM: u32 = 400;
    let gate = ctx.unbound()?;
    ctx.task.derive(gate.slot(), Slot::new(FROM), Rights::all())?;
    let task = ctx.factory.create_task(ctx.slot()?, 3000)?;
    let other = ctx.spawn_at(PRIORITY + 50, derive_on, FROM.into())?;
    for round in 0..10 {
        for slot in 1..300 {
            task.delegate(Item::all(gate.slot()), Slot::new(slot))?;
        }
        ctx.task.revoke(gate.slot())?;
        // The source that the other one derives from is gone with the rest;
        // whatever it derived must be, too.
        check_eq!(task.info()?.slots_used, 0, "round {round}");
        for slot in FROM..FROM + 20 {
            check!(!is_there(ctx, Slot::new(slot)), "slot {slot} outran round {round}");
        }
        ctx.task.derive(gate.slot(), Slot::new(FROM), Rights::all())?;
    }
    board::set(1, 1);
    check_eq!(other.join()?, 0);
    Ok(())
}

fn capability_g01_revoke_leaves_calls_in_flight(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let child = ctx.derive(gate, Rights::W)?;
    let body: Body = |slot| {
        let slot = Slot::new(slot as u32);
        let answer = ipc::call(slot, Tag::new(7, 0), [0; 4], Timeouts::NEVER);
        let again = ipc::send(slot, Tag::new(7, 0), [0; 4], Timeout::ZERO);
        match (answer, again) {
            (Ok(answer), Err(error)) if error.number == ErrorNumber::NotExistent => answer.label,
            _ => 0,
        }
    };
    let caller = ctx.spawn(body, child.slot().word())?;
    check_eq!(ipc::receive(patience())?.label, 0x41);
    ctx.task.revoke(gate.slot())?;
    ipc::reply(6, Tag::new(7, 0), [0; 4])?;
    check_eq!(caller.join()?, 6);
    Ok(())
}

fn capability_g01_revoke_of_nothing(ctx: &Ctx) -> Verdict {
    let charged = ctx.charged()?;
    let gate = ctx.unbound()?;
    for _ in 0..3 {
        ctx.task.revoke(gate.slot())?;
        ctx.task.revoke(ctx.derive(ctx.log, Rights::W)?.slot())?;
    }
    check_eq!(Gate::new(gate.slot()).info()?.bound, false);
    ctx.task.destroy(gate.slot())?;
    check_eq!(ctx.charged()?, charged);
    Ok(())
}
