//! What a membership has done, and how fresh its leases are: raised by it, read by anybody.

use std::time::Duration;

use crate::clock::{Clock, Moment};
use crate::mailbox::{Mail, names};
use crate::metrics::{Counter, Gauge, Living};

/// See the module.
#[derive(Debug)]
pub struct Counters {
    /// Numbers that were told to the broker.
    pub told: Counter,
    /// Commands that the broker refused or that got no answer.
    pub failures: Counter,
    /// How often this node had to begin under a new name.
    pub incarnations: Counter,
    /// Nodes that were declared dead by this one.
    pub declared_dead: Counter,
    /// Dead nodes that were cleared by this one.
    pub reaped: Counter,
    /// Users that were gone with a dead node.
    pub users_expired: Counter,
    /// The keepers that live, one for each partition.
    pub living_keepers: Living,
    /// The routers that live: one where there are several partitions.
    pub living_routers: Living,
    /// Commands and tasks of keepers that panicked.
    pub keeper_panics: Counter,
    /// Those of the router.
    pub router_panics: Counter,
    /// Sweeps of reapers that panicked.
    pub reaper_panics: Counter,
    /// What is counted of the mailboxes of all keepers together.
    pub keepers: Mail,
    /// What is counted of the router's mailbox; of a cluster only.
    pub router: Mail,
    clock: Clock,
    lease: Duration,
    /// When the lease was last renewed, in milliseconds since the start, by partition; 0 before it first was.
    renewed_at: Vec<Gauge>,
}

impl Counters {
    /// Starts at nothing, with a lease of that length in each of so many partitions. Mailboxes are measured or not.
    pub(crate) fn new(partitions: usize, lease: Duration, measured: bool) -> Self {
        Self {
            told: Counter::default(),
            failures: Counter::default(),
            incarnations: Counter::default(),
            declared_dead: Counter::default(),
            reaped: Counter::default(),
            users_expired: Counter::default(),
            living_keepers: Living::default(),
            living_routers: Living::default(),
            keeper_panics: Counter::default(),
            router_panics: Counter::default(),
            reaper_panics: Counter::default(),
            keepers: Mail::new(names::KEEPER, measured),
            router: Mail::new(names::KEEPER, measured && partitions > 1),
            clock: Clock::start(),
            lease,
            renewed_at: (0..partitions).map(|_| Gauge::default()).collect(),
        }
    }

    /// Takes that the lease in a partition was renewed now.
    pub(crate) fn renewed(&self, partition: usize) {
        if let Some(renewed_at) = self.renewed_at.get(partition) {
            let now = self.clock.now().elapsed().as_millis().max(1);
            renewed_at.set(usize::try_from(now).unwrap_or(usize::MAX));
        }
    }

    /// Tells whether there is a router before the keepers.
    pub fn has_router(&self) -> bool {
        self.renewed_at.len() > 1
    }

    /// Tells whether a lease that this node had in any partition has run out: then the other nodes take it for
    /// dead there.
    pub fn has_run_out(&self) -> bool {
        self.renewed_at().filter(|at| *at > 0).any(|at| self.age(at) > self.lease)
    }

    /// Returns how long ago the lease was renewed; of several partitions the longest, and since the start if it
    /// never was.
    pub fn lease_age(&self) -> Duration {
        self.age(self.renewed_at().min().unwrap_or_default())
    }

    fn renewed_at(&self) -> impl Iterator<Item = u64> {
        self.renewed_at.iter().map(Gauge::get)
    }

    fn age(&self, milliseconds: u64) -> Duration {
        self.clock.now().since(Moment::since_start(Duration::from_millis(milliseconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_age_is_that_of_the_oldest_lease() {
        let counters = Counters::new(2, Duration::from_secs(6), true);
        let pass = |seconds| tokio::time::advance(Duration::from_secs(seconds));
        pass(3).await;
        counters.renewed(0);
        assert_eq!(counters.lease_age(), Duration::from_secs(3));
        pass(1).await;
        counters.renewed(1);
        pass(1).await;
        assert_eq!(counters.lease_age(), Duration::from_secs(2));
        pass(4).await;
        assert!(!counters.has_run_out());
        pass(1).await;
        assert!(counters.has_run_out());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_never_was_does_not_run_out() {
        let counters = Counters::new(2, Duration::from_secs(6), true);
        let pass = |seconds| tokio::time::advance(Duration::from_secs(seconds));
        pass(60).await;
        assert_eq!(counters.lease_age(), Duration::from_mins(1));
        assert!(!counters.has_run_out(), "redis was away from the start");
        counters.renewed(1);
        pass(6).await;
        assert!(!counters.has_run_out());
        pass(1).await;
        assert!(counters.has_run_out(), "that of one partition has");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_of_the_first_millisecond_runs_out_as_any_other() {
        let counters = Counters::new(1, Duration::from_secs(6), true);
        counters.renewed(0);
        tokio::time::advance(Duration::from_secs(7)).await;
        assert!(counters.has_run_out());
    }
}
