//! Emptying a factory: all that was made through it goes.

use postern_tests::bare::memory::read;
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::{
    Capability, ErrorNumber, Factory, Item, Rights, Slot, Tag, Timeouts, control, ipc,
};
use postern_tests::{Body, Ctx, Verdict, board, check, check_eq, op, peer, sent, tests, told};

tests! {
    factory_g04_empty_takes_everything,
    factory_g04_empty_takes_sub_factories,
    factory_g04_empty_ends_running_threads,
    factory_g04_empty_oneself,
    factory_g04_empty_needs_d,
}

fn factory_g04_empty_takes_everything(ctx: &Ctx) -> Verdict {
    const AT: u64 = 0xc_0000_0000;
    let factory = ctx.sub_factory(256 * 1024)?;
    for round in 0..3 {
        let gate = factory.create_gate(ctx.slot()?)?;
        let memory = factory.create_memory(ctx.slot()?, 4 * PAGE)?;
        let notification = factory.create_notification(ctx.slot()?)?;
        let thread = factory.create_thread(ctx.slot()?, 10)?;
        let task = factory.create_task(ctx.slot()?, 128)?;
        thread.bind(task)?;
        task.delegate(Item::all(gate.slot()), Slot::new(9))?;
        ctx.task.map(memory, AT, 0, 4 * PAGE, Rights::R)?;
        let copy = ctx.derive(gate, Rights::all())?;
        check!(factory.info()?.charged > 5 * PAGE);
        factory.empty()?;
        check_eq!(factory.info()?.charged, 0, "round {round}");
        let gone = Err(sent(ErrorNumber::NotExistent));
        check_eq!(gate.info().map(drop), gone);
        check_eq!(copy.info().map(drop), gone);
        check_eq!(memory.info().map(drop), gone);
        check_eq!(notification.poll().map(drop), gone);
        check_eq!(thread.info().map(drop), gone);
        check_eq!(task.info().map(drop), gone);
        let reader = ctx.spawn(read, AT)?;
        reader.expect_fault(14, Some(AT))?;
    }
    // What was made elsewhere is untouched.
    check!(ctx.task.info()?.threads >= 1);
    Ok(())
}

fn factory_g04_empty_takes_sub_factories(ctx: &Ctx) -> Verdict {
    let outer = ctx.sub_factory(256 * 1024)?;
    let inner = outer.create_factory(ctx.slot()?, 128 * 1024)?;
    let innermost = inner.create_factory(ctx.slot()?, 64 * 1024)?;
    let gates = [
        outer.create_gate(ctx.slot()?)?,
        inner.create_gate(ctx.slot()?)?,
        innermost.create_gate(ctx.slot()?)?,
    ];
    // One of them is already closed.
    ctx.task.destroy(inner.slot())?;
    check_eq!(gates[1].info()?.bound, false);
    outer.empty()?;
    check_eq!(outer.info()?.charged, 0);
    for gate in gates {
        check_eq!(gate.info().map(drop), Err(sent(ErrorNumber::NotExistent)));
    }
    check_eq!(innermost.info().map(drop), Err(sent(ErrorNumber::NotExistent)));
    outer.create_gate(ctx.slot()?)?;
    Ok(())
}

fn factory_g04_empty_ends_running_threads(ctx: &Ctx) -> Verdict {
    // A server made of the factory, with a caller from outside.
    let factory = ctx.sub_factory(256 * 1024)?;
    let thread = factory.create_thread(ctx.slot()?, 90)?;
    thread.bind(ctx.task)?;
    let gate = ctx.gate_to(thread, 0x40)?;
    let server: Body = |_| {
        let _ = ipc::receive(postern_tests::syscall::Timeout::NEVER);
        board::set(0, 1);
        loop {
            board::add(1, 1);
        }
    };
    let stack = postern_tests::runtime::memory::Mapping::create(8192)?;
    let entry = postern_tests::bare::memory::entry(false);
    let top = stack.address() + stack.bytes() - 8;
    thread.start(entry, top, server as *const () as u64, 0)?;
    let client: Body = |slot| {
        let slot = Slot::new(slot as u32);
        postern_tests::tell(ipc::call(slot, Tag::new(7, 0), [0; 4], Timeouts::NEVER))
    };
    let client = ctx.spawn(client, gate.slot().word())?;
    check!(ctx.wait_until(|| board::get(0) == 1), "nothing was called");
    factory.empty()?;
    let aborted = told(client.join()?).map_err(|error| error.number);
    check_eq!(aborted, Err(ErrorNumber::Aborted));
    let count = board::get(1);
    control::sleep_until(control::clock() + 2_000_000)?;
    check_eq!(board::get(1), count, "the server still runs");
    Ok(())
}

fn factory_g04_empty_oneself(ctx: &Ctx) -> Verdict {
    // A peer's task empties the factory that a thread of its own was made of.
    let factory = ctx.sub_factory(256 * 1024)?;
    let mut other = ctx.peer()?;
    other.give(Item::all(factory.slot()))?;
    let Some(task) = other.task() else { return Ok(()) };
    let thread = factory.create_thread(ctx.slot()?, 90)?;
    thread.bind(task)?;
    let body: Body = |_| {
        board::set(0, 1);
        let emptied = Factory::new(peer::given(0)).empty();
        board::set(0, 2 + u64::from(emptied.is_ok()));
        0
    };
    let entry = postern_tests::bare::memory::entry(true);
    let top = other.stack_top() - 8;
    thread.start(entry, top, body as *const () as u64, 0)?;
    check!(ctx.wait_until(|| thread.info().is_err()), "the thread is still there");
    check_eq!(board::get(0), 1);
    check!(ctx.wait_until(|| factory.info().is_ok_and(|info| info.charged == 0)));
    Ok(())
}

fn factory_g04_empty_needs_d(ctx: &Ctx) -> Verdict {
    let factory = ctx.sub_factory(64 * 1024)?;
    let gate = factory.create_gate(ctx.slot()?)?;
    let weak = ctx.derive(factory, Rights::all() - Rights::D)?;
    check_eq!(weak.empty(), Err(op(ErrorNumber::Perm, 0)));
    check_eq!(gate.info()?.bound, false);
    // Its own factory is nothing that a program can empty by default.
    check_eq!(ctx.factory.empty(), Err(op(ErrorNumber::Perm, 0)));
    Ok(())
}
