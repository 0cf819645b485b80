//! Mistakes in a manifest, shown as rustc shows them: what is wrong, where,
//! the line with the place underlined, and what would be right.

use std::fmt::Write;

/// A manifest's text and what people call its file.
pub struct Source {
    /// The path as a person would type it.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// Some bytes of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Index of the source.
    pub file: usize,
    /// First byte.
    pub start: usize,
    /// Byte behind the last one.
    pub end: usize,
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub place: Place,
}

/// One mistake.
#[derive(Debug)]
pub struct Diagnostic {
    message: String,
    place: Place,
    label: String,
    note: Option<(Place, String)>,
    help: Option<String>,
}

impl Diagnostic {
    /// Shows another place that has to do with it.
    pub fn note(&mut self, place: Place, label: impl Into<String>) -> &mut Self {
        self.note = Some((place, label.into()));
        self
    }

    /// Says what would be right.
    pub fn help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help = Some(text.into());
        self
    }

    /// The mistake as a person reads it.
    pub fn render(&self, sources: &[Source]) -> String {
        let note = self.note.as_ref().map(|(place, label)| (*place, label.as_str()));
        let excerpts = [Some((self.place, self.label.as_str())), note];
        let excerpts: Vec<_> = excerpts
            .into_iter()
            .flatten()
            .map(|(place, label)| Excerpt::new(&sources[place.file], place, label))
            .collect();
        let widest = excerpts.iter().map(|excerpt| excerpt.row).max().unwrap_or(1);
        let indent = " ".repeat(widest.to_string().len());
        let mut text = format!("error: {}\n", self.message);
        for (index, excerpt) in excerpts.iter().enumerate() {
            let arrow = if index == 0 { "-->" } else { ":::" };
            excerpt.write(&mut text, &indent, arrow);
        }
        if let Some(help) = &self.help {
            let _ = writeln!(text, "{indent} = help: {help}");
        }
        text
    }
}

/// A line of a source with a part of it underlined.
struct Excerpt<'a> {
    path: &'a str,
    row: usize,
    column: usize,
    line: &'a str,
    carets: usize,
    label: &'a str,
}

impl<'a> Excerpt<'a> {
    fn new(source: &'a Source, place: Place, label: &'a str) -> Self {
        let text = source.text.as_str();
        let start = text.floor_char_boundary(place.start);
        let end = text.floor_char_boundary(place.end).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = text[line_start..].lines().next().unwrap_or("");
        // What goes on in the next line is underlined up to the end of this.
        let shown = text[start..end].lines().next().unwrap_or("");
        Self {
            path: &source.path,
            row: text[..line_start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            line,
            carets: shown.chars().count().max(1),
            label,
        }
    }

    fn write(&self, text: &mut String, indent: &str, arrow: &str) {
        let Self { path, row, column, line, label, .. } = self;
        let width = indent.len();
        // A tab would be wider above than below.
        let line = line.replace('\t', " ");
        let (before, carets) = (" ".repeat(column - 1), "^".repeat(self.carets));
        let underlined = format!("{before}{carets} {label}");
        let _ = writeln!(text, "{indent}{arrow} {path}:{row}:{column}");
        let _ = writeln!(text, "{indent} |");
        let _ = writeln!(text, "{row:>width$} | {line}");
        let _ = writeln!(text, "{indent} | {}", underlined.trim_end());
    }
}

/// A place as `FILE:LINE:COLUMN`.
pub fn position(source: &Source, place: Place) -> String {
    let Excerpt { path, row, column, .. } = Excerpt::new(source, place, "");
    format!("{path}:{row}:{column}")
}

/// The mistakes found so far.
#[derive(Debug, Default)]
pub struct Mistakes(Vec<Diagnostic>);

impl Mistakes {
    /// Adds a mistake; `label` is what stands under the place.
    pub fn add(
        &mut self,
        place: Place,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> &mut Diagnostic {
        let (message, label) = (message.into(), label.into());
        self.0.push(Diagnostic { message, place, label, note: None, help: None });
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// All of them as a person reads them, by file and line.
    pub fn render(&mut self, sources: &[Source]) -> String {
        self.0.sort_by_key(|one| (one.place.file, one.place.start));
        let all: Vec<_> = self.0.iter().map(|one| one.render(sources)).collect();
        all.join("\n")
    }
}
