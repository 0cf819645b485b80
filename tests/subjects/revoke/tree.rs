//! The shape of the tree: what hangs below what, after deleting and moving.

use postern_tests::syscall::{Capability, ErrorNumber, Item, Rights, Slot, Tag, ipc, utcb};
use postern_tests::{Body, Ctx, Verdict, check, check_eq, op, patience, peer, tests};

use crate::is_there;

tests! {
    revoke_g01_middle_node_leaves_siblings,
    revoke_g01_deleted_middle_leaves_children_to_the_grandparent,
    revoke_g01_moved_keeps_children_and_parent,
    revoke_g02_moved_in_a_message_keeps_children_and_parent,
    revoke_g01_deleted_root_leaves_roots,
    revoke_g01_overwritten_after_the_object_is_gone,
}

fn slot(number: u32) -> Slot {
    Slot::new(number)
}

fn revoke_g01_middle_node_leaves_siblings(ctx: &Ctx) -> Verdict {
    // 1 has 2, 3, 4; each of these has three; the first of those three, too.
    let (task, gate) = (ctx.empty_task()?, ctx.unbound()?);
    task.delegate(Item::all(gate.slot()), slot(1))?;
    for child in 2..5 {
        task.derive(slot(1), slot(child), Rights::all())?;
        for inner in 0..3 {
            task.derive(slot(child), slot(child * 10 + inner), Rights::all())?;
            task.derive(slot(child * 10), slot(child * 10 + 5 + inner), Rights::R)?;
        }
    }
    check_eq!(task.info()?.slots_used, 1 + 3 + 3 * 6);
    task.revoke(slot(3))?;
    check_eq!(task.info()?.slots_used, 1 + 3 + 2 * 6);
    for number in [1, 2, 3, 4, 20, 21, 22, 25, 26, 27, 40, 41, 42, 45, 46, 47] {
        check!(is_there(task, slot(number)), "slot {number} went, too");
    }
    task.revoke(slot(20))?;
    check_eq!(task.info()?.slots_used, 1 + 3 + 6 + 3, "one level deeper");
    // The middle one gives again, and the root takes it.
    task.derive(slot(3), slot(30), Rights::all())?;
    task.revoke(slot(1))?;
    check_eq!(task.info()?.slots_used, 1);
    ctx.task.revoke(gate.slot())?;
    check_eq!(task.info()?.slots_used, 0);
    Ok(())
}

fn revoke_g01_deleted_middle_leaves_children_to_the_grandparent(ctx: &Ctx) -> Verdict {
    let (task, gate) = (ctx.empty_task()?, ctx.unbound()?);
    task.delegate(Item::all(gate.slot()), slot(1))?;
    // Of three siblings the first, the middle or the last goes.
    for deleted in 2..5 {
        for child in 2..5 {
            task.derive(slot(1), slot(child), Rights::all())?;
            task.derive(slot(child), slot(child + 10), Rights::all())?;
            task.derive(slot(child), slot(child + 20), Rights::all())?;
        }
        task.delete(slot(deleted))?;
        check_eq!(task.info()?.slots_used, 9, "only {deleted} went");
        let rest = (2..5).filter(|child| *child != deleted);
        for (gone, child) in rest.enumerate() {
            task.revoke(slot(child))?;
            check_eq!(task.info()?.slots_used, 9 - 2 * (gone as u64 + 1));
            check!(is_there(task, slot(deleted + 10)) && is_there(task, slot(deleted + 20)));
        }
        task.revoke(slot(1))?;
        check_eq!(task.info()?.slots_used, 1, "{deleted}'s children are not below its parent");
    }
    Ok(())
}

fn revoke_g01_moved_keeps_children_and_parent(ctx: &Ctx) -> Verdict {
    let (task, gate) = (ctx.empty_task()?, ctx.unbound()?);
    task.delegate(Item::all(gate.slot()), slot(1))?;
    for child in 2..5 {
        task.derive(slot(1), slot(child), Rights::R | Rights::W)?;
        task.derive(slot(child), slot(child + 10), Rights::R)?;
    }
    // To and fro, so that every place among the siblings is moved.
    for (from, to) in [(2, 50), (3, 2), (4, 51), (50, 3), (51, 50), (2, 4)] {
        task.move_slot(slot(from), slot(to))?;
    }
    check_eq!(task.info()?.slots_used, 7);
    // Now 2 is at 3, 3 at 4, 4 at 50.
    for (left, (now, child)) in [(3, 12), (4, 13), (50, 14)].into_iter().enumerate() {
        task.revoke(slot(now))?;
        check!(!is_there(task, slot(child)), "{child} was not below {now}");
        check_eq!(task.info()?.slots_used, 6 - left as u64);
    }
    // The root, moved in between, too.
    task.move_slot(slot(1), slot(60))?;
    task.revoke(slot(60))?;
    check_eq!(task.info()?.slots_used, 1);
    Ok(())
}

