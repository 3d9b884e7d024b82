//! The verdict on a scenario: proofs that the fault happened, that load ran, the invariants, the bars.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::Outcome;
use crate::check::history::{History, Mark};
use crate::check::{Findings, Terms, check};
use crate::faults::{self, Bar, Scenario};
use crate::log::{self, Micros, seconds};
use crate::plan::Run;
use crate::run::{FACTS, Facts, LOG};

/// At least one of so many events that were planned must have been accepted: the longest fault takes half of a run.
const LEAST: u64 = 4;
/// Longest silence of `/up` of a node that runs, in seconds.
const HANG: f64 = 2.0;

/// What became of a scenario.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// Its number.
    pub scenario: &'static str,
    /// What it does.
    pub says: &'static str,
    /// The scenarios that shared its run, and how it was run.
    pub run: crate::plan::Plan,
    /// Whether all below is as it must be.
    pub passed: bool,
    /// What is not, in a line each.
    pub complaints: Vec<String>,
    /// What proves that the fault happened, and how often it was seen.
    pub proofs: BTreeMap<String, u64>,
    /// What the load was.
    pub load: LoadSeen,
    /// How long things took, and how long they may.
    pub bars: Vec<Bar>,
    /// The invariants over the whole run, all its scenarios together.
    pub invariants: Findings,
}

/// The load as the log has it.
#[derive(Debug, Default, Clone, Serialize)]
pub struct LoadSeen {
    /// Sockets that were open when it began.
    pub sockets: u32,
    /// Events by the status of their last answer.
    pub triggers: BTreeMap<u16, u64>,
    /// Events that came to clients.
    pub deliveries: u64,
    /// Comings and goings that observers were told.
    pub members_told: u64,
    /// Subscriptions that were given.
    pub subscriptions: u64,
    /// Upgrades that failed, by status.
    pub turned: BTreeMap<u16, u64>,
    /// Positions that were read in Redis.
    pub positions: u64,
    /// How long the lab itself stood still, in seconds.
    pub stalled: f64,
}

/// Reads the log of a run and judges all its scenarios.
///
/// # Errors
/// The log cannot be read.
pub fn judge(folder: &Path) -> Outcome<Vec<Verdict>> {
    let facts: Facts = serde_json::from_slice(&std::fs::read(folder.join(FACTS))?)?;
    let history = History::of(log::read(&folder.join(LOG))?);
    let run = Run::parse(&facts.plan.run)?;
    let mut terms = Terms::default();
    for scenario in &run.0 {
        faults::allow(*scenario, &history, &mut terms);
    }
    // what it saw late it takes for late
    terms.disturbed.extend(&history.stalls);
    let findings = check(&history, &terms);
    let seen = seen(&history);
    Ok(run
        .0
        .iter()
        .map(|scenario| verdict(*scenario, &history, &facts, &findings, &seen))
        .collect())
}

