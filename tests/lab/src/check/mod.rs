//! The checker: reads the log of a run and finds what must never happen. It knows nothing of how the run was made.

mod delivery;
mod gauges;
pub(crate) mod history;
mod order;
mod positions;
mod presence;
mod secrecy;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;

pub(crate) use self::gauges::OF_NOBODY;
use self::history::History;
use crate::log::{Micros, seconds};

/// What the plan of a run says about how its log is to be read.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// How long a repair may take: an event may still be on its way to a connection that ends earlier.
    pub(crate) grace: Micros,
    /// After how long without a coming or going every observer must know all of them.
    pub(crate) quiet: Micros,
    /// How long what was sent before an `unsubscribe` was read may still come.
    pub(crate) trip: Micros,
    /// Where loss is legal.
    pub(crate) excuses: Vec<Excuse>,
    /// Times in which nodes may know different things about who is where.
    pub(crate) disturbed: Vec<(Micros, Micros)>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            grace: seconds(7),
            quiet: seconds(10),
            trip: seconds(2),
            excuses: Vec::new(),
            disturbed: Vec::new(),
        }
    }
}

/// A time in which loss is legal of events that were under way, and why.
#[derive(Debug, Clone)]
pub(crate) struct Excuse {
    pub(crate) from: Micros,
    pub(crate) to: Micros,
    pub(crate) why: String,
}

impl Terms {
    fn excuse(&self, sent: Micros, accepted: Micros) -> Option<&str> {
        let excuses = &mut self.excuses.iter();
        excuses
            .find(|excuse| sent <= excuse.to && accepted >= excuse.from)
            .map(|excuse| &*excuse.why)
    }

    fn is_disturbed(&self, from: Micros, to: Micros) -> bool {
        self.disturbed.iter().any(|(begin, end)| from <= *end && to >= *begin)
    }
}

/// What became of one invariant.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Finding {
    /// What it says.
    pub says: &'static str,
    /// How many things were looked at.
    pub checked: u64,
    /// How many of them break it.
    pub violations: u64,
    /// The first few of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
    /// What was lost where that is legal, by the reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub excused: BTreeMap<String, u64>,
}

/// How many examples are kept.
const EXAMPLES: usize = 8;

impl Finding {
    fn new(says: &'static str) -> Self {
        Self { says, ..Self::default() }
    }

    fn check(&mut self, holds: bool, example: impl FnOnce() -> String) {
        self.checked += 1;
        if !holds {
            self.break_by(example());
        }
    }

    fn break_by(&mut self, example: String) {
        self.violations += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(example);
        }
    }
}

/// All invariants by their number.
pub type Findings = BTreeMap<&'static str, Finding>;

/// Checks the invariants I1 to I8, and I10.
pub(crate) fn check(history: &History, terms: &Terms) -> Findings {
    BTreeMap::from([
        ("I1", positions::one_payload_for_each(history)),
        ("I2", order::one_order_without_holes(history)),
        ("I3", delivery::accepted_is_delivered_once(history, terms)),
        ("I4", delivery::refused_is_never_doubled(history)),
        ("I5", delivery::nobody_else_hears(history)),
        ("I6", presence::everybody_agrees(history, terms)),
        ("I7", delivery::between_success_and_leave(history, terms)),
        ("I8", gauges::equal_a_recount(history)),
        ("I10", secrecy::nothing_is_told(history)),
    ])
}
