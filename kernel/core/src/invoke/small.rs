//! Memory, I/O ports, the scheduler and the log.

use postern_abi::op::{io_port, log, memory, scheduler};
use postern_abi::rights::Kind;
use postern_abi::{ErrorNumber, PAGE, Rights};
use postern_arena::Ref;

use super::{Answer, Request, Result, refuse};
use crate::Kernel;
use crate::cap::NodeId;
use crate::machine::Machine;
use crate::object::{IoPort, Memory, Thread};

/// Bytes that one message can carry from word `first` on.
const fn capacity(first: usize) -> u64 {
    (postern_abi::tag::MAX_WORDS - first) as u64 * 8
}

impl<M: Machine> Kernel<M> {
    pub(super) fn invoke_memory(&mut self, request: &Request<M>, operation: u64) -> Result {
        let gone = refuse(ErrorNumber::NotExistent, 0);
        let reference: Ref<Memory> = request.target.reference();
        let found = self.memories.get(reference).ok_or(gone)?;
        match operation {
            memory::INFO => {
                self.need(request, Rights::R)?;
                let words = [found.frames.bytes(), u64::from(found.mapped), 0, 0];
                Ok(Answer::many(2, words).into())
            }
            memory::PHYS => {
                self.need(request, Rights::PHYS)?;
                Ok(Answer::one(found.frames.first_page() * PAGE).into())
            }
            memory::SPLIT => {
                self.need(request, Rights::D)?;
                let (offset, slot) = (self.word(request, 1)?, self.word(request, 2)?);
                let (size, mapped) = (found.frames.bytes(), found.mapped);
                if !offset.is_multiple_of(PAGE) || offset == 0 || offset >= size {
                    return Err(refuse(ErrorNumber::Inval, 1));
                }
                let at = self.check_empty(request.task, slot, 2)?;
                if mapped > 0 {
                    return Err(refuse(ErrorNumber::Busy, 0));
                }
                self.check_derivable(request.target, 0)?;
                let target = self.split_memory(reference, offset / PAGE)?;
                // Below the capability that was used: whoever can take that
                // back gets the new memory's, too.
                self.install(at, target, request.rights, Some(NodeId::slot(request.slot)));
                Ok(Answer::none().into())
            }
            _ => Err(refuse(ErrorNumber::NoSys, 1)),
        }
    }

    pub(super) fn invoke_io_port(&mut self, request: &Request<M>, operation: u64) -> Result {
        let gone = refuse(ErrorNumber::NotExistent, 0);
        let reference: Ref<IoPort> = request.target.reference();
        let ports = self.ports.get(reference).ok_or(gone)?;
        let (first, count) = (u64::from(ports.first), u64::from(ports.count));
        let check = |port: u64, width: u64| {
            let inside = port >= first && width <= count && port - first <= count - width;
            if inside { Ok(port as u16) } else { Err(refuse(ErrorNumber::Inval, 1)) }
        };
        match operation {
            io_port::IN | io_port::OUT => {
                let writes = operation == io_port::OUT;
                self.need(request, if writes { Rights::W } else { Rights::R })?;
                let (port, width) = (self.word(request, 1)?, self.word(request, 2)?);
                if !matches!(width, 1 | 2 | 4) {
                    return Err(refuse(ErrorNumber::Inval, 2));
                }
                let port = check(port, width)?;
                if writes {
                    let value = self.word(request, 3)?;
                    self.machine.port_out(port, width as u8, value as u32);
                    return Ok(Answer::none().into());
                }
                Ok(Answer::one(u64::from(self.machine.port_in(port, width as u8))).into())
            }
            io_port::OUT_BYTES => {
                self.need(request, Rights::W)?;
                let (port, bytes) = (self.word(request, 1)?, self.word(request, 2)?);
                let port = check(port, 1)?;
                if bytes > capacity(4) {
                    return Err(refuse(ErrorNumber::Inval, 2));
                }
                let last = 4 + (bytes as usize).div_ceil(8);
                if last > request.tag.words().max(4) {
                    return Err(refuse(ErrorNumber::TooShort, request.tag.words() as u8));
                }
                for index in 0..bytes as usize {
                    let word = self.word(request, 4 + index / 8)?;
                    let byte = word >> (index % 8 * 8) & 0xff;
                    self.machine.port_out(port, 1, byte as u32);
                }
                Ok(Answer::none().into())
            }
            io_port::INFO => {
                self.need(request, Rights::R)?;
                Ok(Answer::many(2, [first, count, 0, 0]).into())
            }
            _ => Err(refuse(ErrorNumber::NoSys, 1)),
        }
    }

