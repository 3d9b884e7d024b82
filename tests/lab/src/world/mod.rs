//! The world of a run: Redis, Sentinels, nodes with their proxies, nginx; all on this machine, all gone with it.

pub(crate) mod front;
pub(crate) mod node;
pub(crate) mod process;
pub(crate) mod redis;
pub(crate) mod search;
pub(crate) mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use self::front::Front;
use self::node::{Node, Way};
use self::redis::{Redis, Sentinel};
use crate::Outcome;
use crate::load::sign::App;

/// How long anything may take to come up.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a world is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topology {
    /// One Redis with a replica beside it; each node reaches it through a proxy of its own.
    Proxied,
    /// A master, two replicas and three Sentinels, whom the nodes ask.
    Sentinels,
}

/// A running world.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) redis: Vec<Redis>,
    pub(crate) sentinels: Vec<Sentinel>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) front: Front,
    /// Where the master listens.
    pub(crate) master: Arc<AtomicU16>,
}

impl World {
    /// Starts everything and waits until it is ready.
    pub(crate) async fn start(
        folder: &Path,
        program: &Path,
        topology: Topology,
        nodes: u32,
        app: &App,
    ) -> Outcome<Self> {
        let folder: PathBuf = std::path::absolute(folder)?;
        let mut redis = vec![Redis::start(&folder, None).await?];
        let master = redis.first().map(|redis| redis.port).unwrap_or_default();
        let replicas = if topology == Topology::Sentinels { 2 } else { 1 };
        for _ in 0..replicas {
            redis.push(Redis::start(&folder, Some(master)).await?);
        }
        for replica in redis.iter().skip(1) {
            until("a replica is in step", async || is_in_step(replica).await).await?;
        }
        let mut sentinels = Vec::new();
        let way = match topology {
            Topology::Proxied => Way::Proxied(master),
            Topology::Sentinels => {
                for _ in 0..3 {
                    sentinels.push(Sentinel::start(&folder, master).await?);
                }
                for sentinel in &sentinels {
                    let knows = async |field| sentinel.knows(field).await.unwrap_or_default();
                    until("the Sentinels know all", async || {
                        knows("num-slaves").await == "2"
                            && knows("num-other-sentinels").await == "2"
                    })
                    .await?;
                }
                Way::Sentinels(sentinels.iter().map(|sentinel| sentinel.port).collect())
            }
        };
        let mut all = Vec::new();
        for number in 0..nodes {
            all.push(Node::start(&folder, program, number, &way, app).await?);
        }
        let addresses: Vec<_> = all.iter().map(|node| node.address).collect();
        let front = Front::start(&folder, &addresses).await?;
        let master = Arc::new(AtomicU16::new(master));
        Ok(Self { redis, sentinels, nodes: all, front, master })
    }

    /// Returns the server that is the master.
    pub(crate) fn master(&mut self) -> Outcome<&mut Redis> {
        let port = self.master.load(Ordering::SeqCst);
        let found = self.redis.iter_mut().find(|redis| redis.port == port);
        found.ok_or_else(|| "there is no master".into())
    }

    /// Returns a node.
    pub(crate) fn node(&mut self, number: u32) -> Outcome<&mut Node> {
        let found = self.nodes.iter_mut().find(|node| node.number == number);
        found.ok_or_else(|| format!("there is no node {number}").into())
    }

    /// Fails if anything that should run does not.
    pub(crate) fn check(&mut self) -> Outcome<()> {
        self.front.check()?;
        self.nodes.iter_mut().try_for_each(Node::check)
    }
}

async fn is_in_step(replica: &Redis) -> bool {
    let role: Outcome<::redis::Value> = replica.ask(&["ROLE"]).await;
    role.is_ok_and(|role| format!("{role:?}").contains("connected"))
}

/// Looks again and again until something holds.
///
/// # Errors
/// It does not within [`DEADLINE`].
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) -> Outcome<()> {
    let begin = Instant::now();
    while !holds().await {
        if begin.elapsed() > DEADLINE {
            return Err(format!("not within {} s: {what}", DEADLINE.as_secs()).into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
