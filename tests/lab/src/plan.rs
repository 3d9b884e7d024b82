//! What a run is made of: its scenarios, how large it is, and what it is called.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Outcome;
use crate::faults::Scenario;
use crate::load::Size;
use crate::world::Topology;

/// The runs of the gate: every scenario that a change must pass, as few runs as they can share without disturbing each other.
pub const GATE: [&str; 5] = ["L7+P1+P2", "F3+F4", "F6a+F1", "F8+F7", "F19"];
/// Seconds before the first fault and after the last.
const MARGIN: u64 = 3;

/// Scenarios that share one world and one load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run(pub Vec<Scenario>);

impl Run {
    /// Reads scenarios that are joined by `+`.
    ///
    /// # Errors
    /// One is not known, given twice, or they need different worlds.
    pub fn parse(text: &str) -> Outcome<Self> {
        let mut scenarios = Vec::new();
        for id in text.split('+') {
            let scenario = Scenario::of(id).ok_or_else(|| format!("there is no scenario {id}"))?;
            if scenarios.contains(&scenario) {
                return Err(format!("{id} is given twice").into());
            }
            scenarios.push(scenario);
        }
        let run = Self(scenarios);
        let needs = |topology| run.0.iter().any(|scenario| scenario.topology() == Some(topology));
        if needs(Topology::Proxied) && needs(Topology::Sentinels) {
            return Err(format!("{text}: some need Sentinels, some a proxy before Redis").into());
        }
        Ok(run)
    }

    /// Returns the world that the run needs.
    pub fn topology(&self) -> Topology {
        self.0.iter().find_map(|scenario| scenario.topology()).unwrap_or(Topology::Proxied)
    }

    /// Returns how long it takes at least, in seconds.
    pub fn takes(&self) -> u64 {
        let foreground: u64 = self.0.iter().filter_map(|scenario| scenario.takes()).sum();
        foreground + 2 * MARGIN
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.0.iter().map(|scenario| scenario.id()).collect();
        f.write_str(&ids.join("+"))
    }
}

/// How a run is run. Stands in `run.json` beside its log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// Scenarios, joined by `+`.
    pub run: String,
    /// Decides what is left to chance.
    pub seed: u64,
    /// How long the load runs.
    pub seconds: u64,
    /// How many nodes there are.
    pub nodes: u32,
    /// How large the load is.
    pub size: Size,
}

impl Plan {
    /// Makes the plan of a run.
    ///
    /// # Errors
    /// It is too short for its scenarios.
    pub fn new(run: &Run, seed: u64, seconds: u64, nodes: u32, mut size: Size) -> Outcome<Self> {
        if seconds < run.takes() {
            return Err(format!("{run} takes at least {} s", run.takes()).into());
        }
        for scenario in &run.0 {
            scenario.enlarge(&mut size);
        }
        Ok(Self { run: run.to_string(), seed, seconds, nodes, size })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use super::*;

    #[test]
    fn the_gate_has_its_ten_scenarios_in_runs_of_a_minute() {
        let runs: Vec<Run> = GATE.iter().map(|text| Run::parse(text).unwrap()).collect();
        let scenarios: usize = runs.iter().map(|run| run.0.len()).sum();
        assert_eq!(scenarios, 10);
        assert!(runs.iter().all(|run| run.takes() <= 60), "{runs:?}");
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        for text in ["", "F99", "F1+F1", "F1+", "F6a+F8"] {
            assert!(Run::parse(text).is_err(), "{text}");
        }
        let run = Run::parse("F8").unwrap();
        let size = Size { sockets: 10, rate: 1, churn: 0, tails: 0 };
        assert!(Plan::new(&run, 1, 10, 3, size).is_err());
    }

    #[test]
    fn a_run_is_called_by_its_scenarios() {
        for text in GATE.into_iter().chain(["F1"]) {
            assert_eq!(Run::parse(text).unwrap().to_string(), text);
        }
    }
}
