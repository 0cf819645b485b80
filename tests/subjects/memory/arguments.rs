//! Arguments that are refused, each with the error that names it.

use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::abi::address::{USER_END, USER_START, UTCB_START, WINDOW_START};
use postern_tests::syscall::abi::op::task::{MAP, UNMAP};
use postern_tests::syscall::{
    Capability, ErrorCode, ErrorNumber, Item, Memory, Rights, Slot, operate,
};
use postern_tests::{Ctx, Verdict, check_eq, op, tests};

use crate::{AT, DATA, unmapped};

tests! {
    memory_g05_create_sizes,
    memory_g05_map_addresses,
    memory_g05_map_offsets_and_lengths,
    memory_g05_map_rights,
    memory_g05_map_items,
    memory_g05_overlap_is_refused,
    memory_g05_unmap_arguments,
    memory_g05_info_and_physical_address,
}

const fn inval(argument: u8) -> Result<(), ErrorCode> {
    Err(op(ErrorNumber::Inval, argument))
}

fn memory_g05_create_sizes(ctx: &Ctx) -> Verdict {
    let (slot, before) = (ctx.slot()?, ctx.charged()?);
    for bytes in [0, 1, 8, PAGE - 1, PAGE + 1, u64::MAX, 1 << 63 | 1] {
        check_eq!(ctx.factory.create_memory(slot, bytes).map(drop), inval(3), "{bytes} bytes");
    }
    for bytes in [1 << 40, 1 << 47] {
        let made = ctx.factory.create_memory(slot, bytes).map(drop);
        check_eq!(made, Err(op(ErrorNumber::NoMem, 0)), "{bytes} bytes");
    }
    for bytes in [1 << 63, u64::MAX - PAGE + 1] {
        let made = ctx.factory.create_memory(slot, bytes).map(drop);
        check_eq!(made.is_err(), true, "{bytes} bytes");
    }
    check_eq!(ctx.charged()?, before);
    ctx.factory.create_memory(slot, PAGE)?;
    Ok(())
}

fn memory_g05_map_addresses(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(1)?;
    let wrong = [
        0,
        PAGE,
        USER_START - PAGE,
        AT + 1,
        AT + 8,
        AT + PAGE / 2,
        USER_END,
        UTCB_START,
        UTCB_START + 5 * PAGE,
        0x7f_c000_0000,
        WINDOW_START,
        WINDOW_START + PAGE,
        0x100_0000_0000,
        0x7fff_ffff_e000,
        0x8000_0000_0000,
        0xffff_8000_0000_0000,
        u64::MAX - PAGE + 1,
        u64::MAX,
    ];
    for address in wrong {
        check_eq!(ctx.task.map(memory, address, 0, PAGE, DATA), inval(1), "at {address:#x}");
    }
    check_eq!(memory.info()?.mappings, 0);
    Ok(())
}

fn memory_g05_map_offsets_and_lengths(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(4)?;
    for bytes in [0, 1, PAGE + 1, 5 * PAGE, 1 << 40, u64::MAX, u64::MAX - PAGE + 1] {
        check_eq!(ctx.task.map(memory, AT, 0, bytes, DATA), inval(3), "{bytes:#x} bytes");
    }
    for offset in [1, PAGE - 1, 4 * PAGE, 5 * PAGE, u64::MAX, u64::MAX - PAGE + 1, 1 << 63] {
        check_eq!(ctx.task.map(memory, AT, offset, PAGE, DATA), inval(2), "offset {offset:#x}");
    }
    check_eq!(ctx.task.map(memory, AT, 3 * PAGE, 2 * PAGE, DATA), inval(3), "past the end");
    check_eq!(ctx.task.map(memory, USER_END - PAGE, 0, 2 * PAGE, DATA), inval(3));
    check_eq!(memory.info()?.mappings, 0);
    ctx.task.map(memory, AT, 3 * PAGE, PAGE, DATA)?;
    Ok(())
}