fn verdict(
    scenario: Scenario,
    history: &History,
    facts: &Facts,
    findings: &Findings,
    seen: &LoadSeen,
) -> Verdict {
    let mut complaints = Vec::new();
    if history.mark("run", "end").is_none() {
        complaints.push("the run has no end".to_owned());
    }
    let own = history.proofs.iter().filter(|(id, ..)| id == scenario.id());
    let proofs: BTreeMap<String, u64> =
        own.map(|(_, what, count)| (what.clone(), *count)).collect();
    if proofs.is_empty() {
        complaints.push("nothing proves that the fault happened".to_owned());
    }
    for (what, _) in proofs.iter().filter(|(_, count)| **count == 0) {
        complaints.push(format!("no proof: {what}"));
    }
    if seen.sockets < facts.plan.size.sockets {
        let (seen, wanted) = (seen.sockets, facts.plan.size.sockets);
        complaints.push(format!("only {seen} of {wanted} sockets"));
    }
    let accepted = seen.triggers.get(&200).copied().unwrap_or(0);
    if accepted == 0 || seen.deliveries == 0 || seen.positions == 0 {
        complaints.push("no load ran".to_owned());
    }
    let planned = facts.plan.seconds * u64::from(facts.plan.size.rate);
    if accepted * LEAST < planned {
        complaints.push(format!("only {accepted} events of {planned} were accepted"));
    }
    let (lost, first) = lost(history);
    if lost > 0 {
        complaints.push(format!("{lost} connections of nodes that ran were lost, such as {first}"));
    }
    for (id, finding) in findings {
        if finding.violations > 0 {
            let first = finding.examples.first().map_or("", String::as_str);
            complaints.push(format!("{id}: {} violations, such as: {first}", finding.violations));
        }
        // I4 looks at what was refused, and a good run has none of it
        if finding.checked == 0 && *id != "I4" {
            complaints.push(format!("{id}: there was nothing to look at"));
        }
    }
    let mut bars = faults::judge(scenario, history, &facts.names);
    let slowest = history.slow.iter().map(|(_, _, millis)| *millis).max().unwrap_or(0);
    let hang = Some(slowest.saturating_mul(1000));
    bars.push(Bar::time("longest answer of /up of a node that runs", HANG, hang));
    let bars: Vec<Bar> = bars.into_iter().map(|bar| bar.forgive(history.stalled())).collect();
    for bar in bars.iter().filter(|bar| !bar.passed) {
        let measured = bar.measured.map_or("never".to_owned(), |measured| format!("{measured:.3}"));
        complaints.push(format!("{}: {measured}, at most {}", bar.says, bar.limit));
    }
    Verdict {
        scenario: scenario.id(),
        says: scenario.says(),
        run: facts.plan.clone(),
        passed: complaints.is_empty(),
        complaints,
        proofs,
        load: seen.clone(),
        bars,
        invariants: findings.clone(),
    }
}

/// Counts the connections that ended by nobody's wish although their node was not killed; names the first.
fn lost(history: &History) -> (usize, u32) {
    let kills: Vec<&Mark> = history.marks.iter().filter(|mark| mark.what == "killed").collect();
    let was_killed = |node: u32, at: Micros| {
        // it is written down after it has happened
        let around = |mark: &Mark| mark.at.saturating_sub(seconds(1))..mark.at + seconds(3);
        kills.iter().any(|mark| mark.node == Some(node) && around(mark).contains(&at))
    };
    let ended = history.connections.iter().filter(|(_, connection)| !connection.ours);
    let mut lost = ended
        .filter(|(_, connection)| {
            connection.closed.is_some_and(|at| !was_killed(connection.node, at))
        })
        .map(|(conn, _)| *conn);
    let first = lost.next();
    (lost.count() + usize::from(first.is_some()), first.unwrap_or(u32::MAX))
}

fn seen(history: &History) -> LoadSeen {
    let begin = history.mark("run", "begin").unwrap_or(0);
    let were_there = history.connections.values().filter(|connection| {
        connection.opened <= begin && connection.closed.is_none_or(|closed| closed > begin)
    });
    let sockets = u32::try_from(were_there.count()).unwrap_or(u32::MAX);
    let mut seen = LoadSeen { sockets, ..LoadSeen::default() };
    for event in history.events.values() {
        let status = event.answered.map_or(0, |(_, status)| status);
        *seen.triggers.entry(status).or_default() += 1;
    }
    for (_, _, status) in &history.turned {
        *seen.turned.entry(*status).or_default() += 1;
    }
    for span in history.spans.iter().filter(|span| span.since.is_some()) {
        seen.subscriptions += 1;
        seen.deliveries += span.got.len() as u64;
        seen.members_told += span.members.len() as u64;
    }
    seen.stalled = log::in_seconds(history.stalled());
    seen.positions = history.kept.values().map(|kept| kept.len() as u64).sum();
    seen
}

#[cfg(test)]
mod tests;
