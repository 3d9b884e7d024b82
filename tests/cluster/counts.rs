//! What the API and subscribers are told of all nodes together: counts, lists, users, quotas.

use serde_json::{Value, json};

use crate::support::apps::{COUNTED, MAIN, QUOTA};
use crate::support::socket::target;
use crate::support::{Socket, TestApp, TestNode, unique};
use crate::surroundings::{Redis, is_whole, killable, node, until};

fn get(node: &TestNode, app: TestApp, tail: &str, query: &[(&str, &str)]) -> Value {
    let answer = node.api(app).get(tail, query);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Waits until every node answers so.
fn all_answer(nodes: &[&TestNode], app: TestApp, tail: &str, query: &[(&str, &str)], is: &Value) {
    let mut last = Value::Null;
    for node in nodes {
        until(&format!("{tail} is {is}"), || {
            last = get(node, app, tail, query);
            last == *is
        });
    }
}

#[test]
fn a_channel_is_described_for_all_nodes() {
    let redis = Redis::start();
    let nodes = [(); 3].map(|()| node(redis.options()));
    let (channel, query) = (unique("counted"), [("info", "subscription_count")]);
    let tail = format!("/channels/{channel}");
    let [one, two, three] = &nodes;
    let all = [one, two, three];
    let mut near = one.connect(COUNTED);
    near.subscribe(&channel);
    let mut far = [two.connect(COUNTED), two.connect(COUNTED)];
    for socket in &mut far {
        socket.subscribe(&channel);
    }
    all_answer(&all, COUNTED, &tail, &query, &json!({"occupied": true, "subscription_count": 3}));
    let list = json!({"channels": {channel.clone(): {"subscription_count": 3}}});
    let prefix = [("filter_by_prefix", &*channel), ("info", "subscription_count")];
    all_answer(&all, COUNTED, "/channels", &prefix, &list);
    drop(far);
    all_answer(&all, COUNTED, &tail, &query, &json!({"occupied": true, "subscription_count": 1}));
    near.unsubscribe(&channel);
    all_answer(&all, COUNTED, &tail, &query, &json!({"occupied": false, "subscription_count": 0}));
    all_answer(&all, COUNTED, "/channels", &prefix, &json!({"channels": {}}));
}

#[test]
fn users_of_a_presence_channel_are_those_of_all_nodes() {
    let redis = Redis::start();
    let nodes = [(); 3].map(|()| node(redis.options()));
    let channel = unique("presence-api");
    let mut sockets = [0, 0, 1].map(|index: usize| nodes[index].connect(MAIN));
    for (user, socket) in ["1", "2", "1"].iter().zip(&mut sockets) {
        socket.join(&channel, user);
    }
    let query = [("info", "user_count")];
    for node in &nodes {
        let tail = format!("/channels/{channel}");
        let told = get(node, MAIN, &tail, &query);
        assert_eq!(told, json!({"occupied": true, "user_count": 2}));
        let told = get(node, MAIN, &format!("{tail}/users"), &[]);
        assert!(told.get("partial").is_none());
        let mut users: Vec<_> = told["users"].as_array().unwrap().clone();
        users.sort_by_key(|user| user["id"].to_string());
        assert_eq!(users, [json!({"id": "1"}), json!({"id": "2"})]);
        let prefix = [("filter_by_prefix", &*channel), ("info", "user_count")];
        let told = get(node, MAIN, "/channels", &prefix);
        assert_eq!(told, json!({"channels": {channel.clone(): {"user_count": 2}}}));
    }
}

/// Expects counts until one is this; those in between may be skipped or told.
fn expect_count(socket: &mut Socket, channel: &str, count: u64) {
    loop {
        let frame = socket.expect_event("pusher_internal:subscription_count");
        assert_eq!(frame["channel"], channel);
        if frame["data"]["subscription_count"] == count {
            return;
        }
    }
}

#[test]
fn subscribers_are_told_how_many_they_are_on_all_nodes() {
    let redis = Redis::start();
    let (here, there) = (node(redis.options()), killable(&redis));
    let channel = unique("told");
    let mut near = here.connect(COUNTED);
    near.subscribe(&channel);
    expect_count(&mut near, &channel, 1);
    let mut far = Socket::establish(there.stream(), COUNTED);
    far.subscribe(&channel);
    expect_count(&mut near, &channel, 2);
    expect_count(&mut far, &channel, 2);
    let mut third = here.connect(COUNTED);
    third.subscribe(&channel);
    expect_count(&mut far, &channel, 3);
    expect_count(&mut near, &channel, 3);
    // a node that is killed is counted out
    drop(there);
    expect_count(&mut near, &channel, 2);
    expect_count(&mut third, &channel, 2);
}

#[test]
fn the_quota_of_connections_is_that_of_all_nodes() {
    let redis = Redis::start();
    let (here, there) = (node(redis.options()), node(redis.options()));
    let first = here.connect(QUOTA);
    let _second = here.connect(QUOTA);
    let elsewhere = |node: &TestNode| {
        let app = node.handle().apps().by_id(QUOTA.id).unwrap().id.clone();
        node.handle().connections_elsewhere(&app)
    };
    until("the other node knows", || elsewhere(&there) == 2);
    there.upgrade(&target(QUOTA)).expect_rejection(4004);
    assert_eq!(elsewhere(&here), 0);
    first.close();
    until("the other node knows", || elsewhere(&there) == 1);
    there.connect(QUOTA);
}

#[test]
fn without_redis_answers_are_partial_and_whole_again_later() {
    let mut redis = Redis::start();
    let here = node(redis.options());
    let (channel, room) = (unique("partial"), unique("presence-partial"));
    let mut socket = here.connect(MAIN);
    socket.subscribe(&channel);
    socket.join(&room, "1");
    redis.kill();
    until("the node knows", || !is_whole(&here));
    let list = [("filter_by_prefix", &*channel)];
    let (tail, users) = (format!("/channels/{channel}"), format!("/channels/{room}/users"));
    let ask = || {
        [
            get(&here, MAIN, &tail, &[]),
            get(&here, MAIN, "/channels", &list),
            get(&here, MAIN, &users, &[]),
        ]
    };
    let whole = [
        json!({"occupied": true}),
        json!({"channels": {channel.clone(): {}}}),
        json!({"users": [{"id": "1"}]}),
    ];
    let partial = whole.clone().map(|mut answer| {
        answer["partial"] = json!(true);
        answer
    });
    until("the answers are partial", || ask() == partial);
    redis.restart();
    until("the answers are whole", || ask() == whole);
}
