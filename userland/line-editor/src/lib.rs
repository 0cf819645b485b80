//! Line editing for a terminal: bytes in, an edited line and the echo out.
//!
//! Pure: it reads nothing and prints nothing itself, so it is tested on the
//! host. It must never panic, whatever bytes a terminal sends.
//!
//! Keys: left, right, home, end, up, down, backspace, delete, enter, and
//! control with a, b, c, d, e, f, h, k, l, n, p, u, w.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod keys;
mod line;
#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::vec::Vec;

use keys::{Decoder, Key};
use line::Line;

/// Most characters of a line; more are refused with a bell.
pub const MAX_LINE: usize = 256;
/// Most lines that are remembered.
pub const MAX_HISTORY: usize = 64;

/// What a byte led to, beside the echo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Nothing yet.
    None,
    /// The line is finished.
    Line(String),
    /// Control-c: the line is given up.
    Interrupted,
    /// Control-d on an empty line.
    EndOfInput,
    /// Control-l: the screen was cleared; the prompt is to be printed again,
    /// and then [`Editor::redraw`].
    Cleared,
}

/// A line that is being typed, and those typed before.
#[derive(Debug, Default)]
pub struct Editor {
    line: Line,
    decoder: Decoder,
    history: Vec<String>,
    /// Which line of the history is shown; `history.len()` is the new one.
    shown: usize,
    /// The new line, while an old one is shown.
    draft: String,
    /// Whether the last byte was a carriage return, so that a line feed after
    /// it is not another line.
    after_return: bool,
}

impl Editor {
    /// An editor with an empty line and no history.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one byte from the terminal; appends to `echo` what the terminal
    /// has to show.
    pub fn byte(&mut self, byte: u8, echo: &mut String) -> Event {
        let after_return = core::mem::replace(&mut self.after_return, byte == b'\r');
        if byte == b'\n' && after_return {
            return Event::None;
        }
        self.decoder.byte(byte).map_or(Event::None, |key| self.key(key, echo))
    }

    /// Appends the line and the cursor's way back to `echo`, after the prompt
    /// was printed again.
    pub fn redraw(&self, echo: &mut String) {
        self.line.redraw(echo);
    }

    /// The lines typed before, oldest first.
    #[must_use]
    pub fn history(&self) -> &[String] {
        &self.history
    }

    fn key(&mut self, key: Key, echo: &mut String) -> Event {
        match key {
            Key::Char(char) => self.line.insert(char, echo),
            Key::Left => self.line.move_by(-1, echo),
            Key::Right => self.line.move_by(1, echo),
            Key::Home => self.line.move_to(0, echo),
            Key::End => self.line.move_to(usize::MAX, echo),
            Key::Backspace => self.line.erase_before(1, echo),
            Key::Delete => self.line.erase_after(1, echo),
            Key::KillToEnd => self.line.erase_after(usize::MAX, echo),
            Key::KillToStart => self.line.erase_before(usize::MAX, echo),
            Key::KillWord => self.line.erase_word(echo),
            Key::Up => self.show(self.shown.saturating_sub(1), echo),
            Key::Down => self.show((self.shown + 1).min(self.history.len()), echo),
            Key::Enter => return Event::Line(self.finish(echo)),
            Key::Interrupt => {
                echo.push_str("^C\r\n");
                self.reset();
                return Event::Interrupted;
            }
            Key::EndOfInput if self.line.is_empty() => return Event::EndOfInput,
            Key::EndOfInput => self.line.erase_after(1, echo),
            Key::Clear => {
                echo.push_str("\x1b[2J\x1b[H");
                return Event::Cleared;
            }
        }
        Event::None
    }

    /// Shows line `index` of the history, or the new line behind it.
    fn show(&mut self, index: usize, echo: &mut String) {
        if index == self.shown {
            return;
        }
        if self.shown == self.history.len() {
            self.draft = self.line.text();
        }
        let text = self.history.get(index).unwrap_or(&self.draft).clone();
        self.shown = index;
        self.line.replace(&text, echo);
    }

    fn finish(&mut self, echo: &mut String) -> String {
        self.line.move_to(usize::MAX, echo);
        echo.push_str("\r\n");
        let text = self.line.text();
        if !text.trim().is_empty() && self.history.last() != Some(&text) {
            if self.history.len() == MAX_HISTORY {
                self.history.remove(0);
            }
            self.history.push(text.clone());
        }
        self.reset();
        text
    }

    fn reset(&mut self) {
        self.line = Line::default();
        self.draft.clear();
        self.shown = self.history.len();
    }
}
