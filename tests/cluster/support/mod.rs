//! What these tests stand on beside the nodes: redis-servers, and a proxy that loses messages.

pub(crate) mod proxy;
pub(crate) mod redis;

use std::time::Duration;

use micronotifier::config::ServerConfig;
use micronotifier_actors::bridge::watch::BridgeWatch;
use micronotifier_actors::clock::Clock;
use micronotifier_actors::redis::RedisOptions;

pub(crate) use self::proxy::Proxy;
pub(crate) use self::redis::Redis;
use crate::support::TestNode;

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
    until("the bridge is whole", || watch(&node).is_whole());
    node
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
