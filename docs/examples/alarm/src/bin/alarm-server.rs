#![no_std]
#![no_main]
use core::time::Duration;

use alarm::{Alarm, AlarmError, AlarmServer};
use postern_runtime::prelude::*;
use postern_runtime::server::{Reply, Request, Server};
use postern_runtime::syscall::{self, IoPort, Irq, PortWidth, Timeout};

postern_runtime::main!(main);

/// Most clients that wait for each of both.
const MOST: usize = 16;
/// The signal bit of the clock's interrupt.
const SECOND: u64 = 1;

fn main(env: Env) -> Result<(), names::Error> {
    let rtc = Rtc { ports: env.capability("rtc")?, irq: env.capability("rtc-irq")? };
    let signals = server::notification()?;
    if let Err(error) = rtc.irq.bind(signals, SECOND).and_then(|()| rtc.start()) {
        log!("the real-time clock cannot be used: {error}");
    }
    names::serve(&env, "alarm", Clock { rtc, timers: Timers::new(), seconds: Vec::new() })
}

/// One thread, one wait: for messages, for the time, for the interrupt.
struct Clock {
    rtc: Rtc,
    timers: Timers<Kept<Duration, AlarmError>>,
    seconds: Vec<Kept<u8, AlarmError>>,
}

impl Server for Clock {
    /// A message came.
    fn call(&mut self, request: Request<'_>) -> Reply {
        AlarmServer::dispatch(self, request)
    }

    /// How long none has to come until something else is to be done ...
    fn patience(&self) -> Timeout {
        self.timers.patience()
    }

    /// ... and then it is time.
    fn timed_out(&mut self) {
        while let Some(sleeper) = self.timers.take_due() {
            // One that is gone needs no answer.
            sleeper.send(Ok(time::now()));
        }
    }

    /// The interrupt came.
    fn signals(&mut self, _bits: u64) {
        let Ok(second) = self.rtc.second() else { return };
        for client in self.seconds.drain(..) {
            client.send(Ok(second));
        }
    }
}

impl Alarm for Clock {
    fn wake(&mut self, delay: Duration, answer: Answer<'_, Duration, AlarmError>) {
        if self.timers.len() == MOST {
            answer.send(Err(AlarmError::Busy));
            return;
        }
        match answer.keep() {
            Ok(kept) => self.timers.add_after(delay, kept),
            Err(answer) => drop(answer.send(Err(AlarmError::Busy))),
        }
    }

    fn next_second(&mut self, answer: Answer<'_, u8, AlarmError>) {
        if self.seconds.len() == MOST {
            answer.send(Err(AlarmError::Busy));
            return;
        }
        match answer.keep() {
            Ok(kept) => self.seconds.push(kept),
            Err(answer) => drop(answer.send(Err(AlarmError::Busy))),
        }
    }

    fn waiting(&mut self) -> usize {
        self.timers.len() + self.seconds.len()
    }
}

/// The PC's real-time clock: an index port, a data port, an interrupt.
struct Rtc {
    ports: IoPort,
    irq: Irq,
}

impl Rtc {
    const INDEX: u16 = 0x70;
    const DATA: u16 = 0x71;
    const SECONDS: u32 = 0x00;
    const CONTROL: u32 = 0x0b;
    const CAUSE: u32 = 0x0c;
    /// An interrupt with each second; numbers are binary.
    const EACH_SECOND: u32 = 1 << 4 | 1 << 2;

    fn read(&self, register: u32) -> syscall::Result<u32> {
        self.ports.write(Self::INDEX, PortWidth::Byte, register)?;
        self.ports.read(Self::DATA, PortWidth::Byte)
    }

    fn start(&self) -> syscall::Result<()> {
        let control = self.read(Self::CONTROL)? | Self::EACH_SECOND;
        self.ports.write(Self::INDEX, PortWidth::Byte, Self::CONTROL)?;
        self.ports.write(Self::DATA, PortWidth::Byte, control)?;
        self.read(Self::CAUSE).map(drop)
    }

    /// Serves the interrupt; what the clock shows.
    fn second(&self) -> syscall::Result<u8> {
        // Without this there is no next one.
        self.read(Self::CAUSE)?;
        self.irq.acknowledge()?;
        Ok(self.read(Self::SECONDS)? as u8)
    }
}
