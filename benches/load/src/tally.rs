//! What has arrived so far, how late, and what went wrong.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// The longest latency that is told apart: a minute, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;

pub(crate) struct Tally {
    origin: Instant,
    pub(crate) delivered: u64,
    pub(crate) bytes_in: u64,
    /// Pings of the protocol that were answered.
    pub(crate) heartbeats: u64,
    /// The warm-up is over: latencies count.
    pub(crate) measuring: bool,
    pub(crate) latency: Histogram<u64>,
    pub(crate) errors: BTreeMap<String, u64>,
}

impl Tally {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            origin: Instant::now(),
            delivered: 0,
            bytes_in: 0,
            heartbeats: 0,
            measuring: false,
            latency: latencies()?,
            errors: BTreeMap::new(),
        })
    }

    /// Returns the nanoseconds since the start: the time stamp that events carry.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Counts an event that was sent at `sent`.
    pub(crate) fn deliver(&mut self, sent: u64) {
        self.delivered += 1;
        if self.measuring {
            let latency = self.now().saturating_sub(sent).max(1);
            self.latency.saturating_record(latency);
        }
    }

    pub(crate) fn error(&mut self, what: impl Into<String>) {
        self.errors_of(what, 1);
    }

    pub(crate) fn errors_of(&mut self, what: impl Into<String>, count: u64) {
        *self.errors.entry(what.into()).or_default() += count;
    }
}

/// Returns an empty histogram of nanoseconds, exact to three digits.
pub(crate) fn latencies() -> io::Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, LONGEST, 3).map_err(io::Error::other)
}

/// How many deliveries are still to come: what holds a closed loop back.
pub(crate) struct Backlog {
    expected: u64,
    base: u64,
    last_delivered: u64,
    last_progress: Instant,
}

impl Backlog {
    /// Silence after which what has not come is given up.
    const PATIENCE: Duration = Duration::from_secs(3);

    pub(crate) fn new(tally: &Tally) -> Self {
        Self {
            expected: 0,
            base: tally.delivered,
            last_delivered: tally.delivered,
            last_progress: Instant::now(),
        }
    }

    pub(crate) fn expect(&mut self, deliveries: u64) {
        self.expected += deliveries;
    }

    pub(crate) fn outstanding(&self, tally: &Tally) -> u64 {
        self.expected.saturating_sub(tally.delivered - self.base)
    }

    /// Gives lost deliveries up, so that a closed loop goes on, and counts them as errors.
    pub(crate) fn judge(&mut self, tally: &mut Tally) {
        if tally.delivered != self.last_delivered {
            self.last_delivered = tally.delivered;
            self.last_progress = Instant::now();
        } else if self.last_progress.elapsed() > Self::PATIENCE {
            let missing = self.outstanding(tally);
            if missing > 0 {
                tally.errors_of("stall: deliveries missing", missing);
            }
            *self = Self::new(tally);
        }
    }
}
