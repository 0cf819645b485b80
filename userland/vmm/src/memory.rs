//! The guest's memory: pieces that are made when the guest, or whoever loads
//! it, first uses them.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use postern_runtime::memory::Mapping;
use postern_runtime::syscall::abi::PAGE;
use postern_runtime::syscall::{Memory, Rights, Task};
use postern_runtime::{Error, Explain};
use postern_vm_model::{Given, boot};

/// Bytes of a piece.
pub const PIECE: u64 = 256 * 1024;

/// The guest's memory.
pub struct GuestMemory {
    space: Task,
    bytes: u64,
    pieces: Vec<Option<Mapping>>,
    /// What is there already, and can only be read.
    fixed: Range<u64>,
}

impl GuestMemory {
    /// `bytes` of memory in `space`, none of it there yet.
    pub fn new(space: Task, bytes: u64) -> Self {
        let mut pieces = Vec::new();
        pieces.resize_with(bytes.div_ceil(PIECE) as usize, || None);
        Self { space, bytes, pieces, fixed: 0..0 }
    }

    /// Shows the guest what lies in `range` of `memory` at `at`, read-only; both
    /// begin with a page, `at` with a piece. Without a copy.
    pub fn show(&mut self, at: u64, memory: Memory, range: Range<u64>) -> Result<(), Error> {
        let bytes = (range.end - range.start).next_multiple_of(PAGE);
        if bytes != 0 {
            self.space
                .map(memory, at, range.start, bytes, Rights::R)
                .explain("mapping the ramdisk", "archive")?;
            self.fixed = at..at + bytes.next_multiple_of(PIECE);
        }
        Ok(())
    }

    /// Copies what lies in `range` of `from` to `at`.
    pub fn copy(&mut self, at: u64, from: &Mapping, range: Range<u64>) -> Result<(), Error> {
        let mut buffer = vec![0; PAGE as usize];
        for offset in range.clone().step_by(PAGE as usize) {
            let part = &mut buffer[..(range.end - offset).min(PAGE) as usize];
            from.read(offset, part);
            boot::Memory::write(self, at + (offset - range.start), part)?;
        }
        Ok(())
    }

    /// The piece in which `address` lies, made if it is not there; `None` if
    /// there can be none.
    fn piece(&mut self, address: u64) -> Result<Option<&mut Mapping>, Error> {
        if address >= self.bytes || self.fixed.contains(&address) {
            return Ok(None);
        }
        let index = (address / PIECE) as usize;
        let Some(piece) = self.pieces.get_mut(index) else { return Ok(None) };
        if piece.is_none() {
            let made = Mapping::create(PIECE)?;
            self.space
                .map(
                    made.memory(),
                    address - address % PIECE,
                    0,
                    PIECE,
                    Rights::R | Rights::W | Rights::X,
                )
                .explain("mapping the guest's memory", "factory")?;
            *piece = Some(made);
        }
        Ok(piece.as_mut())
    }

    /// The guest needs memory at `address`.
    pub fn give(&mut self, address: u64) -> Given {
        match self.piece(address) {
            Ok(Some(_)) => Given::Memory,
            Ok(None) => Given::Nothing,
            Err(_) => Given::Exhausted,
        }
    }

    /// Reads what is there already.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> bool {
        let mut at = address;
        for chunk in bytes.iter_mut() {
            let piece = self.pieces.get((at / PIECE) as usize);
            let Some(Some(piece)) = piece else { return false };
            piece.read(at % PIECE, core::slice::from_mut(chunk));
            at = at.wrapping_add(1);
        }
        true
    }
}

impl boot::Memory for GuestMemory {
    type Error = Error;

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), Error> {
        let (mut at, mut rest) = (at, bytes);
        while !rest.is_empty() {
            let room = (PIECE - at % PIECE) as usize;
            let (now, later) = rest.split_at(room.min(rest.len()));
            // The loader keeps inside of the memory.
            let Some(piece) = self.piece(at)? else { return Err(Error::NoAddressSpace) };
            piece.write(at % PIECE, now);
            (at, rest) = (at + now.len() as u64, later);
        }
        Ok(())
    }
}
