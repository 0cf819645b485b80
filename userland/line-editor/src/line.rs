//! The line itself: characters, a cursor, and what the terminal has to show.
//!
//! Every character is taken to be one column wide, and a line to fit in one
//! row of the terminal: what is wider is edited right and shown wrong.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::MAX_LINE;

/// A line under edit.
#[derive(Debug, Default)]
pub struct Line {
    chars: Vec<char>,
    cursor: usize,
}

impl Line {
    pub fn is_empty(&self) -> bool {
        self.chars.is_empty()
    }

    pub fn text(&self) -> String {
        self.chars.iter().collect()
    }

    pub fn insert(&mut self, char: char, echo: &mut String) {
        if self.chars.len() == MAX_LINE {
            echo.push('\x07');
            return;
        }
        self.chars.insert(self.cursor, char);
        echo.push(char);
        self.cursor += 1;
        if self.cursor < self.chars.len() {
            self.show_tail(echo);
        }
    }

    pub fn move_to(&mut self, column: usize, echo: &mut String) {
        let column = column.min(self.chars.len());
        if column < self.cursor {
            back(self.cursor - column, echo);
        } else if column > self.cursor {
            echo.push_str(&format!("\x1b[{}C", column - self.cursor));
        }
        self.cursor = column;
    }

    pub fn move_by(&mut self, columns: isize, echo: &mut String) {
        self.move_to(self.cursor.saturating_add_signed(columns), echo);
    }

    pub fn erase_before(&mut self, count: usize, echo: &mut String) {
        let count = count.min(self.cursor);
        let start = self.cursor - count;
        self.move_to(start, echo);
        self.erase_after(count, echo);
    }

    pub fn erase_after(&mut self, count: usize, echo: &mut String) {
        let end = self.cursor.saturating_add(count).min(self.chars.len());
        if end > self.cursor {
            self.chars.drain(self.cursor..end);
            self.show_tail(echo);
        }
    }

    /// Erases the word before the cursor, and the spaces behind it.
    pub fn erase_word(&mut self, echo: &mut String) {
        let before = &self.chars[..self.cursor];
        let spaces = before.iter().rev().take_while(|char| **char == ' ').count();
        let word =
            before[..before.len() - spaces].iter().rev().take_while(|char| **char != ' ').count();
        self.erase_before(spaces + word, echo);
    }

    pub fn replace(&mut self, text: &str, echo: &mut String) {
        self.move_to(0, echo);
        self.chars = text.chars().take(MAX_LINE).collect();
        self.show_tail(echo);
        self.move_to(usize::MAX, echo);
    }

    pub fn redraw(&self, echo: &mut String) {
        echo.extend(&self.chars);
        back(self.chars.len() - self.cursor, echo);
    }

    /// Shows what is behind the cursor, erases what was there before.
    fn show_tail(&self, echo: &mut String) {
        let tail = &self.chars[self.cursor..];
        echo.extend(tail);
        echo.push_str("\x1b[K");
        back(tail.len(), echo);
    }
}

/// Moves the terminal's cursor to the left.
fn back(columns: usize, echo: &mut String) {
    if columns != 0 {
        echo.push_str(&format!("\x1b[{columns}D"));
    }
}
