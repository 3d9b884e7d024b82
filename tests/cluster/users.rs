//! Signed-in users over several nodes: who watches whom, messages to a user, the end of a user's connections.

use serde_json::{Value, json};

use crate::support::apps::MAIN;
use crate::support::{Socket, TestNode, unique};
use crate::surroundings::{Redis, is_whole, killable, node, proxy, through, until};

fn channel_of(user: &str) -> String {
    format!("#server-to-user-{user}")
}

/// Connects a watcher, and waits until it is told of everybody on its list.
fn watcher(node: &TestNode, told: &[(&str, &[&str])]) -> (Socket, String) {
    let (mut socket, user) = (node.connect(MAIN), unique("watcher"));
    let list: Vec<&str> = told.iter().flat_map(|(_, users)| users.iter().copied()).collect();
    socket.sign_in_watching(&user, &list);
    socket.expect_watched(told);
    (socket, user)
}

/// Proves that a signed-in connection is told nothing else before an event of now.
fn fence(node: &TestNode, socket: &mut Socket, user: &str) {
    node.fence(&channel_of(user), &mut [socket]);
}

fn is_away(nodes: &[&TestNode]) -> bool {
    nodes.iter().all(|node| !node.handle().membership().unwrap().is_there())
}

fn wait_for_whole(nodes: &[&TestNode]) {
    until("the nodes are whole", || nodes.iter().all(|node| is_whole(node)));
}

#[test]
fn a_watchlist_tells_who_is_online_on_any_node() {
    let redis = Redis::start();
    let nodes = [(); 3].map(|()| node(redis.options()));
    let (here, there, nobody) = (unique("user"), unique("user"), unique("user"));
    let mut sockets = [nodes[0].connect(MAIN), nodes[1].connect(MAIN)];
    sockets[0].sign_in(&here);
    sockets[1].sign_in(&there);
    for user in [&here, &there] {
        let tail = format!("/channels/%23server-to-user-{user}");
        until("the sign-in is known", || {
            nodes[2].api(MAIN).get(&tail, &[]).json() == json!({"occupied": true})
        });
    }
    for node in &nodes {
        let list = [("online", &[&*here, &*there][..]), ("offline", &[&*nobody][..])];
        let (mut first, user) = watcher(node, &list);
        // the second list of a node is known already
        let (mut second, other) = watcher(node, &list);
        fence(node, &mut first, &user);
        fence(node, &mut second, &other);
    }
    let listed = nodes[2].api(MAIN).get("/channels", &[("filter_by_prefix", "#")]);
    assert_eq!(listed.json(), json!({"channels": {}}));
}

#[test]
fn watchers_of_all_nodes_hear_of_the_first_and_the_last_connection_once() {
    let redis = Redis::start();
    let nodes = [(); 3].map(|()| node(redis.options()));
    let user = unique("user");
    let mut watchers = nodes.each_ref().map(|node| watcher(node, &[("offline", &[&user])]));
    for _ in 0..3 {
        let mut near = nodes[0].connect(MAIN);
        near.sign_in(&user);
        for (socket, _) in &mut watchers {
            socket.expect_watched(&[("online", &[&user])]);
        }
        let mut far = nodes[1].connect(MAIN);
        far.sign_in(&user);
        near.close();
        // what it is told of itself is told after what happened before
        fence(&nodes[2], &mut far, &user);
        for ((socket, name), node) in watchers.iter_mut().zip(&nodes) {
            fence(node, socket, name);
        }
        far.cut();
        for (socket, _) in &mut watchers {
            socket.expect_watched(&[("offline", &[&user])]);
        }
    }
    for ((socket, name), node) in watchers.iter_mut().zip(&nodes) {
        fence(node, socket, name);
    }
}

