//! A master that is replaced: nodes ask the Sentinel where the new one is.

use std::process::{Child, Command, Stdio};

use micronotifier_actors::redis::{RedisOptions, Topology};
use serde_json::json;

use crate::support::apps::MAIN;
use crate::support::process::{free_port, scratch};
use crate::support::unique;
use crate::surroundings::redis::local;
use crate::surroundings::{Redis, node, until, watch};

/// A Sentinel that watches one master and needs no other to agree.
struct Sentinel {
    port: u16,
    child: Child,
}

impl Sentinel {
    fn start(master: &Redis) -> Self {
        let port = free_port();
        let file = scratch("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor mymaster 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 3000\n",
            master.port()
        );
        std::fs::write(&file, text).unwrap();
        let child = Command::new("redis-sentinel")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-sentinel is installed");
        Self { port, child }
    }

    /// Asks for one line about the master.
    fn knows(&self, field: &str) -> Option<String> {
        let mut connection =
            redis::Client::open(("127.0.0.1", self.port)).unwrap().get_connection().ok()?;
        let facts: Vec<String> =
            redis::cmd("SENTINEL").arg("master").arg("mymaster").query(&mut connection).ok()?;
        let at = facts.iter().step_by(2).position(|name| name == field)?;
        facts.get(2 * at + 1).cloned()
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        // It fails only for a Sentinel that has ended.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_killed_master_is_replaced_and_the_order_begins_anew() {
    let mut master = Redis::start();
    let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &master.port().to_string()]);
    let sentinel = Sentinel::start(&master);
    until("the replica is in step", || {
        let role: redis::Value = replica.command(&["ROLE"]);
        format!("{role:?}").contains("connected")
    });
    until("the Sentinel knows both", || sentinel.knows("num-slaves").as_deref() == Some("1"));
    let mut options = RedisOptions::single(local(free_port()));
    options.addresses.push(local(sentinel.port));
    options.topology = Topology::Sentinel { master: "mymaster".to_owned() };
    let (here, there) = (node(options.clone()), node(options));
    let channel = unique("sentinel");
    let mut far = there.connect(MAIN);
    far.subscribe(&channel);
    here.fence(&channel, &mut [&mut far]);

    master.kill();
    until("the nodes are not ready", || !watch(&here).is_whole() && !watch(&there).is_whole());
    until("the nodes are ready", || watch(&here).is_whole() && watch(&there).is_whole());
    // it leads clients to the new master a moment before it says so here
    until("the Sentinel knows the new master", || {
        sentinel.knows("port") == Some(replica.port().to_string())
    });
    here.trigger(MAIN, &channel, "e", "1");
    far.expect(json!({"event": "e", "channel": channel, "data": "1"}));
    assert_eq!((watch(&there).epochs.get(), watch(&there).lost.get()), (1, 0));
    here.fence(&channel, &mut [&mut far]);
}
