//! A trigger with an `Idempotency-Key` is carried out once, whichever nodes its repetitions come to and whatever
//! became of the first answer.

use std::sync::Barrier;

use micronotifier::config::ServerConfig;
use micronotifier_actors::config::{App, Apps, Delivery};
use serde_json::{Value, json};

use crate::support::api::Call;
use crate::support::apps::MAIN;
use crate::support::{Socket, TestNode, unique};
use crate::surroundings::partitioned::RedisCluster;
use crate::surroundings::{Redis, is_whole, node, node_with, proxy, through, until, watch};

/// A request that is sent again and again.
struct Request {
    key: String,
    tail: &'static str,
    body: Value,
}

impl Request {
    fn trigger(channels: &[&str], data: &str) -> Self {
        let body = json!({"name": "e", "channels": channels, "data": data});
        Self { key: unique("key"), tail: "/events", body }
    }

    /// The same key with another body.
    fn saying(&self, channels: &[&str], data: &str) -> Self {
        Self { key: self.key.clone(), ..Self::trigger(channels, data) }
    }

    fn send(&self, node: &TestNode) -> (u16, Value) {
        let call = Call::post(MAIN, self.tail, &self.body).header("Idempotency-Key", &self.key);
        let answer = node.api(MAIN).call(&call);
        (answer.status, answer.json())
    }

    fn status(&self, node: &TestNode) -> u16 {
        self.send(node).0
    }
}

fn listener(node: &TestNode, channels: &[&str]) -> Socket {
    let mut socket = node.connect(MAIN);
    for channel in channels {
        socket.subscribe(channel);
    }
    socket
}

fn expect_event(socket: &mut Socket, channel: &str, data: &str) {
    socket.expect(json!({"event": "e", "channel": channel, "data": data}));
}

#[test]
fn a_repetition_on_another_node_publishes_nothing_and_is_answered_alike() {
    let redis = Redis::start();
    let nodes = [(); 3].map(|()| node(redis.options()));
    let channel = unique("presence-again");
    let mut sockets = nodes.each_ref().map(|node| {
        let mut socket = node.connect(MAIN);
        socket.join(&channel, "1");
        socket
    });
    let mut request = Request::trigger(&[&channel], "1");
    request.body["info"] = json!("user_count");
    let told = json!({"channels": {&channel: {"user_count": 1}}});
    for node in nodes.iter().chain(&nodes) {
        assert_eq!(request.send(node), (200, told.clone()));
    }
    for socket in &mut sockets {
        expect_event(socket, &channel, "1");
    }
    let [first, second, third] = &mut sockets;
    nodes[1].fence(&channel, &mut [first, second, third]);
    let counted = nodes.each_ref().map(|node| watch(node).repeated.get());
    assert_eq!(counted, [0, 1, 1], "each node asks once, and then knows the answer itself");
    // Redis keeps what is known of the request for two minutes, and no longer
    let keys: Vec<String> = redis.command(&["KEYS", "mn:*:d:*"]);
    assert_eq!(keys.len(), 1, "{keys:?}");
    let left: u64 = redis.command(&["PTTL", &keys[0]]);
    assert!((60_000..=120_000).contains(&left), "{left}");
}

#[test]
fn without_a_key_nothing_is_remembered_and_equal_triggers_are_all_meant() {
    let redis = Redis::start();
    let (here, there) = (node(redis.options()), node(redis.options()));
    let channel = unique("meant");
    let mut far = listener(&there, &[&channel]);
    for node in [&here, &there, &here] {
        node.trigger(MAIN, &channel, "e", "1");
        expect_event(&mut far, &channel, "1");
    }
    assert_eq!(redis.command::<Vec<String>>(&["KEYS", "mn:*:d:*"]), [""; 0]);
}

