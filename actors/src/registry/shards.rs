//! All registries of a node: which of them has a channel, and how much may be on its way to each.

use std::hash::{BuildHasher as _, Hash};
use std::sync::{Arc, OnceLock};

use actix::Addr;

use super::{DescribeAll, Registry};
use crate::channel::Route;
use crate::door::{Bound, Place, Usage};
use crate::facts::NodeError;
use crate::limits::NodeLimits;
use crate::mailbox::{Mail, Postbox};
use crate::protocol::ChannelKey;

/// One for each node, shared by its threads.
pub(crate) struct Registries {
    shards: Vec<Shard>,
    placement: foldhash::quality::RandomState,
}

struct Shard {
    registry: OnceLock<Postbox<Addr<Registry>>>,
    /// Events that its channels have accepted and couriers have not yet queued.
    events: Arc<Bound>,
    /// Joins, sign-ins and questions under way.
    commands: Arc<Bound>,
}

impl Registries {
    pub(crate) fn new(workers: usize, limits: &NodeLimits) -> Arc<Self> {
        let shard = |_| Shard {
            registry: OnceLock::new(),
            events: Bound::new(limits.events_in_flight),
            commands: Bound::new(limits.commands_in_flight),
        };
        let shards = (0..workers.max(1)).map(shard).collect();
        Arc::new(Self { shards, placement: foldhash::quality::RandomState::default() })
    }

    /// Sets a worker's registry; `false` if it has one.
    pub(crate) fn set(&self, worker: usize, registry: Addr<Registry>, mail: Mail) -> bool {
        let registry = Postbox::new(registry, mail);
        self.shards.get(worker).is_some_and(|shard| shard.registry.set(registry).is_ok())
    }

    /// Sends a command to the registry that has the channel.
    pub(crate) fn route(&self, route: Route) {
        if let Some(registry) = self.shard(&route.key).registry.get() {
            registry.post(route);
        }
    }

    /// Sends a question to every registry. `ask` makes it, one for each.
    pub(crate) fn ask_all<T>(
        &self,
        ask: impl Fn() -> (DescribeAll, T),
    ) -> Result<Vec<(Place, T)>, NodeError> {
        let mut answers = Vec::with_capacity(self.shards.len());
        for shard in &self.shards {
            let place = shard.commands.reserve().ok_or(NodeError::Busy)?;
            let registry = shard.registry.get().ok_or(NodeError::Stopped)?;
            let (question, answer) = ask();
            registry.post(question);
            answers.push((place, answer));
        }
        Ok(answers)
    }

    /// Takes a place for an event of this channel.
    pub(crate) fn reserve_event(&self, key: &ChannelKey) -> Result<Place, NodeError> {
        self.shard(key).events.reserve().ok_or(NodeError::Busy)
    }

    /// Takes a place for a join of this channel or a question to it; for a sign-in, by its application.
    pub(crate) fn reserve_command(&self, key: &impl Hash) -> Result<Place, NodeError> {
        self.shard(key).commands.reserve().ok_or(NodeError::Busy)
    }

    /// Returns how full the event queues are.
    pub(crate) fn event_queues(&self) -> Vec<Usage> {
        self.shards.iter().map(|shard| shard.events.usage()).collect()
    }

    /// Returns how full the command queues are.
    pub(crate) fn command_queues(&self) -> Vec<Usage> {
        self.shards.iter().map(|shard| shard.commands.usage()).collect()
    }

    /// Returns the worker whose share a key belongs to.
    pub(crate) fn index_of(&self, key: &impl Hash) -> usize {
        let shards = self.shards.len() as u64;
        usize::try_from(self.placement.hash_one(key) % shards).unwrap_or_default()
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "the remainder is less than the length, which is never 0"
    )]
    fn shard(&self, key: &impl Hash) -> &Shard {
        &self.shards[self.index_of(key)]
    }
}
