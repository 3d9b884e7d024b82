//! How long to wait before the next try of a connection: 100 ms, doubled up to 1 s, with jitter.

use std::time::Duration;

use rand::RngExt as _;

use crate::redis::{LinkError, Partition};

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(1);

/// The waits of one connection.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    tries: u32,
    complained: Option<LinkError>,
}

impl Backoff {
    /// Returns the next wait: between half and all of what it doubles to.
    pub(super) fn next(&mut self) -> Duration {
        let longest = FIRST.saturating_mul(1_u32 << self.tries.min(10)).min(LONGEST);
        self.tries += 1;
        longest.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// Begins anew: it worked.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Logs why there is no connection, once for each cause.
    pub(super) fn complain(&mut self, error: &LinkError, partition: Partition) {
        if self.complained.as_ref() != Some(error) {
            log::warn!(partition = partition.index(); "{error}");
            self.complained = Some(error.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_within_bounds() {
        let mut backoff = Backoff::default();
        for longest in [100, 200, 400, 800, 1000, 1000] {
            let longest = Duration::from_millis(longest);
            let wait = backoff.next();
            assert!(wait <= longest && wait >= longest / 2, "{wait:?} of {longest:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
