//! One object of the configuration, read key by key: what is wrong goes to a report, what is absent has a default.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use config::{Map, Value, ValueKind};

use super::json;
use super::mistake::nearest;
use super::report::{Report, Unknown};
use super::source;

/// A key that is wrong, which the report has: nothing more is to be said of it.
#[derive(Debug)]
pub(super) struct Said;

/// One JSON object. Reading a key takes it out; what is left at [`Section::finish`] is unknown.
pub(super) struct Section<'a> {
    path: String,
    entries: Map<String, Value>,
    known: Vec<String>,
    report: &'a Report,
}

impl<'a> Section<'a> {
    pub(super) fn new(path: String, entries: Map<String, Value>, report: &'a Report) -> Self {
        Self { path, entries, known: Vec::new(), report }
    }

    /// Reads one element of a list as an object; anything else is a mistake and reads as an empty one.
    pub(super) fn of(path: String, value: Value, report: &'a Report) -> Self {
        let ValueKind::Table(entries) = value.kind else {
            report.mistake(&path, wrong_type("an object", &value));
            return Self::new(path, Map::new(), report);
        };
        Self::new(path, entries, report)
    }

    pub(super) fn report(&self) -> &'a Report {
        self.report
    }

    /// Returns the path of a key, as mistakes name it.
    pub(super) fn at(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Notes a mistake at a key.
    pub(super) fn mistake(&self, key: &str, problem: impl Into<String>) {
        self.report.mistake(self.at(key), problem);
    }

    /// Notes that a key asks for a part that is not built yet.
    pub(super) fn unbuilt(&self, key: &str) {
        self.report.unbuilt(self.at(key));
    }

    /// Tells whether a key is present and not null.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|value| value.kind != ValueKind::Nil)
    }

    /// Takes a key out; null counts as absent.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.known.push(key.to_owned());
        self.entries.remove(key).filter(|value| value.kind != ValueKind::Nil)
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self) {
        let mut unknown: Vec<(&String, &Value)> = self.entries.iter().collect();
        unknown.sort_by_key(|(key, _)| *key);
        for (key, value) in unknown {
            let path = self.at(key);
            let near = nearest(key, &self.known).map(|near| self.at(near));
            let variable = source::given_by(&path, value);
            self.report.unknown(Unknown { path, key: key.clone(), near, variable });
        }
        for key in &self.known {
            self.report.known(&self.at(key));
        }
    }

    // === Values ===

    pub(super) fn text(&mut self, key: &str, default: &str) -> String {
        self.optional_text(key).unwrap_or_else(|| default.to_owned())
    }

    pub(super) fn optional_text(&mut self, key: &str) -> Option<String> {
        self.given_text(key).ok().flatten()
    }

    fn given_text(&mut self, key: &str) -> Result<Option<String>, Said> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        let ValueKind::String(text) = value.kind else {
            self.mistake(key, wrong_type("a text", &value));
            return Err(Said);
        };
        Ok(Some(text))
    }

    pub(super) fn flag(&mut self, key: &str, default: bool) -> bool {
        let Some(value) = self.take(key) else {
            return default;
        };
        match &value.kind {
            ValueKind::Boolean(flag) => *flag,
            ValueKind::String(text) if source::is_environment(&value) && text == "true" => true,
            ValueKind::String(text) if source::is_environment(&value) && text == "false" => false,
            _ => {
                self.mistake(key, self.wrong(key, "true or false", &value));
                default
            }
        }
    }

    /// Reads a whole number of a range. The range must fit `T`; what does not reads as the default.
    pub(super) fn number<T: TryFrom<i64>>(
        &mut self,
        key: &str,
        range: &RangeInclusive<i64>,
        default: T,
    ) -> T {
        self.whole(key, range, false).and_then(|n| T::try_from(n).ok()).unwrap_or(default)
    }

    /// As [`Self::number`]; -1 = no limit = `None`.
    pub(super) fn limit<T: TryFrom<i64>>(
        &mut self,
        key: &str,
        range: &RangeInclusive<i64>,
        default: Option<T>,
    ) -> Option<T> {
        match self.whole(key, range, true) {
            None => default,
            Some(number) => T::try_from(number).ok().filter(|_| number >= 0),
        }
    }

    /// Reads a number of seconds.
    pub(super) fn seconds(
        &mut self,
        key: &str,
        range: &RangeInclusive<i64>,
        default: Duration,
    ) -> Duration {
        Duration::from_secs(self.number(key, range, default.as_secs()))
    }

    fn whole(&mut self, key: &str, range: &RangeInclusive<i64>, or_none: bool) -> Option<i64> {
        let value = self.take(key)?;
        let number = match &value.kind {
            ValueKind::I64(number) => Some(*number),
            ValueKind::String(text) if source::is_environment(&value) => text.trim().parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if range.contains(&number) || (or_none && number == -1) => Some(number),
            _ => {
                let no_limit = if or_none { ", or -1 for no limit" } else { "" };
                let expected =
                    format!("a whole number from {} to {}{no_limit}", range.start(), range.end());
                self.mistake(key, self.wrong(key, &expected, &value));
                None
            }
        }
    }

    /// Reads one of some words.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, words: &[(&str, T)], default: T) -> T {
        let Some(value) = self.take(key) else {
            return default;
        };
        if let ValueKind::String(text) = &value.kind
            && let Some((_, chosen)) = words.iter().find(|(word, _)| word == text)
        {
            return *chosen;
        }
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let expected = format!("one of {}", words.join(", "));
        self.mistake(key, self.wrong(key, &expected, &value));
        default
    }

    /// Reads a secret, from the key itself or from the file that `⟨key⟩-file` names; an empty one if it is absent.
    pub(super) fn secret(&mut self, key: &str) -> Result<String, Said> {
        let file_key = format!("{key}-file");
        let Some(file) = self.chosen_file(key, &file_key)? else {
            return Ok(self.given_text(key)?.unwrap_or_default());
        };
        match source::read_text(&file) {
            Ok(text) => {
                let text = text.strip_suffix('\n').unwrap_or(&text);
                let text = text.strip_suffix('\r').unwrap_or(text);
                if text.is_empty() {
                    self.mistake(&file_key, format!("{} is empty", file.display()));
                    return Err(Said);
                }
                Ok(text.to_owned())
            }
            Err(problem) => {
                self.mistake(&file_key, format!("{} {problem}", file.display()));
                Err(Said)
            }
        }
    }

    /// Returns the file to read instead of `key`. The environment beats the file; both in one place are a mistake.
    fn chosen_file(&mut self, key: &str, file_key: &str) -> Result<Option<PathBuf>, Said> {
        let given = self.has(key).then(|| self.entries.get(key)).flatten();
        let in_environment = given.map(source::is_environment);
        let Some(file) = self.take(file_key) else {
            return Ok(None);
        };
        let ValueKind::String(path) = &file.kind else {
            self.take(key);
            self.mistake(file_key, wrong_type("a path", &file));
            return Err(Said);
        };
        match (in_environment, source::is_environment(&file)) {
            (Some(true), false) => return Ok(None),
            (Some(true), true) | (Some(false), false) => {
                self.mistake(file_key, format!("give {key} or {file_key}, not both"));
            }
            (None | Some(false), _) => {}
        }
        self.take(key);
        Ok(Some(PathBuf::from(path)))
    }

    // === Nested values ===

    /// Returns a nested object; an empty one if it is absent.
    pub(super) fn section(&mut self, key: &str) -> Self {
        let path = self.at(key);
        match self.structured(key) {
            Some(value) => Self::of(path, value, self.report),
            None => Self::new(path, Map::new(), self.report),
        }
    }

    /// Returns the elements of a list with their paths.
    pub(super) fn list(&mut self, key: &str) -> Vec<(String, Value)> {
        match self.structured(key) {
            Some(value) => self.elements(key, value),
            None => Vec::new(),
        }
    }

    /// As [`Self::list`], or the JSON list in the file that `⟨key⟩-file` names.
    pub(super) fn list_or_file(&mut self, key: &str) -> Vec<(String, Value)> {
        let file_key = format!("{key}-file");
        let file = match self.chosen_file(key, &file_key) {
            Ok(Some(file)) => file,
            Ok(None) => return self.list(key),
            Err(Said) => return Vec::new(),
        };
        match source::read_text(&file).and_then(|text| self.parse(key, &text)) {
            Ok(value) => self.elements(key, value),
            Err(problem) => {
                self.mistake(&file_key, format!("{}: {problem}", file.display()));
                Vec::new()
            }
        }
    }

    fn parse(&self, key: &str, text: &str) -> Result<Value, String> {
        let parsed = json::parse(text, &self.at(key), self.report);
        parsed.map_err(|error| format!("not valid JSON: {error}"))
    }

    fn elements(&self, key: &str, value: Value) -> Vec<(String, Value)> {
        let ValueKind::Array(items) = value.kind else {
            self.mistake(key, wrong_type("a list", &value));
            return Vec::new();
        };
        let path = |index| format!("{}[{index}]", self.at(key));
        items.into_iter().enumerate().map(|(index, item)| (path(index), item)).collect()
    }

    /// Returns a list of texts with their paths.
    pub(super) fn texts(&mut self, key: &str) -> Vec<(String, String)> {
        let mut texts = Vec::new();
        for (path, value) in self.list(key) {
            match value.kind {
                ValueKind::String(text) => texts.push((path, text)),
                _ => self.report.mistake(path, wrong_type("a text", &value)),
            }
        }
        texts
    }

    /// Returns an object whose names are free and whose values are texts.
    pub(super) fn pairs(&mut self, key: &str) -> Vec<(String, String)> {
        let mut free = self.section(key);
        let entries = std::mem::take(&mut free.entries);
        let mut pairs = Vec::new();
        for (name, value) in entries {
            match value.kind {
                ValueKind::String(text) => pairs.push((name, text)),
                _ => free.mistake(&name, wrong_type("a text", &value)),
            }
        }
        pairs.sort();
        pairs
    }

    /// Takes out a list or an object, which the environment gives as JSON text.
    fn structured(&mut self, key: &str) -> Option<Value> {
        let value = self.take(key)?;
        match &value.kind {
            ValueKind::String(text) if source::is_environment(&value) => {
                match self.parse(key, text) {
                    Ok(parsed) => Some(parsed),
                    Err(problem) => {
                        let variable = source::variable(&self.at(key));
                        self.mistake(key, format!("{problem} (from {variable})"));
                        None
                    }
                }
            }
            _ => Some(value),
        }
    }

    /// Says what was expected and what came. Not for secrets: it quotes short texts.
    fn wrong(&self, key: &str, expected: &str, value: &Value) -> String {
        let problem = match &value.kind {
            ValueKind::String(text) if text.chars().count() <= 40 => {
                format!("must be {expected}, not {text:?}")
            }
            ValueKind::I64(number) => format!("must be {expected}, not {number}"),
            _ => wrong_type(expected, value),
        };
        if source::is_environment(value) {
            format!("{problem} (from {})", source::variable(&self.at(key)))
        } else {
            problem
        }
    }
}

/// Says what was expected and of which type the value is; never the value.
fn wrong_type(expected: &str, value: &Value) -> String {
    let found = match &value.kind {
        ValueKind::Nil => "null",
        ValueKind::Boolean(_) => "true or false",
        ValueKind::I64(_) => "a number",
        ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) | ValueKind::Float(_) => {
            "a number with a fraction or out of range"
        }
        ValueKind::String(_) => "a text",
        ValueKind::Table(_) => "an object",
        ValueKind::Array(_) => "a list",
    };
    format!("must be {expected}, not {found}")
}
