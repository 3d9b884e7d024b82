//! What every channel works with: the couriers of all workers, the clock, the bridge, the membership, the counters, the tap.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix::Addr;

use crate::bridge::BridgeHandle;
use crate::clock::{Clock, Moment};
use crate::config::NodeConfig;
use crate::courier::Courier;
use crate::errand::Errand;
use crate::mailbox::{Mailboxes, Postbox};
use crate::membership::MembershipHandle;
use crate::membership::elsewhere::Elsewhere;
use crate::membership::reach::Reach;
use crate::metrics::Metrics;
use crate::seat::ChannelId;
use crate::tap::Tap;

/// One for each node, shared by its threads.
pub(crate) struct Crew {
    clock: Clock,
    metrics: Arc<Metrics>,
    /// By worker.
    mail: Vec<Mailboxes>,
    tap: Arc<Tap>,
    couriers: Vec<OnceLock<Postbox<Addr<Courier>>>>,
    bridge: OnceLock<BridgeHandle>,
    membership: OnceLock<MembershipHandle>,
    reach: Reach,
    elsewhere: Elsewhere,
    channels: AtomicU64,
    join_wait: Duration,
}

impl Crew {
    /// Makes room for the couriers of all workers, at least one.
    pub(crate) fn new(config: &NodeConfig) -> Arc<Self> {
        let NodeConfig { apps, limits, workers, mailbox_metrics } = config;
        let workers = (*workers).max(1);
        Arc::new(Self {
            clock: Clock::start(),
            metrics: Arc::new(Metrics::new(apps, workers)),
            mail: (0..workers).map(|_| Mailboxes::new(*mailbox_metrics)).collect(),
            tap: Arc::default(),
            couriers: (0..workers).map(|_| OnceLock::new()).collect(),
            bridge: OnceLock::new(),
            membership: OnceLock::new(),
            reach: Reach::default(),
            elsewhere: Elsewhere::new(apps),
            channels: AtomicU64::new(0),
            join_wait: limits.join,
        })
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    pub(crate) fn now(&self) -> Moment {
        self.clock.now()
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Returns what is counted of mailboxes, by worker.
    pub(crate) fn mail(&self) -> &[Mailboxes] {
        &self.mail
    }

    /// Returns the mailboxes of a worker. Those of an unknown one are not measured.
    pub(crate) fn mail_of(&self, worker: usize) -> Mailboxes {
        self.mail.get(worker).cloned().unwrap_or_else(|| Mailboxes::new(false))
    }

    /// Returns where onlookers stand.
    pub(crate) fn tap(&self) -> &Arc<Tap> {
        &self.tap
    }

    /// Returns how many worker threads there are.
    pub(crate) fn workers(&self) -> usize {
        self.couriers.len()
    }

    /// Returns the bridge to the other nodes, if there are any.
    pub(crate) fn bridge(&self) -> Option<&BridgeHandle> {
        self.bridge.get()
    }

    /// Sets the bridge; `false` if there is one.
    pub(crate) fn set_bridge(&self, bridge: BridgeHandle) -> bool {
        self.bridge.set(bridge).is_ok()
    }

    /// Returns who keeps what is where over all nodes, if there are others.
    pub(crate) fn membership(&self) -> Option<&MembershipHandle> {
        self.membership.get()
    }

    /// Sets the membership; `false` if there is one.
    pub(crate) fn set_membership(&self, membership: MembershipHandle) -> bool {
        self.membership.set(membership).is_ok()
    }

    /// Returns whether the membership can be reached.
    pub(crate) fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Returns how many connections there are on the other nodes.
    pub(crate) fn elsewhere(&self) -> &Elsewhere {
        &self.elsewhere
    }

    /// Sets a worker's courier; `false` if it has one.
    pub(crate) fn set_courier(&self, worker: usize, courier: Addr<Courier>) -> bool {
        let courier = Postbox::new(courier, self.mail_of(worker).courier);
        self.couriers.get(worker).is_some_and(|place| place.set(courier).is_ok())
    }

    /// Returns how long a join waits for the bridge.
    pub(crate) fn join_wait(&self) -> Duration {
        self.join_wait
    }

    /// Returns a number that no channel of this node has had.
    pub(crate) fn next_channel(&self) -> ChannelId {
        self.channels.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends an errand to a worker's courier.
    pub(crate) fn send(&self, worker: usize, errand: Errand) {
        if let Some(courier) = self.couriers.get(worker).and_then(OnceLock::get) {
            courier.post(errand);
        }
    }
}
