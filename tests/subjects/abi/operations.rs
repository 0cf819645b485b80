//! Every operation of every object: without the right, with too few words, on
//! the wrong object, unknown.

use postern_tests::syscall::abi::op::{
    factory, gate, io_port, irq, is_known, log, memory, notification, scheduler, task, thread,
};
use postern_tests::syscall::abi::rights::Kind;
use postern_tests::syscall::{Capability, ErrorNumber, Item, Rights, Slot, operate};
use postern_tests::{Ctx, Failure, Verdict, check_eq, op, tests};

tests! {
    abi_operations_without_the_right,
    abi_operations_with_too_few_words,
    abi_operations_of_another_kind,
    abi_operations_that_do_not_exist,
    abi_operations_on_what_is_gone,
}

/// An operation: its object, its words (good ones, as far as that matters
/// here), its right.
struct Operation {
    kind: Kind,
    words: &'static [u64],
    right: Rights,
}

const fn operation(kind: Kind, words: &'static [u64], right: Rights) -> Operation {
    Operation { kind, words, right }
}

/// An address where nothing is mapped.
const AT: u64 = 0xc_0000_0000;

/// Setting all registers to 0.
const SET_REGISTERS: [u64; 20] = {
    let mut words = [0; 20];
    words[0] = thread::SET_REGISTERS;
    words
};

const OPERATIONS: [Operation; 45] = [
    operation(Kind::Factory, &[factory::CREATE, 4, 400], Rights::S),
    operation(Kind::Factory, &[factory::INFO], Rights::R),
    operation(Kind::Factory, &[factory::EMPTY], Rights::D),
    operation(Kind::Task, &[task::MAP, AT, 0, 4096, 4], Rights::W),
    operation(Kind::Task, &[task::UNMAP, AT, 4096], Rights::W),
    operation(Kind::Task, &[task::DERIVE, 401, 402, 4], Rights::W),
    operation(Kind::Task, &[task::DELEGATE, 403], Rights::W),
    operation(Kind::Task, &[task::DELETE, 404], Rights::W),
    operation(Kind::Task, &[task::LIST, 0], Rights::R),
    operation(Kind::Task, &[task::SET_NAME, 1, 0, 0, 0, 0, 0], Rights::W),
    operation(Kind::Task, &[task::INFO], Rights::R),
    operation(Kind::Task, &[task::REVOKE, 405], Rights::W),
    operation(Kind::Task, &[task::MOVE, 406, 407], Rights::W),
    operation(Kind::Task, &[task::PROTECT, AT, 4096, 4], Rights::W),
    operation(Kind::Thread, &[thread::BIND], Rights::W),
    operation(Kind::Thread, &[thread::START, AT, AT, 0, 0], Rights::W),
    operation(Kind::Thread, &[thread::STOP], Rights::W),
    operation(Kind::Thread, &[thread::RESUME], Rights::W),
    operation(Kind::Thread, &[thread::SET_EXIT_GATE], Rights::W),
    operation(Kind::Thread, &[thread::INFO], Rights::R),
    operation(Kind::Thread, &[thread::CANCEL], Rights::W),
    operation(Kind::Thread, &[thread::SET_FAULT_GATE], Rights::W),
    operation(Kind::Thread, &[thread::GET_REGISTERS], Rights::R),
    operation(Kind::Thread, &SET_REGISTERS, Rights::W),
    operation(Kind::Thread, &[thread::MODIFY_SENDERS], Rights::S),
    operation(Kind::Thread, &[thread::NOTIFY_DELETION], Rights::W),
    operation(Kind::Gate, &[gate::BIND, 0x40], Rights::S),
    operation(Kind::Gate, &[gate::UNBIND], Rights::S),
    operation(Kind::Gate, &[gate::INFO], Rights::empty()),
    operation(Kind::Memory, &[memory::INFO], Rights::R),
    operation(Kind::Memory, &[memory::PHYS], Rights::PHYS),
    operation(Kind::Memory, &[memory::SPLIT, 4096, 408], Rights::D),
    operation(Kind::Notification, &[notification::SIGNAL, 1], Rights::W),
    operation(Kind::Notification, &[notification::BIND], Rights::S),
    operation(Kind::Notification, &[notification::POLL], Rights::R),
    operation(Kind::Irq, &[irq::BIND, 0], Rights::S),
    operation(Kind::Irq, &[irq::ACK], Rights::W),
    operation(Kind::Irq, &[irq::MASK, 1], Rights::W),
    operation(Kind::IoPort, &[io_port::IN, 0x71, 1], Rights::R),
    operation(Kind::IoPort, &[io_port::OUT, 0x70, 1, 0x8d], Rights::W),
    operation(Kind::IoPort, &[io_port::OUT_BYTES, 0x70, 0], Rights::W),
    operation(Kind::IoPort, &[io_port::INFO], Rights::R),
    operation(Kind::Scheduler, &[scheduler::SET_PRIORITY, 10], Rights::W),
    operation(Kind::Scheduler, &[scheduler::INFO], Rights::R),
    operation(Kind::Log, &[log::WRITE, 0], Rights::W),
];

