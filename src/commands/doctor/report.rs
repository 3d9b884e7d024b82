//! What was found: one line a step, and what that means for the exit code.

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::process::ExitCode;

use crate::commands::say;
use crate::visible::visible;

/// Longest line in characters: what servers say of themselves is theirs to choose.
const LONGEST: usize = 1000;

/// The steps of an examination, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Name,
    Tcp,
    Tls,
    Upgrade,
    Subscribe,
    Trigger,
    Silence,
}

const STEPS: [Step; 7] = [
    Step::Name,
    Step::Tcp,
    Step::Tls,
    Step::Upgrade,
    Step::Subscribe,
    Step::Trigger,
    Step::Silence,
];

impl Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Name => "name",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Upgrade => "upgrade",
            Self::Subscribe => "subscribe",
            Self::Trigger => "trigger",
            Self::Silence => "silence",
        })
    }
}

/// What one step found.
#[derive(Debug)]
pub(super) struct Finding<T> {
    is_well: bool,
    /// What is well, or what to do.
    pub(super) words: String,
    /// What the next steps need; without it they are not tried.
    found: Option<T>,
}

impl<T> Finding<T> {
    /// All is well.
    pub(super) fn well(words: impl Into<String>, found: T) -> Self {
        Self { is_well: true, words: words.into(), found: Some(found) }
    }

    /// Something is to be done, and the next steps can be tried all the same.
    pub(super) fn flaw(words: impl Into<String>, found: T) -> Self {
        Self { is_well: false, words: words.into(), found: Some(found) }
    }

    /// Something is to be done first.
    pub(super) fn stop(words: impl Into<String>) -> Self {
        Self { is_well: false, words: words.into(), found: None }
    }
}

impl Finding<()> {
    /// Puts together what was found at each address; the next steps take the first that is well, or else can be passed.
    pub(super) fn of_each(each: &[(SocketAddr, Self)]) -> Finding<SocketAddr> {
        let is_alike = each.iter().all(|(_, finding)| {
            each.first().is_some_and(|(_, first)| finding.words == first.words)
        });
        let words: Vec<String> = if is_alike {
            each.first().map(|(_, finding)| finding.words.clone()).into_iter().collect()
        } else {
            each.iter().map(|(address, finding)| format!("{address}: {}", finding.words)).collect()
        };
        let well = each.iter().find(|(_, finding)| finding.is_well);
        let passed = well.or_else(|| each.iter().find(|(_, finding)| finding.found.is_some()));
        Finding {
            is_well: each.iter().all(|(_, finding)| finding.is_well),
            words: words.join("; "),
            found: passed.map(|(address, _)| *address),
        }
    }
}

/// What was told so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    told: Vec<Step>,
    is_ill: bool,
}

impl Report {
    /// Tells what a step found, and returns what the next ones need.
    pub(super) fn tell<T>(&mut self, step: Step, finding: Finding<T>) -> Option<T> {
        self.is_ill |= !finding.is_well;
        self.line(if finding.is_well { "OK" } else { "FIX" }, step, &finding.words);
        finding.found
    }

    /// Tells why a step is left out.
    pub(super) fn skip(&mut self, step: Step, words: &str) {
        self.line("-", step, words);
    }

    /// Tells which steps were not come to, and returns the exit code.
    pub(super) fn finish(mut self) -> ExitCode {
        for step in STEPS {
            if !self.told.contains(&step) {
                self.line("-", step, "not come to");
            }
        }
        if self.is_ill { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    fn line(&mut self, mark: &str, step: Step, words: &str) {
        self.told.push(step);
        let mut start: String = words.chars().take(LONGEST).collect();
        if start.len() < words.len() {
            start.push('…');
        }
        // A report that nobody can have read is not one that says all is well.
        self.is_ill |= say(format_args!("{mark:<5} {step:<10} {}", visible(&start))).is_err();
    }
}
