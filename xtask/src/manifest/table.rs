//! Takes a TOML table apart, key by key, and finds the keys that nobody took.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Mistakes, Place, Spot};
use super::suggest;

/// A value with the place where it was written.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    /// Where.
    pub place: Place,
    /// What.
    pub inner: &'a DeValue<'a>,
}

impl<'a> Value<'a> {
    /// The value in a file's span.
    pub fn new(file: usize, value: &'a Spanned<DeValue<'a>>) -> Self {
        Self { place: place(file, value.span()), inner: value.get_ref() }
    }

    /// What was written, in words.
    fn kind(self) -> &'static str {
        match self.inner {
            DeValue::Integer(number) if number.as_str().starts_with('-') => "a negative number",
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "a truth value",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        }
    }

    /// Says that something else was expected here.
    pub fn expected(self, what: &str, mistakes: &mut Mistakes) {
        let message = format!("expected {what}, found {}", self.kind());
        mistakes.add(self.place, message, format!("should be {what}"));
    }

    /// A value with this one's place.
    pub fn spot<T>(self, value: T) -> Spot<T> {
        Spot { value, place: self.place }
    }

    /// The text.
    pub fn text(self, mistakes: &mut Mistakes) -> Option<Spot<String>> {
        match self.inner {
            DeValue::String(text) => Some(self.spot(text.clone().into_owned())),
            _ => {
                self.expected("a text", mistakes);
                None
            }
        }
    }

    /// True or false.
    pub fn truth(self, mistakes: &mut Mistakes) -> Option<bool> {
        match self.inner {
            DeValue::Boolean(value) => Some(*value),
            _ => {
                self.expected("a truth value", mistakes);
                None
            }
        }
    }

    /// The number, if it is one from 0 on.
    pub fn unsigned(self) -> Option<u64> {
        match self.inner {
            DeValue::Integer(number) => {
                u64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
            }
            _ => None,
        }
    }

    /// A number in a range; `what` says what it counts.
    pub fn number(
        self,
        what: &str,
        range: std::ops::RangeInclusive<u64>,
        mistakes: &mut Mistakes,
    ) -> Option<Spot<u64>> {
        if !matches!(self.inner, DeValue::Integer(_)) {
            self.expected("a number", mistakes);
            return None;
        }
        let number = self.unsigned().filter(|number| range.contains(number));
        if number.is_none() {
            let label = format!("{what} is {} to {}", range.start(), range.end());
            mistakes.add(self.place, "the number is out of range", label);
        }
        number.map(|number| self.spot(number))
    }

    /// The elements of a list.
    pub fn list(self, mistakes: &mut Mistakes) -> Vec<Value<'a>> {
        match self.inner {
            DeValue::Array(list) => {
                list.iter().map(|value| Value::new(self.place.file, value)).collect()
            }
            _ => {
                self.expected("a list", mistakes);
                Vec::new()
            }
        }
    }

    /// A list of texts.
    pub fn texts(self, mistakes: &mut Mistakes) -> Vec<Spot<String>> {
        self.list(mistakes).into_iter().filter_map(|value| value.text(mistakes)).collect()
    }

    /// The table; `what` is what it describes.
    pub fn table(self, what: &'static str, mistakes: &mut Mistakes) -> Option<Table<'a>> {
        match self.inner {
            DeValue::Table(table) => Some(Table::new(self.place.file, what, table)),
            _ => {
                self.expected("a table", mistakes);
                None
            }
        }
    }
}

/// The place of a span.
pub fn place(file: usize, span: Range<usize>) -> Place {
    Place { file, start: span.start, end: span.end }
}

/// A table that is being taken apart.
pub struct Table<'a> {
    what: &'static str,
    fields: Vec<(Spot<&'a str>, Value<'a>)>,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// The table of `what`.
    pub fn new(file: usize, what: &'static str, table: &'a DeTable<'a>) -> Self {
        let mut fields: Vec<_> = table
            .iter()
            .map(|(key, value)| {
                let name = Spot { value: key.get_ref().as_ref(), place: place(file, key.span()) };
                (name, Value::new(file, value))
            })
            .collect();
        // TOML's tables have no order, people's do.
        fields.sort_by_key(|(name, _)| name.place.start);
        Self { what, fields, known: Vec::new() }
    }

    /// Takes the value of `key`, if it is there.
    pub fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.push(key);
        let index = self.fields.iter().position(|(name, _)| name.value == key)?;
        Some(self.fields.remove(index).1)
    }

    /// What is left: keys that are names.
    pub fn rest(self) -> Vec<(Spot<&'a str>, Value<'a>)> {
        self.fields
    }

    /// Whatever was not taken is a mistake.
    pub fn finish(self, mistakes: &mut Mistakes) {
        for (name, _) in &self.fields {
            let message = format!("unknown key `{}`", name.value);
            mistakes
                .add(name.place, message, format!("{} has no such key", self.what))
                .help(suggest::help(name.value, "known keys", self.known.iter().copied()));
        }
    }
}