/// One object of each kind, none of them the test's own.
fn objects(ctx: &Ctx) -> Result<[(Kind, Slot); 10], Failure> {
    Ok([
        (Kind::Factory, ctx.sub_factory(4096)?.slot()),
        (Kind::Task, ctx.empty_task()?.slot()),
        (Kind::Thread, ctx.new_thread()?.slot()),
        (Kind::Gate, ctx.unbound()?.slot()),
        (Kind::Memory, ctx.memory(1)?.slot()),
        (Kind::Notification, ctx.notification()?.slot()),
        (Kind::Irq, ctx.irq.slot()),
        (Kind::IoPort, ctx.ports.slot()),
        (Kind::Scheduler, ctx.scheduler.slot()),
        (Kind::Log, ctx.log.slot()),
    ])
}

/// The object of this kind.
fn of(objects: &[(Kind, Slot)], kind: Kind) -> Slot {
    let found = objects.iter().find(|object| object.0 == kind);
    found.map_or(Slot::NULL, |object| object.1)
}

fn abi_operations_without_the_right(ctx: &Ctx) -> Verdict {
    let objects = objects(ctx)?;
    let weak = ctx.slot()?;
    for Operation { kind, words, right } in OPERATIONS {
        if right.is_empty() {
            continue;
        }
        ctx.task.derive(of(&objects, kind), weak, Rights::all() - right)?;
        // An item of no right kind must not matter yet.
        for items in [&[][..], &[Item::all(ctx.log.slot())][..]] {
            let found = operate(weak, words, items).map(drop);
            check_eq!(found, Err(op(ErrorNumber::Perm, 0)), "operation {:#x}", words[0]);
            let found = operate(weak, &words[..1], items).map(drop);
            check_eq!(found, Err(op(ErrorNumber::Perm, 0)), "{:#x}, short", words[0]);
        }
        ctx.task.delete(weak)?;
    }
    Ok(())
}

fn abi_operations_with_too_few_words(ctx: &Ctx) -> Verdict {
    let objects = objects(ctx)?;
    for Operation { kind, words, .. } in OPERATIONS {
        if words[0] == irq::BIND {
            // Its word is for the item that is not there.
            continue;
        }
        for count in 1..words.len() {
            let found = operate(of(&objects, kind), &words[..count], &[]).map(drop);
            check_eq!(
                found,
                Err(op(ErrorNumber::TooShort, count as u8)),
                "operation {:#x} with {count} words",
                words[0]
            );
        }
    }
    Ok(())
}

fn abi_operations_of_another_kind(ctx: &Ctx) -> Verdict {
    let objects = objects(ctx)?;
    for Operation { kind, words, .. } in OPERATIONS {
        for (other, slot) in objects {
            if other != kind {
                let found = operate(slot, words, &[]).map(drop);
                check_eq!(
                    found,
                    Err(op(ErrorNumber::NoSys, 1)),
                    "operation {:#x} on a {}",
                    words[0],
                    other.name()
                );
            }
        }
    }
    Ok(())
}

fn abi_operations_that_do_not_exist(ctx: &Ctx) -> Verdict {
    let objects = objects(ctx)?;
    for (kind, slot) in objects {
        let own = kind as u64 * 0x100;
        let others = [0, 1, u64::MAX, 1 << 32 | own | 1, own | 0x1_0001, 1 << 63];
        let unknown = (own..own + 0x100).filter(|code| !is_known(*code)).chain(others);
        for code in unknown {
            let found = operate(slot, &[code, 0, 0, 0, 0, 0, 0], &[]).map(drop);
            check_eq!(
                found,
                Err(op(ErrorNumber::NoSys, 1)),
                "operation {code:#x} on a {}",
                kind.name()
            );
        }
    }
    Ok(())
}

fn abi_operations_on_what_is_gone(ctx: &Ctx) -> Verdict {
    let objects = objects(ctx)?;
    for (kind, slot) in objects {
        if matches!(kind, Kind::Irq | Kind::Scheduler | Kind::Log | Kind::IoPort) {
            continue;
        }
        let copy = ctx.slot()?;
        ctx.task.derive(slot, copy, Rights::all())?;
        ctx.task.destroy(slot)?;
        for Operation { words, .. } in OPERATIONS.iter().filter(|one| one.kind == kind) {
            for slot in [slot, copy] {
                let found = operate(slot, words, &[]).map(drop).map_err(|error| error.number);
                check_eq!(found, Err(ErrorNumber::NotExistent), "operation {:#x}", words[0]);
            }
        }
    }
    Ok(())
}
