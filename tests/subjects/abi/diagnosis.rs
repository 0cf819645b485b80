//! Explained refusals (row G13): with the switch on, the UTCB says which slot,
//! which object, which right.

use postern_tests::syscall::abi::op::gate::INFO;
use postern_tests::syscall::abi::rights::Kind;
use postern_tests::syscall::{
    Capability, Code, ErrorNumber, Item, Rights, Slot, Tag, Timeout, diagnosis, ipc, operate,
};
use postern_tests::{Body, Ctx, Failure, Verdict, check, check_eq, op, sent, tests};

tests! {
    abi_g13_off_by_default,
    abi_g13_missing_right,
    abi_g13_empty_slot,
    abi_g13_item_at_fault,
    abi_g13_success_leaves_it_alone,
    abi_g13_only_the_thread_that_asked,
}

fn last() -> Result<diagnosis::Refusal, Failure> {
    diagnosis::last().ok_or(Failure::new(format_args!("there is no record")))
}

fn abi_g13_off_by_default(ctx: &Ctx) -> Verdict {
    // A thread that the kernel starts has it off; the runtime turns it on for
    // the threads of programs, so this one begins by turning it off.
    diagnosis::enable(false);
    let weak = ctx.derive(ctx.task, Rights::R)?;
    check_eq!(weak.delete(Slot::new(5)), Err(op(ErrorNumber::Perm, 0)));
    check_eq!(diagnosis::last(), None);
    let body: Body = |_| {
        let refused = Slot::new(4000);
        let _ = operate(refused, &[INFO], &[]);
        u64::from(diagnosis::last().is_some())
    };
    check_eq!(ctx.spawn(body, 0)?.join()?, 0, "a fresh thread");
    Ok(())
}

fn abi_g13_missing_right(ctx: &Ctx) -> Verdict {
    let weak = ctx.derive(ctx.memory(1)?, Rights::W | Rights::GRANT)?;
    diagnosis::enable(true);
    check_eq!(weak.info(), Err(op(ErrorNumber::Perm, 0)));
    let found = last()?;
    check_eq!(found.error, op(ErrorNumber::Perm, 0));
    check_eq!((found.slot, found.kind), (weak.slot(), Some(Kind::Memory)));
    check_eq!((found.held, found.missing), (Rights::W | Rights::GRANT, Rights::R));
    check_eq!((found.call, found.operation), (Some(Code::Call), 0x501));
    let text = alloc::format!("{found}");
    check!(text.contains("missing R"), "{text}");
    Ok(())
}

fn abi_g13_empty_slot(ctx: &Ctx) -> Verdict {
    diagnosis::enable(true);
    let empty = ctx.slot()?;
    let missing = ipc::send(empty, Tag::new(7, 0), [0; 4], Timeout::ZERO);
    check_eq!(missing, Err(sent(ErrorNumber::NotExistent)));
    let found = last()?;
    check_eq!(found.error, sent(ErrorNumber::NotExistent));
    check_eq!((found.slot, found.kind, found.held), (empty, None, Rights::empty()));
    check_eq!(found.call, Some(Code::Send));
    Ok(())
}

fn abi_g13_item_at_fault(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    let weak = ctx.derive(ctx.thread, Rights::R)?;
    diagnosis::enable(true);
    check_eq!(gate.bind(weak, 0x40), Err(op(ErrorNumber::Perm, 64)));
    let found = last()?;
    check_eq!((found.slot, found.kind), (weak.slot(), Some(Kind::Thread)));
    check_eq!((found.held, found.missing), (Rights::R, Rights::S));
    let items = [Item::all(ctx.log.slot())];
    check_eq!(operate(gate.slot(), &[0x401, 0], &items).is_err(), true);
    let found = last()?;
    check_eq!((found.slot, found.kind), (ctx.log.slot(), Some(Kind::Log)));
    check_eq!(found.missing, Rights::empty());
    Ok(())
}

fn abi_g13_success_leaves_it_alone(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    diagnosis::enable(true);
    check_eq!(diagnosis::last(), None);
    gate.info()?;
    operate(gate.slot(), &[INFO], &[])?;
    check_eq!(diagnosis::last(), None);
    check_eq!(operate(gate.slot(), &[0], &[]).is_err(), true);
    check!(last()?.error.number == ErrorNumber::NoSys);
    diagnosis::enable(false);
    check_eq!(operate(gate.slot(), &[0], &[]).is_err(), true);
    check_eq!(diagnosis::last(), None, "switched off");
    Ok(())
}

fn abi_g13_only_the_thread_that_asked(ctx: &Ctx) -> Verdict {
    diagnosis::enable(true);
    let body: Body = |_| {
        let _ = ipc::send(Slot::NULL, Tag::new(7, 0), [0; 4], Timeout::ZERO);
        u64::from(diagnosis::last().is_some())
    };
    let partner = ctx.spawn(body, 0)?;
    check_eq!(partner.join()?, 0);
    check_eq!(diagnosis::last(), None);
    Ok(())
}
