//! What subscribers on several nodes see: everything once, in one order, without what is not theirs.

use micronotifier::config::ServerConfig;
use micronotifier_actors::config::{App, Apps, Delivery};
use serde_json::json;

use crate::support::apps::MAIN;
use crate::support::{Socket, TestNode, unique};
use crate::surroundings::{Redis, node, node_with, until, watch};

fn on_two(redis: &Redis, channel: &str) -> (TestNode, TestNode, Socket, Socket) {
    let (here, there) = (node(redis.options()), node(redis.options()));
    let (mut near, mut far) = (here.connect(MAIN), there.connect(MAIN));
    near.subscribe(channel);
    far.subscribe(channel);
    (here, there, near, far)
}

#[test]
fn triggers_on_any_of_three_nodes_reach_all_once_and_in_one_order() {
    let redis = Redis::start();
    let nodes = [(); 3].map(|()| node(redis.options()));
    let channel = unique("order");
    let mut sockets = nodes.each_ref().map(|node| node.connect(MAIN));
    for socket in &mut sockets {
        socket.subscribe(&channel);
    }
    std::thread::scope(|scope| {
        for node in &nodes {
            let channel = &channel;
            scope.spawn(move || {
                let mut api = node.api(MAIN);
                for event in 0..100 {
                    api.trigger(channel, &format!("e{event}"), &node.address().to_string());
                }
            });
        }
    });
    let seen = sockets.each_mut().map(|socket| {
        let event = |_| {
            let frame = socket.event();
            (frame["event"].clone(), frame["data"].clone())
        };
        (0..300).map(event).collect::<Vec<_>>()
    });
    assert!(seen[0] == seen[1] && seen[1] == seen[2], "one order");
    for node in &nodes {
        let of_node = |(_, data): &&(_, serde_json::Value)| *data == node.address().to_string();
        let events: Vec<_> = seen[0].iter().filter(of_node).map(|(event, _)| event).collect();
        let sent: Vec<_> = (0..100).map(|event| json!(format!("e{event}"))).collect();
        assert_eq!(events, sent.iter().collect::<Vec<_>>(), "each node's in its own order");
        assert_eq!(watch(node).lost.get(), 0);
    }
    let [first, second, third] = &mut sockets;
    nodes[0].fence(&channel, &mut [first, second, third]);
}

#[test]
fn events_of_one_batch_keep_their_order() {
    let redis = Redis::start();
    let channel = unique("batch");
    let (here, _there, mut near, mut far) = on_two(&redis, &channel);
    let mut api = here.api(MAIN);
    for round in 0..20 {
        let event = |index| json!({"name": format!("e{index}"), "channel": channel, "data": "x"});
        let batch: Vec<_> = (0..10).map(event).collect();
        assert_eq!(api.post("/batch_events", &json!({ "batch": batch })).status, 200, "{round}");
        for socket in [&mut near, &mut far] {
            for index in 0..10 {
                assert_eq!(socket.event()["event"], format!("e{index}"));
            }
        }
    }
}

#[test]
fn the_excluded_socket_is_excluded_on_the_other_node_too() {
    let redis = Redis::start();
    let channel = unique("except");
    let (here, there, mut near, mut far) = on_two(&redis, &channel);
    let id = far.id.clone();
    let body = json!({"name": "e", "channels": [&channel], "data": "1", "socket_id": id});
    assert_eq!(here.api(MAIN).post("/events", &body).status, 200);
    near.expect(json!({"event": "e", "channel": channel, "data": "1"}));
    there.fence(&channel, &mut [&mut near, &mut far]);
}

#[test]
fn a_client_event_reaches_the_other_node_and_not_its_sender() {
    let redis = Redis::start();
    let channel = unique("private-whisper");
    let (_here, there, mut near, mut far) = on_two(&redis, &channel);
    near.whisper(&channel, "client-a", &json!({"n": 1}));
    far.expect(json!({"event": "client-a", "channel": channel, "data": "{\"n\":1}"}));
    there.fence(&channel, &mut [&mut near, &mut far]);
}

