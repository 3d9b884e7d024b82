//! The scenarios: what each does to the world, what proves that it happened, and what must hold.

mod judge;
mod nodes;
mod presence;
mod redis;
mod repair;
mod trouble;

pub use self::judge::Bar;
pub(crate) use self::judge::{allow, judge};

use std::time::Duration;

use rand::rngs::StdRng;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::sleep;

use crate::Outcome;
use crate::load::{Load, Size};
use crate::log::Recorder;
use crate::world::{Topology, World, until};

/// A fault and its bars, by the number of `docs/lab.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// A node is killed.
    F1,
    /// Redis is killed.
    F3,
    /// Redis hangs.
    F4,
    /// Sentinels replace the master.
    F6a,
    /// A lagging replica becomes the master.
    F7,
    /// A node is cut off from Redis.
    F8,
    /// Redis misbehaves.
    F19,
    /// Members churn.
    L7,
    /// Messages are lost.
    P1,
    /// Last messages are lost.
    P2,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::F1,
        Self::F3,
        Self::F4,
        Self::F6a,
        Self::F7,
        Self::F8,
        Self::F19,
        Self::L7,
        Self::P1,
        Self::P2,
    ];

    /// Finds one by its number.
    pub fn of(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.id() == id)
    }

    /// Returns its number.
    pub const fn id(self) -> &'static str {
        match self {
            Self::F1 => "F1",
            Self::F3 => "F3",
            Self::F4 => "F4",
            Self::F6a => "F6a",
            Self::F7 => "F7",
            Self::F8 => "F8",
            Self::F19 => "F19",
            Self::L7 => "L7",
            Self::P1 => "P1",
            Self::P2 => "P2",
        }
    }

    /// Says what it does.
    pub const fn says(self) -> &'static str {
        match self {
            Self::F1 => "a node is killed, and started again",
            Self::F3 => "Redis is killed, and back after 5 s with nothing of what it had",
            Self::F4 => "Redis hangs for 10 s",
            Self::F6a => "the master is killed, and the Sentinels promote a replica",
            Self::F7 => "a replica that lags is promoted",
            Self::F8 => "a node is cut off from Redis for 30 s",
            Self::F19 => {
                "Redis misbehaves: throws clients out, forgets scripts and data, is full, refuses the nodes"
            }
            Self::L7 => "members of presence channels come and go without rest",
            Self::P1 => "every 7th message to a node is lost",
            Self::P2 => "the last message before a silence is lost",
        }
    }

    /// Returns the world that it needs, if it cannot do with any.
    pub const fn topology(self) -> Option<Topology> {
        match self {
            Self::F6a => Some(Topology::Sentinels),
            Self::F7 | Self::F8 | Self::P1 | Self::P2 => Some(Topology::Proxied),
            _ => None,
        }
    }

    /// Returns how many seconds it takes; `None` where it goes on beside everything else.
    pub const fn takes(self) -> Option<u64> {
        match self {
            Self::F1 => Some(26),
            Self::F3 => Some(20),
            Self::F4 => Some(24),
            Self::F6a => Some(22),
            Self::F7 => Some(12),
            Self::F8 => Some(41),
            Self::F19 => Some(54),
            Self::L7 | Self::P1 | Self::P2 => None,
        }
    }

    /// Adds what it needs to a load.
    pub fn enlarge(self, size: &mut Size) {
        match self {
            Self::L7 => size.churn = size.churn.max(presence::CHURN),
            Self::P2 => size.tails = size.tails.max(repair::TAILS),
            _ => {}
        }
    }

    /// Does it. Returns when it is over.
    pub(crate) async fn play(self, scene: &mut Scene<'_>) -> Outcome<()> {
        match self {
            Self::F1 => nodes::kill(scene).await,
            Self::F3 => redis::kill(scene).await,
            Self::F4 => redis::hang(scene).await,
            Self::F6a => redis::fail_over(scene).await,
            Self::F7 => redis::promote_a_lagging_replica(scene).await,
            Self::F8 => nodes::cut_off(scene).await,
            Self::F19 => trouble::misbehave(scene).await,
            Self::L7 => presence::churn(scene).await,
            Self::P1 => repair::lose_every_seventh(scene).await,
            Self::P2 => repair::lose_the_last(scene).await,
        }
    }
}

/// What a scenario works with.
pub(crate) struct Scene<'s> {
    pub(crate) scenario: Scenario,
    pub(crate) world: &'s Mutex<World>,
    pub(crate) load: &'s Load,
    pub(crate) log: &'s Recorder,
    pub(crate) rng: StdRng,
    /// How long the load runs.
    pub(crate) length: Duration,
}

impl Scene<'_> {
    pub(crate) async fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().await
    }

    /// Writes a step down.
    pub(crate) fn mark(&self, what: &str, node: Option<u32>) {
        self.log.mark(self.scenario.id(), what, node);
    }

    /// Writes evidence down.
    pub(crate) fn proof(&self, what: impl Into<String>, count: u64) {
        self.log.proof(self.scenario.id(), what, count);
    }

    /// Waits until all nodes say that they are ready, and writes it down.
    pub(crate) async fn until_ready(&self) -> Outcome<()> {
        let admins: Vec<_> = self.world().await.nodes.iter().map(|node| node.admin).collect();
        for admin in admins {
            let mut http = crate::load::http::Http::to(admin);
            let holds = async || http.get("/ready").await.is_ok_and(|answer| answer.status == 200);
            until("all nodes are ready again", holds).await?;
        }
        self.mark("ready", None);
        Ok(())
    }
}

/// Waits.
pub(crate) async fn seconds(count: u64) {
    sleep(Duration::from_secs(count)).await;
}
