//! The side of a debugger in GDB's remote protocol, as far as stepping needs
//! it, spoken with QEMU over a Unix socket.
//!
//! Must never wait without a bound: a machine that does not stop is an error.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// How long QEMU may take to make its socket.
const START: Duration = Duration::from_secs(10);
/// How long the machine may run until it stops by itself.
const RUN: Duration = Duration::from_secs(180);

/// Registers by their number in the protocol.
#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Register {
    Rdi = 5,
    Rip = 16,
    Cr3 = 29,
}

/// A stopped machine.
pub struct Remote {
    stream: UnixStream,
    /// What arrived and is not read yet.
    held: Vec<u8>,
}

impl Remote {
    /// Attaches to a machine that waits at `socket`.
    pub fn attach(socket: &Path) -> Result<Self> {
        let deadline = Instant::now() + START;
        let stream = loop {
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > deadline => {
                    return Err(error).context("QEMU does not wait for a debugger");
                }
                Err(_) => sleep(Duration::from_millis(20)),
            }
        };
        stream.set_read_timeout(Some(RUN)).context("cannot set a timeout")?;
        let mut remote = Self { stream, held: Vec::new() };
        remote.ask("qSupported:xmlRegisters=i386")?;
        // Single registers are for debuggers only that have read this.
        remote.ask("qXfer:features:read:target.xml:0,fff")?;
        // Steps as the machine would go by itself: with interrupts and time.
        remote.order("Qqemu.sstep=1")?;
        Ok(remote)
    }

    /// Stops whenever an instruction at `address` is next, in any address
    /// space; or no more.
    pub fn set_breakpoint(&mut self, address: u64, is_on: bool) -> Result<()> {
        self.order(&format!("{}0,{address:x},1", if is_on { 'Z' } else { 'z' }))
    }

    /// Runs until a breakpoint.
    pub fn run(&mut self) -> Result<()> {
        self.go("c")
    }

    /// Executes one instruction, of a REP one a single iteration.
    pub fn step(&mut self) -> Result<()> {
        self.go("s")
    }

    fn go(&mut self, order: &str) -> Result<()> {
        let stop = self.ask(order)?;
        ensure!(stop.starts_with("T05") || stop.starts_with("S05"), "the machine says `{stop}`");
        Ok(())
    }

    /// A register.
    pub fn register(&mut self, register: Register) -> Result<u64> {
        let mut bytes = bytes(&self.ask(&format!("p{:x}", register as u8))?)?;
        ensure!(!bytes.is_empty(), "QEMU does not show registers");
        // Firmware runs with narrower ones.
        bytes.resize(size_of::<u64>(), 0);
        Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// `count` bytes at `address` of the present address space; fewer at the
    /// end of what is mapped.
    pub fn memory(&mut self, address: u64, count: usize) -> Result<Vec<u8>> {
        let answer = self.ask(&format!("m{address:x},{count:x}"))?;
        if answer.starts_with('E') { Ok(Vec::new()) } else { bytes(&answer) }
    }

    fn order(&mut self, text: &str) -> Result<()> {
        let answer = self.ask(text)?;
        ensure!(answer == "OK", "QEMU answers `{answer}` to `{text}`");
        Ok(())
    }

    /// Sends a packet and returns the answer, each acknowledged.
    fn ask(&mut self, text: &str) -> Result<String> {
        let packet = format!("${text}#{:02x}", sum(text.as_bytes()));
        self.stream.write_all(packet.as_bytes()).context("QEMU hung up")?;
        loop {
            if let Some(answer) = take_packet(&mut self.held)? {
                self.stream.write_all(b"+").context("QEMU hung up")?;
                return Ok(answer);
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer).context("the machine does not stop")? {
                0 => bail!("QEMU ended"),
                count => self.held.extend(&buffer[..count]),
            }
        }
    }
}

/// The first whole packet in `held`, which is taken out; what stands before it
/// are acknowledgements.
fn take_packet(held: &mut Vec<u8>) -> Result<Option<String>> {
    let Some(start) = held.iter().position(|byte| *byte == b'$') else { return Ok(None) };
    let Some(length) = held[start..].iter().position(|byte| *byte == b'#') else { return Ok(None) };
    let end = start + length;
    let Some(check) = held.get(end + 1..end + 3) else { return Ok(None) };
    let text = &held[start + 1..end];
    let is_right = std::str::from_utf8(check).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
    ensure!(is_right == Some(sum(text)), "a packet of QEMU is garbled");
    let text = String::from_utf8_lossy(text).into_owned();
    held.drain(..end + 3);
    Ok(Some(text))
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

fn bytes(hex: &str) -> Result<Vec<u8>> {
    let pair = |at| hex.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let all: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(pair).collect();
    all.with_context(|| format!("QEMU answers `{hex}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_taken_whole_and_in_order() {
        let mut held = b"++$OK#9a+$T05thread:01;#07$p".to_vec();
        assert_eq!(take_packet(&mut held).expect("sound"), Some("OK".into()));
        assert_eq!(take_packet(&mut held).expect("sound"), Some("T05thread:01;".into()));
        assert_eq!(take_packet(&mut held).expect("sound"), None);
        assert_eq!(held, b"$p");
        assert!(take_packet(&mut b"$OK#9b".to_vec()).is_err());
        assert_eq!(take_packet(&mut b"$OK#9".to_vec()).expect("sound"), None);
    }

    #[test]
    fn numbers_are_hexadecimal_pairs() {
        assert_eq!(bytes("0f31").expect("pairs"), [0x0f, 0x31]);
        assert!(bytes("0f3").is_err() && bytes("zz").is_err());
    }
}
