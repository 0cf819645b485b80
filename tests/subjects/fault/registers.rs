//! Registers of threads that do not run: looked at, and set.

use postern_tests::bare::call::pushing_entry;
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{ErrorNumber, Registers, Rights, control};
use postern_tests::{Body, Ctx, Verdict, board, check, check_eq, op, tests};

tests! {
    fault_g06_registers_of_a_stopped_thread,
    fault_g06_registers_of_a_new_thread,
    fault_g06_registers_of_a_running_thread,
    fault_g06_set_registers_are_checked,
    fault_g06_set_flags_are_masked,
    fault_g06_registers_need_rights,
}

/// Counts until word 1 is set.
fn spin(_: u64) -> u64 {
    while board::get(1) == 0 {
        board::add(0, 1);
    }
    3
}

fn fault_g06_registers_of_a_stopped_thread(ctx: &Ctx) -> Verdict {
    let partner = ctx.spawn_at(50, spin, 0)?;
    check!(ctx.wait_until(|| board::get(0) > 0), "it never ran");
    partner.thread().stop()?;
    let registers = partner.thread().registers()?;
    check!((0x40_0000..0x80_0000).contains(&registers.rip), "rip {:#x}", registers.rip);
    let stack = partner.stack_top() - partner.stack_bytes()..partner.stack_top();
    check!(stack.contains(&registers.rsp), "rsp {:#x}", registers.rsp);
    check_eq!(registers.rflags & 0x3000, 0, "IOPL");
    // The same ones again: it does not notice. (Of the flags, those that are
    // not the user's are not kept.)
    partner.thread().set_registers(&registers)?;
    let again = Registers { rflags: registers.rflags, ..partner.thread().registers()? };
    check_eq!(again, registers);
    partner.thread().resume()?;
    board::set(1, 1);
    check_eq!(partner.join()?, 3);
    // One that has exited by a system call is no secret, either.
    let body: Body = |_| {
        let _ = control::sleep_until(u64::MAX);
        0
    };
    let sleeper = ctx.spawn(body, 0)?;
    sleeper.await_state(ctx, ThreadState::Sleeping)?;
    sleeper.thread().stop()?;
    let registers = sleeper.thread().registers()?;
    // rbx, rcx, rbp, r11 to r15 of a thread that left by a call.
    for index in [1, 2, 6, 10, 11, 12, 13, 14] {
        check_eq!(registers.general[index], 0, "general register {index}");
    }
    Ok(())
}

fn fault_g06_registers_of_a_new_thread(ctx: &Ctx) -> Verdict {
    // What is set before the start is there after it.
    const TOP: usize = 100;
    let partner = ctx.helper(postern_tests::protocol::PRIORITY)?;
    let thread = partner.thread();
    let mut registers = thread.registers()?;
    check_eq!((registers.rip, registers.rsp, registers.general), (0, 0, [0; 15]));
    for (index, register) in registers.general.iter_mut().enumerate() {
        *register = 0x1_0000 + index as u64;
    }
    thread.set_registers(&registers)?;
    thread.start(pushing_entry(), board::ADDRESS + 8 * TOP as u64, 0x1111, 0x2222)?;
    check_eq!(partner.join()?, 0);
    let pushed: [u64; 15] = core::array::from_fn(|index| board::get(TOP - 1 - index));
    let mut expected = registers.general;
    (expected[4], expected[5]) = (0x2222, 0x1111);
    check_eq!(pushed, expected, "rax rbx rcx rdx rsi rdi rbp r8-r15");
    Ok(())
}

fn fault_g06_registers_of_a_running_thread(ctx: &Ctx) -> Verdict {
    let busy = op(ErrorNumber::Busy, 0);
    check_eq!(ctx.thread.registers(), Err(busy), "one's own");
    check_eq!(ctx.thread.set_registers(&Registers::default()), Err(busy));
    let partner = ctx.spawn_at(50, spin, 0)?;
    check_eq!(partner.thread().registers(), Err(busy), "one that is ready");
    let body: Body = |_| postern_tests::tell(control::sleep_until(u64::MAX));
    let sleeper = ctx.spawn(body, 0)?;
    sleeper.await_state(ctx, ThreadState::Sleeping)?;
    check_eq!(sleeper.thread().set_registers(&Registers::default()), Err(busy), "asleep");
    Ok(())
}

fn fault_g06_set_registers_are_checked(ctx: &Ctx) -> Verdict {
    let thread = ctx.helper(100)?;
    let good = thread.thread().registers()?;
    for address in [0x7fff_ffff_f000, 0x8000_0000_0000, 0xffff_8000_0000_0000, u64::MAX] {
        let cases = [
            (Registers { rip: address, ..good }, 1),
            (Registers { rsp: address, ..good }, 2),
            (Registers { fs_base: address, ..good }, 19),
        ];
        for (registers, argument) in cases {
            let set = thread.thread().set_registers(&registers);
            check_eq!(set, Err(op(ErrorNumber::Inval, argument)), "{address:#x}");
        }
    }
    check_eq!(thread.thread().registers()?, good);
    Ok(())
}

fn fault_g06_set_flags_are_masked(ctx: &Ctx) -> Verdict {
    // IOPL, NT, VM, VIF: not the user's. IF stays on whatever is written.
    const TOP: usize = 100;
    let partner = ctx.spawn_at(50, spin, 0)?;
    check!(ctx.wait_until(|| board::get(0) > 0), "it never ran");
    let thread = partner.thread();
    thread.stop()?;
    let mut registers = thread.registers()?;
    registers.rflags = !0x100;
    registers.rip = pushing_entry();
    registers.rsp = board::ADDRESS + 8 * TOP as u64;
    thread.set_registers(&registers)?;
    thread.resume()?;
    check_eq!(partner.join()?, 0);
    let flags = board::get(TOP - 16);
    check_eq!(flags & !0x24_0cd5, 0x202, "flags {flags:#x}");
    Ok(())
}

fn fault_g06_registers_need_rights(ctx: &Ctx) -> Verdict {
    let thread = ctx.new_thread()?;
    let weak = ctx.derive(thread, Rights::all() - Rights::R)?;
    check_eq!(weak.registers(), Err(op(ErrorNumber::Perm, 0)));
    let weak = ctx.derive(thread, Rights::all() - Rights::W)?;
    let registers = weak.registers()?;
    check_eq!(weak.set_registers(&registers), Err(op(ErrorNumber::Perm, 0)));
    Ok(())
}
