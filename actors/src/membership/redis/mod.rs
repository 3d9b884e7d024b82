//! Membership over Redis: rows by incarnation under a lease, changed by scripts alone.
//!
//! | Part | What it does |
//! |---|---|
//! | `ledger`, `row` | what this node has told Redis and has still to tell it (pure) |
//! | `keeper` | says it, in batches over one connection, and keeps the lease |
//! | `questions`, `pool` | what the API and mirrors ask, over connections of its own |
//! | `reaper` | clears what dead nodes have left |
//! | `router` | where there are several partitions: hands what concerns a channel to its partition's keeper |
//! | `calls`, `answers`, `lua/` | the scripts, their arguments, their answers |
//!
//! An *incarnation* is a name that a node bears for as long as Redis knows it. Whoever is not among the
//! living in `nodes` may write nothing: a node that was declared dead, and one that Redis has lost with
//! everything else, finds out by its next command, takes a new name and says all again.
//!
//! Each partition of a Redis Cluster has a keeper and a reaper of its own, with a name, a lease and two
//! connections of their own; any other Redis is one partition.

mod answers;
mod calls;
mod client;
mod keeper;
mod ledger;
mod pool;
mod questions;
mod reaper;
mod router;
mod row;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, Arbiter, ArbiterHandle};
use futures_util::future::join_all;
use tokio::sync::oneshot;

use self::calls::Calls;
pub use self::calls::History;
use self::client::Client;
pub use self::client::{Connect, ConnectError};
use self::keeper::{Keeper, Retire};
pub use self::pool::Locate;
use self::pool::Pool;
use self::questions::Line;
use self::reaper::Reaper;
use self::router::Router;
use super::counters::Counters;
use super::{Announcer, MembershipHandle, MembershipSink};
use crate::mailbox::Postbox;
use crate::redis::{ByPartition, Link, Partition, RedisOptions, Topology};

/// How membership over Redis is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What the Redis is: a cluster has several partitions.
    pub topology: Topology,
    /// What stands before every key and topic.
    pub prefix: String,
    /// The node's name in keys, for whoever reads them; what is not a letter, digit, `-` or `_` becomes `_`.
    pub node: String,
    /// How often the lease is renewed.
    pub renew: Duration,
    /// How long a lease lasts, by the clock of Redis.
    pub lease: Duration,
    /// How often dead nodes are looked for.
    pub sweep: Duration,
    /// How long a dead node is left to the reaper that has claimed it.
    pub claim: Duration,
    /// How long a wish to join waits before it is answered [`super::Outcome::Unavailable`].
    pub patience: Duration,
    /// How long Redis may take to answer.
    pub response: Duration,
    /// How long a count may wait that neither occupies nor vacates its channel.
    pub refine: Duration,
    /// The longest pause before the next try to connect.
    pub reconnect: Duration,
    /// The most numbers in one batch.
    pub batch: usize,
    /// The most channels in the answer to [`super::ListOccupied`].
    pub listed: usize,
    /// How long events of members are kept.
    pub history: History,
    /// Whether its mailboxes are measured.
    pub mailbox_metrics: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            topology: Topology::Single,
            prefix: "mn:".to_owned(),
            node: "node".to_owned(),
            renew: Duration::from_secs(2),
            lease: Duration::from_secs(6),
            sweep: Duration::from_secs(2),
            claim: Duration::from_secs(5),
            patience: Duration::from_secs(4),
            response: Duration::from_secs(2),
            refine: Duration::from_millis(250),
            reconnect: Duration::from_secs(1),
            batch: 512,
            listed: 1_000_000,
            history: History::default(),
            mailbox_metrics: true,
        }
    }
}

impl Options {
    /// Returns what the nodes of a Redis have in common, and the rest as it is by default.
    pub fn of(redis: &RedisOptions) -> Self {
        let history =
            History { events: redis.repair_events, wait: redis.repair_wait, ..History::default() };
        let (topology, prefix) = (redis.topology.clone(), redis.prefix.clone());
        Self { topology, prefix, history, ..Self::default() }
    }

    /// How long a reaper may not have looked for dead nodes to be sure that the living could renew their
    /// leases meanwhile.
    fn longest_look_away(&self) -> Duration {
        self.lease.saturating_sub(self.renew).max(self.sweep * 2)
    }

    /// How long a reaper looks before it declares anybody dead: enough for a node to connect again.
    fn least_look(&self) -> Duration {
        self.lease / 2
    }
}

