//! Nodes that share a Redis Cluster: what holds with one Redis holds with several masters, and what one
//! of them does is felt by its own channels alone.

use std::collections::BTreeSet;

use micronotifier_actors::bridge::redis::Ready;
use micronotifier_actors::redis::{LinkError, RedisOptions, Topology};
use serde_json::{Value, json};

use crate::support::apps::{COUNTED, MAIN, QUOTA};
use crate::support::socket::target;
use crate::support::{Socket, TestApp, TestNode, unique};
use crate::surroundings::partitioned::{self, RedisCluster};
use crate::surroundings::redis::{command, local};
use crate::surroundings::{Redis, is_whole, killable_on, node, until, watch};

/// What the operator gives the nodes' user.
const ACL: &str = include_str!("../../docker/redis.acl");

fn get(node: &TestNode, app: TestApp, tail: &str, query: &[(&str, &str)]) -> Value {
    let answer = node.api(app).get(tail, query);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn expect_event(socket: &mut Socket, channel: &str, data: &str) {
    socket.expect(json!({"event": "e", "channel": channel, "data": data}));
}

fn status(node: &TestNode, channels: &[&str], data: &str) -> u16 {
    let body = json!({"name": "e", "channels": channels, "data": data});
    node.api(MAIN).post("/events", &body).status
}

// === As with one Redis ===

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

// === What a cluster does ===

#[test]
fn a_killed_master_is_replaced_and_the_others_are_not_disturbed() {
    // uncovered slots do not stop the others
    let arguments = ["--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no"];
    let mut cluster = RedisCluster::start_with(&arguments);
    let replica = cluster.add_replica(0, &arguments);
    let (here, there) = (node(cluster.options()), node(cluster.options()));
    let dying = cluster.channel_on(0, MAIN, "presence-dying");
    let others = [1, 2].map(|master| cluster.channel_on(master, MAIN, "living"));
    let mut far = there.connect(MAIN);
    let mut quiet = here.connect(MAIN);
    far.join(&dying, "1");
    quiet.join(&dying, "2");
    far.expect_event("pusher_internal:member_added");
    for channel in &others {
        far.subscribe(channel);
    }
    here.fence(&dying, &mut [&mut far, &mut quiet]);

    cluster.masters[0].kill();
    until("the nodes are not ready", || !watch(&here).is_whole() && !watch(&there).is_whole());
    // what spans both is not taken whole, and is said to be so
    assert_eq!(status(&here, &[&others[0], &dying], "both"), 503);
    expect_event(&mut far, &others[0], "both");
    assert_eq!(get(&here, MAIN, "/channels", &[])["partial"], true);
    let mut told = 0;
    until("the nodes are whole", || {
        for channel in &others {
            told += 1;
            assert_eq!(status(&here, &[channel], &told.to_string()), 200);
            expect_event(&mut far, channel, &told.to_string());
        }
        is_whole(&here) && is_whole(&there)
    });
    let role: redis::Value = replica.command(&["ROLE"]);
    assert!(format!("{role:?}").contains("master"), "{role:?}");
    assert_eq!(status(&here, &[&dying], "after"), 200);
    expect_event(&mut far, &dying, "after");
    expect_event(&mut quiet, &dying, "after");
    assert_eq!((watch(&there).lost.get(), watch(&here).lost.get()), (0, 0));
    assert_eq!(watch(&there).epochs.get(), 1, "the order of one channel began anew");
    // nobody was seen to go
    let users = get(&there, MAIN, &format!("/channels/{dying}/users"), &[]);
    assert_eq!(users["users"].as_array().unwrap().len(), 2);
    here.fence(&dying, &mut [&mut far, &mut quiet]);
}

#[test]
fn a_moved_slot_is_followed_and_nothing_is_told_twice() {
    let cluster = RedisCluster::start();
    let (here, there) = (node(cluster.options()), node(cluster.options()));
    let moving = cluster.channel_on(0, MAIN, "moving");
    let room = cluster.channel_on(0, MAIN, "presence-moving");
    let (mut near, mut far) = (here.connect(MAIN), there.connect(MAIN));
    for socket in [&mut near, &mut far] {
        socket.subscribe(&moving);
    }
    far.join(&room, "1");
    here.fence(&moving, &mut [&mut near, &mut far]);
    for (from, to) in [(0, 1), (1, 2)] {
        let taken = std::thread::scope(|scope| {
            let (go_on, stop) = std::sync::mpsc::channel::<()>();
            let triggering = scope.spawn({
                let (here, moving) = (&here, &moving);
                move || {
                    let (mut taken, mut number) = (Vec::new(), 0);
                    while stop.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                        number += 1;
                        let text = format!("to {to}: {number}");
                        taken.push((status(here, &[moving], &text) == 200, text));
                    }
                    taken
                }
            });
            cluster.move_channel(&moving, from, to);
            until("events are taken", || status(&here, &[&moving], "between") == 200);
            drop(go_on);
            triggering.join().unwrap()
        });
        assert!(!cluster.keys(&moving)[to].is_empty(), "it is with the new master");
        let end = format!("end {to}");
        until("events are taken", || status(&here, &[&moving], &end) == 200);
        for socket in [&mut near, &mut far] {
            let mut seen = Vec::new();
            while seen.last() != Some(&end) {
                let frame = socket.event();
                assert_eq!(frame["channel"], moving);
                seen.push(frame["data"].as_str().unwrap().to_owned());
            }
            seen.retain(|text| text != "between" && *text != end);
            let expected: Vec<&String> =
                taken.iter().filter(|(taken, _)| *taken).map(|(_, text)| text).collect();
            assert!(
                seen.iter().eq(expected),
                "what was taken, once and in order: {seen:?} {taken:?}"
            );
        }
    }
    until("the nodes are whole", || is_whole(&here) && is_whole(&there));
    assert_eq!((watch(&here).lost.get(), watch(&there).lost.get()), (0, 0));
    let mut other = here.connect(MAIN);
    other.join(&room, "2");
    far.expect(json!({
        "event": "pusher_internal:member_added", "channel": room,
        "data": {"user_id": "2", "user_info": {}}
    }));
    here.fence(&moving, &mut [&mut near, &mut far]);
}

