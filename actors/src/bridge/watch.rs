//! What is known of a bridge from outside: whether it is whole, and what it has counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::wire::WireError;
use crate::clock::{Clock, Moment};
use crate::lifeline::contain;
use crate::mailbox::{Mail, names};
use crate::metrics::{Counter, Gauge, Living};

/// The state of one bridge and its counters: atomics that the bridge raises and anybody reads.
#[derive(Debug)]
pub struct BridgeWatch {
    /// Those that work on their own; none of a bridge that cannot break.
    parts: Vec<Arc<PartWatch>>,
    clock: Clock,
    /// Times that a connection to the broker was opened.
    pub connections: Counter,
    /// Events that the broker took.
    pub taken: Counter,
    /// Events of repeated requests that it had taken before; they were not sent again.
    pub repeated: Counter,
    /// Events that it did not take, or not in time.
    pub refused: Counter,
    /// Times that a channel's events were found to have a hole.
    pub holes: Counter,
    /// Events that were read from the history.
    pub repaired: Counter,
    /// Events that were missing there too.
    pub lost: Counter,
    /// Times that the order of a channel began anew.
    pub epochs: Counter,
    /// Messages that came twice; they were delivered once.
    pub duplicates: Counter,
    /// What was dropped, by cause.
    pub dropped: Dropped,
    /// Commands, messages and tasks of the bridge that panicked.
    pub panics: Counter,
    /// The actors that carry it: 1, unless it has died.
    pub living: Living,
    /// What is counted of the bridge's mailbox.
    pub mail: Mail,
}

/// The state of one part of a bridge: what leads to one partition.
#[derive(Debug, Default)]
pub(crate) struct PartWatch {
    publishes: AtomicBool,
    subscribes: AtomicBool,
    hears: AtomicBool,
    /// Channels that are followed.
    pub(crate) followed: Gauge,
    /// How long the last probe took from this node to itself, in microseconds.
    probe_micros: Gauge,
    /// When it came back, in milliseconds since the start.
    probed_at: Gauge,
}

/// Messages of other nodes that were dropped, by cause.
#[derive(Debug, Default)]
pub struct Dropped {
    /// Larger than an envelope may be.
    pub too_large: Counter,
    /// No envelope, or a wrong one.
    pub malformed: Counter,
    /// Of a later version.
    pub version: Counter,
    /// Without the cluster's signature.
    pub forged: Counter,
    /// About another channel than its topic's.
    pub misplaced: Counter,
    /// Of a kind that this release does not know.
    pub unknown: Counter,
    /// With a position that the broker has not given.
    pub bogus: Counter,
    /// More than this node could take in; what has a position is read again.
    pub overload: Counter,
}

impl Dropped {
    /// Counts an envelope that was not taken.
    pub(crate) fn count(&self, cause: WireError) {
        let counter = match cause {
            WireError::TooLarge => &self.too_large,
            WireError::Malformed => &self.malformed,
            WireError::Version => &self.version,
            WireError::Forged => &self.forged,
            WireError::Misplaced => &self.misplaced,
            WireError::Unknown => &self.unknown,
        };
        counter.add(1);
    }

    /// Returns each cause and how many were dropped for it.
    pub fn by_cause(&self) -> [(&'static str, u64); 8] {
        [
            ("too_large", self.too_large.get()),
            ("malformed", self.malformed.get()),
            ("version", self.version.get()),
            ("forged", self.forged.get()),
            ("misplaced", self.misplaced.get()),
            ("unknown", self.unknown.get()),
            ("bogus", self.bogus.get()),
            ("overload", self.overload.get()),
        ]
    }
}

impl BridgeWatch {
    /// Makes the watch of a bridge of these parts, whose mailbox is measured or not.
    pub(crate) fn over(parts: Vec<Arc<PartWatch>>, measured: bool) -> Self {
        Self {
            parts,
            clock: Clock::start(),
            connections: Counter::default(),
            taken: Counter::default(),
            repeated: Counter::default(),
            refused: Counter::default(),
            holes: Counter::default(),
            repaired: Counter::default(),
            lost: Counter::default(),
            epochs: Counter::default(),
            duplicates: Counter::default(),
            dropped: Dropped::default(),
            panics: Counter::default(),
            living: Living::default(),
            mail: Mail::new(names::BRIDGE, measured),
        }
    }

    /// Makes the watch of a bridge that cannot break.
    pub(crate) fn unbreakable() -> Self {
        Self::over(Vec::new(), true)
    }

    /// Does something of the bridge. A panic costs what was done, and is counted.
    pub(crate) fn contain<R>(&self, work: impl FnOnce() -> R) -> Option<R> {
        let result = contain("bridge", work);
        if result.is_none() {
            self.panics.add(1);
        }
        result
    }

    /// Tells whether events go out, and come in, and everything that goes out comes in again; in every
    /// partition.
    pub fn is_whole(&self) -> bool {
        self.parts.iter().all(|part| part.is_whole())
    }

    /// Returns how many channels are followed.
    pub fn followed(&self) -> u64 {
        self.parts.iter().map(|part| part.followed.get()).sum()
    }

    /// Returns how long ago a probe came back last; of several partitions the longest, and since the start if none
    /// ever did.
    pub fn probe_age(&self) -> Duration {
        let oldest = self.parts.iter().map(|part| part.probed_at.get()).min();
        let age = |millis| self.now().since(Moment::since_start(Duration::from_millis(millis)));
        oldest.map_or(Duration::ZERO, age)
    }

    /// Returns the present moment.
    pub(crate) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Returns how long the last probe took from this node to itself, in microseconds; of several
    /// partitions the longest.
    pub fn probe_micros(&self) -> u64 {
        self.parts.iter().map(|part| part.probe_micros.get()).max().unwrap_or_default()
    }
}

impl PartWatch {
    fn is_whole(&self) -> bool {
        let is_set = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        is_set(&self.publishes) && is_set(&self.subscribes) && is_set(&self.hears)
    }

    pub(crate) fn set_publishes(&self, publishes: bool) {
        self.publishes.store(publishes, Ordering::Relaxed);
    }

    pub(crate) fn set_subscribes(&self, subscribes: bool) {
        self.subscribes.store(subscribes, Ordering::Relaxed);
    }

    /// Takes that a probe came back after that long.
    pub(crate) fn heard(&self, trip: Duration, now: Moment) {
        self.probe_micros.set(usize::try_from(trip.as_micros()).unwrap_or(usize::MAX));
        self.probed_at.set(usize::try_from(now.elapsed().as_millis()).unwrap_or(usize::MAX));
        self.set_hears(true);
    }

    pub(crate) fn set_hears(&self, hears: bool) {
        self.hears.store(hears, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_age_of_the_probe_is_that_of_the_deafest_part() {
        let parts: Vec<Arc<PartWatch>> = vec![Arc::default(), Arc::default()];
        let watch = BridgeWatch::over(parts.clone(), true);
        let pass = |seconds| tokio::time::advance(Duration::from_secs(seconds));
        pass(3).await;
        assert_eq!(watch.probe_age(), Duration::from_secs(3), "none came back yet");
        for part in &parts {
            part.heard(Duration::from_millis(2), watch.now());
        }
        pass(5).await;
        if let Some(part) = parts.first() {
            part.heard(Duration::from_millis(1), watch.now());
        }
        pass(1).await;
        assert_eq!((watch.probe_age(), watch.probe_micros()), (Duration::from_secs(6), 2_000));
        assert_eq!(BridgeWatch::unbreakable().probe_age(), Duration::ZERO);
    }
}
