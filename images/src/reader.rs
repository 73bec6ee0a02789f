//! Reads TOML with every value's place, and goes on after a mistake so that all of them are found in one run.
//!
//! The rule: a key that nobody knows is an error, and so is a value of the wrong kind; neither stops the reading.

use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{Place, Problem, Rule, Source, Whose, instead, nearest};
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

    /// The document of this kind, whose keys are these; what is not TOML is reported and left out.
    ///
    /// A file with none of the keys, or with the one that only another kind has, is something else: that is said once.
    pub(crate) fn document<'a>(
        &mut self,
        text: &'a str,
        (what, keys): (&str, &[&str]),
        (other, its_key): (&str, &str),
    ) -> Spanned<DeTable<'a>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let found = |wanted: &str| table.get_ref().keys().find(|key| key.get_ref() == wanted);
        let first_error = errors.first().map(|error| error.span().unwrap_or(0..0));
        let first_key = table.get_ref().keys().map(Spanned::span).min_by_key(|span| span.start);
        let near = |key: &Spanned<_>| nearest(AsRef::<str>::as_ref(key.get_ref()), keys.iter().copied()).is_some();
        let known = keys.iter().any(|key| found(key).is_some())
            || errors.is_empty() && table.get_ref().keys().any(|key: &Spanned<toml::de::DeString<'_>>| near(key));
        let all: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
        let remedy = format!("name a file of TOML with these keys: {}.", all.join(", "));
        let message = format!("this is no manifest of {what}");
        match (first_error.clone().or(first_key), found(its_key)) {
            (_, Some(key)) if keys.iter().take(1).all(|first| found(first).is_none()) => {
                let label = format!("a key of {other}'s manifest");
                self.problem(Rule::NotAManifest, key.span(), message, label, remedy);
                return table;
            }
            (Some(place), _) if !known => {
                let label = if first_error.is_some() { "not even TOML" } else { "none of its keys" };
                self.problem(Rule::NotAManifest, place, message, label, remedy);
                return table;
            }
            _ => {}
        }
        // One slip of the pen often makes several errors on its line.
        let mut last_line = None;
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            let line = text.get(..span.start).map(|before| before.matches('\n').count());
            if last_line.is_some() && last_line == line {
                continue;
            }
            last_line = line;
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

    /// Whether something could not be read at all. Then what it would have said is missed everywhere, and only this counts.
    pub(crate) fn unreadable(&mut self) -> bool {
        let unreadable = |problem: &Problem| matches!(problem.rule, Rule::Syntax | Rule::NotAManifest);
        let found = self.problems.iter().any(unreadable);
        if found {
            self.problems.retain(unreadable);
        }
        found
    }

    /// A table whose keys must all be among `keys`.
    pub(crate) fn section<'a>(
        &mut self,
        table: &'a DeTable<'a>,
        span: Range<usize>,
        name: &'static str,
        keys: &[&str],
    ) -> Section<'a> {
        let mut misspelt = Vec::new();
        for key in table.keys() {
            let text: &str = key.get_ref();
            if !keys.contains(&text) {
                misspelt.extend(nearest(text, keys.iter().copied()).map(str::to_owned));
                self.problem(
                    Rule::UnknownKey,
                    key.span(),
                    format!("{name} has no key `{text}`"),
                    "unknown key",
                    instead(text, keys.iter().copied()),
                );
            }
        }
        Section { table, span, name, misspelt }
    }
}

/// A table of a manifest.
#[derive(Clone)]
pub(crate) struct Section<'a> {
    table: &'a DeTable<'a>,
    pub(crate) span: Range<usize>,
    name: &'static str,
    /// Keys that were meant by unknown ones: they are not missing, too.
    misspelt: Vec<String>,
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

    /// Whether an unknown key was meant as this one.
    pub(crate) fn misspells(&self, key: &str) -> bool {
        self.misspelt.iter().any(|meant| meant == key)
    }

    /// Says that a key is missing, with an example of what to write.
    pub(crate) fn missing(&self, reader: &mut Reader, key: &str, example: &str) {
        if self.misspells(key) {
            return;
        }
        reader.problem(
            Rule::MissingKey,
            self.span.clone(),
            format!("{} has no `{key}`", self.name),
            format!("`{key}` is missing here"),
            format!("add a line such as `{key} = {example}`."),
        );
    }

    /// Says that a list of tables is missing, and what stands in one of them.
    pub(crate) fn missing_table(&self, reader: &mut Reader, key: &str, with: &str) {
        if self.value(key).is_some() || self.misspells(key) {
            return;
        }
        let span = self.span.clone();
        let (message, label) = (format!("{} has no `[[{key}]]`", self.name), format!("`[[{key}]]` is missing here"));
        reader.problem(Rule::MissingKey, span, message, label, format!("add `[[{key}]]` {with}."));
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
        self.whole(reader, key, (value, span), &example.to_string(), least..=most)
    }

    fn whole(
        &self,
        reader: &mut Reader,
        key: &str,
        (value, span): (&DeValue<'_>, Range<usize>),
        example: &str,
        bounds: RangeInclusive<u64>,
    ) -> Option<At<u64>> {
        let DeValue::Integer(number) = value else {
            self.wrong(reader, key, value, span, "a whole number", example);
            return None;
        };
        match i128::from_str_radix(number.as_str(), number.radix()).map(u64::try_from) {
            Ok(Ok(value)) if bounds.contains(&value) => Some(At { value, span }),
            _ => {
                let (least, most) = bounds.into_inner();
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

    /// A list of numbers from 0 to `most`.
    pub(crate) fn numbers(&self, reader: &mut Reader, key: &str, example: &str, most: u64) -> Option<At<Vec<At<u64>>>> {
        let (value, span) = self.value(key)?;
        let DeValue::Array(list) = value else {
            self.wrong(reader, key, value, span, "a list of numbers", example);
            return None;
        };
        let each = list.iter().map(|item| match item.get_ref() {
            DeValue::Integer(_) => self.whole(reader, key, (item.get_ref(), item.span()), example, 0..=most),
            other => {
                self.wrong(reader, key, other, item.span(), "a list of numbers", example);
                None
            }
        });
        // One that cannot be read would be missed in the count.
        each.collect::<Vec<_>>().into_iter().collect::<Option<_>>().map(|value| At { value, span })
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
                match value {
                    DeValue::Table(_) => format!("write `[[{key}]]`, with two brackets."),
                    _ => format!("write `{key} = [{{ ... }}]`."),
                },
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
