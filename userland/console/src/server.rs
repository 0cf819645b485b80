//! The server between clients and port: two queues of bytes, two queues of
//! clients that wait.

use alloc::collections::VecDeque;

use postern_runtime::log;
use postern_runtime::protocol::console::{Error, MAX_BYTES, PROTOCOL, Request, input, written};
use postern_runtime::protocol::failure;
use postern_runtime::server::{Answer, KeptRequest, Request as Arrived, Server};
use postern_runtime::syscall::{Irq, Result};

use crate::uart::Uart;

/// Most bytes of input that nobody has read; more are dropped.
const INPUT: usize = 4096;
/// From so many unsent bytes on, writers wait.
const OUTPUT_FULL: usize = 4096;
/// Most clients that wait, in each queue.
const WAITERS: usize = 16;
/// Most interrupt causes handled before clients get their turn.
const CAUSES: usize = 64;

/// A client that waits for input, and how much it takes.
struct Reader {
    request: KeptRequest,
    limit: usize,
}

/// The console server.
pub struct ConsoleServer {
    uart: Uart,
    irq: Irq,
    input: VecDeque<u8>,
    output: VecDeque<u8>,
    readers: VecDeque<Reader>,
    writers: VecDeque<KeptRequest>,
}

impl ConsoleServer {
    pub fn new(uart: Uart, irq: Irq) -> Self {
        Self {
            uart,
            irq,
            input: VecDeque::with_capacity(INPUT),
            output: VecDeque::with_capacity(OUTPUT_FULL + 2 * MAX_BYTES),
            readers: VecDeque::with_capacity(WAITERS),
            writers: VecDeque::with_capacity(WAITERS),
        }
    }

    /// Sends what the port takes; asks for an interrupt when it takes no more.
    fn pump(&mut self) -> Result<()> {
        while !self.output.is_empty() && self.uart.can_send()? {
            let sent = self.uart.send(self.output.make_contiguous())?;
            self.output.drain(..sent);
        }
        self.uart.set_empty_interrupt(!self.output.is_empty())?;
        while self.output.len() < OUTPUT_FULL / 2 {
            let Some(writer) = self.writers.pop_front() else { break };
            // A client that is gone needs no answer.
            let _ = writer.answer(&written());
        }
        Ok(())
    }

    /// Takes what was typed.
    fn take_input(&mut self) -> Result<()> {
        while let Some(byte) = self.uart.input()? {
            if self.input.len() < INPUT {
                self.input.push_back(byte);
            }
        }
        Ok(())
    }

    /// Gives input to those who wait for it, first come, first served. Input
    /// for a client that is gone goes to the next one.
    fn serve_readers(&mut self) {
        while !self.input.is_empty() {
            let Some(reader) = self.readers.pop_front() else { break };
            let count = self.input.len().min(reader.limit);
            let message = input(&self.input.make_contiguous()[..count]);
            if reader.request.answer(&message).is_ok() {
                self.input.drain(..count);
            }
        }
    }

    /// Looks what the port has to say, and does it.
    pub fn look(&mut self) -> Result<()> {
        // First let the next interrupt come, then look: what arrives after the
        // last look brings one.
        self.irq.acknowledge()?;
        for _ in 0..CAUSES {
            let more = self.uart.take_interrupt()?;
            self.take_input()?;
            self.pump()?;
            if !more {
                break;
            }
        }
        self.serve_readers();
        Ok(())
    }

    fn handle(&mut self, request: &Arrived) -> core::result::Result<Answer, Error> {
        match Request::decode(&request.message)? {
            Request::Write(bytes) => {
                for byte in bytes.iter() {
                    if byte == b'\n' {
                        self.output.push_back(b'\r');
                    }
                    self.output.push_back(byte);
                }
                self.pump().map_err(|_| Error::Device)?;
                if self.output.len() < OUTPUT_FULL {
                    return Ok(written().into());
                }
                // Without room to wait the client gets its answer now: what it
                // wrote is in the queue.
                if self.writers.len() == WAITERS {
                    return Err(Error::Busy);
                }
                self.writers.push_back(request.keep().map_err(|_| Error::Busy)?);
            }
            Request::Read(limit) => {
                if self.input.is_empty() {
                    if self.readers.len() == WAITERS {
                        return Err(Error::Busy);
                    }
                    let request = request.keep().map_err(|_| Error::Busy)?;
                    self.readers.push_back(Reader { request, limit });
                } else {
                    let count = self.input.len().min(limit);
                    let message = input(&self.input.make_contiguous()[..count]);
                    self.input.drain(..count);
                    return Ok(message.into());
                }
            }
        }
        Ok(Answer::Later)
    }
}

impl Server for ConsoleServer {
    fn call(&mut self, request: &Arrived) -> Answer {
        self.handle(request).unwrap_or_else(|error| failure(PROTOCOL, error).into())
    }

    fn signals(&mut self, _bits: u64) {
        if let Err(error) = self.look() {
            log!("the serial port failed: {error}");
        }
    }
}
