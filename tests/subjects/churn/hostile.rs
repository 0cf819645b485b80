//! Hostile programs that work on capabilities and memory only: random
//! operations from several tasks on what they share and what they make.

use postern_tests::protocol::PRIORITY;
use postern_tests::random::Random;
use postern_tests::runtime::log;
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::abi::op::{factory, memory, task};
use postern_tests::syscall::abi::rights::Kind;
use postern_tests::syscall::abi::tag::protocol::KOBJECT;
use postern_tests::syscall::abi::utcb::ITEMS;
use postern_tests::syscall::{Capability, Code, Factory, Item, Rights, Slot, Tag, raw, utcb};
use postern_tests::{Ctx, Partner, Verdict, board, check, check_eq, peer, tests};

tests! {
    churn_g01_hostile_operations_on_capabilities_and_memory = 240,
}

const SEED: u64 = 0x0bad_5eed;
/// Tasks at it.
const TASKS: u64 = 4;
/// Operations of each.
const OPERATIONS: u64 = 250_000;
/// Bytes that each may use.
const QUOTA: u64 = 1 << 20;
/// Words of the board: done and successful operations of each.
const DONE: usize = 10;
const SUCCESS: usize = 20;

/// A slot in which there may be something of use.
fn any_slot(random: &mut Random) -> u64 {
    match random.below(8) {
        0 => random.below(peer::COUNT + 2),
        1 => 64 + random.below(8),
        _ => 72 + random.below(50),
    }
}

/// An address of a small part of the address space.
fn address(random: &mut Random) -> u64 {
    0xd_0000_0000 + random.below(48) * PAGE
}

/// One operation: handle, words, item.
fn operation(random: &mut Random) -> (u64, [u64; 5], u64) {
    // Given: 64 the own factory, 65 a shared task, 66 shared memory, 67 a
    // shared gate; slot 1 is the own task, without D.
    let tasks = [1, 1, 65, 65, any_slot(random)];
    let any = any_slot(random);
    let (from, to) = (any_slot(random), any_slot(random));
    match random.below(24) {
        0..4 => {
            let kind = random.one_of(&[
                Kind::Memory as u64,
                Kind::Memory as u64,
                Kind::Gate as u64,
                Kind::Task as u64,
                Kind::Factory as u64,
                Kind::Notification as u64,
                Kind::Thread as u64,
            ]);
            let size = match kind {
                1 => 1 + random.below(1 << 17),
                2 => 1 + random.below(300),
                3 => random.below(120),
                _ => PAGE * (1 + random.below(20)),
            };
            (random.one_of(&[64, 64, 64, any]), [factory::CREATE, kind, to, size, 0], 0)
        }
        4..8 => {
            let rights = random.one_of(&[4, 5, 4, 5, 68, 7, 69]);
            let offset = random.below(4) * PAGE;
            let words = [task::MAP, address(random), offset, PAGE * (1 + random.below(6)), rights];
            (random.one_of(&tasks), words, random.one_of(&[66, any, from]))
        }
        8..10 => {
            let words = [task::UNMAP, address(random), PAGE * (1 + random.below(32)), 0, 0];
            (random.one_of(&tasks), words, 0)
        }
        10..12 => {
            let rights = random.one_of(&[4, 5, 68]);
            let words = [task::PROTECT, address(random), PAGE * (1 + random.below(32)), rights, 0];
            (random.one_of(&tasks), words, 0)
        }
        12..16 => {
            let other = random.number() & 0xff;
            let mask = random.one_of(&[0xff, 0xff, 0xdf, 0x15, other]);
            (random.one_of(&tasks), [task::DERIVE, from, to, mask, 0], 0)
        }
        16..18 => {
            (random.one_of(&tasks), [task::DELEGATE, to, 0, 0, 0], random.one_of(&[66, 67, any]))
        }
        18..20 => (random.one_of(&tasks), [task::DELETE, from.max(64), random.below(2), 0, 0], 0),
        20 => (random.one_of(&tasks), [task::REVOKE, from, 0, 0, 0], 0),
        21 => (random.one_of(&tasks), [task::MOVE, from.max(72), to, 0, 0], 0),
        22 => (any, [memory::SPLIT, PAGE * random.below(8), to, 0, 0], 0),
        _ => (
            any,
            [random.one_of(&[factory::EMPTY, factory::INFO, memory::PHYS, task::INFO]), 0, 0, 0, 0],
            0,
        ),
    }
}

