//! Reads TOML with every value's place, and goes on after a mistake so that all of them are found in one run.
//!
//! The rule: a key that nobody knows is an error, and so is a value of the wrong kind; neither stops the reading.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{Place, Problem, Rule, Source, Whose, instead};
use crate::units::Quantity;

/// A value, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Range<usize>,
}

impl<T> At<T> {
    /// The value, changed.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At { value: change(self.value), span: self.span }
    }
}

/// Collects the problems of one manifest.
pub(crate) struct Reader {
    pub(crate) source: Source,
    pub(crate) whose: Whose,
    pub(crate) problems: Vec<Problem>,
}

impl Reader {
    pub(crate) fn new(source: Source, whose: Whose) -> Self {
        Reader { source, whose, problems: Vec::new() }
    }

    pub(crate) fn problem(
        &mut self,
        rule: Rule,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        remedy: impl Into<String>,
    ) -> &mut Problem {
        let at = self.problems.len();
        self.problems.push(Problem {
            rule,
            message: message.into(),
            whose: self.whose.clone(),
            remedy: remedy.into(),
            at: Place { source: self.source.clone(), span },
            label: label.into(),
            other: None,
        });
        &mut self.problems[at]
    }

    /// The document; what is not TOML is reported and left out.
    pub(crate) fn document<'a>(&mut self, text: &'a str) -> Spanned<DeTable<'a>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            let message = format!("this is not TOML: {}", error.message().trim());
            self.problem(
                Rule::Syntax,
                span,
                message,
                "here",
                "keys are written `key = value`, texts in double quotes.",
            );
        }
        table
    }

    /// A table whose keys must all be among `keys`.
    pub(crate) fn section<'a>(
        &mut self,
        table: &'a DeTable<'a>,
        span: Range<usize>,
        name: &'static str,
        keys: &[&str],
    ) -> Section<'a> {
        for key in table.keys() {
            let text: &str = key.get_ref();
            if !keys.contains(&text) {
                self.problem(
                    Rule::UnknownKey,
                    key.span(),
                    format!("{name} has no key `{text}`"),
                    "unknown key",
                    instead(text, keys.iter().copied()),
                );
            }
        }
        Section { table, span, name }
    }
}

/// A table of a manifest.
#[derive(Clone)]
pub(crate) struct Section<'a> {
    table: &'a DeTable<'a>,
    pub(crate) span: Range<usize>,
    name: &'static str,
}

impl<'a> Section<'a> {
    pub(crate) fn value(&self, key: &str) -> Option<(&'a DeValue<'a>, Range<usize>)> {
        self.table.get(key).map(|value| (value.get_ref(), value.span()))
    }

    fn wrong(
        &self,
        reader: &mut Reader,
        key: &str,
        found: &DeValue<'_>,
        span: Range<usize>,
        wanted: &str,
        example: &str,
    ) {
        reader.problem(
            Rule::WrongKind,
            span,
            format!("`{key}` of {} is {wanted}, not {}", self.name, kind(found)),
            format!("this is {}", kind(found)),
            format!("write `{key} = {example}`."),
        );
    }

    /// Says that a key is missing, with an example of what to write.
    pub(crate) fn missing(&self, reader: &mut Reader, key: &str, example: &str) {
        reader.problem(
            Rule::MissingKey,
            self.span.clone(),
            format!("{} has no `{key}`", self.name),
            format!("`{key}` is missing here"),
            format!("add a line such as `{key} = {example}`."),
        );
    }

    pub(crate) fn text(&self, reader: &mut Reader, key: &str, example: &str) -> Option<At<String>> {
        let (value, span) = self.value(key)?;
        match value {
            DeValue::String(text) => Some(At { value: text.to_string(), span }),
            other => {
                self.wrong(reader, key, other, span, "a text", &format!("\"{example}\""));
                None
            }
        }
    }

    pub(crate) fn need_text(&self, reader: &mut Reader, key: &str, example: &str) -> Option<At<String>> {
        if self.value(key).is_none() {
            self.missing(reader, key, &format!("\"{example}\""));
        }
        self.text(reader, key, example)
    }

    pub(crate) fn flag(&self, reader: &mut Reader, key: &str) -> Option<At<bool>> {
        let (value, span) = self.value(key)?;
        match value {
            DeValue::Boolean(flag) => Some(At { value: *flag, span }),
            other => {
                self.wrong(reader, key, other, span, "true or false", "true");
                None
            }
        }
    }

