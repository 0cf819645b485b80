//! I/O ports: x86 port input and output through the kernel.

use abi::op::io_port::{IN, INFO, OUT, OUT_BYTES};
use abi::utcb::{FIRST_WORD, WORDS};
use postern_abi as abi;

use crate::message::pack;
use crate::slot::handle;
use crate::{Result, operate};

handle! {
    /// A range of x86 I/O ports. A port outside of the range is `Inval`.
    IoPort
}

/// Width of one port access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PortWidth {
    /// 8 bits.
    Byte = 1,
    /// 16 bits.
    Word = 2,
    /// 32 bits.
    Long = 4,
}

/// Which ports a capability covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoPortInfo {
    /// First port.
    pub first: u16,
    /// Number of ports, up to 65536.
    pub count: u32,
}

impl IoPort {
    /// Most bytes of one [`IoPort::write_bytes`].
    pub const MAX_BYTES: usize = (WORDS - FIRST_WORD) * 8;

    /// Reads `port`. Needs R.
    ///
    /// # Errors
    /// `Perm` without R; `Inval` outside of the range (argument 1).
    pub fn read(self, port: u16, width: PortWidth) -> Result<u32> {
        let delivery = operate(self.0, &[IN, port.into(), width as u64], &[])?;
        Ok(delivery.words[0] as u32)
    }

    /// Writes `value` to `port`. Needs W.
    ///
    /// # Errors
    /// `Perm` without W; `Inval` outside of the range (argument 1).
    pub fn write(self, port: u16, width: PortWidth, value: u32) -> Result<()> {
        operate(self.0, &[OUT, port.into(), width as u64, value.into()], &[]).map(drop)
    }

    /// Writes bytes, one after the other, to the 8-bit `port`; how many were
    /// written (at most [`IoPort::MAX_BYTES`]). Needs W.
    ///
    /// # Errors
    /// `Perm` without W; `Inval` outside of the range (argument 1).
    pub fn write_bytes(self, port: u16, bytes: &[u8]) -> Result<usize> {
        let bytes = &bytes[..bytes.len().min(Self::MAX_BYTES)];
        let mut words = [0; WORDS];
        words[..3].copy_from_slice(&[OUT_BYTES, port.into(), bytes.len() as u64]);
        for (word, chunk) in words[FIRST_WORD..].iter_mut().zip(bytes.chunks(8)) {
            *word = pack(chunk);
        }
        operate(self.0, &words[..FIRST_WORD + bytes.len().div_ceil(8)], &[])?;
        Ok(bytes.len())
    }

    /// Which ports the capability covers. Needs R.
    ///
    /// # Errors
    /// `Perm` without R.
    pub fn info(self) -> Result<IoPortInfo> {
        let [first, count, ..] = operate(self.0, &[INFO], &[])?.words;
        Ok(IoPortInfo { first: first as u16, count: count as u32 })
    }
}
