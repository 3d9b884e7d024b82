//! What the reading of a configuration finds: mistakes, warnings, parts not built, keys known and unknown.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::mistake::Mistake;

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
struct Unknown {
    path: String,
    key: String,
    /// The path of the nearest key beside it.
    near: Option<String>,
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

    /// Notes a key that nobody asked for, and the path of the nearest one beside it.
    pub(super) fn unknown(&self, path: String, key: &str, near: Option<String>) {
        self.unknown.borrow_mut().push(Unknown { path, key: key.to_owned(), near });
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
        for unknown in self.unknown.into_inner() {
            let elsewhere = || {
                let end = format!(".{}", unknown.key);
                known.iter().find(|path| path.ends_with(&end) || **path == unknown.key)
            };
            let meant = match unknown.near.as_ref().or_else(elsewhere) {
                Some(path) => format!("; did you mean {path}?"),
                None => String::new(),
            };
            mistakes.push(Mistake { place: unknown.path, problem: format!("no such key{meant}") });
        }
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
