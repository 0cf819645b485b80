//! Interrupt lines by edge and by level: acknowledged, masked, unbound, bound
//! again, and never served. The second serial port's line is triggered in both
//! ways in turn; that of power management by level, as ACPI says.

use postern_tests::protocol::PRIORITY;
use postern_tests::syscall::abi::op::irq::{CONFIGURE, INFO};
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{
    Capability, DeliveryKind, ErrorNumber, IrqInfo, Notification, PortWidth, Rights, Slot, Tag,
    Timeout, Trigger, clock, control, ipc, operate,
};
use postern_tests::{
    Body, Ctx, Verdict, board, check, check_eq, op, patience, received, tell, tests,
};

use crate::uart::Uart;

tests! {
    g07_edge_interrupts_once_for_each_edge,
    g07_level_is_quiet_until_acknowledged,
    g07_level_that_nobody_serves_does_not_hang,
    g07_level_that_is_acknowledged_and_not_served,
    g07_level_while_masked,
    g07_edge_while_masked,
    g07_unbound_while_pending,
    g07_bound_to_another_while_pending,
    g07_notification_destroyed_while_pending,
    g07_trigger_errors,
    g07_triggers_as_acpi_says,
    g07_level_of_power_management,
    g07_interrupt_before_waiting_senders,
    g07_interrupt_preempts_for_a_more_urgent_driver,
    g07_serial_input_by_interrupts,
}

/// Waits for signals that must not come.
fn nothing_comes(notification: Notification) -> Verdict {
    let waited = notification.wait(Timeout::from_ns(2_000_000));
    check_eq!(waited, Err(received(ErrorNumber::Timeout)));
    Ok(())
}

fn g07_edge_interrupts_once_for_each_edge(ctx: &Ctx) -> Verdict {
    let uart = Uart::new(ctx, Trigger::Edge)?;
    let notification = ctx.notification()?;
    uart.irq.bind(notification, 2)?;
    let before = uart.irq.info()?.count;
    for round in 1..=20 {
        uart.want()?;
        check_eq!(notification.wait(patience())?, 2, "edge {round}");
        // The line stays high: no further edge, with or without acknowledging.
        nothing_comes(notification)?;
        if round % 2 == 0 {
            uart.irq.acknowledge()?;
        }
        check_eq!(uart.irq.info()?.is_pending, round % 2 == 1);
        check_eq!(uart.irq.info()?.count, before + round);
        uart.serve()?;
    }
    uart.end()
}

fn g07_level_is_quiet_until_acknowledged(ctx: &Ctx) -> Verdict {
    let uart = Uart::new(ctx, Trigger::Level)?;
    let notification = ctx.notification()?;
    uart.irq.bind(notification, 4)?;
    let before = uart.irq.info()?.count;
    for round in 1..=20 {
        uart.want()?;
        check_eq!(notification.wait(patience())?, 4, "round {round}");
        nothing_comes(notification)?;
        check!(uart.irq.info()?.is_pending);
        uart.serve()?;
        uart.irq.acknowledge()?;
        nothing_comes(notification)?;
        check_eq!(uart.irq.info()?.count, before + round, "interrupts after round {round}");
    }
    uart.end()
}

fn g07_level_that_nobody_serves_does_not_hang(ctx: &Ctx) -> Verdict {
    let uart = Uart::new(ctx, Trigger::Level)?;
    let notification = ctx.notification()?;
    uart.irq.bind(notification, 1)?;
    let before = uart.irq.info()?.count;
    uart.want()?;
    // The line wants to interrupt at every instruction of this.
    let until = clock::now() + 20_000_000;
    let mut rounds = 0_u64;
    while clock::now() < until {
        rounds += 1;
    }
    check!(rounds > 1000, "only {rounds} rounds in 20 ms");
    check_eq!(uart.irq.info()?.count, before + 1, "interrupts");
    check_eq!(notification.poll()?, 1);
    uart.end()
}

