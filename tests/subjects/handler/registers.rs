//! Registers of a thread that waits for its handler: what can be set, what is
//! checked, what is never given.

use postern_tests::bare::call::pushing_entry;
use postern_tests::bare::privileged::{flags_after_asking_for_more, undefined};
use postern_tests::syscall::abi::op::fault::{GIVE_UP, RESUME};
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{ErrorNumber, Registers, Rights};
use postern_tests::{Body, Ctx, Verdict, board, check, check_eq, op, tests};

use crate::{answer, fault, handled};

tests! {
    handler_g06_every_register_is_set,
    handler_g06_bad_registers_change_nothing,
    handler_g06_flags_stay_the_users_after_resuming,
    handler_g06_registers_by_state,
}

/// Word of the board below which a stack lies.
const TOP: usize = 100;

fn handler_g06_every_register_is_set(ctx: &Ctx) -> Verdict {
    let mut partner = handled(ctx, ctx.gate(0x40)?)?;
    partner.start(undefined, 0)?;
    fault()?;
    let mut registers = partner.thread().registers()?;
    for (index, register) in registers.general.iter_mut().enumerate() {
        *register = 0xabcd_0000_0000_0000 | index as u64;
    }
    registers.rip = pushing_entry();
    registers.rsp = board::ADDRESS + 8 * TOP as u64;
    registers.rflags = 0x202 | 0x8d5;
    partner.thread().set_registers(&registers)?;
    let again = partner.thread().registers()?;
    check_eq!(
        (again.rip, again.rsp, again.general),
        (registers.rip, registers.rsp, registers.general)
    );
    answer(RESUME)?;
    check_eq!(partner.join()?, 0);
    let pushed: [u64; 15] = core::array::from_fn(|index| board::get(TOP - 1 - index));
    check_eq!(pushed, registers.general);
    check_eq!(board::get(TOP - 16) & 0x8d5, 0x8d5, "the flags of arithmetic");
    Ok(())
}

fn handler_g06_bad_registers_change_nothing(ctx: &Ctx) -> Verdict {
    let mut partner = handled(ctx, ctx.gate(0x40)?)?;
    partner.start(undefined, 0)?;
    fault()?;
    let good = partner.thread().registers()?;
    let bad = [0x7fff_ffff_f000, 0x7fff_ffff_ffff, 0x8000_0000_0000, 0xffff_8000_0000_0000, !0];
    for address in bad {
        let cases = [
            (Registers { rip: address, ..good }, 1),
            (Registers { rsp: address, ..good }, 2),
            (Registers { fs_base: address, ..good }, 19),
        ];
        for (mut registers, argument) in cases {
            registers.general = [7; 15];
            let set = partner.thread().set_registers(&registers);
            check_eq!(set, Err(op(ErrorNumber::Inval, argument)), "{address:#x}");
            check_eq!(partner.thread().registers()?, good, "{address:#x}");
        }
    }
    let weak = ctx.derive(partner.thread(), Rights::all() - Rights::W)?;
    check_eq!(weak.set_registers(&good), Err(op(ErrorNumber::Perm, 0)));
    let weak = ctx.derive(partner.thread(), Rights::all() - Rights::R)?;
    check_eq!(weak.registers(), Err(op(ErrorNumber::Perm, 0)));
    // It is where it was, and goes on from there.
    partner.thread().set_registers(&Registers { rip: good.rip + 2, ..good })?;
    answer(RESUME)?;
    check_eq!(partner.join()?, 0);
    Ok(())
}

fn handler_g06_flags_stay_the_users_after_resuming(ctx: &Ctx) -> Verdict {
    // Everything but the trap flag is asked for: IOPL 3, IF off, NT, VM, VIF.
    for asked in [!0x100, 0x3000, 0x0002_0000, 0x0018_4000, 0] {
        let mut partner = handled(ctx, ctx.gate(0x40)?)?;
        partner.start(undefined, 0)?;
        fault()?;
        let mut registers = partner.thread().registers()?;
        registers.rflags = asked;
        registers.rip = pushing_entry();
        registers.rsp = board::ADDRESS + 8 * TOP as u64;
        partner.thread().set_registers(&registers)?;
        answer(RESUME)?;
        check_eq!(partner.join()?, 0);
        let flags = board::get(TOP - 16);
        check_eq!(flags & !0x24_0cd5, 0x202, "{asked:#x} became {flags:#x}");
    }
    // What it can do itself afterwards is no more than before.
    let mut partner = handled(ctx, ctx.gate(0x40)?)?;
    let body: Body = |_| {
        undefined(0);
        flags_after_asking_for_more()
    };
    partner.start(body, 0)?;
    fault()?;
    let registers = partner.thread().registers()?;
    let asked = Registers { rip: registers.rip + 2, rflags: 0x3000, ..registers };
    partner.thread().set_registers(&asked)?;
    answer(RESUME)?;
    check_eq!(partner.join()? & 0x3200, 0x200, "IOPL and IF");
    Ok(())
}

fn handler_g06_registers_by_state(ctx: &Ctx) -> Verdict {
    let busy = op(ErrorNumber::Busy, 0);
    let mut partner = handled(ctx, ctx.gate(0x40)?)?;
    partner.thread().registers()?;
    partner.start(undefined, 0)?;
    // It waits as a sender before this thread receives: that counts, too.
    partner.await_state(ctx, ThreadState::Faulting)?;
    let early = partner.thread().registers()?;
    fault()?;
    check_eq!(partner.thread().registers()?, early);
    check_eq!(partner.thread().stop(), Err(busy));
    check_eq!(partner.thread().resume().is_err(), true);
    partner.thread().cancel()?;
    check_eq!(partner.info()?.state, Some(ThreadState::Faulting), "it cannot be cancelled");
    answer(GIVE_UP)?;
    partner.expect_fault(6, None)?;
    // For a post-mortem they can still be read; it is never resumed.
    check_eq!(partner.thread().registers()?.rip, early.rip);
    check!(partner.thread().resume().is_err());
    Ok(())
}
