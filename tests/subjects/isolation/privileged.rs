//! Instructions that belong to the kernel.

use postern_tests::bare::call::{Registers, null_with_stack, spin_with_stack, trap_into_null};
use postern_tests::bare::memory::{read, write};
use postern_tests::bare::privileged::{
    CONTROL_REGISTERS, CPU_STATE, Group, HIDDEN, MODEL_SPECIFIC, PORTS, SWITCHED_OFF, TABLES,
    VECTORS, flags_after_asking_for_more, has_umip, jump_last_page, jump_non_canonical, vmrun,
    xsetbv,
};
use postern_tests::syscall::abi::op::reason;
use postern_tests::syscall::abi::{ABI_VERSION, PAGE};
use postern_tests::syscall::{Code, Rights, control};
use postern_tests::{Body, Ctx, Verdict, check, check_eq, skip, tests};

use crate::vector;

tests! {
    isolation_privileged_cpu_state,
    isolation_privileged_ports,
    isolation_privileged_control_registers,
    isolation_privileged_model_specific_registers,
    isolation_privileged_tables,
    isolation_hardware_vectors_cannot_be_called,
    isolation_segment_bases_belong_to_the_kernel,
    isolation_extended_state_is_switched_off,
    isolation_virtual_machines_are_refused,
    isolation_tables_are_hidden,
    isolation_iopl_and_interrupt_flag_stay,
    isolation_syscall_with_a_bad_stack_pointer,
    isolation_interrupts_with_a_bad_stack_pointer,
    isolation_syscall_at_the_end_of_a_page,
    isolation_jump_to_nowhere,
    isolation_trap_flag_across_a_syscall,
    isolation_null_segment_in_fs_and_gs,
}

/// Each instruction of the group must be the exception `vector`, in a thread of
/// its own.
fn refused(ctx: &Ctx, group: Group, vector: u8) -> Verdict {
    for (name, body) in group {
        let end = ctx.spawn(*body, 0)?.end()?;
        check!(
            end.reason == reason::EXCEPTION + u64::from(vector),
            "{name}: {} ({:#x})",
            reason::name(end.reason),
            end.reason
        );
    }
    Ok(())
}

fn isolation_privileged_cpu_state(ctx: &Ctx) -> Verdict {
    refused(ctx, CPU_STATE, vector::PROTECTION)
}

fn isolation_privileged_ports(ctx: &Ctx) -> Verdict {
    refused(ctx, PORTS, vector::PROTECTION)
}

fn isolation_privileged_control_registers(ctx: &Ctx) -> Verdict {
    refused(ctx, CONTROL_REGISTERS, vector::PROTECTION)
}

fn isolation_privileged_model_specific_registers(ctx: &Ctx) -> Verdict {
    refused(ctx, MODEL_SPECIFIC, vector::PROTECTION)
}

fn isolation_privileged_tables(ctx: &Ctx) -> Verdict {
    refused(ctx, TABLES, vector::PROTECTION)
}

fn isolation_hardware_vectors_cannot_be_called(ctx: &Ctx) -> Verdict {
    refused(ctx, VECTORS, vector::PROTECTION)
}

fn isolation_segment_bases_belong_to_the_kernel(ctx: &Ctx) -> Verdict {
    refused(ctx, SWITCHED_OFF, vector::UNDEFINED)
}

fn isolation_extended_state_is_switched_off(ctx: &Ctx) -> Verdict {
    // Undefined while CR4.OSXSAVE is off, forbidden once it is on.
    let end = ctx.spawn(xsetbv, 0)?.end()?;
    let vector = end.reason.wrapping_sub(reason::EXCEPTION);
    check!(vector == 6 || vector == 13, "xsetbv: {} ({:#x})", reason::name(end.reason), end.reason);
    Ok(())
}

fn isolation_virtual_machines_are_refused(ctx: &Ctx) -> Verdict {
    let end = ctx.spawn(vmrun, 0)?.end()?;
    let vector = end.reason.wrapping_sub(reason::EXCEPTION);
    check!(vector == 6 || vector == 13, "{} ({:#x})", reason::name(end.reason), end.reason);
    Ok(())
}

fn isolation_tables_are_hidden(ctx: &Ctx) -> Verdict {
    if !has_umip() {
        skip!("this CPU has no UMIP");
    }
    refused(ctx, HIDDEN, vector::PROTECTION)
}

