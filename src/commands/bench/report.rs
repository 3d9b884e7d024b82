//! The report of a measurement: its figures under stable names, and what was wrong.

use std::time::Duration;

use hdrhistogram::CreationError;
use serde::Serialize;

use super::latency::{Latencies, Quantiles};
use super::ledger::{Deliveries, Events};
use super::plan::Plan;
use super::stamp::Phase;
use super::table::grouped;
use super::tally::{Causes, Part, count};
use crate::commands::target::Target;

/// Everything that was seen.
#[derive(Debug)]
pub(super) struct Outcome {
    /// How long connecting took.
    pub(super) connecting: Duration,
    /// How long the measured part took, the arrival of its last delivery included.
    pub(super) measured: Duration,
    pub(super) interrupted: bool,
    /// Why the run was given up.
    pub(super) hopeless: Option<String>,
    pub(super) unsent: u64,
    pub(super) trigger: Latencies,
    made: u64,
    failed: Causes,
    closed: Causes,
    handshake: Latencies,
    subscribe: Latencies,
    delivery: Latencies,
    warm_up: (Events, Deliveries),
    load: (Events, Deliveries),
}

impl Outcome {
    /// Begins with nothing seen.
    ///
    /// # Errors
    /// Never: the bounds of latencies are right.
    pub(super) fn new() -> Result<Self, CreationError> {
        Ok(Self {
            connecting: Duration::ZERO,
            measured: Duration::ZERO,
            interrupted: false,
            hopeless: None,
            unsent: 0,
            trigger: Latencies::new()?,
            made: 0,
            failed: Causes::new(),
            closed: Causes::new(),
            handshake: Latencies::new()?,
            subscribe: Latencies::new()?,
            delivery: Latencies::new()?,
            warm_up: Default::default(),
            load: Default::default(),
        })
    }

    /// Takes what a thread has seen.
    pub(super) fn take(&mut self, part: &Part) {
        self.made += part.seats().len() as u64;
        self.handshake.add(&part.handshake);
        self.subscribe.add(&part.subscribe);
        self.delivery.add(&part.delivery);
        for (causes, more) in [(&mut self.failed, &part.failed), (&mut self.closed, &part.closed)] {
            for (cause, times) in more {
                count(causes, cause.clone(), *times);
            }
        }
    }

    /// Takes the account of a phase.
    pub(super) fn phase(&mut self, phase: Phase, events: Events, deliveries: Deliveries) {
        match phase {
            Phase::WarmUp => self.warm_up = (events, deliveries),
            Phase::Measured => self.load = (events, deliveries),
        }
    }

    /// Says everything that is not as it should be.
    fn problems(&self, asked: u32) -> Vec<String> {
        let mut problems: Vec<String> = self
            .hopeless
            .iter()
            .map(|cause| format!("given up: {cause}; check --app, --app-key and the secret"))
            .collect();
        let mut tell = |what: &str, count: u64, cause: &str| {
            if count > 0 {
                let cause = if cause.is_empty() { String::new() } else { format!(" ({cause})") };
                problems.push(format!("{what}: {}{cause}", grouped(count)));
            }
        };
        for (cause, count) in &self.failed {
            tell("sockets not connected", *count, cause);
        }
        if self.failed.is_empty() && !self.interrupted {
            tell("sockets not connected", u64::from(asked).saturating_sub(self.made), "");
        }
        for (cause, count) in &self.closed {
            tell("sockets lost", *count, cause);
        }
        for (when, (events, deliveries)) in [(" in the warm-up", &self.warm_up), ("", &self.load)] {
            for (cause, count) in &events.refused {
                tell(&format!("events refused{when}"), *count, cause);
            }
            tell(&format!("deliveries missing{when}"), deliveries.missing, "");
            tell(&format!("deliveries duplicated{when}"), deliveries.duplicated, "");
            tell(&format!("deliveries out of order{when}"), deliveries.out_of_order, "");
            tell(&format!("deliveries of events not accepted{when}"), deliveries.unaccepted, "");
            tell(&format!("deliveries of events not sent there{when}"), deliveries.stray, "");
        }
        tell("events due and not sent", self.unsent, "raise --publishers or lower --rate");
        problems
    }
}

/// What is printed. The names are stable.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) url: String,
    pub(super) app: String,
    pub(super) options: Plan,
    passed: bool,
    pub(super) interrupted: bool,
    pub(super) problems: Vec<String>,
    pub(super) connections: Connections,
    pub(super) events: Sent,
    pub(super) deliveries: Received,
    pub(super) latency_ms: Tables,
    pub(super) warm_up: WarmUp,
}

#[derive(Debug, Serialize)]
pub(super) struct Connections {
    pub(super) asked: u32,
    pub(super) made: u64,
    pub(super) per_second: f64,
    pub(super) failed: Causes,
    pub(super) closed: Causes,
}

#[derive(Debug, Serialize)]
pub(super) struct Sent {
    #[serde(flatten)]
    pub(super) count: Events,
    /// Due and not sent, because no publisher was free in time.
    pub(super) unsent: u64,
    /// Accepted ones.
    pub(super) per_second: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct Received {
    #[serde(flatten)]
    pub(super) count: Deliveries,
    pub(super) per_second: f64,
}

/// Latencies in milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct Tables {
    /// From the first packet to the server's greeting.
    pub(super) handshake: Option<Quantiles>,
    /// From the subscription to its success.
    pub(super) subscribe: Option<Quantiles>,
    /// From when an event was due to its 2xx.
    pub(super) trigger: Option<Quantiles>,
    /// From when an event was due to its arrival at one subscriber.
    pub(super) delivery: Option<Quantiles>,
}

#[derive(Debug, Serialize)]
pub(super) struct WarmUp {
    events: Events,
    deliveries: Deliveries,
}

impl Report {
    pub(super) fn new(target: &Target, options: Plan, outcome: Outcome) -> Self {
        let problems = outcome.problems(options.connections);
        let (events, deliveries) = outcome.load;
        Self {
            url: target.http(""),
            app: target.app_id.clone(),
            passed: problems.is_empty(),
            interrupted: outcome.interrupted,
            problems,
            connections: Connections {
                asked: options.connections,
                made: outcome.made,
                per_second: per_second(outcome.made, outcome.connecting),
                failed: outcome.failed,
                closed: outcome.closed,
            },
            events: Sent {
                unsent: outcome.unsent,
                per_second: per_second(events.accepted, outcome.measured),
                count: events,
            },
            deliveries: Received {
                per_second: per_second(deliveries.received, outcome.measured),
                count: deliveries,
            },
            latency_ms: Tables {
                handshake: outcome.handshake.quantiles(),
                subscribe: outcome.subscribe.quantiles(),
                trigger: outcome.trigger.quantiles(),
                delivery: outcome.delivery.quantiles(),
            },
            warm_up: WarmUp { events: outcome.warm_up.0, deliveries: outcome.warm_up.1 },
            options,
        }
    }

    /// Tells whether everything arrived once and in order.
    pub(super) const fn passed(&self) -> bool {
        self.passed
    }

    /// Returns it as JSON.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

/// Cut to tenths; 0 where no time went by.
fn per_second(count: u64, time: Duration) -> f64 {
    let tenths = u128::from(count) * 10_000_000_000 / time.as_nanos().max(1);
    match u32::try_from(tenths) {
        Ok(tenths) if !time.is_zero() => f64::from(tenths) / 10.0,
        _ => 0.0,
    }
}
