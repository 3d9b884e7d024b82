//! What these tests stand on beside the nodes: redis-servers, clusters of them, and a proxy that loses messages
//! (`tests/lab/proxy`).

pub(crate) mod partitioned;
pub(crate) mod redis;

use std::time::Duration;

use micronotifier::config::ServerConfig;
use micronotifier_actors::bridge::redis::Ready;
use micronotifier_actors::bridge::watch::BridgeWatch;
use micronotifier_actors::clock::Clock;
use micronotifier_actors::redis::{LinkError, RedisOptions};
use micronotifier_fault_proxy::Proxy;
use serde_json::{Value, json};

pub(crate) use self::redis::Redis;
use crate::support::TestNode;
use crate::support::apps::{COUNTED, MAIN};
use crate::support::process::{Configured, free_port};

/// How long anything may take that has waits of several seconds in it.
const DEADLINE: Duration = Duration::from_secs(20);

/// Starts a node that shares this Redis, and waits until its bridge is whole.
pub(crate) fn node(options: RedisOptions) -> TestNode {
    node_with(options, |_| {})
}

/// As [`node`], with its configuration changed.
pub(crate) fn node_with(options: RedisOptions, adjust: impl FnOnce(&mut ServerConfig)) -> TestNode {
    let node = TestNode::start(|config| {
        config.redis = Some(options);
        adjust(config);
    });
    until("the node is whole", || is_whole(&node));
    node
}

/// Returns why a node does not start with these options.
pub(crate) fn refusal(options: RedisOptions) -> String {
    let refused = actix::System::new().block_on(async { Ready::check(options).await.err() });
    match refused {
        Some(error @ LinkError::Refused { .. }) => error.to_string(),
        other => panic!("{other:?} instead of a refusal"),
    }
}

/// Tells whether a node has all that it shares with others.
pub(crate) fn is_whole(node: &TestNode) -> bool {
    watch(node).is_whole() && node.handle().membership().expect("a membership").is_there()
}

/// Starts a proxy before a server.
pub(crate) fn proxy(redis: &Redis) -> Proxy {
    Proxy::start(redis.port()).unwrap()
}

/// Describes the server behind a proxy to a node.
pub(crate) fn through(proxy: &Proxy) -> RedisOptions {
    RedisOptions::single(redis::local(proxy.port()))
}

/// Starts a node that is a process of its own, which dies at once when it is dropped.
pub(crate) fn killable(redis: &Redis) -> Configured {
    killable_on(&json!({"address": format!("127.0.0.1:{}", redis.port())}))
}

/// As [`killable`], with the `redis` object of its configuration.
pub(crate) fn killable_on(redis: &Value) -> Configured {
    let port = free_port();
    let file = json!({
        "host": "127.0.0.1", "port": port, "admin-port": 0,
        "log": {"level": "error"},
        "redis": redis,
        "applications": [
            {"name": MAIN.id, "key": MAIN.key, "secret": MAIN.secret, "client-events": true},
            {"name": COUNTED.id, "key": COUNTED.key, "secret": COUNTED.secret, "subscription-count": true}
        ]
    });
    Configured::start(&file, &[], port)
}

/// Returns what is known of a node's bridge.
pub(crate) fn watch(node: &TestNode) -> &BridgeWatch {
    node.handle().bridge().expect("a bridge")
}

/// Looks again and again until `holds`, or fails after [`DEADLINE`].
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let clock = Clock::start();
    while !holds() {
        assert!(clock.now().elapsed() < DEADLINE, "did not happen in time: {what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}
