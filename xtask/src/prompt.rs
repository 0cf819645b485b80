//! Knows when the shell waits for a command, from the bytes that it writes.
//!
//! Must not take the prompt of the line that is being typed for a new one: a
//! shell may draw its line again with every key.

use postern_abi::harness::PROMPT;

/// Watches for the prompt.
pub struct Watch {
    /// The end of the current line, long enough to hold the prompt.
    line: Vec<u8>,
    /// Whether a new line has begun since the last command was typed.
    is_new_line: bool,
    is_waiting: bool,
}

impl Watch {
    /// A watch for the first prompt.
    pub fn new() -> Self {
        Self { line: Vec::new(), is_new_line: true, is_waiting: false }
    }

    /// Takes what the guest wrote.
    pub fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.line.clear();
                self.is_new_line = true;
                continue;
            }
            if self.line.len() == PROMPT.len() {
                self.line.remove(0);
            }
            self.line.push(byte);
            if self.is_new_line && self.line == PROMPT.as_bytes() {
                self.is_waiting = true;
            }
        }
    }

    /// Whether the shell has asked for a command since the last was typed.
    /// Other programs may have written something behind the prompt.
    pub fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// A command was typed.
    pub fn typed(&mut self) {
        *self = Self { line: Vec::new(), is_new_line: false, is_waiting: false };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_waiting_after(watch: &mut Watch, text: &str) -> bool {
        watch.feed(text.as_bytes());
        watch.is_waiting()
    }

    #[test]
    fn the_first_prompt_is_seen_wherever_it_is_cut() {
        let text = format!("Postern 0.1\r\n\x1b[1m{PROMPT}");
        for cut in 0..text.len() {
            let mut watch = Watch::new();
            assert!(!is_waiting_after(&mut watch, &text[..cut]), "cut at {cut}");
            assert!(is_waiting_after(&mut watch, &text[cut..]), "cut at {cut}");
        }
    }

    #[test]
    fn a_line_that_is_drawn_again_is_not_a_new_prompt() {
        let mut watch = Watch::new();
        assert!(is_waiting_after(&mut watch, PROMPT));
        watch.typed();
        assert!(!is_waiting_after(&mut watch, &format!("\r{PROMPT}p\r{PROMPT}")));
        assert!(!is_waiting_after(&mut watch, &format!("\r{PROMPT}ps\r\nPID\r\n")));
        assert!(is_waiting_after(&mut watch, PROMPT));
    }

    #[test]
    fn text_of_others_behind_the_prompt_does_not_hide_it() {
        let mut watch = Watch::new();
        assert!(is_waiting_after(&mut watch, &format!("{PROMPT}\r\nfault in `crash`\r\n")));
    }
}