#[test]
fn who_moves_from_node_to_node_does_not_go_offline() {
    let redis = Redis::start();
    let (here, there) = (node(redis.options()), node(redis.options()));
    let user = unique("user");
    let (mut near, name) = watcher(&here, &[("offline", &[&user])]);
    let mut socket = here.connect(MAIN);
    socket.sign_in(&user);
    near.expect_watched(&[("online", &[&user])]);
    for round in 0..20 {
        let mut next = if round % 2 == 0 { &there } else { &here }.connect(MAIN);
        next.sign_in(&user);
        socket = next;
    }
    fence(&here, &mut near, &name);
    drop(socket);
    near.expect_watched(&[("offline", &[&user])]);
}

#[test]
fn users_of_a_killed_node_are_offline_within_the_bound() {
    let redis = Redis::start();
    let here = node(redis.options());
    let there = killable(&redis);
    let (gone, stays) = (unique("user"), unique("user"));
    let (mut socket, name) = watcher(&here, &[("offline", &[&gone, &stays])]);
    let mut far = [(); 2].map(|()| Socket::establish(there.stream(), MAIN));
    let mut near = here.connect(MAIN);
    for (far, user) in far.iter_mut().zip([&gone, &stays]) {
        far.sign_in(user);
        socket.expect_watched(&[("online", &[user])]);
    }
    near.sign_in(&stays);
    drop(there);
    // a read waits for ten seconds
    socket.expect_watched(&[("offline", &[&gone])]);
    fence(&here, &mut socket, &name);
}

#[test]
fn redis_is_away_and_nobody_is_told_to_have_gone_who_has_not() {
    let mut redis = Redis::start();
    let (here, there) = (node(redis.options()), node(redis.options()));
    let (stays, goes) = (unique("user"), unique("user"));
    let (mut socket, name) = watcher(&here, &[("offline", &[&stays, &goes])]);
    let mut far = [(); 2].map(|()| there.connect(MAIN));
    for (far, user) in far.iter_mut().zip([&stays, &goes]) {
        far.sign_in(user);
        socket.expect_watched(&[("online", &[user])]);
    }
    let [staying, going] = far;
    redis.kill();
    until("the nodes know", || is_away(&[&here, &there]));
    going.close();
    redis.restart();
    wait_for_whole(&[&here, &there]);
    socket.expect_watched(&[("offline", &[&goes])]);
    let mut back = here.connect(MAIN);
    back.sign_in(&goes);
    socket.expect_watched(&[("online", &[&goes])]);
    staying.close();
    socket.expect_watched(&[("offline", &[&stays])]);
    fence(&here, &mut socket, &name);
}

/// Nobody is left who would say so.
#[test]
fn who_is_gone_with_redis_and_the_node_is_offline_when_redis_is_back() {
    let mut redis = Redis::start();
    let here = node(redis.options());
    let there = killable(&redis);
    let user = unique("user");
    let (mut socket, name) = watcher(&here, &[("offline", &[&user])]);
    let mut far = Socket::establish(there.stream(), MAIN);
    far.sign_in(&user);
    socket.expect_watched(&[("online", &[&user])]);
    redis.kill();
    drop(there);
    until("the node knows", || is_away(&[&here]));
    redis.restart();
    wait_for_whole(&[&here]);
    socket.expect_watched(&[("offline", &[&user])]);
    fence(&here, &mut socket, &name);
}

/// What says so is lost on its way, and read again.
#[test]
fn a_lost_coming_and_a_lost_going_are_told_all_the_same() {
    let redis = Redis::start();
    let proxy = proxy(&redis);
    let (here, there) = (node(through(&proxy)), node(redis.options()));
    let user = unique("user");
    let (mut socket, name) = watcher(&here, &[("offline", &[&user])]);
    proxy.drop_next(1);
    let mut far = there.connect(MAIN);
    far.sign_in(&user);
    socket.expect_watched(&[("online", &[&user])]);
    proxy.drop_next(1);
    far.close();
    socket.expect_watched(&[("offline", &[&user])]);
    fence(&here, &mut socket, &name);
    assert_eq!(proxy.left_to_drop(), 0);
}

