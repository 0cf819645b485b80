//! Random derivations, moves, deletions and revocations, against a plain model;
//! the seed is fixed and printed.

use alloc::vec;
use alloc::vec::Vec;

use postern_tests::random::Random;
use postern_tests::runtime::log;
use postern_tests::syscall::{Capability, Item, Rights, Slot, Task};
use postern_tests::{Ctx, Verdict, check, check_eq, tests};

use crate::look;

tests! {
    revoke_g01_random_chains_only_shrink = 60,
    revoke_g01_random_trees_agree_with_a_model = 60,
}

const SEED: u64 = 0x0005_ca1e_d0c5;
/// Slots of the table that is worked on.
const SLOTS: u32 = 100;

/// Any slot of the table but the first.
fn any_slot(random: &mut Random) -> u32 {
    1 + random.below(u64::from(SLOTS) - 1) as u32
}

/// Any rights, rather many than few.
fn any_rights(random: &mut Random) -> Rights {
    Rights::from_bits_truncate((random.below(256) | random.below(256)) as u8)
}

/// A task that holds one capability, with all rights, in slot 1.
fn table(ctx: &Ctx) -> Result<(Task, Rights), postern_tests::Failure> {
    let (task, gate) = (ctx.empty_task()?, ctx.unbound()?);
    task.delegate(Item::all(gate.slot()), Slot::new(1))?;
    let all = look(task, Slot::new(1)).map_or(Rights::empty(), |found| found.rights);
    Ok((task, all))
}

fn revoke_g01_random_chains_only_shrink(ctx: &Ctx) -> Verdict {
    let (task, all) = table(ctx)?;
    log!("seed {SEED:#x}");
    let mut random = Random::new(SEED);
    for _ in 0..300 {
        let mut expected = all;
        for slot in 2..2 + 1 + random.below(12) as u32 {
            let mask = any_rights(&mut random);
            let (from, to) = (Slot::new(slot - 1), Slot::new(slot));
            // One of the two ways inside of a table; the other one is a
            // capability of the caller's.
            if random.below(4) == 0 {
                let spare = Slot::new(SLOTS);
                task.derive(from, spare, mask)?;
                task.move_slot(spare, to)?;
            } else {
                task.derive(from, to, mask)?;
            }
            expected &= mask;
            let found = look(task, to).map(|found| found.rights);
            check_eq!(found, Some(expected), "{slot} with the mask {mask:?}");
        }
        task.revoke(Slot::new(1))?;
        check_eq!(task.info()?.slots_used, 1);
    }
    Ok(())
}

/// What the model knows of a capability.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Node {
    parent: Option<u32>,
    rights: Rights,
}

/// Whether `node` hangs below `root`.
fn is_below(model: &[Option<Node>], node: u32, root: u32) -> bool {
    let mut up = model[node as usize].and_then(|node| node.parent);
    while let Some(at) = up {
        if at == root {
            return true;
        }
        up = model[at as usize].and_then(|node| node.parent);
    }
    false
}

fn revoke_g01_random_trees_agree_with_a_model(ctx: &Ctx) -> Verdict {
    let (task, all) = table(ctx)?;
    log!("seed {SEED:#x}");
    let mut random = Random::new(SEED);
    let mut model: Vec<Option<Node>> = vec![None; SLOTS as usize];
    model[1] = Some(Node { parent: None, rights: all });
    for round in 0..6000 {
        let (a, b) = (any_slot(&mut random), any_slot(&mut random));
        let (from, to) = (Slot::new(a), Slot::new(b));
        match random.below(20) {
            0 => {
                check_eq!(task.revoke(from).is_ok(), model[a as usize].is_some(), "revoke {a}");
                let gone: Vec<u32> = (1..SLOTS).filter(|it| is_below(&model, *it, a)).collect();
                gone.into_iter().for_each(|it| model[it as usize] = None);
            }
            // The first one stays, or nothing would be left to work with.
            1..5 if a != 1 => {
                check_eq!(task.delete(from).is_ok(), model[a as usize].is_some(), "delete {a}");
                if let Some(node) = model[a as usize].take() {
                    let children = model.iter_mut().flatten();
                    children
                        .filter(|it| it.parent == Some(a))
                        .for_each(|it| it.parent = node.parent);
                }
            }
            5..7 if a != 1 && b != 1 => {
                let is_possible = model[a as usize].is_some() && model[b as usize].is_none();
                check_eq!(task.move_slot(from, to).is_ok(), is_possible, "move {a} to {b}");
                if is_possible {
                    model[b as usize] = model[a as usize].take();
                    let children = model.iter_mut().flatten();
                    children.filter(|it| it.parent == Some(a)).for_each(|it| it.parent = Some(b));
                }
            }
            _ => {
                let mask = any_rights(&mut random);
                let is_possible = model[a as usize].is_some() && model[b as usize].is_none();
                let derived = task.derive(from, to, mask).is_ok();
                check_eq!(derived, is_possible, "derive {b} from {a}");
                if let Some(node) = model[a as usize].filter(|_| is_possible) {
                    model[b as usize] = Some(Node { parent: Some(a), rights: node.rights & mask });
                }
            }
        }
        if round % 16 == 0 {
            for slot in 1..SLOTS {
                let found = look(task, Slot::new(slot)).map(|found| found.rights);
                let expected = model[slot as usize].map(|node| node.rights);
                check_eq!(found, expected, "slot {slot} in round {round}");
            }
        }
    }
    let used = model.iter().flatten().count() as u64;
    check_eq!(task.info()?.slots_used, used);
    check!(used > 1, "nothing was left to compare");
    Ok(())
}
