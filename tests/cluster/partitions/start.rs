//! Starting a node: servers and clusters that are taken for each other, and a cluster that is not there yet.

use micronotifier_actors::redis::Topology;

use super::status;
use crate::support::TestNode;
use crate::support::apps::MAIN;
use crate::support::process::free_port;
use crate::surroundings::redis::local;
use crate::surroundings::{Redis, is_whole, partitioned, refusal, until, watch};

#[test]
fn a_cluster_that_is_taken_for_a_server_is_named() {
    let server = partitioned::server(&[]);
    let text = refusal(server.options());
    assert!(text.contains("node of a Redis Cluster, and redis.cluster is not true"), "{text}");
}

#[test]
fn a_server_that_is_taken_for_a_cluster_is_named() {
    let server = Redis::start();
    let mut options = server.options();
    options.topology = Topology::Cluster;
    let text = refusal(options);
    assert!(text.contains("no node of a Redis Cluster, and redis.cluster is true"), "{text}");
}

#[test]
fn a_wrong_password_is_named() {
    let server = partitioned::server(&["--requirepass", "right"]);
    let mut options = server.options();
    options.topology = Topology::Cluster;
    options.password = "wrong".to_owned();
    let text = refusal(options);
    assert!(text.contains("password") && !text.contains("wrong"), "{text}");
}

#[test]
fn a_cluster_without_slots_is_waited_for() {
    let server = partitioned::server(&[]);
    let mut options = server.options();
    options.topology = Topology::Cluster;
    // one of the addresses is nobody's
    options.addresses.insert(0, local(free_port()));
    let here = TestNode::start(|config| config.redis = Some(options));
    assert!(!watch(&here).is_whole());
    assert_eq!(status(&here, &["early"], "1"), 503);
    let _: String = server.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    until("the node is whole", || is_whole(&here));
    here.trigger(MAIN, "early", "e", "1");
    let connected = || server.command::<String>(&["CLIENT", "LIST"]).lines().count();
    until("four for each partition, and the test's", || connected() == 65);
    drop(here);
    until("the node's are closed", || connected() == 1);
}