fn g07_level_that_is_acknowledged_and_not_served(ctx: &Ctx) -> Verdict {
    let uart = Uart::new(ctx, Trigger::Level)?;
    let notification = ctx.notification()?;
    uart.irq.bind(notification, 1)?;
    let before = uart.irq.info()?.count;
    uart.want()?;
    for round in 0..1000 {
        check_eq!(notification.wait(patience())?, 1, "round {round}");
        uart.irq.acknowledge()?;
    }
    let came = uart.irq.info()?.count - before;
    check_eq!(came, 1001, "one interrupt for each time that it was let");
    uart.end()
}

fn g07_level_while_masked(ctx: &Ctx) -> Verdict {
    let uart = Uart::new(ctx, Trigger::Level)?;
    let notification = ctx.notification()?;
    uart.irq.bind(notification, 1)?;
    uart.irq.mask(true)?;
    uart.want()?;
    nothing_comes(notification)?;
    let IrqInfo { is_masked, is_pending, .. } = uart.irq.info()?;
    check_eq!((is_masked, is_pending), (true, false));
    uart.irq.mask(false)?;
    check_eq!(notification.wait(patience())?, 1, "it still wants something");
    // Acknowledging does not take a mask away, nor a mask an acknowledgement.
    uart.irq.mask(true)?;
    uart.irq.acknowledge()?;
    nothing_comes(notification)?;
    uart.irq.mask(false)?;
    check_eq!(notification.wait(patience())?, 1);
    uart.irq.mask(true)?;
    uart.irq.mask(false)?;
    nothing_comes(notification)?;
    // What does not want anything any more is not told.
    uart.irq.mask(true)?;
    uart.irq.acknowledge()?;
    uart.serve()?;
    uart.irq.mask(false)?;
    nothing_comes(notification)?;
    uart.end()
}

fn g07_edge_while_masked(ctx: &Ctx) -> Verdict {
    let uart = Uart::new(ctx, Trigger::Edge)?;
    let notification = ctx.notification()?;
    uart.irq.bind(notification, 1)?;
    let before = uart.irq.info()?.count;
    for round in 1..=5 {
        uart.irq.mask(true)?;
        uart.want()?;
        nothing_comes(notification)?;
        uart.irq.mask(false)?;
        check_eq!(notification.wait(patience())?, 1, "an edge is not forgotten, round {round}");
        nothing_comes(notification)?;
        uart.serve()?;
        check_eq!(uart.irq.info()?.count, before + round);
    }
    // Many edges while it is masked are one.
    uart.irq.mask(true)?;
    for _ in 0..10 {
        uart.want()?;
        uart.serve()?;
    }
    uart.irq.mask(false)?;
    check_eq!(notification.wait(patience())?, 1);
    nothing_comes(notification)?;
    uart.end()
}

fn g07_unbound_while_pending(ctx: &Ctx) -> Verdict {
    for trigger in [Trigger::Level, Trigger::Edge] {
        let uart = Uart::new(ctx, trigger)?;
        let notification = ctx.notification()?;
        uart.irq.bind(notification, 1)?;
        uart.want()?;
        check!(ctx.wait_until(|| uart.irq.info().is_ok_and(|info| info.is_pending)));
        uart.irq.unbind()?;
        let info = uart.irq.info()?;
        check_eq!((info.is_bound, info.is_pending), (false, false));
        // Signalled before, so it is there; what comes later is not.
        check_eq!(notification.poll()?, 1);
        uart.irq.acknowledge()?;
        uart.irq.mask(false)?;
        uart.serve()?;
        uart.want()?;
        nothing_comes(notification)?;
        check_eq!(uart.irq.info()?.count, info.count, "an unbound line interrupted");
        uart.end()?;
    }
    Ok(())
}

