//! Every place in the kernel that allocates, with every quota from none to
//! enough.

use alloc::vec::Vec;

use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::{
    Capability, ErrorCode, ErrorNumber, Factory, Memory, Rights, Slot, Thread,
};
use postern_tests::{Ctx, Failure, Verdict, check, check_eq, op, tests};

tests! {
    accounting_g04_every_create_with_every_quota = 60,
    accounting_g04_bind_pays_for_the_utcb_and_its_tables = 60,
    accounting_g04_map_pays_for_record_and_tables = 60,
    accounting_g04_large_map_fails_in_the_middle = 60,
    accounting_g04_split_pays_for_its_record,
    accounting_g04_capabilities_and_messages_cost_nothing,
    accounting_g04_closed_and_nested_quotas,
}

const FULL: ErrorCode = op(ErrorNumber::NoMem, 0);
const AT: u64 = 0xc_0000_0000;
const DATA: Rights = Rights::R.union(Rights::W);

/// An operation that is charged, into an empty slot.
type Create = fn(&Ctx, Factory, Slot) -> Result<(), ErrorCode>;

const CREATES: [(&str, Create); 13] = [
    ("factory", |_, factory, slot| factory.create_factory(slot, 1).map(drop)),
    ("large factory", |_, factory, slot| factory.create_factory(slot, 100_000).map(drop)),
    ("task of 1 slot", |_, factory, slot| factory.create_task(slot, 1).map(drop)),
    ("task of 128 slots", |_, factory, slot| factory.create_task(slot, 128).map(drop)),
    ("task of 1000 slots", |_, factory, slot| factory.create_task(slot, 1000).map(drop)),
    ("task of 5000 slots", |_, factory, slot| factory.create_task(slot, 5000).map(drop)),
    ("thread", |_, factory, slot| factory.create_thread(slot, 1).map(drop)),
    ("gate", |_, factory, slot| factory.create_gate(slot).map(drop)),
    ("bound gate", |ctx, factory, slot| {
        factory.create_bound_gate(slot, ctx.thread, 0x40).map(drop)
    }),
    ("memory of 1 page", |_, factory, slot| factory.create_memory(slot, PAGE).map(drop)),
    ("memory of 40 pages", |_, factory, slot| factory.create_memory(slot, 40 * PAGE).map(drop)),
    ("notification", |_, factory, slot| factory.create_notification(slot).map(drop)),
    ("ports", |ctx, factory, slot| factory.create_io_port(slot, ctx.ports, 0x70, 1).map(drop)),
];

/// Quotas from 0 to `cost`: 64 bytes apart for small ones, else such that
/// every page boundary is met from both sides.
fn quotas(cost: u64) -> Vec<u64> {
    let mut all: Vec<u64> = Vec::new();
    if cost <= PAGE {
        all.extend((1..cost).step_by(32));
    } else {
        for page in 0..=cost / PAGE {
            all.extend([1, 64, 700, PAGE - 1, PAGE].map(|bytes| page * PAGE + bytes));
        }
    }
    all.extend([1, cost.saturating_sub(64), cost - 1]);
    all.retain(|quota| (1..cost).contains(quota));
    all
}

fn accounting_g04_every_create_with_every_quota(ctx: &Ctx) -> Verdict {
    let (place, slot) = (ctx.slot()?, ctx.slot()?);
    let before = ctx.charged()?;
    for (name, create) in CREATES {
        let whole = ctx.factory.create_factory(place, 1 << 20)?;
        create(ctx, whole, slot)?;
        let cost = whole.info()?.charged;
        ctx.task.destroy(slot)?;
        check_eq!(whole.info()?.charged, 0, "{name}");
        ctx.task.destroy(place)?;
        let less = quotas(cost);
        check!(less.len() > 2, "{name} costs only {cost}");
        for quota in less {
            let factory = ctx.factory.create_factory(place, quota)?;
            let refused = create(ctx, factory, slot);
            check_eq!(refused, Err(FULL), "{name} for {cost} with {quota}");
            check_eq!(factory.info()?.charged, 0, "{name} for {cost} with {quota}");
            check_eq!(
                ctx.task.delete(slot),
                Err(op(ErrorNumber::NotExistent, 1)),
                "{name} with {quota} left something in the slot"
            );
            ctx.task.destroy(place)?;
        }
        // Exactly enough, and twice: then the second is refused.
        let factory = ctx.factory.create_factory(place, cost)?;
        create(ctx, factory, slot)?;
        let spare = ctx.slot()?;
        check_eq!(create(ctx, factory, spare), Err(FULL), "{name} a second time");
        check_eq!(factory.info()?.charged, cost, "{name}");
        ctx.task.delete(slot)?;
        check_eq!(factory.info()?.charged, 0, "{name} deleted");
        create(ctx, factory, slot)?;
        ctx.task.destroy(slot)?;
        check_eq!(factory.info()?.charged, 0, "{name} destroyed");
        ctx.task.destroy(place)?;
        check_eq!(ctx.charged()?, before, "{name}");
    }
    Ok(())
}

