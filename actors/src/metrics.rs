//! All counters and gauges of a node: atomics that any thread raises and that a scrape reads.
//!
//! What happens per delivery is added up first and counted once for the whole fan-out. Numbers are
//! read one after another, so two of them may differ by what happened in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;

use crate::config::Apps;
use crate::protocol::AppId;

/// A number that only grows. Relaxed: it orders nothing else.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Returns what has been added since the start.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Returns what it was set to last; 0 at the start.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many of something are alive.
#[derive(Debug, Default)]
pub struct Living(Arc<AtomicU64>);

/// One that is alive; it is counted until it is dropped, however it ends.
#[derive(Debug)]
pub(crate) struct Alive(Arc<AtomicU64>);

impl Living {
    pub(crate) fn enter(&self) -> Alive {
        self.0.fetch_add(1, Ordering::Relaxed);
        Alive(Arc::clone(&self.0))
    }

    /// Returns how many there are.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Everything that is counted in one node.
#[derive(Debug)]
pub struct Metrics {
    /// The actors that live, by kind.
    pub actors: LiveActors,
    apps: HashMap<AppId, Arc<AppMetrics>>,
}

/// The actors of a node that live, by kind.
#[derive(Debug, Default)]
pub struct LiveActors {
    /// Connections that have a seat on a desk, one actor each.
    pub sessions: Living,
    /// Channels that are occupied or remember an event.
    pub channels: Living,
    /// One for each worker thread.
    pub couriers: Living,
    /// One for each worker thread.
    pub registries: Living,
    /// One for each worker thread.
    pub users: Living,
}

/// What is counted for one application.
#[derive(Debug, Default)]
pub struct AppMetrics {
    /// Connections that were established.
    pub connections_opened: Counter,
    /// Established connections that have ended.
    pub connections_closed: Counter,
    /// Connections closed because their client did not read.
    pub evictions: Counter,
    /// Messages queued to sockets, replies to clients included; bytes with their frame headers.
    pub sent: Traffic,
    /// Text messages taken from clients; bytes without frame headers.
    pub received: Traffic,
    /// Events accepted from the HTTP API, one for each channel.
    pub published: Counter,
    /// Calls that publish.
    pub triggers: Outcomes,
    /// All other API calls.
    pub queries: Outcomes,
    /// API calls whose signature was missing, wrong or too old.
    pub signature_failures: Counter,
    /// Bytes of API request bodies that were read.
    pub api_request_bytes: Counter,
    /// Bytes of API response bodies.
    pub api_response_bytes: Counter,
}

impl AppMetrics {
    /// Returns how many connections are open.
    pub fn connections(&self) -> u64 {
        let closed = self.connections_closed.get();
        self.connections_opened.get().saturating_sub(closed)
    }
}

/// Messages and their bytes.
#[derive(Debug, Default)]
pub struct Traffic {
    /// How many.
    pub messages: Counter,
    /// How much, in bytes.
    pub bytes: Counter,
}

impl Traffic {
    /// Counts messages of `bytes` bytes in all.
    pub fn add(&self, messages: usize, bytes: usize) {
        self.messages.add(messages as u64);
        self.bytes.add(bytes as u64);
    }
}

/// The statuses that API calls are counted by.
const STATUSES: [u16; 11] = [200, 400, 401, 403, 408, 413, 415, 422, 429, 500, 503];

/// API calls by the status of their answer.
#[derive(Debug, Default)]
pub struct Outcomes {
    known: [Counter; STATUSES.len()],
    other: Counter,
}

impl Outcomes {
    /// Counts a call.
    pub fn add(&self, status: u16) {
        let index = STATUSES.iter().position(|known| *known == status);
        let counter = index.and_then(|index| self.known.get(index));
        counter.unwrap_or(&self.other).add(1);
    }

    /// Returns how many there were of each status; `None` stands for all statuses without a counter.
    pub fn by_status(&self) -> impl Iterator<Item = (Option<u16>, u64)> {
        let known = STATUSES.iter().zip(&self.known);
        known
            .map(|(status, counter)| (Some(*status), counter.get()))
            .chain([(None, self.other.get())])
    }

    /// Returns how many there were.
    pub fn total(&self) -> u64 {
        self.by_status().map(|(_, count)| count).sum()
    }
}

impl Metrics {
    /// Starts at nothing, with a place for each application.
    pub(crate) fn new(apps: &Apps) -> Self {
        Self {
            actors: LiveActors::default(),
            apps: apps.iter().map(|app| (app.id.clone(), Arc::default())).collect(),
        }
    }

    /// Returns what is counted for an application. An unknown one gets counters that nobody reads.
    pub fn of(&self, app: &AppId) -> Arc<AppMetrics> {
        self.apps.get(app).map(Arc::clone).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_living_are_counted_until_they_are_dropped() {
        let living = Living::default();
        let (first, second) = (living.enter(), living.enter());
        assert_eq!(living.get(), 2);
        drop(first);
        assert_eq!(living.get(), 1);
        drop(second);
        assert_eq!(living.get(), 0);
    }

    #[test]
    fn every_status_is_counted_somewhere() {
        let outcomes = Outcomes::default();
        for status in [200, 503, 200, 418] {
            outcomes.add(status);
        }
        let counted: Vec<_> = outcomes.by_status().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [(Some(200), 2), (Some(503), 1), (None, 1)]);
        assert_eq!(outcomes.total(), 4);
    }
}
