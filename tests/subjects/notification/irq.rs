//! Interrupts: those of the real-time clock, and what is refused.

use postern_tests::syscall::abi::op::irq::{BIND, MASK};
use postern_tests::syscall::{
    Capability, DeliveryKind, ErrorCode, ErrorNumber, Item, PortWidth, Rights, Slot, Timeout, ipc,
    operate,
};
use postern_tests::{Ctx, Failure, Verdict, check, check_eq, fail, op, patience, received, tests};

tests! {
    g07_interrupt_arrives,
    g07_masked_interrupt_waits,
    g07_interrupt_of_nobody,
    g07_irq_rights_and_arguments,
    gate_c61_interrupts_come_first,
}

/// Registers of the clock; bit 7 keeps NMIs away, as firmware expects.
mod register {
    pub const A: u32 = 0x8a;
    pub const B: u32 = 0x8b;
    pub const C: u32 = 0x8c;
}

/// In register B: interrupt periodically.
const PERIODIC: u32 = 0x40;

fn read(ctx: &Ctx, register: u32) -> Result<u32, Failure> {
    ctx.ports.write(0x70, PortWidth::Byte, register)?;
    Ok(ctx.ports.read(0x71, PortWidth::Byte)?)
}

fn write(ctx: &Ctx, register: u32, value: u32) -> Verdict {
    ctx.ports.write(0x70, PortWidth::Byte, register)?;
    Ok(ctx.ports.write(0x71, PortWidth::Byte, value)?)
}

/// Switches the periodic interrupt (every 8 ms) on or off, and takes what is
/// pending in the device.
fn periodic(ctx: &Ctx, is_on: bool) -> Verdict {
    let rest = read(ctx, register::A)? & 0xf0;
    write(ctx, register::A, rest | 9)?;
    let rest = read(ctx, register::B)? & !PERIODIC;
    write(ctx, register::B, if is_on { rest | PERIODIC } else { rest })?;
    read(ctx, register::C)?;
    Ok(())
}

fn g07_interrupt_arrives(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    notification.bind(ctx.thread)?;
    ctx.irq.bind(notification, 0x100)?;
    periodic(ctx, true)?;
    for round in 0..5 {
        let delivery = match ipc::receive(patience()) {
            Ok(delivery) => delivery,
            Err(error) => fail!(
                "no interrupt in round {round}: {error}; bits {:#x}, register C {:#x}",
                notification.poll()?,
                read(ctx, register::C)?
            ),
        };
        check_eq!(delivery.kind, DeliveryKind::Notification, "round {round}");
        check_eq!(delivery.words[0], 0x100, "round {round}");
        read(ctx, register::C)?;
        ctx.irq.acknowledge()?;
    }
    periodic(ctx, false)?;
    ctx.irq.unbind()?;
    Ok(())
}

fn g07_masked_interrupt_waits(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    notification.bind(ctx.thread)?;
    ctx.irq.bind(notification, 1)?;
    ctx.irq.mask(true)?;
    periodic(ctx, true)?;
    let nothing = ipc::receive(Timeout::from_ns(40_000_000)).map(drop);
    check_eq!(nothing, Err(received(ErrorNumber::Timeout)), "while it is masked");
    ctx.irq.mask(false)?;
    read(ctx, register::C)?;
    check_eq!(ipc::receive(patience())?.words[0], 1);
    ctx.irq.mask(true)?;
    periodic(ctx, false)?;
    ctx.irq.unbind()?;
    Ok(())
}

fn g07_interrupt_of_nobody(ctx: &Ctx) -> Verdict {
    // Its notification goes while interrupts come.
    let notification = ctx.notification()?;
    ctx.irq.bind(notification, 1)?;
    periodic(ctx, true)?;
    let came = ctx.wait_until(|| notification.poll().is_ok_and(|bits| bits == 1));
    check!(came, "no interrupt");
    ctx.task.destroy(notification.slot())?;
    read(ctx, register::C)?;
    ctx.irq.acknowledge()?;
    let nothing = ipc::receive(Timeout::from_ns(30_000_000)).map(drop);
    check_eq!(nothing, Err(received(ErrorNumber::Timeout)));
    // Another one can have it.
    let other = ctx.notification()?;
    ctx.irq.bind(other, 2)?;
    read(ctx, register::C)?;
    check!(ctx.wait_until(|| other.poll().is_ok_and(|bits| bits == 2)), "no interrupt");
    periodic(ctx, false)?;
    ctx.irq.unbind()?;
    Ok(())
}

fn g07_irq_rights_and_arguments(ctx: &Ctx) -> Verdict {
    const ITEM: u8 = ErrorCode::ITEM;
    let notification = ctx.notification()?;
    let without = |right| ctx.derive(ctx.irq, Rights::all() - right);
    let perm = Err(op(ErrorNumber::Perm, 0));
    check_eq!(without(Rights::S)?.bind(notification, 1), perm);
    check_eq!(without(Rights::S)?.unbind(), perm);
    check_eq!(without(Rights::W)?.acknowledge(), perm);
    check_eq!(without(Rights::W)?.mask(true), perm);
    let bind =
        |words: &[u64], item: Slot| operate(ctx.irq.slot(), words, &[Item::all(item)]).map(drop);
    for slot in [ctx.slot()?, Slot::NULL, ctx.thread.slot(), ctx.irq.slot()] {
        check_eq!(bind(&[BIND, 1], slot), Err(op(ErrorNumber::Inval, ITEM)), "{slot}");
    }
    let weak = ctx.derive(notification, Rights::all() - Rights::W)?;
    check_eq!(bind(&[BIND, 1], weak.slot()), Err(op(ErrorNumber::Perm, ITEM)));
    check_eq!(bind(&[BIND, 0], notification.slot()), Err(op(ErrorNumber::Inval, 1)), "no bit");
    check_eq!(bind(&[BIND], notification.slot()), Err(op(ErrorNumber::TooShort, 1)));
    let short = operate(ctx.irq.slot(), &[MASK], &[]).map(drop);
    check_eq!(short, Err(op(ErrorNumber::TooShort, 1)));
    // Acknowledging what did not happen is no harm.
    ctx.irq.acknowledge()?;
    ctx.irq.unbind()?;
    ctx.irq.mask(true)?;
    Ok(())
}

fn gate_c61_interrupts_come_first(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    notification.bind(ctx.thread)?;
    let gate = ctx.gate(0x40)?;
    let body = |slot| {
        let tag = postern_tests::syscall::Tag::new(7, 1);
        postern_tests::tell(ipc::send(Slot::new(slot as u32), tag, [5, 0, 0, 0], Timeout::NEVER))
    };
    // More urgent than anything, and there long before the interrupt.
    let sender = ctx.spawn_at(200, body, gate.slot().word())?;
    sender.await_state(ctx, postern_tests::syscall::abi::op::thread::ThreadState::Sending)?;
    ctx.irq.bind(notification, 2)?;
    periodic(ctx, true)?;
    // It comes while this thread is not receiving.
    postern_tests::runtime::time::sleep(core::time::Duration::from_millis(20));
    periodic(ctx, false)?;
    ctx.irq.unbind()?;
    let first = ipc::receive(patience())?;
    check_eq!((first.kind, first.words[0]), (DeliveryKind::Notification, 2));
    let second = ipc::receive(patience())?;
    check_eq!((second.kind, second.words[0]), (DeliveryKind::Message, 5));
    check_eq!(sender.join()?, 0);
    Ok(())
}
