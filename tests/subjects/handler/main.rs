//! Fault handlers (row G6) in full, and explained refusals (row G13): who
//! repairs, who gives up, who dies meanwhile.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod death;
mod explain;
mod registers;
mod repair;

use postern_tests::syscall::abi::tag::protocol::FAULT;
use postern_tests::syscall::{Delivery, DeliveryKind, ErrorCode, Gate, Tag, ipc};
use postern_tests::{Ctx, Failure, Partner, check_eq, patience};

postern_tests::subject!(repair, registers, death, explain);

/// A thread of this task, not started, whose faults go to `gate`.
fn handled(ctx: &Ctx, gate: Gate) -> Result<Partner, Failure> {
    let partner = ctx.helper(postern_tests::protocol::PRIORITY)?;
    partner.thread().set_fault_gate(Some(gate))?;
    Ok(partner)
}

/// The next fault.
fn fault() -> Result<Delivery, Failure> {
    let delivery = ipc::receive(patience())?;
    check_eq!(delivery.tag, Tag::new(FAULT, 4));
    check_eq!(delivery.kind, DeliveryKind::Call);
    Ok(delivery)
}

/// Answers the last fault.
fn answer(what: u64) -> Result<(), ErrorCode> {
    ipc::reply(0, Tag::new(0, 1), [what, 0, 0, 0])
}
