//! What must hold of each scenario: its bars, where loss is legal, and when nodes may disagree. Reads the log alone.

mod bars;
mod measures;

use serde::Serialize;

use self::measures::Case;
use super::Scenario;
use crate::check::history::History;
use crate::check::{Excuse, Terms};
use crate::log::{Micros, in_seconds, seconds};
use crate::names::Names;

/// When a step was that the log does not have: later than everything, and far from overflowing.
const NEVER: Micros = Micros::MAX / 4;

/// How long what was under way at a fault may still be answered as before.
const SETTLED: Micros = seconds(1) / 20;
/// Most seconds for an answer where Redis gives none: 0.5 to be queued, 2 for the answer, and the load's own delay.
const ANSWER: f64 = 2.75;

/// Most that is added to a limit because the lab stood still: a node that keeps the machine busy is not forgiven.
const FORGIVEN: Micros = seconds(1);

/// A bar: what was measured must not be above the limit.
#[derive(Debug, Clone, Serialize)]
pub struct Bar {
    /// What is measured, with its unit.
    pub says: String,
    /// Most that is allowed.
    pub limit: f64,
    /// Whether it is a time, in which the lab itself may have stood still.
    #[serde(skip)]
    is_time: bool,
    /// `None` where it never happened.
    pub measured: Option<f64>,
    /// Whether it held.
    pub passed: bool,
}

impl Bar {
    pub(crate) fn new(says: impl Into<String>, limit: f64, measured: Option<f64>) -> Self {
        let passed = measured.is_some_and(|measured| measured <= limit);
        Self { says: says.into(), limit, is_time: false, measured, passed }
    }

    /// A time in seconds.
    pub(crate) fn time(says: &str, limit: f64, measured: Option<Micros>) -> Self {
        let bar = Self::new(format!("{says}, s"), limit, measured.map(in_seconds));
        Self { is_time: true, ..bar }
    }

    /// Allows as much more time as the lab itself stood still, but at most [`FORGIVEN`].
    pub(crate) fn forgive(self, stalled: Micros) -> Self {
        let more = if self.is_time { in_seconds(stalled.min(FORGIVEN)) } else { 0.0 };
        let limit = self.limit + more;
        Self { limit, passed: self.measured.is_some_and(|measured| measured <= limit), ..self }
    }

    /// Something that must never happen.
    fn never(says: &str, count: usize) -> Self {
        Self::new(format!("{says}, times"), 0.0, u32::try_from(count).ok().map(f64::from))
    }
}

/// Adds what a scenario allows.
pub(crate) fn allow(scenario: Scenario, history: &History, terms: &mut Terms) {
    let id = scenario.id();
    let excuse = match scenario {
        Scenario::F3 => Some("Redis was killed: what it had taken and not handed on died with it"),
        Scenario::F6a => Some(
            "the master was killed: what it had taken and neither handed on nor replicated died with it",
        ),
        Scenario::F7 => Some(
            "the master was killed: what it had taken and not handed on died with it, the replica was behind",
        ),
        _ => None,
    };
    if let (Some(why), Some(killed)) = (excuse, history.mark(id, "killed")) {
        let (from, to) = (killed.saturating_sub(seconds(1)), killed + seconds(1) / 5);
        terms.excuses.push(Excuse { from, to, why: why.to_owned() });
    }
    match scenario {
        Scenario::F8 => {
            if let Some((cut, healed)) = history.mark(id, "cut").zip(history.mark(id, "healed")) {
                // users of the node that is cut off have gone for the others, and for it nobody comes or goes
                terms.disturbed.push((cut, healed + seconds(6)));
            }
        }
        Scenario::L7 => terms.quiet = seconds(2),
        _ => {}
    }
}

/// Judges a scenario.
pub(crate) fn judge(scenario: Scenario, history: &History, names: &Names) -> Vec<Bar> {
    let case = Case { id: scenario.id(), history, names };
    match scenario {
        Scenario::F1 => case.node_killed(),
        Scenario::F3 => case.redis_killed(),
        Scenario::F4 => case.redis_hung(),
        Scenario::F6a => case.failed_over(),
        Scenario::F7 => case.lagging_promoted(),
        Scenario::F8 => case.cut_off(),
        Scenario::F19 => case.misbehaved(),
        Scenario::L7 => case.churned(),
        Scenario::P1 => case.repaired(),
        Scenario::P2 => case.tails(),
    }
}