/// Property P8: many at once, on two nodes.
#[test]
fn of_many_at_once_on_two_nodes_one_is_carried_out() {
    const PUBLISHERS: usize = 48;
    let redis = Redis::start();
    let nodes = [node(redis.options()), node(redis.options())];
    let channel = unique("crowd");
    let mut sockets = nodes.each_ref().map(|node| listener(node, &[&channel]));
    let requests: Vec<_> =
        (0..20).map(|round| Request::trigger(&[&channel], &round.to_string())).collect();
    let barrier = Barrier::new(PUBLISHERS);
    std::thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let (requests, barrier, node) = (&requests, &barrier, &nodes[publisher % 2]);
            scope.spawn(move || {
                let mut api = node.api(MAIN);
                for Request { key, tail, body } in requests {
                    let call = Call::post(MAIN, tail, body).header("Idempotency-Key", key);
                    barrier.wait();
                    assert_eq!(api.call(&call).status, 200);
                }
            });
        }
    });
    for socket in &mut sockets {
        for round in 0..requests.len() {
            expect_event(socket, &channel, &round.to_string());
        }
    }
    let [near, far] = &mut sockets;
    nodes[0].fence(&channel, &mut [near, far]);
    let repeated: u64 = nodes.iter().map(|node| watch(node).repeated.get()).sum();
    assert_eq!(repeated, 20, "of two nodes one is the second, each time");
}

#[test]
fn events_of_a_batch_are_told_apart_by_their_place() {
    let redis = Redis::start();
    let (here, there) = (node(redis.options()), node(redis.options()));
    let (channel, cache) = (unique("batch"), unique("cache-batch"));
    let mut far = listener(&there, &[&channel]);
    let event = |channel: &str| json!({"name": "e", "channel": channel, "data": "same"});
    let batch = [event(&channel), event(&channel), event(&cache), event(&channel)];
    let request =
        Request { key: unique("key"), tail: "/batch_events", body: json!({ "batch": batch }) };
    for node in [&here, &there, &here] {
        assert_eq!(request.send(node), (200, json!({})));
    }
    for _ in 0..3 {
        expect_event(&mut far, &channel, "same");
    }
    here.fence(&channel, &mut [&mut far]);
    assert_eq!(watch(&there).repeated.get(), 4);
    // the key is of the endpoint, too
    let trigger = Request { tail: "/events", ..request.saying(&[&channel], "same") };
    assert_eq!(trigger.status(&there), 422);
    here.fence(&channel, &mut [&mut far]);
}

#[test]
fn another_body_with_the_same_key_is_refused_by_all_nodes() {
    let redis = Redis::start();
    let (here, there) = (node(redis.options()), node(redis.options()));
    let (channel, other) = (unique("body"), unique("body-other"));
    let mut far = listener(&there, &[&channel]);
    let first = Request::trigger(&[&channel], "1");
    assert_eq!(first.status(&here), 200);
    expect_event(&mut far, &channel, "1");
    for node in [&here, &there, &there] {
        assert_eq!(first.saying(&[&channel], "2").status(node), 422);
        assert_eq!(first.saying(&[&other, &channel], "1").status(node), 422);
    }
    here.fence(&channel, &mut [&mut far]);
    // what was refused took nothing of the first
    assert_eq!(first.status(&there), 200);
    here.fence(&channel, &mut [&mut far]);
}

/// The script has run, and its answer never comes.
#[test]
fn a_lost_answer_is_503_and_its_repetition_200_and_heard_once() {
    let redis = Redis::start();
    let proxy = proxy(&redis);
    let (here, there) = (node(through(&proxy)), node(redis.options()));
    let channel = unique("lost");
    let (mut near, mut far) = (listener(&here, &[&channel]), listener(&there, &[&channel]));
    // the repetition comes to the other node first, then to the one that was not answered; and the other way about
    for nodes in [[&there, &here], [&here, &there]] {
        let request = Request::trigger(&[&channel], "1");
        proxy.mute(true);
        std::thread::scope(|scope| {
            let first = scope.spawn(|| request.status(&here));
            expect_event(&mut far, &channel, "1");
            proxy.cut();
            assert_eq!(first.join().unwrap(), 503);
        });
        proxy.mute(false);
        until("the node is whole", || is_whole(&here));
        for node in nodes {
            assert_eq!(request.send(node), (200, json!({})));
        }
        expect_event(&mut near, &channel, "1");
        there.fence(&channel, &mut [&mut near, &mut far]);
    }
}

