//! Which tests are to run: the words of the command line.

/// What the command line says.
pub struct Selection<'a> {
    is_list: bool,
    /// The kernel's fast paths are to be off.
    pub general: bool,
    filter: &'a str,
    /// Tests up to and including this one are left out.
    after: Option<&'a str>,
}

impl<'a> Selection<'a> {
    /// Reads the command line; words that it does not know are ignored.
    pub fn parse(words: &'a str) -> Self {
        let mut selection = Self { is_list: false, general: false, filter: "", after: None };
        for word in words.split_whitespace() {
            match word.split_once('=') {
                None if word == "list" => selection.is_list = true,
                None if word == "general" => selection.general = true,
                Some(("filter", text)) => selection.filter = text,
                Some(("after", name)) => selection.after = Some(name),
                _ => {}
            }
        }
        selection
    }

    /// Whether tests are to be named only.
    pub const fn is_list(&self) -> bool {
        self.is_list
    }

    /// Whether the test called `name` is to run. To be asked in order.
    pub fn takes(&mut self, name: &str) -> bool {
        if let Some(after) = self.after {
            if after == name {
                self.after = None;
            }
            return false;
        }
        name.contains(self.filter)
    }
}