fn memory_g05_map_rights(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(1)?;
    let item = [Item::all(memory.slot())];
    let wrong = [0, 1, 64, 65, 69, 4 | 2, 4 | 8, 4 | 16, 4 | 32, 4 | 128, 256 | 4, u64::MAX];
    for rights in wrong {
        let words = [MAP, AT, 0, PAGE, rights];
        let mapped = operate(ctx.task.slot(), &words, &item).map(drop);
        check_eq!(mapped, inval(4), "rights {rights:#x}");
    }
    for count in 1..5 {
        let words = [MAP, AT, 0, PAGE, 4];
        let mapped = operate(ctx.task.slot(), &words[..count], &item).map(drop);
        check_eq!(mapped, Err(op(ErrorNumber::TooShort, count as u8)), "{count} words");
    }
    check_eq!(memory.info()?.mappings, 0);
    Ok(())
}

fn memory_g05_map_items(ctx: &Ctx) -> Verdict {
    let map = |memory| ctx.task.map(memory, AT, 0, PAGE, Rights::R);
    for slot in [ctx.slot()?, Slot::NULL, ctx.task.slot(), ctx.factory.slot(), ctx.log.slot()] {
        check_eq!(map(Memory::new(slot)), inval(ErrorCode::ITEM), "{slot}");
    }
    let memory = ctx.memory(1)?;
    let copy = ctx.derive(memory, Rights::all())?;
    ctx.task.destroy(memory.slot())?;
    check_eq!(map(copy), inval(ErrorCode::ITEM), "memory that is gone");
    Ok(())
}

fn memory_g05_overlap_is_refused(ctx: &Ctx) -> Verdict {
    let (first, second) = (ctx.memory(4)?, ctx.memory(8)?);
    ctx.task.map(first, AT + 4 * PAGE, 0, 4 * PAGE, DATA)?;
    let before = ctx.charged()?;
    // Pages from and to, of eight at AT + 2.
    for (from, to) in [(4, 8), (2, 5), (7, 10), (5, 6), (2, 10), (4, 5), (7, 8)] {
        let mapped =
            ctx.task.map(second, AT + from * PAGE, 0, (to - from) * PAGE, Rights::R);
        check_eq!(mapped, Err(op(ErrorNumber::Exists, 1)), "pages {from} to {to}");
    }
    check_eq!(ctx.charged()?, before);
    check_eq!(second.info()?.mappings, 0);
    ctx.task.map(second, AT, 0, 4 * PAGE, DATA)?;
    ctx.task.map(second, AT + 8 * PAGE, 0, 4 * PAGE, DATA)?;
    Ok(())
}

fn memory_g05_unmap_arguments(ctx: &Ctx) -> Verdict {
    let unmap = |at, bytes| ctx.task.unmap(at, bytes).map(drop);
    for address in [0, USER_START - PAGE, AT + 1, USER_END, UTCB_START, WINDOW_START, u64::MAX] {
        check_eq!(unmap(address, PAGE), inval(1), "at {address:#x}");
    }
    for bytes in [0, 1, PAGE + 8, u64::MAX, USER_END] {
        check_eq!(unmap(AT, bytes), inval(2), "{bytes:#x} bytes");
    }
    for count in [1, 2] {
        let short = operate(ctx.task.slot(), &[UNMAP, AT, PAGE][..count], &[]).map(drop);
        check_eq!(short, Err(op(ErrorNumber::TooShort, count as u8)));
    }
    let weak = ctx.derive(ctx.task, Rights::all() - Rights::W)?;
    check_eq!(weak.unmap(AT, PAGE), Err(op(ErrorNumber::Perm, 0)));
    // A UTCB cannot be unmapped, so the thread still has one.
    check_eq!(unmap(UTCB_START, 0x4000_0000), inval(1));
    unmapped(ctx, AT)
}

fn memory_g05_info_and_physical_address(ctx: &Ctx) -> Verdict {
    let (one, other) = (ctx.memory(3)?, ctx.memory(1)?);
    check_eq!(one.info()?.bytes, 3 * PAGE);
    let (first, second) = (one.physical_address()?, other.physical_address()?);
    check_eq!((first % PAGE, second % PAGE), (0, 0));
    check_eq!(first != 0 && second != 0, true);
    check_eq!((first..first + 3 * PAGE).contains(&second), false, "{first:#x} and {second:#x}");
    let weak = ctx.derive(one, Rights::all() - Rights::PHYS)?;
    check_eq!(weak.physical_address(), Err(op(ErrorNumber::Perm, 0)));
    check_eq!(weak.info()?.bytes, 3 * PAGE);
    let weak = ctx.derive(one, Rights::all() - Rights::R)?;
    check_eq!(weak.info(), Err(op(ErrorNumber::Perm, 0)));
    Ok(())
}