/// Eats up what is left of a factory but `left` bytes: with a factory in it.
/// What such a factory costs besides its quota is `fixed`.
fn eat(factory: Factory, slot: Slot, fixed: u64, left: u64) -> Result<bool, Failure> {
    let info = factory.info()?;
    let rest = info.quota - info.charged;
    if rest <= left + fixed {
        return Ok(false);
    }
    factory.create_factory(slot, rest - left - fixed)?;
    check_eq!(factory.info()?.charged, info.quota - left);
    Ok(true)
}

/// What a factory costs besides its quota.
fn fixed(ctx: &Ctx, slot: Slot) -> Result<u64, Failure> {
    let before = ctx.charged()?;
    ctx.factory.create_factory(slot, 1)?;
    let cost = ctx.charged()? - before - 1;
    ctx.task.destroy(slot)?;
    Ok(cost)
}

/// Does `attempt` with ever more bytes left in `factory`, until it succeeds:
/// all before are `NoMem`, at once, and leave the charges alone. The bytes that
/// it was charged.
fn until_enough(
    ctx: &Ctx,
    factory: Factory,
    what: &str,
    attempt: impl Fn() -> Result<(), ErrorCode>,
) -> Result<u64, Failure> {
    let slot = ctx.slot()?;
    let fixed = fixed(ctx, slot)?;
    let first = factory.info()?.charged;
    let mut left = 0;
    loop {
        check!(eat(factory, slot, fixed, left)?, "{what}: never enough, {left} bytes left");
        let before = factory.info()?.charged;
        let result = attempt();
        let kept = factory.info()?.charged - before;
        ctx.task.destroy(slot)?;
        match result {
            Ok(()) => return Ok(factory.info()?.charged - first),
            Err(error) => check_eq!(error, FULL, "{what}: {left} bytes left"),
        }
        check_eq!(kept, 0, "{what}: {left} bytes left, refused and charged");
        left += if left < 256 { 64 } else { PAGE / 4 };
    }
}

fn accounting_g04_bind_pays_for_the_utcb_and_its_tables(ctx: &Ctx) -> Verdict {
    // The thread's factory pays for the page, the task's for its tables.
    let (pays, homes) = (ctx.sub_factory(128 * 1024)?, ctx.sub_factory(128 * 1024)?);
    let task = homes.create_task(ctx.slot()?, 128)?;
    let empty = homes.info()?.charged;
    let thread = pays.create_thread(ctx.slot()?, 1)?;
    let alone = pays.info()?.charged;
    // First the page is short, then the tables.
    let page = until_enough(ctx, pays, "bind, its page", || thread.bind(task).map(drop))?;
    check_eq!(page, PAGE);
    let tables = homes.info()?.charged - empty;
    check!(tables >= PAGE && tables.is_multiple_of(PAGE), "{tables} bytes of tables");
    ctx.task.destroy(thread.slot())?;
    check_eq!(pays.info()?.charged, 0);
    ctx.task.destroy(task.slot())?;
    check_eq!(homes.info()?.charged, 0);
    let task = homes.create_task(task.slot(), 128)?;
    let thread = pays.create_thread(thread.slot(), 1)?;
    let slot = ctx.slot()?;
    let fixed = fixed(ctx, slot)?;
    let mut refusals = 0;
    for left in (0..tables + PAGE).step_by(PAGE as usize / 2) {
        check!(eat(homes, slot, fixed, left)?);
        let bound = thread.bind(task).map(drop);
        ctx.task.destroy(slot)?;
        if bound.is_ok() {
            break;
        }
        check_eq!(bound, Err(FULL), "{left} bytes left for {tables} bytes of tables");
        check_eq!(pays.info()?.charged, alone, "its page came back");
        refusals += 1;
    }
    check!(refusals >= tables / PAGE, "only {refusals} were refused");
    check_eq!(thread.bind(task).map(drop), Err(op(ErrorNumber::Exists, 0)));
    ctx.task.destroy(thread.slot())?;
    ctx.task.destroy(task.slot())?;
    check_eq!((pays.info()?.charged, homes.info()?.charged), (0, 0));
    Ok(())
}