/// The old master says that it did not take the event, which is sent to the new one then.
#[test]
fn the_first_event_after_a_move_is_taken() {
    let cluster = RedisCluster::start();
    let (here, there) = (node(cluster.options()), node(cluster.options()));
    let channel = cluster.channel_on(0, MAIN, "moved");
    let mut far = there.connect(MAIN);
    far.subscribe(&channel);
    here.trigger(MAIN, &channel, "e", "before");
    expect_event(&mut far, &channel, "before");
    for (from, to) in [(0, 1), (1, 2)] {
        cluster.move_channel(&channel, from, to);
        here.trigger(MAIN, &channel, "e", "after");
        expect_event(&mut far, &channel, "after");
    }
    assert_eq!((watch(&here).refused.get(), watch(&there).lost.get()), (0, 0));
}

#[test]
fn a_master_that_hands_over_is_followed_and_nothing_is_lost() {
    let cluster = RedisCluster::start();
    let replica = cluster.add_replica(0, &[]);
    let (here, there) = (node(cluster.options()), node(cluster.options()));
    let channel = cluster.channel_on(0, MAIN, "presence-handed");
    let (mut near, mut far) = (here.connect(MAIN), there.connect(MAIN));
    near.join(&channel, "1");
    far.join(&channel, "2");
    near.expect_event("pusher_internal:member_added");
    let _: String = replica.command(&["CLUSTER", "FAILOVER"]);
    let (mut taken, mut number) = (Vec::new(), 0);
    let is_master = || {
        let role: redis::Value = replica.command(&["ROLE"]);
        format!("{role:?}").contains("master")
    };
    let mut trigger = || {
        number += 1;
        let text = format!("number {number}");
        if status(&here, &[&channel], &text) == 200 {
            taken.push(text);
        }
    };
    until("it has handed over", || {
        trigger();
        is_master()
    });
    until("the nodes are whole", || {
        trigger();
        is_whole(&here) && is_whole(&there) && watch(&there).epochs.get() > 0
    });
    assert_eq!(status(&here, &[&channel], "end"), 200);
    for socket in [&mut near, &mut far] {
        let mut seen = Vec::new();
        loop {
            let frame = socket.expect_event("e");
            match frame["data"].as_str().unwrap() {
                "end" => break,
                text => seen.push(text.to_owned()),
            }
        }
        // what got no answer may have been told all the same, but once
        assert!(taken.iter().all(|text| seen.contains(text)), "{taken:?} {seen:?}");
        let numbers: Vec<u32> = seen.iter().map(|text| text[7..].parse().unwrap()).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{seen:?}");
    }
    assert_eq!((watch(&here).lost.get(), watch(&there).lost.get()), (0, 0));
    here.fence(&channel, &mut [&mut near, &mut far]);
}

#[test]
fn all_masters_are_killed_and_come_back_empty() {
    let mut cluster = RedisCluster::start();
    let (here, there) = (node(cluster.options()), node(cluster.options()));
    let rooms = [0, 1, 2].map(|master| cluster.channel_on(master, MAIN, "presence-all"));
    let (mut near, mut far) = (here.connect(MAIN), there.connect(MAIN));
    for room in &rooms {
        near.join(room, "1");
        far.join(room, "2");
        near.expect_event("pusher_internal:member_added");
    }
    for master in &mut cluster.masters {
        master.kill();
    }
    until("the nodes know", || !is_whole(&here) && !is_whole(&there));
    assert_eq!(status(&here, &[&rooms[0]], "meanwhile"), 503);
    for master in &mut cluster.masters {
        master.restart();
    }
    until("the nodes are whole", || is_whole(&here) && is_whole(&there));
    for room in &rooms {
        until("all are registered", || {
            let users = get(&there, MAIN, &format!("/channels/{room}/users"), &[]);
            users["users"].as_array().unwrap().len() == 2
        });
        // nobody was seen to go who was there all the time
        here.fence(room, &mut [&mut near, &mut far]);
    }
    assert_eq!((watch(&here).lost.get(), watch(&there).lost.get()), (0, 0));
}

// === How it starts ===

/// Returns why a node does not start with these options.
fn refusal(options: RedisOptions) -> String {
    let refused = actix::System::new().block_on(async { Ready::check(options).await.err() });
    match refused {
        Some(error @ LinkError::Refused { .. }) => error.to_string(),
        other => panic!("{other:?} instead of a refusal"),
    }
}

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
    options.addresses.insert(0, local(crate::support::process::free_port()));
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
