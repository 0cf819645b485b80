//! The server between clients and port: two queues of bytes, two queues of
//! clients that wait.

use alloc::collections::VecDeque;

use postern_runtime::interface::{Answer, Bytes, Kept, Reply, Request, Server};
use postern_runtime::log;
use postern_runtime::protocol::console::{Console, ConsoleServer, Error, MAX_BYTES};
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
    answer: Kept<Bytes<MAX_BYTES>, Error>,
    limit: usize,
}

/// The port and those who use it.
pub struct Terminal {
    uart: Uart,
    irq: Irq,
    input: VecDeque<u8>,
    output: VecDeque<u8>,
    readers: VecDeque<Reader>,
    writers: VecDeque<Kept<(), Error>>,
}

impl Terminal {
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
            writer.send(Ok(()));
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

    /// The next `count` bytes of input, at most [`MAX_BYTES`].
    fn input(&mut self, count: usize) -> Bytes<MAX_BYTES> {
        Bytes::new(&self.input.make_contiguous()[..count]).unwrap_or_default()
    }

    /// Gives input to those who wait for it, first come, first served. Input
    /// for a client that is gone goes to the next one.
    fn serve_readers(&mut self) {
        while !self.input.is_empty() {
            let Some(reader) = self.readers.pop_front() else { break };
            let count = self.input.len().min(reader.limit);
            let bytes = self.input(count);
            if reader.answer.send(Ok(bytes)) {
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

    /// Takes `bytes` to be sent, as lines of a terminal.
    fn take_output(&mut self, bytes: &[u8]) -> Result<()> {
        for byte in bytes {
            if *byte == b'\n' {
                self.output.push_back(b'\r');
            }
            self.output.push_back(*byte);
        }
        self.pump()
    }
}

impl Console for Terminal {
    fn write(&mut self, bytes: &[u8], answer: Answer<(), Error>) {
        if bytes.len() > MAX_BYTES {
            answer.send(Err(Error::BadRequest));
        } else if self.take_output(bytes).is_err() {
            answer.send(Err(Error::Device));
        } else if self.output.len() < OUTPUT_FULL {
            answer.send(Ok(()));
        } else if self.writers.len() == WAITERS {
            // Without room to wait the client is told now: what it wrote is in
            // the queue.
            answer.send(Err(Error::Busy));
        } else {
            match answer.keep() {
                Ok(kept) => self.writers.push_back(kept),
                Err(answer) => {
                    answer.send(Err(Error::Busy));
                }
            }
        }
    }

    fn read(&mut self, limit: usize, answer: Answer<Bytes<MAX_BYTES>, Error>) {
        let limit = limit.min(MAX_BYTES);
        if limit == 0 {
            answer.send(Err(Error::BadRequest));
        } else if !self.input.is_empty() {
            let count = self.input.len().min(limit);
            let bytes = self.input(count);
            self.input.drain(..count);
            answer.send(Ok(bytes));
        } else if self.readers.len() == WAITERS {
            answer.send(Err(Error::Busy));
        } else {
            match answer.keep() {
                Ok(answer) => self.readers.push_back(Reader { answer, limit }),
                Err(answer) => {
                    answer.send(Err(Error::Busy));
                }
            }
        }
    }
}

impl Server for Terminal {
    fn call(&mut self, request: Request<'_>) -> Reply {
        ConsoleServer::dispatch(self, request)
    }

    fn signals(&mut self, _bits: u64) {
        if let Err(error) = self.look() {
            log!("the serial port failed: {error}");
        }
    }
}