/// A peer: takes one capability into its first free slot, derives from it into
/// the next, and waits; the second message ends it.
fn taker(_: u64) -> u64 {
    utcb::set_windows(&[peer::free(0)]);
    if let Err(error) = ipc::receive(patience()) {
        return error.encode();
    }
    let _ = ipc::receive(patience());
    0
}

fn revoke_g02_moved_in_a_message_keeps_children_and_parent(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    for is_from_above in [false, true] {
        let mut other = ctx.peer()?;
        let Some(task) = other.task() else { return Ok(()) };
        let way = ctx.gate_to(other.thread(), 0x40)?;
        let body: Body = taker;
        other.start(body, 0)?;
        let child = ctx.derive(gate, Rights::R | Rights::W | Rights::GRANT)?;
        let below = [ctx.derive(child, Rights::R)?, ctx.derive(child, Rights::W)?];
        utcb::set_items(&[Item::moved(child.slot())]);
        ipc::send(way.slot(), Tag::new(7, 0).with_items(1), [0; 4], patience())?;
        check!(!is_there(ctx.task, child.slot()), "the sender still has it");
        check!(is_there(task, peer::free(0)), "it did not arrive");
        check!(below.iter().all(|gate| is_there(ctx.task, gate.slot())));
        if is_from_above {
            ctx.task.revoke(gate.slot())?;
            check!(!is_there(task, peer::free(0)), "it has lost its parent");
        } else {
            task.revoke(peer::free(0))?;
            check!(is_there(task, peer::free(0)), "the root of a revocation stays");
        }
        check!(below.iter().all(|gate| !is_there(ctx.task, gate.slot())), "it has lost children");
        check_eq!(gate.info()?.bound, false);
    }
    Ok(())
}

fn revoke_g01_deleted_root_leaves_roots(ctx: &Ctx) -> Verdict {
    // Children of a deleted root are roots: none of them takes another.
    let (task, gate) = (ctx.empty_task()?, ctx.unbound()?);
    for child in 1..4 {
        task.delegate(Item::all(gate.slot()), slot(child))?;
        task.derive(slot(child), slot(child + 10), Rights::all())?;
    }
    ctx.task.delete(gate.slot())?;
    for child in 1..4 {
        task.revoke(slot(child))?;
        check_eq!(task.info()?.slots_used, 6 - u64::from(child));
    }
    check!((1..4).all(|child| is_there(task, slot(child))));
    for child in 1..4 {
        check!(is_there(task, slot(child)), "the gate went before its last capability");
        task.delete(slot(child))?;
    }
    check_eq!(task.info()?.slots_used, 0);
    Ok(())
}

fn revoke_g01_overwritten_after_the_object_is_gone(ctx: &Ctx) -> Verdict {
    // Capabilities of a dead object still hang in a tree; what takes their
    // slots is in another one.
    let (task, dead, alive) = (ctx.empty_task()?, ctx.unbound()?, ctx.unbound()?);
    task.delegate(Item::all(dead.slot()), slot(1))?;
    for child in 2..8 {
        task.derive(slot(child / 2), slot(child), Rights::all())?;
    }
    ctx.task.destroy(dead.slot())?;
    check_eq!(task.revoke(slot(1)), Err(op(ErrorNumber::NotExistent, 1)));
    for child in 2..5 {
        task.delegate(Item::all(alive.slot()), slot(child))?;
    }
    for child in [1, 5, 6, 7] {
        check_eq!(task.delete(slot(child)), Err(op(ErrorNumber::NotExistent, 1)));
    }
    check_eq!(task.info()?.slots_used, 3);
    task.revoke(slot(2))?;
    check_eq!(task.info()?.slots_used, 3, "4 was below the dead 2");
    ctx.task.revoke(alive.slot())?;
    check_eq!(task.info()?.slots_used, 0);
    Ok(())
}
