//! Servers that die before, during and after a call.

use postern_tests::runtime::interface::CallError;
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{Capability, Gate, Slot};
use postern_tests::{Ctx, Verdict, check, check_eq, tests};

use crate::zoo::ZooClient;
use crate::{ABORTED, GONE, LABEL, client, word, zoo};

tests! {
    interface_no_gate,
    interface_gate_destroyed,
    interface_server_dead_before,
    interface_server_exits_during,
    interface_server_destroyed_during,
    interface_server_destroyed_with_kept_answers,
    interface_server_dead_while_clients_queue,
    interface_gate_destroyed_while_a_client_queues,
    interface_next_server_behind_the_same_gate,
}

fn ask(argument: u64) -> u64 {
    word(client::<ZooClient>(argument).sleep(1))
}

fn ask_long(argument: u64) -> u64 {
    word(client::<ZooClient>(argument).sleep(1 << 20))
}

fn keep(argument: u64) -> u64 {
    word(client::<ZooClient>(argument).keep())
}

fn interface_no_gate(ctx: &Ctx) -> Verdict {
    for slot in [Slot::NULL, ctx.slot()?, Slot::new(1 << 20)] {
        check_eq!(ZooClient::new(Gate::new(slot)).ping(), Err(CallError::Gone), "{slot}");
    }
    Ok(())
}

fn interface_gate_destroyed(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    let copy = ctx.derive(zoo, postern_tests::syscall::Rights::all())?;
    ctx.task.destroy(zoo.gate().slot())?;
    check_eq!(zoo.ping(), Err(CallError::Gone));
    check_eq!(copy.ping(), Err(CallError::Gone));
    Ok(())
}

fn interface_server_dead_before(ctx: &Ctx) -> Verdict {
    let (server, zoo) = zoo(ctx)?;
    check_eq!(zoo.die(), Err(CallError::Aborted));
    check_eq!(server.join()?, 9);
    check_eq!(zoo.ping(), Err(CallError::Gone), "it has exited");
    drop(server);
    check_eq!(zoo.ping(), Err(CallError::Gone), "it is destroyed");
    Ok(())
}

fn interface_server_exits_during(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    let error = zoo.die();
    check_eq!(error, Err(CallError::Aborted));
    check!(error.is_err_and(|error| error.is_dead()), "nobody is there");
    Ok(())
}

fn interface_server_destroyed_during(ctx: &Ctx) -> Verdict {
    let (server, zoo) = zoo(ctx)?;
    let client = ctx.spawn(ask_long, zoo.gate().slot().word())?;
    client.await_state(ctx, ThreadState::Calling)?;
    drop(server);
    check_eq!(client.join()?, ABORTED);
    Ok(())
}

fn interface_server_destroyed_with_kept_answers(ctx: &Ctx) -> Verdict {
    // A peer: the rights to answer go with its task.
    let mut server = ctx.peer()?;
    let gate = ctx.gate_to(server.thread(), LABEL)?;
    server.start(crate::capabilities::serve_porter, 0)?;
    let client = ctx.spawn(crate::capabilities::keep, gate.slot().word())?;
    client.await_state(ctx, ThreadState::Calling)?;
    check_eq!(crate::capabilities::porter(gate).kept(), Ok(1));
    drop(server);
    check_eq!(client.join()?, ABORTED);
    Ok(())
}

/// Their messages were not delivered: nothing was done, so the server is gone
/// and the call not aborted.
fn interface_server_dead_while_clients_queue(ctx: &Ctx) -> Verdict {
    let (server, zoo) = zoo(ctx)?;
    let first = ctx.spawn(ask_long, zoo.gate().slot().word())?;
    first.await_state(ctx, ThreadState::Calling)?;
    let queued =
        [ctx.spawn(ask, zoo.gate().slot().word())?, ctx.spawn(keep, zoo.gate().slot().word())?];
    for client in &queued {
        client.await_state(ctx, ThreadState::Sending)?;
    }
    drop(server);
    check_eq!(first.join()?, ABORTED);
    for client in &queued {
        check_eq!(client.join()?, GONE);
    }
    Ok(())
}

fn interface_gate_destroyed_while_a_client_queues(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    let client = ctx.spawn(ask, gate.slot().word())?;
    client.await_state(ctx, ThreadState::Sending)?;
    ctx.task.destroy(gate.slot())?;
    check_eq!(client.join()?, GONE);
    Ok(())
}

fn interface_next_server_behind_the_same_gate(ctx: &Ctx) -> Verdict {
    let (server, first) = zoo(ctx)?;
    check_eq!(first.die(), Err(CallError::Aborted));
    drop(server);
    let (next, _) = zoo(ctx)?;
    first.gate().unbind().ok();
    first.gate().bind(next.thread(), LABEL)?;
    check_eq!(first.two(1, 1), Ok((2, false)));
    Ok(())
}
