//! What is wrong with a configuration: every mistake at once, each with its key.

use std::fmt;

use crate::visible::visible;

/// One thing that must be put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The key's path, such as `applications[0].limits.channel-name`, or the file that cannot be read.
    pub place: String,
    /// What is wrong. Never holds a secret.
    pub problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", visible(&self.place), visible(&self.problem))
    }
}

/// Every mistake of a configuration, in the order of its reading. `Display` prints one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsErrors {
    /// Never empty.
    pub mistakes: Vec<Mistake>,
}

impl fmt::Display for SettingsErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsErrors {}

/// Returns the known key that is nearest to an unknown one, if any is near enough to be meant.
pub(super) fn nearest<'a>(unknown: &str, known: &'a [String]) -> Option<&'a str> {
    let unknown = kebab(unknown);
    known
        .iter()
        .map(|key| (distance(&unknown, key), key.as_str()))
        .filter(|(distance, key)| *distance <= 2.max(key.len() / 3))
        .min()
        .map(|(_, key)| key)
}

/// Returns a key of another fashion (`maxConnections`, `max_connections`) in kebab-case, cut at 64 characters.
pub(super) fn kebab(key: &str) -> String {
    let mut kebab = String::new();
    for character in key.chars().take(64) {
        match character {
            '_' | ' ' | '.' => kebab.push('-'),
            _ if character.is_uppercase() => {
                if !kebab.is_empty() && !kebab.ends_with('-') {
                    kebab.push('-');
                }
                kebab.extend(character.to_lowercase());
            }
            _ => kebab.push(character),
        }
    }
    kebab
}

/// Returns how many insertions, deletions and replacements turn one text into the other (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (line, from) in left.chars().enumerate() {
        let mut diagonal = line;
        let mut before = line + 1;
        let mut next = vec![before];
        for (cell, to) in row.iter().skip(1).zip(right.chars()) {
            let cost = usize::from(from != to);
            before = (diagonal + cost).min(before + 1).min(cell + 1);
            diagonal = *cell;
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshtein() {
        let pairs = [
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("port", "prot", 2),
            ("a", "a", 0),
        ];
        for (left, right, expected) in pairs {
            assert_eq!(distance(left, right), expected, "{left} {right}");
            assert_eq!(distance(right, left), expected, "{right} {left}");
        }
    }

    #[test]
    fn other_fashions_and_slips_find_their_key() {
        let known: Vec<String> =
            ["max-connections", "port", "private-key"].map(str::to_owned).into();
        assert_eq!(nearest("maxConnections", &known), Some("max-connections"));
        assert_eq!(nearest("max_conections", &known), Some("max-connections"));
        assert_eq!(nearest("prot", &known), Some("port"));
        assert_eq!(nearest("zebra-crossing", &known), None);
    }
}
