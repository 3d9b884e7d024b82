//! A Redis Cluster of its own for each test: real servers in cluster mode, joined by the test itself.

use micronotifier_actors::redis::{RedisOptions, Topology};
use redis::{FromRedisValue, Value};

use super::redis::local;
use super::{Redis, until};
use crate::support::process::{free_port, scratch};
use crate::support::{TestApp, unique};

/// All slots of a cluster.
const SLOTS: usize = 16_384;
/// Masters of a cluster, each with a third of the slots.
const MASTERS: usize = 3;

/// A running cluster. It ends with the test.
pub(crate) struct RedisCluster {
    pub(crate) masters: Vec<Redis>,
}

impl RedisCluster {
    /// Starts three masters and waits until each knows that the cluster is up.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// As [`Self::start`], with further arguments for each server.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let masters: Vec<_> = (0..MASTERS).map(|_| server(arguments)).collect();
        for (index, master) in masters.iter().enumerate() {
            let (first, end) = (index * SLOTS / MASTERS, (index + 1) * SLOTS / MASTERS);
            let range = [first.to_string(), (end - 1).to_string()];
            let _: String = master.command(&["CLUSTER", "ADDSLOTSRANGE", &range[0], &range[1]]);
            let epoch = (index + 1).to_string();
            let _: String = master.command(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]);
        }
        let cluster = Self { masters };
        for master in &cluster.masters[1..] {
            cluster.meet(master);
        }
        Self::wait_until_up(&cluster.masters.iter().collect::<Vec<_>>());
        cluster
    }

    /// Adds a replica of a master and waits until it is in step.
    pub(crate) fn add_replica(&self, of: usize, arguments: &[&str]) -> Redis {
        let replica = server(arguments);
        self.meet(&replica);
        let id: String = self.masters[of].command(&["CLUSTER", "MYID"]);
        // it must have heard of its master first
        until("it is a replica", || {
            let asked = redis::cmd("CLUSTER").arg("REPLICATE").arg(&id).clone();
            asked.query::<String>(&mut replica.connection()).is_ok()
        });
        until("it is in step", || {
            let role: Value = replica.command(&["ROLE"]);
            format!("{role:?}").contains("connected")
        });
        let port = replica.port().to_string();
        until("all know it", || {
            self.masters.iter().all(|master| {
                let nodes: String = master.command(&["CLUSTER", "NODES"]);
                nodes
                    .lines()
                    .any(|line| line.contains(&format!(":{port}@")) && line.contains("slave"))
            })
        });
        replica
    }

    fn meet(&self, other: &Redis) {
        let bus: Value = other.command(&["CONFIG", "GET", "cluster-port"]);
        let (_, bus) = <Vec<(String, String)>>::from_redis_value(bus).unwrap().remove(0);
        let port = other.port().to_string();
        let _: String = self.masters[0].command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
    }

    fn wait_until_up(servers: &[&Redis]) {
        until("the cluster is up", || {
            servers.iter().all(|server| {
                let info: String = server.command(&["CLUSTER", "INFO"]);
                let known = format!("cluster_known_nodes:{}\r", servers.len());
                info.contains("cluster_state:ok") && info.contains(&known)
            })
        });
    }

    /// Describes it to a node: all masters.
    pub(crate) fn options(&self) -> RedisOptions {
        let mut addresses = self.masters.iter().map(|master| local(master.port()));
        let mut options = RedisOptions::single(addresses.next().unwrap());
        options.addresses.extend(addresses);
        options.topology = Topology::Cluster;
        options
    }

    /// Returns the slot in which everything of a channel is: that near the middle of the sixteenth of all
    /// slots which the slot of application and channel is in.
    fn slot(&self, app: TestApp, channel: &str) -> usize {
        let own: usize =
            self.masters[0].command(&["CLUSTER", "KEYSLOT", &format!("{}:{channel}", app.id)]);
        own / 1024 * 1024 + 512
    }

    /// Returns a name that nobody has, of a channel that the master of this number has at first.
    pub(crate) fn channel_on(&self, master: usize, app: TestApp, name: &str) -> String {
        let is_there = |name: &String| self.slot(app, name) * MASTERS / SLOTS == master;
        std::iter::repeat_with(|| unique(name)).find(is_there).unwrap()
    }

    /// Returns a name that nobody has, of a channel in the same partition as another.
    pub(crate) fn channel_beside(&self, channel: &str, app: TestApp, name: &str) -> String {
        let slot = self.slot(app, channel);
        let is_there = |name: &String| self.slot(app, name) == slot;
        std::iter::repeat_with(|| unique(name)).find(is_there).unwrap()
    }

    /// Returns the keys of a channel on each master.
    pub(crate) fn keys(&self, channel: &str) -> Vec<Vec<String>> {
        let of = |master: &Redis| master.command(&["KEYS", &format!("mn:*:{channel}")]);
        self.masters.iter().map(of).collect()
    }

    /// Moves the slot with everything of a channel to another master, as an operator would.
    pub(crate) fn move_channel(&self, channel: &str, from: usize, to: usize) {
        self.begin_move(channel, from, to).finish();
    }

    /// Begins to move it: both masters know, and one key of the channel is with the new one.
    pub(crate) fn begin_move(&self, channel: &str, from: usize, to: usize) -> Move<'_> {
        let key = self.keys(channel)[from].first().expect("it is there").clone();
        let (source, target) = (&self.masters[from], &self.masters[to]);
        let slot = source.command::<u64>(&["CLUSTER", "KEYSLOT", &key]).to_string();
        let begun = Move { cluster: self, slot, source, target };
        begun.set(target, "IMPORTING", source);
        begun.set(source, "MIGRATING", target);
        begun.migrate(&[key]);
        begun
    }
}

/// A slot that is being moved.
pub(crate) struct Move<'c> {
    cluster: &'c RedisCluster,
    slot: String,
    source: &'c Redis,
    target: &'c Redis,
}

impl Move<'_> {
    /// Moves all that is left, and says to all whose the slot is now.
    pub(crate) fn finish(self) {
        loop {
            let listing = ["CLUSTER", "GETKEYSINSLOT", &self.slot, "1000"];
            let keys: Vec<String> = self.source.command(&listing);
            if keys.is_empty() {
                break;
            }
            self.migrate(&keys);
        }
        self.set(self.target, "NODE", self.target);
        for master in &self.cluster.masters {
            self.set(master, "NODE", self.target);
        }
    }

    fn set(&self, on: &Redis, state: &str, of: &Redis) {
        let id: String = of.command(&["CLUSTER", "MYID"]);
        let _: String = on.command(&["CLUSTER", "SETSLOT", &self.slot, state, &id]);
    }

    fn migrate(&self, keys: &[String]) {
        let port = self.target.port().to_string();
        let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
        migrate.extend(keys.iter().map(String::as_str));
        let _: String = self.source.command(&migrate);
    }
}

/// Starts a server in cluster mode that has no slots and knows nobody.
pub(crate) fn server(arguments: &[&str]) -> Redis {
    let file = scratch("nodes.conf");
    let (bus, file) = (free_port().to_string(), file.to_str().unwrap());
    let mut all = vec!["--cluster-enabled", "yes", "--cluster-config-file", file];
    all.extend(["--cluster-port", &bus]);
    all.extend(arguments);
    Redis::start_with(&all)
}