fn g07_bound_to_another_while_pending(ctx: &Ctx) -> Verdict {
    let uart = Uart::new(ctx, Trigger::Level)?;
    let (one, other) = (ctx.notification()?, ctx.notification()?);
    uart.irq.bind(one, 1)?;
    uart.want()?;
    check_eq!(one.wait(patience())?, 1);
    // Nobody has acknowledged: the new one finds the device as it is.
    uart.irq.bind(other, 8)?;
    check_eq!(other.wait(patience())?, 8);
    check_eq!(one.poll()?, 0);
    // The same one with other bits.
    uart.irq.bind(other, 16)?;
    check_eq!(other.wait(patience())?, 16);
    uart.end()
}

fn g07_notification_destroyed_while_pending(ctx: &Ctx) -> Verdict {
    for trigger in [Trigger::Level, Trigger::Edge] {
        let uart = Uart::new(ctx, trigger)?;
        let notification = ctx.notification()?;
        uart.irq.bind(notification, 1)?;
        uart.want()?;
        check_eq!(notification.wait(patience())?, 1);
        ctx.task.destroy(notification.slot())?;
        let before = uart.irq.info()?.count;
        uart.irq.acknowledge()?;
        uart.serve()?;
        uart.want()?;
        control::sleep_until(clock::now() + 2_000_000)?;
        // It was let once more; then the kernel saw that nobody is there.
        let info = uart.irq.info()?;
        check!(info.count <= before + 2, "{} interrupts of nobody", info.count - before);
        check_eq!((info.is_bound, info.is_pending), (false, false));
        let other = ctx.notification()?;
        uart.serve()?;
        uart.irq.bind(other, 2)?;
        uart.want()?;
        check_eq!(other.wait(patience())?, 2);
        uart.end()?;
    }
    Ok(())
}

fn g07_trigger_errors(ctx: &Ctx) -> Verdict {
    let uart = Uart::new(ctx, Trigger::Edge)?;
    let without = |right| ctx.derive(uart.irq, Rights::all() - right);
    let perm = op(ErrorNumber::Perm, 0);
    check_eq!(without(Rights::S)?.configure(Trigger::Level, false), Err(perm));
    check_eq!(without(Rights::R)?.info().map(drop), Err(perm));
    let configure = |words: &[u64]| operate(uart.irq.slot(), words, &[]).map(drop);
    check_eq!(configure(&[CONFIGURE]), Err(op(ErrorNumber::TooShort, 1)));
    check_eq!(configure(&[CONFIGURE, 1]), Err(op(ErrorNumber::TooShort, 2)));
    check_eq!(configure(&[CONFIGURE, 2, 0]), Err(op(ErrorNumber::Inval, 1)));
    check_eq!(configure(&[CONFIGURE, 0, 2]), Err(op(ErrorNumber::Inval, 2)));
    let notification = ctx.notification()?;
    uart.irq.bind(notification, 1)?;
    check_eq!(configure(&[CONFIGURE, 1, 0]), Err(op(ErrorNumber::Busy, 0)));
    let info = uart.irq.info()?;
    check_eq!((info.trigger, info.active_low), (Trigger::Edge, false), "after refusals");
    uart.irq.unbind()?;
    uart.irq.configure(Trigger::Level, true)?;
    let info = uart.irq.info()?;
    check_eq!((info.trigger, info.active_low), (Trigger::Level, true));
    check_eq!(operate(uart.irq.slot(), &[INFO], &[])?.words[2], 3, "its line");
    uart.end()
}

fn g07_triggers_as_acpi_says(ctx: &Ctx) -> Verdict {
    // QEMU's firmware says that the line of power management is by level and
    // active high, which neither ISA nor PCI lines are by default.
    let info = ctx.power_irq.info()?;
    check_eq!((info.line, info.trigger, info.active_low), (9, Trigger::Level, false));
    let info = ctx.irq.info()?;
    check_eq!((info.line, info.trigger, info.active_low), (8, Trigger::Edge, false));
    Ok(())
}