fn isolation_iopl_and_interrupt_flag_stay(_ctx: &Ctx) -> Verdict {
    let flags = flags_after_asking_for_more();
    check_eq!(flags & 0x3000, 0, "IOPL");
    check_eq!(flags & 0x200, 0x200, "IF");
    Ok(())
}

/// Stack pointers that no program has: null, the kernel's, no address at all.
const STACKS: [u64; 5] = [0, 8, 0xffff_b000_0000_8000, 0x8000_0000_0000, 0xffff_ffff_ffff_ffff];

fn isolation_syscall_with_a_bad_stack_pointer(_ctx: &Ctx) -> Verdict {
    for stack in STACKS {
        let out = null_with_stack(stack);
        check_eq!(out, u64::from(ABI_VERSION), "null with rsp {stack:#x}");
    }
    Ok(())
}

fn isolation_interrupts_with_a_bad_stack_pointer(ctx: &Ctx) -> Verdict {
    // Two rivals of the same priority: the timer has to interrupt them.
    let body: Body = |stack| {
        let start = control::clock();
        while control::clock() - start < 40_000_000 {
            spin_with_stack(stack, 100_000);
        }
        7
    };
    for pair in STACKS.chunks(2) {
        let partners = [ctx.spawn(body, pair[0])?, ctx.spawn(body, pair[pair.len() - 1])?];
        for partner in &partners {
            check_eq!(partner.join()?, 7);
        }
    }
    Ok(())
}

fn isolation_syscall_at_the_end_of_a_page(ctx: &Ctx) -> Verdict {
    // The call returns to the page behind, where nothing is.
    const AT: u64 = 0xc_0000_0000;
    let memory = ctx.memory(1)?;
    ctx.task.map(memory, AT, 0, PAGE, Rights::R | Rights::W)?;
    // `mov eax, NULL` and `syscall` are the last 7 bytes.
    let [a, b, c, d, ..] = Code::Null.plain().to_le_bytes();
    write(AT + PAGE - 8, u64::from_le_bytes([0x90, 0xb8, a, b, c, d, 0x0f, 0x05]));
    check_eq!(read(AT), 0);
    ctx.task.unmap(AT, PAGE)?;
    ctx.task.map(memory, AT, 0, PAGE, Rights::R | Rights::X)?;
    let jump: Body = |address| postern_tests::bare::memory::execute(address);
    let partner = ctx.spawn(jump, AT + PAGE - 8)?;
    let end = partner.expect_fault(vector::PAGE, Some(AT + PAGE))?;
    check_eq!(end.instruction, AT + PAGE);
    Ok(())
}

fn isolation_jump_to_nowhere(ctx: &Ctx) -> Verdict {
    for (name, body) in
        [("non-canonical", jump_non_canonical as Body), ("the last page", jump_last_page)]
    {
        let end = ctx.spawn(body, 0)?.end()?;
        let vector = end.reason.wrapping_sub(reason::EXCEPTION);
        check!(
            vector == 13 || vector == 14,
            "{name}: {} ({:#x})",
            reason::name(end.reason),
            end.reason
        );
    }
    Ok(())
}

fn isolation_trap_flag_across_a_syscall(ctx: &Ctx) -> Verdict {
    // Whether the trap is taken in user code depends on the CPU; the kernel
    // must come through and keep running others.
    let end = ctx.spawn(trap_into_null, 0)?.end()?;
    let trapped = end.reason == reason::EXCEPTION + u64::from(vector::DEBUG);
    let returned = end.reason == reason::EXIT && end.detail == u64::from(ABI_VERSION);
    check!(
        trapped || returned,
        "{} ({:#x}), {:#x}",
        reason::name(end.reason),
        end.reason,
        end.detail
    );
    let after = Registers::patterned(Code::Null.plain()).call();
    check_eq!(after.flags, 0x202);
    Ok(())
}

fn isolation_null_segment_in_fs_and_gs(ctx: &Ctx) -> Verdict {
    // A null selector zeroes the base; the kernel restores FS at the latest
    // when the thread is switched to, and does not depend on GS.
    let body: Body = |_| {
        postern_tests::bare::call::forget_segments();
        postern_tests::syscall::utcb::address()
    };
    let end = ctx.spawn(body, 0)?.end()?;
    let is_utcb = end.reason == reason::EXIT && end.detail >> 39 == 0 && end.detail != 0;
    let faulted = end.reason == reason::EXCEPTION + 14;
    check!(
        is_utcb || faulted,
        "{} ({:#x}), {:#x}",
        reason::name(end.reason),
        end.reason,
        end.detail
    );
    Ok(())
}