#[test]
fn a_cached_event_is_remembered_for_all_nodes_and_told_once() {
    let redis = Redis::start();
    let (here, there) = (node(redis.options()), node(redis.options()));
    let channel = unique("cache-both");
    here.trigger(MAIN, &channel, "e", "1");
    let mut far = there.connect(MAIN);
    far.subscribe(&channel);
    far.expect(json!({"event": "e", "channel": channel, "data": "1"}));
    here.trigger(MAIN, &channel, "e", "2");
    far.expect(json!({"event": "e", "channel": channel, "data": "2"}));
    let mut near = here.connect(MAIN);
    near.subscribe(&channel);
    near.expect(json!({"event": "e", "channel": channel, "data": "2"}));
    there.fence(&channel, &mut [&mut near, &mut far]);
}

#[test]
fn terminating_a_user_closes_the_connections_on_both_nodes() {
    let redis = Redis::start();
    let (here, there) = (node(redis.options()), node(redis.options()));
    let user = unique("user");
    let mut sockets = [here.connect(MAIN), there.connect(MAIN)];
    for socket in &mut sockets {
        socket.sign_in(&user);
    }
    let tail = format!("/users/{user}/terminate_connections");
    assert_eq!(here.api(MAIN).post(&tail, &json!({})).status, 200);
    for socket in &mut sockets {
        socket.expect_rejection(4009);
    }
}

#[test]
fn fast_delivery_reaches_both_nodes_once_and_takes_no_position() {
    let redis = Redis::start();
    let fast = |config: &mut ServerConfig| {
        config.node.apps = Apps::new([App { delivery: Delivery::Fast, ..MAIN.config() }]);
    };
    let (here, there) = (node_with(redis.options(), fast), node_with(redis.options(), fast));
    for channel in [unique("fast"), unique("cache-fast")] {
        let (mut near, mut far) = (here.connect(MAIN), there.connect(MAIN));
        for socket in [&mut near, &mut far] {
            socket.subscribe(&channel);
            if channel.starts_with("cache") {
                socket.expect_event("pusher:cache_miss");
            }
        }
        here.trigger(MAIN, &channel, "e", "1");
        for socket in [&mut near, &mut far] {
            socket.expect(json!({"event": "e", "channel": channel, "data": "1"}));
        }
        here.fence(&channel, &mut [&mut near, &mut far]);
    }
    let keys: Vec<String> = redis.command(&["KEYS", "*:m:*:fast*"]);
    assert!(keys.is_empty(), "{keys:?}");
}

#[test]
fn subscriptions_taken_back_at_once_leave_nothing_unanswered() {
    let redis = Redis::start();
    let here = node(redis.options());
    let channel = unique("back");
    let mut socket = here.connect(MAIN);
    socket.subscribe_among_taken_back(&channel);
    here.fence(&channel, &mut [&mut socket]);
    until("channels that nobody wants are not followed", || watch(&here).followed() == 1);
    let followed: Vec<String> = redis.command(&["PUBSUB", "CHANNELS", "*:t:*"]);
    assert_eq!(followed.len(), 1, "{followed:?}");
}

/// Attack S33: names that mean something to Redis.
#[test]
fn attack_s33_odd_names_stay_apart() {
    let redis = Redis::start();
    let (here, there) = (node(redis.options()), node(redis.options()));
    let mut sockets = Vec::new();
    for (index, name) in ["a=@,.;-_", "A=@,.;-_", "a", "a;", "a,t", "t"].iter().enumerate() {
        let mut socket = [&here, &there][index % 2].connect(MAIN);
        socket.subscribe(name);
        sockets.push((*name, socket));
    }
    for (name, _) in &sockets {
        here.trigger(MAIN, name, "e", name);
    }
    for (name, socket) in &mut sockets {
        socket.expect(json!({"event": "e", "channel": name, "data": name}));
        there.fence(name, &mut [socket]);
    }
}