fn g07_level_of_power_management(ctx: &Ctx) -> Verdict {
    /// Status (a 1 clears it), what interrupts; bit 0 of both the timer, whose
    /// highest bit changes every 2.3 s.
    const STATUS: u16 = 0x600;
    const ENABLE: u16 = 0x602;
    let write = |port, value| ctx.power.write(port, PortWidth::Word, value);
    let notification = ctx.notification()?;
    write(ENABLE, 0)?;
    write(STATUS, 1)?;
    ctx.power_irq.unbind()?;
    ctx.power_irq.bind(notification, 0x40)?;
    let before = ctx.power_irq.info()?.count;
    write(ENABLE, 1)?;
    for round in 1..=2 {
        check_eq!(notification.wait(patience())?, 0x40, "round {round}");
        check_eq!(ctx.power.read(STATUS, PortWidth::Word)? & 1, 1, "the timer has changed");
        nothing_comes(notification)?;
        write(STATUS, 1)?;
        ctx.power_irq.acknowledge()?;
        check_eq!(ctx.power_irq.info()?.count, before + round);
    }
    write(ENABLE, 0)?;
    ctx.power_irq.unbind()?;
    Ok(())
}

fn g07_interrupt_before_waiting_senders(ctx: &Ctx) -> Verdict {
    let uart = Uart::new(ctx, Trigger::Edge)?;
    let (notification, gate) = (ctx.notification()?, ctx.gate(0x40)?);
    notification.bind(ctx.thread)?;
    uart.irq.bind(notification, 1)?;
    let body: Body =
        |slot| tell(ipc::send(Slot::new(slot as u32), Tag::new(7, 0), [0; 4], Timeout::NEVER));
    // More urgent than everybody, and first.
    let sender = ctx.spawn_at(PRIORITY + 10, body, gate.slot().word())?;
    sender.await_state(ctx, ThreadState::Sending)?;
    uart.want()?;
    check!(ctx.wait_until(|| uart.irq.info().is_ok_and(|info| info.is_pending)));
    check_eq!(ipc::receive(patience())?.kind, DeliveryKind::Notification);
    check_eq!(ipc::receive(patience())?.kind, DeliveryKind::Message);
    check_eq!(sender.join()?, 0);
    uart.end()
}

fn g07_interrupt_preempts_for_a_more_urgent_driver(ctx: &Ctx) -> Verdict {
    let uart = Uart::new(ctx, Trigger::Edge)?;
    let notification = ctx.notification()?;
    let body: Body = |slot| {
        let waited = Notification::new(Slot::new(slot as u32)).wait(patience());
        board::set(0, 1);
        waited.unwrap_or_else(|error| tell::<()>(Err(error)))
    };
    let driver = ctx.spawn_at(PRIORITY + 1, body, notification.slot().word())?;
    driver.await_state(ctx, ThreadState::Receiving)?;
    uart.irq.bind(notification, 32)?;
    check_eq!(board::get(0), 0);
    uart.want()?;
    // No system call from here on: only the interrupt lets the driver in.
    let until = clock::now() + 5_000_000;
    while board::get(0) == 0 && clock::now() < until {}
    check_eq!(board::get(0), 1, "the driver has run");
    check_eq!(driver.join()?, 32);
    uart.end()
}

fn g07_serial_input_by_interrupts(ctx: &Ctx) -> Verdict {
    // A driver as the console is one: it reads only when it was interrupted.
    let notification = ctx.notification()?;
    notification.bind(ctx.thread)?;
    for trigger in [Trigger::Edge, Trigger::Level] {
        let uart = Uart::new(ctx, trigger)?;
        uart.irq.bind(notification, 1)?;
        uart.listen()?;
        let before = uart.irq.info()?.count;
        for byte in 0..=200 {
            uart.send(byte)?;
            let delivery = ipc::receive(patience())?;
            check_eq!((delivery.kind, delivery.words[0]), (DeliveryKind::Notification, 1));
            uart.irq.acknowledge()?;
            check_eq!(uart.take()?, Some(byte));
            check_eq!(uart.take()?, None);
        }
        let came = uart.irq.info()?.count - before;
        // By level, acknowledging before reading lets one more in each time.
        check!((201..=402).contains(&came), "{came} interrupts for 201 bytes");
        uart.end()?;
    }
    Ok(())
}
