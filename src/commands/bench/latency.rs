//! Latencies: how they are kept, and the figures made of them.

use std::time::Duration;

use hdrhistogram::{CreationError, Histogram};
use serde::Serialize;

/// The longest latency that is told apart, in nanoseconds: a minute.
const LONGEST: u64 = 60_000_000_000;

/// Latencies in nanoseconds, exact to three digits, in constant memory.
#[derive(Debug, Clone)]
pub(super) struct Latencies(Histogram<u64>);

/// Their figures, in milliseconds; `None` where nothing was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Quantiles {
    pub(super) count: u64,
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    #[serde(rename = "p99_9")]
    pub(super) p999: f64,
    pub(super) max: f64,
}

impl Latencies {
    pub(super) fn new() -> Result<Self, CreationError> {
        Histogram::new_with_bounds(1, LONGEST, 3).map(Self)
    }

    pub(super) fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.0.saturating_record(nanos.max(1));
    }

    /// Takes those of another thread.
    pub(super) fn add(&mut self, other: &Self) {
        // Cannot fail: all have the same bounds.
        self.0.add(&other.0).unwrap_or_default();
    }

    /// Returns the figures; `None` if there is no latency.
    pub(super) fn quantiles(&self) -> Option<Quantiles> {
        let at = |quantile| milliseconds(self.0.value_at_quantile(quantile));
        (!self.0.is_empty()).then(|| Quantiles {
            count: self.0.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: milliseconds(self.0.max()),
        })
    }
}

/// Rounded to microseconds. The longest latency that is kept fits.
fn milliseconds(nanos: u64) -> f64 {
    f64::from(u32::try_from(nanos.saturating_add(500) / 1000).unwrap_or(u32::MAX)) / 1000.0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use super::*;

    #[test]
    fn figures_are_milliseconds_of_all_threads() {
        let (mut all, mut other) = (Latencies::new().unwrap(), Latencies::new().unwrap());
        assert_eq!(all.quantiles(), None);
        for millis in 1..=50 {
            all.record(Duration::from_millis(millis));
            other.record(Duration::from_millis(50 + millis));
        }
        all.add(&other);
        let quantiles = all.quantiles().unwrap();
        let is_near = |value: f64, expected: f64| (value - expected).abs() < expected / 500.0;
        assert_eq!(quantiles.count, 100);
        assert!(is_near(quantiles.p50, 50.0) && is_near(quantiles.p90, 90.0), "{quantiles:?}");
        assert!(is_near(quantiles.max, 100.0), "{quantiles:?}");
    }
}
