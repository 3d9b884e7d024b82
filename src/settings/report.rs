//! What the reading of a configuration finds: mistakes, warnings, parts not built, keys known and unknown.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::mistake::{Mistake, kebab};
use super::{foreign, source};

/// What the reading of a configuration found.
#[derive(Default)]
pub(super) struct Report {
    mistakes: RefCell<Vec<Mistake>>,
    warnings: RefCell<Vec<String>>,
    unbuilt: RefCell<Vec<String>>,
    known: RefCell<BTreeSet<String>>,
    unknown: RefCell<Vec<Unknown>>,
}

/// A key that nobody asked for.
pub(super) struct Unknown {
    pub(super) path: String,
    pub(super) key: String,
    /// The path of the nearest key beside it.
    pub(super) near: Option<String>,
    /// The variable of the environment that it comes from.
    pub(super) variable: Option<String>,
}

impl Unknown {
    /// Says that there is no such key, where it comes from, and what may be meant: a key beside it, one that has another
    /// name elsewhere, or one that stands in another place.
    fn mistake(self, known: &BTreeSet<String>) -> Mistake {
        let end = format!(".{}", self.key);
        let elsewhere = || known.iter().find(|path| path.ends_with(&end) || **path == self.key);
        let hint = if let Some(near) = &self.near {
            self.did_you_mean(near)
        } else if let Some(ours) = foreign::ours(&kebab(&self.key)) {
            format!("; here it is {ours}")
        } else {
            elsewhere().map(|path| self.did_you_mean(path)).unwrap_or_default()
        };
        let from = self.variable.map(|name| format!(" (from {name})")).unwrap_or_default();
        Mistake { place: self.path, problem: format!("no such key{from}{hint}") }
    }

    /// Names a key as whoever wrote this one would write it. Keys inside a list have no variable.
    fn did_you_mean(&self, path: &str) -> String {
        if self.variable.is_some() && !path.contains('[') {
            format!("; did you mean {}?", source::variable(path))
        } else {
            format!("; did you mean {path}?")
        }
    }
}

/// A [`Report`] that is complete.
pub(super) struct Findings {
    pub(super) mistakes: Vec<Mistake>,
    pub(super) warnings: Vec<String>,
    /// Paths of keys that ask for parts that are not built yet.
    pub(super) unbuilt: Vec<String>,
}

impl Report {
    pub(super) fn mistake(&self, place: impl Into<String>, problem: impl Into<String>) {
        self.mistakes.borrow_mut().push(Mistake { place: place.into(), problem: problem.into() });
    }

    pub(super) fn warning(&self, place: &str, text: &str) {
        self.warnings.borrow_mut().push(format!("{place}: {text}"));
    }

    /// Notes a key that asks for a part that is not built yet.
    pub(super) fn unbuilt(&self, path: String) {
        self.unbuilt.borrow_mut().push(path);
    }

    /// Notes a key that somebody asked for.
    pub(super) fn known(&self, path: &str) {
        self.known.borrow_mut().insert(without_indexes(path));
    }

    /// Notes a key that nobody asked for.
    pub(super) fn unknown(&self, unknown: Unknown) {
        self.unknown.borrow_mut().push(unknown);
    }

    /// Returns the paths of all keys that were asked for, `[]` for any index.
    #[cfg(test)]
    pub(super) fn known_keys(&self) -> BTreeSet<String> {
        self.known.borrow().clone()
    }

    /// Ends the reading. Unknown keys come last: only now all known ones are there to be meant.
    pub(super) fn finish(self) -> Findings {
        let known = self.known.into_inner();
        let mut mistakes = self.mistakes.into_inner();
        mistakes.extend(self.unknown.into_inner().into_iter().map(|key| key.mistake(&known)));
        Findings {
            mistakes,
            warnings: self.warnings.into_inner(),
            unbuilt: self.unbuilt.into_inner(),
        }
    }
}

fn without_indexes(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut inside = false;
    for character in path.chars() {
        match character {
            '[' => {
                inside = true;
                plain.push_str("[]");
            }
            ']' => inside = false,
            _ if inside => {}
            _ => plain.push(character),
        }
    }
    plain
}
