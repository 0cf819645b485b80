//! The guest's console: what it sends goes out in pieces, not byte by byte;
//! what is typed comes in by a thread of its own, because reading waits.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use postern_runtime::{Explain, Mutex, Result, own, slots, thread, time};

/// Ctrl-]: ends the guest.
pub const ESCAPE: u8 = 0x1d;
/// Ctrl-\: a non-maskable interrupt for the guest.
pub const INTERRUPT: u8 = 0x1c;
/// Output is handed on when there is so much of it, or at the end of a line.
const FULL: usize = 256;
/// How long output that is no whole line waits for more, in nanoseconds.
const PATIENCE: u64 = 5_000_000;
/// How often, and how long each time, a console that does not answer is waited
/// for.
const RETRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);
/// Most bytes that wait until the guest takes them.
const TYPED: usize = 4096;
/// The bit that says that something was typed.
pub const TYPED_BIT: u64 = 1;

/// What the guest sends.
pub struct Output {
    buffer: Vec<u8>,
    /// When the first byte in it was sent.
    since: u64,
    /// What each line begins with, in the background.
    prefix: Option<String>,
    at_line_start: bool,
}

impl Output {
    /// Output of a guest in the foreground, or with `prefix` before each line.
    pub fn new(prefix: Option<String>) -> Self {
        Self { buffer: Vec::new(), since: 0, prefix, at_line_start: true }
    }

    /// The guest has sent a byte.
    pub fn push(&mut self, byte: u8, now: u64) {
        if self.buffer.is_empty() {
            self.since = now;
        }
        // The console itself puts the carriage return before each line feed.
        if byte == b'\n' && self.buffer.last() == Some(&b'\r') {
            self.buffer.pop();
        }
        self.buffer.push(byte);
        if byte == b'\n' || self.buffer.len() >= FULL {
            self.flush();
        }
    }

    /// When what waits is to be handed on. In the background only whole lines
    /// are: a prompt for nobody would stand between other programs' lines.
    pub fn wakes(&self) -> Option<u64> {
        let waits = !self.buffer.is_empty() && self.prefix.is_none();
        waits.then(|| self.since.saturating_add(PATIENCE))
    }

    /// The guest waits: what it has sent is all for now.
    pub fn pause(&mut self) {
        if self.prefix.is_none() {
            self.flush();
        }
    }

    /// Hands on what waits.
    fn flush(&mut self) {
        let mut lines = Vec::with_capacity(self.buffer.len());
        for byte in self.buffer.drain(..) {
            if let Some(prefix) = self.prefix.as_ref().filter(|_| self.at_line_start) {
                lines.extend_from_slice(prefix.as_bytes());
            }
            lines.push(byte);
            self.at_line_start = byte == b'\n';
        }
        write(&lines);
    }

    /// A report of whole lines, between the guest's.
    pub fn report(&mut self, text: &str) {
        self.flush();
        if !self.at_line_start {
            write(b"\n");
            self.at_line_start = true;
        }
        write(text.as_bytes());
    }
}

fn write(bytes: &[u8]) {
    if let Ok(console) = own::console() {
        // A guest must not fail because nobody listens.
        let _ = console.write_all(bytes);
    }
}

/// What was typed and not taken yet.
#[derive(Clone)]
pub struct Keyboard(Arc<Mutex<VecDeque<u8>>>);

impl Keyboard {
    /// Reads the console from now on, and signals [`TYPED_BIT`] of a
    /// notification that is bound to the calling thread.
    pub fn start() -> Result<Self> {
        let factory = own::factory()?;
        let notification = slots::fill("creating a notification", "factory", |slot| {
            factory.create_notification(slot)
        })?;
        notification.bind(own::thread()?).explain("binding the notification", "thread")?;
        let console = own::console()?;
        let keyboard = Self(Arc::default());
        let queue = keyboard.clone();
        thread::spawn(move || {
            let (mut buffer, mut tries) = ([0; 64], 0);
            loop {
                let count = match console.read_into(&mut buffer) {
                    Ok(count) => count,
                    // It may be being restarted.
                    Err(error) if error.is_dead() && tries < RETRIES => {
                        tries += 1;
                        time::sleep(PAUSE);
                        continue;
                    }
                    Err(_) => return,
                };
                tries = 0;
                let mut typed = queue.0.lock();
                let room = TYPED - typed.len().min(TYPED);
                typed.extend(&buffer[..count.min(room)]);
                drop(typed);
                if notification.signal(TYPED_BIT).is_err() {
                    return;
                }
            }
        })?;
        Ok(keyboard)
    }

    /// What was typed.
    pub fn take(&self) -> Vec<u8> {
        self.0.lock().drain(..).collect()
    }
}