    /// A number from `least` to `most`.
    pub(crate) fn number(
        &self,
        reader: &mut Reader,
        key: &str,
        example: u64,
        least: u64,
        most: u64,
    ) -> Option<At<u64>> {
        let (value, span) = self.value(key)?;
        let DeValue::Integer(number) = value else {
            self.wrong(reader, key, value, span, "a whole number", &example.to_string());
            return None;
        };
        match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) if (i128::from(least)..=i128::from(most)).contains(&number) => {
                u64::try_from(number).ok().map(|value| At { value, span })
            }
            _ => {
                reader.problem(
                    Rule::Bounds,
                    span,
                    format!("`{key}` of {} is {number}", self.name),
                    "out of bounds",
                    format!("it is a number from {least} to {most}."),
                );
                None
            }
        }
    }

    pub(crate) fn need_number(
        &self,
        reader: &mut Reader,
        key: &str,
        example: u64,
        least: u64,
        most: u64,
    ) -> Option<At<u64>> {
        if self.value(key).is_none() {
            self.missing(reader, key, &example.to_string());
        }
        self.number(reader, key, example, least, most)
    }

    pub(crate) fn quantity(&self, reader: &mut Reader, key: &str, quantity: Quantity) -> Option<At<u64>> {
        let (wanted, example) = quantity.example();
        let (value, span) = self.value(key)?;
        let DeValue::String(text) = value else {
            self.wrong(reader, key, value, span, &format!("{wanted} with its unit"), &format!("\"{example}\""));
            return None;
        };
        match quantity.read(text) {
            Ok(value) => Some(At { value, span }),
            Err(why) => {
                reader.problem(
                    Rule::Quantity,
                    span,
                    format!("`{key}` of {} is {wanted}, and \"{text}\" is none: {why}", self.name),
                    why.to_string(),
                    format!("write it as in `{key} = \"{example}\"`."),
                );
                None
            }
        }
    }

    pub(crate) fn need_quantity(&self, reader: &mut Reader, key: &str, quantity: Quantity) -> Option<At<u64>> {
        if self.value(key).is_none() {
            self.missing(reader, key, &format!("\"{}\"", quantity.example().1));
        }
        self.quantity(reader, key, quantity)
    }

    /// One of these words.
    pub(crate) fn choice<T: Copy>(&self, reader: &mut Reader, key: &str, choices: &[(&str, T)]) -> Option<At<T>> {
        let text = self.text(reader, key, choices.first()?.0)?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text.value) {
            return Some(At { value: *value, span: text.span });
        }
        reader.problem(
            Rule::Choice,
            text.span,
            format!("`{key}` of {} cannot be \"{}\"", self.name, text.value),
            "not one of its words",
            instead(&text.value, choices.iter().map(|(word, _)| *word)),
        );
        None
    }

    pub(crate) fn need_choice<T: Copy>(&self, reader: &mut Reader, key: &str, choices: &[(&str, T)]) -> Option<At<T>> {
        if self.value(key).is_none() {
            self.missing(reader, key, &format!("\"{}\"", choices.first().map_or("", |(word, _)| word)));
        }
        self.choice(reader, key, choices)
    }

    /// A list of texts.
    pub(crate) fn texts(&self, reader: &mut Reader, key: &str, example: &str) -> Option<At<Vec<At<String>>>> {
        let (value, span) = self.value(key)?;
        let example = format!("[\"{example}\"]");
        let DeValue::Array(list) = value else {
            self.wrong(reader, key, value, span, "a list of texts", &example);
            return None;
        };
        let mut texts = Vec::new();
        for item in list.iter() {
            match item.get_ref() {
                DeValue::String(text) => texts.push(At { value: text.to_string(), span: item.span() }),
                other => self.wrong(reader, key, other, item.span(), "a list of texts", &example),
            }
        }
        Some(At { value: texts, span })
    }

    /// A table inside this one.
    pub(crate) fn table(
        &self,
        reader: &mut Reader,
        key: &str,
        name: &'static str,
        keys: &[&str],
    ) -> Option<Section<'a>> {
        let (value, span) = self.value(key)?;
        if let DeValue::Table(table) = value {
            return Some(reader.section(table, span, name, keys));
        }
        self.wrong(reader, key, value, span, "a table", "{ ... }");
        None
    }

    /// A list of tables: `[[key]]`.
    pub(crate) fn tables(&self, reader: &mut Reader, key: &str, name: &'static str, keys: &[&str]) -> Vec<Section<'a>> {
        let Some((value, span)) = self.value(key) else {
            return Vec::new();
        };
        let DeValue::Array(list) = value else {
            reader.problem(
                Rule::WrongKind,
                span,
                format!("`{key}` is a list of tables, not {}", kind(value)),
                format!("this is {}", kind(value)),
                format!("write `[[{key}]]`, with two brackets."),
            );
            return Vec::new();
        };
        let mut sections = Vec::new();
        for item in list.iter() {
            match item.get_ref() {
                DeValue::Table(table) => sections.push(reader.section(table, item.span(), name, keys)),
                other => self.wrong(reader, key, other, item.span(), "a list of tables", "[{ ... }]"),
            }
        }
        sections
    }

    /// All keys with their tables, for a table whose keys are names.
    pub(crate) fn entries(&self) -> Vec<(At<String>, &'a DeValue<'a>, Range<usize>)> {
        let entry = |(key, value): (&'a Spanned<toml::de::DeString<'a>>, &'a Spanned<DeValue<'a>>)| {
            (At { value: key.get_ref().to_string(), span: key.span() }, value.get_ref(), value.span())
        };
        self.table.iter().map(entry).collect()
    }
}

/// What a value is, with its article.
pub(crate) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
