//! All counters and gauges of a node: atomics that any thread raises and that a scrape reads.
//!
//! What happens per delivery is added up first and counted once for the whole fan-out. Numbers are
//! read one after another, so two of them may differ by what happened in between.

mod delays;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;

pub use self::delays::Delays;
use crate::config::Apps;
use crate::protocol::AppId;
use crate::protocol::kind::ChannelKind;

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

/// A number that its one owner sets.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    pub(crate) fn set(&self, count: usize) {
        self.0.store(count as u64, Ordering::Relaxed);
    }

    /// Returns what was set last.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything that is counted in one node.
#[derive(Debug)]
pub struct Metrics {
    /// The actors that live, by kind.
    pub actors: LiveActors,
    /// How actors have ended, by kind.
    pub ended: EndedActors,
    /// What panicked and was contained, by kind.
    pub panics: Panics,
    /// How late the event loop was, looked at four times a second, by worker: what a socket waits for its turn.
    pub loop_lag: Vec<Delays>,
    /// What the tables hold, by worker.
    pub tables: Vec<Tables>,
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

/// How many actors have ended, by kind. The others stay as long as their worker.
#[derive(Debug, Default)]
pub struct EndedActors {
    /// Sessions.
    pub sessions: Ends,
    /// Channels.
    pub channels: Ends,
}

/// How many actors have ended, by cause.
#[derive(Debug, Default)]
pub struct Ends {
    /// What they were there for was over.
    pub done: Counter,
    /// Their client did not read.
    pub evicted: Counter,
    /// They panicked.
    pub panicked: Counter,
}

impl Ends {
    /// Returns each cause and how many ended by it.
    pub fn by_cause(&self) -> [(&'static str, u64); 3] {
        [
            ("done", self.done.get()),
            ("evicted", self.evicted.get()),
            ("panicked", self.panicked.get()),
        ]
    }
}

/// Commands, turns and tasks that panicked, by kind of actor. A session that panics ends; a registry or users that
/// do end the process.
#[derive(Debug, Default)]
pub struct Panics {
    /// Of channels.
    pub channels: Counter,
    /// Of couriers.
    pub couriers: Counter,
}

/// What the tables of one worker hold: nothing, once every client is gone and every wait is over.
#[derive(Debug, Default)]
pub struct Tables {
    /// Connections on the desk.
    pub seats: Gauge,
    /// Connections that the desk finds by their id.
    pub sockets: Gauge,
    /// Channels that the desk knows subscribers of.
    pub audiences: Gauge,
    /// Subscriptions, user channels included.
    pub subscriptions: Gauge,
    /// Moments at which sessions want to be woken; of a connection that has ended until then.
    pub deadlines: Gauge,
    /// Sockets that take nothing, or are about to be closed.
    pub watched: Gauge,
    /// Bytes that wait for these.
    pub outbox_bytes: Gauge,
    /// The most that wait for one of these.
    pub outbox_bytes_highest: Gauge,
    /// When the event loop was last seen to run, in milliseconds since the node's start.
    pub ran_at: Gauge,
    /// Channels that the registry has.
    pub channels: Gauge,
    /// Connections that are signed in.
    pub signed_in: Gauge,
    /// Users who are online, or are not yet told to have gone.
    pub users: Gauge,
    /// Users who are watched.
    pub watched_users: Gauge,
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
    /// Client events accepted from connections.
    pub client_events: Counter,
    /// Subscriptions that channels of this node hold, by kind of channel.
    pub subscriptions: Subscriptions,
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

/// Live subscriptions, by kind of channel.
#[derive(Debug, Default)]
pub struct Subscriptions([Living; ChannelKind::ALL.len()]);

impl Subscriptions {
    /// Returns those of a kind.
    pub(crate) fn of(&self, kind: ChannelKind) -> Option<&Living> {
        self.0.get(kind as usize)
    }

    /// Returns each kind of channel and how many subscriptions there are.
    pub fn by_kind(&self) -> impl Iterator<Item = (ChannelKind, u64)> {
        ChannelKind::ALL.into_iter().zip(self.0.iter().map(Living::get))
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

/// The lags of event loops that are told apart, in microseconds.
const LAG_BOUNDS: &[u32] =
    &[1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000];

impl Metrics {
    /// Starts at nothing, with a place for each application and each worker.
    pub(crate) fn new(apps: &Apps, workers: usize) -> Self {
        Self {
            actors: LiveActors::default(),
            ended: EndedActors::default(),
            panics: Panics::default(),
            loop_lag: (0..workers).map(|_| Delays::new(LAG_BOUNDS)).collect(),
            tables: (0..workers).map(|_| Tables::default()).collect(),
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
