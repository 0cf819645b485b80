//! Reads lines from the console, with editing.

use alloc::string::String;
use core::time::Duration;

use postern_line_editor::{Editor, Event};
use postern_runtime::protocol::console::{self, ConsoleClient};
use postern_runtime::syscall::abi::harness::PROMPT;
use postern_runtime::time;

/// How often, and how long each time, a console that does not answer is
/// waited for: it may be being restarted.
const RETRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// What a person typed.
pub enum Input {
    /// A line.
    Line(String),
    /// Nothing: the line was given up.
    GivenUp,
}

/// The console with a line editor before it.
pub struct Terminal {
    console: ConsoleClient,
    editor: Editor,
    buffer: [u8; 64],
    used: usize,
    filled: usize,
}

impl Terminal {
    pub fn new(console: ConsoleClient) -> Self {
        Self { console, editor: Editor::new(), buffer: [0; 64], used: 0, filled: 0 }
    }

    /// Waits for a line.
    pub fn line(&mut self) -> console::Result<Input> {
        loop {
            let (mut echo, mut input) = (String::new(), None);
            while input.is_none() && self.used < self.filled {
                let byte = self.buffer[self.used];
                self.used += 1;
                match self.editor.byte(byte, &mut echo) {
                    Event::None | Event::EndOfInput => {}
                    Event::Line(line) => input = Some(Input::Line(line)),
                    Event::Interrupted => input = Some(Input::GivenUp),
                    Event::Cleared => {
                        echo.push_str(PROMPT);
                        self.editor.redraw(&mut echo);
                    }
                }
            }
            if !echo.is_empty() {
                // The console itself puts the carriage return before each line
                // feed.
                self.console.write_all(echo.replace("\r\n", "\n").as_bytes())?;
            }
            if let Some(input) = input {
                return Ok(input);
            }
            self.fill()?;
        }
    }

    /// Waits for input.
    fn fill(&mut self) -> console::Result<()> {
        let mut tries = 0;
        loop {
            match self.console.read_into(&mut self.buffer) {
                Ok(count) => {
                    (self.used, self.filled) = (0, count);
                    return Ok(());
                }
                Err(error) if error.is_dead() && tries < RETRIES => {
                    tries += 1;
                    // A new console reads at once; one that is gone may come.
                    if error.restarted().is_none() {
                        time::sleep(PAUSE);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}
