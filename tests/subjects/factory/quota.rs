//! Quotas: exact, and never lost, wherever a charge fails.

use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::{
    Capability, ErrorCode, ErrorNumber, Factory, Item, Rights, Slot, Tag, Timeout, ipc,
};
use postern_tests::{Ctx, Failure, Verdict, check, check_eq, op, sent, tests};

tests! {
    factory_g04_every_kind_is_charged_and_comes_back,
    factory_g04_exhaustion_at_every_site = 40,
    factory_g04_closed_factory_refuses_and_its_objects_live,
    factory_g04_factory_without_capability_goes_with_its_last_object,
    factory_g04_nested_factories,
    factory_g04_utcb_is_charged_at_bind,
    factory_g04_objects_of_other_factories_count_there,
    factory_g04_create_and_destroy_many,
}

const FULL: ErrorCode = op(ErrorNumber::NoMem, 0);

type Create = fn(Factory, Slot) -> Result<(), ErrorCode>;

const KINDS: [(&str, Create); 6] = [
    ("factory", |factory, slot| factory.create_factory(slot, 1000).map(drop)),
    ("task", |factory, slot| factory.create_task(slot, 128).map(drop)),
    ("thread", |factory, slot| factory.create_thread(slot, 1).map(drop)),
    ("gate", |factory, slot| factory.create_gate(slot).map(drop)),
    ("memory", |factory, slot| factory.create_memory(slot, 2 * PAGE).map(drop)),
    ("notification", |factory, slot| factory.create_notification(slot).map(drop)),
];

fn factory_g04_every_kind_is_charged_and_comes_back(ctx: &Ctx) -> Verdict {
    let slot = ctx.slot()?;
    for (name, create) in KINDS {
        let factory = ctx.sub_factory(256 * 1024)?;
        create(factory, slot)?;
        let cost = factory.info()?.charged;
        check!(cost > 0, "a {name} costs nothing");
        for _ in 0..3 {
            ctx.task.delete(slot)?;
            check_eq!(factory.info()?.charged, 0, "{name} deleted");
            create(factory, slot)?;
            check_eq!(factory.info()?.charged, cost, "{name} again");
            ctx.task.destroy(slot)?;
            check_eq!(factory.info()?.charged, 0, "{name} destroyed");
            create(factory, slot)?;
        }
        ctx.task.delete(slot)?;
        // A quota of exactly that is enough, one byte less is not.
        let exact = ctx.sub_factory(cost)?;
        create(exact, slot)?;
        ctx.task.delete(slot)?;
        let less = ctx.sub_factory(cost - 1)?;
        let made = create(less, slot);
        check_eq!(made, Err(FULL), "{name} with one byte less, {:?}", less.info());
        check_eq!(less.info()?.charged, 0, "{name} with one byte less");
    }
    Ok(())
}

/// Makes a task with a thread and mappings out of `factory`, as far as that
/// goes; what stopped it. Everything is destroyed again.
fn build(ctx: &Ctx, factory: Factory, slots: [Slot; 4]) -> Result<Option<ErrorCode>, Failure> {
    let [task_slot, thread_slot, memory_slot, gate_slot] = slots;
    let all = || -> Result<(), ErrorCode> {
        let memory = factory.create_memory(memory_slot, 3 * PAGE)?;
        let task = factory.create_task(task_slot, 128)?;
        let thread = factory.create_thread(thread_slot, 10)?;
        thread.bind(task)?;
        for place in 0..3 {
            task.map(memory, 0x100_0000 + (place << 30), 0, 3 * PAGE, Rights::R)?;
        }
        let gate = factory.create_bound_gate(gate_slot, thread, 0x40)?;
        task.delegate(Item::all(gate.slot()), Slot::new(5))
    };
    let result = all().err();
    for slot in slots {
        let _ = ctx.task.destroy(slot);
        let _ = ctx.task.delete(slot);
    }
    Ok(result)
}

fn factory_g04_exhaustion_at_every_site(ctx: &Ctx) -> Verdict {
    let slots = [ctx.slot()?, ctx.slot()?, ctx.slot()?, ctx.slot()?];
    let place = ctx.slot()?;
    let mut quota = 64;
    let mut refused = 0;
    loop {
        let factory = ctx.factory.create_factory(place, quota)?;
        let stopped = build(ctx, factory, slots)?;
        let came_back = ctx.wait_until(|| factory.info().is_ok_and(|info| info.charged == 0));
        check!(came_back, "quota {quota}: {:?} stays charged, after {stopped:?}", factory.info());
        ctx.task.destroy(place)?;
        match stopped {
            None => break,
            Some(error) => check_eq!(error, FULL, "quota {quota}"),
        }
        refused += 1;
        check!(refused < 2000, "{quota} bytes were not enough");
        quota += if quota % PAGE == 64 { PAGE / 2 - 64 } else { PAGE / 2 + 64 };
    }
    check!(refused > 20, "only {refused} quotas were too small");
    Ok(())
}

