//! Notifications, and the interrupts that signal them.
//!
//! The kernel serves no device. It keeps a line quiet that nobody would serve:
//! one that is not bound, and a level-triggered one until it is acknowledged, so
//! that no device can keep the CPU busy with interrupts. What comes meanwhile is
//! not lost: a level stays, and an edge is remembered.

use postern_abi::op::{irq, notification};
use postern_abi::rights::Kind;
use postern_abi::stretch::{Cause, Entry};
use postern_abi::trace::Event;
use postern_abi::{ErrorNumber, Rights};
use postern_arena::Ref;

use super::{Answer, Request, Result, refuse};
use crate::Kernel;
use crate::machine::{Machine, Trigger};
use crate::object::{Irq, Notification, Thread};

impl<M: Machine> Kernel<M> {
    pub(super) fn invoke_notification(&mut self, request: &Request<M>, operation: u64) -> Result {
        let gone = refuse(ErrorNumber::NotExistent, 0);
        let reference: Ref<Notification<M>> = request.target.reference();
        match operation {
            notification::SIGNAL => {
                self.need(request, Rights::W)?;
                let bits = self.word(request, 1)?;
                self.signal(reference, bits);
                Ok(Answer::none().into())
            }
            notification::BIND => {
                self.need(request, Rights::S)?;
                let thread: Option<Ref<Thread<M>>> = if request.tag.items() > 0 {
                    let item = self.item_of(request, 0, Kind::Thread, Rights::S)?;
                    Some(item.target.reference())
                } else {
                    None
                };
                let taken = thread.and_then(|thread| self.threads.get(thread)?.notification);
                if taken.is_some_and(|other| other != reference) {
                    return Err(refuse(ErrorNumber::Busy, postern_abi::ErrorCode::ITEM));
                }
                let found = self.notifications.get_mut(reference).ok_or(gone)?;
                let before = core::mem::replace(&mut found.bound, thread);
                if let Some(before) = before.and_then(|thread| self.threads.get_mut(thread)) {
                    before.notification = None;
                }
                if let Some(now) = thread.and_then(|thread| self.threads.get_mut(thread)) {
                    now.notification = Some(reference);
                    now.pending = true;
                }
                // Signals that came before are delivered now.
                self.signal(reference, 0);
                Ok(Answer::none().into())
            }
            notification::POLL => {
                self.need(request, Rights::R)?;
                let found = self.notifications.get_mut(reference).ok_or(gone)?;
                Ok(Answer::one(core::mem::take(&mut found.bits)).into())
            }
            _ => Err(refuse(ErrorNumber::NoSys, 1)),
        }
    }

    pub(super) fn invoke_irq(&mut self, request: &Request<M>, operation: u64) -> Result {
        let line = request.target.index;
        match operation {
            irq::BIND => {
                self.need(request, Rights::S)?;
                let bound = if request.tag.items() > 0 {
                    let bits = self.word(request, 1)?;
                    let item = self.item_of(request, 0, Kind::Notification, Rights::W)?;
                    if bits == 0 {
                        return Err(refuse(ErrorNumber::Inval, 1));
                    }
                    Some((item.target.reference(), bits))
                } else {
                    None
                };
                let irq = self.irq(line)?;
                *irq = Irq { header: irq.header, bound, count: irq.count, ..Irq::UNBOUND };
                self.set_line(line);
            }
            irq::ACK => {
                self.need(request, Rights::W)?;
                if core::mem::take(&mut self.irq(line)?.pending) {
                    self.set_line(line);
                }
            }
            irq::MASK => {
                self.need(request, Rights::W)?;
                let masked = self.word(request, 1)? != 0;
                let irq = self.irq(line)?;
                irq.masked = masked;
                if !masked && core::mem::take(&mut irq.missed) {
                    self.signal_line(line);
                }
                self.set_line(line);
            }
            irq::CONFIGURE => {
                self.need(request, Rights::S)?;
                let (level, low) = (self.word(request, 1)?, self.word(request, 2)?);
                for (argument, value) in [(1, level), (2, low)] {
                    if value > 1 {
                        return Err(refuse(ErrorNumber::Inval, argument));
                    }
                }
                if self.irq(line)?.bound.is_some() {
                    return Err(refuse(ErrorNumber::Busy, 0));
                }
                self.machine.set_trigger(line, Trigger { level: level == 1, low: low == 1 });
            }
            irq::INFO => {
                self.need(request, Rights::R)?;
                let Trigger { level, low } = self.machine.trigger(line);
                let irq = self.irq(line)?;
                let flags = [
                    (irq::LEVEL, level),
                    (irq::LOW, low),
                    (irq::BOUND, irq.bound.is_some()),
                    (irq::MASKED, irq.masked),
                    (irq::PENDING, irq.pending),
                ];
                let flags = flags.into_iter().filter(|flag| flag.1).map(|flag| flag.0).sum();
                return Ok(Answer::many(3, [flags, irq.count, u64::from(line), 0]).into());
            }
            _ => return Err(refuse(ErrorNumber::NoSys, 1)),
        }
        Ok(Answer::none().into())
    }

    fn irq(&mut self, line: u32) -> core::result::Result<&mut Irq<M>, postern_abi::ErrorCode> {
        self.irqs.get_mut(line as usize).ok_or(refuse(ErrorNumber::NotExistent, 0))
    }

    /// A device interrupt on `line`. A level-triggered line was masked by the
    /// machine.
    pub fn interrupt(&mut self, line: u32) {
        self.entered(Cause::new(Entry::Interrupt, line));
        self.trace(Event::Interrupt, self.current, [line.into(), 0]);
        let level = self.machine.trigger(line).level;
        let Some(irq) = self.irqs.get_mut(line as usize) else { return };
        irq.count += 1;
        if !irq.masked {
            return self.signal_line(line);
        }
        // A level comes again when it is let.
        irq.missed = !level;
        self.set_line(line);
    }

    /// Signals what is bound to `line`. Without anybody the line becomes quiet.
    fn signal_line(&mut self, line: u32) {
        let Some(irq) = self.irqs.get_mut(line as usize) else { return };
        let bound = irq.bound.filter(|bound| self.notifications.get(bound.0).is_some());
        irq.bound = bound;
        irq.pending = bound.is_some();
        match bound {
            Some((notification, bits)) => self.signal(notification, bits),
            None => self.machine.mask(line, true),
        }
    }

    /// Lets a line interrupt, or keeps it quiet, as its state says. One that is
    /// triggered by edges is left open while its holder wants no interrupts:
    /// the interrupt controller would forget an edge.
    fn set_line(&mut self, line: u32) {
        let level = self.machine.trigger(line).level;
        let Some(irq) = self.irqs.get(line as usize) else { return };
        let quiet = if level { irq.pending || irq.masked } else { irq.missed };
        self.machine.mask(line, quiet || irq.bound.is_none());
    }
}