/// Returns what opens connections to the Redis that nodes share.
pub fn connect(redis: &RedisOptions) -> Connect {
    let links = links(redis);
    Arc::new(move |partition| {
        let link = Arc::clone(links.at(partition));
        // nothing is subscribed to over it, so nothing comes unasked
        Box::pin(async move { Ok(link.open(|_| Ok::<(), ()>(())).await?) })
    })
}

/// Returns what finds the Redis that nodes share.
pub fn locate(redis: &RedisOptions) -> Locate {
    let links = links(redis);
    Arc::new(move |partition| {
        let link = Arc::clone(links.at(partition));
        Box::pin(async move { Ok(link.locate().await?) })
    })
}

fn links(redis: &RedisOptions) -> ByPartition<Arc<Link>> {
    Partition::all(&redis.topology).map(|partition| Arc::new(Link::new(redis.clone(), *partition)))
}

/// A running membership. It ends with this value, without a word to Redis unless it was [retired](Self::retire).
pub struct RedisMembership {
    keepers: Arc<ByPartition<Postbox<Addr<Keeper>>>>,
    handle: MembershipHandle,
    arbiter: ArbiterHandle,
    counters: Arc<Counters>,
}

impl RedisMembership {
    /// Starts a keeper and a reaper for each partition, all on an arbiter of their own. Call it inside an
    /// actix system. Redis need not be there yet. Questions go over connections of their own, which lead to
    /// where `locate` says.
    pub fn start(
        options: Options,
        connect: Connect,
        locate: Locate,
        announcer: Arc<dyn Announcer>,
        sink: MembershipSink,
    ) -> Self {
        let (partitions, listed) = (Partition::all(&options.topology), options.listed);
        let counters =
            Arc::new(Counters::new(partitions.count(), options.lease, options.mailbox_metrics));
        let arbiter = Arbiter::new().handle();
        let sink_of = router::sinks(partitions.count(), sink);
        let (beside, counted) = (arbiter.clone(), Arc::clone(&counters));
        let keepers = Arc::new(partitions.map(move |partition| {
            let task = Arc::new(Task {
                calls: Arc::new(Calls::new(&options.prefix, *partition, options.history)),
                partition: *partition,
                options: options.clone(),
                connect: Arc::clone(&connect),
                pool: Pool::new(*partition, Arc::clone(&locate)),
                line: Line::default(),
                announcer: Arc::clone(&announcer),
                sink: sink_of(*partition),
                counters: Arc::clone(&counted),
            });
            let reaper = Reaper::new(Arc::clone(&task));
            Reaper::start_in_arbiter(&beside, move |_| reaper);
            let keeper = Keeper::start_in_arbiter(&beside, move |_| Keeper::new(task));
            Postbox::new(keeper, counted.keepers.clone())
        }));
        let handle = if keepers.count() == 1 {
            MembershipHandle::new(keepers.first().to(), &counters.keepers, &counters)
        } else {
            let router = Router::new(Arc::clone(&keepers), listed, Arc::clone(&counters));
            let router = Router::start_in_arbiter(&arbiter, move |_| router);
            MembershipHandle::new(&router, &counters.router, &counters)
        };
        Self { keepers, handle, arbiter, counters }
    }

    /// Returns the addresses.
    pub fn handle(&self) -> MembershipHandle {
        self.handle.clone()
    }

    /// Returns what is counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Gives the node's name up, so that the other nodes clear what is left of it at once. Nothing is
    /// told to Redis afterwards.
    pub async fn retire(&self) {
        let retired = self.keepers.iter().map(|keeper| {
            let (done, retired) = oneshot::channel();
            keeper.post(Retire { done });
            retired
        });
        // a keeper that is gone has nothing to give up
        join_all(retired).await;
    }

    /// Stops without a word, as a crash would: other nodes take over when the lease has ended.
    pub fn abandon(&self) -> bool {
        self.arbiter.stop()
    }
}

impl Drop for RedisMembership {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// What keeper and reaper of one partition work with.
struct Task {
    options: Options,
    partition: Partition,
    calls: Arc<Calls>,
    connect: Connect,
    pool: Pool,
    line: Line,
    announcer: Arc<dyn Announcer>,
    sink: MembershipSink,
    counters: Arc<Counters>,
}

impl Task {
    async fn open_client(&self) -> Result<Client, ConnectError> {
        let calls = Arc::clone(&self.calls);
        Client::open(&self.connect, self.partition, calls, self.options.response).await
    }
}