/// A hostile program; `number` says which.
fn hostile(number: u64) -> u64 {
    let mut random = Random::new(SEED + number * 77_777);
    for _ in 0..OPERATIONS {
        let (handle, words, item) = operation(&mut random);
        // Nothing of what the program itself needs: its own range is mapped
        // elsewhere, and slot 1 has no D.
        let [slot, rights] = Item::all(Slot::new(item as u32)).encode();
        utcb::write(ITEMS, slot);
        utcb::write(ITEMS + 1, rights);
        utcb::write(4, words[4]);
        let tag = Tag::new(KOBJECT, 5).with_items(usize::from(item != 0));
        // Sending to a gate without SERVER must not wait for ever.
        let zero = u64::from(postern_tests::syscall::Timeout::ZERO.bits());
        let rax = Code::Call.plain() | zero << 32 | zero << 48;
        let [w0, w1, w2, w3, _] = words;
        let out = raw::invoke(rax, handle, tag.bits(), [w0, w1, w2, w3]);
        board::add(DONE + number as usize, 1);
        board::add(SUCCESS + number as usize, u64::from(!out.failed));
    }
    0
}

/// A hostile program in a task of its own, with a factory of its own.
fn program(
    ctx: &Ctx,
    number: u64,
    shared: &[Item],
) -> Result<(Partner, Factory), postern_tests::Failure> {
    let mut partner = ctx.peer()?;
    let quota = ctx.sub_factory(QUOTA)?;
    partner.give(Item::with(quota.slot(), Rights::all() - Rights::D))?;
    for item in shared {
        partner.give(*item)?;
    }
    // At different times of different priorities.
    ctx.scheduler.set_priority(partner.thread(), PRIORITY - 10 + (number % 2) as u8)?;
    partner.start(hostile, number)?;
    Ok((partner, quota))
}

fn churn_g01_hostile_operations_on_capabilities_and_memory(ctx: &Ctx) -> Verdict {
    let before = ctx.charged()?;
    let (shared, pages, gate) = (ctx.empty_task()?, ctx.memory(16)?, ctx.unbound()?);
    let items = [
        Item::with(shared.slot(), Rights::all() - Rights::D),
        Item::with(pages.slot(), Rights::all() - Rights::D),
        Item::all(gate.slot()),
    ];
    let mut programs = alloc::vec::Vec::new();
    for number in 0..TASKS {
        programs.push(program(ctx, number, &items)?);
    }
    for (partner, _) in &programs {
        while !matches!(
            partner.info()?.state,
            Some(postern_tests::syscall::abi::op::thread::ThreadState::Exited)
        ) {
            postern_tests::runtime::time::sleep(core::time::Duration::from_millis(5));
        }
        check_eq!(partner.join()?, 0);
    }
    let sum =
        |first: usize| (0..TASKS as usize).map(|number| board::get(first + number)).sum::<u64>();
    let (done, success) = (sum(DONE), sum(SUCCESS));
    log!("seed {SEED:#x}: {done} operations, {success} of them succeeded");
    check_eq!(done, TASKS * OPERATIONS);
    check!(success > done / 20, "only {success} succeeded");
    for (partner, quota) in programs {
        drop(partner);
        quota.empty()?;
        check_eq!(quota.info()?.charged, 0);
        ctx.task.destroy(quota.slot())?;
    }
    ctx.task.destroy(shared.slot())?;
    ctx.task.destroy(pages.slot())?;
    let _ = ctx.task.destroy(gate.slot());
    let _ = ctx.task.delete(gate.slot());
    check!(
        ctx.wait_until(|| ctx.charged().is_ok_and(|now| now == before)),
        "{before} bytes became {:?}",
        ctx.charged()
    );
    Ok(())
}