fn factory_g04_closed_factory_refuses_and_its_objects_live(ctx: &Ctx) -> Verdict {
    let before = ctx.charged()?;
    let factory = ctx.sub_factory(64 * 1024)?;
    let copy = ctx.derive(factory, Rights::all())?;
    let gate = factory.create_gate(ctx.slot()?)?;
    let memory = factory.create_memory(ctx.slot()?, PAGE)?;
    let with = ctx.charged()?;
    ctx.task.destroy(factory.slot())?;
    let refused = copy.create_gate(ctx.slot()?).map(drop);
    check!(refused.is_err(), "a deleted factory makes gates");
    check_eq!(gate.info()?.bound, false);
    check_eq!(memory.info()?.bytes, PAGE);
    check_eq!(ctx.charged()?, with, "while its objects live");
    ctx.task.delete(gate.slot())?;
    check_eq!(ctx.charged()?, with);
    ctx.task.delete(memory.slot())?;
    check_eq!(ctx.charged()?, before, "after the last one has gone");
    Ok(())
}

fn factory_g04_factory_without_capability_goes_with_its_last_object(ctx: &Ctx) -> Verdict {
    let before = ctx.charged()?;
    let factory = ctx.sub_factory(64 * 1024)?;
    let gate = factory.create_bound_gate(ctx.slot()?, ctx.thread, 0x40)?;
    ctx.task.delete(factory.slot())?;
    check_eq!(gate.info()?.label, 0x40);
    check!(ctx.charged()? > before + 64 * 1024);
    ctx.task.delete(gate.slot())?;
    check_eq!(ctx.charged()?, before);
    Ok(())
}

fn factory_g04_nested_factories(ctx: &Ctx) -> Verdict {
    let before = ctx.charged()?;
    let outer = ctx.sub_factory(64 * 1024)?;
    let inner = outer.create_factory(ctx.slot()?, 32 * 1024)?;
    let innermost = inner.create_factory(ctx.slot()?, 16 * 1024)?;
    let gate = innermost.create_gate(ctx.slot()?)?;
    check!(inner.info()?.charged >= 16 * 1024);
    check!(outer.info()?.charged >= 32 * 1024 && outer.info()?.charged < 34 * 1024);
    let too_much = outer.create_factory(ctx.slot()?, 32 * 1024).map(drop);
    check_eq!(too_much, Err(FULL));
    // From the outside in: each waits for what is in it.
    for factory in [outer, inner, innermost] {
        ctx.task.delete(factory.slot())?;
    }
    check!(ctx.charged()? > before + 64 * 1024);
    check_eq!(gate.info()?.bound, false);
    ctx.task.delete(gate.slot())?;
    check_eq!(ctx.charged()?, before);
    Ok(())
}

fn factory_g04_utcb_is_charged_at_bind(ctx: &Ctx) -> Verdict {
    let factory = ctx.sub_factory(64 * 1024)?;
    let thread = factory.create_thread(ctx.slot()?, 10)?;
    let fixed = factory.info()?.charged;
    thread.bind(ctx.task)?;
    check_eq!(factory.info()?.charged, fixed + PAGE);
    ctx.task.destroy(thread.slot())?;
    check_eq!(factory.info()?.charged, 0);
    // Without a page left, it is not bound, and can be later.
    let tight = ctx.sub_factory(fixed + PAGE - 1)?;
    let thread = tight.create_thread(ctx.slot()?, 10)?;
    check_eq!(thread.bind(ctx.task), Err(FULL));
    check_eq!(tight.info()?.charged, fixed);
    let enough = ctx.sub_factory(fixed + PAGE)?;
    enough.create_thread(ctx.slot()?, 10)?.bind(ctx.task)?;
    Ok(())
}

fn factory_g04_objects_of_other_factories_count_there(ctx: &Ctx) -> Verdict {
    // A gate bound to a thread of another factory, a capability in another
    // task: both are charged where they were made.
    let (one, other) = (ctx.sub_factory(64 * 1024)?, ctx.sub_factory(64 * 1024)?);
    let thread = one.create_thread(ctx.slot()?, 10)?;
    let charged = one.info()?.charged;
    let gate = other.create_bound_gate(ctx.slot()?, thread, 0x40)?;
    check_eq!(one.info()?.charged, charged);
    check!(other.info()?.charged > 0);
    ctx.task.destroy(thread.slot())?;
    check_eq!(one.info()?.charged, 0);
    let dead = ipc::send(gate.slot(), Tag::new(7, 0), [0; 4], Timeout::ZERO);
    check_eq!(dead, Err(sent(ErrorNumber::NotExistent)));
    ctx.task.delete(gate.slot())?;
    check_eq!(other.info()?.charged, 0);
    Ok(())
}

fn factory_g04_create_and_destroy_many(ctx: &Ctx) -> Verdict {
    let slots = [ctx.slot()?, ctx.slot()?, ctx.slot()?, ctx.slot()?, ctx.slot()?, ctx.slot()?];
    let before = ctx.charged()?;
    for round in 0..100 {
        for ((_, create), slot) in KINDS.iter().zip(slots) {
            create(ctx.factory, slot)?;
        }
        for (index, slot) in slots.into_iter().enumerate() {
            if (round + index) % 2 == 0 {
                ctx.task.delete(slot)?;
            } else {
                ctx.task.destroy(slot)?;
            }
        }
        check_eq!(ctx.charged()?, before, "round {round}");
    }
    Ok(())
}