#[test]
fn whom_nobody_watches_any_more_is_followed_no_more() {
    let redis = Redis::start();
    let here = node(redis.options());
    let users: Vec<String> = (0..50).map(|_| unique("user")).collect();
    let list: Vec<&str> = users.iter().map(String::as_str).collect();
    let (socket, _) = watcher(&here, &[("offline", &list)]);
    let tables = &here.handle().metrics().tables;
    let watched = || tables.iter().map(|tables| tables.watched_users.get()).sum::<u64>();
    let channels = || tables.iter().map(|tables| tables.channels.get()).sum::<u64>();
    until("all are followed", || (watched(), channels()) == (50, 51));
    socket.close();
    until("nobody is followed", || (watched(), channels()) == (0, 0));
    until("redis is told", || here.handle().bridge().unwrap().followed() == 0);
}

#[test]
fn a_message_to_a_user_reaches_all_nodes_and_nobody_else() {
    let redis = Redis::start();
    let nodes = [(); 3].map(|()| node(redis.options()));
    let (user, channel) = (unique("user"), unique("other"));
    let mut sockets = nodes.each_ref().map(|node| node.connect(MAIN));
    for socket in &mut sockets[1..] {
        socket.sign_in(&user);
    }
    sockets[0].subscribe(&channel);
    nodes[0].trigger(MAIN, &channel_of(&user), "note", "1");
    for socket in &mut sockets[1..] {
        socket.expect(json!({"event": "note", "channel": channel_of(&user), "data": "1"}));
    }
    nodes[1].fence(&channel, &mut [&mut sockets[0]]);
}

#[test]
fn a_terminated_user_is_closed_on_all_nodes() {
    let redis = Redis::start();
    let nodes = [(); 3].map(|()| node(redis.options()));
    let (user, other) = (unique("user"), unique("user"));
    let (mut watching, _) = watcher(&nodes[0], &[("offline", &[&user])]);
    let mut sockets = nodes.each_ref().map(|node| node.connect(MAIN));
    let mut others = nodes.each_ref().map(|node| node.connect(MAIN));
    for (socket, spared) in sockets.iter_mut().zip(&mut others) {
        socket.sign_in(&user);
        spared.sign_in(&other);
    }
    watching.expect_watched(&[("online", &[&user])]);
    let tail = format!("/users/{user}/terminate_connections");
    let answer = nodes[2].api(MAIN).post(&tail, &json!({}));
    assert_eq!((answer.status, answer.json()), (200, json!({})));
    for socket in &mut sockets {
        assert_eq!(socket.expect_rejection(4009), "You got disconnected by the app.");
    }
    watching.expect_watched(&[("offline", &[&user])]);
    let [one, two, three] = &mut others;
    nodes[0].fence(&channel_of(&other), &mut [one, two, three]);
}

fn cache_of(node: &TestNode, channel: &str) -> Value {
    let answer = node.api(MAIN).get(&format!("/channels/{channel}"), &[("info", "cache")]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn every_node_tells_the_same_cached_event() {
    let mut redis = Redis::start();
    let nodes = [(); 2].map(|()| node(redis.options()));
    let channel = unique("private-cache-told");
    for node in &nodes {
        assert_eq!(cache_of(node, &channel), json!({"occupied": false, "cache": null}));
    }
    nodes[0].trigger(MAIN, &channel, "first", r#"{"n":1}"#);
    let mut socket = nodes[1].connect(MAIN);
    socket.subscribe(&channel);
    socket.expect(json!({"event": "first", "channel": channel, "data": "{\"n\":1}"}));
    nodes[1].trigger(MAIN, &channel, "second", "2");
    socket.expect(json!({"event": "second", "channel": channel, "data": "2"}));
    for node in &nodes {
        until("the subscription is counted", || cache_of(node, &channel)["occupied"] == true);
        let cache = &cache_of(node, &channel)["cache"];
        assert_eq!(cache["data"], "2");
        assert!((1..=1800).contains(&cache["ttl"].as_u64().unwrap()), "{cache}");
    }
    redis.kill();
    until("the answer is what the node has heard", || {
        let answer = cache_of(&nodes[1], &channel);
        assert_eq!(answer["cache"]["data"], "2");
        answer["partial"] == true
    });
}
