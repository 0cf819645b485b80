//! What tests of fault handlers begin with: a thread whose faults go to a gate,
//! and the handler's side of one fault.

use crate::protocol::PRIORITY;
use crate::syscall::abi::tag::protocol::FAULT;
use crate::syscall::{Delivery, DeliveryKind, ErrorCode, Gate, Tag, ipc};
use crate::{Ctx, Failure, Partner, check_eq, patience};

/// A thread of this task, not started, whose faults go to `gate`.
///
/// # Errors
/// What the kernel refused.
pub fn handled(ctx: &Ctx, gate: Gate) -> Result<Partner, Failure> {
    let partner = ctx.helper(PRIORITY)?;
    partner.thread().set_fault_gate(Some(gate))?;
    Ok(partner)
}

/// The next fault.
///
/// # Errors
/// What came instead.
pub fn fault() -> Result<Delivery, Failure> {
    let delivery = ipc::receive(patience())?;
    check_eq!(delivery.tag, Tag::new(FAULT, 4));
    check_eq!(delivery.kind, DeliveryKind::Call);
    Ok(delivery)
}

/// Answers the last fault.
///
/// # Errors
/// Those of a reply.
pub fn answer(what: u64) -> Result<(), ErrorCode> {
    ipc::reply(0, Tag::new(0, 1), [what, 0, 0, 0])
}
