//! What a churn has done, and the line that is printed of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::plan::Leave;
use crate::publisher::Outcome;
use crate::report::{KIB_PER_MIB, round};
use crate::tally::Tally;
use crate::usage::Usage;

/// What has been done so far.
#[derive(Debug, Default, Serialize)]
pub(super) struct Counts {
    pub(super) arrived: u64,
    pub(super) established: u64,
    pub(super) signed_in: u64,
    pub(super) subscribed: u64,
    pub(super) unsubscribed: u64,
    pub(super) client_events: u64,
    pub(super) other_messages: u64,
    pub(super) left_by_close: u64,
    pub(super) left_by_shut: u64,
    pub(super) left_by_reset: u64,
    pub(super) left_in_haste: u64,
}

impl Counts {
    /// Counts a guest who goes.
    pub(super) fn left(&mut self, way: Leave) {
        let count = match way {
            Leave::Close => &mut self.left_by_close,
            Leave::Shut => &mut self.left_by_shut,
            Leave::Reset => &mut self.left_by_reset,
            Leave::Hasty => &mut self.left_in_haste,
        };
        *count += 1;
    }
}

/// Figures of a churn, from its first guest on. No latencies: a cache room gives who joins an event of old.
#[derive(Serialize)]
pub(crate) struct Stays {
    mode: &'static str,
    secs: f64,
    #[serde(flatten)]
    counts: Counts,
    pub_ok: u64,
    pub_bad: u64,
    delivered: u64,
    server_cpu_cores: f64,
    rss_before_mib: f64,
    rss_after_mib: f64,
    errs: BTreeMap<String, u64>,
}

impl Stays {
    /// Sums a churn up that took `length`, in which the server used `processor` seconds.
    pub(super) fn new(
        length: Duration,
        counts: Counts,
        triggers: &Outcome,
        tally: Tally,
        processor: f64,
        before: Usage,
        after: Usage,
    ) -> Self {
        Self {
            mode: "churn",
            secs: round(length.as_secs_f64(), 1),
            counts,
            pub_ok: triggers.accepted,
            pub_bad: triggers.refused,
            delivered: tally.delivered,
            server_cpu_cores: round(processor / length.as_secs_f64(), 3),
            rss_before_mib: round(before.resident as f64 / KIB_PER_MIB, 1),
            rss_after_mib: round(after.resident as f64 / KIB_PER_MIB, 1),
            errs: tally.errors,
        }
    }
}