/// The request is on its way for longer than anybody waits for it, and arrives after its repetition.
#[test]
fn what_arrives_after_its_repetition_is_not_carried_out() {
    let redis = Redis::start();
    let proxy = proxy(&redis);
    let (here, there) = (node(through(&proxy)), node(redis.options()));
    let channel = unique("late");
    let (mut near, mut far) = (listener(&here, &[&channel]), listener(&there, &[&channel]));
    let request = Request::trigger(&[&channel], "1");
    proxy.stall();
    assert_eq!(request.status(&here), 503);
    assert_eq!(request.status(&there), 200);
    expect_event(&mut far, &channel, "1");
    proxy.mend();
    until("the node is whole", || is_whole(&here));
    assert_eq!(request.status(&here), 200);
    expect_event(&mut near, &channel, "1");
    here.fence(&channel, &mut [&mut near, &mut far]);
}

/// Fault F4: the server stands still for longer than a request may take.
#[test]
fn a_server_that_stands_still_has_it_once() {
    let redis = Redis::start();
    let (here, there) = (node(redis.options()), node(redis.options()));
    let channel = unique("still");
    let (mut near, mut far) = (listener(&here, &[&channel]), listener(&there, &[&channel]));
    let request = Request::trigger(&[&channel], "1");
    redis.pause();
    for node in [&here, &there, &here] {
        assert_eq!(request.status(node), 503);
    }
    redis.resume();
    until("the nodes are whole", || is_whole(&here) && is_whole(&there));
    for node in [&there, &here] {
        assert_eq!(request.status(node), 200);
    }
    for socket in [&mut near, &mut far] {
        expect_event(socket, &channel, "1");
    }
    here.fence(&channel, &mut [&mut near, &mut far]);
}

/// On one of three masters, nothing is taken at first.
#[test]
fn a_repetition_publishes_what_is_missing_and_no_more() {
    let mut cluster = RedisCluster::start_with(&["--cluster-require-full-coverage", "no"]);
    let (here, there) = (node(cluster.options()), node(cluster.options()));
    let (dead, living) = (
        cluster.channel_on(0, MAIN, "dead"),
        [1, 2].map(|master| cluster.channel_on(master, MAIN, "living")),
    );
    let [one, other] = &living;
    let mut far = listener(&there, &[&dead, one, other]);
    let whole = Request::trigger(&[one, &dead, other], "whole");
    for node in [&here, &there] {
        assert_eq!(whole.status(node), 200);
    }
    for _ in 0..3 {
        assert_eq!(far.event()["data"], "whole");
    }
    for channel in [one, &dead, other] {
        there.fence(channel, &mut [&mut far]);
    }
    cluster.masters[0].kill();
    until("the nodes are not ready", || !watch(&here).is_whole() && !watch(&there).is_whole());
    let partly = Request::trigger(&[one, &dead, other], "partly");
    for round in 0..2 {
        for node in [&here, &there] {
            assert_eq!(partly.status(node), 503, "{round}");
        }
    }
    for _ in 0..2 {
        assert_eq!(far.event()["data"], "partly");
    }
    cluster.masters[0].restart();
    until("the nodes are whole", || is_whole(&here) && is_whole(&there));
    for node in [&there, &here] {
        assert_eq!(partly.status(node), 200);
    }
    expect_event(&mut far, &dead, "partly");
    for channel in [one, &dead, other] {
        there.fence(channel, &mut [&mut far]);
    }
}

#[test]
fn in_fast_delivery_a_key_is_its_nodes_own() {
    let redis = Redis::start();
    let here = node_with(redis.options(), |config: &mut ServerConfig| {
        config.node.apps = Apps::new([App { delivery: Delivery::Fast, ..MAIN.config() }]);
    });
    let channel = unique("cache-fast");
    let request = Request::trigger(&[&channel], "1");
    for _ in 0..3 {
        assert_eq!(request.status(&here), 200);
    }
    let mut near = here.connect(MAIN);
    near.subscribe(&channel);
    expect_event(&mut near, &channel, "1");
    assert_eq!((watch(&here).taken.get(), watch(&here).repeated.get()), (1, 0));
    assert_eq!(redis.command::<Vec<String>>(&["KEYS", "mn:*:d:*"]), [""; 0]);
}
