//! Signals, interrupts, faults, and giving way.

use postern_runtime::syscall::stub::client::{self, Timed};
use postern_runtime::syscall::stub::server::REPORT;
use postern_runtime::syscall::{
    Code, DeliveryKind, Notification, PortWidth, Tag, Timeout, abi, ipc,
};
use postern_runtime::time::time_stamp;

use super::{Bench, Row};
use crate::failure::Failure;
use crate::measure::{Figures, SAMPLES};
use crate::partner::{LABEL, Partner, Role};
use crate::scope::Scope;

pub const ROWS: &[Row] = &[
    Row::new("notify", notify),
    Row::new("fault", fault),
    Row::new("irq", irq),
    Row::new("yield", give_way),
];

/// To be measured after all others.
pub const LAST: &[Row] = &[Row::new("fpu-switch", switch_fpu)];

/// A more urgent partner that sends the caller what its clock says after each
/// signal.
struct Reporter {
    notification: Notification,
    _partner: Partner,
}

impl Reporter {
    fn start(bench: &Bench<'_>, scope: &mut Scope) -> Result<Self, Failure> {
        let factory = bench.boot.factory;
        let notification = scope.create(|slot| factory.create_notification(slot))?;
        let gate =
            scope.create(|slot| factory.create_bound_gate(slot, bench.boot.thread, LABEL))?;
        let role = Role {
            gate: Some(gate),
            is_urgent: true,
            before: &|thread| notification.bind(thread),
            ..Role::new("report")
        };
        let partner = Partner::start(bench, role)?;
        Ok(Self { notification, _partner: partner })
    }

    /// The reading that was sent; `None` if none was.
    fn reading(&self) -> Result<Option<u64>, Failure> {
        match ipc::receive(Timeout::ZERO) {
            Ok(delivery) if delivery.tag == REPORT && delivery.label & !3 == LABEL => {
                Ok(Some(delivery.words[0]))
            }
            Ok(_) => Err(Failure::WrongAnswer),
            Err(error) if error.number == abi::ErrorNumber::Timeout => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// From before the signal to the first instruction after the wait.
fn notify(bench: &Bench<'_>) -> Result<Figures, Failure> {
    let mut scope = Scope::default();
    let reporter = Reporter::start(bench, &mut scope)?;
    bench.meter.stub(|| {
        let timed = client::signal(reporter.notification, 1);
        let end = reporter.reading()?.ok_or(Failure::NoEvent)?;
        Ok(Timed { end, ..timed })
    })
}

/// From one answer of a fault handler to the next fault that it receives: the
/// resumed thread, in another task, executes the faulting instruction again at
/// once. That is as long as from the instruction to its re-execution, because
/// both are one whole turn.
fn fault(bench: &Bench<'_>) -> Result<Figures, Failure> {
    const PAGE_FAULT: u64 = 14;
    let mut scope = Scope::default();
    let create = |slot| bench.boot.factory.create_bound_gate(slot, bench.boot.thread, LABEL);
    let gate = scope.create(create)?;
    let role = Role { before: &|thread| thread.set_fault_gate(Some(gate)), ..Role::new("fault") };
    let _partner = Partner::start(bench, role)?;
    let is_fault = |delivery: ipc::Delivery| {
        delivery.kind == DeliveryKind::Call
            && delivery.tag.protocol() == abi::tag::protocol::FAULT
            && delivery.words[0] == PAGE_FAULT
    };
    let first = ipc::receive(Timeout::NEVER)?;
    let second = ipc::reply_receive(0, Tag::default(), [0; 4], Timeout::NEVER)?;
    if !is_fault(first) || !is_fault(second) || first.words != second.words {
        return Err(Failure::WrongAnswer);
    }
    bench.meter.stub(|| Ok(client::ipc(Code::ReplyReceive, 0, Tag::default())))
}

/// From the caller to another task of the same priority, and back.
fn give_way(bench: &Bench<'_>) -> Result<Figures, Failure> {
    let _partner = Partner::start(bench, Role::new("yield"))?;
    bench.meter.stub(|| Ok(client::short(Code::Yield)))
}

/// The same with floating-point registers in use on both sides. The caller has
/// them from then on, so nothing else is to be measured after it.
fn switch_fpu(bench: &Bench<'_>) -> Result<Figures, Failure> {
    let _partner = Partner::start(bench, Role::new("fpu"))?;
    client::use_fpu();
    bench.meter.stub(|| Ok(client::short(Code::Yield)))
}

/// The first channel of the timer that every PC has.
mod timer {
    /// Its interrupt line, as the I/O APIC numbers it.
    pub const LINE: u32 = 2;
    pub const COMMAND: u16 = 0x43;
    pub const CHANNEL: u16 = 0x40;
    /// Both bytes of the count, then one interrupt at its end.
    pub const ONCE: u32 = 0x30;
    /// The same, but over and over: as firmware leaves it.
    pub const PERIODIC: u32 = 0x34;
    /// Ticks of 838 ns until the interrupt: enough to be waiting for it, and of
    /// so many lengths that it comes at any place in the loop.
    pub const COUNTS: core::ops::Range<u32> = 60..97;
}

/// From the last clock reading of a loop to the first of the handler, in
/// another task. The loop's own instructions after that reading are counted,
/// nothing is subtracted.
fn irq(bench: &Bench<'_>) -> Result<Figures, Failure> {
    /// How long to wait for one interrupt, and how often.
    const PATIENCE: u64 = 10_000_000;
    const TRIES: usize = 100;
    let mut scope = Scope::default();
    let reporter = Reporter::start(bench, &mut scope)?;
    let irq = bench.boot.irq(timer::LINE).ok_or(Failure::NoEvent)?;
    let port = |port, value| bench.boot.io_ports.write(port, PortWidth::Byte, value);
    irq.bind(reporter.notification, 1)?;
    let gap = bench.meter.gap();
    let (mut counts, mut round) = (timer::COUNTS.cycle(), 0);
    let figures = bench.meter.samples(SAMPLES, 0, || {
        for count in counts.by_ref().take(TRIES) {
            port(timer::COMMAND, timer::ONCE)?;
            port(timer::CHANNEL, count & 0xff)?;
            port(timer::CHANNEL, count >> 8)?;
            // Not earlier: for a debugger the time until the interrupt is short.
            bench.meter.mark(&mut round, SAMPLES);
            let deadline = time_stamp() + PATIENCE;
            loop {
                let last = client::spin(gap, deadline);
                match (last, reporter.reading()?) {
                    // Without counted time other things interrupt the loop, too.
                    (Some(_), None) => {}
                    (Some(last), Some(first)) if last < first => {
                        irq.acknowledge()?;
                        return Ok(first - last);
                    }
                    // It came too late, or before the loop.
                    _ => break,
                }
            }
            irq.acknowledge()?;
        }
        Err(Failure::NoEvent)
    });
    irq.unbind()?;
    port(timer::COMMAND, timer::PERIODIC)?;
    port(timer::CHANNEL, 0)?;
    port(timer::CHANNEL, 0)?;
    figures
}