    pub(super) fn invoke_scheduler(&mut self, request: &Request<M>, operation: u64) -> Result {
        match operation {
            scheduler::SET_PRIORITY => {
                self.need(request, Rights::W)?;
                let priority = self.word(request, 1)?;
                let item = self.item_of(request, 0, Kind::Thread, Rights::W)?;
                if priority > 255 {
                    return Err(refuse(ErrorNumber::Inval, 1));
                }
                if priority > u64::from(request.target.index) {
                    return Err(refuse(ErrorNumber::Perm, 1));
                }
                let reference: Ref<Thread<M>> = item.target.reference();
                let gone = refuse(ErrorNumber::NotExistent, postern_abi::ErrorCode::ITEM);
                let thread = self.threads.get_mut(reference).ok_or(gone)?;
                let priority = priority as u8;
                thread.priority = priority;
                // What a caller lends stays on top until its call ends.
                let lent = thread.caller.and_then(|caller| {
                    self.threads.get(caller.thread).filter(|thread| thread.awaits(caller.number))
                });
                let effective = lent.map_or(priority, |caller| caller.effective.max(priority));
                self.set_effective(reference, effective);
                Ok(Answer::none().into())
            }
            scheduler::INFO => {
                self.need(request, Rights::R)?;
                let anew = request.tag.words() > 1 && self.word(request, 1)? != 0;
                if anew {
                    self.need(request, Rights::W)?;
                }
                let now = self.machine.now();
                self.account(now);
                let (longest, cause) = self.clock.longest;
                if anew {
                    self.clock.longest = Default::default();
                }
                self.put(request, 4, cause.bits());
                let words = [now, self.clock.idle, self.clock.switches, longest];
                self.put(request, 5, self.clock.timers);
                self.put(request, 6, self.clock.halts);
                Ok(Answer::many(7, words).into())
            }
            scheduler::SET_PATHS => {
                self.need(request, Rights::D)?;
                let on = self.word(request, 1)?;
                if on > 1 {
                    return Err(refuse(ErrorNumber::Inval, 1));
                }
                self.set_fast_paths(on == 1);
                Ok(Answer::none().into())
            }
            scheduler::TRACE => {
                self.need(request, Rights::D)?;
                if request.tag.items() == 0 {
                    return Ok(Answer::one(self.stop_trace()).into());
                }
                let item = self.item_of(request, 0, Kind::Memory, Rights::W)?;
                if !self.start_trace(item.target.reference()) {
                    return Err(refuse(ErrorNumber::Busy, 0));
                }
                Ok(Answer::none().into())
            }
            scheduler::SET_SLICE => {
                self.need(request, Rights::W)?;
                let slice = self.word(request, 1)?;
                let item = self.item_of(request, 0, Kind::Thread, Rights::W)?;
                if !(scheduler::SLICE_MIN..=scheduler::SLICE_MAX).contains(&slice) {
                    return Err(refuse(ErrorNumber::Inval, 1));
                }
                if let Some(thread) = self.threads.get_mut(item.target.reference()) {
                    // A slice under way ends when it would have ended.
                    thread.slice = slice;
                }
                Ok(Answer::none().into())
            }
            _ => Err(refuse(ErrorNumber::NoSys, 1)),
        }
    }

    pub(super) fn invoke_log(&mut self, request: &Request<M>, operation: u64) -> Result {
        if operation != log::WRITE {
            return Err(refuse(ErrorNumber::NoSys, 1));
        }
        self.need(request, Rights::W)?;
        let bytes = self.word(request, 1)?;
        if bytes > capacity(2) {
            return Err(refuse(ErrorNumber::Inval, 1));
        }
        let mut text = [0; capacity(2) as usize];
        let text = &mut text[..bytes as usize];
        for (index, chunk) in text.chunks_mut(8).enumerate() {
            let word = self.word(request, 2 + index)?.to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        self.machine.log(text);
        Ok(Answer::none().into())
    }
}
