//! What holds with one Redis holds with several masters.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{expect_event, get, status};
use crate::support::apps::{COUNTED, MAIN, QUOTA};
use crate::support::socket::target;
use crate::support::{Socket, unique};
use crate::surroundings::partitioned::RedisCluster;
use crate::surroundings::redis::command;
use crate::surroundings::{killable_on, node, until, watch};

/// What the operator gives the nodes' user.
const ACL: &str = include_str!("../../../docker/redis.acl");

#[test]
fn channels_of_all_partitions_are_those_of_all_nodes() {
    let cluster = RedisCluster::start();
    let (here, there) = (node(cluster.options()), node(cluster.options()));
    let prefix = unique("spread");
    let channels: Vec<String> = (0..60).map(|index| format!("{prefix}-{index}")).collect();
    let mut far = there.connect(MAIN);
    for channel in &channels {
        far.subscribe(channel);
    }
    assert_eq!(watch(&there).followed(), 60);
    let mut api = here.api(MAIN);
    for channel in &channels {
        api.trigger(channel, "e", "1");
        expect_event(&mut far, channel, "1");
    }
    // one trigger for channels of many partitions: each gets its own, in whatever order
    for several in channels.chunks(10) {
        let names: Vec<&str> = several.iter().map(String::as_str).collect();
        assert_eq!(status(&here, &names, "several"), 200);
        let told: BTreeSet<_> = several
            .iter()
            .map(|_| {
                let frame = far.event();
                assert_eq!(frame["data"], "several");
                frame["channel"].as_str().unwrap().to_owned()
            })
            .collect();
        assert!(told.iter().eq(several.iter().collect::<BTreeSet<_>>()), "{told:?}");
    }
    let on_master = cluster.keys(&format!("{prefix}*"));
    assert!(on_master.iter().all(|keys| keys.len() > 20), "{on_master:?}");
    let expected: serde_json::Map<_, _> =
        channels.iter().map(|channel| (channel.clone(), json!({}))).collect();
    let listed = json!({ "channels": expected });
    for node in [&here, &there] {
        until("all are listed", || {
            get(node, MAIN, "/channels", &[("filter_by_prefix", &prefix)]) == listed
        });
    }
    assert_eq!((watch(&there).lost.get(), watch(&there).duplicates.get()), (0, 0));
}

#[test]
fn members_counts_and_quotas_are_those_of_all_nodes() {
    let cluster = RedisCluster::start();
    let options = cluster.options();
    let addresses: Vec<String> = options.addresses.iter().map(ToString::to_string).collect();
    let here = node(options);
    let there = killable_on(&json!({ "addresses": addresses, "cluster": true }));
    // rooms on every master
    let rooms = [0, 1, 2].map(|master| cluster.channel_on(master, MAIN, "presence-room"));
    let (mut near, mut far) = (here.connect(MAIN), Socket::establish(there.stream(), MAIN));
    for room in &rooms {
        near.join(room, "1");
        let mut ids = far.join(room, "2")["ids"].as_array().unwrap().clone();
        ids.sort_by_key(ToString::to_string);
        assert_eq!(ids, [json!("1"), json!("2")]);
        near.expect(json!({
            "event": "pusher_internal:member_added", "channel": room,
            "data": {"user_id": "2", "user_info": {}}
        }));
        let told = get(&here, MAIN, &format!("/channels/{room}"), &[("info", "user_count")]);
        assert_eq!(told, json!({"occupied": true, "user_count": 2}));
    }
    let listed = get(
        &here,
        MAIN,
        "/channels",
        &[("filter_by_prefix", "presence-room"), ("info", "user_count")],
    );
    let expected: serde_json::Map<_, _> =
        rooms.iter().map(|room| (room.clone(), json!({"user_count": 2}))).collect();
    assert_eq!(listed, json!({ "channels": expected }));

    let counted = unique("counted");
    let mut one = here.connect(COUNTED);
    one.subscribe(&counted);
    let mut other = Socket::establish(there.stream(), COUNTED);
    other.subscribe(&counted);
    until("both are counted", || {
        let query = [("info", "subscription_count")];
        get(&here, COUNTED, &format!("/channels/{counted}"), &query)["subscription_count"] == 2
    });

    // who is on a node that is killed is gone everywhere
    near.stream.wait_at_most(std::time::Duration::from_secs(15));
    drop(there);
    let mut left: BTreeSet<_> = rooms.iter().collect();
    while !left.is_empty() {
        let frame = near.expect_event("pusher_internal:member_removed");
        assert_eq!(frame["data"]["user_id"], "2");
        assert!(left.remove(&frame["channel"].as_str().unwrap().to_owned()), "{frame}");
    }
    for room in &rooms {
        here.fence(room, &mut [&mut near]);
    }
}

#[test]
fn the_quota_of_connections_is_that_of_all_nodes() {
    let cluster = RedisCluster::start();
    let (here, there) = (node(cluster.options()), node(cluster.options()));
    let _both = [here.connect(QUOTA), here.connect(QUOTA)];
    until("the other node knows", || {
        let app = there.handle().apps().by_id(QUOTA.id).unwrap().id.clone();
        there.handle().connections_elsewhere(&app) == 2
    });
    there.upgrade(&target(QUOTA)).expect_rejection(4004);
}

#[test]
fn members_of_a_node_that_ends_are_gone_at_once() {
    let cluster = RedisCluster::start();
    let (here, there) = (node(cluster.options()), node(cluster.options()));
    let (mut near, mut far) = (here.connect(MAIN), there.connect(MAIN));
    let rooms = [0, 1, 2].map(|master| cluster.channel_on(master, MAIN, "presence-ends"));
    for room in &rooms {
        near.join(room, "1");
        far.join(room, "2");
        near.expect_event("pusher_internal:member_added");
    }
    drop(there);
    let mut left: BTreeSet<_> = rooms.iter().cloned().collect();
    while !left.is_empty() {
        let frame = near.expect_event("pusher_internal:member_removed");
        assert!(left.remove(frame["channel"].as_str().unwrap()), "{frame}");
    }
}

/// Attack S35: the rights that the documentation shows are enough on a cluster too.
#[test]
fn attack_s35_the_nodes_user_needs_no_more_on_a_cluster() {
    let cluster = RedisCluster::start();
    let line = ACL.lines().find(|line| line.starts_with("user micronotifier")).unwrap();
    let line = line.replace("CHANGE-ME", "the-password");
    for master in &cluster.masters {
        let rule: Vec<&str> =
            ["ACL", "SETUSER"].into_iter().chain(line.split_whitespace().skip(1)).collect();
        let _: String = command(&mut master.connection(), &rule);
    }
    let mut options = cluster.options();
    options.username = "micronotifier".to_owned();
    options.password = "the-password".to_owned();
    let (here, there) = (node(options.clone()), node(options));
    for master in 0..3 {
        let channel = cluster.channel_on(master, MAIN, "cache-acl");
        here.trigger(MAIN, &channel, "e", "1");
        let mut far = there.connect(MAIN);
        far.subscribe(&channel);
        expect_event(&mut far, &channel, "1");
        far.unsubscribe(&channel);
        let room = cluster.channel_on(master, MAIN, "presence-acl");
        far.join(&room, "1");
        here.fence(&room, &mut [&mut far]);
    }
    until("nobody is followed any more", || watch(&there).followed() == 0);
    for master in &cluster.masters {
        let denied: Vec<Value> = {
            let log: redis::Value = master.command(&["ACL", "LOG"]);
            vec![json!(format!("{log:?}"))]
        };
        assert_eq!(denied, [json!("array([])")], "nothing was denied");
    }
}