fn accounting_g04_map_pays_for_record_and_tables(ctx: &Ctx) -> Verdict {
    let homes = ctx.sub_factory(256 * 1024)?;
    let memory = ctx.memory(3)?;
    let task_slot = ctx.slot()?;
    let task = homes.create_task(task_slot, 128)?;
    let empty = homes.info()?.charged;
    // Far from everything and from each other: tables of every level. Near
    // one that is there: a record only.
    let places = [("far", AT), ("near", AT + 16 * PAGE), ("farther", 0x60_0000_0000)];
    let mut costs = Vec::new();
    for (what, address) in places {
        let cost = until_enough(ctx, homes, what, || task.map(memory, address, 0, PAGE, DATA))?;
        check!(cost > 0 && cost % PAGE > 0, "{what}: no record in {cost}");
        check_eq!(cost > PAGE, what != "near", "{what} costs {cost}");
        costs.push(cost);
    }
    // Tables go with the last page in them.
    let record = costs[1];
    for ((what, address), back) in places.into_iter().zip([record, costs[0], costs[2]]) {
        let before = homes.info()?.charged;
        check_eq!(task.unmap(address, PAGE)?, PAGE);
        check_eq!(before - homes.info()?.charged, back, "{what} gives back");
    }
    check_eq!((memory.info()?.mappings, homes.info()?.charged), (0, empty));
    // A range that many tables are needed for, unmapped as a whole.
    for number in 0..8 {
        task.map(memory, AT + (number << 30), 0, 3 * PAGE, Rights::R)?;
        task.map(memory, AT + (number << 30) + (number << 21) + 4 * PAGE, 0, PAGE, DATA)?;
    }
    check!(homes.info()?.charged > empty + 20 * PAGE, "too few tables");
    check_eq!(task.unmap(AT, 8 << 30)?, 32 * PAGE);
    check_eq!(homes.info()?.charged, empty);
    ctx.task.destroy(task_slot)?;
    check_eq!(homes.info()?.charged, 0);
    Ok(())
}

fn accounting_g04_large_map_fails_in_the_middle(ctx: &Ctx) -> Verdict {
    // 6 MiB in small pages (the memory is misplaced by a page): the tables run
    // out after some of them. Nothing of it stays mapped.
    const PAGES: u64 = 1536;
    let homes = ctx.sub_factory(128 * 1024)?;
    let memory = ctx.memory(PAGES + 1)?;
    let task = homes.create_task(ctx.slot()?, 128)?;
    let attempt = || task.map(memory, AT, PAGE, PAGES * PAGE, Rights::R);
    let slot = ctx.slot()?;
    let fixed = fixed(ctx, slot)?;
    let mut left = 128;
    let mut empty;
    let mut refusals = 0;
    while let Err(error) = {
        let before = homes.info()?.charged;
        check!(eat(homes, slot, fixed, left)?, "{left} bytes are not enough");
        empty = before;
        let result = attempt();
        ctx.task.destroy(slot)?;
        result
    } {
        check_eq!(error, FULL, "{left} bytes left");
        check_eq!((memory.info()?.mappings, task.info()?.mapped), (0, 0), "{left} bytes left");
        check_eq!(homes.info()?.charged, empty, "{left} bytes left: tables stay");
        refusals += 1;
        left += PAGE;
        check!(refusals < 30, "it never succeeds");
    }
    check!(refusals >= 3, "only {refusals} refusals");
    check_eq!(task.info()?.mapped, PAGES * PAGE);
    ctx.task.destroy(task.slot())?;
    check_eq!(homes.info()?.charged, 0);
    Ok(())
}

