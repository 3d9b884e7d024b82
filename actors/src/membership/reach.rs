//! Whether a membership can be reached, and since when: set by its events, read by anybody.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Moment;

/// How long after an outage or a loss the nodes may take to register all again.
pub(crate) const SETTLING: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Debug, Default)]
pub struct Reach {
    is_there: AtomicBool,
    /// In milliseconds since the node's start.
    since: AtomicU64,
}

impl Reach {
    /// Takes that the membership can be reached from now on, or not any more.
    pub(crate) fn set(&self, is_there: bool, now: Moment) {
        let millis = u64::try_from(now.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since.store(millis, Ordering::Relaxed);
        self.is_there.store(is_there, Ordering::Release);
    }

    /// Tells whether it can be reached.
    pub fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Acquire)
    }

    /// Returns how long a roster may still lack users of nodes that have not registered again. Who asks
    /// sooner sees them go and come.
    pub(crate) fn settles_in(&self, now: Moment) -> Duration {
        let since = Duration::from_millis(self.since.load(Ordering::Relaxed));
        (since + SETTLING).saturating_sub(now.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rosters_settle_some_time_after_an_outage() {
        let at = |seconds| Moment::since_start(Duration::from_secs(seconds));
        let reach = Reach::default();
        assert!(!reach.is_there());
        reach.set(true, at(10));
        assert!(reach.is_there());
        assert_eq!(reach.settles_in(at(11)), Duration::from_secs(2));
        assert_eq!(reach.settles_in(at(20)), Duration::ZERO);
    }
}