fn accounting_g04_split_pays_for_its_record(ctx: &Ctx) -> Verdict {
    let factory = ctx.sub_factory(64 * 1024)?;
    let memory = factory.create_memory(ctx.slot()?, 8 * PAGE)?;
    let before = factory.info()?.charged;
    let rest = ctx.slot()?;
    let cost = until_enough(ctx, factory, "split", || memory.split(3 * PAGE, rest).map(drop))?;
    check_eq!(cost, before - 8 * PAGE, "a record like the first one's");
    let other = Memory::new(rest);
    check_eq!((memory.info()?.bytes, other.info()?.bytes), (3 * PAGE, 5 * PAGE));
    ctx.task.delete(memory.slot())?;
    check_eq!(factory.info()?.charged, cost + 5 * PAGE);
    ctx.task.delete(rest)?;
    check_eq!(factory.info()?.charged, 0);
    Ok(())
}

fn accounting_g04_capabilities_and_messages_cost_nothing(ctx: &Ctx) -> Verdict {
    // The table was paid for with its task: deriving, delegating, moving,
    // protecting, binding a gate, starting a thread cannot fail for memory.
    let factory = ctx.sub_factory(64 * 1024)?;
    let task = factory.create_task(ctx.slot()?, 128)?;
    let (gate, memory) =
        (factory.create_gate(ctx.slot()?)?, factory.create_memory(ctx.slot()?, PAGE)?);
    let thread = factory.create_thread(ctx.slot()?, 1)?;
    thread.bind(task)?;
    task.map(memory, AT, 0, PAGE, DATA)?;
    let slot = ctx.slot()?;
    let fixed = fixed(ctx, slot)?;
    check!(eat(factory, slot, fixed, 0)?);
    for number in 1..100 {
        task.delegate(gate.item(Rights::all()), Slot::new(number))?;
    }
    for number in 1..28 {
        task.derive(Slot::new(number), Slot::new(99 + number), Rights::R)?;
    }
    task.revoke(Slot::new(5))?;
    task.move_slot(Slot::new(5), Slot::new(104))?;
    task.protect(AT, PAGE, Rights::R)?;
    gate.bind(Thread::new(thread.slot()), 0x40)?;
    thread.set_exit_gate(Some(gate))?;
    thread.set_fault_gate(Some(gate))?;
    thread.set_registers(&thread.registers()?)?;
    thread.start(AT, AT, 0, 0)?;
    thread.stop()?;
    let info = factory.info()?;
    check_eq!(info.charged, info.quota, "nothing was charged and nothing came back");
    Ok(())
}

fn accounting_g04_closed_and_nested_quotas(ctx: &Ctx) -> Verdict {
    let before = ctx.charged()?;
    // Ten levels, each with a bit less.
    let mut factories = Vec::new();
    let mut quota = 64 * 1024;
    let mut parent = ctx.factory;
    for _ in 0..10 {
        parent = parent.create_factory(ctx.slot()?, quota)?;
        factories.push(parent);
        quota -= 1024;
    }
    let gate = parent.create_gate(ctx.slot()?)?;
    let memory = parent.create_memory(ctx.slot()?, PAGE)?;
    // A quota is taken from the parent at once, so nobody can promise more
    // than there is.
    let too_much = factories[0].create_factory(ctx.slot()?, 2048).map(drop);
    check_eq!(too_much, Err(FULL));
    // Those in the middle go; the objects inside live.
    for factory in &factories {
        ctx.task.destroy(factory.slot())?;
        check_eq!((gate.info()?.bound, memory.info()?.bytes), (false, PAGE));
    }
    check!(ctx.charged()? > before + 63 * 1024, "the quota came back too early");
    ctx.task.delete(gate.slot())?;
    check!(ctx.charged()? > before + 63 * 1024, "the quota came back too early");
    ctx.task.delete(memory.slot())?;
    check_eq!(ctx.charged()?, before, "the last one takes all ten along");
    Ok(())
}
